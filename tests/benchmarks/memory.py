"""A pytest plugin: the fleet's hosts in memory, so that only the judging is measured.

``-p tests.benchmarks.memory``; ``BENCHMARK_HOSTS`` says how many.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

from pytest_droplet.model import HostReading, Inventory
from tests.benchmarks import fleet
from tests.benchmarks.addresses import FIRST_ID


class MemoryHosts:
    """Hosts that have answered."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.accepted: list[str] = []

    def get(self, droplet_id: int) -> HostReading:
        """Return what a host answered."""
        return fleet.reading(droplet_id - FIRST_ID)

    def next_arrived(self, wanted: Iterable[int]) -> int:
        """Return the next in order: all have arrived."""
        return next(iter(wanted))

    def ignore(self, *_: object) -> None:
        """Do nothing: there is no connection."""

    start = read = keep = drop = close = run = ignore


@pytest.hookimpl(tryfirst=True)
def pytest_droplet_inventory() -> Inventory:
    """Return the account, read in memory."""
    return fleet.inventory(int(os.environ["BENCHMARK_HOSTS"]))


@pytest.hookimpl(tryfirst=True)
def pytest_droplet_connect() -> Any:
    """Return the hosts."""
    return MemoryHosts()
