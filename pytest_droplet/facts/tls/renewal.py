"""What renews certificates on a host: timers, cron jobs, Certbot's own list of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.model import NotObservedError, Section
from pytest_droplet.text import one_line

RENEWAL = Section.of_files("facts/tls/renewal.sh", root=True)

_SOON = timedelta(hours=26)
_TIME = re.compile(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
_WORDS = frozenset({"", "systemd", "cron-runs", "timers", "guard", "end"})
_PROPERTY = re.compile(r"[A-Za-z]+=")
_DAILY = re.compile(r"@(hourly|daily|midnight)|\S+ \S+ \* \* \*")
_BEFORE = re.compile(r"(\d{1,5}) *(day|week|hour)s?")


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A timer or cron job that calls an ACME client.

    Attributes:
        client: The client's name, such as ``certbot``.
        name: The timer's unit, or the cron file.
        live: Whether it will run within a day.
        why: Why not; empty where it will.
    """

    client: str
    name: str
    live: bool
    why: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.client})" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Renewal:
    """What renews certificates on the host.

    Attributes:
        schedulers: Timers and cron jobs that call a client.
        lineages: Certbot's certificates by name, with the time before expiry at which each is
            renewed, where it is set.
    """

    schedulers: tuple[Scheduler, ...]
    lineages: Mapping[str, timedelta | None]

    def of(self, client: str | None) -> tuple[Scheduler, ...]:
        """Return the schedulers of a client, or of any."""
        return tuple(s for s in self.schedulers if client in {None, s.client})

    def __str__(self) -> str:
        said = (
            ", ".join(map(str, self.schedulers[:5])) or "no timer and no cron job calls a client"
        )
        names = ", ".join(list(self.lineages)[:5])
        return one_line(said + (f"; certbot has {names}" if names else ""), 300)


@fact(
    "systemctl show '*.timer', cron files, /etc/letsencrypt/renewal",
    sections=(RENEWAL,),
)
def droplet_renewal(observation: Observation) -> Renewal:
    """The timers and cron jobs that call an ACME client, and Certbot's certificates."""
    text = whole(observation.section(RENEWAL.name)).stdout
    return parse_renewal(text, observation.host.observed_at)


def parse_renewal(text: str, now: datetime) -> Renewal:
    """Parse the output of the section ``renewal``.

    Args:
        text: ``systemd``, ``cron-runs``, ``timers`` and blocks of ``Name=value``, then
            ``service UNIT CLIENT``, ``cron FILE`` with ``guard`` and ``job CLIENT SCHEDULE``,
            ``lineage NAME`` with ``before TIME``, ``end``.
        now: When it was read.

    Raises:
        NotObservedError: It does not come to its end, systemd runs and told no timers, or a line
            is garbled.
    """
    lines = text.split("\n")
    if "end" not in lines:
        raise NotObservedError("the timers and cron jobs were not read to the end")
    if "systemd" in lines and "timers" not in lines:
        raise NotObservedError("systemctl show told no timers")
    clients = {}
    cron: list[Scheduler] = []
    lineages: dict[str, timedelta | None] = {}
    path = name = idle = ""
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "service" and (found := re.fullmatch(r"(\S+) (\S+)", rest)):
            clients[found[1]] = one_line(found[2], 20)
        elif kind == "cron":
            path, idle = rest, "" if "cron-runs" in lines else "no cron daemon runs"
        elif line == "guard" and "systemd" in lines:
            idle = "does nothing where systemd runs"
        elif kind == "job" and path:
            client, _, schedule = rest.partition(" ")
            why = idle or ("" if _is_daily(path, schedule) else "does not run every day")
            cron.append(Scheduler(one_line(client, 20), one_line(path, 80), not why, why))
        elif kind == "lineage":
            name = rest
            lineages[name] = None
        elif kind == "before" and name:
            lineages[name] = _before(rest)
        elif line not in _WORDS and not _PROPERTY.match(line):
            raise garbled(line)
    timers = [t for block in text.split("\n\n") for t in _timer(block, clients, now)]
    return Renewal((*timers, *cron), lineages)


def _is_daily(path: str, schedule: str) -> bool:
    """Whether a job runs every day: by its folder, or by day, month and day of the week."""
    if not schedule:
        return "/cron.hourly/" in path or "/cron.daily/" in path
    return bool(_DAILY.fullmatch(schedule))


def _timer(block: str, clients: Mapping[str, str], now: datetime) -> list[Scheduler]:
    values = dict(ln.partition("=")[::2] for ln in block.split("\n") if "=" in ln)
    client = clients.get(values.get("Unit", ""))
    if client is None:
        return []
    name = one_line(values.get("Id", "") or values["Unit"], 80)
    runs_next, ran = _time(values, "NextElapseUSecRealtime"), _time(values, "LastTriggerUSec")
    why = ""
    if values.get("ActiveState") != "active":
        why = f"is {one_line(values.get('ActiveState', 'not active'), 20)}"
    elif values.get("UnitFileState") not in {"enabled", "static", "generated"}:
        why = f"is {one_line(values.get('UnitFileState') or 'not enabled', 20)}"
    elif runs_next is not None and runs_next - now > _SOON:
        why = f"runs next on {runs_next:%Y-%m-%d}"
    elif runs_next is None and (ran is None or now - ran > _SOON):
        why = "has no time at which it runs next"
    return [Scheduler(client, name, live=not why, why=why)]


def _time(values: Mapping[str, str], name: str) -> datetime | None:
    found = _TIME.fullmatch(values.get(name, ""))
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def _before(text: str) -> timedelta | None:
    found = _BEFORE.fullmatch(text.strip())
    if found is None:
        return None
    hours = {"hour": 1, "day": 24, "week": 168}[found[2]]
    return timedelta(hours=int(found[1]) * hours)
