"""Rules in the form of ``nft -j list ruleset``, for :mod:`pytest_droplet.facts.packet_filter`.

Source: libnftables-json(5). Read with nftables 1.0.6 and 1.1.3.
"""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

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
    any_of,
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

_VERSIONS = {"ip": frozenset({4}), "ip6": frozenset({6}), "inet": frozenset({4, 6})}
_PASSING = frozenset(
    ("counter", "log", "comment", "mangle", "notrack", "set", "map", "secmark", "meter", "last")
)
_LIMITS = frozenset({"limit", "ct count", "quota"})
_PLACES: Mapping[str, Place] = {
    "prerouting": "prerouting",
    "input": "input",
    "forward": "forward",
}
_PROTOCOLS: Mapping[Any, str] = {6: "tcp", 17: "udp"}
_Test = Callable[[Any], Match]


@dataclass(frozen=True, slots=True)
class _Table:
    """What rules of a table may name: its sets and maps."""

    contents: Mapping[str, list[Any]]


def parse_ruleset(text: str) -> tuple[Hook, ...]:
    """Parse ``nft -j list ruleset``.

    Returns:
        The chains of the families ip, ip6 and inet at the hooks ``prerouting``, ``input`` and
        ``forward``: those of type ``filter``, and those of type ``nat`` that give packets other
        destinations. In the order of their priority; labels are ``family table chain``.

    Raises:
        NotObservedError: It is not the JSON that nft prints.
    """
    try:
        return hooks_of(json.loads(text)["nftables"])
    except (ValueError, RecursionError):
        raise NotObservedError("nft printed no JSON") from None
    except (LookupError, TypeError, AttributeError, ArithmeticError):
        raise NotObservedError("nft printed JSON of another form") from None


def hooks_of(objects: list[Any]) -> tuple[Hook, ...]:
    """Return the chains of the objects that ``nft -j`` prints; see :func:`parse_ruleset`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError: They have another form.
        NotObservedError: A rule names a set that is not there.
    """
    contents: dict[tuple[str, str], dict[str, list[Any]]] = {}
    chains: dict[tuple[str, str], dict[str, list[Rule]]] = {}
    bases = []
    rules = []
    for entry in objects:
        for kind, body in entry.items():
            if kind == "metainfo":
                continue
            home = (body["family"], body.get("table", body.get("name")))
            if kind in {"set", "map"}:
                contents.setdefault(home, {})[body["name"]] = body.get("elem", [])
            elif kind == "chain":
                chains.setdefault(home, {})[body["name"]] = []
                if _decides(body):
                    bases.append(body)
            elif kind == "rule":
                rules.append((home, body))
    filters = Counter[tuple[str, str, str]]()
    ports: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for home, body in rules:
        table = _Table(contents.get(home, {}))
        chains[home][body["chain"]].append(partial(_steps, list(body["expr"]), table))
        filters[(*home, body["chain"])] += _filters(body["expr"]) and not is_foreign(home[1])
        ports.setdefault(home, set()).update(_ports_in(body["expr"], table))
    return tuple(
        Hook(
            label=f"{body['family']} {body['table']} {body['name']}",
            versions=_VERSIONS[body["family"]],
            chain=body["name"],
            policy="drop" if body.get("policy") == "drop" else "accept",
            chains=chains[body["family"], body["table"]],
            filters=filters.get((body["family"], body["table"], body["name"]), 0),
            place=_PLACES[body["hook"]],
            translates=body["type"] == "nat",
            priority=int(body.get("prio", 0)),
            ports=frozenset(ports.get((body["family"], body["table"]), ())),
        )
        for body in sorted(bases, key=lambda body: int(body.get("prio", 0)))
        if body["family"] in _VERSIONS
    )


def _decides(chain: Mapping[str, Any]) -> bool:
    """Whether the kernel sends packets that come in through the chain, and it may stop them."""
    if chain.get("type") == "nat":
        return chain.get("hook") == "prerouting"
    return chain.get("type") == "filter" and chain.get("hook") in _PLACES


def _ports_in(expressions: list[Any], table: _Table) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ports that a rule compares with, also as the keys of a map."""
    for expression in filter(None, expressions):
        ((kind, body),) = expression.items()
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
    for expression in filter(None, expressions):
        ((kind, body),) = expression.items()
        if kind in {"jump", "goto"}:
            return not is_foreign(str(body["target"]))
        if kind == "vmap" or _action(kind, body) is not None:
            return True
    return False


def _steps(expressions: list[Any], table: _Table, packet: Packet) -> Iterator[Step]:
    """Yield what a rule does: its statements in their order, up to its verdict."""
    matches: list[Match] = []
    limited = False
    for expression in expressions:
        if expression is None:
            continue
        ((kind, body),) = expression.items() if isinstance(expression, dict) else [("?", None)]
        if kind == "match":
            matches.append(_match(body, table, packet))
        elif kind in _LIMITS:
            limited = True
        elif kind == "vmap":
            for matched, action in _verdicts(body, table, packet):
                yield _limit(both(*matches, matched), action, limited=limited)
        elif kind in {"dnat", "redirect"}:
            for matched, action in _translations(body or {}, table, packet):
                yield _limit(both(*matches, matched), action, limited=limited)
        elif (verdict := _action(kind, body)) is not None:
            yield _limit(both(*matches), verdict, limited=limited)
        elif kind not in _PASSING:
            matches.append(None)


def _limit(matches: Match, action: Action, *, limited: bool) -> Step:
    """Judge a rate that is limited: what it accepts gets in, what it drops is not all."""
    if limited and matches is not False:
        matches = {"accept": matches, "drop": False}.get(action.kind)
    return matches, action


def _action(kind: str, body: Any) -> Action | None:
    if kind in {"accept", "drop", "return"}:
        return Action(kind)  # type: ignore[arg-type]
    if kind == "reject":
        return Action("drop")
    if kind in {"jump", "goto"}:
        return Action(kind, str(body["target"]))  # type: ignore[arg-type]
    if kind == "continue":
        return Action("pass")
    if kind == "queue" or (kind == "xt" and (not body or body.get("type") != "match")):
        return Action("pass" if body and body.get("name") in {"LOG", "NFLOG"} else "unknown")
    return None


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
        yield _holds(test, [_plain(key)]), _translation(address, port)


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
    test = _subject(body["key"], packet)
    for key, verdict in _items(body["data"], table) if _applies(body["key"], packet) else ():
        ((kind, target),) = verdict.items()
        action = _action(kind, target)
        if action is not None:
            yield _holds(test, [_plain(key)]), action


def _match(body: Any, table: _Table, packet: Packet) -> Match:
    left, right, operator = body["left"], body["right"], body["op"]
    if not _applies(left, packet):
        return False
    if operator in {"<", ">", "<=", ">="}:
        return _compares(left, operator, right, packet)
    if operator not in {"==", "!=", "in"}:
        return None
    if isinstance(left, dict) and ("&" in left or _is_tcp_flags(left)):
        found = _masked(left, right, operator)
    else:
        found = _holds(_subject(left, packet), list(_items(right, table)))
    return negated(found, by=operator == "!=")


def _applies(left: Any, packet: Packet) -> bool:
    """Whether the packet has the header at all: without it no comparison holds."""
    parts = left.get("concat", [left]) if isinstance(left, dict) else []
    for part in parts:
        protocol = part.get("payload", {}).get("protocol") if isinstance(part, dict) else None
        if protocol in {"tcp", "udp"} and protocol != packet.protocol:
            return False
        if protocol in {"ip", "ip6"} and protocol != ("ip" if packet.version == 4 else "ip6"):
            return False
        if protocol in {"icmp", "icmpv6", "arp", "sctp", "dccp", "esp", "ah", "igmp", "udplite"}:
            return False
    return True


class _Addresses:
    """A test of addresses, which are judged together: many may cover the internet."""

    def __init__(self, judge: Callable[[list[Network]], Match]) -> None:
        self.judge = judge


def _holds(test: _Test | _Addresses, items: list[Any]) -> Match:
    if isinstance(test, _Addresses):
        networks = [network for item in items for network in _networks(item)]
        return test.judge(networks)
    return any_of(test(item) for item in items)


def _items(right: Any, table: _Table) -> Iterator[Any]:
    """Yield the values on the right side: one, a list of flags, a set, a named set or map."""
    if isinstance(right, str) and right.startswith("@"):
        right = table.contents.get(right[1:])
        if right is None:
            raise NotObservedError("nft names a set that it does not list")
    elif isinstance(right, dict) and "set" in right:
        right = right["set"]
    for item in right if isinstance(right, list) else [right]:
        yield _plain(item)


def _plain(item: Any) -> Any:
    return item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item


def _subject(left: Any, packet: Packet) -> _Test | _Addresses:
    """Return the test of one value on the right side against what stands on the left."""
    if not isinstance(left, dict):
        return _untold
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
    return _untold


def _concat(tests: list[_Test | _Addresses], item: Any) -> Match:
    parts = item["concat"] if isinstance(item, dict) and "concat" in item else [item]
    if len(parts) != len(tests):
        return None
    return both(*(_holds(t, [_plain(part)]) for t, part in zip(tests, parts, strict=True)))


def _meta(key: str, packet: Packet) -> _Test:
    families = {"ipv4", "ip", 4, 2, 0x0800} if packet.version == 4 else {"ipv6", "ip6", 6, 10}
    tests: dict[str, _Test] = {
        "iifname": lambda item: is_named(packet.interfaces, str(item), "*"),
        "iif": lambda item: is_named(packet.interfaces, str(item), "*"),
        "oifname": lambda item: goes_out(packet, str(item), "*"),
        "oif": lambda item: goes_out(packet, str(item), "*"),
        "l4proto": lambda item: _PROTOCOLS.get(item, item) == packet.protocol,
        "nfproto": lambda item: item in families,
        "protocol": lambda item: item in families,
        "mark": _is_zero,
        "pkttype": lambda item: item in {"host", "unicast", 0},
    }
    return tests.get(key, _untold)


def _payload(protocol: str, field: str, packet: Packet) -> _Test | _Addresses:
    if protocol in {"tcp", "udp", "th"} and field == "dport":
        return lambda item: _is_port_among(item, packet)
    if protocol in {"tcp", "udp", "th"} and field == "sport":
        return lambda item: _is_port_among(item, None)
    if protocol in {"ip", "ip6"}:
        if field == "saddr":
            return _Addresses(packet.source)
        if field == "daddr":
            return _Addresses(partial(for_addresses, packet))
        if field in {"protocol", "nexthdr"}:
            return lambda item: _PROTOCOLS.get(item, item) == packet.protocol
    return _untold


def _fib(body: Any, packet: Packet) -> _Test:
    if body.get("result") == "type":
        of_own = "daddr" in body.get("flags", []) and not packet.out
        known = {"local", 2} if of_own else {"unicast", 1}
        return lambda item: item in known
    if "saddr" in body.get("flags", []) and body.get("result") in {"oif", "oifname"}:
        return lambda item: item if isinstance(item, bool) else None
    return _untold


def _is_port_among(item: Any, packet: Packet | None) -> Match:
    """Whether the packet's port is meant; None for the packet: a port that it came from."""
    ports = _range(item)
    if ports is None:
        return None
    return is_broad(*ports) if packet is None else packet.to(*ports)


def _compares(left: Any, operator: str, right: Any, packet: Packet) -> Match:
    body = left.get("payload", {}) if isinstance(left, dict) else {}
    if body.get("field") not in {"dport", "sport"} or not isinstance(right, int):
        return None
    ends = {"<": (0, right - 1), "<=": (0, right), ">": (right + 1, 65535), ">=": (right, 65535)}
    return packet.to(*ends[operator]) if body["field"] == "dport" else is_broad(*ends[operator])


def _is_tcp_flags(left: Any) -> bool:
    body = left.get("payload", {})
    return bool(body.get("protocol") == "tcp" and body.get("field") == "flags")


def _masked(left: Any, right: Any, operator: str) -> Match:
    """Judge ``mark & mask`` and ``tcp flags & mask``: marks are 0, of the flags SYN is set."""
    subject, mask = left.get("&", (left, None))
    if isinstance(subject, dict) and set(subject) <= {"meta", "ct"}:
        of_mark = next(iter(subject.values())).get("key") == "mark"
        return _is_zero(right) if of_mark else None
    if not isinstance(subject, dict) or not _is_tcp_flags(subject):
        return None
    wanted = _flags(right)
    if operator == "in" or mask is None:
        return "syn" in wanted if operator == "in" else wanted == {"syn"}
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


def _is_zero(item: Any) -> Match:
    return bool(item == 0)


def _untold(_: Any) -> Match:
    return None


def _ct(key: str, direction: str, packet: Packet) -> _Test | _Addresses:
    sent = packet.sent_to or packet
    if key == "state":
        return lambda item: bool(item == "new")
    if key == "status":
        translated = packet.sent_to is not None
        return lambda item: {"dnat": translated, "snat": False}.get(str(item))
    if key == "mark":
        return _is_zero
    if key == "direction":
        return lambda item: item in {"original", 0}
    if direction == "original" and key == "proto-dst":
        return lambda item: _is_port_among(item, sent)
    if direction == "original" and key in {"daddr", "ip daddr", "ip6 daddr"}:
        return _Addresses(partial(for_addresses, sent))
    return _untold
