"""Block storage volumes of a Droplet, and their snapshots."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pytest_droplet.api.inventory import WiderInventory
from pytest_droplet.api.parsing import VolumeSnapshot
from pytest_droplet.facts import Observation, fact
from pytest_droplet.model import Droplet, NotObservedError, Reading, Section
from pytest_droplet.text import one_line

DISKS = Section.of_files("facts/backups/disks.sh")

_SNAPSHOTS = "GET /v2/snapshots?resource_type=volume"
_PARTITION = re.compile(r"\s*\d+\s+\d+\s+\d+\s+(\S+)\s*")
_VOLUME = re.compile(r"sd[a-z]{1,2}")


@dataclass(frozen=True, slots=True)
class Disks:
    """The host's disks that have the form of volumes: the Droplet's own disk is ``vda``."""

    volumes: tuple[str, ...]

    def __str__(self) -> str:
        return one_line(f"disks of volumes: {', '.join(self.volumes) or 'none'}")


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes that are attached to a Droplet, by the API.

    Attributes:
        ids: Their ids.
        unnamed: Why there may be others that the API does not name; empty: there are none.
        snapshots: Their snapshots.
    """

    ids: tuple[str, ...]
    unnamed: str
    snapshots: Reading[tuple[VolumeSnapshot, ...]]

    @property
    def present(self) -> bool:
        """Whether there are volumes, named or not."""
        return bool(self.ids or self.unnamed)

    def need_names(self) -> None:
        """Raise where there may be volumes without a name (NotObservedError)."""
        if self.unnamed:
            raise NotObservedError(self.unnamed)

    def newest(self, volume: str) -> datetime | None:
        """Return when the newest snapshot was made; None: there is none.

        Raises:
            NotObservedError: The snapshots were not listed.
        """
        return max(
            (s.created_at for s in self.snapshots.get() if s.volume_id == volume), default=None
        )

    def __str__(self) -> str:
        parts = [self.unnamed] if self.unnamed else []
        for volume in self.ids[:4]:
            if self.snapshots.missing is not None:
                parts.append(f"volume {volume}")
                continue
            newest = self.newest(volume)
            shown = f"newest snapshot of {newest:%Y-%m-%d %H:%M} UTC" if newest else "no snapshot"
            parts.append(f"volume {volume}: {shown}")
        parts += [f"and {len(self.ids) - 4} more"] if len(self.ids) > 4 else []
        return one_line("; ".join(parts) or "no volume", 390)


def _row(disks: Disks) -> Mapping[str, Any]:
    return {"volumes": list(disks.volumes)}


@fact("cat /proc/partitions", sections=(DISKS,), row=_row)
def droplet_disks(observation: Observation) -> Disks:
    """Return the disks that have the form of volumes."""
    return parse_partitions(observation.section(DISKS.name).stdout)


def parse_partitions(text: str) -> Disks:
    """Parse ``/proc/partitions``.

    Raises:
        NotObservedError: It names no disk at all, or a line is garbled.
    """
    rows = [line for line in text.splitlines() if line.strip() and not line.startswith("major ")]
    if strange := [row for row in rows if not _PARTITION.fullmatch(row)]:
        raise NotObservedError(f"unexpected line: {one_line(strange[0], 60)!r}")
    names = [found[1] for row in rows if (found := _PARTITION.fullmatch(row))]
    if not names:
        raise NotObservedError("/proc/partitions names no disk")
    return Disks(tuple(name for name in names if _VOLUME.fullmatch(name)))


@fact(
    f"GET /v2/droplets: volume_ids; {_SNAPSHOTS}",
    may_use=("droplet_disks",),
    api=("volume_snapshots",),
)
def droplet_volumes(observation: Observation, droplet_disks: Reading[Disks]) -> Volumes:
    """Return the volumes of the Droplet with their snapshots.

    The host is looked at only where the API names no volume: it may be that the token does not
    see them.
    """
    droplet, inventory = observation.droplet, observation.inventory
    listed = inventory.volume_snapshots if isinstance(inventory, WiderInventory) else None
    if listed is None:
        listed = Reading(_SNAPSHOTS, inventory.read_at, missing="not asked")
    return Volumes(droplet.volume_ids, _unnamed(droplet, droplet_disks), listed)


def _unnamed(droplet: Droplet, disks: Reading[Disks]) -> str:
    if droplet.volume_ids:
        return ""
    if disks.value is not None and disks.value.volumes:
        return (
            f"the API names no volume, but the host has {', '.join(disks.value.volumes)};"
            " the token lacks the scope block_storage:read"
        )
    if "volume_ids" in droplet.hidden and disks.missing is not None:
        return f"the token lacks the scope block_storage:read, and the disks: {disks.missing}"
    return ""
