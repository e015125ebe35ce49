"""Unknown is never green, for what the API says and for the rows that account checks read.

``test_unknown.py`` damages what hosts print. Here the JSON of each answer is damaged, place by
place: it is left out, null, noise, or of another type. In the cases of the catalogue, no ``fail``
and no ``unknown`` becomes anything else, but for the list of exceptions; in whole accounts, which
are read through paging and joins, neither. The run may end: no verdict is better than a wrong one.

A shorter list, another number or another name inside whole JSON is no damage but a statement:
what cuts an answer on its way also cuts its JSON, or its rows are not as many as it says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_droplet.api.answers import ApiError, decode
from pytest_droplet.api.inventory import WiderInventory
from pytest_droplet.api.operations import OPERATIONS
from pytest_droplet.api.paging import Reader
from pytest_droplet.api.replay import ReplayClient, answer_key, recorded
from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.facts import Account, DropletFacts, all_facts
from pytest_droplet.model import HostReading, Reading, Verdict
from pytest_droplet.settings import parse_settings
from pytest_droplet.testing import SCOPES, Cloud, error_body
from pytest_droplet.verdict import judge, judge_account
from tests.checks.cases import DROPLET, Case, all_cases
from tests.support.accounts import read_account
from tests.trust.damage import LEFT_OUT, Damage, Place, changed, damages, kinds_of, places

OF_API = frozenset(n for n, f in all_facts().items() if not f.of_host) | {"droplet"}
RED = frozenset({"fail", "unknown"})

# --- the cases of the catalogue ---------------------------------------------------------------

EXCEPTIONS: Mapping[tuple[str, str, str], str] = {
    ("backups.complete", "api.images.*.min_disk_size", "left out"): (
        "the API may leave it out; all else that is known of a backup is judged"
    ),
    ("backups.complete", "api.images.*.min_disk_size", "null"): "as above",
    ("backups.*", "api.policies.*.backup_policy.plan", "noise"): (
        "names of plans are open: an unknown one goes by the usual gap, else by a week"
    ),
    ("firewall.*", "api.firewalls.*.inbound_rules", "null"): "null is the API's empty list",
    ("firewall.cloud-*", "api.firewalls*.pending_changes", "null"): "as above",
    ("firewall.*", "api.firewalls.*bound_rules.*.action", "left out"): (
        "a rule without an action allows: so it was before there were others"
    ),
    ("firewall.*", "api.firewalls.*.default_action", "left out"): (
        "a field that is not known is known not to be there"
    ),
    ("firewall.*", "api.firewalls.*.default_action", "null"): "as above",
    ("firewall.*", "api.firewalls.*.priority", "left out"): "as above",
    ("firewall.*", "api.firewalls.*.vpc_uuids", "left out"): "as above",
    ("firewall.*", "api.firewalls.*bound_rules.*.sources", "map"): (
        "a rule keeps no peers when what it named is destroyed; it allows and denies nobody then"
    ),
    ("firewall.*", "api.firewalls.*.sources.addresses", "left out"): "as above",
    ("firewall.*", "api.firewalls.*.sources.addresses", "null"): "as above",
    ("firewall.cloud-*", "api.firewalls.*.droplet_ids", "null"): "as inbound_rules",
    ("firewall.*", "api.firewalls.*.tags", "null"): "as inbound_rules",
    ("firewall.cloud-*", "api.firewalls.*.droplet_ids", "left out"): (
        "so it looks where the token lacks a scope; the Droplet's own list is asked then, see"
        " the account `narrow` below"
    ),
    ("firewall.*", "api.firewalls.*.tags", "left out"): "as above",
    ("firewall.*", "*.tags.*", "empty"): "any text is a tag; another one is a statement",
    ("firewall.*", "*.tags.*", "noise"): "as above",
}
"""Check, place and damage (all may have ``*``) that may make a verdict better, and why."""

_BY_INVENTORY = {"images.*.id", "enabled_at.*"}  # joined by the inventory: see the accounts below


def cases_of(check_id: str) -> list[Case]:
    """Return the cases of a check that do not pass, at most two of one view of the API."""
    alike: dict[str, list[Case]] = {}
    for case in _red_cases():
        if case.check.base_id == check_id:
            view = [case.table.get(k) for k in ("api", "droplet", "droplets", "selected")]
            alike.setdefault(repr(view), []).append(case)
    return [case for cases in alike.values() for case in cases[:2]]


@cache
def _red_cases() -> tuple[Case, ...]:
    return tuple(c for c in all_cases() if c.expected in RED)


CHECKS = sorted({c.base_id for c in shipped().values() if c.of_account or OF_API & set(c.facts)})


def damaged_cases(case: Case) -> Iterator[tuple[Damage, Case]]:
    """Yield a case with each place of its answers and Droplets damaged."""
    table = case.table
    api = {k: v for k, v in table.get("api", {}).items() if k != "missing"}
    for (place, kind), new in damages(api, depth=2):
        if place not in _BY_INVENTORY:
            yield (
                (f"api.{place}", kind),
                Case(case.path, {**table, "api": {**table["api"], **new}}),
            )
    of_account = "droplets" in table
    given = table["droplets"] if of_account else [table.get("droplet", {})]
    for index, own in enumerate(given[:2]):
        whole = {k: v for k, v in {**DROPLET, **own}.items() if v != "absent"}
        for (place, kind), new in damages(whole):
            row = new | {k: "absent" for k in DROPLET if k not in new}
            rows = [*given[:index], row, *given[index + 1 :]]
            more = {"droplets": rows} if of_account else {"droplet": row}
            yield (f"droplet.{place}", kind), Case(case.path, {**table, **more})


@cache
def better(check_id: str) -> Mapping[Damage, str]:
    """Return the damages that make some red case of a check anything else, and what."""
    found: dict[Damage, str] = {}
    for case in cases_of(check_id):
        for damage, other in damaged_cases(case):
            try:
                seen = other.account() if other.check.of_account else other.observation()
            except (ApiError, TypeError, KeyError, AttributeError):
                continue  # the answer is refused as a whole, or it is the case's own join
            verdict = _judged(other.check, seen)
            if verdict.outcome not in RED:
                found[damage] = f"{case.path.name}: {verdict.outcome}: {verdict.message}"
    return found


def _judged(check: Check, seen: Any) -> Verdict:
    return judge_account(check, seen) if check.of_account else judge(check, seen)


def _excepted(check_id: str, damage: Damage) -> list[tuple[str, str, str]]:
    return [listed for listed in EXCEPTIONS if all(map(fnmatchcase, (check_id, *damage), listed))]


@pytest.mark.parametrize("check_id", CHECKS)
def test_a_damaged_answer_makes_no_verdict_better(check_id: str) -> None:
    """Over all cases that fail or are unknown: nothing else comes of any damage."""
    assert cases_of(check_id)
    assert {d: w for d, w in better(check_id).items() if not _excepted(check_id, d)} == {}


def test_every_exception_of_an_answer_is_needed() -> None:
    """The list does not outlive its reasons."""
    used = {e for i in CHECKS for damage in better(i) for e in _excepted(i, damage)}
    assert set(EXCEPTIONS) - used == set()


# --- the rows that checks of the account read -------------------------------------------------


def test_damaged_rows_make_no_verdict_of_the_account_better() -> None:
    """Rows come back from workers and from records of others: a damaged one proves nothing."""
    tried = 0
    for case in _red_cases():
        if not case.check.of_account:
            continue
        account = case.account()
        for droplet_id, row in account.rows.items():
            for name, reading in row.items():
                for damage, new in damages({"value": reading.value}):
                    damaged = replace(reading, value=new.get("value"))
                    rows = {**account.rows, droplet_id: {**row, name: damaged}}
                    verdict = judge_account(case.check, replace(account, rows=rows))
                    tried += 1
                    assert verdict.outcome in RED | {"error"}, (case.path, name, damage, verdict)
            without = {i: r for i, r in account.rows.items() if i != droplet_id}
            verdict = judge_account(case.check, replace(account, rows=without))
            assert verdict.outcome in RED, (case.path, droplet_id, verdict)
    assert tried > 100


# --- whole accounts, through paging and joins -------------------------------------------------

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Answers = Mapping[str, Any]
Outcomes = Mapping[tuple[str, int | None], str]


def full() -> Cloud:
    """An account with something of everything, well kept and not."""
    cloud = Cloud(now=NOW)
    cloud.add_key("ops")
    cloud.add_key("on no Droplet")
    cloud.add("well", id=1, backups=True, tags=["web"], ipv6="2001:db8::1")
    cloud.add("bare", id=2)
    cloud.add("stale", id=3, backups=9, tags=["open"])
    for backup in (b for b in (*cloud.images, *cloud.backups[3]) if b["name"].startswith("stale")):
        day = datetime.fromisoformat(backup["created_at"]) - timedelta(days=40)
        backup |= {"created_at": day.isoformat(), "size_gigabytes": 0, "regions": []}
    cloud.policies[3]["backup_policy"] |= {"plan": "weekly", "retention_period_days": 1}
    cloud.add("without any", id=4, backups=0, tags=["waits"])
    cloud.actions[4][0] |= {"completed_at": "2026-10-01T00:00:00Z"}
    cloud.add("with volumes", id=5, backups=2, tags=["leaves"], volume_ids=["v-1", "v-2"])
    cloud.add_volume_snapshot("v-1", days=90)
    cloud.add("direct", id=6, backups=1)
    everything = [("tcp", "all"), ("tcp", "3306"), ("tcp", "22"), ("udp", "0")]
    waiting = {"droplet_id": 4, "removing": False, "status": "waiting"}
    leaving = {"droplet_id": 5, "removing": True, "status": "waiting"}
    cloud.add_firewall("walls", tags=["web"], sources=["198.51.100.0/24"])
    cloud.add_firewall("open", tags=["open"], droplets=[6], inbound=everything)
    cloud.add_firewall("waits", tags=["waits"], status="waiting", pending_changes=[waiting])
    cloud.add_firewall("leaves", tags=["leaves"], pending_changes=[leaving])
    cloud.add_firewall("broken", droplets=[6], status="failed", inbound=(), outbound_rules=None)
    return cloud


def empty() -> Cloud:
    """An account without a key and without a firewall."""
    cloud = Cloud(now=NOW)
    cloud.add("one", id=1, backups=True)
    cloud.add("two", id=2)
    return cloud


ACCOUNTS: Mapping[str, tuple[Callable[[], Cloud], frozenset[str]]] = {
    "full": (full, SCOPES),
    "empty": (empty, SCOPES),
    "narrow": (full, SCOPES - {"tag:read", "block_storage:read"}),
}
ROWS = {"droplet_host_firewall": {n: {"denied": False, "reason": ""} for n in ("ipv4", "ipv6")}}


def inventory_of(source: Reader) -> WiderInventory:
    """Read an account as a run with every check does (ApiError: the run ends)."""
    source.pause = lambda seconds: None  # type: ignore[method-assign]
    return read_account(source, now=NOW)


@cache
def answers_of(name: str) -> Answers:
    """Return all answers that an account gives."""
    make, scopes = ACCOUNTS[name]
    kept: dict[str, Any] = {}
    client = make().client(scopes)
    client.on_answer = lambda o, p, a: kept.__setitem__(answer_key(o, p), recorded(a))
    inventory_of(client)
    return kept


def outcomes(answers: Answers) -> Outcomes:
    """Judge every check that reads the API on these answers, with hosts that say nothing."""
    inventory = inventory_of(ReplayClient(answers))
    site = parse_settings({}, "the test")
    of_api = [c for c in shipped().values() if c.base_id in CHECKS]
    given: dict[tuple[str, int | None], str] = {}
    for droplet in inventory.selection:
        host = HostReading(droplet.id, "reached", NOW, address="203.0.113.9", root=True)
        seen = DropletFacts(droplet, inventory, host, site, NOW)
        known = [c for c in of_api if not c.of_account]
        given |= {(c.id, droplet.id): judge(c, seen).outcome for c in known}
    row: Mapping[str, Reading[Any]] = {n: Reading("", NOW, value=v) for n, v in ROWS.items()}
    account = Account(inventory, {d.id: row for d in inventory.selection}, site, NOW)
    return given | {
        (c.id, None): judge_account(c, account).outcome for c in of_api if c.of_account
    }


def alike(answer: Any) -> Iterator[tuple[Damage, Any]]:
    """Yield an answer in which all places of one name are damaged in one way."""
    groups: dict[str, list[Place]] = {}
    for place, _ in places(answer):
        shown = ".".join("*" if isinstance(p, int) or p.isdigit() else p for p in place)
        groups.setdefault(shown, []).append(place)
    for shown, group in groups.items():
        for kind in ("left out", "null", "noise", "map"):
            new = answer
            for place in reversed(group):
                known = answer
                for step in place:
                    known = known[step]
                other = dict(kinds_of(known)).get(kind, known)
                if other is not LEFT_OUT or isinstance(place[-1], str):
                    new = changed(new, place, other)
            if new != answer:
                yield (shown, kind), new


def refusals(answer: Any, key: str) -> Iterator[tuple[Damage, Any]]:
    """Yield what may come in place of a whole answer."""
    yield ("", "403"), {"api_error": "403", "status": 403}
    yield ("", "404"), {"api_error": "404", "status": 404}
    yield ("", "404 as data"), error_body(404)
    yield ("", "no JSON"), "<html>Log in</html>"
    if isinstance(answer, dict) and answer.get(key):
        rows = answer[key]
        fewer = rows[:-1] if isinstance(rows, list) else dict(list(rows.items())[:-1])
        yield ("", "a row fewer"), {**answer, key: fewer}
        yield ("", "all rows gone"), {**answer, key: type(rows)()}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_an_account_that_is_answered_badly_is_judged_no_better(name: str) -> None:
    """Each answer refused, cut, or damaged at all places of one name: red stays red."""
    answers = answers_of(name)
    known = outcomes(answers)
    assert set(known.values()) >= {"pass", "fail"}
    wrong: dict[tuple[str, ...], object] = {}
    for request, answer in answers.items():
        if "api_error" in answer:
            continue
        key = OPERATIONS[request.partition("?")[0]].key
        for damage, new in (*refusals(answer, key), *alike(answer)):
            try:
                got = outcomes({**answers, request: new})
            except ApiError:
                continue
            for (check, droplet), outcome in got.items():
                better = known[check, droplet] in RED and outcome not in RED
                excepted = _excepted(check, (_as_case(damage[0]), damage[1]))
                if outcome == "error" or (better and not excepted):
                    wrong[check, request.partition("?")[0], *damage] = (droplet, outcome)
    assert wrong == {}


def _as_case(place: str) -> str:
    """Return the name that a place of an answer has in a case."""
    head, _, rest = place.partition(".*")
    return f"droplet{rest}" if head == "droplets" else f"api.{head}.*{rest}"


@given(st.sampled_from(sorted(answers_of("full"))), st.integers(0, 10**6))
@settings(max_examples=300)
def test_a_cut_answer_is_no_answer(request: str, at: int) -> None:
    """Cut at any byte, JSON is no JSON: nothing of it is judged."""
    whole = json.dumps(answers_of("full")[request]).encode()
    assert decode(200, {}, whole).body is not None
    assert decode(200, {}, whole[: at % len(whole)]).body is None
