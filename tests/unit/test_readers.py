"""What other people's readers keep of our files, by rules of theirs that are told here.

DefectDojo: ``dojo/tools/sarif/parser.py`` and ``dojo/tools/aws_prowler_v3plus/prowler_v4.py``.
GitLab: its page "SARIF reports", and merge requests 227970 and 230156.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.report import ocsf, sarif
from pytest_droplet.report.document import Document
from tests.support import sample_record as sample

GITLAB_TEXT = 1_024
GITLAB_ADDRESS = 2_048
GITHUB_ID = 255
TAGS = 10


def parameters(*names: str) -> list[dict[str, Any]]:
    """A host without auditd: one check with many parameters, and one message for all of them."""
    page = {**sample.header()["checks"][0], "finding": "No rule covers the group"}
    pages = [page | {"id": f"auditd.rules-cover[{name}]"} for name in names]
    lines = [sample.header() | {"checks": pages}, sample.droplet(0)]
    lines += [
        sample.result(page["id"], 417000001, "fail", message="caused by auditd.installed")
        for page in pages
    ]
    return [*lines, sample.summary(lines)]


def twice() -> list[dict[str, Any]]:
    """Two accounts in one record, and a test whose parameters are longer than an id may be."""
    account = [sample.result("firewall.cloud-exists", None, "fail") for _ in "ab"]
    account[1]["fingerprint"] = "0" * 32
    long = [sample.result(f"test_a.py::test_b[{'x' * 300}{n}]", 417000001, "fail") for n in "ab"]
    lines = [sample.header(), sample.droplet(0), *account, *long]
    return [*lines, sample.summary(lines)]


RECORDS = {
    "fleet": sample.fleet(12),
    "hostile": sample.hostile(),
    "parameters": parameters("logins", "session", "scope"),
    "twice": twice(),
}
everybody = pytest.mark.parametrize("lines", RECORDS.values(), ids=RECORDS)


def sarif_run(lines: list[dict[str, Any]], path: Path) -> dict[str, Any]:
    """Write a record as SARIF and return its one run."""
    sarif.write(Document.from_lines(lines), path / "out.sarif")
    (run,) = json.loads((path / "out.sarif").read_text(encoding="utf-8"))["runs"]
    found: dict[str, Any] = run
    return found


def rule_of(run: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The one rule that a result names."""
    rules = [r for r in run["tool"]["driver"]["rules"] if r["id"] == result["ruleId"]]
    assert len(rules) == 1
    rule: dict[str, Any] = rules[0]
    return rule


@everybody
def test_gitlab_knows_each_result_apart(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    """Its identity is rule, file, first and last line; it reads no fingerprint."""

    def identity(result: dict[str, Any]) -> tuple[str, str]:
        place = result["locations"][0]["physicalLocation"]
        region = place["region"]
        where = f"{place['artifactLocation']['uri']}:{region['startLine']}:{region['endLine']}"
        return result["ruleId"], hashlib.sha1(where.encode()).hexdigest()

    results = sarif_run(lines, tmp_path)["results"]
    assert results
    assert max(Counter(map(identity, results)).values()) == 1


@everybody
def test_no_text_is_longer_than_gitlab_takes(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    """It drops a result for it, and where that is so of half of them, the whole file."""
    long = [{**line, "message": "m" * 2_000} for line in lines if line["type"] == "result"]
    rest = [line for line in lines if line["type"] != "result"]
    for page in rest[0]["checks"]:
        page |= {"title": "t" * 3_000, "finding": "f" * 3_000, "rationale": "r" * 3_000}
        page |= {
            "references": f"https://example.com/{'x' * 3_000}",
            "profiles": list("abcdefghij"),
        }
    run = sarif_run([*rest, *long], tmp_path)
    for result in run["results"]:
        rule = rule_of(run, result)
        assert len(result["message"]["text"]) <= GITLAB_TEXT
        assert len(rule["shortDescription"]["text"]) <= GITLAB_TEXT
        assert len(rule["fullDescription"]["text"]) <= GITLAB_TEXT
        assert len(rule.get("helpUri", "")) <= GITLAB_ADDRESS
        assert len(rule["id"]) <= GITHUB_ID
        assert len(rule["name"]) <= GITHUB_ID
        assert len(rule["properties"]["tags"]) <= TAGS


def defectdojo(run: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The fields of a finding that DefectDojo makes of a result."""
    rule, message = rule_of(run, result), result["message"]["text"]
    (place,) = (location["physicalLocation"] for location in result["locations"])
    about = [
        message,
        rule["name"],
        *(rule[f"{how}Description"]["text"] for how in ("short", "full")),
    ]
    return {
        "title": textwrap.shorten(message, 150),
        "description": "\n".join(about),
        "mitigation": "\n".join(fix["description"]["text"] for fix in result.get("fixes", [])),
        "file_path": place["artifactLocation"]["uri"],
        "line": place["region"]["startLine"],
        "tags": {*rule["properties"]["tags"], *result["properties"].get("tags", [])},
        "active": not result.get("suppressions"),
    }


@everybody
def test_defectdojo_keeps_remedy_host_and_tags(
    lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    """And takes no two results for one: title, place and description are those it compares."""
    run = sarif_run(lines, tmp_path)
    document = Document.from_lines(lines)
    found = [defectdojo(run, result) for result in run["results"]]
    for result, finding in zip(run["results"], found, strict=True):
        (line,) = (
            line
            for line in document.results()
            if result["partialFingerprints"]["pytestDroplet/v1"] == line["fingerprint"]
        )
        page = document.checks[line["check"]]
        assert bool(finding["mitigation"]) == bool(page["remediation"])
        droplet = document.droplet(line["droplet_id"])
        if droplet:
            assert finding["file_path"].startswith("droplets/")
            assert finding["file_path"].endswith(f"-{droplet['id']}")
            assert len(finding["tags"]) >= len(set(droplet["tags"]))
        assert finding["active"] == (line["verdict"] == "fail")
    compared = ("title", "file_path", "line", "description")
    assert len({tuple(f[name] for name in compared) for f in found}) == len(found)


@everybody
def test_defectdojo_takes_our_ocsf_for_prowlers(
    lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    """It asks for a date and a title; remedy and component are kept, what is waived is left out."""
    document = Document.from_lines(lines)
    ocsf.write(document, tmp_path / "out.ocsf.json")
    found = json.loads((tmp_path / "out.ocsf.json").read_text(encoding="utf-8"))
    taken = {
        one["finding_info"]["uid"]: one
        for one in found
        if one["status_code"].upper() == "FAIL" and one["status"] != "Suppressed"
    }
    wanted = {
        line["fingerprint"]: line for line in document.results() if line["verdict"] == "fail"
    }
    assert taken.keys() == wanted.keys()
    for mark, one in taken.items():
        line = wanted[mark]
        assert date.fromisoformat(one["time_dt"][:10]) == date(2026, 11, 22)
        assert textwrap.shorten(one["status_detail"], 150)
        assert one["resources"][0]["uid"] == document.urn(line["droplet_id"])
        remedy = document.checks[line["check"]]["remediation"]
        assert bool(one.get("remediation", {}).get("desc")) == bool(remedy)
