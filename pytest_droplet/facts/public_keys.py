"""Public SSH keys: type, size and fingerprints of an OpenSSH key line, never the key itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from pytest_droplet.facts import Observation, fact
from pytest_droplet.model import AccountKey

_TYPE = re.compile(rb"[a-z0-9][a-z0-9.@-]{2,63}")
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


def parse_blob(text: str) -> PublicKey | None:
    """Read the base64 part of an OpenSSH public key; None: it is none.

    Source: RFC 4253, section 6.6; RFC 5656, section 3.1; PROTOCOL.u2f of OpenSSH.
    """
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    fields = _strings(blob)
    if not fields or not _TYPE.fullmatch(fields[0]):
        return None
    name = fields[0].decode("ascii")
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
