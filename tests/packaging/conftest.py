"""The package, built once from what version control knows, and virtual environments for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Dist:
    """The two files that a release has."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    def install(self, *requirements: str | Path) -> None:
        """Install with pip, and nothing of the tree."""
        command = [self.folder / "bin/pip", "install", "--quiet", "--no-input", *requirements]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]

    def pytest(
        self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its pytest in a folder, without a token."""
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("DIGITALOCEAN", "PYTE"))}
        return subprocess.run(
            [self.folder / "bin/pytest", "-p", "no:cacheprovider", *arguments],
            cwd=folder,
            env={**clean, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what version control knows or would take: nothing that lies about is built."""
    folder = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def dist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, tree],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return Dist(sdist, wheel)


def new_environment(python: Path | str, folder: Path) -> Environment:
    """Make an empty virtual environment."""
    subprocess.run([python, "-m", "venv", folder], capture_output=True, check=True)
    return Environment(folder)
