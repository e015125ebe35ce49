"""Packets between namespaces judge what the product reads of rules that real programs loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .judgement import (
    PORTS,
    PROBES,
    UNLISTED,
    contradictions,
    judge_loaded,
    judge_outward,
    judge_saves,
    judge_text,
)
from .networks import Networks, Probe, tools_missing
from .random_rules import RandomRules, RandomTables

RULE_SETS = sorted(Path(__file__).with_name("rule_sets").iterdir())
_EXAMPLES = int(os.environ.get("PYTEST_DROPLET_RANDOMRULE_SETS", "40"))
_RANDOM = settings(
    max_examples=_EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
_ROOT = os.environ.get("PYTEST_DROPLET_ORACLE_ROOT", "")
_REFUSED = re.compile(r"^/dev/stdin:([0-9]+):[0-9-]+: Error", re.MULTILINE)
_SHAPES = ("ufw", "firewalld", "docker", "podman", "fail2ban", "crowdsec", "wireguard")
"""What rule sets of programs that everybody uses begin with."""
_MOST_UNKNOWN = 0.05
_FEWEST_VERDICTS = 5_000
_SOURCE_PORT = re.compile(r"sports? ([0-9]+)")
_NO_LEGACY_RULES = """*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
"""
_ROUNDS = 6
_WAIT_S = 0.005
_LONGER_WAITS_S = (0.005, 0.05, 0.3)


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    yield from networks_of(_ROOT)


def networks_of(root: str) -> Iterator[Networks]:
    """Yield a host whose programs are those of a root file system; empty: of this machine."""
    if reason := tools_missing():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    made = Networks((*PORTS, *UNLISTED), root)
    yield made
    made.close()


def load(networks: Networks, text: str) -> str:
    """Load rules in place of those that are there; return why nft or iptables refused them."""
    networks.run("nft", "flush", "ruleset")
    for tool in ("iptables", "ip6tables"):
        networks.run(f"{tool}-legacy-restore", text=_NO_LEGACY_RULES)
    tool, _, rest = text.partition("\n")
    command = tool.removeprefix("#!").split() if tool.startswith("#!") else ["nft", "-f", "-"]
    done = networks.run(*command, text=rest if tool.startswith("#!") else text)
    return done.stderr if done.returncode else ""


def load_what_is_taken(networks: Networks, text: str) -> str:
    """Load a rule set without the lines that nft refuses; return what was loaded."""
    lines = text.splitlines()
    while reasons := load(networks, "\n".join(lines)):
        refused = {int(number) for number in _REFUSED.findall(reasons)}
        assert refused, reasons
        lines = [line for n, line in enumerate(lines, 1) if n not in refused]
    return "\n".join(lines)


def disagreements(networks: Networks, text: str) -> list[str]:
    """Return where packets contradict the product, or it tells less of a file than of what runs.

    The file is the rule set itself, and what nft prints of it, as it is often saved.
    What should be reached and is not is asked again, alone, of rules that are loaded anew: others
    may have used up a rate, and under load a packet takes time.
    """
    judged = [judge_loaded(networks)]
    untold = []
    if not text.startswith("#!"):
        dumped = judge_text(networks, networks.run("nft", "list", "ruleset").stdout)
        untold = [p for p, allowed in dumped.reached.items() if allowed is None]
        untold = [f"not told of a file: {p}" for p in untold if judged[0].reached[p] is not None]
        judged += [judge_text(networks, text), dumped]
    else:
        judged.append(judge_saves(networks, text.partition("\n")[2]))
    arrived: set[Probe] = set()
    for _ in range(_ROUNDS):
        arrived |= networks.answered(PROBES, _WAIT_S)
    for missing in {each.awaited for said in judged for each in contradictions(said, arrived)}:
        arrived |= reached_alone(networks, text, missing)
    found = [each.words for said in judged for each in contradictions(said, arrived)]
    return untold + found + _disagreements_outward(networks, text)


def _disagreements_outward(networks: Networks, text: str) -> list[str]:
    """Return where the host's own packets contradict the product."""
    said = judge_outward(networks)
    left: set[Probe] = set()
    for _ in range(_ROUNDS):
        left |= networks.left(PROBES, _WAIT_S)
    for probe in [p for p, allowed in said.items() if allowed and p not in left]:
        for wait_s in _LONGER_WAITS_S:
            load(networks, text)
            left |= networks.left([probe], wait_s)
    closed = [f"closed, but left: {p}" for p in left if said[p] is False]
    return closed + [f"open, but did not leave: {p}" for p in PROBES if said[p] and p not in left]


def reached_alone(networks: Networks, text: str, probes: tuple[Probe, ...]) -> set[Probe]:
    """Return which of some packets arrives when no others are sent, more than a small rate.

    It comes from any port, or from one that the rules let in.
    """
    sources = [None, *(int(port) for port in dict.fromkeys(_SOURCE_PORT.findall(text)))]
    for wait_s, probe, source in product(_LONGER_WAITS_S, probes, sources):
        load(networks, text)
        for _ in range(_ROUNDS):
            if arrived := networks.answered([probe], wait_s, source):
                return arrived
    return set()


@pytest.mark.parametrize("path", RULE_SETS, ids=lambda path: path.name)
def test_packets_agree_with_what_is_read_of_a_known_rule_set(
    networks: Networks, path: Path
) -> None:
    """A port that took a packet is not called closed, one that took none is not called open."""
    text = path.read_text()
    assert not load(networks, text)
    assert disagreements(networks, text) == []


def test_few_ports_cannot_be_told_under_rules_of_common_programs(networks: Networks) -> None:
    """At most one of twenty ports is unknown over the rule sets of programs that many use."""
    verdicts: list[bool | None] = []
    for path in RULE_SETS:
        if path.name.startswith(_SHAPES):
            assert not load(networks, path.read_text())
            verdicts += judge_loaded(networks).reached.values()

    assert verdicts
    assert verdicts.count(None) <= _MOST_UNKNOWN * len(verdicts)


def test_enough_verdicts_are_compared() -> None:
    """A run asks about thousands of ports, by packets of each origin, family and protocol."""
    assert len(PROBES) * (len(RULE_SETS) + _EXAMPLES) >= _FEWEST_VERDICTS


@_RANDOM
@given(random=st.randoms(use_true_random=False))
def test_packets_agree_with_what_is_read_of_a_random_rule_set(
    networks: Networks, random: Random
) -> None:
    """The same of rule sets that nobody wrote; lines that nft refuses are left out."""
    text = load_what_is_taken(networks, RandomRules(random).text())
    assert disagreements(networks, text) == [], text


@settings(_RANDOM, max_examples=_EXAMPLES // 2)
@given(random=st.randoms(use_true_random=False))
def test_packets_agree_with_what_is_read_of_random_tables_of_iptables(
    networks: Networks, random: Random
) -> None:
    """The same of the tables of iptables, over nftables and legacy."""
    text = RandomTables(random).text()
    assert not load(networks, text), text
    assert disagreements(networks, text) == [], text
