"""From what happened to a verdict: the one place that knows the rules of design section 4."""

from __future__ import annotations

import itertools
import json
import math
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest

from pytest_droplet.catalogue import ACCOUNT, Check, shipped
from pytest_droplet.facts import GIVEN, Account, DropletFacts, Fact, all_facts
from pytest_droplet.model import (
    Evidence,
    FindingError,
    Item,
    NotObservedError,
    NotReachedError,
    Reading,
    Verdict,
    forget_traceback,
)
from pytest_droplet.record import EvidenceLine, evidence_line
from pytest_droplet.redact import redact, redact_json
from pytest_droplet.text import cut, printable
from pytest_droplet.words import Outcome, Severity

MESSAGE_LIMIT = 2_000
TRACEBACK_LIMIT = 20_000
DETAILS_LIMIT = 100
_DETAILS_TEXT_LIMIT = 1_000
_DETAILS_DEPTH = 4
_EVIDENCE_LIMIT = 400
WHOLE_LIMIT = 65_536
# A broken check must not end the audit; pytest's own are no Exception.
_ENDS_A_CHECK = (Exception, pytest.fail.Exception, pytest.skip.Exception)


@dataclass(frozen=True)
class _Outcome:
    """What a call of a check's function came to."""

    outcome: Outcome
    message: str = ""
    trace: str | None = None
    details: Mapping[str, Sequence[Item]] = field(default_factory=dict)
    unreached: bool = False


def make_verdict(
    check: str,
    droplet_id: int | None,
    outcome: Outcome,
    severity: Severity,
    message: str = "",
    *,
    evidence: tuple[Evidence, ...] = (),
    caused_by: str | None = None,
    duration_s: float = 0.0,
    trace: str | None = None,
    unreached: bool = False,
    details: Mapping[str, Sequence[Item]] | None = None,
) -> Verdict:
    """Make a verdict: nothing else in the package does, so that none is shown with a secret.

    Secrets in message, traceback and details are masked, and all are bounded then: a mask needs
    the whole secret.

    Args:
        check: The id with its parameter; of an ordinary test its node id without the Droplet.
        droplet_id: None: the account, or hosts that are not Droplets.
        outcome: What was found.
        severity: Of the check.
        message: What was seen, for people; of any length.
        evidence: The facts that it rests on.
        caused_by: Id of the check that is the cause.
        duration_s: Seconds that it took to judge.
        trace: The traceback, where the check broke or an ordinary test failed.
        unreached: Whether it is unknown for the host was not reached.
        details: By the name of a fact, what of it the finding is about: JSON objects.
    """
    about = details or {}
    return Verdict(
        check=check,
        droplet_id=droplet_id,
        outcome=outcome,
        severity=severity,
        message=shown_message(message),
        evidence=evidence,
        caused_by=caused_by,
        duration_s=duration_s,
        traceback=None if trace is None else shown_traceback(trace),
        unreached=unreached,
        details={fact: shown_items(items) for fact, items in about.items()},
        left_out={
            fact: len(items) - DETAILS_LIMIT
            for fact, items in about.items()
            if len(items) > DETAILS_LIMIT
        },
    )


def with_note(verdict: Verdict, note: str) -> Verdict:
    """Return the verdict with a note in parentheses behind its message, which is cut for it."""
    text = cut(verdict.message, MESSAGE_LIMIT - len(note) - 3)
    return replace(verdict, message=shown_message(f"{text} ({note})"))


def shown_message(text: str) -> str:
    """Return a message without secrets, of at most ``MESSAGE_LIMIT`` characters."""
    return cut(redact(text), MESSAGE_LIMIT)


def shown_traceback(text: str) -> str:
    """Return the last ``TRACEBACK_LIMIT`` characters without secrets: what went wrong is there."""
    text = redact(text)
    return text if len(text) <= TRACEBACK_LIMIT else "…" + text[1 - TRACEBACK_LIMIT :]


def shown_items(items: Sequence[Item]) -> list[Item]:
    """Return items as JSON without secrets: the first ``DETAILS_LIMIT``, with bounded texts."""
    return [_json(redact_json(item), _DETAILS_DEPTH) for item in items[:DETAILS_LIMIT]]


def _json(value: Any, depth: int) -> Any:
    """Return JSON-able data; what is none, or nested too deeply, becomes text."""
    if value is None or isinstance(value, bool | int):
        return value
    if depth and isinstance(value, Mapping):
        return {cut(str(k), 100): _json(v, depth - 1) for k, v in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_json(v, depth - 1) for v in value]
    if isinstance(value, float) and math.isfinite(value):
        return value
    return cut(printable(redact(_plain(value)), keep="\t\n"), _DETAILS_TEXT_LIMIT)


class MissingFact:
    """Stands in for a fact that was not observed: whatever is asked of it raises."""

    def __init__(self, reading: Reading[Any]) -> None:
        object.__setattr__(self, "_reading", reading)

    def __getattribute__(self, name: str) -> Any:
        object.__getattribute__(self, "_reading").get()
        raise AssertionError(name)  # pragma: no cover  get() raises

    def _refuse(self, *_: object) -> Any:
        object.__getattribute__(self, "_reading").get()

    __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = __call__ = _refuse
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __str__ = __float__ = __int__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def judge(check: Check, facts: DropletFacts) -> Verdict:
    """Judge one check on one Droplet, once: the verdict is kept with the facts.

    A pass needs every fact that the check asks for: one that was not observed makes it unknown,
    whatever the function returned. A failure that other facts prove stands.
    """
    known = facts.verdicts.get(check.id)
    if known is None:
        known = facts.verdicts[check.id] = _judge(check, facts)
    return known


def _judge(check: Check, facts: DropletFacts) -> Verdict:
    began = time.perf_counter()
    known = all_facts()
    readings = {name: facts.reading(name) for name in check.facts if name in known}
    evidence = fact_evidence(facts, readings)

    def verdict(outcome: Outcome, message: str = "", **more: Any) -> Verdict:
        return make_verdict(
            check.id,
            facts.droplet.id,
            outcome,
            check.severity,
            message,
            evidence=evidence,
            duration_s=time.perf_counter() - began,
            **more,
        )

    if (reason := _out_of_reach(check, facts)) is not None:
        return verdict(*reason, unreached=reason[0] == "unknown")
    for needed in check.depends_on:
        cause = judge(shipped()[needed.format(**check.arguments)], facts)
        if cause.outcome == "fail":
            root = cause.caused_by or cause.check
            text = cause.message if cause.caused_by else f"caused by {root}: {cause.message}"
            return verdict("fail", text, caused_by=root, details=cause.details)
        if cause.outcome == "notapplicable":
            return verdict("notapplicable", cause.message)
        if cause.outcome in {"unknown", "error"}:
            text = f"{cause.check} is {cause.outcome}: {cause.message}"
            return verdict("unknown", text, unreached=cause.unreached)
    called = _call(check, arguments_of(check, facts))
    if called.outcome == "pass":
        for reading in readings.values():
            if reading.missing is not None:
                text = f"{reading.source}: {reading.missing}"
                return verdict("unknown", text, unreached=reading.unreached)
    return verdict(
        called.outcome,
        called.message,
        trace=called.trace,
        details=called.details,
        unreached=called.unreached,
    )


def arguments_of(check: Check, facts: DropletFacts) -> dict[str, Any]:
    """Return what a check's function is called with; a missing fact raises when it is used."""
    known = all_facts()
    arguments: dict[str, Any] = dict(check.arguments)
    for name in check.facts:
        if name in known:
            reading = facts.reading(name)
            arguments[name] = reading.value if reading.missing is None else MissingFact(reading)
        else:
            arguments[name] = GIVEN[name](facts)
    return arguments


def judge_account(check: Check, account: Account) -> Verdict:
    """Judge a check of the account as a whole."""
    began = time.perf_counter()
    called = _call(check, arguments_of_account(check, account))
    evidence = (
        Evidence(
            ACCOUNT,
            f"GET /v2 at {account.inventory.endpoint}",
            account.inventory.read_at,
            f"{len(account.inventory.droplets)} Droplets, {len(account.rows)} read",
        ),
    )
    return make_verdict(
        check.id,
        None,
        called.outcome,
        check.severity,
        called.message,
        evidence=evidence,
        duration_s=time.perf_counter() - began,
        trace=called.trace,
        details=called.details,
        unreached=called.unreached,
    )


def arguments_of_account(check: Check, account: Account) -> dict[str, Any]:
    """Return what the function of a check of the account is called with."""
    return {**check.arguments, ACCOUNT: account}


def fact_evidence(facts: DropletFacts, names: Iterable[str]) -> tuple[Evidence, ...]:
    """Return the evidence of those names that are facts, in their order."""
    known = facts.evidence
    chosen = [name for name in names if name in all_facts()]
    for name in chosen:
        if name not in known:
            known[name] = _evidence(name, facts.reading(name))
    return tuple(known[name] for name in chosen)


def whole_evidence(facts: DropletFacts, names: Iterable[str]) -> Iterator[EvidenceLine]:
    """Yield the evidence of facts whole, each once, where a result shows a part of it.

    Secrets are masked. What is longer than ``WHOLE_LIMIT`` characters of JSON is cut, and the line
    says how much is left out: items of a list, characters of a text.
    """
    for shown in fact_evidence(facts, names):
        if shown.fact in facts.told:
            continue
        facts.told.add(shown.fact)
        reading = facts.reading(shown.fact)
        items = _items(all_facts()[shown.fact], reading)
        if items is not None:
            kept = _fitting(items)
            yield evidence_line(facts.droplet.id, shown, items[:kept], len(items) - kept)
        elif (text := redact(_text(reading))) != shown.value:
            kept = min(len(text), WHOLE_LIMIT)
            yield evidence_line(facts.droplet.id, shown, text[:kept], len(text) - kept)


def _items(fact: Fact, reading: Reading[Any]) -> list[dict[str, Any]] | None:
    """Return what a fact lists, as JSON without secrets; None: it lists nothing, or cannot."""
    if fact.items is None or reading.missing is not None:
        return None
    try:
        text = json.dumps(list(fact.items(reading.value)), default=_plain)
        found: list[dict[str, Any]] = redact_json(json.loads(text))
    except Exception:  # noqa: BLE001 a user's function must not end the audit
        return None
    return found


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _fitting(items: Sequence[Item]) -> int:
    """Return how many of the items fit into a line of evidence."""
    if len(json.dumps(items)) <= WHOLE_LIMIT:
        return len(items)
    sizes = itertools.accumulate(len(json.dumps(item)) + 2 for item in items)
    return sum(size <= WHOLE_LIMIT for size in sizes)


def given_names() -> frozenset[str]:
    """Return the names that a check may ask for beside facts."""
    return frozenset(GIVEN) | {ACCOUNT}


def _out_of_reach(check: Check, facts: DropletFacts) -> tuple[Outcome, str] | None:
    host = facts.host
    if host.state == "reached" or (check.without_host and host.state != "not-ours"):
        return None
    known = all_facts()
    if not any(f in known and known[f].of_host for f in check.facts):
        return None
    if host.state == "unreachable":
        return "unknown", host.reason
    return "notapplicable", host.reason


def _call(check: Check, arguments: Mapping[str, Any]) -> _Outcome:
    """Call a check's function; return the outcome, the message, and what else is known of it."""
    try:
        check.function(**arguments)
    except _ENDS_A_CHECK as exc:
        called = _outcome_of(exc)
        forget_traceback(exc)
        return called
    return _Outcome("pass")


def _outcome_of(raised: BaseException) -> _Outcome:
    match raised:
        case AssertionError():
            return _Outcome("fail", _first_claim(raised), details=details_of(raised))
        case pytest.fail.Exception():
            return _Outcome("fail", str(raised.msg))
        case NotObservedError():
            unreached = isinstance(raised, NotReachedError)
            return _Outcome("unknown", str(raised), unreached=unreached)
        case pytest.skip.Exception():
            return _Outcome("notapplicable", str(raised.msg))
    of_check = raised.__traceback__.tb_next if raised.__traceback__ else None
    trace = "".join(traceback.format_exception(type(raised), raised, of_check))
    return _Outcome("error", f"{type(raised).__name__}: {raised}", trace)


def details_of(raised: BaseException | None) -> Mapping[str, Sequence[Item]]:
    """Return what a failure says that it is about."""
    return raised.details if isinstance(raised, FindingError) else {}


def _first_claim(exc: AssertionError) -> str:
    """Return the message of an assertion without pytest's explanation of the expression."""
    text = str(exc)
    return text.split("\nassert ", 1)[0] or "the check failed without a message"


def _text(reading: Reading[Any]) -> str:
    if reading.missing is not None:
        return f"not observed: {reading.missing}"
    return str(reading.value)


def _evidence(name: str, reading: Reading[Any]) -> Evidence:
    text = cut(redact(_text(reading)), _EVIDENCE_LIMIT)
    return Evidence(name, reading.source, reading.observed_at, text)
