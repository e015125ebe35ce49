"""Annotations: ten errors and ten warnings at most, and no command but ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.report.document import Document
from pytest_droplet.report.github import commands, write
from tests.support import sample_record as sample

_COMMAND = re.compile(r"::(error|warning) ((?:[a-z]+=[^:,]*,)*title=[^:,]*)::([^\r\n]*)")


def parsed(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Level and text of each line, as a runner takes it apart."""
    found = []
    for line in commands(Document.from_lines(lines)):
        match = _COMMAND.fullmatch(line)
        assert match, line
        found.append((match[1], match[3]))
    return found


def test_a_check_is_one_annotation() -> None:
    """Never one a Droplet; the worst first; the last of ten stands for the rest."""
    found = parsed(sample.fleet(300))
    assert [level for level, _ in found] == ["error"] * 10 + ["warning"] * 10
    first = next(iter(commands(Document.from_lines(sample.fleet(300)))))
    assert first.startswith("::error file=pytest_droplet/checks/os.py,line=")
    assert (
        "title=os.release-supported%3A Ubuntu 20.04 left support on 2025-05-31 (critical)::"
        in (first)
    )
    assert re.match(r"\d+ results: [a-z0-9-]+, .* and \d+ more: Ubuntu 20.04 left", found[0][1])
    assert re.match(r"[\d,]+ results: .*; see the record", found[9][1])


def test_unreachable_droplets_are_one_warning() -> None:
    """With the first few reasons."""
    lines = [sample.droplet(n, coverage="unreachable", reason=f"no {n}") for n in range(7)]
    results = [sample.result("a.b", line["id"], "unknown", unreached=True) for line in lines]
    found = parsed([*lines, *results])
    assert found == [("warning", "no 0%0Ano 1%0Ano 2%0Ano 3%0Ano 4%0Aand 2 more")]


def test_droplets_with_the_same_reason_are_one_line() -> None:
    """With their names, so that the other reasons are seen too."""
    lines = [
        sample.droplet(n, name=f"w{n}", coverage="unreachable", reason=f"w{n}: no route")
        for n in range(4)
    ]
    lines.append(sample.droplet(4, coverage="unreachable", reason="refused"))
    results = [sample.result("a.b", line["id"], "unknown", unreached=True) for line in lines]
    found = parsed([*lines, *results])
    assert found == [("warning", "4 Droplets: no route: w0, w1, w2, w3%0Arefused")]


def test_what_does_not_fail_the_run_is_no_error() -> None:
    """Below the gate and unknown are warnings; waived and pass are nothing."""
    lines = [
        sample.droplet(0),
        sample.result("a.b", 417000001, "fail", gated=False),
        sample.result("a.c", 417000001, "unknown"),
        sample.result("a.d", 417000001, "waived"),
        sample.result("a.e", 417000001, "pass"),
        sample.result("a.f", 417000001, "error"),
    ]
    assert [level for level, _ in parsed(lines)] == ["error", "warning", "warning"]


@given(st.text(st.characters(codec=None)))
def test_no_text_becomes_a_command(text: str) -> None:
    """Whatever a host says stays the text of the one annotation."""
    lines = [
        sample.droplet(0, name=text),
        sample.result(f"t.py::{text}", 417000001, "fail", message=text, title=text, nodeid=text),
    ]
    assert len(parsed(lines)) == 1


def test_hostile_texts(tmp_path: Path) -> None:
    """No escape sequence, no line that begins with a command of somebody else."""
    lines = sample.hostile()
    lines.append(sample.result("a.x", None, "fail", message="a\n::error::b\r\n::add-mask::c%0A"))
    write(Document.from_lines(lines), tmp_path / "out")
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert len(text.splitlines()) == len(parsed(lines)) <= 20
    assert not re.search("^::add-mask", text, re.MULTILINE)
    assert len(text) < 60_000
