"""HDF (InSpec's ExecJSON): a folder with one file a Droplet, and one for the account.

``pass`` is ``passed``, ``fail`` is ``failed``; ``unknown`` and ``error`` are ``error``, which
readers show as "Profile Error"; ``notapplicable`` is a skipped result of impact 0. A ``waived``
finding keeps its failed result and has ``waiver_data``: readers show it as "Not Applicable".
Files of an earlier run in the folder are removed: a Droplet that is gone must not look well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_droplet.files import Draft
from pytest_droplet.record import CheckEntry, ResultLine
from pytest_droplet.report.document import (
    TEXT_LIMIT,
    Document,
    badness,
    control_ids,
    evidence_text,
    rank,
    source_of,
    told,
)
from pytest_droplet.tables import VERDICTS, State
from pytest_droplet.text import clean, one_line

_MARK = '{"generator":"pytest-droplet"'
_IMPACTS = (0.9, 0.7, 0.5, 0.3)
_STATUS: Mapping[State, str] = {
    "met": "passed",
    "not-met": "failed",
    "not-told": "error",
    "not-there": "skipped",
}


def write(document: Document, path: Path) -> None:
    """Write a file for each Droplet that has verdicts into the folder ``path``.

    The results of a Droplet are held until all of them were read; in a record they mostly stand
    together.

    Raises:
        OSError: A file cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    pages = {check: _page(page) for check, page in document.checks.items()}
    _remove_earlier(path)
    waiting: dict[int | None, list[ResultLine]] = {}
    for line in document.results():
        droplet_id = line["droplet_id"]
        lines = waiting.setdefault(droplet_id, [])
        lines.append(line)
        if len(lines) == document.sizes[droplet_id]:
            text = json.dumps(
                _evaluation(document, droplet_id, waiting.pop(droplet_id), pages),
                ensure_ascii=False,
                separators=(",", ":"),
            )
            file = path / _file_name(document, droplet_id)
            draft = Draft(file)
            draft.path.write_text(text + "\n", encoding="utf-8", errors="replace")
            draft.put()


def _remove_earlier(folder: Path) -> None:
    for file in folder.glob("*.json"):
        with suppress(OSError), file.open("rb") as stream:
            ours = stream.read(len(_MARK)) == _MARK.encode()
            if ours:
                file.unlink()


def _file_name(document: Document, droplet_id: int | None) -> str:
    if droplet_id is None:
        return "account.json"
    name = document.name(droplet_id)[:100]
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return f"{safe.lstrip('.') or 'droplet'}-{droplet_id}.json"


def _evaluation(
    document: Document, droplet_id: int | None, lines: list[ResultLine], pages: Mapping[str, Any]
) -> dict[str, Any]:
    droplet = document.droplet(droplet_id)
    by_check: dict[str, list[ResultLine]] = {}
    for line in lines:
        by_check.setdefault(line["check"], []).append(line)
    version = one_line(document.tool_version(), 100)
    digest = hashlib.sha256("\n".join([version, *sorted(by_check)]).encode(errors="replace"))
    return {
        "generator": "pytest-droplet",
        "platform": {
            "name": one_line(droplet and droplet["distribution"], TEXT_LIMIT)
            or _platform(droplet_id),
            "release": "",
            "target_id": document.urn(droplet_id),
        },
        "version": version,
        "statistics": {"duration": sum(line["duration_s"] for line in lines)},
        "profiles": [
            {
                "name": "pytest-droplet",
                "version": version,
                "title": f"Droplet audit of {document.name(droplet_id)}",
                "sha256": digest.hexdigest(),
                "status": "loaded",
                "supports": [],
                "attributes": [],
                "groups": [],
                "controls": [
                    _control(document, pages[check], found) for check, found in by_check.items()
                ],
            }
        ],
    }


def _platform(droplet_id: int | None) -> str:
    return "digitalocean" if droplet_id is None else "not observed"


def _page(page: CheckEntry) -> dict[str, Any]:
    """Return what the controls of one check have in common."""
    title = one_line(page["title"], 500)
    return {
        "id": one_line(page["id"], 1_000),
        "title": title,
        "desc": clean(page.get("rationale"), 10_000) or title,
        "descriptions": [{"label": "fix", "data": clean(page.get("remediation"), 10_000)}],
        "refs": [{"ref": text} for text in _references(page)],
        "tags": {
            "guide": page.get("guide"),
            "profiles": list(page.get("profiles") or ()),
            **_controls(page),
        },
    }


def _controls(page: CheckEntry) -> dict[str, Any]:
    """Return the tags of the controls: ``nist`` is where Heimdall looks, absent it is unmapped."""
    names = page.get("controls") or {}
    tags: dict[str, Any] = {name: control_ids(page, name) for name in names}
    nist = tags.get("nist-800-53-r5")
    return ({"nist": nist} if nist else {}) | ({"controls": tags} if tags else {})


def _control(
    document: Document, page: Mapping[str, Any], lines: list[ResultLine]
) -> dict[str, Any]:
    worst = min(lines, key=badness)
    path, number = source_of(worst)
    absent = all(line["verdict"] == "notapplicable" for line in lines)
    control: dict[str, Any] = {
        **page,
        "impact": 0.0 if absent else _IMPACTS[rank(worst["severity"])],
        "tags": {
            **page["tags"],
            "severity": worst["severity"],
            "fingerprint": worst["fingerprint"],
            "gated": worst["gated"],
            "caused_by": worst["caused_by"] and one_line(worst["caused_by"], 1_000),
            "change": document.change(worst),
        },
        "source_location": {"ref": path, "line": number},
        "results": [_result(document, line) for line in lines],
    }
    if all(line["verdict"] == "waived" for line in lines) and (waiver := worst["waiver"]):
        control["waiver_data"] = {
            "justification": one_line(waiver["reason"], TEXT_LIMIT),
            "expiration_date": one_line(waiver["expires"], 100),
            "run": True,
            "skipped_due_to_waiver": True,
            "message": one_line(worst["message"], TEXT_LIMIT),
        }
    return control


def _references(page: CheckEntry) -> Iterable[str]:
    texts = (one_line(text, TEXT_LIMIT) for text in (page.get("references") or "").split(";"))
    return (text for text in texts if text)


def _result(document: Document, line: ResultLine) -> dict[str, Any]:
    page = document.checks[line["check"]]
    title, message = one_line(page["title"], 500), told(page, line)
    evidence = evidence_text(line)
    result: dict[str, Any] = {
        "status": _STATUS[VERDICTS[line["verdict"]].state],
        "code_desc": f"{title} ({evidence})" if evidence else title,
        "start_time": document.observed_at(line),
        "run_time": line["duration_s"],
    }
    if line["verdict"] == "notapplicable":
        result["skip_message"] = message or "the subject does not exist"
    elif message:
        result["message"] = message
    if line["verdict"] == "error" and line.get("traceback"):
        result["backtrace"] = clean(line["traceback"], 10_000).splitlines()
    return result
