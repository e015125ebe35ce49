"""Reads one host over its connection: the script, who the host is, the probes."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import asyncssh

from pytest_droplet.connection import identity, script
from pytest_droplet.connection.probe import SSH_AUTH, jump_host
from pytest_droplet.connection.session import Capture, execute
from pytest_droplet.connection.ssh_config import Route
from pytest_droplet.model import HostReading, NotObservedError, Probe, Section, SectionOutput
from pytest_droplet.text import line_of_bytes

_HARD_CAP_BYTES = 64 * 2**20
_FRAME_BYTES = 65_536
# Addresses that mean another machine, or none, where the host is not: behind a bastion they do.
_LOCAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
            *("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"),
        ),
    )
)


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

    def reading(self, **more: Any) -> HostReading:
        """Return a reading of this host, taken now."""
        return HostReading(
            self.droplet_id,
            observed_at=datetime.now(UTC),
            address=self.route.host,
            port=self.route.port,
            user=self.route.user,
            via=self.route.via,
            **more,
        )

    def unreachable(self, reason: str) -> HostReading:
        """Return the reading that says why there is none."""
        return self.reading(state="unreachable", reason=f"{self.name}: {reason}")


async def read_script(
    connection: asyncssh.SSHClientConnection,
    host: Host,
    order: Order,
    budget: float,
    *,
    keep: bool = False,
) -> tuple[HostReading, int]:
    """Run the script and judge what came back; never raises for what the host does.

    Args:
        connection: To the host, logged in.
        host: Which host it is meant to be.
        order: What to read.
        budget: Seconds that are left for it.
        keep: Wait until the server has closed the session too, as more will follow
            (``MaxSessions 1``).

    Returns:
        The reading without probes, and how many bytes the host sent.
    """
    sections = (identity.section(host.droplet_id), *order.sections)
    nonce = secrets.token_hex(16)
    capture = Capture(_cap(sections), until=b"" if keep else f"\n--{nonce} eof\n".encode())
    text = script.compose(sections, nonce).encode("utf-8", "surrogateescape")
    cut = script.CUT
    failure = ""
    try:
        async with asyncio.timeout(budget):
            await execute(connection, order.command, capture, text)
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
    answer = script.parse(got.stdout, sections, nonce, cut=cut)
    if script.SELF not in answer.sections:
        said = script.preamble(got.stdout, nonce) or line_of_bytes(got.stderr)
        reading = host.unreachable(failure or _no_shell(host, said or _silence(got.rc)))
    else:
        reading = _judge(host, order, answer)
    return reading, len(got.stdout)


async def run_probes(
    reading: HostReading, order: Order, budget: float, tunnel: Any = None
) -> HostReading:
    """Return the reading with the probes' results, or why each has none.

    Args:
        reading: What was read of the host.
        order: What to read.
        budget: Seconds that are left for it.
        tunnel: The connection to the jump host before the host, where there is one: SSH is asked
            through it. All else is looked at from here, where the address is the host's here.
    """
    if reading.state != "reached" or not order.probes:
        return reading
    if not order.probe:
        off = {p.name: "not probed (--droplets-probe=off)" for p in order.probes}
        return replace(reading, probe_errors=off)
    chosen, refused = order.probes, {}
    if reading.via in {"jump", "command"} and not _means_the_same_here(reading.address):
        why = f"not probed: from here, {reading.address} is not the host behind the bastion"
        chosen = tuple(p for p in chosen if p.name == SSH_AUTH.name and tunnel is not None)
        refused = {p.name: why for p in order.probes if p not in chosen}
    jump_host.set(tunnel)
    results = await asyncio.gather(*(_probe(p, reading, budget) for p in chosen))
    return replace(
        reading,
        probes={name: value for name, value, error in results if not error},
        probe_errors=refused | {name: error for name, _, error in results if error},
    )


def _means_the_same_here(address: str) -> bool:
    """Whether an address is the host's from everywhere; a name may be anything."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not any(ip in network for network in _LOCAL)


async def _probe(probe: Probe, reading: HostReading, budget: float) -> tuple[str, Any, str]:
    try:
        async with asyncio.timeout(budget):
            return probe.name, await probe.run(reading.address, reading), ""
    except TimeoutError:
        return probe.name, None, "the host's time limit ended the probe"
    except NotObservedError as exc:
        return probe.name, None, str(exc) or "the probe could not tell"
    except Exception as exc:  # noqa: BLE001 a probe meets hostile peers: its failure is a reason
        text = line_of_bytes(f"{type(exc).__name__}: {exc}".encode("utf-8", "replace"))
        return probe.name, None, f"the probe failed ({text})"


def _judge(host: Host, order: Order, answer: script.Answer) -> HostReading:
    """Keep the sections only of a host that proved to be the Droplet."""
    sections = answer.sections
    try:
        claimed = identity.claimed_id(sections[identity.NAME])
    except NotObservedError as exc:
        return host.unreachable(
            f"identity not proved ({exc}); on the host, look at"
            " /var/lib/cloud/data/instance-id and the metadata service"
        )
    if claimed != str(host.droplet_id):
        return host.unreachable(
            f"wrong host: {host.route.host} says Droplet {line_of_bytes(claimed.encode())},"
            f" the API says {host.droplet_id}; the address was reused or the inventory is old:"
            " run again"
        )
    own = sections.pop(script.SELF).stdout.split("\n", 2)
    if order.as_user and own[2:] and own[2]:
        said = line_of_bytes(own[2].encode("utf-8", "replace"))
        return host.unreachable(
            f"sudo -n -u {order.as_user} was refused ({_without_name(said)});"
            " check --sudo-user and sudoers on the host"
        )
    root = answer.uid == 0
    why = "" if root else _root_reason(order, own)
    return host.reading(
        state="reached",
        root=root,
        root_reason=why,
        sections=_explained(sections, why),
        names=order.names,
    )


def _root_reason(order: Order, own: Sequence[str]) -> str:
    uid, user, said = (*own, "", "", "")[:3]
    said = line_of_bytes(said.encode("utf-8", "replace"))
    if "not found" in said:
        return "sudo is not installed, and the login is not root"
    if said:
        return f"sudo -n was refused: {_without_name(said)}"
    if order.as_user:
        return f"the script ran as {order.as_user} (--sudo-user)"
    return f"the script ran as {line_of_bytes(user.encode()) or 'uid ' + uid}, without sudo"


def _without_name(said: str) -> str:
    return said.removeprefix("sudo-rs: ").removeprefix("sudo: ")


def _explained(
    sections: Mapping[str, SectionOutput], root_reason: str
) -> dict[str, SectionOutput]:
    return {
        name: replace(s, missing=f"needs root; {root_reason}")
        if s.missing == script.SKIPPED
        else s
        for name, s in sections.items()
    }


def _no_shell(host: Host, said: str) -> str:
    return (
        f"{host.route.user}@{host.route.host} got no shell ({said});"
        " the audit needs a login that may run sh: name one with --droplets-user"
    )


def _silence(rc: int | None) -> str:
    return "nothing was printed" + ("" if rc is None else f", exit status {rc}")


def _cap(sections: Sequence[Section]) -> int:
    each = script.STDOUT_CAP_BYTES + script.STDERR_CAP_BYTES + 512
    return min(_HARD_CAP_BYTES, _FRAME_BYTES + len(sections) * each)
