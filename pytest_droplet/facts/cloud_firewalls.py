"""Cloud Firewalls of a Droplet, by the API: which are attached, and what they let in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.packet_filter import Network, is_broad, is_world
from pytest_droplet.model import Firewall, NotObservedError, Rule
from pytest_droplet.redact import one_line

_ALL_PORTS = frozenset({"0", "all", ""})


@dataclass(frozen=True, slots=True)
class Attachment:
    """A Cloud Firewall that is attached to the Droplet, and by what."""

    firewall: Firewall
    by: str

    def __str__(self) -> str:
        return f"{self.firewall.name} ({self.firewall.id}, {self.by})"


@dataclass(frozen=True, slots=True)
class CloudFirewalls:
    """The Cloud Firewalls of a Droplet: their rules are added to one another.

    ``leaving`` are those that are being taken off it: they do not count. ``complete`` tells
    whether there can be no others.
    """

    attached: tuple[Attachment, ...]
    leaving: tuple[Firewall, ...] = ()
    complete: bool = True

    @property
    def inbound(self) -> tuple[tuple[Firewall, Rule], ...]:
        """Every inbound rule with its firewall."""
        return tuple((a.firewall, rule) for a in self.attached for rule in a.firewall.inbound)

    def need_all(self) -> None:
        """Raise where there may be others (NotObservedError)."""
        if not self.complete:
            raise NotObservedError(
                "GET /v2/droplets/{id}/firewalls: not answered, and the token does not see tags"
            )

    def open_to_the_world(self, protocol: str, port: int | None = None) -> list[str]:
        """Return the rules that together let the internet in to a port.

        Args:
            protocol: ``tcp`` or ``udp``.
            port: None: to about all ports, by one rule.

        Raises:
            NotObservedError: A rule is not as the API promises.
        """
        covering = [
            (firewall, rule)
            for firewall, rule in self.inbound
            if rule.protocol == protocol and _covers(ports_of(rule), port)
        ]
        if not is_world(n for _, rule in covering for n in networks_of(rule)):
            return []
        return [rule_text(firewall, rule) for firewall, rule in covering if rule.addresses]

    def __str__(self) -> str:
        if not self.attached:
            leaving = ", ".join(f.name for f in self.leaving)
            return one_line(f"none{f', {leaving} is being removed' if leaving else ''}")
        names = ", ".join(str(a) for a in self.attached)
        outbound = sum(len(a.firewall.outbound) for a in self.attached)
        return one_line(f"{names}: {len(self.inbound)} inbound, {outbound} outbound rules")


@dataclass(frozen=True, slots=True)
class StandIn:
    """Whether the host's own firewall is taken in place of a Cloud Firewall, and why (not).

    ``accepted`` is None where it cannot be told.
    """

    accepted: bool | None
    reason: str

    def __str__(self) -> str:
        return one_line(self.reason)


@fact("accept_host_firewall of the settings; the host's own firewall")
def droplet_firewall_stand_in(observation: Observation) -> StandIn:
    """Return whether the host's firewall stands in; the host is asked only where that may be."""
    if not observation.settings.accept_host_firewall:
        return StandIn(accepted=False, reason="a host firewall is not accepted in its place")
    try:
        firewall = observation.fact("droplet_host_firewall")
        manager = observation.fact("droplet_firewall_manager")
        denies = firewall.denies
    except NotObservedError as exc:
        return StandIn(accepted=None, reason=str(exc))
    accepted = bool(denies and manager.active and manager.enabled)
    return StandIn(accepted, f"the host's own firewall: {firewall}; {manager}")


@fact("GET /v2/firewalls; GET /v2/droplets/{id}/firewalls")
def droplet_cloud_firewalls(observation: Observation) -> CloudFirewalls:
    """Return the Cloud Firewalls of the Droplet, attached directly or by a tag.

    Raises:
        NotObservedError: The account's list names none and the Droplet's own was not answered.
    """
    inventory, droplet = observation.inventory, observation.droplet
    found: dict[str, Attachment] = {}
    for firewall in inventory.firewalls.value or ():
        tags = sorted(set(firewall.tags) & set(droplet.tags))
        if droplet.id in firewall.droplet_ids:
            found[firewall.id] = Attachment(firewall, "directly")
        elif tags:
            found[firewall.id] = Attachment(firewall, f"by tag {tags[0]}")
    own = inventory.attached.get(droplet.id)
    for firewall in (own.value if own is not None else None) or ():
        found.setdefault(firewall.id, Attachment(firewall, "by the Droplet's own list"))
    asked = own is not None and own.missing is None
    if not found and not asked:
        inventory.firewalls.get()
        if own is not None:
            own.get()
        raise NotObservedError("GET /v2/droplets/{id}/firewalls: not asked")
    listed = inventory.firewalls.missing is None and "tags" not in droplet.hidden
    leaving = {i for i, a in found.items() if _is_leaving(a.firewall, droplet.id)}
    return CloudFirewalls(
        attached=tuple(a for i, a in found.items() if i not in leaving),
        leaving=tuple(found[i].firewall for i in found if i in leaving),
        complete=asked or listed,
    )


def _is_leaving(firewall: Firewall, droplet_id: int) -> bool:
    return any(p.droplet_id == droplet_id and p.removing for p in firewall.pending)


def ports_of(rule: Rule) -> tuple[int, int]:
    """Return the first and last port of a rule; ``0`` and ``all`` are every port.

    Raises:
        NotObservedError: The text is none that the API promises.
    """
    if rule.ports in _ALL_PORTS:
        return 0, 65535
    first, dash, last = rule.ports.partition("-")
    try:
        return int(first), int(last if dash else first)
    except ValueError:
        raise NotObservedError(f"a rule has the ports {one_line(rule.ports, 40)!r}") from None


def networks_of(rule: Rule) -> Iterator[Network]:
    """Yield the addresses of a rule (NotObservedError: one is no address)."""
    for address in rule.addresses:
        try:
            yield ipaddress.ip_network(address, strict=False)
        except ValueError:
            raise NotObservedError(f"a rule has the address {one_line(address, 40)!r}") from None


def rule_text(firewall: Firewall, rule: Rule) -> str:
    """Return one line that names the rule and its firewall."""
    ports = "all ports" if rule.ports in _ALL_PORTS else rule.ports
    shown = ", ".join(rule.addresses[:3]) + (", …" if len(rule.addresses) > 3 else "")
    return one_line(f"{rule.protocol} {ports} from {shown} ({firewall.name})")


def _covers(ports: tuple[int, int], port: int | None) -> bool:
    return is_broad(*ports) if port is None else ports[0] <= port <= ports[1]
