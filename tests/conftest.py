"""What a module leaves open is found as the module ends, and blames its last test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


def pytest_collection_finish() -> None:
    """What lives on from here is not looked at again: that makes the fixture below cheap."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    """Collect garbage: a socket that nobody closed warns now, and not while another test runs."""
    yield
    gc.collect()
