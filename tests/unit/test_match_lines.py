"""What Match lines tell apart and no connection was asked for is named with its place."""

from __future__ import annotations

import pytest

from pytest_droplet.facts.ssh.match_lines import criteria_in, not_asked_for

LINES = {
    "Match Address 10.0.0.0/8,!192.0.2.0/24": "/etc/ssh/a:3",
    'Match User root Address "2001:db8::/32"': "/etc/ssh/a:9",
}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("203.0.113.1 192.0.2.7 2001:db8:: 3fff::1", "10.0.0.0/8 (/etc/ssh/a:3) tells 10.0.0.0"),
        ("203.0.113.1 10.1.1.1 2001:db8:: 3fff::1", "192.0.2.0/24 (/etc/ssh/a:3) tells 192.0.2.0"),
        ("10.1.1.1 192.0.2.7 2001:db8:: 3fff::1", "10.0.0.0/8 (/etc/ssh/a:3) tells 0.0.0.0"),
        (
            "203.0.113.1 10.1.1.1 192.0.2.7 3fff::1",
            "2001:db8::/32 (/etc/ssh/a:9) tells 2001:db8::",
        ),
        ("203.0.113.1 10.1.1.1 192.0.2.7 2001:db8:: 3fff::1", ""),
    ],
)
def test_a_range_that_was_not_asked_for_has_its_place(asked: str, told: str) -> None:
    """Whoever reads the reason finds the line."""
    criteria = [one for text, place in LINES.items() for one in criteria_in(text, place)]

    gaps = not_asked_for(
        criteria, users={"root"}, addresses=asked.split(), hosts=(), ports=(), looks_up=False
    )

    expected = [f"Match address {told} apart, which was not asked for"] if told else []
    assert list(gaps) == expected
