"""A fake cloud for tests: an account in memory that answers as the DigitalOcean API does.

``Cloud.client()`` reads it without any network; a test server may serve ``Cloud.answer``. The
bodies have the form of DigitalOcean's OpenAPI description; what a token does not see is left out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

from pytest_droplet.api.answers import Answer, NoAnswerError, decode
from pytest_droplet.api.client import SendingReader
from pytest_droplet.api.endpoint import DEFAULT_ENDPOINT
from pytest_droplet.api.operations import OPERATIONS

SCOPES = frozenset(
    f"{name}:read"
    for name in (
        *("account", "actions", "block_storage", "droplet", "firewall", "image", "kubernetes"),
        *("project", "regions", "reserved_ip", "sizes", "snapshot", "ssh_key", "tag", "vpc"),
    )
)
"""Every scope that the account knows; none of them writes."""

_DROPLET_FIELDS = {
    "tags": "tag:read",
    "vpc_uuid": "vpc:read",
    "image": "image:read",
    "backup_ids": "image:read",
    "snapshot_ids": "image:read",
    "volume_ids": "block_storage:read",
}
_FIREWALL_FIELDS = {"droplet_ids": "droplet:read", "tags": "tag:read"}
_SNAPSHOT_FIELDS = {"tags": "tag:read"}
_RESERVED_FIELDS = {"droplet": "droplet:read", "project_id": "project:read"}
_ACCOUNT_FIELDS = {"droplet_limit": "droplet:read", "floating_ip_limit": "reserved_ip:read"}
_FIELDS = {
    "droplets": _DROPLET_FIELDS,
    "firewalls": _FIREWALL_FIELDS,
    "reserved_ips": _RESERVED_FIELDS,
    "snapshots": _SNAPSHOT_FIELDS,
}
_ANYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with an answer instead of the answer itself.

    ``status`` None sends the true answer, cut or stalled after ``after`` bytes of its body.
    """

    status: int | None = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    after: int | None = None
    stall_s: float = 0.0


class Cloud:
    """An account in memory.

    ``account`` and the lists hold raw API objects and may be changed at any time, also from ``on_request``,
    which is called before each answer with its path and query.

    Args:
        now: The time that generated dates count back from.
        hidden: How a field looks that the token does not see: left out, ``None`` or empty.
    """

    def __init__(
        self,
        *,
        now: datetime | None = None,
        hidden: Literal["absent", "null", "empty"] = "absent",
    ) -> None:
        self.now = now or datetime.now(UTC)
        self.account = _account()
        self.hidden = hidden
        self.droplets: list[dict[str, Any]] = []
        self.firewalls: list[dict[str, Any]] = []
        self.keys: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.snapshots: list[dict[str, Any]] = []
        self.projects: list[dict[str, Any]] = []
        self.reserved_ips: list[dict[str, Any]] = []
        self.pools: list[dict[str, Any]] = []
        self.members: dict[str, list[dict[str, Any]]] = {}
        self.clusters: list[dict[str, Any]] = []
        self.tags: list[str] = []
        self.policies: dict[int, dict[str, Any]] = {}
        self.backups: dict[int, list[dict[str, Any]]] = {}
        self.actions: dict[int, list[dict[str, Any]]] = {}
        self.resources: dict[str, list[str]] = {}
        self.remaining = 5000
        self.on_request: Callable[[str, Mapping[str, str]], None] | None = None
        self._faults: dict[str, list[Fault]] = {}
        self._lock = threading.RLock()
        self._last_id = 1000
        self._last_serial = 500_000

    def add(
        self,
        name: str,
        *,
        id: int | None = None,  # noqa: A002 the field's name
        tags: Iterable[str] = (),
        region: str = "fra1",
        size: str = "s-1vcpu-1gb",
        image: str = "debian-13-x64",
        distribution: str | None = None,
        public: str | None = "127.0.0.1",
        private: str | None = None,
        ipv6: str | None = None,
        backups: bool | int = False,
        status: str = "active",
        gpu: bool = False,
        **raw: Any,
    ) -> dict[str, Any]:
        """Add a Droplet and return its API object.

        Args:
            name: Its name.
            id: Its id; the next free one where left out.
            tags: Its tags.
            region: Slug of the region.
            size: Slug of the size.
            image: Slug of the image.
            distribution: Of the image; from the slug where left out.
            public: Public IPv4 address, None for none.
            private: Address in the VPC, None for none.
            ipv6: Public IPv6 address, None for none.
            backups: False: off; else on with so many, a day apart (0: none yet, True: 3).
            status: ``new``, ``active``, ``off`` or ``archive``.
            gpu: A GPU Droplet: only the second listing has it.
            raw: Fields of the API object, as they are.
        """
        droplet_id = self._next_id() if id is None else id
        kept = self._backups(name, droplet_id, 3 if backups is True else int(backups), region)
        enabled = backups is not False
        networks = [
            {"ip_address": ip, "netmask": "255.255.255.0", "gateway": "203.0.113.1", "type": kind}
            for kind, ip in (("private", private), ("public", public))
            if ip is not None
        ]
        v6 = {"ip_address": ipv6, "netmask": 64, "gateway": "2001:db8::1", "type": "public"}
        droplet: dict[str, Any] = {
            "id": droplet_id,
            "name": name,
            "memory": 1024,
            "vcpus": 1,
            "disk": 25,
            "locked": False,
            "status": status,
            "kernel": None,
            "created_at": _text(self.now - timedelta(days=100)),
            "features": ["backups"] * enabled + ["droplet_agent"],
            "backup_ids": [backup["id"] for backup in kept],
            "next_backup_window": None,
            "snapshot_ids": [],
            "image": _image(image, distribution),
            "volume_ids": [],
            "size": _size(size),
            "size_slug": size,
            "networks": {"v4": networks, "v6": [v6] if ipv6 else []},
            "region": {
                "name": region.upper(),
                "slug": region,
                "features": ["backups", "ipv6"],
                "available": True,
                "sizes": [size],
            },
            "tags": list(tags),
            "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
        }
        if gpu:
            droplet["gpu_info"] = {"count": 1, "model": "nvidia_h100"}
        droplet.update(raw)
        self.droplets.append(droplet)
        self.policies[droplet_id] = self._policy(droplet_id, enabled=enabled)
        self.backups[droplet_id] = kept
        self.actions[droplet_id] = [self._action("create", droplet_id, days=100)]
        if enabled:
            self.actions[droplet_id].insert(
                0, self._action("enable_backups", droplet_id, days=len(kept))
            )
        return droplet

    def remove(self, droplet_id: int) -> None:
        """Destroy a Droplet."""
        self.droplets[:] = [d for d in self.droplets if d["id"] != droplet_id]
        for kept in (self.policies, self.backups, self.actions):
            kept.pop(droplet_id, None)

    def add_firewall(
        self,
        name: str,
        *,
        droplets: Iterable[int] = (),
        tags: Iterable[str] = (),
        inbound: Sequence[tuple[str, str]] = (("tcp", "22"),),
        sources: Sequence[str] = _ANYWHERE,
        deny: Sequence[tuple[str, str]] = (),
        deny_sources: Sequence[str] = _ANYWHERE,
        **raw: Any,
    ) -> dict[str, Any]:
        """Add a Cloud Firewall and return its API object.

        Args:
            name: Its name.
            droplets: Ids that it is attached to.
            tags: Tags that it is attached to.
            inbound: Protocol and ports of each inbound rule that allows.
            sources: Addresses that they let in.
            deny: Protocol and ports of each inbound rule that denies: it wins over all that allow.
            deny_sources: Addresses that they keep out.
            raw: Fields of the API object, as they are.
        """
        everywhere = {"destinations": {"addresses": list(_ANYWHERE)}}
        firewall: dict[str, Any] = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}-{self._serial()}")),
            "name": name,
            "status": "succeeded",
            "created_at": _text(self.now - timedelta(days=50)),
            "pending_changes": [],
            "droplet_ids": list(droplets),
            "tags": list(tags),
            "inbound_rules": [
                *(_inbound_rule(*rule, sources) for rule in inbound),
                *({**_inbound_rule(*rule, deny_sources), "action": "deny"} for rule in deny),
            ],
            "outbound_rules": [
                {"protocol": protocol, "ports": "0", **everywhere}
                for protocol in ("tcp", "udp", "icmp")
            ],
        }
        firewall.update(raw)
        self.firewalls.append(firewall)
        return firewall

    def add_volume_snapshot(
        self, volume_id: str, *, days: float = 1, region: str = "fra1", **raw: Any
    ) -> dict[str, Any]:
        """Add a snapshot of a volume, made so many days ago, and return its API object.

        Args:
            volume_id: A Droplet has the volume where its ``volume_ids`` hold this.
            days: Its age.
            region: Slug of the region.
            raw: Fields of the API object, as they are.
        """
        when = self.now - timedelta(days=days)
        snapshot: dict[str, Any] = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"snapshot-{self._serial()}")),
            "name": f"volume {when:%Y-%m-%d}",
            "created_at": _text(when),
            "regions": [region],
            "min_disk_size": 10,
            "size_gigabytes": 1.5,
            "resource_id": volume_id,
            "resource_type": "volume",
            "tags": [],
        }
        snapshot.update(raw)
        self.snapshots.append(snapshot)
        return snapshot

    def add_pool(self, name: str, droplets: Iterable[int] = ()) -> dict[str, Any]:
        """Add an autoscale pool that has made these Droplets, by id, and return its API object."""
        ids = tuple(droplets)
        when = _text(self.now - timedelta(days=20))
        made = {"created_at": when, "updated_at": when}
        load = {"current_utilization": {"memory": 0.3, "cpu": 0.2}}
        self.pools.append(
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"pool-{name}-{self._serial()}")),
                "name": name,
                "config": {"target_number_instances": 2},
                "droplet_template": {
                    "name": name,
                    "region": "fra1",
                    "size": "s-1vcpu-1gb",
                    "image": "debian-13-x64",
                    "ssh_keys": [],
                    "user_data": "#cloud-config\npassword: not-to-be-kept\n",
                },
                "status": "active",
                "active_resources_count": len(ids),
                **made,
                **load,
            }
        )
        self.members[self.pools[-1]["id"]] = [
            {"droplet_id": i, "health_status": "healthy", "status": "active", **made, **load}
            for i in ids
        ]
        return self.pools[-1]

    def add_cluster(self, name: str, nodes: Iterable[int | str] = ()) -> dict[str, Any]:
        """Add a DOKS cluster with nodes on these Droplets, by id, and return its API object."""
        number, ids = self._serial(), tuple(nodes)
        cluster: dict[str, Any] = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"cluster-{name}-{number}")),
            "name": name,
            "region": "fra1",
            "version": "1.34.1-do.0",
            "node_pools": [
                {
                    "name": f"{name}-pool",
                    "size": "s-2vcpu-4gb",
                    "count": len(ids),
                    "nodes": [{"name": f"{name}-{i}", "droplet_id": str(i)} for i in ids],
                }
            ],
        }
        self.clusters.append(cluster)
        return cluster

    def add_key(self, name: str, public_key: str | None = None) -> dict[str, Any]:
        """Add an SSH key to the account (an Ed25519 key made of its name) and return it."""
        if public_key is None:
            point = hashlib.sha256(name.encode()).digest()
            blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + point
            public_key = f"ssh-ed25519 {base64.b64encode(blob).decode()} {name}"
        digest = hashlib.md5(  # the form in which DigitalOcean shows it
            base64.b64decode(public_key.split()[1]), usedforsecurity=False
        ).hexdigest()
        key = {
            "id": self._serial(),
            "name": name,
            "public_key": public_key,
            "fingerprint": ":".join(digest[i : i + 2] for i in range(0, 32, 2)),
        }
        self.keys.append(key)
        return key

    def add_project(self, name: str, droplets: Iterable[int] = ()) -> dict[str, Any]:
        """Add a project that has these Droplets, by id, and return it."""
        project = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"project-{name}-{self._serial()}")),
            "name": name,
            "is_default": not self.projects,
            "created_at": _text(self.now - timedelta(days=200)),
            "updated_at": _text(self.now - timedelta(days=200)),
        }
        self.projects.append(project)
        self.resources[str(project["id"])] = [f"do:droplet:{i}" for i in droplets]
        return project

    def add_reserved_ip(self, ip: str, droplet_id: int | None = None) -> dict[str, Any]:
        """Add a reserved IP; its Droplet then shows it as another public address."""
        owner = next((d for d in self.droplets if d["id"] == droplet_id), None)
        reserved = {"ip": ip, "droplet": owner, "locked": False}
        if owner is not None:
            shown = {"netmask": "255.255.255.0", "gateway": "203.0.113.1", "type": "public"}
            owner["networks"]["v4"].insert(0, {"ip_address": ip, **shown})
        self.reserved_ips.append(reserved)
        return reserved

    def fail(
        self,
        path: str,
        status: int = 500,
        *,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> None:
        """Answer the next requests for a path with an error.

        Args:
            path: ``/v2/droplets``, ``/v2/droplets?page=2``; ``*`` for any.
            status: HTTP status; 200 with a body of one's own is a fault, too.
            times: How often.
            headers: Beside the usual ones; ``retry-after`` stands here.
            body: A text as it is, other data as JSON; the usual body where left out.
        """
        self._add_faults(path, times, Fault(status, headers or {}, body))

    def cut(self, path: str, *, after: int = 20, times: int = 1) -> None:
        """Break the connection after some bytes of the next answers' bodies."""
        self._add_faults(path, times, Fault(None, after=after))

    def stall(self, path: str, *, seconds: float, after: int = 20, times: int = 1) -> None:
        """Stall after some bytes of the next answers' bodies."""
        self._add_faults(path, times, Fault(None, after=after, stall_s=seconds))

    def heal(self) -> None:
        """Forget the faults that were planned and did not happen."""
        self._faults.clear()

    def fault(self, path: str, query: Mapping[str, str]) -> Fault | None:
        """Take the next fault that was planned for a request."""
        with self._lock:
            for place, planned in self._faults.items():
                where, _, wanted = place.partition("?")
                if planned and where in {path, "*"} and set(parse_qsl(wanted)) <= query.items():
                    return planned.pop(0)
        return None

    def answer(
        self, path: str, query: Mapping[str, str], token_scopes: Iterable[str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer ``GET path?query`` for a token with these scopes (None: all that only read).

        Returns:
            Status, headers and body.
        """
        if self.on_request is not None:
            self.on_request(path, query)
        with self._lock:
            self.remaining -= 1
            headers = {
                "content-type": "application/json; charset=utf-8",
                "ratelimit-limit": "5000",
                "ratelimit-remaining": str(max(0, self.remaining)),
                "ratelimit-reset": str(int(time.time()) + 3600),
                "x-request-id": str(uuid.uuid4()),
            }
            status, body = self._body(
                path, query, SCOPES if token_scopes is None else frozenset(token_scopes)
            )
        return status, headers, json.dumps(body).encode()

    def error(self, fault: Fault) -> tuple[int, dict[str, str], bytes]:
        """Return the answer of a fault that has a status."""
        status = fault.status or 500
        body = error_body(status) if fault.body is None else fault.body
        headers = {"content-type": "application/json", **fault.headers}
        if isinstance(body, str):
            headers = {"content-type": "text/html", **fault.headers}
            return status, headers, body.encode()
        return status, headers, json.dumps(body).encode()

    def client(self, scopes: Iterable[str] | None = None, **options: Any) -> CloudClient:
        """Return a reader of this account for a token with these scopes; nothing is sent.

        Args:
            scopes: None for all that only read.
            options: As of :class:`~pytest_droplet.api.client.SendingReader`.
        """
        return CloudClient(self, scopes, **options)

    def _add_faults(self, path: str, times: int, fault: Fault) -> None:
        self._faults.setdefault(path, []).extend([fault] * times)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _serial(self) -> int:
        self._last_serial += 1
        return self._last_serial

    def _backups(
        self, name: str, droplet_id: int, count: int, region: str
    ) -> list[dict[str, Any]]:
        kept = []
        for age in range(count):
            when = self.now - timedelta(days=age, hours=6)
            backup = {
                "id": droplet_id * 1000 + age,
                "name": f"{name} {when:%Y-%m-%d}",
                "distribution": "Debian",
                "slug": None,
                "public": False,
                "regions": [region],
                "created_at": _text(when),
                "min_disk_size": 25,
                "size_gigabytes": 2.5,
                "type": "backup",
            }
            kept.append(backup)
            self.images.append({**backup, "status": "available", "tags": []})
        return kept

    def _policy(self, droplet_id: int, *, enabled: bool) -> dict[str, Any]:
        policy: dict[str, Any] = {"droplet_id": droplet_id, "backup_enabled": enabled}
        if enabled:
            policy["backup_policy"] = {
                "plan": "daily",
                "weekday": "SUN",
                "hour": 20,
                "window_length_hours": 4,
                "retention_period_days": 7,
            }
            policy["next_backup_window"] = {
                "start": _text(self.now + timedelta(hours=18)),
                "end": _text(self.now + timedelta(hours=22)),
            }
        return policy

    def _action(self, kind: str, droplet_id: int, *, days: int) -> dict[str, Any]:
        when = _text(self.now - timedelta(days=days))
        return {
            "id": self._serial(),
            "status": "completed",
            "type": kind,
            "started_at": when,
            "completed_at": when,
            "resource_id": droplet_id,
            "resource_type": "droplet",
            "region_slug": "fra1",
        }

    def _body(
        self, path: str, query: Mapping[str, str], scopes: frozenset[str]
    ) -> tuple[int, dict[str, Any]]:
        parts = path.strip("/").split("/")
        known = _route(parts)
        if known is None:
            return 404, error_body(404)
        key, scope = known
        if scope not in scopes:
            return 403, error_body(403)
        if key == "account":
            return 200, {key: self._strip(self.account, _ACCOUNT_FIELDS, scopes)}
        if len(parts) == 4 and parts[1:3] != ["droplets", "backups"]:
            exists = parts[2] in self.resources or any(
                str(d["id"]) == parts[2] for d in self.droplets
            )
            if not exists:
                return 404, error_body(404)
        page = _page(path, query, key, self._rows(parts, query, scopes))
        if (fields := _FIELDS.get(key)) is not None:
            page[key] = [self._strip(row, fields, scopes) for row in page[key]]
        return 200, page

    def _rows(
        self, parts: list[str], query: Mapping[str, str], scopes: frozenset[str]
    ) -> list[Any] | dict[str, Any]:
        match parts[1:]:
            case ["droplets"]:
                return [d for d in self.droplets if _wanted(d, query)]
            case ["droplets", "backups", "policies"]:
                return {str(i): policy for i, policy in self.policies.items()}
            case ["droplets", "autoscale"]:
                return self.pools
            case ["droplets", "autoscale", pool_id, "members"]:
                return self.members[pool_id]
            case ["droplets", droplet_id, "firewalls"]:
                return self._attached(int(droplet_id))
            case ["droplets", droplet_id, "backups" | "actions" as name]:
                kept = {"backups": self.backups, "actions": self.actions}[name]
                return kept.get(int(droplet_id), [])
            case ["snapshots"]:
                kind = query.get("resource_type")
                return [r for r in self.snapshots if kind in {None, r["resource_type"]}]
            case ["images"]:
                private = query.get("private") == "true"
                return [i for i in self.images if not (private and i.get("public"))]
            case ["projects", project_id, "resources"]:
                return [
                    {"urn": urn, "assigned_at": _text(self.now), "links": {}, "status": "ok"}
                    for urn in self.resources[project_id]
                    if "droplet:read" in scopes
                ]
            case ["tags"]:
                names = dict.fromkeys([*self.tags, *(t for d in self.droplets for t in d["tags"])])
                return [{"name": name, "resources": {"count": 0}} for name in names]
            case _:
                return {
                    "firewalls": self.firewalls,
                    "reserved_ips": self.reserved_ips,
                    "keys": self.keys,
                    "projects": self.projects,
                    "clusters": self.clusters,
                }[parts[-1]]

    def _attached(self, droplet_id: int) -> list[dict[str, Any]]:
        droplet = next(d for d in self.droplets if d["id"] == droplet_id)
        return [
            f
            for f in self.firewalls
            if droplet_id in (f["droplet_ids"] or ())
            or set(f["tags"] or ()).intersection(droplet["tags"])
        ]

    def _strip(
        self, row: dict[str, Any], fields: Mapping[str, str], scopes: frozenset[str]
    ) -> dict[str, Any]:
        unseen = {name for name, scope in fields.items() if scope not in scopes}
        if self.hidden == "absent":
            return {name: value for name, value in row.items() if name not in unseen}
        return {
            name: value if name not in unseen else None if self.hidden == "null" else type(value)()
            for name, value in row.items()
        }


class CloudClient(SendingReader):
    """Reads a :class:`Cloud` in memory, through the same paging, pacing and errors as the API."""

    def __init__(self, cloud: Cloud, scopes: Iterable[str] | None = None, **options: Any) -> None:
        super().__init__(DEFAULT_ENDPOINT, **options)
        self._cloud = cloud
        self._scopes = None if scopes is None else frozenset(scopes)

    def _send(self, operation: str, params: dict[str, Any]) -> Answer:
        path, rest = OPERATIONS[operation].split(params)
        query = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in rest.items()}
        fault = self._cloud.fault(path, query)
        if fault is not None and fault.status is None:
            raise NoAnswerError("the answer broke off before its end")
        if fault is not None:
            return decode(*self._cloud.error(fault))
        return decode(*self._cloud.answer(path, query, self._scopes))


def error_body(status: int) -> dict[str, str]:
    """Return the body that DigitalOcean sends with an error."""
    words = {
        401: ("Unauthorized", "Unable to authenticate you"),
        403: ("Forbidden", "You are not authorized to perform this operation"),
        404: ("not_found", "The resource you were accessing could not be found."),
        405: ("method_not_allowed", "The method is not allowed."),
        429: ("too_many_requests", "API rate limit exceeded."),
    }
    name, message = words.get(status, ("server_error", "Unexpected server-side error"))
    return {"id": name, "message": message}


def _route(parts: list[str]) -> tuple[str, str] | None:
    """Return the key of a path's answer and the scope that it asks for."""
    for operation in OPERATIONS.values():
        pattern = operation.path.strip("/").split("/")
        if len(pattern) == len(parts) and all(
            want == have or want.startswith("{") for want, have in zip(pattern, parts, strict=True)
        ):
            return operation.key, operation.scope
    return None


def _wanted(droplet: dict[str, Any], query: Mapping[str, str]) -> bool:
    if "tag_name" in query:
        return query["tag_name"] in droplet["tags"]
    if ("gpu_info" in droplet) != (query.get("type") == "gpus"):
        return False
    return "name" not in query or droplet["name"].lower() == query["name"].lower()


def _page(
    path: str, query: Mapping[str, str], key: str, rows: list[Any] | dict[str, Any]
) -> dict[str, Any]:
    size = min(200, max(1, int(query.get("per_page", "20"))))
    number = max(1, int(query.get("page", "1")))
    last = max(1, math.ceil(len(rows) / size))
    cut = slice((number - 1) * size, number * size)
    shown = rows[cut] if isinstance(rows, list) else dict(list(rows.items())[cut])

    def url(page: int) -> str:
        return f"{DEFAULT_ENDPOINT}{path}?{urlencode({**query, 'page': page})}"

    links: dict[str, Any] = {}
    if number > 1:
        links |= {"first": url(1), "prev": url(number - 1)}
    if number < last:
        links |= {"last": url(last), "next": url(number + 1)}
    return {key: shown, "links": {"pages": links} if links else {}, "meta": {"total": len(rows)}}


def _inbound_rule(protocol: str, ports: str, sources: Sequence[str]) -> dict[str, Any]:
    return {"protocol": protocol, "ports": ports, "sources": {"addresses": list(sources)}}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _account() -> dict[str, Any]:
    return {
        "droplet_limit": 25,
        "floating_ip_limit": 5,
        "email": "audit@example.com",
        "name": "Audit",
        "uuid": "b6fc48dbf6d9906cace5f3c78dc9851d957381ef",
        "email_verified": True,
        "status": "active",
        "status_message": "",
        "team": {"uuid": "5df3e3004a17e242b7c20ca6c9fc25b701a47ece", "name": "Shop"},
    }


def _image(slug: str, distribution: str | None) -> dict[str, Any]:
    return {
        "id": int(hashlib.sha256(slug.encode()).hexdigest()[:6], 16),
        "name": slug,
        "type": "base",
        "distribution": distribution or slug.split("-", 1)[0].capitalize(),
        "slug": slug,
        "public": True,
        "regions": ["fra1"],
        "created_at": "2026-01-01T00:00:00Z",
        "min_disk_size": 10,
        "size_gigabytes": 2.0,
        "tags": [],
        "status": "available",
    }


def _size(slug: str) -> dict[str, Any]:
    return {
        "slug": slug,
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "transfer": 1.0,
        "price_monthly": 6.0,
        "price_hourly": 0.009,
        "regions": ["fra1"],
        "available": True,
        "description": "Basic",
    }
