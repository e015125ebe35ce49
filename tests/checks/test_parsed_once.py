"""What a section printed is parsed once a host, whatever facts and checks ask for it."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from types import FrameType

import pytest

from pytest_droplet.facts import DropletFacts, Observation, all_facts, fact
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from tests.checks.cases import Case, all_cases


def is_read(case: Case) -> bool:
    """Whether the host of a case was read."""
    host = case.observation().host
    return host.state == "reached" and bool(host.sections)


# One of each check: cases of one are alike.
CASES = {c.check.id: c for c in all_cases() if not c.check.of_account and is_read(c)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_parser_sees_a_text_twice(case: Case) -> None:
    """All facts of a host are asked for; what two sections print alike are two texts."""
    calls: Counter[tuple[str, str, str]] = Counter()
    frames: set[FrameType] = set()

    def count(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_name.startswith("parse_") or not code.co_argcount:
            return
        if frame in frames:  # a generator that goes on
            return
        frames.add(frame)
        argument, *others = (frame.f_locals[n] for n in code.co_varnames[: code.co_argcount])
        text = argument.stdout if isinstance(argument, SectionOutput) else argument
        if isinstance(text, str) and text.count("\n") > 1:
            calls[f"{code.co_filename}:{code.co_name}", text, str(others)] += 1

    seen = case.observation()
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for name in all_facts():
            seen.reading(name)
    finally:
        sys.setprofile(before)

    assert calls
    printed = [section.stdout for section in seen.host.sections.values()]
    texts = {text: sum(text.strip() in said for said in printed) for _, text, _ in calls}
    assert [n for (n, text, _), number in calls.items() if number > max(1, texts[text])] == []


def test_a_parser_that_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fact that asks for the section is missing, for the parser's reason."""
    monkeypatch.setattr("pytest_droplet.facts._facts", dict(all_facts()))
    section = Section("toy", "true")
    asked = []

    def refuse(output: SectionOutput) -> str:
        asked.append(output.stdout)
        raise NotObservedError("not as expected")

    @fact("toy", sections=(section,))
    def droplet_toy_a(observation: Observation) -> str:
        return observation.parsed("toy", refuse)

    @fact("toy", sections=(section,))
    def droplet_toy_b(observation: Observation) -> str:
        return observation.parsed("toy", refuse)

    known = next(iter(CASES.values())).observation()
    host = replace(known.host, state="reached", sections={"toy": SectionOutput("toy", "a")})
    seen = DropletFacts(known.droplet, known.inventory, host, known.settings, known.now)

    assert seen.reading("droplet_toy_a").missing == "not as expected"
    assert seen.reading("droplet_toy_b").missing == "not as expected"
    assert asked == ["a"]
