"""Fixtures for the tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_droplet.api.client import ApiClient
from pytest_droplet.redact import Secret
from pytest_droplet.testing import Cloud
from tests.support.clock import FakeTime
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.ssh_server import farm

__all__ = ["farm"]


@pytest.fixture
def time() -> FakeTime:
    """A clock that only moves when somebody sleeps."""
    return FakeTime()


@pytest.fixture
def cloud() -> Cloud:
    """An account with nothing in it."""
    return Cloud()


@pytest.fixture
def api(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """Serve the account over HTTP."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    with FakeApi(cloud) as server:
        yield server


@pytest.fixture
def client(api: FakeApi, time: FakeTime) -> Iterator[ApiClient]:
    """A client of that server."""
    with ApiClient(Secret(TOKEN), api.url, sleep=time.sleep, clock=time.clock) as reader:
        yield reader
