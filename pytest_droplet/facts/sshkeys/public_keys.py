"""Public SSH keys: type, size and fingerprints of an OpenSSH key line, never the key itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from pytest_droplet.facts import Observation, fact
from pytest_droplet.model import AccountKey, Item

Form = Callable[[bytes], bytes | None]

_TYPE = re.compile(r"[a-z0-9][a-z0-9.@-]{2,63}")
# Other names that sshd takes for a type; the short ones count in any case.
_ALIASES = {
    "rsa-sha2-256": "ssh-rsa",
    "rsa-sha2-512": "ssh-rsa",
    "rsa-sha2-256-cert-v01@openssh.com": "ssh-rsa-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com": "ssh-rsa-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com": "sk-ecdsa-sha2-nistp256@openssh.com",
}
_SHORT_NAMES = {
    "rsa": "ssh-rsa",
    "dsa": "ssh-dss",
    "ed25519": "ssh-ed25519",
    "ed25519-sk": "sk-ssh-ed25519@openssh.com",
    "xmss": "ssh-xmss@openssh.com",
}
_WHITE_SPACE = str.maketrans("", "", " \t\n\v\f\r")
_CURVE_BITS = {b"nistp256": 256, b"nistp384": 384, b"nistp521": 521}
_MD5 = re.compile(r"([0-9a-f]{2}:){15}[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What may be told of a public key.

    Attributes:
        type: The name in the blob, such as ``ssh-ed25519``.
        bits: Size of the modulus or the curve; None where it is not known: a new type, a
            certificate.
        sha256: Fingerprint as OpenSSH prints it, ``SHA256:`` and base64 without padding.
        md5: Fingerprint in the API's form, colon-separated hex without a prefix.
    """

    type: str
    bits: int | None
    sha256: str
    md5: str


@dataclass(frozen=True, slots=True)
class KeyOfAccount:
    """An SSH key of the account, known by its fingerprints.

    ``sha256`` is empty where the API's ``public_key`` is no OpenSSH key; ``md5`` is then the
    API's own fingerprint.
    """

    id: int
    name: str
    type: str
    bits: int | None
    sha256: str
    md5: str

    @property
    def details(self) -> Item:
        """The key's id, name and fingerprints."""
        return {"id": self.id, "name": self.name, "fingerprint": self.sha256, "md5": self.md5}


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """The SSH keys of the account."""

    keys: tuple[KeyOfAccount, ...]

    @property
    def fingerprints(self) -> frozenset[str]:
        """SHA256 and MD5 fingerprints of all of them."""
        return frozenset(f for k in self.keys for f in (k.sha256, k.md5) if f)

    def __str__(self) -> str:
        names = ", ".join(f"{k.name} ({k.id})" for k in self.keys[:6])
        more = f" and {len(self.keys) - 6} more" if len(self.keys) > 6 else ""
        return f"{len(self.keys)} account keys: {names}{more}" if self.keys else "no account key"


@fact("GET /v2/account/keys", api=("keys",))
def droplet_account_keys(observation: Observation) -> AccountKeys:
    """The SSH keys of the account, by fingerprint."""
    return account_keys(observation.inventory.keys.get())


def account_keys(keys: tuple[AccountKey, ...]) -> AccountKeys:
    """Return the fingerprints of the account's keys."""
    return AccountKeys(tuple(_of_account(k) for k in keys))


def type_name(text: str) -> str:
    """Return the name that blobs have for a type of key; what is no type comes back as it is."""
    if text in _FORMS:
        return text
    return _ALIASES.get(text) or _SHORT_NAMES.get(text.lower(), text)


def parse_blob(text: str) -> PublicKey | None:
    """Read the base64 part of an OpenSSH public key as sshd does; None: it is none.

    sshd skips white space in it, and takes several blobs for the same key: under other names of
    the type, or with zeros before a number. The fingerprints are those of the blob that OpenSSH
    itself writes for the key. Certificates and types that are not known here are taken as they
    are.

    Source: RFC 4253, section 6.6; RFC 5656, section 3.1; PROTOCOL.u2f and sshkey.c of OpenSSH.
    """
    blob = _decoded(text)
    fields = _strings(blob)
    if not fields:
        return None
    name = type_name(fields[0].removesuffix(b"\0").decode("latin-1"))
    if name in _FORMS:
        written = _as_written(name, fields)
        if written is None or len(blob) != sum(map(len, fields)) + 4 * len(fields):
            return None
        if written != fields:
            fields = written
            blob = b"".join([len(f).to_bytes(4, "big") + f for f in fields])
    elif not _TYPE.fullmatch(name):
        return None
    digest = hashlib.sha256(blob).digest()
    return PublicKey(
        type=name,
        bits=_bits(name, fields),
        sha256="SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("="),
        md5=hashlib.md5(blob, usedforsecurity=False).digest().hex(":"),
    )


def normal_fingerprint(text: str) -> str:
    """Return a fingerprint in the form of :class:`PublicKey`.

    ``SHA256:`` may be missing or the base64 be padded; ``MD5:`` may stand before the hex, in
    either case. What is neither comes back as it is: it matches nothing.
    """
    text = text.strip()
    hexadecimal = text.removeprefix("MD5:").lower()
    if _MD5.fullmatch(hexadecimal):
        return hexadecimal
    text = text.rstrip("=")
    return f"SHA256:{text}" if re.fullmatch(r"[0-9A-Za-z+/]{43}", text) else text


def _of_account(key: AccountKey) -> KeyOfAccount:
    parsed = next(filter(None, map(parse_blob, key.public_key.split()[:2])), None)
    if parsed is None:
        return KeyOfAccount(key.id, key.name, "", None, "", normal_fingerprint(key.fingerprint))
    return KeyOfAccount(key.id, key.name, parsed.type, parsed.bits, parsed.sha256, parsed.md5)


def _decoded(text: str) -> bytes:
    """Decode base64 with any white space in it; what is not base64 to its end is empty."""
    return _exactly(text) or _exactly(text.translate(_WHITE_SPACE))


def _exactly(text: str) -> bytes:
    try:
        blob = binascii.a2b_base64(text)
    except ValueError:
        return b""
    return blob if binascii.b2a_base64(blob, newline=False) == text.encode() else b""


def _strings(blob: bytes) -> list[bytes]:
    """Split an SSH wire blob into its strings, up to the first that does not fit."""
    fields: list[bytes] = []
    start = 0
    while start + 4 <= len(blob) and len(fields) < 8:
        length = int.from_bytes(blob[start : start + 4], "big")
        start += 4 + length
        if start > len(blob):
            break
        fields.append(blob[start - length : start])
    return fields


def _bits(name: str, fields: list[bytes]) -> int | None:
    if name in {"ssh-ed25519", "sk-ssh-ed25519@openssh.com"}:
        return 256
    if name == "ssh-rsa" and len(fields) > 2:
        return int.from_bytes(fields[2], "big").bit_length()
    if name == "ssh-dss" and len(fields) > 1:
        return int.from_bytes(fields[1], "big").bit_length()
    if name.startswith(("ecdsa-sha2-nistp", "sk-ecdsa-sha2-nistp")) and len(fields) > 1:
        return _CURVE_BITS.get(fields[1])
    return None


def _as_written(name: str, fields: list[bytes]) -> list[bytes] | None:
    """Return the fields of a key as OpenSSH writes them; None where sshd refuses one."""
    forms = _FORMS[name]
    if len(fields) != len(forms) + 1:
        return None
    written = [name.encode()]
    for form, field in zip(forms, fields[1:], strict=True):
        known = form(field)
        if known is None:
            return None
        written.append(known)
    return written


def _number(field: bytes) -> bytes | None:
    """Return a number without needless zeros before it; None: it is negative."""
    if field[:1] >= b"\x80":
        return None
    digits = field.lstrip(b"\0")
    return b"\0" + digits if digits[:1] >= b"\x80" else digits


def _text(field: bytes) -> bytes | None:
    """Return a text, which may end with a NUL byte but hold none."""
    text = field.removesuffix(b"\0")
    return None if b"\0" in text else text


def _curve(name: bytes) -> Form:
    return lambda field: name if _text(field) == name else None


def _point(size: int, start: bytes = b"") -> Form:
    return lambda field: field if len(field) == size and field.startswith(start) else None


_FORMS: dict[str, tuple[Form, ...]] = {
    "ssh-ed25519": (_point(32),),
    "ssh-rsa": (_number, _number),
    "ssh-dss": (_number, _number, _number, _number),
    "ecdsa-sha2-nistp256": (_curve(b"nistp256"), _point(65, b"\x04")),
    "ecdsa-sha2-nistp384": (_curve(b"nistp384"), _point(97, b"\x04")),
    "ecdsa-sha2-nistp521": (_curve(b"nistp521"), _point(133, b"\x04")),
    "sk-ssh-ed25519@openssh.com": (_point(32), _text),
    "sk-ecdsa-sha2-nistp256@openssh.com": (_curve(b"nistp256"), _point(65, b"\x04"), _text),
}
"""What stands behind the name in the blobs of the types that are known here, in order."""
