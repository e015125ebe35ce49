"""The CIS groups of events that audit rules should cover, and whether loaded rules do.

A rule covers an event where it records it, whatever its key and however it is written: a watch
on a folder covers the files below it, ``-S all`` covers every call, and a rule without a
condition covers what the same rule with one would.

Source: CIS Ubuntu 24.04 v1.0.0 and Debian 13 v1.0.0 6.2.3, CIS RHEL 9 v2.0.0 6.3.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.auditd.audit_files import machine_name
from pytest_droplet.facts.auditd.audit_rules import (
    Condition,
    Host,
    Rule,
    RuleError,
    drops_calls,
    syscall_number,
)
from pytest_droplet.facts.host.kernel import Kernel, KernelArguments
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.model import NotObservedError, Reading, Section
from pytest_droplet.text import one_line

_IDENTITY = (
    "/etc/group /etc/passwd /etc/gshadow /etc/shadow /etc/security/opasswd /etc/nsswitch.conf "
    "/etc/pam.conf /etc/pam.d"
)
_LOCALE = (
    "/etc/issue /etc/issue.net /etc/hosts /etc/networks /etc/network /etc/netplan "
    "/etc/hostname /etc/sysconfig/network /etc/sysconfig/network-scripts /etc/NetworkManager"
)
WATCHED: Mapping[str, tuple[str, ...]] = {
    "time-change": ("/etc/localtime",),
    "identity": tuple(_IDENTITY.split()),
    "system-locale": tuple(_LOCALE.split()),
    "mac-policy": ("/etc/apparmor", "/etc/apparmor.d", "/etc/selinux", "/usr/share/selinux"),
    "logins": ("/var/log/lastlog", "/var/lib/lastlog/lastlog2.db", "/var/run/faillock"),
    "session": ("/var/run/utmp", "/var/log/wtmp", "/var/log/btmp"),
    "scope": ("/etc/sudoers", "/etc/sudoers.d"),
}
EXECUTED: Mapping[str, tuple[str, ...]] = {"modules": ("/usr/bin/kmod",)}
CALLED: Mapping[str, tuple[str, ...]] = {
    "time-change": ("adjtimex", "settimeofday", "clock_settime"),
    "system-locale": ("sethostname", "setdomainname"),
    "perm-mod": (
        *("chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat"),
        *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    ),
    "access": ("creat", "open", "openat", "truncate", "ftruncate"),
    "mounts": ("mount",),
    "delete": ("unlink", "unlinkat", "rename", "renameat"),
    "user-emulation": ("execve",),
    "modules": ("init_module", "finit_module", "delete_module"),
}
_EXECUTING = ("execve", "execveat")
_TOUCHING = (
    *("open", "openat", "openat2", "creat", "truncate", "ftruncate", "truncate64", "ftruncate64"),
    *("unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink"),
    *("symlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmod", "fchmodat"),
    *("chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32", "setxattr"),
    *("lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "fchmodat2"),
    *("open_by_handle_at", "fallocate"),
)
"""Calls by which a file is changed or its attributes are, and those by which one is executed."""

_OF_USERS = frozenset({"perm-mod", "access", "mounts", "delete", "user-emulation", "modules"})
_ONLY_64_BITS = frozenset({"modules"})
_LIKE_RHEL = frozenset({"almalinux", "rocky", "centos", "rhel"})
_OF_KERNEL = frozenset({0x64626720, 0x74726163})
_DISABLED = "CONFIG_IA32_EMULATION_DEFAULT_DISABLED=y"
_UID_MIN = re.compile(r"UID_MIN\s+(\d{1,9})\s*")
AUDIT_COVER = Section.of_files("facts/auditd/audit_cover.sh", root=True)


@dataclass(frozen=True, slots=True)
class AuditSurroundings:
    """What of the CIS groups there is on the host.

    ``runs_32_bit`` is None where the kernel's configuration is not there to tell; where the
    benchmark of the release asks for 64-bit programs alone, ``alone_64`` says so. ``links`` has
    the folders that are known by another path.
    """

    paths: frozenset[str]
    uid_min: int
    runs_32_bit: bool | None
    sudo_logs: tuple[str, ...]
    host: Host
    alone_64: bool = False
    links: Mapping[str, str] = field(default_factory=dict)

    def real(self, path: str) -> str:
        """Return a path by the folder that it leads to."""
        folder, _, name = path.rstrip("/").rpartition("/")
        folder = self.links.get(folder, folder)
        if folder == "/var/run" or folder.startswith("/var/run/"):
            folder = folder.removeprefix("/var")
        return f"{folder}/{name}"

    def __str__(self) -> str:
        bits = {None: "not known", True: "run", False: "do not run"}[self.runs_32_bit]
        logs = ", ".join(self.sudo_logs) or "syslog only"
        return one_line(
            f"{len(self.paths)} of the watched paths exist, UID_MIN {self.uid_min}, "
            f"32-bit programs {bits}, sudo logs to {logs}"
        )


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be recorded for programs of one machine: an access, or a system call.

    ``uncertain`` marks what only counts if the kernel runs 32-bit programs, where that is not
    known.
    """

    name: str
    machine: str
    path: str = ""
    permissions: str = ""
    number: int = -1
    uncertain: bool = False


@fact(
    "ls; grep UID_MIN /etc/login.defs; grep logfile /etc/sudoers",
    sections=(AUDIT_COVER,),
    may_use=("droplet_os_release",),
)
def droplet_audit_surroundings(
    observation: Observation,
    droplet_kernel: Kernel,
    droplet_kernel_arguments: KernelArguments,
    droplet_os_release: Reading[OsRelease],
) -> AuditSurroundings:
    """Return which of the paths that CIS watches exist, and what else coverage depends on."""
    around = parse_surroundings(
        whole(observation.section(AUDIT_COVER.name)).stdout,
        machine_name(droplet_kernel.machine),
        droplet_kernel_arguments.last("ia32_emulation"),
    )
    try:
        os = droplet_os_release.get()
    except NotObservedError:
        return around
    return replace(around, alone_64=os.id in _LIKE_RHEL and os.major == "10")


def parse_surroundings(text: str, machine: str, emulation: str | None = None) -> AuditSurroundings:
    """Parse what the section ``audit_cover`` prints.

    Args:
        text: Its output.
        machine: ``x86_64`` or ``aarch64``.
        emulation: The kernel argument ``ia32_emulation``, None where it is not given.

    Raises:
        NotObservedError: Not even ``/etc/passwd`` was seen: the section did not run; or a line
            is garbled, so that what it says is not known.
    """
    found: dict[str, list[str]] = {kind: [] for kind in "EUKCLT"}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind in found:
            found[kind].append(rest)
        elif line:
            raise garbled(line)
    paths = frozenset(found["E"])
    if "/etc/passwd" not in paths:
        raise NotObservedError("the paths of the host were not looked at")
    if strange := [line for line in found["U"] if not _UID_MIN.fullmatch(line)]:
        raise garbled(strange[0])
    uids = [m[1] for line in found["U"] if (m := _UID_MIN.fullmatch(line))]
    wanted = "CONFIG_IA32_EMULATION=" if machine == "x86_64" else "CONFIG_COMPAT="
    runs: bool | None = None
    if found["C"]:
        runs = any(line.startswith(wanted) for line in found["K"])
    if machine == "x86_64":
        word = (emulation or "").lower()
        told_no = word in {"0", "n", "no", "f", "false", "off"}
        if told_no or (
            _DISABLED in found["K"] and word not in {"1", "y", "yes", "t", "true", "on"}
        ):
            runs = False
    logs = (re.search(r"\blogfile\s*=\s*\"?([^\s,\"]+)", line) for line in found["L"])
    return AuditSurroundings(
        paths=paths,
        uid_min=int(uids[-1]) if uids else 1000,
        runs_32_bit=runs,
        sudo_logs=tuple(dict.fromkeys(m[1] for m in logs if m)),
        host=Host(machine),
        links=dict(_link(line) for line in found["T"]),
    )


def _link(line: str) -> tuple[str, str]:
    words = line.split(" /")
    if len(words) != 2:
        raise garbled(line)
    return words[0], f"/{words[1]}"


def items_of(group: str, around: AuditSurroundings) -> Iterator[Item]:
    """Yield what rules of a group must cover on this host.

    Paths that do not exist and system calls that the machine does not have are left out.
    """
    for bits in ("b64", "b32"):
        asked = group not in _ONLY_64_BITS and not around.alone_64
        if bits == "b32" and (around.runs_32_bit is False or not asked):
            continue
        machine = around.host.machine_of(bits)
        uncertain = bits == "b32" and around.runs_32_bit is None
        watched = [p for p in WATCHED.get(group, ()) if p in around.paths]
        watched += around.sudo_logs if group == "actions" else ()
        for path in watched:
            yield Item(f"{path} (wa)", machine, path, "wa", uncertain=uncertain)
        for path in EXECUTED.get(group, ()):
            if path in around.paths:
                yield Item(f"{path} (x)", machine, path, "x", uncertain=uncertain)
        for call in CALLED.get(group, ()):
            try:
                number = syscall_number(call, machine)
            except RuleError:
                continue
            for outcome in ("-EACCES", "-EPERM") if group == "access" else ("",):
                name = f"{call} {outcome}".strip()
                yield Item(f"{name} ({bits})", machine, number=number, uncertain=uncertain)


@dataclass(frozen=True, slots=True)
class Gap:
    """An item that is not known to be recorded; without ``rule`` no rule is about it.

    ``rule`` keeps it from being recorded: all of it where ``certain``, else what of it cannot be
    told.
    """

    item: Item
    rule: Rule | None = None
    certain: bool = True


def gaps(group: str, rules: Sequence[Rule], around: AuditSurroundings) -> list[Gap]:
    """Return the items of a group that no rule covers, or that a rule before it takes away.

    Of the list exit the first rule that fits decides, a watch or not; the lists task, exclude and
    filesystem come before it.
    """
    exits = [r for r in rules if r.filter == "exit"]
    ahead = [r for r in rules if r.filter in {"task", "filesystem"} and r.action == "never"]
    ahead += [r for r in rules if drops_calls(r)]
    found = []
    for item in items_of(group, around):
        covering = (i for i, r in enumerate(exits) if r.action == "always")
        first = next((i for i in covering if _covers(exits[i], item, group, around)), None)
        if first is None:
            found.append(Gap(item))
            continue
        before = [*ahead, *(r for r in exits[:first] if r.action == "never")]
        taken = [(r, _takes(r, item, group, around)) for r in before]
        found += [Gap(item, r, how == "all") for r, how in taken if how][:1]
    return found


def _takes(rule: Rule, item: Item, group: str, around: AuditSurroundings) -> str:
    """Tell whether a rule that records nothing is about an item: ``all``, ``some`` or not, ``""``."""
    if any((m == item.machine) != (op == "=") for op, m in rule.machines):
        return ""
    parts = [_share(c, item, group, around) for c in rule.conditions if c.name != "msgtype"]
    if rule.filter == "filesystem":
        parts.append("some" if item.path else "")
    if rule.syscalls is not None and item.path:
        names = _EXECUTING if item.permissions == "x" else _TOUCHING
        parts.append("some" if rule.syscalls & _numbers(names, item.machine) else "")
    elif rule.syscalls is not None:
        parts.append("all" if item.number in rule.syscalls else "")
    if "" in parts:
        return ""
    return "some" if "some" in parts else "all"


def _numbers(names: Sequence[str], machine: str) -> set[int]:
    found = set()
    for name in names:
        with suppress(RuleError):
            found.add(syscall_number(name, machine))
    return found


def _share(condition: Condition, item: Item, group: str, around: AuditSurroundings) -> str:
    """Tell how much of an item fulfils a condition: ``all``, ``some`` or nothing, ``""``."""
    name, value = condition.name, condition.value
    if name == "fstype" and condition.operator == "=" and int(value) in _OF_KERNEL:
        return ""
    if name == "perm" and item.path and not set(value) & set(item.permissions):
        return ""
    if name == "path" and item.path:
        below = f"{around.real(value)}/".startswith(f"{around.real(item.path)}/")
        return "all" if _watches(condition, item, around) else "some" if below else ""
    if name in {"perm", "path"} and _watches(condition, item, around):
        return "all"
    if _allows(condition, item, group, around):
        return "all"
    opposite = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
    against = replace(condition, operator=opposite.get(condition.operator, ""))
    return "" if _allows(against, item, group, around) or _is_other(condition, item) else "some"


def _is_other(condition: Condition, item: Item) -> bool:
    """Whether a condition is about another clock or another result than the item."""
    name, operator, value = condition.name, condition.operator, condition.value
    if name == "a0" and item.name.startswith("clock_settime"):
        return operator == "=" and value != "0"
    if name in {"exit", "success"} and " -E" in item.name:
        code = "-13" if "-EACCES" in item.name else "-1"
        return operator == "=" and value != (code if name == "exit" else "0")
    return False


def _covers(rule: Rule, item: Item, group: str, around: AuditSurroundings) -> bool:
    if any((m == item.machine) != (op == "=") for op, m in rule.machines):
        return False
    if item.path:
        return (
            all(
                _allows(c, item, group, around) or _watches(c, item, around)
                for c in rule.conditions
            )
            and any(c.name == "path" for c in rule.conditions)
            and _calls_suffice(rule, item)
        )
    return (rule.syscalls is None or item.number in rule.syscalls) and all(
        _allows(c, item, group, around) for c in rule.conditions
    )


def _watches(condition: Condition, item: Item, around: AuditSurroundings) -> bool:
    if condition.name == "perm":
        return bool(item.path) and set(item.permissions) <= set(condition.value)
    if condition.name != "path" or not item.path:
        return False
    watched, path = around.real(condition.value).rstrip("/"), around.real(item.path)
    return path == watched or path.startswith(f"{watched}/")


def _calls_suffice(rule: Rule, item: Item) -> bool:
    """Tell whether the calls of a rule on a path are all, or those of the permission."""
    if rule.syscalls is None:
        return True
    if not any(c.name == "perm" for c in rule.conditions):
        return False
    needed = ("execve",) if item.permissions == "x" else ("openat", "fchmodat", "fchownat")
    return all(syscall_number(n, item.machine) in rule.syscalls for n in needed)


def _allows(condition: Condition, item: Item, group: str, around: AuditSurroundings) -> bool:
    """Tell whether everything that must be recorded fulfils the condition anyway."""
    name, operator, value = condition.name, condition.operator, condition.value
    if group in _OF_USERS and name == "auid":
        if operator == "!=":
            return value == "-1"
        limit = around.uid_min if operator == ">=" else around.uid_min - 1
        return operator in {">=", ">"} and value.isdecimal() and int(value) <= limit
    if name == "a0" and item.name.startswith("clock_settime"):
        return (operator, value) == ("=", "0")
    if group == "user-emulation" and name == "euid,uid":
        return operator == "!="
    if group == "access":
        code = "-13" if "-EACCES" in item.name else "-1"
        return (name, operator, value) in {("exit", "=", code), ("success", "=", "0")}
    return False
