"""The limits of the service: how fast requests may go, and what a refusal for haste asks for."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pytest_droplet.api.answers import ApiError

PER_MINUTE = 250
LONGEST_WAIT_S = 60.0
SAID_FROM_S = 5.0
"""What takes longer is told to the user."""
_SLOW_BELOW = PER_MINUTE // 5
_TRIES_LIMITED = 5


class Pacer:
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
                say = own > SAID_FROM_S and own == wait and self._said_until <= now
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

    def refused(self, what: str, headers: Mapping[str, str], times: int) -> None:
        """Hold every thread for as long as a 429 asks, or a little longer each time.

        Args:
            what: The request, as a person would type it.
            headers: Those of the 429.
            times: How often this request was refused so far.

        Raises:
            ApiError: The hour's requests are used up, or it was refused too often.
        """
        asked = _retry_after(headers)
        if asked is None and _hour_is_used_up(headers):
            raise ApiError(
                f"{what}: 429, the token's limit of requests per hour is used up; "
                f"{_reset(headers)}",
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
        if self._hold(seconds):
            why = "limit per minute is reached" if asked else "limit: 429 without a time"
            self._notice(f"DigitalOcean's {why}: waiting {seconds:.0f} s")

    def _hold(self, seconds: float) -> bool:
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


def _number(text: str | None) -> float | None:
    """Return a number of seconds, None where a header has none that makes sense."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``retry-after`` asks to wait, None where it does not tell.

    0 is a time that is over: the service lets the client try again, and does not say when. It is
    a number of seconds or a date, which is held against the service's own clock where the answer
    has that. Source: RFC 9110, 10.2.3 and 6.6.1.
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
