"""Hooks that let another inventory or another transport plug in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_droplet.model import HostReading, Inventory, Probe, Section, Target
    from pytest_droplet.options import AuditConfig
    from pytest_droplet.selection import Selection


class Hosts(Protocol):
    """A transport: reads all hosts at once; the pool of SSH connections is one.

    Attributes:
        notes: What the user should know of it before the run, a line each.
        accepted: Host keys that were new and were taken, a line each.
    """

    notes: list[str]
    accepted: list[str]

    def start(self, targets: Sequence[Target]) -> None:
        """Begin to connect to these hosts; may be called again with others."""

    def read(self, sections: Sequence[Section], probes: Sequence[Probe]) -> None:
        """Say what to read of every host."""

    def keep(self, droplet_ids: Iterable[int]) -> None:
        """Say which hosts :meth:`run` will be asked for after they were read."""

    def get(self, droplet_id: int) -> HostReading:
        """Wait for one host and return what was read; an unreachable host is a reading too."""

    def next_arrived(self, wanted: Iterable[int]) -> int:
        """Wait until one of these hosts was read, and return its Droplet id."""

    def run(
        self, droplet_id: int, command: str, timeout: float | None = None
    ) -> tuple[int, bytes, bytes]:
        """Run one command and return exit status, standard output and standard error.

        Raises:
            NotObservedError: The host cannot be reached or did not answer in time.
        """

    def drop(self, droplet_id: int) -> None:
        """Forget what was read of a host."""

    def close(self) -> None:
        """Close every connection; nothing is left running."""


@pytest.hookspec(firstresult=True)
def pytest_droplet_inventory(
    config: pytest.Config, options: AuditConfig, selection: Selection
) -> Inventory | None:
    """Return the account's inventory, or None to leave it to the next plugin.

    Called once a run, on the controller. Raise ``pytest.UsageError`` with one line where the
    inventory cannot be had whole.
    """


@pytest.hookspec(firstresult=True)
def pytest_droplet_connect(config: pytest.Config, options: AuditConfig) -> Hosts | None:
    """Return the transport that reads the hosts, or None to leave it to the next plugin.

    Called once in every process that judges hosts.
    """
