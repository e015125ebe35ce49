"""The public interface is typed for those who use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_droplet

EXAMPLE = Path(__file__).parents[2] / "examples/custom-checks"


@pytest.mark.parametrize("name", ["conftest.py", "test_checks.py"])
def test_an_example_passes_strict_mypy(name: str, tmp_path: Path) -> None:
    """Checks and facts of a user's own need no ``type: ignore``."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}", name],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "type: ignore" not in (EXAMPLE / name).read_text()


def test_everything_public_can_be_imported() -> None:
    """What ``__all__`` names is there, and nothing else is reached by accident."""
    for name in pytest_droplet.__all__:
        assert getattr(pytest_droplet, name).__doc__
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pytest_droplet.no_such_name
