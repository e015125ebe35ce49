"""Shipped checks of a Droplet are one test to what pytest wraps around each test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

SHIPPED = (
    *("--droplets=all", "--droplets-replay=recording", "--droplets-report=jsonl:out.jsonl"),
    *("--droplets-profile=all", "--pyargs", "pytest_droplet.checks"),
    *("-p", "no:timeout", "-p", "no:rerunfailures"),
)
WRAPPER = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    print(f"around {item.nodeid}")
    return (yield)
"""
WARNS = """
import warnings

class Warns:
    def pytest_runtest_logstart(self, nodeid):
        warnings.warn("here")

def pytest_configure(config):
    config.pluginmanager.register(Warns())
"""


def verdicts(audit: pytest.Pytester) -> list[dict[str, Any]]:
    """The results of the record without their times."""
    lines = map(json.loads, (audit.path / "out.jsonl").read_text().splitlines())
    return [{**line, "duration_s": 0} for line in lines if line["type"] == "result"]


def wrapped(audit: pytest.Pytester, *args: str) -> Sequence[str]:
    """The node ids that pytest's wrappers of a test saw."""
    calls = audit.inline_run(*SHIPPED, *args).getcalls("pytest_runtest_protocol")
    return [call.item.nodeid for call in calls]


def test_a_droplet_is_wrapped_once(audit: pytest.Pytester) -> None:
    """However many checks it has; those of the account are apart."""
    seen = wrapped(audit)

    of_droplets = [nodeid for nodeid in seen if nodeid.startswith("pytest_droplet/checks[")]
    ids = {v["droplet_id"] for v in verdicts(audit)} - {None}
    assert len(of_droplets) == len(ids) > 1
    of_account = [v["nodeid"] for v in verdicts(audit) if v["droplet_id"] is None]
    assert sorted({*seen} - {*of_droplets}) == sorted(of_account)
    assert len(verdicts(audit)) > 20 * len(ids)


def test_a_plugin_that_wraps_tests_sees_each_check(audit: pytest.Pytester) -> None:
    """What it does around a test is not known; the verdicts are the same."""
    wrapped(audit)
    alone = verdicts(audit)
    audit.makeconftest(WRAPPER)

    result = audit.runpytest_inprocess(*SHIPPED, "-s")

    around = [line.split("around ")[1] for line in result.outlines if "around " in line]
    assert around == [v["nodeid"] for v in alone]
    assert verdicts(audit) == alone


@pytest.mark.parametrize("most", [1, 2])
def test_a_run_ends_within_a_droplet(audit: pytest.Pytester, most: int) -> None:
    """--maxfail is heeded after each check."""
    audit.runpytest_inprocess(*SHIPPED, f"--maxfail={most}")

    bad = [v for v in verdicts(audit) if v["verdict"] not in {"pass", "notapplicable"}]
    assert len(bad) == most
    assert verdicts(audit)[-1] == bad[-1]


def test_a_warning_names_the_droplet(audit: pytest.Pytester) -> None:
    """Warnings within its checks are listed once, with its name."""
    audit.makeconftest(WARNS)

    result = audit.runpytest_inprocess(*SHIPPED, "-Wdefault")

    result.stdout.fnmatch_lines(["*= warnings summary =*", "pytest_droplet/checks[[]*-*[]]"])


def test_ordinary_tests_and_own_checks_stay_tests(audit: pytest.Pytester) -> None:
    """Those of the project are wrapped one by one beside them."""
    seen = wrapped(audit, "test_site.py")

    assert any(nodeid.startswith("pytest_droplet/checks[") for nodeid in seen)
    own = [v["nodeid"] for v in verdicts(audit) if v["nodeid"].startswith("test_site.py")]
    assert own
    assert {*own} <= {*seen}
