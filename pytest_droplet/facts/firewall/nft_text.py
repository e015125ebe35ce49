"""Rules as people write them, nft(8), in the form that :mod:`pytest_droplet.facts.firewall.nftables` reads.

What is known is what firewalls of hosts are made of: tables with chains and sets, definitions,
comparisons of interface, address, port, protocol and state, maps of verdicts. A condition that is
not known may hold or not; a command that is not known makes the whole text unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pytest_droplet.facts.firewall.nftables import hooks_of
from pytest_droplet.facts.firewall.packet_filter import Hook
from pytest_droplet.model import NotObservedError
from pytest_droplet.text import one_line

_TOKEN = re.compile(r'"([^"\n]*)"|(#[^\n]*)|(\\\n)|([{};,\n])|([^\s{};,"#\\]+)|\\')
_INCLUDE = re.compile(r"""^[ \t]*include[ \t]+["']([^"'\n]+)["'][ \t]*;?[ \t]*$""", re.MULTILINE)
_KEYED = re.compile(r"([\w.+@*/-]+):")
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,8}")
_DEEPEST = 8
_LONGEST = 1_000_000
_FAMILIES = frozenset({"ip", "ip6", "inet", "arp", "bridge", "netdev"})
_OPERATORS = frozenset({"==", "!=", "<", ">", "<=", ">="})
_PRIORITIES = {
    "raw": -300,
    "mangle": -150,
    "dstnat": -100,
    "filter": 0,
    "security": 50,
    "srcnat": 100,
}
_SERVICES = {"ssh": 22, "domain": 53, "http": 80, "ntp": 123, "https": 443}
_VERDICTS = frozenset({"accept", "drop", "return", "continue"})
_FINAL = frozenset({*_VERDICTS, "reject", "jump", "goto", "queue", "dnat", "redirect"})
_BARE_META = frozenset({"iif", "iifname", "oif", "oifname"})
_PROTOCOLS = frozenset({"tcp", "udp", "th", "ip", "ip6", "icmp", "icmpv6"})
_FIELDS = frozenset(
    (
        *("saddr", "daddr", "sport", "dport", "protocol", "nexthdr", "flags", "type", "code"),
        *("version", "hdrlength", "dscp", "ecn", "length", "id", "frag-off", "ttl", "checksum"),
        *("flowlabel", "hoplimit", "sequence", "ackseq", "doff", "window", "urgptr", "option"),
        *("mtu", "gateway", "max-delay", "parameter-problem", "packet-too-big", "taddr"),
    )
)
_BITWISE = frozenset({"&", "|", "^", "<<", ">>", "and", "or", "xor", "lshift", "rshift"})
_OF_SETS = frozenset({"add", "update", "delete"})
_IN_SETS = frozenset(
    (
        *("type", "typeof", "flags", "elements", "timeout", "gc-interval", "size", "policy"),
        *("auto-merge", "comment", "counter"),
    )
)
_ENDS = frozenset({"\n", ";"})
_UNKNOWN: Mapping[str, Any] = {"unknown": None}


def parse_files(files: Mapping[str, str], start: str) -> tuple[Hook, ...]:
    """Parse a file of nft rules with what it includes, as ``nft -f`` would load it.

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
        tokens = list(_tokens(_included(files, start, 0)))
        return hooks_of(_Parser(tokens).objects())
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise NotObservedError(f"{start}: the rules could not be parsed") from None


def _included(files: Mapping[str, str], path: str, depth: int) -> str:
    if depth > _DEEPEST or path not in files:
        raise NotObservedError(f"{one_line(path, 80)} is included and was not read")

    def text(matched: re.Match[str]) -> str:
        pattern = matched[1]
        found = sorted(p for p in files if p != path and fnmatchcase(p, pattern))
        if not found and "*" not in pattern:
            raise NotObservedError(f"{one_line(pattern, 80)} is included and was not read")
        return "\n".join(_included(files, p, depth + 1) for p in found)

    result = _INCLUDE.sub(text, files[path])
    if len(result) > _LONGEST:
        raise NotObservedError(f"{path}: the rules with all that they include are too long")
    return result


def _tokens(text: str) -> Iterator[str]:
    """Yield words, braces, commas and ends of statements; a quoted text keeps one quote."""
    place = 0
    while place < len(text):
        if (found := _TOKEN.match(text, place)) is None:
            place += 1
            continue
        place = found.end()
        quoted, _, _, sign, word = found.groups()
        if quoted is not None:
            yield f'"{quoted}'
        elif sign is not None:
            yield sign
        elif word is not None and (keyed := _KEYED.fullmatch(word)):
            yield keyed[1]
            yield ":"
        elif word is not None:
            yield word


class _Parser:
    """Makes the objects of ``nft -j list ruleset`` of the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._defined: dict[str, list[str]] = {}
        self._found: list[Any] = []
        self._flags: dict[tuple[str, str], set[str]] = {}

    def objects(self) -> list[Any]:
        while self._at < len(self._tokens):
            word = self._next()
            if word in _ENDS:
                continue
            if word == "table":
                self._table()
            elif word == "define":
                self._define()
            elif word in {"flush", "delete", "destroy"}:
                self._remove(self._statement())
            elif word == "add" and self._peek() == "table":
                if "{" in self._statement():
                    raise NotObservedError("nft: 'add table' with rules is not known here")
            else:
                raise NotObservedError(f"nft: {one_line(word, 40)!r} is not known here")
        return self._found

    def _remove(self, words: list[str]) -> None:
        """Forget the rules of before: of all tables, or of one."""
        if words[0] == "table":
            family, name = words[-2:] if len(words) > 2 else ("ip", words[-1])
        elif words != ["ruleset"]:
            raise NotObservedError(f"nft: to remove a {one_line(words[0], 40)} is not known here")
        self._found = [
            entry
            for entry in self._found
            if words[0] == "table"
            and any((b["family"], b["table"]) != (family, name) for b in entry.values())
        ]

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else "\n"

    def _statement(self) -> list[str]:
        """Return the words up to the end of a statement; line feeds in braces are none."""
        words: list[str] = []
        depth = 0
        while self._at < len(self._tokens):
            word = self._peek()
            if depth == 0 and (word in _ENDS or word == "}"):
                break
            depth += (word == "{") - (word == "}")
            self._at += 1
            if word != "\n":
                words.append(word)
        return words

    def _block(self) -> Iterator[list[str]]:
        """Yield the statements of a block in braces, which begins here or on the next lines."""
        while (word := self._next()) == "\n":
            pass
        if word != "{":
            raise ValueError
        while True:
            word = self._next()
            if word == "}":
                return
            if word not in _ENDS:
                self._at -= 1
                yield [word]

    def _define(self) -> None:
        name, equals, *value = self._statement()
        if equals != "=":
            raise ValueError
        self._defined[name] = self._expanded(value)

    def _expanded(self, words: list[str]) -> list[str]:
        found: list[str] = []
        for word in words:
            if not word.startswith("$"):
                found.append(word)
            elif word[1:] in self._defined:
                found += self._defined[word[1:]]
            else:
                raise NotObservedError(f"nft: {one_line(word, 40)} is not defined")
        if len(found) > _LONGEST // 10:
            raise NotObservedError("nft: the definitions are too long")
        return found

    def _table(self) -> None:
        family, name = self._next(), self._peek()
        if family in _FAMILIES and name not in {"{", "\n"}:
            self._at += 1
        else:
            family, name = "ip", family
        home = {"family": family, "table": name}
        flags: set[str] = set()
        for (word,) in self._block():
            if word in {"chain", "set", "map"}:
                self._at += 1
                body = {**home, "name": self._next()}
                getattr(self, f"_{word}")(body)
            elif word == "define":
                self._at += 1
                self._define()
            elif word == "flags":
                flags.update(w for w in self._expanded(self._statement())[1:] if w != ",")
            else:
                self._statement()
        if self._flags.setdefault((family, name), flags) != flags:
            raise NotObservedError(f"nft: the table {one_line(name, 40)} is given other flags")
        self._found.append({"table": {**home, "name": name, "flags": sorted(flags)}})

    def _chain(self, body: dict[str, Any]) -> None:
        chain = dict(body)
        self._found.append({"chain": chain})
        for _ in self._block():
            words = self._expanded(self._statement())
            if words[0] == "type":
                chain |= _base(words)
            elif words[0] == "policy":
                chain["policy"] = words[1]
            elif words[0] != "comment":
                home = {"family": body["family"], "table": body["table"], "chain": body["name"]}
                self._found.append({"rule": {**home, "expr": _Rule(words).expressions()}})

    def _set(self, body: dict[str, Any]) -> None:
        elements: list[Any] = []
        for _ in self._block():
            words = self._expanded(self._statement())
            if words[0] not in _IN_SETS:
                raise NotObservedError(f"nft: {one_line(words[0], 40)!r} in a set is not known")
            if words[0] == "timeout":
                body["timeout"] = " ".join(words[1:])
            if words[0] == "elements":
                elements = _Rule(words[2:]).elements()
        self._found.append({"set": {**body, "elem": elements}})

    _map = _set


def _base(words: list[str]) -> dict[str, Any]:
    """Return what ``type filter hook input priority filter - 5`` says."""
    given = dict(zip(words[::2], words[1::2], strict=False))
    after = words[words.index("priority") + 1 :]
    first = after[0]
    priority = _PRIORITIES[first] if first in _PRIORITIES else int(first)
    if len(after) > 2 and after[1] in {"+", "-"}:
        priority += int(after[1] + after[2])
    return {"type": given["type"], "hook": given["hook"], "prio": priority}


class _Rule:
    """Makes the expressions of one rule, statement by statement."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0

    def expressions(self) -> list[Any]:
        found: list[Any] = []
        while self._at < len(self._words):
            if self._peek() == "comment":
                self._at += 2
            else:
                found.append(self._one())
        return found

    def elements(self) -> list[Any]:
        value = self._value(_number_or_text)
        return value["set"] if isinstance(value, dict) and "set" in value else [value]

    def _next(self) -> str:
        self._at += 1
        return self._words[self._at - 1]

    def _peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._words[place] if place < len(self._words) else ""

    def _one(self) -> Any:
        word = self._next()
        if word in _FINAL:
            return self._verdict(word)
        if word == "counter":
            self._skip("packets", "bytes", "name")
            return {"counter": None}
        if word == "log":
            self._skip("prefix", "level", "group", "snaplen", "queue-threshold", "flags")
            return {"log": None}
        if word == "limit":
            return self._limit()
        if word == "vmap":  # of something that is not known
            self._value(str)
            return {"queue": None}
        if word in {*_OF_SETS, "{", "meter", "notrack"} or self._peek(1) == "set":
            return self._other(word)
        return self._condition(word)

    def _other(self, word: str) -> Any:
        """Parse what changes sets or packets; what is not known is skipped."""
        if word in _OF_SETS and self._peek().startswith("@"):
            return self._stored()
        if word in {"{", "meter"}:
            return self._skipped()
        if word == "notrack":
            return {"notrack": None}
        if word in {"meta", "ct"}:
            return self._changed({word: {"key": self._next()}})
        if word in _PROTOCOLS:
            return self._changed({"payload": {"protocol": word, "field": self._next()}})
        return dict(_UNKNOWN)

    def _condition(self, word: str) -> Any:
        if word == "ct" and self._peek() in {"state", "status", "direction"}:
            return self._compared({"ct": {"key": self._next()}}, str)
        if word == "meta":
            return self._compared({"meta": {"key": self._next()}}, _number_or_text)
        if word in _BARE_META:
            return self._compared({"meta": {"key": word}}, str)
        if word == "fib":
            return self._fib()
        if word in _PROTOCOLS:
            return self._payload(word)
        return dict(_UNKNOWN)

    def _stored(self) -> str:
        """Return ``@name`` of a statement that changes a set; what it adds is not read."""
        name = self._next()
        self._skipped()
        return name

    def _skipped(self) -> Any:
        """Skip what stands in braces, with the words before it."""
        depth = 1 if self._words[self._at - 1] == "{" else 0
        while self._peek():
            word = self._next()
            depth += (word == "{") - (word == "}")
            if word == "}" and depth == 0:
                break
        return dict(_UNKNOWN)

    def _changed(self, key: Any) -> Any:
        """Parse ``mark set 0x1``; of another value it is only known that there is one."""
        self._at += 1
        value = _number_or_text(self._next())
        return {"mangle": {"key": key, "value": value}}

    def _skip(self, *names: str) -> None:
        while self._peek() in names:
            self._at += 2

    def _limit(self) -> Any:
        """Parse ``limit rate over 10/second burst 5 packets``; a named limit is not looked up."""
        if self._peek() != "rate":
            return dict(_UNKNOWN)
        self._at += 1
        over = self._peek() == "over"
        rate = self._peek(over)
        self._at += 1 + over
        if self._peek() == "burst":
            self._at += 3
        return {"limit": {"rate": rate, "inv": over}}

    def _verdict(self, word: str) -> Any:
        if word in {"jump", "goto"}:
            return {word: {"target": self._next()}}
        if word == "reject":
            return {"reject": self._kind_of_reject()}
        if word in {"queue", "dnat", "redirect"}:
            self._at = len(self._words)
            return {"queue": None}
        return {word: None}

    def _kind_of_reject(self) -> Any:
        """Parse ``with tcp reset`` or ``with icmp type port-unreachable``, up to the end."""
        if self._peek() != "with":
            return None
        kind = self._peek(1)
        self._at = len(self._words)
        return {"type": "tcp reset" if kind == "tcp" else kind}

    def _fib(self) -> Any:
        flags = []
        while self._peek() not in {"type", "oif", "oifname", ""}:
            flags += [word for word in (self._next(),) if word != "."]
        result = self._next()
        left = {"fib": {"result": result, "flags": flags}}
        if result == "type":
            return self._compared(left, str)
        found = {"missing": False, "exists": True}.get(self._peek())
        if found is None:
            return dict(_UNKNOWN)
        self._at += 1
        return {"match": {"op": "==", "left": left, "right": found}}

    def _payload(self, protocol: str) -> Any:
        if self._peek() not in _FIELDS:  # the protocol is a value of what is not known
            return dict(_UNKNOWN)
        field = self._next()
        left = {"payload": {"protocol": protocol, "field": field}}
        if field == "flags":
            return self._flags(left)
        if field in {"dport", "sport"}:
            return self._compared(left, _port)
        if field in {"saddr", "daddr", "type", "protocol", "nexthdr", "code"}:
            return self._compared(left, _number_or_text)
        return dict(_UNKNOWN)

    def _flags(self, left: Any) -> Any:
        """Parse ``tcp flags & (fin|syn) == syn``; other forms are not known."""
        sign, mask, operator, wanted = (self._peek(i) for i in range(4))
        if sign != "&" or operator not in {"==", "!="}:
            return dict(_UNKNOWN)
        self._at += 4
        masked = {"&": [left, _names(mask)]}
        return {"match": {"op": operator, "left": masked, "right": _names(wanted)}}

    def _compared(self, left: Any, kind: Any) -> Any:
        if self._peek() == "vmap":
            self._at += 1
            return {"vmap": {"key": left, "data": self._verdict_map(kind)}}
        if self._peek() == ".":
            raise NotObservedError("nft: conditions joined by a dot are not known here")
        if self._peek() in _BITWISE:
            return dict(_UNKNOWN)
        operator = self._next() if self._peek() in _OPERATORS else "=="
        return {"match": {"op": operator, "left": left, "right": self._value(kind)}}

    def _verdict_map(self, kind: Any) -> Any:
        if self._peek() != "{":
            return self._next()
        self._at += 1
        pairs = []
        while (word := self._next()) != "}":
            if word == ",":
                continue
            if self._next() != ":":
                raise ValueError
            pairs.append([_item(word, kind), self._verdict(self._next())])
        return {"set": pairs}

    def _value(self, kind: Any) -> Any:
        """Return what stands on the right: a value, several with commas, a set, a named set."""
        if self._peek() == "{":
            return {"set": list(self._braced(kind))}
        values = [_item(self._next(), kind)]
        while self._peek() == "," and self._peek(1):
            self._at += 1
            values.append(_item(self._next(), kind))
        return values[0] if len(values) == 1 else {"set": values}

    def _braced(self, kind: Any) -> Iterator[Any]:
        depth = 0
        while True:
            word = self._next()
            depth += (word == "{") - (word == "}")
            if depth == 0:
                return
            if word in {"timeout", "expires", "comment", "counter", ".", ":"}:
                raise NotObservedError(f"nft: a set with {word!r} is not known")
            if word not in {"{", "}", ","}:
                yield _item(word, kind)


def _item(word: str, kind: Any) -> Any:
    if word.startswith("@"):
        return word
    return kind(word.removeprefix('"'))


def _port(word: str) -> Any:
    if found := _RANGE.fullmatch(word):
        return {"range": [int(found[1]), int(found[2])]}
    return _SERVICES[word] if word in _SERVICES else int(word)


def _number_or_text(word: str) -> Any:
    if word.isdecimal() and word.isascii():
        return int(word)
    if _HEXADECIMAL.fullmatch(word):
        return int(word, 16)
    return _port(word) if _RANGE.fullmatch(word) else word


def _names(text: str) -> list[str]:
    return [name for name in re.split(r"[|(),]+", text) if name]
