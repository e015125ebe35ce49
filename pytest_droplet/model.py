"""Data that every stage shares: frozen, and with no more behaviour than names it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, Protocol, Self, TypeVar, get_args

import pytest

from pytest_droplet.script_files import ScriptFile, read_script
from pytest_droplet.words import Outcome, Severity

T = TypeVar("T")

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")

KUBERNETES = "DigitalOcean Kubernetes"

ApiList = Literal[
    "firewalls",
    "firewalls_again",
    "keys",
    "backup_policies",
    "backups",
    "enabled_at",
    "volume_snapshots",
    "account_id",
]
"""What is asked of the API only where a selected check, test or report needs it.

Each is the field of the inventory that it fills; ``firewalls`` fills ``attached`` too.
"""
API_LISTS: tuple[ApiList, ...] = tuple(n for n in get_args(ApiList) if n != "account_id")
"""Those that facts and checks may name: all but the account's id, which findings alone carry."""


class NotObservedError(Exception):
    """A fact that a check needs was not observed: the verdict is ``unknown``, never a pass."""


class NotReachedError(NotObservedError):
    """It was not observed for the host was not reached; no other reason is known."""


def forget_traceback(raised: BaseException) -> None:
    """Let an exception that was dealt with keep no frame.

    A frame that has the exception in a variable would otherwise keep itself, and all that was read
    of a host, until Python's garbage collector comes by.
    """
    raised.with_traceback(None)


def not_applicable(reason: str) -> NoReturn:
    """End a check whose subject does not exist, with the reason (``pytest.skip``)."""
    pytest.skip(reason)


Item = Mapping[str, Any]
"""A JSON object that says one thing that a finding is about: a key, a rule, a package."""


class Described(Protocol):
    """What a finding can be about."""

    @property
    def details(self) -> Item:
        """What a reader needs of it, without key material and secrets."""
        ...


class FindingError(AssertionError):
    """A failed check that says what it is about; ``details`` has items by the name of a fact."""

    def __init__(self, message: str, details: Mapping[str, Sequence[Item]]) -> None:
        super().__init__(message)
        self.details = details


def fail(message: str, **about: Iterable[Item | Described]) -> NoReturn:
    """End a check as failed, with the data that its message was made of.

    Args:
        message: What was seen, for people.
        about: By the name of a fact, what of it the finding is about: JSON objects, or objects
            whose ``details`` is one. They stand in the record, so that no reader parses messages.
    """
    items = {
        fact: [dict(i) if isinstance(i, Mapping) else i.details for i in found]
        for fact, found in about.items()
    }
    raise FindingError(message, items)


class Claims:
    """Several claims of one check, judged together: a failure beats a missing fact.

    Each ``with claim:`` block keeps its assertion or its :class:`NotObservedError`; leaving the
    outer block raises the assertions, joined by semicolons, or else the first missing fact::

        with Claims() as claim:
            with claim:
                assert droplet_auditd_unit.enabled, "auditd.service is not enabled"
            with claim:
                assert droplet_audit_status.pid, "no daemon listens"
    """

    def __init__(self) -> None:
        self._depth = 0
        self._failures: list[str] = []
        self._details: dict[str, list[Item]] = {}
        self._missing: list[NotObservedError] = []

    def __enter__(self) -> Self:
        self._depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._depth -= 1
        if self._depth:
            if isinstance(exc, AssertionError | NotObservedError):
                forget_traceback(exc)
            if isinstance(exc, AssertionError):
                self._failures.append(str(exc).split("\nassert ", 1)[0])
                for fact, items in getattr(exc, "details", {}).items():
                    self._details.setdefault(fact, []).extend(items)
                return True
            if isinstance(exc, NotObservedError):
                self._missing.append(exc)
                return True
            return False
        if exc is None and self._failures:
            raise FindingError("; ".join(self._failures), self._details)
        if exc is None and self._missing:
            raise self._missing.pop(0)
        return False


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a Droplet, as the API lists it."""

    ip: str
    version: Literal[4, 6]
    kind: Literal["public", "private", "reserved"]


@dataclass(frozen=True, slots=True)
class Image:
    """The image that the Droplet was created from; the host may have been upgraded since."""

    id: int | None = None
    distribution: str | None = None
    name: str | None = None
    slug: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Droplet:
    """A Droplet of the account, from ``GET /v2/droplets``.

    ``hidden`` names the fields that the token may not read (API field names): an empty value of
    such a field says nothing. ``pool`` is the name of the autoscale pool that it is a member of.
    """

    id: int
    name: str
    status: str = "active"
    created_at: datetime | None = None
    region: str = ""
    size: str = ""
    tags: tuple[str, ...] = ()
    vpc_uuid: str | None = None
    image: Image = field(default_factory=Image)
    features: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    backup_ids: tuple[int, ...] = ()
    volume_ids: tuple[str, ...] = ()
    disk_gigabytes: int = 0
    kernel: str | None = None
    project: str | None = None
    managed_by: str | None = None
    hidden: frozenset[str] = frozenset()
    pool: str | None = None

    @property
    def urn(self) -> str:
        """DigitalOcean's uniform resource name, ``do:droplet:123``."""
        return f"do:droplet:{self.id}"

    @property
    def pytest_id(self) -> str:
        """``<name>-<id>``: names repeat, ids do not. Safe inside a node id."""
        return f"{_UNSAFE.sub('_', self.name)}-{self.id}"

    @property
    def ephemeral(self) -> str | None:
        """What makes and destroys it without anybody's doing: a pool, a cluster; None: nothing."""
        if self.pool is not None:
            return f"autoscale pool {self.pool}"
        return KUBERNETES if self.managed_by == KUBERNETES else None


@dataclass(frozen=True, slots=True)
class Rule:
    """One inbound or outbound rule of a Cloud Firewall.

    ``ports`` is the API's text: ``22``, ``8000-9000``, ``0`` or ``all``. Peers are the sources of
    an inbound rule and the destinations of an outbound one. ``action`` is ``allow`` or ``deny``: a
    deny rule wins over every allow rule of every firewall of a Droplet. Words are as the API gave
    them, known or not. ``unclear`` says what else of the rule is not understood, each a field and
    what is wrong with it: nobody may draw a conclusion from the rule then.
    """

    protocol: str
    ports: str
    addresses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    droplet_ids: tuple[int, ...] = ()
    load_balancer_uids: tuple[str, ...] = ()
    kubernetes_ids: tuple[str, ...] = ()
    action: str = "allow"
    unclear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change of a Cloud Firewall that is not applied to a Droplet yet."""

    droplet_id: int
    removing: bool
    status: str


@dataclass(frozen=True, slots=True)
class Firewall:
    """A Cloud Firewall, from ``GET /v2/firewalls`` or ``/v2/droplets/{id}/firewalls``.

    ``unclear`` says what of it, beside its rules, is not understood: it may change what the
    firewall does.
    """

    id: str
    name: str
    status: str
    droplet_ids: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    inbound: tuple[Rule, ...] = ()
    outbound: tuple[Rule, ...] = ()
    pending: tuple[PendingChange, ...] = ()
    unclear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountKey:
    """An SSH key of the account. ``public_key`` is the OpenSSH line: never print it whole."""

    id: int
    name: str
    fingerprint: str
    public_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BackupPolicy:
    """The backup policy of a Droplet; ``plan`` and the rest are None where backups are off."""

    enabled: bool
    plan: str | None = None
    weekday: str | None = None
    hour: int | None = None
    window_hours: int | None = None
    retention_days: int | None = None
    next_window_start: datetime | None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup image of a Droplet."""

    id: int
    created_at: datetime
    size_gigabytes: float | None = None
    min_disk_size: int | None = None
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """One observation: its value, or the reason why there is none.

    ``source`` is what a person would type to see the same (a command, ``GET /v2/...``);
    ``missing`` is None exactly when ``value`` was observed; ``unreached`` says that it is missing
    for the host was not reached, and not for a reason of its own.
    """

    source: str
    observed_at: datetime
    value: T | None = None
    missing: str | None = None
    unreached: bool = False

    def get(self) -> T:
        """Return the value.

        Raises:
            NotObservedError: There is none; the text has the source and the reason.
        """
        if self.missing is not None:
            raise self.error(f"{self.source}: {self.missing}")
        return self.value  # type: ignore[return-value]

    def error(self, text: str) -> NotObservedError:
        """Return the error that tells why there is no value."""
        return NotReachedError(text) if self.unreached else NotObservedError(text)


@dataclass(frozen=True, slots=True)
class SupportDates:
    """The last days of support of a release, as endoflife.date has them; None: it names no day."""

    product: str
    cycle: str
    security_until: date | None
    active_until: date | None = None
    extended_until: date | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the API says of the whole account, read once; each list complete or missing.

    ``droplets`` holds every Droplet of the account, ``selected`` the ids that the selectors chose.
    ``attached`` holds the answers of ``/v2/droplets/{id}/firewalls``, asked only where the token
    does not see tags, and nothing for Droplets that no listed firewall names; ``enabled_at`` the
    last completed ``enable_backups`` action, asked only for Droplets with backups on and no backup
    yet. ``support`` holds the newest dates of endoflife.date, None where nobody asked for them.
    ``notes`` is what the user should know of the reading, a line each. ``account_id`` is the id of
    the account or team; empty: it is not known.
    """

    read_at: datetime
    endpoint: str
    droplets: tuple[Droplet, ...]
    selected: tuple[int, ...]
    firewalls: Reading[tuple[Firewall, ...]]
    keys: Reading[tuple[AccountKey, ...]]
    backup_policies: Reading[Mapping[int, BackupPolicy]]
    backups: Reading[Mapping[int, tuple[Backup, ...]]]
    attached: Mapping[int, Reading[tuple[Firewall, ...]]] = field(default_factory=dict)
    enabled_at: Mapping[int, Reading[datetime | None]] = field(default_factory=dict)
    requests: int = 0
    support: Reading[tuple[SupportDates, ...]] | None = None
    notes: tuple[str, ...] = ()
    account_id: str = ""

    def droplet(self, droplet_id: int) -> Droplet:
        """Return the Droplet with this id (KeyError: not of this account)."""
        for droplet in self.droplets:
            if droplet.id == droplet_id:
                return droplet
        raise KeyError(droplet_id)

    @property
    def selection(self) -> tuple[Droplet, ...]:
        """The selected Droplets, by id."""
        chosen = frozenset(self.selected)
        return tuple(sorted((d for d in self.droplets if d.id in chosen), key=lambda d: d.id))

    @property
    def covers_account(self) -> bool:
        """Whether every Droplet of the account is selected."""
        return len(self.selected) == len(self.droplets)


# What a section's processes may have unless it says more: small tools have 10 to 60 MiB.
ADDRESS_SPACE_MB = 256


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of the host script: shell code whose output one or more facts parse.

    ``command`` is POSIX sh, run as ``sh -c`` with standard input from ``/dev/null``, a time limit
    and an output cap. With ``root`` it is only run as uid 0. It must change nothing on the host.
    ``files`` are those that the command was made of, for people to read; none: it is as written.
    ``address_space_mb`` bounds each of its processes in MiB (RLIMIT_AS, setrlimit(2)); None: it
    has the login's own limit. ``mask`` returns of an output what a recording keeps; it must
    change nothing that a fact tells.
    """

    name: str
    command: str
    root: bool = False
    files: tuple[ScriptFile, ...] = ()
    address_space_mb: int | None = None
    mask: Callable[[str], str] | None = None

    @classmethod
    def of_files(
        cls,
        *paths: str,
        root: bool = False,
        address_space_mb: int = ADDRESS_SPACE_MB,
        mask: Callable[[str], str] | None = None,
    ) -> Self:
        """Return the section of files of this package, named after the last one.

        Args:
            paths: Such as ``facts/firewall/nft.sh``. Before it stand programs that it has in
                variables of their names, and shell text that sections share.
            root: Whether it is only run as uid 0.
            address_space_mb: The most that each of its processes may have, in MiB.
            mask: What a recording keeps of its output; None: all but what looks like a secret.
            mask: What a recording keeps of its output; None: all but what looks like a secret.
        """
        files = tuple(read_script(path) for path in paths)
        name = paths[-1].rpartition("/")[2].removesuffix(".sh")
        command = "".join(file.sent for file in files)
        return cls(name, command, root, files, address_space_mb, mask)

    @property
    def shown(self) -> str:
        """The text for people: with comments and indentation where it comes from files."""
        return "\n".join(file.shown for file in self.files) or self.command


@dataclass(frozen=True, slots=True)
class SectionOutput:
    """What one section printed, decoded as UTF-8 with U+FFFD for what is not.

    ``rc`` is 127 where the tool is absent and 124 where the time limit ended it, as the shell and
    timeout(1) have it. ``missing`` is the reason why nothing can be said (not run without root,
    connection cut before its end, time limit); ``truncated`` says that the cap cut the output.
    """

    name: str
    stdout: str = ""
    stderr: str = ""
    rc: int | None = None
    truncated: bool = False
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """Something observed from the auditor's side, next to the script.

    ``run`` gets the Droplet's address to connect to and the host's sections (for names and ports
    to try) and returns JSON-able data; it opens connections, changes nothing, and is cancelled
    at the time limit of the host. It raises NotObservedError for "cannot tell".
    """

    name: str
    run: Callable[[str, HostReading], Awaitable[Any]]
    sections: tuple[Section, ...] = ()


HostState = Literal["reached", "unreachable", "off", "not-ours", "not-read"]
Way = Literal["direct", "jump", "command"]
"""How a host was reached: from here, through a jump host, or by the user's ProxyCommand."""


@dataclass(frozen=True, slots=True)
class Target:
    """A host to read: its Droplet, and the address that the API gives for it."""

    droplet_id: int
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class HostReading:
    """All that was read of one host: sections by name, probe results by name.

    ``reason`` is one line for the user where ``state`` is not ``reached``. ``root`` tells whether
    the script ran as uid 0, ``root_reason`` why not. ``names`` are served names that probes ask
    for beside those of the host's configuration (the setting ``tls_names``). ``via`` is how the
    login came to ``address``; None: the transport does not tell.
    """

    droplet_id: int
    state: HostState
    observed_at: datetime
    reason: str = ""
    address: str = ""
    port: int = 22
    user: str = ""
    root: bool = False
    root_reason: str = ""
    sections: Mapping[str, SectionOutput] = field(default_factory=dict)
    probes: Mapping[str, Any] = field(default_factory=dict)
    probe_errors: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    via: Way | None = None

    def section(self, name: str, *, complete: bool = True) -> SectionOutput:
        """Return a section's output.

        Raises:
            NotObservedError: It was not read, not to its end, or (with ``complete``) truncated.
        """
        if self.state != "reached":
            raise self.error(self.reason or self.state)
        output = self.sections.get(name)
        if output is None:
            raise NotObservedError(f"{name}: the host's answer has no such section")
        if output.missing is not None:
            raise NotObservedError(output.missing)
        if output.rc == 124:
            raise NotObservedError("no answer within the time limit of the section")
        if complete and output.truncated:
            raise NotObservedError("the output was longer than the cap and is cut")
        return output

    def probe(self, name: str) -> Any:
        """Return a probe's result.

        Raises:
            NotObservedError: It was not run or could not tell.
        """
        if name in self.probe_errors:
            raise NotObservedError(self.probe_errors[name])
        if name not in self.probes:
            raise self.error(self.reason or "not probed")
        return self.probes[name]

    def error(self, text: str) -> NotObservedError:
        """Return the error of what was not read of this host."""
        return NotReachedError(text) if self.state == "unreachable" else NotObservedError(text)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact that a verdict rests on: its name, where and when it was read, and its text."""

    fact: str
    source: str
    observed_at: datetime
    value: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one check on one Droplet (``droplet_id`` None: on the account).

    ``waiver`` is the waiver that accepts the finding, or has expired; ``below`` why a finding
    does not fail the run. Both come from the gate. ``details`` has, by the name of a fact, what of
    it a failure is about, and ``left_out`` how much more of it there was. ``unreached`` says of an
    unknown that the host was not reached, and that nothing else is known to be missing.
    """

    check: str
    droplet_id: int | None
    outcome: Outcome
    severity: Severity
    message: str
    evidence: tuple[Evidence, ...] = ()
    caused_by: str | None = None
    duration_s: float = 0.0
    traceback: str | None = None
    details: Mapping[str, Sequence[Item]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    waiver: Mapping[str, Any] | None = None
    below: str | None = None
    unreached: bool = False
