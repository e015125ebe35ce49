"""Foreign text made harmless: one table of what acts, for every output."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytest_droplet
from pytest_droplet.text import (
    clean,
    harmless,
    harmless_line,
    line_of_bytes,
    one_line,
    printable,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)


@given(ANY_TEXT, st.integers(1, 100))
def test_clean_text_is_bounded_and_every_encoding_takes_it(text: str, limit: int) -> None:
    """No surrogate, no control character but tab and line feed, no turned writing."""
    found = clean(text, limit)
    found.encode()
    assert len(found) <= limit
    assert not {c for c in found if ord(c) < 32 or 0x7F <= ord(c) < 0xA0} - {"\t", "\n"}
    assert not set(found) & set("\u202e\u2066\u2028\u200f")


@given(ANY_TEXT)
def test_one_line_is_one_line(text: str) -> None:
    """Whatever ends a line for some reader is gone."""
    assert len(f"x{one_line(text)}".splitlines()) == 1


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=100))
def test_plain_text_stays_as_it_is(text: str) -> None:
    """Only what acts is replaced."""
    assert clean(text, 1_000) == text


@given(st.text(), st.integers(min_value=1, max_value=300))
def test_one_line_is_one_printable_line(text: str, limit: int) -> None:
    """No control character, no line end, no surrogate, never longer than asked."""
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
    line.encode()


@given(st.binary(max_size=300), st.integers(1, 50))
def test_bytes_of_a_host_are_one_printable_line(raw: bytes, limit: int) -> None:
    """Whatever they are."""
    line = line_of_bytes(raw, limit)
    assert line.isprintable()
    assert len(line) <= limit


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\rb", "\x9b2J", "\u202etxt", "\ud800", "\x00"])
def test_what_acts_is_replaced(text: str) -> None:
    """Colours, carriage returns, C1 controls, turned writing, what no encoding can hold."""
    assert printable(text).isprintable()
    assert "\ufffd" in printable(text)


@pytest.mark.parametrize("command", ["::error::x", "  ::stop-commands::y", "##[error]z"])
def test_no_line_is_a_command_of_a_ci_system(command: str) -> None:
    """GitHub's runner obeys lines that begin so."""
    for text in (harmless(f"one\n{command}"), harmless_line(command)):
        for line in text.splitlines():
            assert not line.lstrip().startswith("::")
            assert "##[" not in line


NOT_FOR_PEOPLE = {
    "api/client.py": "a token that cannot stand in a header is refused",
    "connection/client_config/conditions.py": "fnmatch makes an expression of a pattern",
    "facts/sshkeys/public_keys.py": "white space inside of a key is what sshd skips",
    "report/html_data.py": "JSON inside of a script element",
    "waivers.py": "fnmatch makes an expression of a pattern",
}


def test_no_other_module_has_a_table_of_such_characters() -> None:
    """Whoever needs harmless text takes it from one place."""
    package = Path(pytest_droplet.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"isprintable", "translate"}
    }
    assert found == {"text.py", *NOT_FOR_PEOPLE}
