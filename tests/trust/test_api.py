"""The API in every mood: the run is whole, or it ends with one line before it begins."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pytest_droplet import discovery
from pytest_droplet.api.client import ApiClient
from pytest_droplet.redact import Secret
from pytest_droplet.testing import SCOPES, Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.trust.runs import refused, verdicts

RUN = ("--droplets=all", "-k", "site.name", "--droplets-report=jsonl:out.jsonl")
Fault = Callable[[Cloud], None]


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run the check that the API alone answers."""
    return project.runpytest_inprocess(*RUN, *args)


def test_without_a_token_nothing_is_sent(
    project: pytest.Pytester, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the variable to set."""
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "  ")
    assert refused(run(project)).startswith(
        "--droplets needs an API token: set DIGITALOCEAN_TOKEN"
    )
    assert api.requests == []


@pytest.mark.parametrize("token", ["dop_v1_" + "0" * 64, "no such token", "t\u00f6ken", "a\nb"])
def test_a_wrong_token_is_one_line_that_does_not_show_it(
    project: pytest.Pytester, api: FakeApi, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """Refused by the service, or before it is sent where no token looks like it."""
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", token)
    result = run(project)
    assert "DIGITALOCEAN_TOKEN" in refused(result)
    assert token not in result.stdout.str() + result.stderr.str()


FAULTS: Mapping[str, tuple[Fault, str]] = {
    "404 as a dict": (
        lambda c: c.fail("/v2/droplets", 404),
        "GET /v2/droplets: 404 ",
    ),
    "a key is missing": (
        lambda c: c.fail("/v2/droplets", 200, body={"meta": {"total": 0}}),
        "GET /v2/droplets: the answer has no 'droplets'",
    ),
    "403": (
        lambda c: c.fail("/v2/droplets", 403),
        "the token lacks the scope droplet:read",
    ),
    "429 of the hour": (
        lambda c: c.fail("/v2/droplets", 429, headers={"ratelimit-remaining": "0"}),
        "429, the token's limit of requests per hour is used up",
    ),
    "429 for too long": (
        lambda c: c.fail("/v2/droplets", 429, headers={"retry-after": "900"}),
        "429, DigitalOcean asks to wait 900 s",
    ),
    "500 always": (
        lambda c: c.fail("/v2/droplets", 500, times=9),
        "GET /v2/droplets: 500 ",
    ),
    "HTML": (
        lambda c: c.fail("/v2/droplets", 200, body="<html>Log in</html>"),
        "the answer is not JSON",
    ),
    "half a JSON": (
        lambda c: c.fail("/v2/droplets", 200, body='{"droplets": [{"id": 1, "na'),
        "the answer is not JSON",
    ),
    "cut off": (
        lambda c: c.cut("/v2/droplets", times=9),
        "GET /v2/droplets: the answer broke off before its end",
    ),
    "a page too few": (
        lambda c: c.fail(
            "/v2/droplets", 200, body={"droplets": [], "meta": {"total": 3}}, times=9
        ),
        "GET /v2/droplets: 0 of 3 rows came in two readings",
    ),
    "no count": (
        lambda c: c.fail("/v2/droplets", 200, body={"droplets": []}),
        "the answer does not say how many rows there are",
    ),
    "elsewhere": (
        lambda c: c.fail("/v2/droplets", 302, headers={"location": "https://evil.test/v2"}),
        "redirected to evil.test: refused, the token goes to no other place",
    ),
    "no Droplet": (
        lambda c: c.droplets.clear(),
        "--droplets=all matches nothing: the account has no droplets",
    ),
    "a row of another kind": (
        lambda c: c.fail("/v2/droplets", 200, body={"droplets": ["x"], "meta": {"total": 1}}),
        "GET /v2/droplets: droplets is not a list of objects",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_inventory_that_is_not_whole_ends_the_run(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud, fault: str
) -> None:
    """One line, exit code 4; no check runs on a part, the record holds no result."""
    api.scopes = SCOPES  # these answers are not as the OpenAPI text has them
    make, message = FAULTS[fault]
    make(cloud)
    result = run(project)
    line = refused(result)
    assert message in line
    assert TOKEN not in result.stdout.str() + result.stderr.str()
    assert not Path(project.path / "out.jsonl").exists()


def test_a_stalled_answer_ends_the_run(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that stops half way costs its time limit, not the whole night."""
    cloud.stall("/v2/droplets", seconds=60, times=9)

    def impatient(token: Secret, endpoint: str, **more: object) -> ApiClient:
        return ApiClient(token, endpoint, read_timeout=0.3)

    monkeypatch.setattr(discovery, "ApiClient", impatient)
    assert "the answer stalled; check the network" in refused(run(project))


@pytest.mark.parametrize(
    "fault",
    [lambda c: c.fail("/v2/droplets", 500), lambda c: c.cut("/v2/droplets")],
    ids=["500 once", "cut once"],
)
def test_what_passes_by_itself_is_tried_again(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud, fault: Fault
) -> None:
    """One broken answer costs a moment; the run is whole."""
    fault(cloud)
    run(project).assert_outcomes(passed=3, deselected=3)


def test_a_wait_that_the_service_asks_for_is_shown(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """Retry-After is honoured, and the user reads why nothing happens."""
    cloud.fail("/v2/droplets", 429, headers={"retry-after": "1"})
    result = run(project)
    result.assert_outcomes(passed=3, deselected=3)
    assert "DigitalOcean's limit per minute is reached: waiting 1 s" in result.stderr.str()


@pytest.mark.parametrize("event", ["created", "destroyed"])
def test_a_droplet_that_comes_or_goes_while_pages_are_read(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud, event: str
) -> None:
    """All pages are read again: each Droplet of the second reading is judged, once."""
    for number in range(4, 405):
        cloud.add(f"db-{number}", id=number)
    seen: list[str] = []

    def change(path: str, query: Mapping[str, str]) -> None:
        if path == "/v2/droplets" and query.get("page") == "2" and not seen:
            seen.append(event)
            if event == "created":
                cloud.add("late", id=9000)
                cloud.droplets.insert(0, cloud.droplets.pop())
            else:
                cloud.remove(1)

    cloud.on_request = change
    run(project)
    judged = sorted(i for _, i in verdicts(project.path / "out.jsonl") if i is not None)
    assert seen
    assert judged == sorted(d["id"] for d in cloud.droplets)


@pytest.mark.parametrize(
    "missing",
    ["tag:read", "firewall:read", "image:read", "ssh_key:read", "vpc:read", "block_storage:read"],
)
def test_a_missing_scope_never_makes_a_verdict_better(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud, missing: str
) -> None:
    """Fields that the service leaves out are unknown: no check passes that did not before."""
    cloud.add_firewall("walls", tags=["web"])
    cloud.add_key("ops")
    args = ("--droplets-profile=all", "-k", "firewall.cloud or backups", "--droplets-probe=off")
    project.makepyfile(test_site="")
    run_all = ("--droplets=all", *args, "--droplets-report=jsonl:out.jsonl")
    project.runpytest_inprocess(*run_all)
    whole = verdicts(project.path / "out.jsonl")
    api.scopes = frozenset(SCOPES) - {missing}
    project.runpytest_inprocess(*run_all)
    narrow = verdicts(project.path / "out.jsonl")
    assert whole.keys() == narrow.keys()
    assert "pass" in whole.values()
    better = {k for k, v in narrow.items() if v == "pass" != whole[k]}
    assert better == set()
    if missing == "firewall:read":  # what other scopes hide is asked Droplet by Droplet
        assert "unknown" in narrow.values()


def test_netrc_is_not_sent(project: pytest.Pytester, api: FakeApi) -> None:
    """A password of the user for the API's host stays at home."""
    netrc = project.path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    assert os.environ["HOME"] == str(project.path)
    run(project).assert_outcomes(passed=3, deselected=3)
    assert {r.headers["Authorization"] for r in api.requests} == {f"Bearer {TOKEN}"}


def test_a_proxy_that_does_not_answer_is_named(
    project: pytest.Pytester, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request by https goes through the environment's proxy; where it is dead, the line says to look there."""
    monkeypatch.setenv("DIGITALOCEAN_API_URL", "https://api.test")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:9")
    result = run(project)
    line = refused(result)
    assert "the proxy" in line
    assert "hunter2" not in result.stdout.str() + result.stderr.str()


def test_a_proxy_never_sees_a_plain_request(
    project: pytest.Pytester, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http is for this machine alone: a proxy would be handed the token in clear."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    run(project).assert_outcomes(passed=3, deselected=3)


def test_the_token_follows_no_redirect(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """Not even to another port of this machine."""
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"droplets": [], "meta": {"total": 0}}).encode())

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}/v2/droplets"
        cloud.fail("*", 301, headers={"location": place}, times=9)
        try:
            refused(run(project))
        finally:
            server.shutdown()
    assert asked == []


@pytest.mark.parametrize(
    "url", ["http://api.digitalocean.com", "ftp://127.0.0.1", "https://me:pw@api.test", "nonsense"]
)
def test_the_token_goes_only_where_it_is_safe(
    project: pytest.Pytester, api: FakeApi, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """An address that is neither https nor this machine is refused before anything is sent."""
    monkeypatch.setenv("DIGITALOCEAN_API_URL", url)
    result = run(project)
    assert refused(result).startswith("DIGITALOCEAN_API_URL=")
    assert ":pw" not in result.stderr.str()


def test_a_run_sends_get_alone(project: pytest.Pytester, api: FakeApi) -> None:
    """Of a whole run with every profile no other request reaches the service."""
    project.runpytest_inprocess(
        "--droplets=all", "--droplets-profile=all", "-k", "backups or cloud or account"
    )
    assert {r.method for r in api.requests} == {"GET"}


def test_a_hostile_name_spoofs_no_line(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """Names come from the API: control characters reach neither the terminal nor a node id."""
    cloud.droplets[0]["name"] = "web\x1b[2K\r\n9 passed\u202e"
    result = run(project, "-v")
    text = result.stdout.str()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("9 passed") for line in result.outlines)


def test_a_report_of_nothing_is_not_left_from_before(
    project: pytest.Pytester, api: FakeApi
) -> None:
    """A run that is refused leaves no earlier record that looks like its own."""
    run(project).assert_outcomes(passed=3, deselected=3)
    assert Path(project.path / "out.jsonl").stat().st_size
    refused(project.runpytest_inprocess("--droplets=tag:none", *RUN[1:]))
    assert not Path(project.path / "out.jsonl").exists()
