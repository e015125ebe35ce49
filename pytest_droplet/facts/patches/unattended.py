"""Which archives unattended-upgrades takes updates from, and what keeps it from taking them.

Source: unattended-upgrades 2.9.1, ``get_allowed_origins`` and ``match_whitelist_string``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from string import Template

from pytest_droplet.facts.host.whole import garbled
from pytest_droplet.model import NotObservedError
from pytest_droplet.text import one_line

_SETTING = re.compile(r'([\w-]+(?:::[^\s"]*)?) "(.*)";')
_EVERY = re.compile(r"always|[1-9][0-9]*[smhd]?")
_TRUE = frozenset({"yes", "true", "with", "on", "enable"})
_EVERY_NAME = re.compile(r"\^?\(?((\.|\\w|\[a-z0-9\])[*+]?|\.[*+]\$?)?\)?")
"""Regular expressions that every name of a package begins with."""

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAY = frozenset({*_DAYS, *(day[:3] for day in _DAYS), *"0123456"})
_UNESCAPED_COLON = re.compile(r"(?<!\\):")
_KEYS = {
    "o": "origin",
    "l": "label",
    "a": "suite",
    "archive": "suite",
    "n": "codename",
    "c": "component",
    "origin": "origin",
    "label": "label",
    "suite": "suite",
    "codename": "codename",
    "component": "component",
    "site": "site",
}


@dataclass(frozen=True, slots=True)
class Archive:
    """What a pattern of origins is held against: fields of a Release file, and where it is from.

    ``site`` is the host of the address; ``component`` the part of the suite that counts.
    """

    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    component: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True)
class AptAutomatic:
    """apt's settings for automatic updates; ``installed`` is the package unattended-upgrades.

    Names are in small letters, as apt tells no others apart. ``lists`` has what stands one step
    below a name, in order.
    """

    installed: bool
    values: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def value(self, name: str, default: str = "") -> str:
        """Return a setting of ``APT::Periodic`` or ``Unattended-Upgrade``."""
        return self.values.get(name.lower(), default)

    def listed(self, name: str) -> tuple[str, ...]:
        """Return a list of ``Unattended-Upgrade``, without empty words."""
        return tuple(filter(None, self.lists.get(f"unattended-upgrade::{name.lower()}", ())))

    def is_on(self, name: str) -> bool:
        """Whether a setting is yes in one of apt's words, or another number than 0."""
        value = self.value(f"Unattended-Upgrade::{name}").lower()
        return value in _TRUE or (value.isdecimal() and int(value[:9]) != 0)


def parse_settings(text: str) -> AptAutomatic:
    """Parse ``package STATUS`` and lines of ``apt-config dump``; of a value the last one counts."""
    installed = False
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("package "):
            installed = line[8:].strip()[1:2] == "i"
        elif found := _SETTING.fullmatch(line.strip()):
            name = found[1].lower()
            values[name] = found[2]
            lists.setdefault(name.rpartition("::")[0], []).append(found[2])
        elif line.strip():
            raise garbled(line)
    return AptAutomatic(installed, values, {name: tuple(v) for name, v in lists.items()})


def obstacles(known: AptAutomatic) -> Iterator[str]:
    """Yield what in apt's settings keeps security updates from being installed."""
    if not known.installed:
        yield "unattended-upgrades is not installed"
        return
    if known.value("APT::Periodic::Enable", "1") == "0":
        yield 'APT::Periodic::Enable is "0"'
    for name in ("Update-Package-Lists", "Unattended-Upgrade"):
        value = known.value(f"APT::Periodic::{name}", "0")
        if not _EVERY.fullmatch(value):
            yield f'APT::Periodic::{name} is "{value}"'
    if any(_EVERY_NAME.fullmatch(word) for word in known.listed("Package-Blacklist")):
        yield "every package is on its blacklist"
    for name in ("Package-Blacklist", "Package-Whitelist"):
        if broken := [word for word in known.listed(name) if word[0] in "*+?"]:
            yield f"{broken[0]} of its {name} is no regular expression: it ends there"
    allowed = known.listed("Package-Whitelist")
    whole = any(_EVERY_NAME.fullmatch(word) for word in allowed)
    if allowed and not whole and known.is_on("Package-Whitelist-Strict"):
        yield f"its Package-Whitelist-Strict lets through only {' '.join(allowed)}"
    if known.is_on("InstallOnShutdown"):
        yield "InstallOnShutdown leaves them until the host goes down"


def remarks(known: AptAutomatic) -> Iterator[str]:
    """Yield what makes the claim smaller, but does not refute it.

    Raises:
        NotObservedError: No day of ``Update-Days`` is one in English.
    """
    if blocked := known.listed("Package-Blacklist"):
        yield f"not those on its Package-Blacklist: {' '.join(blocked)}"
    if preferred := known.listed("Package-Whitelist"):
        yield f"it has a Package-Whitelist: {' '.join(preferred)}"
    if days := known.listed("Update-Days"):
        if not any(day.lower() in _DAY for day in days):
            raise NotObservedError(one_line(f"Update-Days {' '.join(days)} names no known day"))
        yield f"only on its Update-Days: {' '.join(days)}"


def allows(known: AptAutomatic, archive: Archive, names: Mapping[str, str]) -> bool:
    """Tell whether updates of an archive are among those that are installed.

    Args:
        known: The settings.
        archive: Where the update is from.
        names: ``distro_id`` and ``distro_codename`` of the host.

    Raises:
        NotObservedError: unattended-upgrades does not take a pattern, and ends there.
    """
    patterns = [*map(_modern, known.listed("Allowed-Origins")), *known.listed("Origins-Pattern")]
    answers = [_matches(pattern, archive, names) for pattern in patterns]
    return True in answers


def _modern(text: str) -> str:
    """Return the pattern for an old one, ``ID:SUITE`` or ``ID SUITE``."""
    words = _UNESCAPED_COLON.split(text) if _UNESCAPED_COLON.search(text) else text.split()
    if len(words) != 2:
        raise _not_taken(text)
    origin, suite = (re.sub(r"([^\\]),", r"\1\\,", w) for w in words)
    origin = origin.replace("\\:", ":")
    return f"o={origin},a={suite}"


def _matches(pattern: str, archive: Archive, names: Mapping[str, str]) -> bool:
    text = _filled(pattern, names).strip().replace(r"\,", "%2C")
    answers = []
    for token in text.split(",") if text else ():
        words = [word.strip().replace("%2C", ",") for word in token.split("=")]
        if len(words) != 2 or words[0] not in _KEYS:
            raise _not_taken(pattern)
        glob = _filled(words[1], names)
        answers.append(fnmatchcase(getattr(archive, _KEYS[words[0]]), glob))
    return bool(answers) and all(answers)


def _filled(text: str, names: Mapping[str, str]) -> str:
    try:
        return Template(text).substitute(names)
    except (KeyError, ValueError):
        raise _not_taken(text) from None


def _not_taken(pattern: str) -> NotObservedError:
    return NotObservedError(one_line(f"unattended-upgrades does not take the origin {pattern!r}"))
