"""What command lines call: which ACME client is in command position, and whether it renews.

The words are those that ``commands.awk`` tells: known ones, ``_`` for others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

Word: TypeAlias = "str | list[list[Word]]"
"""A word of a command; quoted text, or a substitution, is a list of commands."""

_CLIENTS = {
    "certbot": "certbot",
    "certbot-auto": "certbot",
    "certbot.renew": "certbot",
    "acme.sh": "acme.sh",
    "lego": "lego",
    "dehydrated": "dehydrated",
    "uacme": "uacme",
    "getssl": "getssl",
}
# What a client is told when it renews; none: it always does.
_RENEWING = {
    "certbot": {"renew"},
    "certbot-auto": {"renew"},
    "acme.sh": {"--cron", "--renew-all"},
    "lego": {"renew"},
    "dehydrated": {"-c", "--cron"},
    "uacme": {"issue"},
}
# With these, it may renew and need not.
_PERHAPS = {
    "certbot": {"--keep-until-expiring", "--keep"},
    "acme.sh": {"--renew"},
    "lego": {"run"},
}
_REHEARSALS = {"--dry-run", "--staging", "--test-cert", "--help", "--version"}
_SHELLS = {"sh", "bash", "dash"}
_WRAPPERS = {"exec", "env", "nice", "ionice", "timeout", "flock", "sudo"}
_KEYWORDS = {"if", "then", "do", "!", "{", "}"}
_DEEPEST = 20


def clients_called(lines: Iterable[str]) -> dict[str, bool]:
    """Return the clients that lines of shell call to renew.

    The value is False where it cannot be told whether the client is really called, or renews.
    """
    found: dict[str, bool] = {}
    for line in lines:
        for command in _commands(iter(line.split(" ")), 0):
            for client, renews in _called(command):
                found[client] = found.get(client, False) or renews
    return found


def _commands(words: Iterator[str], depth: int) -> list[list[Word]]:
    """Read commands to the end, or to the parenthesis that ends them."""
    commands: list[list[Word]] = []
    command: list[Word] = []
    for word in words:
        if word == "(" and depth < _DEEPEST:
            inner = _commands(words, depth + 1)
            if command:
                command.append(inner)
            else:
                commands += inner
        elif word == ")" and depth:
            break
        elif not word.strip(";&|`()"):
            commands.append(command)
            command = []
        elif command or word not in _KEYWORDS:
            command.append(word)
    return [c for c in (*commands, command) if c]


def _called(command: list[Word]) -> Iterator[tuple[str, bool]]:
    """Yield the clients that a command calls to renew, and whether it surely does."""
    words = _unwrapped(command)
    first, rest = (words[0], words[1:]) if words else ("", [])
    if isinstance(first, list):
        first = "_"
    if first in _SHELLS:
        script = next((w for w in rest if isinstance(w, list)), [])
        for inner in script if "-c" in rest else []:
            yield from _called(inner)
    elif first in _CLIENTS:
        yield from _client(first, rest)
    elif first == "snap" and "certbot.renew" in rest:
        yield "certbot", True
    else:
        sure = first == "docker"
        for at, word in enumerate(rest):
            if isinstance(word, list):
                yield from ((client, False) for inner in word for client, _ in _called(inner))
            elif word in _CLIENTS:
                yield from (
                    (client, sure and yes) for client, yes in _client(word, rest[at + 1 :])
                )


def _client(name: str, arguments: list[Word]) -> Iterator[tuple[str, bool]]:
    given = {word for word in arguments if isinstance(word, str)}
    if given & _REHEARSALS:
        return
    wanted = _RENEWING.get(name, set())
    if not wanted or given & wanted:
        # Of one certificate alone it cannot be told of which.
        yield _CLIENTS[name], "--cert-name" not in given
    elif given & _PERHAPS.get(name, set()):
        yield _CLIENTS[name], False


def _unwrapped(command: list[Word]) -> list[Word]:
    """Return a command without assignments, and without programs that only run another."""
    words = list(command)
    while words and words[0] in (*_WRAPPERS, "="):
        wrapper = words.pop(0)
        if wrapper == "=" and words and isinstance(words[0], list):
            words.pop(0)  # what is assigned
        while words and isinstance(words[0], str) and (words[0][0] in "-0="):
            words.pop(0)
        if wrapper == "flock" and words and words[0] == "_":
            words.pop(0)
    return words
