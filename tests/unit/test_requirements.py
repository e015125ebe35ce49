"""What a record says of requirements: the worst that a check of one says decides."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_droplet.report.document import Document
from pytest_droplet.report.markdown import draw
from pytest_droplet.report.requirements import by_framework, requirements, title
from tests.support import sample_record as sample

DROPLET = 417000001


def record(**verdicts: str) -> Document:
    """Return a record of checks ``own.NAME`` that ``acme-2`` 1.2 asks for, each with a verdict."""
    page = sample.header()["checks"][0]
    pages = [{**page, "id": f"own.{name}", "controls": {"acme-2": ["1.2"]}} for name in verdicts]
    results = [sample.result(f"own.{name}", DROPLET, said) for name, said in verdicts.items()]
    lines = [sample.header([]) | {"checks": pages}, sample.droplet(0), *results]
    return Document.from_lines(lines)


@pytest.mark.parametrize(
    ("verdicts", "standing"),
    [
        ({"a": "pass", "b": "pass"}, "met"),
        ({"a": "pass", "b": "notapplicable"}, "met"),
        ({"a": "pass", "b": "unknown"}, "not observed"),
        ({"a": "pass", "b": "error"}, "not observed"),
        ({"a": "unknown", "b": "fail"}, "not met"),
        ({"a": "pass", "b": "waived"}, "not met"),
        ({"a": "notapplicable"}, "nothing here looks at it"),
    ],
)
def test_the_worst_decides(verdicts: dict[str, str], standing: str) -> None:
    """What could not be observed is never met, and a waiver does not make it so."""
    (found,) = (r for r in requirements(record(**verdicts)) if r.framework == "acme-2")
    assert (found.id, found.standing) == ("1.2", standing)
    assert found.checks == tuple(f"own.{name}" for name in verdicts)


def test_what_no_selected_check_looks_at_is_said() -> None:
    """Requirements of the table are there though their checks did not run, and none is met."""
    found = [r for r in requirements(record(a="pass")) if r.framework == "pci-dss-4.0.1"]
    assert [r.id for r in found][:3] == ["1.2.1", "1.3.1", "1.4.1"]
    assert {r.standing for r in found} == {"nothing here looks at it"}
    assert "pci-dss-4.0.1" not in by_framework(record(a="pass"))


def test_ids_are_in_the_order_of_people() -> None:
    """10.2.1 comes after 2.2.6, and PCI's sub-requirements after theirs."""
    found = [r.id for r in requirements(record(a="pass")) if r.framework == "pci-dss-4.0.1"]
    assert found.index("2.2.6") < found.index("10.2.1") < found.index("10.2.1.2")


def test_markdown_has_a_row_for_each_framework() -> None:
    """It says what it is no certification of; without controls there is no such table."""
    text = draw(record(a="pass", b="fail"))
    assert "### Controls: cross-reference, not a certification" in text
    assert "| acme-2 | 1.2 | none | none |" in text
    plain: Any = [sample.header([]), sample.droplet(0), sample.result("t.py::x", DROPLET, "pass")]
    assert "### Controls" not in draw(Document.from_lines(plain))


def test_a_framework_has_a_title() -> None:
    """A shipped one with its version; a site's own is called by its key."""
    assert title("pci-dss-4.0.1") == "PCI DSS 4.0.1"
    assert title("acme-2") == "acme-2"
