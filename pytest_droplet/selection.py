"""The selector language of ``--droplets``: which Droplets of the account a run is about."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_droplet.model import Droplet
from pytest_droplet.text import one_line

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Key:
    """What a key looks at: the values, their name, the API's field, the scope that shows it."""

    values: Callable[[Droplet], tuple[str | None, ...]]
    plural: str
    field: str
    scope: str


_KEYS = {
    "tag": _Key(lambda d: d.tags, "tags", "tags", "tag:read"),
    "name": _Key(lambda d: (d.name,), "names", "name", "droplet:read"),
    "id": _Key(lambda d: (str(d.id),), "ids", "id", "droplet:read"),
    "region": _Key(lambda d: (d.region,), "regions", "region", "droplet:read"),
    "vpc": _Key(lambda d: (d.vpc_uuid,), "VPCs", "vpc_uuid", "vpc:read"),
    "image": _Key(lambda d: (d.image.slug, d.image.distribution), "images", "image", "image:read"),
    "size": _Key(lambda d: (d.size,), "sizes", "size_slug", "droplet:read"),
    "project": _Key(lambda d: (d.project,), "projects", "project", "project:read"),
}


class SelectionError(ValueError):
    """A selector cannot be read, or the token does not see what it asks for: one line."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term: a key, the pattern that a value must match, and whether it must not."""

    text: str
    key: str
    pattern: str
    negated: bool = False

    def matches(self, droplet: Droplet) -> bool:
        """Return whether the term holds for a Droplet.

        Raises:
            SelectionError: The token does not see the field.
        """
        if self.key == "all":
            return not self.negated
        key = _KEYS[self.key]
        if key.field in droplet.hidden:
            raise SelectionError(
                f"--droplets={one_line(self.text)}: the token does not see the {key.field} of "
                f"droplets; its scope {key.scope} is missing"
            )
        pattern = self.pattern.casefold().replace("[", "[[]")
        found = any(fnmatchcase(v.casefold(), pattern) for v in key.values(droplet) if v)
        return found != self.negated


@dataclass(frozen=True, slots=True)
class Selection:
    """What the options say: a Droplet is selected where all terms of any one option hold."""

    texts: tuple[str, ...]
    options: tuple[tuple[Term, ...], ...]
    demo: bool = False

    def matches(self, droplet: Droplet) -> bool:
        """Return whether the Droplet is selected (SelectionError: the token does not see)."""
        results = [[term.matches(droplet) for term in terms] for terms in self.options]
        return self.demo or any(all(holds) for holds in results)

    @property
    def needs_projects(self) -> bool:
        """Whether the projects of the Droplets must be known."""
        return any(term.key == "project" for terms in self.options for term in terms)

    def __str__(self) -> str:
        return " ".join(f"--droplets={one_line(text)}" for text in self.texts)


def parse_selectors(texts: Sequence[str]) -> Selection:
    """Parse the values of ``--droplets``.

    Terms joined by commas must all hold, several texts add up, ``!`` negates a term. Only ``*``
    and ``?`` are special; upper and lower case are the same.

    Raises:
        SelectionError: One line that names the term and what would be right.
    """
    if not texts:
        raise SelectionError("--droplets: no selector; try all, tag:NAME or a name")
    demo = any(term.strip().lstrip("!") == "demo" for text in texts for term in text.split(","))
    if demo:
        if [text.strip() for text in texts] != ["demo"]:
            raise SelectionError(
                f"--droplets={one_line(','.join(texts))}: demo stands alone; "
                "a droplet of that name is name:demo"
            )
        return Selection(("demo",), (), demo=True)
    return Selection(
        tuple(texts), tuple(tuple(_term(t, text) for t in text.split(",")) for text in texts)
    )


def _term(text: str, whole: str) -> Term:
    shown = f"--droplets={one_line(whole)}"
    bare = text.strip()
    negated = bare.startswith("!")
    bare = bare.removeprefix("!").strip()
    if not bare:
        raise SelectionError(
            f"{shown}: an empty term; terms are joined by one comma, such as tag:prod,!region:fra1"
        )
    if bare == "all":
        if negated:
            raise SelectionError(f"{shown}: !all selects nothing; negate another term")
        return Term(bare, "all", "*")
    key, colon, pattern = (part.strip() for part in bare.partition(":"))
    if not colon:
        key, pattern = ("id" if _is_number(bare) else "name"), bare
    if key not in _KEYS:
        near = difflib.get_close_matches(key.lower(), _KEYS, n=1)
        hint = (
            f"did you mean {near[0]}:{one_line(pattern)}?"
            if near
            else f"known: {', '.join(_KEYS)}"
        )
        raise SelectionError(f"{shown}: unknown key {key!r}; {hint}")
    if not pattern:
        raise SelectionError(f"{shown}: {key}: has no value; try {key}:* for any")
    if key == "id" and not _is_number(pattern):
        raise SelectionError(f"{shown}: an id is a number; a name is name:{one_line(pattern)}")
    if key == "id":
        pattern = pattern.lstrip("0") or "0"
    return Term(bare if not negated else f"!{bare}", key, pattern, negated)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def owner_of(owners: Mapping[str, str], droplet: Droplet) -> str:
    """Return whose a Droplet is: the owner of the first selector that matches, else its project.

    Empty where nobody is named, and where the token does not see what a selector asks for.

    Args:
        owners: Owners by selector, in the order of the file.
        droplet: The Droplet.
    """
    for text, owner in owners.items():
        try:
            if parse_selectors([text]).matches(droplet):
                return owner
        except SelectionError:
            return ""
    return (droplet.project or "") if owners else ""


def explain_no_match(selection: Selection, droplets: Iterable[Droplet]) -> str:
    """Say in one line that nothing matches, and what there is for each key that was used."""
    known = tuple(droplets)
    if not known:
        return f"{selection} matches nothing: the account has no droplets"
    parts = [f"{selection} matches none of the {len(known)} droplet{'s'[: len(known) - 1]}"]
    terms = [term for option in selection.options for term in option]
    if meant := _meant(terms, known):
        parts.append(f"did you mean {' or '.join(meant)}?")
    wanted: dict[str, list[str]] = {}
    for term in terms:
        if term.key != "all":
            wanted.setdefault(term.key, []).append(term.pattern)
    for name, patterns in wanted.items():
        key = _KEYS[name]
        there = sorted({value for d in known for value in key.values(d) if value})
        parts.append(f"{key.plural} in use: {_listed(there, patterns)}")
    if all(any(term.matches(d) for d in known) for term in terms):
        parts.append("each term holds for some droplet, all of them together for none")
    return "; ".join(parts)


def _meant(terms: Iterable[Term], droplets: Sequence[Droplet]) -> list[str]:
    """Return terms of other keys that select a Droplet by the same text, as a tag for a name."""
    found = []
    for term in terms:
        if term.negated or term.key == "all" or any(term.matches(d) for d in droplets):
            continue
        for key in _KEYS:
            other = Term(term.text, key, term.pattern)
            if key != term.key and _selects(other, droplets):
                found.append(f"{key}:{one_line(term.pattern, 60)}")
    return found


def _selects(term: Term, droplets: Iterable[Droplet]) -> bool:
    try:
        return any(term.matches(d) for d in droplets)
    except SelectionError:
        return False


def _listed(values: list[str], patterns: list[str]) -> str:
    if not values:
        return "none"
    by_folded = {value.casefold(): value for value in values}
    near: list[str] = []
    for pattern in patterns:
        found = difflib.get_close_matches(pattern.casefold().strip("*?"), by_folded, n=2)
        near += [by_folded[f] for f in found if by_folded[f] not in near]
    ordered = near + [value for value in values if value not in near]
    text = ", ".join(one_line(value, 60) for value in ordered[:_SHOWN])
    more = len(ordered) - _SHOWN
    return text if more <= 0 else f"{text} and {more} more"
