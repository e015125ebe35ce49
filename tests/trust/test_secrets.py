"""Canaries go in at every side of an audit, and come out at none."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from pytest_droplet.connection.credentials import KeyRing
from pytest_droplet.connection.pool import Pool, PoolOptions
from pytest_droplet.redact import Secret
from pytest_droplet.testing import SCOPES, Cloud
from tests.support.fake_api import FakeApi
from tests.support.ssh_server import needs, servers
from tests.trust.hosts import answer
from tests.trust.runs import HANGS_S, finish, start, verdicts

TOKEN = "dop_v1_" + "ca0a27" * 10 + "abcd"
HASH = "$6$canarysalt$" + "CanaryHash0" * 6
KEY_BODY = "b3BlbnNzaC1rZXktCANARYv1AAAA" * 3
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY_BODY}\n-----END OPENSSH PRIVATE KEY-----\n"
USER_DATA = "#cloud-config\npassword: canary-in-user-data\n"
WEBHOOK = "https://hooks.slack.com/services/T0CANARY/B0CANARY/canarywebhook"
LOGIN = "https://ops:canarylogin@repo.test/debian"
PASSPHRASE = "canary-passphrase"
HOST_SAID = (
    f"root:{HASH}:19000:0:99999:7:::\n{KEY}{USER_DATA}url={WEBHOOK}\ndeb {LOGIN} x\n{TOKEN}\n"
)
CANARIES = {
    "token": TOKEN[7:],
    "hash": "CanaryHash0",
    "key": KEY_BODY[:28],
    "user data": "canary-in-user-data",
    "webhook": "canarywebhook",
    "login": "canarylogin",
    "passphrase": PASSPHRASE,
}
TEST = '''
import logging, os
from pytest_droplet import check

def test_shows_its_locals(droplet, droplet_os_release):
    logging.getLogger("site").debug("judging %s", droplet)
    assert droplet.name == "nothing", droplet

@check("site.breaks")
def test_breaks(droplet, droplet_sshd):
    """It breaks."""
    raise RuntimeError(f"{droplet_sshd}")
'''
REPORTS = {
    "jsonl": "out.jsonl",
    "sarif": "out.sarif",
    "ocsf": "out.ocsf",
    "hdf": "hdf",
    "csv": "out.csv",
    "markdown": "out.md",
    "github": "out.github",
    "oscal": "out.oscal",
}


def everywhere(nonce: str, printed: dict[str, bytes]) -> None:
    """Put the canaries first and last into what each section prints."""
    for name, text in printed.items():
        printed[name] = HOST_SAID.encode() + text + b"\n" + HOST_SAID.encode()


def at_the_end(nonce: str, printed: dict[str, bytes]) -> None:
    """Put the canaries last, where parsers that go line by line have read all the rest."""
    for name, text in printed.items():
        printed[name] = text + b"\n" + HOST_SAID.encode()


def found(text: str) -> set[str]:
    """Return the names of the canaries that stand in a text."""
    return {name for name, canary in CANARIES.items() if canary in text}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Run an audit with every output at its most talkative, and return all that it wrote."""
    needs("ssh-keygen")
    folder = tmp_path_factory.mktemp("secrets")
    project = folder / "project"
    project.mkdir()
    (project / "test_site.py").write_text(TEST)
    cloud = Cloud()
    cloud.add("plain", id=1, public="127.0.8.1", user_data=USER_DATA, root_password=HASH)
    cloud.add("spread", id=2, public="127.0.8.2", alert=WEBHOOK)
    cloud.add("mute", id=3, public="127.0.8.3")
    cloud.add("proxied", id=4, public="127.0.8.4")
    cloud.add("agented", id=5, public="127.0.8.5")
    cloud.add_key("ops")
    with (
        servers(folder) as farm,
        FakeApi(cloud, token=TOKEN, scopes=SCOPES) as api,
        contextlib.ExitStack() as stack,
    ):
        ends = farm.ssh({"127.0.8.1": 1}, answer(at_the_end))
        spread = farm.ssh({"127.0.8.2": 2}, answer(everywhere))
        mute = farm.ssh({"127.0.8.3": 3}, answer(before=HOST_SAID.encode(), identity=HOST_SAID))
        locked = folder / "locked"
        unlocked = asyncssh.generate_private_key("ssh-ed25519")
        unlocked.write_private_key(locked)
        unlocked.write_public_key(folder / "locked.pub")
        locked.chmod(0o600)
        lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", str(locked)]
        subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
        agented = farm.ssh(
            {"127.0.8.5": 5}, answer(), authorized_client_keys=str(folder / "locked.pub")
        )
        ports = (("plain", ends), ("spread", spread), ("mute", mute))
        blocks = [line for n, s in ports for line in (f"Host {n}", f"  Port {s.port}")]
        spied = project / "child"
        proxy = f"  ProxyCommand sh -c 'cat /proc/$$/environ /proc/$$/cmdline >{spied}; sleep 1'"
        by_agent = f"  Port {agented.port}\n  IdentityAgent {folder}/agent"
        blocks += ["Host agented", by_agent, f"  IdentityFile {locked}", "  IdentitiesOnly yes"]
        config = farm.config(22, *blocks, "Host proxied", proxy, f"  IdentityFile {locked}")
        askpass = stack.enter_context(agent(folder, locked))
        process = start(
            project,
            "--droplets=all",
            "--droplets-profile=all",
            "--droplets-probe=off",
            "--droplets-timeout=300",
            f"--ssh-config={config}",
            "-vv",
            "--showlocals",
            "-rA",
            "--log-level=DEBUG",
            "--log-cli-level=DEBUG",
            "--log-file=log.txt",
            "--html=page.html",
            "--junitxml=junit.xml",
            "-o",
            "junit_logging=all",
            "--droplets-record=recording",
            *(f"--droplets-report={form}:{path}" for form, path in REPORTS.items()),
            env={
                **askpass,
                "DIGITALOCEAN_API_URL": api.url,
                "DIGITALOCEAN_TOKEN": TOKEN,
            },
        )
        command = Path(f"/proc/{process.pid}/cmdline")
        shown = []
        while process.poll() is None and len(shown) < 20:
            with contextlib.suppress(OSError):
                shown.append(command.read_text())
            time.sleep(0.05)
        status, text = finish(process)
        key = (farm.folder / "id_ed25519").read_text().splitlines()[2]
        by_agent = unlocked.export_private_key().decode().splitlines()
        asked = (folder / "asked").read_text()
    files = {
        str(p.relative_to(project)): p.read_text("utf-8", "replace")
        for p in project.rglob("*")
        if p.is_file() and p.name != "test_site.py"
    }
    assert status == 1, text
    return {
        "terminal": text,
        "ps": "\n".join(shown),
        "own key": key,
        "agent's key": by_agent[2],
        "asked": asked,
        **files,
    }


@contextlib.contextmanager
def agent(folder: Path, locked: Path) -> Iterator[Mapping[str, str]]:
    """Run an agent that was given the locked key, and yield the environment that asks for more.

    Its program notes in ``asked`` each time that it is asked for the passphrase.
    """
    for tool in ("ssh-agent", "ssh-add", "ssh-keygen"):
        needs(tool)
    askpass = folder / "askpass"
    askpass.write_text(f"#!/bin/sh\necho asked >>{folder}/asked\necho {PASSPHRASE}\n")
    askpass.chmod(0o700)
    asks = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", folder / "agent"], stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(HANGS_S * 50):
            if (folder / "agent").is_socket():
                break
            time.sleep(0.02)
        subprocess.run(
            ["ssh-add", "-q", locked],
            env={**os.environ, **asks, "SSH_AUTH_SOCK": f"{folder}/agent"},
            stdin=subprocess.DEVNULL,
            check=True,
        )
        yield asks
    finally:
        process.terminate()
        process.wait(HANGS_S)


def test_every_output_is_there(outputs: Mapping[str, str]) -> None:
    """The outputs that are searched below were all written, and hold results."""
    wanted = {"terminal", "ps", "log.txt", "page.html", "junit.xml", "child"}
    wanted |= {p for p in REPORTS.values() if p != "hdf"}
    wanted |= {"recording/recording.json", "recording/api.json", "recording/hosts/1.json"}
    assert wanted <= set(outputs)
    assert [p for p in outputs if p.startswith("hdf/")]
    for name in ("terminal", "out.jsonl", "page.html", "junit.xml", "out.sarif"):
        assert "ssh.root-login-disabled" in outputs[name], name
    assert "droplet_sshd" in outputs["out.jsonl"]


@pytest.mark.parametrize("canary", CANARIES)
def test_a_canary_is_nowhere(outputs: Mapping[str, str], canary: str) -> None:
    """Terminal, logs, reports, page, recording, process list, environment of children."""
    leaks = [name for name, text in outputs.items() if CANARIES[canary] in text]
    assert leaks == []


@pytest.mark.parametrize("key", ["own key", "agent's key"])
def test_the_key_that_logs_in_is_nowhere(outputs: Mapping[str, str], key: str) -> None:
    """The auditor's own private key is read by the process and written by none."""
    leaks = [n for n, text in outputs.items() if n != key and outputs[key] in text]
    assert leaks == []


def test_a_passphrase_is_never_asked_for(outputs: Mapping[str, str]) -> None:
    """A locked key logs in by the agent alone: only who filled it was asked for the passphrase."""
    assert outputs["asked"].split() == ["asked"]
    droplets = [json.loads(line) for line in outputs["out.jsonl"].splitlines()]
    read = {d["name"]: d["coverage"] for d in droplets if d["type"] == "droplet"}
    assert read["agented"] == "reached"
    assert read["proxied"] == "unreachable"


def test_children_know_nothing_of_the_token(outputs: Mapping[str, str]) -> None:
    """The environment of a ProxyCommand has no variable of DigitalOcean's."""
    assert "PATH=" in outputs["child"]
    assert "DIGITALOCEAN" not in outputs["child"]


def test_masking_hides_no_finding(outputs: Mapping[str, str]) -> None:
    """A mask stands where a canary was; what a recording replays is judged the same."""
    assert "***" in outputs["recording/hosts/1.json"]


def test_a_repr_shows_no_secret(tmp_path: Path) -> None:
    """Of what holds token or key, no repr, format, or list of variables gives it away."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    path = tmp_path / "id"
    key.write_private_key(path)
    held: list[Any] = [Secret(TOKEN), KeyRing().collect([str(path)])]
    with contextlib.closing(Pool(PoolOptions(ssh_config="none", identity_file=str(path)))) as p:
        held += [p, vars(p), p.options]
        texts = [f"{thing!r} {thing} {[thing]!r}" for thing in held]
    body = path.read_text().splitlines()[1]
    assert not any(TOKEN in text or body in text for text in texts)


def test_a_broken_run_shows_no_locals(
    project: pytest.Pytester, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the plugin itself breaks, pytest's account of it holds no token."""
    project.makeconftest(
        "import pytest\n"
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_droplet_connect(config, options):\n"
        "    yield\n"
        "    raise RuntimeError('broken on purpose')\n"
    )
    result = project.runpytest_inprocess("--droplets=all", "-vv", "--showlocals", "--full-trace")
    text = result.stdout.str() + result.stderr.str()
    assert "broken on purpose" in text
    assert os.environ["DIGITALOCEAN_TOKEN"] not in text


def test_recordings_keep_verdicts(outputs: Mapping[str, str], pytester: pytest.Pytester) -> None:
    """What was masked when written is judged in a replay as it was live."""
    for name, text in outputs.items():
        if name.startswith("recording/"):
            path = pytester.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    pytester.runpytest_inprocess(
        "--droplets=all",
        "--droplets-profile=all",
        "--droplets-replay=recording",
        "--droplets-report=jsonl:replayed.jsonl",
    )
    (pytester.path / "live.jsonl").write_text(outputs["out.jsonl"])
    live = verdicts(pytester.path / "live.jsonl")
    replayed = verdicts(pytester.path / "replayed.jsonl")
    assert replayed == {k: live[k] for k in replayed}
    assert len(replayed) > 200
