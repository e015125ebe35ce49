"""The hosts' network: a bridge in a namespace, and a namespace for each host and the auditor.

No namespace has a default route: nothing leaves, and what is sent elsewhere is unreachable at once.
"""

from dataclasses import dataclass
from pathlib import Path

from .command import run

NAMESPACES = Path("/run/netns")


@dataclass(frozen=True)
class Address:
    """Where a host is on both networks: the last number of each of its addresses."""

    number: int

    @property
    def public_v4(self) -> str:
        """Address of ``eth0``, which every client uses."""
        return f"203.0.113.{self.number}"

    @property
    def public_v6(self) -> str:
        """Address of ``eth0``; the digits are the decimal ones of the IPv4 address."""
        return f"2001:db8:113::{self.number}"

    @property
    def private_v4(self) -> str:
        """Address of ``eth1``, in the VPC."""
        return f"10.110.0.{self.number}"

    @property
    def assignments(self) -> tuple[tuple[str, str], ...]:
        """Interface, and address with prefix length."""
        return (
            ("eth0", f"{self.public_v4}/24"),
            ("eth0", f"{self.public_v6}/64"),
            ("eth1", f"{self.private_v4}/20"),
        )


AUDITOR = Address(250)


class Network:
    """The namespaces of one lab; they begin with its name."""

    def __init__(self, lab: str) -> None:
        self.lab = lab
        self.switch = f"{lab}-switch"
        self.auditor = f"{lab}-auditor"

    def start(self) -> None:
        """Make the switch and the auditor's namespace."""
        run(["ip", "netns", "add", self.switch])
        _batch(self.switch, "link add br0 type bridge mcast_snooping 0", "link set br0 up")
        self.join("auditor", AUDITOR)

    def join(self, name: str, address: Address) -> str:
        """Make a namespace with ``eth0`` and ``eth1`` on the bridge, and return its name."""
        namespace = f"{self.lab}-{name}"
        run(["ip", "netns", "add", namespace])
        ports = {f"eth{i}": f"port{address.number}-{i}" for i in (0, 1)}
        _batch(
            namespace,
            "link set lo up",
            *(
                f"link add {interface} type veth peer name {port} netns {self.switch}"
                for interface, port in ports.items()
            ),
            *(
                f"addr add {prefix} dev {name} {_nodad(prefix)}"
                for name, prefix in address.assignments
            ),
            *(f"link set {interface} up" for interface in ports),
        )
        _batch(self.switch, *(f"link set {port} master br0 up" for port in ports.values()))
        return namespace

    def plug(self, address: Address) -> tuple[str, str]:
        """Make two taps on the bridge, for a machine that is a process in the switch."""
        taps = (f"tap{address.number}-0", f"tap{address.number}-1")
        for tap in taps:
            _batch(
                self.switch,
                f"tuntap add dev {tap} mode tap",
                f"link set {tap} master br0 up",
            )
        return taps


def _nodad(prefix: str) -> str:
    return "nodad" if ":" in prefix else ""


def _batch(namespace: str, *lines: str) -> None:
    run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(lines) + "\n")


def remove(lab: str) -> None:
    """Remove the namespaces of a lab whose processes have ended."""
    for namespace in NAMESPACES.glob(f"{lab}-*"):
        run(["ip", "netns", "delete", namespace.name])
