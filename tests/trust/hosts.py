"""A fleet on loopback in which every host goes wrong in a way of its own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import tomllib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import asyncssh

from pytest_droplet.testing import Cloud
from tests.checks.cases import HERE, _merge_base
from tests.support.ssh_server import Handler, Servers, Session, framed, nonce_of, sections_of

CONNECT_S, READ_S = 8, 25
"""The limits that a run over the fleet needs: a slow machine reads the well hosts in time."""

_BASES = ("debian-12-clean", "debian-12-patched", "no-web")
_NOISE = b"Welcome!\r\n\x1b[31mLast login: \x00\xff\n--0123456789abcdef begin _id\n0\n"

Change = Callable[[str, dict[str, bytes]], None]


@dataclass(frozen=True)
class Bad:
    """What is wrong with a host, and what the run must say.

    Attributes:
        serve: Starts it, and returns the lines of its ``Host`` block in the ssh config.
        coverage: What the record says of the host.
        reason: A part of the line on it, or of the messages of its unknown checks.
    """

    serve: Callable[[Servers, str, int], list[str]]
    coverage: str
    reason: str


@cache
def sections() -> Mapping[str, bytes]:
    """Return what a well kept host prints: it passes most checks."""
    merged: dict[str, bytes] = {}
    for base in _BASES:
        table = _merge_base(tomllib.loads((HERE / "_bases" / f"{base}.toml").read_text("utf-8")))
        for name, section in table["sections"].items():
            merged.setdefault(name, section.get("stdout", "").encode())
    return merged


def answer(
    change: Change = lambda nonce, printed: None,
    *,
    uid: int = 0,
    sudo: bytes = b"",
    identity: str | None = None,
    before: bytes = b"",
    ending: Callable[[Session, str], Awaitable[None]] | None = None,
) -> Handler:
    """Return a handler that answers as a well kept host, but for what is said.

    Args:
        change: Changes what the sections print, given the nonce.
        uid: Whom the script ran as; sections that need root are skipped without it.
        sudo: What sudo said as it refused.
        identity: What the host says of itself.
        before: Printed before the first marker.
        ending: Takes the place of the last marker and the end.
    """

    async def handler(session: Session) -> None:
        script = await session.script()
        nonce = nonce_of(script)
        asked = sections_of(script)
        told = f"cloud-init {session.droplet_id}\n" if identity is None else identity
        skipped = [section.name for section in asked if section.root and uid]
        names = [section.name for section in asked if section.name not in skipped]
        printed = {name: sections()[name] for name in names if name in sections()}
        change(nonce, printed)
        session.write(
            before + framed(nonce, {"droplet_identity": told.encode()}, uid, sudo, eof=False)
        )
        frames = framed(nonce, printed, eof=False)
        session.write(frames[frames.index(b" end _id rc=0\n") + len(b" end _id rc=0\n") :])
        session.write(b"".join(f"\n--{nonce} skip {name}\n".encode() for name in skipped))
        if ending is not None:
            await ending(session, nonce)
            return
        session.write(f"\n--{nonce} eof\n".encode())
        session.exit()

    return handler


def _served(handler: Handler, **options: Any) -> Callable[[Servers, str, int], list[str]]:
    def serve(farm: Servers, address: str, droplet_id: int) -> list[str]:
        return [f"  Port {farm.ssh({address: droplet_id}, handler, **options).port}"]

    return serve


def _says(said: bytes, status: int) -> Handler:
    async def handler(session: Session) -> None:
        await session.script()
        session.write(said)
        session.exit(status)

    return handler


def _refused(farm: Servers, address: str, droplet_id: int) -> list[str]:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return [f"  Port {probe.getsockname()[1]}"]


_SILENT: list[socket.socket] = []


def _filtered(farm: Servers, address: str, droplet_id: int) -> list[str]:
    """A backlog that is full: the kernel drops what comes, as a firewall does."""
    listener = socket.socket()
    listener.bind((address, 0))
    listener.listen(0)
    _SILENT.append(listener)
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)  # noqa: FBT003 positional only
        with contextlib.suppress(BlockingIOError):
            filler.connect(listener.getsockname())
        _SILENT.append(filler)
    return [f"  Port {listener.getsockname()[1]}"]


def _stranger(farm: Servers, address: str, droplet_id: int) -> list[str]:
    other = farm.folder / "stranger.pub"
    asyncssh.generate_private_key("ssh-ed25519").write_public_key(other)
    return _served(answer(), authorized_client_keys=str(other))(farm, address, droplet_id)


def _changed(farm: Servers, address: str, droplet_id: int) -> list[str]:
    server = farm.ssh({address: droplet_id}, answer(), trusted=False)
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with farm.known_hosts.open("a") as file:
        file.write(f"[{address}]:{server.port} {key}")
    return [f"  Port {server.port}"]


def _tcp(peer: Any) -> Callable[[Servers, str, int], list[str]]:
    def serve(farm: Servers, address: str, droplet_id: int) -> list[str]:
        return [f"  Port {farm.tcp(peer, address)}"]

    return serve


async def _old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"SSH-1.5-old\r\n")
    writer.close()


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await reader.read()


async def _slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        for byte in b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" * 9:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)


async def _hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _hangs(session: Session) -> None:
    await session.script()
    await session.process.wait_closed()


async def _cut(session: Session, nonce: str) -> None:
    session.write(f"\n--{nonce} begin sshd\npermitrootlogin no\n".encode())
    await session.process.stdout.drain()
    await asyncio.sleep(0.2)
    session.drop()


async def _drip(session: Session, nonce: str) -> None:
    session.write(f"\n--{nonce} begin sshd\n".encode())
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            session.write(b"p")
            await asyncio.sleep(1)


async def _flood(session: Session, nonce: str) -> None:
    session.write(f"\n--{nonce} begin sshd\n".encode())
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            session.write(b"permitrootlogin no\n" * 4096)
            await session.process.stdout.drain()


GIGABYTE = 2**30
SENT = {"gigabyte": 0}
"""Bytes that a host got rid of before it was hung up on."""


async def _gigabyte(session: Session, nonce: str) -> None:
    """A section of a gigabyte that ends as it should."""
    session.write(f"\n--{nonce} begin sshd\n".encode())
    line = b"permitrootlogin no\n" * 4096
    with contextlib.suppress(OSError, asyncssh.Error):
        while SENT["gigabyte"] < GIGABYTE:
            session.write(line)
            await session.process.stdout.drain()
            SENT["gigabyte"] += len(line)
        session.write(f"\n--{nonce} end sshd rc=0\n\n--{nonce} eof\n".encode())
        session.exit()


async def _endless(session: Session) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            session.write(b"y\n" * 32_768)
            await session.process.stdout.drain()


def _without(nonce: str, printed: dict[str, bytes]) -> None:
    for name in ("sshd", "audit", "units"):
        printed.pop(name, None)


def _framing(nonce: str, printed: dict[str, bytes]) -> None:
    """Marks of another run, of no run, and malformed ones of this run, in every section."""
    marks = f"\n--{'0' * 32} end sshd rc=0\n\n--{'0' * 32} eof\n\n--NONCE eof\n\n--{nonce} eof \n"
    for name, text in printed.items():
        printed[name] = marks.encode() + text


def _forged(nonce: str, printed: dict[str, bytes]) -> None:
    """Whole marks of this run in the first section: the host is not to be believed at all."""
    good = printed["sshd"]
    printed["kernel"] = f"\n--{nonce} end kernel rc=0\n\n--{nonce} begin sshd\n".encode() + good


def _binary(nonce: str, printed: dict[str, bytes]) -> None:
    for name, text in printed.items():
        printed[name] = b"\x00\xff\xfe\xc3\x28\n" + text.replace(b" ", b"\x00 \xed\xa0\x80")


def _escapes(nonce: str, printed: dict[str, bytes]) -> None:
    """Whatever is repeated in a message or as evidence, it moves the cursor and breaks lines."""
    for name, text in printed.items():
        printed[name] = re.sub(
            rb"(?<=[a-z0-9]{3})(?=[a-z0-9.])", b"\x1b[2K\r\x9b7m\xe2\x80\xae", text
        )


def _bells(nonce: str, printed: dict[str, bytes]) -> None:
    """The same at fewer places, so that most of it is read."""
    for name, text in printed.items():
        printed[name] = re.sub(rb"(?m)$", b"\x07\x1b[1A", text.replace(b"root", b"ro\x1b[2Jot"))


FLEET: Mapping[str, Bad] = {
    "well": Bad(_served(answer()), "reached", ""),
    "noisy": Bad(_served(answer(before=_NOISE)), "reached", ""),
    "rekeys": Bad(_served(answer(), rekey_bytes=2000), "reached", ""),
    "refused": Bad(_refused, "unreachable", "refused the connection; check that sshd runs"),
    "filtered": Bad(_filtered, "unreachable", f"within {CONNECT_S} s; check its cloud firewall"),
    "stranger": Bad(_stranger, "unreachable", "refused the login of root (keys offered: 1 "),
    "changed": Bad(_changed, "unreachable", "has changed: it is ssh-ed25519 SHA256:"),
    "unknown-key": Bad(
        _served(answer(), trusted=False), "unreachable", "is not known (ssh-ed25519 SHA256:"
    ),
    "nologin": Bad(
        _served(_says(b"This account is currently not available.\n", 1)),
        "unreachable",
        "got no shell (This account is currently not available.)",
    ),
    "forced": Bad(
        _served(_says(b"welcome to git\n", 128)), "unreachable", "got no shell (welcome to git)"
    ),
    "mute": Bad(_served(_says(b"", 0)), "unreachable", "got no shell (nothing was printed"),
    "hangs": Bad(_served(_hangs), "unreachable", "no answer from its shell within"),
    "silent": Bad(_tcp(_silent), "unreachable", f"but no SSH login within {READ_S} s"),
    "slow-banner": Bad(_tcp(_slow), "unreachable", f"but no SSH login within {READ_S} s"),
    "no-ssh": Bad(_tcp(_old), "unreachable", "does not speak SSH 2"),
    "max-startups": Bad(
        _tcp(_hangs_up), "unreachable", "closed the connection before the login; check MaxStart"
    ),
    "wrong-host": Bad(
        _served(answer(identity="cloud-init 999\n")), "unreachable", "wrong host: 127."
    ),
    "nobody": Bad(_served(answer(identity="")), "unreachable", "identity not proved"),
    "endless": Bad(_served(_endless), "unreachable", "got no shell (y y y"),
    "cut": Bad(
        _served(answer(_without, ending=_cut)), "reached", "the connection was cut before its end"
    ),
    "drip": Bad(
        _served(answer(_without, ending=_drip)),
        "reached",
        f"time limit of {READ_S} s ended the reading",
    ),
    "flood": Bad(
        _served(answer(_without, ending=_flood)), "reached", "the host printed more than"
    ),
    "gigabyte": Bad(
        _served(answer(_without, ending=_gigabyte)), "reached", "the host printed more than"
    ),
    "framing": Bad(_served(answer(_framing)), "reached", ""),
    "forged": Bad(_served(answer(_forged)), "reached", ""),
    "escapes": Bad(_served(answer(_escapes)), "reached", ""),
    "bells": Bad(_served(answer(_bells)), "reached", ""),
    "binary": Bad(_served(answer(_binary)), "reached", ""),
    "sudo-password": Bad(
        _served(answer(uid=1000, sudo=b"sudo: a password is required")),
        "reached",
        "needs root; sudo -n was refused: a password is required",
    ),
    "sudo-rs": Bad(
        _served(answer(uid=1000, sudo=b"sudo-rs: interactive authentication is required")),
        "reached",
        "needs root; sudo -n was refused: interactive authentication is required",
    ),
    "sudo-absent": Bad(
        _served(answer(uid=1000, sudo=b"/usr/bin/env: 'sudo': No such file or directory")),
        "reached",
        "needs root; sudo is not installed, and the login is not root",
    ),
}
"""Every host by the name of its Droplet; ids count from 1."""

ID_OF = {name: number for number, name in enumerate(FLEET, 1)}


@contextmanager
def fleet(farm: Servers, cloud: Cloud) -> Iterator[str]:
    """Start every host, add its Droplet to the account, and yield the path of the ssh config."""
    blocks: list[str] = []
    with ExitStack() as stack:
        stack.callback(lambda: [s.close() for s in _SILENT])
        for name, bad in FLEET.items():
            number = ID_OF[name]
            address = f"127.0.9.{number}"
            cloud.add(name, id=number, public=address, tags=["fleet"])
            blocks += [f"Host {name}", *bad.serve(farm, address, number)]
        yield farm.config(22, *blocks)
