"""OCSF 1.5: a Compliance Finding (class 2003) for each verdict, as one JSON array.

An object stands on a line of its own. ``compliance.status_id`` is 1 for ``pass``, 3 for ``fail``
and ``waived``, 0 (unknown) for ``unknown``, 99 (other) for ``error`` and ``notapplicable``;
``status_id`` is 1 (new) for what is open, 3 (suppressed) for ``waived``, 4 (resolved) for
``pass`` and ``notapplicable``. What passes is informational and has neither reason nor remedy.
With a baseline, a finding that is still there is an update and one that is gone a close, and only
one that is new has a ``created_time``: without a baseline nobody knows since when it is there.
``last_seen_time`` is when the facts of an open finding were read. ``unmapped`` has our own words.
``compliance`` has the frameworks and the ids that ask for a check, as ``hipaa:164.312(b)``: a
cross-reference, not a certification.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_droplet.record import CheckEntry, ResultLine, account_id_of
from pytest_droplet.report.document import (
    Document,
    control_ids,
    of_parameter,
    rank,
    told,
)
from pytest_droplet.report.requirements import title as title_of
from pytest_droplet.tables import VERDICTS, State
from pytest_droplet.text import clean, one_line
from pytest_droplet.words import Outcome

_VERSION = "1.5.0"
_SEVERITIES = ((5, "Critical"), (4, "High"), (3, "Medium"), (2, "Low"))
_COMPLIANCE: Mapping[State, tuple[int, str]] = {"met": (1, "Pass"), "not-met": (3, "Fail")}
_UNCLEAR = {"unknown": (0, "Unknown")}
_STATUS = {
    "waived": (3, "Suppressed"),
    "pass": (4, "Resolved"),
    "notapplicable": (4, "Resolved"),
}
_ACTIVITIES = {"still": (2, "Update"), "fixed": (3, "Close")}
_URL = re.compile(r"https?://[^\s;,()<>]+")


def write(document: Document, path: Path) -> None:
    """Write every verdict.

    Raises:
        OSError: The file cannot be written.
    """
    pages = {check: _page(page) for check, page in document.checks.items()}
    resources = {i: _resource(document, i) for i in (None, *document.droplets, *document.sizes)}
    separator = "[\n"
    with path.open("w", encoding="utf-8", errors="replace") as file:
        for line in document.results():
            finding = _finding(document, line, pages[line["check"]], resources[line["droplet_id"]])
            text = json.dumps(finding, ensure_ascii=False, separators=(",", ":"))
            file.write(separator + text)
            separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def _page(page: CheckEntry) -> dict[str, Any]:
    """Return what all findings of one check have in common."""
    references = page.get("references") or ""
    controls = page.get("controls") or {}
    asked = [f"{one_line(n, 100)}:{one}" for n in controls for one in control_ids(page, n)]
    guide = [f"recommendation {page['guide']}"] if page.get("guide") else []
    title = one_line(page["title"], 500)
    shared: dict[str, Any] = {
        "title": title,
        "finding": of_parameter(page, page.get("finding") or title),
        "desc": clean(page.get("rationale"), 10_000) or title,
        "standards": [one_line(title_of(n), 200) for n in controls] or ["pytest-droplet"],
        "requirements": [*guide, *asked],
    }
    if remedy := clean(page.get("remediation"), 10_000):
        shared["remediation"] = {"desc": remedy}
        if urls := _URL.findall(references):
            shared["remediation"]["references"] = urls
    return shared


def _finding(
    document: Document, line: ResultLine, page: dict[str, Any], resource: dict[str, Any]
) -> dict[str, Any]:
    verdict, check = line["verdict"], one_line(line["check"], 1_000)
    settled = VERDICTS[verdict].state in {"met", "not-there"}
    severity = (1, "Informational") if settled else _SEVERITIES[rank(line["severity"])]
    status = _STATUS.get(verdict, (1, "New"))
    activity = _ACTIVITIES.get(document.change(line) or "", (1, "Create"))
    wrong = verdict in {"fail", "waived"}
    title = page["finding"] if wrong else page["title"]
    message = told(document.checks[line["check"]], line)
    message = message or (title if wrong or verdict == "pass" else verdict)
    when, when_dt = _moment(document.observed_at(line))
    finding: dict[str, Any] = {
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2003,
        "class_name": "Compliance Finding",
        "activity_id": activity[0],
        "activity_name": activity[1],
        "type_uid": 200300 + activity[0],
        "type_name": f"Compliance Finding: {activity[1]}",
        "time": when,
        "time_dt": when_dt,
        "severity_id": severity[0],
        "severity": severity[1],
        "status_id": status[0],
        "status": status[1],
        "status_code": verdict,
        "status_detail": message,
        "message": f"{resource['name']}: {message}",
        "metadata": {
            "version": _VERSION,
            "profiles": ["cloud", "datetime"],
            "event_code": check,
            "product": {
                "name": "pytest-droplet",
                "vendor_name": "pytest-droplet",
                "version": one_line(document.tool_version(), 100),
            },
        },
        "cloud": _cloud(document, resource),
        "finding_info": {
            "uid": line["fingerprint"],
            "title": title,
        },
        "compliance": _compliance(verdict, check, page),
        "resources": [resource],
        "unmapped": _unmapped(document, line),
    }
    if not settled:
        finding["finding_info"] |= {"desc": page["desc"]} | _times("last_seen", when, when_dt)
    if document.change(line) == "new":
        finding["finding_info"] |= _times("created", when, when_dt)
    if not settled and "remediation" in page:
        finding["remediation"] = page["remediation"]
    return finding


def _times(name: str, when: int, when_dt: str) -> dict[str, Any]:
    return {f"{name}_time": when, f"{name}_time_dt": when_dt}


def _cloud(document: Document, resource: Mapping[str, Any]) -> dict[str, Any]:
    cloud: dict[str, Any] = {"provider": "DigitalOcean"}
    if "region" in resource:
        cloud["region"] = resource["region"]
    if account := one_line(account_id_of(document.header), 255):
        kind = {"type": "DigitalOcean account", "type_id": 99}
        cloud["account"] = {"uid": account, "name": account, **kind}
    return cloud


def _compliance(verdict: Outcome, check: str, page: dict[str, Any]) -> dict[str, Any]:
    number, name = _COMPLIANCE.get(VERDICTS[verdict].state) or _UNCLEAR.get(verdict, (99, verdict))
    return {
        "standards": page["standards"],
        "requirements": page["requirements"],
        "control": check,
        "status_id": number,
        "status": name,
    }


def _resource(document: Document, droplet_id: int | None) -> dict[str, Any]:
    droplet = document.droplet(droplet_id)
    resource: dict[str, Any] = {
        "uid": document.urn(droplet_id),
        "name": document.name(droplet_id),
        "type": "Account" if droplet_id is None else "Droplet",
    }
    if region := one_line(droplet and droplet["region"], 100):
        resource["region"] = region
    if droplet:
        public = [a["ip"] for a in droplet["addresses"] if a["kind"] == "public"]
        resource["labels"] = [one_line(tag, 255) for tag in droplet["tags"]]
        resource["ip"] = one_line(public[0], 50) if public else None
    return {name: value for name, value in resource.items() if value is not None}


def _unmapped(document: Document, line: ResultLine) -> dict[str, Any]:
    waiver = line["waiver"]
    own = {
        "verdict": line["verdict"],
        "severity": line["severity"],
        "gated": line["gated"],
        "caused_by": line["caused_by"] and one_line(line["caused_by"], 1_000),
        "change": document.change(line),
        "waiver": {name: one_line(text, 500) for name, text in waiver.items()} if waiver else None,
        "evidence": [
            {"source": one_line(e["source"], 200), "value": one_line(e["value"], 400)}
            for e in line["evidence"][:10]
        ],
    }
    return {name: value for name, value in own.items() if value is not None}


@lru_cache(maxsize=1_024)
def _moment(text: str) -> tuple[int, str]:
    """Return a time of the record in milliseconds, and as text; 1970 where it is none."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = datetime.fromtimestamp(0, UTC)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(when.timestamp() * 1_000), when.isoformat()
