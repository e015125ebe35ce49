"""Many hosts, few descriptors, half of them dead: the run shrinks, says so, and ends."""

from __future__ import annotations

import math
from pathlib import Path

from tests.trust.load import CONNECT_S, measure


def test_the_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    """More hosts at once than the soft limit allows: each is read over one connection."""
    load = measure(tmp_path, alive=2000, soft=1024)
    assert (load.passed, load.unknown, load.status) == (2000, 0, 0), load.text[-2000:]
    assert load.logins == 2000
    assert "hosts at once instead of" not in load.text


def test_a_hard_limit_shrinks_the_pool_and_is_told(tmp_path: Path) -> None:
    """Where it cannot be raised, fewer are open at once; all are read all the same."""
    load = measure(tmp_path, alive=150, soft=128, hard=128)
    assert (load.passed, load.unknown, load.status) == (150, 0, 0), load.text
    assert "hosts at once instead of 150: no more than 128 files may be open" in load.text


def test_dead_hosts_wait_together(tmp_path: Path) -> None:
    """Half of 1,000 hosts never answer: they cost some connect limits, not one each."""
    alive = dead = 500
    hard = 400
    pending = hard // 4  # what the pool allows at the least
    load = measure(tmp_path, alive=alive, dead=dead, soft=hard, hard=hard)
    assert (load.passed, load.unknown) == (alive, dead), load.text[-2000:]
    assert load.text.count("UNREACHABLE dead-") <= dead
    rounds = math.ceil(dead / pending) + 1
    assert load.seconds < rounds * CONNECT_S + 120 < dead * CONNECT_S
