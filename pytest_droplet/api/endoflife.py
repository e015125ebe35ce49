"""The newest dates of support, asked of endoflife.date: a few small answers, and no token.

Source: the API of endoflife.date, version 1, ``GET /products/{product}/``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from pytest_droplet.api.answers import ApiError, NoAnswerError
from pytest_droplet.api.endpoint import is_loopback
from pytest_droplet.model import SupportDates
from pytest_droplet.redact import redact
from pytest_droplet.text import one_line

SOURCE = "endoflife.date"
DEFAULT_URL = "https://endoflife.date/api/v1"
URL_VARIABLE = "ENDOFLIFE_API_URL"
_TIMEOUTS_S = (5.0, 10.0)
_ANSWER_TIMEOUT_S = 20.0
_ALL_ANSWERS_S = 30.0
_CYCLE = re.compile(r"\d{1,4}(?:\.\d{1,4})?")


def recorded_as(product: str) -> str:
    """Return the name of an answer in a recording."""
    return f"{SOURCE}/{product}"


def url_of(environment: Mapping[str, str]) -> str:
    """Return where to ask: ``ENDOFLIFE_API_URL`` of an environment, or endoflife.date itself."""
    return environment.get(URL_VARIABLE, "").strip() or DEFAULT_URL


def fetch(products: Iterable[str], url: str = DEFAULT_URL) -> dict[str, Any]:
    """Ask for each product, one after the other.

    Args:
        products: Names that endoflife.date has for distributions.
        url: https, or http to this machine.

    Returns:
        The answers by product: all of them.

    Raises:
        ApiError: One line: the first answer that did not come, or is not JSON; or they take too
            long together.
    """
    base = _checked(url)
    from pytest_droplet.api import http  # noqa: PLC0415 requests costs 0.1 s to import

    answers: dict[str, Any] = {}
    ends = time.monotonic() + _ALL_ANSWERS_S
    with http.bounded_session(base, _ANSWER_TIMEOUT_S) as session:
        for product in products:
            if time.monotonic() > ends:
                raise ApiError(
                    f"{SOURCE}: {len(answers)} answers took more than {_ALL_ANSWERS_S:g} s"
                )
            answers[product] = _ask(session, f"{base}/products/{product}/")
    return answers


def _ask(session: Any, url: str) -> Any:
    from requests import RequestException  # noqa: PLC0415 see fetch

    from pytest_droplet.api.http import root_cause  # noqa: PLC0415 see fetch

    what = f"GET {one_line(redact(url), 120)}"
    try:
        answer = session.get(url, timeout=_TIMEOUTS_S, allow_redirects=False)
    except NoAnswerError as exc:
        raise ApiError(f"{what}: {exc}") from None
    except RequestException as exc:
        raise ApiError(f"{what}: {one_line(redact(root_cause(exc)))}") from None
    if answer.status_code != 200:
        raise ApiError(f"{what}: {answer.status_code}", answer.status_code)
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise ApiError(f"{what}: the answer is not JSON") from None


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (
            parts.scheme == "http" and is_loopback(parts.hostname or "")
        )
        fine = secure and parts.hostname and not (parts.username or parts.password or parts.query)
    except ValueError:
        fine = False
    if not fine:
        raise ApiError(
            f"{URL_VARIABLE}={one_line(redact(url), 100)}: expected https, or http to this machine,"
            f" like {DEFAULT_URL}"
        )
    return url.rstrip("/")


def parse(answers: Mapping[str, Any]) -> tuple[SupportDates, ...]:
    """Parse the answers by product.

    Raises:
        ApiError: One line: an answer has no releases, or a date that is none.
    """
    found: list[SupportDates] = []
    for product, answer in answers.items():
        try:
            releases = answer["result"]["releases"]
            found += [
                _dates(product, entry) for entry in releases if _CYCLE.fullmatch(_name(entry))
            ]
        except (KeyError, TypeError, ValueError) as exc:
            raise ApiError(
                f"{SOURCE}, {product}: not in the form of its API, version 1"
                f" ({type(exc).__name__}: {one_line(redact(str(exc)), 80)})"
            ) from None
    return tuple(found)


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["name"])


def _dates(product: str, entry: Mapping[str, Any]) -> SupportDates:
    return SupportDates(
        product,
        _name(entry),
        security_until=_date(entry["eolFrom"]),
        active_until=_date(entry.get("eoasFrom")),
        extended_until=_date(entry.get("eoesFrom")),
    )


def _date(value: Any) -> date | None:
    return None if value is None else date.fromisoformat(value)
