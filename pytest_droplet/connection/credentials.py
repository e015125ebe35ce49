"""The user's SSH keys: each file is read and parsed once, for all hosts."""

from __future__ import annotations

import base64
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
        public: Public keys and certificates of the named files, encrypted ones included: what an
            agent offers first, and under ``IdentitiesOnly`` all that it offers.
        encrypted: Files that need a passphrase, which is never asked for.
        security_keys: Files of FIDO keys, which only an agent can use.
        unreadable: Files that the user named and that cannot be used, with the reason.
        agent: Path of the agent's socket, or None.
        agent_keys: How many keys the agent holds, once somebody asked it.
    """

    keys: KeyList = field(default_factory=KeyList, repr=False)
    certificates: list[Any] = field(default_factory=list, repr=False)
    public: KeyList = field(default_factory=KeyList, repr=False)
    encrypted: list[str] = field(default_factory=list)
    security_keys: list[str] = field(default_factory=list)
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
        for text in certificates:
            try:
                found.certificates.append(asyncssh.read_certificate(Path(text).expanduser()))
            except (OSError, asyncssh.KeyImportError) as exc:
                found.unreadable.append(f"{text}: {_short(exc)}")
        for text in dict.fromkeys(DEFAULT_FILES if files is None else files):
            path = Path(text).expanduser()
            self._collect_file(path, text, found, required=files is not None)
        found.public += [c.public_data for c in found.certificates]
        return found

    def _collect_file(self, path: Path, text: str, found: Credentials, *, required: bool) -> None:
        public = _public(path)
        if public is not None:
            found.public.append(public)
        certificate = _certificate(path)
        if found.certificates and certificate not in found.certificates:
            certificate = None  # as with ssh, those that are named are all that count
        if certificate is not None:
            found.public.append(certificate.public_data)
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
        if key.algorithm.startswith(b"sk-"):
            found.security_keys.append(text)
        else:
            found.keys.append(key if certificate is None else (key, certificate))

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
    """Return the public half of a key: of the file beside it, or in its own file."""
    for candidate in (path.with_name(path.name + ".pub"), path):
        try:
            data: bytes = asyncssh.read_public_key(candidate).public_data
        except (OSError, asyncssh.KeyImportError):
            continue
        return data
    try:
        return _public_of_private(path.read_bytes())
    except (OSError, ValueError):
        return None


def _public_of_private(text: bytes) -> bytes | None:
    """Return the public half that OpenSSH's own format has in the clear, encrypted or not.

    Raises:
        ValueError: The file is cut, or no key.

    Source: PROTOCOL.key of OpenSSH.
    """
    _, begin, rest = text.partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    if not begin:
        return None
    data = base64.b64decode(rest.partition(b"-----END")[0])
    magic = b"openssh-key-v1\0"
    if not data.startswith(magic):
        raise ValueError("no key of OpenSSH")
    position = len(magic)
    for _ in range(3):  # cipher, key derivation, its options
        position += 4 + int.from_bytes(data[position : position + 4], "big")
    position += 4  # the number of keys, which is one
    size = int.from_bytes(data[position : position + 4], "big")
    public = data[position + 4 : position + 4 + size]
    return public if size and len(public) == size else None


def _certificate(path: Path) -> Any:
    """Return the certificate that lies beside a key; None where there is none."""
    try:
        return asyncssh.read_certificate(path.with_name(path.name + "-cert.pub"))
    except (OSError, asyncssh.KeyImportError):
        return None


def _short(exc: Exception) -> str:
    return (getattr(exc, "strerror", None) or str(exc)).rstrip(".")
