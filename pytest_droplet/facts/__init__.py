"""Facts: what is known of a host or of the account, each parsed by a pure function.

A fact is a function decorated with :func:`fact`; its name is the parameter and the fixture that
checks and tests ask for. It takes an :class:`Observation` and other facts by parameter, and
returns a frozen dataclass (or a tuple of them) whose ``str()`` is one line of evidence: no key
material, no hash, no token.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_origin

from pytest_droplet.model import (
    API_LISTS,
    ApiList,
    Droplet,
    Evidence,
    HostReading,
    Inventory,
    Item,
    NotObservedError,
    NotReachedError,
    Probe,
    Reading,
    Section,
    SectionOutput,
    Verdict,
)
from pytest_droplet.redact import redact

if TYPE_CHECKING:
    from pytest_droplet.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Taken = Literal["value", "reading", "given", "observation"]
"""What a fact gets for a parameter: a fact's value, its Reading, what is given, what it sees."""


class FactError(ValueError):
    """A fact takes itself by way of others, or one that does not exist: one line."""


class UndeclaredError(TypeError):
    """A fact read a section or probe that it does not declare."""


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """A registered fact: how a person would read it, and what must be read for it.

    ``sections`` and ``probes`` are its own; ``parameters`` has what its function takes, and how:
    what the facts among them need is needed for it too. ``may_use`` names those that it can do
    without: what they need is read where the host is read anyway. ``api`` has the lists of the
    API that it looks at.
    """

    name: str
    source: str
    read: Callable[..., Any]
    doc: str
    sections: tuple[Section, ...] = ()
    probes: tuple[Probe, ...] = ()
    row: Callable[[Any], Any] | None = None
    items: Callable[[Any], Iterable[Item]] | None = None
    may_use: tuple[str, ...] = ()
    api: tuple[ApiList, ...] = ()
    parameters: Mapping[str, Taken] = field(default_factory=dict)

    @property
    def of_host(self) -> bool:
        """Whether the host itself must be reached for it, or for a fact that it takes."""
        known = _of_host.get(self)
        if known is None:
            every = (self, *needed(self.needs))
            known = _of_host[self] = any(f.sections or f.probes for f in every)
        return known

    @property
    def needs(self) -> tuple[str, ...]:
        """The facts that it takes and cannot do without."""
        return tuple(
            name
            for name, how in self.parameters.items()
            if how in {"value", "reading"} and name not in self.may_use
        )


class Observation:
    """What a fact sees of one Droplet: the API's view, and of the host what the fact declares.

    ``now`` is the time that ages and dates are judged at: the recording's in a replay.
    ``source`` is the fact's own: where that names what different hosts have, the fact says here
    what this one was asked.
    """

    def __init__(self, wanted: Fact, seen: DropletFacts) -> None:
        self.source = wanted.source
        self.droplet = seen.droplet
        self.inventory = seen.inventory
        self.settings = seen.settings
        self.now = seen.now
        self._fact = wanted
        self._host = seen.host
        self._parsed = seen.parsed

    @property
    def host(self) -> HostReading:
        """The host's reading, with the declared sections and probes alone."""
        names = {section.name for section in self._fact.sections}
        probes = {probe.name for probe in self._fact.probes}
        return replace(
            self._host,
            sections={n: s for n, s in self._host.sections.items() if n in names},
            probes={n: p for n, p in self._host.probes.items() if n in probes},
        )

    def section(self, name: str, *, complete: bool = True) -> SectionOutput:
        """Return a declared section of the host script; see :meth:`HostReading.section`."""
        if all(section.name != name for section in self._fact.sections):
            raise UndeclaredError(
                f"{self._fact.name} reads the section {name!r}: declare it with sections="
            )
        return self._host.section(name, complete=complete)

    def parsed(self, name: str, parse: Callable[[SectionOutput], T]) -> T:
        """Return what a parser makes of a declared section: once a host, whichever facts ask.

        Raises:
            NotObservedError: The section was not read, or its parser does not understand it.
        """
        output = self.section(name)
        known = self._parsed.get((name, parse))
        if known is None:
            try:
                known = parse(output), None
            except NotObservedError as exc:
                known = None, str(exc)
            self._parsed[name, parse] = known
        value, missing = known
        if missing is not None:
            raise NotObservedError(missing)
        return cast("T", value)

    def probe(self, name: str) -> Any:
        """Return a declared probe's result; see :meth:`HostReading.probe`."""
        if all(probe.name != name for probe in self._fact.probes):
            raise UndeclaredError(
                f"{self._fact.name} reads the probe {name!r}: declare it with probes="
            )
        return self._host.probe(name)


class DropletFacts:
    """The facts of one Droplet: the API's view, the host's reading, the settings, and the rest.

    Facts are parsed when first asked for, and kept; so are sections that several facts parse alike
    (``parsed``), the verdicts that were given and the evidence that was shown. ``told`` are the
    facts whose whole evidence the record has. ``now`` is the time that ages and dates are judged
    at: the recording's in a replay.
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
        self.told: set[str] = set()
        self.parsed: dict[tuple[str, Callable[..., Any]], tuple[Any, str | None]] = {}
        self._readings: dict[str, Reading[Any]] = {}

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
        seen = Observation(wanted, self)
        try:
            value = wanted.read(**self.arguments(wanted, seen))
            return Reading(seen.source, when, value=value)
        except (NotObservedError, UndeclaredError) as exc:
            unreached = isinstance(exc, NotReachedError)
            return Reading(seen.source, when, None, redact(str(exc)), unreached)
        except Exception as exc:  # noqa: BLE001 hostile input: whatever a parser raises is "unread"
            reason = f"the answer could not be parsed ({type(exc).__name__}: {exc})"
            return Reading(seen.source, when, missing=redact(reason)[:300])

    def arguments(self, wanted: Fact, seen: Observation) -> dict[str, Any]:
        """Return what a fact's function is called with.

        Raises:
            NotObservedError: A fact is missing whose value it takes.
        """
        arguments: dict[str, Any] = {}
        for name, how in wanted.parameters.items():
            match how:
                case "value":
                    reading = self.reading(name)
                    if reading.missing is not None:
                        raise reading.error(reading.missing)
                    arguments[name] = reading.value
                case "reading":
                    arguments[name] = self.reading(name)
                case "given":
                    arguments[name] = GIVEN[name](self)
                case "observation":
                    arguments[name] = seen
        return arguments


GIVEN: Mapping[str, Callable[[DropletFacts], Any]] = {
    "droplet": lambda seen: seen.droplet,
    "droplet_settings": lambda seen: seen.settings,
    "droplet_now": lambda seen: seen.now,
}
"""What a fact or a check may have as a parameter beside facts."""


def _taken(parameter: Parameter) -> Taken:
    if parameter.name in GIVEN:
        return "given"
    if not parameter.name.startswith("droplet_"):
        return "observation"
    annotation = parameter.annotation
    written = isinstance(annotation, str) and annotation.startswith("Reading[")
    return "reading" if written or get_origin(annotation) is Reading else "value"


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
_closures: dict[tuple[str, ...], tuple[Fact, ...]] = {}
_of_host: dict[Fact, bool] = {}


def fact(
    source: str,
    *,
    sections: tuple[Section, ...] = (),
    probes: tuple[Probe, ...] = (),
    row: Callable[[Any], Any] | None = None,
    items: Callable[[Any], Iterable[Item]] | None = None,
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
        items: Gives all that the value lists, as JSON objects: the record has them whole where
            ``str()`` of the value does not. Left out: that text is all there is to say.
        may_use: Names of facts of the host that it takes, but can do without: what they need is
            read where the host is read anyway.
        api: Lists of the API that it looks at in ``observation.inventory``; those of the facts
            that it takes are asked for too, and no others.

    The function's parameters are what it is made of: other facts by their names, ``droplet``,
    ``droplet_settings``, ``droplet_now``. Where a fact that it takes is missing, so is this one,
    for the same reason; one that is annotated with ``Reading[...]`` comes as its Reading instead,
    for a fact that can be had without. A parameter of another name is the :class:`Observation`.

    Raises:
        ValueError: Two facts have one name, it does not start with ``droplet_``, there is no such
            list, or what it may use is no parameter annotated with ``Reading[...]``.
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
        parameters = {n: _taken(p) for n, p in signature(function).parameters.items()}
        if eager := [n for n in may_use if parameters.get(n) != "reading"]:
            msg = f"fact {name!r}: what it may use it takes as Reading[...]: {eager[0]}"
            raise ValueError(msg)
        _closures.clear()
        _of_host.clear()
        _facts[name] = Fact(
            name=name,
            source=source,
            read=function,
            doc=function.__doc__ or "",
            sections=sections + tuple(s for p in probes for s in p.sections),
            probes=probes,
            row=row,
            items=items,
            may_use=may_use,
            api=api,
            parameters=parameters,
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


def section_masks() -> Mapping[str, Callable[[str], str]]:
    """Return what a recording keeps of sections' output, by name, where that is not all."""
    sections = (section for fact in all_facts().values() for section in fact.sections)
    return {section.name: section.mask for section in sections if section.mask is not None}


def needed(names: Iterable[str]) -> tuple[Fact, ...]:
    """Return the facts of these names and all that must be had for them, each once.

    Names that are no facts, as ``droplet``, are left out.

    Raises:
        FactError: A fact takes itself by way of others, or one that does not exist.
    """
    asked = tuple(names)
    known = _closures.get(asked)
    if known is None:
        found: dict[str, Fact] = {}
        for name in asked:
            if name in all_facts():
                _follow(name, (), found)
        known = _closures[asked] = tuple(found.values())
    return known


def broken() -> str | None:
    """Return why some fact can never be had, one line; None: all can."""
    try:
        for name in all_facts():
            _follow(name, (), {})
    except FactError as exc:
        return str(exc)
    return None


def _follow(name: str, path: tuple[str, ...], found: dict[str, Fact]) -> None:
    if name in path:
        circle = " -> ".join((*path[path.index(name) :], name))
        raise FactError(f"facts take each other in a circle: {circle}")
    if name in found:
        return
    known = all_facts()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise FactError(f"the fact {path[-1]} takes {name}, which is no fact{hint}")
    for taken in known[name].needs:
        _follow(taken, (*path, name), found)
    found[name] = known[name]
