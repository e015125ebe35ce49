"""What can be wrong with the lab's hosts, a row each, and which checks tell.

The verdicts are those of the check catalogue's rules; ``test_audit.py`` proves them.
"""

import re
from collections.abc import Callable, Mapping

from .certificates import self_signed
from .command import LabError
from .defect import Defect, Host

_SSHD = "/etc/ssh/sshd_config.d"
_KEYS_ONLY = f"{_SSHD}/00-keys-only.conf"
_CLOUD_INIT = f"{_SSHD}/50-cloud-init.conf"
_RELOAD_SSH = "systemctl reload ssh"
# A reload ends a server whose socket systemd holds; the next client starts another one.
_RESTART_SSH = "systemctl restart ssh"
_RELOAD_WEB = (
    "for unit in nginx apache2; do\n"
    "  if systemctl -q is-active $unit; then systemctl reload $unit; fi\ndone"
)
_LOAD_FIREWALL = (
    "if systemctl -q is-enabled nftables\nthen systemctl restart nftables\n"
    "else systemctl restart ufw\nfi"
)
_SOURCES = "/etc/apt/sources.list.d/debian.sources"
_WITHOUT_SECURITY = """awk 'BEGIN { RS = ""; ORS = "\\n\\n" } !/-security/'"""
_CERTIFICATE, _KEY = "/etc/ssl/certs/site.pem", "/etc/ssl/private/site.key"
_NGINX = "/etc/nginx/sites-available/site"
_APACHE = "/etc/apache2/sites-available/site.conf"
_REPOSITORY = "/srv/repository/baseos"
_RPM = "rpm --nodeps --nosignature"
_LONG_AGO = "SOURCE_DATE_EPOCH=1767225600"  # what is newer than the boot asks for another one
# Of every group that the rules of the lab cover; no rule can cover "actions", for sudo on these
# hosts has no log file of its own.
_COVERED = tuple(
    f"auditd.rules-cover[{group}]"
    for group in (
        *("time-change", "identity", "system-locale", "mac-policy", "logins", "session"),
        *("perm-mod", "access", "mounts", "delete", "scope", "user-emulation", "modules"),
    )
)
_ALL_AUDITD = (
    *("auditd.running", "auditd.no-lost-events", "auditd.log-retention", "auditd.log-kept"),
    *("auditd.log-space-actions", "auditd.log-space-stops", "auditd.rules-loaded"),
    *("auditd.rules-valid", "auditd.rules-persistent", *_COVERED),
)
_ALL_TLS = tuple(
    f"tls.{name}[nginx]"
    for name in (
        *("listening", "certificate-configured", "chain-trusted", "hostname-matches"),
        *("not-expiring", "key-strength", "protocol-versions", "http-redirects-to-https", "hsts"),
        *("private-key-protected", "renewal-automated", "served-certificate-current"),
    )
)

Files = Callable[[Host], Mapping[str, str | None]]


def _fail(*checks: str) -> dict[str, str]:
    return dict.fromkeys(checks, "fail")


def _unknown(*checks: str) -> dict[str, str]:
    return dict.fromkeys(checks, "unknown")


def _edited(path: str, pattern: str, replacement: str) -> Files:
    """A file with all that matches a pattern replaced."""

    def files(host: Host) -> dict[str, str | None]:
        text = host.run(["cat", path], check=True).stdout
        edited, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if not count:
            raise LabError(f"{host.name}: {path} has nothing like {pattern}")
        return {path: edited}

    return files


def _sshd(
    host: str,
    settings: str,
    flips: Mapping[str, str],
    account: str = "",
    heed: str = _RELOAD_SSH,
) -> Defect:
    """Settings of sshd that come first; and an account with a password, if one is named."""
    add = f"useradd --create-home --shell /bin/bash {account}\n{_password(account)}\n"
    return Defect(
        host,
        flips,
        files=lambda _: {f"{_SSHD}/00-defect.conf": settings},
        script=f"{add if account else ''}{heed}",
        undo=f"{heed}\n{f'userdel --remove {account} 2>/dev/null' if account else ''}",
    )


def _password(account: str) -> str:
    return f'echo "{account}:$(head -c 12 /dev/urandom | base64)" | chpasswd'


def _keys(*names: str, homes: tuple[str, ...] = ("/root", "/home/audit")) -> Files:
    """Further keys beside the account's."""

    def files(host: Host) -> dict[str, str | None]:
        text = "".join(host.identity.public_key(name) for name in ("account", *names))
        return dict.fromkeys((f"{home}/.ssh/authorized_keys" for home in homes), text)

    return files


def _served(
    host: str, flips: Mapping[str, str], make: Callable[[Host], tuple[str, str]]
) -> Defect:
    """A web server with another chain and key."""
    return Defect(
        host,
        flips,
        files=lambda target: dict(zip((_CERTIFICATE, _KEY), make(target), strict=True)),
        script=_RELOAD_WEB,
        undo=_RELOAD_WEB,
    )


def _web(host: str, flips: Mapping[str, str], files: Files) -> Defect:
    """A web server with another configuration."""
    return Defect(host, flips, files=files, script=_RELOAD_WEB, undo=_RELOAD_WEB)


def _issued(name: str = "", **options: int) -> Callable[[Host], tuple[str, str]]:
    def make(host: Host) -> tuple[str, str]:
        return host.identity.authority.issue(name or host.served_names[0], **options)

    return make


def _leaf_alone(host: Host) -> tuple[str, str]:
    chain, key = host.identity.authority.issue(host.served_names[0])
    end = "-----END CERTIFICATE-----\n"
    return chain.partition(end)[0] + end, key


_SSH = {
    "ssh.password-dropin": Defect(
        "web-clean",
        _fail("ssh.password-authentication-disabled", "ssh.only-publickey-offered"),
        files=lambda _: {_KEYS_ONLY: None, _CLOUD_INIT: "PasswordAuthentication yes\n"},
        mode=0o600,
        script=_RELOAD_SSH,
        undo=_RELOAD_SSH,
    ),
    # Alone it breaks nothing: beside the drop-in `ssh.password-accounts-unreachable` fails.
    "ssh.password-account": Defect(
        "web-clean",
        {},
        script=f"useradd --create-home --shell /bin/bash deploy\n{_password('deploy')}",
        undo="userdel --remove deploy 2>/dev/null",
    ),
    # The files are good again, the running server has read the bad ones.
    "ssh.not-reloaded": Defect(
        "web-clean",
        _fail("ssh.only-publickey-offered"),
        script=f"mv {_KEYS_ONLY} /run/keys-only\necho 'PasswordAuthentication yes' > {_CLOUD_INIT}\n"
        f"{_RELOAD_SSH}\nsleep 1\nrm {_CLOUD_INIT}\nmv /run/keys-only {_KEYS_ONLY}",
        undo=_RELOAD_SSH,
    ),
    "ssh.weak-cipher": _sshd(
        "web-clean", "Ciphers +aes128-cbc\n", _fail("ssh.weak-algorithms-disabled")
    ),
    "ssh.password-for-one": _sshd(
        "db-noauditd",
        "Match User deploy\n\tPasswordAuthentication yes\n",
        _fail("ssh.password-authentication-disabled", "ssh.password-accounts-unreachable"),
        account="deploy",
    ),
    "ssh.root-by-password": _sshd(
        "db-noauditd",
        "PermitRootLogin yes\nPasswordAuthentication yes\n",
        _fail(
            "ssh.password-authentication-disabled",
            "ssh.root-password-login-disabled",
            "ssh.only-publickey-offered",
        ),
    ),
    "ssh.password-from-inside": _sshd(
        "db-noauditd",
        "Match Address 10.110.0.0/20\n\tPasswordAuthentication yes\n",
        _fail("ssh.password-authentication-disabled"),
    ),
    "ssh.keyboard-interactive": _sshd(
        "old-bullseye",
        "ChallengeResponseAuthentication yes\n",
        _fail("ssh.keyboard-interactive-disabled", "ssh.only-publickey-offered"),
    ),
    "ssh.no-keys-for-one": _sshd(
        "old-bullseye",
        "Match User noroot\n\tPubkeyAuthentication no\n",
        _fail("ssh.pubkey-authentication-enabled"),
    ),
    "ssh.empty-passwords": _sshd(
        "old-bullseye", "PermitEmptyPasswords yes\n", _fail("ssh.empty-passwords-disabled")
    ),
}

_SSHKEYS = {
    "sshkeys.foreign-key": Defect(
        "db-noauditd", _fail("sshkeys.host-keys-known"), files=_keys("foreign")
    ),
    # The files that sshd would read by itself are in order.
    "sshkeys.foreign-key-of-another-configuration": Defect(
        "db-noauditd",
        _fail("sshkeys.host-keys-known"),
        files=lambda host: {
            "/etc/ssh/other_config": "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/other_keys_%u\n"
            "Include /etc/ssh/sshd_config\n",
            "/etc/ssh/other_keys_root": host.identity.public_key("foreign"),
            "/etc/default/ssh": "SSHD_OPTS='-f /etc/ssh/other_config'\n",
        },
        script=_RESTART_SSH,
        undo=_RESTART_SSH,
    ),
    "sshkeys.departed-key": Defect(
        "db-noauditd",
        _fail("sshkeys.denied-keys-absent", "sshkeys.host-keys-known"),
        files=_keys("departed", homes=("/home/noroot",)),
    ),
    "sshkeys.weak-key": Defect(
        "db-noauditd",
        _fail("sshkeys.key-strength", "sshkeys.host-keys-known"),
        files=_keys("weak", homes=("/home/audit",)),
    ),
    "sshkeys.dormant-account": Defect(
        "db-noauditd",
        _fail("sshkeys.dormant-account-keys"),
        script="useradd --create-home --shell /usr/sbin/nologin sleeper\n"
        "cp -r /root/.ssh /home/sleeper\nchown -R sleeper: /home/sleeper",
        undo="userdel --remove sleeper 2>/dev/null",
    ),
    "sshkeys.command-source": _sshd(
        "old-bullseye",
        "AuthorizedKeysCommand /bin/true\nAuthorizedKeysCommandUser nobody\n",
        _fail("sshkeys.key-sources-managed"),
    ),
}

_AUDITD = {
    "auditd.never-installed": Defect(
        "db-noauditd", _fail("auditd.installed", *_ALL_AUDITD), built_in=True
    ),
    "auditd.removed": Defect(
        "web-clean",
        _fail("auditd.installed", *_ALL_AUDITD),
        script="dpkg --remove auditd",
        undo="dpkg --install /run/auditd.deb",
        packages=("auditd.deb",),
    ),
    "auditd.stopped": Defect(
        "old-bullseye",
        _fail("auditd.running"),
        script="systemctl kill auditd\n"
        "until [ $(systemctl is-active auditd) = inactive ]; do sleep 0.1; done",
        undo="systemctl start auditd",
    ),
    "auditd.disabled": Defect(
        "old-bullseye",
        _fail("auditd.running"),
        script="systemctl -q disable auditd",
        undo="systemctl -q enable auditd",
    ),
    "auditd.log-not-kept": Defect(
        "old-bullseye",
        _fail("auditd.log-retention", "auditd.log-kept"),
        files=_edited(
            "/etc/audit/auditd.conf", "^max_log_file_action.*", "max_log_file_action = ignore"
        ),
    ),
    "auditd.full-disk-ignored": Defect(
        "old-bullseye",
        _fail("auditd.log-space-actions", "auditd.log-space-stops"),
        files=_edited(
            "/etc/audit/auditd.conf", "^disk_full_action.*", "disk_full_action = ignore"
        ),
    ),
    "auditd.package-erased": Defect(
        "rpm-host",
        _fail("auditd.installed", *_ALL_AUDITD),
        script=f"{_RPM} --force-debian --erase audit",
        undo=f"{_RPM} --force-debian --install {_REPOSITORY}/audit-*.rpm",
    ),
    # The kernel lets auditctl in on the virtual machine alone.
    "auditd.rules-flushed": Defect(
        "vm-audit",
        _fail("auditd.rules-loaded", "auditd.rules-valid", "auditd.rules-persistent", *_COVERED),
        script="auditctl -D",
        undo="augenrules --load",
    ),
    "auditd.rule-until-reboot": Defect(
        "vm-audit",
        _fail("auditd.rules-persistent"),
        script="auditctl -w /etc/hostname -p r -k passing",
        undo="auditctl -W /etc/hostname -p r -k passing",
    ),
    "auditd.rule-with-a-slip": Defect(
        "vm-audit",
        _fail("auditd.rules-valid", "auditd.rules-persistent"),
        files=lambda _: {
            "/etc/audit/rules.d/90-slip.rules": "-a always,exit -F arch=b64 -S umount -k slip\n"
        },
        mode=0o640,
    ),
    "auditd.switched-off": Defect(
        "vm-audit", _fail("auditd.running"), script="auditctl -e 0", undo="auditctl -e 1"
    ),
    "auditd.not-from-boot-on": Defect(
        "vm-audit",
        _fail("auditd.boot-enabled"),
        files=_edited("/boot/grub/grub.cfg", r"\baudit=1\b", "audit=0"),
    ),
}

_FIREWALL = {
    "firewall.flushed": Defect(
        "web-clean",
        _fail(
            "firewall.host-active",
            "firewall.host-default-deny[ipv4]",
            "firewall.host-default-deny[ipv6]",
        ),
        script="nft flush ruleset",
        undo=_LOAD_FIREWALL,
    ),
    "firewall.not-after-reboot": Defect(
        "web-clean",
        _fail("firewall.host-active"),
        files=_edited("/etc/ufw/ufw.conf", "^ENABLED=yes", "ENABLED=no"),
    ),
    "firewall.open-on-ipv6": Defect(
        "web-clean",
        _fail("firewall.host-default-deny[ipv6]"),
        script="ip6tables-save >/run/ip6tables.saved\nip6tables -P INPUT ACCEPT\nip6tables -F INPUT",
        undo="ip6tables-restore </run/ip6tables.saved\nrm /run/ip6tables.saved",
    ),
    "firewall.policy-accept": Defect(
        "db-noauditd",
        _fail("firewall.host-default-deny[ipv4]", "firewall.host-default-deny[ipv6]"),
        script="nft 'add chain inet filter input { policy accept; }'",
        undo=_LOAD_FIREWALL,
    ),
    "firewall.zone-trusted": Defect(
        "rpm-host",
        _fail("firewall.host-default-deny[ipv4]", "firewall.host-default-deny[ipv6]"),
        script="firewall-cmd -q --zone=trusted --change-interface=eth0",
        undo="systemctl restart firewalld",
    ),
    "firewall.stopped": Defect(
        "rpm-host",
        _fail(
            "firewall.host-active",
            "firewall.host-default-deny[ipv4]",
            "firewall.host-default-deny[ipv6]",
        ),
        script="systemctl stop firewalld",
        undo="systemctl start firewalld",
    ),
}

_OS_AND_PATCHES = {
    "os.end-of-life": Defect(
        "old-bullseye", _fail("os.release-supported", "os.release-eol-not-near"), built_in=True
    ),
    "patches.never-upgraded": Defect(
        "web-stale",
        _fail("patches.no-pending-security-updates", "patches.no-pending-updates"),
        built_in=True,
    ),
    # Debian 12 lives by its long-term support, and that comes from the security suite.
    "patches.no-security-source": Defect(
        "web-clean",
        _fail("patches.index-trustworthy", "os.release-supported", "os.release-eol-not-near")
        | _unknown(
            "patches.no-pending-security-updates",
            "patches.no-pending-updates",
            "patches.automatic-updates-enabled",
        ),
        script=f"cp -p {_SOURCES} /run/debian.sources\n"
        f"{_WITHOUT_SECURITY} /run/debian.sources > {_SOURCES}",
        undo=f"cp -p /run/debian.sources {_SOURCES}\nrm /run/debian.sources",
    ),
    "patches.pending-security-update": Defect(
        "web-clean",
        _fail("patches.no-pending-security-updates", "patches.no-pending-updates"),
        script="dpkg --install /run/old.deb",
        undo="dpkg --install /run/new.deb",
        packages=("old.deb", "new.deb"),
    ),
    "patches.security-pinned-away": Defect(
        "web-clean",
        _fail("patches.index-trustworthy")
        | _unknown("patches.no-pending-security-updates", "patches.no-pending-updates"),
        files=lambda _: {
            "/etc/apt/preferences.d/99-defect": "Package: *\nPin: release l=Debian-Security\n"
            "Pin-Priority: -1\n"
        },
    ),
    "patches.not-automatic": Defect(
        "web-clean",
        _fail("patches.automatic-updates-enabled"),
        files=lambda _: {
            "/etc/apt/apt.conf.d/99-defect": 'APT::Periodic::Unattended-Upgrade "0";\n'
        },
    ),
    "patches.stale-index": Defect(
        "db-noauditd",
        _fail("patches.index-trustworthy")
        | _unknown("patches.no-pending-security-updates", "patches.no-pending-updates"),
        script="touch -d '10 days ago' /var/lib/apt/lists/partial /var/lib/apt/periodic/*",
        undo="touch /var/lib/apt/lists/partial /var/lib/apt/periodic/*",
    ),
    "patches.reboot-asked-for": Defect(
        "db-noauditd",
        _fail("patches.reboot-not-required"),
        files=lambda _: {
            "/run/reboot-required": "*** System restart required ***\n",
            "/run/reboot-required.pkgs": "libc6\n",
        },
    ),
    "patches.newer-kernel": Defect(
        "vm-audit",
        _fail("patches.kernel-current", "patches.reboot-not-required"),
        script="mkdir -p /run/kernel/DEBIAN\n"
        "printf '%s\\n' 'Package: linux-image-6.1.0-999-cloud-amd64' 'Version: 6.1.999-1' "
        "'Architecture: amd64' 'Maintainer: lab' 'Description: kernel' > /run/kernel/DEBIAN/control\n"
        "dpkg-deb --build /run/kernel /run/kernel.deb\ndpkg --install /run/kernel.deb",
        undo="dpkg --purge linux-image-6.1.0-999-cloud-amd64\nrm -r /run/kernel /run/kernel.deb",
    ),
    # What is known to wait still waits, however old the metadata is.
    "patches.stale-metadata": Defect(
        "rpm-host",
        _fail("patches.index-trustworthy"),
        script="touch -d '10 days ago' /var/cache/dnf/*/repodata/*",
        undo="touch /var/cache/dnf/*/repodata/*",
    ),
    "patches.repository-off": Defect(
        "rpm-host",
        _fail("patches.index-trustworthy")
        | _unknown("patches.no-pending-security-updates", "patches.no-pending-updates"),
        files=_edited("/etc/yum.repos.d/almalinux-baseos.repo", "^enabled=1", "enabled=0"),
    ),
    # The advisory is heeded, but what runs has loaded the old library.
    "patches.not-rebooted": Defect(
        "rpm-host",
        {"patches.no-pending-security-updates": "pass", "patches.reboot-not-required": "fail"},
        script=f"{_RPM} --upgrade {_REPOSITORY}/openssl-libs-3.5.1-4*.rpm",
        undo=f"{_LONG_AGO} {_RPM} --upgrade --oldpackage {_REPOSITORY}/openssl-libs-3.5.1-3*.rpm",
    ),
}

_TLS = {
    "tls.expired": _served(
        "web-clean",
        _fail(
            "tls.not-expiring[nginx]", "tls.chain-trusted[nginx]", "tls.renewal-automated[nginx]"
        ),
        _issued(begins_days=-120),
    ),
    "tls.self-signed": _served(
        "web-clean",
        _fail("tls.chain-trusted[nginx]"),
        lambda host: self_signed(host.served_names[0]),
    ),
    "tls.leaf-alone": _served("web-clean", _fail("tls.chain-trusted[nginx]"), _leaf_alone),
    "tls.other-name": _served(
        "web-clean", _fail("tls.hostname-matches[nginx]"), _issued("other.example.com")
    ),
    "tls.not-reloaded": Defect(
        "web-clean",
        _fail("tls.served-certificate-current[nginx]"),
        files=lambda host: dict(zip((_CERTIFICATE, _KEY), _issued()(host), strict=True)),
    ),
    "tls.key-readable": Defect(
        "web-clean",
        _fail("tls.private-key-protected[nginx]"),
        script=f"chmod 644 {_KEY}",
        undo=f"chmod 600 {_KEY}",
    ),
    "tls.certificate-gone": Defect(
        "web-clean",
        _fail("tls.certificate-configured[nginx]")
        | _unknown("tls.served-certificate-current[nginx]"),
        files=lambda _: {_CERTIFICATE: None},
    ),
    "tls.server-stopped": Defect(
        "web-clean",
        _fail(*_ALL_TLS),
        script="systemctl stop nginx",
        undo="systemctl start nginx",
    ),
    "tls.no-redirect": _web(
        "web-clean",
        _fail("tls.http-redirects-to-https[nginx]"),
        _edited(_NGINX, "return 301 .*", "root /var/www/html;"),
    ),
    "tls.no-hsts": _web(
        "web-clean", _fail("tls.hsts[nginx]"), _edited(_NGINX, "^.*Strict-Transport.*\n", "")
    ),
    "tls.old-versions": _web(
        "web-clean",
        _fail("tls.protocol-versions[nginx]"),
        _edited(
            _NGINX,
            "ssl_protocols .*",
            "ssl_protocols TLSv1 TLSv1.1 TLSv1.2;\n\tssl_ciphers ALL:@SECLEVEL=0;",
        ),
    ),
    "tls.old-versions-of-apache": _web(
        "shop-expired",
        _fail("tls.protocol-versions[apache]"),
        _edited(_APACHE, "SSLProtocol .*", "SSLProtocol all\n\tSSLCipherSuite ALL:@SECLEVEL=0"),
    ),
    "tls.no-redirect-of-apache": _web(
        "shop-expired",
        _fail("tls.http-redirects-to-https[apache]"),
        _edited(_APACHE, "Redirect permanent .*", "DocumentRoot /var/www/html"),
    ),
}

_WAITS = ("patches.no-pending-security-updates", "patches.no-pending-updates")
_NO_FIREWALL = (
    *("firewall.host-active", "firewall.host-default-deny[ipv4]"),
    "firewall.host-default-deny[ipv6]",
)


def _older_rpm(host: str, flips: Mapping[str, str], old: str, new: str) -> Defect:
    """The older form of a package, as if it had never been upgraded."""
    return Defect(
        host,
        flips,
        script=f"{_LONG_AGO} {_RPM} --upgrade --oldpackage /srv/repository/{old}*.rpm",
        undo=f"{_LONG_AGO} {_RPM} --upgrade /srv/repository/{new}*.rpm",
    )


def _older_deb(host: str, flips: Mapping[str, str], package: str, pocket: str) -> Defect:
    """The form of a package with which Ubuntu was released, though a pocket has a newer one."""
    pool = "/srv/ubuntu/pool"
    return Defect(
        host,
        flips,
        script=f"dpkg --force-downgrade --install {pool}/release/{package}_*",
        undo=f"dpkg --install {pool}/{pocket}/{package}_*",
    )


_UBUNTU = {
    "patches.security-pocket-waits": _older_deb(
        "app-foreignkey", _fail(*_WAITS), "snapd", "security"
    ),
    "patches.updates-pocket-waits": _older_deb(
        "app-foreignkey", _fail("patches.no-pending-updates"), "ubuntu-minimal", "updates"
    ),
    "patches.security-pocket-off": Defect(
        "app-foreignkey",
        _fail("patches.index-trustworthy")
        | _unknown(*_WAITS, "patches.automatic-updates-enabled"),
        files=_edited(
            "/etc/apt/sources.list.d/ubuntu.sources",
            "^(Suites: noble-security)",
            r"Enabled: no\n\1",
        ),
    ),
    "ssh.password-by-socket": _sshd(
        "app-foreignkey",
        "PasswordAuthentication yes\n",
        _fail("ssh.password-authentication-disabled", "ssh.only-publickey-offered"),
        heed=_RESTART_SSH,
    ),
    "firewall.ufw-disabled": Defect(
        "app-foreignkey",
        _fail(*_NO_FIREWALL),
        script="ufw disable",
        undo="ufw --force enable",
    ),
    "ssh.empty-passwords-on-ubuntu": _sshd(
        "api-ubuntu",
        "PermitEmptyPasswords yes\n",
        _fail("ssh.empty-passwords-disabled"),
        heed=_RESTART_SSH,
    ),
    "sshkeys.departed-key-on-ubuntu": Defect(
        "api-ubuntu",
        _fail("sshkeys.denied-keys-absent", "sshkeys.host-keys-known"),
        files=_keys("departed", homes=("/home/noroot",)),
    ),
    "auditd.log-not-kept-on-ubuntu": Defect(
        "api-ubuntu",
        _fail("auditd.log-retention", "auditd.log-kept"),
        files=_edited(
            "/etc/audit/auditd.conf", "^max_log_file_action.*", "max_log_file_action = ignore"
        ),
    ),
    "tls.key-readable-on-ubuntu": Defect(
        "api-ubuntu",
        _fail("tls.private-key-protected[nginx]"),
        script=f"chmod 644 {_KEY}",
        undo=f"chmod 600 {_KEY}",
    ),
}

_RED_HAT = {
    "patches.advisory-unheeded": _older_rpm(
        "shop-selfsigned",
        _fail(*_WAITS),
        "baseos/openssl-libs-3.5.1-3",
        "baseos/openssl-libs-3.5.1-4",
    ),
    "tls.no-redirect-on-rocky": _web(
        "shop-selfsigned",
        _fail("tls.http-redirects-to-https[nginx]"),
        _edited("/etc/nginx/conf.d/site.conf", "return 301 .*", "root /var/www/html;"),
    ),
    "firewall.zone-trusted-on-rocky": Defect(
        "shop-selfsigned",
        _fail(*_NO_FIREWALL[1:]),
        script="firewall-cmd -q --zone=trusted --change-interface=eth0",
        undo="systemctl restart firewalld",
    ),
    # Nothing tells which updates of CentOS Stream are for security.
    "patches.unlabelled-update-waits": _older_rpm(
        "queue-centos",
        _fail("patches.no-pending-updates"),
        "baseos/openssl-libs-3.5.4-1",
        "baseos/openssl-libs-3.5.4-2",
    ),
    "os.not-stream": Defect(
        "queue-centos",
        _fail("os.release-supported", "os.release-eol-not-near"),
        files=_edited(
            "/etc/os-release",
            r'^NAME="CentOS Stream"((?:\n.*)*VERSION_ID=)"10"',
            r'NAME="CentOS Linux"\1"8"',
        ),
    ),
    "auditd.rules-package-erased": Defect(
        "queue-centos",
        _fail("auditd.installed", *_ALL_AUDITD),
        script=f"{_RPM} --erase audit-rules",
        undo=f"{_RPM} --install {_REPOSITORY}/audit-rules-*.rpm",
    ),
    "sshkeys.foreign-key-on-centos": Defect(
        "queue-centos", _fail("sshkeys.host-keys-known"), files=_keys("foreign")
    ),
}

_CURL = ("updates/curl-8.18.0-6", "fedora/curl-8.18.0-4")
_FEDORA = {
    "patches.advisory-unheeded-by-dnf5": _older_rpm(
        "cache-fedora", _fail(*_WAITS), _CURL[1], _CURL[0]
    ),
    # What the configuration keeps from being installed is an update that waits all the same.
    "patches.excluded-from-dnf5": Defect(
        "cache-fedora",
        _fail("patches.no-pending-security-updates"),
        files=lambda _: {"/etc/dnf/dnf.conf": "[main]\nexcludepkgs=curl\n"},
        script=f"{_LONG_AGO} {_RPM} --upgrade --oldpackage /srv/repository/{_CURL[1]}*.rpm",
        undo=f"{_LONG_AGO} {_RPM} --upgrade /srv/repository/{_CURL[0]}*.rpm",
    ),
    "patches.stale-metadata-of-dnf5": Defect(
        "cache-fedora",
        _fail("patches.index-trustworthy") | _unknown(*_WAITS),
        script="touch -d '10 days ago' /var/cache/libdnf5/*/repodata/*",
        undo="touch /var/cache/libdnf5/*/repodata/*",
    ),
    "os.end-of-life-of-fedora": Defect(
        "cache-fedora",
        _fail("os.release-supported", "os.release-eol-not-near"),
        files=_edited("/etc/os-release", "^VERSION_ID=44", "VERSION_ID=42"),
    ),
    "ssh.password-on-fedora": _sshd(
        "cache-fedora",
        "Match User noroot\n\tPasswordAuthentication yes\n",
        _fail("ssh.password-authentication-disabled"),
    ),
    "firewall.flushed-on-fedora": Defect(
        "cache-fedora", _fail(*_NO_FIREWALL), script="nft flush ruleset", undo=_LOAD_FIREWALL
    ),
}

DEFECTS: Mapping[str, Defect] = (
    _SSH | _SSHKEYS | _AUDITD | _FIREWALL | _OS_AND_PATCHES | _TLS | _UBUNTU | _RED_HAT | _FEDORA
)
