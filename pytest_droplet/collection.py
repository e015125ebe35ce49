"""The Collector and the Item that run checks, and the order in which a run takes them."""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pytest

import pytest_droplet.checks
from pytest_droplet.audit import Audit, needs_host
from pytest_droplet.catalogue import Check, checks_in, shipped, source_path
from pytest_droplet.facts import all_facts
from pytest_droplet.model import Droplet, NotObservedError, Verdict
from pytest_droplet.record import ResultLine, result_line
from pytest_droplet.redact import redact
from pytest_droplet.text import harmless, harmless_line
from pytest_droplet.verdict import (
    arguments_of,
    arguments_of_account,
    given_names,
    judge,
    judge_account,
    make_verdict,
)

CHECKS_FOLDER = Path(pytest_droplet.checks.__file__).parent
_CHECKS_PACKAGE = "pytest_droplet.checks"
NODE_FOLDER = "pytest_droplet/checks"

_DECISION_IS_ENOUGH = frozenset(
    {
        "_pytest.cacheprovider",
        "_pytest.logging",
        "_pytest.main",
        "_pytest.stepwise",
        "_pytest.terminal",
        "pytest_droplet.session",
    }
)

audit_key: pytest.StashKey[Audit] = pytest.StashKey()
_every_phase_key: pytest.StashKey[bool] = pytest.StashKey()
Phase = Literal["setup", "call", "teardown"]
_GC_THRESHOLDS = (50_000, 20, 1_000)


class CheckModule(pytest.Collector):
    """Collects the checks of one shipped module, once for each selected Droplet."""

    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, parent: pytest.Collector, path: Path) -> CheckModule:
        """Return the collector of a file in the folder of the shipped checks."""
        node: CheckModule = cls.from_parent(
            parent, name=path.name, path=path, nodeid=f"{NODE_FOLDER}/{path.name}"
        )
        return node

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an Item for each check of the profile, or named on the command line, by Droplet."""
        module = importlib.import_module(f"{pytest_droplet.checks.__name__}.{self.path.stem}")
        profiles = self.config.stash[audit_key].options.profiles
        for check in checks_in(module):
            if profiles.intersection(check.profiles) or check.base_id in self.named:
                yield from items_of(self, check)


class CheckItem(pytest.Item):
    """One check on one Droplet (``droplet`` None: on the account)."""

    def __init__(
        self,
        *,
        check: Check,
        droplet: Droplet | None,
        mark: pytest.Mark,
        location: tuple[str, int | None, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.check = check
        self.droplet = droplet
        self.own_markers.append(mark)
        self._location = location

    @property
    def subject(self) -> str:
        """What is judged: the Droplet's name and id, or ``account``."""
        return self.droplet.pytest_id if self.droplet else "account"

    @property
    def audit(self) -> Audit:
        """The run that this item belongs to."""
        return self.config.stash[audit_key]

    def judge(self) -> Verdict:
        """Wait for the Droplet, judge the check, and let the gate have its say."""
        try:
            if self.droplet is None:
                verdict = judge_account(self.check, self.audit.account(self.audit.rows))
            else:
                verdict = judge(self.check, self.audit.observation(self.droplet.id))
        except pytest.fail.Exception as exc:  # pytest-timeout's, while the host is waited for
            droplet_id = self.droplet.id if self.droplet else None
            verdict = make_verdict(
                self.check.id, droplet_id, "unknown", self.check.severity, str(exc.msg)
            )
        return self.audit.gate.settle(verdict, self.droplet)

    def call(self) -> None:
        """Call the check's function on the same facts again."""
        if self.droplet is None:
            account = self.audit.account(self.audit.rows)
            self.check.function(**arguments_of_account(self.check, account))
        else:
            observation = self.audit.observation(self.droplet.id)
            self.check.function(**arguments_of(self.check, observation))

    def runtest(self) -> None:
        """Run the check as pytest runs any item; the run protocol below does not come here."""
        verdict = self.judge()
        if verdict.outcome == "fail":
            pytest.fail(verdict.message, pytrace=False)
        if verdict.outcome == "notapplicable":
            pytest.skip(verdict.message)
        if verdict.outcome != "pass":
            raise pytest.UsageError(verdict.message)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the check is defined, and the item's name."""
        code = self.check.function.__code__
        return source_path(self.check), code.co_firstlineno - 1, self.name

    @property
    def location(self) -> tuple[str, int | None, str]:
        """The file of the node id, so that no machine path is shown; pytest adds the name."""
        return self._location

    def run_protocol(self, following: pytest.Item | None = None) -> None:
        """Judge, and report setup, call and teardown as pytest does for any test."""
        hook, nodeid = self.ihook, self.nodeid
        hook.pytest_runtest_logstart(nodeid=nodeid, location=self.location)
        start = time.time()
        verdict = self.judge()
        if self.config.option.setupshow:
            self._show()
        for report in self._reports(verdict, start):
            hook.pytest_runtest_logreport(report=report)
            if report.failed and self.config.option.usepdb:
                self._interact(report)
        self.tear_down(following)
        hook.pytest_runtest_logfinish(nodeid=nodeid, location=self.location)

    def tear_down(self, following: pytest.Item | None) -> None:
        """Take down what ordinary tests of a module have left set up for those behind this check.

        A check sets nothing up; the next ordinary test needs to find what it shares, and no more.
        """
        state = self.session._setupstate  # noqa: SLF001 pytest's own protocol is the other user
        needed = following.listchain() if following else ()
        if isinstance(following, CheckItem) or state.stack.keys() <= set(needed):
            return
        call = pytest.CallInfo.from_call(
            lambda: state.teardown_exact(following),
            when="teardown",
            reraise=(pytest.exit.Exception, KeyboardInterrupt),
        )
        if call.excinfo is not None:
            text = harmless(redact(str(call.excinfo.getrepr(style="short"))))
            report = self._report(
                "teardown",
                "failed",
                text,
                start=call.start,
                duration=call.duration,
                properties=(),
            )
            self.ihook.pytest_runtest_logreport(report=report)

    def _show(self) -> None:
        """Name the item and its facts, as ``--setup-show`` does for a test and its fixtures."""
        writer = self.config.get_terminal_writer()
        writer.line()
        writer.write(f"        {self.nodeid} (fixtures used: {', '.join(self.check.facts)})")

    def _interact(self, report: pytest.TestReport) -> None:
        """Let ``--pdb`` look at a check that failed: it is called again on the same facts.

        What was not observed, as a host that did not answer, leaves nothing to look at.
        """
        call = pytest.CallInfo.from_call(self.call, when="call")
        nothing = (pytest.skip.Exception, NotObservedError)
        if call.excinfo is not None and not call.excinfo.errisinstance(nothing):
            self.ihook.pytest_exception_interact(node=self, call=call, report=report)

    def _reports(self, verdict: Verdict, start: float) -> Iterator[pytest.TestReport]:
        outcome, phase, text = as_pytest(verdict, self.audit.options.unknown)
        every = needs_every_phase(self.config)
        longrepr: Any = text
        if outcome == "skipped" and text is not None:
            path, line, _ = self.location
            longrepr = (path, (line or 0) + 1, f"Skipped: {text}")
        properties = properties_of(verdict, self.droplet)
        if every and phase != "setup":
            yield self._report("setup", start=start, properties=properties)
        decisive = self._report(
            phase,
            outcome,
            longrepr,
            start=start,
            duration=verdict.duration_s,
            properties=properties,
        )
        if accepted := accepted_for(verdict):
            decisive.wasxfail = accepted
        own = self.check.id not in shipped()
        page, number = (self.check.doc, (self.location[1] or 0) + 1) if own else (None, None)
        account_id = self.audit.inventory.account_id
        result = result_line(verdict, self.nodeid, page, number, account_id=account_id)
        carry(decisive, self.audit, result)
        vars(decisive)["droplet_check"] = True
        yield decisive
        if every:
            yield self._report("teardown", start=start, properties=properties)

    def _report(
        self,
        when: Phase,
        outcome: Literal["passed", "failed", "skipped"] = "passed",
        longrepr: Any = None,
        *,
        start: float,
        duration: float = 0.0,
        properties: Sequence[tuple[str, object]],
    ) -> pytest.TestReport:
        return pytest.TestReport(
            nodeid=getattr(self, "id", self.nodeid),  # pytest 9.2 would parse the text again
            location=self.location,
            keywords={},
            outcome=outcome,
            longrepr=longrepr,
            when=when,
            duration=duration,
            start=start,
            stop=start + duration,
            user_properties=properties,
        )


def properties_of(verdict: Verdict, droplet: Droplet | None) -> list[tuple[str, object]]:
    """Return what JUnit's file has of a verdict beside pytest's outcome."""
    properties = list(_properties(verdict.check, verdict.severity, verdict.outcome))
    if verdict.waiver is not None:
        properties.append(("waiver", f"{verdict.waiver['expires']}: {verdict.waiver['reason']}"))
    if droplet is not None:
        properties.append(_urn(droplet.urn))
    return properties


@lru_cache(maxsize=4096)
def _properties(check: str, severity: str, outcome: str) -> tuple[tuple[str, object], ...]:
    return ("check", check), ("severity", severity), ("verdict", outcome)


@lru_cache(maxsize=64)
def _urn(urn: str) -> tuple[str, object]:
    """Return the property of a Droplet, one object for all its reports."""
    return "urn", urn


def needs_every_phase(config: pytest.Config) -> bool:
    """Whether some plugin may wait for the reports of setup and teardown.

    pytest's own need the one that decides alone, but for junitxml and the one that sends the
    reports of pytest-xdist to another process; what others need is not known.
    """
    known = config.stash.get(_every_phase_key, None)
    if known is None:
        impls = config.hook.pytest_runtest_logreport.get_hookimpls()
        modules = {impl.function.__module__ for impl in impls}
        times = config.getini("console_output_style") == "times"  # added up from all of them
        known = config.stash[_every_phase_key] = times or not modules <= _DECISION_IS_ENOUGH
    return known


def as_pytest(
    verdict: Verdict, unknown: Literal["fail", "skip"]
) -> tuple[Literal["passed", "failed", "skipped"], Phase, str | None]:
    """Return pytest's outcome, phase and text for a verdict; unknown is an ERROR, in setup.

    pytest shows the text as it is: what a host said in it is made harmless.
    """
    if accepted_for(verdict):
        return "skipped", "call", None
    match verdict.outcome:
        case "pass":
            return "passed", "call", None
        case "fail":
            return "failed", "call", harmless_line(verdict.message)
        case "notapplicable":
            return "skipped", "call", harmless_line(verdict.message)
        case "unknown" if unknown == "skip":
            return "skipped", "call", f"UNKNOWN {harmless_line(verdict.message)}"
        case "unknown":
            return "failed", "setup", f"UNKNOWN {harmless_line(verdict.message)}"
        case _:
            return "failed", "setup", harmless(verdict.traceback or verdict.message)


def accepted_for(verdict: Verdict) -> str | None:
    """Return why pytest shows a finding as *xfailed*; None where it does not."""
    if verdict.outcome == "waived" and verdict.waiver is not None:
        return f"waived until {verdict.waiver['expires']}: {verdict.waiver['reason']}"
    return verdict.below


def carry(report: pytest.TestReport, audit: Audit, result: ResultLine) -> None:
    """Let a report carry a result to the record, and its Droplet's line with the first one."""
    vars(report)["droplet_result"] = result
    droplet_id = result["droplet_id"]
    if droplet_id is not None and (line := audit.take_line(droplet_id)):
        vars(report)["droplet_line"] = line
    if evidence := audit.take_evidence(result):
        vars(report)["droplet_evidence"] = evidence


def unload(report: pytest.TestReport) -> None:
    """Take from a report what it carried, once that is in the record: pytest keeps reports."""
    vars(report).pop("droplet_result", None)
    vars(report).pop("droplet_line", None)
    vars(report).pop("droplet_evidence", None)


def items_of(parent: pytest.Collector, check: Check) -> Iterator[CheckItem]:
    """Yield the Items of one check: one a selected Droplet, or one for the account."""
    mark = pytest.mark.droplet_check(
        id=check.id,
        family=check.family,
        severity=check.severity,
        profile=",".join(check.profiles),
        guide=check.guide or 0,
        needs="host" if needs_host(check) else "api",
    ).mark
    params = "".join(f"{value}-" for value in check.arguments.values())
    subjects: Iterable[Droplet | None] = (
        (None,) if check.of_account else parent.config.stash[audit_key].droplets
    )
    location = (parent.nodeid.partition("::")[0], check.function.__code__.co_firstlineno - 1, "")
    for droplet in subjects:
        subject = droplet.pytest_id if droplet else "account"
        name = f"{check.base_id}[{params}{subject}]"
        item: CheckItem = CheckItem.from_parent(
            parent,
            name=name,
            nodeid=f"{parent.nodeid}::{name}",
            check=check,
            droplet=droplet,
            mark=mark,
            location=location,
        )
        yield item


def runs_as_check(check: Check) -> bool:
    """Whether all that a user's check asks for are facts, so that our own Item can run it."""
    known = given_names() | frozenset(all_facts())
    return all(name in known for name in check.facts)


def droplet_of(item: pytest.Item) -> Droplet | None:
    """Return the Droplet that an item is about; None: the account, or hosts of its own."""
    if isinstance(item, CheckItem):
        return item.droplet
    callspec = getattr(item, "callspec", None)
    host = callspec.params.get("_testinfra_host") if callspec else None
    droplet: Droplet | None = getattr(getattr(host, "backend", None), "droplet", None)
    return droplet


def asks_for_droplets(item: pytest.Item) -> bool:
    """Whether a test asks for our fixtures, for testinfra's ``host``, or is a check."""
    if isinstance(item, CheckItem):
        return True
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return any(n in {"droplet", "_testinfra_host"} or n.startswith("droplet_") for n in names)


def in_order(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Sort by Droplet id; what belongs to no Droplet comes after, the account's checks last."""

    def rank(item: pytest.Item) -> tuple[int, int]:
        if isinstance(item, CheckItem) and item.droplet is None:
            return 2, 0
        droplet = droplet_of(item)
        return (1, 0) if droplet is None else (0, droplet.id)

    return sorted(items, key=rank)


class _Between(pytest.Item):
    """Stands for "some test of the next Droplet": what only the session needs stays set up."""

    def runtest(self) -> None:
        """Never run."""


def run_loop(session: pytest.Session, audit: Audit) -> None:
    """Run the items, each Droplet's together, Droplets in the order in which they answer.

    A check's item is let go of once it has run, unless some plugin may look back: ten thousand
    Droplets have half a million.

    Raises:
        pytest.Session.Failed, pytest.Session.Interrupted: As pytest's own loop.
    """
    groups: dict[int, list[pytest.Item]] = {}
    last: list[pytest.Item] = []
    for item in session.items:
        droplet = droplet_of(item)
        (groups.setdefault(droplet.id, []) if droplet else last).append(item)
    if let_go := not needs_every_phase(session.config):
        session.items[:] = [i for i in session.items if not isinstance(i, CheckItem)]
    between: _Between = _Between.from_parent(session, name="next Droplet")
    wanted = set(groups)
    while groups:
        droplet_id = audit.next_arrived(wanted)
        wanted.discard(droplet_id)
        group = groups.pop(droplet_id)
        _run(session, group, between if groups or last else None)
        audit.drop(droplet_id)
        for item in group if let_go else ():
            if isinstance(item, CheckItem):
                del item.keywords  # they refer to the item: nothing else keeps it
    for droplet in audit.droplets if audit.needs_rows else ():
        if droplet.id not in audit.rows:
            audit.observation(droplet.id)
            audit.drop(droplet.id)
    _run(session, last, None)


def _run(session: pytest.Session, items: Sequence[pytest.Item], after: pytest.Item | None) -> None:
    for item, following in zip(items, [*items[1:], after], strict=False):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)


class Garbage:
    """Keeps Python's garbage collector out of the way of a run with very many objects.

    Items and reports live until the end and are no garbage: to look through them again and again
    costs more than the tests. What a connection leaves behind is still collected.
    """

    def __init__(self) -> None:
        gc.unfreeze()  # of a run before in this process, which kept its own
        self._before = gc.get_threshold()

    def keep_out(self) -> None:
        """Leave all that exists now alone, and look through new objects less often."""
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)

    def finish(self) -> None:
        """Collect once more, then leave all to the end of the process."""
        gc.set_threshold(*self._before)
        gc.collect()
        gc.freeze()


@dataclass(frozen=True)
class Chosen:
    """What a run means to judge.

    Attributes:
        tests: Number of tests.
        droplets: Ids of the Droplets that they are about.
    """

    tests: int = 0
    droplets: frozenset[int] = frozenset()

    @classmethod
    def of(cls, items: Sequence[pytest.Item]) -> Chosen:
        """Count what was collected and not deselected."""
        droplets = (droplet_of(item) for item in items)
        return cls(len(items), frozenset(d.id for d in droplets if d is not None))


def selected_checks(items: Iterable[pytest.Item]) -> Mapping[str, Check]:
    """Return the checks that some item runs, by id."""
    return {item.check.id: item.check for item in items if isinstance(item, CheckItem)}


def selected_facts(items: Iterable[pytest.Item]) -> frozenset[str]:
    """Return the names of the facts that ordinary tests ask for as fixtures."""
    known = all_facts()
    return frozenset(n for item in items for n in getattr(item, "fixturenames", ()) if n in known)


def shipped_modules(session: pytest.Session) -> Iterator[CheckModule]:
    """Yield a collector for each module of shipped checks."""
    for path in sorted(CHECKS_FOLDER.glob("*.py")):
        if path.name != "__init__.py":
            yield CheckModule.of(session, path)


def translate_arguments(config: pytest.Config) -> frozenset[str]:
    """Make arguments such as ``pytest_droplet/checks/ssh.py::ssh.x[web-1-1]`` into real paths.

    Returns:
        Base ids of the checks that arguments name: they run whatever the profile.
    """
    named = set()
    for index, argument in enumerate(config.args):
        path, colons, rest = argument.partition("::")
        folder, _, file = path.replace("\\", "/").rpartition("/")
        if folder == NODE_FOLDER and not Path(path).exists():
            config.args[index] = f"{CHECKS_FOLDER / file}{colons}{rest}"
        if folder.endswith(NODE_FOLDER) and rest:
            named.add(rest.partition("[")[0])
    return frozenset(named)


def shipped_of(profiles: frozenset[str]) -> list[Check]:
    """Return the shipped checks of these profiles."""
    return [check for check in shipped().values() if profiles.intersection(check.profiles)]


def takes_all(config: pytest.Config) -> bool:
    """Whether nothing on the command line narrows the checks, so that all hosts are read."""
    option = config.option
    narrowed = ("keyword", "markexpr", "lf", "stepwise", "deselect")
    return not any(getattr(option, name, None) for name in narrowed)


def surely_reads_hosts(config: pytest.Config, profiles: frozenset[str], *, shipped: bool) -> bool:
    """Whether all hosts will be read, as far as that can be told before anything is collected.

    Args:
        config: Of the run.
        profiles: Those that select shipped checks.
        shipped: Whether the shipped checks run beside what pytest collects.
    """
    named = shipped or (config.option.pyargs and _CHECKS_PACKAGE in config.args)
    return named and takes_all(config) and any(map(needs_host, shipped_of(profiles)))
