"""Reads one host over its SSH connection: sends the script, and takes what it prints."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import asyncssh

from pytest_droplet.connection import script
from pytest_droplet.connection.answer import Question, read_answer
from pytest_droplet.connection.session import Capture, execute
from pytest_droplet.connection.ssh_config import Route
from pytest_droplet.model import HostReading, Probe, Section
from pytest_droplet.text import line_of_bytes


@dataclass(frozen=True, slots=True)
class Order:
    """What to read of every host, and how.

    Attributes:
        probe: Whether the probes are run.
        names: Served names that they ask for beside those of the host's configuration.
        timeout: Seconds for all of one host.
        command: The command line that reads the script from its standard input.
        as_user: The user that sudo runs the script as, where not root.
    """

    sections: tuple[Section, ...] = ()
    probes: tuple[Probe, ...] = ()
    probe: bool = True
    names: tuple[str, ...] = ()
    timeout: float = 60
    command: str = "sh -s"
    as_user: str | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """Which host is read."""

    droplet_id: int
    name: str
    route: Route

    def question(self, order: Order) -> Question:
        """Return what this host is asked."""
        return Question(
            self.droplet_id,
            self.name,
            self.route.host,
            order.sections,
            as_user=order.as_user,
            names=order.names,
            timeout_s=script.section_timeout_s(order.timeout),
        )

    def unreachable(self, reason: str) -> HostReading:
        """Return the reading that says why there is none."""
        nothing = Question(self.droplet_id, self.name, self.route.host)
        return self.logged_in(nothing.unreachable(reason, datetime.now(UTC)))

    def logged_in(self, reading: HostReading) -> HostReading:
        """Return a reading with how its login came."""
        route = self.route
        return replace(reading, port=route.port, user=route.user, via=route.via)


async def read_script(
    connection: asyncssh.SSHClientConnection,
    host: Host,
    order: Order,
    budget: float,
    *,
    age_s: float | None = None,
    keep: bool = False,
) -> tuple[HostReading, int]:
    """Run the script and read what came back; never raises for what the host does.

    Args:
        connection: To the host, logged in.
        host: Which host it is meant to be.
        order: What to read.
        budget: Seconds that are left for it.
        age_s: Seconds since the login began.
        keep: Wait until the server has closed the session too, as more will follow
            (``MaxSessions 1``).

    Returns:
        The reading without probes, and how many bytes the host sent.
    """
    question = replace(host.question(order), age_s=age_s)
    capture = Capture(question.longest_bytes, until=b"" if keep else question.end)
    cut = script.CUT
    failure = ""
    try:
        async with asyncio.timeout(budget):
            await execute(connection, order.command, capture, question.script)
    except TimeoutError:
        cut = f"the host's time limit of {order.timeout:g} s ended the reading"
        failure = (
            f"no answer from its shell within the time limit of {order.timeout:g} s;"
            " look at the load of the host and at the login's start-up files"
        )
    except asyncssh.ChannelOpenError as exc:
        failure = _no_shell(host, line_of_bytes(str(exc.reason).encode()))
    except (asyncssh.Error, OSError):
        pass  # the connection is gone: what came before is parsed
    got = capture.result()
    if got.overflow:
        cut = f"the host printed more than {len(got.stdout):,} bytes, and was cut there"
    said = script.preamble(got.stdout, question.nonce) or line_of_bytes(got.stderr)
    reading = read_answer(
        got.stdout,
        question,
        observed_at=datetime.now(UTC),
        cut=cut,
        no_answer=failure or _no_shell(host, said or _silence(got.rc)),
    )
    return host.logged_in(reading), len(got.stdout)


def _no_shell(host: Host, said: str) -> str:
    return (
        f"{host.route.user}@{host.route.host} got no shell ({said});"
        " the audit needs a login that may run sh: name one with --droplets-user"
    )


def _silence(rc: int | None) -> str:
    return "nothing was printed" + ("" if rc is None else f", exit status {rc}")
