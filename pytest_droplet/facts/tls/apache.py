"""Apache: its virtual hosts, as ``apache2 -t -D DUMP_VHOSTS`` and the files tell them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.facts.tls.apache_reader import Block, File, Line, Reader, words
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
_INCLUDED = re.compile(r"( *)\((\*|\d{1,9})\) (/.*)")


@dataclass
class _Host:
    where: str
    names: list[str] = field(default_factory=list)
    places: dict[tuple[str, str], None] = field(default_factory=dict)


@fact("apache2 -t -D DUMP_VHOSTS and the configuration files it lists", sections=(APACHE,))
def droplet_apache(observation: Observation) -> WebConfig | NotInstalled:
    """The virtual hosts that Apache's configuration defines."""
    return parse_apache(whole(observation.section(APACHE.name)).stdout)


@lru_cache(maxsize=8)  # probes of one host ask at once, and the fact behind them
def parse_apache(text: str) -> WebConfig | NotInstalled:
    """Parse the output of the section ``apache``.

    Args:
        text: ``absent``; or ``version``, ``arguments``, the dumps of the included files, the
            virtual hosts and the modules, for each file ``== PATH`` and its directives, and
            ``end``.

    Raises:
        NotObservedError: It does not come to its end, or Apache refused its configuration.

    Source: Apache's documentation of ``httpd -D DUMP_VHOSTS``, mod_macro and mod_ssl. Read with
    2.4.
    """
    lines = text.split("\n")
    if lines[0] == "absent":
        return NotInstalled("apache")
    if "end" not in lines:
        raise NotObservedError("apache: its configuration was not read to the end")
    start = next((i for i, ln in enumerate(lines) if ln.startswith("== ")), len(lines))
    told = lines[:start]
    if "VirtualHost configuration:" not in told or "refused" in told:
        raise NotObservedError(f"apache refuses its configuration: {_complaint(told)}")
    version = next((ln[8:] for ln in told if ln.startswith("version ")), "")
    reader = Reader(_directives(lines[start:]), told, version)
    for file in _included(told):
        reader.read(file)
    return WebConfig(
        server="apache",
        version=one_line(version, 40),
        hosts=tuple(_virtual_hosts(_dumped(told), reader)),
        unread=tuple(one_line(f"{where} is not understood", 160) for where in reader.unclear),
        acme="md" in reader.modules and "mdomain" in text.lower(),
    )


def _complaint(told: list[str]) -> str:
    """Return what Apache says of a configuration that it refuses, with file and line."""
    said = [
        line
        for line in told
        if line not in {"", "end", "refused"}
        and not line.startswith(("version ", "arguments ", "Included ", "AH00558:"))
        and not _INCLUDED.fullmatch(line)
    ]
    return one_line(" ".join(said) or "it lists no virtual hosts", 200)


def _virtual_hosts(dumped: list[_Host], reader: Reader) -> Iterator[VirtualHost]:
    """Yield the virtual hosts that Apache lists, and the main server for the ports left."""
    main, listens = reader.main, _listens(reader)
    written = {n.lower() for block in (main, *reader.blocks.values()) for n in block.names()}
    wheres = {host.where for host in dumped}
    reader.unclear += [where for where in reader.blocks if where not in wheres]
    is_secured = next(words(main.last("sslengine")), "").lower() == "on"
    named = {place for host in dumped for place in _places(host)}
    taken = set()
    for host in dumped:
        block = reader.blocks.get(host.where)
        if block is None:
            reader.unclear.append(host.where)
            continue
        places = list(_sockets(host, listens, named))
        taken |= {port for address, port in places if address == "*" or not is_secured}
        names = [n for n in host.names if n.lower() in written]
        own = {listens[at] for at in named & listens.keys() if at in _places(host)}
        yield _virtual_host(host.where, [*names, *block.names()], places, own, block, reader)
    rest = [(address, port) for address, port in listens if port not in taken]
    if rest:
        own = {listens[at] for at in rest}
        yield _virtual_host("main server", main.names(), rest, own, main, reader)


def _virtual_host(  # noqa: PLR0917 what is known of a host
    where: str,
    names: list[str],
    places: Sequence[tuple[str, int]],
    protocols: AbstractSet[str],
    block: Block,
    reader: Reader,
) -> VirtualHost:
    main = reader.main
    root = next(words(main.last("serverroot")), "") or reader.root or "/etc/apache2"

    def last(name: str) -> str:
        return block.last(name) or main.last(name)

    def files(name: str) -> tuple[str, ...]:
        # Those of the main server stay for which the block has none in their place.
        own, above = block.settings.get(name, []), main.settings.get(name, [])
        named = own if block is main else [*own, *above[len(own) :]]
        return tuple(dict.fromkeys(_path(value, root) for value in named))

    engine = next(words(last("sslengine")), "").lower()
    certificates = files("sslcertificatefile")
    by_listen = not engine and bool(certificates) and "https" in protocols
    if engine not in {"", "on", "off", "optional"} or (by_listen and len(protocols) > 1):
        reader.unclear.append(where)
    is_tls = engine == "on" or by_listen

    return VirtualHost(
        where=one_line(where, 120),
        names=served_names(names),
        endpoints=tuple(Endpoint(*place, tls=is_tls) for place in places),
        certificates=certificates,
        keys=files("sslcertificatekeyfile"),
        protocols=tuple(last("sslprotocol").split()),
        handshake=tuple(
            value
            for name in ("sslciphersuite", "sslopensslconfcmd")
            for value in (*main.settings.get(name, ()), *block.settings.get(name, ()))
        ),
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
    host.places[_address(address), port] = None
    host.names.append(name)
    return host


def _places(host: _Host) -> set[tuple[str, int]]:
    """Return the addresses of a host that have a port."""
    return {(address, int(port)) for address, port in host.places if port != "*"}


def _sockets(
    host: _Host, listens: Mapping[tuple[str, int], str], named: AbstractSet[tuple[str, int]]
) -> Iterator[tuple[str, int]]:
    """Yield the addresses and ports of a host.

    Its port ``*`` is each that Apache listens on, but where another host has the same address
    with the port itself.
    """
    for address, port in host.places:
        if port == "*":
            places = {(address, number): None for _, number in listens}
            yield from (place for place in places if place not in named)
        elif 0 < int(port) < 65536:
            yield address, int(port)


def _address(text: str) -> str:
    bare = text.strip("[]")
    return "*" if bare in {"", "*", "_default_", "0.0.0.0", "::"} else bare  # noqa: S104 only read


def _included(lines: list[str]) -> list[File]:
    """Return the files that are read first, with what they include."""
    top = File("")
    above = [(-1, top)]
    for match in filter(None, map(_INCLUDED.fullmatch, lines)):
        depth = len(match[1])
        while above[-1][0] >= depth:
            above.pop()
        file = File(match[3])
        above[-1][1].included.append((0 if match[2] == "*" else int(match[2]), file))
        above.append((depth, file))
    return [file for _, file in top.included]


def _directives(lines: list[str]) -> dict[str, list[Line]]:
    """Return the lines of each file."""
    files: dict[str, list[Line]] = {}
    current: list[Line] = []
    for line in lines:
        if line.startswith("== "):
            current = files.setdefault(line[3:], [])
            continue
        number, _, text = line.partition(" ")
        words = text.split(maxsplit=1)
        if words and number.isdecimal():
            name = words[0].lower().replace('"', "")
            value = words[1].strip() if len(words) > 1 else ""
            current.append(
                (int(number), name, value.removesuffix(">") if name[0] == "<" else value)
            )
    return files


def _listens(reader: Reader) -> dict[tuple[str, int], str]:
    """Return the addresses and ports that Apache listens on, with their protocols."""
    found = {}
    for value in reader.main.settings.get("listen", ()):
        place, *protocol = list(words(value)) or [""]
        address, _, port = place.rpartition(":")
        if not port.isascii() or not port.isdigit() or not 0 < int(port[:9]) < 65536:
            reader.unclear.append(f"Listen {value}")
            continue
        usual = "https" if port == "443" else "http"
        found[_address(address), int(port)] = protocol[0].lower() if protocol else usual
    return found


def _path(text: str, root: str) -> str:
    path = next(words(text), "")
    return path if path.startswith("/") or "$" in path else f"{root}/{path}"
