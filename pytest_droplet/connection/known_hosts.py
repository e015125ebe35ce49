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

Standing = Literal["known", "unknown", "changed"]

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

_HASHED = re.compile(r"\s*(@\S+\s+)?\|1\|([^|\s]+)\|([^|\s]+)\s+(\S.*)")


class KnownHosts:
    """The host keys that the user trusts.

    A line that cannot be parsed trusts nothing and is passed over, as ssh does. Hashed names are
    compared once for each host that is asked for.

    Args:
        user_files: In the order of the user's ssh config; the first takes new keys. A file that
            does not exist is empty.
        system_files: Read after those, and never written.
    """

    def __init__(self, user_files: Sequence[str], system_files: Iterable[str] = ()) -> None:
        self.file = Path(user_files[0]).expanduser() if user_files else None
        self._entries = asyncssh.SSHKnownHosts()
        self._hashed: list[tuple[bytes, bytes, str, str]] = []
        self._compared: set[str] = set()
        for name in (*user_files, *system_files):
            for line in _lines(Path(name).expanduser()):
                self._add(line)

    def trusted(self, host: str, port: int) -> tuple[Any, ...]:
        """Return asyncssh's seven lists of keys and certificates for a host and port.

        As with ssh, an entry without a port counts on another port where that port has none.
        """
        named = self._match(_label(host, port))
        return named if _has_keys(named) else self._match(host)

    def standing(self, host: str, port: int) -> Standing:
        """Tell what a key that is not trusted means: no key is on file, or another one."""
        return "changed" if _has_keys(self._match(_label(host, port))) else "unknown"

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

    def _match(self, label: str) -> tuple[Any, ...]:
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
        with contextlib.suppress(ValueError, asyncssh.KeyImportError):
            if hashed is None:
                self._entries.load(line)
            else:
                salt, digest = base64.b64decode(hashed[2]), base64.b64decode(hashed[3])
                self._hashed.append((salt, digest, hashed[1] or "", hashed[4]))


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
