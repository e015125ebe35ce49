"""What a run starts from: options and settings checked, the inventory read, the hosts at hand."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet import frameworks, progress, waivers
from pytest_droplet.api import doctl, endoflife
from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.client import ApiClient
from pytest_droplet.api.endpoint import DEFAULT_ENDPOINT
from pytest_droplet.api.inventory import WiderInventory, read_inventory
from pytest_droplet.api.lists import read_lists
from pytest_droplet.api.paging import Reader
from pytest_droplet.api.replay import ReplayClient, answer_key, recorded
from pytest_droplet.audit import Audit
from pytest_droplet.baseline import Baseline, load_baseline
from pytest_droplet.facts.os.lifecycle import changes, lifecycle
from pytest_droplet.gate import Gate
from pytest_droplet.hooks import Hosts
from pytest_droplet.model import Inventory, Reading, SupportDates
from pytest_droplet.options import AuditConfig, read_options
from pytest_droplet.record import RecordError
from pytest_droplet.recording import (
    DEMO,
    Recorder,
    Recording,
    RecordingError,
    ReplayHosts,
    load_recording,
)
from pytest_droplet.redact import Secret
from pytest_droplet.selection import Selection, SelectionError, explain_no_match, parse_selectors
from pytest_droplet.settings import Settings, load_settings
from pytest_droplet.toml_tables import TableError

BASELINE = "baseline.jsonl"
_OLD_DATES = timedelta(days=180)
TOKENS = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")

options_key: pytest.StashKey[AuditConfig] = pytest.StashKey()
settings_key: pytest.StashKey[Settings] = pytest.StashKey()
selection_key: pytest.StashKey[Selection] = pytest.StashKey()
_waivers_key: pytest.StashKey[tuple[waivers.Waiver, ...]] = pytest.StashKey()
_frameworks_key: pytest.StashKey[Mapping[str, frameworks.OwnFramework]] = pytest.StashKey()
_baseline_key: pytest.StashKey[Baseline | None] = pytest.StashKey()
_recording_key: pytest.StashKey[Recording | None] = pytest.StashKey()
_recorder_key: pytest.StashKey[Recorder | None] = pytest.StashKey()
_reader_key: pytest.StashKey[Reader] = pytest.StashKey()


def prepare(config: pytest.Config) -> AuditConfig:
    """Check the options, the selectors, the settings and the recording before anything is sent.

    Raises:
        pytest.UsageError: One line that names what is wrong and what to do.
    """
    if getattr(config.option, "hosts", None) is not None:
        raise pytest.UsageError("--hosts and --droplets exclude each other; drop one of them")
    options = read_options(config)
    folder = config.inipath.parent if config.inipath else config.invocation_params.dir
    try:
        selection = parse_selectors(options.selectors)
        beside = DEMO if selection.demo else folder
        _refuse_links(beside)
        config.stash[settings_key] = load_settings(beside)
        replaying = options.replay is not None or selection.demo
        recording = load_recording(options.replay) if replaying else None
        accepted = options.waivers or _if_there(beside / waivers.FILE)
        earlier = options.baseline or (_if_there(DEMO / BASELINE) if selection.demo else None)
        config.stash[_waivers_key] = waivers.load_waivers(accepted) if accepted else ()
        own = _if_there(beside / frameworks.FILE)
        config.stash[_frameworks_key] = frameworks.load_frameworks(own) if own else {}
        config.stash[_baseline_key] = load_baseline(earlier) if earlier else None
    except (SelectionError, TableError, RecordingError, RecordError) as exc:
        raise pytest.UsageError(str(exc)) from None
    if recording is None:
        _refuse_system()
    for flag, given in (
        ("--droplets-record", options.record is not None),
        ("--droplets-eol-refresh", options.eol_refresh),
    ):
        if recording is not None and given:
            raise pytest.UsageError(f"{flag} needs live Droplets: not demo, not a replay")
    config.stash[options_key] = options
    config.stash[selection_key] = selection
    config.stash[_recording_key] = recording
    config.stash[_recorder_key] = None
    return options


def _refuse_system() -> None:
    """Refuse a live run where the connections to hosts cannot work: they need a POSIX system."""
    try:
        importlib.import_module("pytest_droplet.connection.pool")
    except ModuleNotFoundError as exc:
        raise pytest.UsageError(
            f"--droplets reads live Droplets from Linux or macOS alone: the Python of this system"
            f" ({sys.platform}) has no module {exc.name}; run it there, in WSL or in a container."
            " --droplets=demo, --droplets-replay and the commands over records work here"
        ) from None


def _refuse_links(folder: Path) -> None:
    """Refuse files that a project brings along and that are links to files elsewhere."""
    for name in ("droplet.toml", waivers.FILE, frameworks.FILE):
        path = folder / name
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise TableError(f"{name}: it is a link out of its folder; put the file itself there")


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def begin(config: pytest.Config) -> Audit:
    """Read the inventory and return the run; nothing was sent to a host yet.

    Raises:
        pytest.UsageError: The inventory cannot be had whole, or no Droplet matches.
    """
    options, recording = config.stash[options_key], config.stash[_recording_key]
    if options.record is not None:
        try:
            config.stash[_recorder_key] = Recorder(options.record)
        except RecordingError as exc:
            raise pytest.UsageError(str(exc)) from None
    selection = config.stash[selection_key]
    inventory: Inventory = config.hook.pytest_droplet_inventory(
        config=config, options=options, selection=selection
    )
    if not inventory.selected:
        raise pytest.UsageError(explain_no_match(selection, inventory.droplets))
    if options.shard is not None:
        inventory = replace(inventory, selected=_part(inventory.selected, *options.shard))
    inventory = replace(inventory, support=_support_dates(config))
    return resume(config, inventory, recording)


def _support_dates(config: pytest.Config) -> Reading[tuple[SupportDates, ...]] | None:
    """Return the dates of endoflife.date where this run asks for them, or its recording has them.

    Where they cannot be had the reading is missing, which is said at once: hosts are judged by
    the table of the package then.
    """
    recording, recorder = config.stash[_recording_key], config.stash[_recorder_key]
    products = sorted({product for product, _ in lifecycle().releases})
    if recording is not None:
        kept = {p: endoflife.recorded_as(p) for p in products}
        answers = {p: recording.answers[n] for p, n in kept.items() if n in recording.answers}
        try:
            return _parsed_dates(answers, recording.recorded_at) if answers else None
        except ApiError as exc:
            raise pytest.UsageError(f"recording {recording.name}: {exc}") from None
    now, table = datetime.now(UTC), lifecycle()
    if not config.stash[options_key].eol_refresh:
        if now.date() - table.as_of > _OLD_DATES:
            _notice(
                f"end-of-life dates are of {table.as_of}: update pytest-droplet, or add"
                " --droplets-eol-refresh"
            )
        return None
    try:
        answers = endoflife.fetch(products, endoflife.url_of(os.environ))
        found = _parsed_dates(answers, now)
    except ApiError as exc:
        _notice(
            f"end-of-life dates could not be refreshed, hosts are judged by those of"
            f" {table.as_of}: {exc}"
        )
        return Reading(endoflife.SOURCE, now, missing=str(exc))
    if recorder is not None:
        for product, answer in answers.items():
            recorder.add_answer(endoflife.recorded_as(product), answer)
    _notice(f"end-of-life dates of {endoflife.SOURCE}: {changes(table, found)}")
    return found


def _parsed_dates(answers: Mapping[str, Any], when: datetime) -> Reading[tuple[SupportDates, ...]]:
    return Reading(endoflife.SOURCE, when, endoflife.parse(answers))


def _part(droplet_ids: Iterable[int], part: int, parts: int) -> tuple[int, ...]:
    """Return the ids of one shard: a Droplet stays in its own when others come and go."""
    return tuple(i for i in droplet_ids if i % parts == part - 1)


def resume(
    config: pytest.Config, inventory: Inventory, recording: Recording | None = None
) -> Audit:
    """Return the run for an inventory that is known already (a worker of pytest-xdist)."""
    options = config.stash[options_key]
    recording = recording or config.stash[_recording_key]
    now = recording.recorded_at if recording else datetime.now(UTC)
    hosts: Hosts = config.hook.pytest_droplet_connect(config=config, options=options)
    return Audit(
        options=options,
        settings=config.stash[settings_key],
        inventory=inventory,
        hosts=hosts,
        now=now,
        started_at=datetime.now(UTC),
        gate=Gate(
            today=now.date(),
            waivers=config.stash[_waivers_key],
            least=options.fail_on,
            new_only=options.fail_on_new,
            baseline=config.stash[_baseline_key],
        ),
        replay={"recorded_at": recording.recorded_at.isoformat(), "source": recording.name}
        if recording
        else None,
        recorder=config.stash[_recorder_key],
        frameworks=config.stash[_frameworks_key],
    )


def read_account(config: pytest.Config, options: AuditConfig, selection: Selection) -> Inventory:
    """Read from the API, or from the recording of this run, which Droplets there are.

    The reader stays open for :func:`complete`: it paces all requests of the run.

    Raises:
        pytest.UsageError: No token, or the API did not answer whole.
    """
    recording, recorder = config.stash[_recording_key], config.stash[_recorder_key]
    now = recording.recorded_at if recording else datetime.now(UTC)
    try:
        client = config.stash[_reader_key] = _reader(recording, options)
        config.add_cleanup(client.close)
        if recorder is not None:
            client.on_answer = _keeper(recorder)
        reserved = options.address == "reserved"
        with progress.of_requests(config, client):
            return read_inventory(client, selection, now=now, reserved=reserved)
    except (ApiError, SelectionError) as exc:
        raise pytest.UsageError(str(exc)) from None


def complete(config: pytest.Config, audit: Audit) -> None:
    """Read the lists of the API that the run needs; the whole of another plugin's is there."""
    reader, inventory = config.stash.get(_reader_key, None), audit.inventory
    if reader is not None and isinstance(inventory, WiderInventory):
        with progress.of_requests(config, reader):
            audit.take_lists(read_lists(reader, inventory, audit.lists))


def _reader(recording: Recording | None, options: AuditConfig) -> Reader:
    if recording is not None:
        return ReplayClient(recording.answers, recording.endpoint)
    return ApiClient(token(options.doctl_context), endpoint(), notice=_notice)


def _notice(text: str) -> None:
    print(f"droplets: {text}", file=sys.stderr)  # noqa: T201 the user waits, before any report


def _keeper(recorder: Recorder) -> Callable[[str, dict[str, Any], Any], None]:
    def keep(operation: str, params: dict[str, Any], answer: Any) -> None:
        recorder.add_answer(answer_key(operation, params), recorded(answer))

    return keep


def open_hosts(config: pytest.Config, options: AuditConfig) -> Hosts:
    """Return the pool of SSH connections, or the hosts of the recording of this run."""
    recording = config.stash[_recording_key]
    if recording is not None:
        return ReplayHosts(recording)
    from pytest_droplet.connection import pool  # noqa: PLC0415 heavy, and not for every system

    testinfra = config.option
    return pool.Pool(
        pool.PoolOptions(
            user=options.user,
            host_key=options.host_key,
            connections=options.connections,
            connect_timeout=options.connect_timeout_s,
            timeout=options.timeout_s,
            ssh_config=getattr(testinfra, "ssh_config", None),
            identity_file=getattr(testinfra, "ssh_identity_file", None),
            probe=options.probe,
            names=config.stash[settings_key].tls_names,
        )
    )


def token(doctl_context: str | None = None) -> Secret:
    """Return the API token of the environment, or of one of doctl's contexts.

    Raises:
        pytest.UsageError: There is none, or there are two.
    """
    given = {name: os.environ.get(name, "").strip() for name in TOKENS}
    name = next((name for name, text in given.items() if text), None)
    if doctl_context is not None:
        flag = f"--droplets-doctl-context={doctl_context}"
        if name is not None:
            raise pytest.UsageError(
                f"{flag}: {name} is set too, and may be of another account; unset it, or leave out"
                " the option"
            )
        try:
            return doctl.context_token(doctl_context)
        except doctl.DoctlError as exc:
            raise pytest.UsageError(f"{flag}: {exc}") from None
    if name is not None:
        return Secret(given[name])
    raise pytest.UsageError(
        "--droplets needs an API token: set DIGITALOCEAN_TOKEN (a read-only token is enough), name"
        " a context of doctl with --droplets-doctl-context, or try --droplets=demo, which needs"
        " none"
    )


def endpoint() -> str:
    """Return the API's address: ``DIGITALOCEAN_API_URL``, or DigitalOcean's own."""
    return os.environ.get("DIGITALOCEAN_API_URL", "").strip() or DEFAULT_ENDPOINT
