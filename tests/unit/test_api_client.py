"""The client: whole lists or one-line errors, at the service's pace, and never the token."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from pytest_droplet.api.answers import ApiError, NotFoundError
from pytest_droplet.api.client import ApiClient
from pytest_droplet.api.endpoint import check_endpoint
from pytest_droplet.api.replay import ReplayClient, answer_key, recorded
from pytest_droplet.redact import Secret
from pytest_droplet.testing import Cloud
from tests.support.clock import FakeTime
from tests.support.fake_api import TOKEN, FakeApi


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def api(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    with FakeApi(cloud) as server:
        yield server


@pytest.fixture
def client(api: FakeApi, time: FakeTime) -> Iterator[ApiClient]:
    with ApiClient(Secret(TOKEN), api.url, sleep=time.sleep, clock=time.clock) as reader:
        yield reader


def fill(cloud: Cloud, count: int) -> None:
    for number in range(count):
        cloud.add(f"web-{number}", id=5000 - number)


def ids(rows: list[Any]) -> set[int]:
    return {row["id"] for row in rows}


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


class TestPace:
    """Below the limits of the service, and patient where it says how long."""

    def test_slows_down_when_a_fifth_of_the_minute_is_left(
        self, cloud: Cloud, time: FakeTime
    ) -> None:
        """200 at once, then what is left of the minute evenly."""
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(200):
            reader.get("droplets.list")
        assert time.slept == []
        reader.get("droplets.list")
        reader.get("droplets.list")
        assert time.slept == pytest.approx([1.2])

    def test_never_sends_more_than_the_minute_allows(self, cloud: Cloud, time: FakeTime) -> None:
        """In any minute at most 250."""
        sent: list[float] = []
        cloud.on_request = lambda *_: sent.append(time.now)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(900):
            reader.get("droplets.list")
        assert len(sent) == 900
        assert all(b - a >= 60 for a, b in zip(sent, sent[250:], strict=False))
        assert time.now - 1000 < 5 * 60

    def test_the_services_count_slows_down_too(self, cloud: Cloud, time: FakeTime) -> None:
        """Another program may use the same token."""
        cloud.remaining = 40
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(3):
            reader.get("droplets.list")
        assert time.slept == pytest.approx([1.2, 1.2])

    def test_ten_key_lists_a_minute(self, cloud: Cloud, time: FakeTime) -> None:
        """``/v2/account/keys`` has a limit of its own; the user hears of the wait."""
        said: list[str] = []
        reader = cloud.client(sleep=time.sleep, clock=time.clock, notice=said.append)
        for _ in range(10):
            reader.get("ssh_keys.list")
        reader.get("droplets.list")
        assert time.slept == []
        reader.get("ssh_keys.list")
        assert time.slept == pytest.approx([60])
        (line,) = said
        assert line.startswith("GET /v2/account/keys: waiting 60 s to stay within DigitalOcean's")

    @pytest.mark.parametrize(("passed", "waits"), [(59.5, [1.2]), (60.0, [])])
    def test_a_minute_has_sixty_seconds(
        self, cloud: Cloud, time: FakeTime, passed: float, waits: list[float]
    ) -> None:
        """What was sent counts for 60 s: half a second less, and it still slows down."""
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(200):
            reader.get("droplets.list")
        time.now += passed
        for _ in range(2):
            reader.get("droplets.list")
        assert time.slept == pytest.approx(waits)

    @pytest.mark.parametrize(("passed", "waits"), [(59.5, [0.5]), (60.0, [])])
    def test_the_minute_of_a_path_has_sixty_seconds(
        self, cloud: Cloud, time: FakeTime, passed: float, waits: list[float]
    ) -> None:
        """The eleventh list of keys waits for what is left of the first one's minute."""
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(10):
            reader.get("ssh_keys.list")
        time.now += passed
        reader.get("ssh_keys.list")
        assert time.slept == pytest.approx(waits)

    def test_a_shorter_wait_does_not_cut_a_longer_one(
        self, cloud: Cloud, time: FakeTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two requests are refused, one for 30 s and then one for 5 s: nobody sends for 30 s."""
        cloud.fail("/v2/firewalls", 429, headers={"retry-after": "30"})
        cloud.fail("/v2/droplets", 429, headers={"retry-after": "5"})
        slept: list[float] = []
        fault = cloud.fault

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 1:
                raise TimeoutError  # the first request still waits while the second is refused
            time.sleep(seconds)

        def another_is_refused_meanwhile(path: str, query: Mapping[str, str]) -> Any:
            monkeypatch.setattr(cloud, "fault", fault)
            with pytest.raises(TimeoutError):
                reader.get("firewalls.list")
            return fault(path, query)

        monkeypatch.setattr(cloud, "fault", another_is_refused_meanwhile)
        reader = cloud.client(sleep=sleep, clock=time.clock)
        reader.get("droplets.list")
        assert slept == pytest.approx([30, 30])

    def test_honours_retry_after(self, cloud: Cloud, time: FakeTime) -> None:
        """The minute's 429 says how long: wait, say so, go on."""
        cloud.fail("/v2/droplets", 429, times=2, headers={"Retry-After": "12"})
        said: list[str] = []
        reader = cloud.client(sleep=time.sleep, clock=time.clock, notice=said.append)
        assert reader.pages("droplets.list") == []
        assert sum(time.slept) == pytest.approx(24)
        assert said == ["DigitalOcean's limit per minute is reached: waiting 12 s"] * 2

    def test_a_wait_holds_every_thread(self, cloud: Cloud, time: FakeTime) -> None:
        """While one request waits for the limit, no other is sent."""
        cloud.fail("/v2/droplets", 429, headers={"retry-after": "30"})
        sent: list[float] = []
        cloud.on_request = lambda *_: sent.append(time.now)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        reader.pages("droplets.list")
        reader.pages("firewalls.list")
        assert min(sent) >= 1030

    @pytest.mark.parametrize("seconds", ["61", "3600", "1e9"])
    def test_does_not_wait_for_ever(self, cloud: Cloud, time: FakeTime, seconds: str) -> None:
        """More than a minute is not waited for."""
        cloud.fail("/v2/droplets", 429, times=9, headers={"retry-after": seconds})
        with pytest.raises(ApiError, match=r"429, DigitalOcean asks to wait \d+ s"):
            cloud.client(sleep=time.sleep).pages("droplets.list")
        assert time.slept == []

    def test_gives_up_when_the_limit_stays(self, cloud: Cloud, time: FakeTime) -> None:
        """Somebody else uses up the minute, again and again."""
        cloud.fail("/v2/droplets", 429, times=99, headers={"retry-after": "1"})
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        with pytest.raises(ApiError, match=r"refused 5 times.*another program"):
            reader.pages("droplets.list")
        assert reader.requests == 5

    @pytest.mark.parametrize("retry_after", [None, "soon", "nan", "inf"])
    def test_the_hours_limit_ends_the_run(
        self, cloud: Cloud, time: FakeTime, retry_after: str | None
    ) -> None:
        """A 429 that does not say how long is the hour's: stop, and say when it resets."""
        headers = {"ratelimit-remaining": "0", "ratelimit-reset": "4102444800"}
        if retry_after:
            headers["retry-after"] = retry_after
        cloud.fail("/v2/droplets", 429, headers=headers)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        with pytest.raises(ApiError) as caught:
            reader.pages("droplets.list")
        assert str(caught.value) == (
            "GET /v2/droplets: 429, the token's limit of requests per hour is used up; "
            "the oldest request expires at 2100-01-01 00:00:00 UTC; run again then"
        )
        assert (caught.value.status, reader.requests, time.slept) == (429, 1, [])

    @pytest.mark.parametrize(
        "left",
        [
            {"ratelimit-remaining": "4711", "ratelimit-reset": "4102444800"},
            {"ratelimit-remaining": "4711", "ratelimit-reset": "1604778000"},
            {"ratelimit-remaining": "0", "ratelimit-reset": "1604778000"},
            {"ratelimit-remaining": "1", "retry-after": "soon"},
            {"ratelimit-remaining": "0", "ratelimit-reset": "0"},
            {"ratelimit-reset": "1604778000"},
            {"ratelimit-reset": "soon"},
            {},
        ],
    )
    def test_a_429_that_cannot_be_the_hours_is_tried_again(
        self, cloud: Cloud, time: FakeTime, left: dict[str, str]
    ) -> None:
        """Requests are left, the reset is past, or nothing is told: a little later it works."""
        cloud.fail("/v2/droplets", 429, times=3, headers=left)
        said: list[str] = []
        reader = cloud.client(sleep=time.sleep, clock=time.clock, notice=said.append)
        assert reader.pages("droplets.list") == []
        assert (reader.requests, sum(time.slept)) == (4, pytest.approx(2 + 4 + 8))
        assert len(said) == 3

    def test_a_429_without_a_time_is_not_tried_for_ever(
        self, cloud: Cloud, time: FakeTime
    ) -> None:
        """A few tries, each a little later, then one line."""
        headers = {"ratelimit-remaining": "4711"}
        cloud.fail("/v2/droplets", 429, times=99, headers=headers)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        with pytest.raises(ApiError, match=r"429, DigitalOcean gives no time \(refused 5 times\)"):
            reader.pages("droplets.list")
        assert (reader.requests, sum(time.slept)) == (5, pytest.approx(2 + 4 + 8 + 16))

    @pytest.mark.parametrize(
        ("until", "seconds"),
        [
            ("Sun, 22 Nov 2026 12:00:09 GMT", 9),
            ("Sunday, 22-Nov-26 12:00:09 GMT", 9),
            ("Sun Nov 22 12:00:09 2026", 9),
        ],
    )
    def test_a_date_to_wait_for_is_understood(
        self, cloud: Cloud, time: FakeTime, until: str, seconds: float
    ) -> None:
        """Every form that RFC 9110 has, by the service's own clock."""
        headers = {"retry-after": until, "date": "Sun, 22 Nov 2026 12:00:00 GMT"}
        cloud.fail("/v2/droplets", 429, headers=headers)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        assert reader.pages("droplets.list") == []
        assert sum(time.slept) == pytest.approx(seconds)

    @pytest.mark.parametrize("until", ["0", "-5", "-1e9", "Sun, 22 Nov 2026 11:00:00 GMT"])
    def test_a_time_that_is_over_is_not_tried_without_a_pause(
        self, cloud: Cloud, time: FakeTime, until: str
    ) -> None:
        """Whoever may try again, and is refused again, waits a little longer each time."""
        headers = {
            "retry-after": until,
            "date": "Sun, 22 Nov 2026 12:00:00 GMT",
            "ratelimit-remaining": "0",
            "ratelimit-reset": "4102444800",
        }
        cloud.fail("/v2/droplets", 429, times=3, headers=headers)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        assert reader.pages("droplets.list") == []
        assert (reader.requests, sum(time.slept)) == (4, pytest.approx(2 + 4 + 8))

    @pytest.mark.parametrize("reset", ["", "x", "9e99", "nan"])
    def test_a_senseless_reset_is_not_shown(self, cloud: Cloud, reset: str) -> None:
        """A hostile header makes no traceback."""
        headers = {"ratelimit-remaining": "0", "ratelimit-reset": reset}
        cloud.fail("/v2/droplets", 429, headers=headers)
        with pytest.raises(ApiError, match=r"is used up; .*run again"):
            cloud.client().pages("droplets.list")

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_tries_again_after_a_server_error(
        self, cloud: Cloud, time: FakeTime, status: int
    ) -> None:
        """Once or twice broken: a little later it works."""
        cloud.fail("/v2/droplets", status, times=2)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        assert reader.pages("droplets.list") == []
        assert (reader.requests, time.slept) == (3, [1.0, 2.0])

    def test_a_server_error_that_stays_is_one_line(self, cloud: Cloud, time: FakeTime) -> None:
        """Three tries, then status, message, request and what to do."""
        body = {"id": "server_error", "message": "Unexpected\r\nerror\x1b[2J", "request_id": "r-1"}
        cloud.fail("/v2/droplets", 503, times=9, body=body)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        with pytest.raises(ApiError) as caught:
            reader.pages("droplets.list")
        assert str(caught.value) == (
            "GET /v2/droplets: 503 Unexpected error\ufffd[2J (request r-1); "
            "tried 3 times; look at status.digitalocean.com and run again"
        )
        assert (caught.value.status, reader.requests) == (503, 3)


class TestRefusals:
    """What the service refuses: one line with what to do, no second try."""

    def test_401_names_the_token(self, api: FakeApi, cloud: Cloud, time: FakeTime) -> None:
        """A wrong token."""
        with (
            ApiClient(Secret("wrong-token-000"), api.url, sleep=time.sleep) as reader,
            pytest.raises(ApiError, match=r"401 Unable to authenticate you; check that") as caught,
        ):
            reader.pages("droplets.list")
        assert "wrong-token" not in str(caught.value)
        assert (caught.value.status, reader.requests) == (401, 1)

    @pytest.mark.parametrize(
        ("operation", "params", "scope"),
        [
            ("droplets.list", {}, "droplet:read"),
            ("firewalls.list", {}, "firewall:read"),
            ("droplets.list_firewalls", {"droplet_id": 1}, "firewall:read"),
            ("ssh_keys.list", {}, "ssh_key:read"),
            ("images.list", {"private": True}, "image:read"),
            ("projects.list", {}, "project:read"),
            ("reserved_ips.list", {}, "reserved_ip:read"),
        ],
    )
    def test_403_names_the_scope(
        self, cloud: Cloud, operation: str, params: dict[str, Any], scope: str
    ) -> None:
        """A narrow token."""
        reader = cloud.client(scopes=["account:read"])
        with pytest.raises(ApiError, match=f"403 You are .*; the token lacks the scope {scope}$"):
            reader.pages(operation, **params)
        assert reader.requests == 1

    def test_a_redirect_is_refused(self, cloud: Cloud, api: FakeApi, client: ApiClient) -> None:
        """The token goes to the endpoint and to no other place."""
        with FakeApi(Cloud()) as other:
            for status in (301, 302, 307, 308):
                cloud.fail(
                    "/v2/droplets", status, headers={"location": f"{other.url}/v2/droplets"}
                )
                with pytest.raises(ApiError, match=f"{status} .*redirected to 127.0.0.1: refused"):
                    client.pages("droplets.list")
            assert other.requests == []
        assert len(api.requests) == 4

    def test_only_get_passes_the_door(self, api: FakeApi, client: ApiClient) -> None:
        """Pydo could write; the door lets nothing else than ``GET`` through."""
        pydo_client = client._transport._client
        refused = pytest.raises(ApiError, match=r"(DELETE|POST|PUT) refused: the audit only reads")
        with refused:
            pydo_client.droplets.destroy(1)
        with refused:
            pydo_client.ssh_keys.create(body={"name": "x", "public_key": "y"})
        with refused:
            pydo_client.firewalls.update("x", body={})
        assert api.requests == []

    def test_only_the_table_is_asked(self, client: ApiClient) -> None:
        """An operation that the table does not have cannot be called."""
        with pytest.raises(KeyError):
            client.get("droplets.destroy", droplet_id=1)

    @pytest.mark.parametrize("token", ["", " ", "a b", "a\r\nX-Evil: 1", "tök", "x\0"])
    def test_a_token_that_is_none_is_refused(self, token: str) -> None:
        """Before anything is imported or sent."""
        with pytest.raises(ApiError, match=r"the API token .*; set DIGITALOCEAN_TOKEN"):
            ApiClient(Secret(token))


class TestEndpoint:
    """The token goes over https, or to this machine."""

    @pytest.mark.parametrize(
        ("url", "endpoint"),
        [
            ("https://api.digitalocean.com", "https://api.digitalocean.com"),
            ("https://api.digitalocean.com/", "https://api.digitalocean.com"),
            ("https://api.digitalocean.com/v2", "https://api.digitalocean.com"),
            ("https://api.digitalocean.com/v2/", "https://api.digitalocean.com"),
            ("https://proxy.example:8443/do/v2", "https://proxy.example:8443/do"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost", "http://localhost"),
            ("http://[::1]:99/v2", "http://[::1]:99"),
        ],
    )
    def test_accepted(self, url: str, endpoint: str) -> None:
        """Pydo adds ``/v2`` itself."""
        assert check_endpoint(url) == endpoint

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.digitalocean.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://user:hunter2hunter2@127.0.0.1",
            "https://user@api.digitalocean.com",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "127.0.0.1:80",
            "https://",
            "https://[::1",
            "https://host:port",
            "https://host/?x=1",
            "https://host/#x",
            "",
        ],
    )
    def test_refused(self, url: str) -> None:
        """Everything else, before the token is used."""
        with pytest.raises(ApiError, match=r"^DIGITALOCEAN_API_URL=") as caught:
            ApiClient(Secret(TOKEN), url)
        assert "hunter2" not in str(caught.value)

    def test_a_prefix_is_kept(self, cloud: Cloud, api: FakeApi) -> None:
        """An endpoint behind a path is asked below that path."""
        with ApiClient(Secret(TOKEN), f"{api.url}/do/v2") as reader, pytest.raises(NotFoundError):
            reader.get("droplets.list")
        assert [r.path for r in api.requests] == ["/do/v2/droplets"]
        api.breaches.clear()

    def test_netrc_does_not_replace_the_token(
        self, api: FakeApi, client: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An entry for the host in ``~/.netrc`` is not used."""
        (tmp_path / ".netrc").write_text("machine 127.0.0.1\nlogin eve\npassword other\n")
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        client._transport._session.trust_env = True
        assert client.pages("droplets.list") == []
        assert api.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"

    def test_proxy_and_certificates_of_the_environment_are_used(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Over https as everybody expects; a plain request to this machine sees no proxy."""
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        for url, proxies in (
            ("https://api.digitalocean.com", {"https": "http://proxy.example:3128"}),
            ("http://127.0.0.1:1", {}),
        ):
            with ApiClient(Secret(TOKEN), url) as reader:
                session = reader._transport._session
                used = session.merge_environment_settings(
                    url, proxies={}, stream=None, verify=True, cert=None
                )
            scheme = url.split(":", 1)[0]
            assert used["proxies"].get(scheme) == proxies.get(scheme)
            assert (used["verify"] == str(tmp_path)) is (scheme == "https")

    def test_a_proxy_does_not_see_a_plain_request(
        self, api: FakeApi, time: FakeTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``HTTP_PROXY`` would get the token in clear."""
        with FakeApi(Cloud()) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("http_proxy", proxy.url)
            with ApiClient(Secret(TOKEN), api.url) as reader:
                reader.get("droplets.list")
            assert proxy.requests == []
        assert len(api.requests) == 1


class TestBrokenAnswers:
    """What comes over the wire may be anything."""

    def test_html_is_named(self, cloud: Cloud, client: ApiClient) -> None:
        """A page of a proxy or of the edge, with status 200."""
        cloud.fail("/v2/droplets", 200, body="<html><body>Blocked\nby policy</body></html>")
        with pytest.raises(ApiError) as caught:
            client.pages("droplets.list")
        assert str(caught.value).startswith(
            "GET /v2/droplets: the answer is not JSON (text/html: "
            "'<html><body>Blocked by policy</body></html>'); "
        )

    def test_html_of_an_error_is_not_shown(self, cloud: Cloud, client: ApiClient) -> None:
        """The status says enough."""
        cloud.fail("/v2/droplets", 502, times=3, body="<html>" + "x" * 10_000)
        with pytest.raises(ApiError, match=r"^GET /v2/droplets: 502; tried 3 times; ") as caught:
            client.pages("droplets.list")
        assert len(str(caught.value)) < 200

    def test_xml_is_not_parsed(self, cloud: Cloud, client: ApiClient) -> None:
        """Pydo would feed it to an XML parser because of its header."""
        bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>'
        cloud.fail("/v2/droplets", 200, headers={"content-type": "application/xml"}, body=bomb)
        with pytest.raises(ApiError, match="is not JSON"):
            client.pages("droplets.list")

    @pytest.mark.parametrize("text", ["", "[" * 100_000, '{"droplets": [', "1" * 5000, "\udcff"])
    def test_senseless_json_is_named(self, cloud: Cloud, client: ApiClient, text: str) -> None:
        """Empty, nested without end, cut inside, a number without end."""
        body = text.encode("utf-8", "surrogateescape").decode("latin-1")
        cloud.fail("/v2/droplets", 200, headers={"content-type": "application/json"}, body=body)
        with pytest.raises(ApiError, match=r"is not JSON|has no 'droplets'"):
            client.pages("droplets.list")

    def test_a_cut_answer_is_asked_for_again(
        self, cloud: Cloud, client: ApiClient, time: FakeTime
    ) -> None:
        """The connection broke once."""
        fill(cloud, 3)
        cloud.cut("/v2/droplets", after=500)
        assert len(client.pages("droplets.list")) == 3
        assert (client.requests, time.slept) == (2, [1.0])

    def test_an_answer_that_is_always_cut_is_an_error(
        self, cloud: Cloud, client: ApiClient
    ) -> None:
        """Never what came before the cut."""
        cloud.cut("/v2/droplets", times=2)
        with pytest.raises(ApiError, match=r"^GET /v2/droplets: the answer broke off before"):
            client.pages("droplets.list")
        assert client.requests == 2

    def test_an_answer_without_end_ends(self) -> None:
        """A byte now and then keeps no run waiting: a whole answer has its time."""
        with _Dripping() as url:
            reader = ApiClient(Secret(TOKEN), url, read_timeout=5, answer_timeout=0.2)
            with reader, pytest.raises(ApiError, match=r"was not whole within 0\.2 s"):
                reader.pages("droplets.list")
        assert reader.requests == 1

    @pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nX: a", b"HTTP/1.1 2", b""])
    def test_headers_that_drip_end(self, sent: bytes) -> None:
        """One clock runs from the connect: no form of an answer goes on for ever."""
        with _Dripping(head=sent) as url:
            reader = ApiClient(Secret(TOKEN), url, read_timeout=5, answer_timeout=0.3)
            with reader, pytest.raises(ApiError, match=r"was not whole within 0\.3 s"):
                reader.pages("droplets.list")
        assert reader.requests == 1

    @pytest.mark.parametrize(
        "more",
        [
            {"transfer-encoding": "chunked"},
            {"transfer-encoding": "chunked", "connection": "close"},
            {"connection": "close"},
        ],
    )
    def test_a_body_of_any_form_that_drips_ends(self, more: dict[str, str]) -> None:
        """The length of a chunk drips, too; and an end that we made ourselves ends no body."""
        with _Dripping(headers={"content-length": "", **more}) as url:
            reader = ApiClient(Secret(TOKEN), url, read_timeout=5, answer_timeout=0.3)
            with reader, pytest.raises(ApiError, match=r"was not whole within 0\.3 s"):
                reader.pages("droplets.list")

    def test_a_handshake_that_drips_ends(self) -> None:
        """The server answers the handshake of TLS with a byte now and then."""
        record = b"\x16\x03\x03\x40\x00"
        with _Dripping(head=record) as url:
            secure = url.replace("http:", "https:")
            reader = ApiClient(Secret(TOKEN), secure, read_timeout=60, answer_timeout=3)
            with reader, pytest.raises(ApiError, match=r"was not whole within 3 s"):
                reader.pages("droplets.list")

    def test_a_kept_connection_has_its_time_for_each_answer(self, cloud: Cloud) -> None:
        """The clock of one request does not end the next one's connection."""
        with (
            FakeApi(cloud) as api,
            ApiClient(Secret(TOKEN), api.url, answer_timeout=0.5) as reader,
        ):
            ends = monotonic() + 1
            while monotonic() < ends:
                reader.get("droplets.list")
            assert len({r.port for r in api.requests}) == 1

    def test_slow_tries_do_not_add_up(self, cloud: Cloud, time: FakeTime) -> None:
        """What took a minute is not tried again; what took long is said to be."""
        cloud.fail("/v2/droplets", 500, times=9)
        cloud.fail("/v2/firewalls", 500, times=9)
        said: list[str] = []
        reader = cloud.client(sleep=time.sleep, clock=time.clock, notice=said.append)
        for path, took, tries in (("droplets", 61, 1), ("firewalls", 31, 2)):
            sent = reader.requests
            cloud.fault, fault = _slow(cloud.fault, time, took), cloud.fault  # type: ignore[method-assign]
            with pytest.raises(ApiError, match=f"500 .*tried {tries} time"):
                reader.pages(f"{path}.list")
            cloud.fault = fault  # type: ignore[method-assign]
            assert reader.requests - sent == tries
        assert said == ["GET /v2/firewalls: 500; trying again"]

    def test_a_zip_bomb_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The limit counts what was unpacked."""
        monkeypatch.setattr("pytest_droplet.api.http.ANSWER_LIMIT_BYTES", 2**20)
        packed = gzip.compress(b" " * 2**24)
        with _Dripping(packed, {"content-encoding": "gzip"}) as url:
            reader = ApiClient(Secret(TOKEN), url)
            with reader, pytest.raises(ApiError, match="the answer is longer than 1 MiB"):
                reader.pages("droplets.list")

    def test_a_packed_answer_is_read(self) -> None:
        """Gzip is what the service usually sends."""
        body = json.dumps({"droplets": [], "links": {}, "meta": {"total": 0}}).encode()
        packed = gzip.compress(body)
        with (
            _Dripping(packed, {"content-encoding": "gzip"}) as url,
            ApiClient(Secret(TOKEN), url) as reader,
        ):
            assert reader.pages("droplets.list") == []

    def test_no_connection_is_one_line(self, time: FakeTime) -> None:
        """Refused: tried twice, then told."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            reader = ApiClient(Secret(TOKEN), url, sleep=time.sleep, clock=time.clock)
            with reader, pytest.raises(ApiError, match=r"no connection \(.*refused.*\); check"):
                reader.pages("droplets.list")
        assert (reader.requests, time.slept) == (2, [1.0])

    def test_cookies_are_not_kept(self, cloud: Cloud, api: FakeApi, client: ApiClient) -> None:
        """The service cannot mark the client."""
        cloud.fail("/v2/droplets", 500, headers={"set-cookie": "a=b; Path=/"})
        client.pages("droplets.list")
        assert all("Cookie" not in r.headers for r in api.requests)

    def test_one_connection_is_kept(self, api: FakeApi, client: ApiClient) -> None:
        """Requests in a row use the same connection."""
        for _ in range(3):
            client.get("droplets.list")
        assert len({r.port for r in api.requests}) == 1


class TestSecrecy:
    """The token is in the header of the request and nowhere else."""

    def test_nothing_shows_the_token(
        self, api: FakeApi, cloud: Cloud, caplog: pytest.LogCaptureFixture, time: FakeTime
    ) -> None:
        """No log at DEBUG, no message, no ``repr``, also where the service echoes it."""
        caplog.set_level(logging.DEBUG)
        reader = ApiClient(Secret(TOKEN), api.url, sleep=time.sleep, clock=time.clock)
        shown = [repr(reader), repr(vars(reader)), repr(vars(reader._transport))]
        shown.append(repr(vars(reader._transport._client._config.credential)))
        echo = {"id": "x", "message": f"bad {TOKEN}", "request_id": TOKEN}
        for status, body in ((500, echo), (401, echo), (403, f"<html>{TOKEN}"), (200, TOKEN)):
            cloud.fail("/v2/droplets", status, times=3, body=body)
            with pytest.raises(ApiError) as caught:
                reader.pages("droplets.list")
            shown += [str(caught.value), repr(caught.value)]
            cloud.heal()
        reader.pages("droplets.list")
        reader.close()
        assert not any("5e5e5e" in text for text in shown)
        assert "5e5e5e" not in caplog.text

    def test_an_old_token_is_masked_too(self, cloud: Cloud) -> None:
        """It has no prefix; the reader knows it."""
        old = Secret("ab12" * 16)
        cloud.fail("/v2/droplets", 401, body={"id": "x", "message": f"no {old.reveal()}"})
        with pytest.raises(ApiError, match=r"401 no \*\*\*;"):
            cloud.client(token=old).pages("droplets.list")


class TestReplay:
    """A recording answers as the service did."""

    def _record(self, cloud: Cloud, **options: Any) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        reader = cloud.client(**options)
        reader.on_answer = lambda operation, params, answer: answers.__setitem__(
            answer_key(operation, params), recorded(answer)
        )
        reader.pages("droplets.list")
        reader.pages("droplets.list", type="gpus")
        reader.pages("images.list", private=True)
        with pytest.raises(ApiError):
            reader.pages("firewalls.list")
        with pytest.raises(NotFoundError):
            reader.pages("droplets.list_backups", droplet_id=1)
        return json.loads(json.dumps(answers))  # type: ignore[no-any-return]

    def test_replays_answers_and_errors(self, cloud: Cloud) -> None:
        """The same rows, the same errors, without a request."""
        fill(cloud, 201)
        scopes = ["droplet:read", "image:read", "tag:read"]
        replay = ReplayClient(self._record(cloud, scopes=scopes))
        assert ids(replay.pages("droplets.list")) == ids(cloud.droplets)
        assert replay.pages("droplets.list", type="gpus") == []
        assert replay.pages("images.list", private=True) == []
        with pytest.raises(ApiError, match="lacks the scope firewall:read") as caught:
            replay.pages("firewalls.list")
        assert caught.value.status == 403
        with pytest.raises(NotFoundError):
            replay.pages("droplets.list_backups", droplet_id=1)
        assert replay.requests == 0

    def test_keys_are_stable(self) -> None:
        """Recordings outlive versions: the form of the key is an interface."""
        assert answer_key("droplets.list", {"per_page": 200, "page": 1}) == (
            "droplets.list?page=1&per_page=200"
        )
        assert answer_key("images.list", {"private": True}) == "images.list?private=true"
        assert answer_key("tags.list", {}) == "tags.list"

    def test_a_missing_answer_is_an_error(self) -> None:
        """It says which one, never an empty list."""
        with pytest.raises(ApiError) as caught:
            ReplayClient({}).pages("ssh_keys.list")
        assert str(caught.value) == (
            "GET /v2/account/keys: the recording has no answer for "
            "ssh_keys.list?page=1&per_page=200; record again with this selection"
        )

    @pytest.mark.parametrize("answer", [None, [], "x", {}, {"droplets": []}, {"api_error": 1}])
    def test_a_hostile_recording_is_an_error(self, answer: Any) -> None:
        """A recording is foreign input, too."""
        with pytest.raises(ApiError):
            ReplayClient({"droplets.list?page=1&per_page=200": answer}).pages("droplets.list")


def _slow(fault: Any, time: FakeTime, seconds: float) -> Any:
    """Let each answer take some seconds."""

    def taken(path: str, query: Mapping[str, str]) -> Any:
        time.now += seconds
        return fault(path, query)

    return taken


class _Dripping:
    """A server that sends a body that is given, or a byte now and then for ever.

    An empty header is left out; ``head`` is sent instead of a whole head.
    """

    def __init__(
        self,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        head: bytes | None = None,
    ) -> None:
        self._body = body
        length = 10**6 if body is None else len(body)
        lines = {"content-type": "application/json", "content-length": str(length)}
        given = "".join(f"{k}: {v}\r\n" for k, v in (lines | (headers or {})).items() if v)
        self._head = f"HTTP/1.1 200 OK\r\n{given}\r\n".encode() if head is None else head
        self._stop = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(self._head + (self._body or b""))
                while self._body is None and not self._stop.wait(0.02):
                    connection.sendall(b"0" if b"chunked" in self._head else b" ")
            except OSError:
                return
