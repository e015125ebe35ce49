"""The records that reports are tested with are such as a run writes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from tests.support import sample_record as sample

OPTIONAL = {
    *("title", "remediation", "source_line", "traceback", "baseline", "finding"),
    *("details", "left_out", "unreached", "frameworks", "header.account.id"),
    *("first_seen", "age_days", "due", "reopened", "fixed_at", "last_verdict", "last_judged"),
    "owner",
}
Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """The record of the demo fleet."""
    folder = tmp_path_factory.mktemp("demo")
    path = folder / "record.jsonl"
    command = [
        *(sys.executable, "-m", "pytest", "--droplets=demo", "--pyargs", "pytest_droplet.checks"),
        *("-q", "-p", "no:cacheprovider", f"--droplets-report=jsonl:{path}"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return [json.loads(text) for text in path.read_text().splitlines()]


def keys(lines: Lines) -> dict[str, set[str]]:
    """Names of the fields of each type of line, of tables within a line too."""
    found: dict[str, set[str]] = {}

    def look(path: str, value: Any) -> None:
        if isinstance(value, dict) and not path.endswith(FREE):
            found.setdefault(path, set()).update(value)
            for name, inner in value.items():
                look(f"{path}.{name}", inner)
        elif isinstance(value, list):
            for inner in value:
                look(path, inner)

    for line in lines:
        look(line["type"], line)
    return found


def required(path: str, names: set[str]) -> set[str]:
    """The fields that every record has; some are optional everywhere, some in one table."""
    return {name for name in names if not {name, f"{path}.{name}"} & OPTIONAL}


FREE = (
    ".versions",
    ".options",
    ".settings",
    ".rows",
    ".counts",
    ".firewalls",
    ".keys",
    ".details",
    ".controls",
)


@pytest.mark.parametrize(
    "lines", [sample.small(), sample.fleet(), sample.hostile()], ids=["small", "fleet", "hostile"]
)
def test_a_sample_follows_the_schema_and_has_the_fields_of_a_real_record(
    lines: Lines, real: Lines
) -> None:
    """Each of its lines; and no field is there that a run does not write."""
    schema = json.loads((files("pytest_droplet") / "data" / "record.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for line in (*real, *lines):
        validator.validate(line)
    written = keys(real)
    for path, names in keys(lines).items():
        assert required(path, names) == required(path, written[path]), path


def test_the_rows_of_a_sample_are_named_as_those_of_a_real_record(real: Lines) -> None:
    """The page draws who reaches which port from them."""
    (made,) = (line["rows"]["droplet_exposed_ports"] for line in sample.fleet(1) if "rows" in line)
    written = [
        line["rows"]["droplet_exposed_ports"]
        for line in real
        if line["type"] == "droplet" and line["coverage"] == "reached"
    ]
    assert {frozenset(row) for row in written} == {frozenset(made)}
    assert {frozenset(port) for row in written for port in row["value"]} == {
        frozenset(made["value"][0])
    }
