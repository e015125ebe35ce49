"""The files of the host script: how they read, and that packing changes nothing of what they do."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import pytest_droplet
from pytest_droplet.connection import identity
from pytest_droplet.connection.script import ENVIRONMENT, FRAME, PRELUDE, compose
from pytest_droplet.facts import all_facts
from pytest_droplet.script_files import ScriptFile, packed_shell, read_script
from tests.support.ssh_server import needs

ROOT = Path(pytest_droplet.__file__).parent
PATHS = sorted(p.relative_to(ROOT).as_posix() for k in ("sh", "awk") for p in ROOT.rglob(f"*.{k}"))
FILES = [pytest.param(read_script(path), id=path) for path in PATHS]
SHELL = [pytest.param(read_script(path), id=path) for path in PATHS if path.endswith(".sh")]
AWK = [pytest.param(read_script(path), id=path) for path in PATHS if path.endswith(".awk")]
PROGRAMS = [pytest.param(file, id=path) for path in PATHS if (file := read_script(path)).variable]
LONGEST_LINE = 100


def minified(text: str) -> str:
    """Return what shfmt makes of shell text: its meaning, in one form."""
    tool = Path(sysconfig.get_path("scripts"), "shfmt")
    needs(str(tool))
    done = subprocess.run(
        [tool, "-ln=posix", "-mn"], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_for_people(file: ScriptFile) -> None:
    """It begins with what it is for, and no line is long or has a tab."""
    assert file.text.startswith("# ")
    assert file.text.endswith("\n")
    assert max(map(len, file.text.splitlines())) <= LONGEST_LINE
    assert "\t" not in file.text


@pytest.mark.parametrize("file", SHELL)
def test_a_section_says_what_it_prints(file: ScriptFile) -> None:
    """The comment at the head of a section tells what each line of its output means."""
    if file.path.startswith("facts/") and not file.variable:
        head = file.text.partition("\n\n")[0]
        assert "\n# Prints: " in head or "\n# Sets: " in head


def test_a_file_is_packed_once() -> None:
    """However many hosts are sent it: a run composes a script for each."""
    everything = [s for fact in all_facts().values() for s in fact.sections]
    compose(everything, "0" * 32)
    packed = packed_shell.cache_info().misses

    compose(everything, "1" * 32)

    assert packed_shell.cache_info().misses == packed > 0


def test_names_are_unique() -> None:
    """What sections share is sent as a variable of its name, and so are programs."""
    names = [read_script(path).name for path in PATHS]

    assert len(set(names)) == len(names)


def test_every_file_is_sent() -> None:
    """There is no file that no section has, and each section is of files."""
    sections = [
        s
        for f in all_facts().values()
        for s in (*f.sections, *(s for p in f.probes for s in p.sections))
    ]
    used = {file for s in (*sections, identity.section(7)) for file in s.files}

    assert [s.name for s in sections if not s.files] == []
    assert {file.path for file in (*used, FRAME, ENVIRONMENT, PRELUDE)} == set(PATHS)


@pytest.mark.parametrize("file", SHELL)
def test_packing_changes_nothing_that_sh_reads(file: ScriptFile) -> None:
    """Packed and unpacked text are the same program."""
    assert minified(file.packed) == minified(file.text)


@pytest.mark.parametrize("file", FILES)
def test_packing_takes_away_comments_and_indentation_alone(file: ScriptFile) -> None:
    """Every line of what is sent is one of the file; those between are comments, or empty."""
    left = iter(file.text.splitlines())
    for line in file.packed.splitlines():
        for whole in left:
            if line in {whole, whole.lstrip(" "), whole.partition(" # ")[0].lstrip(" ")}:
                break
            assert whole.lstrip(" ")[:1] in {"", "#"}
        else:
            pytest.fail(f"a line that is not in the file: {line}")
    assert all(whole.lstrip(" ")[:1] in {"", "#"} for whole in left)
    assert not any(line.startswith("#") for line in file.packed.splitlines())


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("# a\n  # b's\necho 1 # it's\n    echo 2\n", "echo 1\necho 2\n"),
        ("x='\n  # kept\n'\n  y=1\n", "x='\n  # kept\n'\ny=1\n"),
        ('x="\n  # kept\n  \\"\n"\n  y=1\n', 'x="\n  # kept\n  \\"\n"\ny=1\n'),
        ("echo \\'\n  # b\n  echo $# ${x#y} a#b\n", "echo \\'\necho $# ${x#y} a#b\n"),
        ("a \\\n    b\n\n  c\n", "a \\\nb\nc\n"),
        ("a \\\n\n  c\n", "a \\\n\nc\n"),
    ],
)
def test_packing_knows_quotes(text: str, packed: str) -> None:
    """What stands in quotes that span lines is left alone; a quote in a comment is none."""
    assert packed_shell(text) == packed


@pytest.mark.parametrize("file", AWK)
def test_an_awk_program_is_clean(file: ScriptFile) -> None:
    """Gawk has nothing to say of it."""
    if shutil.which("gawk") is None:
        pytest.skip("gawk is not here")
    for text in (file.text, file.packed):
        done = subprocess.run(
            ["gawk", "--lint", text], input="", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("file", PROGRAMS)
def test_a_program_can_be_read_in_quotes(file: ScriptFile) -> None:
    """What is sent as a variable has no quote that would have to be escaped."""
    assert "'" not in file.text
