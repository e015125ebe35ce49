"""Coverage: whole numbers decide, and no output shows more than there is."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_droplet.coverage import Coverage
from pytest_droplet.report.document import Document
from pytest_droplet.report.html import write_html
from pytest_droplet.report.markdown import draw
from pytest_droplet.report.terminal import Summary, summary_texts
from tests.support import sample_record as sample

COUNT = st.integers(0, 20_000)


@example(reached=1999, unreachable=1, required=100)
@example(reached=1998, unreachable=1, required=100)
@example(reached=9_999, unreachable=1, required=100)
@given(reached=COUNT, unreachable=COUNT, required=st.integers(0, 100))
def test_the_figures_are_never_better_than_the_counts(
    reached: int, unreachable: int, required: int
) -> None:
    """The percentage is at most the fraction, and falls short exactly where the gate does."""
    seen = Coverage(reached=reached, unreachable=unreachable, required=required)
    if seen.percent is None:
        assert reached + unreachable == 0
        assert not seen.short
        return
    exact = Fraction(100 * reached, reached + unreachable)
    assert exact - Fraction(1, 10) < Fraction(str(seen.percent)) <= exact
    assert seen.short == (exact < required)
    assert seen.short == (seen.percent < required)


def test_nothing_due_is_no_percentage() -> None:
    """Where no host should have answered, nobody is told that all did."""
    seen = Coverage(off=2)
    assert (seen.percent, seen.short, str(seen)) == (None, False, "no host was due")
    assert seen.line["percent"] is None


def test_a_record_gives_back_what_it_was_given() -> None:
    """Also one of an earlier version, whose percentage was rounded."""
    seen = Coverage(reached=1999, unreachable=1, off=3, not_ours=4, not_read=5, required=99)
    assert Coverage.of_line(seen.line) == seen
    assert Coverage.of_line(seen.line | {"percent": 100.0}) == seen


def one_missing() -> list[dict[str, object]]:
    """A record whose run reached 1,999 of 2,000 Droplets."""
    lines = sample.small()
    hosts = [line for line in lines if line["type"] == "droplet"]
    rest = [line for line in lines if line["type"] not in {"droplet", "summary"}]
    many = [hosts[0] | {"id": 10_000 + i, "coverage": "reached"} for i in range(1_999)]
    many.append(hosts[0] | {"id": 12_000, "coverage": "unreachable", "reason": "web: no answer"})
    seen = Coverage.of(many, 100)
    return [rest[0], *many, *rest[1:], lines[-1] | {"coverage": seen.line}]


def test_every_output_shows_the_same_percentage(tmp_path: Path) -> None:
    """1,999 of 2,000 is 99.9 % on the page, in Markdown and on the terminal; nowhere 100 %."""
    lines = one_missing()
    document = Document.from_lines(lines)
    page = tmp_path / "page.html"
    write_html(iter(lines), page)
    summary = Summary(
        findings=(),
        checks={},
        droplets=document.droplets,
        coverage=Coverage.of(document.droplets.values(), 100),
        counts={},
        waivers=[],
        changes=None,
        judged_at="",
        not_run=0,
    )
    terminal = "\n".join(text.text for text in summary_texts(summary, 80, 0))
    assert "1,999 of 2,000 Droplets reached: 99.9 % (at least 100 % is asked for)" in terminal
    assert "1,999 of 2,000 Droplets reached, 99.9 %, **at least 100 %" in draw(document)
    text = page.read_text()
    places = re.findall(r"Coverage is ([\d.]+) %, less|<b>([\d.]+) %</b> <span>reached", text)
    assert places == [("99.9", ""), ("", "99.9")], "the notice and the figure"
    assert "100 %</b> <span>reached" not in text


def test_reached_is_not_read() -> None:
    """Hosts that were read without root are reached, and it is said beside the figure."""
    line = {"coverage": "reached", "connection": {"root": False}}
    seen = Coverage.of([line, line, {"coverage": "reached", "connection": {"root": True}}], 100)
    assert seen.of_reached == "3 of 3 Droplets reached, 2 of them read without root"
    assert seen.line["without_root"] == 2
    assert Coverage.of([], 0).of_reached == "0 of 0 Droplets reached"
