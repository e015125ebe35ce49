"""The benchmarks: their fleet answers what it is asked; rivals that could not do the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_droplet.connection import ahead
from tests.benchmarks import fleet, suite
from tests.benchmarks.__main__ import Bench, Cost, all_passed, nothing_failed


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Benchmarks of two runs each."""
    return Bench(tmp_path, "auditor", "servers", 2)


@pytest.mark.parametrize("index", [0, 7, 8, 9])
def test_a_host_of_the_fleet_prints_every_section(index: int) -> None:
    """A fleet that answers nothing is judged faster than any real one."""
    answered = fleet.reading(index).sections

    lost = {name: section.missing for name, section in answered.items() if section.missing}
    assert lost == {}
    assert {s.name for s in fleet.sections()} < answered.keys()


def test_a_host_of_the_fleet_answers_a_batch_of_commands() -> None:
    """Those of a suite whose commands are sent ahead."""
    sent, nonce = ahead.compose(["id -u deploy", "uname -s"])

    answered = ahead.parse(suite.batch(sent), ["id -u deploy", "uname -s"], nonce)

    assert answered == {"id -u deploy": (0, b"1000\n", b""), "uname -s": (0, b"Linux\n", b"")}


def test_a_rival_that_works_is_measured(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """It has its row."""
    cost = Cost(1.5, 2.5, 30, output="500 passed in 2.5s")
    assert bench.rival("testinfra", 10, lambda: cost, failed=all_passed(500)) == cost
    assert "1.50      2.50" in capsys.readouterr().out


def test_a_rival_that_fails_is_missing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """It fails sooner than it works: its time would flatter it."""
    cost = Cost(0.1, 0.2, 30, output="E  Permission denied\n500 failed in 0.2s")
    assert bench.rival("testinfra", 10, lambda: cost, failed=all_passed(500)) is None
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split() == [
        *("testinfra", "10", "missing:", "E", "Permission", "denied"),
        *("500", "failed", "in", "0.2s"),
    ]
    assert bench.rows == []


def test_a_rival_that_cannot_be_started_is_missing(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest is measured all the same."""

    def once() -> Cost:
        raise SystemExit("ansible-playbook: exit 127\nnot found")

    assert bench.rival("Ansible", 10, once, failed=nothing_failed(10)) is None
    assert "missing: ansible-playbook: exit 127 not found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("recap", "done"),
    [
        ("a : ok=50   changed=50   unreachable=0    failed=0    skipped=0\n" * 2, True),
        ("a : ok=50   changed=50   unreachable=0    failed=0    skipped=0\n", False),
        ("a : ok=50   changed=50   unreachable=0    failed=1    skipped=0\n" * 2, False),
        ("a : ok=0    changed=0    unreachable=1    failed=0    skipped=0\n" * 2, False),
    ],
)
def test_a_playbook_is_done_on_all_hosts(recap: str, *, done: bool) -> None:
    """By the recap that Ansible prints."""
    assert (nothing_failed(2)(recap) is None) is done
