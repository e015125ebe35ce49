"""Writes the reference from the code: options, settings, facts, and a page for every check.

Each function that makes a text is pure. Sphinx calls :func:`write` before it reads the sources;
what it writes is not in version control.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from pytest_droplet.audit import facts_of_hosts, reading_plan
from pytest_droplet.catalogue import Check, shipped
from pytest_droplet.controls import NOTICE, Entry, entries, table
from pytest_droplet.facts import Fact, all_facts
from pytest_droplet.model import Probe, Section
from pytest_droplet.options import OPTIONS, Option
from pytest_droplet.settings import Settings
from pytest_droplet.waivers import Waiver
from pytest_droplet.words import PROFILES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

GUIDE = {
    1: "Backups are enabled",
    2: "A firewall is created",
    3: "The Droplet is connected to a firewall",
    4: "The release of the operating system is supported",
    5: "The operating system is patched",
    6: "auditd is enabled",
    7: "Only SSH keys are used to log in",
    8: "Unused SSH keys are deleted",
    9: "Apache is secured with a TLS certificate",
    10: "Nginx is secured with a TLS certificate",
}
_ATTRIBUTES = re.compile(r"^Attributes:\n((?:[ \t]+.*\n?|\n)*)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^(\w+): ", re.MULTILINE)
_TOML = {
    "bool": "true or false",
    "str": "text",
    "int": "whole number",
    "date": "date",
    "tuple[str, ...]": "list",
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the writer."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write(docs: Path) -> None:
    """Write every generated text below the folder of the sources, and remove those of old."""
    texts = {
        "_generated/options.md": options_text(OPTIONS),
        "_generated/settings.md": table_text(Settings),
        "_generated/waivers.md": table_text(Waiver),
        "_generated/facts.rst": facts_text(all_facts()),
        "_generated/checks.rst": checks_text(shipped()),
        "_generated/controls.rst": sources_text(),
        **{f"reference/checks/{n}.rst": t for n, t in check_pages(shipped()).items()},
    }
    for folder in ("_generated", "reference/checks"):
        for path in (docs / folder).glob("*"):
            if path.relative_to(docs).as_posix() not in texts:
                path.unlink()
    for name, text in texts.items():
        path = docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def options_text(options: Iterable[Option]) -> str:
    """Return one definition for each option, as MyST."""
    return "\n".join(_option(option) for option in options)


def _option(option: Option) -> str:
    value = option.metavar or "|".join(option.choices)
    spec = f"{option.flag} {value}".strip()
    notes = []
    if option.default is not None:
        notes.append(f"Default: `{option.default}`.")
    if option.kind == "list":
        notes.append("May be given several times.")
    notes.append(f"Ini key: `{option.key}`." if option.ini else "No ini key.")
    if option.environment:
        notes.append(f"Environment: `{option.environment}`.")
    if option.gate:
        notes.append("Part of the gate: a value from an ini file is shown in the header.")
    first = option.help.split()[0]
    text = option.help if first.endswith(":") else option.help[0].upper() + option.help[1:]
    return f"```{{option}} {spec}\n{text}.\n\n{' '.join(notes)}\n```\n"


def table_text(kind: type) -> str:
    """Return the table of the keys of a TOML table, as MyST; ``kind`` is what it becomes."""
    meanings = _attributes(kind)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(kind):
        toml = _TOML.get(str(field.type), str(field.type))
        needed = field.default is dataclasses.MISSING
        default = "needed" if needed else f"`{_toml(field.default)}`"
        rows.append(f"| `{field.name}` | {toml} | {default} | {meanings.get(field.name, '')} |")
    return "\n".join(rows) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def checks_text(checks: Mapping[str, Check]) -> str:
    """Return a table of the checks for each recommendation of the guide, as RST."""
    bases = _by_base(checks)
    parts = []
    for number, title in GUIDE.items():
        found = {b: c for b, c in bases.items() if number in _recommendations(c[0])}
        if found:
            parts.append(_checks_table(f"{number}. {title}", found))
    rest = {b: c for b, c in bases.items() if not _recommendations(c[0])}
    if rest:
        parts.append(_checks_table("Beyond the guide", rest))
    return "\n".join(parts)


def _checks_table(title: str, bases: Mapping[str, list[Check]]) -> str:
    lines = [title, "-" * len(title), "", ".. list-table::", "   :widths: 42 36 11 11", ""]
    for base, forms in bases.items():
        params = ", ".join(f"``[{','.join(c.arguments.values())}]``" for c in forms if c.arguments)
        lines += [
            f"   * - :ref:`{base} <check-{base}>`" + (f" {params}" if params else ""),
            f"     - {forms[0].doc.title}",
            f"     - {forms[0].severity}",
            f"     - {', '.join(forms[0].profiles)}",
        ]
    return "\n".join(lines) + "\n"


def check_pages(checks: Mapping[str, Check]) -> dict[str, str]:
    """Return the page of every check by its id without parameter, as RST."""
    return {base: _check_page(base, forms) for base, forms in _by_base(checks).items()}


def _by_base(checks: Mapping[str, Check]) -> dict[str, list[Check]]:
    bases: dict[str, list[Check]] = {}
    for check in checks.values():
        bases.setdefault(check.base_id, []).append(check)
    return bases


def _check_page(base: str, forms: list[Check]) -> str:
    check = forms[0]
    rows = [("Severity", check.severity), ("Profile", _listed(check.profiles))]
    if check.arguments:
        rows.insert(0, ("Ids", _listed(c.id for c in forms)))
    if numbers := _recommendations(check):
        said = "; ".join(f"{n}, {GUIDE[n]}" for n in numbers)
        rows.append(("Recommendation of DigitalOcean's guide", said))
    if causes := {d.partition("[")[0].partition("{")[0] for f in forms for d in f.depends_on}:
        links = ", ".join(f":ref:`{c} <check-{c}>`" for c in sorted(causes))
        rows.append(("Judged after", f"{links}: where one fails, this one fails because of it"))
    if check.of_account:
        rows.append(("Judged", "once a run, on the account as a whole"))
    lines = [f".. _check-{base}:", "", base, "=" * len(base), "", f"**{check.doc.title}.**", ""]
    lines += [".. list-table::", "   :stub-columns: 1", "   :widths: 25 75", ""]
    for name, text in rows:
        lines += [f"   * - {name}", f"     - {text}"]
    for name, text in check.doc.sections.items():
        lines += ["", name, "-" * len(name), "", text]
    lines += _what_is_read(forms)
    lines += _controls(forms)
    if references := [r.strip() for r in check.references.split(";") if r.strip()]:
        lines += ["", "References", "----------", "", *(f"- {r}" for r in references)]
    return "\n".join(lines) + "\n"


def _controls(forms: list[Check]) -> list[str]:
    """Return what frameworks ask of a check, and where that was read."""
    title = f"Controls ({NOTICE})"
    lines = ["", title, "-" * len(title), ""]
    lines += [
        "The :doc:`states and sources <../controls>` are explained on a page of their own.",
        "",
    ]
    lines += [".. list-table::", "   :header-rows: 1", "   :widths: 35 30 35", ""]
    lines += ["   * - Framework", "     - Ids", "     - Read in"]
    for name, framework in table()["frameworks"].items():
        said = _by_entry({form.id: entries(form.id)[name] for form in forms})
        for ids, entry in said:
            of = f" ({_listed(ids)})" if len(said) > 1 else ""
            lines.append(f"   * - {framework['title']} {framework['version']}{of}")
            lines.append(f"     - {', '.join(entry.get('ids', [entry['state']]))}")
            lines.append(f"     - {_listed(entry.get('source', ())) or '-'}")
    return lines


def _by_entry(found: Mapping[str, Entry]) -> list[tuple[list[str], Entry]]:
    """Return the entries that differ, each with the ids of the checks that it is for."""
    grouped: list[tuple[list[str], Entry]] = []
    for check_id, entry in found.items():
        same = next((ids for ids, other in grouped if other == entry), None)
        if same is None:
            grouped.append(([check_id], entry))
        else:
            same.append(check_id)
    return grouped


def sources_text() -> str:
    """Return the table of the files that ids were read in, as RST."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    lines += ["   * - Source", "     - File", "     - Version", "     - Read on"]
    for name, source in table()["sources"].items():
        lines += [f"   * - ``{name}``", f"     - {source['project']}: ``{source['file']}``"]
        lines += [f"     - {source['version']}", f"     - {source['read_on']}"]
    return "\n".join(lines) + "\n"


def _what_is_read(forms: list[Check]) -> list[str]:
    known = all_facts()
    names = [n for n in facts_of_hosts(forms) if n in known]
    if not names:
        return []
    lines = ["", "What is read", "------------", "", ".. list-table::", ""]
    for name in dict.fromkeys(names):
        lines += [f"   * - :ref:`{name} <fact-{name}>`", f"     - ``{known[name].source}``"]
    sections, probes = reading_plan(names, probe=True)
    return lines + _commands(sections) + _from_outside(probes)


def _commands(sections: Iterable[Section]) -> list[str]:
    """Return the text of each section, folded."""
    lines = []
    for section in sections:
        root = " (run only as root)" if section.root else ""
        title = f"<summary>On the host, section <code>{section.name}</code>{root}</summary>"
        lines += ["", ".. raw:: html", "", f"   <details>{title}", ""]
        lines += [".. code-block:: sh", "   :force:", "", textwrap.indent(section.shown, "   ")]
        lines += ["", ".. raw:: html", "", "   </details>"]
    return lines


def _from_outside(probes: Iterable[Probe]) -> list[str]:
    lines = []
    for probe in probes:
        run = probe.run.func if isinstance(probe.run, partial) else probe.run
        said = inspect.getdoc(run) or ""
        first = " ".join(said.partition("\n\n")[0].split())
        lines += ["", f"From outside, probe ``{probe.name}``" + (f": {first}" if first else ".")]
    return lines


def facts_text(facts: Mapping[str, Fact]) -> str:
    """Return a section for every fact with the fields of its value, as RST."""
    done: set[type] = set()
    return "\n".join(_fact(fact, done) for fact in sorted(facts.values(), key=lambda f: f.name))


def _fact(fact: Fact, done: set[type]) -> str:
    title = f"``{fact.name}``"
    lines = [f".. _fact-{fact.name}:", "", title, "-" * len(title), "", _dedented(fact.doc), ""]
    lines += [f"- Source: ``{fact.source}``", f"- Needs: {_needs(fact)}"]
    returned = get_type_hints(fact.read).get("return")
    annotation = fact.read.__annotations__.get("return", "")
    lines.append(f"- Value: {_value(annotation, returned)}")
    for kind in _classes(returned):
        if kind not in done:
            done.add(kind)
            lines += _class(kind)
    return "\n".join(lines) + "\n"


def _needs(fact: Fact) -> str:
    if not fact.of_host:
        return "the API alone"
    needs = []
    if fact.sections:
        rooted = [s.root for s in fact.sections]
        needs.append("the host" + (", as root" if all(rooted) else ""))
    if fact.probes:
        needs.append("a look from outside (``--droplets-probe=on``)")
    return " and ".join(needs)


def _value(annotation: object, returned: object) -> str:
    shown = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    links = [f":ref:`{c.__name__} <{_label(c)}>`" for c in _own(returned)]
    return f"``{shown}``" + (f" ({', '.join(links)})" if links else "")


def _class(kind: type) -> list[str]:
    heading = f"``{kind.__name__}``"
    doc = _ATTRIBUTES.sub("", inspect.getdoc(kind) or "").strip()
    lines = ["", f".. _{_label(kind)}:", "", heading, "~" * len(heading), "", doc]
    rows = [*_fields(kind), *_members(kind)]
    if rows:
        lines += ["", ".. list-table::", "   :widths: 30 30 40", ""]
        for name, hint, text in rows:
            lines += [f"   * - ``{name}``", f"     - ``{hint}``", f"     - {text}"]
    return lines


def _fields(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of the fields of a dataclass."""
    meanings = _attributes(kind)
    for field in dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ():
        if not field.name.startswith("_"):
            yield field.name, str(field.type), meanings.get(field.name, "")


def _members(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of the properties and methods of a class."""
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property) and member.fget is not None:
            yield name, str(inspect.signature(member.fget).return_annotation), _first_line(member)
        elif inspect.isfunction(member):
            signature = inspect.signature(member)
            shown = ", ".join(str(p) for p in list(signature.parameters.values())[1:])
            yield f"{name}({shown})", str(signature.return_annotation), _first_line(member)


def _classes(hint: object) -> Iterator[type]:
    """Yield the classes of facts that a type is made of, those of their fields included."""
    for kind in _own(hint):
        yield kind
        if dataclasses.is_dataclass(kind):
            for inner in get_type_hints(kind).values():
                for found in _classes(inner):
                    if found is not kind:
                        yield found


def _own(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and hint.__module__.startswith("pytest_droplet.facts"):
        yield hint
    for inner in get_args(hint):
        yield from _own(inner)


def _label(kind: type) -> str:
    return f"value-{kind.__module__.rpartition('.')[2]}-{kind.__name__}".lower().replace("_", "-")


def _attributes(kind: type) -> dict[str, str]:
    """Return what the section ``Attributes:`` of a docstring says, by name, on one line each."""
    found = _ATTRIBUTES.search(inspect.getdoc(kind) or "")
    if found is None:
        return {}
    parts = _ATTRIBUTE.split(textwrap.dedent(found[1]))
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: " ".join(text.split()) for name, text in pairs}


def _recommendations(check: Check) -> tuple[int, ...]:
    if check.family == "tls" and check.guide:
        return (9, 10)
    return (check.guide,) if check.guide else ()


def _first_line(member: object) -> str:
    return " ".join((inspect.getdoc(member) or "").partition("\n\n")[0].split())


def _dedented(doc: str) -> str:
    return inspect.cleandoc(doc)


def _listed(names: Iterable[str]) -> str:
    order = {name: place for place, name in enumerate(PROFILES)}
    found = sorted(names, key=lambda n: order.get(n, len(order)))
    return ", ".join(f"``{n}``" for n in found) or "none: it always runs"
