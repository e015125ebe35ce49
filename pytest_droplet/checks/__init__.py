"""The shipped checks: one module per family, ordinary test functions."""
