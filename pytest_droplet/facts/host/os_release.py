"""The distribution and its release, and Ubuntu Pro where it extends the support."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.model import NotObservedError, Section
from pytest_droplet.text import one_line

OS = Section.of_files("facts/host/os.sh")
DEBIAN_VERSION = Section.of_files("facts/host/debian_version.sh")
UBUNTU_PRO = Section.of_files("facts/host/ubuntu_pro.sh")

_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")


@dataclass(frozen=True, slots=True)
class OsRelease:
    """The fields of os-release(5) that tell one release from another; empty where absent.

    ``support_end`` is what the distribution wrote into the file when the package was built: it
    goes stale in both directions.
    """

    id: str
    version_id: str = ""
    name: str = ""
    pretty_name: str = ""
    codename: str = ""
    support_end: date | None = None

    @property
    def major(self) -> str:
        """The part of the version before the first dot."""
        return self.version_id.partition(".")[0]

    def __str__(self) -> str:
        return one_line(f"{self.pretty_name or self.name} (ID={self.id} {self.version_id})")


@dataclass(frozen=True, slots=True)
class UbuntuPro:
    """Whether the host is attached to Ubuntu Pro, and the status of its services by name."""

    attached: bool
    services: Mapping[str, str] = field(default_factory=dict)

    @property
    def esm_infra(self) -> bool:
        """Whether the packages of the base system get extended security maintenance."""
        return self.attached and self.services.get("esm-infra") == "enabled"

    def __str__(self) -> str:
        if not self.attached:
            return "not attached to Ubuntu Pro"
        return one_line(f"attached, esm-infra {self.services.get('esm-infra', 'not listed')}")


@fact("cat /etc/os-release", sections=(OS,))
def droplet_os_release(observation: Observation) -> OsRelease:
    """Return the distribution and release that the host itself names."""
    return parse_os_release(whole(observation.section(OS.name)).stdout)


@fact("cat /etc/debian_version", sections=(DEBIAN_VERSION,))
def droplet_debian_version(observation: Observation) -> str:
    """Return Debian's point release, ``12.15``; ``trixie/sid`` before a release."""
    text = whole(observation.section(DEBIAN_VERSION.name)).stdout
    if not text.strip():
        raise NotObservedError("the file is empty")
    return one_line(text, 40)


@fact("cat /var/lib/ubuntu-advantage/status.json", sections=(UBUNTU_PRO,))
def droplet_ubuntu_pro(observation: Observation) -> UbuntuPro:
    """Return the state of Ubuntu Pro: never by ``pro status``, which may go to the network."""
    return parse_ubuntu_pro(whole(observation.section(UBUNTU_PRO.name)).stdout)


def parse_os_release(text: str) -> OsRelease:
    """Parse os-release(5): ``NAME=value`` lines, quoted as in the shell; the last one counts.

    Raises:
        NotObservedError: There is no ``ID``.
    """
    values: dict[str, str] = {}
    for line in text.splitlines():
        if found := _LINE.fullmatch(line.strip()):
            values[found[1]] = one_line(_unquoted(found[2]))
    if not values.get("ID"):
        raise NotObservedError("os-release names no ID")
    return OsRelease(
        id=values["ID"],
        version_id=values.get("VERSION_ID", ""),
        name=values.get("NAME", ""),
        pretty_name=values.get("PRETTY_NAME", ""),
        codename=values.get("VERSION_CODENAME", ""),
        support_end=_date(values.get("SUPPORT_END", "")),
    )


def parse_ubuntu_pro(text: str) -> UbuntuPro:
    """Parse the status that Ubuntu Pro's client keeps; ``{}`` stands for no such file.

    Raises:
        NotObservedError: It is not the JSON that the client writes.
    """
    try:
        status: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise NotObservedError("status.json is not JSON") from None
    services = status.get("services", []) if isinstance(status, dict) else None
    if not isinstance(services, list):
        raise NotObservedError("status.json is not what Ubuntu Pro's client writes")
    return UbuntuPro(
        attached=status.get("attached") is True,
        services={
            str(s.get("name")): str(s.get("status")) for s in services if isinstance(s, dict)
        },
    )


def _unquoted(text: str) -> str:
    try:
        return " ".join(shlex.split(text))
    except ValueError:
        return text


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
