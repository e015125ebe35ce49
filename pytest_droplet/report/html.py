"""The HTML report: one page, one file, drawn from the record and nothing else.

What never changes on the page (figures, coverage, waivers, ...) is drawn once, by a template that
escapes what it is given. What a reader sifts (the verdicts, with their evidence) lies in one JSON
block that the page's script reads; the script makes text of it, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment

from pytest_droplet.controls import NOTICE
from pytest_droplet.coverage import Coverage
from pytest_droplet.record import Line, narrowed_in_words, time_between
from pytest_droplet.report.html_data import LETTERS, OPEN_LETTERS, PageData, Row, clean
from pytest_droplet.report.html_script import joined
from pytest_droplet.report.rate import SENTENCE, rate
from pytest_droplet.report.requirements import STANDINGS, standings
from pytest_droplet.report.requirements import title as framework_title
from pytest_droplet.tables import VERDICTS, State
from pytest_droplet.words import SEVERITIES

_STATE_OF = {kind.letter: kind.state for kind in VERDICTS.values()}
_SEVERITY_OF = {severity[0]: severity for severity in SEVERITIES}
_RANKS = "".join(severity[0] for severity in reversed(SEVERITIES))
_PLAIN_ROWS = 200
_TABLE_ROWS = 500
_FIRST = 7
_ALL = 100


TITLE = "Droplet audit"


def write_html(
    records: Iterable[Line],
    path: Path,
    *,
    title: str = TITLE,
    extras: Mapping[str, list[Any]] | None = None,
    summary: tuple[list[str], list[str], list[str]] = ([], [], []),
    digest: str = "",
) -> None:
    """Draw the report from the lines of a record.

    Args:
        records: The objects of the record, in its order. Without a ``summary`` line the page says
            that the run was cut.
        path: The file to write; its folder is made if it is not there.
        title: Title of the page, as plain text.
        extras: What tests attached with pytest-html's ``extras``, by node id.
        summary: Prefix, summary and postfix of ``pytest_html_results_summary``. They are HTML of
            the user's own conftest and the only markup that is not escaped; the page's policy
            still keeps their scripts and styles from running.
        digest: SHA-256 of the record's file, which the page names; empty: it does not.

    Raises:
        OSError: The file cannot be written.
    """
    page = PageData()
    for record in records:
        page.add(record, extras or {})
    page.mark_changes()
    _rate(page)
    text = _draw(page, title, digest, "\n".join(part for parts in summary for part in parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "replace"))


def _draw(page: PageData, title: str, digest: str, own: str) -> str:
    folder = files(__package__) / "page"
    frame, style = (
        (folder / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css")
    )
    script = joined()
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["utc"] = _utc
    environment.globals["count"] = _count
    headline, lead, tone = _headline(page)
    findings = [row for row in page.rows if row.verdict in OPEN_LETTERS]
    return environment.from_string(frame).render(
        policy=_policy(style, script),
        title=clean(title),
        style=style,
        script=script,
        data=page.as_json(),
        own=own,
        limit=_TABLE_ROWS,
        subject=_subject(page),
        sentence=SENTENCE if page.rows else "",
        headline=headline,
        lead=lead,
        tone=tone,
        notes=list(_notes(page)),
        tiles=list(_tiles(page)),
        first=_first(page),
        findings=len(findings),
        plain=_plain(page, findings),
        changes=_changes(page),
        titles={check["id"]: check["title"] for check in page.checks},
        waivers=_waivers(page),
        coverage=_coverage(page),
        checks=_checks(page),
        notice=NOTICE,
        frameworks=_frameworks(page),
        heads=[kind.word.capitalize() for kind in VERDICTS.values()],
        run=_run(page, digest),
    )


def _rate(page: PageData) -> None:
    """Give each Droplet its rate, where something of it was judged."""
    found: dict[int, list[Row]] = {}
    for row in page.rows:
        found.setdefault(row.droplet, []).append(row)
    for droplet, rows in found.items():
        if (figure := _rate_of(rows)) is not None:
            page.droplets[droplet]["rate"] = figure


def _rate_of(rows: Iterable[Row]) -> int | None:
    return rate((_STATE_OF[row.verdict], _SEVERITY_OF[row.severity]) for row in rows)


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: our own style and script by hash, and nothing else."""

    def of(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return (
        f"default-src 'none'; script-src {of(script)}; style-src {of(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _headline(page: PageData) -> tuple[str, list[str], str]:
    """Return the result in one sentence, what must be said beside it, and its tone.

    Whether it is good the exit code alone decides, as on the terminal.
    """
    exit_code = page.summary["exit_code"] if page.summary else None
    verdicts = Counter(row.verdict for row in page.rows)
    cut = page.summary is None or bool(page.summary.get("not_run"))
    failed = [row for row in page.rows if row.verdict == "f"]
    hit = {row.droplet for row in failed if page.droplets[row.droplet]["id"] is not None}
    lead = []
    if failed:
        where = f" on {len(hit):,} of {_count(len(page.fleet), 'Droplet')}" if hit else ""
        headline = f"{_count(len(failed), 'finding')}{where}"
        by_severity = Counter(row.severity for row in failed)
        named = [f"{by_severity[s[0]]:,} {s}" for s in SEVERITIES if by_severity[s[0]]]
        below = sum(bool(more.get("below")) for more in page.more.values())
        gate = f"; {below:,} of them below the gate of this run" if below else ""
        lead.append(f"{_listed(named)}{gate}.")
    elif not page.rows:
        headline = "Nothing was judged"
    elif verdicts["u"] or verdicts["e"] or cut:
        headline = "No findings, but not everything is known"
    elif exit_code != 0:
        headline = f"No findings, but the run ended with exit code {exit_code}"
    else:
        headline = "No findings"
    missing = []
    if verdicts["u"]:
        verb = "is" if verdicts["u"] == 1 else "are"
        missing.append(f"{_count(verdicts['u'], 'verdict')} {verb} unknown")
    if verdicts["e"]:
        missing.append(f"{_count(verdicts['e'], 'verdict')} broke")
    if missing:
        lead.append(f"{_listed(missing)}: what was not observed does not count as good.")
    rest = [
        f"{verdicts[kind.letter]:,} {kind.word}"
        for kind in (VERDICTS["pass"], VERDICTS["waived"], VERDICTS["notapplicable"])
        if verdicts[kind.letter] or kind.name == "pass"
    ]
    lead.append(f"{_listed(rest)}.")
    if exit_code == 0:
        return headline, lead, "good"
    return headline, lead, "bad" if failed or verdicts["e"] else "open"


def _notes(page: PageData) -> Iterable[str]:
    """Yield what a reader must know before trusting the figures."""
    if page.summary is None:
        yield (
            "This run was cut before its end: the record has no summary. "
            "What is listed was judged until then; what is not listed was not looked at."
        )
    if left := (page.summary or {}).get("not_run"):
        verb = "test" if left == 1 else "tests"
        yield f"This run was stopped: {left:,} {verb} did not run and nothing is known of them."
    for text in narrowed_in_words(page.header.get("narrowed") or ()):
        yield f"Tests were left out by {text}"
    if replay := page.header.get("replay"):
        yield (
            f"A replay of the recording {replay.get('source') or ''} of "
            f"{_utc(replay.get('recorded_at'))}: ages and dates are judged at that time."
        )
    coverage = _covered(page)
    if coverage is not None and coverage.short:
        yield f"Coverage is {coverage}, less than the {coverage.required} % that this run requires."


def _covered(page: PageData) -> Coverage | None:
    """Return the run's coverage; None where the record has no summary."""
    line = (page.summary or {}).get("coverage")
    return Coverage.of_line(line) if line else None


def _subject(page: PageData) -> str:
    header = page.header
    return " · ".join(
        text
        for text in (
            " + ".join(map(str, header.get("selector") or ())),
            f"profile {', '.join(map(str, header.get('profile') or ()))}",
            f"judged {_utc(page.judged_at)}" if page.judged_at else "",
        )
        if text.removeprefix("profile ")
    )


def _tiles(page: PageData) -> Iterable[dict[str, Any]]:
    figure = _rate_of(page.rows)
    if figure is not None:
        yield {
            "tone": "pass" if figure == _ALL else "unknown",
            "value": f"{figure} %",
            "text": "rate",
            "hash": "rate",
        }
    kinds = Counter((row.verdict, row.severity) for row in page.rows)
    verdicts = Counter(row.verdict for row in page.rows)
    for severity in SEVERITIES:
        number = kinds["f", severity[0]]
        yield _tile(severity, number, severity, severity=severity, verdict="fail")
    for kind in VERDICTS.values():
        always = kind.name in {"unknown", "pass"}
        if kind.name not in {"fail", "notapplicable"} and (always or verdicts[kind.letter]):
            yield _tile(kind.name, verdicts[kind.letter], kind.word, verdict=kind.name)
    if coverage := _covered(page):
        yield {
            "tone": "unknown" if coverage.short or not coverage.due else "pass",
            "value": str(coverage) if coverage.due else "none",
            "text": f"reached: {coverage.reached:,} of {coverage.due:,}",
            "hash": "coverage",
        }


def _tile(tone: str, number: int, text: str, **state: str) -> dict[str, Any]:
    return {"tone": tone, "value": f"{number:,}", "text": text, "hash": _hash(**state)}


def _first(page: PageData) -> list[dict[str, Any]]:
    """Return the checks to fix first, worst severity first, then most Droplets and effects.

    What a finding causes is folded into it.
    """
    failed = {(row.droplet, row.check) for row in page.rows if row.verdict == "f"}
    found: dict[int, list[Row]] = {}
    folded: Counter[int] = Counter()
    for number, row in enumerate(page.rows):
        if row.verdict != "f":
            continue
        cause = page.check_index.get(page.more.get(number, {}).get("caused_by", ""))
        if cause is not None and cause != row.check and (row.droplet, cause) in failed:
            folded[cause] += 1
        else:
            found.setdefault(row.check, []).append(row)
    worst = {c: max((row.severity for row in rows), key=_RANKS.index) for c, rows in found.items()}
    order = sorted(found, key=lambda c: (-_RANKS.index(worst[c]), -len(found[c]), -folded[c], c))
    fleet = max(1, sum(droplet["id"] is not None for droplet in page.droplets))
    items = []
    for check in order[:_FIRST]:
        entry, rows = page.checks[check], found[check]
        hosts = {row.droplet for row in rows}
        account = all(page.droplets[host]["id"] is None for host in hosts)
        items.append(
            {
                "severity": _SEVERITY_OF[worst[check]],
                "title": entry.get("finding") or entry["title"],
                "hash": _hash(check=entry["id"]),
                "remedy": _paragraphs(entry.get("remediation") or ""),
                "percent": 100 if account else max(2, 100 * len(hosts) // fleet),
                "where": "the account" if account else _count(len(hosts), "Droplet"),
                "more": folded[check],
            }
        )
    return items


def _paragraphs(text: str) -> list[list[str]]:
    """Return the paragraphs of a docstring's section, each as text and code in turns."""
    return [
        " ".join(part.split()).split("``") for part in re.split(r"\n\s*\n", text) if part.strip()
    ]


def _plain(page: PageData, findings: Iterable[Row]) -> list[tuple[str, ...]]:
    """Return the worst findings as lines of text, for readers without JavaScript."""
    severities = [severity[0] for severity in SEVERITIES]
    worst = sorted(
        findings, key=lambda row: (OPEN_LETTERS.index(row.verdict), severities.index(row.severity))
    )
    names = {letter: name for name, letter in LETTERS.items()}
    strings = list(page.strings)
    return [
        (
            _SEVERITY_OF[row.severity],
            names[row.verdict],
            page.checks[row.check]["id"],
            page.droplets[row.droplet]["name"],
            strings[row.message],
        )
        for row in worst[:_PLAIN_ROWS]
    ]


def _changes(page: PageData) -> dict[str, Any] | None:
    base = page.baseline
    if base is None:
        return None

    lists = ("new", "still", "newly_waived", "fixed")
    return {
        **{name: base.get(name) or [] for name in lists},
        "recorded_at": base.get("recorded_at"),
        "between": time_between(base.get("recorded_at"), page.judged_at),
        "came": list(base.get("droplets_added") or ())[:_TABLE_ROWS],
        "went": list(base.get("droplets_gone") or ())[:_TABLE_ROWS],
        "ephemeral_came": len(base.get("ephemeral_added") or ()),
        "ephemeral_went": len(base.get("ephemeral_gone") or ()),
    }


def _waivers(page: PageData) -> list[dict[str, Any]]:
    """Return the waivers, expired ones first; those of the results where the summary lists none."""
    listed = (page.summary or {}).get("waivers")
    if listed is None:
        seen = {}
        for number, more in page.more.items():
            if waiver := more.get("waiver"):
                check = page.checks[page.rows[number].check]["id"]
                state = "expired" if waiver.get("expired") else "used"
                seen[check, str(waiver)] = {**waiver, "check": check, "state": state}
        listed = list(seen.values())
    looks = {
        "expired": ("critical", "Expired"),
        "no-check": ("critical", "No such check"),
        "unused": ("notapplicable", "Matches nothing"),
        "not-judged": ("notapplicable", "Not judged"),
        "used": ("waived", "In use"),
    }
    order = list(looks)
    made = []
    for waiver in listed:
        state = waiver.get("state") if waiver.get("state") in looks else "unused"
        days = _days(page.judged_at, waiver.get("expires"))
        left = (
            ""
            if days is None
            else f"({_count(abs(days), 'day')} {'left' if days >= 0 else 'ago'})"
        )
        tone, word = looks[state]
        made.append({**waiver, "state": state, "tone": tone, "word": word, "left": left})
    return sorted(made, key=lambda w: (order.index(w["state"]), str(w.get("expires"))))


def _coverage(page: PageData) -> dict[str, Any] | None:
    if not page.fleet:
        return None
    looks = {
        "unreachable": ("unknown", "Not reached"),
        "partly": ("unknown", "Read without root"),
        "untold": ("unknown", "Not told"),
        "off": ("low", "Off"),
        "not-ours": ("notapplicable", "Not ours"),
    }
    order = list(looks)
    told = _covered(page)
    seen = told or Coverage.of(page.fleet, 0)
    rest = []
    for droplet in page.fleet:
        state = droplet.get("coverage")
        reason = droplet.get("reason") or ""
        connection = droplet.get("connection") or {}
        if state == "reached" and connection.get("root") is False:
            state = "partly"
            reason = f"read as {connection.get('user')}: what needs root is unknown"
        if state != "reached":
            state = state if state in looks else "untold"
            tone, word = looks[state]
            rest.append(
                {"state": state, "tone": tone, "word": word, "name": droplet["name"],
                 "reason": reason}
            )  # fmt: skip
    parts, x = [], 0
    bar = (("pass", seen.reached), (looks["unreachable"][0], seen.unreachable))
    for tone, width in (*bar, (looks["off"][0], seen.off)):
        parts.append({"tone": tone, "x": x, "width": width})
        x += width
    return {
        "seen": seen,
        "required": told.required if told else None,
        "all": len(page.fleet),
        "parts": parts,
        "rest": sorted(rest, key=lambda item: order.index(item["state"])),
    }


def _checks(page: PageData) -> list[dict[str, Any]]:
    counts = Counter((row.check, row.verdict) for row in page.rows)
    return [
        {
            **check,
            "severity": check["severity"] if check.get("severity") in SEVERITIES else "medium",
            "hash": _hash(check=check["id"], verdict="all"),
            "counts": [f"{counts[number, kind.letter]:,}" for kind in VERDICTS.values()],
        }
        for number, check in enumerate(page.checks)
    ]


def _frameworks(page: PageData) -> list[dict[str, Any]]:
    """Return the frameworks that a check of the page has ids of, with what stands of each id.

    An id that a check of the page looks at leads to the verdicts of its checks.
    """
    seen: dict[str, set[State]] = {}
    for row in page.rows:
        seen.setdefault(page.checks[row.check]["id"], set()).add(_STATE_OF[row.verdict])
    pages: dict[str, Any] = {check["id"]: check for check in page.checks}
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for one in standings(pages, seen):
        link = _hash(control=f"{one.framework}:{one.id}", verdict="all") if one.checks else ""
        entry = {"id": one.id, "hash": link}
        found.setdefault(one.framework, {}).setdefault(one.standing, []).append(entry)
    shown = {name for check in page.checks for name in check.get("controls") or ()}
    return [
        {
            "title": framework_title(name, page.header),
            "standings": [(s, by_standing[s]) for s in STANDINGS if s in by_standing],
        }
        for name, by_standing in found.items()
        if name in shown
    ]


def _run(page: PageData, digest: str) -> list[tuple[str, str]]:
    """Return how the run was made, as pairs of a name and a text."""
    header, summary = page.header, page.summary or {}
    tool = header.get("tool") or {}
    finished = f"{_utc(summary.get('finished_at'))}, after {summary.get('duration_s')} s"

    def pairs(name: str, sign: str) -> str:
        entries = (header.get(name) or {}).items()
        return ", ".join(f"{key}{sign}{value}" for key, value in entries)

    return [
        ("Droplets", " + ".join(map(str, header.get("selector") or ()))),
        ("Profile", ", ".join(map(str, header.get("profile") or ()))),
        ("Account or team", str((header.get("account") or {}).get("id") or "")),
        ("Endpoint", str(header.get("endpoint") or "")),
        ("Started", _utc(header.get("started_at"))),
        ("Judged at", _utc(header.get("judged_at"))),
        ("Finished", finished if page.summary is not None else "no: the run was cut"),
        ("Exit code", str(summary.get("exit_code", ""))),
        ("Made by", f"{tool.get('name', '')} {tool.get('version', '')}".strip()),
        ("SHA-256 of the record", digest),
        ("Versions", pairs("versions", " ")),
        ("Options", pairs("options", " = ")),
    ]


def _hash(**state: str) -> str:
    """Return the part of a URL that the page's script reads its filters from."""
    return urlencode(state, safe=",:[]/", errors="replace")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _time(text: Any) -> datetime | None:
    try:
        when = datetime.fromisoformat(str(text))
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _utc(text: Any) -> str:
    """Return a time of the record as minutes in UTC; what is no time is returned as it is."""
    when = _time(text)
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else str(text or "")


def _days(start: Any, end: Any) -> int | None:
    """Return the days from one date of the record to another, None where one is no time."""
    one, two = _time(start), _time(end)
    return (two.date() - one.date()).days if one and two else None
