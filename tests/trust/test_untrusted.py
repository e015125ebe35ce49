"""A checked-out project is data: its files start nothing, reach nothing and loosen nothing."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.testing import Cloud
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.recordings import reached, save
from tests.support.ssh_server import Servers, host
from tests.trust.runs import lines, refused, verdicts

INI = "[pytest]\ndroplets_profile = none\n{}\n"


@pytest.mark.parametrize("table", ["tox.ini", "pytest.ini", "pyproject.toml"])
@pytest.mark.parametrize("asked", ["all", "demo"])
def test_no_ini_file_starts_an_audit(
    project: pytest.Pytester, api: FakeApi, table: str, asked: str
) -> None:
    """``--droplets`` in addopts is refused, and nothing is sent."""
    (project.path / "tox.ini").unlink()
    head = "[tool.pytest.ini_options]" if table.endswith(".toml") else "[pytest]"
    quote = '"' if table.endswith(".toml") else ""
    (project.path / table).write_text(f"{head}\naddopts = {quote}--droplets={asked}{quote}\n")
    line = refused(project.runpytest_inprocess())
    assert line == (
        f"{table}: addopts has --droplets={asked}: no file of a project may set it;"
        " type it on the command line"
    )
    assert api.requests == []


def test_nor_does_a_file_that_addopts_names(project: pytest.Pytester, api: FakeApi) -> None:
    """Arguments that pytest reads from a file count as addopts."""
    (project.path / "more.txt").write_text("--droplets=all\n")
    project.makeini("[pytest]\naddopts = @more.txt\n")
    assert "addopts has --droplets=all" in refused(project.runpytest_inprocess())
    assert api.requests == []


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--droplets=tag:db", "type it on the command line"),
        ("--droplets-host-key=accept-new", "type it on the command line"),
        ("--droplets-user=evil", "type it on the command line"),
        ("--droplets-record=/tmp/x", "type it on the command line"),
        ("--droplets-replay=green", "type it on the command line"),
        ("--droplets-report=jsonl:/tmp/x", "type it on the command line"),
        ("--droplets-list", "type it on the command line"),
        ("--droplets-doctl-context=prod", "type it on the command line"),
        ("--droplets-eol-refresh", "type it on the command line"),
        ("--droplets-waivers=../x.toml", "write droplets_waivers = ../x.toml there"),
        ("--droplets-fail-on=critical", "write droplets_fail_on = critical there"),
        ("--ssh-config=ssh_config", "type it on the command line"),
        ("--ssh-identity-file=/etc/shadow", "type it on the command line"),
        ("--sudo-user=evil", "type it on the command line"),
        ("--html=../../page.html", "the page must be below the folder of that file"),
    ],
)
def test_addopts_sets_nothing_that_matters(
    project: pytest.Pytester, api: FakeApi, option: str, hint: str
) -> None:
    """What the command line alone may say is refused in addopts, with the way to say it."""
    project.makeini(INI.format(f"addopts = {option}"))
    line = refused(project.runpytest_inprocess("--droplets=all"))
    assert line.startswith(f"tox.ini: addopts has {option}: ")
    assert hint in line
    assert api.requests == []


def test_what_the_user_typed_or_exported_counts(
    project: pytest.Pytester, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Harmless addopts stay; the environment is the user's, and so is the command line."""
    project.makeini(INI.format("addopts = -q --html=page.html --ignore=x"))
    monkeypatch.setenv("PYTEST_ADDOPTS", "--droplets=all")
    project.runpytest_inprocess("-k", "name").assert_outcomes(passed=3, deselected=3)
    assert (project.path / "page.html").exists()


@pytest.mark.parametrize(
    "key",
    [
        *("droplets", "droplets_host_key", "droplets_user", "droplets_record"),
        *("droplets_replay", "droplets_report", "droplets_doctl_context"),
        *("droplets_token", "droplets_api_url"),
    ],
)
def test_there_is_no_such_ini_key(project: pytest.Pytester, api: FakeApi, key: str) -> None:
    """Under `strict` pytest refuses the key, otherwise it warns; it never has an effect."""
    project.makeini(INI.format(f"{key} = all"))
    plain = project.runpytest_inprocess("-p", "no:cacheprovider")
    assert f"Unknown config option: {key}" in plain.stdout.str() + plain.stderr.str()
    assert api.requests == []
    project.makeini(INI.format(f"{key} = all\nstrict_config = true"))
    assert f"Unknown config option: {key}" in project.runpytest_inprocess().stderr.str()


def test_a_project_cannot_loosen_host_keys_or_name_a_command(
    project: pytest.Pytester, farm: Servers, api: FakeApi
) -> None:
    """An ssh config that lies in the folder of a project is not read."""
    server = farm.ssh({"127.0.0.1": 1}, host, trusted=False)
    marker = project.path / "ran"
    for name in ("ssh_config", "config", ".ssh_config"):
        (project.path / name).write_text(
            f"Host *\n  Port {server.port}\n  StrictHostKeyChecking no\n"
            f"  UserKnownHostsFile /dev/null\n  ProxyCommand touch {marker}\n"
        )
    config = farm.config(server.port)
    args = ("--droplets=name:web-1", f"--ssh-config={config}", "-k", "release")
    project.runpytest_inprocess(*args).assert_outcomes(errors=1, deselected=1)
    assert not marker.exists()


@pytest.mark.parametrize("where", ["droplet.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    "key", ["token", "endpoint", "api_url", "command", "proxy_command", "host_key", "ssh_config"]
)
def test_settings_know_no_such_key(
    project: pytest.Pytester, api: FakeApi, where: str, key: str
) -> None:
    """Settings hold what checks compare with, and nothing that acts."""
    head = "[tool.droplet]\n" if where == "pyproject.toml" else ""
    (project.path / where).write_text(f'{head}{key} = "https://evil.test"\n')
    assert f"unknown key '{key}'" in refused(project.runpytest_inprocess("--droplets=all"))
    assert api.requests == []


@pytest.mark.parametrize("name", ["droplet.toml", "droplet-waivers.toml"])
def test_a_link_out_of_the_project_is_not_followed(
    project: pytest.Pytester, api: FakeApi, tmp_path: Path, name: str
) -> None:
    """The file that it leads to is not read, and nothing of it is shown."""
    secret = tmp_path / "secret"
    secret.write_text("canary-of-another-folder = 1\n")
    (project.path / name).symlink_to(secret)
    result = project.runpytest_inprocess("--droplets=all")
    assert refused(result).startswith(f"{name}: it is a link out of its folder")
    assert "canary" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("path", ["../ca.pem", "/etc/ssl/certs/ca-certificates.crt"])
def test_settings_read_no_file_elsewhere(
    project: pytest.Pytester, api: FakeApi, path: str
) -> None:
    """The one path among the settings stays below the project."""
    (project.path / "droplet.toml").write_text(f'ca_bundle = "{path}"\n')
    assert f"ca_bundle = '{path}'" in refused(project.runpytest_inprocess("--droplets=all"))


@pytest.mark.parametrize(
    ("key", "value"),
    [("waivers", "../w.toml"), ("baseline", "/etc/passwd"), ("waivers", "link.toml")],
)
def test_ini_paths_stay_below_the_ini_file(
    project: pytest.Pytester, api: FakeApi, tmp_path: Path, key: str, value: str
) -> None:
    """Neither ``..`` nor an absolute path nor a link leads out."""
    (tmp_path / "w.toml").write_text("")
    (project.path / "link.toml").symlink_to(tmp_path / "w.toml")
    project.makeini(INI.format(f"droplets_{key} = {value}"))
    line = refused(project.runpytest_inprocess("--droplets=all"))
    assert f"droplets_{key} = {value}: the file must be below the folder of tox.ini" in line


def test_what_a_project_relaxes_is_in_the_header(project: pytest.Pytester, api: FakeApi) -> None:
    """A gate from an ini file is honoured and shown: a green run is not silently so."""
    project.makeini(INI.format("droplets_unknown = skip\ndroplets_min_coverage = 0"))
    result = project.runpytest_inprocess("--droplets=all", "-k", "name")
    shown = next(line for line in result.outlines if "gate set by a file of the project" in line)
    assert "--droplets-min-coverage=0 (tox.ini)" in shown
    assert "--droplets-unknown=skip (tox.ini)" in shown


# --- recordings -------------------------------------------------------------------------------

REPLAY = ("--droplets=all", "--droplets-replay=recording")


@pytest.fixture
def recording(project: pytest.Pytester, cloud: Cloud) -> Path:
    """A recording of the three Droplets."""
    hosts = [reached(cloud, droplet) for droplet in cloud.droplets]
    return save(cloud, project.path / "recording", hosts)


def resign(folder: Path) -> None:
    """Make the manifest's sums right again, as an attacker would."""
    path = folder / "recording.json"
    manifest = json.loads(path.read_text())
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest."""
    path = folder / "recording.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_recording_that_was_changed_or_cut_is_refused(
    project: pytest.Pytester, recording: Path
) -> None:
    """Every file, every one of them: a byte more, a byte less, or gone."""
    project.runpytest_inprocess(*REPLAY).assert_outcomes(passed=6)
    for path in sorted(p for p in recording.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for broken in (whole[:-3], whole + b"\n{", whole.replace(b"1", b"2"), b"", None):
            if broken is None:
                path.unlink()
            else:
                path.write_bytes(broken)
            line = refused(project.runpytest_inprocess(*REPLAY))
            assert line.startswith("recording recording: ")
            path.write_bytes(whole)


@pytest.mark.parametrize(
    "name",
    ["hosts/../../secret.json", "/etc/passwd", "hosts/..", "hosts/\0.json", "hosts//../../s"],
)
def test_a_recording_reads_nothing_outside(
    project: pytest.Pytester, recording: Path, name: str
) -> None:
    """A manifest that names files elsewhere is refused by the name alone."""
    (project.path / "secret.json").write_text('{"canary": 1}')
    sums = {name: hashlib.sha256(b'{"canary": 1}').hexdigest()}
    edited(recording, lambda m: m["files"].update(sums))
    result = project.runpytest_inprocess(*REPLAY)
    if name.startswith("hosts/"):
        assert refused(result).startswith("recording recording: ")
    else:
        result.assert_outcomes(passed=6)
    assert "canary" not in result.stdout.str() + result.stderr.str()


def test_a_link_in_a_recording_is_refused(project: pytest.Pytester, recording: Path) -> None:
    """Its target would be read, and quoted where it is no JSON."""
    victim = recording / "hosts/1.json"
    victim.rename(project.path / "1.json")
    victim.symlink_to(project.path / "1.json")
    assert "hosts/1.json" in refused(project.runpytest_inprocess(*REPLAY))


@pytest.mark.parametrize(
    "manifest",
    [
        *(b"[]", b"null", b'"x"', b"{}", b'{"format": 1}', b'{"format": 1, "files": []}'),
        *(b'{"format": 1, "files": {"api.json": 3}}', b"[" * 100_000, b"\x80\x04"),
        pickle.dumps({"format": 1}),
    ],
)
def test_a_manifest_of_another_kind_is_one_line(
    project: pytest.Pytester, recording: Path, manifest: bytes
) -> None:
    """Data of any kind is refused as data: nothing is unpickled, nothing recurses."""
    (recording / "recording.json").write_bytes(manifest)
    assert refused(project.runpytest_inprocess(*REPLAY)).startswith("recording recording: ")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(sections=7),
        lambda d: d.update(sections={"os": {"name": "os", "stdout": 7}}),
        lambda d: d.update(sections={"os": {"name": "os", "code": "import os"}}),
        lambda d: d.update(state="great"),
        lambda d: d.update(droplet_id="../../1"),
        lambda d: d.update(observed_at="never"),
        lambda d: d.update(__class__="os.system"),
    ],
    ids=["sections", "stdout", "field", "state", "id", "time", "class"],
)
def test_a_forged_host_is_refused_or_unknown(
    project: pytest.Pytester, recording: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """With sums made right again it is data of a wrong kind: one line, or unknown; no pass."""
    path = recording / "hosts/1.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    resign(recording)
    result = project.runpytest_inprocess(*REPLAY, "--droplets-report=jsonl:out.jsonl")
    if result.ret is pytest.ExitCode.USAGE_ERROR:
        assert refused(result).startswith("recording recording: ")
    else:
        assert verdicts(project.path / "out.jsonl")["site.release", 1] == "unknown"
        assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_replay_says_that_it_is_one(project: pytest.Pytester, recording: Path) -> None:
    """Header and record name the recording and its time: a green replay is not taken for live."""
    result = project.runpytest_inprocess(*REPLAY, "--droplets-report=jsonl:out.jsonl")
    result.stdout.fnmatch_lines(["droplets: all: 3 of 3 Droplets (recording recording, judged *"])
    assert lines(project.path / "out.jsonl")[0]["replay"]["source"] == "recording"


def test_a_hostile_id_names_no_file_elsewhere(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud
) -> None:
    """Files of a recording are named by ids, which are numbers or the run ends."""
    api.scopes = frozenset()
    body = {"droplets": [{**cloud.droplets[0], "id": "../../x"}], "meta": {"total": 1}}
    cloud.fail("/v2/droplets", 200, body=body, times=9)
    line = refused(project.runpytest_inprocess("--droplets=all", "--droplets-record=rec"))
    assert "expected a number" in line or "'id'" in line or "id is" in line
    assert TOKEN not in line
    assert not list(project.path.parent.glob("x*"))
