"""The packet filter of the host itself: whether it denies what nobody allowed.

The kernel's rules decide, whoever made them. iptables on top of nftables has conditions that
nft cannot name; its tables are read with iptables-nft-save instead.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.firewall.iptables import parse_saves
from pytest_droplet.facts.firewall.nftables import parse_ruleset
from pytest_droplet.facts.firewall.packet_filter import (
    Hook,
    Match,
    Network,
    Packet,
    is_broad,
    share_changes,
)
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.model import Address, NotObservedError, Section, SectionOutput
from pytest_droplet.text import one_line

_HAS_NF_TABLES = (
    "b=/lib/modules/$(uname -r)/modules.builtin; has() { [ -d /sys/module/$1 ] ||"
    ' grep -qs "/$1[.]ko" $b || [ ! -e /proc/modules ]; };'
)
# nft 1.0.6 prints other words in the place of a table's flags in JSON: the text form has them.
_LIST = (
    "nft -j list ruleset && { echo; echo '== tables';"
    " nft -t list ruleset | grep -E '^(table|.flags) '; :; }"
)
NFT = Section(
    "nft",
    f"{_HAS_NF_TABLES} if has nf_tables; then {_LIST}; elif [ -e $b ]; then"
    " echo absent; else echo 'it cannot be told whether the kernel has nf_tables' >&2; exit 1; fi",
    root=True,
)
IPTABLES = Section(
    "iptables",
    f"{_HAS_NF_TABLES} for v in '' 6; do if has nf_tables; then echo \"== nft$v\";"
    ' ip${v}tables-nft-save; echo "rc=$?"; fi;'
    ' if { read -r x </proc/net/ip${v}_tables_names; } 2>/dev/null; then echo "== legacy$v";'
    ' ip${v}tables-legacy-save; echo "rc=$?"; fi; done; :',
    root=True,
)
ADDRESSES = Section(
    "addresses",
    "cat /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || echo 1; ip -o addr show",
)

_ABSENT = 127
_PORTS = 65_536
_WIDE = 255
_MOST_RANGES = 200
_KILLED = 128
_ADDRESS = re.compile(r"[0-9]+: (\S+?)(?:@\S+)? +inet6? (\S+).*? scope (\S+).*")
_PART = re.compile(r"^== (nft|legacy)(6?)\n(.*?)^rc=([0-9]{1,3})\n", re.MULTILINE | re.DOTALL)
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


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a new connection that no rule is for, in one address family.

    ``denied`` is None where it cannot be told and ``reason`` then why; ``applies`` is False where
    the host does not take part in the family.
    """

    denied: bool | None
    reason: str
    applies: bool = True


@dataclass(frozen=True, slots=True)
class HostFirewall:
    """What the host's own packet filter does with new connections, by address family."""

    ipv4: Decision
    ipv6: Decision

    @property
    def denies(self) -> bool:
        """Whether it denies by default in each family that the host takes part in.

        Raises:
            NotObservedError: It cannot be told in one, and the others deny.
        """
        decisions = [d for d in (self.ipv4, self.ipv6) if d.applies]
        if any(d.denied is False for d in decisions):
            return False
        for decision in decisions:
            if decision.denied is None:
                raise NotObservedError(decision.reason)
        return bool(decisions)

    def __str__(self) -> str:
        return one_line(f"IPv4: {self.ipv4.reason}; IPv6: {self.ipv6.reason}")


def _row(firewall: HostFirewall) -> Mapping[str, Any]:
    return {
        name: {"denied": d.denied, "applies": d.applies, "reason": d.reason}
        for name, d in (("ipv4", firewall.ipv4), ("ipv6", firewall.ipv6))
    }


def from_row(row: Mapping[str, Any]) -> HostFirewall:
    """Return the fact that a row was made of.

    Raises:
        NotObservedError: The row, which may come from a record of others, is none of this fact.
    """
    try:
        decisions = Decision(**row["ipv4"]), Decision(**row["ipv6"])
    except (TypeError, KeyError, IndexError):
        raise NotObservedError("the row of the host's firewall is not as expected") from None
    for decision in decisions:
        if type(decision.applies) is not bool or type(decision.denied) not in {bool, type(None)}:
            raise NotObservedError("the row of the host's firewall is not as expected")
    return HostFirewall(*decisions)


@fact(
    "nft -j list ruleset; iptables-save; ip addr show",
    sections=(NFT, IPTABLES, ADDRESSES),
    row=_row,
)
def droplet_host_firewall(observation: Observation) -> HostFirewall:
    """Return what the host's packet filter does with connections that no rule is for."""
    interfaces = parse_interfaces(observation.section(ADDRESSES.name))
    hooks = parse_hooks(observation.section(NFT.name), observation.section(IPTABLES.name))
    own = observation.droplet.addresses
    return HostFirewall(decide(4, hooks, interfaces, own), decide(6, hooks, interfaces, own))


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


def parse_hooks(nft: SectionOutput, iptables: SectionOutput) -> tuple[Hook, ...]:
    """Return the chains of type filter that packets for the host pass (:func:`parse_rules`)."""
    rules = parse_rules(nft, iptables)
    return tuple(hook for hook in rules if hook.place == "input" and not hook.translates)


def parse_rules(nft: SectionOutput, iptables: SectionOutput) -> tuple[Hook, ...]:
    """Return the chains that packets pass which come in, of nftables and of both iptables.

    Raises:
        NotObservedError: A tool is absent whose rules the kernel has, or its answer is not as
            expected.
    """
    saved: dict[str, Hook] = {}
    legacy: list[Hook] = []
    if other := _PART.sub("", whole(iptables).stdout).strip():
        raise NotObservedError(f"unexpected answer of iptables-save: {one_line(other, 80)}")
    for kind, six, text, code in _PART.findall(iptables.stdout):
        hooks = parse_saves(text, 6 if six else 4) if code == "0" else ()
        if kind == "nft" and int(code) > _KILLED:
            raise NotObservedError(f"ip{six}tables-nft-save was killed (status {code})")
        if kind == "nft":
            saved |= {hook.label: hook for hook in hooks}
        elif code == "0":
            legacy += [replace(hook, label=f"{hook.label} (legacy)") for hook in hooks]
        else:
            raise NotObservedError(
                "the kernel has rules of iptables-legacy, and its save could not read them:"
                f" {one_line(iptables.stderr) or f'status {code}'}"
            )
    if nft.stdout.strip() == "absent":
        return share_changes(legacy)
    if nft.rc == _ABSENT and not nft.stdout.strip() and saved:
        return share_changes((*saved.values(), *legacy))
    if nft.rc != 0:
        raise NotObservedError(one_line(nft.stderr) or f"nft ended with status {nft.rc}")
    rules = parse_ruleset(nft.stdout)
    known = (_by_iptables(hook, saved.get(hook.label)) for hook in rules)
    return share_changes((*known, *legacy))


def _by_iptables(hook: Hook, saved: Hook | None) -> Hook:
    """Return a chain as iptables reads it, which knows all conditions of the rules it wrote."""
    return hook if saved is None or hook.native else replace(saved, doubt=hook.doubt)


def decide(
    version: Literal[4, 6], hooks: Iterable[Hook], interfaces: Interfaces, own: Iterable[Address]
) -> Decision:
    """Return what becomes of a new connection that no rule is for.

    One chain that drops it is enough, for TCP and for UDP. Several ranges of ports, each of which
    has a rule, may be nearly all ports together: then nothing is denied by default.
    """
    if version == 6 and not interfaces.ipv6:
        return Decision(None, "IPv6 is off", applies=False)
    names, addresses = interfaces.facing(version, own)
    if not names:
        return Decision(None, f"no global IPv{version} address", applies=False)
    where = f"on {', '.join(sorted(names))}"
    known = [hook for hook in hooks if version in hook.versions]
    if not known:
        return Decision(denied=False, reason=f"no chain filters input {where}")
    dropping: list[str] = []
    undecided: list[str] = []
    for protocol in ("tcp", "udp"):
        packet = Packet(names, version, protocol, addresses)
        outcomes = {hook.label: outcomes_of(hook, packet) for hook in known}
        drops = [label for label, found in outcomes.items() if found == {"drop"}]
        may_drop = [label for label, found in outcomes.items() if "drop" in found]
        if not may_drop:
            passed = ", ".join(outcomes)
            return Decision(denied=False, reason=f"new {protocol} {where} passes {passed}")
        nearly_all = _lets_in_nearly_all(known, packet) if drops else False
        if nearly_all:
            ports = f"nearly all {protocol} ports"
            return Decision(denied=False, reason=f"rules let in {ports} {where}")
        dropping += drops[:1]
        undecided += may_drop[:1] if not drops or nearly_all is None else []
    if undecided:
        doubt = next(hook.doubt for hook in known if hook.label == undecided[0])
        return Decision(None, doubt or f"what {undecided[0]} does {where} cannot be told")
    return Decision(denied=True, reason=f"denied {where} by {', '.join(dict.fromkeys(dropping))}")


def _lets_in_nearly_all(hooks: Iterable[Hook], packet: Packet) -> Match:
    """Whether wide ranges of ports that rules name are let in and have nearly all ports."""
    known = tuple(hooks)
    wide = {r for hook in known for r in hook.ports if r[1] - r[0] >= _WIDE}
    starts = sorted({port for first, last in wide for port in (first, last + 1) if port < _PORTS})
    if len(starts) > _MOST_RANGES:
        return None
    sizes = Counter[Match]()
    for first, end in pairwise((*starts, _PORTS)):
        found = [outcomes_of(hook, replace(packet, port=first)) for hook in known]
        closed = {"drop"} in found
        doubtful = any("drop" in outcomes for outcomes in found)
        sizes[False if closed else None if doubtful else True] += end - first
    if is_broad(1, sizes[True]):
        return True
    return None if is_broad(1, sizes[True] + sizes[None]) else False


def outcomes_of(hook: Hook, packet: Packet) -> frozenset[str]:
    """Return what may become of a packet; what cannot be followed may be either."""
    try:
        return frozenset(hook.outcomes(packet))
    except (NotObservedError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        return frozenset({"accept", "drop"})
