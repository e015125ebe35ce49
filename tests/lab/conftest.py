"""The lab, started once for all its tests; in CI a lab that cannot start is a failure."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .account import serve
from .audit import Before, Run, audit, only
from .lab import Lab
from .packages import why_not


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """All hosts of the lab, running."""
    if (reason := why_not()) and os.environ.get("CI") != "true":
        pytest.skip(f"no lab of real hosts: {reason}")
    with Lab.start() as started:
        yield started


@pytest.fixture(scope="session")
def account(lab: Lab) -> Iterator[Mapping[str, str]]:
    """The environment that points to the lab's account."""
    with serve(lab) as environment:
        yield environment


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the audit that most tests look at."""
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="session")
def prod(lab: Lab, account: Mapping[str, str], project: Path) -> Run:
    """`pytest --droplets=tag:prod --html=audit.html` on all hosts, recorded too."""
    recording = project / "recording"
    return audit(
        lab,
        account,
        project,
        "--droplets=tag:prod",
        "--html=audit.html",
        f"--droplets-record={recording}",
    )


@pytest.fixture(scope="session")
def before(
    lab: Lab, account: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Before:
    """A host as all checks see it when no defect is introduced; judged once."""
    runs: dict[str, Run] = {}

    def judged(host: str) -> Run:
        if host not in runs:
            runs[host] = audit(lab, account, tmp_path_factory.mktemp(host), *only(host))
        return runs[host]

    return judged
