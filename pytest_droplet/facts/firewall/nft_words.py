"""The words of nft's rules, and what :mod:`pytest_droplet.facts.firewall.nftables` makes of each.

A word that does not stand here is not known: a statement may do anything to a packet, a condition
may hold or not, a chain or table of another kind makes the whole answer unknown.

Source: libnftables-json(5), nft(8). Read with nftables 0.9.8, 1.0.6 and 1.1.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Use = Literal["verdict", "condition", "change", "passes", "unknown"]
"""What a statement does with a packet.

``verdict``: it decides. ``condition``: the rule goes on for some packets alone. ``change``: rules
that follow may see another packet. ``passes``: none of these. ``unknown``: it is not followed.
"""

STATEMENTS: Mapping[str, Use] = {
    **dict.fromkeys(("accept", "drop", "continue", "return", "jump", "goto"), "verdict"),
    **dict.fromkeys(("reject", "vmap", "dnat", "redirect", "snat", "masquerade"), "verdict"),
    **dict.fromkeys(("match", "limit", "quota", "ct count", "counter"), "condition"),
    **dict.fromkeys(("set", "map", "meter"), "condition"),
    **dict.fromkeys(("mangle", "notrack"), "change"),
    **dict.fromkeys(("log", "last", "dup", "secmark", "ct helper", "ct timeout"), "passes"),
    **dict.fromkeys(("fwd", "queue", "synproxy", "tproxy", "flow", "xt"), "unknown"),
    **dict.fromkeys(("ct expectation", "reset", "tunnel", "objref"), "unknown"),
}
FAMILIES: Mapping[str, frozenset[int]] = {
    "ip": frozenset({4}),
    "ip6": frozenset({6}),
    "inet": frozenset({4, 6}),
    "netdev": frozenset({4, 6}),
    "arp": frozenset(),
    "bridge": frozenset(),
}
"""The versions of IP whose packets a family sees; none: frames that a Droplet does not route."""

HOOKS: Mapping[str, bool] = {
    **dict.fromkeys(("ingress", "prerouting", "input", "forward"), True),
    **dict.fromkeys(("output", "postrouting", "egress"), False),
}
"""The hooks of chains, and whether packets that come in are judged there."""

CHAIN_TYPES = frozenset({"filter", "nat", "route"})
TABLE_FLAGS = frozenset({"dormant", "owner", "persist"})
ELEMENT_WORDS = frozenset({"val", "comment", "counter"})
"""What an element of a set may have and still be there for good, for every packet."""
