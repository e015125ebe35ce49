"""What pytest's reports show of a verdict, and what they carry to the record."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import pytest

from pytest_droplet.audit import Audit
from pytest_droplet.model import Droplet, Verdict
from pytest_droplet.record import ResultLine
from pytest_droplet.tables import VERDICTS
from pytest_droplet.text import harmless, harmless_line

Phase = Literal["setup", "call", "teardown"]


def as_pytest(
    verdict: Verdict, unknown: Literal["fail", "skip"]
) -> tuple[Literal["passed", "failed", "skipped"], Phase, str | None]:
    """Return pytest's outcome, phase and text for a verdict; unknown is an ERROR, in setup.

    pytest shows the text as it is: what a host said in it is made harmless.
    """
    if accepted_for(verdict):
        return "skipped", "call", None
    kind = VERDICTS[verdict.outcome]
    if kind.name == "pass":
        return kind.outcome, kind.phase, None
    text = harmless_line(verdict.message)
    if kind.name == "error":
        return kind.outcome, kind.phase, harmless(verdict.traceback or verdict.message)
    if kind.name != "unknown":
        return kind.outcome, kind.phase, text
    if unknown == "skip":
        return "skipped", "call", f"UNKNOWN {text}"
    return kind.outcome, kind.phase, f"UNKNOWN {text}"


def accepted_for(verdict: Verdict) -> str | None:
    """Return why pytest shows a finding as *xfailed*; None where it does not."""
    if verdict.outcome == "waived" and verdict.waiver is not None:
        return f"waived until {verdict.waiver['expires']}: {verdict.waiver['reason']}"
    return verdict.below


def properties_of(verdict: Verdict, droplet: Droplet | None) -> list[tuple[str, object]]:
    """Return what JUnit's file has of a verdict beside pytest's outcome."""
    properties = list(_properties(verdict.check, verdict.severity, verdict.outcome))
    if verdict.waiver is not None:
        properties.append(("waiver", f"{verdict.waiver['expires']}: {verdict.waiver['reason']}"))
    if droplet is not None:
        properties.append(_urn(droplet.urn))
    return properties


@lru_cache(maxsize=4096)
def _properties(check: str, severity: str, outcome: str) -> tuple[tuple[str, object], ...]:
    return ("check", check), ("severity", severity), ("verdict", outcome)


@lru_cache(maxsize=64)
def _urn(urn: str) -> tuple[str, object]:
    """Return the property of a Droplet, one object for all its reports."""
    return "urn", urn


def carry(report: pytest.TestReport, audit: Audit, result: ResultLine) -> None:
    """Let a report carry a result to the record, and its Droplet's line with the first one."""
    vars(report)["droplet_result"] = result
    droplet_id = result["droplet_id"]
    if droplet_id is not None and (line := audit.take_line(droplet_id)):
        vars(report)["droplet_line"] = line
    if evidence := audit.take_evidence(result):
        vars(report)["droplet_evidence"] = evidence


def unload(report: pytest.TestReport) -> None:
    """Take from a report what it carried, once that is in the record: pytest keeps reports."""
    vars(report).pop("droplet_result", None)
    vars(report).pop("droplet_line", None)
    vars(report).pop("droplet_evidence", None)
