"""The fleet's other side: cheap SSH servers, and the account's API.

``python -m tests.benchmarks.servers ssh FOLDER`` answers on every address of the fleet,
``python -m tests.benchmarks.servers api FOLDER COUNT`` serves the account on loopback and prints
where. Both end with their standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import asyncssh

from pytest_droplet.testing import SCOPES
from tests.benchmarks import fleet, suite
from tests.benchmarks.addresses import index_of
from tests.benchmarks.counters import Counters
from tests.benchmarks.link import ONE_WAY_S
from tests.support.fake_api import TOKEN, FakeApi

_ONE = re.compile(r"section ([a-z_]+)")


class Login(asyncssh.SSHServer):
    """Counts connections, and those that log in."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Count a connection."""
        del conn
        self._counters.add("connections")

    def auth_completed(self) -> None:
        """Count a login."""
        self._counters.add("logins")


async def respond(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Answer the script from standard input or the command line, a batch, or one command."""
    command = process.command or ""
    index = index_of(process.get_extra_info("sockname")[0])
    with contextlib.suppress(asyncssh.Error, OSError):
        if "sh -s" in command or "begin _id" in command:
            sent = command.encode()
            if "begin _id" not in command:
                sent = await process.stdin.read()
            process.stdout.write(suite.batch(sent) or fleet.answer(sent, index))
        elif one := _ONE.search(command):
            process.stdout.write(fleet.printed(fleet.kind_of(index), one[1]))
        else:
            process.stdout.write(suite.said(command))
        process.exit(0)


async def listen(folder: Path) -> None:
    """Answer SSH on every address until standard input ends."""
    counters = Counters(folder / "counters")
    await asyncssh.listen(
        "0.0.0.0",
        22,
        server_host_keys=[str(folder / "host_key")],
        server_factory=lambda: Login(counters),
        process_factory=respond,
        authorized_client_keys=str(folder / "id_ed25519.pub"),
        encoding=None,
        config=[],
        gss_host=None,
        backlog=8192,
        login_timeout=0,
    )
    print("up", flush=True)  # noqa: T201 the caller waits for it
    await asyncio.to_thread(sys.stdin.read)


def serve(folder: Path, count: int) -> None:
    """Serve the account on loopback until standard input ends."""
    counters = Counters(folder / "counters")
    account = fleet.cloud(count)

    def arrived(path: str, query: Mapping[str, str]) -> None:
        del path, query
        counters.add("requests")
        time.sleep(2 * ONE_WAY_S)

    account.on_request = arrived
    with FakeApi(account, scopes=SCOPES) as api:
        print(api.url, TOKEN, flush=True)  # noqa: T201 the caller waits for it
        sys.stdin.read()


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.nice(-5)
    if sys.argv[1] == "ssh":
        asyncio.run(listen(Path(sys.argv[2])))
    else:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
