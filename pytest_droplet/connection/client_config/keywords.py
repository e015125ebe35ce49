"""The keywords of ssh_config(5): which are followed, how their values read, and what of the rest.

docs/reference/ssh-config.md says what is done by each; tests/docs/test_ssh_config.py tries it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_droplet.connection.client_config.files import Line

Kind = Literal["word", "words", "list", "port", "number", "flag", "command", "jump"]

# ``words``: one line has them all. ``list``: lines add up. ``command``: to the end of the line.
FOLLOWED: Mapping[str, Kind] = {
    "AddressFamily": "word",
    "BindAddress": "word",
    "BindInterface": "word",
    "CanonicalDomains": "words",
    "CanonicalizeHostname": "word",
    "CanonicalizeMaxDots": "number",
    "CanonicalizePermittedCNAMEs": "words",
    "CASignatureAlgorithms": "word",
    "CertificateFile": "list",
    "Ciphers": "word",
    "GlobalKnownHostsFile": "words",
    "HostKeyAlgorithms": "word",
    "HostKeyAlias": "word",
    "HostName": "word",
    "IdentitiesOnly": "flag",
    "IdentityAgent": "word",
    "IdentityFile": "list",
    "KexAlgorithms": "word",
    "KnownHostsCommand": "command",
    "MACs": "word",
    "PKCS11Provider": "word",
    "Port": "port",
    "PreferredAuthentications": "word",
    "ProxyCommand": "command",
    "ProxyJump": "jump",
    "ProxyUseFdpass": "flag",
    "PubkeyAcceptedAlgorithms": "word",
    "PubkeyAuthentication": "word",
    "RefuseConnection": "command",
    "RequiredRSASize": "number",
    "RevokedHostKeys": "word",
    "SecurityKeyProvider": "word",
    "StrictHostKeyChecking": "word",
    "Tag": "word",
    "User": "word",
    "UserKnownHostsFile": "words",
    "VerifyHostKeyDNS": "word",
}
_OTHER_NAMES = {
    "dsaauthentication": "pubkeyauthentication",
    "hostkeyalgs": "hostkeyalgorithms",
    "identityfile2": "identityfile",
    "globalknownhostsfile2": "globalknownhostsfile",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "smartcarddevice": "pkcs11provider",
    "userknownhostsfile2": "userknownhostsfile",
}
_NAMES = {name.lower(): name for name in FOLLOWED}
_YES, _NO = {"yes", "true"}, {"no", "false"}
_HOP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@,]+)@)?(?P<host>\[[^\]]+\]|[^:/@,]+|[0-9A-Fa-f:]+)"
    r"(?::(?P<port>\w+))?/?"
)

Value = str | int | bool | tuple[str, ...] | tuple["Hop", ...]


@dataclass(frozen=True, slots=True)
class Hop:
    """One host of ``ProxyJump``; None where the config of that host decides."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        """Write it as ``ProxyJump`` does."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"{user}{host}" + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, slots=True)
class Setting:
    """A line that says something that is followed.

    Attributes:
        keyword: As ssh_config(5) writes it.
        error: Why ``value`` means nothing; it concerns only hosts that the line is for.
    """

    keyword: str
    where: str
    value: Value = ""
    error: str = ""

    @property
    def adds_up(self) -> bool:
        """Whether a later line of this keyword counts too."""
        return FOLLOWED[self.keyword] == "list"


def read_setting(line: Line) -> Setting | None:
    """Return what a line sets; None where its keyword has no bearing on the audit's login."""
    keyword = _NAMES.get(_OTHER_NAMES.get(line.keyword, line.keyword))
    if keyword is None:
        return None
    try:
        return Setting(keyword, line.where, _value(FOLLOWED[keyword], line))
    except ValueError as exc:
        return Setting(keyword, line.where, error=str(exc))


def read_hop(text: str) -> Hop:
    """Read one host of ``ProxyJump``, as ``user@host:port`` or as ``ssh://user@host:port``.

    Raises:
        ValueError: It is malformed.
    """
    found = _HOP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is malformed; write it as user@host:port")
    port = read_port(found["port"]) if found["port"] else None
    return Hop(found["host"].strip("[]"), found["user"], port)


def read_port(text: str) -> int:
    """Read a port, as a number or by its name in /etc/services.

    Raises:
        ValueError: It is neither.
    """
    try:
        port = int(text) if text.isascii() and text.isdigit() else socket.getservbyname(text)
    except OSError:
        port = 0
    if not 0 < port < 65536:
        raise ValueError(f"{text!r} is malformed: it is no port")
    return port


def _value(kind: Kind, line: Line) -> Value:
    if line.words is None:
        raise ValueError("a quote is not closed")
    if kind == "command":
        return _not_empty(line.text.lstrip(" \t="))
    if kind == "jump":
        return _hops(line.text.lstrip(" \t=").partition("#")[0].strip())
    if kind == "words":
        _not_empty(" ".join(line.words))
        return line.words
    if len(line.words) > 1:
        raise ValueError(f"{line.words[1]!r} is one word too many; quote what has blanks")
    word = _not_empty(line.words[0] if line.words else "")
    if kind == "port":
        return read_port(word)
    if kind == "number":
        return int(word)
    return _flag(word) if kind == "flag" else word


def _hops(text: str) -> tuple[Hop, ...]:
    """Return the hosts of ``ProxyJump``, nearest first; ``none`` is none."""
    if _not_empty(text).lower() == "none":
        return ()
    return tuple(read_hop(part.strip()) for part in text.split(","))


def _flag(word: str) -> bool:
    if word.lower() not in _YES | _NO:
        raise ValueError(f"{word!r} is neither yes nor no")
    return word.lower() in _YES


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("it has no value")
    return text
