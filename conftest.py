"""What every test of the plugin may ask for."""

import hypothesis

pytest_plugins = ["pytester"]

# A slow machine is no failure: timings belong to the benchmarks.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")
