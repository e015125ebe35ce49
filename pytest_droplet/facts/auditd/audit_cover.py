"""The CIS groups of events that audit rules should cover, and whether loaded rules do.

A rule covers an event where it records it, whatever its key and however it is written: a watch
on a folder covers the files below it, ``-S all`` covers every call, and a rule without a
condition covers what the same rule with one would.

Source: CIS Ubuntu 24.04 v1.0.0 and Debian 13 v1.0.0 6.2.3, CIS RHEL 9 v2.0.0 6.3.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.auditd.audit_files import machine_name
from pytest_droplet.facts.auditd.audit_rules import (
    Condition,
    Host,
    Rule,
    RuleError,
    syscall_number,
)
from pytest_droplet.facts.host.kernel import Kernel, KernelArguments
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.model import NotObservedError, Section
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
_OF_USERS = frozenset({"perm-mod", "access", "mounts", "delete", "user-emulation", "modules"})
_UID_MIN = re.compile(r"UID_MIN\s+(\d{1,9})\s*")
AUDIT_COVER = Section.of_files("facts/auditd/audit_cover.sh", root=True)


@dataclass(frozen=True, slots=True)
class AuditSurroundings:
    """What of the CIS groups there is on the host.

    ``runs_32_bit`` is None where the kernel's configuration is not there to tell.
    """

    paths: frozenset[str]
    uid_min: int
    runs_32_bit: bool | None
    sudo_logs: tuple[str, ...]
    host: Host

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
)
def droplet_audit_surroundings(
    observation: Observation, droplet_kernel: Kernel, droplet_kernel_arguments: KernelArguments
) -> AuditSurroundings:
    """Return which of the paths that CIS watches exist, and what else coverage depends on."""
    return parse_surroundings(
        whole(observation.section(AUDIT_COVER.name)).stdout,
        machine_name(droplet_kernel.machine),
        droplet_kernel_arguments.last("ia32_emulation"),
    )


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
    found: dict[str, list[str]] = {kind: [] for kind in "EUKCL"}
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
    if machine == "x86_64" and (emulation or "").lower() in {"0", "n", "no", "f", "false", "off"}:
        runs = False
    logs = (re.search(r"\blogfile\s*=\s*\"?([^\s,\"]+)", line) for line in found["L"])
    return AuditSurroundings(
        paths=paths,
        uid_min=int(uids[-1]) if uids else 1000,
        runs_32_bit=runs,
        sudo_logs=tuple(dict.fromkeys(m[1] for m in logs if m)),
        host=Host(machine),
    )


def items_of(group: str, around: AuditSurroundings) -> Iterator[Item]:
    """Yield what rules of a group must cover on this host.

    Paths that do not exist and system calls that the machine does not have are left out.
    """
    for bits in ("b64", "b32"):
        if bits == "b32" and around.runs_32_bit is False:
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


def missing_items(group: str, rules: Iterable[Rule], around: AuditSurroundings) -> list[Item]:
    """Return the items of a group that no rule covers."""
    able = [r for r in rules if r.action == "always" and r.filter == "exit"]
    return [
        item
        for item in items_of(group, around)
        if not any(_covers(rule, item, group, around) for rule in able)
    ]


def _covers(rule: Rule, item: Item, group: str, around: AuditSurroundings) -> bool:
    if any((m == item.machine) != (op == "=") for op, m in rule.machines):
        return False
    if item.path:
        return (
            all(_allows(c, item, group, around) or _watches(c, item) for c in rule.conditions)
            and any(c.name == "path" for c in rule.conditions)
            and _calls_suffice(rule, item)
        )
    return (rule.syscalls is None or item.number in rule.syscalls) and all(
        _allows(c, item, group, around) for c in rule.conditions
    )


def _watches(condition: Condition, item: Item) -> bool:
    if condition.name == "perm":
        return set(item.permissions) <= set(condition.value)
    watched, path = _run(condition.value).rstrip("/"), _run(item.path)
    return condition.name == "path" and (path == watched or path.startswith(f"{watched}/"))


def _run(path: str) -> str:
    return f"{path.removeprefix('/var')}" if path.startswith("/var/run") else path


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
    if group == "user-emulation" and name == "euid,uid":
        return operator == "!="
    if group == "access":
        code = "-13" if "-EACCES" in item.name else "-1"
        return (name, operator, value) in {("exit", "=", code), ("success", "=", "0")}
    return False
