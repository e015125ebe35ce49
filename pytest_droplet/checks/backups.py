"""Checks of backups: they are on, recent and whole (the guide's recommendation 1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from statistics import median
from typing import NoReturn

from pytest_droplet.catalogue import check
from pytest_droplet.facts.backups.backups import LONGEST, Backups, BackupStatus
from pytest_droplet.facts.backups.volumes import Volumes
from pytest_droplet.model import (
    Backup,
    BackupPolicy,
    Claims,
    Droplet,
    Item,
    NotObservedError,
    fail,
    not_applicable,
)
from pytest_droplet.settings import Settings

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, 1: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_BACKUPS = "https://docs.digitalocean.com/products/backups/"
_SNAPSHOTS = "https://docs.digitalocean.com/products/volumes/how-to/snapshot/"
_DAY = timedelta(days=1)
_OTHERS = 3


@check(
    "backups.enabled",
    severity="high",
    profile="droplet",
    guide=1,
    references=f"{_GUIDE}; {_BACKUPS}",
)
def test_automatic_backups_are_enabled(
    droplet: Droplet, droplet_backup_status: BackupStatus
) -> None:
    """Automatic backups are enabled.

    Finding:
        Automatic backups are off.

    Rationale:
        A Droplet whose disk is lost, encrypted by an intruder or broken by an upgrade comes back
        only from a copy that is kept elsewhere.

    Remediation:
        Open the Droplet's Backups tab in the control panel and choose a plan, or run
        ``doctl compute droplet-action enable-backups ID --backup-policy-plan daily``. Backups do
        not contain attached volumes: take snapshots of these.
    """
    _only_ours(droplet)
    assert droplet_backup_status.enabled, (
        "backups are off, by the policy and by the Droplet's features"
    )


@check(
    "backups.recent",
    severity="high",
    profile="droplet",
    guide=1,
    references=f"{_GUIDE}; {_BACKUPS}",
    depends_on=("backups.enabled",),
)
def test_newest_backup_is_recent(
    droplet: Droplet,
    droplet_backup_status: BackupStatus,
    droplet_backups: Backups,
    droplet_now: datetime,
) -> None:
    """The newest backup is recent enough.

    Two intervals of the plan and its window may pass. Without any backup, one is due an interval
    and a day after backups were turned on.

    Finding:
        The newest backup is too old, or there is none.

    Rationale:
        Backups that are on may still fail, window after window. What counts is how much work is
        lost when the newest one has to be restored.

    Remediation:
        Look for failed windows on the Droplet's Backups page and open a ticket; meanwhile take a
        snapshot: ``doctl compute droplet-action snapshot ID``.
    """
    _need_a_backup(droplet, droplet_backup_status, droplet_backups, droplet_now)
    newest = droplet_backups.images[0]
    age = droplet_now - newest.created_at
    if age < timedelta():
        raise NotObservedError(
            f"backup {newest.id} is dated {newest.created_at:%Y-%m-%d %H:%M} UTC, which is after"
            f" {droplet_now:%Y-%m-%d %H:%M} UTC; check the clock of this machine"
        )
    longest = 2 * LONGEST + droplet_backup_status.window
    if age > longest:
        _fail_too_old(newest, age, longest)
    limit = 2 * droplet_backup_status.pace + droplet_backup_status.window
    if age > limit:
        _fail_too_old(newest, age, limit)


@check(
    "backups.complete",
    severity="medium",
    profile="droplet",
    guide=1,
    references=f"{_GUIDE}; {_BACKUPS}",
    depends_on=("backups.enabled",),
)
def test_backups_are_complete(
    droplet: Droplet,
    droplet_backup_status: BackupStatus,
    droplet_backups: Backups,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """Backups look complete and without gaps.

    Only what the API lists is judged: sizes, regions, dates. A pass does not say that a backup
    can be restored. The newest must have ``backup_shrink_percent`` of the usual size. A gap counts where the backups before it came at the plan's pace: else it
    is the change from one plan to another.

    Finding:
        A backup is missing, or looks incomplete.

    Rationale:
        A backup without size or region, one far smaller than the others, or days without any
        are the signs of backups that will not help when they are needed.

    Remediation:
        Take a snapshot now with ``doctl compute droplet-action snapshot ID`` and restore the
        newest backup into a new Droplet to see whether it works; open a ticket for gaps.
    """
    _need_a_backup(droplet, droplet_backup_status, droplet_backups, droplet_now)
    images = droplet_backups.images
    newest, others = images[0], [i.size_gigabytes or 0 for i in images[1:]]
    with Claims() as claim:
        for image in images:
            with claim:
                if (image.size_gigabytes or 0) <= 0:
                    fail(f"backup {image.id} has no size", droplet_backups=[_item(image)])
                if not image.regions:
                    fail(f"backup {image.id} is in no region", droplet_backups=[_item(image)])
        with claim:
            if newest.min_disk_size is not None:
                if not droplet.disk_gigabytes:
                    raise NotObservedError("GET /v2/droplets: the size of the disk is absent")
                if newest.min_disk_size > droplet.disk_gigabytes:
                    fail(
                        f"backup {newest.id} needs a disk of {newest.min_disk_size} GB, the"
                        f" Droplet has {droplet.disk_gigabytes} GB: it cannot be restored in place",
                        droplet_backups=[_item(newest)],
                    )
        with claim:
            if len(others) >= _OTHERS:
                usual, percent = median(others), droplet_settings.backup_shrink_percent
                size = newest.size_gigabytes or 0
                if 100 * size < percent * usual:
                    fail(
                        f"backup {newest.id} has {size:g} GB, less than"
                        f" {percent}% of the usual {usual:g} GB",
                        droplet_backups=[_item(newest)],
                    )
        with claim:
            for text, around in _long_gaps(droplet_backup_status, droplet_backups, droplet_now):
                fail(text, droplet_backups=map(_item, around))


@check(
    "backups.policy-meets-requirement",
    severity="medium",
    profile="extended",
    guide=1,
    references=_BACKUPS,
    depends_on=("backups.enabled",),
)
def test_backup_policy_meets_the_requirement(
    droplet_backup_status: BackupStatus, droplet_settings: Settings
) -> None:
    """Plan and retention satisfy the site's policy.

    A backup is wanted every 7 days at least, kept for 7 days at least; the settings
    ``backup_max_interval_hours`` and ``backup_min_retention_days`` say otherwise.

    Finding:
        Backups are too rare, or are kept for too short a time.

    Rationale:
        The interval is the work that a restore loses, the retention is how long a fault may go
        unseen before no good copy is left.

    Remediation:
        Change the plan in the control panel, or run
        ``doctl compute droplet-action change-backup-policy ID --backup-policy-plan daily``.
    """
    policy = droplet_backup_status.policy
    if policy is None or policy.plan is None:
        raise NotObservedError(
            "GET /v2/droplets/backups/policies: no policy though backups are on"
        )
    every = droplet_backup_status.interval
    longest = timedelta(hours=droplet_settings.backup_max_interval_hours)
    least = droplet_settings.backup_min_retention_days
    with Claims() as claim:
        with claim:
            if every is None:
                raise NotObservedError(f"plan {policy.plan}: its interval is not known")
            if every > longest:
                fail(
                    f"plan {policy.plan}: a backup every {_span(every)}, wanted is every"
                    f" {_span(longest)}",
                    droplet_backup_status=[_plan(policy)],
                )
        with claim:
            if policy.retention_days is None:
                raise NotObservedError(f"plan {policy.plan}: the retention was not answered")
            if policy.retention_days < least:
                fail(
                    f"plan {policy.plan}: backups are kept {policy.retention_days} days, wanted"
                    f" are {least}",
                    droplet_backup_status=[_plan(policy)],
                )


@check(
    "backups.volumes-covered",
    severity="medium",
    profile="extended",
    guide=1,
    references=f"{_BACKUPS}; {_SNAPSHOTS}",
)
def test_attached_volumes_have_recent_snapshots(
    droplet: Droplet,
    droplet_volumes: Volumes,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """Attached volumes have their own recent snapshots.

    The newest snapshot of each volume may be 7 days old, or as the setting
    ``volume_snapshot_max_age_days`` says. Where the token may not see volumes, the disks of the
    host tell whether there are any.

    Finding:
        An attached volume has no recent snapshot.

    Rationale:
        Backups of a Droplet hold its own disk alone. Databases and uploads are kept on volumes,
        and everybody believes them to be backed up.

    Remediation:
        ``doctl compute volume snapshot VOLUME --snapshot-name NAME``, from a scheduler; or back
        up the files by an agent, and waive this check.
    """
    _only_ours(droplet)
    if not droplet_volumes.present:
        not_applicable("no volume is attached")
    limit = timedelta(days=droplet_settings.volume_snapshot_max_age_days)
    with Claims() as claim:
        with claim:
            droplet_volumes.need_names()
        for volume in droplet_volumes.ids:
            with claim:
                newest = droplet_volumes.newest(volume)
                about = {"volume": volume, "newest_snapshot": newest}
                if newest is None:
                    fail(f"volume {volume} has no snapshot", droplet_volumes=[about])
                age = droplet_now - newest
                if age < timedelta():
                    raise NotObservedError(
                        f"the newest snapshot of volume {volume} is dated"
                        f" {newest:%Y-%m-%d %H:%M} UTC, which is after"
                        f" {droplet_now:%Y-%m-%d %H:%M} UTC; check the clock of this machine"
                    )
                if age > limit:
                    fail(
                        f"the newest snapshot of volume {volume}, of {newest:%Y-%m-%d %H:%M} UTC,"
                        f" is {_span(age)} old; the limit is {_span(limit)}",
                        droplet_volumes=[about],
                    )


def _only_ours(droplet: Droplet) -> None:
    if droplet.managed_by is not None:
        not_applicable(f"{droplet.name} is managed by {droplet.managed_by}")
    if droplet.pool is not None:
        not_applicable(
            f"{droplet.name} is a member of the autoscale pool {droplet.pool}, whose template has"
            " no backups"
        )


def _need_a_backup(
    droplet: Droplet, status: BackupStatus, backups: Backups, now: datetime
) -> None:
    """Fail where a backup is due and there is none; skip where none is due yet."""
    if backups.images:
        return
    since, reason = droplet.created_at, f"the Droplet was created {droplet.created_at}"
    due_after = status.pace + _DAY
    if since is None or now - since >= due_after:
        if backups.enabled_at is None:
            raise NotObservedError("GET /v2/droplets/{id}/actions: not asked")
        on_since = backups.enabled_at.get() or since
        if on_since is None:
            raise NotObservedError("it is not known since when backups are on")
        since, reason = on_since, f"backups are on since {on_since:%Y-%m-%d %H:%M} UTC"
    if now - since < due_after:
        not_applicable(f"{reason}; the first backup is due {_span(due_after)} later")
    raise AssertionError(
        f"there is no backup, though {reason}; one was due {_span(due_after)} later"
    )


def _fail_too_old(newest: Backup, age: timedelta, limit: timedelta) -> NoReturn:
    fail(
        f"the newest backup, {newest.id} of {newest.created_at:%Y-%m-%d %H:%M} UTC, is"
        f" {_span(age)} old; the limit is {_span(limit)}",
        droplet_backups=[_item(newest)],
    )


def _item(backup: Backup) -> Item:
    return {
        "id": backup.id,
        "created_at": backup.created_at,
        "size_gigabytes": backup.size_gigabytes,
    }


def _plan(policy: BackupPolicy) -> Item:
    return {"plan": policy.plan, "retention_days": policy.retention_days}


def _long_gaps(
    status: BackupStatus, backups: Backups, now: datetime
) -> Iterator[tuple[str, tuple[Backup, Backup]]]:
    """Yield each gap in words, with the backups around it."""
    every = status.pace
    limit = 2 * every + status.window + (_DAY if every >= _DAY else timedelta())
    kept = status.policy.retention_days if status.policy else None
    gaps = backups.gaps
    for place, gap in enumerate(gaps):
        newer, older = backups.images[place], backups.images[place + 1]
        if kept is not None and now - older.created_at > timedelta(days=kept):
            return
        at_pace_before = any(earlier <= limit for earlier in gaps[place + 1 :])
        if gap > limit and at_pace_before:
            text = (
                f"no backup for {_span(gap)} between {older.created_at:%Y-%m-%d} and"
                f" {newer.created_at:%Y-%m-%d}; the limit is {_span(limit)}"
            )
            yield text, (older, newer)


def _span(length: timedelta) -> str:
    hours = round(length.total_seconds() / 3600)
    days, rest = divmod(hours, 24)
    parts = [f"{days} d"] if days else []
    return " ".join([*parts, f"{rest} h"] if rest or not days else parts)
