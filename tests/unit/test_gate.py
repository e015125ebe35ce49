"""The gate: what a waiver accepts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from pytest_droplet.baseline import Baseline
from pytest_droplet.gate import Gate
from pytest_droplet.model import Droplet, Verdict
from pytest_droplet.report.record import fingerprint
from pytest_droplet.waivers import Waiver

GATE = Gate(
    today=date(2026, 11, 22),
    waivers=(Waiver("auditd.installed", "no audit here", date(2026, 12, 31)),),
)


def settled(check: str, **more: Any) -> Verdict:
    """The verdict on a failed check after the gate."""
    return GATE.settle(Verdict(check, 1, "fail", "high", "no", **more), Droplet(1, "web-1"))


def test_the_waiver_of_a_cause_is_for_what_it_causes() -> None:
    """Who accepts that auditd is absent accepts that it does not run."""
    assert settled("auditd.installed").outcome == "waived"
    assert settled("auditd.running", caused_by="auditd.installed").outcome == "waived"
    assert settled("auditd.running").outcome == "fail"
    assert settled("auditd.running", caused_by="auditd.rules").outcome == "fail"


def test_the_last_day_of_a_waiver_still_counts() -> None:
    """``expires`` is the last day on which the finding is accepted."""
    waiver = Waiver("a.b", "x", date(2026, 11, 22))
    verdict = Verdict("a.b", 1, "fail", "high", "no")
    today = Gate(today=date(2026, 11, 22), waivers=(waiver,))
    after = Gate(today=date(2026, 11, 23), waivers=(waiver,))
    assert today.settle(verdict, Droplet(1, "web-1")).outcome == "waived"
    assert after.settle(verdict, Droplet(1, "web-1")).outcome == "fail"


def test_a_severity_and_new_mean_both() -> None:
    """Only what is severe enough and was not there before fails the run."""
    known = fingerprint("ssh.known", 1)
    baseline = Baseline(datetime(2026, 11, 15, tzinfo=UTC), findings=frozenset({known}))
    gate = Gate(today=date(2026, 11, 22), least="high", new_only=True, baseline=baseline)
    below = {
        (check, severity): gate.settle(
            Verdict(check, 1, "fail", severity, "no"), Droplet(1, "web-1")
        ).below
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
