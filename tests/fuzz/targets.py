"""What is fuzzed: the readers of the connection, and the parser of every fact of a host."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial

from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.connection import identity, script
from pytest_droplet.connection.probe import parse_head
from pytest_droplet.connection.tls import parse_answer
from pytest_droplet.facts import DropletFacts, Observation, all_facts, needed
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.verdict import judge
from tests.checks.cases import all_cases

NONCE = "0123456789abcdef"
SEPARATOR = b"\x00====\x00"
Target = Callable[[bytes], None]


TOGETHER = {
    "boot": (
        *("droplet_boot_entry", "droplet_disks", "droplet_installed_kernels", "droplet_kernel"),
        *("droplet_kernel_arguments", "droplet_pending_reboot"),
    ),
    "release": (
        *("droplet_debian_version", "droplet_os_release", "droplet_point_release"),
        *("droplet_release_support", "droplet_ubuntu_pro"),
    ),
    "updates": (
        "droplet_automatic_updates",
        "droplet_package_index",
        "droplet_pending_updates",
    ),
    "units": ("droplet_audit_rules_unit", "droplet_auditd_unit", "droplet_units"),
    "audit-settings": ("droplet_audit_package", "droplet_auditd_config"),
    "audit-kernel": ("droplet_audit_loaded", "droplet_audit_status"),
    "people": ("droplet_creation_keys", "droplet_host_accounts"),
    "listeners": ("droplet_access", "droplet_listeners", "droplet_ssh_ports"),
    "ssh-logins": ("droplet_ssh_accounts", "droplet_ssh_offered"),
    "web-answers": ("droplet_http", "droplet_tls_old_versions"),
}
"""Facts that are small, or that read the same sections, share a target and its time."""


def targets() -> Mapping[str, Target]:
    """Return every target by its name: those of the connection, and those of facts."""
    return {
        "frame": read_frame,
        "short-answers": read_short_answers,
        **{name: partial(read_facts, facts) for name, facts in groups().items()},
    }


def groups() -> Mapping[str, tuple[str, ...]]:
    """Return the facts of each target: those of ``TOGETHER``, and every other one alone."""
    shared = {name for names in TOGETHER.values() for name in names}
    of_host = sorted(name for name, fact in all_facts().items() if fact.of_host)
    return {**TOGETHER, **{name: (name,) for name in of_host if name not in shared}}


def read_frame(raw: bytes) -> None:
    """Read bytes as what the script printed: nothing is raised, nothing is longer than the cap."""
    sections = [Section("os", "true"), Section("root", "true", root=True)]
    raw = raw.replace(b"NONCE", NONCE.encode())
    answer = script.parse(raw, sections, NONCE)
    assert {"os", "root"} <= set(answer.sections) <= {"os", "root", script.SELF}
    assert all(len(s.stdout) <= script.STDOUT_CAP_BYTES for s in answer.sections.values())
    assert script.preamble(raw, NONCE).isprintable()


def read_short_answers(raw: bytes) -> None:
    """Read bytes as each of the answers that are a few lines.

    They are the head of an HTTP answer, the first bytes of a server that was offered old TLS, and
    what the host says of who it is.
    """
    claimed = SectionOutput(identity.NAME, stdout=raw.decode("utf-8", "replace"))
    for read in (
        partial(parse_head, raw),
        partial(parse_answer, raw),
        partial(identity.claimed_id, claimed),
    ):
        with suppress(NotObservedError):
            read()


def read_facts(names: tuple[str, ...], raw: bytes) -> None:
    """Read bytes as the sections, and JSON as the probes, that facts parse.

    Whatever they are, each fact is read or not observed, its evidence is one printable line, and
    no check that asks for it breaks.
    """
    seen = _seen(names)
    parts = iter(raw.split(SEPARATOR))
    sections = dict(seen.host.sections)
    for section in _sections(names):
        text = next(parts, b"").decode("utf-8", "replace")
        sections[section] = SectionOutput(section, stdout=text, rc=0)
    probes = dict(seen.host.probes)
    for probe in _probes(names):
        try:
            probes[probe] = json.loads(next(parts, b"null"))
        except (ValueError, RecursionError):
            probes[probe] = None
    host = replace(seen.host, sections=sections, probes=probes, probe_errors={})
    observation = DropletFacts(seen.droplet, seen.inventory, host, seen.settings, seen.now)
    for name in names:
        with suppress(NotObservedError):
            _show(name, observation)
    for check in _checks_of(names):
        verdict = judge(check, observation)
        assert verdict.outcome != "error", f"{check.id}: {verdict.traceback}"


def _show(name: str, observation: DropletFacts) -> None:
    fact = all_facts()[name]
    value = fact.read(**observation.arguments(fact, Observation(fact, observation)))
    for item in value if isinstance(value, tuple) else (value,):
        assert str(item).isprintable(), repr(str(item))
    if fact.row is not None:
        json.dumps(fact.row(value))


def seeds(target: str) -> tuple[bytes, ...]:
    """Return inputs of a target that are right: those of facts are from the case files."""
    return _ANSWERS.get(target) or seeds_of(groups()[target])


_ANSWERS = {
    "frame": (
        b"noise\n--NONCE begin os\nID=debian\n\n--NONCE err os\nno\n--NONCE end os rc=0\n",
        b"\n--NONCE skip root\n\n--NONCE eof\n",
    ),
    "short-answers": (
        b"cloud-init 123\nmetadata 123\n",
        b"\x16\x03\x01\x00\x5a\x02\x00\x00\x56\x03\x02",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 301 Moved\r\nLocation: https://a.test/\r\nServer: x\r\n\r\n",
    ),
}


@cache
def seeds_of(names: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return what the case files' hosts print and answer for facts."""
    known = {}
    for host in (seen.host for seen in _observations()):
        have = [host.sections.get(name) for name in _sections(names)]
        if any(have):
            parts = [(s.stdout if s else "").encode() for s in have]
            parts += [json.dumps(host.probes.get(name)).encode() for name in _probes(names)]
            known[SEPARATOR.join(parts)] = None
    return tuple(known)


@cache
def _sections(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.name for part in needed(names) for s in part.sections))


@cache
def _probes(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(p.name for part in needed(names) for p in part.probes))


@cache
def _checks_of(names: tuple[str, ...]) -> tuple[Check, ...]:
    asked = set(names)
    return tuple(c for c in shipped().values() if not c.of_account and asked & set(c.facts))


@cache
def _observations() -> tuple[DropletFacts, ...]:
    return tuple(c.observation() for c in all_cases() if not c.check.of_account)


@cache
def _seen(names: tuple[str, ...]) -> DropletFacts:
    """Return an observation that has what the facts need beside their own sections."""
    wanted = set(_sections(names))
    return max(
        _observations(),
        key=lambda seen: (len(wanted & set(seen.host.sections)), len(seen.host.sections)),
    )
