"""The end of the run on the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_droplet.coverage import Coverage
from pytest_droplet.report.terminal import Summary, summary_texts

CHECKS = {
    "ssh.a": {
        "title": "Nobody uses a password",
        "finding": "Somebody uses a password",
        "remediation": "Put this line\n  into that file.",
    },
    "auditd.a": {
        "title": "auditd is installed",
        "finding": "auditd is not installed",
        "remediation": "",
    },
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


def test_findings_are_grouped_by_check_worst_last() -> None:
    """What is wrong heads a check, with what was seen; then what to fix first, the worst first."""
    shown = text(
        [
            result("auditd.a", 1),
            result("ssh.a", 2, severity="critical"),
            result("ssh.a", 1, severity="critical"),
        ],
        droplet(1),
        droplet(2),
    )
    assert shown.splitlines() == [
        f"HIGH     auditd is not installed{'auditd.a':>48}",
        "         web-1-1: auditd.a is bad",
        f"CRITICAL Somebody uses a password{'ssh.a':>47}",
        "         web-1-1, web-2-2: ssh.a is bad",
        "  fix    Put this line into that file.",
        "FIX FIRST  1 CRITICAL Somebody uses a password: 2 Droplets",
        "           2 HIGH     auditd is not installed: 1 Droplet",
        "coverage: 2 of 2 Droplets reached: 100 %",
        "3 findings (2 critical, 1 high) on 2 of 2 Droplets; 3 passed",
    ]


def test_a_check_that_does_not_say_what_is_wrong_says_what_was_seen() -> None:
    """Where that is the same on all Droplets, else which sentence does not hold."""
    own = {"checks": {"site.a": {"title": "It answers", "remediation": ""}}}
    same = text([result("site.a", n, message="no answer") for n in (1, 2)], **own)
    assert same.startswith("HIGH     no answer ")
    other = text([result("site.a", n, message=f"answer {n}") for n in (1, 2)], **own)
    assert other.startswith("HIGH     does not hold: It answers ")
    assert "         1: answer 1\n         2: answer 2\n" in other


def test_three_findings_fit_on_a_small_screen() -> None:
    """Three checks on three Droplets with remedies of many sentences, in 80 columns."""
    page = {"title": "a", "finding": "b", "remediation": "Do `this` and then that, please. " * 30}
    found = [result(f"ssh.{c}", n, message="m " * 45) for c in "abc" for n in (1, 2, 3)]
    pages = {f"ssh.{c}": page for c in "abc"}
    shown = text(found, droplet(1), droplet(2), droplet(3), checks=pages).splitlines()
    assert len(shown) <= 21
    assert max(map(len, shown)) <= 80


def test_a_fleet_with_much_that_is_wrong_fits_on_a_screen() -> None:
    """A thousand Droplets and fifty checks: the worst are shown, the rest are counted."""
    severities = ("critical", "high", "medium", "low")
    page = {"title": "a", "finding": "It is wrong", "remediation": "Do this. Do that. " * 40}
    checks = {f"ssh.check-{n}": page for n in range(50)}
    found = [
        result(check, n, severity=severities[i % 4], message=f"seen {n % 3} times")
        for i, check in enumerate(checks)
        for n in range(1, 1001)
    ]
    unknown = [result(f"x.{n}", n, "unknown", message=f"reason {n}") for n in range(1, 1001)]
    droplets = [droplet(n) for n in range(1, 1001)]
    shown = text([*found, *unknown], *droplets, checks=checks, width=100).splitlines()
    assert len(shown) <= 55
    assert max(map(len, shown)) <= 100
    count = sum(line.startswith("CRITICAL") for line in shown)
    assert count > 1
    left = f"{50 - count} more checks with findings ({13 - count} critical, 13 high, 12 medium"
    assert f"{left}, 12 low): -v shows all" in shown
    assert len(text(found, *droplets, checks=checks, verbosity=1).splitlines()) > 2000


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
    told = " ".join(shown.split()).split("UNUSED waiver of ")[1:]
    assert [line.strip() for line in told[:2]] == [
        "backups.enable for all: no check has this id; did you mean backups.enabled?",
        "backup.* for all: no check has this id; did you mean backups.*?",
    ]
    assert told[2].startswith("x.y for all: no check has this id coverage")


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
        "UNKNOWN  GET /v2/snapshots: not asked",
        "         backups.a on web-2-2",
        "UNREACHABLE web-2: no answer (1 check unknown)",
    ]


def test_an_unknown_of_a_droplet_without_a_line_is_told() -> None:
    """In a record that was cut nothing else says that the Droplet was not reached."""
    shown = text([result("ssh.a", 2, "unknown", message="web-2: no answer", unreached=True)])
    assert "UNKNOWN  web-2: no answer\n         ssh.a on 2\n" in shown


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
    assert "         (one more follows from this: auditd.b)" in shown.splitlines()
    assert "UNKNOWN  needs root\n         ssh.b, ssh.c on web-1-1" in shown
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
    assert "web-8-8 and 92 more" in " ".join(shown.split())
    assert len(shown) < 2_000


@pytest.mark.parametrize("width", [1, 40, 80, 300])
def test_a_remedy_is_cut_between_sentences(width: int) -> None:
    """What is pasted is whole: lines break between words, and -v shows the rest."""
    page = {"title": "a", "remediation": "Do ``this and that`` or the other. " * 40}
    shown = text([result("ssh.a", 1)], droplet(1), checks={"ssh.a": page}, width=width)
    remedy = shown.partition("  fix    ")[2].partition("\ncoverage")[0]
    assert " ".join(remedy.split()).endswith("or the other. (-v shows the rest)")
    assert len(remedy.splitlines()) <= 2
    assert max(len(line) for line in remedy.splitlines()) <= max(40, width)
    whole = text(
        [result("ssh.a", 1)], droplet(1), checks={"ssh.a": page}, width=width, verbosity=1
    )
    assert " ".join(whole.split()).count("`this and that`") == 40


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
    assert "web-8-8 and 22 more: ssh.a is bad " in " ".join(shown[0].split())
    assert "UNREACHABLE 25 more Droplets: -v shows all\n" in shown[0]
    assert " more" not in shown[1]
    assert all(f"web-{n}-{n}" in shown[1] for n in range(1, 31))
    assert shown[1].count("UNREACHABLE") == 30
    assert ["  fix    Close it." in shown[v] for v in shown] == [True, True, False, False]
    assert "HIGH     ssh.a is bad (30 Droplets) ssh.a\n" in shown[-2]
    assert "web-8-8" not in shown[-2]
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
        since = " ".join(shown.split()).partition("since ")[2]
        assert since.startswith(
            f"2026-11-15T10:00:00Z{f', {words}' if words else ''}: "
            "0 new, 0 fixed, 0 still failing, 0 newly waived 0 findings"
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
    assert shown.startswith("HIGH     auditd.b is bad ")
    assert "         web-1-1: auditd.b is bad\n" in shown


def test_overdue_findings_are_few_lines_and_say_what_was_not_judged() -> None:
    """The worst first, counted where they are many; carried ones too; then what is due next."""
    day = {"first_seen": "2026-11-01T10:00:00Z", "due": "2026-11-20"}
    late = [result(f"ssh.{c}", 1, **day) for c in "abcde"]
    late[4]["severity"] = "critical"
    ahead = [result("ssh.f", n, due="2026-11-23") for n in (1, 2)]
    accepted = [result("ssh.g", 1, "waived", **day), result("ssh.h", 1, "unknown", **day)]
    carried = {**result("ssh.a", 2), **day, "last_verdict": "fail"}
    del carried["verdict"]
    told = {"judged_at": "2026-11-22T10:00:00Z", "carried": [carried]}
    lines = text([*late, *ahead, *accepted], droplet(1), droplet(2), **told).splitlines()
    assert [line for line in lines if "OVERDUE" in line or "next due" in line] == [
        "OVERDUE  ssh.e on web-1-1: due on 2026-11-20",
        "OVERDUE  ssh.a on web-1-1, web-2-2: due on 2026-11-20 (1 of 2 not judged this",
        "OVERDUE  ssh.b on web-1-1: due on 2026-11-20",
        "OVERDUE  2 more: -v shows all",
        "next due: 2 findings on 2026-11-23",
    ]
