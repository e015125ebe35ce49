"""The line of progress while the API is waited for: which list, and how many of its pages."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_droplet import progress
from pytest_droplet.testing import SCOPES, Cloud
from tests.support.accounts import read_account
from tests.support.clock import FakeTime


@pytest.fixture
def cloud() -> Cloud:
    """An account of 450 Droplets with two backups each."""
    cloud = Cloud()
    for number in range(450):
        cloud.add(f"web-{number}", tags=["web"], backups=2)
    return cloud


def test_what_is_waited_for_is_told_by_list_and_pages(cloud: Cloud) -> None:
    """Of each list that is under way; of nothing where nothing is."""
    said: dict[str, str] = {}
    reader = cloud.client()

    def look(path: str, query: Mapping[str, str]) -> None:
        said.setdefault(f"{path} {query['page']}", reader.underway())

    cloud.on_request = look
    read_account(reader, now=cloud.now, lists=["backups"])
    assert said["/v2/images 1"] == "GET /v2/images: 0 of 1"
    assert said["/v2/images 2"].endswith(" of 5")
    assert reader.underway() == "the API"


def test_lists_of_each_droplet_are_counted_together(cloud: Cloud) -> None:
    """A thousand of them are one line."""
    cloud.add_firewall("walls", tags=["web"])
    said: list[str] = []
    time = FakeTime()
    reader = cloud.client(SCOPES - {"tag:read"}, sleep=time.sleep, clock=time.clock)

    def look(path: str, _: Mapping[str, str]) -> None:
        if path.endswith("/firewalls") and path != "/v2/firewalls":
            said.append(reader.underway())

    cloud.on_request = look
    read_account(reader, now=cloud.now, lists=["firewalls"])
    assert len(said) == 450
    assert all("GET /v2/droplets/{droplet_id}/firewalls: " in text for text in said)
    assert all(text.endswith(" of 450") for text in said)


def test_a_list_that_fails_is_not_waited_for_any_more(cloud: Cloud) -> None:
    """Whatever page it was."""
    time = FakeTime()
    reader = cloud.client(sleep=time.sleep, clock=time.clock)
    cloud.fail("/v2/images?page=3", 403)
    read_account(reader, now=cloud.now, lists=["backups"])
    assert reader.underway() == "the API"


def test_the_line_is_drawn_and_erased(cloud: Cloud) -> None:
    """On a terminal alone; while page 2 is waited for, the line says so."""
    shown = io.StringIO()
    drawn = threading.Event()

    def wait_until_drawn(path: str, query: Mapping[str, str]) -> None:
        if (path, query["page"]) == ("/v2/images", "2"):
            drawn.wait(60)

    class Writer:
        width_of_current_line = 0
        fullwidth = 80

        @property
        def _file(self) -> Any:
            return self

        def write(self, text: str) -> None:
            shown.write(text)
            if "GET /v2/images: " in text:
                drawn.set()

        def flush(self) -> None:
            """Nothing is kept back."""

    cloud.on_request = wait_until_drawn
    reader = cloud.client()
    for isatty in (False, True):
        reporter = SimpleNamespace(isatty=isatty, verbosity=0, _tw=Writer())
        plugins = SimpleNamespace(getplugin=lambda _, found=reporter: found)
        drawn.clear() if isatty else drawn.set()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TERM", "xterm")
            with progress.of_requests(SimpleNamespace(pluginmanager=plugins), reader):  # type: ignore[arg-type]
                read_account(reader, now=cloud.now, lists=["backups"])
        assert bool(shown.getvalue()) is isatty
    assert "reading GET /v2/images: " in shown.getvalue()
    assert shown.getvalue().endswith("\n\r\x1b[K\x1b[A\r")
