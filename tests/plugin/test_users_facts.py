"""Facts of users, in any conftest.py: what they need is read, and what can never be had is said."""

from __future__ import annotations

import pytest

from pytest_droplet.audit import reading_plan

CIRCLE = """
from pytest_droplet import fact

@fact("a")
def droplet_site_a(droplet_site_b):
    return 1

@fact("b")
def droplet_site_b(droplet_site_a):
    return 2
"""
CHECK = """
from pytest_droplet import check

@check("site.a")
def test_a(droplet_site_a):
    \"\"\"There is an a.\"\"\"
    assert droplet_site_a
"""
ALL = """
from pytest_droplet import fact
from pytest_droplet.model import Reading

@fact("all of it")
def droplet_site(
    observation, droplet, droplet_settings, droplet_now,
    droplet_os_release, droplet_kernel: Reading[object], droplet_units: "Reading[object]",
):
    assert observation.now == droplet_now
    assert droplet_settings is not None
    return f"{droplet.name}: {droplet_os_release.id}, {droplet_kernel.missing}, {droplet_units.value}"
"""
CHECK_ALL = """
from pytest_droplet import check

@check("site.all")
def test_all(droplet_site):
    \"\"\"It is what it should be.\"\"\"
    assert droplet_site == "x", droplet_site
"""
REPLAY = ("--droplets=all", "--droplets-replay=recording", "--droplets-profile=none")


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_circle_ends_the_run_with_its_path(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """Exit code 4 and one line, however many processes collect."""
    audit.makeconftest(CIRCLE)
    audit.makepyfile(test_site=CHECK)
    result = audit.runpytest_subprocess(*REPLAY, *workers)
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    path = "droplet_site_a -> droplet_site_b -> droplet_site_a"
    lines = [line for line in result.stderr.lines if line]
    assert lines == [f"ERROR: facts take each other in a circle: {path}"]
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_fact_made_of_others_is_judged(audit: pytest.Pytester) -> None:
    """Of a fact of ours, the Droplet, the settings, the time, and what it sees of the host."""
    audit.makeconftest(ALL)
    audit.makepyfile(test_site=CHECK_ALL)
    result = audit.runpytest_subprocess(*REPLAY)
    shown = " ".join(result.stdout.str().split())
    assert "web-1-12: web-1: debian, kernel: the host's answer has no such section, None" in shown


def test_the_plan_has_what_a_fact_of_facts_needs() -> None:
    """The saved firewall asks for its manager, which asks for rules, units and files."""
    sections, _ = reading_plan(["droplet_saved_firewall"], probe=True)
    names = {section.name for section in sections}
    assert {"firewall_files", "nft", "iptables", "units", "addresses"} <= names
