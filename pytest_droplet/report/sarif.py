"""SARIF 2.1.0: findings for code scanning, in one run for the whole fleet.

A ``fail`` is a result, a ``waived`` one with a suppression; a finding below the gate has the level
``note``. What is ``unknown`` or ``error`` is a notification of the tool, an unreachable Droplet
one for all its checks, and the invocation was then not successful. ``pass`` and ``notapplicable``
are left out: code scanning would show them as alerts.

A result lies at ``droplets/NAME-ID`` (at ``account`` where it is about the account), and its
check is a related location: some readers know a finding by rule, file and line alone, and all
Droplets share the file of a check. ``primaryLocationLineHash`` is the finding's fingerprint. The
tags of the Droplet are tags of the result. The remedy is the description of a fix, too; its
change, without which there is no fix, changes nothing. A rule has ten tags: after its family the
first id of each framework that asks for it; its help has all of them.

``automationDetails.id`` (GitHub's category) names the account, where it is known, and what was
asked for, so that two runs of which each judges a part do not replace one another.

Limits: GitHub's "SARIF support for code scanning", GitLab's "SARIF reports".
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_droplet.controls import NOTICE
from pytest_droplet.record import CheckEntry, ResultLine, account_id_of
from pytest_droplet.report.document import (
    TEXT_LIMIT,
    Document,
    badness,
    control_tags,
    controls_text,
    grouped,
    of_parameter,
    rank,
    source_of,
    told,
)
from pytest_droplet.text import clean, one_line

_RESULTS = 25_000
_GZIPPED_BYTES = 8_000_000  # of the 10 MB that are taken: notifications come behind the results
_NOTIFICATIONS = 1_000
_TAGS = 10  # of a rule: those of controls come before the profiles
_TEXT = 1_000  # characters of a message and of a description
_NAME = 255  # characters of an id
_ADDRESS = 2_000  # characters of a URL
_LEVELS = ("error", "error", "warning", "note")
_SCORES = ("9.0", "7.0", "4.0", "2.0")
_KINDS = (
    ("unknown", "NotObserved", "A fact was not observed.", "The message says which, and why."),
    ("unreachable", "NoAnswer", "A Droplet did not answer.", "The message says what was tried."),
    ("check-broke", "CheckBroke", "A check itself broke.", "Its traceback is in the record."),
    ("incomplete", "LeftOut", "The report is not complete.", "The record has what is left out."),
)
_STATES = {"new": "new", "still": "unchanged"}
_URL = re.compile(r"https?://[^\s;,()<>]+")


def write(document: Document, path: Path) -> None:
    """Write the findings, the worst first: at most 25,000, and what is taken once gzipped.

    Raises:
        OSError: The file cannot be written.
    """
    run = {
        "tool": {"driver": _driver(document)},
        "automationDetails": _automation(document),
        "columnKind": "unicodeCodePoints",
    }
    head = (
        '{"$schema":"https://json.schemastore.org/sarif-2.1.0.json",'
        f'"version":"2.1.0","runs":[{_json(run)[:-1]},"results":['
    )
    gzipped = _Gzipped(head)
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.write(head)
        written = 0
        for result in _results(document):
            text = ",\n" * bool(written) + _json(result)
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
    version = one_line(document.tool_version(), 100) or "0"
    return {
        "name": "pytest-droplet",
        "fullName": f"pytest-droplet {version}",
        "version": version,
        "informationUri": "https://pypi.org/project/pytest-droplet/",
        "rules": [_rule(page) for page in list(document.checks.values())[:_RESULTS]],
        "notifications": [_descriptor(*kind) for kind in _KINDS],
    }


def _automation(document: Document) -> dict[str, Any]:
    """Return what tells this run apart from others: whose account, and what was asked for."""
    header = document.header
    account = one_line(account_id_of(header), 100)
    shard = header.get("options", {}).get("shard")
    narrowed = (f"{entry['option']} {entry['value']}" for entry in header.get("narrowed", ()))
    asked = [
        ",".join(sorted(header.get("selector", ()))),
        ",".join(sorted(header.get("profile", ()))),
        *([f"shard {shard}"] if shard else []),
        *sorted(narrowed),
    ]
    parts = filter(None, ["pytest-droplet", account, *asked])
    named = "/".join(quote(one_line(part, TEXT_LIMIT), safe=":*,=!") for part in parts)
    several = "merged" in header and not header.get("account")
    unnamed = "several accounts" if several else "an account"
    whose = f"account {account}" if account else unnamed
    return {
        "id": f"{_short(named)}/",
        "description": {"text": one_line(f"Audit of {whose}: {' '.join(asked)}", _TEXT)},
    }


def _short(name: str) -> str:
    """Return a name of at most 255 characters; a digest tells apart what is cut or unprintable."""
    shown = one_line(name, _NAME)
    if shown == name:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return f"{one_line(name, _NAME - 17)}-{digest[:16]}"


def _descriptor(kind: str, name: str, text: str, remedy: str) -> dict[str, Any]:
    return {
        "id": kind,
        "name": name,
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
        "help": {"text": remedy},
    }


def _rule(page: CheckEntry) -> dict[str, Any]:
    title = of_parameter(page, page.get("finding") or page["title"])
    remedy = clean(page.get("remediation"), 10_000)
    place = rank(page["severity"])
    guide = [f"guide-{page['guide']}"] if page.get("guide") else []
    named = [*page.get("profiles", ()), *guide]
    tags = ["security", one_line(page["family"], 100), *control_tags(page, _TAGS), *named]
    rule: dict[str, Any] = {
        "id": _short(page["id"]),
        "name": _pascal(page["id"]),
        "shortDescription": {"text": title},
        "fullDescription": {"text": one_line(page.get("rationale"), _TEXT) or title},
        "help": {"text": remedy or title, "markdown": _page(page, remedy)},
        "defaultConfiguration": {"level": _LEVELS[place]},
        "properties": {
            "security-severity": _SCORES[place],
            "tags": list(dict.fromkeys(tags))[:_TAGS],
        },
    }
    found = _URL.search(page.get("references") or "")
    if found and len(found[0]) <= _ADDRESS:
        rule["helpUri"] = found[0]
    return rule


def _pascal(name: str) -> str:
    """Return an id as the name of a rule: one word, other than the id, ``RootLoginDisabled``."""
    words = re.findall(r"[^\W_]+", name)
    joined = "".join(word[0].upper() + word[1:] for word in words)[: _NAME - 5]
    return joined if joined and joined.casefold() != name.casefold() else f"{joined}Check"


def _page(page: CheckEntry, remedy: str) -> str:
    parts = [f"**What should hold**\n\n{one_line(page['title'], _TEXT)}"]
    parts.append(clean(page.get("rationale"), 10_000))
    if remedy:
        parts.append(f"**Remedy**\n\n{remedy.replace('``', '`')}")
    if references := page.get("references"):
        parts.append(f"**References**\n\n{clean(references, TEXT_LIMIT)}")
    if controls := controls_text(page):
        parts.append(f"**Controls** ({NOTICE})\n\n{clean(controls, TEXT_LIMIT)}")
    return "\n\n".join(filter(None, parts))


def _message(text: str) -> dict[str, str]:
    """Return a message in which no ``[text](target)`` is a link."""
    return {"text": text.replace("](", "] (") or "no message"}


def _results(document: Document) -> Iterator[dict[str, Any]]:
    """Yield the results, the worst first, those of a check together: so they compress well.

    A second result of one check at one place, as of a test that is about the account in each of
    two joined records, is at its next line.
    """
    lines = document.worst({"fail", "waived"}, _RESULTS)
    seen: Counter[tuple[str, str]] = Counter()
    for line in sorted(lines, key=lambda one: (badness(one), one["check"])):
        rule, place = _short(line["check"]), _place(document, line["droplet_id"])
        seen[rule, place] += 1
        yield _result(document, line, rule, place, seen[rule, place])


def _place(document: Document, droplet_id: int | None) -> str:
    """Return where a Droplet's results lie: a path that no two Droplets share."""
    if droplet_id is None:
        return "account"
    return f"droplets/{quote(document.name(droplet_id), safe='', errors='replace')}-{droplet_id}"


def _physical(place: str, number: int) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": place},
        "region": {"startLine": number, "endLine": number},
    }


def _result(
    document: Document, line: ResultLine, rule: str, place: str, number: int
) -> dict[str, Any]:
    droplet_id, mark = line["droplet_id"], line["fingerprint"]
    droplet, page = document.droplet(droplet_id), document.checks[line["check"]]
    name = document.name(droplet_id)
    source, source_line = source_of(line)
    tags = [one_line(tag, 255) for tag in droplet["tags"]] if droplet else []
    known = {
        "verdict": line["verdict"],
        "severity": line["severity"],
        "gated": line["gated"],
        "causedBy": line["caused_by"],
        "region": one_line(droplet and droplet["region"], 100) or None,
        "tags": list(dict.fromkeys(tags)) or None,
        "evidence": [
            {"source": one_line(e["source"], 200), "value": one_line(e["value"], 400)}
            for e in line["evidence"][:10]
        ]
        or None,
    }
    result: dict[str, Any] = {
        "ruleId": rule,
        "level": _LEVELS[rank(line["severity"])] if line["gated"] else "note",
        "message": _message(one_line(f"{name}: {told(page, line)}", _TEXT)),
        "locations": [
            {
                "physicalLocation": _physical(place, number),
                "logicalLocations": [
                    {
                        "fullyQualifiedName": document.urn(droplet_id),
                        "name": name,
                        "kind": "resource",
                    }
                ],
            }
        ],
        "relatedLocations": [
            {
                "id": 1,
                "physicalLocation": _physical(quote(source, errors="replace"), source_line),
                "message": {"text": "the check"},
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
    if remedy := clean(page.get("remediation"), TEXT_LIMIT):
        result["fixes"] = [_fix(remedy, place)]
    return result


def _fix(remedy: str, place: str) -> dict[str, Any]:
    """Return a remedy as a fix, whose change puts nothing in the place of nothing."""
    nothing = {"deletedRegion": {"charOffset": 0, "charLength": 0}}
    return {
        "description": _message(remedy),
        "artifactChanges": [{"artifactLocation": {"uri": place}, "replacements": [nothing]}],
    }


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
            rule=_short(group.check),
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
