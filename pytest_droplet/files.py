"""Files that a run writes: whole at their place or not at all, by one run at a time.

A file is written beside its place, as ``NAME.part``, and renamed when it is whole. The lock on it
ends with the process that holds it (flock(2)), so that what a killed run left is in nobody's way.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

OWNER_FOLDER = 0o700
_OWNER = 0o600
_ALL = 0o666


class BusyError(OSError):
    """Another run is writing the file."""


def owner_only(path: str, flags: int) -> int:
    """Open a file that nobody but its owner may read; for ``opener=`` of ``open``."""
    descriptor = os.open(path, flags, _OWNER)
    _set_mode(descriptor, _OWNER)
    return descriptor


class Draft:
    """A file of this run, beside its place until it is whole.

    A device or a pipe has no beside: it is written as it is.

    Args:
        place: Where the file will be; folders on the way are made.
        private: Whether its owner alone may read it, whatever the umask says.

    Attributes:
        path: Where to write it until then; its place itself once it was put, discarded or left.

    Raises:
        BusyError: Another run is writing it.
        OSError: It cannot be written there.
    """

    def __init__(self, place: Path, *, private: bool = False) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        self._place = place.resolve()
        self._lock: int | None = None
        if self._place.exists() and not self._place.is_file():
            self.path = self._place
            os.close(os.open(self.path, os.O_WRONLY))
            return
        self.path = self._place.with_name(f"{self._place.name}.part")
        self._lock = _locked(self.path, _OWNER if private else _ALL)
        os.ftruncate(self._lock, 0)
        if private:
            _set_mode(self._lock, _OWNER)
        elif self._place.exists():
            _set_mode(self._lock, stat.S_IMODE(self._place.stat().st_mode))
        if fcntl is None:
            self._unlock()  # Windows renames no file that is open

    def clear_place(self) -> None:
        """Remove what an earlier run left at the place, where it could be taken for this one's."""
        if self.path != self._place:
            self._place.unlink(missing_ok=True)

    def put(self) -> None:
        """Put the file, which is whole, to its place.

        Raises:
            OSError: It cannot be.
        """
        if self.path != self._place:
            self.path.replace(self._place)
        self._end()

    def discard(self) -> None:
        """Remove what was written, unless it is at its place."""
        if self.path != self._place:
            with suppress(OSError):
                self.path.unlink()
        self._end()

    def leave(self) -> None:
        """Leave the file beside its place: it was cut, and may be all that there is."""
        self._end()

    def _end(self) -> None:
        self.path = self._place
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def hold(folder: Path) -> Draft:
    """Make a folder whose files this run alone writes, until the draft in it is discarded.

    Raises:
        BusyError: Another run holds it.
        OSError: It cannot be written there.
    """
    try:
        return Draft(folder / ".in-use")
    except BusyError as exc:
        raise BusyError(exc.errno, exc.strerror, str(folder)) from None


def _locked(path: Path, mode: int) -> int:
    """Return a descriptor of a file that no other run holds.

    Raises:
        BusyError: Another run holds it.
        OSError: It cannot be opened.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, mode)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError as exc:
            os.close(descriptor)
            raise BusyError(
                exc.errno, "another run is writing it; name another path", str(path)
            ) from None
        except FileNotFoundError:
            pass
        os.close(descriptor)  # the run that held it has just put it to its place


def _set_mode(descriptor: int, mode: int) -> None:
    if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, mode)
