"""Checks of the audit daemon and the kernel's audit (the guide's recommendation 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from pytest_droplet.catalogue import check
from pytest_droplet.facts.auditd.audit_cover import AuditSurroundings, gaps, items_of
from pytest_droplet.facts.auditd.audit_files import AuditFiles, RuleLine
from pytest_droplet.facts.auditd.audit_rules import Deletion, Rule, RuleError, compare
from pytest_droplet.facts.auditd.auditd import (
    AuditdConfig,
    AuditPackage,
    AuditStatus,
    LoadedRules,
)
from pytest_droplet.facts.auditd.boot import BootEntry
from pytest_droplet.facts.host.kernel import KernelArguments
from pytest_droplet.facts.host.units import Unit
from pytest_droplet.model import Claims, Item, NotObservedError, fail, not_applicable
from pytest_droplet.settings import AUDIT_GROUPS, Settings
from pytest_droplet.text import one_line

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, 6: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_UPSTREAM = "https://github.com/linux-audit/audit-userspace"
_BACKLOG = 8192
_MAIN = "auditd.installed"


@check(
    "auditd.installed",
    severity="high",
    profile=("droplet", "cis2"),
    guide=6,
    references=_GUIDE,
)
def test_auditd_is_installed(droplet_audit_package: AuditPackage) -> None:
    """The audit daemon is installed.

    Finding:
        The audit daemon is not installed.

    Rationale:
        Without it nobody records who changed an account, a rule or a file, and after a
        break-in there is nothing to read. The library ``libaudit1`` (``audit-libs``) alone,
        or a removed package whose files are left, records nothing.

    Remediation:
        Debian and Ubuntu: ``apt install auditd audispd-plugins``. AlmaLinux, Rocky Linux,
        Fedora and CentOS Stream: ``dnf install audit`` (and ``audit-rules`` where audit is 4
        or later).
    """
    package = droplet_audit_package
    state = f" (dpkg status {package.state})" if package.state else ""
    if package.lacking:
        fail(
            f"{', '.join(package.lacking)} not installed{state}",
            droplet_audit_package=[{"package": name} for name in package.lacking],
        )


@check(
    "auditd.running",
    severity="high",
    profile=("droplet", "cis2"),
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; auditctl(8)",
)
def test_auditd_is_enabled_and_running(
    droplet_auditd_unit: Unit, droplet_audit_status: AuditStatus
) -> None:
    """The audit daemon is enabled and running, and the kernel audits.

    Finding:
        The audit daemon is off, or the kernel does not audit.

    Rationale:
        A unit can be enabled and never start (``audit=0`` on the kernel command line), or
        run while the kernel's audit is off (``auditctl -e 0``): then nothing is written.

    Remediation:
        ``systemctl enable --now auditd``. Where the kernel command line has ``audit=0`` or
        ``audit=off`` remove it and restart the host; where ``auditctl -s`` says ``enabled 0``
        run ``auditctl -e 1``. On AlmaLinux, Rocky Linux, Fedora and CentOS Stream
        ``systemctl restart auditd`` is refused: use ``service auditd restart``.
    """
    with Claims() as claim:
        with claim:
            unit = droplet_auditd_unit
            if not unit.is_enabled:
                fail(
                    f"auditd.service is {unit.file_state or unit.load}, not enabled",
                    droplet_auditd_unit=[unit],
                )
        with claim:
            unit = droplet_auditd_unit
            reason = ": its condition is not met" if unit.condition is False else ""
            if not unit.is_active:
                fail(f"auditd.service is {unit.active}{reason}", droplet_auditd_unit=[unit])
        with claim:
            enabled = droplet_audit_status.enabled
            if enabled not in {1, 2}:
                fail(
                    f"auditctl -s says enabled {enabled}: the kernel does not audit",
                    droplet_audit_status=[_status("enabled", enabled)],
                )
        with claim:
            if not droplet_audit_status.pid:
                fail(
                    "auditctl -s says pid 0: no daemon listens",
                    droplet_audit_status=[_status("pid", 0)],
                )


@check(
    "auditd.boot-enabled",
    severity="medium",
    profile=("droplet", "cis2"),
    guide=6,
    references=f"{_GUIDE}; Linux kernel-parameters",
)
def test_audit_is_on_from_the_first_process(
    droplet_kernel_arguments: KernelArguments, droplet_boot_entry: BootEntry
) -> None:
    """Auditing starts at boot: audit=1.

    Finding:
        Auditing starts with auditd, not at boot.

    Rationale:
        Processes that start before auditd are never audited without ``audit=1``. What the
        running kernel has and what the next boot will have are two things: both must hold.

    Remediation:
        Debian and Ubuntu: add ``audit=1 audit_backlog_limit=8192`` to ``GRUB_CMDLINE_LINUX``
        in ``/etc/default/grub`` (a file below ``/etc/default/grub.d`` may override it) and
        run ``update-grub``. AlmaLinux, Rocky Linux, Fedora and CentOS Stream:
        ``grubby --update-kernel=ALL --args="audit=1 audit_backlog_limit=8192"``, and the same
        in ``/etc/default/grub`` and ``/etc/kernel/cmdline`` for later kernels. Then restart
        the host.
    """
    with Claims() as claim:
        with claim:
            now = droplet_kernel_arguments.last("audit")
            if not _is_on(now):
                fail(
                    f"the running kernel has {_token('audit', now)}, not audit=1",
                    droplet_kernel_arguments=[{"argument": "audit", "value": now}],
                )
        with claim:
            _assert_next(droplet_boot_entry, "audit", "audit=1", _is_on)


@check(
    "auditd.backlog-limit",
    severity="medium",
    profile=("droplet", "cis2"),
    guide=6,
    references=f"{_GUIDE}; Linux kernel-parameters",
)
def test_the_boot_backlog_holds_enough_records(
    droplet_kernel_arguments: KernelArguments, droplet_boot_entry: BootEntry
) -> None:
    """The backlog holds 8192 records or more at boot.

    Finding:
        The backlog of audit records is too small at boot.

    Rationale:
        Until auditd listens the kernel keeps records in a queue of 64, and loses the rest.
        ``-b 8192`` in the rules comes too late for the boot.

    Remediation:
        Debian and Ubuntu: add ``audit_backlog_limit=8192`` to ``GRUB_CMDLINE_LINUX`` in
        ``/etc/default/grub`` and run ``update-grub``. AlmaLinux, Rocky Linux, Fedora and
        CentOS Stream: ``grubby --update-kernel=ALL --args="audit_backlog_limit=8192"``, and
        the same in ``/etc/default/grub`` and ``/etc/kernel/cmdline``. Then restart the host.
    """
    name = "audit_backlog_limit"
    with Claims() as claim:
        with claim:
            now = droplet_kernel_arguments.last(name)
            if not _is_large(now):
                less = "" if now is None else f", less than {_BACKLOG}"
                fail(
                    f"the running kernel has {_token(name, now)}{less}",
                    droplet_kernel_arguments=[{"argument": name, "value": now}],
                )
        with claim:
            _assert_next(droplet_boot_entry, name, f"{_BACKLOG} or more", _is_large)


@check(
    "auditd.no-lost-events",
    severity="medium",
    profile="droplet",
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; auditctl(8)",
)
def test_no_audit_record_was_lost(
    droplet_audit_status: AuditStatus, droplet_settings: Settings
) -> None:
    """The kernel has lost no audit records.

    Finding:
        The kernel has lost audit records.

    Rationale:
        Each lost record is a hole in the trail, and an attacker can make holes by noise. The
        counter runs since boot: records of the boot itself are lost where ``audit=1`` or
        ``audit_backlog_limit`` is missing on the kernel command line.

    Remediation:
        Raise ``-b`` in ``/etc/audit/rules.d`` and ``audit_backlog_limit`` on the kernel
        command line, thin out rules that match every call, or raise
        ``--backlog_wait_time``; then ``augenrules --load``. The counter starts anew at the
        next boot, or with ``auditctl --reset-lost``. The setting ``audit_lost_allowed`` says
        how many may be lost.
    """
    status, allowed = droplet_audit_status, droplet_settings.audit_lost_allowed
    since = f"since {status.booted_at:%Y-%m-%d %H:%M} UTC" if status.booted_at else "since boot"
    if status.lost > allowed:
        fail(
            f"{status.lost} records lost {since}, {allowed} allowed (backlog limit"
            f" {status.backlog_limit} now); those of the boot itself count where audit=1 or"
            " audit_backlog_limit is missing",
            droplet_audit_status=[_status("lost", status.lost)],
        )


@check(
    "auditd.log-retention",
    severity="medium",
    profile=("droplet", "cis2"),
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; auditd.conf(5)",
)
def test_audit_logs_are_kept(
    droplet_auditd_config: AuditdConfig, droplet_settings: Settings
) -> None:
    """Audit logs are large enough, and rotated or kept.

    Finding:
        Audit logs are too small, or too few are kept.

    Rationale:
        A log that is overwritten within hours, not written at all, or that grows until the
        disk is full is not there when it is needed. The packages ship 8 MiB times 5 files,
        which is what is asked here; the settings ``audit_log_file_min_mib`` and
        ``audit_logs_min_mib`` ask for more.

    Remediation:
        In ``/etc/audit/auditd.conf`` set ``max_log_file`` to 8 or more (MiB) and
        ``max_log_file_action`` to ``keep_logs``, or to ``rotate`` with ``num_logs`` times
        ``max_log_file`` of 40 or more; ``write_logs = yes``. Then
        ``systemctl kill -s HUP auditd``, or ``auditctl --signal reload``. ``keep_logs`` needs
        a disk that is watched.
    """
    config = droplet_auditd_config
    with Claims() as claim:
        with claim:
            written = config.word("write_logs") != "no" or config.is_sent_away
            if not written:
                _fail_on(config, ", and no plugin sends the records away", "write_logs")
        with claim:
            size, least = config.number("max_log_file"), droplet_settings.audit_log_file_min_mib
            if size < least:
                _fail_on(config, f" MiB, less than {least}", "max_log_file")
        with claim:
            _assert_retained(config, droplet_settings.audit_logs_min_mib)


@check(
    "auditd.log-kept",
    severity="medium",
    profile="cis2",
    guide=6,
    depends_on=(_MAIN,),
    references="auditd.conf(5)",
)
def test_audit_logs_are_never_overwritten(droplet_auditd_config: AuditdConfig) -> None:
    """Audit logs are never overwritten: keep_logs.

    Finding:
        Old audit logs are overwritten.

    Rationale:
        Rotation throws the oldest records away, and whoever makes enough noise can throw
        away the trail of what came before.

    Remediation:
        In ``/etc/audit/auditd.conf`` set ``max_log_file_action = keep_logs``, then
        ``systemctl kill -s HUP auditd``. Give ``/var/log/audit`` a file system of its own and
        watch its free space: with ``keep_logs`` somebody must move old logs away.
    """
    config = droplet_auditd_config
    action = config.word("max_log_file_action")
    free = f", {config.free_kib // 1024} MiB free" if config.free_kib is not None else ""
    if action != "keep_logs":
        _fail_on(config, f", it must be keep_logs{free}", "max_log_file_action")


@check(
    "auditd.log-space-actions",
    severity="medium",
    profile=("droplet", "cis2"),
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; auditd.conf(5)",
)
def test_low_space_for_audit_logs_is_acted_on(droplet_auditd_config: AuditdConfig) -> None:
    """Low space and a full disk are not ignored.

    Finding:
        Nothing is done when the disk of the audit logs is nearly or quite full.

    Rationale:
        When the disk is full auditd stops writing. With ``ignore`` nobody hears of it. A key
        that auditd.conf does not name is ``ignore`` as well, but for ``disk_error_action``.

    Remediation:
        In ``/etc/audit/auditd.conf`` set ``space_left_action`` and
        ``admin_space_left_action`` to ``syslog`` or more, ``disk_full_action`` and
        ``disk_error_action`` to ``syslog`` or more, and ``space_left`` above
        ``admin_space_left``; then ``systemctl kill -s HUP auditd``.
    """
    config = droplet_auditd_config
    with Claims() as claim:
        for key in _SPACE_ACTIONS:
            with claim:
                if _action(config, key) == "ignore":
                    _fail_on(config, "", key)
        with claim:
            more, less = config.mebibytes("space_left"), config.mebibytes("admin_space_left")
            if more <= less:
                text = f" is not above {config.where('admin_space_left')}"
                _fail_on(config, text, "space_left", "admin_space_left")


@check(
    "auditd.log-space-stops",
    severity="medium",
    profile="cis2",
    guide=6,
    depends_on=(_MAIN,),
    references="auditd.conf(5)",
)
def test_the_host_stops_when_audit_logs_have_no_space(
    droplet_auditd_config: AuditdConfig,
) -> None:
    """The host warns by mail and stops when audit logs have no space left.

    Finding:
        When audit logs have no space left, nobody is warned or the host goes on.

    Rationale:
        Where the trail counts more than the service, the host must not go on unaudited. The
        packages ship ``SYSLOG`` and ``SUSPEND``, which is enough for the profile droplet and
        not for this.

    Remediation:
        In ``/etc/audit/auditd.conf`` set ``space_left_action = email`` (with a working
        ``/usr/lib/sendmail`` and an ``action_mail_acct`` that somebody reads),
        ``admin_space_left_action = single``, ``disk_full_action = single`` and
        ``disk_error_action = single`` (or ``halt``); then ``systemctl kill -s HUP auditd``.
        A full disk then takes the host out of service: watch the free space first.
    """
    config = droplet_auditd_config
    with Claims() as claim:
        for key, allowed in _STOPPING.items():
            with claim:
                if _action(config, key) not in allowed:
                    _fail_on(config, f" is none of {', '.join(allowed)}", key)
        with claim:
            mails = [k for k in _STOPPING if _action(config, k) == "email"]
            account = config.word("action_mail_acct")
            if mails and not (config.can_mail and account):
                why = "the host has no sendmail" if account else "action_mail_acct is empty"
                fail(
                    f"{' and '.join(mails)} send mail, but {why}",
                    droplet_auditd_config=map(config.setting, mails),
                )


@check(
    "auditd.rules-loaded",
    severity="high",
    profile="droplet",
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; {_UPSTREAM}; https://bugzilla.redhat.com/show_bug.cgi?id=1117953",
)
def test_audit_rules_are_loaded(droplet_audit_loaded: LoadedRules) -> None:
    """Audit rules are loaded and not switched off.

    Finding:
        No audit rule is loaded, or the rules are switched off.

    Rationale:
        Debian and Ubuntu ship control lines only: the service is green and records next to
        nothing. The Fedora family installs ``-a task,never``, which keeps every process from
        being audited while everything looks active. ``auditctl -l`` exits with 0 either way.

    Remediation:
        Copy sample rules that fit into ``/etc/audit/rules.d`` and run ``augenrules --load``:
        on Debian and Ubuntu from ``/usr/share/doc/auditd/examples/rules``, on AlmaLinux,
        Rocky Linux, Fedora and CentOS Stream from ``/usr/share/audit-rules`` (audit 4 and
        later) or ``/usr/share/audit/sample-rules``. Remove ``10-no-audit.rules`` and every
        ``-a task,never``; processes that run already stay unaudited until they are restarted.
    """
    rules = droplet_audit_loaded
    off = rules.off_switches
    if off:
        what = "every task from being audited" if "task" in off[0] else "what it fits from the log"
        fail(
            f"{one_line(off[0], 80)} keeps {what}",
            droplet_audit_loaded=[{"rule": rule} for rule in off],
        )
    assert rules.lines, "no audit rule is loaded (auditctl -l)"
    assert rules.recording, f"none of the {len(rules.lines)} loaded rules makes a record"


@check(
    "auditd.rules-valid",
    severity="high",
    profile="droplet",
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; {_UPSTREAM}; auditctl(8); audit.rules(7)",
)
def test_every_audit_rule_is_valid_and_loaded(
    droplet_audit_files: AuditFiles,
    droplet_audit_loaded: LoadedRules,
    droplet_audit_status: AuditStatus,
    droplet_audit_rules_unit: Unit,
) -> None:
    """Every audit rule parses and was loaded.

    Finding:
        An audit rule is wrong, or was not loaded.

    Rationale:
        Loading stops at the first line that auditctl or the kernel refuses: a system call
        that the machine does not have, a rule that is there already, a watch in a folder that
        does not exist. All that follows, ``-e 2`` too, is missing, and nobody is told.
        ``auditctl -t`` is no test of syntax: it says nothing of any file.

    Remediation:
        Correct or remove the named line in ``/etc/audit/rules.d``, run ``augenrules --load``
        and read what it prints, then compare with ``auditctl -l``. Rules files belong to root
        and are not writable by others (``chown root:root``, ``chmod 0640``). After ``-e 2``
        rules change only at the next boot.
    """
    if not droplet_audit_files.lines:
        not_applicable("there is no rules file")
    files = droplet_audit_files
    with Claims() as claim:
        with claim:
            _assert_lines(files)
        with claim:
            refused = files.compiled is not None and files.compiled.is_refused
            assert not refused, "/etc/audit/audit.rules is not root's alone: auditctl refuses it"
        with claim:
            unit, kernel = droplet_audit_rules_unit, droplet_audit_status.enabled
            if unit.result not in {"", "success"}:
                fail(
                    f"{unit.id} ended with {unit.result}, and auditctl -s says enabled {kernel}",
                    droplet_audit_rules_unit=[unit],
                )
        with claim:
            if droplet_audit_status.enabled != 2:
                loaded, unread = droplet_audit_loaded.rules(files.host.machine)
                missing, _ = compare(loaded, files.rules())
                missing = [rule for rule in missing if not files.passes_over(rule)]
                if missing and unread:
                    raise NotObservedError(f"auditctl -l: {unread[0]} could not be read")
                if missing:
                    lines = _origins(files, missing)
                    fail(
                        f"{len(missing)} rules of the files are not loaded: "
                        f"{_first(lines)}{_stopped_at(files, missing)}",
                        droplet_audit_files=lines,
                    )


@check(
    "auditd.rules-persistent",
    severity="high",
    profile=("droplet", "cis2"),
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; {_UPSTREAM}",
)
def test_loaded_and_stored_audit_rules_agree(
    droplet_audit_files: AuditFiles,
    droplet_audit_loaded: LoadedRules,
    droplet_audit_status: AuditStatus,
) -> None:
    """Loaded rules, the compiled file and rules.d agree.

    Finding:
        The loaded audit rules are not those that a restart would load.

    Rationale:
        A rule that was only typed in is gone after the next boot; one that only stands in a
        file records nothing yet. ``augenrules --check`` exits with 0 even where it says that
        the rules have changed, and nothing reads ``/etc/audit/audit.d``.

    Remediation:
        Put rules that are only loaded into a file below ``/etc/audit/rules.d`` whose name
        ends in ``.rules``, take out what is no longer wanted, and run ``augenrules --load``.
        Where ``auditctl -s`` says ``enabled 2`` restart the host instead.
    """
    files = droplet_audit_files
    with Claims() as claim:
        if files.sources:
            with claim:
                wanted = [line.text.strip() for line in files.compile()]
                there = [] if files.compiled is None else files.compiled.texts
                if wanted != there:
                    text, rule = _difference(
                        wanted, there, locked=_is_locked(droplet_audit_status)
                    )
                    about = {"file": "/etc/audit/audit.rules", "line": None, "rule": rule}
                    fail(text, droplet_audit_files=[about])
        with claim:
            loaded, unread = droplet_audit_loaded.rules(files.host.machine)
            only_stored, only_loaded = compare(loaded, files.rules())
            only_stored = [rule for rule in only_stored if not files.passes_over(rule)]
            if (only_stored or only_loaded) and unread:
                raise NotObservedError(f"auditctl -l: {unread[0]} could not be read")
            locked = "; the rules are locked until the next boot"
            if only_loaded:
                rules = _texts(droplet_audit_loaded, files, only_loaded)
                fail(
                    f"{len(only_loaded)} loaded rules stand in no file: "
                    f"{'; '.join(one_line(rule, 80) for rule in rules[:3])}",
                    droplet_audit_loaded=[{"rule": rule} for rule in rules],
                )
            if only_stored:
                lines = _origins(files, only_stored)
                fail(
                    f"{len(only_stored)} rules of the files are not loaded: "
                    f"{_first(lines)}{locked if droplet_audit_status.enabled == 2 else ''}",
                    droplet_audit_files=lines,
                )


@check(
    "auditd.rules-immutable",
    severity="low",
    profile="cis2",
    guide=6,
    depends_on=(_MAIN,),
    references="auditctl(8)",
)
def test_the_audit_configuration_is_locked(
    droplet_audit_files: AuditFiles, droplet_audit_status: AuditStatus
) -> None:
    """The audit configuration is locked until the next boot: -e 2.

    Finding:
        The audit configuration can be changed while the host runs.

    Rationale:
        Whoever becomes root can take the rules away in silence. With ``-e 2`` that needs a
        restart, which somebody may notice.

    Remediation:
        Make the last file, for instance ``/etc/audit/rules.d/99-finalize.rules``, hold the
        line ``-e 2``, and let no later file have another ``-e``. Run ``augenrules --load`` or
        restart the host. From then on every change of the rules needs a restart.
    """
    with Claims() as claim:
        with claim:
            last = droplet_audit_files.last_control("-e")
            assert last is not None, "no rules file has -e 2"
            if last[1] != "2":
                fail(f"the last -e is -e {last[1]} ({last[0]})", droplet_audit_files=[last[0]])
        with claim:
            enabled = droplet_audit_status.enabled
            if enabled != 2:
                fail(
                    f"auditctl -s says enabled {enabled}: it is not locked now",
                    droplet_audit_status=[_status("enabled", enabled)],
                )


@check(
    "auditd.rules-cover",
    severity="medium",
    profile="cis2",
    guide=6,
    depends_on=(_MAIN,),
    params={"group": AUDIT_GROUPS},
    references="audit.rules(7)",
)
def test_audit_rules_cover_the_group(
    droplet_audit_loaded: LoadedRules,
    droplet_audit_surroundings: AuditSurroundings,
    droplet_settings: Settings,
    group: str,
) -> None:
    """Loaded rules cover the CIS group of events.

    Finding:
        No loaded rule covers this group of events.

    Rationale:
        The CIS benchmarks name the events that tell after a break-in what was done: changed
        accounts and rights, denied accesses, deleted files, loaded modules, a changed clock.
        A rule is judged by what it records, not by how it is written: keys do not count, a
        watch on a folder covers its files, and paths that do not exist are left out. On
        x86_64 programs of 64 and of 32 bits count, unless the kernel runs none of the latter;
        of 64 alone where the benchmark writes no rule for 32: for modules, and on Enterprise
        Linux 10 in every group. A rule that records nothing (``never``, the list ``exclude``)
        and comes before the others counts against them; where it is about some of the events
        alone, the answer is unknown.

    Remediation:
        Put rules for what is missing into ``/etc/audit/rules.d/50-<group>.rules`` and run
        ``augenrules --load``: for a path ``-w PATH -p wa -k <group>``, for a system call one
        line each with ``-F arch=b64`` and ``-F arch=b32``, such as
        ``-a always,exit -F arch=b64 -S unlink -F auid>=1000 -F auid!=unset -k delete``.
        Sample rules are in ``/usr/share/doc/auditd/examples/rules`` on Debian and Ubuntu and
        in ``/usr/share/audit-rules`` on AlmaLinux, Rocky Linux, Fedora and CentOS Stream.
        Rules on many calls cost time: watch ``lost`` in ``auditctl -s`` after the change. The
        setting ``audit_rule_groups`` names the groups that are asked for.
    """
    if group not in droplet_settings.audit_rule_groups:
        not_applicable(f"the setting audit_rule_groups does not ask for {group}")
    around = droplet_audit_surroundings
    if group == "actions":
        assert around.sudo_logs, "sudo writes no log file (Defaults logfile=...) to watch"
    elif not any(True for _ in items_of(group, around)):
        not_applicable("none of the paths of the group exists")
    rules, unread = droplet_audit_loaded.rules(around.host.machine)
    found = gaps(group, rules, around)
    if found and unread:
        raise NotObservedError(f"auditctl -l: {unread[0]} could not be read")
    missing = [gap for gap in found if gap.certain]
    certain = [gap for gap in missing if not gap.item.uncertain]
    names = list(dict.fromkeys(gap.item.name for gap in certain))
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    if names:
        by = next((gap.rule for gap in certain if gap.rule), None)
        before = f": {_line_of(droplet_audit_loaded, by, around)} comes first" if by else ""
        fail(
            f"no rule records {', '.join(names[:8])}{more}{before}",
            droplet_audit_loaded=[{"missing": name} for name in names],
        )
    if missing:
        raise NotObservedError(
            f"no rule records {missing[0].item.name} of 32-bit programs, and the kernel's "
            "configuration is not there to tell whether it runs any"
        )
    if found:
        line = _line_of(droplet_audit_loaded, found[0].rule, around)
        raise NotObservedError(f"{line} may keep {found[0].item.name} from being recorded")
    # A rule that was not read may stand before one that counts.
    if any("never" in line or "exclude" in line for line in unread):
        raise NotObservedError(f"auditctl -l: {unread[0]} could not be read")


_SPACE_ACTIONS = (
    "space_left_action",
    "admin_space_left_action",
    "disk_full_action",
    "disk_error_action",
)
_KNOWN_ACTIONS = frozenset(
    ("ignore", "syslog", "rotate", "email", "exec", "suspend", "single", "halt")
)
_STOPPING = {
    "space_left_action": ("email", "exec", "single", "halt"),
    "admin_space_left_action": ("single", "halt"),
    "disk_full_action": ("halt", "single"),
    "disk_error_action": ("syslog", "single", "halt"),
}


def _is_on(value: str | None) -> bool:
    return value == "1" or (value or "").lower() == "on"


def _is_large(value: str | None) -> bool:
    """Read a number as the kernel does: decimal, 0x… or, with a leading 0, octal."""
    text = value or ""
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", text):
        number = int(text, 16)
    elif re.fullmatch(r"0[0-7]{1,11}", text):
        number = int(text, 8)
    elif re.fullmatch(r"[1-9][0-9]{0,9}", text):
        number = int(text)
    else:
        return False
    return _BACKLOG <= number < 2**32


def _token(name: str, value: str | None) -> str:
    return f"no {name}=" if value is None else one_line(f"{name}={value}", 60)


def _assert_next(
    entry: BootEntry, name: str, wanted: str, good: Callable[[str | None], bool]
) -> None:
    wrong = [v for v in entry.last(name) if not good(v)]
    at = next((path for path, arguments in entry.configured if good(arguments.last(name))), "")
    hint = f"; {one_line(at, 80)} sets it, but the menu was not made anew" if at else ""
    if wrong:
        fail(
            f"the next boot ({one_line(entry.title or entry.path, 80)}) has"
            f" {_token(name, wrong[0])}, not {wanted}{hint}",
            droplet_boot_entry=[
                {
                    "entry": entry.title,
                    "file": entry.path,
                    "argument": name,
                    "value": wrong[0],
                }
            ],
        )


def _assert_retained(config: AuditdConfig, least: int) -> None:
    action = config.word("max_log_file_action")
    shown = config.where("max_log_file_action")
    if action == "exec":
        raise NotObservedError(f"{shown}: what it runs is not known")
    if action not in {"keep_logs", "rotate"}:
        _fail_on(config, " is neither keep_logs nor rotate", "max_log_file_action")
    if action == "rotate":
        files, size = config.number("num_logs"), config.number("max_log_file")
        if files < 2:
            _fail_on(config, ": with fewer than 2 nothing is rotated", "num_logs")
        if files * size < least:
            fail(
                f"{files} logs of {size} MiB keep {files * size} MiB, less than {least}",
                droplet_auditd_config=map(config.setting, ("num_logs", "max_log_file")),
            )


def _fail_on(config: AuditdConfig, text: str, *keys: str) -> NoReturn:
    """Fail on the first of the keys, with a text behind it."""
    fail(f"{config.where(keys[0])}{text}", droplet_auditd_config=map(config.setting, keys))


def _status(name: str, value: int) -> Item:
    return {"name": name, "value": value}


def _action(config: AuditdConfig, key: str) -> str:
    word = config.word(key)
    if word not in _KNOWN_ACTIONS:
        raise NotObservedError(f"{config.where(key)}: auditd knows no such action")
    return word


def _assert_lines(files: AuditFiles) -> None:
    """Fail where a line is refused, or repeats a rule that is there already."""
    wrong: list[str] = []
    lines: list[Item] = []
    seen: dict[tuple[Rule, tuple[str, ...]], RuleLine] = {}
    goes_on = files.goes_on_after_errors
    for line, statement in files.statements(files.compile()):
        if isinstance(statement, RuleError) and files.is_passed_over(line, statement):
            continue
        if isinstance(statement, RuleError):
            wrong.append(f"{line} {one_line(line.text, 80)!r}: {statement}")
            lines.append({**line.details, "error": str(statement)})
        elif isinstance(statement, Rule):
            first = seen.setdefault(statement.identity, line)
            if first is not line and not statement.is_first and not goes_on:
                wrong.append(f"{line} repeats {first}: the kernel refuses it, and loading stops")
                lines.append({**line.details, "error": f"repeats {first}"})
        else:
            seen = {} if isinstance(statement, Deletion) or statement.option == "-D" else seen
    if wrong:
        more = f" and {len(wrong) - 3} more" if wrong[3:] else ""
        fail(f"{'; '.join(wrong[:3])}{more}", droplet_audit_files=lines)


def _origins(files: AuditFiles, rules: Sequence[Rule]) -> list[RuleLine]:
    """Return the lines that the rules come from."""
    named = set(rules)
    return [
        line
        for line, statement in files.statements(files.compile())
        if isinstance(statement, Rule) and statement in named
    ]


def _line_of(loaded: LoadedRules, rule: Rule | None, around: AuditSurroundings) -> str:
    """Return the line of auditctl -l that a rule was printed as."""
    lines = (line for line, read in loaded.read(around.host.machine) if read == rule)
    return one_line(next(lines, ""), 80)


def _first(lines: Sequence[RuleLine]) -> str:
    return "; ".join(f"{line} {one_line(line.text.strip(), 80)}" for line in lines[:3])


def _texts(loaded: LoadedRules, files: AuditFiles, rules: Sequence[Rule]) -> list[str]:
    """Return the loaded lines that the rules come from."""
    named = set(rules)
    return [text for text, rule in loaded.read(files.host.machine) if rule in named]


def _is_locked(status: AuditStatus) -> bool:
    """Whether the rules are known to be locked until the next boot."""
    try:
        return status.enabled == 2
    except NotObservedError:
        return False


def _stopped_at(files: AuditFiles, missing: Sequence[Rule]) -> str:
    """Say what one of the missing rules is refused for, or where loading seems to have stopped."""
    if why := next(filter(None, map(files.refusal, missing)), ""):
        return f": {why}"
    wanted = files.rules()
    first = next((i for i, rule in enumerate(wanted) if rule in missing), len(wanted))
    if files.goes_on_after_errors or any(rule not in missing for rule in wanted[first:]):
        return ""
    return ": auditctl may have stopped at the first of them"


def _difference(wanted: Sequence[str], there: Sequence[str], *, locked: bool) -> tuple[str, str]:
    """Return how the compiled file differs, and the first rule that does."""
    missing = next((t for t in wanted if t not in there), None)
    extra = next((t for t in there if t not in wanted), None)
    if missing is not None:
        shown = one_line(missing, 80)
        how = "restart the host, the rules are locked" if locked else "run augenrules --load"
        return f"/etc/audit/audit.rules lacks {shown}: {how}", missing
    if extra is not None:
        shown = one_line(extra, 80)
        return f"{shown} of /etc/audit/audit.rules stands in no file of rules.d", extra
    return "/etc/audit/audit.rules has the lines of rules.d in another order", ""
