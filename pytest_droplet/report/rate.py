"""The rate: one figure for how much of what is asked of Droplets holds."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from pytest_droplet.tables import State

WEIGHTS = MappingProxyType({"critical": 8, "high": 4, "medium": 2, "low": 1})
"""What a check counts by its severity."""

SENTENCE = (
    "The rate is the share of the judged checks that pass, weighted by severity "
    f"({', '.join(f'{severity} {weight}' for severity, weight in WEIGHTS.items())}). "
    "What is unknown, broken or waived does not count as passed; what does not apply is left out."
)


def rate(verdicts: Iterable[tuple[State, str]]) -> int | None:
    """Return the weighted share of verdicts that are met, in percent, cut to a whole number.

    It is 100 only where all of them are met.

    Args:
        verdicts: The state and the severity of each verdict.

    Returns:
        None where nothing was judged.
    """
    met = judged = 0
    for state, severity in verdicts:
        if state == "not-there":
            continue
        judged += WEIGHTS[severity]
        met += WEIGHTS[severity] * (state == "met")
    return 100 * met // judged if judged else None
