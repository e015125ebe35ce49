"""Since when a finding is open, and when it was fixed: what a record keeps for those after it.

Days are counted by their dates in UTC, as waivers count them: a finding is overdue once its last
day is over.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from pytest_droplet.record import CarriedLine, DropletLine, Finding, ResultLine, iso
from pytest_droplet.words import Outcome, Severity

FOUND = frozenset({"fail", "waived"})
_NOT_LOOKED_AT = frozenset({"off", "not-ours"})


Dated: TypeAlias = Finding | CarriedLine
"""A line that may tell times."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of one finding where a record ends.

    Attributes:
        check: Id of its check.
        droplet_id: None: it is of the account.
        severity: Of the finding.
        first_seen: When it was first seen; of one that came back, when it did.
        judged_at: When it was last judged.
        verdict: What it was then.
        fixed_at: When it was first seen to be gone; None: it is open.
        reopened: Whether it was gone before.
    """

    check: str
    droplet_id: int | None
    severity: Severity
    first_seen: datetime
    judged_at: datetime
    verdict: Outcome
    fixed_at: datetime | None = None
    reopened: bool = False


def is_judged(line: Finding, droplets: Mapping[int, DropletLine], *, whole: bool) -> bool:
    """Whether a result says that its finding is there, or that it is not.

    A check that does not apply says so where its subject does not exist, not where the Droplet is
    switched off, and of the account only where each of its Droplets was selected (``whole``).
    A waiver that accepts an unknown makes no finding of it.
    """
    verdict, droplet_id = line["verdict"], line["droplet_id"]
    if verdict == "waived":
        waiver = line.get("waiver")
        return waiver is None or not waiver.get("unknown")
    if verdict != "notapplicable":
        return verdict in {"fail", "pass"}
    if droplet_id is None:
        return whole
    droplet = droplets.get(droplet_id)
    return droplet is None or droplet.get("coverage") not in _NOT_LOOKED_AT


def told(line: ResultLine | CarriedLine, judged_at: datetime) -> Past | None:
    """Return what a line of an earlier record says of a finding; None: there never was one.

    Args:
        line: Of a version without ``first_seen``, too: a finding was first seen then.
        judged_at: The time of its record.

    Raises:
        KeyError, TypeError, ValueError: It lacks a field, or a time is none.
    """
    own: Any = line
    verdict: Outcome = own.get("last_verdict") or own["verdict"]
    if "first_seen" not in own and (verdict not in FOUND or not is_judged(own, {}, whole=True)):
        return None
    last = own.get("last_judged")
    gone = own.get("fixed_at")
    return Past(
        check=own["check"],
        droplet_id=own["droplet_id"],
        severity=own["severity"],
        first_seen=time_of(own["first_seen"]) if "first_seen" in own else judged_at,
        judged_at=time_of(last) if last else judged_at,
        verdict=verdict,
        fixed_at=time_of(gone) if gone else None,
        reopened=bool(own.get("reopened")),
    )


def time_of(text: str) -> datetime:
    """Return a time of a record; one without an offset is UTC (ValueError, TypeError: it is none)."""
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def followed(past: Past | None, line: ResultLine, own: Past | None, now: datetime) -> Past | None:
    """Return what is known of a finding after it was judged once more, at ``now``.

    Args:
        past: What was known before.
        line: The result, which judges it.
        own: What the line itself tells, as the line of a record that is joined does.
        now: When it was judged.
    """
    found = line["verdict"] in FOUND
    known = _found(past, line, own, now) if found else _gone(past, own, now) if past else own
    if known is None or (not found and known.fixed_at is None):
        return None
    last = max(past.judged_at, now) if past else now
    return replace(known, judged_at=last, verdict=line["verdict"])


def _found(past: Past | None, line: ResultLine, own: Past | None, now: datetime) -> Past:
    first = min(own.first_seen, now) if own else now
    reopened = own is not None and own.reopened
    if past is not None and past.fixed_at is None:
        first, reopened = min(first, past.first_seen), reopened or past.reopened
    elif past is not None and past.fixed_at is not None:
        first, reopened = first if first > past.fixed_at else now, True
    return Past(
        line["check"],
        line["droplet_id"],
        line["severity"],
        first,
        now,
        line["verdict"],
        reopened=reopened,
    )


def _gone(past: Past, own: Past | None, now: datetime) -> Past:
    later = own is not None and own.fixed_at is not None and own.fixed_at > past.judged_at
    if past.fixed_at is not None:
        return own if own is not None and later else past
    first = min(past.first_seen, own.first_seen) if own else past.first_seen
    fixed_at = own.fixed_at if own is not None and later else now
    return replace(past, first_seen=min(first, fixed_at or now), fixed_at=fixed_at)


def informed(past: Past | None, own: Past | None, now: datetime) -> Past | None:
    """Return what is known of a finding that a record did not judge but tells of (``own``).

    Where it says that the finding was judged after it was written itself (``now``), a clock went
    back, and what another record judged is believed.
    """
    if past is None or own is None:
        return past or own
    if own.judged_at <= past.judged_at or own.judged_at >= now:
        return past
    line: Any = {
        "check": own.check,
        "droplet_id": own.droplet_id,
        "severity": own.severity,
        "verdict": own.verdict,
    }
    return followed(past, line, own, own.judged_at)


def times(past: Past, now: datetime, days: Mapping[Severity, int]) -> dict[str, Any]:
    """Return the fields of a line that tell a finding's times, none of them later than ``now``."""
    first = min(past.first_seen, now)
    found: dict[str, Any] = {"first_seen": iso(first)}
    if past.fixed_at is not None:
        return found | {"fixed_at": iso(max(first, min(past.fixed_at, now)))}
    found["age_days"] = age_days(first, now)
    if (due := due_on(past.severity, first, days)) is not None:
        found["due"] = due.isoformat()
    if past.reopened:
        found["reopened"] = True
    return found


def last_judged(past: Past) -> dict[str, Any]:
    """Return the fields of a line that tell when a finding was judged that is not judged now."""
    return {"last_verdict": past.verdict, "last_judged": iso(past.judged_at)}


def age_days(first_seen: datetime, now: datetime) -> int:
    """Return how many days old a finding is: the difference of the dates, never below zero."""
    return max(0, (_day(now) - _day(first_seen)).days)


def due_on(severity: Severity, first_seen: datetime, days: Mapping[Severity, int]) -> date | None:
    """Return the last day on which a finding may be open; None: no days are set for it."""
    if severity not in days:
        return None
    return _day(first_seen) + timedelta(days=days[severity])


def is_due(line: Dated) -> bool:
    """Whether a finding that nobody accepts is open, and may be until some date."""
    own: Mapping[str, Any] = line
    return "due" in own and (own.get("last_verdict") or own["verdict"]) == "fail"


def is_overdue(line: Dated, judged_at: str) -> bool:
    """Whether such a finding is open for longer than it may be, at this time of a record."""
    return is_due(line) and line["due"] < judged_at[:10]


def carried_line(
    mark: str, past: Past, now: datetime, days: Mapping[Severity, int]
) -> CarriedLine:
    """Return the line of a finding of an earlier record that this one has no result of."""
    line: Any = {
        "type": "carried",
        "check": past.check,
        "droplet_id": past.droplet_id,
        "severity": past.severity,
        "fingerprint": mark,
    }
    found: CarriedLine = line | last_judged(past) | times(past, now, days)
    return found


def _day(when: datetime) -> date:
    return when.astimezone(UTC).date()


def without_times(line: ResultLine) -> ResultLine:
    """Return a result without the fields of this module, which are told anew."""
    kept: Any = {name: value for name, value in line.items() if name not in _FIELDS}
    found: ResultLine = kept
    return found


_FIELDS: Container[str] = frozenset(
    {"first_seen", "age_days", "due", "reopened", "fixed_at", "last_verdict", "last_judged"}
)
