"""What a block of an ssh config is for: ``Host`` and ``Match``.

Source: ssh_config(5), ``match_cfg_line`` of OpenSSH's readconf.c.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Protocol

from pytest_droplet.connection.client_config.files import Line, SshConfigError, split_words
from pytest_droplet.connection.client_config.interfaces import in_networks
from pytest_droplet.connection.client_config.tokens import local_user

_WITHOUT_ARGUMENT = {"all", "canonical", "final"}
_SPLIT = re.compile(r'[ \t]*(?:([^ \t"=]*)"([^"]*)"[ \t]*|([^ \t"=]+)(?:[ \t]*=[ \t]*|[ \t]*))')
_SHELL_LIKE = (9, 9)
"""The release of OpenSSH from which ``Match`` takes quotes and backslashes as a shell does."""


@dataclass(frozen=True, slots=True)
class View:
    """A name under which a host is known.

    Attributes:
        original: What would be typed behind ``ssh``: the Droplet's name, or its address.
        host: What it leads to, which is what ``Match host`` is asked about.
    """

    original: str
    host: str


class State(Protocol):
    """What is known of the host where a block begins."""

    final: bool
    """Whether the config is read for the second time."""

    def views(self) -> Sequence[View]:
        """The names under which it is known, the likeliest first."""

    def typed(self) -> Sequence[tuple[str, View]]:
        """What ``Host`` is asked about: what would be typed, later where that led."""

    def user(self) -> str:
        """The user who logs in, as far as is known."""

    def tag(self) -> str:
        """The value of ``Tag``."""

    def succeeds(self, command: str, view: View) -> bool:
        """Run a command of ``Match exec``."""


class Patterns:
    """Patterns with ``*`` and ``?``; one that begins with ``!`` refuses what it matches."""

    def __init__(self, patterns: Sequence[str], *, lower: bool = False) -> None:
        known = [p.lower() if lower else p for p in patterns]
        self._lower = lower
        wanted = [p for p in known if not p.startswith("!")]
        self._words = frozenset(p for p in wanted if not _has_signs(p))
        self._wanted = _any_of([p for p in wanted if _has_signs(p)])
        self._refused = _any_of([p[1:] for p in known if p.startswith("!")])

    def match(self, text: str) -> bool:
        """Tell whether a pattern matches and none refuses."""
        if self._lower:
            text = text.lower()
        if text not in self._words and (self._wanted is None or self._wanted(text) is None):
            return False
        return self._refused is None or self._refused(text) is None


class HostBlock:
    """``Host``: patterns for what would be typed behind ``ssh``."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._patterns = Patterns(line.words or ())

    def match(self, state: State) -> View | None:
        """Return the first of the names that the block is for; None: it is not for this host."""
        if self._line.words is None:
            raise SshConfigError(f"ssh config: {self._line.where}: Host: a quote is not closed")
        for text, view in state.typed():
            if self._patterns.match(text):
                return view
        return None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition of ``Match``."""

    name: str
    argument: str
    negated: bool


class MatchBlock:
    """``Match``: conditions that must all hold."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._error = ""
        self._criteria: tuple[Criterion, ...] = ()
        try:
            self._criteria = tuple(_criteria(line.text))
        except ValueError as exc:
            self._error = str(exc)
        self.wants_final = any(c.name == "final" for c in self._criteria)
        self.slow = any(c.name in {"exec", "localnetwork"} for c in self._criteria)

    def match(self, state: State) -> View | None:
        """Return the first of the names for which all holds; None: the block is not for it.

        Raises:
            SshConfigError: A condition is not known, or cannot be told here.
        """
        if self._error:
            raise self._refused(self._error)
        return next((view for view in state.views() if self._holds(state, view)), None)

    def _holds(self, state: State, view: View) -> bool:
        return all(self._test(c, state, view) is not c.negated for c in self._criteria)

    def _test(self, criterion: Criterion, state: State, view: View) -> bool:
        argument = criterion.argument
        match criterion.name:
            case "all":
                return True
            case "canonical" | "final":
                return state.final
            case "host":
                return _list(argument, lower=True).match(view.host)
            case "originalhost":
                return _list(argument, lower=True).match(view.original)
            case "user":
                return _list(argument).match(state.user())
            case "localuser":
                return _list(argument).match(local_user())
            case "tagged":
                return _list(argument).match(state.tag()) or argument == state.tag() == ""
            case "exec":
                return state.succeeds(argument, view)
            case "localnetwork":
                return self._is_in_networks(argument)
        raise self._refused(f"{criterion.name} is not followed")

    def _is_in_networks(self, argument: str) -> bool:
        try:
            return in_networks(argument.split(","))
        except (OSError, ValueError) as exc:
            raise self._refused(f"localnetwork cannot be told ({exc})") from None

    def _refused(self, why: str) -> SshConfigError:
        return SshConfigError(f"ssh config: {self._line.where}: Match {self._line.text}: {why}")


def _criteria(text: str) -> list[Criterion]:
    words = _words(text)
    found: list[Criterion] = []
    while words:
        word = words.pop(0)
        name = word.lstrip("!").lower() if word.startswith("!") else word.lower()
        if name.startswith("#"):
            break
        argument = ""
        if name not in _WITHOUT_ARGUMENT:
            if not words or words[0].startswith("#"):
                raise ValueError(f"{word} has no argument")
            argument = words.pop(0)
        found.append(Criterion(name, argument, negated=word.startswith("!")))
    if not found:
        raise ValueError("it has no condition")
    return found


def _words(text: str) -> list[str]:
    """Return the words of a Match line, by the rules of the installed client where they differ."""
    old = _old_words(text)
    if "\\" not in text and "'" not in text:
        return old
    new = _new_words(text)
    return old if old != new and _version() < _SHELL_LIKE else new


def _old_words(text: str) -> list[str]:
    """Split as ``strdelim``: at blanks or one ``=``; only double quotes quote."""
    return [(m[1] + m[2]) if m[3] is None else m[3] for m in _SPLIT.finditer(text)]


def _new_words(text: str) -> list[str]:
    """Split as a shell; the name of a condition may be followed by ``=``."""
    words: list[str] = []
    for word in split_words(text):
        name, equals, argument = word.partition("=")
        if equals and len(words) % 2 == 0 and name.isalpha():
            words += [name, argument]
        else:
            words.append(word)
    return words


@cache
def _version() -> tuple[int, int]:
    """Return the release of the installed client; the newest rules where there is none."""
    program = shutil.which("ssh")
    if program is not None:
        done = subprocess.run(  # noqa: S603 a fixed command
            [program, "-V"], capture_output=True, text=True, check=False, timeout=10
        )
        found = re.search(r"OpenSSH_(\d+)\.(\d+)", done.stderr)
        if found:
            return int(found[1]), int(found[2])
    return _SHELL_LIKE


@lru_cache(maxsize=4096)
def _list(text: str, *, lower: bool = False) -> Patterns:
    return Patterns(text.split(","), lower=lower)


def _has_signs(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _any_of(patterns: Sequence[str]) -> Callable[[str], object] | None:
    if not patterns:
        return None
    return re.compile("|".join(_translate(p) for p in patterns)).match


def _translate(pattern: str) -> str:
    """Return the regular expression of a pattern; a bracket in it means itself."""
    return fnmatch.translate(pattern.replace("[", "[[]"))
