"""What holds for all tests: what they leave open is found, what they start starts quickly."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

# As a plugin of each pytest that a test starts, hypothesis takes longer than all the rest to import.
_ADDOPTS = "-p no:hypothesispytest"


def pytest_collection_finish() -> None:
    """What lives on from here is not looked at again: that makes the fixture below cheap."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _started_without_hypothesis() -> None:
    os.environ["PYTEST_ADDOPTS"] = _ADDOPTS


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The fixture of pytest takes the variable out of the environment."""
    monkeypatch.setenv("PYTEST_ADDOPTS", _ADDOPTS)
    return pytester


@pytest.fixture(scope="module", autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    """Collect garbage: a socket that nobody closed warns now, and not while another test runs."""
    yield
    gc.collect()
