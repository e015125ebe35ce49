"""The projects that the plugin is measured against.

``python -m tests.benchmarks.rivals FOLDER HOSTS RIVALS`` writes them, and the auditor's keys.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_droplet.connection import script
from tests.benchmarks import fleet, suite
from tests.benchmarks.addresses import address

COMMANDS = 50

_CONFTEST = """
import os

import pytest

from tests.benchmarks import bare, fleet

COUNT = int(os.environ["BENCHMARK_HOSTS"])
CHECKS = {c.id: c for c in fleet.checks()}
ACCOUNT = fleet.inventory(COUNT)


def pytest_generate_tests(metafunc):
    ids = [f"{fleet.kind_of(i)}-{i}" for i in range(COUNT)]
    metafunc.parametrize("observation", range(COUNT), ids=ids, indirect=True, scope="session")


@pytest.fixture(scope="session")
def observation(request):
    return next(fleet.observations(ACCOUNT, [request.param]))


@pytest.fixture(scope="session")
def judge():
    def judge(name, observation):
        check = CHECKS[name]
        check.function(**bare.arguments(check, observation))

    return judge
"""


def ordinary(folder: Path) -> Path:
    """Write the checks as ordinary parametrized tests on the same facts."""
    folder.mkdir()
    (folder / "conftest.py").write_text(_CONFTEST)
    tests = [
        f"def test_{re.sub('[^a-z0-9]', '_', c.id)}(observation, judge):\n"
        f"    judge({c.id!r}, observation)\n"
        for c in fleet.checks()
    ]
    (folder / "test_checks.py").write_text("\n\n".join(tests))
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def testinfra(folder: Path, key: Path, known_hosts: Path) -> Path:
    """Write 50 tests of one command each, and ssh configs with and without ControlPath."""
    folder.mkdir()
    names = json.dumps(commands())
    (folder / "test_commands.py").write_text(
        "import pytest\n\n"
        f'@pytest.mark.parametrize("number, command", list(enumerate({names})))\n'
        "def test_command(host, number, command):\n"
        "    assert host.run(command).rc == 0\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\n")
    plain = (
        f"Host *\n  User root\n  IdentityFile {key}\n  UserKnownHostsFile {known_hosts}\n"
        "  IdentityAgent none\n"
    )
    (folder / "plain").write_text(plain)
    control = f"  ControlPath {folder}/%C\n  ControlMaster auto\n  ControlPersist 10\n"
    (folder / "control").write_text(plain + control)
    return folder


def ansible(folder: Path, config: Path, hosts: int) -> Path:
    """Write a playbook of 50 ``raw`` tasks, and one of a single task with the whole script."""
    folder.mkdir()
    inventory = "\n".join(address(i) for i in range(hosts))
    (folder / "hosts").write_text(f"[all]\n{inventory}\n")
    (folder / "ansible.cfg").write_text(
        f"[defaults]\ninventory = {folder}/hosts\nforks = 50\n"
        f"[ssh_connection]\nssh_args = -F {config} -C -o ControlMaster=auto"
        " -o ControlPersist=10s\n"
        f"control_path_dir = {folder}/cp\n"
    )
    (folder / "many.json").write_text(_play([{"raw": c} for c in commands()]))
    whole = script.compose(fleet.sections(), "0" * 32)
    (folder / "one.json").write_text(_play([{"raw": f"{{% raw %}}{whole}{{% endraw %}}"}]))
    return folder


def commands() -> Sequence[str]:
    """Return 50 commands, each of which prints a section."""
    names = [section.name for section in fleet.sections()]
    return [f"section {names[i % len(names)]}" for i in range(COMMANDS)]


def _play(tasks: Sequence[object]) -> str:
    return json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}])


def keys(folder: Path, hosts: int) -> None:
    """Write the key that the auditor logs in with, and known_hosts with a line for each host."""
    for name in ("id_ed25519", "host_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"]
        subprocess.run([*command, str(folder / name)], check=True)
    public = " ".join((folder / "host_key.pub").read_text().split()[:2])
    lines = "".join(f"{address(i)} {public}\n" for i in range(hosts))
    (folder / "known_hosts").write_text(lines)


def main() -> None:
    """Write everything."""
    folder, hosts, few = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    keys(folder, hosts)
    ordinary(folder / "ordinary")
    testinfra(folder / "infra", folder / "id_ed25519", folder / "known_hosts")
    ansible(folder / "ansible", folder / "infra/plain", few)
    suite.write(folder / "suite")


if __name__ == "__main__":
    main()
