"""Checks behave as ordinary tests do, however pytest is called."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

REPLAY = ("--droplets=all", "--droplets-replay=recording")


def run(audit: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest on the recorded fleet."""
    return audit.runpytest_inprocess(*REPLAY, *args)


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a record."""
    return [json.loads(text) for text in path.read_text().splitlines()]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_every_check_runs_on_every_droplet(audit: pytest.Pytester, workers: Any) -> None:
    """Verdicts, exit code and record are the same with and without workers."""
    result = run(audit, *workers, "--droplets-report=jsonl:out.jsonl")
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=1)
    assert result.ret is pytest.ExitCode.TESTS_FAILED
    record = lines(audit.path / "out.jsonl")
    assert record[0]["type"] == "header"
    assert record[-1]["type"] == "summary"
    verdicts = {
        (r["check"], r["droplet_id"]): r["verdict"] for r in record if r["type"] == "result"
    }
    assert verdicts == {
        **{("site.name", i): "pass" for i in (11, 12, 13, 14)},
        ("site.release", 11): "pass",
        ("site.release", 12): "fail",
        ("site.release", 13): "unknown",
        ("site.release", 14): "notapplicable",
    }
    droplets = {r["id"]: r["coverage"] for r in record if r["type"] == "droplet"}
    assert droplets == {11: "reached", 12: "reached", 13: "unreachable", 14: "off"}
    assert record[-1]["coverage"]["percent"] == 66.6
    assert record[-1]["exit_code"] == 1


def test_the_terminal_shows_one_line_a_finding_and_no_traceback(audit: pytest.Pytester) -> None:
    """Findings by check with their remedy; an unreachable Droplet is one line."""
    result = run(audit)
    result.stdout.fnmatch_lines(
        [
            "droplets: all: 4 of 4 Droplets (recording recording, judged at *); profile none",
            "UNREACHABLE web-2: no answer on * (1 check unknown)",
            "CRITICAL it is Debian GNU/Linux 12 *site.release",
            "         web-1-12: it is Debian GNU/Linux 12",
            "  fix    Upgrade it to Debian 13.",
            "coverage: 2 of 3 Droplets reached, 1 off: 66.6 % (at least 100 % is asked for)",
            "1 finding (1 critical) on 1 of 4 Droplets; 1 unknown, 5 passed, 1 not applicable",
        ]
    )
    text = result.stdout.str()
    assert text.count("no answer on") == 1
    assert "Traceback" not in text
    assert "test_site.py:" not in text


NOT_ASKED = """
import pytest
from pytest_droplet import NotObservedError, check


@check("site.list", severity="low")
def test_list(droplet):
    \"\"\"The list is whole.

    Rationale:
        None.

    Remediation:
        None.
    \"\"\"
    if droplet.name == "web-2":
        raise NotObservedError("the list was not asked for")


def test_by_fixtures(droplet_os_release, droplet):
    assert droplet_os_release


def test_subtests(subtests, request, droplet):
    for name in ("droplet_kernel", "droplet_units"):
        with subtests.test(name):
            request.getfixturevalue(name)


def test_host(host, droplet):
    assert host.run("true").rc == 0
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_each_unknown_of_an_unreachable_droplet_has_its_reason(
    audit: pytest.Pytester, workers: Any
) -> None:
    """What the connection explains is one line; what it does not has words of its own (R6)."""
    audit.makepyfile(test_site=NOT_ASKED)
    formats = ("github:out.txt", "markdown:out.md", "sarif:out.sarif", "jsonl:out.jsonl")
    result = run(audit, *workers, "-k", "web-2", *(f"--droplets-report={f}" for f in formats))

    lost = {
        line["check"].partition("::")[2] or line["check"]: line.get("unreached", False)
        for line in lines(audit.path / "out.jsonl")
        if line["type"] == "result"
    }
    assert lost == {
        "site.list": False,
        "test_by_fixtures": True,
        "test_subtests": True,
        "test_host": True,
    }
    result.stdout.fnmatch_lines(
        [
            "UNKNOWN  the list was not asked for",
            "         site.list on web-2-13",
            "UNREACHABLE web-2: no answer on * (3 checks unknown)",
        ]
    )
    for name in ("out.txt", "out.md"):
        told = (audit.path / name).read_text()
        assert "the list was not asked for" in told, name
        assert "test_by_fixtures" not in told, name
    [sarif] = json.loads((audit.path / "out.sarif").read_text())["runs"]
    notes = sarif["invocations"][0]["toolExecutionNotifications"]
    assert [note["descriptor"]["id"] for note in notes] == ["unreachable", "unknown"]
    assert "the list was not asked for" in notes[1]["message"]["text"]


@pytest.mark.parametrize(
    "blocked",
    [
        *("terminal", "debugging", "setuponly", "setupplan", "stepwise", "cacheprovider"),
        *("logging", "warnings", "faulthandler", "junitxml", "subtests", "unittest", "skipping"),
        *("capture", "html", "pytest11.testinfra"),
    ],
)
def test_a_run_needs_none_of_the_plugins_that_may_be_blocked(
    pytester: pytest.Pytester, blocked: str
) -> None:
    """Checks, and an ordinary test, are judged without pytest's own plugins and the neighbours."""
    pytester.makepyfile(test_own="def test_own(droplet): assert droplet.id")

    result = pytester.runpytest_subprocess(
        *("--droplets=demo", "-p", f"no:{blocked}", "-k", "own or backups"),
        "--droplets-report=jsonl:record.jsonl",
    )

    assert result.ret is pytest.ExitCode.TESTS_FAILED
    record = (pytester.path / "record.jsonl").read_text().splitlines()
    results = [r for r in map(json.loads, record) if r["type"] == "result"]
    assert {"test_own.py::test_own", "backups.enabled"} <= {r["check"] for r in results}
    assert json.loads(record[-1])["exit_code"] == 1


def test_k_and_m_choose_checks(audit: pytest.Pytester) -> None:
    """By a part of the id, by the exact id, by family and by severity."""
    run(audit, "-k", "site.name").assert_outcomes(passed=4, deselected=4)
    run(audit, "-m", "droplet_check(id='site.name')").assert_outcomes(passed=4, deselected=4)
    run(audit, "-m", "droplet_check(severity='critical')").assert_outcomes(
        passed=1, failed=1, errors=1, skipped=1, deselected=4
    )
    run(audit, "-k", "web-1").assert_outcomes(passed=1, failed=1, deselected=6)
    assert run(audit, "-k", "nothing").ret is pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_run_that_reads_no_host_says_so(audit: pytest.Pytester) -> None:
    """Checks that the API answers need no host: none is connected to, none counts as dead."""
    result = run(audit, "-k", "site.name")
    result.stdout.fnmatch_lines(["coverage: no selected check reads a host"])
    assert result.ret is pytest.ExitCode.OK


def test_collect_only_lists_node_ids_in_the_order_of_droplets(audit: pytest.Pytester) -> None:
    """Nothing is read or written; ids are the same wherever pytest runs."""
    result = run(audit, "--co", "-q", "--droplets-report=jsonl:out.jsonl")
    assert result.outlines[:4] == [
        "test_site.py::site.name[db-1-11]",
        "test_site.py::site.release[db-1-11]",
        "test_site.py::site.name[web-1-12]",
        "test_site.py::site.release[web-1-12]",
    ]
    assert not (audit.path / "out.jsonl").exists()


def test_a_node_id_is_an_argument(audit: pytest.Pytester) -> None:
    """The id that a report shows runs that one check on that one Droplet."""
    result = run(audit, "test_site.py::site.release[web-1-12]")
    result.assert_outcomes(failed=1)
    run(audit, "test_site.py::site.release").assert_outcomes(
        passed=1, failed=1, errors=1, skipped=1
    )


def test_last_failed_first(audit: pytest.Pytester) -> None:
    """--lf runs what failed or was unknown, and no more."""
    run(audit)
    run(audit, "--lf").assert_outcomes(failed=1, errors=1)


def test_x_stops_at_the_first_finding(audit: pytest.Pytester) -> None:
    """-x ends the run; the record keeps what was judged and its summary."""
    result = run(audit, "-x", "--droplets-report=jsonl:out.jsonl")
    assert result.parseoutcomes().get("failed", 0) + result.parseoutcomes().get("errors", 0) == 1
    assert lines(audit.path / "out.jsonl")[-1]["type"] == "summary"


def test_verbose_shows_the_node_id(audit: pytest.Pytester) -> None:
    """-v has a line for each check and Droplet."""
    result = run(audit, "-v", "-k", "release")
    result.stdout.fnmatch_lines(
        [
            "test_site.py::site.release[[]db-1-11[]] PASSED*",
            "test_site.py::site.release[[]web-1-12[]] FAILED*",
            "test_site.py::site.release[[]web-2-13[]] ERROR*",
        ]
    )


def test_junitxml_has_the_verdict_of_each_test(audit: pytest.Pytester) -> None:
    """Failures, errors and properties are where CI systems look for them."""
    run(audit, "--junitxml=out.xml")
    cases = {c.get("name"): c for c in ET.parse(audit.path / "out.xml").iter("testcase")}
    assert len(cases) == 8
    failed = cases["site.release[web-1-12]"]
    assert [p.get("value") for p in failed.iter("property")] == [
        *("site.release", "critical", "fail", "do:droplet:12")
    ]
    message = failed.find("failure")
    assert message is not None
    assert message.get("message") == "it is Debian GNU/Linux 12"
    assert cases["site.release[web-2-13]"].find("error") is not None


def test_unknown_may_be_skipped_when_asked_for(audit: pytest.Pytester) -> None:
    """--droplets-unknown=skip turns red to yellow, in the record it stays unknown."""
    result = run(audit, "--droplets-unknown=skip", "--droplets-min-coverage=60")
    result.assert_outcomes(passed=5, failed=1, skipped=2)


def test_coverage_is_part_of_the_gate(audit: pytest.Pytester) -> None:
    """A run in which nothing failed still fails where too few Droplets were reached."""
    args = ("--droplets-unknown=skip", "-k", "release and not web-1")
    assert run(audit, *args).ret is pytest.ExitCode.TESTS_FAILED
    assert run(audit, *args, "--droplets-min-coverage=50").ret is pytest.ExitCode.OK


def test_nothing_selected_is_no_full_coverage(audit: pytest.Pytester) -> None:
    """A `-k` that matches nothing reached no Droplet, and says so instead of 100 %."""
    result = run(audit, "-k", "no-such-name")
    assert result.ret is pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["coverage: 0 of 0 Droplets reached: no host was due"])


@pytest.mark.parametrize("percent", ["-1", "101"])
def test_coverage_that_can_never_hold_is_refused(audit: pytest.Pytester, percent: str) -> None:
    """A percentage is 0 to 100."""
    result = run(audit, f"--droplets-min-coverage={percent}")
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    message = f"*--droplets-min-coverage={percent} (command line): expected a percentage from 0*"
    result.stderr.fnmatch_lines([message])


def test_tests_that_ask_for_no_droplet_are_deselected(audit: pytest.Pytester) -> None:
    """The project's other tests do not run in an audit, and the run says how many."""
    audit.makepyfile(test_other="def test_sum():\n    assert 1 + 1 == 2\n")
    result = run(audit)
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["droplets: 1 test asks for no Droplet: deselected"])


def test_without_droplets_nothing_happens(audit: pytest.Pytester) -> None:
    """Tests that ask for a Droplet skip; nothing slow is imported."""
    audit.makepyfile(
        test_other="""
        import sys

        def test_plain():
            for name in ("pydo", "azure", "asyncssh", "pytest_droplet.session"):
                assert name not in sys.modules
        """
    )
    result = audit.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED * no --droplets"])
