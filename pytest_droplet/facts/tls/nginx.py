"""nginx: its virtual hosts, from the configuration files (``nginx -T`` would write)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.facts.tls.virtual_hosts import (
    Endpoint,
    NotInstalled,
    VirtualHost,
    WebConfig,
    served_names,
)
from pytest_droplet.model import NotObservedError, Section
from pytest_droplet.text import one_line

NGINX = Section.of_files("facts/tls/nginx_statements.awk", "facts/tls/nginx.sh")

_STATEMENT = re.compile(r"(\d{1,9}) (.*?) ?([;{}])")
_WORD = re.compile(r""""((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|(\S+)""")
_VERSION = re.compile(r"nginx version: (\S+)")
# Statements read and file names compared: files may include each other by the thousand.
_MOST_EFFORT = 300_000
_DEEPEST = 12


@fact("nginx -V and the configuration files it names", sections=(NGINX,))
def droplet_nginx(observation: Observation) -> WebConfig | NotInstalled:
    """The virtual hosts that nginx's configuration files define."""
    return parse_nginx(whole(observation.section(NGINX.name)).stdout)


@lru_cache(maxsize=8)  # probes of one host ask at once, and the fact behind them
def parse_nginx(text: str) -> WebConfig | NotInstalled:
    """Parse the output of the section ``nginx``.

    Args:
        text: ``absent``; or the version, ``conf PATH``, for each file ``== PATH`` and its
            statements, ``-- PATH`` for one that cannot be read, and ``end``.

    Raises:
        NotObservedError: It does not come to its end, or is too long or too deep.

    Source: nginx's documentation of ``server_name``, ``listen``, ``include``. Read with 1.22.1.
    """
    lines = text.split("\n")
    if lines[0] == "absent":
        return NotInstalled("nginx")
    if "end" not in lines:
        raise NotObservedError(f"nginx -V: {one_line(text, 120) or 'no output'}")
    files, unread, conf = _files(lines)
    if conf not in files:
        raise NotObservedError(f"nginx: {one_line(conf)} could not be read")
    version = _VERSION.search(text)
    reader = _Reader(files, conf.rpartition("/")[0])
    reader.read(conf, _Block("main"), 0)
    return WebConfig(
        server="nginx",
        version=one_line(version[1], 40) if version else "nginx",
        hosts=_same_sockets(reader.hosts),
        unread=tuple(one_line(f) for f in (*unread, *reader.missing) if not _is_glob(f)),
        acme=reader.acme,
    )


def _files(lines: list[str]) -> tuple[dict[str, list[str]], list[str], str]:
    files: dict[str, list[str]] = {}
    unread = []
    conf = ""
    current: list[str] = []
    for line in lines:
        if line.startswith("== "):
            current = files.setdefault(line[3:], [])
        elif line.startswith("-- "):
            unread.append(line[3:])
        elif line.startswith("conf "):
            conf = line[5:]
        elif line not in {"", "end"}:
            current.append(line)
    return files, unread, conf


@dataclass
class _Block:
    """A block that is being read; what a server does not set it inherits from ``http``."""

    kind: str
    where: str = ""
    settings: dict[str, list[str]] = field(default_factory=dict)
    parent: _Block | None = None

    def get(self, name: str) -> list[str]:
        block: _Block | None = self
        while block is not None:
            if name in block.settings:
                return block.settings[name]
            block = block.parent
        return []


class _Reader:
    """Reads statements, with the included files in place of ``include``."""

    def __init__(self, files: Mapping[str, list[str]], folder: str) -> None:
        self.hosts: list[VirtualHost] = []
        self.missing: list[str] = []
        self.acme = False
        self._files = files
        self._folder = folder
        self._effort = 0

    def read(self, path: str, block: _Block, depth: int) -> None:
        """Read one file into a block."""
        if depth > _DEEPEST:
            raise NotObservedError(f"nginx: files include each other, at {one_line(path)}")
        inner = block
        for line in self._files[path]:
            match = _STATEMENT.fullmatch(line)
            if match is None:
                raise garbled(line)
            self._spend(1)
            number, body, end = match.groups()
            where = one_line(f"{path}:{number}", 120)
            if end == "{":
                inner = _Block(body, where, parent=inner)
            elif end == "}":
                if inner is block:
                    continue
                self._close(inner)
                inner = inner.parent or block
            else:
                self._directive(list(_words(body)), inner, depth)

    def _spend(self, effort: int) -> None:
        self._effort += effort
        if self._effort > _MOST_EFFORT:
            raise NotObservedError("nginx: the configuration is too long to be read")

    def _directive(self, words: list[str], block: _Block, depth: int) -> None:
        name, values = (words[0], words[1:]) if words else ("", [])
        if name == "include" and values:
            for path in self._included(values[0]):
                self.read(path, block, depth + 1)
        elif name in {"listen", "server_name"}:
            stored = block.settings.setdefault(name, [])
            stored.extend([" ".join(values)] if name == "listen" else values)
        elif name in {"ssl_certificate", "ssl_certificate_key"} and values:
            block.settings.setdefault(name, []).append(self._path(values[0]))
        elif name:
            self.acme = self.acme or name == "acme_certificate"
            block.settings[name] = values

    def _path(self, path: str) -> str:
        absolute = path.startswith(("/", "data:", "engine:")) or "$" in path
        return path if absolute else f"{self._folder}/{path}"

    def _included(self, pattern: str) -> list[str]:
        pattern = self._path(pattern)
        if not _is_glob(pattern):
            found = [pattern] if pattern in self._files else []
            self.missing.extend([] if found else [pattern])
            return found
        self._spend(len(self._files))
        return sorted(p for p in self._files if _matches(p, pattern))

    def _close(self, block: _Block) -> None:
        parent = block.parent.kind if block.parent is not None else ""
        if block.kind != "server" or parent not in {"http", "stream"}:
            return
        all_tls = block.get("ssl") == ["on"]
        listens = block.settings.get("listen", ["80"] if parent == "http" else [])
        endpoints = (_endpoint(listen, all_tls=all_tls) for listen in listens)
        self.hosts.append(
            VirtualHost(
                where=block.where,
                names=served_names(block.settings.get("server_name", ())),
                endpoints=tuple(dict.fromkeys(e for e in endpoints if e is not None)),
                certificates=tuple(block.get("ssl_certificate")),
                keys=tuple(block.get("ssl_certificate_key")),
                protocols=tuple(block.get("ssl_protocols")),
                passes_tls_on=parent == "stream" and not any(" ssl" in ln for ln in listens),
                rejects=block.get("ssl_reject_handshake") == ["on"],
            )
        )


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        double, single, bare = match.groups()
        yield bare if bare is not None else double if double is not None else single


def _endpoint(listen: str, *, all_tls: bool) -> Endpoint | None:
    """Parse the arguments of ``listen``; None: a Unix socket, or QUIC."""
    place, *flags = listen.split() or [""]
    if place.startswith("unix:") or "quic" in flags or "udp" in flags:
        return None
    host, colon, port = place.rpartition(":")
    if place.endswith("]") or (not colon and not place.isdigit()):
        host, port = place, "80"
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:9]) < 65536:
        return None
    address = host.strip("[]")
    wild = address in {"", "*", "0.0.0.0", "::"}  # noqa: S104 read, not bound to
    return Endpoint("*" if wild else address, int(port), all_tls or "ssl" in flags)


def _same_sockets(hosts: list[VirtualHost]) -> tuple[VirtualHost, ...]:
    """Give TLS to all hosts of a socket where one has it, as nginx does."""
    tls = {(e.address, e.port) for h in hosts for e in h.endpoints if e.tls}
    return tuple(
        replace(
            h,
            endpoints=tuple(
                replace(e, tls=e.tls or (e.address, e.port) in tls) for e in h.endpoints
            ),
        )
        for h in hosts
    )


def _is_glob(path: str) -> bool:
    return any(c in path for c in "*?[")


def _matches(path: str, pattern: str) -> bool:
    """Match as glob(7): no wildcard matches a slash."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(
        fnmatch.fnmatchcase(p, w) for p, w in zip(parts, wanted, strict=True)
    )
