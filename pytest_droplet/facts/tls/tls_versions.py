"""Old versions of TLS as seen from outside: whether the host still takes TLS 1.0 and 1.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.tls.apache import APACHE
from pytest_droplet.facts.tls.nginx import NGINX
from pytest_droplet.facts.tls.tls import PORT, for_each, names_of
from pytest_droplet.facts.tls.virtual_hosts import name_to_ask
from pytest_droplet.model import HostReading, NotObservedError, Probe
from pytest_droplet.text import one_line


@dataclass(frozen=True, slots=True)
class OldVersions:
    """Whether each old version is taken; a text in place of that is why it is not known."""

    versions: Mapping[str, bool | str]

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
    from pytest_droplet.connection.tls import OldVersion, tls_old  # noqa: PLC0415 as in tls.py

    name = name_to_ask(next(iter(names_of(reading)), ""))
    versions: tuple[OldVersion, ...] = get_args(OldVersion)

    async def ask(version: str) -> dict[str, Any]:
        wanted = next(v for v in versions if v == version)
        return await tls_old(address, PORT, wanted, server_name=name)

    return await for_each(versions, ask)


TLS_OLD = Probe("tls_old", _ask, sections=(NGINX, APACHE))


@fact("a ClientHello for TLS 1.0 and one for TLS 1.1 to ADDRESS:443", probes=(TLS_OLD,))
def droplet_tls_old_versions(observation: Observation) -> OldVersions:
    """Whether port 443 still takes TLS 1.0 and TLS 1.1."""
    return parse_old_versions(observation.probe(TLS_OLD.name))


def parse_old_versions(answer: Any) -> OldVersions:
    """Read the result of the probe ``tls_old``: by version ``accepted``, or ``error``.

    Raises:
        NotObservedError: It is not of this form.
    """
    if not isinstance(answer, dict) or not answer:
        raise NotObservedError("the probe's result is not of its form")
    return OldVersions({one_line(str(v), 20): _accepted(seen) for v, seen in answer.items()})


def _accepted(seen: Any) -> bool | str:
    accepted = seen.get("accepted") if isinstance(seen, dict) else None
    if isinstance(accepted, bool):
        return accepted
    said = seen.get("error") if isinstance(seen, dict) else None
    return one_line(str(said or "no answer"), 160)
