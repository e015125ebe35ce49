"""The catalogue of checks: a decorator, and the page that each check's docstring is."""

from __future__ import annotations

import difflib
import importlib
import inspect
import itertools
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pytest_droplet.controls import Controls, controls_of, is_name
from pytest_droplet.model import API_LISTS, ApiList
from pytest_droplet.redact import redact
from pytest_droplet.words import PROFILES, SEVERITIES, Severity

F = TypeVar("F", bound=Callable[..., None])

ACCOUNT = "droplet_account"
_NO_WAITING = tuple(name for name in API_LISTS if name != "firewalls_again")
_ID = re.compile(r"[a-z0-9]+\.[a-z0-9]+(-[a-z0-9]+)*")
_formerly: dict[str, tuple[str, ...]] = {}
_HEADING = re.compile(r"^([A-Z][A-Za-z ]+):$", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """One check with one choice of its parameters; ``id`` has the parameter in brackets.

    ``facts`` are the names of the function's parameters that are not in ``arguments``. ``hides``
    are the checks of the function that had this one's name before, in its module. ``asked_by`` are
    the ids of requirements that its author gave it.
    """

    base_id: str
    function: Callable[..., None] = field(repr=False)
    severity: Severity
    profiles: tuple[str, ...]
    guide: int | None = None
    references: str = ""
    depends_on: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    without_host: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)
    may_use: tuple[str, ...] = ()
    api: tuple[ApiList, ...] = ()
    asked_by: Controls = field(default_factory=dict)
    hides: tuple[Check, ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def id(self) -> str:
        """The id, with the parameter: ``tls.listening[nginx]``."""
        params = ",".join(self.arguments.values())
        return f"{self.base_id}[{params}]" if params else self.base_id

    @property
    def family(self) -> str:
        """The part of the id before the dot."""
        return self.base_id.partition(".")[0]

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """Names of the facts that the function asks for."""
        names = inspect.signature(self.function).parameters
        return tuple(n for n in names if n not in self.arguments)

    @property
    def of_account(self) -> bool:
        """Whether it judges the account as a whole, once a run."""
        return ACCOUNT in self.facts

    @cached_property
    def controls(self) -> Controls:
        """The requirements of frameworks that ask for it: its author's, or those of the table."""
        return self.asked_by or controls_of(self.id)

    @cached_property
    def doc(self) -> CheckDoc:
        """The page of the check."""
        return CheckDoc.parse(inspect.getdoc(self.function) or self.function.__name__)


@dataclass(frozen=True)
class CheckDoc:
    """A check's docstring: the title (its first line) and its sections by heading."""

    title: str
    sections: Mapping[str, str]

    @property
    def finding(self) -> str:
        """What is wrong where the check fails, in one sentence without its full stop."""
        return " ".join(self.sections.get("Finding", "").split()).removesuffix(".")

    @property
    def rationale(self) -> str:
        """Why it matters."""
        return self.sections.get("Rationale", "")

    @property
    def remediation(self) -> str:
        """How to fix it; shown, never run."""
        return self.sections.get("Remediation", "")

    @classmethod
    def parse(cls, text: str) -> CheckDoc:
        """Parse Google sections: a heading line such as ``Rationale:``, then indented text."""
        title, _, body = text.partition("\n")
        parts = _HEADING.split(body)
        pairs = zip(parts[1::2], parts[2::2], strict=True)
        return cls(
            title.strip().removesuffix("."),
            {name: textwrap.dedent(part).strip("\n") for name, part in pairs},
        )


def check(
    id: str,  # noqa: A002 the field's word
    *,
    severity: Severity = "medium",
    profile: str | Sequence[str] = (),
    guide: int | None = None,
    references: str = "",
    depends_on: Sequence[str] = (),
    rows: Sequence[str] = (),
    without_host: bool = False,
    params: Mapping[str, Sequence[str]] | None = None,
    may_use: Sequence[str] = (),
    api: Sequence[ApiList] = _NO_WAITING,
    formerly: Sequence[str] = (),
    controls: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[F], F]:
    """Make a test function a check: it gets an id and a severity, and runs once per Droplet.

    Args:
        id: ``family.kebab-case``; it never changes meaning.
        severity: critical, high, medium or low.
        profile: Profiles that select it; none: it always runs (a user's own check).
        guide: Number (1 to 10) of the recommendation of DigitalOcean's hardening guide.
        references: Benchmarks and sources, separated by ``;``.
        depends_on: Ids of checks that are judged first on the same facts: where one fails, this
            one fails and names it as the cause; where one is unknown, so is this.
        rows: Names of the facts whose rows an account-wide check reads: every host is read.
        without_host: Judge it also where the host is off or did not answer: its facts of the host
            are missing then, and what the API says may prove a failure alone.
        params: Values for parameters of the function that are not facts; each combination is a
            check of its own, with the values in brackets behind the id.
        may_use: Names of facts of the host whose rows an account-wide check looks at where the
            host is read anyway.
        api: Lists of the API that an account-wide check looks at; for any other check its facts
            tell. Left out: all but those that make a run wait.
        controls: Ids of the requirements that ask for it, by framework and version:
            ``{"pci-dss-4.0.1": ["1.3.1"]}``.
        formerly: Ids that it had before, the oldest first, without parameters: its findings are
            known by the oldest, so that baselines and history go on, and waivers may name any.

    Raises:
        TypeError: ``controls`` is no table.
        ValueError: The id or a former one is malformed, the severity, profile or list is not
            known, ``controls`` are no lists of ids, a value of ``params``, which would stand in the id, looks like a secret, or
            ``rows`` are asked for by a check of single Droplets.
    """
    profiles = (profile,) if isinstance(profile, str) else tuple(profile)
    if not _ID.fullmatch(id):
        msg = f"check id {id!r}: write it as family.kebab-case"
        raise ValueError(msg)
    if severity not in SEVERITIES:
        msg = f"check {id}: severity {severity!r} is none of {', '.join(SEVERITIES)}"
        raise ValueError(msg)
    if wrong := set(profiles) - set(PROFILES):
        msg = f"check {id}: profile {wrong.pop()!r} is none of {', '.join(PROFILES)}"
        raise ValueError(msg)

    if any(redact(value) != value for values in (params or {}).values() for value in values):
        msg = f"check {id}: a value of params looks like a secret; give its name, and look it up"
        raise ValueError(msg)
    if strange := set(api) - set(API_LISTS):
        msg = f"check {id}: {min(strange)!r} is no list of the API: {', '.join(API_LISTS)}"
        raise ValueError(msg)

    if wrong_ids := [old for old in formerly if old == id or not _ID.fullmatch(old)]:
        msg = f"check {id}: formerly={wrong_ids[0]!r}: write an id that it had, family.kebab-case"
        raise ValueError(msg)

    asked_by = _controls(id, {} if controls is None else controls)

    def decorate(function: F) -> F:
        _formerly[id] = tuple(formerly)
        identity.cache_clear()
        if rows and ACCOUNT not in inspect.signature(function).parameters:
            msg = f"check {id}: rows= is for checks that take {ACCOUNT}; take the facts themselves"
            raise ValueError(msg)
        namespace = getattr(inspect.unwrap(function), "__globals__", {})
        hides = checks_of(namespace.get(getattr(function, "__qualname__", "")))
        grid = itertools.product(*((params or {}).values()))
        function.__droplet_checks__ = tuple(  # type: ignore[attr-defined]
            Check(
                base_id=id,
                function=function,
                severity=severity,
                profiles=profiles,
                guide=guide,
                references=references,
                depends_on=tuple(depends_on),
                rows=tuple(rows),
                without_host=without_host,
                arguments=dict(zip(params or {}, values, strict=True)),
                may_use=tuple(may_use),
                api=tuple(api),
                asked_by=asked_by,
                hides=hides,
            )
            for values in grid
        )
        return function

    return decorate


def _controls(check_id: str, controls: Mapping[str, Sequence[str]]) -> Controls:
    if not isinstance(controls, Mapping):
        msg = f"check {check_id}: controls={controls!r}: write a table, {{framework: [ids]}}"
        raise TypeError(msg)
    for framework, ids in controls.items():
        if not is_name(framework):
            msg = f"check {check_id}: controls[{framework!r}]: write the name of a framework"
            raise ValueError(msg)
        if not isinstance(ids, list | tuple) or not ids or not all(map(is_name, ids)):
            msg = f"check {check_id}: controls[{framework!r}] = {ids!r}: write a list of ids"
            raise ValueError(msg)
    return {framework: tuple(dict.fromkeys(ids)) for framework, ids in controls.items()}


def names_of(check_id: str) -> tuple[str, ...]:
    """Return the id of a check, and those that it had before, the oldest first.

    All have the parameter of ``check_id``, which may be the node id of an ordinary test, too.
    """
    base, bracket, parameter = check_id.partition("[")
    return check_id, *(f"{old}{bracket}{parameter}" for old in _formerly.get(base, ()))


def nearest(name: str) -> str | None:
    """Return the id, or the pattern of ids, of shipped checks that a mistyped one means."""
    known = dict.fromkeys(text for i in shipped() for text in (i, i.partition("[")[0]))
    alike = difflib.get_close_matches(name, list(known), n=1, cutoff=0.8)
    if alike:
        return str(alike[0])
    family, dot, rest = name.partition(".")
    families = {text.partition(".")[0] for text in known}
    alike = difflib.get_close_matches(family, families, n=1, cutoff=0.8)
    return f"{alike[0]}{dot}{rest}" if alike and family not in families and dot else None


@lru_cache(maxsize=1024)
def identity(check_id: str) -> str:
    """Return the oldest id of a check, which its findings are known by."""
    current, *former = names_of(check_id)
    return former[0] if former else current


def checks_of(function: Any) -> tuple[Check, ...]:
    """Return the checks that a function was decorated as; none for any other object."""
    found: tuple[Check, ...] = getattr(function, "__droplet_checks__", ())
    return found


def checks_in(module: object) -> Iterator[Check]:
    """Yield the checks of a module in the order of their definition."""
    for value in vars(module).values():
        if callable(value) and getattr(value, "__module__", None) == getattr(
            module, "__name__", None
        ):
            yield from checks_of(value)


@cache
def shipped() -> Mapping[str, Check]:
    """Return every shipped check by its id, in the order of the modules' names."""
    package = importlib.import_module("pytest_droplet.checks")
    modules = sorted(m.name for m in pkgutil.iter_modules(package.__path__))
    found = (importlib.import_module(f"pytest_droplet.checks.{name}") for name in modules)
    return {c.id: c for module in found for c in checks_in(module)}


def source_path(chosen: Check) -> Path:
    """Return the file that defines the check."""
    return Path(chosen.function.__code__.co_filename)
