"""Old versions of TLS as seen from outside: whether the host still takes TLS 1.0 and 1.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.interfaces import ADDRESSES
from pytest_droplet.facts.tls.apache import APACHE
from pytest_droplet.facts.tls.asking import PORT, Handshakes, settings_of
from pytest_droplet.facts.tls.nginx import NGINX
from pytest_droplet.facts.tls.tls import HANDSHAKE_S, for_each, other_socket
from pytest_droplet.facts.tls.virtual_hosts import name_to_ask
from pytest_droplet.model import HostReading, NotObservedError, Probe
from pytest_droplet.text import one_line

OldVersion = Literal["TLSv1.0", "TLSv1.1"]
MOST_HANDSHAKES = 16
"""Of the 64 of a Droplet; tls.py has the rest."""


@dataclass(frozen=True, slots=True)
class OldVersions:
    """Whether each old version is taken; a text in place of that is why it is not known.

    ``by`` has the names that each version is taken for; ``""`` stands for a client that names
    none.
    """

    versions: Mapping[str, bool | str]
    by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def accepts(self, version: str) -> bool:
        """Tell whether a version is taken (NotObservedError: not known)."""
        found = self.versions.get(version, "not asked for")
        if isinstance(found, str):
            raise NotObservedError(f"{version}: {found}")
        return found

    def __str__(self) -> str:
        said = {True: "accepted", False: "refused"}
        parts = (
            f"{v} {found if isinstance(found, str) else said[found]}"
            for v, found in self.versions.items()
        )
        return one_line(", ".join(parts) or "no old version was asked for", 300)


async def _ask(address: str, reading: HostReading) -> dict[str, Any]:
    """Ask for one name of each group that has the same settings, on both versions of IP.

    On the other version one name is enough of those whose hosts answer alike there, and where
    that one is not answered nothing is missing.
    """
    groups = settings_of(reading)
    handshakes = Handshakes(MOST_HANDSHAKES)
    found = await for_each(
        (g.name for g in groups), lambda name: _versions(address, name, handshakes)
    )
    own = [g.name for g in groups if g.other_version == "own"]
    same = [g.name for g in groups if g.other_version == "same"][:1]
    other = await other_socket(address, reading) if own or same else None
    if other is not None:
        there = (
            {name: {"error": other.why} for name in (*own, *same)}
            if other.why
            else await for_each(
                (*own, *same), lambda name: _versions(other.address, name, handshakes)
            )
        )
        for name, seen in there.items():
            if name in own or "error" not in seen:
                found[f"{name or 'no name'} ({other.way})"] = seen
    return {version: _joined(found, version) for version in get_args(OldVersion)}


async def _versions(address: str, name: str, handshakes: Handshakes) -> dict[str, Any]:
    """Tell whether each old version is taken for a name.

    A server that is offered TLS 1.1 at most takes the newest that it has: most are asked once.
    """
    from pytest_droplet.connection.tls import tls_old  # noqa: PLC0415 as in tls.py

    found: dict[str, Any] = {"TLSv1.0": False, "TLSv1.1": False}
    offered: OldVersion | None = "TLSv1.1"
    while offered is not None:
        if not handshakes.take():
            raise NotObservedError(f"not asked: {MOST_HANDSHAKES} handshakes were made before")
        seen = await tls_old(
            address, PORT, offered, server_name=name_to_ask(name), timeout_s=HANDSHAKE_S
        )
        is_newest = seen["accepted"] and offered == "TLSv1.1" and "0x0302" in seen["answer"]
        if seen["accepted"]:
            found["TLSv1.1" if is_newest else "TLSv1.0"] = True
        offered = "TLSv1.0" if is_newest else None
    return found


def _joined(found: Mapping[str, dict[str, Any]], version: str) -> dict[str, Any]:
    """Return what holds of a version for all names: taken for any, not known, or refused."""
    taken = [name for name, seen in found.items() if seen.get(version)]
    unseen = [f"{name}: {seen['error']}" for name, seen in found.items() if "error" in seen]
    if taken:
        return {"accepted": True, "names": taken}
    return {"error": unseen[0]} if unseen else {"accepted": False}


TLS_OLD = Probe("tls_old", _ask, sections=(NGINX, APACHE, ADDRESSES))


@fact("a ClientHello for TLS 1.0 and one for TLS 1.1 to ADDRESS:443", probes=(TLS_OLD,))
def droplet_tls_old_versions(observation: Observation) -> OldVersions:
    """Whether port 443 still takes TLS 1.0 and TLS 1.1."""
    return parse_old_versions(observation.probe(TLS_OLD.name))


def parse_old_versions(answer: Any) -> OldVersions:
    """Read the result of the probe ``tls_old``.

    Args:
        answer: By version ``accepted``, with the ``names`` that it is taken for, or ``error``.

    Raises:
        NotObservedError: It is not of this form.
    """
    if not isinstance(answer, dict) or not answer:
        raise NotObservedError("the probe's result is not of its form")
    return OldVersions(
        {one_line(str(v), 20): _accepted(seen) for v, seen in answer.items()},
        {one_line(str(v), 20): _names(seen) for v, seen in answer.items()},
    )


def _accepted(seen: Any) -> bool | str:
    accepted = seen.get("accepted") if isinstance(seen, dict) else None
    if isinstance(accepted, bool):
        return accepted
    said = seen.get("error") if isinstance(seen, dict) else None
    return one_line(str(said or "no answer"), 160)


def _names(seen: Any) -> tuple[str, ...]:
    names = seen.get("names") if isinstance(seen, dict) else None
    return tuple(one_line(str(n), 80) for n in names) if isinstance(names, list) else ()
