"""The end of the run on the terminal: findings by check, worst first, then what was not seen."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_droplet.catalogue import nearest
from pytest_droplet.coverage import Coverage
from pytest_droplet.record import (
    ENDED,
    BaselineEntry,
    CheckEntry,
    DropletLine,
    Finding,
    WaiverEntry,
    time_between,
)
from pytest_droplet.report import unreached
from pytest_droplet.tables import VERDICTS
from pytest_droplet.text import cut, no_command, printable
from pytest_droplet.words import SEVERITIES, Outcome

_LISTED_DROPLETS = 20
_LISTED = 6
_NAMED = 100
_LONGEST = 2000


@dataclass(frozen=True)
class Text:
    """A line of the terminal and how to mark it (keywords of pytest's TerminalWriter)."""

    text: str
    markup: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What the end of the run is drawn from: lines of the record.

    ``findings`` are results that are neither pass nor notapplicable; ``checks`` the header's
    entries by id; ``droplets`` the Droplet lines by id; ``judged_at`` the header's;
    ``not_run`` is the number of tests that a run which was stopped left out; ``exit_code`` alone
    decides whether the end looks like success; ``narrowed`` tells
    which files of the project left tests out, and how. ``broken`` has the tracebacks of checks
    that broke, by check and message; they are shown as ``traceback_style``, pytest's ``--tb``, says.
    """

    findings: tuple[Finding, ...]
    checks: Mapping[str, CheckEntry]
    droplets: Mapping[int, DropletLine]
    coverage: Coverage
    counts: Mapping[Outcome, int]
    waivers: Sequence[WaiverEntry] = ()
    changes: BaselineEntry | None = None
    judged_at: str = ""
    not_run: int = 0
    exit_code: int = 0
    narrowed: Sequence[str] = ()
    broken: Mapping[tuple[str, str], str] = field(default_factory=dict)
    traceback_style: str = "auto"


@dataclass(frozen=True)
class _Look:
    """Width of the terminal, and how much is told: pytest's verbosity."""

    width: int
    verbosity: int


def summary_texts(summary: Summary, width: int, verbosity: int = 0) -> Iterator[Text]:
    """Yield the lines of the summary for a terminal of this width.

    With ``-v`` every Droplet is listed and the remedy is whole; ``-q`` leaves the remedies out,
    ``-qq`` the Droplets too. None of the lines is a command to a CI system that reads the log,
    whatever a Droplet is named.
    """
    for line in _texts(summary, _Look(width, verbosity)):
        yield Text(no_command(line.text), line.markup)


def _texts(summary: Summary, look: _Look) -> Iterator[Text]:
    width = look.width
    failures = [f for f in summary.findings if f["verdict"] == "fail"]
    for check, found in _by_check(failures):
        yield from _group(summary, check, found, failures, look)
    yield from _broken(summary, look)
    yield from _unknown(summary, width)
    yield from _waivers(summary, width)
    yield from _coverage(summary, look)
    yield from _changes(summary, width)
    for text in summary.narrowed:
        yield Text(printable(f"NARROWED: tests were left out by {text}"), _YELLOW)
    if summary.not_run:
        yield Text(_stopped(summary), _RED)
    good = {"green": True} if summary.exit_code == 0 else _RED
    yield Text(_last_line(summary), {"bold": True, **good})


def _marked(verdict: Outcome) -> Mapping[str, bool]:
    """Return the markup of what is told of a verdict."""
    return {VERDICTS[verdict].colour: True}


_RED = {"red": True}
_YELLOW = {"yellow": True}
_CYAN = {"cyan": True}


def _by_check(failures: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    shown = {(f["check"], f["droplet_id"]) for f in failures}
    groups: dict[str, list[Finding]] = {}
    for line in failures:
        if (line["caused_by"], line["droplet_id"]) not in shown:
            groups.setdefault(line["check"], []).append(line)
    return sorted(
        groups.items(), key=lambda g: (SEVERITIES.index(g[1][0]["severity"]), -len(g[1]), g[0])
    )


def _group(
    summary: Summary, check: str, found: list[Finding], failures: list[Finding], look: _Look
) -> Iterator[Text]:
    width, verbosity = look.width, look.verbosity
    page: CheckEntry | Finding = summary.checks.get(check, found[0])
    title = f"{found[0]['severity'].upper()} {check}: {page.get('title')}"
    if verbosity < -1:
        where = "the account" if found[0]["droplet_id"] is None else _droplets(len(found))
        yield Text(_cut(f"{title} ({where})", width), _marked("fail"))
        return
    yield Text(_cut(title, width), _marked("fail"))
    followers = _followers(check, failures)
    listed = None if verbosity > 0 else _LISTED_DROPLETS
    for line in sorted(found, key=lambda f: f["droplet_id"] or 0)[:listed]:
        who = _name(summary, line["droplet_id"])
        yield Text(_cut(f"  {who}: {_one_line(line['message'])}", width))
        if also := followers.get(line["droplet_id"]):
            yield Text(_cut(f"    and so: {_listed(also)}", width))
    if listed and len(found) > listed:
        yield Text(f"  and {_droplets(len(found) - listed, 'more ')}: see the report")
    if verbosity >= 0 and (remedy := page.get("remediation")):
        yield from (Text(line, _CYAN) for line in _remedy(remedy, look))
    yield Text("")


def _droplets(number: int, more: str = "") -> str:
    return f"{number} {more}Droplet{'' if number == 1 else 's'}"


def _remedy(text: str, look: _Look) -> list[str]:
    more = " … (--droplets-explain has it all)" if look.width > 45 else " …"
    return textwrap.wrap(
        _one_line(text).replace("``", "`"),
        max(20, look.width - 2),
        initial_indent="  fix: ",
        subsequent_indent="       ",
        break_on_hyphens=False,
        max_lines=None if look.verbosity > 0 else 5,
        placeholder=more,
    )


def _followers(check: str, failures: Iterable[Finding]) -> dict[int | None, list[str]]:
    found: dict[int | None, list[str]] = {}
    for line in failures:
        if line["caused_by"] == check:
            found.setdefault(line["droplet_id"], []).append(line["check"])
    return found


def _unknown(summary: Summary, width: int) -> Iterator[Text]:
    """Yield each reason once, with the checks and the Droplets that it keeps in the dark."""
    checks_of: dict[tuple[str, int | None], list[str]] = {}
    for line in summary.findings:
        if line["verdict"] == "unknown" and not _is_unreached(summary, line):
            key = _one_line(line["message"]), line["droplet_id"]
            checks_of.setdefault(key, []).append(line["check"])
    droplets_of: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (reason, droplet_id), checks in checks_of.items():
        who = _name(summary, droplet_id)
        droplets_of.setdefault((reason, tuple(sorted(checks))), []).append(who)
    for (reason, names), droplets in droplets_of.items():
        yield Text(_cut(f"UNKNOWN {_listed(names)}: {reason}", width), _marked("unknown"))
        yield Text(_cut(f"  {_listed(sorted(droplets))}", width))


def _is_unreached(summary: Summary, line: Finding) -> bool:
    """Whether the line of an unreachable Droplet says why a result is unknown."""
    return bool(line.get("unreached")) and line["droplet_id"] in summary.droplets


def _coverage(summary: Summary, look: _Look) -> Iterator[Text]:
    unknown = Counter(f["droplet_id"] for f in summary.findings if _is_unreached(summary, f))
    lost = [line for line in _unreachable(summary) if not _is_left_out(summary, line)]
    groups = [[line] for line in lost] if look.verbosity > 0 else unreached.alike(lost)
    listed = len(groups) if look.verbosity > 0 else _LISTED_DROPLETS
    for group in groups[:listed]:
        count = max(unknown[line["id"]] for line in group)
        known = f" ({count} {'check' if count == 1 else 'checks'} unknown)" * bool(count)
        yield Text(f"UNREACHABLE {_reason(group, known)}", _RED)
    if left := sum(map(len, groups[listed:])):
        yield Text(f"UNREACHABLE {_droplets(left, 'more ')}: see the report", _RED)
    seen = summary.coverage
    if seen.not_read:
        yield Text(f"coverage: no selected check reads a host{_ephemeral(seen)}")
        return
    parts = [seen.of_reached]
    parts += [f"{n} {word}" for n, word in ((seen.off, "off"), (seen.not_ours, "not ours")) if n]
    need = f" (at least {seen.required} % is asked for)" if seen.short else ""
    text = f"coverage: {', '.join(parts)}: {seen}{need}{_ephemeral(seen)}"
    yield Text(text, _RED if seen.short else {})


def _reason(group: Sequence[DropletLine], known: str) -> str:
    """Return why these were not reached, whole, since it ends with what to type."""
    reason = cut(unreached.reason(group), _LONGEST)
    if len(group) == 1:
        return printable(reason + known)
    each = known.replace(" unknown)", " unknown each)")
    names = unreached.names(group, _NAMED)
    return printable(f"{_droplets(len(group))}: {reason}{each}: {names}")


def _ephemeral(seen: Coverage) -> str:
    """Return how many Droplets come and go by themselves; empty where none does."""
    if not seen.ephemeral:
        return ""
    return f"; ephemeral, of a pool or cluster: {seen.ephemeral} of {seen.in_scope}"


def _unreachable(summary: Summary) -> Iterator[DropletLine]:
    return (line for line in summary.droplets.values() if line["coverage"] == "unreachable")


def _broken(summary: Summary, look: _Look) -> Iterator[Text]:
    """Yield the checks that broke: where it happened stands once, whatever Droplets it was on."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for line in summary.findings:
        if line["verdict"] == "error":
            groups.setdefault((line["check"], line["message"]), []).append(line)
    for (check, message), found in groups.items():
        yield Text(_cut(f"ERROR {check}: {message}", look.width), _marked("error"))
        who = _listed([_name(summary, line["droplet_id"]) for line in found])
        yield Text(_cut(f"  the check itself broke on {who}", look.width))
        trace = summary.broken.get((check, message), "")
        for text in _shortened(trace.splitlines(), summary.traceback_style):
            yield Text(f"  {printable(text)}")


def _shortened(trace: Sequence[str], style: str) -> Sequence[str]:
    """Return what pytest's ``--tb`` leaves of a traceback.

    That is all of it, where it happened, nothing, or the check's own frame and that in which it
    broke.
    """
    frames = [number for number, line in enumerate(trace) if line.startswith("  File ")]
    if style == "no" or not frames:
        return []
    if style in {"long", "native"}:
        return trace
    if style == "line":
        return [trace[frames[-1]]]
    own = trace[frames[0] : frames[1]] if len(frames) > 1 else []
    return [*own, *trace[frames[-1] :]]


def _is_left_out(summary: Summary, line: DropletLine) -> bool:
    """Whether a Droplet was not reached for the run was stopped before."""
    return summary.not_run > 0 and line["reason"].endswith(ENDED)


def _stopped(summary: Summary) -> str:
    text = f"STOPPED: {summary.not_run} {'test' if summary.not_run == 1 else 'tests'} did not run"
    if left := sum(_is_left_out(summary, line) for line in _unreachable(summary)):
        text += f"; {_droplets(left)} not looked at"
    return text


def _waivers(summary: Summary, width: int) -> Iterator[Text]:
    for waiver in summary.waivers:
        what = f"waiver of {waiver['check']} for {waiver['select']}"
        if waiver["state"] == "expired":
            text = f"EXPIRED {what}: it ended on {waiver['expires']} ({waiver['reason']})"
            yield Text(_cut(_one_line(text), width), _YELLOW)
        elif waiver["state"] == "unused":
            text = f"UNUSED {what}: it matches no finding any more; remove it"
            yield Text(_cut(_one_line(text), width))
        elif waiver["state"] == "no-check":
            near = nearest(waiver["check"])
            hint = f"; did you mean {near}?" if near else ""
            yield Text(_one_line(f"UNUSED {what}: no check has this id{hint}"), _YELLOW)


def _changes(summary: Summary, width: int) -> Iterator[Text]:
    if (changes := summary.changes) is None:
        return
    parts = [
        f"{len(changes['new'])} new",
        f"{len(changes['fixed'])} fixed",
        f"{len(changes['still'])} still failing",
        f"{len(changes['newly_waived'])} newly waived",
    ]
    for names, word in ((changes["droplets_added"], "came"), (changes["droplets_gone"], "gone")):
        if names:
            parts.append(f"{word}: {_listed(names)}")
    came, gone = changes.get("ephemeral_added"), changes.get("ephemeral_gone")
    for names, word in ((came or [], "came"), (gone or [], "gone")):
        if names:
            parts.append(f"{len(names)} ephemeral {word}")
    between = time_between(changes["recorded_at"], summary.judged_at)
    since = f"since {changes['recorded_at']}" + f", {between} before" * bool(between)
    yield Text(_cut(_one_line(f"{since}: {', '.join(parts)}"), width))


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
        f"{summary.counts[kind.name]} {kind.word}"
        for kind in VERDICTS.values()
        if kind.name != "fail" and summary.counts.get(kind.name)
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
    return cut(text, limit)
