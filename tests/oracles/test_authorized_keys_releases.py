"""Lines of authorized_keys that were edited, judged by the sshd of each Debian release.

Each begins as one that sshd accepts, and is changed at none to three places: a byte put in, taken
away or replaced by any other, an option, a quote, or a length at one of sshd's limits. What sshd
lets in we must list as a key that works, or the file with that line alone must be unread.

``DROPLET_ORACLE_LINES=20000`` judges so many for each release; ``DROPLET_ORACLE_SEED=2`` others.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cache import Cache
from tests.lab.roots import MORTAL, root
from tests.sections.root import why_not

from .test_authorized_keys import (
    SEED,
    TOOLS,
    WORDS,
    Line,
    _right_line,
    as_we_read,
    fresh,
    judged,
    running_sshd,
)

COUNT = int(os.environ.get("DROPLET_ORACLE_LINES", "500"))
REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON) and "CI" not in os.environ, reason=REASON)

# From 9.8 on sshd makes an address wait from which keys were refused.
RELEASES = {
    "bullseye": (),
    "bookworm": (),
    "trixie": ("PerSourcePenalties no",),
    "forky": ("PerSourcePenalties no",),
}
OPTIONS = (
    *(b'from="127.0.0.0/8"', b'from="*,!192.0.2.1"', b'from="192.0.2.1"', b"restrict,pty"),
    *(b'expiry-time="29990101"', b'expiry-time="20200101"', b'principals="root"'),
    *(b"cert-authority", b'command="echo \\"a b\\""', b'environment="A=b c"', b"no-pty,pty"),
)
LENGTHS = (1023, 1024, 8190, 8191, 8192, 16383, 16384)

_ENTER = """
folder=$1 lower=$2; shift 2
mkdir -p /run/droplet-oracle
mount -t tmpfs tmpfs /run/droplet-oracle
cd /run/droplet-oracle
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" root
mkdir -p "root$folder" root/run/sshd
mount --bind "$folder" "root$folder"
mount --rbind /dev root/dev
mount -t proc proc root/proc
exec chroot root /usr/sbin/sshd "$@"
"""


def edited(line: bytes, chance: random.Random) -> bytes:
    """Return the line after one more edit."""
    ends = [at for at, byte in enumerate(line) if not chr(byte).isalnum()]
    at = chance.choice([*ends, chance.randint(0, len(line)), len(line)])
    kind = chance.choice(["in", "in", "out", "other", "word", "option", "quote", "length"])
    if kind == "option":
        return chance.choice(OPTIONS) + chance.choice([b" ", b",", b"\t "]) + line
    if kind == "length":
        return line + b" " + b"x" * (chance.choice(LENGTHS) - len(line) - 1)
    put = {
        "in": chance.randbytes(1),
        "out": b"",
        "other": chance.randbytes(1),
        "word": chance.choice(WORDS[:-3]),
        "quote": chance.choice([b'"', b'\\"', b'" "']),
    }[kind]
    return line[:at] + put + line[at + (kind in {"out", "other"}) :]


def edited_lines(chance: random.Random, count: int) -> Iterator[Line]:
    """Yield lines of new keys, each edited at most three times."""
    for _ in range(count):
        key = fresh(chance)
        line = _right_line(chance, key)
        for _ in range(chance.choice([0, 1, 1, 2, 3])):
            line = edited(line, chance)
        yield Line(line, key, "edited")


@pytest.mark.parametrize("release", RELEASES)
def test_every_edited_line_that_a_release_accepts_is_listed(release: str, tmp_path: Path) -> None:
    """Or the file is unread; a quarter of the lines is accepted at least."""
    chance = random.Random(f"{SEED} {release}")
    lines = list(edited_lines(chance, COUNT))
    with Cache() as cache:
        below = root(cache, release).lowerdir
        command = [*MORTAL, "sh", "-euc", _ENTER, "sh", str(tmp_path), below]
        with running_sshd(
            tmp_path,
            f"127.0.0.{93 + [*RELEASES].index(release)}",
            *RELEASES[release],
            command=command,
        ) as sshd:
            found = judged(sshd, lines, tmp_path / "bin", TOOLS[0])

    missed = [v.line.text for v in found if v.missed]
    unread = []
    for text in missed:
        sshd.keys.write_bytes(text)
        if str(sshd.keys) in str(as_we_read(sshd.keys, tmp_path / "bin", TOOLS[0]).unread):
            unread.append(text)
    assert [text for text in missed if text not in unread] == []
    assert sum(v.accepted for v in found) >= COUNT / 4
    assert len(unread) < COUNT / 20
