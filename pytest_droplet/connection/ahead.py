"""Commands of a testinfra suite that are fetched ahead of time: which they are, and of whom.

The first host's tests run one command at a time. What they asked is fetched from all other hosts
in one session each, while they wait for their turn.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from typing import Protocol, runtime_checkable

from pytest_droplet.connection import script
from pytest_droplet.model import Section, SectionOutput

Result = tuple[int, bytes, bytes]
Results = Mapping[str, Result]

_PLAIN = r"[A-Za-z0-9_@%+=:,./-]+"
_WORD = rf"(?!'?-)(?:{_PLAIN}|'[^'\n\0]*'(?:\"'\"'[^'\n\0]*')*)"
# Files of these folders may do something when they are read.
_FILE = rf"(?!'?/+(?:dev|proc|sys)(?:[/']|$)){_WORD}"
_NAME = r"[A-Za-z0-9_@+.-]+"
_IP = r"(?:/usr)?(?:/s?bin/)?ip(?: -f inet6?)?"

# The commands of testinfra's modules, where they only look: no file, rule or cache is written, no
# kernel module loaded, no name resolved, and no program of the site started.
_SHAPES = (
    rf"command -v {_WORD}",
    rf"which {_WORD}",
    r"uname -[mrs]",
    r"cat /etc/(?:os-release|redhat-release|alpine-release|passwd|group)",
    r"cat /proc/mounts",
    rf"cat /sys/class/net/{_NAME}/speed",
    r"env -0",
    rf"test -[defpLSx] {_WORD}",
    rf"(?:realpath|readlink -f) {_WORD}",
    rf"stat -Lc %[GUYagisu] {_WORD}",
    rf"(?:cat|ls -1 -q) -- {_FILE}",
    rf"grep -qs -- {_WORD} {_FILE}",
    rf"md5sum {_FILE} \| cut -d' ' -f1",
    rf"sha256sum {_FILE} \| cut -d ' ' -f 1",
    rf"id(?: -[Ggnu]| -n[Ggu])? {_WORD}",
    r"id -nu",
    rf"getent (?:group|passwd|shadow)(?: {_WORD})?",
    rf"getent group {_WORD} \| cut -d':' -f[34]",
    rf"dpkg-query -f '\$\{{Status\}}(?: \$\{{Version\}})?' -W {_WORD}",
    rf"systemctl (?:is-active|is-enabled|show) {_WORD}",
    rf'systemctl list-unit-files \| grep -q "\^{_NAME}"',
    rf"find -L /etc/rc\?\.d/ -name {_WORD}",
    rf"(?:/usr)?(?:/s?bin/)?sysctl -n (?!-){_NAME}",
    r"ps -Aww -o [a-z0-9:,]+",
    r"ps -ww -p [0-9]+ -o lstart,[a-z]+",
    rf"{_IP}(?: --json)? (?:link|addr) show {_WORD}",
    rf"{_IP}(?: -o link show| route ls)",
    rf"{_IP} --json route list dev {_WORD}(?: scope {_WORD})?",
    rf"blockdev  --report {_WORD}",
    r"(?:/usr)?(?:/s?bin/)?netstat -n(?: -l)?(?: -t| -u| --unix)?",
)
_LOOKS = re.compile("|".join(f"(?:{shape})" for shape in _SHAPES))
_BY_SUDO = re.compile(rf"sudo -n (?:-u {_WORD} )?/bin/sh -c ")


@runtime_checkable
class Fetcher(Protocol):
    """The part of the pool that is needed; other transports may not have it."""

    def fetch(
        self, droplet_ids: Iterable[int], commands: Sequence[str]
    ) -> Mapping[int, Future[Results]]:
        """Begin to run commands on hosts, each host's in one session."""


def only_looks(command: str) -> bool:
    """Whether a command line is one of testinfra's modules that reads and changes nothing.

    What may run as another user by ``sudo -n`` is judged as the command within. A command line of
    the tests' own author is none of these, unless it is one word for word.
    """
    by_sudo = _BY_SUDO.match(command)
    if by_sudo:
        try:
            (command,) = shlex.split(command[by_sudo.end() :])
        except ValueError:
            return False
    return _LOOKS.fullmatch(command) is not None


def compose(commands: Sequence[str]) -> tuple[bytes, str]:
    """Return the script for ``sh -s`` that runs commands apart, and its nonce."""
    nonce = secrets.token_hex(16)
    text = script.compose(_sections(commands), nonce, as_logged_in=True)
    return text.encode("utf-8", "surrogateescape"), nonce


def parse(raw: bytes, commands: Sequence[str], nonce: str) -> dict[str, Result]:
    """Return what each command printed and its status.

    A command without a whole answer is left out, as is one whose bytes are not UTF-8.
    """
    sections = script.parse(raw, _sections(commands), nonce).sections
    return {
        command: (output.rc, output.stdout.encode(), output.stderr.encode())
        for command, section in zip(commands, _sections(commands), strict=True)
        if _is_whole(output := sections[section.name]) and output.rc is not None
    }


def _sections(commands: Sequence[str]) -> tuple[Section, ...]:
    return tuple(Section(f"c{i}", command) for i, command in enumerate(commands))


def _is_whole(output: SectionOutput) -> bool:
    return (
        output.missing is None
        and output.rc != script.TIMED_OUT
        and not output.truncated
        and len(output.stderr.encode()) < script.STDERR_CAP_BYTES
        and "\ufffd" not in output.stdout + output.stderr
    )


class Ahead:
    """What the first host was asked, fetched from all others before their tests begin.

    Args:
        pool: Runs the commands.
        droplet_ids: The hosts of the run.
    """

    def __init__(self, pool: Fetcher, droplet_ids: Iterable[int]) -> None:
        self._pool = pool
        self._others = set(droplet_ids)
        self._first: int | None = None
        self._asked: dict[str, None] = {}
        self._fetched: dict[int, Future[Results]] | None = None

    def note(self, droplet_id: int, command: str) -> None:
        """Note what a test asked the first host."""
        if self._fetched is None and droplet_id == self._first and only_looks(command):
            self._asked[command] = None

    def answers(self, droplet_id: int) -> Results:
        """Return what was fetched of a host, as its tests begin; nothing of the first one.

        A host that was asked nothing is not the first: its tests were skipped.
        """
        if self._fetched is None:
            if not self._asked:
                self._first = droplet_id
                return {}
            others = sorted(self._others - {self._first})
            self._fetched = dict(self._pool.fetch(others, tuple(self._asked)))
        future = self._fetched.pop(droplet_id, None)
        try:
            return future.result() if future else {}
        except CancelledError:
            return {}
