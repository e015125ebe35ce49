"""The fields of an object in an answer, each read with the type that the API promises for it.

What has another type is an :class:`~pytest_droplet.api.answers.ApiError` that names endpoint and
field, never a traceback.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pytest_droplet.api.answers import ApiError
from pytest_droplet.text import one_line

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD = re.compile(r"[0-9A-Za-z_-]+")


class Row:
    """An object of an answer, read field by field with the type that is expected of it."""

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise wrong(where, data, "an object")
        self._data = data
        self._where = where

    def has(self, name: str) -> bool:
        """Whether it is there, and not null."""
        return self._data.get(name) is not None

    def absence(self, name: str) -> str:
        """How a field without a value is missing: ``null`` or ``absent``."""
        return "null" if name in self._data else "absent"

    def filled(self, name: str) -> bool:
        """Whether it is there, and no empty text: a node without a Droplet yet has that."""
        return self._data.get(name) not in (None, "")

    def at(self, name: str) -> str:
        """Return where a field stands, for messages."""
        return f"{self._where}.{name}"

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._data.get(name)
        if not isinstance(value, str):
            raise wrong(self.at(name), value, "a text")
        return _clean(value)

    def text_or_none(self, name: str) -> str | None:
        """Return a text, None where it is absent."""
        return self.text(name) if self.has(name) else None

    def word(self, name: str) -> str:
        """Return a text that is one word of letters, digits, ``_`` and ``-``."""
        value = self.text(name)
        if not _WORD.fullmatch(value):
            raise wrong(self.at(name), value, "a word")
        return value

    def uuid(self, name: str) -> str:
        """Return a text that is a UUID: ids of this form become part of a path."""
        value = self.text(name)
        if not UUID.fullmatch(value):
            raise wrong(self.at(name), value, "a UUID")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list."""
        items = self._list(name)
        for value in items:
            if not isinstance(value, str):
                raise wrong(self.at(name), value, "a text")
        return tuple(_clean(value) for value in items)

    def number(self, name: str) -> int:
        """Return a whole number."""
        return integer(self._data.get(name), self.at(name))

    def number_or_none(self, name: str) -> int | None:
        """Return a whole number, None where it is absent."""
        return self.number(name) if self.has(name) else None

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the whole numbers of a list."""
        return tuple(integer(value, self.at(name)) for value in self._list(name))

    def measure_or_none(self, name: str) -> float | None:
        """Return a finite number, None where it is absent."""
        value = self._data.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                measure = float(value)
                if math.isfinite(measure):
                    return measure
        except OverflowError:
            pass
        raise wrong(self.at(name), value, "a number")

    def truth(self, name: str) -> bool:
        """Return true or false; absent is neither."""
        value = self._data.get(name)
        if not isinstance(value, bool):
            raise wrong(self.at(name), value, "true or false")
        return value

    def time(self, name: str) -> datetime:
        """Return a moment, in UTC where it names no zone."""
        value = self._data.get(name)
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
                return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        raise wrong(self.at(name), value, "a date and time")

    def time_or_none(self, name: str) -> datetime | None:
        """Return a moment, None where it is absent."""
        return self.time(name) if self.has(name) else None

    def row(self, name: str) -> Row:
        """Return the object of this name, empty where it is absent."""
        return Row(self._data.get(name) if self.has(name) else {}, self.at(name))

    def rows(self, name: str) -> tuple[Row, ...]:
        """Return the objects of a list, none where it is absent."""
        return tuple(Row(value, self.at(name)) for value in self._list(name))

    def promised(self, name: str) -> tuple[Row, ...]:
        """Return a list of which only null, and not its absence, says that there are none."""
        if name not in self._data:
            raise wrong(self.at(name), None, "a list")
        return self.rows(name)

    def others(self, known: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the fields beside those that are known, by name."""
        return tuple(sorted(_clean(str(name)) for name in set(self._data) - set(known)))

    def _list(self, name: str) -> list[Any]:
        value = self._data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise wrong(self.at(name), value, "a list")
        return value


def wrong(where: str, value: Any, expected: str) -> ApiError:
    """Return the error for a value that is not what the API promises."""
    if value is None:
        shown = "absent"
    else:
        kind = type(value).__name__
        shown = f"{kind} {one_line(repr(value)[:400], 60)}" if _is_plain(value) else f"a {kind}"
    return ApiError(
        f"{where} is {shown}, expected {expected}; "
        "is this DigitalOcean's API? Check DIGITALOCEAN_API_URL"
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, int) and value.bit_length() > 128:
        return False
    return isinstance(value, str | int | float)


def integer(value: Any, where: str) -> int:
    """Return a whole number: ids come as number or as text, by endpoint."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise wrong(where, value, "a whole number")
    return value


def _clean(text: str) -> str:
    """Replace lone surrogates: JSON may hold them, no encoder takes them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def ip_address(text: str, where: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address without a zone (ApiError: the text is none)."""
    try:
        if "%" not in text:
            return ipaddress.ip_address(text)
    except ValueError:
        pass
    raise wrong(where, text, "an IP address")
