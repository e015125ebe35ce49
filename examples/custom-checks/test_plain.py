"""Plain testinfra tests: nothing of pytest-droplet is imported."""

import pytest


def test_nginx_is_enabled(host):
    assert host.service("nginx").is_enabled


@pytest.mark.parametrize("path", ["/var/www/html", "/etc/nginx"])
def test_root_owns_the_site(host, path):
    assert host.file(path).user == "root"
