"""Opens SSH connections: TCP, jump hosts, host keys, login."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import asyncssh

from pytest_droplet.connection.algorithms import accepted_keys, host_key_algorithms
from pytest_droplet.connection.client_config.interfaces import addresses as interface_addresses
from pytest_droplet.connection.client_config.settings import Settings
from pytest_droplet.connection.offers import Agents, in_order
from pytest_droplet.connection.proxies import Proxies
from pytest_droplet.connection.reasons import (
    LOST,
    BindError,
    ConnectTimeoutError,
    FamilyError,
    HandshakeTimeoutError,
    HopError,
    HostKeyError,
    HostKeyFault,
    LoginError,
    NotSshError,
    ProxyError,
    explain,
    fingerprint,
)
from pytest_droplet.connection.ssh_config import Route, SshConfig, SshConfigError

T = TypeVar("T")

_GREETING_BYTES = 256
_TOO_MANY = b"Exceeded MaxStartups"
_FAMILIES = {
    "any": socket.AF_UNSPEC,
    "inet": socket.AF_INET,
    "inet6": socket.AF_INET6,
}
# How asyncssh says what is wrong with a host key or its certificate.
_FAULTS: dict[str, HostKeyFault] = {
    "Host key is revoked": "revoked",
    "Host CA key is revoked": "revoked authority",
    "Host CA key is not trusted": "other authority",
    "Certificate principal mismatch": "other name",
    "Certificate expired": "expired",
    "Certificate not yet valid": "not yet valid",
}


class _Owner(asyncssh.SSHClient):
    """Offers keys to a host, and decides on a host key that known_hosts does not hold.

    Attributes:
        offered: How many keys the server was asked about.
        signed: The key that it took, as text; empty: none so far.
        greeting: The first bytes that came.
    """

    def __init__(
        self, route: Route, keys: Sequence[asyncssh.SSHKeyPair], *, accept_new: bool
    ) -> None:
        self._route = route
        self._keys = deque(keys)
        self._accept_new = accept_new
        self.transport_made = False
        self.offered = 0
        self.signed = ""
        self.greeting = bytearray()
        self.refused: HostKeyError | None = None
        self.accepted: asyncssh.SSHKey | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Note that the socket belongs to asyncssh now, and listen to how the server greets."""
        self.transport_made = True
        receive: Any = conn.data_received

        def note(data: bytes, datatype: Any = None) -> None:
            self.greeting += data[: _GREETING_BYTES - len(self.greeting)]
            if len(self.greeting) >= _GREETING_BYTES or b"SSH-" in self.greeting:
                setattr(conn, "data_received", receive)  # noqa: B010 no method is assigned to
            receive(data, datatype)

        setattr(conn, "data_received", note)  # noqa: B010

    def public_key_auth_requested(self) -> Any:
        """Return the next key that the server is asked about; None: there are no more."""
        if not self._keys:
            return None
        pair: Any = self._keys.popleft()
        self.offered += 1
        name = "sign_async" if hasattr(pair, "sign_async") else "sign"
        sign = getattr(pair, name)

        def noted(data: bytes) -> Any:
            self.signed = pair.get_comment() or pair.get_algorithm()
            return sign(data)

        setattr(pair, name, noted)
        return [pair]

    def validate_host_public_key(
        self,
        host: str,  # noqa: ARG002
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        """Refuse a key that is not trusted, or take it where new hosts are accepted."""
        known = self._route.known_hosts
        changed = known.standing(*self._route.trust_name) == "changed"
        if changed or not self._accept_new or known.is_small(key):
            why: HostKeyFault = "small" if known.is_small(key) else ""
            self.refused = HostKeyError(changed=changed, key=key, fault=why)
            return False
        self.accepted = key
        return True


@dataclass
class Transport:
    """Opens connections along routes; one connection to a jump host serves all behind it.

    Attributes:
        accepted: Host keys that were new and taken, a line each.
        jump_hosts: Connections made to jump hosts.
    """

    config: SshConfig
    host_key: Literal["strict", "accept-new"]
    connect_timeout: float
    timeout: float
    accepted: list[str] = field(default_factory=list)
    jump_hosts: int = 0
    _proxies: Proxies = field(default_factory=Proxies)
    _agents: Agents = field(init=False)
    _hops: dict[tuple[str, ...], asyncio.Task[asyncssh.SSHClientConnection]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        """Make the connections to agents, which have the same time limit as hosts."""
        self._agents = Agents(self.connect_timeout)

    async def route(self, name: str, address: str) -> Route:
        """Return the way to a host (SshConfigError: the config cannot be used)."""
        if not self.config.slow:
            return self.config.route(name, address)
        return await in_thread(lambda: self.config.route(name, address))

    async def dial(self, route: Route) -> socket.socket | None:
        """Open the TCP connection, or start the ProxyCommand; None where jump hosts open it.

        Raises:
            ConnectTimeoutError: No answer in time.
            OSError: The network or the host refused, or the name cannot be resolved.
        """
        if route.jump:
            return None
        if route.proxy_command is not None:
            return self._proxies.start(route.proxy_command)
        try:
            async with asyncio.timeout(self.connect_timeout):
                return await _dial(route)
        except TimeoutError:
            raise ConnectTimeoutError from None

    async def login(
        self, route: Route, sock: socket.socket | None
    ) -> asyncssh.SSHClientConnection:
        """Log in over a dialled socket, or along the route's jump hosts.

        Raises:
            HostKeyError: The host key is unknown, or not the known one.
            HopError: A jump host could not be used.
            HandshakeTimeoutError: No login within the time limit of the host.
            LoginError: The server refused the keys, or went away after it was asked about one.
            NotSshError: What answers is another service.
            ProxyError: The ProxyCommand said what is wrong.
            Exception: What asyncssh raises; see :func:`reasons.explain`.
        """
        owner = _Owner(route, await self._keys(route), accept_new=self.host_key == "accept-new")
        try:
            tunnel = await self.tunnel(route)
            async with asyncio.timeout(self.timeout):
                connection = await self._connect(route, sock, owner, tunnel)
        except TimeoutError:
            raise await self._silent(owner, sock) from None
        except (asyncssh.Error, OSError) as exc:
            raise await self._failure(exc, route, owner, sock) from None
        finally:
            if sock is not None and not owner.transport_made:
                sock.close()
        if owner.accepted is not None:
            self._record(route, owner.accepted)
        return connection

    async def _keys(self, route: Route) -> list[asyncssh.SSHKeyPair]:
        """Return the keys for a login, in their order."""
        credentials = route.credentials
        held = await self._agents.keys(credentials.agent)
        credentials.agent_keys = len(held)
        return in_order(
            credentials,
            held,
            accepted=accepted_keys(route.settings),
            only_named=bool(route.settings.get("IdentitiesOnly")),
        )

    async def _failure(
        self, exc: Exception, route: Route, owner: _Owner, sock: socket.socket | None
    ) -> Exception:
        """Return the error that says why a login failed."""
        if isinstance(exc, asyncssh.HostKeyNotVerifiable | asyncssh.KeyExchangeFailed):
            return self._not_trusted(exc, route, owner)
        if isinstance(exc, asyncssh.PermissionDenied):
            return LoginError(exc, offered=owner.offered, signed=owner.signed)
        if not isinstance(exc, LOST):
            return exc
        if owner.offered:
            return LoginError(exc, offered=owner.offered, signed=owner.signed)
        complaint = "" if sock is None else await self._proxies.complaint(sock)
        if complaint:
            return ProxyError(complaint)
        return NotSshError(bytes(owner.greeting)) if _is_foreign(owner.greeting) else exc

    async def _silent(self, owner: _Owner, sock: socket.socket | None) -> Exception:
        """Return the error that says why nobody was logged in within the time limit."""
        if _is_foreign(owner.greeting):
            return NotSshError(bytes(owner.greeting))
        complaint = "" if sock is None else await self._proxies.complaint(sock)
        return ProxyError(complaint) if complaint else HandshakeTimeoutError()

    async def tunnel(self, route: Route) -> Any:
        """Return what asyncssh connects through to the host of a route; None: nothing.

        Raises:
            HopError: A jump host could not be used.
        """
        if not route.jump:
            return None
        return _Tunnel(await self._jump(route.jump), self.connect_timeout)

    async def _connect(
        self, route: Route, sock: socket.socket | None, owner: _Owner, tunnel: Any
    ) -> asyncssh.SSHClientConnection:
        trusted = route.known_hosts.trusted(*route.trust_name)
        host_keys, authorities = trusted[:2]
        return await asyncssh.connect(
            route.host,
            route.port,
            config=None,
            options=route.options,
            sock=sock,
            tunnel=tunnel,
            proxy_command=None,
            username=route.user,
            client_factory=lambda: owner,
            known_hosts=lambda *_: trusted,
            server_host_key_algs=host_key_algorithms(
                route.settings,
                [name.decode("ascii") for key in host_keys for name in key.sig_algorithms],
                certificates=bool(authorities),
            ),
            connect_timeout=None,
            login_timeout=0,
            keepalive_interval=0,
        )

    async def explain(self, exc: Exception, route: Route) -> str:
        """Return why a connection failed and what to do, in one line without the host's name."""
        return explain(exc, route, connect_timeout=self.connect_timeout, timeout=self.timeout)

    async def close(self) -> None:
        """Close the connections to jump hosts, and end every ProxyCommand."""
        for task in self._hops.values():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                connection = await task
                connection.abort()
        self._hops.clear()
        self._proxies.close()
        self._agents.close()

    def _not_trusted(
        self, exc: asyncssh.DisconnectError, route: Route, owner: _Owner
    ) -> Exception:
        if owner.refused is not None:
            return owner.refused
        said = str(exc)
        for begin, fault in _FAULTS.items():
            if said.startswith(begin):
                return HostKeyError(changed=False, key=None, fault=fault)
        known = route.known_hosts.standing(*route.trust_name) == "changed"
        if isinstance(exc, asyncssh.HostKeyNotVerifiable) or (known and "host key" in said):
            return HostKeyError(changed=True, key=None)
        return exc

    def _record(self, route: Route, key: asyncssh.SSHKey) -> None:
        line = f"{route.host}:{route.port} {fingerprint(key)}"
        try:
            route.known_hosts.record(*route.trust_name, key)
        except OSError as exc:
            line += f" (not recorded: {exc})"
        self.accepted.append(line)

    async def _jump(self, hops: tuple[str, ...]) -> asyncssh.SSHClientConnection:
        """Return the one connection to the last of these hops, made when first asked for."""
        task = self._hops.get(hops)
        if task is None or _is_over(task):
            task = self._hops[hops] = asyncio.create_task(self._open_hop(hops))
            task.add_done_callback(lambda t: t.cancelled() or t.exception())
        return await asyncio.shield(task)

    async def _open_hop(self, hops: tuple[str, ...]) -> asyncssh.SSHClientConnection:
        name = hops[-1]
        try:
            route = await in_thread(lambda: self.config.hop(hops))
        except SshConfigError as exc:
            raise HopError(f"jump host {name}: {exc}") from None
        try:
            connection = await self.login(route, await self.dial(route))
        except (HopError, asyncio.CancelledError):
            raise
        except Exception as exc:  # noqa: BLE001 whatever it is, it is the reason
            why = await self.explain(exc, route)
            raise HopError(f"jump host {name}: {why}") from None
        self.jump_hosts += 1
        return connection


class _Tunnel:
    """A jump host's connection whose TCP connects have a time limit."""

    def __init__(self, connection: asyncssh.SSHClientConnection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def create_connection(self, factory: Any, host: str, port: int) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._connection.create_connection(factory, host, port)
        except TimeoutError:
            raise ConnectTimeoutError from None


def _is_over(task: asyncio.Task[asyncssh.SSHClientConnection]) -> bool:
    """Tell whether a jump host was reached and its connection has gone since."""
    reached = task.done() and not task.cancelled() and task.exception() is None
    return reached and task.result().is_closed()


def _is_foreign(greeting: bytes | bytearray) -> bool:
    """Tell whether the first bytes that came are another service's."""
    said = bytes(greeting).strip()
    begun = b"SSH-".startswith(said) or b"SSH-" in said
    return not begun and not said.startswith(_TOO_MANY)


def lost_before_login(exc: BaseException) -> bool:
    """Tell whether to try once more: the connection went away, nobody refused it."""
    return isinstance(exc, LOST)


async def back_off(attempt: int) -> None:
    """Wait before another attempt: 0.5 to 1.5 s, twice as long each time."""
    await asyncio.sleep((0.5 + random.random()) * 2**attempt)  # noqa: S311 jitter


async def in_thread(function: Callable[[], T]) -> T:
    """Run a blocking function in a daemon thread, which never keeps the interpreter from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: Any, exc: BaseException | None) -> None:
        if future.cancelled():
            return
        if exc is None:
            future.set_result(result)
        else:
            future.set_exception(exc)

    def work() -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = function()
        except Exception as exc:  # noqa: BLE001 handed over to the waiter
            failure = exc
        with contextlib.suppress(RuntimeError):  # the loop may be gone by now
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, daemon=True, name="pytest-droplet-lookup").start()
    return await future


async def _dial(route: Route) -> socket.socket:
    loop = asyncio.get_running_loop()
    family = _FAMILIES[route.settings.get("AddressFamily", "any").lower()]
    failure: OSError = OSError("no address")
    for its_family, address in await _addresses(route.host, route.port, family):
        own = await _own_address(route.settings, its_family)
        sock = socket.socket(its_family, socket.SOCK_STREAM)
        sock.setblocking(False)  # noqa: FBT003 positional only
        try:
            if own is not None:
                _bind(sock, own)
            await loop.sock_connect(sock, address)
        except OSError as exc:
            sock.close()
            failure = exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _bind(sock: socket.socket, own: str) -> None:
    try:
        sock.bind((own, 0))
    except OSError as exc:
        raise BindError(own, exc.strerror or str(exc)) from None


async def _addresses(host: str, port: int, family: int) -> list[tuple[int, Any]]:
    """Return where a name leads; what is an address already costs no lookup.

    Raises:
        FamilyError: ``AddressFamily`` leaves none.
    """
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        found = await in_thread(
            lambda: socket.getaddrinfo(host, port, family, type=socket.SOCK_STREAM)
        )
        return [(item[0], item[4]) for item in found]
    its_family = socket.AF_INET if version == 4 else socket.AF_INET6
    if family not in {socket.AF_UNSPEC, its_family}:
        raise FamilyError
    return [(its_family, (host, port))]


async def _own_address(settings: Settings, family: int) -> str | None:
    """Return the address to connect from, of ``BindAddress`` or ``BindInterface``; None: any."""
    own = settings.get("BindAddress")
    interface = settings.get("BindInterface")
    if own is not None:
        try:
            ipaddress.ip_address(own)
        except ValueError:
            found = await in_thread(lambda: socket.getaddrinfo(own, None, family))
            return str(found[0][4][0])
        return str(own)
    if interface is None:
        return None
    for name, address in await in_thread(interface_addresses):
        if name == interface and (":" in address) == (family == socket.AF_INET6):
            return address
    raise BindError(interface, "no such interface, or no address of it")
