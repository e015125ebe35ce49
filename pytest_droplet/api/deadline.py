"""One clock for one request, from the connect to the last byte; it ends the connection.

A timeout of the socket bounds one wait for bytes. An answer that drips, its headers too, never
runs into it, and the reading of headers returns to nobody before it has them all.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, Self

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class _Here(threading.local):
    deadline: Deadline | None = None


_here = _Here()


class Deadline:
    """The time of the request that this thread sends, as a context manager.

    ``passed`` tells whether the connection was ended: what was read of the answer is no answer
    then, even where it looks whole.

    Args:
        seconds: From now to the last byte.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._lock = threading.Lock()
        self._handles: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        _here.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        _here.deadline = None
        self._timer.cancel()
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()

    def watch(self, connection: Any) -> None:
        """End this connection when the time is over; whatever wraps it then."""
        handle = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        with self._lock:
            self._handles.append(handle)
            if self.passed:
                _shut(handle)

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            for handle in self._handles:
                _shut(handle)


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        handle.shutdown(socket.SHUT_RDWR)


def _watch(connection: Any) -> None:
    if _here.deadline is not None and connection is not None:
        _here.deadline.watch(connection)


class _Watched(HTTPConnection):
    """What urllib3 makes of a new and of a kept connection is watched from its first byte."""

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        _watch(made)
        return made

    def request(self, *args: Any, **kwargs: Any) -> None:
        _watch(self.sock)
        super().request(*args, **kwargs)


class _SecureWatched(_Watched, HTTPSConnection):
    """The same over TLS, its handshake included."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureWatched


POOLS = {"http": _Pool, "https": _SecurePool}
"""Pools for urllib3 whose connections the deadline of their thread can end."""
