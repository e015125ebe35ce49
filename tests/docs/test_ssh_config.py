"""The page on the ssh config says what is done by each keyword, and that is tried."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_droplet.connection.client_config.keywords import FOLLOWED
from pytest_droplet.connection.ssh_config import SshConfig, SshConfigError
from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs/reference/ssh-config.md").read_text("utf-8")
MANUAL = Path("/usr/share/man/man5/ssh_config.5.gz")
BLOCKS = {"Host", "Match", "Include"}


def keywords(title: str) -> set[str]:
    """Return the keywords of a section's table, those of its first column."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([A-Za-z0-9]+)`", row)}


TITLES = (
    "Followed",
    "Refused for the host",
    "Not followed, and said where it matters",
    "Without effect",
)
TABLES = {title: keywords(title) for title in TITLES}
OF_PAGE = set().union(*TABLES.values())


def route(folder: Path, text: str) -> object:
    """Return what a config says of a host, and how it is reached."""
    path = folder / "config"
    path.write_text(text)
    way = SshConfig(str(path)).route("web-1", "203.0.113.3")
    return way.settings, way.options, way.credentials.keys


def test_a_keyword_stands_in_one_table() -> None:
    """Nobody reads two answers."""
    assert sum(len(table) for table in TABLES.values()) == len(OF_PAGE)


def test_every_keyword_of_ssh_stands_there() -> None:
    """Those of its manual, and those that it prints, whatever the release."""
    known = {name.lower() for name in OF_PAGE}
    wanted: set[str] = set()
    if MANUAL.is_file():
        text = gzip.decompress(MANUAL.read_bytes()).decode("utf-8", "replace")
        wanted |= {name.lower() for name in re.findall(r"^\.It Cm ([A-Z]\w+)", text, re.MULTILINE)}
    if shutil.which("ssh"):
        done = subprocess.run(
            ["ssh", "-G", "-F", "none", "x"], capture_output=True, text=True, check=False
        )
        wanted |= {line.split(" ", 1)[0].lower() for line in done.stdout.splitlines()}
    assert wanted - known == set()


def test_what_is_looked_at_is_what_the_page_says() -> None:
    """The code knows the keywords of three tables, and none of the fourth."""
    assert OF_PAGE - TABLES["Without effect"] - BLOCKS == set(FOLLOWED)


@pytest.mark.parametrize("keyword", [*sorted(TABLES["Without effect"]), "KeywordOfTomorrow"])
@pytest.mark.parametrize("value", ["yes", "1m 2h", '"odd', "", "a=b # c", "none"])
def test_a_keyword_without_effect_has_none(tmp_path: Path, keyword: str, value: str) -> None:
    """Whatever its value, even one that ssh would not take: all stays as it was."""
    settings, _, keys = route(tmp_path, "User me\nPort 3\n")
    found, _, found_keys = route(tmp_path, f"User me\n{keyword} {value}\nPort 3\n")
    assert (found, list(found_keys)) == (settings, list(keys))


EXAMPLES = {
    "KnownHostsCommand": "KnownHostsCommand /usr/bin/corp-keys %H",
    "ProxyUseFdpass": "ProxyUseFdpass yes\nProxyCommand nc -F %h %p",
    "CanonicalizePermittedCNAMEs": (
        "CanonicalizeHostname yes\nCanonicalDomains example.com\n"
        "CanonicalizePermittedCNAMEs *.example.com:*.example.net"
    ),
    "CASignatureAlgorithms": "CASignatureAlgorithms ssh-ed25519\nUserKnownHostsFile FOLDER/ca",
    "PubkeyAuthentication": "PubkeyAuthentication no",
    "PreferredAuthentications": "PreferredAuthentications password,keyboard-interactive",
    "RefuseConnection": 'RefuseConnection "not from here"',
}


@pytest.mark.parametrize("keyword", sorted(TABLES["Refused for the host"]))
def test_a_keyword_that_is_refused_is_named(tmp_path: Path, keyword: str) -> None:
    """For the host of its block, in one line; another host is read all the same."""
    (tmp_path / "ca").write_text("@cert-authority * ssh-ed25519 AAAA\n")
    text = EXAMPLES[keyword].replace("FOLDER", str(tmp_path))
    with pytest.raises(SshConfigError, match=keyword) as caught:
        route(tmp_path, f"Host web-*\n{text}\n")
    assert "\n" not in str(caught.value)
    assert route(tmp_path, f"Host db-*\n{text}\n")
