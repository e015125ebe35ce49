"""Network namespaces on one machine: a host with a packet filter, the internet and the VPC.

The namespaces have no name: they are kept by file descriptors and end with this process, however
it ends.
"""

from __future__ import annotations

import ctypes
import ipaddress
import itertools
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_droplet.connection.script import alone
from pytest_droplet.model import Section, SectionOutput

_ALL_FRAMES = 3
_SENT_HERE = 4
_BEGUN = "03"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TO_ROOT = (
    'mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && exec chroot "$1" sh -c "$2"'
)
_IN_ROOT = 'mount -t proc proc "$1/proc" && root=$1 && shift && exec chroot "$root" "$@"'
HOST = {4: "203.0.113.10", 6: "2001:db8::10"}
INTERNET = {4: "198.51.100.7", 6: "2001:db8:77::7"}
HOST_IN_VPC = {4: "10.114.0.2"}
VPC = {4: "10.114.0.9"}
_SENDERS = {
    address: (origin, version)
    for origin, places in (("internet", INTERNET), ("vpc", VPC))
    for version, address in places.items()
}


@dataclass(frozen=True)
class Probe:
    """A packet: who sends it (``internet`` or ``vpc``), its family, protocol and port."""

    origin: str
    version: int
    protocol: str
    port: int


class Namespace:
    """A network namespace that lasts as long as this object."""

    def __init__(self) -> None:
        thread = threading.Thread(target=self._make)
        thread.start()
        thread.join()

    def _make(self) -> None:
        if _LIBC.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        self.descriptor = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", 0)

    @property
    def path(self) -> str:
        """A path that names it for as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that are made here, and programs that are started, are in it."""
        before = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", 0)
        try:
            _set(self.descriptor)
            yield
        finally:
            _set(before)
            os.close(before)

    def close(self) -> None:
        """Let it end, once no socket is left in it."""
        os.close(self.descriptor)


def _set(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Networks:
    """A host behind ``eth0`` (the internet) and ``eth1`` (its VPC) that serves some ports.

    Args:
        ports: It listens on them, over TCP and UDP, IPv4 and IPv6.
        root: A root file system whose nft, iptables and shell are used; empty: this machine's.
    """

    def __init__(self, ports: Iterable[int], root: str = "") -> None:
        self._root = root
        self._numbers = itertools.count(20_000)
        self.host, self.internet, self.vpc = Namespace(), Namespace(), Namespace()
        self._connect("eth0", self.internet, HOST, INTERNET)
        self._connect("eth1", self.vpc, HOST_IN_VPC, VPC)
        with self.host.entered():
            self._streams = [_listener(socket.SOCK_STREAM, port) for port in ports]
            self._datagrams = [_listener(socket.SOCK_DGRAM, port) for port in ports]
        self._wires = {"internet": _wire(self.internet), "vpc": _wire(self.vpc)}

    def close(self) -> None:
        """Close what holds the namespaces, and the sockets in them."""
        sockets = (*self._streams, *self._datagrams, *self._wires.values())
        for each in (*sockets, self.host, self.internet, self.vpc):
            each.close()

    def _connect(
        self, name: str, other: Namespace, own: dict[int, str], theirs: dict[int, str]
    ) -> None:
        near, far = "02:00:00:00:00:01", "02:00:00:00:00:02"
        with self.host.entered():
            _run("ip", "link", "set", "lo", "up")
            _run(
                *("ip", "link", "add", name, "address", near, "type", "veth"),
                *("peer", "name", "peer", "address", far, "netns", other.path),
            )
            _attach(name, own, theirs, far)
        with other.entered():
            _attach("peer", theirs, own, near)

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program of the root in the host's namespace."""
        in_root = ("unshare", "--mount", "sh", "-c", _IN_ROOT, "sh", self._root)
        prefix = in_root if self._root else ()
        with self.host.entered():
            return subprocess.run(
                [*prefix, *command],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                env={"PATH": _PATH},
            )

    def read(self, section: Section, *, by_root: bool = True) -> SectionOutput:
        """Run the command of a section as it is run on a host, by the root's programs or ours."""
        command = ["sh", "-c", alone(section)]
        if self._root and by_root:
            command = ["unshare", "--mount", "sh", "-c", _TO_ROOT, "sh", self._root]
            command.append(alone(section))
        with self.host.entered():
            done = subprocess.run(
                command,
                capture_output=True,
                check=False,
                env={"PATH": _PATH, "LC_ALL": "C"},
            )
        stdout, stderr = (b.decode(errors="replace") for b in (done.stdout, done.stderr))
        return SectionOutput(section.name, stdout, stderr, done.returncode)

    def answered(
        self, probes: Iterable[Probe], wait_s: float, source: int | None = None
    ) -> set[Probe]:
        """Send each packet, and return those that arrived; no answer after ``wait_s``: it did not.

        All come from a port that is new, or from ``source``.
        A packet is taken by the host while it is sent; the time is for a machine under load.
        """
        number = next(self._numbers)
        pending = {}
        for probe in probes:
            pending[probe] = self._send(probe, number, source or number)
        time.sleep(wait_s)
        arrived = {
            probe
            for probe, sent in pending.items()
            if probe.protocol == "tcp" and _is_connected(sent)
        }
        arrived |= self._begun(number if source is None else source)
        for listener in self._datagrams:
            arrived |= {probe for probe, n in _received(listener) if n == number}
        for sent in pending.values():
            sent.close()
        for listener in self._streams:
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
        return arrived

    def _begun(self, source: int) -> set[Probe]:
        """Return the connections from a port that the host has begun: its answers may be dropped."""
        with self.host.entered():
            lines = [
                line.split()
                for name in ("tcp", "tcp6")
                for line in Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]
            ]
        found = set()
        for _, local, remote, state, *_ in lines:
            address, _, port = remote.partition(":")
            if state == _BEGUN and int(port, 16) == source:
                origin, version = _SENDERS[_address(address)]
                found.add(Probe(origin, version, "tcp", int(local.rpartition(":")[2], 16)))
        return found

    def left(self, probes: Iterable[Probe], wait_s: float) -> set[Probe]:
        """Send each packet from the host to where its origin is, and return those that got there.

        What arrives on the wire counts, answered or not.
        """
        number = next(self._numbers)
        for wire in self._wires.values():
            _read_all(wire)
        for probe in probes:
            self._send(probe, number, 0, outward=True).close()
        time.sleep(wait_s)
        return {
            Probe(origin, *found)
            for origin, wire in self._wires.items()
            for found in map(_first_packet, _read_all(wire))
            if found is not None
        }

    def _send(
        self, probe: Probe, number: int, source: int, *, outward: bool = False
    ) -> socket.socket:
        place = self.internet if probe.origin == "internet" else self.vpc
        target = HOST if probe.origin == "internet" else HOST_IN_VPC
        if outward:
            place, target = self.host, INTERNET if probe.origin == "internet" else VPC
        kind = socket.SOCK_STREAM if probe.protocol == "tcp" else socket.SOCK_DGRAM
        family = socket.AF_INET if probe.version == 4 else socket.AF_INET6
        with place.entered():
            made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.protocol == "tcp":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.bind(("", source))  # a flow of its own: the kernel knows no connection of it
        with suppress(OSError):
            made.connect((target[probe.version], probe.port))
            made.send(_message(probe, number))
        return made


def _attach(name: str, own: dict[int, str], theirs: dict[int, str], hardware: str) -> None:
    _run("ip", "link", "set", "lo", "up")
    for version, address in own.items():
        length = {4: "20", 6: "64"}[version]
        nodad = ("nodad",) if version == 6 else ()
        _run("ip", "addr", "add", f"{address}/{length}", "dev", name, *nodad)
    _run("ip", "link", "set", name, "up")
    for version, address in theirs.items():
        family = f"-{version}"
        if address in {*INTERNET.values(), *HOST.values()}:
            _run("ip", family, "route", "add", "default", "dev", name)
        _run("ip", family, "neigh", "replace", address, "lladdr", hardware, "dev", name)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


def _listener(kind: int, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6, kind | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        made.listen(128)
    return made


def _address(text: str) -> str:
    """Return an address that the kernel prints in words of its own order of bytes."""
    raw = bytes.fromhex(text)
    words = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    found = ipaddress.ip_address(words)
    return str(getattr(found, "ipv4_mapped", None) or found)


def _wire(place: Namespace) -> socket.socket:
    """Return a socket that sees every packet that gets to a namespace."""
    with place.entered():
        made = socket.socket(
            socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(_ALL_FRAMES)
        )
        made.bind(("peer", _ALL_FRAMES))
    return made


def _read_all(wire: socket.socket) -> list[bytes]:
    """Return the packets that came in since the last time."""
    found = []
    with suppress(BlockingIOError):
        while True:
            packet, (_, _, kind, *_) = wire.recvfrom(2000)
            found += [packet] if kind != _SENT_HERE else []
    return found


def _first_packet(packet: bytes) -> tuple[int, str, int] | None:
    """Return version, protocol and port of a datagram or the first packet of a connection."""
    version = packet[0] >> 4
    length = (packet[0] & 15) * 4 if version == 4 else 40
    protocol = {6: "tcp", 17: "udp"}.get(packet[9 if version == 4 else 6])
    is_answer = protocol == "tcp" and packet[length + 13] & 0x17 != 0x02
    if protocol is None or is_answer:
        return None
    return version, protocol, int.from_bytes(packet[length + 2 : length + 4])


def _is_connected(sent: socket.socket) -> bool:
    try:
        sent.getpeername()
    except OSError:
        return False
    return True


def _message(probe: Probe, number: int) -> bytes:
    return f"{probe.origin} {probe.version} {probe.protocol} {probe.port} {number}".encode()


def _received(listener: socket.socket) -> Iterator[tuple[Probe, int]]:
    with suppress(BlockingIOError):
        while True:
            origin, version, protocol, port, number = listener.recv(200).decode().split()
            yield Probe(origin, int(version), protocol, int(port)), int(number)


def tools_missing() -> str:
    """Return why nothing can be tried here, empty where it can."""
    if os.geteuid():
        return "not root"
    for name in ("nft", "iptables-nft-restore", "iptables-legacy-restore", "ip"):
        if not any(Path(folder, name).exists() for folder in _PATH.split(":")):
            return f"{name} is not installed"
    return ""
