"""How to reach a host: the user's ssh config, asked for the Droplet's name, then its address."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.pattern import WildcardPatternList

from pytest_droplet.connection.credentials import Credentials, KeyRing, agent_socket
from pytest_droplet.connection.known_hosts import SYSTEM_FILES, USER_FILES, KnownHosts
from pytest_droplet.model import Way

DEFAULT_FILES = ("~/.ssh/config", "/etc/ssh/ssh_config")

_HOST_LINE = re.compile(r"^\s*host(?:\s*=\s*|\s+)(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_INCLUDE_LINE = re.compile(r"^\s*include(?:\s*=\s*|\s+)(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_DEPENDS_ON_HOST = re.compile(
    r"^\s*(?:match\b|(?:hostname|proxycommand|identityfile|identityagent|certificatefile)\b.*%)",
    re.IGNORECASE | re.MULTILINE,
)
_MAX_HOPS = 8
_HOP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:/]+|[0-9A-Fa-f:]+)(?::(?P<port>\d+))?/?"
)

# Beside the types that known_hosts has for a host, so that a key of another type is seen and told.
_HOST_KEY_TYPES = (
    "+ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    "rsa-sha2-512,rsa-sha2-256"
)

# What no ssh config may bring in: nothing is asked of a person, forwarded, sent or left running.
_FIXED: dict[str, Any] = {
    "agent_forwarding": False,
    "canonicalize_hostname": False,
    "client_host_keysign": False,
    "command": None,
    "encoding": None,
    "env": None,
    "gss_auth": False,
    "gss_host": None,
    "gss_kex": False,
    "host_based_auth": False,
    "kbdint_auth": False,
    "password_auth": False,
    "pkcs11_provider": None,
    "preferred_auth": "publickey",
    "request_pty": False,
    "send_env": None,
    "x11_forwarding": False,
    "x509_trusted_certs": None,
    "x509_trusted_cert_paths": [],
}


class SshConfigError(Exception):
    """The ssh config cannot be used; the text names file, line and reason."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one host.

    Attributes:
        host: Where to connect: the config's ``HostName``, or the address of the Droplet.
        alias: The name that known_hosts is asked for, with ``port`` where there is no HostKeyAlias.
        jump: Hops of ``ProxyJump``, nearest first, each as the user wrote it.
        proxy_command: A command of the user that opens the connection.
        options: For asyncssh; shared by every host that the config treats alike.
    """

    host: str
    port: int
    user: str
    alias: str | None
    jump: tuple[str, ...]
    proxy_command: str | None
    options: asyncssh.SSHClientConnectionOptions
    known_hosts: KnownHosts
    credentials: Credentials

    @property
    def trust_name(self) -> tuple[str, int]:
        """Host and port that known_hosts is asked for."""
        return (self.alias, 22) if self.alias else (self.host, self.port)

    @property
    def via(self) -> Way:
        """How a connection comes to the host."""
        if self.jump:
            return "jump"
        return "direct" if self.proxy_command is None else "command"


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the hosts have in common that the same ``Host`` blocks match."""

    hostname: str | None
    port: int
    user: str
    alias: str | None
    jump: tuple[str, ...]
    proxy_command: str | None
    options: asyncssh.SSHClientConnectionOptions
    known_hosts: KnownHosts
    credentials: Credentials


class SshConfig:
    """The user's ssh config, with the options of the run over it.

    Args:
        path: A config file that replaces the default ones; None for those; ``none`` for no file.
        user: Overrides ``User``; without either it is root.
        identity_file: A key that is offered before those of ``IdentityFile``.
    """

    def __init__(
        self, path: str | None = None, user: str | None = None, identity_file: str | None = None
    ) -> None:
        self._user = user
        self._identity_file = identity_file
        self._ring = KeyRing()
        self._known_hosts: dict[tuple[tuple[str, ...], ...], KnownHosts] = {}
        self._shared: dict[tuple[bool, ...], _Shared] = {}
        chosen = DEFAULT_FILES if path is None else () if path == "none" else (path,)
        self.files = tuple(str(p) for p in (Path(f).expanduser() for f in chosen) if p.is_file())
        self.error = (
            f"{path}: no such file; check --ssh-config"
            if path and chosen and not self.files
            else ""
        )
        texts = list(_texts(self.files))
        self._patterns = tuple(m[1] for text in texts for m in _HOST_LINE.finditer(text))
        self._per_host = any(_DEPENDS_ON_HOST.search(text) for text in texts)

    def route(self, name: str, address: str) -> Route:
        """Return the way to a host.

        The config is asked for the Droplet's name first, then for its address: of each keyword
        the first value counts.

        Raises:
            SshConfigError: The config cannot be parsed.
        """
        if self.error:
            raise SshConfigError(self.error)
        shared = self._for(name, address)
        return Route(
            host=shared.hostname or address,
            port=shared.port,
            user=shared.user,
            alias=shared.alias,
            jump=self._through(shared.jump),
            proxy_command=shared.proxy_command,
            options=shared.options,
            known_hosts=shared.known_hosts,
            credentials=shared.credentials,
        )

    @property
    def slow(self) -> bool:
        """Whether every host needs an evaluation of its own, which may run ``Match exec``."""
        return self._per_host

    def hop(self, hops: tuple[str, ...]) -> Route:
        """Return the way to the last of these hops of ``ProxyJump``, through those before it.

        Raises:
            SshConfigError: The hop is malformed, or the config cannot be parsed.
        """
        parts = _HOP.fullmatch(hops[-1])
        if parts is None:
            raise SshConfigError("its name is malformed; write ProxyJump as user@host:port")
        host = parts["host"].strip("[]")
        shared = self._for(host, host)
        return Route(
            host=shared.hostname or host,
            port=int(parts["port"]) if parts["port"] else shared.port,
            user=parts["user"] or shared.user,
            alias=shared.alias,
            jump=hops[:-1],
            proxy_command=shared.proxy_command if len(hops) == 1 else None,
            options=shared.options,
            known_hosts=shared.known_hosts,
            credentials=shared.credentials,
        )

    def _through(self, jump: tuple[str, ...]) -> tuple[str, ...]:
        """Put before a chain of hops those that its first one needs by the config."""
        while jump:
            parts = _HOP.fullmatch(jump[0])
            host = parts["host"].strip("[]") if parts else jump[0]
            before = self._for(host, host).jump
            if not before:
                break
            jump = before + jump
            if len(jump) > _MAX_HOPS:
                raise SshConfigError("ssh config: ProxyJump leads in a circle, or over 8 hosts")
        return jump

    def _for(self, name: str, address: str) -> _Shared:
        if self._per_host:
            return self._evaluate(name, address)
        key = tuple(_patterns(p).matches(host) for host in (name, address) for p in self._patterns)
        known = self._shared.get(key)
        if known is None:
            known = self._shared[key] = self._evaluate(name, address)
        return known

    def _evaluate(self, name: str, address: str) -> _Shared:
        try:
            hostname = self._hostname(name, address)
            options = self._chain(name, address, hostname or address)
        except (ValueError, OSError) as exc:
            raise SshConfigError(f"ssh config: {exc}") from None
        found: Any = options.config
        return _Shared(
            hostname=hostname,
            port=int(found.get("Port", 22)),
            user=self._user or _text(found.get("User")) or "root",
            alias=_text(found.get("HostKeyAlias")),
            jump=tuple(h.strip() for h in (_text(found.get("ProxyJump")) or "").split(",") if h),
            proxy_command=_text(found.get("ProxyCommand")),
            **self._finish(options),
        )

    def _hostname(self, name: str, address: str) -> str | None:
        """Return ``HostName``, unless it only says the name of the Droplet again."""
        found = self._chain(name, address, None).config.get("Hostname")
        return None if found in {name, address} else _text(found)

    def _chain(
        self, name: str, address: str, hostname: str | None
    ) -> asyncssh.SSHClientConnectionOptions:
        """Evaluate the config for the name, then for the address.

        With a ``hostname``, that is what ``%h`` and ``Match host`` mean.
        """
        seed = asyncssh.SSHClientConnectionOptions(
            host=name, config=[], client_keys=None, **_FIXED
        )
        if hostname is not None:
            _values(seed)["Hostname"] = hostname
        files = list(self.files)
        named = asyncssh.SSHClientConnectionOptions(seed, host=name, config=files)
        return asyncssh.SSHClientConnectionOptions(named, host=address, config=files)

    def _finish(self, options: asyncssh.SSHClientConnectionOptions) -> dict[str, Any]:
        found: Any = options.config
        files = found.get("IdentityFile")
        if self._identity_file:
            files = [self._identity_file, *(files or ())]
        agent = found.get("IdentityAgent", _UNSET)
        # Every cipher is offered; the one that costs Python least comes first.
        ciphers = () if found.get("Ciphers") else "^aes128-gcm@openssh.com"
        credentials = self._ring.collect(
            files,
            found.get("CertificateFile", []),
            agent_socket(None if agent is _UNSET else agent or ""),
        )
        if found.get("IdentitiesOnly") and not len(credentials.public):
            credentials.agent = None
        known_hosts = self._trust(found)
        _values(options).pop("Hostname")  # other hosts share the options: each names its own
        return {
            "credentials": credentials,
            "known_hosts": known_hosts,
            "options": asyncssh.SSHClientConnectionOptions(
                options,
                config=None,
                encryption_algs=ciphers,
                server_host_key_algs=() if found.get("HostKeyAlgorithms") else _HOST_KEY_TYPES,
                client_keys=credentials.keys,
                client_certs=credentials.certificates,
                agent_path=credentials.agent,
                agent_identities=credentials.public if found.get("IdentitiesOnly") else None,
            ),
        }

    def _trust(self, found: Any) -> KnownHosts:
        files = (
            tuple(found.get("UserKnownHostsFile", USER_FILES)),
            tuple(found.get("GlobalKnownHostsFile", SYSTEM_FILES)),
        )
        known = self._known_hosts.get(files)
        if known is None:
            known = self._known_hosts[files] = KnownHosts(*files)
        return known


_UNSET = object()


def _values(options: asyncssh.SSHClientConnectionOptions) -> dict[str, Any]:
    """Return what an evaluated config holds; asyncssh has no public way to set ``%h``."""
    values: dict[str, Any] = options.config._options  # noqa: SLF001
    return values


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


@lru_cache(maxsize=4096)
def _patterns(line: str) -> WildcardPatternList:
    try:
        words = shlex.split(line)
    except ValueError:
        words = [line]
    return WildcardPatternList(",".join(words))


def _texts(files: tuple[str, ...], depth: int = 0) -> Iterator[str]:
    """Yield the text of config files and of those that they include."""
    for name in files:
        try:
            text = Path(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        yield text
        for match in _INCLUDE_LINE.finditer(text):
            for word in match[1].split():
                pattern = Path(word.strip('"')).expanduser()
                root = Path(pattern.anchor) if pattern.anchor else Path("~/.ssh").expanduser()
                relative = str(pattern.relative_to(root)) if pattern.anchor else str(pattern)
                if depth < 16:
                    yield from _texts(tuple(str(p) for p in root.glob(relative)), depth + 1)
