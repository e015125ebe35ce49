"""Why a host could not be read: one line, with what to do next."""

from __future__ import annotations

import errno
import socket
from typing import Literal

import asyncssh

from pytest_droplet.connection.ssh_config import Route, SshConfigError
from pytest_droplet.text import line_of_bytes

LOST = (
    asyncssh.ConnectionLost,
    asyncssh.ProtocolError,
    ConnectionResetError,
    BrokenPipeError,
)
"""What is raised where a connection went away; a server's last word is a ProtocolError."""


_NEEDS_LIBOQS = "sntrup761x25519"
"""A key exchange that asyncssh has where the library liboqs is installed."""

HostKeyFault = Literal[
    "", "revoked", "revoked authority", "other authority", "other name", "expired",
    "not yet valid", "small",
]  # fmt: skip


class HostKeyError(Exception):
    """The host key is not trusted.

    Args:
        changed: known_hosts has another key for the host, or its type is not offered any more.
        key: The host's key, where it was seen.
        fault: What is wrong with the key or its certificate; empty: it is not the known one.
    """

    def __init__(
        self, *, changed: bool, key: asyncssh.SSHKey | None, fault: HostKeyFault = ""
    ) -> None:
        super().__init__("host key not trusted")
        self.changed = changed
        self.key = key
        self.fault = fault


class LoginError(Exception):
    """The server did not let us in, or went away after it was asked about a key.

    Args:
        cause: What asyncssh raised.
        offered: How many keys the server was asked about.
        signed: The key that it took, by its file or comment; empty: none.
    """

    def __init__(self, cause: Exception, *, offered: int, signed: str) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.offered = offered
        self.signed = signed


class NotSshError(Exception):
    """What answers is not SSH.

    Args:
        greeting: The first bytes that it sent.
    """

    def __init__(self, greeting: bytes) -> None:
        super().__init__("not SSH")
        self.greeting = greeting


class ProxyError(Exception):
    """The ProxyCommand could not connect; the text is its own."""


class BindError(OSError):
    """The connection cannot be made from the address that the config names."""

    def __init__(self, own: str, why: str) -> None:
        super().__init__(why)
        self.own = own


class FamilyError(Exception):
    """``AddressFamily`` leaves out the kind of the host's address."""


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
        case LoginError() | NotSshError() | ProxyError() | BindError() | FamilyError():
            return _of_the_way(exc, route, where)
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
        case asyncssh.KeyExchangeFailed():
            return _no_common_algorithm(exc, where)
        case asyncssh.ChannelOpenError():
            return _not_forwarded(exc, route, where)
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


def _of_the_way(
    exc: LoginError | NotSshError | ProxyError | BindError | FamilyError, route: Route, where: str
) -> str:
    """Explain what was found out on the way to a login."""
    match exc:
        case LoginError():
            return _denied(exc, route)
        case NotSshError():
            return _not_ssh(exc, where)
        case ProxyError():
            return (
                f"the ProxyCommand for {where} failed: {line_of_bytes(str(exc).encode())};"
                f" try it by itself: {_one_line(route.proxy_command or '')}"
            )
        case BindError():
            return (
                f"no connection to {where} from {exc.own} ({exc}); check BindAddress and"
                " BindInterface in ~/.ssh/config"
            )
        case _:
            family = route.settings.get("AddressFamily")
            return (
                f"{where} is no address of AddressFamily {family} in ~/.ssh/config; choose"
                " another address with --droplets-address"
            )


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


def _not_ssh(exc: NotSshError, where: str) -> str:
    said = line_of_bytes(exc.greeting.splitlines()[0] if exc.greeting.strip() else b"", 80)
    if said.startswith("Not allowed at this time"):
        return (
            f"{where} refuses this address for a while ({said}); see PerSourcePenalties of its"
            " sshd, and wait before the next run"
        )
    return (
        f"what answers on {where} does not speak SSH 2 ({said}); check the port, or name"
        " another in ~/.ssh/config"
    )


def _not_forwarded(exc: asyncssh.ChannelOpenError, route: Route, where: str) -> str:
    jump = _one_line(route.jump[-1])
    if exc.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return (
            f"the jump host {jump} does not forward to {where} ({_said(exc)}); check"
            " AllowTcpForwarding and PermitOpen of its sshd, and restrict in authorized_keys"
        )
    return (
        f"no connection to {where} through its jump host {jump} ({_said(exc)}); try:"
        f" ssh -W {where} {jump}"
    )


def _host_key(exc: HostKeyError, route: Route) -> str:
    host, port = route.trust_name
    where = _where(route)
    entry = host if port == 22 else f"[{host}]:{port}"
    shown = "of another type" if exc.key is None else fingerprint(exc.key)
    match exc.fault:
        case "revoked" | "revoked authority":
            which = "the CA of the host key" if exc.fault != "revoked" else "the host key"
            return (
                f"{which} of {where} is revoked: do not connect; find out on the host's console"
                " who has the key, and give the host a new one"
            )
        case "other authority":
            return (
                f"the host key of {where} is signed by a CA that known_hosts does not have for"
                f" it; compare the CA with the host's console, and see the line of {entry}"
            )
        case "other name":
            return (
                f"the host certificate of {where} is for another name than {host}; name it by"
                " HostKeyAlias in ~/.ssh/config, or sign the host key for this name"
            )
        case "expired" | "not yet valid":
            return (
                f"the host certificate of {where} is {exc.fault.replace('expired', 'out of date')};"
                " sign its host key again, and check the clock here"
            )
        case "small":
            return (
                f"the host key of {where} ({shown}) is smaller than RequiredRSASize in the ssh"
                " config; give the host an Ed25519 key"
            )
    if exc.changed:
        return (
            f"the host key of {where} has changed: it is {shown}, known_hosts has"
            f" another; if the host was rebuilt: ssh-keygen -R '{entry}'"
        )
    return (
        f"the host key of {where} is not known ({shown}){_not_followed(route)}; compare it with"
        f" the fingerprints in the host's console, then: {_keep(route)}"
    )


def _not_followed(route: Route) -> str:
    """Return which keyword would have let ssh take the key."""
    checking = str(route.settings.get("StrictHostKeyChecking", "ask"))
    if route.settings.get("VerifyHostKeyDNS", "no").lower() == "yes":
        return ", and VerifyHostKeyDNS is not followed"
    if checking.lower() in {"no", "off", "accept-new"}:
        return f", and StrictHostKeyChecking {checking} is not followed"
    return ""


def _keep(route: Route) -> str:
    """Return the commands that put a host key where it is looked for."""
    file = route.known_hosts.file
    if (file is None and route.settings.known_hosts is not None) or str(file) == "/dev/null":
        return "name a file for it with UserKnownHostsFile in ~/.ssh/config, which has none"
    take = "take it with --droplets-host-key=accept-new"
    if route.jump or route.proxy_command is not None:
        return take
    return (
        f"ssh-keyscan -p {route.port} {route.host} >> {file or '~/.ssh/known_hosts'}, or {take}; a CA for host keys"
        " (@cert-authority in known_hosts) spares both for new hosts"
    )


def _no_common_algorithm(exc: asyncssh.KeyExchangeFailed, where: str) -> str:
    of_server = str(exc).rpartition(" and received ")[2]
    if _NEEDS_LIBOQS in of_server:
        return (
            f"{where} offers {_NEEDS_LIBOQS}, for which the library liboqs is needed here;"
            " install it, or let its sshd offer curve25519-sha256 too"
        )
    return (
        f"no SSH algorithm in common with {where} ({_said(exc)});"
        " compare with Ciphers, KexAlgorithms and HostKeyAlgorithms in ~/.ssh/config"
    )


def _denied(exc: LoginError, route: Route) -> str:
    where = _where(route)
    if "authentication failures" in str(exc.cause) or (
        isinstance(exc.cause, LOST) and not exc.signed
    ):
        return (
            f"{where} ended the login of {route.user} after {exc.offered} keys"
            f" ({_said(exc.cause)}): too many keys were offered; name the right one with"
            " IdentityFile, and set IdentitiesOnly yes for it in ~/.ssh/config"
        )
    if exc.signed:
        key = _one_line(exc.signed)
        return (
            f"{where} took the key {key} of {route.user}, and wants more than a key (a second"
            " factor); except the audit's user from AuthenticationMethods in its sshd_config"
        )
    offered = route.credentials
    keys = f"{len(offered.keys)} from files"
    if offered.agent:
        keys += f", {offered.agent_keys or 0} from the agent"
    hints = [*(f"{f} needs a passphrase: ssh-add it" for f in offered.encrypted)]
    hints += [
        f"{f} is a security key (FIDO), used by an agent alone: ssh-add it"
        for f in offered.security_keys
    ]
    hints += offered.unreadable
    provider = route.settings.get("PKCS11Provider", "none")
    if provider.lower() != "none":
        hints.append(f"PKCS11Provider is not followed: ssh-add -s {provider}")
    if offered.security_keys and route.settings.get("SecurityKeyProvider"):
        hints.append("SecurityKeyProvider is not followed")
    hint = "; ".join(hints) or "name another user with --droplets-user, or load a key with ssh-add"
    return f"{where} refused the login of {route.user} (keys offered: {keys}); {hint}"


def _disconnected(exc: asyncssh.DisconnectError, where: str) -> str:
    said = _said(exc)
    return f"{where} ended the connection ({said}); see the log of its sshd"


def _where(route: Route) -> str:
    host = f"[{route.host}]" if ":" in route.host else route.host
    return f"{host}:{route.port}"


def fingerprint(key: asyncssh.SSHKey) -> str:
    """Return type and SHA-256 fingerprint of a host key, as ssh shows them."""
    return f"{key.get_algorithm()} {key.get_fingerprint('sha256')}"


def _one_line(text: str) -> str:
    return line_of_bytes(text.encode("utf-8", "replace"), 400)


def _said(exc: BaseException) -> str:
    return line_of_bytes((getattr(exc, "reason", "") or str(exc)).encode("utf-8", "replace"), 160)
