"""``python -m pytest_droplet merge``: join records and draw every report of them again."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from _pytest._io import TerminalWriter

from pytest_droplet.baseline import Chain, load_baseline
from pytest_droplet.coverage import Coverage
from pytest_droplet.options import REPORT_FORMATS, parse_fail_on, parse_report, percent
from pytest_droplet.record import Record, RecordError, SummaryLine
from pytest_droplet.report import formats
from pytest_droplet.report.document import Document
from pytest_droplet.report.github import STDOUT
from pytest_droplet.report.html import write_html
from pytest_droplet.report.merge import Asked, days_of, join, load
from pytest_droplet.report.terminal import Summary, summary_texts
from pytest_droplet.text import one_line

_USAGE = int(pytest.ExitCode.USAGE_ERROR)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise pytest.UsageError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 (findings, coverage too low) or 4 (usage)."""
    try:
        return _merge(_parser().parse_args(arguments))
    except (pytest.UsageError, RecordError) as exc:
        text = str(exc)
    except OSError as exc:
        text = f"{exc.filename}: {exc.strerror}"
    sys.stderr.write(f"ERROR: {one_line(text, 1_000)}\n")
    return _USAGE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m pytest_droplet", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    command = commands.add_parser(
        "merge",
        help="join records (shards, accounts) and draw the reports again",
        description="Join records of --droplets-report=jsonl:PATH and draw every report from"
        " them: no network, no token.",
        allow_abbrev=False,
    )
    command.add_argument("records", nargs="+", type=Path, metavar="RECORD")
    command.add_argument("--html", type=Path, metavar="PATH", help="the page of the joined record")
    command.add_argument(
        "--droplets-report",
        action="append",
        default=[],
        metavar="FORMAT:PATH",
        help=f"write a report, may be given again; formats: {', '.join(REPORT_FORMATS)}",
    )
    command.add_argument(
        "--droplets-baseline",
        type=Path,
        metavar="FILE",
        help="an earlier jsonl record: say what is new, fixed, still failing",
    )
    command.add_argument(
        "--droplets-fail-on",
        default="low",
        metavar="SEVERITY[,new|,overdue]",
        help="least severity of findings that fail; with ,new only those that the baseline had"
        " not; with ,overdue these and those whose days by [sla] are over (default: low)",
    )
    command.add_argument(
        "--droplets-min-coverage",
        type=int,
        default=100,
        metavar="PERCENT",
        help="percent of the Droplets that must have been reached (default: 100)",
    )
    command.add_argument(
        "--droplets-unknown",
        choices=("fail", "skip"),
        default="fail",
        help="whether what could not be observed fails (default: fail)",
    )
    return parser


def _merge(arguments: argparse.Namespace) -> int:
    fail_on = parse_fail_on(arguments.droplets_fail_on, "command line")
    fail_on.require_baseline(arguments.droplets_fail_on, arguments.droplets_baseline)
    reports = [parse_report(text, Path()) for text in arguments.droplets_report]
    if sum(form == "jsonl" for form, _ in reports) > 1:
        raise pytest.UsageError("--droplets-report=jsonl: was given twice; one record a merge")
    html: Path | None = arguments.html
    written = [*reports, *([("html", html)] if html else [])]
    inputs = {path.resolve(): path for path in arguments.records}
    for _, path in written:
        if path.resolve() in inputs:
            raise pytest.UsageError(f"{path}: is one of the records; write to another file")
    baseline = arguments.droplets_baseline
    asked = Asked(
        baseline=load_baseline(baseline) if baseline else None,
        least=fail_on.least,
        new_only=fail_on.new,
        overdue=fail_on.overdue,
        min_coverage=percent(arguments.droplets_min_coverage, "command line"),
        unknown_fails=arguments.droplets_unknown == "fail",
    )
    chain = Chain(asked.baseline)
    parts = load(arguments.records, chain)
    fail_on.require_days(
        arguments.droplets_fail_on, days_of(parts), "droplet.toml of the runs that are joined"
    )
    kept = [path for form, path in reports if form == "jsonl"]
    with (
        closing(formats.Places(written)) as places,
        closing(Record(kept[0] if kept else None)) as record,
    ):
        summary = join(parts, record, asked, chain)
        document = Document.draw(record.lines)
        places.write_all(document)
        if html is not None:
            with places.writing(html) as beside:
                write_html(record.lines(), beside, digest=record.digest())
        _print(document, record, summary, [str(p) for _, p in written if p != STDOUT])
    return summary["exit_code"]


def _print(
    document: Document, record: Record, summary: SummaryLine, written: Sequence[str]
) -> None:
    writer = TerminalWriter(sys.stdout)
    writer.fullwidth = shutil.get_terminal_size().columns
    writer.sep("=", "droplets")
    told = Summary(
        findings=tuple(record.findings),
        checks=document.checks,
        droplets=document.droplets,
        coverage=Coverage.of_line(summary["coverage"]),
        counts=record.counts,
        waivers=summary["waivers"],
        changes=summary.get("baseline"),
        judged_at=document.header["judged_at"],
        exit_code=summary["exit_code"],
        carried=record.carried,
    )
    for line in summary_texts(told, writer.fullwidth):
        writer.line(line.text, **line.markup)
    for path in written:
        writer.line(f"written: {path}")


if __name__ == "__main__":
    sys.exit(main())
