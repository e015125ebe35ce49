"""What is seen from outside: ports, login methods, TLS, HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection import probe, tls
from pytest_droplet.model import HostReading, NotObservedError
from tests.support.ssh_server import Servers, needs, openssh, shell

HOME = "127.0.0.1"
NAME = "www.example.test"


def do(work: Awaitable[Any]) -> Any:
    """Run a probe; what it returns can be written as JSON."""

    async def run() -> Any:
        return await work

    result = asyncio.run(run())
    return json.loads(json.dumps(result))


def answering(data: bytes) -> Callable[..., Awaitable[None]]:
    """Return a TCP peer that reads a little, answers with bytes, and closes."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(4096)
            writer.write(data)
            await writer.drain()
            writer.close()

    return peer


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOME, 0))
        return int(sock.getsockname()[1])


# --- ports ----------------------------------------------------------------------------------


def test_an_open_and_a_refusing_port(farm: Servers) -> None:
    assert do(probe.tcp_connect(HOME, farm.tcp(silent))) == "open"
    assert do(probe.tcp_connect(HOME, free_port())) == "refused"


def test_a_port_that_does_not_answer() -> None:
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((HOME, 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        port = listener.getsockname()[1]
        assert do(probe.tcp_connect(HOME, port, timeout_s=0.2)) == "filtered"


def test_a_network_that_is_not_there_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The auditor without IPv6 has not seen a closed port."""

    async def fail(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(asyncio, "open_connection", fail)
    with pytest.raises(NotObservedError, match=r"could be tried from here \(Network is unreach"):
        do(probe.tcp_connect("2001:db8::1", 22))


# --- ways to log in -------------------------------------------------------------------------


def test_the_login_methods_of_a_real_sshd(farm: Servers) -> None:
    """Root and a user that no host has are asked for, on two connections, without a key."""
    with openssh(farm, 7, "PasswordAuthentication yes", "KbdInteractiveAuthentication no") as port:
        reading = HostReading(7, "reached", dt.datetime.now(dt.UTC), port=port)
        seen = do(probe.SSH_AUTH.run(HOME, reading))
        log = farm.folder / "sshd-7/log"
        for _ in range(30_000):
            ended = re.findall(r"Connection (?:closed|reset) by .*preauth", log.read_text())
            if len(ended) > 1:
                break
            time.sleep(0.01)
    assert seen == {
        "root": ["password", "publickey"],
        "pytest-droplet-nobody": ["password", "publickey"],
    }
    assert len(ended) == 2
    assert "Accepted" not in log.read_text()


def test_an_sshd_for_keys_only(farm: Servers) -> None:
    with openssh(farm, 7, "PasswordAuthentication no", "KbdInteractiveAuthentication no") as port:
        assert do(probe.ssh_auth_methods(HOME, port, ["root"])) == {"root": ["publickey"]}


def test_no_key_and_no_agent_is_used(farm: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is any connection but one a user made."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(farm.folder / "must-not-be-asked"))
    server = farm.ssh({HOME: 7}, shell)
    assert do(probe.ssh_auth_methods(HOME, server.port, ["a", "b"])) == {
        "a": ["publickey"],
        "b": ["publickey"],
    }
    assert (server.connections, server.logins) == (2, 0)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n\xff"])
def test_a_server_that_does_not_tell_its_methods(farm: Servers, said: bytes) -> None:
    port = farm.tcp(answering(said))
    token = probe.login_limit_s.set(2)
    try:
        with pytest.raises(NotObservedError, match="did not tell its login methods"):
            do(probe.ssh_auth_methods(HOME, port, ["root"]))
    finally:
        probe.login_limit_s.reset(token)


# --- TLS ------------------------------------------------------------------------------------


@dataclass
class Authority:
    """A CA with a file of its certificate, which makes certificates for servers."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> str:
        """The PEM file of the CA's certificate."""
        path = self.folder / "ca.pem"
        path.write_bytes(pem(self.certificate))
        return str(path)

    def sign(self, name: str, *, days: int = 30, ca: bool = False) -> tuple[Any, Any]:
        """Return a key and a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject if self.certificate else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, critical=False)
        return key, builder.sign(self.key or key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A root CA that only its file makes trusted."""
    key, certificate = Authority(tmp_path, None, None).sign("Test root", days=300, ca=True)  # type: ignore[arg-type]
    return Authority(tmp_path, key, certificate)


def https(farm: Servers, key: Any, *chain: x509.Certificate) -> int:
    """Run an HTTPS server with this chain, and return its port."""
    files = farm.folder / "cert.pem", farm.folder / "key.pem"
    files[0].write_bytes(pem(*chain))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    head = b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\n\r\nbody"
    return farm.tcp(answering(head), ssl=context)


def shake(port: int, **how: Any) -> dict[str, Any]:
    seen: dict[str, Any] = do(tls.tls_handshake(HOME, port, NAME, **how))
    return seen


def test_a_chain_comes_as_it_is_served(farm: Servers, authority: Authority) -> None:
    """Leaf and intermediate, and the protocol; nothing is verified, and nothing else asked for."""
    inner_key, inner = authority.sign("Test intermediate", ca=True)
    key, leaf = Authority(authority.folder, inner_key, inner).sign(NAME, days=-1)
    port = https(farm, key, leaf, inner)
    seen = shake(port)
    assert seen["protocol"] == "TLSv1.3"
    chain = [x509.load_der_x509_certificate(base64.b64decode(c)) for c in seen["chain"]]
    assert chain == [leaf, inner]
    assert "head" not in seen
    assert do(tls.tls_handshake(HOME, port, ""))["chain"] == seen["chain"]


def test_one_connection_tells_the_chain_and_the_head(farm: Servers, authority: Authority) -> None:
    """The page is asked for where the handshake was made; no answer there costs no chain."""
    key, leaf = authority.sign(NAME)
    seen = shake(https(farm, key, leaf), host=NAME)
    assert seen["head"]["headers"] == {"strict-transport-security": "max-age=1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tls, "HEAD_S", 0.2)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(farm.folder / "cert.pem", farm.folder / "key.pem")
        seen = shake(farm.tcp(silent, ssl=context), host=NAME)
    assert (seen["head"], len(seen["chain"])) == ({"error": "no HTTP answer within 0.2 s"}, 1)
    seen = shake(https(farm, key, leaf), host="a\r\nb: c")
    assert "is no host name" in seen["head"]["error"]


def test_the_kind_of_key_is_asked_for(farm: Servers, authority: Authority) -> None:
    """A server that has keys of one kind alone shakes hands for no other."""
    key, leaf = authority.sign(NAME)
    port = https(farm, key, leaf)
    assert shake(port, kind="ECDSA")["protocol"] == "TLSv1.2"
    with pytest.raises(NotObservedError, match=r"no TLS handshake \(\w+"):
        shake(port, kind="RSA")


def test_no_handshake_is_unknown(farm: Servers) -> None:
    for peer in (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), answering(b"")):
        with pytest.raises(NotObservedError, match="no TLS handshake"):
            shake(farm.tcp(peer))
    with pytest.raises(NotObservedError, match=r"no TLS handshake within 0\.2 s"):
        do(tls.tls_handshake(HOME, farm.tcp(silent), NAME, timeout_s=0.2))
    with pytest.raises(NotObservedError, match="no TLS handshake"):
        shake(free_port())


@pytest.mark.parametrize("version", ["TLSv1.0", "TLSv1.1"])
def test_a_server_of_today_refuses_old_versions(
    farm: Servers, authority: Authority, version: tls.OldVersion
) -> None:
    key, leaf = authority.sign(NAME)
    port = https(farm, key, leaf)
    seen = do(tls.tls_old(HOME, port, version, server_name=NAME))
    assert (seen["version"], seen["accepted"]) == (version, False)


@pytest.mark.parametrize(("version", "flag"), [("TLSv1.0", "-tls1"), ("TLSv1.1", "-tls1_1")])
def test_an_old_server_takes_old_versions(
    farm: Servers, authority: Authority, version: tls.OldVersion, flag: str
) -> None:
    """Our bytes are a real ClientHello: OpenSSL answers it."""
    needs("openssl")
    key, leaf = authority.sign(NAME)
    https(farm, key, leaf)
    port = free_port()
    options = ["-quiet", "-cipher", "ALL:@SECLEVEL=0", "-cert", "cert.pem", "-key", "key.pem"]
    child = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"{HOME}:{port}", flag, *options],
        cwd=farm.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while do(probe.tcp_connect(HOME, port)) != "open":
            assert child.poll() is None
            time.sleep(0.02)
        seen = do(tls.tls_old(HOME, port, version, server_name=NAME))
        other: tls.OldVersion = "TLSv1.1" if version == "TLSv1.0" else "TLSv1.0"
        assert seen["accepted"], seen
        refused = do(tls.tls_old(HOME, port, other))
        assert refused["accepted"] == (other == "TLSv1.1" and "0x0301" in refused["answer"])
        assert shake(port)["protocol"] == version.replace(".0", "")
    finally:
        child.terminate()
        child.wait()


def test_an_answer_that_is_not_tls_is_unknown(farm: Servers) -> None:
    with pytest.raises(NotObservedError, match="is not TLS"):
        do(tls.tls_old(HOME, farm.tcp(answering(b"SSH-2.0-OpenSSH_9.2\r\n")), "TLSv1.0"))
    with pytest.raises(NotObservedError, match=r"did not answer to TLSv1\.0 within 0\.2 s"):
        do(tls.tls_old(HOME, farm.tcp(silent), "TLSv1.0", timeout_s=0.2))
    assert not do(tls.tls_old(HOME, farm.tcp(answering(b"")), "TLSv1.1"))["accepted"]


@given(st.binary(max_size=20))
def test_any_answer_is_judged_or_unknown(answer: bytes) -> None:
    try:
        accepted, said = tls.parse_answer(answer)
    except NotObservedError:
        return
    assert said.isprintable()
    assert not accepted or (answer[0], answer[5]) == (22, 2)


# --- HTTP -----------------------------------------------------------------------------------


def test_a_redirect_is_told_and_not_followed(farm: Servers) -> None:
    answer = b"HTTP/1.1 301 Moved\r\nLocation: https://www.example.test/\r\nX-Other: 1\r\n\r\n"
    assert do(probe.http_head(HOME, farm.tcp(answering(answer)), NAME)) == {
        "status": 301,
        "location": "https://www.example.test/",
        "headers": {"location": "https://www.example.test/"},
    }


def test_no_http_answer_is_unknown(farm: Servers) -> None:
    with pytest.raises(NotObservedError, match=r"no HTTP answer, but 'SSH-2\.0-x'"):
        do(probe.http_head(HOME, farm.tcp(answering(b"SSH-2.0-x\r\n")), NAME))
    with pytest.raises(NotObservedError, match=r"within 0\.2 s"):
        do(probe.http_head(HOME, farm.tcp(silent), NAME, timeout_s=0.2))
    with pytest.raises(NotObservedError, match="is no host name"):
        do(probe.http_head(HOME, farm.tcp(silent), "a\r\nb: c"))


@given(st.binary(max_size=300))
def test_any_answer_is_parsed_or_unknown(answer: bytes) -> None:
    try:
        seen = probe.parse_head(answer)
    except NotObservedError:
        return
    assert 0 <= seen["status"] <= 999
    assert all(v.isprintable() for v in seen["headers"].values())
