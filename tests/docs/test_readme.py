"""README: its tables are those of the code, its pictures are there, and its commands run.

``python -m tests.docs.test_readme`` brings its table and its number of checks up to date.
"""

from __future__ import annotations

import re
import struct

import pytest

from pytest_droplet.catalogue import Check, shipped
from tests.examples.fleet import write_fleet
from tests.lab import stranger

from .markdown import ROOT, blocks, in_the_repository
from .test_reference import load_reference

README = (ROOT / "README.md").read_text("utf-8")
OF_WEB_SERVERS = {9: "apache", 10: "nginx"}


def recommendation_rows() -> list[str]:
    """Return the rows of the table of recommendations, as README must have them."""
    titles: dict[int, str] = load_reference().GUIDE
    rows = []
    for number, title in titles.items():
        server = OF_WEB_SERVERS.get(number)
        guide = 9 if server else number
        checks = {c.base_id: c for c in shipped().values() if c.guide == guide}
        asked = [c for c in checks.values() if "droplet" in c.profiles]
        more = [c for c in checks.values() if "droplet" not in c.profiles]
        if number == 10:
            rows.append(f"| {number}. {title} | the same, as `[nginx]` | the same |")
        else:
            also = f", as `[{server}]`" if server else ""
            rows.append(f"| {number}. {title} | {_ids(asked)}{also} | {_ids(more)} |")
    return rows


def _ids(checks: list[Check]) -> str:
    return ", ".join(f"`{check.base_id}`" for check in checks) or "none"


def test_the_table_of_recommendations_is_that_of_the_catalogue() -> None:
    """Each of the ten has its row with every check, no more and no less."""
    table = README.partition("## What is checked")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if re.match(r"\| \d+\. ", line)]

    assert rows == recommendation_rows()


def test_the_numbers_are_those_of_the_catalogue() -> None:
    """The count of checks that README names is right."""
    assert f"Its {count()} are" in README


def test_the_comparison_says_of_when_it_is() -> None:
    """What other tools do changes: the table has its date, and a row for each of them."""
    table = README.partition("## Comparable tools")[2].partition("\n## ")[0]

    assert re.search(r"as of 20\d\d-\d\d-\d\d", table)
    for tool in (
        "Lynis",
        "OpenSCAP",
        "InSpec",
        "cnspec",
        "Prowler",
        "ScoutSuite",
        "pytest-testinfra",
        "ansible-lockdown",
        "ssh-audit",
    ):
        assert re.search(rf"^\| [^|]*{tool}", table, re.MULTILINE), tool


def test_links_are_whole() -> None:
    """The package index shows README as well: nothing in it is relative to the repository."""
    targets = re.findall(r"\]\(([^)]+)\)", README)

    assert len(targets) > 10
    assert [target for target in targets if not target.startswith("https://")] == []


def test_the_pictures_are_there_and_small() -> None:
    """Every picture is a PNG of less than 300 KB, in README with a text for those who see none."""
    shown = re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", in_the_repository(README))

    assert {path for _, path in shown} == {
        "docs/_static/report.png",
        "docs/_static/terminal.png",
    }
    for text, path in shown:
        data = (ROOT / path).read_bytes()
        assert len(text) > 30
        assert data.startswith(b"\x89PNG")
        assert len(data) < 300_000
        width, _ = struct.unpack(">II", data[16:24])
        assert 600 < width < 1600


def test_ci_runs_the_demo_and_the_line_under_develop() -> None:
    """A stranger's machine in CI is given both as they stand: the first, and the one of tests."""
    demo, develop = stranger.commands(README)

    assert demo.endswith(
        "/pytest --droplets=demo --pyargs pytest_droplet.checks --html=audit.html"
    )
    assert "--group test && .venv/bin/pytest" in develop


def test_the_checks_that_it_shows_judge(pytester: pytest.Pytester) -> None:
    """Its block of Python is a file of tests: each gives a verdict on each Droplet."""
    (shown,) = (b.text for b in blocks(ROOT / "README.md") if b.language == "python")
    write_fleet(pytester.path / "recording")
    pytester.makepyfile(test_site=shown)

    result = pytester.runpytest_inprocess(
        *("--droplets=tag:prod", "--droplets-replay=recording", "-p", "no:randomly"),
        "test_site.py",
    )

    outcomes = result.parseoutcomes()
    assert sum(outcomes.values()) == 6
    assert outcomes["passed"] == 2
    assert outcomes["errors"] == 4


def updated(text: str) -> str:
    """Return README with the rows and the number of checks that the catalogue has."""
    rows = "".join(f"{row}\n" for row in recommendation_rows())
    text = re.sub(r"^(?:\| \d+\. .*\n)+", lambda _: rows, text, flags=re.MULTILINE)
    return re.sub(r"\b\d+ checks\b", count(), text, count=1)


def count() -> str:
    """Return how many checks there are, in README's words."""
    return f"{len({check.base_id for check in shipped().values()})} checks"


if __name__ == "__main__":
    (ROOT / "README.md").write_text(updated(README), "utf-8")
