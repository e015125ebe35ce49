"""What frameworks ask of what a check looks at: ids of their requirements, and who said so.

A cross-reference and no certification. ``data/controls.json`` names ids alone, never the words of
a framework. An entry has one of three states: ``read``, the source has these ids for a check that
asks the same; ``not asked``, the source says that the framework does not ask for it; ``none
found``, no source that could be read has an answer. A new version of a framework is a new key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal, NotRequired, TypedDict

from pytest_droplet.text import printable

State = Literal["read", "not asked", "none found"]
Controls = Mapping[str, tuple[str, ...]]
"""Ids by framework, such as ``{"pci-dss-4.0.1": ("1.3.1",)}``; a framework without ids is left out."""

NOTICE = "cross-reference, not a certification"


class Framework(TypedDict):
    """A framework in one version; ``url`` is where its text is had."""

    title: str
    version: str
    url: str


class Source(TypedDict):
    """A public file that ids were read in; ``read_on`` is a date."""

    project: str
    file: str
    version: str
    read_on: str


class Entry(TypedDict):
    """What one framework asks of one check.

    ``source`` has the names of sources, each with the rule behind a ``#`` where it is one rule.
    """

    state: State
    ids: NotRequired[list[str]]
    source: NotRequired[list[str]]


class Table(TypedDict):
    """``data/controls.json``: ``checks`` by id, with the parameter where the answer depends on it."""

    frameworks: dict[str, Framework]
    sources: dict[str, Source]
    checks: dict[str, dict[str, Entry]]


def is_name(value: object) -> bool:
    """Whether a value is a name as a framework or a requirement has it: text of one line."""
    return isinstance(value, str) and bool(value.strip()) and printable(value) == value


@cache
def table() -> Table:
    """Read the table, once and only where it is shown."""
    text = files("pytest_droplet").joinpath("data/controls.json").read_text(encoding="utf-8")
    read: Table = json.loads(text)
    return read


def entries(check_id: str) -> Mapping[str, Entry]:
    """Return what each framework asks of a shipped check; empty for any other."""
    checks = table()["checks"]
    return checks.get(check_id) or checks.get(check_id.partition("[")[0]) or {}


@cache
def controls_of(check_id: str) -> Controls:
    """Return the ids that were read for a shipped check; empty for any other."""
    found = entries(check_id).items()
    return MappingProxyType({name: tuple(e["ids"]) for name, e in found if e["state"] == "read"})
