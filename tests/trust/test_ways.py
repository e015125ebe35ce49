"""The ssh configs of the how-tos work as they stand, with a user's ordinary defaults around them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_droplet.connection.ssh_config import Route, SshConfig
from pytest_droplet.testing import Cloud
from tests.docs.markdown import ROOT, blocks
from tests.support.fake_api import FakeApi
from tests.support.ssh_server import Servers, host, login_name

HOW_TO = ROOT / "docs/how-to"
DEFAULTS = (
    "# defaults of many users\nHost *\n    User somebody\n    Port 22\n    AddKeysToAgent yes"
    "  # mac\n    UseKeychain yes\n    ServerAliveInterval 1m\n    ControlMaster auto\n"
    "    ControlPath ~/.ssh/%C\n    HashKnownHosts yes\n"
)


def config_of(page: str) -> str:
    """Return the block of a how-to that is for ~/.ssh/config."""
    (found,) = [
        block.text for block in blocks(HOW_TO / page) if "~/.ssh/config" in (block.caption)
    ]
    return found


def way(folder: Path, text: str, name: str, address: str, user: str | None = None) -> Route:
    """Return the way to a Droplet by a config with the ordinary defaults at its end."""
    path = folder / "config"
    path.write_text(f"{text}\n{DEFAULTS}")
    return SshConfig(str(path), user).route(name, address)


def test_bastion(tmp_path: Path) -> None:
    """Private addresses go through the bastion, as its own user; the bastion itself is reached."""
    text = config_of("bastion.md")
    behind = way(tmp_path, text, "web-1", "10.114.0.5")
    config = SshConfig(str(tmp_path / "config"))
    gate = config.hop(behind.jump)
    assert (behind.host, behind.port, behind.jump) == ("10.114.0.5", 22, ("bastion",))
    assert (gate.host, gate.user, gate.jump) == ("203.0.113.5", "audit", ())
    assert config.route("web-2", "203.0.113.9").jump == ()
    assert config.route("bastion", "203.0.113.5").user == "audit"


def test_private_network(tmp_path: Path) -> None:
    """The alias is what known_hosts is asked for, at every address of the Droplet."""
    text = config_of("private-network.md")
    for address in ("10.114.0.5", "203.0.113.9"):
        found = way(tmp_path, text, "web-1", address)
        assert (found.host, found.trust_name) == (address, ("web-1.example.com", 22))
    assert way(tmp_path, text, "web-2", "10.114.0.6").trust_name == ("10.114.0.6", 22)


def test_non_root(tmp_path: Path) -> None:
    """The option wins over the ``User`` of the defaults, and without it that one counts."""
    page = (HOW_TO / "non-root.md").read_text("utf-8")
    (user,) = set(re.findall(r"--droplets-user=(\w+)", page))
    assert way(tmp_path, "", "web-1", "203.0.113.9", user).user == user
    assert way(tmp_path, "", "web-1", "203.0.113.9").user == "somebody"


def test_the_rules_for_sudo_are_rules(tmp_path: Path) -> None:
    """Each block for /etc/sudoers.d is taken by the real visudo."""
    if shutil.which("visudo") is None:
        pytest.skip("visudo is not installed")
    rules = [b.text for b in blocks(HOW_TO / "non-root.md") if "sudoers" in (b.caption)]
    assert len(rules) == 2
    for number, text in enumerate(rules):
        path = tmp_path / f"audit-{number}"
        path.write_text(text + "\n")
        path.chmod(0o440)
        done = subprocess.run(["visudo", "-c", "-f", path], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_bastion_is_gone_through(
    project: pytest.Pytester, farm: Servers, api: FakeApi, cloud: Cloud
) -> None:
    """The how-to's config, with the addresses and ports of servers on loopback, reads a host."""
    del api
    cloud.add("behind", id=7, public=None, private="127.0.0.7")
    server = farm.ssh({"127.0.0.7": 7}, host)
    gate = farm.ssh({"127.0.0.2": 0}, forwards=True)
    text = config_of("bastion.md")
    assert all(part in text for part in ("203.0.113.5", "10.114.*", "User audit"))
    text = text.replace("203.0.113.5", f"127.0.0.2\n    Port {gate.port}")
    text = text.replace("10.114.*", f"127.0.0.7\n    Port {server.port}")
    text = text.replace("User audit", f"User {login_name()}")
    keys = (
        f"Host *\n    User {login_name()}\n    IdentityFile {farm.folder}/id_ed25519\n"
        f"    IdentityAgent none\n    UserKnownHostsFile {farm.known_hosts}\n"
    )
    path = farm.folder / "config"
    path.write_text(f"{text}\n{keys}{DEFAULTS}")
    result = project.runpytest_inprocess(
        "--droplets=name:behind",
        "--droplets-address=private",
        f"--ssh-config={path}",
        "-k",
        "release",
    )
    result.assert_outcomes(passed=1, deselected=1)
    assert gate.forwarded == [("127.0.0.7", server.port)]
