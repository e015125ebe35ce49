"""OCSF: read by py-ocsf-models, the models that Prowler writes its findings with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding

from pytest_droplet.report.document import Document
from pytest_droplet.report.ocsf import write
from tests.support import sample_record as sample


def findings(lines: list[dict[str, Any]], path: Path) -> list[ComplianceFinding]:
    """Write a record and read it with the third party's models."""
    write(Document.from_lines(lines), path / "out.json")
    objects = json.loads((path / "out.json").read_text(encoding="utf-8"))
    found = [ComplianceFinding.model_validate(one) for one in objects]
    for one, raw in zip(found, objects, strict=True):
        known = one.model_dump(exclude_none=True)
        unknown = set(raw) - set(known) - {"cloud"}
        assert not unknown, "the class has no such attribute"
        assert raw["compliance"]["status"]
    return found


@pytest.mark.parametrize("lines", [sample.fleet(12), sample.hostile()], ids=["fleet", "hostile"])
def test_every_verdict_is_a_compliance_finding(
    lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The models take each of them; ids are those of the record."""
    found = findings(lines, tmp_path)
    results = [line for line in lines if line["type"] == "result"]
    assert [f.finding_info.uid for f in found] == [r["fingerprint"] for r in results]
    for finding in found:
        assert finding.class_uid == 2003
        assert finding.type_uid == 200300 + finding.activity_id
        assert finding.metadata.version == "1.5.0"
        assert finding.time_dt is not None
        assert finding.time_dt.timestamp() * 1_000 == finding.time


@pytest.mark.parametrize(
    ("verdict", "compliance", "status", "severity"),
    [
        ("pass", 1, 4, 1),
        ("fail", 3, 1, 4),
        ("waived", 3, 3, 4),
        ("unknown", 0, 1, 4),
        ("error", 99, 1, 4),
        ("notapplicable", 99, 4, 1),
    ],
)
def test_verdicts_in_the_words_of_the_schema(
    verdict: str, compliance: int, status: int, severity: int, tmp_path: Path
) -> None:
    """Nothing but a pass has the compliance status Pass."""
    lines = [sample.header(), sample.droplet(0), sample.result("a.b", 417000001, verdict)]
    (finding,) = findings(lines, tmp_path)
    assert finding.compliance.status_id == compliance
    assert finding.status_id == status
    assert finding.severity_id == severity
    assert finding.status_code == verdict
    assert finding.resources is not None
    assert finding.resources[0].uid == "do:droplet:417000001"
    assert finding.resources[0].labels == ["prod", "web"]


def test_a_reference_is_no_standard_and_the_remedy_has_its_address(tmp_path: Path) -> None:
    """A standard is a framework that asks for the check; a reference has a name, or an address."""
    references = "sshd_config(5); https://a.example/ (b); RFC 6797: https://c.example"
    page = {**sample.header()["checks"][0], "references": references}
    page["controls"] = {"pci-dss-4.0.1": ["1.3.1"]}
    lines = [sample.header() | {"checks": [page]}, sample.result(page["id"], 1, "fail")]
    (finding,) = findings(lines, tmp_path)
    assert finding.compliance.standards == ["PCI DSS 4.0.1"]
    assert finding.remediation is not None
    assert finding.remediation.references == ["https://a.example/", "https://c.example"]


def test_it_says_what_is_wrong_and_whose_it_is(tmp_path: Path) -> None:
    """The check's finding with its parameter, and the account's id where that is known."""
    page = sample.header()["checks"][0]
    page |= {"id": "auditd.rules-cover[logins]", "finding": "No rule covers the group"}
    account = sample.header()["account"] | {"id": "team-1"}
    header = sample.header(account=account) | {"checks": [page]}
    line = sample.result(page["id"], 417000001, "fail", message="caused by auditd.installed")
    (finding,) = findings([header, sample.droplet(0), line], tmp_path)
    wrong = "No rule covers the group (logins)"
    assert finding.finding_info.title == wrong
    assert finding.status_detail == f"{wrong}: caused by auditd.installed"
    assert finding.message == f"web-1: {wrong}: caused by auditd.installed"
    (raw,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert raw["cloud"]["account"]["uid"] == "team-1"


def test_no_finding_claims_to_be_new_that_is_not_known_to_be(tmp_path: Path) -> None:
    """An age is counted from ``created_time``: of one that was there before, or may have been."""
    marks = [sample.result(f"a.{n}", 1, "fail") for n in "xy"]
    lines = [sample.header(), *marks]
    base = {"recorded_at": sample.STARTED, "new": [marks[0]["fingerprint"]],
            "still": [marks[1]["fingerprint"]]}  # fmt: skip
    new, still = findings([*lines, sample.summary(marks, baseline=base)], tmp_path)
    without = findings([*lines, sample.summary(marks)], tmp_path)
    assert new.finding_info.created_time == new.time
    assert new.finding_info.created_time_dt == new.time_dt
    for finding in (still, *without):
        assert finding.finding_info.created_time is None
        assert finding.finding_info.last_seen_time == finding.time
        assert finding.finding_info.last_seen_time_dt == finding.time_dt


def test_a_baseline_makes_updates_and_closes(tmp_path: Path) -> None:
    """New is created, still failing updated, fixed closed."""
    marks = [sample.result(f"a.{n}", 1, "fail") for n in "xyz"]
    marks[2]["verdict"] = "pass"
    base = {
        "recorded_at": sample.STARTED,
        "new": [marks[0]["fingerprint"]],
        "still": [marks[1]["fingerprint"]],
        "fixed": [{"check": "a.z", "droplet_id": 1, "droplet_name": "web-1"}],
    }
    lines = [sample.header(), *marks, sample.summary(marks, baseline=base)]
    assert [f.activity_id for f in findings(lines, tmp_path)] == [1, 2, 3]


def test_a_record_without_results_is_an_empty_list(tmp_path: Path) -> None:
    """The file is JSON whatever the record holds."""
    assert findings([sample.header()], tmp_path) == []


def test_compliance_names_what_asks_for_a_check(tmp_path: Path) -> None:
    """Frameworks with their version, ids with their framework; the guide's number stays."""
    controls = {"hipaa": ["164.312(b)"], "pci-dss-4.0.1": ["1.3.1", "1.4.1"], "acme-2": ["9"]}
    page = {**sample.header()["checks"][0], "controls": controls}
    lines = [
        sample.header([]) | {"checks": [page]},
        sample.droplet(0),
        sample.result(page["id"], 417000001, "fail"),
    ]
    (finding,) = findings(lines, tmp_path)
    asked = ["hipaa:164.312(b)", "pci-dss-4.0.1:1.3.1", "pci-dss-4.0.1:1.4.1", "acme-2:9"]
    assert finding.compliance.requirements == [f"recommendation {page['guide']}", *asked]
    assert finding.compliance.standards is not None
    assert finding.compliance.standards[1:] == ["PCI DSS 4.0.1", "acme-2"]
