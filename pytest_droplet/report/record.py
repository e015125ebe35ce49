"""The document of record: one JSON object a line, written as verdicts come."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from pytest_droplet.catalogue import Check, CheckDoc
from pytest_droplet.coverage import Coverage
from pytest_droplet.model import (
    AccountKey,
    Droplet,
    Evidence,
    HostReading,
    Reading,
    Verdict,
)
from pytest_droplet.redact import redact, redact_json

SCHEMA = 1
ENDED = "the run ended before it was read"
Line = dict[str, Any]

_LEFT_OUT = frozenset({"evidence", "traceback", "fingerprint", "nodeid"})
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Record:
    """Writes the lines of one run, and keeps what the terminal shows at the end.

    Every line is flushed when it is written, so that a run that is killed loses none of them; a
    record without a ``summary`` line was cut.

    Attributes:
        findings: Result lines that are neither ``pass`` nor ``notapplicable``, without what only
            the file holds.
        counts: Number of results by verdict.
        checks: Ids of the checks that have a result.
        droplets: Droplet lines by id.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the file; without a path the lines go to a temporary file.

        Raises:
            OSError: The folder of the path cannot be made, or the file cannot be written.
        """
        self.path = path
        self._file: IO[str]
        if path is None:
            self._file = tempfile.TemporaryFile("w+", encoding="utf-8", prefix="droplet-")  # noqa: SIM115
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w+", encoding="utf-8")
        self.findings: list[Line] = []
        self.counts: Counter[str] = Counter()
        self.checks: set[str] = set()
        self.droplets: dict[int, Line] = {}

    def add(self, line: Line) -> None:
        """Write one line."""
        self._file.write(_encode(line) + "\n")
        self._file.flush()
        if line["type"] == "result":
            self.counts[line["verdict"]] += 1
            self.checks.add(line["check"])
            if line["verdict"] not in {"pass", "notapplicable"}:
                self.findings.append({k: v for k, v in line.items() if k not in _LEFT_OUT})
        elif line["type"] == "droplet":
            self.droplets[line["id"]] = line

    def lines(self) -> Iterator[Line]:
        """Read all lines again, from the first."""
        self._file.flush()
        self._file.seek(0)
        for text in self._file:
            yield json.loads(text)
        self._file.seek(0, 2)

    def close(self) -> None:
        """Close the file; a temporary one is gone then."""
        self._file.close()


def header_line(
    *,
    versions: Mapping[str, str],
    selector: Iterable[str],
    profiles: Iterable[str],
    started_at: datetime,
    judged_at: datetime,
    replay: Mapping[str, str] | None,
    endpoint: str,
    options: Mapping[str, str | int],
    checks: Iterable[Check],
) -> Line:
    """Return the first line: what was asked of whom, and the page of every selected check."""
    return {
        "type": "header",
        "schema": SCHEMA,
        "tool": {"name": "pytest-droplet", "version": versions["pytest-droplet"]},
        "versions": dict(versions),
        "selector": list(selector),
        "profile": sorted(profiles),
        "started_at": iso(started_at),
        "judged_at": iso(judged_at),
        "replay": dict(replay) if replay else None,
        "endpoint": endpoint,
        "options": dict(options),
        "checks": [check_entry(check) for check in checks],
    }


def check_entry(check: Check) -> Line:
    """Return what the reports show of a check beside its verdicts."""
    return {
        "id": check.id,
        "title": check.doc.title,
        "severity": check.severity,
        "family": check.family,
        "profiles": list(check.profiles),
        "guide": check.guide,
        "references": check.references,
        "rationale": check.doc.rationale,
        "remediation": check.doc.remediation,
    }


def droplet_line(
    droplet: Droplet,
    host: HostReading,
    distribution: str | None,
    rows: Mapping[str, Reading[Any]],
) -> Line:
    """Return the line of one Droplet: who it is, and whether and how it was read."""
    return {
        "type": "droplet",
        "id": droplet.id,
        "name": droplet.name,
        "urn": droplet.urn,
        "tags": list(droplet.tags),
        "region": droplet.region,
        "size": droplet.size,
        "vpc": droplet.vpc_uuid,
        "image": droplet.image.slug or droplet.image.name,
        "addresses": [
            {"ip": a.ip, "version": a.version, "kind": a.kind} for a in droplet.addresses
        ],
        "status": droplet.status,
        "ephemeral": droplet.ephemeral,
        "distribution": distribution,
        "coverage": host.state,
        "reason": redact(host.reason),
        "connection": {
            "address": host.address,
            "port": host.port,
            "user": host.user,
            "root": host.root,
        }
        if host.state == "reached"
        else None,
        "rows": redact_json({name: _row(reading) for name, reading in rows.items()}),
    }


def rows_of(line: Line) -> dict[str, Reading[Any]]:
    """Return the rows of a Droplet line as Readings."""
    return {
        name: Reading(
            row["source"], datetime.fromisoformat(row["observed_at"]), row["value"], row["missing"]
        )
        for name, row in line["rows"].items()
    }


def result_line(
    verdict: Verdict, nodeid: str, page: CheckDoc | None = None, source_line: int | None = None
) -> Line:
    """Return the line of one verdict.

    Where the check is the user's own it has its page, and the line (from 1) in the file of the
    node id that its function begins at. ``unreached`` stands with an unknown whose one reason is
    that the host was not reached.
    """
    line: Line = {
        "type": "result",
        "check": verdict.check,
        "droplet_id": verdict.droplet_id,
        "verdict": verdict.outcome,
        "severity": verdict.severity,
        "message": verdict.message,
        "evidence": [_evidence(e) for e in verdict.evidence],
        "caused_by": verdict.caused_by,
        "waiver": None if verdict.waiver is None else dict(verdict.waiver),
        "gated": verdict.below is None,
        "duration_s": round(verdict.duration_s, 6),
        "fingerprint": fingerprint(verdict.check, verdict.droplet_id),
        "nodeid": nodeid,
    }
    if page is not None:
        line["title"] = page.title
        line["remediation"] = page.remediation
    if source_line is not None:
        line["source_line"] = source_line
    if verdict.traceback is not None:
        line["traceback"] = verdict.traceback
    if verdict.outcome == "unknown" and verdict.unreached:
        line["unreached"] = True
    return line


def key_lines(
    droplets: Iterable[Line], account: Reading[tuple[AccountKey, ...]]
) -> Iterator[Line]:
    """Yield a line for each key that may log in somewhere, from the rows of the Droplets.

    ``account_key`` names the account's key of the same blob; ``known`` is None where the
    account's keys were not observed.
    """
    listed = {} if account.missing is not None else {k.fingerprint: k for k in account.get()}
    keys: dict[str, Line] = {}
    for droplet in droplets:
        row = droplet["rows"].get("droplet_authorized_keys", {})
        for entry in row.get("value") or ():
            if not entry.get("in_use"):
                continue
            line = keys.get(entry["sha256"])
            if line is None:
                owner = listed.get(entry["md5"])
                line = keys[entry["sha256"]] = {
                    "type": "key",
                    "fingerprint": entry["sha256"],
                    "md5": entry["md5"],
                    "key_type": entry["type"],
                    "bits": entry["bits"],
                    "account_key": {"id": owner.id, "name": owner.name} if owner else None,
                    "known": None if account.missing is not None else owner is not None,
                    "where": [],
                }
            place = {k: entry[k] for k in ("user", "file", "line", "comment")}
            options = ",".join(entry["options"])
            line["where"].append({"droplet_id": droplet["id"], **place, "options": options})
    yield from (keys[name] for name in sorted(keys))


def summary_line(
    *,
    counts: Mapping[str, int],
    coverage: Coverage,
    duration_s: float,
    exit_code: int,
    more: Mapping[str, Any],
) -> Line:
    """Return the last line; a record without it was cut.

    ``more`` holds ``waivers`` and, where there is a baseline, ``baseline``.
    """
    return {
        "type": "summary",
        "finished_at": iso(datetime.now(UTC)),
        "duration_s": round(duration_s, 3),
        "counts": dict(counts),
        "coverage": coverage.line,
        "exit_code": exit_code,
        **more,
    }


def fingerprint(check: str, droplet_id: int | None) -> str:
    """Return what identifies a finding from run to run: 16 hex digits of check and Droplet."""
    text = f"{check} {'account' if droplet_id is None else droplet_id}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@lru_cache(maxsize=4096)
def iso(when: datetime) -> str:
    """Return a time as RFC 3339 in UTC, to the second."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def time_between(earlier: object, later: object) -> str:
    """Return how long after one time of the record another was, as `7 days`; empty: not told."""
    try:
        one, two = (datetime.fromisoformat(str(text)) for text in (earlier, later))
        minutes = round((two - one).total_seconds() / 60)
    except (ValueError, TypeError, OverflowError):
        return ""
    for unit, size in (("day", 24 * 60), ("hour", 60), ("minute", 1)):
        if abs(minutes) >= 2 * size or size == 1:
            number = round(minutes / size)
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return ""


def _evidence(evidence: Evidence) -> Line:
    return {
        "fact": evidence.fact,
        "source": evidence.source,
        "observed_at": iso(evidence.observed_at),
        "value": evidence.value,
    }


def _row(reading: Reading[Any]) -> Line:
    return {
        "source": reading.source,
        "observed_at": iso(reading.observed_at),
        "value": reading.value,
        "missing": reading.missing,
    }
