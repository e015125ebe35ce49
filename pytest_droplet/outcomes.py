"""From the phases and subtests of an ordinary test to its one verdict."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from pytest_droplet.catalogue import CheckDoc, checks_of
from pytest_droplet.collection import CheckItem, asks_for_droplets, audit_key, droplet_of
from pytest_droplet.model import Droplet, NotObservedError, NotReachedError, Verdict
from pytest_droplet.report.record import result_line
from pytest_droplet.results import accepted_for, carry, properties_of
from pytest_droplet.tables import VERDICTS
from pytest_droplet.verdict import fact_evidence, make_verdict
from pytest_droplet.words import Outcome


@dataclass
class _Part:
    """What a phase or a subtest came to.

    Attributes:
        trace: The traceback of a failure, as pytest shows it.
        raised: The exception that ended it.
        where: Message and parameters of a subtest; they are known after the outcome.
        unreached: Whether it is unknown for the host was not reached.
    """

    outcome: Outcome
    message: str = ""
    trace: str = ""
    raised: BaseException | None = None
    where: str = ""
    unreached: bool = False


@dataclass
class _Course:
    """What has happened to the test that runs.

    Attributes:
        subtests: Those that have ended, in their order.
        counted: How many of them have led to verdicts.
        in_phase: Whether its setup, its function or its teardown runs: what pytest reports then
            is a subtest.
        repeated: Whether pytest-rerunfailures will run it once more.
        verdicts: What its phases led to, as the gate has settled it.
    """

    subtests: list[_Part] = field(default_factory=list)
    counted: int = 0
    in_phase: bool = False
    repeated: bool = False
    verdicts: list[Verdict] = field(default_factory=list)


_course_key: pytest.StashKey[_Course] = pytest.StashKey()


def begin(config: pytest.Config) -> None:
    """Forget the test that ran before; one that is run again begins anew."""
    config.stash[_course_key] = _Course()


@contextmanager
def in_phase(config: pytest.Config) -> Iterator[None]:
    """Tell the reports that pytest makes while a phase of a test runs from that of the phase."""
    course = config.stash.setdefault(_course_key, _Course())
    course.in_phase = True
    try:
        yield
    finally:
        course.in_phase = False


def with_verdict(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    unknown: Literal["fail", "skip"],
) -> pytest.TestReport:
    """Make pytest's report of a phase or a subtest agree with the verdict that it leads to.

    The report of the last phase carries the verdict to the record: one for a test and Droplet.
    A test fails where a subtest failed; then what broke, and what was not observed, counts.
    """
    if isinstance(item, CheckItem) or not asks_for_droplets(item):
        return report
    course = item.config.stash[_course_key]
    own = _part(call, report)
    if course.in_phase:
        vars(report)["droplet_subtest"] = len(course.subtests)
        course.subtests.append(own)
        _agree(report, item, own, _settled(item, own, call.duration), unknown)
        return report
    subtests: Sequence[_Part] = ()
    if call.when != "setup":
        subtests = course.subtests[course.counted :]
        course.counted = len(course.subtests)
    if verdicts := [_settled(item, p, call.duration) for p in _deciding(call, own, subtests)]:
        course.verdicts += verdicts
        _agree(report, item, own, min(verdicts, key=_goodness), unknown)
    if call.when == "teardown" and course.verdicts:
        _conclude(report, item, min(course.verdicts, key=_goodness))
    return report


def at_report(config: pytest.Config, report: pytest.TestReport) -> None:
    """Note what is known of a phase or a subtest only when it is reported.

    An attempt that is run again (outcome ``rerun``) leaves no result. A subtest gets its message
    and its parameters after its outcome.
    """
    course = config.stash.get(_course_key, None)
    if course is None:
        return
    outcome: str = report.outcome
    course.repeated = course.repeated or outcome == "rerun"
    if course.repeated:
        vars(report).pop("droplet_result", None)
    number: int | None = vars(report).pop("droplet_subtest", None)
    context: Any = getattr(report, "context", None)
    if context is None or number is None:
        return
    words = [] if context.msg is None else [f"[{context.msg}]"]
    if context.kwargs:
        words.append(f"({', '.join(f'{k}={v}' for k, v in context.kwargs.items())})")
    part = course.subtests[number]
    part.where = " ".join(words)
    if part.outcome == "unknown" and isinstance(report.longrepr, str):
        report.longrepr = f"UNKNOWN {_text(part)}"


def _part(call: pytest.CallInfo[None], report: pytest.TestReport) -> _Part:
    raised = call.excinfo.value if call.excinfo else None
    if isinstance(raised, NotObservedError):
        unreached = isinstance(raised, NotReachedError)
        message = str(raised).partition("\n")[0]
        return _Part("unknown", message, raised=raised, unreached=unreached)
    if report.failed:
        outcome: Outcome = "fail" if call.when == "call" else "error"
        return _Part(outcome, _message(report), report.longreprtext, raised)
    if report.passed:
        return _Part("pass")
    reason = getattr(report, "wasxfail", None)
    return _Part("notapplicable", _message(report) if reason is None else _expected(reason))


def _expected(reason: str) -> str:
    return f"expected to fail: {reason}" if reason else "expected to fail"


def _deciding(
    call: pytest.CallInfo[None], own: _Part, subtests: Sequence[_Part]
) -> Iterator[_Part]:
    """Yield what decides about a test: its own outcome in this phase, and that of its subtests.

    With ``-x`` the exception of a subtest ends the test, too: it counts once.
    """
    mine = [] if any(s.raised is own.raised is not None for s in subtests) else [own]
    for outcome, words in (("fail", "failed"), ("unknown", "not observed")):
        found = [s for s in subtests if s.outcome == outcome]
        also = [p for p in mine if p.outcome == outcome]
        if found:
            texts = [*(p.message for p in also), _counted(found, subtests, words)]
            traces = [p.trace for p in also] + [f"{s.where}\n{s.trace}" for s in found]
            yield _Part(
                found[0].outcome,
                "; ".join(texts),
                "\n".join(traces).strip(),
                unreached=all(part.unreached for part in (*also, *found)),
            )
        else:
            yield from also
    passed = (own.outcome, call.when) == ("pass", "call")
    if passed and subtests and all(s.outcome == "notapplicable" for s in subtests):
        yield _Part("notapplicable", _counted(subtests, subtests, "skipped"))
    elif passed or own.outcome in {"error", "notapplicable"}:
        yield own


def _counted(found: Sequence[_Part], subtests: Sequence[_Part], words: str) -> str:
    texts = "; ".join(dict.fromkeys(map(_text, found)))
    noun = "subtest" if len(subtests) == 1 else "subtests"
    return f"{len(found)} of {len(subtests)} {noun} {words}: {texts}"


def _text(part: _Part) -> str:
    return f"{part.where}: {part.message}" if part.where else part.message


def _goodness(verdict: Verdict) -> int:
    """Rank verdicts with the worst first; a finding that the gate accepts is not the worst."""
    return VERDICTS["waived" if accepted_for(verdict) else verdict.outcome].order


def _settled(item: pytest.Item, part: _Part, duration_s: float) -> Verdict:
    droplet = droplet_of(item)
    checks = checks_of(getattr(item, "function", None))
    audit = item.config.stash[audit_key]
    names = getattr(item, "fixturenames", ())
    verdict = make_verdict(
        _id(item, droplet),
        droplet.id if droplet else None,
        part.outcome,
        checks[0].severity if checks else "medium",
        part.message,
        evidence=fact_evidence(audit.observation(droplet.id), names) if droplet else (),
        duration_s=duration_s,
        trace=part.trace or None,
        unreached=part.unreached,
    )
    return audit.gate.settle(verdict, droplet)


def _id(item: pytest.Item, droplet: Droplet | None) -> str:
    """Return the check's id, or else the node id without the Droplet; both with parameters."""
    callspec = getattr(item, "callspec", None)
    given = callspec.id if callspec else ""
    left = given if droplet is None else _without(given, droplet.pytest_id)
    brackets = f"[{left}]" if left else ""
    if checks := checks_of(getattr(item, "function", None)):
        return f"{checks[0].base_id}{brackets}" if left else checks[0].id
    return item.nodeid.replace(f"[{given}]", brackets)


def _without(given: str, name: str) -> str:
    """Return the ids of a test's parameters, joined by ``-``, without one of them."""
    inside = f"-{given}-".replace(f"-{name}-", "-", 1)
    return inside[1:-1]


def _agree(
    report: pytest.TestReport,
    item: pytest.Item,
    own: _Part,
    verdict: Verdict,
    unknown: Literal["fail", "skip"],
) -> None:
    """Let pytest show what the record will hold."""
    if accepted := accepted_for(verdict):
        report.outcome, report.wasxfail = "skipped", accepted
        return
    if own.outcome == verdict.outcome and own.outcome != "unknown":
        return
    vars(report).pop("wasxfail", None)
    report.outcome, report.longrepr = "failed", verdict.message
    if verdict.outcome == "unknown":
        report.longrepr = f"UNKNOWN {verdict.message}"
        report.sections = []
        if report.when == "call":
            report.when = "setup"  # an ERROR
    if verdict.outcome == "notapplicable" or (verdict.outcome == "unknown" and unknown == "skip"):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {report.longrepr}")


def _conclude(report: pytest.TestReport, item: pytest.Item, verdict: Verdict) -> None:
    """Let the report of the last phase carry the verdict."""
    report.user_properties += properties_of(verdict, droplet_of(item))
    function = getattr(item, "function", None)
    page = CheckDoc.parse(inspect.getdoc(function) or item.name.partition("[")[0])
    line = result_line(verdict, item.nodeid, page, _source_line(item))
    carry(report, item.config.stash[audit_key], line)


def _source_line(item: pytest.Item) -> int | None:
    """Return the line of a test's function; None where another file than the node id's has it."""
    path, line, _ = item.location
    return line + 1 if line is not None and item.nodeid.startswith(f"{path}::") else None


def _message(report: pytest.TestReport) -> str:
    """Return the first line of what pytest says of a test that did not pass."""
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    text = crash.message if crash else getattr(longrepr, "errorstring", report.longreprtext)
    return str(text).strip().partition("\n")[0].removeprefix("AssertionError: ")
