"""A small fleet, recorded, and checks of its own to run on it."""

from __future__ import annotations

from pathlib import Path

import pytest

import pytest_droplet.session
from pytest_droplet.catalogue import shipped
from pytest_droplet.testing import Cloud
from tests.support.recordings import reached, save, unreachable
from tests.support.ssh_server import farm  # noqa: F401 - a fixture for the tests here

# pytester forgets the modules that a run imported: what is loaded before is loaded once.
assert pytest_droplet.session
assert shipped()

CHECKS = '''
from pytest_droplet import NotObservedError, check, not_applicable

@check("site.name", severity="low")
def test_name(droplet):
    """The name is short."""
    assert len(droplet.name) < 6, f"{droplet.name} is long"

@check("site.release", severity="critical")
def test_release(droplet_os_release):
    """The release is Debian 13.

    Remediation:
        Upgrade it to Debian 13.
    """
    assert droplet_os_release.version_id == "13", f"it is {droplet_os_release.pretty_name}"
'''


@pytest.fixture
def fleet(pytester: pytest.Pytester) -> Path:
    """Four Droplets, recorded: db-1 (Debian 13), web-1 (12), web-2 (no answer), web-3 (off)."""
    cloud = Cloud()
    db = cloud.add("db-1", id=11, tags=["db"])
    web_1 = cloud.add("web-1", id=12, tags=["web"])
    web_2 = cloud.add("web-2", id=13, tags=["web"])
    cloud.add("web-3", id=14, tags=["web"], status="off")
    newer = 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13"\nNAME="Debian"\n'
    hosts = [reached(cloud, db, os=newer), reached(cloud, web_1), unreachable(cloud, web_2)]
    return save(cloud, pytester.path / "recording", hosts)


@pytest.fixture
def audit(pytester: pytest.Pytester, fleet: Path) -> pytest.Pytester:
    """A project with two checks, whose ini file names no shipped profile."""
    pytester.makepyfile(test_site=CHECKS)
    pytester.makeini("[pytest]\ndroplets_profile = none\naddopts = -p no:randomly\n")
    return pytester
