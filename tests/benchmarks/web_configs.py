"""Measure how long the sections of web servers take for large configurations; run as root.

``python -m tests.benchmarks.web_configs`` has namespaces of its own: the configurations of this
machine's nginx and Apache are hidden meanwhile, and neither is started.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pytest_droplet.connection import script
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.facts.tls.apache import APACHE, parse_apache
from pytest_droplet.facts.tls.nginx import NGINX, parse_nginx
from pytest_droplet.facts.tls.virtual_hosts import NotInstalled
from pytest_droplet.model import HostReading, NotObservedError

_NONCE = "benchmark"
_SECTIONS = {"nginx": (NGINX, parse_nginx), "apache": (APACHE, parse_apache)}
_MODULES = "".join(
    f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
    for name in ("mpm_event", "authz_core", "ssl")
)


def nginx_host(number: int) -> str:
    """Return a server as people write them: 9 lines, of which 6 are told."""
    return (
        f"server {{\n listen 443 ssl;\n listen [::]:443 ssl;\n server_name n{number}.example;\n"
        f" ssl_certificate /srv/{number}.pem;\n ssl_certificate_key /srv/{number}.key;\n"
        " location / {\n  proxy_pass http://127.0.0.1:8000;\n }\n}\n"
    )


def apache_host(number: int) -> str:
    """Return a virtual host as people write them."""
    return (
        f"<VirtualHost *:443>\n ServerName n{number}.example\n SSLEngine on\n"
        f" SSLCertificateFile /srv/{number}.pem\n SSLCertificateKeyFile /srv/{number}.key\n"
        " DocumentRoot /srv\n</VirtualHost>\n"
    )


def nginx(hosts: int, files: int, megabytes: int) -> Mapping[str, str]:
    """Return a configuration of so many hosts, files and megabytes."""
    texts = [nginx_host(n) if n < hosts else "server_tokens off;\n" for n in range(files)]
    main = "events {}\nhttp {\n include sites/*;\n}\n"
    return {"/etc/nginx/nginx.conf": main, **_sites("/etc/nginx/sites/{}", texts, megabytes)}


def apache(hosts: int, files: int, megabytes: int) -> Mapping[str, str]:
    """Return the same for Apache."""
    texts = [apache_host(n) if n < hosts else "ServerTokens Prod\n" for n in range(files)]
    main = (
        f"{_MODULES}ServerName x\nListen 443\nDefaultRuntimeDir /run\nErrorLog /dev/null\n"
        "Include sites/*.conf\n"
    )
    sites = _sites("/etc/apache2/sites/{}.conf", texts, megabytes)
    return {"/etc/apache2/apache2.conf": main, **sites}


def _sites(path: str, texts: Sequence[str], megabytes: int) -> Mapping[str, str]:
    """Return a file for each text, filled up with comments to so many megabytes in all."""
    filling = "# comment of a line\n" * (megabytes * 50_000 // max(len(texts), 1))
    return {path.format(n): text + filling for n, text in enumerate(texts)}


_MAKERS: Mapping[str, Callable[[int, int, int], Mapping[str, str]]] = {
    "nginx": nginx,
    "apache": apache,
}
_SIZES = ((1, 1, 0), (100, 100, 0), (700, 700, 0), (2000, 2000, 0), (0, 10_000, 0), (10, 60, 50))


def measure(server: str, hosts: int, files: int, megabytes: int) -> str:
    """Write a configuration, read it, and tell what came of it in a line."""
    folder = {"nginx": "/etc/nginx", "apache": "/etc/apache2"}[server]
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    try:
        for path, text in _MAKERS[server](hosts, files, megabytes).items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text)
        section, parse = _SECTIONS[server]
        text = script.compose([section], _NONCE).encode()
        started = time.monotonic()
        done = subprocess.run(["sh", "-s"], input=text, capture_output=True, check=True)
        ran = time.monotonic()
        output = script.parse(done.stdout, [section], _NONCE).sections[section.name]
        reading = HostReading(1, "reached", datetime.now(UTC), sections={section.name: output})
        try:
            config = parse(whole(reading.section(section.name)).stdout)
            assert not isinstance(config, NotInstalled)
            config.require_all()
            said = f"{len(config.hosts)} hosts"
        except NotObservedError as exc:
            said = f"unknown: {exc}"
        parsed = time.monotonic()
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    size = f"{hosts} hosts, {files} files, {megabytes} MB"
    return (
        f"{server:7} {size:32} script {ran - started:6.2f} s, {len(output.stdout):7} bytes, "
        f"parser {parsed - ran:5.2f} s: {said}"
    )


def main() -> None:
    """Measure each size of each server."""
    if "--inside" not in sys.argv:
        again = [sys.executable, "-m", "tests.benchmarks.web_configs", "--inside"]
        raise SystemExit(
            subprocess.run(["unshare", "--mount", "--net", *again], check=False).returncode
        )
    for server in _MAKERS:
        for size in _SIZES:
            print(measure(server, *size), flush=True)  # noqa: T201 it is what one wants to see


if __name__ == "__main__":
    main()
