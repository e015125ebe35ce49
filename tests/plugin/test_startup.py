"""What the plugin costs a run that audits nothing: a few small modules, and nothing sent."""

from __future__ import annotations

import json
import sys

import pytest

LIST = """
import json
import sys
from pathlib import Path

def test_plain():
    Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
"""
OURS = {
    "pytest_droplet",
    *("pytest_droplet.hooks", "pytest_droplet.options", "pytest_droplet.plugin"),
    "pytest_droplet.words",
}


def imported(pytester: pytest.Pytester, *args: str) -> set[str]:
    """Return the modules that a run has imported; other plugins than testinfra are off."""
    pytester.makepyfile(test_plain=LIST)
    off = ("html", "metadata", "xdist", "randomly", "timeout", "rerunfailures", "hypothesispytest")
    blocked = [word for name in off for word in ("-p", f"no:{name}")]
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *blocked, *args)
    result.assert_outcomes(passed=1)
    return set(json.loads((pytester.path / "modules.json").read_text()))


def test_a_run_without_droplets_imports_next_to_nothing(pytester: pytest.Pytester) -> None:
    """No HTTP client, no SSH, no backend of testinfra, no check: our entry, and what Python has."""
    added = imported(pytester) - imported(pytester, "-p", "no:droplet")

    assert {n for n in added if n.startswith("pytest_droplet")} == OURS
    others = {n.partition(".")[0] for n in added - OURS}
    assert others <= sys.stdlib_module_names
    for slow in ("pydo", "azure", "asyncssh", "cryptography", "asyncio", "testinfra", "ssl"):
        assert not {n for n in added if n.partition(".")[0] == slow}, slow


def test_the_list_would_show_what_an_audit_needs(audit: pytest.Pytester) -> None:
    """The test above can fail: an audit imports more; a replay none of SSH, which it needs not."""
    audit.makepyfile(test_other=LIST.replace("plain():", "plain(droplet):"))
    result = audit.runpytest_subprocess(
        "--droplets=all", "--droplets-replay=recording", "-k", "plain and db-1"
    )
    result.assert_outcomes(passed=1)
    found = set(json.loads((audit.path / "modules.json").read_text()))
    assert {"testinfra.backend", "pytest_droplet.audit"} <= found
    assert not {"asyncssh", "pytest_droplet.connection.pool"} & found


WINDOWS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        ours = frame.f_globals.get("__name__", "").startswith("pytest_droplet")
        if ours and name in {"fcntl", "grp", "pwd", "resource", "termios"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def windows(audit: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """What lets our modules see none of those that Python has on POSIX systems alone."""
    (audit.path / "windows.py").write_text(WINDOWS)
    monkeypatch.setenv("PYTHONPATH", str(audit.path))
    return "-p", "windows", "-p", "no:cacheprovider"


def test_windows_replays(audit: pytest.Pytester, windows: tuple[str, ...]) -> None:
    """And writes its reports: no part of that needs what Python has on POSIX systems alone."""
    wanted = ("--droplets-report=jsonl:r.jsonl", "--droplets-report=csv:r.csv", "--html=r.html")
    result = audit.runpytest_subprocess(
        *windows, "--droplets=all", "--droplets-replay=recording", *wanted
    )
    assert result.ret is pytest.ExitCode.TESTS_FAILED
    for name in ("r.jsonl", "r.csv", "r.html"):
        assert (audit.path / name).stat().st_size > 1000


def test_windows_is_told_which_system_reads_hosts(
    audit: pytest.Pytester, windows: tuple[str, ...]
) -> None:
    """In one line, before a token is asked for."""
    result = audit.runpytest_subprocess(*windows, "--droplets=all")
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    assert len(errors) == 1
    assert "--droplets reads live Droplets from Linux or macOS alone" in errors[0]
    assert "run it there, in WSL or in a container" in errors[0]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
