"""endoflife.date's answers: hostile input that may add releases and shorten support, no more."""

from __future__ import annotations

import socket
import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.api import endoflife
from pytest_droplet.api.answers import ApiError
from pytest_droplet.facts.os.lifecycle import Release, changes, lifecycle, refreshed
from pytest_droplet.model import Reading, SupportDates
from tests.support.endoflife import EndOfLife, product

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PLACES = sorted(lifecycle().releases)
DATES = st.none() | st.dates(date(1990, 1, 1), date(2090, 1, 1))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: (
        st.lists(x)
        | st.dictionaries(st.sampled_from(["result", "releases", "name", "eolFrom", "x"]), x)
    ),
)


def newer(*dates: SupportDates) -> Reading[tuple[SupportDates, ...]]:
    """The dates as they were read."""
    return Reading(endoflife.SOURCE, NOW, dates)


def test_the_fields_of_a_release_are_read() -> None:
    """Security, active and extended support; a release that is no number is passed over."""
    answer = product(
        {"name": "14", "eolFrom": "2030-08-09", "eoasFrom": "2029-01-01"},
        {"name": "13", "eolFrom": None, "eoesFrom": "2030-06-30"},
        {"name": "sid", "eolFrom": "soon"},
    )

    assert endoflife.parse({"debian": answer}) == (
        SupportDates("debian", "14", date(2030, 8, 9), active_until=date(2029, 1, 1)),
        SupportDates("debian", "13", None, extended_until=date(2030, 6, 30)),
    )


@given(JSON)
def test_any_json_is_parsed_or_refused_in_one_line(answer: Any) -> None:
    """Whatever the service says, there is no other exception, and its text is one line."""
    for whole in (
        answer,
        {"result": answer},
        {"result": {"releases": [answer]}},
        product({"name": "14", "eolFrom": answer}),
    ):
        said = ""
        try:
            endoflife.parse({"debian": whole})
        except ApiError as exc:
            said = str(exc)
        assert said.isprintable()


@given(st.sampled_from(PLACES), DATES, DATES, DATES)
def test_support_never_ends_later_than_the_table_says(
    place: tuple[str, str], security: date | None, active: date | None, extended: date | None
) -> None:
    """A date of a release that the table has is only ever taken where it is earlier."""
    before = lifecycle().releases[place]

    table = refreshed(lifecycle(), newer(SupportDates(*place, security, active, extended)))

    after = table.releases[place]
    assert after.security_until == min(before.security_until, security or before.security_until)
    for was, now in (
        (before.active_until, after.active_until),
        (before.extended_until, after.extended_until),
    ):
        assert (was is None) == (now is None)
        assert was is None or now is None or now <= was
    assert (after.latest_known, after.extended_name) == (before.latest_known, before.extended_name)
    assert table.as_of == NOW.date()


def test_a_release_that_the_table_lacks_is_added() -> None:
    """Without an extended programme: whether it counts on a host nobody has looked at yet."""
    fresh = SupportDates(
        "debian", "14", date(2030, 8, 9), date(2029, 1, 1), extended_until=date(2032, 6, 30)
    )

    table = refreshed(lifecycle(), newer(fresh, SupportDates("debian", "15", None)))

    assert table.releases["debian", "14"] == Release(
        "debian", "14", date(2030, 8, 9), date(2029, 1, 1), None, "", ""
    )
    assert ("debian", "15") not in table.releases


def test_dates_that_could_not_be_had_change_nothing() -> None:
    """The table is the package's, with its own age."""
    assert refreshed(lifecycle(), None) is lifecycle()
    assert (
        refreshed(lifecycle(), Reading(endoflife.SOURCE, NOW, missing="no answer")) is lifecycle()
    )


def test_what_changes_is_named() -> None:
    """Releases that are new or lose support, as far as they are supported; else nothing."""
    said = newer(
        SupportDates("debian", "14", date(2030, 8, 9)),
        SupportDates("debian", "4", date(2010, 2, 15)),
        SupportDates("fedora", "44", date(2027, 5, 1)),
        SupportDates("fedora", "36", date(2023, 1, 1)),
        SupportDates("ubuntu", "24.04", date(2099, 1, 1)),
    )

    assert changes(lifecycle(), said) == "new are debian 14; sooner end fedora 44"
    assert changes(lifecycle(), newer()) == f"as in the table of {lifecycle().as_of}"


def test_pydo_is_not_needed() -> None:
    """One small question does not pay for the import of a whole client."""
    code = (
        "import sys\n"
        "from pytest_droplet.api import endoflife\n"
        "from pytest_droplet.api.answers import ApiError\n"
        "try:\n    endoflife.fetch(['debian'], 'http://127.0.0.1:9')\n"
        "except ApiError:\n    print([m for m in ('pydo', 'azure', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['requests']\n"


@pytest.mark.parametrize(
    "url",
    [
        "http://203.0.113.7/api/v1",
        "ftp://127.0.0.1/api/v1",
        "https://user:secret@endoflife.test/api/v1",
        "https://",
        "http://[::1",
        "127.0.0.1:80",
    ],
)
def test_it_is_asked_over_https_or_on_this_machine_alone(url: str) -> None:
    """Another address is refused before anything is sent, and no password is shown."""
    with pytest.raises(ApiError, match=r"^ENDOFLIFE_API_URL=.*: expected https") as caught:
        endoflife.fetch(["debian"], url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (500, {}, b"{}", "/products/debian/: 500"),
        (301, {"Location": "http://127.0.0.1:1/"}, b"", "/products/debian/: 301"),
        (200, {}, b"<html>", "the answer is not JSON"),
        (200, {}, b"[" * 100_000, "the answer is not JSON"),
        (200, {"Content-Length": "9999"}, b"{}", "the answer broke off before its end"),
    ],
    ids=["500", "redirect", "html", "deep", "cut"],
)
def test_an_answer_that_is_none_is_one_line(
    status: int, headers: dict[str, str], body: bytes, message: str
) -> None:
    """Nothing is followed, guessed or taken in part."""
    with EndOfLife() as server:
        server.answers["debian"] = (status, headers, body)
        with pytest.raises(ApiError, match=message) as caught:
            endoflife.fetch(["almalinux", "debian", "fedora"], server.url)

    assert str(caught.value).isprintable()
    assert [path.split("/")[-2] for path, _ in server.requests] == ["almalinux", "debian"]


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than the limit is not kept in memory."""
    monkeypatch.setattr("pytest_droplet.api.http.ANSWER_LIMIT_BYTES", 2**20)
    with EndOfLife() as server:
        server.answers["debian"] = (200, {}, b'"' + b"x" * 2**21 + b'"')
        with pytest.raises(ApiError, match="the answer is longer than 1 MiB"):
            endoflife.fetch(["debian"], server.url)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("_TIMEOUTS_S", "Read timed out"),
        ("_ANSWER_TIMEOUT_S", r"was not whole within 0\.1 s"),
        ("_ALL_ANSWERS_S", "endoflife.date: 0 answers took more"),
    ],
)
def test_a_slow_service_does_not_hold_up_the_audit(
    monkeypatch: pytest.MonkeyPatch, limit: str, message: str
) -> None:
    """Neither one wait, nor one answer, nor all of them together."""
    short = {"_TIMEOUTS_S": (5, 0.01), "_ANSWER_TIMEOUT_S": 0.1, "_ALL_ANSWERS_S": -1.0}
    monkeypatch.setattr(endoflife, limit, short[limit])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ApiError, match=message):
            endoflife.fetch(["debian"], url)


def test_nobody_listens() -> None:
    """A refused connection is one line too."""
    with EndOfLife() as server:
        url = server.url
    with pytest.raises(ApiError, match=r"^GET http://127\.0\.0\.1:\d+/.*refused"):
        endoflife.fetch(["debian"], url)
