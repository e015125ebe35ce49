"""What is printed instead of a run: the Droplets, the page of a check, the host script."""

from __future__ import annotations

import difflib
import textwrap

import pytest

from pytest_droplet import discovery
from pytest_droplet.audit import facts_of_hosts, needed_facts, needs_host, reading_plan
from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.collection import shipped_of
from pytest_droplet.connection import identity
from pytest_droplet.connection.script import shown
from pytest_droplet.controls import NOTICE
from pytest_droplet.options import read_options
from pytest_droplet.text import printable


def answer(config: pytest.Config) -> int:
    """Print what was asked for and return the exit code.

    Raises:
        pytest.UsageError: The check does not exist, or no Droplet is selected.
    """
    if config.getoption("droplets_explain"):
        text = explain(config.getoption("droplets_explain"))
    elif config.getoption("droplets_show_script"):
        text = script(config)
    else:
        text = droplets(config)
    print(text)  # noqa: T201 it is what was asked for
    return 0


def explain(check_id: str) -> str:
    """Return the page of a check, or of each of its parametrised forms.

    Raises:
        pytest.UsageError: There is no such check; names the closest.
    """
    found = [c for c in shipped().values() if check_id in {c.id, c.base_id}]
    if not found:
        near = difflib.get_close_matches(check_id, shipped(), n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "see the documentation"
        raise pytest.UsageError(f"--droplets-explain={check_id}: there is no such check; {hint}")
    return _page(found[0], [c.id for c in found])


def _page(check: Check, ids: list[str]) -> str:
    lines = [*ids, "", check.doc.title, ""]
    lines.append(f"severity: {check.severity}; profiles: {', '.join(check.profiles)}")
    lines.append(f"needs: {'a login' if needs_host(check) else 'the API alone'}")
    if check.guide:
        lines.append(f"recommendation {check.guide} of DigitalOcean's hardening guide")
    if check.references:
        lines.append(f"references: {check.references}")
    if check.controls:
        asked = "; ".join(f"{name} {', '.join(ids)}" for name, ids in check.controls.items())
        lines.append(f"controls ({NOTICE}): {asked}")
    if check.depends_on:
        lines.append(f"judged after: {', '.join(check.depends_on)}")
    for name, text in check.doc.sections.items():
        lines += ["", f"{name}:", *(f"    {line}".rstrip() for line in text.splitlines())]
    sections, _ = reading_plan(needed_facts([check]), probe=False)
    if sections:
        lines += ["", "Read on the host:"]
    for section in sections:
        root = " (only as root)" if section.root else ""
        lines += [
            "",
            f"    {section.name}{root}:",
            textwrap.indent(section.shown, " " * 8).rstrip(),
        ]
    return "\n".join(lines)


def script(config: pytest.Config) -> str:
    """Return the script that hosts would be sent for the selected profiles, as people read it."""
    checks = shipped_of(read_options(config).profiles)
    sections, _ = reading_plan(facts_of_hosts(checks), probe=False)
    return shown([identity.section(0), *sections])


def droplets(config: pytest.Config) -> str:
    """Return a table of the selected Droplets.

    Raises:
        pytest.UsageError: ``--droplets`` is not given, or nothing matches.
    """
    if not config.getoption("--droplets"):
        raise pytest.UsageError("--droplets-list needs a selector: add --droplets=all")
    discovery.prepare(config)
    audit = discovery.begin(config)
    audit.hosts.close()
    rows = [("ID", "NAME", "STATUS", "REGION", "ADDRESS", "TAGS")]
    for d in audit.droplets:
        public = next((a.ip for a in d.addresses if a.kind == "public"), "-")
        rows.append((str(d.id), d.name, d.status, d.region, public, ",".join(d.tags) or "-"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        printable("  ".join(v.ljust(w) for v, w in zip(row, widths, strict=True)).rstrip())
        for row in rows
    )
