"""The tokens that values of an ssh config may have: ``%h`` and the like, and ``${VARIABLE}``."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_PERCENT = re.compile(r"%(.?)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")


class TokenError(ValueError):
    """A value has a token that stands for nothing."""


def expand(text: str, tokens: Mapping[str, str]) -> str:
    """Replace each ``%x`` by the token's value.

    Raises:
        TokenError: There is no such token where this value stands.
    """
    if "%" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        letter = found[1]
        if letter == "%":
            return "%"
        if letter not in tokens:
            raise TokenError(f"%{letter} is not known there")
        return tokens[letter]

    return _PERCENT.sub(value, text)


def expand_variables(text: str) -> str:
    """Replace each ``${NAME}`` by the variable of the environment.

    Raises:
        TokenError: It is not set, or the brace is not closed.
    """
    if "${" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        if not found[2] or found[1] not in os.environ:
            raise TokenError(f"{found[0]} is not set in the environment")
        return os.environ[found[1]]

    return _VARIABLE.sub(value, text)


def local_user() -> str:
    """Return the name of the user who runs this, by the uid as ssh does."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@cache
def of_this_machine() -> Mapping[str, str]:
    """Return the tokens that are the same for every host."""
    name = socket.gethostname()
    return {
        "d": str(Path.home()),
        "i": str(os.getuid()),
        "l": name,
        "L": name.partition(".")[0],
        "u": local_user(),
    }


def hash_of_connection(host: str, port: int, user: str, jump: str) -> str:
    """Return ``%C``: a hash of ``%l%h%p%r%j``."""
    name = of_this_machine()["l"]
    return hashlib.sha1(
        f"{name}{host}{port}{user}{jump}".encode(), usedforsecurity=False
    ).hexdigest()
