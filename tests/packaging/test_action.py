"""The action: its steps, extracted and run by bash as GitHub runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step.get("name", step.get("id")): step for step in ACTION["runs"]["steps"]}
HOSTILE = ["$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned; "', "a b", "*"]
TEXT_INPUTS = ["droplets", "user", "profile", "fail-on", "tests", "options"]
# What it runs in place of pytest: its arguments are kept, a line each, and reports are there.
RECORDS = """#!/bin/sh
printf '%s\\n' "$@" > "$RUNNER_TEMP/arguments"
env > "$RUNNER_TEMP/environment"
for word; do
  case $word in --droplets-report=jsonl:*) echo '{}' > "${word#*:}" ;; esac
done
exit "${PYTEST_ENDS:-1}"
"""


@dataclass(frozen=True)
class Runner:
    """A machine that runs steps: its temporary folder and the workspace."""

    temp: Path
    workspace: Path

    @property
    def folder(self) -> Path:
        """Where the action keeps what it makes."""
        return self.temp / "droplet-audit"

    def pretend(self, script: str) -> None:
        """Put a program where the environment of the action has pytest."""
        program = self.folder / "venv/bin/pytest"
        program.parent.mkdir(parents=True)
        program.write_text(script)
        program.chmod(0o755)

    def run(
        self, name: str, inputs: Mapping[str, str], **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a step of the action in bash, with the options that GitHub gives it."""
        step = STEPS[name]
        values = {key: row.get("default", "") for key, row in ACTION["inputs"].items()}
        values |= inputs
        given = {key: evaluated(text, values) for key, text in step.get("env", {}).items()}
        (self.temp / "step.sh").write_text(step["run"])
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.temp / "step.sh")],
            cwd=self.workspace,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.temp),
                "RUNNER_TEMP": str(self.temp),
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_OUTPUT": str(self.temp / "output"),
                "GITHUB_STEP_SUMMARY": str(self.temp / "summary.md"),
                **given,
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def outputs(self) -> dict[str, str]:
        """Return what steps handed on."""
        lines = (self.temp / "output").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def arguments(self) -> list[str]:
        """Return what pytest was called with."""
        return (self.temp / "arguments").read_text().splitlines()


def evaluated(text: str, inputs: Mapping[str, str]) -> str:
    """Put inputs, and this Python, in place of the expressions of a step's environment."""
    values = {f"inputs.{key}": value for key, value in inputs.items()}
    values["steps.python.outputs.python-path"] = sys.executable
    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: values[found[1]], text)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A machine on which nothing has run yet."""
    made = Runner(tmp_path / "temp", tmp_path / "workspace")
    made.temp.mkdir()
    made.workspace.mkdir()
    return made


def test_no_step_has_an_expression_in_its_script() -> None:
    """Inputs reach a script as variables alone: nothing in them becomes code."""
    scripts = [step["run"] for step in STEPS.values() if "run" in step]

    assert len(scripts) >= 3
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", TEXT_INPUTS)
def test_a_hostile_input_is_one_argument(runner: Runner, name: str, text: str) -> None:
    """It is handed on as it is, and runs nothing."""
    runner.pretend(RECORDS)

    done = runner.run("Audit", {"droplets": "tag:prod", name: text})

    assert done.returncode == 0, done.stderr
    assert [word for word in runner.arguments() if word.endswith(text)] != []
    assert [path.name for path in runner.workspace.iterdir()] == []


def test_keys_and_token_reach_pytest_alone(runner: Runner) -> None:
    """The key is in a file that nobody else reads, and gone afterwards; nothing prints them."""
    looks = RECORDS.replace(
        'exit "', 'stat -c "%a %n" "$RUNNER_TEMP"/droplet-audit/* > "$RUNNER_TEMP/seen"\nexit "'
    )
    runner.pretend(looks)
    secrets = {"token": "dop_v1_secret", "ssh-key": "the key\nof two lines", "known-hosts": "h k"}

    done = runner.run("Audit", {"droplets": "all", **secrets})

    environment = (runner.temp / "environment").read_text()
    seen = (runner.temp / "seen").read_text()
    assert "DIGITALOCEAN_TOKEN=dop_v1_secret" in environment
    assert "the key" not in environment
    assert not [text for text in secrets.values() if text in done.stdout + done.stderr]
    assert f"600 {runner.folder}/key\n" in seen
    assert not (runner.folder / "key").exists()
    assert f"--ssh-config={runner.folder}/ssh_config" in runner.arguments()
    assert f'IdentityFile "{runner.folder}/key"' in (runner.folder / "ssh_config").read_text()


def test_without_a_token_or_a_key_the_runner_has_them(runner: Runner) -> None:
    """An empty input sets nothing: the environment and the SSH configuration there count."""
    runner.pretend(RECORDS)

    runner.run("Audit", {"droplets": "demo"})

    assert "DIGITALOCEAN_TOKEN" not in (runner.temp / "environment").read_text()
    assert not [word for word in runner.arguments() if word.startswith("--ssh-config")]


@pytest.mark.parametrize("code", ["0", "1", "2", "4"])
def test_the_exit_code_is_that_of_pytest(runner: Runner, code: str) -> None:
    """The audit's step never fails, so that reports are kept; the last step judges."""
    runner.pretend(RECORDS)

    done = runner.run("Audit", {"droplets": "all"}, PYTEST_ENDS=code)
    assert (done.returncode, runner.outputs()["exit-code"]) == (0, code)
    # A run that was broken off is nothing to compare with.
    assert (runner.folder / "baseline.jsonl").exists() == (code in {"0", "1"})

    judged = STEPS["Judge"]
    assert judged["env"] == {"CODE": "${{ steps.audit.outputs.exit-code }}"}
    last = subprocess.run(["bash", "-ec", judged["run"]], env={"CODE": code}, check=False)
    assert last.returncode == int(code)
    broken = subprocess.run(["bash", "-ec", judged["run"]], env={"CODE": ""}, check=False)
    assert broken.returncode == 3


def test_the_run_before_is_the_baseline(runner: Runner) -> None:
    """What the cache brought is compared with, and replaced by this run's record."""
    runner.pretend(RECORDS)
    baseline = runner.folder / "baseline.jsonl"
    baseline.write_text("before\n")

    runner.run("Audit", {"droplets": "all"})

    assert f"--droplets-baseline={baseline}" in runner.arguments()
    assert baseline.read_text() == "{}\n"
    restored, saved = (STEPS[n]["with"] for n in _CACHE)
    assert restored["path"] == saved["path"] == "${{ runner.temp }}/droplet-audit/baseline.jsonl"
    assert restored["key"] == saved["key"]
    assert restored["key"].startswith(restored["restore-keys"])


_CACHE = ("Look for the record of the run before", "Keep the record for the next run")


def test_the_demo_runs(runner: Runner) -> None:
    """With the real pytest: page, record, SARIF, JUnit, summary and annotations."""
    runner.pretend(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pytest "$@"\n')

    done = runner.run("Audit", {"droplets": "demo", "options": "-p\nno:randomly\n-q"})

    assert runner.outputs()["exit-code"] == "1", done.stdout + done.stderr
    reports = runner.folder / "reports"
    names = {"audit.html", "audit.jsonl", "audit.sarif", "audit.xml"}
    assert {path.name for path in reports.iterdir()} == names
    assert json.loads((reports / "audit.sarif").read_text())["runs"][0]["results"]
    assert "::error " in done.stdout
    assert "os.release-supported" in (runner.temp / "summary.md").read_text("utf-8")
    assert runner.outputs()["page"] == str(reports / "audit.html")
    assert runner.outputs()["record"] == str(reports / "audit.jsonl")
    assert list(runner.workspace.iterdir()) == []


@pytest.mark.slow
def test_it_installs_the_version_that_it_is_of(runner: Runner) -> None:
    """From the action's own folder, into an environment of its own."""
    (name,) = (name for name in STEPS if name.startswith("Install"))

    done = runner.run(name, {}, **_of_pip())

    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [runner.folder / "venv/bin/pytest", "--version", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pytest-droplet" in listed.stdout + listed.stderr


def _of_pip() -> dict[str, str]:
    """What leads pip to its packages on this machine."""
    prefixes = ("PIP_", "HTTP", "http", "SSL_", "NO_PROXY", "no_proxy", "REQUESTS_")
    found = {name: value for name, value in os.environ.items() if name.startswith(prefixes)}
    return found | {"HOME": os.environ.get("HOME", "/root")}


def test_outputs_are_those_of_the_audit() -> None:
    """Each output that a workflow may ask for is one that the step hands on."""
    handed = set(re.findall(r'echo "([\w-]+)=', STEPS["Audit"]["run"]))

    for name, row in ACTION["outputs"].items():
        assert row["value"] == f"${{{{ steps.audit.outputs.{name} }}}}"
        assert name in handed
