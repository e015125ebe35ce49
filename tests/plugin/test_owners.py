"""Who owns a Droplet: by selector, else by its project; findings are counted by owner."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from pytest_droplet.testing import Cloud
from tests.support.recordings import reached, save

OWNERS = """[owners]
"tag:db,!name:old-*" = "data"
"tag:db" = "nobody yet"
"name:web-1" = "shop"
"""


def record(folder: Path, *, projects: bool) -> None:
    """Record five Droplets; two of them have no owner by selector, one of these a project."""
    cloud = Cloud()
    for number, (name, tags) in enumerate(
        [("db-1", ["db"]), ("old-db", ["db"]), ("web-1", []), ("mail-1", []), ("lost-1", [])], 11
    ):
        cloud.add(name, id=number, tags=tags)
    cloud.add_project("letters", [14])
    save(cloud, folder, [reached(cloud, d) for d in cloud.droplets], projects=projects)


@pytest.fixture
def site(pytester: pytest.Pytester) -> pytest.Pytester:
    """The recorded fleet, owners, and a check that fails on three Droplets."""
    record(pytester.path / "recording", projects=True)
    (pytester.path / "droplet.toml").write_text(OWNERS)
    pytester.makeini("[pytest]\ndroplets_profile = none\naddopts = -p no:randomly\n")
    pytester.makepyfile(
        """
        from pytest_droplet import check

        @check("site.name", severity="high")
        def test_name(droplet):
            assert droplet.id not in (11, 14, 15), "it is too long"
        """
    )
    return pytester


def run(site: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Judge the recorded fleet."""
    fleet = ("--droplets=all", "--droplets-replay=recording")
    return site.runpytest_inprocess(*fleet, "--droplets-report=jsonl:out.jsonl", *args)


def owners(site: pytest.Pytester) -> dict[str, str | None]:
    """Return the owner of each Droplet by its name, as the record has it."""
    lines = map(json.loads, (site.path / "out.jsonl").read_text().splitlines())
    return {line["name"]: line.get("owner") for line in lines if line["type"] == "droplet"}


def test_the_first_selector_that_matches_names_the_owner(site: pytest.Pytester) -> None:
    """Else the project does; who has neither has no owner."""
    run(site)
    assert owners(site) == {
        "db-1": "data",
        "old-db": "nobody yet",
        "web-1": "shop",
        "mail-1": "letters",
        "lost-1": None,
    }


def test_findings_are_counted_by_owner(site: pytest.Pytester) -> None:
    """In the job summary, the most findings first and those of nobody last; in each row of CSV."""
    run(site, "--droplets-report=markdown:page.md", "--droplets-report=csv:rows.csv")
    page = (site.path / "page.md").read_text().replace("\\", "")
    table = page.partition("### By owner\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    assert rows == [
        ["data", "1", "0", "1", "0", "0", "0"],
        ["letters", "1", "0", "1", "0", "0", "0"],
        ["nobody yet", "1", "0", "0", "0", "0", "0"],
        ["shop", "1", "0", "0", "0", "0", "0"],
        ["(nobody named)", "1", "0", "1", "0", "0", "0"],
    ]
    with (site.path / "rows.csv").open(newline="") as file:
        found = {row["RESOURCE_NAME"]: row["OWNER"] for row in csv.DictReader(file)}
    assert found == {name: owner or "" for name, owner in owners(site).items()}


def test_without_owners_no_project_is_asked_for(site: pytest.Pytester) -> None:
    """And neither record nor summary speaks of owners."""
    (site.path / "droplet.toml").unlink()
    run(site, "--droplets-report=markdown:page.md")
    assert set(owners(site).values()) == {None}
    assert "owner" not in (site.path / "page.md").read_text()


def test_projects_that_cannot_be_read_name_nobody(site: pytest.Pytester) -> None:
    """A token without their scope, a recording without their answers: the run goes on."""
    shutil.rmtree(site.path / "recording")
    record(site.path / "recording", projects=False)
    run(site)
    assert owners(site)["mail-1"] is None
    assert owners(site)["db-1"] == "data"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"tags:db" = "x"', "did you mean tag:db?"),
        ('"" = "x"', "an empty term"),
        ('"demo" = "x"', "expected a selector of Droplets, and who owns them"),
        ('"tag:db" = " "', "expected a selector of Droplets, and who owns them"),
        ('"tag:db" = 1', "expected str"),
    ],
)
def test_a_wrong_owner_is_one_line(site: pytest.Pytester, text: str, message: str) -> None:
    """Exit code 4, before anything is read."""
    (site.path / "droplet.toml").write_text(f"[owners]\n{text}\n")
    result = run(site)
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    (error,) = (line for line in result.errlines if line.startswith("ERROR: "))
    assert message in error
