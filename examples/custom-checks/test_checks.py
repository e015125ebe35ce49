"""Checks with an id and a severity: they stand in the reports beside the shipped ones."""

from conftest import Swaps
from pytest_droplet import Claims, check
from pytest_droplet.facts.host.listeners import Listeners


@check("site.swap-off", severity="low")
def test_no_swap_is_used(droplet_swaps: Swaps) -> None:
    """No swap is used.

    Rationale:
        What was in memory, keys too, stays readable on the disk.

    Remediation:
        ``swapoff -a``, then remove the swap line from ``/etc/fstab``.
    """
    assert not droplet_swaps.paths, f"swap is used: {droplet_swaps}"


@check("site.port-open", severity="high", params={"port": ("80", "443")})
def test_the_site_listens(port: str, droplet_listeners: Listeners) -> None:
    """The site listens on its ports.

    Remediation:
        Start nginx: ``systemctl enable --now nginx``.
    """
    assert droplet_listeners.tcp(int(port)), f"nothing listens on TCP port {port}"


@check("site.database-private", severity="critical")
def test_the_database_is_private(droplet_listeners: Listeners) -> None:
    """The database listens, and on loopback alone.

    Remediation:
        Set ``listen_addresses = 'localhost'`` in ``postgresql.conf``.
    """
    found = droplet_listeners.tcp(5432)
    with Claims() as claim:
        with claim:
            assert found, "nothing listens on TCP port 5432"
        with claim:
            public = [str(socket) for socket in found if not socket.address.is_loopback]
            assert not public, f"the database listens on {', '.join(public)}"
