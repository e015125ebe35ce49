"""Checks of the audit daemon and the kernel's audit (the guide's recommendation 6)."""

from __future__ import annotations

import re
from collections.abc import Callable

from pytest_droplet.catalogue import check
from pytest_droplet.facts.auditd import (
    AuditdConfig,
    AuditPackage,
    AuditStatus,
    LoadedRules,
)
from pytest_droplet.facts.boot import BootEntry
from pytest_droplet.facts.host import KernelArguments
from pytest_droplet.facts.units import Unit
from pytest_droplet.model import Claims, NotObservedError
from pytest_droplet.redact import one_line

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, 6: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_UPSTREAM = "https://github.com/linux-audit/audit-userspace"
_BACKLOG = 8192
_LOG_MIB = 8
_KEPT_MIB = 40
_MAIN = "auditd.installed"


@check(
    "auditd.installed",
    severity="high",
    profile=("droplet", "cis2"),
    guide=6,
    references=f"{_GUIDE}; CIS Ubuntu 24.04 v1.0.0 6.2.1.1; CIS Debian 13 v1.0.0 6.2.1.1; "
    "CIS RHEL 9 v2.0.0 6.3.1.1",
)
def test_auditd_is_installed(droplet_audit_package: AuditPackage) -> None:
    """The audit daemon is installed.

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
    assert not package.lacking, f"{', '.join(package.lacking)} not installed{state}"


@check(
    "auditd.running",
    severity="high",
    profile=("droplet", "cis2"),
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; CIS Ubuntu 24.04 v1.0.0 6.2.1.2; CIS Debian 13 v1.0.0 6.2.1.2; "
    "CIS RHEL 9 v2.0.0 6.3.1.4; auditctl(8)",
)
def test_auditd_is_enabled_and_running(
    droplet_auditd_unit: Unit, droplet_audit_status: AuditStatus
) -> None:
    """The audit daemon is enabled and running, and the kernel audits.

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
            assert unit.is_enabled, (
                f"auditd.service is {unit.file_state or unit.load}, not enabled"
            )
        with claim:
            unit = droplet_auditd_unit
            reason = ": its condition is not met" if unit.condition is False else ""
            assert unit.is_active, f"auditd.service is {unit.active}{reason}"
        with claim:
            enabled = droplet_audit_status.enabled
            assert enabled in {1, 2}, f"auditctl -s says enabled {enabled}: the kernel audits not"
        with claim:
            assert droplet_audit_status.pid, "auditctl -s says pid 0: no daemon listens"


@check(
    "auditd.boot-enabled",
    severity="medium",
    profile=("droplet", "cis2"),
    guide=6,
    references=f"{_GUIDE}; CIS Ubuntu 24.04 v1.0.0 6.2.1.3; CIS Debian 13 v1.0.0 6.2.1.3; "
    "CIS RHEL 9 v2.0.0 6.3.1.2; Linux kernel-parameters",
)
def test_audit_is_on_from_the_first_process(
    droplet_kernel_arguments: KernelArguments, droplet_boot_entry: BootEntry
) -> None:
    """Auditing starts at boot: audit=1.

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
            assert _is_on(now), f"the running kernel has {_token('audit', now)}, not audit=1"
        with claim:
            _assert_next(droplet_boot_entry, "audit", "audit=1", _is_on)


@check(
    "auditd.backlog-limit",
    severity="medium",
    profile=("droplet", "cis2"),
    guide=6,
    references=f"{_GUIDE}; CIS Ubuntu 24.04 v1.0.0 6.2.1.4; CIS Debian 13 v1.0.0 6.2.1.4; "
    "CIS RHEL 9 v2.0.0 6.3.1.3; Linux kernel-parameters",
)
def test_the_boot_backlog_holds_enough_records(
    droplet_kernel_arguments: KernelArguments, droplet_boot_entry: BootEntry
) -> None:
    """The backlog holds 8192 records or more at boot.

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
            assert _is_large(now), (
                f"the running kernel has {_token(name, now)}, less than {_BACKLOG}"
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
def test_no_audit_record_was_lost(droplet_audit_status: AuditStatus) -> None:
    """The kernel has lost no audit records.

    Rationale:
        Each lost record is a hole in the trail, and an attacker can make holes by noise. The
        counter runs since boot: records of the boot itself are lost where ``audit=1`` or
        ``audit_backlog_limit`` is missing on the kernel command line.

    Remediation:
        Raise ``-b`` in ``/etc/audit/rules.d`` and ``audit_backlog_limit`` on the kernel
        command line, thin out rules that match every call, or raise
        ``--backlog_wait_time``; then ``augenrules --load``. The counter starts anew at the
        next boot, or with ``auditctl --reset-lost``.
    """
    status = droplet_audit_status
    since = f"since {status.booted_at:%Y-%m-%d %H:%M} UTC" if status.booted_at else "since boot"
    assert status.lost == 0, (
        f"{status.lost} records lost {since} (backlog limit {status.backlog_limit} now); those of "
        "the boot itself count where audit=1 or audit_backlog_limit is missing"
    )


@check(
    "auditd.log-retention",
    severity="medium",
    profile=("droplet", "cis2"),
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; CIS Ubuntu 24.04 v1.0.0 6.2.2.1, 6.2.2.2; "
    "CIS Debian 13 v1.0.0 6.2.2.1, 6.2.2.2; CIS RHEL 9 v2.0.0 6.3.2.1, 6.3.2.2; auditd.conf(5)",
)
def test_audit_logs_are_kept(droplet_auditd_config: AuditdConfig) -> None:
    """Audit logs are large enough, and rotated or kept.

    Rationale:
        A log that is overwritten within hours, not written at all, or that grows until the
        disk is full is not there when it is needed. The packages ship 8 MiB times 5 files,
        which is what is asked here.

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
            assert written, f"{config.where('write_logs')}, and no plugin sends the records away"
        with claim:
            size = config.number("max_log_file")
            assert size >= _LOG_MIB, f"{config.where('max_log_file')} MiB, less than {_LOG_MIB}"
        with claim:
            _assert_retained(config)


@check(
    "auditd.log-kept",
    severity="medium",
    profile="cis2",
    guide=6,
    depends_on=(_MAIN,),
    references="CIS Ubuntu 24.04 v1.0.0 6.2.2.2; CIS Debian 13 v1.0.0 6.2.2.2; "
    "CIS RHEL 9 v2.0.0 6.3.2.2; auditd.conf(5)",
)
def test_audit_logs_are_never_overwritten(droplet_auditd_config: AuditdConfig) -> None:
    """Audit logs are never overwritten: keep_logs.

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
    assert action == "keep_logs", (
        f"{config.where('max_log_file_action')}, it must be keep_logs{free}"
    )


@check(
    "auditd.log-space-actions",
    severity="medium",
    profile=("droplet", "cis2"),
    guide=6,
    depends_on=(_MAIN,),
    references=f"{_GUIDE}; CIS Ubuntu 24.04 v1.0.0 6.2.2.3, 6.2.2.4; "
    "CIS Debian 13 v1.0.0 6.2.2.3, 6.2.2.4; CIS RHEL 9 v2.0.0 6.3.2.3, 6.3.2.4; auditd.conf(5)",
)
def test_low_space_for_audit_logs_is_acted_on(droplet_auditd_config: AuditdConfig) -> None:
    """Low space and a full disk are not ignored.

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
                assert _action(config, key) != "ignore", config.where(key)
        with claim:
            more, less = config.mebibytes("space_left"), config.mebibytes("admin_space_left")
            assert more > less, (
                f"{config.where('space_left')} is not above {config.where('admin_space_left')}"
            )


@check(
    "auditd.log-space-stops",
    severity="medium",
    profile="cis2",
    guide=6,
    depends_on=(_MAIN,),
    references="CIS Ubuntu 24.04 v1.0.0 6.2.2.3, 6.2.2.4; CIS Debian 13 v1.0.0 6.2.2.3, 6.2.2.4; "
    "CIS RHEL 9 v2.0.0 6.3.2.3, 6.3.2.4; auditd.conf(5)",
)
def test_the_host_stops_when_audit_logs_have_no_space(
    droplet_auditd_config: AuditdConfig,
) -> None:
    """The host warns by mail and stops when audit logs have no space left.

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
                assert _action(config, key) in allowed, (
                    f"{config.where(key)} is none of {', '.join(allowed)}"
                )
        with claim:
            mails = [k for k in _STOPPING if _action(config, k) == "email"]
            account = config.word("action_mail_acct")
            assert not mails or (config.can_mail and account), (
                f"{' and '.join(mails)} send mail, but the host has no sendmail"
                if account
                else f"{' and '.join(mails)} send mail, but action_mail_acct is empty"
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
    assert not off, f"{one_line(off[0], 80)} keeps every task from being audited"
    assert rules.lines, "auditctl -l says No rules"
    assert rules.recording, f"none of the {len(rules.lines)} loaded rules makes a record"


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
    assert not wrong, (
        f"the next boot ({one_line(entry.title or entry.path, 80)}) has {_token(name, wrong[0])}, "
        f"not {wanted}{hint}"
    )


def _assert_retained(config: AuditdConfig) -> None:
    action = config.word("max_log_file_action")
    shown = config.where("max_log_file_action")
    if action == "exec":
        raise NotObservedError(f"{shown}: what it runs is not known")
    assert action in {"keep_logs", "rotate"}, f"{shown} is neither keep_logs nor rotate"
    if action == "rotate":
        files, size = config.number("num_logs"), config.number("max_log_file")
        assert files >= 2, f"{config.where('num_logs')}: with fewer than 2 nothing is rotated"
        assert files * size >= _KEPT_MIB, (
            f"{files} logs of {size} MiB keep {files * size} MiB, less than {_KEPT_MIB}"
        )


def _action(config: AuditdConfig, key: str) -> str:
    word = config.word(key)
    if word not in _KNOWN_ACTIONS:
        raise NotObservedError(f"{config.where(key)}: auditd knows no such action")
    return word
