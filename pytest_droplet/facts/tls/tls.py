"""TLS as seen from outside: what the host serves on port 443 for each of its names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.tls.apache import APACHE, parse_apache
from pytest_droplet.facts.tls.nginx import NGINX, parse_nginx
from pytest_droplet.facts.tls.trust import UnreadableCertificateError, name_of, parse_certificate
from pytest_droplet.facts.tls.virtual_hosts import NotInstalled, VirtualHost, name_to_ask
from pytest_droplet.model import HostReading, Item, NotObservedError, Probe, SectionOutput
from pytest_droplet.text import one_line

PORT = 443
MOST_NAMES = 60
_AT_ONCE = 8
_MOST_CERTIFICATES = 16
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_DNS_TIMEOUT_S = 3.0
# What OpenSSL calls an answer in clear text; which of these depends on its version.
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
)

PortState = Literal["open", "refused", "filtered"]


@dataclass(frozen=True, slots=True)
class Served:
    """The chain of certificates that was served for one name.

    Attributes:
        protocol: The version agreed on, such as ``TLSv1.3``.
        chain: As served, the server's own certificate first.
        resolved: Where DNS sends clients that ask for the name, as far as that was looked up.
        edge: The chain that the first of these addresses serves, where it is another host's.
    """

    protocol: str
    chain: tuple[x509.Certificate, ...] = field(repr=False)
    resolved: tuple[str, ...] = ()
    edge: tuple[x509.Certificate, ...] = field(default=(), repr=False)

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return self.chain[0]

    def __str__(self) -> str:
        own = described(self.leaf)
        if not self.edge:
            return own
        return f"{described(self.edge[0])}, which visitors get at {self.resolved[0]}; here {own}"


@dataclass(frozen=True, slots=True)
class Tls:
    """What port 443 of the Droplet answers, asked from outside.

    ``names`` has what was served for each name, or why that is not known; the name ``""``
    stands for a connection without a name, made where no name is known. ``speaks_tls`` is False
    where something else than TLS answered.
    """

    address: str
    port: PortState
    names: Mapping[str, Served | str] = field(default_factory=dict)
    speaks_tls: bool = True

    def served(self, name: str) -> Served:
        """Return what was served for a name.

        Raises:
            NotObservedError: It was not asked for, or there was no answer to be judged.
        """
        found = self.names.get(name, "not asked for")
        if isinstance(found, str):
            hint = "" if name else "; list the names that are served in tls_names"
            raise NotObservedError(f"TLS handshake for {name or 'no name'}: {found}{hint}")
        return found

    def __str__(self) -> str:
        parts = [f"{self.address} port {PORT} {self.port}"]
        for name, found in list(self.names.items())[:4]:
            said = found if isinstance(found, str) else str(found)
            parts.append(f"{name or 'no name'}: {said}")
        if len(self.names) > 4:
            parts.append(f"and {len(self.names) - 4} more names")
        return one_line("; ".join(parts), 390)


async def _ask(address: str, reading: HostReading) -> dict[str, Any]:
    from pytest_droplet.connection.probe import tcp_connect  # noqa: PLC0415 network only here

    state = await tcp_connect(address, PORT)
    answer: dict[str, Any] = {"port": state, "names": {}}
    if state == "open":
        names = names_of(reading)
        answer["names"] = await for_each(
            names[:MOST_NAMES] or ("",), lambda name: _handshake(address, name)
        )
        over = f"not asked: the host has more than {MOST_NAMES} names"
        answer["names"] |= {name: {"error": over} for name in names[MOST_NAMES:]}
    return answer


async def _handshake(address: str, name: str) -> dict[str, Any]:
    from pytest_droplet.connection.tls import tls_handshake  # noqa: PLC0415 network only here

    asked = name_to_ask(name)
    seen = await tls_handshake(address, PORT, asked)
    answer = {"protocol": seen["protocol"], "chain": seen["chain"]}
    if seen["trusted"] or not asked or not _is_global(address):
        return answer
    answer["resolved"] = await _resolve(asked)
    elsewhere = [a for a in answer["resolved"] if _is_global(a)]
    if elsewhere and address not in answer["resolved"]:
        try:
            answer["edge"] = (await tls_handshake(elsewhere[0], PORT, asked))["chain"]
        except NotObservedError:
            answer["edge"] = []
    return answer


async def _resolve(name: str) -> list[str]:
    """Return the addresses of a name; none where DNS does not tell."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_DNS_TIMEOUT_S):
            found = await loop.getaddrinfo(name, PORT, proto=6)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in found))


def _is_global(address: str) -> bool:
    """Whether it is an address of the internet: a name could point anywhere, also inside."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


async def for_each(
    names: Iterable[str], ask: Callable[[str], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Ask for each name, some at once; a name that gave no answer has its ``error``."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> tuple[str, dict[str, Any]]:
        async with at_once:
            try:
                return name, await ask(name)
            except NotObservedError as exc:
                return name, {"error": str(exc)}

    return dict(await asyncio.gather(*map(one, names)))


def hosts_of(reading: HostReading) -> tuple[VirtualHost, ...]:
    """Return the virtual hosts of nginx and Apache, as far as their configuration was read."""
    found: list[VirtualHost] = []
    for section, parse in ((NGINX, parse_nginx), (APACHE, parse_apache)):
        output: SectionOutput | None = reading.sections.get(section.name)
        try:
            config = parse(output.stdout) if output is not None else None
        except NotObservedError:
            continue
        if config is not None and not isinstance(config, NotInstalled):
            found.extend(config.hosts)
    return tuple(found)


def names_of(reading: HostReading) -> tuple[str, ...]:
    """Return every name that the host's web servers have, and those of the settings."""
    own = (name for host in hosts_of(reading) for name in host.names)
    return tuple(dict.fromkeys((*own, *reading.names)))


TLS = Probe("tls", _ask, sections=(NGINX, APACHE))


@fact("openssl s_client -showcerts -connect ADDRESS:443 -servername NAME", probes=(TLS,))
def droplet_tls(observation: Observation) -> Tls:
    """What port 443 answers from outside: open or not, and the chain served for each name."""
    return parse_tls(observation.probe(TLS.name), observation.host.address)


def parse_tls(answer: Any, address: str) -> Tls:
    """Read the result of the probe ``tls``.

    Args:
        answer: ``port``; ``names`` to ``{"protocol", "chain"}`` (base64 of DER) or
            ``{"error"}``.
        address: The address that was asked.

    Raises:
        NotObservedError: It is not of this form.
    """
    port = answer.get("port") if isinstance(answer, dict) else None
    if not isinstance(port, str) or port not in {"open", "refused", "filtered"}:
        raise NotObservedError("the probe's result is not of its form")
    raw = answer.get("names", {})
    if not isinstance(raw, dict) or (answer["port"] == "open" and not raw):
        raise NotObservedError("the probe's result names no names")
    names = {str(name): _served(seen) for name, seen in raw.items()}
    errors = [said for said in names.values() if isinstance(said, str)]
    plain = len(errors) == len(names) and any(m in e for e in errors for m in _NOT_TLS)
    return Tls(one_line(address, 60), answer["port"], names, speaks_tls=not plain)


def _served(seen: Any) -> Served | str:
    if not isinstance(seen, dict) or not seen.get("chain"):
        said = seen.get("error") if isinstance(seen, dict) else None
        return one_line(str(said or "no certificate was served"), 160)
    try:
        return Served(
            protocol=one_line(str(seen.get("protocol")), 20),
            chain=_chain(seen["chain"]),
            resolved=tuple(one_line(str(a), 60) for a in seen.get("resolved") or ()),
            edge=_chain(seen.get("edge") or ()),
        )
    except (UnreadableCertificateError, binascii.Error, TypeError, ValueError) as exc:
        return one_line(f"a certificate cannot be read ({exc})", 160)


def _chain(encoded: Iterable[str]) -> tuple[x509.Certificate, ...]:
    some = itertools.islice(encoded, _MOST_CERTIFICATES)
    return tuple(parse_certificate(base64.b64decode(text, validate=True)) for text in some)


def lifetime(certificate: x509.Certificate) -> timedelta:
    """Return how long a certificate is valid in all."""
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


def covered_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names and IP addresses of the subjectAltName, in lower case."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = [n.lower() for n in found.get_values_for_type(x509.DNSName)]
    return (*names, *map(str, found.get_values_for_type(x509.IPAddress)))


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is for a name: itself, or ``*`` for exactly its first label.

    Source: RFC 9525, section 6.3; the common name does not count.
    """
    return bool({name, f"*.{name.partition('.')[2]}"} & set(covered_names(certificate)))


def key_of(certificate: x509.Certificate) -> str:
    """Return the kind and size of the key, such as ``RSA 2048``."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "Ed448"
    return type(key).__name__


def weakness(certificate: x509.Certificate) -> str:
    """Tell what is weak in a certificate's key or signature; empty: nothing.

    Source: NIST SP 800-57 part 1; Mozilla's Server Side TLS, intermediate.
    """
    key, digest = certificate.public_key(), certificate.signature_hash_algorithm
    if digest is not None and digest.name in {"md5", "sha1"}:
        return f"a signature with {digest.name.upper()}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"a key of {key_of(certificate)} bits" if key.key_size < 2048 else ""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "" if key.curve.name in _CURVES else f"a key of {key_of(certificate)}"
    strong = isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
    return "" if strong else f"a key of {key_of(certificate)}"


def described(certificate: x509.Certificate, at: datetime | None = None) -> str:
    """Return subject, issuer and end of a certificate; with ``at`` also how long it has left."""
    end = certificate.not_valid_after_utc
    left = "" if at is None else f", {left_of(end - at)} left"
    if at is not None and at > end:
        left = f", expired {left_of(at - end)} ago"
    issuer = one_line(_common_name(certificate), 60)
    return f"{name_of(certificate)} by {issuer} until {end:%Y-%m-%d}{left}"


def certificate_item(certificate: x509.Certificate, name: str = "") -> Item:
    """Return a certificate as an item of a finding; ``name`` was asked for (empty: none was)."""
    return {
        "name": name,
        "subject": name_of(certificate),
        "issuer": one_line(_common_name(certificate), 80),
        "not_before": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def left_of(time: timedelta) -> str:
    """Return a duration in days, or hours below two days."""
    total = time / timedelta(hours=1)
    return f"{total:.0f} h" if abs(total) < 48 else f"{total / 24:.0f} d"


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.issuer.rfc4514_string() or "(no name)"
