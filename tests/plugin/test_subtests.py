"""A test with subtests has one result: what its worst subtest came to."""

from __future__ import annotations

import json
from typing import Any

import pytest

REPLAY = ("--droplets=all", "--droplets-replay=recording")
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])

TESTS = """
import pytest
from pytest_droplet import NotObservedError, check

def test_all_pass(droplet, subtests):
    with subtests.test(msg="x"):
        assert True

def test_two_of_three_fail(droplet, subtests):
    for port in (22, 80, 443):
        with subtests.test(msg="port", port=port, host=droplet.name):
            assert port == 22, f"{port} is closed"

@check("site.bare", severity="high")
def test_without_words(droplet, subtests):
    with subtests.test():
        raise RuntimeError("broken")

def test_one_is_not_observed(droplet, subtests):
    with subtests.test("a"):
        pass
    with subtests.test("b", n=1):
        raise NotObservedError("nothing was read")

def test_a_failure_beats_what_is_not_observed(droplet, subtests):
    with subtests.test("b"):
        raise NotObservedError("nothing was read")
    with subtests.test("a"):
        assert False, "no"

def test_it_fails_too(droplet, subtests):
    with subtests.test("a"):
        assert False, "no"
    assert False, "nor this"

def test_it_is_not_observed_too(droplet, subtests):
    with subtests.test("a"):
        assert False, "no"
    raise NotObservedError("nothing was read")

def test_it_skips_after_a_failure(droplet, subtests):
    with subtests.test("a"):
        assert False, "no"
    pytest.skip("enough")

def test_some_are_skipped(droplet, subtests):
    with subtests.test("a"):
        pytest.skip("not here")
    with subtests.test("b"):
        pass

def test_all_are_skipped(droplet, subtests):
    with subtests.test("a"):
        pytest.skip("not here")
    with subtests.test("b"):
        pytest.xfail("later")

@pytest.mark.xfail(reason="known", strict=False)
def test_is_expected_to_fail(droplet, subtests):
    with subtests.test("a"):
        assert False, "no"

@pytest.mark.xfail(reason="known", strict=False)
def test_what_is_not_observed_is_never_expected(droplet, subtests):
    with subtests.test("a"):
        raise NotObservedError("nothing was read")
"""
WANTED = {
    "test_all_pass": ("pass", ""),
    "test_two_of_three_fail": (
        "fail",
        (
            "2 of 3 subtests failed: [port] (port=80, host='web-1'): 80 is closed;"
            " [port] (port=443, host='web-1'): 443 is closed"
        ),
    ),
    "site.bare": ("fail", "1 of 1 subtest failed: RuntimeError: broken"),
    "test_one_is_not_observed": (
        "unknown",
        "1 of 2 subtests not observed: [b] (n=1): nothing was read",
    ),
    "test_a_failure_beats_what_is_not_observed": ("fail", "1 of 2 subtests failed: [a]: no"),
    "test_it_fails_too": ("fail", "nor this; 1 of 1 subtest failed: [a]: no"),
    "test_it_is_not_observed_too": ("fail", "1 of 1 subtest failed: [a]: no"),
    "test_it_skips_after_a_failure": ("fail", "1 of 1 subtest failed: [a]: no"),
    "test_some_are_skipped": ("pass", ""),
    "test_all_are_skipped": (
        "notapplicable",
        "2 of 2 subtests skipped: [a]: not here; [b]: expected to fail: later",
    ),
    "test_is_expected_to_fail": (
        "notapplicable",
        "1 of 1 subtest skipped: [a]: expected to fail: known",
    ),
    "test_what_is_not_observed_is_never_expected": (
        "unknown",
        "1 of 1 subtest not observed: [a]: nothing was read",
    ),
}
MANY = """
def test_many(droplet, subtests):
    for number in range(3):
        with subtests.test(msg="x", number=number):
            assert number == 0, "always"

def test_other(droplet):
    pass
"""


def run(audit: pytest.Pytester, *args: str, record: str = "out.jsonl") -> pytest.RunResult:
    """Run pytest on the recorded fleet, with a record."""
    return audit.runpytest_inprocess(*REPLAY, f"--droplets-report=jsonl:{record}", *args)


def lines(audit: pytest.Pytester, kind: str = "result") -> list[dict[str, Any]]:
    """The record's lines of one type."""
    texts = (audit.path / "out.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, texts) if line["type"] == kind]


@WORKERS
def test_one_result_for_a_test_and_droplet(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """The worst outcome decides; the message names the subtests that led to it."""
    audit.makepyfile(test_site=TESTS)
    result = run(audit, "-k", "web-1", *workers)
    results = lines(audit)
    found = {r["check"].rpartition("::")[2]: (r["verdict"], r["message"]) for r in results}
    assert found == WANTED
    assert len({r["fingerprint"] for r in results}) == len(results) == len(WANTED)
    assert result.ret is pytest.ExitCode.TESTS_FAILED
    of_fail = next(r for r in results if r["check"].endswith("two_of_three_fail"))
    assert "80 is closed" in of_fail["traceback"]
    assert "443 is closed" in of_fail["traceback"]


def test_pytest_shows_what_the_record_has(audit: pytest.Pytester) -> None:
    """Pytest's own lines of subtests stay; the test itself is as red as its verdict."""
    audit.makepyfile(test_site=TESTS)
    result = run(audit, "-k", "web-1", "-v", "-rA", "--junitxml=out.xml")
    result.stdout.fnmatch_lines(
        [
            "*::test_two_of_three_fail[[]web-1-12[]] SUBFAILED[[]port[]] (port=80, host='web-1')*",
            "*::test_two_of_three_fail[[]web-1-12[]] FAILED*",
            "*::test_one_is_not_observed[[]web-1-12[]] ERROR*",
            "*::test_it_skips_after_a_failure[[]web-1-12[]] FAILED*",
            "*::test_all_are_skipped[[]web-1-12[]] SKIPPED*",
        ]
    )
    result.stdout.fnmatch_lines(["UNKNOWN [[]b[]] (n=1): nothing was read"])
    junit = (audit.path / "out.xml").read_text()
    assert '<property name="verdict" value="unknown" />' in junit
    assert "80 is closed" in junit


@WORKERS
def test_a_fleet_that_did_not_change_has_no_changes(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """The baseline of an unchanged fleet: nothing new, nothing fixed."""
    audit.makepyfile(test_site=MANY)
    run(audit, *workers, record="before.jsonl")
    result = run(audit, *workers, "--droplets-baseline=before.jsonl")
    shown = " ".join(result.stdout.str().split())
    assert ": 0 new, 0 fixed, 4 still failing, 0 newly waived" in shown
    assert [r["verdict"] for r in lines(audit)].count("fail") == 4


@WORKERS
def test_lf_runs_what_a_subtest_failed(audit: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """The test failed, so that --lf has it, and not the one that passed."""
    audit.makepyfile(test_site=MANY)
    run(audit, *workers)
    run(audit, *workers, "--lf")
    assert {r["check"].rpartition("::")[2] for r in lines(audit)} == {"test_many"}


@WORKERS
def test_x_ends_at_the_first_subtest(audit: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """Its exception ends the test as well: one failed subtest, one result."""
    audit.makepyfile(test_site=MANY)
    result = run(audit, "-x", "-k", "many and db-1", *workers)
    assert result.ret is not pytest.ExitCode.OK
    results = lines(audit)
    assert [(r["verdict"], r["message"]) for r in results][:1] == [
        ("fail", "1 of 2 subtests failed: [x] (number=1): always")
    ]
    assert len(results) == 1


WAIVER = """
[[waiver]]
check = "*::test_*"
reason = "known"
expires = 2099-01-01
"""


def test_a_waiver_accepts_failed_subtests(audit: pytest.Pytester) -> None:
    """The run is green, subtests too; one that was not observed stays red beside them."""
    audit.makepyfile(test_site=MANY)
    (audit.path / "droplet-waivers.toml").write_text(WAIVER)
    assert run(audit, "-k", "many").ret is pytest.ExitCode.OK
    assert {r["verdict"] for r in lines(audit)} == {"waived"}

    audit.makepyfile(test_site=TESTS)
    beaten = "test_a_failure_beats_what_is_not_observed and web-1"
    assert run(audit, "-k", beaten).ret is pytest.ExitCode.TESTS_FAILED
    assert [(r["verdict"], r["message"]) for r in lines(audit)] == [
        ("unknown", "1 of 2 subtests not observed: [b]: nothing was read")
    ]


def test_an_unknown_subtest_may_be_a_skip_where_the_user_says_so(audit: pytest.Pytester) -> None:
    """As with any unknown: the record keeps the verdict."""
    audit.makepyfile(test_site=TESTS)
    result = run(audit, "-k", "test_one_is_not_observed and web-1", "--droplets-unknown=skip")
    assert result.ret is pytest.ExitCode.OK
    assert [r["verdict"] for r in lines(audit)] == ["unknown"]


@WORKERS
def test_subtests_of_unittest(audit: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """``self.subTest`` counts as the fixture does; such a class is about no Droplet."""
    audit.makepyfile(
        test_site="""
        import unittest
        import pytest

        @pytest.mark.usefixtures("droplet_settings")
        class TestSite(unittest.TestCase):
            def test_them(self):
                for number in range(3):
                    with self.subTest("x", number=number):
                        self.assertEqual(number, 0, "always")

            def test_well(self):
                for number in range(3):
                    with self.subTest(number=number):
                        if number:
                            self.skipTest("not here")
        """
    )
    run(audit, *workers)
    found = {r["check"].rpartition("::")[2]: r for r in lines(audit)}
    assert {name: r["verdict"] for name, r in found.items()} == {
        "test_them": "fail",
        "test_well": "pass",
    }
    message = found["test_them"]["message"]
    assert message.startswith("2 of 3 subtests failed: [x] (number=1): ")
    assert "always; [x] (number=2): " in message


def test_a_long_list_of_subtests_is_bounded(audit: pytest.Pytester) -> None:
    """The number of those that failed stands first, so that no cut hides it."""
    audit.makepyfile(
        test_site="""
        def test_many(droplet, subtests):
            for number in range(300):
                with subtests.test("x" * 50, number=number):
                    assert False, "y" * 500
        """
    )
    run(audit, "-k", "web-1", "--tb=no")
    (result,) = lines(audit)
    assert result["message"].startswith("300 of 300 subtests failed: [xxx")
    assert len(result["message"]) == 2000
    assert len(result["traceback"]) <= 20000


IN_FIXTURES = """
import pytest

@pytest.fixture
def begins(subtests):
    with subtests.test("begins", n=1):
        assert False, "not well begun"

@pytest.fixture
def breaks(begins):
    raise OSError("boom")

@pytest.fixture
def ends(subtests):
    yield
    with subtests.test("ends", n=2):
        assert False, "not well ended"
    with subtests.test("skips"):
        pytest.skip("not here")

@pytest.fixture
def skips(subtests):
    yield
    with subtests.test("skips"):
        pytest.skip("not here")

def test_before(droplet):
    pass

def test_setup(droplet, begins, subtests):
    with subtests.test("c"):
        pass

def test_broken_setup(droplet, breaks):
    pass

def test_teardown(droplet, ends):
    pass

def test_skipped_teardown(droplet, skips):
    pass

def test_after(droplet):
    pass
"""


@WORKERS
def test_subtests_of_fixtures_count(audit: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """A fixture may have subtests before and after the test: they are the test's own."""
    audit.makepyfile(test_site=IN_FIXTURES)
    result = run(audit, "-k", "web-1", "-p", "no:rerunfailures", *workers)
    found = {r["check"].rpartition("::")[2]: (r["verdict"], r["message"]) for r in lines(audit)}
    begun = "[begins] (n=1): not well begun"
    assert found == {
        "test_before": ("pass", ""),
        "test_setup": ("fail", f"1 of 2 subtests failed: {begun}"),
        "test_broken_setup": ("fail", f"1 of 1 subtest failed: {begun}"),
        "test_teardown": ("fail", "1 of 2 subtests failed: [ends] (n=2): not well ended"),
        "test_skipped_teardown": ("pass", ""),
        "test_after": ("pass", ""),
    }
    assert result.ret is pytest.ExitCode.TESTS_FAILED


def test_a_rerun_has_one_result(audit: pytest.Pytester) -> None:
    """What pytest-rerunfailures runs again, and what breaks at its end, has its last verdict."""
    audit.makepyfile(
        test_site="""
        from pathlib import Path
        import pytest

        @pytest.fixture
        def breaks(droplet):
            yield
            raise OSError("boom")

        def test_flaky(droplet, subtests):
            tries = Path("tries")
            tries.write_text((tries.read_text() if tries.exists() else "") + "x")
            with subtests.test("a"):
                pass
            assert len(tries.read_text()) > 1

        def test_passes_and_breaks(breaks):
            pass

        def test_fails_and_breaks(breaks):
            assert False, "no"
        """
    )
    run(audit, "-k", "web-1", "--reruns=2")
    assert [(r["check"].rpartition("::")[2], r["verdict"]) for r in lines(audit)] == [
        ("test_flaky", "pass"),
        ("test_passes_and_breaks", "error"),
        ("test_fails_and_breaks", "fail"),
    ]
