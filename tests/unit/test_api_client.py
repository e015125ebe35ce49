"""The client: one-line errors, tries again where that helps, and never the token."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.client import ApiClient
from pytest_droplet.redact import Secret
from pytest_droplet.testing import Cloud
from tests.support.accounts import fill
from tests.support.clock import FakeTime
from tests.support.fake_api import TOKEN, FakeApi


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

    def test_no_connection_is_one_line(self, time: FakeTime) -> None:
        """Refused: tried twice, then told."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            reader = ApiClient(Secret(TOKEN), url, sleep=time.sleep, clock=time.clock)
            with reader, pytest.raises(ApiError, match=r"no connection \(.*refused.*\); check"):
                reader.pages("droplets.list")
        assert (reader.requests, time.slept) == (2, [1.0])


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


def _slow(fault: Any, time: FakeTime, seconds: float) -> Any:
    """Let each answer take some seconds."""

    def taken(path: str, query: Mapping[str, str]) -> Any:
        time.now += seconds
        return fault(path, query)

    return taken
