"""Which names are asked for by TLS handshakes, and which others one of them stands for."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_droplet.facts.host.interfaces import ADDRESSES, parse_interfaces
from pytest_droplet.facts.tls.apache import APACHE, parse_apache
from pytest_droplet.facts.tls.nginx import NGINX, parse_nginx
from pytest_droplet.facts.tls.virtual_hosts import Endpoint, NotInstalled, VirtualHost, WebConfig
from pytest_droplet.model import HostReading, NotObservedError, SectionOutput

PORT = 443
_Site: TypeAlias = tuple[str, VirtualHost]
_WILD = frozenset({"*", "0.0.0.0", "::"})  # noqa: S104 read, not bound to


@dataclass(slots=True)
class Handshakes:
    """How many handshakes are left."""

    left: int

    def take(self) -> bool:
        """Take one; False: none is left."""
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class Question:
    """A name that is asked for.

    Attributes:
        name: As the configuration has it.
        alike: Names of hosts that have the same certificates and settings: what is served for
            one is served for all.
        kinds: Whether certificates of several kinds of keys are configured.
        other_version: Whether the hosts answer on the other version of IP, too: ``own`` where
            that may be with another certificate.
    """

    name: str
    alike: tuple[str, ...] = ()
    kinds: bool = False
    other_version: Literal["absent", "same", "own"] = "same"


def configurations_of(reading: HostReading) -> Iterator[WebConfig]:
    """Yield the configurations of nginx and Apache, as far as they were read."""
    for section, parse in ((NGINX, parse_nginx), (APACHE, parse_apache)):
        output: SectionOutput | None = reading.sections.get(section.name)
        try:
            config = parse(output.stdout) if output is not None else None
        except NotObservedError:
            continue
        if config is not None and not isinstance(config, NotInstalled):
            yield config


def is_all_known(reading: HostReading) -> bool:
    """Whether there are no other hosts: all of the configurations was read."""
    return not any(config.unread for config in configurations_of(reading))


def names_of(reading: HostReading) -> tuple[str, ...]:
    """Return every name that the host's web servers have, and those of the settings."""
    configs = configurations_of(reading)
    own = (name for config in configs for host in config.hosts for name in host.names)
    return tuple(dict.fromkeys((*own, *reading.names)))


def questions_of(reading: HostReading) -> list[Question]:
    """Return the names to ask for, those alike as one; ``""`` where no name is known."""
    by_name = _by_name(reading)
    groups: dict[Hashable, list[str]] = {}
    for name in names_of(reading) or ("",):
        groups.setdefault(_certified(by_name.get(name, ())) or name, []).append(name)
    return _questions(groups.values(), by_name)


def _questions(
    groups: Iterable[Sequence[str]], by_name: Mapping[str, Sequence[_Site]]
) -> list[Question]:
    everywhere = all(e.address in _WILD for s in by_name.values() for e in _endpoints(s))
    return [
        Question(
            name=group[0],
            alike=tuple(group[1:]),
            kinds=any(len(h.certificates) > 1 for _, h in by_name.get(group[0], ())),
            other_version=_versions(by_name.get(group[0], ()), everywhere=everywhere),
        )
        for group in groups
    ]


def settings_of(reading: HostReading) -> list[Question]:
    """Return the names to ask for old versions, those whose hosts have the same settings as one.

    Hosts without a name are asked without one.
    """
    by_name = _by_name(reading)
    groups: dict[Hashable, list[str]] = {}
    for name in dict.fromkeys((*by_name, *names_of(reading))) or ("",):
        sites = by_name.get(name, ())
        key = frozenset((s, h.protocols, h.handshake, _https(h)) for s, h in sites)
        groups.setdefault(key or name, []).append(name)
    return _questions(groups.values(), by_name)


def other_address(address: str, reading: HostReading) -> str:
    """Return the host's own address of the other version of IP; empty: none is known."""
    output = reading.sections.get(ADDRESSES.name)
    try:
        asked = ipaddress.ip_address(address)
        known = parse_interfaces(output) if output is not None else None
    except (ValueError, NotObservedError):
        return ""
    if known is None:
        return ""
    found = known.facing(6 if asked.version == 4 else 4, ())[1]
    return next(iter(sorted(found)), "")


def _by_name(reading: HostReading) -> Mapping[str, list[_Site]]:
    """Return the hosts that answer for each name on port 443; ``""`` has those without a name.

    Nothing is known where TLS is handed on. Where not all was read, there may be others.
    """
    configs = list(configurations_of(reading))
    found: dict[str, list[_Site]] = {}
    if any(h.passes_tls_on for c in configs for h in c.hosts):
        return found
    for config in configs:
        for host in config.hosts:
            if _https(host):
                for name in host.names or ("",):
                    found.setdefault(name, []).append((config.server, host))
    return found


def _https(host: VirtualHost) -> frozenset[Endpoint]:
    return frozenset(e for e in host.endpoints if e.port == PORT and e.tls and not e.local)


def _endpoints(sites: Iterable[_Site]) -> Iterator[Endpoint]:
    for _, host in sites:
        yield from _https(host)


def _certified(sites: Sequence[_Site]) -> Hashable:
    """Return what decides on the certificate of hosts; nothing where that is not known."""
    if any(not h.certificates or "$" in "".join(h.certificates) for _, h in sites):
        return None
    return frozenset((s, h.certificates, h.keys, h.rejects, _https(h)) for s, h in sites)


def _versions(sites: Sequence[_Site], *, everywhere: bool) -> Literal["absent", "same", "own"]:
    if not sites:
        return "same"
    four, six = ([h for _, h in sites if any(v in e.versions for e in _https(h))] for v in (4, 6))
    if not four or not six:
        return "absent"
    return "same" if everywhere and four == six else "own"
