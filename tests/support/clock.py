"""Time that passes only where somebody sleeps."""

from __future__ import annotations

import threading


class FakeTime:
    """A clock and a sleep for each other; ``slept`` holds what was asked for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self.slept.append(seconds)
            self.now += max(0.0, seconds)
