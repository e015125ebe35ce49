"""Ordinary tests on Droplets: whom they run on, and what they need of a host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from pytest_droplet.audit import Audit
from pytest_droplet.collection import (
    CheckItem,
    asks_for_droplets,
    audit_key,
    droplet_of,
)
from pytest_droplet.connection import testinfra as backend
from pytest_droplet.facts import all_facts

_HOST = "_testinfra_host"


def activate(audit: Audit) -> None:
    """Let testinfra's ``droplet://`` hosts be those of this run, with what is read of them."""
    prefetch = audit.options.prefetch
    backend.activate(audit.hosts, audit.droplets, audit.sections, prefetch=prefetch)


def deactivate() -> None:
    """Forget the hosts of the run."""
    backend.deactivate()


def parametrize(metafunc: pytest.Metafunc, audit: Audit) -> None:
    """Name the selected Droplets as testinfra's hosts of the module, unless it names its own.

    testinfra's own hook, which comes after, makes a test of each; ``droplet`` and the facts
    follow ``host``.
    """
    module = metafunc.module
    if _HOST in metafunc.fixturenames and not hasattr(module, "testinfra_hosts"):
        module.testinfra_hosts = [f"droplet://{d.pytest_id}" for d in audit.droplets]


def forget_after(item: pytest.Item, following: pytest.Item | None) -> None:
    """Forget what testinfra asked a Droplet, where the next test is about another."""
    droplet = droplet_of(item)
    if droplet is not None and (following is None or droplet_of(following) != droplet):
        backend.forget(droplet.id)


def need_connection(items: Iterable[pytest.Item]) -> frozenset[int]:
    """Return the ids of the Droplets that some test has ``host`` of."""
    return frozenset(
        droplet.id
        for item in items
        if "host" in getattr(item, "fixturenames", ()) and (droplet := droplet_of(item))
    )


def functions_of(items: Iterable[pytest.Item]) -> Iterator[Callable[..., object]]:
    """Yield the functions of users' checks and tests, each once."""
    seen = set()
    for item in items:
        if isinstance(item, CheckItem):
            function: Callable[..., object] | None = item.check.function
        else:
            function = getattr(item, "function", None)
        if function is not None and id(function) not in seen and asks_for_droplets(item):
            seen.add(id(function))
            yield function


def skip_out_of_reach(item: pytest.Item) -> None:
    """Skip, with the reason, a test that needs the host of a Droplet that is off or not ours."""
    droplet = droplet_of(item)
    if droplet is None or isinstance(item, CheckItem):
        return
    names = getattr(item, "fixturenames", ())
    known = all_facts()
    if "host" in names or any(n in known and known[n].of_host for n in names):
        host = item.config.stash[audit_key].observation(droplet.id).host
        if host.state in {"off", "not-ours"}:
            pytest.skip(host.reason)
