"""The reference that is made of the code has all of the code in it."""

from __future__ import annotations

import importlib.util
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from pytest_droplet.audit import facts_of_hosts, reading_plan
from pytest_droplet.catalogue import shipped
from pytest_droplet.facts import all_facts
from pytest_droplet.options import OPTIONS, REPORT_FORMATS
from pytest_droplet.settings import Settings
from pytest_droplet.waivers import Waiver

from .markdown import ROOT


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The extension of Sphinx in docs/_ext."""
    return load_reference()


def load_reference() -> ModuleType:
    """Import the extension of Sphinx, which is in no package."""
    path = ROOT / "docs/_ext/droplet_reference.py"
    spec = importlib.util.spec_from_file_location("droplet_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_check_has_a_page(reference: ModuleType) -> None:
    """Title, sections, ids, facts and the commands that read the host are on it."""
    pages = reference.check_pages(shipped())

    assert set(pages) == {check.base_id for check in shipped().values()}
    for check in shipped().values():
        page = pages[check.base_id]
        assert check.doc.title in page
        assert check.doc.remediation in page
        assert not check.arguments or f"``{check.id}``" in page
        names = [n for n in facts_of_hosts([check]) if n in all_facts()]
        assert all(f"<fact-{name}>" in page for name in names)
        sections, probes = reading_plan(names, probe=True)
        assert all(f"section <code>{s.name}</code>" in page for s in sections)
        texts = [textwrap.indent(s.shown, "   ") for s in sections]
        assert all(text in page.partition("<details>")[2] for text in texts)
        assert all(f"probe ``{p.name}``" in page for p in probes)


def test_every_check_is_in_the_table_of_its_recommendation(reference: ModuleType) -> None:
    """The ten recommendations of the guide each have their checks."""
    text = reference.checks_text(shipped())

    assert all(f"<check-{check.base_id}>" in text for check in shipped().values())
    assert all(
        f"\n{number}. {title}\n" in f"\n{text}" for number, title in reference.GUIDE.items()
    )


def test_every_fact_option_and_setting_is_described(reference: ModuleType) -> None:
    """Facts with source and value, options with default, keys of TOML files with meaning."""
    facts = reference.facts_text(all_facts())
    assert all(f".. _fact-{name}:" in facts for name in all_facts())
    assert all(f"- Source: ``{fact.source}``" in facts for fact in all_facts().values())

    options = reference.options_text(OPTIONS)
    assert all(f"{{option}} {option.flag}" in options for option in OPTIONS)

    for kind in (Settings, Waiver):
        rows = reference.table_text(kind).splitlines()[2:]
        assert len(rows) == len(kind.__dataclass_fields__)
        assert not [row for row in rows if row.endswith("|  |")]


def test_every_format_has_a_section() -> None:
    """Each format of ``--droplets-report`` is in the table and, but for the record, described."""
    page = (ROOT / "docs/reference/reports.md").read_text("utf-8")

    for form in REPORT_FORMATS:
        assert f"\n| `{form}` |" in page
        assert form == "jsonl" or f"pytest_droplet.report.{form}\n" in page


def test_what_is_written_is_what_is_there(reference: ModuleType, tmp_path: Path) -> None:
    """A page of a check that is gone goes too; what has not changed is not written again."""
    reference.write(tmp_path)
    gone = tmp_path / "reference/checks/old.check.rst"
    gone.write_text("old")
    kept = tmp_path / "_generated/options.md"
    before = kept.stat().st_mtime_ns

    reference.write(tmp_path)

    assert not gone.exists()
    assert kept.stat().st_mtime_ns == before
    assert len(list((tmp_path / "reference/checks").iterdir())) == len(
        reference.check_pages(shipped())
    )
