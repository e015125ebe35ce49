"""The document of record: its types say what its JSON Schema says."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, cast, get_args, get_origin, get_type_hints

import jsonschema
import pytest

from pytest_droplet.__main__ import main
from pytest_droplet.ages import without_times
from pytest_droplet.baseline import Baseline, load_baseline
from pytest_droplet.catalogue import check, checks_of
from pytest_droplet.coverage import Coverage
from pytest_droplet.model import Droplet
from pytest_droplet.record import (
    Line,
    Record,
    ResultLine,
    fingerprint,
    read_record,
    summary_line,
)

SCHEMA = json.loads((files("pytest_droplet") / "data" / "record.schema.json").read_text())
TYPES = {get_args(get_type_hints(line)["type"])[0]: line for line in get_args(Line)}
SIMPLE = {"string": str, "integer": int, "number": float, "boolean": bool, "null": NoneType}
Shape = Any
"""Of an object the shapes of its fields, of which optional ones end with ``?``; else nested tuples."""


def shape_of_schema(schema: dict[str, Any]) -> Shape:
    """Return what a part of the schema allows, without bounds and patterns."""
    match schema:
        case {"$ref": ref}:
            return shape_of_schema(SCHEMA["$defs"][ref.removeprefix("#/$defs/")])
        case {"const": value}:
            return ("literal", frozenset({value}))
        case {"enum": values}:
            return ("literal", frozenset(values))
        case {"anyOf": parts}:
            return ("union", frozenset(map(freeze, map(shape_of_schema, parts))))
        case {"type": list() as names}:
            return ("union", frozenset(SIMPLE[name] for name in names))
        case {"type": "array", "items": items}:
            return ("list", shape_of_schema(items))
        case {"type": "object", "additionalProperties": {"items": items}}:
            return ("map", str, ("list", shape_of_schema(items)))
        case {"type": "object", "properties": properties}:
            required = schema.get("required", ())
            return {
                name if name in required else f"{name}?": shape_of_schema(part)
                for name, part in properties.items()
            }
        case {"type": "object"}:
            names = shape_of_schema(schema.get("propertyNames", {"type": "string"}))
            return ("map", names, shape_of_schema(schema.get("additionalProperties", {})))
        case {"type": name}:
            return SIMPLE[name]
    assert schema == {}, schema
    return Any


def shape_of_type(hint: Any) -> Shape:
    """Return what a type allows."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ("literal", frozenset(parts))
    if origin in {Union, UnionType}:
        return ("union", frozenset(map(freeze, map(shape_of_type, parts))))
    if origin is list:
        return ("list", shape_of_type(parts[0]))
    if origin is dict:
        return ("map", shape_of_type(parts[0]), shape_of_type(parts[1]))
    if hasattr(hint, "__required_keys__"):
        fields = {}
        for name, part in get_type_hints(hint, include_extras=True).items():
            optional = get_origin(part) is NotRequired
            fields[f"{name}?" if optional else name] = shape_of_type(
                get_args(part)[0] if optional else part
            )
        return fields
    return hint


def freeze(shape: Shape) -> Shape:
    """Return a shape that can stand in a set."""
    if isinstance(shape, dict):
        return frozenset((name, freeze(part)) for name, part in shape.items())
    return tuple(map(freeze, shape)) if isinstance(shape, tuple) else shape


@pytest.mark.parametrize("name", SCHEMA["properties"]["type"]["enum"])
def test_a_type_of_line_has_the_fields_of_the_schema_and_no_others(name: str) -> None:
    """The same fields, optional in the same way, with values of the same types, at every depth."""
    assert shape_of_type(TYPES[name]) == shape_of_schema(SCHEMA["$defs"][name])


def test_every_type_of_line_is_in_the_schema() -> None:
    """Those that the code knows are those that the schema holds a line against."""
    named = {part["if"]["properties"]["type"]["const"] for part in SCHEMA["allOf"]}
    assert set(TYPES) == named == set(SCHEMA["properties"]["type"]["enum"])


# --- what a finding is known by -------------------------------------------------------------


def test_findings_of_two_accounts_are_two() -> None:
    """A check of the account is told apart by the account's id, one of a Droplet is not."""
    marks = {fingerprint("ssh.account-has-key", None, account) for account in ("", "one", "two")}
    assert len(marks) == 3
    assert fingerprint("a.b", 1, "one") == fingerprint("a.b", 1, "two") == fingerprint("a.b", 1)


def test_a_check_with_a_new_id_keeps_its_findings() -> None:
    """By the oldest id, with the parameter; of another check nothing changes."""

    @check("new.name", formerly=("old.name", "middle.name"), params={"x": ("a", "b")})
    def test_it(x: str, droplet: Droplet) -> None:
        """It is good."""

    assert [c.id for c in checks_of(test_it)] == ["new.name[a]", "new.name[b]"]
    assert fingerprint("new.name[a]", 1) == fingerprint("old.name[a]", 1)
    assert fingerprint("new.name[a]", 1) != fingerprint("new.name[b]", 1)
    assert fingerprint("new.names[a]", 1) != fingerprint("old.names[a]", 1)


@pytest.mark.parametrize("old", ["Old.name", "old", "new.name", "old.name[a]"])
def test_a_former_id_is_an_id(old: str) -> None:
    """Of another name, and without a parameter."""
    with pytest.raises(ValueError, match=r"check new\.name: formerly="):
        check("new.name", formerly=(old,))


# --- records of before ----------------------------------------------------------------------

OLD = Path(__file__).parent / "records" / "without-details.jsonl"


def test_a_record_of_before_is_a_baseline() -> None:
    """Its failures are known by the fingerprints of today."""
    failed = {
        fingerprint(line["check"], line["droplet_id"])
        for line in read_record(OLD)
        if line["type"] == "result" and line["verdict"] == "fail"
    }
    assert failed
    assert load_baseline(OLD).findings == failed


def test_a_record_of_before_is_joined(tmp_path: Path) -> None:
    """Every verdict and every Droplet comes out as it went in, and follows the schema of today.

    A finding was first seen then, as far as such a record tells.
    """
    joined = tmp_path / "joined.jsonl"
    assert main(["merge", str(OLD), f"--droplets-report=jsonl:{joined}"]) == 1
    validator = jsonschema.Draft202012Validator(SCHEMA)
    before, after = [[*read_record(path)] for path in (OLD, joined)]
    for line in (*before, *after):
        validator.validate(line)
    for kind in ("droplet", "result"):
        one, two = (
            [json.dumps(without_times(x)) for x in y if x["type"] == kind] for y in (before, after)
        )
        assert sorted(one) == sorted(two)
    failed = [x for x in after if x["type"] == "result" and x["verdict"] == "fail"]
    assert {x["first_seen"] for x in failed} == {before[0]["judged_at"]}


def test_a_finding_of_an_account_without_an_id_is_not_new() -> None:
    """A record of before did not know the account's id; the same account is meant."""
    result = cast(
        "ResultLine",
        {
            "check": "ssh.account-has-key",
            "droplet_id": None,
            "verdict": "fail",
            "fingerprint": fingerprint("ssh.account-has-key", None, "one"),
        },
    )
    then = datetime(2026, 11, 15, tzinfo=UTC)
    before = Baseline(then, findings=frozenset({fingerprint("ssh.account-has-key", None)}))
    other = fingerprint("ssh.account-has-key", None, "two")
    assert before.compare([result], {}, ())["still"] == [result["fingerprint"]]
    elsewhere = Baseline(then, findings=frozenset({other}))
    assert elsewhere.compare([result], {}, ())["new"] == [result["fingerprint"]]


@pytest.mark.parametrize("before", [None, 0o644])
def test_a_record_is_for_its_owner_alone(tmp_path: Path, before: int | None) -> None:
    """Also where a file of that name was there, which all could read; it is whole at its place."""
    path = tmp_path / "record.jsonl"
    if before is not None:
        path.write_text("before")
        path.chmod(before)
    record = Record(path)
    assert not path.exists()
    record.add(
        summary_line(
            counts=Counter(), coverage=Coverage.of([], 0), duration_s=0.0, exit_code=0, waivers=()
        )
    )
    record.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith('{"type":"summary"')


def test_a_record_that_was_cut_lies_beside_its_place(tmp_path: Path) -> None:
    """And the place is empty: what an earlier run left would be taken for this one's."""
    path = tmp_path / "record.jsonl"
    path.write_text("before")
    Record(path).close()
    assert not path.exists()
    assert (tmp_path / "record.jsonl.part").exists()
