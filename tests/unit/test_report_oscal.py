"""OSCAL: assessment results, read by the models of compliance-trestle where these are installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.report.document import Document
from pytest_droplet.report.oscal import write
from tests.support import sample_record as sample

DROPLET = 417000001


def written(lines: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Write a record and read it again."""
    write(Document.from_lines(lines), folder / "out.json")
    found: dict[str, Any] = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    return found["assessment-results"]  # type: ignore[no-any-return]


def of(folder: Path, controls: dict[str, list[str]], **verdicts: str) -> dict[str, Any]:
    """Write a record of checks ``own.NAME`` with these controls, and return its one result."""
    page = sample.header()["checks"][0]
    pages = [{**page, "id": f"own.{name}", "controls": controls} for name in verdicts]
    results = [sample.result(f"own.{name}", DROPLET, said) for name, said in verdicts.items()]
    lines = [sample.header([]) | {"checks": pages}, sample.droplet(0), *results]
    (result,) = written(lines, folder)["results"]
    return result  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "lines",
    [sample.fleet(12), sample.hostile(), [sample.header([])]],
    ids=["fleet", "hostile", "empty"],
)
def test_trestle_takes_it(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    """The models of compliance-trestle validate each of them."""
    models = pytest.importorskip("trestle.oscal.assessment_results")
    written(lines, tmp_path)
    read = models.AssessmentResults.oscal_read(tmp_path / "out.json")
    assert read.metadata.oscal_version


@pytest.mark.parametrize(
    ("verdicts", "state", "reason"),
    [
        ({"a": "pass"}, "satisfied", "pass"),
        ({"a": "pass", "b": "fail"}, "not-satisfied", "fail"),
        ({"a": "pass", "b": "unknown"}, "not-satisfied", "other"),
    ],
)
def test_a_control_is_satisfied_only_where_it_is_met(
    tmp_path: Path, verdicts: dict[str, str], state: str, reason: str
) -> None:
    """What could not be observed is not satisfied; the observations behind it are named."""
    result = of(tmp_path, {"nist-800-53-r5": ["CM-7(b)"]}, **verdicts)
    (finding,) = result["findings"]
    assert finding["target"]["target-id"] == "cm-7_smt.b"
    assert finding["target"]["status"] == {"state": state, "reason": reason}
    known = {o["uuid"] for o in result["observations"]}
    assert {r["observation-uuid"] for r in finding["related-observations"]} == known
    (selection,) = result["reviewed-controls"]["control-selections"]
    assert selection["include-controls"] == [
        {"control-id": "cm-7", "statement-ids": ["cm-7_smt.b"]}
    ]


def test_a_control_without_a_judged_check_has_no_finding(tmp_path: Path) -> None:
    """Its check had nothing to judge: the observation says so, and nothing is satisfied."""
    result = of(tmp_path, {"nist-800-53-r5": ["SC-7(5)"]}, a="notapplicable")
    assert "findings" not in result
    (observation,) = result["observations"]
    assert {"name": "verdict", "value": "notapplicable"}.items() <= observation["props"][0].items()


def test_ids_of_other_frameworks_are_properties(tmp_path: Path) -> None:
    """They have no catalogue here: no finding, but their ids stand with what was seen."""
    result = of(tmp_path, {"pci-dss-4.0.1": ["1.3.1"]}, a="fail")
    assert "findings" not in result
    props = [(p["name"], p["value"]) for p in result["observations"][0]["props"]]
    assert ("asked-by", "pci-dss-4.0.1:1.3.1") in props


def test_every_reference_leads_to_something(tmp_path: Path) -> None:
    """Subjects are in the inventory, the plan is in the back matter, no identifier stands twice."""
    whole = written(sample.fleet(12), tmp_path)
    (result,) = whole["results"]
    subjects = {i["uuid"] for i in result["local-definitions"]["inventory-items"]}
    assert {s["subject-uuid"] for o in result["observations"] for s in o["subjects"]} <= subjects
    (plan,) = whole["back-matter"]["resources"]
    assert whole["import-ap"]["href"] == f"#{plan['uuid']}"
    uuids = [part["uuid"] for name in ("observations", "findings") for part in result[name]]
    assert len(set(uuids)) == len(uuids)
    assert "not a certification" in whole["metadata"]["remarks"]
