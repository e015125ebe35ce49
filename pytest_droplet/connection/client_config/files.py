"""The lines of ssh config files, with those that they include.

Source: ssh_config(5), ``read_config_file`` of OpenSSH's readconf.c; held against ``ssh -G`` by
tests/oracles/test_ssh_config.py.
"""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_droplet.connection.client_config.tokens import TokenError, expand_variables

_MAX_DEPTH = 16
_LINE = re.compile(r'[ \t]*"?([^\s"=]+)"?(?:[ \t]*=[ \t]*|[ \t]*)(.*)', re.DOTALL)
_ESCAPED = {"'", '"', "\\"}


class SshConfigError(Exception):
    """The ssh config cannot be used; the text names file, line, keyword and reason."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a config file.

    Attributes:
        where: File and number of the line.
        keyword: In lower case.
        text: What stands behind the keyword, a comment included.
        words: The text in words, without quotes and comment; None where quotes do not match.
        included: The files that an ``Include`` names, in the order in which they are read.
    """

    where: str
    keyword: str
    text: str
    words: tuple[str, ...] | None
    included: tuple[tuple[Line, ...], ...] = ()


def read_files(user: Sequence[Path], system: Sequence[Path] = ()) -> tuple[tuple[Line, ...], ...]:
    """Return the lines of each of these files that exists.

    Args:
        user: Files of the user: a relative ``Include`` is looked for in ``~/.ssh``.
        system: Files of the system: a relative ``Include`` is looked for in ``/etc/ssh``.

    Raises:
        SshConfigError: A file cannot be read, or others may write it, or files include each other.
    """
    found = [tuple(_read(path, "~/.ssh", 0)) for path in user if path.is_file()]
    found += [tuple(_read(path, "/etc/ssh", 0)) for path in system if path.is_file()]
    return tuple(found)


def split_words(text: str) -> list[str]:
    """Return the words of a line up to a comment, as ssh's ``argv_split`` does.

    Raises:
        ValueError: A quote is not closed.
    """
    words: list[str] = []
    position, end = 0, len(text)
    while position < end:
        if text[position] in " \t":
            position += 1
        elif text[position] == "#":
            break
        else:
            word, position = _word(text, position)
            words.append(word)
    return words


def check_permissions(path: Path) -> None:
    """Refuse a file that another user can write, since it may name commands that are run.

    A group that has nobody but the user in it may write it, as with Debian's ssh.

    Raises:
        SshConfigError: It belongs to somebody else, or others may write it.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return
    foreign = status.st_uid not in {0, os.getuid()}
    others = status.st_mode & stat.S_IWOTH
    group = status.st_mode & stat.S_IWGRP and not _is_of_the_user_alone(status.st_gid)
    if foreign or others or group:
        raise SshConfigError(
            f"ssh config: {path}: others may write it; ssh refuses it too: chmod go-w '{path}'"
        )


def _word(text: str, position: int) -> tuple[str, int]:
    """Return the word that begins here, and the place behind it."""
    letters = []
    quote = ""
    while position < len(text):
        letter, following = text[position], text[position + 1 : position + 2]
        if letter == "\\" and (following in _ESCAPED or (following == " " and not quote)):
            letters.append(following)
            position += 1
        elif not quote and letter in " \t":
            break
        elif not quote and letter in "\"'":
            quote = letter
        elif letter == quote:
            quote = ""
        else:
            letters.append(letter)
        position += 1
    if quote:
        raise ValueError("a quote is not closed")
    return "".join(letters), position


def _read(path: Path, folder: str, depth: int) -> Iterator[Line]:
    if depth > _MAX_DEPTH:
        raise SshConfigError(
            f"ssh config: Include leads in a circle, or over {_MAX_DEPTH} files deep"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except (FileNotFoundError, IsADirectoryError):
        return
    except OSError as exc:
        raise SshConfigError(f"ssh config: {path} cannot be read ({exc.strerror})") from None
    if depth or folder == "~/.ssh":
        check_permissions(path)
    for number, raw in enumerate(text.split("\n"), 1):
        found = _LINE.match(raw.rstrip(" \t\r\n\f"))
        if found is not None and not found[1].startswith("#"):
            yield _line(f"{path} line {number}", found[1].lower(), found[2], folder, depth)


def _line(where: str, keyword: str, text: str, folder: str, depth: int) -> Line:
    try:
        words = tuple(split_words(text))
    except ValueError:
        return Line(where, keyword, text, None)
    included: tuple[tuple[Line, ...], ...] = ()
    if keyword == "include":
        paths = [path for word in words for path in _named(word, folder, where)]
        included = tuple(tuple(_read(path, folder, depth + 1)) for path in paths)
    return Line(where, keyword, text, words, included)


def _named(word: str, folder: str, where: str) -> list[Path]:
    """Return the files that a pattern of ``Include`` names, in the order of their bytes."""
    try:
        pattern = expand_variables(word)
    except TokenError as exc:
        raise SshConfigError(f"ssh config: {where}: Include {word}: {exc}") from None
    if not pattern.startswith(("/", "~")):
        pattern = f"{folder}/{pattern}"
    found = glob.glob(str(Path(pattern).expanduser()))  # noqa: PTH207 its rules are those of glob(3)
    return [Path(name) for name in sorted(found, key=os.fsencode)]


def _is_of_the_user_alone(group: int) -> bool:
    try:
        me = pwd.getpwuid(os.getuid())
        members = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        return False
    return group == me.pw_gid and members <= {me.pw_name}
