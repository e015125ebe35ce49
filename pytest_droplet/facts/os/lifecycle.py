"""Until when a release gets security updates: the embedded table, applied to a host.

Source of the dates: ``data/endoflife.json``, which names its sources and carries their notices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.os_release import OsRelease, UbuntuPro
from pytest_droplet.facts.patches.apt import APT_INDEX, APT_SOURCES, security_sources
from pytest_droplet.model import Droplet, Item, NotObservedError, Reading, SupportDates
from pytest_droplet.tables import DISTRIBUTIONS, distribution_of
from pytest_droplet.text import one_line

_SLUG = re.compile(r"([a-z]+(?:-stream)?)-(\d+(?:-\d+)?)-x(?:64|32)")
_SLUG_PRODUCTS = {known.slug or known.product: known.product for known in DISTRIBUTIONS}


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the table: the last days of its support, inclusive, in UTC."""

    product: str
    cycle: str
    security_until: date
    active_until: date | None
    extended_until: date | None
    extended_name: str
    latest_known: str


@dataclass(frozen=True, slots=True)
class ReleaseSupport:
    """What counts on this host: the last day, and what it is the last day of.

    ``as_of`` is the age of the table; None where the date is the host's own ``SUPPORT_END``.
    ``remark`` is what else a person should know, such as an extension that is not in effect.
    """

    name: str
    until: date
    phase: str
    as_of: date | None
    remark: str = ""

    @property
    def details(self) -> Item:
        """The release, the phase of its support, and the last day of that."""
        return {"name": self.name, "phase": self.phase, "until": self.until}

    def __str__(self) -> str:
        origin = f"table of {self.as_of}" if self.as_of else "the host's own SUPPORT_END"
        parts = (f"{self.name}: {self.phase} until {self.until}", self.remark, origin)
        return one_line("; ".join(part for part in parts if part))


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The table of releases by product and cycle; ``as_of`` is the day that it was true on."""

    as_of: date
    releases: Mapping[tuple[str, str], Release]


@fact(
    "cat /etc/os-release; the embedded end-of-life table",
    sections=(APT_SOURCES, APT_INDEX),
)
def droplet_release_support(
    observation: Observation,
    droplet_os_release: Reading[OsRelease],
    droplet_ubuntu_pro: Reading[UbuntuPro],
) -> ReleaseSupport:
    """Return until when this host gets security updates.

    An extended programme is looked for on the host only after the standard support has ended.

    Raises:
        NotObservedError: The table has no such release and the host names no later end itself;
            or the host's part in the extended programme could not be read.
    """
    try:
        os = droplet_os_release.get()
    except NotObservedError as exc:
        raise NotObservedError(f"{exc}{_hint(observation)}") from None
    today = observation.now.date()
    table = refreshed(lifecycle(), observation.inventory.support)
    release = release_of(os, table)
    name = os.pretty_name or f"{os.id} {os.version_id}"
    if release is None:
        if os.support_end is not None and os.support_end >= today:
            return ReleaseSupport(name, os.support_end, "support", None, "not in the table")
        raise NotObservedError(
            f"no end-of-life date is known for ID={os.id or '?'} VERSION_ID={os.version_id or '?'}"
        )
    until, extended = release.security_until, release.extended_until
    ended = f"standard support ended {until}"
    if today <= until or extended is None:
        over = release.active_until and release.active_until < today <= until
        remark = f"active support ended {release.active_until}" if over else ""
        return ReleaseSupport(name, until, "security support", table.as_of, remark)
    if today > extended:
        return ReleaseSupport(name, extended, release.extended_name, table.as_of, ended)
    if reason := _not_extended(observation, os, release, droplet_ubuntu_pro):
        remark = f"{release.extended_name} until {extended} needs {reason}"
        return ReleaseSupport(name, until, "security support", table.as_of, remark)
    return ReleaseSupport(name, extended, release.extended_name, table.as_of, ended)


@cache
def lifecycle() -> Lifecycle:
    """Return the embedded table, read once."""
    source = files("pytest_droplet").joinpath("data/endoflife.json")
    return parse_lifecycle(json.loads(source.read_text(encoding="utf-8")))


def refreshed(table: Lifecycle, newer: Reading[tuple[SupportDates, ...]] | None) -> Lifecycle:
    """Return the table with the dates that endoflife.date has, where they were asked for.

    They add releases and let support end earlier. They never let it end later: dates there have
    been too late before.
    """
    if newer is None or newer.missing is not None:
        return table
    releases = dict(table.releases)
    for dates in newer.get():
        place = (dates.product, dates.cycle)
        known = releases.get(place)
        if known is not None:
            releases[place] = replace(
                known,
                security_until=_earlier(known.security_until, dates.security_until),
                active_until=known.active_until
                and _earlier(known.active_until, dates.active_until),
                extended_until=known.extended_until
                and _earlier(known.extended_until, dates.extended_until),
            )
        elif dates.security_until is not None:
            until, active = dates.security_until, dates.active_until
            releases[place] = Release(*place, until, active, None, "", "")
    return Lifecycle(newer.observed_at.date(), releases)


def changes(table: Lifecycle, newer: Reading[tuple[SupportDates, ...]]) -> str:
    """Say in one line what newer dates change of the releases that are supported on their day."""
    today, known = newer.observed_at.date(), table.releases
    after = refreshed(table, newer).releases
    added = [p for p, r in after.items() if p not in known and r.security_until >= today]
    sooner = [p for p, r in known.items() if _last(after[p]) < _last(r) and _last(r) >= today]
    parts = [
        f"{word} {', '.join(map(' '.join, sorted(places)))}"
        for word, places in (("new are", added), ("sooner end", sooner))
        if places
    ]
    return one_line("; ".join(parts), 500) or f"as in the table of {table.as_of}"


def _last(release: Release) -> date:
    return max(release.security_until, release.extended_until or release.security_until)


def _earlier(known: date, other: date | None) -> date:
    return known if other is None else min(known, other)


def parse_lifecycle(table: Mapping[str, Any]) -> Lifecycle:
    """Parse the table (KeyError, ValueError: it is not of schema 1)."""
    return Lifecycle(
        as_of=date.fromisoformat(table["as_of"]),
        releases={
            (slug, entry["cycle"]): Release(
                product=slug,
                cycle=entry["cycle"],
                security_until=date.fromisoformat(entry["security_support_until"]),
                active_until=_date(entry["active_support_until"]),
                extended_until=_date(entry["extended_support_until"]),
                extended_name=entry["extended_support_name"] or "",
                latest_known=entry["latest_known"] or "",
            )
            for slug, product in table["products"].items()
            for entry in product["releases"]
        },
    )


def release_of(os: OsRelease, table: Lifecycle) -> Release | None:
    """Return the release of a host; None: the table has none such."""
    known = distribution_of(os.id, os.name)
    if known is None:
        return None
    cycle = os.version_id if known.full_version else os.major
    return table.releases.get((known.product, cycle))


def _not_extended(
    observation: Observation, os: OsRelease, release: Release, programme: Reading[UbuntuPro]
) -> str:
    """Return what the extended programme lacks on this host, empty where it is in effect."""
    if release.product == "ubuntu":
        pro = programme.get()
        return "" if pro.esm_infra else f"Ubuntu Pro with esm-infra; {pro}"
    if release.product == "debian":
        if security_sources(observation, os):
            return ""
        return f"the source {os.codename}-security, which is not enabled"
    return "a programme that is not counted"


def _hint(observation: Observation) -> str:
    slug = _slug(observation.droplet)
    found = _SLUG.fullmatch(slug)
    if found is None:
        return ""
    product = _SLUG_PRODUCTS.get(found[1], "")
    table = refreshed(lifecycle(), observation.inventory.support)
    release = table.releases.get((product, found[2].replace("-", ".")))
    if release is None:
        return ""
    last = _last(release)
    if observation.now.date() <= last:
        return ""
    return f"; it was created from {slug}, whose support ended {last}"


def _slug(droplet: Droplet) -> str:
    return droplet.image.slug or ""


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
