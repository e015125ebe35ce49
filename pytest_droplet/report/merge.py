"""One record from many: shards of an account, or several accounts, from their records alone.

A result that several records hold is taken from the newest of them, and so is a Droplet. The
checks of the account are judged again where a record saw a part of it only, from the rows that
the Droplet lines keep; where that cannot be done the worst verdict stays, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_droplet.baseline import Baseline
from pytest_droplet.catalogue import identity, shipped
from pytest_droplet.coverage import Coverage
from pytest_droplet.gate import Gate
from pytest_droplet.record import (
    BaselineEntry,
    DropletLine,
    EvidenceLine,
    HeaderLine,
    KeyLine,
    Record,
    ResultLine,
    SummaryLine,
    WaiverEntry,
    WaiverState,
    account_id_of,
    fingerprint,
    not_a_record,
    parse_line,
    read_record,
    result_line,
    summary_line,
)
from pytest_droplet.report.account import account_of
from pytest_droplet.report.document import badness
from pytest_droplet.verdict import judge_account, shown_message, shown_traceback
from pytest_droplet.waivers import Waiver
from pytest_droplet.words import Severity


@dataclass(frozen=True)
class Asked:
    """What the joined record is held against.

    Attributes:
        baseline: An earlier record.
        least: Findings of a lesser severity do not fail.
        new_only: Nor do those that the baseline had.
        min_coverage: Percent of the Droplets that must have been reached.
        unknown_fails: Whether an unknown fails, as ``--droplets-unknown`` has it.
    """

    baseline: Baseline | None = None
    least: Severity = "low"
    new_only: bool = False
    min_coverage: int = 100
    unknown_fails: bool = True


@dataclass(frozen=True)
class Part:
    """One of the records: all but its results, which are read again where they are needed."""

    path: Path
    header: HeaderLine
    droplets: Mapping[int, DropletLine]
    keys: Sequence[KeyLine]
    of_account: Sequence[ResultLine]
    has_results: bool
    summary: SummaryLine

    @classmethod
    def load(cls, path: Path) -> Part:
        """Read a record.

        Raises:
            RecordError: It is no whole record of this schema; one line.
        """
        header = cast("HeaderLine", {})
        summary = cast("SummaryLine", {})
        droplets: dict[int, DropletLine] = {}
        keys: list[KeyLine] = []
        of_account: list[ResultLine] = []
        has_results = False
        try:
            for line in read_record(path):
                match line["type"]:
                    case "result" if _is_of_account(line):
                        of_account.append(_shown(line))
                    case "result":
                        has_results = True
                    case "droplet":
                        droplets[line["id"]] = line
                    case "key":
                        keys.append(line)
                    case "header":
                        header = line
                    case "summary":
                        summary = line
            part = cls(path, header, droplets, keys, of_account, has_results, summary)
            part.age, part.summary["exit_code"]
        except (KeyError, TypeError, ValueError) as exc:
            raise not_a_record(path, exc) from None
        return part

    @cached_property
    def age(self) -> tuple[datetime, datetime]:
        """What tells the newer of two records: when it was judged, then when it began."""
        times = self.header["judged_at"], self.header["started_at"]
        return datetime.fromisoformat(times[0]), datetime.fromisoformat(times[1])

    @property
    def account_id(self) -> str:
        """The id of the account; empty where the record does not tell."""
        return account_id_of(self.header)

    @property
    def account_ids(self) -> frozenset[int]:
        """The ids of all Droplets of the account; none where the record does not tell."""
        account = self.header.get("account")
        return frozenset(account["droplets"] if account else ())

    @property
    def covers_account(self) -> bool:
        """Whether each Droplet of the account was selected."""
        return bool(self.account_ids) and self.account_ids <= self.droplets.keys()

    def mark(self, line: ResultLine, account_id: str) -> str:
        """Return the fingerprint that a result has in records that know the account by this id."""
        if line["droplet_id"] is not None or self.account_id == account_id:
            return line["fingerprint"]
        return fingerprint(line["check"], None, account_id)

    def results(self) -> Iterator[ResultLine | EvidenceLine]:
        """Read the results again, without those of the account, with their evidence."""
        with self.path.open(encoding="utf-8") as file:
            for text in file:
                line = parse_line(text)
                if line["type"] == "result" and not _is_of_account(line):
                    yield _shown(line)
                elif line["type"] == "evidence":
                    yield line


def load(paths: Iterable[Path]) -> list[Part]:
    """Read records, and return them with the newest first; of two as old the last one named.

    Raises:
        RecordError: One of them is no whole record of this schema.
        pytest.UsageError: The run of one did not come to its end, or none of them has a result.
    """
    named = [Part.load(path) for path in paths]
    parts = sorted(named, key=lambda part: part.age)[::-1]
    for part in parts:
        if (code := part.summary["exit_code"]) not in _WHOLE:
            raise pytest.UsageError(
                f"{part.path}: the run did not come to its end (exit code {code}); run it again"
            )
        if left := part.summary.get("not_run"):
            raise pytest.UsageError(
                f"{part.path}: the run was stopped, {left} tests did not run; run it again"
            )
    if not any(part.has_results or part.of_account for part in parts):
        raise pytest.UsageError("nothing was judged: the records have no results")
    return parts


def join(parts: Sequence[Part], record: Record, asked: Asked) -> SummaryLine:
    """Write the lines of all parts as one record, with the gate of ``asked`` and its exit code.

    Returns:
        The last line.
    """
    waivers = _waivers(parts)
    gate = Gate(
        today=parts[0].age[0].date(),
        waivers=tuple(_waiver(line) for line in waivers),
        least=asked.least,
        new_only=asked.new_only,
        baseline=asked.baseline,
    )
    owners: dict[int, Part] = {i: p for p in reversed(parts) for i in p.droplets}
    record.add(_header(parts, asked))
    for droplet_id, part in sorted(owners.items(), key=lambda item: item[0]):
        record.add(part.droplets[droplet_id])
    for line in _results(parts, gate):
        record.add(line)
    for key in _keys(parts, owners):
        record.add(key)
    seen = Coverage.of(record.droplets.values(), asked.min_coverage)
    changes: BaselineEntry | None = None
    if asked.baseline is not None:
        results = (line for line in record.lines() if line["type"] == "result")
        changes = asked.baseline.compare(results, record.droplets, record.droplets)
    summary = summary_line(
        counts=record.counts,
        coverage=seen,
        duration_s=max(part.summary["duration_s"] for part in parts),
        exit_code=_exit_code(record, seen, asked),
        waivers=waivers,
        baseline=changes,
    )
    record.add(summary)
    return summary


_WHOLE = frozenset(
    {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
)


def _shown(line: ResultLine) -> ResultLine:
    """Return a result with texts that are bounded: an earlier version may not have done so."""
    line["message"] = shown_message(line["message"])
    if trace := line.get("traceback"):
        line["traceback"] = shown_traceback(trace)
    return line


def _is_of_account(line: ResultLine) -> bool:
    return line["droplet_id"] is None and "::" not in line["check"]


def _results(parts: Sequence[Part], gate: Gate) -> Iterator[ResultLine | EvidenceLine]:
    """Yield each result once, from the newest record that has it; the account's come last.

    So with the evidence of each fact of a Droplet.
    """
    seen: set[str] = set()
    told: set[tuple[int, str]] = set()
    ids = {id(part): _account_id(account) for account in _accounts(parts) for part in account}
    for part in parts:
        marks: set[str] = set()
        for line in part.results():
            if line["type"] == "evidence":
                fact = line["droplet_id"], line["fact"]
                if fact not in told:
                    told.add(fact)
                    yield line
                continue
            mark = part.mark(line, ids[id(part)])
            marks.add(mark)
            if mark not in seen:
                yield _gated(line, gate)
        seen |= marks
    for line in _of_account(parts, gate):
        yield _gated(line, gate)


def _gated(line: ResultLine, gate: Gate) -> ResultLine:
    if line["verdict"] != "fail":
        return line
    why = gate.below(line["check"], line["droplet_id"], line["severity"], line["fingerprint"])
    return line | {"gated": why is None}


def _of_account(parts: Sequence[Part], gate: Gate) -> Iterator[ResultLine]:
    found: dict[str, list[ResultLine]] = {}
    for account in _accounts(parts):
        for judges in _by_check(account):
            line = _judged(judges, gate)
            found.setdefault(identity(line["check"]), []).append(line)
    for lines in found.values():
        yield lines[0] if len(lines) == 1 else _worst_account(lines)


def _by_check(account: Sequence[Part]) -> Iterable[Sequence[tuple[Part, ResultLine]]]:
    """Return what the records of one account say of each check, by whichever of its ids.

    The newest comes first. A record that does not tell its account has one result a check.
    """
    account_id = _account_id(account)
    found: dict[str, list[tuple[Part, ResultLine]]] = {}
    for part in account:
        for line in part.of_account:
            mark = part.mark(line, account_id) if part.account_ids else identity(line["check"])
            found.setdefault(mark, []).append((part, line))
    return found.values()


def _account_id(account: Iterable[Part]) -> str:
    """Return the id of the account that records are about; empty: none of them tells."""
    return next((part.account_id for part in account if part.account_id), "")


def _accounts(parts: Sequence[Part]) -> list[list[Part]]:
    """Group records by account: by its id, or Droplets in common; so are those that do not tell."""
    groups: list[tuple[frozenset[int | str], list[Part]]] = []
    for part in parts:
        ids: frozenset[int | str] = part.account_ids | {*filter(None, [part.account_id])}
        members = [part]
        rest = []
        for known, others in groups:
            if known & ids or (not known and not ids):
                ids, members = ids | known, [*others, *members]
            else:
                rest.append((known, others))
        groups = [*rest, (ids, members)]
    return [sorted(members, key=lambda p: p.age, reverse=True) for _, members in groups]


def _judged(found: Sequence[tuple[Part, ResultLine]], gate: Gate) -> ResultLine:
    """Return the account's verdict of one check, from what the records of one account say."""
    judges = [part for part, _ in found]
    lines = [line for _, line in found]
    known, newest = shipped().get(lines[0]["check"]), judges[0]
    if (
        len(judges) == 1
        or newest.covers_account
        or (known is not None and not (known.rows or known.may_use))
    ):
        return lines[0]
    if known is not None and newest.account_ids:
        droplets = {i: line for part in reversed(judges) for i, line in part.droplets.items()}
        seen = account_of(newest.header, droplets.values(), newest.age[0])
        account_id = _account_id(judges)
        gate = replace(gate, account_id=account_id)
        verdict = gate.settle(judge_account(known, seen), None)
        return result_line(verdict, lines[0]["nodeid"], account_id=account_id)
    worst = min(lines, key=badness)
    note = f"judged in {len(judges)} parts, not on the account as a whole"
    if worst["verdict"] == "pass":
        return worst | {"verdict": "unknown", "message": f"{note}; run it without shards"}
    return worst | {"message": shown_message(f"{worst['message']} ({note})")}


def _worst_account(lines: Sequence[ResultLine]) -> ResultLine:
    """Return one line for the verdicts of several accounts: the worst, with all that is not well."""
    worst = min(lines, key=lambda line: (badness(line), line["fingerprint"]))
    bad = [line for line in lines if line["verdict"] == worst["verdict"]]
    text = "; ".join(dict.fromkeys(line["message"] for line in bad if line["message"]))
    count = f"{len(bad)} of {len(lines)} accounts: " if text else ""
    evidence = [fact for line in lines for fact in line["evidence"]]
    joined = worst | {"message": shown_message(f"{count}{text}"), "evidence": evidence}
    details: dict[str, list[dict[str, Any]]] = {}
    for line in bad:
        for fact, items in line.get("details", {}).items():
            details.setdefault(fact, []).extend(items)
    if details:
        joined["details"] = details
    return joined


def _header(parts: Sequence[Part], asked: Asked) -> HeaderLine:
    """Return the newest record's header, with what the others had beside it."""
    newest = parts[0].header
    accounts = _accounts(parts)
    headers = [part.header for part in parts]
    options = {
        name: value
        for name, value in newest["options"].items()
        if all(header["options"].get(name) == value for header in headers)
    }
    header: HeaderLine = newest | {
        "selector": _union(header["selector"] for header in headers),
        "profile": sorted(_union(header["profile"] for header in headers)),
        "started_at": min(header["started_at"] for header in headers),
        "replay": next((h["replay"] for h in headers if h["replay"]), None),
        "endpoint": ", ".join(_union([header["endpoint"]] for header in headers)),
        "options": options
        | {
            "unknown": "fail" if asked.unknown_fails else "skip",
            "min-coverage": asked.min_coverage,
            "fail-on": asked.least + (",new" if asked.new_only else ""),
        },
        "checks": list({c["id"]: c for h in reversed(headers) for c in h["checks"]}.values()),
        "merged": [
            {
                "file": part.path.name,
                "judged_at": part.header["judged_at"],
                "finished_at": part.summary["finished_at"],
            }
            for part in parts
        ],
    }
    account = header.pop("account", None)
    if account and len(accounts) == 1:
        known = _account_id(parts)
        header["account"] = account | {"id": known} if known else account
    narrowed = [entry for part in headers for entry in part.get("narrowed", ())]
    if narrowed:
        header["narrowed"] = [e for i, e in enumerate(narrowed) if e not in narrowed[:i]]
    return header


def _union(lists: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(text for texts in lists for text in texts))


def _keys(parts: Sequence[Part], owners: Mapping[int, Part]) -> Iterator[KeyLine]:
    """Yield each key once, with the places on the Droplets of the record that each is taken from."""
    keys: dict[str, KeyLine] = {}
    for part in parts:
        for line in part.keys:
            where = [w for w in line["where"] if owners.get(w["droplet_id"]) is part]
            if known := keys.get(line["fingerprint"]):
                known["where"] = known["where"] + where
                known["account_key"] = known["account_key"] or line["account_key"]
                known["known"] = _either(known["known"], line["known"])
            elif where:
                keys[line["fingerprint"]] = line | {"where": where}
    return iter(sorted(keys.values(), key=lambda line: str(line["fingerprint"])))


def _either(one: bool | None, two: bool | None) -> bool | None:  # noqa: FBT001 three-valued
    """Return true where one is, else false where one is, else None."""
    return one if two is None else two if one is None else one or two


_STATES: tuple[WaiverState, ...] = ("used", "expired", "unused", "not-judged", "no-check")


def _waivers(parts: Sequence[Part]) -> list[WaiverEntry]:
    """Return every waiver once; it is unused only where no record used it."""
    found: dict[tuple[str, ...], WaiverEntry] = {}
    for part in parts:
        for line in part.summary["waivers"]:
            key = (line["check"], line["select"], line["expires"], line["reason"])
            known = found.setdefault(key, line)
            if _STATES.index(line["state"]) < _STATES.index(known["state"]):
                found[key] = line
    return list(found.values())


def _waiver(line: WaiverEntry) -> Waiver:
    return Waiver(
        check=line["check"],
        reason=line["reason"],
        expires=date.fromisoformat(line["expires"]),
        droplets=line["select"],
        owner=line["owner"] or "",
        ticket=line["ticket"] or "",
    )


def _exit_code(record: Record, seen: Coverage, asked: Asked) -> int:
    """Return the code that a run with these verdicts would have ended with."""
    red = {"error", "unknown"} if asked.unknown_fails else {"error"}
    failed = any(
        line["verdict"] in red or (line["verdict"] == "fail" and line["gated"])
        for line in record.findings
    )
    return int(failed or seen.short)
