"""Checks are chosen by the requirement that asks for them; a site adds frameworks of its own."""

from __future__ import annotations

import json

import pytest

from pytest_droplet.catalogue import shipped

REPLAY = ("--droplets=name:web-1", "--droplets-replay=recording")
POLICY = """\
[framework.acme-2]
title = "Policy of the site"
[framework.acme-2.checks]
"auditd.installed" = ["9.1"]
"""
OWN = '''\
from pytest_droplet import check

@check("site.own", controls={"pci-dss-4.0.1": ["10.2.1", "2.2.1"], "acme-2": ["9.1"]})
def test_own(droplet):
    """The Droplet has a name."""
    assert droplet.name
'''


@pytest.fixture
def site(audit: pytest.Pytester) -> pytest.Pytester:
    """The fleet, and a framework and a check of the site's own."""
    (audit.path / "droplet-controls.toml").write_text(POLICY, encoding="utf-8")
    audit.makepyfile(test_own=OWN)
    return audit


def collected(site: pytest.Pytester, *arguments: str) -> set[str]:
    """Return the ids of the checks that are collected, without Droplet and parameter."""
    result = site.runpytest_inprocess(*REPLAY, "--droplets-profile=all", "--co", "-q", *arguments)
    ids = (line.partition("::")[2] for line in result.outlines if "::" in line)
    return {name.partition("[")[0] for name in ids}


def asked_by(framework: str, one: str) -> set[str]:
    """Return the shipped checks that a requirement asks for, without their parameter."""
    return {
        check.base_id for check in shipped().values() if one in check.controls.get(framework, ())
    }


def test_m_chooses_by_requirement(site: pytest.Pytester) -> None:
    """Each of several ids of a check chooses it: of the table, its author, and the site."""
    control = "droplet_control(framework='{}', id='{}')".format
    pci = collected(site, "-m", control("pci-dss-4.0.1", "10.2.1"))
    assert pci == asked_by("pci-dss-4.0.1", "10.2.1") | {"site.own"}
    assert "auditd.installed" in pci
    assert collected(site, "-m", control("pci-dss-4.0.1", "2.2.1")) == {"site.own"}
    assert collected(site, "-m", control("acme-2", "9.1")) == {"site.own", "auditd.installed"}
    assert collected(site, "-m", "droplet_control(framework='acme-2')") == {
        *("site.own", "auditd.installed")
    }
    assert not collected(site, "-m", control("pci-dss-4.0.1", "99.9"))


def test_the_header_of_the_record_has_all_controls(site: pytest.Pytester) -> None:
    """A check's own ids, and those of the site's frameworks beside the table's."""
    site.runpytest_inprocess(
        *(*REPLAY, "--droplets-profile=cis2", "-k", "own or auditd.installed"),
        "--droplets-report=jsonl:out.jsonl",
    )
    header = json.loads((site.path / "out.jsonl").read_text().partition("\n")[0])
    pages = {page["id"]: page["controls"] for page in header["checks"]}
    assert pages["site.own"] == {"pci-dss-4.0.1": ["10.2.1", "2.2.1"], "acme-2": ["9.1"]}
    assert pages["auditd.installed"]["acme-2"] == ["9.1"]
    assert pages["auditd.installed"]["hipaa"] == ["164.312(b)"]


def test_a_check_that_is_not_there_ends_the_run(site: pytest.Pytester) -> None:
    """A mistyped id in the file is one line, and exit code 4."""
    text = POLICY.replace("auditd.installed", "auditd.install")
    (site.path / "droplet-controls.toml").write_text(text, encoding="utf-8")

    result = site.runpytest_inprocess(*REPLAY)

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: droplet-controls.toml: *: there is no shipped check 'auditd.install'; did you *"]
    )
