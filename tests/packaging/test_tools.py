"""The settings of the tools agree with each other."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

from .conftest import ROOT


def settings() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_hooks_are_local_and_run_what_ci_runs() -> None:
    """pre-commit downloads nothing: each hook is a tool of the group ``lint``, as in .ci/run."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (repo,) = config["repos"]
    ci = (ROOT / ".ci/run").read_text("utf-8")
    commands = [hook["entry"].replace(" --force-exclude", "") for hook in repo["hooks"]]

    assert repo["repo"] == "local"
    assert {hook["language"] for hook in repo["hooks"]} == {"system"}
    assert [c for c in commands if c.replace("--check", "").strip() not in ci] == []


def test_types_are_checked_by_the_same_mypy() -> None:
    """The group ``test`` asks for no other mypy than ``lint``."""
    groups = settings()["dependency-groups"]
    asked = [r for name in ("lint", "test") for r in groups[name] if r.startswith("mypy")]

    assert len(asked) == 2
    assert len(set(asked)) == 1


def test_the_changelog_takes_every_fragment() -> None:
    """A file of another name would be left out of the release in silence."""
    kinds = "|".join(kind["directory"] for kind in settings()["tool"]["towncrier"]["type"])
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")

    for path in (ROOT / "docs/changelog.d").iterdir():
        assert re.fullmatch(rf"\+[a-z0-9-]+\.({kinds})\.md", path.name), path.name
        assert len(path.read_text("utf-8").splitlines()) == 1, path.name
    assert settings()["tool"]["towncrier"]["start_string"] in changelog


def test_ci_runs_every_folder_of_tests_once() -> None:
    """None is left out and none runs twice, though .ci/run names them one by one."""
    ci = (ROOT / ".ci/run").read_text("utf-8")
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    named = [
        folder
        for line in re.findall(r"pytest (.*tests/.*)", ci)
        for folder in re.findall(r"tests/(\w+)", line)
    ]

    assert len(folders) > 5
    assert [folder for folder in sorted(folders) if named.count(folder) != 1] == []


def test_ci_runs_all_parts_unless_told_otherwise() -> None:
    """Each part is a function with a budget, and in the list that is the default."""
    ci = (ROOT / ".ci/run").read_text("utf-8")
    parts = re.findall(r"\w+", re.findall(r"^parts=\((.*)\)$", ci, re.MULTILINE)[0])
    functions = set(re.findall(r"^(\w+)\(\) \{", ci, re.MULTILINE)) - {"run"}

    assert set(parts) == functions == set(re.findall(r"\[(\w+)\]=\d+", ci))


def test_ci_asks_for_coverage() -> None:
    """What is measured fails below 95 %."""
    ci = (ROOT / ".ci/run").read_text("utf-8")

    assert ".venv/bin/coverage report\n" in ci
    assert settings()["tool"]["coverage"]["report"]["fail_under"] >= 95


def test_coverage_counts_branches() -> None:
    """A line that ran one way only is not covered, and processes that tests start count too."""
    run = settings()["tool"]["coverage"]["run"]

    assert run["branch"] is True
    assert run["source_pkgs"] == ["pytest_droplet"]
    assert run["patch"] == ["subprocess"]
