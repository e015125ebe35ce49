"""What all writers share: the record read once, the order of results."""

from __future__ import annotations

from pytest_droplet.report.document import Document, grouped
from tests.support import sample_record as sample


def test_a_document_counts_and_keeps_no_result() -> None:
    """Checks of users' own tests have a page too; results are read again each time."""
    lines = sample.fleet(12)
    document = Document.from_lines(lines)
    results = [line for line in lines if line["type"] == "result"]
    assert list(document.results()) == results
    assert list(document.results()) == results
    assert sum(document.counts.values()) == sum(document.sizes.values()) == len(results)
    assert document.checks["tests/test_site.py::test_the_site_answers"]["title"] == (
        "The site answers"
    )
    assert document.name(None) == "account"
    assert document.name(417000001) == "web-1"
    assert document.name(5) == "Droplet 5"


def test_a_record_that_was_cut_is_drawn_all_the_same() -> None:
    """Neither header nor summary is taken for granted."""
    document = Document.from_lines([sample.result("a.b", 1, "fail")])
    assert document.summary is None
    assert document.observed_at(next(document.results())) == ""


def test_the_worst_comes_first() -> None:
    """What fails the run, what broke, what is unknown, what is below the gate, what is waived."""
    lines = [
        sample.result("a.1", 1, "waived", severity="critical"),
        sample.result("a.2", 1, "fail", severity="critical", gated=False),
        sample.result("a.3", 1, "unknown"),
        sample.result("a.4", 1, "error"),
        sample.result("a.5", 1, "fail", severity="low"),
        sample.result("a.6", 1, "fail", severity="critical", gated=True, caused_by="a.7"),
        sample.result("a.7", 1, "fail", severity="critical"),
        sample.result("a.8", 1, "pass"),
    ]
    document = Document.from_lines(lines)
    worst = document.worst({"fail", "unknown", "error", "waived"}, 99)
    assert [line["check"][2:] for line in worst] == list("6754321")
    assert [group.check[2:] for group in grouped(worst)] == list("7654321")
    assert [line["check"][2:] for line in document.worst({"fail"}, 1)] == ["6"]


def test_what_an_unreachable_droplet_leaves_unknown_is_told_once() -> None:
    """But a check that broke there, or failed, or lacks something else has words of its own."""
    lines = [sample.droplet(0, coverage="unreachable"), sample.droplet(1)]
    document = Document.from_lines(lines)
    unreachable, reached = (line["id"] for line in lines)
    lost = sample.result("a.b", unreachable, "unknown", unreached=True)
    assert not document.told_apart(lost)
    assert document.told_apart(sample.result("a.b", unreachable, "unknown", message="not asked"))
    assert document.told_apart(sample.result("a.b", unreachable, "error"))
    assert document.told_apart(sample.result("a.b", unreachable, "fail"))
    assert document.told_apart(sample.result("a.b", reached, "unknown"))
    assert document.told_apart(sample.result("a.b", None, "unknown"))
    assert Document.from_lines([]).told_apart(lost)
