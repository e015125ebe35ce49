"""The floor: the same bytes fetched, and the same checks judged, with nothing around them.

``python -m tests.benchmarks.bare FOLDER fetch COUNT [PROBES]`` and
``python -m tests.benchmarks.bare FOLDER loop COUNT`` print what they cost, imports apart, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import resource
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from pytest_droplet.connection import identity, script
from pytest_droplet.connection.probe import UNKNOWN_USER
from pytest_droplet.facts import DropletFacts, all_facts
from pytest_droplet.model import NotObservedError
from tests.benchmarks import fleet
from tests.benchmarks.addresses import FIRST_ID, address

_AT_ONCE = 200


async def fetch(folder: Path, count: int, *, probes: bool) -> int:
    """Read every host, 200 at a time, and return the number of bytes printed."""
    shared: dict[str, Any] = {"config": [], "agent_path": None, "gss_host": None}
    shared |= {"x509_trusted_certs": None}
    options = asyncssh.SSHClientConnectionOptions(
        client_keys=[str(folder / "id_ed25519")],
        known_hosts=asyncssh.import_known_hosts((folder / "known_hosts").read_text()),
        username="root",
        **shared,
    )
    unproved = asyncssh.SSHClientConnectionOptions(client_keys=None, known_hosts=None, **shared)
    room = asyncio.Semaphore(_AT_ONCE)
    command = script.remote_command()

    async def one(index: int) -> int:
        host = address(index)
        nonce = secrets.token_hex(16)
        wanted = (identity.section(FIRST_ID + index), *fleet.sections())
        async with room:
            async with asyncssh.connect(host, options=options, config=None) as connection:
                done = await connection.run(
                    command, input=script.compose(wanted, nonce).encode(), encoding=None
                )
            if probes:
                await asyncio.gather(look(host, unproved), knock(host, 80), knock(host, 443))
        return len(done.stdout or b"")

    return sum(await asyncio.gather(*(one(i) for i in range(count))))


async def look(host: str, options: asyncssh.SSHClientConnectionOptions) -> None:
    """Ask which ways to log in two users are offered, as the plugin's probe does."""
    for user in ("root", UNKNOWN_USER):
        await asyncssh.get_server_auth_methods(host, username=user, options=options, config=None)


async def knock(host: str, port: int) -> None:
    """Try a TCP connection."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()


def loop(count: int) -> int:
    """Parse and judge every host in turn, and return the number of verdicts."""
    account = fleet.inventory(count)
    verdicts = 0
    for observation in fleet.observations(account, range(count)):
        for check in fleet.checks():
            with contextlib.suppress(AssertionError, NotObservedError, pytest.skip.Exception):
                check.function(**arguments(check, observation))
            verdicts += 1
    return verdicts


def arguments(check: Any, observation: DropletFacts) -> dict[str, Any]:
    """Return what a check's function is called with; a fact that is missing ends the check."""
    given = {
        "droplet": observation.droplet,
        "droplet_settings": observation.settings,
        "droplet_now": observation.now,
    }
    found = dict(check.arguments)
    for name in check.facts:
        found[name] = given[name] if name in given else observation.reading(name).get()
    return found


def main() -> None:
    """Run one of them and print its cost."""
    folder, kind, count, *probes = sys.argv[1:]
    fleet.sections()
    all_facts()
    gc.freeze()
    before, began = _cpu(), time.monotonic()
    if kind == "fetch":
        result = asyncio.run(fetch(Path(folder), int(count), probes=bool(probes)))
    else:
        result = loop(int(count))
    cost = {"cpu": _cpu() - before, "wall": time.monotonic() - began, "result": result}
    print(json.dumps(cost))  # noqa: T201 the caller reads it


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
