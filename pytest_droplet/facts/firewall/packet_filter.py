"""What a packet filter does with a new connection from anywhere: the rules of nft and iptables.

The question is asked of the first packet of a connection, from any address of the internet. It
is *generic*, to a port that nobody has a rule for, or to one given port. A condition that all
such packets meet holds, one that few meet does not: for the generic packet ``tcp dport 22`` does
not, ``tcp dport 1-65535`` does. Of a condition that some packets meet and others do not, such as
a rate, neither is said: what it accepts gets in, what it drops does not close a port.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from pytest_droplet.facts.host.interfaces import Network
from pytest_droplet.model import NotObservedError
from pytest_droplet.text import one_line

Match: TypeAlias = bool | None
"""Whether something is so; None: it cannot be told."""

Condition: TypeAlias = Match | Literal["some", "seldom"]
"""Whether the packet meets a condition; None: it cannot be told.

``some`` such packets meet it, and the first of a quiet client does (a rate that is not used up);
``seldom``: the first does not (a rate that is exceeded).
"""

Place: TypeAlias = Literal[
    "ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"
]
OUTWARD: frozenset[Place] = frozenset({"output", "postrouting", "egress"})
"""Where packets pass that the host itself sends."""

_BROAD_PORTS = 60_000
_LAST_PORT = 65_535
_CHOSEN_PORTS = (32_768, 60_999)
_TRACKED_AT = -200
USUAL_LENGTHS = (28, 100)
USUAL_HOPS = (40, 64)
USUAL_SEGMENTS = (1220, 1460)
MOST = 65_535
"""What first packets have: bytes, hops left, bytes of a segment; and the most that any can."""

ALL_BITS = 0xFFFF_FFFF
_ALL_OF_IPV4 = ipaddress.IPv4Network("0.0.0.0/0")
_HALF_OF_IPV4 = 2**31
_NO_INTERNET = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
    )
)
_IPV4_IN_USE = tuple(
    each
    for each in _ALL_OF_IPV4.subnets(new_prefix=8)
    if not any(each.subnet_of(n) for n in _NO_INTERNET)
)
MOST_LARGE = 12
_LARGE = {4: 8, 6: MOST_LARGE}
_FEWEST_JOINED = 2
_MOST_JOINED = 300
_IPV6_INTERNET = ipaddress.IPv6Network("2000::/3")
_IPV6_IN_USE = tuple(
    ipaddress.IPv6Network(f"{first}::/12")
    for first in ("2400", "2410", "2600", "2630", "2800", "2a00", "2a10", "2c00")
)
"""The blocks that the regional registries give addresses from, by IANA's list."""

_LITTLE_OF_IPV6 = sum(network.num_addresses for network in _IPV6_IN_USE) // 2

_DEPTH = 64
_HERE: frozenset[str] = frozenset()
_ANY_STATE = frozenset({"new", "untracked", "invalid"})
_UNEXPECTED = (
    *(NotObservedError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
)
_FOREIGN = re.compile(
    r"f2b-|fail2ban|crowdsec|sshguard|docker|kube-|cali-|cilium|libvirt|lxd|incus|netavark|cni-"
    r"|wg-quick-|ts-",
    re.IGNORECASE,
)


def is_world(networks: Iterable[Network]) -> Condition:
    """Whether a source on the internet is among networks, in however many parts they are given.

    Half of IPv4, or of what IPv6 has in use, is ``some`` of the internet.
    """
    known = tuple(networks)
    four = [n for n in known if isinstance(n, ipaddress.IPv4Network)]
    six = [n for n in known if isinstance(n, ipaddress.IPv6Network)]
    many = sum(n.num_addresses for n in six) >= _LITTLE_OF_IPV6
    if not many and sum(n.num_addresses for n in four) < _HALF_OF_IPV4:
        return False
    if list(ipaddress.collapse_addresses([*four, *_NO_INTERNET])) == [_ALL_OF_IPV4]:
        return True
    if any(_IPV6_INTERNET.subnet_of(n) for n in ipaddress.collapse_addresses(six)):
        return True
    much = (
        shared_addresses([_ALL_OF_IPV4], four) >= _HALF_OF_IPV4,
        2 * shared_addresses(_IPV6_IN_USE, six) >= sum(n.num_addresses for n in _IPV6_IN_USE),
    )
    return "some" if any(much) else False


def shared_addresses(wanted: Iterable[Network], given: Iterable[Network]) -> int:
    """Return how many addresses of separate networks are among others; all are of one version."""
    asked = tuple(wanted)
    near = [n for n in given if any(own.overlaps(n) for own in asked)]
    known = list(ipaddress.collapse_addresses(near))  # type: ignore[type-var]
    return sum(
        min(own.num_addresses, n.num_addresses) for own in asked for n in known if own.overlaps(n)
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """What rules do to packets before others read them.

    Attributes:
        mark: The bits that a rule may set in the packet's mark, which is 0 at first.
        connection_mark: The same of the connection's mark.
        copied: Whether one mark is copied to the other.
        untracked: Whether the connection of a packet may be left untracked.
        packet: Whether a packet's addresses, ports or whereabouts may be others afterwards.
    """

    mark: int = 0
    connection_mark: int = 0
    copied: bool = False
    untracked: bool = False
    packet: bool = False

    def __or__(self, other: Changes) -> Changes:
        copied = self.copied or other.copied
        mark = self.mark | other.mark
        connection_mark = self.connection_mark | other.connection_mark
        if copied:
            mark = connection_mark = mark | connection_mark
        return Changes(
            mark,
            connection_mark,
            copied,
            self.untracked or other.untracked,
            self.packet or other.packet,
        )


ANY_CHANGE = Changes(ALL_BITS, ALL_BITS, copied=True, untracked=True)
"""What a statement that is not known may do."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection: where it comes in, its family and protocol.

    Attributes:
        interfaces: Where it comes in, one of these; empty: the host itself sends it.
        addresses: Whom it is for: one of these.
        port: Its port; None: any that no rule is for.
        source: Whether it comes from these networks, told by them together.
        out: Where it goes out again, one of these; empty: it is for the host itself.
        sent_to: What it was for before its destination was translated, None where it was not.
        states: The states of its connection, one of these: ``invalid`` where none is looked up.
        changes: What rules may have done to it.
    """

    interfaces: frozenset[str]
    version: Literal[4, 6]
    protocol: Literal["tcp", "udp"]
    addresses: frozenset[str] = frozenset()
    port: int | None = None
    source: Callable[[Iterable[Network]], Condition] = is_world
    out: frozenset[str] = frozenset()
    sent_to: Packet | None = None
    states: frozenset[str] = frozenset({"new"})
    changes: Changes = Changes()

    def to(self, first: int, last: int) -> Condition:
        """Whether its port is one of these; a generic packet's may be any port."""
        return of_all_ports(first, last) if self.port is None else first <= self.port <= last

    def is_in_state(self, state: str) -> Match:
        """Whether its connection is in this state: ``new``, ``untracked``, ``invalid``, ..."""
        return (len(self.states) == 1 or None) if state in self.states else False

    def comes_from(self, first: int, last: int) -> Condition:
        """Whether it comes from one of these ports: who sends it from elsewhere may choose one.

        The host's own packets come from ports that its kernel chooses.
        """
        if first <= 1 and last >= _LAST_PORT:
            return True
        if first > last:
            return False
        usual = first <= _CHOSEN_PORTS[0] and last >= _CHOSEN_PORTS[1]
        return "some" if usual or not self.is_own else "seldom"

    @property
    def is_own(self) -> bool:
        """Whether the host itself sends it."""
        return not self.interfaces

    @property
    def is_tracked(self) -> Match:
        """Whether the kernel knows a connection of it."""
        return True if self.states == {"new"} else None if "new" in self.states else False

    @property
    def has_new_destination(self) -> Match:
        """Whether NAT changed what it is for: the kernel says so only of another one."""
        if self.sent_to is None:
            return False
        changed = self.port != self.sent_to.port or self.out
        return True if changed or self.addresses.isdisjoint(self.sent_to.addresses) else None


@dataclass(frozen=True, slots=True)
class Action:
    """What a rule does; ``target`` is the chain of a jump or goto.

    ``translate`` gives the packet another destination: ``target`` is :attr:`Destination.text`.
    ``pass`` goes on with the next rule; ``unknown`` may do anything.
    """

    kind: Literal["accept", "drop", "jump", "goto", "return", "pass", "translate", "unknown"]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a packet is sent on; address None: the host itself; port None: as it was."""

    address: str | None = None
    port: int | None = None

    @property
    def text(self) -> str:
        """The form that an outcome has: ``to ADDRESS PORT``, ``-`` for None."""
        return f"to {self.address or '-'} {self.port or '-'}"

    @classmethod
    def of(cls, outcome: str) -> Destination | None:
        """Return the destination that an outcome tells; None: it tells another."""
        word, _, rest = outcome.partition(" ")
        address, _, port = rest.partition(" ")
        if word != "to":
            return None
        return cls(None if address == "-" else address, None if port == "-" else int(port))


Step: TypeAlias = tuple[Condition, Action]


def _never(_: Packet) -> Condition:
    return False


def _no_text() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a chain.

    Attributes:
        steps: For a packet, whether it applies and what it does (a map may do several things).
        text: The rule as people read it, for a message.
        changes: What it may do to packets that others read.
        reaches: Whether a packet gets as far as these changes, once it meets the rule.
    """

    steps: Callable[[Packet], Iterable[Step]]
    text: Callable[[], str] = _no_text
    changes: Changes = Changes()
    reaches: Callable[[Packet], Condition] = _never


@dataclass(frozen=True, slots=True)
class Hook:
    """A chain that the kernel itself sends packets through.

    Attributes:
        policy: What becomes of a packet that reaches its end.
        filters: How many of its rules decide over packets; those left out that go to chains of
            other programs (:func:`is_foreign`).
        place: Which packets: all that arrive, those for the host, those that go on, its own.
        translates: Whether it gives packets other destinations (type ``nat``).
        priority: Its place among others: destinations are translated at -100.
        ports: The ranges of ports that rules of a translating chain's table name.
        doubt: Why it may not filter at all; empty: it does.
        changing: The rules of its table, or of all tables, that change packets.
        sources: The large networks that its table's rules ask of a source.
        native: Whether a rule of its table was written by nft, not by iptables on top of it.
    """

    label: str
    versions: frozenset[int]
    chain: str
    policy: Literal["accept", "drop"]
    chains: Mapping[str, Sequence[Rule]]
    filters: int = 0
    place: Place = "input"
    translates: bool = False
    priority: int = 0
    ports: frozenset[tuple[int, int]] = frozenset()
    doubt: str = ""
    changing: tuple[Rule, ...] = ()
    sources: frozenset[Network] = frozenset()
    native: bool = False

    @property
    def is_outward(self) -> bool:
        """Whether packets pass it that the host itself sends."""
        return self.place in OUTWARD

    @property
    def is_filter(self) -> bool:
        """Whether somebody made a firewall of it."""
        return self.policy == "drop" or self.filters > 0

    def outcomes(self, packet: Packet) -> frozenset[str]:
        """Return what may become of the packet, several things if it cannot be told.

        ``accept``, ``drop``, or the text of a :class:`Destination`.
        """
        changes = self._changes_of(packet)
        if changes.packet:
            return frozenset({"accept", "drop"})
        states = self._states(untracked=changes.untracked)
        found = self._walk(packet, changes).through(self.chain, 0)
        ends: set[str] = {self.policy} if "end" in found else set()
        if self.doubt or (self.translates and "untracked" in states):
            ends.add("accept")
        return frozenset((found - {"end"}) | ends)

    def why_not_told(self, packet: Packet) -> str:
        """Return the reason why several things may become of the packet: a rule, if one decides."""
        if self.doubt:
            return self.doubt
        text = ""
        changes = self._changes_of(packet)
        with suppress(*_UNEXPECTED):
            walk = self._walk(packet, changes)
            walk.through(self.chain, 0)
            text = next((rule.text() for rule in walk.untold), "")
        if changes.packet:
            text = next((rule.text() for rule in self.changing if rule.changes.packet), "")
        named = f", by its rule {one_line(text, 120)}" if text else ""
        return f"what {self.label} does cannot be told{named}"

    def _walk(self, packet: Packet, changes: Changes) -> _Walk:
        states = self._states(untracked=changes.untracked)
        return _Walk(self.chains, replace(packet, states=states, changes=changes))

    def _changes_of(self, packet: Packet) -> Changes:
        """Return what rules may have done to the packet: those that it may meet."""
        if not self.changing:
            return Changes()
        most = Changes()
        for rule in self.changing:
            most |= rule.changes
        forms = {replace(form, out=out) for form in _forms(packet) for out in (packet.out, _HERE)}
        forms = {replace(form, states=_ANY_STATE, changes=most) for form in forms}
        found = Changes()
        for rule in self.changing:
            if any(_may_reach(rule, form) for form in forms):
                found |= rule.changes
        return found

    def _states(self, *, untracked: bool) -> frozenset[str]:
        """Return in which states a first packet may be here: connections are looked up late."""
        first = self.place in {"prerouting", "output"}
        early = self.place == "ingress" or (first and self.priority <= _TRACKED_AT)
        states = {"invalid"} if early else {"new"}
        if early and first and self.priority == _TRACKED_AT:
            states.add("new")
        return frozenset(states | ({"untracked"} if untracked else set()))


def _forms(packet: Packet) -> list[Packet]:
    """Return the packet as it is and as it was before its destination was translated."""
    return [packet, packet.sent_to] if packet.sent_to is not None else [packet]


def _may_reach(rule: Rule, packet: Packet) -> bool:
    try:
        return rule.reaches(packet) is not False
    except _UNEXPECTED:
        return True


class _Walk:
    """The ways of one packet through the chains; each chain is walked once."""

    def __init__(self, chains: Mapping[str, Sequence[Rule]], packet: Packet) -> None:
        self._chains = chains
        self._packet = packet
        self._known: dict[str, frozenset[str]] = {}
        self.untold: list[Rule] = []

    def through(self, name: str, depth: int) -> frozenset[str]:
        if name not in self._known:
            if depth > _DEPTH or name not in self._chains:
                raise NotObservedError(f"the chain {name} cannot be followed")
            self._known[name] = self._walk(self._chains[name], depth)
        return self._known[name]

    def _walk(self, rules: Sequence[Rule], depth: int) -> frozenset[str]:
        """Follow rules; what drops some packets closes nothing, what accepts some lets in.

        Behind a rule that some packets leave the chain by, nothing drops them here any more.
        """
        found: set[str] = set()
        spared = False
        for rule in rules:
            for matches, action in rule.steps(self._packet):
                if matches is False:
                    continue
                outcomes, goes_on = self._do(action, depth)
                doubtful = matches is None or (matches == "seldom" and "accept" in outcomes)
                if (doubtful and outcomes) or action.kind == "unknown":
                    self.untold.append(rule)
                if isinstance(matches, str):
                    goes_on = goes_on or matches == "seldom" or outcomes != {"accept"}
                    spared |= matches == "some" and action.kind == "return"
                if spared or isinstance(matches, str):
                    outcomes.discard("drop")
                found |= outcomes
                if matches and not goes_on:
                    return frozenset(found)
        return frozenset(found | {"end"})

    def _do(self, action: Action, depth: int) -> tuple[set[str], bool]:
        """Return what may come of it, and whether the next rule may be reached."""
        if action.kind == "accept":
            return {"accept"}, False
        if action.kind == "drop":
            return {"drop"}, False
        if action.kind == "return":
            return {"end"}, False
        if action.kind == "pass":
            return set(), True
        if action.kind == "translate":
            return {action.target}, False
        if action.kind == "unknown":
            return {"accept", "drop"}, True
        inside = set(self.through(action.target, depth + 1))
        if action.kind == "goto":
            return inside, False
        return inside - {"end"}, "end" in inside


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some of the internet: its addresses, and its share of them all."""

    networks: tuple[Network, ...]
    share: float

    def source(self, networks: Iterable[Network]) -> Condition:
        """Whether these are among networks; at least half of them are ``some``."""
        version = self.networks[0].version
        given = [n for n in networks if n.version == version]
        shared = shared_addresses(self.networks, given)
        whole = sum(n.num_addresses for n in self.networks)
        return True if shared == whole else "some" if 2 * shared >= whole else False


def parts_of_internet(hooks: Iterable[Hook], version: Literal[4, 6]) -> list[Part]:
    """Return the internet in parts that rules tell apart by large networks; none: as a whole.

    Rules that are for parts of it may together be for all of it.
    """
    asked = {n for h in hooks for n in h.sources if n.version == version and n.prefixlen}
    world = _IPV4_IN_USE if version == 4 else _IPV6_IN_USE
    large = [n for n in asked if any(n.overlaps(each) for each in world)]
    if len(large) < _FEWEST_JOINED or len(large) > _MOST_JOINED:
        return []
    pieces: dict[frozenset[Network], list[Network]] = {}
    for network in world:
        for piece in _cut(network, large):
            inside = frozenset(n for n in large if piece.subnet_of(n))  # type: ignore[arg-type]
            pieces.setdefault(inside, []).append(piece)
    whole = sum(network.num_addresses for network in world)
    return [
        Part(tuple(found), sum(n.num_addresses for n in found) / whole)
        for found in pieces.values()
    ]


def _cut(network: Network, by: Iterable[Network]) -> list[Network]:
    """Return a network in pieces none of which a smaller one of ``by`` divides."""
    smaller = [n for n in by if n.prefixlen > network.prefixlen and n.overlaps(network)]
    if not smaller:
        return [network]
    return [piece for half in network.subnets() for piece in _cut(half, smaller)]


def is_large(network: Network) -> bool:
    """Whether a few hundred of such networks are all of the internet."""
    return network.prefixlen <= _LARGE[network.version]


def outcomes_of(hook: Hook, packet: Packet) -> frozenset[str]:
    """Return what may become of a packet; what cannot be followed may be either."""
    try:
        return frozenset(hook.outcomes(packet))
    except _UNEXPECTED:
        return frozenset({"accept", "drop"})


def share_changes(hooks: Iterable[Hook]) -> tuple[Hook, ...]:
    """Return chains that know which rules of all their tables change packets.

    Those that come in and those that the host sends do not meet each other's tables.
    """
    known = tuple(hooks)
    changing: dict[bool, dict[int, Rule]] = {True: {}, False: {}}
    for hook in known:
        changing[hook.is_outward].update({id(rule): rule for rule in hook.changing})
    return tuple(
        replace(hook, changing=tuple(changing[hook.is_outward].values())) for hook in known
    )


def inward(hooks: Iterable[Hook]) -> tuple[Hook, ...]:
    """Return the chains that packets pass which come in."""
    return tuple(hook for hook in hooks if not hook.is_outward)


def is_foreign(name: str) -> bool:
    """Whether a table or chain belongs to a program that is no firewall of the host."""
    return _FOREIGN.match(name) is not None


def both(*matches: Condition) -> Condition:
    """Return whether all conditions are met."""
    if False in matches:
        return False
    if "seldom" in matches or ("some" in matches and None in matches):
        return "seldom"
    return None if None in matches else "some" if "some" in matches else True


def any_of(matches: Iterable[Condition]) -> Condition:
    """Return whether one of the conditions is met."""
    known = list(matches)
    choices: tuple[Condition, ...] = (True, None, "some", "seldom")
    return next((match for match in choices if match in known), False)


def negated(match: Condition, *, by: bool = True) -> Condition:
    """Return the opposite, where ``by`` says so."""
    if match is None or not by:
        return match
    if isinstance(match, str):
        return "seldom" if match == "some" else "some"
    return not match


def is_broad(first: int, last: int) -> bool:
    """Whether a range of ports is about all of them."""
    return last - first + 1 >= _BROAD_PORTS


def of_all_ports(first: int, last: int) -> Condition:
    """Whether any port is in a range: in one that has about all of them ``some`` are."""
    if first <= 1 and last >= _LAST_PORT:
        return True
    return "some" if is_broad(first, last) else False


def is_usual(usual: tuple[int, int], first: int, last: int) -> Condition:
    """Whether a number that the sender chooses is in a range: what is usual is let in."""
    if first <= 0 and last >= MOST:
        return True
    return "some" if first <= usual[0] and usual[1] <= last else "seldom"


def has_mark(bits: int, first: int, last: int, mask: int = ALL_BITS) -> Match:
    """Whether a mark in which some bits may be set is in a range, under a mask."""
    if not bits & mask:
        return first == 0
    return False if first == last and first & ~(bits & mask) else None


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


def is_named(interfaces: Iterable[str], pattern: str, wildcard: str) -> Match:
    """Whether interfaces have this name; a trailing wildcard stands for the rest; none has it."""
    if pattern.endswith(wildcard):
        known = {name.startswith(pattern.removesuffix(wildcard)) for name in interfaces}
    else:
        known = {name == pattern for name in interfaces}
    if len(known) > 1:
        return None
    return True in known


def goes_out(packet: Packet, pattern: str, wildcard: str) -> Match:
    """Whether the packet goes out by this interface; one for the host itself does not."""
    return is_named(packet.out, pattern, wildcard) if packet.out else False


def for_addresses(packet: Packet, networks: Iterable[Network]) -> Match:
    """Whether the packet's own addresses, which it is for, are among the networks."""
    wanted = tuple(networks)
    known = {
        any(address in network for network in wanted if network.version == address.version)
        for address in map(ipaddress.ip_address, packet.addresses)
        if address.version == packet.version
    }
    return known.pop() if len(known) == 1 else None
