"""Random configurations are served by the real nginx and Apache, and each name is asked for.

Each host has a certificate of its own, which tells who answers. Must hold: the product knows the
sockets, which of them speak TLS, and for every name that is answered with another certificate than
the default one's the host, the socket and the certificate; or it says that it does not know.

``DROPLET_ORACLE_CONFIGURATIONS=500`` makes so many for each server, ``DROPLET_ORACLE_SEED=2``
others.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import crossplane
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pytest_droplet.facts.tls import nginx
from pytest_droplet.facts.tls.apache import parse_apache
from pytest_droplet.facts.tls.nginx import parse_nginx
from pytest_droplet.facts.tls.tls import parse_tls
from pytest_droplet.facts.tls.tls_versions import parse_old_versions
from pytest_droplet.facts.tls.virtual_hosts import Endpoint, NotInstalled, VirtualHost, WebConfig
from pytest_droplet.model import NotObservedError
from tests.checks.chains import leaf

from .web_configs import ASKED, CERTIFICATES, FOLDER, Apache, Nginx, garbled
from .web_host import NAMESPACES

COUNT = int(os.environ.get("DROPLET_ORACLE_CONFIGURATIONS", "20"))
SEED = int(os.environ.get("DROPLET_ORACLE_SEED", "1"))
MAKERS = {"nginx": Nginx, "apache": Apache}
PARSERS = {"nginx": parse_nginx, "apache": parse_apache}
PROGRAMS = ("nginx", "apache2", "unshare", "ip")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
REASON = ", ".join(program for program in PROGRAMS if shutil.which(program, path=PATH) is None)
REASON = REASON or ("" if os.geteuid() == 0 else "root")
needs_servers = pytest.mark.skipif(
    bool(REASON) and "CI" not in os.environ, reason=f"it needs what is not here: {REASON}"
)
STATEMENTS = Path(nginx.__file__).with_name("nginx_statements.awk")
TOLD = frozenset(
    (
        *("include", "listen", "server_name", "ssl_certificate", "ssl_certificate_key"),
        *("ssl_protocols", "server", "http", "location", "if", "map", "events", "}"),
    )
)


def certificates() -> tuple[dict[str, str], dict[str, str]]:
    """Return files with certificates and keys, and the path of each certificate by its digest."""
    files, paths = {}, {}
    for number in range(CERTIFICATES):
        key = ec.generate_private_key(ec.SECP256R1())
        own = leaf([f"c{number}.example"], datetime(2026, 1, 1, tzinfo=UTC), 3650, key=key)
        path = f"{FOLDER}/{number}.pem"
        files[path] = own.public_bytes(Encoding.PEM).decode()
        files[f"{FOLDER}/{number}.key"] = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()
        paths[sha256(own.public_bytes(Encoding.DER)).hexdigest()] = path
    return files, paths


def served(configurations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what came of each configuration: see web_host."""
    done = subprocess.run(
        [*NAMESPACES, sys.executable, "-m", "tests.oracles.web_host"],
        input=json.dumps({"names": ASKED, "configurations": configurations}),
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": PATH},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def read(server: str, section: str) -> WebConfig | None:
    """Return the configuration as the product reads it; None: it does not know."""
    try:
        config = PARSERS[server](section)
        assert not isinstance(config, NotInstalled)
        config.require_all()
    except NotObservedError:
        return None
    return config


def at_place(config: WebConfig, address: str, port: int) -> dict[VirtualHost, bool]:
    """Return the hosts that answer at an address, and whether they do so with TLS."""
    wild = {"*", "::" if ":" in address else "0.0.0.0"}
    found: list[tuple[VirtualHost, Endpoint]] = [
        (h, e) for h in config.hosts for e in h.endpoints if e.port == port
    ]
    own = {h: e.tls for h, e in found if e.address == address}
    return own or {h: e.tls for h, e in found if e.address in wild}


def contradictions(
    config: WebConfig, answer: dict[str, Any], paths: dict[str, str]
) -> Iterator[str]:
    """Yield what the product holds of a configuration and a client has seen otherwise."""
    known = {e.port for h in config.hosts for e in h.endpoints}
    if known != set(answer["ports"]):
        yield f"ports {sorted(known)} for {answer['ports']}"
    for address, port, answers in answer["served"]:
        hosts = at_place(config, address, port)
        default = answers["other.example"]
        # The first host of an address decides for all.
        if next(iter(hosts.values()), False) != any(answers.values()):
            yield f"{address}:{port} speaks TLS: {any(answers.values())}"
        for name, digest in answers.items():
            own = [h for h, is_tls in hosts.items() if name in h.names and is_tls]
            place = f"{name} at {address}:{port}"
            if digest is None:
                continue
            if not any(paths[digest] in h.certificates for h in hosts):
                yield f"{place}: no host has {paths[digest]}"
            if own and not any(paths[digest] in h.certificates for h in own):
                yield f"{place}: {paths[digest]} for {[h.certificates for h in own]}"
            if digest != default and not own and not any(_by_wildcard(name, h) for h in hosts):
                yield f"{place}: {paths[digest]} of a host that is not known to have the name"


def _by_wildcard(name: str, host: VirtualHost) -> bool:
    return any(n.startswith("*.") and name.endswith(n[1:]) for n in host.names)


@needs_servers
@pytest.mark.parametrize("server", MAKERS)
@pytest.mark.parametrize("slips", [0, 1])
def test_the_product_knows_who_answers(server: str, slips: int, tmp_path: Path) -> None:
    """No host, name, socket or certificate is lost or taken for another.

    Of what somebody has slipped in, the server takes a part, as what it then means.
    """
    chance = random.Random(f"{SEED} {server} {slips}")
    own, paths = certificates()
    made = [MAKERS[server](chance).make() for _ in range(COUNT)]
    made = [garbled(files, chance) if slips else files for files in made]
    seen = served([{"server": server, "files": {**files, **own}} for files in made])
    wrong: list[str] = []
    valid = known = 0
    for number, (files, answer) in enumerate(zip(made, seen, strict=True)):
        if answer["said"]:
            continue
        valid += 1
        config = read(server, answer["section"])
        if config is None:
            continue
        known += 1
        found = list(contradictions(config, answer, paths))
        if found:
            wrong += [f"{number}: {line}" for line in found]
            _keep(tmp_path / str(number), {**files, "/section": answer["section"]})

    assert not wrong, "\n".join([*wrong[:20], f"kept in {tmp_path}"])
    assert valid >= COUNT * (0.1 if slips else 0.8), {a["said"] for a in seen}
    assert known >= valid * (0.5 if slips else 0.9), f"{known} of {valid}"


def _keep(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        kept = folder / path.lstrip("/")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(text.encode())


def by_crossplane(path: Path) -> list[list[str]]:
    """Return the statements of a file that the product wants, and the ends of blocks."""
    found: list[list[str]] = []
    words: list[str] = []
    for word, _, is_quoted in crossplane.lex(str(path)):
        if word.startswith("#") and not is_quoted:
            continue
        if is_quoted or word not in {";", "{", "}"}:
            words.append(word)
            continue
        found += [words] if words else []
        found += [["}"]] if word == "}" else []
        words = []
    return [
        ["}"] if s[0] == "}" else s[:1] if s[0] in {"location", "if", "map"} else s
        for s in found
        if s[0] in TOLD
    ]


@pytest.mark.parametrize("awk", [awk for awk in ("mawk", "gawk") if shutil.which(awk)])
def test_statements_of_nginx_are_those_of_crossplane(awk: str, tmp_path: Path) -> None:
    """Words, quotes, comments and line ends; crossplane knows no Lua."""
    chance = random.Random(f"{SEED} crossplane")
    path = tmp_path / "file.conf"
    for _ in range(COUNT):
        for text in Nginx(chance).make().values():
            if "_lua_" in text:
                continue
            path.write_bytes(text.encode())
            try:
                wanted = by_crossplane(path)
            except crossplane.errors.NgxParserSyntaxError:  # a comment has taken the last brace
                continue
            told = subprocess.run(
                [awk, "-f", STATEMENTS],
                input=f"==> /file <==\n{text}".encode(),
                capture_output=True,
                check=True,
            ).stdout.decode()
            own = [
                words
                for line in told.splitlines()[1:]
                if (words := list(nginx._words(line.split(" ", 1)[1].rstrip("{; "))))
                and words[0] in TOLD
            ]
            assert own == wanted, text


MODULES = "".join(
    f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
    for name in ("mpm_event", "authz_core", "ssl")
)


def _apache_host(name: str, more: str, *certificates: int) -> str:
    files = "".join(
        f"SSLCertificateFile {FOLDER}/{n}.pem\nSSLCertificateKeyFile {FOLDER}/{n}.key\n"
        for n in certificates
    )
    return f"<VirtualHost *:443>\nServerName {name}\nSSLEngine on\n{more}\n{files}</VirtualHost>\n"


def _nginx_host(name: str, listen: str, *certificates: int) -> str:
    files = "".join(
        f"ssl_certificate {FOLDER}/{n}.pem; ssl_certificate_key {FOLDER}/{n}.key;\n"
        for n in certificates
    )
    return f"server {{ {listen} server_name {name};\n{files} }}\n"


RSA = CERTIFICATES
OLD = "SSLProtocol all\nSSLCipherSuite ALL:@SECLEVEL=0"


@needs_servers
def test_every_certificate_and_setting_is_asked_for() -> None:
    """W9: of either kind of key, on either version of IP, and old versions by each setting."""
    own, paths = certificates()
    key = rsa.generate_private_key(65537, 2048)
    other = leaf(["rsa.example"], datetime(2026, 1, 1, tzinfo=UTC), 3650, key=key)
    own[f"{FOLDER}/{RSA}.pem"] = other.public_bytes(Encoding.PEM).decode()
    own[f"{FOLDER}/{RSA}.key"] = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ).decode()
    paths[sha256(other.public_bytes(Encoding.DER)).hexdigest()] = f"{FOLDER}/{RSA}.pem"
    apache = (
        f"{MODULES}ServerName x\nPidFile /run/a.pid\nErrorLog /run/e\nDefaultRuntimeDir /run\n"
        "Listen 443\n"
        + _apache_host("a.example", "SSLProtocol -all +TLSv1.2 +TLSv1.3", 1)
        + _apache_host("b.example", OLD, 1)
    )
    both = "listen 443 ssl; listen [::]:443 ssl;"
    served_by_nginx = (
        _nginx_host("a.example", "listen 443 ssl;", 1, RSA)
        + _nginx_host("a.example", "listen [::]:443 ssl;", 2)
        + _nginx_host("b.example", both, 3)
    )
    given = [
        {
            "server": "apache",
            "files": {
                **own,
                "/etc/apache2/apache2.conf": apache,
                "/etc/apache2/envvars": "APACHE_RUN_DIR=/run\n",
            },
        },
        {
            "server": "nginx",
            "files": {"/etc/nginx/nginx.conf": f"events {{}} http {{ {served_by_nginx} }}"},
        },
    ]
    done = subprocess.run(
        [*NAMESPACES, sys.executable, "-m", "tests.oracles.web_probes"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": PATH},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    of_apache, of_nginx = json.loads(done.stdout)

    versions = parse_old_versions(of_apache["tls_old"])
    assert (versions.accepts("TLSv1.0"), versions.by["TLSv1.0"]) == (True, ("b.example",))
    found = parse_tls(of_nginx["tls"], "")
    seen = {
        (name, way): paths[
            sha256(found.served(name, way).leaf.public_bytes(Encoding.DER)).hexdigest()
        ]
        for name in found.names
        for way in found.ways(name)
    }
    assert seen == {
        ("a.example", ""): f"{FOLDER}/1.pem",
        ("a.example", "RSA"): f"{FOLDER}/{RSA}.pem",
        ("a.example", "IPv6"): f"{FOLDER}/2.pem",
        ("b.example", ""): f"{FOLDER}/3.pem",
        ("b.example", "IPv6"): f"{FOLDER}/3.pem",
    }
