"""Whether a chain of certificates, as a server sent it, ends at a trusted authority."""

from __future__ import annotations

import ipaddress
import warnings
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from pytest_droplet.model import NotObservedError
from pytest_droplet.text import one_line

# What is parsed only when it is asked for, and may fail then.
_PARTS = (
    "subject",
    "issuer",
    "not_valid_before_utc",
    "not_valid_after_utc",
    "extensions",
    "signature_hash_algorithm",
)
_END = "-----END CERTIFICATE-----"


class UnreadableCertificateError(ValueError):
    """A certificate cannot be parsed: one line."""


def parse_certificate(der: bytes) -> x509.Certificate:
    """Parse a certificate.

    Raises:
        UnreadableCertificateError: It is none, or one that no client accepts.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            found = x509.load_der_x509_certificate(der)
            for part in _PARTS:
                getattr(found, part)
            found.public_key()
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
    ) as exc:
        raise UnreadableCertificateError(one_line(str(exc)) or type(exc).__name__) from None
    return found


def trusted(ca_bundle: str) -> tuple[x509.Certificate, ...]:
    """Return Mozilla's authorities (of the installed certifi) and those of a PEM file.

    Raises:
        NotObservedError: The file cannot be read or holds no certificate.
    """
    return (*_mozilla(), *(_bundle(ca_bundle) if ca_bundle else ()))


def distrust(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> str | None:
    """Tell why a client does not trust a chain; None: it does.

    The order of the certificates behind the first does not matter. Whether the first is valid
    now and for the name asked for is not judged here: where it is not valid now, the chain is
    judged at the nearest time at which it was.

    Args:
        chain: What the server sent, its own certificate first.
        roots: The trusted authorities.
        now: The time to judge at.

    Source: RFC 5280, section 6; cryptography.x509.verification.
    """
    leaf, rest = chain[0], list(chain[1:])
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    at = min(max(now, start), max(start, end - timedelta(seconds=1)))
    subject = _subject(leaf)
    if subject is None:
        why = "the certificate has no subjectAltName, which clients demand"
        return _self_signed(leaf) or why
    builder = (
        PolicyBuilder()
        .store(Store(list(roots)))
        .time(at)
        .extension_policies(
            ca_policy=ExtensionPolicy.permit_all()
            .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
            .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign),
            ee_policy=ExtensionPolicy.permit_all()
            .require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
            .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _may_serve),
        )
    )
    try:
        builder.build_server_verifier(subject).verify(leaf, rest)
    except (VerificationError, ValueError) as exc:
        return _reason(leaf, rest, roots, at) or one_line(str(exc).partition(" (enc")[0], 160)
    return None


def _reason(
    leaf: x509.Certificate,
    rest: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> str | None:
    """Follow the issuers to where the chain breaks, and name the break."""
    if why := _self_signed(leaf):
        return why
    last, depth = leaf, 0
    while _issuer(last, roots) is None:
        found = _issuer(last, rest)
        if found is None or found is last or depth > len(rest):
            break
        last, depth = found, depth + 1
        if not found.not_valid_before_utc <= at <= found.not_valid_after_utc:
            return f"the certificate of its issuer {name_of(found)} {_validity(found, at)}"
    if _issuer(last, roots) is not None:
        return None
    if _is_self_signed(last):
        return f"unknown issuer: the chain ends at {name_of(last)}, which is not trusted"
    issuer = _name(last.issuer)
    if last is leaf:
        return f"incomplete chain: the certificate of its issuer {issuer} is not served"
    return f"unknown issuer: {issuer} is neither served nor trusted"


def name_of(certificate: x509.Certificate) -> str:
    """Return the subject's common name, or all of the subject, on one line."""
    return _name(certificate.subject)


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return one_line(str(common[0].value) if common else name.rfc4514_string() or "(no name)", 80)


def _validity(certificate: x509.Certificate, at: datetime) -> str:
    if at < certificate.not_valid_before_utc:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"


def _self_signed(leaf: x509.Certificate) -> str | None:
    return "the certificate is self-signed" if _is_self_signed(leaf) else None


def _is_self_signed(certificate: x509.Certificate) -> bool:
    return _issuer(certificate, (certificate,)) is not None


def _issuer(
    certificate: x509.Certificate, among: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    for candidate in among:
        if candidate.subject != certificate.issuer:
            continue
        try:
            certificate.verify_directly_issued_by(candidate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        return candidate
    return None


def _may_sign(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer's certificate may not sign certificates")


def _may_serve(_: Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and allowed.isdisjoint(usage):
        raise ValueError("the certificate is not for servers (extendedKeyUsage)")


def _subject(leaf: x509.Certificate) -> x509.DNSName | x509.IPAddress | None:
    """Return a name that the certificate has: the verifier insists on one."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    for name in names.get_values_for_type(x509.DNSName):
        return x509.DNSName(name.replace("*", "any", 1))
    for address in names.get_values_for_type(x509.IPAddress):
        if isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address):
            return x509.IPAddress(address)
    return None


@cache
def _mozilla() -> tuple[x509.Certificate, ...]:
    return tuple(_pem(Path(certifi.where()).read_text(encoding="utf-8")))


@cache
def _bundle(path: str) -> tuple[x509.Certificate, ...]:
    try:
        found = tuple(_pem(Path(path).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as exc:
        raise NotObservedError(f"ca_bundle = {path!r} cannot be read: {exc}") from None
    if not found:
        raise NotObservedError(f"ca_bundle = {path!r} holds no certificate")
    return found


def _pem(text: str) -> Iterable[x509.Certificate]:
    """Yield the certificates of a PEM file one by one: one odd root must not cost the rest."""
    for piece in text.split(_END)[:-1]:
        begin = piece.rfind("-----BEGIN CERTIFICATE-----")
        if begin < 0:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                yield x509.load_pem_x509_certificate((piece[begin:] + _END).encode("ascii"))
        except (ValueError, UnsupportedAlgorithm):
            continue
