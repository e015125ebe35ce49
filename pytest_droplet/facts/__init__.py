"""Facts: what is known of a host or of the account, each parsed by a pure function.

A fact is a function decorated with :func:`fact`; its name is the parameter and the fixture that
checks and tests ask for. It gets an :class:`Observation` and returns a frozen dataclass (or a
tuple of them) whose ``str()`` is one line of evidence: no key material, no hash, no token.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_droplet.model import (
    API_LISTS,
    ApiList,
    Droplet,
    Evidence,
    HostReading,
    Inventory,
    NotObservedError,
    Probe,
    Reading,
    Section,
    SectionOutput,
    Verdict,
)
from pytest_droplet.redact import redact

if TYPE_CHECKING:
    from pytest_droplet.settings import Settings

F = TypeVar("F", bound=Callable[["Observation"], Any])


@dataclass(frozen=True, slots=True)
class Fact:
    """A registered fact: how a person would read it, and what must be read for it.

    A fact with sections or probes is one of the host; one without is drawn from the API alone.
    ``may_use`` names facts of the host that it looks at where the host is read anyway; ``api``
    the lists of the API that it, or a fact that it reads, looks at.
    """

    name: str
    source: str
    read: Callable[[Observation], Any]
    doc: str
    sections: tuple[Section, ...] = ()
    probes: tuple[Probe, ...] = ()
    row: Callable[[Any], Any] | None = None
    may_use: tuple[str, ...] = ()
    api: tuple[ApiList, ...] = ()

    @property
    def of_host(self) -> bool:
        """Whether the host itself must be reached for it."""
        return bool(self.sections or self.probes)


class Observation:
    """All that may be known of one Droplet: the API's view, the host's reading, the settings.

    Facts are parsed when first asked for, and kept; so are the verdicts that were given and the
    evidence that was shown. ``now`` is the time that ages and dates are judged at: the
    recording's in a replay.
    """

    def __init__(
        self,
        droplet: Droplet,
        inventory: Inventory,
        host: HostReading,
        settings: Settings,
        now: datetime,
    ) -> None:
        self.droplet = droplet
        self.inventory = inventory
        self.host = host
        self.settings = settings
        self.now = now
        self.verdicts: dict[str, Verdict] = {}
        self.evidence: dict[str, Evidence] = {}
        self._readings: dict[str, Reading[Any]] = {}

    def section(self, name: str, *, complete: bool = True) -> SectionOutput:
        """Return a section of the host script; see :meth:`HostReading.section`."""
        return self.host.section(name, complete=complete)

    def probe(self, name: str) -> Any:
        """Return a probe's result; see :meth:`HostReading.probe`."""
        return self.host.probe(name)

    def fact(self, name: str) -> Any:
        """Return the value of another fact (NotObservedError where it is missing)."""
        return self.reading(name).get()

    def reading(self, name: str) -> Reading[Any]:
        """Return the Reading of a fact, parsing it at the first call.

        A parser that breaks on what the host printed makes the fact missing, never the run.
        """
        known = self._readings.get(name)
        if known is None:
            known = self._readings[name] = self._read(all_facts()[name])
        return known

    def rows(self, names: Iterable[str]) -> dict[str, Reading[Any]]:
        """Return the rows of the named facts, for the account-wide checks."""
        kept: dict[str, Reading[Any]] = {}
        for name in names:
            read, make = self.reading(name), all_facts()[name].row
            if make is not None:
                kept[name] = (
                    read if read.missing is not None else replace(read, value=make(read.value))
                )
        return kept

    def _read(self, wanted: Fact) -> Reading[Any]:
        when = self.host.observed_at if wanted.of_host else self.inventory.read_at
        try:
            return Reading(wanted.source, when, value=wanted.read(self))
        except NotObservedError as exc:
            return Reading(wanted.source, when, missing=redact(str(exc)))
        except Exception as exc:  # noqa: BLE001 hostile input: whatever a parser raises is "unread"
            reason = f"the answer could not be parsed ({type(exc).__name__}: {exc})"
            return Reading(wanted.source, when, missing=redact(reason)[:300])


@dataclass(frozen=True)
class Account:
    """The account as a whole, for checks that ask for ``droplet_account``.

    ``rows`` holds, by Droplet id and fact name, the rows of the selected Droplets that host
    facts can be had of; a Droplet that could not be read has Readings that are missing.
    """

    inventory: Inventory
    rows: Mapping[int, Mapping[str, Reading[Any]]]
    settings: Settings
    now: datetime


def unread_rows(when: datetime, reason: str) -> dict[str, Reading[Any]]:
    """Return the rows of a Droplet whose host nobody read: each is missing, for this reason."""
    return {
        fact.name: Reading(fact.source, when, missing=reason)
        for fact in all_facts().values()
        if fact.row is not None
    }


_facts: dict[str, Fact] = {}


def fact(
    source: str,
    *,
    sections: tuple[Section, ...] = (),
    probes: tuple[Probe, ...] = (),
    row: Callable[[Any], Any] | None = None,
    may_use: tuple[str, ...] = (),
    api: tuple[ApiList, ...] = (),
) -> Callable[[F], F]:
    """Register a function as the fact of its name.

    Args:
        source: What a person would type to see the same: a command, ``GET /v2/...``.
        sections: Pieces of the host script that it parses.
        probes: What it needs observed from the auditor's side.
        row: Makes JSON-able data of the value, which is kept for every Droplet until the end of
            the run, for the checks that judge the account as a whole. No key material in it.
        may_use: Names of facts of the host that it reads, but can do without: what they need is
            read where the host is read anyway.
        api: Lists of the API that it looks at in ``observation.inventory``, and those of the
            facts that it reads: no other list is asked for.

    Raises:
        ValueError: Two facts have one name, it does not start with ``droplet_``, or there is no
            such list.
    """

    def register(function: F) -> F:
        name = function.__name__
        if not name.startswith("droplet_"):
            msg = f"fact {name!r}: its name must start with 'droplet_'"
            raise ValueError(msg)
        if strange := set(api) - set(API_LISTS):
            msg = f"fact {name!r}: {min(strange)!r} is no list of the API: {', '.join(API_LISTS)}"
            raise ValueError(msg)
        known = _facts.get(name)
        if known is not None and known.read.__code__.co_filename != function.__code__.co_filename:
            msg = f"fact {name!r} is already defined in {known.read.__module__}"
            raise ValueError(msg)
        probe_sections = tuple(s for p in probes for s in p.sections)
        doc = function.__doc__ or ""
        _facts[name] = Fact(
            name, source, function, doc, sections + probe_sections, probes, row, may_use, api
        )
        return function

    return register


@cache
def _load_shipped() -> None:
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        importlib.import_module(module.name)


def all_facts() -> Mapping[str, Fact]:
    """Return every registered fact by name; the shipped ones are imported at the first call."""
    _load_shipped()
    return _facts
