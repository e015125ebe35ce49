"""What no root can show that is not booted: a line of a file of the host script, and why."""

from __future__ import annotations

from collections.abc import Mapping

_AWK = "where awk fails, which is another one for each run: tests/unit/test_facts_whole.py"

UNREACHED: Mapping[str, Mapping[str, str]] = {
    "connection/prelude.sh": {
        "not_whole processes": "root sees the program of every process; tests/unit/test_reads.py",
    },
    "facts/tls/nginx.sh": {'not_whole "$files"': _AWK},
    "facts/tls/apache.sh": {"not_whole 'the configuration'": _AWK},
    "facts/auditd/audit_rules.sh": {'not_whole "$file"': _AWK},
    "facts/ssh/sshd.sh": {
        'say "X more than 1000 connections are to be asked for"': (
            "a thousand answers of sshd take ten seconds"
        ),
    },
}
