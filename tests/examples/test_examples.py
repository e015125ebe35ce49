"""Each project in examples/ does what its README says, as a user would run it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_droplet.settings import Settings, load_settings
from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.ssh_server import Handler, Server, Servers, servers

from .fleet import CARELESS, HARDENED, write_fleet
from .web_host import Answer, web_host

DEFECTS = {
    "systemctl is-active nginx": (3, "inactive\n"),
    "stat -Lc %a /var/www/html": (0, "777\n"),
}
EXAMPLES = Path(__file__).parents[2] / "examples"


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


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Servers]:
    """SSH servers on loopback."""
    with servers(tmp_path) as running:
        yield running


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
            "HIGH backups.enabled: *",
            "coverage: 2 of 3 Droplets reached, 1 off: 66.7 %*",
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


def test_the_existing_suite_is_ordinary() -> None:
    """It imports nothing of ours and has at least 15 assertions."""
    texts = [p.read_text() for p in (EXAMPLES / "existing-testinfra-suite").glob("*.py")]

    assert not any("droplet" in text for text in texts)
    assert sum(text.count("    assert ") for text in texts) >= 15


def test_every_example_is_tested_and_has_a_readme() -> None:
    """No folder of examples/ is left to rot."""
    source = Path(__file__).read_text()
    for folder in EXAMPLES.iterdir():
        assert (folder / "README.md").is_file(), folder.name
        assert f'@of("{folder.name}")' in source
