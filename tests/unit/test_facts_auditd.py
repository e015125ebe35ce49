"""auditd's package, state and configuration, and the surroundings of the CIS groups."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection.script import PRELUDE, alone
from pytest_droplet.facts.auditd.audit_cover import (
    AUDIT_COVER,
    EXECUTED,
    WATCHED,
    gaps,
    items_of,
    parse_surroundings,
)
from pytest_droplet.facts.auditd.audit_rules import Host, parse_loaded_line
from pytest_droplet.facts.auditd.auditd import (
    AUDIT,
    AUDIT_PACKAGE,
    parse_auditd_config,
    parse_loaded,
    parse_package,
    parse_status,
)
from pytest_droplet.model import NotObservedError, SectionOutput
from pytest_droplet.settings import AUDIT_GROUPS

CONF = """1:# comment
2:MAX_LOG_FILE = 8
3:num_logs=5
4:space_left = 25%
5:max_log_file = 9
6:space_left_action = exec /usr/bin/page now
==
/dev/vda1 25620656 6128120 18171756 26% /var/log
sendmail
plugin /etc/audit/plugins.d/au-remote.conf
active = yes
"""


def test_the_last_line_of_a_key_counts() -> None:
    """Keys know no case; what is not said is auditd's default."""
    config = parse_auditd_config(CONF)

    assert config.number("max_log_file") == 9
    assert config.where("max_log_file") == "max_log_file = 9 (auditd.conf:5)"
    assert config.word("space_left_action") == "exec"
    assert config.word("disk_full_action") == "ignore"
    assert config.where("disk_full_action") == "disk_full_action = ignore (the default)"
    assert round(config.mebibytes("space_left")) == 6255
    assert (config.can_mail, config.is_sent_away) == (True, True)


def test_no_rules_is_an_empty_list_and_silence_is_none() -> None:
    """No rules is what auditctl says; an answer without a word is no answer."""
    assert parse_loaded(["No rules"]).lines == ()
    with pytest.raises(NotObservedError):
        parse_loaded([])
    with pytest.raises(NotObservedError):
        parse_loaded(["Error sending rule list data request (Operation not permitted)"])


def test_never_task_is_a_switch_only_without_a_condition() -> None:
    """A key is no condition."""
    rules = parse_loaded(
        ["-a never,task -F key=x", "-a task,never", "-a never,task -F auid=5", "-w /a -p wa"]
    )

    assert rules.off_switches == ("-a never,task -F key=x", "-a task,never")
    assert rules.recording == ("-w /a -p wa",)


def test_the_package_section_reads_this_machine() -> None:
    """The section's command, run here, tells of a package manager or that there is none."""
    done = subprocess.run(
        ["sh", "-c", alone(AUDIT_PACKAGE)], capture_output=True, text=True, check=False
    )
    output = SectionOutput("audit_package", done.stdout, done.stderr, done.returncode)

    if Path("/var/lib/dpkg/status").exists():
        assert parse_package(output).manager == "dpkg"


def test_the_state_section_tells_that_auditctl_is_absent(tmp_path: Path) -> None:
    """Absent is status 127, and no empty list."""
    done = subprocess.run(
        ["/bin/sh", "-c", alone(AUDIT)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": str(tmp_path)},
    )

    assert (done.returncode, done.stdout) == (127, "")


def test_rpm_is_asked_as_another_user() -> None:
    """As root rpm touches its database's files: the section drops root first."""
    assert "as_nobody rpm " in AUDIT_PACKAGE.command
    assert "setpriv --reuid=65534" in PRELUDE.packed


def test_coverage_is_of_what_there_is() -> None:
    """Paths that do not exist and calls that a machine does not have are left out."""
    around = parse_surroundings("E /etc/passwd\nE /etc/sudoers\nC /boot/config\n", "aarch64")

    assert {i.name for i in items_of("scope", around)} == {"/etc/sudoers (wa)"}
    assert {i.name for i in items_of("delete", around)} == {"unlinkat (b64)", "renameat (b64)"}
    assert list(items_of("mac-policy", around)) == []


def test_every_group_is_covered_by_everything() -> None:
    """A rule on every call and a watch on / cover all groups; no rule covers none."""
    text = "\n".join(
        f"E {p}" for p in ("/etc/passwd", "/etc/selinux", "/etc/sudoers", "/usr/bin/kmod")
    )
    around = parse_surroundings(
        f"{text}\nE /var/run/utmp\nE /var/log/lastlog\nL Defaults logfile=/var/log/s\n", "x86_64"
    )
    rules = [parse_loaded_line(r, Host()) for r in ("-a always,exit -S all", "-w / -p rwxa")]

    for group in AUDIT_GROUPS:
        assert gaps(group, rules, around) == []
        assert gaps(group, [], around)


@pytest.mark.parametrize(
    "parse",
    [
        parse_auditd_config,
        lambda t: parse_package(SectionOutput("p", f"dpkg\n{t}", t, 0)),
        lambda t: parse_package(SectionOutput("p", f"rpm\n{t}", t, 0)),
        lambda t: parse_package(SectionOutput("p", t, t, 0)),
        lambda t: parse_status(t.splitlines()),
        lambda t: parse_loaded(t.splitlines()),
        lambda t: parse_surroundings(f"E /etc/passwd\n{t}", "x86_64"),
    ],
    ids=["conf", "dpkg", "rpm", "package", "status", "loaded", "surroundings"],
)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from(CONF.splitlines())).map("\n".join)))
def test_any_answer_is_read_or_not_observed(parse: Callable[[str], object], text: str) -> None:
    """A hostile answer raises nothing but NotObservedError, and its evidence is one line."""
    try:
        assert str(parse(text)).isprintable()
    except NotObservedError:
        return


def test_the_script_looks_for_every_watched_path() -> None:
    """The paths in the section's text are those that the groups of events name."""
    listed = AUDIT_COVER.shown.partition("for path in ")[2].partition("; do")[0]
    named = {p for paths in (*WATCHED.values(), *EXECUTED.values()) for p in paths}

    assert set(listed.replace("\\", "").split()) == named
