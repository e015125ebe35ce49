"""One rule of nft(8) as people write it, in the form that ``nft -j`` prints.

A key that is not known may have any value: what it is compared with may hold or not. A statement
that is not known may do anything to the packet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pytest_droplet.facts.firewall.nft_words import SERVICES

_Value: TypeAlias = Callable[[str], Any]

ENDS = frozenset({"\n", ";"})
UNKNOWN_STATEMENT = "xt"
_TOKEN = re.compile(r'("[^"\n]*")|(#[^\n]*)|(\\\n)|([{};,\n])|([^\s{};,"#\\]+)|\\')
_KEYED = re.compile(r"([\w.+@*/$-]+):")
_PAIR = re.compile(r"([a-zA-Z0-9_-]+):([a-zA-Z]+)")
_COMPARED = re.compile(r"([=!<>]=|[<>])(?![<>])(.*)")
_RANGE = re.compile(r"([^-\s]+)-([^-\s]+)")
_NUMBER = re.compile(r"[0-9]{1,10}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,8}")
_DESTINATION = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]*)):([0-9]{1,5})")
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}
_OPERATORS = frozenset({"==", "!=", "<", ">", "<=", ">="})
_AND = frozenset({"&", "and"})
_JOINS = {"&": "&", "and": "&", "|": "|", "or": "|", "^": "^", "xor": "^"}
_BITWISE = frozenset({*_JOINS, "<<", ">>", "lshift", "rshift"})
_SIMPLE = frozenset({"accept", "drop", "return", "continue"})
_TRANSLATIONS = frozenset({"dnat", "redirect"})
_VERDICTS = frozenset({*_SIMPLE, *_TRANSLATIONS, "jump", "goto", "reject", "snat", "masquerade"})
_TO_THE_END = frozenset(
    {"snat", "masquerade", "dup", "queue", "synproxy", "tproxy", "fwd", "flow"}
)
_META = frozenset(
    (
        *("mark", "iif", "iifname", "iiftype", "oif", "oifname", "oiftype", "skuid", "skgid"),
        *("nftrace", "rtclassid", "pkttype", "cpu", "iifgroup", "oifgroup", "cgroup"),
    )
)
_HEADERS = frozenset(
    (
        *("tcp", "udp", "th", "ip", "ip6", "icmp", "icmpv6", "ether", "vlan", "arp", "igmp"),
        *("sctp", "dccp", "udplite", "esp", "ah", "comp"),
    )
)
_EXTENSIONS = frozenset({"frag", "hbh", "mh", "dst", "srh"})
_OTHER_KEYS = frozenset(
    {"socket", "osf", "rt", "ipsec", "jhash", "symhash", "hour", "day", "time"}
)
_OF_SETS = frozenset({"add", "update", "delete"})
_OF_ELEMENTS = frozenset({"timeout", "expires", "comment", "counter", "limit", "quota", "last"})
_PRESENCE = {"exists": True, "missing": False}
_LOG_WORDS = frozenset({"prefix", "level", "group", "snaplen", "queue-threshold"})


def words_of(text: str) -> list[str]:
    """Return words, braces, commas and ends of statements; a quoted text keeps one quote."""
    found: list[str] = []
    for quoted, _, _, sign, word in _TOKEN.findall(text):
        if quoted:
            found.append(quoted[:-1])
        elif sign:
            found.append(sign)
        elif keyed := _KEYED.fullmatch(word):
            found += [keyed[1], ":"]
        elif pair := _PAIR.fullmatch(word):
            found += [pair[1], ":", pair[2]]
        elif compared := _COMPARED.fullmatch(word):
            found += [compared[1], *([compared[2]] if compared[2] else [])]
        elif word:
            found.append(word)
    return found


def expressions_of(words: list[str]) -> list[Any]:
    """Return the statements of one rule.

    Args:
        words: Its words; a quoted one keeps one quote, ``:`` in maps stands alone.

    Raises:
        ValueError, LookupError: It breaks off, or has a value where none is known.
    """
    return _Statements(words).all()


def elements_of(words: list[str], ports: list[bool]) -> list[Any]:
    """Return the elements of a set or map in braces; ``ports``: which parts of a key are ports."""
    return list(_Statements(words).braced([_port if each else _any_value for each in ports]))


class _Statements:
    """Reads words one after another."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0

    def all(self) -> list[Any]:
        found: list[Any] = []
        while self._at < len(self._words):
            if self._peek() in ENDS:
                self._at += 1
            elif self._peek() == "comment":
                self._at += 2
            else:
                found.append(self._statement())
        return found

    def _next(self) -> str:
        self._at += 1
        return self._words[self._at - 1]

    def _peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._words[place] if place < len(self._words) else ""

    def _takes(self, *words: str) -> bool:
        """Whether one of these words comes next; it is read then."""
        found = bool(self._peek()) and self._peek() in words
        self._at += found
        return found

    def _statement(self) -> Any:
        word = self._peek()
        if word in _VERDICTS:
            return self._verdict(self._next())
        parse = {
            "counter": self._counter,
            "log": self._log,
            "limit": self._limit,
            "quota": self._quota,
            "meter": self._meter,
            "notrack": self._notrack,
        }.get(word)
        if parse is not None:
            self._at += 1
            return parse()
        if word in _TO_THE_END:
            self._at = len(self._words)
            return {word: None}
        if word in _OF_SETS and self._peek(1).startswith("@"):
            return self._stored()
        if word == "ct" and self._peek(1) == "count":
            self._at += 2
            over = self._takes("over")
            return {"ct count": {"val": int(self._next()), "inv": over}}
        key = self._key()
        if key is None:
            self._skip_one()
            return {UNKNOWN_STATEMENT: None}
        return self._of_key(*key)

    def _skip_one(self) -> None:
        """Skip a word, or what stands in braces."""
        depth = 0
        while True:
            word = self._next()
            depth += (word == "{") - (word == "}")
            if depth <= 0:
                return

    # Keys: what stands on the left.

    def _key(self) -> tuple[Any, list[_Value]] | None:
        """Return a key with what reads the values of its parts; None: none begins here."""
        first = self._part()
        if first is None:
            return None
        parts = [first]
        while self._peek() == ".":
            self._at += 1
            part = self._part()
            if part is None:
                raise ValueError
            parts.append(part)
        kinds: list[_Value] = [_port if _is_port(part) else _any_value for part in parts]
        return (parts[0] if len(parts) == 1 else {"concat": parts}), kinds

    def _part(self) -> Any:
        word = self._peek()
        if word in _META:
            return {"meta": {"key": self._next()}}
        if word == "meta":
            self._at += 1
            return {"meta": {"key": self._next()}}
        if word == "ct":
            self._at += 1
            return self._of_connection()
        if word in _HEADERS:
            self._at += 1
            return self._of_header(word)
        if word == "fib":
            self._at += 1
            return self._fib()
        if word == "numgen":
            self._at += 1
            return self._numbers()
        if word == "exthdr":
            self._at += 1
            return {"exthdr": {"name": self._next()}}
        if word in _EXTENSIONS:
            self._at += 1
            return {"exthdr": {"name": word, "field": self._next()}}
        if word.startswith("@") and self._peek(1) == ",":
            self._at += 5  # base, offset and length of raw bytes
            return {"unknown": {}}
        if word in _OTHER_KEYS:
            self._skip_key()
            return {"unknown": {}}
        return None

    def _skip_key(self) -> None:
        """Skip a key that is not known, up to its last value or what it is looked up in."""
        while self._peek() and self._peek(1) not in {*_VERDICTS, *ENDS, "counter", "log", ""}:
            if self._peek(1) in {"vmap", "map", "set", "{", *_OPERATORS}:
                self._at += 1
                return
            self._at += 1

    def _of_connection(self) -> Any:
        word = self._next()
        way = {}
        if word in {"original", "reply"}:
            way, word = {"dir": word}, self._next()
        if word in {"ip", "ip6"}:
            word = f"{word} {self._next()}"
        return {"ct": {"key": word, **way}}

    def _of_header(self, word: str) -> Any:
        field = self._next()
        if field == "option" and word in {"ip", "tcp"}:
            body = {"name": self._next()}
            if self._peek() in {"size", "count", "left", "right", "length", "kind", "ptr", "type"}:
                body["field"] = self._next()
            return {f"{word} option": body}
        return {"payload": {"protocol": word, "field": field}}

    def _fib(self) -> Any:
        flags = []
        while self._peek() not in {"type", "oif", "oifname"}:
            flags += [word for word in (self._next(),) if word != "."]
        return {"fib": {"result": self._next(), "flags": flags}}

    def _numbers(self) -> Any:
        body = {"mode": self._next()}
        self._at += 1
        body["mod"] = self._next()
        if self._takes("offset"):
            body["offset"] = self._next()
        return {"numgen": body}

    def _of_key(self, left: Any, kinds: list[_Value]) -> Any:
        """Parse what follows a key: a map of verdicts, a change, or a comparison."""
        if _is_flags(left):
            return self._flags(left)
        if self._takes("vmap"):
            return {"vmap": {"key": left, "data": self._data(kinds)}}
        if self._takes("set"):
            return {"mangle": {"key": left, "value": self._new_value()}}
        left = self._masked(left)
        if self._takes("vmap"):
            return {"vmap": {"key": left, "data": self._data(kinds)}}
        operator = self._operator() or "=="
        return {"match": {"op": operator, "left": left, "right": self._value(kinds)}}

    def _operator(self) -> str:
        word = self._peek()
        if word in _SIGNS or word in _OPERATORS:
            self._at += 1
        return _SIGNS.get(word, word if word in _OPERATORS else "")

    def _masked(self, left: Any) -> Any:
        if self._peek() not in _BITWISE:
            return left
        sign, mask = self._next(), _any_value(self._next())
        if self._peek() in _BITWISE or sign not in _AND:
            while self._peek() in _BITWISE:
                self._at += 2
            return {"unknown": {}}
        return {"&": [left, mask]}

    def _flags(self, left: Any) -> Any:
        """Parse ``tcp flags`` with a mask before or behind what is wanted, or without one."""
        if self._takes("vmap"):
            return {"vmap": {"key": {"unknown": {}}, "data": self._data([str])}}
        if self._takes("!"):
            return {"match": {"op": "!", "left": left, "right": self._names()}}
        if self._peek() in _AND:
            self._at += 1
            masked = {"&": [left, self._names()]}
            operator = self._operator() or "=="
            return {"match": {"op": operator, "left": masked, "right": self._names()}}
        operator = self._operator()
        if self._peek() == "{":
            right: Any = {"set": list(self.braced([str]))}
            return {"match": {"op": operator or "==", "left": left, "right": right}}
        wanted = self._names()
        if self._takes("/"):
            masked = {"&": [left, self._names()]}
            return {"match": {"op": operator or "==", "left": masked, "right": wanted}}
        if not operator:
            return {"match": {"op": "in", "left": left, "right": wanted}}
        return {"match": {"op": operator, "left": left, "right": wanted}}

    def _names(self) -> Any:
        """Return names of flags, joined by commas or bars, in parentheses or not; 0: none."""
        text = self._next()
        while text.count("(") > text.count(")") or self._peek() in {",", "|"} or text[-1] in ",|":
            text += self._next()
        names = [name for name in re.split(r"[|(),]+", text) if name]
        return 0 if names in (["0"], ["0x0"]) else names

    # Values: what stands on the right.

    def _value(self, kinds: list[_Value]) -> Any:
        """Return a value, several with commas, those in braces, a named set."""
        if self._peek() == "{":
            return {"set": list(self.braced(kinds))}
        if self._peek() in _PRESENCE:
            return _PRESENCE[self._next()]
        if self._peek().startswith("@"):
            return self._next()
        values = [self._joined(kinds)]
        while self._peek() == "," and self._peek(1):
            self._at += 1
            values.append(self._joined(kinds))
        return values[0] if len(values) == 1 else {"set": values}

    def _joined(self, kinds: list[_Value]) -> Any:
        """Return one value, or several that are joined by dots."""
        values = [self._single(kinds[0])]
        while self._peek() == ".":
            self._at += 1
            values.append(self._single(kinds[min(len(values), len(kinds) - 1)]))
        return values[0] if len(values) == 1 else {"concat": values}

    def _single(self, kind: _Value) -> Any:
        word = self._next()
        if word in {"{", "}", ",", ":", *ENDS}:
            raise ValueError
        if self._peek() == "-" and self._peek(1):
            self._at += 1
            word = f"{word}-{self._next()}"
        return word if word.startswith("@") else kind(word.removeprefix('"'))

    def braced(self, kinds: list[_Value]) -> Iterator[Any]:
        """Yield the elements of a set, or the pairs of a map, that stand in braces."""
        if self._next() != "{":
            raise ValueError
        while not self._takes("}"):
            if self._takes(",", *ENDS):
                continue
            if self._peek() == "{":  # a definition that stands in the place of elements
                yield from self.braced(kinds)
                continue
            element = self._element(kinds)
            yield [element, self._datum()] if self._takes(":") else element

    def _element(self, kinds: list[_Value]) -> Any:
        value = self._joined(kinds)
        extra: dict[str, Any] = {}
        while (word := self._peek()) in _OF_ELEMENTS:
            self._at += 1
            if word == "limit":
                extra |= self._limit()
            elif word == "quota":
                extra |= self._quota()
            elif word == "counter":
                extra |= self._counter()
            else:
                extra[word] = self._next()
                while word == "last" and self._peek() not in {"}", ",", ":"}:
                    self._at += 1
        return {"elem": {"val": value, **extra}} if extra else value

    def _data(self, kinds: list[_Value]) -> Any:
        """Return what a map has: its name, or the pairs in braces."""
        return self._next() if self._peek() != "{" else {"set": list(self.braced(kinds))}

    def _datum(self) -> Any:
        """Return what a map gives for a key: a verdict, or a value."""
        if self._peek() in {*_SIMPLE, "jump", "goto"}:
            return self._verdict(self._next())
        if self._peek() in {"queue", "reject"}:
            raise ValueError
        return self._joined([_any_value])

    def _new_value(self) -> Any:
        """Return what a mark is set to; of other values it is only known that there are any."""
        value = self._operand()
        while self._peek() in _JOINS:
            value = {_JOINS[self._next()]: [value, self._operand()]}
        while self._peek() == "," and self._peek(1):
            self._at += 2
        return value

    def _operand(self) -> Any:
        if self._peek().startswith("("):
            raise ValueError
        if (key := self._key()) is None:
            return self._single(_any_value)
        if self._takes("map"):
            return {"map": {"key": key[0], "data": self._data(key[1])}}
        return key[0]

    # Statements.

    def _counter(self) -> Any:
        while self._takes("packets", "bytes"):
            self._at += 1
        return {"counter": self._named() if self._takes("name") else None}

    def _named(self) -> Any:
        """Return the name of an object, or the map that has it."""
        if self._peek(1) in {*_VERDICTS, *ENDS, "", "comment", "log", "counter"}:
            return self._next().removeprefix('"')
        if self._peek().startswith('"') or (key := self._key()) is None:
            return self._next().removeprefix('"')
        if not self._takes("map"):
            raise ValueError
        return {"map": {"key": key[0], "data": self._data(key[1])}}

    def _log(self) -> Any:
        while self._peek() in {*_LOG_WORDS, "flags"}:
            word = self._next()
            self._at += 1 + (word == "flags" and self._peek() in {"tcp", "ip"})
            while word == "flags" and self._takes(","):
                self._at += 1
        return {"log": None}

    def _limit(self) -> Any:
        """Parse ``limit rate over 10/second burst 5 packets``, or the name of a limit."""
        if self._takes("name"):
            return {"limit": self._named()}
        if not self._takes("rate"):
            raise ValueError
        over = self._takes("over")
        self._takes("until")
        rate = self._next()
        if "/" not in rate:
            rate += self._next()
        if rate.endswith("/"):
            rate += self._next()
        if self._takes("burst"):
            self._at += 2
        return {"limit": {"rate": rate, "inv": over}}

    def _quota(self) -> Any:
        if self._takes("name"):
            return {"quota": self._named()}
        over = self._takes("over")
        self._takes("until")
        body = {"val": int(self._next()), "val_unit": self._next(), "inv": over}
        if self._takes("used"):
            body |= {"used": int(self._next()), "used_unit": self._next()}
        return {"quota": body}

    def _notrack(self) -> Any:
        return {"notrack": None}

    def _meter(self) -> Any:
        """Parse ``meter name size 10 { ip saddr limit rate 1/second }``."""
        name = self._next()
        if self._takes("size"):
            self._at += 1
        key, inner = self._rated()
        return {"meter": {"name": name, "key": key, "stmt": inner}}

    def _stored(self) -> Any:
        """Parse ``add @name { key limit rate 1/second }``, also of a map."""
        operation, name = self._next(), self._next()
        start = self._at
        try:
            key, inner = self._rated()
        except (ValueError, LookupError):  # then it is only known that the set is changed
            self._at = start
            self._skip_one()
            return name
        return {"set": {"op": operation, "elem": key, "set": name, "stmt": inner}}

    def _rated(self) -> tuple[Any, list[Any]]:
        """Return the key that stands in braces, and the limits behind it."""
        if self._next() != "{" or (key := self._key()) is None:
            raise ValueError
        inner = []
        while not self._takes("}"):
            word = self._next()
            if word in {"timeout", "expires"}:
                self._at += 1
            elif word == ":":
                self._datum()
            elif word == "ct" and self._takes("count"):
                over = self._takes("over")
                inner.append({"ct count": {"val": int(self._next()), "inv": over}})
            else:
                parse = {"limit": self._limit, "quota": self._quota, "counter": self._counter}
                inner.append(parse[word]())
        return key[0], [each for each in inner if "counter" not in each]

    def _verdict(self, word: str) -> Any:
        if word in {"jump", "goto"}:
            if self._peek() == "{":
                return {word: {"rules": list(self._rules())}}
            return {word: {"target": self._next().removeprefix('"')}}
        if word == "reject":
            return {"reject": self._kind_of_reject()}
        if word in _TRANSLATIONS:
            return {word: self._destination()}
        if word in _TO_THE_END:
            self._at = len(self._words)
        return {word: None}

    def _rules(self) -> Iterator[list[Any]]:
        """Yield the rules of a chain without a name."""
        self._at += 1
        rule: list[str] = []
        depth = 0
        while True:
            word = self._next()
            depth += (word == "{") - (word == "}")
            if depth < 0 or (depth == 0 and word in ENDS):
                if rule:
                    yield expressions_of(rule)
                rule = []
                if depth < 0:
                    return
            else:
                rule.append(word)

    def _kind_of_reject(self) -> Any:
        """Parse ``with tcp reset`` or ``with icmp type port-unreachable``, up to the end."""
        if self._peek() != "with":
            return None
        kind = self._peek(1)
        self._at = len(self._words)
        return {"type": "tcp reset" if kind == "tcp" else kind}

    def _destination(self) -> Any:
        """Parse ``ip to 10.0.0.2:80``, ``to :80``, ``to tcp dport map { ... }``, up to the end."""
        body: dict[str, Any] = {}
        if self._peek() in {"ip", "ip6"} and self._peek(1) in {"to", "addr", "prefix"}:
            body["family"] = self._next()
        of_parts = self._takes("addr")
        if of_parts:
            self._at += 2  # the words ". port"
        if not self._takes("to"):
            return body if not self._peek() or not body else {"addr": {}}
        if (key := self._key()) is not None:
            if not self._takes("map"):
                return self._unknown_destination()
            body["addr"] = {"map": {"key": key[0], "data": self._data(key[1])}}
            return body if not self._peek() else self._unknown_destination()
        words = self._words[self._at :]
        self._at = len(self._words)
        return body | _destination("".join(words))

    def _unknown_destination(self) -> Any:
        self._at = len(self._words)
        return {"addr": {"unknown": {}}}


def _destination(text: str) -> dict[str, Any]:
    if found := _DESTINATION.fullmatch(text):
        address = found[1] or found[2]
        return {**({"addr": address} if address else {}), "port": int(found[3])}
    return {"addr": text} if re.fullmatch(r"[0-9.]+|[0-9a-fA-F:]+", text) else {"addr": {}}


def _is_port(part: Any) -> bool:
    of_header = part.get("payload", {}).get("field") in {"dport", "sport"}
    return of_header or part.get("ct", {}).get("key") in {"proto-dst", "proto-src"}


def _is_flags(left: Any) -> bool:
    body = left.get("payload", {})
    return bool(body.get("protocol") == "tcp" and body.get("field") == "flags")


def _number(word: str) -> int | None:
    if _NUMBER.fullmatch(word):
        return int(word)
    return int(word, 16) if _HEXADECIMAL.fullmatch(word) else None


def _port(word: str) -> Any:
    """Return a port by its number or name, or a range of them.

    Raises:
        LookupError: Its name is not known.
    """
    if (number := _number(word)) is not None:
        return number
    if word in SERVICES:
        return SERVICES[word]
    if word.startswith("$") or not (found := _RANGE.fullmatch(word)):
        return SERVICES[word] if word != "*" else word
    return {"range": [_port(found[1]), _port(found[2])]}


def _any_value(word: str) -> Any:
    if (number := _number(word)) is not None:
        return number
    if found := _RANGE.fullmatch(word):
        first, last = _number(found[1]), _number(found[2])
        if first is not None and last is not None:
            return {"range": [first, last]}
    return word
