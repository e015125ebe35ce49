"""The table of controls: complete, and no id that its framework does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.catalogue import check, checks_of, shipped
from pytest_droplet.controls import Entry, controls_of, entries, table
from pytest_droplet.record import check_entry

LISTS = Path(__file__).with_name("frameworks")
CRITERIA = r"CC(1\.[1-5]|2\.[1-3]|3\.[1-4]|4\.[12]|5\.[1-3]|6\.[1-8]|7\.[1-5]|8\.1|9\.[12])"
FORMS = {
    "nist-800-53-r5": r"[A-Z]{2}-\d+(\(\d+\))?(\([a-z]\))?",
    "cis-controls-8.1": r"\d+\.\d+",
    "iso-27001-2022": r"A\.[5-8]\.\d+",
    "pci-dss-4.0.1": r"\d+(\.\d+){2,3}",
    "soc2-2017": CRITERIA + r"|A1\.[1-3]|C1\.[12]|PI1\.[1-5]",
    "hipaa": r"164\.3(08|10|12|14|16)(\([a-z]\))(\(\d+\))?(\([ivx]+\))?(\([A-Z]\))?",
}
BENCHMARK = r"\d+(\.\d+){2,4}"
DESIGNED = set(FORMS)


def said() -> Iterator[tuple[str, str, Entry]]:
    """Yield check, framework and entry of the whole table."""
    for check_id, by_framework in table()["checks"].items():
        for name, entry in by_framework.items():
            yield check_id, name, entry


def known(framework: str) -> set[str] | None:
    """Return the ids that a framework has, where its list is public and kept here."""
    path = LISTS / f"{framework}.txt"
    if not path.exists():
        return None
    return set(path.read_text(encoding="utf-8").partition("\n")[2].split())


@pytest.mark.parametrize("check", shipped())
def test_a_check_has_an_answer_for_every_framework(check: str) -> None:
    """No shipped check is without an entry, and none leaves a framework out."""
    assert list(entries(check)) == list(table()["frameworks"])


def test_the_frameworks_are_those_that_are_promised() -> None:
    """The six of the design, and the benchmarks of distributions, each with its version."""
    names = set(table()["frameworks"])
    assert names >= DESIGNED
    assert all(re.fullmatch(r"cis-[a-z]+-[\d.]+-\d+\.\d+\.\d+", n) for n in names - DESIGNED)
    assert all(f["version"] and f["url"] for f in table()["frameworks"].values())


def test_nothing_is_said_of_a_check_that_is_not_there() -> None:
    """A key is a shipped check, or one with all its parameters."""
    known_ids = {name for one in shipped() for name in (one, one.partition("[")[0])}
    assert set(table()["checks"]) <= known_ids


def test_an_id_is_read_in_a_source_that_is_named() -> None:
    """Ids have a source; what is not asked has none but a source; what was not found neither."""
    sources = table()["sources"]
    shapes = {"read": {"state", "ids", "source"}, "not asked": {"state", "source"}}
    for check_id, framework, entry in said():
        assert set(entry) == shapes.get(entry["state"], {"state"}), (check_id, framework)
        assert entry["state"] in {"read", "not asked", "none found"}
        names = {name.partition("#")[0] for name in entry.get("source", [])}
        assert names <= set(sources), (check_id, framework)
        assert all(entry[key] for key in entry), (check_id, framework)  # type: ignore[literal-required]


def test_a_source_says_what_was_read_and_when() -> None:
    """A source has project, file, version and a date, and some entry names it."""
    used = {name.partition("#")[0] for *_, entry in said() for name in entry.get("source", [])}
    assert used == set(table()["sources"])
    for source in table()["sources"].values():
        assert source["project"].startswith("https://")
        assert source["file"]
        assert source["version"]
        assert date.fromisoformat(source["read_on"]) >= date(2026, 1, 1)


@pytest.mark.parametrize("framework", table()["frameworks"])
def test_an_id_is_one_of_its_framework(framework: str) -> None:
    """Each id has the form of its framework, stands once, and is in its list."""
    form, listed = FORMS.get(framework, BENCHMARK), known(framework)
    assert framework == "soc2-2017" or listed
    for check_id, name, entry in said():
        if name == framework:
            ids = entry.get("ids", [])
            assert len(set(ids)) == len(ids), check_id
            assert all(re.fullmatch(form, i) for i in ids), (check_id, ids)
            assert listed is None or listed.issuperset(ids), (check_id, set(ids) - listed)


@pytest.mark.parametrize("check", shipped())
def test_a_check_has_an_id_of_nist(check: str) -> None:
    """Readers of HDF show a control without one as unmapped."""
    assert controls_of(check)["nist-800-53-r5"]


def test_the_parameter_decides_where_it_matters() -> None:
    """The groups of audit rules are asked for by different requirements."""
    assert controls_of("auditd.rules-cover[identity]")["pci-dss-4.0.1"] == ("10.2.1.5",)
    assert controls_of("auditd.rules-cover[time-change]")["pci-dss-4.0.1"] == ("10.6.3",)
    assert controls_of("tls.listening[nginx]") == controls_of("tls.listening[edge]")
    assert controls_of("site.own-check") == {}


def test_a_benchmark_asks_for_what_its_profile_has() -> None:
    """A check of a CIS profile is in some benchmark, and no free text repeats where."""
    benchmarks = set(table()["frameworks"]) - DESIGNED
    for one in shipped().values():
        assert "CIS" not in one.references
        if {"cis1", "cis2"}.intersection(one.profiles):
            assert benchmarks.intersection(one.controls), one.id


def test_a_users_check_says_what_asks_for_it() -> None:
    """``controls=`` gives a check its ids; they stand in the header of the record."""

    @check("site.firewall", controls={"pci-dss-4.0.1": ["1.3.1", "1.4.1"]})
    def test_firewall(droplet: object) -> None:
        """There is a firewall."""

    @check("site.plain")
    def test_plain(droplet: object) -> None:
        """There is nothing to say."""

    (own,), (plain,) = checks_of(test_firewall), checks_of(test_plain)
    assert own.controls == {"pci-dss-4.0.1": ("1.3.1", "1.4.1")}
    assert check_entry(own, own.controls)["controls"] == {"pci-dss-4.0.1": ["1.3.1", "1.4.1"]}
    assert "controls" not in check_entry(plain, plain.controls)
    assert shipped()["auditd.running"].controls["hipaa"] == ("164.312(b)",)


@pytest.mark.parametrize("ids", ["1.3.1", [], [""], [1]])
def test_controls_are_lists_of_ids(ids: Any) -> None:
    """A text would be taken letter by letter: the check says what to write."""
    with pytest.raises(ValueError, match=r"check site\.x: controls\['pci'\] = .*: write a list"):
        check("site.x", controls={"pci": ids})
