"""What is asked of the API: as little as the run needs; and an audit without a single login."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.__main__ import main
from pytest_droplet.catalogue import shipped
from pytest_droplet.record import fingerprint
from pytest_droplet.testing import SCOPES, Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.recordings import reached, save

VOLUME = "506f78a4-e098-11e5-ad9f-000f53306ae1"
OLD = Path(__file__).parents[1] / "unit" / "records" / "without-details.jsonl"
ALWAYS = {
    *("/v2/droplets", "/v2/droplets/autoscale", "/v2/kubernetes/clusters"),
}
NEEDS_API = "droplet_check(needs='api')"


@pytest.fixture
def cloud() -> Cloud:
    """Two Droplets: one well kept, one not; a key; a firewall by tag; a volume."""
    cloud = Cloud()
    cloud.add("web-1", id=11, tags=["web"], backups=3, volume_ids=[VOLUME])
    cloud.add("web-2", id=12, tags=["bare"])
    cloud.add_firewall("walls", tags=["web"], sources=["198.51.100.0/24"])
    cloud.add_volume_snapshot(VOLUME)
    cloud.add_key("ops")
    return cloud


@pytest.fixture
def api(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with FakeApi(cloud) as server:
        monkeypatch.setenv("DIGITALOCEAN_API_URL", server.url)
        monkeypatch.setenv("DIGITALOCEAN_TOKEN", TOKEN)
        yield server


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\naddopts = -p no:randomly -p no:cacheprovider\n")
    return pytester


@pytest.fixture
def ssh(project: pytest.Pytester) -> Iterator[socket.socket]:
    """The port of every Droplet's SSH; the file `ssh_config` leads there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        (project.path / "ssh_config").write_text(f"Host *\n  HostName 127.0.0.1\n  Port {port}\n")
        yield server


def asked(api: FakeApi) -> set[str]:
    return {request.path for request in api.requests}


def record(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "out.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["type"] == kind]


CHOICES = [
    (("--pyargs", "pytest_droplet.checks", "-k", "backups.enabled"), {"policies", "images"}),
    (("--pyargs", "pytest_droplet.checks", "-k", "account-has-key"), {"keys"}),
    (("--pyargs", "pytest_droplet.checks", "-k", "cloud-exists"), {"firewalls"}),
    (("pytest_droplet/checks/backups.py::backups.volumes-covered[web-1-11]",), {"snapshots"}),
    (("test_site.py", "-k", "volumes"), {"snapshots"}),
    (("test_site.py", "-k", "named"), set()),
]


@pytest.mark.parametrize(
    ("args", "more", "workers"),
    [*((*choice, ()) for choice in CHOICES), (*CHOICES[0], ("-n2",)), (*CHOICES[4], ("-n2",))],
    ids=[*map(str, range(len(CHOICES))), "0-xdist", "4-xdist"],
)
def test_only_the_lists_that_are_needed_are_asked_for(
    project: pytest.Pytester,
    api: FakeApi,
    args: tuple[str, ...],
    more: set[str],
    workers: tuple[str, ...],
) -> None:
    """Whatever chooses the checks; once a run, also where workers collect them."""
    project.makepyfile(
        test_site='''
        from pytest_droplet import check

        @check("site.volumes")
        def test_volumes(droplet_volumes):
            """Volumes have snapshots."""
            for volume in droplet_volumes.ids:
                assert droplet_volumes.newest(volume)

        def test_named(droplet):
            assert droplet.name
        '''
    )
    run = project.runpytest_subprocess if workers else project.runpytest_inprocess
    result = run("--droplets=web-1", *args, *workers)

    assert result.ret is pytest.ExitCode.OK or "cloud" in args[-1], result.outlines
    names = {path.rsplit("/", 1)[-1] for path in asked(api) - ALWAYS}
    assert names - {"backups"} == more - ({"images"} if "backups" in names else set())
    counted = Counter((r.path, tuple(r.query.items())) for r in api.requests)
    assert set(counted.values()) == {1}


@pytest.mark.parametrize(
    ("args", "times"),
    [
        ((), 0),
        (("--droplets-report=jsonl:out.jsonl",), 1),
        (("--droplets-report=sarif:out.sarif",), 1),
        (("--html=out.html",), 1),
        (("--droplets-record=rec",), 1),
        (("--droplets-baseline=old.jsonl",), 1),
        (("--droplets-report=jsonl:out.jsonl", "-n2"), 1),
        (("--droplets-report=jsonl:out.jsonl", "-k", "backups.enabled"), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_account_is_named_where_its_findings_are_kept(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud, args: tuple[str, ...], times: int
) -> None:
    """One request, once a run, where a check of the account is judged and something is kept."""
    shutil.copy(OLD, project.path / "old.jsonl")
    run = project.runpytest_subprocess if "-n2" in args else project.runpytest_inprocess
    choice = ("-k", "account-has-key or backups.enabled", "--pyargs", "pytest_droplet.checks")
    run("--droplets=all", *choice, *args)

    assert [r.path for r in api.requests].count("/v2/account") == times
    for kept in (p for p in project.path.rglob("*") if p.is_file()):
        assert cloud.account["email"] not in kept.read_text("utf-8", "replace"), kept
    if (project.path / "out.jsonl").is_file():
        (header,) = record(project.path, "header")
        assert header["account"].get("id", "") == (cloud.account["team"]["uuid"] if times else "")
        marks = {r["droplet_id"]: r["fingerprint"] for r in record(project.path, "result")}
        named = fingerprint("ssh.account-has-key", None, cloud.account["team"]["uuid"])
        assert marks.get(None, named) == named


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_an_account_is_judged_without_a_login(
    project: pytest.Pytester,
    api: FakeApi,
    cloud: Cloud,
    ssh: socket.socket,
    workers: tuple[str, ...],
) -> None:
    """No connection, no unknown, and an exit code that the findings alone decide."""
    run = project.runpytest_subprocess if workers else project.runpytest_inprocess
    result = run(
        *("--droplets=all", "-m", NEEDS_API, "--droplets-report=jsonl:out.jsonl", *workers),
        "--ssh-config=ssh_config",
    )

    with pytest.raises(BlockingIOError):
        ssh.accept()
    assert result.ret is pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["coverage: no selected check reads a host"])
    verdicts = {
        (r["check"], r["droplet_id"]): r["verdict"] for r in record(project.path, "result")
    }
    assert set(verdicts.values()) == {"pass", "fail"}
    assert verdicts["firewall.cloud-attached", 11] == "pass"
    assert verdicts["firewall.cloud-attached", 12] == "fail"
    assert verdicts["backups.enabled", 12] == "fail"
    assert {line["coverage"] for line in record(project.path, "droplet")} == {"not-read"}


@pytest.mark.parametrize("args", [("test_site.py",), ("--droplets-profile=none",)])
def test_tests_of_the_api_alone_connect_to_no_host(
    project: pytest.Pytester, api: FakeApi, ssh: socket.socket, args: tuple[str, ...]
) -> None:
    """Nothing on the command line says so: what was collected does."""
    project.makepyfile(test_site="def test_named(droplet): assert droplet.name")
    result = project.runpytest_inprocess("--droplets=all", *args, "--ssh-config=ssh_config")
    result.assert_outcomes(passed=2)
    with pytest.raises(BlockingIOError):
        ssh.accept()[0].close()


@pytest.mark.parametrize("args", [(), ("--pyargs", "pytest_droplet.checks")])
def test_hosts_are_connected_to_before_the_checks_are_collected(
    project: pytest.Pytester, api: FakeApi, args: tuple[str, ...]
) -> None:
    """Where shipped checks that read them are sure to run; connecting takes the longest."""
    project.makeconftest(
        """
        import pytest
        from pytest_droplet.collection import audit_key

        def pytest_collection(session):
            pytest.exit(f"started {sorted(session.config.stash[audit_key].started)}")
        """
    )
    result = project.runpytest_inprocess("--droplets=all", *args)
    result.stdout.fnmatch_lines(["*Exit: started [[]11, 12[]]*"])


def test_an_account_that_is_well_kept_is_green_without_a_login(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """Coverage is asked for of Droplets that had to be reached: none had to be."""
    cloud.remove(12)

    result = project.runpytest_inprocess("--droplets=all", "-m", NEEDS_API)

    assert result.ret is pytest.ExitCode.OK


def test_without_a_cloud_firewall_the_unread_hosts_are_not_taken_for_open(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """A host's own firewall would be enough for the account, and nobody looked at it."""
    cloud.firewalls.clear()

    project.runpytest_inprocess(
        *("--droplets=all", "-m", NEEDS_API, "--droplets-report=jsonl:out.jsonl")
    )

    (line,) = (r for r in record(project.path, "result") if r["check"] == "firewall.cloud-exists")
    assert line["verdict"] == "unknown"
    assert "could not be judged" in line["message"]
    assert line["message"].endswith("no selected check reads the host")


def test_shards_that_read_no_host_are_joined_to_the_same(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """What no part looked at is not taken for open by `merge`, either."""
    cloud.firewalls.clear()
    args = ("--droplets=all", "-m", NEEDS_API)
    for part in ("1", "2"):
        project.runpytest_inprocess(
            *args, f"--droplets-shard={part}/2", f"--droplets-report=jsonl:part-{part}.jsonl"
        )

    main(["merge", "part-1.jsonl", "part-2.jsonl", "--droplets-report=jsonl:out.jsonl"])

    (line,) = (r for r in record(project.path, "result") if r["check"] == "firewall.cloud-exists")
    assert (line["verdict"], "no selected check reads the host" in line["message"]) == (
        "unknown",
        True,
    )


def test_every_shipped_check_has_the_mark(project: pytest.Pytester, api: FakeApi) -> None:
    """`needs` is api or host; a check of the host by a fact of one that it depends on, too."""
    chosen: dict[str, set[str]] = {}
    for needs in ("api", "host"):
        result = project.runpytest_inprocess(
            *("--droplets=web-1", "--droplets-profile=all", "--co", "-q"),
            *("-m", f"droplet_check(needs='{needs}')"),
        )
        found = (line.partition("::")[2].partition("[")[0] for line in result.outlines)
        chosen[needs] = {base for base in found if base}
    assert chosen["api"] & chosen["host"] == set()
    assert chosen["api"] | chosen["host"] == {c.base_id for c in shipped().values()}
    assert {"firewall.cloud-attached", "backups.volumes-covered"} <= chosen["api"]
    assert {"ssh.root-login-disabled", "firewall.access-preserved"} <= chosen["host"]
    assert "sshkeys.account-keys-in-use" in chosen["host"]


def test_members_of_pools_come_and_go_unlisted(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """The record, the coverage and the changes since a baseline tell them apart."""
    args = ("--droplets=all", "-m", NEEDS_API, "--droplets-report=jsonl:out.jsonl")
    gone = cloud.add("shop-1", id=21, tags=["x"])["id"]
    members = cloud.members[cloud.add_pool("shop", [gone])["id"]]
    project.runpytest_inprocess(*args)
    (project.path / "out.jsonl").rename(project.path / "old.jsonl")
    cloud.remove(gone)
    members[0]["droplet_id"] = cloud.add("shop-2", id=22, tags=["x"])["id"]
    cloud.add("new", id=23, tags=["x"])

    result = project.runpytest_inprocess(*args, "--droplets-baseline=old.jsonl")

    lines = {line["name"]: line for line in record(project.path, "droplet")}
    assert lines["shop-2"]["ephemeral"] == "autoscale pool shop"
    assert lines["web-1"]["ephemeral"] is None
    (summary,) = record(project.path, "summary")
    assert summary["coverage"]["ephemeral"] == 1
    changes = summary["baseline"]
    assert (changes["droplets_added"], changes["droplets_gone"]) == (["new"], [])
    assert (changes["ephemeral_added"], changes["ephemeral_gone"]) == (["shop-2"], ["shop-1"])
    shown = " ".join(result.stdout.str().split())
    assert re.search(
        r"coverage: .*; ephemeral, of a pool or cluster: 1 of 4 since .*came: new", shown
    )
    of_backups = [
        r
        for r in record(project.path, "result")
        if r["droplet_id"] == 22 and r["check"].startswith("backups.")
    ]
    assert {r["verdict"] for r in of_backups} == {"notapplicable"}
    assert all("autoscale pool shop" in r["message"] for r in of_backups)


def test_a_token_that_may_not_list_pools_is_told_so(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """One line in the header; the run goes on."""
    cloud.fail("/v2/droplets/autoscale", 403)
    api.scopes = SCOPES - {"kubernetes:read"}

    result = project.runpytest_inprocess("--droplets=all", "-m", NEEDS_API)

    result.stdout.fnmatch_lines(
        ["droplets: members of autoscale pools look like any Droplet: GET /v2/droplets/autos*403*"]
    )
    assert not any("DOKS" in line for line in result.outlines)


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_recording_without_a_list_makes_it_missing(
    project: pytest.Pytester, cloud: Cloud, workers: tuple[str, ...]
) -> None:
    """An older recording, or one of other checks: unknown with the reason, no crash."""
    folder = save(cloud, project.path / "recording", [reached(cloud, d) for d in cloud.droplets])
    answers = json.loads((folder / "api.json").read_text())
    kept = {k: v for k, v in answers.items() if not k.startswith(("snapshots", "autoscale"))}
    manifest = json.loads((folder / "recording.json").read_text())
    del manifest["files"]["api.json"]
    (folder / "api.json").write_text(json.dumps(kept))
    manifest["files"]["api.json"] = _sha256(folder / "api.json")
    (folder / "recording.json").write_text(json.dumps(manifest))

    run = project.runpytest_subprocess if workers else project.runpytest_inprocess
    run(
        *("--droplets=web-1", "--droplets-replay=recording", "--droplets-report=jsonl:out.jsonl"),
        *("--droplets-profile=extended", "--pyargs", "pytest_droplet.checks"),
        *("-k", "volumes-covered", *workers),
    )

    (line,) = record(project.path, "result")
    assert line["verdict"] == "unknown"
    assert "the recording has no answer for snapshots.list" in line["message"]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
