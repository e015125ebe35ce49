"""Cloud Firewalls of a Droplet, by the API: which are attached, and what they let in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_droplet.api.inventory import WiderInventory, is_settling
from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.packet_filter import Network, is_broad, is_world
from pytest_droplet.model import Firewall, NotObservedError, Reading, Rule
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
    def outbound(self) -> tuple[tuple[Firewall, Rule], ...]:
        """Every outbound rule with its firewall."""
        return tuple((a.firewall, rule) for a in self.attached for rule in a.firewall.outbound)

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
        covering = self._covering(protocol, port)
        if not is_world(n for _, rule in covering for n in networks_of(rule)):
            return []
        return [rule_text(firewall, rule) for firewall, rule in covering if rule.addresses]

    def open_to(self, protocol: str, port: int, networks: tuple[Network, ...]) -> list[str]:
        """Return the rules that let somebody of these private networks in to a port.

        Droplets, load balancers and clusters that a rule names are taken to be there.

        Raises:
            NotObservedError: A rule is not as the API promises.
        """
        return [
            rule_text(firewall, rule)
            for firewall, rule in self._covering(protocol, port)
            if (rule.tags or rule.droplet_ids or rule.load_balancer_uids or rule.kubernetes_ids)
            or any(n.overlaps(own) for n in networks_of(rule) for own in networks)
        ]

    def lets_somebody_in(self, protocol: str, port: int) -> bool:
        """Whether an inbound rule is for the port, whoever it lets in."""
        return bool(self._covering(protocol, port))

    def lets_out(self, protocol: str, port: int, *, public: bool = True) -> bool:
        """Whether an outbound rule lets the Droplet reach the port of some address.

        Args:
            protocol: ``tcp`` or ``udp``.
            port: The port of the other side.
            public: An address of the internet, not of private networks alone.

        Raises:
            NotObservedError: A rule is not as the API promises.
        """
        return any(
            not public or any(_has_public(network) for network in networks_of(rule))
            for _, rule in self.outbound
            if rule.protocol == protocol and _covers(ports_of(rule), port)
        )

    def _covering(self, protocol: str, port: int | None) -> list[tuple[Firewall, Rule]]:
        return [
            (firewall, rule)
            for firewall, rule in self.inbound
            if rule.protocol == protocol and _covers(ports_of(rule), port)
        ]

    def __str__(self) -> str:
        if not self.attached:
            leaving = ", ".join(f.name for f in self.leaving)
            return one_line(f"none{f', {leaving} is being removed' if leaving else ''}")
        names = ", ".join(str(a) for a in self.attached)
        outbound = sum(len(a.firewall.outbound) for a in self.attached)
        return one_line(f"{names}: {len(self.inbound)} inbound, {outbound} outbound rules")


@dataclass(frozen=True, slots=True)
class Settling:
    """How far a Cloud Firewall of the Droplet has applied its changes.

    ``later`` is its state some time after the first reading, asked only where it was still
    applying changes then; its value is None where it is gone.
    """

    droplet_id: int
    firewall: Firewall
    later: Reading[Firewall | None]

    @property
    def trouble(self) -> str:
        """What is not applied; empty: everything is.

        Raises:
            NotObservedError: The status is none that the API promises, or was not read again.
        """
        if not (first := _unapplied(self.firewall, self.droplet_id)):
            return ""
        if self.firewall.status == "failed":
            return first
        later = self.later.get()
        return "" if later is None else _unapplied(later, self.droplet_id)

    def __str__(self) -> str:
        then = self.later.value
        text = f"{self.firewall.name}: {_state(self.firewall, self.droplet_id)}"
        if then is None:
            return one_line(text)
        return one_line(
            f"{text}, {_state(then, self.droplet_id)} at {self.later.observed_at:%H:%M:%S} UTC"
        )


@dataclass(frozen=True, slots=True)
class CloudChanges:
    """The Cloud Firewalls of a Droplet, with what they have not applied."""

    firewalls: tuple[Settling, ...]

    def __str__(self) -> str:
        return one_line("; ".join(map(str, self.firewalls)) or "no Cloud Firewall", 390)


@dataclass(frozen=True, slots=True)
class StandIn:
    """Whether the host's own firewall is taken in place of a Cloud Firewall, and why (not).

    ``accepted`` is None where it cannot be told.
    """

    accepted: bool | None
    reason: str

    def __str__(self) -> str:
        return one_line(self.reason)


@fact(
    "accept_host_firewall of the settings; the host's own firewall",
    may_use=("droplet_host_firewall", "droplet_firewall_manager"),
)
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


@fact("GET /v2/firewalls; GET /v2/droplets/{id}/firewalls", api=("firewalls",))
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


@fact(
    "GET /v2/firewalls: status and pending_changes, twice where changes wait",
    api=("firewalls", "firewalls_again"),
)
def droplet_cloud_changes(observation: Observation) -> CloudChanges:
    """Return whether the Droplet's Cloud Firewalls have applied their changes."""
    inventory = observation.inventory
    firewalls: CloudFirewalls = observation.fact("droplet_cloud_firewalls")
    again = inventory.firewalls_again if isinstance(inventory, WiderInventory) else None
    if again is None:
        again = Reading("GET /v2/firewalls", inventory.read_at, missing="not read again")
    return CloudChanges(
        tuple(
            Settling(observation.droplet.id, firewall, _same(again, firewall.id))
            for firewall in (*(a.firewall for a in firewalls.attached), *firewalls.leaving)
        )
    )


def _same(again: Reading[tuple[Firewall, ...]], firewall_id: str) -> Reading[Firewall | None]:
    found = next((f for f in again.value or () if f.id == firewall_id), None)
    return Reading(again.source, again.observed_at, found, again.missing)


def _unapplied(firewall: Firewall, droplet_id: int) -> str:
    if firewall.status not in {"waiting", "succeeded", "failed"}:
        raise NotObservedError(
            f"{one_line(firewall.name, 60)} has the status {one_line(firewall.status, 40)!r}"
        )
    if firewall.status == "failed" or is_settling(firewall, [droplet_id]):
        return one_line(f"{firewall.name} {_state(firewall, droplet_id)}")
    return ""


def _state(firewall: Firewall, droplet_id: int) -> str:
    pending = [c for c in firewall.pending if c.droplet_id == droplet_id]
    words = ["removing" if change.removing else "adding" for change in pending]
    text = f"has the status {firewall.status or 'absent'}"
    return f"{text}, {' and '.join(words)} pending for the Droplet" if words else text


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


def _has_public(network: Network) -> bool:
    return (
        network.network_address.is_global
        or network.broadcast_address.is_global
        or (network.prefixlen < 8)
    )


def rule_text(firewall: Firewall, rule: Rule) -> str:
    """Return one line that names the rule and its firewall."""
    ports = "all ports" if rule.ports in _ALL_PORTS else rule.ports
    peers = [*rule.addresses, *(f"tag {tag}" for tag in rule.tags)]
    peers += ["Droplets"] if rule.droplet_ids else []
    peers += ["load balancers"] if rule.load_balancer_uids else []
    peers += ["clusters"] if rule.kubernetes_ids else []
    shown = ", ".join(peers[:3]) + (", …" if len(peers) > 3 else "")
    return one_line(f"{rule.protocol} {ports} from {shown} ({firewall.name})")


def _covers(ports: tuple[int, int], port: int | None) -> bool:
    return is_broad(*ports) if port is None else ports[0] <= port <= ports[1]
