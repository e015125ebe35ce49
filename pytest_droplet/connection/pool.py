"""All hosts at once: one event loop in a thread of its own, one connection a host.

The threads meet in few places: the caller's side waits on a future or a condition, and hands
work over with ``call_soon_threadsafe``. Everything named ``_on_...`` and every coroutine runs in
the loop's thread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import socket
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

import asyncssh

from pytest_droplet.connection import ahead, script
from pytest_droplet.connection.answer import Question
from pytest_droplet.connection.commands import LostError, run_batch, run_command
from pytest_droplet.connection.descriptors import raise_descriptor_limit
from pytest_droplet.connection.probing import run_probes
from pytest_droplet.connection.reader import Host, Order, read_script
from pytest_droplet.connection.reasons import HopError
from pytest_droplet.connection.ssh_config import SshConfig, SshConfigError
from pytest_droplet.connection.transport import Transport, back_off, lost_before_login
from pytest_droplet.model import HostReading, NotObservedError, Probe, Section, Target
from pytest_droplet.text import line_of_bytes

_STARTED_A_TURN = 64
_ENDED = "the run ended before it was read"
_CLOSED = "the run has ended"


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """How to connect.

    Attributes:
        user: SSH user; None: the ssh config's, else root.
        host_key: ``strict``: known_hosts decides. ``accept-new``: unknown hosts are taken and
            recorded there; a changed key is refused by both.
        connections: Hosts at once past the TCP connect.
        connect_timeout: Seconds for the TCP connect.
        timeout: Seconds for all of one host after that.
        ssh_config: A file in place of the user's and the system's; ``none``: no file.
        identity_file: A private key that is offered first.
        sudo: Whether the script is run by ``sudo -n`` where the login is not uid 0.
        sudo_user: Run the script as this user instead, by ``sudo -n -u``.
        probe: Whether probes are run.
        names: Served names that probes ask for beside those of the hosts' configuration.
        retry: How often a connection is tried again that was lost before the login.
        ahead: Readings kept that nobody asked for yet; with more, reading waits.
    """

    user: str | None = None
    host_key: Literal["strict", "accept-new"] = "strict"
    connections: int = 200
    connect_timeout: float = 10
    timeout: float = 60
    ssh_config: str | None = None
    identity_file: str | None = None
    sudo: bool = True
    sudo_user: str | None = None
    probe: bool = True
    names: tuple[str, ...] = ()
    retry: int = 1
    ahead: int = 1000


@dataclass
class Counts:
    """What the pool did.

    Attributes:
        connections: Logins to hosts, a command's after a closed connection included.
        retries: Connections tried again after they were lost before the login.
        jump_hosts: Connections to jump hosts.
        bytes_received: Standard output of all scripts.
    """

    connections: int = 0
    jump_hosts: int = 0
    retries: int = 0
    bytes_received: int = 0


@dataclass(eq=False)
class _Entry:
    """One host: its reading for the caller, the rest for the loop's thread."""

    target: Target
    reading: Future[HostReading] = field(default_factory=Future)
    host: Host | None = None
    connection: asyncssh.SSHClientConnection | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    holds_room: bool = False
    failure: str = ""


class Pool:
    """Connections to all hosts of a run.

    Attributes:
        accepted: Host keys that were new and were taken (``accept-new``), a line each.
        notes: What the user should know about the pool itself, a line each.
    """

    def __init__(self, options: PoolOptions | None = None) -> None:
        self.options = options or PoolOptions()
        self._counts = Counts()
        self.notes: list[str] = []
        o = self.options
        descriptors, note = raise_descriptor_limit(o.connections)
        if note:
            self.notes.append(note)
        self._transport = Transport(
            SshConfig(o.ssh_config, o.user, o.identity_file),
            o.host_key,
            o.connect_timeout,
            o.timeout,
        )
        self.accepted = self._transport.accepted
        self._order = Order(
            probe=o.probe,
            names=o.names,
            timeout=o.timeout,
            command=script.remote_command(sudo=o.sudo, sudo_user=o.sudo_user),
            as_user=o.sudo_user,
        )
        self._entries: dict[int, _Entry] = {}
        self._condition = threading.Condition()
        self._arrived: deque[int] = deque()
        self._done: set[int] = set()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._loop = asyncio.new_event_loop()
        self._descriptors = asyncio.Semaphore(descriptors)
        self._sessions = asyncio.Semaphore(min(o.connections, descriptors))
        self._most = descriptors
        self._ordered = asyncio.Event()
        self._waiting: deque[_Entry] = deque()
        self._unread = 0
        self._keep: set[int] = set()
        self._kept: OrderedDict[int, _Entry] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        atexit.register(self.close)

    @property
    def counts(self) -> Counts:
        """What the pool did so far."""
        return replace(self._counts, jump_hosts=self._transport.jump_hosts)

    # --- the caller's side ------------------------------------------------------------------

    def start(self, targets: Sequence[Target]) -> None:
        """Begin to connect to these hosts, all at once; more may be added later."""
        new = [_Entry(t) for t in targets if t.droplet_id not in self._entries]
        self._entries.update({e.target.droplet_id: e for e in new})
        self._call(self._on_start, new)

    def read(self, sections: Sequence[Section], probes: Sequence[Probe] = ()) -> None:
        """Say what to read of every host; until then connections wait, logged in.

        Raises:
            ValueError: A section's name is malformed or is used twice.
        """
        self._order = replace(
            self._order, sections=script.distinct(sections), probes=tuple(probes)
        )
        self._call(self._ordered.set)

    def keep(self, droplet_ids: Iterable[int]) -> None:
        """Say which connections stay open after reading, for :meth:`run`."""
        self._call(self._keep.update, frozenset(droplet_ids))

    def get(self, droplet_id: int) -> HostReading:
        """Wait for a host and return what was read; an unreachable host is a reading too.

        Raises:
            KeyError: The host was never started.
        """
        entry = self._entries[droplet_id]
        if not entry.reading.done():
            self._call(self._on_urgent, (entry,))
        if self._closed and not entry.reading.done():
            return _unreachable(entry.target, _ENDED)
        reading = entry.reading.result()
        if entry.holds_room:
            self._call(self._on_taken, entry)
        return reading

    def next_arrived(self, wanted: Iterable[int]) -> int:
        """Wait until one of these hosts was read, and return its Droplet id.

        Raises:
            KeyError: None of them was started.
        """
        ids = wanted if isinstance(wanted, (set, frozenset)) else set(wanted)
        if not any(i in self._entries for i in ids):
            raise KeyError(f"none of these Droplets was started: {sorted(ids)[:5]}")
        with self._condition:
            while True:
                while self._arrived:
                    droplet_id = self._arrived.popleft()
                    self._done.add(droplet_id)
                    if droplet_id in ids:
                        return droplet_id
                if ready := ids & self._done:
                    return min(ready)
                if self._waiting:
                    held_up = (e for e in tuple(self._waiting) if e.target.droplet_id in ids)
                    self._call(self._on_urgent, tuple(held_up)[: self.options.connections])
                self._condition.wait()

    def run(
        self, droplet_id: int, command: str, timeout: float | None = None
    ) -> tuple[int, bytes, bytes]:
        """Run a command by the login shell, over the host's connection.

        A closed connection is opened again; it stays open afterwards.

        Args:
            droplet_id: A started host.
            command: A command line.
            timeout: Seconds; the time limit of a host unless given.

        Returns:
            Exit status (128 + number after a signal), standard output, standard error.

        Raises:
            NotObservedError: The host is not reachable, or gave no whole answer in time.
        """
        entry = self._entries[droplet_id]
        if not entry.failure and not entry.reading.done():
            self.get(droplet_id)
        if entry.failure or self._closed:
            raise NotObservedError(entry.failure or f"{entry.target.name}: {_CLOSED}")
        limit = self.options.timeout if timeout is None else timeout
        self._start_thread()
        future = asyncio.run_coroutine_threadsafe(self._run(entry, command, limit), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def fetch(
        self, droplet_ids: Iterable[int], commands: Sequence[str]
    ) -> Mapping[int, Future[ahead.Results]]:
        """Begin to run commands on hosts, each host's in one session; do not wait for them.

        Args:
            droplet_ids: Hosts; those that were not started are left out.
            commands: Command lines, each for ``sh``.

        Returns:
            The results to be, by Droplet id. A command without a whole answer is not in them;
            there are none of a host whose connection is not open any more.
        """
        if self._closed:
            return {}
        self._start_thread()
        entries = [self._entries[i] for i in droplet_ids if i in self._entries]
        return {
            e.target.droplet_id: asyncio.run_coroutine_threadsafe(
                self._fetch(e, commands), self._loop
            )
            for e in entries
        }

    def drop(self, droplet_id: int) -> None:
        """Forget what was read of a host, and close its connection; :meth:`run` still works."""
        entry = self._entries.get(droplet_id)
        if entry is None or not entry.reading.done():
            return
        if entry.holds_room:
            self._call(self._on_taken, entry)
        gone = replace(entry.reading.result(), sections={}, probes={})
        entry.reading = Future()
        entry.reading.set_result(gone)
        self._call(self._on_drop, entry)

    def close(self) -> None:
        """Close every connection and end the thread; what was not read yet is unreachable."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        if self._thread is None:
            self._loop.close()
            return
        with contextlib.suppress(TimeoutError, RuntimeError):
            asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _call(self, function: object, *args: object) -> None:
        if self._closed:
            return
        self._start_thread()
        self._loop.call_soon_threadsafe(function, *args)  # type: ignore[arg-type]

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._serve, name="pytest-droplet-connections", daemon=True
            )
            self._thread.start()

    # --- the loop's thread ------------------------------------------------------------------

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _on_start(self, entries: Sequence[_Entry]) -> None:
        """Begin to read hosts, a few a turn: a long turn would eat up their connect time."""
        for entry in entries[:_STARTED_A_TURN]:
            task = self._loop.create_task(self._read(entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if entries[_STARTED_A_TURN:]:
            self._loop.call_soon(self._on_start, entries[_STARTED_A_TURN:])

    def _on_urgent(self, entries: Iterable[_Entry]) -> None:
        for entry in entries:
            if not entry.admitted.is_set():
                self._admit(entry)

    def _on_taken(self, entry: _Entry) -> None:
        if not entry.holds_room:
            return
        entry.holds_room = False
        self._unread -= 1
        while self._waiting and self._unread < self.options.ahead:
            waiting = self._waiting.popleft()
            if not waiting.admitted.is_set():
                self._admit(waiting)

    def _on_drop(self, entry: _Entry) -> None:
        if self._kept.pop(entry.target.droplet_id, None):
            self._hang_up(entry)

    def _admit(self, entry: _Entry) -> None:
        self._unread += 1
        entry.holds_room = True
        entry.admitted.set()

    async def _room(self, entry: _Entry) -> None:
        """Wait while more readings lie unread than are kept ahead of the caller."""
        if entry.admitted.is_set():
            return
        if self._unread < self.options.ahead:
            self._admit(entry)
            return
        self._waiting.append(entry)
        await entry.admitted.wait()

    async def _read(self, entry: _Entry) -> None:
        reading: HostReading | None = None
        try:
            reading = await self._reading(entry)
        except Exception as exc:  # noqa: BLE001 a host must never end the others' reading
            text = line_of_bytes(f"{type(exc).__name__}: {exc}".encode("utf-8", "replace"))
            reading = _unreachable(entry.target, f"reading it failed ({text}); please report this")
        finally:
            self._settle(entry, reading or _unreachable(entry.target, _ENDED))

    def _settle(self, entry: _Entry, reading: HostReading) -> None:
        if reading.state != "reached":
            entry.failure = reading.reason
            if entry.holds_room:
                self._on_taken(entry)
        if not entry.reading.done():
            entry.reading.set_result(reading)
        with self._condition:
            self._arrived.append(entry.target.droplet_id)
            self._condition.notify_all()

    async def _reading(self, entry: _Entry) -> HostReading:
        target = entry.target
        try:
            route = await self._transport.route(target.name, target.address)
        except SshConfigError as exc:
            return _unreachable(target, str(exc))
        entry.host = host = Host(target.droplet_id, target.name, route)
        attempt = 0
        while True:
            try:
                return await self._attempt(entry, host)
            except Exception as exc:  # noqa: BLE001 whatever it is, it is the reason
                if attempt >= self.options.retry or not lost_before_login(exc):
                    return host.unreachable(await self._transport.explain(exc, host.route))
            await back_off(attempt)
            attempt += 1
            self._counts.retries += 1

    async def _attempt(self, entry: _Entry, host: Host) -> HostReading:
        if len(self._entries) > self._most:
            await self._room(entry)  # who waits for room must not hold what others need
        await self._descriptors.acquire()
        try:
            sock = await self._transport.dial(host.route)
            with contextlib.ExitStack() as unused:
                if sock is not None:
                    unused.callback(sock.close)
                await self._room(entry)
                async with self._sessions:
                    unused.pop_all()
                    return await self._read_over(entry, host, sock)
        finally:
            if entry.connection is None:
                self._descriptors.release()

    async def _read_over(
        self, entry: _Entry, host: Host, sock: socket.socket | None
    ) -> HostReading:
        login_began = self._loop.time()
        connection = await self._transport.login(host.route, sock)
        self._counts.connections += 1
        spent = self._loop.time() - login_began
        try:
            await self._ordered.wait()
            order = self._order
            began = self._loop.time() - spent
            keep = entry.target.droplet_id in self._keep
            reading, size = await read_script(
                connection,
                host,
                order,
                max(1.0, order.timeout - spent),
                age_s=self._loop.time() - login_began,
                keep=keep,
            )
            self._counts.bytes_received += size
            if keep and reading.state == "reached":
                self._keep_open(entry, connection)
        finally:
            if entry.connection is None:
                connection.close()
        left = order.timeout - (self._loop.time() - began)
        tunnel = None
        if order.probe and order.probes:
            with contextlib.suppress(HopError):
                tunnel = await self._transport.tunnel(host.route)
        return await run_probes(
            reading, order.probes, max(1.0, left), wanted=order.probe, tunnel=tunnel
        )

    def _keep_open(self, entry: _Entry, connection: asyncssh.SSHClientConnection) -> None:
        entry.connection = connection
        self._kept[entry.target.droplet_id] = entry
        self._kept.move_to_end(entry.target.droplet_id)
        idle = [e for e in self._kept.values() if e is not entry and not e.busy.locked()]
        if len(self._kept) > self._most // 2 and idle:
            self._hang_up(idle[0])

    def _hang_up(self, entry: _Entry) -> None:
        self._kept.pop(entry.target.droplet_id, None)
        if entry.connection is not None:
            entry.connection.close()
            entry.connection = None
            self._descriptors.release()

    async def _run(self, entry: _Entry, command: str, limit: float) -> ahead.Result:
        async with entry.busy:
            connection = await self._connected(entry)
            try:
                return await run_command(connection, entry.target.name, command, limit)
            except LostError:
                self._hang_up(entry)
                raise

    async def _fetch(self, entry: _Entry, commands: Sequence[str]) -> ahead.Results:
        await asyncio.shield(asyncio.wrap_future(entry.reading))
        async with self._sessions, entry.busy:
            if entry.connection is None or entry.connection.is_closed():
                return {}
            results, usable = await run_batch(entry.connection, commands, self.options.timeout)
            if not usable:
                self._hang_up(entry)
            return results

    async def _connected(self, entry: _Entry) -> asyncssh.SSHClientConnection:
        """Return the open connection of a host that was reached before, or make one."""
        if entry.connection is not None and not entry.connection.is_closed():
            self._kept.move_to_end(entry.target.droplet_id)
            return entry.connection
        self._hang_up(entry)
        if entry.failure:
            raise NotObservedError(entry.failure)
        host = entry.host
        if host is None:
            raise NotObservedError(f"{entry.target.name}: {_ENDED}")
        await self._descriptors.acquire()
        try:
            sock = await self._transport.dial(host.route)
            connection = await self._transport.login(host.route, sock)
            self._counts.connections += 1
            self._keep_open(entry, connection)
        except Exception as exc:  # noqa: BLE001 whatever it is, it is the reason
            why = await self._transport.explain(exc, host.route)
            entry.failure = f"{entry.target.name}: {why}"
            raise NotObservedError(entry.failure) from None
        finally:
            if entry.connection is None:
                self._descriptors.release()
        return connection

    async def _shut_down(self) -> None:
        tasks = [t for t in asyncio.all_tasks(self._loop) if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=5) if tasks else None
        for entry in list(self._kept.values()):
            self._hang_up(entry)
        await self._transport.close()
        await asyncio.sleep(0)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


def _unreachable(target: Target, reason: str) -> HostReading:
    nothing = Question(target.droplet_id, target.name, target.address)
    return nothing.unreachable(reason, datetime.now(UTC))
