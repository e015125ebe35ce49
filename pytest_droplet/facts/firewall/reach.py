"""Who gets to which ports by rules that allow and rules that deny: exact sets, no network.

Addresses and ports are ranges of whole numbers. A deny rule wins over every allow rule, by exactly
its addresses and ports. Peers that a rule names in another way (a tag, a Droplet, a load balancer, a
cluster) stand beside the addresses: there are few of them, never half of the internet, and which
addresses they have need not be known.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pytest_droplet.facts.firewall.packet_filter import Match, Network

FIRST_PORT, LAST_PORT = 1, 65535
_HALF_OF_IPV4 = 2**31
_HALF_OF_IPV6_INTERNET = 2**124
_NOT_PUBLIC = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "2001:db8::/32", "3fff::/20"),
)

Name = tuple[str, str]
"""A peer that is no address: its kind and its name or id (``("tag", "web")``)."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of whole numbers: ranges from first to last, in order, that do not touch."""

    parts: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> Ranges:
        """Return the set of all numbers of these ranges, each from first to last."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return sum(last - first + 1 for first, last in self.parts)

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.parts)

    def __or__(self, other: Ranges) -> Ranges:
        return Ranges.of((*self.parts, *other.parts))

    def __sub__(self, other: Ranges) -> Ranges:
        left: list[tuple[int, int]] = []
        cuts, index = other.parts, 0
        for first, last in self.parts:
            while index < len(cuts) and cuts[index][1] < first:
                index += 1
            here = index
            while here < len(cuts) and cuts[here][0] <= last:
                if first < cuts[here][0]:
                    left.append((first, cuts[here][0] - 1))
                first = cuts[here][1] + 1  # noqa: PLW2901 what is left of the range
                here += 1
            if first <= last:
                left.append((first, last))
        return Ranges(tuple(left))

    def __and__(self, other: Ranges) -> Ranges:
        return self - (self - other)


@dataclass(frozen=True, slots=True)
class Addresses:
    """A set of IPv4 and IPv6 addresses."""

    four: Ranges = Ranges()
    six: Ranges = Ranges()

    @classmethod
    def of(cls, networks: Iterable[Network]) -> Addresses:
        """Return the addresses of these networks."""
        by_version: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for network in networks:
            ends = int(network.network_address), int(network.broadcast_address)
            by_version[network.version].append(ends)
        return cls(Ranges.of(by_version[4]), Ranges.of(by_version[6]))

    def have_world(self, version: Literal[4, 6]) -> bool:
        """Whether half of the internet of one IP version is among them, in however many parts."""
        if version == 4:
            return self.four.size >= _HALF_OF_IPV4
        return (self.six & _IPV6_INTERNET).size >= _HALF_OF_IPV6_INTERNET

    def __bool__(self) -> bool:
        return bool(self.four) or bool(self.six)

    def __or__(self, other: Addresses) -> Addresses:
        return Addresses(self.four | other.four, self.six | other.six)

    def __sub__(self, other: Addresses) -> Addresses:
        return Addresses(self.four - other.four, self.six - other.six)

    def __and__(self, other: Addresses) -> Addresses:
        return Addresses(self.four & other.four, self.six & other.six)


def addresses(*networks: str) -> Addresses:
    """Return the addresses of networks that are known to be well written."""
    return Addresses.of(map(ipaddress.ip_network, networks))


EVERYWHERE = addresses("0.0.0.0/0", "::/0")
PRIVATE = addresses("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
PUBLIC = addresses("0.0.0.0/0", "2000::/3") - addresses(*_NOT_PUBLIC)
_IPV6_INTERNET = addresses("2000::/3").six


@dataclass(frozen=True, slots=True)
class Term:
    """A rule of one protocol: ports, and the peers that it allows or denies."""

    allows: bool
    ports: Ranges
    addresses: Addresses = Addresses()
    names: frozenset[Name] = frozenset()


@dataclass(frozen=True, slots=True)
class Piece:
    """Ports, from first to last, that the same peers get to.

    Attributes:
        addresses: Those allowed, less those denied.
        names: Peers without a known address that are allowed, less those denied by that name.
        denied: Addresses that are denied, allowed or not.
        denied_names: Peers without a known address that are denied.
    """

    first: int
    last: int
    addresses: Addresses = Addresses()
    names: frozenset[Name] = frozenset()
    denied: Addresses = Addresses()
    denied_names: frozenset[Name] = frozenset()

    @property
    def size(self) -> int:
        """How many ports there are."""
        return self.last - self.first + 1

    def somebody(self, within: Addresses = EVERYWHERE, named_in: Addresses = EVERYWHERE) -> Match:
        """Whether a peer gets there; None: it cannot be told.

        Peers that are allowed by name are taken to be there. Those denied by name may take away
        any address that a named peer can have.

        Args:
            within: Only peers with an address of these.
            named_in: Where the addresses of named peers are.
        """
        there = self.addresses & within
        if there - named_in if self.denied_names else there:
            return True
        if self.names and not self.denied_names and not self.denied & named_in & within:
            return True
        if there or (self.names and (named_in & within) - self.denied):
            return None
        return False


def pieces(terms: Iterable[Term], first: int = FIRST_PORT, last: int = LAST_PORT) -> list[Piece]:
    """Cut the ports where a rule begins or ends; between the cuts all ports are alike.

    Returns:
        Pieces that cover all ports from first to last, in order.
    """
    known = list(terms)
    starts = {first}
    for term in known:
        for low, high in term.ports.parts:
            starts.update(port for port in (low, high + 1) if first < port <= last)
    ordered = sorted(starts)
    ends = [start - 1 for start in ordered[1:]] + [last]
    return [_piece(known, low, high) for low, high in zip(ordered, ends, strict=True)]


def _piece(terms: Iterable[Term], first: int, last: int) -> Piece:
    here = [term for term in terms if first in term.ports]
    allowed, allowed_names = _peers(term for term in here if term.allows)
    denied, denied_names = _peers(term for term in here if not term.allows)
    left, names = allowed - denied, allowed_names - denied_names
    return Piece(first, last, left, names, denied, denied_names)


def _peers(terms: Iterable[Term]) -> tuple[Addresses, frozenset[Name]]:
    known = list(terms)
    four = Ranges.of(part for term in known for part in term.addresses.four.parts)
    six = Ranges.of(part for term in known for part in term.addresses.six.parts)
    return Addresses(four, six), frozenset(name for term in known for name in term.names)
