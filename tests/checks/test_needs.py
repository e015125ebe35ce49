"""What a fact needs is what it declares and what the facts that it takes declare: no more is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_droplet import facts
from pytest_droplet.facts import (
    DropletFacts,
    Fact,
    FactError,
    Observation,
    all_facts,
    needed,
    section_masks,
)
from pytest_droplet.model import Probe, Reading, Section
from tests.checks.cases import Case, all_cases

CASES = [
    pytest.param(c, id=f"{c.path.parent.name}/{c.path.name.removesuffix('.toml')}")
    for c in all_cases()
    if not c.check.of_account
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.slow
def test_a_fact_is_the_same_with_all_sections_and_with_those_that_it_needs(case: Case) -> None:
    """Every fact has the same value, or is missing for the same reason: as in a run of its own."""
    seen = case.observation()
    for name in all_facts():
        parts = needed([name])
        sections = {section.name for part in parts for section in part.sections}
        probes = {probe.name for part in parts for probe in part.probes}
        host = replace(
            seen.host,
            sections={n: s for n, s in seen.host.sections.items() if n in sections},
            probes={n: p for n, p in seen.host.probes.items() if n in probes},
        )
        own = DropletFacts(seen.droplet, seen.inventory, host, seen.settings, seen.now)
        if not all_facts()[name].may_use:
            assert str(own.reading(name)) == str(seen.reading(name)), name


@pytest.mark.parametrize("case", CASES)
def test_a_recording_keeps_what_facts_need(case: Case) -> None:
    """A replay judges by what the masks of the sections leave: every fact is the same."""
    seen = case.observation()
    masks = section_masks()
    kept = {
        name: replace(output, stdout=masks.get(name, str)(output.stdout))
        for name, output in seen.host.sections.items()
    }
    changed = {n for n, output in kept.items() if output != seen.host.sections[n]}
    host = replace(seen.host, sections=kept)
    replayed = DropletFacts(seen.droplet, seen.inventory, host, seen.settings, seen.now)
    for name in all_facts():
        if changed & {section.name for part in needed([name]) for section in part.sections}:
            there, here = replayed.reading(name), seen.reading(name)
            assert (there.missing, str(there.value)) == (here.missing, str(here.value)), name


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Fact]:
    """The registered facts, put back at the end."""
    known = dict(facts.all_facts())
    monkeypatch.setattr(facts, "_facts", known)
    monkeypatch.setattr(facts, "_closures", {})
    return known


def test_a_fact_that_reads_what_it_does_not_declare_is_missing(
    registry: dict[str, Fact],
) -> None:
    """Else it would work in a replay, which has all sections, and not in a run."""

    @facts.fact("cat /etc/os-release")
    def droplet_toy(observation: Observation) -> str:
        return observation.section("os").stdout

    @facts.fact("TCP connections")
    def droplet_toy_probe(observation: Observation) -> object:
        return observation.probe("tls")

    seen = next(c for c in all_cases() if not c.check.of_account).observation()
    assert seen.reading("droplet_toy").missing == (
        "droplet_toy reads the section 'os': declare it with sections="
    )
    assert seen.reading("droplet_toy_probe").missing == (
        "droplet_toy_probe reads the probe 'tls': declare it with probes="
    )


def test_needs_are_those_of_all_that_is_taken(registry: dict[str, Fact]) -> None:
    """Sections, probes and lists, through any number of facts; what is only used is not one."""

    async def look(address: str, host: object) -> None:
        """Never run."""

    @facts.fact("a", sections=(Section("toy_a", "true"),), api=("keys",))
    def droplet_toy_a(observation: Observation) -> str:
        return "a"

    @facts.fact("b", probes=(Probe("toy_p", look, (Section("toy_p", "true"),)),))
    def droplet_toy_b(droplet_toy_a: str) -> str:
        return droplet_toy_a + "b"

    @facts.fact("c", may_use=("droplet_kernel",))
    def droplet_toy_c(droplet_toy_b: str, droplet_kernel: Reading[object]) -> str:
        return droplet_toy_b + "c"

    parts = needed(["droplet_toy_c", "droplet"])
    assert [p.name for p in parts] == ["droplet_toy_a", "droplet_toy_b", "droplet_toy_c"]
    assert {s.name for p in parts for s in p.sections} == {"toy_a", "toy_p"}
    assert registry["droplet_toy_c"].of_host
    seen = next(c for c in all_cases() if not c.check.of_account).observation()
    assert seen.reading("droplet_toy_c").value == "abc"


def test_a_missing_fact_hands_its_reason_on(registry: dict[str, Fact]) -> None:
    """A fact that takes a missing one is missing for that reason, whatever it would do with it."""

    @facts.fact("a", sections=(Section("toy_a", "true"),))
    def droplet_toy_a(observation: Observation) -> str:
        return observation.section("toy_a").stdout

    @facts.fact("b")
    def droplet_toy_b(droplet_toy_a: str) -> str:
        return droplet_toy_a.upper()

    @facts.fact("c")
    def droplet_toy_c(droplet_toy_a: str) -> tuple[str, str]:
        return ("looks well", droplet_toy_a)

    seen = next(
        c
        for c in all_cases()
        if not c.check.of_account and c.observation().host.state == "reached"
    ).observation()
    assert "no such section" in (seen.reading("droplet_toy_b").missing or "")
    assert seen.reading("droplet_toy_c").missing == seen.reading("droplet_toy_b").missing


@pytest.mark.parametrize(
    ("takes", "reason"),
    [
        ("droplet_toy_a", "facts take each other in a circle: droplet_toy_a -> droplet_toy_a"),
        ("droplet_kernl", "the fact droplet_toy_a takes droplet_kernl, which is no fact;"),
    ],
)
def test_a_fact_that_can_never_be_had_is_named(
    registry: dict[str, Fact], takes: str, reason: str
) -> None:
    """A circle with its path, and a name with the nearest one."""
    made = Fact("droplet_toy_a", "a", str, "", parameters={takes: "value"})
    registry["droplet_toy_a"] = made
    assert (facts.broken() or "").startswith(reason)
    with pytest.raises(FactError):
        needed(["droplet_toy_a"])


def test_what_may_be_used_is_taken_as_a_reading(registry: dict[str, Fact]) -> None:
    """Else the fact would be missing wherever nobody reads the host."""

    def droplet_toy_a(droplet_kernel: object) -> str:
        return "a"

    with pytest.raises(ValueError, match=r"what it may use it takes as Reading.*: droplet_kernel"):
        facts.fact("a", may_use=("droplet_kernel",))(droplet_toy_a)
