"""The ports that SSH answers on: sshd's own, and those that systemd holds for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.listeners import Listeners, is_public
from pytest_droplet.facts.host.units import Units
from pytest_droplet.model import NotObservedError, Reading

_SOCKETS = ("ssh.socket", "sshd.socket")
_LISTENS = re.compile(r"(?:.*:)?([0-9]{1,5}) \(Stream\)")


@dataclass(frozen=True, slots=True)
class SshPorts:
    """TCP ports where SSH answers: the one that the audit came by, and those held for sshd."""

    ports: tuple[int, ...]

    def __str__(self) -> str:
        return f"SSH on port {', '.join(map(str, self.ports))}"


@fact("/proc/net/tcp, tcp6 and /proc/PID/fd; systemctl show ssh.socket")
def droplet_ssh_ports(
    observation: Observation, droplet_listeners: Listeners, droplet_units: Reading[Units]
) -> SshPorts:
    """Return the ports of SSH.

    Raises:
        NotObservedError: The host was not read, the programs that hold the sockets are not to
            be seen without root, or it is not known which of systemd's own sockets are SSH's.
    """
    if not droplet_listeners.owners:
        raise NotObservedError("which program listens is not to be seen without root")
    own = observation.droplet.addresses
    public = [s for s in droplet_listeners.tcp() if is_public(s.address, own)]
    held = {socket.port for socket in public if "sshd" in socket.names}
    for_others = {socket.port for socket in public if set(socket.names) == {"systemd"}}
    if for_others:
        held |= for_others & set(_ports_of_sockets(droplet_units.get()))
    return SshPorts(tuple(sorted({observation.host.port, *held})))


def _ports_of_sockets(units: Units) -> Iterator[int]:
    """Yield the ports of the socket units that start sshd."""
    for unit in {units[name].id: units[name] for name in _SOCKETS}.values():
        if unit.is_active and not unit.listens:
            raise NotObservedError(f"what {unit.id} listens on is not known")
        for text in unit.listens if unit.is_active else ():
            matched = _LISTENS.fullmatch(text)
            if matched is None:
                raise NotObservedError(f"what {unit.id} listens on is not known: {text!r}")
            yield int(matched[1])
