"""Certificates as served: whether they are trusted, for which names, how they are asked for."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection.probe import AT_ONCE
from pytest_droplet.connection.probing import run_probes
from pytest_droplet.facts.tls import asking, http, tls, tls_versions
from pytest_droplet.facts.tls.certificate_files import parse_certificate_files
from pytest_droplet.facts.tls.commands import clients_called
from pytest_droplet.facts.tls.http import Answer, parse_http
from pytest_droplet.facts.tls.renewal import parse_renewal
from pytest_droplet.facts.tls.tls import covers, key_of, parse_tls
from pytest_droplet.facts.tls.tls_versions import parse_old_versions
from pytest_droplet.facts.tls.trust import (
    UnreadableCertificateError,
    distrust,
    parse_certificate,
    trusted,
)
from pytest_droplet.model import HostReading, NotObservedError, Probe, SectionOutput
from tests.checks import chains
from tests.checks.chains import INTERMEDIATE, ROOT, authority, encoded, leaf

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
ISSUER = authority(INTERMEDIATE, days=3650)
GOOD = leaf(["a.example"], BEGIN, 90)
OLD = datetime(2024, 6, 1, tzinfo=UTC)


def issued_by_leaf() -> list[x509.Certificate]:
    """Return a chain in which a server's certificate signed another."""
    return [leaf(["a.example"], BEGIN, 90, issuer="b.example"), leaf(["b.example"], BEGIN, 90)]


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ([GOOD, ISSUER], None),
        ([GOOD, authority(), ISSUER], None),
        ([leaf(["a.example"], BEGIN, 90, issuer=ROOT)], None),
        ([leaf(["*.a.example"], BEGIN, 90), ISSUER], None),
        ([leaf(["a.example"], OLD, 90), ISSUER], None),
        ([leaf(["a.example"], datetime(2027, 1, 1, tzinfo=UTC), 90), ISSUER], None),
        ([GOOD], f"incomplete chain: the certificate of its issuer {INTERMEDIATE} is not served"),
        ([leaf(["a.example"], BEGIN, 90, issuer="a.example")], "the certificate is self-signed"),
        (
            [leaf(["a.example"], BEGIN, 90, issuer="X"), authority("X", "X")],
            "unknown issuer: the chain ends at X, which is not trusted",
        ),
        (
            [leaf(["a.example"], BEGIN, 90, issuer="Y"), authority("Y", "X")],
            "unknown issuer: X is neither served nor trusted",
        ),
        (
            [leaf(["a.example"], BEGIN, 90, issuer="Z"), authority("Z", days=900)],
            "the certificate of its issuer Z expired on 2026-06-19",
        ),
        (
            [leaf(["a.example"], BEGIN, 90, usage=ExtendedKeyUsageOID.CLIENT_AUTH), ISSUER],
            "extendedKeyUsage",
        ),
        (issued_by_leaf(), "neither served nor trusted"),
        ([leaf(["a.example"], BEGIN, 90, issuer="X"), authority("X", is_authority=False)], "cA"),
    ],
)
def test_each_way_to_break_a_chain_is_named(
    chain: Sequence[x509.Certificate], why: str | None
) -> None:
    """A chain is trusted, or the text says what is wrong with it and nothing else."""
    found = distrust(chain, [authority()], NOW)

    assert found is None if why is None else why in (found or "")


def test_a_forged_issuer_does_not_count() -> None:
    """An authority of the right name and another key has signed nothing."""
    forged = leaf(["a.example"], BEGIN, 90, key=chains.key_of("a.example"), issuer="Forged")
    fake = authority("Forged")
    other = x509.load_der_x509_certificate(encoded_der(authority("Forged", "Forged", days=10)))

    assert distrust([forged, fake], [authority()], NOW) is None
    assert distrust([forged, other], [authority()], NOW) is not None


def encoded_der(certificate: x509.Certificate) -> bytes:
    """Return a certificate in DER."""
    return certificate.public_bytes(Encoding.DER)


def test_issuers_in_a_circle_end() -> None:
    """Two authorities that vouch for each other are followed once."""
    chain = [
        leaf(["a.example"], BEGIN, 90, issuer="A"),
        authority("A", "B"),
        authority("B", "A"),
    ]

    assert distrust(chain, [authority()], NOW) is not None


def test_mozillas_authorities_are_trusted_and_a_bundle_beside_them(tmp_path: Path) -> None:
    """The setting adds authorities, it replaces none."""
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(authority().public_bytes(Encoding.PEM))

    assert len(trusted("")) > 100
    assert trusted(str(bundle))[:-1] == trusted("")


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_bundle_that_cannot_be_read_is_no_distrust(tmp_path: Path, text: str | None) -> None:
    """Nobody knows what it would have held."""
    bundle = tmp_path / "ca.pem"
    if text is not None:
        bundle.write_text(text)

    with pytest.raises(NotObservedError, match="ca_bundle"):
        trusted(str(bundle))


@pytest.mark.parametrize(
    ("names", "name", "covered"),
    [
        (["a.example"], "a.example", True),
        (["A.EXAMPLE"], "a.example", True),
        (["*.example.com"], "a.example.com", True),
        (["*.example.com"], "*.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "a.b.example.com", False),
        (["a.example.com"], "*.example.com", False),
        (["*.com"], "com", False),
    ],
)
def test_a_wildcard_covers_one_label(
    names: list[str],
    name: str,
    covered: bool,  # noqa: FBT001 a table
) -> None:
    """The star stands for exactly the first label."""
    assert covers(leaf(names, BEGIN, 90), name) is covered


def test_keys_are_named_by_kind_and_size() -> None:
    """The evidence says which key it is."""
    assert key_of(GOOD) == "ECDSA secp256r1"
    small = rsa.generate_private_key(65537, 1024)
    assert key_of(leaf(["a.example"], BEGIN, 90, key=small)) == "RSA 1024"


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"garbage", encoded_der(GOOD)[:-20]])
def test_what_is_no_certificate_is_said(der: bytes) -> None:
    """A broken certificate is one error of ours, whatever the library raises."""
    with pytest.raises(UnreadableCertificateError):
        parse_certificate(der)


@given(st.binary(max_size=40), st.integers(0, len(encoded_der(GOOD)) - 1))
def test_no_certificate_breaks_the_parser(noise: bytes, at: int) -> None:
    """A certificate with bytes changed is one, or unreadable; judging it does not fail either."""
    der = encoded_der(GOOD)
    try:
        found = parse_certificate(der[:at] + noise + der[at + len(noise) :])
    except UnreadableCertificateError:
        return

    assert (distrust([found, ISSUER], [authority()], NOW) or "").isprintable()
    assert tls.described(found).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_no_result_of_a_probe_breaks_its_parser(names: Any, more: Any) -> None:
    """A recording may hold anything: it is parsed, or was not observed."""
    for answer in (
        names,
        {"port": "open", "names": names},
        {"port": "open", "names": {"a": {"chain": more}, "b": names}},
    ):
        with contextlib.suppress(NotObservedError):
            assert str(parse_tls(answer, "203.0.113.10")).isprintable()
    for answer in (
        names,
        {"port": "open", "plain": names, "secure": more},
        {"port": "open", "plain": {"a": {"answers": more}}, "secure": {"a": names}},
    ):
        with contextlib.suppress(NotObservedError):
            assert str(parse_http(answer)).isprintable()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("max-age=31536000; includeSubDomains", 31536000),
        ('includeSubDomains; MAX-AGE = "60"', 60),
        ("max-age=-1", None),
        ("no-max-age=5", None),
        ("max-age", None),
    ],
)
def test_max_age_is_read_from_the_header(header: str | None, seconds: int | None) -> None:
    """Order, case and quotes do not matter; what is no number does not count."""
    assert Answer(200, hsts=header).hsts_seconds == seconds


FILE_LINES = st.sampled_from(
    [
        "cert /a",
        "key /b",
        "missing",
        "unread",
        "stat 644 root root 1",
        "stat x",
        "holds-key",
        "parent 777 root root /tmp",
        "parent",
        "-----BEGIN CERTIFICATE-----",
        encoded(GOOD)[0],
        "-----END CERTIFICATE-----",
        "end",
    ]
)
TIMER_LINES = st.sampled_from(
    [
        "systemd",
        "timers",
        "cron-runs",
        "",
        "Id=certbot.timer",
        "Unit=certbot.service",
        "ActiveState=active",
        "NextElapseUSecRealtime=Mon 2026-99-99 03:12:00 UTC",
        "service certbot.service certbot",
        "cron /etc/cron.d/x",
        "guard",
        "job certbot 0 3 * * *",
        "job certbot",
        "lineage a",
        "before 99999 weeks",
        "end",
    ]
)


@given(st.lists(FILE_LINES | st.text(max_size=40)))
def test_no_text_breaks_the_parser_of_certificate_files(lines: list[str]) -> None:
    """Any text is parsed, or was not observed."""
    with contextlib.suppress(NotObservedError):
        assert str(parse_certificate_files("\n".join(lines))).isprintable()


@given(st.lists(TIMER_LINES | st.text(max_size=40)))
def test_no_text_breaks_the_parser_of_renewal(lines: list[str]) -> None:
    """Any text is parsed, or was not observed."""
    with contextlib.suppress(NotObservedError):
        assert str(parse_renewal("\n".join(lines), NOW)).isprintable()


def test_the_certificate_that_visitors_get_elsewhere_is_shown() -> None:
    """Where DNS sends them to another host, its certificate comes before the Droplet's own."""
    own = leaf(["a.example"], BEGIN, 90, issuer="origin")
    seen = {"protocol": "TLSv1.3", "chain": encoded(own), "resolved": ["198.51.100.7"]}
    edge = {**seen, "edge": encoded(GOOD, ISSUER)}

    shown = str(parse_tls({"port": "open", "names": {"a.example": edge}}, "203.0.113.10"))
    alone = str(parse_tls({"port": "open", "names": {"a.example": seen}}, "203.0.113.10"))

    assert "which visitors get at 198.51.100.7; here a.example by origin" in shown
    assert "visitors" not in alone


@contextlib.asynccontextmanager
async def https(tmp_path: Path, address: str) -> AsyncIterator[int]:
    """Serve a.example with a good chain, and any other name with a self-signed certificate."""
    default = context(tmp_path, [leaf(["x.example"], BEGIN, 90, issuer="x.example")], "x.example")
    named = context(tmp_path, [GOOD, ISSUER], "a.example")

    def choose(session: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name == "a.example":
            session.context = named

    default.sni_callback = choose

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=63072000\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, address, 0, ssl=default)
    async with server:
        yield server.sockets[0].getsockname()[1]


def context(folder: Path, chain: Sequence[x509.Certificate], name: str) -> ssl.SSLContext:
    """Return a server's context for a chain whose first certificate has the key of a name."""
    path = folder / f"{name}.pem"
    key = chains.key_of(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key + b"".join(c.public_bytes(Encoding.PEM) for c in chain))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path)
    return made


def reading(*names: str) -> HostReading:
    """Return the reading of a host whose nginx has these names."""
    text = (
        "conf /n\n== /n\n1 http {\n2 server {\n3 listen 443 ssl;\n"
        f"4 server_name {' '.join(names)};\n5 }}\n6 }}\nend\n"
    )
    sections = {"nginx": SectionOutput("nginx", text, rc=0)}
    return HostReading(1, "reached", NOW, sections=sections)


def test_every_name_of_the_host_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each name gets the chain that the server has for it, wildcards by a name below them."""

    async def ask() -> Any:
        async with https(tmp_path, "127.0.0.77") as port:
            monkeypatch.setattr(tls, "PORT", port)
            return await tls.TLS.run("127.0.0.77", reading("a.example", "*.b.example"))

    seen = parse_tls(asyncio.run(ask()), "127.0.0.77")

    assert (seen.port, set(seen.names)) == ("open", {"a.example", "*.b.example"})
    assert seen.served("a.example").chain == (GOOD, ISSUER)
    assert len(seen.served("*.b.example").chain) == 1


def test_without_a_name_what_is_served_unasked_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no name is known the server's default certificate is all there is."""

    async def ask() -> Any:
        async with https(tmp_path, "127.0.0.77") as port:
            monkeypatch.setattr(tls, "PORT", port)
            return await tls.TLS.run("127.0.0.77", reading("_"))

    assert covers(parse_tls(asyncio.run(ask()), "").served("").leaf, "x.example")


def test_an_answer_that_is_not_tls_is_told_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP on port 443 is a finding; that nothing listens is another."""

    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def ask(*, close: bool) -> Any:
        server = await asyncio.start_server(plain, "127.0.0.78", 0)
        monkeypatch.setattr(tls, "PORT", server.sockets[0].getsockname()[1])
        if close:
            server.close()
            await server.wait_closed()
        async with server:
            return await tls.TLS.run("127.0.0.78", reading("a.example"))

    open_port = parse_tls(asyncio.run(ask(close=False)), "")
    closed = parse_tls(asyncio.run(ask(close=True)), "")

    assert (open_port.port, open_port.speaks_tls) == ("open", False)
    assert (closed.port, dict(closed.names)) == ("refused", {})


def test_redirects_over_the_same_host_are_followed_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next http address is asked for at the same Droplet, never anywhere else."""
    asked: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # it only looked whether the port is open
            writer.close()
            return
        host = next(ln[6:] for ln in head.split(b"\r\n") if ln.startswith(b"Host: "))
        asked.append(host)
        to = b"http://www.a.example/" if host == b"a.example" else b"https://www.a.example/"
        writer.write(b"HTTP/1.1 301 Moved\r\nLocation: " + to + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    async def ask() -> tuple[Any, Any]:
        plain = await asyncio.start_server(redirect, "127.0.0.79", 0)
        async with plain, https(tmp_path, "127.0.0.79") as port:
            monkeypatch.setattr(http, "HTTP_PORT", plain.sockets[0].getsockname()[1])
            monkeypatch.setattr(tls, "PORT", port)
            host = reading("a.example")
            return await http.HTTP.run("127.0.0.79", host), await tls.TLS.run("127.0.0.79", host)

    seen = parse_http(*asyncio.run(ask()))

    assert asked == [b"a.example", b"www.a.example"]
    assert seen.plain_answers("a.example")[-1].redirect == "https://www.a.example/"
    assert seen.secure_answer("a.example").hsts_seconds == 63072000


@given(JSON)
def test_no_result_of_the_old_versions_breaks_its_parser(answer: Any) -> None:
    """A recording may hold anything: it is parsed, or was not observed."""
    for given_answer in (answer, {"TLSv1.0": answer}):
        with contextlib.suppress(NotObservedError):
            assert str(parse_old_versions(given_answer)).isprintable()


def test_each_way_to_ask_has_its_own_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W9: the other kind of key, and the other version of IP where it may answer otherwise."""
    two = site("a.example", "/a;\n5 ssl_certificate /b", BOTH) + site("a.example", "/c", SIX)
    monkeypatch.setattr(tls, "_is_global", lambda _: True)
    monkeypatch.setattr(tls, "_resolve", lambda _: asyncio.sleep(0, []))
    monkeypatch.setattr(tls, "other_address", lambda *_: "127.0.0.82")

    async def ask(*sites: str) -> Any:
        async with https(tmp_path, "127.0.0.77") as port:
            monkeypatch.setattr(tls, "PORT", port)
            context_ = context(tmp_path, [leaf(["old.example"], BEGIN, 90)], "old.example")
            other = await asyncio.start_server(lambda *_: None, "127.0.0.82", port, ssl=context_)
            async with other:
                return await tls.TLS.run("127.0.0.77", reading_of(*sites))

    found = parse_tls(asyncio.run(ask(two)), "")
    same = parse_tls(asyncio.run(ask(site("a.example", "/a", BOTH))), "")

    assert found.ways("a.example") == ("", "RSA", "IPv4")
    assert covers(found.served("a.example", "IPv4").leaf, "old.example")
    with pytest.raises(NotObservedError, match=r"a\.example \(RSA\): .*no TLS handshake"):
        found.served("a.example", "RSA")
    assert covers(same.served("a.example", "IPv4").leaf, "old.example")
    assert parse_tls(asyncio.run(ask(site("a.example", "/a"))), "").ways("a.example") == ("",)


def test_another_version_of_ip_that_cannot_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is missing where the hosts are the same there; else it is unknown, unless closed."""
    monkeypatch.setattr(tls, "_is_global", lambda _: True)
    monkeypatch.setattr(tls, "_resolve", lambda _: asyncio.sleep(0, []))
    monkeypatch.setattr(tls, "other_address", lambda *_: "2001:db8::1")
    own = site("a.example", "/a") + site("a.example", "/b", SIX)

    async def ask(state: str, sites: str) -> Any:
        async def connect(address: str, *_: Any, **__: Any) -> str:
            if address != "127.0.0.77":
                if not state:
                    raise NotObservedError("no connection could be tried from here")
                return state
            return "open"

        monkeypatch.setattr("pytest_droplet.connection.probe.tcp_connect", connect)
        async with https(tmp_path, "127.0.0.77") as port:
            monkeypatch.setattr(tls, "PORT", port)
            return await tls.TLS.run("127.0.0.77", reading_of(sites))

    ways = {
        (state, sites): parse_tls(asyncio.run(ask(state, sites)), "").ways("a.example")
        for state in ("refused", "filtered", "")
        for sites in (own, site("a.example", "/a", BOTH))
    }

    assert [way for way, seen in ways.items() if seen != ("",)] == [("filtered", own), ("", own)]


def test_old_versions_are_offered_to_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of today refuses TLS 1.0 and 1.1, and that is seen."""

    async def ask() -> Any:
        async with https(tmp_path, "127.0.0.77") as port:
            monkeypatch.setattr(tls_versions, "PORT", port)
            return await tls_versions.TLS_OLD.run("127.0.0.77", reading("a.example"))

    seen = parse_old_versions(asyncio.run(ask()))

    assert [seen.accepts(v) for v in ("TLSv1.0", "TLSv1.1")] == [False, False]
    with pytest.raises(NotObservedError):
        seen.accepts("SSLv3")


@pytest.mark.parametrize(
    ("state", "own", "said"),
    [
        ("open", True, ("a.example (IPv6)",)),
        ("open", False, ("a.example (IPv6)",)),
        ("filtered", True, "2001:db8::1 port 443 filtered"),
        ("filtered", False, ()),
        ("refused", True, ()),
    ],
)
def test_old_versions_are_offered_on_both_versions_of_ip(
    state: str,
    own: bool,  # noqa: FBT001 a table
    said: tuple[str, ...] | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is taken on IPv6 alone is found; what cannot be seen there is missing or alike."""

    async def connect(*_: Any, **__: Any) -> str:
        return state

    async def offered(address: str, _: int, version: str, **__: Any) -> Any:
        return {"accepted": ":" in address, "answer": "ServerHello 0x0302", "version": version}

    monkeypatch.setattr("pytest_droplet.connection.probe.tcp_connect", connect)
    monkeypatch.setattr("pytest_droplet.connection.tls.tls_old", offered)
    monkeypatch.setattr(tls, "_is_global", lambda _: True)
    monkeypatch.setattr(tls, "other_address", lambda *_: "2001:db8::1")
    sites = (site("a.example", "/a") + site("a.example", "/b", SIX)) if own else BOTH_SITE

    seen = parse_old_versions(
        asyncio.run(tls_versions.TLS_OLD.run("192.0.2.1", reading_of(sites)))
    )

    if isinstance(said, str):
        with pytest.raises(NotObservedError, match=said):
            seen.accepts("TLSv1.1")
    else:
        assert (seen.accepts("TLSv1.1"), seen.by["TLSv1.1"]) == (bool(said), said)


def test_no_more_questions_are_open_than_eight_for_all_probes_of_a_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three probes with many names each share the eight."""
    is_open = most = 0

    async def ask(name: str) -> dict[str, Any]:
        nonlocal is_open, most
        is_open += 1
        most = max(most, is_open)
        await asyncio.sleep(0)
        is_open -= 1
        return {"name": name}

    async def run(_: str, __: HostReading) -> Any:
        return await tls.for_each(map(str, range(30)), ask)

    probes = [Probe(name, run) for name in ("one", "two", "three")]
    done = asyncio.run(run_probes(reading_of(), probes, 60.0))

    assert most == AT_ONCE
    assert [len(found) for found in done.probes.values()] == [30, 30, 30]


def test_what_visitors_see_elsewhere_is_asked_for_where_dns_sends_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only for a name whose chain is not trusted, and only at an address of the internet."""
    seen: list[str] = []

    async def resolve(name: str) -> list[str]:
        seen.append(name)
        return ["127.0.0.81"]

    async def ask() -> Any:
        async with https(tmp_path, "127.0.0.80") as port:
            default = context(
                tmp_path, [leaf(["a.example"], BEGIN, 90, issuer="a.example")], "a.example"
            )
            monkeypatch.setattr(tls, "PORT", port)
            edge = await asyncio.start_server(lambda *_: None, "127.0.0.81", port, ssl=default)
            async with edge:
                return await tls.TLS.run("127.0.0.80", reading("a.example"))

    assert "resolved" not in asyncio.run(ask())["names"]["a.example"]
    monkeypatch.setattr(tls, "_is_global", lambda _: True)
    monkeypatch.setattr(tls, "_resolve", resolve)
    found = parse_tls(asyncio.run(ask()), "").served("a.example")

    assert seen == ["a.example"]
    assert found.resolved == ("127.0.0.81",)
    assert (len(found.chain), len(found.edge)) == (2, 1)


def site(name: str, certificate: str, more: str = "listen 443 ssl;") -> str:
    """Return a server of nginx."""
    return (
        f"2 server {{\n3 {more}\n4 server_name {name};\n"
        f"5 ssl_certificate {certificate};\n6 ssl_certificate_key /k;\n7 }}\n"
    )


def reading_of(*sites: str, addresses: str = "") -> HostReading:
    """Return the reading of a host whose nginx has these servers."""
    text = f"conf /n\n== /n\n1 http {{\n{''.join(sites)}9 }}\nend\n"
    sections = {
        "nginx": SectionOutput("nginx", text, rc=0),
        "addresses": SectionOutput("addresses", addresses, rc=0 if addresses else 1),
    }
    return HostReading(1, "reached", NOW, sections=sections)


def test_no_name_stands_for_another_where_a_file_was_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each certificate is asked for first; another host may answer for those left out."""
    sites = (site("a.example b.example", "/a"), site("c.example", "/c"))

    async def ask(*more: str) -> Any:
        async with https(tmp_path, "127.0.0.77") as port:
            monkeypatch.setattr(tls, "PORT", port)
            monkeypatch.setattr(tls, "MOST_HANDSHAKES", 2)
            return await tls.TLS.run("127.0.0.77", reading_of(*sites, *more))

    names = asyncio.run(ask("2 include /gone;\n"))["names"]

    assert asyncio.run(ask())["names"]["b.example"] == {"as": "a.example"}
    assert "not asked" in names["b.example"]["error"]
    assert "chain" in names["c.example"]


def test_names_beyond_the_limit_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W9: each certificate is asked for; who is left out is judged by who is alike, or not."""
    host = reading_of(
        site("a.example www.example", "/a"),
        site("b.example", "/b"),
        site("c.example", "/a"),
        site("d.example", "/d"),
        site("e.example", "$ssl_server_name.pem"),
        site("f.example", "$ssl_server_name.pem"),
    )

    async def ask() -> Any:
        async with https(tmp_path, "127.0.0.77") as port:
            monkeypatch.setattr(tls, "PORT", port)
            monkeypatch.setattr(tls, "MOST_HANDSHAKES", 4)
            return await tls.TLS.run("127.0.0.77", host)

    raw = asyncio.run(ask())
    answer = parse_tls(raw, "")

    assert raw["names"]["c.example"] == raw["names"]["www.example"] == {"as": "a.example"}
    assert answer.served("www.example") is answer.served("a.example")
    assert answer.served("d.example").protocol == "TLSv1.3"
    with pytest.raises(NotObservedError, match="not asked: 4 handshakes were made before"):
        answer.served("f.example")


@pytest.mark.parametrize(
    ("sites", "alike"),
    [
        ((site("a.example", "/a"), site("b.example", "/a")), True),
        ((site("a.example", "/a"), site("b.example", "/b")), False),
        ((site("a.example", "/$x"), site("b.example", "/$x")), False),
        ((site("a.example", "/a"), site("b.example", "/a", "listen 192.0.2.1:443 ssl;")), False),
        ((site("a.example", "/a"), site("b.example", "/a"), site("b.example", "/c")), False),
        ((site("a.example", "/a"), site("b.example", "/a", "listen 8443 ssl;")), False),
        ((site("a.example", "/a"), site("b.example", "/a", "listen 80;")), False),
    ],
)
def test_hosts_are_alike_where_all_that_decides_is_equal(
    sites: Sequence[str],
    alike: bool,  # noqa: FBT001 a table
) -> None:
    """Certificates and sockets."""
    asked = {q.name: q.alike for q in asking.questions_of(reading_of(*sites))}

    assert asked == (
        {"a.example": ("b.example",)} if alike else {"a.example": (), "b.example": ()}
    )


BOTH = "listen 443 ssl;\n3 listen [::]:443 ssl;"
SIX = "listen [::]:443 ssl;"
BOTH_SITE = site("a.example", "/a", BOTH)


@pytest.mark.parametrize(
    ("sites", "version"),
    [
        ((site("a.example", "/a", BOTH),), "same"),
        ((site("a.example", "/a", BOTH), site("b.example", "/b")), "same"),
        ((site("a.example", "/a", "listen [::]:443 ssl ipv6only=off;"),), "same"),
        ((site("a.example", "/a"), site("b.example", "/b", BOTH)), "absent"),
        ((site("a.example", "/a"), site("a.example", "/b", SIX)), "own"),
        (
            (site("a.example", "/a", BOTH), site("b.example", "/b", "listen 192.0.2.1:443 ssl;")),
            "own",
        ),
    ],
)
def test_whether_the_other_version_may_answer_otherwise_is_known(
    sites: Sequence[str], version: str
) -> None:
    """The same hosts on all addresses of both answer alike."""
    assert asking.questions_of(reading_of(*sites))[0].other_version == version


def test_settings_of_tls_are_asked_for_once_each() -> None:
    """By versions and ciphers, and once without a name where a host has none."""
    ciphers = "listen 443 ssl;\n3 ssl_ciphers ALL:@SECLEVEL=0;"
    host = reading_of(
        site("a.example", "/a"),
        site("b.example", "/b"),
        site("c.example", "/a", ciphers),
        site("_", "/a", "listen 443 ssl;\n3 ssl_protocols TLSv1;"),
    )

    assert [(q.name, *q.alike) for q in asking.settings_of(host)] == [
        ("a.example", "b.example"),
        ("c.example",),
        ("",),
    ]


@pytest.mark.parametrize(
    ("lines", "address", "other"),
    [
        ("2: eth0 inet6 2a00::5/64 scope global", "203.0.113.1", "2a00::5"),
        ("2: eth0 inet6 fe80::5/64 scope link", "203.0.113.1", ""),
        ("2: eth0 inet 1.2.3.4/20 scope global", "2a00::5", "1.2.3.4"),
        ("2: eth0 inet 1.2.3.4/20 scope global", "1.2.3.4", ""),
        ("2: eth0 inet 1.2.3.4/20 scope global", "web-1", ""),
        ("garbled", "1.2.3.4", ""),
    ],
)
def test_the_other_address_is_the_hosts_own(lines: str, address: str, other: str) -> None:
    """Of the other version of IP, of global scope."""
    assert asking.other_address(address, reading_of(addresses=f"0\n{lines}\n")) == other


def build(extensions: Sequence[tuple[x509.ExtensionType, bool]], name: str, issuer: str) -> Any:
    """Return a certificate with these extensions alone."""
    builder = chains._builder(name, issuer, chains.key_of(name), BEGIN, 90)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(chains.key_of(issuer), SHA256())


def usage(*, sign: bool) -> x509.KeyUsage:
    """Return a key usage with or without the right to sign certificates."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.mark.parametrize(("sign", "why"), [(True, None), (False, "may not sign certificates")])
def test_an_issuer_needs_the_right_to_sign(
    sign: bool,  # noqa: FBT001 a table
    why: str | None,
) -> None:
    """An authority of the web's kind says what its key is for; one of a company need not."""
    bc = x509.BasicConstraints(ca=True, path_length=None)
    issuer = build([(bc, True), (usage(sign=sign), True)], "Own", ROOT)

    found = distrust([leaf(["a.example"], BEGIN, 90, issuer="Own"), issuer], [authority()], NOW)

    assert found is None if why is None else why in (found or "")


def test_certificates_for_addresses_are_trusted_and_without_names_are_not() -> None:
    """The verifier wants a name: an address will do, the common name will not."""
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("203.0.113.10"))])

    assert distrust([build([(address, False)], "web", ROOT)], [authority()], NOW) is None
    assert covers(build([(address, False)], "web", ROOT), "203.0.113.10")
    nameless = distrust([build([], "a.example", ROOT)], [authority()], NOW)
    assert "subjectAltName" in (nameless or "")
    assert distrust([build([], "self", "self")], [authority()], NOW) == (
        "the certificate is self-signed"
    )


def test_an_issuer_that_begins_later_is_named() -> None:
    """A chain is as valid as each of its certificates."""
    later = authority("Later", begin=datetime(2026, 12, 1, tzinfo=UTC))
    chain = [leaf(["a.example"], BEGIN, 90, issuer="Later"), later]

    assert "is not valid before 2026-12-01" in (distrust(chain, [authority()], NOW) or "")


def test_names_of_the_settings_are_asked_for() -> None:
    """A name that no configuration has (a proxy's, a tenant's) comes from ``tls_names``."""
    host = replace(reading("a.example"), names=("b.example", "a.example"))

    assert asking.names_of(host) == ("a.example", "b.example")


@pytest.mark.parametrize("names", [{}, None, [], "none"])
def test_an_open_port_without_any_handshake_proves_nothing(names: object) -> None:
    """What answers there may be no TLS at all."""
    with pytest.raises(NotObservedError, match="names no names"):
        parse_tls({"port": "open", "names": names}, "203.0.113.10")
    assert parse_tls({"port": "refused", "names": {}}, "203.0.113.10").port == "refused"


@pytest.mark.parametrize(
    ("line", "renews"),
    [
        ("= certbot renew", True),
        ("= ( _ _ ) certbot renew", True),
        ("nice ( _ ; _ ) certbot renew", False),
        ("env = certbot renew", True),
        ("= = uacme -a _ issue _ && _", True),
    ],
)
def test_what_is_assigned_before_a_command_is_no_part_of_it(
    line: str,
    renews: bool,  # noqa: FBT001 a table
) -> None:
    """Also where it is quoted text; where a wrapper has quoted text, it is not clear."""
    assert list(clients_called([line]).values()) == [renews]
