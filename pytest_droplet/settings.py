"""Settings of the checks: ``[tool.droplet]`` of pyproject.toml, or ``droplet.toml``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from pytest_droplet.selection import SelectionError, parse_selectors
from pytest_droplet.toml_tables import TableError, build, load
from pytest_droplet.words import SEVERITIES, Severity

Ports: TypeAlias = tuple[int | str, ...]
PortsOrDefault: TypeAlias = Ports | None
TcpPortsOrDefault: TypeAlias = tuple[int, ...] | None

AUDIT_GROUPS = (
    *("time-change", "identity", "system-locale", "mac-policy", "logins", "session", "perm-mod"),
    *("access", "mounts", "delete", "scope", "user-emulation", "actions", "modules"),
)
"""The groups of events that the CIS benchmarks want audit rules for."""

_SENSITIVE: Ports = (
    *(21, 23, 111, 139, 445, 873, 1433, 1521, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 5432),
    *(5900, 5901, 5902, 5903, 5904, 5905, 5984, 5985, 5986, 6379, 6443, 8086, 9042, 9092, 9200),
    *(9300, 10250, 11211, 11300, 15672, 27017, 27018, 27019, 33060),
    *("111/udp", "161/udp", "389/udp", "1900/udp", "2049/udp", "11211/udp"),
)
_PORT = re.compile(r"([0-9]{1,5})(?:/(tcp|udp))?")
_FINGERPRINT = re.compile(
    r"(?:SHA256:)?[0-9A-Za-z+/]{43}=?|(?:MD5:)?[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15}"
)
_HOST_NAME = re.compile(r"[^\s/:*.]+(?:\.[^\s/:*.]+)*\.?")
_USER = re.compile(r"[^\s:/]+")


class Day(str):
    """A date as TOML has it, kept in its ISO form so that records can hold it."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return the day of a date, a date and time, or an ISO text (ValueError: it is none)."""
        try:
            if isinstance(value, str):
                value = date.fromisoformat(value)
            return cls((value.date() if isinstance(value, datetime) else value).isoformat())
        except (ValueError, AttributeError):
            raise ValueError("a date such as 2026-12-31") from None

    @property
    def date(self) -> date:
        """The date."""
        return date.fromisoformat(self)


class KeyDays(dict[str, Day]):
    """Days by fingerprint; hashable, as a default must be."""

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a hash of what it holds."""
        return hash(frozenset(self.items()))


class Owners(dict[str, str]):
    """Owners by selector, in the order of the file; hashable, as a default must be."""

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a hash of what it holds."""
        return hash(tuple(self.items()))


class SeverityDays(dict[Severity, int]):
    """Days by severity; hashable, as a default must be."""

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a hash of what it holds."""
        return hash(frozenset(self.items()))


class Port(NamedTuple):
    """A port with its protocol."""

    protocol: Literal["tcp", "udp"]
    number: int

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


def ports(values: Ports) -> tuple[Port, ...]:
    """Return the ports of a setting: ``443``, ``"443"`` and ``"443/tcp"`` are one.

    Raises:
        ValueError: One is no port.
    """
    found = []
    for value in values:
        matched = _PORT.fullmatch(str(value))
        if matched is None or not 0 < int(matched[1]) < 65536:
            raise ValueError(f"{value!r} is no port")
        found.append(Port("udp" if matched[2] == "udp" else "tcp", int(matched[1])))
    return tuple(found)


def _port(value: Any) -> str | None:
    try:
        ports((value,))
    except ValueError:
        return "a port from 1 to 65535, or text such as '53/udp'"
    return None


def _between(least: int, most: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        return None if least <= value <= most else f"{least} to {most}"

    return check


def _like(pattern: re.Pattern[str], expected: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        return None if pattern.fullmatch(value) else expected

    return check


def _group(value: Any) -> str | None:
    return None if value in AUDIT_GROUPS else f"one of {', '.join(AUDIT_GROUPS)}"


_fingerprint = _like(
    _FINGERPRINT, "a fingerprint as ssh-keygen -l shows it: SHA256:... or MD5:16:27:..."
)
_days = _between(0, 36_500)
_some_text = _like(re.compile(r"(?s).*\S.*"), "some text")


def _key_day(item: Any) -> str | None:
    return _fingerprint(item[0])


def _owner(item: Any) -> str | None:
    try:
        selection = parse_selectors([item[0]])
    except SelectionError as exc:
        return f"a selector: {exc}"
    if selection.demo or not item[1].strip():
        return "a selector of Droplets, and who owns them"
    return None


def _severity_days(item: Any) -> str | None:
    if item[0] not in SEVERITIES:
        return f"one of {', '.join(SEVERITIES)}"
    return _days(item[1])


@dataclass(frozen=True)
class Settings:
    """What a site may set for the checks; each default is what DigitalOcean's guide asks for.

    Attributes:
        accept_host_firewall: A host firewall that denies by default stands in for a Cloud
            Firewall.
        allow_dormant_users: Users without a login who may have keys all the same, for a service
            such as git or backups.
        allow_key_sources: Values of sshd's options, other than files, that keys may come from:
            a command, a file of authorities; each as ``sshd -T`` prints it.
        audit_log_file_min_mib: MiB that one file of the audit log must be allowed to grow to.
        audit_logs_min_mib: MiB of audit logs that must be kept where they are rotated.
        audit_lost_allowed: Audit records that may have been lost since the boot.
        audit_rule_groups: Groups of events that audit rules must cover.
        backup_max_interval_hours: Hours that may lie between two backups by their plan.
        backup_min_retention_days: Days that backups must be kept.
        backup_shrink_percent: Percent of the usual size below which a backup looks incomplete.
        ca_bundle: PEM file of further certificate authorities that served chains may end at;
            below the folder of the settings.
        denied_keys: SHA256 or MD5 fingerprints of keys that nobody may log in with any more.
        departed_users: Names of users who may not log in any more: their accounts on hosts are
            gone, have expired, or have neither a password nor a key.
        eol_min_days: Days that a release must still get security updates.
        expected_ports: Ports that the internet may reach, `443` or `"53/udp"`; where not set
            those of sshd, 80, 443 and, for HTTP/3, 443 over UDP.
        hsts_min_seconds: Seconds that Strict-Transport-Security must hold for.
        index_max_age_days: Days after which a package index is stale.
        key_inventory: Days when keys were issued, a table by SHA256 or MD5 fingerprint.
        known_keys: SHA256 or MD5 fingerprints of keys that may be on hosts though the account
            does not list them.
        max_key_age_days: Days after which a key has to be replaced.
        min_rsa_bits: Bits that RSA keys of users must have; 2048 at least.
        owners: Who owns Droplets, a table by selector, of which the first that matches counts;
            else it is the Droplet's project.
        patched_elsewhere: Another system installs the updates: automatic updates are not asked
            for.
        pending_updates_allowed: Updates that may wait.
        pending_updates_max_age_days: Days that updates may wait, counted from the date of the
            newest index that offers them; of use with mirrors that are frozen at a date.
        provisioning_keys: SHA256 or MD5 fingerprints of account keys that need not be on any
            Droplet.
        required_services: TCP ports that must be reached from where the audit runs; where not
            set 80 and 443, as far as nginx or Apache listens there.
        sensitive_ports: Ports that no Cloud Firewall may open to the world.
        sla: Days that a finding may be open before it is overdue, a table by severity.
        ssh_post_quantum: A key exchange that withstands quantum computers must be offered.
        ssh_strict: Algorithms that are merely old count as weak too.
        tls_names: Names, beside those that the servers' configuration has, to ask for by SNI.
        volume_snapshot_max_age_days: Days after which an attached volume must have a new
            snapshot.
    """

    accept_host_firewall: bool = False
    allow_dormant_users: tuple[str, ...] = ()
    allow_key_sources: tuple[str, ...] = ()
    audit_log_file_min_mib: int = 8
    audit_logs_min_mib: int = 40
    audit_lost_allowed: int = 0
    audit_rule_groups: tuple[str, ...] = AUDIT_GROUPS
    backup_max_interval_hours: int = 168
    backup_min_retention_days: int = 7
    backup_shrink_percent: int = 25
    ca_bundle: str = ""
    denied_keys: tuple[str, ...] = ()
    departed_users: tuple[str, ...] = ()
    eol_min_days: int = 90
    expected_ports: PortsOrDefault = None
    hsts_min_seconds: int = 15_768_000
    index_max_age_days: int = 7
    key_inventory: Mapping[str, Day] = KeyDays()
    known_keys: tuple[str, ...] = ()
    max_key_age_days: int = 365
    min_rsa_bits: int = 3072
    owners: Mapping[str, str] = Owners()
    patched_elsewhere: bool = False
    pending_updates_allowed: int = 0
    pending_updates_max_age_days: int = 0
    provisioning_keys: tuple[str, ...] = ()
    required_services: TcpPortsOrDefault = None
    sensitive_ports: Ports = _SENSITIVE
    sla: Mapping[Severity, int] = SeverityDays()
    ssh_post_quantum: bool = False
    ssh_strict: bool = False
    tls_names: tuple[str, ...] = ()
    volume_snapshot_max_age_days: int = 7


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "allow_dormant_users": _like(_USER, "a user name"),
    "allow_key_sources": _some_text,
    "audit_log_file_min_mib": _between(1, 1_000_000),
    "audit_logs_min_mib": _between(1, 100_000_000),
    "audit_rule_groups": _group,
    "backup_max_interval_hours": _between(1, 24 * 366),
    "backup_min_retention_days": _days,
    "backup_shrink_percent": _between(0, 100),
    "denied_keys": _fingerprint,
    "departed_users": _like(_USER, "a user name"),
    "eol_min_days": _days,
    "expected_ports": _port,
    "hsts_min_seconds": _between(1, 10**10),
    "index_max_age_days": _days,
    "key_inventory": _key_day,
    "known_keys": _fingerprint,
    "max_key_age_days": _between(1, 36_500),
    "min_rsa_bits": _between(2048, 16_384),
    "owners": _owner,
    "pending_updates_max_age_days": _days,
    "provisioning_keys": _fingerprint,
    "required_services": _between(1, 65_535),
    "sensitive_ports": _port,
    "sla": _severity_days,
    "tls_names": _like(_HOST_NAME, "a host name"),
    "volume_snapshot_max_age_days": _between(1, 36_500),
}


def load_settings(folder: Path) -> Settings:
    """Read the settings of a project.

    Args:
        folder: The folder of ``droplet.toml``, or else of ``pyproject.toml``.

    Returns:
        The settings; ``ca_bundle`` is the whole path of its file.

    Raises:
        TableError: The text names the file, the key and what is wrong with it.
    """
    own, shared = folder / "droplet.toml", folder / "pyproject.toml"
    if own.is_file():
        return _placed(parse_settings(load(own), own.name), folder, own.name)
    if shared.is_file():
        table = load(shared).get("tool", {}).get("droplet", {})
        where = f"{shared.name} [tool.droplet]"
        return _placed(parse_settings(table, where), folder, where)
    return Settings()


def parse_settings(table: dict[str, Any], where: str) -> Settings:
    """Check a table of settings; ``where`` names it in errors (:class:`TableError`).

    Paths stay as they are.
    """
    return build(Settings, table, where, _CHECKS)


def _placed(settings: Settings, folder: Path, where: str) -> Settings:
    """Return the settings with the whole path of ``ca_bundle``.

    A checked-out repository is not trusted: it may not name a file outside of its own folder.
    """
    if not settings.ca_bundle:
        return settings
    what = f"{where}: ca_bundle = {settings.ca_bundle!r}"
    try:
        path = (folder / settings.ca_bundle).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise TableError(f"{what}: expected a file below the folder of the settings")
        if not path.is_file():
            raise TableError(f"{what}: there is no such file")
    except (OSError, RuntimeError, ValueError) as exc:
        if isinstance(exc, TableError):
            raise
        raise TableError(f"{what}: cannot be read: {exc}") from None
    return replace(settings, ca_bundle=str(path))
