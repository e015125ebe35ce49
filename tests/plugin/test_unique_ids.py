"""One id is one check: what would take another's verdict is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

REPLAY = ("--droplets=all", "--droplets-replay=recording", "--droplets-report=jsonl:out.jsonl")

FIRST = """
from pytest_droplet import check

@check("site.one", severity="high")
def test_first(droplet_os_release):
    assert droplet_os_release.id
"""
SECOND = """
from pytest_droplet import check

@check("site.one", severity="critical")
def test_second(droplet_os_release):
    assert droplet_os_release.version_id == "99", "not 99"
"""
PARTS = """
from pytest_droplet import check

@check("site.one", params={"port": ("80", "443")})
def test_ports(port, droplet):
    assert port == "80"
"""
ORDINARY = """
from pytest_droplet import check

@check("site.one")
def test_of_host(droplet, tmp_path):
    assert droplet.id == 0
"""
SHIPPED = """
from pytest_droplet import check

@check("os.release-supported", severity="low")
def test_mine(droplet_os_release):
    assert droplet_os_release.id
"""
CLASSES = """
from pytest_droplet import check

class Base:
    @check("site.one")
    def test_it(self, droplet):
        assert droplet.name == self.name

class TestA(Base):
    name = "web-1"

class TestB(Base):
    name = "db-1"
"""
FACTORY = """
from pytest_droplet import check

def made(release):
    @check("site.one")
    def test_release(droplet_os_release):
        assert droplet_os_release.version_id == release
    return test_release

test_a = made("12")
test_b = made("13")
"""


def run(audit: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest on the recorded fleet."""
    return audit.runpytest_inprocess(*REPLAY, *args)


def results(audit: pytest.Pytester) -> list[dict[str, Any]]:
    """The results of the record."""
    texts = (audit.path / "out.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, texts) if line["type"] == "result"]


def refused(result: pytest.RunResult) -> str:
    """The one line of a run that was refused with exit code 4 and nothing beside."""
    assert result.ret is pytest.ExitCode.USAGE_ERROR, result.stdout.str()
    text = result.stdout.str() + result.stderr.str()
    for unwanted in ("INTERNALERROR", "Traceback", "replacing crashed worker", "coverage:"):
        assert unwanted not in text
    (line,) = (t for t in result.errlines if t.startswith("ERROR: "))
    return line.removeprefix("ERROR: ")


@pytest.mark.parametrize(
    ("files", "places", "way"),
    [
        ({"test_a": FIRST + SECOND}, ("test_a.py:3", "test_a.py:9"), ()),
        ({"test_a": FIRST, "test_b": SECOND}, ("test_a.py:3", "test_b.py:3"), ()),
        ({"test_a": FIRST, "test_b": SECOND}, ("test_a.py:3", "test_b.py:3"), ("--co",)),
        ({"test_a": FIRST, "test_b": SECOND}, ("test_a.py:3", "test_b.py:3"), ("-n", "2")),
        ({"test_a": PARTS, "test_b": SECOND}, ("test_a.py:3", "test_b.py:3"), ()),
        ({"test_a": FIRST, "test_b": ORDINARY}, ("test_a.py:3", "test_b.py:3"), ()),
        ({"test_a": FACTORY}, ("test_a.py:4", "test_a.py:4"), ()),
        (
            {"test_a": FIRST + SECOND.replace("test_second", "test_first")},
            ("test_a.py:3", "test_a.py:9"),
            (),
        ),
    ],
    ids=["one file", "two files", "co", "xdist", "parameters", "ordinary", "factory", "one name"],
)
def test_two_checks_with_one_id_are_refused(
    audit: pytest.Pytester, files: dict[str, str], places: tuple[str, str], way: tuple[str, ...]
) -> None:
    """Exit code 4 and one line with both places; nothing is judged."""
    (audit.path / "test_site.py").unlink()
    audit.makepyfile(**files)
    said = refused(run(audit, *way))
    wanted = f"{places[0]} and {places[1]}; give one of them another id"
    assert said == f"two checks have the id site.one: {wanted}"


@pytest.mark.parametrize(
    ("profile", "way"),
    [("none", ()), ("all", ()), ("all", ("--co",)), ("none", ("-n", "2"))],
    ids=["left out", "selected", "co", "xdist"],
)
def test_a_shipped_id_belongs_to_the_shipped_check(
    audit: pytest.Pytester, profile: str, way: tuple[str, ...]
) -> None:
    """Whether the shipped one is in the run or not."""
    audit.makepyfile(test_site=SHIPPED)
    said = refused(run(audit, f"--droplets-profile={profile}", *way))
    assert said.startswith("two checks have the id os.release-supported: pytest_droplet/checks/os")
    assert said.endswith(" (shipped) and test_site.py:3; give one of them another id")


def test_a_test_of_two_classes_is_two_checks(audit: pytest.Pytester) -> None:
    """The same method judges something else in each of them."""
    audit.makepyfile(test_site=CLASSES)
    said = refused(run(audit))
    assert (
        "test_site.py:4 as test_site.py::TestA and test_site.py:4 as test_site.py::TestB" in said
    )


def test_a_deselected_check_clashes_as_well(audit: pytest.Pytester) -> None:
    """What a record means by an id does not depend on -k."""
    audit.makepyfile(test_site=FIRST + SECOND)
    refused(run(audit, "-k", "db-1"))


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_function_that_two_modules_import_is_one_check(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """It is judged once, wherever -k leaves it."""
    (audit.path / "test_site.py").unlink()
    audit.makepyfile(
        shared=FIRST,
        test_a="from shared import test_first",
        test_b="from shared import test_first",
    )
    audit.syspathinsert()
    run(audit, *workers).assert_outcomes(passed=2, errors=1, skipped=1)
    run(audit, *workers, "-k", "test_b.py").assert_outcomes(passed=2, errors=1, skipped=1)
    fingerprints = [r["fingerprint"] for r in results(audit)]
    assert len(fingerprints) == len(set(fingerprints)) == 4


def test_a_shipped_check_that_is_imported_is_the_shipped_one(audit: pytest.Pytester) -> None:
    """Its id is not taken: it is the same function."""
    audit.makepyfile(
        test_site="from pytest_droplet.checks import os\n"
        "test_again = os.test_release_still_gets_security_updates\n"
    )
    result = run(audit, "--droplets-profile=all", "-k", "release-supported and web-1")
    assert result.ret is not pytest.ExitCode.USAGE_ERROR
    assert [r["check"] for r in results(audit)] == ["os.release-supported"]


@pytest.mark.parametrize(
    ("source", "args", "number"),
    [
        (PARTS, (), 8),
        (FIRST, ("test_site.py", "test_site.py"), 4),
        (FIRST, ("--keep-duplicates", "test_site.py", "test_site.py"), 4),
        (FIRST, ("test_site.py::site.one[db-1-11]", "test_site.py::site.one[db-1-11]"), 1),
    ],
    ids=["parameters", "one file twice", "kept duplicates", "one check twice"],
)
def test_what_is_one_check_is_no_clash(
    audit: pytest.Pytester, source: str, args: tuple[str, ...], number: int
) -> None:
    """Parts of one check, one file given twice, one check named twice: each is judged once."""
    audit.makepyfile(test_site=source)
    run(audit, *args)
    assert len(results(audit)) == number
    assert len({r["fingerprint"] for r in results(audit)}) == number
    nodeids = [r["nodeid"] for r in results(audit)]
    assert len(set(nodeids)) == number


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_parameters_of_pytest_are_in_the_id(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """An ordinary test with an id and parametrize has a result of its own for each value."""
    audit.makepyfile(
        test_site="""
        import pytest
        from pytest_droplet import check

        @check("site.ports")
        @pytest.mark.parametrize("port", [80, 443])
        @pytest.mark.parametrize("kind", ["tcp", "udp"])
        def test_ports(droplet, tmp_path, port, kind):
            assert port == 80
        """
    )
    run(audit, *workers, "--droplets=id:12")
    found = {r["check"]: r["verdict"] for r in results(audit)}
    assert found == {
        "site.ports[tcp-80]": "pass",
        "site.ports[tcp-443]": "fail",
        "site.ports[udp-80]": "pass",
        "site.ports[udp-443]": "fail",
    }
