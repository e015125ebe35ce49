"""What a record says of each requirement of a framework: a cross-reference, not a certification.

A requirement is ``not met`` where a check that it asks for failed (a waiver accepts the finding,
and changes nothing of what was seen), else ``not observed`` where one could not be told, else
``met`` where one passed. Of any other nothing here looks at it: its checks did not run, or had
nothing to judge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_droplet.controls import table
from pytest_droplet.record import CheckEntry
from pytest_droplet.report.document import Document
from pytest_droplet.tables import VERDICTS, State
from pytest_droplet.text import one_line

Standing = Literal["not met", "not observed", "met", "nothing here looks at it"]
_WORST_FIRST: Mapping[State, Standing] = {
    "not-met": "not met",
    "not-told": "not observed",
    "met": "met",
}
NOTHING: Standing = "nothing here looks at it"
STANDINGS = (*_WORST_FIRST.values(), NOTHING)


@dataclass(frozen=True)
class Requirement:
    """One requirement; ``checks`` are those of the record that it asks for, by id."""

    framework: str
    id: str
    standing: Standing
    checks: tuple[str, ...]


def requirements(document: Document) -> list[Requirement]:
    """Return every requirement that a check of the record, or any shipped one, is asked for by.

    They are in the order of the frameworks, then of their ids.
    """
    return standings(document.checks, _states(document))


def standings(
    pages: Mapping[str, CheckEntry], seen: Mapping[str, set[State]]
) -> list[Requirement]:
    """Return what :func:`requirements` does, from the pages of checks and what was said of each."""
    asking: dict[tuple[str, str], list[str]] = {key: [] for key in _of_table()}
    for check, page in pages.items():
        for framework, ids in (page.get("controls") or {}).items():
            for one in ids:
                key = one_line(framework, 100), one_line(one, 100)
                asking.setdefault(key, []).append(check)
    found = [
        Requirement(*key, _standing([seen.get(check, set()) for check in checks]), tuple(checks))
        for key, checks in asking.items()
    ]
    places = {name: place for place, name in enumerate(table()["frameworks"])}
    return sorted(
        found,
        key=lambda r: (places.get(r.framework, len(places)), r.framework, _in_order(r.id)),
    )


def by_framework(document: Document) -> Mapping[str, Mapping[Standing, list[str]]]:
    """Return the ids of the frameworks by standing, without those that nothing here looks at."""
    found: dict[str, dict[Standing, list[str]]] = {}
    for one in requirements(document):
        if one.standing != NOTHING:
            found.setdefault(one.framework, {}).setdefault(one.standing, []).append(one.id)
    return found


def title(framework: str) -> str:
    """Return the name of a framework for people; that of a site's own is its key."""
    known = table()["frameworks"].get(framework)
    return f"{known['title']} {known['version']}" if known else framework


def _states(document: Document) -> Mapping[str, set[State]]:
    states: defaultdict[str, set[State]] = defaultdict(set)
    for line in document.results():
        states[line["check"]].add(VERDICTS[line["verdict"]].state)
    return states


def _of_table() -> Iterator[tuple[str, str]]:
    for entries in table()["checks"].values():
        for framework, entry in entries.items():
            yield from ((framework, one) for one in entry.get("ids", ()))


def _standing(states: list[set[State]]) -> Standing:
    all_states = set().union(*states)
    return next((word for state, word in _WORST_FIRST.items() if state in all_states), NOTHING)


def _in_order(one: str) -> list[tuple[int, str]]:
    """Return the key that sorts ids as people do: 1.2.1 before 1.10."""
    parts = one.replace("(", ".").replace(")", "").replace("-", ".").split(".")
    return [(int(part) if part.isdecimal() else -1, part) for part in parts]
