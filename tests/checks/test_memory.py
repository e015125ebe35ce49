"""What is known of a host is let go of with its last check."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_droplet.verdict import judge
from tests.checks.cases import Case, all_cases


@contextmanager
def without_collector() -> Iterator[None]:
    """Leave Python's garbage collector out."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def keeps_its_host(case: Case) -> bool:
    """Whether a host outlives the verdict on it."""
    seen = case.observation()
    host = weakref.ref(seen)
    judge(case.check, seen)
    del seen
    return host() is not None


def test_no_verdict_keeps_a_host() -> None:
    """A collector that runs rarely has nothing to do, whatever exceptions a check ends with."""
    with without_collector():
        of_hosts = [case for case in all_cases() if not case.check.of_account]
        kept = [str(case.path) for case in of_hosts if keeps_its_host(case)]

    assert of_hosts
    assert kept == []
