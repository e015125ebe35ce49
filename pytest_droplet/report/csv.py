"""CSV: a row for each verdict, in the columns of Prowler's findings where it has them.

``STATUS`` is the verdict in capitals; a waived finding is ``FAIL`` with ``MUTED``, as Prowler has
it, and a finding below the gate is ``FAIL`` with ``GATED`` false. ``COMPLIANCE`` has the controls
of frameworks, written as Prowler does: a cross-reference, not a certification. A cell that a spreadsheet would
take for a formula has an apostrophe before it.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pytest_droplet.record import CheckEntry, ResultLine
from pytest_droplet.report.document import TEXT_LIMIT, Document, controls_text, evidence_text
from pytest_droplet.text import one_line

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_STATUS = {"waived": "FAIL", "notapplicable": "NOT_APPLICABLE"}
COLUMNS = (
    *("TIMESTAMP", "FINDING_UID", "PROVIDER", "CHECK_ID", "CHECK_TITLE", "STATUS"),
    *("STATUS_EXTENDED", "MUTED", "GATED", "SERVICE_NAME", "SEVERITY", "RESOURCE_TYPE"),
    *("RESOURCE_UID", "RESOURCE_NAME", "RESOURCE_TAGS", "REGION", "EVIDENCE", "CAUSED_BY"),
    *("CHANGE", "WAIVER_REASON", "WAIVER_EXPIRES", "DESCRIPTION", "RISK"),
    *("REMEDIATION_RECOMMENDATION_TEXT", "COMPLIANCE", "REFERENCES"),
)


def write(document: Document, path: Path) -> None:
    """Write every verdict.

    Raises:
        OSError: The file cannot be written.
    """
    pages = {check: _page(page) for check, page in document.checks.items()}
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for line in document.results():
            cells = _cells(document, line) | pages[line["check"]]
            writer.writerow([cells[name] for name in COLUMNS])


def _page(page: CheckEntry) -> dict[str, str]:
    """Return the cells that all rows of one check have in common."""
    title = cell(page["title"])
    return {
        "CHECK_TITLE": title,
        "SERVICE_NAME": cell(page["family"]),
        "DESCRIPTION": title,
        "RISK": cell(page.get("rationale")),
        "REMEDIATION_RECOMMENDATION_TEXT": cell(page.get("remediation")),
        "COMPLIANCE": cell(controls_text(page)),
        "REFERENCES": cell(page.get("references")),
    }


def _cells(document: Document, line: ResultLine) -> dict[str, str]:
    verdict, droplet_id = line["verdict"], line["droplet_id"]
    droplet, waiver = document.droplet(droplet_id), line["waiver"]
    return {
        "TIMESTAMP": cell(document.observed_at(line)),
        "FINDING_UID": cell(line["fingerprint"]),
        "PROVIDER": "digitalocean",
        "CHECK_ID": cell(line["check"]),
        "STATUS": _STATUS.get(verdict, verdict.upper()),
        "STATUS_EXTENDED": cell(line["message"]),
        "MUTED": str(verdict == "waived").upper(),
        "GATED": str(line["gated"]).upper(),
        "SEVERITY": line["severity"],
        "RESOURCE_TYPE": "Account" if droplet_id is None else "Droplet",
        "RESOURCE_UID": document.urn(droplet_id),
        "RESOURCE_NAME": cell(document.name(droplet_id)),
        "RESOURCE_TAGS": cell(
            " | ".join(one_line(tag, TEXT_LIMIT) for tag in (droplet["tags"] if droplet else ()))
        ),
        "REGION": cell(droplet and droplet["region"]),
        "EVIDENCE": cell(evidence_text(line)),
        "CAUSED_BY": cell(line["caused_by"]),
        "CHANGE": document.change(line) or "",
        "WAIVER_REASON": cell(waiver and waiver["reason"]),
        "WAIVER_EXPIRES": cell(waiver and waiver["expires"]),
    }


def cell(value: Any) -> str:
    """Return the text of a cell: one line, and no formula."""
    text = one_line(value, 8_000)
    return f"'{text}" if text.startswith(_FORMULA) else text
