"""Which ports of a host can be reached, and from where.

Its sockets, its packet filter and NAT, and the Cloud Firewalls decide together. A port is followed as the kernel would: a rule of NAT may send it on before the chain INPUT is
asked, as Docker does with the ports that it publishes; what is sent on passes FORWARD instead.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from pytest_droplet.facts import fact
from pytest_droplet.facts.firewall.cloud_firewalls import CloudFirewalls
from pytest_droplet.facts.firewall.host_rules import HostRules
from pytest_droplet.facts.firewall.packet_filter import (
    Condition,
    Destination,
    Hook,
    Match,
    Packet,
    Place,
    outcomes_of,
    parts_of_internet,
    shared_addresses,
)
from pytest_droplet.facts.host.interfaces import Interfaces, Network
from pytest_droplet.facts.host.listeners import Listener, Listeners
from pytest_droplet.model import Droplet, Item, NotObservedError, Reading
from pytest_droplet.text import one_line

Protocol = Literal["tcp", "udp"]

MOST_PORTS = 400
_WIDEST_RANGE = 64
_TRANSLATED_AT = -100
_HALF = 0.5
_ALMOST_ALL = 15 / 16
_UNKNOWN_NAT = "where NAT sends it cannot be told"
_VERSIONS: tuple[Literal[4, 6], ...] = (4, 6)
_PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether somebody gets to a port; ``allowed`` None: it cannot be told. ``why`` is the layer."""

    allowed: Match
    why: str


@dataclass(frozen=True, slots=True)
class ExposedPort:
    """A port that something listens on or that is sent on, and who reaches it.

    Attributes:
        process: The program, or where NAT sends the port.
        internet: From any address of the internet, over IPv4 or IPv6.
        vpc: From the Droplet's VPC.
    """

    protocol: Protocol
    port: int
    process: str
    internet: Reach
    vpc: Reach

    @property
    def name(self) -> str:
        """``tcp 5432 (postgres)``."""
        return one_line(f"{self.protocol} {self.port} ({self.process})", 80)

    @property
    def details(self) -> Item:
        """The port, what holds it, and by which layer the internet reaches it."""
        return {
            "protocol": self.protocol,
            "port": self.port,
            "process": self.process,
            "reachable": self.reachable,
            "why": self.internet.why,
        }

    @property
    def reachable(self) -> str:
        """``internet``, ``vpc``, ``none``, or ``unknown`` where the first cannot be told."""
        if self.internet.allowed is None:
            return "unknown"
        if self.internet.allowed:
            return "internet"
        return {True: "vpc", False: "none", None: "unknown"}[self.vpc.allowed]


@dataclass(frozen=True, slots=True)
class ExposedPorts:
    """Every port that may be reached, by protocol and number.

    ``unread`` is the reason why there may be others, or why none could be judged; empty: all are
    known.
    """

    ports: tuple[ExposedPort, ...]
    unread: str = ""

    def need_all(self) -> None:
        """Raise where there may be others (NotObservedError)."""
        if self.unread:
            raise NotObservedError(self.unread)

    def __str__(self) -> str:
        parts = []
        for word in ("internet", "unknown", "vpc"):
            names = [p.name for p in self.ports if p.reachable == word]
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            parts += [f"{word}: {', '.join(names[:8])}{more}"] if names else []
        closed = sum(p.reachable == "none" for p in self.ports)
        parts += [f"{closed} not to be reached from outside"] if closed else []
        parts += [self.unread] if self.unread else []
        return one_line("; ".join(parts) or "nothing listens but on loopback", 390)


def _row(exposed: ExposedPorts) -> list[Mapping[str, Any]]:
    return [
        {"port": p.port, "protocol": p.protocol, "process": p.process, "reachable": p.reachable}
        for p in exposed.ports
    ]


@fact(
    "/proc/net/tcp, tcp6, udp, udp6; nft -j list ruleset; iptables-save; GET /v2/firewalls",
    row=_row,
    items=lambda exposed: [port.details for port in exposed.ports],
)
def droplet_exposed_ports(
    droplet: Droplet,
    droplet_listeners: Listeners,
    droplet_interfaces: Interfaces,
    droplet_host_rules: Reading[HostRules],
    droplet_cloud_firewalls: Reading[CloudFirewalls],
) -> ExposedPorts:
    """Which ports can be reached from the internet and from the VPC.

    A socket on ``::`` is taken to serve IPv4 too. Without root the rules of the host are not
    known: its ports are listed, and what reaches them is not.
    """
    unread = droplet_host_rules.missing
    return expose(
        droplet,
        droplet_listeners,
        droplet_interfaces,
        droplet_host_rules.value.hooks if droplet_host_rules.value else (),
        droplet_cloud_firewalls,
        unread=unread or "",
    )


def expose(
    droplet: Droplet,
    listeners: Listeners,
    interfaces: Interfaces,
    hooks: tuple[Hook, ...],
    cloud: Reading[CloudFirewalls],
    *,
    unread: str = "",
) -> ExposedPorts:
    """Judge every port that something listens on or that a rule of NAT names.

    ``unread`` is the reason why ``hooks`` are not known, empty where they are.
    """
    host = _Host(listeners, interfaces, hooks)
    outside = _from_internet(droplet, interfaces)
    inside, vpc = _from_vpc(droplet, interfaces)
    wanted = {(s.protocol, s.port) for s in listeners.sockets if not _is_local(s)}
    wanted |= {(protocol, port) for port in _named(hooks) for protocol in _PROTOCOLS}
    found = []
    for protocol, port in sorted(wanted)[:MOST_PORTS]:
        ways = [[replace(p, protocol=protocol, port=port) for p in of] for of in (outside, inside)]
        process = _process(listeners, protocol, port) or host.sent_on([*ways[0], *ways[1]])
        if process:
            private = Reach(None, unread) if unread else host.reach(ways[1])
            found.append(
                ExposedPort(
                    protocol,
                    port,
                    process,
                    _from_outside(host, ways[0], cloud, unread),
                    _joined(private, _past_cloud(cloud, protocol, port, vpc)),
                )
            )
    if len(wanted) > MOST_PORTS:
        unread = unread or f"{len(wanted)} ports are open; {MOST_PORTS} of them were judged"
    if any(host.may_send_all_on(p) for p in (*outside, *inside)) or any(
        last - first >= _WIDEST_RANGE for hook in hooks for first, last in _of_nat(hook)
    ):
        unread = unread or "NAT may send on more ports than can be judged one by one"
    return ExposedPorts(tuple(found), unread)


class _Host:
    """The way of a packet through the host."""

    def __init__(
        self, listeners: Listeners, interfaces: Interfaces, hooks: tuple[Hook, ...]
    ) -> None:
        self._listeners = listeners
        self._interfaces = interfaces
        self._hooks = hooks
        self._own = {address for _, address in interfaces.addresses}

    def reach(self, packets: Iterable[Packet]) -> Reach:
        """Return whether one of the packets arrives."""
        return _best(self._follow(packet) for packet in packets)

    def reach_from_internet(self, packet: Packet) -> Reach:
        """Return whether at least half of the internet arrives; a little of it is none."""
        parts = parts_of_internet(self._hooks, packet.version)
        if not parts:
            return self._follow(packet)
        found = [(self._follow(replace(packet, source=p.source)), p.share) for p in parts]
        share = {word: sum(s for r, s in found if r.allowed is word) for word in (True, False)}
        wanted = True if share[True] >= _HALF else False if share[False] > _ALMOST_ALL else None
        if wanted is None:
            return Reach(None, f"let in from {share[True]:.0%} of the internet")
        return next(reach for reach, _ in found if reach.allowed is wanted)

    def sent_on(self, packets: Iterable[Packet]) -> str:
        """Return where NAT sends the packets, empty where it does not."""
        for packet in packets:
            for outcome in sorted(self._destinations(packet), reverse=True):
                if outcome != "accept":
                    target = Destination.of(outcome)
                    return "NAT" if target is None else _sent(packet, target)
        return ""

    def may_send_all_on(self, packet: Packet) -> bool:
        """Whether NAT sends on packets to ports that no rule is for, or may."""
        return any(
            self._destinations(replace(packet, protocol=protocol, port=None)) != {"accept"}
            for protocol in _PROTOCOLS
        )

    def _follow(self, packet: Packet) -> Reach:
        early = _both(self._past("ingress", packet), self._past("prerouting", packet), "")
        if early.allowed is False:
            return early
        ends = [
            self._arrive(packet, outcome) if outcome != "drop" else Reach(None, _UNKNOWN_NAT)
            for outcome in sorted(self._destinations(packet))
        ]
        agreed = len({end.allowed for end in ends}) == 1
        end = ends[0] if agreed else Reach(None, _UNKNOWN_NAT)
        return _both(early, end, end.why)

    def _destinations(self, packet: Packet) -> frozenset[str]:
        """Return what the chains of NAT may do; what one sends on, the next does not see."""
        found = frozenset({"accept"})
        for hook in self._hooks:
            if hook.translates and packet.version in hook.versions and "accept" in found:
                found = (found - {"accept"}) | outcomes_of(hook, packet)
        return found

    def _arrive(self, packet: Packet, outcome: str) -> Reach:
        target = Destination.of(outcome)
        if target is None:
            return self._enter(packet)
        port = target.port or packet.port
        if target.address is None:
            return self._enter(replace(packet, port=port, sent_to=packet))
        if target.address in self._own:
            addresses = frozenset({target.address})
            return self._enter(replace(packet, port=port, addresses=addresses, sent_to=packet))
        address = ipaddress.ip_address(target.address)
        if address.is_loopback:
            return Reach(None, "NAT to the loopback, which route_localnet decides")
        out = frozenset(n for n, net in self._interfaces.networks if address in net)
        if not out:
            return Reach(None, f"NAT to {address}, which is in no network of the host")
        onward = replace(
            packet, port=port, addresses=frozenset({str(address)}), out=out, sent_to=packet
        )
        passed = self._past("prerouting", replace(onward, out=frozenset()), late=True)
        return _both(passed, self._past("forward", onward), f"sent on {_sent(packet, target)}")

    def _enter(self, packet: Packet) -> Reach:
        if not any(_serves(socket, packet) for socket in self._listeners.sockets):
            return Reach(allowed=False, why="nothing listens there for the outside")
        passed = self._past("prerouting", packet, late=True)
        return _both(passed, self._past("input", packet), "let in by the host")

    def _past(self, place: Place, packet: Packet, *, late: bool = False) -> Reach:
        """Return whether every chain there lets the packet go on."""
        doubt = ""
        for hook in self._hooks:
            if hook.translates or hook.place != place or packet.version not in hook.versions:
                continue
            if place == "prerouting" and late != (hook.priority >= _TRANSLATED_AT):
                continue
            outcomes = outcomes_of(hook, packet)
            if outcomes == {"drop"}:
                return Reach(allowed=False, why=f"denied by {hook.label}")
            if "drop" in outcomes:
                doubt = hook.why_not_told(packet)
        return Reach(None, doubt) if doubt else Reach(allowed=True, why="")


def _both(first: Reach, second: Reach, why: str) -> Reach:
    known = (first.allowed, second.allowed)
    allowed = False if False in known else None if None in known else True
    if allowed:
        return Reach(allowed, why)
    return next(r for r in (first, second) if r.allowed is allowed)


def _best(ways: Iterable[Reach]) -> Reach:
    """Return a way that leads there, else one that cannot be told."""
    known = list(ways)
    for allowed in (True, None):
        for reach in known:
            if reach.allowed is allowed:
                return reach
    return known[0] if known else Reach(allowed=False, why="no address to reach it at")


def _from_outside(
    host: _Host, packets: Iterable[Packet], cloud: Reading[CloudFirewalls], unread: str
) -> Reach:
    """Return whether the internet gets past both layers, over one version of IP or the other."""
    return _best(
        _joined(
            Reach(None, unread) if unread else host.reach_from_internet(packet),
            _past_cloud(cloud, packet.protocol, packet.port or 0, packet.version),
        )
        for packet in packets
    )


def _joined(host: Reach, cloud: Reach) -> Reach:
    joined = _both(host, cloud, f"{host.why}, {cloud.why}")
    return replace(joined, why=one_line(joined.why))


def _past_cloud(
    reading: Reading[CloudFirewalls],
    protocol: Protocol,
    port: int,
    origin: Literal[4, 6] | tuple[Network, ...],
) -> Reach:
    """Return whether the Cloud Firewalls let in the world of a version of IP, or these networks."""
    try:
        cloud = reading.get()
        if not cloud.attached:
            cloud.need_all()
            return Reach(allowed=True, why="no Cloud Firewall")
        if isinstance(origin, tuple):
            rules = cloud.open_to(protocol, port, origin)
        else:
            rules = [str(rule) for rule in cloud.open_to_the_world(protocol, port, (origin,))]
        if rules:
            return Reach(allowed=True, why=f"by the rule {rules[0]}")
    except NotObservedError as exc:
        return Reach(None, str(exc))
    if denials := cloud.denials(protocol, port):
        return Reach(allowed=False, why=f"denied by the rule {denials[0]}")
    return Reach(allowed=False, why="no rule of the Cloud Firewalls lets it in")


def _from_internet(droplet: Droplet, interfaces: Interfaces) -> list[Packet]:
    """Return packets from the internet, by family; none where the host has no address there.

    What comes for a reserved IP is for the anchor address, a private one of the same interface.
    """
    packets = []
    for version in _VERSIONS:
        listed = {a.ip for a in droplet.addresses if a.version == version and a.kind != "private"}
        own = [a for _, a in interfaces.addresses if ipaddress.ip_address(a).version == version]
        public = listed or any(not ipaddress.ip_address(a).is_private for a in own)
        if not public or (version == 6 and not interfaces.ipv6):
            continue
        names, addresses = interfaces.facing(version, droplet.addresses)
        if listed - set(own):
            private = {a.ip for a in droplet.addresses if a.kind == "private"}
            anchors = {a for n, a in interfaces.addresses if n in names and a in own}
            addresses |= anchors - private
        if names:
            packets.append(Packet(names, version, "tcp", addresses))
    return packets


def _from_vpc(
    droplet: Droplet, interfaces: Interfaces
) -> tuple[list[Packet], tuple[ipaddress.IPv4Network, ...]]:
    """Return a packet from the VPC, where the Droplet is in one, and the VPC's network."""
    private = {a.ip for a in droplet.addresses if a.kind == "private"}
    held = {(name, ip) for name, ip in interfaces.addresses if ip in private}
    networks = tuple(
        network
        for name, network in interfaces.networks
        if isinstance(network, ipaddress.IPv4Network)
        and any(name == n and ipaddress.ip_address(ip) in network for n, ip in held)
    )
    if not networks:
        return [], ()
    names, addresses = frozenset(n for n, _ in held), frozenset(ip for _, ip in held)
    return [Packet(names, 4, "tcp", addresses, source=partial(_covers, networks))], networks


def _covers(wanted: tuple[ipaddress.IPv4Network, ...], networks: Iterable[Network]) -> Condition:
    """Whether networks have the wanted ones' addresses; at least half of them are ``some``."""
    given = (n for n in networks if isinstance(n, ipaddress.IPv4Network))
    shared, whole = shared_addresses(wanted, given), sum(n.num_addresses for n in wanted)
    return True if shared == whole else "some" if 2 * shared >= whole else False


def _of_nat(hook: Hook) -> Iterable[tuple[int, int]]:
    return hook.ports if hook.translates else ()


def _named(hooks: Iterable[Hook]) -> set[int]:
    """Return the ports that rules of NAT name; of a range that is too wide its ends."""
    found: set[int] = set()
    for hook in hooks:
        for first, last in _of_nat(hook):
            narrow = last - first < _WIDEST_RANGE
            found.update(range(first, last + 1) if narrow else (first, last))
    return {port for port in found if 0 < port < 65536}


def _process(listeners: Listeners, protocol: Protocol, port: int) -> str:
    sockets = [s for s in listeners.sockets if (s.protocol, s.port) == (protocol, port)]
    sockets = [s for s in sockets if not _is_local(s)]
    names = dict.fromkeys(name for s in sockets for name in s.names)
    if not sockets or names:
        return one_line("/".join(names), 60)
    return "no program seen" if listeners.owners else "not seen without root"


def _sent(packet: Packet, target: Destination) -> str:
    port = target.port or packet.port
    address = target.address or "this host"
    return f"NAT to [{address}]:{port}" if ":" in address else f"NAT to {address}:{port}"


def _is_local(socket: Listener) -> bool:
    mapped = getattr(socket.address, "ipv4_mapped", None)
    return (mapped or socket.address).is_loopback


def _serves(socket: Listener, packet: Packet) -> bool:
    """Whether a socket takes the packet; ``::`` takes IPv4 too."""
    if (socket.protocol, socket.port) != (packet.protocol, packet.port):
        return False
    if socket.address.is_unspecified:
        return packet.version <= socket.version
    mapped = getattr(socket.address, "ipv4_mapped", None)
    return str(mapped or socket.address) in packet.addresses
