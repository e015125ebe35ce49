"""From the objects of the API's answers to the frozen data of :mod:`pytest_droplet.model`.

The parsers are pure, and raise :class:`~pytest_droplet.api.answers.ApiError` alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pytest_droplet.api.fields import UUID, Row, ip_address, wrong
from pytest_droplet.model import (
    KUBERNETES,
    AccountKey,
    Address,
    Backup,
    BackupPolicy,
    Droplet,
    Firewall,
    Image,
    PendingChange,
    Rule,
)

_HIDEABLE = ("tags", "vpc_uuid", "image", "backup_ids", "snapshot_ids", "volume_ids", "features")
_ACCOUNT_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_KUBERNETES = re.compile(f"k8s:{UUID.pattern}")
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


def parse_droplet(data: Any) -> Droplet:
    """Parse a Droplet of ``GET /v2/droplets``.

    Fields that a narrow token does not see, absent or null, are named in ``hidden``. ``vpc_uuid``
    is also absent for a Droplet without a VPC: only the account as a whole tells which it is, so
    :func:`read_inventory` takes it out of ``hidden`` where another Droplet shows one. Reserved
    IPs are ``public`` here: the Droplet's own entry does not tell.

    Raises:
        ApiError: A field has not the type that the API promises.
    """
    row = Row(data, "GET /v2/droplets: droplets[]")
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


def _address(entry: Row) -> Address:
    parsed = ip_address(entry.text("ip_address"), "GET /v2/droplets: droplets[].networks")
    kind = entry.text_or_none("type")
    return Address(str(parsed), parsed.version, "private" if kind == "private" else "public")


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
    row = Row(data, "GET /v2/firewalls: firewalls[]")
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


def _rule(row: Row, peers: str) -> Rule:
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


def parse_account_id(data: Any) -> str:
    """Return the id of the team that ``GET /v2/account`` names, else that of the account.

    Raises:
        ApiError: It has none, or one that is no short word of letters, digits and ``-``.
    """
    account = Row(data, "GET /v2/account: account")
    team = account.row("team")
    owner = team if team.has("uuid") else account
    account_id = owner.text("uuid")
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise wrong(owner.at("uuid"), account_id, "an id")
    return account_id


def parse_key(data: Any) -> AccountKey:
    """Parse an SSH key of ``GET /v2/account/keys`` (ApiError: a field has the wrong type)."""
    row = Row(data, "GET /v2/account/keys: ssh_keys[]")
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
    row = Row(data, "GET /v2/droplets/backups/policies: policies{}")
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
    row = Row(data, "GET /v2/images: images[]")
    return Backup(
        id=row.number("id"),
        created_at=row.time("created_at"),
        size_gigabytes=row.measure_or_none("size_gigabytes"),
        min_disk_size=row.number_or_none("min_disk_size"),
        regions=row.texts("regions"),
    )


def parse_private_image(data: Any) -> Backup | None:
    """Return a private image, None for one that is no backup and may lack what one has."""
    row = Row(data, "GET /v2/images: images[]")
    return parse_backup(data) if row.has("created_at") and row.has("id") else None


def parse_enabled(data: Any) -> datetime | None:
    """Return when an action enabled the backups, None for another action."""
    row = Row(data, "GET /v2/droplets/{id}/actions: actions[]")
    if row.text_or_none("type") != "enable_backups" or row.text_or_none("status") != "completed":
        return None
    return row.time_or_none("completed_at")


def parse_volume_snapshot(data: Any) -> VolumeSnapshot:
    """Parse a snapshot of ``GET /v2/snapshots?resource_type=volume``.

    Raises:
        ApiError: It names no volume or no creation date, or a field has the wrong type.
    """
    row = Row(data, "GET /v2/snapshots: snapshots[]")
    return VolumeSnapshot(row.text("id"), row.text("resource_id"), row.time("created_at"))
