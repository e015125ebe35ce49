"""Where the API is asked: to which places the token may go."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from pytest_droplet.api.answers import ApiError
from pytest_droplet.redact import redact
from pytest_droplet.text import one_line

DEFAULT_ENDPOINT = "https://api.digitalocean.com"


def check_endpoint(url: str) -> str:
    """Return an endpoint in the form that pydo wants: without ``/v2``, without a last slash.

    Raises:
        ApiError: The token must not go there: neither https nor http to this machine.
    """
    shown = f"DIGITALOCEAN_API_URL={one_line(redact(url), 100)}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ApiError(f"{shown}: this is no URL; try {DEFAULT_ENDPOINT}") from None
    if not host or parts.username or parts.password or parts.query or parts.fragment:
        raise ApiError(f"{shown}: expected scheme, host and path alone, like {DEFAULT_ENDPOINT}")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ApiError(f"{shown}: the token goes only over https, or over http to this machine")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v2')}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
