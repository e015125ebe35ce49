"""Recordings: what is written is read again; what was cut or changed is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_droplet.model import HostReading, NotObservedError, SectionOutput
from pytest_droplet.recording import Recorder, RecordingError, ReplayHosts, load_recording

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of one host."""
    recorder = Recorder(tmp_path / "rec")
    recorder.add_answer("droplets.list?page=1", {"droplets": [], "token": "dop_v1_" + "a" * 64})
    recorder.add_host(
        HostReading(
            7,
            "reached",
            NOW,
            root=True,
            sections={"os": SectionOutput("os", stdout=f"ID=debian\n{KEY}\n", rc=0)},
            probes={"ssh_auth": {"root": ["publickey"]}},
        )
    )
    recorder.finish(recorded_at=NOW, endpoint="api.example", selector=["all"])
    return tmp_path / "rec"


def test_what_was_written_is_read_again(folder: Path) -> None:
    """Times, sections and probes come back as they were."""
    recording = load_recording(folder)
    assert (recording.recorded_at, recording.endpoint) == (NOW, "api.example")
    hosts = ReplayHosts(recording)
    assert hosts.get(7).section("os").stdout.startswith("ID=debian\n")
    assert hosts.get(7).probe("ssh_auth") == {"root": ["publickey"]}
    assert hosts.get(8).state == "unreachable"
    assert "no reading of Droplet 8" in hosts.get(8).reason
    with pytest.raises(NotObservedError, match="cannot be run in a replay"):
        hosts.run(7, "id")


def test_secrets_are_masked_when_written(folder: Path) -> None:
    """No token and no private key is in any file."""
    text = "".join(p.read_text() for p in folder.rglob("*.json"))
    assert "c2VjcmV0" not in text
    assert "dop_v1_a" not in text


def test_a_folder_that_holds_something_is_not_recorded_into(folder: Path) -> None:
    """A recording is never mixed with another."""
    with pytest.raises(RecordingError, match="name a folder that does not exist yet"):
        Recorder(folder)


@pytest.mark.parametrize("file", ["api.json", "hosts/7.json"])
def test_a_changed_file_is_refused(folder: Path, file: str) -> None:
    """A file that differs from what the manifest says is named."""
    path = folder / file
    path.write_text(path.read_text().replace("a", "b", 1))
    with pytest.raises(RecordingError, match=f"recording rec: {file} was changed"):
        load_recording(folder)


def test_a_recording_that_was_cut_is_refused(folder: Path) -> None:
    """Without the manifest, which is written last, it is no recording."""
    (folder / "recording.json").unlink()
    with pytest.raises(RecordingError, match=r"recording.json cannot be read"):
        load_recording(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99, this version reads 1"),
        ({"files": {}}, "not as this version writes it"),
        ({"files": {"api.json": 0, "hosts/../../x": ""}}, "was changed|is not inside it"),
        ({"recorded_at": "never"}, "not as this version writes it"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    folder: Path, change: dict[str, object], message: str
) -> None:
    """Another format, missing files, paths that lead out: one line."""
    path = folder / "recording.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RecordingError, match=message):
        load_recording(folder)


def test_a_recording_is_for_its_owner_alone(folder: Path) -> None:
    """What hosts said is in it, whatever the umask allows."""
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*.json")}
    assert modes == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "hosts")} == {0o700}
