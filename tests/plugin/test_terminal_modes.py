"""What pytest's own options for the terminal do to the end of an audit."""

from __future__ import annotations

import json
import re

import pytest

from pytest_droplet.__main__ import main

REPLAY = ("--droplets=all", "--droplets-replay=recording")
FINDING = "web-1-12: it is Debian GNU/Linux 12"
REMEDY = "fix Upgrade it to Debian 13."
LAST = "1 finding (1 critical) on 1 of 4 Droplets; 1 unknown, 5 passed, 1 not applicable"
COVERAGE = "coverage: 2 of 3 Droplets reached, 1 off: 66.6 % (at least 100 % is asked for)"
FAILED = "FAILED test_site.py::site.release[[]web-1-12[]] - it is Debian GNU/Linux 12"
ERROR = "ERROR test_site.py::site.release[[]web-2-13[]] - UNKNOWN web-2: no answer*"


HEAD = "CRITICAL it is Debian GNU/Linux 12"


def flat(text: str) -> str:
    """What is shown, however it is wrapped."""
    return " ".join(text.split())


def run(audit: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest on the recorded fleet."""
    return audit.runpytest_inprocess(*REPLAY, *args)


@pytest.mark.parametrize(
    ("how", "there", "gone"),
    [
        ((), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("-v",), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("-q",), [FINDING, COVERAGE, LAST], [REMEDY]),
        (("-qq",), [COVERAGE, LAST], [FINDING, REMEDY]),
        (("--tb=no",), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("--tb=short",), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("--tb=line",), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("-rN",), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("--no-header",), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("-n", "2"), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("-n", "2", "-v"), [FINDING, REMEDY, COVERAGE, LAST], []),
        (("-n", "2", "-q"), [FINDING, COVERAGE, LAST], [REMEDY]),
    ],
    ids=lambda value: "".join(value) if isinstance(value, tuple) else "",
)
def test_how_much_is_told(
    audit: pytest.Pytester, how: tuple[str, ...], there: list[str], gone: list[str]
) -> None:
    """Findings by check, then coverage, then one line; no traceback, whatever is asked for."""
    result = run(audit, *how)
    text = result.stdout.str()
    places = [flat(text).index(line) for line in there]
    assert places == sorted(places)
    assert not [line for line in gone if line in flat(text)]
    assert "Traceback" not in text
    assert "= FAILURES =" not in text
    assert "= ERRORS =" not in text
    assert text.count(HEAD) == 1
    assert result.ret is pytest.ExitCode.TESTS_FAILED


def test_very_quiet_is_a_line_for_each_check(audit: pytest.Pytester) -> None:
    """-qq counts the Droplets instead of naming them."""
    result = run(audit, "-qq")
    assert f"{HEAD} (1 Droplet) site.release" in result.outlines


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ((), []),
        (("-rfE",), []),
        (("-rN",), []),
        (("-rs",), []),
        (("-rf",), [FAILED]),
        (("-rE",), [ERROR]),
        (("-ra",), [ERROR, FAILED]),
        (("-ra", "-n", "2"), [ERROR, FAILED]),
        (("-rA",), ["PASSED test_site.py::site.name*", ERROR, FAILED]),
    ],
    ids=lambda value: "".join(value) if isinstance(value, tuple) else "",
)
def test_the_short_summary_has_findings_where_it_is_asked_for(
    audit: pytest.Pytester, how: tuple[str, ...], expected: list[str]
) -> None:
    """A line each with -rf, -rE, -ra, -rA; by default our own summary has them, once."""
    result = run(audit, *how)
    if expected:
        result.stdout.fnmatch_lines([*expected, "*= droplets =*"])
    shown = [line for line in result.outlines if line.startswith(("FAILED ", "ERROR "))]
    assert len(shown) == sum(line.startswith(("FAILED ", "ERROR ")) for line in expected)
    assert "= FAILURES =" not in result.stdout.str()


@pytest.mark.parametrize(
    ("how", "shown"), [("--tb=no", False), ("--tb=short", True), ("--tb=line", True)]
)
def test_a_traceback_of_an_ordinary_test_is_pytests(
    audit: pytest.Pytester, how: str, *, shown: bool
) -> None:
    """The user's own test keeps it, as --tb says; beside it stands our line."""
    audit.makepyfile(test_own="def test_own(droplet):\n    assert droplet.id != 12\n")
    result = run(audit, how)
    assert bool(re.search(r"test_own\.py:2: ", result.stdout.str())) is shown
    assert "web-1-12: assert 12 != 12" in flat(result.stdout.str())
    assert FINDING in flat(result.stdout.str())


def test_a_run_in_which_all_is_well_stays_green(audit: pytest.Pytester) -> None:
    """-ra asks for findings, and none are there: pytest's last line is not red."""
    result = run(audit, "-ra", "--color=yes", "-k", "db-1")
    assert result.ret is pytest.ExitCode.OK
    assert "\x1b[31m" not in result.stdout.str()


def test_no_header_and_no_summary(audit: pytest.Pytester) -> None:
    """Neither is ours to overrule: without the header ours is gone; findings are no summary."""
    result = run(audit, "--no-header", "--no-summary", "-rA")
    text = result.stdout.str()
    assert "droplets: all" not in text
    assert "short test summary" not in text
    assert LAST in flat(text)


@pytest.mark.parametrize("columns", [40, 60])
def test_a_narrow_terminal(
    audit: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Lines are wrapped to it between words."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = (audit.path / "test_site.py").read_text()
    (audit.path / "test_site.py").write_text(text.replace("to Debian 13.", "to Debian 13. " * 30))
    result = run(audit, "--no-header")
    start = next(i for i, line in enumerate(result.outlines) if line.startswith("CRITICAL"))
    ours = result.outlines[start:-1]
    assert LAST in flat("\n".join(ours))
    assert max(map(len, ours)) <= columns


@pytest.mark.parametrize(
    ("how", "environment", "coloured"),
    [
        (("--color=yes",), {}, True),
        (("--color=no",), {"FORCE_COLOR": "1"}, False),
        ((), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {}, False),
    ],
    ids=["yes", "no", "NO_COLOR", "FORCE_COLOR", "pipe"],
)
def test_colour(
    audit: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    how: tuple[str, ...],
    environment: dict[str, str],
    *,
    coloured: bool,
) -> None:
    """As pytest decides; what is written is the same with it and without."""
    for name in ("PY_COLORS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = audit.runpytest_subprocess(*REPLAY, *how)
    text = result.stdout.str()
    assert (f"\x1b[31m\x1b[1m{HEAD}" in text) is coloured
    assert ("\x1b" in text) is coloured
    plain = flat(re.sub(r"\x1b\[[0-9;]*m", "", text))
    assert not [line for line in (FINDING, REMEDY, COVERAGE, LAST) if line not in plain]


@pytest.mark.parametrize(
    ("how", "code"),
    [(("-x",), 1), (("--maxfail=1",), 1), (("-x", "-n", "2"), 2)],
    ids=["x", "maxfail", "xdist"],
)
def test_a_run_that_was_stopped_says_what_it_did_not_judge(
    audit: pytest.Pytester, how: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Droplets it did not come to count as not reached; `merge` takes no part of such a run."""
    text = (audit.path / "test_site.py").read_text()
    (audit.path / "test_site.py").write_text(text.replace("< 6", "< 5"))
    result = run(audit, *how, "--droplets-report=jsonl:out.jsonl", "--html=out.html")
    lines = [json.loads(text) for text in (audit.path / "out.jsonl").read_text().splitlines()]
    results = [line for line in lines if line["type"] == "result"]
    left = 8 - len(results)
    assert left > 0
    assert lines[-1]["not_run"] == left
    assert lines[-1]["exit_code"] == result.ret == code
    (stopped,) = (line for line in result.outlines if line.startswith("STOPPED: "))
    assert stopped.startswith(f"STOPPED: {left} test{'s' * (left > 1)} did not run")
    assert f"This run was stopped: {left} test" in (audit.path / "out.html").read_text()
    states = {line["id"]: line["coverage"] for line in lines if line["type"] == "droplet"}
    assert states.keys() == {11, 12, 13, 14}
    judged = {line["droplet_id"] for line in results}
    for droplet_id in (11, 12, 13):
        if droplet_id not in judged:
            assert states[droplet_id] == "unreachable"
    assert lines[-1]["coverage"]["percent"] < 100
    if missed := {11, 12, 13} - judged:
        assert f"; {len(missed)} Droplet" in stopped
    assert "the run ended before" not in result.stdout.str()
    capsys.readouterr()
    assert main(["merge", "out.jsonl"]) == 4
    assert "run it again" in capsys.readouterr().err


def test_a_droplet_without_a_selected_test_is_not_missed(audit: pytest.Pytester) -> None:
    """-k that leaves one Droplet, with -x: only what was to be judged is asked for."""
    result = run(audit, "-x", "-k", "release and web-1", "--droplets-report=jsonl:out.jsonl")
    result.assert_outcomes(failed=1, deselected=7)
    lines = [json.loads(text) for text in (audit.path / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines if line["type"] == "droplet"] == [12]
    assert "not_run" not in lines[-1]
