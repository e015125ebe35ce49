"""The files that audit rules come from, and what they would load."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.auditd.audit_refusals import why_refused
from pytest_droplet.facts.auditd.audit_rules import (
    AbsentError,
    Control,
    Host,
    Rule,
    RuleError,
    Statement,
    loaded_by,
    parse_line,
)
from pytest_droplet.facts.auditd.auditd import AuditPackage
from pytest_droplet.facts.host.kernel import Kernel
from pytest_droplet.facts.host.units import Units
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.model import Item, NotObservedError, Reading, Section
from pytest_droplet.text import one_line

_COMPILED = "/etc/audit/audit.rules"
_READS = re.compile(r"auditctl (?:\S+ )*-R (\S+)")
AUDIT_RULES = Section.of_files("facts/auditd/audit_rules.sh", root=True)


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A line of a rules file."""

    path: str
    number: int
    text: str

    @property
    def details(self) -> Item:
        """File, line and rule."""
        return {"file": self.path, "line": self.number, "rule": self.text.strip()}

    def __str__(self) -> str:
        return f"{one_line(self.path, 100)}:{self.number}"


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rules file with its lines; ``mode`` is octal text."""

    path: str
    mode: str
    uid: int
    lines: tuple[RuleLine, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The lines that say something, without blanks around them."""
        return [line.text.strip() for line in _with_text(self.lines)]

    @property
    def is_refused(self) -> bool:
        """Whether auditctl 3 refuses to read it: not root's, or writable by everybody."""
        return self.uid != 0 or int(self.mode, 8) & 0o002 != 0


@dataclass(frozen=True)
class AuditFiles:
    """The rules below rules.d in the order of their version sort, and the compiled file.

    ``compiled`` is None where there is none. ``host`` is what the rules are read with,
    ``version`` that of the installed audit; empty where it is not known.
    """

    sources: tuple[RuleFile, ...]
    compiled: RuleFile | None
    host: Host = field(default_factory=Host)
    version: str = ""

    @property
    def lines(self) -> tuple[RuleLine, ...]:
        """The lines that hold rules: of rules.d, or of the compiled file where it is alone."""
        files = self.sources or (() if self.compiled is None else (self.compiled,))
        return tuple(line for file in files for line in file.lines)

    def compile(self) -> tuple[RuleLine, ...]:
        """Return the lines that augenrules would write, in their order.

        The last ``-D``, ``-b`` and ``-f`` come first, the last ``-e`` comes last. Without
        rules.d the compiled file is the source itself.
        """
        kept: list[RuleLine] = []
        last: dict[str, RuleLine] = {}
        for line in _with_text(self.lines):
            text = line.text.strip()
            option = next((o for o in ("-e", "-f", "-b") if text.startswith(o)), "")
            option = "-D" if text == "-D" else option
            if option:
                last[option] = line
            else:
                kept.append(line)
        first = [last[o] for o in ("-D", "-b", "-f") if o in last]
        return (*first, *kept, *([last["-e"]] if "-e" in last else ()))

    @cached_property
    def _said(self) -> Mapping[str, Statement | RuleError | None]:
        """What each text of a line says: parsed once, since many checks ask."""
        return {text: _read(text, self.host) for text in {line.text for line in self.lines}}

    def statements(
        self, lines: Sequence[RuleLine]
    ) -> Iterator[tuple[RuleLine, Statement | RuleError]]:
        """Yield each of these lines with what it says, or with why it is refused."""
        for line in lines:
            said = self._said[line.text]
            if said is not None:
                yield line, said

    def rules(self) -> list[Rule]:
        """Return the rules that the files would load; lines that are refused are left out."""
        return loaded_by(
            [s for _, s in self.statements(self.compile()) if not isinstance(s, RuleError)]
        )

    def last_control(self, option: str) -> tuple[RuleLine, str] | None:
        """Return the last line of a control option, and its value."""
        found = None
        for line, statement in self.statements(self.compile()):
            if isinstance(statement, Control) and statement.option == option:
                found = line, statement.value
        return found

    @property
    def goes_on_after_errors(self) -> bool:
        """Whether ``-c`` or ``-i`` makes auditctl read on behind a line that fails."""
        return bool(self._behind_errors)

    @cached_property
    def _behind_errors(self) -> frozenset[RuleLine]:
        """The lines from ``-c`` or ``-i`` on: where one of them fails, the others are read."""
        lines = self.compile()
        first = next((at for at, (_, s) in self._numbered(lines) if _goes_on(s)), len(lines))
        return frozenset(lines[first:])

    def _numbered(
        self, lines: Sequence[RuleLine]
    ) -> Iterator[tuple[int, tuple[RuleLine, Statement | RuleError]]]:
        for at, line in enumerate(lines):
            for found in self.statements([line]):
                yield at, found

    def refusal(self, rule: Rule) -> str:
        """Return why a rule of the files cannot be loaded on this host; empty where it can."""
        return next((why for _, why in self._refusals(rule)), "")

    def passes_over(self, rule: Rule) -> bool:
        """Whether a rule is left out on purpose: it cannot be loaded, and ``-c`` or ``-i`` says so."""
        found = list(self._refusals(rule))
        return bool(found) and all(line in self._behind_errors for line, _ in found)

    def is_passed_over(self, line: RuleLine, error: RuleError) -> bool:
        """Whether a line is left out on purpose: it names what this host has not."""
        return isinstance(error, AbsentError) and line in self._behind_errors

    def _refusals(self, rule: Rule) -> Iterator[tuple[RuleLine, str]]:
        for line, said in self.statements(self.compile()):
            if said == rule and (why := why_refused(line.text, rule, self.host, self.version)):
                yield line, why

    def __str__(self) -> str:
        names = ", ".join(f.path.rpartition("/")[2] for f in self.sources)
        count = sum(1 for _ in _with_text(self.lines))
        compiled = "audit.rules" if self.compiled else "no audit.rules"
        return one_line(f"{count} lines in {names or 'no file of rules.d'}; {compiled}", 200)


@fact(
    "cat /etc/audit/rules.d/*.rules /etc/audit/audit.rules",
    sections=(AUDIT_RULES,),
    may_use=("droplet_units", "droplet_audit_package"),
    items=lambda files: [line.details for line in files.lines],
)
def droplet_audit_files(
    observation: Observation,
    droplet_kernel: Kernel,
    droplet_units: Reading[Units],
    droplet_audit_package: Reading[AuditPackage],
) -> AuditFiles:
    """Return the files that audit rules come from.

    Where a unit has auditctl read the compiled file itself, nothing reads rules.d.

    Raises:
        NotObservedError: They cannot be read, or the machine's system calls are not known.
    """
    output = whole(observation.section(AUDIT_RULES.name))
    found = parse_audit_files(output.stdout, droplet_kernel.machine)
    with suppress(NotObservedError):
        found = replace(found, version=droplet_audit_package.get().version)
    return replace(found, sources=()) if _by_auditctl(droplet_units) else found


def _by_auditctl(units: Reading[Units]) -> bool:
    """Whether a unit loads the compiled file by auditctl, and none has augenrules make it.

    Raises:
        NotObservedError: auditctl is given another file.
    """
    try:
        known = [units.get()[name] for name in ("auditd.service", "audit-rules.service")]
    except NotObservedError:
        return False
    starts = [command for unit in known for command in unit.starts]
    given = [found[1] for command in starts if (found := _READS.search(command))]
    if other := [path for path in given if path != _COMPILED]:
        raise NotObservedError(f"auditctl is given {one_line(other[0], 80)}, which was not read")
    return bool(given) and not any("augenrules" in command for command in starts)


def machine_name(machine: str) -> str:
    """Return the machine whose system calls count, for what ``uname -m`` says.

    Raises:
        NotObservedError: There is no table of its system calls.
    """
    known = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
    if machine not in known:
        raise NotObservedError(f"the system calls of {one_line(machine, 40)} are not known")
    return known[machine]


def parse_audit_files(text: str, machine: str) -> AuditFiles:
    """Parse what the section ``audit_rules`` prints.

    Raises:
        NotObservedError: The machine is neither x86_64 nor aarch64, or a line is not as expected.
    """
    files: list[RuleFile] = []
    bodies: list[list[RuleLine]] = []
    names: dict[str, dict[str, int]] = {"U": {}, "G": {}}
    folders, absent = set[str](), set[str]()
    for raw in text.split("\n"):
        kind, _, rest = raw.partition(" ")
        if kind == "F" and (head := re.fullmatch(r"([0-7]{1,5}) (\d{1,10}) (/.+)", rest)):
            files.append(RuleFile(head[3], head[1], int(head[2])))
            bodies.append([])
        elif kind == "|" and files and (line := re.fullmatch(r"(\d{1,7}) (.*)", rest, re.DOTALL)):
            bodies[-1].append(RuleLine(files[-1].path, int(line[1]), line[2]))
        elif kind in names:
            parts = rest.split(":")
            if len(parts) > 2 and parts[2].isascii() and parts[2].isdecimal():
                names[kind][parts[0]] = int(parts[2][:10])
        elif kind == "D" and rest.startswith("/"):
            folders.add(rest.rstrip("/") or "/")
        elif kind == "N" and rest.startswith("/"):
            absent.add(rest.rpartition("/")[0])
        elif raw:
            raise NotObservedError(f"a line is of no rules file: {one_line(raw, 60)!r}")
    read = [
        RuleFile(f.path, f.mode, f.uid, tuple(body)) for f, body in zip(files, bodies, strict=True)
    ]
    return AuditFiles(
        tuple(f for f in read if f.path != _COMPILED),
        next((f for f in read if f.path == _COMPILED), None),
        Host(
            machine_name(machine),
            names["U"],
            names["G"],
            folders=frozenset(folders),
            absent=frozenset(absent),
        ),
    )


def _read(text: str, host: Host) -> Statement | RuleError | None:
    try:
        return parse_line(text, host)
    except RuleError as exc:
        return exc


def _goes_on(said: Statement | RuleError) -> bool:
    return isinstance(said, Control) and said.option in {"-c", "-i"}


def _with_text(lines: Sequence[RuleLine]) -> Iterator[RuleLine]:
    """Leave out empty lines and comments; a tab or a carriage return alone is neither."""
    for line in lines:
        if line.text.strip(" ") and not line.text.lstrip().startswith("#"):
            yield line
