"""Rules that the kernel took, as the installed auditctl prints them: are they those of the files?

The rules of a kernel are the whole machine's: nothing is done where it records, or has rules.
``ORACLE_SAMPLES`` is how many files of random rules are loaded.
"""

import gzip
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_droplet.facts.auditd.audit_files import AuditFiles, parse_audit_files
from pytest_droplet.facts.auditd.audit_rules import RuleError, compare
from pytest_droplet.facts.auditd.auditd import LoadedRules, parse_loaded

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


ALIKE = (
    *("-w /etc -p wa -k x", "-w /etc/ -p aw -k x", "-a always,exit -F dir=/etc -F perm=wa -k x"),
    *(
        "-a always,exit -F dir=/etc/ -F perm=wa -k x",
        "-a always,exit -F path=/etc -F perm=wa -k x",
    ),
    *("-w /etc/passwd -p wa -k x", "-a exit,always -F key=x -F path=/etc/passwd -F perm=wa"),
    *("-a always,exit -F perm=wa -F path=/etc/passwd -k x", "-w /etc/passwd -k x"),
    *(
        "-a always,exit -S open -F uid=0 -F gid=0 -k x",
        "-A always,exit -S 2 -F uid=0 -F gid=0 -k x",
    ),
    *("-a always,exit -S open -F gid=0 -F uid=root -k x", "-a always,exit -S 2 -k x -k y"),
    *("-a always,exit -F arch=b64 -S open -k x", "-a always,exit -F arch=x86_64 -S 2 -k x"),
    *("-a always,exit -S open -k y -k x", "-a always,exit -F arch=b64 -S all -C uid!=euid"),
    *(
        "-a always,exit -F arch=b64 -C euid!=uid",
        "-W /etc -p wa -k x",
        "-W /etc/passwd -p wa -k x",
    ),
    *(
        "-d always,exit -F dir=/etc/ -F perm=wa -k x",
        "-d always,exit -S open -F uid=0 -F gid=0 -k x",
    ),
    *("-w /nowhere/x -p wa -k x", "-a always,exit -F dir=/nowhere -F perm=wa -k x"),
    *(
        "-a always,exit -F path=/nowhere/x -F perm=x -k x",
        "-a always,exit -F arch=b64 -S fchmodat2",
    ),
)
"""Rules of one sense in several forms, what deletes some of them, and what many hosts refuse."""


def alike(number: int) -> str:
    """Return a file of these rules, some of them more than once, that goes on behind errors."""
    chance = random.Random(20261201 + number)
    lines = [chance.choice(ALIKE) for _ in range(chance.randint(2, 12))]
    return "".join(f"{line}\n" for line in ("-i", *lines))


def read(text: str) -> AuditFiles:
    """Read rules as the section prints them with what it says of their paths."""
    numbered = "".join(f"| {n} {line}\n" for n, line in enumerate(text.splitlines(), 1))
    paths = [Path(found) for found in re.findall(r"(?:-w |path=|dir=)(/\S*)", text)]
    said = "".join(f"D {path}\n" for path in paths if path.is_dir())
    said += "".join(f"N {path}\n" for path in paths if not path.parent.is_dir())
    files = parse_audit_files(f"F 640 0 /etc/audit/rules.d/x.rules\n{numbered}{said}", "x86_64")
    shown = subprocess.run(["auditctl", "-v"], capture_output=True, text=True, check=True)
    return replace(files, version=shown.stdout.split()[-1])


def load(path: Path, text: str) -> LoadedRules:
    """Load rules, and return what the kernel has of them; it has none afterwards."""
    path.write_text(text)
    try:
        subprocess.run(["auditctl", "-R", str(path)], capture_output=True, check=True)
        return parse_loaded(auditctl("-l").splitlines())
    finally:
        auditctl("-D")


@pytest.mark.parametrize("name", FILES)
def test_what_the_kernel_prints_is_what_the_files_say(tmp_path: Path, name: str) -> None:
    """No rule of the file is missing in the list, and none is there that the file has not."""
    loaded = load(tmp_path / "rules", FILES[name])
    files = read(FILES[name])

    found, unread = loaded.rules("x86_64")

    assert unread == []
    assert compare(found, files.rules()) == ([], [])


@pytest.mark.parametrize("number", range(SAMPLES * 2))
def test_the_kernel_holds_a_rule_twice_where_it_takes_it_twice(
    tmp_path: Path, number: int
) -> None:
    """What it refuses is known: a rule that is there, a folder or a name that is not."""
    loaded = load(tmp_path / "rules", alike(number))
    files = read(alike(number))

    missing, extra = compare(loaded.rules("x86_64")[0], files.rules())

    assert [str(rule) for rule in missing if not files.passes_over(rule)] == []
    assert extra == []


SHIPPED = sorted(
    path
    for folder in ("/usr/share/doc/auditd/examples/rules", "/usr/share/audit-rules")
    for path in Path(folder).glob("*.rules*")
)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_rules_that_the_package_ships_are_read(tmp_path: Path, path: Path) -> None:
    """Each line of each sample; but for those that lock the kernel or set its limits."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    rules = [line for line in text.splitlines() if line[:2] in {"-a", "-A", "-w"}]
    if not rules:
        pytest.skip("it has no rule")
    wanted = "".join(f"{line}\n" for line in ("-i", *rules))
    files = read(wanted)
    wrong = [
        str(said)
        for line, said in files.statements(files.lines)
        if isinstance(said, RuleError) and not files.is_passed_over(line, said)
    ]

    found, unread = load(tmp_path / "rules", wanted).rules("x86_64")

    missing, extra = compare(found, files.rules())
    assert (wrong, unread, extra) == ([], [], [])
    assert [str(rule) for rule in missing if not files.passes_over(rule)] == []
