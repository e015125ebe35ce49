"""The client: one request after another to the API, paced, tried again, its errors one line each.

Whatever happens, no message holds the token.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pytest_droplet.api.answers import Answer, ApiError, NoAnswerError, NotFoundError
from pytest_droplet.api.endpoint import DEFAULT_ENDPOINT, check_endpoint
from pytest_droplet.api.operations import OPERATIONS, Operation
from pytest_droplet.api.pacing import SAID_FROM_S, Pacer
from pytest_droplet.api.paging import Reader
from pytest_droplet.api.workers import IN_FLIGHT
from pytest_droplet.redact import Secret, redact
from pytest_droplet.text import one_line

PATIENCE_S = 60.0
"""Seconds after which what failed is not tried again."""
_TRIES_BROKEN = 3
_TRIES_UNANSWERED = 2


class SendingReader(Reader):
    """A reader whose requests cost something: at most 8 in flight, paced, tried again.

    Args:
        endpoint: Where it asks.
        notice: Gets one line where the user waits.
        token: What no message may show.
        sleep: Waits, in seconds.
        clock: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        notice: Callable[[str], None] | None = None,
        token: Secret | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(endpoint, notice=notice)
        self._token = token
        self._sleep = sleep
        self._clock = clock
        self._door = threading.BoundedSemaphore(IN_FLIGHT)
        self._pacer = Pacer(sleep, clock, self.notice)

    @property
    def requests(self) -> int:
        """How many requests were sent, retries included."""
        return self._pacer.sent

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    def _send(self, operation: str, params: dict[str, Any]) -> Answer:
        """Send one request (NoAnswerError: no whole answer came)."""
        raise NotImplementedError

    def _ask(self, operation: str, params: dict[str, Any]) -> Any:
        known = OPERATIONS[operation]
        what = known.request(params)
        limited = broken = unanswered = 0
        lost_s = 0.0
        while True:
            answer, took_s = self._one_request(operation, known, params)
            lost_s += took_s
            if isinstance(answer, NoAnswerError):
                unanswered += 1
                again = answer.again and unanswered < _TRIES_UNANSWERED and lost_s < PATIENCE_S
                if not again:
                    raise ApiError(self._shown(f"{what}: {answer}"))
                self._try_again(f"{what}: {answer}", 1.0, lost_s)
            elif answer.status == 429:
                limited += 1
                self._pacer.refused(what, answer.headers, limited)
            elif answer.status >= 500:
                broken += 1
                if broken == _TRIES_BROKEN or lost_s >= PATIENCE_S:
                    raise self._refusal(what, known, answer, broken)
                self._try_again(f"{what}: {answer.status}", float(2 ** (broken - 1)), lost_s)
            elif answer.status == 200:
                return self._json(what, answer)
            else:
                raise self._refusal(what, known, answer)

    def _one_request(
        self, operation: str, known: Operation, params: dict[str, Any]
    ) -> tuple[Answer | NoAnswerError, float]:
        """Return the answer, or why there is none, and the seconds that it took once it was sent."""
        with self._door:
            self._pacer.before(known.path, known.per_minute)
            began = self._clock()
            try:
                answer = self._send(operation, params)
            except NoAnswerError as exc:
                return exc, self._clock() - began
            took_s = self._clock() - began
        self._pacer.after(answer.headers)
        return answer, took_s

    def _try_again(self, why: str, after_s: float, lost_s: float) -> None:
        """Wait before the next try; where the last ones took long, say that there is one."""
        if lost_s > SAID_FROM_S:
            self.notice(self._shown(f"{why}; trying again"))
        self._sleep(after_s)

    def _json(self, what: str, answer: Answer) -> Any:
        if answer.body is None:
            kind = answer.headers.get("content-type", "no type")
            raise ApiError(
                self._shown(
                    f"{what}: the answer is not JSON ({one_line(kind, 60)}: "
                    f"{one_line(answer.text, 80)!r}); is something between here and "
                    "DigitalOcean's API? Check DIGITALOCEAN_API_URL and the proxy"
                )
            )
        return answer.body

    def _refusal(self, what: str, known: Operation, answer: Answer, tries: int = 1) -> ApiError:
        body = answer.body if isinstance(answer.body, dict) else {}
        message = body.get("message")
        request_id = body.get("request_id") or answer.headers.get("x-request-id")
        text = f"{what}: {answer.status}"
        if isinstance(message, str) and message:
            text += f" {one_line(message, 160)}"
        if isinstance(request_id, str) and request_id:
            text += f" (request {one_line(request_id, 60)})"
        location = answer.headers.get("location")
        text = self._shown(f"{text}; {_advice(answer.status, known.scope, location, tries)}")
        kind = NotFoundError if answer.status == 404 else ApiError
        return kind(text, answer.status)

    def _shown(self, text: str) -> str:
        return one_line(redact(text, () if self._token is None else (self._token,)), 500)


class ApiClient(SendingReader):
    """Reads the API through pydo, with ``GET`` alone.

    Args:
        token: The API token; it is put into a header and nowhere else.
        endpoint: https, or http to this machine; with or without ``/v2``.
        connection_timeout: Seconds for the connection.
        read_timeout: Seconds without a byte.
        answer_timeout: Seconds for one whole answer, from the connect to its last byte.
        notice: Gets one line where the user waits.
        sleep: Waits, in seconds.
        clock: A clock that never goes back, in seconds.

    Raises:
        ApiError: The token is empty or cannot stand in a header, or must not go to the endpoint.
    """

    def __init__(
        self,
        token: Secret,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        connection_timeout: float = 10.0,
        read_timeout: float = 30.0,
        answer_timeout: float = 60.0,
        notice: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            check_endpoint(endpoint), notice=notice, token=token, sleep=sleep, clock=clock
        )
        text = token.reveal()
        if not text or not (text.isascii() and text.isprintable()) or " " in text:
            state = "has characters that no token has" if text else "is empty"
            raise ApiError(f"the API token {state}; set DIGITALOCEAN_TOKEN")
        from pytest_droplet.api import _pydo  # noqa: PLC0415 pydo costs 0.2 s to import

        self._transport = _pydo.Transport(
            self.endpoint, token, (connection_timeout, read_timeout), answer_timeout
        )

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _send(self, operation: str, params: dict[str, Any]) -> Answer:
        return self._transport.send(operation, params)


def _advice(status: int, scope: str, location: str | None, tries: int) -> str:
    if status == 401:
        return "check that the token (DIGITALOCEAN_TOKEN, or doctl's) is valid and not expired"
    if status == 403:
        return f"the token lacks the scope {scope}"
    if status == 404:
        return "it does not exist, or no longer"
    if 300 <= status < 400:
        host = urlsplit(location or "").hostname or "an unnamed place"
        return (
            f"redirected to {one_line(host, 80)}: refused, the token goes to no other place; "
            "check DIGITALOCEAN_API_URL"
        )
    if status >= 500:
        return (
            f"tried {tries} time{'s' * (tries > 1)}; look at status.digitalocean.com and run again"
        )
    return "check DIGITALOCEAN_API_URL"
