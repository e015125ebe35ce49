"""How near the plugin is to the limit of the machine: ``python -m tests.benchmarks``."""
