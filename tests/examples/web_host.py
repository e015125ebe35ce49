"""A host that answers the commands of a testinfra suite as a web server on Debian would."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.ssh_server import Handler, Session, canned

Answer = tuple[int, str]

SS = """State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess
LISTEN 0      128          0.0.0.0:22         0.0.0.0:*
LISTEN 0      511          0.0.0.0:80         0.0.0.0:*
LISTEN 0      511          0.0.0.0:443        0.0.0.0:*
"""
DEBIAN: Mapping[str, Answer] = {
    "uname -s": (0, "Linux\n"),
    "uname -m": (0, "x86_64\n"),
    "cat /etc/os-release": (0, 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n'),
    "test -d /run/systemd/system/": (0, ""),
    "realpath /sbin/init": (0, "/usr/lib/systemd/systemd\n"),
    "command -v command": (0, "command\n"),
    "command -v systemctl": (0, "/usr/bin/systemctl\n"),
    "command -v ss": (0, "/usr/bin/ss\n"),
    "command -v sysctl": (0, "/usr/sbin/sysctl\n"),
    "systemctl is-active ssh": (0, "active\n"),
    "systemctl is-enabled ssh": (0, "enabled\n"),
    "systemctl is-active nginx": (0, "active\n"),
    "systemctl is-enabled nginx": (0, "enabled\n"),
    "/usr/bin/ss --numeric --listening --tcp": (0, SS),
    "test -e /etc/ssh/sshd_config": (0, ""),
    "test -f /etc/ssh/sshd_config": (0, ""),
    "stat -Lc %U /etc/ssh/sshd_config": (0, "root\n"),
    "stat -Lc %G /etc/ssh/sshd_config": (0, "root\n"),
    "stat -Lc %a /etc/ssh/sshd_config": (0, "644\n"),
    "id -u root": (0, "0\n"),
    "getent passwd root": (0, "root:x:0:0:root:/root:/bin/bash\n"),
    "getent passwd 0": (0, "root:x:0:0:root:/root:/bin/bash\n"),
    "getent passwd www-data": (0, "www-data:x:33:33::/var/www:/usr/sbin/nologin\n"),
    "id -nG www-data": (0, "www-data\n"),
    "dpkg-query -f '${Status}' -W nginx": (0, "install ok installed"),
    "dpkg-query -f '${Status}' -W openssl": (0, "install ok installed"),
    "dpkg-query -f '${Status} ${Version}' -W nginx": (0, "install ok installed 1.26.3-3"),
    "test -d /var/www/html": (0, ""),
    "stat -Lc %U /var/www/html": (0, "root\n"),
    "stat -Lc %a /var/www/html": (0, "755\n"),
    "stat -Lc %U /etc/nginx": (0, "root\n"),
    "grep -qs -- Welcome /var/www/html/index.html": (0, ""),
    "/usr/sbin/sysctl -n net.ipv4.ip_forward": (0, "0\n"),
    "/usr/sbin/sysctl -n net.core.somaxconn": (0, "4096\n"),
}


def web_host(
    sections: Mapping[str, str] | None = None, changed: Mapping[str, Answer] | None = None
) -> Handler:
    """Return a handler that answers commands from the table, and the host script with sections.

    Args:
        sections: What the host script finds.
        changed: Answers that differ from the table.
    """
    table = {**DEBIAN, **(changed or {})}
    script = canned({name: text.encode() for name, text in (sections or {}).items()})

    async def answer(session: Session) -> None:
        if "sh -s" in session.command:
            await script(session)
            return
        rc, text = table.get(session.command, (127, f"not in the table: {session.command}\n"))
        session.write(text.encode())
        session.exit(rc)

    return answer
