"""The running kernel: its release, its start, the host's clock and the boot arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from pytest_droplet.facts import Observation, fact
from pytest_droplet.model import NotObservedError, Section
from pytest_droplet.text import one_line

KERNEL = Section.of_files("facts/host/kernel.sh")
CMDLINE = Section.of_files("facts/host/cmdline.sh")

_KERNEL = re.compile(r"(\S+) (\S+) (\S+)\n(.*)\n(\d{1,11})\nbtime (\d{1,11})\s*")
_TOKEN = re.compile(r'(?:[^\s"]|"[^"]*(?:"|\Z))+')


@dataclass(frozen=True, slots=True)
class Kernel:
    """The running kernel. In a container it is the machine's, as is ``booted_at``."""

    system: str
    release: str
    machine: str
    version: str
    clock: datetime
    booted_at: datetime

    def __str__(self) -> str:
        booted = f"booted {self.booted_at:%Y-%m-%d %H:%M:%S} UTC"
        return one_line(f"{self.system} {self.release} {self.machine}, {booted}")


@dataclass(frozen=True, slots=True)
class KernelArguments:
    """Arguments that a kernel was, or will be, booted with, in their order."""

    tokens: tuple[str, ...]

    def last(self, name: str) -> str | None:
        """Return the value of the last ``name=value``, None where there is none.

        Names are compared as the kernel does: ``-`` and ``_`` are the same, case counts. What
        follows a lone ``--`` belongs to init.
        """
        wanted = name.replace("-", "_")
        found = None
        for token in self.tokens:
            if token == "--":  # noqa: S105 an argument, no password
                break
            key, equals, value = token.partition("=")
            if equals and key.strip('"').replace("-", "_") == wanted:
                found = value.strip('"')
        return found

    def __str__(self) -> str:
        return one_line(" ".join(self.tokens))


@fact("uname; grep btime /proc/stat", sections=(KERNEL,))
def droplet_kernel(observation: Observation) -> Kernel:
    """Return release, machine, clock and start of the running kernel."""
    return parse_kernel(observation.section(KERNEL.name).stdout)


@fact("cat /proc/cmdline", sections=(CMDLINE,))
def droplet_kernel_arguments(observation: Observation) -> KernelArguments:
    """Return the arguments that the running kernel was booted with."""
    output = observation.section(CMDLINE.name)
    if output.rc != 0 or not output.stdout:
        raise NotObservedError(f"it could not be read: {one_line(output.stderr) or 'empty'}")
    return parse_kernel_arguments(output.stdout)


def parse_kernel(text: str) -> Kernel:
    """Parse ``uname -srm``, ``uname -v``, ``date +%s`` and the line ``btime``.

    Raises:
        NotObservedError: A line is absent or not as expected.
    """
    found = _KERNEL.fullmatch(text)
    if found is None:
        raise NotObservedError(f"unexpected answer: {one_line(text) or 'empty'}")
    clock, booted = (datetime.fromtimestamp(int(n), UTC) for n in found.groups()[4:])
    return Kernel(found[1], found[2], found[3], found[4], clock, booted)


def parse_kernel_arguments(text: str) -> KernelArguments:
    """Split a kernel command line; double quotes hold blanks together, as in the kernel."""
    return KernelArguments(tuple(_TOKEN.findall(text)))
