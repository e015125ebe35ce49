"""The API grows: a field or a word that is new makes no verdict better.

Every object of every answer that an audit reads gets a field that nobody knows, and every word
that DigitalOcean's OpenAPI text lists is replaced by one that it does not list: one at a time, and
all of a kind. What failed or was unknown stays so, and what was not applicable does not pass, but
for the exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.operations import OPERATIONS
from pytest_droplet.api.replay import ReplayClient, answer_key, recorded
from pytest_droplet.audit import not_due
from pytest_droplet.catalogue import shipped
from pytest_droplet.facts import Account, DropletFacts
from pytest_droplet.model import Droplet, HostReading, Reading
from pytest_droplet.settings import parse_settings
from pytest_droplet.testing import SCOPES, Cloud
from pytest_droplet.verdict import judge, judge_account
from tests.support.fake_api import OPENAPI, TOKEN, FakeApi, enum_places
from tests.trust.damage import Place, changed
from tests.trust.runs import verdicts
from tests.trust.test_unknown_api import CHECKS, NOW, ROWS, full, inventory_of

needs_openapi = pytest.mark.skipif(
    not OPENAPI.is_file(), reason=f"{OPENAPI.name} is not beside the repository"
)
Answers = Mapping[str, Any]
Outcomes = Mapping[tuple[str, int | None], str]

GREEN = {"pass": 2, "notapplicable": 1, "fail": 0, "unknown": 0}
NEW_FIELD = "quarantine"
NEW_VALUES: tuple[Any, ...] = ("strict", True, ["x"], {"x": 1})
NEW_WORD = "quarantined"
WORDS_WITHOUT_A_LIST = {"features", "type", "status", "action", "plan"}
"""Fields whose words the OpenAPI text only tells of, or lists without being complete."""


EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("droplets.*.image.type", "notapplicable became pass"): (
        "a machine of a kind that is not known is taken for one's own, and judged"
    ),
}
"""What may become of a verdict where a word is new, and why."""


def account() -> Cloud:
    """The account of the damages, with rules that deny and Droplets of more kinds."""
    cloud = full()
    world = {"addresses": ["0.0.0.0/0", "::/0"]}
    tcp_only = [{"protocol": "tcp", "ports": "0", "destinations": world}]
    closed = [*tcp_only, {**tcp_only[0], "action": "deny"}]
    cloud.add("denied", id=7, tags=["denied"], backups=True)
    cloud.add_firewall("denies", tags=["denied"], inbound=[], deny=[("tcp", "0")])
    cloud.add("half", id=8, tags=["half"])
    cloud.add_firewall(
        "half-a", tags=["half"], inbound=[("tcp", "1-32000")], outbound_rules=closed
    )
    cloud.add_firewall("half-b", tags=["half"], inbound=[("tcp", "32001-65535")])
    cloud.add("custom", id=9, tags=["custom"])
    cloud.droplets[-1]["image"]["type"] = "custom"
    cloud.add_firewall("no dhcp", tags=["custom"], outbound_rules=[*tcp_only, _dns(world)])
    cloud.add("off", id=10, status="off", tags=["open"])
    cloud.add("archived", id=11, status="archive", backups=1)
    cloud.add("being made", id=12, status="new", tags=["denied"])
    cloud.add("node", id=13, tags=["open"])
    cloud.droplets[-1]["image"]["type"] = "admin"
    return cloud


def _dns(world: Any) -> dict[str, Any]:
    return {"protocol": "udp", "ports": "53", "destinations": world}


SCOPES_OF = {"all scopes": SCOPES, "no tags": SCOPES - {"tag:read"}}


@cache
def answers(scopes: str) -> Answers:
    """Return all answers that the account gives to a whole audit."""
    kept: dict[str, Any] = {}
    client = account().client(SCOPES_OF[scopes])
    client.on_answer = lambda o, p, a: kept.__setitem__(answer_key(o, p), recorded(a))
    inventory_of(client)
    return kept


REQUESTS = [("all scopes", request) for request in sorted(answers("all scopes"))]
REQUESTS += [("no tags", r) for r in sorted(answers("no tags")) if "list_firewalls?" in r]


def outcomes(given: Answers) -> Outcomes:
    """Judge every check that reads the API; hosts say nothing, where they are asked at all."""
    inventory = inventory_of(ReplayClient(given))
    site = parse_settings({}, "the test")
    checks = [c for c in shipped().values() if c.base_id in CHECKS]
    found: dict[tuple[str, int | None], str] = {}
    for droplet in inventory.selection:
        seen = DropletFacts(droplet, inventory, host_of(droplet), site, NOW)
        mine = [c for c in checks if not c.of_account]
        found |= {(c.id, droplet.id): judge(c, seen).outcome for c in mine}
    row: Mapping[str, Reading[Any]] = {n: Reading("", NOW, value=v) for n, v in ROWS.items()}
    whole = Account(inventory, {d.id: row for d in inventory.selection}, site, NOW)
    return found | {(c.id, None): judge_account(c, whole).outcome for c in checks if c.of_account}


def host_of(droplet: Droplet) -> HostReading:
    known = not_due(droplet, "public", NOW)
    return known or HostReading(droplet.id, "reached", NOW, address="203.0.113.9", root=True)


def path_of(request: str) -> str:
    operation, _, _ = request.partition("?")
    return OPERATIONS[operation].path.format(droplet_id=1, project_id=1)


def shown(place: Place) -> str:
    return ".".join("*" if isinstance(p, int) or p.isdigit() else p for p in place)


def objects(value: Any, here: Place = ()) -> Iterator[Place]:
    """Yield the place of every object in JSON, the whole answer first."""
    if isinstance(value, dict):
        yield here
        for name, inner in value.items():
            yield from objects(inner, (*here, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from objects(inner, (*here, index))


def words(request: str, answer: Any) -> Iterator[Place]:
    """Yield the places of words, as the OpenAPI text lists them and as this file does."""
    yield from enum_places(path_of(request), answer)
    for place, value in texts(answer):
        names = [p for p in place if isinstance(p, str)]
        if names[-1] in WORDS_WITHOUT_A_LIST and isinstance(value, str):
            yield place


def texts(value: Any, here: Place = ()) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from texts(inner, (*here, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, (*here, index))
    else:
        yield here, value


def groups_of(found: list[Place]) -> list[list[Place]]:
    """Return the places by their names, without indexes and ids."""
    groups: dict[str, list[Place]] = {}
    for place in dict.fromkeys(found):
        groups.setdefault(shown(place), []).append(place)
    return list(groups.values())


def with_all(answer: Any, places: list[Place], new: Any, *, field: str = "") -> Any:
    """Return an answer with something new at each place, or in a field of the object there."""
    for place in reversed(places):
        answer = changed(answer, (*place, field) if field else place, new)
    return answer


def greener(scopes: str, request: str, new: Any) -> dict[tuple[str, int | None], str]:
    """Return the verdicts that are better with another answer; a run that ends has none."""
    known = known_outcomes(scopes)
    try:
        got = outcomes({**answers(scopes), request: new})
    except ApiError:
        return {}
    return {
        key: f"{known[key]} became {outcome}"
        for key, outcome in got.items()
        if outcome == "error" or GREEN[outcome] > GREEN[known[key]]
    }


@cache
def known_outcomes(scopes: str) -> Outcomes:
    return outcomes(answers(scopes))


def test_the_account_has_verdicts_of_every_kind() -> None:
    """What cannot get better proves nothing."""
    known = known_outcomes("all scopes")
    assert set(known.values()) == set(GREEN)
    of_firewalls = {o for (check, _), o in known.items() if check.startswith("firewall.cloud-")}
    assert of_firewalls == set(GREEN)


@pytest.mark.parametrize(("scopes", "request_"), REQUESTS)
def test_a_new_field_makes_no_verdict_better(scopes: str, request_: str) -> None:
    """In any object alone, and in all of a kind with any value."""
    answer = answers(scopes)[request_]
    groups = groups_of(list(objects(answer)))
    changes = [([place], NEW_VALUES[0]) for group in groups for place in group]
    changes += [(group, value) for group in groups for value in NEW_VALUES]
    assert len(changes) > len(NEW_VALUES)
    better = {
        (shown(group[0]), repr(value)): found
        for group, value in changes
        if (found := greener(scopes, request_, with_all(answer, group, value, field=NEW_FIELD)))
    }
    assert better == {}


@needs_openapi
@pytest.mark.parametrize(("scopes", "request_"), REQUESTS)
def test_a_new_word_makes_no_verdict_better(scopes: str, request_: str) -> None:
    """In place of any word that means something, and of all that stand at places of one name."""
    answer = answers(scopes)[request_]
    groups = groups_of(list(words(request_, answer)))
    better = {
        (shown(places[0]), what, key)
        for group in groups
        for places in (*([place] for place in group), group)
        for key, what in greener(scopes, request_, with_all(answer, places, NEW_WORD)).items()
        if (shown(places[0]), what) not in EXCEPTIONS
    }
    assert better == set()


# --- whole runs -------------------------------------------------------------------------------

JUDGED_BY_THE_API = "firewall.cloud- and not cloud-ssh or backups.enabled"


def well_kept() -> Cloud:
    """An account in which all is well that the API alone tells; no host is there to be asked."""
    cloud = Cloud()
    cloud.add("web-1", id=1, status="off", backups=True, tags=["web"])
    office = ["198.51.100.0/24"]
    cloud.add_firewall("web", tags=["web"], sources=office, deny=[("tcp", "5432")])
    cloud.add_key("ops")
    return cloud


def exit_code(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, cloud: Cloud, *options: str
) -> pytest.ExitCode:
    """Run the checks that the API alone answers, or others, and return the exit code."""
    with FakeApi(cloud, scopes=SCOPES) as api:
        monkeypatch.setenv("DIGITALOCEAN_API_URL", api.url)
        monkeypatch.setenv("DIGITALOCEAN_TOKEN", TOKEN)
        chosen = options or ("-k", JUDGED_BY_THE_API)
        everything = ("--droplets=all", "--droplets-profile=all", "-p", "no:randomly")
        result = pytester.runpytest_inprocess(*everything, *chosen)
    return pytest.ExitCode(result.ret)


def test_new_fields_of_droplets_are_no_trouble(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is well stays so where an object grows that is no firewall: the run is green."""
    cloud = well_kept()
    for row in (*cloud.droplets, *cloud.images, *cloud.keys, *cloud.policies.values()):
        row[NEW_FIELD] = {"x": 1}
        for inner in [v for v in row.values() if isinstance(v, dict)]:
            inner[NEW_FIELD] = "strict"
    assert exit_code(pytester, monkeypatch, cloud) is pytest.ExitCode.OK


def _rule_of(cloud: Cloud) -> dict[str, Any]:
    rule: dict[str, Any] = cloud.firewalls[0]["inbound_rules"][0]
    return rule


NEWS: Mapping[str, Callable[[Cloud], None]] = {
    "a status of a Droplet": lambda c: c.droplets[0].update(status=NEW_WORD),
    "a status of a firewall": lambda c: c.firewalls[0].update(status=NEW_WORD),
    "a field of a firewall": lambda c: c.firewalls[0].update({NEW_FIELD: "strict"}),
    "an action": lambda c: _rule_of(c).update(action=NEW_WORD),
    "a protocol": lambda c: _rule_of(c).update(protocol=NEW_WORD),
    "a field of a rule": lambda c: _rule_of(c).update({NEW_FIELD: True}),
    "a kind of source": lambda c: _rule_of(c)["sources"].update({NEW_FIELD: ["x"]}),
}


@pytest.mark.parametrize("news", NEWS)
def test_a_run_that_meets_a_new_word_is_red(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, news: str
) -> None:
    """Nothing but the new word is wrong: exit code 1."""
    cloud = well_kept()
    NEWS[news](cloud)
    assert exit_code(pytester, monkeypatch, cloud) is pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("changes", "expected"), [({"status": NEW_WORD}, "unknown"), ({"status": "off"}, "fail")]
)
def test_a_droplet_that_cannot_be_tried_is_missed_by_the_account(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    expected: str,
) -> None:
    """Its own firewall may stand in for a Cloud Firewall; of one that is off it does not."""
    cloud = well_kept()
    cloud.firewalls.clear()
    cloud.droplets[0].update(changes)
    options = ("-k", "cloud-exists", "--droplets-report=jsonl:out.jsonl")
    exit_code(pytester, monkeypatch, cloud, *options)
    found = verdicts(pytester.path / "out.jsonl")
    assert found["firewall.cloud-exists", None] == expected


def test_a_red_run_stays_red_where_all_is_new(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every word replaced and every object grown, a finding is not hidden."""
    cloud = well_kept()
    cloud.firewalls[0]["inbound_rules"][0]["sources"] = {"addresses": ["0.0.0.0/0"]}
    cloud.firewalls[0]["inbound_rules"][0]["ports"] = "0"
    assert exit_code(pytester, monkeypatch, cloud) is pytest.ExitCode.TESTS_FAILED
    for news in NEWS.values():
        news(cloud)
    assert exit_code(pytester, monkeypatch, cloud) is pytest.ExitCode.TESTS_FAILED
