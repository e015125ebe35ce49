"""The document of record: one JSON object a line, written as verdicts come; what a line holds.

Each type of line is a ``TypedDict`` that says the same as ``data/record.schema.json``. Times are
RFC 3339 in UTC. Readers pass over types and fields that they do not know.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal, NotRequired, TypedDict, cast

from pytest_droplet.catalogue import Check, CheckDoc, identity
from pytest_droplet.controls import Controls
from pytest_droplet.coverage import Coverage, CoverageEntry
from pytest_droplet.files import Draft, owner_only
from pytest_droplet.model import (
    AccountKey,
    Droplet,
    Evidence,
    HostReading,
    HostState,
    Reading,
    Verdict,
)
from pytest_droplet.redact import redact, redact_json
from pytest_droplet.words import Outcome, Severity

SCHEMA: Literal[1] = 1
ENDED = "the run ended before it was read"


class Tool(TypedDict):
    """What wrote the record."""

    name: Literal["pytest-droplet"]
    version: str


class Replay(TypedDict):
    """The recording that was judged; ``source`` is its name."""

    recorded_at: str
    source: str


class CheckEntry(TypedDict):
    """The page of a check; ``guide`` is the number of the recommendation, from 1 to 10.

    ``title`` says what holds on a pass, ``finding`` what is wrong on a failure, where the check
    says so. ``controls`` has the ids of the requirements that ask for it, by framework.
    """

    id: str
    title: str
    finding: NotRequired[str]
    severity: Severity
    family: str
    profiles: list[str]
    guide: int | None
    references: str
    rationale: str
    remediation: str
    controls: NotRequired[dict[str, list[str]]]


class KeyEntry(TypedDict):
    """A key of the account; ``fingerprint`` is the MD5 that the API gives."""

    id: int
    name: str
    fingerprint: str


class KeysEntry(TypedDict):
    """The keys of the account; ``missing`` is why there is no value."""

    source: str
    observed_at: str
    value: list[KeyEntry] | None
    missing: str | None


class FirewallEntry(TypedDict):
    """A Cloud Firewall without its rules."""

    id: str
    name: str
    status: str
    droplet_ids: list[int]
    tags: list[str]


class FirewallsEntry(TypedDict):
    """The Cloud Firewalls of the account; ``missing`` is why there is no value."""

    source: str
    observed_at: str
    value: list[FirewallEntry] | None
    missing: str | None


class AccountEntry(TypedDict):
    """What the checks of the account are judged again from; ``droplets`` are the ids of all.

    ``id`` is that of the account or team, where it is known.
    """

    droplets: list[int]
    keys: KeysEntry
    firewalls: FirewallsEntry
    settings: dict[str, Any]
    id: NotRequired[str]


class MergedEntry(TypedDict):
    """A record that was joined into this one."""

    file: str
    judged_at: str
    finished_at: str


class KnownEntry(TypedDict):
    """One of several accounts: the ids of all its Droplets, and its own where it is known."""

    droplets: list[int]
    id: NotRequired[str]


class NarrowedEntry(TypedDict):
    """An option of pytest that left tests out; ``source``: an ini file, or ``command line``."""

    option: str
    value: str
    source: str


class HeaderLine(TypedDict):
    """The first line: what was asked of whom, and the page of every selected check.

    ``accounts`` stands instead of ``account`` where there are several; ``sla`` has the days that
    findings may be open, by severity.
    """

    type: Literal["header"]
    schema: Literal[1]
    tool: Tool
    versions: dict[str, str]
    selector: list[str]
    profile: list[str]
    started_at: str
    judged_at: str
    replay: Replay | None
    endpoint: str
    options: dict[str, str | int]
    checks: list[CheckEntry]
    account: NotRequired[AccountEntry]
    accounts: NotRequired[list[KnownEntry]]
    sla: NotRequired[dict[Severity, int]]
    narrowed: NotRequired[list[NarrowedEntry]]
    frameworks: NotRequired[dict[str, str]]
    merged: NotRequired[list[MergedEntry]]


class AddressEntry(TypedDict):
    """An address of a Droplet."""

    ip: str
    version: Literal[4, 6]
    kind: Literal["public", "private", "reserved"]


class ConnectionEntry(TypedDict):
    """How a host was read; ``root``: as uid 0."""

    address: str
    port: int
    user: str
    root: bool


class RowEntry(TypedDict):
    """A fact that the checks of the account need; ``missing`` is why there is no value."""

    source: str
    observed_at: str
    value: Any
    missing: str | None


class DropletLine(TypedDict):
    """One selected Droplet: who it is, and whether and how it was read."""

    type: Literal["droplet"]
    id: int
    name: str
    urn: str
    tags: list[str]
    region: str
    size: str
    vpc: str | None
    image: str | None
    addresses: list[AddressEntry]
    status: str
    ephemeral: NotRequired[str | None]
    owner: NotRequired[str]
    distribution: str | None
    coverage: HostState
    reason: str
    connection: ConnectionEntry | None
    rows: dict[str, RowEntry]


class EvidenceEntry(TypedDict):
    """A fact that a result rests on."""

    fact: str
    source: str
    observed_at: str
    value: str


class AcceptedEntry(TypedDict):
    """The waiver that accepts a finding, or has expired; ``number`` is its place in the file."""

    number: int
    reason: str
    expires: str
    owner: str
    ticket: str
    expired: bool
    unknown: NotRequired[Literal[True]]


class Finding(TypedDict):
    """What of a result the terminal shows at the end of a run.

    ``first_seen`` stands with a finding, with one that could not be judged this time
    (``last_verdict`` and ``last_judged`` say what it was, and when), and with one that is gone
    (``fixed_at``). ``due`` is the last day on which it may be open.
    """

    type: Literal["result"]
    check: str
    droplet_id: int | None
    verdict: Outcome
    severity: Severity
    message: str
    caused_by: str | None
    waiver: AcceptedEntry | None
    gated: bool
    duration_s: float
    title: NotRequired[str]
    finding: NotRequired[str]
    remediation: NotRequired[str]
    source_line: NotRequired[int]
    unreached: NotRequired[Literal[True]]
    first_seen: NotRequired[str]
    age_days: NotRequired[int]
    due: NotRequired[str]
    reopened: NotRequired[Literal[True]]
    fixed_at: NotRequired[str]
    last_verdict: NotRequired[Outcome]
    last_judged: NotRequired[str]


class ResultLine(Finding):
    """One verdict; ``droplet_id`` is None for the account.

    ``details`` has, by the name of a fact, what of it a finding is about, as JSON objects;
    ``left_out`` how many more there were.
    """

    evidence: list[EvidenceEntry]
    fingerprint: str
    nodeid: str
    details: NotRequired[dict[str, list[dict[str, Any]]]]
    left_out: NotRequired[dict[str, int]]
    traceback: NotRequired[str]


class EvidenceLine(TypedDict):
    """A fact of one Droplet whole, where a result that is not passed shows a part of it.

    ``value`` is all that the fact lists, or its text; ``left_out`` is how many items, or
    characters, more there were than a line holds.
    """

    type: Literal["evidence"]
    droplet_id: int
    fact: str
    source: str
    observed_at: str
    value: list[dict[str, Any]] | str
    left_out: NotRequired[int]


class CarriedLine(TypedDict):
    """A finding of an earlier record that this one has no result of; fields as in results."""

    type: Literal["carried"]
    check: str
    droplet_id: int | None
    severity: Severity
    fingerprint: str
    first_seen: str
    age_days: NotRequired[int]
    due: NotRequired[str]
    reopened: NotRequired[Literal[True]]
    fixed_at: NotRequired[str]
    last_verdict: Outcome
    last_judged: str


class OwnerEntry(TypedDict):
    """The key of the account that an authorized key is."""

    id: int
    name: str


class PlaceEntry(TypedDict):
    """A line of a file of authorized keys; ``options`` are joined by commas."""

    droplet_id: int
    user: str
    file: str
    line: int
    comment: str
    options: str


class KeyLine(TypedDict):
    """One key that may log in somewhere; ``fingerprint`` is its SHA256.

    ``known`` is None where the account's keys were not observed.
    """

    type: Literal["key"]
    fingerprint: str
    md5: str | None
    key_type: str | None
    bits: int | None
    account_key: OwnerEntry | None
    known: bool | None
    where: list[PlaceEntry]


WaiverState = Literal["used", "expired", "unused", "not-judged", "no-check"]


class WaiverEntry(TypedDict):
    """A waiver of the file; ``select`` is the selector of its Droplets."""

    check: str
    select: str
    reason: str
    expires: str
    owner: str
    ticket: str
    state: WaiverState


class FixedEntry(TypedDict):
    """A finding of the baseline that is gone; ``droplet_name`` is the baseline's."""

    check: str
    droplet_id: int | None
    droplet_name: str | None


class BaselineEntry(TypedDict):
    """What has changed since an earlier record: fingerprints of findings, names of Droplets."""

    recorded_at: str
    new: list[str]
    still: list[str]
    fixed: list[FixedEntry]
    newly_waived: list[str]
    droplets_added: list[str]
    droplets_gone: list[str]
    ephemeral_added: NotRequired[list[str]]
    ephemeral_gone: NotRequired[list[str]]


class SummaryLine(TypedDict):
    """The last line; a record without it was cut.

    ``not_run`` is the number of tests that a run which was stopped left out.
    """

    type: Literal["summary"]
    finished_at: str
    duration_s: float
    counts: dict[Outcome, int]
    coverage: CoverageEntry
    exit_code: int
    waivers: list[WaiverEntry]
    not_run: NotRequired[int]
    baseline: NotRequired[BaselineEntry]


Line = HeaderLine | DropletLine | KeyLine | EvidenceLine | ResultLine | CarriedLine | SummaryLine


class RecordError(ValueError):
    """A record cannot be read, is none, is cut, or is of another schema: one line."""


_LEFT_OUT = frozenset({"evidence", "details", "left_out", "traceback", "fingerprint", "nodeid"})
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Record:
    """Writes the lines of one run, and keeps what the terminal shows at the end.

    It is written as ``PATH.part`` and put to its place with its last line. Every line is flushed
    when it is written, so that a run that is killed loses none of them; a record without a
    ``summary`` line was cut.

    Attributes:
        findings: Result lines that are neither ``pass`` nor ``notapplicable``, without what only
            the file holds.
        counts: Number of results by verdict.
        checks: Ids of the checks that have a result.
        droplets: Droplet lines by id.
        broken: Of checks that broke the first traceback, by check and message.
        carried: Open findings of an earlier record that have no result in this one.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the file; without a path the lines go to a temporary file.

        Raises:
            OSError: The folder of the path cannot be made, or the file cannot be written, as by
                another run that is writing it.
        """
        self.path = path
        self._file: IO[bytes]
        self._draft: Draft | None = None
        if path is None:
            self._file = tempfile.TemporaryFile(prefix="droplet-")  # noqa: SIM115
        else:
            self._draft = Draft(path, private=True)
            self._draft.clear_place()
            self._file = open(self._draft.path, "w+b", opener=owner_only)  # noqa: SIM115
        self.findings: list[Finding] = []
        self.counts: Counter[Outcome] = Counter()
        self.checks: set[str] = set()
        self.droplets: dict[int, DropletLine] = {}
        self.broken: dict[tuple[str, str], str] = {}
        self.carried: list[CarriedLine] = []

    def add(self, line: Line) -> None:
        """Write one line; with the summary, which is the last, the file is put to its place."""
        self._file.write(_encode(line).encode("ascii") + b"\n")
        self._file.flush()
        if line["type"] == "result":
            self.counts[line["verdict"]] += 1
            self.checks.add(line["check"])
            if line["verdict"] not in {"pass", "notapplicable"}:
                shown = {k: v for k, v in line.items() if k not in _LEFT_OUT}
                self.findings.append(cast("Finding", shown))
            if line["verdict"] == "error":
                key = line["check"], line["message"]
                self.broken.setdefault(key, line.get("traceback", ""))
        elif line["type"] == "droplet":
            self.droplets[line["id"]] = line
        elif line["type"] == "carried" and "fixed_at" not in line:
            self.carried.append(line)
        elif line["type"] == "summary" and self._draft is not None:
            self._draft.put()

    def lines(self) -> Iterator[Line]:
        """Read all lines again, from the first."""
        self._file.flush()
        self._file.seek(0)
        for text in self._file:
            yield json.loads(text)
        self._file.seek(0, 2)

    def digest(self) -> str:
        """Return the SHA-256 of the file as it is now, in hex digits."""
        self._file.flush()
        self._file.seek(0)
        found = hashlib.sha256()
        for line in self._file:
            found.update(line)
        self._file.seek(0, 2)
        return found.hexdigest()

    def close(self) -> None:
        """Close the file; a temporary one is gone then, one without a summary stays beside."""
        if self._draft is not None:
            self._draft.leave()
        self._file.close()


def header_line(
    *,
    versions: Mapping[str, str],
    selector: Iterable[str],
    profiles: Iterable[str],
    started_at: datetime,
    judged_at: datetime,
    replay: Replay | None,
    endpoint: str,
    options: Mapping[str, str | int],
    checks: Iterable[CheckEntry],
    account: AccountEntry,
    narrowed: Sequence[NarrowedEntry] = (),
    frameworks: Mapping[str, str],
    sla: Mapping[Severity, int] = MappingProxyType({}),
) -> HeaderLine:
    """Return the first line: what was asked of whom, and the page of every selected check.

    ``frameworks`` are the titles of those of the site, by name.
    """
    line: HeaderLine = {
        "type": "header",
        "schema": SCHEMA,
        "tool": {"name": "pytest-droplet", "version": versions["pytest-droplet"]},
        "versions": dict(versions),
        "selector": list(selector),
        "profile": sorted(profiles),
        "started_at": iso(started_at),
        "judged_at": iso(judged_at),
        "replay": replay,
        "endpoint": endpoint,
        "options": dict(options),
        "checks": list(checks),
        "account": account,
    }
    if narrowed:
        line["narrowed"] = list(narrowed)
    if frameworks:
        line["frameworks"] = dict(frameworks)
    if sla:
        line["sla"] = dict(sla)
    return line


def narrowed_in_words(entries: Iterable[NarrowedEntry]) -> list[str]:
    """Return what narrowed a run, a text for each place that says so: ``tox.ini: --lf``."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        value = entry["value"]
        quoted = f'"{value}"' if len(value.split()) > 1 else value
        source = "the command line" if entry["source"] == "command line" else entry["source"]
        found.setdefault(source, []).append(f"{entry['option']} {quoted}".rstrip())
    return [f"{source}: {' '.join(options)}" for source, options in found.items()]


def check_entry(check: Check, controls: Controls) -> CheckEntry:
    """Return what the reports show of a check beside its verdicts; ``controls`` ask for it."""
    entry: CheckEntry = {
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
    if check.doc.finding:
        entry["finding"] = check.doc.finding
    if controls:
        entry["controls"] = {name: list(ids) for name, ids in controls.items()}
    return entry


def wrong(page: CheckEntry | Finding, messages: Iterable[str]) -> str:
    """Return what heads failures of a check: what it says is wrong, else what was seen.

    Args:
        page: That of the check.
        messages: What was seen, of each failure.
    """
    seen = set(messages)
    if finding := page.get("finding"):
        return finding
    return seen.pop() if len(seen) == 1 else f"does not hold: {page.get('title')}"


def droplet_line(
    droplet: Droplet,
    host: HostReading,
    distribution: str | None,
    rows: Mapping[str, Reading[Any]],
    owner: str = "",
) -> DropletLine:
    """Return the line of one Droplet: who it is, whose, and whether and how it was read."""
    line: DropletLine = {
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
    if owner:
        line["owner"] = owner
    return line


def rows_of(line: DropletLine) -> dict[str, Reading[Any]]:
    """Return the rows of a Droplet line as Readings."""
    return {
        name: Reading(
            row["source"], datetime.fromisoformat(row["observed_at"]), row["value"], row["missing"]
        )
        for name, row in line["rows"].items()
    }


def result_line(
    verdict: Verdict,
    nodeid: str,
    page: CheckDoc | None = None,
    source_line: int | None = None,
    *,
    account_id: str = "",
) -> ResultLine:
    """Return the line of one verdict, on the account of this id (empty: it is not known).

    Where the check is the user's own it has its page, and the line (from 1) in the file of the
    node id that its function begins at. ``unreached`` stands with an unknown whose one reason is
    that the host was not reached.
    """
    line: ResultLine = {
        "type": "result",
        "check": verdict.check,
        "droplet_id": verdict.droplet_id,
        "verdict": verdict.outcome,
        "severity": verdict.severity,
        "message": verdict.message,
        "evidence": [_evidence(e) for e in verdict.evidence],
        "caused_by": verdict.caused_by,
        "waiver": cast("AcceptedEntry | None", verdict.waiver),
        "gated": verdict.below is None,
        "duration_s": round(verdict.duration_s, 6),
        "fingerprint": fingerprint(verdict.check, verdict.droplet_id, account_id),
        "nodeid": nodeid,
    }
    if page is not None:
        line["title"] = page.title
        if page.finding:
            line["finding"] = page.finding
        line["remediation"] = page.remediation
    if source_line is not None:
        line["source_line"] = source_line
    if verdict.details:
        line["details"] = {fact: [*map(dict, items)] for fact, items in verdict.details.items()}
    if verdict.left_out:
        line["left_out"] = dict(verdict.left_out)
    if verdict.traceback is not None:
        line["traceback"] = verdict.traceback
    if verdict.outcome == "unknown" and verdict.unreached:
        line["unreached"] = True
    return line


def evidence_line(
    droplet_id: int, evidence: Evidence, value: list[dict[str, Any]] | str, left_out: int
) -> EvidenceLine:
    """Return the line of a fact that is told whole, or as much of it as a line holds."""
    line: EvidenceLine = {
        "type": "evidence",
        "droplet_id": droplet_id,
        "fact": evidence.fact,
        "source": evidence.source,
        "observed_at": iso(evidence.observed_at),
        "value": value,
    }
    if left_out:
        line["left_out"] = left_out
    return line


def key_lines(
    droplets: Iterable[DropletLine], account: Reading[tuple[AccountKey, ...]]
) -> Iterator[KeyLine]:
    """Yield a line for each key that may log in somewhere, from the rows of the Droplets.

    ``account_key`` names the account's key of the same blob; ``known`` is None where the
    account's keys were not observed.
    """
    listed = {} if account.missing is not None else {k.fingerprint: k for k in account.get()}
    keys: dict[str, KeyLine] = {}
    for droplet in droplets:
        row = droplet["rows"].get("droplet_authorized_keys")
        for entry in (row and row["value"]) or ():
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
            line["where"].append(
                {
                    "droplet_id": droplet["id"],
                    "user": entry["user"],
                    "file": entry["file"],
                    "line": entry["line"],
                    "comment": entry["comment"],
                    "options": ",".join(entry["options"]),
                }
            )
    yield from (keys[name] for name in sorted(keys))


def summary_line(
    *,
    counts: Mapping[Outcome, int],
    coverage: Coverage,
    duration_s: float,
    exit_code: int,
    waivers: list[WaiverEntry],
    not_run: int = 0,
    baseline: BaselineEntry | None = None,
) -> SummaryLine:
    """Return the last line; a record without it was cut."""
    line: SummaryLine = {
        "type": "summary",
        "finished_at": iso(datetime.now(UTC)),
        "duration_s": round(duration_s, 3),
        "counts": dict(counts),
        "coverage": coverage.line,
        "exit_code": exit_code,
        "waivers": waivers,
    }
    if not_run:
        line["not_run"] = not_run
    if baseline is not None:
        line["baseline"] = baseline
    return line


def read_record(path: Path) -> Iterator[Line]:
    """Read a record line by line: that of ten thousand Droplets has half a million.

    Raises:
        RecordError: It cannot be read, is no record, is of another schema version, or, found
            at its end, was cut.
    """
    kind = ""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, text in enumerate(file, 1):
                line = _line(path, number, text)
                if kind == "summary" or (number > 1 and line["type"] == "header"):
                    raise RecordError(
                        f"{path}:{number}: a second record begins here; join records by `merge`"
                    )
                kind = line["type"]
                yield line
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise RecordError(f"{path}: the record cannot be read: {reason}") from None
    if not kind:
        raise RecordError(f"{path}: {_HEADLESS}")
    if kind != "summary":
        raise RecordError(f"{path}: {_CUT}")


def parse_line(text: str) -> Line:
    """Parse a line of a record; secrets that an earlier version left in it are masked.

    Raises:
        ValueError: It is no JSON (RecursionError: it is nested too deeply).
    """
    line: Line = redact_json(json.loads(text))
    return line


def not_a_record(path: Path, exc: Exception) -> RecordError:
    """Return the error of a record whose lines lack what they must have."""
    if isinstance(exc, RecordError):
        return exc
    what = " ".join(f"{type(exc).__name__}: {exc}".split())
    return RecordError(f"{path}: not a record of pytest-droplet ({what})")


def account_id_of(header: HeaderLine) -> str:
    """Return the id of the account that a record is about; empty: it does not tell."""
    account = header.get("account")
    return account.get("id", "") if account else ""


def fingerprint(check: str, droplet_id: int | None, account_id: str = "") -> str:
    """Return what identifies a finding from run to run: 16 hex digits of check and Droplet.

    Of the account it is check and account; ``account_id`` is empty where that is not known. A
    check is known by the oldest id that it had.
    """
    subject = f"account {account_id}".rstrip() if droplet_id is None else droplet_id
    text = f"{identity(check)} {subject}"
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


_HEADLESS = "not a record of pytest-droplet: it has no header line"
_CUT = "the record was cut: it has no summary line; run again"


def _line(path: Path, number: int, text: str) -> Line:
    try:
        line = parse_line(text)
        kind = line["type"]
    except (ValueError, TypeError, KeyError, RecursionError):
        if number > 1 and not text.endswith("\n"):
            raise RecordError(f"{path}: {_CUT}") from None
        raise RecordError(f"{path}:{number}: not a line of a record") from None
    if number > 1:
        return line
    if kind != "header":
        raise RecordError(f"{path}: {_HEADLESS}")
    if (schema := line.get("schema")) != SCHEMA:
        raise RecordError(f"{path}: a record of schema {schema!r}; this version reads {SCHEMA}")
    return line


def _evidence(evidence: Evidence) -> EvidenceEntry:
    return {
        "fact": evidence.fact,
        "source": evidence.source,
        "observed_at": iso(evidence.observed_at),
        "value": evidence.value,
    }


def _row(reading: Reading[Any]) -> RowEntry:
    return {
        "source": reading.source,
        "observed_at": iso(reading.observed_at),
        "value": reading.value,
        "missing": reading.missing,
    }
