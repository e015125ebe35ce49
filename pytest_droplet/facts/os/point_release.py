"""The minor or point release that is installed, against the newest that is known."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_droplet.facts import fact
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.os.lifecycle import lifecycle, release_of
from pytest_droplet.facts.patches.packages import PendingUpdates
from pytest_droplet.model import Item, NotObservedError, Reading
from pytest_droplet.tables import distribution_of
from pytest_droplet.text import one_line

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})")


@dataclass(frozen=True, slots=True)
class PointRelease:
    """Installed and newest known point release; ``latest`` is None where there are no such.

    ``waiting`` counts the updates that wait on a Debian host that is behind; None: not asked.
    """

    name: str
    installed: str = ""
    latest: str | None = None
    behind: bool = False
    waiting: int | None = None

    @property
    def outdated(self) -> bool:
        """Whether a newer one is out and this host has not got it."""
        return self.behind and self.waiting != 0

    @property
    def details(self) -> Item:
        """The release with its installed and its newest point release."""
        return {"name": self.name, "installed": self.installed, "latest": self.latest}

    def __str__(self) -> str:
        if self.latest is None:
            return one_line(f"{self.name}: no point releases")
        waiting = "" if self.waiting is None else f", {self.waiting} updates wait"
        return one_line(f"{self.name}: {self.installed}, newest known {self.latest}{waiting}")


@fact("cat /etc/os-release /etc/debian_version; the embedded end-of-life table")
def droplet_point_release(
    droplet_os_release: OsRelease,
    droplet_debian_version: Reading[str],
    droplet_pending_updates: Reading[PendingUpdates],
) -> PointRelease:
    """Return the installed point release and the newest of its major release.

    Raises:
        NotObservedError: The host's version has no minor part, or the table not its release.
    """
    os = droplet_os_release
    known = distribution_of(os.id, os.name)
    name = os.pretty_name or os.id
    if known is None:
        raise NotObservedError(f"the point releases of ID={os.id} are not known")
    if not known.point_release:
        return PointRelease(name)
    release = release_of(os, lifecycle())
    if release is None or not release.latest_known:
        raise NotObservedError(f"no point release of {name} is known")
    in_os_release = known.point_release == "VERSION_ID"
    installed = os.version_id if in_os_release else droplet_debian_version.get()
    behind = _parts(installed) < _parts(release.latest_known)
    waiting = None
    if behind and not in_os_release:
        waiting = len(droplet_pending_updates.get().installable)
    return PointRelease(name, installed, release.latest_known, behind, waiting)


def _parts(version: str) -> tuple[int, int]:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise NotObservedError(f"{one_line(version, 40)!r} is no version of two parts")
    return int(found[1]), int(found[2])
