"""A site's own frameworks: ``droplet-controls.toml`` says what asks for the shipped checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_droplet.catalogue import Check, nearest, shipped
from pytest_droplet.controls import Controls, table
from pytest_droplet.toml_tables import TableError, build, load

FILE = "droplet-controls.toml"


@dataclass(frozen=True)
class OwnFramework:
    """One ``[framework.NAME]`` table.

    Attributes:
        title: Its name for people.
        checks: Ids of its requirements by the id of a shipped check; an id without its parameter
            means all.
    """

    title: str
    checks: Mapping[str, tuple[str, ...]]

    def ids_for(self, check: Check) -> tuple[str, ...]:
        """Return the ids that ask for a check; the id with its parameter is asked first."""
        return self.checks.get(check.id) or self.checks.get(check.base_id, ())


def load_frameworks(path: Path) -> Mapping[str, OwnFramework]:
    """Read a file of frameworks.

    Raises:
        TableError: The text names the file, the table, the key and what is wrong with it.
    """
    data = load(path)
    if unknown := sorted(set(data) - {"framework"}):
        raise TableError(
            f"{path.name}: unknown table {unknown[0]!r}; frameworks are [framework.NAME]"
        )
    tables = data.get("framework", {})
    if not isinstance(tables, dict):
        raise TableError(f"{path.name}: write [framework.NAME], with single brackets")
    found = {}
    for name, content in tables.items():
        where = f"{path.name}: framework {name!r}"
        if name in table()["frameworks"]:
            raise TableError(f"{where}: it is shipped; give yours another name")
        found[name] = build(OwnFramework, content, where)
        _refuse_unknown(found[name], where)
    return found


def _refuse_unknown(framework: OwnFramework, where: str) -> None:
    known = {name for check in shipped().values() for name in (check.id, check.base_id)}
    for check_id, ids in framework.checks.items():
        if check_id not in known:
            near = nearest(check_id)
            hint = f"did you mean {near}?" if near else "a check of yours takes @check(controls=)"
            raise TableError(f"{where}: there is no shipped check {check_id!r}; {hint}")
        if not ids or not all(i.strip() for i in ids):
            raise TableError(f"{where}: {check_id} = {list(ids)!r}: expected ids")


def controls_with(check: Check, frameworks: Mapping[str, OwnFramework]) -> Controls:
    """Return the controls of a check, those of the site's frameworks among them."""
    added = {name: own.ids_for(check) for name, own in frameworks.items()}
    return {**check.controls, **{name: ids for name, ids in added.items() if ids}}


def pairs(controls: Controls) -> Iterable[tuple[str, str]]:
    """Yield each framework and id of some controls."""
    return ((name, one) for name, ids in controls.items() for one in ids)
