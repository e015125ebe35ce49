"""Whether new connections get through: to SSH, and to what the host serves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.listeners import LISTENERS, Listeners, is_public, parse_listeners
from pytest_droplet.model import Address, HostReading, NotObservedError, Probe
from pytest_droplet.redact import one_line

_WEB_PORTS = (80, 443)
_WEB_SERVERS = frozenset(
    {"nginx", "nginx-debug", "openresty", "apache2", "httpd", "httpd.event", "httpd.worker"}
)
_STATES = frozenset({"open", "refused", "filtered"})


@dataclass(frozen=True, slots=True)
class Access:
    """What became of new TCP connections from here.

    Attributes:
        address: Where they went.
        ssh_port: The port that the audit itself came by.
        ports: ``open``, ``refused`` or ``filtered`` by port, or the reason why it is not known.
        served: Ports 80 and 443 as far as nginx or Apache listens there for the outside.
        maybe_served: The same, where the program is not to be seen without root.
    """

    address: str
    ssh_port: int
    ports: Mapping[int, str]
    served: tuple[int, ...]
    maybe_served: tuple[int, ...] = ()

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
        return one_line(f"new connections to {self.address}: {', '.join(said) or 'none tried'}")


def access_probe(required: Iterable[int] = ()) -> Probe:
    """Return the probe that tries SSH, the web's ports where something listens, and others.

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
    wanted = sorted({reading.port, *web, *required})
    return dict(await asyncio.gather(*(_state(address, port) for port in wanted)))


async def _state(address: str, port: int) -> tuple[str, str]:
    from pytest_droplet.connection.probe import tcp_connect  # noqa: PLC0415 network only here

    try:
        return str(port), await tcp_connect(address, port)
    except NotObservedError as exc:
        return str(port), str(exc)


ACCESS = access_probe()


@fact("TCP connections from here", sections=(LISTENERS,), probes=(ACCESS,))
def droplet_access(observation: Observation) -> Access:
    """What new connections from here found, and which ports nginx or Apache serves."""
    tried = parse_tried(observation.probe(ACCESS.name))
    listeners: Listeners = observation.fact("droplet_listeners")
    served, maybe = web_ports(listeners, observation.droplet.addresses)
    host = observation.host
    return Access(host.address, host.port, tried, served, maybe)


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
