"""Rules in the form of iptables-save, for :mod:`pytest_droplet.facts.packet_filter`."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from pytest_droplet.facts.packet_filter import (
    Action,
    Destination,
    Hook,
    Match,
    Network,
    Packet,
    Place,
    Rule,
    Step,
    both,
    for_addresses,
    goes_out,
    is_broad,
    is_foreign,
    is_named,
    negated,
    to_networks,
)
from pytest_droplet.model import NotObservedError
from pytest_droplet.redact import one_line

_PROTOCOLS = {"6": "tcp", "17": "udp"}
_FINAL = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}
_HARMLESS = frozenset(
    (
        *("LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "SET", "CT", "NOTRACK", "CHECKSUM"),
        *("MARK", "CONNMARK", "SECMARK", "CONNSECMARK", "TCPMSS", "CLASSIFY", "DSCP", "TOS"),
    )
)
_PLACES: dict[str, Place] = {
    "PREROUTING": "prerouting",
    "INPUT": "input",
    "FORWARD": "forward",
}
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_DESTINATION = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9a-fA-F:.]+?))?(?::([0-9]{1,5}))?")
_ONE_PORT = re.compile(r"[0-9]{1,5}")
_FLAGS = frozenset(("FIN", "SYN", "RST", "PSH", "ACK", "URG"))
_Test = Callable[[Packet], Match]


@dataclass
class _Draft:
    tests: list[_Test] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    limited: bool = False
    target: str = ""
    arguments: list[str] = field(default_factory=list)
    goto: bool = False


@dataclass
class _Table:
    """A table of iptables-save while it is read; ``filters`` counts by chain."""

    policies: dict[str, str] = field(default_factory=dict)
    chains: dict[str, list[Rule]] = field(default_factory=dict)
    filters: Counter[str] = field(default_factory=Counter)
    ports: set[tuple[int, int]] = field(default_factory=set)


def parse_saves(text: str, version: Literal[4, 6]) -> tuple[Hook, ...]:
    """Parse all tables of iptables-save that decide over packets that come in.

    Returns:
        Their chains PREROUTING, INPUT and FORWARD. Labels are ``ip filter INPUT``, with ``ip6``
        for IPv6: those that nft gives the same chains.

    Raises:
        NotObservedError: A line is not as expected.
    """
    family = "ip" if version == 4 else "ip6"
    found = (
        _hook(table, version, name, chain, f"{family} {name} {chain}")
        for name, table in _tables(text, set(_PRIORITIES)).items()
        for chain in _PLACES
        if not (name == "nat" and chain != "PREROUTING")
    )
    return tuple(hook for hook in found if hook is not None)


def _tables(text: str, wanted: set[str]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("*"):
            name = line[1:].strip()
            if name in wanted:
                tables.setdefault(name, _Table())
        elif name not in wanted or not line.strip() or line[0] in "#C":
            continue
        elif line.startswith(":"):
            chain, _, rest = line[1:].partition(" ")
            tables[name].policies[chain] = rest.partition(" ")[0]
            tables[name].chains.setdefault(chain, [])
        else:
            _add_rule(tables[name], line)
    return tables


def _add_rule(table: _Table, line: str) -> None:
    chain, draft, first = _parse_rule(line)
    rules = table.chains.setdefault(chain, [])
    rules.insert(0 if first else len(rules), _rule(draft, table.policies))
    table.ports.update(range_ for text in draft.ports for range_ in _ranges(text))
    decides = draft.target and draft.target not in _HARMLESS
    table.filters[chain] += bool(decides and not is_foreign(draft.target))


def _hook(table: _Table, version: Literal[4, 6], name: str, chain: str, label: str) -> Hook | None:
    if chain not in table.chains:
        return None
    return Hook(
        label=label,
        versions=frozenset({version}),
        chain=chain,
        policy="accept" if table.policies.get(chain) == "ACCEPT" else "drop",
        chains=table.chains,
        filters=table.filters[chain],
        place=_PLACES[chain],
        translates=name == "nat",
        priority=_PRIORITIES[name],
        ports=frozenset(table.ports),
    )


def _rule(draft: _Draft, chains: dict[str, str]) -> Rule:
    return partial(_apply, draft, chains)


def _apply(draft: _Draft, chains: dict[str, str], packet: Packet) -> Sequence[Step]:
    action = _action(draft, chains)
    matches = both(*(test(packet) for test in draft.tests))
    if draft.limited and matches is not False:
        matches = {"accept": matches, "drop": False}.get(action.kind)
    return [(matches, action)]


def _action(draft: _Draft, chains: dict[str, str]) -> Action:
    target = draft.target
    if target in _FINAL:
        return Action(_FINAL[target])  # type: ignore[arg-type]
    if not target or target in _HARMLESS:
        return Action("pass")
    if target in chains:
        return Action("goto" if draft.goto else "jump", target)
    if target in {"DNAT", "REDIRECT"}:
        return _translation(draft.arguments)
    return Action("unknown")


def _translation(arguments: list[str]) -> Action:
    """Return what DNAT and REDIRECT do; to one of several places: unknown."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if "--to-destination" in given:
        found = _DESTINATION.fullmatch(given["--to-destination"])
        if found is None:
            return Action("unknown")
        address = str(ipaddress.ip_address(found[1] or found[2])) if found[1] or found[2] else None
        return Action("translate", Destination(address, int(found[3]) if found[3] else None).text)
    port = given.get("--to-ports", "")
    if port and not _ONE_PORT.fullmatch(port):
        return Action("unknown")
    return Action("translate", Destination(None, int(port) if port else None).text)


def _parse_rule(line: str) -> tuple[str, _Draft, bool]:
    """Return chain and rule, and whether it goes before the others (``-I``, as ufw writes)."""
    draft = _Draft()
    try:
        command, chain, *words = shlex.split(line)
        _read(words, draft)
    except (ValueError, IndexError):
        command, chain = "", ""
    if command not in {"-A", "-I"} or (command == "-I" and words[:1] and words[0].isdigit()):
        raise NotObservedError(f"unexpected rule: {one_line(line, 100)}")
    return chain, draft, command == "-I"


def _read(words: list[str], draft: _Draft) -> None:
    inverted = False
    place = 0
    while place < len(words):
        option = words[place]
        place += 1
        if option == "!":
            inverted = True
            continue
        values = []
        while place < len(words) and words[place] != "!" and not _is_option(words[place]):
            values.append(words[place])
            place += 1
        if option in {"-j", "--jump", "-g", "--goto"}:
            draft.target, draft.goto = values[0], option in {"-g", "--goto"}
            after = words[place:]
            ends = next((i for i, word in enumerate(after) if word in {"-m", "--match"}), None)
            draft.arguments = after[:ends]
            place += len(draft.arguments)
        elif option == "--limit" or option.startswith("--hashlimit"):
            draft.limited = True
        elif option not in {"-m", "--match", "--comment", "--limit-burst", "-c"}:
            draft.tests.append(_test(option, values, inverted=inverted))
            draft.ports += values[:1] if option in _DESTINATION_PORTS else []
        inverted = False


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit()


def _test(option: str, values: list[str], *, inverted: bool) -> _Test:
    make = _TESTS.get(option)
    if make is None:
        return lambda _: None
    test = make(values)
    return lambda packet: negated(test(packet), by=inverted)


def _protocol(values: list[str]) -> _Test:
    wanted = _PROTOCOLS.get(values[0], values[0])
    return lambda packet: wanted in {"all", "0", packet.protocol}


def _source(values: list[str]) -> _Test:
    networks: list[Network] = to_networks(values[0])
    return lambda packet: packet.source(networks)


def _destination(values: list[str]) -> _Test:
    networks = to_networks(values[0])
    return lambda packet: for_addresses(packet, networks)


def _ports(values: list[str]) -> _Test:
    ranges = _ranges(values[0])
    return lambda packet: any(packet.to(*ports) for ports in ranges)


def _source_ports(values: list[str]) -> _Test:
    broad = any(is_broad(*ports) for ports in _ranges(values[0]))
    return lambda _: broad


def _original_ports(values: list[str]) -> _Test:
    ranges = _ranges(values[0])
    return lambda packet: any((packet.sent_to or packet).to(*ports) for ports in ranges)


def _original_destination(values: list[str]) -> _Test:
    networks = to_networks(values[0])
    return lambda packet: for_addresses(packet.sent_to or packet, networks)


def _ranges(text: str) -> list[tuple[int, int]]:
    """Return the ranges of ``22``, ``8000:9000``, ``22,80``; named ports are none here."""
    found = []
    for part in text.split(","):
        first, colon, last = part.partition(":")
        found.append((int(first or 0), int((last or 65535) if colon else first)))
    return found


def _status(values: list[str]) -> _Test:
    wanted = set(values[0].split(","))
    return lambda packet: ("NONE" if packet.sent_to is None else "DNAT") in wanted


def _destination_type(values: list[str]) -> _Test:
    wanted = set(values[0].split(","))
    return lambda packet: ("UNICAST" if packet.out else "LOCAL") in wanted


def _set_match(values: list[str]) -> _Test:
    """Docker 28.0 asks by a set whether a packet goes out to one of its bridges."""
    if values[0].startswith("docker-ext-bridges-"):
        return lambda packet: packet.sent_to is not None and bool(packet.out)
    return lambda _: None


def _among(generic: frozenset[str]) -> Callable[[list[str]], _Test]:
    def make(values: list[str]) -> _Test:
        known = bool(generic & set(values[0].split(",")))
        return lambda _: known

    return make


def _mark(values: list[str]) -> _Test:
    value = values[0].partition("/")[0]
    unmarked = int(value, 0) == 0
    return lambda _: unmarked


def _tcp_flags(values: list[str]) -> _Test:
    mask, wanted = (_flags(value) for value in values)
    known = ({"SYN"} & mask) == wanted
    return lambda packet: packet.protocol == "tcp" and known


def _flags(text: str) -> frozenset[str]:
    if text in {"ALL", "NONE"}:
        return _FLAGS if text == "ALL" else frozenset()
    return frozenset(text.split(","))


def _interface(values: list[str]) -> _Test:
    return lambda packet: is_named(packet.interfaces, values[0], "+")


def _out_interface(values: list[str]) -> _Test:
    return lambda packet: goes_out(packet, values[0], "+")


def _never(_: list[str]) -> _Test:
    return lambda _: False


def _always(_: list[str]) -> _Test:
    return lambda _: True


_DESTINATION_PORTS = frozenset({"--dport", "--dports", "--ports"})
_TESTS: dict[str, Callable[[list[str]], _Test]] = {
    "-p": _protocol,
    "-s": _source,
    "-d": _destination,
    "-i": _interface,
    "-o": _out_interface,
    "-f": _never,
    "--dport": _ports,
    "--sport": _source_ports,
    "--dports": _ports,
    "--sports": _source_ports,
    "--ports": _ports,
    "--hitcount": _never,
    "--rt-type": _never,
    "--match-set": _set_match,
    "--ctstate": _among(frozenset({"NEW"})),
    "--state": _among(frozenset({"NEW"})),
    "--ctstatus": _status,
    "--ctdir": _among(frozenset({"ORIGINAL"})),
    "--ctorigdst": _original_destination,
    "--ctorigdstport": _original_ports,
    "--ctproto": _protocol,
    "--dst-type": _destination_type,
    "--src-type": _among(frozenset({"UNICAST"})),
    "--pkt-type": _among(frozenset({"unicast"})),
    "--icmp-type": _never,
    "--icmpv6-type": _never,
    "--mark": _mark,
    "--tcp-flags": _tcp_flags,
    "--set": _always,
    "--name": _always,
    "--rsource": _always,
    "--mask": _always,
}
