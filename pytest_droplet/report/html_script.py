"""The script of the HTML report: its modules, joined to the one script that a page has."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

# In their order: each imports only from those before it.
MODULES = (
    "data",
    "elements",
    "rows",
    "filters",
    "picture",
    "fleet",
    "access",
    "ports",
    "findings",
    "print",
    "main",
)
_IMPORT = re.compile(r"^import [^;]+;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |let )", re.MULTILINE)


def source_of(module: str) -> str:
    """Return a module as it is written, with its imports and exports."""
    return (files(__package__) / "page" / f"{module}.js").read_text(encoding="utf-8")


@cache
def joined() -> str:
    """Return the modules as one script in a scope of its own, without imports and exports.

    A page is one file and its policy allows one script, so no module can be loaded. The names at
    the top of the modules share the scope: no two modules have the same.
    """
    parts = [_EXPORT.sub("", _IMPORT.sub("", source_of(module))) for module in MODULES]
    return "(() => {\n'use strict';\n" + "\n".join(parts) + "})();\n"
