"""What a fact looks at of the API is what it declares: nothing else is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_droplet.api.inventory import WiderInventory
from pytest_droplet.facts import DropletFacts, Observation, all_facts, fact, needed
from pytest_droplet.model import API_LISTS, Inventory
from pytest_droplet.verdict import judge_account
from tests.checks.cases import all_cases

FIELDS = {**{name: name for name in API_LISTS}, "attached": "firewalls"}


class Seen(WiderInventory):
    """An inventory that notes which lists are looked at."""

    looked: set[str]

    def __getattribute__(self, name: str) -> Any:
        if name in FIELDS:
            object.__getattribute__(self, "looked").add(FIELDS[name])
        return super().__getattribute__(name)


def seen(inventory: Inventory) -> Seen:
    """Return an inventory that looks like another."""
    copy = object.__new__(Seen)
    for name in WiderInventory.__dataclass_fields__:
        object.__setattr__(copy, name, getattr(inventory, name))
    object.__setattr__(copy, "looked", set())
    return copy


def test_no_fact_looks_at_a_list_that_it_does_not_declare() -> None:
    """Each fact, in a case of each check that passes: else a run would not ask for the list."""
    cases = {c.check_id: c for c in all_cases() if c.expected == "pass" and not c.check.of_account}
    looked: dict[str, set[str]] = {}
    for case in cases.values():
        given = case.observation()
        for name in all_facts():
            inventory = seen(given.inventory)
            DropletFacts(given.droplet, inventory, given.host, given.settings, given.now).reading(
                name
            )
            looked.setdefault(name, set()).update(inventory.looked)
    declared = {name: {x for f in needed([name]) for x in f.api} for name in all_facts()}
    assert {n: found - declared[n] for n, found in looked.items() if found - declared[n]} == {}
    assert looked["droplet_exposed_ports"] == {"firewalls"}
    assert set().union(*looked.values()) == set(API_LISTS)


def test_a_check_of_the_account_declares_what_it_looks_at() -> None:
    """In every case; one that declares nothing gets all lists but the one that is waited for."""
    for case in all_cases():
        if case.check.of_account:
            account = case.account()
            inventory = seen(account.inventory)
            judge_account(case.check, replace(account, inventory=inventory))
            assert inventory.looked <= set(case.check.api), case.path


def test_a_list_that_is_none_is_refused() -> None:
    """At import, with the lists that there are."""
    with pytest.raises(ValueError, match="'firewall' is no list of the API: firewalls, "):
        fact("x", api=("firewall",))(droplet_x)  # type: ignore[arg-type]


def droplet_x(_: Observation) -> None:
    """Never read."""
