"""Ordinary tests on Droplets: each phase of theirs has the verdict that a reader expects."""

from __future__ import annotations

import json
from typing import Any

import pytest

TESTS = """
import pytest

@pytest.fixture
def breaks_before(droplet):
    raise RuntimeError("cannot prepare")

@pytest.fixture
def breaks_after(droplet):
    yield
    raise RuntimeError("cannot clean up")

@pytest.mark.skip(reason="not now")
def test_is_skipped(droplet):
    pass

def test_cannot_begin(breaks_before):
    pass

def test_cannot_end(breaks_after):
    pass

def test_fails(droplet):
    assert droplet.name == "other"

def test_skips_itself(droplet):
    pytest.skip("no such thing here")

@pytest.mark.parametrize("port", [80, 443])
def test_with_a_parameter(droplet, port):
    assert port

def test_of_a_fact(droplet_kernel):
    assert droplet_kernel.system
"""


def run(audit: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run the tests on the recorded fleet."""
    audit.makepyfile(test_site=TESTS)
    fixed = ("--droplets=all", "--droplets-replay=recording", "--droplets-report=jsonl:out.jsonl")
    return audit.runpytest_inprocess(*fixed, *args)


def results(audit: pytest.Pytester, droplet_id: int) -> dict[str, dict[str, Any]]:
    """The last result of each test on a Droplet."""
    lines = map(json.loads, (audit.path / "out.jsonl").read_text("utf-8").splitlines())
    return {
        line["check"].rpartition("::")[2]: line
        for line in lines
        if line["type"] == "result" and line["droplet_id"] == droplet_id
    }


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_the_phase_that_decides_gives_the_verdict(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """Set-up, call and teardown; a parameter stays in the name, the Droplet does not."""
    run(audit, "--droplets=id:12", *workers)

    found = results(audit, 12)
    assert {name: line["verdict"] for name, line in found.items()} == {
        "test_is_skipped": "notapplicable",
        "test_cannot_begin": "error",
        "test_cannot_end": "error",
        "test_fails": "fail",
        "test_skips_itself": "notapplicable",
        "test_with_a_parameter[80]": "pass",
        "test_with_a_parameter[443]": "pass",
        "test_of_a_fact": "unknown",
    }
    assert "cannot prepare" in found["test_cannot_begin"]["traceback"]
    assert "cannot clean up" in found["test_cannot_end"]["traceback"]
    assert found["test_skips_itself"]["message"] == "no such thing here"
    assert "traceback" not in found["test_of_a_fact"]


def test_an_unknown_may_be_a_skip_where_the_user_says_so(audit: pytest.Pytester) -> None:
    """The record keeps the verdict, pytest has a skip that begins with UNKNOWN."""
    result = run(audit, "-k", "test_of_a_fact and web-1", "--droplets-unknown=skip", "-rs")

    assert result.ret is pytest.ExitCode.OK
    result.assert_outcomes(skipped=1, deselected=31)
    result.stdout.fnmatch_lines(["SKIPPED * UNKNOWN uname*"])
    assert results(audit, 12)["test_of_a_fact"]["verdict"] == "unknown"


def test_a_droplet_that_is_off_is_not_asked(audit: pytest.Pytester) -> None:
    """A fact of its host is not applicable, with the reason; what the API says is judged."""
    run(audit)

    off = results(audit, 14)
    assert (off["test_of_a_fact"]["verdict"], off["test_of_a_fact"]["message"]) == (
        "notapplicable",
        "web-3 is off",
    )
    assert off["test_fails"]["verdict"] == "fail"


def test_a_waiver_accepts_an_ordinary_test(audit: pytest.Pytester) -> None:
    """By the name of the test, as of any check; other Droplets fail as before."""
    (audit.path / "droplet-waivers.toml").write_text(
        '[[waiver]]\ncheck = "*::test_fails"\ndroplets = "name:web-1"\n'
        'reason = "It is renamed soon."\nexpires = 2099-01-01\nowner = "ops"\n'
    )

    result = run(audit, "-k", "test_fails")

    result.assert_outcomes(failed=3, xfailed=1, deselected=28)
    assert results(audit, 12)["test_fails"]["verdict"] == "waived"


def test_without_droplets_a_test_of_ours_is_skipped(audit: pytest.Pytester) -> None:
    """And says why; a test that asks for nothing of ours runs."""
    audit.makepyfile(test_site="def test_a(droplet): pass\ndef test_b(): pass\n")

    result = audit.runpytest_inprocess("-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *: no --droplets"])
