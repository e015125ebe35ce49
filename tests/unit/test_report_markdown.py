"""Markdown: drawn by GitHub's own library, what hosts say is never markup; at most 1 MiB."""

from __future__ import annotations

import re
from pathlib import Path

import cmarkgfm
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.report.document import Document
from pytest_droplet.report.markdown import LIMIT_BYTES, append, draw, escape, write
from tests.support import sample_record as sample

_OURS = {"h2", "h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}


def html(markdown: str) -> str:
    """What GitHub would show."""
    return str(cmarkgfm.github_flavored_markdown_to_html(markdown))


def tags(text: str) -> set[str]:
    """The names of all elements."""
    return set(re.findall(r"</?([a-zA-Z][a-zA-Z0-9]*)", text))


def test_droplets_with_the_same_reason_are_one_row() -> None:
    """The first names stand there, and how many more there are."""
    lines = [
        sample.droplet(n, name=f"w{n}", coverage="unreachable", reason=f"w{n}: no route")
        for n in range(60)
    ]
    rows = re.findall(
        r"^\| (w0.*) \| no route \|$", draw(Document.from_lines(lines)), re.MULTILINE
    )
    assert [row.count(",") for row in rows] == [49]
    assert rows[0].endswith(", w49 and 10 more")


def test_the_page_says_the_worst_first() -> None:
    """Figures, then checks, hosts that were not reached, findings, waivers."""
    text = draw(Document.from_lines(sample.fleet(12)))
    assert text.startswith("## Droplet audit: 38 findings on 12 Droplets\n")
    reached = "9 of 10 Droplets reached, 1 of them read without root, 90 %"
    assert f"Coverage: {reached}, **at least 100 % is asked for**." in text
    titles = re.findall("^### (.*)$", text, re.MULTILINE)
    controls = "Controls: cross-reference, not a certification"
    assert titles == ["What to fix first", "Not reached", "Findings", controls, "Waivers"]
    rows = re.findall(
        r"^\| (critical|high|medium|low) \| (fail|error|unknown|waived)", text, re.MULTILINE
    )
    assert rows[0] == ("critical", "fail")
    assert rows[-1][1] == "waived"


def test_a_cut_run_says_so() -> None:
    """First of all."""
    page = draw(Document.from_lines(sample.fleet(2)[:-1]))
    assert "**This run was cut: what is not listed was not looked at.**" in page


def test_a_run_that_was_stopped_says_so() -> None:
    """With the number of tests that did not run."""
    lines = sample.small()
    lines[-1]["not_run"] = 3
    text = draw(Document.from_lines(lines))
    assert "**This run was stopped: tests that did not run: 3.**" in text


def test_hostile_texts_are_shown_and_do_nothing() -> None:
    """No element, no link and no image but those of the page's own frame."""
    page = html(draw(Document.from_lines(sample.hostile())))
    assert tags(page) <= _OURS
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_stays_in_its_cell(text: str) -> None:
    """A Droplet may have any name: the table keeps its cells."""
    lines = [
        sample.droplet(0, name=text),
        sample.result("a.b", 417000001, "fail", message=text, severity="high"),
    ]
    page = html(draw(Document.from_lines(lines)))
    assert tags(page) <= _OURS
    assert page.count("<td") == 4 + 6


@pytest.mark.parametrize(
    "text", ["[a](https://x.y)", "https://x.y", "www.x.y", "![a](b)", "<a@b.c>", "`a`", "a|b\\|c"]
)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    """No link, no code, no image."""
    assert tags(html(escape(text))) <= {"p"}


def test_a_mention_reaches_nobody() -> None:
    """An at sign has a blank of no width behind it."""
    assert escape("@everyone") == "@\u200beveryone"


def test_no_page_is_longer_than_github_takes(tmp_path: Path) -> None:
    """The page says how many rows were left out."""
    lines = [sample.header(), *(sample.droplet(n, name=f"|{n}" * 99) for n in range(1_500))]
    for number in range(12_000):
        text = "é|" * 2_000
        lines.append(
            sample.result(f"a.c{number}", lines[1 + number % 1_500]["id"], "fail", message=text)
        )
    write(Document.from_lines([*lines, sample.summary(lines)]), tmp_path / "out.md")
    text = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert (tmp_path / "out.md").stat().st_size <= LIMIT_BYTES
    assert re.search(r"[\d,]+ more are left out: see the record\.", text)


@pytest.fixture(scope="module")
def large() -> Document:
    """A fleet whose page is longer than a job summary may be."""
    return Document.from_lines(sample.fleet(1_500, findings=0.3))


@pytest.mark.parametrize("used", [0, 500_000, LIMIT_BYTES - 3_000, LIMIT_BYTES, LIMIT_BYTES * 2])
@pytest.mark.slow
def test_a_job_summary_is_never_made_too_long(tmp_path: Path, large: Document, used: int) -> None:
    """What other steps wrote stays, and counts."""
    file = tmp_path / "summary"
    file.write_text("x" * used)
    append(large, file)
    assert file.read_text(encoding="utf-8").startswith("x" * used)
    assert file.stat().st_size <= max(used, LIMIT_BYTES)
    assert (file.stat().st_size > used) == (used < LIMIT_BYTES - 2_000)
