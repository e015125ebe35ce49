"""Units, kernel arguments and boot entries: what is read, and that nothing else is made up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.facts.auditd.boot import parse_boot
from pytest_droplet.facts.host.kernel import parse_kernel, parse_kernel_arguments
from pytest_droplet.facts.host.units import parse_units
from pytest_droplet.model import NotObservedError

UNITS = """Id=ssh.service
Names=ssh.service sshd.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
MainPID=812
ConditionResult=yes
ActiveEnterTimestamp=Fri 2026-11-20 06:00:12 UTC
StateChangeTimestamp=Sat 2026-11-21 09:30:00 UTC
NextElapseUSecRealtime=n/a

Id=auditd.service
LoadState=not-found
ActiveState=inactive
ConditionResult=no

Id=half.service
LoadState=loaded
"""
GRUB = """F /etc/default/grub
GRUB_CMDLINE_LINUX="quiet audit=1"
F /boot/grub/grub.cfg
   set default="${next_entry}"
   set default="0"
}
menuentry 'Debian' --class debian $menuentry_id_option 'simple' {
	linux	/boot/vmlinuz-2 root=/dev/vda1 ro quiet
}
submenu 'Advanced' $menuentry_id_option 'advanced' {
	menuentry 'Debian, with Linux 2' $menuentry_id_option 'two' {
		linux	/boot/vmlinuz-2 root=/dev/vda1 ro two
	}
	menuentry 'Debian, with Linux 1' --id 'one' {
		linux	/boot/vmlinuz-1 root=/dev/vda1 ro one
	}
}
F /boot/grub/grubenv
"""


def test_a_unit_is_found_by_each_of_its_names() -> None:
    """Aliases name the same unit; times are UTC, and absent where the event did not happen."""
    units = parse_units(UNITS)

    assert units["sshd.service"] is units["ssh.service"]
    unit = units["ssh.service"]
    assert (unit.is_active, unit.is_enabled, unit.main_pid, unit.condition) == (
        True,
        True,
        812,
        True,
    )
    assert unit.active_since == datetime(2026, 11, 20, 6, 0, 12, tzinfo=UTC)
    assert unit.changed_at == datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert unit.next_run is None
    assert str(unit) == "ssh.service: enabled, active (running), since 2026-11-20 06:00:12 UTC"
    assert str(units["auditd.service"]) == "auditd.service: not found"


@pytest.mark.parametrize(
    ("state", "enabled"),
    [
        ("enabled", True),
        *((state, False) for state in ("enabled-runtime", "linked", "linked-runtime", "alias")),
        *((state, False) for state in ("static", "indirect", "generated", "transient")),
        *((state, False) for state in ("disabled", "masked", "masked-runtime", "bad", "", "new")),
    ],
)
def test_only_enabled_is_enabled_for_every_boot(state: str, *, enabled: bool) -> None:
    """Every word of systemctl(1), is-enabled: what holds until the next boot is not enough."""
    text = UNITS.replace("UnitFileState=enabled", f"UnitFileState={state}")
    assert parse_units(text)["ssh.service"].is_enabled is enabled


@pytest.mark.parametrize("name", ["half.service", "cron.service"])
def test_a_unit_without_a_whole_block_is_not_observed(name: str) -> None:
    """What systemctl did not say of a unit is not "inactive"."""
    with pytest.raises(NotObservedError, match=name):
        parse_units(UNITS)[name]


def test_the_last_kernel_argument_of_a_name_counts() -> None:
    """Names are compared as the kernel does, and what follows -- is init's."""
    found = parse_kernel_arguments(
        'audit=0 audit-backlog_limit="8192" audit=1 xaudit=0 -- audit=0\n'
    )

    assert found.last("audit") == "1"
    assert found.last("audit_backlog_limit") == "8192"
    assert found.last("xaudit") == "0"
    assert found.last("quiet") is None


def test_the_kernel_is_read_whole_or_not() -> None:
    """Release, machine, clock and boot time are all there, or nothing is."""
    kernel = parse_kernel("Linux 6.1.0-42 x86_64\n#1 SMP\n1795348800\nbtime 1795154400\n")

    assert (kernel.release, kernel.machine) == ("6.1.0-42", "x86_64")
    assert kernel.booted_at == datetime(2026, 11, 20, 6, tzinfo=UTC)
    assert kernel.clock == datetime(2026, 11, 22, 12, tzinfo=UTC)
    with pytest.raises(NotObservedError):
        parse_kernel("Linux 6.1.0-42 x86_64\n#1 SMP\n1795348800\n")


@pytest.mark.parametrize(
    ("default", "environment", "expected"),
    [
        ("0", "", "quiet"),
        ("1>1", "", "one"),
        ("advanced>two", "", "two"),
        ("1", "", "two"),
        ("Advanced>Debian, with Linux 1", "", "one"),
        ("${saved_entry}", "saved_entry=advanced>one", "one"),
        ("${saved_entry}", "", "quiet"),
        ("gone", "", "quiet"),
        ("0", "next_entry=1>0", "two"),
    ],
)
def test_grub_takes_the_default_entry(default: str, environment: str, expected: str) -> None:
    """By number, id or title, into submenus, saved or for once; what does not exist is the first."""
    text = GRUB.replace('set default="0"', f'set default="{default}"') + environment

    assert parse_boot(text).variants[0].tokens[-1] == expected


def test_what_is_configured_is_kept_beside_what_will_boot() -> None:
    """A setting of /etc/default/grub counts only once the menu is made anew."""
    entry = parse_boot(GRUB)

    assert entry.last("audit") == (None,)
    assert [(p, a.last("audit")) for p, a in entry.configured] == [("/etc/default/grub", "1")]


def test_without_a_boot_loader_the_next_boot_is_not_known() -> None:
    """No entry is not an entry without arguments."""
    with pytest.raises(NotObservedError):
        parse_boot("F /etc/default/grub\nGRUB_CMDLINE_LINUX=audit=1\n")


@given(st.one_of(st.text(), st.lists(st.sampled_from(GRUB.splitlines())).map("\n".join)))
def test_any_answer_is_read_or_not_observed(text: str) -> None:
    """A hostile answer raises nothing but NotObservedError, and its evidence is one line."""
    for name in ("ssh.service", "auditd.service"):
        try:
            assert str(parse_units(text)[name]).isprintable()
        except NotObservedError:
            continue
    assert str(parse_kernel_arguments(text)).isprintable()
    for parse in (parse_boot, parse_kernel):
        try:
            assert str(parse(text)).isprintable()
        except NotObservedError:
            continue
