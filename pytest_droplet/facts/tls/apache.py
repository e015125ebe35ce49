"""Apache: its virtual hosts, as ``apache2 -t -D DUMP_VHOSTS`` and the files tell them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.facts.tls.virtual_hosts import (
    Endpoint,
    NotInstalled,
    VirtualHost,
    WebConfig,
    served_names,
)
from pytest_droplet.model import NotObservedError, Section
from pytest_droplet.text import one_line

APACHE = Section.of_files(
    "facts/tls/apache_directives.awk", "facts/tls/apache.sh", address_space_mb=2048
)

_ADDRESS = re.compile(r"(\S+):(\d{1,5}|\*) +(?:is a NameVirtualHost|(\S+) \((.+)\))")
_NAME_OF_PORT = re.compile(r"\s+port (\d{1,5}|\*) namevhost (\S+) \((.+)\)")
_ALIAS = re.compile(r"\s+(?:wild )?alias (\S+)")


@dataclass
class _Block:
    """Directives of a virtual host, or of the main server."""

    settings: dict[str, list[str]] = field(default_factory=dict)

    def last(self, name: str) -> str:
        return self.settings.get(name, [""])[-1]

    def names(self) -> list[str]:
        words = (
            self.last("servername").split()
            + " ".join(self.settings.get("serveralias", ())).split()
        )
        return [_host_of(word) for word in words]


@dataclass
class _Host:
    where: str
    names: list[str] = field(default_factory=list)
    places: dict[tuple[str, int], None] = field(default_factory=dict)


@fact("apache2 -t -D DUMP_VHOSTS and the configuration files it lists", sections=(APACHE,))
def droplet_apache(observation: Observation) -> WebConfig | NotInstalled:
    """The virtual hosts that Apache's configuration defines."""
    return parse_apache(whole(observation.section(APACHE.name)).stdout)


@lru_cache(maxsize=8)  # probes of one host ask at once, and the fact behind them
def parse_apache(text: str) -> WebConfig | NotInstalled:
    """Parse the output of the section ``apache``.

    Args:
        text: ``absent``; or ``version``, the dump of the virtual hosts, for each file
            ``== PATH`` and its directives, and ``end``.

    Raises:
        NotObservedError: It does not come to its end, or Apache refused its configuration.

    Source: Apache's documentation of ``httpd -D DUMP_VHOSTS`` and mod_ssl. Read with 2.4.
    """
    lines = text.split("\n")
    if lines[0] == "absent":
        return NotInstalled("apache")
    if "end" not in lines:
        raise NotObservedError("apache: its configuration was not read to the end")
    if "VirtualHost configuration:" not in lines:
        said = [ln for ln in lines if ln and not ln.startswith(("version ", "== ", "Included "))]
        raise NotObservedError(f"apache: no virtual hosts listed: {one_line(' '.join(said), 160)}")
    start = next((i for i, ln in enumerate(lines) if ln.startswith("== ")), len(lines))
    hosts = _dumped(lines[:start])
    main, blocks, macros = _directives(lines[start:])
    root = _unquoted(main.last("serverroot")) or "/etc/apache2"
    written = {n.lower() for block in (main, *blocks.values()) for n in block.names()}
    found = [
        _virtual_host(h, blocks.get(h.where), main, root)
        for h in (_named(h, blocks.get(h.where), written, trust_all=macros) for h in hosts)
    ]
    rest = _main_server(main, {port for h in hosts for _, port in h.places})
    if rest.places:
        found.append(_virtual_host(rest, None, main, root))
    modules = {ln.split()[0] for ln in lines[:start] if ln.startswith((" ssl_", " md_"))}
    return WebConfig(
        server="apache",
        version=one_line(
            next((ln for ln in lines if ln.startswith("version ")), "version ")[8:], 40
        ),
        hosts=tuple(found),
        acme="md_module" in modules and "mdomain" in text.lower(),
    )


def _dumped(lines: list[str]) -> list[_Host]:
    """Read the dump; one host may stand under several addresses."""
    hosts: dict[str, _Host] = {}
    address, current = "", None
    for line in lines:
        if match := _ADDRESS.fullmatch(line):
            address = match[1]
            current = None
            if match[4]:
                current = _place(hosts, match[4], address, match[2], match[3])
        elif match := _NAME_OF_PORT.fullmatch(line):
            current = _place(hosts, match[3], address, match[1], match[2])
        elif (match := _ALIAS.fullmatch(line)) and current is not None:
            current.names.append(match[1])
    return list(hosts.values())


def _place(hosts: dict[str, _Host], where: str, address: str, port: str, name: str) -> _Host:
    host = hosts.setdefault(where, _Host(where))
    if port != "*" and 0 < int(port) < 65536:
        host.places[_address(address), int(port)] = None
    host.names.append(name)
    return host


def _address(text: str) -> str:
    bare = text.strip("[]")
    return "*" if bare in {"", "*", "_default_", "0.0.0.0", "::"} else bare  # noqa: S104 only read


def _directives(lines: list[str]) -> tuple[_Block, dict[str, _Block], bool]:
    """Read the files: the main server, the virtual hosts by ``file:line``, whether macros."""
    main, blocks = _Block(), dict[str, _Block]()
    current, path, macros = main, "", False
    for line in lines:
        if line.startswith("== "):
            path, current = line[3:], main
            continue
        number, _, text = line.partition(" ")
        words = text.split(maxsplit=1)
        if not words or not number.isdecimal():
            continue
        name, value = words[0].lower(), words[1].strip() if len(words) > 1 else ""
        if name == "<virtualhost":
            current = blocks.setdefault(f"{path}:{number}", _Block())
        elif name.startswith("</virtualhost"):
            current = main
        elif name in {"<macro", "<macro>"}:
            macros = True
        else:
            current.settings.setdefault(name, []).append(value)
    return main, blocks, macros


def _named(host: _Host, block: _Block | None, written: set[str], *, trust_all: bool) -> _Host:
    """Add the aliases, which the dump leaves out of a host that is alone on its address.

    A name that stands nowhere Apache made up from the host's own address: it is left out, unless
    names are spelt by macros or variables.
    """
    made = trust_all or any("$" in name for name in written)
    names = [n for n in host.names if made or n.lower() in written]
    own = block.names() if block is not None else []
    return _Host(host.where, [*names, *own], host.places)


def _main_server(main: _Block, taken: set[int]) -> _Host:
    """Return the server outside all virtual hosts, for the ports that none of these has."""
    host = _Host("main server", main.names())
    for listen in main.settings.get("listen", ()):
        address, _, port = (listen.split() or [""])[0].rpartition(":")
        if port.isascii() and port.isdigit() and int(port[:9]) not in taken:
            host.places[_address(address), int(port[:9])] = None
    return host


def _virtual_host(host: _Host, block: _Block | None, main: _Block, root: str) -> VirtualHost:
    def values(name: str) -> list[str]:
        own = block.settings.get(name) if block is not None else None
        return own or main.settings.get(name, [])

    engine = (values("sslengine") or ["off"])[-1].lower()
    return VirtualHost(
        where=one_line(host.where, 120),
        names=served_names(host.names),
        endpoints=tuple(Endpoint(a, p, tls=engine == "on") for a, p in host.places),
        certificates=tuple(_path(v, root) for v in values("sslcertificatefile")),
        keys=tuple(_path(v, root) for v in values("sslcertificatekeyfile")),
        protocols=tuple((values("sslprotocol") or [""])[-1].split()),
    )


def _host_of(name: str) -> str:
    """Return the host name of ``[scheme://]name[:port]``."""
    return _unquoted(name).rpartition("://")[2].partition(":")[0]


def _path(text: str, root: str) -> str:
    path = _unquoted(text)
    return path if path.startswith("/") or "$" in path else f"{root}/{path}"


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'")
