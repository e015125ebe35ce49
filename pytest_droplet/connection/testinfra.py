"""testinfra's backend over the pool: ``host`` is the Droplet's host, with no process of its own.

testinfra makes backends by name from a table of its own and hands them nothing but text, so the
pool of the run is found through this module: :func:`activate` sets it, :func:`deactivate` ends it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import testinfra.backend
import testinfra.host
from testinfra.backend.base import BaseBackend, CommandResult

from pytest_droplet.connection.ahead import Ahead, Fetcher, Result
from pytest_droplet.connection.script import TIMED_OUT
from pytest_droplet.model import Droplet, HostReading, NotObservedError, Section
from pytest_droplet.text import line_of_bytes

ASKED_BY_ALL = (
    Section("testinfra_kernel", "uname -s"),
    Section("testinfra_machine", "uname -m"),
    Section("testinfra_release", "cat /etc/os-release"),
)
"""What nearly every module of testinfra asks first, whatever the test: read with the rest."""


class Runner(Protocol):
    """The part of the pool that the backend needs."""

    def get(self, droplet_id: int) -> HostReading:
        """Wait for a host's reading."""

    def run(self, droplet_id: int, command: str, timeout: float | None = None) -> Result:
        """Run a command (NotObservedError: it could not be run to its end)."""


@dataclass
class _Active:
    runner: Runner
    droplets: Mapping[str, Droplet]
    commands: Mapping[str, str]
    memos: dict[int, dict[str, Result]] = field(default_factory=dict)
    ahead: Ahead | None = None


_active: _Active | None = None

# Its own refusal, or the shell's word that there is no sudo.
_SUDO_SAYS = re.compile(rb"sudo(?:-rs)?: |(?=[^\n]*\bsudo: (?:command )?not found)")


def register() -> None:
    """Make ``droplet://`` known to testinfra."""
    testinfra.backend.BACKENDS[DropletBackend.NAME] = f"{__name__}.{DropletBackend.__name__}"


def activate(
    runner: Runner,
    droplets: Iterable[Droplet],
    sections: Iterable[Section] = (),
    *,
    prefetch: bool = False,
) -> None:
    """Let backends run their commands over this pool.

    Args:
        runner: The pool of the run.
        droplets: The selected Droplets.
        sections: What the pool reads: a command that is the same is answered from the reading.
        prefetch: Ask all other hosts ahead what the first was asked, where the pool can.
    """
    global _active  # noqa: PLW0603 testinfra hands a backend nothing but text
    register()
    known: dict[str, Droplet] = {}
    for droplet in droplets:
        known[droplet.pytest_id] = known[str(droplet.id)] = droplet
    _active = _Active(runner, known, {s.name: s.command for s in sections})
    if prefetch and isinstance(runner, Fetcher):
        _active.ahead = Ahead(runner, (d.id for d in known.values()))


def deactivate() -> None:
    """Forget the pool, and the hosts that testinfra would keep for good."""
    global _active  # noqa: PLW0603 as in activate
    _active = None
    hosts = testinfra.host.Host
    for cache in (hosts._host_cache, hosts._hosts_cache):  # noqa: SLF001 it has no other way out
        for key, kept in list(cache.items()):
            if any(isinstance(h.backend, DropletBackend) for h in _listed(kept)):
                del cache[key]


def forget(droplet_id: int) -> None:
    """Drop a Droplet's memo."""
    if _active is not None:
        _active.memos.pop(droplet_id, None)


class DropletBackend(BaseBackend):  # type: ignore[misc]
    """Runs commands over the connection of the pool.

    A command that the host script ran too, as the same user, is answered from its reading, and
    one that was fetched ahead from what was fetched.

    Args:
        hostspec: ``<name>-<id>`` or the id of a selected Droplet.
        sudo: Run commands by ``sudo -n``.
        sudo_user: The user that sudo changes to.
    """

    NAME = "droplet"

    def __init__(
        self,
        hostspec: str,
        sudo: bool = False,  # noqa: FBT001, FBT002 testinfra's signature
        sudo_user: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        del args, kwargs
        self.hostspec = hostspec
        super().__init__(hostspec, sudo, sudo_user)

    @property
    def droplet(self) -> Droplet:
        """The Droplet of this host.

        Raises:
            NotObservedError: It is not one of the run.
        """
        found = _current().droplets.get(self.hostspec)
        if found is None:
            raise NotObservedError(f"{self.hostspec} is none of the selected Droplets")
        return found

    def get_pytest_id(self) -> str:
        """Return ``<name>-<id>``."""
        return self.droplet.pytest_id

    def get_hostname(self) -> str:
        """Return the Droplet's name."""
        return self.droplet.name

    def get_encoding(self) -> str:
        """Return UTF-8: asking the host would cost a command."""
        return "utf-8"

    def decode(self, data: bytes) -> str:
        """Decode output, U+FFFD standing for what is not UTF-8."""
        return data.decode("utf-8", "replace")

    def encode(self, data: str) -> bytes:
        """Encode a command."""
        return data.encode("utf-8", "surrogateescape")

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """Return the command under ``sudo -n``, which never asks; as it is for root itself."""
        if sudo_user is None:
            if _current().runner.get(self.droplet.id).user == "root":
                return command
            return _by_sudo(command)
        return f"sudo -n -u {shlex.quote(sudo_user)} /bin/sh -c {shlex.quote(command)}"

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run a command and return its result.

        Raises:
            NotObservedError: The host is unreachable, gave no answer in time, or sudo refused.
        """
        del kwargs
        current, droplet = _current(), self.droplet
        reading = current.runner.get(droplet.id)
        if reading.state != "reached":
            raise reading.error(reading.reason or f"{droplet.name} is {reading.state}")
        text = self.get_command(command, *args)
        result = _memo(current, droplet.id).get(text)
        if result is None:
            result = current.runner.run(droplet.id, text)
            if current.ahead is not None:
                current.ahead.note(droplet.id, text)
        rc, stdout, stderr = result
        if text.startswith("sudo -n ") and rc in {1, 127} and _SUDO_SAYS.match(stderr):
            said = line_of_bytes(_SUDO_SAYS.sub(b"", stderr, count=1).splitlines()[0])
            raise NotObservedError(f"{droplet.name}: sudo -n was refused: {said}")
        return self.result(rc, self.encode(text), stdout, stderr)


def _current() -> _Active:
    if _active is None:
        raise NotObservedError("droplet:// hosts exist only in a run with --droplets")
    return _active


def _memo(current: _Active, droplet_id: int) -> dict[str, Result]:
    known = current.memos.get(droplet_id)
    if known is None:
        reading = current.runner.get(droplet_id)
        known = dict(current.ahead.answers(droplet_id)) if current.ahead is not None else {}
        known |= _prefilled(reading, current.commands)
        current.memos[droplet_id] = known
    return known


def _prefilled(reading: HostReading, commands: Mapping[str, str]) -> dict[str, Result]:
    """Return what the script ran, by the command line that would have the same user run it."""
    by_sudo = reading.root and reading.user != "root"
    return {
        _by_sudo(commands[name]) if by_sudo else commands[name]: (
            s.rc,
            s.stdout.encode(),
            s.stderr.encode(),
        )
        for name, s in reading.sections.items()
        if name in commands
        and s.rc not in {None, TIMED_OUT}
        and s.missing is None
        and not s.truncated
        and "\ufffd" not in s.stdout
    }


def _by_sudo(command: str) -> str:
    return f"sudo -n /bin/sh -c {shlex.quote(command)}"


def _listed(kept: Any) -> list[Any]:
    return kept if isinstance(kept, list) else [kept]
