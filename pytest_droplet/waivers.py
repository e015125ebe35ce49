"""Waivers: findings that somebody accepts, with a reason and until a date."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path

from pytest_droplet.catalogue import names_of
from pytest_droplet.model import Droplet
from pytest_droplet.selection import Selection, SelectionError, parse_selectors
from pytest_droplet.toml_tables import TableError, build, load

FILE = "droplet-waivers.toml"


@dataclass(frozen=True)
class Waiver:
    """One ``[[waiver]]`` table.

    Attributes:
        check: Id of a check, with or without its parameter, or a glob of ``*`` and ``?``.
        reason: Why the finding is accepted.
        expires: The last day on which it is (UTC).
        droplets: A selector as of ``--droplets``; the account's own checks match ``all`` alone.
        owner: Who answers for it.
        ticket: Where it is followed up.
        unknown: Whether ``unknown`` is accepted, too.
    """

    check: str
    reason: str
    expires: date
    droplets: str = "all"
    owner: str = ""
    ticket: str = ""
    unknown: bool = False

    @cached_property
    def selection(self) -> Selection:
        """The Droplets that it is for."""
        return parse_selectors([self.droplets])

    def names(self, check: str) -> bool:
        """Whether it is for this check, by its id or one that it had before."""
        return any(
            _glob(self.check).fullmatch(name) or self.check == name.partition("[")[0]
            for name in names_of(check)
        )

    def matches(self, check: str, droplet: Droplet | None) -> bool:
        """Whether it is for this check on this Droplet (None: on the account)."""
        if not self.names(check):
            return False
        if droplet is None:
            return self.droplets == "all"
        return self.selection.matches(droplet)


def load_waivers(path: Path) -> tuple[Waiver, ...]:
    """Read a file of waivers.

    Raises:
        TableError: The text names the file, the table, the key and what is wrong with it.
    """
    data = load(path)
    if unknown := sorted(set(data) - {"waiver"}):
        raise TableError(f"{path.name}: unknown table {unknown[0]!r}; waivers are [[waiver]]")
    tables = data.get("waiver", [])
    if not isinstance(tables, list):
        raise TableError(f"{path.name}: write [[waiver]], with two brackets")
    waivers = []
    for number, table in enumerate(tables, 1):
        where = f"{path.name}: waiver {number}"
        waiver = build(Waiver, table, where)
        for name in ("check", "reason"):
            if not getattr(waiver, name).strip():
                raise TableError(f"{where}: {name} is empty")
        try:
            selection = waiver.selection
        except SelectionError as exc:
            raise TableError(f"{where}: droplets = {waiver.droplets!r}: {exc}") from None
        if selection.demo:
            raise TableError(f"{where}: droplets = {waiver.droplets!r}: name the Droplets")
        waivers.append(waiver)
    return tuple(waivers)


def find(waivers: Sequence[Waiver], check: str, droplet: Droplet | None) -> Iterable[int]:
    """Yield the places of the waivers that are for this check on this Droplet."""
    return (i for i, waiver in enumerate(waivers) if waiver.matches(check, droplet))


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    """Return a pattern in which only ``*`` and ``?`` are special."""
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")), re.DOTALL)
