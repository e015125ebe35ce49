"""The audit daemon: its package, its unit, the kernel's audit state, its configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.auditd.audit_rules import (
    Host,
    Rule,
    RuleError,
    is_off,
    parse_loaded_line,
)
from pytest_droplet.facts.host.kernel import Kernel
from pytest_droplet.facts.host.units import Unit, Units
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.model import Item, NotObservedError, Reading, Section, SectionOutput
from pytest_droplet.text import one_line

AUDIT_PACKAGE = Section.of_files("facts/auditd/audit_package.sh", address_space_mb=1024)
AUDIT = Section.of_files("facts/auditd/audit.sh", root=True)
AUDITD_CONF = Section.of_files("facts/auditd/auditd_conf.sh", root=True)

_DPKG = re.compile(r"(\S+) ([a-z])([a-zA-Z])([a-zA-Z]?) (\S*)")
_CONF_LINE = re.compile(r"([0-9]{1,6}):\s*(?:#.*|(\w+)\s*=\s*(.*?)\s*)?")
_DF = re.compile(r"\S.*\s(\d{1,18})\s+\d+\s+(\d{1,18})\s+\d+%.*")
_ARCH = re.compile(r"-F arch!?=(\S+)")
_ACTIVE = re.compile(r"\s*active\s*=\s*(\S*).*", re.IGNORECASE)
_REMOTE_PLUGINS = (
    "au-remote.conf",
    "audisp-remote.conf",
    "syslog.conf",
    "audispd-zos-remote.conf",
)
_SHOWN = (
    "max_log_file",
    "num_logs",
    "max_log_file_action",
    "space_left_action",
    "admin_space_left_action",
    "disk_full_action",
    "disk_error_action",
)
_DEFAULTS = {
    "write_logs": "yes",
    "max_log_file": "0",
    "max_log_file_action": "ignore",
    "num_logs": "0",
    "space_left": "0",
    "space_left_action": "ignore",
    "admin_space_left": "0",
    "admin_space_left_action": "ignore",
    "disk_full_action": "ignore",
    "disk_error_action": "syslog",
    "action_mail_acct": "root",
}


@dataclass(frozen=True, slots=True)
class AuditPackage:
    """The package that brings auditd: ``auditd`` (dpkg) or ``audit`` (rpm).

    ``lacking`` names what is not installed and must be; ``state`` is the package manager's word
    for a package that is not installed but not unknown either (``rc``: removed, files left).
    """

    manager: str
    name: str
    version: str = ""
    state: str = ""
    lacking: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.lacking:
            return one_line(f"{self.manager}: {self.name} {self.version} installed")
        state = f" ({self.state})" if self.state else ""
        return one_line(f"{self.manager}: {', '.join(self.lacking)} not installed{state}")


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """The kernel's audit state, from ``auditctl -s``.

    ``enabled`` is 0 (off), 1 (on) or 2 (on and locked until the next boot). ``pid`` is 0 where
    nothing listens. ``lost`` counts records since boot; ``booted_at`` is None where it was not
    read.
    """

    enabled: int
    pid: int
    lost: int
    backlog: int
    backlog_limit: int
    booted_at: datetime | None = None

    def __str__(self) -> str:
        since = f" since {self.booted_at:%Y-%m-%d %H:%M} UTC" if self.booted_at else ""
        return (
            f"enabled {self.enabled}, pid {self.pid}, lost {self.lost}{since}, "
            f"backlog {self.backlog} of {self.backlog_limit}"
        )


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rules that the kernel judges by, as ``auditctl -l`` prints them."""

    lines: tuple[str, ...]

    @property
    def recording(self) -> tuple[str, ...]:
        """Rules that make records: watches, and syscall or filesystem rules with ``always``."""
        return tuple(
            r
            for r in self.lines
            if r.startswith(("-w ", "-p "))
            or ("always" in _action(r) and "exclude" not in _action(r))
        )

    @property
    def off_switches(self) -> tuple[str, ...]:
        """Rules that keep all that 64-bit programs do from being recorded.

        That is ``never,task`` without a condition, an exclusion of the records of calls, and
        ``never,exit`` for every call where a rule that records stands behind it: the first rule
        that fits an event decides, a watch or not.
        """
        read = [rule for _, rule in self.read("x86_64")]
        recording = frozenset(self.recording)
        last = max((i for i, line in enumerate(self.lines) if line in recording), default=-1)
        return tuple(
            line
            for at, (line, rule) in enumerate(zip(self.lines, read, strict=True))
            if rule is not None and is_off(rule) and (rule.filter != "exit" or at < last)
        )

    def read(self, machine: str) -> list[tuple[str, Rule | None]]:
        """Return each line with its rule, None where it could not be read.

        auditctl names the calls of a rule without arch as the last arch before it has them.
        """
        found = []
        table = ""
        for line in self.lines:
            if arch := _ARCH.findall(line):
                with suppress(RuleError):
                    table = Host(machine).machine_of(arch[-1])
            found.append((line, _read_loaded(line, machine, table)))
        return found

    def rules(self, machine: str) -> tuple[list[Rule], list[str]]:
        """Return the rules in their one form, and the lines that could not be read."""
        read = self.read(machine)
        return (
            [rule for _, rule in read if rule is not None],
            [one_line(line, 80) for line, rule in read if rule is None],
        )

    def __str__(self) -> str:
        first = "; ".join(one_line(r, 70) for r in self.lines[:2])
        return f"{len(self.lines)} rules, {len(self.recording)} recording" + (
            f": {first}" if first else ""
        )


@dataclass(frozen=True, slots=True)
class AuditdConfig:
    """auditd.conf, with auditd's own defaults for what it does not say.

    ``lines`` tells the line of each key; a later line of the same key wins. ``partition_kib``
    and ``free_kib`` are of the file system of the log, None where df did not tell.
    """

    values: Mapping[str, str]
    lines: Mapping[str, int] = field(default_factory=dict)
    partition_kib: int | None = None
    free_kib: int | None = None
    can_mail: bool = False
    plugins: tuple[str, ...] = ()

    def word(self, key: str) -> str:
        """Return the first word of a value in lower case (``exec /bin/x`` is ``exec``)."""
        value = self.values.get(key, _DEFAULTS.get(key, ""))
        return (value.split() or [""])[0].lower()

    def number(self, key: str) -> int:
        """Return a whole number.

        Raises:
            NotObservedError: The value is none: auditd refuses the file.
        """
        word = self.word(key)
        if not word.isascii() or not word.isdigit() or len(word) > 12:
            raise NotObservedError(f"{self.where(key)} is no number")
        return int(word)

    def mebibytes(self, key: str) -> float:
        """Return an amount of space in MiB; a percentage is one of the log's file system.

        Raises:
            NotObservedError: It is neither, or df did not tell the size.
        """
        word = self.word(key)
        share = word.removesuffix("%")
        if share == word:
            return float(self.number(key))
        if not share.isascii() or not share.isdigit() or len(share) > 3:
            raise NotObservedError(f"{self.where(key)} is no share")
        if self.partition_kib is None:
            raise NotObservedError(f"{self.where(key)}, and df did not tell the size")
        return int(share) / 100 * self.partition_kib / 1024

    def where(self, key: str) -> str:
        """Return ``key = value (auditd.conf:7)``, or that it is auditd's default."""
        value = one_line(self.values.get(key, _DEFAULTS.get(key, "")), 60)
        line = self.lines.get(key)
        return f"{key} = {value} ({f'auditd.conf:{line}' if line else 'the default'})"

    def setting(self, key: str) -> Item:
        """Return a key with its value, and the line of auditd.conf; None: auditd's default."""
        value = self.values.get(key, _DEFAULTS.get(key, ""))
        return {"key": key, "value": value, "line": self.lines.get(key)}

    @property
    def is_sent_away(self) -> bool:
        """Whether an active plugin sends the records elsewhere."""
        return any(p.endswith(_REMOTE_PLUGINS) for p in self.plugins)

    def __str__(self) -> str:
        text = ", ".join(f"{key} {self.word(key)}" for key in _SHOWN)
        free = f"; {self.free_kib // 1024} MiB free" if self.free_kib is not None else ""
        return one_line(text + free, 300)


@fact("dpkg-query -W auditd; rpm -q audit", sections=(AUDIT_PACKAGE,))
def droplet_audit_package(observation: Observation) -> AuditPackage:
    """Return the state of the package that brings auditd."""
    return parse_package(observation.section(AUDIT_PACKAGE.name))


@fact("systemctl show auditd.service")
def droplet_auditd_unit(droplet_units: Units) -> Unit:
    """Return the state of ``auditd.service``."""
    return droplet_units["auditd.service"]


@fact("systemctl show audit-rules.service")
def droplet_audit_rules_unit(droplet_units: Units) -> Unit:
    """Return the state of ``audit-rules.service``, which loads the rules since audit 4."""
    return droplet_units["audit-rules.service"]


@fact("auditctl -s", sections=(AUDIT,))
def droplet_audit_status(observation: Observation, droplet_kernel: Reading[Kernel]) -> AuditStatus:
    """Return the kernel's audit state.

    Raises:
        NotObservedError: auditctl is absent, or the kernel refuses: in a container it does.
    """
    said, _ = observation.parsed(AUDIT.name, _auditctl)
    try:
        booted_at = droplet_kernel.get().booted_at
    except NotObservedError:
        booted_at = None
    return parse_status(said, booted_at)


@fact(
    "auditctl -l",
    sections=(AUDIT,),
    items=lambda loaded: [{"rule": line} for line in loaded.lines],
)
def droplet_audit_loaded(observation: Observation) -> LoadedRules:
    """Return the rules that are loaded."""
    _, said = observation.parsed(AUDIT.name, _auditctl)
    return parse_loaded(said)


@fact("cat /etc/audit/auditd.conf", sections=(AUDITD_CONF,))
def droplet_auditd_config(observation: Observation) -> AuditdConfig:
    """Return auditd's configuration.

    Raises:
        NotObservedError: The file is absent or cannot be read.
    """
    output = observation.section(AUDITD_CONF.name)
    if output.rc != 0:
        raise NotObservedError(one_line(output.stderr) or "auditd.conf is absent or empty")
    return parse_auditd_config(whole(output).stdout)


def parse_package(output: SectionOutput) -> AuditPackage:
    """Parse what dpkg-query or rpm said.

    Raises:
        NotObservedError: Neither is there, or it could not read its database.
    """
    manager, _, text = output.stdout.partition("\n")
    if manager == "dpkg":
        return _dpkg_package(text, output.stderr)
    if manager == "rpm":
        return _rpm_package(text, output.stderr)
    raise NotObservedError("neither dpkg-query nor rpm is on the host")


def _dpkg_package(text: str, errors: str) -> AuditPackage:
    for line in text.splitlines():
        found = _DPKG.fullmatch(line) or _DPKG.fullmatch(line.replace("  ", " "))
        if found is not None and found[1] == "auditd":
            installed = found[3] == "i" and not found[4]
            state = "" if installed or found[3] == "n" else found[2] + found[3] + found[4]
            lacking = () if installed else ("auditd",)
            return AuditPackage("dpkg", "auditd", one_line(found[5], 60), state, lacking)
    if "no packages found matching auditd" in errors:
        return AuditPackage("dpkg", "auditd", lacking=("auditd",))
    raise NotObservedError(one_line(errors) or "dpkg-query named no package")


def _rpm_package(text: str, errors: str) -> AuditPackage:
    lines = text.splitlines()
    versions = dict(line.split(" ", 1) for line in lines if re.fullmatch(r"audit\S* \S+", line))
    known = "audit" in versions or "package audit is not installed" in lines
    if "error:" in errors or not known:
        raise NotObservedError(one_line(errors) or "rpm named no package")
    version = versions.get("audit", "")
    if not version:
        return AuditPackage("rpm", "audit", lacking=("audit",))
    major = version.partition(".")[0]
    needs_rules = major.isdecimal() and len(major) < 5 and int(major) >= 4
    lacking = ("audit-rules",) if needs_rules and "audit-rules" not in versions else ()
    return AuditPackage("rpm", "audit", one_line(version, 60), "", lacking)


def _auditctl(output: SectionOutput) -> tuple[list[str], list[str]]:
    """Return the lines of ``auditctl -s`` and of ``auditctl -l``.

    Raises:
        NotObservedError: auditctl is absent, or one of them failed, with what it said.
    """
    if output.rc == 127:
        raise NotObservedError("auditctl is not on the host")
    parts: list[list[str]] = []
    said: list[str] = []
    for line in output.stdout.split("\n"):
        if not re.fullmatch(r"rc \d{1,3}", line):
            said.append(line)
            continue
        if line != "rc 0":
            reason = one_line(said[0], 120) if said else f"status {line[3:]}"
            hint = ": in a container only the machine's own root may ask"
            refused = "not permitted" in reason
            raise NotObservedError(reason + (hint if refused else ""))
        parts.append(said)
        said = []
    if len(parts) != 2:
        raise NotObservedError("auditctl did not answer to its end")
    return parts[0], parts[1]


def parse_status(lines: Sequence[str], booted_at: datetime | None = None) -> AuditStatus:
    """Parse ``auditctl -s``: a name and a number a line.

    Raises:
        NotObservedError: A line that is needed is absent.
    """
    found: dict[str, int] = {}
    for line in lines:
        words = line.split()
        if len(words) >= 2 and re.fullmatch(r"-?[0-9]{1,12}", words[1]):
            found[words[0]] = int(words[1])

    def number(name: str) -> int:
        if name not in found:
            raise NotObservedError(f"the answer has no line {name}")
        return found[name]

    return AuditStatus(
        enabled=number("enabled"),
        pid=number("pid"),
        lost=number("lost"),
        backlog=number("backlog"),
        backlog_limit=number("backlog_limit"),
        booted_at=booted_at,
    )


def parse_loaded(lines: Sequence[str]) -> LoadedRules:
    """Parse ``auditctl -l``: a rule a line, or ``No rules`` (with status 0).

    Raises:
        NotObservedError: It is neither.
    """
    said = [line.strip() for line in lines if line.strip()]
    if said == ["No rules"]:
        return LoadedRules(())
    wrong = next((line for line in said if not line.startswith("-")), None)
    if wrong is not None or not said:
        raise NotObservedError(f"unexpected answer: {one_line(wrong or '', 80) or 'empty'}")
    return LoadedRules(tuple(said))


@lru_cache(maxsize=4096)
def _read_loaded(line: str, machine: str, table: str) -> Rule | None:
    """Read a rule; kept, as hosts share their rules and fourteen checks ask for them."""
    try:
        return parse_loaded_line(line, Host(machine, table=table))
    except RuleError:
        return None


def _action(rule: str) -> set[str]:
    words = rule.split()
    return set(words[1].split(",")) if len(words) > 1 and words[0] in {"-a", "-A"} else set()


def parse_auditd_config(text: str) -> AuditdConfig:
    """Parse numbered lines of auditd.conf, then ``==``, df's line, and what is there beside.

    Keys are read without regard to case, and the last line of a key wins, as in auditd. A plugin
    is active by its last line that says so.

    Raises:
        NotObservedError: A line is not as expected: what a key has is not known then.
    """
    conf, mark, more = text.partition("\n==\n")
    if not mark:
        raise NotObservedError("auditd.conf was not read to its end")
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line in filter(None, conf.split("\n")):
        found = _CONF_LINE.fullmatch(line)
        if found is None:
            raise garbled(line)
        if found[2]:
            values[found[2].lower()] = found[3]
            lines[found[2].lower()] = int(found[1])
    df: re.Match[str] | None = None
    active: dict[str, bool] = {}
    plugin = ""
    rest = [line for line in more.split("\n") if line]
    for line in rest:
        if found := _DF.fullmatch(line):
            df = found
        elif line.startswith("plugin /"):
            plugin = line.removeprefix("plugin ")
        elif plugin and (found := _ACTIVE.fullmatch(line)):
            active[plugin] = found[1].lower() == "yes"
        elif line != "sendmail":
            raise garbled(line)
    return AuditdConfig(
        values,
        lines,
        partition_kib=int(df[1]) if df else None,
        free_kib=int(df[2]) if df else None,
        can_mail="sendmail" in rest,
        plugins=tuple(path for path, is_active in active.items() if is_active),
    )
