"""SSH servers for tests: asyncssh ones that behave as told, and OpenSSH's own sshd.

All listen on 127.x addresses. A server is given the Droplet ids of its addresses, and its shell
runs the host script for real, with cloud-init's folder moved to a temporary one per address.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

CLOUD = "/var/lib/cloud"
HANGS_S = 600
"""Seconds after which a server hangs, however slow the machine is."""
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin") or "/usr/sbin/sshd"

Process = asyncssh.SSHServerProcess[bytes]
Handler = Callable[["Session"], Awaitable[None]]
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_NONCE = re.compile(rb"--([0-9a-f]{32}) ")
_ASKED = re.compile(rb"^(section|as_root) ([A-Za-z0-9_.-]+) (?:[0-9]+|-) (.*)$", re.MULTILINE)


@dataclass
class Session:
    """One exec request: the client's command line, the host that it meant, the answer."""

    process: Process
    server: Server

    @property
    def command(self) -> str:
        """The client's command line."""
        return self.process.command or ""

    @property
    def address(self) -> str:
        """The address that the client connected to."""
        return str(self.process.get_extra_info("sockname")[0])

    @property
    def droplet_id(self) -> int:
        """The Droplet that this address belongs to."""
        return self.server.droplets[self.address]

    async def script(self) -> bytes:
        """Return all of the client's standard input."""
        return await self.process.stdin.read()

    def write(self, data: bytes) -> None:
        """Print bytes."""
        self.process.stdout.write(data)

    def exit(self, status: int = 0) -> None:
        """End the command."""
        self.process.exit(status)

    def drop(self) -> None:
        """Cut the TCP connection."""
        self.process.channel.get_connection().abort()


async def shell(session: Session) -> None:
    """Answer as a host does: a real sh runs the script."""
    script = await session.script()
    session.server.scripts.append((session.address, script.decode("utf-8", "replace")))
    cloud = session.server.folder / session.address
    (cloud / "data").mkdir(parents=True, exist_ok=True)
    (cloud / "data/instance-id").write_text(f"{session.droplet_id}\n")
    await _run(session, script.replace(CLOUD.encode(), str(cloud).encode()))


async def host(session: Session) -> None:
    """Answer as :func:`shell`, and run other commands than the script's without any input."""
    if "sh -s" in session.command:
        await shell(session)
    else:
        await _run(session, b"")


async def _run(session: Session, stdin: bytes) -> None:
    child = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        session.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        stdout, stderr = await child.communicate(stdin)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.communicate()
        raise
    session.write(stdout)
    session.process.stderr.write(stderr)
    session.exit(child.returncode or 0)


def canned(
    sections: Mapping[str, bytes] | None = None,
    *,
    uid: int = 0,
    identity: str | None = None,
    sudo: bytes = b"",
    skipped: Sequence[str] = (),
) -> Handler:
    """Return a handler that answers without a shell: it is cheap.

    Args:
        sections: What each printed.
        uid: Whom the script ran as.
        identity: What the host says of itself, where not that it is its Droplet.
        sudo: What sudo said as it refused.
        skipped: Sections that were not run for want of root.
    """

    async def answer(session: Session) -> None:
        nonce = nonce_of(await session.script())
        told = f"cloud-init {session.droplet_id}\n" if identity is None else identity
        printed = {"droplet_identity": told.encode(), **(sections or {})}
        session.write(framed(nonce, printed, uid, sudo, eof=False))
        session.write(b"".join(f"\n--{nonce} skip {name}\n".encode() for name in skipped))
        session.write(f"\n--{nonce} eof\n".encode())
        session.exit()

    return answer


def nonce_of(script: bytes) -> str:
    """Return the nonce that a host script frames its output with."""
    found = _NONCE.search(script)
    assert found is not None, script[:200]
    return found[1].decode()


@dataclass(frozen=True)
class Asked:
    """A section that a host script runs; ``quoted`` is its text up to the first line feed."""

    name: str
    quoted: str
    root: bool


def sections_of(script: bytes) -> list[Asked]:
    """Return the sections that a host script runs, in their order."""
    return [
        Asked(name.decode(), quoted.decode("utf-8", "replace"), call == b"as_root")
        for call, name, quoted in _ASKED.findall(script)
    ]


def framed(
    nonce: str,
    sections: Mapping[str, bytes],
    uid: int = 0,
    sudo: bytes = b"",
    *,
    eof: bool = True,
) -> bytes:
    """Return what the host script prints for these sections."""
    parts = [_frame(nonce, "_id", b"%d\nuser\n%s" % (uid, sudo))]
    parts += [_frame(nonce, name, body) for name, body in sections.items()]
    return b"".join(parts) + (b"\n--%s eof\n" % nonce.encode() if eof else b"")


def _frame(nonce: str, name: str, body: bytes) -> bytes:
    begin = f"\n--{nonce} begin {name}\n".encode()
    return begin + body + f"\n--{nonce} end {name} rc=0\n".encode()


class _Login(asyncssh.SSHServer):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections += 1
        self._conn = conn

    def begin_auth(self, username: str) -> bool:
        del username
        return True

    def auth_completed(self) -> None:
        self._server.logins += 1

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        del orig_host, orig_port
        self._server.forwarded.append((dest_host, dest_port))
        return self._server.forwards


@dataclass
class Server:
    """A running asyncssh server.

    Attributes:
        droplets: Droplet id by address.
        connections: TCP connections so far, ``logins`` those that authenticated.
        commands: Command lines so far, with the address that each ran on.
        scripts: What :func:`shell` was sent on standard input, with the address.
        forwards: Whether it is a jump host.
    """

    folder: Path
    droplets: Mapping[str, int]
    handler: Handler
    port: int = 0
    host_key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    forwards: bool = False
    forwarded: list[tuple[str, int]] = field(default_factory=list)
    connections: int = 0
    logins: int = 0
    commands: list[tuple[str, str]] = field(default_factory=list)
    scripts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The first address."""
        return next(iter(self.droplets))

    def known_hosts(self) -> str:
        """Return the lines that trust this server at all its addresses."""
        key = self.host_key.export_public_key().decode().strip()
        return "".join(f"[{address}]:{self.port} {key}\n" for address in self.droplets)

    async def serve(self, process: Process) -> None:
        """Answer one exec request."""
        session = Session(process, self)
        self.commands.append((session.address, session.command))
        with contextlib.suppress(asyncssh.Error, OSError):
            await self.handler(session)


class Servers:
    """An event loop in a thread that runs servers, and the client's files for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key.write_private_key(folder / "id_ed25519")
        self.user_key.write_public_key(folder / "id_ed25519.pub")
        (folder / "id_ed25519").chmod(0o600)
        self.user_key.write_public_key(folder / "authorized_keys")
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.touch()
        self._loop = asyncio.new_event_loop()
        self._running: list[Any] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Awaitable[Any], timeout: float = HANGS_S) -> Any:
        """Run a coroutine in the servers' loop."""

        async def run() -> Any:
            return await work

        future: Future[Any] = asyncio.run_coroutine_threadsafe(run(), self._loop)
        return future.result(timeout)

    def ssh(
        self,
        droplets: Mapping[str, int],
        handler: Handler = shell,
        *,
        trusted: bool = True,
        forwards: bool = False,
        **options: Any,
    ) -> Server:
        """Start an asyncssh server on these addresses, on one free port."""
        server = Server(self.folder / "hosts", droplets, handler, forwards=forwards)
        self.do(self._listen(server, options))
        if trusted:
            with self.known_hosts.open("a") as file:
                file.write(server.known_hosts())
        return server

    def tcp(self, peer: Peer, address: str = "127.0.0.1", **options: Any) -> int:
        """Start a plain TCP server, or with ``ssl`` a TLS one, and return its port."""

        async def attended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await peer(reader, writer)
            finally:
                writer.transport.abort()

        async def listen() -> int:
            server = await asyncio.start_server(attended, address, 0, **options)
            self._running.append(server)
            return int(server.sockets[0].getsockname()[1])

        return int(self.do(listen()))

    def config(self, port: int, *lines: str) -> str:
        """Write an ssh config for servers on this port, and return its path."""
        path = self.folder / f"config-{time.monotonic_ns()}"
        path.write_text(
            "\n".join(
                [
                    *lines,
                    "Host *",
                    f"  Port {port}",
                    f"  IdentityFile {self.folder / 'id_ed25519'}",
                    f"  UserKnownHostsFile {self.known_hosts}",
                    "  IdentityAgent none",
                    "",
                ]
            )
        )
        return str(path)

    def close(self) -> None:
        """Stop all servers."""

        async def stop() -> None:
            await asyncio.sleep(0.01)  # of a closed server, who was accepted last stays open
            for server in self._running:
                server.close()
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.01)
            await self._loop.shutdown_default_executor()

        self.do(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(HANGS_S)
        self._loop.close()

    async def _listen(self, server: Server, options: Mapping[str, Any]) -> None:
        for address in server.droplets:
            listener = await asyncssh.listen(
                address,
                server.port,
                server_host_keys=[server.host_key],
                server_factory=lambda: _Login(server),
                process_factory=server.serve,
                encoding=None,
                config=[],
                gss_host=None,
                **{"authorized_client_keys": str(self.folder / "authorized_keys"), **options},
            )
            server.port = listener.get_port()
            self._running.append(listener)


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Run servers until the block ends."""
    running = Servers(folder)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Servers]:
    """SSH servers, stopped at the end."""
    folder = tmp_path / "farm"
    folder.mkdir()
    with servers(folder) as running:
        yield running


@contextlib.contextmanager
def openssh(
    running: Servers, droplet_id: int, *lines: str, login_shell: str = "sh"
) -> Iterator[int]:
    """Run OpenSSH's sshd on 127.0.0.1 as the user of this process, and yield its port.

    Args:
        running: Whose user key logs in; sshd's host key is added to its known_hosts.
        droplet_id: What the host says it is.
        lines: Added to sshd_config; a ``ForceCommand`` there replaces the shell.
        login_shell: Runs the client's command line, as the account's shell would.
    """
    needs(SSHD)
    folder = running.folder / f"sshd-{droplet_id}"
    cloud = folder / "cloud/data"
    cloud.mkdir(parents=True)
    (cloud / "instance-id").write_text(f"{droplet_id}\n")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "host_key")
    (folder / "host_key").chmod(0o600)
    wrapper = folder / "login"
    wrapper.write_text(
        f"#!/bin/sh\nsed 's#{CLOUD}#{folder}/cloud#g' |"
        f' {login_shell} -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    wrapper.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "sshd_config"
    forced = any(line.startswith("ForceCommand") for line in lines)
    config.write_text(
        "\n".join(
            [
                *lines,
                *([] if forced else [f"ForceCommand {wrapper}"]),
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {folder / 'host_key'}",
                f"AuthorizedKeysFile {running.folder / 'authorized_keys'}",
                "StrictModes no",
                "UsePAM no",
                "PidFile none",
                "PermitRootLogin prohibit-password",
                "",
            ]
        )
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with running.known_hosts.open("a") as file:
        file.write(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
    try:
        wait_for_port("127.0.0.1", port, child)
        yield port
    finally:
        child.terminate()
        child.wait(HANGS_S)


def needs(tool: str) -> None:
    """Skip a test whose tool is not installed; in CI that is a failure."""
    if shutil.which(tool) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{tool} is not installed, and CI must not skip")
        pytest.skip(f"{tool} is not installed")


def login_name() -> str:
    """Return the user that :func:`openssh` lets in."""
    return pwd.getpwuid(os.getuid()).pw_name


def wait_for_port(address: str, port: int, child: subprocess.Popen[bytes]) -> None:
    for _ in range(HANGS_S * 50):
        assert child.poll() is None, "sshd ended"
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
            return
        time.sleep(0.02)
    pytest.fail("sshd does not answer")
