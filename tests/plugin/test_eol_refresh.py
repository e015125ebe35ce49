"""``--droplets-eol-refresh``: newer dates where they can be had, and a plain word where not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pytest_droplet.api import _pydo
from pytest_droplet.facts.os.lifecycle import Lifecycle
from pytest_droplet.testing import Cloud
from tests.support.endoflife import EndOfLife, product
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.recordings import OS_RELEASE, reached, save

assert _pydo  # pytester forgets what a run imports, and http.cookiejar must be one

FEDORA = 'ID=fedora\nVERSION_ID="{0}"\nPRETTY_NAME="Fedora Linux {0}"\nNAME="Fedora Linux"\n'
SUPPORTED = ("--droplets=all", "-k", "os.release-supported", "--droplets-report=jsonl:out.jsonl")
EMBEDDED = {"debian": "pass", "fedora": "unknown", "old": "fail"}
REFRESHED = {"debian": "fail", "fedora": "pass", "old": "fail"}
HOSTS = """
from pathlib import Path
from pytest_droplet.recording import ReplayHosts, load_recording

def pytest_droplet_connect():
    return ReplayHosts(load_recording(Path("hosts")))
"""


@pytest.fixture
def served() -> Iterator[EndOfLife]:
    """Debian 13 ends sooner than the table says, Fedora 46 is new, 38 is said to live on."""
    debian = product({"name": "13", "eolFrom": "2026-01-01", "eoesFrom": "2026-01-01"})
    fedora = product(
        {"name": "46", "eolFrom": "2099-01-01"}, {"name": "38", "eolFrom": "2099-01-01"}
    )
    with EndOfLife(debian=debian, fedora=fedora) as server:
        yield server


@pytest.fixture
def live(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, served: EndOfLife
) -> Iterator[pytest.Pytester]:
    """A live run: an API on loopback, hosts that answer at once, endoflife.date on loopback."""
    cloud = Cloud()
    systems = {
        "debian": OS_RELEASE.format(13),
        "fedora": FEDORA.format(46),
        "old": FEDORA.format(38),
    }
    added = {name: cloud.add(name, id=n) for n, name in enumerate(systems, 1)}
    save(
        cloud, pytester.path / "hosts", [reached(cloud, added[n], os=systems[n]) for n in systems]
    )
    pytester.makeconftest(HOSTS)
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", TOKEN)
    monkeypatch.setenv("ENDOFLIFE_API_URL", served.url)
    with FakeApi(cloud) as api:
        monkeypatch.setenv("DIGITALOCEAN_API_URL", api.url)
        yield pytester


def verdicts(run: pytest.Pytester) -> dict[str, str]:
    """The verdicts of the run's record by the names of the Droplets."""
    lines = [json.loads(text) for text in (run.path / "out.jsonl").read_text("utf-8").splitlines()]
    names = {line["id"]: line["name"] for line in lines if line["type"] == "droplet"}
    return {names[x["droplet_id"]]: x["verdict"] for x in lines if x["type"] == "result"}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_newer_dates_judge_and_are_named(
    live: pytest.Pytester, served: EndOfLife, workers: tuple[str, ...]
) -> None:
    """They add a release and end one sooner, they lengthen nothing, and one line says so."""
    result = live.runpytest_inprocess(*SUPPORTED, "--droplets-eol-refresh", *workers)

    assert verdicts(live) == REFRESHED
    result.stderr.fnmatch_lines(
        ["droplets: end-of-life dates of endoflife.date: new are fedora 46; sooner end debian 13"]
    )
    assert len(served.requests) == 7


def test_nothing_secret_is_sent_there(live: pytest.Pytester, served: EndOfLife) -> None:
    """The token is for DigitalOcean's API alone."""
    live.runpytest_inprocess(*SUPPORTED, "--droplets-eol-refresh")

    assert served.requests
    for path, headers in served.requests:
        assert TOKEN not in path + str(headers)
        assert not {"Authorization", "Cookie"} & set(headers)


def test_it_is_off_by_default(live: pytest.Pytester, served: EndOfLife) -> None:
    """Without the option nobody is asked, and the dates of the package judge."""
    live.runpytest_inprocess(*SUPPORTED)

    assert verdicts(live) == EMBEDDED
    assert served.requests == []


def test_a_failed_refresh_is_said_loudly_and_the_table_judges(
    live: pytest.Pytester, served: EndOfLife
) -> None:
    """Also where only the last answer is bad, and where pytest is told to be quiet."""
    served.answers["ubuntu"] = (503, {}, b"")

    result = live.runpytest_inprocess(*SUPPORTED, "--droplets-eol-refresh", "-q")

    assert verdicts(live) == EMBEDDED
    said = "droplets: end-of-life dates could not be refreshed, hosts are judged by those of 20*"
    result.stderr.fnmatch_lines([f"{said}: GET http://127.0.0.1:*/api/v1/products/ubuntu/: 503"])


def test_a_recording_keeps_the_dates(
    live: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay gives the verdicts of the run that it was recorded of, and asks nobody."""
    live.runpytest_inprocess(*SUPPORTED, "--droplets-eol-refresh", "--droplets-record=kept")
    for name in ("DIGITALOCEAN_API_URL", "ENDOFLIFE_API_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    live.runpytest_inprocess(*SUPPORTED, "--droplets-replay=kept")

    assert verdicts(live) == REFRESHED


def test_a_recording_with_dates_that_are_none_is_refused(live: pytest.Pytester) -> None:
    """Its files are input like any other."""
    live.runpytest_inprocess(*SUPPORTED, "--droplets-record=kept")
    folder = live.path / "kept"
    answers = json.loads((folder / "api.json").read_text("utf-8"))
    (folder / "api.json").write_text(json.dumps({**answers, "endoflife.date/debian": []}))
    manifest = json.loads((folder / "recording.json").read_text("utf-8"))
    manifest["files"]["api.json"] = hashlib.sha256((folder / "api.json").read_bytes()).hexdigest()
    (folder / "recording.json").write_text(json.dumps(manifest))

    result = live.runpytest_inprocess(*SUPPORTED, "--droplets-replay=kept")

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: recording kept: endoflife.date, debian: not in the form*"]
    )


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (180, []),
        (
            181,
            ["droplets: end-of-life dates are of *: update pytest-droplet, or add *-eol-refresh"],
        ),
    ],
)
def test_dates_of_old_are_pointed_out(
    live: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, days: int, said: list[str]
) -> None:
    """A package that nobody updated says that its table is old, and what to do."""
    as_of = datetime.now(UTC).date() - timedelta(days=days)
    monkeypatch.setattr("pytest_droplet.discovery.lifecycle", lambda: Lifecycle(as_of, {}))

    result = live.runpytest_inprocess(*SUPPORTED)

    assert len([line for line in result.errlines if line]) == len(said)
    result.stderr.fnmatch_lines(said)


@pytest.mark.parametrize("source", ["--droplets=demo", "--droplets-replay=hosts"])
def test_a_replay_asks_nobody(live: pytest.Pytester, served: EndOfLife, source: str) -> None:
    """It is judged at the time of its recording: newer dates are no part of that."""
    selector = () if "demo" in source else ("--droplets=all",)

    result = live.runpytest_inprocess(source, *selector, "--droplets-eol-refresh")

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    assert result.errlines[0] == (
        "ERROR: --droplets-eol-refresh needs live Droplets: not demo, not a replay"
    )
    assert served.requests == []


def test_no_file_of_a_project_turns_it_on(live: pytest.Pytester, served: EndOfLife) -> None:
    """A checked-out repository cannot make the auditor's machine ask anybody."""
    live.makeini("[pytest]\naddopts = --droplets-eol-refresh\n")

    result = live.runpytest_inprocess(*SUPPORTED)

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: tox.ini: addopts has --droplets-eol-refresh: *"])
    assert served.requests == []
