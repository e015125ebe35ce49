"""What the host's firewall will let in once it is loaded again, by the files of its manager.

The rules of ufw, of iptables-save and of nft are followed as the loaded ones are; a zone of
firewalld is read from its XML. What cannot be parsed is not known: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from xml.etree import ElementTree as ET

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.firewall.firewall_managers import STARTED_WITH, FirewallManager
from pytest_droplet.facts.firewall.host_rules import HostRules
from pytest_droplet.facts.firewall.iptables import parse_saves
from pytest_droplet.facts.firewall.nft_text import parse_files
from pytest_droplet.facts.firewall.packet_filter import (
    Action,
    Hook,
    Match,
    Packet,
    Rule,
    Step,
    for_addresses,
    inward,
    outcomes_of,
    share_changes,
    to_networks,
)
from pytest_droplet.facts.host.interfaces import Interfaces
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.masks import rule_comments
from pytest_droplet.model import Address, NotObservedError, Reading, Section
from pytest_droplet.text import one_line

SAVED = Section.of_files("facts/firewall/firewall_saved.sh", root=True, mask=rule_comments)

_UFW = "ufw.service"
_FIREWALLD = "firewalld.service"
_NFTABLES = "nftables.service"
_SAVES = {
    "netfilter-persistent.service": ("/etc/iptables/rules.v4", "/etc/iptables/rules.v6"),
    "iptables.service": ("/etc/sysconfig/iptables", "/etc/sysconfig/ip6tables"),
}
_SETTING = re.compile(r"""^[ \t]*(\w+)[ \t]*=[ \t]*["']?([^"'\n]*?)["']?[ \t]*$""", re.MULTILINE)
_UFW_CHAINS = ("before", "user", "after")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_ELSEWHERE = re.compile(r"-A \S+-(?:output|forward) ")
_MOST_XML = 200_000
_HANDLE = re.compile(r" \(handle [0-9]+\)")
_PORTS_END = 65_536
_MOST_COMPARED = 200
_VERSIONS: tuple[Literal[4, 6], ...] = (4, 6)
_PROTOCOLS: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")


@dataclass(frozen=True, slots=True)
class SavedRules:
    """Whether the files of a manager let SSH in; ``allowed`` None: it cannot be told."""

    manager: str
    allowed: Match
    why: str


@dataclass(frozen=True, slots=True)
class SavedFirewall:
    """What the managers that come up at boot will let in.

    Attributes:
        restored: Whether their files together close what the loaded rules close; None: it cannot
            be told.
        lost: What is not restored, or why it cannot be told; empty: all is.
    """

    port: int
    managers: tuple[SavedRules, ...]
    restored: Match = None
    lost: str = "not compared with the loaded rules"

    def __str__(self) -> str:
        said = "; ".join(f"{m.manager}: {m.why}" for m in self.managers)
        return one_line(said or "no manager brings rules at boot", 390)


@fact(
    "cat /etc/ufw/*.rules /etc/nftables.conf /etc/firewalld/zones/*.xml /etc/iptables/rules.v4",
    sections=(SAVED,),
)
def droplet_saved_firewall(
    observation: Observation,
    droplet_firewall_manager: FirewallManager,
    droplet_interfaces: Interfaces,
    droplet_host_rules: Reading[HostRules],
) -> SavedFirewall:
    """Return what the files of managers let in after a reload: SSH, and what is closed now.

    Raises:
        NotObservedError: The files were not read, or it is not known which manager is enabled.
    """
    managers = droplet_firewall_manager.names
    saved = whole(observation.section(SAVED.name))
    if not saved.stdout.lstrip().startswith("== ") and saved.stdout.strip():
        raise NotObservedError("the saved rules are not those of the files that were asked for")
    files, zones = parse_saved(saved.stdout)
    chains = _Chains(files)
    host, own = observation.host, observation.droplet.addresses
    packet = _packet(host.address, host.port, droplet_interfaces, own)
    judged = []
    for name in managers:
        try:
            allowed, why = _judge(name, chains, zones, packet)
        except NotObservedError as exc:
            allowed, why = None, str(exc)
        judged.append(SavedRules(name, allowed, why))
    loaded = droplet_host_rules.value.hooks if droplet_host_rules.value else ()
    packets = [
        Packet(names, version, "tcp", addresses)
        for version in _VERSIONS
        for names, addresses in [droplet_interfaces.facing(version, own)]
        if names and (version == 4 or droplet_interfaces.ipv6)
    ]
    try:
        saved_rules = _saved_rules(managers, chains, zones, packets)
        restored, lost = compare(loaded, saved_rules, packets)
    except NotObservedError as exc:
        restored, lost = None, str(exc)
    return SavedFirewall(host.port, tuple(judged), restored, lost)


def _saved_rules(
    managers: Iterable[str],
    chains: _Chains,
    zones: tuple[str, ...],
    packets: Iterable[Packet],
) -> tuple[Hook, ...]:
    """Return the chains of all files that managers load at boot."""
    found: list[Hook] = []
    for name in managers:
        if name == _NFTABLES:
            found += chains.of(name, 4)[0]
            continue
        for packet in packets:
            if name == _FIREWALLD:
                found.append(_hook_of_zones(chains.files, zones, packet))
            elif name != _UFW or packet.version == 4 or _ufw_filters_ipv6(chains.files):
                found += chains.of(name, packet.version)[0]
    return share_changes(found)


def _ufw_filters_ipv6(files: Mapping[str, str]) -> bool:
    settings = dict(_SETTING.findall(files.get("/etc/default/ufw", "")))
    return str(settings.get("IPV6", "")).lower() == "yes"


def _hook_of_zones(files: Mapping[str, str], zones: tuple[str, ...], packet: Packet) -> Hook:
    """Return the chain that firewalld makes of its zones, for packets of one version."""

    def steps(found: Packet) -> list[Step]:
        allowed, _ = judge_zone(files, zones, found)
        return [(True, Action("accept" if allowed else "drop"))]

    name = "filter_INPUT"
    return Hook(
        "firewalld", frozenset({packet.version}), name, "drop", {name: [Rule(steps)]}, filters=1
    )


def compare(
    loaded: Iterable[Hook], saved: Iterable[Hook], packets: Iterable[Packet]
) -> tuple[Match, str]:
    """Return whether saved rules close what loaded rules close, and what they do not.

    Asked of packets to no port that a rule names, and to each that one names. What programs add
    while they run (Docker, fail2ban) opens ports or bans addresses: it closes nothing here.
    """
    now, then = tuple(loaded), tuple(saved)
    if not any(h.is_filter for h in then if h.place != "forward"):
        return False, "what they load at boot filters nothing"
    named = {port for hook in (*now, *then) for ends in hook.ports for port in ends}
    ports = [None, *sorted(port for port in named if 0 < port < _PORTS_END)]
    if len(ports) > _MOST_COMPARED:
        return None, f"the rules name {len(ports)} ports; {_MOST_COMPARED} can be compared"
    doubt = ""
    for packet in packets:
        for protocol in _PROTOCOLS:
            for port in ports:
                asked = replace(packet, protocol=protocol, port=port)
                passed, passes = _passes(now, asked), _passes(then, asked)
                if passed or passes is False or (passed is passes and _same(now, then, asked)):
                    continue
                shown = f"{protocol} {port}" if port else f"{protocol} to other ports"
                if passes and passed is False:
                    return False, f"{shown} over IPv{packet.version} is closed now, and open then"
                doubt = doubt or f"whether {shown} over IPv{packet.version} stays closed"
    return (None, f"{doubt} cannot be told") if doubt else (True, "")


def _same(now: Iterable[Hook], then: Iterable[Hook], packet: Packet) -> bool:
    """Whether it is the same rules that cannot be told."""
    reasons = [
        {
            _HANDLE.sub("", hook.why_not_told(packet))
            for hook in hooks
            if packet.version in hook.versions and len(outcomes_of(hook, packet)) > 1
        }
        for hooks in (now, then)
    ]
    return reasons[0] == reasons[1]


def _passes(hooks: Iterable[Hook], packet: Packet) -> Match:
    found = [
        outcomes_of(hook, packet)
        for hook in hooks
        if hook.place != "forward" and not hook.translates and packet.version in hook.versions
    ]
    if {"drop"} in found:
        return False
    return None if any("drop" in each for each in found) else True


def parse_saved(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Parse ``== PATH`` with the file's lines behind it, and ``== zone zone=NAME``.

    Returns:
        The texts by path, and the names of zones that NetworkManager binds interfaces to.
    """
    files: dict[str, list[str]] = {}
    zones = []
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith("== zone "):
            zones.append(line.partition("=")[2].rpartition("=")[2].strip().strip("\"'"))
        elif line.startswith("== /"):
            lines = files.setdefault(line[3:].strip(), [])
        else:
            lines.append(line)
    return {path: "\n".join(found) for path, found in files.items()}, tuple(zones)


def _packet(address: str, port: int, interfaces: Interfaces, own: Iterable[Address]) -> Packet:
    """Return a connection to SSH where the audit came in, over the same family."""
    version: Literal[4, 6] = 6 if ":" in address else 4
    names = frozenset(n for n, ip in interfaces.addresses if ip == address)
    addresses = frozenset({address})
    if not names:
        names, addresses = interfaces.facing(version, own)
    if not names:
        raise NotObservedError(f"the host has no IPv{version} address")
    return Packet(names, version, "tcp", addresses, port=port)


def _judge(
    manager: str, chains: _Chains, zones: tuple[str, ...], packet: Packet
) -> tuple[Match, str]:
    if manager == _FIREWALLD:
        return judge_zone(chains.files, zones, packet)
    hooks, where = chains.of(manager, packet.version)
    allowed = lets_in(hooks, packet)
    words = {True: "let in", False: "not let in", None: "whether it is let in cannot be told"}
    return allowed, f"port {packet.port} over IPv{packet.version}: {words[allowed]} by {where}"


class _Chains:
    """The chains of managers' files, each parsed once."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files
        self._known: dict[tuple[str, int], tuple[tuple[Hook, ...], str]] = {}

    def of(self, manager: str, version: Literal[4, 6]) -> tuple[tuple[Hook, ...], str]:
        """Return the chains of a manager's files, and where they stand.

        Raises:
            NotObservedError: A file is not there, or has a line that is not known.
        """
        if manager == _NFTABLES:
            version = 4  # its files have both
        known = self._known.get((manager, version))
        if known is None:
            known = self._known[manager, version] = self._parsed(manager, version)
        return known

    def _parsed(self, manager: str, version: Literal[4, 6]) -> tuple[tuple[Hook, ...], str]:
        files = self.files
        if manager == _UFW:
            return ufw_hooks(files, version), "/etc/ufw"
        if manager == _NFTABLES:
            where = next((path for path in STARTED_WITH if path in files), "")
            return (inward(parse_files(files, where)) if where else ()), where
        where = _SAVES[manager][version == 6]
        return inward(parse_saves(files.get(where, ""), version)), where


def lets_in(hooks: Iterable[Hook], packet: Packet) -> Match:
    """Return whether rules let a connection in from anywhere, or at least from somewhere.

    A rule for some addresses alone is enough: who may log in is not judged here.
    """
    chains = [
        h
        for h in hooks
        if h.place != "forward" and not h.translates and packet.version in h.versions
    ]
    as_is, met, either = (
        [outcomes_of(hook, p) for hook in chains]
        for p in (packet, replace(packet, source=_met), replace(packet, source=_either))
    )
    if all(o == {"accept"} for o in as_is) or all(o == {"accept"} for o in met):
        return True
    return None if all("accept" in o for o in either) else False


def _met(_: object) -> Match:
    return True


def _either(_: object) -> Match:
    return None


def ufw_hooks(files: Mapping[str, str], version: Literal[4, 6]) -> tuple[Hook, ...]:
    """Return the chain INPUT as ufw makes it of its files when it is loaded.

    Raises:
        NotObservedError: A file is not there, or has a line that is not known.
    """
    six, prefix = ("6", "ufw6") if version == 6 else ("", "ufw")
    defaults = dict(_SETTING.findall(files.get("/etc/default/ufw", "")))
    policy = defaults.get("DEFAULT_INPUT_POLICY", "").upper()
    if policy not in {"ACCEPT", "DROP", "REJECT"}:
        raise NotObservedError("/etc/default/ufw has no DEFAULT_INPUT_POLICY that is known")
    if version == 6 and defaults.get("IPV6", "").lower() != "yes":
        raise NotObservedError("ufw leaves IPv6 alone (IPV6 in /etc/default/ufw)")
    text = [
        "*filter",
        f":INPUT {'ACCEPT' if policy == 'ACCEPT' else 'DROP'} [0:0]",
        *(f":{prefix}-{name}-input - [0:0]" for name in _UFW_CHAINS),
        f":{prefix}-logging-deny - [0:0]",
        f":{prefix}-logging-allow - [0:0]",
        f":{prefix}-user-limit - [0:0]",
        f":{prefix}-user-limit-accept - [0:0]",
        f":{prefix}-skip-to-policy-input - [0:0]",
        f"-A {prefix}-skip-to-policy-input -j {policy}",
    ]
    for name in _UFW_CHAINS:
        path = f"/etc/ufw/{name}{six}.rules"
        if path not in files:
            raise NotObservedError(f"{path} is not there")
        text += _filter_lines(files[path])
        if name == "before":
            text.append(f"-A {prefix}-before-input -j {prefix}-user-input")
    text += [f"-A INPUT -j {prefix}-before-input", f"-A INPUT -j {prefix}-after-input"]
    found = parse_saves("\n".join([*text, "COMMIT"]), version)
    return tuple(hook for hook in found if hook.place == "input")


def _filter_lines(text: str) -> list[str]:
    """Return the chains and rules of the table filter, but for what goes out or on."""
    lines = []
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter" and not _ELSEWHERE.match(line):
            lines.append(line)
    return [line for line in lines if line.startswith((":", "-"))]


def judge_zone(
    files: Mapping[str, str], bound: tuple[str, ...], packet: Packet
) -> tuple[Match, str]:
    """Return whether firewalld's permanent zone of an interface lets SSH in.

    Raises:
        NotObservedError: It has what may decide otherwise and is not judged here: direct rules,
            policies, rich rules that deny, zones of NetworkManager.
    """
    config = dict(_SETTING.findall(files.get("/etc/firewalld/firewalld.conf", "")))
    default = config.get("DefaultZone", "public")
    if others := [path for path in files if path.startswith("/etc/firewalld/policies/")]:
        raise NotObservedError(f"firewalld has policies of its own ({one_line(others[0], 80)})")
    direct = files.get("/etc/firewalld/direct.xml", "")
    if direct.strip() and len(_parsed(direct, "direct.xml")):
        raise NotObservedError("firewalld has direct rules (/etc/firewalld/direct.xml)")
    zones = _zones(files)
    names = {
        name
        for name, zone in zones.items()
        if any(e.get("name") in packet.interfaces for e in zone.findall("interface"))
    } or {default}
    if len(names) > 1 or set(bound) - names:
        listed = ", ".join(sorted({*names, *bound}))
        raise NotObservedError(f"which zone is meant cannot be told: {one_line(listed, 80)}")
    (name,) = names
    if name not in zones:
        raise NotObservedError(f"the zone {one_line(name, 40)} is not there")
    for_some = [n for n, zone in sorted(zones.items()) if zone.find("source") is not None]
    for chosen in (name, *for_some):
        if _zone_lets_in(zones[chosen], files, packet):
            return True, f"let in by the zone {one_line(chosen, 40)}"
    return False, f"the zone {one_line(name, 40)} has no service or port for {packet.port}"


def _zones(files: Mapping[str, str]) -> dict[str, ET.Element]:
    """Return the zones by name; a file in /etc takes the place of firewalld's own."""
    found = {}
    for folder in ("/usr/lib/firewalld/zones/", "/etc/firewalld/zones/"):
        for path, text in files.items():
            if path.startswith(folder):
                found[path.removeprefix(folder).removesuffix(".xml")] = _parsed(text, path)
    return found


def _zone_lets_in(zone: ET.Element, files: Mapping[str, str], packet: Packet) -> bool:
    allowed = zone.get("target") == "ACCEPT"
    for rule in zone.findall("rule"):
        if not _covers(rule, files, packet):
            continue
        if rule.find("accept") is None:
            raise NotObservedError("a rich rule of the zone may deny SSH")
        allowed = True
    return allowed or _covers(zone, files, packet)


def _covers(element: ET.Element, files: Mapping[str, str], packet: Packet) -> bool:
    """Whether an element names the port itself or by a service."""
    if any(_is_port(port, packet) for port in element.findall("port")):
        return True
    for service in element.findall("service"):
        name = service.get("name", "")
        paths = [f"{d}/firewalld/services/{name}.xml" for d in ("/etc", "/usr/lib")]
        path = next((p for p in paths if p in files), None)
        if path is None:
            raise NotObservedError(f"the service {one_line(name, 40)} of firewalld was not read")
        body = _parsed(files[path], path)
        if not _is_for_destination(body.find("destination"), packet):
            continue
        if body.find("include") is not None:
            raise NotObservedError(f"the service {one_line(name, 40)} includes others")
        if any(_is_port(port, packet) for port in body.findall("port")):
            return True
    return element.tag == "rule" and not any(element.find(kind) is not None for kind in _SUBJECTS)


def _is_for_destination(element: ET.Element | None, packet: Packet) -> bool:
    """Whether a service, which may be for some addresses of the host alone, is for the packet's.

    One that names addresses of one family is for no other: firewalld makes no rule there.
    """
    if element is None or not element.attrib:
        return True
    address = element.get(f"ipv{packet.version}")
    return address is not None and for_addresses(packet, to_networks(address)) is not False


_SUBJECTS = (
    *("port", "service", "protocol", "source-port", "forward-port", "masquerade"),
    *("icmp-block", "icmp-type", "tcp-mss-clamp"),
)


def _is_port(element: ET.Element, packet: Packet) -> bool:
    matched = _PORTS.fullmatch(element.get("port", ""))
    if matched is None or element.get("protocol") != packet.protocol:
        return False
    return packet.to(int(matched[1]), int(matched[2] or matched[1])) is True


def _parsed(text: str, path: str) -> ET.Element:
    if len(text) > _MOST_XML or "<!" in re.sub(r"(?s)<!--.*?-->", "", text):
        raise NotObservedError(f"{path} is longer than a zone or declares entities")
    try:
        return ET.fromstring(text.strip())  # noqa: S314 no entity is declared
    except ET.ParseError as exc:
        raise NotObservedError(f"{path} is no XML ({exc})") from None
