"""How many connections an audit opens: one login a host, two questions, one way in."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.ssh_server import Server, Servers, canned
from tests.trust.runs import lines, run

COUNT = 4


@pytest.fixture
def fleet(farm: Servers) -> Server:
    """Hosts that say who they are, and no more."""
    return farm.ssh({f"127.0.0.{i}": i for i in range(1, COUNT + 1)}, canned())


def audit(folder: Path, config: str, *more: str) -> list[dict[str, object]]:
    """Judge the default profile on all hosts, and return the record."""
    cloud = Cloud()
    for i in range(1, COUNT + 1):
        cloud.add(f"web-{i}", id=i, public=f"127.0.0.{i}")
    (folder / "project").mkdir()
    with FakeApi(cloud) as api:
        status, text = run(
            folder / "project",
            [
                "--droplets=all",
                "--droplets-report=jsonl:out.jsonl",
                f"--ssh-config={config}",
                *more,
            ],
            env={"DIGITALOCEAN_API_URL": api.url, "DIGITALOCEAN_TOKEN": TOKEN},
        )
    assert status == pytest.ExitCode.TESTS_FAILED, text
    record = lines(folder / "project/out.jsonl")
    assert [r["coverage"] for r in record if r["type"] == "droplet"] == ["reached"] * COUNT, text
    return record


@pytest.mark.parametrize("more", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_host_has_one_login_and_two_questions(
    tmp_path: Path, farm: Servers, fleet: Server, more: tuple[str, ...]
) -> None:
    """SSH is asked what it offers root and somebody unknown; that it can be reached is seen."""
    audit(tmp_path, farm.config(fleet.port), *more)
    assert fleet.logins == COUNT
    assert fleet.connections == 3 * COUNT


def test_behind_a_bastion_there_is_one_connection_to_it(
    tmp_path: Path, farm: Servers, fleet: Server
) -> None:
    """All hosts share it. SSH is asked through it; nothing else is tried from here."""
    jump = farm.ssh({"127.0.1.1": 99}, forwards=True)
    config = farm.config(fleet.port, "Host web-*", f"  ProxyJump 127.0.1.1:{jump.port}")

    record = audit(tmp_path, config)

    assert (jump.connections, jump.logins) == (1, 1)
    assert fleet.logins == COUNT
    assert fleet.connections == len(jump.forwarded) == 3 * COUNT
    offered = [
        r["verdict"]
        for r in record
        if r["type"] == "result" and r["check"] == "ssh.only-publickey-offered"
    ]
    assert offered == ["pass"] * COUNT
