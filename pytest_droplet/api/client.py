"""pydo behind a door that lets only ``GET`` through: paging, pacing, retries, one-line errors.

A list is complete or an error, never a part. What the door knows is the table ``OPERATIONS``;
whatever happens, no message holds the token.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from pytest_droplet.api.workers import Workers
from pytest_droplet.redact import Secret, redact
from pytest_droplet.text import one_line

DEFAULT_ENDPOINT = "https://api.digitalocean.com"
PER_PAGE = 200
IN_FLIGHT = 8
PER_MINUTE = 250
LONGEST_WAIT_S = 60.0
PATIENCE_S = 60.0
"""Seconds after which what failed is not tried again."""
ANSWER_LIMIT_BYTES = 64 * 2**20
_SLOW_BELOW = PER_MINUTE // 5
_SAID_FROM_S = 5.0
_TRIES_LIMITED = 5
_TRIES_BROKEN = 3
_TRIES_UNANSWERED = 2


class ApiError(Exception):
    """The API did not answer as it should: one line, what happened and what to do.

    ``status`` is the HTTP status, None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(ApiError):
    """404: the resource does not exist, or no longer."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What the door knows of a call.

    ``key`` is the member of the answer that must be there; ``identity`` is the member that tells
    one row from another, None where the answer is a map; ``scope`` is what the token needs;
    ``per_minute`` is the endpoint's own limit.
    """

    path: str
    key: str
    scope: str
    identity: str | None = "id"
    per_minute: int | None = None

    def split(self, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the path of the request and the parameters that are left for its query."""
        names = {name for name in params if f"{{{name}}}" in self.path}
        path = self.path.format_map({name: params[name] for name in names})
        return path, {k: v for k, v in params.items() if k not in names}


OPERATIONS: Mapping[str, Operation] = {
    "droplets.list": Operation("/v2/droplets", "droplets", "droplet:read"),
    "autoscalepools.list": Operation("/v2/droplets/autoscale", "autoscale_pools", "droplet:read"),
    "autoscalepools.list_members": Operation(
        "/v2/droplets/autoscale/{autoscale_pool_id}/members",
        "droplets",
        "droplet:read",
        identity="droplet_id",
    ),
    "kubernetes.list_clusters": Operation(
        "/v2/kubernetes/clusters", "kubernetes_clusters", "kubernetes:read"
    ),
    "droplets.list_backup_policies": Operation(
        "/v2/droplets/backups/policies", "policies", "droplet:read", identity=None
    ),
    "droplets.list_backups": Operation(
        "/v2/droplets/{droplet_id}/backups", "backups", "droplet:read"
    ),
    "droplets.list_firewalls": Operation(
        "/v2/droplets/{droplet_id}/firewalls", "firewalls", "firewall:read"
    ),
    "droplet_actions.list": Operation(
        "/v2/droplets/{droplet_id}/actions", "actions", "droplet:read"
    ),
    "firewalls.list": Operation("/v2/firewalls", "firewalls", "firewall:read"),
    "ssh_keys.list": Operation("/v2/account/keys", "ssh_keys", "ssh_key:read", per_minute=10),
    "images.list": Operation("/v2/images", "images", "image:read"),
    "projects.list": Operation("/v2/projects", "projects", "project:read"),
    "projects.list_resources": Operation(
        "/v2/projects/{project_id}/resources", "resources", "project:read", identity="urn"
    ),
    "reserved_ips.list": Operation(
        "/v2/reserved_ips", "reserved_ips", "reserved_ip:read", identity="ip"
    ),
    "snapshots.list": Operation("/v2/snapshots", "snapshots", "snapshot:read"),
    "tags.list": Operation("/v2/tags", "tags", "tag:read", identity="name"),
}
"""Every call that the audit makes, by pydo's name: ``<group>.<method>``, all of them ``GET``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the service: header names in lower case, ``body`` None where it is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any = None
    text: str = ""


class NoAnswerError(Exception):
    """The service gave no whole answer: refused, cut, stalled. ``again`` allows one more try."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


def answer_key(operation: str, params: Mapping[str, Any]) -> str:
    """Return the name of an answer in a recording: ``droplets.list?page=1&per_page=200``."""
    query = urlencode(sorted((name, _query_text(value)) for name, value in params.items()))
    return f"{operation}?{query}" if query else operation


def _query_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(slots=True)
class _Waits:
    """What is waited for of a path: pages that were read and are known, and who waits."""

    done: int = 0
    pages: int = 0
    waiters: int = 0


class Reader:
    """What every source of answers shares; a subclass says how one request is sent.

    ``on_answer``, where set, gets operation, parameters and raw answer of every request, and for
    one that failed the :class:`ApiError`; it may be called by several threads at once.
    """

    def __init__(self, endpoint: str, *, notice: Callable[[str], None] | None = None) -> None:
        self.endpoint = endpoint
        self.notice: Callable[[str], None] = notice or (lambda _: None)
        self.on_answer: Callable[[str, dict[str, Any], Any], None] | None = None
        self._underway: dict[str, _Waits] = {}
        self._counting = threading.Lock()

    def underway(self) -> str:
        """Return what is waited for: lists with their pages, in the order of the requests."""
        with self._counting:
            waits = [f"GET {p}: {w.done} of {w.pages}" for p, w in self._underway.items()]
        more = f" and {len(waits) - 2} more" if len(waits) > 2 else ""
        return f"{', '.join(waits[:2])}{more}" if waits else "the API"

    @contextlib.contextmanager
    def waiting(self, path: str, pages: int = 1, *, for_all: bool = True) -> Generator[_Waits]:
        """Count the pages of a path as waited for, for as long as the block takes.

        Args:
            path: With the names of its parameters: lists of one path are counted together.
            pages: How many are known to come.
            for_all: Whether they are counted where somebody waits for the path already.
        """
        with self._counting:
            waits = self._underway.setdefault(path, _Waits())
            waits.pages += pages if for_all or not waits.waiters else 0
            waits.waiters += 1
        try:
            yield waits
        finally:
            with self._counting:
                waits.waiters -= 1
                if not waits.waiters:
                    del self._underway[path]

    @property
    def requests(self) -> int:
        """How many requests were sent, retries included."""
        return 0

    def pause(self, seconds: float) -> None:
        """Wait before something is asked again: not at all where nothing can have changed."""

    def close(self) -> None:
        """Give back what the source holds; nothing may be asked any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, operation: str, **params: Any) -> dict[str, Any]:
        """Ask once and return the raw answer, which has the operation's key.

        Raises:
            NotFoundError: 404.
            ApiError: No answer, or not the one that the API promises.
        """
        try:
            body = _with_key(self._ask(operation, params), operation, params)
        except ApiError as exc:
            if self.on_answer is not None:
                self.on_answer(operation, params, exc)
            raise
        if self.on_answer is not None:
            self.on_answer(operation, params, body)
        return body

    def pages(self, operation: str, *, per_page: int = PER_PAGE, **params: Any) -> list[Any]:
        """Read all pages of a list.

        Page 1 comes first, the others together. Rows are told apart by the operation's identity
        and counted against ``meta.total``; where that does not fit, something was created or
        destroyed meanwhile and all pages are read once more.

        Returns:
            The rows. An answer that is a map (``policies``) gives its (key, value) pairs.

        Raises:
            NotFoundError: 404.
            ApiError: A page is missing, or the count does not fit in the second reading either.
        """
        found = total = 0
        for _ in range(2):
            rows, totals = self._all_pages(operation, params, per_page)
            found, total = len(rows), max(totals)
            if totals == {found}:
                return rows
        raise ApiError(
            f"GET {OPERATIONS[operation].split(params)[0]}: {found} of {total} rows came in two "
            "readings: the list changes while it is read; run again"
        )

    def _all_pages(
        self, operation: str, params: dict[str, Any], per_page: int
    ) -> tuple[list[Any], set[int]]:
        known = OPERATIONS[operation]
        where = f"GET {known.split(params)[0]}"

        def page(number: int) -> dict[str, Any]:
            answer = self.get(operation, **params, page=number, per_page=per_page)
            waits.done += 1
            return answer

        of_many = known.path != where.removeprefix("GET ")
        with self.waiting(known.path, for_all=not of_many) as waits:
            answers = [page(1)]
            count = math.ceil(_total(answers[0], where) / per_page)
            if count > 1:
                waits.pages += count - 1
                with Workers(min(IN_FLIGHT, count - 1)) as workers:
                    asked = [workers.submit(page, number) for number in range(2, count + 1)]
                    answers += [answer.result() for answer in asked]
        rows: dict[Any, Any] = {}
        for answer in answers:
            for identity, row in _rows(answer[known.key], known.identity, f"{where}: {known.key}"):
                rows.setdefault(identity, row)
        return list(rows.values()), {_total(answer, where) for answer in answers}

    def _ask(self, operation: str, params: dict[str, Any]) -> Any:
        raise NotImplementedError


def _with_key(body: Any, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    known = OPERATIONS[operation]
    if isinstance(body, dict) and known.key in body:
        return body
    raise ApiError(
        f"GET {known.split(params)[0]}: the answer has no {known.key!r}; "
        "is this DigitalOcean's API? Check DIGITALOCEAN_API_URL"
    )


def _total(answer: dict[str, Any], where: str) -> int:
    meta = answer.get("meta")
    total = meta.get("total") if isinstance(meta, dict) else None
    if isinstance(total, bool) or not isinstance(total, int) or not 0 <= total < 10**7:
        raise ApiError(
            f"{where}: the answer does not say how many rows there are (meta.total); "
            "is this DigitalOcean's API? Check DIGITALOCEAN_API_URL"
        )
    return total


def _rows(value: Any, identity: str | None, where: str) -> list[tuple[Any, Any]]:
    """Return each row with what tells it from another; a map's rows are its pairs."""
    if value is None:
        return []
    if identity is None and isinstance(value, dict):
        return [(key, (key, row)) for key, row in value.items()]
    if identity is not None and isinstance(value, list):
        marks = [row.get(identity) if isinstance(row, dict) else None for row in value]
        if all(isinstance(mark, str | int) for mark in marks):
            return list(zip(marks, value, strict=True))
    expected = "a map" if identity is None else f"a list of objects that have {identity!r}"
    raise ApiError(
        f"{where} is not {expected}; is this DigitalOcean's API? Check DIGITALOCEAN_API_URL"
    )


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
        self._pacer = _Pacer(sleep, clock, self.notice)

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
        what = f"GET {known.split(params)[0]}"
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
                self._wait_for_the_limit(what, answer, limited)
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
        if lost_s > _SAID_FROM_S:
            self.notice(self._shown(f"{why}; trying again"))
        self._sleep(after_s)

    def _wait_for_the_limit(self, what: str, answer: Answer, times: int) -> None:
        """Hold every thread for as long as a 429 asks, or a little longer each time.

        Raises:
            ApiError: The hour's requests are used up, or it was refused too often.
        """
        asked = _retry_after(answer.headers)
        if asked is None and _hour_is_used_up(answer.headers):
            raise ApiError(
                f"{what}: 429, the token's limit of requests per hour is used up; "
                f"{_reset(answer.headers)}",
                429,
            )
        seconds = asked or float(2**times)
        if seconds > LONGEST_WAIT_S or times >= _TRIES_LIMITED:
            wait = f"asks to wait {asked:.0f} s" if asked else "gives no time"
            raise ApiError(
                f"{what}: 429, DigitalOcean {wait} (refused {times} times); "
                "is another program using the token? Run again later",
                429,
            )
        if self._pacer.hold(seconds):
            why = "limit per minute is reached" if asked else "limit: 429 without a time"
            self.notice(f"DigitalOcean's {why}: waiting {seconds:.0f} s")

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


def _number(text: str | None) -> float | None:
    """Return a number of seconds, None where a header has none that makes sense."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``retry-after`` asks to wait, None where it does not tell.

    0 is a time that is over: the service lets the client try again, and does not say when. It is a number of seconds or a date, which is held against the service's own clock where the
    answer has that. Source: RFC 9110, 10.2.3 and 6.6.1.
    """
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is None and (until := _date(text)) is not None:
        now = _date(headers.get("date")) or datetime.now(UTC)
        seconds = max(0.0, (until - now).total_seconds())
    return seconds


def _date(text: str | None) -> datetime | None:
    """Return an HTTP date, None where a header has none."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _hour_is_used_up(headers: Mapping[str, str]) -> bool:
    """Whether a 429 must be that of the hour: no request is left, and the reset is not past.

    Accounts saw 429 with requests left, and with a reset long past. One that tells neither, as
    something between here and the API may send, is not taken for the hour's. Source:
    https://github.com/DNSControl/dnscontrol/issues/636
    """
    left, reset = (_number(headers.get(f"ratelimit-{name}")) for name in ("remaining", "reset"))
    if left:
        return False
    return left == 0 if reset is None else reset > time.time()


def _reset(headers: Mapping[str, str]) -> str:
    moment = _number(headers.get("ratelimit-reset"))
    with contextlib.suppress(OverflowError, ValueError, OSError):
        if moment:
            at = datetime.fromtimestamp(moment, UTC)
            return f"the oldest request expires at {at:%Y-%m-%d %H:%M:%S} UTC; run again then"
    return "run again in an hour"


class _Pacer:
    """Keeps below the limits by counting what was sent in the last minute.

    Full speed while 20 % of the minute's requests are left, then what is left spread over a
    minute. The service's own count only makes it slower, never faster.
    """

    def __init__(
        self,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        notice: Callable[[str], None],
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._notice = notice
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()
        self._sent_by_path: dict[str, deque[float]] = {}
        self._held_until = -math.inf
        self._said_until = -math.inf
        self._left = float(PER_MINUTE)
        self.sent = 0

    def before(self, path: str, per_minute: int | None) -> None:
        """Wait until a request may go, and count it."""
        while True:
            with self._lock:
                now = self._clock()
                of_path = self._sent_by_path.setdefault(path, deque())
                own = max(self._spacing(now), self._full(of_path, per_minute, now))
                wait = max(own, self._held_until - now)
                if wait <= 0:
                    self._sent.append(now)
                    of_path.append(now)
                    self.sent += 1
                    return
                say = own > _SAID_FROM_S and own == wait and self._said_until <= now
                if say:
                    self._said_until = now + own
            if say:
                self._notice(
                    f"GET {path}: waiting {own:.0f} s to stay within DigitalOcean's limit of "
                    "requests per minute"
                )
            self._sleep(wait)

    def after(self, headers: Mapping[str, str]) -> None:
        """Note what the service says is left."""
        left = _number(headers.get("ratelimit-remaining"))
        with self._lock:
            self._left = PER_MINUTE if left is None else left

    def hold(self, seconds: float) -> bool:
        """Let nobody send for some seconds; return whether this is new."""
        with self._lock:
            now = self._clock()
            new = self._held_until <= now
            self._held_until = max(self._held_until, now + seconds)
            return new

    def _spacing(self, now: float) -> float:
        wait = self._full(self._sent, PER_MINUTE, now)
        left = min(PER_MINUTE - len(self._sent), self._left)
        if left < _SLOW_BELOW and self._sent:
            wait = max(wait, self._sent[-1] + 60 / _SLOW_BELOW - now)
        return wait

    @staticmethod
    def _full(sent: deque[float], limit: int | None, now: float) -> float:
        while sent and sent[0] <= now - 60:
            sent.popleft()
        return 0.0 if limit is None or len(sent) < limit else sent[0] + 60 - now


def check_endpoint(url: str) -> str:
    """Return an endpoint in the form that pydo wants: without ``/v2``, without a last slash.

    Raises:
        ApiError: The token must not go there: neither https nor http to this machine.
    """
    shown = f"DIGITALOCEAN_API_URL={one_line(redact(url), 100)}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ApiError(f"{shown}: this is no URL; try {DEFAULT_ENDPOINT}") from None
    if not host or parts.username or parts.password or parts.query or parts.fragment:
        raise ApiError(f"{shown}: expected scheme, host and path alone, like {DEFAULT_ENDPOINT}")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ApiError(f"{shown}: the token goes only over https, or over http to this machine")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v2')}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


class ReplayClient(Reader):
    """Answers from a recording; nothing is sent.

    Args:
        answers: By :func:`answer_key`: the raw answer, or ``{"api_error": text, "status": 403}``
            for a request that failed (:func:`recorded` makes both).
        endpoint: Where the recording was made.
        notice: Gets one line where the user waits: never.
    """

    def __init__(
        self,
        answers: Mapping[str, Any],
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(endpoint, notice=notice)
        self._answers = answers

    def _ask(self, operation: str, params: dict[str, Any]) -> Any:
        what = f"GET {OPERATIONS[operation].split(params)[0]}"
        key = answer_key(operation, params)
        if key not in self._answers:
            raise ApiError(
                f"{what}: the recording has no answer for {key}; record again with this selection"
            )
        answer = self._answers[key]
        if isinstance(answer, dict) and isinstance(text := answer.get("api_error"), str):
            status = answer.get("status")
            kind = NotFoundError if status == 404 else ApiError
            raise kind(one_line(text, 500), status if isinstance(status, int) else None)
        return answer


def recorded(answer: Any) -> Any:
    """Return what a recording keeps of what ``on_answer`` got: JSON-able.

    The template of an autoscale pool is left out: its ``user_data`` may hold any secret.
    """
    if isinstance(answer, ApiError):
        return {"api_error": str(answer), "status": answer.status}
    if isinstance(answer, dict) and isinstance(pools := answer.get("autoscale_pools"), list):
        kept = [
            {k: v for k, v in p.items() if k != "droplet_template"} if isinstance(p, dict) else p
            for p in pools
        ]
        return {**answer, "autoscale_pools": kept}
    return answer


def decode(status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    """Make an :class:`Answer` of what came over the wire; what is no JSON has body None."""
    names = {name.lower(): value for name, value in headers.items()}
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    return Answer(status, names, body, content[:2000].decode("utf-8", "replace"))
