"""The optional lists of the account, with the fewest requests that answer what the checks ask."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.fields import integer
from pytest_droplet.api.inventory import IMAGES, WiderInventory
from pytest_droplet.api.operations import OPERATIONS, PER_PAGE
from pytest_droplet.api.paging import Reader
from pytest_droplet.api.parsing import (
    parse_account_id,
    parse_backup,
    parse_backup_policy,
    parse_enabled,
    parse_firewall,
    parse_key,
    parse_private_image,
    parse_volume_snapshot,
)
from pytest_droplet.api.workers import IN_FLIGHT, Workers
from pytest_droplet.model import ApiList, Backup, BackupPolicy, Droplet, Firewall, Reading

T = TypeVar("T")

SETTLE_S = 60.0
"""Seconds until firewalls that are still applying changes are read again."""

_AGAIN_PER_PAGE = PER_PAGE // 2  # another size than at first: a recording keeps both readings
# One scope: where the image is hidden, so are they.
_OF_IMAGES = frozenset({"backup_ids", "image"})
_RESTS_ON: Mapping[ApiList, tuple[ApiList, ...]] = {
    "firewalls_again": ("firewalls",),
    "enabled_at": ("backup_policies", "backups"),
}


def is_settling(firewall: Firewall, droplet_ids: Iterable[int]) -> bool:
    """Whether a firewall is still applying changes, as far as these Droplets are concerned."""
    waiting = {change.droplet_id for change in firewall.pending}
    return firewall.status == "waiting" or not waiting.isdisjoint(droplet_ids)


def read_lists(
    client: Reader, inventory: WiderInventory, lists: Iterable[ApiList]
) -> WiderInventory:
    """Read lists of the account, with the fewest requests that answer what the checks ask.

    The lists are read at the same time. What is asked Droplet by Droplet is asked of selected
    ones alone, and only where no list of the account tells it.

    Args:
        client: Where the answers come from: the one that read the inventory.
        inventory: Of :func:`~pytest_droplet.api.inventory.read_inventory`.
        lists: Which to read; what they rest on is read with them. ``firewalls_again`` waits
            :data:`SETTLE_S` seconds where a firewall is still applying changes to a selected
            Droplet (not in a replay); ``volume_snapshots`` are listed where one has a volume.

    Returns:
        The inventory with the lists. One that could not be read is missing with its reason.
        ``backups`` has an entry for each Droplet whose backups are known, an empty one where it
        is known that there are none: no entry means not observed.
    """
    wanted = {more for name in lists for more in (name, *_RESTS_ON.get(name, ()))}
    if not wanted:
        return inventory
    with Workers(2 * IN_FLIGHT) as workers:
        return _Lists(client, inventory.read_at, workers).read(inventory, wanted)


class _Lists:
    """One reading of lists."""

    def __init__(self, client: Reader, now: datetime, workers: Workers) -> None:
        self._client = client
        self._now = now
        self._workers = workers

    def read(self, inventory: WiderInventory, wanted: AbstractSet[ApiList]) -> WiderInventory:
        """Add the lists that are wanted, with what they rest on."""
        ours = [d for d in inventory.selection if d.managed_by is None]
        start = self._workers.submit
        reading: dict[ApiList, Future[Any]] = {}
        if "firewalls" in wanted:
            reading["firewalls"] = start(self._list, "firewalls.list", parse_firewall)
        if "keys" in wanted:
            reading["keys"] = start(self._list, "ssh_keys.list", parse_key)
        if "backup_policies" in wanted:
            reading["backup_policies"] = start(self._policies)
        if "volume_snapshots" in wanted and any(d.volume_ids for d in ours):
            reading["volume_snapshots"] = start(
                self._list, "snapshots.list", parse_volume_snapshot, resource_type="volume"
            )
        if "account_id" in wanted:
            reading["account_id"] = start(self._account_id)
        found: dict[str, Any] = {}
        if "backups" in wanted:
            kept = [d for d in ours if d.pool is None]
            found["backups"] = self._backups(list(inventory.droplets), kept)
            if "enabled_at" in wanted:
                policies = reading["backup_policies"].result()
                found["enabled_at"] = self._enabled_at(kept, policies, found["backups"])
        if "firewalls" in wanted:
            found["attached"] = self._attached(ours, reading["firewalls"].result())
        found |= {name: future.result() for name, future in reading.items()}
        inventory = self._counted(replace(inventory, **found))
        return self._settled(inventory) if "firewalls_again" in wanted else inventory

    def _settled(self, inventory: WiderInventory) -> WiderInventory:
        """Add the firewalls as they are later, where one has not applied all changes yet."""
        ours = [d for d in inventory.selection if d.managed_by is None]
        ids, tags = {d.id for d in ours}, {tag for d in ours for tag in d.tags}
        own = [f for i in ids if (r := inventory.attached.get(i)) for f in r.value or ()]
        listed = [
            f
            for f in inventory.firewalls.value or ()
            if not (ids.isdisjoint(f.droplet_ids) and tags.isdisjoint(f.tags))
        ]
        names = sorted({f.name for f in (*listed, *own) if is_settling(f, ids)})
        if not names:
            return inventory
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        self._client.notice(
            f"firewall {', '.join(names[:3])}{more} is still applying changes: "
            f"reading it again in {SETTLE_S:.0f} s"
        )
        self._client.pause(SETTLE_S)
        again = self._list("firewalls.list", parse_firewall, per_page=_AGAIN_PER_PAGE)
        again = replace(again, observed_at=self._now + timedelta(seconds=SETTLE_S))
        return self._counted(replace(inventory, firewalls_again=again))

    def _counted(self, inventory: WiderInventory) -> WiderInventory:
        return replace(inventory, requests=self._client.requests)

    def _reading(self, source: str, read: Callable[[], T]) -> Reading[T]:
        try:
            return Reading(source, self._now, read())
        except ApiError as exc:
            return Reading(source, self._now, missing=str(exc).removeprefix(f"{source}: "))

    def _list(
        self, operation: str, parse: Callable[[Any], T], **params: Any
    ) -> Reading[tuple[T, ...]]:
        source = OPERATIONS[operation].request(params)
        return self._reading(
            source, lambda: tuple(map(parse, self._client.pages(operation, **params)))
        )

    def _each(
        self, droplets: Iterable[Droplet], operation: str, parse: Callable[[Any], T]
    ) -> dict[int, Reading[tuple[T, ...]]]:
        """Ask about each of some Droplets."""
        each, path = list(droplets), OPERATIONS[operation].path
        if not each:
            return {}
        if len(each) > PER_PAGE:
            self._client.notice(f"asking GET {path} for each of {len(each)} droplets")
        with self._client.waiting(path, len(each)):
            asked = {
                d.id: self._workers.submit(self._list, operation, parse, droplet_id=d.id)
                for d in each
            }
            return {droplet_id: future.result() for droplet_id, future in asked.items()}

    def _policies(self) -> Reading[Mapping[int, BackupPolicy]]:
        operation = "droplets.list_backup_policies"
        return self._reading(
            f"GET {OPERATIONS[operation].path}",
            lambda: {
                integer(key, "GET /v2/droplets/backups/policies: policies"): (
                    parse_backup_policy(record)
                )
                for key, record in self._client.pages(operation)
            },
        )

    def _account_id(self) -> str:
        """Return the id of the team or account; empty where the answer does not tell."""
        try:
            return parse_account_id(self._client.get("account.get")["account"])
        except ApiError:
            return ""

    def _attached(
        self, droplets: list[Droplet], firewalls: Reading[tuple[Firewall, ...]]
    ) -> dict[int, Reading[tuple[Firewall, ...]]]:
        """Return what the list does not tell: by its own answer where tags are hidden.

        Where they are seen the list names every Droplet of a firewall: one that it does not name
        has none. So has each where the account has no firewall.
        """
        if firewalls.value is None:
            return {}
        blind = [d for d in droplets if "tags" in d.hidden]
        if firewalls.value and blind:
            return self._each(blind, "droplets.list_firewalls", parse_firewall)
        ids = {i for firewall in firewalls.value for i in firewall.droplet_ids}
        tags = {tag for firewall in firewalls.value for tag in firewall.tags}
        none: Reading[tuple[Firewall, ...]] = replace(firewalls, value=())
        return {d.id: none for d in droplets if d.id not in ids and tags.isdisjoint(d.tags)}

    def _backups(
        self,
        droplets: list[Droplet],
        ours: list[Droplet],
    ) -> Reading[Mapping[int, tuple[Backup, ...]]]:
        """Join the images of the account, or ask Droplet by Droplet where that is less.

        A Droplet whose ``backup_ids`` are seen to be empty has no backup, whatever its policy.
        """
        images = sum(len(d.backup_ids) for d in droplets)
        listing = sum(1 for d in ours if d.backup_ids) > math.ceil(images / PER_PAGE)
        source = IMAGES if listing else "GET /v2/droplets/{id}/backups"
        known, missing = self._join_images(droplets) if listing else ({}, None)
        asked = []
        for d in ours:
            if d.backup_ids or not d.hidden.isdisjoint(_OF_IMAGES):
                asked += [d] if d.id not in known else []
            else:
                known[d.id] = ()
        for droplet_id, reading in self._each(
            asked, "droplets.list_backups", parse_backup
        ).items():
            if reading.value is None:
                missing = missing or reading.missing
            else:
                known[droplet_id] = reading.value
        if not listing and any(d.backup_ids and d.id not in known for d in asked):
            known = self._join_images(droplets)[0] | known
        if missing is not None and not any(d.id in known for d in asked):
            return Reading(source, self._now, missing=missing)
        return Reading(source, self._now, known)

    def _join_images(
        self, droplets: list[Droplet]
    ) -> tuple[dict[int, tuple[Backup, ...]], str | None]:
        """Return the backups of each Droplet whose ``backup_ids`` are all there, or the reason."""
        listed = self._list("images.list", parse_private_image, private=True)
        images = {image.id: image for image in listed.value or () if image is not None}
        return {
            d.id: tuple(images[i] for i in d.backup_ids)
            for d in droplets
            if d.backup_ids and all(i in images for i in d.backup_ids)
        }, listed.missing

    def _enabled_at(
        self,
        droplets: list[Droplet],
        policies: Reading[Mapping[int, BackupPolicy]],
        backups: Reading[Mapping[int, tuple[Backup, ...]]],
    ) -> dict[int, Reading[datetime | None]]:
        young = [
            d
            for d in droplets
            if _backups_are_on(d, policies)
            and backups.value is not None
            and backups.value.get(d.id) == ()
        ]
        asked = self._each(young, "droplet_actions.list", parse_enabled)
        return {
            droplet_id: Reading(r.source, r.observed_at, _latest(r.value or ()), r.missing)
            for droplet_id, r in asked.items()
        }


def _backups_are_on(droplet: Droplet, policies: Reading[Mapping[int, BackupPolicy]]) -> bool:
    policy = (policies.value or {}).get(droplet.id)
    return "backups" in droplet.features or (policy is not None and policy.enabled)


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
