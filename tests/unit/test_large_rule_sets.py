"""Large rule sets: the work of reading and judging them grows no faster than they do."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_droplet.facts.firewall.cloud_firewalls import CloudFirewalls
from pytest_droplet.facts.firewall.exposed_ports import expose
from pytest_droplet.facts.firewall.firewall_saved import compare
from pytest_droplet.facts.firewall.host_firewall import decide
from pytest_droplet.facts.firewall.host_rules import HostRules
from pytest_droplet.facts.firewall.iptables import parse_saves
from pytest_droplet.facts.firewall.nft_text import parse_files
from pytest_droplet.facts.firewall.nftables import parse_ruleset
from pytest_droplet.facts.firewall.packet_filter import Hook, Packet
from pytest_droplet.facts.firewall.ways_out import WaysOut
from pytest_droplet.facts.host.interfaces import Interfaces
from pytest_droplet.facts.host.listeners import Listener, Listeners
from pytest_droplet.model import Address, Droplet, Reading
from tests.support.work import calls

_SMALL, _LARGE = 60, 240
_TIMES = 5.5
"""How much more work four times as many lines may be."""

_NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
_DROPLET = Droplet(1, "web-1", addresses=(Address("203.0.113.10", 4, "public"),))
_HOST = Interfaces(
    (("eth0", "203.0.113.10"),),
    ipv6=False,
    networks=(("eth0", ipaddress.ip_network("203.0.113.0/24")),),
)
_LISTENERS = Listeners(
    tuple(
        Listener("tcp", ipaddress.ip_address("0.0.0.0"), port, ("/usr/bin/x",))
        for port in (22, 443, 5432)
    ),
    owners=True,
)
_NO_CLOUD = Reading("x", _NOW, CloudFirewalls(()))
_CHAIN = {"family": "inet", "table": "f", "name": "input"}
_BASE = {**_CHAIN, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}


def _address(number: int) -> str:
    return str(ipaddress.IPv4Address(0x2000_0000 + 7 * number))


def _network(number: int) -> str:
    return f"{ipaddress.IPv4Address(0x2000_0000 + (number << 12))}/20"


def _saved(lines: list[str], chains: str = "") -> str:
    return "\n".join(["*filter", ":INPUT DROP [0:0]", chains, *lines, "COMMIT", ""])


def _iptables_rules(size: int) -> tuple[Hook, ...]:
    lines = [
        f"-A INPUT -s {_network(n)} -p tcp --dport {1000 + n % 7} -j DROP" for n in range(size)
    ]
    return parse_saves(_saved([*lines, "-A INPUT -p tcp --dport 22 -j ACCEPT"]), 4)


def _iptables_chains(size: int) -> tuple[Hook, ...]:
    """Return chains each of which is asked by the one before and by INPUT."""
    chains = "\n".join(f":c{n} - [0:0]" for n in range(size))
    lines = [f"-A c{n} -p tcp --dport {1000 + n % 7} -j c{n + 1}" for n in range(size - 1)]
    lines += [f"-A INPUT -s {_network(n)} -j c{n}" for n in range(size)]
    return parse_saves(_saved([*lines, "-A INPUT -p tcp --dport 22 -j ACCEPT"], chains), 4)


def _match(left: Any, right: Any) -> Any:
    return {"match": {"op": "==", "left": left, "right": right}}


_SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
_DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}


def _ruleset(*objects: Any) -> tuple[Hook, ...]:
    table = {"table": {"family": "inet", "name": "f"}}
    return parse_ruleset(json.dumps({"nftables": [table, *objects, _rule(_match(_DPORT, 22))]}))


def _rule(*matches: Any, verdict: str = "accept", chain: str = "input") -> Any:
    place = {"family": "inet", "table": "f", "chain": chain}
    return {"rule": {**place, "expr": [*matches, {verdict: None}]}}


def _nft_rules(size: int) -> tuple[Hook, ...]:
    rules = [
        _rule(
            _match(_SADDR, {"prefix": {"addr": _network(n).partition("/")[0], "len": 20}}),
            _match(_DPORT, 1000 + n % 7),
            verdict="drop",
        )
        for n in range(size)
    ]
    return _ruleset({"chain": _BASE}, *rules)


def _nft_elements(size: int) -> tuple[Hook, ...]:
    addresses = [_address(n) for n in range(10 * size)]
    place = {"family": "inet", "table": "f", "name": "bad", "type": "ipv4_addr"}
    rules = [
        _rule(_match(_SADDR, "@bad"), _match(_DPORT, port), verdict="drop")
        for port in (22, 443, 80, 5432)
    ]
    return _ruleset({"set": {**place, "elem": addresses}}, {"chain": _BASE}, *rules)


def _nft_chains(size: int) -> tuple[Hook, ...]:
    chains = [{"chain": {**_CHAIN, "name": f"c{n}"}} for n in range(size)]
    jumps = [{"jump": {"target": f"c{n}"}} for n in range(size)]
    place = {"family": "inet", "table": "f", "chain": "input"}
    entered = [{"rule": {**place, "expr": [jump]}} for jump in jumps]
    inner = [
        {"rule": {**place, "chain": f"c{n}", "expr": [_match(_DPORT, 1000 + n % 7), jump]}}
        for n, jump in enumerate(jumps[1:])
    ]
    return _ruleset({"chain": _BASE}, *chains, *inner, *entered)


def _nft_map(size: int) -> tuple[Hook, ...]:
    pairs = [[port, {"accept": None}] for port in range(2000, 2000 + size)]
    verdicts = {"vmap": {"key": _DPORT, "data": {"set": pairs}}}
    rule = {"rule": {"family": "inet", "table": "f", "chain": "input", "expr": [verdicts]}}
    return _ruleset({"chain": _BASE}, rule)


def _nft_file(size: int) -> tuple[Hook, ...]:
    lines = [f"ip saddr {_network(n)} tcp dport {1000 + n % 7} drop" for n in range(size)]
    chain = "\n".join(["type filter hook input priority 0; policy drop", *lines])
    text = f"table inet f {{\nchain input {{\n{chain}\ntcp dport 22 accept\n}}\n}}\n"
    return parse_files({"/x": text}, "/x")


_SHAPES = [
    *(_iptables_rules, _iptables_chains, _nft_rules, _nft_elements, _nft_chains, _nft_map),
    _nft_file,
]


def _judge(hooks: tuple[Hook, ...]) -> None:
    """Ask everything that checks ask of rules, and whether SSH gets through."""
    found = expose(_DROPLET, _LISTENERS, _HOST, hooks, _NO_CLOUD)
    assert found.ports
    decide(4, hooks, _HOST, _DROPLET.addresses)
    packet = Packet(frozenset({"eth0"}), 4, "tcp", frozenset({"203.0.113.10"}))
    compare(hooks, hooks, [packet])
    WaysOut(_DROPLET, _HOST, HostRules.of(hooks).outward, _NO_CLOUD).to("tcp", "192.0.2.1", 443)


@pytest.mark.parametrize("shape", _SHAPES, ids=lambda shape: shape.__name__.strip("_"))
def test_four_times_the_rules_are_four_times_the_work(
    shape: Callable[[int], tuple[Hook, ...]],
) -> None:
    """Rules, chains, elements of sets and of maps are each looked at a fixed number of times."""
    few, many = (calls(lambda size=size: _judge(shape(size))) for size in (_SMALL, _LARGE))
    assert many < _TIMES * few
