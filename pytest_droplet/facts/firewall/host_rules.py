"""The rules that the kernel of the host has: nft's, and those of both iptables.

Whoever made them, these decide. iptables on top of nftables has conditions that nft cannot name;
its tables are read with iptables-nft-save instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.firewall.iptables import parse_saves
from pytest_droplet.facts.firewall.nftables import parse_ruleset
from pytest_droplet.facts.firewall.packet_filter import Hook, inward, share_changes
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.masks import rule_comments
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.text import one_line

NFT = Section.of_files(
    "facts/firewall/nft.sh", root=True, address_space_mb=1024, mask=rule_comments
)
IPTABLES = Section.of_files(
    "facts/firewall/iptables.sh", root=True, address_space_mb=1024, mask=rule_comments
)

_ABSENT = 127
_KILLED = 128
_PART = re.compile(r"^== (nft|legacy)(6?)\n(.*?)^rc=([0-9]{1,3})\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class HostRules:
    """The chains that packets pass: which come in, and which the host itself sends (outward)."""

    hooks: tuple[Hook, ...] = field(default=(), repr=False)
    outward: tuple[Hook, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, hooks: Iterable[Hook]) -> HostRules:
        """Divide chains by their places; each gets to know which rules change its packets."""
        known = share_changes(hooks)
        return cls(inward(known), tuple(hook for hook in known if hook.is_outward))

    @property
    def input_filters(self) -> tuple[Hook, ...]:
        """The chains of type filter that packets for the host pass."""
        return tuple(h for h in self.hooks if h.place == "input" and not h.translates)

    def __str__(self) -> str:
        return one_line(", ".join(hook.label for hook in self.hooks) or "no chain")


@fact("nft -j list ruleset; iptables-save", sections=(NFT, IPTABLES))
def droplet_host_rules(observation: Observation) -> HostRules:
    """Return the rules that the kernel of the host has."""
    return parse_rules(observation.section(NFT.name), observation.section(IPTABLES.name))


def parse_rules(nft: SectionOutput, iptables: SectionOutput) -> HostRules:
    """Return the chains that packets pass, of nftables and of both iptables.

    Raises:
        NotObservedError: A tool is absent whose rules the kernel has, or its answer is not as
            expected.
    """
    saved: dict[str, Hook] = {}
    legacy: list[Hook] = []
    if other := _PART.sub("", whole(iptables).stdout).strip():
        raise NotObservedError(f"unexpected answer of iptables-save: {one_line(other, 80)}")
    for kind, six, text, code in _PART.findall(iptables.stdout):
        hooks = parse_saves(text, 6 if six else 4) if code == "0" else ()
        if kind == "nft" and int(code) > _KILLED:
            raise NotObservedError(f"ip{six}tables-nft-save was killed (status {code})")
        if kind == "nft":
            saved |= {hook.label: hook for hook in hooks}
        elif code == "0":
            legacy += [replace(hook, label=f"{hook.label} (legacy)") for hook in hooks]
        else:
            raise NotObservedError(
                "the kernel has rules of iptables-legacy, and its save could not read them:"
                f" {one_line(iptables.stderr) or f'status {code}'}"
            )
    if nft.stdout.strip() == "absent":
        return HostRules.of(legacy)
    if nft.rc == _ABSENT and not nft.stdout.strip() and saved:
        return HostRules.of((*saved.values(), *legacy))
    if nft.rc != 0:
        raise NotObservedError(one_line(nft.stderr) or f"nft ended with status {nft.rc}")
    rules = parse_ruleset(nft.stdout)
    known = (_by_iptables(hook, saved.get(hook.label)) for hook in rules)
    return HostRules.of((*known, *legacy))


def _by_iptables(hook: Hook, saved: Hook | None) -> Hook:
    """Return a chain as iptables reads it, which knows all conditions of the rules it wrote."""
    return hook if saved is None or hook.native else replace(saved, doubt=hook.doubt)
