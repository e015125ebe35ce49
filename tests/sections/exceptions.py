"""What no root can show that is not booted: a line of a file of the host script, and why."""

from __future__ import annotations

from collections.abc import Mapping

UNREACHED: Mapping[str, Mapping[str, str]] = {
    "facts/ssh/sshd.sh": {
        "say 'X there are more than 1000 connections to ask for'": (
            "a thousand answers of sshd take ten seconds"
        ),
    },
}
