"""Names, blocks and links of the documentation are those of the code."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.audit import needed_facts, reading_plan
from pytest_droplet.catalogue import shipped
from pytest_droplet.collection import CONTROL_MARK
from pytest_droplet.connection.script import compose
from pytest_droplet.facts import all_facts
from pytest_droplet.model import AccountKey, Reading
from pytest_droplet.options import OPTIONS
from pytest_droplet.record import key_lines
from pytest_droplet.selection import _KEYS, parse_selectors
from pytest_droplet.settings import Settings
from pytest_droplet.testing import Cloud
from pytest_droplet.verdict import given_names
from tests.examples.fleet import NOW
from tests.support.accounts import read_account

from .markdown import PAGES, ROOT, blocks, commands, in_the_repository, name_of

DOCS = ROOT / "docs"
IN_THE_RECORD = {"droplet_id", "droplet_ids", "droplet_name", "droplets_added", "droplets_gone"}
FLAGS = {"--droplets", *(option.flag for option in OPTIONS)}
KEYS = {option.key for option in OPTIONS if option.ini}

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@every_page
def test_python_blocks_compile(page: Path) -> None:
    """Every block of Python is Python."""
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{name_of(page)}: {block.caption}", "exec")


@every_page
def test_options_and_ini_keys_exist(page: Path) -> None:
    """Every ``--droplets...`` and every ini key that a page names is in the table."""
    text = page.read_text("utf-8")

    assert set(re.findall(r"--droplets(?:-[a-z]+)*", text)) <= FLAGS
    assert set(re.findall(r"\bdroplets_\w+", text)) <= KEYS | IN_THE_RECORD


@every_page
def test_checks_and_facts_exist(page: Path) -> None:
    """Every check, fact and fixture that a page names exists, or the page itself defines it."""
    text = page.read_text("utf-8")
    families = {check.family for check in shipped().values()}
    bases = {check.base_id for check in shipped().values()}
    named = re.findall(rf"(?<![\w/.])((?:{'|'.join(families)})\.[a-z*][a-z*-]+)\b\*?", text)
    for check_id in named:
        if not check_id.endswith((".py", ".service", ".socket")):
            assert any(fnmatchcase(base, f"{check_id}*") for base in bases), check_id
    known = set(all_facts()) | given_names() | {"droplet_check", CONTROL_MARK} | IN_THE_RECORD
    defined = set(re.findall(r"def (droplet_\w+)", text))
    used = set(re.findall(r"(?<![\w.])droplet_\w+", text))
    assert used - known - defined <= set(_own_facts(page))


def _own_facts(page: Path) -> list[str]:
    return [n for p in page.parent.glob("*.py") for n in re.findall(r"def (\w+)", p.read_text())]


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every link into the repository names a file of it, and a heading that is in it."""
    text = in_the_repository(page.read_text("utf-8"))
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not heading or heading in headings(path), f"{target}#{heading}"


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub and MyST give to the headings of a page of Markdown."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_a_link_to_nowhere_is_found() -> None:
    """The headings of a page are those that a reader sees, not those in its code."""
    assert "the-token-of-doctl" in headings(DOCS / "reference/options.md")
    assert "the-token-of-nobody" not in headings(DOCS / "reference/options.md")


def test_no_page_is_left_out_of_the_menu() -> None:
    """Every page of the documentation is in a table of contents of the first page."""
    index = (DOCS / "index.md").read_text("utf-8")
    listed = set(re.findall(r"^([\w/-]+)$", index, re.MULTILINE))

    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/")
        if page.is_relative_to(DOCS) and name != "index":
            assert name in listed or page.parent.name in {"how-to", "explanation"}, name
            assert f"({page.relative_to(DOCS).as_posix()})" in index, name


@every_page
def test_console_blocks_hold_known_commands(page: Path) -> None:
    """A command is pytest's, which is run elsewhere, or one of those that set it up."""
    allowed = {"pytest", "pip", "python", "python3", "export", "coverage"}
    allowed |= {"docker", "gh", "pipx", "sudo", "uvx"}
    for words in commands(page):
        command = next(word for word in words if not re.fullmatch(r"[A-Z_]+=\S*", word))
        assert Path(command).name in allowed, words


def test_contributors_are_sent_to_what_is_there() -> None:
    """Every file, folder and module that the page for contributors names exists."""
    page = DOCS / "contributing.md"
    text = page.read_text("utf-8")
    modules = [w[2].replace(".", "/") for w in commands(page) if w[1:2] == ["-m"]]
    named = re.findall(r"`((?:tests|docs|pytest_droplet|\.ci)/[\w./-]*\w)`", text)

    assert len(named) > 5
    for name in [*named, *(m for m in modules if m.startswith("tests"))]:
        assert (ROOT / name).exists() or (ROOT / f"{name}.py").exists(), name


def test_the_table_of_terms_is_the_selector_language() -> None:
    """Every term in the table can be parsed, and every key of the language has a row."""
    text = (DOCS / "reference/options.md").read_text("utf-8").partition("| term |")[2]
    rows = [line for line in text.partition("\n\n")[0].splitlines() if line.startswith("| `")]
    terms = [term for row in rows for term in re.findall(r"`([^`]+)`", row.split("|")[1])]

    for term in terms:
        parse_selectors([term])
    assert {term.partition(":")[0] for term in terms} >= {*_KEYS, "all", "demo"}


def test_no_command_that_writes_is_sent() -> None:
    """What the page of traces says is never sent to a host is in no section of any check."""
    page = (DOCS / "explanation/what-an-audit-leaves-behind.md").read_text("utf-8")
    table = page.partition("None of the first table")[2].partition("These are sent")[0]
    cells = re.findall(r"^\| (`[^|]+)\|", table, re.MULTILINE)
    never = [command for cell in cells for command in re.findall(r"`([^`]+)`", cell)]
    checks = list(shipped().values())
    names = [*all_facts(), *needed_facts(checks)]
    script = compose(reading_plan(names, probe=True)[0], "nonce")

    assert len(never) > 10
    for command in never:
        assert not re.search(rf"(?<![\w./-]){re.escape(command)}(?![\w-])", script), command


def test_the_settings_in_the_examples_exist() -> None:
    """Every key of a TOML block that is for droplet.toml is a setting."""
    for page in PAGES:
        for block in blocks(page):
            if block.language == "toml" and block.caption == "droplet.toml":
                for key in tomllib.loads(block.text):
                    assert hasattr(Settings(), key), key


def test_every_field_of_a_key_line_is_documented() -> None:
    """The fields of the record's key lines, which few runs have."""
    keys: tuple[AccountKey, ...] = (AccountKey(7, "laptop", "m", "k"),)
    account = Reading("GET /v2/account/keys", NOW, value=keys)
    entry = {
        "sha256": "s",
        "md5": "m",
        "type": "ssh-ed25519",
        "bits": 256,
        "options": [],
        "in_use": True,
    }
    place = {"user": "root", "file": "f", "line": 1, "comment": ""}
    row = {"missing": None, "value": [entry | place]}
    (line,) = key_lines([{"id": 1, "rows": {"droplet_authorized_keys": row}}], account)

    assert set(line) == fields("key")
    inner = {*line["where"][0], *line["account_key"]}
    assert {f"`{name}`" for name in inner} <= set(words("key"))


def test_the_page_of_the_record_has_what_its_schema_has() -> None:
    """Every field of every line, and of what lines hold, is on the page, and no other line is."""
    schema = json.loads((ROOT / "pytest_droplet/data/record.schema.json").read_text("utf-8"))
    lines = [k for k, d in schema["$defs"].items() if "type" in d.get("properties", {})]

    for kind in lines:
        assert fields(kind) == set(schema["$defs"][kind]["properties"]), kind
        code = {word.strip("`") for word in words(kind)}
        assert set(_inner(schema["$defs"][kind]["properties"], schema["$defs"])) <= code, kind
    page = (DOCS / "reference/record.md").read_text("utf-8")
    assert set(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == set(lines)


def _inner(node: object, defs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the fields below a part of a schema, its definitions looked up."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield from _inner(defs[node["$ref"].rpartition("/")[2]], defs)
        yield from node.get("properties", ())
        for value in node.values():
            yield from _inner(value, defs)
    elif isinstance(node, list):
        for value in node:
            yield from _inner(value, defs)


def fields(kind: str) -> set[str]:
    """Return the fields of a type of line that the page of the record lists."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section(kind), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def words(kind: str) -> list[str]:
    """Return everything that the section of a type of line has in code font."""
    return re.findall(r"`[^`\n]+`", section(kind))


def section(kind: str) -> str:
    """Return the section of the page of the record about a type of line."""
    text = (DOCS / "reference/record.md").read_text("utf-8")
    return text.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]


def test_the_scopes_of_the_tutorial_are_enough() -> None:
    """A token with the named scopes reads every list; without one of them, some are missing."""
    text = (DOCS / "tutorial.md").read_text("utf-8")
    named = re.findall(r"`(\w+:read)`", text.partition("are enough for all shipped checks")[0])

    def missing(scopes: list[str]) -> set[str]:
        cloud = Cloud()
        cloud.add("web-1", tags=["prod"], backups=True)
        with cloud.client(scopes) as client:
            inventory = read_account(client, now=cloud.now)
        lists = ("firewalls", "keys", "backup_policies", "backups")
        unread = {name for name in lists if getattr(inventory, name).missing is not None}
        return unread | set().union(*(d.hidden for d in inventory.droplets))

    assert len(named) == 6
    assert missing(named) == {"volume_ids"}
    for scope in set(named) - {"droplet:read"}:
        assert missing([s for s in named if s != scope]) > {"volume_ids"}, scope


def test_the_reasons_to_debug_are_those_of_the_code() -> None:
    """Every fixed part of a reason in the tables of that page stands in the source."""
    page = (DOCS / "how-to/debug-an-unknown.md").read_text("utf-8")
    reasons = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    source = "".join(p.read_text("utf-8") for p in (ROOT / "pytest_droplet").rglob("*.py"))
    parts = [p.strip(" :") for r in reasons for p in re.split(r"\.\.\.|\b[A-Z]{4,}\S*|\d+", r)]

    assert len(reasons) > 10
    assert [part for part in parts if len(part) > 5 and part not in source] == []
