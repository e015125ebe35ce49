"""The projects for CI: their files are what the services expect, and their commands run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_droplet.__main__ import _parser
from pytest_droplet.options import OPTIONS

from .fleet import write_fleet

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKFLOW = EXAMPLES / "github-actions/.github/workflows/audit.yml"
PIPELINE = EXAMPLES / "gitlab-ci/.gitlab-ci.yml"
SHARDS = 8  # of GitHub
PARTS = 4  # of GitLab


def of(name: str) -> pytest.MarkDecorator:
    """Run a test in a copy of this example."""
    return pytest.mark.parametrize("machine", [name], indirect=True, ids=[name])


@dataclass
class Machine:
    """A copy of an example, a home, and a recording in place of the account."""

    folder: Path
    home: Path
    recording: Path

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a CI service does, its pytest with the recording."""
        script = re.sub(r"\bpytest --", f"pytest --droplets-replay={self.recording} --", script)
        keep = ("PATH", "PYTHONPATH", "LANG")
        environment = {name: os.environ[name] for name in keep if name in os.environ}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env=environment | {"HOME": str(self.home)} | variables,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """The machine that runs the jobs of an example."""
    folder = shutil.copytree(EXAMPLES / request.param, tmp_path / "project")
    (tmp_path / "home").mkdir()
    return Machine(folder, tmp_path / "home", write_fleet(tmp_path / "recording"))


def workflow() -> dict[str, Any]:
    """Return the workflow; YAML takes its key ``on`` for true."""
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return found


def steps(job: str) -> list[dict[str, Any]]:
    """Return the steps of a job of the workflow that run commands."""
    return [step for step in workflow()["jobs"][job]["steps"] if "run" in step]


def pipeline() -> dict[str, Any]:
    """Return the pipeline."""
    found: dict[str, Any] = yaml.safe_load(PIPELINE.read_text())
    return found


def scripts() -> Iterator[tuple[str, str]]:
    """Yield every script of both services, with its name."""
    for job in workflow()["jobs"]:
        for step in steps(job):
            yield f"github {job}: {step['name']}", step["run"]
    for name, job in pipeline().items():
        if isinstance(job, dict) and "script" in job:
            for script in [*job.get("before_script", ()), *job["script"]]:
                yield f"gitlab {name}", script


def with_values(text: str, values: Mapping[str, object]) -> str:
    """Put values into the expressions of the workflow."""
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: str(values[found[1]]), text)


def results(path: Path) -> int:
    """Return how many results a record has."""
    return sum(json.loads(line)["type"] == "result" for line in path.read_text().splitlines())


def test_every_option_exists() -> None:
    """What the scripts give to pytest and to merge are options that they have."""
    known = {"--droplets", *(o.flag for o in OPTIONS), "--html", "--junitxml"}
    (merge,) = (a for a in _parser()._actions if a.choices)
    assert isinstance(merge.choices, dict)
    of_merge = set(merge.choices["merge"]._option_string_actions)
    seen = 0
    for name, script in scripts():
        for command in script.split("\n"):
            options = set(re.findall(r"(?<= )--[a-z][\w-]*", command))
            if "pytest_droplet merge" in command:
                assert options <= of_merge, name
            elif command.startswith("pytest"):
                assert options <= known, name
            else:
                continue
            seen += 1
    assert seen == 4


def test_the_workflow_gives_no_more_rights_than_it_uses() -> None:
    """Rights are named job by job, the token goes to one step, and no job asks for OIDC."""
    jobs = workflow()["jobs"]

    assert workflow()["permissions"] == {"contents": "read"}
    assert "id-token" not in WORKFLOW.read_text()
    assert jobs["report"]["permissions"] == {"contents": "read", "security-events": "write"}
    with_token = [s for s in steps("audit") if "DIGITALOCEAN_TOKEN" in s.get("env", {})]
    assert len(with_token) == 1
    assert "secrets." not in "".join(s["run"] for job in jobs for s in steps(job))
    assert jobs["audit"]["strategy"]["matrix"]["part"] == list(range(1, SHARDS + 1))
    assert {"schedule", "workflow_dispatch"} == set(yaml.safe_load(WORKFLOW.read_text())[True])


@of("github-actions")
@pytest.mark.slow
def test_the_jobs_of_github_run(machine: Machine, tmp_path: Path) -> None:
    """Eight parts, joined: page, record, SARIF, summary and annotations, and a red end.

    There are fewer Droplets than parts: a part without any is no failure, and has a record.
    """
    install, keys, audit = (step["run"] for step in steps("audit"))
    assert install == "pip install -r requirements.txt"
    assert machine.run(keys, AUDIT_SSH_KEY="a key\nof two lines").returncode == 0
    key = machine.home / ".ssh/id_ed25519"
    assert (key.stat().st_mode & 0o777, key.read_text()) == (0o600, "a key\nof two lines\n")
    for part in range(1, SHARDS + 1):
        done = machine.run(with_values(audit, {"matrix.part": part}), CI="true")
        assert done.returncode == 0, done.stdout + done.stderr

    summary = tmp_path / "summary.md"
    _, merge = (step["run"] for step in steps("report"))
    done = machine.run(merge, GITHUB_STEP_SUMMARY=str(summary))

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stderr
    assert "::error " in done.stdout
    assert "web-2" in (machine.folder / "audit.html").read_text("utf-8")
    assert "backups.enabled" in summary.read_text("utf-8")
    (run,) = json.loads((machine.folder / "audit.sarif").read_text())["runs"]
    assert run["results"]
    parts = sum(results(machine.folder / f"record-{n}.jsonl") for n in range(1, SHARDS + 1))
    assert 0 < results(machine.folder / "audit.jsonl") <= parts

    (machine.folder / "record-8.jsonl").unlink()
    done = machine.run(merge, GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stderr
    assert "record-8.jsonl" in done.stderr


@of("github-actions")
def test_a_part_that_did_not_run_is_red(machine: Machine) -> None:
    """A wrong selector ends the job: only findings are left for the next one to judge."""
    audit = steps("audit")[-1]["run"].replace("tag:prod", "tag:nothing")

    done = machine.run(with_values(audit, {"matrix.part": 1}))

    assert done.returncode == 1
    assert "matches none of the 4 droplets" in done.stderr


@of("github-actions")
def test_the_branch_of_pages_has_one_commit(machine: Machine, tmp_path: Path) -> None:
    """The page is published alone, and no older one stays in the branch."""
    remote = tmp_path / "remote.git"
    git = "git -c init.defaultBranch=main -c user.name=x -c user.email=x@example.com"
    prepare = f"git init -q --bare {remote}; {git} init -q; git remote add origin {remote}; "
    prepare += f"git add README.md; {git} commit -qm first; mkdir site; echo new > site/audit.html"
    assert machine.run(prepare).returncode == 0
    (publish,) = (step["run"] for step in steps("pages"))

    done = machine.run(publish)

    assert done.returncode == 0, done.stderr
    shown = machine.run(f"git -C {remote} log --format=%s --name-only gh-pages").stdout.split()
    assert shown == ["Droplet", "audit", ".nojekyll", "index.html"]


@of("gitlab-ci")
@pytest.mark.slow
def test_the_jobs_of_gitlab_run(machine: Machine, tmp_path: Path) -> None:
    """Four parts, joined: JUnit files, record and page, and a red end."""
    jobs = pipeline()
    key, known = tmp_path / "key", tmp_path / "known"
    key.write_text("a key\n")
    known.write_text("hosts\n")
    before = "\n".join(jobs["audit"]["before_script"][1:])
    done = machine.run(before, AUDIT_SSH_KEY=str(key), AUDIT_KNOWN_HOSTS=str(known))
    assert done.returncode == 0, done.stderr
    assert (machine.home / ".ssh/id_ed25519").stat().st_mode & 0o777 == 0o600
    assert jobs["audit"]["parallel"] == PARTS
    (audit,) = jobs["audit"]["script"]
    for part in range(1, PARTS + 1):
        done = machine.run(audit, CI_NODE_INDEX=str(part), CI_NODE_TOTAL=str(PARTS))
        assert done.returncode in {0, *jobs["audit"]["allow_failure"]["exit_codes"]}
        suite = ET.parse(machine.folder / f"junit-{part}.xml").getroot()
        assert suite.tag == "testsuites"

    (merge,) = jobs["report"]["script"]
    assert machine.run(merge).returncode == pytest.ExitCode.TESTS_FAILED
    assert machine.run("\n".join(jobs["pages"]["script"])).returncode == 0
    assert "web-2" in (machine.folder / "public/index.html").read_text("utf-8")


def test_what_the_jobs_hand_on_is_what_they_take() -> None:
    """Artefacts name files that the scripts write."""
    text = "".join(script for _, script in scripts())
    for job in ("audit", "report"):
        for path in pipeline()[job]["artifacts"]["paths"]:
            assert path.partition("*")[0] in text
    assert pipeline()["stages"] == [pipeline()[j]["stage"] for j in ("audit", "report", "pages")]
