"""The fake API is judged itself: by DigitalOcean's OpenAPI text, and by its own rules."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from pytest_droplet.api.operations import OPERATIONS
from pytest_droplet.testing import SCOPES, Cloud
from tests.support.fake_api import OPENAPI, TOKEN, FakeApi, breaches

needs_openapi = pytest.mark.skipif(
    not OPENAPI.is_file(), reason=f"{OPENAPI.name} is not beside the repository"
)


@pytest.fixture
def cloud() -> Cloud:
    """An account with something in every list."""
    cloud = Cloud()
    web = cloud.add("web-1", tags=["web"], private="10.0.0.1", ipv6="2001:db8::1", backups=True)
    cloud.add("train", gpu=True)
    cloud.add("off", status="off", public=None)
    for number in range(25):
        cloud.add(f"more-{number}", tags=["web"], backups=0)
    cloud.add_firewall("web", tags=["web"], droplets=[web["id"]], deny=[("tcp", "23")])
    cloud.add_firewall("bare", inbound_rules=None, droplet_ids=None)["tags"] = None
    cloud.add_key("ops")
    cloud.add_project("shop", [web["id"]])
    cloud.add_pool("shop", [web["id"], 1002])
    cloud.add_cluster("k", [1003, 1004])
    cloud.add_reserved_ip("198.51.100.1", web["id"])
    cloud.add_reserved_ip("198.51.100.2")
    for days in (1, 8):
        cloud.add_volume_snapshot("506f78a4-e098-11e5-ad9f-000f53306ae1", days=days)
    cloud.add_volume_snapshot("1001", resource_type="droplet")
    return cloud


@pytest.fixture
def api(cloud: Cloud) -> Iterator[FakeApi]:
    with FakeApi(cloud) as server:
        yield server


def paths(cloud: Cloud) -> list[str]:
    known = {
        "droplet_id": cloud.droplets[0]["id"],
        "project_id": cloud.projects[0]["id"],
        "autoscale_pool_id": cloud.pools[0]["id"],
    }
    return [operation.path.format_map(known) for operation in OPERATIONS.values()]


def get(api: FakeApi, path: str, token: str = TOKEN) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{api.url}{path}", headers=headers, timeout=10)


@needs_openapi
def test_every_answer_has_the_form_of_the_openapi_text(cloud: Cloud) -> None:
    """Each operation, on its first, second and last page, and its errors."""
    for path in paths(cloud):
        for query in ({}, {"per_page": "2"}, {"per_page": "2", "page": "2"}, {"page": "999"}):
            status, _, body = cloud.answer(path, query)
            assert (status, breaches(path, status, json.loads(body))) == (200, [])
    for status, body in (
        (403, cloud.answer("/v2/droplets", {}, ["tag:read"])[2]),
        (404, cloud.answer("/v2/droplets/1/backups", {})[2]),
    ):
        assert breaches("/v2/droplets/1/backups", status, json.loads(body)) == []


@needs_openapi
def test_the_judge_sees_a_breach(cloud: Cloud) -> None:
    """A wrong type, a missing member, a missing ``meta``."""
    body = json.loads(cloud.answer("/v2/droplets", {})[2])
    body["droplets"][0]["id"] = "1001"
    del body["droplets"][1]["tags"], body["meta"]
    found = breaches("/v2/droplets", 200, body)
    assert len(found) == 3
    assert breaches("/v2/unknown", 200, {}) == ["the OpenAPI text has no such path"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_get_is_answered(api: FakeApi, method: str) -> None:
    """A write would be seen, and refused."""
    answer = requests.request(method, f"{api.url}/v2/droplets", timeout=10)
    assert answer.status_code == 405
    assert [request.method for request in api.requests] == [method]


def test_only_the_token_is_let_in(api: FakeApi) -> None:
    """As DigitalOcean does: 401 and its message."""
    assert get(api, "/v2/droplets").status_code == 200
    answer = get(api, "/v2/droplets", token="other")
    assert (answer.status_code, answer.json()["message"]) == (401, "Unable to authenticate you")


def test_filters_and_pages(cloud: Cloud) -> None:
    """By tag, by name, by type; 20 rows a page unless more are asked for."""

    def names(**query: str) -> list[str]:
        body = json.loads(cloud.answer("/v2/droplets", query)[2])
        return [droplet["name"] for droplet in body["droplets"]]

    assert len(names()) == 20
    assert len(names(page="2")) == 7
    assert names(name="WEB-1") == ["web-1"]
    assert names(type="gpus") == ["train"]
    assert len(names(tag_name="web", per_page="200")) == 26
    body = json.loads(cloud.answer("/v2/snapshots", {"resource_type": "volume"})[2])
    assert [row["resource_type"] for row in body["snapshots"]] == ["volume", "volume"]
    body = json.loads(cloud.answer("/v2/droplets", {"per_page": "10", "page": "2"})[2])
    assert sorted(body["links"]["pages"]) == ["first", "last", "next", "prev"]
    assert body["links"]["pages"]["last"].endswith("/v2/droplets?per_page=10&page=3")


def test_scopes_strip_fields(cloud: Cloud) -> None:
    """Silently, with status 200; a list without its scope is 403."""
    some = SCOPES - {"tag:read", "vpc:read", "firewall:read"}
    (droplet, *_) = json.loads(cloud.answer("/v2/droplets", {}, some)[2])["droplets"]
    assert {"tags", "vpc_uuid"}.isdisjoint(droplet)
    assert {"image", "backup_ids", "volume_ids"} <= droplet.keys()
    assert cloud.answer("/v2/firewalls", {}, some)[0] == 403
    assert cloud.answer("/v2/droplets/1001/firewalls", {}, some)[0] == 403
    assert cloud.answer("/v2/microvms", {}, some)[0] == 404


def test_the_headers_count_down(cloud: Cloud) -> None:
    """As the service's limits do."""
    first, second = (cloud.answer("/v2/droplets", {})[1] for _ in range(2))
    assert int(first["ratelimit-remaining"]) - int(second["ratelimit-remaining"]) == 1
    assert first["ratelimit-limit"] == "5000"


def test_deny_rules_follow_those_that_allow() -> None:
    """With sources of their own, and the action that the API gives; an allow rule names none."""
    firewall = Cloud().add_firewall(
        "web", sources=["198.51.100.0/24"], deny=[("udp", "0")], deny_sources=["::/0"]
    )
    assert firewall["inbound_rules"] == [
        {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["198.51.100.0/24"]}},
        {"protocol": "udp", "ports": "0", "sources": {"addresses": ["::/0"]}, "action": "deny"},
    ]
