"""Baselines: what is kept of an earlier record, and what has changed since."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.baseline import Baseline, load_baseline
from pytest_droplet.record import SCHEMA, RecordError
from pytest_droplet.record import fingerprint as mark

Line = dict[str, Any]
THEN = datetime(2026, 11, 15, 12, tzinfo=UTC)
BEFORE = Baseline(
    THEN,
    findings=frozenset({"known"}),
    waived=frozenset({"accepted"}),
    droplets={1: "web-1", 2: "db-1", 3: "pool-1"},
    ephemeral=frozenset({3}),
)
HEADER: Line = {"type": "header", "schema": SCHEMA, "judged_at": "2026-11-15T12:00:00Z"}
SUMMARY: Line = {"type": "summary"}


def result(fingerprint: str, verdict: str, **more: Any) -> Line:
    """A result line on Droplet 1."""
    line = {"type": "result", "check": "a.b", "droplet_id": 1, "severity": "high"}
    return {**line, "fingerprint": fingerprint, "verdict": verdict, **more}


def droplet(droplet_id: int, name: str, *, ephemeral: bool = False) -> Line:
    """A Droplet line."""
    return {"type": "droplet", "id": droplet_id, "name": name, "ephemeral": ephemeral}


def write(path: Path, *lines: Line) -> Path:
    """Write a record of these lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("fingerprint", "verdict", "change"),
    [
        ("known", "fail", "still"),
        ("known", "pass", "fixed"),
        ("known", "notapplicable", "fixed"),
        ("known", "waived", "newly_waived"),
        ("known", "unknown", None),
        ("known", "error", None),
        ("accepted", "fail", "new"),
        ("accepted", "waived", None),
        ("accepted", "pass", None),
        ("other", "fail", "new"),
        ("other", "waived", "newly_waived"),
        ("other", "pass", None),
        ("other", "notapplicable", None),
        ("other", "unknown", None),
    ],
)
def test_every_verdict_after_every_earlier_one(
    fingerprint: str, verdict: str, change: str | None
) -> None:
    """What was not judged this time is neither fixed nor still there."""
    there = {1: droplet(1, "web-1")}
    changes = BEFORE.compare([result(fingerprint, verdict)], there, {1, 2, 3})
    kinds = ("new", "still", "fixed", "newly_waived")
    assert [kind for kind in kinds if changes[kind]] == ([change] if change else [])


def test_changes_are_named() -> None:
    """Findings by fingerprint; fixed ones by check and Droplet, with the name that it had."""
    results = [result("known", "pass"), result("other", "fail"), result("more", "waived")]
    changes = BEFORE.compare(results, {1: droplet(1, "renamed")}, {1})
    assert (changes["new"], changes["still"], changes["newly_waived"]) == (["other"], [], ["more"])
    assert changes["fixed"] == [{"check": "a.b", "droplet_id": 1, "droplet_name": "web-1"}]
    assert changes["recorded_at"] == "2026-11-15T12:00:00Z"


def test_a_finding_of_the_account_that_is_fixed_has_no_droplet() -> None:
    """Its Droplet is null, by id and by name."""
    changes = BEFORE.compare([result("known", "pass", droplet_id=None)], {}, set())
    assert changes["fixed"] == [{"check": "a.b", "droplet_id": None, "droplet_name": None}]


def test_droplets_came_and_went_and_those_of_pools_are_apart() -> None:
    """Gone is what could have been in the record and is not there; nobody did what a pool does."""
    now = {
        1: droplet(1, "web-1"),
        4: droplet(4, "web-2"),
        5: droplet(5, "pool-2", ephemeral=True),
    }
    changes = BEFORE.compare([], now, {1, 4, 5})
    assert changes["droplets_added"] == ["web-2"]
    assert changes["droplets_gone"] == ["db-1"]
    assert changes["ephemeral_added"] == ["pool-2"]
    assert changes["ephemeral_gone"] == ["pool-1"]
    assert BEFORE.compare([], {1: droplet(1, "web-1")}, {1, 2, 3})["droplets_gone"] == []


def test_of_a_record_findings_waivers_and_droplets_are_kept(tmp_path: Path) -> None:
    """Of the results only what failed and what was waived, by fingerprint."""
    verdicts = ("pass", "fail", "waived", "unknown", "error", "notapplicable")
    path = write(
        tmp_path / "old.jsonl",
        HEADER,
        droplet(1, "web-1"),
        droplet(3, "pool-1", ephemeral=True),
        *(result(verdict, verdict) for verdict in verdicts),
        SUMMARY,
    )
    kept = load_baseline(path)
    assert {mark: known.first_seen for mark, known in kept.past.items()} == {
        "fail": THEN,
        "waived": THEN,
    }
    assert replace(kept, past={}) == Baseline(
        THEN,
        findings=frozenset({"fail"}),
        waived=frozenset({"waived"}),
        droplets={1: "web-1", 3: "pool-1"},
        ephemeral=frozenset({3}),
    )


def test_a_record_compared_with_itself_has_no_change(tmp_path: Path) -> None:
    """Everything is still there."""
    results = [result("f", "fail"), result("w", "waived"), result("p", "pass")]
    there = droplet(1, "web-1")
    path = write(tmp_path / "old.jsonl", HEADER, there, *results, SUMMARY)
    changes = load_baseline(path).compare(results, {1: there}, {1})
    assert changes.pop("recorded_at") == "2026-11-15T12:00:00Z"
    assert changes.pop("still") == ["f"]
    assert not any(changes.values())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "old.jsonl: not a record of pytest-droplet: it has no header line"),
        ([SUMMARY], "old.jsonl: not a record of pytest-droplet: it has no header line"),
        ([HEADER], "old.jsonl: the record was cut: it has no summary line; run again"),
        ([HEADER, result("f", "fail")], "the record was cut"),
        ([HEADER, HEADER, SUMMARY], "old.jsonl:2: a second record begins here"),
        ([HEADER, SUMMARY, result("f", "fail")], "old.jsonl:3: a second record begins here"),
        (
            [{**HEADER, "schema": SCHEMA + 1}, SUMMARY],
            f"of schema {SCHEMA + 1}; this version reads",
        ),
        (
            [{**HEADER, "schema": SCHEMA - 1}, SUMMARY],
            f"of schema {SCHEMA - 1}; this version reads",
        ),
        ([{"type": "header", "schema": SCHEMA}, SUMMARY], "(KeyError: 'judged_at')"),
        ([{**HEADER, "judged_at": 5}, SUMMARY], "not a record of pytest-droplet (TypeError: "),
        ([HEADER, {"type": "droplet", "id": 1}, SUMMARY], "(KeyError: 'name')"),
        ([HEADER, {}, SUMMARY], "old.jsonl:2: not a line of a record"),
    ],
)
def test_what_is_no_whole_record_is_one_line(
    tmp_path: Path, lines: list[Line], message: str
) -> None:
    """Half a record would call findings new that are old, or fixed that were not judged."""
    with pytest.raises(RecordError) as caught:
        load_baseline(write(tmp_path / "old.jsonl", *lines))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(
        RecordError, match=r"none\.jsonl: the record cannot be read: No such file or directory$"
    ):
        load_baseline(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("before", "now", "known"),
    [
        ("one", "one", True),
        ("", "one", True),
        ("one", "", True),
        ("", "", True),
        ("two", "one", False),
    ],
)
def test_a_finding_of_the_account_is_known_where_the_id_is_not(
    tmp_path: Path, before: str, now: str, *, known: bool
) -> None:
    """A token may lack the scope in one of two runs; another account is another finding."""
    check = "ssh.account-has-key"
    header = {**HEADER, "account": {"id": before} if before else {}}
    finding = result(mark(check, None, before), "fail", check=check, droplet_id=None)
    baseline = load_baseline(write(tmp_path / "old.jsonl", header, finding, SUMMARY))
    assert baseline.had(check, None, mark(check, None, now)) is known
    assert not baseline.had("sshkeys.account-keys-in-use", None, mark("x.y", None, now))
    assert not baseline.had(check, 1, mark(check, 1))


@pytest.mark.parametrize(
    ("verdict", "coverage", "subject", "whole", "fixed"),
    [
        ("pass", "off", 1, True, True),
        ("notapplicable", "reached", 1, True, True),
        ("notapplicable", "off", 1, True, False),
        ("notapplicable", "not-ours", 1, True, False),
        ("notapplicable", "reached", None, True, True),
        ("notapplicable", "reached", None, False, False),
        ("pass", "reached", None, False, True),
    ],
)
def test_what_was_not_looked_at_is_not_fixed(
    verdict: str,
    coverage: str,
    subject: int | None,
    *,
    whole: bool,
    fixed: bool,
) -> None:
    """A Droplet that is off; a check of the account that did not see all of its Droplets."""
    there = {1: {**droplet(1, "web-1"), "coverage": coverage}}
    line = result("known", verdict, droplet_id=subject)
    assert bool(BEFORE.compare([line], there, {1}, whole=whole)["fixed"]) is fixed


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        ([{"droplets": [1, 2], "id": "one"}], [{"droplets": [1], "id": "one"}], {2}),
        ([{"droplets": [1, 2]}], [{"droplets": [1], "id": "one"}], {2}),
        ([{"droplets": [2]}], [{"droplets": [1]}], {2}),
        ([{"droplets": [2], "id": "two"}], [{"droplets": [1], "id": "one"}], set()),
        (
            [{"droplets": [1, 2], "id": "one"}, {"droplets": [3, 4], "id": "two"}],
            [{"droplets": [1], "id": "one"}],
            {2},
        ),
        (
            [{"droplets": [1, 2]}, {"droplets": [3, 4]}],
            [{"droplets": [1]}, {"droplets": [4]}],
            {2, 3},
        ),
        ([], [{"droplets": [1]}], set()),
    ],
    ids=["same", "no-id-before", "all-made-anew", "another", "one-of-two", "both", "old-record"],
)
def test_a_droplet_is_lost_where_its_own_account_has_it_no_more(
    before: Any, now: Any, lost: set[int]
) -> None:
    """A run over another account says nothing of it."""
    earlier = Baseline(THEN, accounts=tuple(before))
    assert earlier.lost({1, 2, 3, 4} & {i for a in before for i in a["droplets"]}, now) == lost
