"""Markdown for a job summary: figures, checks and findings, the worst first, at most 1 MiB.

GitHub drops a summary of more than 1 MiB whole, so rows stop before and the page says how many
were left out. What hosts and the API say is escaped: it is no markup, no link and no mention. A row for each framework has the ids of its
requirements that are not met, not observed and met: a cross-reference, not a certification.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pytest_droplet.ages import Dated
from pytest_droplet.controls import NOTICE
from pytest_droplet.coverage import Coverage
from pytest_droplet.record import BaselineEntry, ResultLine, WaiverEntry, time_between
from pytest_droplet.report import unreached
from pytest_droplet.report.document import TEXT_LIMIT, Document, Group, grouped, heading
from pytest_droplet.report.requirements import Standing, by_framework, title
from pytest_droplet.tables import OPEN, VERDICTS
from pytest_droplet.text import one_line
from pytest_droplet.words import SEVERITIES

LIMIT_BYTES = 1024 * 1024
_SPARE_BYTES = 2_000
_NAMES = 5
_NAMED = 50
_ROWS = 5_000
_SPECIAL = re.compile(r"[\\`*_{}\[\]()<>#+!|&~$:=\"'^]|(?<=www)\.", re.IGNORECASE)
_LISTED = OPEN | {"waived"}


def write(document: Document, path: Path) -> None:
    """Write the page.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_text(draw(document), encoding="utf-8", errors="replace")


def append(document: Document, path: Path) -> None:
    """Append the page to a job summary, bounded by what the summary has already.

    Raises:
        OSError: The file cannot be written.
    """
    used = path.stat().st_size if path.exists() else 0
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write(draw(document, LIMIT_BYTES - used))


def draw(document: Document, limit_bytes: int = LIMIT_BYTES) -> str:
    """Return the page: no more bytes than the limit; empty where not even its head has room."""
    page = _Page(limit_bytes - _SPARE_BYTES)
    if not page.add(_head(document)):
        return ""
    told = [line for line in document.worst(_LISTED, _ROWS) if document.told_apart(line)]
    groups = grouped(
        line
        for line in document.results()
        if line["verdict"] in OPEN and document.told_apart(line)
    )
    page.table(
        "What to fix first",
        ("Severity", "Check", "Results", "Where"),
        (_check_row(document, group) for group in groups),
        len(groups),
    )
    groups_unreached = unreached.alike(document.unreachable())
    page.table(
        "Not reached",
        ("Droplet", "Reason"),
        (
            (
                one_line(unreached.names(group, _NAMED), TEXT_LIMIT),
                one_line(unreached.reason(group), 500),
            )
            for group in groups_unreached
        ),
        len(groups_unreached),
    )
    counts = document.counts
    page.table(
        "Findings",
        ("Severity", "Verdict", "Check", "Droplet", "Finding", "Open since"),
        (_finding_row(document, line) for line in told),
        len(told) if len(told) < _ROWS else sum(counts.values()),
    )
    standing = by_framework(document)
    page.table(
        f"Controls: {NOTICE}",
        ("Framework", "Not met", "Not observed", "Met"),
        (_framework_row(title(n, document.header), ids) for n, ids in standing.items()),
        len(standing),
    )
    owners = _by_owner(document)
    page.table(
        "By owner",
        ("Owner", "Droplets", *map(str.capitalize, SEVERITIES), "Overdue"),
        owners,
        len(owners),
    )
    waivers = document.summary["waivers"] if document.summary else []
    page.table(
        "Waivers",
        ("State", "Check", "Droplets", "Until", "Reason"),
        map(_waiver_row, waivers),
        len(waivers),
    )
    return page.text


def _framework_row(name: str, ids: Mapping[Standing, list[str]]) -> Iterator[str]:
    yield one_line(name, 200)
    for standing in ("not met", "not observed", "met"):
        yield one_line(", ".join(ids.get(standing, ())) or "none", TEXT_LIMIT)


def _by_owner(document: Document) -> list[list[str]]:
    """Return a row for each owner, with the numbers of findings; none where nobody is named.

    The owner with the most findings comes first; Droplets without one come last.
    """
    whose = {i: one_line(line.get("owner"), 200) for i, line in document.droplets.items()}
    if not any(whose.values()):
        return []
    droplets = Counter(whose.values())
    found: Counter[tuple[str, str]] = Counter()
    for line in document.results():
        if line["verdict"] == "fail" and line["droplet_id"] is not None:
            found[whose.get(line["droplet_id"], ""), line["severity"]] += 1
    late = Counter(
        whose.get(line["droplet_id"], "")
        for line in document.overdue()
        if line["droplet_id"] is not None
    )
    totals = {o: sum(found[o, severity] for severity in SEVERITIES) for o in droplets}
    return [
        [
            owner or "(nobody named)",
            f"{droplets[owner]:,}",
            *(f"{found[owner, severity]:,}" for severity in SEVERITIES),
            f"{late[owner]:,}",
        ]
        for owner in sorted(droplets, key=lambda o: (not o, -totals[o], o))
    ]


def _waiver_row(waiver: WaiverEntry) -> Iterator[str]:
    for text in (waiver["state"], waiver["check"], waiver["select"], waiver["expires"]):
        yield one_line(text, 500)
    yield one_line(waiver["reason"], 500)


class _Page:
    """Text that grows to a limit and no further."""

    def __init__(self, limit_bytes: int) -> None:
        self.text = ""
        self._left = limit_bytes

    def add(self, text: str) -> bool:
        """Add text, if there is room for it."""
        size = len(text.encode(errors="replace"))
        if size > self._left:
            return False
        self._left -= size
        self.text += text
        return True

    def table(
        self, title: str, head: tuple[str, ...], rows: Iterable[Iterable[str]], total: int
    ) -> None:
        """Add a table with as many of its rows as have room, and a note of how many have not."""
        if not total:
            return
        text = [f"\n### {title}\n\n{_row(head)}{_row('---' for _ in head)}"]
        self._left -= len(text[0].encode(errors="replace"))
        shown = 0
        for row in rows:
            line = _row(map(escape, row))
            size = len(line.encode(errors="replace"))
            if size > self._left:
                break
            self._left -= size
            text.append(line)
            shown += 1
        if not shown:
            text = [f"\n### {title}\n"]
        if shown < total:
            text.append(f"\n{total - shown:,} more are left out: see the record.\n")
        self.text += "".join(text)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _head(document: Document) -> str:
    counts, summary, header = document.counts, document.summary, document.header
    failed = counts.get("fail", 0)
    noun = "finding" if failed == 1 else "findings"
    lines = [f"## Droplet audit: {failed:,} {noun} on {len(document.droplets):,} Droplets", ""]
    if summary is None:
        lines += ["**This run was cut: what is not listed was not looked at.**", ""]
    if summary and (left := summary.get("not_run")):
        lines += [f"**This run was stopped: tests that did not run: {left:,}.**", ""]
    rest = [
        f"{counts[kind.name]:,} {kind.word}"
        for kind in VERDICTS.values()
        if kind.name != "fail" and counts.get(kind.name)
    ]
    lines += [", ".join(rest) or "Nothing was judged.", ""]
    if summary:
        cover = Coverage.of_line(summary["coverage"])
        need = f", **at least {cover.required} % is asked for**" if cover.short else ""
        lines += [f"Coverage: {cover.of_reached}, {cover}{need}.", ""]
    if summary and (base := summary.get("baseline")):
        between = time_between(base["recorded_at"], header.get("judged_at"))
        when = one_line(base["recorded_at"], TEXT_LIMIT) + f", {between} before" * bool(between)
        lines += [f"Since {escape(when)}: {_changes(base)}.", ""]
    if late := document.overdue():
        noun = "finding" if len(late) == 1 else "findings"
        first = escape(one_line(late[0]["due"], 100))
        unseen = sum("last_verdict" in line for line in late)
        tail = f"; {unseen:,} not judged this time" if unseen else ""
        lines += [f"**Overdue: {len(late):,} {noun}, the first since {first}{tail}.**", ""]
    selector = escape(one_line(" + ".join(header.get("selector") or ()), 500))
    judged = escape(one_line(header.get("judged_at"), TEXT_LIMIT))
    lines.append(f"{selector}, judged at {judged}{' (a replay)' * bool(header.get('replay'))}.")
    return "\n".join(lines) + "\n"


def _changes(base: BaselineEntry) -> str:
    return (
        f"{len(base['new']):,} new, {len(base['fixed']):,} fixed, "
        f"{len(base['still']):,} still, {len(base['newly_waived']):,} newly waived"
    )


def _check_row(document: Document, group: Group) -> Iterator[str]:
    page = document.checks[group.check]
    word = "below the gate" if group.verdict == "fail" and not group.gated else group.verdict
    yield group.severity if group.severity in SEVERITIES else "medium"
    yield f"{one_line(group.check, 200)}: {heading(page, group)}"
    yield f"{group.count:,} {word}"
    yield names(document, group)


def names(document: Document, group: Group) -> str:
    """Return the first few Droplets of a group, and how many more there are."""
    told = ", ".join(document.name(line["droplet_id"])[:100] for line in group.lines[:_NAMES])
    more = group.count - min(len(group.lines), _NAMES)
    return f"{told} and {more:,} more" if more else told


def _finding_row(document: Document, line: ResultLine) -> Iterator[str]:
    yield line["severity"]
    below = line["verdict"] == "fail" and not line["gated"]
    yield "below the gate" if below else line["verdict"]
    yield one_line(line["check"], 200)
    yield document.name(line["droplet_id"])
    yield one_line(line["message"], 500)
    yield _age(line)


def _age(line: Dated) -> str:
    """Return since when a finding is open, and when it is due; empty: it never was one."""
    first, age = line.get("first_seen"), line.get("age_days")
    if not first or age is None:
        return ""
    text = f"{one_line(first, 100)[:10]} ({age:,} {'day' if age == 1 else 'days'})"
    if due := line.get("due"):
        text += f", due on {one_line(due, 100)}"
    return text + ", reopened" * bool(line.get("reopened"))


def escape(text: str) -> str:
    """Return text that Markdown shows as it is; a mention gets a blank of no width."""
    escape_one: Callable[[re.Match[str]], str] = lambda found: f"\\{found[0]}"  # noqa: E731
    return _SPECIAL.sub(escape_one, text).replace("@", "@\u200b")
