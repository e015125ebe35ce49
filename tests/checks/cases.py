"""Case files: what the API and a host said, and the verdict that a check must give on it.

``tests/checks/<check-id>/<case>.<verdict>.toml``. Everything is optional but ``why``::

    why = "One sentence: what the case proves."
    base = "debian-12-clean"      # _bases/<name>.toml, merged under this file, table by table
    check = "tls.listening[nginx]"  # where the folder's id has parameters
    now = 2026-11-22T12:00:00Z
    message = "web-1"             # a part of the verdict's message
    caused_by = "auditd.installed"

    [droplet]                     # over DROPLET below; the API's fields; "absent" removes one
    [api]                         # firewalls, keys, images, policies, attached, enabled_at,
                                  # firewalls_again, volume_snapshots: absent was not asked
    [api.missing]                 # the same names = why there is no answer
    [host]                        # state, root, reason, root_reason, address, port, user
    [sections.NAME]               # stdout, stderr, rc, truncated, missing; "absent" removes it
    typed = "..."                 # why no root prints it: see tests/sections/samples.py
    replace = [["old", "new"]]    # in the base's stdout, each at least once
    [probes]                      # name = result; "absent" removes it
    [probe_errors]                # name = why it could not tell
    [settings]                    # as [tool.droplet]

What a case does not give is missing, never empty. Sections that only root may run are missing
where ``host.root`` is false. A check of the account has instead of ``[host]`` and its like::

    selected = [1, 2]             # default: all Droplets
    [[droplets]]                  # as [droplet]
    [[hosts]]                     # droplet_id, base, host, sections, probes: rows made by facts
    [[rows]]                      # droplet_id, fact, value or missing: a row as it stands
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pytest_droplet.api.inventory import WiderInventory
from pytest_droplet.api.parsing import (
    parse_backup,
    parse_backup_policy,
    parse_droplet,
    parse_firewall,
    parse_key,
    parse_volume_snapshot,
)
from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.facts import Account, DropletFacts, all_facts
from pytest_droplet.model import Droplet, HostReading, Inventory, Reading, SectionOutput, Verdict
from pytest_droplet.settings import parse_settings
from pytest_droplet.verdict import judge, judge_account

HERE = Path(__file__).parent
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DROPLET: Mapping[str, Any] = {
    "id": 1,
    "name": "web-1",
    "status": "active",
    "created_at": "2026-01-15T08:00:00Z",
    "disk": 25,
    "features": ["monitoring"],
    "tags": ["prod"],
    "region": {"slug": "fra1", "name": "Frankfurt 1"},
    "size_slug": "s-1vcpu-1gb",
    "image": {
        "id": 1001,
        "distribution": "Debian",
        "name": "12 x64",
        "slug": "debian-12-x64",
        "type": "base",
    },
    "networks": {
        "v4": [
            {"ip_address": "203.0.113.10", "type": "public"},
            {"ip_address": "10.114.0.2", "type": "private"},
        ],
        "v6": [{"ip_address": "2001:db8::10", "type": "public"}],
    },
    "backup_ids": [],
    "snapshot_ids": [],
    "volume_ids": [],
    "vpc_uuid": "5a4981aa-9653-4bd1-bef5-d6bff52042e4",
}
_OF_DROPLET = {"droplet", "host", "sections", "probes", "probe_errors"}
_OF_ACCOUNT = {"selected", "droplets", "hosts", "rows"}
_OF_BOTH = {"why", "base", "check", "now", "message", "caused_by", "api", "settings"}
_READINGS = (
    *("firewalls", "keys", "backup_policies", "backups", "attached", "enabled_at"),
    *("firewalls_again", "volume_snapshots"),
)


@dataclass(frozen=True)
class Case:
    """One case file, merged with its base."""

    path: Path
    table: Mapping[str, Any]

    @property
    def check_id(self) -> str:
        """The id of the judged check, with its parameter."""
        return str(self.table.get("check", self.path.parent.name))

    @property
    def expected(self) -> str:
        """The verdict in the file's name."""
        return self.path.name.removesuffix(".toml").rpartition(".")[2]

    @property
    def check(self) -> Check:
        """The judged check."""
        return shipped()[self.check_id]

    @cached_property
    def now(self) -> datetime:
        """The time that the case is judged at."""
        return self.table.get("now", NOW)

    def judge(self) -> Verdict:
        """Judge the check on what the case says."""
        if self.check.of_account:
            return judge_account(self.check, self.account())
        return judge(self.check, self.observation())

    def observation(self) -> DropletFacts:
        """Return what the case says of one Droplet."""
        droplet = _droplet(self.table.get("droplet", {}))
        return DropletFacts(
            droplet,
            self._inventory((droplet,), (droplet.id,)),
            _host(self.table, droplet.id, self.now),
            self._settings(),
            self.now,
        )

    def account(self) -> Account:
        """Return what the case says of the whole account."""
        droplets = tuple(_droplet(d) for d in self.table.get("droplets", ()))
        selected = tuple(self.table.get("selected", (d.id for d in droplets)))
        inventory = self._inventory(droplets, selected)
        rows: dict[int, dict[str, Reading[Any]]] = {}
        for entry in self.table.get("hosts", ()):
            droplet_id = entry["droplet_id"]
            host = _host(_merge_base(entry), droplet_id, self.now)
            if host.state in {"reached", "unreachable"}:
                seen = DropletFacts(
                    inventory.droplet(droplet_id), inventory, host, self._settings(), self.now
                )
                rows.setdefault(droplet_id, {}).update(
                    seen.rows((*self.check.rows, *self.check.may_use))
                )
        for entry in self.table.get("rows", ()):
            reading: Reading[Any] = Reading(
                all_facts()[entry["fact"]].source,
                self.now,
                value=entry.get("value"),
                missing=entry.get("missing"),
            )
            rows.setdefault(entry["droplet_id"], {})[entry["fact"]] = reading
        return Account(inventory, rows, self._settings(), self.now)

    def _settings(self) -> Any:
        return parse_settings(dict(self.table.get("settings", {})), str(self.path))

    def _inventory(self, droplets: tuple[Droplet, ...], selected: tuple[int, ...]) -> Inventory:
        api = self.table.get("api", {})
        missing = api.get("missing", {})

        def reading(name: str, source: str, make: Any) -> Reading[Any]:
            reason = missing.get(name)
            if reason is None and name not in api:
                reason = "the case does not say"
            value = make(api[name]) if reason is None else None
            return Reading(source, self.now, value=value, missing=reason)

        def wider(name: str, source: str, parse: Any) -> Reading[Any] | None:
            if name not in api and name not in missing:
                return None
            return reading(name, source, lambda v: tuple(map(parse, v)))

        def by_droplet(name: str, source: str, make: Any) -> dict[int, Reading[Any]]:
            answered = {
                int(i): Reading(source, self.now, value=make(v))
                for i, v in api.get(name, {}).items()
            }
            refused = {
                d.id: Reading(source, self.now, missing=missing[name])
                for d in droplets
                if name in missing
            }
            return answered | refused

        def backups(images: list[dict[str, Any]]) -> dict[int, Any]:
            of = {d.id: [i for i in images if i["id"] in d.backup_ids] for d in droplets}
            return {i: tuple(map(parse_backup, images)) for i, images in of.items()}

        return WiderInventory(
            read_at=self.now,
            endpoint="https://api.digitalocean.com",
            droplets=droplets,
            selected=selected,
            firewalls=reading(
                "firewalls", "GET /v2/firewalls", lambda v: tuple(map(parse_firewall, v))
            ),
            keys=reading("keys", "GET /v2/account/keys", lambda v: tuple(map(parse_key, v))),
            backup_policies=reading(
                "policies",
                "GET /v2/droplets/backups/policies",
                lambda v: {int(i): parse_backup_policy(p) for i, p in v.items()},
            ),
            backups=reading("images", "GET /v2/images?private=true", backups),
            attached=by_droplet(
                "attached",
                "GET /v2/droplets/{id}/firewalls",
                lambda v: tuple(map(parse_firewall, v)),
            ),
            enabled_at=by_droplet(
                "enabled_at", "GET /v2/droplets/{id}/actions", lambda v: v or None
            ),
            firewalls_again=wider("firewalls_again", "GET /v2/firewalls", parse_firewall),
            volume_snapshots=wider(
                "volume_snapshots",
                "GET /v2/snapshots?resource_type=volume",
                parse_volume_snapshot,
            ),
        )


def all_cases() -> Iterator[Case]:
    """Yield every case by path."""
    for path in sorted(HERE.glob("*.*/*.toml")):
        yield load(path)


@cache
def load(path: Path) -> Case:
    """Read a case file."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    if unknown := set(table) - _OF_BOTH - _OF_DROPLET - _OF_ACCOUNT:
        raise ValueError(f"{path}: unknown key {min(unknown)!r}")
    return Case(path, _merge_base(table))


def with_table(case: Case, over: Mapping[str, Any]) -> Case:
    """Return a case with another table merged over its own; lists are replaced."""
    return Case(case.path, _merge(case.table, over))


def without_section(observation: DropletFacts, name: str) -> DropletFacts:
    """Return the observation with one section of the host script not read."""
    return with_section(observation, SectionOutput(name, missing=f"{name}: taken away"))


def with_section(observation: DropletFacts, output: SectionOutput) -> DropletFacts:
    """Return the observation with another output of one section."""
    sections = {**observation.host.sections, output.name: output}
    return _changed(observation, host=replace(observation.host, sections=sections))


def without_probe(observation: DropletFacts, name: str) -> DropletFacts:
    """Return the observation with one probe that could not tell."""
    errors = {**observation.host.probe_errors, name: f"{name}: taken away"}
    return _changed(observation, host=replace(observation.host, probe_errors=errors))


def without_answers(inventory: Inventory) -> Iterator[tuple[str, Inventory]]:
    """Yield the inventory without each of its answers, with the name of what was taken away."""
    for name in _READINGS:
        known = getattr(inventory, name)
        if known is None:
            continue
        if isinstance(known, Reading):
            lost: Any = replace(known, value=None, missing=f"{name}: taken away")
        else:
            lost = {
                i: replace(r, value=None, missing=f"{name}: taken away") for i, r in known.items()
            }
        yield name, replace(inventory, **{name: lost})


def with_inventory(observation: DropletFacts, inventory: Inventory) -> DropletFacts:
    """Return the observation with another view of the API."""
    return _changed(observation, inventory=inventory)


def _changed(seen: DropletFacts, **new: Any) -> DropletFacts:
    return DropletFacts(
        seen.droplet,
        new.get("inventory", seen.inventory),
        new.get("host", seen.host),
        seen.settings,
        seen.now,
    )


def _droplet(table: Mapping[str, Any]) -> Droplet:
    given = {**DROPLET, **table}
    return parse_droplet({name: value for name, value in given.items() if value != "absent"})


def _host(table: Mapping[str, Any], droplet_id: int, now: datetime) -> HostReading:
    given = dict(table.get("host", {}))
    root = given.setdefault("root", True)
    given.setdefault("state", "reached")
    given.setdefault("address", "203.0.113.10")
    if not root:
        given.setdefault("root_reason", "sudo: a password is required")
    sections = {
        name: _section(name, **body)
        for name, body in table.get("sections", {}).items()
        if body != "absent"
    }
    if not root:
        needs_root = {s.name for f in all_facts().values() for s in f.sections if s.root}
        sections |= {
            name: SectionOutput(name, missing=f"needs root: {given['root_reason']}")
            for name in needs_root & set(sections)
        }
    probes = {n: v for n, v in table.get("probes", {}).items() if v != "absent"}
    return HostReading(
        droplet_id=droplet_id,
        observed_at=now,
        sections=sections,
        probes=probes,
        probe_errors=dict(table.get("probe_errors", {})),
        **given,
    )


def _section(
    name: str,
    *,
    stdout: str = "",
    replace: list[list[str]] | None = None,
    typed: str = "",
    **more: Any,
) -> SectionOutput:
    for old, new in replace or ():
        if old not in stdout:
            raise ValueError(f"section {name}: there is no {old!r} to replace")
        stdout = stdout.replace(old, new)
    return SectionOutput(name, stdout=stdout, **({"rc": 0} | more))


def _merge_base(table: Mapping[str, Any]) -> dict[str, Any]:
    if "base" not in table:
        return dict(table)
    path = HERE / "_bases" / f"{table['base']}.toml"
    return _merge(_merge_base(tomllib.loads(path.read_text(encoding="utf-8"))), table)


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        known = merged.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        merged[key] = _merge(known, value) if both else value
    return merged
