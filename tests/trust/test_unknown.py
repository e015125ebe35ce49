"""Unknown is never green: what is cut or garbled on its way makes no verdict of any check better.

``tests/checks/test_cases.py`` takes each reading away; here each is damaged, as it happens: the
tool prints an error in its place, the section is ended by its limits or a signal, its bytes are
noise. A cut that nobody notices cannot happen: a section counts only with its end mark
(``tests/unit/test_script.py::test_a_cut_never_makes_a_section_of_less``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pytest_droplet.catalogue import shipped
from pytest_droplet.connection import script
from pytest_droplet.facts import all_facts, needed
from pytest_droplet.model import Section, SectionOutput, Verdict
from pytest_droplet.verdict import judge
from tests.checks.cases import Case, _changed, all_cases
from tests.checks.test_cases import _facts_of

NONCE = "0123456789abcdef"
# An end that the shell or the transport notices: nothing is known of the section then.
NOTICED = ("cap", "time limit", "killed", "crashed", "broken pipe")
# The tool that prints the section failed, or something else stands in its place.
FAILED = ("empty", "absent", "refused", "html", "noise", "reversed")

EXCEPTIONS: Mapping[tuple[str, str, str], str] = {
    ("auditd.rules-valid", "audit_rules", "empty"): (
        "the section lists the rules files: none is what an empty list says, and the end mark"
        " proves that the list is whole"
    ),
    ("firewall.exposed-ports-expected", "iptables", "empty"): (
        "the section asks only kernels that have such tables; nothing printed means none"
    ),
    ("firewall.access-preserved", "firewall_saved", "empty"): (
        "a manager without files of its own has nothing printed; what is loaded is judged too"
    ),
    ("patches.automatic-updates-enabled", "automatic_updates", "empty"): (
        "dnf-automatic without a file goes by its defaults"
    ),
}
"""Check, section and damage that may turn a fail into a pass or not applicable, and why."""

CASES = [c for c in all_cases() if not c.check.of_account and c.expected in {"fail", "unknown"}]


def damaged(output: SectionOutput, kind: str) -> SectionOutput:
    """Return what the reader makes of a section that went wrong in this way."""
    text = output.stdout
    half = text[: len(text) // 2]
    match kind:
        case "cap":
            return framed(output, text.ljust(script.STDOUT_CAP_BYTES + 2, "\n"), 0)
        case "time limit":
            return framed(output, half, 124)
        case "killed" | "crashed" | "broken pipe":
            return framed(output, half, {"killed": 137, "crashed": 139, "broken pipe": 141}[kind])
        case "empty":
            return replace(output, stdout="", rc=0)
        case "absent":
            return replace(output, stdout="", stderr="sh: 1: x: not found", rc=127)
        case "refused":
            return replace(output, stdout="", stderr="x: Permission denied", rc=1)
        case "html":
            return replace(output, stdout="<html>\n<body>Log in</body>\n</html>\n")
        case "noise":
            return replace(output, stdout="".join(chr(1 + i * 37 % 590) for i in range(300)))
    return replace(output, stdout=text[::-1])


def framed(output: SectionOutput, text: str, rc: int) -> SectionOutput:
    """Send a section's text through the frame and its reader."""
    raw = f"\n--{NONCE} begin {output.name}\n{text}\n--{NONCE} end {output.name} rc={rc}\n"
    section = Section(output.name, "true")
    return script.parse(raw.encode("utf-8", "replace"), [section], NONCE).sections[output.name]


def sections_of(case: Case) -> list[str]:
    """Return the sections that the check, or what it depends on, reads and the case has."""
    names = {s.name for f in needed(_facts_of(case.check)) for s in f.sections}
    have = case.observation().host.sections
    return sorted(n for n in names if n in have and have[n].missing is None)


def judged(case: Case, output: SectionOutput) -> Verdict:
    """Judge a case with another output of one section."""
    seen = case.observation()
    sections = {**seen.host.sections, output.name: output}
    return judge(case.check, _changed(seen, host=replace(seen.host, sections=sections)))


def damages(case: Case, kinds: tuple[str, ...]) -> Iterator[tuple[str, str, Verdict]]:
    """Yield section, damage and verdict."""
    have = case.observation().host.sections
    for name in sections_of(case):
        for kind in kinds:
            yield name, kind, judged(case, damaged(have[name], kind))


def by_check(cases: list[Case]) -> list[Any]:
    """Return the cases of each check as one parameter."""
    ids = sorted({c.check.base_id for c in cases})
    return [pytest.param([c for c in cases if c.check.base_id == i], id=i) for i in ids]


@pytest.mark.parametrize("cases", by_check(CASES))
def test_an_end_that_is_noticed_makes_no_verdict_better(cases: list[Case]) -> None:
    """Cap, time limit and signals: without exception."""
    for case in cases:
        for name, kind, verdict in damages(case, NOTICED):
            allowed = {case.expected, "unknown", "fail"}
            assert verdict.outcome in allowed, (case.path, name, kind, verdict)


@pytest.mark.parametrize("cases", by_check(CASES))
def test_what_stands_in_place_of_a_reading_makes_no_verdict_better(cases: list[Case]) -> None:
    """An error, another page, noise: never a pass, nor "does not apply", but for the list."""
    for case in cases:
        for name, kind, verdict in damages(case, FAILED):
            if (case.check.base_id, name, kind) in EXCEPTIONS:
                continue
            assert verdict.outcome in {"fail", "unknown"}, (case.path, name, kind, verdict)


def test_every_exception_is_needed() -> None:
    """The list above does not outlive its reasons."""
    needed = {
        (case.check.base_id, name, kind)
        for case in CASES
        if case.check.base_id in {check for check, _, _ in EXCEPTIONS}
        for name, kind, verdict in damages(case, FAILED)
        if verdict.outcome not in {"fail", "unknown"}
    }
    assert set(EXCEPTIONS) <= needed


MARKS = ("!!", "not_whole", "must_have_searched", "read_capped", "read_all")
"""What prints the line ``!!`` in a script: it itself, or a function of the prelude."""
TRACES: Mapping[str, str | int] = {
    **dict.fromkeys(("addresses", "apt", "units"), 137),
    **dict.fromkeys(("apache", "nginx", "apt_index", "boot", "kernels", "reboot"), "!! x"),
    **dict.fromkeys(("audit_cover", "audit_rules", "automatic_updates"), "!! x"),
    **dict.fromkeys(("firewall_files", "firewall_saved"), "!! x"),
    "apt_sources": "!! x",
    "auditd_conf": 1,
    "dnf_index": "!! x",
    "sshd": "X something could not be read",
}
"""What the shell leaves where a command of the section ends early: a line, or its status.

Sections that are not here have an end of their own: they need no trace to be seen as cut.
"""


def cuts(output: SectionOutput) -> Iterator[tuple[int, SectionOutput]]:
    """Yield a section that ends after some lines: a command of it died, others did not."""
    trace = TRACES.get(output.name, "")
    lines = output.stdout.splitlines(keepends=True)
    some = {len(lines) * n // 4 for n in (1, 2, 3)} | {len(lines) - 2, len(lines) - 1}
    for kept in sorted(some - {-1, 0}):
        text = "".join(lines[:kept])
        if isinstance(trace, int):
            yield kept, replace(output, stdout=text, rc=trace)
        else:
            yield kept, replace(output, stdout=f"{text}{trace}\n" if trace else text)


@pytest.mark.parametrize("cases", by_check(CASES))
def test_a_cut_at_a_line_makes_no_verdict_better(cases: list[Case]) -> None:
    """Whatever line a section ends at, with the trace that its shell leaves: without exception."""
    for case in cases:
        have = case.observation().host.sections
        for name in sections_of(case):
            for kept, output in cuts(have[name]):
                verdict = judged(case, output)
                assert verdict.outcome in {"fail", "unknown"}, (case.path, name, kept, verdict)


def test_a_section_leaves_the_trace_that_is_counted_on() -> None:
    """A line that tells of a command that died is in the script of its section."""
    sections = {s.name: s for f in all_facts().values() for s in f.sections}
    for name, trace in TRACES.items():
        if isinstance(trace, str):
            command = sections[name].command
            marks = MARKS if trace.startswith("!! ") else (trace.split()[0],)
            assert any(f"{mark} " in command for mark in marks), name


PASSING = [c for c in all_cases() if not c.check.of_account and c.expected == "pass"]


def coloured(output: SectionOutput) -> SectionOutput:
    """Return a section whose tools colour what they print, as "grep --color=always" does."""
    lines = output.stdout.split("\n")
    text = "\n".join(f"\x1b[01;31m{line}\x1b[m" if line else "" for line in lines)
    return replace(output, stdout=text)


@pytest.mark.parametrize("cases", by_check(PASSING))
def test_a_line_that_is_garbled_is_no_default(cases: list[Case]) -> None:
    """What does not look as it should is unknown: no value takes the place of what it says."""
    for case in cases[:5]:
        have = case.observation().host.sections
        for name in sections_of(case):
            verdict = judged(case, coloured(have[name]))
            assert verdict.outcome in {"pass", "unknown"}, (case.path, name, verdict)


PROBED = [c for c in CASES if c.observation().host.probes]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.sampled_from(PROBED), st.data(), JSON)
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_a_garbled_probe_makes_no_verdict_better(
    case: Case, data: st.DataObject, value: object
) -> None:
    """Whatever JSON stands in place of a probe's result, nothing unproven passes."""
    seen = case.observation()
    name = data.draw(st.sampled_from(sorted(seen.host.probes)))
    host = replace(seen.host, probes={**seen.host.probes, name: value})
    verdict = judge(case.check, _changed(seen, host=host))
    assert verdict.outcome in {"fail", "unknown", "notapplicable"}, verdict


TEXTS = [c for c in CASES if sections_of(c)]


@given(st.sampled_from(TEXTS), st.data(), st.text(max_size=400))
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
def test_any_text_in_place_of_a_section_is_judged(
    case: Case, data: st.DataObject, text: str
) -> None:
    """No text breaks a check: it is an ``error`` of none, whatever stands in for a section."""
    have = case.observation().host.sections
    name = data.draw(st.sampled_from(sections_of(case)))
    kept = data.draw(st.integers(0, len(have[name].stdout)))
    output = replace(have[name], stdout=have[name].stdout[:kept] + text)
    assert judged(case, output).outcome != "error"


@given(st.binary(max_size=200), st.integers(0, 10**6))
@example(b"", 0)
def test_a_cut_of_the_stream_hides_what_came_after(body: bytes, at: int) -> None:
    """Cut at any byte, a section is whole or missing, and never shorter."""
    assume(NONCE.encode() not in body)
    sections = [Section(n, "true") for n in ("one", "two", "three")]
    frames = b"".join(
        b"\n--%s begin %s\n%s\n--%s end %s rc=0\n"
        % (NONCE.encode(), s.name.encode(), body, NONCE.encode(), s.name.encode())
        for s in sections
    )
    got = script.parse(frames[: at % (len(frames) + 1)], sections, NONCE)
    whole = body.decode("utf-8", "replace")
    assert all(s.missing is not None or s.stdout == whole for s in got.sections.values())


def test_the_property_is_over_the_whole_catalogue() -> None:
    """Every check that reads a host has a case here."""
    of_host = {c.base_id for c in shipped().values() if any(f.sections for f in needed(c.facts))}
    assert of_host <= {c.check.base_id for c in CASES}
