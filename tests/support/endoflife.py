"""endoflife.date on loopback: the form of its API, version 1, with the dates that a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


def product(*releases: Mapping[str, Any]) -> dict[str, Any]:
    """An answer; each release needs its name, and has every field that the API has."""
    empty = {"eolFrom": None, "eoasFrom": None, "eoesFrom": None, "isEol": False}
    return {
        "schema_version": "1.2.0",
        "result": {"releases": [{**empty, "releaseDate": "2026-01-01", **r} for r in releases]},
    }


class EndOfLife:
    """Serves products on 127.0.0.1, as a context manager.

    Attributes:
        answers: Status, headers and body by product; other products have no releases.
        requests: Path and headers of what was asked.
    """

    def __init__(self, **products: dict[str, Any]) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {
            name: (200, {}, json.dumps(body).encode()) for name, body in products.items()
        }
        self.requests: list[tuple[str, dict[str, str]]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.requests.append((self.path, dict(self.headers)))
                nothing = (200, {}, json.dumps(product()).encode())
                name = self.path.rstrip("/").rpartition("/")[2]
                status, headers, body = served.answers.get(name, nothing)
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """For ``ENDOFLIFE_API_URL``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
