"""The rules that turn what happened into a verdict."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import pytest_droplet
from pytest_droplet import catalogue, facts
from pytest_droplet.catalogue import Check, check, checks_of
from pytest_droplet.facts import Account, DropletFacts, Fact, Observation
from pytest_droplet.facts.patches.packages import Update
from pytest_droplet.model import (
    Claims,
    Droplet,
    HostReading,
    HostState,
    Inventory,
    NotObservedError,
    Reading,
    Section,
    SectionOutput,
    fail,
    not_applicable,
)
from pytest_droplet.record import parse_line
from pytest_droplet.settings import Settings
from pytest_droplet.verdict import (
    MESSAGE_LIMIT,
    TRACEBACK_LIMIT,
    WHOLE_LIMIT,
    judge,
    judge_account,
    make_verdict,
    whole_evidence,
    with_note,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def observation(state: HostState = "reached", **sections: str) -> DropletFacts:
    """An observation of a Droplet whose host printed these sections."""
    nothing: Reading[Any] = Reading("GET /v2", NOW, missing="not asked")
    inventory = Inventory(NOW, "", (), (), nothing, nothing, nothing, nothing)
    host = HostReading(
        1,
        state,
        NOW,
        reason="" if state == "reached" else f"web-1 is {state}",
        root=True,
        sections={n: SectionOutput(n, stdout=text, rc=0) for n, text in sections.items()},
    )
    return DropletFacts(Droplet(1, "web-1"), inventory, host, Settings(), NOW)


@pytest.fixture(autouse=True)
def toy_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two facts of the host, each the text of a section."""

    def read(name: str) -> Callable[[Observation], str]:
        return lambda o: o.section(name).stdout

    known = dict(facts.all_facts())
    for name in ("a", "b"):
        section = Section(name, "true")
        known[f"droplet_{name}"] = toy(f"droplet_{name}", read(name), section)
    monkeypatch.setattr(facts, "_facts", known)
    monkeypatch.setattr(facts, "_closures", {})


def toy(name: str, read: Callable[[Observation], Any], section: Section) -> Fact:
    """A fact of one section."""
    return Fact(name, section.name, read, "", (section,), parameters={"o": "observation"})


def checked(function: Callable[..., None], **options: Any) -> Check:
    """The function as a check."""
    return checks_of(check("toy.check", **options)(function))[0]


def test_a_pass_needs_every_fact_observed() -> None:
    """A check that looks at one fact and passes is unknown while another is missing."""

    def looks_at_a(droplet_a: str, droplet_b: str) -> None:
        assert droplet_a == "1", "a is wrong"

    assert judge(checked(looks_at_a), observation(a="1", b="2")).outcome == "pass"
    verdict = judge(checked(looks_at_a), observation(a="1"))
    assert verdict.outcome == "unknown"
    assert "no such section" in verdict.message


def test_a_proven_failure_beats_a_missing_fact() -> None:
    """A failure that an observed fact proves stands, whichever claim comes first."""

    def needs_both(droplet_a: str, droplet_b: str) -> None:
        with Claims() as claim:
            with claim:
                assert droplet_a == "1", "a is wrong"
            with claim:
                assert droplet_b == "2", "b is wrong"

    assert judge(checked(needs_both), observation(b="3")).outcome == "fail"
    assert judge(checked(needs_both), observation(a="0")).outcome == "fail"
    assert judge(checked(needs_both), observation(b="2")).outcome == "unknown"
    assert (
        judge(checked(needs_both), observation(a="0", b="0")).message == "a is wrong; b is wrong"
    )


@pytest.mark.parametrize(
    "touch",
    [
        *(bool, len, iter, str, float, int, list, format),
        *(lambda x: x == 1, lambda x: x != 1, lambda x: x < 1, lambda x: x >= 1),
        *(lambda x: x.no, lambda x: x[0], lambda x: 0 in x, lambda x: x(), lambda x: not x),
        lambda x: isinstance(x, str),
    ],
    ids=[
        *("bool", "len", "iter", "str", "float", "int", "list", "format"),
        *("equal", "unequal", "less", "at-least"),
        *("attribute", "item", "contains", "call", "not"),
        "isinstance",
    ],
)
def test_a_missing_fact_raises_however_it_is_touched(touch: Callable[[Any], Any]) -> None:
    """Whatever a check does with a missing fact, it gets no value to fail or pass by."""

    def touches(droplet_b: Any) -> None:
        touch(droplet_b)
        raise AssertionError("it got a value")

    verdict = judge(checked(touches), observation(a="1"))
    assert verdict.outcome == "unknown"
    assert "no such section" in verdict.message


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("unreachable", "unknown"), ("off", "notapplicable"), ("not-ours", "notapplicable")],
)
def test_a_host_that_was_not_read(state: HostState, outcome: str) -> None:
    """Checks of a host say why it was not read; none passes."""

    def passes(droplet_a: str) -> None:
        """Assert nothing."""

    verdict = judge(checked(passes), observation(state))
    assert (verdict.outcome, verdict.message) == (outcome, f"web-1 is {state}")
    assert verdict.unreached is (outcome == "unknown")


def lacks(name: str) -> Callable[[Observation], Any]:
    """A reader of a fact of the API's view alone, which was not asked for."""

    def read(_: Observation) -> Any:
        raise NotObservedError(f"{name} was not asked")

    return read


@pytest.mark.parametrize("state", ["reached", "unreachable"])
def test_what_else_is_missing_is_not_put_down_to_the_connection(
    monkeypatch: pytest.MonkeyPatch, state: HostState
) -> None:
    """A verdict says by data whether it is unknown for the host was not reached (R6).

    It is where a fact of the host was what lacked: asked for, taken by another fact, or of the
    check that this one follows. It is not where the API's list lacked, reached or not.
    """
    known = dict(facts.all_facts())
    known["droplet_list"] = Fact(
        "droplet_list", "GET /v2", lacks("list"), "", parameters={"o": "observation"}
    )
    known["droplet_taker"] = Fact(
        "droplet_taker", "GET /v2; a", lambda **_: "", "", parameters={"droplet_a": "value"}
    )
    monkeypatch.setattr(facts, "_facts", known)

    def asks_the_list(droplet_list: str) -> None:
        assert droplet_list

    def asks_the_host(droplet_taker: str, droplet: Droplet) -> None:
        assert droplet_taker, droplet.name

    def asks_for_no_use(droplet_a: str) -> None:
        """Assert nothing."""

    seen = observation(state)
    lost = state == "unreachable"
    followed = {"toy.host": checks_of(check("toy.host")(asks_the_host))[0]}
    monkeypatch.setattr("pytest_droplet.verdict.shipped", lambda: followed)
    for function, options, unreached in (
        (asks_the_list, {}, False),
        (asks_the_list, {"depends_on": ["toy.host"]}, lost),
        (asks_the_host, {}, lost),
        (asks_the_host, {"without_host": True}, lost),
        (asks_for_no_use, {"without_host": True}, lost),
    ):
        seen.verdicts.clear()
        verdict = judge(checked(function, **options), seen)
        assert (verdict.outcome, verdict.unreached) == ("unknown", unreached), function


def test_a_check_that_breaks_is_an_error_with_its_traceback() -> None:
    """An exception in a check is its own verdict, and ends nothing."""

    def breaks(droplet_a: str) -> None:
        raise RuntimeError(droplet_a)

    verdict = judge(checked(breaks), observation(a="boom"))
    assert (verdict.outcome, verdict.message) == ("error", "RuntimeError: boom")
    assert "in breaks" in (verdict.traceback or "")


def test_a_subject_that_does_not_exist_is_not_applicable() -> None:
    """not_applicable ends the check with its reason."""

    def skips(droplet_a: str) -> None:
        not_applicable("no nginx")

    verdict = judge(checked(skips), observation(a="1"))
    assert (verdict.outcome, verdict.message) == ("notapplicable", "no nginx")


def test_a_parser_that_breaks_makes_the_fact_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a parser raises on hostile input, the fact is not observed."""

    def parse(o: Observation) -> None:
        raise ValueError("garbage")

    broken = toy("droplet_a", parse, Section("a", "true"))
    monkeypatch.setitem(facts._facts, "droplet_a", broken)

    def passes(droplet_a: str) -> None:
        """Assert nothing."""

    verdict = judge(checked(passes), observation(a="1"))
    assert verdict.outcome == "unknown"
    assert "could not be parsed (ValueError: garbage)" in verdict.message


@pytest.mark.parametrize(
    ("a", "outcome", "caused_by", "message"),
    [
        ("1", "pass", None, ""),
        ("0", "fail", "toy.root", "caused by toy.root: a is wrong"),
        ("", "unknown", None, "toy.middle is unknown: toy.root is unknown: a is empty"),
        ("x", "unknown", None, "toy.middle is unknown: toy.root is error: ValueError: invalid"),
        ("-1", "notapplicable", None, "no a here"),
    ],
    ids=["pass", "fail", "unknown", "error", "notapplicable"],
)
def test_a_dependent_check_follows_its_cause(
    monkeypatch: pytest.MonkeyPatch, a: str, outcome: str, caused_by: str | None, message: str
) -> None:
    """It fails caused-by the first cause, through a chain; where that is unknown, so is it.

    A cause that broke proves nothing of what depends on it: that is unknown, never judged on.
    """

    def root(droplet_a: str) -> None:
        if not droplet_a:
            raise NotObservedError("a is empty")
        if int(droplet_a) < 0:
            not_applicable("no a here")
        assert droplet_a == "1", "a is wrong"

    def passes(droplet_b: str) -> None:
        """Assert nothing."""

    known = {
        "toy.root": checks_of(check("toy.root")(root))[0],
        "toy.middle": checks_of(check("toy.middle", depends_on=["toy.root"])(passes))[0],
    }
    monkeypatch.setattr("pytest_droplet.verdict.shipped", lambda: known)
    verdict = judge(checked(passes, depends_on=["toy.middle"]), observation(a=a, b="2"))
    assert (verdict.outcome, verdict.caused_by) == (outcome, caused_by)
    assert verdict.message.startswith(message)


def test_what_a_cause_says_is_masked() -> None:
    """A secret in the message of a cause is in the message of nothing that depends on it."""
    token = "dop_v1_" + "0a" * 32

    def root(droplet_a: str) -> None:
        raise AssertionError(f"found {token}")

    def passes(droplet_b: str) -> None:
        """Assert nothing."""

    known = {"toy.root": checks_of(check("toy.root")(root))[0]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_droplet.verdict.shipped", lambda: known)
        verdict = judge(checked(passes, depends_on=["toy.root"]), observation(a="1", b="2"))
    assert verdict.message == "caused by toy.root: found ***"


def test_evidence_is_masked_before_it_is_cut() -> None:
    """A secret of a host that stands across the bound is masked, whether read or missing."""
    token = "dop_v1_" + "0a" * 32

    def passes(droplet_a: str) -> None:
        """Assert nothing."""

    seen = observation(a="x" * 390 + f" {token} " + "y" * 50)
    (evidence,) = judge(checked(passes), seen).evidence
    assert evidence.value.endswith(" *** yyyy…")
    assert "0a0a" not in evidence.value


def test_evidence_is_the_reading_of_every_fact() -> None:
    """Each fact that the check asked for is named with source, time and value, or why not."""

    def passes(droplet: Droplet, droplet_a: str, droplet_b: str) -> None:
        """Assert nothing."""

    evidence = judge(checked(passes), observation(a="x" * 1000)).evidence
    assert [e.fact for e in evidence] == ["droplet_a", "droplet_b"]
    assert len(evidence[0].value) == 400
    assert evidence[1].value.startswith("not observed: ")


def test_a_malformed_check_is_refused() -> None:
    """An id, a severity or a profile that does not exist is an error of the author."""
    with pytest.raises(ValueError, match=r"family\.kebab-case"):
        catalogue.check("Nope")
    with pytest.raises(ValueError, match="none of critical"):
        catalogue.check("a.b", severity="urgent")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none of droplet"):
        catalogue.check("a.b", profile="mine")


# --- the one constructor --------------------------------------------------------------------


def made(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that make a verdict, or a copy of one with another text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else None
            name = node.func.id if isinstance(node.func, ast.Name) else name
            texts = {"message", "traceback"} & {word.arg for word in node.keywords}
            if name == "Verdict" or (name == "replace" and texts):
                yield node


def test_one_place_makes_verdicts() -> None:
    """No other module of the package builds one, or gives one another message or traceback."""
    package = Path(pytest_droplet.__file__).parent
    places = {
        str(path.relative_to(package)): len(list(made(ast.parse(path.read_text("utf-8")))))
        for path in package.rglob("*.py")
    }
    assert {path: number for path, number in places.items() if number} == {"verdict.py": 2}


def test_the_constructor_masks_before_it_cuts() -> None:
    """A secret that stands across the bound is masked, not cut to a half that nobody knows."""
    token = "dop_v1_" + "0a" * 32
    text = "x" * (MESSAGE_LIMIT - 10) + f" {token} " + "y" * 100
    trace = "x" * 100 + f" {token} " + "y" * (TRACEBACK_LIMIT - 10)
    verdict = make_verdict("a.b", 1, "error", "high", text, trace=trace)
    assert verdict.traceback is not None
    assert (len(verdict.message), len(verdict.traceback)) == (MESSAGE_LIMIT, TRACEBACK_LIMIT)
    assert verdict.message.endswith(" *** yyyy…")
    assert "0a0a" not in verdict.message + verdict.traceback
    assert verdict.traceback.endswith("yyy")
    assert make_verdict("a.b", 1, "fail", "high", "x" * MESSAGE_LIMIT).message[-1] == "x"


def test_a_note_is_never_cut_off() -> None:
    """What is added to a message of full length stands at its end."""
    verdict = with_note(make_verdict("a.b", 1, "fail", "high", "x" * 5000), "expired")
    assert verdict.message.endswith("x… (expired)")
    assert len(verdict.message) == MESSAGE_LIMIT
    assert with_note(make_verdict("a.b", 1, "fail", "high", "no"), "why").message == "no (why)"


@pytest.mark.parametrize("raised", [AssertionError, RuntimeError, NotObservedError, pytest.fail])
@pytest.mark.parametrize("of_account", [False, True])
def test_what_a_check_says_is_masked_and_bounded(raised: Any, *, of_account: bool) -> None:
    """Assertions, breaks, what was not observed and ``pytest.fail``; of the account too."""
    token = "dop_v1_" + "0a" * 32

    def says(droplet_a: str) -> None:
        raise raised(f"found {token} {'x' * 5000}")

    def says_of_account(droplet_account: Account) -> None:
        raise raised(f"found {token} {'x' * 5000}")

    seen = observation(a="1")
    if of_account:
        account = Account(seen.inventory, {}, seen.settings, NOW)
        verdict = judge_account(checked(says_of_account), account)
    else:
        verdict = judge(checked(says), seen)
    assert "found *** xxx" in verdict.message
    assert len(verdict.message) == MESSAGE_LIMIT
    assert "0a0a" not in f"{verdict.message}{verdict.traceback}"


def test_a_failure_says_what_it_is_about() -> None:
    """As dicts, or as objects that have details; several claims say it together."""

    def fails(droplet_a: str) -> None:
        with Claims() as claim:
            with claim:
                fail("one", droplet_a=[{"file": "/etc/x", "line": 3}])
            with claim:
                assert not droplet_a, "two"
            with claim:
                fail("three", droplet_a=[Update("curl", "8.1")], droplet_b=[])

    verdict = judge(checked(fails), observation(a="x"))
    assert (verdict.outcome, verdict.message) == ("fail", "one; two; three")
    first, second = verdict.details["droplet_a"]
    assert first == {"file": "/etc/x", "line": 3}
    assert (second["package"], second["candidate"]) == ("curl", "8.1")


def test_details_are_json_without_secrets_and_bounded() -> None:
    """Whatever a user's check says; how much was left out is counted."""
    about = {
        "text": f"dop_v1_{'0a' * 32} \x1b[2J {'y' * 9_000}",
        "day": date(2026, 11, 22),
        "odd": {1: {2, 1}},
        "deep": [[[[[["x"]]]]]],
        "none": None,
        "not": float("inf"),
    }
    verdict = make_verdict("a.b", 1, "fail", "low", details={"droplet_a": [about] * 130})
    assert verdict.left_out == {"droplet_a": 30}
    items = verdict.details["droplet_a"]
    assert len(items) == 100
    item = json.loads(json.dumps(items[0], allow_nan=False))
    assert item["text"].startswith("*** \ufffd[2J yyy")
    assert len(item["text"]) == 1_000
    assert (item["day"], item["none"], item["not"]) == ("2026-11-22", None, "inf")


def test_what_passes_has_no_details() -> None:
    """They are of failures alone."""

    def passes(droplet_a: str) -> None:
        del droplet_a

    assert judge(checked(passes), observation(a="x")).details == {}


# --- evidence whole -------------------------------------------------------------------------


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fact that lists the words of its section."""

    def items(text: str) -> list[dict[str, Any]]:
        return [{"number": word} for word in text.split()]

    known = dict(facts.all_facts())
    known["droplet_a"] = replace(known["droplet_a"], items=items)
    monkeypatch.setattr(facts, "_facts", known)


@pytest.mark.usefixtures("numbers")
def test_a_list_is_evidence_as_a_whole_and_once() -> None:
    """However little of it a result shows."""
    seen = observation(a=" ".join(map(str, range(300))))
    (line,) = whole_evidence(seen, ["droplet_a"])
    assert line["value"] == [{"number": str(n)} for n in range(300)]
    assert (line["droplet_id"], line["fact"]) == (1, "droplet_a")
    assert "left_out" not in line
    assert list(whole_evidence(seen, ["droplet_a"])) == []


@pytest.mark.parametrize("text", ["password\t=\thunter2222", '{"password": "hunter2222"}'])
def test_what_json_escapes_hides_no_secret(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tab and a quote are other characters in JSON: the texts themselves are masked."""
    known = dict(facts.all_facts())
    known["droplet_a"] = replace(known["droplet_a"], items=lambda _: [{"rule": text}])
    monkeypatch.setattr(facts, "_facts", known)
    (line,) = whole_evidence(observation(a="x"), ["droplet_a"])
    assert "hunter" not in str(line["value"])
    assert "hunter" not in str(parse_line(json.dumps({"type": "result", "message": text})))


@pytest.mark.usefixtures("numbers")
@pytest.mark.parametrize("more", [0, 1, 50])
def test_a_line_of_evidence_says_what_it_left_out(more: int) -> None:
    """It is bounded, and its items are whole."""
    fitting = WHOLE_LIMIT // len('{"number": "x"}, ')
    seen = observation(a=" ".join(["x"] * (fitting + more)))
    (line,) = whole_evidence(seen, ["droplet_a"])
    assert line["value"] == [{"number": "x"}] * fitting
    assert line.get("left_out", 0) == more


def test_a_text_is_evidence_where_a_result_shows_a_part() -> None:
    """A short one is whole in the result; of an endless one the line has the beginning."""
    token = "dop_v1_" + "0a" * 32
    assert list(whole_evidence(observation(a="x" * 400), ["droplet_a"])) == []
    (line,) = whole_evidence(observation(a="x" * 400 + token), ["droplet_a"])
    assert line["value"] == "x" * 400 + "***"
    (line,) = whole_evidence(observation(a="x" * (WHOLE_LIMIT + 7)), ["droplet_a"])
    assert (len(line["value"]), line["left_out"]) == (WHOLE_LIMIT, 7)
