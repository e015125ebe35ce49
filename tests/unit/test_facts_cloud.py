"""What Cloud Firewalls let in and out together, with rules that deny and words that are new."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from pytest_droplet.facts.firewall.cloud_firewalls import Attachment, CloudFirewalls, rule_text
from pytest_droplet.model import Address, Droplet, Firewall, NotObservedError, Rule

WORLD = ("0.0.0.0/0", "::/0")
VPC = (ipaddress.IPv4Network("10.114.0.0/20"),)
ACCOUNT = (
    Droplet(1, "web", addresses=(Address("203.0.113.10", 4, "public"),)),
    Droplet(2, "db", addresses=(Address("2001:db8::1", 6, "public"),)),
)


def deny(protocol: str, ports: str, *addresses: str, **peers: Any) -> Rule:
    return Rule(protocol, ports, addresses, action="deny", **peers)


def allow(protocol: str, ports: str, *addresses: str, **peers: Any) -> Rule:
    return Rule(protocol, ports, addresses, **peers)


def cloud(*inbound: Rule, out: tuple[Rule, ...] = (), more: tuple[Rule, ...] = ()) -> Any:
    """Return two firewalls, the second with the rules that are ``more``."""
    first = Firewall("a", "web-a", "succeeded", inbound=inbound, outbound=out)
    second = Firewall("b", "web-b", "succeeded", inbound=more)
    attached = (Attachment(first, "directly"), Attachment(second, "by tag web"))
    return CloudFirewalls(attached, account=ACCOUNT)


OPEN_22 = allow("tcp", "22", *WORLD)


@pytest.mark.parametrize(
    ("rules", "opened"),
    [
        ([OPEN_22], True),
        ([OPEN_22, deny("tcp", "22", *WORLD)], False),
        ([deny("tcp", "22", *WORLD), OPEN_22], False),
        ([OPEN_22, deny("tcp", "0", *WORLD)], False),
        ([OPEN_22, deny("tcp", "20-25", "0.0.0.0/1", "128.0.0.0/1", "2000::/3")], False),
        ([OPEN_22, deny("udp", "22", *WORLD)], True),
        ([OPEN_22, deny("tcp", "23-65535", *WORLD)], True),
        ([OPEN_22, deny("tcp", "22", "::/0")], True),
        ([OPEN_22, deny("tcp", "22", "0.0.0.0/0")], True),
        ([OPEN_22, deny("tcp", "22", "198.51.100.0/24", "2001:db8::/32")], True),
        ([OPEN_22, deny("tcp", "22", tags=("web",), droplet_ids=(7,))], True),
        ([OPEN_22, deny("tcp", "22", load_balancer_uids=("x",), kubernetes_ids=("k",))], True),
        ([deny("tcp", "22", *WORLD)], False),
    ],
)
def test_a_port_is_open_by_what_is_allowed_less_what_is_denied(
    rules: list[Rule], *, opened: bool
) -> None:
    """In one firewall or in two; peers that are no addresses never close the internet."""
    for firewalls in (cloud(*rules), cloud(*rules[:1], more=tuple(rules[1:]))):
        assert bool(firewalls.open_to_the_world("tcp", 22)) is opened


@pytest.mark.parametrize(
    ("rules", "opened"),
    [
        ([allow("tcp", "1-9999", *WORLD), allow("tcp", "10000-65535", *WORLD)], True),
        ([allow("tcp", "1-32767", "0.0.0.0/1"), allow("tcp", "32768-65535", *WORLD)], True),
        ([allow("tcp", "0", "0.0.0.0/2"), allow("tcp", "0", "64.0.0.0/2")], True),
        ([allow("tcp", "0", "0.0.0.0/2"), allow("tcp", "1-30000", "64.0.0.0/2")], False),
        ([allow("tcp", "1-60000", *WORLD)], True),
        ([allow("tcp", "1-59999", *WORLD)], False),
        ([allow("tcp", "all", *WORLD), deny("tcp", "1-1000", *WORLD)], True),
        ([allow("tcp", "all", *WORLD), deny("tcp", "1-6000", *WORLD)], False),
        ([allow("tcp", "all", *WORLD), deny("tcp", "1-6000", "::/0")], True),
        ([allow("tcp", "all", *WORLD), deny("tcp", "0", "0.0.0.0/0", "2000::/3")], False),
        ([allow("tcp", "1-40000", *WORLD), allow("udp", "1-40000", *WORLD)], False),
        ([allow("icmp", "0", *WORLD)], False),
    ],
)
def test_all_ports_are_counted_over_all_rules(rules: list[Rule], *, opened: bool) -> None:
    """60,000 ports that the world gets to, in whatever parts."""
    for firewalls in (cloud(*rules), cloud(*rules[:1], more=tuple(rules[1:]))):
        assert bool(firewalls.open_to_the_world("tcp")) is opened


def test_the_rules_that_open_together_are_named() -> None:
    """All of them, and no rule of other ports or that denies."""
    halves = allow("tcp", "1-9999", *WORLD), allow("tcp", "10000-65535", *WORLD)
    found = cloud(halves[0], deny("tcp", "22", *WORLD), more=halves[1:]).open_to_the_world("tcp")
    assert list(map(str, found)) == [
        "tcp 1-9999 from 0.0.0.0/0, ::/0 (web-a)",
        "tcp 10000-65535 from 0.0.0.0/0, ::/0 (web-b)",
    ]


OFFICE = allow("tcp", "22", "198.51.100.0/24")
BASTION = allow("tcp", "22", tags=("bastion",))


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], False),
        ([OFFICE], True),
        ([BASTION], True),
        ([allow("tcp", "22")], False),
        ([deny("tcp", "22", *WORLD)], False),
        ([OFFICE, deny("tcp", "22", *WORLD)], False),
        ([OFFICE, deny("tcp", "22", "198.51.100.0/25")], True),
        ([OFFICE, deny("tcp", "22", "198.51.100.0/25", "198.51.100.128/25")], False),
        ([BASTION, deny("tcp", "22", *WORLD)], False),
        ([BASTION, deny("tcp", "22", tags=("bastion",))], False),
        ([BASTION, deny("tcp", "22", tags=("staging",))], None),
        ([BASTION, deny("tcp", "22", "10.0.0.0/8")], None),
        ([BASTION, deny("tcp", "22", "198.51.100.0/24")], True),
        ([OFFICE, deny("tcp", "22", tags=("staging",))], True),
        ([OFFICE, deny("tcp", "22", load_balancer_uids=("x",))], None),
        ([allow("tcp", "22", "203.0.113.10"), deny("tcp", "22", droplet_ids=(1,))], None),
        ([allow("tcp", "22", *WORLD), deny("tcp", "22", tags=("staging",))], True),
    ],
)
def test_somebody_gets_in(rules: list[Rule], *, expected: bool | None) -> None:
    """Denied peers without an address may take away the account's own addresses and no others."""
    firewalls = cloud(*rules)
    if expected is None:
        with pytest.raises(NotObservedError, match="tcp 22 cannot be told: rules deny some"):
            firewalls.lets_somebody_in("tcp", 22)
        with pytest.raises(NotObservedError, match="whether anybody gets in cannot be told"):
            firewalls.lets_anything_in()
    else:
        assert firewalls.lets_somebody_in("tcp", 22) is expected
        assert firewalls.lets_anything_in() is expected


def test_icmp_alone_lets_something_in() -> None:
    """A rule of ICMP is a way in, though to no port."""
    assert cloud(allow("icmp", "0", *WORLD)).lets_anything_in()
    assert not cloud(allow("icmp", "0", *WORLD), deny("icmp", "0", *WORLD)).lets_anything_in()


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([allow("tcp", "5432", "10.114.0.0/20")], True),
        ([allow("tcp", "5432", "10.114.0.0/20"), deny("tcp", "5432", "10.0.0.0/8")], False),
        ([allow("tcp", "5432", tags=("web",)), deny("tcp", "5432", "10.114.0.0/20")], False),
        ([allow("tcp", "5432", tags=("web",)), deny("tcp", "5432", "10.114.0.0/24")], None),
        ([allow("tcp", "5432", "10.114.0.0/20"), deny("tcp", "5432", tags=("web",))], None),
        ([allow("tcp", "5432", *WORLD), deny("tcp", "5432", tags=("web",))], None),
        ([allow("tcp", "5432", "192.168.0.0/16")], False),
    ],
)
def test_somebody_of_the_vpc_gets_in(rules: list[Rule], *, expected: bool | None) -> None:
    """By address or by name, less what is denied there."""
    firewalls = cloud(*rules)
    if expected is None:
        with pytest.raises(NotObservedError, match="from the VPC cannot be told"):
            firewalls.open_to("tcp", 5432, VPC)
    else:
        assert bool(firewalls.open_to("tcp", 5432, VPC)) is expected


ALL_OUT = allow("tcp", "0", *WORLD)


@pytest.mark.parametrize(
    ("rules", "public", "private"),
    [
        ([ALL_OUT], True, True),
        ([ALL_OUT, deny("tcp", "443", *WORLD)], False, False),
        ([ALL_OUT, deny("tcp", "443", "0.0.0.0/0", "2000::/3")], False, True),
        ([ALL_OUT, deny("tcp", "443", "0.0.0.0/0")], True, True),
        ([ALL_OUT, deny("tcp", "443", tags=("db",))], True, True),
        ([ALL_OUT, deny("tcp", "53", *WORLD)], True, True),
        ([allow("tcp", "443", "10.0.0.0/8", "fc00::/7")], False, True),
        ([allow("tcp", "443", tags=("proxy",))], False, True),
        ([deny("tcp", "443", *WORLD)], False, False),
    ],
)
def test_what_is_let_out(rules: list[Rule], *, public: bool, private: bool) -> None:
    """Deny rules take away from what is let out, by exactly their addresses and ports."""
    firewalls = cloud(out=tuple(rules))
    assert firewalls.lets_out("tcp", 443) is public
    assert firewalls.lets_out("tcp", 443, public=False) is private


INBOUND: dict[str, Callable[[CloudFirewalls], object]] = {
    "a port": lambda c: c.open_to_the_world("tcp", 22),
    "all ports": lambda c: c.open_to_the_world("udp"),
    "vpc": lambda c: c.open_to("tcp", 22, VPC),
    "somebody": lambda c: c.lets_somebody_in("tcp", 22),
    "anything": lambda c: c.lets_anything_in(),
}
QUESTIONS = INBOUND | {"out": lambda c: c.lets_out("tcp", 443)}


@pytest.mark.parametrize(
    ("strange", "named"),
    [
        (Rule("tcp", "443", WORLD, action="audit"), "inbound_rules[1].action is 'audit', a word"),
        (Rule("sctp", "443", WORLD), "inbound_rules[1].protocol is 'sctp', a word"),
        (Rule("tcp", "ssh", WORLD), "inbound_rules[1].ports is 'ssh', which are no ports"),
        (Rule("tcp", "", WORLD), "inbound_rules[1].ports is ''"),
        (Rule("tcp", "9-8", WORLD), "inbound_rules[1].ports is '9-8'"),
        (Rule("tcp", "1-65536", WORLD), "inbound_rules[1].ports is '1-65536'"),
        (Rule("tcp", "00", WORLD), "inbound_rules[1].ports is '00'"),
        (Rule("tcp", "22", ("any",)), "inbound_rules[1].sources.addresses: 'any'"),
        (Rule("tcp", "22", unclear=("vpc is new",)), "inbound_rules[1].vpc is new"),
    ],
)
@pytest.mark.parametrize("question", INBOUND)
def test_a_rule_that_is_not_understood_makes_every_answer_unknown(
    strange: Rule, named: str, question: str
) -> None:
    """It may allow and deny anything; the message names the firewall, the field and the word."""
    for firewalls in (cloud(OPEN_22, strange), cloud(deny("tcp", "0", *WORLD), strange)):
        with pytest.raises(NotObservedError) as caught:
            INBOUND[question](firewalls)
        assert str(caught.value).startswith(f"Cloud Firewall web-a: {named}")
        assert named[:30] in str(firewalls)
    assert not cloud(out=(strange,)).open_to_the_world("tcp", 22)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"status": "paused"}, "status is 'paused', a word"),
        ({"status": ""}, "status is '', a word"),
        ({"unclear": ("mode is new",)}, "mode is new"),
    ],
)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_firewall_that_is_not_understood_makes_every_answer_unknown(
    changes: dict[str, Any], named: str, question: str
) -> None:
    """In both directions: whether its rules hold at all is not known."""
    strange = Firewall("s", "odd", **{"status": "succeeded", **changes})
    known = cloud(OPEN_22, out=(ALL_OUT,))
    firewalls = CloudFirewalls((*known.attached, Attachment(strange, "directly")))
    with pytest.raises(NotObservedError, match=f"^Cloud Firewall odd: {named}"):
        QUESTIONS[question](firewalls)


@pytest.mark.parametrize("question", QUESTIONS)
def test_firewalls_that_are_not_seen_may_deny_and_allow(question: str) -> None:
    """Where there may be others, neither open nor closed is proved."""
    for rules in ((OPEN_22,), ()):
        known = cloud(*rules, out=(ALL_OUT,))
        with pytest.raises(NotObservedError, match="firewalls: not answered"):
            QUESTIONS[question](CloudFirewalls(known.attached, complete=False))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (deny("tcp", "0", "0.0.0.0/0"), "deny tcp all ports from 0.0.0.0/0 (web-a)"),
        (deny("udp", "53", tags=("db",)), "deny udp 53 from tag db (web-a)"),
        (OPEN_22, "tcp 22 from 0.0.0.0/0, ::/0 (web-a)"),
    ],
)
def test_a_rule_is_shown_with_its_action(rule: Rule, text: str) -> None:
    """Deny stands before what it denies; what allows is shown as ever."""
    assert rule_text(Firewall("a", "web-a", "succeeded"), rule) == text


def test_the_evidence_counts_deny_rules() -> None:
    """Beside all rules of each direction."""
    shown = str(cloud(OPEN_22, deny("tcp", "23", *WORLD), out=(ALL_OUT,)))
    assert shown.endswith("2 inbound (1 deny), 1 outbound rules")
