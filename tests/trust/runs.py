"""What a run printed and recorded, and what must hold of every run that goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

PYTEST = str(Path(sys.executable).with_name("pytest"))
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly")
HANGS_S = 600
"""Seconds after which a run hangs, however slow the machine is."""


def refused(result: pytest.RunResult) -> str:
    """Return the one line that a run ended with before it audited anything: exit code 4."""
    text = result.stdout.str() + result.stderr.str()
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert result.ret is pytest.ExitCode.USAGE_ERROR, text
    assert len(errors) == 1, text
    assert "Traceback" not in text
    assert " passed" not in text
    return errors[0].removeprefix("ERROR: ")


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a record."""
    return [json.loads(text) for text in path.read_text("utf-8").splitlines()]


def verdicts(path: Path) -> dict[tuple[str, int | None], str]:
    """Return the verdicts of a record by check and Droplet."""
    found = (line for line in lines(path) if line["type"] == "result")
    return {(line["check"], line["droplet_id"]): line["verdict"] for line in found}


def start(
    folder: Path, *args: str, env: Mapping[str, str] | None = None, **more: Any
) -> subprocess.Popen[str]:
    """Start pytest in a folder, as a process of its own.

    A job that a shell starts in the background has Ctrl-C ignored, and so would its children.
    """
    return subprocess.Popen(
        [PYTEST, *QUIET, *args],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"preexec_fn": _heed_ctrl_c, **more},
    )


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process, and return its exit code and all that it printed."""
    try:
        out, err = process.communicate(timeout=HANGS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"it hangs:\n{out}\n{err}")
    return process.returncode, out + err


def run(folder: Path, args: Sequence[str], **more: Any) -> tuple[int, str]:
    """Run pytest in a folder to its end."""
    return finish(start(folder, *args, **more))
