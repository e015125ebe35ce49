"""What a host is like at one moment, so that a test can prove that an audit changed nothing."""

import fnmatch
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

# Paths that an ssh login without a terminal changes, as patterns, and why. Nothing else does: a
# host that nobody touches changes nothing, and LabHost.run leaves no trace.
LOGIN_TRACES = {
    "/var/log/auth.log": "sshd, sudo and systemd-logind name the login",
    "/var/log/syslog": "systemd names the session that begins and ends",
    "/var/log/daemon.log": "the same lines on Debian 11",
    "/var/log/audit/audit.log": "auditd writes USER_LOGIN and its like",
    "/var/log/journal/*": "the same lines in the journal",
    "/run": "the files directly below it are replaced",
    "/run/motd.dynamic": "pam_motd writes it anew",
    "/run/sudo/ts": "the folder of sudo's time stamps",
    "/run/sudo/ts/*": "sudo's time stamp of the user",
    "/run/systemd": "the folders below it come and go",
    "/run/systemd/journal/*": "a stream of the journal for each unit of the session",
    "/run/systemd/sessions": "systemd-logind's list of sessions",
    "/run/systemd/sessions/*": "and each of them",
    "/run/systemd/transient": "scopes and slices of the session",
    "/run/systemd/transient/*": "and each of them",
    "/run/systemd/units": "the user's manager is a unit",
    "/run/systemd/units/*": "and its invocation has an id",
    "/run/systemd/users": "systemd-logind's list of users",
    "/run/systemd/users/*": "and each of them",
    "/run/user": "the folder of the user's session comes",
    "/run/user/*": "and what the user's manager puts there",
}

# What changes at any moment, whoever does what on the host.
MACHINE_TRACES = {
    "/var/log/kern.log": "the kernel is the machine's, and each host's rsyslog writes what it says",
}

# The same of what an auditor asks from outside.
PROBE_TRACES = {
    "/var/log/btmp": "the probe of the offered methods asks as a user who does not exist",
    "/var/log/nginx/access.log": "the probe of redirects is a visitor like any other",
    "/var/log/apache2/*access.log": "the same with Apache",
}

# Of larger files the size and the times tell.
_HASHED_BELOW = 1_000_000

# Units that a login brings and takes away.
LOGIN_UNITS = (
    "session-*.scope",
    "user@*.service",
    "user-runtime-dir@*.service",
    "user-*.slice",
    "run-user-*.mount",
    "systemd-hostnamed.service",
)


class Entry(NamedTuple):
    """One file.

    Attributes:
        type: ``f``, ``d``, ``l`` and so on, as in ``find -printf %y``.
        mode: Its permission bits.
        uid: Its owner.
        gid: Its group.
        size: Bytes.
        mtime_ns: When its content changed last, in nanoseconds since 1970.
        content: The SHA-256 of a regular file below 1 MB, the target of a symbolic link,
            else "".
    """

    type: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    content: str


class Runs(Protocol):
    """What a snapshot needs of a host."""

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        timeout_s: float = 300,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it."""


@dataclass(frozen=True)
class Snapshot:
    """A host's files, kernel state and units.

    Attributes:
        files: Each file by its path.
        kernel: What the kernel keeps, by what it is: the ruleset as ``nft`` prints it, without
            its counters; the state and the rules of audit, without the backlog of the moment;
            the modules.
        units: State of each unit by its name.
    """

    files: Mapping[str, Entry]
    kernel: Mapping[str, str]
    units: Mapping[str, str]

    def changes(
        self,
        later: "Snapshot",
        *,
        except_paths: Iterable[str] = (*LOGIN_TRACES, *MACHINE_TRACES),
        except_units: Iterable[str] = LOGIN_UNITS,
    ) -> list[str]:
        """Tell what is different later, a line each.

        Args:
            later: The state to compare with.
            except_paths: Patterns of paths that may change.
            except_units: Patterns of units that may change.
        """
        lines = _differences(self.files, later.files, except_paths)
        lines += _differences(self.units, later.units, except_units)
        return lines + _differences(self.kernel, later.kernel, ())

    def lasting_changes(self, later: "Snapshot") -> list[str]:
        """Tell what settings and packages that were changed and changed back left behind.

        That times are other ones, and what logs, caches and the package manager keep, does not
        count; nor does the order of firewall rules that were loaded anew.
        """
        lines = _differences(_settled(self.files), _settled(later.files), ())
        lines += _differences(self.units, later.units, LOGIN_UNITS)
        return lines + _differences(_sorted(self.kernel), _sorted(later.kernel), ())


_PASSING = re.compile(
    r"/run/|/tmp/|/var/(log|cache|lib/(dpkg|rpm|dnf|systemd|sudo)|backups)/"
    r"|/usr/lib/sysimage/|/etc/[^/]*-$"
)


def _settled(files: Mapping[str, Entry]) -> dict[str, tuple[object, ...]]:
    return {
        path: (file.type, file.mode, file.uid, file.gid, file.content)
        for path, file in files.items()
        if not _PASSING.match(path)
    }


def _sorted(kernel: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: sorted(text.splitlines()) for name, text in kernel.items()}


_KERNEL = {
    "firewall": "command -v nft >/dev/null && nft --stateless list ruleset",
    "audit": "command -v auditctl >/dev/null && { auditctl -s | grep -v ^backlog; auditctl -l; }",
    "modules": "if [ -e /proc/modules ]; then cut -d' ' -f1 /proc/modules | sort\n"
    "else ls /sys/module; fi",
}


def snapshot(host: Runs, files: Mapping[str, Entry]) -> Snapshot:
    """Read a host's kernel state and units, beside its files."""
    kernel = {name: host.run(command).stdout for name, command in _KERNEL.items()}
    states = host.run("systemctl show '*' -p Id,ActiveState,SubState,UnitFileState", check=True)
    blocks = (
        dict(line.split("=", 1) for line in block.splitlines())
        for block in states.stdout.split("\n\n")
    )
    units = {block.pop("Id"): "/".join(block.values()) for block in blocks if "Id" in block}
    return Snapshot(files, kernel, units)


_SKIP = r"\( -path /proc -o -path /sys -o -path /dev \) -prune -o"
_LIST = rf"find / {_SKIP} -printf '%y\t%m\t%U\t%G\t%s\t%T@\t%C@\t%i\t%l\t%p\0'"
_HASH = "xargs -0 sha256sum -z --"


class Lister:
    """Lists the files of one host.

    It reads a file's content again only if its inode or time of change (ctime) is another:
    nobody can set that time back without setting the host's clock.

    Attributes:
        digests: SHA-256 by path, time of change and inode, of what was read so far.
    """

    def __init__(self, digests: Mapping[tuple[str, str, str], str] | None = None) -> None:
        self.digests = dict(digests or {})

    def listing(self, host: Runs) -> dict[str, Entry]:
        """List every file of a host but those below /proc, /sys and /dev."""
        rows = [
            row.split("\t", 9) for row in host.run(_LIST, timeout_s=600).stdout.split("\0")[:-1]
        ]
        wanted = {
            (path, ctime, inode)
            for kind, *_, size, _, ctime, inode, _, path in rows
            if kind == "f" and int(size) < _HASHED_BELOW
        }
        if unread := wanted - self.digests.keys():
            self._hash(host, unread)
        files = {}
        for kind, mode, uid, gid, size, mtime, ctime, inode, target, path in rows:
            content = target or self.digests.get((path, ctime, inode), "")
            owner = int(uid), int(gid)
            files[path] = Entry(
                kind, int(mode, 8), *owner, int(size), _nanoseconds(mtime), content
            )
        return files

    def _hash(self, host: Runs, wanted: set[tuple[str, str, str]]) -> None:
        names = "".join(f"{path}\0" for path, _, _ in wanted).encode(errors="surrogateescape")
        done = host.run(_HASH, stdin=names, timeout_s=600)
        digests = {
            path: digest
            for digest, _, path in (row.partition("  ") for row in done.stdout.split("\0"))
        }
        self.digests |= {key: digests.get(key[0], "") for key in wanted}


def _nanoseconds(seconds: str) -> int:
    whole, _, fraction = seconds.partition(".")
    return int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


def _differences(
    before: Mapping[str, object], after: Mapping[str, object], except_for: Iterable[str]
) -> list[str]:
    lines = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new and not any(fnmatch.fnmatchcase(name, pattern) for pattern in except_for):
            lines.append(f"{name}: {old} -> {new}")
    return lines
