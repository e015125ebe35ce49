"""The inventory: from the API's answers to the frozen data of :mod:`pytest_droplet.model`.

The parsers are pure. What has not the type that the API promises is an
:class:`~pytest_droplet.api.client.ApiError` that names endpoint and field, never a traceback.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from pytest_droplet.api.client import IN_FLIGHT, OPERATIONS, PER_PAGE, ApiError, Reader
from pytest_droplet.api.workers import Workers
from pytest_droplet.model import (
    KUBERNETES,
    AccountKey,
    Address,
    ApiList,
    Backup,
    BackupPolicy,
    Droplet,
    Firewall,
    Image,
    Inventory,
    PendingChange,
    Reading,
    Rule,
)
from pytest_droplet.selection import Selection
from pytest_droplet.text import one_line

T = TypeVar("T")

AddressKind = Literal["public", "private", "ipv6", "reserved"]

SETTLE_S = 60.0
"""Seconds until firewalls that are still applying changes are read again."""

_AGAIN_PER_PAGE = PER_PAGE // 2  # another size than at first: a recording keeps both readings

_HIDEABLE = ("tags", "vpc_uuid", "image", "backup_ids", "snapshot_ids", "volume_ids", "features")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KUBERNETES = re.compile(f"k8s:{_UUID.pattern}")
_WORD = re.compile(r"[0-9A-Za-z_-]+")
_PEERS = ("addresses", "tags", "droplet_ids", "load_balancer_uids", "kubernetes_ids")
_RULE = ("protocol", "ports", "action")
_FIREWALL = (
    *("id", "name", "status", "created_at", "pending_changes", "droplet_ids", "tags"),
    *("inbound_rules", "outbound_rules"),
)
_LABELS = frozenset({"description", "links", "owner", "project_id", "updated_at", "urn"})
_NEW_FIELD = "is a field that this version of pytest-droplet does not know"


@dataclass(frozen=True, slots=True)
class VolumeSnapshot:
    """A snapshot of a block storage volume, from ``GET /v2/snapshots``."""

    id: str
    volume_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class WiderInventory(Inventory):
    """An inventory with what only some checks ask for; None: it was not asked for.

    ``firewalls_again`` are the firewalls as they were :data:`SETTLE_S` seconds later, read only
    where one that is attached to a selected Droplet was still applying changes.
    """

    firewalls_again: Reading[tuple[Firewall, ...]] | None = None
    volume_snapshots: Reading[tuple[VolumeSnapshot, ...]] | None = None


class _Row:
    """An object of an answer, read field by field with the type that is expected of it."""

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise _wrong(where, data, "an object")
        self._data = data
        self._where = where

    def has(self, name: str) -> bool:
        return self._data.get(name) is not None

    def absence(self, name: str) -> str:
        return "null" if name in self._data else "absent"

    def filled(self, name: str) -> bool:
        """Whether it is there, and no empty text: a node without a Droplet yet has that."""
        return self._data.get(name) not in (None, "")

    def at(self, name: str) -> str:
        return f"{self._where}.{name}"

    def text(self, name: str) -> str:
        value = self._data.get(name)
        if not isinstance(value, str):
            raise _wrong(self.at(name), value, "a text")
        return _clean(value)

    def text_or_none(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def word(self, name: str) -> str:
        """Return a text that is one word of letters, digits, ``_`` and ``-``."""
        value = self.text(name)
        if not _WORD.fullmatch(value):
            raise _wrong(self.at(name), value, "a word")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        items = self._list(name)
        for value in items:
            if not isinstance(value, str):
                raise _wrong(self.at(name), value, "a text")
        return tuple(_clean(value) for value in items)

    def number(self, name: str) -> int:
        return _integer(self._data.get(name), self.at(name))

    def number_or_none(self, name: str) -> int | None:
        return self.number(name) if self.has(name) else None

    def numbers(self, name: str) -> tuple[int, ...]:
        return tuple(_integer(value, self.at(name)) for value in self._list(name))

    def measure_or_none(self, name: str) -> float | None:
        value = self._data.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                measure = float(value)
                if math.isfinite(measure):
                    return measure
        except OverflowError:
            pass
        raise _wrong(self.at(name), value, "a number")

    def truth(self, name: str) -> bool:
        value = self._data.get(name)
        if not isinstance(value, bool):
            raise _wrong(self.at(name), value, "true or false")
        return value

    def time(self, name: str) -> datetime:
        value = self._data.get(name)
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
                return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        raise _wrong(self.at(name), value, "a date and time")

    def time_or_none(self, name: str) -> datetime | None:
        return self.time(name) if self.has(name) else None

    def row(self, name: str) -> _Row:
        """Return the object of this name, empty where it is absent."""
        return _Row(self._data.get(name) if self.has(name) else {}, self.at(name))

    def rows(self, name: str) -> tuple[_Row, ...]:
        return tuple(_Row(value, self.at(name)) for value in self._list(name))

    def promised(self, name: str) -> tuple[_Row, ...]:
        """Return a list of which only null, and not its absence, says that there are none."""
        if name not in self._data:
            raise _wrong(self.at(name), None, "a list")
        return self.rows(name)

    def others(self, known: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the fields beside those that are known, by name."""
        return tuple(sorted(_clean(str(name)) for name in set(self._data) - set(known)))

    def _list(self, name: str) -> list[Any]:
        value = self._data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise _wrong(self.at(name), value, "a list")
        return value


def _wrong(where: str, value: Any, expected: str) -> ApiError:
    if value is None:
        shown = "absent"
    else:
        kind = type(value).__name__
        shown = f"{kind} {one_line(repr(value)[:400], 60)}" if _is_plain(value) else f"a {kind}"
    return ApiError(
        f"{where} is {shown}, expected {expected}; "
        "is this DigitalOcean's API? Check DIGITALOCEAN_API_URL"
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, int) and value.bit_length() > 128:
        return False
    return isinstance(value, str | int | float)


def _integer(value: Any, where: str) -> int:
    """Ids come as number or as text, by endpoint."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise _wrong(where, value, "a whole number")
    return value


def _clean(text: str) -> str:
    """Replace lone surrogates: JSON may hold them, no encoder takes them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def parse_droplet(data: Any) -> Droplet:
    """Parse a Droplet of ``GET /v2/droplets``.

    Fields that a narrow token does not see, absent or null, are named in ``hidden``. ``vpc_uuid``
    is also absent for a Droplet without a VPC: only the account as a whole tells which it is, so
    :func:`read_inventory` takes it out of ``hidden`` where another Droplet shows one. Reserved
    IPs are ``public`` here: the Droplet's own entry does not tell.

    Raises:
        ApiError: A field has not the type that the API promises.
    """
    row = _Row(data, "GET /v2/droplets: droplets[]")
    hidden = frozenset(name for name in _HIDEABLE if not row.has(name))
    image_row = row.row("image")
    if not image_row.has("id") and not image_row.has("distribution"):
        hidden |= {"image"}
    if row.text_or_none("vpc_uuid") == "":
        hidden |= {"vpc_uuid"}
    image = Image(
        id=image_row.number_or_none("id"),
        distribution=image_row.text_or_none("distribution"),
        name=image_row.text_or_none("name"),
        slug=image_row.text_or_none("slug"),
        type=image_row.text_or_none("type"),
    )
    networks = row.row("networks")
    tags = row.texts("tags")
    return Droplet(
        id=row.number("id"),
        name=row.text("name"),
        status=row.text("status"),
        created_at=row.time_or_none("created_at"),
        region=row.row("region").text_or_none("slug") or "",
        size=row.text_or_none("size_slug") or "",
        tags=tags,
        vpc_uuid=row.text_or_none("vpc_uuid") or None,
        image=image,
        features=row.texts("features"),
        addresses=tuple(_address(entry) for name in ("v4", "v6") for entry in networks.rows(name)),
        backup_ids=row.numbers("backup_ids"),
        volume_ids=row.texts("volume_ids"),
        disk_gigabytes=row.number_or_none("disk") or 0,
        kernel=row.row("kernel").text_or_none("name"),
        managed_by=_managed_by(tags, image),
        hidden=hidden,
    )


def _address(entry: _Row) -> Address:
    parsed = _ip(entry.text("ip_address"), "GET /v2/droplets: droplets[].networks")
    kind = entry.text_or_none("type")
    return Address(str(parsed), parsed.version, "private" if kind == "private" else "public")


def _ip(text: str, where: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        if "%" not in text:
            return ipaddress.ip_address(text)
    except ValueError:
        pass
    raise _wrong(where, text, "an IP address")


def _managed_by(tags: tuple[str, ...], image: Image) -> str | None:
    """Only what DigitalOcean itself sets: a bare tag ``k8s`` may be anybody's own cluster."""
    if any(_KUBERNETES.fullmatch(tag) for tag in tags):
        return KUBERNETES
    return "DigitalOcean" if image.type == "admin" else None


def parse_firewall(data: Any) -> Firewall:
    """Parse a Cloud Firewall of ``GET /v2/firewalls`` or ``/v2/droplets/{id}/firewalls``.

    Lists that are null are empty; so are those absent that a narrow token does not see
    (``droplet_ids``, ``tags``).

    A firewall decides by what all its fields say together, so one that is not known may turn what
    the others mean. In a rule and in its peers every such field is noted as unclear; in the
    firewall itself too, unless it is null or labels the firewall only (a description, an owner,
    the time of its last change). Other objects of the API, as Droplets, may have fields that nobody here
    knows: what they add is not asked for. Words are kept as they are; the facts say which are
    known.

    Raises:
        ApiError: A field has not the type that the API promises, or one is absent without which
            nothing is known: the rules, the pending changes.
    """
    row = _Row(data, "GET /v2/firewalls: firewalls[]")
    others = row.others((*_FIREWALL, *_LABELS))
    unclear = tuple(f"{name} {_NEW_FIELD}" for name in others if row.has(name))
    return Firewall(
        id=row.word("id"),
        name=row.text_or_none("name") or "",
        status=row.text_or_none("status") or "",
        droplet_ids=row.numbers("droplet_ids"),
        tags=row.texts("tags"),
        inbound=tuple(_rule(rule, "sources") for rule in row.promised("inbound_rules")),
        outbound=tuple(_rule(rule, "destinations") for rule in row.promised("outbound_rules")),
        pending=tuple(
            PendingChange(
                droplet_id=change.number("droplet_id"),
                removing=change.truth("removing"),
                status=change.text_or_none("status") or "",
            )
            for change in row.promised("pending_changes")
        ),
        unclear=unclear,
    )


def _rule(row: _Row, peers: str) -> Rule:
    """Return a rule; an absent ``action`` allows, ports of ICMP say nothing."""
    protocol = row.text_or_none("protocol") or ""
    peer = row.row(peers)
    needed = ("protocol", peers) if protocol == "icmp" else ("protocol", "ports", peers)
    unclear = [f"{name} is {row.absence(name)}" for name in needed if not row.has(name)]
    unclear += [f"{name} {_NEW_FIELD}" for name in row.others((*_RULE, peers))]
    unclear += [f"{peers}.{name} {_NEW_FIELD}" for name in peer.others(_PEERS)]
    if not row.has("action") and row.absence("action") == "null":
        unclear.append("action is null")
    return Rule(
        protocol=protocol,
        ports="0" if protocol == "icmp" else row.text_or_none("ports") or "",
        addresses=peer.texts("addresses"),
        tags=peer.texts("tags"),
        droplet_ids=peer.numbers("droplet_ids"),
        load_balancer_uids=peer.texts("load_balancer_uids"),
        kubernetes_ids=peer.texts("kubernetes_ids"),
        action=row.text("action") if row.has("action") else "allow",
        unclear=tuple(unclear),
    )


def parse_key(data: Any) -> AccountKey:
    """Parse an SSH key of ``GET /v2/account/keys`` (ApiError: a field has the wrong type)."""
    row = _Row(data, "GET /v2/account/keys: ssh_keys[]")
    return AccountKey(
        id=row.number("id"),
        name=row.text("name"),
        fingerprint=row.text_or_none("fingerprint") or "",
        public_key=row.text("public_key"),
    )


def parse_backup_policy(data: Any) -> BackupPolicy:
    """Parse a record of ``GET /v2/droplets/backups/policies``.

    Raises:
        ApiError: ``backup_enabled`` is not true or false, or a field has the wrong type.
    """
    row = _Row(data, "GET /v2/droplets/backups/policies: policies{}")
    policy = row.row("backup_policy")
    return BackupPolicy(
        enabled=row.truth("backup_enabled"),
        plan=policy.text_or_none("plan"),
        weekday=policy.text_or_none("weekday"),
        hour=policy.number_or_none("hour"),
        window_hours=policy.number_or_none("window_length_hours"),
        retention_days=policy.number_or_none("retention_period_days"),
        next_window_start=row.row("next_backup_window").time_or_none("start"),
    )


def parse_backup(data: Any) -> Backup:
    """Parse an image of ``GET /v2/images`` or a backup of ``/v2/droplets/{id}/backups``.

    Raises:
        ApiError: It has no id or no creation date, or a field has the wrong type.
    """
    row = _Row(data, "GET /v2/images: images[]")
    return Backup(
        id=row.number("id"),
        created_at=row.time("created_at"),
        size_gigabytes=row.measure_or_none("size_gigabytes"),
        min_disk_size=row.number_or_none("min_disk_size"),
        regions=row.texts("regions"),
    )


def parse_volume_snapshot(data: Any) -> VolumeSnapshot:
    """Parse a snapshot of ``GET /v2/snapshots?resource_type=volume``.

    Raises:
        ApiError: It names no volume or no creation date, or a field has the wrong type.
    """
    row = _Row(data, "GET /v2/snapshots: snapshots[]")
    return VolumeSnapshot(row.text("id"), row.text("resource_id"), row.time("created_at"))


def is_settling(firewall: Firewall, droplet_ids: Iterable[int]) -> bool:
    """Whether a firewall is still applying changes, as far as these Droplets are concerned."""
    waiting = {change.droplet_id for change in firewall.pending}
    return firewall.status == "waiting" or not waiting.isdisjoint(droplet_ids)


def address_for(droplet: Droplet, kind: AddressKind) -> str | None:
    """Return the address of a Droplet to connect to, None where it has none of that kind.

    Chosen by type, never by place in the list. A reserved IP is told from the Droplet's own
    public address only in an inventory that was read with ``reserved=True``.
    """
    for address in droplet.addresses:
        if kind == "ipv6":
            if address.version == 6 and address.kind == "public":
                return address.ip
        elif address.version == 4 and address.kind == kind:
            return address.ip
    return None


def read_inventory(
    client: Reader, selection: Selection, *, now: datetime, reserved: bool = False
) -> WiderInventory:
    """Read what is needed to tell which Droplets are meant and where they are reached.

    The lists are read at the same time: Droplets, GPU Droplets, autoscale pools with their
    members, DOKS clusters; reserved IPs and projects where they are asked for.

    Args:
        client: Where the answers come from.
        selection: Which Droplets the run is about.
        now: The time of the readings.
        reserved: Also list the reserved IPs, which makes them ``reserved`` among the addresses.

    Returns:
        The inventory, in which every list of :data:`~pytest_droplet.model.API_LISTS` is missing:
        :func:`read_lists` reads them. Where pools or clusters could not be read their Droplets
        look like any other: ``notes`` says so, of clusters only where the token does not see
        tags, which name a node's cluster as well.

    Raises:
        ApiError: The Droplets could not be listed; or the projects, or the reserved IPs, where
            they are needed to tell which Droplets are meant or where they are reached.
        SelectionError: The token does not see what a selector asks for.
    """
    with Workers(2 * IN_FLIGHT) as workers:
        return _Inquiry(client, now, workers).select(selection, reserved=reserved)


def read_lists(
    client: Reader, inventory: WiderInventory, lists: Iterable[ApiList]
) -> WiderInventory:
    """Read lists of the account, with the fewest requests that answer what the checks ask.

    The lists are read at the same time. What is asked Droplet by Droplet is asked of selected
    ones alone, and only where no list of the account tells it.

    Args:
        client: Where the answers come from: the one that read the inventory.
        inventory: Of :func:`read_inventory`.
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
        return _Inquiry(client, inventory.read_at, workers).lists(inventory, wanted)


_RESTS_ON: Mapping[ApiList, tuple[ApiList, ...]] = {
    "firewalls_again": ("firewalls",),
    "enabled_at": ("backup_policies", "backups"),
}
_NOT_ASKED = "not asked: no selected check needs it"


class _Inquiry:
    """One reading of the account."""

    def __init__(self, client: Reader, now: datetime, workers: Workers) -> None:
        self._client = client
        self._now = now
        self._workers = workers

    def select(self, selection: Selection, *, reserved: bool) -> WiderInventory:
        start = self._workers.submit
        plain = start(self._client.pages, "droplets.list")
        gpus = start(self._client.pages, "droplets.list", type="gpus")
        listing_pools = start(self._pools)
        listing_nodes = start(self._nodes)
        ips = start(self._client.pages, "reserved_ips.list") if reserved else None
        projects = start(self._projects) if selection.needs_projects else None

        droplets = self._visible([*plain.result(), *gpus.result()])
        if ips is not None:
            droplets = _with_reserved(droplets, ips.result())
        if projects is not None:
            names = projects.result()
            droplets = [replace(d, project=names.get(d.urn)) for d in droplets]
        pools, nodes, notes = self._managed(droplets, listing_pools, listing_nodes)
        droplets = [
            replace(
                d,
                pool=pools.get(d.id),
                managed_by=KUBERNETES if d.id in nodes else d.managed_by,
            )
            for d in droplets
        ]

        def unasked(source: str) -> Reading[Any]:
            return Reading(source, self._now, missing=_NOT_ASKED)

        return WiderInventory(
            read_at=self._now,
            endpoint=self._client.endpoint,
            droplets=tuple(droplets),
            selected=tuple(d.id for d in droplets if selection.matches(d)),
            firewalls=unasked("GET /v2/firewalls"),
            keys=unasked("GET /v2/account/keys"),
            backup_policies=unasked("GET /v2/droplets/backups/policies"),
            backups=unasked(_IMAGES),
            requests=self._client.requests,
            notes=notes,
        )

    def _managed(
        self,
        droplets: Iterable[Droplet],
        listing_pools: Future[dict[int, str]],
        listing_nodes: Future[frozenset[int]],
    ) -> tuple[Mapping[int, str], AbstractSet[int], tuple[str, ...]]:
        """Return pools by member, the nodes of clusters, and what is not known of either."""
        pools: Mapping[int, str] = {}
        nodes: AbstractSet[int] = frozenset()
        notes = []
        try:
            pools = listing_pools.result()
        except ApiError as exc:
            notes.append(f"members of autoscale pools look like any Droplet: {exc}")
        try:
            nodes = listing_nodes.result()
        except ApiError as exc:
            if any("tags" in d.hidden for d in droplets):
                notes.append(f"nodes of DOKS may look like any Droplet: {exc}")
        return pools, nodes, tuple(notes)

    def lists(self, inventory: WiderInventory, wanted: AbstractSet[ApiList]) -> WiderInventory:
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
        return self.with_settled(inventory) if "firewalls_again" in wanted else inventory

    def with_settled(self, inventory: WiderInventory) -> WiderInventory:
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
        source = f"GET {OPERATIONS[operation].split(params)[0]}"
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

    def _visible(self, rows: list[Any]) -> list[Droplet]:
        """Parse the Droplets and settle what the token does not see of them, by id."""
        droplets = sorted({d.id: d for d in map(parse_droplet, rows)}.values(), key=lambda d: d.id)
        hidden = frozenset[str]()
        shown = frozenset[str]()
        if any(d.vpc_uuid for d in droplets):
            shown = frozenset({"vpc_uuid"})
        if droplets and not any(d.tags for d in droplets) and not self._tags_are_visible():
            hidden = frozenset({"tags"})
        return [replace(d, hidden=(d.hidden - shown) | hidden) for d in droplets]

    def _tags_are_visible(self) -> bool:
        """Tell an account without tags from a token that does not see them."""
        try:
            self._client.get("tags.list", page=1, per_page=1)
        except ApiError:
            return False
        return True

    def _policies(self) -> Reading[Mapping[int, BackupPolicy]]:
        operation = "droplets.list_backup_policies"
        return self._reading(
            f"GET {OPERATIONS[operation].path}",
            lambda: {
                _integer(key, "GET /v2/droplets/backups/policies: policies"): (
                    parse_backup_policy(record)
                )
                for key, record in self._client.pages(operation)
            },
        )

    def _pools(self) -> dict[int, str]:
        """Return the name of the autoscale pool by the id of the member."""
        listed = []
        for row in self._client.pages("autoscalepools.list"):
            pool = _Row(row, "GET /v2/droplets/autoscale: autoscale_pools[]")
            members = self._workers.submit(
                self._client.pages,
                "autoscalepools.list_members",
                autoscale_pool_id=_uuid(pool),
            )
            listed.append((pool.text("name"), members))
        where = "GET /v2/droplets/autoscale/{id}/members: droplets[]"
        return {
            _Row(row, where).number("droplet_id"): name
            for name, members in listed
            for row in members.result()
        }

    def _nodes(self) -> frozenset[int]:
        """Return the ids of the Droplets that are nodes of DOKS clusters."""
        where = "GET /v2/kubernetes/clusters: kubernetes_clusters[]"
        nodes = (
            node
            for row in self._client.pages("kubernetes.list_clusters")
            for pool in _Row(row, where).rows("node_pools")
            for node in pool.rows("nodes")
        )
        return frozenset(n.number("droplet_id") for n in nodes if n.filled("droplet_id"))

    def _projects(self) -> dict[str, str]:
        """Return the name of the project by the URN of the resource."""
        where = "GET /v2/projects: projects[]"
        projects = [_Row(row, where) for row in self._client.pages("projects.list")]
        listed = [
            (
                project.text("name"),
                self._workers.submit(
                    self._client.pages, "projects.list_resources", project_id=_uuid(project)
                ),
            )
            for project in projects
        ]
        return {row["urn"]: name for name, rows in listed for row in rows.result()}

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
        source = _IMAGES if listing else "GET /v2/droplets/{id}/backups"
        known, missing = self._join_images(droplets) if listing else ({}, None)
        asked = []
        for d in ours:
            if d.backup_ids or not d.hidden.isdisjoint(_OF_IMAGES):
                asked += [d] if d.id not in known else []
            else:
                known[d.id] = ()
        for droplet_id, reading in self._each(asked, _BACKUPS, parse_backup).items():
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
        listed = self._list("images.list", _parse_image, private=True)
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
        asked = self._each(young, "droplet_actions.list", _parse_enabled)
        return {
            droplet_id: Reading(r.source, r.observed_at, _latest(r.value or ()), r.missing)
            for droplet_id, r in asked.items()
        }


_BACKUPS = "droplets.list_backups"
_OF_IMAGES = frozenset(
    {"backup_ids", "image"}
)  # one scope: where the image is hidden, so are they
_IMAGES = "GET /v2/images?private=true"


def _backups_are_on(droplet: Droplet, policies: Reading[Mapping[int, BackupPolicy]]) -> bool:
    policy = (policies.value or {}).get(droplet.id)
    return "backups" in droplet.features or (policy is not None and policy.enabled)


def _parse_image(data: Any) -> Backup | None:
    """Return a private image, None for one that is no backup and may lack what one has."""
    row = _Row(data, "GET /v2/images: images[]")
    return parse_backup(data) if row.has("created_at") and row.has("id") else None


def _parse_enabled(data: Any) -> datetime | None:
    """Return when an action enabled the backups, None for another action."""
    row = _Row(data, "GET /v2/droplets/{id}/actions: actions[]")
    if row.text_or_none("type") != "enable_backups" or row.text_or_none("status") != "completed":
        return None
    return row.time_or_none("completed_at")


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _uuid(row: _Row) -> str:
    """Return the id of a row, which becomes part of a path."""
    text = row.text("id")
    if not _UUID.fullmatch(text):
        raise _wrong(row.at("id"), text, "a UUID")
    return text


def _with_reserved(droplets: list[Droplet], rows: list[Any]) -> list[Droplet]:
    owners: dict[str, int | None] = {}
    for row in (_Row(data, "GET /v2/reserved_ips: reserved_ips[]") for data in rows):
        ip = _ip(row.text("ip"), "GET /v2/reserved_ips: reserved_ips[].ip")
        owners[str(ip)] = row.row("droplet").number_or_none("id")
    marked = []
    for droplet in droplets:
        own = [a for a in droplet.addresses if a.ip not in owners]
        theirs = {a.ip for a in droplet.addresses if a.ip in owners}
        theirs |= {ip for ip, owner in owners.items() if owner == droplet.id}
        reserved = (Address(ip, 4, "reserved") for ip in sorted(theirs))
        marked.append(replace(droplet, addresses=(*own, *reserved)))
    return marked
