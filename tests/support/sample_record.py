"""Records of fleets that do not exist, for the tests of reports: small, large and hostile."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pytest_droplet.controls import controls_of
from pytest_droplet.coverage import Coverage
from pytest_droplet.record import fingerprint

Record = dict[str, Any]

STARTED = "2026-11-22T10:00:00Z"
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
HOSTILE_TEXTS = (
    HOSTILE_NAME,
    "</script><script>alert(2)</script>",
    "\x1b[2J\x1b[31mred\x1b[0m \x9b31m \x07",
    "lone \ud800 surrogate",
    "turned \u202egnp.exe\u202c around",
    "{{constructor.constructor('alert(3)')()}} ${alert(4)}",
    "'\"--><!--<svg onload=alert(5)>",
    "line\u2028separator\u2029and\x00nul",
)


class _Check(NamedTuple):
    id: str
    severity: str
    guide: int | None
    fact: str
    source: str
    good: str
    bad: str
    title: str
    fix: str
    after: str | None = None


_SSHD = ("droplet_sshd", "sshd -T -C user=root,host=localhost,addr=198.51.100.7")
_BACKUPS = ("droplet_backups", "GET /v2/images?private=true")
_POLICY = ("droplet_backup_policy", "GET /v2/droplets/backups/policies")
_FIREWALL = ("droplet_firewalls", "GET /v2/firewalls")
_UPGRADES = ("droplet_upgrades", "apt-get -s dist-upgrade")
_AUDIT = ("droplet_audit_status", "auditctl -s")
_AUDIT_CONF = ("droplet_auditd_conf", "cat /etc/audit/auditd.conf")
_AUDIT_RULES = ("droplet_audit_rules", "auditctl -l")
_NGINX = ("droplet_nginx", "nginx -V; find -L /etc/nginx -type f")
_TLS = ("droplet_tls", "TLS handshake with 203.0.113.10:443")
_KEYS = ("droplet_authorized_keys", "cat /root/.ssh/authorized_keys")

CHECKS = (
    _Check("auditd.installed", "high", 6, "droplet_packages", "dpkg-query -W auditd",
           "auditd 1:3.0.9-1", "package auditd is not installed", "auditd is installed",
           "Install the package: ``apt-get install auditd`` or ``dnf install audit``."),
    _Check("auditd.running", "high", 6, "droplet_units", "systemctl show auditd.service",
           "auditd.service active, enabled", "auditd.service is not active",
           "auditd is enabled and active", "``systemctl enable --now auditd``.",
           "auditd.installed"),
    _Check("auditd.boot-enabled", "medium", 6, "droplet_cmdline", "cat /proc/cmdline",
           "audit=1 in the running kernel and in 2 boot entries", "the kernel has no audit=1",
           "Auditing starts at boot",
           "Add ``audit=1 audit_backlog_limit=8192`` to ``GRUB_CMDLINE_LINUX`` in "
           "``/etc/default/grub``, run ``update-grub``, reboot."),
    _Check("auditd.backlog-limit", "medium", 6, "droplet_cmdline", "cat /proc/cmdline",
           "audit_backlog_limit=8192", "audit_backlog_limit is 64, at least 8192 is asked for",
           "The kernel keeps enough audit records at boot",
           "Add ``audit_backlog_limit=8192`` to the kernel's arguments."),
    _Check("auditd.no-lost-events", "medium", 6, *_AUDIT, "lost 0, backlog 3", "lost 1482",
           "The kernel has lost no audit records", "Raise ``-b`` in the first rules file."),
    _Check("auditd.log-retention", "medium", 6, *_AUDIT_CONF,
           "max_log_file 32, num_logs 10, rotate", "num_logs 5, max_log_file_action ignore",
           "Audit logs are kept as policy demands",
           "Set ``max_log_file_action = keep_logs`` in ``/etc/audit/auditd.conf``."),
    _Check("auditd.log-space-actions", "medium", 6, *_AUDIT_CONF, "space_left_action email",
           "disk_full_action is suspend", "A full disk is reported or stops the host",
           "Set ``space_left_action = email`` and ``disk_full_action = halt``."),
    _Check("auditd.rules-loaded", "high", 6, *_AUDIT_RULES, "54 rules, enabled 1",
           "no rule is loaded", "Audit rules are loaded and not switched off",
           "Put rules in ``/etc/audit/rules.d`` and run ``augenrules --load``.",
           "auditd.running"),
    _Check("auditd.rules-valid", "high", 6, *_AUDIT_RULES, "54 lines, all loaded",
           "30-web.rules:12: unknown field 'auuid'", "Every audit rule parses",
           "Correct the line that the evidence names, then ``augenrules --load``.",
           "auditd.installed"),
    _Check("auditd.rules-persistent", "high", 6, *_AUDIT_RULES, "running = compiled = rules.d",
           "2 rules of rules.d are not loaded", "Running and stored audit rules agree",
           "Run ``augenrules --load``; reboot where the rules are locked.", "auditd.running"),
    _Check("backups.enabled", "high", 1, *_POLICY, "weekly, Sunday 04:00, 28 days",
           "backups are off", "Automatic backups are enabled",
           "Droplet page, Backups, Enable; or ``doctl compute droplet-action enable-backups ID``.\n"
           "\nThe first backup is made in the next window."),
    _Check("backups.recent", "high", 1, *_BACKUPS, "newest 2026-11-20 04:12, 2.2 days old",
           "newest 2026-10-04, 49 days old; the plan is weekly",
           "The newest backup is recent enough", "Ask support why the plan is not kept.",
           "backups.enabled"),
    _Check("backups.complete", "medium", 1, *_BACKUPS, "4 of 4 within 28 days",
           "2 of 4 backups are missing", "Backups look complete and without gaps",
           "Restore the newest one into a new Droplet and look at it.", "backups.enabled"),
    _Check("firewall.cloud-exists", "low", 2, "droplet_account", "GET /v2/firewalls",
           "3 Cloud Firewalls", "the account has no Cloud Firewall",
           "The account has at least one Cloud Firewall", "Create one under Networking."),
    _Check("firewall.cloud-attached", "high", 3, *_FIREWALL, "web-fw by tag web",
           "no Cloud Firewall is attached", "A Cloud Firewall is connected to the Droplet",
           "Give the Droplet a tag that a firewall applies to, or add it to the firewall."),
    _Check("firewall.cloud-rules-present", "medium", 2, *_FIREWALL, "4 inbound rules",
           "no inbound rule", "The attached firewall has inbound rules",
           "Add the rules that the Droplet's services need.", "firewall.cloud-attached"),
    _Check("firewall.access-preserved", "high", 3, "droplet_reachability", "TCP connect",
           "22, 443 open", "443 does not answer though nginx listens",
           "Legitimate access still works", "Add an inbound rule for the port."),
    _Check("os.distribution-supported", "low", 4, "droplet_os", "cat /etc/os-release",
           "Debian GNU/Linux 12 (bookworm)", "Arch Linux is not offered by DigitalOcean",
           "The distribution is one that DigitalOcean supports", "Move to a supported image."),
    _Check("os.release-supported", "critical", 4, "droplet_os", "cat /etc/os-release",
           "supported until 2028-06-30", "Ubuntu 20.04 left support on 2025-05-31",
           "The release still gets security updates",
           "Build a new Droplet from a supported image and move the service; "
           "``do-release-upgrade`` on a copy where that is not possible."),
    _Check("os.point-release-current", "medium", 4, "droplet_os", "cat /etc/os-release",
           "12.12 of 12.12", "AlmaLinux 9.4, the newest is 9.6",
           "The newest point release is installed", "``dnf upgrade --refresh``, then reboot."),
    _Check("patches.no-pending-security-updates", "critical", 5, *_UPGRADES,
           "0 security updates", "3 security updates wait: libssl3, openssl, sudo",
           "No security update is waiting",
           "``apt-get update && apt-get upgrade``; ``dnf upgrade --security`` on RPM hosts.",
           "patches.index-trustworthy"),
    _Check("patches.index-trustworthy", "high", 5, "droplet_package_index",
           "stat /var/lib/apt/lists", "4 indexes, newest 5 h old", "the index is 61 days old",
           "Package indexes are fresh and include security", "``apt-get update``."),
    _Check("patches.reboot-not-required", "medium", 5, "droplet_reboot",
           "cat /run/reboot-required.pkgs", "no reboot is asked for",
           "linux-image-6.1.0-41-amd64, libc6", "No reboot is pending", "Reboot in a window."),
    _Check("patches.kernel-current", "high", 5, "droplet_kernels", "uname -r; dpkg-query -W",
           "6.1.0-41 runs and is the newest", "6.1.0-38 runs, 6.1.0-41 is installed",
           "The running kernel is the newest installed one", "Reboot in a window."),
    _Check("ssh.account-has-key", "medium", 7, "droplet_account", "GET /v2/account/keys",
           "5 keys", "no key", "The account has at least one SSH key", "Add a key."),
    _Check("ssh.password-authentication-disabled", "critical", 7, *_SSHD,
           "passwordauthentication no (00-hardening.conf:1)",
           "passwordauthentication yes (50-cloud-init.conf:1)",
           "PasswordAuthentication is off for everybody",
           "Log in with a key first. Put ``PasswordAuthentication no`` in "
           "``/etc/ssh/sshd_config.d/00-hardening.conf``: the first value wins, and "
           "``50-cloud-init.conf`` comes later.\n\nRun ``sshd -t``, then ``systemctl reload ssh``; "
           "keep the session open until a new one works."),
    _Check("ssh.keyboard-interactive-disabled", "high", 7, *_SSHD,
           "kbdinteractiveauthentication no", "kbdinteractiveauthentication yes with PAM",
           "No password by the keyboard-interactive way",
           "``KbdInteractiveAuthentication no`` in ``/etc/ssh/sshd_config.d/00-hardening.conf``."),
    _Check("ssh.pubkey-authentication-enabled", "medium", 7, *_SSHD, "pubkeyauthentication yes",
           "pubkeyauthentication no", "Login with a public key is on",
           "Remove ``PubkeyAuthentication no``."),
    _Check("ssh.root-password-login-disabled", "critical", 7, *_SSHD,
           "permitrootlogin prohibit-password", "permitrootlogin yes, root has a password",
           "Root cannot log in with a password", "``PermitRootLogin prohibit-password``."),
    _Check("ssh.password-accounts-unreachable", "high", 7, *_SSHD, "no account has a password",
           "deploy has a password and may use it over SSH",
           "No account with a password can use it over SSH", "``passwd -l deploy``.",
           "ssh.password-authentication-disabled"),
    _Check("ssh.only-publickey-offered", "high", 7, "droplet_ssh_offer", "ssh, as a stranger",
           "publickey", "publickey, password are offered",
           "The running server offers only public keys",
           "Reload sshd after the configuration is mended.",
           "ssh.password-authentication-disabled"),
    _Check("sshkeys.account-keys-in-use", "medium", 8, "droplet_account", "GET /v2/account/keys",
           "5 of 5 keys are on Droplets", "old-laptop is on no Droplet",
           "Every account key is on some Droplet", "Delete the key from the account."),
    _Check("sshkeys.host-keys-known", "high", 8, *_KEYS, "3 keys, all of the account",
           "SHA256:qT7mXb… (root@build) is not a key of the account",
           "Every authorized key on the Droplet is known",
           "Remove the line, or add the fingerprint to ``known_keys`` in ``droplet.toml``."),
    _Check("sshkeys.denied-keys-absent", "critical", 8, *_KEYS, "none of 2 denied keys",
           "a denied key lets root in: /root/.ssh/authorized_keys:4",
           "Keys of departed people are gone", "Delete the line that the evidence names."),
    _Check("sshkeys.key-sources-managed", "medium", 8, *_SSHD,
           "authorizedkeyscommand none", "authorizedkeyscommand /opt/bin/keys",
           "Keys can only come from places that are read", "Audit the command's source."),
    _Check("tls.listening[nginx]", "high", 10, *_NGINX, "443 by nginx", "443 does not listen",
           "The server serves HTTPS on port 443", "Add ``listen 443 ssl`` to the server block."),
    _Check("tls.certificate-configured[nginx]", "high", 10, *_NGINX, "2 of 2 hosts",
           "shop.example.com names a file that does not exist",
           "Each HTTPS host names a certificate and a key", "Correct ``ssl_certificate``.",
           "tls.listening[nginx]"),
    _Check("tls.chain-trusted[nginx]", "high", 10, *_TLS, "chain ends at ISRG Root X1",
           "the certificate is self-signed", "The served chain is trusted",
           "Ask a public authority for the certificate.", "tls.listening[nginx]"),
    _Check("tls.hostname-matches[nginx]", "high", 10, *_TLS, "shop.example.com covered",
           "www.shop.example.com is not covered", "The certificate covers every served name",
           "Issue it again with every name.", "tls.listening[nginx]"),
    _Check("tls.not-expiring[nginx]", "critical", 10, *_TLS, "71 days left",
           "expires in 3 days, on 2026-11-25", "The certificate is not about to expire",
           "``certbot renew``, then look at the timer.", "tls.listening[nginx]"),
    _Check("tls.http-redirects-to-https[nginx]", "medium", 10, "droplet_http", "GET http://…/",
           "301 to https", "200 without a redirect", "Plain HTTP redirects to HTTPS",
           "``return 301 https://$host$request_uri;``"),
    _Check("tls.renewal-automated[nginx]", "high", 10, "droplet_renewal",
           "systemctl list-timers", "certbot.timer, next in 9 h", "no timer, no cron job",
           "Renewal is scheduled", "``systemctl enable --now certbot.timer``."),
)  # fmt: skip

_RATIONALE = (
    "What an attacker can reach, an attacker will try: whole address ranges are scanned within "
    "hours of a Droplet's creation.\n\nThe guide asks for it, and so do the usual benchmarks."
)
_ROLES = ("web-1", "web-2", "web-3", "db-1", "db-2", "cache-1", "worker-1", "worker-2",
          "bastion", "mail-legacy", "staging-1", "k8s-pool-a")  # fmt: skip
_REGIONS = ("fra1", "ams3", "nyc3")
_IMAGES = ("ubuntu-24-04-x64", "debian-12-x64", "almalinux-9-x64")
_SYSTEMS = ("Ubuntu 24.04.3 LTS", "Debian GNU/Linux 12 (bookworm)", "AlmaLinux 9.6 (Sage Margay)")


def header(checks: Iterable[_Check] = CHECKS, **more: Any) -> Record:
    """Return a header line that lists the checks."""
    return {
        "type": "header",
        "schema": 1,
        "tool": {"name": "pytest-droplet", "version": "0.1.0"},
        "versions": {"pytest-droplet": "0.1.0", "pytest": "9.2.0", "python": "3.13.9"},
        "selector": ["tag:prod"],
        "profile": ["droplet"],
        "started_at": STARTED,
        "judged_at": STARTED,
        "replay": None,
        "endpoint": "api.digitalocean.com",
        "options": {"fail-on": "low", "min-coverage": 100, "unknown": "fail"},
        "checks": [
            {
                "id": c.id,
                "title": c.title,
                "severity": c.severity,
                "family": c.id.partition(".")[0],
                "profiles": ["droplet"],
                "guide": c.guide,
                "references": "sshd_config(5); https://docs.digitalocean.com/",
                "rationale": _RATIONALE,
                "remediation": c.fix,
                "controls": {name: list(ids) for name, ids in controls_of(c.id).items()},
            }
            for c in checks
        ],
        "account": {
            "droplets": [],
            "keys": _row("GET /v2/account/keys", []),
            "firewalls": _row("GET /v2/firewalls", []),
            "settings": {},
        },
        **more,
    }


def _row(source: str, value: Any) -> Record:
    return {"source": source, "observed_at": STARTED, "value": value, "missing": None}


def ports(*open_ports: tuple[int, str, str], protocol: str = "tcp") -> Record:
    """Return the rows of a Droplet that listens: port, process, who reaches it."""
    value = [
        {"port": port, "protocol": protocol, "process": process, "reachable": reach}
        for port, process, reach in open_ports
    ]
    return {"droplet_exposed_ports": _row("/proc/net/tcp; nft -j list ruleset", value)}


def droplet(number: int, name: str | None = None, **more: Any) -> Record:
    """Return a Droplet line; ``number`` counts from 0."""
    role = _ROLES[number % len(_ROLES)]
    name = name or (role if number < len(_ROLES) else f"{role.rstrip('-1234')}-{number}")
    kind = name.rstrip("-0123456789")
    identity = 417000001 + number
    return {
        "type": "droplet",
        "id": identity,
        "name": name,
        "urn": f"do:droplet:{identity}",
        "tags": ["prod", kind] if kind != "staging" else ["staging"],
        "region": _REGIONS[number % 3],
        "size": ("s-1vcpu-1gb", "s-2vcpu-4gb", "c-4")[number % 3],
        "vpc": f"5a4981aa-9653-4bd1-bef5-d6bff52042e{number % 3}",
        "image": _IMAGES[number % 3],
        "addresses": [
            {"ip": f"203.0.{113 + number // 250}.{number % 250 + 1}", "version": 4,
             "kind": "public"},
            {"ip": f"10.114.{number // 250}.{number % 250 + 1}", "version": 4, "kind": "private"},
        ],
        "status": "active",
        "ephemeral": "autoscale pool shop" if number % 20 == 19 else None,
        "distribution": _SYSTEMS[number % 3],
        "coverage": "reached",
        "reason": "",
        "connection": {"address": f"203.0.113.{number % 250 + 1}", "port": 22, "user": "root",
                       "root": True},
        "rows": {},
        **more,
    }  # fmt: skip


def result(check: str, droplet_id: int | None, verdict: str = "pass", **more: Any) -> Record:
    """Return a result line of a check."""
    return {
        "type": "result",
        "check": check,
        "droplet_id": droplet_id,
        "verdict": verdict,
        "severity": "high",
        "message": "",
        "evidence": [],
        "caused_by": None,
        "waiver": None,
        "gated": True,
        "duration_s": 0.0002,
        "fingerprint": fingerprint(check, droplet_id),
        "nodeid": f"pytest_droplet/checks/{check.partition('.')[0]}.py::{check}[{droplet_id}]",
        **more,
    }


def summary(records: Iterable[Record], **more: Any) -> Record:
    """Return the summary line of the records before it."""
    lines = list(records)
    counts = Counter(r["verdict"] for r in lines if r["type"] == "result")
    return {
        "type": "summary",
        "finished_at": "2026-11-22T10:00:04Z",
        "duration_s": 3.9,
        "counts": dict(counts),
        "coverage": Coverage.of((r for r in lines if r["type"] == "droplet"), 100).line,
        "exit_code": int(bool(counts["fail"] or counts["unknown"] or counts["error"])),
        "waivers": [],
        **more,
    }


def small() -> list[Record]:
    """Return a record of one Droplet and three verdicts."""
    chosen = [c for c in CHECKS if c.id.startswith("ssh.")][1:4]
    lines = [header(chosen), droplet(0)]
    verdicts = ("fail", "pass", "unknown")
    lines += [_judged(c, lines[1], v) for c, v in zip(chosen, verdicts, strict=True)]
    return [*lines, summary(lines)]


def fleet(droplets: int = 12, checks: int = len(CHECKS), findings: float = 0.1) -> list[Record]:
    """Return a record of many Droplets, alike at each call.

    Args:
        droplets: How many.
        checks: How many checks judge each; above those of the guide, made-up parameters follow.
        findings: Share of the verdicts that fail.
    """
    chance = random.Random(7)
    chosen = [_variant(number) for number in range(checks)]
    hosts = [_with_state(droplet(number), number) for number in range(droplets)]
    lines = [header(chosen), *hosts, *_keys(hosts)]
    account = [c for c in chosen if c.fact == "droplet_account"]
    for host in hosts:
        failed: set[str] = set()
        weak = findings * chance.choice((0.2, 0.6, 1.0, 2.2))
        for check in chosen:
            if check in account:
                continue
            verdict = _verdict(check, host, failed, chance.random() < weak)
            if verdict == "fail":
                failed.add(check.id)
            lines.append(_judged(check, host, verdict, failed))
    lines += [_judged(c, None, "fail" if c.id.startswith("sshkeys.") else "pass") for c in account]
    lines += _own_tests(hosts[:3])
    _waive(lines)
    return [*lines, summary(lines, **_comparison(lines), waivers=_waivers())]


def hostile() -> list[Record]:
    """Return a record in which every text that a host or the API chose attacks the report."""
    lines = [header(CHECKS[:3])]
    for number, text in enumerate(HOSTILE_TEXTS):
        lines.append(
            droplet(number, name=text, tags=[text], region=text, size=text, image=text,
                    distribution=text, coverage="unreachable" if number % 2 else "reached",
                    reason=text,
                    rows=ports((22, text, "internet"), protocol=text))
        )  # fmt: skip
        place = {"droplet_id": 417000001 + number, "user": text, "file": text, "line": 1,
                 "comment": text, "options": text}  # fmt: skip
        lines.append(
            {"type": "key", "fingerprint": f"SHA256:{text}", "md5": text, "key_type": text,
             "bits": 256, "account_key": {"id": 1, "name": text}, "known": bool(number % 2),
             "where": [place]}
        )  # fmt: skip
        for check, verdict in zip(CHECKS[:3], ("fail", "unknown", "error"), strict=True):
            lines.append(
                result(check.id, 417000001 + number, verdict, message=text * 2, traceback=text,
                       evidence=[{"fact": text, "source": text, "observed_at": STARTED,
                                  "value": text}])
            )  # fmt: skip
        lines.append(result(f"tests/test_own.py::{text}", 417000001 + number, "fail",
                            title=text, remediation=text, message="x" * 200_000,
                            source_line=1, nodeid=f"tests/test_own.py::{text}"))  # fmt: skip
    return [*lines, summary(lines)]


def write(records: Iterable[Record], path: Path) -> None:
    """Write the lines of a record to a file."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in records), encoding="utf-8")


def _variant(number: int) -> _Check:
    check = CHECKS[number % len(CHECKS)]
    if number < len(CHECKS):
        return check
    return check._replace(id=f"{check.id.partition('[')[0]}[v{number}]", after=None)


def _with_state(host: Record, number: int) -> Record:
    state = {4: "unreachable", 9: "off", 11: "not-ours"}.get(
        number % 40 if number > 12 else number
    )
    reasons = {
        "unreachable": f"{host['name']}: no answer on {host['addresses'][0]['ip']}:22 within 10 s",
        "off": "the Droplet is switched off",
        "not-ours": "a node of a Kubernetes cluster (tag k8s)",
    }
    if state:
        host |= {"coverage": state, "reason": reasons[state], "connection": None,
                 "distribution": None}  # fmt: skip
        host["status"] = "off" if state == "off" else "active"
    elif number % 12 == 8:
        host["connection"] |= {"user": "audit", "root": False}
    if state is None:
        listens = [(22, "sshd", "internet" if number % 4 else "vpc")]
        if "web" in host["name"]:
            listens += [(80, "nginx", "internet"), (443, "nginx", "internet")]
        if "db" in host["name"]:
            listens += [(5432, "postgres", "internet" if number % 8 == 3 else "vpc")]
        if "cache" in host["name"]:
            listens += [(6379, "redis-server", "vpc")]
        host["rows"] = ports(*listens)
    return host


def _verdict(check: _Check, host: Record, failed: set[str], unlucky: bool) -> str:  # noqa: FBT001
    of_api = check.source.startswith("GET /v2")
    if host["coverage"] == "unreachable" and not of_api:
        return "unknown"
    if host["coverage"] in {"off", "not-ours"} and not of_api:
        return "notapplicable"
    if check.id.startswith("tls.") and "web" not in host["name"]:
        return "notapplicable"
    if check.after in failed:
        return "fail"
    if host["connection"] and not host["connection"]["root"] and check.fact in {
        _SSHD[0], _KEYS[0], _AUDIT_RULES[0], _AUDIT[0], _AUDIT_CONF[0]
    }:  # fmt: skip
        return "unknown"
    if unlucky:
        return "fail"
    return "pass"


def _is_lost(host: Record | None) -> bool:
    return host is not None and host["coverage"] == "unreachable"


def _judged(
    check: _Check, host: Record | None, verdict: str, failed: Iterable[str] = ()
) -> Record:
    caused_by = check.after if verdict == "fail" and check.after in set(failed) else None
    message = {
        "fail": f"caused by {caused_by}" if caused_by else check.bad,
        "unknown": (host or {}).get("reason") or f"{check.source}: it needs root: sudo -n refused",
        "notapplicable": (host or {}).get("reason") or "no nginx on this host",
    }.get(verdict, "")
    value = {"pass": check.good, "fail": check.bad}.get(verdict, f"not observed: {message}")
    place = f" on {host['name']}" if host and verdict == "pass" else ""
    return result(
        check.id,
        host["id"] if host else None,
        verdict,
        severity=check.severity,
        message=message,
        caused_by=caused_by,
        **({"unreached": True} if verdict == "unknown" and _is_lost(host) else {}),
        evidence=[
            {"fact": check.fact, "source": check.source, "observed_at": STARTED,
             "value": f"{value}{place}"},
        ],
        nodeid=f"pytest_droplet/checks/{check.id.partition('.')[0]}.py::{check.id}"
        f"[{host['name']}-{host['id']}]" if host else check.id,
    )  # fmt: skip


def _keys(hosts: list[Record]) -> Iterable[Record]:
    reached = [h for h in hosts if h["coverage"] == "reached"]
    named = (
        ("laptop-ops", "ssh-ed25519", 256, True, 1, "root"),
        ("on-call", "ssh-ed25519", 256, True, 1, "root"),
        ("deploy-ci", "ecdsa-sha2-nistp256", 256, True, 2, "deploy"),
        ("backup-runner", "ssh-rsa", 4096, True, 3, "root"),
        (None, "ssh-rsa", 2048, False, 5, "root"),
        (None, "ssh-ed25519", 256, False, 7, "deploy"),
    )
    for number, (name, kind, bits, known, step, user) in enumerate(named):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        home = "/root" if user == "root" else f"/home/{user}"
        yield {
            "type": "key",
            "fingerprint": f"SHA256:{digest[:43]}",
            "md5": ":".join(digest[i : i + 2] for i in range(0, 32, 2)),
            "key_type": kind,
            "bits": bits,
            "account_key": {"id": number, "name": name} if name else None,
            "known": known,
            "where": [
                {"droplet_id": h["id"], "user": user, "file": f"{home}/.ssh/authorized_keys",
                 "line": number + 1, "comment": name or "root@build",
                 "options": 'from="10.0.0.0/8"' if name == "backup-runner" else ""}
                for h in reached[::step]
            ],
        }  # fmt: skip


def _own_tests(hosts: list[Record]) -> Iterable[Record]:
    for number, host in enumerate(hosts):
        node = f"tests/test_site.py::test_the_site_answers[{host['name']}-{host['id']}]"
        line = result(
            "tests/test_site.py::test_the_site_answers",
            host["id"],
            ("pass", "fail", "error")[number % 3],
            title="The site answers",
            remediation="",
            source_line=12,
            severity="medium",
            message=("", "assert 503 == 200", "ValueError: no such page")[number % 3],
            nodeid=node,
        )
        if line["message"]:
            line["traceback"] = f"Traceback (most recent call last):\n  ...\n{line['message']}"
        yield line


def _waive(lines: list[Record]) -> None:
    failing = [r for r in lines if r["type"] == "result" and r["check"] == "backups.enabled"]
    for record in [r for r in failing if r["verdict"] == "fail"][:2]:
        record |= {
            "verdict": "waived",
            "waiver": {"number": 1, "reason": "stateless: rebuilt from the image", "expires": "2026-12-31",
                       "owner": "platform", "ticket": "https://tickets.example.com/OPS-12",
                       "expired": False},
        }  # fmt: skip


def _waivers() -> list[Record]:
    return [
        {"check": "backups.enabled", "select": "tag:web", "expires": "2026-12-31",
         "reason": "stateless: rebuilt from the image", "owner": "platform",
         "ticket": "https://tickets.example.com/OPS-12", "state": "used"},
        {"check": "os.release-supported", "select": "name:mail-legacy", "expires": "2026-10-31",
         "reason": "is switched off in October", "owner": "mail", "ticket": "OPS-7",
         "state": "expired"},
        {"check": "tls.*", "select": "name:shop-*", "expires": "2027-03-01",
         "reason": "behind the load balancer", "owner": "", "ticket": "", "state": "unused"},
    ]  # fmt: skip


def _comparison(lines: list[Record]) -> Record:
    found = [r for r in lines if r["type"] == "result" and r["verdict"] == "fail"]
    return {
        "baseline": {
            "recorded_at": "2026-11-15T10:00:00Z",
            "new": [r["fingerprint"] for r in found[::5]],
            "still": [r["fingerprint"] for r in found if r not in found[::5]],
            "fixed": [
                {"check": "patches.kernel-current", "droplet_id": 417000001,
                 "droplet_name": "web-1"},
                {"check": "tls.not-expiring[nginx]", "droplet_id": 417000002,
                 "droplet_name": "web-2"},
            ],
            "newly_waived": [],
            "droplets_added": ["web-3"],
            "droplets_gone": ["web-0"],
            "ephemeral_added": ["shop-7", "shop-8"],
            "ephemeral_gone": ["shop-1"],
        }
    }  # fmt: skip
