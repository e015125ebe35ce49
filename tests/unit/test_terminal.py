"""The end of the run on the terminal."""

from __future__ import annotations

from typing import Any

from pytest_droplet.report.record import coverage
from pytest_droplet.report.terminal import Summary, summary_texts

CHECKS = {
    "ssh.a": {
        "title": "Nobody uses a password",
        "remediation": "Put this line\n  into that file.",
    },
    "auditd.a": {"title": "auditd is installed", "remediation": ""},
}


def droplet(number: int, state: str = "reached") -> dict[str, Any]:
    """A Droplet line."""
    reason = "" if state == "reached" else f"web-{number}: no answer"
    return {"id": number, "name": f"web-{number}", "coverage": state, "reason": reason}


def result(check: str, number: int | None, verdict: str = "fail", **more: Any) -> dict[str, Any]:
    """A result line."""
    line = {"check": check, "droplet_id": number, "verdict": verdict, "severity": "high"}
    return line | {"message": f"{check} is bad", "caused_by": None} | more


def text(findings: list[dict[str, Any]], *droplets: dict[str, Any], width: int = 80) -> str:
    """The summary as text."""
    counts: dict[str, int] = {"pass": 3}
    for line in findings:
        counts[line["verdict"]] = counts.get(line["verdict"], 0) + 1
    summary = Summary(
        tuple(findings), CHECKS, {d["id"]: d for d in droplets}, coverage(droplets, 100), counts
    )
    return "\n".join(line.text for line in summary_texts(summary, width))


def test_findings_are_grouped_by_check_worst_first() -> None:
    """One heading a check, each Droplet one line, the remedy once."""
    shown = text(
        [
            result("auditd.a", 1),
            result("ssh.a", 2, severity="critical"),
            result("ssh.a", 1, severity="critical"),
        ],
        droplet(1),
        droplet(2),
    )
    lines = shown.splitlines()
    assert lines[:4] == [
        "CRITICAL ssh.a: Nobody uses a password",
        "  web-1-1: ssh.a is bad",
        "  web-2-2: ssh.a is bad",
        "  fix: Put this line into that file.",
    ]
    assert lines[5] == "HIGH auditd.a: auditd is installed"
    assert lines[-2:] == [
        "coverage: 2 of 2 Droplets reached: 100 %",
        "3 findings (2 critical, 1 high) on 2 of 2 Droplets; 3 passed",
    ]


def test_an_unreachable_droplet_is_one_line() -> None:
    """However many checks it has, it costs one line, and the coverage says what is missing."""
    shown = text(
        [result(f"x.{i}", 2, "unknown", message="web-2: no answer") for i in range(40)],
        droplet(1),
        droplet(2, "unreachable"),
    )
    assert shown.splitlines() == [
        "UNREACHABLE web-2: no answer (40 checks unknown)",
        "coverage: 1 of 2 Droplets reached: 50 % (at least 100 % is asked for)",
        "0 findings; 40 unknown, 3 passed",
    ]


def test_what_one_cause_hides_is_said_once() -> None:
    """Checks that fail caused-by another stand under it; unknowns with one reason together."""
    shown = text(
        [
            result("auditd.a", 1),
            result("auditd.b", 1, caused_by="auditd.a"),
            result("ssh.b", 1, "unknown", message="needs root"),
            result("ssh.c", 1, "unknown", message="needs root"),
        ],
        droplet(1),
    )
    assert "    and so: auditd.b" in shown.splitlines()
    assert "UNKNOWN ssh.b, ssh.c: needs root\n  web-1-1" in shown
    assert shown.count("auditd.b") == 1


def test_nothing_of_a_host_moves_the_cursor() -> None:
    """Escape sequences, carriage returns and new lines in a message are made harmless."""
    hostile = "\x1b[2J\r\nPASSED\x07\u202e"
    shown = text([result("ssh.a", 1, message=hostile)], droplet(1) | {"name": "\x1b]0;x"})
    assert all(line.isprintable() for line in shown.splitlines())


def test_long_texts_and_many_droplets_are_cut() -> None:
    """A check that fails everywhere does not fill the screen; the report has the rest."""
    shown = text(
        [result("ssh.a", i, message="x" * 200_000) for i in range(1, 101)],
        *(droplet(i) for i in range(1, 101)),
    )
    assert "  and 80 more Droplets: see the report" in shown
    assert len(shown) < 10_000


def test_a_broken_check_is_named() -> None:
    """An error of a check is not a finding, and points to the traceback."""
    shown = text([result("ssh.a", 1, "error", message="KeyError: 'x'")], droplet(1))
    assert shown.startswith("ERROR ssh.a web-1-1: KeyError: 'x'\n  the check itself broke")
    assert "0 findings; 1 broken" in shown


def test_a_finding_whose_cause_is_not_shown_is_shown_itself() -> None:
    """Where the cause was not selected, or is waived, what it caused is not lost."""
    shown = text([result("auditd.b", 1, caused_by="auditd.a", title="b")], droplet(1))
    assert shown.startswith("HIGH auditd.b: b\n  web-1-1: auditd.b is bad")
