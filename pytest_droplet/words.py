"""The field's words that options, checks and reports share; light, for every pytest run loads it."""

from __future__ import annotations

from typing import Literal

Outcome = Literal["pass", "fail", "unknown", "error", "notapplicable", "waived"]
Severity = Literal["critical", "high", "medium", "low"]

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
PROFILES = ("droplet", "cis1", "cis2", "extended")
