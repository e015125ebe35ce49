"""Whether the host installs security updates by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.host.units import Units
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.facts.patches.apt import APT_INDEX, APT_SOURCES, AptIndex, security_indexes
from pytest_droplet.facts.patches.packages import distribution
from pytest_droplet.model import NotObservedError, Section
from pytest_droplet.tables import APT
from pytest_droplet.text import one_line

AUTOMATIC = Section.of_files("facts/patches/automatic_updates.sh")

_SETTING = re.compile(r'([\w-]+(?:::[\w-]+)*)(::)? "(.*)";')
_OPTION = re.compile(r"\s*(apply_updates|upgrade_type)\s*=\s*(\S+)\s*")
_EVERY = re.compile(r"always|[1-9][0-9]*[smhd]?")
_TRUE = frozenset({"1", "yes", "true", "on"})
_ALL_PACKAGES = frozenset({"*", ".", ".*", "^"})
_KEYS = {"o": "origin", "l": "label", "a": "suite", "archive": "suite", "n": "codename"}
_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")


@dataclass(frozen=True, slots=True)
class AutomaticUpdates:
    """What installs security updates by itself, and what keeps it from doing so."""

    by: str
    obstacles: tuple[str, ...]

    @property
    def enabled(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.obstacles

    def __str__(self) -> str:
        return one_line(f"{self.by}: {'; '.join(self.obstacles) or 'installs security updates'}")


@dataclass(frozen=True, slots=True)
class AptAutomatic:
    """Settings of apt by name: single values and lists; ``installed`` is unattended-upgrades."""

    installed: bool
    values: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]


@fact(
    "apt-config dump; cat /etc/dnf/automatic.conf; systemctl show *.timer",
    sections=(AUTOMATIC, APT_SOURCES, APT_INDEX),
)
def droplet_automatic_updates(
    observation: Observation, droplet_os_release: OsRelease, droplet_units: Units
) -> AutomaticUpdates:
    """Return whether unattended-upgrades or dnf-automatic installs security updates."""
    os, units = droplet_os_release, droplet_units
    text = whole(observation.section(AUTOMATIC.name)).stdout
    if distribution(os).manager is APT:
        known = parse_apt_automatic(text)
        obstacles = _apt_obstacles(known, units)
        if not obstacles:
            indexes = security_indexes(observation, os)
            if not indexes:
                raise NotObservedError("the index of the security suite is not there")
            if not any(_covers(known, index, os) for index in indexes):
                obstacles.append("its origins do not cover the security suite")
        return AutomaticUpdates("unattended-upgrades", tuple(obstacles))
    return AutomaticUpdates("dnf-automatic", tuple(_dnf_obstacles(text, units, os)))


def parse_apt_automatic(text: str) -> AptAutomatic:
    """Parse ``package STATUS`` and lines of ``apt-config dump``; of a value the last one counts."""
    installed = False
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("package "):
            installed = line[8:].strip()[1:2] == "i"
        elif found := _SETTING.fullmatch(line.strip()):
            if found[2]:
                lists.setdefault(found[1], []).append(found[3])
            else:
                values[found[1]] = found[3]
        elif line.strip():
            raise garbled(line)
    return AptAutomatic(installed, values, {name: tuple(v) for name, v in lists.items()})


def _apt_obstacles(known: AptAutomatic, units: Units) -> list[str]:
    if not known.installed:
        return ["unattended-upgrades is not installed"]
    found = []
    if known.values.get("APT::Periodic::Enable", "1") == "0":
        found.append('APT::Periodic::Enable is "0"')
    for name in ("Update-Package-Lists", "Unattended-Upgrade"):
        value = known.values.get(f"APT::Periodic::{name}", "0")
        if not _EVERY.fullmatch(value):
            found.append(f'APT::Periodic::{name} is "{value}"')
    timers = [units[name] for name in _TIMERS]
    found += [str(t) for t in timers if not (t.is_enabled and t.is_active)]
    if _ALL_PACKAGES & set(known.lists.get("Unattended-Upgrade::Package-Blacklist", ())):
        found.append("every package is on its blacklist")
    return found


def _covers(known: AptAutomatic, index: AptIndex, os: OsRelease) -> bool:
    """Whether an allowed origin (``ID:SUITE``) or pattern (``key=glob,...``) has the index."""

    def filled(text: str) -> str:
        names = {"distro_id": index.origin, "distro_codename": os.codename}
        for name, value in names.items():
            text = text.replace(f"${{{name}}}", value)
        return text

    origins = map(filled, known.lists.get("Unattended-Upgrade::Allowed-Origins", ()))
    if any(_same(text.split(":", 1), (index.origin, index.suite)) for text in origins):
        return True
    patterns = map(filled, known.lists.get("Unattended-Upgrade::Origins-Pattern", ()))
    return any(_matches(pattern, index) for pattern in patterns)


def _same(globs: Iterable[str], values: tuple[str, str]) -> bool:
    return all(fnmatchcase(v, g.strip()) for g, v in zip(globs, values, strict=False))


def _matches(pattern: str, index: AptIndex) -> bool:
    header = {
        "origin": index.origin,
        "label": index.label,
        "suite": index.suite,
        "codename": index.codename,
    }
    for part in pattern.split(","):
        key, equals, glob = part.strip().partition("=")
        name = _KEYS.get(key, key)
        if not equals or name not in header or not fnmatchcase(header[name], glob):
            return False
    return True


def _dnf_obstacles(text: str, units: Units, os: OsRelease) -> list[str]:
    options: dict[str, str] = {}
    for line in text.splitlines():
        if found := _OPTION.fullmatch(line):
            options[found[1]] = found[2].lower()
        elif line.strip() and not line.startswith("== "):
            raise garbled(line)
    if text.strip() and not options and "[commands]" not in text:
        raise NotObservedError("automatic.conf is not to be read: it has no option")
    installing = units["dnf-automatic-install.timer"].is_enabled
    timers = [n for n in ("dnf-automatic.timer", "dnf5-automatic.timer") if units[n].is_enabled]
    if not installing and not timers:
        return ["no timer of dnf-automatic is enabled"]
    if not installing and options.get("apply_updates") not in _TRUE:
        said = options.get("apply_updates", "not set")
        return [f"{timers[0]} is enabled, but apply_updates is {said}"]
    known = distribution(os)
    if not known.labels_security and options.get("upgrade_type") == "security":
        return [f"upgrade_type is security, and {known.word} labels no update so"]
    return []
