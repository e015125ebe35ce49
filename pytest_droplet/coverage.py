"""Coverage: how many of the Droplets in scope were reached, and whether that is enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, Self, TypedDict


class CoverageEntry(TypedDict):
    """What the record's summary has of it; ``percent`` is None where no host was due."""

    in_scope: int
    reached: int
    unreachable: int
    off: int
    not_ours: int
    not_read: int
    ephemeral: NotRequired[int]
    without_root: NotRequired[int]
    percent: float | None
    required: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """The Droplets of a run by whether they were reached.

    Every output shows this one's figures, and the gate asks this one.

    Attributes:
        reached: Hosts that were read.
        unreachable: Hosts that should have answered and did not.
        off: Droplets that no host answers for: off, being created or archived.
        not_ours: Droplets that are managed by somebody else.
        not_read: Droplets whose host no selected check reads.
        ephemeral: Droplets of autoscale pools and clusters, counted in the others too.
        without_root: Hosts that were reached, and read by a user who is not root.
        required: Percent of those due that must have been reached.
    """

    reached: int = 0
    unreachable: int = 0
    off: int = 0
    not_ours: int = 0
    not_read: int = 0
    ephemeral: int = 0
    without_root: int = 0
    required: int = 100

    @classmethod
    def of(cls, droplets: Iterable[Mapping[str, Any]], required: int) -> Self:
        """Count the record's lines of Droplets."""
        lines = tuple(droplets)
        states = Counter(line.get("coverage") for line in lines)
        return cls(
            reached=states["reached"],
            unreachable=states["unreachable"],
            off=states["off"],
            not_ours=states["not-ours"],
            not_read=states["not-read"],
            ephemeral=sum(1 for line in lines if line.get("ephemeral")),
            without_root=sum(map(_is_without_root, lines)),
            required=required,
        )

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Self:
        """Return the coverage of a record's summary line; older ones name no ephemeral Droplets."""
        return cls(**{name: line.get(name, 0) for name in cls.__dataclass_fields__})

    @property
    def in_scope(self) -> int:
        """How many Droplets there are."""
        return self.due + self.off + self.not_ours + self.not_read

    @property
    def due(self) -> int:
        """How many Droplets should have answered."""
        return self.reached + self.unreachable

    @property
    def percent(self) -> float | None:
        """Percent of those due, cut to a tenth: never more than it is. None: none was due."""
        return 1000 * self.reached // self.due / 10 if self.due else None

    @property
    def short(self) -> bool:
        """Whether fewer were reached than are required."""
        return self.reached * 100 < self.required * self.due

    @property
    def of_reached(self) -> str:
        """How many were reached, and how many of these could not tell all."""
        partly = f", {self.without_root:,} of them read without root" * bool(self.without_root)
        return f"{self.reached:,} of {self.due:,} Droplets reached{partly}"

    def __str__(self) -> str:
        return f"{self.percent:g} %" if self.due else "no host was due"

    @property
    def line(self) -> CoverageEntry:
        """What the record's summary has of it."""
        return {
            "in_scope": self.in_scope,
            "reached": self.reached,
            "unreachable": self.unreachable,
            "off": self.off,
            "not_ours": self.not_ours,
            "not_read": self.not_read,
            "ephemeral": self.ephemeral,
            "without_root": self.without_root,
            "percent": self.percent,
            "required": self.required,
        }


def _is_without_root(line: Mapping[str, Any]) -> bool:
    connection = line.get("connection") or {}
    return line.get("coverage") == "reached" and connection.get("root") is False
