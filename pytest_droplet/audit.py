"""One run: the inventory, the hosts being read, and what is known of each Droplet so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pytest_droplet.api.inventory import AddressKind, address_for
from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.connection import testinfra
from pytest_droplet.facts import (
    Account,
    DropletFacts,
    Fact,
    FactError,
    all_facts,
    needed,
    unread_rows,
)
from pytest_droplet.facts.firewall.access import access_probe
from pytest_droplet.frameworks import OwnFramework
from pytest_droplet.gate import Gate
from pytest_droplet.hooks import Hosts
from pytest_droplet.model import (
    ApiList,
    Droplet,
    HostReading,
    Inventory,
    Probe,
    Reading,
    Section,
    Target,
)
from pytest_droplet.options import AuditConfig
from pytest_droplet.record import (
    ENDED,
    DropletLine,
    EvidenceLine,
    Replay,
    ResultLine,
    droplet_line,
)
from pytest_droplet.recording import Recorder
from pytest_droplet.settings import Settings
from pytest_droplet.text import one_line
from pytest_droplet.verdict import whole_evidence

_ALWAYS = ("droplet_os_release",)
NOT_READ = "no selected check reads the host"
_STATUS_WORDS = {"off": "off", "new": "being created", "archive": "archived"}


@dataclass
class Audit:
    """The state of one run in one process (a worker of pytest-xdist has its own).

    Attributes:
        now: The time that ages and dates are judged at: the recording's in a replay.
        sections: What is read of every host.
        lists: The lists of the API that are needed.
        reads_hosts: Whether some selected check or test needs a host.
        needs_rows: Whether a selected check of the account judges rows of every Droplet.
        replay: ``recorded_at`` and ``source`` of the recording; None in a live run.
        rows: Rows of the Droplets that were read, for the checks of the account.
        frameworks: Those of the site, by name.
    """

    options: AuditConfig
    settings: Settings
    inventory: Inventory
    hosts: Hosts
    now: datetime
    started_at: datetime
    gate: Gate
    replay: Replay | None = None
    recorder: Recorder | None = None
    frameworks: Mapping[str, OwnFramework] = field(default_factory=dict)
    rows: dict[int, Mapping[str, Reading[Any]]] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    sections: tuple[Section, ...] = ()
    lists: frozenset[ApiList] = frozenset()
    reads_hosts: bool = True
    needs_rows: bool = False
    _lines: dict[int, DropletLine] = field(default_factory=dict)
    _row_facts: tuple[str, ...] = ()
    _observations: dict[int, DropletFacts] = field(default_factory=dict)
    _by_id: dict[int, Droplet] = field(default_factory=dict)
    _idle: deque[int] | None = None

    def __post_init__(self) -> None:
        self.droplets = self.inventory.selection
        self.take_lists(self.inventory)
        self._by_id = {d.id: d for d in self.droplets}
        self._due = {d.id for d in self.droplets if self._not_due(d) is None}

    def take_lists(self, inventory: Inventory) -> None:
        """Take the inventory of this run with the lists that were read since."""
        self.inventory = inventory
        self.gate = replace(self.gate, account_id=inventory.account_id)

    def droplet(self, droplet_id: int) -> Droplet:
        """Return a selected Droplet (KeyError: not selected)."""
        return self._by_id[droplet_id]

    def start(self, droplets: Iterable[Droplet]) -> None:
        """Begin to connect to those of the Droplets that can be reached at all."""
        new = [d for d in droplets if d.id not in self.started]
        self.started.update(d.id for d in new)
        self.hosts.start(
            [
                Target(d.id, d.name, address)
                for d in new
                if d.id in self._due and (address := address_for(d, self.options.address))
            ]
        )

    def plan(
        self, checks: Iterable[Check], facts: Iterable[str], *, host: bool, start: bool
    ) -> None:
        """Tell the hosts what to read, and note which lists: what is needed, and no more.

        What a check or a fact may use is read where the host is read anyway.

        Args:
            checks: The selected checks.
            facts: Names of the facts that ordinary tests ask for.
            host: Whether some test has testinfra's ``host``.
            start: Connect to all that are not connected to yet.
        """
        chosen = tuple(checks)
        rows = {n for c in chosen for n in c.rows}
        self.needs_rows = bool(rows)
        names = (*facts, *rows, *needed_facts(chosen))
        self.lists = needed_lists(chosen, names)
        if self.options.keeps_findings and any(c.of_account for c in chosen):
            self.lists |= {"account_id"}
        if not any(map(_is_of_host, names)) and not host:
            self.reads_hosts = False
            self._due.clear()
            return
        may_use = usable_facts(chosen, names)
        sections, probes = reading_plan((*_ALWAYS, *names, *may_use), probe=self.options.probe)
        own = access_probe(self.settings.required_services or ())
        probes = tuple(own if p.name == own.name else p for p in probes)
        self._row_facts = _rows_of(sections, probes)
        self.lists |= needed_lists((), self._row_facts)
        if host:
            sections += testinfra.ASKED_BY_ALL
        self.sections = sections
        self.hosts.read(sections, probes)
        if start:
            self.start(self.droplets)

    def next_arrived(self, wanted: AbstractSet[int]) -> int:
        """Wait until one of these Droplets can be judged, and return its id.

        Those that no host is waited for come first. From call to call, ids only go.
        """
        if self._idle is None:
            self._idle = deque(sorted(wanted - self._due))
        while self._idle:
            if self._idle[0] in wanted:
                return self._idle[0]
            self._idle.popleft()
        return self.hosts.next_arrived(wanted)

    def observation(self, droplet_id: int) -> DropletFacts:
        """Wait for a Droplet's host and return all that is known of it; kept until dropped."""
        known = self._observations.get(droplet_id)
        if known is None:
            droplet = self.droplet(droplet_id)
            host = self._not_due(droplet)
            if host is None and droplet_id not in self._due:
                read_at = self.inventory.read_at
                host = HostReading(droplet_id, "not-read", read_at, reason=NOT_READ)
            host = host or self.hosts.get(droplet_id)
            if self.recorder is not None and droplet_id not in self.rows:
                self.recorder.add_host(host)
            known = DropletFacts(droplet, self.inventory, host, self.settings, self.now)
            self._observations[droplet_id] = known
            if droplet_id not in self.rows:
                self.rows[droplet_id] = known.rows(self._row_facts)
                self._lines[droplet_id] = self._line(known)
        return known

    def take_line(self, droplet_id: int) -> DropletLine | None:
        """Return the record's line of a Droplet that was read, once; None afterwards."""
        return self._lines.pop(droplet_id, None)

    def take_evidence(self, result: ResultLine) -> list[EvidenceLine]:
        """Return the whole evidence of a result that is not passed, each fact once a Droplet."""
        droplet_id = result["droplet_id"]
        if droplet_id is None or result["verdict"] in {"pass", "notapplicable"}:
            return []
        names = [entry["fact"] for entry in result["evidence"]]
        if not names:
            return []
        return list(whole_evidence(self.observation(droplet_id), names))

    def lines(self) -> list[DropletLine]:
        """Return the record's lines that were not taken yet."""
        lines = list(self._lines.values())
        self._lines.clear()
        return lines

    def unread_lines(self, droplet_ids: Iterable[int]) -> Iterator[DropletLine]:
        """Yield the record's lines of Droplets that the run ended before."""
        read_at = self.inventory.read_at
        for droplet_id in sorted(self._by_id.keys() & set(droplet_ids)):
            droplet = self.droplet(droplet_id)
            reason = f"{droplet.name}: {ENDED}"
            host = HostReading(droplet_id, "unreachable", read_at, reason=reason)
            yield droplet_line(droplet, self._not_due(droplet) or host, None, {})

    def _line(self, seen: DropletFacts) -> DropletLine:
        release = seen.reading("droplet_os_release")
        name = None if release.missing is not None else release.get().pretty_name
        return droplet_line(seen.droplet, seen.host, name, self.rows[seen.droplet.id])

    def drop(self, droplet_id: int) -> None:
        """Forget a Droplet's facts, and what testinfra asked it; its rows stay."""
        testinfra.forget(droplet_id)
        if self._observations.pop(droplet_id, None) is not None and droplet_id in self._due:
            self.hosts.drop(droplet_id)

    def account(self, rows: Mapping[int, Mapping[str, Reading[Any]]]) -> Account:
        """Return the account as a whole, with the rows of the Droplets that are ours to read.

        One that should be read and cannot even be tried has rows that are missing.
        """
        ours = [d.id for d in self.droplets if self._is_ours(d)]
        if not self.reads_hosts:
            rows = dict.fromkeys(ours, unread_rows(self.inventory.read_at, NOT_READ))
        known = {i: rows[i] for i in ours if i in rows}
        return Account(self.inventory, known, self.settings, self.now)

    def _is_ours(self, droplet: Droplet) -> bool:
        host = self._not_due(droplet)
        return host is None or host.state == "unreachable"

    def _not_due(self, droplet: Droplet) -> HostReading | None:
        return not_due(droplet, self.options.address, self.inventory.read_at)


def not_due(droplet: Droplet, address: AddressKind, read_at: datetime) -> HostReading | None:
    """Return the reading of a Droplet that no connection is tried to; None: one is."""
    if droplet.managed_by is not None:
        reason = f"{droplet.name} is managed by {droplet.managed_by}"
        return HostReading(droplet.id, "not-ours", read_at, reason=reason)
    if droplet.status in _STATUS_WORDS:
        reason = f"{droplet.name} is {_STATUS_WORDS[droplet.status]}"
        return HostReading(droplet.id, "off", read_at, reason=reason)
    if droplet.status != "active":
        reason = (
            f"{droplet.name}: its status is {one_line(droplet.status, 40)!r}, a word that this"
            " version of pytest-droplet does not know"
        )
        return HostReading(droplet.id, "unreachable", read_at, reason=reason)
    if address_for(droplet, address) is None:
        reason = (
            f"{droplet.name}: it has no {address} address; choose another with --droplets-address"
        )
        return HostReading(droplet.id, "unreachable", read_at, reason=reason)
    return None


def _rows_of(sections: Sequence[Section], probes: Sequence[Probe]) -> tuple[str, ...]:
    """Return the facts with rows that can be had of what is read anyway: the reports show them."""
    read, asked = set(sections), {p.name for p in probes}
    return tuple(
        fact.name for fact in all_facts().values() if fact.row and _can_be_had(fact, read, asked)
    )


def _can_be_had(fact: Fact, read: AbstractSet[Section], asked: AbstractSet[str]) -> bool:
    """Whether all that a fact needs is read anyway: sections, and probes by their names."""
    parts = needed([fact.name])
    probes = {probe.name for part in parts for probe in part.probes}
    return probes <= asked and all(set(part.sections) <= read for part in parts)


def _with_causes(checks: Iterable[Check]) -> Mapping[str, Check]:
    """Return checks and those that they depend on, by id."""
    todo = list(checks)
    found: dict[str, Check] = {}
    while todo:
        check = todo.pop()
        if check.id not in found:
            found[check.id] = check
            todo.extend(shipped()[name.format(**check.arguments)] for name in check.depends_on)
    return found


def needed_facts(checks: Iterable[Check]) -> tuple[str, ...]:
    """Return the names of the facts that checks ask for, those they depend on included."""
    return tuple(dict.fromkeys(n for c in _with_causes(checks).values() for n in c.facts))


def usable_facts(checks: Iterable[Check], names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the facts that checks, and facts of these names, may use."""
    of_checks = [n for c in _with_causes(checks).values() for n in c.may_use]
    of_facts = [more for fact in needed(names) for more in fact.may_use]
    return tuple(dict.fromkeys((*of_checks, *of_facts)))


def needed_lists(checks: Iterable[Check], names: Iterable[str]) -> frozenset[ApiList]:
    """Return the lists of the API that checks of the account, and facts of these names, need."""
    of_checks = [x for c in _with_causes(checks).values() if c.of_account for x in c.api]
    of_facts = [x for fact in needed(names) for x in fact.api]
    return frozenset((*of_checks, *of_facts))


def needs_host(check: Check) -> bool:
    """Whether a host must be read to judge a check, or one that it depends on.

    Where a fact is broken it does not matter: the run is refused once all is collected.
    """
    try:
        return any(map(_is_of_host, (*needed_facts([check]), *check.rows)))
    except FactError:
        return True


def _is_of_host(name: str) -> bool:
    fact = all_facts().get(name)
    return fact is not None and fact.of_host


def facts_of_hosts(checks: Sequence[Check]) -> tuple[str, ...]:
    """Return the names of all facts that checks need or may use, rows included."""
    names = (*needed_facts(checks), *(name for check in checks for name in check.rows))
    return (*names, *usable_facts(checks, names))


def reading_plan(
    names: Iterable[str], *, probe: bool
) -> tuple[tuple[Section, ...], tuple[Probe, ...]]:
    """Return the sections and probes that facts need, each once, in a stable order."""
    chosen = needed(names)
    sections = {s.name: s for fact in chosen for s in fact.sections}
    probes = {p.name: p for fact in chosen for p in fact.probes} if probe else {}
    return tuple(sections[n] for n in sorted(sections)), tuple(probes[n] for n in sorted(probes))
