"""Rules as people write them, nft(8), in the form that :mod:`pytest_droplet.facts.firewall.nftables` reads.

A file is a script: its commands add tables, chains, sets and rules and take them away again, in
blocks or one by one. A command that is not known makes the whole text unknown; what is known of a
rule's statements stands in :mod:`pytest_droplet.facts.firewall.nft_statements`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pytest_droplet.facts.firewall.nft_statements import (
    ENDS,
    elements_of,
    expressions_of,
    words_of,
)
from pytest_droplet.facts.firewall.nftables import hooks_of
from pytest_droplet.facts.firewall.packet_filter import Hook
from pytest_droplet.model import NotObservedError
from pytest_droplet.text import one_line

_INCLUDE = re.compile(r"""^[ \t]*include[ \t]+["']([^"'\n]+)["'][ \t]*;?[ \t]*$""", re.MULTILINE)
_VARIABLE = re.compile(r"(.*?)\$([A-Za-z][\w./\\-]*)(.*)")
_WILDCARD = re.compile(r"[*?\[]")
_DEEPEST = 8
_LONGEST = 1_000_000
_READ_WHOLE = frozenset({"/etc/nftables", "/etc/nftables.d"})
_FAMILIES = frozenset({"ip", "ip6", "inet", "arp", "bridge", "netdev"})
_PRIORITIES = {
    "raw": -300,
    "mangle": -150,
    "dstnat": -100,
    "filter": 0,
    "security": 50,
    "srcnat": 100,
}
_NAMED = frozenset({"set", "map"})
_RATES = frozenset({"limit", "quota"})
_OF_TABLES = frozenset({"flowtable", "counter", "ct", "synproxy", "secmark", "comment", "meter"})
"""What else a table may have besides chains, sets, maps and rates: rules that name it are not told."""

_IN_SETS = frozenset(
    (
        *("type", "typeof", "flags", "elements", "timeout", "gc-interval", "size", "policy"),
        *("auto-merge", "comment", "counter", "limit", "quota", "last"),
    )
)
_ADDING = frozenset({"add", "create"})
_REMOVING = frozenset({"delete", "destroy"})


def parse_files(files: Mapping[str, str], start: str) -> tuple[Hook, ...]:
    """Parse a file of nft rules with what it includes, as ``nft -f`` would load it at boot.

    Args:
        files: Texts by path.
        start: The path that is loaded.

    Returns:
        The chains at the hooks of packets that come in.

    Raises:
        NotObservedError: It has something that is not known, or includes a file that is not
            there.
    """
    try:
        return hooks_of(_Script(words_of(_included(files, start, 0))).objects())
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise NotObservedError(f"{start}: the rules could not be parsed") from None


def included_paths(files: Collection[str], pattern: str) -> list[str]:
    """Return the files that ``include "pattern"`` names, in the order in which nft reads them.

    Raises:
        NotObservedError: They are not among the files that were read.
    """
    folder, _, name = (pattern if pattern.startswith("/") else f"/etc/{pattern}").rpartition("/")
    found = sorted(
        path
        for path in files
        if path.rpartition("/")[0] == folder and fnmatchcase(path.rpartition("/")[2], name)
    )
    any_number = folder in _READ_WHOLE and _WILDCARD.search(name)
    if pattern.startswith(".") or not (found or any_number):
        raise NotObservedError(f"{one_line(pattern, 80)} is included and was not read")
    return found


def _included(files: Mapping[str, str], path: str, depth: int) -> str:
    if depth > _DEEPEST or path not in files:
        raise NotObservedError(f"{one_line(path, 80)} is included and was not read")

    def text(matched: re.Match[str]) -> str:
        return "\n".join(_included(files, p, depth + 1) for p in included_paths(files, matched[1]))

    result = _INCLUDE.sub(text, files[path])
    if len(result) > _LONGEST:
        raise NotObservedError(f"{path}: the rules with all that they include are too long")
    return result


@dataclass
class _Table:
    """A table while the script is run."""

    flags: set[str] = field(default_factory=set)
    chains: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, list[list[Any]]] = field(default_factory=dict)
    named: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)


class _Script:
    """Runs the commands of a script on no rules, and tells which are there then."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0
        self._defined: dict[str, list[str]] = {}
        self._tables: dict[tuple[str, str], _Table] = {}

    def objects(self) -> list[Any]:
        """Return the objects of ``nft -j list ruleset``."""
        while self._at < len(self._words):
            word = self._next()
            if word in {"define", "redefine"}:
                self._define()
            elif word not in ENDS:
                self._command(word)
        return list(self._objects())

    def _objects(self) -> Iterator[Any]:
        for (family, name), table in self._tables.items():
            home = {"family": family, "table": name}
            yield {"table": {**home, "name": name, "flags": sorted(table.flags)}}
            for kind, body in table.named.values():
                yield {kind: {**home, **body}}
            for chain, body in table.chains.items():
                yield {"chain": {**home, "name": chain, **body}}
                for expressions in table.rules[chain]:
                    yield {"rule": {**home, "chain": chain, "expr": expressions}}

    def _command(self, word: str) -> None:
        """Run one command; the word ``add`` may be left out."""
        verb, noun = ("add", word)
        if word in {*_ADDING, *_REMOVING, "insert", "flush"}:
            verb, noun = word, self._next()
        if noun in _FAMILIES and verb in {*_ADDING, "insert"}:  # a rule without that word
            self._at -= 1
            noun = "rule"
        if verb in _REMOVING or verb == "flush":
            self._take_away(verb, noun, self._statement())
        elif noun == "table" and verb != "insert":
            self._table()
        elif noun == "rule":
            self._rule(verb)
        elif noun in {"chain", "element", *_NAMED, *_RATES, *_OF_TABLES} and verb != "insert":
            self._one_object(noun)
        else:
            raise NotObservedError(f"nft: {one_line(noun, 40)!r} is not known here")

    # Words.

    def _next(self) -> str:
        self._at += 1
        return self._words[self._at - 1]

    def _peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else "\n"

    def _statement(self) -> list[str]:
        """Return the words up to the end of a statement; ends in braces are part of it."""
        start, depth = self._at, 0
        while self._at < len(self._words):
            word = self._peek()
            if depth == 0 and (word in ENDS or word == "}"):
                break
            depth += (word == "{") - (word == "}")
            self._at += 1
        return self._expanded(self._words[start : self._at])

    def _block(self) -> Iterator[str]:
        """Yield the first word of each statement of a block, which begins here or below."""
        while (word := self._next()) == "\n":
            pass
        if word != "{":
            raise ValueError
        while (word := self._next()) != "}":
            if word in {"define", "redefine"}:
                self._define()
            elif word not in ENDS:
                self._at -= 1
                yield word

    def _need_end(self) -> None:
        if self._peek() == "}":
            raise NotObservedError("nft refuses the file: a line feed or semicolon is left out")

    def _has_block(self) -> bool:
        """Whether a block begins here or on the next lines."""
        ahead = self._at
        while ahead < len(self._words) and self._words[ahead] == "\n":
            ahead += 1
        return ahead < len(self._words) and self._words[ahead] == "{"

    def _define(self) -> None:
        name, equals, *value = self._statement()
        if equals != "=":
            raise ValueError
        self._defined[name] = value

    def _expanded(self, words: list[str]) -> list[str]:
        """Return words with what was defined in the place of ``$name``."""
        if not any("$" in word for word in words):
            return words
        found: list[str] = []
        for word in words:
            matched = None if word.startswith('"') else _VARIABLE.fullmatch(word)
            if matched is None:
                found.append(word)
            elif matched[2] in self._defined:
                value = self._defined[matched[2]]
                found += [matched[1]] * bool(matched[1]) + value + [matched[3]] * bool(matched[3])
            else:
                raise NotObservedError(f"nft: {one_line(word, 40)} is not defined")
        if len(found) > _LONGEST // 10:
            raise NotObservedError("nft: the definitions are too long")
        return found

    def _home(self, names: int) -> tuple[tuple[str, str], list[str]]:
        """Read ``[family] table`` and more names; the family is ``ip`` where it is left out."""
        words: list[str] = []
        while len(words) < names + 1 and self._peek() not in {"{", *ENDS}:
            words.append(self._next().removeprefix('"'))
            if len(words) == names and words[0] not in _FAMILIES:
                break
        family = words.pop(0) if words[0] in _FAMILIES else "ip"
        if len(words) != names:
            raise ValueError
        return (family, words[0]), words[1:]

    # What commands do.

    def _table(self) -> None:
        home, _ = self._home(1)
        is_new = home not in self._tables
        table = self._tables.setdefault(home, _Table())
        flags: set[str] = set()
        for word in self._block() if self._has_block() else ():
            if word == "flags":
                flags.update(w for w in self._statement()[1:] if w != ",")
            elif word in {"chain", *_RATES, *_NAMED}:
                self._at += 1
                self._object(table, word, self._next().removeprefix('"'))
            elif word in _OF_TABLES:
                self._statement()
            else:
                raise NotObservedError(f"nft: {one_line(word, 40)!r} in a table is not known")
            self._need_end()
        if not is_new and table.flags != flags:
            raise NotObservedError(f"nft: the table {one_line(home[1], 40)} is given other flags")
        table.flags = flags

    def _one_object(self, kind: str) -> None:
        """Add what stands outside of its table's block."""
        if kind in {"quota", *_OF_TABLES}:
            self._statement()
            return
        home, (name,) = self._home(2)
        table = self._known(home)
        if kind == "element":
            body = table.named[name][1]
            body["elem"] = body["elem"] + elements_of(self._statement(), body["ports"])
        else:
            self._object(table, kind, name)

    def _known(self, home: tuple[str, str]) -> _Table:
        if home not in self._tables:
            name = one_line(" ".join(home), 60)
            raise NotObservedError(f"nft refuses the file: it has no table {name} yet")
        return self._tables[home]

    def _object(self, table: _Table, kind: str, name: str) -> None:
        if kind == "chain":
            self._chain(table, name)
        elif kind in _RATES:
            self._rate(table, kind, name)
        else:
            self._set(table, kind, name)

    def _chain(self, table: _Table, name: str) -> None:
        body = table.chains.setdefault(name, {})
        rules = table.rules.setdefault(name, [])
        for word in self._block() if self._has_block() else ():
            words = self._statement()
            self._need_end()
            if word == "type":
                body.update(_base(words))
            elif word == "policy":
                body["policy"] = words[1]
            elif word not in {"comment", "devices", "flags"}:
                rules.append(expressions_of(words))

    def _rate(self, table: _Table, kind: str, name: str) -> None:
        for word in self._block():
            words = self._statement()
            if word != "comment":
                (body,) = expressions_of([kind, *words])
                table.named[name] = kind, {"name": name, **body[kind]}

    def _set(self, table: _Table, kind: str, name: str) -> None:
        elements: list[Any] = []
        body: dict[str, Any] = {"name": name, "ports": [False]}
        inner: list[Any] = []
        for word in self._block():
            words = self._statement()
            if word not in _IN_SETS:
                raise NotObservedError(f"nft: {one_line(word, 40)!r} in a set is not known")
            if word in {"type", "typeof"}:
                body["ports"] = _ports(words[1:])
            if word == "timeout":
                body["timeout"] = " ".join(words[1:])
            if word in {"counter", "limit", "quota", "last"}:
                inner += expressions_of(words)
            if word == "elements":
                elements += elements_of(words[2:], body["ports"])
        if any(isinstance(each, list) != (kind == "map") for each in elements):
            raise ValueError
        before = table.named.get(name, (kind, {"elem": []}))[1]["elem"]
        table.named[name] = kind, {**body, "stmt": inner, "elem": before + elements}

    def _rule(self, verb: str) -> None:
        home, (name,) = self._home(2)
        rules = self._known(home).rules[name]
        place = len(rules) if verb == "add" else 0
        if self._peek() in {"position", "handle"}:
            raise NotObservedError("nft: a rule that is added at a handle is not known here")
        if self._peek() == "index":
            self._at += 1
            place = int(self._next()) + (verb == "add")
            if place > len(rules):
                raise ValueError
        rules.insert(place, expressions_of(self._statement()))

    def _take_away(self, verb: str, kind: str, words: list[str]) -> None:
        """Run ``delete``, ``destroy`` and ``flush`` of whole tables, chains and sets."""
        names = [word.removeprefix('"') for word in words]
        if (verb, kind) == ("flush", "ruleset"):
            kept = {h: t for h, t in self._tables.items() if names and h[0] not in names}
            self._tables = kept
            return
        depth = {"table": 1, "chain": 2, "set": 2, "map": 2}.get(kind, 0)
        family = names.pop(0) if names[0] in _FAMILIES else "ip"
        if not depth or len(names) != depth or "handle" in names:
            raise NotObservedError(f"nft: to {verb} a {one_line(kind, 40)} is not known here")
        home = family, names[0]
        if verb == "destroy" and home not in self._tables:
            return
        table = self._known(home)
        if kind == "table" and verb == "flush":
            table.rules = {name: [] for name in table.rules}
        elif kind == "table":
            del self._tables[home]
        elif kind == "chain" and verb == "flush":
            table.rules[names[1]] = []
        elif kind == "chain":
            if table.rules.pop(names[1]):
                raise NotObservedError("nft: to delete a chain that has rules is not known here")
            del table.chains[names[1]]
        elif verb == "flush":
            table.named[names[1]][1]["elem"] = []
        else:
            del table.named[names[1]]


def _ports(words: list[str]) -> list[bool]:
    """Return which parts of a set's keys are ports, by ``type a . b`` or ``typeof tcp dport``."""
    keys = words[: words.index(":")] if ":" in words else words
    parts = " ".join(keys).split(" . ")
    return [part == "inet_service" or part.endswith((" dport", " sport")) for part in parts]


def _base(words: list[str]) -> dict[str, Any]:
    """Return what ``type filter hook input priority filter - 5`` says."""
    given = dict(zip(words[::2], words[1::2], strict=False))
    after = words[words.index("priority") + 1 :]
    first = after[0]
    priority = _PRIORITIES[first] if first in _PRIORITIES else int(first)
    if len(after) > 2 and after[1] in {"+", "-"}:
        priority += int(after[1] + after[2])
    body = {"type": given["type"], "hook": given["hook"], "prio": priority}
    device = given.get("device", "")
    return {**body, "dev": device.removeprefix('"')} if device else body
