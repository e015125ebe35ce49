"""Wheel and sdist: what is in them, and what they say of themselves."""

from __future__ import annotations

import email
import email.message
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pytest_droplet.report.html_script import MODULES

from .conftest import Dist

DATA = (
    "pytest_droplet/connection/frame.sh",
    "pytest_droplet/data/audit.json",
    "pytest_droplet/data/demo/recording.json",
    "pytest_droplet/data/endoflife.json",
    "pytest_droplet/data/record.schema.json",
    "pytest_droplet/facts/host/socket_owners.awk",
    "pytest_droplet/py.typed",
    "pytest_droplet/report/page/page.html",
    *(f"pytest_droplet/report/page/{module}.js" for module in MODULES),
    "pytest_droplet/report/page/page.css",
)
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def files(dist: Dist) -> set[str]:
    """The names in the wheel."""
    with zipfile.ZipFile(dist.wheel) as wheel:
        return set(wheel.namelist())


@pytest.fixture(scope="module")
def metadata(dist: Dist) -> email.message.Message:
    """What the wheel says of itself."""
    with zipfile.ZipFile(dist.wheel) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_string(wheel.read(name).decode())


def test_the_wheel_has_the_package_and_nothing_else(tree: Path, files: set[str]) -> None:
    """Every file of the package is in the wheel; no test, no documentation, no leftover."""
    source = {p.relative_to(tree).as_posix() for p in (tree / "pytest_droplet").rglob("*.*")}
    packaged = {name for name in files if ".dist-info/" not in name}

    assert packaged == source
    assert {name.partition("/")[0] for name in packaged} == {"pytest_droplet"}


@pytest.mark.parametrize("name", DATA)
def test_the_wheel_has_its_data(files: set[str], name: str) -> None:
    """Tables, the page of the report and the demo fleet travel with the package."""
    assert name in files


def test_the_wheel_is_small(dist: Dist) -> None:
    """The demo fleet does not make the package a burden."""
    assert dist.wheel.stat().st_size < MOST_BYTES


@pytest.mark.slow
def test_a_second_build_is_the_same(dist: Dist, tree: Path, tmp_path: Path) -> None:
    """Whoever builds the same commit gets the same bytes, whenever and wherever that is."""
    copy = shutil.copytree(tree, tmp_path / "elsewhere")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / "out", copy],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for first in (dist.sdist, dist.wheel):
        assert (tmp_path / "out" / first.name).read_bytes() == first.read_bytes(), first.name


def test_the_sdist_can_be_tested(dist: Dist) -> None:
    """It has tests, examples and documentation, for those who build packages of it."""
    with tarfile.open(dist.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}

    assert names >= {
        "LICENSE",
        "README.md",
        "conftest.py",
        "docs/conf.py",
        "examples/quickstart/README.md",
        "pyproject.toml",
    }
    assert not [n for n in names if re.search(r"__pycache__|docs/_build|node_modules", n)]


def test_the_package_index_takes_it(dist: Dist) -> None:
    """``twine check`` finds nothing, warnings included: the README can be shown."""
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", dist.wheel, dist.sdist],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_metadata_is_whole(metadata: email.message.Message) -> None:
    """What a package index shows and filters by is there."""
    assert metadata["Name"] == "pytest-droplet"
    assert 20 < len(metadata["Summary"]) < 150
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Keywords"].count(",") >= 4
    classifiers = set(metadata.get_all("Classifier") or ())
    assert classifiers >= {"Framework :: Pytest", "Typing :: Typed"}
    assert {f"Programming Language :: Python :: 3.{n}" for n in (11, 12, 13, 14)} <= classifiers
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL") or ())
    assert urls["Source"].startswith("https://github.com/")


def test_pytest_finds_the_plugin(dist: Dist) -> None:
    """The entry point is named ``droplet``, for ``-p no:droplet``."""
    with zipfile.ZipFile(dist.wheel) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
        text = wheel.read(name).decode()

    assert text.split() == ["[pytest11]", "droplet", "=", "pytest_droplet.plugin"]
