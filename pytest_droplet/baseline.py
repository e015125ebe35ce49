"""Baselines: an earlier record, and what has changed since."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_droplet.redact import redact, redact_json
from pytest_droplet.report.record import SCHEMA, Line


class BaselineError(ValueError):
    """A baseline is no record, is cut, or is of another schema: one line."""


@dataclass(frozen=True)
class Baseline:
    """What is kept of an earlier record.

    Attributes:
        judged_at: When it was judged.
        findings: Fingerprints of the results that failed.
        waived: Fingerprints of those that were waived.
        droplets: Names of its Droplets, by id.
        ephemeral: Ids of those that a pool or a cluster had made.
    """

    judged_at: datetime
    findings: frozenset[str] = frozenset()
    waived: frozenset[str] = frozenset()
    droplets: Mapping[int, str] = field(default_factory=dict)
    ephemeral: frozenset[int] = frozenset()

    def compare(
        self, results: Iterable[Line], droplets: Mapping[int, Line], there: Container[int]
    ) -> dict[str, Any]:
        """Return what changed: the summary line's ``baseline``.

        ``droplets`` are those of the record, ``there`` all that could have been in it.

        A finding is ``fixed`` only where the same check passed, or no longer applies, on the same
        Droplet; what was not judged this time is neither fixed nor still there. Ephemeral
        Droplets that came or went are listed apart: nobody did that.
        """
        new: list[str] = []
        still: list[str] = []
        newly_waived: list[str] = []
        fixed: list[Line] = []
        for line in results:
            name = line["fingerprint"]
            if line["verdict"] == "fail":
                (still if name in self.findings else new).append(name)
            elif line["verdict"] == "waived" and name not in self.waived:
                newly_waived.append(name)
            elif line["verdict"] in {"pass", "notapplicable"} and name in self.findings:
                fixed.append(
                    {
                        "check": line["check"],
                        "droplet_id": line["droplet_id"],
                        "droplet_name": self.droplets.get(line["droplet_id"]),
                    }
                )
        came = [line for i, line in droplets.items() if i not in self.droplets]
        went = [i for i in self.droplets if i not in there]
        return {
            "recorded_at": self.judged_at.isoformat().replace("+00:00", "Z"),
            "new": new,
            "still": still,
            "fixed": fixed,
            "newly_waived": newly_waived,
            "droplets_added": [d["name"] for d in came if not d.get("ephemeral")],
            "droplets_gone": [self.droplets[i] for i in went if i not in self.ephemeral],
            "ephemeral_added": [d["name"] for d in came if d.get("ephemeral")],
            "ephemeral_gone": [self.droplets[i] for i in went if i in self.ephemeral],
        }


def load_baseline(path: Path) -> Baseline:
    """Read an earlier record.

    Raises:
        BaselineError: The text names the file and what is wrong with it.
    """
    judged_at = datetime.min.replace(tzinfo=UTC)
    findings: set[str] = set()
    waived: set[str] = set()
    droplets: dict[int, str] = {}
    ephemeral: set[int] = set()
    try:
        for line in read_record(path):
            match line:
                case {"type": "header"}:
                    judged_at = datetime.fromisoformat(line["judged_at"])
                case {"type": "droplet"}:
                    droplets[line["id"]] = line["name"]
                    ephemeral.update([line["id"]] if line.get("ephemeral") else ())
                case {"type": "result", "verdict": "fail"}:
                    findings.add(line["fingerprint"])
                case {"type": "result", "verdict": "waived"}:
                    waived.add(line["fingerprint"])
    except (KeyError, TypeError, ValueError) as exc:
        raise not_a_record(path, exc) from None
    return Baseline(
        judged_at, frozenset(findings), frozenset(waived), droplets, frozenset(ephemeral)
    )


def read_record(path: Path) -> Iterator[Line]:
    """Read a record line by line: that of ten thousand Droplets has half a million.

    Raises:
        BaselineError: It cannot be read, is no record, is of another schema version, or, found
            at its end, was cut.
    """
    kind = ""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, text in enumerate(file, 1):
                line = _line(path, number, text)
                if kind == "summary" or (number > 1 and line["type"] == "header"):
                    raise BaselineError(
                        f"{path}:{number}: a second record begins here; join records by `merge`"
                    )
                kind = line["type"]
                yield line
    except (OSError, UnicodeDecodeError) as exc:
        raise BaselineError(f"{path}: the record cannot be read: {exc}") from None
    if not kind:
        raise BaselineError(f"{path}: {_HEADLESS}")
    if kind != "summary":
        raise BaselineError(f"{path}: {_CUT}")


def parse_line(text: str) -> Line:
    """Parse a line of a record; secrets that an earlier version left in it are masked.

    Raises:
        ValueError: It is no JSON (RecursionError: it is nested too deeply).
    """
    line: Line = json.loads(text)
    return line if redact(text) == text else redact_json(line)


def not_a_record(path: Path, exc: Exception) -> BaselineError:
    """Return the error of a record whose lines lack what they must have."""
    if isinstance(exc, BaselineError):
        return exc
    what = " ".join(f"{type(exc).__name__}: {exc}".split())
    return BaselineError(f"{path}: not a record of pytest-droplet ({what})")


_HEADLESS = "not a record of pytest-droplet: it has no header line"
_CUT = "the record was cut: it has no summary line; run again"


def _line(path: Path, number: int, text: str) -> Line:
    try:
        line = parse_line(text)
        kind = line["type"]
    except (ValueError, TypeError, KeyError, RecursionError):
        if number > 1 and not text.endswith("\n"):
            raise BaselineError(f"{path}: {_CUT}") from None
        raise BaselineError(f"{path}:{number}: not a line of a record") from None
    if number == 1 and kind != "header":
        raise BaselineError(f"{path}: {_HEADLESS}")
    if number == 1 and line.get("schema") != SCHEMA:
        raise BaselineError(
            f"{path}: a record of schema {line.get('schema')!r}; this version reads {SCHEMA}"
        )
    return dict(line)
