"""What the section of the authorized keys prints of a file: its own script, run for real."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pytest_droplet.connection.script import alone
from pytest_droplet.facts.sshkeys.authorized_keys import KEYS


def printed(keys: Path, folder: Path, tools: Mapping[str, str] | None = None) -> str:
    """Run the section on a host with one account, for which sshd reads the file.

    Args:
        keys: The file, wherever it lies.
        folder: Where the host's commands are put.
        tools: Programs in place of the machine's own, by the name that the script calls.
    """
    folder.mkdir(exist_ok=True)
    for name, program in (tools or {}).items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(shutil.which(program) or program)
    for name, said in {
        "sshd": f"authorizedkeysfile {keys}",
        "getent": "somebody:x:1000:1000::/nonexistent:/bin/sh",
        "systemctl": "",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\necho {shlex.quote(said)}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin"
    done = subprocess.run(
        [shutil.which("sh", path=path) or "sh", "-c", alone(KEYS)],
        env={"PATH": path, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode("utf-8", "replace")
