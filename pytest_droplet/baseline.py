"""Baselines: an earlier record, and what has changed since."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pytest_droplet.record import (
    BaselineEntry,
    DropletLine,
    FixedEntry,
    ResultLine,
    account_id_of,
    fingerprint,
    not_a_record,
    read_record,
)


@dataclass(frozen=True)
class Baseline:
    """What is kept of an earlier record.

    Attributes:
        judged_at: When it was judged.
        findings: Fingerprints of the results that failed.
        waived: Fingerprints of those that were waived.
        droplets: Names of its Droplets, by id.
        ephemeral: Ids of those that a pool or a cluster had made.
        account_id: Id of the account that it is about; empty: it does not tell.
    """

    judged_at: datetime
    findings: frozenset[str] = frozenset()
    waived: frozenset[str] = frozenset()
    droplets: Mapping[int, str] = field(default_factory=dict)
    ephemeral: frozenset[int] = frozenset()
    account_id: str = ""

    def had(self, check: str, droplet_id: int | None, mark: str) -> bool:
        """Whether it had a finding of this fingerprint as failed."""
        return self._is_in(self.findings, check, droplet_id, mark)

    def _is_in(
        self, marks: AbstractSet[str], check: str, droplet_id: int | None, mark: str
    ) -> bool:
        """Whether a finding is among these; it or they may not have known the account's id."""
        if mark in marks or droplet_id is not None:
            return mark in marks
        unnamed = fingerprint(check, None)
        if mark == unnamed:
            return fingerprint(check, None, self.account_id) in marks
        return unnamed in marks

    def compare(
        self,
        results: Iterable[ResultLine],
        droplets: Mapping[int, DropletLine],
        there: Container[int],
    ) -> BaselineEntry:
        """Return what changed: the summary line's ``baseline``.

        ``droplets`` are those of the record, ``there`` all that could have been in it.

        A finding is ``fixed`` only where the same check passed, or no longer applies, on the same
        Droplet; what was not judged this time is neither fixed nor still there. Ephemeral
        Droplets that came or went are listed apart: nobody did that.
        """
        new: list[str] = []
        still: list[str] = []
        newly_waived: list[str] = []
        fixed: list[FixedEntry] = []
        for line in results:
            name = line["fingerprint"]
            finding = line["check"], line["droplet_id"], name
            if line["verdict"] == "fail":
                (still if self.had(*finding) else new).append(name)
            elif line["verdict"] == "waived" and not self._is_in(self.waived, *finding):
                newly_waived.append(name)
            elif line["verdict"] in {"pass", "notapplicable"} and self.had(*finding):
                fixed.append(
                    {
                        "check": line["check"],
                        "droplet_id": line["droplet_id"],
                        "droplet_name": self._name(line["droplet_id"]),
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

    def _name(self, droplet_id: int | None) -> str | None:
        return None if droplet_id is None else self.droplets.get(droplet_id)


def load_baseline(path: Path) -> Baseline:
    """Read an earlier record.

    Raises:
        RecordError: The text names the file and what is wrong with it.
    """
    judged_at = datetime.min.replace(tzinfo=UTC)
    findings: set[str] = set()
    waived: set[str] = set()
    droplets: dict[int, str] = {}
    ephemeral: set[int] = set()
    account_id = ""
    try:
        for line in read_record(path):
            match line["type"]:
                case "header":
                    judged_at = datetime.fromisoformat(line["judged_at"])
                    account_id = account_id_of(line)
                case "droplet":
                    droplets[line["id"]] = line["name"]
                    ephemeral.update([line["id"]] if line.get("ephemeral") else ())
                case "result" if line["verdict"] == "fail":
                    findings.add(line["fingerprint"])
                case "result" if line["verdict"] == "waived":
                    waived.add(line["fingerprint"])
    except (KeyError, TypeError, ValueError) as exc:
        raise not_a_record(path, exc) from None
    return Baseline(
        judged_at,
        frozenset(findings),
        frozenset(waived),
        droplets,
        frozenset(ephemeral),
        account_id,
    )
