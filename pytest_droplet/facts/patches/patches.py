"""Waiting updates and the package index, by whichever package manager the distribution has."""

from __future__ import annotations

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.patches import apt, dnf
from pytest_droplet.facts.patches.apt_policy import APT_POLICY
from pytest_droplet.facts.patches.packages import PackageIndex, PendingUpdates, distribution
from pytest_droplet.tables import APT


@fact(
    "apt-get -s dist-upgrade; apt list --upgradable; dnf -C check-update",
    sections=(apt.APT, APT_POLICY, dnf.DNF, dnf.DNF_INDEX),
    items=lambda pending: [update.details for update in pending.updates],
)
def droplet_pending_updates(
    observation: Observation, droplet_os_release: OsRelease
) -> PendingUpdates:
    """Return the updates that wait, by the index that the host has; nothing is fetched."""
    if distribution(droplet_os_release).manager is APT:
        observation.source = "apt-get -s dist-upgrade; apt list --upgradable"
        return apt.pending_updates(observation)
    observation.source = "dnf -C check-update"
    return dnf.pending_updates(observation, droplet_os_release)


@fact(
    "ls /var/lib/apt/lists; cat /etc/apt/sources.list*; apt-cache policy; ls /var/cache/dnf;"
    " cat /etc/yum.repos.d/*",
    sections=(apt.APT_SOURCES, apt.APT_INDEX, APT_POLICY, dnf.DNF_INDEX),
    items=lambda index: [source.details for source in index.sources],
)
def droplet_package_index(observation: Observation, droplet_os_release: OsRelease) -> PackageIndex:
    """Return when the index was updated and which sources of security updates are enabled."""
    if distribution(droplet_os_release).manager is APT:
        observation.source = "ls /var/lib/apt/lists; cat /etc/apt/sources.list*; apt-cache policy"
        return apt.package_index(observation, droplet_os_release)
    observation.source = "ls /var/cache/dnf; cat /etc/yum.repos.d/*"
    return dnf.package_index(observation, droplet_os_release)
