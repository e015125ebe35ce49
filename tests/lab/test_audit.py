"""The whole way on real hosts: HTTP, SSH, verdicts and reports, as a user runs it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from .audit import Before, Run, audit, only
from .defects import DEFECTS
from .expected import EXPECTED
from .hosts import SPECS
from .lab import Lab
from .snapshot import LOGIN_TRACES, MACHINE_TRACES, PROBE_TRACES
from .traps import arm, sprung, traps, without_jobs

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


@pytest.mark.parametrize("name", EXPECTED)
def test_a_host_is_found_as_it_is(prod: Run, name: str) -> None:
    """What is wrong with it fails, what cannot be seen is unknown, all else is in order."""
    expected = EXPECTED[name]
    given = prod.verdicts(name)
    assert given
    assert {
        verdict: prod.checks(name, verdict) for verdict in ("fail", "unknown", "error", "waived")
    } == {
        "fail": set(expected.fails),
        "unknown": set(expected.unknown),
        "error": set(),
        "waived": set(),
    }, prod.messages(name)


def test_the_account_is_in_order(prod: Run) -> None:
    """It has a firewall and a key; the dead host leaves open only whether a key is unused."""
    assert prod.checks(None, "fail") == set()
    assert prod.checks(None, "pass") >= {"firewall.cloud-exists", "ssh.account-has-key"}


def test_of_a_dead_host_only_the_account_tells(prod: Run) -> None:
    """Everything that is read on the host is unknown; backups and firewall are not."""
    assert prod.checks("cache-gone", "fail") == set()
    assert prod.checks("cache-gone", "pass") >= {"backups.enabled", "firewall.cloud-attached"}
    for family in ("auditd.", "os.", "patches.", "ssh.", "sshkeys.", "tls."):
        ours = {c: v for c, v in prod.verdicts("cache-gone").items() if c.startswith(family)}
        assert set(ours.values()) <= {"unknown", "notapplicable"}, ours
        assert "unknown" in ours.values(), family


def test_the_defects_of_a_host_are_among_its_findings(prod: Run, lab: Lab) -> None:
    """A host that starts with a defect fails the checks of its row."""
    for host in lab.hosts.values():
        for name in host.defects:
            judged, failed = (
                {check.partition("[")[0] for check in checks}
                for checks in (prod.verdicts(host.name), prod.checks(host.name, "fail"))
            )
            told = {check.partition("[")[0] for check in DEFECTS[name].flips}
            assert told & judged <= failed, (host.name, name)


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
    """All is as before, but for the traces of the login and of what is asked from outside.

    That is files with modes and times, caches of packages among them; firewall rules, audit's
    state and rules, kernel modules; and units. Nothing that an ordinary user laid out for root is
    run or read.
    """
    args = ("--droplets=tag:prod", "--droplets-profile=all", "--droplets-user")
    trapped = lab.hosts["web-clean"]
    # The first login makes fish's folders, and starts a socket's sshd.
    for user in ("root", "audit"):
        audit(lab, account, tmp_path / f"first-{user}", *args, user)
    with without_jobs(lab.hosts.values()), traps(trapped):
        before = {name: host.snapshot() for name, host in lab.hosts.items()}
        arm(trapped)
        for user in ("root", "audit"):
            audit(lab, account, tmp_path / user, *args, user)
        assert sprung(trapped) == []
        for name, host in lab.hosts.items():
            changes = before[name].changes(
                host.snapshot(), except_paths=(*LOGIN_TRACES, *MACHINE_TRACES, *PROBE_TRACES)
            )
            assert changes == [], name


_INTRODUCED = sorted(
    (name for name, row in DEFECTS.items() if not row.built_in),
    key=lambda name: (DEFECTS[name].host, name),
)


@pytest.mark.parametrize("name", _INTRODUCED)
def test_a_defect_flips_exactly_its_checks(
    lab: Lab, account: Mapping[str, str], before: Before, tmp_path: Path, name: str
) -> None:
    """Introduced for real, it changes its verdicts and no other; undone, all is as before."""
    row = DEFECTS[name]
    host = lab.hosts[row.host]
    was = before(row.host).verdicts(row.host)
    state = host.snapshot()
    with host.defect(name):
        during = audit(lab, account, tmp_path, *only(row.host))
    now = during.verdicts(row.host)
    assert now.keys() == was.keys(), during.text
    flipped = {check: now[check] for check in now if now[check] != was[check]}
    assert flipped == row.flips, during.messages(row.host)
    assert state.lasting_changes(host.snapshot()) == []


def test_the_defects_are_of_every_kind() -> None:
    """There are at least 25, of several families on each distribution and on the machine."""
    families: dict[str, set[str]] = {}
    for name in _INTRODUCED:
        spec = SPECS[DEFECTS[name].host]
        kind = "machine" if spec.machine else spec.distribution
        families.setdefault(kind, set()).add(name.partition(".")[0])
    assert len(_INTRODUCED) >= 25
    distributions = {spec.distribution for spec in SPECS.values()}
    assert families.keys() == distributions | {"machine"}
    assert families.pop("machine") >= {"auditd", "patches"}
    assert min(map(len, families.values())) >= 3, families
    assert {d.rpartition("-")[0] for d in distributions} == {
        *("almalinux", "centos", "debian", "fedora", "rocky", "ubuntu")
    }


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
