"""The installed package, in environments that have nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import blocks

from .conftest import ROOT, Dist, Environment, new_environment

DEMO = ("--droplets=demo", "--pyargs", "pytest_droplet.checks", "--html=audit.html")
NEIGHBOURS = ("pytest-cov", "pytest-randomly", "pytest-rerunfailures", "pytest-xdist")
CLASH = (
    "ERROR: pytest-ansible and pytest-testinfra cannot be loaded together: both add"
    " --ansible-inventory; add `-p no:pytest-ansible`, or use an environment without it"
)


def interpreter(version: str) -> str:
    """Return a Python of this version, of the system or of pyenv; without one the test skips."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    for found in (*map(str, pyenv), shutil.which(f"python{version}")):
        if found and _answers(found):
            return found
    pytest.skip(f"no Python {version} here: install it, or let pyenv do so")


def _answers(python: str) -> bool:
    done = subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def environment(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and the plugins that people have beside it."""
    made = new_environment(interpreter("3.11"), tmp_path_factory.mktemp("neighbours") / "venv")
    made.install(dist.wheel, *NEIGHBOURS)
    return made


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
@pytest.mark.slow
def test_the_installed_wheel_alone_runs_the_demo(dist: Dist, tmp_path: Path, version: str) -> None:
    """README's first command, with no tree, no account and no network: findings, and a page."""
    made = new_environment(interpreter(version), tmp_path / "venv")
    made.install(dist.wheel)

    done = made.pytest(tmp_path, *DEMO)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-3000:] + done.stderr
    assert re.search(r"^\d+ findings .* on \d+ of \d+ Droplets", done.stdout, re.MULTILINE)
    assert "Droplets reached" in done.stdout
    assert "error: " not in done.stderr
    page = (tmp_path / "audit.html").read_text("utf-8")
    assert "</html>" in page


@pytest.mark.slow
def test_neighbours_do_not_change_a_verdict(environment: Environment, tmp_path: Path) -> None:
    """With coverage, in random order, with reruns and in two processes: the same verdicts."""
    plain = environment.pytest(tmp_path, *DEMO, "-p", "no:randomly")
    beside = environment.pytest(
        tmp_path, *DEMO, "-n", "2", "--cov=pytest_droplet", "--reruns=1", "-p", "randomly"
    )

    assert summary(beside) == summary(plain)
    assert beside.returncode == plain.returncode == pytest.ExitCode.TESTS_FAILED


def summary(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line of a run that counts its verdicts."""
    (line,) = re.findall(r"^\d+ findings .*$", done.stdout, re.MULTILINE)
    return str(line)


@pytest.mark.slow
def test_pytest_ansible_is_told_apart(environment: Environment, tmp_path: Path) -> None:
    """Its options clash with testinfra's: one line says so, and what it says to do works."""
    environment.install("pytest-ansible")
    try:
        refused = environment.pytest(tmp_path, *DEMO)
        advised = environment.pytest(tmp_path, *DEMO, "-p", "no:pytest-ansible")
    finally:
        subprocess.run(
            [environment.folder / "bin/pip", "uninstall", "--quiet", "--yes", "pytest-ansible"],
            check=True,
        )

    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert CLASH in refused.stderr or "conflicting option string" in refused.stderr
    assert advised.returncode == pytest.ExitCode.TESTS_FAILED, advised.stdout + advised.stderr


@pytest.mark.slow
def test_readme_sets_up_a_contributor(tree: Path, tmp_path: Path) -> None:
    """README's line for contributors installs what the tests need, and they start."""
    copy = shutil.copytree(tree, tmp_path / "tree")
    (line,) = (b.text.strip() for b in blocks(ROOT / "README.md") if "--group test" in b.text)
    python = interpreter("3.11")
    line = line.replace("python3 ", f"{python} ", 1) + " tests/unit/test_selection.py -q"

    done = subprocess.run(
        ["bash", "-c", line], cwd=copy, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
