"""What a lab leaves on the machine while it runs, and how it is cleared away, also after a crash.

Everything bears the lab's name: its folder, its control group, its network namespaces.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from . import network
from .command import run, say
from .processes import Group, kill, started_at

FOLDER = Path("/run/pytest-droplet-lab")
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_BEFORE = FOLDER / "inotify-before"
_INOTIFY_ENOUGH = 4096


@dataclass(frozen=True)
class Owner:
    """The process that started a lab.

    Attributes:
        pid: Its number.
        started: When it started, for numbers are used again.
        kept: Whether it does nothing but keep the lab for people.
    """

    pid: int
    started: int | None
    kept: bool = False

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return started_at(self.pid) == self.started


def claim(name: str, *, kept: bool = False) -> Path:
    """Make the folder of a new lab of ours."""
    with _locked():
        folder = FOLDER / name
        folder.mkdir()
        owner = Owner(os.getpid(), started_at(os.getpid()), kept)
        (folder / "owner.json").write_text(json.dumps(asdict(owner)))
        if not _INOTIFY_BEFORE.exists() and int(_INOTIFY.read_text()) < _INOTIFY_ENOUGH:
            _INOTIFY_BEFORE.write_text(_INOTIFY.read_text())
            _INOTIFY.write_text(str(_INOTIFY_ENOUGH))
    return folder


def labs() -> dict[str, Owner]:
    """All labs that left something, by name, with their owners."""
    return {
        file.parent.name: Owner(**json.loads(file.read_text()))
        for file in FOLDER.glob("*/owner.json")
    }


def clear(name: str) -> None:
    """Clear a lab away: processes, mounts, namespaces, folder."""
    with _locked():
        _clear(name)


def clear_dead() -> None:
    """Clear away the labs whose process has ended without doing so."""
    with _locked():
        for name, owner in labs().items():
            if not owner.alive:
                say(f"clearing away {name}, left by process {owner.pid}")
                _clear(name)


def _clear(name: str) -> None:
    Group(name).kill()
    for namespace in network.NAMESPACES.glob(f"{name}-*"):
        pids = run(["ip", "netns", "pids", namespace.name]).stdout.split()
        kill(set(map(int, pids)))
    folder = FOLDER / name
    mounted = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    for mountpoint in mounted:
        if mountpoint.startswith(f"{folder}/"):
            run(["umount", mountpoint])
    network.remove(name)
    shutil.rmtree(folder, ignore_errors=True)
    if not labs() and _INOTIFY_BEFORE.exists():
        _INOTIFY.write_text(_INOTIFY_BEFORE.read_text())
        _INOTIFY_BEFORE.unlink()


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    FOLDER.mkdir(exist_ok=True, mode=0o700)
    with (FOLDER / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
