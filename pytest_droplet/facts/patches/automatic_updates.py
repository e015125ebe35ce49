"""Whether the host installs security updates by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.host.units import Unit, Units
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.facts.patches.apt import (
    APT_INDEX,
    APT_SOURCES,
    archives,
    security_archives,
)
from pytest_droplet.facts.patches.packages import distribution
from pytest_droplet.facts.patches.unattended import (
    AptAutomatic,
    allows,
    obstacles,
    parse_settings,
    remarks,
)
from pytest_droplet.model import NotObservedError, Reading, Section
from pytest_droplet.tables import APT
from pytest_droplet.text import one_line

AUTOMATIC = Section.of_files("facts/patches/automatic_updates.sh")

_HEADER = re.compile(r"\[([^\]]*)\].*")
_OPTION = re.compile(r"(apply_updates|upgrade_type)\s*=\s*(\S*)\s*")
_TRUE = frozenset({"1", "yes", "true", "on"})
_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")


@dataclass(frozen=True, slots=True)
class AutomaticUpdates:
    """What installs security updates by itself, and what keeps it from doing so.

    ``notes`` has the updates that are not installed though nothing keeps those of security.
    """

    by: str
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def enabled(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.obstacles

    def __str__(self) -> str:
        said = self.obstacles or ("installs security updates", *self.notes)
        return one_line(f"{self.by}: {'; '.join(said)}")


@fact(
    "apt-config dump; cat /etc/dnf/automatic.conf; systemctl show *.timer",
    sections=(AUTOMATIC, APT_SOURCES, APT_INDEX),
)
def droplet_automatic_updates(
    observation: Observation, droplet_os_release: OsRelease, droplet_units: Reading[Units]
) -> AutomaticUpdates:
    """Return whether unattended-upgrades or dnf-automatic installs security updates."""
    os = droplet_os_release
    is_apt = distribution(os).manager is APT
    asked = "apt-config dump" if is_apt else "cat /etc/dnf/automatic.conf"
    observation.source = f"{asked}; systemctl show *.timer"
    units = droplet_units.get()
    text = whole(observation.section(AUTOMATIC.name)).stdout
    if is_apt:
        return _unattended(parse_settings(text), observation, os, units)
    return AutomaticUpdates("dnf-automatic", tuple(_dnf_obstacles(text, units, os)))


def _unattended(
    known: AptAutomatic, observation: Observation, os: OsRelease, units: Units
) -> AutomaticUpdates:
    """Say what unattended-upgrades does: a setting that is proven to stop it comes first."""
    by = "unattended-upgrades"
    found = [*obstacles(known), *(_stopped(units[name]) for name in _TIMERS)]
    if stopped := tuple(filter(None, found)):
        return AutomaticUpdates(by, stopped)
    security = security_archives(observation, os)
    if not security:
        raise NotObservedError("the index of the security suite is not there")
    names = {"distro_id": os.id.capitalize(), "distro_codename": os.codename}
    if not any(allows(known, archive, names) for archive in security):
        return AutomaticUpdates(by, ("its origins do not cover the security suite",))
    others = dict.fromkeys(
        archive.origin or archive.site
        for archive in archives(observation)
        if archive.origin.lower() != os.id and not allows(known, archive, names)
    )
    notes = [*remarks(known), *(f"not those of {name}" for name in others if name)]
    return AutomaticUpdates(by, notes=tuple(map(one_line, notes)))


def _stopped(timer: Unit) -> str:
    """Say that a timer does not come back by itself; empty where it does."""
    runs = timer.is_enabled and timer.is_active and timer.sub != "elapsed"
    return "" if runs else str(timer)


def _dnf_obstacles(text: str, units: Units, os: OsRelease) -> list[str]:
    options = _commands(text)
    installing = units["dnf-automatic-install.timer"]
    others = [units["dnf-automatic.timer"], units["dnf5-automatic.timer"]]
    applies = options.get("apply_updates", "not set")
    if _stopped(installing) and (applies not in _TRUE or all(map(_stopped, others))):
        enabled = [unit for unit in (installing, *others) if unit.is_enabled]
        if not enabled:
            return ["no timer of dnf-automatic is enabled"]
        running = [unit for unit in others if not _stopped(unit)]
        if running:
            return [f"{running[0].id} is enabled, but apply_updates is {applies}"]
        return [_stopped(unit) for unit in enabled]
    known = distribution(os)
    if not known.labels_security and options.get("upgrade_type") == "security":
        return [f"upgrade_type is security, and {known.word} labels no update so"]
    return []


def _commands(text: str) -> dict[str, str]:
    """Return the options of the section ``[commands]``, of all files: the last one counts.

    Raises:
        NotObservedError: A line stands where dnf does not take it.
    """
    options: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("== "):
            section = ""
        elif found := _HEADER.fullmatch(line):
            section = found[1]
        elif (found := _OPTION.fullmatch(line)) and section:
            if section == "commands":
                options[found[1]] = found[2].lower()
        elif line.strip():
            raise garbled(line)
    if text.strip() and "\n[" not in text:
        raise NotObservedError("automatic.conf is not to be read: it has no section")
    return options
