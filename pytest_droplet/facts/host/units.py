"""States of the systemd units that the checks ask about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.whole import garbled
from pytest_droplet.model import Item, NotObservedError, Section

UNITS = Section.of_files("facts/host/units.sh")

_STRANGE = re.compile(r"[^A-Za-z0-9:_.@\\-]")
_TIME = re.compile(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit, from ``systemctl show``.

    States are systemd's words (``loaded``, ``not-found``; ``active``, ``inactive``, ``failed``;
    ``enabled``, ``static``, ``masked``), empty where systemd has none. Times are None where the
    event has not happened. ``changed_at`` is also moved by a reload, ``active_since`` is not.
    ``listens`` is what a socket unit has: ``[::]:22 (Stream)``; ``starts`` the commands that
    start a service, and those that follow, in systemd's form.
    """

    id: str
    load: str
    active: str
    sub: str = ""
    file_state: str = ""
    result: str = ""
    main_status: int | None = None
    main_pid: int | None = None
    condition: bool | None = None
    active_since: datetime | None = None
    changed_at: datetime | None = None
    next_run: datetime | None = None
    last_run: datetime | None = None
    listens: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether systemd knows the unit (a masked one it does)."""
        return self.load != "not-found"

    @property
    def is_active(self) -> bool:
        """Whether it runs, waits (timers, sockets) or is being reloaded."""
        return self.active in {"active", "reloading"}

    @property
    def is_enabled(self) -> bool:
        """Whether it is enabled for every boot, not just until the next."""
        return self.file_state == "enabled"

    @property
    def details(self) -> Item:
        """The unit and its states, in systemd's words."""
        return {
            "unit": self.id,
            "enabled": self.file_state or self.load,
            "active": self.active,
            "result": self.result,
        }

    def __str__(self) -> str:
        if not self.exists:
            return f"{self.id}: not found"
        state = f"{self.active} ({self.sub})" if self.sub else self.active
        parts = [f"{self.id}: {self.file_state or self.load}", state]
        if self.active_since is not None and self.is_active:
            parts.append(f"since {self.active_since:%Y-%m-%d %H:%M:%S} UTC")
        if self.condition is False:
            parts.append("condition not met")
        if self.result not in {"", "success"}:
            parts.append(f"result {self.result}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Units:
    """Units by name; aliases (``sshd.service``) find the unit that they stand for."""

    by_name: Mapping[str, Unit] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Unit:
        unit = self.by_name.get(name)
        if unit is None:
            raise NotObservedError(f"systemctl show: the answer has no block for {name}")
        return unit

    def __str__(self) -> str:
        running = sorted({u.id for u in self.by_name.values() if u.is_active})
        return f"active: {', '.join(running) or 'none of those asked about'}"


@fact("systemctl show", sections=(UNITS,))
def droplet_units(observation: Observation) -> Units:
    """Return the states of the units that the checks ask about.

    Raises:
        NotObservedError: systemd is not PID 1 of the host, or systemctl is absent.
    """
    output = observation.section(UNITS.name)
    if strange := [ln for ln in output.stdout.splitlines() if ln.strip() and "=" not in ln]:
        raise garbled(strange[0])
    units = parse_units(output.stdout)
    if output.rc != 0 or not units.by_name:
        reason = output.stderr.partition("\n")[0].strip()
        raise NotObservedError(
            f"systemctl did not name the units ({reason or f'status {output.rc}'}); is systemd PID 1?"
        )
    return units


def parse_units(text: str) -> Units:
    """Parse the output of ``systemctl show`` with ``TZ=UTC``: blocks of ``Name=value`` lines.

    A block without ``Id``, ``LoadState`` or ``ActiveState`` is left out, so that asking for its
    unit raises. Where two blocks tell of one name, the first stands.
    """
    by_name: dict[str, Unit] = {}
    for block in re.split(r"\n[ \t]*\n", text):
        values = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if not all(values.get(name) for name in ("Id", "LoadState", "ActiveState")):
            continue
        listens = tuple(ln[7:] for ln in block.splitlines() if ln.startswith("Listen="))
        starts = tuple(
            ln.partition("argv[]=")[2] for ln in block.splitlines() if ln.startswith("ExecStart")
        )
        unit = replace(_unit(values), listens=listens, starts=starts)
        for name in (unit.id, *values.get("Names", "").split()):
            by_name.setdefault(name, unit)
    return Units(by_name)


def _unit(values: Mapping[str, str]) -> Unit:
    condition = values.get("ConditionResult")

    def word(name: str) -> str:
        return _STRANGE.sub("?", values.get(name, ""))

    return Unit(
        id=word("Id"),
        load=word("LoadState"),
        active=word("ActiveState"),
        sub=word("SubState"),
        file_state=word("UnitFileState"),
        result=word("Result"),
        main_status=_number(values.get("ExecMainStatus")),
        main_pid=_number(values.get("MainPID")),
        condition={"yes": True, "no": False}.get(condition or ""),
        active_since=_time(values.get("ActiveEnterTimestamp")),
        changed_at=_time(values.get("StateChangeTimestamp")),
        next_run=_time(values.get("NextElapseUSecRealtime")),
        last_run=_time(values.get("LastTriggerUSec")),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else None


def _time(text: str | None) -> datetime | None:
    found = _TIME.fullmatch(text or "")
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
