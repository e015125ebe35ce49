"""A socket that a test leaves open is the failure of its own module."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


def test_what_is_left_open_blames_its_module(pytester: pytest.Pytester) -> None:
    """Also where only the garbage collector finds it; the next module is not to blame."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", pytester.path)
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = -p no:randomly\n")
    pytester.makepyfile(
        test_a_leak="""
        import socket

        def test_leaks():
            kept = [socket.socket()]
            kept.append(kept)
        """,
        test_b_well="def test_well():\n    pass\n",
    )
    result = pytester.runpytest_subprocess()

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["ERROR test_a_leak.py::test_leaks - *"])
