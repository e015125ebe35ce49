"""A run in which a false assert would not raise is refused: everything would be green."""

from __future__ import annotations

import importlib.util
import py_compile
import sys

import pytest

REPLAY = ("--droplets=all", "--droplets-replay=recording", "--droplets-report=jsonl:out.jsonl")
OFF = "Python runs with asserts turned off (-O or PYTHONOPTIMIZE)*; run it without"
COMPANY = """
from pytest_droplet import check

@check("site.never")
def test_never(droplet):
    assert droplet.id == 0, "never"
"""


def refused(result: pytest.RunResult) -> None:
    """The run ended with exit code 4, one line, and no report."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    for unwanted in ("INTERNALERROR", "Traceback", "replacing crashed worker", "coverage:"):
        assert unwanted not in text
    assert len([line for line in result.errlines if line.startswith("ERROR: ")]) == 1


@pytest.mark.parametrize("more", [(), ("--assert=plain",), ("-p", "no:assertion"), ("--co",)])
def test_optimized_python_is_refused(
    audit: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    """PYTHONOPTIMIZE, whatever rewrites asserts and whatever else is set."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    result = audit.runpytest_subprocess(*REPLAY, *more)
    refused(result)
    result.stderr.fnmatch_lines([f"ERROR: {OFF}"])
    assert not (audit.path / "out.jsonl").exists()


def test_a_run_without_droplets_is_no_business_of_ours(
    audit: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --droplets nothing is refused."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    audit.makepyfile(test_site="def test_it(): pass")
    audit.runpytest_subprocess().assert_outcomes(passed=1)


def test_an_optimized_worker_is_refused(audit: pytest.Pytester) -> None:
    """A worker of pytest-xdist runs a Python of its own."""
    tx = f"--tx=popen//python={sys.executable} -O"
    result = audit.runpytest_subprocess(*REPLAY, "--dist=load", tx)
    refused(result)
    result.stderr.fnmatch_lines([f"ERROR: {OFF}"])


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
@pytest.mark.parametrize("test", ["droplet", "droplet, tmp_path"], ids=["check", "ordinary"])
def test_users_checks_without_asserts_are_refused(
    audit: pytest.Pytester, test: str, workers: tuple[str, ...]
) -> None:
    """A module of checks whose compiled file has none, though its source does."""
    source = COMPANY.replace("(droplet)", f"({test})")
    path = audit.path / "company.py"
    path.write_text(source)
    audit.makepyfile(test_site="from company import test_never")
    cached = importlib.util.cache_from_source(str(path))
    py_compile.compile(str(path), cfile=cached, optimize=1, doraise=True)
    result = audit.runpytest_subprocess(*REPLAY, *workers)
    refused(result)
    result.stderr.fnmatch_lines(["ERROR: company: no assert of this module raises, *"])


def test_plain_asserts_are_enough(audit: pytest.Pytester) -> None:
    """Asserts need not be rewritten, only be there."""
    result = audit.runpytest_subprocess(*REPLAY, "--assert=plain")
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=1)
