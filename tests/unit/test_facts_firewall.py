"""Packet filters and Cloud Firewalls: what they do with a connection that no rule is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.facts import DropletFacts
from pytest_droplet.facts.firewall.cloud_firewalls import droplet_cloud_firewalls
from pytest_droplet.facts.firewall.firewall_managers import parse_firewall_files
from pytest_droplet.facts.firewall.host_firewall import (
    Decision,
    HostFirewall,
    decide,
    from_row,
)
from pytest_droplet.facts.firewall.host_rules import parse_rules
from pytest_droplet.facts.firewall.iptables import parse_saves
from pytest_droplet.facts.firewall.nftables import parse_ruleset
from pytest_droplet.facts.firewall.packet_filter import (
    Condition,
    Hook,
    Packet,
    is_world,
    to_networks,
)
from pytest_droplet.facts.host.interfaces import Interfaces, parse_interfaces
from pytest_droplet.model import (
    Address,
    Droplet,
    Firewall,
    HostReading,
    Inventory,
    NotObservedError,
    Reading,
    SectionOutput,
)
from pytest_droplet.settings import Settings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOST = Interfaces(
    (("eth0", "203.0.113.10"), ("eth0", "2001:db8::10"), ("eth1", "10.0.0.2")), ipv6=True
)
OWN = (Address("203.0.113.10", 4, "public"), Address("2001:db8::10", 6, "public"))


def nft(*rules: list[Any], policy: str = "drop", family: str = "inet", **chains: list[Any]) -> str:
    """Return a ruleset with these rules in a chain at the hook input."""
    home = {"family": family, "table": "t"}
    base = {**home, "name": "input", "type": "filter", "hook": "input", "prio": 0}
    return json.dumps(
        {
            "nftables": [
                {"metainfo": {"version": "1.0.6"}},
                {"table": {"family": family, "name": "t"}},
                {"chain": {**base, "policy": policy}},
                *({"chain": {**home, "name": name}} for name in chains),
                *({"rule": {**home, "chain": "input", "expr": expr}} for expr in rules),
                *(
                    {"rule": {**home, "chain": name, "expr": expr}}
                    for name, exprs in chains.items()
                    for expr in exprs
                ),
            ]
        }
    )


def match(left: Mapping[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def denied(hooks: tuple[Hook, ...], version: Literal[4, 6] = 4) -> bool | None:
    return decide(version, hooks, HOST, OWN).denied


ACCEPT = {"accept": None}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
STATE = {"ct": {"key": "state"}}
IN = {"meta": {"key": "iifname"}}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ([ACCEPT], False),
        ([match(DPORT, 22), ACCEPT], True),
        ([match(DPORT, {"set": [22, {"range": [8000, 9000]}]}), ACCEPT], True),
        ([match(DPORT, {"range": [1, 65535]}), ACCEPT], False),
        ([match(DPORT, {"range": [1, 60000]}), ACCEPT], False),
        ([match(DPORT, {"range": [1, 59999]}), ACCEPT], True),
        ([match(DPORT, 22, "!="), ACCEPT], False),
        ([match(DPORT, 1024, ">="), ACCEPT], False),
        ([match(DPORT, 1024, "<"), ACCEPT], True),
        ([match(STATE, ["established", "related"], "in"), ACCEPT], True),
        ([match(STATE, "new", "in"), ACCEPT], False),
        ([match(STATE, "invalid", "!="), ACCEPT], False),
        ([match(IN, "lo"), ACCEPT], True),
        ([match(IN, "eth0"), ACCEPT], False),
        ([match(IN, "eth*"), ACCEPT], False),
        ([match(IN, {"set": ["eth1", "lo"]}), ACCEPT], True),
        ([match(IN, "lo", "!="), ACCEPT], False),
        ([match(SADDR, {"prefix": {"addr": "10.0.0.0", "len": 8}}), ACCEPT], True),
        ([match(SADDR, {"prefix": {"addr": "0.0.0.0", "len": 0}}), ACCEPT], False),
        ([match(SADDR, {"range": ["1.0.0.0", "223.255.255.255"]}), ACCEPT], False),
        ([match(SADDR, "198.51.100.7", "!="), ACCEPT], False),
        ([match({"meta": {"key": "l4proto"}}, "icmp"), ACCEPT], True),
        ([match({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]}), ACCEPT], False),
        ([match({"meta": {"key": "nfproto"}}, "ipv6"), ACCEPT], True),
        ([match({"meta": {"key": "mark"}}, 1), ACCEPT], True),
        ([match({"&": [{"meta": {"key": "mark"}}, 255]}, 0), ACCEPT], False),
        (
            [match({"payload": {"protocol": "icmp", "field": "type"}}, "echo-request"), ACCEPT],
            True,
        ),
        ([match({"payload": {"protocol": "ip6", "field": "saddr"}}, "::/0"), ACCEPT], True),
        (
            [match({"payload": {"protocol": "ip", "field": "daddr"}}, "203.0.113.10"), ACCEPT],
            False,
        ),
        ([match({"payload": {"protocol": "ip", "field": "daddr"}}, "10.19.0.5"), ACCEPT], True),
        ([match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), ACCEPT], False),
        ([match({"fib": {"result": "type", "flags": ["daddr"]}}, "broadcast"), ACCEPT], True),
        ([match({"concat": [IN, DPORT]}, {"concat": ["eth0", 22]}), ACCEPT], True),
        ([match({"concat": [IN, STATE]}, {"concat": ["eth0", "new"]}), ACCEPT], False),
        ([{"limit": {"rate": 10, "per": "second"}}, ACCEPT], False),
        ([{"jump": {"target": "other"}}], False),
        ([{"goto": {"target": "other"}}], False),
        ([match({"meta": {"key": "hour"}}, "08:00"), ACCEPT], None),
        ([{"xt": None}, ACCEPT], None),
        ([{"queue": {"num": 0}}], None),
        ([{"xt": {"type": "target", "name": "LOG"}}], True),
        ([{"counter": {"packets": 1, "bytes": 2}}, {"log": {"prefix": "x"}}], True),
        ([{"vmap": {"key": STATE, "data": {"set": [["new", ACCEPT]]}}}], False),
        ([{"vmap": {"key": DPORT, "data": {"set": [[22, ACCEPT]]}}}], True),
        ([{"vmap": {"key": IN, "data": "@gone"}}], None),
        ([{"jump": {"target": "gone"}}], None),
    ],
)
def test_a_rule_before_the_policy_of_drop(rule: list[Any], *, expected: bool | None) -> None:
    """A rule that lets most new connections in undoes the policy; a narrow one does not."""
    assert denied(parse_ruleset(nft(rule, other=[[ACCEPT]]))) is expected


def test_a_loop_of_chains_is_not_followed_for_ever() -> None:
    """Chains that call each other, or a thousand deep, cannot be told: no hang, no overflow."""
    loop = nft(
        [{"jump": {"target": "a"}}],
        a=[[{"jump": {"target": "b"}}]],
        b=[[{"jump": {"target": "a"}}]],
    )
    deep = {f"c{n}": [[{"jump": {"target": f"c{n + 1}"}}]] * 2 for n in range(1000)}

    assert denied(parse_ruleset(loop)) is None
    assert denied(parse_ruleset(nft([{"jump": {"target": "c0"}}], **deep))) is None


def save(*rules: str, policy: str = "DROP") -> tuple[Hook, ...]:
    """Return the hooks of a table filter with these rules."""
    lines = "".join(f"-A {rule}\n" for rule in rules)
    return parse_saves(f"*filter\n:INPUT {policy} [0:0]\n:other - [0:0]\n{lines}COMMIT\n", 4)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("-j ACCEPT", False),
        ("-i lo -j ACCEPT", True),
        ("! -i lo -j ACCEPT", False),
        ("-i eth+ -j ACCEPT", False),
        ("-p tcp -m tcp --dport 22 -j ACCEPT", True),
        ("-p tcp -m tcp ! --dport 22 -j ACCEPT", False),
        ("-p tcp -m tcp --dport 1:65535 -j ACCEPT", False),
        ("-p tcp -m multiport --dports 22,80,443 -j ACCEPT", True),
        ("-p 17 -j ACCEPT", False),
        ("-p icmp -m icmp --icmp-type 8 -j ACCEPT", True),
        ("-s 0.0.0.0/0 -j ACCEPT", False),
        ("-s 10.0.0.0/8 -j ACCEPT", True),
        ("! -s 10.0.0.0/8 -j ACCEPT", False),
        ("-d 203.0.113.10/32 -j ACCEPT", False),
        ("-d 224.0.0.251/32 -j ACCEPT", True),
        ("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", True),
        ("-m state --state NEW -j ACCEPT", False),
        ("-m conntrack ! --ctstate INVALID -j ACCEPT", False),
        ("-m addrtype --dst-type LOCAL -j ACCEPT", False),
        ("-m addrtype --dst-type BROADCAST -j ACCEPT", True),
        ("-m limit --limit 3/min -j ACCEPT", False),
        ('-m limit --limit 3/min -j LOG --log-prefix "a -j ACCEPT b"', True),
        ('-m comment --comment "-j ACCEPT" -p tcp -m tcp --dport 22 -j ACCEPT', True),
        ("-m mark --mark 0x1 -j ACCEPT", True),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", False),
        ("-j other", False),
        ("-g other", False),
        ("-p tcp -m tcp --dport 22 -j other", True),
        ("-m set --match-set office src -j ACCEPT", None),
        ("-m recent --name x --update --seconds 3 -j ACCEPT", None),
        ("-j NFQUEUE --queue-num 0", None),
        ("-j UNHEARDOF", None),
        ("-j MARK --set-xmark 0x1/0xffffffff", True),
    ],
)
def test_a_rule_of_iptables_before_the_policy_of_drop(rule: str, *, expected: bool | None) -> None:
    """The same of rules in the form of iptables-save."""
    assert denied(save(f"INPUT {rule}", "other -j ACCEPT")) is expected


def test_a_limited_drop_is_no_denial() -> None:
    """What drops some packets a second lets the others through, wherever the rest is dropped."""
    floods = ("other -m limit --limit 99/s -j RETURN", "other -j DROP", "INPUT -j other")
    assert denied(save(*floods, policy="ACCEPT")) is False
    assert denied(save(*floods)) is True
    assert denied(save("INPUT -m limit --limit 9/s -j RETURN", "INPUT -j DROP")) is True
    assert denied(save("INPUT -m limit --limit 9/s -j RETURN", "INPUT -j ACCEPT")) is None
    assert denied(save("INPUT -m limit --limit 3/min -j DROP", policy="ACCEPT")) is False
    assert denied(save("INPUT -j REJECT", policy="ACCEPT")) is True


_USED_UP = {"val": 5, "val_unit": "mbytes", "used": 5, "used_unit": "mbytes"}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, True),
        ({"limit": {"rate": 10, "burst": 5, "per": "second"}}, False),
        ({"limit": {"rate": 10, "burst": 5, "per": "second", "inv": False}}, False),
        ({"limit": {"rate": 10, "burst": 5, "per": "second", "inv": True}}, False),
        ({"limit": {"rate": 1, "rate_unit": "mbytes", "per": "second", "inv": True}}, False),
        ({"ct count": {"val": 5, "inv": True}}, False),
        ({"limit": "named"}, None),
        ({"quota": {"val": 5, "val_unit": "mbytes", "inv": True}}, False),
        ({"quota": {"val": 5, "val_unit": "mbytes"}}, None),
        ({"quota": {"val": 5, "val_unit": "bytes", "inv": True}}, None),
        ({"quota": {**_USED_UP, "inv": True}}, None),
        ({"quota": {**_USED_UP, "inv": True, "used": 4}}, False),
        ({"quota": {**_USED_UP, "used_unit": "gbytes"}}, None),
        ({"quota": {"val": 5, "val_unit": "gbytes", "inv": True}}, None),
        ({"quota": "named"}, None),
    ],
)
def test_a_drop_at_a_rate_is_no_denial_of_nftables(
    limit: dict[str, Any] | None, *, expected: bool | None
) -> None:
    """With a policy of accept, what drops below or above a rate lets the others through.

    What becomes of packets once a quota is used up is not followed.
    """
    rule = [*([limit] if limit else []), {"drop": None}]
    assert denied(parse_ruleset(nft(rule, policy="accept"))) is expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("-m limit --limit 3/min", False),
        ("-m hashlimit --hashlimit-above 5/sec --hashlimit-mode srcip --hashlimit-name x", False),
        ("-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name x", False),
        ("-m connlimit --connlimit-above 5 --connlimit-mask 32", False),
        ("-m connlimit --connlimit-above 0", None),
        ("-m connlimit --connlimit-upto 5", None),
        ("-m connlimit ! --connlimit-above 5", None),
        ("-m recent --update --seconds 60 --hitcount 4 --name x --rsource", False),
        ("-m recent ! --update --seconds 60 --hitcount 4 --name x --rsource", None),
        ("-m recent --rcheck --name x", None),
        ("-m statistic --mode random --probability 0.5", False),
        ("-m quota --quota 1000", None),
        ("-m nfacct --nfacct-name x", None),
        ("-m socket", None),
        ("-m rpfilter --invert", False),
        ("-m unheardof", None),
        ("-m comment --comment x", True),
        ("-m multiport -p tcp --dports 1024:65535", False),
    ],
)
def test_what_some_packets_meet_denies_nothing(match: str, *, expected: bool | None) -> None:
    """A drop for some packets is no denial; what cannot be told is neither."""
    assert denied(save(f"INPUT {match} -j DROP", policy="ACCEPT")) is expected
    other = "-g other" if "-m comment" in match else "-j other"
    chained = save(f"INPUT {match} {other}", "other -j DROP", policy="ACCEPT")
    assert denied(chained) is expected


@pytest.mark.parametrize(
    ("changing", "match", "expected"),
    [
        ("-j MARK --set-xmark 0x1/0xffffffff", "-m mark --mark 0x1", None),
        ("-j MARK --set-xmark 0x10/0x10", "-m mark --mark 0x1/0x0f", True),
        ("-j MARK --set-xmark 0x10/0x10", "-m mark ! --mark 0x10/0x10", None),
        ("-j CONNMARK --set-xmark 0x2/0x2", "-m connmark --mark 0x2", None),
        ("-j CONNMARK --restore-mark", "-m mark --mark 0x1", True),
        ("-j CT --notrack", "-m conntrack --ctstate UNTRACKED", None),
        ("-j CT --zone 1", "-m conntrack --ctstate UNTRACKED", True),
        ("-j NOTRACK", "-m conntrack --ctstate NEW", None),
        ("-j UNHEARDOF", "-m mark --mark 0x1", None),
    ],
)
def test_what_another_table_changes_cannot_be_told(
    changing: str, match: str, *, expected: bool | None
) -> None:
    """A mark or state that a rule of another table may have set is not taken for the first."""
    tables = (
        f"*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {changing}\nCOMMIT\n"
        f"*filter\n:INPUT DROP [0:0]\n-A INPUT {match} -j ACCEPT\nCOMMIT\n"
    )
    hooks = tuple(hook for hook in parse_saves(tables, 4) if hook.place == "input")
    assert denied(hooks) is expected


def test_a_state_before_connections_are_looked_up_is_invalid() -> None:
    """In the table raw no packet is of a connection yet: a drop of new ones drops none."""
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m state --state {} -j DROP\nCOMMIT\n"
    packet = Packet(frozenset({"eth0"}), 4, "tcp", frozenset({"203.0.113.10"}), port=22)

    for state, expected in (("NEW", {"accept"}), ("INVALID", {"drop"})):
        (hook,) = parse_saves(raw.format(state), 4)
        assert hook.outcomes(packet) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"/etc/nftables.conf": 'include "nftables.d/*.nft"', "/etc/nftables.d/a.nft": "hook"},
            True,
        ),
        (
            {"/etc/nftables.conf": 'include "/etc/nftables.d/*"', "/etc/nftables.d/a.nft": ""},
            False,
        ),
        (
            {"/etc/nftables.conf": 'include "/etc/nftables.d/*"', "/etc/nftables/a.nft": "hook"},
            False,
        ),
        ({"/etc/nftables.conf": 'include "/opt/rules.nft"'}, True),
        ({"/etc/nftables.conf": "hook", "/etc/sysconfig/nftables.conf": ""}, False),
        ({"/etc/nftables.conf": "", "/etc/sysconfig/nftables.conf": "hook"}, True),
        ({"/etc/nftables/a.nft": "hook"}, False),
    ],
)
def test_what_nftables_loads_may_have_an_input_hook(
    files: dict[str, str], *, expected: bool
) -> None:
    """Of the files that it includes; one that was not read may have one."""
    hook = "type filter hook input priority 0"
    text = "".join(f"== {path}\n{line.replace('hook', hook)}\n" for path, line in files.items())
    assert parse_firewall_files(text).nftables is expected


@given(st.text(), st.text())
def test_any_answer_is_parsed_or_not_observed(stdout: str, stderr: str) -> None:
    """Whatever the tools of a host print, nothing but NotObservedError is raised."""
    for rc in (0, 1, 127):
        answer = SectionOutput("x", stdout, stderr, rc)
        for read in (
            lambda answer=answer: parse_rules(
                answer, SectionOutput("y", f"== nft\n{stdout}\nrc=0\n")
            ),
            lambda answer=answer: parse_interfaces(answer),
            lambda: parse_saves(stdout, 4),
            lambda: parse_ruleset(stdout),
            lambda: parse_firewall_files(stdout),
        ):
            with suppress(NotObservedError):
                read()


KEYS = st.sampled_from(
    [
        *("match", "left", "right", "op", "set", "meta", "key", "payload", "protocol", "field"),
        *("prefix", "addr", "len", "range", "concat", "jump", "target", "vmap", "data", "accept"),
        *("limit", "xt", "type", "name", "&", "|", "elem", "val", "fib", "flags", "result", "ct"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["==", "tcp", "ip", "@x", "0.0.0.0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
STATEMENTS = st.lists(
    st.fixed_dictionaries(
        {"match": st.fixed_dictionaries({"op": VALUES, "left": VALUES, "right": VALUES})}
    )
    | st.fixed_dictionaries({"vmap": st.fixed_dictionaries({"key": VALUES, "data": VALUES})})
    | st.dictionaries(KEYS, VALUES, min_size=1, max_size=1),
    max_size=3,
)


@given(STATEMENTS)
def test_no_strange_rule_makes_a_pass_of_an_open_host(expressions: list[Any]) -> None:
    """Behind a rule that accepts everything nothing counts; before it nothing may raise."""
    with suppress(NotObservedError):
        assert denied(parse_ruleset(nft([ACCEPT], expressions))) is False
    with suppress(NotObservedError):
        denied(parse_ruleset(nft(expressions)))


ARGUMENTS = st.lists(
    st.sampled_from(
        [
            *("-p", "tcp", "--dport", "22", "1:65535", "!", "-s", "10.0.0.0/8", "-m", "x", "-j"),
            *("DROP", "other", "--tcp-flags", "--ctstate", "NEW", "--mark", "0x", '"', "-i", "a+"),
        ]
    )
).map(" ".join)


@given(ARGUMENTS)
def test_no_strange_line_of_iptables_makes_a_pass_of_an_open_host(line: str) -> None:
    """The same of iptables."""
    with suppress(NotObservedError):
        assert denied(save("INPUT -j ACCEPT", f"INPUT {line}")) is False
    with suppress(NotObservedError):
        denied(save(f"INPUT {line}"))


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["0.0.0.0/0"], True),
        (["0.0.0.0/1"], "some"),
        (["0.0.0.0/2", "64.0.0.0/2"], "some"),
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["1.0.0.0-9.255.255.255", "11.0.0.0-223.255.255.255"], True),
        (["0.0.0.0-203.0.112.255", "203.0.114.0-255.255.255.255"], "some"),
        (["0.0.0.0/2"], False),
        (["::/0"], True),
        (["2000::/3"], True),
        (["2000::/4", "3000::/4"], True),
        (["2000::/4"], "some"),
        (["2400::/11", "2600::/11", "2a00::/11"], "some"),
        (["3000::/4"], False),
        (["2001:db8::/32"], False),
        ([], False),
    ],
)
def test_sources_are_all_some_or_none_of_the_internet(
    addresses: list[str], *, expected: Condition
) -> None:
    """Addresses count together, in however many parts they are given; half is some of them."""
    assert is_world(n for a in addresses for n in to_networks(a)) is expected


def test_the_public_interface_is_that_of_the_listed_address() -> None:
    """The API's address comes first, then a public one, then any but of containers."""
    assert HOST.facing(4, OWN)[0] == {"eth0"}
    assert HOST.facing(4, ())[0] == {"eth0", "eth1"}
    assert Interfaces((("a", "8.8.8.8"), ("b", "10.0.0.1")), ipv6=True).facing(4, OWN)[0] == {"a"}
    assert Interfaces((("docker0", "172.17.0.1"), ("b", "10.0.0.1")), ipv6=True).facing(4, OWN)[
        0
    ] == {"b"}
    assert Interfaces((), ipv6=True).facing(4, OWN)[0] == set()


def test_a_row_keeps_the_fact() -> None:
    """The row for the account is JSON and gives the fact back."""
    fact = HostFirewall(Decision(denied=True, reason="x"), Decision(None, "y", applies=False))
    row = {
        "ipv4": {"denied": True, "reason": "x", "applies": True},
        "ipv6": {"denied": None, "reason": "y", "applies": False},
    }

    assert from_row(json.loads(json.dumps(row))) == fact
    assert fact.denies


def cloud(droplet: Droplet, *firewalls: Firewall, own: Reading[Any] | None = None) -> DropletFacts:
    """Return an observation of a Droplet in an account with these firewalls."""
    nothing: Reading[Any] = Reading("x", NOW, missing="not asked")
    inventory = Inventory(
        NOW,
        "x",
        (droplet,),
        (1,),
        Reading("x", NOW, firewalls),
        nothing,
        nothing,
        nothing,
        attached={1: own} if own else {},
    )
    return DropletFacts(droplet, inventory, HostReading(1, "off", NOW), Settings(), NOW)


def test_unseen_tags_leave_the_list_incomplete() -> None:
    """Without tag:read a firewall that is attached directly need not be the only one."""
    firewall = Firewall("f", "web", "succeeded", droplet_ids=(1,))
    seen = droplet_cloud_firewalls(
        cloud(Droplet(1, "web-1", hidden=frozenset({"tags"})), firewall)
    )

    assert [a.by for a in seen.attached] == ["directly"]
    with pytest.raises(NotObservedError, match="does not see tags"):
        seen.need_all()


def test_the_droplets_own_list_completes_it() -> None:
    """With the Droplet's own list nothing is unseen."""
    firewall = Firewall("f", "web", "succeeded")
    droplet = Droplet(1, "web-1", hidden=frozenset({"tags"}))
    seen = droplet_cloud_firewalls(cloud(droplet, own=Reading("x", NOW, (firewall,))))

    assert [a.by for a in seen.attached] == ["by the Droplet's own list"]
    seen.need_all()
