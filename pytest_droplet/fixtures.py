"""Fixtures for ordinary tests: the Droplet, and every fact by its name."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from pytest_droplet.collection import audit_key
from pytest_droplet.facts import Fact, all_facts
from pytest_droplet.model import Droplet
from pytest_droplet.settings import Settings


@pytest.fixture(scope="module")
def droplet(_testinfra_host: Any) -> Droplet:
    """The Droplet under test, as the API lists it (`pytest_droplet.model.Droplet`)."""
    found: Droplet = _testinfra_host.backend.droplet
    return found


@pytest.fixture(scope="session")
def droplet_settings(pytestconfig: pytest.Config) -> Settings:
    """The settings of the checks: `[tool.droplet]` of pyproject.toml, or droplet.toml."""
    return pytestconfig.stash[audit_key].settings


class FactFixtures(ModuleType):
    """A module, as pytest takes fixtures from those, with one for every registered fact."""

    def __init__(self) -> None:
        super().__init__("droplet_facts")
        for fact in all_facts().values():
            setattr(self, fact.name, _fixture(fact))


def _fixture(fact: Fact) -> Any:
    def read(droplet: Droplet, pytestconfig: pytest.Config) -> Any:
        return pytestconfig.stash[audit_key].observation(droplet.id).reading(fact.name).get()

    read.__doc__ = fact.doc
    return pytest.fixture(scope="module", name=fact.name)(read)
