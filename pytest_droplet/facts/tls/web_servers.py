"""Who serves the web on a host: nginx, Apache, or another program on port 443."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.listeners import Listener, Listeners, is_public
from pytest_droplet.facts.host.units import Unit, Units
from pytest_droplet.facts.tls.virtual_hosts import NotInstalled, VirtualHost, WebConfig
from pytest_droplet.model import Address, NotObservedError, Reading
from pytest_droplet.text import one_line

Configuration: TypeAlias = WebConfig | NotInstalled

HTTP, HTTPS = 80, 443
_SERVERS = ("nginx", "apache")
EDGE = "edge"
_PROGRAMS = {
    "nginx": {"nginx", "nginx-debug", "openresty"},
    "apache": {"apache2", "httpd", "httpd.event", "httpd.worker"},
}
_UNITS = {"nginx": ("nginx.service",), "apache": ("apache2.service", "httpd.service")}


@dataclass(frozen=True, slots=True)
class Front:
    """How a server (or, for ``edge``, another program) stands towards port 443.

    Attributes:
        state: ``absent``: not installed, or nothing for ``edge`` to be; ``stopped``: neither
            running nor enabled; ``local``: not to be reached from outside; ``elsewhere``: port
            443 is another program's; ``silent``: to be reached, but nothing listens on 443, or
            enabled and not running; ``serving``: it holds port 443.
        text: One sentence that says so, with the sockets.
        sockets: Its TCP sockets that can be reached from outside.
        taken: Whether some program of the host listens on port 443 for the outside.
    """

    state: Literal["absent", "stopped", "local", "elsewhere", "silent", "serving"]
    text: str
    sockets: tuple[Listener, ...] = ()
    taken: bool = False

    def on(self, port: int, version: int) -> bool:
        """Whether it listens on this port in IPv4 or IPv6; ``::`` may be either."""
        return any(
            s.port == port
            and (s.version == version or (s.address.is_unspecified and version == 4))
            for s in self.sockets
        )


@dataclass(frozen=True, slots=True)
class WebServers:
    """The web servers of a host and what listens on it; each part may be missing.

    ``addresses`` are the Droplet's own.
    """

    configurations: Mapping[str, Reading[Configuration]]
    units: Reading[Units]
    listeners: Reading[Listeners]
    addresses: tuple[Address, ...]

    def config(self, server: str) -> WebConfig:
        """Return the whole configuration of an installed server.

        Raises:
            NotObservedError: It was not read, or not all of it; the server is not installed.
        """
        found = self.known(server)
        found.require_all()
        return found

    def known(self, server: str) -> WebConfig:
        """Return the configuration of an installed server, as far as it was read.

        Raises:
            NotObservedError: It was not read at all; the server is not installed.
        """
        found = self.configurations[server].get()
        if isinstance(found, NotInstalled):
            raise NotObservedError(str(found))
        return found

    def require_all(self, server: str) -> None:
        """Make sure that every host that is judged for a server is known.

        Raises:
            NotObservedError: A configuration was not read, or not all of it.
        """
        for own in self._behind() if server == EDGE else (server,):
            self.config(own)

    def front(self, server: str) -> Front:
        """Tell how a server stands towards port 443.

        Raises:
            NotObservedError: The listening sockets, their programs, or the server's state
                were not observed.
        """
        return self._edge() if server == EDGE else self._of(server)

    def hosts(self, server: str) -> tuple[VirtualHost, ...]:
        """Return the virtual hosts that are asked for on port 443.

        Those of nginx or Apache that answer on 443 and not only locally. Behind ``edge``, or
        where nginx itself hands TLS on, every virtual host of a running server may be. Those of
        files that were not read are missing: see :meth:`require_all`.

        Raises:
            NotObservedError: A configuration was not read at all, or has no such host.
        """
        if server == EDGE:
            return tuple(h for s in self._behind() for h in self.known(s).hosts)
        config = self.known(server)
        hosts = tuple(
            h for h in config.hosts if any(e.port == HTTPS and not e.local for e in h.endpoints)
        )
        if not hosts:
            config.require_all()
            raise NotObservedError(
                f"{server} listens on port {HTTPS}, but its configuration files name no virtual "
                "host there: changed and not reloaded, or read from another place"
            )
        return config.hosts if any(h.passes_tls_on for h in hosts) else hosts

    def plain_names(self, server: str) -> tuple[str, ...]:
        """Return the names of the virtual hosts that answer on port 80, as far as they are known.

        Raises:
            NotObservedError: The configuration was not read at all.
        """
        hosts = self.hosts(EDGE) if server == EDGE else self.known(server).hosts
        return tuple(
            dict.fromkeys(
                n
                for h in hosts
                if any(e.port == HTTP and not e.local for e in h.endpoints)
                for n in h.names
            )
        )

    def _behind(self) -> tuple[str, ...]:
        """Return the servers that may be behind another program."""
        return tuple(s for s in _SERVERS if self._of(s).state not in {"absent", "stopped"})

    def _of(self, server: str) -> Front:
        if not self._is_installed(server):
            return Front("absent", f"{server} is not installed")
        listeners = self.listeners.get()
        own = [s for s in listeners.tcp() if server in self._owners(s)]
        public = tuple(s for s in own if self._is_public(s))
        https = [s for s in listeners.tcp(HTTPS) if self._is_public(s)]
        if https and all(server not in self._owners(s) for s in https):
            holders = ", ".join(dict.fromkeys(n for s in https for n in s.names)) or "no program"
            return Front("elsewhere", f"port {HTTPS} belongs to {holders}, not to {server}")
        if not own and not (unit := self._unit(server)).is_active:
            if unit.is_enabled:
                return Front("silent", f"{unit.id} is enabled but {unit.active}")
            return Front("stopped", f"{server} neither runs nor is enabled")
        if not public:
            where = f"only on {_listed(own)}" if own else "on no TCP port"
            return Front("local", f"{server} listens {where}")
        if not any(s.port == HTTPS for s in public):
            return Front(
                "silent", f"{server} listens on {_listed(public)} and not on port {HTTPS}", public
            )
        return Front("serving", f"{server} listens on {_listed(public)}", public)

    def _edge(self) -> Front:
        sockets = [s for s in self.listeners.get().tcp(HTTPS) if self._is_public(s)]
        own = tuple(s for s in sockets if not self._owners(s))
        if own:
            names = ", ".join(dict.fromkeys(n for s in own for n in s.names)) or "a program"
            return Front("serving", f"{one_line(names, 80)} listens on {_listed(own)}", own)
        if sockets:
            holders = " and ".join(dict.fromkeys(o for s in sockets for o in self._owners(s)))
            return Front("absent", f"port {HTTPS} belongs to {holders}", taken=True)
        return Front("absent", f"no local program listens on port {HTTPS}")

    def _is_installed(self, server: str) -> bool:
        """Whether it may be installed: one whose configuration is refused is."""
        return not isinstance(self.configurations[server].value, NotInstalled)

    def _is_public(self, socket: Listener) -> bool:
        return is_public(socket.address, self.addresses)

    def _owners(self, socket: Listener) -> tuple[str, ...]:
        """Return which of the two servers holds a socket; without root by its configuration."""
        if socket.programs is not None:
            return tuple(
                s
                for s in _SERVERS
                if not _PROGRAMS[s].isdisjoint(socket.names) and self._is_installed(s)
            )
        claim = tuple(s for s in _SERVERS if self._is_installed(s) and self._claims(s, socket))
        if len(claim) > 1:
            raise NotObservedError(f"which program listens on {socket} is not seen without root")
        return claim

    def _claims(self, server: str, socket: Listener) -> bool:
        return self._unit(server).is_active and any(
            e.port == socket.port for h in self.config(server).hosts for e in h.endpoints
        )

    def _unit(self, server: str) -> Unit:
        units = self.units.get()
        found = [units[name] for name in _UNITS[server]]
        return next((u for u in found if u.exists), found[0])

    def __str__(self) -> str:
        parts = [_said(self.configurations[s]) for s in _SERVERS]
        if self.listeners.value is not None:
            https = self.listeners.value.tcp(HTTPS)
            held = ", ".join(f"{s} {'/'.join(s.names)}".strip() for s in https)
            parts.append(f"port {HTTPS}: {held or 'no socket'}")
        return one_line("; ".join(parts), 300)


@fact(
    "configuration files of nginx and Apache, systemctl show, /proc/net/tcp",
)
def droplet_web_servers(
    observation: Observation,
    droplet_nginx: Reading[Configuration],
    droplet_apache: Reading[Configuration],
    droplet_units: Reading[Units],
    droplet_listeners: Reading[Listeners],
) -> WebServers:
    """The web servers of the host, their virtual hosts, and who holds port 443.

    Raises:
        NotObservedError: The host was not reached at all.
    """
    if observation.host.state != "reached":
        droplet_listeners.get()
    return WebServers(
        configurations={
            "nginx": droplet_nginx,
            "apache": droplet_apache,
        },
        units=droplet_units,
        listeners=droplet_listeners,
        addresses=observation.droplet.addresses,
    )


def _listed(sockets: Iterable[Listener]) -> str:
    places = list(dict.fromkeys(map(str, sockets)))
    return ", ".join(places[:5]) + (f" and {len(places) - 5} more" if len(places) > 5 else "")


def _said(reading: Reading[Configuration]) -> str:
    return str(reading.value) if reading.missing is None else f"not observed: {reading.missing}"
