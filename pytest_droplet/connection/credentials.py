"""The user's SSH keys: each file is read and parsed once, for all hosts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

DEFAULT_FILES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")


class KeyList(list[Any]):
    """A list of keys that asyncssh takes as given.

    An empty list is false, and then asyncssh would load the default keys on its own.
    """

    def __bool__(self) -> bool:
        return True


@dataclass
class Credentials:
    """What is offered to a host: keys of files and an agent.

    Attributes:
        keys: For asyncssh's ``client_keys``: a key, or a key with its certificate.
        certificates: For asyncssh's ``client_certs``.
        public: Public keys of the named files, encrypted ones included: what an agent may offer
            under ``IdentitiesOnly``.
        encrypted: Files that need a passphrase, which is never asked for.
        unreadable: Files that the user named and that cannot be used, with the reason.
        agent: Path of the agent's socket, or None.
        agent_keys: How many keys the agent holds, once somebody asked it.
    """

    keys: KeyList = field(default_factory=KeyList, repr=False)
    certificates: list[Any] = field(default_factory=list, repr=False)
    public: KeyList = field(default_factory=KeyList, repr=False)
    encrypted: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    agent: str | None = None
    agent_keys: int | None = None


class KeyRing:
    """Loads key files, each once."""

    def __init__(self) -> None:
        self._loaded: dict[Path, Any] = {}

    def collect(
        self,
        files: Iterable[str] | None,
        certificates: Iterable[str] = (),
        agent: str | None = None,
    ) -> Credentials:
        """Return the credentials of these files; of the default ones where None are named."""
        found = Credentials(agent=agent)
        for text in dict.fromkeys(DEFAULT_FILES if files is None else files):
            path = Path(text).expanduser()
            self._collect_file(path, text, found, required=files is not None)
        for text in certificates:
            try:
                found.certificates.append(asyncssh.read_certificate(Path(text).expanduser()))
            except (OSError, asyncssh.KeyImportError) as exc:
                found.unreadable.append(f"{text}: {_short(exc)}")
        return found

    def _collect_file(self, path: Path, text: str, found: Credentials, *, required: bool) -> None:
        public = _public(path)
        if public is not None:
            found.public.append(public)
        try:
            key = self._key(path)
        except FileNotFoundError:
            if required and public is None:
                found.unreadable.append(f"{text}: no such file")
            return
        except OSError as exc:
            found.unreadable.append(f"{text}: {_short(exc)}")
            return
        except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as exc:
            if "passphrase" in str(exc).lower():
                found.encrypted.append(text)
            elif required and public is None:
                found.unreadable.append(f"{text}: {_short(exc)}")
            return
        if public is None:
            found.public.append(key.public_data)
        certificate = path.with_name(path.name + "-cert.pub")
        try:
            found.keys.append((key, asyncssh.read_certificate(certificate)))
        except (OSError, asyncssh.KeyImportError):
            found.keys.append(key)

    def _key(self, path: Path) -> Any:
        known = self._loaded.get(path)
        if known is None:
            known = self._loaded[path] = asyncssh.read_private_key(path)
        return known


def agent_socket(configured: str | None) -> str | None:
    """Return the path of the agent's socket where there is one.

    Args:
        configured: ``IdentityAgent`` of the ssh config; ``none`` there is the empty text here.
    """
    if configured is None or configured == "SSH_AUTH_SOCK":
        path = os.environ.get("SSH_AUTH_SOCK", "")
    elif configured.startswith("$"):
        path = os.environ.get(configured.strip("${}"), "")
    else:
        path = configured
    path = str(Path(path).expanduser()) if path else ""
    return path if path and Path(path).is_socket() else None


def _public(path: Path) -> bytes | None:
    for candidate in (path.with_name(path.name + ".pub"), path):
        try:
            data: bytes = asyncssh.read_public_key(candidate).public_data
        except (OSError, asyncssh.KeyImportError):
            continue
        return data
    return None


def _short(exc: Exception) -> str:
    return (getattr(exc, "strerror", None) or str(exc)).rstrip(".")
