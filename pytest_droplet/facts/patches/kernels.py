"""The running kernel against the newest installed one, and what else waits for a reboot.

rpm is asked as nobody: as root it would touch its database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.kernel import Kernel
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.facts.patches.versions import dpkg_key, rpm_key
from pytest_droplet.model import Item, NotObservedError, Section, SectionOutput
from pytest_droplet.text import one_line

KERNELS = Section.of_files("facts/patches/kernels.sh", address_space_mb=1024)
REBOOT = Section.of_files("facts/patches/reboot.sh", address_space_mb=1024)

_DPKG_IMAGE = re.compile(r"[a-z]i\S* +linux-image-(?:unsigned-)?([0-9]\S*?)(?:-unsigned)? (\S+)")
_RELEASE = re.compile(r"([0-9].*?)-((?!rc[0-9])[a-z].*)")
_DEBIAN_BUILD = re.compile(r"\bDebian (\S+)")
_UBUNTU_BUILD = re.compile(r"^Ubuntu (\S+) ", re.MULTILINE)
_RPM_KERNEL = re.compile(r"(kernel[0-9.]*((?:-(?:uek|rt|64k|16k|debug|lt|ml|core))*)) (\S+)")
_VENDORS = frozenset({"core", "uek", "lt", "ml"})
_DPKG_LINE = re.compile(r"[a-z]{2}\S* +linux-image\S* \S*|Ubuntu \S+ .*")
_RPM_LINE = re.compile(r"kernel\S* \S+")
_CORE_LINE = re.compile(r"\S+ [0-9]{1,11}|package \S+ is not installed")
_INSTALLED_AT = re.compile(r"(\S+) ([0-9]{1,11})")


class _Image(NamedTuple):
    """An installed kernel: ``release`` as ``uname -r`` says it, ``version`` of the package."""

    package: str
    release: str
    version: str
    flavour: str


@dataclass(frozen=True, slots=True)
class InstalledKernels:
    """The running kernel and the newest installed one of its flavour."""

    running: str
    newest: str
    current: bool

    @property
    def details(self) -> Item:
        """The two releases."""
        return {"running": self.running, "newest": self.newest}

    def __str__(self) -> str:
        return one_line(f"running {self.running}, newest installed {self.newest}")


@dataclass(frozen=True, slots=True)
class PendingReboot:
    """What asks for a reboot: the flag of Debian's tools, or core packages newer than the boot.

    ``packages`` are those that set the flag, or those newer; ``flagged`` is False on RPM hosts.
    """

    flagged: bool
    packages: tuple[str, ...]
    booted_at: datetime

    @property
    def details(self) -> Item:
        """Packages, whether a flag asks for it, and the boot."""
        return {
            "packages": list(self.packages),
            "flagged": self.flagged,
            "booted_at": self.booted_at,
        }

    @property
    def needed(self) -> bool:
        """Whether anything asks for one."""
        return self.flagged or bool(self.packages)

    def __str__(self) -> str:
        booted = f"booted {self.booted_at:%Y-%m-%d %H:%M} UTC"
        if not self.needed:
            return f"{booted}, no flag and no newer core package"
        what = "/run/reboot-required" if self.flagged else "newer core packages"
        return one_line(f"{booted}, {what}: {', '.join(self.packages) or 'no package named'}")


@fact("uname -rv; dpkg-query -W 'linux-image-*'; rpm -qa 'kernel*'", sections=(KERNELS,))
def droplet_installed_kernels(
    observation: Observation, droplet_kernel: Kernel
) -> InstalledKernels:
    """Return the running kernel and the newest one installed.

    Raises:
        NotObservedError: The running kernel is of no package, so none can be newer; or the
            Droplet boots one from outside.
    """
    if observation.droplet.kernel is not None:
        observation.source = "GET /v2/droplets"
        raise NotObservedError(
            f"the Droplet boots a kernel from outside, {one_line(observation.droplet.kernel)}"
        )
    section = observation.section(KERNELS.name)
    if section.stdout.startswith("== dpkg\n"):
        observation.source = "uname -rv; dpkg-query -W 'linux-image-*'"
    elif section.stdout.startswith("== rpm\n"):
        observation.source = "uname -rv; rpm -qa 'kernel*'"
    output = whole(section)
    if output.stdout.startswith("== dpkg\n"):
        return parse_dpkg_kernels(output, droplet_kernel)
    if output.stdout.startswith("== rpm\n"):
        return parse_rpm_kernels(output, droplet_kernel)
    raise NotObservedError(f"unexpected answer: {one_line(output.stdout, 60) or 'empty'}")


@fact("cat /run/reboot-required; rpm -q glibc systemd ...", sections=(REBOOT,))
def droplet_pending_reboot(observation: Observation, droplet_kernel: Kernel) -> PendingReboot:
    """Return what asks for a reboot; not by ``needs-restarting``, which is wrong too often."""
    section = observation.section(REBOOT.name)
    if section.stdout.startswith("== dpkg\n"):
        observation.source = "cat /run/reboot-required"
    elif section.stdout.startswith("== rpm\n"):
        observation.source = "rpm -q glibc systemd ..."
    return parse_reboot(whole(section), droplet_kernel.booted_at)


def parse_dpkg_kernels(output: SectionOutput, kernel: Kernel) -> InstalledKernels:
    """Parse dpkg-query's ``STATUS PACKAGE VERSION`` and Ubuntu's ``/proc/version_signature``.

    The running kernel is the newest if neither the name of its release nor its build differs:
    a rebuild may keep the name.

    Raises:
        NotObservedError: No package has the flavour of the running kernel, or its build is not
            told.
    """
    release = _RELEASE.fullmatch(kernel.release)
    _all_like(output, _DPKG_LINE)
    images = [
        _Image(f"linux-image-{found[1]}", found[1], found[2], flavour[2])
        for line in output.stdout.splitlines()
        if (found := _DPKG_IMAGE.fullmatch(line.strip()))
        and (flavour := _RELEASE.fullmatch(found[1]))
    ]
    same = [image for image in images if release and image.flavour == release[2]]
    if release is None or not same:
        raise NotObservedError(f"the running kernel {kernel.release} is of no installed package")
    newest = max(same, key=lambda image: dpkg_key(image.version))
    named = f"{newest.release} ({newest.version})"
    if newest.release != kernel.release:
        return InstalledKernels(kernel.release, named, current=False)
    if signature := _UBUNTU_BUILD.search(output.stdout):
        build = signature[1].removesuffix(f"-{release[2]}")
    elif signature := _DEBIAN_BUILD.search(kernel.version):
        build = signature[1]
    else:
        raise NotObservedError(f"the build of the running kernel {kernel.release} is not told")
    return InstalledKernels(f"{kernel.release} ({build})", named, build == newest.version)


def parse_rpm_kernels(output: SectionOutput, kernel: Kernel) -> InstalledKernels:
    """Parse rpm's ``NAME VERSION-RELEASE.ARCH`` of the packages ``kernel*``.

    Raises:
        NotObservedError: rpm reported an error, or no package is a kernel of this flavour.
    """
    _no_rpm_error(output)
    _all_like(output, _RPM_LINE)
    release, _, suffix = kernel.release.partition("+")
    images = [image for image in _rpm_images(output.stdout) if image.flavour == suffix]
    running = {image.package for image in images if image.version == release}
    candidates = [i for i in images if not running or i.package in running]
    if not candidates:
        raise NotObservedError(f"the running kernel {kernel.release} is of no installed package")
    newest = max((i.version for i in candidates), key=rpm_key)
    return InstalledKernels(kernel.release, newest, newest == release)


def _rpm_images(text: str) -> Iterator[_Image]:
    for line in text.splitlines():
        if found := _RPM_KERNEL.fullmatch(line.strip()):
            flavour = [word for word in found[2].split("-") if word and word not in _VENDORS]
            yield _Image(found[1], found[3], found[3], "-".join(flavour))


def parse_reboot(output: SectionOutput, booted_at: datetime) -> PendingReboot:
    """Parse Debian's flag and its packages, or rpm's ``NAME INSTALLTIME`` of core packages.

    Raises:
        NotObservedError: rpm reported an error or named no core package.
    """
    head, *lines = output.stdout.splitlines() or [""]
    if head == "== dpkg":
        if lines and lines[0] != "required":
            raise garbled(lines[0])
        packages = tuple(dict.fromkeys(one_line(line, 80) for line in lines[1:]))
        return PendingReboot(lines[:1] == ["required"], packages, booted_at)
    if head != "== rpm":
        raise NotObservedError(f"unexpected answer: {one_line(output.stdout, 60) or 'empty'}")
    _no_rpm_error(output)
    _all_like(output, _CORE_LINE)
    installed = {
        found[1]: datetime.fromtimestamp(int(found[2]), UTC)
        for line in lines
        if (found := _INSTALLED_AT.fullmatch(line.strip()))
    }
    if not installed:
        raise NotObservedError("rpm names none of the core packages")
    newer = tuple(sorted(name for name, when in installed.items() if when > booted_at))
    return PendingReboot(flagged=False, packages=newer, booted_at=booted_at)


def _all_like(output: SectionOutput, form: re.Pattern[str]) -> None:
    """Make sure that each line behind the head has its form (NotObservedError)."""
    for line in output.stdout.splitlines()[1:]:
        if line.strip() and not form.fullmatch(line):
            raise garbled(line)


def _no_rpm_error(output: SectionOutput) -> None:
    if output.stderr.strip():
        raise NotObservedError(one_line(output.stderr))
