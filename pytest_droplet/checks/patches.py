"""Checks of patches: no update waits, the newest kernel runs (the guide's recommendation 5)."""

from __future__ import annotations

from datetime import datetime, timedelta

from pytest_droplet.catalogue import check
from pytest_droplet.facts.patches.automatic_updates import AutomaticUpdates
from pytest_droplet.facts.patches.kernels import InstalledKernels, PendingReboot
from pytest_droplet.facts.patches.packages import (
    PackageIndex,
    PackageSource,
    PendingUpdates,
    list_updates,
)
from pytest_droplet.model import Claims, FindingError, NotObservedError, fail, not_applicable
from pytest_droplet.settings import Settings

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, 5: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_AHEAD = timedelta(days=1)
_OLD_INDEX = timedelta(days=30)
_SLACK = timedelta(days=3)


@check(
    "patches.index-trustworthy",
    severity="high",
    profile="droplet",
    guide=5,
    references=f"{_GUIDE}; https://wiki.debian.org/SourcesList",
)
def test_package_index_is_fresh_and_has_a_security_source(
    droplet_package_index: PackageIndex, droplet_settings: Settings, droplet_now: datetime
) -> None:
    """Package indexes are fresh and include a security source.

    The age is that of the host's last look at its sources: not of the index files of apt, whose
    time is the server's. That look may have failed, or have been at other sources alone, as that
    of DigitalOcean's agent is. So the index of each security source has to be within its own
    ``Valid-Until``; where it has none, it fails when it is older than 30 days itself, and is
    unknown when it is 3 days older than the limit. Of an Ubuntu whose public archive is closed the
    index of Ubuntu Pro counts instead.
    apt also has to take updates from that source: its priority (``apt-cache policy``) is at least
    100 and that of the release, for all installed packages. A pin that is not understood, settings
    that let apt look elsewhere or take unsigned indexes, and a look that is dated more than a day
    ahead make the answer unknown.

    Finding:
        The package index is old, or lacks a security source.

    Rationale:
        "No update waits" is worth nothing where the host has not asked for weeks, has never been
        told where security updates are, or has been told to leave them alone.

    Remediation:
        Debian, Ubuntu: ``apt update``, and add the suite ``CODENAME-security`` to
        ``/etc/apt/sources.list.d/``. AlmaLinux, Rocky Linux, CentOS Stream: ``dnf makecache``,
        and enable ``baseos`` and ``appstream``; Fedora: enable ``updates``. Take out pins to a
        vault. Where apt takes nothing from the security source: ``apt-cache policy``, then
        remove or narrow the named pin, or ``APT::Default-Release``, which has to match the
        security suite too: ``"/^CODENAME(|-security|-updates)$/"``.
    """
    with Claims() as claim:
        for problem in _problems(droplet_package_index, droplet_settings, droplet_now):
            with claim:
                raise problem


@check(
    "patches.no-pending-security-updates",
    severity="critical",
    profile=("droplet", "cis1"),
    guide=5,
    references=_GUIDE,
)
def test_no_security_update_is_waiting(
    droplet_pending_updates: PendingUpdates,
    droplet_package_index: PackageIndex,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """No security update is waiting.

    Updates on hold, kept back, pinned away or excluded by the configuration count: every version
    of a security suite that is newer than the installed one. Updates that Ubuntu phases do not:
    they are none of security.

    Finding:
        Security updates are waiting.

    Rationale:
        A published update tells everybody where the flaw is. Between the update and its
        installation the host is open to whoever reads it.

    Remediation:
        Debian, Ubuntu: ``apt update && apt full-upgrade``; look at ``apt-mark showhold``
        and at the pins in ``/etc/apt/preferences.d``.
        AlmaLinux, Rocky Linux, Fedora: ``dnf upgrade --security``; look at ``excludepkgs`` in
        ``/etc/dnf/dnf.conf``. CentOS Stream: ``dnf upgrade``. Then reboot where it is asked for.
    """
    waiting = droplet_pending_updates.security
    wait = "security update waits" if len(waiting) == 1 else "security updates wait"
    told_by = droplet_pending_updates.told_by
    held = any(u.blocked for u in waiting) and told_by
    if waiting:
        by = f"; apt is told what to hold back by {told_by}" if held else ""
        fail(
            f"{len(waiting)} {wait}: {list_updates(waiting)}{by}", droplet_pending_updates=waiting
        )
    if droplet_pending_updates.hidden:
        raise NotObservedError(droplet_pending_updates.hidden)
    _need_index(droplet_package_index, droplet_settings, droplet_now)
    if droplet_pending_updates.unlabelled:
        raise NotObservedError(
            f"{droplet_pending_updates.unlabelled}; see patches.no-pending-updates"
        )


@check(
    "patches.no-pending-updates",
    severity="medium",
    profile="cis1",
    guide=5,
    references="apt-get(8); dnf(8)",
)
def test_no_update_is_waiting(
    droplet_pending_updates: PendingUpdates,
    droplet_package_index: PackageIndex,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """No update at all is waiting.

    For CentOS Stream, which does not tell security updates from others, this is the check of
    patches that counts. The settings ``pending_updates_allowed`` and
    ``pending_updates_max_age_days`` allow some, or all for some days.

    Finding:
        Updates are waiting.

    Rationale:
        Many updates fix flaws without being labelled so, and a host that is far behind takes
        an urgent one with more risk.

    Remediation:
        Debian, Ubuntu: ``apt update && apt full-upgrade``. AlmaLinux, Rocky Linux, Fedora,
        CentOS Stream: ``dnf upgrade --refresh``.
    """
    waiting = droplet_pending_updates.installable
    allowed, days = (
        droplet_settings.pending_updates_allowed,
        droplet_settings.pending_updates_max_age_days,
    )
    if len(waiting) > allowed:
        shown = f"{len(waiting)} updates wait: {list_updates(waiting)}"
        if not days:
            more = f"; allowed are {allowed}" if allowed else ""
            fail(f"{shown}{more}", droplet_pending_updates=waiting)
        age = _age(droplet_package_index, droplet_now)
        if age > timedelta(days=days):
            fail(
                f"{shown}; the index that offers them is {_days(age)} old, allowed are {days}",
                droplet_pending_updates=waiting,
            )
    _need_index(droplet_package_index, droplet_settings, droplet_now)


@check(
    "patches.kernel-current",
    severity="high",
    profile="droplet",
    guide=5,
    references=f"{_GUIDE}; https://wiki.debian.org/HowToUpgradeKernel",
)
def test_newest_installed_kernel_is_running(droplet_installed_kernels: InstalledKernels) -> None:
    """The running kernel is the newest installed one.

    Kernels of the running flavour are compared, and on Debian and Ubuntu their build too: a
    rebuild may keep the name. Live patches do not count.

    Finding:
        The running kernel is older than the newest installed one.

    Rationale:
        A kernel that is installed and not running fixes nothing: the host still runs the flaw
        that the update was for.

    Remediation:
        Reboot in a window: ``systemctl reboot``. Where the old kernel comes back, look at the
        boot loader: ``update-grub`` on Debian and Ubuntu, ``grubby --default-kernel`` on
        AlmaLinux, Rocky Linux, Fedora and CentOS Stream.
    """
    kernels = droplet_installed_kernels
    if not kernels.current:
        fail(
            f"the kernel {kernels.running} runs, {kernels.newest} is installed",
            droplet_installed_kernels=[kernels],
        )


@check(
    "patches.reboot-not-required",
    severity="medium",
    profile="droplet",
    guide=5,
    references=f"{_GUIDE}; https://man7.org/linux/man-pages/man5/proc_stat.5.html (btime)",
)
def test_no_reboot_is_pending(
    droplet_pending_reboot: PendingReboot, droplet_installed_kernels: InstalledKernels
) -> None:
    """No reboot is pending.

    Debian and Ubuntu: the flag ``/run/reboot-required``, which plain Debian sets only with
    unattended-upgrades. RPM hosts: core packages that were installed after the boot. And the
    newest kernel has to run on all of them.

    Finding:
        A reboot is pending.

    Rationale:
        Services go on using the old library or kernel until they start again.

    Remediation:
        Reboot in a window: ``systemctl reboot`` (Debian, Ubuntu, AlmaLinux, Rocky Linux, Fedora,
        CentOS Stream alike).
    """
    with Claims() as claim:
        with claim:
            if droplet_pending_reboot.needed:
                fail(str(droplet_pending_reboot), droplet_pending_reboot=[droplet_pending_reboot])
        with claim:
            if not droplet_installed_kernels.current:
                fail(
                    str(droplet_installed_kernels),
                    droplet_installed_kernels=[droplet_installed_kernels],
                )


@check(
    "patches.automatic-updates-enabled",
    severity="medium",
    profile="extended",
    guide=5,
    references="https://wiki.debian.org/UnattendedUpgrades;"
    " https://dnf.readthedocs.io/en/latest/automatic.html",
)
def test_security_updates_install_themselves(
    droplet_automatic_updates: AutomaticUpdates, droplet_settings: Settings
) -> None:
    """Security updates install themselves.

    Not judged with the setting ``patched_elsewhere``: another system installs them.

    Debian and Ubuntu: unattended-upgrades is installed, both of apt's timers run, apt's periodic
    settings ask for it, its origins have the security suite, and neither its blacklist nor a
    strict whitelist leaves out all others. Sources that no origin covers are named. RPM hosts: a
    timer of dnf-automatic runs that installs; ``apply_updates`` counts in ``[commands]`` alone.

    Finding:
        Security updates do not install themselves.

    Rationale:
        Attackers look for a published flaw within hours. Nobody patches a fleet by hand on a
        Saturday night.

    Remediation:
        Debian, Ubuntu: ``apt install unattended-upgrades``, then
        ``dpkg-reconfigure -plow unattended-upgrades``. AlmaLinux, Rocky Linux, CentOS Stream:
        ``dnf install dnf-automatic && systemctl enable --now dnf-automatic-install.timer``;
        Fedora: ``dnf5-automatic.timer`` with ``apply_updates = yes``. On CentOS Stream leave
        ``upgrade_type`` at ``default``.
    """
    if droplet_settings.patched_elsewhere:
        not_applicable("another system installs the updates (patched_elsewhere)")
    updates = droplet_automatic_updates
    if not updates.enabled:
        about = [{"tool": updates.by, "why": why} for why in updates.obstacles]
        fail(str(updates), droplet_automatic_updates=about)


def _need_index(index: PackageIndex, settings: Settings, now: datetime) -> None:
    for problem in _problems(index, settings, now):
        raise NotObservedError(f"the package index cannot be trusted: {problem}")


def _age(index: PackageIndex, now: datetime) -> timedelta:
    """Return how old the newest index is by its own date.

    Raises:
        NotObservedError: No index has a date that is not to come.
    """
    ages = [now - source.dated for source in index.sources if source.dated is not None]
    if not ages or min(ages) < -_AHEAD:
        raise NotObservedError(
            f"the {index.manager} indexes have no date to count pending_updates_max_age_days from"
        )
    return min(ages)


def _problems(index: PackageIndex, settings: Settings, now: datetime) -> list[Exception]:
    """Return what speaks against the index: AssertionErrors, or that it cannot be told."""
    found: list[Exception] = []
    limit = timedelta(days=settings.index_max_age_days)
    if index.updated_at is None:
        found.append(_of_index(index, f"the {index.manager} index was never updated"))
    elif now - index.updated_at > limit:
        found.append(
            _of_index(
                index,
                f"the {index.manager} index was last updated {_days(now - index.updated_at)} ago"
                f" ({index.updated_at:%Y-%m-%d}, by {index.stamp}); the limit is {_days(limit)}",
            )
        )
    elif index.updated_at - now > _AHEAD:
        found.append(
            NotObservedError(
                f"the {index.manager} index is dated {index.updated_at:%Y-%m-%d %H:%M} UTC, which"
                " is to come; check the clock of the host"
            )
        )
    for name in index.lacking:
        absent = PackageSource(name, fetched=False)
        found.append(_of_source(absent, f"no enabled source is {name}"))
    found += [_of_index(index, fault) for fault in index.unreachable]
    found += [NotObservedError(doubt) for doubt in index.doubts]
    for source in index.sources:
        found += [_of_source(source, f"{source.name}: {fault}") for fault in _faults(source, now)]
    for source in index.sources:
        if source.dated is None or source.valid_until is not None or source.closed:
            continue
        text = f"{source.name}: its index is itself {_days(now - source.dated)} old"
        if now - source.dated > _OLD_INDEX:
            found.append(_of_source(source, f"{text}; updates fail"))
        elif now - source.dated > limit + _SLACK:
            found.append(
                NotObservedError(f"{text}: the last update may have been of other sources alone")
            )
    return found


def _of_index(index: PackageIndex, text: str) -> FindingError:
    about = {"manager": index.manager, "updated_at": index.updated_at, "fault": text}
    return FindingError(text, {"droplet_package_index": [about]})


def _of_source(source: PackageSource, text: str) -> FindingError:
    return FindingError(text, {"droplet_package_index": [source.details]})


def _faults(source: PackageSource, now: datetime) -> list[str]:
    if not source.fetched:
        return ["enabled, but its index was never fetched"]
    if source.pinned:
        return [f"pinned to an archive that is not updated any more, {source.pinned}"]
    if source.valid_until is not None and source.valid_until < now:
        return [f"its index was valid until {source.valid_until:%Y-%m-%d}"]
    return []


def _days(span: timedelta) -> str:
    return f"{span.days} days"
