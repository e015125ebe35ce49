"""Every word of nft's rules is either understood or leaves the outcome untold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pytest_droplet.facts.firewall import nft_words
from pytest_droplet.facts.firewall.nftables import hooks_of, parse_ruleset
from pytest_droplet.facts.firewall.packet_filter import Packet
from pytest_droplet.model import NotObservedError

PACKET = Packet(frozenset({"eth0"}), 4, "tcp", frozenset({"203.0.113.10"}), port=22)
HOME = {"family": "inet", "table": "t"}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
OVER = {"limit": {"rate": 10, "per": "second", "inv": True}}
UNDER = {"limit": {"rate": 10, "per": "second"}}
DROP = {"drop": None}
ACCEPT = {"accept": None}

# The words of libnftables-json(5) of 1.1.3, by its headings, with what nft prints beside it.
STATEMENTS: dict[str, tuple[Any, set[str]]] = {
    "accept": (None, {"accept"}),
    "drop": (None, {"drop"}),
    "continue": (None, {"drop"}),
    "return": (None, {"accept"}),
    "jump": ({"target": "other"}, {"drop"}),
    "goto": ({"target": "other"}, {"accept"}),
    "match": ({"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}, {"drop"}),
    "counter": ({"packets": 1, "bytes": 2}, {"drop"}),
    "mangle": ({"key": {"meta": {"key": "mark"}}, "value": 1}, {"drop"}),
    "quota": ({"val": 10, "val_unit": "bytes"}, {"accept", "drop"}),
    "limit": (UNDER["limit"], {"accept"}),
    "fwd": ({"dev": "eth1"}, {"accept", "drop"}),
    "notrack": (None, {"drop"}),
    "dup": ({"addr": "192.0.2.1"}, {"drop"}),
    "snat": ({"addr": "192.0.2.1"}, {"accept"}),
    "dnat": ({"addr": "192.0.2.1", "port": 80}, {"to 192.0.2.1 80"}),
    "masquerade": (None, {"accept"}),
    "redirect": ({"port": 80}, {"to - 80"}),
    "reject": ({"type": "icmpx", "expr": "admin-prohibited"}, {"drop"}),
    "set": ({"op": "add", "elem": SADDR, "set": "@s"}, {"accept", "drop"}),
    "map": ({"op": "add", "elem": SADDR, "data": 1, "map": "@s"}, {"accept", "drop"}),
    "log": ({"prefix": "x"}, {"drop"}),
    "ct helper": ("ftp", {"drop"}),
    "meter": ({"name": "s", "key": SADDR, "stmt": OVER}, {"accept"}),
    "queue": ({"num": 0}, {"accept", "drop"}),
    "vmap": ({"key": {"meta": {"key": "l4proto"}}, "data": {"set": [["tcp", DROP]]}}, {"drop"}),
    "ct count": ({"val": 20}, {"accept", "drop"}),
    "ct timeout": ("t", {"drop"}),
    "ct expectation": ("e", {"accept", "drop"}),
    "xt": ({"type": "target", "name": "TPROXY"}, {"accept", "drop"}),
    "last": (None, {"drop"}),
    "flow": ({"op": "add", "flowtable": "@f"}, {"accept", "drop"}),
    "tproxy": ({"port": 80}, {"accept", "drop"}),
    "synproxy": ({"mss": 1460}, {"accept", "drop"}),
    "secmark": ("s", {"drop"}),
    "reset": ({"tcp option": {"name": "sack-perm"}}, {"accept", "drop"}),
    "a word of tomorrow": (None, {"accept", "drop"}),
}
EXPRESSIONS: Mapping[str, bool] = {
    **dict.fromkeys(("payload", "meta", "ct", "fib", "concat", "&", "|"), True),
    **dict.fromkeys(("set", "range", "prefix", "elem", "map"), True),
    **dict.fromkeys(("exthdr", "tcp option", "ip option", "numgen"), True),
    **dict.fromkeys(("^", "<<", ">>"), False),
    **dict.fromkeys(("sctp chunk", "dccp option", "rt", "jhash", "symhash"), False),
    **dict.fromkeys(("socket", "osf", "ipsec", "tunnel"), False),
}
"""Kinds of values, as nft(8) has them; False: what is compared with one may hold or not."""

META_KEYS: Mapping[str, bool] = {
    **dict.fromkeys(("iif", "iifname", "oif", "oifname", "l4proto", "nfproto", "protocol"), True),
    **dict.fromkeys(("mark", "pkttype", "length", "iiftype"), True),
    **dict.fromkeys(("priority", "random", "skuid", "skgid", "nftrace"), False),
    **dict.fromkeys(("rtclassid", "ibriport", "obriport", "ibridgename", "obridgename"), False),
    **dict.fromkeys(("ibrname", "obrname", "cpu", "iifgroup", "oifgroup", "cgroup"), False),
    **dict.fromkeys(("oiftype", "iifkind", "oifkind", "secpath", "ipsec"), False),
    **dict.fromkeys(("secmark", "sdif", "sdifname", "time", "day", "hour", "ibrpvid"), False),
    **dict.fromkeys(("ibrvproto", "broute", "ibrhwaddr"), False),
}
CT_KEYS: Mapping[str, bool] = {
    **dict.fromkeys(
        ("state", "status", "mark", "direction", "proto-dst", "daddr", "protocol"), True
    ),
    **dict.fromkeys(("ip daddr", "ip6 daddr", "saddr", "ip saddr", "ip6 saddr"), True),
    **dict.fromkeys(("expiration", "helper", "label", "l3proto", "bytes"), False),
    **dict.fromkeys(("packets", "avgpkt", "zone", "id", "secmark", "event"), False),
    **dict.fromkeys(("proto-src",), False),
}


def rules(*rows: list[Any], policy: str = "accept", **more: Any) -> list[Any]:
    """Return the objects of a table with these rules at the hook input."""
    base = {**HOME, "name": "input", "type": "filter", "hook": "input", "prio": 0}
    return [
        {"table": {"family": "inet", "name": "t"}},
        *({kind: {**HOME, **body}} for kind, body in more.items()),
        {"chain": {**base, "policy": policy}},
        {"chain": {**HOME, "name": "other"}},
        *({"rule": {**HOME, "chain": "input", "expr": row}} for row in rows),
    ]


def outcomes(objects: list[Any], packet: Packet = PACKET) -> set[str]:
    (hook,) = hooks_of(objects)
    return set(hook.outcomes(packet))


@pytest.mark.parametrize("word", STATEMENTS)
def test_a_statement_before_a_drop_is_understood_or_untold(word: str) -> None:
    """What stands before a drop decides whether it drops; a word that is not known may do both."""
    body, expected = STATEMENTS[word]
    objects = rules([{word: body}, DROP], set={"name": "s", "type": "ipv4_addr"})

    assert outcomes(objects) == expected
    use = nft_words.STATEMENTS.get(word, "unknown")
    assert use != "unknown" or expected == {"accept", "drop"}


def test_every_word_of_the_table_is_tried() -> None:
    """No statement stands in the table of words without an example here, or the reverse."""
    of_nft_alone = {"tunnel", "objref"}  # printed where nft has no other form
    assert set(nft_words.STATEMENTS) - of_nft_alone == set(STATEMENTS) - {"a word of tomorrow"}


@pytest.mark.parametrize(
    ("kind", "key", "known"),
    [
        *(("meta", key, known) for key, known in META_KEYS.items()),
        *(("ct", key, known) for key, known in CT_KEYS.items()),
        *((word, "x", EXPRESSIONS.get(word)) for word in ("numgen", "jhash", "symhash")),
        *((word, "x", EXPRESSIONS.get(word)) for word in ("socket", "osf", "rt", "^")),
        *((word, "x", EXPRESSIONS.get(word)) for word in ("exthdr", "tcp option")),
        ("a word of tomorrow", "x", False),
        ("meta", "a key of tomorrow", False),
        ("ct", "a key of tomorrow", False),
    ],
)
def test_what_is_compared_with_an_unknown_value_may_hold_or_not(
    kind: str, key: str, *, known: bool | None
) -> None:
    """Neither a comparison nor its opposite decides where the value is not understood."""
    assert known is not None, "it stands in no table of words"
    for operator in ("==", "!="):
        condition = {"match": {"op": operator, "left": {kind: {"key": key}}, "right": 7}}
        if not known:
            assert outcomes(rules([condition, DROP])) == {"accept", "drop"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hook": "of tomorrow"}, "hook of tomorrow"),
        ({"type": "of tomorrow"}, "type of tomorrow"),
        ({"family": "vsock"}, "family vsock"),
    ],
)
def test_a_chain_of_another_kind_leaves_all_unknown(change: dict[str, str], message: str) -> None:
    """A hook, a type and a family that are not known are not left out."""
    chain = {**HOME, "name": "c", "type": "filter", "hook": "input", "prio": 0, **change}
    with pytest.raises(NotObservedError, match=message):
        hooks_of([{"chain": chain}])


def printed(flags: Any, told: str | None, version: str = "1.0.6") -> str:
    """Return what nft prints of a table ``inet t`` that drops; ``told`` is the text form."""
    objects = rules(policy="drop")
    if flags is not None:
        objects[0]["table"]["flags"] = flags
    text = json.dumps({"nftables": [{"metainfo": {"version": version}}, *objects]})
    return text if told is None else f"{text}\n\n== tables\n{told}"


@pytest.mark.parametrize(
    ("flags", "told", "version", "expected"),
    [
        (None, None, "1.0.6", "filters"),
        (None, "table inet t {\n", "1.0.6", "filters"),
        ("dormant", None, "1.1.3", "dormant"),
        ("owner", None, "1.1.3", "filters"),
        (["owner", "persist"], None, "1.1.3", "filters"),
        (["dormant", "persist"], None, "1.1.3", "dormant"),
        ("of tomorrow", None, "1.1.3", "doubt"),
        ("t", None, "1.0.6", "doubt"),
        ("inet", None, "1.0.6", "doubt"),
        ("persist", None, "1.0.6", "doubt"),
        ("dormant", None, "1.0.6", "doubt"),
        ("t", "table inet t {\n\tflags dormant\n", "1.0.6", "dormant"),
        ("t", "table inet t { # progname nft\n\tflags owner\n", "1.0.6", "filters"),
        ("t", "table inet t {\n\tflags \n", "1.0.6", "doubt"),
        (None, "table ip t {\n\tflags dormant\ntable inet t {\n", "1.0.6", "filters"),
        ("t", "table ip t {\n\tflags dormant\ntable inet t {\n", "1.0.6", "doubt"),
        ("t", "table ip t {\n\tflags dormant\n", "1.0.6", "doubt"),
        ("persist", "table inet t {\n\tflags dormant\n", "1.0.6", "dormant"),
    ],
)
def test_a_tables_flags_say_whether_it_filters(
    flags: Any, told: str | None, version: str, expected: str
) -> None:
    """A dormant table has no chains; one whose flags are not known may filter or not."""
    hooks = parse_ruleset(printed(flags, told, version))

    found = [set(hook.outcomes(PACKET)) for hook in hooks]
    assert found == {"dormant": [], "filters": [{"drop"}], "doubt": [{"accept", "drop"}]}[expected]
    assert [bool(hook.doubt) for hook in hooks] == [expected == "doubt"] * len(found)


@pytest.mark.parametrize("elem", [{"expires": 60}, {"timeout": 60}, OVER, {"quota": {"val": 1}}])
def test_an_element_that_may_go_or_holds_sometimes_decides_nothing(elem: dict[str, Any]) -> None:
    """A port in a set for a time, or up to a rate, is neither closed nor open by it."""
    port = {"payload": {"protocol": "tcp", "field": "dport"}}
    condition = {"match": {"op": "==", "left": port, "right": "@s"}}
    held = {"name": "s", "type": "inet_service", "elem": [{"elem": {"val": 22, **elem}}]}

    assert outcomes(rules([condition, DROP], set=held)) == {"accept", "drop"}
    counted = {**held, "elem": [{"elem": {"val": 22, "counter": {"packets": 0}}}]}
    assert outcomes(rules([condition, DROP], set=counted)) == {"drop"}


@pytest.mark.parametrize(
    ("stored", "verdict", "expected"),
    [
        ({"op": "update", "stmt": [OVER]}, DROP, {"accept"}),
        ({"op": "add", "stmt": [OVER]}, ACCEPT, {"accept", "drop"}),
        ({"op": "add", "stmt": [UNDER]}, ACCEPT, {"accept"}),
        ({"op": "add", "stmt": [{"ct count": {"val": 9, "inv": True}}]}, DROP, {"accept"}),
        ({"op": "add", "stmt": [{"ct count": {"val": 0, "inv": True}}]}, DROP, {"accept", "drop"}),
        ({"op": "add", "stmt": [{"of tomorrow": None}]}, DROP, {"accept", "drop"}),
        ({"op": "delete", "stmt": [OVER]}, DROP, {"accept", "drop"}),
    ],
)
def test_a_rate_inside_a_set_statement_is_read(
    stored: dict[str, Any], verdict: dict[str, None], expected: set[str]
) -> None:
    """A drop above a rate closes nothing, and the key tells which packets it can meet at all."""
    statement = {"set": {"elem": SADDR, "set": "@s", **stored}}
    policy = "accept" if verdict is DROP else "drop"
    objects = rules([statement, verdict], policy=policy, set={"name": "s", "type": "ipv4_addr"})

    assert outcomes(objects) == expected
    over_ipv6 = Packet(frozenset({"eth0"}), 6, "tcp", frozenset({"2001:db8::10"}), port=22)
    assert outcomes(objects, over_ipv6) == {policy}


def test_a_set_that_rules_fill_is_not_taken_as_it_stands() -> None:
    """Who is added at a high rate alone is not dropped at first; others may be in it already."""
    asked = {"match": {"op": "==", "left": SADDR, "right": "@s"}}
    add = {"set": {"op": "add", "elem": SADDR, "set": "@s"}}
    of_table = {"set": {"name": "s", "type": "ipv4_addr"}}

    assert outcomes(rules([asked, DROP], [OVER, add, ACCEPT], **of_table)) == {"accept"}
    assert outcomes(rules([asked, DROP], [add], **of_table)) == {"accept", "drop"}


@pytest.mark.parametrize(
    ("mark", "condition", "expected"),
    [
        (1, {"left": {"meta": {"key": "mark"}}, "right": 1}, {"accept", "drop"}),
        (1, {"left": {"meta": {"key": "mark"}}, "right": 2}, {"drop"}),
        (16, {"left": {"&": [{"meta": {"key": "mark"}}, 15]}, "right": 1}, {"drop"}),
        (1, {"left": {"&": [{"meta": {"key": "mark"}}, 15]}, "right": 1}, {"accept", "drop"}),
        (None, {"left": {"meta": {"key": "mark"}}, "right": {"range": [0, 5]}}, {"accept"}),
        (None, {"left": {"meta": {"key": "mark"}}, "right": {"range": [1, 5]}}, {"drop"}),
    ],
)
def test_a_mark_that_a_rule_sets_cannot_be_told(
    mark: int | None, condition: dict[str, Any], expected: set[str]
) -> None:
    """A mark is 0 but for the bits that a rule may set."""
    setting = [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": mark}}]
    rows = [setting] if mark else []
    objects = rules(*rows, [{"match": {"op": "==", **condition}}, ACCEPT], policy="drop")
    assert outcomes(objects) == expected


def test_a_connection_may_be_untracked_where_a_rule_says_so() -> None:
    """A state of a connection is not told any more; without such a rule it is new."""
    untracked = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "untracked"}}
    row = [untracked, ACCEPT]

    assert outcomes(rules(row, policy="drop")) == {"drop"}
    assert outcomes(rules([{"notrack": None}], row, policy="drop")) == {"accept", "drop"}


KNOWN_VALUES = {
    ("meta", "iif"): "eth0",
    ("meta", "iifname"): "eth*",
    ("meta", "oif"): None,
    ("meta", "oifname"): None,
    ("meta", "l4proto"): "tcp",
    ("meta", "nfproto"): "ipv4",
    ("meta", "protocol"): "ip",
    ("meta", "mark"): 0,
    ("meta", "pkttype"): "host",
    ("meta", "iiftype"): "ether",
    ("ct", "state"): "new",
    ("ct", "mark"): 0,
    ("ct", "direction"): "original",
    ("ct", "status"): None,
    ("ct", "proto-dst"): 22,
    ("ct", "daddr"): "203.0.113.10",
    ("ct", "ip daddr"): "203.0.113.10",
    ("ct", "ip6 daddr"): None,
    ("ct", "protocol"): "tcp",
    ("ct", "saddr"): {"prefix": {"addr": "0.0.0.0", "len": 0}},
    ("ct", "ip saddr"): {"prefix": {"addr": "0.0.0.0", "len": 0}},
    ("ct", "ip6 saddr"): None,
}
CHOSEN = {("meta", "length")}
"""Numbers that a sender chooses: none decides over all packets."""


@pytest.mark.parametrize(("kind", "key"), KNOWN_VALUES)
def test_a_value_that_is_known_decides(kind: str, key: str) -> None:
    """A packet that has the value is dropped; where none of these packets has it, none is."""
    value = KNOWN_VALUES[kind, key]
    left = {kind: {"key": key, "dir": "original"}}
    condition = {"match": {"op": "==", "left": left, "right": "snat" if value is None else value}}
    if key in {"ip6 daddr", "ip6 saddr"}:
        condition["match"]["right"] = "2001:db8::99"
    assert outcomes(rules([condition, DROP])) == ({"accept"} if value is None else {"drop"})


def test_every_known_key_is_tried() -> None:
    """No key stands in the table as known without a value here."""
    known = {("meta", key) for key, is_known in META_KEYS.items() if is_known}
    known |= {("ct", key) for key, is_known in CT_KEYS.items() if is_known}
    assert known - CHOSEN == set(KNOWN_VALUES)


@pytest.mark.parametrize(
    ("left", "right", "drops", "accepts"),
    [
        ({"meta": {"key": "length"}}, {"range": [0, 2000]}, {"accept"}, {"accept"}),
        ({"meta": {"key": "length"}}, {"range": [0, 20]}, {"accept"}, {"accept", "drop"}),
        ({"payload": {"protocol": "ip", "field": "ttl"}}, 255, {"accept"}, {"accept", "drop"}),
        ({"payload": {"protocol": "tcp", "field": "sport"}}, 53, {"accept"}, {"accept"}),
        ({"numgen": {"mode": "inc", "mod": 2}}, 0, {"accept"}, {"accept", "drop"}),
        ({"tcp option": {"name": "maxseg", "field": "size"}}, 1, {"accept"}, {"accept", "drop"}),
    ],
)
def test_what_a_sender_chooses_closes_nothing(
    left: Any, right: Any, drops: set[str], accepts: set[str]
) -> None:
    """Who wants to get in sends what is let in; a port that it came from is such a number too."""
    condition = {"match": {"op": "==", "left": left, "right": right}}

    assert outcomes(rules([condition, DROP])) == drops
    assert outcomes(rules([condition, ACCEPT], policy="drop")) == accepts


def test_a_mark_is_told_for_ports_that_no_rule_sets_it_for() -> None:
    """A rule changes the packets that it is for, and the reason names the rule that asks."""
    to = {"left": {"payload": {"protocol": "tcp", "field": "dport"}}, "op": "==", "right": 8080}
    setting = [{"match": to}, {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}]
    asking = [{"match": {"left": {"meta": {"key": "mark"}}, "op": "==", "right": 1}}, ACCEPT]
    (hook,) = hooks_of(rules(setting, asking, policy="drop"))

    assert hook.outcomes(replace(PACKET, port=22)) == {"drop"}
    marked = replace(PACKET, port=8080)
    assert hook.outcomes(marked) == {"accept", "drop"}
    assert "'meta mark 1 accept' in the chain input" in hook.why_not_told(marked)
