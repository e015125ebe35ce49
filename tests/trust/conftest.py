"""An account behind HTTP, SSH servers, and a project that audits them as a user would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pytest_droplet.session
from pytest_droplet.api import _pydo
from pytest_droplet.catalogue import shipped
from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.ssh_server import farm  # noqa: F401 - a fixture for the tests here

# pytester forgets the modules that a run imported: what is loaded before is loaded once.
assert pytest_droplet.session
assert _pydo
assert shipped()

CHECKS = '''
from pytest_droplet import check

@check("site.name", severity="low")
def test_name(droplet):
    """The Droplet has a name."""
    assert droplet.name

@check("site.release", severity="critical")
def test_release(droplet_os_release):
    """The release is known."""
    assert droplet_os_release.version_id
'''


@pytest.fixture(autouse=True)
def _no_token_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DIGITALOCEAN_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cloud() -> Cloud:
    """An account of three Droplets on loopback addresses."""
    account = Cloud()
    for number in (1, 2, 3):
        account.add(f"web-{number}", id=number, public=f"127.0.0.{number}", tags=["web"])
    return account


@pytest.fixture
def api(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """The account behind HTTP, named by the environment with its token."""
    with FakeApi(cloud) as running:
        monkeypatch.setenv("DIGITALOCEAN_API_URL", running.url)
        monkeypatch.setenv("DIGITALOCEAN_TOKEN", TOKEN)
        yield running


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with two checks: one of the API's facts, one of the host's."""
    pytester.makepyfile(test_site=CHECKS)
    pytester.makeini("[pytest]\ndroplets_profile = none\naddopts = -p no:randomly\n")
    return pytester
