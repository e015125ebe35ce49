"""One command over an open SSH connection, its output capped."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import Any

import asyncssh

STDERR_CAP_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Executed:
    """What a command printed.

    Attributes:
        rc: Exit status, 128 + number where a signal ended it, None where the server sent none.
        overflow: The output was longer than the cap, and is cut there.
        lost: The connection or the channel ended before the command did.
    """

    stdout: bytes
    stderr: bytes
    rc: int | None
    overflow: bool
    lost: bool


class Capture(asyncssh.SSHClientSession[bytes]):
    """Collects the output of one command.

    Args:
        cap: Bytes of standard output to keep; more, or as much on standard error, ends the
            command.
        until: An end of the output after which nothing more is waited for.
    """

    def __init__(self, cap: int, until: bytes = b"") -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.rc: int | None = None
        self.overflow = False
        self.finished = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cap = cap
        self._errors_seen = 0
        self._until = until

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Keep a piece of output."""
        if datatype is not None:
            self.stderr += data[: max(0, STDERR_CAP_BYTES - len(self.stderr))]
            self._errors_seen += len(data)
            if self._errors_seen > self._cap:
                self.overflow = True
                self._end()
            return
        room = self._cap - len(self.stdout)
        self.stdout += data if len(data) <= room else data[:room]
        if len(data) > room:
            self.overflow = True
            self._end()
        elif self._until and self.stdout.endswith(self._until):
            self.finished = True
            self._end()

    def exit_status_received(self, status: int) -> None:
        """Keep the exit status."""
        self.rc = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002, FBT001 asyncssh's signature
        """Keep the signal as the shell would give it."""
        self.rc = _signal_rc(signal)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the channel."""
        self.finished = self.finished or (exc is None and self.rc is not None)
        self._end()

    def result(self) -> Executed:
        """Return what was collected so far."""
        return Executed(
            bytes(self.stdout),
            bytes(self.stderr),
            self.rc,
            self.overflow,
            lost=not (self.finished or self.overflow),
        )

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def execute(
    connection: asyncssh.SSHClientConnection,
    command: str,
    capture: Capture,
    stdin: bytes = b"",
) -> None:
    """Run a command until it ends, its output in ``capture`` also when this is cancelled.

    Raises:
        asyncssh.ChannelOpenError: The server opens no session, or runs no command.
    """
    channel: Any = None
    try:
        channel, _ = await connection.create_session(lambda: capture, command, encoding=None)
        try:
            if stdin:
                channel.write(stdin)
            channel.write_eof()
        except OSError:
            pass  # it ended without reading; what it printed says why
        await capture.done
    finally:
        if channel is not None:
            channel.close()


def _signal_rc(name: str) -> int:
    try:
        return 128 + signal.Signals[f"SIG{name}"].value
    except KeyError:
        return 255
