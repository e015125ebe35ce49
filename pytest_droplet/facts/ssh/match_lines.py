"""Match lines of sshd_config: what they tell apart, and what of it sshd was not asked for.

The host's script asks sshd for connections that it makes from the Match lines. Here this is held
against the lines: whatever they tell apart must have been asked for, or it is named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import combinations

from pytest_droplet.text import one_line

_WITHOUT_VALUE = frozenset({"all", "invalid-user"})
_EVALUATED = _WITHOUT_VALUE | {"user", "group", "host", "address", "localaddress", "localport"}
_WORDS = re.compile(r'"([^"]*)"|([^\s="]+)')
# "10.1.*" is a range; so are all addresses, and all of a family.
_PREFIX = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,2})(?:\.\*)+")
_ALL = {"*": "0.0.0.0/0 ::/0", "*.*": "0.0.0.0/0", "*.*.*.*": "0.0.0.0/0", "*:*": "::/0"}
_NAME = "x"


@dataclass(frozen=True, slots=True)
class Criterion:
    """What a Match line asks for: a keyword and a pattern, without a sign that negates it."""

    keyword: str
    pattern: str
    place: str

    def __str__(self) -> str:
        return one_line(f"Match {self.keyword} {self.pattern}", 80) + f" ({self.place})"


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from the first to the last, as numbers, of IP version 4 or 6; who asks for them."""

    version: int
    first: int
    last: int
    criterion: Criterion

    def distance(self, number: int) -> int:
        """Return how far a number is from where the range begins or has ended."""
        return min(abs(number - self.first), abs(number - self.last - 1))


def words(text: str) -> list[str]:
    """Return the words of a line as sshd splits it: quotes hold blanks, ``=`` is one."""
    return [quoted or plain for quoted, plain in _WORDS.findall(text)]


def criteria_in(text: str, place: str) -> Iterator[Criterion]:
    """Yield what a line asks for; nothing where it is no Match line.

    Args:
        text: A line of sshd_config.
        place: Where it stands, for people.
    """
    first, *rest = words(text) or [""]
    if first.lower() != "match":
        return
    left = iter(rest)
    for word in left:
        if word.startswith("#"):
            return
        keyword = word.lower()
        patterns = "" if keyword in _WITHOUT_VALUE else next(left, "")
        for pattern in patterns.split(","):
            yield Criterion(keyword, pattern.removeprefix("!"), place)


def fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern of sshd, in which ``*`` and ``?`` are special."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def not_asked_for(
    criteria: Iterable[Criterion],
    *,
    users: Collection[str],
    addresses: Collection[str],
    hosts: Collection[str],
    ports: Collection[str],
    looks_up: bool,
) -> Iterator[str]:
    """Yield what the criteria tell apart and no connection was asked for, with its place.

    Args:
        criteria: Those of all Match lines.
        users: The users that sshd was asked for.
        addresses: Those of the clients.
        hosts: The names of the clients.
        ports: Its own ports.
        looks_up: Whether sshd looks up the names of hosts; else their addresses are the names.
    """
    asked = {"user": users, "localport": ports}
    of_clients: list[Criterion] = []
    names: list[Criterion] = []
    for one in criteria:
        if one.keyword not in _EVALUATED:
            yield f"{one} was not evaluated"
        elif one.keyword in {"user", "group"} and re.search(r"[\[\]\\,\s]", one.pattern):
            yield f"{one} has signs that cannot be asked for"
        elif one.keyword in asked and _witness(one.pattern) not in asked[one.keyword]:
            yield f"{one} was not asked for"
        elif one.keyword == "address" or (one.keyword == "host" and _is_number(one.pattern)):
            of_clients.append(one)
        elif one.keyword == "host" and looks_up:
            names.append(one)
        elif one.keyword == "host" and not re.search(r"[g-zG-Z_-]", one.pattern):
            yield f"{one} cannot be made into addresses"
    yield from _addresses_not_asked_for(of_clients, addresses)
    yield from _names_not_asked_for(names, hosts)


def _witness(pattern: str) -> str:
    return re.sub(r"[*?]", _NAME, pattern)


def _is_number(pattern: str) -> bool:
    return re.fullmatch(r"[0-9.*?]+|.*:.*|\*", pattern) is not None


def _addresses_not_asked_for(
    criteria: Iterable[Criterion], addresses: Collection[str]
) -> Iterator[str]:
    ranges: list[Range] = []
    for one in criteria:
        found = _ranges(one)
        if not found:
            yield f"{one} cannot be made into addresses"
        ranges += found
    if ranges:
        asked = {_of(ip_address(a)) for a in addresses if _is_address(a)}
        for version, bits in ((4, 32), (6, 128)):
            own = [r for r in ranges if r.version == version]
            tried = {_within(own, number) for found, number in asked if found == version}
            starts = {0, *(r.first for r in own), *(r.last + 1 for r in own)} - {1 << bits}
            for start in sorted(starts):
                if _within(own, start) not in tried:
                    told = IPv4Address(start) if version == 4 else IPv6Address(start)
                    nearest = min(own or ranges, key=lambda r: r.distance(start))
                    yield f"{nearest.criterion} tells {told} apart, which was not asked for"
                    break


def _within(ranges: Iterable[Range], number: int) -> tuple[bool, ...]:
    return tuple(r.first <= number <= r.last for r in ranges)


def _of(address: IPv4Address | IPv6Address) -> tuple[int, int]:
    return address.version, int(address)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _ranges(criterion: Criterion) -> list[Range]:
    """Return the addresses that a pattern of ``Match Address`` fits; none: it is not understood."""
    pattern = criterion.pattern
    prefix = _PREFIX.fullmatch(pattern)
    if prefix:
        octets = prefix[1].split(".")
        pattern = ".".join([*octets, "0", "0", "0"][:4]) + f"/{8 * len(octets)}"
    found = []
    for text in _ALL.get(pattern, pattern).split():
        try:
            network = ip_network(text)
        except ValueError:
            return []
        first, last = int(network.network_address), int(network.broadcast_address)
        found.append(Range(network.version, first, last, criterion))
    return found


def _names_not_asked_for(criteria: Iterable[Criterion], hosts: Collection[str]) -> Iterator[str]:
    patterns = {one.pattern.lower(): one for one in criteria}
    for pattern, one in patterns.items():
        if _witness(pattern) not in {host.lower() for host in hosts}:
            yield f"{one} was not asked for"
    for a, b in combinations((p for p in patterns if re.search(r"[*?]", p)), 2):
        if not (_is_part(a, b) or _is_part(b, a) or _exclude(a, b)):
            yield f"{patterns[a]} and {patterns[b]} may fit one name, which was not asked for"


def _is_part(one: str, other: str) -> bool:
    return fits(_witness(one), other)


def _exclude(one: str, other: str) -> bool:
    """Whether no name fits both patterns, by what stands before and behind their stars."""
    parts = [re.split(r"[*?]", pattern) for pattern in (one, other)]
    short_head, head = sorted((part[0] for part in parts), key=len)
    short_tail, tail = sorted((part[-1] for part in parts), key=len)
    return not (head.startswith(short_head) and tail.endswith(short_tail))
