"""Threads that send requests side by side, and hold up nobody who wants to leave."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

IN_FLIGHT = 8
"""Requests that are under way at once."""


class Workers:
    """A pool of daemon threads, as a context manager.

    At its end what has not begun is cancelled and nothing is waited for: an executor of the
    standard library would keep Ctrl-C waiting until every answer that stalls has timed out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._futures: list[Future[Any]] = []
        self._threads = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for future in self._futures:
            future.cancel()
        for _ in range(self._threads):
            self._jobs.put(None)

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in one of the threads."""
        future: Future[T] = Future()
        self._futures.append(future)
        self._jobs.put((future, partial(call, *args, **kwargs)))
        if self._threads < self._most:
            self._threads += 1
            threading.Thread(target=self._work, daemon=True, name="pytest-droplet-api").start()
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as exc:  # noqa: BLE001 whoever asks for the result gets it
                future.set_exception(exc)
