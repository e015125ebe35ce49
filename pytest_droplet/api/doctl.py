"""The API token of one of doctl's authentication contexts, read from doctl's own file.

Source: doctl 1.x: ``config.yaml`` in the user's folder for configuration; ``access-token`` is the
token of the context ``default``, ``auth-contexts`` maps the names of the others to theirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_droplet.redact import Secret
from pytest_droplet.text import one_line

DEFAULT_CONTEXT = "default"
_LARGEST_BYTES = 2**20


class DoctlError(ValueError):
    """doctl's file has no such token: one line, without anything of its contents but names."""


def config_path() -> Path:
    """Return where doctl keeps its file: ``$DIGITALOCEAN_CONFIG``, else the user's own folder."""
    if given := os.environ.get("DIGITALOCEAN_CONFIG"):
        return Path(given)
    if sys.platform == "darwin":
        folder = Path.home() / "Library/Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "doctl/config.yaml"


def context_token(context: str) -> Secret:
    """Return the token of a context; upper and lower case are the same, as they are to doctl.

    Raises:
        DoctlError: There is no such file or no such context; names those that exist.
    """
    path = config_path()
    tokens = _tokens(_load(path), path)
    if context.lower() not in tokens:
        names = ", ".join(one_line(name, 60) for name in sorted(tokens)) or "none"
        raise DoctlError(f"{path} has no such context; contexts there: {names}")
    return Secret(tokens[context.lower()])


def _load(path: Path) -> Any:
    import yaml  # noqa: PLC0415 few runs need it

    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_BYTES + 1)
    except OSError as exc:
        raise DoctlError(
            f"{path} cannot be read: {exc.strerror}; `doctl auth init` makes it, and"
            " DIGITALOCEAN_CONFIG names another"
        ) from None
    if len(text) > _LARGEST_BYTES:
        raise DoctlError(f"{path} is longer than 1 MiB: it is not doctl's file")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as exc:  # its text may quote a token
        line = getattr(getattr(exc, "problem_mark", None), "line", None)
        where = "" if line is None else f", line {line + 1}"
        raise DoctlError(f"{path}{where}: not YAML as doctl writes it") from None


def _tokens(config: Any, path: Path) -> dict[str, str]:
    """Return the tokens by context, those without one left out."""
    if not isinstance(config, Mapping):
        raise DoctlError(f"{path}: not YAML as doctl writes it")
    others = config.get("auth-contexts")
    found = {DEFAULT_CONTEXT: config.get("access-token")}
    found |= others if isinstance(others, Mapping) else {}
    return {
        str(name).lower(): token.strip()
        for name, token in found.items()
        if isinstance(token, str) and token.strip()
    }
