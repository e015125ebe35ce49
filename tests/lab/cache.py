"""What is dear to make (roots, keys, the machine's image) is made once a week and kept."""

import contextlib
import datetime as dt
import fcntl
import hashlib
import itertools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from .command import say

FOLDER = Path(os.environ.get("PYTEST_DROPLET_LAB_CACHE", "/var/cache/pytest-droplet-lab"))


class Cache:
    """Folders by name and key, each made whole or not at all, and held while in use.

    A folder lies at ``<ISO week>-<name>-<key>``. Whoever uses it holds a shared lock on the file
    ``….lock`` beside it, who removes it an exclusive one; who makes it holds ``….making``. So
    labs that run at once share them.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.week = f"{dt.datetime.now(tz=dt.UTC):%G-W%V}"
        self._held: dict[str, list[int]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def __enter__(self) -> Self:
        """Nothing is held yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of every folder."""
        for descriptor in itertools.chain.from_iterable(self._held.values()):
            os.close(descriptor)
        self._held.clear()

    def get(self, name: str, definition: str, make: Callable[[Path], None]) -> Path:
        """Return the folder of a thing, made now if it is not there.

        Args:
            name: What it is, for people.
            definition: Everything that it depends on; another definition is another folder.
            make: Fills an empty folder. What it leaves when it raises is removed.

        Returns:
            The folder. It stays until the cache is closed.
        """
        key = hashlib.sha256(definition.encode()).hexdigest()[:12]
        entry = f"{self.week}-{name}-{key}"
        target = self.folder / entry
        in_use = os.open(self.folder / f"{entry}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(in_use, fcntl.LOCK_SH)
        self._held.setdefault(entry, []).append(in_use)
        with (self.folder / f"{entry}.making").open("w") as making:
            fcntl.flock(making, fcntl.LOCK_EX)
            if not target.exists():
                self._make(target, name, make)
        return target

    def _make(self, target: Path, name: str, make: Callable[[Path], None]) -> None:
        part = target.with_name(f"{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        started = time.monotonic()
        try:
            make(part)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        part.rename(target)
        say(f"made {name} in {time.monotonic() - started:.0f} s")

    def prune(self) -> None:
        """Remove other weeks' folders, and older forms of those in use, unless a lab holds them."""
        current = {entry.rpartition("-")[0] for entry in self._held}
        for lock in self.folder.glob("*.lock"):
            entry = lock.stem
            superseded = entry.rpartition("-")[0] in current
            if entry in self._held or (entry.startswith(self.week) and not superseded):
                continue
            with lock.open("r+") as file, contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for suffix in ("", ".part"):
                    shutil.rmtree(self.folder / f"{entry}{suffix}", ignore_errors=True)
                (self.folder / f"{entry}.making").unlink(missing_ok=True)
                lock.unlink()
