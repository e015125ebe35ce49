"""Tools of the npm registry, which tests judge reports with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.browser import needed

_PROJECT = Path(__file__).parents[2]


def package(name: str) -> Path:
    """Return the folder of a package, below ``NODE_PATH`` or the project's ``node_modules``.

    Without it, or without node, the test skips, and fails where ``CI`` is true.
    """
    folders = [*os.environ.get("NODE_PATH", "").split(os.pathsep), str(_PROJECT / "node_modules")]
    found = [Path(f) / name for f in folders if f and (Path(f) / name / "package.json").is_file()]
    reason = f"{name} is not there: run `npm install --no-save {name}`, or set NODE_PATH"
    path = needed(str(found[0].resolve()) if found and node() else None, reason)
    return Path(path)


def node() -> str | None:
    """Return the path of node; None: it is not installed."""
    return shutil.which("node")


def run(script: Path | str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a script (a file, or its text) with node, and return what it printed."""
    command = [str(node()), *(["-e", script] if isinstance(script, str) else [str(script)])]
    return subprocess.run([*command, *args], capture_output=True, text=True, check=False)
