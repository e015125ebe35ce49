"""The parts of the tests that `pytest` alone skips: each runs by its name, and only so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = (
    "tests/lab",
    "tests/lab/",
    "tests/lab/test_hosts.py",
    "tests/lab/test_hosts.py::test_boots",
    "tests/lab/deeper",
)


@pytest.fixture
def checkout(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with our conftest.py, a unit test, and a lab that cannot be imported here."""
    shutil.copy(ROOT / "conftest.py", pytester.path)
    pytester.makeini("[pytest]\ntestpaths = tests\naddopts = -ra -p no:randomly\n")
    for name in ("tests/unit/test_u.py", "tests/lab/test_hosts.py", "tests/lab/deeper/test_d.py"):
        file = pytester.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("def test_boots():\n    pass\n")
    return pytester


@pytest.mark.parametrize("arguments", [(), ("tests",), (".",), ("tests/unit", "tests"), ("-n1",)])
def test_nothing_of_a_part_is_read_unless_it_is_named(
    checkout: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    """One skip stands for the whole folder, and says what to type; its conftest is not loaded."""
    (checkout.path / "tests/lab/conftest.py").write_text("raise ImportError\n")

    result = checkout.runpytest(*arguments)

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] tests/lab: the lab * run `pytest tests/lab`"])


@pytest.mark.parametrize("argument", NAMED)
def test_a_part_runs_by_its_name(checkout: pytest.Pytester, argument: str) -> None:
    """The folder, a file or a test in it: what is named runs, and nothing is skipped."""
    result = checkout.runpytest(argument)

    result.assert_outcomes(passed=2 if argument.rstrip("/") == "tests/lab" else 1)


def test_a_part_runs_by_its_name_in_several_processes(checkout: pytest.Pytester) -> None:
    """pytest-xdist's workers know what was named."""
    result = checkout.runpytest("-n1", "tests/lab")

    result.assert_outcomes(passed=2)


def test_a_part_beside_everything_runs(checkout: pytest.Pytester) -> None:
    """Named together with the folder above it, it is not skipped."""
    result = checkout.runpytest("tests", "tests/lab")

    result.assert_outcomes(passed=3)


def test_a_part_runs_from_within(
    checkout: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stands in the folder named it."""
    monkeypatch.chdir(checkout.path / "tests/lab")

    result = checkout.runpytest()

    result.assert_outcomes(passed=2)


def test_each_reason_says_how_to_run_its_part() -> None:
    """What the skip shows is the command that runs it."""
    namespace: dict[str, object] = {"__file__": str(ROOT / "conftest.py"), "__name__": "conftest"}
    exec((ROOT / "conftest.py").read_text(), namespace)
    parts = namespace["PARTS"]
    assert isinstance(parts, dict)
    assert parts
    for folder, reason in parts.items():
        assert reason.endswith(f"run `pytest {folder}`")
