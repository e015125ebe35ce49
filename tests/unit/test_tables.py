"""The tables of distributions and verdicts: whole, and the only ones of their kind."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

import pytest_droplet
from pytest_droplet.report.html_script import joined
from pytest_droplet.tables import DISTRIBUTIONS, OPEN, VERDICTS, distribution_of
from pytest_droplet.words import Outcome

PACKAGE = Path(pytest_droplet.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST = 4
"""So many members of a table in one literal are a table of their own."""


def literals(tree: ast.AST) -> Iterator[tuple[int, frozenset[object]]]:
    """Yield the line and the constants of each dict's keys, set, list, tuple and call."""
    for node in ast.walk(tree):
        match node:
            case ast.Dict(keys=members):
                pass
            case ast.Set(elts=members) | ast.List(elts=members) | ast.Tuple(elts=members):
                pass
            case ast.Match(cases=cases):
                members = [c.pattern.value for c in cases if isinstance(c.pattern, ast.MatchValue)]
            case _:
                continue
        constants = frozenset(m.value for m in members if isinstance(m, ast.Constant))
        yield getattr(node, "lineno", 0), constants


def second_tables(source: str, words: frozenset[str]) -> list[int]:
    """Return the lines of a module that spell most of a table's words out."""
    found = literals(ast.parse(source))
    return [line for line, constants in found if len(words & constants) >= MOST]


@pytest.mark.parametrize(
    ("words", "places"),
    [
        (frozenset(VERDICTS), {"words.py"}),
        (frozenset(d.id for d in DISTRIBUTIONS), set()),
        (frozenset(d.product for d in DISTRIBUTIONS), set()),
        (frozenset(d.word for d in DISTRIBUTIONS), set()),
    ],
    ids=["verdicts", "ids", "products", "words"],
)
def test_no_other_module_has_a_table_of_the_kind(words: frozenset[str], places: set[str]) -> None:
    """A verdict or a distribution is added in one place; words.py has the type of verdicts."""
    found = {
        f"{path.relative_to(PACKAGE)}"
        for path in MODULES
        if second_tables(path.read_text(encoding="utf-8"), words)
    }

    assert found - {"tables.py"} == places


@pytest.mark.parametrize(
    "source",
    [
        "x = {'pass': 1, 'fail': 2, 'unknown': 3, 'waived': 4}",
        "x = ('pass', 'fail', 'unknown', 'waived')",
        "x = {'pass', 'fail', 'unknown', 'waived'}",
        "match x:\n case 'pass': y\n case 'fail': y\n case 'error': y\n case 'waived': y",
    ],
    ids=["dict", "tuple", "set", "match"],
)
def test_a_second_table_is_seen(source: str) -> None:
    """The search finds a table in each of the forms that it can have."""
    assert second_tables(source, frozenset(VERDICTS)) == [1]


def test_the_page_has_no_table_of_verdicts() -> None:
    """The page's script draws verdicts by the table that comes with its data."""
    script = joined()

    assert "data.verdicts" in script
    words = re.compile(rf"\b({'|'.join(VERDICTS)})\b")
    assert [line for line in script.splitlines() if len(set(words.findall(line))) >= MOST] == []


def test_every_verdict_has_a_row() -> None:
    """The table has what a verdict may be, each with an order, a letter and words of its own."""
    kinds = list(VERDICTS.values())

    assert set(VERDICTS) == set(get_args(Outcome))
    for column in ("order", "letter", "word", "mark"):
        values = [getattr(kind, column) for kind in kinds]
        assert len(set(values)) == len(values), column


def test_every_verdict_is_in_the_schema_the_style_and_the_reference() -> None:
    """What cannot read the table, as it is no code of ours, has the same verdicts."""
    package = files("pytest_droplet")
    schema = json.loads((package / "data/record.schema.json").read_text("utf-8"))
    style = (package / "report/page/page.css").read_text("utf-8")
    reference = (PACKAGE.parent / "docs/reference/verdicts.md").read_text("utf-8")

    assert set(schema["$defs"]["verdict"]["enum"]) == set(VERDICTS)
    assert [name for name in VERDICTS if f".t-{name}" not in style] == []
    assert [name for name in VERDICTS if f"`{name}`" not in reference] == []


def test_nothing_that_is_not_met_or_not_told_is_shown_as_passed() -> None:
    """Unknown is never green: pytest passes what is met, and nothing else."""
    assert {k.name for k in VERDICTS.values() if k.outcome == "passed"} == {"pass"}
    assert {k.name for k in VERDICTS.values() if k.state == "met"} == {"pass"}
    assert {k.name for k in VERDICTS.values() if k.outcome == "failed"} == OPEN
    worst = sorted(VERDICTS.values(), key=lambda kind: kind.order)
    assert [kind.open for kind in worst] == sorted((k.open for k in worst), reverse=True)


def test_every_distribution_has_dates() -> None:
    """The table of end-of-life dates has just the products of the distributions."""
    table = json.loads((files("pytest_droplet") / "data/endoflife.json").read_text("utf-8"))

    assert {known.product for known in DISTRIBUTIONS} == set(table["products"])


def test_a_distribution_is_found_by_its_id_and_its_variant() -> None:
    """Where two share an id, the one whose word the name has is found; others by id alone."""
    for known in DISTRIBUTIONS:
        assert distribution_of(known.id, f"{known.word} {known.variant}") == known
    assert distribution_of("ol", "Oracle Linux Server") is None
    assert distribution_of("", "") is None


def test_the_readme_names_every_distribution() -> None:
    """README says on which distributions Droplets are judged."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [line] = [line for line in readme.splitlines() if line.startswith("- Linux Droplets with ")]

    supported = [known.word for known in DISTRIBUTIONS if known.word != "CentOS Linux"]
    assert [word for word in supported if word not in line] == []
