"""What a web server's configuration says: its virtual hosts, their names and addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pytest_droplet.model import NotObservedError
from pytest_droplet.text import one_line

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP address that a virtual host answers on.

    ``address`` is an IP address without brackets, ``*`` for all, ``0.0.0.0`` and ``::`` for all
    of IPv4 and of IPv6 alone, or a host name that the server resolves.
    """

    address: str
    port: int
    tls: bool = False

    @property
    def local(self) -> bool:
        """Whether only the host itself can reach it."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return self.address == "localhost"

    @property
    def versions(self) -> frozenset[int]:
        """The versions of IP that it takes; of a host name both."""
        try:
            return frozenset({ipaddress.ip_address(self.address).version})
        except ValueError:
            return frozenset({4, 6})


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """A ``server`` block of nginx or a ``<VirtualHost>`` of Apache.

    Attributes:
        where: ``file:line`` of its beginning.
        names: As :func:`served_names` gives them.
        endpoints: Where it answers; none: on Unix sockets only.
        certificates: Paths of the certificate files that it names or inherits.
        keys: Paths of the private keys; ``data:`` stands for one in the configuration itself.
        protocols: The TLS versions that it names; none: the server's default.
        handshake: What else it sets for handshakes: ciphers, and commands to OpenSSL.
        passes_tls_on: It hands encrypted connections on without ending TLS (nginx ``stream``).
        rejects: It refuses every handshake and needs no certificate.
    """

    where: str
    names: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    certificates: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    handshake: tuple[str, ...] = ()
    passes_tls_on: bool = False
    rejects: bool = False

    @property
    def tls(self) -> bool:
        """Whether it answers with TLS somewhere."""
        return any(e.tls for e in self.endpoints)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The configuration of one web server that is installed on the host.

    Attributes:
        unread: Files that belong to it and could not be read, or are missing, and the places
            in them that are not understood.
        acme: The server itself gets and renews certificates (mod_md, nginx-acme).
    """

    server: Literal["nginx", "apache"]
    version: str
    hosts: tuple[VirtualHost, ...]
    unread: tuple[str, ...] = ()
    acme: bool = False

    def require_all(self) -> None:
        """Make sure that the whole configuration was read.

        Raises:
            NotObservedError: A file is missing or unreadable, or not understood.
        """
        if self.unread:
            files = ", ".join(self.unread[:3])
            raise NotObservedError(f"{self.server}: not read or not understood: {files}")

    def __str__(self) -> str:
        names = list(dict.fromkeys(n for h in self.hosts for n in h.names))
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        unread = f"; {len(self.unread)} files or places unread" if self.unread else ""
        said = f" named {', '.join(names[:6])}{more}" if names else ""
        return one_line(f"{self.version}, {len(self.hosts)} virtual hosts{said}{unread}", 200)


@dataclass(frozen=True, slots=True)
class NotInstalled:
    """The server is not on the host."""

    server: Literal["nginx", "apache"]

    def __str__(self) -> str:
        return f"{self.server} is not installed"


def served_names(raw: Iterable[str]) -> tuple[str, ...]:
    """Return the host names that a browser can ask for, of what a configuration lists.

    Lower case, in ASCII (IDNA), each once. ``*.example.com`` stays, ``.example.com`` becomes
    both forms. Left out: ``_``, regular expressions, variables, other wildcards, addresses,
    ``localhost``.
    """
    found: dict[str, None] = {}
    for name in raw:
        name = name.rstrip(".").lower()  # noqa: PLW2901 the cleaned form is meant
        plain = name.removeprefix("*").removeprefix(".")
        ascii_name = _ascii(plain)
        if ascii_name is None or plain in {"localhost", "localhost.localdomain"}:
            continue
        if name == plain or (name.startswith(".") and name[1:] == plain):
            found[ascii_name] = None
        if name != plain and name in {f".{plain}", f"*.{plain}"}:
            found[f"*.{ascii_name}"] = None
    return tuple(found)


def name_to_ask(name: str) -> str:
    """Return a name to connect with: of ``*.example.com`` one that the wildcard covers."""
    return f"www.{name[2:]}" if name.startswith("*.") else name


def _ascii(name: str) -> str | None:
    """Return a host name in ASCII, None where it is none or an address."""
    if not name or len(name) > 253:
        return None
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    try:
        ipaddress.ip_address(name)
    except ValueError:
        labels = name.split(".")
        fits = all(_LABEL.fullmatch(label) for label in labels)
        return name if fits and name != "_" and not labels[-1].isdigit() else None
    return None
