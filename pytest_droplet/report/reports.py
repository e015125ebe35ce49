"""All outputs of a run, drawn from the one record."""

from __future__ import annotations

import importlib.metadata
import platform
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_droplet import addopts, clean
from pytest_droplet.ages import is_judged
from pytest_droplet.audit import Audit
from pytest_droplet.baseline import Chain
from pytest_droplet.catalogue import Check
from pytest_droplet.collection import CheckItem, Chosen, takes_all
from pytest_droplet.coverage import Coverage
from pytest_droplet.files import Draft
from pytest_droplet.frameworks import controls_with
from pytest_droplet.gate import Judged
from pytest_droplet.options import AuditConfig, gates_from_ini
from pytest_droplet.record import (
    BaselineEntry,
    CheckEntry,
    DropletLine,
    Line,
    NarrowedEntry,
    Record,
    ResultLine,
    WaiverEntry,
    check_entry,
    header_line,
    iso,
    key_lines,
    narrowed_in_words,
    summary_line,
)
from pytest_droplet.report import formats
from pytest_droplet.report.account import account_entry, known_entry
from pytest_droplet.report.document import Document
from pytest_droplet.report.github import STDOUT
from pytest_droplet.report.html import TITLE, write_html
from pytest_droplet.report.terminal import Summary, summary_texts
from pytest_droplet.text import printable

_HIDDEN, _CHARS = ("failed", "error"), ("f", "E")


class Reports:
    """The record and what is drawn from it; on the controller alone."""

    def __init__(
        self, config: pytest.Config, options: AuditConfig, record: Record, places: formats.Places
    ) -> None:
        self._config = config
        self._options = options
        self._record = record
        self._places = places
        self._checks: dict[str, CheckEntry] = {}
        self._extras: dict[str, list[Any]] = {}
        self._coverage: Coverage | None = None
        self._written: list[str] = []
        self._subject = ""
        self._apart: dict[str, list[Any]] = {}
        self._not_run = 0
        self._exit_code = 0
        self._judged_at = ""
        self._audit: Audit | None = None
        self._chain = Chain(None)
        self._accepted: list[str] = []
        self._waivers: list[WaiverEntry] = []
        self._changes: BaselineEntry | None = None
        self._failed: list[str] = []
        self._narrowed = list(addopts.narrowed_by(config))

    @classmethod
    def open(cls, config: pytest.Config, options: AuditConfig) -> Reports | None:
        """Open the record before anything is sent; None where nothing will run.

        Raises:
            pytest.UsageError: A report cannot be written where it was asked for.
        """
        if config.option.collectonly:
            return None
        paths = [path for form, path in options.reports if form == "jsonl"]
        if len(paths) > 1:
            raise pytest.UsageError("--droplets-report=jsonl: was given twice; one record a run")
        page = [("html", options.html)] if options.html is not None else []
        try:
            places = formats.Places([*options.reports, *page])
            config.add_cleanup(places.close)
            record = Record(paths[0] if paths else None)
        except OSError as exc:
            raise _unwritable(exc) from None
        return cls(config, options, record, places)

    @staticmethod
    def prepare_page(page: Path) -> None:
        """Make sure that the page can be written, before pytest-html tries.

        Raises:
            pytest.UsageError: It cannot be.
        """
        try:
            Draft(page).discard()
        except OSError as exc:
            raise _unwritable(exc) from None

    @staticmethod
    def take_over_html(config: pytest.Config) -> None:
        """Turn pytest-html's own writer off: the page is drawn from the record."""
        from pytest_html.basereport import BaseReport  # noqa: PLC0415 only where --html is given

        for plugin in config.pluginmanager.get_plugins():
            if isinstance(plugin, BaseReport):
                config.pluginmanager.unregister(plugin)

    def header(self, audit: Audit) -> list[str]:
        """Return the lines of pytest's header."""
        chosen, known = len(audit.droplets), len(audit.inventory.droplets)
        where = f"{_host(audit.inventory.endpoint)}, {audit.inventory.requests} requests"
        if audit.replay:
            where = f"recording {audit.replay['source']}, judged at {iso(audit.now)}"
        selector = " + ".join(self._options.selectors)
        if self._options.shard is not None:
            selector += ", shard {}/{}".format(*self._options.shard)
        profile = ",".join(sorted(self._options.profiles)) or "none"
        lines = [
            f"droplets: {selector}: {chosen} of {known} Droplets ({where}); profile {profile}"
        ]
        notes = (*audit.inventory.notes, *audit.hosts.notes)
        lines += [f"droplets: {note}" for note in notes]
        if gates := gates_from_ini(self._options):
            lines.append(f"droplets: gate set by a file of the project: {gates}")
        texts = narrowed_in_words(self._narrowed_by_ini())
        lines += [f"droplets: tests left out by {text}" for text in texts]
        return list(map(printable, lines))

    def _narrowed_by_ini(self) -> list[NarrowedEntry]:
        return [entry for entry in self._narrowed if entry["source"] != "command line"]

    def begin(self, audit: Audit, checks: Iterable[Check]) -> None:
        """Write the header of the record."""
        self._judged_at = iso(audit.now)
        self._audit = audit
        self._chain = Chain(audit.gate.baseline)
        self._checks = {
            check.id: check_entry(check, controls_with(check, audit.frameworks))
            for check in checks
        }
        names = ("pytest-droplet", "pytest", "pytest-testinfra", "asyncssh", "pydo")
        self._keep(
            header_line(
                versions={n: importlib.metadata.version(n) for n in names}
                | {"python": platform.python_version()},
                selector=self._options.selectors,
                profiles=self._options.profiles,
                started_at=audit.started_at,
                judged_at=audit.now,
                replay=audit.replay,
                endpoint=_host(audit.inventory.endpoint),
                options=self._options.shown,
                checks=self._checks.values(),
                account=account_entry(audit.inventory, audit.settings),
                narrowed=self._narrowed,
                frameworks={name: own.title for name, own in audit.frameworks.items()},
                sla=audit.settings.sla,
            )
        )

    @contextmanager
    def subject_shown(self, item: CheckItem, *, silent: bool) -> Generator[None]:
        """Show a line of progress for each Droplet, where pytest has one for each file.

        Args:
            item: The check that is run within the block.
            silent: Nothing is written: another line says how far the run is.
        """
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is None or not reporter.showfspath or reporter.verbosity > 0:
            yield
            return
        if silent:
            before = reporter.currentfspath
            reporter.currentfspath = self._config.rootpath / item.nodeid.partition("::")[0]
            try:
                yield
            finally:
                reporter.currentfspath = before
            return
        if item.subject != self._subject:
            reporter.ensure_newline()
            reporter.write(f"{item.subject} ")
            self._subject = item.subject
        reporter.currentfspath = self._config.rootpath / item.nodeid.partition("::")[0]
        yield

    def add(self, report: pytest.TestReport) -> None:
        """Write what a finished phase of a test carries."""
        carried = vars(report)
        if line := carried.get("droplet_line"):
            self._keep(line)
        for evidence in carried.get("droplet_evidence", ()):
            self._keep(evidence)
        if result := carried.get("droplet_result"):
            self._keep(self._with_times(result))
        if extras := carried.get("extras"):
            self._extras.setdefault(report.nodeid, []).extend(clean.extras(extras))

    def _with_times(self, result: ResultLine) -> ResultLine:
        """Return a result with since when its finding is open, or when it was fixed."""
        audit = self._audit
        assert audit is not None
        judged = is_judged(result, self._record.droplets, whole=audit.is_whole)
        now = audit.now.replace(microsecond=0)
        self._chain.follow(result, now, judged=judged)
        return self._chain.tell(result, now, audit.settings.sla, judged=judged)

    def add_droplets(self, lines: Iterable[DropletLine]) -> None:
        """Write the lines of Droplets that no test reported on."""
        for line in lines:
            if line["id"] not in self._record.droplets:
                self._keep(line)

    @property
    def droplets(self) -> dict[int, DropletLine]:
        """The Droplet lines so far, by id."""
        return self._record.droplets

    def _keep(self, line: Line) -> None:
        """Write a line of the record; where that fails the run ends: it would prove nothing.

        Raises:
            pytest.exit.Exception: The line cannot be written.
        """
        try:
            self._record.add(line)
        except OSError as exc:
            path = self._record.path or f"the temporary record in {tempfile.gettempdir()}"
            self._failed.append(_not_written(path, exc))
            pytest.exit(self._failed[0], pytest.ExitCode.USAGE_ERROR)

    def stopped(self, audit: Audit, chosen: Chosen, ended: int) -> None:
        """Note that not everything was judged; a Droplet that was not looked at is not covered."""
        if self._failed:
            return
        self._not_run = chosen.tests - ended
        self.add_droplets(audit.lines())
        self.add_droplets(audit.unread_lines(chosen.droplets - self._record.droplets.keys()))

    def finish(self, session: pytest.Session, audit: Audit, exitstatus: int) -> None:
        """Write the end of the record and every report; a gate that is not met fails the run."""
        if self._failed:
            return
        self.add_droplets(audit.lines())
        for line in key_lines(self._record.droplets.values(), audit.inventory.keys):
            self._keep(line)
        for carried in self._chain.carried(
            audit.now, audit.settings.sla, [known_entry(audit.inventory)]
        ):
            self._keep(carried)
        self._coverage = Coverage.of(self._record.droplets.values(), self._options.min_coverage)
        if not audit.droplets and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
        if exitstatus == pytest.ExitCode.OK and self._coverage.short:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._waivers = audit.gate.waiver_states(self._record.findings, self._judged(audit))
        self._changes = self._compare(audit)
        self._exit_code = int(session.exitstatus)
        self._keep(
            summary_line(
                counts=self._record.counts,
                coverage=self._coverage,
                duration_s=(datetime.now(UTC) - audit.started_at).total_seconds(),
                exit_code=self._exit_code,
                waivers=self._waivers,
                not_run=self._not_run,
                baseline=self._changes,
            )
        )
        self._accepted = list(audit.hosts.accepted)
        if audit.recorder is not None:
            audit.recorder.finish(
                recorded_at=audit.now,
                endpoint=audit.inventory.endpoint,
                selector=self._options.selectors,
            )
            self._written.append(str(self._options.record))
        if (page := self._options.html) is not None:
            self._draw(page, lambda: self._write_html(session))
        if self._record.path is not None:
            self._written.append(str(self._record.path))
        self._write_formats()
        if self._failed:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _draw(self, path: Path, write: Callable[[], object]) -> None:
        """Write one report; one that cannot be written does not cost the others."""
        try:
            write()
        except OSError as exc:
            self._failed.append(_not_written(path, exc))
        else:
            if path != STDOUT:
                self._written.append(str(path))

    def _compare(self, audit: Audit) -> BaselineEntry | None:
        """Return what has changed since the baseline; None: there is none."""
        if audit.gate.baseline is None:
            return None
        results = (line for line in self._record.lines() if line["type"] == "result")
        there = audit.inventory.droplets if self._options.shard else audit.droplets
        return audit.gate.baseline.compare(
            results,
            self._record.droplets,
            {droplet.id for droplet in there},
            whole=audit.is_whole,
        )

    def _judged(self, audit: Audit) -> Judged:
        arguments = self._config.invocation_params.args
        return Judged(
            checks=self._record.checks,
            droplets=[d for d in audit.droplets if d.id in self._record.droplets],
            account=audit.inventory.droplets,
            whole=takes_all(self._config)
            and not self._not_run
            and not any("::" in str(argument) for argument in arguments),
            all_tests=self._config.args_source is not pytest.Config.ArgsSource.ARGS,
        )

    def _write_formats(self) -> None:
        asked = self._places.asked
        if not asked:
            return
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and formats.to_stdout(asked):
            reporter.ensure_newline()
        document = Document.draw(self._record.lines)
        for form, path in asked:
            self._draw(path, partial(self._places.write, form, document, path))

    def _write_html(self, session: pytest.Session) -> None:
        path = self._options.html
        assert path is not None
        page = SimpleNamespace(title=path.name)
        hook = self._config.hook
        hook.pytest_html_report_title(report=page)
        prefix: list[str] = []
        summary: list[str] = []
        postfix: list[str] = []
        hook.pytest_html_results_summary(
            prefix=prefix, summary=summary, postfix=postfix, session=session
        )
        with self._places.writing(path) as beside:
            write_html(
                self._record.lines(),
                beside,
                title=TITLE if page.title == path.name else page.title,
                extras=self._extras,
                summary=(prefix, summary, postfix),
                digest=self._record.digest(),
            )

    @contextmanager
    def findings_apart(self, reporter: pytest.TerminalReporter) -> Generator[None]:
        """Keep our findings out of pytest's own list of failures while it is written."""
        kept = self._apart = {name: reporter.stats.get(name, []) for name in _HIDDEN}
        for name, reports in kept.items():
            if reports:
                reporter.stats[name] = [r for r in reports if "droplet_check" not in vars(r)]
        try:
            yield
        finally:
            for name, reports in kept.items():
                if reports:
                    reporter.stats[name] = reports

    def list_where_asked(self, reporter: pytest.TerminalReporter) -> None:
        """Give pytest's list of failures back, but not their texts, where ``-r`` names them.

        pytest's default, ``-rfE``, is not asked for: our own summary has them.
        """
        chars = set(reporter.reportchars) - {"w"}
        for name, char in zip(_HIDDEN, _CHARS, strict=True):
            if self._apart.get(name) and char in chars and chars != set(_CHARS):
                reporter.stats[name] = self._apart[name]

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """Write the findings by check, the coverage and the summary line."""
        if self._coverage is None:
            return
        reporter.currentfspath = None
        reporter.section("droplets", sep="=")
        summary = Summary(
            findings=tuple(self._record.findings),
            checks=self._checks,
            droplets=self._record.droplets,
            coverage=self._coverage,
            counts=self._record.counts,
            waivers=self._waivers,
            changes=self._changes,
            judged_at=self._judged_at,
            not_run=self._not_run,
            exit_code=self._exit_code,
            narrowed=narrowed_in_words(self._narrowed_by_ini()),
            broken=self._record.broken,
            carried=self._record.carried,
            traceback_style=self._config.getoption("tbstyle", default="auto"),
        )
        width = reporter._tw.fullwidth  # noqa: SLF001 no public way to the width
        for line in summary_texts(summary, width, reporter.verbosity):
            reporter.write_line(line.text, **line.markup)
        for key in self._accepted:
            reporter.write_line(f"new host key: {key}")
        for path in self._written:
            reporter.write_line(f"written: {path}")
        for text in self._failed:
            reporter.write_line(text, red=True)

    def close(self) -> None:
        """Close the record."""
        with suppress(OSError):
            self._record.close()


def _unwritable(exc: OSError) -> pytest.UsageError:
    return pytest.UsageError(f"{exc.filename}: the report cannot be written there: {exc.strerror}")


def _not_written(path: Path | str, exc: OSError) -> str:
    return f"{path}: the report could not be written: {exc.strerror}; make room and run again"


def _host(endpoint: str) -> str:
    """Return the host of an address, with its port where it names one."""
    return urlsplit(endpoint).netloc or endpoint
