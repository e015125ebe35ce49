"""Stanzas of ``Name: value`` lines, as apt's sources and preferences have them.

Source: deb822(5), sources.list(5), apt_preferences(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield each stanza's values by field, names in lower case; a blank line ends one.

    Lines that begin with ``#`` are comments; those that begin with a blank continue a value.
    """
    fields: dict[str, str] = {}
    last = ""
    for line in (*lines, ""):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0] in " \t":
            fields[last] = f"{fields.get(last, '')} {line.strip()}"
        else:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()
