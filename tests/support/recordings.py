"""Recordings made in a test: an account in memory, and hosts that printed what a test says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_droplet.api.inventory import read_inventory
from pytest_droplet.api.replay import answer_key, recorded
from pytest_droplet.model import HostReading, SectionOutput
from pytest_droplet.recording import Recorder
from pytest_droplet.selection import parse_selectors
from pytest_droplet.testing import Cloud
from tests.support.accounts import read_account

OS_RELEASE = 'ID=debian\nVERSION_ID="{0}"\nPRETTY_NAME="Debian GNU/Linux {0}"\nNAME="Debian"\n'


def reached(cloud: Cloud, droplet: Mapping[str, Any], **sections: str) -> HostReading:
    """A host that was read as root and printed these sections."""
    printed = {"os": OS_RELEASE.format(12)} | sections
    return HostReading(
        droplet["id"],
        "reached",
        cloud.now,
        address="203.0.113.9",
        user="root",
        root=True,
        sections={n: SectionOutput(n, stdout=text, rc=0) for n, text in printed.items()},
    )


def unreachable(cloud: Cloud, droplet: Mapping[str, Any]) -> HostReading:
    """A host that did not answer."""
    reason = f"{droplet['name']}: no answer on 203.0.113.3:22 within 10 s; check its firewall"
    return HostReading(droplet["id"], "unreachable", cloud.now, reason=reason)


def save(
    cloud: Cloud, folder: Path, hosts: Iterable[HostReading], *, projects: bool = False
) -> Path:
    """Write a recording of the account and these hosts, and return its folder."""
    recorder = Recorder(folder)
    client = cloud.client()
    client.on_answer = lambda operation, params, answer: recorder.add_answer(
        answer_key(operation, params), recorded(answer)
    )
    client.pause = lambda seconds: None  # type: ignore[method-assign]
    read_account(client, now=cloud.now)
    if projects:
        read_inventory(client, parse_selectors(["all"]), now=cloud.now, projects=True)
    for host in hosts:
        recorder.add_host(host)
    recorder.finish(recorded_at=cloud.now, endpoint="api.test", selector=["all"])
    return folder
