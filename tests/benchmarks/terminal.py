"""Measure the end of a run: from the last verdict to the last line on the terminal.

``python -m tests.benchmarks.terminal`` judges a recorded fleet that does not exist: 500 Droplets,
100 checks, a tenth of the verdicts a finding. ``--help`` has the rest; what follows ``--`` is
handed to pytest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from pytest_droplet.testing import Cloud
from tests.support.recordings import reached, save

_CHECKS = """
from pytest_droplet import check

def made(n):
    @check(f"bench.c{{n}}", severity=("critical", "high", "medium", "low")[n % 4])
    def test_it(droplet, droplet_os_release):
        '''The check holds.

        Remediation:
            Do what has to be done on every one of the Droplets, then look again.
        '''
        assert (droplet.id * 31 + n * 7) % {each}, f"{{droplet.name}} has the value {{n}}"
    return test_it

for n in range({checks}):
    globals()[f"test_{{n}}"] = made(n)
"""
_CLOCK = """
import sys
import time

import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish():
    wall, cpu = time.perf_counter(), time.process_time()
    result = yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{wall:.2f} s, {cpu:.2f} s of them computing", file=sys.stderr)
    return result
"""


def main() -> None:
    """Make the project and its recording, run pytest in it, and print what its end took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--droplets", type=int, default=500)
    parser.add_argument("--checks", type=int, default=100)
    parser.add_argument("--each", type=int, default=10, help="one in so many verdicts fails")
    parser.add_argument("pytest", nargs="*", help="options for pytest, behind --")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cloud = Cloud()
        droplets = [cloud.add(f"web-{n}", id=1_000 + n) for n in range(asked.droplets)]
        save(cloud, folder / "recording", [reached(cloud, droplet) for droplet in droplets])
        (folder / "pytest.ini").write_text("[pytest]\ndroplets_profile = none\n")
        (folder / "conftest.py").write_text(_CLOCK)
        text = _CHECKS.format(checks=asked.checks, each=asked.each)
        (folder / "test_bench.py").write_text(text)
        replay = ("--droplets=all", "--droplets-replay=recording", "-p", "no:randomly")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *replay, *asked.pytest],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    sys.stdout.write(f"{done.stdout.splitlines()[-1]}\n")
    sys.stdout.write(f"the end of the run: {done.stderr.strip()}\n")


if __name__ == "__main__":
    main()
