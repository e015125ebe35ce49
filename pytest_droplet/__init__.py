"""Audit DigitalOcean Droplets with pytest.

A check is a function decorated with :func:`check` whose parameters name the facts that it
judges; any other test may ask for the same names as fixtures.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_droplet.catalogue import check
    from pytest_droplet.facts import fact
    from pytest_droplet.model import Claims, NotObservedError, fail, not_applicable

__all__ = ["Claims", "NotObservedError", "check", "fact", "fail", "not_applicable"]

_HOMES = {
    "Claims": "model",
    "NotObservedError": "model",
    "check": "catalogue",
    "fact": "facts",
    "fail": "model",
    "not_applicable": "model",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: pytest loads this package in every run."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
