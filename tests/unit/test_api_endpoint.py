"""Where the API may be asked: the token goes to no other place."""

from __future__ import annotations

import pytest

from pytest_droplet.api.answers import ApiError, NotFoundError
from pytest_droplet.api.client import ApiClient
from pytest_droplet.api.endpoint import check_endpoint
from pytest_droplet.redact import Secret
from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi


class TestEndpoint:
    """The token goes over https, or to this machine."""

    @pytest.mark.parametrize(
        ("url", "endpoint"),
        [
            ("https://api.digitalocean.com", "https://api.digitalocean.com"),
            ("https://api.digitalocean.com/", "https://api.digitalocean.com"),
            ("https://api.digitalocean.com/v2", "https://api.digitalocean.com"),
            ("https://api.digitalocean.com/v2/", "https://api.digitalocean.com"),
            ("https://proxy.example:8443/do/v2", "https://proxy.example:8443/do"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost", "http://localhost"),
            ("http://[::1]:99/v2", "http://[::1]:99"),
        ],
    )
    def test_accepted(self, url: str, endpoint: str) -> None:
        """Pydo adds ``/v2`` itself."""
        assert check_endpoint(url) == endpoint

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.digitalocean.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://user:hunter2hunter2@127.0.0.1",
            "https://user@api.digitalocean.com",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "127.0.0.1:80",
            "https://",
            "https://[::1",
            "https://host:port",
            "https://host/?x=1",
            "https://host/#x",
            "",
        ],
    )
    def test_refused(self, url: str) -> None:
        """Everything else, before the token is used."""
        with pytest.raises(ApiError, match=r"^DIGITALOCEAN_API_URL=") as caught:
            ApiClient(Secret(TOKEN), url)
        assert "hunter2" not in str(caught.value)

    def test_a_prefix_is_kept(self, cloud: Cloud, api: FakeApi) -> None:
        """An endpoint behind a path is asked below that path."""
        with ApiClient(Secret(TOKEN), f"{api.url}/do/v2") as reader, pytest.raises(NotFoundError):
            reader.get("droplets.list")
        assert [r.path for r in api.requests] == ["/do/v2/droplets"]
        api.breaches.clear()
