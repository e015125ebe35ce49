"""The distribution, Ubuntu Pro and the embedded table of support dates."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.facts.host.os_release import OsRelease, parse_os_release, parse_ubuntu_pro
from pytest_droplet.facts.os.lifecycle import lifecycle, release_of
from pytest_droplet.model import NotObservedError

TABLE = json.loads(files("pytest_droplet").joinpath("data/endoflife.json").read_text("utf-8"))


def test_os_release_is_unquoted_as_the_shell_does() -> None:
    """Values may stand in either quotes or none; comments and strange lines are passed over."""
    os = parse_os_release(
        "# a comment\n\nID=rocky\nNAME='Rocky Linux'\nVERSION_ID=\"9.8\"\nnot a field\n"
        'PRETTY_NAME="Rocky \\"Linux\\" 9.8"\nSUPPORT_END=2032-05-31\n'
    )

    assert os == OsRelease(
        "rocky", "9.8", "Rocky Linux", 'Rocky "Linux" 9.8', support_end=date(2032, 5, 31)
    )
    assert os.major == "9"


def test_a_broken_quote_leaves_the_text_as_it_is() -> None:
    """A value with an open quote is not lost, and a date that is none is absent."""
    os = parse_os_release('ID=debian\nNAME="Debian\nSUPPORT_END=soon\n')

    assert (os.name, os.support_end) == ('"Debian', None)


@given(st.text())
def test_any_text_is_parsed_or_not_observed(text: str) -> None:
    """Whatever a host writes into these files, a parser raises nothing but NotObservedError."""
    for parse in (parse_os_release, parse_ubuntu_pro):
        with suppress(NotObservedError):
            assert str(parse(text)).isprintable()


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["attached", "services", "name", "status"]), x)
        ),
    )
)
@pytest.mark.slow
def test_any_json_is_a_status_of_ubuntu_pro_or_not_observed(value: object) -> None:
    """Only ``attached: true`` with esm-infra ``enabled`` counts as extended maintenance."""
    with suppress(NotObservedError):
        pro = parse_ubuntu_pro(json.dumps(value))
        assert not pro.esm_infra or (pro.attached and pro.services["esm-infra"] == "enabled")


@pytest.mark.parametrize(
    ("os_id", "name", "version", "expected"),
    [
        ("ubuntu", "Ubuntu", "24.04", ("ubuntu", "24.04")),
        ("debian", "Debian GNU/Linux", "12", ("debian", "12")),
        ("rocky", "Rocky Linux", "9.8", ("rocky-linux", "9")),
        ("almalinux", "AlmaLinux", "10.2", ("almalinux", "10")),
        ("fedora", "Fedora Linux", "44", ("fedora", "44")),
        ("centos", "CentOS Stream", "9", ("centos-stream", "9")),
        ("centos", "CentOS Linux", "8", ("centos", "8")),
        ("ol", "Oracle Linux Server", "9.8", None),
    ],
)
def test_a_release_is_found_by_its_own_name(
    os_id: str, name: str, version: str, expected: tuple[str, str] | None
) -> None:
    """ID and NAME choose the product, never ID_LIKE; the version chooses the cycle."""
    os = OsRelease(os_id, version, name)

    release = release_of(os, lifecycle())

    assert (release and (release.product, release.cycle)) == expected


def test_the_table_has_its_notices() -> None:
    """The data carries the notices of both compilations that it was taken from."""
    notices = TABLE["notices"]

    assert "2020 endoflife.date contributors" in notices["endoflife.date"][0]
    assert "Benjamin Drung" in notices["distro-info-data"][0]
    assert all("permission notice" in " ".join(text) for text in notices.values())


@pytest.mark.parametrize("product", sorted(TABLE["products"]))
def test_the_table_is_in_order(product: str) -> None:
    """Support begins before it ends, each date has a source that the table knows."""
    for entry in TABLE["products"][product]["releases"]:
        release = lifecycle().releases[product, entry["cycle"]]
        if release.active_until is not None:
            assert release.active_until <= release.security_until
        if release.extended_until is not None:
            assert release.security_until < release.extended_until
            assert release.extended_name
        assert entry["source"]["security_support_until"]
        for sources in entry["source"].values():
            assert set(sources) <= set(TABLE["sources"])
