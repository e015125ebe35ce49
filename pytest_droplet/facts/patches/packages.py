"""What both package managers are asked: which updates wait, and how far the index can be trusted.

The facts that checks ask for are in :mod:`pytest_droplet.facts.patches.patches`; how apt and dnf answer
is in :mod:`pytest_droplet.facts.patches.apt` and :mod:`pytest_droplet.facts.patches.dnf`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.model import Item, NotObservedError
from pytest_droplet.tables import Distribution, distribution_of
from pytest_droplet.text import one_line


@dataclass(frozen=True, slots=True)
class Update:
    """A newer version of a package.

    ``old`` is None for a package that the update would add, or where the tool does not tell.
    ``origin`` is the archive (apt) or the advisory or repository (dnf). ``blocked`` marks one
    that an upgrade would leave out: on hold, kept back, excluded.
    """

    name: str
    new: str
    old: str | None = None
    origin: str = ""
    security: bool = False
    blocked: bool = False

    @property
    def details(self) -> Item:
        """The package with its installed and its new version, and where the new one is from."""
        return {
            "package": self.name,
            "installed": self.old,
            "candidate": self.new,
            "origin": self.origin,
            "security": self.security,
            "held_back": self.blocked,
        }

    def __str__(self) -> str:
        versions = f"{self.old} → {self.new}" if self.old else self.new
        left = ", held back" if self.blocked else ""
        return one_line(f"{self.name} {versions} ({self.origin}{left})")


@dataclass(frozen=True, slots=True)
class PendingUpdates:
    """The updates that wait, blocked ones included.

    ``unlabelled`` is the reason why security updates cannot be told from others, empty where
    they can; ``hidden`` why more of them may wait than are seen. ``told_by`` names what tells the
    manager to prefer a version to a newer one.
    """

    manager: str
    updates: tuple[Update, ...] = ()
    unlabelled: str = ""
    hidden: str = ""
    told_by: str = ""

    @property
    def security(self) -> tuple[Update, ...]:
        """Those known to fix a vulnerability."""
        return tuple(u for u in self.updates if u.security)

    @property
    def installable(self) -> tuple[Update, ...]:
        """Those that an upgrade would install."""
        return tuple(u for u in self.updates if not u.blocked)

    def __str__(self) -> str:
        known = self.unlabelled or f"{len(self.security)} of security"
        text = f"{self.manager}: {len(self.updates)} updates, {known}"
        shown = self.security or self.updates
        text = f"{text}: {list_updates(shown)}" if shown else text
        text = f"{text}; versions are chosen by {self.told_by}" if self.told_by else text
        return one_line(f"{text}; {self.hidden}" if self.hidden else text)


@dataclass(frozen=True, slots=True)
class PackageSource:
    """An enabled suite or repository that security updates come from.

    ``fetched`` tells whether the host has its index; ``dated`` is the index's own date,
    ``valid_until`` its own end. ``pinned`` is the URL of an archive that is no longer updated;
    ``closed`` marks a suite that ended, where another goes on with the release.
    """

    name: str
    fetched: bool = True
    dated: datetime | None = None
    valid_until: datetime | None = None
    pinned: str = ""
    closed: bool = False

    @property
    def details(self) -> Item:
        """The source with the dates of its index."""
        return {"source": self.name, "dated": self.dated, "valid_until": self.valid_until}

    def __str__(self) -> str:
        if not self.fetched:
            return f"{self.name} (never fetched)"
        return f"{self.name} of {self.dated:%Y-%m-%d}" if self.dated else self.name


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """How fresh the index is, and which sources of security updates it has.

    ``updated_at`` is the host's last attempt to update it, seen at ``stamp``; None: never.
    ``lacking`` names the sources that a release must have and that no enabled source is.
    ``unreachable`` says why the manager takes no security update from an enabled source;
    ``doubts`` why it cannot be told what it takes.
    """

    manager: str
    updated_at: datetime | None
    stamp: str = ""
    sources: tuple[PackageSource, ...] = ()
    lacking: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        when = f"{self.updated_at:%Y-%m-%d %H:%M} UTC by {self.stamp}" if self.updated_at else ""
        parts = [f"{self.manager} index updated {when or 'never'}"]
        parts += [", ".join(map(str, self.sources))] if self.sources else []
        parts += [f"not enabled: {', '.join(self.lacking)}"] if self.lacking else []
        parts += [*self.unreachable, *self.doubts]
        return one_line("; ".join(parts))


def distribution(os: OsRelease) -> Distribution:
    """Return the distribution of a host.

    Raises:
        NotObservedError: It is none of those whose archives are known.
    """
    known = distribution_of(os.id, os.name)
    if known is None:
        raise NotObservedError(f"the package sources of ID={os.id} are not known")
    return known


def list_updates(updates: Iterable[Update], limit: int = 5) -> str:
    """Return the first updates and how many more there are."""
    names = [str(u) for u in updates]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
