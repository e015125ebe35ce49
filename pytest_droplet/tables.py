"""TOML tables checked against a dataclass: what is wrong is one line with file, table and key."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import MISSING, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

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


def build(kind: type[T], table: Any, where: str) -> T:
    """Make a dataclass of a table; ``where`` names file and table in errors.

    Fields may be ``bool``, ``int`` (0 or more), ``str``, ``date`` or a tuple of one of them.

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
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise TableError(f"{where}: {name} is missing")
    return kind(**values)


def _value(value: Any, kind: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        if isinstance(value, list):
            return tuple(_value(v, item, where) for v in value)
        raise TableError(f"{where} = {value!r}: expected a list of {item.__name__}")
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
