"""Every parser of host output reads anything at all; ``python -m tests.fuzz`` digs deeper."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEPARATOR, seeds, targets

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


@pytest.mark.parametrize(
    ("name", "raw"),
    [("frame", b"x\n--NONCE end rc=0\n"), ("frame", b"x\n--NONCE err \n\n--NONCE end rc=0\n")],
)
def test_what_fuzzing_found(name: str, raw: bytes) -> None:
    """Inputs that once broke a promise: an end without a name made a section without a name."""
    TARGETS[name](raw)


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_a_host_prints_is_read_or_unknown(name: str) -> None:
    """Nothing but NotObservedError is raised; evidence is one printable line."""

    @given(damaged(name))
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    def holds(raw: bytes) -> None:
        TARGETS[name](raw)

    holds()


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
    """400 KB of one pattern end: no parser is of the kind that takes minutes for a line."""
    TARGETS[name]((pattern * 400_000)[:400_000])
