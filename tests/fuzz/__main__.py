"""Fuzz with atheris: ``python -m tests.fuzz TARGET [libFuzzer's options]``.

``--list`` names the targets; ``--all SECONDS`` runs each so long, one after the other, and ends
with 1 where one crashed. What crashes is left in the working folder as ``crash-*``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run as the command line says."""
    if not arguments or arguments[0] in {"--list", "--help", "-h"}:
        from tests.fuzz.targets import targets

        print(__doc__, *targets(), sep="\n")  # noqa: T201 it is what was asked for
        return 0
    if arguments[0] == "--all":
        return _all(int(arguments[1]))
    name, *options = arguments
    import atheris

    with atheris.instrument_imports(include=["pytest_droplet"]):
        from tests.fuzz.targets import seeds, targets

        target = targets()[name]
    if any(Path(o).is_file() for o in options):
        atheris.Setup([name, *options], target)
        atheris.Fuzz()
        return 0
    corpus = tempfile.mkdtemp(prefix="droplet-fuzz-")
    for number, seed in enumerate(seeds(name)):
        (Path(corpus) / str(number)).write_bytes(seed)
    fixed = ("-max_len=20000", "-timeout=20", "-rss_limit_mb=2048")
    atheris.Setup([name, *fixed, *options, corpus], target)
    atheris.Fuzz()
    return 0


def _all(seconds: int) -> int:
    from tests.fuzz.targets import targets

    crashed = []
    for name in targets():
        command = [sys.executable, "-m", "tests.fuzz", name, f"-max_total_time={seconds}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        print(f"{name}: {'ok' if done.returncode == 0 else 'CRASHED'} {last}")  # noqa: T201
        if done.returncode:
            crashed.append(name)
            sys.stderr.write(done.stdout[-3000:] + done.stderr[-3000:])
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
