"""Lists: whole or one error of one line, with the fewest requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.client import ApiClient
from pytest_droplet.redact import Secret
from pytest_droplet.testing import Cloud
from tests.support.accounts import fill, ids
from tests.support.clock import FakeTime
from tests.support.fake_api import TOKEN, FakeApi


class TestPages:
    """A list is complete or an error, never a part."""

    @pytest.mark.parametrize(
        ("count", "requests"), [(0, 1), (1, 1), (20, 1), (21, 1), (200, 1), (201, 2), (450, 3)]
    )
    def test_reads_all_pages(
        self, cloud: Cloud, api: FakeApi, client: ApiClient, count: int, requests: int
    ) -> None:
        """Every row once, with the fewest requests."""
        fill(cloud, count)
        assert ids(client.pages("droplets.list")) == ids(cloud.droplets)
        assert client.requests == len(api.requests) == requests
        assert {r.query["per_page"] for r in api.requests} == {"200"}

    def test_reads_a_map(self, cloud: Cloud, client: ApiClient) -> None:
        """Backup policies come as a map over several pages: all pairs of it."""
        fill(cloud, 250)
        pairs = client.pages("droplets.list_backup_policies")
        assert {int(key) for key, _ in pairs} == ids(cloud.droplets)
        assert all(record["droplet_id"] == int(key) for key, record in pairs)

    def test_asks_its_own_endpoint_for_the_next_page(
        self, cloud: Cloud, api: FakeApi, client: ApiClient
    ) -> None:
        """``links.pages.next`` names the production host: it is not followed."""
        fill(cloud, 201)
        client.pages("droplets.list")
        first = client.get("droplets.list", page=1, per_page=200)
        assert first["links"]["pages"]["next"].startswith("https://api.digitalocean.com/")
        assert [r.query["page"] for r in api.requests] == ["1", "2", "1"]

    @pytest.mark.parametrize("event", ["created", "destroyed", "both"])
    def test_reads_again_what_changed_meanwhile(self, cloud: Cloud, event: str) -> None:
        """A Droplet created or destroyed while paging shifts rows: all pages once more."""
        fill(cloud, 401)
        changed = threading.Event()

        def change(_: str, query: Mapping[str, str]) -> None:
            if query["page"] != "1" and not changed.is_set():
                changed.set()
                if event != "created":
                    cloud.remove(cloud.droplets[3]["id"])
                    cloud.remove(cloud.droplets[3]["id"])
                if event != "destroyed":
                    cloud.droplets.insert(0, cloud.add("new", id=9999))
                    cloud.droplets.pop()

        cloud.on_request = change
        assert ids(cloud.client().pages("droplets.list")) == ids(cloud.droplets)

    def test_a_list_that_never_fits_is_an_error(self, cloud: Cloud) -> None:
        """``meta.total`` and rows differ twice: no partial list."""
        fill(cloud, 3)
        body = {"droplets": cloud.droplets, "links": {}, "meta": {"total": 4}}
        cloud.fail("/v2/droplets", 200, times=2, body=body)
        reader = cloud.client()
        with pytest.raises(ApiError, match=r"GET /v2/droplets: 3 of 4 rows came in two readings"):
            reader.pages("droplets.list")
        assert reader.requests == 2

    def test_rows_are_told_apart(self, cloud: Cloud) -> None:
        """A row that came twice counts once: here one is missing, not none."""
        fill(cloud, 2)
        twice = [cloud.droplets[0]] * 2
        body = {"droplets": twice, "links": {}, "meta": {"total": 2}}
        cloud.fail("/v2/droplets", 200, body=body)
        assert ids(cloud.client().pages("droplets.list")) == ids(cloud.droplets)

    def test_a_page_that_fails_fails_the_list(self, cloud: Cloud) -> None:
        """Never the other pages without it."""
        fill(cloud, 900)
        cloud.fail("/v2/droplets?page=3", 500, times=3)
        with pytest.raises(ApiError, match="GET /v2/droplets: 500"):
            cloud.client(sleep=FakeTime().sleep).pages("droplets.list")

    @pytest.mark.parametrize(
        "body",
        [
            {"droplets": []},
            {"droplets": [], "meta": None},
            {"droplets": [], "meta": {"total": "0"}},
            {"droplets": [], "meta": {"total": True}},
            {"droplets": [], "meta": {"total": -1}},
            {"droplets": [], "meta": {"total": 10**30}},
            {"droplets": "none", "meta": {"total": 1}},
            {"droplets": ["web-1"], "meta": {"total": 1}},
            {"droplets": [{"name": "web-1"}], "meta": {"total": 1}},
            {"droplets": [{"id": [1]}], "meta": {"total": 1}},
            {"droplets": {"1": {}}, "meta": {}},
            {"Droplets": [], "meta": {"total": 0}},
            {"id": "not_found", "message": "x"},
            [],
            "text",
            7,
            None,
        ],
    )
    def test_another_form_is_an_error(self, cloud: Cloud, body: Any) -> None:
        """What has not the promised form is no empty list."""
        cloud.fail("/v2/droplets", 200, times=2, body=json.loads(json.dumps(body)))
        with pytest.raises(ApiError, match=r"^GET /v2/droplets"):
            cloud.client().pages("droplets.list")

    def test_at_most_eight_are_in_flight(self, cloud: Cloud, api: FakeApi) -> None:
        """In total, however many lists are read at once."""
        fill(cloud, 3000)
        cloud.on_request = lambda *_: api.wait(0.02)
        with ApiClient(Secret(TOKEN), api.url) as reader:
            lists = [
                threading.Thread(target=reader.pages, args=("droplets.list",)) for _ in range(4)
            ]
            for thread in lists:
                thread.start()
            for thread in lists:
                thread.join()
        assert len(api.requests) == 60
        assert 2 <= api.most_in_flight <= 8
