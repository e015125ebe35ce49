"""HDF: read by inspecjs, the library of Heimdall and SAF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.report.document import Document
from pytest_droplet.report.hdf import write
from tests.support import npm
from tests.support import sample_record as sample

_READ = """
const {contextualizeEvaluation, convertFile} = require(process.argv[1]);
const fs = require('fs');
const found = {};
for (const file of process.argv.slice(2)) {
  const evaluation = convertFile(fs.readFileSync(file, 'utf8'))['1_0_ExecJson'];
  for (const profile of contextualizeEvaluation(evaluation).contains)
    for (const control of profile.contains)
      found[evaluation.platform.target_id + ' ' + control.data.id] = control.hdf.status;
}
console.log(JSON.stringify(found));
"""
STATUS = {
    "pass": "Passed",
    "fail": "Failed",
    "unknown": "Profile Error",
    "error": "Profile Error",
    "notapplicable": "Not Applicable",
    "waived": "Not Applicable",
}


def statuses(folder: Path) -> dict[str, str]:
    """What inspecjs says of each control, by target and id."""
    done = npm.run(_READ, str(npm.package("inspecjs")), *map(str, sorted(folder.iterdir())))
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("lines", [sample.fleet(12), sample.hostile()], ids=["fleet", "hostile"])
def test_inspecjs_reads_the_verdicts(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    """One file a Droplet and one for the account; each verdict is the status that is meant."""
    document = Document.from_lines(lines)
    write(document, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == len(document.sizes)
    found = statuses(tmp_path / "out")
    results = list(document.results())
    assert len(found) == len(results)
    assert sorted(found.values()) == sorted(STATUS[line["verdict"]] for line in results)
    for line in results:
        key = f"{document.urn(line['droplet_id'])} {line['check']}"
        assert found.get(key, STATUS[line["verdict"]]) == STATUS[line["verdict"]]


def test_a_failed_control_says_what_is_wrong(tmp_path: Path) -> None:
    """The check's finding with its parameter, then what was seen; what should hold is the code."""
    page = sample.header()["checks"][0] | {
        "id": "auditd.rules-cover[logins]",
        "title": "Loaded rules cover the group",
        "finding": "No rule covers the group",
    }
    lines = [
        sample.header() | {"checks": [page]},
        sample.droplet(0),
        sample.result(page["id"], 417000001, "fail", message="caused by auditd.installed"),
    ]
    write(Document.from_lines(lines), tmp_path / "out")
    (file,) = (tmp_path / "out").iterdir()
    (profile,) = json.loads(file.read_text(encoding="utf-8"))["profiles"]
    (result,) = profile["controls"][0]["results"]
    assert result["message"] == "No rule covers the group (logins): caused by auditd.installed"
    assert result["code_desc"].startswith("Loaded rules cover the group")


def test_a_test_that_passed_and_broke_is_an_error(tmp_path: Path) -> None:
    """A broken teardown is a second result of the same check: one control, not well."""
    lines = [
        sample.header([]),
        sample.droplet(0),
        sample.result("tests/a.py::test_b", 417000001, "pass"),
        sample.result("tests/a.py::test_b", 417000001, "error", traceback="Boom\n  at b"),
    ]
    write(Document.from_lines(lines), tmp_path)
    assert statuses(tmp_path) == {"do:droplet:417000001 tests/a.py::test_b": "Profile Error"}


def test_a_waiver_keeps_the_finding_visible(tmp_path: Path) -> None:
    """Reason, last day and the failed result are there."""
    waiver = {"number": 1, "reason": "rebuilt", "expires": "2027-01-31", "expired": False}
    result = sample.result("a.b", 417000001, "waived", waiver=waiver, message="it fails")
    write(Document.from_lines([sample.header(), sample.droplet(0), result]), tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name == "web-1-417000001.json"
    (control,) = json.loads(file.read_text())["profiles"][0]["controls"]
    assert control["waiver_data"]["justification"] == "rebuilt"
    assert control["waiver_data"]["expiration_date"] == "2027-01-31"
    assert control["results"][0]["status"] == "failed"
    assert control["results"][0]["message"] == "it fails"


def test_files_of_an_earlier_run_are_gone_and_others_stay(tmp_path: Path) -> None:
    """A Droplet that is no longer there must not look well."""
    first, second = sample.droplet(0), sample.droplet(1)
    results = [sample.result("a.b", line["id"]) for line in (first, second)]
    write(Document.from_lines([sample.header(), first, second, *results]), tmp_path)
    (tmp_path / "mine.json").write_text("{}")
    write(Document.from_lines([sample.header(), first, results[0]]), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"web-1-417000001.json", "mine.json"}


def test_names_of_droplets_make_no_paths(tmp_path: Path) -> None:
    """A name with slashes or dots stays inside the folder."""
    names = ("../../etc/passwd", "..", "a/b", "x" * 300)
    droplets = [sample.droplet(n, name=name) for n, name in enumerate(names)]
    results = [sample.result("a.b", line["id"]) for line in droplets]
    write(Document.from_lines([sample.header(), *droplets, *results]), tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nist_is_where_heimdall_looks(tmp_path: Path) -> None:
    """Separate ids, parts included; a test without any has no tag, not an empty one."""
    controls = {"nist-800-53-r5": ["AU-2", "AU-12(c)"], "hipaa": ["164.312(b)"]}
    page = {**sample.header()["checks"][0], "controls": controls}
    own = sample.result("tests/a.py::test_b", 417000001, "pass")
    lines = [
        sample.header([]) | {"checks": [page]},
        sample.droplet(0),
        sample.result(page["id"], 417000001, "pass"),
        own,
    ]
    write(Document.from_lines(lines), tmp_path)
    (file,) = tmp_path.iterdir()
    mapped, unmapped = json.loads(file.read_text())["profiles"][0]["controls"]
    assert mapped["tags"]["nist"] == ["AU-2", "AU-12(c)"]
    assert mapped["tags"]["controls"] == controls
    assert "nist" not in unmapped["tags"]
    assert "controls" not in unmapped["tags"]
