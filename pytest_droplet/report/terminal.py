"""The end of the run on the terminal: what was not seen, findings the worst last, what to fix."""

from __future__ import annotations

import re
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
    wrong,
)
from pytest_droplet.report import unreached
from pytest_droplet.tables import VERDICTS
from pytest_droplet.text import cut, no_command, printable
from pytest_droplet.words import SEVERITIES, Outcome

_LISTED_DROPLETS = 5
_LISTED = 6
# At the default verbosity: lines of findings, messages of a check and lines of each, lines of a
# remedy, names of Droplets with one message, reasons for what is unknown, what to fix first.
_SCREEN = 24
_MESSAGES = 2
_SEEN_LINES = 3
_FIX_LINES = 2
_NAMES = 8
_REASONS = 3
_FIRST = 10
_HEADLINE = 120
_INDENT = " " * 9
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")
_MORE = " (-v shows the rest)"
# A command is pasted: no line ends in it.
_CODE = re.compile(r"`[^`]+`")
_HELD = "\0"
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

    With ``-v`` every check, Droplet and reason is listed and the remedy is whole; ``-q`` leaves
    the remedies out, ``-qq`` the Droplets too. None of the lines is a command to a CI system
    that reads the log, whatever a Droplet is named.
    """
    for line in _texts(summary, _Look(width, verbosity)):
        yield Text(no_command(line.text), line.markup)


def _texts(summary: Summary, look: _Look) -> Iterator[Text]:
    failures = [f for f in summary.findings if f["verdict"] == "fail"]
    groups = _by_check(failures)
    followers = _followers(failures)
    yield from _broken(summary, look)
    yield from _unknown(summary, look)
    yield from _waivers(summary, look)
    yield from _unreached(summary, look)
    yield from _groups(summary, groups, followers, look)
    yield from _first(summary, groups, followers, look)
    yield from _coverage(summary, look)
    yield from _changes(summary, look)
    for text in summary.narrowed:
        yield Text(printable(f"NARROWED: tests were left out by {text}"), _YELLOW)
    if summary.not_run:
        yield Text(_stopped(summary), _RED)
    good = {"green": True} if summary.exit_code == 0 else _RED
    yield from _wrapped(_last_line(summary), look, {"bold": True, **good}, indent_after=2)


def _marked(verdict: Outcome) -> Mapping[str, bool]:
    """Return the markup of what is told of a verdict."""
    return {VERDICTS[verdict].colour: True}


_RED = {"red": True}
_YELLOW = {"yellow": True}
_CYAN = {"cyan": True}


_SEVERITY_MARKS: Mapping[str, Mapping[str, bool]] = {
    "critical": {"red": True, "bold": True},
    "high": _RED,
    "medium": _YELLOW,
    "low": {},
}


def _by_check(failures: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """Return findings by check, worst first, without those whose cause is among them."""
    shown = {(f["check"], f["droplet_id"]) for f in failures}
    groups: dict[str, list[Finding]] = {}
    for line in failures:
        if (line["caused_by"], line["droplet_id"]) not in shown:
            groups.setdefault(line["check"], []).append(line)
    return sorted(
        groups.items(), key=lambda g: (SEVERITIES.index(g[1][0]["severity"]), -len(g[1]), g[0])
    )


def _groups(
    summary: Summary,
    groups: Sequence[tuple[str, list[Finding]]],
    followers: Mapping[str, Sequence[str]],
    look: _Look,
) -> Iterator[Text]:
    """Yield the findings of each check, the worst last: nearest to the prompt.

    Without ``-v`` those that are less bad are counted alone once a screen is full.
    """
    drawn: list[list[Text]] = []
    lines = 0
    for check, found in groups:
        group = list(_group(summary, check, found, followers.get(check, ()), look))
        lines += len(group)
        if look.verbosity <= 0 and drawn and lines > _SCREEN:
            break
        drawn.append(group)
    if left := groups[len(drawn) :]:
        count = Counter(found[0]["severity"] for _, found in left)
        parts = ", ".join(f"{count[s]} {s}" for s in SEVERITIES if count[s])
        noun = "check" if len(left) == 1 else "checks"
        yield Text(f"{len(left)} more {noun} with findings ({parts}): -v shows all")
    for group in reversed(drawn):
        yield from group


def _group(
    summary: Summary, check: str, found: list[Finding], also: Sequence[str], look: _Look
) -> Iterator[Text]:
    """Yield what is wrong, where and what was seen, what follows from it, and how to fix it."""
    severity = found[0]["severity"]
    marks = _SEVERITY_MARKS[severity]
    head = f"{severity.upper():<8} {_headline(summary, check, found)}"
    if look.verbosity < -1:
        yield from _wrapped(f"{head} ({_where(found)}) {check}", look, marks)
        return
    room = look.width - len(head) - len(check) - 2
    if room >= 0:
        yield Text(f"{head}  {' ' * room}{printable(check)}", marks)
    else:
        yield from _wrapped(head, look, marks)
        yield Text(f"{_INDENT}{printable(check)}")
    droplets_of: dict[str, list[str]] = {}
    for line in sorted(found, key=lambda f: f["droplet_id"] or 0):
        name = _name(summary, line["droplet_id"])
        droplets_of.setdefault(_one_line(line["message"]), []).append(name)
    shown = list(droplets_of.items())[: None if look.verbosity > 0 else _MESSAGES]
    limit = _LONGEST if look.verbosity > 0 else _SEEN_LINES * max(40, look.width)
    for message, names in shown:
        yield from _wrapped(f"{_who(names, look)}: {cut(message, limit)}", look, {}, _INDENT)
    if left := len(found) - sum(len(names) for _, names in shown):
        yield Text(f"{_INDENT}and {_droplets(left, 'more ')}: -v shows all")
    if also:
        noun = "one more follows" if len(also) == 1 else f"{len(also)} more follow"
        yield from _wrapped(f"({noun} from this: {_listed(also)})", look, {}, _INDENT)
    page: CheckEntry | Finding = summary.checks.get(check, found[0])
    if look.verbosity >= 0 and (remedy := page.get("remediation")):
        yield from (Text(line, _CYAN) for line in _remedy(remedy, look))


def _headline(summary: Summary, check: str, found: Sequence[Finding]) -> str:
    page: CheckEntry | Finding = summary.checks.get(check, found[0])
    return cut(_one_line(wrong(page, (f["message"] for f in found))), _HEADLINE)


def _who(names: Sequence[str], look: _Look) -> str:
    if look.verbosity > 0 or len(names) <= _NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES} more"


def _where(found: Sequence[Finding]) -> str:
    return "the account" if found[0]["droplet_id"] is None else _droplets(len(found))


def _first(
    summary: Summary,
    groups: Sequence[tuple[str, list[Finding]]],
    followers: Mapping[str, Sequence[str]],
    look: _Look,
) -> Iterator[Text]:
    """Yield what to fix first, where there is a choice: a line a check, the worst first."""
    if len(groups) < 2 or look.verbosity < -1:
        return
    label, lines = "FIX FIRST ", 0
    for number, (check, found) in enumerate(groups, 1):
        severity = found[0]["severity"]
        also = len(followers.get(check, ()))
        where = f"{_where(found)}{f', and {also} that follow' * bool(also)}"
        head = f"{label}{number:>2} {severity.upper():<8} {_headline(summary, check, found)}"
        drawn = list(
            _wrapped(f"{head}: {where}", look, _SEVERITY_MARKS[severity], indent_after=22)
        )
        lines += len(drawn)
        if lines > _FIRST:
            break
        yield from drawn
        label = " " * len(label)


def _droplets(number: int, more: str = "") -> str:
    return f"{number} {more}Droplet{'' if number == 1 else 's'}"


def _wrapped(
    text: str,
    look: _Look,
    marks: Mapping[str, bool],
    indent: str = "",
    indent_after: int = len(_INDENT),
) -> Iterator[Text]:
    """Yield a text in lines that break between words alone: what is pasted stays whole."""
    lines = _lines(printable(text), look, indent, indent_after)
    yield from (Text(line, marks) for line in lines)


def _lines(text: str, look: _Look, indent: str, indent_after: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(40, look.width),
        initial_indent=indent,
        subsequent_indent=" " * indent_after,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _remedy(text: str, look: _Look) -> list[str]:
    """Return the remedy in lines; without ``-v`` the first sentences, each of them whole."""
    whole = _one_line(text).replace("``", "`")
    if look.verbosity > 0:
        return _fix(whole, look)
    sentences = _SENTENCE_END.split(whole)
    for count in range(len(sentences), 1, -1):
        rest = count < len(sentences)
        told = " ".join(sentences[:count]) + _MORE * rest
        if len(lines := _fix(told, look)) <= _FIX_LINES:
            return lines
    return _fix(sentences[0] + _MORE * (len(sentences) > 1), look)


def _fix(text: str, look: _Look) -> list[str]:
    held = _CODE.sub(lambda code: code[0].replace(" ", _HELD), text)
    lines = _lines(held, look, "  fix    ", len(_INDENT))
    return [line.replace(_HELD, " ") for line in lines]


def _followers(failures: Iterable[Finding]) -> Mapping[str, Sequence[str]]:
    """Return by check the others that fail for it does, each once."""
    found: dict[str, dict[str, None]] = {}
    for line in failures:
        if line["caused_by"]:
            found.setdefault(line["caused_by"], {})[line["check"]] = None
    return {check: list(others) for check, others in found.items()}


def _unknown(summary: Summary, look: _Look) -> Iterator[Text]:
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
    reasons = sorted(droplets_of.items(), key=lambda entry: -len(entry[0][1]) * len(entry[1]))
    shown = reasons[: None if look.verbosity > 0 else _REASONS]
    for (reason, names), droplets in shown:
        yield from _wrapped(f"UNKNOWN  {cut(reason, _LONGEST)}", look, _marked("unknown"))
        where = f"{_listed(names)} on {_who(sorted(droplets), look)}"
        yield from _wrapped(where, look, {}, _INDENT)
    if left := reasons[len(shown) :]:
        count = sum(len(names) * len(droplets) for (_, names), droplets in left)
        yield Text(
            f"UNKNOWN  {count} more for {len(left)} other reasons: -v shows all",
            _marked("unknown"),
        )


def _is_unreached(summary: Summary, line: Finding) -> bool:
    """Whether the line of an unreachable Droplet says why a result is unknown."""
    return bool(line.get("unreached")) and line["droplet_id"] in summary.droplets


def _unreached(summary: Summary, look: _Look) -> Iterator[Text]:
    unknown = Counter(f["droplet_id"] for f in summary.findings if _is_unreached(summary, f))
    lost = [line for line in _unreachable(summary) if not _is_left_out(summary, line)]
    groups = [[line] for line in lost] if look.verbosity > 0 else unreached.alike(lost)
    listed = len(groups) if look.verbosity > 0 else _LISTED_DROPLETS
    for group in groups[:listed]:
        count = max(unknown[line["id"]] for line in group)
        known = f" ({count} {'check' if count == 1 else 'checks'} unknown)" * bool(count)
        yield Text(f"UNREACHABLE {_reason(group, known)}", _RED)
    if left := sum(map(len, groups[listed:])):
        yield Text(f"UNREACHABLE {_droplets(left, 'more ')}: -v shows all", _RED)


def _coverage(summary: Summary, look: _Look) -> Iterator[Text]:
    seen = summary.coverage
    if seen.not_read:
        yield Text(f"coverage: no selected check reads a host{_ephemeral(seen)}")
        return
    parts = [seen.of_reached]
    parts += [f"{n} {word}" for n, word in ((seen.off, "off"), (seen.not_ours, "not ours")) if n]
    need = f" (at least {seen.required} % is asked for)" if seen.short else ""
    text = f"coverage: {', '.join(parts)}: {seen}{need}{_ephemeral(seen)}"
    yield from _wrapped(text, look, _RED if seen.short else {}, indent_after=2)


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


def _waivers(summary: Summary, look: _Look) -> Iterator[Text]:
    for waiver in summary.waivers:
        what = f"waiver of {waiver['check']} for {waiver['select']}"
        if waiver["state"] == "expired":
            text = f"EXPIRED {what}: it ended on {waiver['expires']} ({waiver['reason']})"
            yield from _wrapped(cut(_one_line(text), _LONGEST), look, _YELLOW)
        elif waiver["state"] == "unused":
            text = f"UNUSED {what}: it matches no finding any more; remove it"
            yield from _wrapped(cut(_one_line(text), _LONGEST), look, {})
        elif waiver["state"] == "no-check":
            near = nearest(waiver["check"])
            hint = f"; did you mean {near}?" if near else ""
            text = f"UNUSED {what}: no check has this id{hint}"
            yield from _wrapped(cut(_one_line(text), _LONGEST), look, _YELLOW)


def _changes(summary: Summary, look: _Look) -> Iterator[Text]:
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
    text = _one_line(f"{since}: {', '.join(parts)}")
    yield from _wrapped(cut(text, _LONGEST), look, {}, indent_after=2)


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
