"""The loop that runs the items of a run, and the run protocol of a check's item."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest

from pytest_droplet.audit import Audit
from pytest_droplet.catalogue import shipped
from pytest_droplet.collection import NODE_FOLDER, CheckItem, droplet_of
from pytest_droplet.model import NotObservedError, Verdict
from pytest_droplet.record import result_line
from pytest_droplet.redact import redact
from pytest_droplet.results import Phase, accepted_for, as_pytest, carry, properties_of
from pytest_droplet.text import harmless

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

# What these do around a test is the same for all shipped checks of a Droplet: to catch warnings,
# to explain asserts. The rest of them does nothing for a check.
_ONCE_IS_ENOUGH = frozenset(
    {
        "_pytest.assertion",
        "_pytest.faulthandler",
        "_pytest.runner",
        "_pytest.unittest",
        "_pytest.warnings",
        "pytest_droplet.session",
    }
)

_every_phase_key: pytest.StashKey[bool] = pytest.StashKey()
_GC_THRESHOLDS = (50_000, 20, 1_000)


class _Between(pytest.Item):
    """Stands for "some test of the next Droplet": what only the session needs stays set up."""

    def runtest(self) -> None:
        """Never run."""


class DropletChecks(pytest.Item):
    """Shipped checks of one Droplet that follow each other: to pytest's wrappers one test.

    What pytest does around a test costs as much as to judge it.
    """

    def __init__(self, *, checks: Sequence[CheckItem], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checks = checks

    @classmethod
    def of(cls, session: pytest.Session, checks: Sequence[CheckItem]) -> DropletChecks:
        """Return the item that stands for these; a warning in one of them has its node id."""
        subject = checks[0].subject
        item: DropletChecks = cls.from_parent(
            session,
            name=subject,
            path=checks[0].path,
            nodeid=f"{NODE_FOLDER}[{subject}]",
            checks=checks,
        )
        return item

    def runtest(self) -> None:
        """Never run; the plugin runs the checks."""


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
    turns = list(_turns(session, items))
    for item, following in zip(turns, [*turns[1:], after], strict=False):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)


def _turns(session: pytest.Session, items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield the items, those of shipped checks as one where they follow each other."""
    if not _wraps_as_one(session.config):
        yield from items
        return
    for joined, group in itertools.groupby(items, _is_plain_check):
        if joined:
            yield DropletChecks.of(session, [i for i in group if isinstance(i, CheckItem)])
        else:
            yield from group


def _is_plain_check(item: pytest.Item) -> bool:
    """Whether an item is a shipped check of a Droplet, without marks that others gave it."""
    return (
        isinstance(item, CheckItem)
        and item.droplet is not None
        and item.check.id in shipped()
        and len(item.own_markers) == 1
    )


def _wraps_as_one(config: pytest.Config) -> bool:
    """Whether none but pytest's own wrap a test, and they do the same for all checks."""
    impls = config.hook.pytest_runtest_protocol.get_hookimpls()
    known = {impl.function.__module__ for impl in impls} <= _ONCE_IS_ENOUGH
    listens = config.hook.pytest_assertion_pass.get_hookimpls()
    return known and not listens and not float(config.getini("faulthandler_timeout") or 0)


def each_of(
    checks: DropletChecks, following: pytest.Item | None
) -> Iterator[tuple[CheckItem, pytest.Item | None]]:
    """Yield each check with the item after it, until something stops the run."""
    session = checks.session
    after = [*checks.checks[1:], following]
    for check, its_following in zip(checks.checks, after, strict=True):
        yield check, its_following
        if session.shouldfail or session.shouldstop:
            return


def run_protocol(item: CheckItem, following: pytest.Item | None = None) -> None:
    """Judge, and report setup, call and teardown as pytest does for any test."""
    hook, nodeid = item.ihook, item.nodeid
    hook.pytest_runtest_logstart(nodeid=nodeid, location=item.location)
    start = time.time()
    verdict = item.judge()
    if item.config.getoption("setupshow", default=False):
        _show(item)
    for report in _reports(item, verdict, start):
        hook.pytest_runtest_logreport(report=report)
        if report.failed and item.config.getoption("usepdb", default=False):
            _interact(item, report)
    tear_down(item, following)
    hook.pytest_runtest_logfinish(nodeid=nodeid, location=item.location)


def tear_down(item: CheckItem, following: pytest.Item | None) -> None:
    """Take down what ordinary tests of a module have left set up for those behind this check.

    A check sets nothing up; the next ordinary test needs to find what it shares, and no more.
    """
    if isinstance(following, CheckItem | DropletChecks):
        return
    state = item.session._setupstate  # noqa: SLF001 pytest's own protocol is the other user
    needed = following.listchain() if following else ()
    if state.stack.keys() <= set(needed):
        return
    call = pytest.CallInfo.from_call(
        lambda: state.teardown_exact(following),
        when="teardown",
        reraise=(pytest.exit.Exception, KeyboardInterrupt),
    )
    if call.excinfo is not None:
        text = harmless(redact(str(call.excinfo.getrepr(style="short"))))
        report = _report(
            item,
            "teardown",
            "failed",
            text,
            start=call.start,
            duration=call.duration,
            properties=(),
        )
        item.ihook.pytest_runtest_logreport(report=report)


def _show(item: CheckItem) -> None:
    """Name the item and its facts, as ``--setup-show`` does for a test and its fixtures."""
    writer = item.config.get_terminal_writer()
    writer.line()
    writer.write(f"        {item.nodeid} (fixtures used: {', '.join(item.check.facts)})")


def _interact(item: CheckItem, report: pytest.TestReport) -> None:
    """Let ``--pdb`` look at a check that failed: it is called again on the same facts.

    What was not observed, as a host that did not answer, leaves nothing to look at.
    """
    call = pytest.CallInfo.from_call(item.call, when="call")
    nothing = (pytest.skip.Exception, NotObservedError)
    if call.excinfo is not None and not call.excinfo.errisinstance(nothing):
        item.ihook.pytest_exception_interact(node=item, call=call, report=report)


def _reports(item: CheckItem, verdict: Verdict, start: float) -> Iterator[pytest.TestReport]:
    audit = item.audit
    outcome, phase, text = as_pytest(verdict, audit.options.unknown)
    every = needs_every_phase(item.config)
    longrepr: Any = text
    if outcome == "skipped" and text is not None:
        path, line, _ = item.location
        longrepr = (path, (line or 0) + 1, f"Skipped: {text}")
    properties = properties_of(verdict, item.droplet)
    if every and phase != "setup":
        yield _report(item, "setup", start=start, properties=properties)
    decisive = _report(
        item,
        phase,
        outcome,
        longrepr,
        start=start,
        duration=verdict.duration_s,
        properties=properties,
    )
    if accepted := accepted_for(verdict):
        decisive.wasxfail = accepted
    own = item.check.id not in shipped()
    page, number = (item.check.doc, (item.location[1] or 0) + 1) if own else (None, None)
    account_id = audit.inventory.account_id
    result = result_line(verdict, item.nodeid, page, number, account_id=account_id)
    carry(decisive, audit, result)
    vars(decisive)["droplet_check"] = True
    yield decisive
    if every:
        yield _report(item, "teardown", start=start, properties=properties)


def _report(
    item: CheckItem,
    when: Phase,
    outcome: Literal["passed", "failed", "skipped"] = "passed",
    longrepr: Any = None,
    *,
    start: float,
    duration: float = 0.0,
    properties: Sequence[tuple[str, object]],
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=getattr(item, "id", item.nodeid),  # pytest 9.2 would parse the text again
        location=item.location,
        keywords={},
        outcome=outcome,
        longrepr=longrepr,
        when=when,
        duration=duration,
        start=start,
        stop=start + duration,
        user_properties=properties,
    )


def needs_every_phase(config: pytest.Config) -> bool:
    """Whether some plugin may wait for the reports of setup and teardown.

    pytest's own need the one that decides alone, but for junitxml and the one that sends the
    reports of pytest-xdist to another process; what others need is not known.
    """
    known = config.stash.get(_every_phase_key, None)
    if known is None:
        impls = config.hook.pytest_runtest_logreport.get_hookimpls()
        modules = {impl.function.__module__ for impl in impls}
        # The terminal adds its times up from all of them.
        has_terminal = config.pluginmanager.hasplugin("terminal")
        times = has_terminal and config.getini("console_output_style") == "times"
        known = config.stash[_every_phase_key] = times or not modules <= _DECISION_IS_ENOUGH
    return known


class Garbage:
    """Keeps Python's garbage collector out of the way of a run with very many objects.

    Items and reports live until the end and are no garbage: to look through them again and again
    costs more than the tests. What a connection leaves behind is still collected.
    """

    def __init__(self) -> None:
        gc.unfreeze()  # of a run before in this process, which kept its own
        self._before = gc.get_threshold()

    def begin(self) -> None:
        """Look through new objects less often: what is collected now lives until the end."""
        gc.set_threshold(*_GC_THRESHOLDS)

    def keep_out(self) -> None:
        """Leave all that exists now alone."""
        gc.freeze()

    def finish(self) -> None:
        """Collect once more, then leave all to the end of the process."""
        gc.set_threshold(*self._before)
        gc.collect()
        gc.freeze()
