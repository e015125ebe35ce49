"""The fact that this site needs and that pytest-droplet does not have: the swap areas."""

from dataclasses import dataclass

from pytest_droplet import NotObservedError, fact
from pytest_droplet.facts import Observation
from pytest_droplet.model import Section

SWAPS = Section("site_swaps", "cat /proc/swaps")


@dataclass(frozen=True)
class Swaps:
    """The paths of the swap areas in use."""

    paths: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.paths) or "no swap"


@fact("cat /proc/swaps", sections=(SWAPS,))
def droplet_swaps(observation: Observation) -> Swaps:
    """The swap areas in use."""
    return parse_swaps(observation.section(SWAPS.name).stdout)


def parse_swaps(text: str) -> Swaps:
    """Parse /proc/swaps: a line of headings, then a line for each area."""
    heading, *lines = text.splitlines() or [""]
    if not heading.startswith("Filename"):
        raise NotObservedError("/proc/swaps has no heading")
    return Swaps(tuple(line.split()[0] for line in lines if line.strip()))
