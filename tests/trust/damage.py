"""JSON that is damaged place by place: left out, null, noise, or of another type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NOISE = "\x1b\ufffd\u202e 1e999\n"
LEFT_OUT = object()

Place = tuple[str | int, ...]
Damage = tuple[str, str]
"""A place without indexes and ids, and what is there: ``firewalls.*.status``, ``noise``."""

KINDS: Mapping[str, Any] = {
    "left out": LEFT_OUT,
    "null": None,
    "empty": "",
    "noise": NOISE,
    "true": True,
    "number": 7.5,
    "map": {},
    "list": [],
    "of null": [None],
}


_STATEMENTS: Mapping[type, list[Any]] = {
    list: [[]],
    int: [7.5],
    float: [7.5],
    bool: [True],
    type(None): [True],
}
"""What is no damage in place of a value: a statement of the same kind, though perhaps a lie."""


def kinds_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what may stand in place of a value and is no value of its own kind."""
    own = _STATEMENTS.get(type(value), [])
    return ((name, other) for name, other in KINDS.items() if other not in [*own, value])


def places(value: Any, here: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every place in JSON with what is there; of a list the first two items and the last."""
    if here:
        yield here, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*here, name))
    elif isinstance(value, list):
        for index in sorted({0, 1, len(value) - 1} & set(range(len(value)))):
            yield from places(value[index], (*here, index))


def changed(value: Any, place: Place, new: Any) -> Any:
    """Return JSON with something else at a place."""
    first, *rest = place
    if new is LEFT_OUT and not rest:
        return {k: v for k, v in value.items() if k != first}
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[first] = changed(value[first], tuple(rest), new) if rest else new  # type: ignore[index]
    return copy


def damages(value: Any, depth: int = 1) -> Iterator[tuple[Damage, Any]]:
    """Yield JSON with each place deeper than ``depth`` damaged in each way."""
    for place, known in places(value):
        if len(place) < depth:
            continue
        shown = ".".join("*" if isinstance(p, int) or p.isdigit() else p for p in place)
        for kind, new in kinds_of(known):
            if new is not LEFT_OUT or isinstance(place[-1], str):
                yield (shown, kind), changed(value, place, new)
