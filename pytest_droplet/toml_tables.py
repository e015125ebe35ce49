"""TOML tables checked against a dataclass: what is wrong is one line with file, table and key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class TableError(ValueError):
    """A file cannot be read, or a table has an unknown key, a wrong value or lacks one."""


def load(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        TableError: It cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise TableError(f"{path.name}: cannot be read: {exc.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise TableError(f"{path.name}: is not TOML: {exc}") from None


def build(
    kind: type[T],
    table: Any,
    where: str,
    checks: Mapping[str, Callable[[Any], str | None]] = MappingProxyType({}),
) -> T:
    """Make a dataclass of a table.

    Fields may be ``bool``, ``int`` (0 or more), ``str``, ``date``, a class with ``parse``, unions
    and tuples of these, or a table of them by name.

    Args:
        kind: The dataclass.
        table: What tomllib made of the table.
        where: Names file and table in errors.
        checks: By field: what is expected instead of a value, or of an item of a tuple or table;
            None where it is right.

    Raises:
        TableError: An unknown key, a wrong type, an impossible value, a missing key.
    """
    if not isinstance(table, dict):
        raise TableError(f"{where}: expected a table, found {table!r}")
    kinds = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
            raise TableError(f"{where}: unknown key {key!r}; {hint}")
        values[key] = _value(value, kinds[key], f"{where}: {key}")
        _check(values[key], checks.get(key), f"{where}: {key}")
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise TableError(f"{where}: {name} is missing")
    return kind(**values)


def _value(value: Any, kind: Any, where: str) -> Any:
    origin, items = get_origin(kind), get_args(kind)
    if origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(_value(v, items[0], where) for v in value)
        raise TableError(f"{where} = {value!r}: expected a list of {_name(items[0])}")
    if origin in {Union, UnionType}:
        if value is None and NoneType in items:
            return None
        kinds = [k for k in items if k is not NoneType]
        chosen = [k for k in kinds if type(value) is k] or kinds
        if len(chosen) == 1:
            return _value(value, chosen[0], where)
        raise TableError(f"{where} = {value!r}: expected {_name(kind)}")
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, dict):
            return {k: _value(v, items[1], f"{where}: {k!r}") for k, v in value.items()}
        raise TableError(f"{where} = {value!r}: expected a table")
    return _plain(value, kind, where)


def _plain(value: Any, kind: Any, where: str) -> Any:
    if hasattr(kind, "parse"):
        try:
            return kind.parse(value)
        except ValueError as exc:
            raise TableError(f"{where} = {value!r}: expected {exc}") from None
    if kind is date and isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise TableError(f"{where} = {value!r}: expected a date such as 2026-12-31") from None
    if kind is date and isinstance(value, datetime):
        value = value.date()
    if type(value) is not kind:
        raise TableError(f"{where} = {value!r}: expected {kind.__name__}")
    if kind is int and value < 0:
        raise TableError(f"{where} = {value}: expected 0 or more")
    return value


def _check(value: Any, check: Callable[[Any], str | None] | None, where: str) -> None:
    if check is None or value is None:
        return
    for item in value.items() if isinstance(value, dict) else _items(value):
        if (expected := check(item)) is not None:
            raise TableError(f"{where} = {_shown(item)}: expected {expected}")


def _items(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _shown(item: Any) -> str:
    return f"{item[0]!r} = {item[1]!r}" if isinstance(item, tuple) else repr(item)


def _name(kind: Any) -> str:
    names = [k.__name__ for k in get_args(kind) or (kind,) if k is not NoneType]
    return " or ".join(names)
