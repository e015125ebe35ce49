"""Whether the host itself reaches others, by its packet filter and the Cloud Firewalls."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest

from pytest_droplet.facts.firewall.cloud_firewalls import Attachment, CloudFirewalls
from pytest_droplet.facts.firewall.host_rules import HostRules
from pytest_droplet.facts.firewall.iptables import parse_saves
from pytest_droplet.facts.firewall.nft_text import parse_files
from pytest_droplet.facts.firewall.packet_filter import Hook
from pytest_droplet.facts.firewall.ways_out import WaysOut
from pytest_droplet.facts.host.interfaces import Interfaces
from pytest_droplet.model import Address, Droplet, Firewall, Reading, Rule

_NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
_DROPLET = Droplet(
    1,
    "web-1",
    addresses=(Address("203.0.113.10", 4, "public"), Address("10.114.0.2", 4, "private")),
)
_PLACES = (
    ("eth0", "203.0.113.10", "203.0.113.0/24"),
    ("eth1", "10.114.0.2", "10.114.0.0/20"),
    ("docker0", "172.17.0.1", "172.17.0.0/16"),
)
_TABLE = "table inet f {{ chain o {{ type {} hook {} priority {}; policy {}; {}; }}; }}"
_PUBLIC, _VPC = "198.51.100.7", "10.114.0.9"


def _ways(
    hooks: tuple[Hook, ...], cloud: CloudFirewalls | None = None, *more: tuple[str, str, str]
) -> WaysOut:
    places = (*_PLACES, *more)
    interfaces = Interfaces(
        tuple((name, ip) for name, ip, _ in places),
        ipv6=False,
        networks=tuple((name, ipaddress.ip_network(net)) for name, _, net in places),
    )
    read = Reading("x", _NOW, cloud or CloudFirewalls(()))
    return WaysOut(_DROPLET, interfaces, HostRules.of(hooks).outward, read)


def _nft(rules: str, policy: str = "drop", place: str = "output", kind: str = "filter") -> WaysOut:
    text = _TABLE.format(kind, place, 0, policy, rules)
    return _ways(parse_files({"/x": text}, "/x"))


@pytest.mark.parametrize(
    ("rules", "to_public", "to_vpc"),
    [
        ("", False, False),
        ("tcp dport 443 accept", True, True),
        ("tcp dport 80 accept", False, False),
        ("ct state new tcp dport { 80, 443 } accept", True, True),
        ("ct state established,related accept", False, False),
        ('oifname "eth0" accept', True, False),
        ('oifname "eth1" accept', False, True),
        ('iifname "eth0" accept', False, False),
        ('oifname "lo" accept', False, False),
        ("ip daddr 10.0.0.0/8 accept", False, True),
        ("ip daddr != 10.0.0.0/8 accept", True, False),
        ("ip saddr 203.0.113.10 accept", True, False),
        ("meta skuid 0 accept", None, None),
        ("udp dport 443 accept", False, False),
        ("tcp sport 22 accept", None, None),
        ("tcp sport 1024-65535 accept", True, True),
        ("limit rate 10/second accept", True, True),
        ("ip6 daddr ::/0 accept", False, False),
        ("meta pkttype host accept", None, None),
        ("fib saddr type local accept", True, True),
        ("fib daddr type local accept", False, False),
        ("new-word accept", None, None),
    ],
)
def test_a_rule_before_the_policy_of_drop(
    rules: str, *, to_public: bool | None, to_vpc: bool | None
) -> None:
    """A way out is open, closed or unknown, by address, interface, protocol and port."""
    ways = _nft(rules)
    found = [ways.to("tcp", address, 443).allowed for address in (_PUBLIC, _VPC)]
    assert found == [to_public, to_vpc]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("tcp dport 25 drop", False),
        ("tcp dport 26 drop", True),
        ("limit rate over 10/second drop", True),
        ("tcp sport 22 drop", True),
        ("meta skuid 1000 drop", None),
    ],
)
def test_a_rule_that_drops(rules: str, *, expected: bool | None) -> None:
    """What drops some packets closes nothing; what drops those of some programs is unknown."""
    for place in ("output", "postrouting"):
        assert _nft(rules, "accept", place).to("tcp", _PUBLIC, 25).allowed is expected


def test_what_cannot_be_told_names_chain_and_rule() -> None:
    """The reason is one line with the table, the chain and the rule."""
    (chain,) = _nft("meta skuid 1000 drop", "accept").hooks
    why = _nft("meta skuid 1000 drop", "accept").to("tcp", _PUBLIC, 25).why
    assert chain.label == "inet f o"
    assert "inet f o" in why
    assert "skuid" in why


def test_what_comes_in_is_another_question() -> None:
    """Chains for packets that come in do not close the way out, nor those the way in."""
    assert _nft("", place="input").hooks == ()
    assert _nft("", place="forward").to("tcp", _PUBLIC, 443).allowed is True
    text = _TABLE.format("filter", "output", 0, "drop", "")
    assert HostRules.of(parse_files({"/x": text}, "/x")).hooks == ()


def test_chains_that_are_not_followed_are_unknown() -> None:
    """NAT that sends the host's own packets elsewhere, and chains of the hook egress."""
    assert _nft("tcp dport 443 dnat ip to 10.1.1.1", "accept", kind="nat").to(
        "tcp", _PUBLIC, 443
    ).allowed is None  # fmt: skip
    assert _nft("tcp dport 80 dnat ip to 10.1.1.1", "accept", kind="nat").to(
        "tcp", _PUBLIC, 443
    ).allowed  # fmt: skip
    text = (
        'table netdev f { chain e { type filter hook egress device "eth0" priority 0; drop; }; }'
    )
    assert _ways(parse_files({"/x": text}, "/x")).to("tcp", _PUBLIC, 443).allowed is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (":OUTPUT DROP [0:0]", False),
        (":OUTPUT DROP [0:0]\n-A OUTPUT -o eth0 -p tcp --dport 443 -j ACCEPT", True),
        (":OUTPUT DROP [0:0]\n-A OUTPUT -o eth1 -j ACCEPT", False),
        (":OUTPUT DROP [0:0]\n-A OUTPUT -m owner --uid-owner 0 -j ACCEPT", None),
        (":OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 198.51.100.0/24 -j REJECT", False),
        (":OUTPUT DROP [0:0]\n-A OUTPUT -m addrtype --src-type LOCAL -j ACCEPT", True),
        (":INPUT DROP [0:0]\n:FORWARD DROP [0:0]", True),
    ],
)
def test_the_rules_of_iptables(lines: str, *, expected: bool | None) -> None:
    """The same of the chain OUTPUT; Docker's NAT of what is for the host itself is none of it."""
    nat = (
        "*nat\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n"
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER\n"
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n"
        "-A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\nCOMMIT"
    )
    hooks = parse_saves(f"*filter\n{lines}\nCOMMIT\n{nat}\n", 4)
    assert _ways(hooks).to("tcp", _PUBLIC, 443).allowed is expected


def test_a_tunnel_may_be_the_way_to_the_internet() -> None:
    """Where there is a tunnel, a rule for the public interface alone decides nothing."""
    text = _TABLE.format("filter", "output", 0, "drop", 'oifname "eth0" accept')
    hooks = parse_files({"/x": text}, "/x")
    tunnel = ("wg0", "10.8.0.1", "10.8.0.0/24")
    assert _ways(hooks).to("tcp", _PUBLIC, 443).allowed is True
    assert _ways(hooks, None, tunnel).to("tcp", _PUBLIC, 443).allowed is None
    assert _ways(hooks, None, tunnel).to("tcp", "10.8.0.2", 443).allowed is False


def test_addresses_that_are_not_of_another_host_are_unknown() -> None:
    """The host itself and groups of hosts; an IPv4 address in the form of IPv6 is IPv4."""
    ways = _nft("accept")
    for address in ("127.0.0.1", "203.0.113.10", "224.0.0.1"):
        assert ways.to("tcp", address, 443).allowed is None
    assert ways.to("tcp", f"::ffff:{_PUBLIC}", 443).allowed is True
    assert ways.to("tcp", "2001:db8::1", 443).allowed is False


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("tcp", "443", addresses=("0.0.0.0/0",)), True),
        (Rule("tcp", "443", addresses=("198.51.100.0/24",)), True),
        (Rule("tcp", "443", addresses=("192.0.2.0/24",)), False),
        (Rule("tcp", "80", addresses=("0.0.0.0/0",)), False),
        (Rule("udp", "443", addresses=("0.0.0.0/0",)), False),
        (Rule("tcp", "443", tags=("db",)), None),
    ],
)
def test_the_cloud_firewalls_decide_too(rule: Rule, *, expected: bool | None) -> None:
    """A way out is open where both layers let it out, and unknown with the layer's name."""
    firewall = Firewall("f", "edge", "succeeded", outbound=(rule,))
    cloud = CloudFirewalls((Attachment(firewall, "directly"),))
    found = _ways((), cloud).to("tcp", _PUBLIC, 443)
    assert found.allowed is expected
    assert ("Cloud Firewalls" in found.why) is (expected is not True)


def test_rules_that_were_not_read_leave_the_way_unknown() -> None:
    """The reason is given; a Cloud Firewall that lets nothing out still closes it."""
    ways = _ways(())
    unread = WaysOut(_DROPLET, ways.interfaces, (), ways.cloud, unread="no root")
    assert unread.to("tcp", _PUBLIC, 443).allowed is None
    assert unread.to("tcp", _PUBLIC, 443).why == "no root"
    firewall = Firewall("f", "edge", "succeeded")
    cloud = CloudFirewalls((Attachment(firewall, "directly"),))
    closed = WaysOut(_DROPLET, ways.interfaces, (), Reading("x", _NOW, cloud), unread="no root")
    assert closed.to("tcp", _PUBLIC, 443).allowed is False
