"""The lab's hosts answer, and are what the other tests take them for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from . import network, state
from .hosts import SPECS
from .lab import Lab
from .processes import Group


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("user", ["root", "audit", "noroot"])
def test_a_host_answers_over_ssh_and_is_the_droplet(lab: Lab, name: str, user: str) -> None:
    """The account's key opens every host, and the host names its Droplet."""
    done = lab.run(lab.ssh(name, "hostname; cat /var/lib/cloud/data/instance-id", user=user))

    assert (done.returncode, done.stdout) == (0, f"{name}\n{SPECS[name].droplet_id}\n"), (
        done.stderr
    )


def test_only_the_audit_user_may_become_root(lab: Lab) -> None:
    """``audit`` has sudo without a password, ``noroot`` has none."""
    for name in lab.hosts:
        may = [lab.run(lab.ssh(name, "sudo -n id -u", user=user)) for user in ("audit", "noroot")]

        assert [done.stdout for done in may] == ["0\n", ""], name


@pytest.mark.parametrize("name", SPECS)
def test_no_unit_failed(lab: Lab, name: str) -> None:
    """What a host shall run, runs."""
    assert lab.hosts[name].run("systemctl --failed --no-legend").stdout == ""


def test_nothing_leads_out(lab: Lab) -> None:
    """No namespace of the lab has a default route."""
    for family in ("-4", "-6"):
        routes = [host.run(["ip", family, "route"]).stdout for host in lab.hosts.values()]
        routes.append(lab.run(["ip", family, "route"]).stdout)

        assert not [route for route in routes if "default" in route]


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.served_names])
@pytest.mark.parametrize("family", ["public_v4", "public_v6"])
def test_a_web_server_answers(lab: Lab, name: str, family: str) -> None:
    """The served name is answered over TLS; the lab's authority vouches where it should."""
    host = lab.hosts[name]
    address = getattr(host, family)
    served = host.served_names[0]
    curl = ["curl", "-sSI", "--cacert", str(lab.ca_bundle), "--noproxy", "*"]
    resolve = [
        "--resolve",
        f"{served}:443:[{address}]" if ":" in address else f"{served}:443:{address}",
    ]

    done = lab.run([*curl, *resolve, f"https://{served}/"])

    broken = any(defect.startswith("tls.") for defect in host.defects)
    assert (done.returncode == 60) if broken else done.stdout.startswith("HTTP/"), done


def test_audit_is_real_on_the_machine(lab: Lab) -> None:
    """The machine's kernel records, from its first process on, and has lost nothing."""
    done = lab.run(lab.ssh("vm-audit", "auditctl -s; cat /proc/cmdline"))

    assert {"enabled 1", "lost 0", "backlog_limit 8192"} <= set(done.stdout.splitlines())
    assert "audit=1 audit_backlog_limit=8192" in done.stdout


@pytest.mark.parametrize("name", SPECS)
def test_a_login_leaves_no_more_than_its_traces(lab: Lab, name: str) -> None:
    """What a login and a reading command change is listed, and nothing else changes."""
    host = lab.hosts[name]
    before = host.snapshot()

    lab.run(lab.ssh(name, "sudo -n cat /etc/shadow", user="audit"))

    assert before.changes(host.snapshot()) == []


def test_hosts_are_as_their_distributions_are(lab: Lab) -> None:
    """No Python and dnf5; uutils and sudo-rs; sshd behind a socket; logins by fish and tcsh."""
    answers = {
        "cache-fedora": (
            "ls /usr/bin | grep -c ^python; dnf --version | head -n1; rpm --version",
            "0\ndnf5 version 5.",
        ),
        "queue-centos": ("echo $shell; dnf --version | head -n1", "/bin/tcsh\n4."),
        "shop-selfsigned": ("rpm -q rocky-release", "rocky-release-10"),
        "app-foreignkey": ("systemctl is-enabled ssh.socket ssh.service", "enabled\ndisabled"),
        "api-ubuntu": ("sudo --version; ls --version | head -n1", "sudo-rs "),
    }
    for name, (command, expected) in answers.items():
        assert lab.run(lab.ssh(name, command)).stdout.startswith(expected), name
    uutils = lab.run(lab.ssh("api-ubuntu", "stat --version; echo $SHELL", user="audit")).stdout
    assert "uutils" in uutils
    assert "/usr/bin/fish" in uutils


def test_a_killed_run_is_cleared_away_by_the_next(lab: Lab, tmp_path: Path) -> None:
    """What it left (processes, mounts, namespaces, its folder) is gone; this lab is untouched."""
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-c", _DIES, "cache-fedora"], stdout=subprocess.PIPE, stderr=output
        ) as run,
    ):
        name = run.stdout.readline().decode().strip() if run.stdout else ""
        os.kill(run.pid, signal.SIGKILL)
    assert (state.FOLDER / name / "owner.json").exists(), log.read_text()
    assert Group(name).pids()

    state.clear_dead()

    assert not Group(name).pids()
    assert not (state.FOLDER / name).exists()
    assert not list(network.NAMESPACES.glob(f"{name}-*"))
    assert name not in Path("/proc/mounts").read_text()
    assert lab.hosts["cache-fedora"].run("true").returncode == 0


_DIES = """
import sys, time
from tests.lab.lab import Lab
with Lab.start(sys.argv[1:]) as lab:
    print(lab.name, flush=True)
    time.sleep(600)
"""
