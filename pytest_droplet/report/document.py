"""The record as every writer sees it: what is asked often in memory, the results read anew."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from pytest_droplet.catalogue import shipped
from pytest_droplet.record import (
    CheckEntry,
    DropletLine,
    Finding,
    HeaderLine,
    KeyLine,
    Line,
    ResultLine,
    SummaryLine,
    wrong,
)
from pytest_droplet.tables import VERDICTS
from pytest_droplet.text import one_line
from pytest_droplet.words import SEVERITIES, Outcome

TEXT_LIMIT = 2_000


@dataclass(frozen=True)
class Document:
    """A record, drawn once for all writers.

    Attributes:
        header: The header line; empty where the record has none.
        checks: The page of each check by id; of users' own tests too, from their results.
        droplets: Droplet lines by id.
        keys: Key lines.
        summary: The summary line; None where the run was cut.
        counts: Number of results by verdict.
        sizes: Number of results by Droplet id; None is the account.
        read: Reads all lines of the record again, from the first.
    """

    header: HeaderLine
    checks: Mapping[str, CheckEntry]
    droplets: Mapping[int, DropletLine]
    keys: Sequence[KeyLine]
    summary: SummaryLine | None
    counts: Mapping[Outcome, int]
    sizes: Mapping[int | None, int]
    read: Callable[[], Iterable[Line]] = field(repr=False)

    @classmethod
    def draw(cls, read: Callable[[], Iterable[Line]]) -> Document:
        """Draw a record that can be read more than once; no result is kept."""
        header = cast("HeaderLine", {})
        summary: SummaryLine | None = None
        checks: dict[str, CheckEntry] = {}
        droplets: dict[int, DropletLine] = {}
        keys: list[KeyLine] = []
        counts: Counter[Outcome] = Counter()
        sizes: Counter[int | None] = Counter()
        for line in read():
            match line["type"]:
                case "result":
                    counts[line["verdict"]] += 1
                    sizes[line["droplet_id"]] += 1
                    if line["check"] not in checks:
                        checks[line["check"]] = _own_page(line)
                case "droplet":
                    droplets[line["id"]] = line
                case "key":
                    keys.append(line)
                case "header":
                    header = line
                    checks.update((entry["id"], entry) for entry in line["checks"])
                case "summary":
                    summary = line
        return cls(header, checks, droplets, keys, summary, counts, sizes, read)

    @classmethod
    def from_lines(cls, lines: Iterable[Line]) -> Document:
        """Draw a record that is in memory."""
        kept = list(lines)
        return cls.draw(lambda: kept)

    def results(self) -> Iterator[ResultLine]:
        """Read the results again, in the order of the record."""
        return (line for line in self.read() if line["type"] == "result")

    def worst(self, verdicts: Container[str], limit: int) -> list[ResultLine]:
        """Return results of these verdicts: those that fail the run first, by severity."""
        chosen = (line for line in self.results() if line["verdict"] in verdicts)
        return heapq.nsmallest(limit, chosen, key=badness)

    def droplet(self, droplet_id: int | None) -> DropletLine | None:
        """Return the line of a Droplet; None: the record has none, or it is the account."""
        return None if droplet_id is None else self.droplets.get(droplet_id)

    def name(self, droplet_id: int | None) -> str:
        """Return whom a result is about: the Droplet's name, or ``account``."""
        if droplet_id is None:
            return "account"
        line = self.droplets.get(droplet_id)
        return one_line(line["name"], 255) if line else f"Droplet {droplet_id}"

    def urn(self, droplet_id: int | None) -> str:
        """Return the uniform resource name of a Droplet, or ``do:account``."""
        return "do:account" if droplet_id is None else f"do:droplet:{droplet_id}"

    def unreachable(self) -> list[DropletLine]:
        """Return the lines of the Droplets that did not answer."""
        return [line for line in self.droplets.values() if line["coverage"] == "unreachable"]

    def told_apart(self, line: Finding) -> bool:
        """Whether a result needs words of its own: the line of its Droplet does not say it all."""
        return not line.get("unreached") or line["droplet_id"] not in self.droplets

    @cached_property
    def changes(self) -> Mapping[object, str]:
        """What a baseline says of a result, by fingerprint: new, still, newly_waived or fixed."""
        base = self.summary.get("baseline") if self.summary else None
        if base is None:
            return {}
        found: dict[object, str] = {
            **dict.fromkeys(base.get("still", ()), "still"),
            **dict.fromkeys(base.get("newly_waived", ()), "newly_waived"),
            **dict.fromkeys(base.get("new", ()), "new"),
        }
        fixed = base.get("fixed", ())
        return found | {(f["check"], f["droplet_id"]): "fixed" for f in fixed}

    def change(self, line: ResultLine) -> str | None:
        """Return what has changed of a result since the baseline; None: nothing, or none given."""
        if not self.changes:
            return None
        known = self.changes.get(line["fingerprint"])
        return known or self.changes.get((line["check"], line["droplet_id"]))

    def observed_at(self, line: ResultLine) -> str:
        """Return when the facts of a result were read, as RFC 3339."""
        evidence = line["evidence"]
        when = evidence[0]["observed_at"] if evidence else self.header.get("judged_at")
        return one_line(when, 100)

    def tool_version(self) -> str:
        """Return the version that wrote the record."""
        return str((self.header.get("tool") or {}).get("version", ""))


@dataclass
class Group:
    """The results of one check and one verdict that are told together.

    ``lines`` are the first few of ``count``; ``caused`` says that all have another check as cause.
    """

    check: str
    verdict: str
    severity: str
    gated: bool
    count: int = 0
    caused: bool = True
    lines: list[ResultLine] = field(default_factory=list)


def grouped(lines: Iterable[ResultLine], keep: int = 5) -> list[Group]:
    """Group results by check and verdict, worst first; what another check causes comes last."""
    groups: dict[tuple[str, str, bool], Group] = {}
    for line in lines:
        key = line["check"], line["verdict"], line["gated"]
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group(*key[:2], line["severity"], line["gated"])
        group.count += 1
        group.caused = group.caused and line["caused_by"] is not None
        if len(group.lines) < keep:
            group.lines.append(line)
    return sorted(
        groups.values(), key=lambda g: (badness(g.lines[0]), g.caused, -g.count, g.check)
    )


def rank(severity: str) -> int:
    """Return the place of a severity: 0 is critical."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else 2


_WELL = VERDICTS["waived"].order + 1


def badness(line: Finding) -> tuple[int, bool, int]:
    """Return the key that sorts results: failing the run, broken, unknown, below, waived."""
    kind = VERDICTS.get(line["verdict"])
    below = line["verdict"] == "fail" and not line["gated"]
    place = VERDICTS["waived"].order if below else min(kind.order if kind else _WELL, _WELL)
    return place, not below, rank(line["severity"])


def source_of(line: ResultLine) -> tuple[str, int]:
    """Return file and line number of a result's check; 1 where the line is not known."""
    path = one_line(str(line["nodeid"]).partition("::")[0], 1_000)
    check = shipped().get(line["check"])
    number = check.function.__code__.co_firstlineno if check else line.get("source_line")
    return path, number or 1


def control_ids(page: CheckEntry, framework: str) -> list[str]:
    """Return the ids of a framework that ask for a check, each in one line."""
    return [one_line(one, 100) for one in (page.get("controls") or {}).get(framework, ())]


def controls_text(page: CheckEntry) -> str:
    """Return what asks for a check, in one line: ``hipaa: 164.312(b) | pci-dss-4.0.1: 1.3.1``."""
    names = page.get("controls") or {}
    return " | ".join(
        f"{one_line(name, 100)}: {', '.join(control_ids(page, name))}" for name in names
    )


def control_tags(page: CheckEntry, limit: int) -> list[str]:
    """Return tags ``external/FRAMEWORK/ID``: the first id of every framework, then the second."""
    tags = [
        [f"external/{one_line(name, 100)}/{one}" for one in control_ids(page, name)]
        for name in page.get("controls") or {}
    ]
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*tags))
    return [tag for tag in in_turn if tag][:limit]


def evidence_text(line: ResultLine) -> str:
    """Return the evidence of a result in one line: ``source: value; ...``."""
    facts = line["evidence"][:10]
    return "; ".join(f"{one_line(e['source'], 200)}: {one_line(e['value'], 400)}" for e in facts)


def told(page: CheckEntry, line: ResultLine) -> str:
    """Return what is wrong and what was seen, in one line; of what is no finding, the latter."""
    seen = one_line(line["message"], TEXT_LIMIT)
    finding = page.get("finding")
    if line["verdict"] not in {"fail", "waived"} or not finding:
        return seen
    return f"{of_parameter(page, finding)}: {seen}" if seen else of_parameter(page, finding)


def of_parameter(page: CheckEntry, text: str) -> str:
    """Return a sentence of a check's page with the check's parameter, which it does not name."""
    _, bracket, parameter = one_line(page["id"], 1_000).partition("[")
    return one_line(f"{text} ({parameter[:-1]})" if bracket else text, 500)


def _own_page(line: ResultLine) -> CheckEntry:
    check = line["check"]
    own: CheckEntry = {
        "id": check,
        "title": line.get("title") or check,
        "severity": line["severity"],
        "family": "tests" if "::" in check else check.partition(".")[0],
        "profiles": [],
        "guide": None,
        "references": "",
        "rationale": "",
        "remediation": line.get("remediation") or "",
    }
    if finding := line.get("finding"):
        own["finding"] = finding
    return own


def heading(page: CheckEntry, group: Group) -> str:
    """Return what heads results that are alike: what is wrong, or what should hold."""
    if group.verdict not in {"fail", "waived"}:
        return one_line(page["title"], 200)
    return one_line(wrong(page, (line["message"] for line in group.lines)), 200)
