"""Files of the host script: written for people, and what is sent of them.

Each lies beside the module that parses what it prints, and is sent without comments, empty lines
and indentation. A program for awk, and one for a shell that the section starts itself
(``NAME.inner.sh``), comes before the sh that uses it, as a variable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent
# What stays as it is: quoted text, and an escaped sign.
_KEPT = r"""'[^']*'|"(?:\\.|[^"\\])*"|\\."""
# A line that is a comment or empty, a comment behind a command, indentation. An empty line behind
# one that goes on ends it.
_LEFT_OUT = r"^[ \t]*\#[^\n]*\n|(?<!\\\n)^[ \t]*\n|[ \t]+\#[^\n]*|^[ \t]+"
_SHELL = re.compile(rf"{_LEFT_OUT}|({_KEPT})", re.MULTILINE | re.DOTALL)
_AWK = re.compile(r"^[ \t]*\#[^\n]*\n|^[ \t]*\n|^[ \t]+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """A file of the host script; ``path`` is below the package, as in ``facts/host/os.sh``."""

    path: str
    text: str

    @property
    def is_awk(self) -> bool:
        """Whether it is a program for awk, whose quotes never span lines."""
        return self.path.endswith(".awk")

    @property
    def name(self) -> str:
        """The name of the file, without what kind of file it is."""
        return self.path.rpartition("/")[2].partition(".")[0]

    @property
    def variable(self) -> str:
        """The shell variable that a program is sent in; empty for what is sent as it is."""
        return self.name if self.is_awk or self.path.endswith(".inner.sh") else ""

    @property
    def packed(self) -> str:
        """The text without comments, empty lines and indentation."""
        return _AWK.sub("", self.text) if self.is_awk else packed_shell(self.text)

    @property
    def sent(self) -> str:
        """What a section has of it."""
        return f"{self.variable}={quoted(self.packed)}\n" if self.variable else self.packed

    @property
    def shown(self) -> str:
        """What people are shown: all of it, as the shell text that it is sent in."""
        return f"{self.variable}={quoted(self.text)}\n" if self.variable else self.text


@cache
def read_script(path: str) -> ScriptFile:
    """Return a file of the package."""
    return ScriptFile(path, (_ROOT / path).read_text("utf-8"))


@cache
def packed_shell(text: str) -> str:
    """Return shell text without comments, empty lines and leading blanks.

    A line that begins inside of quotes is left alone. A double quote within a command
    substitution that is itself in double quotes is not understood; a test holds the files to it.
    """
    return _SHELL.sub(lambda found: found[1] or "", text)


def quoted(text: str) -> str:
    """Return the text as one word of the shell."""
    return "'" + text.replace("'", "'\\''") + "'"
