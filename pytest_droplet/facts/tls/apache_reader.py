"""Apache: reads the directives of its configuration files as Apache itself does."""

from __future__ import annotations

import fnmatch
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_droplet.model import NotObservedError
from pytest_droplet.text import one_line

_MODULE = re.compile(r" (\w+)_module \(\w+\)")
_WORD = re.compile(r""""((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|(\S+)""")
_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_COMPARED = re.compile(r"(!?)(>=|<=|>|<|==?)? ?(\d+(?:\.\d+){0,2})")
_MPMS = {name: f"mpm_{name}" for name in ("event", "worker", "prefork", "itk")}
_MOST_EFFORT = 300_000
_DEEPEST = 100

Line = tuple[int, str, str]
"""The number of a line, its directive in lower case, and the rest of it."""


@dataclass
class Block:
    """Directives of a virtual host, or of the main server."""

    settings: dict[str, list[str]] = field(default_factory=dict)

    def last(self, name: str) -> str:
        """Return the value of the last directive of a name; empty: there is none."""
        return self.settings.get(name, [""])[-1]

    def names(self) -> list[str]:
        """Return the host names that it has."""
        found = [*words(self.last("servername"))]
        found += words(" ".join(self.settings.get("serveralias", ())))
        return [_host_of(word) for word in found]


@dataclass
class File:
    """A file that Apache has read, with those that it includes, by the line that does so."""

    path: str
    included: deque[tuple[int, File]] = field(default_factory=deque)


@dataclass
class _Macro:
    where: str
    arguments: list[str]
    lines: list[Line] = field(default_factory=list)


@dataclass
class _Run:
    """Lines that are being run: of a file, or of a macro at the place where it is used.

    Attributes:
        path: As Apache calls the file, or the use of the macro.
        included: What Apache says that the rest of the lines includes.
        outer: The block around all of the lines.
        depth: How many files and macros are around them.
        block: The block that is open.
        conditions: Whether each open condition holds; None: that is not known.
        macro: The macro whose lines are being read.
    """

    path: str
    included: deque[tuple[int, File]]
    outer: Block
    depth: int
    block: Block
    conditions: list[bool | None] = field(default_factory=list)
    macro: _Macro | None = None


class Reader:
    """Reads directives as Apache does: included files in place, macros and conditions resolved.

    Attributes:
        main: Those outside of all virtual hosts.
        blocks: Those of each virtual host, by ``FILE:LINE`` as Apache calls it.
        modules: The names of the modules, without ``_module``.
        unclear: The places whose directives are not understood.
        root: The folder that Apache was told to start from; empty: the usual one.
    """

    def __init__(self, files: Mapping[str, list[Line]], told: list[str], version: str) -> None:
        self.main = Block()
        self.blocks: dict[str, Block] = {}
        self.modules = {found[1] for found in map(_MODULE.fullmatch, told) if found}
        self.unclear: list[str] = []
        self._files = files
        self._version = version
        self._macros: dict[str, _Macro] = {}
        self._effort = 0
        self._defined: dict[str, str] = {}
        arguments = next((line for line in told if line.startswith("arguments ")), "")
        self._defined |= dict.fromkeys(re.findall(r" -D *(\S+)", arguments), "")
        root = re.search(r" -d *(\S+)", arguments)
        self.root = root[1] if root else ""
        # A server more that runs, with other arguments.
        self.unclear += [line for line in told if line.startswith(" -")]

    def read(self, file: File) -> None:
        """Read a file that no other includes."""
        self._read(file, self.main, 0)

    def _read(self, file: File, block: Block, depth: int) -> None:
        lines = self._files.get(file.path, [])
        if file.path not in self._files:
            self.unclear.append(file.path)
        self._run(lines, _Run(file.path, file.included, block, depth, block))
        if file.included:
            self.unclear.append(f"{file.path}:{file.included[0][0]}")

    def _run(self, lines: Sequence[Line], run: _Run) -> None:
        """Run lines, which begin and end within the same block."""
        if run.depth > _DEEPEST:
            raise NotObservedError(
                f"apache: files or macros use each other, at {one_line(run.path)}"
            )
        for line in lines:
            self._effort += 1
            if self._effort > _MOST_EFFORT:
                raise NotObservedError("apache: the configuration is too long to be read")
            if not self._is_section(line, run):
                self._directive(line, run)
        if run.block is not run.outer or run.conditions or run.macro is not None:
            self.unclear.append(f"{run.path} to its end")

    def _is_section(self, line: Line, run: _Run) -> bool:
        """Tell whether a line is done with: of a macro, of a condition, or behind a false one."""
        _, name, value = line
        if run.macro is not None:
            if name == "</macro>":
                run.macro = None
            else:
                run.macro.lines.append(line)
        elif name.startswith("<if"):
            run.conditions.append(self._holds(name, value))
        elif name.startswith("</if"):
            run.conditions[-1:] = []
        else:
            return False in run.conditions
        return True

    def _directive(self, line: Line, run: _Run) -> None:
        number, name, value = line
        where = f"{run.path}:{number}"
        if None in run.conditions:
            self.unclear.append(where)
        elif name == "<macro":
            name, *arguments = list(words(value)) or [""]
            run.macro = self._macros[name.lower()] = _Macro(where, arguments)
        elif name == "<virtualhost":
            if where in self.blocks or run.block is not self.main:
                self.unclear.append(where)
            run.block = self.blocks[where] = Block()
        elif name == "</virtualhost>":
            run.block = run.outer
        elif name in {"include", "includeoptional"}:
            self._include(number, self._resolved(value), run)
        elif name == "use":
            self._use(number, self._resolved(value), run)
        else:
            self._set(where, name, self._resolved(value), run.block)

    def _set(self, where: str, name: str, value: str, block: Block) -> None:
        arguments = list(words(value))
        if name == "define" and arguments:
            self._defined[arguments[0]] = arguments[1] if len(arguments) > 1 else ""
        elif name == "undefine" and arguments:
            self._defined.pop(arguments[0], None)
        elif _VARIABLE.search(value):
            self.unclear.append(where)
        else:
            block.settings.setdefault(name, []).append(value)

    def _resolved(self, value: str) -> str:
        return _VARIABLE.sub(lambda found: self._defined.get(found[1], found[0]), value)

    def _holds(self, name: str, value: str) -> bool | None:
        """Tell whether a condition holds; None where that is not known."""
        value = next(words(self._resolved(value)), "") if name != "<ifversion" else value
        wanted = value.removeprefix("!")
        if name == "<ifdefine":
            holds = wanted in self._defined
        elif name == "<ifmodule":
            holds = _module_of(wanted) in self.modules
        elif name == "<ifversion":
            return _is_version(self._version, value)
        else:
            # <If> is for requests, and TLS comes before them.
            return True if name == "<if" else None
        return holds != value.startswith("!")

    def _include(self, number: int, wanted: str, run: _Run) -> None:
        """Read what Apache says that a line includes.

        It gives the line of the first alone: of those behind it, it may tell that of a file which
        the one before includes.
        """
        wanted = next(words(wanted), "").removeprefix("./").rstrip("/")
        taken = 0
        while run.included and (taken or run.included[0][0] == number):
            file = run.included[0][1]
            match = _match(file.path, wanted)
            if match is None:
                break
            run.included.popleft()
            taken += 1
            self._read(file, run.block, run.depth + 1)
            if match == "itself":
                break
        if taken > 1 and run.path not in self._files:
            # Which of them another use of the macro includes is not told.
            self.unclear.append(f"{run.path}:{number}")

    def _use(self, number: int, value: str, run: _Run) -> None:
        """Run the lines of a macro, with its arguments in place."""
        name, *values = list(words(value)) or [""]
        macro = self._macros.get(name.lower())
        if macro is None or len(values) != len(macro.arguments):
            self.unclear.append(f"{run.path}:{number}")
            return
        path, _, line = macro.where.rpartition(":")
        place = (
            f"macro '{name.lower()}' (defined on line {line} of \"{path}\")"
            f' used on line {number} of "{run.path}"'
        )
        spelt = dict(zip(macro.arguments, values, strict=True))
        longest_first = sorted(map(re.escape, spelt), key=len, reverse=True)
        pattern = re.compile("|".join(longest_first) or r"(?!)")
        lines = [
            (at, directive, pattern.sub(lambda found: spelt[found[0]], text))
            for at, directive, text in macro.lines
        ]
        self._run(lines, _Run(place, run.included, run.block, run.depth + 1, run.block))


def _match(path: str, wanted: str) -> Literal["itself", "among others"] | None:
    """Tell how a file is included: by its name, by a pattern, or in a folder; None: it is not."""
    own, asked = path.split("/"), wanted.split("/")
    at_root = wanted.startswith("/")
    for start in range(1 if at_root else max(0, len(own) - len(asked) + 1)):
        part = own[start : start + len(asked)]
        if len(part) == len(asked) and all(map(fnmatch.fnmatchcase, part, asked)):
            whole = start + len(asked) == len(own) and not any(c in wanted for c in "*?[")
            return "itself" if whole else "among others"
    return None


def _module_of(name: str) -> str:
    """Return the name of a module that ``<IfModule>`` asks for, without ``_module``."""
    if found := re.fullmatch(r"(\w+)_module", name):
        return found[1]
    found = re.fullmatch(r"(?:mod_)?(\w+)\.c", name)
    known = found[1] if found else name
    return _MPMS.get(known, known)


def _is_version(version: str, wanted: str) -> bool | None:
    """Tell whether a comparison of ``<IfVersion>`` holds."""
    own = re.match(r"Apache/(\d+)\.(\d+)\.(\d+)", version)
    found = _COMPARED.fullmatch(wanted)
    if own is None or found is None:
        return None
    have = tuple(map(int, own.groups()))
    asked = tuple(map(int, (*found[3].split("."), 0, 0)[:3]))
    holds = {
        ">=": have >= asked,
        "<=": have <= asked,
        ">": have > asked,
        "<": have < asked,
    }.get(found[2], have == asked)
    return holds != bool(found[1])


def words(text: str) -> Iterator[str]:
    """Yield the words of a line, without their quotes."""
    for double, single, bare in _WORD.findall(text):
        yield re.sub(r"\\([\"'\\])", r"\1", double or single) or bare


def _host_of(name: str) -> str:
    """Return the host name of ``[scheme://]name[:port]``."""
    return name.rpartition("://")[2].partition(":")[0]
