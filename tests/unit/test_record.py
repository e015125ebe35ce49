"""The document of record: its types say what its JSON Schema says."""

from __future__ import annotations

import json
from importlib.resources import files
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

import pytest

from pytest_droplet.record import Line

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
