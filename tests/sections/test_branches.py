"""No branch of the host script that prints something is without a case."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pytest_droplet.connection.script import PRELUDE

from .case import CASES, known_sections
from .exceptions import UNREACHED
from .points import points, traced

for _module in sorted(Path(__file__).parent.glob("test_*.py")):
    if _module.stem != Path(__file__).stem:
        importlib.import_module(f".{_module.stem}", __package__)

PATHS = sorted(
    {PRELUDE.path, *(file.path for section in known_sections().values() for file in section.files)}
)


def sections_with(path: str) -> set[str]:
    """Return the names of the sections that have a file."""
    return {
        name
        for name, section in known_sections().items()
        if path == PRELUDE.path or any(file.path == path for file in section.files)
    }


@pytest.mark.parametrize("section", sorted(known_sections()))
def test_a_section_is_run_by_all_shells_and_awks(section: str) -> None:
    """One case of each section has the full matrix."""
    assert [c.name for c in CASES.values() if c.matrix and c.sections[0] == section]


@pytest.mark.parametrize("path", PATHS)
def test_every_branch_that_prints_is_reached(path: str, kept: Path) -> None:
    """Each command of a section runs in one of its cases, or it is said why none can show it."""
    concerned = [c for c in CASES.values() if sections_with(path) & set(c.sections)]
    reached = {name for made in concerned for name in made.answers(kept).reached}
    excepted = UNREACHED.get(path, {})
    left = [p for p in points(path) if str(p) not in reached and p.text not in excepted]

    assert not left, "\n".join(["no case reaches", *(f"{p}: {p.text}" for p in left)])


@pytest.mark.parametrize("path", sorted(UNREACHED))
def test_an_exception_is_of_a_line_that_exists(path: str) -> None:
    """What is excepted stands in the file, and its reason is said."""
    lines = {point.text for point in points(path)}

    assert set(UNREACHED[path]) <= lines
    assert all(UNREACHED[path].values())


def test_a_traced_section_tells_its_points() -> None:
    """A command in a list, in a substitution and of an awk program is a point."""
    section = known_sections()["listeners"]
    names = {str(p) for file in section.files for p in points(file.path)}

    assert len(names) > 10
    assert all(name in traced(section).command for name in names)
