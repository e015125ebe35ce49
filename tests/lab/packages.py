"""What the lab needs of the machine that it runs on."""

import os
import shutil
from pathlib import Path

# Debian package, and a program by which it is known to be there.
MACHINE_PACKAGES = {
    "e2fsprogs": "mke2fs",
    "iproute2": "ip",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "openssh-client": "ssh-keygen",
    "qemu-system-x86": "qemu-system-x86_64",
    "systemd-container": "systemd-nspawn",
    "util-linux": "nsenter",
}


def why_not() -> str:
    """Tell why no lab can run here, in one line; "" where it can."""
    missing = [
        package
        for package, program in MACHINE_PACKAGES.items()
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    ]
    if missing:
        return f"packages are missing: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "the lab makes network namespaces and mounts: it runs as root only"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun for the virtual machine"
    return ""
