"""Waivers: which findings one is for, and what a file of them may say."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pytest_droplet.model import Droplet
from pytest_droplet.toml_tables import TableError
from pytest_droplet.waivers import Waiver, find, load_waivers

DAY = date(2026, 12, 31)
WEB = Droplet(1, "web-1", tags=("web",), region="fra1")
WHOLE = """
[[waiver]]
check = "a.b"
reason = "later"
expires = 2026-12-31
"""


@pytest.mark.parametrize(
    ("pattern", "check", "is_for"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.bc", False),
        ("a.b", "x.a.b", False),
        ("a.b", "A.B", False),
        ("a.*", "a.b", True),
        ("a.?", "a.b", True),
        ("a.?", "a.bc", False),
        ("*", "tls.hsts[nginx]", True),
        ("tls.hsts", "tls.hsts[nginx]", True),
        ("tls.hsts[nginx]", "tls.hsts[nginx]", True),
        ("tls.hsts[nginx]", "tls.hsts[apache]", False),
        ("tls.hsts[nginx]", "tls.hsts", False),
        ("tls.hsts[n*]", "tls.hsts[nginx]", True),
        ("tls.hst[sx]", "tls.hsts", False),
        ("tls.*[nginx]", "tls.hsts[nginx]", True),
    ],
)
def test_a_waiver_names_a_check_a_part_of_it_or_a_glob(
    pattern: str, check: str, *, is_for: bool
) -> None:
    """The bare id is for all parts; only ``*`` and ``?`` are special, not brackets."""
    assert Waiver(pattern, "x", DAY).names(check) is is_for


@pytest.mark.parametrize(
    ("droplets", "of_web", "of_account"),
    [
        ("all", True, True),
        ("tag:web", True, False),
        ("tag:*", True, False),
        ("name:*", True, False),
        ("tag:db", False, False),
        ("tag:web,region:fra1", True, False),
        ("tag:web,region:ams3", False, False),
        ("!tag:db", True, False),
        ("id:1", True, False),
        ("web-1", True, False),
    ],
)
def test_a_selector_is_for_droplets_and_only_all_is_for_the_account(
    droplets: str,
    of_web: bool,  # noqa: FBT001 a value of the table
    of_account: bool,  # noqa: FBT001
) -> None:
    """A finding of the whole account is accepted by nothing that names some Droplets."""
    waiver = Waiver("a.b", "x", DAY, droplets=droplets)
    assert waiver.matches("a.b", WEB) is of_web
    assert waiver.matches("a.b", None) is of_account
    assert not waiver.matches("a.c", WEB)
    assert not waiver.matches("a.c", None)


def test_waivers_are_found_in_the_order_of_the_file() -> None:
    """By their places, without those that are for something else."""
    waivers = [Waiver("a.b", "x", DAY), Waiver("c.d", "x", DAY), Waiver("a.*", "x", DAY)]
    assert list(find(waivers, "a.b", WEB)) == [0, 2]
    assert list(find(waivers, "e.f", WEB)) == []


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    """Every key; what is left out has its default; days may have a time or be text."""
    path = tmp_path / "w.toml"
    more = """
[[waiver]]
check = "c.*"
droplets = "tag:db"
reason = "y"
expires = 2026-11-30T12:00:00Z
owner = "ops"
ticket = "OPS-1"
unknown = true

[[waiver]]
check = "e.f"
reason = "z"
expires = "2026-12-01"
"""
    path.write_text(WHOLE + more)
    assert load_waivers(path) == (
        Waiver("a.b", "later", DAY),
        Waiver("c.*", "y", date(2026, 11, 30), "tag:db", "ops", "OPS-1", unknown=True),
        Waiver("e.f", "z", date(2026, 12, 1)),
    )


def test_a_file_without_waivers_accepts_nothing(tmp_path: Path) -> None:
    """An empty file is no error, and no waiver."""
    path = tmp_path / "w.toml"
    path.write_text("# none yet\n")
    assert load_waivers(path) == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[waiver]]", "[waiver]", "w.toml: write [[waiver]], with two brackets"),
        ("[[waiver]]", "[[waver]]", "w.toml: unknown table 'waver'; waivers are [[waiver]]"),
        ('"a.b"', '""', "w.toml: waiver 1: check is empty"),
        ('"later"', '" "', "w.toml: waiver 1: reason is empty"),
        ("reason", "#", "w.toml: waiver 1: reason is missing"),
        ("check", "#", "w.toml: waiver 1: check is missing"),
        ("expires", "#", "w.toml: waiver 1: expires is missing"),
        ("2026-12-31", "2026", "w.toml: waiver 1: expires = 2026: expected date"),
        ("2026-12-31", "'soon'", "waiver 1: expires = 'soon': expected a date such as 2026-12-31"),
        ("reason", "tickets = 'x'\nreason", "unknown key 'tickets'; did you mean ticket?"),
        ("reason", "unknown = 1\nreason", "waiver 1: unknown = 1: expected bool"),
        ("reason", "droplets = 'tags:x'\nreason", "waiver 1: droplets = 'tags:x': "),
        ("reason", "droplets = ''\nreason", "waiver 1: droplets = '': "),
        ("reason", "droplets = 'demo'\nreason", "droplets = 'demo': name the Droplets"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    """It names the file, the table, the key and what is right."""
    path = tmp_path / "w.toml"
    path.write_text(WHOLE.replace(old, new))
    with pytest.raises(TableError) as caught:
        load_waivers(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_second_waiver_is_named_by_its_number(tmp_path: Path) -> None:
    """A fault in a long file is found by counting from 1."""
    path = tmp_path / "w.toml"
    path.write_text(WHOLE + WHOLE.replace('"later"', '""'))
    with pytest.raises(TableError, match="waiver 2: reason is empty"):
        load_waivers(path)
