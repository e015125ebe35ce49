"""What renews certificates on a host: timers, cron jobs of root, Certbot's own list of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.facts.tls.commands import clients_called
from pytest_droplet.model import NotObservedError, Reading, Section
from pytest_droplet.text import one_line

RENEWAL = Section.of_files("facts/tls/commands.awk", "facts/tls/renewal.sh", root=True)

_SOON = timedelta(hours=26)
_DAY = timedelta(days=1)
_NEVER = timedelta(days=366)
_TIME = re.compile(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
_PROPERTY = re.compile(r"[A-Za-z]+=")
_CRON_RUNS = re.compile(r"\d{1,9} crond?")
_CALL = re.compile(r"([056]) (.+)")
_GUARD = re.compile(r" -[de] system(?: |$)")
_BEFORE = re.compile(r"(\d{1,5}) *(day|week|hour)s?")
_WORDS = frozenset({"", "systemd", "timers", "end"})
_OF_LINEAGE = frozenset({"renew_before_expiry", "authenticator", "autorenew", "manual_auth_hook"})
_OF_PACKAGES = frozenset(
    {
        *("certbot.timer", "certbot-renew.timer", "snap.certbot.renew.timer"),
        "/etc/cron.d/certbot",
    }
)
_OFF = frozenset({"false", "no", "0", "off"})
_FOLDERS = {
    "cron.hourly": timedelta(hours=1),
    "cron.daily": _DAY,
    "cron.weekly": timedelta(days=7),
    "cron.monthly": timedelta(days=31),
}
_NAMED = {
    "@hourly": timedelta(hours=1),
    "@daily": _DAY,
    "@midnight": _DAY,
    "@weekly": timedelta(days=7),
    "@monthly": timedelta(days=31),
}


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A timer or cron job that calls an ACME client.

    Attributes:
        client: The client's name, such as ``certbot``.
        name: The timer's unit, or the cron file.
        every: The longest time between two runs.
        why: Why it does not run; empty where it does.
        unclear: Whether it cannot be told that what it calls renews.
    """

    client: str
    name: str
    every: timedelta = _DAY
    why: str = ""
    unclear: bool = False

    def renews_within(self, window: timedelta) -> bool:
        """Whether it renews, and tries twice at least in this time."""
        return not self.why and not self.unclear and 2 * self.every <= window

    def __str__(self) -> str:
        often = "" if self.every <= _SOON else f"runs every {self.every.days} days"
        unclear = "what it calls is not understood" if self.unclear else ""
        said = self.why or unclear or often
        return f"{self.name} ({self.client})" + (f": {said}" if said else "")


@dataclass(frozen=True, slots=True)
class Lineage:
    """A certificate of Certbot.

    Attributes:
        before: The time before expiry at which it is renewed, where that is set.
        is_manual: Whether the proof for the authority is given by hand, or by a hook.
        has_hook: Whether there is such a hook.
        autorenew: Whether ``certbot renew`` does not leave it out.
    """

    before: timedelta | None = None
    is_manual: bool = False
    has_hook: bool = False
    autorenew: bool = True

    @property
    def why(self) -> str:
        """Why Certbot does not renew it by itself; empty where it does."""
        if not self.autorenew:
            return "autorenew is off for it"
        by_hand = self.is_manual and not self.has_hook
        return "its authenticator is manual, and it has no manual_auth_hook" if by_hand else ""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What renews certificates on the host.

    Attributes:
        schedulers: Timers and cron jobs of root that call a client.
        lineages: Certbot's certificates by name.
    """

    schedulers: tuple[Scheduler, ...]
    lineages: Mapping[str, Lineage]

    def of(self, client: str | None) -> tuple[Scheduler, ...]:
        """Return the schedulers of a client, or of any.

        What Certbot's packages bring along renews nothing where Certbot has no certificate.
        """
        idle = frozenset() if self.lineages else _OF_PACKAGES
        own = (s for s in self.schedulers if client in {None, s.client})
        return tuple(s for s in own if s.name not in idle)

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
def droplet_renewal(observation: Observation, droplet_os_release: Reading[OsRelease]) -> Renewal:
    """The timers and cron jobs of root that call an ACME client, and Certbot's certificates."""
    text = whole(observation.section(RENEWAL.name)).stdout
    release = droplet_os_release.value
    by_rpm = release is not None and release.id not in {"debian", "ubuntu"}
    return parse_renewal(text, observation.host.observed_at, any_name=by_rpm)


def parse_renewal(text: str, now: datetime, *, any_name: bool = False) -> Renewal:
    """Parse the output of the section ``renewal``.

    Args:
        text: ``systemd``, ``PID cron``, ``timers`` and blocks of ``Name=value``, then
            ``service UNIT`` and what it calls, ``cron FILE`` and its jobs, ``lineage NAME`` with
            what its file sets, ``end``. What is called stands as ``commands.awk`` tells it: behind
            ``0``, or behind the number of words of a job's schedule and user.
        now: When it was read.
        any_name: Whether cron takes files with a dot in their names; it never does on Debian and
            Ubuntu.

    Raises:
        NotObservedError: It does not come to its end, systemd runs and told no timers, or a line
            is garbled.

    Source: cron(8) and run-parts(8) of Debian 12; crontab(5).
    """
    lines = text.split("\n")
    if "end" not in lines:
        raise NotObservedError("the timers and cron jobs were not read to the end")
    has_systemd = "systemd" in lines
    if has_systemd and "timers" not in lines:
        raise NotObservedError("systemctl show told no timers")
    cron_runs = any(map(_CRON_RUNS.fullmatch, lines))
    services: dict[str, list[str]] = {}
    jobs: list[_Job] = []
    lineages: dict[str, Lineage] = {}
    calls: list[str] = []
    path = ""
    for line in lines:
        kind, _, rest = line.partition(" ")
        call = _CALL.fullmatch(line)
        if kind == "service":
            path, calls = "", services.setdefault(rest, [])
        elif kind == "cron":
            path, calls = rest, []
            if path.split("/")[2] in _FOLDERS:
                jobs.append(_Job(path, "", calls))
        elif kind == "lineage":
            lineages[rest] = Lineage()
        elif kind in _OF_LINEAGE and lineages:
            name = list(lineages)[-1]
            lineages[name] = _with(lineages[name], kind, rest)
        elif call and call[1] == "0":
            calls.append(call[2])
        elif call and path:
            schedule, command = _job(call[2], has_user=call[1] == "6")
            calls = [command]
            jobs.append(_Job(path, schedule, calls))
        elif line not in _WORDS and not _PROPERTY.match(line) and not _CRON_RUNS.fullmatch(line):
            raise garbled(line)
    cron = (
        scheduler
        for job in jobs
        for scheduler in job.schedulers(runs=cron_runs, has_systemd=has_systemd, any_name=any_name)
    )
    timers = (t for block in text.split("\n\n") for t in _timer(block, services, now))
    return Renewal((*timers, *cron), lineages)


def _with(lineage: Lineage, name: str, value: str) -> Lineage:
    if name == "renew_before_expiry":
        return replace(lineage, before=_before(value))
    if name == "autorenew":
        return replace(lineage, autorenew=value.strip().lower() not in _OFF)
    if name == "authenticator":
        return replace(lineage, is_manual=value.strip() == "manual")
    return replace(lineage, has_hook=True)


@dataclass(frozen=True, slots=True)
class _Job:
    """A job of cron, with what it calls; the schedule is empty for a script of a folder."""

    path: str
    schedule: str
    calls: list[str]

    def schedulers(self, *, runs: bool, has_systemd: bool, any_name: bool) -> Iterator[Scheduler]:
        """Yield one for each client that it calls."""
        folder, _, name = self.path.rpartition("/")
        every = _every(self.schedule) if self.schedule else _FOLDERS[folder.rpartition("/")[2]]
        why = ""
        if not runs:
            why = "no cron daemon runs"
        elif not re.fullmatch(r"[A-Za-z0-9_-]+", name) and not _is_taken(name, any_name=any_name):
            why = "cron leaves out a file of this name"
        elif has_systemd and any(map(_GUARD.search, self.calls)):
            why = "does nothing where systemd runs"
        for client, renews in clients_called(self.calls).items():
            yield Scheduler(client, one_line(self.path, 80), every, why, unclear=not renews)


def _is_taken(name: str, *, any_name: bool) -> bool:
    """Whether cron takes a file of a name with other signs than letters, digits, - and _."""
    return any_name and not re.search(r"~$|\.rpm|\.swp$|,v$|^[.#]", name)


def _job(text: str, *, has_user: bool) -> tuple[str, str]:
    """Split a job into its schedule and its command; the latter is empty of another than root."""
    words = text.split(" ")
    count = 1 if words[0].startswith("@") else 5
    schedule, rest = " ".join(words[:count]), words[count:]
    if has_user:
        user, rest = "".join(rest[:1]), rest[1:]
        if user != "root":
            rest = []
    return schedule, " ".join(rest)


def _every(schedule: str) -> timedelta:
    """Return the longest time between two runs; never, where it is not understood."""
    if schedule.startswith("@"):
        return _NAMED.get(schedule, _NEVER)
    _, _, day, month, weekday = schedule.split(" ")
    if month != "*":
        return _NEVER
    if {day, weekday} <= {"*", "*/1"}:
        return _DAY
    if day == "*":
        return timedelta(days=7)
    if weekday != "*":
        return _NEVER
    step = re.fullmatch(r"\*/(\d{1,2})", day)
    return timedelta(days=int(step[1])) if step else timedelta(days=31)


def _timer(
    block: str, services: Mapping[str, Iterable[str]], now: datetime
) -> Iterator[Scheduler]:
    values = dict(ln.partition("=")[::2] for ln in block.split("\n") if "=" in ln)
    unit = values.get("Unit", "")
    name = one_line(values.get("Id", "") or unit, 80)
    runs_next, ran = _time(values, "NextElapseUSecRealtime"), _time(values, "LastTriggerUSec")
    every, why = _DAY, ""
    if values.get("ActiveState") != "active":
        why = f"is {one_line(values.get('ActiveState', 'not active'), 20)}"
    elif values.get("UnitFileState") not in {"enabled", "static", "generated"}:
        why = f"is {one_line(values.get('UnitFileState') or 'not enabled', 20)}"
    elif runs_next is not None and runs_next - now > _SOON:
        # How often it runs is seen once it has run.
        every = runs_next - ran if ran is not None else _NEVER
        why = f"runs next on {runs_next:%Y-%m-%d}" if ran is None else ""
    elif runs_next is None and (ran is None or now - ran > _SOON):
        why = "has no time at which it runs next"
    for client, renews in clients_called(services.get(unit, ())).items():
        yield Scheduler(client, name, every, why, unclear=not renews)


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
