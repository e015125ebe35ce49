"""Origins of unattended-upgrades: what its own functions allow, and what is read here.

The functions are taken out of the installed program; the rest of it is not run.
"""

import ast
import fnmatch
import logging
import os
import re
import shutil
import string
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_droplet.facts.patches.unattended import AptAutomatic, Archive, allows
from pytest_droplet.model import NotObservedError

PROGRAM = shutil.which("unattended-upgrade", path=f"/usr/bin{os.pathsep}{os.environ['PATH']}")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no unattended-upgrades")
NAMES = {"distro_id": "Debian", "distro_codename": "bookworm"}
FUNCTIONS = {
    *("substitute", "get_distro_codename", "get_distro_id", "get_allowed_origins_legacy"),
    *("get_allowed_origins", "match_whitelist_string"),
}
ARCHIVES = (
    Archive("Debian", "Debian-Security", "oldstable-security", "bookworm-security", "main", "a.b"),
    Archive("Debian", "Debian", "oldstable", "bookworm", "main", "deb.debian.org"),
    Archive("Tools, Inc", "", "stable", "", "contrib", ""),
)
OLD = (
    *(
        "${distro_id}:${distro_codename}-security",
        "Debian:oldstable-security",
        "Debian oldstable*",
    ),
    *("Tools, Inc:stable", "Debian", "a:b:c", r"De\:bian:x", "$x:y", "Debian:*"),
)
KEYS = ("o", "origin", "l", "label", "a", "suite", "archive", "c", "component", "n", "site", "foo")
GLOBS = ("Debian*", "*", "*-security", "main", "a.b", "", "${distro_codename}", r"Tools\, Inc")
NEW = (
    *(f"{key}={glob}" for key, glob in product(KEYS, GLOBS)),
    *("origin = Debian , label = Debian-Security", "o=Debian,c=contrib", "", "  ", "Debian"),
    *("o=Debian,", "o=a=b", "codename=${distro_codename}-security,label=Debian-Security", "$$"),
)


def own(olds: Sequence[str], news: Sequence[str]) -> Callable[[Archive], bool]:
    """Return what the installed program answers, for its two lists."""
    lists = {
        "Unattended-Upgrade::Allowed-Origins": olds,
        "Unattended-Upgrade::Origins-Pattern": news,
    }
    space: dict[str, Any] = {
        "re": re,
        "string": string,
        "fnmatch": fnmatch,
        "logging": logging,
        "_": str,
        "DISTRO_CODENAME": "bookworm",
        "DISTRO_ID": "Debian",
        "UnknownMatcherError": ValueError,
        "apt_pkg": SimpleNamespace(config=SimpleNamespace(value_list=lists.__getitem__)),
    }
    tree = ast.parse(Path(str(PROGRAM)).read_text())
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in FUNCTIONS]
    exec(compile(tree, str(PROGRAM), "exec"), space)

    def answer(archive: Archive) -> bool:
        fields = {name: getattr(archive, name) for name in ("origin", "label", "component")}
        origin = SimpleNamespace(
            archive=archive.suite, codename=archive.codename, site=archive.site, **fields
        )
        matches = space["match_whitelist_string"]
        answers = [matches(pattern, origin) for pattern in space["get_allowed_origins"]()]
        return True in answers

    return answer


def forms() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    yield from (((old,), ()) for old in OLD)
    yield from (((), (new,)) for new in NEW)


@pytest.mark.parametrize(("olds", "news"), list(forms()))
def test_an_origin_is_allowed_where_the_program_allows_it(
    olds: tuple[str, ...], news: tuple[str, ...]
) -> None:
    """The same answer for every archive; what the program ends at is unknown."""
    known = AptAutomatic(
        installed=True,
        lists={
            "unattended-upgrade::allowed-origins": olds,
            "unattended-upgrade::origins-pattern": news,
        },
    )
    for archive in ARCHIVES:
        try:
            expected = own(olds, news)(archive)
        except (KeyError, ValueError):
            with pytest.raises(NotObservedError):
                allows(known, archive, NAMES)
        else:
            assert allows(known, archive, NAMES) is expected
