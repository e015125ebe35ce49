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

_STATEMENT = re.compile(r"(\d{1,9}) (.*?) ?([;{}?])")
_WORD = re.compile(r""""((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|((?:\\.|\S)+)""")
_ESCAPED = re.compile(r"""\\(["'\\])""")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_VERSION = re.compile(r"nginx version: (\S+)")
# Statements read and file names compared: files may include each other by the thousand.
_MOST_EFFORT = 300_000
_DEEPEST = 100
_MOST_PORTS = 1000


@fact("nginx -V and the configuration files it names", sections=(NGINX,))
def droplet_nginx(observation: Observation) -> WebConfig | NotInstalled:
    """The virtual hosts that nginx's configuration files define."""
    return parse_nginx(whole(observation.section(NGINX.name)).stdout)


@lru_cache(maxsize=8)  # probes of one host ask at once, and the fact behind them
def parse_nginx(text: str) -> WebConfig | NotInstalled:
    """Parse the output of the section ``nginx``.

    Args:
        text: ``absent``; or the version, ``conf PATH``, for each file ``== PATH`` and its
            statements, ``-- PATH`` for one that cannot be read, and ``end``. There is a ``conf``
            for each configuration that a running nginx has.

    Raises:
        NotObservedError: It does not come to its end, or is too long or too deep.

    Source: nginx's documentation of ``server_name``, ``listen``, ``include``. Read with 1.22.1.
    """
    lines = text.split("\n")
    if lines[0] == "absent":
        return NotInstalled("nginx")
    if "end" not in lines:
        raise NotObservedError(f"nginx -V: {one_line(text, 120) or 'no output'}")
    files, unread, confs = _files(lines)
    version = _VERSION.search(text)
    reader = _Reader(files)
    for conf in confs or [""]:
        if conf not in files:
            raise NotObservedError(f"nginx: {one_line(conf)} could not be read")
        reader.read_all(conf)
    return WebConfig(
        server="nginx",
        version=one_line(version[1], 40) if version else "nginx",
        hosts=_same_sockets(list(map(_virtual_host, reader.servers))),
        unread=tuple(one_line(f) for f in (*unread, *reader.missing) if not _is_glob(f)),
        acme=reader.acme,
    )


def _files(lines: list[str]) -> tuple[dict[str, list[str]], list[str], list[str]]:
    files: dict[str, list[str]] = {}
    unread, confs = [], []
    current: list[str] = []
    for line in lines:
        if line.startswith("== "):
            current = files.setdefault(line[3:], [])
        elif line.startswith("-- "):
            unread.append(line[3:])
        elif line.startswith("conf "):
            confs.append(line[5:])
        elif line not in {"", "end"}:
            current.append(line)
    return files, unread, confs


@dataclass
class _Block:
    """A block that is being read; what a server does not set it inherits from ``http``."""

    kind: str
    where: str = ""
    settings: dict[str, list[str]] = field(default_factory=dict)
    parent: _Block | None = None

    @property
    def is_server(self) -> bool:
        """Whether it is a virtual host."""
        around = self.parent.kind if self.parent is not None else ""
        return self.kind == "server" and around in {"http", "stream"}

    def get(self, name: str) -> list[str]:
        block: _Block | None = self
        while block is not None:
            if name in block.settings:
                return block.settings[name]
            block = block.parent
        return []


class _Reader:
    """Reads statements, with the included files in place of ``include``.

    ``missing`` has the files that are not there, and the places that are not understood.
    """

    def __init__(self, files: Mapping[str, list[str]]) -> None:
        self.servers: list[_Block] = []
        self.missing: list[str] = []
        self.acme = False
        self._files = files
        self._folder = ""
        self._effort = 0

    def read_all(self, conf: str) -> None:
        """Read a main file, and all that it includes."""
        self._folder = conf.rpartition("/")[0]
        self._read(conf, _Block("main"), 0)

    def _read(self, path: str, block: _Block, depth: int) -> None:
        """Read one file into a block: all that it opens it also closes."""
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
            elif end == "?" or (end == "}" and inner is block):
                self.missing.append(f"{where} is not understood")
            elif end == "}":
                if inner.is_server:
                    self.servers.append(inner)
                inner = inner.parent or block
            else:
                self._directive(list(_words(body)), inner, depth)
        if inner is not block:
            self.missing.append(f"{inner.where} has no end")

    def _spend(self, effort: int) -> None:
        self._effort += effort
        if self._effort > _MOST_EFFORT:
            raise NotObservedError("nginx: the configuration is too long to be read")

    def _directive(self, words: list[str], block: _Block, depth: int) -> None:
        name, values = (words[0], words[1:]) if words else ("", [])
        if name == "include" and values:
            for path in self._included(" ".join(values)):
                self._read(path, block, depth + 1)
        elif name in {"listen", "server_name", "ssl_conf_command"}:
            stored = block.settings.setdefault(name, [])
            stored.extend(values if name == "server_name" else [" ".join(values)])
        elif name in {"ssl_certificate", "ssl_certificate_key"} and values:
            # The module acme has no files.
            if not values[0].startswith("$acme_"):
                block.settings.setdefault(name, []).append(self._path(values[0]))
        elif name:
            self.acme = self.acme or name == "acme_certificate"
            block.settings[name] = values

    def _path(self, path: str) -> str:
        absolute = path.startswith(("/", "data:", "engine:")) or "$" in path
        return path if absolute else f"{self._folder}/{path}"

    def _included(self, pattern: str) -> list[str]:
        pattern = self._path(pattern)
        # Where a path has blanks, the shell has looked for other files.
        if not _is_glob(pattern) or " " in pattern:
            found = [pattern] if pattern in self._files else []
            self.missing.extend([] if found else [pattern])
            return found
        self._spend(len(self._files))
        return sorted(p for p in self._files if _matches(p, pattern))


def _virtual_host(block: _Block) -> VirtualHost:
    """Return what a ``server`` is, once all of the blocks around it is read."""
    parent = block.parent.kind if block.parent is not None else ""
    all_tls = block.get("ssl") == ["on"]
    listens = block.settings.get("listen", ["80"] if parent == "http" else [])
    endpoints = (e for listen in listens for e in _endpoints(listen, all_tls=all_tls))
    return VirtualHost(
        where=block.where,
        names=served_names(block.settings.get("server_name", ())),
        endpoints=tuple(dict.fromkeys(endpoints)),
        certificates=tuple(block.get("ssl_certificate")),
        keys=tuple(block.get("ssl_certificate_key")),
        protocols=tuple(block.get("ssl_protocols")),
        handshake=(*block.get("ssl_ciphers"), *block.get("ssl_conf_command")),
        passes_tls_on=parent == "stream" and not any(" ssl" in ln for ln in listens),
        rejects=block.get("ssl_reject_handshake") == ["on"],
    )


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        double, single, bare = match.groups()
        word = bare if bare is not None else double if double is not None else single
        yield _ESCAPED.sub(r"\1", word)


def _endpoints(listen: str, *, all_tls: bool) -> Iterator[Endpoint]:
    """Parse the arguments of ``listen``; nothing: a Unix socket, or QUIC."""
    place, *flags = listen.split() or [""]
    if place.startswith("unix:") or "quic" in flags or "udp" in flags:
        return
    host, colon, port = place.rpartition(":")
    if place.endswith("]") or (not colon and not _PORTS.fullmatch(place)):
        host, port = place, "80"
    ports = _PORTS.fullmatch(port)
    first, last = (int(ports[1]), int(ports[2] or ports[1])) if ports else (0, 0)
    if not 0 < first <= last <= min(65535, first + _MOST_PORTS):
        raise NotObservedError(f"nginx: a port is not understood: listen {one_line(listen, 60)}")
    address = host.strip("[]")
    if address in {"", "*"}:
        address = "0.0.0.0"  # noqa: S104 read, not bound to
    elif address == "::" and "ipv6only=off" in flags:
        address = "*"
    for number in range(first, last + 1):
        yield Endpoint(address, number, all_tls or "ssl" in flags)


def _same_sockets(hosts: list[VirtualHost]) -> tuple[VirtualHost, ...]:
    """Give all hosts of a socket what one of them sets for it, as nginx does."""
    both = {e.port for h in hosts for e in h.endpoints if e.address == "*"}

    def socket(e: Endpoint) -> tuple[str, int]:
        return ("*" if e.address == "::" and e.port in both else e.address), e.port

    tls = {socket(e) for h in hosts for e in h.endpoints if e.tls}
    return tuple(
        replace(h, endpoints=tuple(Endpoint(*socket(e), socket(e) in tls) for e in h.endpoints))
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
