"""Runs the probes of one host: which of them, for how long, and what each came to."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_droplet.connection.probe import (
    AT_ONCE,
    SSH_AUTH,
    TIMEOUT_S,
    asked_at_once,
    jump_host,
    login_limit_s,
)
from pytest_droplet.model import HostReading, NotObservedError, Probe
from pytest_droplet.text import line_of_bytes

# Addresses that mean another machine, or none, where the host is not: behind a bastion they do.
_LOCAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
            *("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"),
        ),
    )
)


async def run_probes(
    reading: HostReading,
    probes: Sequence[Probe],
    budget: float,
    *,
    wanted: bool = True,
    tunnel: Any = None,
) -> HostReading:
    """Return the reading with the probes' results, or why each has none.

    Args:
        reading: What was read of the host.
        probes: What to look at.
        budget: Seconds that are left for it.
        wanted: Whether probes are run at all.
        tunnel: The connection to the jump host before the host, where there is one: SSH is asked
            through it. All else is looked at from here, where the address is the host's here.
    """
    if reading.state != "reached" or not probes:
        return reading
    if not wanted:
        off = {p.name: "not probed (--droplets-probe=off)" for p in probes}
        return replace(reading, probe_errors=off)
    chosen, refused = tuple(probes), {}
    if reading.via in {"jump", "command"} and not _means_the_same_here(reading.address):
        why = f"not probed: from here, {reading.address} is not the host behind the bastion"
        chosen = tuple(p for p in chosen if p.name == SSH_AUTH.name and tunnel is not None)
        refused = {p.name: why for p in probes if p not in chosen}
    jump_host.set(tunnel)
    asked_at_once.set(asyncio.Semaphore(AT_ONCE))
    login_limit_s.set(max(TIMEOUT_S, budget / 6))
    results = await asyncio.gather(*(_probe(p, reading, budget) for p in chosen))
    return replace(
        reading,
        probes={name: value for name, value, error in results if not error},
        probe_errors=refused | {name: error for name, _, error in results if error},
    )


def _means_the_same_here(address: str) -> bool:
    """Whether an address is the host's from everywhere; a name may be anything."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not any(ip in network for network in _LOCAL)


async def _probe(probe: Probe, reading: HostReading, budget: float) -> tuple[str, Any, str]:
    try:
        async with asyncio.timeout(budget):
            return probe.name, await probe.run(reading.address, reading), ""
    except TimeoutError:
        return probe.name, None, "the host's time limit ended the probe"
    except NotObservedError as exc:
        return probe.name, None, str(exc) or "the probe could not tell"
    except Exception as exc:  # noqa: BLE001 a probe meets hostile peers: its failure is a reason
        text = line_of_bytes(f"{type(exc).__name__}: {exc}".encode("utf-8", "replace"))
        return probe.name, None, f"the probe failed ({text})"
