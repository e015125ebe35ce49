"""Runs the product's probes against real servers: ``python -m tests.oracles.web_probes``.

Reads configurations from standard input, and writes what the probes came to, both in JSON; run in
namespaces of its own, as web_host.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_droplet.facts.tls import tls, tls_versions
from pytest_droplet.model import HostReading, SectionOutput

from .web_host import ADDRESSES, OWN, running, section_of

FOUR, SIX = ADDRESSES[1], ADDRESSES[3]


def main() -> None:
    """Probe each server."""
    given = json.load(sys.stdin)
    for folder in OWN:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    for command in ("link set lo up", f"address add {SIX}/128 dev lo"):
        subprocess.run(["ip", *command.split()], check=True)
    Path("/var/log/nginx").mkdir()
    tls._is_global = lambda _: True
    tls._resolve = _nowhere
    json.dump([_probe(**one) for one in given], sys.stdout)


async def _nowhere(_: str) -> list[str]:
    return []


def _probe(server: str, files: dict[str, str]) -> dict[str, Any]:
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    with running(server) as said:
        if said:
            raise RuntimeError(said)
        outputs = (
            SectionOutput(server, section_of(server), rc=0),
            SectionOutput("addresses", f"0\n2: eth0 inet6 {SIX}/128 scope global\n", rc=0),
        )
        sections = {output.name: output for output in outputs}
        reading = HostReading(1, "reached", datetime.now(UTC), address=FOUR, sections=sections)
        return {
            probe.name: asyncio.run(probe.run(FOUR, reading))
            for probe in (tls.TLS, tls_versions.TLS_OLD)
        }


if __name__ == "__main__":
    main()
