"""Audit DigitalOcean Droplets with pytest.

A check is a function decorated with :func:`check` whose parameters name the facts that it
judges; any other test may ask for the same names as fixtures.
"""

from pytest_droplet.catalogue import check
from pytest_droplet.facts import fact
from pytest_droplet.model import Claims, NotObservedError, not_applicable

__all__ = ["Claims", "NotObservedError", "check", "fact", "not_applicable"]
