"""README's two commands in a bare root: what is taken from README, and what from this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.command import LabError
from tests.lab.stranger import commands, local_paths, package_index

README = """# Name
```console
run the demo && look
```
## Other
```console
one
two
```
## Develop

Text:

```console
install && test
```
"""


def test_both_commands_are_taken_as_they_stand() -> None:
    """The first block of the page, and the block of the section."""
    assert commands(README) == ("run the demo && look", "install && test")


@pytest.mark.parametrize(
    "text",
    [
        "",
        README.replace("## Develop", "## Build"),
        README.replace("install", "x\ninstall"),
        README.replace("run the", "run\nthe"),
    ],
)
def test_a_command_that_is_not_there_is_no_success(text: str) -> None:
    """A block of another form would be left out in silence."""
    with pytest.raises(LabError, match=r"README\.md has no demo, or no line under Develop"):
        commands(text)


def test_pip_finds_packages_as_on_this_machine() -> None:
    """Its settings become variables, the later ones stronger; no token of ours goes along."""
    listed = (
        "global.index-url='https://packages.example/simple'\n"
        "install.find-links='/a\\n/b'\n"
        ":env:.index-url='https://other.example/simple'\n"
    )
    environment = {"https_proxy": "http://p:1", "DIGITALOCEAN_TOKEN": "t", "CI": "true"}

    assert package_index(listed, environment) == {
        "https_proxy": "http://p:1",
        "PIP_INDEX_URL": "https://other.example/simple",
        "PIP_FIND_LINKS": "/a\n/b",
    }


def test_what_lies_on_this_machine_is_shared(tmp_path: Path) -> None:
    """Files and folders that a setting names; of an index on the disk what lies beside it too."""
    (tmp_path / "index/simple").mkdir(parents=True)
    (tmp_path / "ca.pem").touch()
    environment = {
        "PIP_CERT": f"{tmp_path}/ca.pem",
        "PIP_EXTRA_INDEX_URL": f"https://x.example/ file://{tmp_path}/index/simple",
        "PIP_FIND_LINKS": f"{tmp_path}/none",
        "PIP_TIMEOUT": "15",
    }

    assert list(local_paths(environment)) == [tmp_path / "ca.pem", tmp_path / "index"]
