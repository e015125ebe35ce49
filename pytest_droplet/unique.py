"""One id is one check: two checks of one id would share verdict, waivers and fingerprint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import pytest

from pytest_droplet.catalogue import Check, checks_of, shipped
from pytest_droplet.collection import CHECKS_FOLDER, NODE_FOLDER, CheckItem


@dataclass(frozen=True)
class _Holder:
    """Who has an id.

    ``scope`` is the module and the class that an ordinary test was collected in: the same function
    may judge something else in another one. It is empty for a check that asks for facts alone.
    """

    function: Callable[..., None]
    place: str
    scope: tuple[str, str] | None

    def is_other_than(self, holder: _Holder) -> bool:
        return self.scope != holder.scope or not _are_one(self.function, holder.function)


def clash(items: Iterable[pytest.Item], root: Path) -> str | None:
    """Return one line that names two checks with one id and where both are; None: there are none.

    Combinations of one check's parameters are one check, and so is a function that two modules
    import. A shipped id belongs to the shipped check, whether that is selected or not.

    Args:
        items: What was collected, before anything is deselected.
        root: The folder that places are named from.
    """
    holders = {c.base_id: _Holder(c.function, _place(c, root), None) for c in shipped().values()}
    seen: set[tuple[int, object]] = set()
    for item in items:
        check, scope = _check_of(item)
        if check is None or (id(check), scope) in seen:
            continue
        seen.add((id(check), scope))
        holder = _Holder(check.function, _place(check, root), scope)
        if hidden := _hidden(check):
            return _line(check.base_id, replace(holder, place=_place(hidden, root)), holder)
        known = holders.setdefault(check.base_id, holder)
        if holder.is_other_than(known):
            return _line(check.base_id, known, holder)
    return None


def once(items: Sequence[pytest.Item], *, repeated: bool) -> list[pytest.Item]:
    """Return the items without those that judge again what an earlier one judges.

    A check's function that two modules import is collected in both; with ``repeated``
    (``--keep-duplicates``) whole files are collected twice.
    """
    parents: dict[str, pytest.Collector | None] = {}
    twice = repeated or any(
        parents.setdefault(item.check.id, item.parent) is not item.parent
        for item in items
        if isinstance(item, CheckItem)
    )
    if not twice:
        return list(items)
    kept: dict[object, pytest.Item] = {}
    for item in items:
        kept.setdefault(_subject(item), item)
    return list(kept.values())


def _subject(item: pytest.Item) -> object:
    if isinstance(item, CheckItem):
        return item.check.id, item.subject
    return item.nodeid


def _check_of(item: pytest.Item) -> tuple[Check | None, tuple[str, str] | None]:
    if isinstance(item, CheckItem):
        return item.check, None
    checks = checks_of(getattr(item, "function", None))
    if not checks:
        return None, None
    owner: type | None = getattr(item, "cls", None)
    return checks[0], (item.nodeid.partition("::")[0], owner.__qualname__ if owner else "")


def _hidden(check: Check) -> Check | None:
    """Return a check of the same id that was not collected: a later function took its name.

    A module that is read again defines the same function once more, at the same place.
    """
    place = _origin(inspect.unwrap(check.function))
    for other in check.hides:
        if other.base_id == check.base_id and _origin(inspect.unwrap(other.function)) != place:
            return other
    return None


def _are_one(one: Callable[..., None], other: Callable[..., None]) -> bool:
    """Whether two functions are one, also where its file was imported under two names."""
    if one is other:
        return True
    a, b = (cast("FunctionType", inspect.unwrap(f)) for f in (one, other))
    same_place = _origin(a) == _origin(b)
    return same_place and a.__globals__ is not b.__globals__


def _origin(function: Any) -> tuple[Path, int, str]:
    code = function.__code__
    return Path(code.co_filename).resolve(), code.co_firstlineno, function.__qualname__


def _place(check: Check, root: Path) -> str:
    function = cast("FunctionType", inspect.unwrap(check.function))
    path = Path(function.__code__.co_filename)
    if path.parent == CHECKS_FOLDER:
        shown = f"{NODE_FOLDER}/{path.name}"
    elif path.is_relative_to(root):
        shown = path.relative_to(root).as_posix()
    else:
        shown = str(path)
    return f"{shown}:{function.__code__.co_firstlineno}"


def _line(base_id: str, known: _Holder, other: _Holder) -> str:
    mine, yours = (_described(holder, known.place == other.place) for holder in (known, other))
    if known.function.__module__.startswith("pytest_droplet.checks."):
        mine += " (shipped)"
    return f"two checks have the id {base_id}: {mine} and {yours}; give one of them another id"


def _described(holder: _Holder, same_place: bool) -> str:  # noqa: FBT001
    if holder.scope is None or not same_place:
        return holder.place
    return f"{holder.place} as {'::'.join(filter(None, holder.scope))}"
