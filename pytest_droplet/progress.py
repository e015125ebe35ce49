"""A line of progress on a terminal, while the run waits for the API or for hosts to answer.

It is drawn below what pytest has written, rewritten in place, and erased before pytest goes on:
where the output is no terminal there is neither a line nor a thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_droplet.api.paging import Reader
    from pytest_droplet.audit import Audit
    from pytest_droplet.model import HostReading

_PATIENCE_S = 0.5
_REDRAWN_S = 0.25


@contextmanager
def shown(reporter: pytest.TerminalReporter | None, audit: Audit) -> Generator[None]:
    """Show how many hosts were read wherever the run waits for one, if a person looks on."""
    if reporter is None or not _is_watched(reporter):
        yield
        return
    hosts = audit.hosts
    count = HostCount()
    line = ProgressLine(reporter, count.text)
    audit.hosts = WatchedHosts(hosts, line, count)
    try:
        yield
    finally:
        line.end()
        audit.hosts = hosts


@contextmanager
def of_requests(config: pytest.Config, reader: Reader) -> Generator[None]:
    """Show which lists of the API are waited for, if a person looks on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or not _is_watched(reporter):
        yield
        return
    line = ProgressLine(reporter, lambda: f"reading {reader.underway()}")
    try:
        with line.waiting():
            yield
    finally:
        line.end()


def _is_watched(reporter: pytest.TerminalReporter) -> bool:
    moves = os.environ.get("TERM", "dumb") != "dumb"
    return bool(reporter.isatty) and moves and reporter.verbosity > -2


class ProgressLine:
    """The line, and the thread that draws it anew.

    Args:
        reporter: Whose terminal it is.
        text: Returns what is waited for, in a few words; it is called by the thread.
    """

    def __init__(self, reporter: pytest.TerminalReporter, text: Callable[[], str]) -> None:
        self._writer = reporter._tw  # noqa: SLF001 what it writes moves the cursor's column
        self._text = text
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._waits_since: float | None = None
        self._is_drawn = False
        self._thread = threading.Thread(target=self._redraw, name="droplets-progress", daemon=True)
        self._thread.start()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Show the line for as long as the block takes, unless that is next to nothing."""
        self._waits_since = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._waits_since = None
                if self._is_drawn:
                    self._draw("")
                    self._is_drawn = False

    def end(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _redraw(self) -> None:
        while not self._ended.wait(_REDRAWN_S):
            with self._lock:
                since = self._waits_since
                if since is not None and time.monotonic() - since >= _PATIENCE_S:
                    seconds = time.monotonic() - self._began
                    self._draw(f"{self._text()}, {seconds:.0f} s")
                    self._is_drawn = True

    def _draw(self, text: str) -> None:
        """Write the line below pytest's own, and go back to where the cursor was."""
        column = self._writer.width_of_current_line
        back = f"\x1b[{column}C" if column else ""
        text = text[: self._writer.fullwidth - 1]
        file = self._writer._file  # noqa: SLF001 the writer would count the line as pytest's
        file.write(f"\n\r\x1b[K{text}\x1b[A\r{back}")
        file.flush()


class HostCount:
    """How many hosts were read, cannot be, and are still to be."""

    def __init__(self) -> None:
        self._left = 0
        self._read = 0
        self._unreachable = 0

    def expect(self, hosts: int) -> None:
        """Say how many hosts are still to be read."""
        self._left = hosts

    def count(self, *, reached: bool) -> None:
        """Count a host that was read, or that cannot be."""
        self._left = max(0, self._left - 1)
        self._read += reached
        self._unreachable += not reached

    def text(self) -> str:
        """Say it in a few words."""
        done = self._read + self._unreachable
        lost = f", {self._unreachable} unreachable so far" if self._unreachable else ""
        return f"reading hosts: {done} of {done + self._left}{lost}"


class WatchedHosts:
    """A transport whose waits are shown; all else is the transport's own."""

    def __init__(self, hosts: Any, line: ProgressLine, count: HostCount) -> None:
        self._hosts = hosts
        self._line = line
        self._count = count
        self._counted: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hosts, name)

    def next_arrived(self, wanted: Iterable[int]) -> int:
        """Wait until one of these hosts was read, and return its Droplet id."""
        ids = wanted if isinstance(wanted, Collection) else set(wanted)
        self._count.expect(len(ids))
        with self._line.waiting():
            droplet_id: int = self._hosts.next_arrived(ids)
        return droplet_id

    def get(self, droplet_id: int) -> HostReading:
        """Wait for one host and return what was read."""
        with self._line.waiting():
            reading: HostReading = self._hosts.get(droplet_id)
        if droplet_id not in self._counted:
            self._counted.add(droplet_id)
            self._count.count(reached=reading.state == "reached")
        return reading
