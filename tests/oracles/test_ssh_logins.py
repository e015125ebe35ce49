"""Real logins at a real sshd: where OpenSSH's client comes in, we do, by the same way and key."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_droplet.connection.ssh_config import SshConfig, SshConfigError
from pytest_droplet.connection.transport import Transport, lost_before_login
from tests.support.ssh_server import SSHD, Servers, login_name, openssh, servers

MISSING = [t for t in ("ssh", "ssh-agent", "ssh-keygen", SSHD) if shutil.which(t) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING) and "CI" not in os.environ, reason=f"it needs what is not here: {MISSING}"
)

HOST, GATE, ALIAS = "127.0.0.1", "127.0.0.2", "fleet.example.com"
_CONNECTION = re.compile(r"Connection from (\S+ port \d+) on (\S+) port \d+")
_LOGIN = re.compile(r"Accepted publickey for (\S+) from (\S+ port \d+) ssh2: (\S+ \S+)")
RELAY = """import os, socket, sys, threading
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def pump():
    while data := peer.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=pump, daemon=True).start()
while data := os.read(0, 65536):
    peer.sendall(data)
"""


@dataclass
class Place:
    """A running sshd, and the files of a client that may log in to it.

    Attributes:
        folder: With keys ``a`` (may log in), ``b`` and ``c`` (may not), an RSA key ``r`` (may),
            ``s`` (may, by its certificate alone), ``ca``, and files of known hosts.
    """

    folder: Path
    port: int
    log: Path

    def config(self, text: str, *, with_key: bool = True) -> Path:
        """Write a config; web-1 leads to the sshd, its key and trust are set where unset."""
        path = self.folder / "config"
        ready = (
            text.replace("FOLDER", str(self.folder))
            .replace("PORT", str(self.port))
            .replace("USER", login_name())
            .replace("RELAY", f"{sys.executable} {self.folder}/relay %h %p")
        )
        leads = "" if "web-1\n HostName" in text else f"Host web-1\n HostName {HOST}\nMatch all\n"
        key = f" IdentityFile {self.folder}/a\n" if with_key else ""
        path.write_text(
            f"{leads}{ready}\nHost *\n Port {self.port}\n User {login_name()}\n"
            f" UserKnownHostsFile {self.folder}/known\n{key}"
        )
        return path

    def logins(self, since: int, count: int) -> list[tuple[str, ...]]:
        """Return so many logins that sshd logged from a place of its log on.

        Each with the address it came from, the address it came to, user and key. They may be
        written a moment after the login.
        """
        while True:
            text = self.log.read_text()[since:]
            at = dict(_CONNECTION.findall(text))
            found = [
                (source.partition(" ")[0], at.get(source, ""), user, key)
                for user, source, key in _LOGIN.findall(text)
            ]
            if len(found) >= count:
                return found
            time.sleep(0.02)

    def connections(self, since: int) -> int:
        """Return how many connections sshd logged from a place of its log on."""
        return len(_CONNECTION.findall(self.log.read_text()[since:]))

    def by_ssh(self, path: Path, *options: str) -> tuple[bool, list[tuple[str, ...]]]:
        """Log in by OpenSSH's client."""
        since = len(self.log.read_text())
        command = ["ssh", "-F", str(path), "-o", "BatchMode=yes", *options, "web-1", "true"]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        came_in = done.returncode == 0
        return came_in, self.logins(since, expected(path) if came_in else 0)

    def by_us(self, path: Path, user: str | None = None) -> tuple[str, list[tuple[str, ...]]]:
        """Log in as the audit does; the reason is empty where that went well."""
        since = len(self.log.read_text())
        reason, _ = asyncio.run(attempt(path, user))
        return reason, self.logins(since, 0 if reason else expected(path))


def expected(path: Path) -> int:
    """Return how many logins it takes to get in: one at each jump host, one at the host."""
    try:
        return 1 + len(SshConfig(str(path)).route("web-1", HOST).jump)
    except SshConfigError:
        return 1


async def attempt(path: Path, user: str | None = None) -> tuple[str, bool]:
    """Return why nobody was logged in, and whether it would be tried again."""
    transport = Transport(SshConfig(str(path), user), "strict", 20, 60)
    try:
        route = await transport.route("web-1", HOST)
    except SshConfigError as exc:
        return str(exc), False
    try:
        connection = await transport.login(route, await transport.dial(route))
        connection.close()
        await connection.wait_closed()
    except Exception as exc:  # noqa: BLE001 whatever it is, it is the reason
        return await transport.explain(exc, route), lost_before_login(exc)
    finally:
        await transport.close()
    return "", False


def keygen(*arguments: object) -> None:
    """Make keys and certificates."""
    subprocess.run(["ssh-keygen", "-q", *map(str, arguments)], check=True)


def make_files(farm: Servers, host_key: str, port: int) -> None:
    """Write keys, certificates and known hosts into the farm's folder."""
    folder = farm.folder
    (folder / "relay").write_text(RELAY)
    label = f"[{HOST}]:{port},[{GATE}]:{port},[127.0.0.3]:{port},{ALIAS}"
    (folder / "known").write_text(f"{label} {host_key}\n")
    (folder / "known-by-address").write_text(f"{HOST} {host_key}\n")
    (folder / "known-by-pattern").write_text(f"[127.0.0.*]:* {host_key}\n")
    (folder / "known-other").write_text(
        f"{label} {(folder / 'b.pub').read_text().rpartition(' ')[0]}\n"
    )
    (folder / "known-revoked").write_text(f"{label} {host_key}\n@revoked * {host_key}\n")
    (folder / "revoked").write_text(f"# gone\n{host_key}\n")
    (folder / "revoked-other").write_text((folder / "b.pub").read_text())
    (folder / "known-hashed").write_text(f"[{HOST}]:{port} {host_key}\n")
    keygen("-H", "-f", folder / "known-hashed")
    (folder / "conf.d").mkdir()
    for name in ("b", "a", "c"):
        (folder / "conf.d" / name).write_text(f"Host web-1\n IdentityFile {folder}/{name}\n")
    (folder / "conf.d/.DS_Store").write_bytes(bytes(range(256)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An sshd at three addresses that takes two keys and one certificate."""
    with servers(tmp_path_factory.mktemp("logins")) as farm:
        folder = farm.folder
        for name in ("a", "b", "c", "s", "ca"):
            keygen("-t", "ed25519", "-N", "", "-f", folder / name, "-C", name)
        keygen("-t", "rsa", "-b", "2048", "-N", "", "-f", folder / "r", "-C", "r")
        keygen("-t", "ed25519", "-N", "four words", "-f", folder / "locked", "-C", "locked")
        keygen("-s", folder / "ca", "-I", "s", "-n", login_name(), folder / "s.pub")
        (folder / "s-cert.pub").rename(folder / "signed.pub")
        with (folder / "authorized_keys").open("w") as file:
            for name in ("a", "r", "locked"):
                file.write((folder / f"{name}.pub").read_text())
        lines = (
            *(f"ListenAddress {address}" for address in (GATE, "127.0.0.3")),
            f"TrustedUserCAKeys {folder}/ca.pub",
            "LogLevel VERBOSE",
            "MaxStartups 100",
        )
        with openssh(farm, 1, *lines) as port:
            key = farm.known_hosts.read_text().split(maxsplit=1)[1].strip()
            make_files(farm, key, port)
            yield Place(folder, port, folder / "sshd-1/log")


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No agent but those of the tests."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@contextlib.contextmanager
def agent(folder: Path, monkeypatch: pytest.MonkeyPatch, *keys: str) -> Iterator[None]:
    """Run an agent that holds keys of the folder."""
    path = folder / "agent"
    path.unlink(missing_ok=True)
    child = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        for key in keys:
            subprocess.run(["ssh-add", "-q", str(folder / key)], check=True)
        yield
    finally:
        child.terminate()
        child.wait()


SAME = {
    "nothing but the defaults": "",
    "a comment": "Port PORT  # our port\nUser USER # us\n",
    "time values": "ServerAliveInterval 1m\nConnectTimeout 30s\n",
    "capital letters and equals signs": "pORT=PORT\nuser = USER\n",
    "another address": f"Host web-1\n HostName {GATE}\n",
    "a port where nobody listens": "Port 1\n",
    "an account that is not there": "User nobody-of-that-name\n",
    "Include in order": "Include FOLDER/conf.d/*\n",
    "Match exec": 'Match exec "[ $(id -u) = 0 ] || true"\n IdentityFile FOLDER/r\n',
    "Match exec with tokens": 'Match exec "test %n = web-1"\n IdentityFile FOLDER/r\n',
    "Match host": f"Match host {HOST}\n IdentityFile FOLDER/r\n",
    "Match originalhost": "Match originalhost web-*\n IdentityFile FOLDER/r\n",
    "Match final": "Match final host 127.*\n IdentityFile FOLDER/r\n",
    "Match user": "Match user USER\n IdentityFile FOLDER/r\n",
    "a second pass": f"CanonicalizeHostname yes\nMatch canonical host {HOST}\n IdentityFile FOLDER/r\n",
    "a wrong key before the right one": "IdentityFile FOLDER/b\nIdentityFile FOLDER/a\n",
    "two right keys": "IdentityFile FOLDER/r\nIdentityFile FOLDER/a\n",
    "a key with tokens": "IdentityFile FOLDER/%n\nIdentityFile FOLDER/r\n",
    "no key": "Host *\n IdentityFile none\n",
    "an absent key": "IdentityFile FOLDER/gone\n",
    "an encrypted key before": "IdentityFile FOLDER/locked\n",
    "a certificate": "IdentityFile FOLDER/s\nCertificateFile FOLDER/signed.pub\n",
    "a key without its certificate": "Host web-1\n IdentityFile FOLDER/s\n",
    "an algorithm of keys": "IdentityFile FOLDER/r\nPubkeyAcceptedAlgorithms ssh-ed25519\n",
    "an algorithm that goes": "IdentityFile FOLDER/r\nPubkeyAcceptedAlgorithms -rsa-*\n",
    "ciphers": "Ciphers aes256-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256\n",
    "ciphers that go": "Ciphers -aes*\nMACs -*sha1*\nKexAlgorithms -diffie*\n",
    "a type of host keys": "HostKeyAlgorithms ssh-ed25519\n",
    "a type of host keys that it has not": "HostKeyAlgorithms ecdsa-sha2-nistp256\n",
    "hashed known hosts": "UserKnownHostsFile FOLDER/known-hashed\n",
    "known by the address alone": "UserKnownHostsFile FOLDER/known-by-address\n",
    "known by a pattern": "UserKnownHostsFile FOLDER/known-by-pattern\n",
    "known with another key": "UserKnownHostsFile FOLDER/known-other\n",
    "known in the second file": "UserKnownHostsFile FOLDER/gone FOLDER/known\n",
    "known in the system's file": ("UserKnownHostsFile none\nGlobalKnownHostsFile FOLDER/known\n"),
    "known nowhere": "UserKnownHostsFile /dev/null\n",
    "known by an alias": f"HostKeyAlias {ALIAS}\n",
    "an alias that is not known": "HostKeyAlias other.example.com\n",
    "a revoked host key": "UserKnownHostsFile FOLDER/known-revoked\n",
    "a list of revoked keys": "RevokedHostKeys FOLDER/revoked\n",
    "a list of other revoked keys": "RevokedHostKeys FOLDER/revoked-other\n",
    "a list of revoked keys that is not there": "RevokedHostKeys FOLDER/gone\n",
    "a command": "ProxyCommand RELAY\n",
    "a command with an equals sign": "ProxyCommand=RELAY\n",
    "a command that is not there": "ProxyCommand corp-connect %h %p\n",
    "no command, then a jump": "ProxyCommand none\nProxyJump gone.invalid\n",
    "a command before a jump": "ProxyCommand RELAY\nProxyJump gone.invalid\n",
    "a jump": f"Host web-1\n ProxyJump gate\nHost gate\n HostName {GATE}\n",
    "two jumps": f"Host web-1\n ProxyJump gate,USER@127.0.0.3:PORT\nHost gate\n HostName {GATE}\n",
    "a jump to nowhere": f"Host web-1\n ProxyJump gate\nHost gate\n HostName {GATE}\n Port 1\n",
    "an address to come from": "BindAddress 127.0.0.9\n",
    "an address that is not ours": "BindAddress 192.0.2.1\n",
    "an interface to come from": "BindInterface lo\n",
    "an interface that is not there": "BindInterface nothing0\n",
    "a family": "AddressFamily inet\n",
    "another family": "AddressFamily inet6\n",
    "no public key": "PubkeyAuthentication no\n",
    "another method": "PreferredAuthentications password\n",
    "several methods": "PreferredAuthentications gssapi-with-mic,publickey,password\n",
}

# Where ssh comes in and we do not, the reason names the keyword.
REFUSED = {
    "KnownHostsCommand": "KnownHostsCommand /bin/echo\n",
    "StrictHostKeyChecking no": (
        "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n"
    ),
    "StrictHostKeyChecking accept-new": (
        "StrictHostKeyChecking accept-new\nUserKnownHostsFile FOLDER/fresh\n"
    ),
    "KexAlgorithms": "KexAlgorithms sntrup761x25519-sha512@openssh.com\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_we_come_in_exactly_where_ssh_does(place: Place, name: str) -> None:
    """To the same address, from the same one, as the same user, with the same key."""
    path = place.config(SAME[name])
    came_in, seen = place.by_ssh(path)
    reason, ours = place.by_us(path)
    assert came_in is (not reason), reason
    if came_in:
        assert ours == seen
    assert "\n" not in reason


def test_there_are_enough_logins() -> None:
    """At least 50 configs are tried at a server."""
    assert len(SAME) + len(REFUSED) >= 50


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_named(place: Place, name: str) -> None:
    """The keyword stands in the one line that says why the host was not read."""
    path = place.config(REFUSED[name])
    reason, _ = place.by_us(path)  # first: ssh writes down what it takes
    came_in, _ = place.by_ssh(path)
    assert came_in
    assert name in reason
    assert "\n" not in reason


def test_the_user_of_the_option_counts_for_conditions_and_tokens(place: Place) -> None:
    """``--droplets-user`` is ``ssh -l``."""
    path = place.config("Match user alice\n IdentityFile FOLDER/r\nUser USER\n")
    assert place.by_us(path)[1][-1][3].startswith("ED25519")
    with_user = place.config(f"Match user {login_name()}\n IdentityFile FOLDER/r\nUser other\n")
    came_in, seen = place.by_ssh(with_user, "-l", login_name())
    reason, ours = place.by_us(with_user, login_name())
    assert (came_in, reason) == (True, "")
    assert ours == seen
    assert seen[-1][3].startswith("RSA")


MANY = ("b", "c", "s", "ca", "k0", "k1", "k2", "k3")


@pytest.fixture
def many_keys(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An agent with eight keys that may not log in, and behind them one that may."""
    for name in MANY[4:]:
        if not (place.folder / name).exists():
            keygen("-t", "ed25519", "-N", "", "-f", place.folder / name, "-C", name)
    with agent(place.folder, monkeypatch, *MANY, "a"):
        yield place


def test_too_many_keys_are_said_and_not_tried_again(many_keys: Place) -> None:
    """A second try would be one more failure for fail2ban: there is one connection."""
    path = many_keys.config("IdentityFile FOLDER/gone\n", with_key=False)
    assert not many_keys.by_ssh(path)[0]
    since = len(many_keys.log.read_text())
    reason, again = asyncio.run(attempt(path))
    assert "too many keys were offered" in reason
    assert "IdentitiesOnly" in reason
    assert not again
    assert many_keys.connections(since) == 1


@pytest.mark.parametrize(
    "text",
    [
        "IdentityFile FOLDER/only-a.pub\n",
        "IdentityFile FOLDER/only-a.pub\nIdentitiesOnly yes\n",
        "IdentitiesOnly yes\n",
        "IdentityAgent none\n",
        "IdentityAgent FOLDER/agent\n",
        "IdentityAgent $SSH_AUTH_SOCK\n",
        "IdentityAgent SSH_AUTH_SOCK\n",
    ],
)
def test_keys_of_the_agent_that_are_named_come_first(many_keys: Place, text: str) -> None:
    """A public key as IdentityFile says which of the agent's keys is meant."""
    shutil.copy(many_keys.folder / "a.pub", many_keys.folder / "only-a.pub")
    path = many_keys.config(text)
    came_in, seen = many_keys.by_ssh(path)
    reason, ours = many_keys.by_us(path)
    assert (came_in, reason) == (True, "")
    assert ours == seen


def test_an_encrypted_key_is_offered_by_the_agent(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file has the public half in the clear, so it is known to be named."""
    for suffix in ("", ".pub"):
        shutil.copy(place.folder / f"locked{suffix}", place.folder / f"opened{suffix}")
    keygen("-p", "-P", "four words", "-N", "", "-f", place.folder / "opened")
    with agent(place.folder, monkeypatch, "b", "opened"):
        (place.folder / "alone").unlink(missing_ok=True)
        shutil.copy(place.folder / "locked", place.folder / "alone")
        path = place.config("IdentityFile FOLDER/alone\nIdentitiesOnly yes\n", with_key=False)
        came_in, seen = place.by_ssh(path)
        reason, ours = place.by_us(path)
    assert (came_in, reason) == (True, "")
    assert ours == seen


def test_a_certificate_with_its_key_in_the_agent(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``CertificateFile`` alone: the agent signs for it."""
    with agent(place.folder, monkeypatch, "s"):
        path = place.config(
            "CertificateFile FOLDER/signed.pub\nIdentityFile FOLDER/s.pub\n", with_key=False
        )
        came_in, seen = place.by_ssh(path)
        reason, ours = place.by_us(path)
    assert (came_in, reason) == (True, "")
    assert ours == seen


REASONS = {
    "a second factor": (
        (
            "AuthenticationMethods publickey,keyboard-interactive",
            "KbdInteractiveAuthentication yes",
        ),
        "",
        "and wants more than a key (a second factor)",
    ),
    "no login at all": (("AuthenticationMethods password",), "", "refused the login of"),
    "a jump host that does not forward": (
        ("AllowTcpForwarding no",),
        f"Host web-1\n HostName {HOST}\n ProxyJump gate\nHost gate\n HostName {HOST}\n",
        "does not forward to 127.0.0.1:",
    ),
    "a command that is not there": ((), "ProxyCommand corp-connect %h %p\n", "corp-connect"),
    "a command that says why": (
        (),
        "ProxyCommand echo corp: no ticket >&2; exit 3\n",
        "failed: corp: no ticket; try it by itself: echo corp",
    ),
    "a revoked host key": (
        (),
        "UserKnownHostsFile FOLDER/known-revoked\n",
        "is revoked: do not connect",
    ),
    "a host certificate for another name": (
        ("HostKey FOLDER/host", "HostCertificate FOLDER/host-cert.pub"),
        "UserKnownHostsFile FOLDER/known-ca\n",
        "is for another name than",
    ),
    "a host certificate of a CA that is revoked": (
        ("HostKey FOLDER/host", "HostCertificate FOLDER/host-cert.pub"),
        "UserKnownHostsFile FOLDER/known-ca-revoked\n",
        "the CA of the host key of",
    ),
    "a security key in a file": ((), "Host web-1\n IdentityFile FOLDER/sk\n", "FIDO"),
}


def security_key() -> str:
    """Return the file of a FIDO key, as ssh-keygen writes it beside the token.

    Source: PROTOCOL.key and PROTOCOL.u2f of OpenSSH.
    """

    def string(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    kind = string(b"sk-ssh-ed25519@openssh.com")
    public = kind + string(bytes(range(32))) + string(b"ssh:")
    private = bytes(8) + public + b"\x01" + string(b"handle") + string(b"") + string(b"sk")
    private += bytes(range(1, 1 + -len(private) % 8))
    whole = b"openssh-key-v1\0" + string(b"none") + string(b"none") + string(b"")
    whole += (1).to_bytes(4, "big") + string(public) + string(private)
    text = base64.encodebytes(whole).decode("ascii")
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_is_the_one(tmp_path: Path, name: str) -> None:
    """Where ssh does not come in, one line says what is wrong, and what not to do is not said."""
    lines, text, said = REASONS[name]
    with servers(tmp_path) as farm:
        folder = farm.folder
        keygen("-t", "ed25519", "-N", "", "-f", folder / "ca", "-C", "ca")
        for own, copy in (("id_ed25519", "a"), ("id_ed25519.pub", "a.pub")):
            shutil.copy(folder / own, folder / copy)
        (folder / "sk").write_text(security_key())
        (folder / "sk").chmod(0o600)
        keygen("-t", "ecdsa", "-N", "", "-f", folder / "host", "-C", "host")
        keygen("-s", folder / "ca", "-I", "host", "-h", "-n", "other.example", folder / "host.pub")
        with openssh(farm, 1, *(line.replace("FOLDER", str(folder)) for line in lines)) as port:
            key = farm.known_hosts.read_text().split(maxsplit=1)[1].strip()
            ca = (folder / "ca.pub").read_text()
            (folder / "known").write_text(f"[{HOST}]:{port} {key}\n")
            (folder / "known-revoked").write_text(f"* {key}\n@revoked * {key}\n")
            (folder / "known-ca").write_text(f"@cert-authority * {ca}")
            (folder / "known-ca-revoked").write_text(f"@cert-authority * {ca}@revoked * {ca}")
            place = Place(folder, port, folder / "sshd-1/log")
            path = place.config(text, with_key="IdentityFile" not in text)
            assert not place.by_ssh(path)[0]
            reason, again = asyncio.run(attempt(path))
    assert said in reason
    assert not again
    assert "ssh-keygen -R" not in reason
    assert "\n" not in reason
