"""The options that say whose account is read, and those that print and exit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_droplet.api import _pydo
from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi

assert _pydo  # pytester forgets what a run imports, and http.cookiejar must be one


@pytest.fixture
def account(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """An account on loopback whose token only doctl's context ``prod`` knows."""
    cloud = Cloud()
    cloud.add("web-1", id=12, tags=["web", "prod"], region="fra1")
    cloud.add("db-1\x1b[31m", id=11, status="off")
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    config = pytester.path / "doctl.yaml"
    config.write_text(f"access-token: dop_v1_{'0' * 64}\nauth-contexts:\n  prod: {TOKEN}\n")
    monkeypatch.setenv("DIGITALOCEAN_CONFIG", str(config))
    with FakeApi(cloud) as api:
        monkeypatch.setenv("DIGITALOCEAN_API_URL", api.url)
        yield api


def test_doctls_token_reads_the_account(pytester: pytest.Pytester, account: FakeApi) -> None:
    """The list has every Droplet by id; what a host is called cannot colour the terminal."""
    result = pytester.runpytest_inprocess(
        "--droplets=all", "--droplets-list", "--droplets-doctl-context=prod"
    )

    assert result.ret is pytest.ExitCode.OK
    assert result.outlines == [
        "ID  NAME       STATUS  REGION  ADDRESS    TAGS",
        "11  db-1\ufffd[31m  off     fra1    127.0.0.1  -",
        "12  web-1      active  fra1    127.0.0.1  web,prod",
    ]
    assert "\x1b" not in result.stdout.str()


def test_the_wrong_context_is_the_apis_refusal(
    pytester: pytest.Pytester, account: FakeApi
) -> None:
    """A token that is not let in is one line, which does not show it."""
    result = pytester.runpytest_inprocess(
        "--droplets=all", "--droplets-list", "--droplets-doctl-context=default"
    )

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: GET /v2/droplets: 401 *; check that the token (*doctl*) is valid and not expired"]
    )
    assert "0" * 64 not in result.stderr.str()


def test_a_context_that_does_not_exist(pytester: pytest.Pytester, account: FakeApi) -> None:
    """One line with those that do, and exit code 4."""
    result = pytester.runpytest_inprocess("--droplets=all", "--droplets-doctl-context=prodd")

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --droplets-doctl-context=prodd: *doctl.yaml has no such context;*default, prod"]
    )
    assert account.requests == []


def test_no_file_of_a_project_names_a_context(pytester: pytest.Pytester, account: FakeApi) -> None:
    """Whose account is read is for the person to say who types the command."""
    pytester.makeini("[pytest]\naddopts = --droplets-doctl-context=prod\n")

    result = pytester.runpytest_inprocess("--droplets=all", "--droplets-list")

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: tox.ini: addopts has --droplets-doctl-context=prod: *"])
    assert account.requests == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--droplets-list"], "--droplets-list needs a selector: add --droplets=all"),
        (
            ["--droplets-explain=ssh.passwd-authentication"],
            "--droplets-explain=ssh.passwd-authentication: there is no such check; did you mean *",
        ),
        (["--droplets-explain=%"], "--droplets-explain=%: there is no such check; see the doc*"),
        (["--droplets=all", "--droplets-list"], "--droplets needs an API token: *"),
    ],
)
def test_what_cannot_be_printed_is_one_line(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    """Each says what to do."""
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    result = pytester.runpytest_inprocess(*options)

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_every_form_of_a_check_has_one_page(pytester: pytest.Pytester) -> None:
    """A check with a parameter: its forms first, then the page, and what reads the host."""
    result = pytester.runpytest_inprocess("--droplets-explain=tls.not-expiring")

    assert result.ret is pytest.ExitCode.OK
    assert result.outlines[:3] == [
        "tls.not-expiring[nginx]",
        "tls.not-expiring[apache]",
        "tls.not-expiring[edge]",
    ]
    result.stdout.fnmatch_lines(["severity: *; profiles: *", "Remediation:"])


def test_the_script_is_that_of_the_profile(pytester: pytest.Pytester) -> None:
    """What hosts would be sent, for an auditor to read; a profile without checks sends less."""
    whole = pytester.runpytest_inprocess("--droplets-show-script", "--droplets-profile=all")
    none = pytester.runpytest_inprocess("--droplets-show-script", "--droplets-profile=none")

    assert whole.ret is none.ret is pytest.ExitCode.OK
    assert "# ==== facts/ssh/sshd.sh" in whole.stdout.str()
    assert "# ==== facts/ssh/sshd.sh" not in none.stdout.str()
    assert not Path(pytester.path / ".pytest_cache").exists()
