"""The sections of auditd and of the boot entry."""

from __future__ import annotations

from .case import Seen, case

RULES = "/etc/audit/rules.d"


@case("audit", matrix=True)
def test_audit_is_unknown_where_the_kernel_refuses(seen: Seen) -> None:
    """In a namespace of processes the kernel tells nobody, root neither."""
    for fact in ("droplet_audit_status", "droplet_audit_loaded"):
        assert "not permitted" in seen.missing(fact)


@case("audit", root="trixie")
def test_audit_is_unknown_without_auditctl(seen: Seen) -> None:
    """The tool is absent, and that is said."""
    assert seen.missing("droplet_audit_status") == "auditctl is not on the host"


@case("audit_package", matrix=True)
def test_the_package_of_dpkg_is_read(seen: Seen) -> None:
    """It is installed, in one version."""
    found = seen.fact("droplet_audit_package")

    assert (found.manager, found.lacking, found.state) == ("dpkg", (), "")
    assert found.version


@case("audit_package", root="trixie")
def test_a_package_that_was_never_installed_is_lacking(seen: Seen) -> None:
    """Dpkg does not know it."""
    assert seen.fact("droplet_audit_package").lacking == ("auditd",)


@case("audit_package", root="fedora-44", matrix=True)
def test_the_packages_of_rpm_are_read(seen: Seen) -> None:
    """Of audit 4 there are two."""
    found = seen.fact("droplet_audit_package")

    assert (found.manager, found.lacking) == ("rpm", ())
    assert found.version.startswith("4.")


@case("audit_package", root="almalinux-9", as_user="1000:1000")
def test_the_packages_of_rpm_are_read_without_root(seen: Seen) -> None:
    """Another user reads the same database."""
    assert seen.fact("droplet_audit_package").version.startswith("3.")


@case("audit_package", prepare="rm -rf /var/lib/dpkg")
def test_packages_are_unknown_without_a_manager(seen: Seen) -> None:
    """Neither dpkg nor rpm tells."""
    assert "neither dpkg-query nor rpm" in seen.missing("droplet_audit_package")


@case(
    "audit_rules",
    "kernel",
    matrix=True,
    files={
        f"{RULES}/9.rules": "-w /etc/passwd -p wa -k identity\n",
        f"{RULES}/10.rules": "\n-a always,exit -F arch=b64 -S execve -F uid=noroot -F gid=audit\n",
        f"{RULES}/11.rules.off": "-w /etc/shadow\n",
        "/etc/audit/audit.rules": "-D\n-e 2",
    },
    prepare=f"rm {RULES}/audit.rules\nchmod 640 {RULES}/9.rules\nchown 1000 {RULES}/9.rules",
)
def test_rules_are_read_in_the_order_that_augenrules_has(seen: Seen) -> None:
    """By versions of names, with mode, owner and the numbers of users and groups."""
    found = seen.fact("droplet_audit_files")

    assert [(f.path, f.mode, f.uid) for f in found.sources] == [
        (f"{RULES}/9.rules", "640", 1000),
        (f"{RULES}/10.rules", "644", 0),
    ]
    assert [line.number for line in found.sources[1].lines] == [1, 2]
    assert [line.text for line in found.compiled.lines] == ["-D", "-e 2"]
    assert found.host.users["noroot"] == 1001
    assert found.host.groups["audit"] == 1000


@case(
    "audit_rules",
    "kernel",
    matrix=True,
    files={f"{RULES}/9.rules": "-w /etc/pam.d/\n-w /nowhere/x\n-a always,exit -F dir=/etc/ssh\n"},
)
def test_folders_of_rules_are_looked_at(seen: Seen) -> None:
    """A path that is a folder, and one in a folder that does not exist."""
    host = seen.fact("droplet_audit_files").host

    assert host.folders >= {"/etc/pam.d", "/etc/ssh"}
    assert host.absent == {"/nowhere"}


@case("audit_rules", "kernel", prepare=f"rm -rf {RULES} /etc/audit/audit.rules")
def test_a_host_without_rules_has_none(seen: Seen) -> None:
    """Neither the folder nor the compiled file is there."""
    found = seen.fact("droplet_audit_files")

    assert (found.sources, found.compiled) == ((), None)


@case("audit_rules", "kernel", prepare=f"unreadable {RULES}/50-x.rules")
def test_rules_that_cannot_be_read_are_unknown(seen: Seen) -> None:
    """A file that is there and is not read is no empty file."""
    assert "50-x.rules" in seen.missing("droplet_audit_files")


@case("audit_rules", "kernel", prepare=f"unlistable {RULES}")
def test_a_folder_of_rules_that_cannot_be_listed_is_unknown(seen: Seen) -> None:
    """It is not taken for an empty one."""
    assert RULES in seen.missing("droplet_audit_files")


COVER = ("audit_cover", "kernel", "cmdline")


@case(
    *COVER,
    matrix=True,
    files={
        "/etc/login.defs": "UID_MAX 60000\nUID_MIN\t\t 500\n",
        "/etc/sudoers.d/log": 'Defaults  logfile="/var/log/sudo.log"\n',
    },
    prepare='echo CONFIG_IA32_EMULATION=y >"/boot/config-$(uname -r)"',
)
def test_what_there_is_to_record(seen: Seen) -> None:
    """Paths that exist, the first number of users, 32-bit programs, and sudo's log."""
    found = seen.fact("droplet_audit_surroundings")

    assert {"/etc/passwd", "/etc/sudoers", "/etc/pam.d"} <= found.paths
    assert "/etc/sysconfig/network" not in found.paths
    assert found.uid_min == 500
    assert found.runs_32_bit
    assert found.sudo_logs == ("/var/log/sudo.log",)


@case(*COVER, prepare="unreadable /etc/login.defs")
def test_what_there_is_to_record_is_unknown_with_a_gap(seen: Seen) -> None:
    """A file that is not read may say anything."""
    assert "/etc/login.defs" in seen.missing("droplet_audit_surroundings")


@case(
    "auditd_conf",
    matrix=True,
    files={
        "/etc/audit/auditd.conf": "#\nlog_file = /var/log/audit.log\n\nMax_Log_File = 8\n",
        "/etc/audit/plugins.d/remote.conf": "active = yes\n",
        "/etc/audit/plugins.d/syslog.conf": "active = no\n",
        "/usr/sbin/sendmail": "",
    },
    prepare="chmod 755 /usr/sbin/sendmail",
)
def test_the_configuration_of_auditd_is_read(seen: Seen) -> None:
    """Lines by number, the space for the log, mail, and active plugins."""
    found = seen.fact("droplet_auditd_config")

    assert found.number("max_log_file") == 8
    assert found.lines["max_log_file"] == 4
    assert found.partition_kib >= found.free_kib > 0
    assert found.can_mail
    assert found.plugins == ("/etc/audit/plugins.d/remote.conf",)


@case("auditd_conf", root="trixie")
def test_the_configuration_of_auditd_is_unknown_where_it_is_absent(seen: Seen) -> None:
    """Without the file there is no configuration."""
    assert "auditd.conf" in seen.missing("droplet_auditd_config")


GRUB = """
set default="0"
menuentry 'Debian GNU/Linux' $menuentry_id_option 'gnulinux-simple' {
    linux /vmlinuz root=/dev/vda1 audit=1
}
"""


@case(
    "boot",
    matrix=True,
    files={
        "/boot/grub/grub.cfg": GRUB,
        "/etc/default/grub": "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX='audit=1'\n",
        "/etc/default/grub.d/90.cfg": "GRUB_CMDLINE_LINUX=\n",
        "/boot/grub/grubenv": "# GRUB\nsaved_entry=1\n",
    },
)
def test_the_entry_of_grub_is_read(seen: Seen) -> None:
    """The first entry with its arguments, and what a new menu would have."""
    found = seen.fact("droplet_boot_entry")

    assert (found.title, found.last("audit")) == ("Debian GNU/Linux", ("1",))
    assert {path for path, _ in found.configured} == {
        "/etc/default/grub",
        "/etc/default/grub.d/90.cfg",
    }


@case(
    "boot",
    files={
        "/boot/grub2/grub.cfg": "insmod blscfg\nblscfg\n",
        "/boot/grub2/grubenv": "kernelopts=root=/dev/vda1 audit=1\nsaved_entry=x-6.1\n",
        "/boot/loader/entries/x-6.1.conf": "title X\nversion 6.1\noptions $kernelopts\n",
        "/boot/loader/loader.conf": "default x-6.1\n",
    },
)
def test_the_entry_of_the_boot_loader_specification_is_read(seen: Seen) -> None:
    """With the arguments that GRUB's environment has."""
    found = seen.fact("droplet_boot_entry")

    assert found.path == "/boot/loader/entries/x-6.1.conf"
    assert found.last("audit") == ("1",)


@case("boot", files={"/boot/grub/grub.cfg": GRUB}, prepare="unreadable /etc/default/grub")
def test_the_entry_is_unknown_with_a_gap(seen: Seen) -> None:
    """A file that is not read may say anything."""
    assert "/etc/default/grub" in seen.missing("droplet_boot_entry")


@case("boot", files={"/boot/grub/grub.cfg": GRUB}, prepare="failing tr 1")
def test_the_entry_is_unknown_where_lines_are_lost(seen: Seen) -> None:
    """What was read did not come through."""
    assert "/etc/default/grub" in seen.missing("droplet_boot_entry")


@case("boot")
def test_the_entry_is_unknown_without_a_boot_loader(seen: Seen) -> None:
    """A root has none."""
    assert "boot" in seen.missing("droplet_boot_entry")
