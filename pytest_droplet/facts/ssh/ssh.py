"""What sshd lets in, as it is configured and as it is seen from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pytest_droplet.connection.probe import SSH_AUTH
from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.units import Units
from pytest_droplet.facts.host.whole import not_whole
from pytest_droplet.facts.ssh.sshd import SSHD, SshAccount, Sshd, parse_sshd, processes_in
from pytest_droplet.model import NotObservedError, Reading, SectionOutput
from pytest_droplet.text import one_line

_UNITS = ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket")


@dataclass(frozen=True, slots=True)
class SshAccounts:
    """The accounts that may log in over SSH, by uid 0, a password, or keys and a shell."""

    accounts: tuple[SshAccount, ...]

    def __str__(self) -> str:
        return one_line(", ".join(map(str, self.accounts)))


@dataclass(frozen=True, slots=True)
class OfferedMethods:
    """Authentication methods that the running server names, by user, before any proof.

    ``explanation`` says why they differ from the configuration, where both are known.
    """

    by_user: Mapping[str, tuple[str, ...]]
    explanation: str = ""

    def __str__(self) -> str:
        return one_line(
            "; ".join(f"{user}: {', '.join(names)}" for user, names in self.by_user.items())
        )


@fact("sshd -T -C user=...,host=...,addr=...", sections=(SSHD,))
def droplet_sshd(observation: Observation, droplet_units: Reading[Units]) -> Sshd:
    """Return what sshd is configured to do for every connection that a client could open.

    Raises:
        NotObservedError: sshd could not be asked, or another program serves SSH.
    """
    output = observation.section(SSHD.name)
    processes = [name for name in processes_in(output.stdout) if name != "sssd"]
    if "sshd" not in processes and not any(p.startswith("sshd") for p in processes):
        if processes:
            raise NotObservedError(
                f"no sshd runs but {one_line(processes[0], 40)}, whose settings are not read"
            )
        if not _may_be_active(droplet_units):
            if unread := next(not_whole(output.stdout), ""):
                raise NotObservedError(f"no sshd was seen, and {unread} could not be read")
            return Sshd(running=False)
    if output.rc == 127:
        raise NotObservedError("sshd is not in PATH")
    return observation.parsed(SSHD.name, _parse)


@fact(
    "getent passwd; /etc/shadow (classes only)",
    sections=(SSHD,),
    items=lambda found: [account.details for account in found.accounts],
)
def droplet_ssh_accounts(observation: Observation) -> SshAccounts:
    """Return the accounts that may log in over SSH, with the class of their password."""
    sshd = observation.parsed(SSHD.name, _parse)
    if not sshd.accounts:
        raise NotObservedError("the host's answer names no account")
    return SshAccounts(sshd.accounts)


def _parse(output: SectionOutput) -> Sshd:
    return parse_sshd(output.stdout)


@fact("ssh -o PreferredAuthentications=none", probes=(SSH_AUTH,))
def droplet_ssh_offered(
    observation: Observation, droplet_sshd: Reading[Sshd], droplet_units: Reading[Units]
) -> OfferedMethods:
    """Return the methods that the running server offers to root and to an unknown user.

    Raises:
        NotObservedError: It was not probed, or named no method.
    """
    offered = parse_offered(observation.probe(SSH_AUTH.name))
    return replace(offered, explanation=_explanation(droplet_sshd, droplet_units))


def parse_offered(result: object) -> OfferedMethods:
    """Read the result of the probe: user name to list of method names.

    Raises:
        NotObservedError: It is nothing of the kind, has not two users, or a list is empty.
    """
    if not isinstance(result, Mapping) or len(result) < 2 or "root" not in result:
        raise NotObservedError("the probe did not ask as root and as an unknown user")
    by_user: dict[str, tuple[str, ...]] = {}
    for user, names in result.items():
        if not isinstance(names, list) or not names:
            raise NotObservedError(f"the server named no method to {one_line(str(user), 40)}")
        by_user[one_line(str(user), 40)] = tuple(one_line(str(n), 40) for n in names)
    return OfferedMethods(by_user)


def _may_be_active(observed: Reading[Units]) -> bool:
    try:
        units = observed.get()
        return any(units[name].is_active for name in _UNITS)
    except NotObservedError:
        return True


def _explanation(configured: Reading[Sshd], units: Reading[Units]) -> str:
    """Say why a server may offer more than its configuration allows; empty: it is not known."""
    try:
        sshd = configured.get()
        ways = [c for c in sshd.connections if c.takes_password or c.takes_keyboard_interactive]
    except NotObservedError:
        return ""
    if ways or not sshd.running:
        return ""
    changed = max(sshd.files, key=lambda f: f.changed_at, default=None)
    try:
        known = units.get()
        loaded = max(t for n in _UNITS[:2] if (t := known[n].changed_at) is not None)
    except (NotObservedError, ValueError):
        loaded = None
    if changed is not None and loaded is not None and changed.changed_at > loaded:
        return (
            f"sshd -T says no: {one_line(changed.path, 100)} was changed at "
            f"{changed.changed_at:%Y-%m-%d %H:%M:%S} UTC, after sshd was last loaded at "
            f"{loaded:%Y-%m-%d %H:%M:%S} UTC: it was not reloaded"
        )
    return "sshd -T says no: sshd was not reloaded, or another sshd answers at this port"
