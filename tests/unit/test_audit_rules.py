"""Audit rules: what auditctl and the kernel make of a line, and one form for one meaning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.facts.auditd.audit_files import AuditFiles, parse_audit_files
from pytest_droplet.facts.auditd.audit_refusals import why_refused
from pytest_droplet.facts.auditd.audit_rules import (
    Control,
    Deletion,
    Host,
    Rule,
    RuleError,
    compare,
    known_since,
    loaded_by,
    parse_line,
    parse_loaded_line,
    syscall_number,
)
from pytest_droplet.model import NotObservedError

RECORDED = Path(__file__).with_name("audit_rules.txt")
OPTIONS = ["-a", "-A", "-w", "-W", "-p", "-k", "-F", "-C", "-S", "-D", "-d", "-b", "-e", "-q"]
VALUES = ["always,exit", "exit,never", "never,task", "/etc/passwd", "wa", "open,openat", "all"]
FIELDS = ["auid>=1000", "auid!=unset", "arch=b64", "arch=b32", "uid!=euid", "0x10", "-1", "key=x"]
WORDS = st.sampled_from([*OPTIONS, *VALUES, *FIELDS, "exit=-EACCES", "dir=/etc/", "a0&0100", "--"])


def recorded() -> Iterator[tuple[str, list[str]]]:
    """Yield each rule of the recording with the lines below it."""
    rule, answers = "", list[str]()
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            answers.append(line[4:])
        elif not line.startswith("# "):
            if answers:
                yield rule, answers
            rule, answers = line, []
    yield rule, answers


@pytest.mark.parametrize(("rule", "answers"), [pytest.param(*r, id=r[0]) for r in recorded()])
def test_a_line_is_what_auditctl_and_the_kernel_make_of_it(rule: str, answers: list[str]) -> None:
    """What auditctl refuses is refused; what the kernel lists is the same rule."""
    if answers == ["refused"]:
        with pytest.raises(RuleError):
            parse_line(rule, Host())
        return
    read = parse_line(rule, Host())

    assert isinstance(read, Rule) == (answers[0] != "accepted") or isinstance(read, Control)
    for printed in answers:
        if printed.startswith("= "):
            assert isinstance(read, Rule)
            assert compare([parse_loaded_line(printed[2:], Host())], [read]) == ([], [])


def test_the_form_of_a_rule_does_not_depend_on_how_it_is_written() -> None:
    """Order, spelling, names and numbers do not matter; what is recorded does."""
    same = [
        "-w /etc/passwd -p wa -k x",
        "-w /etc/passwd/ -k x -p aw",
        "-a exit,always -F path=/etc/passwd -F perm=wa -F key=x",
        "-A always,exit -S all -F key=x -F perm=aw -F path=/etc/passwd -k x",
    ]
    forms = [parse_line(text, Host()) for text in same]

    assert forms[0] == forms[1] == forms[2]
    assert forms[3] != forms[0], "the key stands twice"
    assert parse_line("-w /etc/passwd -p w -k x", Host()) != forms[0]


def test_calls_are_those_of_the_machine() -> None:
    """The same name is another number on another machine, or none."""
    arm = parse_line("-a always,exit -F arch=b64 -S openat", Host("aarch64"))

    assert isinstance(arm, Rule)
    assert arm.syscalls == {56}
    with pytest.raises(RuleError, match="open is no system call on aarch64"):
        parse_line("-a always,exit -F arch=b64 -S open", Host("aarch64"))


def test_names_of_users_are_the_hosts() -> None:
    """A name stands for the number that the host has for it."""
    host = Host(users={"deploy": 1001}, groups={"staff": 50})

    assert parse_line("-a always,exit -S open -F auid=deploy -F gid!=staff", host) == parse_line(
        "-a always,exit -S open -F auid=1001 -F gid!=50", host
    )
    with pytest.raises(RuleError, match="the host knows no ghost"):
        parse_line("-a always,exit -S open -F auid=ghost", host)


def test_loading_is_played_in_order() -> None:
    """-D empties the list, -W and -d take one rule away, a repeated rule is left out."""
    lines = ["-w /a -p r", "-D", "-w /b -p r -k x", "-w /c -p r", "-w /c -p r", "-W /c -p r"]
    lines += ["-w /d -p r -k y", "-D -k y", "-b 8192"]
    statements = [s for line in lines if (s := parse_line(line, Host())) is not None]

    assert isinstance(statements[5], Deletion)
    assert loaded_by(statements) == [parse_line("-w /b -p r -k x", Host())]


def test_a_missing_rule_is_missed_as_often_as_it_is_wanted() -> None:
    """Each loaded rule serves one wanted rule."""
    rule = parse_line("-w /b -p r", Host())
    assert isinstance(rule, Rule)

    assert compare([rule], [rule, rule]) == ([rule], [])
    assert compare([rule, rule], [rule]) == ([], [rule])
    assert compare([], []) == ([], [])


@given(st.one_of(st.text(), st.lists(WORDS, max_size=12).map(" ".join)))
def test_any_line_is_read_or_refused(text: str) -> None:
    """No text makes the parser raise anything but RuleError, and what it reads it reads again."""
    for host in (Host(), Host("aarch64")):
        try:
            first = parse_line(text, host)
        except RuleError:
            continue
        assert parse_line(text, host) == first


@given(st.text())
def test_any_answer_of_the_section_is_files_or_not_observed(text: str) -> None:
    """A hostile answer never raises anything but NotObservedError."""
    for answer in (text, f"F 640 0 /etc/audit/audit.rules\n| 1 {text}\nU {text}\n"):
        try:
            files = parse_audit_files(answer, "x86_64")
        except NotObservedError:
            continue
        files.rules()
        assert str(files).isprintable()
    with pytest.raises(NotObservedError):
        parse_audit_files(text, "mips")


TWICE = (
    ("-w /etc/passwd -p wa -k x", "-a always,exit -F path=/etc/passwd -F perm=aw -F key=x"),
    ("-w /etc -p wa -k x", "-a always,exit -F dir=/etc -F perm=wa -k x"),
    ("-w /etc/ -p wa -k x", "-w /etc -k x -p wa"),
    ("-a always,exit -F key=x -F arch=b64 -S open", "-a exit,always -F arch=x86_64 -S 2 -k x"),
    ("-a always,exit -S open -C uid!=euid", "-a always,exit -S open -C euid!=uid"),
)
NOT_TWICE = (
    ("-w /etc -p wa -k x", "-a always,exit -F dir=/etc/ -F perm=wa -k x"),
    ("-w /etc -p wa -k x", "-a always,exit -F path=/etc -F perm=wa -k x"),
    ("-a always,exit -F dir=/etc// -F perm=wa", "-a always,exit -F dir=/etc/ -F perm=wa"),
    ("-a always,exit -S open -F uid=0 -F gid=0", "-a always,exit -S open -F gid=0 -F uid=0"),
    ("-a always,exit -S open -k a -k b", "-a always,exit -S open -k b -k a"),
    ("-w /etc/passwd -p wa", "-a always,exit -F perm=wa -F path=/etc/passwd"),
)


@pytest.mark.parametrize("rules", [*TWICE, *NOT_TWICE])
def test_the_kernel_compares_a_rule_as_it_is_written(rules: tuple[str, str]) -> None:
    """Conditions in another order and a folder with a slash are other rules, though of one sense."""
    host = Host(folders=frozenset({"/etc"}))
    read = [parse_line(rule, host) for rule in rules]

    assert read[0] == read[1] or "-k b" in rules[0]
    assert len(loaded_by([s for s in read if s is not None])) == (1 if rules in TWICE else 2)


def test_a_rule_is_deleted_as_it_was_written() -> None:
    """The kernel finds none where the conditions are in another order."""
    lines = [
        "-a always,exit -S open -F uid=0 -F gid=0",
        "-d always,exit -S open -F gid=0 -F uid=0",
    ]
    read = [parse_line(line, Host()) for line in lines]

    assert len(loaded_by([s for s in read if s is not None])) == 1


REFUSED = (
    ("-w /nowhere/x -p wa", "3.0.9", "x86_64", "the folder /nowhere does not exist"),
    ("-a always,exit -F path=/nowhere/x -F perm=wa", "", "x86_64", "the folder /nowhere does"),
    ("-a always,exit -F dir=/nowhere -F perm=wa", "", "x86_64", "the folder /nowhere does"),
    ("-a always,exit -F arch=b64 -S open,fchmodat2", "1:3.0.9-1", "x86_64", "auditctl 3.0.9 does"),
    (
        "-a always,exit -F arch=b64 -Sfile_setattr",
        "4.0.3-1.el10",
        "aarch64",
        "not know file_setattr",
    ),
    ("-a always,exit -F arch=b64 -F path=/etc/x -F perm=wa", "1:4.0.2-2", "aarch64", "perm="),
    ("-a always,exit -F arch=b32 -F dir=/etc -F perm=wa", "4.0.3", "aarch64", "leave arch= out"),
)
TAKEN = (
    ("-w /etc/x -p wa", "1:4.0.2-2", "aarch64"),
    ("-w /nowhere -p wa", "3.0.9", "x86_64"),
    ("-a always,exit -F dir=/etc/ -F perm=wa", "3.0.9", "x86_64"),
    ("-a always,exit -F arch=b64 -S fchmodat2", "1:4.0.2-2", "x86_64"),
    ("-a always,exit -F arch=b64 -S fchmodat2", "", "x86_64"),
    ("-a always,exit -F arch=b64 -F path=/etc/x -F perm=wa", "1:4.0.2-2", "x86_64"),
    ("-a always,exit -F arch=b64 -F path=/etc/x -F perm=wa", "3.1.5", "aarch64"),
    ("-a always,exit -F arch=b64 -F path=/etc/x -F perm=wa", "4.0.4", "aarch64"),
    ("-a always,exit -F arch=b64 -S openat -F path=/etc/x -F perm=wa", "4.0.2", "aarch64"),
)


@pytest.mark.parametrize(("text", "version", "machine", "why"), REFUSED)
def test_why_a_host_refuses_a_rule_is_said(
    text: str, version: str, machine: str, why: str
) -> None:
    """A folder that is absent, a call that this auditctl does not know, what one machine lacks."""
    host = Host(machine, folders=frozenset({"/etc"}), absent=frozenset({"/nowhere"}))
    rule = parse_line(text, host)

    assert isinstance(rule, Rule)
    assert why in why_refused(text, rule, host, version)


@pytest.mark.parametrize(("text", "version", "machine"), TAKEN)
def test_what_a_host_takes_has_no_reason(text: str, version: str, machine: str) -> None:
    """Nor has what is not known to be refused."""
    host = Host(machine, folders=frozenset({"/etc"}), absent=frozenset({"/nowhere"}))
    rule = parse_line(text, host)

    assert isinstance(rule, Rule)
    assert why_refused(text, rule, host, version) == ""


def test_each_call_that_is_new_has_a_number() -> None:
    """What an audit is said to know by name is in the tables: such calls have one number."""
    for name in ("fchmodat2", "file_setattr", "listns"):
        assert known_since(name)
        assert syscall_number(name, "x86_64") == syscall_number(name, "i386")
    assert known_since("open") == ""


@pytest.mark.parametrize("option", ["-i", "-c"])
@pytest.mark.parametrize(
    ("line", "passed"),
    [
        ("-w /nowhere/x -p wa", True),
        ("-a always,exit -F path=/usr/bin/x -F perm=x -F uid=nobody-here", True),
        ("-w /etc/x -p wa", False),
        ("-a always,exit -S opeen", False),
    ],
)
def test_what_a_host_has_not_may_be_passed_over(option: str, line: str, *, passed: bool) -> None:
    """Behind -i or -c rules for what is not installed are left out on purpose, and no others."""
    behind = _file(option, line)
    before = _file(line, option)

    for files, wanted in ((behind, passed), (before, False)):
        ((number, said),) = (s for s in files.statements(files.lines) if s[0].text == line)
        is_error = isinstance(said, RuleError)
        found = files.is_passed_over(number, said) if is_error else files.passes_over(said)
        assert found is wanted


def _file(*lines: str) -> AuditFiles:
    text = "".join(f"| {n} {line}\n" for n, line in enumerate(lines, 1))
    return parse_audit_files(f"F 640 0 /etc/audit/rules.d/x.rules\n{text}N /nowhere/x", "x86_64")
