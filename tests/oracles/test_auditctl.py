"""Rules that the kernel took, as the installed auditctl prints them: are they those of the files?

The rules of a kernel are the whole machine's: nothing is done where it records, or has rules.
``ORACLE_SAMPLES`` is how many files of random rules are loaded.
"""

import fcntl
import gzip
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_droplet.facts.auditd.audit_cover import gaps, parse_surroundings
from pytest_droplet.facts.auditd.audit_files import AuditFiles, parse_audit_files
from pytest_droplet.facts.auditd.audit_rules import Host, Rule, RuleError, compare, parse_line
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


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    """Keep other runs on this machine from the rules of its kernel meanwhile."""
    with Path(tempfile.gettempdir(), "pytest-droplet-auditctl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if reason := why_not():
            pytest.skip(reason)
        yield


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


PERSON = 1000
ACTS = """
import ctypes, os, sys
folder, person = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
with open("/proc/self/loginuid", "w") as own:
    own.write(str(person))
os.chmod("/etc/passwd", os.stat("/etc/passwd").st_mode & 0o7777)
made = os.path.join(folder, "made")
os.close(os.open(made, os.O_CREAT | os.O_WRONLY, 0o600))
os.chmod(made, 0o600)
os.rename(made, made + "2")
os.unlink(made + "2")
libc.mount(b"none", b"/nowhere", b"none", 0, None)
libc.syscall(227, 0, None)
libc.unshare(0x04000000)
libc.sethostname(b"oracle", 6)
closed = os.path.join(folder, "closed")
if os.fork() == 0:
    os.setresuid(65534, 65534, 65534)
    try:
        os.open(closed, os.O_RDONLY)
    except PermissionError:
        pass
    os._exit(0)
os.wait()
os.setresuid(65534, 0, 0)
os.execv("/usr/bin/env", ["env", "true"])
"""
"""What a person does, harmless where it succeeds; a call that fails is one all the same."""

DONE = {
    "identity": {"/etc/passwd (wa)": (90, 'key="watched"')},
    "perm-mod": {"chmod (b64)": (90, '/made"')},
    "delete": {"unlink (b64)": (87, '/made2"'), "rename (b64)": (82, '/made2"')},
    "access": {"openat -EACCES (b64)": (257, '/closed"')},
    "mounts": {"mount (b64)": (165, "")},
    "time-change": {"clock_settime (b64)": (227, "")},
    "system-locale": {"sethostname (b64)": (170, "")},
    "user-emulation": {"execve (b64)": (59, '/usr/bin/env"')},
}
"""Of each group: what it asks for, the call that was made, and a part of what is recorded of it."""

USERS = "-F auid>=1000 -F auid!=unset -k x"
RECORDING = f"""-w /etc/passwd -p wa -k watched
-a always,exit -F arch=b64 -S chmod,fchmod {USERS}
-a always,exit -F arch=b64 -S unlink,rename {USERS}
-a always,exit -F arch=b64 -S openat -F exit=-EACCES {USERS}
-a always,exit -F arch=b64 -S mount {USERS}
-a always,exit -F arch=b64 -S clock_settime -F a0=0x0 -k x
-a always,exit -F arch=b64 -S sethostname -k x
-a always,exit -F arch=b64 -S execve -C euid!=uid -F auid!=unset -k x
"""
FIRST = (
    *("", "-a never,exit -S all", "-a never,exit -F arch=b64 -S all", "-a never,exit -F dir=/etc"),
    *("-a never,exit -F arch=b32 -S all", "-a never,exit -F path=/etc/passwd", "-a never,task"),
    *("-a always,exclude -F msgtype=SYSCALL", "-a always,exclude -F msgtype=CWD"),
    *("-a never,exclude -F msgtype>=1300", "-a never,exit -S all -F auid=unset"),
    *("-a never,exit -F arch=b64 -S chmod", "-a never,exit -F arch=b64 -S rename,execve"),
    *("-a never,exit -S all -F auid>=1000", "-a never,exit -F perm=a", "-a never,exit -F perm=r"),
    *("-a never,exit -S all -F exit=-EPERM", "-a never,exit -F arch=b64 -S all -F a0=1"),
)
INSTEAD = (
    ("-p wa", "-p r"),
    ("-w /etc/passwd", "-w /etc"),
    ("auid>=1000", "auid>=1001"),
    ("auid>=1000", "auid>=500"),
    ("a0=0x0", "a0=0x1"),
    ("exit=-EACCES", "success=0"),
    ("exit=-EACCES", "exit=-EPERM"),
    ("-S chmod,fchmod", "-S fchmod"),
    ("euid!=uid", "uid=euid"),
    ("-F arch=b64 -S mount", "-S all"),
)
WRITTEN = (
    *(f"{rule}\n{RECORDING}" for rule in FIRST),
    *(RECORDING.replace(old, new) for old, new in INSTEAD),
)
"""Rules for all of it, with something in front or a word changed."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the log of a daemon of our own; the kernel is as it was when the tests end."""
    folder = tmp_path_factory.mktemp("auditd")
    path = folder / "audit.log"
    (folder / "auditd.conf").write_text(
        f"log_file = {path}\nlog_group = root\nwrite_logs = yes\nflush = NONE\n"
        "max_log_file = 8\nmax_log_file_action = ignore\nspace_left_action = ignore\n"
        "disk_full_action = ignore\ndisk_error_action = ignore\nspace_left = 2\n"
        "admin_space_left = 1\nadmin_space_left_action = ignore\n"
    )
    command = ["auditd", "-n", "-s", "nochange", "-c", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
        try:
            if not _waited(lambda: path.exists() and "DAEMON_START" in path.read_text()):
                pytest.skip("auditd does not start here")
            yield path
        finally:
            auditctl("-e", "0")
            auditctl("-D")
            daemon.terminate()


def _waited(happened: Callable[[], bool]) -> bool:
    """Wait until something has happened, a minute at most; False: it has not."""
    for _ in range(1200):
        if happened():
            return True
        time.sleep(0.05)
    return False


def recorded(log: Path, text: str, folder: Path) -> list[tuple[int, str]]:
    """Return what ausearch finds of the acts under these rules: number of the call, its records."""
    (folder / "rules").write_text(text)
    (folder / "closed").touch(mode=0o600)
    end = f"end of {folder}"
    try:
        subprocess.run(["auditctl", "-R", str(folder / "rules")], capture_output=True, check=True)
        auditctl("-e", "1")
        command = [sys.executable, "-c", ACTS, str(folder), str(PERSON)]
        subprocess.run(command, check=True)
        auditctl("-D")
        auditctl("-m", end)
        assert _waited(lambda: end in log.read_text())
    finally:
        auditctl("-e", "0")
        auditctl("-D")
    asked = ["ausearch", "-if", str(log), "-ua", str(PERSON), "--raw"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    log.write_text("")
    events: dict[str, str] = {}
    for line in found.splitlines():
        serial = line.partition("msg=audit(")[2].partition(")")[0]
        events[serial] = f"{events.get(serial, '')}{line}\n"
    numbers = {serial: re.search(r" syscall=(\d+) ", event) for serial, event in events.items()}
    return [
        (int(number[1]), events[serial])
        for serial, number in numbers.items()
        if number and "key=(null)" not in events[serial]
    ]


@pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("auditd", "ausearch")),
    reason="no auditd or no ausearch",
)
@pytest.mark.parametrize("text", WRITTEN, ids=range(len(WRITTEN)))
def test_what_a_group_promises_is_found(tmp_path: Path, log: Path, text: str) -> None:
    """The log has each act that is said to be recorded, and none of those that are said not to."""
    tmp_path.chmod(0o755)
    around = parse_surroundings("E /etc/passwd\nC /boot/config\n", "x86_64")
    statements = [parse_line(line, Host()) for line in text.splitlines()]
    rules = [rule for rule in statements if isinstance(rule, Rule)]

    found = recorded(log, text, tmp_path)

    wrong = []
    for group, acts in DONE.items():
        missing = {gap.item.name: gap.certain for gap in gaps(group, rules, around)}
        for item, (number, part) in acts.items():
            is_found = any(n == number and part in event for n, event in found)
            if missing.get(item, True) and is_found != (item not in missing):
                wrong.append((group, item, is_found))
    assert wrong == []
