"""The table of what can go wrong names tests that exist, and every kind of trouble has a row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/what-can-go-wrong.md"
NODES = re.findall(r"`(tests/[^`]+\.py(?:::\w+)+)`", PAGE.read_text("utf-8"))


@pytest.mark.parametrize("node", NODES)
def test_a_test_that_the_page_names_exists(node: str) -> None:
    """File, class and function are there."""
    path, *names = node.split("::")
    scope: ast.AST = ast.parse((ROOT / path).read_text("utf-8"))
    for name in names:
        inner = {
            n.name: n
            for n in ast.iter_child_nodes(scope)
            if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        assert name in inner, node
        scope = inner[name]


def test_every_row_names_its_test() -> None:
    """A row without a test is a promise without a proof."""
    rows = [
        line
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| what goes wrong")
    ]
    assert len(rows) == len(NODES) > 60
    assert all(re.search(r"\| `tests/\S+` \|$", row) for row in rows)
