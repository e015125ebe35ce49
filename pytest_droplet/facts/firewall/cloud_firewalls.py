"""Cloud Firewalls of a Droplet, by the API: which are attached, and what they let in and out.

Allow rules of all attached firewalls are added to one another; a deny rule of any of them wins. A
word or field of a firewall that is not known here may turn what all the others mean: nothing is
said of what its rules let through then.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal

from pytest_droplet.api.inventory import WiderInventory
from pytest_droplet.api.lists import is_settling
from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.firewall.firewall_managers import FirewallManager
from pytest_droplet.facts.firewall.host_firewall import HostFirewall
from pytest_droplet.facts.firewall.packet_filter import Match
from pytest_droplet.facts.firewall.reach import (
    EVERYWHERE,
    FIRST_PORT,
    LAST_PORT,
    PRIVATE,
    PUBLIC,
    Addresses,
    Piece,
    Ranges,
    Term,
    pieces,
)
from pytest_droplet.facts.host.interfaces import Network
from pytest_droplet.model import Droplet, Firewall, Item, NotObservedError, Reading, Rule
from pytest_droplet.settings import Settings
from pytest_droplet.text import one_line

ABOUT_ALL_PORTS = 60_000
_ALL_PORTS = frozenset({"0", "all"})
_EVERY_PORT = Ranges(((FIRST_PORT, LAST_PORT),))
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_PROTOCOLS = ("tcp", "udp", "icmp")
_VERSIONS: tuple[Literal[4, 6], ...] = (4, 6)
_ACTIONS = frozenset({"allow", "deny"})
_STATUSES = frozenset({"waiting", "succeeded", "failed"})
_UNKNOWN_WORD = "a word that this version of pytest-droplet does not know"
_SHARED_POLICIES = 512  # Droplets of a fleet share few sets of firewalls

Direction = Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A Cloud Firewall that is attached to the Droplet, and by what."""

    firewall: Firewall
    by: str

    @property
    def details(self) -> Item:
        """The firewall's id and name."""
        return {"id": self.firewall.id, "name": self.firewall.name}

    def __str__(self) -> str:
        return f"{self.firewall.name} ({self.firewall.id}, {self.by})"


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """An inbound rule with its firewall."""

    firewall: Firewall
    rule: Rule

    @property
    def details(self) -> Item:
        """The firewall's id and name, and the rule in the API's words."""
        rule = self.rule
        return {
            "id": self.firewall.id,
            "name": self.firewall.name,
            "rule": {
                "action": rule.action,
                "protocol": rule.protocol,
                "ports": rule.ports,
                "addresses": list(rule.addresses),
                "tags": list(rule.tags),
            },
        }

    def __str__(self) -> str:
        return rule_text(self.firewall, self.rule)


@dataclass(frozen=True, slots=True)
class Policy:
    """What some firewalls do together in one direction.

    ``pieces`` cut the ports of each protocol where a rule begins or ends; ``world`` are the ports,
    by protocol and version of IP, that the internet gets to. ``doubt`` is what of the firewalls is
    not understood, empty where all is: nothing else is known where it is not.
    """

    pieces: Mapping[str, Sequence[Piece]] = field(default_factory=dict)
    world: Mapping[tuple[str, Literal[4, 6]], Ranges] = field(default_factory=dict)
    doubt: str = ""


@dataclass(frozen=True)
class CloudFirewalls:
    """The Cloud Firewalls of a Droplet: what one allows is open, unless another denies it.

    ``leaving`` are those that are being taken off it: they do not count. ``complete`` tells
    whether there can be no others. ``account`` are all Droplets that a rule may name, None where
    they are not known.

    Each question raises NotObservedError where the answer cannot be told: there may be other
    firewalls, or a rule is not understood.
    """

    attached: tuple[Attachment, ...]
    leaving: tuple[Firewall, ...] = ()
    complete: bool = True
    account: tuple[Droplet, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def outbound(self) -> tuple[tuple[Firewall, Rule], ...]:
        """Every outbound rule with its firewall."""
        return tuple((a.firewall, rule) for a in self.attached for rule in a.firewall.outbound)

    @property
    def inbound(self) -> tuple[tuple[Firewall, Rule], ...]:
        """Every inbound rule with its firewall."""
        return tuple((a.firewall, rule) for a in self.attached for rule in a.firewall.inbound)

    def need_all(self) -> None:
        """Raise where there may be others (NotObservedError)."""
        if not self.complete:
            raise NotObservedError(
                "GET /v2/droplets/{id}/firewalls: not answered, and whether others are attached"
                " cannot be told from GET /v2/firewalls: the token does not see tags, or a firewall"
                " has fields that are not known"
            )

    def open_to_the_world(
        self,
        protocol: str,
        port: int | None = None,
        versions: tuple[Literal[4, 6], ...] = _VERSIONS,
    ) -> list[FirewallRule]:
        """Return the rules that together let the internet in to a port.

        Args:
            protocol: ``tcp`` or ``udp``.
            port: None: to about all ports, in however many rules.
            versions: Of IP; one of them is enough.
        """
        known = self._policy("inbound").world
        world = [known[protocol, version] for version in versions]
        if port is not None:
            ports = Ranges(((port, port),))
            if not any(port in of_version for of_version in world):
                return []
        else:
            ports = Ranges.of(part for of_version in world for part in of_version.parts)
            if ports.size < ABOUT_ALL_PORTS:
                return []
        return [r for r in self._rules("allow", protocol, ports) if r.rule.addresses]

    def open_to(self, protocol: str, port: int, networks: tuple[Network, ...]) -> list[str]:
        """Return the rules that let somebody of these private networks in to a port.

        Droplets, load balancers and clusters that a rule names are taken to be there.
        """
        within = Addresses.of(networks)
        somebody = self._piece("inbound", protocol, port).somebody(within, self._named_in)
        if not self._told(somebody, f"who reaches {protocol} {port} from the VPC"):
            return []
        return [
            str(found)
            for found in self._rules("allow", protocol, Ranges(((port, port),)))
            if _names(found.rule) or _addresses(found.rule) & within
        ]

    def lets_somebody_in(self, protocol: str, port: int) -> bool:
        """Whether an inbound rule lets anybody in to the port, whoever it is."""
        somebody = self._piece("inbound", protocol, port).somebody(named_in=self._named_in)
        return self._told(somebody, f"whether anybody reaches {protocol} {port}")

    def lets_anything_in(self) -> bool:
        """Whether the inbound rules let anybody in to any port, or by ICMP."""
        pieces_in = self._policy("inbound").pieces
        found = [
            piece.somebody(named_in=self._named_in)
            for protocol in _PROTOCOLS
            for piece in pieces_in[protocol]
        ]
        somebody = True if True in found else None if None in found else False
        return self._told(somebody, "whether anybody gets in")

    def lets_out(self, protocol: str, port: int, *, public: bool = True) -> bool:
        """Whether the outbound rules let the Droplet reach the port of some address.

        Args:
            protocol: ``tcp`` or ``udp``.
            port: The port of the other side.
            public: An address of the internet, not of private networks alone.
        """
        piece = self._piece("outbound", protocol, port)
        if public:
            somebody = replace(piece, names=frozenset()).somebody(PUBLIC, self._named_in)
        else:
            somebody = piece.somebody(named_in=self._named_in)
        return self._told(somebody, f"whether the Droplet reaches {protocol} {port}")

    def reaches(self, protocol: str, address: str, port: int) -> Match:
        """Whether the outbound rules let the Droplet reach the port of an address.

        None where rules name peers by tag or id: whether one of them has the address is not asked.
        """
        piece = self._piece("outbound", protocol, port)
        target = Addresses.of([ipaddress.ip_network(address)])
        if piece.denied & target:
            return False
        if piece.addresses & target:
            return None if piece.denied_names else True
        return None if piece.names else False

    def denials(self, protocol: str, port: int) -> list[FirewallRule]:
        """Return the inbound rules that deny a port to some, whoever that is."""
        return list(self._rules("deny", protocol, Ranges(((port, port),))))

    def _rules(self, action: str, protocol: str, ports: Ranges) -> Iterator[FirewallRule]:
        """Yield the inbound rules for some of these ports."""
        for firewall, rule in self.inbound:
            if (rule.action, rule.protocol) == (action, protocol) and _ports(rule) & ports:
                yield FirewallRule(firewall, rule)

    def _piece(self, direction: Direction, protocol: str, port: int) -> Piece:
        known = self._policy(direction).pieces[protocol]
        return next((p for p in known if p.first <= port <= p.last), Piece(port, port))

    def _policy(self, direction: Direction) -> Policy:
        self.need_all()
        policy = self._policies[direction]
        if policy.doubt:
            raise NotObservedError(policy.doubt)
        return policy

    @cached_property
    def _policies(self) -> Mapping[Direction, Policy]:
        firewalls = tuple(a.firewall for a in self.attached)
        return {
            "inbound": policy_of(firewalls, "inbound"),
            "outbound": policy_of(firewalls, "outbound"),
        }

    @cached_property
    def _named_in(self) -> Addresses:
        """Where named peers have addresses; those of load balancers and clusters are not known."""
        rules = [rule for _, rule in (*self.inbound, *self.outbound)]
        if self.account is None or any(r.load_balancer_uids or r.kubernetes_ids for r in rules):
            return EVERYWHERE
        denies = any(rule.action == "deny" for rule in rules)
        return _addresses_of(_Identity(self.account)) if denies else EVERYWHERE

    def _told(self, match: Match, question: str) -> bool:
        if match is None:
            raise NotObservedError(
                f"{question} cannot be told: rules deny some, and the addresses of peers that rules"
                " name by tag or id are not known"
            )
        return match

    def __str__(self) -> str:
        if not self.attached:
            leaving = ", ".join(f.name for f in self.leaving)
            return one_line(f"none{f', {leaving} is being removed' if leaving else ''}")
        names = ", ".join(str(a) for a in self.attached)
        counts = [
            f"{len(rules)} {direction}{_denying(rules)}"
            for direction, rules in (("inbound", self.inbound), ("outbound", self.outbound))
        ]
        doubts = dict.fromkeys(p.doubt for p in self._policies.values() if p.doubt)
        return one_line("; ".join((f"{names}: {', '.join(counts)} rules", *doubts)), 390)


def _denying(rules: Iterable[tuple[Firewall, Rule]]) -> str:
    number = sum(rule.action == "deny" for _, rule in rules)
    return f" ({number} deny)" if number else ""


@dataclass(frozen=True, slots=True)
class Settling:
    """How far a Cloud Firewall of the Droplet has applied its changes.

    ``later`` is its state some time after the first reading, asked only where it was still
    applying changes then; its value is None where it is gone.
    """

    droplet_id: int
    firewall: Firewall
    later: Reading[Firewall | None]

    @property
    def trouble(self) -> str:
        """What is not applied; empty: everything is.

        Raises:
            NotObservedError: The status is none that the API promises, or was not read again.
        """
        if not (first := _unapplied(self.firewall, self.droplet_id)):
            return ""
        if self.firewall.status == "failed":
            return first
        later = self.later.get()
        return "" if later is None else _unapplied(later, self.droplet_id)

    @property
    def details(self) -> Item:
        """The firewall's id, name and status."""
        known = self.later.value or self.firewall
        return {"id": known.id, "name": known.name, "status": known.status}

    def __str__(self) -> str:
        then = self.later.value
        text = f"{self.firewall.name}: {_state(self.firewall, self.droplet_id)}"
        if then is None:
            return one_line(text)
        return one_line(
            f"{text}, {_state(then, self.droplet_id)} at {self.later.observed_at:%H:%M:%S} UTC"
        )


@dataclass(frozen=True, slots=True)
class CloudChanges:
    """The Cloud Firewalls of a Droplet, with what they have not applied."""

    firewalls: tuple[Settling, ...]

    def __str__(self) -> str:
        return one_line("; ".join(map(str, self.firewalls)) or "no Cloud Firewall", 390)


@dataclass(frozen=True, slots=True)
class StandIn:
    """Whether the host's own firewall is taken in place of a Cloud Firewall, and why (not).

    ``accepted`` is None where it cannot be told.
    """

    accepted: bool | None
    reason: str

    def __str__(self) -> str:
        return one_line(self.reason)


@fact(
    "accept_host_firewall of the settings; the host's own firewall",
    may_use=("droplet_host_firewall", "droplet_firewall_manager"),
)
def droplet_firewall_stand_in(
    droplet_settings: Settings,
    droplet_host_firewall: Reading[HostFirewall],
    droplet_firewall_manager: Reading[FirewallManager],
) -> StandIn:
    """Return whether the host's firewall stands in; the host is asked only where that may be."""
    if not droplet_settings.accept_host_firewall:
        return StandIn(accepted=False, reason="a host firewall is not accepted in its place")
    try:
        firewall, manager = droplet_host_firewall.get(), droplet_firewall_manager.get()
        denies = firewall.denies
    except NotObservedError as exc:
        return StandIn(accepted=None, reason=str(exc))
    accepted = bool(denies and manager.active and manager.enabled)
    return StandIn(accepted, f"the host's own firewall: {firewall}; {manager}")


def _items(firewalls: CloudFirewalls) -> list[Item]:
    """Return every rule of the attached firewalls, with its direction."""
    return [
        {**FirewallRule(firewall, rule).details, "direction": direction}
        for direction, rules in (("inbound", firewalls.inbound), ("outbound", firewalls.outbound))
        for firewall, rule in rules
    ]


@fact(
    "GET /v2/firewalls; GET /v2/droplets/{id}/firewalls",
    api=("firewalls",),
    items=_items,
)
def droplet_cloud_firewalls(observation: Observation) -> CloudFirewalls:
    """Return the Cloud Firewalls of the Droplet, attached directly or by a tag.

    Raises:
        NotObservedError: The account's list names none and the Droplet's own was not answered.
    """
    inventory, droplet = observation.inventory, observation.droplet
    found: dict[str, Attachment] = {}
    for firewall in inventory.firewalls.value or ():
        tags = sorted(set(firewall.tags) & set(droplet.tags))
        if droplet.id in firewall.droplet_ids:
            found[firewall.id] = Attachment(firewall, "directly")
        elif tags:
            found[firewall.id] = Attachment(firewall, f"by tag {tags[0]}")
    own = inventory.attached.get(droplet.id)
    for firewall in (own.value if own is not None else None) or ():
        found.setdefault(firewall.id, Attachment(firewall, "by the Droplet's own list"))
    asked = own is not None and own.missing is None
    if not found and not asked:
        inventory.firewalls.get()
        if own is not None:
            own.get()
        raise NotObservedError("GET /v2/droplets/{id}/firewalls: not asked")
    others = [f for f in inventory.firewalls.value or () if f.id not in found]
    listed = inventory.firewalls.missing is None and "tags" not in droplet.hidden
    listed = listed and not any(firewall.unclear for firewall in others)
    leaving = {i for i, a in found.items() if _is_leaving(a.firewall, droplet.id)}
    return CloudFirewalls(
        attached=tuple(a for i, a in found.items() if i not in leaving),
        leaving=tuple(found[i].firewall for i in found if i in leaving),
        complete=asked or listed,
        account=inventory.droplets,
    )


@fact(
    "GET /v2/firewalls: status and pending_changes, twice where changes wait",
    api=("firewalls_again",),
)
def droplet_cloud_changes(
    observation: Observation, droplet_cloud_firewalls: CloudFirewalls
) -> CloudChanges:
    """Return whether the Droplet's Cloud Firewalls have applied their changes."""
    inventory = observation.inventory
    firewalls = droplet_cloud_firewalls
    again = inventory.firewalls_again if isinstance(inventory, WiderInventory) else None
    if again is None:
        again = Reading("GET /v2/firewalls", inventory.read_at, missing="not read again")
    return CloudChanges(
        tuple(
            Settling(observation.droplet.id, firewall, _same(again, firewall.id))
            for firewall in (*(a.firewall for a in firewalls.attached), *firewalls.leaving)
        )
    )


def _same(again: Reading[tuple[Firewall, ...]], firewall_id: str) -> Reading[Firewall | None]:
    found = next((f for f in again.value or () if f.id == firewall_id), None)
    return Reading(again.source, again.observed_at, found, again.missing)


def _unapplied(firewall: Firewall, droplet_id: int) -> str:
    if firewall.status not in _STATUSES:
        raise NotObservedError(
            f"{one_line(firewall.name, 60)} has the status {one_line(firewall.status, 40)!r}"
        )
    if firewall.status == "failed" or is_settling(firewall, [droplet_id]):
        return one_line(f"{firewall.name} {_state(firewall, droplet_id)}")
    return ""


def _state(firewall: Firewall, droplet_id: int) -> str:
    pending = [c for c in firewall.pending if c.droplet_id == droplet_id]
    words = ["removing" if change.removing else "adding" for change in pending]
    text = f"has the status {firewall.status or 'absent'}"
    return f"{text}, {' and '.join(words)} pending for the Droplet" if words else text


def _is_leaving(firewall: Firewall, droplet_id: int) -> bool:
    return any(p.droplet_id == droplet_id and p.removing for p in firewall.pending)


@lru_cache(maxsize=_SHARED_POLICIES)
def policy_of(firewalls: tuple[Firewall, ...], direction: Direction) -> Policy:
    """Return what firewalls let through together."""
    doubts = [text for firewall in firewalls for text in _doubts(firewall, direction)]
    if doubts:
        more = f" and {len(doubts) - 2} more" if len(doubts) > 2 else ""
        return Policy(doubt=one_line("; ".join(doubts[:2]) + more))
    rules = [rule for f in firewalls for rule in _rules_of(f, direction)]
    cut = {p: pieces(_term(rule) for rule in rules if rule.protocol == p) for p in _PROTOCOLS}
    world = {
        (protocol, version): Ranges.of(
            (p.first, p.last) for p in of if p.addresses.have_world(version)
        )
        for protocol, of in cut.items()
        for version in _VERSIONS
    }
    return Policy(cut, world)


def _rules_of(firewall: Firewall, direction: Direction) -> tuple[Rule, ...]:
    return firewall.inbound if direction == "inbound" else firewall.outbound


def _doubts(firewall: Firewall, direction: Direction) -> Iterator[str]:
    """Yield what of a firewall is not understood, each with its name and the field."""
    name = f"Cloud Firewall {one_line(firewall.name, 60)}"
    for text in firewall.unclear:
        yield f"{name}: {text}"
    if firewall.status not in _STATUSES:
        yield f"{name}: status is {_shown(firewall.status)}, {_UNKNOWN_WORD}"
    for index, rule in enumerate(_rules_of(firewall, direction)):
        for text in _doubts_of_rule(rule, "sources" if direction == "inbound" else "destinations"):
            yield f"{name}: {direction}_rules[{index}].{text}"


def _doubts_of_rule(rule: Rule, peers: str) -> Iterator[str]:
    yield from rule.unclear
    if rule.unclear:
        return
    if rule.action not in _ACTIONS:
        yield f"action is {_shown(rule.action)}, {_UNKNOWN_WORD}"
    if rule.protocol not in _PROTOCOLS:
        yield f"protocol is {_shown(rule.protocol)}, {_UNKNOWN_WORD}"
    try:
        _ports(rule)
    except ValueError:
        yield f"ports is {_shown(rule.ports)}, which are no ports"
    try:
        _addresses(rule)
    except ValueError as exc:
        yield f"{peers}.addresses: {one_line(str(exc), 80)}"


def _shown(text: str) -> str:
    return repr(one_line(text, 40))


def _term(rule: Rule) -> Term:
    return Term(rule.action == "allow", _ports(rule), _addresses(rule), _names(rule))


def _ports(rule: Rule) -> Ranges:
    """Return the ports of a rule; ``0`` and ``all`` are every port (ValueError: it has none)."""
    if rule.protocol == "icmp" or rule.ports in _ALL_PORTS:
        return _EVERY_PORT
    matched = _PORTS.fullmatch(rule.ports)
    if matched is None:
        raise ValueError(rule.ports)
    first, last = int(matched[1]), int(matched[2] or matched[1])
    if not first <= last <= LAST_PORT or last < FIRST_PORT:
        raise ValueError(rule.ports)
    return Ranges(((max(first, FIRST_PORT), last),))


@lru_cache(maxsize=_SHARED_POLICIES)
def _addresses(rule: Rule) -> Addresses:
    """Return the addresses of a rule's peers (ValueError: one is no address)."""
    return Addresses.of(ipaddress.ip_network(text, strict=False) for text in rule.addresses)


def _names(rule: Rule) -> frozenset[tuple[str, str]]:
    """Return the peers of a rule that it does not name by address."""
    kinds = {
        "tag": rule.tags,
        "Droplet": rule.droplet_ids,
        "load balancer": rule.load_balancer_uids,
        "cluster": rule.kubernetes_ids,
    }
    return frozenset((kind, str(name)) for kind, names in kinds.items() for name in names)


@dataclass(frozen=True, eq=False)
class _Identity:
    """The Droplets of an account, compared as one object: hashing thousands takes too long."""

    droplets: tuple[Droplet, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.droplets is other.droplets

    def __hash__(self) -> int:
        return id(self.droplets)


@lru_cache(maxsize=4)
def _addresses_of(account: _Identity) -> Addresses:
    """Return where Droplets have their addresses: what the API lists, and all private networks.

    A Droplet may use the whole IPv6 network that its address is in. One without any address has
    just been made: nothing is known of it.
    """
    networks: list[Network] = []
    for droplet in account.droplets:
        if not droplet.addresses:
            return EVERYWHERE
        networks += [
            ipaddress.ip_network(f"{a.ip}/{32 if a.version == 4 else 64}", strict=False)
            for a in droplet.addresses
        ]
    return Addresses.of(networks) | PRIVATE


def rule_text(firewall: Firewall, rule: Rule) -> str:
    """Return one line that names the rule and its firewall; only a deny rule names its action."""
    action = "" if rule.action == "allow" else f"{rule.action} "
    ports = "all ports" if rule.ports in _ALL_PORTS else rule.ports
    peers = [*rule.addresses, *(f"tag {tag}" for tag in rule.tags)]
    peers += ["Droplets"] if rule.droplet_ids else []
    peers += ["load balancers"] if rule.load_balancer_uids else []
    peers += ["clusters"] if rule.kubernetes_ids else []
    shown = ", ".join(peers[:3]) + (", …" if len(peers) > 3 else "")
    return one_line(f"{action}{rule.protocol} {ports} from {shown} ({firewall.name})")
