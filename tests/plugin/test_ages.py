"""Since when findings are open, in runs: along a chain of records, at the gate, in every output."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import datetime
from typing import Any

import pytest

from pytest_droplet.__main__ import main
from pytest_droplet.testing import Cloud
from tests.support.recordings import reached, save

REPLAY = ("--droplets-replay=recording", "--droplets-report=jsonl:out.jsonl")
NAME, RELEASE = ("site.name", 12), ("site.release", 12)


@pytest.fixture
def site(pytester: pytest.Pytester) -> pytest.Pytester:
    """One Droplet, recorded, and two checks: what they find stands in a file."""
    cloud = Cloud()
    web = cloud.add("web-1", id=12, tags=["web"])
    other = cloud.add("db-1", id=13, tags=["db"])
    save(cloud, pytester.path / "recording", [reached(cloud, web), reached(cloud, other)])
    pytester.makepyfile(
        test_site="""
        import json
        from pathlib import Path
        import pytest
        from pytest_droplet import NotObservedError, check

        def look(name, droplet):
            seen = json.loads(Path("seen.json").read_text()).get(name, "pass")
            if droplet.id == 13 or seen == "pass":
                return
            if seen == "unknown":
                raise NotObservedError("it was not seen")
            pytest.fail(seen)

        @check("site.name", severity="high")
        def test_name(droplet):
            look("name", droplet)

        @check("site.release", severity="low")
        def test_release(droplet):
            look("release", droplet)
        """
    )
    pytester.makeini("[pytest]\ndroplets_profile = none\naddopts = -p no:randomly\n")
    (pytester.path / "droplet.toml").write_text("[sla]\nhigh = 7\n")
    return pytester


def run(site: pytest.Pytester, day: int, seen: dict[str, str], *args: str) -> pytest.RunResult:
    """Judge the fleet on a day of January, with the record before as baseline."""
    (site.path / "seen.json").write_text(json.dumps(seen))
    place = site.path / "recording" / "recording.json"
    recording = json.loads(place.read_text())
    place.write_text(json.dumps({**recording, "recorded_at": f"2026-01-{day:02}T12:00:00+00:00"}))
    chain: tuple[str, ...] = ()
    if (site.path / "out.jsonl").exists():
        (site.path / "out.jsonl").rename(site.path / "old.jsonl")
        chain = ("--droplets-baseline=old.jsonl",)
    select = () if any(a.startswith("--droplets=") for a in args) else ("--droplets=all",)
    return site.runpytest_inprocess(*REPLAY, *select, *chain, *args)


def told(site: pytest.Pytester, subject: tuple[str, int]) -> dict[str, Any]:
    """Return what the record tells of the times of a finding."""
    lines = map(json.loads, (site.path / "out.jsonl").read_text().splitlines())
    names = ("first_seen", "age_days", "due", "reopened", "fixed_at", "last_verdict")
    (line,) = (
        line
        for line in lines
        if line["type"] in {"result", "carried"} and (line["check"], line["droplet_id"]) == subject
    )
    return {name: line[name] for name in names if name in line}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_finding_has_its_times_from_record_to_record(
    site: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """Seen first, not judged, not selected, fixed, back again."""
    first = {"first_seen": "2026-01-05T12:00:00Z", "due": "2026-01-12"}
    run(site, 5, {"name": "long"}, *workers)
    assert told(site, NAME) == {**first, "age_days": 0}
    run(site, 6, {"name": "unknown"})
    assert told(site, NAME) == {**first, "age_days": 1, "last_verdict": "fail"}
    run(site, 7, {"name": "long"}, "-k", "release")
    assert told(site, NAME) == {**first, "age_days": 2, "last_verdict": "fail"}
    run(site, 8, {}, "--droplets=tag:db")
    assert told(site, NAME) == {**first, "age_days": 3, "last_verdict": "fail"}
    run(site, 9, {"name": "long"}, *workers)
    assert told(site, NAME) == {**first, "age_days": 4}
    run(site, 10, {})
    fixed = {"first_seen": first["first_seen"], "fixed_at": "2026-01-10T12:00:00Z"}
    assert told(site, NAME) == fixed
    run(site, 11, {}, "-k", "release")
    assert told(site, NAME) == {**fixed, "last_verdict": "pass"}
    run(site, 12, {"name": "long"})
    again = {"first_seen": "2026-01-12T12:00:00Z", "due": "2026-01-19", "reopened": True}
    assert told(site, NAME) == {**again, "age_days": 0}
    assert "first_seen" not in told(site, ("site.name", 13))


def test_waived_time_does_not_stop_the_clock(site: pytest.Pytester) -> None:
    """Age and last day are counted from the first sighting, whoever accepted it meanwhile."""
    run(site, 5, {"name": "long"})
    waivers = site.path / "droplet-waivers.toml"
    waivers.write_text('[[waiver]]\ncheck = "site.name"\nreason = "x"\nexpires = 2026-01-15\n')
    shown = " ".join(run(site, 14, {"name": "long"}).stdout.str().split())
    assert "OVERDUE" not in shown
    assert told(site, NAME)["age_days"] == 9
    shown = " ".join(run(site, 16, {"name": "long"}).stdout.str().split())
    assert "OVERDUE site.name on web-1-12: due on 2026-01-12" in shown
    assert told(site, NAME)["first_seen"] == "2026-01-05T12:00:00Z"


def test_a_waiver_of_an_unknown_is_no_sighting(site: pytest.Pytester) -> None:
    """Nobody saw the finding: its time begins when somebody does."""
    waivers = site.path / "droplet-waivers.toml"
    waivers.write_text(
        '[[waiver]]\ncheck = "site.name"\nreason = "x"\nexpires = 2026-01-15\nunknown = true\n'
    )
    run(site, 5, {"name": "unknown"})
    assert told(site, NAME) == {}
    run(site, 16, {"name": "long"})
    assert told(site, NAME)["first_seen"] == "2026-01-16T12:00:00Z"


@pytest.mark.parametrize(
    ("day", "found", "words", "code"),
    [
        (12, {"name": "long"}, "low,overdue", 0),
        (13, {"name": "long"}, "low,overdue", 1),
        (13, {"name": "long"}, "low,new", 0),
        (13, {"name": "long"}, "low,new,overdue", 1),
        (13, {"name": "long"}, "critical,overdue", 0),
        (12, {"name": "long", "release": "old"}, "low,overdue", 1),
        (12, {"name": "long", "release": "old"}, "high,overdue", 0),
        (31, {"release": "old"}, "low,overdue", 1),
    ],
    ids=[
        *("last-day", "overdue", "new-alone", "both", "severity", "new-one", "new-below"),
        "new-and-late",
    ],
)
def test_the_gate_fails_on_new_and_overdue_findings(
    site: pytest.Pytester, day: int, found: dict[str, str], words: str, code: int
) -> None:
    """Exit code and record agree, in a run and where records are joined."""
    run(site, 5, {"name": "long"})
    assert run(site, day, found, f"--droplets-fail-on={words}").ret == code
    joined = ["merge", "out.jsonl", f"--droplets-fail-on={words}"]
    assert main([*joined, "--droplets-baseline=old.jsonl"]) == code


def test_a_severity_without_days_is_never_overdue(site: pytest.Pytester) -> None:
    """What is known of it passes the gate, and the message says why."""
    run(site, 5, {"release": "old"})
    result = run(site, 31, {"release": "old"}, "--droplets-fail-on=low,overdue", "-rx")
    assert result.ret == 0
    assert "no days are set for low" in " ".join(result.stdout.str().split())


@pytest.mark.parametrize(
    ("text", "args", "message"),
    [
        ("", (), "`overdue` needs days by severity, such as [sla] with high = 30"),
        ("[sla]\nhuge = 1\n", (), "sla = 'huge' = 1: expected one of critical, high"),
        ("[sla]\nhigh = -1\n", (), "expected 0 or more"),
        ("[sla]\nhigh = 40000\n", (), "expected 0 to 36500"),
        ("[sla]\nhigh = '7'\n", (), "expected int"),
        ("[sla]\nhigh = 7\n", ("--droplets-fail-on=low,late",), "expected one of critical"),
    ],
)
def test_what_is_wrong_with_the_days_is_one_line(
    site: pytest.Pytester, text: str, args: tuple[str, ...], message: str
) -> None:
    """Exit code 4, before anything is read."""
    run(site, 5, {})
    (site.path / "droplet.toml").write_text(text)
    result = run(site, 6, {}, "--droplets-fail-on=low,overdue", *args)
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    (error,) = (line for line in result.errlines if line.startswith("ERROR: "))
    assert message in error


def test_overdue_needs_a_baseline(site: pytest.Pytester) -> None:
    """Without one every finding is new; the word would mean nothing."""
    result = run(site, 5, {}, "--droplets-fail-on=low,overdue")
    result.stderr.fnmatch_lines(["ERROR: *`overdue` needs --droplets-baseline=FILE"])


def test_overdue_and_next_due_are_shown_everywhere(site: pytest.Pytester) -> None:
    """On the terminal, in the job summary, the table and the SIEM's file; not judged ones too."""
    run(site, 5, {"name": "long"})
    reports = [f"--droplets-report={form}:{form}" for form in ("markdown", "csv", "ocsf")]
    shown = " ".join(run(site, 12, {"name": "long"}, *reports).stdout.str().split())
    assert "next due: 1 finding on 2026-01-12" in shown
    assert "OVERDUE" not in shown
    shown = " ".join(run(site, 13, {"name": "long"}, *reports).stdout.str().split())
    assert "OVERDUE site.name on web-1-12: due on 2026-01-12" in shown
    page = (site.path / "markdown").read_text()
    assert "**Overdue: 1 finding, the first since 2026-01-12.**" in page.replace("\\", "")
    assert "2026-01-05 (8 days), due on 2026-01-12" in page.replace("\\", "")
    with (site.path / "csv").open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["STATUS"] == "FAIL")
    times = {"FIRST_SEEN": "2026-01-05T12:00:00Z", "AGE_DAYS": "8", "DUE": "2026-01-12"}
    assert row.items() >= times.items()
    (finding,) = (f for f in json.loads((site.path / "ocsf").read_text()) if f["severity_id"] > 1)
    seen = datetime.fromisoformat("2026-01-05T12:00:00+00:00")
    assert finding["finding_info"]["created_time"] == seen.timestamp() * 1000
    result = run(site, 14, {"name": "long"}, *reports, "-k", "release")
    shown = " ".join(result.stdout.str().split())
    assert "OVERDUE site.name on web-1-12: due on 2026-01-12 (1 of 1 not judged" in shown
    assert "1 not judged this time" in (site.path / "markdown").read_text()


def test_a_droplet_made_anew_has_new_findings(site: pytest.Pytester) -> None:
    """Under the same name, with another id; what was open on the old one is gone with it."""
    run(site, 5, {"name": "long"})
    cloud = Cloud()
    anew = cloud.add("web-1", id=22, tags=["web"])
    shutil.rmtree(site.path / "recording")
    save(cloud, site.path / "recording", [reached(cloud, anew)])
    run(site, 9, {"name": "long"})
    assert told(site, ("site.name", 22))["first_seen"] == "2026-01-09T12:00:00Z"
    assert "site.name" in (site.path / "old.jsonl").read_text()
    lines = map(json.loads, (site.path / "out.jsonl").read_text().splitlines())
    assert [line for line in lines if line["type"] == "carried"] == []


def test_a_clock_that_went_back_makes_no_age_negative(site: pytest.Pytester) -> None:
    """Nor is a first sighting later than the run, and what is reported keeps the schema."""
    run(site, 9, {"name": "long"})
    run(site, 5, {"name": "long"})
    assert told(site, NAME) == {
        "first_seen": "2026-01-05T12:00:00Z",
        "age_days": 0,
        "due": "2026-01-12",
    }


def test_shards_with_one_baseline_are_joined_in_any_order(site: pytest.Pytester) -> None:
    """Each carries what the other judges; the joined record has every finding once."""
    run(site, 5, {"name": "long", "release": "old"})
    (site.path / "out.jsonl").rename(site.path / "first.jsonl")
    parts = []
    for shard in ("1/2", "2/2"):
        (site.path / "out.jsonl").write_bytes((site.path / "first.jsonl").read_bytes())
        run(site, 9, {"name": "long"}, f"--droplets-shard={shard}")
        part = site.path / f"part-{shard[0]}.jsonl"
        (site.path / "out.jsonl").rename(part)
        parts.append(str(part))
    for order in (parts, parts[::-1]):
        main(["merge", *order, "--droplets-report=jsonl:out.jsonl"])
        assert told(site, NAME)["first_seen"] == "2026-01-05T12:00:00Z"
        assert told(site, NAME)["age_days"] == 4
        assert told(site, RELEASE)["fixed_at"] == "2026-01-09T12:00:00Z"
