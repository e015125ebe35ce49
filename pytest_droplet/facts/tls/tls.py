"""TLS as seen from outside: what the host serves on port 443 for each of its names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.interfaces import ADDRESSES
from pytest_droplet.facts.tls.apache import APACHE
from pytest_droplet.facts.tls.asking import (
    PORT,
    Handshakes,
    Question,
    is_all_known,
    other_address,
    questions_of,
)
from pytest_droplet.facts.tls.nginx import NGINX
from pytest_droplet.facts.tls.trust import (
    UnreadableCertificateError,
    distrust,
    name_of,
    parse_certificate,
    trusted,
)
from pytest_droplet.facts.tls.virtual_hosts import name_to_ask
from pytest_droplet.model import HostReading, Item, NotObservedError, Probe
from pytest_droplet.text import one_line

MOST_HANDSHAKES = 48
"""Of the 64 of a Droplet; the other 16 are for old versions."""
HANDSHAKE_S = 2.0
_MOST_CERTIFICATES = 16
_MOST_OTHERS = 4
_UNREADABLE = (UnreadableCertificateError, binascii.Error, TypeError, ValueError, IndexError)
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
        others: What was served when asked for in other ways, or why that was not seen: ``RSA``
            and ``ECDSA`` for the other kind of key, and the address of the other version of IP.
        resolved: Where DNS sends clients that ask for the name, as far as that was looked up.
        edge: The chain that the first of these addresses serves, where it is another host's.
    """

    protocol: str
    chain: tuple[x509.Certificate, ...] = field(repr=False)
    resolved: tuple[str, ...] = ()
    edge: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    others: Mapping[str, tuple[x509.Certificate, ...] | str] = field(
        default_factory=dict, repr=False, hash=False
    )

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

    def served(self, name: str, by: str = "") -> Served:
        """Return what was served for a name.

        Args:
            name: Of a virtual host.
            by: The way to ask, of :attr:`Served.others`; empty: the usual one.

        Raises:
            NotObservedError: It was not asked for, or there was no answer to be judged.
        """
        found = self.names.get(name, "not asked for")
        if isinstance(found, str):
            hint = "" if name else "; list the names that are served in tls_names"
            raise NotObservedError(f"TLS handshake for {name or 'no name'}: {found}{hint}")
        if not by:
            return found
        other = found.others.get(by, "not asked for")
        if isinstance(other, str):
            raise NotObservedError(f"TLS handshake for {name or 'no name'} ({by}): {other}")
        return replace(found, chain=other, others={})

    def ways(self, name: str) -> tuple[str, ...]:
        """Return the ways in which a name was asked for; the first is the usual one."""
        found = self.names.get(name)
        return ("", *found.others) if isinstance(found, Served) else ("",)

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
        asking = _Asking(address, reading)
        await asking.ask_all()
        answer["names"] = asking.answers
    return answer


class _Asking:
    """Asks for one of each group of names that are alike, then for what else it can be asked for.

    Certificates for the other kind of key and at the other version of IP come next, then the
    host that visitors are sent to, and at last the names that are alike.
    """

    def __init__(self, address: str, reading: HostReading) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self._address = address
        self._reading = reading
        self._questions = {q.name: q for q in questions_of(reading)}
        self._alike = {n: q.name for q in self._questions.values() for n in q.alike}
        self._handshakes = Handshakes(MOST_HANDSHAKES)

    async def ask_all(self) -> None:
        """Fill :attr:`answers`."""
        self.answers = await for_each(self._questions, self._own)
        await for_each(self._seen(lambda q: q.kinds), self._other_kind)
        await self._other_version()
        await for_each(self._seen(), self._edge)
        self.answers |= await for_each(self._alike, self._own_or_alike)
        await for_each(self._seen(lambda q: q.name in self._alike), self._edge)

    def _seen(self, wanted: Callable[[Question], bool] = lambda _: True) -> list[str]:
        """Return the names that were answered, and whose question is wanted."""
        questions = (
            self._questions.get(n, Question(n)) for n, a in self.answers.items() if "chain" in a
        )
        return [q.name for q in questions if wanted(q)]

    async def _handshake(
        self, address: str, name: str, kind: Literal["RSA", "ECDSA"] | None = None
    ) -> dict[str, Any]:
        from pytest_droplet.connection.tls import tls_handshake  # noqa: PLC0415 network only here

        if not self._handshakes.take():
            raise NotObservedError(f"not asked: {MOST_HANDSHAKES} handshakes were made before")
        asked, is_usual = name_to_ask(name), address == self._address and kind is None
        return await tls_handshake(
            address,
            PORT,
            asked,
            kind=kind,
            host=(asked or address) if is_usual else "",
            timeout_s=HANDSHAKE_S,
        )

    async def _own(self, name: str) -> dict[str, Any]:
        seen = await self._handshake(self._address, name)
        head = seen["head"]
        if "headers" in head:
            hsts = head.pop("headers").get("strict-transport-security")
            head["hsts"] = hsts
        return {"protocol": seen["protocol"], "chain": seen["chain"], "head": head}

    async def _own_or_alike(self, name: str) -> dict[str, Any]:
        stands_for = self._handshakes.left <= 0 and is_all_known(self._reading)
        return {"as": self._alike[name]} if stands_for else await self._own(name)

    async def _other_kind(self, name: str) -> dict[str, Any]:
        kinds: dict[str, Literal["RSA", "ECDSA"]] = {"RSA": "ECDSA", "ECDSA": "RSA"}
        try:
            leaf = _chain(self.answers[name]["chain"])[0]
        except _UNREADABLE:
            return {}
        if other := kinds.get(key_of(leaf).split()[0]):
            await self._also(name, other, self._address, other)
        return {}

    async def _also(
        self,
        name: str,
        way: str,
        address: str,
        kind: Literal["RSA", "ECDSA"] | None = None,
    ) -> None:
        """Ask in another way, and keep what came of it."""
        try:
            found = {"chain": (await self._handshake(address, name, kind))["chain"]}
        except NotObservedError as exc:
            found = {"error": str(exc)}
        self.answers[name].setdefault("others", {})[way] = found

    async def _other_version(self) -> None:
        """Ask at the host's address of the other version of IP.

        One name is enough of those whose hosts answer alike there, and where that one is not
        answered nothing is missing.
        """
        own = self._seen(lambda q: q.other_version == "own")
        same = self._seen(lambda q: q.other_version == "same")[:1]
        other = await other_socket(self._address, self._reading) if own or same else None
        if other is None:
            return
        if not other.why:
            await for_each((*own, *same), lambda name: self._at(name, other.way, other.address))
        else:
            for name in own:
                self.answers[name].setdefault("others", {})[other.way] = {"error": other.why}

    async def _at(self, name: str, way: str, address: str) -> dict[str, Any]:
        await self._also(name, way, address)
        others = self.answers[name]["others"]
        if self._questions[name].other_version == "same" and "error" in others[way]:
            del others[way]
        return {}

    async def _edge(self, name: str) -> dict[str, Any]:
        """Look where visitors of a name are sent, if no public authority vouches for it here."""
        answer, asked = self.answers[name], name_to_ask(name)
        if not asked or not _is_global(self._address) or self._is_trusted(answer["chain"]):
            return {}
        answer["resolved"] = await _resolve(asked)
        elsewhere = [a for a in answer["resolved"] if _is_global(a)]
        if elsewhere and self._address not in answer["resolved"]:
            try:
                answer["edge"] = (await self._handshake(elsewhere[0], name))["chain"]
            except NotObservedError:
                answer["edge"] = []
        return {}

    def _is_trusted(self, encoded: Iterable[str]) -> bool:
        try:
            return distrust(_chain(encoded), trusted(""), self._reading.observed_at) is None
        except _UNREADABLE:
            return False


@dataclass(frozen=True, slots=True)
class OtherSocket:
    """Port 443 of the host at its address of the other version of IP.

    ``way`` is ``IPv4`` or ``IPv6``; ``why`` says why nothing can be asked there, empty where it
    is open.
    """

    address: str
    way: str
    why: str = ""


async def other_socket(address: str, reading: HostReading) -> OtherSocket | None:
    """Look at port 443 of the other version of IP; None: there is no such address, or it is closed.

    Args:
        address: That the host is asked at; nothing is known of others where it is not one of the
            internet.
        reading: What was read of the host.
    """
    from pytest_droplet.connection.probe import tcp_connect  # noqa: PLC0415 network only here

    other = other_address(address, reading) if _is_global(address) else ""
    if not other:
        return None
    way = "IPv6" if ":" in other else "IPv4"
    try:
        state = await tcp_connect(other, PORT, timeout_s=HANDSHAKE_S)
    except NotObservedError as exc:
        return OtherSocket(other, way, str(exc))
    why = "" if state == "open" else f"{other} port {PORT} {state}"
    return None if state == "refused" else OtherSocket(other, way, why)


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
    """Ask for each name, some at once; a name that gave no answer has its ``error``.

    All probes of a host together have no more questions open than ``AT_ONCE``.
    """
    from pytest_droplet.connection.probe import (  # noqa: PLC0415 network only here
        AT_ONCE,
        asked_at_once,
    )

    at_once = asked_at_once.get() or asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> tuple[str, dict[str, Any]]:
        async with at_once:
            try:
                return name, await ask(name)
            except NotObservedError as exc:
                return name, {"error": str(exc)}

    return dict(await asyncio.gather(*map(one, names)))


TLS = Probe("tls", _ask, sections=(NGINX, APACHE, ADDRESSES))


@fact("openssl s_client -showcerts -connect ADDRESS:443 -servername NAME", probes=(TLS,))
def droplet_tls(observation: Observation) -> Tls:
    """What port 443 answers from outside: open or not, and the chain served for each name."""
    return parse_tls(observation.probe(TLS.name), observation.host.address)


def parse_tls(answer: Any, address: str) -> Tls:
    """Read the result of the probe ``tls``.

    Args:
        answer: ``port``; ``names`` to ``{"protocol", "chain"}`` (base64 of DER), with
            ``resolved``, ``edge`` and ``others`` where these were looked for, to ``{"as"}``: the
            name that stands for it, or to ``{"error"}``.
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
    for name, seen in raw.items():
        if isinstance(seen, dict) and "as" in seen:
            names[str(name)] = names.get(str(seen["as"]), "not asked for")
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
            others={one_line(str(way), 20): _other(o) for way, o in _others(seen)},
        )
    except _UNREADABLE as exc:
        return one_line(f"a certificate cannot be read ({exc})", 160)


def _others(seen: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    others = seen.get("others")
    return list(others.items())[:_MOST_OTHERS] if isinstance(others, dict) else []


def _other(seen: Any) -> tuple[x509.Certificate, ...] | str:
    if isinstance(seen, dict) and seen.get("chain"):
        return _chain(seen["chain"])
    said = seen.get("error") if isinstance(seen, dict) else None
    return one_line(str(said or "no certificate was served"), 160)


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
