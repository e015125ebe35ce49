"""Two network namespaces and a link of 30 ms round trip between them.

No namespace has a default route. The kernel's ``netem`` may be absent, so a process holds each
packet between two TUN devices for 15 ms::

    python -m tests.benchmarks.link AUDITOR SERVERS COUNTERS

prints a line when the link is up, and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.counters import Counters

ONE_WAY_S = 0.015
AUDITOR_ADDRESS = "198.19.0.1"
_MTU = 1500
_PACKET_BYTES = 66_000
_AT_ONCE = 256
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_TUN, _NO_PACKET_INFO, _VNET_HEADER = 0x0001, 0x1000, 0x4000
_CHECKSUM, _TSO4, _TSO6 = 0x01, 0x02, 0x04
_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def namespaces() -> Iterator[tuple[str, str]]:
    """Make a namespace for the auditor and one for the servers, and yield their names."""
    names = f"bench{os.getpid()}-auditor", f"bench{os.getpid()}-servers"
    for name in names:
        ip("netns", "add", name)
    try:
        for name in names:
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            ip("netns", "delete", name)


def ip(*arguments: str) -> None:
    """Run the command of the same name."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def configure(auditor: str, servers: str) -> None:
    """Give the devices addresses and routes: all of 198.18.0.0/16 is the servers' own."""
    for name in (auditor, servers):
        ip("-n", name, "link", "set", "link0", "up", "mtu", str(_MTU), "txqueuelen", "100000")
    ip("-n", auditor, "addr", "add", f"{AUDITOR_ADDRESS}/32", "dev", "link0")
    ip("-n", auditor, "route", "add", "198.18.0.0/16", "dev", "link0", "src", AUDITOR_ADDRESS)
    ip("-n", servers, "route", "add", "local", "198.18.0.0/16", "dev", "lo")
    ip("-n", servers, "route", "add", f"{AUDITOR_ADDRESS}/32", "dev", "link0")
    for name in (auditor, servers):
        settings = ("net.core.somaxconn=8192", "net.ipv4.tcp_max_syn_backlog=8192")
        command = ["ip", "netns", "exec", name, "sysctl", "-qw", *settings]
        subprocess.run(command, check=True, capture_output=True)


def _device(namespace: str) -> int:
    """Open a TUN device in a namespace; packets of several segments pass as one."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", namespace).open() as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = _TUN | _NO_PACKET_INFO | _VNET_HEADER
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", b"link0", flags))
    fcntl.ioctl(descriptor, _TUNSETOFFLOAD, _CHECKSUM | _TSO4 | _TSO6)
    return descriptor


def carry(auditor: str, servers: str, counters: Counters) -> None:
    """Pass packets on, each 15 ms after it came, until standard input ends."""
    sides = _device(auditor), _device(servers)
    configure(auditor, servers)
    print("up", flush=True)  # noqa: T201 the caller waits for it
    other = dict(zip(sides, reversed(sides), strict=True))
    held: dict[int, deque[tuple[float, bytes]]] = {side: deque() for side in sides}
    poll = select.epoll()
    for descriptor in (*sides, sys.stdin.fileno()):
        poll.register(descriptor, select.EPOLLIN)
    while True:
        due = min((queue[0][0] for queue in held.values() if queue), default=None)
        wait = -1 if due is None else max(0.0, due - time.monotonic())
        events = poll.poll(wait)
        if any(descriptor not in other for descriptor, _ in events):
            return
        for descriptor, _ in events:
            counters.add("bytes", _receive(descriptor, held[other[descriptor]]))
        now = time.monotonic()
        for side, queue in held.items():
            while queue and queue[0][0] <= now:
                with contextlib.suppress(OSError):
                    os.write(side, queue.popleft()[1])


def _receive(descriptor: int, queue: deque[tuple[float, bytes]]) -> int:
    size = 0
    due = time.monotonic() + ONE_WAY_S
    for _ in range(_AT_ONCE):
        try:
            packet = os.read(descriptor, _PACKET_BYTES)
        except BlockingIOError:
            break
        size += len(packet) - 10
        queue.append((due, packet))
    return size


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.nice(-10)
    carry(sys.argv[1], sys.argv[2], Counters(Path(sys.argv[3])))
