"""What renews certificates on a host: timers, cron jobs, Certbot's own list of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pytest_droplet.facts import Observation, fact
from pytest_droplet.model import NotObservedError, Section
from pytest_droplet.text import one_line

RENEWAL = Section.of_files("facts/tls/renewal.sh", root=True)

_SOON = timedelta(hours=26)
_TIME = re.compile(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
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
    return parse_renewal(observation.section(RENEWAL.name).stdout, observation.host.observed_at)


def parse_renewal(text: str, now: datetime) -> Renewal:
    """Parse the output of the section ``renewal``.

    Args:
        text: ``systemd``, ``cron-runs``, ``timers`` and blocks of ``Name=value``, then
            ``service UNIT CLIENT``, ``cron daily|rare live|guarded CLIENT FILE``, ``lineage``
            lines, ``end``.
        now: When it was read.

    Raises:
        NotObservedError: It does not come to its end, or systemd runs and told no timers.
    """
    lines = text.split("\n")
    if "end" not in lines:
        raise NotObservedError("the timers and cron jobs were not read to the end")
    if "systemd" in lines and "timers" not in lines:
        raise NotObservedError("systemctl show told no timers")
    clients = {}
    cron: list[Scheduler] = []
    lineages: dict[str, timedelta | None] = {}
    for line in lines:
        words = line.split(" ", 4)
        if words[0] == "service" and len(words) == 3 and words[1]:
            clients[words[1]] = one_line(words[2], 20)
        elif words[0] == "cron" and len(words) == 5:
            cron.append(_job(words, runs="cron-runs" in lines))
        elif words[0] == "lineage" and len(words) > 1:
            lineages[words[1]] = _before(" ".join(words[2:]))
    timers = [t for block in text.split("\n\n") for t in _timer(block, clients, now)]
    return Renewal((*timers, *cron), lineages)


def _job(words: list[str], *, runs: bool) -> Scheduler:
    _, often, state, client, path = words
    why = ""
    if state == "guarded":
        why = "does nothing where systemd runs"
    elif not runs:
        why = "no cron daemon runs"
    elif often != "daily":
        why = "does not run every day"
    return Scheduler(one_line(client, 20), one_line(path, 80), live=not why, why=why)


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
