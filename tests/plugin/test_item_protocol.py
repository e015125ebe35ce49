"""What pytest and its plugins do to ordinary tests, they do to checks."""

from __future__ import annotations

import json
from typing import Any

import pytest

REPLAY = ("--droplets=all", "--droplets-replay=recording")
ONE_EACH = """
from pytest_droplet import check

@check("site.size")
def test_size(droplet):
    assert droplet.size == "huge"
"""


def run(audit: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest on the recorded fleet, with a record."""
    return audit.runpytest_inprocess(*REPLAY, "--droplets-report=jsonl:out.jsonl", *args)


def results(audit: pytest.Pytester) -> list[dict[str, Any]]:
    """The results of the record, in the order in which they came."""
    texts = (audit.path / "out.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, texts) if line["type"] == "result"]


def names(result: pytest.RunResult) -> list[str]:
    """The node ids that ``-v`` showed, in their order."""
    return [line.split(" ")[0] for line in result.outlines if line.startswith("test_site.py::")]


def test_maxfail_ends_the_run_after_so_many(audit: pytest.Pytester) -> None:
    """Findings count; what was judged before is in the record, and so is its summary."""
    audit.makepyfile(test_site=ONE_EACH)
    result = run(audit, "--maxfail=2")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*stopping after 2 failures*"])
    assert len(results(audit)) == 2
    assert '"type":"summary"' in (audit.path / "out.jsonl").read_text().splitlines()[-1]


def test_maxfail_counts_unknowns(audit: pytest.Pytester) -> None:
    """An unknown is an ERROR, and an error ends a run with ``-x``, too."""
    run(audit, "-x", "-k", "release and web-2").assert_outcomes(errors=1)
    assert [r["verdict"] for r in results(audit)] == ["unknown"]


def test_failed_first_on_each_droplet(audit: pytest.Pytester) -> None:
    """--ff runs all, on each Droplet what failed before first: a Droplet's facts are read once."""
    run(audit)
    result = run(audit, "--ff", "-v")
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=1)
    shown = names(result)
    first, second = (f"test_site.py::site.{name}[web-1-12]" for name in ("release", "name"))
    assert shown.index(first) + 1 == shown.index(second)
    assert shown.index("test_site.py::site.name[db-1-11]") + 1 == shown.index(
        "test_site.py::site.release[db-1-11]"
    )


def test_durations_name_the_slowest_checks(audit: pytest.Pytester) -> None:
    """--durations has the time of each check, not of waiting for its host's neighbours."""
    audit.makepyfile(
        test_site="""
        import time
        from pytest_droplet import check

        @check("site.slow")
        def test_slow(droplet):
            time.sleep(0.06)
        """
    )
    result = run(audit, "--durations=2")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*slowest 2 durations*", "0.*s call*test_site.py::site.slow[[]*"])


def test_setup_show_names_the_facts(audit: pytest.Pytester) -> None:
    """--setup-show lists each check with the facts that it asks for."""
    result = run(audit, "--setup-show", "-k", "release and db-1")
    result.stdout.fnmatch_lines(
        ["*test_site.py::site.release[[]db-1-11[]] (fixtures used: droplet_os_release)*"]
    )


def test_other_plugins_have_a_name_to_show(audit: pytest.Pytester) -> None:
    """Those that annotate and list failures take it from the report's location.

    It names the check and the Droplet, and leaves pytest's own ``-v`` a node id to paste.
    """
    audit.makeconftest(
        """
        def pytest_runtest_logreport(report):
            if report.failed:
                print(f"::error::{report.head_line}; {report.location[2]}")
        """
    )
    result = run(audit, "-s", "-v", "-k", "release and web")
    told = [line for line in result.outlines if "::error::" in line]
    assert [line.partition("::error::")[2] for line in told] == [
        f"site.release [{who}]; site.release [{who}]" for who in ("web-1-12", "web-2-13")
    ]
    assert "test_site.py::site.release[web-1-12]" in names(result)


# In a process of its own: pytest-timeout is off for good in one where a debugger was entered.
DEBUGGED = ("--pdb", "--pdbcls=debugger:Debugger", "-p", "no:randomly")
DEBUGGER = """
from pathlib import Path

class Debugger:
    quitting = False

    def __init__(self, **kwargs):
        pass

    def reset(self):
        pass

    def interaction(self, frame, seen):
        at = getattr(seen, "__traceback__", seen)
        while at.tb_next is not None:
            at = at.tb_next
        code = at.tb_frame.f_code
        with Path("seen").open("a") as file:
            print(code.co_name, *sorted(at.tb_frame.f_locals), file=file)
"""


def test_pdb_stands_in_the_check_that_failed(audit: pytest.Pytester) -> None:
    """--pdb shows the check's frame with its facts; a host that did not answer has no frame."""
    audit.makepyfile(debugger=DEBUGGER)
    audit.syspathinsert()
    result = audit.runpytest_subprocess(*REPLAY, *DEBUGGED)
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=1)
    seen = (audit.path / "seen").read_text().splitlines()
    assert [line.split()[0] for line in seen] == ["test_release"]
    assert "droplet_os_release" in seen[0].split()
    result.stdout.fnmatch_lines(["*entering PDB*"])


def test_pdb_stands_in_a_broken_check(audit: pytest.Pytester) -> None:
    """A check that raises anything else is looked at as well."""
    audit.makepyfile(
        debugger=DEBUGGER,
        test_site="""
        from pytest_droplet import check

        @check("site.broken")
        def test_broken(droplet):
            facts = {}
            facts["size"]
        """,
    )
    audit.syspathinsert()
    result = audit.runpytest_subprocess(*REPLAY, *DEBUGGED, "-k", "db-1")
    result.assert_outcomes(errors=1, deselected=3)
    assert (audit.path / "seen").read_text() == "test_broken droplet facts\n"


def test_html_page_has_every_check(audit: pytest.Pytester) -> None:
    """pytest-html's option writes the page of the audit."""
    result = run(audit, "--html=page/index.html")
    page = (audit.path / "page/index.html").read_text()
    for check in ("site.name", "site.release"):
        assert check in page
    assert list((audit.path / "page").iterdir()) == [audit.path / "page/index.html"]
    result.stdout.fnmatch_lines(["written: *index.html"])


@pytest.mark.parametrize("dist", ["load", "each", "loadfile", "worksteal"])
def test_xdist_gives_a_droplet_to_one_worker(audit: pytest.Pytester, dist: str) -> None:
    """Whatever --dist says, no Droplet is judged on two workers, and each check once."""
    result = run(audit, "-n2", f"--dist={dist}", "-v")
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=1)
    workers: dict[str, set[str]] = {}
    for line in result.outlines:
        if line.startswith("[gw") and "::site." in line:
            droplet = line.rpartition("[")[2].partition("]")[0]
            workers.setdefault(droplet, set()).add(line.partition("]")[0])
    assert len(workers) == 4
    assert all(len(names) == 1 for names in workers.values())
    assert len(results(audit)) == 8


def test_xdist_reports_reach_junitxml(audit: pytest.Pytester) -> None:
    """The controller's JUnit file has the checks that workers ran, once each."""
    run(audit, "-n2", "--junitxml=out.xml")
    text = (audit.path / "out.xml").read_text()
    assert text.count("<testcase ") == 8
    assert 'errors="1" failures="1" skipped="1" tests="8"' in text


def test_randomly_shuffles_on_a_droplet_only(audit: pytest.Pytester) -> None:
    """pytest-randomly may choose the order of a Droplet's checks; each Droplet stays together."""
    audit.makeini("[pytest]\ndroplets_profile = none\n")
    for seed in ("1", "2", "3"):
        result = run(audit, "-v", f"--randomly-seed={seed}")
        shown = [name.rpartition("[")[2] for name in names(result)]
        assert len(shown) == 8
        assert [a == b for a, b in zip(shown[::2], shown[1::2], strict=True)] == [True] * 4


def test_reruns_leave_a_verdict_alone(audit: pytest.Pytester) -> None:
    """pytest-rerunfailures runs ordinary tests again; a check's facts would be the same."""
    audit.makepyfile(
        test_own="""
        from pathlib import Path

        def test_flaky(droplet):
            tries = Path("tries")
            tries.write_text((tries.read_text() if tries.exists() else "") + "x")
            assert len(tries.read_text()) > 1
        """
    )
    result = run(audit, "--reruns=2", "-k", "release or (flaky and db-1)")
    result.assert_outcomes(passed=2, failed=1, errors=1, skipped=1, deselected=7)
    assert result.parseoutcomes()["rerun"] == 1
    assert len([r for r in results(audit) if r["check"] == "site.release"]) == 4


def test_timeout_ends_a_check(audit: pytest.Pytester) -> None:
    """pytest-timeout ends a check that hangs; the checks after it run."""
    audit.makepyfile(
        test_site="""
        import time
        from pytest_droplet import check

        @check("site.hangs")
        def test_hangs(droplet):
            time.sleep(30 if droplet.name == "db-1" else 0)
        """
    )
    result = run(audit, "--timeout=3", "--timeout-method=signal")
    result.assert_outcomes(passed=3, failed=1)
    found = next(r for r in results(audit) if r["verdict"] == "fail")
    assert found["message"].startswith("Timeout")


def test_timeout_while_a_host_is_waited_for_is_unknown(audit: pytest.Pytester) -> None:
    """Nothing was observed then, so nothing is judged."""
    audit.makeconftest(
        """
        import time
        import pytest
        from pytest_droplet.recording import ReplayHosts, load_recording
        from pathlib import Path

        class Slow(ReplayHosts):
            def get(self, droplet_id):
                time.sleep(30 if droplet_id == 11 else 0)
                return super().get(droplet_id)

        @pytest.hookimpl(tryfirst=True)
        def pytest_droplet_connect():
            return Slow(load_recording(Path("recording")))
        """
    )
    result = run(audit, "--timeout=3", "--timeout-method=signal", "-k", "release")
    result.assert_outcomes(failed=1, errors=2, skipped=1, deselected=4)
    of_host = next(r for r in results(audit) if r["droplet_id"] == 11)
    assert of_host["verdict"] == "unknown"
    assert of_host["message"].startswith("Timeout")


def test_assertions_are_rewritten(audit: pytest.Pytester) -> None:
    """An assertion without a text of its own shows both sides of the comparison."""
    audit.makepyfile(test_site=ONE_EACH)
    run(audit).assert_outcomes(failed=4)
    messages = {r["message"].splitlines()[0] for r in results(audit)}
    assert messages == {"assert 's-1vcpu-1gb' == 'huge'"}


def test_pytest_fail_is_a_finding(audit: pytest.Pytester) -> None:
    """``pytest.fail`` says no as an assertion does."""
    audit.makepyfile(
        test_site="""
        import pytest
        from pytest_droplet import check

        @check("site.says")
        def test_says(droplet):
            pytest.fail(f"{droplet.name} says no")
        """
    )
    run(audit).assert_outcomes(failed=4)
    assert {r["verdict"] for r in results(audit)} == {"fail"}
    assert results(audit)[0]["message"].endswith(" says no")


def test_a_plugin_that_waits_for_teardown_gets_it(audit: pytest.Pytester) -> None:
    """Every phase is reported where a plugin is there that pytest-droplet does not know."""
    audit.makeconftest(
        """
        from pathlib import Path

        def pytest_runtest_logreport(report):
            with Path("phases").open("a") as file:
                print(report.when, file=file)
        """
    )
    run(audit, "-k", "site.name")
    phases = (audit.path / "phases").read_text().split()
    assert phases == ["setup", "call", "teardown"] * 4


# --- the order of a run, and what it keeps --------------------------------------------------

HOSTS = """
import gc
import json
from pathlib import Path

import pytest
from pytest_droplet.recording import ReplayHosts, load_recording


def note(*words):
    with Path("noted").open("a") as file:
        print(*words, file=file)


class Hosts(ReplayHosts):
    def next_arrived(self, wanted):
        return max(wanted)

    def drop(self, droplet_id):
        note("drop", droplet_id)


@pytest.hookimpl(tryfirst=True)
def pytest_droplet_connect():
    return Hosts(load_recording(Path("recording")))
"""


def noted(audit: pytest.Pytester) -> list[str]:
    """What the project's conftest noted, a line each."""
    return (audit.path / "noted").read_text().splitlines()


def test_the_run_takes_hosts_as_they_answer(audit: pytest.Pytester) -> None:
    """Collected by Droplet id; run as the hosts come, those that no host is waited for first."""
    audit.makeconftest(HOSTS)
    collected = names(run(audit, "--co", "-q"))
    assert [n.rpartition("-")[2] for n in collected[::2]] == ["11]", "12]", "13]", "14]"]

    shown = names(run(audit, "-v"))

    assert [n.rpartition("-")[2] for n in shown[::2]] == ["14]", "13]", "12]", "11]"]
    assert shown[1::2] == [n.replace("site.name", "site.release") for n in shown[::2]]


def test_facts_are_dropped_after_a_hosts_last_check(audit: pytest.Pytester) -> None:
    """Before the next host's first one: what is held does not grow with the fleet."""
    audit.makeconftest(
        HOSTS
        + """
def pytest_runtest_logreport(report):
    if report.when == "call" or report.failed:
        note(report.nodeid.rpartition("-")[2].strip("]"))
"""
    )
    run(audit)
    assert noted(audit) == [
        *("14", "14"),  # it is off: nothing was read of it
        *("13", "13", "drop 13"),
        *("12", "12", "drop 12"),
        *("11", "11", "drop 11"),
    ]


def test_nothing_of_a_host_is_kept_but_its_row(audit: pytest.Pytester) -> None:
    """At the end of the run there is no reading, and what the account's checks judge."""
    audit.makeconftest(
        HOSTS
        + """
from pytest_droplet.collection import audit_key

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    audit = session.config.stash[audit_key]
    note("kept", len(audit._observations), sorted(audit.rows))
"""
    )
    run(audit)
    assert noted(audit)[-1] == "kept 0 [11, 12, 13, 14]"


def test_the_garbage_collector_is_kept_out_of_the_way(audit: pytest.Pytester) -> None:
    """While it collects and checks run, it runs rarely; what was collected is frozen."""
    audit.makeconftest(
        """
        import gc
        from pathlib import Path

        def note():
            with Path("noted").open("a") as file:
                print(gc.get_freeze_count() > 10_000, gc.get_threshold()[0], file=file)

        def pytest_configure():
            note()

        def pytest_collection():
            note()

        def pytest_runtest_logreport(report):
            note()

        def pytest_unconfigure():
            note()
        """
    )
    audit.runpytest_subprocess(*REPLAY, "-k", "site.name and db-1").assert_outcomes(passed=1)
    before, collecting, *during, _ = noted(audit)
    frozen, threshold = before.split()
    assert frozen == "False"
    assert collecting.startswith("False")
    assert {line.split()[0] for line in during} == {"True"}
    rare = [int(line.split()[1]) for line in (collecting, *during)]
    assert min(rare) > 10 * int(threshold)


@pytest.mark.parametrize("order", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_stuck_host_costs_nobody_else(audit: pytest.Pytester, order: tuple[str, ...]) -> None:
    """The others are judged first; then its own time limit is waited for."""
    audit.makeconftest(
        """
        import time
        from dataclasses import replace
        from pathlib import Path

        import pytest
        from pytest_droplet.recording import ReplayHosts, load_recording

        class Hosts(ReplayHosts):
            stuck = 11

            def next_arrived(self, wanted):
                ready = sorted(set(wanted) - {self.stuck})
                return ready[0] if ready else self.stuck

            def get(self, droplet_id):
                found = super().get(droplet_id)
                if droplet_id != self.stuck:
                    return found
                while len(Path("judged").read_text().split()) < 2:
                    time.sleep(0.02)
                return replace(found, state="unreachable", reason="db-1: no answer in time")

        @pytest.hookimpl(tryfirst=True)
        def pytest_droplet_connect():
            return Hosts(load_recording(Path("recording")))

        def pytest_runtest_logreport(report):
            if "release" in report.nodeid and (report.when == "call" or report.failed):
                with Path("judged").open("a") as file:
                    print(report.nodeid.rpartition("-")[2], file=file)
        """
    )
    (audit.path / "judged").touch()
    result = audit.runpytest_subprocess(
        *REPLAY, "--droplets-report=jsonl:out.jsonl", "-k", "release", "--timeout=600", *order
    )
    result.assert_outcomes(failed=1, errors=2, skipped=1)
    assert {r["droplet_id"]: r["verdict"] for r in results(audit)} == {
        11: "unknown",
        12: "fail",
        13: "unknown",
        14: "notapplicable",
    }


def test_ordinary_tests_keep_their_fixtures_and_marks(audit: pytest.Pytester) -> None:
    """Classes, fixtures of any scope, xfail, parametrize and capture work beside checks."""
    audit.makepyfile(
        test_own="""
        import pytest

        @pytest.fixture(scope="session")
        def log():
            lines = []
            yield lines
            print("teardown", len(lines))

        @pytest.fixture
        def each(log, droplet):
            log.append(droplet.name)
            return droplet

        class TestThem:
            @pytest.mark.parametrize("number", [1, 2])
            def test_numbers(self, each, number):
                assert each.id > number

            @pytest.mark.xfail(reason="later", strict=True)
            def test_later(self, each):
                assert each.region == "moon"

        def test_output(droplet, capsys):
            print(droplet.name)
            assert capsys.readouterr().out == droplet.name + "\\n"
        """
    )
    result = run(audit, "-rA", "-p", "no:logging")
    result.assert_outcomes(passed=5 + 12, failed=1, errors=1, skipped=1, xfailed=4)
    result.stdout.fnmatch_lines(["*teardown 12*"])


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
@pytest.mark.parametrize("ends_well", [True, False])
def test_checks_among_ordinary_tests_leave_fixtures_to_their_module(
    audit: pytest.Pytester, workers: tuple[str, ...], *, ends_well: bool
) -> None:
    """A module's fixture is set up once a Droplet, and taken down before the next module's."""
    for name in ("a", "b"):
        (audit.path / f"test_{name}.py").write_text(
            f"""
import pytest
from pytest_droplet import check

@pytest.fixture(scope="module")
def log():
    with open("log.txt", "a") as file:
        file.write("up {name}\\n")
    yield
    with open("log.txt", "a") as file:
        file.write("down {name}\\n")
    assert {ends_well}

def test_before(log, droplet):
    pass

@check("{name}.one")
def test_one(droplet_os_release):
    pass

def test_between(log, droplet):
    pass

@check("{name}.two")
def test_two(droplet_os_release):
    pass
""".replace("\\\\", "\\")
        )
    result = run(audit, *workers, "test_a.py", "test_b.py", "-k", "db-1 or web-1")

    log = (audit.path / "log.txt").read_text().split("\n")[:-1]
    assert log == ["up a", "down a", "up b", "down b"] * 2
    result.assert_outcomes(passed=16, errors=0 if ends_well else 4)
