"""Waiting updates and the package index, by whichever package manager the distribution has."""

from __future__ import annotations

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.os_release import OS
from pytest_droplet.facts.patches import apt, dnf
from pytest_droplet.facts.patches.apt_policy import APT_POLICY
from pytest_droplet.facts.patches.packages import PackageIndex, PendingUpdates, manager_of


@fact(
    "apt-get -s dist-upgrade; apt list --upgradable; dnf -C check-update",
    sections=(OS, apt.APT, APT_POLICY, dnf.DNF, dnf.DNF_INDEX),
)
def droplet_pending_updates(observation: Observation) -> PendingUpdates:
    """Return the updates that wait, by the index that the host has; nothing is fetched."""
    os = observation.fact("droplet_os_release")
    if manager_of(os) == "apt":
        return apt.pending_updates(observation)
    return dnf.pending_updates(observation, os)


@fact(
    "ls /var/lib/apt/lists; cat /etc/apt/sources.list*; apt-cache policy; ls /var/cache/dnf;"
    " cat /etc/yum.repos.d/*",
    sections=(OS, apt.APT_SOURCES, apt.APT_INDEX, APT_POLICY, dnf.DNF_INDEX),
)
def droplet_package_index(observation: Observation) -> PackageIndex:
    """Return when the index was updated and which sources of security updates are enabled."""
    os = observation.fact("droplet_os_release")
    if manager_of(os) == "apt":
        return apt.package_index(observation, os)
    return dnf.package_index(observation, os)
