"""Commands over the connection of a host that was read: one, or several in one session."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncssh

from pytest_droplet.connection import ahead
from pytest_droplet.connection.session import Capture, Executed, execute
from pytest_droplet.model import NotObservedError
from pytest_droplet.text import line_of_bytes

_CAP_BYTES = 16 * 2**20
_SESSION_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4, None)


class LostError(NotObservedError):
    """A command gave no whole answer, and the connection is of no more use."""


async def run_command(
    connection: asyncssh.SSHClientConnection, name: str, command: str, limit_s: float
) -> ahead.Result:
    """Run a command by the login shell.

    Args:
        connection: To the host, logged in.
        name: The Droplet's name, for messages.
        command: A command line.
        limit_s: Seconds.

    Returns:
        Exit status (128 + number after a signal), standard output, standard error.

    Raises:
        LostError: No answer in time, or the connection was lost.
        NotObservedError: It printed too much.
    """
    shown = line_of_bytes(command.encode("utf-8", "replace"), 80)
    try:
        async with asyncio.timeout(limit_s):
            got = await _execute(connection, command)
    except TimeoutError:
        raise LostError(f"{name}: no answer to {shown!r} within {limit_s:g} s") from None
    except (asyncssh.Error, OSError) as exc:
        said = line_of_bytes(str(exc).encode("utf-8", "replace"))
        raise LostError(f"{name}: {shown!r} could not be run ({said})") from None
    if got.overflow:
        raise NotObservedError(f"{name}: {shown!r} printed more than {_CAP_BYTES:,} bytes")
    if got.lost or got.rc is None:
        raise LostError(f"{name}: the connection was lost while {shown!r} ran")
    return got.rc, got.stdout, got.stderr


async def run_batch(
    connection: asyncssh.SSHClientConnection, commands: Sequence[str], limit_s: float
) -> tuple[ahead.Results, bool]:
    """Run commands in one session, each by ``sh``.

    Returns:
        The results, without those of commands that gave no whole answer; and whether the
        connection can be used further.
    """
    stdin, nonce = ahead.compose(commands)
    try:
        async with asyncio.timeout(limit_s):
            got = await _execute(connection, "sh -s", stdin)
    except (TimeoutError, asyncssh.Error, OSError):
        return {}, False
    return ahead.parse(got.stdout, commands, nonce), not (got.lost or got.overflow)


async def _execute(
    connection: asyncssh.SSHClientConnection, command: str, stdin: bytes = b""
) -> Executed:
    """Run a command; where sshd has no room for a session yet, wait a little and ask again.

    With ``MaxSessions 1`` it may not have cleared away the last one when the next is opened.
    """
    for pause in _SESSION_PAUSES_S:
        capture = Capture(_CAP_BYTES)
        try:
            await execute(connection, command, capture, stdin)
        except asyncssh.ChannelOpenError:
            if pause is None:
                raise
            await asyncio.sleep(pause)
        else:
            return capture.result()
    raise AssertionError("the last round returns or raises")
