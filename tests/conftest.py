"""Settings of the tests' own tools."""

import hypothesis

# A slow machine is no failure: timings belong to the benchmarks.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")
