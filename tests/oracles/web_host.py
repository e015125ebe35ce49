"""Serves configurations of nginx or Apache for real, and tells what a client is given.

Run with namespaces of its own: ``python -m tests.oracles.web_host`` reads a list of configurations
from standard input and writes what came of each to standard output, both in JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_droplet.connection import script
from pytest_droplet.facts.tls.apache import APACHE
from pytest_droplet.facts.tls.nginx import NGINX

NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
SECTIONS = {"nginx": NGINX, "apache": APACHE}
# Folders that are empty at the start of each configuration, but for what it brings along.
OWN = ("/etc/nginx", "/etc/apache2", "/srv", "/run", "/var/log")
# Two of each version: one that configurations name, and one that they do not.
ADDRESSES = ("127.0.0.1", "127.0.0.9", "::1", "fd00::9")
_COMMANDS = {
    "nginx": ["nginx", "-g", "daemon off;"],
    "apache": ["apache2", "-X"],
}
_NONCE = "oracle"
_PATIENCE_S = 20.0


def main() -> None:
    """Serve each configuration of standard input."""
    given = json.load(sys.stdin)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESSES[-1]}/128", "dev", "lo"], check=True)
    done = [_serve(**one, names=given["names"]) for one in given["configurations"]]
    json.dump(done, sys.stdout)


def _serve(server: str, files: dict[str, str], names: list[str]) -> dict[str, Any]:
    """Serve one configuration.

    Returns:
        ``said``: why the server refuses it, empty where it runs; ``section``: what the product's
        section printed; ``ports`` that it listens on; ``served``: address, port, and by name what
        is served there: the digest of a certificate, or None where that is not TLS.
    """
    for folder in OWN:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    try:
        for path, text in files.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(text.encode())
        Path("/var/log/nginx").mkdir(exist_ok=True)
        with running(server) as said:
            ports = sorted(set(_ports()))
            places = [(address, port) for port in ports for address in ADDRESSES]
            served = [[*at, _served(at, names)] for at in places if not said and _is_open(at)]
            section = section_of(server)
            return {"said": said, "section": section, "ports": ports, "served": served}
    finally:
        for folder in OWN:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def running(server: str) -> Iterator[str]:
    """Run a server, and give what it says where it does not start."""
    with subprocess.Popen(
        _COMMANDS[server],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            end = time.monotonic() + _PATIENCE_S
            # It may yet end after it has begun to listen.
            while process.poll() is None and not list(Path("/run").glob("*.pid")):
                if time.monotonic() > end:
                    raise TimeoutError(f"{server} does not come to run")
                time.sleep(0.005)
            yield "" if process.poll() is None else process.stdout.read() or "it ended"  # type: ignore[union-attr]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def section_of(server: str) -> str:
    """Return what the product's section prints of a server."""
    section = SECTIONS[server]
    done = subprocess.run(
        ["sh", "-s"],
        input=script.compose([section], _NONCE).encode(),
        capture_output=True,
        check=True,
    )
    return script.parse(done.stdout, [section], _NONCE).sections[section.name].stdout


def _ports() -> Iterator[int]:
    """Yield the ports that something listens on."""
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A":
                yield int(local.rpartition(":")[2], 16)


def _is_open(at: tuple[str, int]) -> bool:
    try:
        socket.create_connection(at, timeout=_PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


def _served(at: tuple[str, int], names: list[str]) -> dict[str, str | None]:
    return {name: _certificate(at, name) for name in names}


def _certificate(at: tuple[str, int], name: str) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(at, timeout=_PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            return sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
    except ssl.SSLError:
        return None


if __name__ == "__main__":
    main()
