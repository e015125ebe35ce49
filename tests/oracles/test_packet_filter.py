"""Packets between namespaces judge what the product reads of rules that real programs loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .judgement import PORTS, PROBES, UNLISTED, contradictions, judge_loaded, judge_text
from .networks import Networks, Probe, tools_missing
from .random_rules import RandomRules

_RULE_SETS = sorted(Path(__file__).with_name("rule_sets").iterdir())
_SEEDS = range(int(os.environ.get("PYTEST_DROPLET_RANDOM_RULE_SETS", "400")))
_ROOT = os.environ.get("PYTEST_DROPLET_ORACLE_ROOT", "")
_ROUNDS = 6
_WAITS_S = (0.005,)


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    if reason := tools_missing():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    made = Networks((*PORTS, *UNLISTED), _ROOT)
    yield made
    made.close()


def load(networks: Networks, text: str) -> str:
    """Load rules in place of those that are there; return why nft or iptables refused them."""
    networks.run("nft", "flush", "ruleset")
    for tool in ("iptables", "ip6tables"):
        empty = "".join(f"*{name}\nCOMMIT\n" for name in ("raw", "mangle", "nat", "filter"))
        networks.run(f"{tool}-legacy-restore", text=empty)
    tool, _, rest = text.partition("\n")
    command = tool.removeprefix("#!").split() if tool.startswith("#!") else ["nft", "-f", "-"]
    done = networks.run(*command, text=rest if tool.startswith("#!") else text)
    return done.stderr if done.returncode else ""


def disagreements(networks: Networks, text: str) -> list[str]:
    """Return where packets contradict the product; under load they are given more time."""
    judged = [judge_loaded(networks)]
    if not text.startswith("#!"):
        judged.append(judge_text(networks, text))
    arrived: set[Probe] = set()
    found: list[str] = []
    for wait_s in _WAITS_S:
        for _ in range(_ROUNDS):
            arrived |= networks.answered(PROBES, wait_s)
        found = [each for said in judged for each in contradictions(said, arrived)]
        if not any("not reached" in each or "no unlisted" in each for each in found):
            break
    return found


@pytest.mark.parametrize("path", _RULE_SETS, ids=lambda path: path.name)
def test_packets_agree_with_what_is_read_of_a_known_rule_set(
    networks: Networks, path: Path
) -> None:
    """A port that took a packet is not called closed, one that took none is not called open."""
    text = path.read_text()
    assert not load(networks, text)
    assert disagreements(networks, text) == []


@pytest.mark.parametrize("seed", _SEEDS)
def test_packets_agree_with_what_is_read_of_a_random_rule_set(
    networks: Networks, seed: int
) -> None:
    """The same of rule sets that nobody wrote; those that nft refuses are left out."""
    text = RandomRules(seed).text()
    if load(networks, text):
        pytest.skip("nft refuses these rules")
    assert disagreements(networks, text) == [], text
