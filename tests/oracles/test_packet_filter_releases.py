"""The oracle of the packet filter with the nft and iptables of other Debian releases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cache import Cache
from tests.lab.roots import root

from .networks import Networks
from .test_packet_filter import RULE_SETS, disagreements, load, networks_of

_CHOSEN = ("dormant.", "flood-update", "untracked-for", "ufw", "docker", "sources-in", "wireguard")
_SETS = [path for path in RULE_SETS if path.name.startswith(_CHOSEN)]


@pytest.fixture(scope="module", params=("bullseye", "trixie"))
def networks(request: pytest.FixtureRequest) -> Iterator[Networks]:
    with Cache() as cache:
        yield from networks_of(str(root(cache, request.param).folders[0]))


@pytest.mark.parametrize("path", _SETS, ids=lambda path: path.name)
def test_packets_agree_with_what_another_release_prints(networks: Networks, path: Path) -> None:
    """Nft 0.9.8 and 1.1 print the same rules in other words than 1.0.6."""
    text = path.read_text()
    assert not load(networks, text)
    assert disagreements(networks, text) == []
