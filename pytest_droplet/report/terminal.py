"""The end of the run on the terminal: findings by check, worst first, then what was not seen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_droplet.report.record import Line
from pytest_droplet.words import SEVERITIES

_LISTED_DROPLETS = 20
_LISTED = 6


@dataclass(frozen=True)
class Text:
    """A line of the terminal and how to mark it (keywords of pytest's TerminalWriter)."""

    text: str
    markup: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What the end of the run is drawn from: lines of the record.

    ``findings`` are results that are neither pass nor notapplicable; ``checks`` the header's
    entries by id; ``droplets`` the Droplet lines by id.
    """

    findings: tuple[Line, ...]
    checks: Mapping[str, Line]
    droplets: Mapping[int, Line]
    coverage: Line
    counts: Mapping[str, int]
    waivers: Sequence[Line] = ()
    changes: Line | None = None


def summary_texts(summary: Summary, width: int) -> Iterator[Text]:
    """Yield the lines of the summary for a terminal of this width.

    None of them is a command to a CI system that reads the log, whatever a Droplet is named.
    """
    for line in _texts(summary, width):
        yield Text(_no_command(line.text), line.markup)


def _texts(summary: Summary, width: int) -> Iterator[Text]:
    failures = [f for f in summary.findings if f["verdict"] == "fail"]
    for check, found in _by_check(failures):
        yield from _group(summary, check, found, failures, width)
    for line in summary.findings:
        if line["verdict"] == "error":
            who = _name(summary, line["droplet_id"])
            yield Text(_cut(f"ERROR {line['check']} {who}: {line['message']}", width), _RED)
            yield Text("  the check itself broke; its traceback is in the record")
    yield from _unknown(summary, width)
    yield from _waivers(summary, width)
    yield from _coverage(summary, width)
    yield from _changes(summary, width)
    yield Text(_last_line(summary), {"bold": True})


_RED = {"red": True}
_YELLOW = {"yellow": True}
_CYAN = {"cyan": True}


def _by_check(failures: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    shown = {(f["check"], f["droplet_id"]) for f in failures}
    groups: dict[str, list[Line]] = {}
    for line in failures:
        if (line["caused_by"], line["droplet_id"]) not in shown:
            groups.setdefault(line["check"], []).append(line)
    return sorted(
        groups.items(), key=lambda g: (SEVERITIES.index(g[1][0]["severity"]), -len(g[1]), g[0])
    )


def _group(
    summary: Summary, check: str, found: list[Line], failures: list[Line], width: int
) -> Iterator[Text]:
    page = summary.checks.get(check, found[0])
    yield Text(_cut(f"{found[0]['severity'].upper()} {check}: {page.get('title')}", width), _RED)
    followers = _followers(check, failures)
    for line in sorted(found, key=lambda f: f["droplet_id"] or 0)[:_LISTED_DROPLETS]:
        who = _name(summary, line["droplet_id"])
        yield Text(_cut(f"  {who}: {_one_line(line['message'])}", width))
        if also := followers.get(line["droplet_id"]):
            yield Text(_cut(f"    and so: {_listed(also)}", width))
    if len(found) > _LISTED_DROPLETS:
        yield Text(f"  and {len(found) - _LISTED_DROPLETS} more Droplets: see the report")
    if remedy := page.get("remediation"):
        yield from (Text(line, _CYAN) for line in _remedy(remedy, width))
    yield Text("")


def _remedy(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        _one_line(text).replace("``", "`"),
        max(40, width - 2),
        initial_indent="  fix: ",
        subsequent_indent="       ",
        break_on_hyphens=False,
        max_lines=5,
        placeholder=" … (--droplets-explain has it all)",
    )


def _followers(check: str, failures: Iterable[Line]) -> dict[int | None, list[str]]:
    found: dict[int | None, list[str]] = {}
    for line in failures:
        if line["caused_by"] == check:
            found.setdefault(line["droplet_id"], []).append(line["check"])
    return found


def _unknown(summary: Summary, width: int) -> Iterator[Text]:
    """Yield each reason once, with the checks and the Droplets that it keeps in the dark."""
    checks_of: dict[tuple[str, int | None], list[str]] = {}
    for line in summary.findings:
        droplet = summary.droplets.get(line["droplet_id"] or 0)
        if line["verdict"] == "unknown" and (
            droplet is None or droplet["coverage"] != "unreachable"
        ):
            key = _one_line(line["message"]), line["droplet_id"]
            checks_of.setdefault(key, []).append(line["check"])
    droplets_of: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (reason, droplet_id), checks in checks_of.items():
        who = _name(summary, droplet_id)
        droplets_of.setdefault((reason, tuple(sorted(checks))), []).append(who)
    for (reason, names), droplets in droplets_of.items():
        yield Text(_cut(f"UNKNOWN {_listed(names)}: {reason}", width), _YELLOW)
        yield Text(_cut(f"  {_listed(sorted(droplets))}", width))


def _coverage(summary: Summary, width: int) -> Iterator[Text]:
    for line in summary.droplets.values():
        if line["coverage"] == "unreachable":
            count = sum(
                f["droplet_id"] == line["id"] and f["verdict"] == "unknown"
                for f in summary.findings
            )
            noun = "check" if count == 1 else "checks"
            yield Text(_cut(f"UNREACHABLE {line['reason']} ({count} {noun} unknown)", width), _RED)
    seen = summary.coverage
    if seen["not_read"]:
        yield Text("coverage: no selected check reads a host")
        return
    parts = [f"{seen['reached']} of {seen['reached'] + seen['unreachable']} Droplets reached"]
    parts += [f"{seen[k]} {w}" for k, w in (("off", "off"), ("not_ours", "not ours")) if seen[k]]
    short = seen["percent"] < seen["required"]
    need = f" (at least {seen['required']} % is asked for)" if short else ""
    yield Text(f"coverage: {', '.join(parts)}: {seen['percent']:g} %{need}", _RED if short else {})


def _waivers(summary: Summary, width: int) -> Iterator[Text]:
    for waiver in summary.waivers:
        what = f"waiver of {waiver['check']} for {waiver['select']}"
        if waiver["state"] == "expired":
            text = f"EXPIRED {what}: it ended on {waiver['expires']} ({waiver['reason']})"
            yield Text(_cut(_one_line(text), width), _YELLOW)
        elif waiver["state"] == "unused":
            text = f"UNUSED {what}: it matches no finding any more; remove it"
            yield Text(_cut(_one_line(text), width))


def _changes(summary: Summary, width: int) -> Iterator[Text]:
    if (changes := summary.changes) is None:
        return
    parts = [
        f"{len(changes[key])} {word}"
        for key, word in (
            ("new", "new"),
            ("fixed", "fixed"),
            ("still", "still failing"),
            ("newly_waived", "newly waived"),
        )
    ]
    for key, word in (("droplets_added", "came"), ("droplets_gone", "gone")):
        if names := changes[key]:
            parts.append(f"{word}: {_listed(names)}")
    yield Text(_cut(_one_line(f"since {changes['recorded_at']}: {', '.join(parts)}"), width))


def _last_line(summary: Summary) -> str:
    failures = [f for f in summary.findings if f["verdict"] == "fail"]
    droplets = {f["droplet_id"] for f in failures} - {None}
    by_severity = [
        f"{n} {s}" for s in SEVERITIES if (n := sum(f["severity"] == s for f in failures))
    ]
    head = f"{len(failures)} finding{'' if len(failures) == 1 else 's'}"
    if by_severity:
        head += f" ({', '.join(by_severity)}) on {len(droplets)} of {len(summary.droplets)}"
        head += " Droplets"
    rest = [
        f"{summary.counts.get(verdict, 0)} {word}"
        for verdict, word in (
            ("unknown", "unknown"),
            ("error", "broken"),
            ("waived", "waived"),
            ("pass", "passed"),
            ("notapplicable", "not applicable"),
        )
        if summary.counts.get(verdict, 0)
    ]
    return "; ".join([head, ", ".join(rest)]) if rest else head


def _name(summary: Summary, droplet_id: int | None) -> str:
    if droplet_id is None:
        return "account"
    line = summary.droplets.get(droplet_id)
    return printable(f"{line['name']}-{droplet_id}" if line else str(droplet_id))


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:_LISTED])} and {len(names) - _LISTED} more"


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _cut(text: str, width: int) -> str:
    text = printable(text)
    limit = max(40, width * 3)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _no_command(text: str) -> str:
    """Break what GitHub's runner would obey: ``::name`` that begins a line, ``##[name]``."""
    text = text.replace("##[", "# #[")
    start = len(text) - len(text.lstrip())
    return f"{text[:start]}: :{text[start + 2 :]}" if text[start:].startswith("::") else text


def printable(text: str) -> str:
    """Replace what could move the cursor, colour the terminal or forge a line."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
