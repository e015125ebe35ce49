"""The order of package versions, as dpkg and as rpm have it."""

from __future__ import annotations

import re
from functools import cmp_to_key
from itertools import zip_longest

_DPKG_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
_RPM_PARTS = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
_Number = tuple[int, str]
_DpkgPart = tuple[tuple[int, ...], _Number]
_END: _DpkgPart = ((0,), (0, ""))


def dpkg_key(version: str) -> tuple[_Number, tuple[_DpkgPart, ...], tuple[_DpkgPart, ...]]:
    """Return a key that orders versions of Debian packages: ``[epoch:]upstream[-revision]``.

    Source: deb-version(7).
    """
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "", version
    upstream, dash, revision = rest.rpartition("-")
    return (
        _number(epoch),
        _dpkg_parts(upstream if dash else rest),
        _dpkg_parts(revision if dash else ""),
    )


def _dpkg_parts(text: str) -> tuple[_DpkgPart, ...]:
    parts = [
        ((*map(_dpkg_order, other), 0), _number(digits))
        for other, digits in _DPKG_PARTS.findall(text)
    ]
    while parts and parts[-1] == _END:
        parts.pop()
    return (*parts, _END)


def _dpkg_order(character: str) -> int:
    """``~`` before the end of the version, that before letters, these before the rest."""
    if character == "~":
        return -1
    return ord(character) + (0 if character.isalpha() else 0x110000)


def compare_rpm(one: str, other: str) -> int:
    """Compare two versions of rpm packages, ``version-release``: -1, 0 or 1.

    Source: rpm-version(7). There is no epoch in them.
    """
    halves = zip_longest(one.split("-", 1), other.split("-", 1), fillvalue="")
    return next((order for pair in halves if (order := _compare_rpm_part(*pair))), 0)


rpm_key = cmp_to_key(compare_rpm)


def _compare_rpm_part(one: str, other: str) -> int:
    for pair in zip_longest(_RPM_PARTS.findall(one), _RPM_PARTS.findall(other)):
        left, right = map(_rpm_rank, pair)
        if left != right:
            return -1 if left < right else 1
    return 0


def _rpm_rank(part: str | None) -> tuple[int, _Number, str]:
    """``~`` before the end of the version, that before ``^``, then letters, then numbers."""
    if part is None:
        return (1, (0, ""), "")
    if part in "~^":
        return (0 if part == "~" else 2, (0, ""), "")
    return (4, _number(part), "") if part[0].isdigit() else (3, (0, ""), part)


def _number(digits: str) -> _Number:
    """Return what orders numbers of any length."""
    digits = digits.lstrip("0")
    return (len(digits), digits)
