"""What the pages tell a reader to type runs, on the recorded fleet."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.examples.fleet import write_fleet

from .markdown import PAGES, ROOT, Block, blocks, commands, name_of
from .test_pages import fields, words

TUTORIAL = ROOT / "docs/tutorial.md"
WRITE_A_CHECK = ROOT / "docs/how-to/write-a-check.md"
ADD_A_FACT = ROOT / "docs/how-to/add-a-fact.md"
WAIVE = ROOT / "docs/how-to/waive.md"
FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)

RUNNABLE = [
    page
    for page in PAGES
    if page.parent.parent.name != "examples"
    and page.name != "contributing.md"  # its commands are for the tree, and take hours
    and any(w[0].endswith("pytest") for w in commands(page))
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording of the small fleet."""
    return write_fleet(tmp_path / "recording")


def write_files(page: Path, folder: Path) -> list[str]:
    """Write the files that a page shows, and return the names of those that are tests."""
    shown = [b for b in blocks(page) if re.fullmatch(r"[\w-]+\.(py|toml)", b.caption)]
    for name in dict.fromkeys(block.caption for block in shown):
        (folder / name).write_text("".join(b.text for b in shown if b.caption == name))
    return [b.caption for b in shown if b.caption.startswith("test_")]


def run(pytester: pytest.Pytester, words: list[str], recording: Path) -> pytest.RunResult:
    """Run a pytest command of a page, with the recording in place of an account."""
    arguments = []
    for word in words[1:]:
        option, _, value = word.partition("=")
        if option == "--droplets-record":
            shutil.copytree(recording, pytester.path / value)
        elif option != "--droplets-user":
            arguments.append(word)
    selects = any(w.startswith("--droplets=") and w != "--droplets=demo" for w in arguments)
    if selects and not any(w.startswith("--droplets-replay") for w in arguments):
        arguments.append(f"--droplets-replay={recording}")
    return pytester.run(
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments
    )


# README's last line, which `.ci/run` runs by itself.
TESTS_OF_THE_CHECKOUT = ["-n", "2", "--dist", "worksteal"]


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_commands_of_a_page_run(
    page: Path, pytester: pytest.Pytester, recording: Path
) -> None:
    """Every pytest command runs to its end, in the files that the page shows; none is misused."""
    write_files(page, pytester.path)
    for line in commands(page):
        if line[:3] == ["python", "-m", "pytest_droplet"]:
            assert pytester.run(sys.executable, *line[1:]).ret in FINISHED, line
        elif line[0].endswith("pytest") and line[1:] not in ([], TESTS_OF_THE_CHECKOUT):
            assert run(pytester, line, recording).ret in FINISHED, line


def run_tests_of(pytester: pytest.Pytester, page: Path, recording: Path) -> list[dict[str, Any]]:
    """Run the tests that a page shows, and return the results."""
    tests = write_files(page, pytester.path)
    options = ["--droplets=tag:web", "--droplets-report=jsonl:out.jsonl"]
    run(pytester, ["pytest", *options, *tests], recording)
    return results(pytester.path / "out.jsonl")


def on_web_1(found: list[dict[str, Any]]) -> dict[str, str]:
    """Return the verdicts on one Droplet, by check."""
    return {r["check"]: r["verdict"] for r in found if r["droplet_id"] == 1001}


def test_the_checks_of_the_how_to_judge_as_it_says(
    pytester: pytest.Pytester, recording: Path
) -> None:
    """Each test of "write a check" gives the verdicts that its section promises."""
    found = run_tests_of(pytester, WRITE_A_CHECK, recording)

    assert on_web_1(found) == {
        "test_plain.py::test_nginx_is_enabled": "unknown",
        "test_plain.py::test_the_site_belongs_to_root": "unknown",
        "test_facts.py::test_the_release_is_debian": "pass",
        "site.release": "pass",
        "site.port-open[80]": "pass",
        "site.port-open[443]": "pass",
        "site.ports-open": "pass",
        "site.kernel-flavour": "pass",
        "site.database-private": "pass",
    }


def test_the_facts_of_the_how_to_are_read(pytester: pytest.Pytester, recording: Path) -> None:
    """The facts of "add a fact" are evidence of the checks that ask for them."""
    found = run_tests_of(pytester, ADD_A_FACT, recording)

    assert on_web_1(found) == {"site.swap-off": "pass", "site.young": "pass"}
    swap = next(r for r in found if r["check"] == "site.swap-off" and r["verdict"] == "fail")
    assert swap["message"] == "swap is used: /swapfile"
    assert swap["evidence"][0]["value"] == "/swapfile"
    assert swap["title"] == "No swap is used"


def test_a_waiver_of_the_how_to_accepts_what_it_says(
    pytester: pytest.Pytester, recording: Path
) -> None:
    """The Droplets of its selector are waived, the others are findings as before."""
    write_files(WAIVE, pytester.path)
    command = ["pytest", "--droplets=tag:prod", "--pyargs", "pytest_droplet.checks"]
    record = ["-k", "backups.enabled", "--droplets-report=jsonl:out.jsonl"]
    run(pytester, [*command, *record], recording).assert_outcomes(passed=1, failed=1, xfailed=1)

    verdicts = {r["droplet_id"]: r["verdict"] for r in results(pytester.path / "out.jsonl")}
    assert verdicts == {1001: "pass", 1002: "waived", 1003: "fail"}


def test_the_tutorial_shows_what_the_terminal_prints(
    pytester: pytest.Pytester, recording: Path
) -> None:
    """Each line of the shown output is printed by a run on the fleet that it is taken from."""
    (shown,) = (b for b in blocks(TUTORIAL) if b.name == "terminal")
    chosen = "backups.enabled or os.release-supported"
    command = ["pytest", "--droplets=tag:prod", "--pyargs", "pytest_droplet.checks", "-k", chosen]

    printed = run(pytester, command, recording).stdout.lines

    assert [line for line in shown.text.splitlines() if line not in printed] == []


def test_the_page_of_the_record_names_every_field(
    pytester: pytest.Pytester, recording: Path
) -> None:
    """Types of lines, their fields, and the fields of what they hold: all are on the page."""
    page = '"""It is.\n\n    Finding:\n        It is not.\n    """'
    pytester.makepyfile(
        test_own=f"def test_own(droplet):\n    {page}\n    assert droplet.id < 0\n"
    )
    write_files(WAIVE, pytester.path)
    command = ["pytest", "--droplets=all", "--droplets-report=jsonl:out.jsonl"]
    run(pytester, [*command, "--deselect=test_own.py"], recording)
    (pytester.path / "out.jsonl").rename(pytester.path / "old.jsonl")
    run(pytester, [*command, "--droplets-baseline=old.jsonl", "--maxfail=1000"], recording)
    lines = [json.loads(text) for text in (pytester.path / "out.jsonl").read_text().splitlines()]

    kinds = {line["type"] for line in lines}
    assert kinds >= {"header", "droplet", "result", "summary"}
    for kind in kinds:
        of_kind = [line for line in lines if line["type"] == kind]
        assert set().union(*of_kind) <= fields(kind), kind
        rare = {"merged", "not_run", "traceback", "details", "left_out", "frameworks"}
        rare |= {"accounts", "sla"}
        rare |= {"due", "reopened", "fixed_at", "last_verdict", "last_judged", "owner"}
        assert fields(kind) - set().union(*of_kind) <= rare, kind
        code = {word.strip("`") for word in words(kind)}
        assert {n for line in of_kind for n in _inner(line)} <= code, kind


def _inner(line: Mapping[str, Any]) -> set[str]:
    """Return the names inside of what a line holds, except where names are data."""
    data = {"options", "versions", "rows", "counts", "details", "left_out", "value"}
    held = [v for name, value in line.items() if name not in data for v in _listed(value)]
    return {name for value in held if isinstance(value, dict) for name in value}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def results(path: Path) -> list[dict[str, Any]]:
    """Return the result lines of a record."""
    lines = map(json.loads, path.read_text().splitlines())
    return [line for line in lines if line["type"] == "result"]


def test_blocks_are_found() -> None:
    """The reader of Markdown finds blocks with and without options."""
    page = ROOT / "docs/how-to/write-a-check.md"
    text = page.read_text()

    assert len(list(blocks(page))) == len(re.findall(r"^```.", text, re.MULTILINE))
    assert next(blocks(page)) == Block("python", *_first(text), "")


def _first(text: str) -> tuple[str, str]:
    caption = text.partition(":caption: ")[2].partition("\n")[0]
    return text.partition(f":caption: {caption}\n\n")[2].partition("```")[0], caption
