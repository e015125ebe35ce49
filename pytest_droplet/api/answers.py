"""What came of one request: an answer, or the error that says in one line why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ApiError(Exception):
    """The API did not answer as it should: one line, what happened and what to do.

    ``status`` is the HTTP status, None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(ApiError):
    """404: the resource does not exist, or no longer."""


class NoAnswerError(Exception):
    """The service gave no whole answer: refused, cut, stalled. ``again`` allows one more try."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the service: header names in lower case, ``body`` None where it is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any = None
    text: str = ""


def decode(status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    """Make an :class:`Answer` of what came over the wire; what is no JSON has body None."""
    names = {name.lower(): value for name, value in headers.items()}
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    return Answer(status, names, body, content[:2000].decode("utf-8", "replace"))
