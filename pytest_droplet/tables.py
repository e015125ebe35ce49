"""Tables that several rooms read: the distributions that are known, and the verdicts.

A new distribution or a new verdict is a row here; facts, writers and the page read the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pytest_droplet.words import Outcome

State = Literal["met", "not-met", "not-told", "not-there"]
"""What a verdict says of the check's claim; ``not-there``: what it is about does not exist."""


@dataclass(frozen=True, slots=True)
class PackageManager:
    """What installs packages.

    Attributes:
        name: ``apt`` or ``dnf``.
    """

    name: Literal["apt", "dnf"]


APT = PackageManager("apt")
DNF = PackageManager("dnf")


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution whose releases and archives are known.

    Attributes:
        id: ``ID`` of os-release(5).
        word: Its name for people.
        product: Its name in ``data/endoflife.json``, and at endoflife.date.
        manager: What installs its packages.
        variant: A word that ``NAME`` has, where two distributions share an id; empty: any other.
        slug: What its images at DigitalOcean begin with, where that is not the product.
        full_version: Whether a release is known by the whole ``VERSION_ID``, such as 24.04, and
            not by its major part.
        point_release: Where the installed minor or point release stands: ``VERSION_ID``, or the
            path of a file; empty: it has no such releases.
        repositories: Those of dnf that updates of the base system come from.
        labels_security: Whether its archives tell security updates from others.
    """

    id: str
    word: str
    product: str
    manager: PackageManager
    variant: str = ""
    slug: str = ""
    full_version: bool = False
    point_release: str = ""
    repositories: tuple[str, ...] = ("baseos", "appstream")
    labels_security: bool = True


DISTRIBUTIONS = (
    Distribution("ubuntu", "Ubuntu", "ubuntu", APT, full_version=True),
    Distribution(
        "debian",
        "Debian",
        "debian",
        APT,
        full_version=True,
        point_release="/etc/debian_version",
    ),
    Distribution("almalinux", "AlmaLinux", "almalinux", DNF, point_release="VERSION_ID"),
    Distribution(
        "rocky", "Rocky Linux", "rocky-linux", DNF, slug="rockylinux", point_release="VERSION_ID"
    ),
    Distribution("fedora", "Fedora", "fedora", DNF, full_version=True, repositories=("updates",)),
    Distribution(
        "centos",
        "CentOS Stream",
        "centos-stream",
        DNF,
        variant="Stream",
        labels_security=False,
    ),
    Distribution("centos", "CentOS Linux", "centos", DNF, labels_security=False),
)


def distribution_of(os_id: str, name: str = "") -> Distribution | None:
    """Return the distribution of ``ID`` and ``NAME`` in os-release(5); None: it is not known.

    ``ID_LIKE`` is not looked at: other archives, other dates.
    """
    same = (known for known in DISTRIBUTIONS if known.id == os_id)
    return next((known for known in same if known.variant in name), None)


@dataclass(frozen=True, slots=True)
class VerdictKind:
    """One of the verdicts that a check can come to.

    Attributes:
        name: As the record has it.
        word: Behind a number: 12 passed.
        letter: In the data of the page.
        mark: In the page's picture of the fleet.
        short: Its name in the page.
        several: Before the number of Droplets: fails on 3.
        order: 0 is the worst, where one verdict stands for several.
        open: Whether somebody has to look at it.
        state: What it says of the check's claim.
        outcome: What pytest calls it.
        phase: The phase of the test whose report pytest shows it in; setup makes it an ERROR.
        colour: On the terminal; empty: none.
    """

    name: Outcome
    word: str
    letter: str
    mark: str
    short: str
    several: str
    order: int
    open: bool
    state: State
    outcome: Literal["passed", "failed", "skipped"]
    phase: Literal["setup", "call"]
    colour: str = ""


_KINDS = (
    VerdictKind(
        name="fail",
        word="failed",
        letter="f",
        mark="F",
        short="fail",
        several="fails on",
        order=0,
        open=True,
        state="not-met",
        outcome="failed",
        phase="call",
        colour="red",
    ),
    VerdictKind(
        name="error",
        word="broken",
        letter="e",
        mark="!",
        short="error",
        several="broke on",
        order=1,
        open=True,
        state="not-told",
        outcome="failed",
        phase="setup",
        colour="red",
    ),
    VerdictKind(
        name="unknown",
        word="unknown",
        letter="u",
        mark="?",
        short="unknown",
        several="unknown on",
        order=2,
        open=True,
        state="not-told",
        outcome="failed",
        phase="setup",
        colour="yellow",
    ),
    VerdictKind(
        name="waived",
        word="waived",
        letter="w",
        mark="W",
        short="waived",
        several="waived on",
        order=3,
        open=False,
        state="not-met",
        outcome="skipped",
        phase="call",
    ),
    VerdictKind(
        name="pass",
        word="passed",
        letter="p",
        mark="",
        short="pass",
        several="holds on",
        order=5,
        open=False,
        state="met",
        outcome="passed",
        phase="call",
    ),
    VerdictKind(
        name="notapplicable",
        word="not applicable",
        letter="n",
        mark="\N{EN DASH}",
        short="n/a",
        several="not applicable on",
        order=4,
        open=False,
        state="not-there",
        outcome="skipped",
        phase="call",
    ),
)
RECOMMENDATIONS = MappingProxyType(
    {
        1: "1. Backups are enabled",
        2: "2. A firewall is there and has rules",
        3: "3. Droplets are connected to the firewall",
        4: "4. The operating system's release is supported",
        5: "5. The operating system is patched",
        6: "6. The audit daemon is enabled",
        7: "7. Only SSH keys are used to log in",
        8: "8. SSH keys that nobody uses are deleted",
        9: "9 and 10. Apache and nginx have TLS certificates",
    }
)
"""The recommendations of DigitalOcean's hardening guide, by the number that their checks name."""

VERDICTS = MappingProxyType({kind.name: kind for kind in _KINDS})
"""The verdicts by name, in the order in which they are listed and counted."""

OPEN = frozenset(kind.name for kind in _KINDS if kind.open)
"""The verdicts that somebody has to look at."""
