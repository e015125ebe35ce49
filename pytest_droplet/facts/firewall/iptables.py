"""Rules in the form of iptables-save, for :mod:`pytest_droplet.facts.firewall.packet_filter`."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from pytest_droplet.facts.firewall.nft_words import SERVICES
from pytest_droplet.facts.firewall.packet_filter import (
    ALL_BITS,
    ANY_CHANGE,
    MOST,
    USUAL_HOPS,
    USUAL_LENGTHS,
    USUAL_SEGMENTS,
    Action,
    Changes,
    Condition,
    Destination,
    Hook,
    Packet,
    Place,
    Rule,
    Step,
    any_of,
    both,
    for_addresses,
    goes_out,
    has_mark,
    is_foreign,
    is_large,
    is_named,
    is_usual,
    negated,
    share_changes,
    to_networks,
)
from pytest_droplet.facts.host.interfaces import Network
from pytest_droplet.model import NotObservedError
from pytest_droplet.text import one_line

_PROTOCOLS = {"6": "tcp", "17": "udp"}
_FINAL = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "REJECT": "drop",
    "RETURN": "return",
    "MASQUERADE": "accept",
    "SNAT": "accept",
}
_HARMLESS = frozenset(
    (
        *("LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "SET", "CT", "NOTRACK", "CHECKSUM"),
        *("MARK", "CONNMARK", "SECMARK", "CONNSECMARK", "TCPMSS", "CLASSIFY", "DSCP", "TOS"),
    )
)
_UNCHANGING = frozenset({"NFQUEUE", "QUEUE", "MASQUERADE", "SNAT"})
_PLACES: dict[str, Place] = {
    "PREROUTING": "prerouting",
    "INPUT": "input",
    "FORWARD": "forward",
    "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}
_TRANSLATING = frozenset({"PREROUTING", "OUTPUT"})
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_DESTINATION = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9a-fA-F:.]+?))?(?::([0-9]{1,5}))?")
_ONE_PORT = re.compile(r"[0-9]{1,5}")
_FLAGS = frozenset(("FIN", "SYN", "RST", "PSH", "ACK", "URG"))
_COUNTED = re.compile(r"^\[[0-9]+:[0-9]+\] ")
_SHORT = dict(
    pair.split("=")
    for pair in (
        *("--append=-A", "--insert=-I", "--jump=-j", "--goto=-g", "--match=-m", "--protocol=-p"),
        *("--proto=-p", "--in-interface=-i", "--out-interface=-o", "--source=-s", "--src=-s"),
        *("--destination=-d", "--dst=-d", "--fragment=-f", "--destination-port=--dport"),
        *("--source-port=--sport", "--destination-ports=--dports", "--source-ports=--sports"),
    )
)
_WITHOUT_OPTIONS = frozenset({"tcp", "udp", "icmp", "icmp6", "comment"})
"""Matches that hold, as they stand, for what ``-p`` names; of others an option is looked for."""

_Test = Callable[[Packet], Condition]


@dataclass
class _Draft:
    tests: list[_Test] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    rate: Condition = True
    seen_before: bool = False
    target: str = ""
    arguments: list[str] = field(default_factory=list)
    goto: bool = False
    line: str = ""
    sources: list[Network] = field(default_factory=list)


@dataclass
class _Table:
    """A table of iptables-save while it is read; ``filters`` counts by chain."""

    policies: dict[str, str] = field(default_factory=dict)
    chains: dict[str, list[Rule]] = field(default_factory=dict)
    filters: Counter[str] = field(default_factory=Counter)
    ports: set[tuple[int, int]] = field(default_factory=set)
    changing: list[Rule] = field(default_factory=list)
    sources: set[Network] = field(default_factory=set)


def parse_saves(text: str, version: Literal[4, 6]) -> tuple[Hook, ...]:
    """Parse all tables of iptables-save that decide over packets.

    Returns:
        Their chains PREROUTING, INPUT, FORWARD, OUTPUT and POSTROUTING. Labels are ``ip filter INPUT``, with ``ip6``
        for IPv6: those that nft gives the same chains.

    Raises:
        NotObservedError: A line is not as expected.
    """
    family = "ip" if version == 4 else "ip6"
    found = (
        _hook(table, version, name, chain, f"{family} {name} {chain}")
        for name, table in _tables(text, set(_PRIORITIES)).items()
        for chain in _PLACES
        if name != "nat" or chain in {*_TRANSLATING, "POSTROUTING"}
    )
    return share_changes(hook for hook in found if hook is not None)


def _tables(text: str, wanted: set[str]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("*"):
            if name:
                break
            name = line[1:].strip()
            if name in wanted:
                tables.setdefault(name, _Table())
        elif line.strip() == "COMMIT":
            name = ""
        elif name not in wanted or not line.strip() or line.startswith("#"):
            continue
        elif line.startswith(":"):
            chain, _, rest = line[1:].partition(" ")
            tables[name].policies[chain] = rest.partition(" ")[0]
            tables[name].chains.setdefault(chain, [])
        else:
            _add_rule(tables[name], line)
    if name:
        raise NotObservedError(f"the table {one_line(name, 20)} of iptables has no COMMIT")
    return tables


def _add_rule(table: _Table, line: str) -> None:
    chain, draft, first = _parse_rule(line)
    rules = table.chains.setdefault(chain, [])
    named = draft.target in {*table.policies, *table.chains}
    changes = Changes() if named else _changes(draft.target, draft.arguments)
    rule = _rule(draft, table.policies, changes)
    rules.insert(0 if first else len(rules), rule)
    table.changing += [rule] if changes != Changes() else []
    table.sources.update(draft.sources)
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
        policy="drop" if table.policies.get(chain) == "DROP" else "accept",
        chains=table.chains,
        filters=table.filters[chain],
        place=_PLACES[chain],
        translates=name == "nat" and chain in _TRANSLATING,
        priority=_PRIORITIES[name],
        ports=frozenset(table.ports),
        changing=tuple(table.changing),
        sources=frozenset(table.sources),
    )


def _rule(draft: _Draft, chains: dict[str, str], changes: Changes) -> Rule:
    return Rule(
        steps=partial(_apply, draft, chains),
        text=lambda: f"'{draft.line}'",
        changes=changes,
        reaches=partial(_meets, draft),
    )


def _meets(draft: _Draft, packet: Packet) -> Condition:
    found = [draft.rate]
    for test in draft.tests:
        found.append(test(packet))
        if found[-1] is False:
            return False
    return both(*found)


def _apply(draft: _Draft, chains: dict[str, str], packet: Packet) -> Sequence[Step]:
    return [(_meets(draft, packet), _action(draft, chains))]


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


def _changes(target: str, arguments: list[str]) -> Changes:
    """Return what a target of the kernel does to packets that other rules read."""
    if not target or target in _FINAL or target in {"DNAT", "REDIRECT", *_UNCHANGING}:
        return Changes()
    if target == "NOTRACK" or (target == "CT" and "--notrack" in arguments):
        return Changes(untracked=True)
    if target not in {"MARK", "CONNMARK"}:
        return Changes() if target in _HARMLESS else ANY_CHANGE
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if "--restore-mark" in arguments or "--save-mark" in arguments:
        return Changes(copied=True)
    value = given.get("--set-xmark", given.get("--set-mark", "")).partition("/")[0]
    bits = int(value, 0) if value else ALL_BITS
    return Changes(mark=bits) if target == "MARK" else Changes(connection_mark=bits)


def _parse_rule(line: str) -> tuple[str, _Draft, bool]:
    """Return chain and rule, and whether it goes before the others (``-I``, as ufw writes)."""
    draft = _Draft(line=line)
    try:
        command, chain, *words = shlex.split(_COUNTED.sub("", line))
        command = _SHORT.get(command, command)
        if command == "-I" and words[:1] == ["1"]:
            del words[0]
        _read(words, draft)
    except (ValueError, LookupError):
        command, chain = "", ""
    if command not in {"-A", "-I"} or (command == "-I" and words[:1] and words[0].isdigit()):
        raise NotObservedError(f"unexpected rule: {one_line(line, 100)}")
    return chain, draft, command == "-I"


def _read(words: list[str], draft: _Draft) -> None:
    inverted = False
    place = 0
    pending = 0  # matches that no option was read of
    while place < len(words):
        option = _SHORT.get(words[place], words[place])
        place += 1
        if option == "!":
            inverted = True
            continue
        values = []
        while place < len(words) and words[place] != "!" and not _is_option(words[place]):
            values.append(words[place])
            place += 1
        if option in {"-j", "-g"}:
            draft.target, draft.goto = values[0], option == "-g"
            after = words[place:]
            ends = next((i for i, word in enumerate(after) if word in {"-m", "--match"}), None)
            draft.arguments = after[:ends]
            place += len(draft.arguments)
            pending = _settle(draft, pending)
        elif option == "-m":
            pending = _settle(draft, pending) + (values[0] not in _WITHOUT_OPTIONS)
        elif option not in {"--comment", "-c"}:
            _add_test(draft, option, values, inverted=inverted)
            pending = 0
        inverted = False
    _settle(draft, pending)


def _settle(draft: _Draft, pending: int) -> int:
    """Take a match without any option for a condition that is not known."""
    if pending:
        draft.tests.append(lambda _: None)
    return 0


def _add_test(draft: _Draft, option: str, values: list[str], *, inverted: bool) -> None:
    if option in _RATES:
        rate = negated(_RATES[option], by=inverted)
        draft.rate = both(draft.rate, rate)
    elif option == "--connlimit-above" and not inverted and int(values[0]) > 0:
        draft.rate = both(draft.rate, "seldom")
    elif option in _PARTS_OF_RATES:
        return
    elif option == "--hitcount":  # of a list that is asked by --rcheck or --update
        draft.tests = [lambda _: None if draft.seen_before else "seldom", *draft.tests]
    else:
        draft.seen_before |= inverted and option in {"--rcheck", "--update"}
        draft.tests.append(_test(option, values, inverted=inverted))
        draft.ports += values[:1] if option in _DESTINATION_PORTS else []
        asked = _networks(values) if option in {"-s", "--src-range"} else []
        draft.sources += filter(is_large, asked)


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit()


def _test(option: str, values: list[str], *, inverted: bool) -> _Test:
    make = _TESTS.get(option)
    if make is None or (inverted and option == "--match-set"):
        return lambda _: None
    test = make(values)
    if option in _OF_CONNECTIONS:
        return lambda packet: negated(test(packet), by=inverted) if packet.is_tracked else None
    return lambda packet: negated(test(packet), by=inverted)


def _protocol(values: list[str]) -> _Test:
    wanted = _PROTOCOLS.get(values[0], values[0].lower())
    return lambda packet: wanted in {"all", "0", packet.protocol}


def _source(values: list[str]) -> _Test:
    networks = _networks(values)
    known: dict[object, Condition] = {}

    def test(packet: Packet) -> Condition:
        if packet.source not in known:
            known[packet.source] = packet.source(networks)
        return known[packet.source]

    return test


def _networks(values: list[str]) -> list[Network]:
    """Return the networks of ``192.0.2.1`` or, as people write, ``192.0.2.1,192.0.2.8/29``."""
    return [network for text in values[0].split(",") for network in to_networks(text)]


def _destination(values: list[str]) -> _Test:
    networks = _networks(values)
    return lambda packet: for_addresses(packet, networks)


def _ports(values: list[str]) -> _Test:
    ranges = _ranges(values[0])
    return lambda packet: any_of(packet.to(*ports) for ports in ranges)


def _source_ports(values: list[str]) -> _Test:
    ranges = _ranges(values[0])
    return lambda packet: any_of(packet.comes_from(*ports) for ports in ranges)


def _either_ports(values: list[str]) -> _Test:
    to, of = _ports(values), _source_ports(values)
    return lambda packet: any_of((to(packet), of(packet)))


def _original_ports(values: list[str]) -> _Test:
    ranges = _ranges(values[0])
    return lambda packet: any_of((packet.sent_to or packet).to(*ports) for ports in ranges)


def _original_destination(values: list[str]) -> _Test:
    networks = to_networks(values[0])
    return lambda packet: for_addresses(packet.sent_to or packet, networks)


def _ranges(text: str) -> list[tuple[int, int]]:
    """Return the ranges of ``22``, ``8000:9000``, ``ssh,80``.

    Raises:
        LookupError: The name of a port is not known.
    """
    found = []
    for part in text.split(","):
        first, colon, last = part.partition(":")
        found.append((_port(first or "0"), _port((last or "65535") if colon else first)))
    return found


def _port(text: str) -> int:
    return int(text) if _ONE_PORT.fullmatch(text) else SERVICES[text]


def _status(values: list[str]) -> _Test:
    """Judge ``--ctstatus``: a first packet has no status but DNAT; ``NONE`` matches nothing."""
    wanted = set(values[0].split(","))
    return lambda packet: packet.has_new_destination if "DNAT" in wanted else False


def _destination_type(values: list[str]) -> _Test:
    wanted = set(values[0].split(","))
    return lambda packet: ("UNICAST" if packet.out else "LOCAL") in wanted


def _source_type(values: list[str]) -> _Test:
    wanted = set(values[0].split(","))
    return lambda packet: ("LOCAL" if packet.is_own else "UNICAST") in wanted


def _packet_type(values: list[str]) -> _Test:
    return lambda packet: None if packet.is_own else values[0] == "unicast"


def _set_match(values: list[str]) -> _Test:
    """Docker 28.0 asks by a set whether a packet goes out to one of its bridges."""
    if values[0].startswith("docker-ext-bridges-"):
        return lambda packet: packet.sent_to is not None and bool(packet.out)
    if values[1].startswith("src"):  # which sources a set has is not read: not the world
        return lambda _: "seldom"
    return lambda _: None


def _among(generic: frozenset[str]) -> Callable[[list[str]], _Test]:
    def make(values: list[str]) -> _Test:
        known = bool(generic & set(values[0].split(",")))
        return lambda _: known

    return make


def _mark(values: list[str]) -> _Test:
    """Judge the mark of a packet or of its connection: which of both is not told apart."""
    value, _, mask = values[0].partition("/")
    wanted, masked = int(value, 0), int(mask or str(ALL_BITS), 0)

    def test(packet: Packet) -> Condition:
        bits = packet.changes.mark | packet.changes.connection_mark
        return has_mark(bits, wanted, wanted, masked) if packet.is_tracked else None

    return test


def _states(values: list[str]) -> _Test:
    """Judge ``--ctstate``: DNAT holds beside the state that a connection has."""
    wanted = set(values[0].split(","))

    def test(packet: Packet) -> Condition:
        sent_on = packet.has_new_destination if "DNAT" in wanted else False
        return any_of((sent_on, *(packet.is_in_state(state.lower()) for state in wanted)))

    return test


def _syn(_: list[str]) -> _Test:
    return lambda packet: packet.protocol == "tcp"


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


def _seldom(_: list[str]) -> _Test:
    return lambda _: "seldom"


def _usual(usual: tuple[int, int], protocol: str = "") -> Callable[[list[str]], _Test]:
    """Return a test of ``N`` or ``N:M`` for a number that the sender chooses."""

    def make(values: list[str]) -> _Test:
        first, colon, last = values[0].partition(":")
        ends = int(first or 0), int((last or MOST) if colon else first)
        return lambda packet: (
            is_usual(usual, *ends) if protocol in {"", packet.protocol} else False
        )

    return make


def _beyond(usual: tuple[int, int], *, less: bool) -> Callable[[list[str]], _Test]:
    def make(values: list[str]) -> _Test:
        ends = (0, int(values[0]) - 1) if less else (int(values[0]) + 1, MOST)
        return lambda _: is_usual(usual, *ends)

    return make


_RATES: dict[str, Condition] = {
    "--limit": "some",
    "--hashlimit": "some",
    "--hashlimit-upto": "some",
    "--hashlimit-above": "seldom",
}
"""What holds for some packets, and whether the first of a quiet client is among them."""

_PARTS_OF_RATES = frozenset(
    (
        *("--limit-burst", "--hashlimit-burst", "--hashlimit-mode", "--hashlimit-srcmask"),
        *("--hashlimit-dstmask", "--hashlimit-name", "--hashlimit-htable-size"),
        *("--hashlimit-htable-max", "--hashlimit-htable-expire", "--hashlimit-htable-gcinterval"),
        *("--hashlimit-rate-match", "--hashlimit-rate-interval"),
        *("--connlimit-mask", "--connlimit-saddr", "--connlimit-daddr"),
        *("--probability", "--every", "--packet", "--algo", "--from", "--to", "--icase"),
    )
)
_OF_CONNECTIONS = frozenset(
    ("--ctstatus", "--ctdir", "--ctorigdst", "--ctorigdstport", "--ctproto")
)
_DESTINATION_PORTS = frozenset({"--dport", "--dports", "--ports"})
_TESTS: dict[str, Callable[[list[str]], _Test]] = {
    "-p": _protocol,
    "-s": _source,
    "--src-range": _source,
    "-d": _destination,
    "-i": _interface,
    "-o": _out_interface,
    "-f": _never,
    "--dport": _ports,
    "--sport": _source_ports,
    "--dports": _ports,
    "--sports": _source_ports,
    "--ports": _either_ports,
    "--rt-type": _never,
    "--match-set": _set_match,
    "--ctstate": _states,
    "--state": _states,
    "--ctstatus": _status,
    "--ctdir": _among(frozenset({"ORIGINAL"})),
    "--ctorigdst": _original_destination,
    "--ctorigdstport": _original_ports,
    "--ctproto": _protocol,
    "--dst-type": _destination_type,
    "--src-type": _source_type,
    "--pkt-type": _packet_type,
    "--icmp-type": _never,
    "--icmpv6-type": _never,
    "--mark": _mark,
    "--tcp-flags": _tcp_flags,
    "--syn": _syn,
    "--set": _always,
    "--name": _always,
    "--rsource": _always,
    "--mask": _always,
    "--invert": _never,  # of rpfilter: an answer would go out where the packet came in
    "--loose": _always,
    "--validmark": _always,
    "--accept-local": _always,
    "--mode": _seldom,
    "--string": _seldom,
    "--hex-string": _seldom,
    "--length": _usual(USUAL_LENGTHS),
    "--mss": _usual(USUAL_SEGMENTS, "tcp"),
    **{f"--{of}-eq": _usual(USUAL_HOPS) for of in ("ttl", "hl")},
    **{f"--{of}-lt": _beyond(USUAL_HOPS, less=True) for of in ("ttl", "hl")},
    **{f"--{of}-gt": _beyond(USUAL_HOPS, less=False) for of in ("ttl", "hl")},
}
