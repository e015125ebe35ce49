"""The lab's hosts answer, and are what the other tests take them for."""

import pytest

from .hosts import SPECS
from .lab import Lab


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
