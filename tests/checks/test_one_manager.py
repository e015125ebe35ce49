"""A verdict on patches names what its host has: apt and dpkg, or dnf and rpm, never both."""

from __future__ import annotations

import re

import pytest

from .cases import Case, all_cases

APT = re.compile(r"\b(apt(-get|-cache|-config)?|dpkg(-query)?|unattended-upgrades)\b")
DNF = re.compile(r"\b(dnf5?|rpm|yum)\b")
IDS = re.compile(r"^ID=\"?(\w+)", re.MULTILINE)
KNOWN = {
    "debian": DNF,
    "ubuntu": DNF,
    "almalinux": APT,
    "rocky": APT,
    "centos": APT,
    "fedora": APT,
}


def printed(case: Case, section: str) -> str:
    """Return what a section printed; empty where it is absent or did not."""
    said = case.table.get("sections", {}).get(section)
    return str(said.get("stdout", "")) if isinstance(said, dict) else ""


def foreign(case: Case) -> re.Pattern[str] | None:
    """Return what the host of a case has not, None where it does not tell what it is."""
    found = IDS.search(printed(case, "os"))
    return KNOWN.get(found[1]) if found else None


CASES = [
    pytest.param(case, id=f"{case.path.parent.name}/{case.path.stem}")
    for case in all_cases()
    if case.path.parent.name.startswith(("patches.", "auditd.installed")) and foreign(case)
]


def test_there_are_cases_of_both() -> None:
    """What the host is can be told of many cases."""
    assert {foreign(param.values[0]) for param in CASES} == {APT, DNF}


@pytest.mark.parametrize("case", CASES)
def test_reasons_and_evidence_name_one_manager(case: Case) -> None:
    """Nobody reads on an RPM host what apt-get said, nor on Debian of dnf."""
    verdict = case.judge()
    absent = foreign(case)

    assert absent is not None
    if (absent is APT) == printed(case, "kernels").startswith("== rpm"):
        shown = [verdict.message, *(e.source for e in verdict.evidence)]
        assert [text for text in shown if absent.search(text)] == []
