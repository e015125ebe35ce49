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
    """The test above can fail: an audit imports all of it."""
    audit.makepyfile(test_other=LIST.replace("plain():", "plain(droplet):"))
    result = audit.runpytest_subprocess(
        "--droplets=all", "--droplets-replay=recording", "-k", "plain and db-1"
    )
    result.assert_outcomes(passed=1)
    found = set(json.loads((audit.path / "modules.json").read_text()))
    assert {"asyncssh", "testinfra.backend", "pytest_droplet.connection.pool"} <= found
