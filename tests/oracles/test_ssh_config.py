"""What our reading of an ssh config says of a host, against OpenSSH's own: ``ssh -G``."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.connection.ssh_config import SshConfig, SshConfigError
from tests.oracles.client_configs import BY_ADDRESS_OR_NAME, HAND_MADE, generated

SSH = shutil.which("ssh")
pytestmark = pytest.mark.skipif(
    SSH is None and "CI" not in os.environ, reason="it needs what is not here: ssh"
)

GENERATED = 260
A_TEST = 20
ME = pwd.getpwuid(os.getuid())
DEFAULT_KEYS = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ecdsa_sk", "~/.ssh/id_ed25519")
ONE_VALUE = {"hostname", "port", "user", "hostkeyalias", "proxycommand", "proxyjump"}


class RefusedError(Exception):
    """OpenSSH's client does not take the config."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files for ``Include``, of which one begins with a dot and one is no text."""
    (tmp_path / "conf.d").mkdir()
    for name in ("b", "a", "C", "10", "9"):
        (tmp_path / "conf.d" / name).write_text(f"Host web-*\n  User of-{name}\n")
    (tmp_path / "conf.d/.old").write_text("Host *\n  Port 9999\n")
    (tmp_path / "conf.d/.DS_Store").write_bytes(bytes(range(256)))
    (tmp_path / "plain").write_text("Port 2201\nHost db-*\n  User db\nHost web-1\n  User one\n")
    (tmp_path / "nested").write_text(f"Include {tmp_path}/plain\nMatch final\n  User final\n")
    return tmp_path


def said_by_ssh(path: Path, host: str, user: str | None = None) -> dict[str, Any]:
    """Return what ``ssh -G`` says, tokens replaced.

    Raises:
        RefusedError: It takes the config for no host, or not for this one.
    """
    named = ["-l", user] if user else []
    done = subprocess.run(
        ["ssh", "-G", "-F", str(path), *named, "--", host],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0 or "hostname " not in done.stdout:
        raise RefusedError(done.stderr)
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    one = {key: value for key, _, value in lines if key in ONE_VALUE}
    keys = tuple(value for key, _, value in lines if key == "identityfile")
    files = next(value for key, _, value in lines if key == "userknownhostsfile")
    tokens = {
        "%%": "%",
        "%h": one["hostname"],
        "%n": host,
        "%k": one.get("hostkeyalias", host),
        "%p": one["port"],
        "%r": one["user"],
        "%u": ME.pw_name,
        "%i": str(ME.pw_uid),
        "%d": ME.pw_dir,
        "${FOR_SSH}": os.environ["FOR_SSH"],
    }

    def expanded(text: str) -> str:
        parts, rest = "", text
        while rest:
            token = next((t for t in tokens if rest.startswith(t)), rest[0])
            parts += tokens.get(token, token)
            rest = rest[len(token) :]
        return parts

    keys = tuple(expanded(key) for key in keys if key.lower() != "none")
    jump = expanded(one.get("proxyjump", "none"))
    command = one.get("proxycommand", "none")
    known = files.split() if files != "none" else []
    return {
        "HostName": one["hostname"],
        "Port": int(one["port"]),
        "User": one["user"],
        "HostKeyAlias": one.get("hostkeyalias"),
        "ProxyJump": () if jump.lower() == "none" else tuple(jump.split(",")),
        "ProxyCommand": None if command.lower() == "none" else expanded(command),
        "IdentityFile": None if keys[: len(DEFAULT_KEYS)] == DEFAULT_KEYS else keys,
        "UserKnownHostsFile": [expanded(name) for name in known],
    }


def said_by_us(path: Path, name: str, address: str, user: str | None = None) -> dict[str, Any]:
    """Return the same as we read it."""
    found = SshConfig(str(path), user).settings(name, address)
    default = tuple(f"{ME.pw_dir}/.ssh/{name}" for name in ("known_hosts", "known_hosts2"))
    return {
        "HostName": found.host,
        "Port": found.port,
        "User": found.user,
        "HostKeyAlias": found.alias,
        "ProxyJump": tuple(hop.removesuffix(":22") for hop in found.jump),
        "ProxyCommand": found.proxy_command,
        "IdentityFile": found.identity_files,
        "UserKnownHostsFile": list(default if found.known_hosts is None else found.known_hosts),
    }


def compare(path: Path, name: str, address: str, typed: str, user: str | None = None) -> bool:
    """Hold our reading against ssh's; tell whether ssh took the config."""
    try:
        by_ssh = said_by_ssh(path, typed, user)
    except RefusedError:
        return False
    # Who logs in where nothing says it is a rule of ours.
    said = "\n".join(p.read_text("utf-8", "replace") for p in (path, *path.parent.glob("*/*")))
    ours = said_by_us(path, name, address, user)
    if "user" not in said.lower() and user is None:
        by_ssh.pop("User")
        ours.pop("User")
    assert ours == by_ssh, path.read_text()
    return True


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that configs may name."""
    monkeypatch.setenv("FOR_SSH", "of-the-environment")


@pytest.mark.parametrize("name", HAND_MADE)
def test_a_config_means_what_it_means_to_ssh(folder: Path, name: str) -> None:
    """For each host the same host, port, user, keys, way and trust, with and without ``-l``."""
    path = folder / "config"
    path.write_text(HAND_MADE[name].replace("FOLDER", str(folder)))
    taken = [
        compare(path, host, host, host, user)
        for host in ("web-1", "10.114.0.5")
        for user in (None, "alice")
    ]
    assert any(taken), "ssh itself does not take it"


@pytest.mark.parametrize("first", range(0, GENERATED, A_TEST))
def test_a_random_config_means_what_it_means_to_ssh(folder: Path, first: int) -> None:
    """Blocks, conditions, ways of writing and includes in any order."""
    taken = 0
    for seed in range(first, first + A_TEST):
        chance = random.Random(seed)
        path = folder / f"config-{seed}"
        path.write_text(generated(chance, str(folder)))
        host = chance.choice(["web-1", "db-1", "10.114.0.5", "203.0.113.9"])
        taken += compare(path, host, host, host, chance.choice([None, "alice"]))
    assert taken >= A_TEST * 3 / 4


@pytest.mark.parametrize("name", BY_ADDRESS_OR_NAME)
def test_a_block_counts_for_the_name_or_for_the_address(folder: Path, name: str) -> None:
    """Where blocks are for the one alone, it is as if ssh were called with this one."""
    typed, text = BY_ADDRESS_OR_NAME[name]
    path = folder / "config"
    path.write_text(text)
    ours = said_by_us(path, "web-1", "10.114.0.5")
    by_ssh = said_by_ssh(path, typed)
    if by_ssh["HostName"] == "web-1":  # without a HostName the API says where a name leads
        by_ssh["HostName"] = "10.114.0.5"
    assert ours == by_ssh


def test_there_are_enough_configs() -> None:
    """At least 300, hand-made and generated."""
    assert len(HAND_MADE) + GENERATED + len(BY_ADDRESS_OR_NAME) >= 300


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("User deploy extra\n", "User: 'extra' is one word too many"),
        ("Port 0\n", "Port: '0' is malformed"),
        ('User ""\n', "User: it has no value"),
        ("HostName %n.example.com\n", "HostName %n.example.com: %n is not known there"),
        ("IdentityFile ${NOT_SET}\n", "IdentityFile ${NOT_SET}: ${NOT_SET} is not set"),
        ("Match host\n", "Match host: host has no argument"),
        ("Match sometimes yes\n", "Match sometimes yes: sometimes is not followed"),
        ('User "deploy\n', "User: a quote is not closed"),
        ("ProxyJump user@\n", "ProxyJump: 'user@' is malformed"),
        ("IdentitiesOnly perhaps\n", "IdentitiesOnly: 'perhaps' is neither yes nor no"),
    ],
)
def test_what_ssh_refuses_we_refuse_by_the_keyword(folder: Path, text: str, named: str) -> None:
    """Where the line counts for the host; for others it changes nothing."""
    path = folder / "config"
    path.write_text(text)
    if "%n" not in text and "NOT_SET" not in text:  # ssh says these only as it connects
        with pytest.raises(RefusedError):
            said_by_ssh(path, "web-1")
    with pytest.raises(SshConfigError) as caught:
        said_by_us(path, "web-1", "10.114.0.5")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    path.write_text(f"User mine\nHost other\n{text}")
    if not text.startswith("Match"):
        assert said_by_us(path, "web-1", "10.114.0.5")["User"] == "mine"
