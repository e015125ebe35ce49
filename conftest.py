"""Settings of the tests' own tools."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """A slow machine is no failure: timings belong to the benchmarks.

    README's demo runs in a checkout without these tools, and pytest loads this file there too.
    """
    if config.pluginmanager.hasplugin("hypothesispytest"):
        import hypothesis  # noqa: PLC0415 - not everybody who comes here has it

        hypothesis.settings.register_profile("tests", deadline=None)
        hypothesis.settings.load_profile("tests")
