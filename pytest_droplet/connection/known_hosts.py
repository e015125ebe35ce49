"""The user's known_hosts files: parsed once, asked strictly, added to only when asked for."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import asyncssh

Standing = Literal["unknown", "changed"]

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

_HASHED = re.compile(r"\s*(@\S+\s+)?\|1\|([^|\s]+)\|([^|\s]+)\s+(\S.*)")


class KnownHosts:
    """The host keys that the user trusts; the files are read when a host is first asked for.

    A line that cannot be parsed trusts nothing and is passed over, as ssh does. Hashed names are
    compared once for each host that is asked for.

    Args:
        user_files: In the order of the user's ssh config; the first takes new keys. A file that
            does not exist is empty.
        system_files: Read after those, and never written.
        revoked_file: Public keys that are trusted nowhere (``RevokedHostKeys``).
        smallest_rsa: Bits that an RSA key must have (``RequiredRSASize``).

    Raises:
        ValueError: The file of revoked keys cannot be read.
    """

    def __init__(
        self,
        user_files: Sequence[str],
        system_files: Iterable[str] = (),
        revoked_file: str | None = None,
        smallest_rsa: int = 0,
    ) -> None:
        self.file = Path(user_files[0]).expanduser() if user_files else None
        self._entries = asyncssh.SSHKnownHosts()
        self._hashed: list[tuple[bytes, bytes, str, str]] = []
        self._compared: set[str] = set()
        self._revoked = _revoked(revoked_file) if revoked_file else []
        self._smallest_rsa = smallest_rsa
        self._authority = False
        self._unread: tuple[str, ...] = (*user_files, *system_files)

    def trusted(self, host: str, port: int) -> tuple[Any, ...]:
        """Return asyncssh's seven lists of keys and certificates for a host and port.

        As with ssh, an entry without a port counts on another port where that port has none.
        """
        named = self._match(_label(host, port))
        found = named if _has_keys(named) else self._match(host)
        host_keys, ca_keys, revoked, *others = found
        large = [key for key in host_keys if not self.is_small(key)]
        return (large, ca_keys, [*revoked, *self._revoked], *others)

    def is_small(self, key: asyncssh.SSHKey) -> bool:
        """Tell whether an RSA key has fewer bits than the config asks for."""
        if not self._smallest_rsa or key.algorithm != b"ssh-rsa":
            return False
        public: Any = key.pyca_key
        return bool(public.key_size < self._smallest_rsa)

    def standing(self, host: str, port: int) -> Standing:
        """Tell what a key that is not trusted means: no key is on file, or another one."""
        return "changed" if _has_keys(self._match(_label(host, port))) else "unknown"

    @property
    def has_authority(self) -> bool:
        """Whether a CA is trusted for any host."""
        self._read()
        return self._authority

    def record(self, host: str, port: int, key: asyncssh.SSHKey) -> None:
        """Add a key to the first file, as ``StrictHostKeyChecking accept-new`` does.

        Raises:
            OSError: The file cannot be written, or the user's config names none.
        """
        if self.file is None:
            raise FileNotFoundError("UserKnownHostsFile is none")
        public = key.export_public_key("openssh").decode("ascii").split()
        line = f"{_label(host, port)} {public[0]} {public[1]}\n"
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, (("\n" if torn else "") + line).encode("ascii"))
        finally:
            os.close(descriptor)
        self._add(line)

    def _read(self) -> None:
        """Read the files, where that was not done."""
        unread, self._unread = self._unread, ()
        for name in unread:
            for line in _lines(Path(name).expanduser()):
                self._add(line)

    def _match(self, label: str) -> tuple[Any, ...]:
        self._read()
        if label not in self._compared:
            self._compared.add(label)
            name = label.encode()
            for salt, digest, marker, key in self._hashed:
                if hmac.digest(salt, name, "sha1") == digest:
                    self._add(f"{marker}{label} {key}")
        found: tuple[Any, ...] = self._entries.match(label, "", None)
        return found

    def _add(self, line: str) -> None:
        hashed = _HASHED.match(line)
        self._authority |= line.lstrip().startswith("@cert-authority")
        with contextlib.suppress(ValueError, asyncssh.KeyImportError):
            if hashed is None:
                self._entries.load(line)
            else:
                salt, digest = base64.b64decode(hashed[2]), base64.b64decode(hashed[3])
                self._hashed.append((salt, digest, hashed[1] or "", hashed[4]))


def _revoked(name: str) -> list[asyncssh.SSHKey]:
    """Read a list of public keys.

    Raises:
        ValueError: It cannot be read, has a line that is no key, or is a KRL.
    """
    try:
        raw = Path(name).expanduser().read_bytes()
    except OSError as exc:
        raise ValueError(f"{name} cannot be read ({exc.strerror})") from None
    if raw.startswith(b"SSHKRL"):
        raise ValueError(f"{name} is a KRL, which is not read here; list the public keys as text")
    lines = [line.strip() for line in raw.splitlines()]
    try:
        return [asyncssh.import_public_key(x) for x in lines if x and not x.startswith(b"#")]
    except asyncssh.KeyImportError as exc:
        raise ValueError(f"{name} has a line that is no public key ({exc})") from None


def _has_keys(found: tuple[Any, ...]) -> bool:
    host_keys, ca_keys, _, certificates, _, subjects, _ = found
    return bool(host_keys or ca_keys or certificates or subjects)


def _label(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
