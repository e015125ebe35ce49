"""Settings of the checks: ``[tool.droplet]`` of pyproject.toml, or ``droplet.toml``."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints


class SettingsError(ValueError):
    """A settings file cannot be read or has an unknown key or a wrong value: one line."""


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
        SettingsError: The text names the file, the key and what is wrong with it.
    """
    own, shared = folder / "droplet.toml", folder / "pyproject.toml"
    if own.is_file():
        return parse_settings(_load(own), own.name)
    if shared.is_file():
        table = _load(shared).get("tool", {}).get("droplet", {})
        return parse_settings(table, f"{shared.name} [tool.droplet]")
    return Settings()


def parse_settings(table: dict[str, Any], where: str) -> Settings:
    """Check a table of settings against :class:`Settings`; ``where`` names it in errors."""
    kinds = get_type_hints(Settings)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in kinds:
            near = difflib.get_close_matches(key, kinds, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(kinds))}"
            msg = f"{where}: unknown key {key!r}; {hint}"
            raise SettingsError(msg)
        values[key] = _convert(value, kinds[key], f"{where}: {key}")
    return Settings(**values)


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        msg = f"{path.name}: cannot be read: {exc}"
        raise SettingsError(msg) from None


def _convert(value: Any, kind: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        if isinstance(value, list):
            return tuple(_convert(v, item, where) for v in value)
        msg = f"{where} = {value!r}: expected a list of {item.__name__}"
        raise SettingsError(msg)
    if type(value) is not kind:
        msg = f"{where} = {value!r}: expected {kind.__name__}"
        raise SettingsError(msg)
    if kind is int and value < 0:
        msg = f"{where} = {value}: expected 0 or more"
        raise SettingsError(msg)
    return value


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, sorted."""
    return tuple(sorted(f.name for f in fields(Settings)))
