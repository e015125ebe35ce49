"""What is fuzzed: the reader of the frame, and the parser of every fact, each by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial

from pytest_droplet.connection import script
from pytest_droplet.connection.probe import parse_head
from pytest_droplet.facts import Observation, all_facts
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from tests.checks.cases import all_cases

NONCE = "0123456789abcdef"
SEPARATOR = b"\x00====\x00"
Target = Callable[[bytes], None]


def targets() -> Mapping[str, Target]:
    """Return every target by its name: ``frame``, ``http-head``, and each fact of the host."""
    facts = {n: partial(read_fact, n) for n, f in sorted(all_facts().items()) if f.of_host}
    return {"frame": read_frame, "http-head": read_head, **facts}


def read_frame(raw: bytes) -> None:
    """Read bytes as what the script printed: nothing is raised, nothing is longer than the cap."""
    sections = [Section("os", "true"), Section("root", "true", root=True)]
    raw = raw.replace(b"NONCE", NONCE.encode())
    answer = script.parse(raw, sections, NONCE)
    assert {"os", "root"} <= set(answer.sections) <= {"os", "root", script.SELF}
    assert all(len(s.stdout) <= script.STDOUT_CAP_BYTES for s in answer.sections.values())
    assert script.preamble(raw, NONCE).isprintable()


def read_head(raw: bytes) -> None:
    """Read bytes as the head of an HTTP answer."""
    try:
        parse_head(raw)
    except NotObservedError:
        return


def read_fact(name: str, raw: bytes) -> None:
    """Read bytes as the sections, and JSON as the probes, that a fact parses.

    Whatever they are, the fact is read or not observed, and its evidence is one printable line.
    """
    fact = all_facts()[name]
    seen = _seen(name)
    parts = iter(raw.split(SEPARATOR))
    sections = dict(seen.host.sections)
    for section in fact.sections:
        text = next(parts, b"").decode("utf-8", "replace")
        known = sections.get(section.name, SectionOutput(section.name, rc=0))
        sections[section.name] = replace(known, stdout=text, missing=None)
    probes = dict(seen.host.probes)
    for probe in fact.probes:
        try:
            probes[probe.name] = json.loads(next(parts, b"null"))
        except (ValueError, RecursionError):
            probes[probe.name] = None
    host = replace(seen.host, sections=sections, probes=probes)
    observation = Observation(seen.droplet, seen.inventory, host, seen.settings, seen.now)
    try:
        value = fact.read(observation)
    except NotObservedError:
        return
    items = value if isinstance(value, tuple) else (value,)
    for item in items:
        assert str(item).isprintable(), repr(str(item))
    if fact.row is not None:
        json.dumps(fact.row(value))


@cache
def seeds(name: str) -> tuple[bytes, ...]:
    """Return inputs that are right, from the case files."""
    return tuple(_seeds(name))


def _seeds(name: str) -> Iterator[bytes]:
    if name == "frame":
        yield b"noise\n--NONCE begin os\nID=debian\n\n--NONCE err os\nno\n--NONCE end os rc=0\n"
        yield b"\n--NONCE skip root\n\n--NONCE eof\n"
        return
    if name == "http-head":
        yield b"HTTP/1.1 301 Moved\r\nLocation: https://a.test/\r\nServer: x\r\n\r\n"
        return
    fact = all_facts()[name]
    known: set[bytes] = set()
    for host in (seen.host for seen in _observations()):
        have = [host.sections.get(s.name) for s in fact.sections]
        if not any(have):
            continue
        parts = [(s.stdout if s else "").encode() for s in have]
        parts += [json.dumps(host.probes.get(p.name)).encode() for p in fact.probes]
        seed = SEPARATOR.join(parts)
        if seed not in known:
            known.add(seed)
            yield seed


@cache
def _observations() -> tuple[Observation, ...]:
    return tuple(c.observation() for c in all_cases() if not c.check.of_account)


@cache
def _seen(name: str) -> Observation:
    """Return an observation that has what the fact needs beside its own sections."""
    wanted = {s.name for s in all_facts()[name].sections}
    return max(
        _observations(),
        key=lambda seen: (wanted <= set(seen.host.sections), len(seen.host.sections)),
    )
