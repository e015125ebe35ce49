"""A line of progress on a terminal, while the run waits for the API or for hosts to answer.

It is drawn below what pytest has written, rewritten in place, and erased before pytest goes on:
where the output is no terminal there is neither a line nor a thread. Up to the default verbosity
it stands in the place of pytest's letters for the checks of Droplets, with pytest-xdist too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_droplet.text import printable

if TYPE_CHECKING:
    import pytest

    from pytest_droplet.api.paging import Reader
    from pytest_droplet.audit import Audit
    from pytest_droplet.model import HostReading

_PATIENCE_S = 0.5
_REDRAWN_S = 0.25
_NAMED = 3


class Progress:
    """What is shown while checks run: a line with names instead of pytest's letters.

    Where nobody looks on there is no line, and pytest's letters are left as they are.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._count = HostCount({droplet.id: droplet.name for droplet in audit.droplets})
        self._line: ProgressLine | None = None
        self._replaces_letters = False
        self._distributed = False

    @contextmanager
    def shown(
        self, reporter: pytest.TerminalReporter | None, *, distributed: bool = False
    ) -> Generator[None]:
        """Show the line wherever the run waits, if a person looks on.

        Args:
            reporter: Whose terminal it is.
            distributed: Hosts are read elsewhere, and counted as their reports come.
        """
        if reporter is None or not _is_watched(reporter):
            yield
            return
        line = self._line = ProgressLine(reporter, self._count.text)
        self._replaces_letters = reporter.verbosity <= 0
        if self._replaces_letters:
            reporter._show_progress_info = False  # noqa: SLF001 it counts letters
        hosts = self._audit.hosts
        self._distributed = distributed
        if distributed:
            self._count.expect(self._count.names)
        else:
            self._audit.hosts = WatchedHosts(hosts, line, self._count)
        try:
            yield
        finally:
            line.end()
            self._audit.hosts = hosts
            self._line, self._replaces_letters = None, False

    @property
    def replaces_letters(self) -> bool:
        """Whether the line stands in the place of pytest's letters for our own checks."""
        return self._replaces_letters

    def own(self) -> None:
        """Say that pytest writes nothing from now on: a check of ours runs, or a worker does."""
        if self._line is not None and self._replaces_letters:
            self._line.stays = True
            self._line.show()

    def other(self) -> None:
        """Say that pytest is about to write: the line makes room."""
        if self._line is not None:
            self._line.stays = False
            self._line.hide()

    def arrived(self, line: Mapping[str, Any]) -> None:
        """Count the Droplet of a line of the record that a worker sent."""
        if self._line is not None and self._distributed:
            reached = {"reached": True, "unreachable": False}.get(line["coverage"])
            self._count.count(line["id"], reached=reached)


@contextmanager
def of_requests(config: pytest.Config, reader: Reader) -> Generator[None]:
    """Show which lists of the API are waited for, if a person looks on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or not _is_watched(reporter):
        yield
        return
    line = ProgressLine(reporter, lambda took: f"reading {reader.underway()}, {took}")
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
        text: Returns what is waited for, in a few words, from the text of the time that it
            took so far; it is called by the thread.

    Attributes:
        stays: Whether the line stands until it is hidden, and not only while a wait lasts.
    """

    def __init__(self, reporter: pytest.TerminalReporter, text: Callable[[str], str]) -> None:
        self.stays = False
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
        self.show()
        try:
            yield
        finally:
            if not self.stays:
                self.hide()

    def show(self) -> None:
        """Draw the line from now on, after a moment."""
        if self._waits_since is None:
            self._waits_since = time.monotonic()

    def hide(self) -> None:
        """Erase the line, and draw none until it is shown again."""
        with self._lock:
            self._waits_since = None
            if self._is_drawn:
                self._draw("")
                self._is_drawn = False

    def end(self) -> None:
        """End the thread and erase the line."""
        self._ended.set()
        self._thread.join()
        self.hide()

    def _redraw(self) -> None:
        while not self._ended.wait(_REDRAWN_S):
            with self._lock:
                since = self._waits_since
                if since is not None and time.monotonic() - since >= _PATIENCE_S:
                    seconds = time.monotonic() - self._began
                    self._draw(self._text(f"{seconds:.0f} s"))
                    self._is_drawn = True

    def _draw(self, text: str) -> None:
        """Write the line below pytest's own, and go back to where the cursor was."""
        column = max(0, self._writer.width_of_current_line)  # a carriage return counts as -1
        back = f"\x1b[{column}C" if column else ""
        text = text[: self._writer.fullwidth - 1]
        file = self._writer._file  # noqa: SLF001 the writer would count the line as pytest's
        file.write(f"\n\r\x1b[K{text}\x1b[A\r{back}")
        file.flush()


class HostCount:
    """How many hosts were read, cannot be, and are still to be.

    Args:
        names: The name of each Droplet, by its id.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = names
        self._left: dict[int, None] = {}
        self._read = 0
        self._unreachable = 0
        self._counted: set[int] = set()

    def expect(self, hosts: Collection[int]) -> None:
        """Say which hosts are still to be read: as many as are left are those that are left."""
        if len(hosts) != len(self._left):
            self._left = dict.fromkeys(i for i in sorted(hosts) if i not in self._counted)

    def count(self, droplet_id: int, *, reached: bool | None) -> None:
        """Count a host that was read, or that cannot be; once. None: there was none to read."""
        if droplet_id in self._counted:
            return
        self._counted.add(droplet_id)
        self._left.pop(droplet_id, None)
        self._read += reached is True
        self._unreachable += reached is False

    def text(self, took: str) -> str:
        """Say it in a few words: ``reading hosts: 2 of 14, 1 not reached, TOOK: web-1, db-1``."""
        left = self._left
        done = self._read + self._unreachable
        lost = f", {self._unreachable:,} not reached" if self._unreachable else ""
        text = f"reading hosts: {done:,} of {done + len(left):,}{lost}, {took}"
        if not left:
            return text
        first = list(islice(left, _NAMED))  # at once: the run counts meanwhile
        named = ", ".join(self.names.get(one, str(one)) for one in first)
        more = f" and {len(left) - _NAMED:,} more" if len(left) > _NAMED else ""
        return printable(f"{text}: {named}{more}")


class WatchedHosts:
    """A transport whose waits are shown; all else is the transport's own."""

    def __init__(self, hosts: Any, line: ProgressLine, count: HostCount) -> None:
        self._hosts = hosts
        self._line = line
        self._count = count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hosts, name)

    def next_arrived(self, wanted: Iterable[int]) -> int:
        """Wait until one of these hosts was read, and return its Droplet id."""
        ids = wanted if isinstance(wanted, Collection) else set(wanted)
        self._count.expect(ids)
        with self._line.waiting():
            droplet_id: int = self._hosts.next_arrived(ids)
        return droplet_id

    def get(self, droplet_id: int) -> HostReading:
        """Wait for one host and return what was read."""
        with self._line.waiting():
            reading: HostReading = self._hosts.get(droplet_id)
        self._count.count(droplet_id, reached=reading.state == "reached")
        return reading
