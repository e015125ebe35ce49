"""The whole way on real hosts: HTTP, SSH, verdicts and reports, as a user runs it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from .audit import Run, audit
from .defects import DEFECTS
from .lab import Lab

HOST_OF: dict[str, str] = {}
FLIPS: dict[str, dict[str, str]] = {}
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_run_reaches_every_host(prod: Run, lab: Lab) -> None:
    """All hosts are read as root; a dead one is one line; findings make exit code 1."""
    assert prod.process.returncode == 1, prod.text
    states = {r["name"]: r["coverage"] for r in prod.record if r["type"] == "droplet"}
    expected = dict.fromkeys(lab.hosts, "reached")
    expected |= {"mail-off": "off", "pool-worker": "not-ours", "cache-gone": "unreachable"}
    assert states == expected
    connected = [r for r in prod.record if r["type"] == "droplet" and r["connection"]]
    assert all(d["connection"]["root"] for d in connected)
    assert prod.text.count("UNREACHABLE cache-gone: ") == 1
    assert "Traceback" not in prod.text


def test_workers_give_the_same_verdicts(
    prod: Run, lab: Lab, account: Mapping[str, str], tmp_path: Path
) -> None:
    """Two workers, one discovery: the record differs in nothing but order and times."""
    shared = audit(lab, account, tmp_path, "--droplets=tag:prod", "-n", "2")
    for host in (*lab.hosts, None):
        assert shared.verdicts(host) == prod.verdicts(host)


def test_a_replay_gives_the_same_verdicts(
    prod: Run, lab: Lab, account: Mapping[str, str], project: Path, tmp_path: Path
) -> None:
    """What was recorded is judged as it was live."""
    replay = audit(
        lab, {}, tmp_path, "--droplets=all", f"--droplets-replay={project / 'recording'}"
    )
    for host in (*lab.hosts, None):
        assert replay.verdicts(host) == prod.verdicts(host)


def test_sudo_reads_what_root_reads(
    prod: Run, lab: Lab, account: Mapping[str, str], tmp_path: Path
) -> None:
    """A user who may sudo without a password sees the same."""
    run = audit(lab, account, tmp_path, "--droplets=tag:prod", "--droplets-user=audit")
    for host in lab.hosts:
        assert run.verdicts(host) == prod.verdicts(host), run.messages(host)


def test_without_root_nothing_becomes_green(
    prod: Run, lab: Lab, account: Mapping[str, str], tmp_path: Path
) -> None:
    """What needs root is unknown then, and says so; no finding turns into a pass."""
    run = audit(lab, account, tmp_path, "--droplets=tag:prod", "--droplets-user=noroot")
    for host in lab.hosts:
        assert run.checks(host, "pass") <= prod.checks(host, "pass"), host
        assert "auditd.rules-loaded" not in run.checks(host, "pass")
    assert "sudo -n was refused" in run.text


def test_reading_a_host_changes_nothing_on_it(
    lab: Lab, account: Mapping[str, str], tmp_path: Path
) -> None:
    """Files, modes, times, firewall rules and units are as before, but for the login's traces."""
    audit(lab, account, tmp_path / "first", "--droplets=name:web-clean")
    before = {name: host.snapshot() for name, host in lab.hosts.items()}
    args = ("--droplets=tag:prod", "--droplets-profile=all", "--droplets-user")
    for user in ("root", "audit"):
        audit(lab, account, tmp_path / user, *args, user)
    for name, host in lab.hosts.items():
        assert before[name].changes(host.snapshot()) == [], name


@pytest.mark.parametrize("name", sorted(n for n, d in DEFECTS.items() if not d.built_in))
def test_a_defect_flips_exactly_its_checks(
    lab: Lab, account: Mapping[str, str], tmp_path: Path, name: str
) -> None:
    """Introduced for real, it turns its checks red and no other; undone, all is as before."""
    host = lab.hosts[HOST_OF.get(name, "web-clean")]
    chosen = f"--droplets=name:{host.name}"
    before = audit(lab, account, tmp_path / "before", chosen, "--droplets-profile=all")
    with host.defect(name):
        during = audit(lab, account, tmp_path / "during", chosen, "--droplets-profile=all")
    was, now = before.verdicts(host.name), during.verdicts(host.name)
    flipped = {check: now[check] for check in now if now[check] != was[check]}
    assert flipped == FLIPS[name], during.messages(host.name)


def test_an_existing_testinfra_suite_runs_unmodified(
    lab: Lab, account: Mapping[str, str], tmp_path: Path
) -> None:
    """The example's tests know nothing of this plugin; they run on every selected Droplet."""
    shutil.copytree(EXAMPLES / "existing-testinfra-suite", tmp_path, dirs_exist_ok=True)
    run = audit(
        lab, account, tmp_path, "--droplets=name:web-clean", "--droplets-profile=none", "."
    )
    assert run.process.returncode == 0, run.text
    assert len(run.checks("web-clean", "pass")) >= 5


def test_the_page_shows_every_host(prod: Run, project: Path, lab: Lab) -> None:
    """The HTML page is drawn from the record, in one file."""
    page = (project / "audit.html").read_text()
    for host in lab.hosts:
        assert host in page
    assert "http-equiv" in page
    assert not (project / "assets").exists()
