"""What the cases cannot show without a certificate of a public authority."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pytest_droplet.checks import tls
from pytest_droplet.model import Verdict
from pytest_droplet.verdict import judge
from tests.checks.cases import HERE, load
from tests.checks.chains import authority, encoded, leaf, served

MARCH = datetime(2026, 3, 15, tzinfo=UTC)


def judged(begin: datetime, days: float) -> Verdict:
    """Judge a certificate that both names of the base are served."""
    case = load(HERE / "tls.not-expiring" / "nginx.pass.toml")
    seen = case.observation()
    said = {"protocol": "TLSv1.3", "chain": served(["a.example", "www.a.example"], begin, days)}
    answer = {"port": "open", "names": dict.fromkeys(("a.example", "www.a.example"), said)}
    seen.host = replace(seen.host, probes={**seen.host.probes, "tls": answer})
    return judge(case.check, seen)


@pytest.mark.parametrize(
    ("begin", "days", "outcome"),
    [
        (datetime(2026, 10, 1, tzinfo=UTC), 200, "pass"),
        (datetime(2026, 10, 1, tzinfo=UTC), 300, "fail"),
        (MARCH, 398, "fail"),
        (datetime(2026, 3, 14, tzinfo=UTC), 398, "pass"),
        (datetime(2026, 3, 14, tzinfo=UTC), 400, "fail"),
    ],
)
def test_a_public_certificate_lives_no_longer_than_clients_accept(
    begin: datetime, days: float, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is that of the day of issue; a private authority has none."""
    assert judged(begin, days).outcome == "pass"

    monkeypatch.setattr(tls, "trusted", lambda _: (authority(),))
    verdict = judged(begin, days)

    assert verdict.outcome == outcome, verdict.message
    assert ("clients accept" in verdict.message) == (outcome == "fail")


@pytest.mark.parametrize(
    ("resolved", "edge", "outcome", "said"),
    [
        (["203.0.113.10"], False, "fail", "and DNS sends visitors past it"),
        ([], False, "unknown", "where DNS sends visitors was not seen"),
        (["192.0.2.7"], True, "pass", "which visitors get at 192.0.2.7; here"),
        (["192.0.2.7"], False, "unknown", "no chain was seen"),
    ],
)
def test_a_certificate_that_cloudflare_alone_trusts_is_explained(
    resolved: list[str],
    edge: bool,  # noqa: FBT001 a table
    outcome: str,
    said: str,
) -> None:
    """Visitors are sent past Cloudflare, or see its certificate, or where they go is not known."""
    names = ["a.example", "www.a.example"]
    begin = datetime(2026, 10, 1, tzinfo=UTC)
    own = leaf(names, begin, 5475, issuer="CloudFlare Origin SSL Certificate Authority")
    answer = {
        "protocol": "TLSv1.3",
        "chain": encoded(own),
        "resolved": resolved,
        "edge": served(names, begin, 90) if edge else [],
    }
    case = load(HERE / "tls.chain-trusted" / "nginx.pass.toml")
    seen = case.observation()
    probes = {**seen.host.probes, "tls": {"port": "open", "names": dict.fromkeys(names, answer)}}
    seen.host = replace(seen.host, probes=probes)

    verdict = judge(case.check, seen)

    assert verdict.outcome == outcome, verdict.message
    shown = verdict.message + " ".join(e.value for e in verdict.evidence)
    assert said in shown
