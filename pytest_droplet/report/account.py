"""What the record keeps of the account, so that ``merge`` can judge its checks again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pytest_droplet.facts import Account, unread_rows
from pytest_droplet.model import AccountKey, Droplet, Firewall, Inventory, Reading
from pytest_droplet.record import (
    AccountEntry,
    DropletLine,
    FirewallEntry,
    FirewallsEntry,
    HeaderLine,
    KeyEntry,
    KeysEntry,
    KnownEntry,
    iso,
    rows_of,
)
from pytest_droplet.settings import Settings, parse_settings

_NOT_KEPT = "the record does not hold it"


def account_entry(inventory: Inventory, settings: Settings) -> AccountEntry:
    """Return the header's ``account``: the ids of all Droplets, keys and firewalls by name.

    No key material: a key is known by the fingerprint that the API gives.
    """
    entry: AccountEntry = {
        "droplets": [droplet.id for droplet in inventory.droplets],
        "keys": _keys_entry(inventory.keys),
        "firewalls": _firewalls_entry(inventory.firewalls),
        "settings": dataclasses.asdict(dataclasses.replace(settings, ca_bundle="")),
    }
    if inventory.account_id:
        entry["id"] = inventory.account_id
    return entry


def known_entry(inventory: Inventory) -> KnownEntry:
    """Return which account an inventory is of: the ids of all Droplets, and its own if known."""
    entry: KnownEntry = {"droplets": [droplet.id for droplet in inventory.droplets]}
    if inventory.account_id:
        entry["id"] = inventory.account_id
    return entry


def account_of(header: HeaderLine, droplets: Iterable[DropletLine], now: datetime) -> Account:
    """Return the account that a header and the Droplet lines of its records tell of."""
    entry = header["account"]
    lines = {line["id"]: line for line in droplets}
    read_at = datetime.fromisoformat(header["judged_at"])
    missing: Reading[Any] = Reading("the record", read_at, missing=_NOT_KEPT)
    inventory = Inventory(
        read_at=read_at,
        endpoint=header["endpoint"],
        droplets=tuple(_droplet(i, lines.get(i)) for i in entry["droplets"]),
        selected=tuple(sorted(lines.keys() & set(entry["droplets"]))),
        firewalls=_firewalls(entry["firewalls"]),
        keys=_keys(entry["keys"]),
        backup_policies=missing,
        backups=missing,
        account_id=entry.get("id", ""),
    )
    rows: Mapping[int, Mapping[str, Reading[Any]]] = {
        line["id"]: rows_of(line)
        if line["coverage"] != "not-read"
        else unread_rows(read_at, line["reason"])
        for line in lines.values()
        if line["coverage"] in {"reached", "unreachable", "not-read"}
    }
    return Account(inventory, rows, parse_settings(dict(entry["settings"]), "the record"), now)


def _droplet(droplet_id: int, line: DropletLine | None) -> Droplet:
    if line is None:
        return Droplet(droplet_id, "", status="")
    return Droplet(
        droplet_id,
        line["name"],
        status=line["status"],
        region=line["region"],
        tags=tuple(line["tags"]),
    )


def _keys_entry(reading: Reading[tuple[AccountKey, ...]]) -> KeysEntry:
    keys: list[KeyEntry] | None = None
    if reading.missing is None:
        keys = [{"id": k.id, "name": k.name, "fingerprint": k.fingerprint} for k in reading.get()]
    return {
        "source": reading.source,
        "observed_at": iso(reading.observed_at),
        "value": keys,
        "missing": reading.missing,
    }


def _firewalls_entry(reading: Reading[tuple[Firewall, ...]]) -> FirewallsEntry:
    firewalls: list[FirewallEntry] | None = None
    if reading.missing is None:
        firewalls = [
            {
                "id": firewall.id,
                "name": firewall.name,
                "status": firewall.status,
                "droplet_ids": list(firewall.droplet_ids),
                "tags": list(firewall.tags),
            }
            for firewall in reading.get()
        ]
    return {
        "source": reading.source,
        "observed_at": iso(reading.observed_at),
        "value": firewalls,
        "missing": reading.missing,
    }


def _keys(entry: KeysEntry) -> Reading[tuple[AccountKey, ...]]:
    found = None
    if entry["value"] is not None:
        found = tuple(AccountKey(**key, public_key="") for key in entry["value"])
    when = datetime.fromisoformat(entry["observed_at"])
    return Reading(entry["source"], when, found, entry["missing"])


def _firewalls(entry: FirewallsEntry) -> Reading[tuple[Firewall, ...]]:
    found = None
    if entry["value"] is not None:
        found = tuple(
            Firewall(f["id"], f["name"], f["status"], tuple(f["droplet_ids"]), tuple(f["tags"]))
            for f in entry["value"]
        )
    when = datetime.fromisoformat(entry["observed_at"])
    return Reading(entry["source"], when, found, entry["missing"])
