"""The ports that sshd listens on."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.listeners import Listeners, is_public
from pytest_droplet.model import NotObservedError


@dataclass(frozen=True, slots=True)
class SshPorts:
    """TCP ports where SSH answers: the one that the audit came by, and those sshd holds."""

    ports: tuple[int, ...]

    def __str__(self) -> str:
        return f"SSH on port {', '.join(map(str, self.ports))}"


@fact("/proc/net/tcp, tcp6 and /proc/PID/fd")
def droplet_ssh_ports(observation: Observation, droplet_listeners: Listeners) -> SshPorts:
    """Return the ports of SSH.

    Raises:
        NotObservedError: The host was not read, or the programs that hold the sockets are not to
            be seen without root.
    """
    if not droplet_listeners.owners:
        raise NotObservedError("which program listens is not to be seen without root")
    own = observation.droplet.addresses
    held = {
        socket.port
        for socket in droplet_listeners.tcp()
        if "sshd" in socket.names and is_public(socket.address, own)
    }
    return SshPorts(tuple(sorted({observation.host.port, *held})))
