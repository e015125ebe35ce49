"""Settings of the tests' own tools, and the parts of the tests that run only by their name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parent

# Folder: why `pytest` alone skips it. `pytest FOLDER`, or a file or a test in it, runs it.
PARTS = {
    "tests/lab": "the lab boots real hosts: run `pytest tests/lab`",
    "tests/sections": "scripts run in real roots: run `pytest tests/sections`",
    "tests/oracles": "real programs answer beside ours, for long: run `pytest tests/oracles`",
}


SLOW = "takes long: CI runs it, and `pytest -m slow`, or its own file by name"

# What the environment variable HYPOTHESIS_PROFILE chooses. By default everybody, CI too, tries the
# same examples, so that nobody's run fails by chance; the other looks for new ones.
PROFILES = {
    "quick": {"max_examples": 100, "derandomize": True},
    "long": {"max_examples": 5000, "derandomize": False},
}


def pytest_configure(config: pytest.Config) -> None:
    """A slow machine is no failure: timings belong to the benchmarks.

    README's demo runs in a checkout without these tools, and pytest loads this file there too.
    """
    config.addinivalue_line("markers", f"slow: {SLOW}")
    if config.pluginmanager.hasplugin("hypothesispytest"):
        import hypothesis  # noqa: PLC0415 - not everybody who comes here has it

        for name, profile in PROFILES.items():
            hypothesis.settings.register_profile(
                name,
                deadline=None,
                suppress_health_check=[hypothesis.HealthCheck.too_slow],
                **profile,
            )
        chosen = os.environ.get("HYPOTHESIS_PROFILE", "quick")
        if chosen not in PROFILES:
            raise pytest.UsageError(
                f"HYPOTHESIS_PROFILE={chosen}: choose one of {', '.join(PROFILES)}"
            )
        hypothesis.settings.load_profile(chosen)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests, and those that start a browser, unless somebody means them."""
    if os.environ.get("CI") or config.option.markexpr:
        return
    named = {str(config.invocation_params.dir / a.partition("::")[0]) for a in config.args}
    for item in items:
        slow = item.get_closest_marker("slow") or "browser" in getattr(item, "fixturenames", ())
        if slow and str(item.path) not in named:
            item.add_marker(pytest.mark.skip(reason=SLOW))


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """One skipped item stands for a part that nobody named; nothing in its folder is read.

    An audit that is called in the checkout without a name means Droplets, and none of our tests.
    """
    config = parent.config
    by_default = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if path == ROOT / "tests" and by_default and config.getoption("droplets", None):
        return NoTests.from_parent(parent, name=path.name, path=path)
    for folder, reason in PARTS.items():
        if path == ROOT / folder and not _is_named(path, parent.config):
            part: SkippedPart = SkippedPart.from_parent(parent, name=path.name, path=path)
            part.add_marker(pytest.mark.skip(reason=reason))
            return part
    return None


def _is_named(folder: Path, config: pytest.Config) -> bool:
    """Tell whether an argument of the command line is the folder, or a file or test in it."""
    files = (argument.partition("::")[0] for argument in config.args)
    return any((config.invocation_params.dir / f).is_relative_to(folder) for f in files)


class NoTests(pytest.Collector):
    """A folder in which an audit has nothing to look for."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield nothing."""
        yield from ()


class SkippedPart(pytest.Collector):
    """A folder whose tests are not collected."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the item that says so."""
        yield SkippedTests.from_parent(self, name="all tests")


class SkippedTests(pytest.Item):
    """What the terminal shows in place of the tests of a part."""

    def runtest(self) -> NoReturn:
        """Nothing runs: the mark of the part skips it."""
        raise AssertionError

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name the folder."""
        return self.path, 0, self.name
