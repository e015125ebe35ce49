"""Roots for the cases; in CI a machine that can make none is a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .case import CASES, TRACED, Seen
from .root import why_not

_TOOK = "section_case_s"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Look at what each pair of shell and awk printed, and at what the traced script printed."""
    if "seen" in metafunc.fixturenames:
        made = CASES[f"{metafunc.module.__name__}.{metafunc.function.__name__}"]
        names = {**{pair: "-".join(pair) for pair in made.tools}, TRACED: "traced"}
        metafunc.parametrize(
            "seen", [(made, pair) for pair in names], ids=names.values(), indirect=True
        )


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the processes of this run keep what cases printed."""
    if reason := why_not():
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"no real roots: {reason}")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sections"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def seen(kept: Path, request: pytest.FixtureRequest) -> Seen:
    """What the sections of the case printed."""
    made, pair = request.param
    answers = made.answers(kept)
    request.node.user_properties.append((_TOOK, (made.name, answers.took_s)))
    return answers.seen[pair]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the cases that took longest, with all that their shells and awks did."""
    took: dict[str, float] = {}
    for report in terminalreporter.getreports("passed"):
        took.update(value for name, value in report.user_properties if name == _TOOK)
    if took:
        slowest = sorted(took, key=took.__getitem__, reverse=True)[:3]
        shown = ", ".join(f"{name.rpartition('.')[2]} {took[name]:.2f} s" for name in slowest)
        mean = sum(took.values()) / len(took)
        terminalreporter.write_line(f"{len(took)} cases, {mean:.2f} s each; slowest: {shown}")
