"""Every module has a place in the import contract."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import pytest_droplet

PACKAGE = Path(pytest_droplet.__file__).parent


def contracts() -> list[dict[str, Any]]:
    """Return the contracts of the linter of imports."""
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    return found


def folders() -> set[str]:
    """Return the packages of the plugin that have modules of their own."""
    return {
        ".".join(path.parent.relative_to(PACKAGE.parent).parts)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }


def test_every_folder_has_a_contract_that_names_all_its_modules() -> None:
    """The linter fails for a module without a layer, as each contract is exhaustive."""
    whole = {name for c in contracts() if c.get("exhaustive") for name in c["containers"]}

    assert "pytest_droplet" in whole
    assert folders() <= whole


def test_nothing_is_left_out_of_a_contract() -> None:
    """No import runs up: an exception would be one more door for the next."""
    assert not any(c.get("ignore_imports") for c in contracts())
    assert not any(c.get("exhaustive_ignores") for c in contracts())


def test_a_layer_names_a_module_that_exists() -> None:
    """The linter takes a name in parentheses for one that may be absent."""
    missing = []
    for contract in contracts():
        for container in contract["containers"]:
            folder = PACKAGE.parent.joinpath(*container.split("."))
            for name in " ".join(contract["layers"]).replace("|", " ").split():
                module = folder / name
                if not module.is_dir() and not module.with_suffix(".py").is_file():
                    missing.append(f"{container}.{name}")
    assert [name for name in missing if not name.endswith("(record)")] == []


@pytest.mark.parametrize("folder", ["", "report"])
def test_the_page_of_the_architecture_names_every_module(folder: str) -> None:
    """Who looks for a place finds what each module of the two uppermost folders is for."""
    page = (PACKAGE.parent / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    named = {name.rpartition(".")[2] for name in re.findall(r"`([a-z_.]+)`", page)}
    modules = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"}

    assert modules - named == set()


def test_where_to_change_what_names_files_that_exist() -> None:
    """The table for newcomers has ten rows, and each path of it is there."""
    page = (PACKAGE.parent / "docs/contributing.md").read_text(encoding="utf-8")
    table = page.partition("## Where to change what")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| a") or "| the" in line]
    paths = [p for p in re.findall(r"`([\w/.-]+)`", table) if "/" in p or p.endswith(".py")]
    real = [p for p in paths if not any(part in p for part in ("FAMILY", "/ID/"))]

    assert len(rows) == 10
    roots = (PACKAGE, PACKAGE.parent)
    assert [p for p in real if not any((root / p).exists() for root in roots)] == []


def test_an_audit_that_names_nothing_runs_no_test_of_ours() -> None:
    """In the checkout as anywhere else: the shipped checks alone, and what they need is there."""
    command = [sys.executable, "-m", "pytest", "--droplets=demo", "--co", "-q"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    named = {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    assert done.returncode == 0, done.stdout + done.stderr
    assert named
    assert all(name.startswith("pytest_droplet/checks/") for name in named)
