"""pytest-xdist: one discovery, all items of a Droplet on one worker, the account judged last."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_droplet import discovery, loop
from pytest_droplet.audit import NOT_READ, Audit
from pytest_droplet.collection import CheckItem, CheckModule, Chosen, droplet_of, shipped_modules
from pytest_droplet.facts import unread_rows
from pytest_droplet.model import API_LISTS, ApiList, Droplet, Reading
from pytest_droplet.record import DropletLine, rows_of

if TYPE_CHECKING:
    from pytest_droplet.report.reports import Reports

Rows = dict[int, Mapping[str, Reading[Any]]]

_AUDIT, _SHIPPED, _LINES = "droplet_audit", "droplet_shipped", "droplet_lines"
_REFUSED = "droplet_refused"
_FOLDER, _ANSWERS = "droplet_folder", "lists.pickle"
_ID = re.compile(r"-(\d+)\]$")


def is_controller(config: pytest.Config) -> bool:
    """Whether this process hands its tests to workers of pytest-xdist."""
    return bool(
        getattr(config.option, "dist", "no") != "no" and getattr(config.option, "tx", None)
    )


def adds_shipped(config: pytest.Config) -> bool:
    """Whether the shipped checks run beside what pytest collects: no positional argument."""
    handed: dict[str, Any] = getattr(config, "workerinput", {})
    if handed:
        return bool(handed[_SHIPPED])
    return config.args_source is not pytest.Config.ArgsSource.ARGS


def open_folder() -> tempfile.TemporaryDirectory[str]:
    """Make the folder in which workers say which lists they need, and find them; ours alone."""
    return tempfile.TemporaryDirectory(prefix="pytest-droplet-", ignore_cleanup_errors=True)


def send(node: Any, audit: Audit, folder: str, *, shipped: bool) -> None:
    """Hand the inventory and the time of judgement to a worker."""
    node.workerinput[_FOLDER] = folder
    node.workerinput[_AUDIT] = pickle.dumps((audit.inventory, audit.now))
    node.workerinput[_SHIPPED] = shipped


def receive(config: pytest.Config) -> Audit:
    """Return the run that the controller handed to this worker."""
    handed: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    inventory, now = pickle.loads(handed[_AUDIT])  # noqa: S301 our own controller wrote it
    audit = discovery.resume(config, inventory)
    audit.now = now
    return audit


def refuse(config: pytest.Config, reason: str) -> None:
    """End the run with one line; a worker hands it to the controller, and then has no items.

    A usage error on a worker would be an internal error of pytest-xdist.

    Raises:
        pytest.UsageError: This process is no worker.
    """
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(reason)
    config.workeroutput[_REFUSED] = reason  # type: ignore[attr-defined]


def refusal_of(node: Any) -> str | None:
    """Return why a worker that has finished refused to run; None: it did not."""
    reason: str | None = getattr(node, "workeroutput", {}).get(_REFUSED)
    return reason


def tell_needs(config: pytest.Config, audit: Audit) -> None:
    """Write which lists this worker needs, for the controller; a worker elsewhere cannot."""
    handed: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    path = Path(handed[_FOLDER]) / f"{handed['workerid']}.needs"
    with contextlib.suppress(OSError):
        _write_whole(path, json.dumps(sorted(audit.lists)).encode())


def needs_of_workers(folder: str, workers: Iterable[str]) -> frozenset[ApiList]:
    """Return the lists that some worker needs: of one that could not tell, all but the slow one."""
    wanted: set[ApiList] = set()
    for worker in workers:
        try:
            wanted.update(json.loads((Path(folder) / f"{worker}.needs").read_bytes()))
        except OSError:
            wanted.update({*API_LISTS, "account_id"} - {"firewalls_again"})
    return frozenset(wanted)


def hand_over_lists(folder: str, audit: Audit) -> None:
    """Write the lists for the workers; the Droplets they have."""
    lists = replace(audit.inventory, droplets=(), selected=())
    _write_whole(Path(folder) / _ANSWERS, pickle.dumps(lists))


def take_lists(config: pytest.Config, audit: Audit) -> None:
    """Add to a worker's inventory the lists that the controller has read.

    A worker on another machine cannot see them: they stay missing there.
    """
    handed: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    mine = audit.inventory
    with contextlib.suppress(FileNotFoundError):
        lists = pickle.loads((Path(handed[_FOLDER]) / _ANSWERS).read_bytes())  # noqa: S301 ours
        audit.take_lists(replace(lists, droplets=mine.droplets, selected=mine.selected))


def _write_whole(path: Path, data: bytes) -> None:
    beside = path.with_suffix(".part")
    beside.write_bytes(data)
    os.replace(beside, path)  # noqa: PTH105 Path.replace says the same


class _Share(dict[str, bool]):
    """Whether each item of a worker's share is done; ``left`` counts those that are not.

    xdist asks for that number after every report, and would count half a million items anew.
    """

    def __init__(self, unit: Mapping[str, bool]) -> None:
        super().__init__(unit)
        self.left = sum(not done for done in self.values())

    def __setitem__(self, nodeid: str, done: bool) -> None:
        self.left -= done - self[nodeid]
        super().__setitem__(nodeid, done)


def make_scheduler(
    config: pytest.Config,
    log: Any,
    droplets: Sequence[Droplet],
    before: Callable[[Iterable[str]], None],
) -> Any:
    """Return a scheduler that gives each worker whole Droplets, in as many shares as workers.

    ``before`` is called once all workers have collected, with their ids, before any has an item.
    """
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 xdist is optional

    share_of = {d.id: i for i, d in enumerate(droplets)}

    class DropletScheduling(LoadScopeScheduling):  # type: ignore[misc, unused-ignore]
        def schedule(self) -> None:
            if self.collection is None:  # not yet scheduled
                before([node.gateway.id for node in self.nodes])
            super().schedule()

        def _reschedule(self, node: Any) -> None:
            if node in self.registered_collections:  # a worker in a dead one's place may not yet
                super()._reschedule(node)

        def remove_node(self, node: Any) -> str | None:
            """Give up the Droplet on which a worker died: the next one would die on it too."""
            units = self.assigned_work.get(node, {}).values()
            waiting = [(unit, n) for unit in units for n, done in unit.items() if not done]
            if waiting:
                unit, running = waiting[0]
                _give_up(unit, running)
            super().remove_node(node)
            return waiting[0][1] if waiting else None

        def _split_scope(self, nodeid: str) -> str:
            found = _ID.search(nodeid)
            share = share_of.get(int(found[1]), 0) if found else 0
            return f"share {share % self.numnodes}"

        def _assign_work_unit(self, node: Any) -> None:
            scope, unit = self.workqueue.popitem(last=False)
            share = self.assigned_work[node][scope] = _Share(unit)
            places = {nodeid: i for i, nodeid in enumerate(self.registered_collections[node])}
            node.send_runtest_some([places[n] for n, done in share.items() if not done])

        def _pending_of(self, workload: dict[str, _Share]) -> int:
            return sum(share.left for share in workload.values())

    return DropletScheduling(config, log)


def _give_up(unit: _Share, running: str) -> None:
    """Take what is left of a Droplet's tests, or a test of the account alone, as done."""
    found = _ID.search(running)
    for nodeid in unit:
        other = _ID.search(nodeid)
        if nodeid == running or (found and other and other[1] == found[1]):
            unit[nodeid] = True


def prefetch(audit: Audit, item: pytest.Item) -> None:
    """Begin to read all hosts of the share that an item of a worker belongs to."""
    droplet = droplet_of(item)
    if droplet is None or droplet.id in audit.started:
        return
    workers = int(item.config.workerinput["workercount"])  # type: ignore[attr-defined]
    share = [d.id for d in audit.droplets].index(droplet.id) % workers
    audit.start(audit.droplets[share::workers])


def finish_worker(config: pytest.Config, audit: Audit) -> None:
    """Send the lines of Droplets that no report carried."""
    config.workeroutput[_LINES] = json.dumps(list(audit.lines()))  # type: ignore[attr-defined]


def lines_of(node: Any) -> Iterable[DropletLine]:
    """Return the Droplet lines that a worker sent when it ended."""
    found: list[DropletLine] = json.loads(getattr(node, "workeroutput", {}).get(_LINES, "[]"))
    return found


def judge_account(session: pytest.Session, audit: Audit, reports: Reports) -> None:
    """Judge the checks of the account on the controller, from the rows that workers sent."""
    scheduled = _collected(session.config)
    unread = unread_rows(audit.inventory.read_at, NOT_READ)
    rows: Rows = {
        i: unread if line["coverage"] == "not-read" else rows_of(line)
        for i, line in reports.droplets.items()
    }
    for module in shipped_modules(session):
        for item in _account_items(module):
            if item.nodeid in scheduled:
                _read_missing(audit, item, rows)
                audit.rows = rows
                loop.run_protocol(item)


def chosen(config: pytest.Config) -> Chosen:
    """Return what the workers meant to judge."""
    nodeids = _collected(config)
    found = (_ID.search(nodeid) for nodeid in nodeids)
    return Chosen(len(nodeids), frozenset(int(match[1]) for match in found if match))


def _account_items(module: CheckModule) -> Iterable[CheckItem]:
    return (i for i in module.collect() if isinstance(i, CheckItem) and i.droplet is None)


def _collected(config: pytest.Config) -> frozenset[str]:
    scheduler = getattr(config.pluginmanager.getplugin("dsession"), "sched", None)
    return frozenset(getattr(scheduler, "collection", None) or ())


def _read_missing(audit: Audit, item: CheckItem, rows: Rows) -> None:
    missing = [d for d in audit.droplets if d.id not in rows]
    if not missing or not item.check.rows:
        return
    audit.plan([item.check], (), host=False, start=False)
    audit.start(missing)
    for droplet in missing:
        rows[droplet.id] = audit.observation(droplet.id).rows(item.check.rows)
        audit.drop(droplet.id)
