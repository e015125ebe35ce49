"""An account filled, and read as a whole: what selects, and lists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pytest_droplet.api.inventory import WiderInventory, read_inventory
from pytest_droplet.api.lists import read_lists
from pytest_droplet.api.paging import Reader
from pytest_droplet.model import API_LISTS, ApiList
from pytest_droplet.selection import Selection, parse_selectors
from pytest_droplet.testing import Cloud

USUAL: tuple[ApiList, ...] = ("firewalls", "keys", "backup_policies", "backups", "enabled_at")
"""The lists of the default profile."""


def read_account(
    client: Reader,
    selection: Selection | None = None,
    *,
    now: datetime,
    reserved: bool = False,
    lists: Iterable[ApiList] = (*API_LISTS, "account_id"),
) -> WiderInventory:
    """Return what a run knows that needs these lists."""
    chosen = selection or parse_selectors(["all"])
    return read_lists(client, read_inventory(client, chosen, now=now, reserved=reserved), lists)


def fill(cloud: Cloud, count: int) -> None:
    """Add Droplets to an account, the highest id first."""
    for number in range(count):
        cloud.add(f"web-{number}", id=5000 - number)


def ids(rows: list[Any]) -> set[int]:
    """Return the ids of rows."""
    return {row["id"] for row in rows}
