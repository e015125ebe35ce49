"""Opens SSH connections: TCP, jump hosts, host keys, login."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import asyncssh

from pytest_droplet.connection.credentials import Credentials
from pytest_droplet.connection.proxies import Proxies
from pytest_droplet.connection.reasons import (
    ConnectTimeoutError,
    HandshakeTimeoutError,
    HopError,
    HostKeyError,
    explain,
    fingerprint,
)
from pytest_droplet.connection.ssh_config import Route, SshConfig, SshConfigError

T = TypeVar("T")

_LOST = (
    asyncssh.ConnectionLost,
    asyncssh.ProtocolError,
    ConnectionResetError,
    BrokenPipeError,
)


class _Owner(asyncssh.SSHClient):
    """Decides on a host key that known_hosts does not hold."""

    def __init__(self, route: Route, *, accept_new: bool) -> None:
        self._route = route
        self._accept_new = accept_new
        self.transport_made = False
        self.refused: HostKeyError | None = None
        self.accepted: asyncssh.SSHKey | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:  # noqa: ARG002
        """Note that the socket belongs to asyncssh now."""
        self.transport_made = True

    def validate_host_public_key(
        self,
        host: str,  # noqa: ARG002
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        """Refuse a key that is not trusted, or take it where new hosts are accepted."""
        changed = self._route.known_hosts.standing(*self._route.trust_name) == "changed"
        if changed or not self._accept_new:
            self.refused = HostKeyError(changed=changed, key=key)
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
    _hops: dict[tuple[str, ...], asyncio.Task[asyncssh.SSHClientConnection]] = field(
        default_factory=dict
    )

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
                return await _dial(route.host, route.port)
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
            Exception: What asyncssh raises; see :func:`reasons.explain`.
        """
        owner = _Owner(route, accept_new=self.host_key == "accept-new")
        try:
            tunnel = await self.tunnel(route)
            async with asyncio.timeout(self.timeout):
                connection = await self._connect(route, sock, owner, tunnel)
        except TimeoutError:
            raise HandshakeTimeoutError from None
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as exc:
            raise self._not_trusted(exc, route, owner) from None
        finally:
            if sock is not None and not owner.transport_made:
                sock.close()
        if owner.accepted is not None:
            self._record(route, owner.accepted)
        return connection

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
            known_hosts=lambda *_: route.known_hosts.trusted(*route.trust_name),
            connect_timeout=None,
            login_timeout=0,
            keepalive_interval=0,
        )

    async def explain(self, exc: Exception, route: Route) -> str:
        """Return why a connection failed and what to do, in one line without the host's name."""
        if isinstance(exc, asyncssh.PermissionDenied) and route.credentials.agent:
            await self._count_agent_keys(route.credentials)
        return explain(exc, route, connect_timeout=self.connect_timeout, timeout=self.timeout)

    async def _count_agent_keys(self, credentials: Credentials) -> None:
        if credentials.agent_keys is not None:
            return
        credentials.agent_keys = 0
        with contextlib.suppress(OSError, ValueError, asyncssh.Error, TimeoutError):
            async with asyncio.timeout(self.connect_timeout):
                agent = await asyncssh.connect_agent(credentials.agent or "")
                credentials.agent_keys = len(await agent.get_keys())
                agent.close()

    async def close(self) -> None:
        """Close the connections to jump hosts, and end every ProxyCommand."""
        for task in self._hops.values():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                connection = await task
                connection.abort()
        self._hops.clear()
        self._proxies.close()

    def _not_trusted(
        self, exc: asyncssh.DisconnectError, route: Route, owner: _Owner
    ) -> BaseException:
        if owner.refused is not None:
            return owner.refused
        known = route.known_hosts.standing(*route.trust_name) == "changed"
        if isinstance(exc, asyncssh.HostKeyNotVerifiable) or (known and "host key" in str(exc)):
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


def lost_before_login(exc: BaseException) -> bool:
    """Tell whether to try once more: the connection went away, nobody refused it."""
    return isinstance(exc, _LOST)


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


async def _dial(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("no address")
    for family, address in await _addresses(host, port):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)  # noqa: FBT003 positional only
        try:
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


async def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    """Return where a name leads; what is an address already costs no lookup."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        found = await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return [(item[0], item[4]) for item in found]
    return [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]
