"""A login by a user whom the real sudo lets be root: for everything, or for ``sh -s`` alone."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_droplet.connection import script
from pytest_droplet.facts.ssh.sshd import SSHD
from pytest_droplet.model import Section, SectionOutput

REASON = ", ".join(tool for tool in ("sudo", "sshd", "unshare") if shutil.which(tool) is None)
REASON = REASON or ("" if os.geteuid() == 0 else "root")
pytestmark = pytest.mark.skipif(
    bool(REASON) and "CI" not in os.environ, reason=f"it needs what is not here: {REASON}"
)

CLIENT = "198.51.100.7"
WHO = Section("who", "id -u; /usr/bin/env", root=True)
# On hosts whose own rules let a user bring variables along, none reaches a section.
RULES = {
    "everything": "nobody ALL=(root) NOPASSWD: ALL\n",
    "sh -s alone": "nobody ALL=(root) NOPASSWD: /bin/sh -s\n",
    "sh -s by its other path": "nobody ALL=(root) NOPASSWD: /usr/bin/sh -s\n",
    "keeping variables": "Defaults !env_reset\nnobody ALL=(root) NOPASSWD: ALL\n",
    "with a pty": "Defaults use_pty\nnobody ALL=(root) NOPASSWD: ALL\n",
}


@pytest.fixture(scope="module")
def etc_ssh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that tells addresses apart, with a host key."""
    folder = tmp_path_factory.mktemp("ssh")
    (folder / "sshd_config").write_text(
        "Match Address 192.0.2.0/24\n  PasswordAuthentication yes\n"
    )
    key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "ssh_host_ed25519_key"]
    subprocess.run(key, check=True)
    return folder


def read(folder: Path, rules: str, etc_ssh: Path) -> Mapping[str, SectionOutput]:
    """Return what the script prints for a login of nobody, under these rules of sudo."""
    sudoers = folder / "sudoers"
    sudoers.write_text(rules)
    sudoers.chmod(0o440)
    mounts = f'mount --bind "{sudoers}" /etc/sudoers; mount --bind "{etc_ssh}" /etc/ssh'
    login = "exec setpriv --reuid=65534 --regid=65534 --clear-groups"
    sections = (WHO, SSHD)
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation=private", "sh", "-euc"),
            f'{mounts}; {login} sh -c "$1"',
            *("sh", script.remote_command()),
        ],
        input=script.compose(sections, "nonce").encode(),
        capture_output=True,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SSH_CONNECTION": f"{CLIENT} 50022 203.0.113.5 22",
            "GREP_OPTIONS": "-v",
        },
        check=False,
        timeout=120,
    )
    return script.parse(done.stdout, sections, "nonce").sections


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_whom_sudo_lets_reads_as_root(tmp_path: Path, etc_ssh: Path, rules: str) -> None:
    """The script runs as root, without the login's variables, and knows where it comes from."""
    sections = read(tmp_path, rules, etc_ssh)

    assert sections["who"].stdout.startswith("0\n"), sections
    assert "GREP_OPTIONS" not in sections["who"].stdout
    asked = {
        line.split()[1] for line in sections["sshd"].stdout.splitlines() if line.startswith("C ")
    }
    assert CLIENT in asked, sections["sshd"]


def test_whom_sudo_refuses_reads_as_itself(tmp_path: Path, etc_ssh: Path) -> None:
    """A rule for something else lets nobody in; sudo's own words are told."""
    sections = read(tmp_path, "nobody ALL=(root) NOPASSWD: /usr/bin/true\n", etc_ssh)

    assert sections["who"].missing == script.SKIPPED
    uid, user, said = sections["_id"].stdout.splitlines()
    assert (uid, user) == ("65534", "nobody")
    assert "password is required" in said
