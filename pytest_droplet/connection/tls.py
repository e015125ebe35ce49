"""TLS as a client sees it: the chain as served, and old versions."""

from __future__ import annotations

import asyncio
import base64
import secrets
import ssl
import struct
from functools import lru_cache
from typing import Any, Literal

from pytest_droplet.connection.probe import ask_head
from pytest_droplet.model import NotObservedError
from pytest_droplet.text import line_of_bytes

TIMEOUT_S = 10.0
HEAD_S = 4.0

KeyKind = Literal["RSA", "ECDSA"]
_CIPHERS = {"RSA": "aRSA", "ECDSA": "aECDSA"}
OldVersion = Literal["TLSv1.0", "TLSv1.1"]
_WIRE_VERSION = {"TLSv1.0": 0x0301, "TLSv1.1": 0x0302}

# ECDHE, DHE and RSA key exchange with AES-CBC, 3DES and RC4: what such servers speak; the last
# stands for safe renegotiation, which some ask for.
_OLD_CIPHERS = (
    0xC00A, 0xC009, 0xC014, 0xC013, 0xC012, 0xC008, 0xC011, 0xC007,
    0x0039, 0x0033, 0x0016, 0x0035, 0x002F, 0x000A, 0x0005, 0x00FF,
)  # fmt: skip
_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019)
_ALERT_RECORD, _HANDSHAKE_RECORD, _SERVER_HELLO = 21, 22, 2


async def tls_handshake(
    address: str,
    port: int,
    server_name: str,
    *,
    kind: KeyKind | None = None,
    host: str = "",
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """Shake hands once, and tell what the server showed.

    Nothing is verified, and every version and cipher is offered: what is shown is judged
    afterwards.

    Args:
        address: Where to connect.
        port: TCP port.
        server_name: Sent as SNI; the empty text sends none.
        kind: Of the server's key, where it may have several: such ciphers alone are offered,
            and TLS 1.2 at most, since with 1.3 ciphers do not tell keys apart.
        host: Asked for by ``HEAD /`` on the same connection; empty: nothing is asked.
        timeout_s: Seconds for the handshake.

    Returns:
        ``protocol`` (``TLSv1.3``), ``cipher``, ``chain`` (base64 of DER, the leaf first, as
        served); with ``host`` also ``head``: as :func:`parse_head` gives it, or its ``error``.

    Raises:
        NotObservedError: There was no handshake.
    """
    where = f"{address}:{port}"
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(
                address, port, ssl=_context(kind), server_hostname=server_name
            )
    except TimeoutError:
        raise NotObservedError(f"{where}: no TLS handshake within {timeout_s:g} s") from None
    except (OSError, ValueError) as exc:
        raise NotObservedError(f"{where}: no TLS handshake ({_said(exc)})") from None
    try:
        session: ssl.SSLObject = writer.get_extra_info("ssl_object")
        cipher = session.cipher()
        answer: dict[str, Any] = {
            "protocol": session.version(),
            "cipher": cipher[0] if cipher else None,
            "chain": [base64.b64encode(der).decode("ascii") for der in served_chain(session)],
        }
        if host:
            answer["head"] = await _head(reader, writer, host)
        return answer
    finally:
        writer.transport.abort()


async def _head(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
) -> dict[str, Any]:
    try:
        async with asyncio.timeout(HEAD_S):
            return await ask_head(reader, writer, host)
    except TimeoutError:
        return {"error": f"no HTTP answer within {HEAD_S:g} s"}
    except (OSError, ValueError, NotObservedError) as exc:
        return {"error": f"no HTTP answer ({_said(exc)})"}


async def tls_old(
    address: str,
    port: int,
    version: OldVersion,
    *,
    server_name: str = "",
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """Offer TLS 1.0 or 1.1 and nothing newer, in bytes of our own.

    The auditor's OpenSSL may refuse to offer them, which would look like the server's refusal.

    Returns:
        ``version``, ``accepted``, and ``answer``: what the server said.

    Raises:
        NotObservedError: No answer, or none that is TLS.
    """
    hello = client_hello(_WIRE_VERSION[version], server_name)
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(hello)
                answer = await _exactly(reader, 11)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise NotObservedError(
            f"{address}:{port} did not answer to {version} within {timeout_s:g} s"
        ) from None
    except ConnectionResetError:
        answer = b""
    except OSError as exc:
        raise NotObservedError(f"{address}:{port} could not be asked ({_said(exc)})") from None
    accepted, said = parse_answer(answer)
    return {"version": version, "accepted": accepted, "answer": said}


def client_hello(version: int, server_name: str) -> bytes:
    """Return a ClientHello record for a wire version of at most TLS 1.1."""
    ciphers = b"".join(struct.pack(">H", c) for c in _OLD_CIPHERS)
    groups = b"".join(struct.pack(">H", g) for g in _GROUPS)
    extensions = _extension(10, struct.pack(">H", len(groups)) + groups) + _extension(11, b"\1\0")
    if server_name:
        name = server_name.encode("ascii" if server_name.isascii() else "idna")
        entry = b"\0" + struct.pack(">H", len(name)) + name
        extensions = _extension(0, struct.pack(">H", len(entry)) + entry) + extensions
    body = (
        struct.pack(">H", version)
        + secrets.token_bytes(32)
        + b"\0"
        + struct.pack(">H", len(ciphers))
        + ciphers
        + b"\1\0"
        + struct.pack(">H", len(extensions))
        + extensions
    )
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return struct.pack(">BHH", _HANDSHAKE_RECORD, 0x0301, len(message)) + message


def parse_answer(answer: bytes) -> tuple[bool, str]:
    """Tell from the first bytes of an answer whether the old version was taken.

    Returns:
        Whether there is a ServerHello of at most TLS 1.1, and what was said.

    Raises:
        NotObservedError: It is not TLS.
    """
    if not answer:
        return False, "the connection was closed"
    if answer[0] == _ALERT_RECORD and len(answer) >= 7:
        return False, f"alert {answer[6]}"
    if answer[0] == _HANDSHAKE_RECORD and len(answer) >= 11 and answer[5] == _SERVER_HELLO:
        chosen = int.from_bytes(answer[9:11], "big")
        return chosen <= 0x0302, f"ServerHello 0x{chosen:04x}"
    raise NotObservedError(f"the answer to an old ClientHello is not TLS: {answer[:11].hex()}")


def served_chain(session: ssl.SSLObject) -> list[bytes]:
    """Return the certificates that the server sent, as DER; public API from Python 3.13 on."""
    if hasattr(session, "get_unverified_chain"):
        chain: list[bytes] = session.get_unverified_chain()
        return list(chain)
    inner: Any = session._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 before 3.13
    return [_der(certificate) for certificate in inner.get_unverified_chain() or ()]


def _der(certificate: Any) -> bytes:
    der: bytes = certificate.public_bytes(2)
    return der


@lru_cache(maxsize=4)
def _context(kind: KeyKind | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers(f"{_CIPHERS[kind]}:@SECLEVEL=0" if kind else "ALL:@SECLEVEL=0")
    if kind:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


async def _exactly(reader: asyncio.StreamReader, count: int) -> bytes:
    try:
        return await reader.readexactly(count)
    except asyncio.IncompleteReadError as exc:
        return exc.partial


def _said(exc: BaseException) -> str:
    said = getattr(exc, "reason", None) or str(exc) or type(exc).__name__
    return line_of_bytes(said.encode("utf-8", "replace"), 160)
