"""The token of one of doctl's contexts: found where doctl keeps it, and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_droplet import discovery
from pytest_droplet.api import doctl
from pytest_droplet.redact import Secret

DEFAULT, PROD = "dop_v1_" + "d0" * 32, "dop_v1_" + "b0" * 32
CONFIG = f"""\
access-token: {DEFAULT}
api-url: ""
auth-contexts:
    prod: {PROD}
    Empty: ""
context: prod
output: text
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Doctl's file in a home of its own; no token in the environment."""
    for name in (*discovery.TOKENS, "DIGITALOCEAN_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    path = tmp_path / ".config/doctl/config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("context", "token"), [("default", DEFAULT), ("prod", PROD), ("PROD", PROD)]
)
def test_a_context_has_its_token(config: Path, context: str, token: str) -> None:
    """``default`` is the file's own token; names are those of doctl, in any case."""
    assert doctl.context_token(context).reveal() == token


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("XDG_CONFIG_HOME", "/elsewhere", "/elsewhere/doctl/config.yaml"),
        ("DIGITALOCEAN_CONFIG", "/own.yaml", "/own.yaml"),
    ],
)
def test_it_is_looked_for_where_doctl_does(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, path: str
) -> None:
    """The folder for configuration, or the file that the environment names."""
    monkeypatch.setenv(name, value)
    assert doctl.config_path() == Path(path)


def test_macos_has_a_folder_of_its_own(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Go's os.UserConfigDir says, which doctl asks; XDG_CONFIG_HOME counts for nothing there."""
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert doctl.config_path() == Path.home() / "Library/Application Support/doctl/config.yaml"


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        (CONFIG, "prodd", "has no such context; contexts there: default, prod"),
        (CONFIG, "empty", "has no such context; contexts there: default, prod"),
        ("context: default\n", "default", "has no such context; contexts there: none"),
        (f"access-token: {DEFAULT}\n\t\tx", "default", "config.yaml, line 2: not YAML as doctl"),
        (f"- {DEFAULT}\n", "default", "not YAML as doctl writes it"),
        ("", "default", "not YAML as doctl writes it"),
        ("[" * 5_000, "default", "not YAML as doctl writes it"),
        ("#" * 2**20 + "\n", "default", "longer than 1 MiB"),
        (f"auth-contexts:\n  - {PROD}\naccess-token: 7\n", "prod", "contexts there: none"),
    ],
    ids=["wrong", "empty", "no-token", "broken", "list", "nothing", "deep", "long", "other-types"],
)
def test_what_is_wrong_is_one_line_without_a_token(
    config: Path, text: str, context: str, message: str
) -> None:
    """The message names the file and the contexts that exist, and nothing else of the file."""
    config.write_text(text)

    with pytest.raises(pytest.UsageError, match=message) as caught:
        discovery.token(context)

    assert str(caught.value).startswith(f"--droplets-doctl-context={context}: {config}")
    assert str(caught.value).isprintable()
    assert "dop_v1" not in str(caught.value)


def test_without_its_file_the_message_says_what_makes_it(config: Path) -> None:
    """Doctl was never set up here, or keeps its file elsewhere."""
    config.unlink()

    with pytest.raises(pytest.UsageError, match="No such file or directory; `doctl auth init`"):
        discovery.token("default")


@pytest.mark.parametrize("name", discovery.TOKENS)
def test_two_tokens_are_refused(config: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Neither wins over the other in silence: they may be of two accounts."""
    monkeypatch.setenv(name, DEFAULT)

    with pytest.raises(pytest.UsageError, match=rf"context=prod: {name} is set too"):
        discovery.token("prod")


def test_without_the_option_its_file_is_not_looked_at(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token on this machine is not used because it is there."""
    monkeypatch.setattr(doctl, "context_token", lambda _: pytest.fail("doctl's file was read"))

    with pytest.raises(pytest.UsageError, match="needs an API token"):
        discovery.token()
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", f" {PROD}\n")
    assert isinstance(discovery.token(), Secret)
    assert discovery.token().reveal() == PROD
