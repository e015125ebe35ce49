"""The shipped checks: one module per family, ordinary test functions."""


def assert_nothing() -> None:
    """Assert what is false: where this returns, asserts are off.

    Raises:
        AssertionError: Always.
    """
    assert not __name__
