"""What a section could not read, or lost on its way: its facts are unknown, and never less."""

from __future__ import annotations

import pytest

from pytest_droplet.model import NotObservedError

from .case import Seen, case
from .test_ssh import HOST_KEY


def assert_unknown(seen: Seen, *facts: str) -> None:
    """No fact has a value, and each says why."""
    for fact in facts:
        with pytest.raises(NotObservedError, match="could not be read to its end"):
            seen.fact(fact)


@case(
    *("audit_cover", "auditd_conf", "firewall_files", "firewall_saved", "accounts", "renewal"),
    *("kernel", "cmdline", "os", "apt_sources"),
    base="firewalled",
    prepare="failing sed 1",
)
def test_what_a_filter_loses_is_unknown(seen: Seen) -> None:
    """A tool fails wherever it is asked."""
    assert_unknown(
        seen,
        *("droplet_audit_surroundings", "droplet_auditd_config", "droplet_saved_firewall"),
        *("droplet_host_accounts", "droplet_renewal"),
    )


@case("sshd", prepare="failing sed 1")
def test_logins_are_unknown_where_a_filter_fails(seen: Seen) -> None:
    """Neither the sources of accounts nor the options come through."""
    assert "!! /etc/nsswitch.conf" in seen["sshd"].stdout
    assert seen.missing("droplet_sshd")


@case(
    *("automatic_updates", "dnf_index", "os"),
    root="almalinux-9",
    base="firewalled",
    prepare="failing sed 1",
)
def test_settings_of_dnf_are_unknown_where_a_filter_fails(seen: Seen) -> None:
    """Repositories, and what would install updates."""
    assert_unknown(seen, "droplet_automatic_updates")
    assert "!! /etc/yum.repos.d" in seen["dnf_index"].stdout


@case("audit_rules", "kernel", prepare="failing stat 1")
def test_rules_are_unknown_where_their_modes_are_lost(seen: Seen) -> None:
    """A file whose mode is not known."""
    assert_unknown(seen, "droplet_audit_files")


@case("listeners", prepare="failing tr 1")
def test_sockets_are_unknown_where_their_programs_are_lost(seen: Seen) -> None:
    """A socket without a program would be one of the kernel."""
    assert_unknown(seen, "droplet_listeners")


@case("authorized_keys", prepare="ln -s /srv/nothing/x /etc/ssh/sshd_config.d/x.conf")
def test_a_link_of_sshd_that_leads_nowhere_is_a_gap(seen: Seen) -> None:
    """What it led to may be back when sshd starts again."""
    assert "!! /etc/ssh/sshd_config.d/x.conf" in seen["authorized_keys"].stdout
    assert "/etc/ssh/sshd_config.d/x.conf" in seen.fact("droplet_authorized_keys").unread


@case("authorized_keys", prepare=f"{HOST_KEY}failing xargs 1")
def test_changes_that_cannot_be_seen_are_a_gap(seen: Seen) -> None:
    """Files may have been moved meanwhile."""
    assert "changes" in seen.fact("droplet_authorized_keys").unread


@case("firewall_files", base="firewalled", prepare="ln -sf /srv/nothing/x /etc/ufw/ufw.conf")
def test_a_switch_of_ufw_that_leads_nowhere_is_a_gap(seen: Seen) -> None:
    """It may be on."""
    assert "!! /etc/ufw/ufw.conf" in seen["firewall_files"].stdout


@case("renewal", "sshd", prepare="failing find 1")
def test_without_find_no_process_is_known(seen: Seen) -> None:
    """No cron and no sshd is then not said to be absent."""
    assert "!! processes" in seen["renewal"].stdout
    assert_unknown(seen, "droplet_renewal")


@case(
    "renewal",
    files={"/var/spool/cron/crontabs/audit": "17 3 * * * certbot renew\n"},
    prepare="chown audit /var/spool/cron/crontabs/audit",
)
def test_a_job_of_a_user_is_not_read(seen: Seen) -> None:
    """What a user can write is no renewal, and no path in it is opened."""
    assert "certbot" not in seen["renewal"].stdout


CLOSED = {
    "/home/audit": ("sshd", "authorized_keys"),
    "/etc/audit/rules.d": ("audit_rules",),
    "/etc/audit/plugins.d": ("auditd_conf",),
    "/etc/default/grub.d": ("boot",),
    "/etc/sudoers.d": ("audit_cover",),
    "/etc/pam.d": ("audit_cover",),
    "/etc/ufw": ("firewall_files", "firewall_saved"),
    "/etc/nginx": ("nginx",),
    "/etc/cron.d": ("renewal",),
    "/etc/letsencrypt/renewal": ("renewal",),
    "/etc/apt/preferences.d": ("apt_policy",),
    "/etc/apt/sources.list.d": ("apt_sources",),
    "/var/lib/apt/lists": ("apt_index",),
    "/var/lib/ubuntu-advantage": ("ubuntu_pro",),
}
"""Folders, and the sections that read files in them."""


@case(
    *dict.fromkeys(section for sections in CLOSED.values() for section in sections),
    "kernel",
    root="bookworm-nginx",
    files={"/etc/audit/auditd.conf": "log_file = /var/log/audit/audit.log\n"},
    prepare=HOST_KEY + "".join(f"closed {folder}\n" for folder in CLOSED),
)
def test_what_root_cannot_look_into_is_unread(seen: Seen) -> None:
    """A file system that serves another user alone, as FUSE has them, holds who knows what."""
    silent = [
        (folder, section)
        for folder, sections in CLOSED.items()
        for section in sections
        if not seen[section].rc and f"!! {folder}" not in seen[section].stdout
    ]
    assert silent == []


@case(
    *("authorized_keys", "sshd"),
    without="-dac_override,-dac_read_search",
)
def test_root_that_may_not_read_all_files_is_not_root(seen: Seen) -> None:
    """What belongs to others would seem to be absent."""
    assert seen.answer.uid is None
    assert seen.missing("droplet_authorized_keys").startswith("needs root")
    assert seen.missing("droplet_sshd").startswith("needs root")
