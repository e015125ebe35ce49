"""Why a rule that is written as it should be is refused on one host all the same.

Source: tried with auditctl 3.0.9 on Linux 6.18; the tables of audit 2.8 to 4.2; for aarch64
https://github.com/linux-audit/audit-userspace/issues/496, which audit 4.0.4 mended.
"""

from __future__ import annotations

import re

from pytest_droplet.facts.auditd.audit_rules import Host, Rule, known_since
from pytest_droplet.text import one_line

_CALLS = re.compile(r"(?:^| )-S *(\S+)")
_FOLDER = re.compile(r"(?:^| )-F *dir=")
_EXPANDING = ((4,), (4, 0, 4))
"""The first audit that gives a rule with perm its calls, and the first that does so on aarch64."""


def why_refused(text: str, rule: Rule, host: Host, version: str) -> str:
    """Return why auditctl or the kernel refuses a rule on a host; empty where nothing says so.

    Args:
        text: The line that it stands in.
        rule: What the line says.
        host: What is known of the folders of its paths.
        version: That of the installed package, such as ``1:3.0.9-1``; empty where not known.
    """
    if folder := _absent_folder(text, rule, host):
        return f"the folder {one_line(folder, 80)} does not exist"
    if not (installed := _numbers(version)):
        return ""
    shown = f"auditctl {'.'.join(map(str, installed))}"
    names = [name for words in _CALLS.findall(text) for name in words.split(",")]
    for name in names:
        if (since := known_since(name)) and installed < _numbers(since):
            return f"{shown} does not know {name}, {since} does"
    first, mended = _EXPANDING
    expands = bool(rule.machines) and rule.value("perm") is not None and rule.syscalls is None
    if host.machine == "aarch64" and expands and first <= installed < mended:
        return f"{shown} takes no perm= beside arch= on aarch64: leave arch= out"
    return ""


def _absent_folder(text: str, rule: Rule, host: Host) -> str:
    path = rule.value("path")
    if path is None:
        return ""
    if _FOLDER.search(text):
        return "" if path in host.folders else path
    return path.rpartition("/")[0] if path.rpartition("/")[0] in host.absent else ""


def _numbers(version: str) -> tuple[int, ...]:
    """Read ``1:3.0.9-1`` as 3, 0, 9."""
    found = re.match(r"\d{1,4}(?:\.\d{1,4})*", version.rpartition(":")[2])
    return tuple(map(int, found[0].split("."))) if found else ()
