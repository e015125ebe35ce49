"""Many hosts, few descriptors, some of them dead: the run shrinks, says so, and ends.

``python -m tests.trust.load`` does the same with as many thousands as one likes.
"""

from __future__ import annotations

from pathlib import Path

from tests.trust.load import CONNECT_S, measure


def test_the_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    """More hosts at once than the soft limit allows: each is read over one connection."""
    load = measure(tmp_path, alive=300, soft=128)
    assert (load.passed, load.unknown, load.status) == (300, 0, 0), load.text[-2000:]
    assert load.logins == 300
    assert "hosts at once instead of" not in load.text


def test_a_hard_limit_shrinks_the_pool_and_is_told(tmp_path: Path) -> None:
    """Where it cannot be raised, fewer are open at once; all are read all the same."""
    load = measure(tmp_path, alive=150, soft=128, hard=128)
    assert (load.passed, load.unknown, load.status) == (150, 0, 0), load.text
    assert "hosts at once instead of 150: no more than 128 files may be open" in load.text


def test_dead_hosts_wait_together(tmp_path: Path) -> None:
    """A third of 180 hosts never answers: they cost some connect limits, not one each."""
    alive, dead = 120, 60
    load = measure(tmp_path, alive=alive, dead=dead, soft=160, hard=160)
    assert (load.passed, load.unknown) == (alive, dead), load.text[-2000:]
    assert load.text.count("UNREACHABLE dead-") <= dead
    assert load.seconds < dead * CONNECT_S
