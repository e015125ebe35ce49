"""Certificate and key files that web servers are configured with, as they are on the disk."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.tls.trust import UnreadableCertificateError, name_of, parse_certificate
from pytest_droplet.model import Item, NotObservedError, Section
from pytest_droplet.text import one_line

CERTIFICATES = Section.of_files("facts/tls/certificates.sh", root=True)


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder: octal mode, owner, group; ``path`` as it is on the disk."""

    path: str
    mode: int
    owner: str
    group: str

    @property
    def details(self) -> Item:
        """Path, octal mode, owner and group."""
        return {
            "path": self.path,
            "mode": f"{self.mode:04o}",
            "owner": self.owner,
            "group": self.group,
        }

    def __str__(self) -> str:
        return f"{self.path} {self.mode:04o} {self.owner}:{self.group}"


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """A file that a configuration names as a certificate or as a private key.

    Attributes:
        state: ``missing``: no regular file is there; ``unread``: it may not be read; ``read``.
        file: Its mode and owner, behind symbolic links; None unless it was read.
        certificate: Its first certificate; None where it holds none, and of key files.
        holds_key: Whether there is a private key in it.
        parents: The folders above a key file, from the nearest up.
    """

    path: str
    state: str
    file: File | None = None
    certificate: x509.Certificate | None = field(default=None, repr=False)
    holds_key: bool = False
    parents: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files by the path that the configuration has."""

    certificates: Mapping[str, CertificateFile]
    keys: Mapping[str, CertificateFile]

    def certificate(self, path: str) -> CertificateFile:
        """Return what is known of a certificate file."""
        return _found(self.certificates, path)

    def key(self, path: str) -> CertificateFile:
        """Return what is known of a key file."""
        return _found(self.keys, path)

    def __str__(self) -> str:
        parts = [
            f"{c.path}: "
            + (
                f"{name_of(c.certificate)} until {c.certificate.not_valid_after_utc:%Y-%m-%d}"
                if c.certificate is not None
                else c.state
            )
            for c in list(self.certificates.values())[:4]
        ]
        parts += [str(k.file or f"{k.path}: {k.state}") for k in list(self.keys.values())[:4]]
        return one_line("; ".join(parts) or "no certificate file is named", 390)


@fact(
    "certificates, and mode and owner of the keys, that nginx and Apache name",
    sections=(CERTIFICATES,),
)
def droplet_certificate_files(observation: Observation) -> CertificateFiles:
    """The certificate files on the disk, and mode and owner of the private keys."""
    return parse_certificate_files(observation.section(CERTIFICATES.name).stdout)


def parse_certificate_files(text: str) -> CertificateFiles:
    """Parse the output of the section ``certificates``.

    Args:
        text: ``cert PATH`` or ``key PATH``, then ``missing``, ``unread``, or ``stat``,
            ``holds-key``, ``parent`` lines and PEM; at last ``end``.

    Raises:
        NotObservedError: It does not come to its end.
    """
    lines = text.split("\n")
    if "end" not in lines:
        raise NotObservedError("the certificate files were not read to the end")
    found: dict[str, dict[str, CertificateFile]] = {"cert": {}, "key": {}}
    start = 0
    for i in range(1, len(lines) + 1):
        if i == len(lines) or lines[i].startswith(("cert ", "key ")) or lines[i] == "end":
            kind, _, path = lines[start].partition(" ")
            if kind in found and path:
                found[kind][path] = _file(path, lines[start + 1 : i])
            start = i
    return CertificateFiles(found["cert"], found["key"])


def _found(files: Mapping[str, CertificateFile], path: str) -> CertificateFile:
    known = files.get(path)
    if known is None or known.state == "unread":
        raise NotObservedError(f"{one_line(path, 120)} was not read")
    return known


def _file(path: str, lines: list[str]) -> CertificateFile:
    shown = one_line(path, 120)
    stats = [_stat(ln[5:].split(" "), shown) for ln in lines if ln.startswith("stat ")]
    parents = [
        _stat((parts := ln[7:].split(" ", 3))[:3], one_line(parts[-1], 120))
        for ln in lines
        if ln.startswith("parent ")
    ]
    said = "read" if stats and stats[0] else "unread"
    return CertificateFile(
        path=shown,
        state=next((ln for ln in lines if ln in {"missing", "unread"}), said),
        file=stats[0] if stats else None,
        certificate=_certificate(lines),
        holds_key="holds-key" in lines,
        parents=tuple(p for p in parents if p is not None),
    )


def _stat(parts: list[str], path: str) -> File | None:
    try:
        return File(
            path, int(parts[0], 8) & 0o7777, one_line(parts[1], 40), one_line(parts[2], 40)
        )
    except (ValueError, IndexError):
        return None


def _certificate(lines: list[str]) -> x509.Certificate | None:
    begin = next((i for i, ln in enumerate(lines) if ln.startswith("-----BEGIN ")), None)
    if begin is None:
        return None
    end = next((i for i, ln in enumerate(lines) if ln.startswith("-----END ")), begin)
    body = "".join(ln.strip() for ln in lines[begin + 1 : end])
    try:
        return parse_certificate(base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError, UnreadableCertificateError):
        return None
