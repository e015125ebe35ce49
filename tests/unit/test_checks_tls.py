"""What the cases cannot show without a certificate of a public authority."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pytest_droplet.checks import tls
from pytest_droplet.model import Verdict
from pytest_droplet.verdict import judge
from tests.checks.cases import HERE, load
from tests.checks.chains import authority, served

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
