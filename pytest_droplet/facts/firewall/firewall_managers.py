"""Who brings the host's firewall back after a reboot, and whether there is one now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.firewall.host_rules import HostRules
from pytest_droplet.facts.firewall.nft_text import included_paths
from pytest_droplet.facts.host.units import Units
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.model import NotObservedError, Reading, Section
from pytest_droplet.text import one_line

FIREWALL_FILES = Section.of_files("facts/firewall/firewall_files.sh")

_INCLUDE = re.compile(r"""include\s+["']([^"']+)["']""")
_NFT_LINE = re.compile(r"^\s*include\s|hook\s+input")
_KNOWN_HEAD = re.compile(r"\s*(module |ENABLED=|== |!! |\Z)")
STARTED_WITH = ("/etc/sysconfig/nftables.conf", "/etc/nftables.conf")
"""What nftables.service loads: the package of Red Hat brings the first, Debian's the second."""


@dataclass(frozen=True, slots=True)
class FirewallManager:
    """Whether the host has a firewall now, and what brings it back after a reboot.

    ``active`` are the chains that filter input over IPv4, those of other programs left out.
    ``enabled`` are the managers that come up at boot with rules; ``idle`` says why the others do
    not.
    """

    active: tuple[str, ...]
    enabled: tuple[str, ...]
    idle: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The units that come up at boot with rules."""
        return tuple(text.partition(" ")[0] for text in self.enabled)

    def __str__(self) -> str:
        now = ", ".join(self.active) or "no chain filters input"
        boot = ", ".join(self.enabled) or "nothing restores it at boot"
        return one_line(f"{now}; {boot}{''.join(f'; {text}' for text in self.idle)}")


@dataclass(frozen=True, slots=True)
class FirewallFiles:
    """What the files say: kernel modules there, ufw's switch, nftables files with an input hook."""

    modules: frozenset[str]
    ufw_enabled: bool
    nftables: bool


def _row(manager: FirewallManager) -> Mapping[str, Any]:
    return {"active": list(manager.active), "enabled": list(manager.enabled)}


@fact(
    "nft -j list ruleset; systemctl show ufw firewalld nftables; cat /etc/ufw/ufw.conf",
    sections=(FIREWALL_FILES,),
    row=_row,
)
def droplet_firewall_manager(
    observation: Observation,
    droplet_units: Units,
    droplet_host_rules: Reading[HostRules],
) -> FirewallManager:
    """Return what filters input now and what brings it back.

    Without root no rule can be read, but a kernel of the distribution without any module for
    them has none.
    """
    output = whole(observation.section(FIREWALL_FILES.name))
    if not _KNOWN_HEAD.match(output.stdout):
        raise NotObservedError("the firewall's files could not be read")
    files = parse_firewall_files(output.stdout)
    if droplet_host_rules.missing is not None and files.modules:
        raise NotObservedError(droplet_host_rules.missing)
    hooks = droplet_host_rules.value.input_filters if droplet_host_rules.value else ()
    if hooks and not files.modules:
        raise NotObservedError("rules without a module for them: the answer is not whole")
    filtering = [hook for hook in hooks if 4 in hook.versions and hook.is_filter]
    active = tuple(hook.label for hook in filtering if not hook.doubt)
    if filtering and not active:
        raise NotObservedError(filtering[0].doubt)
    enabled, idle = _managers(droplet_units, files)
    return FirewallManager(active, enabled, idle)


def parse_firewall_files(text: str) -> FirewallFiles:
    """Parse ``module NAME``, ufw's ``ENABLED=`` and, after ``== PATH``, lines of nftables files.

    Files that are not included from those that nftables.service loads do not count.
    """
    modules, ufw = set[str](), False
    lines: dict[str, list[str]] = {}
    path = ""
    for line in text.splitlines():
        if line.startswith("== "):
            path = line[3:].strip()
            lines[path] = []
        elif path and _NFT_LINE.search(line):
            lines[path].append(line.partition("#")[0])
        elif line.startswith("module "):
            modules.add(line[7:].strip())
        elif line.startswith("ENABLED="):
            ufw = line[8:].strip().strip("\"'").lower() == "yes"
        elif line.strip():
            raise garbled(line)
    return FirewallFiles(frozenset(modules), ufw, _has_input_hook(lines))


def _has_input_hook(lines: Mapping[str, list[str]]) -> bool:
    """Whether what nftables.service loads may filter input; what was not read may."""
    todo = [path for path in STARTED_WITH if path in lines][:1]
    seen = set[str]()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for line in lines[path]:
            if included := _INCLUDE.search(line):
                try:
                    todo += included_paths(lines, included[1])
                except NotObservedError:
                    return True
            elif "hook" in line:
                return True
    return False


def _managers(units: Units, files: FirewallFiles) -> tuple[tuple[str, ...], tuple[str, ...]]:
    enabled, idle = [], []
    for name, has_rules, why_not in (
        ("ufw.service", files.ufw_enabled, "ENABLED is not yes in /etc/ufw/ufw.conf"),
        ("firewalld.service", True, ""),
        ("nftables.service", files.nftables, "no file that it loads has an input hook"),
        ("netfilter-persistent.service", True, ""),
        ("iptables.service", True, ""),
    ):
        if units[name].is_enabled and has_rules:
            enabled.append(f"{name} is enabled")
        elif units[name].is_enabled:
            idle.append(f"{name} is enabled, but {why_not}")
    return tuple(enabled), tuple(idle)
