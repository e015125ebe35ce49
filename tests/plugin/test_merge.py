"""``python -m pytest_droplet merge``: shards and accounts joined from their records alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.__main__ import main
from pytest_droplet.record import fingerprint
from pytest_droplet.testing import Cloud
from tests.plugin.test_formats import FORMATS, asked, validate
from tests.support.recordings import reached, save, unreachable
from tests.unit.test_report_sarif import ghas_errors

ALICE = "AAAAC3NzaC1lZDI1NTE5AAAAILqFn/wWyXrdC8zwbER+OBSn+0iMucjAQMsl23UezI61"
BOB = "AAAAC3NzaC1lZDI1NTE5AAAAIJ4UpMsLSXHzi/kWmiHSUbKNw766ZgeLbPP186B65u7k"
KEYS = """sshd authorizedkeysfile .ssh/authorized_keys
look s.ssh/authorized_keys
file:root:s:600:root:1790000000:/root/.ssh/authorized_keys
1:ssh-ed25519 {} who@laptop
end:28
"""
IN_USE, HAS_KEY = "sshkeys.account-keys-in-use", "ssh.account-has-key"


def record(audit: pytest.Pytester, name: str, *args: str, folder: str = "recording") -> Path:
    """Run pytest on a recorded fleet and return the record."""
    report = f"--droplets-report=jsonl:{name}"
    audit.runpytest_inprocess(f"--droplets-replay={folder}", report, "-p", "no:randomly", *args)
    return audit.path / name


def lines(path: Path, kind: str) -> list[dict[str, Any]]:
    """The record's lines of one type."""
    return [
        line for line in map(json.loads, path.read_text().splitlines()) if line["type"] == kind
    ]


def verdicts(path: Path) -> dict[tuple[str, int | None], str]:
    """Verdicts by check and Droplet."""
    return {(r["check"], r["droplet_id"]): r["verdict"] for r in lines(path, "result")}


def messages(path: Path) -> dict[str, str]:
    """Verdict and message of each check of the account."""
    found = lines(path, "result")
    return {
        r["check"]: f"{r['verdict']}: {r['message']}" for r in found if r["droplet_id"] is None
    }


@pytest.fixture
def shards(audit: pytest.Pytester) -> tuple[Path, Path]:
    """Two shards of the fleet: db-1 alone, and the rest."""
    return (
        record(audit, "db.jsonl", "--droplets=tag:db"),
        record(audit, "web.jsonl", "--droplets=tag:web"),
    )


@pytest.fixture
def two_keys(pytester: pytest.Pytester) -> Callable[..., Path]:
    """An account with two keys and two Droplets; says which key each host has."""

    def make(folder: str = "recording", **keys: str | None) -> Path:
        cloud = Cloud()
        cloud.account["team"]["uuid"] = folder
        cloud.add_key("alice", f"ssh-ed25519 {ALICE} alice@laptop")
        cloud.add_key("bob", f"ssh-ed25519 {BOB} bob@laptop")
        hosts = []
        for number, (name, key) in enumerate(keys.items(), 1 if folder == "recording" else 91):
            droplet = cloud.add(name, id=number, tags=[name])
            hosts.append(
                reached(cloud, droplet, authorized_keys=KEYS.format(key))
                if key
                else unreachable(cloud, droplet)
            )
        pytester.makeini("[pytest]\n")
        return save(cloud, pytester.path / folder, hosts)

    return make


def test_shards_become_one_record(
    audit: pytest.Pytester, shards: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Verdicts, Droplets, coverage, exit code and terminal are those of a run over all."""
    whole = record(audit, "whole.jsonl", "--droplets=all")
    capsys.readouterr()
    reports = [*asked(*FORMATS), "--html=out.html"]
    assert main(["merge", *map(str, shards), *reports]) == 1
    merged = audit.path / "out.jsonl"
    validate(merged)
    assert verdicts(merged) == verdicts(whole)
    for name in ("counts", "coverage", "exit_code"):
        assert lines(merged, "summary")[0][name] == lines(whole, "summary")[0][name]
    assert lines(merged, "header")[0]["selector"] in (
        ["tag:db", "tag:web"],
        ["tag:web", "tag:db"],
    )
    assert {d["id"] for d in lines(merged, "droplet")} == {11, 12, 13, 14}
    out = capsys.readouterr().out
    assert "CRITICAL it is Debian GNU/Linux 12 " in out
    assert "\n         web-1-12: it is Debian" in out
    assert "coverage: 2 of 3 Droplets reached, 1 off: 66.6 %" in out
    assert "written: out.html\n" in out
    assert len(list((audit.path / "out.hdf").iterdir())) == 4
    assert ghas_errors(audit.path / "out.sarif") == []


def test_no_network_and_no_token_are_needed(
    audit: pytest.Pytester, shards: tuple[Path, Path]
) -> None:
    """In a process of its own, with nothing in its environment and no client imported."""
    code = (
        "import sys; from pytest_droplet.__main__ import main; code = main(sys.argv[1:]);"
        "assert not {'pydo', 'azure', 'asyncssh'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "merge", *map(str, shards)]
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""


def test_the_newest_record_wins(audit: pytest.Pytester) -> None:
    """A Droplet that was mended since is not a finding any more, in whichever order."""
    old = record(audit, "old.jsonl", "--droplets=all")
    cloud = Cloud(now=datetime.now(UTC) + timedelta(hours=1))
    cloud.add("web-2", id=13, tags=["web"])
    newer = reached(cloud, cloud.add("web-1", id=12), os='ID=debian\nVERSION_ID="13"\n')
    save(cloud, audit.path / "later", [newer, reached(cloud, {"id": 13})])
    new = record(audit, "new.jsonl", "--droplets=all", folder="later")
    for path, other in ((old, new), (new, old)):
        main(["merge", str(path), str(other), "--droplets-report=jsonl:out.jsonl"])
        found = verdicts(audit.path / "out.jsonl")
        assert found["site.release", 12] == "pass"
        assert found["site.release", 13] == "fail"
        assert found["site.release", 11] == "pass"
        assert len(found) == 8


def test_a_test_that_passed_and_broke_has_broken(audit: pytest.Pytester) -> None:
    """It has one result, and is no pass."""
    audit.makepyfile(
        test_site="""
        import pytest

        @pytest.fixture
        def breaking(droplet):
            yield
            raise OSError("boom")

        def test_it(breaking):
            pass
        """
    )
    path = record(audit, "a.jsonl", "--droplets=tag:db")
    assert main(["merge", str(path), "--droplets-report=jsonl:out.jsonl"]) == 1
    found = [r["verdict"] for r in lines(audit.path / "out.jsonl", "result")]
    assert found == ["error"]


def test_the_gate_of_the_merge_decides(audit: pytest.Pytester, shards: tuple[Path, Path]) -> None:
    """Severity, coverage, unknowns and what the baseline knew, as in a run."""
    old = record(audit, "old.jsonl", "--droplets=all")
    paths = [str(path) for path in shards]
    lenient = ["--droplets-unknown=skip", "--droplets-min-coverage=60"]
    assert main(["merge", *paths, *lenient]) == 1
    assert main(["merge", *paths, *lenient[:1], f"--droplets-baseline={old}",
                 "--droplets-fail-on=low,new"]) == 1  # fmt: skip
    out = "--droplets-report=jsonl:out.jsonl"
    new = [f"--droplets-baseline={old}", "--droplets-fail-on=low,new", out]
    assert main(["merge", *paths, *lenient, *new]) == 0
    validate(audit.path / "out.jsonl")
    failed = [r for r in lines(audit.path / "out.jsonl", "result") if r["verdict"] == "fail"]
    assert [r["gated"] for r in failed] == [False]
    assert len(lines(audit.path / "out.jsonl", "summary")[0]["baseline"]["still"]) == 1


@pytest.mark.slow
def test_one_missing_of_two_thousand_is_not_everybody(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a run nor a merge rounds 1,999 of 2,000 up to what is asked for."""
    cloud = Cloud()
    droplets = [cloud.add(f"web-{number}", id=number) for number in range(1, 2001)]
    hosts = [reached(cloud, droplet) for droplet in droplets[1:]]
    save(cloud, pytester.path / "recording", [unreachable(cloud, droplets[0]), *hosts])
    pytester.makeini("[pytest]\n")
    lenient = ("--droplets-unknown=skip", "-k", "distribution-supported")
    whole = record(pytester, "whole.jsonl", "--droplets=all", *lenient)
    shown = "1,999 of 2,000 Droplets reached: 99.9 % (at least 100 % is asked for)"
    assert shown in capsys.readouterr().out
    for summary in lines(whole, "summary"):
        assert (summary["coverage"]["percent"], summary["exit_code"]) == (99.9, 1)
    assert main(["merge", str(whole), lenient[0]]) == 1
    assert shown in capsys.readouterr().out
    assert main(["merge", str(whole), lenient[0], "--droplets-min-coverage=99"]) == 0


def test_waivers_of_all_parts_are_listed_once(audit: pytest.Pytester) -> None:
    """A waiver that one shard used is used; what it accepted stays waived."""
    (audit.path / "droplet-waivers.toml").write_text(
        '[[waiver]]\ncheck = "site.release"\nreason = "planned"\nexpires = 2099-01-01\n'
        'droplets = "tag:web"\n'
    )
    parts = [record(audit, f"{t}.jsonl", f"--droplets=tag:{t}") for t in ("db", "web")]
    main(["merge", *map(str, parts), "--droplets-report=jsonl:out.jsonl"])
    validate(audit.path / "out.jsonl")
    assert [w["state"] for w in lines(audit.path / "out.jsonl", "summary")[0]["waivers"]] == [
        "used"
    ]
    assert verdicts(audit.path / "out.jsonl")["site.release", 12] == "waived"


def test_the_account_is_judged_again_from_the_rows(
    pytester: pytest.Pytester, two_keys: Callable[..., Path]
) -> None:
    """Each shard saw one Droplet only and could not tell; together they can."""
    two_keys(one=ALICE, two=BOB)
    only = ("-k", f"{IN_USE} or {HAS_KEY}")
    parts = [record(pytester, f"{t}.jsonl", f"--droplets=tag:{t}", *only) for t in ("one", "two")]
    for path in parts:
        assert messages(path)[IN_USE].startswith("notapplicable: 1 of 2 Droplets selected")
    code = main(["merge", *map(str, parts), "--droplets-report=jsonl:out.jsonl"])
    merged = pytester.path / "out.jsonl"
    validate(merged)
    assert messages(merged) == {IN_USE: "pass: ", HAS_KEY: "pass: "}
    assert code == 0
    assert {k["account_key"]["name"] for k in lines(merged, "key")} == {"alice", "bob"}
    assert [len(k["where"]) for k in lines(merged, "key")] == [1, 1]


@pytest.mark.parametrize(
    ("second", "verdict"),
    [(ALICE, "fail: 1 key of the account on none of 2 Droplets: bob"), (None, "unknown: 1 of 2 ")],
    ids=["unused", "unreachable"],
)
def test_the_account_fails_or_is_unknown_as_in_a_run_over_all(
    pytester: pytest.Pytester, two_keys: Callable[..., Path], second: str | None, verdict: str
) -> None:
    """The verdict is that of one run over the whole account."""
    two_keys(one=ALICE, two=second)
    whole = record(pytester, "whole.jsonl", "--droplets=all", "-k", IN_USE)
    parts = [
        record(pytester, f"{tag}.jsonl", f"--droplets=tag:{tag}", "-k", IN_USE)
        for tag in ("one", "two")
    ]
    assert main(["merge", *map(str, parts), "--droplets-report=jsonl:out.jsonl"]) == 1
    merged = messages(pytester.path / "out.jsonl")[IN_USE]  # which has the other fingerprint
    assert merged.partition(" (")[0] == messages(whole)[IN_USE].partition(" (")[0]
    assert messages(whole)[IN_USE].startswith(verdict)


@pytest.mark.parametrize("second", [ALICE, BOB, None], ids=["unused", "used", "unreachable"])
def test_the_account_alone_is_judged_the_same_with_workers(
    pytester: pytest.Pytester, two_keys: Callable[..., Path], second: str | None
) -> None:
    """Where no check of a Droplet is selected the controller reads the hosts itself."""
    two_keys(one=ALICE, two=second)
    alone = record(pytester, "alone.jsonl", "--droplets=all", "-k", IN_USE)
    workers = record(pytester, "workers.jsonl", "--droplets=all", "-k", IN_USE, "-n", "2")

    assert len(messages(alone)) == 1
    assert messages(workers) == messages(alone)


def test_accounts_are_judged_each_by_itself(
    pytester: pytest.Pytester, two_keys: Callable[..., Path]
) -> None:
    """The worst verdict stands for all, with a count; keys of one do not count for the other."""
    two_keys(one=ALICE, two=BOB)
    two_keys("other", three=ALICE, four=ALICE)
    first = record(pytester, "a.jsonl", "--droplets=all", "-k", IN_USE)
    second = record(pytester, "b.jsonl", "--droplets=all", "-k", IN_USE, folder="other")
    assert main(["merge", str(first), str(second), "--droplets-report=jsonl:out.jsonl"]) == 1
    merged = pytester.path / "out.jsonl"
    validate(merged)
    assert messages(merged)[IN_USE].startswith("fail: 1 of 2 accounts: 1 key of the account")
    assert len(lines(merged, "droplet")) == 4
    marks = [r["fingerprint"] for path in (first, second) for r in lines(path, "result")]
    assert marks == [fingerprint(IN_USE, None, name) for name in ("recording", "other")]
    assert [r["fingerprint"] for r in lines(merged, "result")] == marks[1:]


@pytest.mark.parametrize("order", [1, -1], ids=["new-old", "old-new"])
def test_findings_of_several_accounts_keep_their_fingerprint(
    pytester: pytest.Pytester, two_keys: Callable[..., Path], order: int
) -> None:
    """Where two accounts are equally bad, whichever of them was read last."""
    two_keys(one=ALICE, two=ALICE)
    two_keys("other", three=ALICE, four=ALICE)
    names = ("recording", "other")[::order]
    parts = [
        record(pytester, f"{n}.jsonl", "--droplets=all", "-k", IN_USE, folder=n) for n in names
    ]
    assert main(["merge", *map(str, parts), "--droplets-report=jsonl:out.jsonl"]) == 1
    (found,) = lines(pytester.path / "out.jsonl", "result")
    assert found["fingerprint"] == min(fingerprint(IN_USE, None, name) for name in names)
    assert found["message"].startswith("2 of 2 accounts: ")


def fleet_record(
    pytester: pytest.Pytester, name: str, account: str, first: int, check: str, *args: str
) -> Path:
    """A record of two Droplets of an account, with a check of its own; empty: it has no id."""
    cloud = Cloud()
    cloud.account = {"uuid": account}
    cloud.add_key("ops")
    droplets = [cloud.add(f"web-{number}", id=number) for number in (first, first + 1)]
    save(cloud, pytester.path / name, [reached(cloud, droplet) for droplet in droplets])
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(
        test_site=f"""
        from pytest_droplet import check

        @check({check})
        def test_fleet(droplet_account):
            assert not droplet_account.inventory.droplets, "there are some"

        def test_plain(droplet_settings):
            assert not droplet_settings
        """
    )
    only = ("-k", f"test_site or {HAS_KEY}")
    return record(pytester, f"{name}.jsonl", "--droplets=all", *only, *args, folder=name)


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [("one", "one", "still"), ("", "one", "still"), ("one", "", "still"), ("two", "one", "new")],
)
def test_a_baseline_knows_the_findings_of_its_account(
    pytester: pytest.Pytester, before: str, now: str, change: str
) -> None:
    """Also where one of both runs did not know the account's id; another account's are new."""
    fleet_record(pytester, "old", before, 1, '"site.fleet"')
    gate = ("--droplets-baseline=old.jsonl", "--droplets-fail-on=low,new")
    path = fleet_record(pytester, "new", now, 1, '"site.fleet"', *gate)
    (summary,) = lines(path, "summary")
    counted = {kind: len(summary["baseline"][kind]) for kind in ("new", "still", "fixed")}
    assert counted == {"new": 0, "still": 0, "fixed": 0, change: 2}
    gated = [r["gated"] for r in lines(path, "result") if r["verdict"] == "fail"]
    assert gated == [change == "new"] * 2


@pytest.mark.parametrize(
    ("accounts", "firsts"),
    [(("one", "one"), (1, 91)), (("", "one"), (1, 1)), (("one", ""), (1, 1)), (("", ""), (1, 1))],
    ids=["other-droplets", "older-has-no-id", "newer-has-no-id", "no-ids"],
)
def test_an_account_that_was_read_twice_is_one(
    pytester: pytest.Pytester, accounts: tuple[str, str], firsts: tuple[int, int]
) -> None:
    """One result a check, from the newest record, also where the check was renamed since.

    The joined record has the account's id from whichever record knew it.
    """
    ids = ('"site.fleet"', '"site.fleet-size", formerly=["site.fleet"]')
    parts = [
        fleet_record(pytester, name, *more)
        for name, *more in zip(("old", "new"), accounts, firsts, ids, strict=True)
    ]
    assert main(["merge", *map(str, parts), "--droplets-report=jsonl:out.jsonl"]) == 1
    merged = pytester.path / "out.jsonl"
    assert verdicts(merged) == verdicts(parts[1])
    assert len(lines(merged, "result")) == len(lines(parts[1], "result")) == 3
    (header,) = lines(merged, "header")
    assert header["account"].get("id", "") == max(accounts)


def test_what_cannot_be_judged_again_is_never_green(
    pytester: pytest.Pytester, two_keys: Callable[..., Path]
) -> None:
    """A check of the user's own, passed in parts, is unknown; where records do not tell, too."""
    two_keys(one=ALICE, two=BOB)
    pytester.makepyfile(
        test_site="""
        from pytest_droplet import check

        @check("site.fleet", rows=["droplet_authorized_keys"])
        def test_fleet(droplet_account):
            assert len(droplet_account.rows) < 2, "two are too many"
        """
    )
    parts = [
        record(pytester, f"{t}.jsonl", f"--droplets=tag:{t}", "-k", f"site or {IN_USE}")
        for t in ("one", "two")
    ]
    assert main(["merge", *map(str, parts), "--droplets-report=jsonl:out.jsonl"]) == 1
    found = messages(pytester.path / "out.jsonl")
    assert found["site.fleet"] == (
        "unknown: judged in 2 parts, not on the account as a whole; run it without shards"
    )
    for path in parts:
        texts = path.read_text().splitlines()
        header = {k: v for k, v in json.loads(texts[0]).items() if k != "account"}
        path.write_text("\n".join([json.dumps(header), *texts[1:]]) + "\n")
    assert main(["merge", *map(str, parts), "--droplets-report=jsonl:out.jsonl"]) == 1
    found = messages(pytester.path / "out.jsonl")
    assert found[IN_USE].startswith("notapplicable: 1 of 2 Droplets selected")
    assert found[IN_USE].endswith("(judged in 2 parts, not on the account as a whole)")


def test_a_merged_record_can_be_merged_again(
    audit: pytest.Pytester, shards: tuple[Path, Path]
) -> None:
    """And is what a later run can be compared with."""
    main(["merge", str(shards[0]), "--droplets-report=jsonl:one.jsonl"])
    main(["merge", "one.jsonl", str(shards[1]), "--droplets-report=jsonl:two.jsonl"])
    validate(audit.path / "two.jsonl")
    assert len(verdicts(audit.path / "two.jsonl")) == 8
    result = audit.runpytest_inprocess(
        "--droplets=all", "--droplets-replay=recording", "--droplets-baseline=two.jsonl"
    )
    shown = " ".join(result.stdout.str().split())
    assert ": 0 new, 0 fixed, 1 still failing, 0 newly waived" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda texts: texts[:-1], "the record was cut: it has no summary line"),
        (lambda texts: [texts[0].replace('"schema":1', '"schema":9'), *texts[1:]], "of schema 9"),
        (lambda texts: ["nonsense"], ":1: not a line of a record"),
        (lambda texts: [], "it has no header line"),
        (
            lambda texts: [*texts[:-1], texts[-1].replace('"exit_code":0', '"exit_code":2')],
            "the run did not come to its end (exit code 2); run it again",
        ),
    ],
    ids=["cut", "schema", "nonsense", "empty", "interrupted"],
)
def test_a_record_that_is_not_whole_is_refused(
    audit: pytest.Pytester,
    shards: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    change: Any,
    message: str,
) -> None:
    """One line, exit code 4, and no report."""
    path = shards[0]
    path.write_text("\n".join(change(path.read_text().splitlines())))
    assert main(["merge", *map(str, shards), "--html=out.html"]) == 4
    error = capsys.readouterr().err
    assert error.startswith("ERROR: ")
    assert error.count("\n") == 1
    assert "db.jsonl" in error
    assert message in error
    assert not (audit.path / "out.html").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "the following arguments are required"),
        (["merge"], "the following arguments are required: RECORD"),
        (["split"], "invalid choice: 'split'"),
        (["merge", "none.jsonl"], "none.jsonl: the record cannot be read"),
        (["merge", "db.jsonl", "--droplets-fail-on=huge"], "expected one of critical, high"),
        (["merge", "db.jsonl", "--droplets-fail-on=high,new"], "`new` needs --droplets-baseline"),
        (["merge", "db.jsonl", "--droplets-report=xml:a"], "expected FORMAT:PATH"),
        (["merge", "db.jsonl", "--droplets-report=jsonl:db.jsonl"], "is one of the records"),
        (["merge", "db.jsonl", "--html=db.jsonl"], "is one of the records"),
        (["merge", "db.jsonl", "--droplets-report=csv:db.jsonl/x"], "db.jsonl"),
        (["merge", "db.jsonl", *asked("jsonl"), "--droplets-report=jsonl:b"], "was given twice"),
        (["merge", "db.jsonl", "--droplets-baseline=none"], "none: the record cannot be read"),
        (["merge", "db.jsonl", "--droplets-min-coverage=x"], "invalid int value: 'x'"),
        (["merge", "db.jsonl", "--droplets-min-coverage=101"], "a percentage from 0 to 100"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_with_code_4(
    audit: pytest.Pytester,
    shards: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    message: str,
) -> None:
    """No traceback, and the records stay as they are."""
    before = shards[0].read_bytes()
    capsys.readouterr()
    assert main(args) == 4
    error = capsys.readouterr().err
    assert error.startswith("ERROR: ")
    assert error.count("\n") == 1
    assert message in error
    assert shards[0].read_bytes() == before


def test_a_secret_of_an_older_record_is_in_no_output(
    audit: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever in a line it stands: an earlier version masked messages of checks alone."""
    token = "dop_v1_" + "canary" * 10
    path = record(audit, "old.jsonl", "--droplets=all")

    def spoil(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: spoil(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [spoil(inner, name) for inner in value]
        texts = ("message", "text", "title", "finding", "remediation", "tags", "source")
        return f"{value} {token}" if isinstance(value, str) and name in texts else value

    old = [spoil(json.loads(text)) for text in path.read_text().splitlines()]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in old))
    assert path.read_text().count(token) > len(old)
    reports = [f"--droplets-report={name}:m/{name}" for name in FORMATS]
    main(["merge", str(path), "--html=m/page.html", *reports])
    shown = capsys.readouterr()
    files = [file for file in (audit.path / "m").rglob("*") if file.is_file()]
    assert len(files) > len(FORMATS)
    assert "***" in shown.out
    assert "canary" not in shown.out + shown.err
    assert [file.name for file in files if "canary" in file.read_text()] == []
