"""SARIF 2.1.0: findings for code scanning, in one run for the whole fleet.

A ``fail`` is a result, a ``waived`` one with a suppression; a finding below the gate has the level
``note``. What is ``unknown`` or ``error`` is a notification of the tool, an unreachable Droplet
one for all its checks, and the invocation was then not successful. ``pass`` and ``notapplicable``
are left out: code scanning would show them as alerts.

Limits: GitHub's "SARIF support for code scanning". It tells results apart by
``primaryLocationLineHash`` within a file, and all Droplets share the file of a check: the hash is
the finding's fingerprint.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_droplet.record import CheckEntry, ResultLine
from pytest_droplet.report.document import (
    TEXT_LIMIT,
    Document,
    control_tags,
    grouped,
    rank,
    source_of,
)
from pytest_droplet.text import clean, one_line

_RESULTS = 25_000
_GZIPPED_BYTES = 8_000_000  # of the 10 MB that are taken: notifications come behind the results
_NOTIFICATIONS = 1_000
_TAGS = 20  # of a rule; GitHub shows the first 10
_LEVELS = ("error", "error", "warning", "note")
_SCORES = ("9.0", "7.0", "4.0", "2.0")
_KINDS = (
    ("unknown", "A fact was not observed.", "The message says which, and why."),
    ("unreachable", "A Droplet did not answer.", "The message says what was tried."),
    ("check-broke", "A check itself broke.", "Its traceback is in the record."),
    ("incomplete", "The report is not complete.", "The record has what is left out."),
)
_STATES = {"new": "new", "still": "unchanged"}
_URL = re.compile(r"https?://[^\s;,()<>]+")


def write(document: Document, path: Path) -> None:
    """Write the findings, the worst first: at most 25,000, and what is taken once gzipped.

    Raises:
        OSError: The file cannot be written.
    """
    run = {"tool": {"driver": _driver(document)}, "columnKind": "unicodeCodePoints"}
    head = (
        '{"$schema":"https://json.schemastore.org/sarif-2.1.0.json",'
        f'"version":"2.1.0","runs":[{_json(run)[:-1]},"results":['
    )
    gzipped = _Gzipped(head)
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.write(head)
        written = 0
        for line in document.worst({"fail", "waived"}, _RESULTS):
            text = ",\n" * bool(written) + _json(_result(document, line))
            if gzipped.size_with(text) > _GZIPPED_BYTES:
                break
            file.write(text)
            written += 1
        file.write(f'\n],"invocations":[{_json(_invocation(document, written))}]}}]}}\n')


class _Gzipped:
    """How large the file becomes once it is compressed; at the fastest level, so not less."""

    def __init__(self, text: str) -> None:
        self._compressor = zlib.compressobj(1)
        self._size = 0
        self.size_with(text)

    def size_with(self, text: str) -> int:
        """Add text, and return the size in bytes."""
        self._size += len(self._compressor.compress(text.encode("utf-8", "replace")))
        return self._size


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _driver(document: Document) -> dict[str, Any]:
    return {
        "name": "pytest-droplet",
        "version": clean(document.tool_version(), 100) or "0",
        "informationUri": "https://pypi.org/project/pytest-droplet/",
        "rules": [_rule(page) for page in list(document.checks.values())[:_RESULTS]],
        "notifications": [_descriptor(*kind) for kind in _KINDS],
    }


def _descriptor(name: str, text: str, remedy: str) -> dict[str, Any]:
    return {
        "id": name,
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
        "help": {"text": remedy},
    }


def _rule(page: CheckEntry) -> dict[str, Any]:
    title = one_line(page["title"], 1_000)
    remedy = clean(page.get("remediation"), 10_000)
    place = rank(page["severity"])
    guide = [f"guide-{page['guide']}"] if page.get("guide") else []
    tags = ["security", one_line(page["family"], 100), *page.get("profiles", ()), *guide]
    rule: dict[str, Any] = {
        "id": _rule_id(page["id"]),
        "shortDescription": {"text": title},
        "fullDescription": {"text": one_line(page.get("rationale"), 1_000) or title},
        "help": {"text": remedy or title, "markdown": _page(page, remedy)},
        "defaultConfiguration": {"level": _LEVELS[place]},
        "properties": {
            "security-severity": _SCORES[place],
            "tags": [*tags, *control_tags(page, _TAGS - len(tags))],
        },
    }
    if found := _URL.search(page.get("references") or ""):
        rule["helpUri"] = found[0]
    return rule


def _page(page: CheckEntry, remedy: str) -> str:
    parts = [clean(page.get("rationale"), 10_000)]
    if remedy:
        parts.append(f"**Remedy**\n\n{remedy.replace('``', '`')}")
    if references := page.get("references"):
        parts.append(f"**References**\n\n{clean(references, TEXT_LIMIT)}")
    return "\n\n".join(filter(None, parts)) or one_line(page["title"], TEXT_LIMIT)


def _rule_id(check: str) -> str:
    return one_line(check, 255)


def _message(text: str) -> dict[str, str]:
    """Return a message in which no ``[text](target)`` is a link."""
    return {"text": text.replace("](", "] (") or "no message"}


def _result(document: Document, line: ResultLine) -> dict[str, Any]:
    droplet_id, mark = line["droplet_id"], line["fingerprint"]
    droplet = document.droplet(droplet_id)
    name = document.name(droplet_id)
    path, number = source_of(line)
    known = {
        "verdict": line["verdict"],
        "severity": line["severity"],
        "gated": line["gated"],
        "causedBy": line["caused_by"],
        "region": one_line(droplet and droplet["region"], 100) or None,
        "dropletTags": [one_line(tag, 255) for tag in droplet["tags"]] if droplet else None,
        "evidence": [
            {"source": one_line(e["source"], 200), "value": one_line(e["value"], 400)}
            for e in line["evidence"][:10]
        ]
        or None,
    }
    result: dict[str, Any] = {
        "ruleId": _rule_id(line["check"]),
        "level": _LEVELS[rank(line["severity"])] if line["gated"] else "note",
        "message": _message(_said(document, line)),
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(path, errors="replace")},
                    "region": {"startLine": number},
                },
                "logicalLocations": [
                    {
                        "fullyQualifiedName": document.urn(droplet_id),
                        "name": name,
                        "kind": "resource",
                    }
                ],
            }
        ],
        "partialFingerprints": {
            "primaryLocationLineHash": f"{mark}:1",
            "pytestDroplet/v1": mark,
        },
        "properties": {key: value for key, value in known.items() if value is not None},
    }
    if line["verdict"] == "waived" and (waiver := line["waiver"]):
        text = f"{one_line(waiver['reason'], TEXT_LIMIT)} (until {waiver['expires']})"
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": text}
        ]
    if state := _STATES.get(document.change(line) or ""):
        result["baselineState"] = state
    return result


def _said(document: Document, line: ResultLine) -> str:
    seen = f"{document.name(line['droplet_id'])}: {one_line(line['message'], TEXT_LIMIT)}"
    finding = document.checks[line["check"]].get("finding")
    return f"{one_line(finding, 200)}. {seen}" if finding else seen


def _invocation(document: Document, written: int) -> dict[str, Any]:
    notes = list(_notifications(document, written))
    if len(notes) > _NOTIFICATIONS:
        more = len(notes) - _NOTIFICATIONS + 1
        text = f"{more} more notifications are left out: see the record"
        notes[_NOTIFICATIONS - 1 :] = [_note("incomplete", "error", text)]
    summary = document.summary
    left = document.counts.get("unknown") or document.counts.get("error")
    whole = summary is not None and not (left or summary.get("not_run"))
    invocation: dict[str, Any] = {
        "executionSuccessful": whole,
        "toolExecutionNotifications": notes,
    }
    times = {
        "startTimeUtc": document.header.get("started_at"),
        "endTimeUtc": summary and summary["finished_at"],
        "exitCode": summary and summary["exit_code"],
    }
    return invocation | {key: value for key, value in times.items() if value is not None}


def _notifications(document: Document, written: int) -> Iterator[dict[str, Any]]:
    if document.summary is None:
        text = "The run was cut: what is not listed was not looked at."
        yield _note("incomplete", "error", text)
    elif left := document.summary.get("not_run"):
        yield _note("incomplete", "error", f"The run was stopped: {left} tests did not run.")
    found = document.counts.get("fail", 0) + document.counts.get("waived", 0)
    if found > written:
        text = f"{found - written} of {found} findings are left out, the least severe ones."
        yield _note("incomplete", "warning", text)
    for droplet in document.unreachable():
        reason = one_line(droplet["reason"], TEXT_LIMIT) or document.name(droplet["id"])
        yield _note("unreachable", "error", reason, urn=document.urn(droplet["id"]))
    for group in grouped(
        line
        for line in document.results()
        if line["verdict"] in {"unknown", "error"} and document.told_apart(line)
    ):
        text = "; ".join(
            f"{document.name(line['droplet_id'])}: {one_line(line['message'], 300)}"
            for line in group.lines
        )
        more = f"; and {group.count - len(group.lines)} more" * (group.count > len(group.lines))
        broke = group.verdict == "error"
        yield _note(
            "check-broke" if broke else "unknown",
            "error" if broke else "warning",
            f"{one_line(group.check, 255)}: {text}{more}",
            rule=_rule_id(group.check),
        )


def _note(
    kind: str, level: str, text: str, *, rule: str | None = None, urn: str | None = None
) -> dict[str, Any]:
    note: dict[str, Any] = {
        "descriptor": {"id": kind},
        "level": level,
        "message": _message(text),
    }
    if rule is not None:
        note["associatedRule"] = {"id": rule}
    if urn is not None:
        note["locations"] = [
            {"logicalLocations": [{"fullyQualifiedName": urn, "kind": "resource"}]}
        ]
    return note
