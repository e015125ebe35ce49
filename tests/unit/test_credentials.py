"""The user's own keys: each file as ssh would take it, and what cannot be used by its name."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from pytest_droplet.connection.credentials import DEFAULT_FILES, KeyRing, agent_socket

KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an empty folder for keys."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def key_file(path: Path, key: asyncssh.SSHKey = KEY, passphrase: str | None = None) -> str:
    """Write a private key and return its path."""
    key.write_private_key(path, "pkcs8-pem", passphrase=passphrase)
    return str(path)


def test_default_files_that_are_absent_are_no_complaint(home: Path) -> None:
    """Nobody named them: what is there is offered, and the rest is passed over."""
    path = home / DEFAULT_FILES[0].removeprefix("~/")
    key_file(path)
    (home / ".ssh/id_rsa").write_text("not a key")

    found = KeyRing().collect(None)

    assert [key.public_data for key in found.keys] == [KEY.public_data]
    assert found.public == [KEY.public_data]
    assert (found.unreadable, found.encrypted) == ([], [])


def test_what_was_named_and_cannot_be_used_is_said(home: Path) -> None:
    """A file that is missing, that is a folder, or that is no key, each with its reason."""
    broken = home / "broken"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")

    found = KeyRing().collect([str(home / "gone"), str(home / ".ssh"), str(broken)])

    assert list(found.keys) == []
    assert found.unreadable[:2] == [
        f"{home / 'gone'}: no such file",
        f"{home / '.ssh'}: Is a directory",
    ]
    assert found.unreadable[2].startswith(f"{broken}: ")
    assert len(found.unreadable) == 3


def test_an_encrypted_key_is_named_and_its_public_half_known(home: Path) -> None:
    """Its passphrase is never asked for; an agent may offer it, told by the file beside it."""
    path = home / "locked"
    key_file(path, passphrase="four words")
    KEY.write_public_key(home / "locked.pub")

    found = KeyRing().collect([str(path)])

    assert found.encrypted == [str(path)]
    assert list(found.keys) == []
    assert found.public == [KEY.public_data]
    assert found.unreadable == []


def test_a_public_key_may_be_named_for_the_agent(home: Path) -> None:
    """As ``IdentityFile key.pub`` with ``IdentitiesOnly``: no private half is needed."""
    path = home / "key.pub"
    KEY.write_public_key(path)

    found = KeyRing().collect([str(path)])

    assert found.public == [KEY.public_data]
    assert (list(found.keys), found.unreadable) == ([], [])


def test_a_certificate_beside_a_key_is_offered_with_it(home: Path) -> None:
    """``key-cert.pub``; one that is named alone stands for itself, a broken one is said."""
    path = Path(key_file(home / "key"))
    certificate = OTHER.generate_user_certificate(KEY, "audit", principals=["root"])
    certificate.write_certificate(home / "key-cert.pub")

    found = KeyRing().collect([str(path)], [str(home / "key-cert.pub"), str(home / "gone.pub")])

    assert len(found.keys) == 1
    assert found.keys[0][1].public_data == certificate.public_data
    assert [c.public_data for c in found.certificates] == [certificate.public_data]
    assert found.unreadable == [f"{home / 'gone.pub'}: No such file or directory"]


def test_a_key_is_read_once(home: Path) -> None:
    """Hundreds of hosts share it: a file that changes meanwhile changes nothing."""
    path = Path(key_file(home / "key"))
    ring = KeyRing()
    first = ring.collect([str(path)])
    key_file(path, OTHER)

    assert list(ring.collect([str(path)]).keys) == list(first.keys)


def test_no_key_is_not_the_default_keys() -> None:
    """Asyncssh would load those of the home on its own, were the list false."""
    assert KeyRing().collect([]).keys


class TestAgentSocket:
    """``IdentityAgent`` of the ssh config, or the environment."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Iterator[Path]:
        """A socket that somebody listens at."""
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(str(tmp_path / "agent"))
            yield tmp_path / "agent"

    @pytest.mark.parametrize("configured", [None, "SSH_AUTH_SOCK"])
    def test_the_environment(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, configured: str | None
    ) -> None:
        """Where the config names none, or names it by the word."""
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        assert agent_socket(configured) == str(path)

    @pytest.mark.parametrize("configured", ["$OWN_AGENT", "${OWN_AGENT}", "~/agent"])
    def test_the_config(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, configured: str
    ) -> None:
        """Another variable, or a path of the home."""
        monkeypatch.setenv("HOME", str(path.parent))
        monkeypatch.setenv("OWN_AGENT", str(path))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        assert agent_socket(configured) == str(path)

    @pytest.mark.parametrize("configured", ["", "$UNSET", "/dev/null", "~/gone"])
    def test_none(self, path: Path, monkeypatch: pytest.MonkeyPatch, configured: str) -> None:
        """``none`` in the config, or what is no socket: the environment's is not used instead."""
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        assert agent_socket(configured) is None
