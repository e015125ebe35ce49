"""Many hosts at once, for real: an SSH server on every loopback address, and ports that are dead.

``python -m tests.trust.load --alive 2000 --soft 1024`` audits 2,000 hosts over as many real
connections at once; ``--dead`` adds hosts that never answer, ``--hard`` keeps the limit of open
files from being raised. It prints what the run said and how long it took.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from pytest_droplet.testing import SCOPES, Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.ssh_server import framed, nonce_of
from tests.trust.runs import HANGS_S, finish, start, verdicts

ROOT = Path(__file__).parents[2]
CONNECT_S = 5
_OS = b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\nNAME="Debian"\n'
_CHECK = '''
from pytest_droplet import check

@check("site.release")
def test_release(droplet_os_release):
    """The release is known."""
    assert droplet_os_release.version_id == "12"
'''


@dataclass(frozen=True)
class Load:
    """What a run over many hosts came to.

    Attributes:
        seconds: From its start to its end.
        passed: Hosts that were read.
        unknown: Hosts that were not.
        logins: Connections that the server let in.
    """

    status: int
    text: str
    seconds: float
    passed: int
    unknown: int
    logins: int


def address(number: int) -> str:
    """Return the loopback address of a Droplet."""
    return f"127.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def number_of(ip: str) -> int:
    """Return the Droplet of a loopback address."""
    first, second, third = map(int, ip.split(".")[1:])
    return first - 100 << 16 | second << 8 | third


def measure(
    folder: Path, *, alive: int, dead: int = 0, soft: int = 1024, hard: int | None = None
) -> Load:
    """Audit so many hosts with so many open files allowed, and return what came of it."""
    cloud = Cloud()
    for number in range(1, alive + dead + 1):
        kind = "alive" if number <= alive else "dead"
        cloud.add(f"{kind}-{number}", id=number, public=address(number))
    (folder / "test_site.py").write_text(_CHECK)
    (folder / "pytest.ini").write_text("[pytest]\ndroplets_profile = none\n")
    with (
        _server(folder) as (port, counter),
        _silence() as silent,
        FakeApi(cloud, scopes=SCOPES) as api,
    ):
        (folder / "config").write_text(
            f"Host dead-*\n  Port {silent}\nHost *\n  Port {port}\n  HostKeyAlias farm\n"
            f"  IdentityFile {folder}/id\n  UserKnownHostsFile {folder}/known_hosts\n"
            "  IdentityAgent none\n"
        )
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if hard is None else hard
        began = time.monotonic()
        process = start(
            folder,
            "--droplets=all",
            f"--droplets-connections={alive + dead}",
            f"--droplets-connect-timeout={CONNECT_S}",
            "--droplets-timeout=300",
            f"--ssh-config={folder}/config",
            "--droplets-report=jsonl:out.jsonl",
            env={"DIGITALOCEAN_API_URL": api.url, "DIGITALOCEAN_TOKEN": TOKEN},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most)),
        )
        status, text = finish(process)
        seconds = time.monotonic() - began
        logins = counter.stat().st_size
    given = list(verdicts(folder / "out.jsonl").values())
    return Load(status, text, seconds, given.count("pass"), given.count("unknown"), logins)


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[tuple[int, Path]]:
    """Run the farm in a process of its own; its file ``logins`` grows by a byte a login."""
    for name in ("host", "id"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
    (folder / "known_hosts").write_text(f"farm {(folder / 'host.pub').read_text()}")
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "--serve", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), folder / "logins"
    finally:
        process.stdin.close()
        process.wait(HANGS_S)
        process.stdout.close()


@contextlib.contextmanager
def _silence() -> Iterator[int]:
    """Yield a port that drops what comes, on every address: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("0.0.0.0", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 positional only
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port


async def _serve(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    class Login(asyncssh.SSHServer):
        def auth_completed(self) -> None:
            logins.write(b".")

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        nonce = nonce_of(await process.stdin.read())
        number = number_of(process.get_extra_info("sockname")[0])
        told = b"cloud-init %d\n" % number
        process.stdout.write(framed(nonce, {"droplet_identity": told, "os": _OS}))
        process.exit(0)

    with (folder / "logins").open("wb", buffering=0) as logins:
        listener = await asyncssh.listen(
            "0.0.0.0",
            0,
            server_host_keys=[str(folder / "host")],
            server_factory=Login,
            process_factory=answer,
            authorized_client_keys=str(folder / "id.pub"),
            encoding=None,
            config=[],
            gss_host=None,
            backlog=4096,
            login_timeout=0,
        )
        print(listener.get_port(), flush=True)  # noqa: T201 the caller waits for it
        await asyncio.to_thread(sys.stdin.read)
    del soft


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alive", type=int, default=2000)
    parser.add_argument("--dead", type=int, default=0)
    parser.add_argument("--soft", type=int, default=1024)
    parser.add_argument("--hard", type=int)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(_serve(Path(asked.serve)))
        return
    with tempfile.TemporaryDirectory() as folder:
        load = measure(
            Path(folder), alive=asked.alive, dead=asked.dead, soft=asked.soft, hard=asked.hard
        )
    tail = "\n".join(line for line in load.text.splitlines() if "UNREACHABLE" not in line)
    print(tail[-2000:])  # noqa: T201 it is what was asked for
    print(  # noqa: T201
        f"{load.passed} read, {load.unknown} unknown, {load.logins} logins,"
        f" {load.seconds:.1f} s, exit code {load.status}, on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
