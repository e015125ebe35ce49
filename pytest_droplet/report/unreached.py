"""Droplets that were not reached: those with the same reason are told together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_droplet.record import DropletLine

_ALIKE = 3
_FINGERPRINT = re.compile(r"SHA256:[\w+/=]+")


def alike(lost: Iterable[DropletLine]) -> list[list[DropletLine]]:
    """Put Droplets together that have the same reason, but for what is their own in it.

    Fewer than three stay apart: a line for each says more than a line for all.
    """
    found: dict[str, list[DropletLine]] = {}
    for line in lost:
        found.setdefault(_masked(line), []).append(line)
    return [
        part
        for group in found.values()
        for part in ([group] if len(group) >= _ALIKE else [[line] for line in group])
    ]


def reason(group: Sequence[DropletLine]) -> str:
    """Return why these were not reached; of several with NAME and ADDRESS for their own."""
    return group[0]["reason"] if len(group) == 1 else _masked(group[0])


def names(group: Sequence[DropletLine], limit: int) -> str:
    """Return the names of the first Droplets, and how many more there are."""
    told = ", ".join(line["name"] for line in group[:limit])
    return told + f" and {len(group) - limit:,} more" * (len(group) > limit)


def _masked(line: DropletLine) -> str:
    """Return a reason with a word in capitals for what is the Droplet's own."""
    name = line["name"]
    text = _FINGERPRINT.sub("FINGERPRINT", line["reason"].removeprefix(f"{name}: "))
    own = {entry["ip"]: "ADDRESS" for entry in line.get("addresses", ())}
    for word, shown in (*own.items(), (name, "NAME")):
        if word:
            text = re.sub(rf"(?<![\w.:-]){re.escape(word)}(?![\w-])", shown, text)
    return text
