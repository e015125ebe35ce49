"""Chains of certificates for case files and unit tests, from an authority of fixed keys.

The keys follow from the names, so that chains made on different days fit each other::

    python -m tests.checks.chains a.example,www.a.example 2026-10-01 90

prints a chain as the probe ``tls`` has it; ``python -m tests.checks.chains ca`` the PEM file that
the cases name as ``ca_bundle``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
ROOT, INTERMEDIATE = "Case Root", "Case Issuer"


def key_of(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key that belongs to a name."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:31], "big")
    return ec.derive_private_key(number + 1, ec.SECP256R1())


def authority(
    name: str = ROOT,
    issuer: str = ROOT,
    *,
    begin: datetime = BEGIN,
    days: float = 7300,
    is_authority: bool = True,
) -> x509.Certificate:
    """Issue a certificate of an authority; of the root by default."""
    return (
        _builder(name, issuer, key_of(name), begin, days)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(key_of(issuer), hashes.SHA256())
    )


def leaf(
    names: Sequence[str],
    begin: datetime,
    days: float,
    *,
    issuer: str = INTERMEDIATE,
    key: Key | None = None,
    digest: hashes.HashAlgorithm | None = None,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> x509.Certificate:
    """Issue a server's certificate; ``issuer`` may be its own first name."""
    key = key or key_of(names[0])
    signer = key if issuer == names[0] else key_of(issuer)
    return (
        _builder(names[0], issuer, key, begin, days)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(signer, digest or hashes.SHA256())
    )


def encoded(*chain: x509.Certificate) -> list[str]:
    """Return a chain as the probe has it."""
    return [base64.b64encode(c.public_bytes(Encoding.DER)).decode("ascii") for c in chain]


def served(names: Sequence[str], begin: datetime, days: float) -> list[str]:
    """Return a good chain: the server's certificate and the intermediate one."""
    return encoded(leaf(names, begin, days), authority(INTERMEDIATE, days=3650))


def _builder(
    name: str, issuer: str, key: Key, begin: datetime, days: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(
            int.from_bytes(hashlib.sha256(f"{name}{begin}".encode()).digest()[:8], "big")
        )
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
    )


def _name(name: str) -> x509.Name:
    """Return a subject; ``Organization/Name`` has an organization."""
    organization, slash, common = name.rpartition("/")
    kinds = [NameOID.ORGANIZATION_NAME] * bool(slash) + [NameOID.COMMON_NAME]
    values = [organization] * bool(slash) + [common]
    return x509.Name([x509.NameAttribute(k, v) for k, v in zip(kinds, values, strict=True)])


if __name__ == "__main__":
    if sys.argv[1] == "ca":
        sys.stdout.write(authority().public_bytes(Encoding.PEM).decode())
    else:
        first = datetime.fromisoformat(sys.argv[2]).replace(tzinfo=UTC)
        chain = served(sys.argv[1].split(","), first, float(sys.argv[3]))
        sys.stdout.write(f"{json.dumps(chain, indent=2)}\n")
