"""Settings of the checks: ``[tool.droplet]`` of pyproject.toml, or ``droplet.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_droplet.tables import build, load


@dataclass(frozen=True)
class Settings:
    """What a site may set for the checks; each default is what DigitalOcean's guide asks for.

    Attributes:
        accept_host_firewall: A host firewall that denies by default stands in for a Cloud
            Firewall.
        ca_bundle: PEM file of further certificate authorities that served chains may end at.
        denied_keys: SHA256 or MD5 fingerprints of keys that nobody may log in with any more.
        known_keys: SHA256 or MD5 fingerprints of keys that may be on hosts though the account
            does not list them.
        index_max_age_days: Days after which a package index is stale.
        tls_names: Names, beside those that the servers' configuration has, to ask for by SNI.
    """

    accept_host_firewall: bool = False
    ca_bundle: str = ""
    denied_keys: tuple[str, ...] = ()
    known_keys: tuple[str, ...] = ()
    index_max_age_days: int = 7
    tls_names: tuple[str, ...] = ()


def load_settings(folder: Path) -> Settings:
    """Read the settings of a project.

    Args:
        folder: The folder of ``droplet.toml``, or else of ``pyproject.toml``.

    Raises:
        TableError: The text names the file, the key and what is wrong with it.
    """
    own, shared = folder / "droplet.toml", folder / "pyproject.toml"
    if own.is_file():
        return parse_settings(load(own), own.name)
    if shared.is_file():
        table = load(shared).get("tool", {}).get("droplet", {})
        return parse_settings(table, f"{shared.name} [tool.droplet]")
    return Settings()


def parse_settings(table: dict[str, Any], where: str) -> Settings:
    """Check a table of settings; ``where`` names it in errors (:class:`TableError`)."""
    return build(Settings, table, where)
