"""Packets judge what the product says of files that bring rules back at boot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pytest_droplet.facts.firewall.firewall_saved import compare
from pytest_droplet.facts.firewall.host_rules import IPTABLES, NFT, parse_rules
from pytest_droplet.facts.firewall.nft_text import parse_files
from pytest_droplet.facts.firewall.packet_filter import Hook, Packet
from pytest_droplet.model import NotObservedError

from .judgement import PROBES, contradictions, judge_files, judge_loaded
from .networks import HOST, Networks, Probe
from .random_rules import RandomRules
from .test_packet_filter import load, load_what_is_taken, networks_of

_SEEDS = range(int(os.environ.get("PYTEST_DROPLET_SAVED_PAIRS", "25")))
_ROUNDS = 4
_WAIT_S = 0.005
_RULE_SETS = Path(__file__).with_name("rule_sets")
_INTERNET = [
    Packet(frozenset({"eth0"}), 4, "tcp", frozenset({HOST[4]})),
    Packet(frozenset({"eth0"}), 6, "tcp", frozenset({HOST[6]})),
]
_CHAIN = "chain input {{ type filter hook input priority 0; policy {}; {}; }}\n"
_DROPPING = f"table inet f {{\n{_CHAIN.format('drop', 'tcp dport 22 accept')} }}\n"
_ACCEPTING = f"table inet f {{\n{_CHAIN.format('accept', 'counter')} }}\n"
_IN_ETC = 'mount -t tmpfs tmpfs /etc && cp -R "$1/." /etc && exec nft -f /etc/nftables.conf'


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    yield from networks_of("")


def _hooks(networks: Networks) -> tuple[Hook, ...]:
    return parse_rules(networks.read(NFT), networks.read(IPTABLES)).hooks


def _arrived(networks: Networks) -> set[Probe]:
    found: set[Probe] = set()
    for _ in range(_ROUNDS):
        found |= networks.answered(PROBES, _WAIT_S)
    return found


@pytest.mark.parametrize(
    ("files", "is_read"),
    [
        (
            {"nftables.conf": 'include "/etc/nftables.d/*.nft"', "nftables.d/a.nft": _DROPPING},
            True,
        ),
        ({"nftables.conf": 'include "nftables.d/*"', "nftables.d/a.nft": _DROPPING}, True),
        (
            {
                "nftables.conf": 'include "/etc/nftables.d/*.nft"',
                "nftables.d/10.nft": _DROPPING,
                "nftables.d/20.nft": f"flush table inet f\n{_ACCEPTING}",
            },
            True,
        ),
        (
            {
                "nftables.conf": 'include "/etc/nftables.d/*.nft"',
                "nftables.d/10.conf": _DROPPING,
                "nftables.d/20.nft": _ACCEPTING,
            },
            True,
        ),
        (
            {
                "nftables.conf": 'include "/etc/nftables.d/ports.nft"\n'
                'include "/etc/nftables/?.nft"',
                "nftables.d/ports.nft": "define ports = { 22, 80 }",
                "nftables/1.nft": _DROPPING.replace("22", "$ports"),
            },
            True,
        ),
        (
            {
                "nftables.conf": "table inet f {\n chain input {\n type filter hook input priority"
                ' 0; policy drop;\n include "/etc/nftables.d/open.nft"\n }\n}',
                "nftables.d/open.nft": "tcp dport { 80, 443 } accept",
            },
            True,
        ),
        ({"nftables.conf": f'{_ACCEPTING}include "/etc/more/*.nft"', "more/a": ""}, False),
        ({"nftables.conf": 'include "/etc/more/a.nft"', "more/a.nft": _DROPPING}, False),
    ],
)
def test_included_files_are_those_that_nft_includes(
    networks: Networks, tmp_path: Path, files: dict[str, str], *, is_read: bool
) -> None:
    """By absolute names, by patterns and below /etc; what was not read makes all of it unknown."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert not load(networks, "")
    done = networks.run("unshare", "--mount", "sh", "-c", _IN_ETC, "sh", str(tmp_path))
    assert done.returncode == 0, done.stderr

    known = {f"/etc/{n}": f"{t}\n" for n, t in files.items() if not n.startswith("more/")}
    said = judge_files(networks, known, "/etc/nftables.conf")
    assert [each.words for each in contradictions(said, _arrived(networks))] == []
    assert (None in said.reached.values()) is not is_read


@pytest.mark.parametrize("name", ["server.nft", "saved-commands.nft", "saved-maps.nft"])
def test_what_programs_add_while_they_run_is_no_loss(networks: Networks, name: str) -> None:
    """Rules of Docker, fail2ban and crowdsec beside those of the file need not come back."""
    saved = (_RULE_SETS / name).read_text()
    assert not load(networks, saved)
    for beside in ("docker-nft.rules", "fail2ban.nft", "crowdsec.nft"):
        text = (_RULE_SETS / beside).read_text()
        if text.startswith("#!"):
            rules = text.partition("\n")[2].replace(":INPUT DROP", ":INPUT ACCEPT")
            rules = rules.replace(":FORWARD DROP", ":FORWARD ACCEPT")
            added = networks.run("iptables-nft-restore", "--noflush", text=rules)
        else:
            added = networks.run("nft", "-f", "-", text=_without_main_table(text))
        assert added.returncode == 0, added.stderr

    then = parse_files({"/etc/nftables.conf": saved}, "/etc/nftables.conf")
    assert compare(_hooks(networks), then, _INTERNET) == (True, "")


def _without_main_table(text: str) -> str:
    """Return a rule set without the table ``inet f``, which another stands for."""
    start = text.find("table inet f {")
    return text if start < 0 else text[:start] + text[text.index("\n}\n", start) + 3 :]


def test_what_is_said_to_come_back_stays_closed(networks: Networks) -> None:
    """Of a rule set and a file that lacks some of its lines: packets tell what the file closes."""
    answers = []
    for seed in _SEEDS:
        text = load_what_is_taken(networks, RandomRules(Random(seed)).text())
        try:
            now = _hooks(networks)
        except NotObservedError:
            continue
        said, before = judge_loaded(networks), _arrived(networks)
        lines = text.splitlines()
        del lines[seed % len(lines)]
        saved = load_what_is_taken(networks, "\n".join(lines))
        then = parse_files({"/etc/nftables.conf": saved}, "/etc/nftables.conf")
        restored, lost = compare(now, then, _INTERNET)
        answers.append(restored)
        opened = {p for p in _arrived(networks) - before if said.reached[p] is False}
        opened = {p for p in opened if p.origin == "internet"}
        assert not (restored and opened), (text, saved, lost, opened)

    assert answers.count(True) > 1
    assert answers.count(False) > 1
