"""The sections of updates: apt and dnf, their indexes, kernels and reboots."""

from __future__ import annotations

from .case import Seen, case

STALE = "bookworm-few-stale"  # as released, with the indexes of security updates
CURRENT = "bookworm-few"  # all updates are installed
UPDATES = ("apt", "os", "apt_policy")
INDEX = ("apt_index", "os", "apt_sources", "apt_policy")
PIN_ALL = "Package: *\nPin: release a=stable-security\nPin-Priority: 500\n"
PIN_ONE = "Package: bash\nPin: version 5.2*\nPin-Priority: 1001\n"


@case(*UPDATES, root=STALE, matrix=True)
def test_updates_of_apt_are_read(seen: Seen) -> None:
    """Those for security are told apart."""
    found = seen.fact("droplet_pending_updates")

    assert found.manager == "apt"
    assert found.security
    assert not any(update.blocked for update in found.updates)


@case(*UPDATES, root=STALE, as_user="1000:1000")
def test_updates_of_apt_are_read_without_root(seen: Seen) -> None:
    """Nothing of apt needs root."""
    assert seen.fact("droplet_pending_updates").security


@case(*UPDATES, root=CURRENT)
def test_a_host_without_updates_has_none(seen: Seen) -> None:
    """Nothing waits, and the longer list is not asked for."""
    assert seen.fact("droplet_pending_updates").updates == ()
    assert "==upgradable" not in seen["apt"].stdout


@case(
    *UPDATES,
    root=STALE,
    files={
        "/etc/apt/preferences": "Package: *\nPin: release l=Debian-Security\nPin-Priority: -1\n"
    },
)
def test_security_updates_that_a_pin_keeps_back_are_seen(seen: Seen) -> None:
    """Apt leaves them out, and without its pins it names them."""
    found = seen.fact("droplet_pending_updates")

    assert "==upgradable" in seen["apt"].stdout
    assert found.security
    assert all(update.blocked for update in found.security)


@case(*UPDATES, root=STALE, files={"/etc/apt/preferences": PIN_ALL}, prepare="failing apt 100")
def test_updates_are_unknown_where_the_longer_list_fails(seen: Seen) -> None:
    """What a pin keeps back would be missing."""
    assert "status 100" in seen.missing("droplet_pending_updates")


@case(*UPDATES, files={"/etc/apt/apt.conf.d/99-broken": 'APT::X "a\n'})
def test_updates_are_unknown_where_the_settings_are_broken(seen: Seen) -> None:
    """Apt reads none of its settings then."""
    assert "99-broken" in seen.missing("droplet_pending_updates")


@case(
    "apt_policy",
    "os",
    "apt",
    root=STALE,
    matrix=True,
    files={"/etc/apt/preferences.d/bash": PIN_ONE, "/etc/apt/preferences": PIN_ALL},
    prepare="dpkg --add-architecture i386",
)
def test_pins_are_read(seen: Seen) -> None:
    """Pins of packages, the priorities of indexes, and what is installed of what source."""
    text = seen["apt_policy"].stdout

    assert "== pins /etc/apt/preferences.d/bash\n" in text
    assert "== policy\n" in text
    assert "\nbash bash\n" in text
    assert "foreign i386\n" in text
    assert text.endswith("== end\n")


@case(*UPDATES, root=STALE, prepare="unreadable /etc/apt/preferences.d/all")
def test_updates_are_unknown_with_pins_that_cannot_be_read(seen: Seen) -> None:
    """The pin may keep back anything."""
    assert "preferences.d/all" in seen.missing("droplet_pending_updates")


@case(
    *UPDATES,
    root=STALE,
    as_user="1000:1000",
    prepare="chmod 700 /etc/apt/preferences.d",
)
def test_updates_are_unknown_with_a_folder_of_pins_that_cannot_be_listed(seen: Seen) -> None:
    """Without root the folder may hold any pin."""
    assert "preferences.d" in seen.fact("droplet_pending_updates").hidden


@case(*INDEX, root=STALE, matrix=True)
def test_the_indexes_of_apt_are_read(seen: Seen) -> None:
    """With the time of the last update, and a file for each source."""
    found = seen.fact("droplet_package_index")

    assert found.updated_at is not None
    assert all(source.fetched for source in found.sources)
    assert {source.name for source in found.sources} >= {"bookworm-security"}


@case(*INDEX, root=STALE, as_user="1000:1000", prepare="chmod 700 /var/lib/apt/lists")
def test_indexes_that_cannot_be_listed_are_unknown(seen: Seen) -> None:
    """A folder that is closed is not empty."""
    assert "/var/lib/apt/lists" in seen.missing("droplet_package_index")


@case(*INDEX, prepare="unreadable /var/lib/apt/lists/x_InRelease")
def test_an_index_that_cannot_be_read_is_unknown(seen: Seen) -> None:
    """It is not taken for one without dates."""
    assert "x_InRelease" in seen.missing("droplet_package_index")


@case(
    "apt_sources",
    "os",
    "apt_index",
    "apt_policy",
    root=STALE,
    matrix=True,
    files={
        "/etc/apt/sources.list": "# deb http://old.example.com x main\n"
        "deb http://user:secret@apt.example.com/debian tools main\n",
        "/etc/apt/sources.list.d/more.list": "deb [trusted=yes] file:/srv x main\n",
    },
)
def test_sources_are_read_without_logins(seen: Seen) -> None:
    """A login in an address stays on the host, and so does what is commented out."""
    text = seen["apt_sources"].stdout

    assert "http://apt.example.com/debian tools" in text
    assert "secret" not in text
    assert "old.example.com" not in text
    assert "== /etc/apt/sources.list.d/debian.sources\n" in text
    assert seen.fact("droplet_package_index").sources


@case("apt_sources", *INDEX[:2], "apt_policy", prepare="unreadable /etc/apt/sources.list.d/x.list")
def test_sources_that_cannot_be_read_are_unknown(seen: Seen) -> None:
    """The file may name any source."""
    assert "x.list" in seen.missing("droplet_package_index")


AUTOMATIC = ("automatic_updates", "os", "apt_sources", "apt_index")


@case(
    *AUTOMATIC,
    root=STALE,
    matrix=True,
    base="debian-12-clean",
    files={
        "/etc/apt/apt.conf.d/20auto-upgrades": 'APT::Periodic::Update-Package-Lists "1";\n'
        'APT::Periodic::Unattended-Upgrade "1";\n'
    },
)
def test_unattended_upgrades_covers_the_security_suite(seen: Seen) -> None:
    """As Debian's packages bring it, and with the timers of a host."""
    assert seen.fact("droplet_automatic_updates").obstacles == ()


@case(*AUTOMATIC, root=STALE, base="debian-12-clean", prepare="failing apt-config 100")
def test_automatic_updates_are_unknown_without_settings(seen: Seen) -> None:
    """Settings that are not read are not the defaults."""
    assert "apt-config" in seen.missing("droplet_automatic_updates")


DNF_AUTOMATIC = {
    "/etc/dnf/automatic.conf": "[commands]\napply_updates = no\nupgrade_type=default\n"
}


@case("automatic_updates", "os", root="almalinux-9", base="debian-12-clean", files=DNF_AUTOMATIC)
def test_settings_of_dnf_automatic_are_read(seen: Seen) -> None:
    """Its file says that nothing is applied."""
    assert "apply_updates = no\n" in seen["automatic_updates"].stdout
    assert seen.missing("droplet_automatic_updates") == ""


@case(
    "automatic_updates",
    "os",
    root="almalinux-9",
    base="debian-12-clean",
    prepare="unreadable /etc/dnf/automatic.conf",
)
def test_settings_of_dnf_automatic_that_cannot_be_read_are_unknown(seen: Seen) -> None:
    """They are not taken for none."""
    assert "automatic.conf" in seen.missing("droplet_automatic_updates")


DNF = ("dnf", "os", "dnf_index")


@case(*DNF, root="almalinux-9", matrix=True)
def test_updates_of_dnf_are_read(seen: Seen) -> None:
    """One of two is for security."""
    found = seen.fact("droplet_pending_updates")

    assert {u.name: u.security for u in found.updates} == {"bash": False, "openssl-libs": True}


@case(*DNF, root="fedora-44")
def test_updates_of_dnf5_are_read(seen: Seen) -> None:
    """The newer dnf has other words and another cache."""
    found = seen.fact("droplet_pending_updates")

    assert found.manager == "dnf"
    assert found.unlabelled == ""


@case(*DNF)
def test_a_host_of_apt_has_no_dnf(seen: Seen) -> None:
    """Dnf is not asked where the distribution has apt."""
    assert seen["dnf"].rc == 127


@case(
    *DNF,
    root="almalinux-9",
    prepare="cp /usr/bin/mount /usr/bin/really-mount\nrm /usr/bin/mount\n"
    """printf '#!/bin/bash\\n[[ "$*" == *remount* ]] || exec really-mount "$@"\\n' >/usr/bin/mount\n"""
    "chmod 755 /usr/bin/mount",
)
def test_dnf_does_not_run_where_it_could_write(seen: Seen) -> None:
    """A file system that cannot be made read-only is said."""
    assert seen["dnf"].rc == 125
    assert "still writable" in seen.missing("droplet_pending_updates")


@case("dnf_index", "os", root="almalinux-9", matrix=True)
def test_the_repositories_of_dnf_are_read(seen: Seen) -> None:
    """Each with the time of its metadata."""
    found = seen.fact("droplet_package_index")

    assert found.updated_at is not None
    assert {source.name: source.fetched for source in found.sources} == {
        "baseos": True,
        "appstream": True,
    }


@case(
    "dnf_index",
    "os",
    root="fedora-44",
    files={
        "/etc/yum.repos.d/own.repo": "[own]\nbaseurl=https://user:secret@x.example.com/\n"
        "  https://mirror.example.com/\nenabled=0\n",
        "/etc/dnf/libdnf5.conf.d/x.conf": "[main]\noptional_metadata_types=comps\n",
    },
)
def test_settings_of_dnf5_are_read(seen: Seen) -> None:
    """An option that hides advisories is a doubt; a login stays on the host."""
    found = seen.fact("droplet_package_index")

    assert "optional_metadata_types" in " ".join(found.doubts)
    assert "https://x.example.com/" in seen["dnf_index"].stdout
    assert "secret" not in seen["dnf_index"].stdout


@case("dnf_index", "os", root="almalinux-9", prepare="unlistable /var/cache/dnf")
def test_a_cache_of_dnf_that_cannot_be_listed_is_unknown(seen: Seen) -> None:
    """It is not taken for an empty one."""
    assert "could not be read" in seen.missing("droplet_package_index")


@case("dnf_index", "os", root="almalinux-9", prepare="failing stat 2")
def test_metadata_of_dnf_without_times_are_unknown(seen: Seen) -> None:
    """Files whose times were not told are not absent."""
    assert "could not be read" in seen.missing("droplet_package_index")


@case("dnf_index", "os", root="almalinux-9", prepare="unreadable /etc/yum.repos.d/x.repo")
def test_repositories_that_cannot_be_read_are_unknown(seen: Seen) -> None:
    """The file may name any."""
    assert "could not be read" in seen.missing("droplet_package_index")


@case("dnf_index", "os", root="almalinux-9", prepare="unreadable /etc/dnf/dnf.conf")
def test_settings_of_dnf_that_cannot_be_read_are_unknown(seen: Seen) -> None:
    """They may hide advisories."""
    assert "could not be read" in seen.missing("droplet_package_index")


KERNEL_PACKAGE = """
cat >>/var/lib/dpkg/status <<END

Package: linux-image-$(uname -r)
Status: install ok installed
Architecture: amd64
Version: 1.2.3-1
Maintainer: x <x@example.com>
Description: x
END
"""


@case("kernels", "kernel", matrix=True, prepare=KERNEL_PACKAGE)
def test_the_kernels_of_dpkg_are_read(seen: Seen) -> None:
    """The status, the name and the version of each."""
    assert seen["kernels"].stdout.startswith("== dpkg\n")
    assert (
        seen["kernels"]
        .stdout.rstrip()
        .endswith(f"linux-image-{seen.fact('droplet_kernel').release} 1.2.3-1")
    )


@case("kernels", "kernel", prepare="failing dpkg-query 2")
def test_kernels_are_unknown_where_dpkg_fails(seen: Seen) -> None:
    """Packages that were not listed are not absent."""
    assert "dpkg-query" in seen.missing("droplet_installed_kernels")


@case("kernels", "kernel", root="almalinux-9")
def test_a_running_kernel_of_no_package_is_unknown(seen: Seen) -> None:
    """Rpm was asked, and has no kernel."""
    assert "of no installed package" in seen.missing("droplet_installed_kernels")


@case("kernels", "kernel", root="almalinux-9", prepare="failing rpm 1")
def test_kernels_are_unknown_where_rpm_fails(seen: Seen) -> None:
    """Packages that were not listed are not absent."""
    assert "rpm -qa" in seen.missing("droplet_installed_kernels")


@case(
    "reboot",
    "kernel",
    matrix=True,
    files={"/run/reboot-required": "", "/run/reboot-required.pkgs": "linux-image-1\ndbus\n"},
)
def test_the_flag_for_a_reboot_is_read(seen: Seen) -> None:
    """With the packages that ask for it."""
    found = seen.fact("droplet_pending_reboot")

    assert (found.flagged, found.packages) == (True, ("linux-image-1", "dbus"))


@case("reboot", "kernel")
def test_a_host_without_the_flag_needs_no_reboot(seen: Seen) -> None:
    """Debian's tools did not ask for one."""
    assert not seen.fact("droplet_pending_reboot").needed


@case("reboot", "kernel", root="almalinux-9", as_user="1000:1000")
def test_core_packages_are_read_of_rpm(seen: Seen) -> None:
    """Not all of them are installed, and none after the boot."""
    found = seen.fact("droplet_pending_reboot")

    assert (found.flagged, found.packages) == (False, ())


@case("reboot", "kernel", root="almalinux-9", prepare="failing rpm 99")
def test_a_reboot_is_unknown_where_rpm_fails(seen: Seen) -> None:
    """Packages that were not told of may be newer than the boot."""
    assert "rpm -q" in seen.missing("droplet_pending_reboot")
