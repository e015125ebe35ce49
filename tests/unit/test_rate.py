"""The rate: what counts as passed, and by how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.report.rate import SENTENCE, WEIGHTS, rate
from pytest_droplet.tables import VERDICTS
from pytest_droplet.words import SEVERITIES

verdicts = st.lists(st.tuples(st.sampled_from(list(VERDICTS)), st.sampled_from(SEVERITIES)))


def of(found: list[tuple[str, str]]) -> int | None:
    """Return the rate of verdicts by their names."""
    return rate((VERDICTS[name].state, severity) for name, severity in found)


def test_each_severity_has_a_weight_that_the_sentence_names() -> None:
    """A worse one weighs more."""
    weights = [WEIGHTS[severity] for severity in SEVERITIES]
    assert weights == sorted(set(weights), reverse=True)
    assert all(f"{severity} {weight}" in SENTENCE for severity, weight in WEIGHTS.items())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], None),
        ([("notapplicable", "critical")], None),
        ([("pass", "low"), ("notapplicable", "critical")], 100),
        ([("pass", "critical"), ("fail", "low")], 88),
        ([("pass", "high"), ("unknown", "high")], 50),
        ([("pass", "low"), ("waived", "low"), ("error", "low")], 33),
    ],
)
def test_the_share_that_passes(found: list[tuple[str, str]], expected: int | None) -> None:
    """Weighted, cut to a whole number; what does not apply is left out."""
    assert of(found) == expected


@given(verdicts)
def test_only_where_all_is_met_it_is_whole(found: list[tuple[str, str]]) -> None:
    """Nothing that failed, broke, was waived or is unknown is rounded away."""
    judged = [name for name, _ in found if name != "notapplicable"]
    assert (of(found) == 100) is (bool(judged) and set(judged) == {"pass"})
