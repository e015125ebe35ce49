"""The plugin's entry: options, and hooks that do nothing unless ``--droplets`` is given."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_droplet.options import add_options

if TYPE_CHECKING:
    from pytest_droplet.hooks import Hosts
    from pytest_droplet.model import Inventory
    from pytest_droplet.options import AuditConfig
    from pytest_droplet.selection import Selection

pytest.register_assert_rewrite("pytest_droplet.checks", "pytest_droplet.testing")

_MARK = (
    "droplet_check(id, family, severity, profile, guide, needs): a check of Droplets; set by"
    " pytest-droplet, for -m; needs is 'api' where it is judged without a login, else 'host'"
)

_CONTROL_MARK = (
    "droplet_control(framework, id): a requirement that asks for the check, one mark for each;"
    " set by pytest-droplet where -m names it"
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add ``--droplets`` and the options of the table.

    Raises:
        pytest.UsageError: pytest-ansible would be loaded too; pytest ends at the option that it
            and testinfra both add.
    """
    if _clashes_with_testinfra(pluginmanager):
        raise pytest.UsageError(
            "pytest-ansible and pytest-testinfra cannot be loaded together: both add"
            " --ansible-inventory; add `-p no:pytest-ansible`, or use an environment without it"
        )
    add_options(parser)


def _clashes_with_testinfra(pluginmanager: pytest.PytestPluginManager) -> bool:
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD") or any(
        map(pluginmanager.is_blocked, ("pytest-ansible", "pytest11.testinfra"))
    ):
        return False
    found = find_spec("pytest_ansible")
    if found is None or found.origin is None or find_spec("ansible") is None:
        return False
    plugin = Path(found.origin).with_name("plugin.py")
    return plugin.is_file() and '"--ansible-inventory"' in plugin.read_text("utf-8")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks by which other inventories and transports plug in."""
    from pytest_droplet import hooks  # noqa: PLC0415 the annotations of hooks need the model only

    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print what ``--droplets-list``, ``-explain`` or ``-show-script`` ask for, and exit.

    Raises:
        pytest.UsageError: ``addopts`` of an ini file has an option that it may not set.
    """
    if config.getini("addopts"):
        from pytest_droplet import addopts  # noqa: PLC0415

        addopts.refuse(config)
    if not any(
        config.getoption(f"droplets_{name}") for name in ("list", "explain", "show_script")
    ):
        return None
    from pytest_droplet import printing  # noqa: PLC0415

    return printing.answer(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the mark and, with ``--droplets``, the hooks of an audit."""
    config.addinivalue_line("markers", _MARK)
    config.addinivalue_line("markers", _CONTROL_MARK)
    if config.getoption("--droplets"):
        config.option.self_contained_html = True  # pytest-html would make a folder of assets
        from pytest_droplet.session import AuditPlugin  # noqa: PLC0415

        config.pluginmanager.register(AuditPlugin(config), "droplet-audit")
    elif config.getoption("showfixtures", default=False):
        from pytest_droplet import fixtures  # noqa: PLC0415

        config.pluginmanager.register(fixtures, "droplet-fixtures")
        config.pluginmanager.register(fixtures.FactFixtures(), "droplet-facts")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that ask for our fixtures in a run that selects no Droplet."""
    if config.getoption("--droplets"):
        return
    skip = pytest.mark.skip(reason="no --droplets")
    for item in items:
        names = getattr(item, "fixturenames", ())
        if any(n == "droplet" or n.startswith("droplet_") for n in names):
            item.add_marker(skip)


@pytest.hookimpl(trylast=True)
def pytest_droplet_inventory(
    config: pytest.Config, options: AuditConfig, selection: Selection
) -> Inventory:
    """Read the inventory from DigitalOcean's API, or from a recording."""
    from pytest_droplet import discovery  # noqa: PLC0415

    return discovery.read_account(config, options, selection)


@pytest.hookimpl(trylast=True)
def pytest_droplet_connect(config: pytest.Config, options: AuditConfig) -> Hosts:
    """Read the hosts over SSH, or from a recording."""
    from pytest_droplet import discovery  # noqa: PLC0415

    return discovery.open_hosts(config, options)
