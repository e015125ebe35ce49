"""What the auditor sees of a host from outside: open ports, offered logins, HTTP answers.

Each probe opens one connection, changes nothing, has a time limit, and returns JSON-able data.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import ssl
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Literal

from pytest_droplet.model import HostReading, NotObservedError, Probe
from pytest_droplet.text import line_of_bytes

TIMEOUT_S = 10.0
HTTP_CAP_BYTES = 16_384
AT_ONCE = 8
UNKNOWN_USER = "pytest-droplet-nobody"
HEADERS = ("content-type", "location", "server", "strict-transport-security")

Port = Literal["open", "refused", "filtered"]

jump_host: ContextVar[Any] = ContextVar("jump_host", default=None)
"""The connection to a jump host that SSH is asked through; None: straight from here."""
asked_at_once: ContextVar[asyncio.Semaphore | None] = ContextVar("asked_at_once", default=None)
"""How many questions about web servers all probes of a host may have open; None: each its own."""
login_limit_s: ContextVar[float] = ContextVar("login_limit_s", default=TIMEOUT_S)
"""Seconds for each login that is begun to see what is offered."""


async def tcp_connect(address: str, port: int, *, timeout_s: float = TIMEOUT_S) -> Port:
    """Try a TCP connection.

    Returns:
        ``filtered`` where nothing answered in time or a router said no: it does not tell who
        filters.

    Raises:
        NotObservedError: This machine has no way to the address: nothing can be said.
    """
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return "filtered"
    except ConnectionRefusedError:
        return "refused"
    except OSError as exc:
        if exc.errno in {errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ECONNRESET, errno.EACCES}:
            return "filtered"
        raise NotObservedError(
            f"no connection to {address}:{port} could be tried from here ({exc.strerror or exc})"
        ) from None
    await _hang_up(writer)
    return "open"


async def ssh_auth_methods(address: str, port: int, users: Iterable[str]) -> dict[str, list[str]]:
    """Ask sshd which ways to log in it offers each user; no key and no password is sent.

    The users are asked one after the other, on a connection each. ``["none"]`` means that the
    server let the user in without any.

    Raises:
        NotObservedError: The server could not be asked.
    """
    import asyncssh  # noqa: PLC0415 a module of facts may import this one in any run

    timeout_s = login_limit_s.get()
    options = _ssh_options()
    kex_algs = [name.decode("ascii") for name in options.kex_algs]  # it would take the defaults
    found: dict[str, list[str]] = {}
    for user in users:
        try:
            async with asyncio.timeout(timeout_s):
                methods = await asyncssh.get_server_auth_methods(
                    address,
                    port,
                    username=user,
                    config=None,
                    tunnel=jump_host.get(),
                    proxy_command=None,
                    kex_algs=kex_algs,
                    options=options,
                )
        except TimeoutError:
            raise NotObservedError(
                f"{address}:{port} did not tell its login methods within {timeout_s:g} s"
            ) from None
        except (asyncssh.Error, OSError, ValueError) as exc:
            said = line_of_bytes(str(exc).encode("utf-8", "replace"))
            raise NotObservedError(
                f"{address}:{port} did not tell its login methods ({said})"
            ) from None
        found[user] = sorted(line_of_bytes(m.encode()) for m in methods)
    return found


@functools.cache
def _ssh_options() -> Any:
    """Return the options of a client that only asks.

    No key, no agent, no config, and no host key to compare: the answer is all that counts. Every
    algorithm is offered; as nothing secret is sent, those that cost least come first.
    """
    import asyncssh  # noqa: PLC0415 as above

    return asyncssh.SSHClientConnectionOptions(
        config=[],
        client_keys=None,
        agent_path=None,
        gss_host=None,
        known_hosts=None,
        x509_trusted_certs=None,
        kex_algs="^curve25519-sha256",
        encryption_algs="^aes128-gcm@openssh.com",
    )


async def http_head(
    address: str, port: int, host: str, *, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Send ``HEAD /`` with a ``Host`` header in clear text, follow nothing, and return the head.

    Returns:
        As :func:`parse_head`.

    Raises:
        NotObservedError: No HTTP answer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                return await ask_head(reader, writer, host)
            finally:
                await _hang_up(writer)
    except TimeoutError:
        raise NotObservedError(
            f"{address}:{port} gave no HTTP answer for {host} within {timeout_s:g} s"
        ) from None
    except (OSError, ValueError) as exc:
        said = line_of_bytes(str(exc).encode("utf-8", "replace"))
        raise NotObservedError(
            f"{address}:{port} gave no HTTP answer for {host} ({said})"
        ) from None


async def ask_head(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
) -> dict[str, Any]:
    """Send ``HEAD /`` on a connection, and return the answer's head.

    Raises:
        NotObservedError: The name is none of a host, or it is no HTTP answer.
        OSError: The connection broke.
        ValueError: The name cannot be written in IDNA.
    """
    name = host.encode("ascii" if host.isascii() else "idna")
    if any(c in b"\r\n \0" for c in name):
        raise NotObservedError(f"{host!r} is no host name")
    writer.write(
        b"HEAD / HTTP/1.1\r\nHost: %s\r\nUser-Agent: pytest-droplet\r\n"
        b"Accept: */*\r\nConnection: close\r\n\r\n" % name
    )
    return parse_head(await _head(reader))


def parse_head(head: bytes) -> dict[str, Any]:
    """Parse status line and headers of an HTTP answer; of a header sent twice the first counts.

    Returns:
        ``status`` (a number), ``location`` (text or None), ``headers`` (those of
        :data:`HEADERS`, by lower-case name).

    Raises:
        NotObservedError: It is no HTTP answer.
    """
    lines = head.decode("latin-1").splitlines()
    words = lines[0].split(" ", 2) if lines else [""]
    if not words[0].startswith("HTTP/1.") or len(words) < 2 or not _is_status(words[1]):
        raise NotObservedError(f"no HTTP answer, but {line_of_bytes(head, 80)!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        key, colon, value = line.partition(":")
        if colon and key.lower() in HEADERS:
            headers.setdefault(key.lower(), line_of_bytes(value.encode("latin-1"), 500))
    return {"status": int(words[1]), "location": headers.get("location"), "headers": headers}


def _is_status(word: str) -> bool:
    return len(word) == 3 and word.isascii() and word.isdigit()


async def _head(reader: asyncio.StreamReader) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) < HTTP_CAP_BYTES:
        piece = await reader.read(4096)
        if not piece:
            break
        head += piece
    return head[:HTTP_CAP_BYTES].split(b"\r\n\r\n")[0]


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


async def _ssh_auth(address: str, reading: HostReading) -> dict[str, list[str]]:
    return await ssh_auth_methods(address, reading.port, ("root", UNKNOWN_USER))


SSH_AUTH = Probe("ssh_auth", _ssh_auth)
"""Login methods by user name: those for root, and for a user that no host has.

Asked the way that the login came, so that it is the same server.
"""
