"""The lab's account: a fake DigitalOcean API that lists the lab's hosts as Droplets.

It runs in the auditor's network namespace, as a process of its own::

    python -m tests.lab.account <facts.json

prints the API's address and answers until its standard input ends.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi

from .lab import Lab

UNATTACHED = "db-noauditd"
WITHOUT_BACKUPS = "shop-expired"
GONE = 417_000_103
_IMAGES = {
    "debian-11": "debian-11-x64",
    "debian-13": "debian-13-x64",
    "almalinux-9": "almalinux-9-x64",
    "centos-10": "centos-stream-10-x64",
    "fedora-44": "fedora-44-x64",
    "rocky-10": "rockylinux-10-x64",
    "ubuntu-24.04": "ubuntu-24-04-x64",
    "ubuntu-26.04": "ubuntu-26-04-x64",
}


@contextmanager
def serve(lab: Lab) -> Iterator[dict[str, str]]:
    """Serve the account of a lab, and yield the environment that points to it."""
    process = lab.popen(
        [sys.executable, "-m", "tests.lab.account"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(_facts(lab)) + "\n")
    process.stdin.flush()
    url = process.stdout.readline().strip()
    yield {"DIGITALOCEAN_API_URL": url, "DIGITALOCEAN_TOKEN": TOKEN}
    process.terminate()


def _facts(lab: Lab) -> dict[str, Any]:
    hosts = [
        {
            "name": host.name,
            "id": host.droplet_id,
            "public": host.public_v4,
            "private": host.private_v4,
            "ipv6": host.public_v6,
            "image": _IMAGES.get(host.distribution, "debian-12-x64"),
        }
        for host in lab.hosts.values()
    ]
    return {"hosts": hosts, "keys": list(lab.account_keys)}


def cloud(facts: dict[str, Any]) -> Cloud:
    """Return the account.

    A firewall is attached by tag to all hosts but one, backups are on for all but one. Beside the
    hosts stand a Droplet that is off, a worker of a cluster, and one whose address is dead.
    """
    account = Cloud()
    for host in facts["hosts"]:
        tags = ["prod"] if host["name"] == UNATTACHED else ["prod", "walled"]
        account.add(**host, tags=tags, backups=host["name"] != WITHOUT_BACKUPS)
    account.add("mail-off", id=417_000_101, tags=["prod"], status="off", public="203.0.113.101")
    account.add(
        "pool-worker",
        id=417_000_102,
        tags=["prod", "k8s", "k8s:7c2f1d3e-58a4-4a0b-9c55-0f6d2b8e9a10"],
        public="203.0.113.102",
    )
    account.add(
        "cache-gone", id=GONE, tags=["prod", "walled"], backups=True, public="203.0.113.103"
    )
    account.add_firewall(
        "web", tags=["walled"], inbound=[("tcp", "22"), ("tcp", "80"), ("tcp", "443")]
    )
    for number, key in enumerate(facts["keys"]):
        account.add_key(f"key-{number}", key)
    return account


def _main() -> None:
    facts = json.loads(sys.stdin.readline())
    with FakeApi(cloud(facts)) as api:
        print(api.url, flush=True)  # noqa: T201 the address is its answer
        sys.stdin.read()


if __name__ == "__main__":
    _main()
