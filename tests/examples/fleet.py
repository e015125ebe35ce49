"""The small fleet that the examples and the documentation are run on, from a recording."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pytest_droplet.testing import Cloud
from tests.support.recordings import OS_RELEASE, reached, save, unreachable

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

_KERNEL = """Linux 6.12.48+deb13-cloud-amd64 x86_64
#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2025-09-20)
1795348800
btime 1794744000
"""
_LISTENERS = """read tcp
tcp 00000000:0016 2001
tcp 00000000:0050 2002
tcp 00000000:01BB 2003
tcp 0100007F:1538 2004
read tcp6
owners
own 2001 /usr/sbin/sshd
own 2002 /usr/sbin/nginx
own 2003 /usr/sbin/nginx
own 2004 /usr/lib/postgresql/17/bin/postgres
end
"""
_NO_SWAP = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
HARDENED = {
    "os": OS_RELEASE.format(13),
    "kernel": _KERNEL,
    "listeners": _LISTENERS,
    "site_swaps": _NO_SWAP,
}
CARELESS = {**HARDENED, "site_swaps": f"{_NO_SWAP}/swapfile file\t\t1048572\t\t0\t\t-2\n"}


def write_fleet(folder: Path, now: datetime = NOW, *, grown: bool = False) -> Path:
    """Record web-1 (1001), web-2 (1002, uses swap), db-1 (1003, no answer), old-1 (1004, off).

    Args:
        folder: Where to.
        now: The time of the recording.
        grown: db-2 (1005) is there too, without backups.
    """
    cloud = Cloud(now=now)
    web_1 = cloud.add("web-1", tags=["prod", "web"], backups=True, private="10.114.0.2")
    web_2 = cloud.add("web-2", tags=["prod", "web"], private="10.114.0.3")
    db_1 = cloud.add("db-1", tags=["prod"], private="10.114.0.4", ipv6="2001:db8::4")
    cloud.add("old-1", status="off", region="nyc3")
    db_2 = [cloud.add("db-2", id=1005, tags=["prod"])] if grown else []
    cloud.add_firewall("web", tags=["web"], inbound=[("tcp", "22"), ("tcp", "443")])
    cloud.add_key("laptop")
    hosts = [
        reached(cloud, web_1, **HARDENED),
        reached(cloud, web_2, **CARELESS),
        unreachable(cloud, db_1),
        *(reached(cloud, droplet, **HARDENED) for droplet in db_2),
    ]
    return save(cloud, folder, hosts)
