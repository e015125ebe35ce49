"""Baselines: an earlier record, what has changed since, and since when findings are open."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_droplet import ages
from pytest_droplet.ages import FOUND, Past, is_judged
from pytest_droplet.record import (
    BaselineEntry,
    CarriedLine,
    DropletLine,
    FixedEntry,
    HeaderLine,
    KnownEntry,
    ResultLine,
    account_id_of,
    fingerprint,
    not_a_record,
    read_record,
)
from pytest_droplet.words import Severity


@dataclass(frozen=True)
class Baseline:
    """What is kept of an earlier record.

    Attributes:
        judged_at: When it was judged.
        findings: Fingerprints of the results that failed, or did when they were last judged.
        waived: Fingerprints of those that were waived.
        droplets: Names of its Droplets, by id.
        ephemeral: Ids of those that a pool or a cluster had made.
        account_id: Id of the account that it is about; empty: it does not tell.
        accounts: The accounts that it is about, with all Droplets of each.
        past: What it knows of findings, open and gone, by fingerprint.
    """

    judged_at: datetime
    findings: frozenset[str] = frozenset()
    waived: frozenset[str] = frozenset()
    droplets: Mapping[int, str] = field(default_factory=dict)
    ephemeral: frozenset[int] = frozenset()
    account_id: str = ""
    accounts: tuple[KnownEntry, ...] = ()
    past: Mapping[str, Past] = field(default_factory=dict)

    def had(self, check: str, droplet_id: int | None, mark: str) -> bool:
        """Whether it had a finding of this fingerprint as failed."""
        return self._is_in(self.findings, check, droplet_id, mark)

    def first_seen(self, check: str, droplet_id: int | None, mark: str) -> datetime | None:
        """Return when a finding that it had was first seen; None: it does not tell."""
        known = self.past.get(self.known_as(self.past, check, droplet_id, mark))
        return None if known is None else known.first_seen

    def known_as(
        self, marks: Container[str], check: str, droplet_id: int | None, mark: str
    ) -> str:
        """Return which of these a finding is; it or they may not have known the account's id."""
        if mark in marks or droplet_id is not None:
            return mark
        unnamed = fingerprint(check, None)
        return fingerprint(check, None, self.account_id) if mark == unnamed else unnamed

    def _is_in(
        self, marks: AbstractSet[str], check: str, droplet_id: int | None, mark: str
    ) -> bool:
        return self.known_as(marks, check, droplet_id, mark) in marks

    def lost(self, droplets: Iterable[int], accounts: Iterable[KnownEntry]) -> frozenset[int]:
        """Return which of these Droplets were in one of these accounts, and are there no more."""
        now = list(accounts)
        there = {i for account in now for i in account["droplets"]}
        alone = len(now) == len(self.accounts) == 1
        same = [
            before
            for before in self.accounts
            if any(_are_one(before, account, alone=alone) for account in now)
        ]
        before = {i for account in same for i in account["droplets"]}
        everything = alone and bool(same)
        return frozenset(i for i in droplets if i not in there and (everything or i in before))

    def compare(
        self,
        results: Iterable[ResultLine],
        droplets: Mapping[int, DropletLine],
        there: Container[int],
        *,
        whole: bool = True,
    ) -> BaselineEntry:
        """Return what changed: the summary line's ``baseline``.

        ``droplets`` are those of the record, ``there`` all that could have been in it; ``whole``
        says that all Droplets of the account were selected.

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
            elif (
                line["verdict"] in {"pass", "notapplicable"}
                and is_judged(line, droplets, whole=whole)
                and self.had(*finding)
            ):
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


def _are_one(before: KnownEntry, now: KnownEntry, *, alone: bool) -> bool:
    """Whether two records tell of one account; where one has no id: by Droplets in common."""
    one, two = before.get("id"), now.get("id")
    if one and two:
        return one == two
    return alone or not set(before["droplets"]).isdisjoint(now["droplets"])


class Chain:
    """What is known of each finding so far: of the records before, and of the results since."""

    def __init__(self, baseline: Baseline | None) -> None:
        self._baseline = baseline or Baseline(datetime.min.replace(tzinfo=UTC))
        self._past: dict[str, Past] = dict(self._baseline.past)
        self._told: set[str] = set()

    def follow(
        self, line: ResultLine, now: datetime, *, judged: bool, own: Past | None = None
    ) -> None:
        """Take up a result of a record that was judged at ``now``.

        Args:
            line: The result.
            now: The time of its record.
            judged: Whether it says that the finding is there, or that it is not.
            own: What the line itself tells, where its record was read again.
        """
        mark, droplet_id = line["fingerprint"], line["droplet_id"]
        is_known = mark in self._past or droplet_id is None or own is not None
        if not is_known and line["verdict"] not in FOUND:
            return
        past = self._take(line["check"], droplet_id, mark)
        known = ages.followed(past, line, own, now) if judged else ages.informed(past, own, now)
        if known is not None:
            self._past[mark] = known

    def inform(self, mark: str, own: Past | None, now: datetime) -> None:
        """Take up what a record of this time tells of a finding that it did not judge."""
        if own is not None:
            past = self._take(own.check, own.droplet_id, mark)
            self._past[mark] = ages.informed(past, own, now) or own

    def _take(self, check: str, droplet_id: int | None, mark: str) -> Past | None:
        return self._past.pop(self._baseline.known_as(self._past, check, droplet_id, mark), None)

    def tell(
        self, line: ResultLine, now: datetime, days: Mapping[Severity, int], *, judged: bool
    ) -> ResultLine:
        """Return a result with the times of its finding; it is not carried then.

        Args:
            line: The result, which was taken up before.
            now: The time of the record that is written.
            days: Days that findings may be open, by severity.
            judged: Whether the result says that the finding is there, or that it is not.
        """
        past = self._past.get(line["fingerprint"])
        if past is None:
            return line
        self._told.add(line["fingerprint"])
        found: Any = line | ages.times(past, now, days)
        if not judged:
            found |= ages.last_judged(past)
        told: ResultLine = found
        return told

    def carried(
        self, now: datetime, days: Mapping[Severity, int], accounts: Iterable[KnownEntry]
    ) -> Iterator[CarriedLine]:
        """Yield the findings that have no result, but of Droplets that these accounts lost."""
        rest = {mark: past for mark, past in self._past.items() if mark not in self._told}
        droplets = {past.droplet_id for past in rest.values()} - {None}
        lost = self._baseline.lost((i for i in droplets if i is not None), accounts)
        for mark, past in rest.items():
            if past.droplet_id not in lost:
                yield ages.carried_line(mark, past, now, days)


def accounts_of(header: HeaderLine) -> tuple[KnownEntry, ...]:
    """Return the accounts that a record is about, as far as it tells."""
    if several := header.get("accounts"):
        return tuple(several)
    account = header.get("account")
    if not account:
        return ()
    known: KnownEntry = {"droplets": account.get("droplets") or []}
    if account.get("id"):
        known["id"] = account["id"]
    return (known,)


def load_baseline(path: Path) -> Baseline:
    """Read an earlier record.

    Raises:
        RecordError: The text names the file and what is wrong with it.
    """
    judged_at = datetime.min.replace(tzinfo=UTC)
    past: dict[str, Past] = {}
    droplets: dict[int, str] = {}
    ephemeral: set[int] = set()
    account_id = ""
    accounts: tuple[KnownEntry, ...] = ()
    try:
        for line in read_record(path):
            match line["type"]:
                case "header":
                    judged_at = ages.time_of(line["judged_at"])
                    account_id = account_id_of(line)
                    accounts = accounts_of(line)
                case "droplet":
                    droplets[line["id"]] = line["name"]
                    ephemeral.update([line["id"]] if line.get("ephemeral") else ())
                case "result" | "carried":
                    mark = line["fingerprint"]
                    if (known := ages.told(line, judged_at)) is not None:
                        past[mark] = known
    except (KeyError, TypeError, ValueError) as exc:
        raise not_a_record(path, exc) from None
    still_open = {mark: known for mark, known in past.items() if known.fixed_at is None}
    return Baseline(
        judged_at,
        frozenset(mark for mark, known in still_open.items() if known.verdict == "fail"),
        frozenset(mark for mark, known in still_open.items() if known.verdict == "waived"),
        droplets,
        frozenset(ephemeral),
        account_id,
        accounts,
        past,
    )
