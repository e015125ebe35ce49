"""What is fuzzed: the reader of the frame, and the parser of every fact, each by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial

from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.connection import identity, script
from pytest_droplet.connection.probe import parse_head
from pytest_droplet.connection.tls import parse_answer
from pytest_droplet.facts import Observation, all_facts
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.verdict import judge
from tests.checks.cases import all_cases

NONCE = "0123456789abcdef"
SEPARATOR = b"\x00====\x00"
Target = Callable[[bytes], None]


def targets() -> Mapping[str, Target]:
    """Return every target by its name: those of the connection, and each fact of the host."""
    facts = {n: partial(read_fact, n) for n, f in sorted(all_facts().items()) if f.of_host}
    return {
        "frame": read_frame,
        "identity": read_identity,
        "http-head": read_head,
        "tls-answer": read_answer,
        **facts,
    }


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


def read_identity(raw: bytes) -> None:
    """Read bytes as what the host says of who it is."""
    try:
        identity.claimed_id(SectionOutput(identity.NAME, stdout=raw.decode("utf-8", "replace")))
    except NotObservedError:
        return


def read_answer(raw: bytes) -> None:
    """Read bytes as the first of a server that was offered old TLS."""
    try:
        parse_answer(raw)
    except NotObservedError:
        return


def read_fact(name: str, raw: bytes) -> None:
    """Read bytes as the sections, and JSON as the probes, that a fact parses.

    Whatever they are, the fact is read or not observed, its evidence is one printable line, and
    no check that asks for it breaks.
    """
    fact = all_facts()[name]
    seen = _seen(name)
    parts = iter(raw.split(SEPARATOR))
    sections = dict(seen.host.sections)
    for section in dict.fromkeys(fact.sections):
        text = next(parts, b"").decode("utf-8", "replace")
        known = sections.get(section.name, SectionOutput(section.name, rc=0))
        sections[section.name] = replace(known, stdout=text, missing=None)
    probes = dict(seen.host.probes)
    for probe in fact.probes:
        try:
            probes[probe.name] = json.loads(next(parts, b"null"))
        except (ValueError, RecursionError):
            probes[probe.name] = None
    host = replace(seen.host, sections=sections, probes=probes, probe_errors={})
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
    for check in _checks_of(name):
        verdict = judge(check, observation)
        assert verdict.outcome != "error", f"{check.id}: {verdict.traceback}"


@cache
def seeds(name: str) -> tuple[bytes, ...]:
    """Return inputs that are right, from the case files."""
    return tuple(_seeds(name))


def _seeds(name: str) -> Iterator[bytes]:
    if name == "frame":
        yield b"noise\n--NONCE begin os\nID=debian\n\n--NONCE err os\nno\n--NONCE end os rc=0\n"
        yield b"\n--NONCE skip root\n\n--NONCE eof\n"
        return
    if name == "identity":
        yield b"cloud-init 123\nmetadata 123\n"
        return
    if name == "tls-answer":
        yield b"\x16\x03\x01\x00\x5a\x02\x00\x00\x56\x03\x02"
        yield b"\x15\x03\x01\x00\x02\x02\x46"
        return
    if name == "http-head":
        yield b"HTTP/1.1 301 Moved\r\nLocation: https://a.test/\r\nServer: x\r\n\r\n"
        return
    fact = all_facts()[name]
    known: set[bytes] = set()
    for host in (seen.host for seen in _observations()):
        have = [host.sections.get(s.name) for s in dict.fromkeys(fact.sections)]
        if not any(have):
            continue
        parts = [(s.stdout if s else "").encode() for s in have]
        parts += [json.dumps(host.probes.get(p.name)).encode() for p in fact.probes]
        seed = SEPARATOR.join(parts)
        if seed not in known:
            known.add(seed)
            yield seed


@cache
def _checks_of(name: str) -> tuple[Check, ...]:
    return tuple(c for c in shipped().values() if not c.of_account and name in c.facts)


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
