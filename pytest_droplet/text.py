"""Foreign text made harmless: what a host, the API or a user's file said, fit to be shown.

The one place that knows which characters act on a terminal, turn the direction of writing, forge
a line or cannot be encoded: those that Python calls not printable (``str.isprintable``). Each
becomes U+FFFD. Secrets are hidden by :mod:`pytest_droplet.redact`.
"""

from __future__ import annotations

SUBSTITUTE = "\ufffd"


def printable(text: str, keep: str = "") -> str:
    """Replace every character that is not printable, but for those of ``keep``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else SUBSTITUTE for c in text)


def clean(value: object, limit: int) -> str:
    """Return text of several lines: tabs and line feeds stay. None is an empty text.

    What is longer than ``limit`` characters ends with ``…``.
    """
    return printable(cut("" if value is None else str(value), limit), keep="\t\n")


def one_line(value: object, limit: int = 200) -> str:
    """Return text in one line: each run of white space is one blank. None is an empty text.

    What is longer than ``limit`` characters ends with ``…``.
    """
    text = "" if value is None else str(value)
    return cut(printable(" ".join(text.split())), limit)


def line_of_bytes(raw: bytes, limit: int = 200) -> str:
    """Return bytes of a host, which should be UTF-8, in one line."""
    return one_line(raw[: limit * 8].decode("utf-8", "replace"), limit)


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters, the last one ``…`` where there were more."""
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


def harmless(text: str) -> str:
    """Return text of several lines that neither acts on a terminal nor is a CI system's command."""
    return "\n".join(no_command(printable(line)) for line in text.splitlines())


def harmless_line(text: str) -> str:
    """Return :func:`harmless` text in one line, whole."""
    return no_command(printable(" ".join(text.split())))


def no_command(text: str) -> str:
    """Break what GitHub's runner would obey: ``::name`` that begins a line, ``##[name]``."""
    text = text.replace("##[", "# #[")
    start = len(text) - len(text.lstrip())
    return f"{text[:start]}: :{text[start + 2 :]}" if text[start:].startswith("::") else text
