"""The fleet that is measured: hosts that print what recorded ones printed, and their account.

``hosts.json`` holds the sections of four hosts of the lab, as the script's ``droplet`` profile
prints them. Of ten Droplets seven are the well kept one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pytest_droplet.audit import facts_of_hosts, reading_plan
from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.connection import identity, script
from pytest_droplet.connection.testinfra import ASKED_BY_ALL
from pytest_droplet.facts import DropletFacts
from pytest_droplet.model import HostReading, Inventory, Section
from pytest_droplet.settings import Settings
from pytest_droplet.testing import Cloud
from tests.benchmarks import suite
from tests.benchmarks.addresses import FIRST_ID, address
from tests.support.accounts import read_account
from tests.support.ssh_server import framed, nonce_of, sections_of

PROFILE = "droplet"
_KINDS = ("kept",) * 7 + ("bare", "old", "rpm")
_PLACE = "0" * 32
_OF_TESTINFRA = {section.name: section.command for section in ASKED_BY_ALL}
_OFFERED = {"root": ["publickey"], "pytest-droplet-nobody": ["publickey"]}


def kind_of(index: int) -> str:
    """Return which of the recorded hosts this one is like."""
    return _KINDS[index % len(_KINDS)]


def cloud(count: int) -> Cloud:
    """Return an account of so many Droplets, all behind a Cloud Firewall, with one backup."""
    account = Cloud()
    for i in range(count):
        image = "almalinux-9-x64" if kind_of(i) == "rpm" else "debian-12-x64"
        account.add(
            f"{kind_of(i)}-{i}",
            id=FIRST_ID + i,
            public=address(i),
            tags=["walled"],
            image=image,
            backups=1,
        )
    account.add_firewall("walls", tags=["walled"])
    account.add_key("account", _recorded()["account_key"])
    return account


def inventory(count: int) -> Inventory:
    """Return what is known of the account, read in memory."""
    return read_account(cloud(count).client(), now=datetime.now(UTC))


@cache
def checks() -> tuple[Check, ...]:
    """Return the checks of the profile that judge one Droplet."""
    return tuple(c for c in shipped().values() if PROFILE in c.profiles and not c.of_account)


@cache
def sections() -> tuple[Section, ...]:
    """Return what the script of the profile reads."""
    chosen = [c for c in shipped().values() if PROFILE in c.profiles]
    return reading_plan(("droplet_os_release", *facts_of_hosts(chosen)), probe=True)[0]


def answer(sent: bytes, index: int) -> bytes:
    """Return what a host prints for a script."""
    return _of_host(_names(sent), index).replace(_PLACE.encode(), nonce_of(sent).encode())


def _of_host(names: tuple[str, ...], index: int) -> bytes:
    """Return what a host prints for sections, with a place where the nonce belongs."""
    return _template(kind_of(index), names).replace(b"DROPLET", b"%d" % (FIRST_ID + index))


def _names(sent: bytes) -> tuple[str, ...]:
    return tuple(asked.name for asked in sections_of(sent))


def printed(kind: str, name: str) -> bytes:
    """Return what one section prints on a host."""
    text: str | None = _recorded()["hosts"][kind].get(name)
    if text is None:
        return suite.said(_OF_TESTINFRA.get(name, ""))
    return text.encode()


def reading(index: int) -> HostReading:
    """Return what a host answered, parsed from the bytes of its script's output."""
    wanted = (identity.section(FIRST_ID + index), *sections())
    parsed = script.parse(_of_host(_asked(), index), wanted, _PLACE)
    return HostReading(
        FIRST_ID + index,
        "reached",
        datetime.now(UTC),
        address=address(index),
        user="root",
        root=True,
        sections=parsed.sections,
        probes={"ssh_auth": _OFFERED, "http": _CLOSED_HTTP, "tls": _CLOSED_TLS, "access": {}},
        via="direct",
    )


_CLOSED_HTTP: Mapping[str, Any] = {"plain": {}, "port": "refused", "secure": {}}
_CLOSED_TLS: Mapping[str, Any] = {"names": {}, "port": "refused"}


def observations(account: Inventory, indices: Iterable[int]) -> Iterator[DropletFacts]:
    """Yield what is known of some Droplets, as checks judge it."""
    settings = Settings()
    by_id = {d.id: d for d in account.droplets}
    for i in indices:
        host = reading(i)
        yield DropletFacts(by_id[FIRST_ID + i], account, host, settings, datetime.now(UTC))


@cache
def _asked() -> tuple[str, ...]:
    return _names(script.compose((identity.section(0), *sections()), _PLACE).encode())


@cache
def _template(kind: str, names: tuple[str, ...]) -> bytes:
    said = {n: printed(kind, n) for n in names}
    said[identity.NAME] = b"cloud-init DROPLET\n"
    return framed(_PLACE, said)


@cache
def _recorded() -> Any:
    return json.loads((Path(__file__).parent / "hosts.json").read_text("utf-8"))
