"""The hooks of a run with ``--droplets``: each calls one function of a stage."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any
from warnings import WarningMessage

import pytest

from pytest_droplet import (
    asserts,
    clean,
    collection,
    discovery,
    distribution,
    facts,
    fixtures,
    loop,
    outcomes,
    progress,
    results,
    unique,
    usertests,
)
from pytest_droplet.audit import Audit
from pytest_droplet.catalogue import checks_of
from pytest_droplet.collection import Chosen
from pytest_droplet.report.reports import Reports

# What a scheduler sends, and what a terminal that goes away: the auditor's own ssh, for one.
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _end_as_ctrl_c_does() -> list[signal.Signals]:
    """Let these signals end the run with its summary, where nobody handles them; return which."""
    if threading.current_thread() is not threading.main_thread():
        return []
    ending = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ending:
        signal.signal(number, signal.default_int_handler)
    return ending


class AuditPlugin:
    """One audit: made on the controller and, with pytest-xdist, on every worker."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.worker = hasattr(config, "workerinput")
        self.refused: str | None = None
        self.refuse(asserts.off_in_python())
        self.options = discovery.prepare(config)
        self.controller = not self.worker and distribution.is_controller(config)
        self.shipped = distribution.adds_shipped(config)
        self.named = collection.translate_arguments(config)
        self.deselected = 0
        self.chosen = Chosen()
        self.ended = 0
        self.garbage = loop.Garbage()
        if self.controller and self.options.record is not None:
            raise pytest.UsageError(
                "--droplets-record needs all readings in one process: leave out -n"
            )
        self.reports: Reports | None = None
        if self.options.html is not None and not (self.worker or config.option.collectonly):
            Reports.prepare_page(self.options.html)
        self.folder = distribution.open_folder() if self.controller else None
        self.has_lists = False
        self.ending = [] if self.worker else _end_as_ctrl_c_does()
        config.pluginmanager.register(fixtures, "droplet-fixtures")

    @property
    def _reporter(self) -> pytest.TerminalReporter | None:
        found: pytest.TerminalReporter | None = self.config.pluginmanager.getplugin(
            "terminalreporter"
        )
        return found

    def refuse(self, reason: str | None) -> None:
        """End the run where there is a reason to, before anything is judged.

        Raises:
            pytest.UsageError: There is one, and this process is no worker of pytest-xdist.
        """
        if reason is not None:
            self.refused = reason
            distribution.refuse(self.config, reason)

    @property
    def audit(self) -> Audit:
        """The state of the run."""
        return self.config.stash[collection.audit_key]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Read the inventory (a worker is handed it), and begin to connect where that is sure."""
        config = self.config
        self.garbage.begin()
        self.refuse(asserts.off_in_shipped())
        if self.worker:
            audit = distribution.receive(config)
        else:
            if self.options.html is not None:
                Reports.take_over_html(config)
            self.reports = Reports.open(config, self.options)
            audit = discovery.begin(config)
        config.stash[collection.audit_key] = audit
        self.progress = progress.Progress(audit)
        usertests.activate(audit)
        config.pluginmanager.register(fixtures.FactFixtures(), "droplet-facts")
        early = collection.surely_reads_hosts(config, self.options.profiles, shipped=self.shipped)
        if self.reports and not self.controller and early:
            audit.start(audit.droplets)

    def pytest_report_header(self) -> list[str]:
        """Say what is audited, where it was read from, and which options an ini file set."""
        return self.reports.header(self.audit) if self.reports else []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the inventory to a worker of pytest-xdist."""
        assert self.folder is not None
        distribution.send(node, self.audit, self.folder.name, shipped=self.shipped)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Give all items of a Droplet to one worker, whatever ``--dist`` says."""
        return distribution.make_scheduler(
            config, log, self.audit.droplets, self._read_for_workers
        )

    def _read_for_workers(self, workers: Iterable[str]) -> None:
        """Read the lists that workers need, now that all have collected, and hand them over."""
        assert self.folder is not None
        if self.config.option.collectonly:
            return
        self.audit.lists = distribution.needs_of_workers(self.folder.name, workers)
        discovery.complete(self.config, self.audit)
        distribution.hand_over_lists(self.folder.name, self.audit)
        self._begin_record()

    def _begin_record(self) -> None:
        """Write the header of the record on the controller, once."""
        if self.reports and not self.has_lists:
            self.has_lists = True
            self.reports.begin(self.audit, collection.shipped_of(self.options.profiles))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Add the shipped checks beside what pytest collects without positional arguments."""
        report = yield
        clean.report(report)
        if self.shipped and isinstance(collector, pytest.Session) and report.passed:
            report.result = [*report.result, *collection.shipped_modules(collector)]
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Generator[None, list[Any], list[Any]]:
        """Collect the shipped modules by our own collector."""
        found = yield
        if file_path.parent != collection.CHECKS_FOLDER:
            return found
        if file_path.name == "__init__.py":
            return []
        module = collection.CheckModule.of(parent, file_path)
        module.named = self.named
        return [module]

    def pytest_pycollect_makeitem(
        self, collector: pytest.Collector, obj: object
    ) -> list[pytest.Item] | None:
        """Run users' checks that ask for facts alone through our own Item."""
        checks = checks_of(obj)
        if not checks or not all(collection.runs_as_check(c) for c in checks):
            return None
        return [item for check in checks for item in collection.items_of(collector, check)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that asks for a Droplet once for each selected one."""
        usertests.parametrize(metafunc, self.audit)

    @pytest.hookimpl(specname="pytest_generate_tests", wrapper=True, tryfirst=True)
    def pytest_generate_tests_with_clean_ids(
        self, metafunc: pytest.Metafunc
    ) -> Generator[None, None, None]:
        """Let no node id hold a secret."""
        yield
        clean.ids(metafunc)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Deselect tests that ask for no Droplet; put the rest in the order of Droplet ids."""
        self.refuse(facts.broken())
        self.refuse(unique.clash(items, config.rootpath))
        self.refuse(asserts.off_in(usertests.functions_of(items)))
        if self.refused is not None:
            items.clear()
        other = [item for item in items if not collection.asks_for_droplets(item)]
        if other:
            config.hook.pytest_deselected(items=other)
            self.deselected = len(other)
        items[:] = collection.in_order(i for i in items if collection.asks_for_droplets(i))

    @pytest.hookimpl(specname="pytest_collection_modifyitems", trylast=True)
    def pytest_collection_modifyitems_once(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Judge once what was collected twice and not deselected."""
        items[:] = unique.once(items, repeated=config.option.keepduplicates)

    def pytest_report_collectionfinish(self) -> list[str]:
        """Say how many tests were left out for they ask for no Droplet."""
        if not self.deselected:
            return []
        noun = "test asks" if self.deselected == 1 else "tests ask"
        return [f"droplets: {self.deselected} {noun} for no Droplet: deselected"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell the hosts what to read, and read the lists, now that the checks are known."""
        if self.controller or self.config.option.collectonly or self.refused is not None:
            return
        checks = collection.selected_checks(session.items)
        kept = usertests.need_connection(session.items)
        self.audit.hosts.keep(kept)
        self.audit.plan(
            checks.values(),
            collection.selected_facts(session.items),
            host=bool(kept),
            start=not self.worker,
        )
        usertests.activate(self.audit)
        if self.worker:
            distribution.tell_needs(self.config, self.audit)
        else:
            discovery.complete(self.config, self.audit)
        if self.reports:
            self.chosen = Chosen.of(session.items)
            self.reports.begin(self.audit, checks.values())
        self.garbage.keep_out()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """After the workers of pytest-xdist, judge the account from the rows they sent."""
        if self.controller and not session.config.option.collectonly:
            with self.progress.shown(self._reporter, distributed=True):
                result = yield
        else:
            result = yield
        if self.refused is not None:
            raise pytest.UsageError(self.refused)
        if self.controller and self.reports and not session.config.option.collectonly:
            distribution.judge_account(session, self.audit, self.reports)
        return result

    @pytest.hookimpl(specname="pytest_runtestloop", tryfirst=True)
    def pytest_runtestloop_as_hosts_answer(self, session: pytest.Session) -> bool | None:
        """Run each Droplet's items as its host answers; leave the rest to pytest."""
        if self.worker or self.controller or session.config.option.collectonly:
            return None
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            return None
        with self.progress.shown(self._reporter):
            loop.run_loop(session, self.audit)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run our own Items; ordinary tests are pytest's."""
        if self.worker and not self.has_lists:
            self.has_lists = True
            distribution.take_lists(self.config, self.audit)
        if self.worker:
            distribution.prefetch(self.audit, item)
        if isinstance(item, loop.DropletChecks):
            for check, following in loop.each_of(item, nextitem):
                self._run_check(check, following)
            return True
        if not isinstance(item, collection.CheckItem):
            self.progress.other()
            return None
        self._run_check(item, nextitem)
        return True

    def _run_check(self, item: collection.CheckItem, following: pytest.Item | None) -> None:
        self.progress.own()
        if self.worker and item.droplet is None:
            loop.tear_down(item, following)
        elif self.reports:
            with self.reports.subject_shown(item, silent=self.progress.replaces_letters):
                loop.run_protocol(item, following)
        else:
            loop.run_protocol(item, following)

    @pytest.hookimpl(specname="pytest_runtest_setup", wrapper=True, tryfirst=True)
    def pytest_runtest_setup_with_subtests(
        self, item: pytest.Item
    ) -> Generator[None, object, object]:
        """Note that what is reported while a test's fixtures are made is a subtest."""
        outcomes.begin(item.config)
        with outcomes.in_phase(item.config):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note that what is reported while a test's function runs is a subtest."""
        with outcomes.in_phase(item.config):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note that what is reported while a test's fixtures are ended is a subtest."""
        with outcomes.in_phase(item.config):
            return (yield)

    @pytest.hookimpl(specname="pytest_runtest_protocol", wrapper=True)
    def pytest_runtest_protocol_of_the_last(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, bool | None, bool | None]:
        """Forget on a worker what a Droplet was asked, once its last test has run."""
        result = yield
        if self.worker:
            usertests.forget_after(item, nextitem)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give the report of an ordinary test on a Droplet its verdict."""
        report = yield
        return outcomes.with_verdict(item, call, report, self.options.unknown)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip an ordinary test of the host of a Droplet that is off or not ours."""
        usertests.skip_out_of_reach(item)

    @pytest.hookimpl(specname="pytest_runtest_logreport", tryfirst=True)
    def pytest_runtest_logreport_clean(self, report: pytest.TestReport) -> None:
        """Make what pytest and its plugins show of an ordinary test harmless, where it ran."""
        carried = vars(report)
        if "droplet_check" not in carried and "node" not in carried:
            outcomes.at_report(self.config, report)
            clean.report(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> Generator[None, tuple[str, str, Any], tuple[str, str, Any]]:
        """Write no letter for our own checks where the line of progress stands for them."""
        category, letter, word = yield
        if not self.controller and not self.progress.replaces_letters:
            return category, letter, word
        if "droplet_check" not in vars(report):
            self.progress.other()
        elif self.progress.replaces_letters:
            return category, "", ""
        return category, letter, word

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: WarningMessage) -> None:
        """Let no warning that is listed at the end hold a secret."""
        clean.warning(warning_message)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the verdict of a finished test into the record."""
        if self.reports:
            if line := vars(report).get("droplet_line"):
                self.progress.arrived(line)
            self.reports.add(report)
            results.unload(report)

    @pytest.hookimpl(specname="pytest_runtest_logreport", trylast=True)
    def pytest_runtest_logreport_shown(self) -> None:
        """Show the line of progress again once pytest has written what a worker reported."""
        if self.controller:
            self.progress.own()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self) -> None:
        """Show the line of progress from the first test of a worker: then xdist has its say."""
        if self.controller:
            self.progress.own()

    def pytest_runtest_logfinish(self) -> None:
        """Count the tests that came to their end."""
        self.ended += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Keep the Droplet lines of a worker that has finished, or why it refused to run."""
        self.progress.other()
        self.refused = self.refused or distribution.refusal_of(node)
        if self.reports:
            self.reports.add_droplets(distribution.lines_of(node))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the summary, the gate's exit code and every report."""
        clean.properties_of_suite(self.config)
        if self.worker:
            distribution.finish_worker(self.config, self.audit)
        elif self.refused is None and self.reports and collection.audit_key in self.config.stash:
            if self.controller:
                self._begin_record()
                self.chosen = distribution.chosen(self.config)
            if self.chosen.tests > self.ended:
                self.reports.stopped(self.audit, self.chosen, self.ended)
            self.reports.finish(session, self.audit, exitstatus)

    @pytest.hookimpl(specname="pytest_terminal_summary", trylast=True)
    def pytest_terminal_summary_before_the_short_one(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Let pytest list our findings too, a line each, where ``-r`` asks for them."""
        if self.reports is not None:
            self.reports.list_where_asked(terminalreporter)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None]:
        """Group findings by check instead of a traceback for each."""
        if self.reports is None:
            return (yield)
        with self.reports.findings_apart(terminalreporter):
            result = yield
        self.reports.summarize(terminalreporter)
        return result

    def pytest_unconfigure(self) -> None:
        """Close every connection."""
        if self.folder is not None:
            self.folder.cleanup()
        for number in self.ending:
            signal.signal(number, signal.SIG_DFL)
        audit = self.config.stash.get(collection.audit_key, None)
        if audit is not None:
            audit.hosts.close()
        usertests.deactivate()
        if self.reports:
            self.reports.close()
        self.garbage.finish()
