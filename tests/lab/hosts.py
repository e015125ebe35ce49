"""The hosts of the lab, and what is put on each before it starts."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from .identity import Identity
from .network import Address

# What can be set up on a host: the files of `parts/<part>/`, then the script `parts/<part>.sh`.
_PARTS = Path(__file__).with_name("parts")


@dataclass(frozen=True)
class HostSpec:
    """One host.

    Attributes:
        name: Its host name, and the Droplet's name.
        number: Last number of its addresses; the Droplet's id ends in it too.
        distribution: Its ``ID`` and ``VERSION_ID`` as far as it names a release, as ``debian-12``.
        layer: The root it runs on.
        parts: What is set up on it, names in the folder ``parts``.
        served_names: Names for which it answers on port 443, with a certificate of the lab's.
        defects: What is wrong with it, keys of ``DEFECTS``; those that its root does not bring
            are introduced when it runs.
        machine: Whether it is a virtual machine with a kernel of its own.
    """

    name: str
    number: int
    distribution: str
    layer: str
    parts: tuple[str, ...] = ()
    served_names: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    machine: bool = False

    @property
    def droplet_id(self) -> int:
        """The id under which the API lists it, and which it names itself."""
        return 417_000_000 + self.number

    @property
    def address(self) -> Address:
        """Its addresses on both networks."""
        return Address(self.number)


_CONTAINER = ("keys-only", "firewall", "audit", "audit-without-kernel")
_WEB = (*_CONTAINER, "nginx")
_UBUNTU = ("keys-only", "ssh-socket", "ufw", *_CONTAINER[2:])
_RPM = ("keys-only", *_CONTAINER[2:])

SPECS = {
    spec.name: spec
    for spec in (
        HostSpec(
            "web-clean",
            11,
            "debian-12",
            "bookworm-nginx",
            parts=("keys-only", "strict-ssh", "ufw", "audit", "audit-without-kernel", "nginx"),
            served_names=("web.example.com",),
        ),
        HostSpec(
            "web-password",
            12,
            "debian-12",
            "bookworm-nginx",
            parts=("password-in-main", *_WEB[1:]),
            served_names=("www.example.com",),
            defects=("ssh.password-dropin", "ssh.password-account"),
        ),
        HostSpec(
            "db-noauditd",
            13,
            "debian-13",
            "trixie",
            parts=("keys-only", "no-penalties", "firewall"),
            defects=("auditd.never-installed",),
        ),
        HostSpec(
            "shop-expired",
            14,
            "debian-12",
            "bookworm-apache",
            parts=(*_CONTAINER, "apache"),
            served_names=("shop.example.com",),
            defects=("tls.expired",),
        ),
        HostSpec(
            "app-foreignkey",
            15,
            "ubuntu-24.04",
            "ubuntu-24.04",
            parts=(*_UBUNTU, "no-penalties"),
            defects=("sshkeys.foreign-key",),
        ),
        HostSpec(
            "old-bullseye",
            16,
            "debian-11",
            "bullseye",
            parts=_CONTAINER,
            defects=("os.end-of-life",),
        ),
        HostSpec(
            "web-stale",
            17,
            "debian-12",
            "bookworm-stale",
            parts=_WEB,
            served_names=("stale.example.com",),
            defects=("patches.never-upgraded",),
        ),
        HostSpec(
            "shop-selfsigned",
            18,
            "rocky-10",
            "rocky-10",
            parts=(*_RPM, "no-penalties", "nginx", "nginx-as-rpm", "firewalld-web"),
            served_names=("store.example.com",),
            defects=("tls.self-signed",),
        ),
        HostSpec(
            "rpm-host",
            19,
            "almalinux-9",
            "almalinux-9",
            parts=_RPM,
            defects=("patches.never-upgraded",),
        ),
        HostSpec(
            "vm-audit",
            20,
            "debian-12",
            "bookworm-machine",
            parts=("keys-only", "strict-ssh", "firewall", "audit", "nginx", "machine"),
            served_names=("vm.example.com",),
            machine=True,
        ),
        HostSpec(
            "queue-centos",
            21,
            "centos-10",
            "centos-10",
            parts=(*_RPM, "no-penalties", "shell-csh"),
        ),
        HostSpec(
            "cache-fedora",
            22,
            "fedora-44",
            "fedora-44",
            parts=(*_RPM, "no-penalties", "firewall"),
        ),
        HostSpec(
            "api-ubuntu",
            23,
            "ubuntu-26.04",
            "ubuntu-26.04",
            parts=(*_UBUNTU, "no-penalties", "nginx", "shell-fish"),
            served_names=("api.example.com",),
        ),
    )
}


def parcel(spec: HostSpec, identity: Identity, folder: Path) -> str:
    """Write what is put on a host into a folder, as a tree.

    Returns:
        A script to run on the host's root, where the folder is mounted on ``/mnt``.
    """
    files = {
        "etc/hostname": f"{spec.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {spec.name}\n::1 localhost ip6-localhost\n",
        "etc/machine-id": hashlib.md5(spec.name.encode()).hexdigest() + "\n",
        "var/lib/cloud/data/instance-id": f"{spec.droplet_id}\n",
        **{
            f"{home}/.ssh/authorized_keys": identity.account_key
            for home in ("root", "home/audit", "home/noroot")
        },
    }
    for name in spec.served_names[:1]:
        chain, key = identity.authority.issue(name)
        files |= {"etc/ssl/certs/site.pem": chain, "etc/ssl/private/site.key": key}
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    for key_file in identity.host_keys(spec.name):
        (folder / "etc/ssh").mkdir(exist_ok=True)
        shutil.copy(key_file, folder / "etc/ssh")
    scripts = []
    for part in spec.parts:
        _copy(_PARTS / part, folder, spec)
        if (script := _PARTS / f"{part}.sh").exists():
            scripts.append(script.read_text())
    return "\n".join((_PUT, *scripts, FRESH))


def parts_text(spec: HostSpec) -> str:
    """Everything that a host's parts put on it: another text is another host."""
    texts = [_PUT, FRESH]
    for part in spec.parts:
        files = [_PARTS / f"{part}.sh", *sorted((_PARTS / part).rglob("*"))]
        texts += [f"{file}\n{file.read_text()}" for file in files if file.is_file()]
    return "\n".join(texts)


def _copy(source: Path, folder: Path, spec: HostSpec) -> None:
    values = {
        "NAME": "".join(spec.served_names[:1]),
        "PUBLIC_V4": spec.address.public_v4,
        "PUBLIC_V6": spec.address.public_v6,
        "PRIVATE_V4": spec.address.private_v4,
    }
    for file in filter(Path.is_file, source.rglob("*")):
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text()
        for word, value in values.items():
            text = text.replace(f"@{word}@", value)
        target.write_text(text)


_PUT = """
cp -r /mnt/. /
chmod 700 /root/.ssh /home/*/.ssh
chmod 600 /root/.ssh/* /home/*/.ssh/* /etc/ssh/ssh_host_*_key
for user in audit noroot; do chown -R $user:$user /home/$user/.ssh; done
if [ -e /etc/ssl/private/site.key ]; then chmod 600 /etc/ssl/private/site.key; fi
"""

# A root may be a week old, and the archive's own state older: a host whose indexes were refreshed
# and whose timers ran a moment ago. A timer that is due would also write while a test listens.
FRESH = """
if [ -d /var/lib/apt/lists ]; then
  mkdir -p /var/lib/apt/periodic
  touch /var/lib/apt/lists/partial /var/lib/apt/periodic/update-stamp \\
    /var/lib/apt/periodic/unattended-upgrades-stamp
  for index in $(ls /var/lib/apt/lists/*_InRelease 2>/dev/null); do
    until=$(sed -n 's/^Valid-Until: //p' "$index")
    if [ -n "$until" ] && [ "$(date -d "$until" +%s)" -lt "$(date -d '+2 days' +%s)" ]; then
      sed -i "s/^Date: .*/Date: $(date -u -R)/
        s/^Valid-Until: .*/Valid-Until: $(date -u -R -d '+7 days')/" "$index"
    fi
  done
fi
for index in /var/cache/dnf/*/repodata/repomd.xml /var/cache/libdnf5/*/repodata/repomd.xml; do
  if [ -e "$index" ]; then touch "$index"; fi
done
# It cleans a quarter of an hour after the start, in the middle of whichever test runs then.
ln -sf /dev/null /etc/systemd/system/systemd-tmpfiles-clean.timer
mkdir -p /var/lib/systemd/timers
for timer in /etc/systemd/system/timers.target.wants/*.timer; do
  touch "/var/lib/systemd/timers/stamp-${timer##*/}"
done
"""
