"""Since when findings are open: the chain of records against a plain model, and its edges."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.__main__ import main
from pytest_droplet.ages import age_days, due_on, is_overdue
from pytest_droplet.baseline import load_baseline
from pytest_droplet.record import fingerprint, iso
from tests.support import sample_record as sample

HISTORIES = int(os.environ.get("DROPLET_HISTORIES", "25"))
BEGIN = datetime(2026, 1, 31, 22, tzinfo=UTC)
SLA = {"critical": 0, "high": 7}
CHECKS = {"site.a": "critical", "site.b": "high", "site.c": "low"}
ACCOUNT_CHECK = "site.account"
WAIVER = {
    "number": 1,
    "reason": "x",
    "expires": "2099-01-01",
    "owner": "",
    "ticket": "",
    "expired": False,
}
JUDGED = ("fail", "pass", "waived", "notapplicable")
VERDICTS = (*JUDGED, "fail", "fail", "pass", "unknown", "error", "waived-unknown", "absent")
Subject = tuple[str, int | None]
Line = dict[str, Any]


@dataclass
class Known:
    """What the model knows of a finding."""

    first: datetime
    verdict: str
    fixed: datetime | None = None
    reopened: bool = False


@dataclass
class Model:
    """The plain model: each run is told, one after the other, what it saw."""

    known: dict[Subject, Known] = field(default_factory=dict)

    def see(self, subject: Subject, verdict: str, when: datetime) -> None:
        """A finding is there, gone, or not judged."""
        known = self.known.get(subject)
        if verdict in {"fail", "waived"}:
            if known is None or known.fixed:
                self.known[subject] = Known(when, verdict, reopened=known is not None)
            else:
                known.first, known.verdict = min(known.first, when), verdict
        elif known is not None and verdict in {"pass", "notapplicable"}:
            if known.fixed is None:
                known.first, known.fixed = min(known.first, when), when
            known.verdict = verdict

    def end(self, now: datetime, droplets: set[int]) -> None:
        """A record is written: nothing in it is later than it, or of a Droplet that is gone."""
        self.known = {s: k for s, k in self.known.items() if s[1] in droplets or s[1] is None}
        for known in self.known.values():
            known.first = min(known.first, now)
            known.fixed = known.fixed and max(known.first, min(known.fixed, now))


def record(
    path: Path,
    when: datetime,
    seen: dict[Subject, str],
    *,
    account: set[int],
    selected: set[int],
    off: set[int],
    account_id: str = "one",
) -> Path:
    """Write what a run without a baseline, of a version without ages, would write."""
    header = sample.header([], judged_at=iso(when), started_at=iso(when), sla=SLA)
    header["account"] |= {"droplets": sorted(account), "id": account_id}
    lines = [header]
    for number in sorted(selected):
        coverage = "off" if number in off else "reached"
        lines.append(sample.droplet(number % 9, f"web-{number % 2}", coverage=coverage))
        lines[-1]["id"] = number
    for (check, droplet_id), verdict in seen.items():
        waiver = WAIVER if verdict.startswith("waived") else None
        if verdict == "waived-unknown":
            waiver = {**WAIVER, "unknown": True}
        severity = CHECKS.get(check, "high")
        line = sample.result(check, droplet_id, verdict.partition("-")[0], waiver=waiver)
        mark = fingerprint(check, droplet_id, account_id)
        lines.append({**line, "severity": severity, "fingerprint": mark})
    sample.write([*lines, sample.summary(lines, exit_code=1)], path)
    return path


def merge(records: Sequence[Path], out: Path, baseline: Path | None) -> Path:
    """Join records as a user does."""
    more = [f"--droplets-baseline={baseline}"] if baseline else []
    assert main(["merge", *map(str, records), f"--droplets-report=jsonl:{out}", *more]) in {0, 1}
    return out


def lines_of(path: Path) -> list[Line]:
    """Return the lines of a record."""
    return [json.loads(text) for text in path.read_text().splitlines()]


def ages_of(path: Path) -> dict[Subject, Line]:
    """Return what a record tells of each finding, by check and Droplet."""
    return {
        (line["check"], line["droplet_id"]): line
        for line in lines_of(path)
        if line["type"] in {"result", "carried"} and "first_seen" in line
    }


def expected(known: Known, severity: str, now: datetime) -> Line:
    """Return what a record must tell of a finding."""
    found: Line = {"first_seen": iso(known.first)}
    if known.fixed:
        return {**found, "fixed_at": iso(known.fixed)}
    found["age_days"] = (now.date() - known.first.date()).days
    if severity in SLA:
        found["due"] = str(known.first.date() + timedelta(days=SLA[severity]))
    return {**found, "reopened": True} if known.reopened else found


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_any_history_gives_the_ages_of_the_plain_model(tmp_path: Path, seed: int) -> None:
    """Findings come and go, Droplets too; parts are not judged; shards are joined in any order."""
    chance = random.Random(seed)
    model, now, prior = Model(), BEGIN, None
    account, fresh = {1, 2, 3}, 4
    for step in range(6):
        back = prior is not None and chance.random() < 0.15
        now += timedelta(hours=chance.choice((1, 5, 30, 400))) * (-1 if back else 1)
        if chance.random() < 0.4:  # made anew, under the same name
            account = (account - {chance.choice(sorted(account))}) | {fresh}
            fresh += 1
        selected = {i for i in account if chance.random() < 0.8} or set(account)
        off = {i for i in selected if chance.random() < 0.15}
        count = chance.choice((1, 1, 2, 3))
        shards = [{i for i in selected if i % count == part} for part in range(count)]
        chained = prior is not None and chance.random() < 0.6
        parts = []
        for number, shard in enumerate(shards):
            when = now + timedelta(seconds=number)
            seen = {
                (check, i): verdict
                for check in CHECKS
                for i in shard
                if (verdict := chance.choice(VERDICTS)) != "absent"
            }
            if count == 1:
                seen[ACCOUNT_CHECK, None] = chance.choice(VERDICTS[:-1])
            for (check, i), verdict in seen.items():
                hidden = i in off if i is not None else selected != account
                if verdict in JUDGED and not (hidden and verdict == "notapplicable"):
                    model.see((check, i), verdict, when)
            path = record(
                tmp_path / f"{step}-{number}.jsonl",
                when,
                seen,
                account=account,
                selected=shard,
                off=off,
            )
            if seen and chained and prior is not None:
                path = merge([path], tmp_path / f"{step}-{number}-run.jsonl", prior)
            parts += [path] if seen else []
        if not parts:
            seen = {("site.z", min(account)): "pass"}
            path = tmp_path / f"{step}.jsonl"
            parts = [record(path, now, seen, account=account, selected=account, off=off)]
            chained = False
        chance.shuffle(parts)
        told = prior if back or not chained or chance.random() < 0.5 else None
        prior = merge(parts, tmp_path / f"{step}-joined.jsonl", told)
        ended = datetime.fromisoformat(lines_of(prior)[0]["judged_at"])
        model.end(ended, account)

        found = ages_of(prior)
        assert found.keys() == model.known.keys(), step
        for subject, known in model.known.items():
            names = ("first_seen", "fixed_at", "age_days", "due", "reopened")
            own = {name: found[subject][name] for name in names if name in found[subject]}
            severity = CHECKS.get(subject[0], "high")
            assert own == expected(known, severity, ended), (step, subject)
            last = found[subject].get("last_verdict") or found[subject]["verdict"]
            assert last == known.verdict, (step, subject)
            assert (load_baseline(prior).had(*subject, fingerprint(*subject, "one"))) == (
                known.verdict == "fail"
            )


@pytest.mark.parametrize(
    ("first", "now", "days"),
    [
        ("2026-01-31T23:59:59+00:00", "2026-02-01T00:00:00+00:00", 1),
        ("2026-02-01T00:00:00+00:00", "2026-02-01T23:59:59+00:00", 0),
        ("2026-02-02T00:00:00+00:00", "2026-02-01T00:00:00+00:00", 0),
        ("2026-02-01T01:00:00+03:00", "2026-02-01T00:00:00+00:00", 1),
    ],
)
def test_days_are_counted_by_their_dates_in_utc(first: str, now: str, days: int) -> None:
    """As those of waivers; a clock that went back makes no age negative."""
    assert age_days(datetime.fromisoformat(first), datetime.fromisoformat(now)) == days


@pytest.mark.parametrize(
    ("verdict", "judged_at", "overdue"),
    [
        ("fail", "2026-02-07T23:59:59Z", False),
        ("fail", "2026-02-08T00:00:00Z", True),
        ("waived", "2026-02-08T00:00:00Z", False),
        ("pass", "2026-02-08T00:00:00Z", False),
    ],
)
def test_a_finding_is_overdue_on_the_day_after_its_last(
    verdict: str,
    judged_at: str,
    overdue: bool,  # noqa: FBT001 a value of the table
) -> None:
    """One that somebody accepts is not, for as long as that is so."""
    due = due_on("high", BEGIN, {"high": 7})
    line: Any = {"verdict": verdict, "due": str(due)}
    assert is_overdue(line, judged_at) is overdue
    unseen: Any = {"verdict": "unknown", "last_verdict": verdict, "due": str(due)}
    assert is_overdue(unseen, judged_at) is overdue


def test_without_days_nothing_is_due() -> None:
    """A severity that the table lacks has no last day."""
    assert due_on("low", BEGIN, {"high": 7}) is None
    line: Any = {"verdict": "fail"}
    assert not is_overdue(line, "2099-01-01T00:00:00Z")


def test_findings_of_several_accounts_keep_their_own_times(tmp_path: Path) -> None:
    """The joined record has one result of them, and carries the others."""
    names = ("one", "two")
    prior = None
    seen: list[dict[str, Line]] = []
    for day, verdicts in enumerate([("fail", "pass"), ("fail", "fail"), ("pass", "fail")]):
        parts = [
            record(
                tmp_path / f"{name}-{day}.jsonl",
                BEGIN + timedelta(days=day),
                {(ACCOUNT_CHECK, None): verdict},
                account={number},
                selected={number},
                off=set(),
                account_id=name,
            )
            for number, (name, verdict) in enumerate(zip(names, verdicts, strict=True))
        ]
        prior = merge(parts, tmp_path / f"{day}.jsonl", prior)
        seen.append({x["fingerprint"]: x for x in lines_of(prior) if "first_seen" in x})
    days = [iso(BEGIN + timedelta(days=day)) for day in range(3)]
    one, two = (fingerprint(ACCOUNT_CHECK, None, name) for name in names)
    assert [x.get(one, {}).get("first_seen") for x in seen] == [days[0]] * 3
    assert [x.get(two, {}).get("first_seen") for x in seen] == [None, days[1], days[1]]
    assert [x.get(one, {}).get("fixed_at") for x in seen] == [None, None, days[2]]
