"""The sections of backups."""

from __future__ import annotations

from .case import Seen, case


@case("disks", matrix=True)
def test_the_disks_of_the_machine_are_read(seen: Seen) -> None:
    """The table of the kernel is understood, whatever it has."""
    listed = {line.split()[3] for line in seen["disks"].stdout.splitlines()[2:]}

    assert set(seen.fact("droplet_disks").volumes) <= listed
    assert listed
