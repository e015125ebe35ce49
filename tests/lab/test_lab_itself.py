"""The lab's hosts answer, and are what the other tests take them for."""

import re

import pytest

from .defects import DEFECTS
from .hosts import SPECS
from .lab import Lab
from .snapshot import Snapshot


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


# The kernel refuses audit to containers.
_ON_THE_MACHINE = ("auditd.removed", "auditd.rules-flushed", "firewall.flushed")
_IN_A_CONTAINER = [
    name for name, row in DEFECTS.items() if not row.built_in and name != "auditd.rules-flushed"
]


@pytest.mark.parametrize("defect", _IN_A_CONTAINER)
def test_a_defect_is_introduced_and_undone(lab: Lab, defect: str) -> None:
    """In the block the host is another; after it, it is what it was."""
    host = lab.hosts["web-clean"]
    before = host.snapshot()

    with host.defect(defect):
        assert before.changes(host.snapshot())

    after = host.snapshot()
    assert _lasting(after) ^ _lasting(before) == set()
    assert sorted(after.firewall.splitlines()) == sorted(before.firewall.splitlines())
    changes = before.changes(after, except_paths=["*"])
    assert [line for line in changes if not line.startswith("firewall:")] == []


@pytest.mark.parametrize("defect", _ON_THE_MACHINE)
def test_a_defect_of_the_machine_is_undone(lab: Lab, defect: str) -> None:
    """The same for what the machine's own kernel keeps."""
    host = lab.hosts["vm-audit"]
    state = "auditctl -l; nft list ruleset; systemctl is-active auditd; dpkg -s auditd | head -2"
    before = host.run(state).stdout

    with host.defect(defect):
        assert host.run(state).stdout != before

    assert host.run(state).stdout == before


def _lasting(snapshot: Snapshot) -> set[tuple[str, str, int, int, int, str]]:
    """Every file that a change of settings or packages and back leaves as it was, but its times."""
    passing = re.compile(r"/run/|/tmp/|/var/(log|cache|lib/dpkg|backups)/|/etc/.*-$")
    return {
        (path, file.type, file.mode, file.uid, file.gid, file.content)
        for path, file in snapshot.files.items()
        if not passing.match(path)
    }


@pytest.mark.parametrize("name", SPECS)
def test_a_login_leaves_no_more_than_its_traces(lab: Lab, name: str) -> None:
    """What a login and a reading command change is listed, and nothing else changes."""
    host = lab.hosts[name]
    before = host.snapshot()

    lab.run(lab.ssh(name, "sudo -n cat /etc/shadow", user="audit"))

    assert before.changes(host.snapshot()) == []
