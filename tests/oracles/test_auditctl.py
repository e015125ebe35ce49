"""Rules that the kernel took, as the installed auditctl prints them: are they those of the files?

The rules of a kernel are the whole machine's: nothing is done where it records, or has rules.
``ORACLE_SAMPLES`` is how many files of random rules are loaded.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_droplet.facts.auditd.audit_files import parse_audit_files
from pytest_droplet.facts.auditd.audit_rules import compare
from pytest_droplet.facts.auditd.auditd import parse_loaded

SAMPLES = int(os.environ.get("ORACLE_SAMPLES", "15"))


def auditctl(*arguments: str) -> str:
    asked = subprocess.run(["auditctl", *arguments], capture_output=True, text=True, check=False)
    return asked.stdout if asked.returncode == 0 else ""


def why_not() -> str:
    if os.uname().machine != "x86_64" or shutil.which("auditctl") is None:
        return "no auditctl for x86_64"
    if "enabled 0\n" not in auditctl("-s") or auditctl("-l") != "No rules\n":
        return "the kernel refuses, records, or has rules"
    return ""


REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)
CALLS = {
    "": ("open", "unlink", "setresuid", "mprotect", "execve,open", "all", "3"),
    "-F arch=b64 ": ("open", "openat,unlink", "init_module", "clock_settime", "all"),
    "-F arch=b32 ": ("open", "stime", "socketcall", "chown32", "all"),
    "-F arch!=b64 ": ("open", "mount"),
}
MORE = ("", "-F auid>=1000 -F auid!=unset ", "-F exit=-EACCES ", "-C uid!=euid ", "-F a0=0x0 ")
OTHERS = (
    *("-w /etc/passwd -p wa", "-w /etc -p wa", "-w /usr/bin/env -p x", "-a never,task -F uid=33"),
    *("-a always,exit -F path=/etc/hosts -F perm=wa", "-a never,exit -F dir=/dev/shm"),
    *("-a always,exit -F dir=/etc/ssh/ -F perm=wa", "-A never,exit -F arch=b64 -S all -F uid=7"),
    *("-a always,exclude -F msgtype=CWD", "-a never,filesystem -F fstype=tracefs"),
)


def random_rules(chance: random.Random) -> Iterator[str]:
    """Yield different rules, with and without arch, so that each has another key."""
    for number in range(chance.randint(2, 14)):
        if chance.random() < 0.3:
            yield chance.choice([rule for rule in OTHERS if "exclude" in rule or "-w" in rule])
            continue
        arch = chance.choice(tuple(CALLS))
        list_ = chance.choice(("-a always,exit", "-a exit,always", "-A always,exit"))
        names = chance.choice(CALLS[arch])
        yield f"{list_} {arch}-S {names} {chance.choice(MORE)}-k k{number}"


FILES = {
    "without arch": (
        "-a always,exit -F arch=b32 -S open -k a\n-a always,exit -S open -k b\n"
        "-a always,exit -S unlink -k c\n"
    ),
    "others": "".join(f"{rule}\n" for rule in OTHERS),
    **{
        f"random {n}": "".join(
            f"{rule}\n" for rule in dict.fromkeys(random_rules(random.Random(20261130 + n)))
        )
        for n in range(SAMPLES)
    },
}


@pytest.mark.parametrize("name", FILES)
def test_what_the_kernel_prints_is_what_the_files_say(tmp_path: Path, name: str) -> None:
    """No rule of the file is missing in the list, and none is there that the file has not."""
    path = tmp_path / "rules"
    path.write_text(FILES[name])
    try:
        subprocess.run(["auditctl", "-R", str(path)], capture_output=True, check=True)
        loaded = parse_loaded(auditctl("-l").splitlines())
    finally:
        auditctl("-D")
    numbered = "".join(f"| {n} {line}\n" for n, line in enumerate(FILES[name].splitlines(), 1))
    files = parse_audit_files(f"F 640 0 /etc/audit/rules.d/x.rules\n{numbered}", "x86_64")

    read, unread = loaded.rules("x86_64")

    assert unread == []
    assert compare(read, files.rules()) == ([], [])
