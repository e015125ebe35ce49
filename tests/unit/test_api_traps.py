"""The ten traps of DigitalOcean's API that make an audit lie, each of them over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest

from pytest_droplet.api.answers import ApiError, NotFoundError
from pytest_droplet.api.client import ApiClient
from pytest_droplet.api.inventory import address_for
from pytest_droplet.api.parsing import parse_droplet
from pytest_droplet.model import Inventory, NotObservedError
from pytest_droplet.redact import Secret
from pytest_droplet.selection import SelectionError, parse_selectors
from pytest_droplet.testing import SCOPES, Cloud
from tests.support.accounts import read_account
from tests.support.fake_api import TOKEN, FakeApi

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(now=NOW)


@pytest.fixture
def api(cloud: Cloud) -> Iterator[FakeApi]:
    with FakeApi(cloud) as server:
        yield server


def read(api: FakeApi, *selectors: str, reserved: bool = False) -> Inventory:
    with ApiClient(Secret(TOKEN), api.url) as client:
        selection = parse_selectors(selectors or ["all"])
        return read_account(client, selection, now=NOW, reserved=reserved)


def test_1_not_found_is_no_data(cloud: Cloud, api: FakeApi) -> None:
    """Pydo returns the body of a 404 as if it were the answer: here it is an error."""
    with ApiClient(Secret(TOKEN), api.url) as client:
        for operation in ("droplets.list_firewalls", "droplets.list_backups"):
            with pytest.raises(NotFoundError, match="404 The resource"):
                client.pages(operation, droplet_id=1)


def test_1_a_destroyed_droplet_has_not_no_firewall(cloud: Cloud, api: FakeApi) -> None:
    """A Droplet that went away while the account was read: its firewalls are unknown."""
    api.scopes = SCOPES - {"tag:read"}
    gone = cloud.add("gone")["id"]
    cloud.add("stays", tags=["web"])
    cloud.add_firewall("web", tags=["web"])

    def destroy(path: str, _: Mapping[str, str]) -> None:
        if path.endswith("/firewalls") and str(gone) in path:
            cloud.remove(gone)

    cloud.on_request = destroy
    reading = read(api).attached[gone]
    with pytest.raises(NotObservedError, match=f"GET /v2/droplets/{gone}/firewalls: 404"):
        reading.get()


@pytest.mark.parametrize("hidden", ["absent", "null", "empty"])
def test_2_a_narrow_token_sees_no_tags(hidden: str) -> None:
    """Hidden tags are no missing tags, in whatever form the service hides them."""
    cloud = Cloud(now=NOW, hidden=hidden)  # type: ignore[arg-type]
    by_tag = cloud.add("by-tag", tags=["web"])["id"]
    directly = cloud.add("directly", tags=["web"])["id"]
    firewall = cloud.add_firewall("web", tags=["web"], droplets=[directly])
    with FakeApi(cloud, scopes=SCOPES - {"tag:read"}) as api:
        inventory = read(api)
        with pytest.raises(SelectionError, match="scope tag:read is missing"):
            read(api, "tag:web")
    assert all("tags" in droplet.hidden for droplet in inventory.droplets)
    for droplet_id in (by_tag, directly):
        (found,) = inventory.attached[droplet_id].get()
        assert found.id == firewall["id"]


@pytest.mark.parametrize("hidden", ["absent", "null", "empty"])
def test_2_a_narrow_token_sees_neither_vpc_nor_image(hidden: str) -> None:
    """What it does not see is named in ``hidden``; backups are asked for Droplet by Droplet."""
    cloud = Cloud(now=NOW, hidden=hidden)  # type: ignore[arg-type]
    web = cloud.add("web", backups=2)["id"]
    cloud.add("off", backups=False)
    with FakeApi(cloud, scopes=SCOPES - {"vpc:read", "image:read"}) as api:
        inventory = read(api)
        for selector in ("vpc:*", "image:debian*"):
            with pytest.raises(SelectionError, match="is missing"):
                read(api, selector)
    assert {"vpc_uuid", "image"} <= inventory.droplet(web).hidden
    assert len(inventory.backups.get()[web]) == 2


def test_2_an_account_without_tags_is_not_hidden(cloud: Cloud, api: FakeApi) -> None:
    """One request tells it from a narrow token."""
    cloud.add("web")
    inventory = read(api)
    assert inventory.droplets[0].hidden == frozenset()
    assert [r.path for r in api.requests].count("/v2/tags") == 1


def test_3_usage_based_backups_are_backups(cloud: Cloud, api: FakeApi) -> None:
    """``features`` may lack ``backups`` although the policy has them on, with an unknown plan."""
    web = cloud.add("web", backups=0, features=["droplet_agent"])["id"]
    cloud.policies[web]["backup_policy"]["plan"] = "intra_daily_4h"
    api.judge = lambda *_: None  # type: ignore[method-assign]  # the OpenAPI text lacks the plan
    inventory = read(api)
    policy = inventory.backup_policies.get()[web]
    assert (policy.enabled, policy.plan) == (True, "intra_daily_4h")
    assert inventory.backups.get()[web] == ()
    assert inventory.enabled_at[web].get() == NOW


def test_4_a_backup_window_alone_proves_nothing(cloud: Cloud, api: FakeApi) -> None:
    """The Droplet has a next window, and no backups."""
    window = {"start": "2026-11-23T00:00:00Z", "end": "2026-11-23T04:00:00Z"}
    web = cloud.add("web", tags=["x"], next_backup_window=window)["id"]
    inventory = read(api)
    assert not inventory.backup_policies.get()[web].enabled
    assert inventory.backups.get()[web] == ()
    assert inventory.enabled_at == {}


def test_5_gpu_droplets_are_listed_too(cloud: Cloud, api: FakeApi) -> None:
    """The list leaves them out: a second one has them."""
    cloud.add("web", tags=["a"])
    cloud.add("train", tags=["b"], gpu=True)
    assert [d.name for d in read(api, "tag:b").selection] == ["train"]
    assert len(read(api).droplets) == 2


def test_5_a_gpu_list_that_fails_is_an_error(cloud: Cloud, api: FakeApi) -> None:
    """Else a part of the account would pass for all of it."""
    cloud.add("web", tags=["a"])

    cloud.fail("/v2/droplets?type=gpus", 403)
    with pytest.raises(ApiError, match="GET /v2/droplets: 403"):
        read(api)


def test_6_more_than_one_page_is_read(cloud: Cloud, api: FakeApi) -> None:
    """25 firewalls and 230 Droplets: the default page has 20."""
    for number in range(230):
        cloud.add(f"web-{number}", tags=["web"] if number == 229 else ["x"])
    for number in range(25):
        cloud.add_firewall(f"fw-{number}", tags=["web"] if number == 24 else ["x"])
    inventory = read(api)
    assert len(inventory.droplets) == 230
    assert len(inventory.firewalls.get()) == 25
    assert inventory.attached == {}
    lists = [r for r in api.requests if r.path != "/v2/account"]
    assert all(r.query["per_page"] == "200" for r in lists)


def test_7_a_retired_image_is_no_old_release(cloud: Cloud) -> None:
    """DigitalOcean retires an image whenever it rebuilds it: the inventory does not keep that."""
    raw = cloud.add("web")
    available = parse_droplet(raw)
    raw["image"]["status"] = "retired"
    assert parse_droplet(raw) == available


def test_8_addresses_are_chosen_by_type(cloud: Cloud, api: FakeApi) -> None:
    """The first entry is often the private one, or a reserved IP."""
    web = cloud.add("web", public="203.0.113.5", private="10.1.0.5", ipv6="2001:db8::5")["id"]
    cloud.add_reserved_ip("198.51.100.9", web)
    cloud.add_reserved_ip("198.51.100.10")
    plain, told = read(api).droplet(web), read(api, reserved=True).droplet(web)
    assert address_for(plain, "private") == "10.1.0.5"
    assert address_for(plain, "ipv6") == "2001:db8::5"
    assert address_for(plain, "public") in {"203.0.113.5", "198.51.100.9"}
    assert address_for(plain, "reserved") is None
    assert address_for(told, "public") == "203.0.113.5"
    assert address_for(told, "reserved") == "198.51.100.9"
    bare = parse_droplet(cloud.add("bare", public=None, private="10.1.0.6"))
    assert [address_for(bare, kind) for kind in ("public", "ipv6", "reserved")] == [None] * 3


def test_9_keys_are_the_accounts(cloud: Cloud, api: FakeApi) -> None:
    """No answer links a key to a Droplet: all keys come with their blob, in one request."""
    for name in ("alice", "bob"):
        cloud.add("web")
        cloud.add_key(name)
    keys = read(api).keys.get()
    assert [key.name for key in keys] == ["alice", "bob"]
    assert all(key.public_key.startswith("ssh-ed25519 AAAA") for key in keys)
    assert "AAAA" not in repr(keys)
    assert [r.path for r in api.requests].count("/v2/account/keys") == 1


def test_10_a_stalled_answer_ends(cloud: Cloud, api: FakeApi) -> None:
    """Pydo's ``timeout`` does not end a read that stalls; ours does, also within a body."""
    for after in (0, 30):
        cloud.stall("/v2/droplets", seconds=30, after=after, times=2)
        with (
            ApiClient(Secret(TOKEN), api.url, read_timeout=0.2, sleep=lambda _: None) as client,
            pytest.raises(ApiError, match="GET /v2/droplets: the answer stalled"),
        ):
            client.pages("droplets.list")
        assert client.requests == 2
