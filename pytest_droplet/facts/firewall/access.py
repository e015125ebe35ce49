"""Whether new connections get through: to SSH, and to what the host serves.

The login of the audit is itself a new connection to SSH: none is made for this beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.listeners import LISTENERS, Listeners, is_public, parse_listeners
from pytest_droplet.model import Address, HostReading, NotObservedError, Probe, Way
from pytest_droplet.text import one_line

_WEB_PORTS = (80, 443)
_WEB_SERVERS = frozenset(
    {"nginx", "nginx-debug", "openresty", "apache2", "httpd", "httpd.event", "httpd.worker"}
)
_STATES = frozenset({"open", "refused", "filtered"})
_WAYS: dict[Way | None, str] = {
    "direct": "the audit's login came in",
    "jump": "the audit's login came in through a jump host",
    "command": "the audit's login came in by a ProxyCommand",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What became of new TCP connections.

    Attributes:
        address: Where they went.
        ssh_port: The port that the audit itself came by.
        ports: ``open``, ``refused`` or ``filtered`` from here by port, or the reason why it is
            not known.
        served: Ports 80 and 443 as far as nginx or Apache listens there for the outside.
        maybe_served: The same, where the program is not to be seen without root.
        via: How the audit's login came to SSH; None: not told, SSH is among ``ports`` then.
    """

    address: str
    ssh_port: int
    ports: Mapping[int, str]
    served: tuple[int, ...]
    maybe_served: tuple[int, ...] = ()
    via: Way | None = None

    @property
    def seen_from_here(self) -> bool:
        """Whether this machine reaches the host as others do: there is no bastion between."""
        return self.via not in {"jump", "command"}

    def ssh_state(self) -> str:
        """Return what became of a new connection to SSH, as :meth:`state`."""
        return "open" if self.via in _WAYS else self.state(self.ssh_port)

    def is_open(self, port: int) -> bool:
        """Whether a new connection was made; also False where that is not known."""
        return self.ports.get(port) == "open" or (port == self.ssh_port and self.via in _WAYS)

    def state(self, port: int) -> str:
        """Return ``open``, ``refused`` or ``filtered``.

        Raises:
            NotObservedError: It was not tried, or could not be.
        """
        found = self.ports.get(port, "not tried; is it in required_services of this run?")
        if found not in _STATES:
            raise NotObservedError(f"TCP {port} of {self.address}: {found}")
        return found

    def __str__(self) -> str:
        said = [f"{port} {state}" for port, state in sorted(self.ports.items())[:8]]
        tried = f"new connections to {self.address}: {', '.join(said) or 'none tried'}"
        way = _WAYS.get(self.via)
        return one_line(f"SSH on port {self.ssh_port}: {way}; {tried}" if way else tried)


def access_probe(required: Iterable[int] = ()) -> Probe:
    """Return the probe that tries the web's ports where something listens, and others.

    SSH is tried where the transport does not tell how the login came in.

    Args:
        required: The ports of the setting ``required_services``.
    """
    return Probe("access", partial(_try, tuple(required)), (LISTENERS,))


async def _try(required: tuple[int, ...], address: str, reading: HostReading) -> dict[str, str]:
    try:
        listeners = parse_listeners(reading.section(LISTENERS.name).stdout)
        web = [p for p in _WEB_PORTS if any(not s.address.is_loopback for s in listeners.tcp(p))]
    except NotObservedError:
        web = []
    wanted = {*web, *required} - {reading.port}
    if reading.via is None:
        wanted.add(reading.port)
    return dict(await asyncio.gather(*(_state(address, port) for port in sorted(wanted))))


async def _state(address: str, port: int) -> tuple[str, str]:
    from pytest_droplet.connection.probe import tcp_connect  # noqa: PLC0415 network only here

    try:
        return str(port), await tcp_connect(address, port)
    except NotObservedError as exc:
        return str(port), str(exc)


ACCESS = access_probe()


@fact("TCP connections from here", probes=(ACCESS,))
def droplet_access(observation: Observation, droplet_listeners: Listeners) -> Access:
    """What new connections found, and which ports nginx or Apache serves.

    Behind a bastion nothing need be seen from here.

    Raises:
        NotObservedError: Nothing was tried, or the sockets of the host were not read.
    """
    host = observation.host
    via = host.via if host.via in _WAYS else None
    try:
        tried = parse_tried(observation.probe(ACCESS.name))
    except NotObservedError:
        if via not in {"jump", "command"}:
            raise
        tried = {}
    served, maybe = web_ports(droplet_listeners, observation.droplet.addresses)
    return Access(host.address, host.port, tried, served, maybe, via)


def parse_tried(data: Any) -> dict[int, str]:
    """Return the states by port of what the probe gave (NotObservedError: of another form)."""
    try:
        return {int(port): one_line(str(state)) for port, state in data.items()}
    except (AttributeError, ValueError, TypeError):
        raise NotObservedError("the probe gave something else than ports") from None


def web_ports(
    listeners: Listeners, own: Iterable[Address]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ports that nginx or Apache serves to the outside, and those it may."""
    known = tuple(own)
    served, maybe = [], []
    for port in _WEB_PORTS:
        sockets = [s for s in listeners.tcp(port) if is_public(s.address, known)]
        if any(_WEB_SERVERS.intersection(s.names) for s in sockets):
            served.append(port)
        elif any(s.programs is None for s in sockets):
            maybe.append(port)
    return tuple(served), tuple(maybe)
