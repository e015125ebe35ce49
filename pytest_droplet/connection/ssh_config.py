"""How to reach a host: what the user's ssh config says, as options of asyncssh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from pytest_droplet.connection.algorithms import KEYWORDS, algorithm_options
from pytest_droplet.connection.client_config.files import SshConfigError, read_files
from pytest_droplet.connection.client_config.keywords import read_hop
from pytest_droplet.connection.client_config.settings import Evaluator, Settings
from pytest_droplet.connection.client_config.tokens import local_user
from pytest_droplet.connection.credentials import Credentials, KeyRing, agent_socket
from pytest_droplet.connection.known_hosts import SYSTEM_FILES, USER_FILES, KnownHosts
from pytest_droplet.model import Way

__all__ = ["Route", "SshConfig", "SshConfigError"]

USER_FILE = "~/.ssh/config"
SYSTEM_FILE = "/etc/ssh/ssh_config"

_DEFAULT_USER = "root"
_MAX_HOPS = 8

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


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one host.

    Attributes:
        host: Where to connect: the config's ``HostName``, or the address of the Droplet.
        alias: The name that known_hosts is asked for, with ``port`` where there is no HostKeyAlias.
        jump: Hops of ``ProxyJump``, nearest first, each as ``user@host:port``.
        proxy_command: A command of the user that opens the connection.
        settings: All that the config says of the host.
        options: For asyncssh; shared by all hosts with the same algorithms.
    """

    host: str
    port: int
    user: str
    alias: str | None
    jump: tuple[str, ...]
    proxy_command: str | None
    settings: Settings
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


class SshConfig:
    """The user's ssh config, with the options of the run over it.

    Args:
        path: A config file that replaces the default ones; None for those; ``none`` for no file.
        user: Overrides ``User``, as ``ssh -l``; without either it is root.
        identity_file: A key that is offered before those of ``IdentityFile``.
    """

    def __init__(
        self, path: str | None = None, user: str | None = None, identity_file: str | None = None
    ) -> None:
        self._user = user
        self._identity_file = identity_file
        self._ring = KeyRing()
        self._known_hosts: dict[object, KnownHosts] = {}
        self._credentials: dict[object, Credentials] = {}
        self._options: dict[object, asyncssh.SSHClientConnectionOptions] = {}
        self._chains: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.error = ""
        try:
            files = _files(path)
        except SshConfigError as exc:
            files = ()
            self.error = str(exc)
        self._evaluator = Evaluator(files)

    @property
    def slow(self) -> bool:
        """Whether a route may take long: a command is run for it, or a name is asked for."""
        return self._evaluator.slow

    def route(self, name: str, address: str) -> Route:
        """Return the way to a host: a block counts for its name or for its address.

        Raises:
            SshConfigError: The config cannot be read, or cannot be followed for this host.
        """
        settings = self.settings(name, address)
        return self._route(settings, self._through(settings.jump))

    def settings(self, name: str, address: str) -> Settings:
        """Return what the config says of a host.

        Raises:
            SshConfigError: The config cannot be read, or a line for this host means nothing.
        """
        if self.error:
            raise SshConfigError(self.error)
        return self._evaluator.evaluate(name, address, user=self._user, default_user=_DEFAULT_USER)

    def hop(self, hops: tuple[str, ...]) -> Route:
        """Return the way to the last of these hops of ``ProxyJump``, through those before it.

        As with ssh, who logs in there is said by the hop or by the config, else it is the user
        who runs this.

        Raises:
            SshConfigError: The hop is malformed, or the config cannot be followed for it.
        """
        return self._route(self._of_hop(hops[-1]), hops[:-1])

    def _of_hop(self, text: str) -> Settings:
        try:
            hop = read_hop(text)
        except ValueError as exc:
            raise SshConfigError(f"ssh config: ProxyJump {exc}") from None
        return self._evaluator.evaluate(
            hop.host, hop.host, user=hop.user, port=hop.port, default_user=local_user()
        )

    def _through(self, jump: tuple[str, ...]) -> tuple[str, ...]:
        """Put before a chain of hops those that its first one needs by the config."""
        asked = jump
        if asked in self._chains:
            return self._chains[asked]
        while jump:
            before = self._of_hop(jump[0]).jump
            if not before:
                break
            jump = before + jump
            if len(jump) > _MAX_HOPS:
                raise SshConfigError("ssh config: ProxyJump leads in a circle, or over 8 hosts")
        self._chains[asked] = jump
        return jump

    def _route(self, settings: Settings, jump: tuple[str, ...]) -> Route:
        command = None if jump else settings.proxy_command
        check_followed(settings, command)
        return Route(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            alias=settings.alias,
            jump=jump,
            proxy_command=command,
            settings=settings,
            options=self._asyncssh(settings),
            known_hosts=self._trust(settings),
            credentials=self._keys(settings),
        )

    def _keys(self, settings: Settings) -> Credentials:
        files: tuple[str, ...] | None = settings.identity_files
        if self._identity_file:
            files = (self._identity_file, *(files or ()))
        agent = settings.identity_agent
        key = (files, settings.certificate_files, agent)
        known = self._credentials.get(key)
        if known is None:
            known = self._credentials[key] = self._ring.collect(
                files,
                settings.certificate_files,
                agent_socket("" if agent is not None and agent.lower() == "none" else agent),
            )
        return known

    def _asyncssh(self, settings: Settings) -> asyncssh.SSHClientConnectionOptions:
        algorithms = tuple((name, settings.get(name)) for name in KEYWORDS)
        known = self._options.get(algorithms)
        if known is None:
            options: dict[str, Any] = {**_FIXED, **algorithm_options(settings)}
            known = asyncssh.SSHClientConnectionOptions(config=None, client_keys=None, **options)
            self._options[algorithms] = known
        return known

    def _trust(self, settings: Settings) -> KnownHosts:
        revoked = settings.get("RevokedHostKeys", "none")
        key = (
            USER_FILES if settings.known_hosts is None else settings.known_hosts,
            SYSTEM_FILES if settings.system_known_hosts is None else settings.system_known_hosts,
            None if revoked.lower() == "none" else revoked,
            settings.get("RequiredRSASize", 0),
        )
        known = self._known_hosts.get(key)
        if known is None:
            try:
                known = self._known_hosts[key] = KnownHosts(*key)
            except ValueError as exc:
                raise SshConfigError(f"ssh config: RevokedHostKeys: {exc}") from None
        if settings.get("CASignatureAlgorithms") and known.has_authority:
            raise SshConfigError(
                "ssh config: CASignatureAlgorithms is not followed; leave it out where the audit"
                " trusts a CA for host keys, or give it a config of its own with --ssh-config=FILE"
            )
        return known


def check_followed(settings: Settings, command: str | None) -> None:
    """Refuse a host for which the config asks for what is not done here.

    Raises:
        SshConfigError: It names the keyword.
    """
    family = settings.get("AddressFamily", "any")
    if family.lower() not in {"any", "inet", "inet6"}:
        raise SshConfigError(
            f"ssh config: AddressFamily {family} is not known; it is any, inet or inet6"
        )
    for keyword, applies, advice in (
        (
            "KnownHostsCommand",
            settings.get("KnownHostsCommand", "none").lower() != "none",
            "put the host keys into a file of UserKnownHostsFile",
        ),
        (
            "ProxyUseFdpass",
            command is not None and settings.get("ProxyUseFdpass"),
            "let the ProxyCommand pass the data itself",
        ),
        (
            "PubkeyAuthentication no",
            settings.get("PubkeyAuthentication", "yes").lower() in {"no", "false"},
            "the audit logs in with keys alone: allow them",
        ),
        (
            "PreferredAuthentications without publickey",
            "publickey" not in settings.get("PreferredAuthentications", "publickey").split(","),
            "the audit logs in with keys alone: allow them",
        ),
        (
            "RefuseConnection",
            settings.get("RefuseConnection") is not None,
            "ssh refuses the host too",
        ),
    ):
        if applies:
            raise SshConfigError(
                f"ssh config: {keyword} is not followed; {advice}, or give the audit a config of"
                " its own with --ssh-config=FILE"
            )


def _files(path: str | None) -> tuple[Any, ...]:
    if path == "none":
        return ()
    if path is None:
        user = Path(USER_FILE).expanduser()
        return read_files([user], [Path(SYSTEM_FILE)])
    file = Path(path).expanduser()
    if not file.is_file():
        raise SshConfigError(f"{path}: no such file; check --ssh-config")
    return read_files([file])
