"""Hosts that go wrong, through the whole plugin: unknown with a reason, never a pass."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.catalogue import shipped
from pytest_droplet.facts import all_facts
from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.ssh_server import Servers, host, login_name, needs, openssh, servers
from tests.trust.hosts import CONNECT_S, FLEET, GIGABYTE, ID_OF, READ_S, SENT, fleet
from tests.trust.runs import lines, run

OF_HOST = {
    c.id
    for c in shipped().values()
    if any(f in all_facts() and all_facts()[f].of_host for f in c.facts)
}
NOISY = """sh -c 'echo Welcome; printf "\\033[2J--0 eof\\n"; echo fortune >&2; exec sh "$@"' x"""
UNREACHABLE = [n for n, b in FLEET.items() if b.coverage == "unreachable"]
REACHED = [n for n, b in FLEET.items() if b.coverage == "reached"]


@dataclass(frozen=True)
class Run:
    """One run over the whole fleet."""

    status: int
    text: str
    record: list[dict[str, Any]]
    known_hosts: tuple[str, str]

    def verdicts(self, name: str) -> dict[str, str]:
        """Verdicts of one Droplet's host checks."""
        return {
            r["check"]: r["verdict"]
            for r in self.record
            if r["type"] == "result" and r["droplet_id"] == ID_OF[name] and r["check"] in OF_HOST
        }

    def messages(self, name: str, verdict: str) -> list[str]:
        """Messages of one Droplet's checks of this verdict."""
        return [
            r["message"]
            for r in self.record
            if r["type"] == "result" and r["droplet_id"] == ID_OF[name] and r["verdict"] == verdict
        ]

    def droplet(self, name: str) -> dict[str, Any]:
        """The record's line of one Droplet."""
        return next(r for r in self.record if r["type"] == "droplet" and r["id"] == ID_OF[name])


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run every shipped check on the whole fleet at once, as a user would."""
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "project").mkdir()
    cloud = Cloud()
    with servers(folder) as farm, FakeApi(cloud) as api, fleet(farm, cloud) as config:
        before = farm.known_hosts.read_text()
        status, text = run(
            folder / "project",
            [
                "-v",
                "--droplets=all",
                "--droplets-profile=all",
                "--droplets-probe=off",
                f"--droplets-connect-timeout={CONNECT_S}",
                f"--droplets-timeout={READ_S}",
                f"--ssh-config={config}",
                "--droplets-report=jsonl:out.jsonl",
                "--junitxml=out.xml",
            ],
            env={"DIGITALOCEAN_API_URL": api.url, "DIGITALOCEAN_TOKEN": TOKEN},
        )
        known = (before, farm.known_hosts.read_text())
    return Run(status, text, lines(folder / "project/out.jsonl"), known)


def test_the_well_host_is_read_beside_all_others(audit: Run) -> None:
    """What goes wrong elsewhere costs a good host nothing."""
    given = list(audit.verdicts("well").values())
    assert audit.status == 1, audit.text
    assert given.count("pass") > 20
    assert "Traceback" not in audit.text
    assert "error" not in {r.get("verdict") for r in audit.record}


@pytest.mark.parametrize("name", FLEET)
def test_the_record_says_how_the_host_was_read(audit: Run, name: str) -> None:
    """Coverage counts each host as reached or not, and every shipped check was judged."""
    assert audit.droplet(name)["coverage"] == FLEET[name].coverage
    assert audit.verdicts(name).keys() == audit.verdicts("well").keys() == OF_HOST


@pytest.mark.parametrize("name", UNREACHABLE)
def test_a_host_that_cannot_be_read_is_unknown_with_its_reason(audit: Run, name: str) -> None:
    """Every check of the host is unknown, or fails by the API alone; one line tells of it."""
    given = audit.verdicts(name)
    alone = {check for check in given if shipped()[check].without_host}
    assert {given[check] for check in given.keys() - alone} == {"unknown"}
    assert {given[check] for check in alone} <= {"unknown", "fail"}
    reason = audit.droplet(name)["reason"]
    assert reason.startswith(f"{name}: ")
    assert FLEET[name].reason in reason
    assert reason.isprintable()
    shown = [line for line in audit.text.splitlines() if f"UNREACHABLE {name}: " in line]
    assert len(shown) == 1


@pytest.mark.parametrize("name", REACHED)
def test_a_host_that_is_read_in_part_gets_no_better_verdict(audit: Run, name: str) -> None:
    """What arrived whole is judged; nothing passes that does not on the well host."""
    given, well = audit.verdicts(name), audit.verdicts("well")
    assert {c for c, v in given.items() if v == "pass"} <= {
        c for c, v in well.items() if v == "pass"
    }
    if FLEET[name].reason:
        assert any(FLEET[name].reason in m for m in audit.messages(name, "unknown"))


@pytest.mark.parametrize("name", ["noisy", "rekeys", "framing"])
def test_noise_changes_no_verdict_that_was_read(audit: Run, name: str) -> None:
    """Banners, start-up files, a rekey and foreign marks: no fail, pass or unknown is invented."""
    given, well = audit.verdicts(name), audit.verdicts("well")
    differing = {c: (given[c], well[c]) for c in given if given[c] != well[c]}
    assert {v for v, _ in differing.values()} <= (
        {"unknown", "fail"} if name == "framing" else set()
    )


def test_a_gigabyte_is_not_waited_for(audit: Run) -> None:
    """The auditor hangs up where the cap is reached; the rest is not even sent."""
    assert 2**20 < SENT["gigabyte"] < GIGABYTE / 4, audit.text


def test_no_host_reaches_the_terminal(audit: Run) -> None:
    """What hosts print in control characters is made visible: no line is moved, hidden or faked."""
    assert {c for c in audit.text if not c.isprintable()} <= {"\n"}


def test_known_hosts_is_left_alone(audit: Run) -> None:
    """Without accept-new no key is added or removed, whatever hosts present."""
    before, after = audit.known_hosts
    assert before == after


def test_a_run_of_unknowns_is_red(audit: Run) -> None:
    """Coverage is under what is asked for, and says so."""
    reached, due = len(REACHED), len(FLEET)
    assert f"coverage: {reached} of {due} Droplets reached" in audit.text


@pytest.mark.parametrize(
    ("lines_of_sshd", "login_shell", "passes"),
    [
        ((), "sh", True),
        (("MaxSessions 1",), "sh", True),
        ((), "fish --no-config", True),
        ((), "tcsh -f", True),
        (("ForceCommand internal-sftp",), "sh", False),
        (("ForceCommand /usr/sbin/nologin",), "sh", False),
        (("PermitTTY no", "AllowTcpForwarding no", "Banner /etc/services"), "sh", True),
        (("RekeyLimit 1K",), "sh", True),
        ((), "zsh -f", True),
        ((), NOISY, True),
    ],
    ids=[
        *("plain", "one session", "fish", "csh", "sftp only", "nologin", "long banner"),
        *("rekeys all the time", "zsh", "start-up files that print"),
    ],
)
def test_real_sshd(  # noqa: PLR0917 fixtures and the columns of the table above
    project: pytest.Pytester,
    farm: Servers,
    api: FakeApi,
    cloud: Cloud,
    lines_of_sshd: tuple[str, ...],
    login_shell: str,
    passes: bool,  # noqa: FBT001 a column of the table above
) -> None:
    """OpenSSH as administrators set it up: read, or unknown with the reason."""
    needs(login_shell.split(maxsplit=1)[0])
    with openssh(farm, 1, *lines_of_sshd, login_shell=login_shell) as port:
        result = project.runpytest_inprocess(
            "--droplets=name:web-1",
            f"--droplets-user={login_name()}",
            f"--ssh-config={farm.config(port)}",
            "-k",
            "release",
        )
    if passes:
        result.assert_outcomes(passed=1, deselected=1)
    else:
        result.assert_outcomes(errors=1, deselected=1)
        result.stdout.fnmatch_lines(["UNREACHABLE web-1: * got no shell (*"])


def test_a_droplet_with_ipv6_alone(
    project: pytest.Pytester, farm: Servers, api: FakeApi, cloud: Cloud
) -> None:
    """By its public address it cannot be reached, and the line says which option reaches it."""
    cloud.add("six", id=6, public=None, private=None, ipv6="::1")
    server = farm.ssh({"::1": 6}, host)
    args = (f"--ssh-config={farm.config(server.port)}", "--droplets=name:six", "-k", "release")
    result = project.runpytest_inprocess(*args)
    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(["UNREACHABLE six: it has no public address; choose another *"])
    result = project.runpytest_inprocess(*args, "--droplets-address=ipv6")
    result.assert_outcomes(passed=1, deselected=1)


def test_real_max_startups(
    project: pytest.Pytester, farm: Servers, api: FakeApi, cloud: Cloud
) -> None:
    """OpenSSH that drops what is too much for it: one line that says where to look."""
    with openssh(farm, 1, "MaxStartups 1:100:1") as port, ExitStack() as stack:
        banner = b""
        while not banner.startswith(b"SSH-"):  # what came before us may still be counted
            held = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            banner = held.recv(64)
        result = project.runpytest_inprocess(
            "--droplets=name:web-1",
            "--droplets-connect-timeout=10",
            f"--droplets-user={login_name()}",
            f"--ssh-config={farm.config(port)}",
            "-k",
            "release",
        )
    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(["UNREACHABLE web-1: * before the login; check MaxStartups*"])


READ_ONLY = """exec unshare -m sh -ec '
for d in / /tmp /var /run; do mount --bind $d $d; mount -o remount,ro,bind $d; done
exec sh "$@"' sh "$@"
"""
FULL = """exec unshare -m sh -ec '
for d in /var/tmp /dev/shm; do
  mount -t tmpfs -o size=4k full $d; head -c 9999 /dev/zero >$d/x 2>/dev/null || :
done
trap "" XFSZ; ulimit -f 0; exec sh "$@"' sh "$@"
"""


@pytest.mark.parametrize("disks", [READ_ONLY, FULL], ids=["read only", "full"])
def test_a_host_that_cannot_write(
    project: pytest.Pytester, farm: Servers, api: FakeApi, tmp_path: Path, disks: str
) -> None:
    """The script needs no place to write: read-only disks and full ones (no file may grow)."""
    jail = tmp_path / "jail"
    jail.write_text(f"#!/bin/sh\n{disks}")
    jail.chmod(0o755)
    needs("unshare")
    if os.getuid() != 0:
        pytest.skip("a host's disks are changed by root only")
    with openssh(farm, 1, login_shell=str(jail)) as port:
        args = ("--droplets=name:web-1", f"--ssh-config={farm.config(port)}", "-k", "release")
        result = project.runpytest_inprocess(*args)
    result.assert_outcomes(passed=1, deselected=1)
