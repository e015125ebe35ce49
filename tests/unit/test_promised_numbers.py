"""Every number that a docstring or a page promises, one step to each side of it.

``PROMISES`` is the table: a row has the words that hold the number, and what happens at the last
value on its good side and at the first one on the other. A new number with a unit that is in no
table fails here, and so does a row whose words are gone. A number that another module holds is in
``HELD_ELSEWHERE``, one that limits nothing in ``DESCRIBED``.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import pytest_droplet
from pytest_droplet.catalogue import shipped
from pytest_droplet.checks import tls as tls_checks
from pytest_droplet.connection import transport
from pytest_droplet.facts.os.lifecycle import ReleaseSupport
from pytest_droplet.model import NotObservedError
from pytest_droplet.options import OPTIONS
from pytest_droplet.report import csv, sarif
from pytest_droplet.report.document import evidence_text
from pytest_droplet.report.markdown import LIMIT_BYTES
from pytest_droplet.settings import Settings, parse_settings
from pytest_droplet.toml_tables import TableError
from pytest_droplet.verdict import make_verdict
from tests.checks.cases import HERE, NOW, load, with_table
from tests.checks.chains import ROOT, authority, encoded, leaf

DAY, HOUR, MINUTE, SECOND = (
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)
PACKAGE = Path(pytest_droplet.__file__).parent
ROOT_FOLDER = Path(__file__).parents[2]
DOCS = ROOT_FOLDER / "docs"
NAMES = ("a.example", "www.a.example")


@dataclass(frozen=True)
class Promise:
    """A number that is promised, and what holds on both sides of it.

    Attributes:
        places: The words that hold it: by the name of a function or class with a docstring, by
            the path of a page below ``docs``, or, as ``Settings.name``, by a setting's default.
        outcome: What happens at a value.
        kept: The last value on the good side.
        broken: The first one on the other side.
        good: What happens at ``kept``.
        bad: What happens at ``broken``.
    """

    places: Mapping[str, str]
    outcome: Callable[[Any], str]
    kept: Any
    broken: Any
    good: str = "pass"
    bad: str = "fail"


def judged(case: str, over: Mapping[str, Any] | None = None, **more: Any) -> str:
    """The outcome of a case below ``tests/checks``, with other tables merged over it."""
    (path,) = HERE.glob(f"{case}.*.toml")
    return with_table(load(path), {**(over or {}), **more}).judge().outcome


def section(name: str, *replaced: tuple[str, str], case: str = "") -> dict[str, Any]:
    """A section of which some text is replaced, after what the case itself replaces in it."""
    own = load(next(HERE.glob(f"{case}.*.toml"))).table["sections"][name] if case else {}
    return {"sections": {name: {"replace": [*own.get("replace", []), *map(list, replaced)]}}}


def called(check_id: str, **facts: Any) -> str:
    """The outcome of a check's function on facts that stand in for the real ones."""
    try:
        shipped()[check_id].function(**facts)
    except AssertionError:
        return "fail"
    except NotObservedError:
        return "unknown"
    return "pass"


def at(moment: datetime, layout: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    """A time as the API and most programs write it."""
    return moment.strftime(layout)


# --- backups --------------------------------------------------------------------------------


def policy(**changed: Any) -> dict[str, Any]:
    """Other values of the backup policy of Droplet 1."""
    return {"api": {"policies": {"1": {"backup_policy": changed}}}}


NEWEST_BACKUP = datetime(2026, 11, 21, 22, 10, tzinfo=UTC)


def daily_backup_of_age(age: timedelta) -> str:
    """A plan of a day whose window is four hours."""
    return judged("backups.recent/daily", now=NEWEST_BACKUP + age)


def daily_backup_without_window(age: timedelta) -> str:
    """The same where the API does not tell the window."""
    return judged(
        "backups.recent/daily", policy(window_length_hours=None), now=NEWEST_BACKUP + age
    )


def backup_of_an_unknown_plan(age: timedelta) -> str:
    """A plan whose name tells nothing, with one backup."""
    seen = load(HERE / "backups.recent" / "daily.pass.toml").table["api"]
    over = policy(plan="bronze")
    over["api"]["images"] = seen["images"][:1]
    return judged(
        "backups.recent/daily",
        over,
        droplet={"backup_ids": [100]},
        now=NEWEST_BACKUP + age,
    )


def first_backup(on_since: timedelta) -> str:
    """No backup, though a daily plan was turned on some time ago."""
    return judged(
        "backups.recent/none-though-on-for-months", api={"enabled_at": {"1": NOW - on_since}}
    )


def plan_of_hours(hours: int) -> str:
    """A plan with a backup every so many hours."""
    plan = policy(plan=f"intra_daily_{hours}h")
    return judged("backups.policy-meets-requirement/every-six-hours", plan)


def retention(days: int) -> str:
    """Backups that are kept for so many days."""
    return judged("backups.policy-meets-requirement/weekly", policy(retention_period_days=days))


def newest_backup_of_size(gigabytes: float) -> str:
    """The newest of seven backups, the others of 2 GB."""
    images = load(HERE / "backups.complete" / "week-of-daily.pass.toml").table["api"]["images"]
    sizes = [gigabytes, *[2.0] * (len(images) - 1)]
    changed = [i | {"size_gigabytes": s} for i, s in zip(images, sizes, strict=True)]
    return judged("backups.complete/week-of-daily", api={"images": changed})


def small_backup_beside(others: int) -> str:
    """The newest backup has a tenth of the size of some others: few of them tell no usual size."""
    images = load(HERE / "backups.complete" / "week-of-daily.pass.toml").table["api"]["images"]
    changed = [images[0] | {"size_gigabytes": 0.2}, *images[1 : others + 1]]
    return judged("backups.complete/week-of-daily", api={"images": changed})


def volume_snapshot_of_age(age: timedelta) -> str:
    """The only snapshot of the only volume."""
    newest = datetime(2026, 11, 20, 3, tzinfo=UTC)
    return judged("backups.volumes-covered/recent", now=newest + age)


BACKUPS = (
    Promise(
        {
            "test_newest_backup_is_recent": "Two intervals of the plan and its window",
            "window": "DigitalOcean's 4 hours",
        },
        daily_backup_without_window,
        2 * DAY + 4 * HOUR,
        2 * DAY + 4 * HOUR + SECOND,
    ),
    Promise(
        {"test_newest_backup_is_recent": "Two intervals of the plan and its window"},
        daily_backup_of_age,
        2 * DAY + 4 * HOUR,
        2 * DAY + 4 * HOUR + SECOND,
    ),
    Promise(
        {"pace": "a week where the plan tells nothing"},
        backup_of_an_unknown_plan,
        14 * DAY + 4 * HOUR,
        14 * DAY + 4 * HOUR + SECOND,
    ),
    Promise(
        {"test_newest_backup_is_recent": "an interval and a day after backups were turned on"},
        first_backup,
        2 * DAY - SECOND,
        2 * DAY,
        good="notapplicable",
    ),
    Promise(
        {
            "test_backup_policy_meets_the_requirement": "every 7 days at least",
            "Settings.backup_max_interval_hours": "168",
        },
        plan_of_hours,
        168,
        169,
    ),
    Promise(
        {
            "test_backup_policy_meets_the_requirement": "kept for 7 days at least",
            "Settings.backup_min_retention_days": "7",
        },
        retention,
        7,
        6,
    ),
    Promise({"Settings.backup_shrink_percent": "25"}, newest_backup_of_size, 0.5, 0.49),
    Promise({"test_backups_are_complete": "the usual size"}, small_backup_beside, 2, 3),
    Promise(
        {
            "test_attached_volumes_have_recent_snapshots": "may be 7 days old",
            "Settings.volume_snapshot_max_age_days": "7",
        },
        volume_snapshot_of_age,
        7 * DAY,
        7 * DAY + SECOND,
    ),
)


# --- the release and its packages -----------------------------------------------------------


def days_of_support_left(days: int) -> str:
    """Fedora 44, which ends on 2027-06-02."""
    end = datetime(2027, 6, 2, 12, tzinfo=UTC)
    return judged("os.release-eol-not-near/ninety-days", now=end - days * DAY)


def release_with_dates(
    *, of: timedelta, end: timedelta, check: str = "os.release-supported"
) -> str:
    """A release that ends some days from now, by a table of some days ago."""
    support = ReleaseSupport(
        name="Any 1",
        phase="support",
        until=(NOW + end).date(),
        as_of=(NOW - of).date(),
    )
    return called(check, droplet_release_support=support, droplet_now=NOW)


def security_index(dated: timedelta) -> str:
    """An index without Valid-Until whose own date was some time ago."""
    case = "patches.index-trustworthy/failed-updates-move-the-stamps"
    text = load(HERE / f"{case}.fail.toml").table["sections"]["apt_index"]["stdout"]
    text = text.replace("Sat, 10 Oct 2026 23:10:44", at(NOW - dated, "%a, %d %b %Y %H:%M:%S"))
    return judged(case, sections={"apt_index": {"stdout": text}})


def look_for_updates(ago: timedelta) -> str:
    """The host's last look at its sources."""
    stamp = str(int((NOW - ago).timestamp()))
    return judged(
        "patches.index-trustworthy/debian-fresh", section("apt_index", ("1795327200", stamp))
    )


def updates(waiting: int, **settings: int) -> dict[str, Any]:
    """Some updates that wait on a Debian host."""
    lines = [
        "Reading package lists...",
        "Calculating upgrade...",
        f"{waiting} upgraded, 0 newly installed, 0 to remove and 0 not upgraded.",
        *(f"Inst tz{n} [1] (2 Debian:12.15/oldstable [all])" for n in range(waiting)),
    ]
    text = "\n".join(lines) + "\n"
    return {"sections": {"apt": {"stdout": text}}, "settings": settings}


def updates_waiting(number: int, **settings: int) -> str:
    """The check of all updates, with these settings."""
    return judged("patches.no-pending-updates/debian-none", updates(number, **settings))


def update_offered(ago: timedelta) -> str:
    """An update waits, offered by an index of some time ago; 14 days are allowed."""
    over = updates(1, pending_updates_max_age_days=14)
    old, new = "Sat, 21 Nov 2026 00:53:02 UTC", at(NOW - ago, "%a, %d %b %Y %H:%M:%S UTC")
    over["sections"] |= section("apt_index", (old, new))["sections"]
    return judged("patches.no-pending-updates/debian-none", over)


def core_package(seconds_after_boot: int) -> str:
    """The time when glibc was installed on a host that booted at 1795154400."""
    installed = f"glibc {1795154400 + seconds_after_boot}"
    return judged(
        "patches.reboot-not-required/rocky", section("reboot", ("glibc 1779200000", installed))
    )


SYSTEM = (
    Promise(
        {
            "test_end_of_support_is_not_near": "at least 90 days away",
            "Settings.eol_min_days": "90",
        },
        days_of_support_left,
        90,
        89,
    ),
    Promise(
        {"test_release_still_gets_security_updates": "After its end a release gets no fix"},
        lambda end: release_with_dates(of=0 * DAY, end=end),
        0 * DAY,
        -1 * DAY,
    ),
    Promise(
        {"reference/options.md": "older than a year"},
        lambda age: release_with_dates(of=age, end=30 * DAY),
        365 * DAY,
        366 * DAY,
        bad="unknown",
    ),
    Promise(
        {"reference/options.md": "less than 90 days away"},
        lambda end: release_with_dates(of=366 * DAY, end=end),
        90 * DAY,
        89 * DAY,
        bad="unknown",
    ),
    Promise(
        {"test_package_index_is_fresh_and_has_a_security_source": "older than 30 days itself"},
        security_index,
        30 * DAY,
        30 * DAY + SECOND,
        good="unknown",
    ),
    Promise(
        {"test_package_index_is_fresh_and_has_a_security_source": "3 days older than the limit"},
        security_index,
        10 * DAY,
        10 * DAY + SECOND,
        bad="unknown",
    ),
    Promise(
        {"test_package_index_is_fresh_and_has_a_security_source": "more than a day ahead"},
        look_for_updates,
        -1 * DAY,
        -1 * DAY - SECOND,
        bad="unknown",
    ),
    Promise({"Settings.index_max_age_days": "7"}, look_for_updates, 7 * DAY, 7 * DAY + SECOND),
    Promise(
        {
            "Settings.pending_updates_allowed": "0",
            "Settings.pending_updates_max_age_days": "0",
        },
        updates_waiting,
        0,
        1,
    ),
    Promise(
        {"Settings": "Updates that may wait"},
        partial(updates_waiting, pending_updates_allowed=2),
        2,
        3,
    ),
    Promise(
        {"Settings": "Days that updates may wait"}, update_offered, 14 * DAY, 14 * DAY + SECOND
    ),
    Promise(
        {"test_no_reboot_is_pending": "core packages that were installed after the boot"},
        core_package,
        0,
        1,
    ),
)


# --- SSH and its keys -----------------------------------------------------------------------


def openssh(version: str) -> str:
    """A server that offers chacha20 where the setting ``ssh_strict`` asks for more."""
    case = "ssh.weak-algorithms-disabled/strict-chacha20"
    return judged(case, section("sshd", ("OpenSSH_9.2,", f"OpenSSH_{version},"), case=case))


def rsa_key(bits: int) -> str:
    """A line with an RSA key whose modulus has so many bits."""
    modulus = ((1 << bits - 1) | 1).to_bytes(bits // 8 + 1, "big").lstrip(b"\0")
    modulus = b"\0" * (modulus[0] > 127) + modulus
    parts = (b"ssh-rsa", (65537).to_bytes(3, "big"), modulus)
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ssh-rsa {base64.b64encode(blob).decode()} somebody"


def key_of_bits(bits: int) -> str:
    """A host that lets one RSA key in."""
    case = "sshkeys.key-strength/rsa-3072"
    text = load(HERE / f"{case}.pass.toml").table["sections"]["authorized_keys"]["stdout"]
    changed = re.sub(r"^1:.*$", f"1:{rsa_key(bits)}", text, flags=re.MULTILINE)
    return judged(case, sections={"authorized_keys": {"stdout": changed}})


def setting(value: Any, *, name: str) -> str:
    """Whether a setting takes a value."""
    try:
        parse_settings({name: value}, "droplet.toml")
    except TableError:
        return "refused"
    return "taken"


def agent_key(expires: timedelta) -> str:
    """A key of the droplet agent that expires some time from now; it is not of the account."""
    case = "sshkeys.host-keys-known/agent-key-just-expired"
    text = load(HERE / f"{case}.pass.toml").table["sections"]["authorized_keys"]["stdout"]
    changed = text.replace("2026-11-22T13:53:00+02:00", at(NOW + expires))
    return judged(case, sections={"authorized_keys": {"stdout": changed}})


def key_with_expiry_time(text: str) -> str:
    """An unknown key with ``expiry-time``: it is a finding where sshd lets it in."""
    case = "sshkeys.host-keys-known/expiry-time-over"
    return judged(
        case,
        sections={
            "authorized_keys": {
                "stdout": load(HERE / f"{case}.pass.toml")
                .table["sections"]["authorized_keys"]["stdout"]
                .replace("20260101", text)
            }
        },
    )


def key_issued(ago: timedelta) -> str:
    """A key that was issued on 2026-06-01."""
    return judged("sshkeys.key-age/issued-lately", now=datetime(2026, 6, 1, tzinfo=UTC) + ago)


def key_of_a_droplet_created(ago: timedelta) -> str:
    """A key that the Droplet was created with, and whose own date is not known."""
    made = datetime(2024, 1, 15, 8, tzinfo=UTC)
    return judged("sshkeys.key-age/as-old-as-the-droplet", now=made + ago)


def on_day(moment: float, *, case: str) -> str:
    """A case at some days since 1970."""
    return judged(case, now=datetime(1970, 1, 1, tzinfo=UTC) + moment * DAY)


A_MOMENT_BEFORE = 1 / 86400
EXPIRES, AGED_OUT = 21000, 20700 + 365 + 30 + 1
DORMANT = "sshkeys.dormant-account-keys"
KEYS = (
    Promise(
        {"test_sshd_offers_no_broken_algorithm": "OpenSSH before 9.6"},
        openssh,
        "9.6",
        "9.5",
        bad="unknown",
    ),
    Promise(
        {"test_keys_are_strong": "3072 bits", "Settings.min_rsa_bits": "3072"},
        key_of_bits,
        3072,
        3071,
    ),
    Promise(
        {"Settings": "2048 at least"},
        partial(setting, name="min_rsa_bits"),
        2048,
        2047,
        good="taken",
        bad="refused",
    ),
    Promise(
        {"test_every_authorized_key_is_known": "until ten minutes after they expired"},
        agent_key,
        -10 * MINUTE,
        -10 * MINUTE - SECOND,
    ),
    Promise(
        {"test_every_authorized_key_is_known": "for a day at most"}, agent_key, DAY, DAY + SECOND
    ),
    Promise(
        {
            "test_every_authorized_key_is_known": "keys whose ``expiry-time`` is over",
            "admits": "in the very second of its expiry",
        },
        lambda ago: key_with_expiry_time(at(NOW - ago, "%Y%m%d%H%M%SZ")),
        SECOND,
        0 * SECOND,
    ),
    Promise(
        {"_expiry": "up to 14 h off"},
        lambda ago: key_with_expiry_time(at(NOW - ago, "%Y%m%d%H%M%S")),
        14 * HOUR + SECOND,
        14 * HOUR,
    ),
    Promise({"Settings.max_key_age_days": "365"}, key_issued, 365 * DAY, 365 * DAY + SECOND),
    Promise(
        {"Settings": "Days after which a key has to be replaced"},
        key_of_a_droplet_created,
        365 * DAY,
        365 * DAY + SECOND,
        good="unknown",
    ),
    Promise(
        {"HostAccount": "Day from which nobody may log in"},
        partial(on_day, case=f"{DORMANT}/expires-later"),
        EXPIRES - A_MOMENT_BEFORE,
        EXPIRES,
    ),
    Promise(
        {"test_denied_keys_are_gone": "must not exist, have expired"},
        partial(on_day, case="sshkeys.denied-keys-absent/departed-expires-later"),
        EXPIRES,
        EXPIRES - A_MOMENT_BEFORE,
    ),
    Promise(
        {"is_expired": "Whether the account, not just its password, has expired"},
        partial(on_day, case="ssh.password-accounts-unreachable/expires-later"),
        20900,
        20900 - A_MOMENT_BEFORE,
    ),
    Promise(
        {"HostAccount": "Day from which the password is too old"},
        partial(on_day, case=f"{DORMANT}/password-set-recently"),
        AGED_OUT - A_MOMENT_BEFORE,
        AGED_OUT,
    ),
)


# --- firewalls ------------------------------------------------------------------------------


def cloud_firewall(ports: int) -> str:
    """A rule of a Cloud Firewall that lets the world in to so many ports of TCP."""
    case = "firewall.cloud-no-all-ports-open/nearly-all"
    (firewall,) = load(HERE / f"{case}.fail.toml").table["api"]["firewalls"]
    (rule,) = firewall["inbound_rules"]
    changed = firewall | {"inbound_rules": [rule | {"ports": f"1000-{999 + ports}"}]}
    return judged(case, api={"firewalls": [changed]})


def host_firewall(ports: int) -> str:
    """A rule of nftables that accepts so many ports of TCP, before a policy of drop."""
    accepted = (
        '{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},'
        f' "right": {{"range": [1000, {999 + ports}]}}}}}}'
    )
    limit = '{"limit": {"rate": 10, "burst": 5, "per": "second"}}'
    case = "firewall.host-default-deny/limited-accept"
    text = load(HERE / f"{case}.fail.toml").table["sections"]["nft"]["stdout"]
    return judged(case, sections={"nft": {"stdout": text.replace(limit, accepted)}})


FIREWALLS = (
    Promise(
        {
            "test_no_rule_opens_every_port_to_the_world": "60,000 ports of TCP",
            "explanation/cloud-firewalls.md": "60,000 ports of TCP",
        },
        cloud_firewall,
        59_999,
        60_000,
    ),
    Promise({"is_broad": "about all of them"}, host_firewall, 59_999, 60_000),
)


# --- auditd ---------------------------------------------------------------------------------


def backlog(records: int) -> str:
    """The length of the queue, now and at the next boot."""
    change = ("audit_backlog_limit=8192", f"audit_backlog_limit={records}")
    over = section("cmdline", change)
    over["sections"] |= section("boot", change)["sections"]
    return judged("auditd.backlog-limit/8192", over)


def audit_logs(files: tuple[int, int]) -> str:
    """The MiB of each log, and how many there are."""
    size, number = files
    return judged(
        "auditd.log-retention/shipped",
        section(
            "auditd_conf",
            ("max_log_file = 8", f"max_log_file = {size}"),
            ("num_logs = 5", f"num_logs = {number}"),
        ),
    )


def lost_records(number: int) -> str:
    """What the kernel lost since the boot."""
    return judged("auditd.no-lost-events/none", section("audit", ("lost 0", f"lost {number}")))


AUDITD = (
    Promise(
        {"test_the_boot_backlog_holds_enough_records": "8192 records or more"},
        backlog,
        8192,
        8191,
    ),
    Promise(
        {
            "test_audit_logs_are_kept": "8 MiB times 5 files, which is what is asked here",
            "Settings.audit_logs_min_mib": "40",
        },
        audit_logs,
        (10, 4),
        (13, 3),
    ),
    Promise({"Settings.audit_log_file_min_mib": "8"}, audit_logs, (8, 5), (7, 6)),
    Promise({"Settings.audit_lost_allowed": "0"}, lost_records, 0, 1),
)


# --- TLS ------------------------------------------------------------------------------------


def server(case: str, chain: list[str], now: datetime, over: Mapping[str, Any]) -> str:
    """The outcome of a case in which a chain is served under both names."""
    said = {"protocol": "TLSv1.3", "chain": chain}
    probes = {"tls": {"port": "open", "names": dict.fromkeys(NAMES, said)}}
    return judged(case, {**over, "probes": probes}, now=now)


def certificate(
    case: str, *, days: float, left: timedelta, begin: datetime = NOW, **over: Any
) -> str:
    """A certificate of so many days, judged when some of its time is left."""
    chain = encoded(leaf(NAMES, begin, days, issuer=ROOT))
    return server(case, chain, begin + days * DAY - left, over)


def time_left(left: timedelta, *, days: float) -> str:
    """What is left of a certificate of so many days."""
    return certificate("tls.not-expiring/nginx", days=days, left=left)


def public_lifetime(life: timedelta, *, issued: datetime) -> str:
    """A certificate of a public authority, judged on its first day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tls_checks, "trusted", lambda _: (authority(),))
        return certificate(
            "tls.not-expiring/nginx", days=life / DAY, left=life - HOUR, begin=issued
        )


def renewal_timer(runs_in: timedelta, *, has_run: bool) -> str:
    """Certbot's timer runs next some time from now, and ran now or never."""
    case = "tls.renewal-automated/timer-next-month"
    text = load(HERE / f"{case}.fail.toml").table["sections"]["renewal"]["stdout"]
    shown = at(NOW + runs_in, "%a %Y-%m-%d %H:%M:%S")
    changed = text.replace("Tue 2026-12-22 00:00:00", shown)
    ran = at(NOW, "%a %Y-%m-%d %H:%M:%S UTC") if has_run else ""
    changed = changed.replace("Sun 2026-11-22 03:40:00 UTC", ran)
    chain = encoded(leaf(NAMES, NOW - DAY, 90, issuer=ROOT))
    return server(case, chain, NOW, {"sections": {"renewal": {"stdout": changed}}})


def weekly(days: int) -> str:
    """A cron job runs every week, for a certificate of so many days."""
    chain = encoded(leaf(NAMES, NOW - HOUR, days, issuer=ROOT))
    return server("tls.renewal-automated/weekly-cron", chain, NOW, {})


def renewal_late(left: timedelta, *, days: int) -> str:
    """What is left of a certificate of so many days that Certbot should renew."""
    chain = encoded(leaf(NAMES, NOW - days * DAY + left, days, issuer=ROOT))
    return server("tls.renewal-automated/debian-timer", chain, NOW, {})


def renewed_by_hand(left: timedelta) -> str:
    """A certificate that no ACME authority issued, and no client on the host."""
    begin = NOW - 365 * DAY + left
    chain = encoded(leaf(NAMES, begin, 365, issuer=ROOT))
    return server("tls.renewal-automated/by-hand-long", chain, NOW, {})


@cache
def rsa_of(bits: int) -> rsa.RSAPrivateKey:
    """A key of the host."""
    return rsa.generate_private_key(65537, bits)


def certificate_key(bits: int) -> str:
    """A certificate with an RSA key."""
    chain = encoded(leaf(NAMES, NOW - DAY, 90, issuer=ROOT, key=rsa_of(bits)))
    return server("tls.key-strength/rsa-2048", chain, NOW, {})


def hsts(seconds: int) -> str:
    """The ``max-age`` that both names send."""
    answer = {"status": 200, "hsts": f"max-age={seconds}"}
    secure = dict.fromkeys(NAMES, answer)
    return judged("tls.hsts/nginx", probes={"http": {"secure": secure}})


MARCH = [datetime(year, 3, 15, tzinfo=UTC) for year in (2026, 2027, 2029)]
_WHICHEVER = "test_served_certificate_is_valid_and_not_about_to_expire"
_SCHEDULED = "test_renewal_of_the_certificate_is_scheduled"
# Of what clients accept, a day more is not counted: both ends of a lifetime belong to it.
TLS = (
    Promise(
        {_WHICHEVER: "is valid now"}, partial(time_left, days=90), 90 * DAY, 90 * DAY + SECOND
    ),
    Promise(
        {_WHICHEVER: "21 days or 22 % of the certificate's lifetime, whichever is less"},
        partial(time_left, days=365),
        21 * DAY,
        21 * DAY - SECOND,
    ),
    *(
        Promise(
            {_WHICHEVER: "certificates of 6, 45 and 90 days"},
            partial(time_left, days=days),
            0.22 * days * DAY,
            0.22 * days * DAY - SECOND,
        )
        for days in (6, 45, 90)
    ),
    Promise(
        {_WHICHEVER: "200 days since 2026-03-15"},
        partial(public_lifetime, issued=MARCH[0]),
        201 * DAY,
        201 * DAY + SECOND,
    ),
    Promise(
        {_WHICHEVER: "200 days since 2026-03-15"},
        partial(public_lifetime, issued=MARCH[0] - SECOND),
        399 * DAY,
        399 * DAY + SECOND,
    ),
    *(
        Promise(
            {_WHICHEVER: "must not live longer than clients accept"},
            partial(public_lifetime, issued=since),
            (days + 1) * DAY,
            (days + 1) * DAY + SECOND,
        )
        for since, days in (
            (MARCH[1] - SECOND, 200),
            (MARCH[1], 100),
            (MARCH[2] - SECOND, 100),
            (MARCH[2], 47),
        )
    ),
    Promise(
        {_SCHEDULED: "that has not run yet must do so within 26 hours"},
        partial(renewal_timer, has_run=False),
        26 * HOUR,
        26 * HOUR + SECOND,
    ),
    Promise(
        {_SCHEDULED: "at least in the last third of the certificate's life, 30 days at most"},
        partial(renewal_timer, has_run=True),
        15 * DAY,
        15 * DAY + SECOND,
    ),
    Promise(
        {_SCHEDULED: "weekly is enough for 90 days, and not for 6"},
        weekly,
        90,
        6,
    ),
    *(
        Promise(
            {
                _SCHEDULED: "should have been renewed three days ago",
                "_window": "the time before expiry at which every Certbot has begun to renew",
            },
            partial(renewal_late, days=days),
            begins - 3 * DAY,
            begins - 3 * DAY - SECOND,
        )
        for days, begins in ((9, 108 * HOUR), (10, 80 * HOUR), (60, 20 * DAY), (180, 30 * DAY))
    ),
    Promise(
        {_SCHEDULED: "in its last 60 days"},
        renewed_by_hand,
        60 * DAY,
        60 * DAY - SECOND,
        good="notapplicable",
    ),
    Promise(
        {"test_keys_and_signatures_of_the_chain_are_strong": "RSA from 2048 bits"},
        certificate_key,
        2048,
        2047,
    ),
    Promise(
        {
            "test_hsts_is_sent": "for half a year at least",
            "Settings.hsts_min_seconds": "15768000",
        },
        hsts,
        15_768_000,
        15_767_999,
    ),
)


# --- the run, and what is said of a finding --------------------------------------------------------------


def message(characters: int) -> str:
    """Whether a message is shown whole."""
    shown = make_verdict("a.b", 1, "fail", "high", "x" * characters).message
    return "whole" if len(shown) == characters and "…" not in shown else "cut"


def traceback(characters: int) -> str:
    """Whether a traceback is shown whole."""
    shown = make_verdict("a.b", 1, "error", "high", trace="x" * characters).traceback or ""
    return "whole" if len(shown) == characters and "…" not in shown else "cut"


def up_to_the_default(value: int, *, name: str) -> str:
    """Whether a value is within the default of an option."""
    (default,) = (option.default for option in OPTIONS if option.name == name)
    assert isinstance(default, int)
    return "within" if value <= default else "beyond"


def job_summary(size_bytes: int) -> str:
    """Whether a job summary of GitHub may be so long."""
    return "taken" if size_bytes <= LIMIT_BYTES else "cut"


RUN = (
    *(
        Promise(
            {page: words},
            partial(up_to_the_default, name=name),
            most,
            most + 1,
            good="within",
            bad="beyond",
        )
        for page, words, name, most in (
            ("how-to/scale.md", "more than 200 connected hosts wait", "connections", 200),
            ("how-to/debug-an-unknown.md", "the host's time limit of 60 s", "timeout", 60),
            ("how-to/debug-an-unknown.md", "within 10 s", "connect-timeout", 10),
            ("tutorial.md", "below 100 % the run fails", "min-coverage", 100),
        )
    ),
    Promise({"markdown": "at most 1 MiB"}, job_summary, 2**20, 2**20 + 1, good="taken", bad="cut"),
    Promise(
        {"reference/record.md": "at most 2,000 characters"},
        message,
        2_000,
        2_001,
        good="whole",
        bad="cut",
    ),
    Promise(
        {"reference/record.md": "its last 20,000 characters"},
        traceback,
        20_000,
        20_001,
        good="whole",
        bad="cut",
    ),
)


# --- reports --------------------------------------------------------------------------------


def kept_whole(write: Callable[[str], str], length: int) -> str:
    """Whether a report has a text of this many characters as it is."""
    return "pass" if "x" * length in write("x" * length) else "fail"


def evidence_of(value: str) -> str:
    """The evidence of a result that was judged on one fact."""
    entry = {"source": "a", "value": value}
    return evidence_text({"evidence": [entry]})  # type: ignore[typeddict-item]


REPORTS = (
    Promise(
        {"_short": "at most 255 characters"},
        partial(kept_whole, sarif._short),
        kept=255,
        broken=256,
    ),
    Promise(
        {"reference/reports.md": "A text ends after 8,000 characters"},
        partial(kept_whole, csv.cell),
        kept=8_000,
        broken=8_001,
    ),
    Promise(
        {"reference/reports.md": "facts of at most 400 characters each"},
        partial(kept_whole, evidence_of),
        kept=400,
        broken=401,
    ),
)
PROMISES = (*BACKUPS, *SYSTEM, *KEYS, *FIREWALLS, *AUDITD, *TLS, *RUN, *REPORTS)


@pytest.mark.parametrize(
    "promise",
    PROMISES,
    ids=[f"{number}-{next(iter(p.places.values()))}" for number, p in enumerate(PROMISES)],
)
def test_a_promised_number_holds_one_step_to_each_side(promise: Promise) -> None:
    """At the number it is as promised, and a step further it is not."""
    assert promise.outcome(promise.kept) == promise.good
    assert promise.outcome(promise.broken) == promise.bad


@pytest.mark.parametrize(
    ("attempt", "drawn", "slept"), [(0, 0.0, 0.5), (0, 1.0, 1.5), (1, 0.0, 1.0), (2, 1.0, 6.0)]
)
def test_attempts_are_further_and_further_apart(
    monkeypatch: pytest.MonkeyPatch, attempt: int, drawn: float, slept: float
) -> None:
    """From half a second to one and a half, by chance, and twice as long each time."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(random, "random", lambda: drawn)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(transport.back_off(attempt))
    assert waited == [slept]


# --- what is in the table -------------------------------------------------------------------

HELD_ELSEWHERE = {
    ("Pacer", "Full speed while 20 % of the minute's requests are left"): (
        "tests/unit/test_api_pacing.py::TestPace::test_slows_down_when_a_fifth_of_the_minute_is_left"
    ),
    ("Pacer", "then what is left spread over a minute"): (
        "tests/unit/test_api_pacing.py::TestPace::test_a_minute_has_sixty_seconds"
    ),
    ("test_firewall_changes_are_applied", "read once more, a minute later"): (
        "tests/unit/test_api_inventory.py::TestWider::"
        "test_firewalls_that_wait_are_read_again_a_minute_later"
    ),
    ("test_package_index_is_fresh_and_has_a_security_source", "is at least 100"): (
        "tests/unit/test_facts_packages.py::test_the_security_source_is_reached_by_its_priority"
    ),
    ("tutorial.md", "its dates are put back by a week"): (
        "tests/unit/test_demo_recording.py::"
        "test_its_baseline_is_a_week_older_and_of_the_same_account"
    ),
    ("how-to/scale.md", "250 requests a minute for the whole account"): (
        "tests/unit/test_api_pacing.py::TestPace::test_never_sends_more_than_the_minute_allows"
    ),
    ("explanation/one-round-trip.md", "a test holds that of the profile within 40 KB"): (
        "tests/checks/test_catalogue.py::test_the_script_of_the_usual_profile_is_small"
    ),
    ("section_timeout_s", "25 s"): (
        "tests/unit/test_script.py::test_who_gives_a_host_more_time_gives_its_sections_more"
    ),
    ("section_timeout_s", "60 s"): (
        "tests/unit/test_script.py::test_who_gives_a_host_more_time_gives_its_sections_more"
    ),
    ("back_off", "0.5 to 1.5 s, twice as long each time"): (
        "tests/unit/test_promised_numbers.py::test_attempts_are_further_and_further_apart"
    ),
    ("how-to/baseline.md", "may be open for 14 days is overdue on 20 January"): (
        "tests/unit/test_ages.py::test_a_finding_is_overdue_on_the_day_after_its_last"
    ),
    ("reference/options.md", "older than half a year"): (
        "tests/plugin/test_eol_refresh.py::test_dates_of_old_are_pointed_out"
    ),
    ("reference/record.md", "a text of at most 400 characters"): (
        "tests/unit/test_verdict.py::test_a_text_is_evidence_where_a_result_shows_a_part"
    ),
    ("reference/record.md", "only where 64 KB do not hold it"): (
        "tests/unit/test_verdict.py::test_a_line_of_evidence_says_what_it_left_out"
    ),
    ("reference/verdicts.md", "1,999 of 2,000 are 99.9 %"): (
        "tests/unit/test_coverage.py::test_every_output_shows_the_same_percentage"
    ),
}
DESCRIBED = {
    ("test_audit_rules_cover_the_group", "programs of 64 and of 32 bits"),
    ("Item", "32-bit programs"),
    ("AuditSurroundings", "64-bit programs alone"),
    ("is_off", "all that 64-bit programs do"),
    ("off_switches", "all that 64-bit programs do"),
    ("test_end_of_support_is_not_near", "Three months are little"),
    ("test_sshd_offers_no_broken_algorithm", "64-bit MACs"),
    ("_day", "the beginning of a day"),
    ("left_of", "below two days"),
    ("markdown", "of more than 1 MiB whole"),
    ("reference/reports.md", "the first 150 characters of the message"),
    ("time_between", "as `7 days`"),
    ("add", "a day apart"),
    ("reference/options.md", "s-1vcpu-1gb"),
    ("explanation/unknown-is-red.md", "A package index is a year old"),
}
"""Words with a number that limits nothing: what something is, or an example."""

_WORDS = "half an?|an?|two|three|four|five|six|seven|eight|nine|ten|twenty|hundred|thousand"
_FIGURES = r"\d(?:[\d,._]*\d)?"
_TIMES = "s|ms|h|seconds?|minutes?|hours?|days?|weeks?|months?|years?|intervals?"
_SIZES = "%|percent|bytes?|[KMG]i?B|bits?|ports|characters|records"
NUMBER = re.compile(
    rf"\b(?:{_FIGURES}|{_WORDS})[ -](?:{_TIMES})\b|\b{_FIGURES}[ -]?(?:{_SIZES})(?!\w)",
    re.IGNORECASE,
)
_AN_ORDINAL = re.compile(r"\ba second\b")
MEASURED = {
    "SECURITY.md": "what people do",
    "contributing.md": "how long the tests take",
    "changelog.md": "made of the fragments",
    "explanation/corrections-to-the-guide.md": "what the guide and the packages say",
    "explanation/one-round-trip.md": "size and time of the script",
    "explanation/speed.md": "times and sizes",
    "explanation/what-an-audit-leaves-behind.md": "what other programs write",
    "how-to/install.md": "sizes of packages",
    "how-to/fuzz.md": "how long it takes",
    "how-to/scale.md": "a fleet on paper",
}
"""Pages whose other numbers are of something measured or planned."""


def texts() -> Iterator[tuple[str, str]]:
    """Yield the docstrings of the package by name, and the pages by path, each in one line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                text = ast.get_docstring(node) or ""
                yield getattr(node, "name", path.stem), " ".join(text.split())
    for page in sorted(DOCS.rglob("*.md")):
        if page.parent.name != "changelog.d":
            text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
            yield str(page.relative_to(DOCS)), " ".join(text.split())


def in_the_table() -> set[tuple[str, str]]:
    """Return the places of all tables: where, and the words there."""
    promised = {place for promise in PROMISES for place in promise.places.items()}
    settings = {p for p in promised if p[0].startswith("Settings.")}
    return (promised - settings) | set(HELD_ELSEWHERE) | DESCRIBED


def test_every_number_with_a_unit_is_in_the_table() -> None:
    """A number that is written anew, or changed, is held on both sides, or the suite says so."""
    table = in_the_table()
    left = []
    for where, text in texts():
        if where in MEASURED:
            continue
        rest = _AN_ORDINAL.sub("", text)
        for words in (words for place, words in table if place == where):
            rest = rest.replace(words, "")
        left += [(where, found[0]) for found in NUMBER.finditer(rest)]
    assert left == []


def test_the_words_of_the_table_are_still_written() -> None:
    """A row whose words are gone holds a promise that nobody makes."""
    written: dict[str, str] = {}
    for where, text in texts():
        written[where] = written.get(where, "") + "\n" + text
    gone = [place for place in sorted(in_the_table()) if place[1] not in written.get(place[0], "")]
    assert gone == []


def test_every_number_of_the_settings_is_in_the_table() -> None:
    """Each setting that is a number has its default on both sides."""
    rows = {
        (where, words)
        for promise in PROMISES
        for where, words in promise.places.items()
        if where.startswith("Settings.")
    }
    defaults = {
        (f"Settings.{f.name}", str(f.default)) for f in fields(Settings) if type(f.default) is int
    }
    assert rows == defaults


@pytest.mark.parametrize("test", sorted(set(HELD_ELSEWHERE.values())))
def test_what_is_held_elsewhere_is(test: str) -> None:
    """The test that is named exists."""
    path, *names = test.split("::")
    found: ast.AST = ast.parse((ROOT_FOLDER / path).read_text("utf-8"))
    for name in names:
        found = next(n for n in ast.walk(found) if getattr(n, "name", None) == name)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("at most 30 days, or 22 % of it", ["30 days", "22 %"]),
        ("60,000 ports and 1 MiB", ["60,000 ports", "1 MiB"]),
        ("three days ago, half a year at least", ["three days", "half a year"]),
        ("within 26 hours or 0.5 s", ["26 hours", "0.5 s"]),
        ("recommendations 9 and 10, port 443, OpenSSH 9.6, a daily job", []),
    ],
)
def test_numbers_with_a_unit_are_found(text: str, numbers: list[str]) -> None:
    """Figures and words, of time, size and share; numbers of other things are none."""
    assert [found[0] for found in NUMBER.finditer(text)] == numbers
