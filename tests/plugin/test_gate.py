"""Waivers, baselines and the gate: what a finding does to the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.record import RecordError, read_record

REPLAY = ("--droplets=all", "--droplets-replay=recording")
WAIVER = """
[[waiver]]
check = "site.rel*"
droplets = "tag:web"
reason = "the upgrade is planned"
expires = {expires}
ticket = "OPS-1"
"""


def run(audit: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest on the recorded fleet, with a record."""
    return audit.runpytest_inprocess(*REPLAY, "--droplets-report=jsonl:out.jsonl", *args)


def lines(audit: pytest.Pytester, kind: str) -> list[dict[str, Any]]:
    """The record's lines of one type."""
    texts = (audit.path / "out.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, texts) if line["type"] == kind]


def verdicts(audit: pytest.Pytester) -> dict[tuple[str, int], str]:
    """Verdicts by check and Droplet."""
    return {(r["check"], r["droplet_id"]): r["verdict"] for r in lines(audit, "result")}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_waiver_makes_a_finding_xfailed(audit: pytest.Pytester, workers: Any) -> None:
    """The finding stays visible as waived; an unknown is not waived by it."""
    (audit.path / "droplet-waivers.toml").write_text(WAIVER.format(expires="2099-12-31"))
    run(audit, *workers).assert_outcomes(passed=5, xfailed=1, errors=1, skipped=1)
    assert verdicts(audit)["site.release", 12] == "waived"
    assert verdicts(audit)["site.release", 13] == "unknown"
    waived = next(r for r in lines(audit, "result") if r["verdict"] == "waived")
    assert waived["waiver"] == {
        "number": 1,
        "reason": "the upgrade is planned",
        "expires": "2099-12-31",
        "owner": "",
        "ticket": "OPS-1",
        "expired": False,
    }
    assert lines(audit, "summary")[0]["waivers"][0]["state"] == "used"


def test_a_waiver_for_unknown_says_so(audit: pytest.Pytester) -> None:
    """Only `unknown = true` accepts what could not be observed."""
    text = WAIVER.format(expires="2099-12-31") + "unknown = true\n"
    (audit.path / "droplet-waivers.toml").write_text(text)
    run(audit).assert_outcomes(passed=5, xfailed=2, skipped=1)


def test_a_check_that_is_renamed_keeps_waiver_and_baseline(audit: pytest.Pytester) -> None:
    """A waiver and a record of before name it by the id that it had."""
    run(audit)
    (audit.path / "out.jsonl").rename(audit.path / "old.jsonl")
    site = audit.path / "test_site.py"
    renamed = 'check("site.os-release", formerly=("site.release",), '
    site.write_text(site.read_text().replace('check("site.release", ', renamed))
    run(audit, "--droplets-baseline=old.jsonl")
    assert verdicts(audit)["site.os-release", 12] == "fail"
    (changes,) = (line["baseline"] for line in lines(audit, "summary"))
    assert (len(changes["still"]), changes["new"]) == (1, [])
    waiver = WAIVER.format(expires="2099-12-31").replace("site.rel*", "site.release")
    (audit.path / "droplet-waivers.toml").write_text(waiver)
    run(audit)
    assert verdicts(audit)["site.os-release", 12] == "waived"
    assert lines(audit, "summary")[0]["waivers"][0]["state"] == "used"


def test_an_expired_waiver_fails_again_and_says_since_when(audit: pytest.Pytester) -> None:
    """The day after, the finding is red, and the message has the date."""
    (audit.path / "mine.toml").write_text(WAIVER.format(expires="2020-01-31"))
    result = run(audit, "--droplets-waivers=mine.toml")
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "EXPIRED waiver of site.rel* for tag:web: it ended on 2020-01-31 (the*",
            "         web-1-12: it is Debian GNU/Linux 12 (the waiver expired on 2020-01-31)",
        ]
    )


def test_a_waiver_that_matches_nothing_is_reported(audit: pytest.Pytester) -> None:
    """What was mended needs no waiver any more."""
    text = WAIVER.format(expires="2099-12-31").replace("tag:web", "tag:db")
    (audit.path / "droplet-waivers.toml").write_text(text)
    result = run(audit)
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=1)
    result.stdout.fnmatch_lines(["UNUSED waiver of site.rel* for tag:db: it matches no finding *"])


@pytest.mark.parametrize(
    ("check", "droplets", "how", "state"),
    [
        ("site.name", "name:db-1", (), "unused"),
        ("site.name", "tag:gone", (), "unused"),
        ("site.nothing", "all", (), "no-check"),
        ("backups.enable", "all", ("test_site.py",), "no-check"),
        ("site.name", "name:db-1", ("-k", "name"), "not-judged"),
        ("site.release", "name:db-1", ("-k", "name"), "not-judged"),
        ("site.name", "name:db-1", ("test_site.py::site.release",), "not-judged"),
        ("other.check", "all", ("test_site.py",), "not-judged"),
        ("site.name", "name:db-1", ("test_site.py",), "unused"),
        ("site.name", "tag:gone", ("test_site.py",), "unused"),
        ("backups.*", "all", (), "not-judged"),
        ("backups.*", "tag:gone", (), "unused"),
        ("site.name", "tag:gone", ("-k", "web"), "unused"),
        ("site.name", "name:db-1", ("--droplets-shard=1/2",), "not-judged"),
        ("site.name", "name:db-1", ("-x",), "not-judged"),
        ("site.name", "name:db-1", ("-n", "2"), "unused"),
        ("site.name", "name:db-1", ("-n", "2", "-k", "web"), "not-judged"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, tuple) else value,
)
def test_only_what_was_judged_can_be_unused(
    audit: pytest.Pytester, check: str, droplets: str, how: tuple[str, ...], state: str
) -> None:
    """A run of a part, another profile or a shard does not ask to remove the waivers of the rest."""
    text = f'[[waiver]]\ncheck = "{check}"\ndroplets = "{droplets}"\nreason = "x"\n'
    (audit.path / "droplet-waivers.toml").write_text(text + "expires = 2099-12-31\n")
    result = run(audit, *how)
    assert [w["state"] for w in lines(audit, "summary")[0]["waivers"]] == [state]
    told = [line for line in result.outlines if line.startswith("UNUSED waiver")]
    assert len(told) == (state in {"unused", "no-check"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[waiver]\ncheck = 'a'", "write [[waiver]], with two brackets"),
        ("[[waver]]\n", "unknown table 'waver'; waivers are [[waiver]]"),
        ("[[waiver]]\ncheck = 'a.b'\nreason = 'x'\n", "waiver 1: expires is missing"),
        ("[[waiver]]\ncheck = 'a.b'\nexpires = 2099-01-01\n", "waiver 1: reason is missing"),
        (WAIVER.format(expires="'soon'"), "waiver 1: expires = 'soon': expected a date"),
        (WAIVER.format(expires="2099-01-01") + "until = 1\n", "waiver 1: unknown key 'until'"),
        (
            WAIVER.format(expires="2099-01-01").replace("tag:web", "tags:web"),
            "waiver 1: droplets = 'tags:web': ",
        ),
        (WAIVER.format(expires="2099-01-01").replace("the upgrade is planned", " "), "reason is"),
        ("[[waiver", "droplet-waivers.toml: is not TOML: "),
    ],
    ids=["table", "name", "expires", "reason", "date", "key", "selector", "empty", "toml"],
)
def test_a_malformed_waiver_is_one_line(audit: pytest.Pytester, text: str, message: str) -> None:
    """The line names file, table and key; exit code 4; nothing runs."""
    (audit.path / "droplet-waivers.toml").write_text(text)
    result = run(audit)
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    error = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(error) == 1
    assert "droplet-waivers.toml" in error[0]
    assert message in error[0]


def test_findings_below_the_gate_do_not_fail_the_run(audit: pytest.Pytester) -> None:
    """They stay `fail` in the record and are xfailed in pytest; the exit code agrees."""
    audit.makepyfile(
        test_site="""
        from pytest_droplet import check

        @check("site.a", severity="medium")
        def test_a(droplet):
            assert droplet.id == 11, "not the first"
        """
    )
    result = run(audit, "--droplets-fail-on=high")
    result.assert_outcomes(passed=1, xfailed=3)
    assert result.ret is pytest.ExitCode.OK
    assert verdicts(audit)["site.a", 12] == "fail"
    assert {r["gated"] for r in lines(audit, "result") if r["verdict"] == "fail"} == {False}
    assert run(audit, "--droplets-fail-on=medium").ret is pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_baseline_says_what_changed(audit: pytest.Pytester, fleet: Path, workers: Any) -> None:
    """New, fixed, still failing, Droplets that came; `new` lets known findings pass the gate."""
    run(audit, "-k", "web")
    (audit.path / "out.jsonl").rename(audit.path / "old.jsonl")
    text = (audit.path / "test_site.py").read_text()
    (audit.path / "test_site.py").write_text(text.replace("< 6", "!= 4"))
    result = run(audit, *workers, "--droplets-baseline=old.jsonl", "--droplets-fail-on=low,new")
    result.assert_outcomes(passed=4, failed=1, xfailed=1, errors=1, skipped=1)
    shown = " ".join(result.stdout.str().split())
    assert ": 1 new, 0 fixed, 1 still failing, 0 newly waived, came: db-1" in shown
    text = text.replace('== "13"', '!= "14"')
    (audit.path / "test_site.py").write_text(text)
    run(audit, "--droplets-baseline=old.jsonl").stdout.fnmatch_lines(
        ["since *: 0 new, 1 fixed, *"]
    )
    assert lines(audit, "summary")[0]["baseline"]["fixed"] == [
        {"check": "site.release", "droplet_id": 12, "droplet_name": "web-1"}
    ]


@pytest.mark.parametrize(
    ("args", "gone"),
    [((), []), (("-k", "web"), []), (("--droplets-shard=1/2",), []), (("--droplets=!tag:db",), ["db-1"])],
    ids=["same", "fewer-tests", "shard", "selector"],
)  # fmt: skip
def test_a_droplet_that_was_not_asked_about_is_not_gone(
    audit: pytest.Pytester, args: tuple[str, ...], gone: list[str]
) -> None:
    """Gone is what the selectors of this run no longer find."""
    run(audit)
    (audit.path / "out.jsonl").rename(audit.path / "old.jsonl")
    replay = args if args[0:1] == ("--droplets=!tag:db",) else ("--droplets=all", *args)
    audit.runpytest_inprocess(
        *("--droplets-replay=recording", "--droplets-report=jsonl:out.jsonl"),
        *("--droplets-baseline=old.jsonl", *replay),
    )

    assert lines(audit, "summary")[0]["baseline"]["droplets_gone"] == gone


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda texts: texts[:-1], "the record was cut: it has no summary line"),
        (lambda texts: [*texts[:3], texts[3][:50]], "the record was cut: it has no summary line"),
        (lambda texts: texts[1:], "it has no header line"),
        (lambda texts: [texts[0].replace('"schema":1', '"schema":9'), *texts[1:]], "of schema 9"),
        (lambda texts: ["nonsense"], ":1: not a line of a record"),
        (lambda texts: [], "it has no header line"),
        (lambda texts: texts * 2, ": a second record begins here; join records by `merge`"),
        (
            lambda texts: [text.replace('"fingerprint"', '"mark"') for text in texts],
            "not a record of pytest-droplet (KeyError: 'fingerprint')",
        ),
        (lambda texts: ["[" * 100_000], ":1: not a line of a record"),
        (lambda texts: ["\udcff"], "the record cannot be read"),
    ],
    ids=[
        *("cut", "half-a-line", "headless", "schema", "nonsense", "empty", "twice", "keys"),
        *("deep", "bytes"),
    ],
)
def test_a_baseline_that_is_no_whole_record_is_refused(
    audit: pytest.Pytester, change: Any, message: str
) -> None:
    """One line, exit code 4."""
    run(audit)
    texts = (audit.path / "out.jsonl").read_text().splitlines()
    changed = "\n".join(change(texts)).encode(errors="surrogateescape")
    (audit.path / "old.jsonl").write_bytes(changed)
    result = run(audit, "--droplets-baseline=old.jsonl")
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    (error,) = (line for line in result.errlines if line.startswith("ERROR: "))
    assert "old.jsonl" in error
    assert message in error


def test_a_record_is_read_line_by_line(audit: pytest.Pytester) -> None:
    """That it was cut shows at its end: no more than a line is held, however long it is."""
    run(audit)
    texts = (audit.path / "out.jsonl").read_text().splitlines()
    (audit.path / "old.jsonl").write_text("\n".join(texts[:-1]))
    reading = read_record(audit.path / "old.jsonl")
    for text in texts[:-1]:
        assert next(reading) == json.loads(text)
    with pytest.raises(RecordError, match="the record was cut"):
        next(reading)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--droplets-fail-on=huge"], "expected one of critical, high, medium, low"),
        (["--droplets-fail-on=high,old"], "expected one of critical, high, medium, low"),
        (["--droplets-fail-on=high,new"], "`new` needs --droplets-baseline=FILE"),
        (["--droplets-waivers=none.toml"], "none.toml: cannot be read"),
        (["--droplets-timeout=0"], "--droplets-timeout=0 (command line): expected 1 or more"),
        (["--droplets-timeout=x"], "expected a whole number"),
        (["--droplets-probe=maybe"], "--droplets-probe=maybe (command line): choose from on, off"),
        (["--droplets-profile=cis9"], "'cis9' is none of droplet, cis1"),
        (["--droplets-report=xml:a"], "expected FORMAT:PATH with one of the formats jsonl"),
        (["--droplets-report=jsonl:test_site.py/x"], "the report cannot be written there"),
        (["--hosts=web"], "--hosts and --droplets exclude each other"),
        (["--droplets=tag:nope"], "tags in use: db, web"),
        (["--droplets=tags:db"], "tags"),
    ],
)
def test_what_the_user_got_wrong_is_one_line(
    audit: pytest.Pytester, args: list[str], message: str
) -> None:
    """No traceback; the value, where it came from, the choices; exit code 4."""
    replay = REPLAY[1:] if args[0].startswith("--droplets=") else REPLAY
    result = audit.runpytest_inprocess(*replay, *args)
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_an_ini_file_is_not_trusted_further_than_its_folder(audit: pytest.Pytester) -> None:
    """Gate options of an ini file are shown in the header; its paths stay below its folder."""
    audit.makeini("[pytest]\ndroplets_profile = none\ndroplets_fail_on = critical\n")
    run(audit).stdout.fnmatch_lines(
        ["droplets: gate set by a file of the project: --droplets-fail-on=critical (tox.ini)"]
    )
    audit.makeini("[pytest]\ndroplets_waivers = ../mine.toml\n")
    result = run(audit)
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: tox.ini: droplets_waivers = ../mine.toml: the file must*"]
    )
