"""Cases: a root that is dressed in some way, the sections that read it, and what they are."""

from __future__ import annotations

import fcntl
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from pytest_droplet.connection import identity, script
from pytest_droplet.facts import DropletFacts, all_facts
from pytest_droplet.model import Section, SectionOutput
from tests.checks import cases

from .points import traced
from .root import Printed, Run, lower, read_in

F = TypeVar("F", bound=Callable[..., None])

SHELLS = ("dash", "bash", "busybox")
AWKS = ("mawk", "gawk", "busybox")
USUAL = ("dash", "mawk")
MATRIX = tuple((shell, awk) for shell in SHELLS for awk in AWKS)
TRACED = "traced"
_TRACED_BY = ("bash", "gawk")
DROPLET_ID = 1
_NONCE = "sections"


@dataclass(frozen=True, eq=False)
class Case:
    """One way of dressing a root, and the sections that are run in it.

    Attributes:
        name: The test that is about it.
        sections: The names of what is composed; the first is what the case is for.
        root: The lab's name of the root.
        prepare: Shell text that is run inside before; what it starts runs on.
        files: Text by absolute path, written before that.
        as_user: ``UID:GID`` of a login that is not root's; "" for root.
        without: Capabilities that the login lacks, as setpriv(1) names them, each after a minus.
        base: The case file below ``tests/checks/_bases`` that has the sections that are not run:
            for what only a booted host tells.
        matrix: Whether all shells and awks run it, not the usual ones alone.
    """

    name: str
    sections: tuple[str, ...]
    root: str = "bookworm"
    prepare: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    as_user: str = ""
    without: str = ""
    base: str = ""
    matrix: bool = False

    @property
    def tools(self) -> tuple[tuple[str, str], ...]:
        """The pairs of shell and awk that run it as it is sent."""
        return MATRIX if self.matrix else (USUAL,)

    def answers(self, folder: Path) -> Answers:
        """Return what it printed; it is run once, by whichever process asks first.

        Args:
            folder: Where the processes of a test run keep what was printed.
        """
        if self not in _ANSWERS:
            kept = folder / f"{self.name}.pickle"
            with kept.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not kept.exists():
                    kept.write_bytes(pickle.dumps(self._run()))
            _ANSWERS[self] = self._read(*pickle.loads(kept.read_bytes()))
        return _ANSWERS[self]

    def _run(self) -> tuple[Printed, float]:
        """Return what was printed, the last time with points, and how many seconds all took."""
        sections = self._sections
        text = script.compose(sections, _NONCE)
        tracing = script.compose([traced(section) for section in sections], _NONCE)
        lower(self.root)  # a root that is made now is not of this case
        started = time.monotonic()
        printed = read_in(
            self.root,
            [*(Run(*pair, text) for pair in self.tools), Run(*_TRACED_BY, tracing)],
            files=self.files,
            prepare=self.prepare,
            as_user=self.as_user,
            without=self.without,
        )
        return printed, time.monotonic() - started

    def _read(self, printed: Printed, took_s: float) -> Answers:
        read = [Seen(self._sections, output, self.base) for output in printed.outputs]
        seen = dict(zip((*self.tools, TRACED), read, strict=True))
        return Answers(seen, set(printed.trace.split()), took_s)

    @property
    def _sections(self) -> list[Section]:
        return [known_sections()[name] for name in self.sections]


CASES: dict[str, Case] = {}
_ANSWERS: dict[Case, Answers] = {}


def case(*sections: str, **dressing: Any) -> Callable[[F], F]:
    """Make a case of a test: its fixture ``seen`` is what the sections printed.

    Args:
        sections: Their names; the first is what the case is for.
        dressing: The other attributes of :class:`Case`.
    """

    def register(function: F) -> F:
        name = f"{function.__module__}.{function.__name__}"
        CASES[name] = Case(name, sections, **dressing)
        return function

    return register


@cache
def known_sections() -> Mapping[str, Section]:
    """Return all sections of the host script by name."""
    found = {s.name: s for f in all_facts().values() for s in f.sections}
    own = identity.section(DROPLET_ID)
    return {**found, own.name: own}


class Seen:
    """What the sections of a case printed, by one shell and awk, and what the facts make of it."""

    def __init__(self, sections: list[Section], printed: bytes, base: str) -> None:
        self._base = base
        self.answer = script.parse(printed, sections, _NONCE)
        if not self.answer.complete:
            raise AssertionError(f"the script did not come to its end: {printed[-500:]!r}")

    def __getitem__(self, section: str) -> SectionOutput:
        return self.answer.sections[section]

    @cached_property
    def facts(self) -> DropletFacts:
        """The Droplet as all facts see it; its API answers are those of the case files."""
        root = self.answer.uid == 0
        sections = {
            name: {
                **{key: getattr(output, key) for key in ("stdout", "stderr", "rc", "truncated")},
                "missing": output.missing,
            }
            for name, output in self.answer.sections.items()
        }
        table = {"now": datetime.now(UTC), "host": {"root": root}, "sections": sections}
        if self._base:
            table["base"] = self._base
        return cases.Case(Path("sections.pass.toml"), cases._merge_base(table)).observation()

    def fact(self, name: str) -> Any:
        """Return a fact's value.

        Raises:
            NotObservedError: The fact is not observed.
        """
        return self.facts.reading(name).get()

    def missing(self, name: str) -> str:
        """Return why a fact was not observed; "" where it was."""
        return self.facts.reading(name).missing or ""


@dataclass(frozen=True)
class Answers:
    """What a case printed, the names of the points that it reached, and how long all took."""

    seen: Mapping[Any, Seen]
    reached: set[str]
    took_s: float
