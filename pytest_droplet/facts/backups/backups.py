"""Backups of a Droplet, by the API: whether they are on, how often, and which there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from pytest_droplet.facts import Observation, fact
from pytest_droplet.model import Backup, BackupPolicy, NotObservedError, Reading
from pytest_droplet.text import one_line

_POLICIES = "GET /v2/droplets/backups/policies"
_INTERVALS = {"weekly": timedelta(days=7), "daily": timedelta(days=1)}
LONGEST = _INTERVALS["weekly"]
_HOURS = re.compile(r".*_(\d{1,3})h")
_WINDOW = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """Whether backups are on, and how often there is one.

    ``policy`` is None where only the Droplet's features told it. ``interval`` is the plan's: its
    name is open (``daily``, ``weekly``, ``intra_daily_4h``); where the name tells nothing it is
    the usual gap between the backups, None where these are unknown too.
    """

    enabled: bool
    policy: BackupPolicy | None = None
    interval: timedelta | None = None
    note: str = ""

    @property
    def pace(self) -> timedelta:
        """The interval to judge by: a week where the plan tells nothing.

        Raises:
            NotObservedError: The policy was not observed.
        """
        if self.policy is None or not self.policy.plan:
            raise NotObservedError(f"{_POLICIES}: the plan of the backups was not answered")
        return self.interval or LONGEST

    @property
    def window(self) -> timedelta:
        """How long a backup may take to begin; DigitalOcean's 4 hours where it is not told."""
        hours = self.policy.window_hours if self.policy else None
        return timedelta(hours=hours) if hours else _WINDOW

    def __str__(self) -> str:
        text = f"backups {'on' if self.enabled else 'off'}"
        if (policy := self.policy) is not None and policy.plan:
            text += f", plan {policy.plan}"
            if policy.weekday and policy.plan == "weekly":
                text += f" on {policy.weekday}"
            if policy.hour is not None:
                text += f" from {policy.hour:02}:00 UTC"
            if policy.retention_days is not None:
                text += f", kept {policy.retention_days} days"
            if policy.next_window_start is not None:
                text += f", next {policy.next_window_start:%Y-%m-%d %H:%M} UTC"
        return one_line(f"{text}; {self.note}" if self.note else text)


@dataclass(frozen=True, slots=True)
class Backups:
    """The backups of a Droplet, newest first.

    ``enabled_at`` is when backups were turned on, asked only where there is no backup; its value
    is None where no such action is known.
    """

    images: tuple[Backup, ...]
    enabled_at: Reading[datetime | None] | None = None

    @property
    def gaps(self) -> tuple[timedelta, ...]:
        """Times between one backup and the next, newest first."""
        times = [image.created_at for image in self.images]
        return tuple(new - old for new, old in pairwise(times))

    def __str__(self) -> str:
        if not self.images:
            return "no backup"
        newest = self.images[0]
        text = f"{len(self.images)} backups, newest {newest.id} of {_minute(newest.created_at)}"
        size = f", {newest.size_gigabytes:g} GB" if newest.size_gigabytes is not None else ""
        return f"{text}{size}; by what the API lists, no restore was tried"


@fact(_POLICIES, api=("backup_policies", "backups"))
def droplet_backup_status(observation: Observation) -> BackupStatus:
    """Return whether backups are on, by the policy or by the Droplet's features.

    Either is enough: usage-based plans leave the feature out.

    Raises:
        NotObservedError: The policy could not be read and the features do not have ``backups``,
            which proves nothing.
    """
    droplet, inventory = observation.droplet, observation.inventory
    has_feature = "backups" in droplet.features
    policies = inventory.backup_policies
    try:
        policy = policies.get().get(droplet.id)
    except NotObservedError:
        if not has_feature:
            raise
        return BackupStatus(enabled=True, note="by the Droplet's features alone")
    if policy is None:
        if not has_feature:
            raise NotObservedError(f"{policies.source} has no record of the Droplet")
        return BackupStatus(enabled=True, note="by the Droplet's features alone")
    if has_feature and not policy.enabled:
        return BackupStatus(enabled=True, policy=policy, note="on by features, off by policy")
    return BackupStatus(policy.enabled, policy, _interval(policy, inventory.backups, droplet.id))


@fact("GET /v2/images?private=true", api=("backups", "enabled_at"))
def droplet_backups(observation: Observation) -> Backups:
    """Return the backups that exist, newest first."""
    inventory, droplet_id = observation.inventory, observation.droplet.id
    images = inventory.backups.get().get(droplet_id)
    if images is None:
        raise NotObservedError(f"{inventory.backups.source}: no answer for this Droplet")
    ordered = sorted(images, key=lambda image: image.created_at, reverse=True)
    return Backups(tuple(ordered), inventory.enabled_at.get(droplet_id))


def _interval(
    policy: BackupPolicy, backups: Reading[Mapping[int, tuple[Backup, ...]]], droplet_id: int
) -> timedelta | None:
    plan = policy.plan or ""
    if plan in _INTERVALS:
        return _INTERVALS[plan]
    if (found := _HOURS.fullmatch(plan)) and int(found[1]):
        return timedelta(hours=int(found[1]))
    times = sorted(image.created_at for image in (backups.value or {}).get(droplet_id, ()))
    gaps = [(new - old).total_seconds() for old, new in pairwise(times)]
    return timedelta(seconds=median(gaps)) if gaps else None


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
