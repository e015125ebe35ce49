"""Baselines: an earlier record, and what has changed since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_droplet.report.record import SCHEMA, Line


class BaselineError(ValueError):
    """A baseline is no record, is cut, or is of another schema: one line."""


@dataclass(frozen=True)
class Baseline:
    """What is kept of an earlier record.

    Attributes:
        judged_at: When it was judged.
        findings: Results that failed, by fingerprint.
        waived: Fingerprints of those that were waived.
        droplets: Names of its Droplets, by id.
    """

    judged_at: datetime
    findings: Mapping[str, Line] = field(default_factory=dict)
    waived: frozenset[str] = frozenset()
    droplets: Mapping[int, str] = field(default_factory=dict)

    def compare(self, results: Iterable[Line], droplets: Mapping[int, Line]) -> dict[str, Any]:
        """Return what changed: the summary line's ``baseline``.

        A finding is ``fixed`` only where the same check passed, or no longer applies, on the same
        Droplet; what was not judged this time is neither fixed nor still there.
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
        return {
            "recorded_at": self.judged_at.isoformat().replace("+00:00", "Z"),
            "new": new,
            "still": still,
            "fixed": fixed,
            "newly_waived": newly_waived,
            "droplets_added": [d["name"] for i, d in droplets.items() if i not in self.droplets],
            "droplets_gone": [n for i, n in self.droplets.items() if i not in droplets],
        }


def load_baseline(path: Path) -> Baseline:
    """Read an earlier record.

    Raises:
        BaselineError: The text names the file and what is wrong with it.
    """
    lines = read_record(path)
    return Baseline(
        judged_at=datetime.fromisoformat(lines[0]["judged_at"]),
        findings={r["fingerprint"]: r for r in lines if r.get("verdict") == "fail"},
        waived=frozenset(r["fingerprint"] for r in lines if r.get("verdict") == "waived"),
        droplets={r["id"]: r["name"] for r in lines if r["type"] == "droplet"},
    )


def read_record(path: Path) -> list[Line]:
    """Read a whole record.

    Raises:
        BaselineError: It cannot be read, is no record, is of another schema version, or was cut.
    """
    try:
        texts = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise BaselineError(f"{path}: the record cannot be read: {exc}") from None
    lines = []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
            line["type"]
        except (ValueError, TypeError, KeyError):
            raise BaselineError(f"{path}:{number}: not a line of a record") from None
        lines.append(line)
    if not lines or lines[0]["type"] != "header":
        raise BaselineError(f"{path}: not a record of pytest-droplet: it has no header line")
    if lines[0].get("schema") != SCHEMA:
        raise BaselineError(
            f"{path}: a record of schema {lines[0].get('schema')!r}; this version reads {SCHEMA}"
        )
    if lines[-1]["type"] != "summary":
        raise BaselineError(f"{path}: the record was cut: it has no summary line; run again")
    return lines
