"""Reports of real runs: each format where it was asked for, and the record by its schema."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import junitparser
import pytest
from junitparser import xunit2
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding

from pytest_droplet.files import Draft
from pytest_droplet.report.formats import Places
from pytest_droplet.testing import Cloud
from tests.support import npm
from tests.support.recordings import reached, save
from tests.unit.test_report_sarif import ghas_errors

REPLAY = ("--droplets=all", "--droplets-replay=recording")
FORMATS = ("jsonl", "sarif", "ocsf", "hdf", "csv", "markdown", "github", "oscal")
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "::error file=a::b",
    "lone \ud800 surrogate",
    "line\n::error::second\r\n##[error]third",
    "l" * 200_000,
)


def asked(*formats: str) -> list[str]:
    """The options that ask for these formats."""
    return [f"--droplets-report={form}:out.{form}" for form in formats]


def run(audit: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest on the recorded fleet."""
    return audit.runpytest_inprocess(*REPLAY, *args)


def validate(path: Path) -> list[dict[str, Any]]:
    """Hold every line of a record against the schema of the package, and return them."""
    schema = json.loads((files("pytest_droplet") / "data" / "record.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        validator.validate(line)
    return lines


def types(lines: Iterable[dict[str, Any]]) -> list[str]:
    """The types that occur, in the order of their first line."""
    return list(dict.fromkeys(line["type"] for line in lines))


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_every_format_is_written_in_one_run(audit: pytest.Pytester, workers: Any) -> None:
    """All from one record; the terminal names each file; the exit code stays that of the run."""
    result = run(audit, *workers, *asked(*FORMATS))
    assert result.ret is pytest.ExitCode.TESTS_FAILED
    for form in FORMATS:
        assert (audit.path / f"out.{form}").exists()
        result.stdout.fnmatch_lines([f"written: *out.{form}"])
    validate(audit.path / "out.jsonl")
    names = {file.name for file in (audit.path / "out.hdf").iterdir()}
    assert names == {"db-1-11.json", "web-1-12.json", "web-2-13.json", "web-3-14.json"}
    assert ghas_errors(audit.path / "out.sarif") == []


def test_the_record_of_a_run_follows_its_schema(audit: pytest.Pytester) -> None:
    """With the shipped checks, users' own, an unreachable host and one that is off."""
    audit.makepyfile(
        test_own="""
        import pytest

        def test_fine(droplet):
            '''It is fine.'''

        def test_bad(droplet):
            assert droplet.id == 0

        def test_skipped(droplet):
            pytest.skip("not here")

        @pytest.fixture
        def broken(droplet):
            raise OSError("boom")

        def test_broken(broken):
            pass
        """
    )
    run(audit, *asked("jsonl"), "--droplets-profile=all")
    lines = validate(audit.path / "out.jsonl")
    assert types(lines) == ["header", "droplet", "result", "evidence", "summary"]
    verdicts = {line["verdict"] for line in lines if line["type"] == "result"}
    assert verdicts == {"pass", "fail", "unknown", "error", "notapplicable"}
    assert lines[0]["account"]["droplets"] == [11, 12, 13, 14]


def test_the_record_with_waivers_and_a_baseline_follows_its_schema(
    audit: pytest.Pytester,
) -> None:
    """Waivers that are used and that were not judged; new, fixed, still; Droplets that came."""
    table = '[[waiver]]\ncheck = "{}"\ndroplets = "{}"\nreason = "planned"\nexpires = {}\n'
    waivers = (
        table.format("site.release", "name:web-1", "2099-01-01"),
        table.format("site.name", "tag:db", "2020-01-01"),
    )
    (audit.path / "droplet-waivers.toml").write_text("\n".join(waivers))
    run(audit, *asked("jsonl"), "-k", "web")
    (audit.path / "out.jsonl").rename(audit.path / "old.jsonl")
    text = (audit.path / "test_site.py").read_text()
    (audit.path / "test_site.py").write_text(text.replace("< 6", "< 5"))
    run(audit, *asked("jsonl"), "--droplets-baseline=old.jsonl", "-k", "not web-3")
    lines = validate(audit.path / "out.jsonl")
    summary = lines[-1]
    assert [w["state"] for w in summary["waivers"]] == ["used", "not-judged"]
    assert summary["baseline"]["droplets_added"] == ["db-1"]
    assert "waived" in {line.get("verdict") for line in lines}


def test_a_record_that_was_cut_follows_the_schema_line_by_line(audit: pytest.Pytester) -> None:
    """A run that is killed leaves whole lines and no summary, beside the record of before."""
    audit.makepyfile(
        test_slow="""
        import time

        def test_slow(droplet):
            if droplet.id == 13:
                time.sleep(60)
        """
    )
    command = [sys.executable, "-m", "pytest", *REPLAY, *asked("jsonl"), "-p", "no:randomly"]
    process = subprocess.Popen(command, cwd=audit.path, stdout=subprocess.DEVNULL)
    path, until = audit.path / "out.jsonl.part", time.monotonic() + 600
    while time.monotonic() < until:
        if path.exists() and '"droplet_id":12' in path.read_text():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(600)
    assert "summary" not in types(validate(path))


@pytest.fixture
def hostile(pytester: pytest.Pytester) -> pytest.Pytester:
    """A fleet whose names and tags attack whoever shows them, and tests that repeat them."""
    cloud = Cloud()
    hosts = []
    for number, text in enumerate(HOSTILE):
        droplet = cloud.add(f"web-{number}", id=number + 1)
        droplet["name"] = text
        droplet["tags"] = [text]
        hosts.append(reached(cloud, droplet, os=f'ID=debian\nPRETTY_NAME="{text}"\n'))
    save(cloud, pytester.path / "recording", hosts)
    pytester.makepyfile(
        test_site="""
        import pytest
        from pytest_droplet import check

        PARAMETERS = ["<img src=x onerror=alert(2)>", "=1+1", "::error::x", "]]></failure>"]

        @pytest.mark.parametrize("text", PARAMETERS)
        def test_parameter(droplet, text):
            assert droplet.id != 1, text

        @check("site.name", severity="high")
        def test_name(droplet, droplet_os_release):
            assert False, droplet.name + str(droplet.tags) + droplet_os_release.pretty_name

        def test_plain(droplet):
            assert not droplet.name
        """
    )
    pytester.makeini("[pytest]\ndroplets_profile = none\n")
    return pytester


HDF_READ = """
const {contextualizeEvaluation, convertFile} = require(process.argv[1]);
for (const file of process.argv.slice(2))
  contextualizeEvaluation(convertFile(require('fs').readFileSync(file, 'utf8'))['1_0_ExecJson']);
"""


def hdf_files(project: pytest.Pytester) -> list[Path]:
    """The files of the HDF report."""
    return sorted((project.path / "out.hdf").iterdir())


def test_nothing_hostile_gets_through_any_format(hostile: pytest.Pytester) -> None:
    """Every reader reads, and what a host says is no markup, no formula and no command."""
    args = (*asked(*FORMATS), "--html=out.html", "--junitxml=out.xml", "--tb=no")
    result = hostile.runpytest_subprocess(*REPLAY, *args)
    assert result.ret is pytest.ExitCode.TESTS_FAILED
    lines = validate(hostile.path / "out.jsonl")
    assert sum(line["type"] == "result" for line in lines) == (2 + 4) * len(HOSTILE)
    own = {line["check"] for line in lines if line["type"] == "result"}
    assert "test_site.py::test_parameter[<img src=x onerror=alert(2)>]" in own
    assert ghas_errors(hostile.path / "out.sarif") == []
    for form in (*FORMATS[1:], "html", "xml"):
        file = hostile.path / f"out.{form}"
        for part in file.iterdir() if file.is_dir() else [file]:
            text = part.read_bytes().decode("utf-8")
            assert "\x1b" not in text
            assert "\x9b" not in text or form == "xml"
            assert "l" * 20_000 not in text or form == "xml"
            assert "<img" not in text.replace("\\<", "") or form in {
                "sarif",
                "ocsf",
                "hdf",
                "csv",
                "github",
                "oscal",
            }
            if form in {"sarif", "ocsf", "hdf", "oscal"}:
                json.loads(text)
    for line in (hostile.path / "out.github").read_text(encoding="utf-8").splitlines():
        assert line.startswith(("::error file=test_site.py,line=", "::warning "))
    junitparser.JUnitXml.fromfile(str(hostile.path / "out.xml"))
    with (hostile.path / "out.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            assert not [v for v in row.values() if v.startswith(("=", "+", "-", "@", "\t", "\r"))]
    done = npm.run(HDF_READ, str(npm.package("inspecjs")), *map(str, hdf_files(hostile)))
    assert done.returncode == 0, done.stderr
    for finding in json.loads((hostile.path / "out.ocsf").read_text(encoding="utf-8")):
        ComplianceFinding.model_validate(finding)


@pytest.mark.parametrize(
    "how",
    [
        *(("--tb=no",), ("--tb=no", "-v", "-rA"), ("--tb=no", "-qq"), ("--tb=native",)),
        *(("--tb=long", "--showlocals", "-vv"), ("--tb=short", "-n", "1"), ("-s",)),
    ],
    ids="".join,
)
@pytest.mark.parametrize("ci", ["", "true"], ids=["by-hand", "ci"])
def test_no_line_of_the_terminal_is_a_command(
    hostile: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...], ci: str
) -> None:
    """A runner takes ``::error`` behind blanks, and ``##[error]`` anywhere, for commands.

    In CI, pytest cuts nothing. What a test prints itself under ``-s`` is the test's own.
    """
    monkeypatch.setenv("CI", ci)
    hostile.makepyfile(
        test_prints="""
        import sys

        def test_prints(droplet):
            if "-s" not in sys.argv:
                print(droplet.name)
            assert droplet.name is None
        """,
        test_skip="""
        from pytest_droplet import check, not_applicable

        @check("site.skip")
        def test_skip(droplet, droplet_os_release):
            not_applicable(droplet.name + droplet_os_release.pretty_name)

        @check("site.lost")
        def test_lost(droplet, droplet_sshd):
            assert droplet_sshd
        """,
    )
    result = hostile.runpytest_subprocess(*REPLAY, "-k", "site or prints", *how)
    assert not [line for line in result.outlines if line.lstrip().startswith("::")]
    assert "##[" not in result.stdout.str()
    assert "\x1b" not in result.stdout.str()
    assert "\x9b" not in result.stdout.str()


def test_junitxml_is_read_by_others(audit: pytest.Pytester) -> None:
    """Counts, outcomes and properties are where CI systems look for them."""
    run(audit, "--junitxml=out.xml")
    (suite,) = xunit2.JUnitXml.fromfile(str(audit.path / "out.xml"))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (8, 1, 1, 1)
    case = next(case for case in suite if case.name == "site.release[web-1-12]")
    assert isinstance(case.result[0], junitparser.Failure)
    properties = {p.name: p.value for p in case.properties()}
    assert properties["check"] == "site.release"
    assert properties["urn"] == "do:droplet:12"


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_junitxml_has_the_properties_of_every_verdict(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """Of checks and of ordinary tests: check, severity, verdict, urn, and the waiver."""
    audit.makepyfile(test_own="def test_own(droplet):\n    assert droplet.id != 12\n")
    waiver = '[[waiver]]\ncheck = "{}"\nreason = "planned"\nexpires = 2099-12-31\n'
    waived = ("site.release", "test_own.py::test_own")
    (audit.path / "droplet-waivers.toml").write_text("".join(map(waiver.format, waived)))
    run(audit, *workers, "--junitxml=out.xml")
    (suite,) = xunit2.JUnitXml.fromfile(str(audit.path / "out.xml"))
    found = {case.name: {p.name: p.value for p in case.properties()} for case in suite}
    accepted = {"severity": "medium", "verdict": "waived", "waiver": "2099-12-31: planned"}
    assert found["test_own[web-1-12]"] == accepted | {
        "check": "test_own.py::test_own",
        "urn": "do:droplet:12",
    }
    assert found["test_own[db-1-11]"]["verdict"] == "pass"
    assert found["site.release[web-1-12]"] == accepted | {
        "check": "site.release",
        "severity": "critical",
        "urn": "do:droplet:12",
    }


def test_reports_point_to_the_line_of_the_users_own_test(audit: pytest.Pytester) -> None:
    """Of a check, of an ordinary test, of one with a parameter, in a folder and in a class.

    In SARIF it is beside the place, which is the Droplet's.
    """
    sub = audit.mkdir("more")
    (sub / "test_more.py").write_text(
        "import pytest\n\n\nclass TestIt:\n"
        '    @pytest.mark.parametrize("n", [1, 2])\n'
        "    def test_n(self, droplet, n):\n        assert False\n\n\n"
        "def test_plain(droplet):\n    assert False\n"
    )
    run(audit, "--droplets-report=sarif:out.sarif", "--droplets-report=github:out.github")
    (sarif,) = json.loads((audit.path / "out.sarif").read_text())["runs"]
    places = {
        (r["ruleId"], place["artifactLocation"]["uri"], place["region"]["startLine"])
        for r in sarif["results"]
        for place in [r["relatedLocations"][0]["physicalLocation"]]
    }
    assert places == {
        ("site.release", "test_site.py", 8),
        ("more/test_more.py::TestIt::test_n[1]", "more/test_more.py", 5),
        ("more/test_more.py::TestIt::test_n[2]", "more/test_more.py", 5),
        ("more/test_more.py::test_plain", "more/test_more.py", 10),
    }
    text = (audit.path / "out.github").read_text()
    assert "::error file=more/test_more.py,line=10,title=more/test_more.py%3A%3Atest_plain" in text


def test_annotations_go_to_standard_output(audit: pytest.Pytester) -> None:
    """Each on a line of its own, whatever stood there before."""
    result = run(audit, "--droplets-report=github:-")
    errors = [line for line in result.outlines if line.startswith("::")]
    assert errors[0].startswith(
        "::error file=test_site.py,line=8,title=site.release%3A it is Debian"
    )
    assert errors[0].endswith("::1 result: web-1: it is Debian GNU/Linux 12")
    assert errors[1].startswith("::warning title=1 Droplets not reached::web-2: no answer on")
    assert not (audit.path / "-").exists()


def test_the_job_summary_is_appended_to(
    audit: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``markdown:auto`` goes to the file that the runner names, behind what is there."""
    summary = audit.path / "job" / "summary.md"
    summary.parent.mkdir()
    summary.write_text("# Before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    run(audit, "--droplets-report=markdown:auto")
    assert summary.read_text().startswith("# Before\n## Droplet audit: 1 finding on 4 Droplets\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["markdown:auto"], "GITHUB_STEP_SUMMARY is not set"),
        (["sarif:test_site.py/x"], "the report cannot be written there"),
        (["hdf:test_site.py"], "the report cannot be written there"),
        (["csv:recording"], "the report cannot be written there"),
        (["csv:out", "sarif:out"], "csv and sarif both go to"),
        (["sarif"], "expected FORMAT:PATH with one of the formats jsonl, sarif, ocsf, hdf, csv,"),
        (["html:x"], "; the page is --html=x"),
        (["json:x"], "; did you mean jsonl:x?"),
        (["jsonl:a", "jsonl:b"], "was given twice"),
    ],
)
def test_a_report_that_cannot_be_written_is_found_before_the_run(
    audit: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
) -> None:
    """One line, exit code 4, no host was read."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    result = run(audit, *(f"--droplets-report={text}" for text in args))
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert message in errors[0]


def test_collect_only_writes_no_report(audit: pytest.Pytester) -> None:
    """Not even an empty one."""
    run(audit, "--co", "-q", *asked(*FORMATS))
    assert not [name for name in os.listdir(audit.path) if name.startswith("out.")]  # noqa: PTH208


@pytest.mark.parametrize(
    "option", ["--droplets-report=jsonl:r", "--droplets-report=csv:r", "--html=r"]
)
def test_a_report_that_another_run_writes_is_refused(audit: pytest.Pytester, option: str) -> None:
    """The second of two runs is told before a host is read; what is there stays."""
    (audit.path / "r").write_text("before")
    first = Draft(audit.path / "r")

    result = run(audit, option)

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert "another run is writing it; name another path" in errors[0]
    assert (audit.path / "r").read_text() == "before"
    first.discard()
    assert run(audit, option).ret is not pytest.ExitCode.USAGE_ERROR
    assert not list(audit.path.glob("*.part"))


def test_a_folder_that_another_run_writes_is_refused(audit: pytest.Pytester) -> None:
    """Each run removes what an earlier one left there: two at once would lose files."""
    option = "--droplets-report=hdf:r"
    with closing(Places([("hdf", audit.path / "r")])):
        result = run(audit, option)

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert "r: the report cannot be written there: another run is writing it" in errors[0]
    assert run(audit, option).ret is not pytest.ExitCode.USAGE_ERROR
    assert {file.suffix for file in (audit.path / "r").iterdir()} == {".json"}
