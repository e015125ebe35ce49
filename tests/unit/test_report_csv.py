"""CSV: one row a verdict, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.report.csv import COLUMNS, cell, write
from pytest_droplet.report.document import Document
from tests.support import sample_record as sample


def rows(lines: list[dict[str, Any]], path: Path) -> list[dict[str, str]]:
    """Write a record and read it again."""
    write(Document.from_lines(lines), path / "out.csv")
    with (path / "out.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_every_verdict_is_a_row(tmp_path: Path) -> None:
    """A waived finding is a muted FAIL; check and Droplet are named in full."""
    lines = sample.fleet(12)
    found = rows(lines, tmp_path)
    results = [line for line in lines if line["type"] == "result"]
    assert [row["FINDING_UID"] for row in found] == [r["fingerprint"] for r in results]
    verdicts = {(r["verdict"], row["STATUS"], row["MUTED"]) for r, row in zip(results, found)}  # noqa: B905 lengths were compared
    assert verdicts == {
        ("pass", "PASS", "FALSE"),
        ("fail", "FAIL", "FALSE"),
        ("waived", "FAIL", "TRUE"),
        ("unknown", "UNKNOWN", "FALSE"),
        ("error", "ERROR", "FALSE"),
        ("notapplicable", "NOT_APPLICABLE", "FALSE"),
    }
    waived = next(row for row in found if row["MUTED"] == "TRUE")
    assert waived["WAIVER_REASON"] == "stateless: rebuilt from the image"
    assert waived["RESOURCE_UID"].startswith("do:droplet:4170000")
    assert waived["CHECK_TITLE"] == "Automatic backups are enabled"


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\x00=1",
        "\uff1d1",
    ],
)
def test_a_formula_is_no_formula(text: str, tmp_path: Path) -> None:
    """In whichever column it stands: names, tags, messages, evidence."""
    droplet = sample.droplet(0, name=text, tags=[text], region=text)
    evidence = [{"fact": text, "source": text, "observed_at": text, "value": text}]
    result = sample.result("a.b", droplet["id"], "fail", message=text, evidence=evidence)
    for row in rows([droplet, result], tmp_path):
        assert not [
            v for v in row.values() if v.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
        ]


@given(st.text(st.characters(codec=None)))
def test_no_cell_begins_with_what_makes_a_formula(text: str) -> None:
    """Nor does one hold a line end."""
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert len(f"x{cell(text)}".splitlines()) == 1


def test_hostile_texts_stay_in_their_cells(tmp_path: Path) -> None:
    """Each row has all columns and no more; a text of 200 KB is cut."""
    lines = sample.hostile()
    found = rows(lines, tmp_path)
    assert len(found) == sum(line["type"] == "result" for line in lines)
    assert {tuple(row) for row in found} == {COLUMNS}
    assert max(len(value) for row in found for value in row.values()) <= 8_001
    assert "\x1b" not in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_compliance_has_the_controls_as_prowler_writes_them(tmp_path: Path) -> None:
    """Frameworks apart by bars, ids by commas; the references have a column of their own."""
    controls = {"hipaa": ["164.312(b)"], "pci-dss-4.0.1": ["1.3.1", "1.4.1"]}
    page = {**sample.header()["checks"][0], "controls": controls}
    lines = [
        sample.header([]) | {"checks": [page]},
        sample.droplet(0),
        sample.result(page["id"], 417000001, "pass"),
        sample.result("tests/a.py::test_b", 417000001, "pass"),
    ]
    ours, theirs = rows(lines, tmp_path)
    assert ours["COMPLIANCE"] == "hipaa: 164.312(b) | pci-dss-4.0.1: 1.3.1, 1.4.1"
    assert ours["REFERENCES"] == page["references"]
    assert theirs["COMPLIANCE"] == ""
