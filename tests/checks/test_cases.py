"""Every case gives its verdict, and nothing that is taken away from it makes it better."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import get_args

import jsonschema
import pytest

from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.facts import all_facts, needed
from pytest_droplet.model import Reading, Verdict
from pytest_droplet.verdict import judge, judge_account, whole_evidence
from pytest_droplet.words import Outcome

from .cases import (
    Case,
    all_cases,
    with_inventory,
    with_section,
    without_answers,
    without_probe,
    without_section,
)

CASES = [
    pytest.param(c, id=f"{c.path.parent.name}/{c.path.name.removesuffix('.toml')}")
    for c in all_cases()
]


def _may_get_better(case: Case) -> bool:
    return not case.check.of_account and case.expected in {"fail", "unknown"}


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_the_verdict_in_its_name(case: Case) -> None:
    """The check gives the verdict, the message and the cause that the case file names."""
    verdict = case.judge()

    assert verdict.outcome == case.expected, verdict.traceback or verdict.message
    assert case.table.get("message", "") in verdict.message
    assert verdict.caused_by == case.table.get("caused_by")


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_observed_makes_no_verdict_better(case: Case) -> None:
    """Without any one thing that the check reads, nothing passes that did not pass before.

    Nor does what failed become not applicable, nor what passed a failure.
    """
    allowed = {
        "pass": {"pass", "unknown"},
        "fail": {"fail", "unknown"},
        "unknown": {"unknown"},
    }.get(case.expected, set(get_args(Outcome)) - {"error"})
    for taken, verdict in _poorer(case):
        assert verdict.outcome in allowed, f"without {taken}: {verdict.traceback or verdict}"


@pytest.mark.parametrize("case", [p for p in CASES if _may_get_better(p.values[0])])
def test_a_part_that_was_not_read_makes_no_verdict_better(case: Case) -> None:
    """A list that lost its end, or a section with a mark of failure in it, is not all there is."""
    seen = case.observation()
    for name in sorted(_sections_of(case.check)):
        output = seen.host.sections.get(name)
        if output is None or output.missing is not None:
            continue
        texts = [output.stdout + "!! a part\n"]
        lines = output.stdout.splitlines(keepends=True)
        if lines and re.fullmatch(r"end(:\d+)?\n", lines[-1]):
            cuts = range(0, len(lines), max(1, len(lines) // 12))
            texts += ["".join(lines[:cut]) for cut in (*cuts, len(lines) - 1)]
        for text in texts:
            verdict = judge(case.check, with_section(seen, replace(output, stdout=text)))
            assert verdict.outcome in {"fail", "unknown"}, (name, text[-200:], verdict)


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_well_formed(case: Case) -> None:
    """A case says why it is there, and names a verdict, and sections and probes that exist."""
    facts = all_facts().values()
    hosts = [case.table, *case.table.get("hosts", ())]

    assert len(case.table.get("why", "")) > 20
    assert case.expected in get_args(Outcome)
    assert case.check.base_id == case.path.parent.name
    for host in hosts:
        assert set(host.get("sections", ())) <= {s.name for f in facts for s in f.sections}
        probes = {*host.get("probes", ()), *host.get("probe_errors", ())}
        assert probes <= {p.name for f in facts for p in f.probes}


@pytest.mark.parametrize("case", CASES)
def test_evidence_is_one_short_line(case: Case) -> None:
    """Evidence of every fact is one printable line without key material or hashes."""
    for evidence in case.judge().evidence:
        assert evidence.value.isprintable()
        assert len(evidence.value) <= 400
        for secret in ("AAAAB3NzaC1", "AAAAC3NzaC1", "$6$", "$y$"):
            assert secret not in evidence.value


# Where something is absent altogether, there is nothing to say of it beside that.
ABSENT = {
    *("auditd.rules-cover[actions]", "auditd.rules-immutable", "auditd.rules-loaded"),
    *("auditd.rules-valid", "backups.complete", "backups.enabled", "backups.recent"),
    *("firewall.cloud-attached", "firewall.cloud-exists", "firewall.host-active"),
    *("ssh.account-has-key", "ssh.weak-algorithms-disabled"),
}
FAILING = [p for p in CASES if p.values[0].expected == "fail"]
SCHEMA = json.loads((files("pytest_droplet") / "data" / "record.schema.json").read_text())
DETAILS = jsonschema.Draft202012Validator({**SCHEMA["$defs"]["details"], "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize("case", FAILING)
def test_a_failure_says_what_it_is_about(case: Case) -> None:
    """As data that follows the schema, of facts that the check, or its cause, asks for."""
    verdict = case.judge()
    cause = shipped()[verdict.caused_by] if verdict.caused_by else case.check
    assert verdict.details or cause.id in ABSENT, verdict.message
    assert set(verdict.details) <= set(cause.facts)
    DETAILS.validate(verdict.details)


def test_every_fact_of_the_schema_is_what_some_failure_is_about() -> None:
    """Nothing is promised there that no check says; and the items of each are told exactly."""
    said = {fact for p in FAILING for fact in p.values[0].judge().details}
    assert said == set(DETAILS.schema["properties"])


EVIDENCE = jsonschema.Draft202012Validator(
    {**SCHEMA["$defs"]["evidence"], "$defs": SCHEMA["$defs"]}
)


@pytest.mark.parametrize("case", [p for p in CASES if not p.values[0].check.of_account])
def test_whole_evidence_follows_the_schema_and_holds_no_key_material(case: Case) -> None:
    """A line of each fact at most; fingerprints may stand there, keys and hashes may not."""
    lines = list(whole_evidence(case.observation(), case.check.facts))
    assert len({line["fact"] for line in lines}) == len(lines)
    for line in lines:
        EVIDENCE.validate(line)
        for secret in ("AAAAB3NzaC1", "AAAAC3NzaC1", "$6$", "$y$"):
            assert secret not in json.dumps(line)


def _poorer(case: Case) -> Iterator[tuple[str, Verdict]]:
    """Yield the verdicts without each thing that the check or what it depends on reads."""
    check = case.check
    if check.of_account:
        account = case.account()
        for name, inventory in without_answers(account.inventory):
            yield name, judge_account(check, replace(account, inventory=inventory))
        for droplet_id, row in account.rows.items():
            for name, reading in row.items():
                lost: Reading[object] = replace(reading, value=None, missing="taken away")
                rows = {**account.rows, droplet_id: {**row, name: lost}}
                yield f"{name} of {droplet_id}", judge_account(check, replace(account, rows=rows))
        return
    seen = case.observation()
    facts = needed(_facts_of(check))
    for section in sorted(_sections_of(check)):
        yield section, judge(check, without_section(seen, section))
    for probe in sorted({p.name for f in facts for p in f.probes}):
        yield probe, judge(check, without_probe(seen, probe))
    for name, inventory in without_answers(seen.inventory):
        yield name, judge(check, with_inventory(seen, inventory))


def _sections_of(check: Check) -> set[str]:
    return {s.name for f in needed(_facts_of(check)) for s in f.sections}


def _facts_of(check: Check) -> set[str]:
    causes = (shipped()[d.format(**check.arguments)] for d in check.depends_on)
    return set(check.facts).union(*map(_facts_of, causes))
