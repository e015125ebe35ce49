"""The host's own interfaces and addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from pytest_droplet.facts import Observation, fact
from pytest_droplet.model import Address, NotObservedError, Section, SectionOutput
from pytest_droplet.text import one_line

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

ADDRESSES = Section.of_files("facts/host/addresses.sh")

_ADDRESS = re.compile(r"[0-9]+: (\S+?)(?:@\S+)? +inet6? (\S+).*? scope (\S+).*")
_BRIDGES = re.compile(
    r"docker\d*|br-.*|veth.*|virbr.*|cni.*|flannel.*|lxc.*|wg.*|tun.*|tailscale.*"
)


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Interfaces with an address of global scope, and whether IPv6 is on.

    ``networks`` are those that the addresses are in, by interface.
    """

    addresses: tuple[tuple[str, str], ...]
    ipv6: bool
    networks: tuple[tuple[str, Network], ...] = ()

    def facing(
        self, version: int, own: Iterable[Address]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Return the interfaces that face the internet, and their addresses.

        They hold an address that the API lists as public; where none does, a public one; where
        there is none either, any that is not of containers or tunnels.
        """
        known = [
            (name, address)
            for name, address in self.addresses
            if ipaddress.ip_address(address).version == version
        ]
        listed = {a.ip for a in own if a.kind != "private"}
        choices = (
            [(n, a) for n, a in known if a in listed],
            [(n, a) for n, a in known if not ipaddress.ip_address(a).is_private],
            [(n, a) for n, a in known if not _BRIDGES.fullmatch(n)],
        )
        chosen = next((choice for choice in choices if choice), [])
        return frozenset(n for n, _ in chosen), frozenset(a for _, a in chosen)

    def __str__(self) -> str:
        return one_line(", ".join(f"{address} on {name}" for name, address in self.addresses))


@fact("ip -o addr show", sections=(ADDRESSES,))
def droplet_interfaces(observation: Observation) -> Interfaces:
    """Return the interfaces that have addresses of global scope, and whether IPv6 is on."""
    return parse_interfaces(observation.section(ADDRESSES.name))


def parse_interfaces(output: SectionOutput) -> Interfaces:
    """Parse ``disable_ipv6`` and ``ip -o addr show``; addresses of other scopes are left out.

    Raises:
        NotObservedError: ``ip`` is absent or named no interface, or a line is not as expected.
    """
    switch, _, listing = output.stdout.partition("\n")
    if output.rc != 0 or not listing.strip() or switch.strip() not in {"0", "1"}:
        raise NotObservedError(one_line(output.stderr) or "ip addr named no interface")
    found = []
    networks: list[tuple[str, Network]] = []
    for line in listing.splitlines():
        matched = _ADDRESS.fullmatch(line.strip().replace("\\", " "))
        try:
            address = ipaddress.ip_interface(matched[2] if matched else "")
        except ValueError:
            raise NotObservedError(f"unexpected address: {one_line(line, 80)}") from None
        if matched and matched[3] == "global":
            found.append((matched[1], str(address.ip)))
            networks.append((matched[1], address.network))
    return Interfaces(tuple(found), ipv6=switch.strip() == "0", networks=tuple(networks))
