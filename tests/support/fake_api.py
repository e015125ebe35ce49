"""A Cloud behind a real HTTP server on loopback, judged against DigitalOcean's own OpenAPI text.

Only ``GET`` is answered, and only with the token. Every answer that a token of all scopes gets is
checked against the schema of its response, where that file is at hand; leaving the context raises
for those that breach it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from openapi_schema_validator import OAS30Validator

from pytest_droplet.testing import Cloud, error_body

TOKEN = "dop_v1_" + "5e" * 32
OPENAPI = Path(
    os.environ.get("PYTEST_DROPLET_OPENAPI")
    or Path(__file__).parents[3] / "shared" / "digitalocean-openapi.json"
)


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    port: int


class FakeApi:
    """Serves a Cloud on 127.0.0.1, as a context manager.

    Args:
        cloud: The account.
        token: The only one that is let in.
        scopes: Of the token; None for all that only read.
    """

    def __init__(
        self, cloud: Cloud, *, token: str = TOKEN, scopes: Iterable[str] | None = None
    ) -> None:
        self.cloud = cloud
        self.token = token
        self.scopes = None if scopes is None else frozenset(scopes)
        self.requests: list[Request] = []
        self.most_in_flight = 0
        self.breaches: list[str] = []
        self._in_flight = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._server = _Server(("127.0.0.1", 0), functools.partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The endpoint, for ``DIGITALOCEAN_API_URL``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        assert not self.breaches, "\n".join(self.breaches)

    def enter(self, request: Request) -> None:
        """Count a request."""
        with self._lock:
            self.requests.append(request)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)

    def leave(self) -> None:
        """Count its end."""
        with self._lock:
            self._in_flight -= 1

    def wait(self, seconds: float) -> None:
        """Stall, until the server ends at the latest."""
        self._stop.wait(seconds)

    def judge(self, path: str, status: int, body: Any) -> None:
        """Note where an answer breaches the OpenAPI text."""
        if self.scopes is None and OPENAPI.is_file():
            self.breaches += [f"GET {path}: {b}" for b in breaches(path, status, body)]


class _Server(ThreadingHTTPServer):
    """Ends every connection and waits for its thread when it is closed."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        super().shutdown_request(request)
        self._open.discard(request)

    def server_close(self) -> None:
        """Let handlers that wait for a further request read its end."""
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def __init__(self, api: FakeApi, *args: Any) -> None:
        self._api = api
        super().__init__(*args)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        api = self._api
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        api.enter(self._request(parts.path, query))
        try:
            self._answer(parts.path, query)
        finally:
            api.leave()

    def _request(self, path: str, query: dict[str, str]) -> Request:
        return Request(self.command, path, query, dict(self.headers), self.client_address[1])

    def _refuse(self) -> None:
        self._api.enter(self._request(self.path, {}))
        self._api.leave()
        self._send(405, {"allow": "GET"}, json.dumps(error_body(405)).encode())
        self.close_connection = True

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _refuse  # noqa: N815

    def _answer(self, path: str, query: dict[str, str]) -> None:
        cloud = self._api.cloud
        if self.headers.get("Authorization") != f"Bearer {self._api.token}":
            self._send(401, {}, json.dumps(error_body(401)).encode())
            return
        fault = cloud.fault(path, query)
        if fault is not None and fault.status is not None:
            self._send(*cloud.error(fault))
            return
        status, headers, body = cloud.answer(path, query, self._api.scopes)
        self._api.judge(path, status, json.loads(body))
        if fault is None:
            self._send(status, headers, body)
            return
        self._send(status, {**headers, "content-length": str(len(body))}, body[: fault.after])
        self.wfile.flush()
        self._api.wait(fault.stall_s)
        self.close_connection = True

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def breaches(path: str, status: int, body: Any) -> list[str]:
    """Return how an answer breaches the schema of its response; long lists by their ends."""
    schema = _response_schema(path, status)
    if schema is None:
        return ["the OpenAPI text has no such path"]
    errors = OAS30Validator(schema).iter_errors(_ends(body))
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in errors]


def enum_places(path: str, body: Any) -> list[tuple[str | int, ...]]:
    """Return the places of an answer of status 200 where the OpenAPI text lists the words."""
    return list(dict.fromkeys(_enum_places(_response_schema(path, 200), body, ())))


def _enum_places(
    schema: Any, value: Any, here: tuple[str | int, ...]
) -> Iterator[tuple[str | int, ...]]:
    for kind in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(kind, ()):
            yield from _enum_places(part, value, here)
    if isinstance(value, str) and "enum" in schema:
        yield here
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _enum_places(schema["items"], item, (*here, index))
    if isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, inner in value.items():
            if name in named:
                yield from _enum_places(named[name], inner, (*here, name))
            elif isinstance(others, dict):
                yield from _enum_places(others, inner, (*here, name))


def _ends(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    return {
        key: value[:2] + value[-1:] if isinstance(value, list) and len(value) > 3 else value
        for key, value in body.items()
    }


@functools.cache
def _openapi() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(OPENAPI.read_text("utf-8"))
    return document


def _response_schema(path: str, status: int) -> Any:
    parts = path.strip("/").split("/")
    fitting = [
        template
        for template in _openapi()["paths"]
        if len(names := template.strip("/").split("/")) == len(parts)
        and all(n == p or n.startswith("{") for n, p in zip(names, parts, strict=True))
    ]
    if not fitting:
        return None
    return _schema(min(fitting, key=lambda template: template.count("{")), status)


@functools.cache
def _schema(template: str, status: int) -> Any:
    responses = _openapi()["paths"][template]["get"]["responses"]
    response = _resolved(responses.get(str(status), responses["default"]))
    return response["content"]["application/json"]["schema"]


def _resolved(node: Any) -> Any:
    """Put what a ``$ref`` names in its place; the file has no circles."""
    if isinstance(node, list):
        return [_resolved(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: _resolved(value) for key, value in node.items()}
    target: Any = _openapi()
    for name in node["$ref"].removeprefix("#/").split("/"):
        target = target[name.replace("~1", "/").replace("~0", "~")]
    return _resolved(target)
