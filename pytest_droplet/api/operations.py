"""Every request that the audit can make: a table of the calls, all of them ``GET``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PER_PAGE = 200
"""Rows of a page: the most that the service gives."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What the door knows of a call.

    ``key`` is the member of the answer that must be there; ``identity`` is the member that tells
    one row from another, None where the answer is a map; ``scope`` is what the token needs;
    ``per_minute`` is the endpoint's own limit.
    """

    path: str
    key: str
    scope: str
    identity: str | None = "id"
    per_minute: int | None = None

    def request(self, params: Mapping[str, Any]) -> str:
        """Return what a person would ask to see the same: ``GET /v2/droplets``."""
        return f"GET {self.split(params)[0]}"

    def split(self, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the path of the request and the parameters that are left for its query."""
        names = {name for name in params if f"{{{name}}}" in self.path}
        path = self.path.format_map({name: params[name] for name in names})
        return path, {k: v for k, v in params.items() if k not in names}


OPERATIONS: Mapping[str, Operation] = {
    "account.get": Operation("/v2/account", "account", "account:read", identity=None),
    "droplets.list": Operation("/v2/droplets", "droplets", "droplet:read"),
    "autoscalepools.list": Operation("/v2/droplets/autoscale", "autoscale_pools", "droplet:read"),
    "autoscalepools.list_members": Operation(
        "/v2/droplets/autoscale/{autoscale_pool_id}/members",
        "droplets",
        "droplet:read",
        identity="droplet_id",
    ),
    "kubernetes.list_clusters": Operation(
        "/v2/kubernetes/clusters", "kubernetes_clusters", "kubernetes:read"
    ),
    "droplets.list_backup_policies": Operation(
        "/v2/droplets/backups/policies", "policies", "droplet:read", identity=None
    ),
    "droplets.list_backups": Operation(
        "/v2/droplets/{droplet_id}/backups", "backups", "droplet:read"
    ),
    "droplets.list_firewalls": Operation(
        "/v2/droplets/{droplet_id}/firewalls", "firewalls", "firewall:read"
    ),
    "droplet_actions.list": Operation(
        "/v2/droplets/{droplet_id}/actions", "actions", "droplet:read"
    ),
    "firewalls.list": Operation("/v2/firewalls", "firewalls", "firewall:read"),
    "ssh_keys.list": Operation("/v2/account/keys", "ssh_keys", "ssh_key:read", per_minute=10),
    "images.list": Operation("/v2/images", "images", "image:read"),
    "projects.list": Operation("/v2/projects", "projects", "project:read"),
    "projects.list_resources": Operation(
        "/v2/projects/{project_id}/resources", "resources", "project:read", identity="urn"
    ),
    "reserved_ips.list": Operation(
        "/v2/reserved_ips", "reserved_ips", "reserved_ip:read", identity="ip"
    ),
    "snapshots.list": Operation("/v2/snapshots", "snapshots", "snapshot:read"),
    "tags.list": Operation("/v2/tags", "tags", "tag:read", identity="name"),
}
"""Every call that the audit makes, by pydo's name: ``<group>.<method>``, all of them ``GET``."""
