"""Ordinary tests on Droplets: whom they run on, and the verdicts that their reports carry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, cast

import pytest

from pytest_droplet.audit import Audit
from pytest_droplet.catalogue import CheckDoc, checks_of
from pytest_droplet.collection import (
    CheckItem,
    accepted_for,
    asks_for_droplets,
    audit_key,
    carry,
    droplet_of,
    properties_of,
)
from pytest_droplet.connection import testinfra as backend
from pytest_droplet.facts import all_facts
from pytest_droplet.model import NotObservedError, Verdict
from pytest_droplet.report.record import result_line
from pytest_droplet.report.terminal import harmless, harmless_line
from pytest_droplet.verdict import fact_evidence, make_verdict
from pytest_droplet.words import Outcome

_HOST = "_testinfra_host"


def activate(audit: Audit) -> None:
    """Let testinfra's ``droplet://`` hosts be those of this run, with what is read of them."""
    prefetch = audit.options.prefetch
    backend.activate(audit.hosts, audit.droplets, audit.sections, prefetch=prefetch)


def deactivate() -> None:
    """Forget the hosts of the run."""
    backend.deactivate()


def parametrize(metafunc: pytest.Metafunc, audit: Audit) -> None:
    """Name the selected Droplets as testinfra's hosts of the module, unless it names its own.

    testinfra's own hook, which comes after, makes a test of each; ``droplet`` and the facts
    follow ``host``.
    """
    module = metafunc.module
    if _HOST in metafunc.fixturenames and not hasattr(module, "testinfra_hosts"):
        module.testinfra_hosts = [f"droplet://{d.pytest_id}" for d in audit.droplets]


def need_connection(items: Iterable[pytest.Item]) -> frozenset[int]:
    """Return the ids of the Droplets that some test has ``host`` of."""
    return frozenset(
        droplet.id
        for item in items
        if "host" in getattr(item, "fixturenames", ()) and (droplet := droplet_of(item))
    )


def functions_of(items: Iterable[pytest.Item]) -> Iterator[Callable[..., object]]:
    """Yield the functions of users' checks and tests, each once."""
    seen = set()
    for item in items:
        if isinstance(item, CheckItem):
            function: Callable[..., object] | None = item.check.function
        else:
            function = getattr(item, "function", None)
        if function is not None and id(function) not in seen and asks_for_droplets(item):
            seen.add(id(function))
            yield function


def skip_out_of_reach(item: pytest.Item) -> None:
    """Skip, with the reason, a test that needs the host of a Droplet that is off or not ours."""
    droplet = droplet_of(item)
    if droplet is None or isinstance(item, CheckItem):
        return
    names = getattr(item, "fixturenames", ())
    known = all_facts()
    if "host" in names or any(n in known and known[n].of_host for n in names):
        host = item.config.stash[audit_key].observation(droplet.id).host
        if host.state in {"off", "not-ours"}:
            pytest.skip(host.reason)


def with_verdict(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    unknown: Literal["fail", "skip"],
) -> pytest.TestReport:
    """Attach a verdict to the phase of an ordinary test that decides it.

    A fact that was not observed makes the test ``unknown``: an ERROR of one line.
    """
    if isinstance(item, CheckItem) or not asks_for_droplets(item):
        return report
    missing = call.excinfo is not None and call.excinfo.errisinstance(NotObservedError)
    if missing:
        text = f"UNKNOWN {cast('pytest.ExceptionInfo[BaseException]', call.excinfo).value}"
        report.when = "setup"
        report.longrepr = text
        report.sections = []
        if unknown == "skip":
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: {text}")
    outcome = _outcome(report, missing=missing)
    if outcome is not None:
        audit = item.config.stash[audit_key]
        verdict, page = _judged(item, report, outcome)
        droplet = droplet_of(item)
        verdict = audit.gate.settle(verdict, droplet)
        if not any(name == "check" for name, _ in item.user_properties):
            item.user_properties.extend(properties_of(verdict, droplet))
        if accepted := accepted_for(verdict):
            report.outcome, report.wasxfail = "skipped", accepted
        carry(report, audit, result_line(verdict, item.nodeid, page, _source_line(item)))
    _make_harmless(report)
    return report


def _make_harmless(report: pytest.TestReport) -> None:
    """Let nothing that pytest prints of a test act on a terminal or on a CI system.

    Assertions, arguments and captured output have in them what hosts and the API said.
    """
    report.sections = [(name, _safe(text)) for name, text in report.sections]
    longrepr: Any = report.longrepr
    if isinstance(longrepr, str):
        report.longrepr = _safe(longrepr)
    elif isinstance(longrepr, tuple):
        report.longrepr = (*longrepr[:2], harmless_line(longrepr[2]))
    parts = getattr(longrepr, "chain", None)
    if parts is None and hasattr(longrepr, "reprtraceback"):  # --tb=native
        parts = [(longrepr.reprtraceback, longrepr.reprcrash, None)]
    for traceback, crash, _ in parts or ():
        if crash is not None:
            crash.message = _safe(crash.message)
        for entry in traceback.reprentries:
            entry.lines = [_safe(line) for line in entry.lines]
            if given := getattr(entry, "reprfuncargs", None):
                given.args = [(name, _safe(value)) for name, value in given.args]
            if local := getattr(entry, "reprlocals", None):
                local.lines = [_safe(line) for line in local.lines]
            if place := getattr(entry, "reprfileloc", None):
                place.message = _safe(place.message)


def _safe(text: str) -> str:
    return harmless(text.expandtabs())


def _outcome(report: pytest.TestReport, *, missing: bool) -> Outcome | None:
    if missing:
        return "unknown"
    if report.when == "call" and not report.failed:
        return "pass" if report.passed else "notapplicable"
    if report.failed:
        return "fail" if report.when == "call" else "error"
    if report.when == "setup" and report.skipped:
        return "notapplicable"
    return None


def _judged(
    item: pytest.Item, report: pytest.TestReport, outcome: Outcome
) -> tuple[Verdict, CheckDoc]:
    droplet = droplet_of(item)
    function = getattr(item, "function", None)
    checks = checks_of(function)
    name = item.nodeid
    if droplet is not None:
        name = name.replace(f"-{droplet.pytest_id}]", "]").replace(f"[{droplet.pytest_id}]", "")
        name = name.replace(f"[{droplet.pytest_id}-", "[")
    verdict = make_verdict(
        check=checks[0].id if checks else name,
        droplet_id=droplet.id if droplet else None,
        outcome=outcome,
        severity=checks[0].severity if checks else "medium",
        message=_message(report),
        evidence=fact_evidence(
            item.config.stash[audit_key].observation(droplet.id),
            getattr(item, "fixturenames", ()),
        )
        if droplet
        else (),
        duration_s=report.duration,
        trace=report.longreprtext if report.failed and outcome != "unknown" else None,
    )
    doc = CheckDoc.parse(inspect.getdoc(function) or item.name.partition("[")[0])
    return verdict, doc


def _source_line(item: pytest.Item) -> int | None:
    """Return the line of a test's function; None where another file than the node id's has it."""
    path, line, _ = item.location
    return line + 1 if line is not None and item.nodeid.startswith(f"{path}::") else None


def _message(report: pytest.TestReport) -> str:
    """Return the first line of what pytest says of a test that did not pass."""
    longrepr = report.longrepr
    if report.passed:
        return ""
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    text = crash.message if crash else getattr(longrepr, "errorstring", report.longreprtext)
    first = str(text).strip().partition("\n")[0]
    return first.removeprefix("AssertionError: ").removeprefix("UNKNOWN ")
