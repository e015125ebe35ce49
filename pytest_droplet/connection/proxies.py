"""The processes of ``ProxyCommand``, which speak to asyncssh over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from weakref import WeakKeyDictionary

from pytest_droplet.text import line_of_bytes

_GRACE_S = 2
_LAST_WORDS_S = 0.5
_KEPT_BYTES = 4096


class Proxies:
    """Commands that the user's ssh config names to open connections."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._errors: WeakKeyDictionary[socket.socket, _Errors] = WeakKeyDictionary()

    def start(self, command: str) -> socket.socket:
        """Run a command by the user's shell, as ssh does.

        The API's token is not in its environment. To be called in the event loop.
        """
        self._running = [p for p in self._running if p.poll() is None]
        shell = os.environ.get("SHELL") or "/bin/sh"
        ours, theirs = socket.socketpair()
        errors, end = os.pipe()
        try:
            child = subprocess.Popen(  # noqa: S603 the user's own file names it
                [shell, "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=end,
                start_new_session=True,
                env={k: v for k, v in os.environ.items() if not k.startswith("DIGITALOCEAN_")},
            )
        except OSError:
            ours.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
            os.close(end)
        self._running.append(child)
        self._errors[ours] = _Errors(errors)
        ours.setblocking(False)  # noqa: FBT003 positional only
        return ours

    async def complaint(self, sock: socket.socket) -> str:
        """Return the first line that a command wrote to its standard error; empty: none."""
        errors = self._errors.get(sock)
        return "" if errors is None else await errors.first_line()

    def close(self) -> None:
        """End those that still run."""
        for errors in list(self._errors.values()):
            errors.close()
        for child in self._running:
            child.terminate()
        for child in self._running:
            try:
                child.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._running.clear()


class _Errors:
    """Takes what a command writes to its standard error, and keeps the beginning."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._take)

    async def first_line(self) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._ended.wait()
        lines = [line_of_bytes(line) for line in bytes(self._kept).splitlines()]
        return next((line for line in lines if line), "")

    def close(self) -> None:
        if not self._ended.is_set():
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._ended.set()

    def _take(self) -> None:
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._kept += data[: _KEPT_BYTES - len(self._kept)]
        if not data:
            self.close()
