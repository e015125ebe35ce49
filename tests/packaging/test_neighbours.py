"""Where pytest-ansible is installed: its options clash with testinfra's."""

from __future__ import annotations

import pytest

from .test_installed import CLASH


@pytest.fixture
def ansible(pytester: pytest.Pytester) -> None:
    """A pytest-ansible that can be imported, and ansible itself."""
    package = pytester.mkpydir("pytest_ansible")
    (package / "plugin.py").write_text('OPTIONS = ("--inventory", "--ansible-inventory")\n')
    pytester.mkpydir("ansible")
    pytester.syspathinsert()


def test_the_clash_is_named(pytester: pytest.Pytester, ansible: None) -> None:
    """One line says what clashes and what to do, in place of a traceback of argparse."""
    result = pytester.runpytest_subprocess()

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [CLASH, ""]


@pytest.mark.parametrize("plugin", ["pytest-ansible", "pytest11.testinfra"])
def test_one_of_them_may_be_turned_off(
    pytester: pytest.Pytester, ansible: None, plugin: str
) -> None:
    """Without either of them nothing clashes."""
    pytester.makepyfile("def test_nothing(): pass")

    result = pytester.runpytest_subprocess("-p", f"no:{plugin}")

    result.assert_outcomes(passed=1)


def test_another_pytest_ansible_is_no_clash(pytester: pytest.Pytester, ansible: None) -> None:
    """A release that no longer adds the option is left alone."""
    (pytester.path / "pytest_ansible/plugin.py").write_text("OPTIONS = ()\n")
    pytester.makepyfile("def test_nothing(): pass")

    pytester.runpytest_subprocess().assert_outcomes(passed=1)
