"""What the product reads of a packet filter, and where packets contradict it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address

from pytest_droplet.facts.firewall.cloud_firewalls import CloudFirewalls
from pytest_droplet.facts.firewall.exposed_ports import expose
from pytest_droplet.facts.firewall.host_firewall import decide
from pytest_droplet.facts.firewall.host_rules import IPTABLES, NFT, HostRules, parse_rules
from pytest_droplet.facts.firewall.iptables import parse_saves
from pytest_droplet.facts.firewall.nft_text import parse_files
from pytest_droplet.facts.firewall.packet_filter import Hook, inward
from pytest_droplet.facts.firewall.ways_out import WaysOut
from pytest_droplet.facts.host.interfaces import ADDRESSES, Interfaces, parse_interfaces
from pytest_droplet.facts.host.listeners import Listener, Listeners
from pytest_droplet.model import Address, Droplet, NotObservedError, Reading

from .networks import HOST, HOST_IN_VPC, INTERNET, VPC, Networks, Probe

PORTS = (22, 53, 80, 443, 1234, 5432, 8080, 9000, 30_001, 61_001)
UNLISTED = (707, 4_321, 47_808)
"""Ports that no rule set here names: what becomes of them is the default."""

_NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
_OWN = (
    Address(HOST[4], 4, "public"),
    Address(HOST[6], 6, "public"),
    Address(HOST_IN_VPC[4], 4, "private"),
)
_DROPLET = Droplet(1, "web-1", addresses=_OWN)
_NO_CLOUD = Reading("x", _NOW, CloudFirewalls(()))
_LISTENERS = Listeners(
    tuple(
        Listener(protocol, ip_address("::"), port, ("/usr/bin/x",))
        for protocol in ("tcp", "udp")
        for port in (*PORTS, *UNLISTED)
    ),
    owners=True,
)
PROBES = tuple(
    Probe(origin, version, protocol, port)
    for origin, version in (("internet", 4), ("internet", 6), ("vpc", 4))
    for protocol in ("tcp", "udp")
    for port in (*PORTS, *UNLISTED)
)


@dataclass(frozen=True)
class Judgement:
    """What the product says of a rule set.

    Attributes:
        denied: Whether it denies by default, by family; None: it cannot be told.
        reached: Whether a port can be reached, by the packets that would arrive there.
        only_input: Whether no chain before the hook ``input`` filters.
    """

    denied: dict[int, bool | None]
    reached: dict[Probe, bool | None]
    only_input: bool


def judge_loaded(networks: Networks) -> Judgement:
    """Read the rules that are loaded as the product reads them on a host."""
    try:
        hooks = parse_rules(networks.read(NFT), networks.read(IPTABLES)).hooks
    except NotObservedError:
        return _judge(networks, None)
    return _judge(networks, hooks)


def judge_text(networks: Networks, text: str) -> Judgement:
    """Read a file of nft rules as the product reads those that are loaded at boot."""
    return judge_files(networks, {"/etc/nftables.conf": text}, "/etc/nftables.conf")


def judge_files(networks: Networks, files: Mapping[str, str], start: str) -> Judgement:
    """Read a file of nft rules, and what it includes of ``files``."""
    hooks = None
    with suppress(NotObservedError):
        hooks = inward(parse_files(files, start))
    return _judge(networks, hooks)


def judge_saves(networks: Networks, text: str) -> Judgement:
    """Read a file of iptables-restore as the product reads those that are loaded at boot."""
    hooks = None
    with suppress(NotObservedError):
        hooks = inward(parse_saves(text, 4))
    return _judge(networks, hooks)


def _judge(networks: Networks, hooks: tuple[Hook, ...] | None) -> Judgement:
    interfaces = parse_interfaces(networks.read(ADDRESSES, by_root=False))
    known = hooks or ()
    unread = "" if hooks is not None else "not read"
    reached = {}
    for version in (4, 6):
        own = tuple(a for a in _OWN if a.version == version)
        droplet, only = replace(_DROPLET, addresses=own), _of_version(interfaces, version)
        found = expose(droplet, _LISTENERS, only, known, _NO_CLOUD, unread=unread)
        for port in found.ports:
            where = version, port.protocol, port.port
            reached[Probe("internet", *where)] = port.internet.allowed
            if version == 4:
                reached[Probe("vpc", *where)] = port.vpc.allowed
    inputs, nat = HostRules(known).input_filters, tuple(h for h in known if h.translates)
    denied = {
        version: None if hooks is None else decide(version, inputs, interfaces, _OWN, nat).denied
        for version in (4, 6)
    }
    only_input = not any(hook.place not in {"input", "forward"} for hook in known)
    return Judgement(denied, reached, only_input)


def judge_outward(networks: Networks) -> dict[Probe, bool | None]:
    """Return whether the host's own packets get out, by the rules that are loaded."""
    interfaces = parse_interfaces(networks.read(ADDRESSES, by_root=False))
    try:
        hooks = parse_rules(networks.read(NFT), networks.read(IPTABLES)).outward
    except NotObservedError:
        return dict.fromkeys(PROBES)
    ways = WaysOut(_DROPLET, interfaces, hooks, _NO_CLOUD)
    target = {"internet": INTERNET, "vpc": VPC}
    return {
        probe: ways.to(probe.protocol, target[probe.origin][probe.version], probe.port).allowed
        for probe in PROBES
    }


def _of_version(interfaces: Interfaces, version: int) -> Interfaces:
    """Return what is there without the addresses of the other version of IP."""
    addresses = tuple((n, a) for n, a in interfaces.addresses if ip_address(a).version == version)
    return replace(interfaces, addresses=addresses)


@dataclass(frozen=True)
class Contradiction:
    """What the product says and packets do not; ``awaited``: one of these would agree with it."""

    words: str
    awaited: tuple[Probe, ...] = ()


def contradictions(said: Judgement, arrived: AbstractSet[Probe]) -> Iterator[Contradiction]:
    """Yield where packets show that something is not so.

    A port that is called closed took no packet; a port that is called open took one. Where the default is called a denial, no port that is not named took a packet; where it
    is called none, one did, unless a chain before the hook ``input`` dropped it. What cannot be
    told contradicts nothing.
    """
    for probe in PROBES:
        allowed = said.reached.get(probe, False)
        if allowed is False and probe in arrived:
            yield Contradiction(f"closed, but reached: {probe}")
        if allowed and probe not in arrived:
            yield Contradiction(f"open, but not reached: {probe}", (probe,))
    for version, denied in said.denied.items():
        probes = tuple(
            p
            for p in PROBES
            if p.origin == "internet" and p.version == version and p.port in UNLISTED
        )
        got = arrived.intersection(probes)
        if denied and got:
            yield Contradiction(f"denies by default, but reached: {got}")
        if denied is False and not got and said.only_input:
            yield Contradiction(f"IPv{version} is not denied by default, but not reached", probes)
