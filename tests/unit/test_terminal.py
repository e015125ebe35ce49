"""The end of the run on the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_droplet.coverage import Coverage
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


def text(
    findings: list[dict[str, Any]],
    *droplets: dict[str, Any],
    width: int = 80,
    verbosity: int = 0,
    **more: Any,
) -> str:
    """The summary as text."""
    counts: dict[str, int] = {"pass": 3}
    for line in findings:
        counts[line["verdict"]] = counts.get(line["verdict"], 0) + 1
    told: dict[str, Any] = {
        "findings": tuple(findings),
        "checks": CHECKS,
        "droplets": {d["id"]: d for d in droplets},
        "coverage": Coverage.of(droplets, 100),
        "counts": counts,
    }
    return "\n".join(line.text for line in summary_texts(Summary(**told | more), width, verbosity))


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


@pytest.mark.parametrize(("exit_code", "colour"), [(0, "green"), (1, "red"), (5, "red")])
def test_the_exit_code_colours_the_last_line(exit_code: int, colour: str) -> None:
    """Whatever was found: the gate has the last word."""
    told: dict[str, Any] = {"findings": (), "checks": CHECKS, "droplets": {}, "counts": {}}
    seen = Coverage.of([], 100)
    summary = Summary(**told, coverage=seen, exit_code=exit_code)
    *_, last = summary_texts(summary, 80)
    assert last.markup == {"bold": True, colour: True}


def test_an_unreachable_droplet_is_one_line() -> None:
    """However many checks it has, it costs one line, and the coverage says what is missing."""
    shown = text(
        [
            result(f"x.{i}", 2, "unknown", message="web-2: no answer", unreached=True)
            for i in range(40)
        ],
        droplet(1),
        droplet(2, "unreachable"),
    )
    assert shown.splitlines() == [
        "UNREACHABLE web-2: no answer (40 checks unknown)",
        "coverage: 1 of 2 Droplets reached: 50 % (at least 100 % is asked for)",
        "0 findings; 40 unknown, 3 passed",
    ]


def unreached(reason: str, count: int) -> list[dict[str, Any]]:
    """Droplets that were not reached; NAME and ADDRESS in the reason are each one's own."""
    lines = []
    for i in range(1, count + 1):
        own = {"name": f"web-{i}", "addresses": [{"ip": f"203.0.113.{i}", "version": 4}]}
        text = reason.replace("ADDRESS", f"203.0.113.{i}").replace("NUMBER", f"{i:043d}")
        lines.append(droplet(i, "unreachable") | own | {"reason": f"web-{i}: {text}"})
    return lines


@pytest.mark.parametrize(
    ("reason", "shown_as"),
    [
        ("no answer on ADDRESS:22; check", "no answer on ADDRESS:22; check"),
        ("key (ssh-ed25519 SHA256:NUMBER) of ADDRESS", "key (ssh-ed25519 FINGERPRINT) of ADDRESS"),
        ("a reason " + "that is long " * 60, "a reason " + "that is long " * 60),
    ],
)
def test_droplets_with_the_same_reason_are_one_line(reason: str, shown_as: str) -> None:
    """Fifty hosts are one line with fifty names, and the reason is whole."""
    shown = [line for line in text([], *unreached(reason, 50)).splitlines() if "web-1," in line]
    names = ", ".join(f"web-{i}" for i in range(1, 51))
    assert shown == [f"UNREACHABLE 50 Droplets: {shown_as}: {names}"]
    each = text([], *unreached(reason, 50), verbosity=1)
    assert each.count("UNREACHABLE web-") == 50


def test_two_droplets_have_a_line_each() -> None:
    """With their own address, so that the command can be pasted."""
    shown = text([], *unreached("no answer on ADDRESS:22", 2)).splitlines()
    assert shown[:2] == [
        "UNREACHABLE web-1: no answer on 203.0.113.1:22",
        "UNREACHABLE web-2: no answer on 203.0.113.2:22",
    ]


def test_a_waiver_that_names_no_check_says_what_was_meant() -> None:
    """With the nearest id, or the nearest family of a pattern."""
    entry = {
        "check": "backups.enable",
        "select": "all",
        "reason": "x",
        "expires": "2099-12-31",
        "owner": "",
        "ticket": "",
        "state": "no-check",
    }
    shown = text([], waivers=[entry, {**entry, "check": "backup.*"}, {**entry, "check": "x.y"}])
    start = "UNUSED waiver of"
    assert shown.splitlines()[:3] == [
        f"{start} backups.enable for all: no check has this id; did you mean backups.enabled?",
        f"{start} backup.* for all: no check has this id; did you mean backups.*?",
        f"{start} x.y for all: no check has this id",
    ]


def test_what_a_file_of_the_project_left_out_is_said_before_the_last_line() -> None:
    """Whoever reads the figures sees that they are of a part."""
    shown = text([], narrowed=["tox.ini: -k web"]).splitlines()
    assert shown[-2] == "NARROWED: tests were left out by tox.ini: -k web"


def test_an_unknown_of_an_unreachable_droplet_has_its_own_reason() -> None:
    """What was not asked of the API is not put down to the connection."""
    shown = text(
        [
            result("ssh.a", 2, "unknown", message="web-2: no answer", unreached=True),
            result("backups.a", 2, "unknown", message="GET /v2/snapshots: not asked"),
        ],
        droplet(2, "unreachable"),
    )
    assert shown.splitlines()[:3] == [
        "UNKNOWN backups.a: GET /v2/snapshots: not asked",
        "  web-2-2",
        "UNREACHABLE web-2: no answer (1 check unknown)",
    ]


def test_an_unknown_of_a_droplet_without_a_line_is_told() -> None:
    """In a record that was cut nothing else says that the Droplet was not reached."""
    shown = text([result("ssh.a", 2, "unknown", message="web-2: no answer", unreached=True)])
    assert "UNKNOWN ssh.a: web-2: no answer\n  2" in shown


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


@pytest.mark.parametrize("width", [1, 20, 39, 40, 44, 45, 46, 47, 80, 300])
def test_a_remedy_fits_every_width(width: int) -> None:
    """The lines of a long remedy are no wider than the terminal, from 20 columns on."""
    page = {"title": "a", "remediation": "Do ``this`` and then that. " * 40}
    shown = text([result("ssh.a", 1)], droplet(1), checks={"ssh.a": page}, width=width)
    remedy = [line for line in shown.splitlines() if line.startswith(("  fix: ", "       "))]
    assert len(remedy) == (4 if width == 300 else 5)
    assert max(map(len, remedy)) <= max(20, width - 2)
    whole = text(
        [result("ssh.a", 1)], droplet(1), checks={"ssh.a": page}, width=width, verbosity=1
    )
    assert whole.count("`this`") == 40


def test_verbosity_says_how_much_is_told() -> None:
    """-v lists every Droplet, -q leaves the remedy out, -qq the Droplets too."""
    page = {"title": "no root login", "remediation": "Close it."}
    droplets = [droplet(i) for i in range(1, 31)]
    lost = [droplet(i, "unreachable") for i in range(31, 61)]
    for line in lost:
        line["reason"] += f", in way {line['id']}"
    found = [result("ssh.a", i) for i in range(1, 31)]
    shown = {
        verbosity: text(found, *droplets, *lost, checks={"ssh.a": page}, verbosity=verbosity)
        for verbosity in (1, 0, -1, -2)
    }
    assert "  and 10 more Droplets: see the report\n" in shown[0]
    assert "UNREACHABLE 10 more Droplets: see the report\n" in shown[0]
    assert "more Droplets" not in shown[1]
    assert shown[1].count("ssh.a is bad") == 30
    assert shown[1].count("UNREACHABLE") == 30
    assert ["  fix: Close it." in shown[v] for v in shown] == [True, True, False, False]
    assert shown[-1].count("ssh.a is bad") == 20
    assert "HIGH ssh.a: no root login (30 Droplets)\n" in shown[-2]
    assert "ssh.a is bad" not in shown[-2]
    assert all("30 findings (30 high)" in shown[v] for v in shown)


def test_the_time_since_the_baseline_is_named() -> None:
    """In days, in hours below two days, in minutes below two hours."""
    changes = {
        "recorded_at": "2026-11-15T10:00:00Z",
        **dict.fromkeys(("new", "fixed", "still", "newly_waived"), ()),
        **dict.fromkeys(("droplets_added", "droplets_gone"), ()),
    }
    told = {
        "2026-11-22T10:00:00Z": "7 days before",
        "2026-11-16T11:10:00Z": "25 hours before",
        "2026-11-15T11:01:00Z": "61 minutes before",
        "2026-11-15T10:01:00Z": "1 minute before",
        "": "",
    }
    for judged_at, words in told.items():
        shown = text([], droplet(1), changes=changes, judged_at=judged_at)
        since = next(line for line in shown.splitlines() if line.startswith("since "))
        assert since == (
            f"since 2026-11-15T10:00:00Z{f', {words}' if words else ''}: "
            "0 new, 0 fixed, 0 still failing, 0 newly waived"
        )


TRACE = """Traceback (most recent call last):
  File "test_a.py", line 5, in test_a
    outer()
  File "b.py", line 6, in outer
    inner()
  File "c.py", line 7, in inner
    {}["x"]
KeyError: 'x'
"""


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ("auto", [1, 2, 5, 6, 7]),
        ("short", [1, 2, 5, 6, 7]),
        ("long", range(8)),
        ("native", range(8)),
        ("line", [5]),
        ("no", []),
    ],
)
def test_a_broken_check_says_where(style: str, shown: list[int]) -> None:
    """Once for all Droplets with the same message, as --tb asks for it; it is no finding."""
    broken = [result("ssh.a", n, "error", message="KeyError: 'x'") for n in (1, 2)]
    lines = text(
        *(broken, droplet(1), droplet(2)),
        broken={("ssh.a", "KeyError: 'x'"): TRACE},
        traceback_style=style,
    ).splitlines()
    assert lines[:2] == [
        "ERROR ssh.a: KeyError: 'x'",
        "  the check itself broke on web-1-1, web-2-2",
    ]
    trace = TRACE.splitlines()
    assert lines[2:-2] == [f"  {trace[number]}" for number in shown]
    assert lines[-1] == "0 findings; 2 broken, 3 passed"


def test_a_finding_whose_cause_is_not_shown_is_shown_itself() -> None:
    """Where the cause was not selected, or is waived, what it caused is not lost."""
    shown = text([result("auditd.b", 1, caused_by="auditd.a", title="b")], droplet(1))
    assert shown.startswith("HIGH auditd.b: b\n  web-1-1: auditd.b is bad")
