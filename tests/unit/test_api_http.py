"""The session of requests: every answer has its time and its size, and nothing else goes along."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from pathlib import Path
from time import monotonic

import pytest

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.client import ApiClient
from pytest_droplet.redact import Secret
from pytest_droplet.testing import Cloud
from tests.support.clock import FakeTime
from tests.support.fake_api import TOKEN, FakeApi


class TestSession:
    """What goes along with a request, and what does not."""

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

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_certificates_that_are_not_there_are_one_line(
        self, monkeypatch: pytest.MonkeyPatch, time: FakeTime, variable: str
    ) -> None:
        """It names the variables, and is not tried again."""
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.setenv(variable, "/nonexistent")
        with (
            ApiClient(Secret(TOKEN), "https://127.0.0.1:1") as reader,
            pytest.raises(ApiError, match=r"/nonexistent; check REQUESTS_CA_BUNDLE"),
        ):
            reader.pages("droplets.list")

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


class TestBounds:
    """An answer of any form ends, and is no longer than it may be."""

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

    @pytest.mark.slow
    def test_a_handshake_that_drips_ends(self) -> None:
        """The server answers the handshake of TLS with a byte now and then."""
        record = b"\x16\x03\x03\x40\x00"
        with _Dripping(head=record) as url:
            secure = url.replace("http:", "https:")
            reader = ApiClient(Secret(TOKEN), secure, read_timeout=60, answer_timeout=3)
            with reader, pytest.raises(ApiError, match=r"was not whole within 3 s"):
                reader.pages("droplets.list")

    @pytest.mark.slow
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
