"""Listening sockets: which program waits on which address and port."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.model import Address, Item, NotObservedError, Section
from pytest_droplet.text import one_line

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

LISTENERS = Section.of_files("facts/host/socket_owners.awk", "facts/host/listeners.sh")


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for connections or datagrams.

    Attributes:
        address: The local address; ``::`` may take IPv4 too.
        programs: Paths of the programs that hold it; None: not to be seen without root; empty:
            no process holds it (the kernel does, or one in another namespace).
    """

    protocol: Literal["tcp", "udp"]
    address: IPAddress
    port: int
    programs: tuple[str, ...] | None

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the programs."""
        return tuple(p.removesuffix(" (deleted)").rpartition("/")[2] for p in self.programs or ())

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.address.version

    @property
    def details(self) -> Item:
        """Protocol, address, port, and the programs where they could be seen."""
        return {
            "protocol": self.protocol,
            "address": str(self.address),
            "port": self.port,
            "programs": list(self.names),
        }

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listeners:
    """All listening sockets of the host's main network namespace.

    ``owners`` tells whether the programs could be seen.
    """

    sockets: tuple[Listener, ...]
    owners: bool

    def tcp(self, port: int | None = None) -> tuple[Listener, ...]:
        """Return the TCP sockets, of one port or of all."""
        return tuple(s for s in self.sockets if s.protocol == "tcp" and port in {None, s.port})

    def __str__(self) -> str:
        shown = [
            f"{s.protocol} {s}" + (f" {'/'.join(s.names)}" if s.names else "")
            for s in self.sockets
            if not s.address.is_loopback
        ]
        more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
        unseen = "" if self.owners else "; programs not seen without root"
        return one_line(", ".join(shown[:8]) + more + unseen or "none but on loopback", 300)


@fact(
    "/proc/net/tcp, tcp6, udp, udp6 and /proc/PID/fd",
    sections=(LISTENERS,),
    items=lambda found: [socket.details for socket in found.sockets],
)
def droplet_listeners(observation: Observation) -> Listeners:
    """The listening TCP and UDP sockets with their programs."""
    return parse_listeners(whole(observation.section(LISTENERS.name)).stdout)


def is_public(address: IPAddress, droplet: Iterable[Address]) -> bool:
    """Whether a socket bound to this address can be reached from outside the VPC.

    Wildcards and the Droplet's own public addresses can. Of others private and local ranges
    can not; what is none of these is taken for public.
    """
    if address.is_unspecified or str(address) in {a.ip for a in droplet if a.kind != "private"}:
        return True
    return not (
        address.is_loopback or address.is_private or address.is_link_local or _is_mapped(address)
    )


def parse_listeners(text: str) -> Listeners:
    """Parse the output of the section ``listeners``.

    Args:
        text: ``read FILE`` for each file of /proc/net; ``FILE ADDRESS:PORT INODE`` in the
                kernel's hex; ``owners`` where programs can be seen; ``own INODE PROGRAM``; ``end``.

    Raises:
        NotObservedError: No TCP table was read, it has no end, or a line is not as expected.

    Source: proc(5); proc_net_tcp of the kernel's documentation (little-endian words).
    """
    if not {"read tcp", "read tcp6"} & set(text.split("\n")):
        raise NotObservedError("/proc/net/tcp could not be read")
    if not text.rstrip("\n").endswith("\nend"):
        raise NotObservedError("the list of sockets has no end")
    rows: list[tuple[Literal["tcp", "udp"], IPAddress, int, str]] = []
    programs: dict[str, list[str]] = {}
    owners = False
    for line in text.split("\n"):
        kind, _, rest = line.partition(" ")
        first, _, last = rest.partition(" ")
        if kind in {"tcp", "tcp6", "udp", "udp6"}:
            rows.append(("udp" if kind[0] == "u" else "tcp", *_place(first), last))
        elif kind == "own":
            if last:
                programs.setdefault(first, []).append(one_line(last))
        elif line == "owners":
            owners = True
        elif line and kind not in {"read", "end"}:
            raise NotObservedError(f"a line describes no socket: {one_line(line, 60)!r}")
    found = {
        Listener(
            protocol, ip, port, tuple(dict.fromkeys(programs.get(inode, ()))) if owners else None
        )
        for protocol, ip, port, inode in rows
    }
    order = sorted(found, key=lambda s: (s.protocol, s.port, s.version, int(s.address)))
    return Listeners(tuple(order), owners)


def _place(text: str) -> tuple[IPAddress, int]:
    host, _, port = text.partition(":")
    try:
        raw = bytes.fromhex(host)
        number = int(port, 16)
        words = (raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
        address = ipaddress.ip_address(b"".join(words))
    except ValueError:
        raise NotObservedError(f"{one_line(text, 60)!r} is no address of a socket") from None
    if not 0 < number < 65536:
        raise NotObservedError(f"{one_line(text, 60)!r} is no port of a socket")
    return address, number


def _is_mapped(address: IPAddress) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped is not None and mapped.is_private
