"""What the section of the authorized keys prints of a file: its own script, run for real."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pytest_droplet.connection.script import alone
from pytest_droplet.facts.sshkeys.authorized_keys import KEYS
from tests.support.ssh_server import SSHD


def proc_without_servers(folder: Path) -> Path:
    """Make what stands in the place of /proc on a host where nothing but its first process runs.

    Whoever is not root cannot tell which programs the machine's own processes run.
    """
    process = folder / "proc/1"
    if not process.exists():
        process.mkdir(parents=True)
        (process / "exe").symlink_to("/usr/sbin/init")
    return folder / "proc"


def printed(
    keys: Path,
    folder: Path,
    tools: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> str:
    """Run the section on a host with one account, for which sshd reads the file.

    Args:
        keys: The file, wherever it lies.
        folder: Where the host's commands are put.
        tools: Programs in place of the machine's own, by the name that the script calls.
        config: The configuration that the machine's sshd is asked for; without one, another
            program in its place names the file of keys.
    """
    folder.mkdir(exist_ok=True)
    for name, program in (tools or {}).items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(shutil.which(program) or program)
    (folder / "sshd_config").touch()
    log = f"debug2: load_server_config: filename {folder}/sshd_config"
    for name, said in {
        "sshd": f"authorizedkeysfile {keys}",
        "getent": "somebody:x:1000:1000::/nonexistent:/bin/sh",
        "systemctl": "",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\necho {shlex.quote(said)}\necho {log} >&2\n")
        (folder / name).chmod(0o755)
    if config is not None:
        (folder / "sshd").write_text(f'#!/bin/sh\nexec {SSHD} -f {config} "$@"\n')
    command = alone(KEYS).replace("/proc/", f"{proc_without_servers(folder)}/")
    path = f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin"
    done = subprocess.run(
        [shutil.which("sh", path=path) or "sh", "-c", command],
        env={"PATH": path, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode("utf-8", "replace")
