"""Rules in the form of ``nft -j list ruleset``, for :mod:`pytest_droplet.facts.firewall.packet_filter`.

What is known of nft's words stands in :mod:`pytest_droplet.facts.firewall.nft_words`.

Source: libnftables-json(5). Read with nftables 0.9.8, 1.0.6 and 1.1.3.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pytest_droplet.facts.firewall.nft_rule_text import rule_text
from pytest_droplet.facts.firewall.nft_statements import expressions_of, words_of
from pytest_droplet.facts.firewall.nft_words import (
    CHAIN_TYPES,
    ELEMENT_WORDS,
    FAMILIES,
    HOOKS,
    STATEMENTS,
    TABLE_FLAGS,
)
from pytest_droplet.facts.firewall.packet_filter import (
    ALL_BITS,
    ANY_CHANGE,
    MOST,
    MOST_LARGE,
    USUAL_HOPS,
    USUAL_LENGTHS,
    USUAL_SEGMENTS,
    Action,
    Changes,
    Condition,
    Destination,
    Hook,
    Match,
    Packet,
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

TABLES = "\n== tables\n"
"""Behind it the lines of ``nft list ruleset`` that begin a table or tell its flags."""

_Home = tuple[str, str]
_LIMITS = frozenset({"limit", "quota", "ct count", "counter"})
_HARMLESS_TARGETS = frozenset({"LOG", "NFLOG"})
_UNKNOWN_VERDICTS = frozenset({"queue", "xt", "fwd", "synproxy", "tproxy"})
_OF_THE_PACKET = frozenset(
    ("saddr", "daddr", "sport", "dport", "protocol", "nexthdr", "flags", "type", "pkttype")
)
_HARMLESS_META = frozenset({"priority", "nftrace", "secmark"})
_HARMLESS_CT = frozenset({"label", "helper", "event", "zone", "secmark"})
_STATES = frozenset({"new", "established", "related", "invalid", "untracked"})
_NAMED_SET = re.compile(r"@([^\s{}]+)")
_TABLE = re.compile(r"table (\S+) (\S+) \{.*")
_SOUND_VERSION = re.compile(r"1\.[1-9]|[2-9]")
_IPTABLES_STATEMENTS = frozenset(
    (
        *("counter", "limit", "xt", "log", "accept", "drop", "return", "jump", "goto", "reject"),
        *("masquerade", "snat", "dnat", "redirect"),
    )
)
_CHANCES = frozenset({"numgen"})
_EXTENSIONS = frozenset({"exthdr", "ip option", "tcp option"})
_FEW_BYTES = 100_000
_UNITS = {"bytes": 1, "kbytes": 2**10, "mbytes": 2**20}
_Test = Callable[[Any], Condition]


@dataclass(frozen=True, slots=True)
class _Table:
    """What rules of a table may name.

    Attributes:
        contents: The elements of its sets and maps.
        limits: Its limits and quotas, by their kind and name.
        fleeting: Sets whose elements are counted, limited or expire by default.
        changed: Sets that rules change: ``seldom`` where only those of high rates are added, None
            where it cannot be told.
        rates: The rates of the elements that rules add to a set, True where there is none.
        networks: Those of what rules compare with, by the object that a rule has, or its text.
        judged: Whether a source is among them, by that object and the source.
        maps: The keys and verdicts of maps, by that object: ``*``, for the rest, comes last.
    """

    contents: dict[str, list[Any]] = field(default_factory=dict)
    limits: dict[tuple[str, str], Any] = field(default_factory=dict)
    fleeting: set[str] = field(default_factory=set)
    changed: dict[str, Condition] = field(default_factory=dict)
    rates: dict[str, set[Condition]] = field(default_factory=dict)
    networks: dict[object, tuple[Network, ...]] = field(default_factory=dict)
    judged: dict[tuple[object, object], Condition] = field(default_factory=dict)
    maps: dict[object, list[tuple[Any, Any]]] = field(default_factory=dict)

    def verdicts(self, data: Any) -> list[tuple[Any, Any]]:
        """Return the keys and verdicts of a map, put in order once."""
        key = data if isinstance(data, str) else id(data)
        if key not in self.maps:
            pairs = [(_plain(found), verdict) for found, verdict in _items(data, self)]
            self.maps[key] = sorted(pairs, key=lambda pair: pair[0] == "*")
        return self.maps[key]

    def source(self, right: Any, packet: Packet) -> Condition:
        """Judge a packet's source by what stands on the right, once for all such packets."""
        elements = _elements(right, self)
        key = right if isinstance(right, str) else id(right)
        if key not in self.networks:
            items = map(_plain, elements)
            found = [network for item in items for network in _networks(item)]
            self.networks[key] = tuple(found)
        if (key, packet.source) not in self.judged:
            self.judged[key, packet.source] = packet.source(self.networks[key])
        return self.judged[key, packet.source]


def parse_ruleset(text: str) -> tuple[Hook, ...]:
    """Parse ``nft -j list ruleset``, with the flags of tables from the text form behind it.

    nft 0.9.8 and 1.0.6 print other words in the place of a table's flags (they read memory that
    is freed): the text form decides. Where it is absent, only an absent flag is believed.

    Returns:
        The chains at all hooks: those of type ``filter`` and ``route``, and those of type ``nat``
        that may stop packets or give them other destinations. In the order of their priority;
        labels are ``family table chain``. Chains of dormant tables are left out.

    Raises:
        NotObservedError: It is not the JSON that nft prints, or has a kind of chain or family
            that is not known.
    """
    printed, divided, told = text.partition(TABLES)
    try:
        objects = json.loads(printed)["nftables"]
        return hooks_of(objects, _told_flags(told) if divided else None)
    except (ValueError, RecursionError):
        raise NotObservedError("nft printed no JSON") from None
    except (LookupError, TypeError, AttributeError, ArithmeticError):
        raise NotObservedError("nft printed JSON of another form") from None


def _told_flags(text: str) -> dict[_Home, set[str]]:
    """Parse lines like ``table inet f {`` and, below, one like ``flags dormant``."""
    found: dict[_Home, set[str]] = {}
    home: _Home | None = None
    for line in text.splitlines():
        if matched := _TABLE.fullmatch(line):
            home = matched[1], matched[2]
            found[home] = set()
        elif home and line.strip().startswith("flags"):
            found[home].update(line.strip().removeprefix("flags").replace(" ", "").split(","))
    return found


def hooks_of(objects: list[Any], told: Mapping[_Home, set[str]] | None = None) -> tuple[Hook, ...]:
    """Return the chains of the objects that ``nft -j`` prints; see :func:`parse_ruleset`.

    Args:
        objects: What it prints under ``nftables``.
        told: The flags of each table by the text form; None: they were not read.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError: They have another form.
        NotObservedError: A chain or family is of a kind that is not known.
    """
    ruleset = _Ruleset(told)
    for entry in objects:
        for kind, body in entry.items():
            ruleset.add(kind, body)
    return ruleset.hooks()


class _Ruleset:
    """The objects of nft by their tables."""

    def __init__(self, told: Mapping[_Home, set[str]] | None) -> None:
        self._told = told
        self._version = ""
        self._flags: dict[_Home, Any] = {}
        self._tables: dict[_Home, _Table] = {}
        self._chains: dict[_Home, dict[str, list[Rule]]] = {}
        self._bases: list[Any] = []
        self._rules: list[tuple[_Home, Any]] = []

    def add(self, kind: str, body: Any) -> None:
        if kind == "metainfo":
            self._version = str(body.get("version"))
            return
        home = (body["family"], body.get("table", body.get("name")))
        table = self._tables.setdefault(home, _Table())
        if kind == "table":
            self._flags[home] = body.get("flags")
        elif kind in {"set", "map"}:
            table.contents[body["name"]] = body.get("elem", [])
            limited = any(set(each) != {"counter"} for each in body.get("stmt", []))
            may_go = any(map(_is_fleeting, table.contents[body["name"]]))
            if limited or may_go or body.get("timeout"):
                table.fleeting.add(body["name"])
        elif kind in {"limit", "quota"}:
            table.limits[kind, body["name"]] = body
        elif kind == "chain":
            chain = self._chains.setdefault(home, {}).setdefault(body["name"], [])
            if _decides(body):
                self._bases.append(body)
                chain += _device_rules(body)
        elif kind == "rule":
            self._add_rule(home, body)

    def _add_rule(self, home: _Home, body: Any) -> None:
        """Keep a rule; chains without a name that it has in itself get one."""
        expressions = []
        for each in body["expr"]:
            word, rules = _unnamed_chain(each)
            if word:
                name = f"{body['chain']}, chain {len(self._rules)}"
                self._chains.setdefault(home, {})[name] = []
                for inner in rules:
                    self._add_rule(home, {**body, "chain": name, "expr": inner})
                expressions.append({word: {"target": name}})
            else:
                expressions.append(each)
        self._rules.append((home, {**body, "expr": expressions}))

    def hooks(self) -> tuple[Hook, ...]:
        filters = Counter[tuple[str, str, str]]()
        ports: dict[_Home, set[tuple[int, int]]] = {}
        compared: dict[_Home, set[tuple[int, int]]] = {}
        changing: dict[_Home, list[Rule]] = {}
        sources: dict[_Home, set[Network]] = {}
        for home, body in self._rules:
            _note_changed_sets(body["expr"], self._tables[home])
        for home, body in self._rules:
            table, expressions = self._tables[home], body["expr"]
            rule = _rule(body, table)
            self._chains[home][body["chain"]].append(rule)
            changing.setdefault(home, []).extend([rule] if rule.changes != Changes() else [])
            filters[(*home, body["chain"])] += _filters(expressions) and not is_foreign(home[1])
            ports.setdefault(home, set()).update(_ports_in(expressions, table))
            sources.setdefault(home, set()).update(_large_sources(expressions, table))
            compared.setdefault(home, set()).update(_compared_ports(expressions))
        found = []
        for body in sorted(self._bases, key=lambda body: int(body.get("prio", 0))):
            home = body["family"], body["table"]
            doubt = self._doubt(home)
            if doubt is None:
                continue
            if body["hook"] == "egress" or (body["type"] == "nat" and body["hook"] == "input"):
                kind = f"a chain of type {body['type']} at the hook {body['hook']}"
                doubt = doubt or f"{kind} is not followed"
            of_filters = compared.get(home, set()) if body["type"] == "filter" else set()
            hook = Hook(
                label=f"{body['family']} {body['table']} {body['name']}",
                versions=FAMILIES[body["family"]],
                chain=body["name"],
                policy="drop" if body.get("policy") == "drop" else "accept",
                chains=self._chains[home],
                filters=filters.get((*home, body["name"]), 0) if body["type"] == "filter" else 0,
                place=body["hook"],
                translates=body["type"] == "nat" and body["hook"] in {"prerouting", "output"},
                priority=int(body.get("prio", 0)),
                ports=frozenset(ports.get(home, set()) | of_filters),
                doubt=doubt,
                changing=tuple(changing.get(home, ())),
                sources=frozenset(sources.get(home, ())),
                native=self._is_native(home),
            )
            found.append(hook)
        return share_changes(found)

    def _is_native(self, home: _Home) -> bool:
        """Whether a table has a rule that iptables did not write."""
        return not all(
            _may_be_of_iptables(*_statement(each))
            for of, body in self._rules
            if of == home
            for each in body["expr"]
        )

    def _doubt(self, home: _Home) -> str | None:
        """Return why a table may be dormant, empty where it is not, None where it is."""
        flags = self._flags.get(home)
        if self._told is not None:
            words = self._told.get(home)
            if flags and not words:  # the JSON has flags: the text broke off before them
                words = None
        elif isinstance(flags, str):
            words = {flags} if _SOUND_VERSION.match(self._version) else None
        else:
            words = set(flags or ())
        if words is not None and "dormant" in words:
            return None
        if words is None or words - TABLE_FLAGS:
            name = one_line(" ".join(home), 60)
            return f"whether the table {name} is dormant cannot be told from its flags"
        return ""


def _unnamed_chain(expression: Any) -> tuple[str, list[list[Any]]]:
    """Return ``jump`` or ``goto`` and the rules of a chain without a name; nft prints it as text."""
    if isinstance(expression, str) and expression.startswith(("jump {", "goto {")):
        (expression,) = expressions_of(words_of(expression))
    kind, body = _statement(expression)
    if kind in {"jump", "goto"} and "rules" in body:
        return kind, body["rules"]
    return "", []


def _decides(chain: Mapping[str, Any]) -> bool:
    """Whether the kernel sends packets of a Droplet through the chain."""
    if "hook" not in chain:
        return False
    family, kind, hook = chain["family"], chain.get("type"), chain["hook"]
    if family not in FAMILIES or kind not in CHAIN_TYPES or hook not in HOOKS:
        words = one_line(f"type {kind} hook {hook} in the family {family}", 80)
        raise NotObservedError(f"nft has a chain of a kind that is not known: {words}")
    return bool(FAMILIES[family])


def _device_rules(chain: Mapping[str, Any]) -> list[Rule]:
    """Return what lets packets of other devices pass; nft 1.0.6 does not tell which are meant."""
    if chain["hook"] not in {"ingress", "egress"}:
        return []
    devices = chain.get("dev", [])
    names = [devices] if isinstance(devices, str) else list(devices)

    def others(packet: Packet) -> list[Step]:
        used = packet.out if packet.is_own else packet.interfaces
        meant = any_of(is_named(used, str(name), "*") for name in names)
        return [(negated(meant) if names else None, Action("accept"))]

    return [Rule(others, lambda: "for a device, which nft does not tell")]


def _rule(body: Any, table: _Table) -> Rule:
    expressions = list(body["expr"])
    return Rule(
        steps=partial(_steps, expressions, table, _wanted(expressions)),
        text=partial(rule_text, body),
        changes=_changes(expressions),
        reaches=partial(_reaches, expressions, table),
    )


def _reaches(expressions: list[Any], table: _Table, packet: Packet) -> Condition:
    """Judge what stands before the first statement of a rule that changes a packet."""
    matches: list[Condition] = []
    for kind, body in map(_statement, expressions):
        if kind == "match":
            matches.append(_match(body, table, packet))
        elif _changes([{kind: body}]) != Changes():
            break
    return both(*matches)


def _statement(expression: Any) -> tuple[str, Any]:
    """Return a statement's word and its body; ``?`` for what nft has no JSON for."""
    if not isinstance(expression, dict) or len(expression) != 1:
        return "?", expression
    ((kind, body),) = expression.items()
    return kind, body


def _may_be_of_iptables(kind: str, body: Any) -> bool:
    """Whether iptables can show a statement; what it does not know, it leaves out of a rule."""
    if kind != "match":
        return kind in _IPTABLES_STATEMENTS
    left, right = body["left"], body["right"]
    of_packet = isinstance(left, dict) and set(left) <= {"meta", "payload", "&"}
    in_set = str(right).startswith("@") or (isinstance(right, dict) and "set" in right)
    return of_packet and not in_set and body["op"] in {"==", "!=", "in"}


def _ports_in(expressions: list[Any], table: _Table) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ports that a rule compares with, also as the keys of a map."""
    for kind, body in map(_statement, expressions):
        if kind == "match" and _is_port(body["left"]):
            found = list(_items(body["right"], table))
        elif kind == "vmap" and _is_port(body["key"]):
            found = [key for key, _ in _items(body["data"], table)]
        elif kind in {"dnat", "redirect"}:
            found = [_plain(key) for key, _ in _pairs(body, table)]
        else:
            continue
        for item in found:
            parts = item["concat"] if isinstance(item, dict) and "concat" in item else [item]
            yield from filter(None, map(_range, parts))


def _large_sources(expressions: list[Any], table: _Table) -> Iterator[Network]:
    """Yield the large networks that a rule asks of a source."""
    for kind, body in map(_statement, expressions):
        left = body["left"] if kind == "match" else body["key"] if kind == "vmap" else None
        if not isinstance(left, dict) or left.get("payload", {}).get("field") != "saddr":
            continue
        right = body["right"] if kind == "match" else body["data"]
        for item in _items(right, table):
            key = _plain(item[0]) if kind == "vmap" and isinstance(item, list) else item
            if _may_be_large(key):
                yield from filter(is_large, _networks(key))


def _may_be_large(item: Any) -> bool:
    """Whether an item need be parsed: there may be many that need not."""
    if isinstance(item, str):  # of a file
        return "/" in item or "-" in item
    if not isinstance(item, dict):
        return False
    return "range" in item or ("prefix" in item and item["prefix"]["len"] <= MOST_LARGE)


def _compared_ports(expressions: list[Any]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ports that a rule asks for by ``<`` or ``>``."""
    for kind, body in map(_statement, expressions):
        if kind == "match" and _is_port(body["left"]):
            ports = _beyond(body["op"], body["right"])
            yield from [ports] if ports else []


def _is_port(left: Any) -> bool:
    parts = left.get("concat", [left]) if isinstance(left, dict) else []
    return any(isinstance(p, dict) and p.get("payload", {}).get("field") == "dport" for p in parts)


def _range(item: Any) -> tuple[int, int] | None:
    item = _plain(item)
    if isinstance(item, dict) and "range" in item:
        first, last = item["range"]
        return (first, last) if isinstance(first, int) and isinstance(last, int) else None
    return (item, item) if isinstance(item, int) and not isinstance(item, bool) else None


def _filters(expressions: list[Any]) -> bool:
    """Whether a rule decides over packets itself, or hands them to a chain of the firewall."""
    for kind, body in map(_statement, expressions):
        if kind in {"jump", "goto"}:
            return not is_foreign(str(body["target"]))
        if kind == "vmap" or _action(kind, body) is not None:
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a rule asks for by ``==``, so that most packets need not be judged by all of it.

    Attributes:
        protocol: That of its ports; empty: it asks for none.
        ports: The ranges of ports, where all are numbers.
        source: What it compares a source with, as :class:`_Table` knows it; None: nothing.
    """

    protocol: str = ""
    ports: tuple[tuple[int, int], ...] = ()
    source: object = None

    def excludes(self, packet: Packet, table: _Table) -> bool:
        """Whether the packet cannot meet the rule."""
        if self.protocol:
            if packet.protocol != self.protocol:
                return True
            port = packet.port
            if port is not None and not any(a <= port <= b for a, b in self.ports):
                return True
        return self.source is not None and table.judged.get((self.source, packet.source)) is False


def _wanted(expressions: list[Any]) -> _Wanted:
    protocol = ""
    ports: tuple[tuple[int, int], ...] = ()
    source: object = None
    for kind, body in map(_statement, expressions):
        if kind != "match" or body["op"] != "==" or not isinstance(body["left"], dict):
            continue
        of, right = body["left"].get("payload", {}), body["right"]
        if of.get("protocol") in {"tcp", "udp"} and of.get("field") == "dport":
            items = right["set"] if isinstance(right, dict) and "set" in right else [right]
            ranges = [_range(item) for item in items]
            protocol = of["protocol"]
            ports = tuple(r for r in ranges if r) if all(ranges) else ((0, MOST),)
        elif _is_source(body["left"]) and not str(right).startswith("@"):
            source = right if isinstance(right, str) else id(right)
    return _Wanted(protocol, ports, source)


def _steps(
    expressions: list[Any], table: _Table, wanted: _Wanted, packet: Packet
) -> Iterator[Step]:
    """Yield what a rule does: its statements in their order, up to its verdict."""
    if wanted.excludes(packet, table):
        return
    matches: list[Condition] = []
    for kind, body in map(_statement, expressions):
        if matches and matches[-1] is False:
            return
        if kind == "vmap":
            for matched, action in _verdicts(body, table, packet):
                yield both(*matches, matched), action
        elif kind in {"dnat", "redirect"}:
            matches.append(_is_for(kind, body, packet))
            for matched, action in _translations(body or {}, table, packet):
                yield both(*matches, matched), action
        elif (verdict := _action(kind, body)) is not None:
            matches.append(_is_for(kind, body, packet))
            yield both(*matches), verdict
        else:
            matches.append(_condition(kind, body, table, packet))


def _is_for(kind: str, body: Any, packet: Packet) -> Match:
    """Whether a statement sees the packet by its own kind, which nft does not list as a match."""
    if not isinstance(body, dict):
        return True
    if kind == "reject":
        of_type = {"icmp": packet.version == 4, "icmpv6": packet.version == 6, "icmpx": True}
        of_type |= {"tcp reset": packet.protocol == "tcp"}
        return of_type.get(str(body.get("type", "icmpx")))
    family = body.get("family")
    return packet.version in FAMILIES.get(str(family), ()) if family else True


def _condition(kind: str, body: Any, table: _Table, packet: Packet) -> Condition:
    """Judge whether the rule goes on behind a statement."""
    if kind == "match":
        return _match(body, table, packet)
    if kind in _LIMITS:
        return _limited(kind, body, table)
    if kind in {"set", "map", "meter"}:
        return _stored(kind, body, table, packet)
    if kind == "mangle":
        has_header = "payload" not in body["key"] or _applies(body["key"], packet)
        return both(has_header, _is_plain_value(body["value"]))
    use = STATEMENTS.get(kind)
    return (True if use in {"passes", "change"} else None) if not _has_map(body) else None


def _limited(kind: str, body: Any, table: _Table) -> Condition:
    """Judge a statement that holds for some packets: ``seldom`` where it is what exceeds a rate.

    A named limit stands in its table. A quota that has much left is not exceeded now; when it
    will be is not followed, nor how many connections there are: a first connection does not
    exceed a number of them.
    """
    if isinstance(body, str):
        body = table.limits.get((kind, body))
    if kind == "counter":
        return None if _has_map(body) else True
    if not isinstance(body, dict):
        return None
    over = bool(body.get("inv"))
    if kind == "limit" and "rate" in body:
        return "seldom" if over else "some"
    if kind == "quota":
        return "seldom" if over and _has_left(body) else None
    if kind == "ct count" and over and body.get("val", 0) > 0:
        return "seldom"
    return None


def _has_left(quota: Mapping[str, Any]) -> bool:
    """Whether a quota is far from used up."""
    if "bytes" in quota:
        whole, used = quota["bytes"], quota.get("used", 0)
    else:
        whole = quota.get("val", 0) * _UNITS.get(str(quota.get("val_unit")), 0)
        used = quota.get("used", 0) * _UNITS.get(str(quota.get("used_unit")), whole)
    return bool(whole - used > _FEW_BYTES)


def _stored(kind: str, body: Any, table: _Table, packet: Packet) -> Condition:
    """Judge ``add @set { key ... }``: it holds for packets that have the key, within its rate.

    Without a rate it holds until the set is full, and nft 0.9.8 does not list the rate. An element
    that another rule added has that rule's rate.
    """
    key = body["key"] if kind == "meter" else body["elem"]
    if not _applies(_plain(key), packet):
        return False
    rates = table.rates[_name_of_set(kind, body)]
    if len(rates) > 1 or True in rates or body.get("op") == "delete":
        return None
    return next(iter(rates))


def _name_of_set(kind: str, body: Any) -> str:
    return str(body["name"] if kind == "meter" else body[kind]).removeprefix("@")


def _rate_of(body: Any, table: _Table) -> Condition:
    """Return the rate that stands inside a statement that adds elements; True: there is none."""
    given = body.get("stmt", [])
    inner = map(_statement, given if isinstance(given, list) else [given])
    return both(*(_limited(kind, each, table) for kind, each in inner))


def _note_changed_sets(expressions: list[Any], table: _Table) -> None:
    """Note which sets a rule changes, and whether it does so for high rates alone."""
    seldom = False
    for kind, body in map(_statement, expressions):
        if kind in _LIMITS:
            seldom |= _limited(kind, body, table) == "seldom"
        elif kind in {"set", "map", "meter"}:
            name, rate = _name_of_set(kind, body), _rate_of(body, table)
            table.rates.setdefault(name, set()).add(rate)
            known = (seldom or rate == "seldom") and table.changed.get(name, "seldom") == "seldom"
            table.changed[name] = "seldom" if known else None
        elif kind == "?":
            table.changed.update(dict.fromkeys(_NAMED_SET.findall(str(body))))


def _has_map(body: Any) -> bool:
    """Whether which object is meant is looked up: without an entry the rule ends there."""
    return isinstance(body, dict) and "map" in body


def _is_plain_value(value: Any) -> Match:
    """Whether a value is always there: a number, a mark, or both joined."""
    if isinstance(value, dict) and set(value) <= {"&", "|", "^"}:
        (parts,) = value.values()
        return True if all(map(_is_plain_value, parts)) else None
    if isinstance(value, dict) and set(value) <= {"meta", "ct"}:
        return True if next(iter(value.values())).get("key") == "mark" else None
    return True if isinstance(value, (int, str)) else None


def _changes(expressions: list[Any]) -> Changes:
    """Return what a rule does to packets that others read."""
    found = Changes()
    for kind, body in map(_statement, expressions):
        if kind == "notrack":
            found |= Changes(untracked=True)
        elif kind == "mangle":
            found |= _changed(body)
        elif kind == "xt":
            harmless = body and (
                body.get("type") == "match" or body.get("name") in _HARMLESS_TARGETS
            )
            found |= Changes() if harmless else ANY_CHANGE
        elif kind == "tproxy" or kind not in STATEMENTS:
            found |= Changes() if kind in {"?", "unknown"} else ANY_CHANGE
    return found


def _changed(body: Any) -> Changes:
    ((kind, key),) = body["key"].items()
    word = key.get("key", key.get("field", "packet"))
    bits, copied = _bits(body["value"])
    if kind in {"meta", "ct"} and word == "mark":
        mark, connection_mark = (bits, 0) if kind == "meta" else (0, bits)
        return Changes(mark, connection_mark, copied)
    harmless = {"meta": _HARMLESS_META, "ct": _HARMLESS_CT}.get(kind, frozenset())
    if word in harmless or (kind == "payload" and word not in {*_OF_THE_PACKET, "packet"}):
        return Changes()
    return Changes() if kind in {"tcp option", "exthdr"} else Changes(packet=True)


def _bits(value: Any) -> tuple[int, bool]:
    """Return the bits that may be set in a mark of this value, and whether it has a mark's."""
    if isinstance(value, int):
        return value, False
    if isinstance(value, dict) and set(value) <= {"&", "|", "^"}:
        ((sign, parts),) = value.items()
        known = [_bits(part) for part in parts]
        copied = any(of_mark for _, of_mark in known)
        if sign == "&":  # what is masked has no other bits, and those of a mark are its own
            return 0 if copied else known[0][0] & known[1][0], copied
        return known[0][0] | known[1][0], copied
    if isinstance(value, dict) and set(value) <= {"meta", "ct"}:
        return (0, True) if next(iter(value.values())).get("key") == "mark" else (ALL_BITS, True)
    return ALL_BITS, False


def _action(kind: str, body: Any) -> Action | None:
    if kind in {"accept", "drop", "return"}:
        return Action(kind)  # type: ignore[arg-type]
    if kind == "reject":
        return Action("drop")
    if kind in {"jump", "goto"}:
        return Action(kind, str(body["target"]))  # type: ignore[arg-type]
    if kind == "continue":
        return Action("pass")
    if kind in {"snat", "masquerade"}:
        return Action("accept")
    if kind == "xt" and body and body.get("type") == "match":
        return None
    if kind == "xt" and body and body.get("name") in _HARMLESS_TARGETS:
        return Action("pass")
    return Action("unknown") if kind in _UNKNOWN_VERDICTS else None


def _translations(body: Any, table: _Table, packet: Packet) -> Iterator[Step]:
    """Yield where ``dnat`` and ``redirect`` send the packet, by a map where there is one."""
    pairs = _pairs(body, table)
    if not pairs:
        yield True, _translation(body.get("addr"), body.get("port"))
        return
    subject = next(_maps(body))["key"]
    test = _subject(subject, packet)
    for key, value in pairs if _applies(subject, packet) else ():
        address, port = body.get("addr"), body.get("port")
        if isinstance(value, dict) and "concat" in value:
            address, port = value["concat"]
        elif isinstance(address, dict):
            address = value
        else:
            port = value
        found = _held(_holds(test, [_plain(key)]), next(_maps(body))["data"], table)
        yield found, _translation(address, port)


def _maps(body: Any) -> Iterator[Any]:
    for part in ("addr", "port"):
        value = body.get(part) if isinstance(body, dict) else None
        if isinstance(value, dict) and "map" in value:
            yield value["map"]


def _pairs(body: Any, table: _Table) -> list[Any]:
    found = next(_maps(body), None)
    return [] if found is None else list(_items(found["data"], table))


def _translation(address: Any, port: Any) -> Action:
    if not (address is None or isinstance(address, str)) or not (
        port is None or isinstance(port, int)
    ):
        return Action("unknown")
    found = None if address is None else str(ipaddress.ip_address(address))
    return Action("translate", Destination(found, port).text)


def _verdicts(body: Any, table: _Table, packet: Packet) -> Iterator[Step]:
    """Yield what a map does with the packet: one key's verdict, or that of ``*`` for the rest."""
    if not _applies(body["key"], packet):
        return
    test = _subject(body["key"], packet)
    data = body["data"]
    of_port = _is_port(body["key"]) and str(data).removeprefix("@") not in table.changed
    for key, verdict in table.verdicts(data):
        if of_port and packet.port is not None and type(key) is int and key != packet.port:
            continue
        ((kind, target),) = verdict.items()
        found = True if key == "*" else _holds(test, [key])
        matched = _held(found, data, table)
        action = _action(kind, target)
        if action is not None:
            yield matched, action
        if matched is True:
            return


def _match(body: Any, table: _Table, packet: Packet) -> Condition:
    left, right, operator = body["left"], body["right"], body["op"]
    if not _applies(left, packet):
        return False
    if operator in {"<", ">", "<=", ">="}:
        return _compares(left, operator, right, packet)
    if operator == "!" and _is_tcp_flags(left):
        return "syn" not in _flags(right)
    if operator not in {"==", "!=", "in"}:
        return None
    found: Condition
    if isinstance(left, dict) and ("&" in left or _is_tcp_flags(left)):
        found = _masked(left, right, operator, packet)
    else:
        if _is_source(left) and isinstance(right, (dict, str)):
            found = table.source(right, packet)
        else:
            found = _holds(_subject(left, packet), list(_items(right, table)))
        found = _held(found, right, table)
    if isinstance(left, dict) and _CHANCES.intersection(left):
        return "seldom"
    return negated(found, by=operator == "!=")


def _applies(left: Any, packet: Packet) -> bool:
    """Whether the packet has the header at all: without it no comparison holds."""
    if isinstance(left, dict) and "&" in left:
        left = left["&"][0]
    parts = left.get("concat", [left]) if isinstance(left, dict) else []
    for part in parts:
        if not isinstance(part, dict):
            continue
        version = {"exthdr": 6, "ip option": 4}.get(next(iter(part), ""), packet.version)
        if version != packet.version or ("tcp option" in part and packet.protocol != "tcp"):
            return False
        of_connection = part.get("ct", {}).get("key")
        if of_connection not in {None, "state"} and packet.is_tracked is False:
            return False
        protocol = part.get("payload", {}).get("protocol")
        if protocol in {"tcp", "udp"} and protocol != packet.protocol:
            return False
        if protocol in {"ip", "ip6"} and protocol != ("ip" if packet.version == 4 else "ip6"):
            return False
        if protocol in {"icmp", "icmpv6", "arp", "sctp", "dccp", "esp", "ah", "igmp", "udplite"}:
            return False
    return True


def _is_source(left: Any) -> bool:
    body = left.get("payload", {}) if isinstance(left, dict) else {}
    return body.get("field") == "saddr" and body.get("protocol") in {"ip", "ip6"}


class _Addresses:
    """A test of addresses, which are judged together: many may cover the internet."""

    def __init__(self, judge: Callable[[list[Network]], Condition]) -> None:
        self.judge = judge


def _holds(test: _Test | _Addresses, items: list[Any]) -> Condition:
    if isinstance(test, _Addresses):
        networks = [network for item in items for network in _networks(item)]
        return test.judge(networks)
    return any_of(test(item) for item in items)


def _held(found: Condition, right: Any, table: _Table) -> Condition:
    """Judge what was found in a set again, by what becomes of its elements.

    An element may expire, or hold for some packets alone; rules may add others.
    """
    name = right[1:] if isinstance(right, str) and right.startswith("@") else ""
    if name in table.changed:
        return "seldom" if found is False and table.changed[name] == "seldom" else None
    fleeting = name in table.fleeting if name else any(map(_is_fleeting, _elements(right, table)))
    return None if fleeting and found is not False else found


def _is_fleeting(item: Any) -> bool:
    if isinstance(item, list):
        item = item[0]
    return isinstance(item, dict) and "elem" in item and not set(item["elem"]) <= ELEMENT_WORDS


def _items(right: Any, table: _Table) -> Iterator[Any]:
    """Yield the values on the right side: one, a list of flags, a set, a named set or map."""
    yield from map(_plain, _elements(right, table))


def _elements(right: Any, table: _Table) -> list[Any]:
    if isinstance(right, str) and right.startswith("@"):
        right = table.contents.get(right[1:])
        if right is None:
            raise NotObservedError("nft names a set that it does not list")
    elif isinstance(right, dict) and "set" in right:
        right = right["set"]
    return right if isinstance(right, list) else [right]


def _plain(item: Any) -> Any:
    return item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item


def _subject(left: Any, packet: Packet) -> _Test | _Addresses:
    """Return the test of one value on the right side against what stands on the left."""
    if not isinstance(left, dict):
        return _untold
    if usual := _usual(left):
        return partial(_is_usual, usual)
    ((kind, body),) = left.items()
    if kind == "concat":
        tests = [_subject(part, packet) for part in body]
        return lambda item: _concat(tests, item)
    if kind == "meta":
        return _meta(str(body["key"]), packet)
    if kind == "ct":
        return _ct(str(body["key"]), str(body.get("dir")), packet)
    if kind == "payload":
        return _payload(str(body.get("protocol")), str(body.get("field")), packet)
    if kind == "fib":
        return _fib(body, packet)
    if kind in _EXTENSIONS and body.get("field") is None:  # few packets have any
        return lambda item: "seldom" if item is True else "some" if item is False else None
    return _seldom if kind in {*_CHANCES, *_EXTENSIONS} else _untold


def _concat(tests: list[_Test | _Addresses], item: Any) -> Condition:
    parts = item["concat"] if isinstance(item, dict) and "concat" in item else [item]
    if len(parts) != len(tests):
        return None
    return both(*(_holds(t, [_plain(part)]) for t, part in zip(tests, parts, strict=True)))


def _meta(key: str, packet: Packet) -> _Test:
    families = {"ipv4", "ip", 4, 2, 0x0800} if packet.version == 4 else {"ipv6", "ip6", 6, 10}
    named = partial(_is_interface, packet)
    tests: dict[str, _Test] = {
        "iifname": named,
        "iif": named,
        "oifname": lambda item: goes_out(packet, item, "*") if isinstance(item, str) else None,
        "oif": lambda item: goes_out(packet, item, "*") if isinstance(item, str) else None,
        "l4proto": partial(_is_protocol, packet),
        "nfproto": lambda item: _is_among(item, families),
        "protocol": lambda item: _is_among(item, families),
        "mark": partial(_is_mark, packet.changes.mark),
        "pkttype": lambda item: _is_among(item, {"host", "unicast", 0}),
        "iiftype": lambda item: _is_among(item, {"ether", 1}),
    }
    if packet.is_own and key in {"pkttype", "iiftype"}:
        return _untold
    return tests.get(key, _untold)


def _is_among(item: Any, words: Iterable[Any]) -> Match:
    """Whether a word or number is one of these; another form cannot be told."""
    return item in words if isinstance(item, (str, int)) else None


def _is_interface(packet: Packet, item: Any) -> Match:
    return is_named(packet.interfaces, item, "*") if isinstance(item, str) else None


def _is_protocol(packet: Packet, item: Any) -> Match:
    return _is_among(item, {packet.protocol, {"tcp": 6, "udp": 17}[packet.protocol]})


def _is_mark(bits: int, item: Any, mask: int = ALL_BITS) -> Match:
    """Judge a mark in which some bits may be set; names of marks are not known."""
    first, last = item["range"] if isinstance(item, dict) and "range" in item else (item, item)
    if not isinstance(first, int) or not isinstance(last, int):
        return None
    return has_mark(bits, first, last, mask)


def _payload(protocol: str, field: str, packet: Packet) -> _Test | _Addresses:
    if protocol in {"tcp", "udp", "th"} and field == "dport":
        return lambda item: _is_port_among(item, packet)
    if protocol in {"tcp", "udp", "th"} and field == "sport":
        return lambda item: _is_source_port(item, packet)
    if protocol in {"ip", "ip6"}:
        if field == "saddr":
            return _Addresses(packet.source)
        if field == "daddr":
            return _Addresses(partial(for_addresses, packet))
        if field in {"protocol", "nexthdr"}:
            return partial(_is_protocol, packet)
    return _meta("protocol", packet) if (protocol, field) == ("ether", "type") else _untold


def _fib(body: Any, packet: Packet) -> _Test:
    if body.get("result") == "type":
        of_host = packet.is_own
        if "daddr" in body.get("flags", []):
            of_host = not packet.is_own and not packet.out
        known = {"local", 2} if of_host else {"unicast", 1}
        return lambda item: _is_among(item, known)
    if (
        not packet.is_own
        and "saddr" in body.get("flags", [])
        and body.get("result") in {"oif", "oifname"}
    ):
        return lambda item: bool(item) if item in {0, 1} else None
    return _untold


def _is_port_among(item: Any, packet: Packet) -> Condition:
    ports = _range(item)
    return None if ports is None else packet.to(*ports)


def _is_source_port(item: Any, packet: Packet) -> Condition:
    ports = _range(item)
    return None if ports is None else packet.comes_from(*ports)


def _usual(left: Any) -> tuple[int, int] | None:
    """Return what first packets have of a number that their sender chooses."""
    if not isinstance(left, dict) or len(left) != 1:
        return None
    ((kind, body),) = left.items()
    word = body.get("key", body.get("field")) if isinstance(body, dict) else None
    if (kind, word) == ("meta", "length") or (kind == "payload" and word == "length"):
        return USUAL_LENGTHS
    if kind == "payload" and word in {"ttl", "hoplimit"}:
        return USUAL_HOPS
    of_segments = kind == "tcp option" and body.get("name") == "maxseg" and word == "size"
    return USUAL_SEGMENTS if of_segments else None


def _is_usual(usual: tuple[int, int], item: Any) -> Condition:
    numbers = _range(item)
    return None if numbers is None else is_usual(usual, *numbers)


def _compares(left: Any, operator: str, right: Any, packet: Packet) -> Condition:
    if not isinstance(left, dict) or (numbers := _beyond(operator, right)) is None:
        return None
    if usual := _usual(left):
        return is_usual(usual, *numbers)
    if _CHANCES.intersection(left):
        return "seldom"
    field = left.get("payload", {}).get("field")
    if field not in {"dport", "sport"}:
        return None
    return packet.to(*numbers) if field == "dport" else packet.comes_from(*numbers)


def _beyond(operator: str, port: Any) -> tuple[int, int] | None:
    """Return the ports that are less or more than one; None: nothing of the kind is asked."""
    if not isinstance(port, int):
        return None
    ends = {"<": (0, port - 1), "<=": (0, port), ">": (port + 1, 65535), ">=": (port, 65535)}
    return ends.get(operator)


def _is_tcp_flags(left: Any) -> bool:
    body = left.get("payload", {}) if isinstance(left, dict) else {}
    return bool(body.get("protocol") == "tcp" and body.get("field") == "flags")


def _masked(left: Any, right: Any, operator: str, packet: Packet) -> Condition:
    """Judge ``mark & mask`` and ``tcp flags & mask``: of the flags SYN is set."""
    subject, mask = left.get("&", (left, None))
    if isinstance(subject, dict) and set(subject) <= {"meta", "ct"}:
        ((kind, body),) = subject.items()
        if body.get("key") != "mark" or not isinstance(mask, int) or operator == "in":
            return None
        if kind == "ct" and not packet.is_tracked:
            return packet.is_tracked
        bits = packet.changes.mark if kind == "meta" else packet.changes.connection_mark
        items = right["set"] if isinstance(right, dict) and "set" in right else [right]
        known = [_is_mark(bits, _plain(item), mask) for item in items]
        return True if True in known else None if None in known else False
    if isinstance(subject, dict) and subject.get("payload", {}).get("field") == "frag-off":
        return "some" if right == 0 else "seldom"  # the first part, or no part at all
    if not isinstance(subject, dict) or not _is_tcp_flags(subject):
        return None
    wanted = _flags(right)
    if operator == "in":
        return "syn" in wanted
    if mask is None:
        choices = right["set"] if isinstance(right, dict) and "set" in right else [right]
        return any(_flags(choice) == {"syn"} for choice in choices)
    return ({"syn"} & _flags(mask)) == wanted


def _flags(value: Any) -> set[str]:
    if isinstance(value, dict):
        value = value.get("|", value.get("set", []))
    if isinstance(value, list):
        return set().union(*map(_flags, value)) if value else set()
    return set() if value == 0 else {str(value)}


def _networks(item: Any) -> Iterable[Network]:
    if isinstance(item, dict) and "prefix" in item:
        return to_networks(f"{item['prefix']['addr']}/{item['prefix']['len']}")
    if isinstance(item, dict) and "range" in item:
        first, last = item["range"]
        return to_networks(f"{first}-{last}")
    return to_networks(str(item))


def _untold(_: Any) -> Match:
    return None


def _seldom(_: Any) -> Condition:
    return "seldom"


def _ct(key: str, direction: str, packet: Packet) -> _Test | _Addresses:
    sent = packet.sent_to or packet
    if key == "state":
        return lambda item: packet.is_in_state(item) if str(item) in _STATES else None
    if not packet.is_tracked:
        return _untold
    if key == "status":
        translated = packet.has_new_destination
        return lambda item: {"dnat": translated, "snat": False}.get(str(item))
    if key == "mark":
        return partial(_is_mark, packet.changes.connection_mark)
    if key == "protocol":
        return partial(_is_protocol, packet)
    if direction == "original" and key in {"saddr", "ip saddr", "ip6 saddr"}:
        return _Addresses(packet.source)
    if key == "direction":
        return lambda item: _is_among(item, {"original", 0})
    if direction == "original" and key == "proto-dst":
        return lambda item: _is_port_among(item, sent)
    if direction == "original" and key in {"daddr", "ip daddr", "ip6 daddr"}:
        return _Addresses(partial(for_addresses, sent))
    return _untold
