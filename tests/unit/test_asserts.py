"""A module whose asserts do not raise is found before it makes everything green."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from pytest_droplet import asserts, checks
from pytest_droplet.catalogue import shipped

SOURCES = {
    "plain": """
def test_it(x):
    assert x
""",
    "nested": """
def test_it(x):
    def inner():
        assert x, "no"
    inner()
""",
    "method": """
class TestIt:
    def test_it(self, x):
        assert x
test_it = TestIt.test_it
""",
    "below a decorator": """
def deco(function):
    def wrapper(x):
        return function(x)
    return wrapper

@deco
def test_it(x):
    assert x
""",
    "helper": """
def must(x):
    assert x

def test_it(x):
    must(x)
""",
    "own error beside": """
def other():
    raise AssertionError("by hand")

def test_it(x):
    assert x
""",
}
NOTHING_TO_PROVE = {
    "no assert": """
import pytest

def test_it(x):
    if x:
        pytest.fail("no")
""",
    "constant": """
def test_it(x):
    assert True
""",
    "at import": """
assert __name__

def test_it(x):
    pass
""",
}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ModuleType]:
    """A function that makes a module of a source, compiled with asserts or without them."""

    def make(source: str, optimize: int = 0, *, keep: bool = True) -> ModuleType:
        path = tmp_path / f"site_{len(list(tmp_path.iterdir()))}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        exec(compile(source, str(path), "exec", optimize=optimize), vars(module))
        if not keep:
            path.unlink()
        return module

    return make


@pytest.mark.parametrize("name", SOURCES)
def test_asserts_that_were_left_out_are_found(load: Callable[..., ModuleType], name: str) -> None:
    """By the code that was loaded, wherever in the module the asserts stand."""
    well, off = load(SOURCES[name]), load(SOURCES[name], 1)
    assert asserts.off_in([well.test_it]) is None
    reason = asserts.off_in([well.test_it, off.test_it])
    assert reason is not None
    assert reason.startswith(f"{off.__name__}: no assert of this module raises, so that its")
    assert "\n" not in reason


@pytest.mark.parametrize("name", NOTHING_TO_PROVE)
def test_a_module_without_asserts_has_nothing_to_prove(
    load: Callable[..., ModuleType], name: str
) -> None:
    """It may use ``pytest.fail``; an assert that Python leaves out anyway proves nothing."""
    assert asserts.off_in([load(NOTHING_TO_PROVE[name]).test_it]) is None


def test_code_without_a_source_is_not_believed(load: Callable[..., ModuleType]) -> None:
    """Nothing shows that there was no assert; where one is left, it shows that they raise."""
    source = SOURCES["plain"]
    assert asserts.off_in([load(source, keep=False).test_it]) is None
    reason = asserts.off_in([load(source, 1, keep=False).test_it])
    assert reason is not None
    assert "its source cannot be read" in reason


def test_wraps_is_seen_through(load: Callable[..., ModuleType]) -> None:
    """The function that was written is looked at, not the one that a decorator made."""
    off = load(SOURCES["plain"], 1)

    @functools.wraps(off.test_it)
    def wrapper(x: object) -> None:
        assert x
        off.test_it(x)

    assert asserts.off_in([wrapper]) is not None


@pytest.mark.parametrize("number", range(len(shipped())))
def test_every_shipped_module_is_looked_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is refused when its module's code is the one that Python makes with ``-O``.

    A module that fails by ``fail()`` alone does so with ``-O``, too.
    """
    check = list(shipped().values())[number]
    path = check.function.__code__.co_filename
    off = ModuleType(check.function.__module__)
    vars(off)["__file__"] = path
    exec(compile(Path(path).read_bytes(), path, "exec", optimize=1, dont_inherit=True), vars(off))
    function: FunctionType = vars(off)[check.function.__name__]
    assert asserts.off_in([check.function]) is None
    has_assert = any(
        isinstance(n, ast.Assert) for n in ast.walk(ast.parse(Path(path).read_text()))
    )
    assert (asserts.off_in([function]) is not None) is has_assert


def test_a_shipped_assert_really_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test runs one; where it does not raise the run is refused."""
    with pytest.raises(AssertionError):
        checks.assert_nothing()
    assert asserts.off_in_shipped() is None
    monkeypatch.setattr(checks, "assert_nothing", lambda: None)
    assert str(asserts.off_in_shipped()).startswith("pytest_droplet.checks: no assert")


@pytest.mark.parametrize("level", [0, 1, 2])
def test_python_says_whether_asserts_are_on(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """``-O``, ``-OO`` and PYTHONOPTIMIZE, whatever rewrites the asserts."""
    flags: Any = type("Flags", (), {"optimize": level})
    monkeypatch.setattr(sys, "flags", flags)
    assert (asserts.off_in_python() is not None) is bool(level)
