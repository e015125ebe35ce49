"""What a recording keeps of what a host printed: the values that checks need, and no others.

A section names its mask beside its text. What is judged is the answer itself: a mask is put on
when the answer is written to a recording, and leaves everything that decides a verdict, so that a
replay judges the same.
"""

from __future__ import annotations

import re

HIDDEN = "hidden"
"""What stands for a value that is not kept. It is a word of its own, as the value was."""

_COMMAND = re.compile(
    r"(?im)\b((?:authorizedkeys|authorizedprincipals|force)command|subsystem[ \t=]+\S+)"
    r"([ \t=]++)(\"?[^\s\"]++)\"?[ \t]+\S.*"
)
_ENVIRONMENT = re.compile(r"(?im)\b(setenv)([ \t=]+)\S.*")
# In JSON and in the language of nft, where a quote cannot stand in it; and of iptables.
_COMMENT = re.compile(
    r'("comment": ?|\bcomment |--comment )'
    r'("(?:\\.|[^"\\\n])*+"|(?<=--comment )[^\s"]+)'
)
# In a line with an address, and in the name of a file that apt made of one.
_ADDRESSED = re.compile(r"(?m)^(?:== .*|.*://.*)$")
# A moment is none: snapshots of distributions are named by it.
_TOKEN = re.compile(
    r"(?<=[/_=])(?!\d{8}T\d{6}Z)(?=[0-9A-Za-z]*\d)(?=[0-9A-Za-z]*[A-Za-z])[0-9A-Za-z]{16,}"
    r"(?![0-9A-Za-z])"
)
_UUID = re.compile(r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b")
# What the mirror lists of distributions are asked for.
_QUERY = re.compile(
    r"(?<=[?&])(?!(?:repo|arch|basearch|country|infra|path|protocol|release|releasever)=)"
    r"([^=&\s]+)=[^&\s]+"
)


def command_name(value: str) -> str:
    """Return the program of a command line, which may be quoted; ``...`` stands for arguments."""
    program, _, arguments = value.strip("\"' \t").partition(" ")
    return f"{program} ..." if arguments else program


def sshd_settings(text: str) -> str:
    """Hide the arguments of commands, and variables, in lines of sshd_config(5)."""
    text = _COMMAND.sub(rf"\1\2\3 {HIDDEN}", text)
    return _ENVIRONMENT.sub(rf"\1\2{HIDDEN}", text)


def rule_comments(text: str) -> str:
    """Hide the comments of packet filter rules, as nft(8) and iptables(8) print them."""
    return _COMMENT.sub(rf'\1"{HIDDEN}"', text)


def addresses(text: str) -> str:
    """Hide what looks like a token in addresses of package sources, and values of their queries.

    The same token becomes the same word in a source and in the name of its index.
    """
    return _ADDRESSED.sub(lambda line: _address(line[0]), text)


def _address(line: str) -> str:
    line = _UUID.sub(HIDDEN, _TOKEN.sub(HIDDEN, line))
    return _QUERY.sub(rf"\1={HIDDEN}", line)
