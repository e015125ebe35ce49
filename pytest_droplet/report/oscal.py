"""OSCAL 1.2.1: assessment results for NIST SP 800-53 revision 5, one result for the run.

An observation stands for the Droplets on which a check had one verdict. A finding stands for each
control that a check is asked for by: ``satisfied`` where it is met, and else ``not-satisfied``, with
the reason ``fail``, or ``other`` where it could not be observed. Controls that nothing here looks
at have no finding. The ids of other frameworks are properties of the observations. It is a
cross-reference, not a certification, and no assessment plan is behind it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_droplet.controls import NOTICE
from pytest_droplet.record import ResultLine
from pytest_droplet.report.document import TEXT_LIMIT, Document, Group, control_ids, heading
from pytest_droplet.report.requirements import NOTHING, Requirement, requirements
from pytest_droplet.text import one_line

VERSION = "1.2.1"
FRAMEWORK = "nist-800-53-r5"
_NS = "https://pypi.org/project/pytest-droplet/"
_CATALOG = re.compile(r"([A-Z]{2}-\d+)(?:\((\d+)\))?(?:\(([a-z])\))?")
_STATES = {
    "met": ("satisfied", "pass"),
    "not met": ("not-satisfied", "fail"),
    "not observed": ("not-satisfied", "other"),
}
_SAID = 20


def write(document: Document, path: Path) -> None:
    """Write the assessment results.

    Raises:
        OSError: The file cannot be written.
    """
    text = json.dumps({"assessment-results": _results(document)}, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8", errors="replace")


def _results(document: Document) -> dict[str, Any]:
    header, summary = document.header, document.summary
    judged = one_line(header.get("judged_at"), 100)
    ended = one_line(summary and summary["finished_at"], 100)
    plan = _uuid(document, "plan")
    return {
        "uuid": _uuid(document, "results"),
        "metadata": {
            "title": "Droplet audit",
            "last-modified": ended or judged,
            "version": one_line(document.tool_version(), 100) or "0",
            "oscal-version": VERSION,
            "remarks": f"{NOTICE[0].upper()}{NOTICE[1:]}.",
        },
        "import-ap": {"href": f"#{plan}"},
        "results": [_result(document, ended)],
        "back-matter": {
            "resources": [{"uuid": plan, "title": "There is no assessment plan behind an audit"}]
        },
    }


def _result(document: Document, ended: str) -> dict[str, Any]:
    asked = [r for r in requirements(document) if r.framework == FRAMEWORK]
    looked_at = [r for r in asked if r.standing != NOTHING]
    grouped = _by_check_and_verdict(document.results())
    result: dict[str, Any] = {
        "uuid": _uuid(document, "result"),
        "title": one_line(f"Audit of {' + '.join(document.header.get('selector') or ())}", 500),
        "description": f"{len(document.droplets)} Droplets, judged by pytest-droplet",
        "start": one_line(document.header.get("started_at"), 100),
        "local-definitions": {"inventory-items": list(_inventory(document))},
        "reviewed-controls": {"control-selections": [_selection(looked_at)]},
    }
    if ended:
        result["end"] = ended
    if observations := [_observation(document, *key, seen) for key, seen in grouped.items()]:
        result["observations"] = observations
    keys: dict[str, list[str]] = defaultdict(list)
    for check, verdict in grouped:
        keys[check].append(_uuid(document, "observation", check, verdict))
    if findings := [_finding(document, one, keys) for one in looked_at]:
        result["findings"] = findings
    return result


@dataclass
class _Seen:
    """One verdict of one check: the first few results, and the ids of all Droplets that had it."""

    group: Group
    subjects: dict[int | None, None] = field(default_factory=dict)


def _by_check_and_verdict(lines: Iterable[ResultLine]) -> Mapping[tuple[str, str], _Seen]:
    found: dict[tuple[str, str], _Seen] = {}
    for line in lines:
        key = line["check"], line["verdict"]
        if key not in found:
            found[key] = _Seen(Group(*key, line["severity"], line["gated"]))
        seen = found[key]
        seen.subjects[line["droplet_id"]] = None
        if len(seen.group.lines) < _SAID:
            seen.group.lines.append(line)
    return found


def _inventory(document: Document) -> Iterable[dict[str, Any]]:
    for droplet_id in {None: 0} | dict.fromkeys(document.droplets) | dict.fromkeys(document.sizes):
        yield {
            "uuid": _uuid(document, "subject", droplet_id),
            "description": document.name(droplet_id) or document.urn(droplet_id),
            "props": [{"name": "asset-id", "value": document.urn(droplet_id)}],
        }


def _selection(looked_at: list[Requirement]) -> dict[str, Any]:
    statements: dict[str, list[str]] = {}
    for one in looked_at:
        control, statement = _place(one.id)
        statements.setdefault(control, []).append(statement)
    if not statements:
        return {
            "description": "No check of this run is asked for by a control.",
            "include-all": {},
        }
    return {
        "description": "The controls that ask for what the checks of this run look at.",
        "include-controls": [
            {"control-id": control, "statement-ids": ids} for control, ids in statements.items()
        ],
    }


def _observation(document: Document, check: str, verdict: str, seen: _Seen) -> dict[str, Any]:
    page, group = document.checks[check], seen.group
    asked = [
        f"{one_line(name, 100)}:{one}"
        for name in page.get("controls") or {}
        for one in control_ids(page, name)
    ]
    own = [("verdict", verdict), ("severity", group.severity), *(("asked-by", a) for a in asked)]
    said = [
        f"{document.name(line['droplet_id'])}: {one_line(line['message'], 300)}"
        for line in group.lines
        if line["message"]
    ]
    observation: dict[str, Any] = {
        "uuid": _uuid(document, "observation", check, verdict),
        "title": one_line(check, 500),
        "description": heading(page, group) or one_line(check, 500),
        "props": [{"name": name, "ns": _NS, "value": value} for name, value in own],
        "methods": ["TEST"],
        "types": ["control-objective"],
        "subjects": [
            {"subject-uuid": _uuid(document, "subject", i), "type": "inventory-item"}
            for i in seen.subjects
        ],
        "collected": document.observed_at(group.lines[0]),
    }
    if said:
        observation["remarks"] = one_line("; ".join(said), TEXT_LIMIT)
    return observation


def _finding(
    document: Document, one: Requirement, observations: Mapping[str, list[str]]
) -> dict[str, Any]:
    state, reason = _STATES[one.standing]
    related = [key for check in one.checks for key in observations.get(check, ())]
    return {
        "uuid": _uuid(document, "finding", one.id),
        "title": one.id,
        "description": f"{one.id} is {one.standing}, as far as the checks of this run look at it",
        "target": {
            "type": "statement-id",
            "target-id": _place(one.id)[1],
            "status": {"state": state, "reason": reason},
        },
        "related-observations": [{"observation-uuid": key} for key in related],
    }


def _place(one: str) -> tuple[str, str]:
    """Return control and statement of an id in NIST's catalogue: ``cm-7`` and ``cm-7_smt.b``."""
    found = _CATALOG.fullmatch(one)
    if found is None:  # an id of a user's own check
        name = re.sub(r"[^a-z0-9.-]", "-", f"x-{one.lower()}")
        return name, f"{name}_smt"
    base, enhancement, item = found.groups()
    control = base.lower() + (f".{enhancement}" if enhancement else "")
    return control, f"{control}_smt" + (f".{item}" if item else "")


def _uuid(document: Document, *parts: object) -> str:
    """Return an identifier that is the same for the same part of the same record."""
    run = document.header.get("started_at"), document.header.get("selector")
    return str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([_NS, run, parts], default=str)))
