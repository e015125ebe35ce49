"""SARIF: judged by Microsoft's SARIF Multitool, and held against the limits of its readers."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.controls import NOTICE
from pytest_droplet.report import sarif
from pytest_droplet.report.document import Document
from tests.support import npm
from tests.support import sample_record as sample


def run_of(lines: list[dict[str, Any]], path: Path) -> dict[str, Any]:
    """Write a record and return its one run."""
    sarif.write(Document.from_lines(lines), path / "out.sarif")
    log = json.loads((path / "out.sarif").read_text(encoding="utf-8"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    found: dict[str, Any] = run
    return found


def ghas_errors(file: Path) -> list[str]:
    """What the multitool finds wrong: the schema, the format's rules, GitHub's, Azure DevOps'.

    What identifies a pipeline of Azure DevOps (GHAzDO1019, GHAzDO1020) is for its publishing task
    to add. The tool's start script hands the arguments to a shell, hence the quotes.
    """
    tool = npm.package("@microsoft/sarif-multitool") / "bin.js"
    done = npm.run(tool, "validate", str(file), "--rule-kind", '"Sarif;Ghas;Ado"')
    assert "1 files scanned" in done.stdout, done.stdout + done.stderr
    return re.findall(r": error (?!GHAzDO1019|GHAzDO1020)(.*)", done.stdout)


@pytest.mark.parametrize(
    "lines",
    [sample.fleet(12), sample.hostile(), sample.fleet(2)[:-1], [sample.header()]],
    ids=["fleet", "hostile", "cut", "empty"],
)
def test_the_multitool_accepts_it(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    """The schema holds, and what GitHub and Azure DevOps ask for is there."""
    run_of(lines, tmp_path)
    assert ghas_errors(tmp_path / "out.sarif") == []


def test_the_multitool_knows_the_rules_of_github(tmp_path: Path) -> None:
    """It is no judge that accepts everything."""
    run = run_of(sample.small(), tmp_path)
    run["results"][0]["locations"] = []
    (tmp_path / "bad.sarif").write_text(json.dumps({"version": "2.1.0", "runs": [run]}))
    assert [error for error in ghas_errors(tmp_path / "bad.sarif") if error.startswith("GH1")]


def test_findings_are_results_and_nothing_else_is(tmp_path: Path) -> None:
    """Failed and waived; what is unknown or broke is a notification, a pass is nothing."""
    lines = sample.fleet(12)
    run = run_of(lines, tmp_path)
    wanted = [r for r in lines if r["type"] == "result" and r["verdict"] in {"fail", "waived"}]
    results = run["results"]
    assert len(results) == len(wanted)
    assert {r["partialFingerprints"]["primaryLocationLineHash"] for r in results} == {
        f"{r['fingerprint']}:1" for r in wanted
    }
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    assert {r["ruleId"] for r in results} <= set(rules)
    assert run["invocations"][0]["executionSuccessful"] is False
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert {note["descriptor"]["id"] for note in notes} == {
        *("unreachable", "unknown", "check-broke")
    }
    assert sum(note["descriptor"]["id"] == "unreachable" for note in notes) == 1


def test_a_result_says_whose_it_is(tmp_path: Path) -> None:
    """A place of the Droplet, its urn and tags, the check beside it, GitHub's severity."""
    run = run_of(sample.small(), tmp_path)
    (result,) = run["results"]
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "droplets/web-1-417000001"
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "do:droplet:417000001"
    (source,) = (related["physicalLocation"] for related in result["relatedLocations"])
    assert source["artifactLocation"]["uri"] == "pytest_droplet/checks/ssh.py"
    assert source["region"]["startLine"] > 1
    assert result["message"]["text"].startswith("web-1: passwordauthentication yes")
    assert result["properties"]["tags"] == ["prod", "web"]
    rule = run["tool"]["driver"]["rules"][0]
    assert rule["name"] == "SshPasswordAuthenticationDisabled"
    assert rule["properties"]["security-severity"] == "9.0"
    assert "security" in rule["properties"]["tags"]
    assert len(rule["properties"]["tags"]) <= 10


def test_a_rule_has_tags_of_the_controls(tmp_path: Path) -> None:
    """The first id of every framework comes before the second of any; the help has them all."""
    ids = {f"framework-{n}": ["1.1", "1.2"] for n in range(7)}
    page = {**sample.header()["checks"][0], "controls": ids}
    run = run_of([sample.header([]) | {"checks": [page]}], tmp_path)
    (rule,) = run["tool"]["driver"]["rules"]
    tags = rule["properties"]["tags"]
    first = [f"external/framework-{n}/1.1" for n in range(7)]
    assert tags == ["security", page["family"], *first, "external/framework-0/1.2"]
    text = rule["help"]["markdown"]
    assert NOTICE in text
    assert all(f"framework-{n}: 1.1, 1.2" in text for n in range(7))


def test_a_rule_and_a_result_say_what_is_wrong(tmp_path: Path) -> None:
    """The check's finding, with the parameter that it does not name; what should hold is help."""
    page = {
        **sample.header()["checks"][0],
        "id": "auditd.rules-cover[logins]",
        "title": "Loaded rules cover the group",
        "finding": "No loaded rule covers the group",
    }
    line = sample.result(page["id"], 417000001, "fail", message="caused by auditd.installed")
    run = run_of([sample.header() | {"checks": [page]}, sample.droplet(0), line], tmp_path)
    (rule,), (result,) = run["tool"]["driver"]["rules"], run["results"]
    wrong = "No loaded rule covers the group (logins)"
    assert rule["name"] == "AuditdRulesCoverLogins"
    assert rule["shortDescription"]["text"] == wrong
    assert "Loaded rules cover the group" in rule["help"]["markdown"]
    assert result["message"]["text"] == f"web-1: {wrong}: caused by auditd.installed"


def test_two_runs_of_different_scope_do_not_replace_one_another(tmp_path: Path) -> None:
    """GitHub's category is the id up to its last slash: account, selector and what narrows."""

    def category(**more: Any) -> str:
        name: str = run_of([sample.header(**more)], tmp_path)["automationDetails"]["id"]
        assert name.endswith("/")
        assert len(name) <= 256
        return name

    account = sample.header()["account"]
    narrowed = {"option": "-k", "value": "ssh", "source": "command line"}
    scopes: list[dict[str, Any]] = [
        {},
        {"account": account | {"id": "team-1"}},
        {"account": account | {"id": "team-2"}},
        {"selector": ["tag:a/b"]},
        {"selector": ["tag:a", "b"]},
        {"profile": ["cis1"]},
        {"options": {"shard": "1/2"}},
        {"narrowed": [narrowed]},
        {"selector": [f"name:{'x' * 300}a"]},
        {"selector": [f"name:{'x' * 300}b"]},
    ]
    assert len({category(**scope) for scope in scopes}) == len(scopes)
    assert category(**scopes[1]) == "pytest-droplet/team-1/tag:prod/droplet/"
    assert category(selector=["b", "tag:a"]) == category(selector=["tag:a", "b"])


def test_levels_suppressions_and_the_baseline(tmp_path: Path) -> None:
    """By severity; a note below the gate; a waiver suppresses; new and unchanged."""
    waiver = {"number": 1, "reason": "rebuilt", "expires": "2027-01-31", "expired": False}
    lines = [
        sample.result("a.b", 1, "fail", severity="critical"),
        sample.result("a.c", 1, "fail", severity="medium"),
        sample.result("a.d", 1, "fail", severity="critical", gated=False),
        sample.result("a.e", 1, "waived", severity="low", gated=True, waiver=waiver),
    ]
    base = {"recorded_at": sample.STARTED, "new": [lines[0]["fingerprint"]],
            "still": [lines[1]["fingerprint"]]}  # fmt: skip
    run = run_of([*lines, sample.summary(lines, baseline=base)], tmp_path)
    found = {r["ruleId"]: r for r in run["results"]}
    assert [found[f"a.{n}"]["level"] for n in "bcde"] == ["error", "warning", "note", "note"]
    assert found["a.e"]["suppressions"][0]["justification"] == "rebuilt (until 2027-01-31)"
    assert [found[f"a.{n}"].get("baselineState") for n in "bcd"] == ["new", "unchanged", None]
    assert run["invocations"][0]["executionSuccessful"] is True


def test_a_hostile_text_is_no_link(tmp_path: Path) -> None:
    """``[text](target)`` would be one in a message of SARIF."""
    lines = [sample.result("a.b", 1, "fail", message="[click](https://evil.example) {0}")]
    (result,) = run_of(lines, tmp_path)["results"]
    assert result["message"]["text"] == "Droplet 1: [click] (https://evil.example) {0}"


def test_more_findings_than_github_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst stay, and a notification says how many are left out."""
    monkeypatch.setattr(sarif, "_RESULTS", 30)
    lines = sample.fleet(60)
    run = run_of(lines, tmp_path)
    assert len(run["results"]) == 30
    assert {r["level"] for r in run["results"]} == {"error"}
    texts = [n["message"]["text"] for n in run["invocations"][0]["toolExecutionNotifications"]]
    assert any(re.match(r"\d+ of \d+ findings are left out", text) for text in texts)


def test_no_file_is_larger_than_github_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gzipped, with what hardly compresses; the worst stay and a notification counts the rest."""
    monkeypatch.setattr(sarif, "_GZIPPED_BYTES", 300_000)
    chance = random.Random(7)
    lines = [sample.header(), sample.droplet(0)]
    for number in range(1_000):
        value = chance.randbytes(200).hex()
        evidence = [{"fact": "f", "source": "s", "observed_at": sample.STARTED, "value": value}]
        severity = ("low", "critical")[number % 2]
        lines.append(
            sample.result(
                f"a.{number}", 417000001, "fail", severity=severity, evidence=evidence * 3
            )
        )
    run = run_of([*lines, sample.summary(lines)], tmp_path)
    assert len(gzip.compress((tmp_path / "out.sarif").read_bytes())) < 400_000
    assert 500 < len(run["results"]) < 1_000
    assert {r["properties"]["severity"] for r in run["results"][:500]} == {"critical"}
    (note,) = (
        n["message"]["text"]
        for n in run["invocations"][0]["toolExecutionNotifications"]
        if n["descriptor"]["id"] == "incomplete"
    )
    assert note.startswith(f"{1_000 - len(run['results'])} of 1000 findings are left out")
    assert ghas_errors(tmp_path / "out.sarif") == []


@pytest.mark.slow
def test_a_huge_fleet_keeps_all_limits_of_github(tmp_path: Path) -> None:
    """25,000 results in one run, 25,000 rules, 10 tags a rule, 1,000 locations a result."""
    lines = [sample.header(), *(sample.droplet(n) for n in range(2_000))]
    lines += [
        sample.result(f"a.{n % 14}", line["id"], "fail")
        for n in range(13)
        for line in lines
        if line["type"] == "droplet"
    ]
    run = run_of([*lines, sample.summary(lines)], tmp_path)
    assert len(run["results"]) == 25_000
    assert len(run["tool"]["driver"]["rules"]) <= 25_000
    assert max(len(r["properties"]["tags"]) for r in run["tool"]["driver"]["rules"]) <= 10
    assert max(len(r["locations"]) for r in run["results"]) <= 1_000
    assert len(gzip.compress((tmp_path / "out.sarif").read_bytes(), 1)) < 10_000_000


def test_a_run_that_was_stopped_was_not_successful(tmp_path: Path) -> None:
    """Though nothing of what it judged is unknown."""
    lines = [sample.header(), sample.droplet(0), sample.result("a.b", 417000001, "pass")]
    run = run_of([*lines, sample.summary(lines)], tmp_path)
    assert run["invocations"][0]["executionSuccessful"]
    run = run_of([*lines, sample.summary(lines, not_run=3)], tmp_path)
    assert not run["invocations"][0]["executionSuccessful"]
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "The run was stopped: 3 tests did not run."


def test_notifications_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet that is down does not make the file too long."""
    monkeypatch.setattr(sarif, "_NOTIFICATIONS", 10)
    lines = [sample.droplet(n, coverage="unreachable", reason="no answer") for n in range(50)]
    notes = run_of(lines, tmp_path)["invocations"][0]["toolExecutionNotifications"]
    assert len(notes) == 10
    assert notes[-1]["message"]["text"] == "42 more notifications are left out: see the record"
