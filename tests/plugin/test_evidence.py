"""Evidence in the record: whole, once for each fact of a Droplet, and where it is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.__main__ import main
from tests.plugin.test_formats import validate

FACT = """
from pytest_droplet import fact

@fact("seq 100", items=lambda numbers: [{"number": n} for n in numbers])
def droplet_site_numbers(droplet):
    return range(100)
"""
CHECKS = """
from pytest_droplet import check, fail

@check("site.passes")
def test_passes(droplet_site_numbers):
    "It passes."

@check("site.even")
def test_even(droplet, droplet_site_numbers):
    "All numbers are even."
    odd = [{"number": n} for n in droplet_site_numbers if n % 2]
    if odd and droplet.name == "db-1":
        fail(f"{len(odd)} are odd", droplet_site_numbers=odd)

@check("site.small")
def test_small(droplet, droplet_site_numbers):
    "All numbers are small."
    assert droplet.name != "db-1", "they are not"

def test_plain(droplet, droplet_site_numbers):
    assert droplet.name != "web-1"
"""


def lines(path: Path, kind: str) -> list[dict[str, Any]]:
    """The record's lines of one type."""
    found = map(json.loads, path.read_text().splitlines())
    return [line for line in found if line["type"] == kind]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_fact_is_told_whole_where_something_is_not_passed(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """Once a Droplet, whatever rests on it; joined with another record it stays one."""
    audit.makeconftest(FACT)
    audit.makepyfile(test_site=CHECKS)
    replay = ("--droplets=all", "--droplets-replay=recording")
    audit.runpytest_subprocess(*replay, "--droplets-report=jsonl:a.jsonl", *workers)
    record = audit.path / "a.jsonl"
    validate(record)
    told = {(line["droplet_id"], line["fact"]): line for line in lines(record, "evidence")}
    assert set(told) == {(11, "droplet_site_numbers"), (12, "droplet_site_numbers")}
    assert len(lines(record, "evidence")) == 2
    assert told[11, "droplet_site_numbers"]["value"] == [{"number": n} for n in range(100)]
    (failed,) = (r for r in lines(record, "result") if (r["check"], r["droplet_id"]) == EVEN)
    assert failed["details"]["droplet_site_numbers"][:2] == [{"number": 1}, {"number": 3}]
    (audit.path / "b.jsonl").write_text(record.read_text())
    joined = audit.path / "joined.jsonl"
    main(["merge", str(record), str(audit.path / "b.jsonl"), f"--droplets-report=jsonl:{joined}"])
    validate(joined)
    assert lines(joined, "evidence") == lines(record, "evidence")


EVEN = "site.even", 11
