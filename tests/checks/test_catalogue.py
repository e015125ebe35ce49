"""What every shipped check and every piece of the host script must have."""

from __future__ import annotations

import shlex
import subprocess
from collections import Counter

import pytest

from pytest_droplet.catalogue import Check, checks_in, names_of, shipped
from pytest_droplet.connection import identity
from pytest_droplet.connection.script import ENVIRONMENT, FRAME, PRELUDE, compose, shown
from pytest_droplet.facts import all_facts
from pytest_droplet.model import Section
from pytest_droplet.verdict import given_names

from .cases import HERE

CHECKS = [pytest.param(c, id=i) for i, c in shipped().items()]
SECTIONS = {
    (s.name, s.command, s.root): s
    for f in all_facts().values()
    for s in (*f.sections, *(s for p in f.probes for s in p.sections))
}
# A distribution that DigitalOcean does not offer has no data to judge by: unknown, never fail.
BY_RULE_NEVER = {("os.distribution-supported", "fail")}
SCRIPT_LIMIT = 40 * 1024
LONGEST_SHOWN = 120
NONCE = "0123456789abcdef"


def test_ids_are_unique() -> None:
    """No two checks share an id."""
    import importlib
    import pkgutil

    import pytest_droplet.checks as package

    modules = (
        importlib.import_module(f"{package.__name__}.{m.name}")
        for m in pkgutil.iter_modules(package.__path__)
    )
    repeated = [
        i for i, n in Counter(c.id for m in modules for c in checks_in(m)).items() if n > 1
    ]

    assert not repeated


def test_no_two_checks_ever_had_one_id() -> None:
    """An id that a check gave up is never taken again: findings are known by it."""
    names = [name for check_id in shipped() for name in names_of(check_id)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_has_its_page(check: Check) -> None:
    """A check has a title, a rationale, a remediation and a reference."""
    assert check.doc.title
    assert len(check.doc.title) <= 80
    assert 10 < len(check.doc.finding) <= 80
    assert check.doc.finding != check.doc.title
    assert check.doc.rationale
    assert check.doc.remediation
    assert check.references
    assert check.profiles


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_asks_only_for_facts_that_exist(check: Check) -> None:
    """Every parameter is a fact or given, and the named rows and causes exist."""
    assert set(check.facts) <= set(all_facts()) | given_names()
    assert all(all_facts()[name].row for name in check.rows)
    assert {d.format(**check.arguments) for d in check.depends_on} <= set(shipped())


@pytest.mark.parametrize("base_id", sorted({c.base_id for c in shipped().values()}))
@pytest.mark.parametrize("verdict", ["pass", "fail", "unknown"])
def test_a_check_has_a_case_of_each_verdict(base_id: str, verdict: str) -> None:
    """A check is shown to pass, to fail and to be unknown."""
    if (base_id, verdict) in BY_RULE_NEVER:
        assert not list((HERE / base_id).glob(f"*.{verdict}.toml"))
        return
    assert list((HERE / base_id).glob(f"*.{verdict}.toml"))


def test_every_case_belongs_to_a_shipped_check() -> None:
    """A folder of cases is named after a check."""
    folders = {p.parent.name for p in HERE.glob("*.*/*.toml")}

    assert folders <= {c.base_id for c in shipped().values()}


def test_a_section_has_one_command() -> None:
    """Facts that share a section's name share its command."""
    names = Counter(name for name, _, _ in SECTIONS)

    assert [n for n, times in names.items() if times > 1] == []


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
@pytest.mark.parametrize(
    "section", [pytest.param(s, id=n) for n, s in {s.name: s for s in SECTIONS.values()}.items()]
)
def test_a_section_is_posix_shell(section: Section, shell: str) -> None:
    """Both dash and bash accept the command of every section."""
    parsed = subprocess.run(
        [*shell.split(), "-n"],
        input=section.command,
        text=True,
        capture_output=True,
        check=False,
    )

    assert (parsed.returncode, parsed.stderr) == (0, "")


def test_the_script_of_the_usual_profile_is_small() -> None:
    """All sections of the profile droplet, with their frames, stay within 40 KB."""
    facts = all_facts()
    wanted = {n for c in shipped().values() if "droplet" in c.profiles for n in c.facts} & set(
        facts
    )
    while needed := {n for name in wanted for n in facts[name].needs} - wanted:
        wanted |= needed
    sections = [s for name in sorted(wanted) for s in facts[name].sections]

    script = compose([identity.section(2**31), *sections], NONCE * 2)

    assert len(script.encode()) <= SCRIPT_LIMIT


def test_what_is_sent_is_the_packed_files() -> None:
    """Taken apart, the script has the prelude, and of each section its files and nothing else."""
    words = shlex.split(compose(list(SECTIONS.values()), NONCE))
    calls = {"section": False, "as_root": True}
    sent = {
        words[at + 1]: (calls[word], words[at + 2], words[at + 3])
        for at, word in enumerate(words)
        if word in calls and words[at + 1] != "$1"
    }
    shared = dict(word.split("=", 1) for word in words if word.startswith("shared_"))

    assert f"prelude={PRELUDE.packed}" in words
    assert set(sent) == {s.name for s in SECTIONS.values()}
    for section in SECTIONS.values():
        unfolded = ""
        root, bound, text = sent[section.name]
        assert (root, bound) == (section.root, str(section.address_space_mb))
        while text.startswith("$shared_"):
            name = max((n for n in shared if text.startswith(f"${n}")), key=len)
            unfolded += shared[name]
            text = text.removeprefix(f"${name}")
        text = unfolded + text
        for file in section.files:
            if file.variable:
                program, text = text.split("\n'\n", 1)
                assert f"{program}\n" == f"{file.variable}='{file.packed}"
            else:
                assert text.startswith(file.packed)
                text = text.removeprefix(file.packed)
        assert text == ""


def test_the_shown_script_is_for_people() -> None:
    """It has every file as it is under its name, and no long line."""
    text = shown(list(SECTIONS.values()))
    files = {f for s in SECTIONS.values() for f in s.files}

    for file in (*files, FRAME, ENVIRONMENT, PRELUDE):
        assert f"# ==== {file.path}\n" in text
        assert file.text.rstrip() in text
    assert max(map(len, text.splitlines())) <= LONGEST_SHOWN
