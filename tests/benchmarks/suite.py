"""A testinfra suite of twenty ordinary assertions, and what a host answers to its commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.support.ssh_server import nonce_of, sections_of

SUITE = """
def test_nginx_is_installed(host):
    assert host.package("nginx").is_installed

def test_nginx_has_a_version(host):
    assert host.package("nginx").version == "1.22.1-9"

def test_ssh_is_installed(host):
    assert host.package("openssh-server").is_installed

def test_nginx_runs(host):
    assert host.service("nginx").is_running

def test_nginx_is_enabled(host):
    assert host.service("nginx").is_enabled

def test_ssh_runs(host):
    assert host.service("ssh").is_running

def test_auditd_is_enabled(host):
    assert host.service("auditd").is_enabled

def test_sshd_config_is_there(host):
    assert host.file("/etc/ssh/sshd_config").is_file

def test_sshd_config_is_roots(host):
    assert host.file("/etc/ssh/sshd_config").user == "root"

def test_sshd_config_has_its_mode(host):
    assert host.file("/etc/ssh/sshd_config").mode == 0o644

def test_root_may_not_log_in(host):
    assert host.file("/etc/ssh/sshd_config").contains("^PermitRootLogin no")

def test_the_page_is_there(host):
    assert host.file("/var/www/html/index.html").content_string == "hello\\n"

def test_there_is_a_deploy_user(host):
    assert host.user("deploy").uid == 1000

def test_deploy_has_a_shell(host):
    assert host.user("deploy").shell == "/bin/bash"

def test_deploy_is_in_sudo(host):
    assert "sudo" in host.user("deploy").groups

def test_the_group_is_there(host):
    assert host.group("www-data").exists

def test_nothing_is_forwarded(host):
    assert host.sysctl("net.ipv4.ip_forward") == 0

def test_the_root_is_ext4(host):
    assert host.mount_point("/").filesystem == "ext4"

def test_nginx_has_workers(host):
    assert host.process.filter(comm="nginx")

def test_https_listens(host):
    assert host.socket("tcp://0.0.0.0:443").is_listening
"""

_ANSWERS = {
    "uname -s": "Linux\n",
    "uname -m": "x86_64\n",
    "cat /etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
    "dpkg-query -f '${Status}' -W": "install ok installed",
    "dpkg-query -f '${Status} ${Version}' -W": "install ok installed 1.22.1-9",
    "systemctl is-active": "active\n",
    "systemctl is-enabled": "enabled\n",
    "stat -Lc %U": "root\n",
    "stat -Lc %a": "644\n",
    "cat -- /var/www/html/index.html": "hello\n",
    "id -u": "1000\n",
    "id -nG": "deploy sudo\n",
    "getent passwd": "deploy:x:1000:1000::/home/deploy:/bin/bash\n",
    "/usr/bin/sysctl -n": "0\n",
    "cat /proc/mounts": "/dev/vda1 / ext4 rw,relatime 0 0\n",
    "stat -Lc %i /bin/ps": "11\n",
    "stat -Lc %i /bin/busybox": "12\n",
    "ps -Aww -o": "COMMAND %CPU PID %MEM STARTED COMMAND\n"
    "nginx 0.0 10 0.1 Sun Nov 22 09:00:00 2026 nginx: worker\n",
    "/usr/bin/ss --numeric --listening": "State Recv-Q Send-Q Local:Port Peer:Port\n"
    "LISTEN 0 511 0.0.0.0:443 0.0.0.0:*\n",
}
_BATCHED = re.compile(r"c\d+")


def write(folder: Path) -> None:
    """Write the suite as a project."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_suite.py").write_text(SUITE)


def said(command: str) -> bytes:
    """Return what a command of the suite prints; all of them succeed."""
    if command.startswith("command -v "):
        return f"/usr/bin/{command.rpartition(' ')[2]}\n".encode()
    longest = max((k for k in _ANSWERS if command.startswith(k)), key=len, default="")
    return _ANSWERS.get(longest, "").encode()


def batch(sent: bytes) -> bytes:
    """Return what the script of a batch prints; empty: it is another script."""
    commands = [asked for asked in sections_of(sent) if _BATCHED.fullmatch(asked.name)]
    if not commands:
        return b""
    mark = f"\n--{nonce_of(sent)} ".encode()
    parts = [mark + b"begin _id\n0\nroot\n" + mark + b"end _id rc=0\n"]
    for asked in commands:
        (command,) = shlex.split(asked.quoted)
        named = asked.name.encode()
        parts.append(
            mark + b"begin %s\n" % named + said(command) + mark + b"end %s rc=0\n" % named
        )
    return b"".join(parts) + mark + b"eof\n"
