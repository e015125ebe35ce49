"""Checks of the operating system: its release is supported (the guide's recommendation 4)."""

from __future__ import annotations

from datetime import datetime, timedelta

from pytest_droplet.catalogue import check
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.os.lifecycle import ReleaseSupport
from pytest_droplet.facts.os.point_release import PointRelease
from pytest_droplet.model import NotObservedError, fail, not_applicable
from pytest_droplet.settings import Settings
from pytest_droplet.tables import DISTRIBUTIONS

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, 4: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_EOL = "https://endoflife.date/"
_NEAR = timedelta(days=90)
_OLD_TABLE = timedelta(days=365)


@check(
    "os.distribution-supported",
    severity="low",
    profile="droplet",
    guide=4,
    references=f"{_GUIDE}; https://docs.digitalocean.com/products/droplets/details/images/",
)
def test_distribution_is_one_that_digitalocean_supports(droplet_os_release: OsRelease) -> None:
    """The distribution is one that DigitalOcean supports.

    The host tells what runs now; the API tells what the Droplet was created from. ``ID_LIKE`` is
    not looked at: a derivative has archives and dates of its own.

    Finding:
        DigitalOcean does not support this distribution.

    Rationale:
        For Ubuntu, Debian, AlmaLinux, Rocky Linux, Fedora and CentOS the dates of support and
        the sources of security updates are known. Nothing can be said of another.

    Remediation:
        Move the service to a new Droplet of one of these distributions; there is no safe way to
        change the distribution in place.
    """
    ids = {known.id for known in DISTRIBUTIONS}
    if droplet_os_release.id not in ids:
        raise NotObservedError(
            f"ID={droplet_os_release.id} is none of {', '.join(sorted(ids))}:"
            " there is no data to judge it by"
        )


@check(
    "os.release-supported",
    severity="critical",
    profile="droplet",
    guide=4,
    references=f"{_GUIDE}; {_EOL}",
)
def test_release_still_gets_security_updates(
    droplet_release_support: ReleaseSupport, droplet_now: datetime
) -> None:
    """The release still gets security updates.

    Debian LTS counts where the security archive is enabled, Ubuntu's ESM where the host is
    attached to Ubuntu Pro with esm-infra. Dates are of the table that the package brings.

    Finding:
        The release gets no security updates any more.

    Rationale:
        After its end a release gets no fix, however grave the flaw: a host can be fully updated
        and still be open to everything that was found since.

    Remediation:
        Back up first, then upgrade the release: Ubuntu with ``do-release-upgrade``; Debian by
        new suites in ``/etc/apt/sources.list*`` and ``apt full-upgrade``; Fedora with
        ``dnf system-upgrade``; AlmaLinux with ``elevate``, Rocky Linux by a new Droplet.
        CentOS Linux has no release left: move to another distribution.
    """
    support, today = droplet_release_support, droplet_now.date()
    remark = f" ({support.remark})" if support.remark else ""
    if today > support.until:
        fail(
            f"{support.name}: {support.phase} ended {support.until}{remark}; it gets no updates",
            droplet_release_support=[support],
        )
    as_of = support.as_of
    if as_of is not None and today - as_of > _OLD_TABLE and support.until - today < _NEAR:
        raise NotObservedError(
            f"{support.name}: {support.phase} ends {support.until} by a table of {as_of}, which"
            " is over a year old; update pytest-droplet"
        )


@check(
    "os.release-eol-not-near",
    severity="low",
    profile="extended",
    guide=4,
    references=f"{_GUIDE}; {_EOL}",
    depends_on=("os.release-supported",),
)
def test_end_of_support_is_not_near(
    droplet_release_support: ReleaseSupport, droplet_settings: Settings, droplet_now: datetime
) -> None:
    """The end of security updates is at least 90 days away.

    The setting ``eol_min_days`` has another number of days.

    Finding:
        Security updates for the release end soon.

    Rationale:
        An upgrade of the release takes planning, a test and a window. Three months are little.

    Remediation:
        Plan the upgrade now, try it on a Droplet made from a snapshot, and have a backup:
        ``do-release-upgrade`` (Ubuntu), new suites and ``apt full-upgrade`` (Debian),
        ``dnf system-upgrade`` (Fedora), a new Droplet (AlmaLinux, Rocky Linux, CentOS Stream).
    """
    support, least = droplet_release_support, droplet_settings.eol_min_days
    left = (support.until - droplet_now.date()).days
    if left < least:
        fail(
            f"{support.name}: {support.phase} ends {support.until}, in {left} days; wanted are"
            f" {least}",
            droplet_release_support=[support],
        )


@check(
    "os.point-release-current",
    severity="medium",
    profile="droplet",
    guide=4,
    references=f"{_GUIDE}; {_EOL}",
)
def test_newest_point_release_is_installed(droplet_point_release: PointRelease) -> None:
    """The newest minor or point release is installed.

    Judged for AlmaLinux, Rocky Linux and Debian; other distributions have no such releases. On
    Debian an older point release counts only where updates wait: the number alone lags behind.

    Finding:
        A newer minor or point release is out.

    Rationale:
        A minor release of AlmaLinux or Rocky Linux gets nothing any more on the day when the
        next one is out. A host that is pinned to it sees no waiting update at all.

    Remediation:
        Debian: ``apt update && apt full-upgrade``. AlmaLinux, Rocky Linux: take out a pinned
        ``releasever`` (``/etc/dnf/vars/releasever``) and repositories of the vault, then
        ``dnf upgrade --refresh``.
    """
    point = droplet_point_release
    if point.latest is None:
        not_applicable(f"{point.name} has no point releases")
    if point.outdated:
        more = f" and {point.waiting} updates wait" if point.waiting else ""
        fail(
            f"{point.name} is at {point.installed}; {point.latest} is out{more}",
            droplet_point_release=[point],
        )
