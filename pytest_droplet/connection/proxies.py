"""The processes of ``ProxyCommand``, which speak to asyncssh over a socket."""

from __future__ import annotations

import os
import socket
import subprocess

_GRACE_S = 2


class Proxies:
    """Commands that the user's ssh config names to open connections."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, command: str) -> socket.socket:
        """Run a command by sh, as ssh does; the API's token is not in its environment."""
        self._running = [p for p in self._running if p.poll() is None]
        ours, theirs = socket.socketpair()
        with theirs:
            child = subprocess.Popen(  # noqa: S603 the user's own file names it
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={k: v for k, v in os.environ.items() if not k.startswith("DIGITALOCEAN_")},
            )
        self._running.append(child)
        ours.setblocking(False)  # noqa: FBT003 positional only
        return ours

    def close(self) -> None:
        """End those that still run."""
        for child in self._running:
            child.terminate()
        for child in self._running:
            try:
                child.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._running.clear()
