"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    sorted(
        [
            ROOT / "README.md",
            *(ROOT / "examples").glob("*/README.md"),
            *(
                path
                for kind in ("md", "rst")
                for path in (ROOT / "docs").rglob(f"*.{kind}")
                if not {"_build", "_generated", "changelog.d"} & set(path.parts)
                and path.parent.name != "checks"
            ),
        ]
    )
)

_BLOCK = re.compile(
    r"^```(?:\{code-block\} *)?(?P<language>\w+)\n(?P<options>(?::\w+: .*\n)*)\n?"
    r"(?P<text>(?s:.*?))^```$",
    re.MULTILINE,
)
_OPTION = re.compile(r":(\w+): (.*)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, its file name or name where it has one, its text."""

    language: str
    text: str
    caption: str = ""
    name: str = ""


# The package index shows README too: there its links must be whole.
_HOME = re.compile(
    r"https://(?:github\.com/pytest-droplet/pytest-droplet/(?:blob|tree)"
    r"|raw\.githubusercontent\.com/pytest-droplet/pytest-droplet)/main/"
)


def in_the_repository(text: str) -> str:
    """Return a page's text with its links to this repository made relative to its top."""
    return _HOME.sub("", text)


def name_of(page: Path) -> str:
    """Return the path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in their order."""
    for found in _BLOCK.finditer(page.read_text("utf-8")):
        options = dict(_OPTION.findall(found["options"]))
        yield Block(
            found["language"], found["text"], options.get("caption", ""), options.get("name", "")
        )


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of the page's console blocks."""
    for block in blocks(page):
        if block.language == "console":
            for line in block.text.replace("\\\n", "").splitlines():
                if line.strip():
                    yield from _split(line)


def _split(line: str) -> Iterator[list[str]]:
    for part in line.split(" && "):
        yield shlex.split(part, comments=True)
