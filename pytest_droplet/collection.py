"""The Collector and the Item of checks: what a run judges, and in which order."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pytest_droplet.checks
from pytest_droplet.audit import Audit, needs_host
from pytest_droplet.catalogue import Check, checks_in, shipped, source_path
from pytest_droplet.facts import all_facts
from pytest_droplet.frameworks import controls_with, pairs
from pytest_droplet.model import Droplet, Verdict
from pytest_droplet.verdict import (
    arguments_of,
    arguments_of_account,
    given_names,
    judge,
    judge_account,
    make_verdict,
)

CHECKS_FOLDER = Path(pytest_droplet.checks.__file__).parent
_CHECKS_PACKAGE = "pytest_droplet.checks"
NODE_FOLDER = "pytest_droplet/checks"
CONTROL_MARK = "droplet_control"

audit_key: pytest.StashKey[Audit] = pytest.StashKey()


class CheckModule(pytest.Collector):
    """Collects the checks of one shipped module, once for each selected Droplet."""

    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, parent: pytest.Collector, path: Path) -> CheckModule:
        """Return the collector of a file in the folder of the shipped checks."""
        node: CheckModule = cls.from_parent(
            parent, name=path.name, path=path, nodeid=f"{NODE_FOLDER}/{path.name}"
        )
        return node

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an Item for each check of the profile, or named on the command line, by Droplet."""
        module = importlib.import_module(f"{pytest_droplet.checks.__name__}.{self.path.stem}")
        profiles = self.config.stash[audit_key].options.profiles
        for check in checks_in(module):
            if profiles.intersection(check.profiles) or check.base_id in self.named:
                yield from items_of(self, check)


class CheckItem(pytest.Item):
    """One check on one Droplet (``droplet`` None: on the account)."""

    def __init__(
        self,
        *,
        check: Check,
        droplet: Droplet | None,
        marks: Iterable[pytest.Mark],
        place: tuple[str, int],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.check = check
        self.droplet = droplet
        self.own_markers.extend(marks)
        self._place = place

    @property
    def subject(self) -> str:
        """What is judged: the Droplet's name and id, or ``account``."""
        return self.droplet.pytest_id if self.droplet else "account"

    @property
    def audit(self) -> Audit:
        """The run that this item belongs to."""
        return self.config.stash[audit_key]

    def judge(self) -> Verdict:
        """Wait for the Droplet, judge the check, and let the gate have its say."""
        audit = self.audit
        try:
            if self.droplet is None:
                verdict = judge_account(self.check, audit.account(audit.rows))
            else:
                verdict = judge(self.check, audit.observation(self.droplet.id))
        except pytest.fail.Exception as exc:  # pytest-timeout's, while the host is waited for
            droplet_id = self.droplet.id if self.droplet else None
            verdict = make_verdict(
                self.check.id, droplet_id, "unknown", self.check.severity, str(exc.msg)
            )
        return audit.gate.settle(verdict, self.droplet)

    def call(self) -> None:
        """Call the check's function on the same facts again."""
        if self.droplet is None:
            account = self.audit.account(self.audit.rows)
            self.check.function(**arguments_of_account(self.check, account))
        else:
            observation = self.audit.observation(self.droplet.id)
            self.check.function(**arguments_of(self.check, observation))

    def runtest(self) -> None:
        """Run the check as pytest runs any item; the loop's own protocol does not come here."""
        verdict = self.judge()
        if verdict.outcome == "fail":
            pytest.fail(verdict.message, pytrace=False)
        if verdict.outcome == "notapplicable":
            pytest.skip(verdict.message)
        if verdict.outcome != "pass":
            raise pytest.UsageError(verdict.message)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the check is defined, and the item's name."""
        code = self.check.function.__code__
        return source_path(self.check), code.co_firstlineno - 1, self.name

    @property
    def location(self) -> tuple[str, int | None, str]:
        """The file of the node id, so that no machine path is shown; the line; the name.

        Other plugins show this name. pytest's terminal takes one that ends the node id for a
        dotted path, and shows each dot as ``::``: hence the blank before the bracket.
        """
        path, line = self._place
        return path, line, self.name.replace("[", " [", 1)


def items_of(parent: pytest.Collector, check: Check) -> Iterator[CheckItem]:
    """Yield the Items of one check: one a selected Droplet, or one for the account."""
    mark = pytest.mark.droplet_check(
        id=check.id,
        family=check.family,
        severity=check.severity,
        profile=",".join(check.profiles),
        guide=check.guide or 0,
        needs="host" if needs_host(check) else "api",
    ).mark
    marks = [mark, *_control_marks(parent.config, check)]
    params = "".join(f"{value}-" for value in check.arguments.values())
    subjects: Iterable[Droplet | None] = (
        (None,) if check.of_account else parent.config.stash[audit_key].droplets
    )
    place = parent.nodeid.partition("::")[0], check.function.__code__.co_firstlineno - 1
    for droplet in subjects:
        subject = droplet.pytest_id if droplet else "account"
        name = f"{check.base_id}[{params}{subject}]"
        item: CheckItem = CheckItem.from_parent(
            parent,
            name=name,
            nodeid=f"{parent.nodeid}::{name}",
            check=check,
            droplet=droplet,
            marks=marks,
            place=place,
        )
        yield item


def _control_marks(config: pytest.Config, check: Check) -> Iterator[pytest.Mark]:
    """Yield a mark for each requirement that asks for a check, where ``-m`` looks at them."""
    if CONTROL_MARK in (getattr(config.option, "markexpr", None) or ""):
        asked = controls_with(check, config.stash[audit_key].frameworks)
        for framework, one in pairs(asked):
            yield getattr(pytest.mark, CONTROL_MARK)(framework=framework, id=one).mark


def runs_as_check(check: Check) -> bool:
    """Whether all that a user's check asks for are facts, so that our own Item can run it."""
    known = given_names() | frozenset(all_facts())
    return all(name in known for name in check.facts)


def droplet_of(item: pytest.Item) -> Droplet | None:
    """Return the Droplet that an item is about; None: the account, or hosts of its own."""
    if isinstance(item, CheckItem):
        return item.droplet
    callspec = getattr(item, "callspec", None)
    host = callspec.params.get("_testinfra_host") if callspec else None
    droplet: Droplet | None = getattr(getattr(host, "backend", None), "droplet", None)
    return droplet


def asks_for_droplets(item: pytest.Item) -> bool:
    """Whether a test asks for our fixtures, for testinfra's ``host``, or is a check."""
    if isinstance(item, CheckItem):
        return True
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return any(n in {"droplet", "_testinfra_host"} or n.startswith("droplet_") for n in names)


def in_order(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Sort by Droplet id; what belongs to no Droplet comes after, the account's checks last."""

    def rank(item: pytest.Item) -> tuple[int, int]:
        if isinstance(item, CheckItem) and item.droplet is None:
            return 2, 0
        droplet = droplet_of(item)
        return (1, 0) if droplet is None else (0, droplet.id)

    return sorted(items, key=rank)


@dataclass(frozen=True)
class Chosen:
    """What a run means to judge.

    Attributes:
        tests: Number of tests.
        droplets: Ids of the Droplets that they are about.
    """

    tests: int = 0
    droplets: frozenset[int] = frozenset()

    @classmethod
    def of(cls, items: Sequence[pytest.Item]) -> Chosen:
        """Count what was collected and not deselected."""
        droplets = (droplet_of(item) for item in items)
        return cls(len(items), frozenset(d.id for d in droplets if d is not None))


def selected_checks(items: Iterable[pytest.Item]) -> Mapping[str, Check]:
    """Return the checks that some item runs, by id."""
    return {item.check.id: item.check for item in items if isinstance(item, CheckItem)}


def selected_facts(items: Iterable[pytest.Item]) -> frozenset[str]:
    """Return the names of the facts that ordinary tests ask for as fixtures."""
    known = all_facts()
    return frozenset(n for item in items for n in getattr(item, "fixturenames", ()) if n in known)


def shipped_modules(session: pytest.Session) -> Iterator[CheckModule]:
    """Yield a collector for each module of shipped checks."""
    for path in sorted(CHECKS_FOLDER.glob("*.py")):
        if path.name != "__init__.py":
            yield CheckModule.of(session, path)


def translate_arguments(config: pytest.Config) -> frozenset[str]:
    """Make arguments such as ``pytest_droplet/checks/ssh.py::ssh.x[web-1-1]`` into real paths.

    Returns:
        Base ids of the checks that arguments name: they run whatever the profile.
    """
    named = set()
    for index, argument in enumerate(config.args):
        path, colons, rest = argument.partition("::")
        folder, _, file = path.replace("\\", "/").rpartition("/")
        if folder == NODE_FOLDER and not Path(path).exists():
            config.args[index] = f"{CHECKS_FOLDER / file}{colons}{rest}"
        if folder.endswith(NODE_FOLDER) and rest:
            named.add(rest.partition("[")[0])
    return frozenset(named)


def shipped_of(profiles: frozenset[str]) -> list[Check]:
    """Return the shipped checks of these profiles."""
    return [check for check in shipped().values() if profiles.intersection(check.profiles)]


def takes_all(config: pytest.Config) -> bool:
    """Whether nothing on the command line narrows the checks, so that all hosts are read."""
    option = config.option
    narrowed = ("keyword", "markexpr", "lf", "stepwise", "deselect")
    return not any(getattr(option, name, None) for name in narrowed)


def surely_reads_hosts(config: pytest.Config, profiles: frozenset[str], *, shipped: bool) -> bool:
    """Whether all hosts will be read, as far as that can be told before anything is collected.

    Args:
        config: Of the run.
        profiles: Those that select shipped checks.
        shipped: Whether the shipped checks run beside what pytest collects.
    """
    named = shipped or (config.option.pyargs and _CHECKS_PACKAGE in config.args)
    return named and takes_all(config) and any(map(needs_host, shipped_of(profiles)))
