"""Recordings: every API answer, host reading and probe of a run, to judge again without network.

A recording is a folder of JSON files, data only: ``recording.json`` (who, when, and the SHA-256 of
every other file), ``api.json`` (answers by request) and ``hosts/<id>.json`` (one reading each).
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_droplet.facts import section_masks
from pytest_droplet.files import OWNER_FOLDER, owner_only
from pytest_droplet.model import (
    HostReading,
    HostState,
    NotObservedError,
    Probe,
    Section,
    SectionOutput,
)
from pytest_droplet.redact import redact, redact_json

FORMAT = 1
DEMO = Path(__file__).parent / "data" / "demo"
_MANIFEST = "recording.json"


class RecordingError(ValueError):
    """A recording cannot be written, or is not one, is cut or was changed: one line."""


@dataclass(frozen=True)
class Recording:
    """A recording that was read and found whole.

    Attributes:
        recorded_at: The time that a replay judges ages and dates at.
        name: The folder's name, or ``demo``.
        endpoint: Host name of the API that answered.
        answers: API answers by request.
        hosts: Readings by Droplet id.
    """

    recorded_at: datetime
    name: str
    endpoint: str
    answers: Mapping[str, Any]
    hosts: Mapping[int, HostReading]


class Recorder:
    """Writes a recording: readings as they come, the manifest last."""

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            RecordingError: It cannot be made, or holds something already.
        """
        self._folder = folder
        self._answers: dict[str, Any] = {}
        self._sums: dict[str, str] = {}
        try:
            if folder.is_dir() and any(folder.iterdir()):
                raise FileExistsError(errno.EEXIST, "it holds something already")
            folder.mkdir(OWNER_FOLDER, parents=True, exist_ok=True)
            (folder / "hosts").mkdir(OWNER_FOLDER)
        except OSError as exc:
            raise RecordingError(
                f"--droplets-record={folder}: {exc.strerror}; name a folder that does not exist yet"
            ) from None

    def add_answer(self, request: str, answer: Any) -> None:
        """Keep one answer of the API."""
        self._answers[request] = answer

    def add_host(self, reading: HostReading) -> None:
        """Write one host's reading without the values that no check needs, redacted."""
        data = asdict(reading)
        data["observed_at"] = reading.observed_at.isoformat()
        masks = section_masks()
        for name, section in data["sections"].items():
            mask = masks.get(name, str)
            section["stdout"] = redact(mask(section["stdout"]))
            section["stderr"] = redact(mask(section["stderr"]))
        self._write(f"hosts/{reading.droplet_id}.json", data)

    def finish(self, *, recorded_at: datetime, endpoint: str, selector: Sequence[str]) -> None:
        """Write the API's answers and the manifest: without it the recording is refused."""
        self._write("api.json", redact_json(self._answers))
        manifest = {
            "format": FORMAT,
            "recorded_at": recorded_at.isoformat(),
            "endpoint": endpoint,
            "selector": list(selector),
            "files": self._sums,
        }
        self._write(_MANIFEST, manifest)

    def _write(self, name: str, data: Any) -> None:
        text = json.dumps(data, indent=1, sort_keys=True) + "\n"
        try:
            with open(self._folder / name, "w", encoding="utf-8", opener=owner_only) as file:
                file.write(text)
        except OSError as exc:
            pytest.exit(
                f"--droplets-record={self._folder}: {name} could not be written: {exc.strerror};"
                " make room and run again",
                pytest.ExitCode.USAGE_ERROR,
            )
        self._sums[name] = hashlib.sha256(text.encode()).hexdigest()


def load_recording(folder: Path | None) -> Recording:
    """Read a recording (None: the demo fleet that ships with the package).

    Raises:
        RecordingError: A file is missing, was changed, or is of another format.
    """
    root = folder or DEMO
    name = root.name
    try:
        manifest = _load(root, _MANIFEST, name, None)
        if manifest.get("format") != FORMAT:
            raise RecordingError(
                f"recording {name}: format {manifest.get('format')!r}, this version reads {FORMAT}"
            )
        sums = manifest["files"]
        answers = _load(root, "api.json", name, sums["api.json"])
        hosts = [
            _reading(_load(root, file, name, checksum))
            for file, checksum in sums.items()
            if file.startswith("hosts/")
        ]
        return Recording(
            recorded_at=datetime.fromisoformat(manifest["recorded_at"]).astimezone(UTC),
            name=name,
            endpoint=manifest["endpoint"],
            answers=answers,
            hosts={host.droplet_id: host for host in hosts},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        if isinstance(exc, RecordingError):
            raise
        raise RecordingError(
            f"recording {name}: not as this version writes it ({type(exc).__name__}: {exc})"
        ) from None


class ReplayHosts:
    """Hosts that answer from a recording: the same interface as the pool, no network."""

    def __init__(self, recording: Recording) -> None:
        self.notes: list[str] = []
        self.accepted: list[str] = []
        self._hosts = recording.hosts
        self._recorded_at = recording.recorded_at

    def start(self, targets: Iterable[Any]) -> None:
        """Do nothing: there is nothing to connect to."""

    def read(self, sections: Sequence[Section], probes: Sequence[Probe]) -> None:
        """Do nothing: the reading is there."""

    def keep(self, droplet_ids: Iterable[int]) -> None:
        """Do nothing: there is no connection to keep."""

    def get(self, droplet_id: int) -> HostReading:
        """Return the recorded reading; unreachable where the recording has none."""
        known = self._hosts.get(droplet_id)
        if known is not None:
            return known
        return HostReading(
            droplet_id,
            "unreachable",
            self._recorded_at,
            reason=f"the recording has no reading of Droplet {droplet_id}",
        )

    def next_arrived(self, wanted: Iterable[int]) -> int:
        """Return the lowest id: all have arrived."""
        return min(wanted)

    def run(self, droplet_id: int, command: str, timeout: float | None = None) -> Any:
        """Refuse: a recording holds no shell.

        Raises:
            NotObservedError: Always; only facts can be judged in a replay.
        """
        del timeout
        raise NotObservedError(
            f"Droplet {droplet_id}: {command!r} cannot be run in a replay; a test that uses `host`"
            " needs the real host"
        )

    def drop(self, droplet_id: int) -> None:
        """Do nothing: the recording is one file a host."""

    def close(self) -> None:
        """Do nothing."""


def _load(root: Path, file: str, name: str, checksum: str | None) -> Any:
    if ".." in file.split("/") or file.startswith("/"):
        raise RecordingError(f"recording {name}: {file!r} is not inside it")
    path = root.joinpath(*file.split("/"))
    if not path.resolve().is_relative_to(root.resolve()):
        raise RecordingError(f"recording {name}: {file} is a link to a file outside of it")
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise RecordingError(f"recording {name}: {file} cannot be read: {exc.strerror}") from None
    if checksum is not None and hashlib.sha256(data).hexdigest() != checksum:
        raise RecordingError(f"recording {name}: {file} was changed after it was written")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise RecordingError(f"recording {name}: {file} is not JSON: {exc}") from None


def _reading(data: Mapping[str, Any]) -> HostReading:
    fields = dict(data)
    fields["observed_at"] = datetime.fromisoformat(fields["observed_at"])
    fields["sections"] = {k: SectionOutput(**v) for k, v in fields["sections"].items()}
    fields["names"] = tuple(fields.get("names", ()))
    if fields["state"] not in get_args(HostState):
        raise ValueError(f"state {fields['state']!r}")
    return HostReading(**fields)
