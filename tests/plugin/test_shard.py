"""Shards: each Droplet in one of them, joined again from the records."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from pytest_droplet.testing import Cloud
from tests.support.recordings import reached, save

REPLAY = ("--droplets=all", "--droplets-replay=recording")


def results(audit: pytest.Pytester, name: str) -> set[tuple[Any, ...]]:
    """Check, Droplet and verdict of every result of a record."""
    lines = map(json.loads, (audit.path / name).read_text().splitlines())
    return {(r["check"], r["droplet_id"], r["verdict"]) for r in lines if r["type"] == "result"}


def test_shards_add_up_to_the_whole(audit: pytest.Pytester) -> None:
    """No Droplet is in two shards, none is left out; the merged record is the whole one."""
    audit.runpytest_inprocess(*REPLAY, "--droplets-report=jsonl:whole.jsonl")
    for part in ("1", "2", "3"):
        result = audit.runpytest_inprocess(
            *REPLAY, f"--droplets-shard={part}/3", f"--droplets-report=jsonl:{part}.jsonl"
        )
        result.stdout.fnmatch_lines([f"droplets: all, shard {part}/3: * of 4 Droplets *"])
    parts = [results(audit, f"{part}.jsonl") for part in ("1", "2", "3")]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*parts) == results(audit, "whole.jsonl")
    audit.run(
        *(sys.executable, "-m", "pytest_droplet", "merge", "1.jsonl", "2.jsonl", "3.jsonl"),
        "--droplets-report=jsonl:merged.jsonl",
    )
    assert results(audit, "merged.jsonl") == results(audit, "whole.jsonl")


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_droplet_keeps_its_shard_when_others_come_and_go(
    pytester: pytest.Pytester, part: int
) -> None:
    """A baseline or a cache of a part is still of the same Droplets the next day."""
    seen = []
    for day, ids in (("monday", range(20, 40)), ("tuesday", (*range(20, 40, 3), *range(50, 57)))):
        cloud = Cloud()
        hosts = [reached(cloud, cloud.add(f"web-{i}", id=i)) for i in ids]
        save(cloud, pytester.path / day, hosts)
        pytester.runpytest_inprocess(
            "--droplets=all",
            f"--droplets-replay={day}",
            f"--droplets-shard={part}/3",
            f"--droplets-report=jsonl:{day}.jsonl",
            *("--pyargs", "pytest_droplet.checks", "-k", "os.release-supported"),
        )
        seen.append({droplet_id for _, droplet_id, _ in results(pytester, f"{day}.jsonl")})
    monday, tuesday = seen
    assert tuesday & set(range(20, 40)) == monday & set(range(20, 40, 3))
    assert tuesday - monday


def test_a_shard_without_a_droplet_is_no_failure(audit: pytest.Pytester) -> None:
    """A matrix of more jobs than Droplets stays green where there is nothing to judge."""
    result = audit.runpytest_inprocess(*REPLAY, "--droplets-shard=1/100")
    assert result.ret is pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["droplets: all, shard 1/100: 0 of 4 Droplets *"])


@pytest.mark.parametrize("value", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2"])
def test_an_impossible_shard_is_refused(audit: pytest.Pytester, value: str) -> None:
    """One line with what is expected."""
    result = audit.runpytest_inprocess(*REPLAY, f"--droplets-shard={value}")
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --droplets-shard={value}: expected I/N, *"])
