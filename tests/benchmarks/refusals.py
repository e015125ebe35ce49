"""What it costs to prove that asserts hold and that ids are unique, in CPU time.

``python -m tests.benchmarks.refusals``; exit code 1 where a bar is not met.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from pytest_droplet import asserts, unique
from pytest_droplet.catalogue import checks_of, shipped
from pytest_droplet.collection import CheckItem

MODULES, CHECKS, DROPLETS = 100, 20, 1_000
SHIPPED_MS, MODULE_MS, ITEMS_MS = 30.0, 10.0, 250.0

HEAD = "import pytest\nfrom pytest_droplet import check\n"
# One that fails by pytest.fail alone has to be parsed: it is the dearest.
CHECK = """
@check("site.m{module}-c{number}")
def test_{number}(droplet):
    if droplet.id == {number}:
        pytest.fail("no")
"""


def cpu_ms(call: Callable[[], object]) -> float:
    """Return the CPU time of a call that finds nothing, in milliseconds."""
    began = time.process_time()
    if (found := call()) is not None:
        raise SystemExit(f"refused: {found}")
    return (time.process_time() - began) * 1000


def modules(folder: Path) -> Iterator[ModuleType]:
    """Write and import the modules of a large project."""
    for module in range(MODULES):
        path = folder / f"test_site_{module}.py"
        path.write_text(
            HEAD + "".join(CHECK.format(module=module, number=n) for n in range(CHECKS))
        )
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        yield made


def items() -> list[CheckItem]:
    """Return items of all shipped checks on a fleet, with what the search reads of them alone."""
    made = []
    for check in shipped().values():
        for _ in range(DROPLETS):
            item: CheckItem = object.__new__(CheckItem)
            item.check = check
            made.append(item)
    return made


def main() -> None:
    """Measure, print, and hold the figures against their bars."""
    shipped()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        made = list(modules(Path(name)))
        functions = [f for m in made for f in vars(m).values() if checks_of(f)]
        fleet = items()
        rows = [
            ("asserts of the shipped modules", cpu_ms(asserts.off_in_shipped), SHIPPED_MS),
            (
                f"asserts of a module with {CHECKS} checks, none with an assert",
                cpu_ms(lambda: asserts.off_in(functions)) / MODULES,
                MODULE_MS,
            ),
            (
                f"unique ids of {len(fleet):,} items",
                cpu_ms(lambda: unique.clash(fleet, Path(name))),
                ITEMS_MS,
            ),
        ]
    for what, got, bar in rows:
        print(f"  {what}: {got:.1f} ms (bar {bar:.0f})")  # noqa: T201 the command's output
    if any(got > bar for _, got, bar in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
