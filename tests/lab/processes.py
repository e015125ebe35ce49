"""Processes of the lab: in control groups of their own, so that all of them can be found."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .command import LabError

# systemd's own hierarchies: the named one and the unified one, or the unified one alone.
_HIERARCHIES = tuple(
    folder
    for folder in map(Path, ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"))
    if folder.is_dir()
) or (Path("/sys/fs/cgroup"),)


class Group:
    """A control group; what starts in it stays in it or below it."""

    def __init__(self, name: str) -> None:
        self._folders = [hierarchy / name for hierarchy in _HIERARCHIES]

    def start(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in the group, in a session of its own; it writes to a log file."""
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
        enter = "".join(f'echo $$ > "{folder}/cgroup.procs"; ' for folder in self._folders)
        with log.open("ab") as output:
            return subprocess.Popen(
                ["sh", "-euc", f'{enter} exec "$@"', "sh", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def kill(self) -> None:
        """End every process in and below the group, and remove it.

        Raises:
            LabError: A process is still there after two minutes.
        """
        deadline = time.monotonic() + 120
        while pids := self.pids():
            if time.monotonic() > deadline:
                raise LabError(f"processes {sorted(pids)} do not end")
            kill(pids)
            time.sleep(0.02)
        for folder in self._folders:
            for below in sorted(folder.rglob("*/"), reverse=True):
                below.rmdir()
            if folder.exists():
                folder.rmdir()

    def pids(self) -> set[int]:
        """Return the processes in and below the group."""
        found: set[int] = set()
        for folder in self._folders:
            for file in folder.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    found |= set(map(int, file.read_text().split()))
        return found


def kill(pids: set[int]) -> None:
    """Send SIGKILL; a process that has just ended is none."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none.

    With the pid it names a process for good: the number alone is used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])
