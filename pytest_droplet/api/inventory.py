"""The inventory: which Droplets there are, which are meant, and where they are reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.fields import Row, ip_address
from pytest_droplet.api.paging import Reader
from pytest_droplet.api.parsing import VolumeSnapshot, parse_droplet
from pytest_droplet.api.workers import IN_FLIGHT, Workers
from pytest_droplet.model import (
    KUBERNETES,
    Address,
    Droplet,
    Firewall,
    Inventory,
    Reading,
)
from pytest_droplet.selection import Selection

AddressKind = Literal["public", "private", "ipv6", "reserved"]

IMAGES = "GET /v2/images?private=true"
_NOT_ASKED = "not asked: no selected check needs it"


@dataclass(frozen=True, slots=True)
class WiderInventory(Inventory):
    """An inventory with what only some checks ask for; None: it was not asked for.

    ``firewalls_again`` are the firewalls as they were :data:`~pytest_droplet.api.lists.SETTLE_S`
    seconds later, read only where one that is attached to a selected Droplet was still applying changes.
    """

    firewalls_again: Reading[tuple[Firewall, ...]] | None = None
    volume_snapshots: Reading[tuple[VolumeSnapshot, ...]] | None = None


def address_for(droplet: Droplet, kind: AddressKind) -> str | None:
    """Return the address of a Droplet to connect to, None where it has none of that kind.

    Chosen by type, never by place in the list. A reserved IP is told from the Droplet's own
    public address only in an inventory that was read with ``reserved=True``.
    """
    for address in droplet.addresses:
        if kind == "ipv6":
            if address.version == 6 and address.kind == "public":
                return address.ip
        elif address.version == 4 and address.kind == kind:
            return address.ip
    return None


def read_inventory(
    client: Reader,
    selection: Selection,
    *,
    now: datetime,
    reserved: bool = False,
    projects: bool = False,
) -> WiderInventory:
    """Read what is needed to tell which Droplets are meant and where they are reached.

    The lists are read at the same time: Droplets, GPU Droplets, autoscale pools with their
    members; reserved IPs and projects where they are asked for. DOKS clusters follow where a
    Droplet shows no tag: each node has tags that name its cluster.

    Args:
        client: Where the answers come from.
        selection: Which Droplets the run is about.
        now: The time of the readings.
        reserved: Also list the reserved IPs, which makes them ``reserved`` among the addresses.
        projects: Also list the projects; where only this asks for them, none is known where they
            cannot be read.

    Returns:
        The inventory, in which every list of :data:`~pytest_droplet.model.API_LISTS` is missing:
        :func:`~pytest_droplet.api.lists.read_lists` reads them. Where pools or clusters could not be read their Droplets
        look like any other: ``notes`` says so, of clusters only where the token does not see
        tags, which name a node's cluster as well.

    Raises:
        ApiError: The Droplets could not be listed; or the projects, or the reserved IPs, where
            they are needed to tell which Droplets are meant or where they are reached.
        SelectionError: The token does not see what a selector asks for.
    """
    with Workers(2 * IN_FLIGHT) as workers:
        return _Inquiry(client, now, workers).select(
            selection, reserved=reserved, projects=projects
        )


class _Inquiry:
    """One reading of the Droplets of the account."""

    def __init__(self, client: Reader, now: datetime, workers: Workers) -> None:
        self._client = client
        self._now = now
        self._workers = workers

    def select(self, selection: Selection, *, reserved: bool, projects: bool) -> WiderInventory:
        """Read what :func:`read_inventory` reads."""
        start = self._workers.submit
        plain = start(self._client.pages, "droplets.list")
        gpus = start(self._client.pages, "droplets.list", type="gpus")
        listing_pools = start(self._pools)
        ips = start(self._client.pages, "reserved_ips.list") if reserved else None
        needed = selection.needs_projects
        listing_projects = start(self._projects) if needed or projects else None

        droplets = self._visible([*plain.result(), *gpus.result()])
        # DOKS tags all its nodes: where each Droplet shows tags, these tell.
        untold = any(not droplet.tags for droplet in droplets)
        listing_nodes = start(self._nodes) if untold else None
        if ips is not None:
            droplets = _with_reserved(droplets, ips.result())
        if listing_projects is not None:
            names = listing_projects.result() if needed else _if_read(listing_projects)
            droplets = [replace(d, project=names.get(d.urn)) for d in droplets]
        pools, nodes, notes = self._managed(droplets, listing_pools, listing_nodes)
        droplets = [
            replace(
                d,
                pool=pools.get(d.id),
                managed_by=KUBERNETES if d.id in nodes else d.managed_by,
            )
            for d in droplets
        ]

        def unasked(source: str) -> Reading[Any]:
            return Reading(source, self._now, missing=_NOT_ASKED)

        return WiderInventory(
            read_at=self._now,
            endpoint=self._client.endpoint,
            droplets=tuple(droplets),
            selected=tuple(d.id for d in droplets if selection.matches(d)),
            firewalls=unasked("GET /v2/firewalls"),
            keys=unasked("GET /v2/account/keys"),
            backup_policies=unasked("GET /v2/droplets/backups/policies"),
            backups=unasked(IMAGES),
            requests=self._client.requests,
            notes=notes,
        )

    def _managed(
        self,
        droplets: Iterable[Droplet],
        listing_pools: Future[dict[int, str]],
        listing_nodes: Future[frozenset[int]] | None,
    ) -> tuple[Mapping[int, str], AbstractSet[int], tuple[str, ...]]:
        """Return pools by member, the nodes of clusters, and what is not known of either."""
        pools: Mapping[int, str] = {}
        nodes: AbstractSet[int] = frozenset()
        notes = []
        try:
            pools = listing_pools.result()
        except ApiError as exc:
            notes.append(f"members of autoscale pools look like any Droplet: {exc}")
        try:
            nodes = listing_nodes.result() if listing_nodes else frozenset()
        except ApiError as exc:
            if any("tags" in d.hidden for d in droplets):
                notes.append(f"nodes of DOKS may look like any Droplet: {exc}")
        return pools, nodes, tuple(notes)

    def _visible(self, rows: list[Any]) -> list[Droplet]:
        """Parse the Droplets and settle what the token does not see of them, by id."""
        droplets = sorted({d.id: d for d in map(parse_droplet, rows)}.values(), key=lambda d: d.id)
        hidden = frozenset[str]()
        shown = frozenset[str]()
        if any(d.vpc_uuid for d in droplets):
            shown = frozenset({"vpc_uuid"})
        if droplets and not any(d.tags for d in droplets) and not self._tags_are_visible():
            hidden = frozenset({"tags"})
        return [replace(d, hidden=(d.hidden - shown) | hidden) for d in droplets]

    def _tags_are_visible(self) -> bool:
        """Tell an account without tags from a token that does not see them."""
        try:
            self._client.get("tags.list", page=1, per_page=1)
        except ApiError:
            return False
        return True

    def _pools(self) -> dict[int, str]:
        """Return the name of the autoscale pool by the id of the member."""
        listed = []
        for row in self._client.pages("autoscalepools.list"):
            pool = Row(row, "GET /v2/droplets/autoscale: autoscale_pools[]")
            members = self._workers.submit(
                self._client.pages,
                "autoscalepools.list_members",
                autoscale_pool_id=pool.uuid("id"),
            )
            listed.append((pool.text("name"), members))
        where = "GET /v2/droplets/autoscale/{id}/members: droplets[]"
        return {
            Row(row, where).number("droplet_id"): name
            for name, members in listed
            for row in members.result()
        }

    def _nodes(self) -> frozenset[int]:
        """Return the ids of the Droplets that are nodes of DOKS clusters."""
        where = "GET /v2/kubernetes/clusters: kubernetes_clusters[]"
        nodes = (
            node
            for row in self._client.pages("kubernetes.list_clusters")
            for pool in Row(row, where).rows("node_pools")
            for node in pool.rows("nodes")
        )
        return frozenset(n.number("droplet_id") for n in nodes if n.filled("droplet_id"))

    def _projects(self) -> dict[str, str]:
        """Return the name of the project by the URN of the resource."""
        where = "GET /v2/projects: projects[]"
        projects = [Row(row, where) for row in self._client.pages("projects.list")]
        listed = [
            (
                project.text("name"),
                self._workers.submit(
                    self._client.pages, "projects.list_resources", project_id=project.uuid("id")
                ),
            )
            for project in projects
        ]
        return {row["urn"]: name for name, rows in listed for row in rows.result()}


def _if_read(listing: Future[dict[str, str]]) -> dict[str, str]:
    """Return names of projects, none where they could not be read."""
    try:
        return listing.result()
    except ApiError:
        return {}


def _with_reserved(droplets: list[Droplet], rows: list[Any]) -> list[Droplet]:
    owners: dict[str, int | None] = {}
    for row in (Row(data, "GET /v2/reserved_ips: reserved_ips[]") for data in rows):
        ip = ip_address(row.text("ip"), "GET /v2/reserved_ips: reserved_ips[].ip")
        owners[str(ip)] = row.row("droplet").number_or_none("id")
    marked = []
    for droplet in droplets:
        own = [a for a in droplet.addresses if a.ip not in owners]
        theirs = {a.ip for a in droplet.addresses if a.ip in owners}
        theirs |= {ip for ip, owner in owners.items() if owner == droplet.id}
        reserved = (Address(ip, 4, "reserved") for ip in sorted(theirs))
        marked.append(replace(droplet, addresses=(*own, *reserved)))
    return marked
