"""The texts of sections in the case files of the checks: what a real root prints instead of them.

A text is staged: a root is dressed so that its section should print it. Where it prints something
else, the text was wrong, and ``python -m tests.sections`` writes what was printed into the file.
A text with the key ``typed`` is not staged: the key says why. ``UNSTAGED`` has the sections of which
no text is, and why not.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_droplet.connection import script
from tests.checks.cases import HERE

from .case import known_sections
from .root import Run, read_in
from .stage import STAGES, blocks

UNSTAGED = {
    "apt": "packages of an archive: tests/oracles/test_apt.py asks apt itself",
    "apt_policy": "packages of an archive: tests/oracles/test_apt.py asks apt itself",
    "audit": "the kernel tells it to no other namespace of processes",
    "authorized_keys": "not yet: keys and configuration are tried in test_ssh.py",
    "dnf": "packages of a repository: a root of each is made for minutes",
    "kernel": "the machine's own",
    "listeners": "not yet: sockets and their programs are tried in test_host.py",
    "sshd": "not yet: what sshd answers is tried in test_ssh.py",
    "units": "systemd is not booted",
}

_NONCE = "samples"
_TABLES = "sections|hosts|rows|api|droplets?|host|probes|probe_errors|settings"
_TABLE = re.compile(
    rf"^\[+(?:hosts\.)?sections\.(\w+)\]+\n(.*?)(?=^\[+(?:{_TABLES})[].]|\Z)",
    re.MULTILINE | re.DOTALL,
)
_STDOUT = re.compile(
    r"""^stdout = ('''.*?'''|\"{3}.*?\"{3}|"[^\n]*"|'[^\n]*')$""", re.MULTILINE | re.DOTALL
)
_NOT_PLAIN = {"stderr", "truncated", "missing", "typed"}


@dataclass(frozen=True)
class Sample:
    """A text in a case file; ``start`` and ``end`` are the place of its literal."""

    path: Path
    section: str
    text: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """The case, or the base."""
        return f"{self.path.parent.name}/{self.path.stem}"


def samples(section: str) -> Iterator[Sample]:
    """Yield the texts of a section that a root should print, by file.

    Left out are texts with the key ``typed``, and those of a section that failed.
    """
    for path in sorted(HERE.glob("*/*.toml")):
        whole = path.read_text(encoding="utf-8")
        for table in _TABLE.finditer(whole):
            found = _STDOUT.search(table[2])
            if table[1] != section or found is None:
                continue
            said = tomllib.loads(table[2])
            if said.get("rc") or _NOT_PLAIN & said.keys():
                continue
            start = table.start(2) + found.start(1)
            yield Sample(path, section, said["stdout"], start, start + len(found[1]))


def printed(section: str, text: str) -> str:
    """Return what a root prints that is dressed for a text.

    Raises:
        ValueError: The text cannot be taken apart.
        RootError: No root can be dressed so.
    """
    dressing = STAGES[section](text)
    wanted = [known_sections()[section]]
    answer = read_in(
        dressing.root,
        [Run("dash", "mawk", script.compose(wanted, _NONCE))],
        files=dressing.files,
        prepare="\n".join(dressing.prepare),
        as_user="",
    )
    return script.parse(answer.outputs[0], wanted, _NONCE).sections[section].stdout


def same(section: str, text: str, other: str) -> bool:
    """Whether two texts differ only in what is of the machine or of the moment."""
    if text == other:
        return True
    normal = _NORMAL.get(section, str.strip)
    return bool(normal(text) == normal(other))


def rewritten(sample: Sample, new: str) -> str:
    """Return the text of the case file with another text of the section."""
    whole = sample.path.read_text(encoding="utf-8")
    plain = "\\" not in new and '"""' not in new
    quotes = '"""' if plain and whole[sample.start] == '"' else "'''"
    return f"{whole[: sample.start]}{quotes}\n{_kept(sample, new)}{quotes}{whole[sample.end :]}"


def _kept(sample: Sample, new: str) -> str:
    """Put what is of the machine back as the sample had it, and JSON on lines of its own."""
    if sample.section == "nft" and _ruleset(sample.text)[0] == _ruleset(new)[0]:
        written = sample.text.partition("\n== tables")[0].rstrip()
        return f"{written}\n\n== tables{new.partition('== tables')[2]}"
    for pattern in _OF_MACHINE.get(sample.section, ()):
        old = re.search(pattern, sample.text, re.MULTILINE)
        if old:
            new = re.sub(pattern, lambda _, old=old: old[0], new, flags=re.MULTILINE)
    return new


_OF_MACHINE = {
    "auditd_conf": (r"^\S+ +\d+ +\d+ +\d+ +\d+% /.*$",),
    "audit_cover": (r"/(boot/config-|lib/modules/)\S+",),
    "nginx": (r"^nginx version: .*$",),
    "apache": (r"^version .*$",),
    "renewal": (r"^\d+ cron$",),
}


def _without(*patterns: str) -> Callable[[str], str]:
    def normal(text: str) -> str:
        for pattern in patterns:
            text = re.sub(pattern, "", text, flags=re.MULTILINE)
        return text.strip()

    return normal


def _saved_tables(text: str) -> Any:
    """Return the tables of each program: their order is that in which they were loaded."""
    text = _without(r"^# .*\n", r"\[\d+:\d+\]", r"^rc=0\n?")(text)
    return [
        (name, sorted(map(str.strip, "\n".join(lines).split("*")))) for name, lines in blocks(text)
    ]


def _ruleset(text: str) -> Any:
    if not text.startswith("{"):
        return text
    ruleset, _, tables = text.partition("\n== tables")
    items = [item for item in json.loads(ruleset)["nftables"] if "metainfo" not in item]
    return _plain(items), tables.split()


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _plain(value) for name, value in node.items() if name != "handle"}
    return [_plain(item) for item in node] if isinstance(node, list) else node


_NORMAL: dict[str, Callable[[str], Any]] = {
    **{name: _without(*patterns) for name, patterns in _OF_MACHINE.items()},
    "addresses": _without(r"^\d+: (?=\S)", r"^.*(-peer|inet6 fe80:).*\n", r" nodad(?= )"),
    "iptables": _saved_tables,
    "nft": _ruleset,
}
