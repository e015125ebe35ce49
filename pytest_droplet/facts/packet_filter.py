"""What a packet filter does with a new connection from anywhere: the rules of nft and iptables.

The question is asked of a *generic* packet: the first of a connection, from any address of the
internet to a port that nobody has a rule for. So a condition that most such packets meet holds,
one that few meet does not: ``tcp dport 22`` does not, ``tcp dport 1-65535`` does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_droplet.model import NotObservedError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Match: TypeAlias = bool | None
"""Whether the generic packet meets a condition; None: it cannot be told."""

Outcome = Literal["accept", "drop", "end"]
_BROAD_PORTS = 60_000
_HALF_OF_IPV4 = 2**31
_IPV6_INTERNET = ipaddress.IPv6Network("2000::/3")
_DEPTH = 64
_FOREIGN = re.compile(
    r"f2b-|fail2ban|docker|kube-|cali-|cilium|libvirt|lxd|incus|netavark|cni-", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Packet:
    """The generic packet: where it comes in, its family and protocol, and whom it is for."""

    interfaces: frozenset[str]
    version: Literal[4, 6]
    protocol: Literal["tcp", "udp"]
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Action:
    """What a rule does; ``target`` is the chain of a jump or goto.

    ``pass`` goes on with the next rule; ``unknown`` may do anything.
    """

    kind: Literal["accept", "drop", "jump", "goto", "return", "pass", "unknown"]
    target: str = ""


Step: TypeAlias = tuple[Match, Action]
Rule: TypeAlias = Callable[[Packet], Iterable[Step]]
"""A rule: for a packet, whether it applies and what it does (a map may do several things)."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A chain that the kernel sends packets for the host itself through.

    ``policy`` is what becomes of a packet that reaches its end. ``filters`` counts its rules that
    decide over packets, those left out that go to chains of other programs (:func:`is_foreign`).
    """

    label: str
    versions: frozenset[int]
    chain: str
    policy: Literal["accept", "drop"]
    chains: Mapping[str, Sequence[Rule]]
    filters: int = 0

    @property
    def is_filter(self) -> bool:
        """Whether somebody made a firewall of it."""
        return self.policy == "drop" or self.filters > 0

    def outcomes(self, packet: Packet) -> frozenset[Outcome]:
        """Return what may become of the packet: ``accept``, ``drop``, both if it is not told."""
        found = _Walk(self.chains, packet).through(self.chain, 0)
        ends: set[Outcome] = {self.policy} if "end" in found else set()
        return frozenset((found - {"end"}) | ends)


class _Walk:
    """The ways of one packet through the chains; each chain is walked once."""

    def __init__(self, chains: Mapping[str, Sequence[Rule]], packet: Packet) -> None:
        self._chains = chains
        self._packet = packet
        self._known: dict[str, frozenset[Outcome]] = {}

    def through(self, name: str, depth: int) -> frozenset[Outcome]:
        if name not in self._known:
            if depth > _DEPTH or name not in self._chains:
                raise NotObservedError(f"the chain {name} cannot be followed")
            self._known[name] = self._walk(self._chains[name], depth)
        return self._known[name]

    def _walk(self, rules: Sequence[Rule], depth: int) -> frozenset[Outcome]:
        found: set[Outcome] = set()
        for rule in rules:
            for matches, action in rule(self._packet):
                if matches is False:
                    continue
                outcomes, goes_on = self._do(action, depth)
                found |= outcomes
                if matches and not goes_on:
                    return frozenset(found)
        return frozenset(found | {"end"})

    def _do(self, action: Action, depth: int) -> tuple[set[Outcome], bool]:
        """Return what may come of it, and whether the next rule may be reached."""
        if action.kind == "accept":
            return {"accept"}, False
        if action.kind == "drop":
            return {"drop"}, False
        if action.kind == "return":
            return {"end"}, False
        if action.kind == "pass":
            return set(), True
        if action.kind == "unknown":
            return {"accept", "drop"}, True
        inside = set(self.through(action.target, depth + 1))
        if action.kind == "goto":
            return inside, False
        return inside - {"end"}, "end" in inside


def is_foreign(name: str) -> bool:
    """Whether a table or chain belongs to a program that is no firewall of the host."""
    return _FOREIGN.match(name) is not None


def both(*matches: Match) -> Match:
    """Return whether all conditions are met."""
    if False in matches:
        return False
    return None if None in matches else True


def any_of(matches: Iterable[Match]) -> Match:
    """Return whether one of the conditions is met."""
    known = list(matches)
    if True in known:
        return True
    return None if None in known else False


def negated(match: Match, *, by: bool = True) -> Match:
    """Return the opposite, where ``by`` says so."""
    return match if match is None or not by else not match


def is_broad(first: int, last: int) -> bool:
    """Whether a range of ports is about all of them."""
    return last - first >= _BROAD_PORTS


def is_world(networks: Iterable[Network]) -> bool:
    """Whether addresses cover half of IPv4 or all of the IPv6 internet, in however many parts."""
    known = tuple(networks)
    four = ipaddress.collapse_addresses(n for n in known if isinstance(n, ipaddress.IPv4Network))
    if sum(n.num_addresses for n in four) >= _HALF_OF_IPV4:
        return True
    six = ipaddress.collapse_addresses(n for n in known if isinstance(n, ipaddress.IPv6Network))
    return any(_IPV6_INTERNET.subnet_of(n) for n in six)


def to_networks(text: str) -> list[Network]:
    """Return the networks of ``address``, ``address/length`` or ``first-last``.

    Raises:
        ValueError: It is none of these.
    """
    first, dash, last = text.partition("-")
    if not dash:
        return [ipaddress.ip_network(text, strict=False)]
    ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
    return list(ipaddress.summarize_address_range(*ends))


def on_interfaces(packet: Packet, pattern: str, wildcard: str) -> Match:
    """Whether the packet's interfaces have this name; a trailing wildcard stands for the rest."""
    if pattern.endswith(wildcard):
        known = {name.startswith(pattern.removesuffix(wildcard)) for name in packet.interfaces}
    else:
        known = {name == pattern for name in packet.interfaces}
    return known.pop() if len(known) == 1 else None


def for_addresses(packet: Packet, networks: Iterable[Network]) -> Match:
    """Whether the packet's own addresses, which it is for, are among the networks."""
    wanted = tuple(networks)
    known = {
        any(address in network for network in wanted if network.version == address.version)
        for address in map(ipaddress.ip_address, packet.addresses)
        if address.version == packet.version
    }
    return known.pop() if len(known) == 1 else None
