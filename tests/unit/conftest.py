"""A fixture for the tests here."""

from tests.support.ssh_server import farm

__all__ = ["farm"]
