"""--droplets-prefetch: a testinfra suite over several hosts, asked once and then in batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.ssh_server import Server, Servers, host
from tests.trust.runs import run, verdicts

COUNT = 5
SUITE = """
def test_passwords_are_readable(host):
    assert host.file("/etc/passwd").mode == 0o644

def test_there_is_root(host):
    assert host.user("root").uid == 0
    assert host.user("root").home == "/root"

def test_there_is_no_such_file(host):
    assert host.file("/absent").exists

def test_own_command(host):
    done = host.run("echo own; echo said >&2; exit 3")
    assert (done.rc, done.stdout, done.stderr) == (3, "own\\n", "said\\n")
"""


@pytest.fixture
def fleet(farm: Servers) -> Server:
    """Hosts with a real shell each."""
    return farm.ssh({f"127.0.0.{i}": i for i in range(1, COUNT + 1)}, host)


def audit(folder: Path, farm: Servers, fleet: Server, *more: str) -> tuple[int, str]:
    """Run the suite on the hosts, and on one that does not answer."""
    cloud = Cloud()
    for i in (*range(1, COUNT + 1), 9):
        cloud.add(f"web-{i}", id=i, public=f"127.0.0.{i}")
    project = folder / "project"
    project.mkdir(exist_ok=True)
    (project / "pytest.ini").write_text("[pytest]\n")
    (project / "test_site.py").write_text(SUITE)
    with FakeApi(cloud) as api:
        done = run(
            project,
            [
                "--droplets=all",
                "--droplets-profile=none",
                "--droplets-report=jsonl:out.jsonl",
                f"--ssh-config={farm.config(fleet.port)}",
                *more,
            ],
            env={"DIGITALOCEAN_API_URL": api.url, "DIGITALOCEAN_TOKEN": TOKEN},
        )
    asked = [f"{r.path}?{sorted(r.query.items())}" for r in api.requests]
    assert len(asked) == len(set(asked)) > 3  # the inventory is read once, by one process
    return done


MEMOS = """
from pathlib import Path

from pytest_droplet.connection import testinfra

def pytest_runtest_logfinish():
    counts.append(memos())

def memos():
    return len(testinfra._active.memos) if testinfra._active else 0

def pytest_sessionfinish(session):
    worker = getattr(session.config, "workerinput", {}).get("workerid", "alone")
    Path(f"{worker}.memos").write_text(f"{max(counts, default=0)} {memos()}")

counts = []
"""


@pytest.mark.parametrize("more", [(), ("-n2",)], ids=["alone", "xdist"])
def test_what_was_asked_is_forgotten_with_the_last_test(
    tmp_path: Path, farm: Servers, fleet: Server, more: tuple[str, ...]
) -> None:
    """One memo at most is kept while the tests of a Droplet run, and none after the last."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/conftest.py").write_text(MEMOS)
    audit(tmp_path, farm, fleet, *more)
    kept = {p.stem: p.read_text() for p in (tmp_path / "project").glob("*.memos")}
    workers = {"gw0", "gw1"} if more else {"alone"}
    assert kept.keys() >= workers
    for name in workers:
        assert kept[name] == "1 0"


def sessions(fleet: Server) -> Counter[str]:
    """How many sessions each host had beside the audit's script."""
    return Counter(a for a, command in fleet.commands if "sh -c '" not in command)


@pytest.mark.parametrize("more", [(), ("-n2",)], ids=["alone", "xdist"])
def test_verdicts_are_the_same_and_sessions_fewer(
    tmp_path: Path, farm: Servers, fleet: Server, more: tuple[str, ...]
) -> None:
    """All but a worker's first host have one session for the batch, one for the own command."""
    status, text = audit(tmp_path, farm, fleet, "--droplets-prefetch", *more)

    assert status == pytest.ExitCode.TESTS_FAILED, text
    found = verdicts(tmp_path / "project/out.jsonl")
    assert len(found) == 4 * (COUNT + 1)
    for (name, droplet_id), verdict in found.items():
        missing = "unknown" if droplet_id == 9 else "fail" if "such_file" in name else "pass"
        assert verdict == missing, (name, droplet_id, text)
    workers = 2 if more else 1
    counts = sorted(sessions(fleet).values())
    assert counts[: COUNT - workers] == [2] * (COUNT - workers)
    assert all(n > 4 for n in counts[COUNT - workers :])
    assert len(fleet.scripts) == COUNT + COUNT - workers
    batches = [script for _, script in fleet.scripts if "droplet_identity" not in script]
    assert len(batches) == COUNT - workers
    assert all("/absent" in script and "echo own" not in script for script in batches)
    assert fleet.logins == COUNT


def test_it_is_off_by_default(tmp_path: Path, farm: Servers, fleet: Server) -> None:
    """Each command of each host has a session of its own then, over the one connection."""
    audit(tmp_path, farm, fleet)

    assert len(set(sessions(fleet).values())) == 1
    assert sessions(fleet)["127.0.0.1"] > 4
    assert len(fleet.scripts) == COUNT
    asked = {command for _, command in fleet.commands}
    assert not asked & {"uname -s", "uname -m", "cat /etc/os-release"}  # the script had them
    assert fleet.logins == COUNT
