"""What ACME clients leave behind is judged as it stands, each being run against an authority.

Each client of Debian 13 gets a certificate from pebble in a root of its own, as its documentation
says, a server serves it, and it renews by the command that cron has. Must hold: a renewal that
works passes, one that does not is a finding, and all else about the certificate is well.
"""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pytest_droplet.connection import script
from pytest_droplet.model import Verdict
from tests.checks import cases
from tests.sections.case import USUAL, known_sections
from tests.sections.root import Run, read_in, why_not

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON) and "CI" not in os.environ, reason=REASON)

FOLDER = Path(__file__).with_name("acme")
CHECKS = (
    "certificate-configured",
    "hostname-matches",
    "not-expiring",
    "private-key-protected",
    "renewal-automated",
    "served-certificate-current",
)
NONCE = "oracle"
# What a client is served, and whether the renewal came to a certificate that is served.
TOLD = """
openssl s_client -connect 127.0.0.1:443 -servername {name} -showcerts </dev/null 2>/dev/null
cat /srv/renewed
"""


def judged(client: str, name: str) -> tuple[bool, dict[str, Verdict]]:
    """Return whether a client's renewal worked, and what the checks say of the host.

    Args:
        client: The file of ``acme`` that has the client's steps.
        name: The host name that the certificate is for.
    """
    server = "apache" if "apache" in client else "nginx"
    sections = [known_sections()[section] for section in (server, "certificates", "renewal")]
    steps = (FOLDER / "authority.sh").read_text() + (FOLDER / f"{client}.sh").read_text()
    runs = (script.compose(sections, NONCE), TOLD.format(name=name))
    printed = read_in("trixie-acme", [Run(*USUAL, text) for text in runs], files={}, prepare=steps)
    said, told = printed.outputs
    answer = script.parse(said, sections, NONCE)
    chain = x509.load_pem_x509_certificates(told)
    table: dict[str, Any] = {
        "base": f"{server}-https",
        "now": datetime.now(UTC),
        "sections": {
            key: {"stdout": output.stdout, "rc": output.rc, "stderr": output.stderr}
            for key, output in answer.sections.items()
        },
        "probes": {"tls": {"port": "open", "names": {name: _answer(chain)}}},
    }
    found = {}
    for check in CHECKS:
        asked = {**table, "check": f"tls.{check}[{server}]"}
        found[check] = cases.Case(Path(f"{client}.pass.toml"), cases._merge_base(asked)).judge()
    return told.split()[-1] == b"yes", found


def _answer(chain: list[x509.Certificate]) -> dict[str, Any]:
    encoded = [base64.b64encode(c.public_bytes(Encoding.DER)).decode() for c in chain]
    return {"protocol": "TLSv1.3", "chain": encoded}


@pytest.mark.parametrize(
    ("client", "renews"),
    [
        ("certbot-nginx", True),
        ("certbot-apache", True),
        ("certbot-webroot", True),
        ("certbot-manual", False),
        ("lego", True),
        ("uacme", True),
        ("dehydrated", True),
        ("acme.sh", True),
    ],
)
def test_what_a_client_leaves_is_judged_by_what_it_does(
    client: str,
    renews: bool,  # noqa: FBT001 a table
) -> None:
    """Renewal passes where the client has renewed, and nothing else is a finding."""
    worked, verdicts = judged(client, f"{client.removesuffix('.sh').partition('-')[0]}.example")

    assert worked == renews
    expected = dict.fromkeys(CHECKS, "pass") | {"renewal-automated": "pass" if renews else "fail"}
    assert {check: v.outcome for check, v in verdicts.items()} == expected, [
        v.message for v in verdicts.values()
    ]
