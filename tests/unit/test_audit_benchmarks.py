"""The rules that benchmarks print cover the groups that cite them, and what comes first decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_droplet.facts.auditd.audit_cover import (
    AuditSurroundings,
    Gap,
    gaps,
    parse_surroundings,
)
from pytest_droplet.facts.auditd.audit_rules import Host, Rule, parse_line
from pytest_droplet.facts.auditd.auditd import LoadedRules

_USERS = "-F auid>=1000 -F auid!=unset"


def watches(paths: str) -> str:
    return "\n".join(f"-w {path} -p wa -k x" for path in paths.split())


def calls(names: str, more: str, bits: str = "b64 b32") -> str:
    return "\n".join(f"-a always,exit -F arch={b} -S {names} {more} -k x" for b in bits.split())


_BY_PATH = {
    "identity": "/etc/group /etc/passwd /etc/gshadow /etc/shadow /etc/security/opasswd"
    " /etc/nsswitch.conf /etc/pam.conf /etc/pam.d",
    "logins": "/var/log/lastlog /var/run/faillock",
    "session": "/var/run/utmp /var/log/wtmp /var/log/btmp",
    "scope": "/etc/sudoers /etc/sudoers.d",
    "actions": "/var/log/sudo.log",
}
_ACCESS = "creat,open,openat,truncate,ftruncate"
_ATTRIBUTES = "setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr"


def cis(bits: str = "b64 b32") -> dict[str, str]:
    """Return the rules of a benchmark by group, for programs of these widths."""
    clock = calls("clock_settime", "-F a0=0x0", bits)
    names = calls("sethostname,setdomainname", "", bits)
    owners = calls("chown,fchown,lchown,fchownat", _USERS, bits)
    return {
        **{group: watches(paths) for group, paths in _BY_PATH.items()},
        "time-change": f"{calls('adjtimex,settimeofday', '', bits)}\n{clock}\n"
        f"{watches('/etc/localtime')}",
        "system-locale": f"{names}\n{watches('/etc/issue /etc/issue.net /etc/hosts')}",
        "mac-policy": watches("/etc/apparmor/ /etc/apparmor.d/ /etc/selinux /usr/share/selinux"),
        "perm-mod": f"{calls('chmod,fchmod,fchmodat', _USERS, bits)}\n{owners}\n"
        f"{calls(_ATTRIBUTES, _USERS, bits)}",
        "access": "\n".join(
            calls(_ACCESS, f"-F exit={code} {_USERS}", bits) for code in ("-EACCES", "-EPERM")
        ),
        "mounts": calls("mount", _USERS, bits),
        "delete": calls("rename,unlink,unlinkat,renameat", _USERS, bits),
        "user-emulation": calls("execve", "-C euid!=uid -F auid!=unset", bits),
        "modules": calls("init_module,finit_module,delete_module", _USERS, "b64")
        + f"\n-a always,exit -F path=/usr/bin/kmod -F perm=x {_USERS} -k x",
    }


def around(*, alone_64: bool = False, apparmor: bool = True, more: str = "") -> AuditSurroundings:
    """Return a host that has every path of the groups and runs 32-bit programs."""
    paths = f"{' '.join(_BY_PATH.values())} /etc/localtime /etc/issue /etc/hosts /etc/selinux"
    paths += " /etc/apparmor" if apparmor else ""
    text = "\n".join(f"E {path}" for path in [*paths.split(), "/usr/bin/kmod"])
    text += f"\nL Defaults logfile=/var/log/sudo.log\nC /boot/c\nK CONFIG_IA32_EMULATION=y\n{more}"
    made = parse_surroundings(text, "x86_64")
    return AuditSurroundings(
        made.paths, 1000, made.runs_32_bit, made.sudo_logs, made.host, alone_64, made.links
    )


def rules(text: str) -> list[Rule]:
    read = [parse_line(line, Host()) for line in text.splitlines()]
    return [rule for rule in read if isinstance(rule, Rule)]


def left(group: str, text: str, **host: bool) -> list[Gap]:
    return gaps(group, rules(text), around(**host))


@pytest.mark.parametrize("group", cis())
def test_the_rules_of_cis_cover_their_group(group: str) -> None:
    """CIS RHEL 9 v2.0.0 and Ubuntu 24.04 v1.0.0: modules for 64 bits, all others for both."""
    assert left(group, cis()[group]) == []
    assert left(group, "")


_OPASSWD = "/etc/group /etc/passwd /etc/gshadow /etc/shadow /etc/security/opasswd"
_STIG_ACCESS = "open,creat,truncate,ftruncate,openat,openat2,open_by_handle_at"


def stig() -> dict[str, str]:
    """Return by group what DISA's guides for Enterprise Linux ask for, and audit ships so."""
    return {
        "time-change": cis()["time-change"],
        "identity": watches(_OPASSWD),
        "system-locale": calls("sethostname,setdomainname", "")
        + f"\n{watches('/etc/issue /etc/issue.net /etc/hosts /etc/hostname')}",
        "mac-policy": "-a always,exit -F dir=/etc/selinux/ -F perm=wa -F key=x",
        "perm-mod": cis()["perm-mod"],
        "access": "\n".join(
            calls(_STIG_ACCESS, f"-F exit={code} {_USERS}") for code in ("-EACCES", "-EPERM")
        ),
        "mounts": calls("mount", _USERS),
        "delete": calls("rename,unlink,rmdir,renameat,unlinkat", _USERS),
        "modules": f"{calls('delete_module', _USERS)}\n{calls('init_module,finit_module', _USERS)}"
        f"\n-a always,exit -F path=/usr/bin/kmod -F perm=x {_USERS} -F key=x",
        "logins": watches("/var/log/lastlog /var/log/faillock /var/run/faillock"),
        "session": watches("/var/run/utmp /var/log/wtmp /var/log/btmp"),
        "scope": watches("/etc/sudoers /etc/sudoers.d/"),
    }


def pci() -> dict[str, str]:
    """Return by group what audit ships for PCI DSS: accounts, sudo's rules and the clock."""
    accounts = "\n".join(
        f"-a always,exit -F path={path} -F perm=wa -F key=x" for path in _OPASSWD.split()
    )
    return {
        "time-change": f"{calls('adjtimex,settimeofday', '')}\n"
        f"{calls('clock_settime', '-F a0=0x0')}\n{watches('/etc/localtime')}",
        "identity": accounts,
        "scope": "-a always,exit -F path=/etc/sudoers -F perm=wa -F key=x\n"
        "-a always,exit -F dir=/etc/sudoers.d/ -F perm=wa -F key=x",
    }


CIS_BEYOND = {"/etc/nsswitch.conf (wa)", "/etc/pam.conf (wa)", "/etc/pam.d (wa)"}
"""What CIS wants of identity and the others do not."""


@pytest.mark.parametrize(
    ("benchmark", "group"),
    [(b, group) for b, made in (("stig", stig), ("pci", pci)) for group in made()],
)
def test_the_rules_of_other_benchmarks_cover_their_groups(benchmark: str, group: str) -> None:
    """Of the accounts CIS wants more files, and what is left are those; of all else nothing is."""
    text = {"stig": stig, "pci": pci}[benchmark]()[group]
    wanted = {"apparmor": False} if group == "mac-policy" else {}

    missing = {gap.item.name for gap in left(group, text, **wanted)}

    assert missing == (CIS_BEYOND if group == "identity" else set())


@pytest.mark.parametrize(("made", "group"), [(stig, "user-emulation"), (pci, "user-emulation")])
def test_what_becomes_root_alone_is_not_every_other_user(
    made: Callable[[], dict[str, str]], group: str
) -> None:
    """STIG and PCI record programs that become root; CIS asks for those of any other user."""
    text = calls("execve", "-C uid!=euid -F euid=0")

    assert group not in made()
    assert {gap.item.name for gap in left(group, text)} == {"execve (b64)", "execve (b32)"}


@pytest.mark.parametrize("group", cis())
def test_enterprise_linux_10_is_asked_for_64_bits_alone(group: str) -> None:
    """CIS RHEL 10 writes no rule for 32 bits; where they are asked for, the gap says so."""
    assert left(group, cis("b64")[group], alone_64=True) == []
    assert all("b32" in gap.item.name for gap in left(group, cis("b64")[group]))


def test_another_clock_is_not_the_clock() -> None:
    """Only CLOCK_REALTIME is the one that is meant."""
    text = cis()["time-change"].replace("a0=0x0", "a0=1")
    assert {gap.item.name for gap in left("time-change", text)} == {
        "clock_settime (b64)",
        "clock_settime (b32)",
    }


OFF = (
    *("-a never,exit -S all", "-a never,task", "-a always,exclude -F msgtype=SYSCALL"),
    *("-a never,exclude -F msgtype>=1300", "-a never,exit -F path=/etc/passwd"),
    *("-a never,exit -F dir=/etc", "-a never,exit -F arch=b64 -S all", "-a never,exit -F perm=wa"),
)


@pytest.mark.parametrize("rule", OFF)
def test_what_records_nothing_and_comes_first_wins(rule: str) -> None:
    """A watch is no exception; behind the watch a rule of the same list changes nothing."""
    watch = watches("/etc/passwd /etc/group")
    before = left("identity", f"{rule}\n{cis()['identity']}")
    behind = left("identity", f"{cis()['identity']}\n{rule}")

    assert any(gap.item.path == "/etc/passwd" and gap.certain for gap in before), watch
    assert bool(behind) == (not rule.startswith("-a never,exit"))


@pytest.mark.parametrize(
    ("rule", "group"),
    [
        ("-a never,exit -F dir=/dev/shm", "identity"),
        ("-a never,exit -F path=/etc/passwd-", "identity"),
        ("-a never,exit -F arch=b64 -S execve", "delete"),
        ("-a never,exit -S all -F auid=unset", "delete"),
        ("-a never,exit -S all -F auid<1000", "mounts"),
        ("-a never,exit -F perm=r", "scope"),
        ("-a always,exclude -F msgtype=CWD", "identity"),
        ("-a always,exclude -F msgtype=EXECVE", "user-emulation"),
        ("-a never,filesystem -F fstype=tracefs", "identity"),
        ("-a never,user -F uid=0", "identity"),
        ("-a never,exit -F arch=b64 -S clock_settime -F a0=1", "time-change"),
        ("-a never,exit -S all -F exit=0", "access"),
    ],
)
def test_what_is_about_other_events_takes_nothing(rule: str, group: str) -> None:
    """Rules that keep noise out are no finding."""
    assert left(group, f"{rule}\n{cis()[group]}") == []


@pytest.mark.parametrize(
    "rule",
    [
        "-a never,exit -S all -F exe=/usr/bin/vmtoolsd",
        "-a never,exit -F uid=33",
        "-a always,exclude -F subj_type=crond_t",
        "-a never,task -F uid=0",
        "-a never,exit -F dir=/dev/shm",
    ],
)
def test_what_is_about_some_of_the_events_is_not_weighed(rule: str) -> None:
    """Whether it takes what matters cannot be told: neither passed nor failed."""
    found = left("delete", f"{rule}\n{cis()['delete']}")
    assert found
    assert not any(gap.certain for gap in found)


def test_a_folder_that_is_a_link_is_the_same_folder() -> None:
    """With a merged /usr, /bin/kmod is /usr/bin/kmod; where nothing says so it is another file."""
    text = cis()["modules"].replace("/usr/bin/kmod", "/bin/kmod")
    merged = around(more="T /bin /usr/bin\n")

    assert gaps("modules", rules(text), merged) == []
    assert gaps("modules", rules(text), around())


@pytest.mark.parametrize(
    ("emulation", "runs"), [(None, False), ("0", False), ("1", True), ("on", True)]
)
def test_32_bits_may_be_off_by_default(emulation: str | None, *, runs: bool) -> None:
    """A kernel can run 32-bit programs only when it is told to."""
    text = (
        "E /etc/passwd\nC /boot/c\nK CONFIG_IA32_EMULATION=y\n"
        "K CONFIG_IA32_EMULATION_DEFAULT_DISABLED=y\n"
    )
    assert parse_surroundings(text, "x86_64", emulation).runs_32_bit is runs


def test_calls_are_named_as_the_last_arch_has_them() -> None:
    """What auditctl 3.0.9 prints of three rules, two of them without an arch."""
    loaded = LoadedRules(
        (
            "-a always,exit -F arch=b32 -S open -F key=a",
            "-a always,exit -S fork -F key=b",
            "-a always,exit -S swapon -F key=c",
        )
    )
    wanted = rules(
        "-a always,exit -F arch=b32 -S open -k a\n-a always,exit -S open -k b\n"
        "-a always,exit -S unlink -k c"
    )

    assert loaded.rules("x86_64") == (wanted, [])


@pytest.mark.parametrize("rule", ["-a never,exit -S all", "-a always,exclude -F msgtype=SYSCALL"])
def test_off_switches_are_found_on_every_list(rule: str) -> None:
    """Before the rules that record, a rule for everything leaves nothing of them."""
    assert LoadedRules((rule, "-w /etc/passwd -p wa -k x")).off_switches == (rule,)


def test_an_off_switch_behind_all_rules_is_none() -> None:
    """What is recorded has been decided before."""
    lines = ("-w /etc/passwd -p wa -k x", "-a never,exit -S all")
    assert LoadedRules(lines).off_switches == ()
