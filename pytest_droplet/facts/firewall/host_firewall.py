"""The packet filter of the host itself: whether it denies what nobody allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from pytest_droplet.facts import fact
from pytest_droplet.facts.firewall.host_rules import HostRules
from pytest_droplet.facts.firewall.packet_filter import (
    Destination,
    Hook,
    Match,
    Packet,
    is_broad,
    outcomes_of,
    parts_of_internet,
)
from pytest_droplet.facts.host.interfaces import Interfaces
from pytest_droplet.model import Address, Droplet, NotObservedError
from pytest_droplet.text import one_line

_PORTS = 65_536
_HALF = 0.5
_ALMOST_ALL = 15 / 16
_WIDE = 255
_MOST_RANGES = 200


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
    row=_row,
)
def droplet_host_firewall(
    droplet: Droplet, droplet_interfaces: Interfaces, droplet_host_rules: HostRules
) -> HostFirewall:
    """Return what the host's packet filter does with connections that no rule is for."""
    hooks, own = droplet_host_rules.input_filters, droplet.addresses
    nat = tuple(h for h in droplet_host_rules.hooks if h.translates)
    return HostFirewall(
        decide(4, hooks, droplet_interfaces, own, nat),
        decide(6, hooks, droplet_interfaces, own, nat),
    )


def decide(
    version: Literal[4, 6],
    hooks: Iterable[Hook],
    interfaces: Interfaces,
    own: Iterable[Address],
    nat: tuple[Hook, ...] = (),
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
    packet = Packet(names, version, "tcp", addresses)
    known = [hook for hook in hooks if version in hook.versions]
    if not known:
        return Decision(denied=False, reason=f"no chain filters input {where}")
    parts = parts_of_internet(known, version)
    if not parts:
        return _decide(known, nat, packet, where)
    found = [(_decide(known, nat, replace(packet, source=p.source), where), p) for p in parts]
    share = {word: sum(p.share for d, p in found if d.denied is word) for word in (True, False)}
    denied = False if share[False] >= _HALF else True if share[True] > _ALMOST_ALL else None
    if denied is None:
        return Decision(None, f"{share[False]:.0%} of the internet is let in {where}")
    return next(decision for decision, _ in found if decision.denied is denied)


def _decide(known: list[Hook], nat: tuple[Hook, ...], packet: Packet, where: str) -> Decision:
    """Return what becomes of a packet that no rule is for, over TCP and over UDP."""
    dropping: list[str] = []
    undecided: list[str] = []
    for protocol in ("tcp", "udp"):
        packet = replace(packet, protocol=protocol)
        if sent_on := _sent_on(known, nat, packet):
            return Decision(sent_on[0], f"NAT sends on new {protocol} {where}{sent_on[1]}")
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
        undecided += _why_not_told(known, packet) if not drops or nearly_all is None else []
    if undecided:
        return Decision(None, f"{where}: {undecided[0]}")
    return Decision(denied=True, reason=f"denied {where} by {', '.join(dict.fromkeys(dropping))}")


def _sent_on(
    known: Iterable[Hook], nat: Iterable[Hook], packet: Packet
) -> tuple[bool | None, str] | None:
    """Return whether what NAT sends on is denied; None: it sends on nothing that no rule is for."""
    filters = tuple(known)
    for hook in nat:
        ends = outcomes_of(hook, packet) if packet.version in hook.versions else {"accept"}
        if ends == {"accept"}:
            continue
        target = Destination.of(next(iter(ends))) if len(ends) == 1 else None
        if target is None or target.address is not None or target.port is None:
            return None, ", and what becomes of it cannot be told"
        sent = replace(packet, port=target.port, sent_to=packet)
        found = [outcomes_of(each, sent) for each in filters]
        if all(each == {"accept"} for each in found):
            return False, f" to port {target.port}, which is let in"
        if {"drop"} not in found:
            return None, f" to port {target.port}, and whether it is let in cannot be told"
    return None


def _why_not_told(hooks: Iterable[Hook], packet: Packet) -> list[str]:
    return [hook.why_not_told(packet) for hook in hooks if "drop" in outcomes_of(hook, packet)][:1]


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
