"""What the audit must say of each Droplet of the lab's account, with the profile ``droplet``.

Every check that is not named here passes or does not apply.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Expected:
    """What does not pass on one Droplet: the reason by check.

    Attributes:
        fails: The checks that must fail.
        unknown: The checks that nobody can judge there.
    """

    fails: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)


def _because(reason: str, *checks: str) -> dict[str, str]:
    return dict.fromkeys(checks, reason)


_BOOT = _because(
    "all containers run on the machine's own kernel, which was booted without audit=1",
    "auditd.boot-enabled",
    "auditd.backlog-limit",
)
_NO_KERNEL_PACKAGE = _because(
    "the machine's kernel is of no package of the host",
    "patches.kernel-current",
    "patches.reboot-not-required",
)
_NO_AUDIT = _because(
    "the kernel tells a container nothing about audit",
    "auditd.running",
    "auditd.no-lost-events",
    "auditd.rules-loaded",
    "auditd.rules-valid",
    "auditd.rules-persistent",
)
_CONTAINER = _NO_KERNEL_PACKAGE | _NO_AUDIT
_NO_BACKUPS = _because(
    "its backups are off", "backups.enabled", "backups.recent", "backups.complete"
)
_UNATTACHED = _because(
    "no firewall is attached to it", "firewall.cloud-attached", "firewall.cloud-rules-present"
)

EXPECTED: Mapping[str, Expected] = {
    "web-clean": Expected(_BOOT, _CONTAINER),
    "web-password": Expected(
        _BOOT
        | _because(
            "cloud-init's drop-in turns passwords on before sshd_config turns them off",
            "ssh.password-authentication-disabled",
            "ssh.only-publickey-offered",
        )
        | _because("deploy has a password", "ssh.password-accounts-unreachable"),
        _CONTAINER,
    ),
    "db-noauditd": Expected(
        _BOOT
        | _because(
            "auditd was never installed",
            "auditd.installed",
            "auditd.running",
            "auditd.no-lost-events",
            "auditd.log-retention",
            "auditd.log-space-actions",
            "auditd.rules-loaded",
            "auditd.rules-valid",
            "auditd.rules-persistent",
        )
        | _UNATTACHED,
        _NO_KERNEL_PACKAGE,
    ),
    "shop-expired": Expected(
        _BOOT
        | _NO_BACKUPS
        | _because(
            "its certificate expired a month ago",
            "tls.chain-trusted[apache]",
            "tls.not-expiring[apache]",
            "tls.renewal-automated[apache]",
        ),
        _CONTAINER,
    ),
    "app-foreignkey": Expected(
        _BOOT | _because("root and audit let in a foreign key", "sshkeys.host-keys-known"),
        _CONTAINER,
    ),
    "old-bullseye": Expected(
        _BOOT
        | _because("Debian 11 is at its end", "os.release-supported")
        | _because("nobody publishes its indexes any more", "patches.index-trustworthy"),
        _CONTAINER
        | _because("its indexes cannot be trusted", "patches.no-pending-security-updates"),
    ),
    "web-stale": Expected(
        _BOOT | _because("it was never upgraded", "patches.no-pending-security-updates"),
        _CONTAINER,
    ),
    "shop-selfsigned": Expected(
        _BOOT | _because("its certificate vouches for itself", "tls.chain-trusted[nginx]"),
        _CONTAINER,
    ),
    "rpm-host": Expected(
        _BOOT | _because("an advisory waits", "patches.no-pending-security-updates"),
        _CONTAINER,
    ),
    "vm-audit": Expected(),
    "queue-centos": Expected(
        _BOOT,
        _CONTAINER
        | _because(
            "CentOS Stream tells of no update what it is for",
            "patches.no-pending-security-updates",
        ),
    ),
    "cache-fedora": Expected(_BOOT, _CONTAINER),
    "api-ubuntu": Expected(_BOOT, _CONTAINER),
    "mail-off": Expected(_NO_BACKUPS | _UNATTACHED),
    "pool-worker": Expected(),
}
