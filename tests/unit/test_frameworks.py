"""A site's own frameworks: which checks they ask for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_droplet.catalogue import shipped
from pytest_droplet.frameworks import FILE, controls_with, load_frameworks
from pytest_droplet.toml_tables import TableError

POLICY = """\
[framework.acme-2]
title = "Policy of the site"
[framework.acme-2.checks]
"ssh.root-login-disabled" = ["4.1", "4.2"]
"tls.listening" = ["7"]
"tls.listening[edge]" = ["8"]
"""


def written(folder: Path, text: str) -> Path:
    """Write a file of frameworks."""
    path = folder / FILE
    path.write_text(text, encoding="utf-8")
    return path


def test_a_framework_of_the_site_is_added_to_those_that_are_shipped(tmp_path: Path) -> None:
    """An id without its parameter means all; one with it goes first; others get nothing."""
    own = load_frameworks(written(tmp_path, POLICY))

    checks = shipped()
    root = controls_with(checks["ssh.root-login-disabled"], own)
    assert root["acme-2"] == ("4.1", "4.2")
    assert root["pci-dss-4.0.1"] == checks["ssh.root-login-disabled"].controls["pci-dss-4.0.1"]
    assert controls_with(checks["tls.listening[nginx]"], own)["acme-2"] == ("7",)
    assert controls_with(checks["tls.listening[edge]"], own)["acme-2"] == ("8",)
    assert "acme-2" not in controls_with(checks["backups.enabled"], own)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[frameworks.a]\n", "unknown table 'frameworks'; frameworks are [framework.NAME]"),
        ("[[framework]]\ntitle = 'a'\n", "write [framework.NAME], with single brackets"),
        ("[framework.hipaa]\ntitle = 'a'\nchecks = {}\n", "it is shipped; give yours another"),
        ("[framework.a]\nchecks = {}\n", "framework 'a': title is missing"),
        (
            "[framework.a]\ntitle = 'a'\nchecks = {'ssh.root-login-disable' = ['1']}\n",
            "there is no shipped check 'ssh.root-login-disable'; did you mean ssh.root-login-disabled?",
        ),
        (
            "[framework.a]\ntitle = 'a'\nchecks = {'site.own' = ['1']}\n",
            "there is no shipped check 'site.own'; a check of yours takes @check(controls=)",
        ),
        (
            "[framework.a]\ntitle = 'a'\nchecks = {'backups.enabled' = []}\n",
            "backups.enabled = []: expected ids",
        ),
        (
            "[framework.a]\ntitle = 'a'\nchecks = {'backups.enabled' = '1'}\n",
            "'backups.enabled' = '1': expected a list of str",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    """The line names the file, what is wrong, and what to write."""
    with pytest.raises(TableError) as raised:
        load_frameworks(written(tmp_path, text))
    assert str(raised.value).startswith(f"{FILE}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
