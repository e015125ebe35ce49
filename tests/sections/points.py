"""The points of the host script where it prints, and scripts that tell which were reached.

A point is a command of a shell file, or a ``print`` of an awk program. In a traced text each one
first writes its name to descriptor 5.
"""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pytest_droplet.connection.script import PRELUDE
from pytest_droplet.model import Section
from pytest_droplet.script_files import ScriptFile, read_script

# Commands that print nothing, whatever becomes of them.
SILENT = {
    *(".", ":", "[", "break", "cd", "command", "continue", "eval", "exit", "export", "local"),
    *("ln", "mkdir", "read", "return", "set", "shift", "test", "true", "unset"),
}
_TELL = 'reached() {\necho "$1" >&5\nshift\n"$@"\n}\n'
_PRINT = re.compile(r"^( *)(print\b.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Point:
    """A place in a file of the host script: ``text`` is its line from there on."""

    path: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


def traced(section: Section) -> Section:
    """Return a section that prints the same, and tells which points of its files it reached."""
    files = (PRELUDE, *section.files)
    text = "".join(ScriptFile(f.path, _traced_text(f)).sent for f in files)
    return Section(section.name, _TELL + text, section.root)


@cache
def points(path: str) -> tuple[Point, ...]:
    """Return the points of a file, in their order."""
    file = read_script(path)
    return tuple(point for _, point in (_in_awk(file) if file.is_awk else _in_shell(file)))


def _traced_text(file: ScriptFile) -> str:
    if file.is_awk:
        names = (str(point) for _, point in _in_awk(file))
        return _PRINT.sub(
            lambda found: f'{found[1]}{{ {found[2]}; print "{next(names)}" > "/dev/fd/5" }}',
            file.text,
        )
    data = file.text.encode()
    for offset, point in reversed(list(_in_shell(file))):
        data = data[:offset] + f"reached {point} ".encode() + data[offset:]
    # A program that the section starts itself does not have the function.
    return (_TELL if file.variable else "") + data.decode()


def _in_awk(file: ScriptFile) -> Iterator[tuple[int, Point]]:
    for found in _PRINT.finditer(file.text):
        before = file.text[: found.start()]
        yield found.start(), Point(file.path, before.count("\n") + 1, len(found[1]) + 1, found[2])


def _in_shell(file: ScriptFile) -> Iterator[tuple[int, Point]]:
    """Yield the offset in bytes and the point of each command, in the order of the text."""
    lines = file.text.splitlines()
    found = []
    for word in _command_words(_parsed(file.text)):
        name = word["Parts"][0].get("Value", "")
        if len(word["Parts"]) == 1 and name in SILENT:
            continue
        place = word["Pos"]
        text = lines[place["Line"] - 1].encode()[place["Col"] - 1 :].decode()
        found.append((place["Offset"], Point(file.path, place["Line"], place["Col"], text)))
    yield from sorted(found, key=lambda pair: pair[0])


def _parsed(text: str) -> Any:
    tool = Path(sysconfig.get_path("scripts"), "shfmt")
    done = subprocess.run(
        [tool, "-ln=posix", "--to-json"], input=text, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def _command_words(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the first word of each command in a syntax tree of shfmt."""
    if isinstance(node, dict):
        if node.get("Type") == "CallExpr" and node.get("Args"):
            yield node["Args"][0]
        node = list(node.values())
    if isinstance(node, list):
        for below in node:
            yield from _command_words(below)
