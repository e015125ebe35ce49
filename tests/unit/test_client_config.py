"""What of an ssh config cannot be held against the installed client: it is held by hand here."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.connection.algorithms import choose, host_key_algorithms
from pytest_droplet.connection.client_config import conditions, interfaces
from pytest_droplet.connection.client_config.settings import Settings
from pytest_droplet.connection.ssh_config import SshConfig, SshConfigError

ADDRESS = "203.0.113.3"


def settings(folder: Path, text: str, name: str = "web-1", user: str | None = None) -> Settings:
    """Return what a config says of a host."""
    path = folder / "config"
    path.write_text(text)
    return SshConfig(str(path), user).settings(name, ADDRESS)


def test_tagged(tmp_path: Path) -> None:
    """``Match tagged`` is for hosts that a line before gave the tag."""
    text = "Host web-*\n Tag office\nMatch tagged office,home\n User deploy\n"
    assert settings(tmp_path, text).user == "deploy"
    assert settings(tmp_path, text, "db-1").user == "root"


@pytest.mark.parametrize(
    ("networks", "user"),
    [("10.1.0.0/16", "deploy"), ("192.0.2.0/24,2001:db8::/32", "deploy"), ("10.2.0.0/16", "root")],
)
def test_local_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, networks: str, user: str
) -> None:
    """``Match localnetwork`` is for machines with an address there."""
    mine = (("eth0", "10.1.2.3"), ("eth0", "2001:db8::7"))
    monkeypatch.setattr(interfaces, "addresses", lambda: mine)
    assert settings(tmp_path, f"Match localnetwork {networks}\n User deploy\n").user == user


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0@if5    inet6 2001:db8::7/64 scope\n",
            [("lo", "127.0.0.1"), ("eth0", "2001:db8::7")],
        ),
        (
            (
                "lo0: flags=8049<UP> mtu 1\n\tinet 127.0.0.1 netmask 0xff\nen0: flags=8863<UP>\n"
                "\tether a0:b1:c2:d3:e4:f5\n\tinet 10.1.2.3 netmask 0xffffff00\n"
            ),
            [("lo0", "127.0.0.1"), ("en0", "10.1.2.3")],
        ),
    ],
    ids=["ip", "ifconfig"],
)
def test_addresses_of_interfaces(text: str, found: list[tuple[str, str]]) -> None:
    """As ``ip`` and ``ifconfig`` print them."""
    assert list(interfaces._read(text)) == found


@pytest.mark.parametrize(
    ("version", "user"), [((9, 2), "root"), ((9, 9), "deploy"), ((10, 2), "deploy")]
)
def test_quotes_of_match_are_those_of_the_installed_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], user: str
) -> None:
    """From OpenSSH 9.9 on a backslash within quotes takes the quote along."""
    monkeypatch.setattr(conditions, "_version", lambda: version)
    text = 'Match exec "test \\"a b\\" = \'a b\'"\n User deploy\n'
    try:
        found = settings(tmp_path, text).user
    except SshConfigError:
        found = "root"
    assert found == user


def test_names_of_the_api_are_no_commands(tmp_path: Path) -> None:
    """A Droplet's name reaches no shell if it is more than a name."""
    hostile = "web;touch x"
    for text in ("ProxyCommand nc %n 22\n", 'Match exec "test %n = a"\n User deploy\n'):
        with pytest.raises(SshConfigError, match="is not fit for a command"):
            settings(tmp_path, text, hostile)
        with pytest.raises(SshConfigError, match="is not fit for a command"):
            settings(tmp_path, text, "-oProxyCommand=x")
    assert (
        settings(tmp_path, "ProxyCommand nc %h 22\n", hostile).proxy_command == f"nc {ADDRESS} 22"
    )


def test_a_command_is_run_once_for_all_hosts(tmp_path: Path) -> None:
    """10,000 hosts do not start 10,000 processes where the command is the same."""
    path = tmp_path / "config"
    path.write_text(f'Match exec "echo >>{tmp_path}/runs"\n User deploy\n')
    config = SshConfig(str(path))
    users = {config.settings(f"web-{i}", f"10.0.0.{i}").user for i in range(50)}
    assert users == {"deploy"}
    assert (tmp_path / "runs").read_text() == "\n"


@pytest.mark.parametrize("mode", [0o666, 0o646])
def test_a_config_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """They would name the commands that are run; the line says how to mend it."""
    path = tmp_path / "config"
    path.write_text("User deploy\n")
    path.chmod(mode)
    with pytest.raises(SshConfigError, match="others may write it"):
        SshConfig(str(path)).settings("web-1", ADDRESS)


def test_files_that_include_each_other(tmp_path: Path) -> None:
    """An end is put to it, and one line says so."""
    with pytest.raises(SshConfigError, match="Include leads in a circle"):
        settings(tmp_path, f"Include {tmp_path}/config\n")


def test_completed_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first domain that has the name counts, and blocks for the whole name then do."""

    def lookup(name: str, *_: Any) -> list[Any]:
        if name != "web-1.b.example":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [()]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    text = (
        "CanonicalizeHostname yes\nCanonicalDomains a.example b.example\n"
        "Host *.b.example\n User deploy\nMatch canonical host web-1.b.example\n Port 3\n"
    )
    found = settings(tmp_path, text)
    assert (found.host, found.user, found.port) == (ADDRESS, "deploy", 3)
    assert settings(tmp_path, f"HostName web-1\n{text}", "site").host == "web-1.b.example"
    assert settings(tmp_path, text, "db-1").user == "root"
    assert settings(tmp_path, f"{text}Match all\n ProxyJump gate\n").user == "root"


def test_a_jump_host_is_logged_in_to_by_its_own_user(tmp_path: Path) -> None:
    """``--droplets-user`` is for the Droplets, as ``ssh -l`` is for the last host."""
    path = tmp_path / "config"
    path.write_text("Host web-1\n ProxyJump gate,own@other\nHost gate\n User jump\n")
    config = SshConfig(str(path), "audit")
    hops = config.route("web-1", ADDRESS).jump
    assert config.route("web-1", ADDRESS).user == "audit"
    assert (config.hop(hops[:1]).user, config.hop(hops).user) == ("jump", "own")


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("b", ["b"]),
        ("c,a", ["c", "a"]),
        ("+c", ["a", "b", "c"]),
        ("-a*", ["b"]),
        ("^b", ["b", "a"]),
        ("tomorrow,a", ["a"]),
        ("+tomorrow", ["a", "b"]),
    ],
)
def test_lists_of_algorithms(text: str, chosen: list[str]) -> None:
    """What is known here stays, in the order that is asked for."""
    assert choose("Ciphers", text, ["a", "b", "c"], ["a", "b"]) == chosen


def test_a_list_of_nothing_that_is_known_refuses_the_host() -> None:
    """A restriction is never loosened to what happens to work."""
    with pytest.raises(SshConfigError, match="Ciphers tomorrow: none of these is known here"):
        choose("Ciphers", "tomorrow", ["a"], ["a"])


def test_types_of_host_keys(tmp_path: Path) -> None:
    """Known ones first; certificates where a CA is known; SHA-1 only where it is asked for."""
    plain = settings(tmp_path, "")
    found = host_key_algorithms(plain, ["rsa-sha2-512", "ssh-rsa"], certificates=False)
    assert found[0] == "rsa-sha2-512"
    assert not {"ssh-rsa", "ssh-ed25519-cert-v01@openssh.com"} & set(found)
    with_ca = host_key_algorithms(plain, [], certificates=True)
    assert with_ca[0] == "ssh-ed25519-cert-v01@openssh.com"
    asked = settings(tmp_path, "HostKeyAlgorithms +ssh-rsa\n")
    assert "ssh-rsa" in host_key_algorithms(asked, [], certificates=False)
