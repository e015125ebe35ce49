"""What the record keeps of the account, so that ``merge`` can judge its checks again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from pytest_droplet.facts import Account, unread_rows
from pytest_droplet.model import AccountKey, Droplet, Firewall, Inventory, Reading
from pytest_droplet.report.record import Line, iso, rows_of
from pytest_droplet.settings import Settings, parse_settings

_NOT_KEPT = "the record does not hold it"


def account_entry(inventory: Inventory, settings: Settings) -> Line:
    """Return the header's ``account``: the ids of all Droplets, keys and firewalls by name.

    No key material: a key is known by the fingerprint that the API gives.
    """
    return {
        "droplets": [droplet.id for droplet in inventory.droplets],
        "keys": _entry(
            inventory.keys, lambda k: {"id": k.id, "name": k.name, "fingerprint": k.fingerprint}
        ),
        "firewalls": _entry(
            inventory.firewalls,
            lambda f: {
                "id": f.id,
                "name": f.name,
                "status": f.status,
                "droplet_ids": list(f.droplet_ids),
                "tags": list(f.tags),
            },
        ),
        "settings": dataclasses.asdict(dataclasses.replace(settings, ca_bundle="")),
    }


def account_of(header: Line, droplets: Iterable[Line], now: datetime) -> Account:
    """Return the account that a header and the Droplet lines of its records tell of."""
    entry = header["account"]
    lines = {line["id"]: line for line in droplets}
    read_at = datetime.fromisoformat(header["judged_at"])
    missing: Reading[Any] = Reading("the record", read_at, missing=_NOT_KEPT)
    inventory = Inventory(
        read_at=read_at,
        endpoint=header["endpoint"],
        droplets=tuple(_droplet(i, lines.get(i, {})) for i in entry["droplets"]),
        selected=tuple(sorted(lines.keys() & set(entry["droplets"]))),
        firewalls=_reading(
            entry["firewalls"],
            lambda f: Firewall(
                f["id"], f["name"], f["status"], tuple(f["droplet_ids"]), tuple(f["tags"])
            ),
        ),
        keys=_reading(entry["keys"], lambda k: AccountKey(**k, public_key="")),
        backup_policies=missing,
        backups=missing,
    )
    rows: Mapping[int, Mapping[str, Reading[Any]]] = {
        line["id"]: rows_of(line)
        if line["coverage"] != "not-read"
        else unread_rows(read_at, line["reason"])
        for line in lines.values()
        if line["coverage"] in {"reached", "unreachable", "not-read"}
    }
    return Account(inventory, rows, parse_settings(dict(entry["settings"]), "the record"), now)


def _droplet(droplet_id: int, line: Line) -> Droplet:
    return Droplet(
        droplet_id,
        line.get("name", ""),
        status=line.get("status", ""),
        region=line.get("region", ""),
        tags=tuple(line.get("tags", ())),
    )


def _entry(reading: Reading[Any], shown: Callable[[Any], Line]) -> Line:
    return {
        "source": reading.source,
        "observed_at": iso(reading.observed_at),
        "value": None if reading.missing is not None else [shown(one) for one in reading.get()],
        "missing": reading.missing,
    }


def _reading(entry: Line, made: Callable[[Line], Any]) -> Reading[Any]:
    value = None if entry["value"] is None else tuple(made(one) for one in entry["value"])
    when = datetime.fromisoformat(entry["observed_at"])
    return Reading(entry["source"], when, value, entry["missing"])
