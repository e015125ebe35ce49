"""The gate: what a waiver accepts, what is below the gate, which waivers nothing needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import pytest

from pytest_droplet.baseline import Baseline
from pytest_droplet.catalogue import shipped
from pytest_droplet.gate import Gate, Judged
from pytest_droplet.model import Droplet, Verdict
from pytest_droplet.record import fingerprint
from pytest_droplet.waivers import Waiver
from pytest_droplet.words import SEVERITIES, Severity

TODAY = date(2026, 11, 22)
YESTERDAY, TOMORROW = date(2026, 11, 21), date(2026, 11, 23)
WEB, DB = Droplet(1, "web-1", tags=("web",)), Droplet(2, "db-1", tags=("db",))
FAILED = Verdict("a.b", 1, "fail", "high", "no")
AUDITD = Waiver("auditd.installed", "no audit here", date(2026, 12, 31))


def waiver(expires: date, reason: str = "x", **more: Any) -> Waiver:
    """A waiver for the check ``a.b``."""
    return Waiver("a.b", reason, expires, **more)


def settled(verdict: Verdict, *waivers: Waiver, **more: Any) -> Verdict:
    """The verdict after a gate with these waivers."""
    return Gate(TODAY, waivers, **more).settle(verdict, WEB)


def baseline(*findings: tuple[str, int | None]) -> Baseline:
    """An earlier record of a week ago with these findings, by check and Droplet."""
    known = frozenset(fingerprint(*finding) for finding in findings)
    return Baseline(datetime(2026, 11, 15, tzinfo=UTC), findings=known)


# --- what a waiver accepts ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "caused_by", "outcome"),
    [
        ("auditd.installed", None, "waived"),
        ("auditd.running", "auditd.installed", "waived"),
        ("auditd.running", None, "fail"),
        ("auditd.running", "auditd.rules", "fail"),
    ],
)
def test_the_waiver_of_a_cause_is_for_what_it_causes(
    check: str, caused_by: str | None, outcome: str
) -> None:
    """Who accepts that auditd is absent accepts that it does not run."""
    assert settled(replace(FAILED, check=check, caused_by=caused_by), AUDITD).outcome == outcome


@pytest.mark.parametrize(
    ("expires", "outcome", "state"),
    [(TOMORROW, "waived", "used"), (TODAY, "waived", "used"), (YESTERDAY, "fail", "expired")],
)
def test_a_waiver_is_in_force_until_the_end_of_its_last_day(
    expires: date, outcome: str, state: str
) -> None:
    """The verdict and the list of waivers say the same of a day before, that day and one after."""
    gate = Gate(TODAY, (waiver(expires),))
    verdict = gate.settle(FAILED, WEB)
    states = gate.waiver_states(
        [{"waiver": verdict.waiver}], Judged(droplets=[WEB], account=[WEB])
    )
    assert verdict.outcome == outcome
    assert verdict.waiver is not None
    assert verdict.waiver["expired"] == (state == "expired")
    assert [line["state"] for line in states] == [state]


def test_an_expired_waiver_says_since_when_and_leaves_the_finding() -> None:
    """The finding is red again, with its waiver, and its message has the date."""
    verdict = settled(FAILED, waiver(YESTERDAY))
    assert verdict.message == "no (the waiver expired on 2026-11-21)"
    assert (verdict.outcome, verdict.below) == ("fail", None)


def test_a_waived_finding_shows_whose_waiver_it_is() -> None:
    """Number in the file from 1, reason, date, owner and ticket; the message stays."""
    ours = waiver(TOMORROW, "later", owner="ops", ticket="OPS-1")
    verdict = settled(FAILED, AUDITD, ours)
    assert (verdict.outcome, verdict.message) == ("waived", "no")
    assert verdict.waiver == {
        "number": 2,
        "reason": "later",
        "expires": "2026-11-23",
        "owner": "ops",
        "ticket": "OPS-1",
        "expired": False,
    }


@pytest.mark.parametrize(
    ("days", "outcome", "number"),
    [
        ((YESTERDAY, TODAY), "waived", 2),
        ((TODAY, TOMORROW), "waived", 1),
        ((YESTERDAY, date(2026, 11, 1)), "fail", 1),
    ],
    ids=["expired-before-one-in-force", "two-in-force", "two-expired"],
)
def test_of_several_waivers_the_first_in_force_counts(
    days: tuple[date, ...], outcome: str, number: int
) -> None:
    """One that has expired does not hide one in force; of expired ones the first is shown."""
    verdict = settled(FAILED, *map(waiver, days))
    assert verdict.waiver is not None
    assert (verdict.outcome, verdict.waiver["number"]) == (outcome, number)


@pytest.mark.parametrize(
    ("outcome", "by_default", "with_unknown"),
    [
        ("fail", "waived", "waived"),
        ("unknown", "unknown", "waived"),
        ("error", "error", "error"),
        ("pass", "pass", "pass"),
        ("notapplicable", "notapplicable", "notapplicable"),
    ],
)
def test_a_waiver_is_for_failures_and_for_unknowns_where_it_says_so(
    outcome: Any, by_default: str, with_unknown: str
) -> None:
    """A check that broke is nobody's accepted finding; what is green stays as it is."""
    verdict = replace(FAILED, outcome=outcome)
    assert settled(verdict, waiver(TOMORROW)).outcome == by_default
    assert settled(verdict, waiver(TOMORROW, unknown=True)).outcome == with_unknown


def test_an_expired_waiver_for_unknowns_leaves_them_unknown() -> None:
    """It is said, and the verdict stays red: no gate lets an unknown pass."""
    verdict = settled(
        replace(FAILED, outcome="unknown", severity="low"),
        waiver(YESTERDAY, unknown=True),
        least="critical",
    )
    assert (verdict.outcome, verdict.below) == ("unknown", None)
    assert verdict.message == "no (the waiver expired on 2026-11-21)"


# --- what is below the gate -----------------------------------------------------------------


@pytest.mark.parametrize(("least", "severity"), list(product(SEVERITIES, repeat=2)))
def test_findings_below_the_least_severity_do_not_fail_the_run(
    least: Severity, severity: Severity
) -> None:
    """At the severity it fails, one below it does not; the verdict stays `fail`."""
    below = SEVERITIES.index(severity) > SEVERITIES.index(least)
    verdict = settled(replace(FAILED, severity=severity), least=least)
    assert verdict.outcome == "fail"
    assert verdict.below == (f"{severity} is below the gate, which is {least}" if below else None)


@pytest.mark.parametrize(
    ("new_only", "there", "below"),
    [
        (True, baseline(("a.b", 1)), "known since the baseline of 2026-11-15"),
        (True, baseline(("a.b", 2), ("a.c", 1), ("a.b", None)), None),
        (True, None, None),
        (False, baseline(("a.b", 1)), None),
        (False, None, None),
    ],
    ids=["known", "others-known", "no-baseline", "baseline-alone", "neither"],
)
def test_only_new_with_a_baseline_lets_known_findings_pass(
    new_only: bool,  # noqa: FBT001 a value of the table
    there: Baseline | None,
    below: str | None,
) -> None:
    """A baseline alone tells what changed: it makes no finding green."""
    assert settled(FAILED, new_only=new_only, baseline=there).below == below


def test_a_severity_and_new_mean_both() -> None:
    """Only what is severe enough and was not there before fails the run."""
    gate = Gate(TODAY, least="high", new_only=True, baseline=baseline(("ssh.known", 1)))
    below = {
        (check, severity): gate.settle(Verdict(check, 1, "fail", severity, "no"), WEB).below
        for check in ("ssh.known", "ssh.new")
        for severity in ("critical", "high", "medium")
    }
    assert [case for case, why in below.items() if why is None] == [
        ("ssh.new", "critical"),
        ("ssh.new", "high"),
    ]
    assert below["ssh.known", "high"] == "known since the baseline of 2026-11-15"
    assert (
        below["ssh.known", "medium"]
        == below["ssh.new", "medium"]
        == ("medium is below the gate, which is high")
    )


def test_a_finding_whose_waiver_expired_may_still_be_below_the_gate() -> None:
    """The waiver is gone as if there were none: the severity decides, and both are shown."""
    verdict = settled(FAILED, waiver(YESTERDAY), least="critical")
    assert verdict.below == "high is below the gate, which is critical"
    assert verdict.waiver is not None


# --- which waivers nothing needs ------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "droplets", "check", "state"),
    [
        ({}, "all", "a.b", "unused"),
        ({}, "tag:web", "a.*", "unused"),
        ({}, "tag:gone", "a.b", "unused"),
        ({}, "tag:db", "a.b", "not-judged"),
        ({"whole": False}, "all", "a.b", "not-judged"),
        ({"whole": False}, "tag:gone", "a.b", "unused"),
        ({}, "all", "typed.wrong", "no-check"),
        ({"whole": False}, "all", "typed.wrong", "not-judged"),
        ({"whole": False}, "tag:gone", "backups.enable", "no-check"),
        ({"all_tests": False}, "all", "backup.*", "no-check"),
        ({"all_tests": False}, "all", "users.check", "not-judged"),
        ({}, "all", next(iter(shipped())), "not-judged"),
    ],
    ids=[
        *("judged", "glob", "droplet-gone", "droplet-not-selected", "run-cut-short"),
        *("cut-short-and-gone", "no-such-check", "cut-short-and-no-such-check"),
        *("mistyped", "mistyped-family", "other-tests", "other-profile"),
    ],
)
def test_a_waiver_is_unused_only_where_what_it_is_for_was_judged(
    changed: dict[str, Any], droplets: str, check: str, state: str
) -> None:
    """Or where it is not there at all; else nobody is asked to remove it."""
    judged = replace(
        Judged(checks=frozenset({"a.b"}), droplets=[WEB], account=[WEB, DB]), **changed
    )
    gate = Gate(TODAY, (Waiver(check, "x", YESTERDAY, droplets=droplets),))
    (line,) = gate.waiver_states([{"waiver": None}, {}], judged)
    assert line["state"] == state


def test_each_waiver_is_listed_with_what_the_file_says() -> None:
    """In the order of the file; used is the one whose number a result has."""
    gate = Gate(TODAY, (AUDITD, waiver(TOMORROW, "later", owner="ops", ticket="OPS-1")))
    judged = Judged(checks=frozenset({"a.b", AUDITD.check}), droplets=[WEB], account=[WEB])
    first, second = gate.waiver_states([{"waiver": {"number": 2}}], judged)
    assert (first["check"], first["state"]) == ("auditd.installed", "unused")
    assert second == {
        "check": "a.b",
        "select": "all",
        "reason": "later",
        "expires": "2026-11-23",
        "owner": "ops",
        "ticket": "OPS-1",
        "state": "used",
    }
