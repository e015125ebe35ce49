"""Audit rules in auditctl's syntax, brought to one form, so that they compare by what they mean.

``-w /etc/passwd -p wa -k x`` and ``-a always,exit -S all -F path=/etc/passwd -F perm=aw -F key=x``
are one :class:`Rule`; so are the text of a file and what ``auditctl -l`` prints of it.

Source: auditctl(8), audit.rules(7); tried with auditctl 3.0, 3.0.9 and 4.0.2 on Linux 6.1.
"""

from __future__ import annotations

import getopt
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from pytest_droplet.text import one_line

_LISTS = frozenset({"task", "exit", "user", "exclude", "filesystem", "io_uring"})
_ACTIONS = frozenset({"always", "never"})
_OPERATORS = ("!=", ">=", "<=", "&=", ">", "<", "&", "=")
_EQUAL = frozenset({"=", "!="})
_USERS = frozenset({"uid", "euid", "suid", "fsuid", "auid", "obj_uid"})
_GROUPS = frozenset({"gid", "egid", "sgid", "fsgid", "obj_gid"})
_SUBJECT = frozenset({"subj_user", "subj_role", "subj_type", "subj_sen", "subj_clr"})
_OBJECT = frozenset({"obj_user", "obj_role", "obj_type", "obj_lev_low", "obj_lev_high"})
_NUMBERS = frozenset(
    ("pid", "ppid", "pers", "devmajor", "devminor", "inode", "success", "sessionid", "saddr_fam")
)
_ARGUMENTS = frozenset({"a0", "a1", "a2", "a3"})
_EXIT_ONLY = (
    frozenset(("exit", "success", "path", "dir", "perm", "filetype", "inode", "ppid"))
    | {"devmajor", "devminor"}
    | _OBJECT
)
_EQUAL_ONLY = frozenset(
    ("subj_user", "subj_role", "subj_type", "obj_user", "obj_role", "obj_type", "inode")
) | {"filetype", "fstype", "exe"}
_FILE_TYPES = {
    "file": 0o100000,
    "dir": 0o040000,
    "socket": 0o140000,
    "link": 0o120000,
    "character": 0o020000,
    "block": 0o060000,
    "fifo": 0o010000,
}
_COMPARABLE = (
    frozenset({"uid", "euid", "suid", "fsuid", "auid", "obj_uid"}),
    frozenset({"gid", "egid", "sgid", "fsgid", "obj_gid"}),
)
_MACHINES = {
    "x86_64": {"b64": "x86_64", "b32": "i386"},
    "aarch64": {"b64": "aarch64", "b32": "arm"},
}
_MACHINE_NAMES = {
    "x86_64": "x86_64",
    "i386": "i386",
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "aarch64": "aarch64",
    "arm": "arm",
    "armv5tejl": "arm",
    "armv5tel": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
}
_ELF = {0xC000003E: "x86_64", 0x40000003: "i386", 0xC00000B7: "aarch64", 0x40000028: "arm"}
_SHORT_OPTIONS = "a:A:d:w:W:p:k:F:C:S:b:e:f:r:q:m:cisltvD"
_LONG_OPTIONS = [
    "backlog_wait_time=",
    "loginuid-immutable",
    "reset-lost",
    "reset_backlog_wait_time_actual",
]
_WINDOWS = "the file has the line ends of Windows: auditctl takes CR for a part of the word"
_KEY_LIMIT = 256
_SYSCALL_RECORD = 1300
_MAX = 0xFFFFFFFF
_UNSET = -1


class RuleError(ValueError):
    """auditctl or the kernel refuses the line; the text is the reason."""


class AbsentError(RuleError):
    """It is refused for something that the host has not, and may well have elsewhere."""


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A field, an operator and a value, such as ``auid >= 1000``; numbers as decimal text.

    A comparison of two fields (``-C``) has ``name`` ``uid,euid``, in the order of the alphabet,
    and no value.
    """

    name: str
    operator: str
    value: str = ""

    def __str__(self) -> str:
        if not self.value and "," in self.name:
            return f"-C {self.operator.join(self.name.split(','))}"
        return f"-F {self.name}{self.operator}{self.value}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the kernel in its one form.

    ``syscalls`` holds numbers of the machine's table, None: all of them. ``machines`` are the
    conditions on ``arch`` with the machine's name; without any the host's own table counts.
    A watch is a rule with the conditions ``path`` and ``perm``; ``path`` stands for ``dir`` too,
    as auditctl does not tell them apart where it prints a watch. The kernel does, and takes the
    same conditions in another order for another rule: ``order`` has them as it compares them.
    A rule that is put before the others (``is_first``, ``-A``) it takes even twice.
    """

    action: str
    filter: str
    machines: tuple[tuple[str, str], ...] = ()
    syscalls: frozenset[int] | None = None
    conditions: tuple[Condition, ...] = ()
    keys: tuple[str, ...] = ()
    order: tuple[str, ...] = field(default=(), compare=False)
    is_first: bool = field(default=False, compare=False)

    @property
    def identity(self) -> tuple[Rule, tuple[str, ...]]:
        """What the kernel tells rules apart by."""
        return self, self.order

    def value(self, name: str) -> str | None:
        """Return the value that a field must equal, None where it need not."""
        return next(
            (c.value for c in self.conditions if c.name == name and c.operator == "="), None
        )


@dataclass(frozen=True, slots=True)
class Control:
    """A line that is no rule: ``-b 8192``, ``-e 2``, ``-D``, ``-i``; ``value`` may be empty."""

    option: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Deletion:
    """``-d`` or ``-W``: takes away the rule that equals it."""

    rule: Rule


Statement = Rule | Control | Deletion


@dataclass(frozen=True, slots=True)
class Host:
    """What a rule's meaning depends on: the machine (``uname -m``), names of users and groups.

    ``table`` is the machine whose names system calls have where a rule has no arch; empty: the
    host's own. Of the paths of rules ``folders`` has those that are folders, and ``absent`` the
    folders that some of them are in and that do not exist.
    """

    machine: str = "x86_64"
    users: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    table: str = ""
    folders: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()

    def machine_of(self, arch: str) -> str:
        """Return the machine that a value of ``-F arch=`` names.

        Raises:
            RuleError: There is none.
        """
        bits = _MACHINES.get(self.machine, {})
        name = bits.get(arch) or _MACHINE_NAMES.get(arch)
        if name is None and re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", arch):
            name = _ELF.get(int(arch, 16))
        if name is None:
            raise RuleError(f"arch {one_line(arch, 40)} is not known")
        return name


@cache
def _tables() -> Mapping[str, Any]:
    text = files("pytest_droplet").joinpath("data/audit.json").read_text(encoding="utf-8")
    tables: Mapping[str, Any] = json.loads(text)
    return tables


def syscall_number(name: str, machine: str) -> int:
    """Return the number of a system call.

    Raises:
        RuleError: The machine has no such call.
    """
    table = _tables()["io_uring"] if machine == "io_uring" else _tables()["syscalls"][machine]
    if name in table:
        return int(table[name])
    if name[:1].isdecimal() and 0 <= (number := _number("-S", name)) < 2048:
        return number
    raise RuleError(f"{one_line(name, 40)} is no system call on {machine}")


def known_since(name: str) -> str:
    """Return the first audit that has a name for a system call; empty: every one that is in use."""
    return str(_tables()["since"].get(name, ""))


def parse_line(text: str, host: Host) -> Statement | None:
    """Read a line of a rules file, None for a comment or an empty one.

    Raises:
        RuleError: auditctl or the kernel refuses it.
    """
    line = text.removesuffix("\r")
    if not text.strip(" ") or line.lstrip().startswith("#"):
        return None
    if not line.strip(" "):
        raise RuleError(_WINDOWS)
    words = [w for w in line.split(" ") if w]
    for before, word in pairwise(["", *words]):
        if "\t" in word and before != "-k":
            raise RuleError("a tab parts nothing: use blanks")
    if line != text and not _keeps_return(words):
        raise RuleError(_WINDOWS)
    try:
        options, rest = getopt.gnu_getopt(
            words,
            _SHORT_OPTIONS,
            _LONG_OPTIONS,
        )
    except getopt.GetoptError as exc:
        raise RuleError(one_line(exc.msg, 80)) from None
    if rest:
        raise RuleError(f"{one_line(rest[0], 40)!r} belongs to no option")
    if not options:
        raise RuleError("it holds no option")
    reader = _Reader(host)
    for option, value in options:
        reader.read(option, value)
    return reader.statement()


def _keeps_return(words: Sequence[str]) -> bool:
    """Whether auditctl takes a carriage return there: behind a key, or the number of a user."""
    last = words[-1]
    is_key = words[-2:-1] == ["-k"] or last.startswith("key=")
    return is_key or bool(re.fullmatch(r"a?[ug]id[!=<>]+-?[0-9]+", last))


class _Reader:
    """Reads the options of one line in their order, as auditctl does."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._kind = ""
        self._control: Control | None = None
        self._action = "always"
        self._filter = ""
        self._machines: list[tuple[str, str]] = []
        self._syscalls: set[int] | None = None
        self._all_calls = False
        self._calls_seen = False
        self._may_have_key = False
        self._conditions: list[Condition] = []
        self._keys: list[str] = []
        self._order: list[str] = []
        self._perm = ""

    def read(self, option: str, value: str) -> None:
        readers: Mapping[str, Callable[[str, str], None]] = {
            "-a": self._list,
            "-A": self._list,
            "-d": self._list,
            "-w": self._watch,
            "-W": self._watch,
            "-p": self._permissions,
            "-k": self._key,
            "-S": self._calls,
            "-F": self._field,
            "-C": self._compare,
        }
        readers.get(option, self._set)(option, value)

    def statement(self) -> Statement:
        if not self._filter:
            if self._control is None:
                raise RuleError("neither -a nor -w is given")
            return self._control
        if self._perm:
            self._conditions = [c for c in self._conditions if c.name != "perm"]
            self._conditions.append(Condition("perm", "=", self._perm))
        if self._calls_seen and self._filter not in {"exit", "io_uring"}:
            raise RuleError(f"-S cannot be used with the list {self._filter}")
        if self._kind in {"-w", "-W"}:
            self._syscalls = None
        rule = Rule(
            self._action,
            self._filter,
            tuple(sorted(self._machines)),
            None if self._syscalls is None else frozenset(self._syscalls),
            tuple(sorted(self._conditions)),
            tuple(sorted(self._keys)),
            (*(f"perm={self._perm}" if o == "perm" else o for o in self._order), *self._keys),
            is_first=self._kind == "-A",
        )
        return Deletion(rule) if self._kind in {"-d", "-W"} else rule

    def _once(self, option: str) -> None:
        if self._filter:
            raise RuleError(f"{option} is the second rule of the line")
        self._kind = option

    def _list(self, option: str, value: str) -> None:
        self._once(option)
        parts = value.split(",")
        found = set(parts)
        if len(parts) != 2 or len(found & _LISTS) != 1 or len(found & _ACTIONS) != 1:
            raise RuleError(
                f"{option} {one_line(value, 40)}: it takes one of {', '.join(sorted(_LISTS))} "
                "and always or never"
            )
        self._filter, self._action = (found & _LISTS).pop(), (found & _ACTIONS).pop()

    def _watch(self, option: str, value: str) -> None:
        self._once(option)
        self._filter, self._action = "exit", "always"
        path = _path(value)
        self._conditions.append(Condition("path", "=", path))
        self._order += [f"{'dir' if path in self._host.folders else 'path'}={path}", "perm"]
        self._perm = "rwxa"
        self._calls_seen = True
        self._may_have_key = True

    def _permissions(self, _: str, value: str) -> None:
        if not self._conditions and not self._machines:
            raise RuleError("-p stands before the watch")
        self._perm = _permissions(value)
        self._may_have_key = True

    def _key(self, option: str, value: str) -> None:
        if self._control is not None and self._control.option == "-D" and not self._filter:
            self._control = Control("-D", value)
            return
        if option == "-k" and not self._may_have_key:
            raise RuleError("-k stands before the watch or the system call")
        if self._filter == "exclude":
            raise RuleError("the list exclude takes no key")
        if len(value) > _KEY_LIMIT:
            raise RuleError(f"the key is longer than {_KEY_LIMIT} characters")
        if value := value.rstrip("\t\r"):
            self._keys.append(value)

    def _calls(self, _: str, value: str) -> None:
        if self._filter not in {"", "exit", "io_uring"}:
            raise RuleError(f"-S cannot be used with the list {self._filter}")
        self._may_have_key = True
        machine = "io_uring"
        if self._filter != "io_uring":
            own = self._host.table or self._host.machine
            machine = self._machines[-1][1] if self._machines else own
        names = [n for n in value.split(",") if n]
        self._all_calls = self._all_calls or "all" in names
        numbers = {syscall_number(n, machine) for n in names if n != "all"}
        self._syscalls = None if self._all_calls else (self._syscalls or set()) | numbers
        self._calls_seen = True

    def _field(self, _: str, value: str) -> None:
        if not self._filter:
            raise RuleError("-F stands before the rule")
        operator = next(
            (o for o in sorted(_OPERATORS, key=lambda o: (_at(value, o), -len(o))) if o in value),
            "",
        )
        name, _, text = value.partition(operator) if operator else (value, "", "")
        if not operator or not name:
            raise RuleError(f"-F {one_line(value, 60)} has no operator")
        name = {"loginuid": "auid"}.get(name, name)
        if name == "arch":
            if self._calls_seen:
                raise RuleError("arch stands behind -S")
            if operator not in _EQUAL or self._filter == "filesystem":
                raise RuleError(f"arch {operator} cannot be used with the list {self._filter}")
            self._machines.append((operator, self._host.machine_of(text)))
            self._order.append(f"arch{operator}{self._machines[-1][1]}")
            return
        if name == "key":
            self._key("-F key", text)
            return
        if name == "perm":
            self._perm = _permissions(text)
        if name in {"path", "dir", "perm", "exe", "fstype"}:
            self._may_have_key = True
        if name == "path" and text.endswith("/"):
            raise RuleError("a path of -F may not end in a slash: the kernel refuses it")
        if name in {"path", "dir"} and any(c.name == "path" for c in self._conditions):
            raise RuleError("a rule takes one path or dir")
        made = _condition(name, operator, text, self._filter, self._host)
        named = {"dir": f"dir={text}", "path": f"path={made.value}", "perm": "perm"}
        self._order.append(named.get(name, str(made)))
        self._conditions.append(replace(made, name="path") if name == "dir" else made)

    def _compare(self, _: str, value: str) -> None:
        found = re.fullmatch(r"(\w+)(!=|=)(\w+)", value)
        if found is None or self._filter != "exit":
            raise RuleError(f"-C {one_line(value, 60)} compares no two fields of a call")
        names = {found[1], found[3]}
        if len(names) != 2 or not any(names <= group for group in _COMPARABLE):
            raise RuleError(f"-C {one_line(value, 60)}: these two cannot be compared")
        self._conditions.append(Condition(",".join(sorted(names)), found[2]))
        self._order.append(str(self._conditions[-1]))

    def _set(self, option: str, value: str) -> None:
        if self._control is not None and "-D" in {self._control.option, option}:
            raise RuleError("beside -D only -k is allowed")
        limit = {"-e": 2, "-f": 2, "-b": _MAX, "-r": _MAX, "--backlog_wait_time": _MAX}.get(option)
        if limit is not None and not 0 <= _number(option, value) <= limit:
            raise RuleError(f"{option} {one_line(value, 40)} is not from 0 to {limit}")
        if option == "-q" and len([p for p in value.split(",") if p]) != 2:
            raise RuleError("-q takes two folders, parted by a comma")
        self._control = Control(option, value)


def _at(text: str, operator: str) -> int:
    place = text.find(operator)
    return place if place >= 0 else len(text) + 1


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise RuleError(f"{one_line(value, 60)} is no full path")
    if len(value) > 4096:
        raise RuleError("the path is too long")
    return value.rstrip("/") or "/"


def _permissions(value: str) -> str:
    if not value or len(value) > 4 or not set(value.lower()) <= set("rwxa"):
        raise RuleError(f"permissions {one_line(value, 20)!r} are none of r, w, x, a")
    return "".join(c for c in "rwxa" if c in value.lower())


def _condition(name: str, operator: str, text: str, listed: str, host: Host) -> Condition:
    _check_place(name, operator, listed)
    if name in _SUBJECT | _OBJECT:
        return Condition(name, operator, text)
    if name in _USERS:
        return Condition(name, operator, str(_id(name, text, host.users)))
    if name in _GROUPS:
        return Condition(name, operator, str(_id(name, text, host.groups)))
    if name in _ARGUMENTS:
        return Condition(name, operator, str(_number(name, text) & _MAX))
    if name in _NUMBERS:
        number = _UNSET if text == "unset" and name == "sessionid" else _number(name, text)
        number = _UNSET if number == _MAX and name == "sessionid" else number
        if number < 0 and name != "sessionid":
            raise RuleError(f"{name} {one_line(text, 40)} is below 0")
        return Condition(name, operator, str(number))
    special: Mapping[str, Callable[[str], str]] = {
        "path": _path,
        "dir": _path,
        "exe": _path,
        "perm": _permissions,
        "fstype": _file_system,
        "filetype": _file_type,
    }
    if name in special:
        return Condition(name, operator, special[name](text))
    if name == "exit":
        return Condition(name, operator, str(_exit(text)))
    if name == "msgtype":
        return Condition(name, operator, str(_message_type(text)))
    raise RuleError(f"there is no field {one_line(name, 40)}")


def _check_place(name: str, operator: str, listed: str) -> None:
    """Refuse fields that the list does not know, and operators that the field does not take."""
    foreign = (
        (name in _EXIT_ONLY and listed != "exit")
        or (name == "msgtype" and listed not in {"exclude", "user"})
        or (name == "sessionid" and listed in {"task", "io_uring"})
        or (name == "fstype") != (listed == "filesystem")
    )
    if foreign:
        raise RuleError(f"{one_line(name, 40)} cannot be used with the list {listed}")
    if name in {"path", "dir", "perm"}:
        allowed = frozenset({"="})
    elif name in _EQUAL_ONLY:
        allowed = _EQUAL
    elif name in _ARGUMENTS | {"pers", "devminor"}:
        allowed = frozenset(_OPERATORS)
    else:
        allowed = frozenset(_OPERATORS) - {"&", "&="}
    if operator not in allowed:
        raise RuleError(f"{one_line(name, 40)} takes no {operator}")


def _number(name: str, text: str) -> int:
    """Read a number as C does: ``0x10`` is 16, ``010`` is 8."""
    if re.fullmatch(r"-?(0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19})", text):
        digits = text.lstrip("-")
        base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
        return int(digits, base) * (-1 if text.startswith("-") else 1)
    raise RuleError(f"{name} {one_line(text, 40)!r} is no number")


def _id(name: str, text: str, known: Mapping[str, int]) -> int:
    if text == "unset":
        text = "-1"
    if text[:1].isdecimal() or text[:1] == "-":
        number = _number(name, text) & _MAX
        signed = number - 2**32 if number >= 2**31 else number
        if signed == _UNSET and name != "auid":
            raise RuleError(f"{name} cannot be unset")
        return signed
    if text == "root":
        return 0
    if text in known:
        return known[text]
    raise AbsentError(f"{name}: the host knows no {one_line(text, 40)}")


def _exit(text: str) -> int:
    sign, name = (-1, text[1:]) if text.startswith("-") else (1, text)
    table = _tables()["errno"]
    return sign * int(table[name]) if name in table else _number("exit", text)


def _message_type(text: str) -> int:
    table = _tables()["msgtype"]
    return int(table[text]) if text in table else _number("msgtype", text)


def _file_type(text: str) -> str:
    if text in _FILE_TYPES:
        return str(_FILE_TYPES[text])
    number = _number("filetype", text)
    if number not in _FILE_TYPES.values():
        raise RuleError(f"there is no filetype {one_line(text, 40)}")
    return str(number)


def _file_system(text: str) -> str:
    known = {"debugfs": 0x64626720, "tracefs": 0x74726163}
    return str(known[text] if text in known else _number("fstype", text))


def loaded_by(statements: Sequence[Statement]) -> list[Rule]:
    """Return the rules that are there after these statements, in the order of the kernel.

    ``-D`` takes all away (with ``-k`` those of the key), ``-d`` and ``-W`` one; a rule that is
    there already is refused, and is left out.
    """
    rules: list[Rule] = []
    held: set[tuple[Rule, tuple[str, ...]]] = set()
    for statement in statements:
        if isinstance(statement, Rule):
            if statement.is_first or statement.identity not in held:
                rules.append(statement)
                held.add(statement.identity)
            continue
        rules = _after(statement, rules)
        held = {rule.identity for rule in rules}
    return rules


def _after(statement: Control | Deletion, rules: list[Rule]) -> list[Rule]:
    """Return what a line leaves of the rules that is none itself."""
    if isinstance(statement, Deletion):
        wanted = statement.rule.identity
        at = next((i for i, rule in enumerate(rules) if rule.identity == wanted), len(rules))
        return rules[:at] + rules[at + 1 :]
    if statement.option == "-D":
        return [rule for rule in rules if statement.value and statement.value not in rule.keys]
    return rules


def compare(loaded: Iterable[Rule], wanted: Iterable[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Return the wanted rules that no loaded one equals, each used once, and the loaded ones left.

    Two things in auditctl's list are not what was asked for: before version 4 ``exe!=`` is
    printed as ``exe=``, and version 4 gives a rule with ``perm`` the calls that can use the
    permission, if it has an arch or ``-S``. Such rules are found by all the rest.
    """
    count = Counter(loaded)
    unequal = []
    for rule in wanted:
        if count[rule]:
            count[rule] -= 1
        else:
            unequal.append(rule)
    alike: dict[Rule, list[Rule]] = {}
    for rule in count.elements():
        alike.setdefault(_without_calls(rule), []).append(rule)
    missing = []
    for rule in unequal:
        left = alike.get(_without_calls(rule), [])
        found = next((r for r in left if _is_printed_for(rule, r)), None)
        if found is None:
            missing.append(rule)
        else:
            left.remove(found)
    return missing, [rule for left in alike.values() for rule in left]


def _is_printed_for(wanted: Rule, printed: Rule) -> bool:
    if wanted.syscalls == printed.syscalls:
        return True
    if wanted.value("perm") is None or printed.syscalls is None:
        return False
    return bool(wanted.machines) if wanted.syscalls is None else wanted.syscalls < printed.syscalls


def _without_calls(rule: Rule) -> Rule:
    conditions = (replace(c, operator="=") if c.name == "exe" else c for c in rule.conditions)
    return replace(rule, conditions=tuple(sorted(conditions)), syscalls=None)


def holds(condition: Condition, number: int) -> bool:
    """Whether a condition on a number is true of it: ``msgtype>=1300`` of 1300."""
    value = int(condition.value)
    return {
        "=": number == value,
        "!=": number != value,
        "<": number < value,
        "<=": number <= value,
        ">": number > value,
        ">=": number >= value,
    }.get(condition.operator, False)


def drops_calls(rule: Rule) -> bool:
    """Whether a rule of the list exclude is about the record that names the call and the key."""
    types = [c for c in rule.conditions if c.name == "msgtype"]
    return rule.filter == "exclude" and all(holds(c, _SYSCALL_RECORD) for c in types)


def is_off(rule: Rule) -> bool:
    """Whether a rule keeps all that 64-bit programs do from being recorded, once it is reached."""
    if rule.filter == "exclude":
        only_types = all(c.name == "msgtype" for c in rule.conditions)
        return bool(rule.conditions) and only_types and drops_calls(rule)
    of_64_bits = all((o == "=") == (m in _MACHINES) for o, m in rule.machines)
    everything = rule.syscalls is None and not rule.conditions and of_64_bits
    return rule.action == "never" and rule.filter in {"task", "exit"} and everything


def parse_loaded_line(text: str, host: Host) -> Rule:
    """Read a line of ``auditctl -l``.

    A rule with nothing but ``perm`` is printed without its beginning, and one whose ``perm``
    stands before its path as ``-p x-w /usr/bin/dnf``.

    Raises:
        RuleError: It is no rule.
    """
    line = text.strip()
    line = re.sub(r"^(-p [rwxa]+)(-w /\S*)", r"\2 \1", line)
    if line.startswith("-p "):
        line = f"-a always,exit -F perm={line[3:]}"
    found = parse_line(line, host)
    if not isinstance(found, Rule):
        raise RuleError(f"{one_line(line, 60)} is no rule")
    return found
