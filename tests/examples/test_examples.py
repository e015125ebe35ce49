"""Each project in examples/ does what its README says, as a user would run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_droplet.settings import Settings, load_settings
from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.ssh_server import Handler, Server, Servers, Session, canned, needs

from .fleet import CARELESS, HARDENED, write_fleet
from .web_host import Answer, web_host

DEFECTS = {
    "systemctl is-active nginx": (3, "inactive\n"),
    "stat -Lc %a /var/www/html": (0, "777\n"),
}
EXAMPLES = Path(__file__).parents[2] / "examples"
PACKAGING = Path(__file__).parents[1] / "packaging"


@dataclass
class Project:
    """A copy of an example, and a way to run pytest in it as a user does."""

    pytester: pytest.Pytester
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        for name, value in self.environment.items():
            self.pytester._monkeypatch.setenv(name, value)
        return self.pytester.run(
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *args
        )

    @property
    def path(self) -> Path:
        """The folder of the copy."""
        return self.pytester.path


@pytest.fixture
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Project:
    """The example that ``@pytest.mark.parametrize("project", [NAME], indirect=True)`` names."""
    shutil.copytree(EXAMPLES / request.param, pytester.path, dirs_exist_ok=True)
    return Project(pytester)


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """A recording of the small fleet."""
    return str(write_fleet(tmp_path / "recording"))


@dataclass(frozen=True)
class Live:
    """Two Droplets behind a real HTTP API and real SSH servers."""

    config: str
    server: Server


def serve(farm: Servers, handler: Handler) -> Live:
    """Start the host of both Droplets on two addresses."""
    server = farm.ssh({"127.0.7.1": 1001, "127.0.7.2": 1002}, handler)
    return Live(farm.config(server.port), server)


@pytest.fixture
def account(project: Project) -> Iterator[FakeApi]:
    """The API of an account with web-1 and web-2, which the project's token opens."""
    cloud = Cloud()
    cloud.add("web-1", tags=["prod", "web"], public="127.0.7.1")
    cloud.add("web-2", tags=["prod", "web"], public="127.0.7.2")
    with FakeApi(cloud) as api:
        project.environment |= {"DIGITALOCEAN_TOKEN": TOKEN, "DIGITALOCEAN_API_URL": api.url}
        yield api


def of(name: str) -> pytest.MarkDecorator:
    """Run a test in a copy of this example."""
    return pytest.mark.parametrize("project", [name], indirect=True, ids=[name])


@of("quickstart")
def test_quickstart_needs_no_file_of_tests(project: Project, recording: str) -> None:
    """The shipped checks run with the site's profile and settings, and leave the report."""
    result = project.run("--droplets=all", f"--droplets-replay={recording}", "--html=audit.html")

    assert result.ret is pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "droplets: all: 4 of 4 Droplets (recording recording, judged at *); profile droplet",
            "HIGH     Automatic backups are off *backups.enabled",
            "coverage: 2 of 3 Droplets reached, 1 off: 66.6 %*",
        ]
    )
    assert "web-2" in (project.path / "audit.html").read_text("utf-8")
    assert load_settings(project.path) == Settings(index_max_age_days=2)


@of("custom-checks")
def test_custom_checks_judge_a_recording(project: Project, recording: str) -> None:
    """Checks and tests on facts find what is wrong on one host and unknown on another."""
    result = project.run(
        "--droplets=all",
        f"--droplets-replay={recording}",
        "--droplets-report=jsonl:out.jsonl",
        "test_facts.py",
        "test_checks.py",
    )

    verdicts = {
        (r["check"], r["droplet_id"]): r["verdict"]
        for r in map(json.loads, (project.path / "out.jsonl").read_text().splitlines())
        if r["type"] == "result"
    }
    host_checks = [
        "site.swap-off",
        "site.port-open[80]",
        "site.port-open[443]",
        "site.database-private",
        "test_facts.py::test_the_release_is_debian",
        "test_facts.py::test_the_kernel_is_of_the_cloud_flavour",
    ]
    assert {c: verdicts.pop((c, 1001)) for c in host_checks} == dict.fromkeys(host_checks, "pass")
    assert verdicts.pop(("site.swap-off", 1002)) == "fail"
    assert {verdicts.pop((c, 1002)) for c in host_checks[1:]} == {"pass"}
    assert {verdicts.pop((c, 1003)) for c in host_checks} == {"unknown"}
    assert {verdicts.pop((c, 1004)) for c in host_checks} == {"notapplicable"}
    tagged = "test_facts.py::test_the_site_is_tagged"
    assert verdicts == {
        (tagged, 1001): "pass",
        (tagged, 1002): "pass",
        (tagged, 1003): "pass",
        (tagged, 1004): "fail",
    }
    result.stdout.fnmatch_lines(["*web-2-1002: swap is used: /swapfile*"])


@of("custom-checks")
def test_custom_checks_run_on_live_hosts(
    project: Project, account: FakeApi, farm: Servers
) -> None:
    """Plain tests, tests on facts and checks share one login a host."""
    live = serve(farm, web_host(HARDENED))

    result = project.run("--droplets=tag:web", f"--ssh-config={live.config}", ".")

    result.assert_outcomes(passed=2 * (3 + 3 + 4))
    assert result.ret is pytest.ExitCode.OK
    assert live.server.logins == 2
    assert {r.method for r in account.requests} == {"GET"}


@of("custom-checks")
def test_the_facts_of_custom_checks_can_be_recorded(
    project: Project, account: FakeApi, farm: Servers
) -> None:
    """The README's two lines: a run is recorded, and judged again without network or token."""
    live = serve(farm, web_host(CARELESS))
    first = project.run(
        "--droplets=tag:web", f"--ssh-config={live.config}", "--droplets-record=recording", "."
    )
    first.assert_outcomes(passed=18, failed=2)
    sent = len(account.requests)
    project.environment |= {"DIGITALOCEAN_TOKEN": ""}

    again = project.run(
        "--droplets=all", "--droplets-replay=recording", "test_facts.py", "test_checks.py"
    )

    again.assert_outcomes(passed=12, failed=2)
    assert len(account.requests) == sent


@of("existing-testinfra-suite")
@pytest.mark.parametrize("changed", [{}, DEFECTS], ids=["good", "bad"])
def test_an_existing_suite_runs_the_same_in_both_ways(
    project: Project, account: FakeApi, farm: Servers, changed: dict[str, Answer]
) -> None:
    """With ``--hosts`` and with ``--droplets`` every test has the same outcome."""
    if shutil.which("ssh") is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs openssh-client installed")
        pytest.skip("no ssh here, which testinfra's own way needs: install openssh-client")
    live = serve(farm, web_host(changed=changed))

    plain = project.run(
        "--hosts=ssh://root@127.0.7.1", f"--ssh-config={live.config}", "--junitxml=hosts.xml"
    )
    logins = live.server.logins
    ours = project.run(
        "--droplets=name:web-1", f"--ssh-config={live.config}", "--junitxml=droplets.xml", "."
    )

    before = outcomes(project.path / "hosts.xml", "ssh://127.0.7.1")
    assert outcomes(project.path / "droplets.xml", "web-1-1001") == before
    assert len(before) == 15
    assert sum(o != "passed" for o in before.values()) == (2 if changed else 0)
    assert plain.ret == ours.ret
    assert logins > 15
    assert live.server.logins == logins + 1


def outcomes(path: Path, subject: str) -> dict[str, str]:
    """Return the outcome of each test of a JUnit file, with the host taken out of its name."""
    return {
        f"{case.get('classname')}::{case.get('name')}".replace(subject, "HOST"): next(
            (child.tag for child in case if child.tag in {"failure", "error", "skipped"}),
            "passed",
        )
        for case in ET.parse(path).getroot().iter("testcase")
    }


@of("waivers-and-baseline")
def test_what_is_new_fails_and_what_is_accepted_does_not(
    project: Project, recording: str, tmp_path: Path
) -> None:
    """The README's two lines: a baseline is taken, and from then on only what is new fails."""
    first = ["--droplets=tag:prod", "--droplets-report=jsonl:baseline.jsonl"]
    later = [
        "--droplets=tag:prod",
        "--droplets-baseline=baseline.jsonl",
        "--droplets-fail-on=low,new",
    ]
    backups = ["-k", "backups.enabled"]

    taken = project.run(*first, *backups, f"--droplets-replay={recording}")
    taken.assert_outcomes(passed=1, xfailed=1, failed=1)
    taken.stdout.fnmatch_lines(["*--droplets-min-coverage=90 (pytest.ini)*"])

    same = project.run(*later, *backups, f"--droplets-replay={recording}", "--html=audit.html")
    same.assert_outcomes(passed=1, xfailed=2)
    assert same.ret is pytest.ExitCode.OK
    assert "OPS-512" in (project.path / "audit.html").read_text("utf-8")

    grown = write_fleet(tmp_path / "grown", grown=True)
    more = project.run(*later, *backups, f"--droplets-replay={grown}")
    more.assert_outcomes(passed=1, xfailed=2, failed=1)
    more.stdout.fnmatch_lines(["*db-2-1005: *"])


@of("waivers-and-baseline")
def test_a_waiver_whose_date_is_over_waives_nothing(project: Project, tmp_path: Path) -> None:
    """The day after its end the finding is back, and says since when."""
    after = datetime(2027, 4, 1, 12, tzinfo=UTC)
    recording = write_fleet(tmp_path / "later", after)

    result = project.run(
        "--droplets=tag:prod", "-k", "backups.enabled", f"--droplets-replay={recording}"
    )

    result.assert_outcomes(passed=1, failed=2)
    assert "the waiver expired on 2027-03-31" in " ".join(result.stdout.str().split())


@of("bastion")
def test_the_hosts_are_reached_through_the_bastion(project: Project, farm: Servers) -> None:
    """One login at the bastion, and one at each host behind it, at its private address."""
    hosts = farm.ssh({"127.0.8.1": 1001, "127.0.8.2": 1002}, canned())
    jump = farm.ssh({"127.0.9.1": 1}, canned(), forwards=True)
    trust(project, farm, {"10.114.": "127.0.8.", "203.0.113.5": "127.0.9.1"})
    with (project.path / "ssh_config").open("a") as file:
        file.write(f"Host 127.0.8.*\n  Port {hosts.port}\nHost bastion\n  Port {jump.port}\n")
    cloud = Cloud()
    cloud.add("web-1", tags=["prod"], private="127.0.8.1")
    cloud.add("web-2", tags=["prod"], private="127.0.8.2")
    with FakeApi(cloud) as api:
        project.environment |= {"DIGITALOCEAN_TOKEN": TOKEN, "DIGITALOCEAN_API_URL": api.url}
        options = ["--ssh-config=ssh_config", "--droplets-probe=off", "-k", "reboot"]
        result = project.run("--droplets=tag:prod", *options)

    result.stdout.fnmatch_lines(["coverage: 2 of 2 Droplets reached: 100 %"])
    assert (jump.logins, hosts.logins) == (1, 2)
    assert {address for address, _ in jump.forwarded} == {"127.0.8.1", "127.0.8.2"}
    assert jump.commands == []


@of("non-root")
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"uid": 0}, "coverage: 1 of 1 Droplets reached: 100 %"),
        (
            {"uid": 1000, "sudo": b"sudo: a password is required", "skipped": ["sshd"]},
            "UNKNOWN  *needs root; sudo -n was*",
        ),
    ],
    ids=["sudo", "no-sudo"],
)
def test_another_user_than_root_logs_in(
    project: Project, farm: Servers, answer: dict[str, Any], told: str
) -> None:
    """The user audit logs in and sudo is asked; where it refuses, what needs root is unknown."""
    users = []

    async def host(session: Session) -> None:
        users.append(session.process.get_extra_info("username"))
        await canned(**answer)(session)

    server = farm.ssh({"127.0.7.3": 1001}, host)
    trust(project, farm, {})
    with (project.path / "ssh_config").open("a") as file:
        file.write(f"    Port {server.port}\n")
    cloud = Cloud()
    cloud.add("web-1", tags=["prod"], public="127.0.7.3")
    with FakeApi(cloud) as api:
        project.environment |= {"DIGITALOCEAN_TOKEN": TOKEN, "DIGITALOCEAN_API_URL": api.url}
        options = ["--ssh-config=ssh_config", "--droplets-probe=off", "-k", "root-password-login"]
        result = project.run("--droplets=tag:prod", *options)

    result.stdout.fnmatch_lines([told])
    ((_, command),) = server.commands
    assert "sudo -n" in command
    assert users == ["audit"]


@of("non-root")
def test_the_rule_for_sudo_is_one(project: Project) -> None:
    """``visudo`` takes it, and the user data gives a new Droplet the same."""
    rule = (project.path / "sudoers").read_text().strip()
    data = yaml.safe_load((project.path / "cloud-init.yaml").read_text())
    (user,) = (u for u in data["users"] if isinstance(u, dict))

    assert rule == f"{user['name']} {user['sudo']}"
    assert user["lock_passwd"] is True
    assert "restrict,from=" in user["ssh_authorized_keys"][0]
    needs("visudo")
    command = ["visudo", "--check", "--file", str(project.path / "sudoers")]
    assert project.pytester.run(*command).ret == 0


def trust(project: Project, farm: Servers, addresses: dict[str, str]) -> None:
    """Put the addresses, the key and the host keys of the test into the project's ssh_config."""
    path = project.path / "ssh_config"
    text = re.sub(r"~/\.ssh/\w+", str(farm.folder / "id_ed25519"), path.read_text())
    for documented, real in addresses.items():
        text = text.replace(documented, real)
    lines = f"    UserKnownHostsFile {farm.known_hosts}\n    IdentityAgent none\n"
    path.write_text(f"{text}\nHost *\n{lines}")


def test_the_existing_suite_is_ordinary() -> None:
    """It imports nothing of ours and has at least 15 assertions."""
    texts = [p.read_text() for p in (EXAMPLES / "existing-testinfra-suite").glob("*.py")]

    assert not any("droplet" in text for text in texts)
    assert sum(text.count("    assert ") for text in texts) >= 15


def test_every_example_is_tested_and_has_a_readme() -> None:
    """No folder of examples/ is left to rot."""
    tests = [*Path(__file__).parent.glob("test_*.py"), *PACKAGING.glob("test_*.py")]
    source = "".join(path.read_text() for path in tests)
    for folder in EXAMPLES.iterdir():
        assert (folder / "README.md").is_file(), folder.name
        assert f'@of("{folder.name}")' in source or f"examples/{folder.name}/" in source
