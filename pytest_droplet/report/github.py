"""Annotations of GitHub Actions: one a check, at most 10 errors and 10 warnings.

An error is a finding that fails the run, or a check that broke; a warning is what is unknown (one
for all Droplets that did not answer) or below the gate. Waived findings have none. GitHub shows no
more than ten of each a step, so the last one of ten stands for the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pytest_droplet.record import DropletLine
from pytest_droplet.report import unreached
from pytest_droplet.report.document import Document, Group, grouped, heading, source_of
from pytest_droplet.tables import OPEN
from pytest_droplet.text import one_line

STDOUT = Path("-")
_EACH = 10
_NAMES = 5
_NAMED = 50


def write(document: Document, path: Path) -> None:
    """Write the annotations to a file, or to standard output where the path is ``-``.

    Raises:
        OSError: The file cannot be written.
    """
    text = "".join(f"{line}\n" for line in commands(document))
    if path == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        path.write_text(text, encoding="utf-8", errors="replace")


def commands(document: Document) -> Iterator[str]:
    """Yield the lines: errors, then warnings, each kind the worst first."""
    groups = grouped(
        line
        for line in document.results()
        if line["verdict"] in OPEN and document.told_apart(line)
    )
    errors = [g for g in groups if g.gated and g.verdict in {"fail", "error"}]
    yield from _bounded(document, "error", errors, _EACH)
    unreachable = list(_unreachable(document))
    yield from unreachable
    warnings = [g for g in groups if g not in errors]
    yield from _bounded(document, "warning", warnings, _EACH - len(unreachable))


def _bounded(
    document: Document, level: Literal["error", "warning"], groups: list[Group], room: int
) -> Iterator[str]:
    shown = groups if len(groups) <= room else groups[: room - 1]
    for group in shown:
        page = document.checks[group.check]
        path, number = source_of(group.lines[0])
        word = group.severity if group.verdict == "fail" else group.verdict.upper()
        title = f"{one_line(group.check, 200)}: {heading(page, group)} ({word})"
        who = ", ".join(document.name(line["droplet_id"])[:100] for line in group.lines[:_NAMES])
        more = group.count - min(len(group.lines), _NAMES)
        names = f"{who} and {more:,} more" if more else who
        text = f"{names}: {one_line(group.lines[0]['message'], 500)}"
        below = " Below the gate: it does not fail the run." * (not group.gated)
        yield _command(level, f"{_count(group.count)} {text}{below}", title, path, number)
    if rest := groups[len(shown) :]:
        named = ", ".join(one_line(group.check, 100) for group in rest[:20])
        total = sum(group.count for group in rest)
        text = f"{_count(total)} {named}{', ...' * (len(rest) > 20)}; see the record"
        yield _command(level, text, f"{len(rest)} more checks")


def _unreachable(document: Document) -> Iterator[str]:
    lines = document.unreachable()
    if lines:
        groups = unreached.alike(lines)
        texts = [_reason(group) for group in groups[:_NAMES]]
        if left := sum(map(len, groups[_NAMES:])):
            texts.append(f"and {left:,} more")
        yield _command("warning", "\n".join(texts), f"{len(lines):,} Droplets not reached")


def _reason(group: list[DropletLine]) -> str:
    reason = one_line(unreached.reason(group), 500)
    if len(group) == 1:
        return reason
    return f"{len(group):,} Droplets: {reason}: {one_line(unreached.names(group, _NAMED), 2_000)}"


def _count(number: int) -> str:
    return f"{number:,} {'result' if number == 1 else 'results'}:"


def _command(level: str, text: str, title: str, path: str = "", number: int = 0) -> str:
    place = f"file={_property(path)},line={number}," if path else ""
    return f"::{level} {place}title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
