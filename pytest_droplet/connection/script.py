"""The host script: one POSIX sh program that prints every section between framed markers.

Its files are written for people (``frame.sh`` says how it works): what is sent is without their
comments and indentation.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_droplet.model import Section, SectionOutput
from pytest_droplet.script_files import ScriptFile, quoted, read_script
from pytest_droplet.text import line_of_bytes

STDOUT_CAP_BYTES = 450_000
STDERR_CAP_BYTES = 4_000
SECTION_TIMEOUT_S = 25
USUAL_TIMEOUT_S = 60
TIMED_OUT = 124
SELF = "_id"
CUT = "the connection was cut before its end"
SKIPPED = "needs root, and the script ran without"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SUDO_USER = re.compile(r"[A-Za-z0-9_#][A-Za-z0-9_.@-]*")

_MARK = re.compile(
    rb"(begin|err|end|skip|eof)(?: ([A-Za-z0-9_.-]{1,100}))?(?: rc=([0-9]{1,3}))?\n"
)

ENVIRONMENT = read_script("connection/environment.sh")
PRELUDE = read_script("connection/prelude.sh")
FRAME = read_script("connection/frame.sh")
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_PLACES = re.compile(r"ENVIRONMENT|PRELUDE|NONCE|SECONDS|AGE|STDOUT|STDERR|SECTIONS")


class Answer(NamedTuple):
    """What came back of one script.

    ``sections`` also holds ``_id``: the uid, the user's name and what sudo said, a line each. The
    uid is ``bounded``, hence None, for root that may not read the files of others.
    ``complete`` is True when the script reached its end.
    """

    sections: dict[str, SectionOutput]
    uid: int | None
    complete: bool


def section_timeout_s(of_host_s: float) -> int:
    """Return a section's time limit in seconds, for that of the host.

    It is 25 s, and as many times longer as the host is given more than the usual 60 s: who allows
    a slow host more time means its sections.
    """
    return max(SECTION_TIMEOUT_S, int(SECTION_TIMEOUT_S * of_host_s / USUAL_TIMEOUT_S))


def compose(
    sections: Sequence[Section],
    nonce: str,
    *,
    as_logged_in: bool = False,
    timeout_s: int = SECTION_TIMEOUT_S,
    age_s: float | None = None,
) -> str:
    """Return the script for these sections.

    Args:
        sections: What to run, in this order; the same section twice is run once.
        nonce: Letters and digits that no output of the host can foretell.
        as_logged_in: Leave locale, ``PATH`` and umask as the login made them, without the prelude:
            for commands that are not ours.
        timeout_s: Seconds that each section has.
        age_s: Seconds since the login began; None: it begins with the script. Hosts compare whole
            seconds, so what happens within a second before it counts as after it.

    Raises:
        ValueError: A name is malformed or names two sections.
    """
    if not nonce.isascii() or not nonce.isalnum():
        raise ValueError(f"nonce {nonce!r}: it must be letters and digits")
    wanted = distinct(sections)
    shared = _shared(wanted)
    lines = [f"{name}={quoted(file.sent)}" for file, name in shared.items()]
    lines += [_call(section, shared) for section in wanted]
    values = {
        "ENVIRONMENT": ":" if as_logged_in else ENVIRONMENT.packed,
        "PRELUDE": quoted("" if as_logged_in else PRELUDE.packed),
        "NONCE": nonce,
        "SECONDS": str(timeout_s),
        "AGE": str(-1 if age_s is None else int(age_s) + 1),
        "STDOUT": str(STDOUT_CAP_BYTES + 1),
        "STDERR": str(STDERR_CAP_BYTES),
        "SECTIONS": "\n".join(lines),
    }
    return _PLACES.sub(lambda place: values[place[0]], FRAME.packed)


def _shared(sections: Iterable[Section]) -> dict[ScriptFile, str]:
    """Return the files that several sections begin with, and the variable that each is sent in."""
    times = Counter(file for section in sections for file in section.files)
    return {file: f"shared_{file.name}" for file, count in times.items() if count > 1}


def _call(section: Section, shared: Mapping[ScriptFile, str]) -> str:
    """Return the line that runs a section: shared files are named, the rest is quoted."""
    text, names = section.command, ""
    for file in section.files:
        if file in shared and text.startswith(file.sent):
            text = text.removeprefix(file.sent)
            names += f'"${shared[file]}"'
    call = "as_root" if section.root else "section"
    bound = "-" if section.address_space_mb is None else section.address_space_mb
    return f"{call} {section.name} {bound} {names}{quoted(text)}"


def shown(sections: Sequence[Section]) -> str:
    """Return the script as people read it: its parts under their names, with all comments."""
    caps = f"STDOUT and STDERR are {STDOUT_CAP_BYTES + 1} and {STDERR_CAP_BYTES} bytes"
    lines = [
        "# What hosts are sent. On its way it has neither indentation nor lines that are comments.",
        "# In its frame ENVIRONMENT, PRELUDE and SECTIONS are files below, NONCE is a random word,",
        f"# SECONDS are {SECTION_TIMEOUT_S}, AGE is that of the login, {caps}. These sections are run:",
    ]
    texts = {f.path: f.shown for f in (FRAME, ENVIRONMENT, PRELUDE)}
    for section in distinct(sections):
        own = {f.path: f.shown for f in section.files} or {section.name: section.shown}
        root = ", only as root" if section.root else ""
        listed = textwrap.wrap(f"- {section.name}{root}: {' '.join(own)}", subsequent_indent="  ")
        lines += [f"# {line}" for line in listed]
        texts |= own
    for path, text in texts.items():
        lines += ["", f"# ==== {path}", "", text.rstrip()]
    return "\n".join(lines)


def alone(section: Section) -> str:
    """Return what the frame hands to ``sh -c`` for a section: the prelude, then its command."""
    return PRELUDE.packed + section.command


def distinct(sections: Iterable[Section]) -> tuple[Section, ...]:
    """Return the sections, each once, in order.

    Raises:
        ValueError: A name is malformed, or two sections have it.
    """
    known: dict[str, Section] = {}
    for section in sections:
        if not _NAME.fullmatch(section.name):
            raise ValueError(f"section {section.name!r}: use letters, digits, '_', '.' and '-'")
        if "\0" in section.command:
            raise ValueError(f"section {section.name}: its command holds a NUL byte")
        if known.setdefault(section.name, section) != section:
            raise ValueError(f"section {section.name}: defined twice, with different commands")
    return tuple(known.values())


def remote_command(*, sudo: bool = True, sudo_user: str | None = None) -> str:
    """Return the command line that reads the script from its standard input.

    Nothing of the login's environment comes near the script but the address that the login came
    from, and what sudo said: no function of its set-up files either, as programs are named by their
    paths. sudo is asked for ``/bin/sh -s`` and nothing else: a rule for that alone is enough.
    It means the same to every login shell (fish and csh too), as it holds no ``!``, no
    backslash and one pair of single quotes. Where sudo refuses, it has not touched the script:
    the login user runs it, and ``_id`` tells what sudo said.

    Raises:
        ValueError: ``sudo_user`` is no user name.
    """
    if sudo_user is not None and not _SUDO_USER.fullmatch(sudo_user):
        raise ValueError(f"--sudo-user={sudo_user!r} is no user name")
    clean = f'/usr/bin/env -i PATH={SYSTEM_PATH} LC_ALL=C "SSH_CONNECTION=$SSH_CONNECTION"'
    steps = []
    if sudo and sudo_user is None:
        steps.append(f"case $(/usr/bin/id -u) in 0) exec {clean} sh -s ;; esac")
    if sudo or sudo_user is not None:
        as_user = "" if sudo_user is None else f"-u {sudo_user} "
        by_sudo = f"{clean} sudo -n {as_user}/bin/sh -s 2>&1 >&3 3>&-"
        steps.append(f"{{ DROPLET_SUDO=$({by_sudo}); }} 3>&1 && exit 0")
    steps.append(f'exec {clean} "DROPLET_SUDO=$DROPLET_SUDO" sh -s')
    return f"/bin/sh -c '{'; '.join(steps)}'"


def parse(raw: bytes, sections: Sequence[Section], nonce: str, *, cut: str = CUT) -> Answer:
    """Read what the script printed; hostile bytes in it never raise.

    What stands before the first marker (a banner, a start-up file's noise) is left out. A section
    counts only with its own end marker; the one that was cut and all after it are missing.

    Args:
        raw: All of standard output.
        sections: What the script was composed of.
        nonce: The one that the script was composed with.
        cut: The reason given for what is missing after a cut.
    """
    expected = {s.name for s in sections} | {SELF}
    found: dict[str, SectionOutput] = {}
    complete = False
    name = ""
    start = 0
    stdout: bytes | None = None
    for begin, mark in _marks(raw, nonce):
        kind, label, rc = mark[1], (mark[2] or b"").decode("ascii"), mark[3]
        piece = raw[start:begin]
        start = mark.end()
        if kind == b"err" and label == name and stdout is None:
            stdout = piece
            continue
        if kind == b"end" and name and label == name and rc is not None and name not in found:
            output, errors = (piece, b"") if stdout is None else (stdout, piece)
            found[name] = _output(name, output, errors, int(rc))
        elif kind == b"skip" and label in expected and label not in found:
            found[label] = SectionOutput(label, missing=SKIPPED)
        elif kind == b"eof":
            complete = True
            break
        name = label if kind == b"begin" and label in expected else ""
        stdout = None
    lost = "the host's answer has no such section" if complete else cut
    for section in sections:
        found.setdefault(section.name, SectionOutput(section.name, missing=lost))
    return Answer(found, _uid(found.get(SELF)), complete)


def end_mark(nonce: str) -> bytes:
    """Return what a whole answer ends with."""
    return f"\n--{nonce} eof\n".encode("ascii")


def preamble(raw: bytes, nonce: str) -> str:
    """Return what stands before the first marker, in one printable line of at most 200 signs."""
    for begin, _ in _marks(raw, nonce):
        return line_of_bytes(raw[:begin])
    return line_of_bytes(raw)


def _marks(raw: bytes, nonce: str) -> Iterator[tuple[int, re.Match[bytes]]]:
    """Yield where each marker's line feed stands, and the marker, its own line feed included."""
    lead = f"\n--{nonce} ".encode("ascii")
    at = raw.find(lead)
    while at >= 0:
        mark = _MARK.match(raw, at + len(lead))
        if mark is not None:
            yield at, mark
        at = raw.find(lead, at + len(lead) if mark is None else mark.end())


def _output(name: str, stdout: bytes, stderr: bytes, rc: int) -> SectionOutput:
    truncated = len(stdout) > STDOUT_CAP_BYTES
    missing = None
    if _killed(rc):
        missing = f"it was killed on the host before its end (status {rc})"
        # What goes on printing behind the cap is killed for it.
        if truncated:
            missing = f"it printed more than {STDOUT_CAP_BYTES:,} bytes, and was cut there"
    return SectionOutput(
        name,
        stdout=stdout[:STDOUT_CAP_BYTES].decode("utf-8", "replace"),
        stderr=stderr[:STDERR_CAP_BYTES].decode("utf-8", "replace"),
        rc=rc,
        truncated=truncated,
        missing=missing,
    )


def _killed(rc: int) -> bool:
    """Whether the shell gives this status for a command that a signal ended."""
    return 128 < rc <= 128 + 64


def _uid(own: SectionOutput | None) -> int | None:
    first = own.stdout.partition("\n")[0] if own is not None else ""
    return int(first) if first.isascii() and first.isdigit() and len(first) < 11 else None
