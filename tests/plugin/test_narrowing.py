"""What a file of a project leaves out of a run is told, and what it mistypes ends the run."""

from __future__ import annotations

import json

import pytest

TESTS = """
def test_a(droplet): pass

def test_b(droplet): pass
"""
DEMO = ("--droplets=demo", "--droplets-profile=none")


def narrowed(pytester: pytest.Pytester, *options: str) -> list[dict[str, str]]:
    """Run the tests on the demo; return what the record says of what was left out."""
    pytester.makepyfile(test_x=TESTS)
    pytester.runpytest_inprocess(*DEMO, "--droplets-report=jsonl:record.jsonl", *options)
    header = (pytester.path / "record.jsonl").read_text().splitlines()[0]
    found: list[dict[str, str]] = json.loads(header).get("narrowed", [])
    return found


@pytest.mark.parametrize(
    ("addopts", "option", "value"),
    [
        ("-k test_a", "-k", "test_a"),
        ('-m "not slow"', "-m", "not slow"),
        ("--deselect test_x.py::test_a", "--deselect", "test_x.py::test_a"),
        ("--deselect=a --deselect 'b c'", "--deselect", "a 'b c'"),
        ("-x", "--maxfail", "1"),
        ("--maxfail=2", "--maxfail", "2"),
        ("--lf", "--lf", ""),
        ("--sw", "--stepwise", ""),
        ("--ignore=other", "--ignore", "other"),
        ("--noconftest", "--noconftest", ""),
        ("test_x.py", "arguments", "test_x.py"),
    ],
)
def test_what_an_ini_file_leaves_out_stands_in_the_record(
    pytester: pytest.Pytester, addopts: str, option: str, value: str
) -> None:
    """Each way that pytest itself has, with its value and the name of the file."""
    pytester.makeini(f"[pytest]\naddopts = {addopts}\n")

    found = narrowed(pytester)

    assert found == [{"option": option, "value": value, "source": "tox.ini"}]


def test_what_a_file_leaves_out_is_one_harmless_line(pytester: pytest.Pytester) -> None:
    """A checked-out project cannot draw on the terminal, nor write a line of its own."""
    pytester.makeini('[pytest]\naddopts = --deselect="a\x1b[2J\u202eb"\n')
    pytester.makepyfile(test_x=TESTS)

    result = pytester.runpytest_inprocess(*DEMO)

    told = [line for line in result.outlines if "left out by" in line]
    assert len(told) == 2
    assert all(line.isprintable() for line in told)


def test_a_gate_of_a_file_is_one_harmless_line(pytester: pytest.Pytester) -> None:
    """The header names it; so does the error of an option that no file may set."""
    (pytester.path / "a\x1b[2Jb.toml").write_text("")
    pytester.makeini("[pytest]\ndroplets_waivers = a\x1b[2Jb.toml\n")
    pytester.makepyfile(test_x=TESTS)

    told = pytester.runpytest_inprocess(*DEMO).outlines
    assert [line.isprintable() for line in told if "gate set by" in line] == [True]

    pytester.makeini('[pytest]\naddopts = --droplets-user="a\x1b[2Jb"\n')
    refused = pytester.runpytest_inprocess(*DEMO).errlines
    assert [line.isprintable() for line in refused if "addopts has" in line] == [True]


def test_the_command_line_is_told_from_the_file(pytester: pytest.Pytester) -> None:
    """What is typed wins, and is what stands there; arguments are what a run is about."""
    pytester.makeini("[pytest]\naddopts = -k test_a -x\n")

    found = narrowed(pytester, "-k", "test_b", "test_x.py")

    assert found == [
        {"option": "-k", "value": "test_b", "source": "command line"},
        {"option": "--maxfail", "value": "1", "source": "tox.ini"},
    ]


def test_nothing_is_said_where_nothing_was_left_out(pytester: pytest.Pytester) -> None:
    """Other options of a project leave no trace."""
    pytester.makeini("[pytest]\naddopts = -ra --color=no -p no:randomly\n")

    assert narrowed(pytester) == []


def test_header_summary_and_page_say_it(pytester: pytest.Pytester) -> None:
    """Of a file's options; the terminal says nothing of what its reader has typed."""
    pytester.makeini("[pytest]\naddopts = -k test_a\n")
    pytester.makepyfile(test_x=TESTS)

    result = pytester.runpytest_inprocess(*DEMO, "-m", "not slow", "--html=page.html")

    result.stdout.fnmatch_lines(
        [
            "droplets: tests left out by tox.ini: -k test_a",
            "NARROWED: tests were left out by tox.ini: -k test_a",
        ]
    )
    result.stdout.no_fnmatch_line("*left out by*not slow*")
    page = (pytester.path / "page.html").read_text()
    assert "Tests were left out by tox.ini: -k test_a" in page
    assert "Tests were left out by the command line: -m &#34;not slow&#34;" in page


@pytest.mark.parametrize(
    "option",
    [
        *("--collect-only", "--setup-plan", "--setup-only", "--fixtures", "--fixtures-per-test"),
        *("--markers", "--cache-show=x"),
    ],
)
def test_no_file_makes_a_run_do_nothing(pytester: pytest.Pytester, option: str) -> None:
    """Pytest would end with 0, and nothing would have been judged."""
    pytester.makeini(f"[pytest]\naddopts = {option}\n")
    pytester.makepyfile(test_x=TESTS)

    result = pytester.runpytest_inprocess("--droplets=demo")

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: tox.ini: addopts has {option[:8]}*"])
    alone = pytester.runpytest_inprocess()
    assert alone.ret is not pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("droplets_profil", "there is no such key; did you mean droplets_profile?"),
        ("droplets-profile", "there is no such key; did you mean droplets_profile?"),
        ("droplets_failon", "there is no such key; did you mean droplets_fail_on?"),
        ("droplets_user", "no file of a project may set it; type --droplets-user on *"),
        ("droplets", "no file of a project may set it; type --droplets on *"),
    ],
)
def test_a_mistyped_ini_key_ends_the_run(pytester: pytest.Pytester, key: str, hint: str) -> None:
    """It would run with the default, and only a warning would say so."""
    pytester.makeini(f"[pytest]\n{key} = cis1\n")

    result = pytester.runpytest_inprocess("--droplets=demo")

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: tox.ini: {key}: {hint}"])


_NATIVE = hasattr(pytest, "version_tuple") and pytest.version_tuple >= (9,)


@pytest.mark.skipif(not _NATIVE, reason="pytest 8 has no [tool.pytest]")
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("droplets_min_coverage = 50", {"min-coverage": 50}),
        ('droplets_min_coverage = "50"', {"min-coverage": 50}),
        ("droplets_probe = false", {"probe": "off"}),
        ('droplets_fail_on = ["high"]', {"fail-on": "high"}),
        ('droplets_profile = ["cis1", "extended"]', {"profile": "cis1,extended"}),
    ],
)
def test_native_tables_of_pytest_have_numbers_and_lists(
    pytester: pytest.Pytester, line: str, shown: dict[str, object]
) -> None:
    """``[tool.pytest]`` keeps the types of TOML."""
    pytester.makepyprojecttoml(f"[tool.pytest]\n{line}\n")
    pytester.makepyfile(test_x=TESTS)
    options = [o for o in DEMO if "profile" not in o]

    pytester.runpytest_inprocess(*options, "--droplets-report=jsonl:r.jsonl", "-k", "test_a")

    header = json.loads((pytester.path / "r.jsonl").read_text().splitlines()[0])
    assert shown.items() <= header["options"].items()


@pytest.mark.skipif(not _NATIVE, reason="pytest 8 has no [tool.pytest]")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("droplets_connections = true", "--droplets-connections=on (pyproject.toml): expected a*"),
        ("droplets_min_coverage = 99.5", "--droplets-min-coverage=99.5 (*): expected a whole *"),
        ('droplets_probe = ["on", "off"]', "--droplets-probe=on,off (*): choose from on, off"),
    ],
)
def test_a_native_value_that_is_none_is_one_line(
    pytester: pytest.Pytester, line: str, message: str
) -> None:
    """As from any other file."""
    pytester.makepyprojecttoml(f"[tool.pytest]\n{line}\n")

    result = pytester.runpytest_inprocess("--droplets=demo")

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
