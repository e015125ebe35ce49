"""Rules in the form of iptables-save, for :mod:`pytest_droplet.facts.packet_filter`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from pytest_droplet.facts.packet_filter import (
    Action,
    Hook,
    Match,
    Packet,
    Rule,
    Step,
    both,
    for_addresses,
    is_broad,
    is_foreign,
    is_world,
    negated,
    on_interfaces,
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
_FLAGS = frozenset(("FIN", "SYN", "RST", "PSH", "ACK", "URG"))
_Test = Callable[[Packet], Match]


@dataclass
class _Draft:
    tests: list[_Test] = field(default_factory=list)
    limited: bool = False
    target: str = ""
    goto: bool = False


def parse_save(text: str, version: Literal[4, 6], label: str) -> Hook | None:
    """Parse the table ``filter`` of iptables-save.

    Returns:
        The chain INPUT as a hook, None where the text has none: no rules were ever made.

    Raises:
        NotObservedError: A line is not as expected.
    """
    policies: dict[str, str] = {}
    filters = 0
    chains: dict[str, list[Rule]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table != "filter" or not line.strip() or line[0] in "#C":
            continue
        elif line.startswith(":"):
            name, _, rest = line[1:].partition(" ")
            policies[name] = rest.partition(" ")[0]
            chains.setdefault(name, [])
        else:
            name, draft = _parse_rule(line)
            chains.setdefault(name, []).append(_rule(draft, policies))
            decides = draft.target and draft.target not in _HARMLESS
            filters += bool(name == "INPUT" and decides and not is_foreign(draft.target))
    if "INPUT" not in chains:
        return None
    return Hook(
        label=label,
        versions=frozenset({version}),
        chain="INPUT",
        policy="accept" if policies.get("INPUT") == "ACCEPT" else "drop",
        chains=chains,
        filters=filters,
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
    return Action("unknown")


def _parse_rule(line: str) -> tuple[str, _Draft]:
    draft = _Draft()
    try:
        command, chain, *words = shlex.split(line)
        _read(words, draft)
    except (ValueError, IndexError):
        command, chain = "", ""
    if command != "-A":
        raise NotObservedError(f"unexpected rule: {one_line(line, 100)}")
    return chain, draft


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
            return
        if option == "--limit" or option.startswith("--hashlimit"):
            draft.limited = True
        elif option not in {"-m", "--match", "--comment", "--limit-burst", "-c"}:
            draft.tests.append(_test(option, values, inverted=inverted))
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
    world = is_world(to_networks(values[0]))
    return lambda _: world


def _destination(values: list[str]) -> _Test:
    networks = to_networks(values[0])
    return lambda packet: for_addresses(packet, networks)


def _ports(values: list[str]) -> _Test:
    broad = any(_is_broad_range(part) for part in values[0].split(","))
    return lambda _: broad


def _is_broad_range(text: str) -> bool:
    first, colon, last = text.partition(":")
    if not colon:
        return False
    return is_broad(int(first or 0), int(last or 65535))


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
    return lambda packet: on_interfaces(packet, values[0], "+")


def _never(_: list[str]) -> _Test:
    return lambda _: False


def _always(_: list[str]) -> _Test:
    return lambda _: True


_TESTS: dict[str, Callable[[list[str]], _Test]] = {
    "-p": _protocol,
    "-s": _source,
    "-d": _destination,
    "-i": _interface,
    "-o": _never,
    "-f": _never,
    "--dport": _ports,
    "--sport": _ports,
    "--dports": _ports,
    "--sports": _ports,
    "--ports": _ports,
    "--ctstate": _among(frozenset({"NEW"})),
    "--state": _among(frozenset({"NEW"})),
    "--ctstatus": _among(frozenset({"NONE"})),
    "--dst-type": _among(frozenset({"LOCAL"})),
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
