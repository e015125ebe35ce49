"""Which ports are reached, what is loaded again, and which connections get through."""

from __future__ import annotations

import ipaddress
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.facts.backups.volumes import parse_partitions
from pytest_droplet.facts.firewall.access import Access, access_probe, parse_tried, web_ports
from pytest_droplet.facts.firewall.cloud_firewalls import Attachment, CloudFirewalls
from pytest_droplet.facts.firewall.exposed_ports import ExposedPorts, _row, expose
from pytest_droplet.facts.firewall.firewall_saved import (
    judge_zone,
    lets_in,
    parse_saved,
    ufw_hooks,
)
from pytest_droplet.facts.firewall.iptables import parse_saves
from pytest_droplet.facts.firewall.nft_text import parse_files
from pytest_droplet.facts.firewall.nftables import parse_ruleset
from pytest_droplet.facts.firewall.packet_filter import Destination, Hook, Packet, outcomes_of
from pytest_droplet.facts.host.interfaces import Interfaces
from pytest_droplet.facts.host.listeners import Listener, Listeners
from pytest_droplet.model import (
    Address,
    Droplet,
    Firewall,
    HostReading,
    NotObservedError,
    Reading,
    Rule,
    SectionOutput,
    Way,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DROPLET = Droplet(
    1,
    "web-1",
    addresses=(
        Address("203.0.113.10", 4, "public"),
        Address("10.114.0.2", 4, "private"),
        Address("2001:db8::10", 6, "public"),
    ),
)
PLACES = (
    ("eth0", "203.0.113.10", "203.0.112.0/20"),
    ("eth0", "2001:db8::10", "2001:db8::/64"),
    ("eth1", "10.114.0.2", "10.114.0.0/20"),
    ("docker0", "172.17.0.1", "172.17.0.0/16"),
)
HOST = Interfaces(
    tuple((name, ip) for name, ip, _ in PLACES),
    ipv6=True,
    networks=tuple((name, ipaddress.ip_network(net)) for name, _, net in PLACES),
)
NO_CLOUD = Reading("x", NOW, CloudFirewalls(()))
SSH = Packet(frozenset({"eth0"}), 4, "tcp", frozenset({"203.0.113.10"}), port=22)


def listening(*places: str, program: str = "/usr/bin/x") -> Listeners:
    """Return sockets of ``tcp 0.0.0.0 5432``."""
    sockets = []
    for place in places:
        protocol, address, port = place.split()
        ip = ipaddress.ip_address(address)
        sockets.append(Listener(protocol, ip, int(port), (program,)))  # type: ignore[arg-type]
    return Listeners(tuple(sockets), owners=True)


def rules(*lines: str, nat: tuple[str, ...] = (), policy: str = "DROP") -> tuple[Hook, ...]:
    """Return the hooks of iptables with these rules."""
    text = [
        "*filter",
        f":INPUT {policy} [0:0]",
        ":FORWARD DROP [0:0]",
        ":DOCKER-USER - [0:0]",
        *lines,
        "COMMIT",
        "*nat",
        ":PREROUTING ACCEPT [0:0]",
        *nat,
        "COMMIT",
    ]
    return parse_saves("\n".join(text), 4)


def reach(found: ExposedPorts) -> dict[str, str]:
    return {f"{p.protocol} {p.port}": p.reachable for p in found.ports}


@pytest.mark.parametrize(
    ("place", "lines", "expected"),
    [
        ("tcp 0.0.0.0 5432", [], "none"),
        ("tcp 0.0.0.0 5432", ["-A INPUT -p tcp --dport 5432 -j ACCEPT"], "internet"),
        ("tcp 0.0.0.0 5432", ["-A INPUT -p udp --dport 5432 -j ACCEPT"], "none"),
        ("udp 0.0.0.0 5432", ["-A INPUT -p udp --dport 5000:6000 -j ACCEPT"], "internet"),
        ("tcp 0.0.0.0 5432", ["-A INPUT -i eth1 -j ACCEPT"], "vpc"),
        ("tcp 0.0.0.0 5432", ["-A INPUT -s 10.114.0.0/20 -j ACCEPT"], "vpc"),
        ("tcp 0.0.0.0 5432", ["-A INPUT -s 10.114.0.9/32 -j ACCEPT"], "none"),
        ("tcp 0.0.0.0 5432", ["-A INPUT ! -s 10.0.0.0/8 -j ACCEPT"], "internet"),
        ("tcp 10.114.0.2 5432", ["-A INPUT -j ACCEPT"], "vpc"),
        ("tcp 203.0.113.10 5432", ["-A INPUT -j ACCEPT"], "internet"),
        ("tcp 172.17.0.1 5432", ["-A INPUT -j ACCEPT"], "none"),
        ("tcp :: 5432", ["-A INPUT -j ACCEPT"], "internet"),
        ("tcp 0.0.0.0 5432", ["-A INPUT -m owner --uid-owner 0 -j ACCEPT"], "unknown"),
        ("tcp 0.0.0.0 5432", ["-A INPUT -p tcp --dport 80 -m x --y -j ACCEPT"], "none"),
    ],
)
def test_a_socket_behind_iptables(place: str, lines: list[str], expected: str) -> None:
    """The widest of the internet, the VPC and nobody; IPv6 has no rules here, so no filter."""
    host = replace(HOST, ipv6=False)
    found = expose(DROPLET, listening(place), host, rules(*lines), NO_CLOUD)
    assert list(reach(found).values()) == [expected]


DNAT = "-A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"


@pytest.mark.parametrize(
    ("lines", "nat", "expected"),
    [
        ([], [DNAT], "none"),
        (["-A FORWARD -o docker0 -j ACCEPT"], [DNAT], "internet"),
        (["-A FORWARD -d 172.17.0.2 -p tcp --dport 80 -j ACCEPT"], [DNAT], "internet"),
        (["-A FORWARD -p tcp --dport 8080 -j ACCEPT"], [DNAT], "none"),
        (["-A FORWARD -m conntrack --ctorigdstport 8080 -j ACCEPT"], [DNAT], "internet"),
        (["-A FORWARD -m conntrack --ctstatus DNAT -j ACCEPT"], [DNAT], "internet"),
        (
            ["-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -j ACCEPT"],
            [DNAT],
            "internet",
        ),
        (["-A FORWARD -i eth1 -j ACCEPT"], [DNAT], "vpc"),
        (["-A INPUT -p tcp --dport 8080 -j ACCEPT"], [DNAT], "none"),
        (["-A FORWARD -j ACCEPT"], [DNAT.replace("172.17.0.2", "192.0.2.1")], "unknown"),
        (
            ["-A FORWARD -j ACCEPT"],
            [DNAT.replace("172.17.0.2:80", "10.0.0.1-10.0.0.9")],
            "unknown",
        ),
        (["-A INPUT -j ACCEPT"], [DNAT.replace("172.17.0.2", "127.0.0.1")], "unknown"),
        (
            ["-A INPUT -p tcp --dport 22 -j ACCEPT"],
            ["-A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 22"],
            "internet",
        ),
        (
            ["-A INPUT -p tcp --dport 8080 -j ACCEPT"],
            ["-A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 22"],
            "none",
        ),
        (
            ["-A INPUT -j ACCEPT"],
            ["-A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 23"],
            "none",
        ),
    ],
)
def test_a_port_that_is_sent_on(lines: list[str], nat: list[str], expected: str) -> None:
    """It passes FORWARD with its new destination, and not INPUT; what nobody serves is closed."""
    found = expose(
        DROPLET, listening("tcp 0.0.0.0 22"), HOST, rules(*lines, nat=tuple(nat)), NO_CLOUD
    )
    assert reach(found)["tcp 8080"] == expected


def cloud(*inbound: Rule, complete: bool = True) -> Reading[CloudFirewalls]:
    firewall = Firewall("f", "web", "succeeded", inbound=inbound)
    return Reading("x", NOW, CloudFirewalls((Attachment(firewall, "directly"),), (), complete))


@pytest.mark.parametrize(
    ("inbound", "expected"),
    [
        ((), "none"),
        ((Rule("tcp", "5432", ("0.0.0.0/0",)),), "internet"),
        ((Rule("tcp", "5432", ("198.51.100.0/24",)),), "none"),
        ((Rule("tcp", "0", ("10.114.0.0/20",)),), "vpc"),
        ((Rule("tcp", "5432", tags=("web",)),), "vpc"),
        ((Rule("tcp", "5432", droplet_ids=(2,)),), "vpc"),
        ((Rule("tcp", "5432", load_balancer_uids=("x",)),), "vpc"),
        ((Rule("udp", "5432", ("0.0.0.0/0",)),), "none"),
        ((Rule("tcp", "x", ("0.0.0.0/0",)),), "unknown"),
    ],
)
def test_a_socket_behind_a_cloud_firewall(inbound: tuple[Rule, ...], expected: str) -> None:
    """Rules for tags, Droplets and load balancers are the VPC's; both layers must let in."""
    sockets = listening("tcp 0.0.0.0 5432")
    assert reach(expose(DROPLET, sockets, HOST, (), cloud(*inbound))) == {"tcp 5432": expected}
    shut = rules()
    assert reach(expose(DROPLET, sockets, replace(HOST, ipv6=False), shut, cloud(*inbound))) == {
        "tcp 5432": "none"
    }


WORLD = ("0.0.0.0/0", "::/0")


@pytest.mark.parametrize(
    ("rules_", "over_both", "over_ipv4"),
    [
        ((Rule("tcp", "0", WORLD), Rule("tcp", "5432", WORLD, action="deny")), "none", "none"),
        (
            (Rule("tcp", "5432", WORLD), Rule("tcp", "5432", ("0.0.0.0/0",), action="deny")),
            "internet",
            "none",
        ),
        (
            (Rule("tcp", "5432", WORLD), Rule("tcp", "5432", ("::/0",), action="deny")),
            "internet",
            "internet",
        ),
        (
            (Rule("tcp", "5432", WORLD), Rule("tcp", "5432", tags=("web",), action="deny")),
            "internet",
            "internet",
        ),
        (
            (
                Rule("tcp", "5432", ("10.114.0.0/20",)),
                Rule("tcp", "5432", ("10.0.0.0/8",), action="deny"),
            ),
            "none",
            "none",
        ),
        (
            (Rule("tcp", "5432", WORLD), Rule("udp", "1", WORLD, action="log")),
            "unknown",
            "unknown",
        ),
        ((Rule("tcp", "5432", ("::/0",)),), "internet", "none"),
    ],
)
def test_a_socket_behind_rules_that_deny(
    rules_: tuple[Rule, ...], over_both: str, over_ipv4: str
) -> None:
    """Each version of IP has a way through both layers, or has none."""
    sockets = listening("tcp 0.0.0.0 5432", "tcp :: 5432")
    for host, expected in ((HOST, over_both), (replace(HOST, ipv6=False), over_ipv4)):
        found = expose(DROPLET, sockets, host, (), cloud(*rules_))
        assert reach(found) == {"tcp 5432": expected}


def test_what_denies_a_port_is_named() -> None:
    """The first deny rule for it stands in the reason."""
    denied = cloud(Rule("tcp", "0", WORLD), Rule("tcp", "5432", WORLD, action="deny"))
    (port,) = expose(DROPLET, listening("tcp 0.0.0.0 5432"), HOST, (), denied).ports
    assert port.internet.why == "denied by the rule deny tcp 5432 from 0.0.0.0/0, ::/0 (web)"


def test_firewalls_that_the_token_does_not_see_may_let_in() -> None:
    """What is not known to be closed is not closed."""
    sockets = listening("tcp 0.0.0.0 5432")
    assert reach(expose(DROPLET, sockets, HOST, (), cloud(complete=False))) == {
        "tcp 5432": "unknown"
    }


def test_a_row_is_what_the_report_draws() -> None:
    """JSON with port, protocol, process and reach; loopback sockets are left out."""
    sockets = listening("tcp 0.0.0.0 22", "tcp 127.0.0.1 5432", program="/usr/sbin/sshd")
    found = expose(DROPLET, sockets, HOST, (), NO_CLOUD)
    assert json.loads(json.dumps(_row(found))) == [
        {"port": 22, "protocol": "tcp", "process": "sshd", "reachable": "internet"}
    ]
    assert str(found) == "internet: tcp 22 (sshd)"


def test_thousands_of_ports_are_not_all_judged() -> None:
    """It ends, and says that there are more."""
    sockets = listening(*(f"tcp 0.0.0.0 {port}" for port in range(1, 3000)))
    found = expose(DROPLET, sockets, HOST, (), NO_CLOUD)
    assert len(found.ports) == 400
    with pytest.raises(NotObservedError, match="2999 ports are open; 400"):
        found.need_all()


WORDS = st.lists(
    st.sampled_from(
        [
            *("-p", "tcp", "--dport", "5432", "80,443", "1:65535", "!", "-s", "10.0.0.0/8", "-m"),
            *("-j", "DNAT", "--to-destination", "172.17.0.2:80", "[::1]:x", "REDIRECT", "ACCEPT"),
            *("--to-ports", "70000", "-i", "eth0", "-o", "docker0", "--ctorigdstport", "--ctdir"),
            *("ORIGINAL", "--ctstatus", "DNAT", "DROP", "--match-set", "x", "--dst-type", "LOCAL"),
        ]
    )
).map(" ".join)


@given(WORDS, st.sampled_from(["INPUT", "FORWARD", "PREROUTING"]))
def test_no_strange_rule_hides_an_open_port(line: str, chain: str) -> None:
    """Behind a rule that accepts, nothing counts; nothing but NotObservedError is raised."""
    first = f"-A {chain} -j ACCEPT"
    added = (first, f"-A {chain} {line}")
    with suppress(NotObservedError):
        hooks = (
            rules("-A INPUT -j ACCEPT", nat=added)
            if chain == "PREROUTING"
            else rules("-A INPUT -j ACCEPT", *added)
        )
        found = expose(DROPLET, listening("tcp 0.0.0.0 5432"), HOST, hooks, NO_CLOUD)
        assert reach(found)["tcp 5432"] == "internet"


def test_destinations_are_told_by_their_text() -> None:
    """An outcome of a walk gives back the destination."""
    for known in (Destination(), Destination("::1", 80), Destination(None, 80)):
        assert Destination.of(known.text) == known
    assert Destination.of("accept") is None


# --- rules that are loaded again ------------------------------------------------------------

CHAIN = "table inet t {{ chain input {{ type filter hook input priority 0; policy drop; {}; }}; }}"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("tcp dport 22 accept", True),
        ("tcp dport ssh accept", True),
        ("tcp dport { 22, 80 } accept", True),
        ("tcp dport 20-25 accept", True),
        ("tcp dport != 80 accept", True),
        ("tcp dport < 1024 accept", True),
        ("tcp dport 80 accept", False),
        ("udp dport 22 accept", False),
        ("th dport 22 accept", True),
        ("iifname eth0 accept", True),
        ('iifname "eth1" accept', False),
        ("iifname { eth0, eth1 } tcp dport 22 accept", True),
        ("ip saddr 198.51.100.0/24 tcp dport 22 accept", True),
        ("ip saddr { 198.51.100.1, 192.0.2.0/24 } accept", True),
        ("ip6 saddr ::/0 accept", False),
        ("ip daddr 203.0.113.10 accept", True),
        ("meta l4proto tcp accept", True),
        ("meta l4proto 6 accept", True),
        ("meta l4proto { icmp, ipv6-icmp } accept", False),
        ("ip protocol icmp accept", False),
        ("icmp type { echo-request, echo-reply } accept", False),
        ("ct state established,related accept", False),
        ("ct state new accept", True),
        ("ct state vmap { new : accept, invalid : drop }", True),
        ("tcp dport vmap { 22 : jump other, 80 : drop }", True),
        ("jump other", True),
        ("goto other", True),
        ("counter packets 5 bytes 300 accept", True),
        ('log prefix "a accept b" level info', False),
        ('comment "tcp dport 22 accept"', False),
        ("limit rate 3/minute burst 5 packets accept", True),
        ("limit rate over 3/minute drop; accept", True),
        ("fib saddr . iif oif missing drop; tcp dport 22 accept", True),
        ("fib daddr type local accept", True),
        ("tcp flags & (fin|syn) == (fin|syn) drop; tcp dport 22 accept", True),
        ("limit rate over 3/minute accept", None),
        ("update @s { ip saddr limit rate over 10/second } drop; accept", True),
        ("meter m { ip saddr timeout 60s limit rate over 5/second } drop; accept", True),
        ("ct helper { 1, 2 } drop; accept", None),
        ("ct state & (established|related) != 0 drop; accept", None),
        ("iifname . ip saddr vmap @verdicts; accept", None),
        ("iifname . tcp dport vmap { eth0 . 22 : drop, eth0 . 80 : accept }; accept", False),
        ('tcp dport vmap { 22 comment "a : b" : accept, mysql : drop }', True),
        ('tcp dport { 20, ssh comment "office", 80 } accept', True),
        ("tcp dport { mysql, postgresql, http-alt } accept", False),
        ("tcp dport 8000-9000 accept; tcp dport no-such-name accept", "unread"),
        ("tcp dport { 22 timeout 1h, 80 } accept; drop", None),
        ("tcp flags syn accept", True),
        ("tcp flags { syn, ack } accept", True),
        ("tcp flags ! syn accept", False),
        ("tcp flags syn / fin,syn,rst,ack accept", True),
        ("tcp flags & (fin | syn | rst | ack) != syn drop; accept", True),
        ("meta mark and 0xff == 0x0 accept", True),
        ("jump { tcp dport 80 accept; tcp dport 22 drop; }\naccept", False),
        ("goto { tcp dport 22 accept\n tcp dport 80 accept; }", True),
        ("synproxy mss 1460 wscale 7; accept", None),
        ("something new; accept", None),
        ('osf name "Linux" drop; accept', None),
        ("numgen inc mod 2 vmap { 0 : drop, 1 : accept }", None),
        ("ct original proto-dst 22 drop; accept", False),
        ("reject with icmpv6 no-route; accept", True),
        ("reject with tcp reset; accept", False),
        ("reject with icmp type port-unreachable; accept", False),
        ("meta mark set 0x1; meta mark 0x1 accept", None),
        ("meta mark 0x1 drop; accept", True),
        ("ct mark set mark; ct mark 0x0 accept", True),
        ("notrack; ct state new accept", None),
        ("tcp dport set 22; accept", None),
        ("meta skuid 0 accept", None),
        ("ip saddr . tcp dport { 192.0.2.1 . 22 } accept", True),
        ("ip saddr . tcp dport { 192.0.2.1 . 80 } accept", False),
        ("queue num 0", None),
        ("accept", True),
        ("", False),
    ],
)
def test_a_rule_of_an_nft_file(rule: str, *, expected: bool | str | None) -> None:
    """SSH is let in, not let in, or it cannot be told."""
    text = CHAIN.format(rule).replace("chain input", "chain other { accept; }\nchain input")
    if expected == "unread":
        with pytest.raises(NotObservedError):
            parse_files({"/x": text}, "/x")
        return
    assert lets_in(parse_files({"/x": text}, "/x"), SSH) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("table inet t { flags dormant; chain input { CHAIN }; }", []),
        ("table inet t { flags owner, persist; chain input { CHAIN }; }", [{"drop"}]),
        ("table inet t { flags tomorrow; chain input { CHAIN }; }", [{"accept", "drop"}]),
        ("table inet dormant { chain input { CHAIN }; }", [{"drop"}]),
        ("table inet t { flags dormant; }\ntable inet t { chain input { CHAIN }; }", "unread"),
        ("table inet t\ntable inet t { flags dormant; chain input { CHAIN }; }", "unread"),
        ("add table inet t { chain input { CHAIN }; }", [{"drop"}]),
        ("table inet t { sett s { type ipv4_addr; }; chain input { CHAIN }; }", "unread"),
        (
            "table inet t { set s { type ipv4_addr; limit rate 1/second; }; chain input { CHAIN }; }",
            [{"drop"}],
        ),
    ],
)
def test_an_nft_file_tells_what_its_tables_are(text: str, expected: Any) -> None:
    """A dormant table filters nothing; flags, tables and sets that are not known are not guessed."""
    chain = "type filter hook input priority 0; policy drop;"
    files = {"/x": text.replace("CHAIN", chain)}
    if expected == "unread":
        with pytest.raises(NotObservedError):
            parse_files(files, "/x")
        return
    assert [set(hook.outcomes(SSH)) for hook in parse_files(files, "/x")] == expected


def test_an_nft_file_is_what_nft_makes_of_it() -> None:
    """The same rules as text and as nft prints them have the same outcome."""
    text = CHAIN.format('iifname "eth0" tcp dport { 22, 80-90 } ct state new accept')
    home = {"family": "inet", "table": "t"}
    match = [
        {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}},
        {
            "match": {
                "op": "==",
                "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                "right": {"set": [22, {"range": [80, 90]}]},
            }
        },
        {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}},
        {"accept": None},
    ]
    base = {**home, "name": "input", "type": "filter", "hook": "input", "prio": 0}
    printed = {
        "nftables": [
            {"table": {"family": "inet", "name": "t"}},
            {"chain": {**base, "policy": "drop"}},
            {"rule": {**home, "chain": "input", "expr": match}},
        ]
    }
    (written,), (loaded,) = parse_files({"/x": text}, "/x"), parse_ruleset(json.dumps(printed))
    for port in (21, 22, 80, 85, 91, None):
        for interface in ("eth0", "eth1"):
            packet = replace(SSH, port=port, interfaces=frozenset({interface}))
            assert outcomes_of(written, packet) == outcomes_of(loaded, packet)
    assert (written.label, written.policy) == (loaded.label, loaded.policy)


@pytest.mark.parametrize(
    "text",
    [
        'include "/x"',
        'include "/y"',
        "define a = $b",
        "add rule inet t input accept",
        "delete chain inet t input",
        "delete table inet t",
        "table inet t; add rule inet t input accept",
        "table inet t; chain inet t c; add rule inet t c handle 5 accept",
        "table inet t; chain inet t c; add rule inet t c index 1 accept",
        "table inet t; chain inet t c { accept; }; delete chain inet t c",
        "table inet t; chain inet t c { accept; }; delete rule inet t c handle 4",
        "table inet t; reset counters",
        'include "/opt/rules/*.nft"',
        'include "./y"',
        "table inet t { chain input { type filter hook input priority nowhere; } }",
        "table inet t { chain input {",
        "table inet t { chain input { accept }; }",
        "table inet t { chain input { accept; } }",
        "table inet t { set s { elements = { 1 : 2 } } }",
    ],
)
def test_what_is_not_known_is_not_guessed(text: str) -> None:
    """A file that includes itself, what was not read, commands, unfinished blocks."""
    with pytest.raises(NotObservedError):
        parse_files({"/x": text}, "/x")


def test_what_is_removed_does_not_count() -> None:
    """A table that is deleted and written anew has the rules of the second time."""
    old, new = CHAIN.format("tcp dport 22 accept"), CHAIN.format("tcp dport 80 accept")
    for removal in ("flush ruleset", "delete table inet t", "destroy table inet t"):
        files = {"/x": f"{old}\n{removal}\n{new}"}
        assert lets_in(parse_files(files, "/x"), SSH) is False
    files = {"/x": f"{old}\ntable inet other\ndelete table inet other\nflush ruleset ip6"}
    assert lets_in(parse_files(files, "/x"), SSH) is True


@pytest.mark.parametrize(
    ("destination", "families"),
    [
        ("", {4, 6}),
        ("<destination/>", {4, 6}),
        ('<destination ipv6="::/0"/>', {6}),
        ('<destination ipv4="203.0.113.0/24"/>', {4}),
        ('<destination ipv4="203.0.113.0/24" ipv6="::/0"/>', {4, 6}),
    ],
)
def test_a_service_for_addresses_of_one_family_is_for_no_other(
    destination: str, families: set[int]
) -> None:
    """As firewalld's dhcpv6-client, which is in its default zone, opens no port over IPv4."""
    service = f'<service><port protocol="tcp" port="22"/>{destination}</service>'
    files = {
        "/usr/lib/firewalld/zones/public.xml": '<zone><service name="x"/></zone>',
        "/usr/lib/firewalld/services/x.xml": service,
    }
    six = Packet(frozenset({"eth0"}), 6, "tcp", frozenset({"2001:db8::10"}), port=22)
    assert {p.version for p in (SSH, six) if judge_zone(files, (), p)[0]} == families


_BASE = "{ type filter hook input priority 0; policy drop; }"


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ("add rule inet t input tcp dport 22 accept", True),
        ("rule inet t input tcp dport 22 accept", True),
        ("add inet t input tcp dport 22 accept", True),
        ("insert rule inet t input tcp dport 22 drop", False),
        ("add rule inet t input drop\ninsert rule inet t input tcp dport 22 accept", True),
        ("add rule inet t input drop\nadd rule inet t input accept", False),
        (
            (
                "add rule inet t input tcp dport 80 accept\nadd rule inet t input drop\n"
                "add rule inet t input index 0 tcp dport 22 accept"
            ),
            True,
        ),
        ("add rule inet t input accept\nflush chain inet t input", False),
        ("add rule inet t input accept\nflush table inet t", False),
        ("add rule inet t input accept\ndelete table inet t\ntable inet t", True),
        ("define p = { 22, 80 }\nadd rule inet t input tcp dport $p accept", True),
        (
            (
                "add set inet t ports { type inet_service; }\nadd element inet t ports { ssh, 80 }\n"
                "add rule inet t input tcp dport @ports accept"
            ),
            True,
        ),
        (
            (
                "add map inet t m { type inet_service : verdict; elements = { 22 : accept } }\n"
                "add rule inet t input tcp dport vmap @m"
            ),
            True,
        ),
        (
            (
                "add set inet t ports { type inet_service; elements = { 22 } }\n"
                "flush set inet t ports\nadd rule inet t input tcp dport @ports accept"
            ),
            False,
        ),
        ("add chain inet t input { policy accept; }", True),
        ("add chain inet t more\nadd rule inet t more accept\nadd inet t input jump more", True),
    ],
)
def test_a_script_of_commands_is_run(commands: str, *, expected: bool) -> None:
    """Tables, chains, sets, elements and rules are added and taken away one after another."""
    begin = f"add table inet t\nadd chain inet t input {_BASE}\n"
    assert lets_in(parse_files({"/x": begin + commands}, "/x"), SSH) is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (":INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT", True),
        (":INPUT DROP [0:0]\n-A INPUT -p tcp --dport 80 -j ACCEPT\nCOMMIT", False),
        (":INPUT DROP\n[5:300] -A INPUT -p tcp -m tcp --dport ssh -j ACCEPT\nCOMMIT", True),
        (
            ":INPUT DROP [0:0]\n-A INPUT -p tcp --syn --destination-port 22 --jump ACCEPT\nCOMMIT",
            True,
        ),
        (":INPUT DROP [0:0]\n-A INPUT ! --protocol tcp -j ACCEPT\nCOMMIT", False),
        (":INPUT DROP [0:0]\n-A INPUT -s 192.0.2.1,198.51.100.0/24 -j ACCEPT\nCOMMIT", True),
        (":INPUT DROP [0:0]\n-A INPUT -d 192.0.2.1,192.0.2.9 -j ACCEPT\nCOMMIT", False),
        (
            ":INPUT DROP [0:0]\n-A INPUT -j DROP\n-I INPUT 1 -p tcp --dport 22 -j ACCEPT\nCOMMIT",
            True,
        ),
        (":INPUT - [0:0]\nCOMMIT", True),
        ("-A INPUT -p tcp --dport 80 -j ACCEPT\nCOMMIT", True),
        (":INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT", "unread"),
        (":INPUT DROP [0:0]\n*raw\nCOMMIT", "unread"),
        (":INPUT DROP [0:0]\n-A INPUT -p tcp --dport no-such -j ACCEPT\nCOMMIT", "unread"),
        (":INPUT DROP [0:0]\n-P INPUT ACCEPT\nCOMMIT", "unread"),
        ("COMMIT", True),
    ],
)
def test_a_saved_file_of_iptables(lines: str, *, expected: bool | str) -> None:
    """A chain that no line gives a policy has the kernel's; without COMMIT nothing is loaded."""
    text = f"*filter\n{lines}\n"
    if expected == "unread":
        with pytest.raises(NotObservedError):
            parse_saves(text, 4)
        return
    assert lets_in(parse_saves(text, 4), SSH) is expected


NFT_WORDS = st.lists(
    st.sampled_from(
        [
            *("table", "inet", "t", "{", "}", "chain", "input", ";", "\n", "type", "filter"),
            *("hook", "priority", "0", "policy", "drop", "accept", "tcp", "dport", "22", ","),
            *("@s", "$v", "define", "=", "vmap", ":", "ct", "state", "new", "set", "elements"),
            *("jump", "limit", "rate", '"x', '"y"', "fib", "meta", "flush", "ruleset", "saddr"),
        ]
    ),
    max_size=30,
).map(" ".join)


@given(st.text() | NFT_WORDS, WORDS)
def test_any_file_is_judged_or_not_observed(text: str, lines: str) -> None:
    """Whatever the files of a manager hold, nothing but NotObservedError is raised."""
    files, zones = parse_saved(f"== /x\n{text}\n== zone zone={text}\n")
    ufw = {f"/etc/ufw/{n}.rules": f"*filter\n{text}\n-A ufw-user-input {lines}" for n in ("user",)}
    ufw |= {"/etc/default/ufw": f"DEFAULT_INPUT_POLICY=DROP\n{text}"}
    ufw |= {
        f"/etc/ufw/{n}.rules": f"*filter\n-A ufw-{n}-input {lines}" for n in ("before", "after")
    }
    zone = {"/etc/firewalld/zones/public.xml": text}
    for judge in (
        lambda: lets_in(parse_files({"/x": text, **files}, "/x"), SSH),
        lambda: lets_in(parse_files({"/x": CHAIN.format(text)}, "/x"), SSH),
        lambda: lets_in(ufw_hooks(ufw, 4), SSH),
        lambda: judge_zone(zone, zones, SSH),
        lambda: judge_zone({"/etc/firewalld/zones/public.xml": f"<zone>{text}</zone>"}, (), SSH),
        lambda: parse_partitions(text),
    ):
        with suppress(NotObservedError):
            judge()


@given(NFT_WORDS)
def test_no_strange_statement_locks_out_behind_an_accept(text: str) -> None:
    """Behind a rule that accepts everything nothing counts."""
    with suppress(NotObservedError):
        hooks = parse_files({"/x": CHAIN.format(f"accept\n{text}")}, "/x")
        inputs = [hook for hook in hooks if hook.label == "inet t input"]
        assert not inputs or "accept" in outcomes_of(inputs[0], SSH)


# --- connections ----------------------------------------------------------------------------


def test_what_is_tried_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The web's ports where something listens, and those of the site; each once.

    SSH only where it is not told how the audit came in: its own login says that SSH answers.
    """
    import asyncio

    from pytest_droplet.connection import probe

    tried = []

    async def connect(address: str, port: int) -> str:
        tried.append((address, port))
        if port == 8443:
            raise NotObservedError("no way")
        return "open" if port != 80 else "filtered"

    monkeypatch.setattr(probe, "tcp_connect", connect)
    listening = "read tcp\ntcp 00000000:0050 1\ntcp 0100007F:01BB 2\nend\n"
    sections = {"listeners": SectionOutput("listeners", listening)}
    reading = HostReading(1, "reached", NOW, port=2222, sections=sections)
    found = asyncio.run(access_probe((8443, 2222)).run("192.0.2.1", reading))

    assert json.loads(json.dumps(found)) == {"80": "filtered", "2222": "open", "8443": "no way"}
    assert sorted(tried) == [("192.0.2.1", 80), ("192.0.2.1", 2222), ("192.0.2.1", 8443)]
    bare = asyncio.run(access_probe().run("192.0.2.1", replace(reading, sections={})))
    assert bare == {"2222": "open"}

    del tried[:]
    for via in get_args(Way):
        came_in = replace(reading, via=via)
        found = asyncio.run(access_probe((8443, 2222)).run("192.0.2.1", came_in))
        assert found == {"80": "filtered", "8443": "no way"}
    assert 2222 not in {port for _, port in tried}


def test_a_login_is_an_open_connection() -> None:
    """However it came in; and behind a bastion, that a port is not open from here says little."""
    direct = Access("192.0.2.1", 2222, {80: "filtered"}, (80,), via="direct")
    jump = replace(direct, via="jump")
    untold = replace(direct, via=None, ports={2222: "refused"})

    assert (direct.ssh_state(), jump.ssh_state(), untold.ssh_state()) == (
        "open",
        "open",
        "refused",
    )
    assert direct.is_open(2222)
    assert not direct.is_open(80)
    assert (direct.seen_from_here, jump.seen_from_here) == (True, False)
    assert "login came in through a jump host" in str(jump)
    assert "login" not in str(untold)


def test_web_ports_are_those_of_nginx_and_apache() -> None:
    """On public addresses; without root they may be."""
    sockets = listening("tcp 0.0.0.0 80", "tcp 127.0.0.1 443", program="/usr/sbin/nginx")
    assert web_ports(sockets, ()) == ((80,), ())
    assert web_ports(listening("tcp :: 443", program="/usr/bin/caddy"), ()) == ((), ())
    unseen = Listener("tcp", ipaddress.ip_address("::"), 443, None)
    assert web_ports(Listeners((unseen,), owners=False), ()) == ((), (443,))


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda i: st.lists(i) | st.dictionaries(st.text(), i),
    )
)
@pytest.mark.slow
def test_any_answer_of_the_probe_is_parsed_or_not_observed(data: Any) -> None:
    """A recording may have been changed."""
    with suppress(NotObservedError):
        parse_tried(data)
