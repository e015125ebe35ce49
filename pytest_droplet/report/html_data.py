"""The data of the HTML report: what its template and its script draw, made from the record."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pytest_droplet.record import Line
from pytest_droplet.report.rate import WEIGHTS
from pytest_droplet.tables import RECOMMENDATIONS, VERDICTS
from pytest_droplet.text import printable
from pytest_droplet.words import SEVERITIES

LETTERS: Mapping[str, str] = {kind.name: kind.letter for kind in VERDICTS.values()}
OPEN_LETTERS = [kind.letter for kind in VERDICTS.values() if kind.open]
_TEXT_LIMIT = 4_000
_LONG_LIMIT = 20_000
_CHECK_ID = re.compile(r"[a-z0-9]+\.[a-z0-9-]+(\[.*\])?", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_IMAGE_URI = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,", re.IGNORECASE)
_SCRIPT_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Row:
    """One verdict; check, droplet, message and evidence are indices."""

    check: int
    droplet: int
    verdict: str
    severity: str
    message: int
    evidence: list[int]
    fingerprint: str


@dataclass
class PageData:
    """The data of the page: what repeats is held once and named by its index."""

    header: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    droplets: list[dict[str, Any]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)
    strings: dict[str, int] = field(default_factory=lambda: {"": 0})
    evidence: dict[tuple[int, ...], int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    more: dict[int, dict[str, Any]] = field(default_factory=dict)
    check_index: dict[str, int] = field(default_factory=dict)
    droplet_index: dict[Any, int] = field(default_factory=dict)

    def add(self, record: Line, extras: Mapping[str, list[Any]]) -> None:
        """Take one line of the record; a type that is not known is passed over."""
        line: dict[str, Any] = {k: v for k, v in record.items() if k != "type"}
        match record.get("type"):
            case "header":
                for entry in line.pop("checks", None) or ():
                    self._check(entry["id"], entry)
                self.header = clean(line)
            case "droplet":
                self._add_droplet(line)
            case "key":
                self.keys.append(clean({"where": [], **line}))
            case "result":
                self._add_result(line, extras)
            case "summary":
                self.summary = clean(line)

    def _add_droplet(self, line: dict[str, Any]) -> None:
        rows = line.pop("rows", None) or {}
        index = self._droplet(line["id"])
        self.droplets[index] = clean(line)
        exposed = rows.get("droplet_exposed_ports") or {}
        if isinstance(exposed.get("value"), list):
            self.droplets[index]["ports"] = clean(exposed["value"])
        keys = rows.get("droplet_authorized_keys") or {}
        if line.get("coverage") == "unreachable" or keys.get("missing"):
            self.droplets[index]["keys_unread"] = True

    def _add_result(self, line: dict[str, Any], extras: Mapping[str, list[Any]]) -> None:
        severity = line["severity"] if line.get("severity") in SEVERITIES else "medium"
        own = {
            "title": line.get("title"),
            "finding": line.get("finding"),
            "severity": severity,
            "own": True,
        }
        verdict = LETTERS.get(str(line.get("verdict")), "u")
        nodeid = str(line.get("nodeid") or "")
        details = {
            "caused_by": line.get("caused_by"),
            "waiver": line.get("waiver"),
            "unreached": line.get("unreached"),
            "below": verdict == "f" and line.get("gated") is False,
            "nodeid": nodeid if verdict in OPEN_LETTERS else None,
        }
        more = {name: clean(value) for name, value in details.items() if value}
        if trace := line.get("traceback"):
            more["traceback"] = clean(trace, _LONG_LIMIT)
        if attached := extras.get(nodeid):
            more["extras"] = [_extra(item) for item in attached]
        if more:
            self.more[len(self.rows)] = more
        self.rows.append(
            Row(
                self._check(line["check"], own),
                self._droplet(line.get("droplet_id")),
                verdict,
                severity[0],
                self._string(line.get("message")),
                [self._fact(item) for item in line.get("evidence") or ()],
                str(line.get("fingerprint") or ""),
            )
        )

    def _check(self, check_id: str, entry: Mapping[str, Any]) -> int:
        if check_id not in self.check_index:
            prefix = check_id.partition(".")[0] if _CHECK_ID.fullmatch(check_id) else "your tests"
            family, title = entry.get("family") or prefix, entry.get("title") or check_id
            self.check_index[check_id] = len(self.checks)
            self.checks.append(clean({**entry, "id": check_id, "title": title, "family": family}))
        return self.check_index[check_id]

    def _droplet(self, droplet_id: Any) -> int:
        if droplet_id not in self.droplet_index:
            name = "Account" if droplet_id is None else f"Droplet {droplet_id}"
            self.droplet_index[droplet_id] = len(self.droplets)
            self.droplets.append({"id": droplet_id, "name": name})
        return self.droplet_index[droplet_id]

    def _string(self, text: Any) -> int:
        shown = clean("" if text is None else str(text))
        return self.strings.setdefault(shown, len(self.strings))

    def _fact(self, item: Mapping[str, Any]) -> int:
        parts = (item.get(name) for name in ("fact", "source", "observed_at", "value"))
        entry = tuple(self._string(part) for part in parts)
        return self.evidence.setdefault(entry, len(self.evidence))

    @property
    def baseline(self) -> Mapping[str, Any] | None:
        """The comparison with an earlier record, if the run made one."""
        found: Mapping[str, Any] | None = (self.summary or {}).get("baseline")
        return found

    @property
    def judged_at(self) -> Any:
        """The time that ages and dates are judged at."""
        return self.header.get("judged_at") or self.header.get("started_at")

    @cached_property
    def fleet(self) -> list[dict[str, Any]]:
        """The Droplets, without the account's own entry."""
        return [droplet for droplet in self.droplets if droplet["id"] is not None]

    def mark_changes(self) -> None:
        """Note on each row what the comparison with the baseline says of it."""
        base = self.baseline or {}
        names = ("still", "newly_waived", "new")
        changes = {str(mark): name for name in names for mark in base.get(name) or ()}
        for number, row in enumerate(self.rows):
            if row.fingerprint in changes:
                self.more.setdefault(number, {})["change"] = changes[row.fingerprint]

    def as_json(self) -> str:
        """Return the data block: JSON in which no HTML parser sees a tag or an entity."""
        data = {
            "verdicts": [
                [kind.name, kind.letter, kind.mark, kind.short, kind.several, kind.open]
                for kind in VERDICTS.values()
            ],
            "weights": WEIGHTS.copy(),
            "recommendations": dict(RECOMMENDATIONS),
            "checks": self.checks,
            "droplets": self.droplets,
            "keys": self.keys,
            "strings": list(self.strings),
            "evidence": list(self.evidence),
            "check": [row.check for row in self.rows],
            "droplet": [row.droplet for row in self.rows],
            "verdict": "".join(row.verdict for row in self.rows),
            "severity": "".join(row.severity for row in self.rows),
            "message": [row.message for row in self.rows],
            "facts": [row.evidence for row in self.rows],
            "more": self.more,
        }
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        return text.translate(_SCRIPT_UNSAFE)


def clean(value: Any, limit: int = _TEXT_LIMIT) -> Any:
    """Return JSON-able data whose texts are bounded, without any character that would act."""
    if isinstance(value, str):
        if len(value) > limit:
            value = f"{value[:limit]}… ({len(value) - limit:,} more characters in the record)"
        return printable(value, keep="\n\t")
    if isinstance(value, Mapping):
        return {clean(str(name)): clean(item, limit) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [clean(item, limit) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if value is None or isinstance(value, int) else clean(str(value), limit)


def _extra(item: Any) -> dict[str, Any]:
    """Return what the page shows of an attachment: text, a link, or an image held in the page."""
    entry = item if isinstance(item, Mapping) else {"content": item}
    content, kind = entry.get("content"), str(entry.get("format_type") or "text")
    text = content if isinstance(content, str) else json.dumps(content, indent=1, default=str)
    name = clean(str(entry.get("name") or kind))
    if kind == "url" and re.match(r"https?://", text, re.IGNORECASE):
        return {"name": name, "kind": "url", "content": clean(text)}
    if kind == "image":
        mime_type = entry.get("mime_type") or "image/png"
        uri = f"data:{mime_type};base64,{text}" if _BASE64.fullmatch(text) else text
        head = _IMAGE_URI.match(uri)
        if head and _BASE64.fullmatch(uri, head.end()):
            return {"name": name, "kind": "image", "content": uri}
    return {"name": name, "kind": "text", "content": clean(text, _LONG_LIMIT)}
