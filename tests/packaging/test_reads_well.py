"""What is printed for people who look for an option, a check or a fixture."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pytest_droplet.catalogue import shipped
from pytest_droplet.facts import all_facts
from pytest_droplet.options import OPTIONS
from pytest_droplet.printing import explain
from tests.examples.fleet import write_fleet

WIDTH = 80


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """A recording of the small fleet."""
    return str(write_fleet(tmp_path / "recording"))


def test_help_has_a_group_of_its_own(pytester: pytest.Pytester, narrow: None) -> None:
    """Every option is in one group, with a sentence, within 80 columns."""
    text = pytester.runpytest_subprocess("--help").stdout.str()
    group = text.partition("DigitalOcean Droplets (pytest-droplet):\n")[2].partition("\n\n")[0]
    found = re.findall(r"^  (--droplets[\w-]*)", group, re.MULTILINE)

    assert found == ["--droplets", *(option.flag for option in OPTIONS)]
    assert max(map(len, group.splitlines())) <= WIDTH
    assert "%(" not in group
    for option in OPTIONS:
        told = " ".join(group.partition(option.flag)[2].partition("\n  --")[0].split())
        assert option.help.split()[0] in told
        assert option.default is None or f"(default: {option.default})" in told


def test_help_lists_the_ini_keys(pytester: pytest.Pytester) -> None:
    """Every ini key says which option it is the default of."""
    text = " ".join(pytester.runpytest_subprocess("--help").stdout.str().split())

    for option in OPTIONS:
        assert (f"{option.key} (string): default of {option.flag}:" in text) == option.ini


def test_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    """``pytest --fixtures`` has every fact and every fixture of ours, each with a sentence."""
    pytester.makepyfile("def test_nothing(): pass")
    text = pytester.runpytest_subprocess("--fixtures", "-v").stdout.str()
    ours = re.findall(r"^(droplet\w*)[^\n]*\n((?:    .*\n)+)", text, re.MULTILINE)

    assert {name for name, _ in ours} == {"droplet", "droplet_settings", *all_facts()}
    assert not [name for name, doc in ours if "no docstring" in doc]
    assert "/" not in {name for name, _ in ours}


def test_the_list_is_a_table(pytester: pytest.Pytester, recording: str) -> None:
    """``--droplets-list`` has a line for each selected Droplet, in columns, and runs no test."""
    result = pytester.runpytest_subprocess(
        "--droplets=tag:prod", f"--droplets-replay={recording}", "--droplets-list"
    )

    assert result.ret == 0
    assert result.outlines == [
        "ID    NAME   STATUS  REGION  ADDRESS    TAGS",
        "1001  web-1  active  fra1    127.0.0.1  prod,web",
        "1002  web-2  active  fra1    127.0.0.1  prod,web",
        "1003  db-1   active  fra1    127.0.0.1  prod",
    ]


@pytest.mark.parametrize("check_id", sorted({c.base_id for c in shipped().values()}))
def test_every_check_explains_itself(check_id: str) -> None:
    """Its page has title, severity, why it matters and how to mend it."""
    text = explain(check_id)

    check = next(c for c in shipped().values() if c.base_id == check_id)
    assert text.startswith(check_id)
    assert check.doc.title in text
    assert f"severity: {check.severity}" in text
    assert "\nRationale:\n    " in text
    assert "\nRemediation:\n    " in text


def test_a_page_is_printed(pytester: pytest.Pytester) -> None:
    """``--droplets-explain`` prints the page and what is read on the host, and runs no test."""
    result = pytester.runpytest_subprocess("--droplets-explain=ssh.root-login-disabled")

    assert result.ret == 0
    assert result.outlines[0] == "ssh.root-login-disabled"
    result.stdout.fnmatch_lines(["Read on the host:", "    sshd (only as root):", "        *"])


def test_an_unknown_check_is_answered_with_its_like(pytester: pytest.Pytester) -> None:
    """A misspelt id names the nearest ones."""
    result = pytester.runpytest_subprocess("--droplets-explain=ssh.root-login")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *there is no such check; did you mean ssh.root-login-*"])


def test_the_script_is_one_for_sh(pytester: pytest.Pytester, tmp_path: Path) -> None:
    """``--droplets-show-script`` prints what hosts would run, and ``sh -n`` can read it."""
    result = pytester.runpytest_subprocess("--droplets-show-script", "--droplets-profile=all")
    script = tmp_path / "script.sh"
    script.write_text(result.stdout.str())

    assert result.ret == 0
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert "sshd" in script.read_text()
