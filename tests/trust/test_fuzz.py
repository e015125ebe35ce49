"""Every parser of host output reads anything at all; ``python -m tests.fuzz`` digs deeper."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from types import CodeType, FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_droplet import facts
from pytest_droplet.connection import identity, probe, script, tls
from tests.fuzz.targets import SEPARATOR, groups, read_facts, seeds, seeds_of, targets
from tests.support.work import calls
from tests.trust.damage import damages

TARGETS = targets()


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """Return a right input, changed at some places, or bytes of any kind."""
    known = seeds(name)[:40]
    if not known or draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(draw(st.sampled_from(known)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 2, 8, 60]))
        piece = draw(st.one_of(st.binary(max_size=6), st.sampled_from(NASTY)))
        data[at : at + length] = piece
    return bytes(data)


NASTY = (
    *(b"\n", b"\x00", b"\r", b"\xff", b"\x1b[2J", SEPARATOR, b"{", b"[" * 200, b'"', b"'"),
    *(b"9" * 40, b"-1", b"\xef\xbc\x91", b"\xe2\x80\xae", b"1e999", b"/" * 50, b" ", b"=", b":"),
)


ODD_NAME = b"""sshd authorizedkeysfile .ssh/authorized_keys
look s.ssh/authorized_keys
file:\x1aroot:s:600:root:1790000000:/root/.ssh/authorized_keys
1:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILqFn/wWyXrdC8zwbER+OBSn+0iMucjAQMsl23UezI61 a
end:28
"""
NGINX = b"""nginx version: nginx/1.22.1
conf /etc/nginx/nginx.conf
== /etc/nginx/nginx.conf
1 http {
2 server {
3 listen 80;
4 server_name a.example;
5 }
6 }
end
"""
TO_NO_URL = b'{"answers": [{"status": 301, "location": "https://a.e]xample/"}]}'
NO_URL = SEPARATOR.join(
    (NGINX, b"absent\n", b'{"port": "open", "plain": {"a.example": %s}}' % TO_NO_URL)
)
FOUND = {
    "a service without a name was that of any block": (
        "droplet_renewal",
        b"service  certbot\nActiveState=active\nend\n",
    ),
    "an end without a name made a section without a name": ("frame", b"x\n--NONCE end rc=0\n"),
    "so did errors": ("frame", b"x\n--NONCE err \n\n--NONCE end rc=0\n"),
    "a user's name put control characters into evidence": ("droplet_authorized_keys", ODD_NAME),
    "a map as the state of a port": ("web-answers", b'\x00====\x00\x00====\x00{"port": {}}'),
    "a redirect to what is no URL broke a check": ("web-answers", NO_URL),
    "the same of TLS": ("droplet_tls", b'\x00====\x00\x00====\x00{"port": {}}'),
}


@pytest.mark.parametrize(("name", "raw"), FOUND.values(), ids=FOUND)
def test_what_fuzzing_found(name: str, raw: bytes) -> None:
    """Inputs that once broke a promise."""
    TARGETS[name](raw)


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_a_host_prints_is_read_or_unknown(name: str) -> None:
    """Nothing but NotObservedError is raised; evidence is one printable line."""

    @given(damaged(name))
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    def holds(raw: bytes) -> None:
        TARGETS[name](raw)

    holds()


PROBED = [name for name, fact in facts.all_facts().items() if fact.of_host and fact.probes]


@pytest.mark.parametrize("name", PROBED)
def test_a_probe_of_another_form_is_read_or_unknown(name: str) -> None:
    """What a look from outside gave may come from a recording: any place may be of any type."""
    known = len({s.name for part in facts.needed([name]) for s in part.sections})
    longest = sorted(seeds_of((name,)), key=len)
    tried = 0
    for seed in (*longest[:6], *longest[-6:]):
        *sections, probe = seed.split(SEPARATOR)[: known + 1]
        for _, new in damages({"probe": json.loads(probe)}):
            changed = SEPARATOR.join([*sections, json.dumps(new.get("probe")).encode()])
            read_facts((name,), changed)
            tried += 1
    assert tried > 20


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "pattern",
    [
        b"a",
        b"\n",
        b" ",
        b"{",
        b"(",
        b"x=1 ",
        b"-A x -j y\n",
        b"server {\n",
        b"1:",
        b'"\\',
        b"F 0 0 /x\n",
    ],
)
def test_a_long_answer_is_read_in_time(name: str, pattern: bytes) -> None:
    """No parser is of the kind that takes minutes for a line."""
    _assert_in_time(name, lambda size: (pattern * size)[:size])


def test_options_without_number_are_read_in_time() -> None:
    """One that sshd repeats was copied with all that came before it."""
    head = b"P sshd\nV OpenSSH_9.2\nA\nC 203.0.113.1 203.0.113.1 10.0.0.1 22 root\n"
    _assert_in_time("droplet_sshd", lambda size: head + b"port 22\n" * (size // 8))


def _assert_in_time(name: str, make: Callable[[int], bytes]) -> None:
    """400 KB, nearly the most that is read of a section, do not take 16 times as long as 100 KB.

    A machine that is busy with something else may slow down one of the two: once in three counts.
    """
    TARGETS[name](make(10))
    tried = []
    for _ in range(3):
        few_s, many_s = (_processor_s(name, make(size)) for size in (100_000, 400_000))
        if many_s < 10 * max(few_s, 0.05):
            return
        tried.append((few_s, many_s))
    pytest.fail(f"seconds for 100 KB, and for 400 KB: {tried}")


def _processor_s(name: str, raw: bytes) -> float:
    start = time.process_time()
    TARGETS[name](raw)
    return time.process_time() - start


@pytest.mark.parametrize("name", groups())
@pytest.mark.slow
def test_the_work_grows_no_faster_than_the_answer(name: str) -> None:
    """An answer that is four times as long, by any of its lines, is not sixteen times the work.

    Work is counted in calls, not in time. A host that wants to keep the auditor busy repeats the
    line for which all others are looked at again.
    """
    for stretch in _stretched(name):
        few, many = (calls(partial(TARGETS[name], stretch(n))) for n in (1_500, 6_000))
        assert many < 7 * max(few, 2_000), stretch(100)[-2_000:]


def _stretched(name: str) -> Iterator[Callable[[int], bytes]]:
    """Return right answers with one line of each kind repeated, as it is or with new names."""
    known = set()
    for seed in sorted(seeds(name), key=len, reverse=True):
        for at, line in enumerate(lines := seed.split(b"\n")):
            kind = re.sub(rb"[^a-z]+", b" ", line.lower())[:12]
            if line.strip() and SEPARATOR not in line and kind not in known:
                known.add(kind)
                yield partial(_repeated, lines, at)
                yield partial(_repeated, lines, at, renamed=True)


def _repeated(lines: list[bytes], at: int, size: int, *, renamed: bool = False) -> bytes:
    times = size // (len(lines[at]) + 4)
    new = [_renamed(lines[at], i) if renamed else lines[at] for i in range(times)]
    return b"\n".join([*lines[:at], *new, *lines[at + 1 :]])


def _renamed(line: bytes, number: int) -> bytes:
    """Return a line with other numbers, and with another end of each word."""
    return re.sub(
        rb"(\d{1,9})|[a-z]{4,}",
        lambda m: b"%d" % (int(m[1]) + number) if m[1] else m[0] + b"%d" % number,
        line,
    )


def test_every_parser_is_reached_by_a_target() -> None:
    """A parser that is new, and that no fact of a host calls, needs a target of its own."""
    modules = [
        import_module(m.name) for m in pkgutil.walk_packages(facts.__path__, f"{facts.__name__}.")
    ]
    parsers = {
        function.__code__: f"{module.__name__}.{name}"
        for module in (*modules, identity, probe, script, tls)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if _PARSER.match(name) and function.__module__ == module.__name__
    }
    assert len(parsers) > 40
    reached: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            reached.add(frame.f_code)

    before = sys.getprofile()
    try:
        for name, target in TARGETS.items():
            for seed in seeds(name):
                sys.setprofile(note)
                target(seed)
                sys.setprofile(before)
    finally:
        sys.setprofile(before)
    missed = {name for code, name in parsers.items() if code not in reached}
    assert missed - NOT_OF_HOSTS.keys() == set()


_PARSER = re.compile(r"parse|claimed|_?parsed?_|_read_")
NOT_OF_HOSTS = {
    "pytest_droplet.facts.os.lifecycle.parse_lifecycle": "of a table that ships with the package",
}
"""Parsers that read nothing of a host's, and what they read."""
