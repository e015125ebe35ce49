"""The texts of sections in the case files of the checks are what real roots print."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.checks.cases import HERE

from .samples import UNSTAGED, Sample, printed, rewritten, same, samples
from .stage import STAGES


@pytest.mark.parametrize("section", sorted(STAGES))
def test_a_text_is_what_a_root_prints(section: str, kept: Path) -> None:
    """Where it is not, ``python -m tests.sections SECTION`` puts it right."""
    found = list(samples(section))
    known = {text: printed(section, text) for text in {sample.text for sample in found}}
    wrong = [s.name for s in found if not same(section, s.text, known[s.text])]

    assert wrong == []


def test_every_section_of_the_case_files_is_staged_or_it_is_said_why_not() -> None:
    """No text is typed without a reason."""
    tables = r"^\[+(?:hosts\.)?sections\.(\w+)\]"
    named = {
        section
        for path in HERE.glob("*/*.toml")
        for section in re.findall(tables, path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert named == STAGES.keys() | UNSTAGED.keys()
    assert not STAGES.keys() & UNSTAGED.keys()


@pytest.mark.parametrize("new", ["plain\n", "with \\ and '\n", '"""\n', ""])
def test_a_text_is_rewritten_in_its_place(new: str, tmp_path: Path) -> None:
    """The rest of the file stays, and the new text is read back."""
    path = tmp_path / "x.pass.toml"
    before = '[sections.os]\nstdout = """\nold\n"""\n\n[sections.apt]\nstdout = "old"\n'
    path.write_text(before, encoding="utf-8")
    sample = Sample(path, "os", "old\n", before.index('"""'), before.index("\n\n"))

    path.write_text(rewritten(sample, new), encoding="utf-8")

    assert tomllib.loads(path.read_text("utf-8")) == {
        "sections": {"os": {"stdout": new}, "apt": {"stdout": "old"}}
    }
