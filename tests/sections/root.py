"""A root for one case: an overlay in namespaces of its own, which end with the process.

Nothing is booted in it. It is a root of the lab, dressed by the case; shells and awks that it
lacks come from a layer of tools.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.lab.cache import Cache
from tests.lab.packages import MACHINE_PACKAGES
from tests.lab.roots import MORTAL, root

_NEEDED = ("mmdebstrap", "mount", "util-linux", "iproute2")
_NAMESPACES = (*MORTAL, "--net", "--uts", "--ipc")
_ENTER, _DRESSING, _STEPS = (
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("enter.sh", "dressing.sh", "steps.sh")
)
_TIMEOUT_S = 600


class RootError(RuntimeError):
    """A root could not be dressed, or no shell ran in it; the message holds what was said."""


class Run(NamedTuple):
    """A text that is run in a root: by which ``sh``, and by which ``awk``."""

    shell: str
    awk: str
    script: str


class Printed(NamedTuple):
    """What each run printed, and what all of them wrote to descriptor 5."""

    outputs: list[bytes]
    trace: str


def why_not() -> str:
    """Tell why no such root can be made here, in one line; "" where one can."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [p for p in _NEEDED if not shutil.which(MACHINE_PACKAGES[p], path=path)]
    if missing:
        return f"packages are missing: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "roots are mounted by root only"
    return ""


def read_in(
    layer: str,
    runs: Sequence[Run],
    *,
    files: Mapping[str, str],
    prepare: str,
    as_user: str = "",
    without: str = "",
) -> Printed:
    """Dress a root, and run scripts in it, one after another.

    Args:
        layer: The lab's name of the root.
        runs: What to run.
        files: Text by absolute path: written before ``prepare``, of root with mode 0644.
        prepare: Shell text that is run inside, as root; ``dressing.sh`` has what it may call.
        as_user: The numbers ``UID:GID`` that the scripts run with; "" for root.
        without: Capabilities that they lack, as setpriv(1) names them, each after a minus.

    Raises:
        RootError: A command of ``prepare`` failed.
    """
    with tempfile.TemporaryDirectory(prefix="sections-") as name:
        folder = Path(name)
        (folder / "mount").mkdir()
        (folder / "files").mkdir()
        (folder / "trace").touch()
        for path, text in files.items():
            _write(folder / "files" / path.lstrip("/"), text)
        _write(folder / "prepare", _DRESSING + prepare)
        reads = [_STEPS]
        for number, run in enumerate(runs):
            _write(folder / str(number), run.script)
            reads.append(f"read_by {run.shell} {run.awk} {number} {_login(as_user, without)}\n")
        _write(folder / "steps", "".join(reads))
        done = subprocess.run(
            [*_NAMESPACES, "sh", "-eu", "-c", _ENTER, "sh", name, lower(layer)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise RootError(f"{layer}: status {done.returncode}: {said[-1500:]}")
        outputs = [(folder / f"{number}.out").read_bytes() for number in range(len(runs))]
        return Printed(outputs, (folder / "trace").read_text(encoding="utf-8"))


def _login(as_user: str, without: str) -> str:
    uid, _, gid = as_user.partition(":")
    user = f"--reuid={uid} --regid={gid} --clear-groups" if as_user else ""
    bounding = f"--bounding-set={without}" if without else ""
    return f"setpriv {user} {bounding}" if user or bounding else ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(0o644)


@cache
def _held() -> Cache:
    """Roots are held until this process ends."""
    return Cache()


@cache
def lower(layer: str) -> str:
    """Return the layers of a root of the lab, with those of the tools above."""
    tools = root(_held(), "shells").folders[0] / "tools"
    return f"{tools}:{root(_held(), layer).lowerdir}"
