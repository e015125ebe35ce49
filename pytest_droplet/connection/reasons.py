"""Why a host could not be read: one line, with what to do next."""

from __future__ import annotations

import errno
import socket

import asyncssh

from pytest_droplet.connection.ssh_config import Route, SshConfigError
from pytest_droplet.text import line_of_bytes


class HostKeyError(Exception):
    """The host key is not trusted.

    Args:
        changed: known_hosts has another key for the host, or its type is not offered any more.
    """

    def __init__(self, *, changed: bool, key: asyncssh.SSHKey | None) -> None:
        super().__init__("host key not trusted")
        self.changed = changed
        self.key = key


class HopError(Exception):
    """A jump host could not be used; the text says which and why."""


class ConnectTimeoutError(Exception):
    """No answer to the TCP connect within the time limit."""


class HandshakeTimeoutError(Exception):
    """TCP answered, but there was no login within the time limit of the host."""


def explain(exc: BaseException, route: Route, *, connect_timeout: float, timeout: float) -> str:
    """Return why the connection failed and what to do, in one line without the host's name."""
    where = f"{_where(route)}"
    match exc:
        case SshConfigError() | HopError():
            return str(exc)
        case HostKeyError():
            return _host_key(exc, route)
        case ConnectTimeoutError():
            return (
                f"no answer on {where} within {connect_timeout:g} s;"
                " check its cloud firewall, or name its port in ~/.ssh/config"
            )
        case HandshakeTimeoutError():
            return (
                f"{where} took the connection, but no SSH login within {timeout:g} s;"
                " is it overloaded, or not sshd that listens there?"
            )
        case asyncssh.PermissionDenied():
            return _denied(route)
        case asyncssh.KeyExchangeFailed():
            return (
                f"no SSH algorithm in common with {where} ({_said(exc)});"
                " compare with Ciphers, KexAlgorithms and HostKeyAlgorithms in ~/.ssh/config"
            )
        case asyncssh.ChannelOpenError():
            return f"no connection to {where} through its jump host ({_said(exc)})"
        case asyncssh.ConnectionLost() | ConnectionResetError() | BrokenPipeError():
            return (
                f"{where} closed the connection before the login;"
                " check MaxStartups and the log of its sshd, and try again"
            )
        case asyncssh.ProtocolError() | asyncssh.ProtocolNotSupported():
            return f"what answers on {where} does not speak SSH 2 ({_said(exc)}); check the port"
        case asyncssh.DisconnectError():
            return _disconnected(exc, where)
        case socket.gaierror():
            return (
                f"the name {line_of_bytes(route.host.encode())} cannot be resolved"
                f" ({exc.strerror or exc}); check HostName in ~/.ssh/config"
            )
        case OSError():
            return _os_error(exc, where)
    return f"the connection to {where} failed ({type(exc).__name__}: {_said(exc)})"


def _os_error(exc: OSError, where: str) -> str:
    if exc.errno == errno.ECONNREFUSED:
        return (
            f"{where} refused the connection; check that sshd runs,"
            " or name its port in ~/.ssh/config"
        )
    if exc.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}:
        return (
            f"no route to {where} ({exc.strerror});"
            " run where its network is reached, or choose another with --droplets-address"
        )
    if exc.errno in {errno.EMFILE, errno.ENFILE}:
        return "no file descriptor was free; raise ulimit -n, or lower --droplets-connections"
    return f"the connection to {where} failed ({exc.strerror or _said(exc)})"


def _host_key(exc: HostKeyError, route: Route) -> str:
    host, port = route.trust_name
    file = route.known_hosts.file or "~/.ssh/known_hosts"
    shown = "of another type" if exc.key is None else fingerprint(exc.key)
    if exc.changed:
        entry = host if port == 22 else f"[{host}]:{port}"
        return (
            f"the host key of {_where(route)} has changed: it is {shown}, known_hosts has"
            f" another; if the host was rebuilt: ssh-keygen -R '{entry}'"
        )
    return (
        f"the host key of {_where(route)} is not known ({shown}); compare it with the"
        f" host's console, then: ssh-keyscan -p {route.port} {route.host} >> {file},"
        " or take it with --droplets-host-key=accept-new"
    )


def _denied(route: Route) -> str:
    offered = route.credentials
    keys = f"{len(offered.keys)} from files"
    if offered.agent:
        keys += f", {offered.agent_keys or 0} from the agent"
    hints = [*(f"{f} needs a passphrase: ssh-add it" for f in offered.encrypted)]
    hints += offered.unreadable
    hint = "; ".join(hints) or "name another user with --droplets-user, or load a key with ssh-add"
    return f"{_where(route)} refused the login of {route.user} (keys offered: {keys}); {hint}"


def _disconnected(exc: asyncssh.DisconnectError, where: str) -> str:
    said = _said(exc)
    if "authentication failures" in said:
        return (
            f"{where} ended the login ({said}): too many keys were offered;"
            " set IdentitiesOnly and IdentityFile for it in ~/.ssh/config"
        )
    return f"{where} ended the connection ({said}); see the log of its sshd"


def _where(route: Route) -> str:
    host = f"[{route.host}]" if ":" in route.host else route.host
    return f"{host}:{route.port}"


def fingerprint(key: asyncssh.SSHKey) -> str:
    """Return type and SHA-256 fingerprint of a host key, as ssh shows them."""
    return f"{key.get_algorithm()} {key.get_fingerprint('sha256')}"


def _said(exc: BaseException) -> str:
    return line_of_bytes((getattr(exc, "reason", "") or str(exc)).encode("utf-8", "replace"), 160)
