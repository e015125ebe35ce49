"""Whether the host itself reaches others: by its own packet filter and the Cloud Firewalls.

A packet that the host sends passes the chains of the hook ``output``, where NAT may give it
another destination, and of ``postrouting``. Whether an answer is let in is another question.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from pytest_droplet.facts import fact
from pytest_droplet.facts.firewall.cloud_firewalls import CloudFirewalls
from pytest_droplet.facts.firewall.host_rules import HostRules
from pytest_droplet.facts.firewall.packet_filter import (
    Condition,
    Hook,
    Match,
    Packet,
    outcomes_of,
)
from pytest_droplet.facts.firewall.reach import PRIVATE, Addresses
from pytest_droplet.facts.host.interfaces import Interfaces, Network
from pytest_droplet.facts.host.listeners import IPAddress
from pytest_droplet.model import Droplet, NotObservedError, Reading
from pytest_droplet.text import one_line

Protocol = Literal["tcp", "udp"]

_TUNNELS = re.compile(r"(wg|tun|tap|tailscale|ppp|ipsec|gre|sit|nebula|zt).*")


@dataclass(frozen=True, slots=True)
class WayOut:
    """Whether a packet gets out; ``allowed`` None: it cannot be told. ``why``: what stops it."""

    allowed: Match
    why: str = ""


@dataclass(frozen=True, slots=True)
class WaysOut:
    """What decides over packets that the host itself sends.

    ``unread`` is the reason why the host's own rules are not known; empty: they are.
    """

    droplet: Droplet
    interfaces: Interfaces
    hooks: tuple[Hook, ...] = field(repr=False)
    cloud: Reading[CloudFirewalls]
    unread: str = ""

    def to(self, protocol: Protocol, address: str, port: int) -> WayOut:
        """Return whether the host reaches the port of an address.

        Asked of the first packet of a connection, sent by an ordinary program. What goes to no
        network of the host goes out where its public address is, and perhaps into its tunnels.

        Raises:
            ValueError: It is no address.
        """
        found = self._past_host(protocol, address, port), self._past_cloud(protocol, address, port)
        for allowed in (False, None):
            for way in found:
                if way.allowed is allowed:
                    return way
        return WayOut(allowed=True)

    def _past_host(self, protocol: Protocol, address: str, port: int) -> WayOut:
        if self.unread:
            return WayOut(None, self.unread)
        target = ipaddress.ip_address(address)
        target = getattr(target, "ipv4_mapped", None) or target
        own = {ip for _, ip in self.interfaces.addresses}
        if target.is_loopback or target.is_multicast or str(target) in own:
            return WayOut(None, f"{target} is an address of the host itself, or of many")
        packet = self._packet(protocol, target, port)
        if not packet.out:
            return WayOut(allowed=False, why=f"no address of IPv{packet.version} that faces it")
        hooks = [hook for hook in self.hooks if packet.version in hook.versions]
        for hook in hooks:
            if hook.translates and outcomes_of(hook, packet) != {"accept"}:
                return WayOut(None, f"where {hook.label} sends it cannot be told")
        doubt = ""
        for hook in hooks:
            outcomes = outcomes_of(hook, packet)
            if outcomes == {"drop"}:
                return WayOut(allowed=False, why=f"denied by {hook.label}")
            if outcomes != {"accept"}:
                doubt = doubt or hook.why_not_told(packet)
        return WayOut(None, one_line(doubt)) if doubt else WayOut(allowed=True)

    def _packet(self, protocol: Protocol, target: IPAddress, port: int) -> Packet:
        names = {name for name, network in self.interfaces.networks if target in network}
        if not names:
            names = set(self.interfaces.facing(target.version, self.droplet.addresses)[0])
            others = {name for name, _ in self.interfaces.addresses}
            names |= {name for name in others if _TUNNELS.fullmatch(name)}
            is_private = Addresses.of([ipaddress.ip_network(target)]) & PRIVATE
            names |= self._private(target.version) if is_private else set()
        held = [ipaddress.ip_address(ip) for n, ip in self.interfaces.addresses if n in names]
        return Packet(
            interfaces=frozenset(),
            version=target.version,
            protocol=protocol,
            addresses=frozenset({str(target)}),
            port=port,
            source=partial(_covers, tuple(ip for ip in held if ip.version == target.version)),
            out=frozenset(names),
        )

    def _private(self, version: int) -> set[str]:
        """Return the interfaces with an address of the VPC, which others may be routed by."""
        listed = {a.ip for a in self.droplet.addresses if a.kind == "private"}
        return {
            name
            for name, ip in self.interfaces.addresses
            if ip in listed and ipaddress.ip_address(ip).version == version
        }

    def _past_cloud(self, protocol: Protocol, address: str, port: int) -> WayOut:
        try:
            cloud = self.cloud.get()
            if not cloud.attached:
                cloud.need_all()
                return WayOut(allowed=True)
            allowed = cloud.reaches(protocol, address, port)
        except NotObservedError as exc:
            return WayOut(None, str(exc))
        if allowed is None:
            return WayOut(None, "outbound rules of the Cloud Firewalls name others than addresses")
        return WayOut(allowed, "" if allowed else "no rule of the Cloud Firewalls lets it out")

    def __str__(self) -> str:
        chains = ", ".join(hook.label for hook in self.hooks)
        return one_line(self.unread or chains or "no chain for what the host sends")


@fact("nft -j list ruleset; iptables-save; ip addr show; GET /v2/firewalls")
def droplet_ways_out(
    droplet: Droplet,
    droplet_interfaces: Interfaces,
    droplet_host_rules: Reading[HostRules],
    droplet_cloud_firewalls: Reading[CloudFirewalls],
) -> WaysOut:
    """Return what decides over packets that the host itself sends."""
    rules = droplet_host_rules
    return WaysOut(
        droplet,
        droplet_interfaces,
        rules.value.outward if rules.value else (),
        droplet_cloud_firewalls,
        rules.missing or "",
    )


def _covers(own: tuple[IPAddress, ...], networks: Iterable[Network]) -> Condition:
    """Whether the address that the host sends from, one of its own, is among networks."""
    given = tuple(networks)
    known = {any(address in network for network in given) for address in own}
    return known.pop() if len(known) == 1 else None
