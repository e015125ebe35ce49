"""Root file systems of the hosts: one a Debian release, and thin layers above it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .cache import Cache
from .command import LabError, run

# All that is started so ends with this process, also when it is killed, and its mounts with it.
MORTAL = (
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation=private", "--pid"),
    "--kill-child",
)
_COMMON_PACKAGES = (
    "systemd-sysv dbus libpam-systemd netbase openssh-server sudo iproute2 procps ca-certificates "
    "openssl curl nftables rsyslog cron logrotate less"
)
_HOST_PACKAGES = f"{_COMMON_PACKAGES} ufw iptables unattended-upgrades"
_RPM_PACKAGES = "firewalld rpm dnf createrepo-c"
_NO_DEBIAN_TOOLS = "apt-get -q -y purge ufw unattended-upgrades\n"
_DRESS = Path(__file__).with_name("dress")

# The archive's state may be older than its own Valid-Until says; the lab wants it all the same.
_APT_OPTIONS = ("Acquire::Check-Valid-Until=false", "Acquire::Check-Date=false")
_APT = (
    f"apt-get -q -y {' '.join(f'-o {option}' for option in _APT_OPTIONS)} "
    "-o Acquire::Languages=none -o Dpkg::Options::=--force-unsafe-io "
    "-o Dpkg::Use-Pty=0 --no-install-recommends"
)

_ACCOUNTS = """
useradd --uid 1000 --create-home --shell /bin/bash audit
useradd --uid 1001 --create-home --shell /bin/bash noroot
install -m 440 /dev/stdin /etc/sudoers.d/90-audit <<'END'
audit ALL=(ALL) NOPASSWD:ALL
END
rm -f /etc/ssh/ssh_host_*_key* /etc/apt/apt.conf.d/99mmdebstrap
"""

# Old forms of a package with a security update, and the package auditd, so that a defect can
# take a running host back and forth without a network.
_KEPT_PACKAGES = f"""
mkdir /debs && cd /debs
{_APT} update
for name in openssl curl libssl3 sudo libc-bin $({_APT} -s dist-upgrade |
    awk '/^Inst .*Debian-Security/ {{print $2}}'); do
  fixed=$({_APT} -s dist-upgrade | sed -n "s/^Inst $name \\[[^]]*\\] (\\([^ ]*\\).*Security.*/\\1/p")
  [ -n "$fixed" ] || continue
  {_APT} download "$name=$(dpkg-query -W -f '${{Version}}' "$name")" && mv *.deb old.deb
  {_APT} download "$name=$fixed" && mv "$name"_*.deb new.deb
  break
done
{_APT} dist-upgrade
{_APT} download auditd && mv auditd_*.deb auditd.deb
cd / && apt-get clean && apt-cache gencaches
"""

# Shells and awks, unpacked into a folder of its own: above any other root they are programs alone.
_SHELLS = """
mkdir /debs /tools && cd /debs
apt-get -q download gawk busybox $(
    dpkg-query -W -f '${Package}\n' libmpfr6 libgmp10 libreadline8 libsigsegv2)
for package in *.deb; do dpkg-deb -x "$package" /tools; done
mkdir -p /tools/usr/bin
for folder in bin lib; do
    [ ! -d /tools/$folder ] || cp -a /tools/$folder/. /tools/usr/$folder
    rm -rf /tools/$folder
done
rm -rf /debs /tools/etc /tools/usr/share
"""

# Of apt's indexes what is about installed packages: reading all of them takes seconds, and half a
# minute where the processor is emulated.
_FEW_PACKAGES = """
dpkg-query -W -f '${Package}\\n' >/tmp/installed
for index in /var/lib/apt/lists/*_Packages; do
    awk 'NR == FNR { installed[$1]; next } $2 in installed' /tmp/installed \\
        RS= ORS='\\n\\n' "$index" >/tmp/few
    cp /tmp/few "$index"
done
rm /tmp/*
apt-cache gencaches
"""


@dataclass(frozen=True)
class Layer:
    """How a root is made.

    Attributes:
        suite: The Debian release.
        parent: The layer below; "" for a root made by mmdebstrap.
        packages: Installed in it, beside what the layer below has.
        sources: Suites of its package sources: ``-updates`` and ``-security`` as suffixes.
        script: Run by sh inside it, at last.
    """

    suite: str
    parent: str = ""
    packages: str = ""
    sources: tuple[str, ...] = ("", "-updates", "-security")
    script: str = ""


def _dressed(mechanism: str, name: str) -> str:
    """What makes a Debian root look like another distribution, files of the folder ``dress``."""
    return "".join((_DRESS / f"{part}.sh").read_text() for part in (name, mechanism))


LAYERS = {
    "bookworm": Layer(
        "bookworm", packages=f"{_HOST_PACKAGES} auditd", sources=("",), script=_ACCOUNTS
    ),
    "bookworm-full": Layer("bookworm", parent="bookworm", script=_KEPT_PACKAGES),
    "bookworm-nginx": Layer("bookworm", parent="bookworm-full", packages="nginx"),
    "bookworm-apache": Layer("bookworm", parent="bookworm-full", packages="apache2"),
    "bookworm-stale": Layer(
        "bookworm",
        parent="bookworm",
        packages="nginx",
        script=f"{_APT} update && apt-cache gencaches",
    ),
    "bookworm-wget": Layer("bookworm", parent="bookworm", packages="wget", sources=("",)),
    "bookworm-few": Layer("bookworm", parent="bookworm-full", script=_FEW_PACKAGES),
    "bookworm-few-stale": Layer("bookworm", parent="bookworm-stale", script=_FEW_PACKAGES),
    "bookworm-machine": Layer(
        "bookworm",
        parent="bookworm-nginx",
        packages="linux-image-cloud-amd64 grub-pc qemu-guest-agent kmod apparmor",
        script=_FEW_PACKAGES,
    ),
    "bullseye": Layer("bullseye", packages=f"{_HOST_PACKAGES} auditd", script=_ACCOUNTS),
    "trixie": Layer("trixie", packages=_HOST_PACKAGES, script=_ACCOUNTS),
    # ACME clients, the servers that they get certificates for, and an authority.
    "trixie-acme": Layer(
        "trixie",
        parent="trixie",
        packages="nginx apache2 pebble lego uacme dehydrated acme.sh "
        "certbot python3-certbot-nginx python3-certbot-apache",
    ),
    "forky": Layer("forky", packages=_COMMON_PACKAGES, sources=("",), script=_ACCOUNTS),
    "shells": Layer(
        "bookworm", parent="bookworm", packages="gawk busybox", sources=("",), script=_SHELLS
    ),
    "bare": Layer("bookworm", packages="git python3 python3-venv"),
    "almalinux-9": Layer(
        "bookworm",
        parent="bookworm",
        packages=_RPM_PACKAGES,
        sources=("",),
        script=_NO_DEBIAN_TOOLS + _dressed("rpm", "almalinux-9"),
    ),
    "trixie-rpm": Layer(
        "trixie",
        parent="trixie",
        packages=f"{_RPM_PACKAGES} auditd",
        script=_NO_DEBIAN_TOOLS,
    ),
    "rocky-10": Layer(
        "trixie", parent="trixie-rpm", packages="nginx", script=_dressed("rpm", "rocky-10")
    ),
    "centos-10": Layer(
        "trixie", parent="trixie-rpm", packages="tcsh", script=_dressed("rpm", "centos-10")
    ),
    "fedora-44": Layer(
        "forky",
        parent="forky",
        packages="auditd rpm dnf5 createrepo-c",
        sources=("",),
        script=_dressed("rpm", "fedora-44"),
    ),
    "ubuntu-24.04": Layer(
        "trixie",
        parent="trixie",
        packages="auditd apt-utils",
        script=_dressed("ubuntu", "ubuntu-24.04"),
    ),
    "ubuntu-26.04": Layer(
        "forky",
        parent="forky",
        packages="auditd apt-utils fish nginx rust-coreutils sudo-rs ufw unattended-upgrades",
        sources=("",),
        script=_dressed("ubuntu", "ubuntu-26.04"),
    ),
}


@dataclass(frozen=True)
class Root:
    """A root to mount.

    Attributes:
        folders: The layers, uppermost first, as overlayfs wants them.
        packages: Folder of the package files that defects install; it may be missing.
    """

    folders: tuple[Path, ...]
    packages: Path

    @property
    def lowerdir(self) -> str:
        """The layers as the mount option has them."""
        return ":".join(map(str, self.folders))


def root(cache: Cache, name: str) -> Root:
    """Return a layer and all below it, making what is missing."""
    layer = LAYERS[name]
    below = root(cache, layer.parent) if layer.parent else None
    definition = _definition(name)
    folder = cache.get(f"root-{name}", definition, lambda part: _make(layer, below, part))
    folders = (folder / "root", *(below.folders if below else ()))
    own = folder / "packages"
    return Root(folders, own if own.exists() or below is None else below.packages)


def _definition(name: str) -> str:
    layer = LAYERS[name]
    return repr(
        (layer, _ENTER, _sources(layer), _definition(layer.parent) if layer.parent else "")
    )


def _make(layer: Layer, below: Root | None, part: Path) -> None:
    target = part / "root"
    if below is None:
        _bootstrap(layer, target)
        folders: tuple[Path, ...] = ()
    else:
        target.mkdir()
        folders = below.folders
    _write_sources(layer, target)
    script = layer.script
    if below and layer.packages:
        script = f"{_APT} install {layer.packages}\napt-get clean\napt-cache gencaches\n{script}"
    inside(target, folders, part / "work", script, network=True)
    if (target / "debs").exists():
        (target / "debs").rename(part / "packages")


def _bootstrap(layer: Layer, target: Path) -> None:
    options = [f"--aptopt={option.replace('=', ' ')}" for option in _APT_OPTIONS]
    packages = ",".join(layer.packages.split())
    run(
        [
            *(
                *MORTAL,
                "--mount-proc",
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                "--skip=cleanup/apt/lists",
            ),
            *(f"--include={packages}", *options, layer.suite, str(target), "-"),
        ],
        stdin="".join(f"deb {address} {suite} main\n" for address, suite in _sources(layer)),
    )
    (target / "etc/resolv.conf").write_text("")  # no network, no name server


def _sources(layer: Layer) -> list[tuple[str, str]]:
    main, security = archive()
    return [
        (security if suffix == "-security" else main, f"{layer.suite}{suffix}")
        for suffix in layer.sources
    ]


@cache
def archive() -> tuple[str, str]:
    """Addresses of Debian's archive and of its security archive, from this machine's apt."""
    found = run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    )
    addresses = dict(line.split(maxsplit=1) for line in found.stdout.splitlines())
    try:
        return addresses["Debian"], addresses["Debian-Security"]
    except KeyError as error:
        raise LabError(f"apt has no index of {error}; run apt-get update") from error


def _write_sources(layer: Layer, target: Path) -> None:
    folder = target / "etc/apt/sources.list.d"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    stanzas = [
        f"Types: deb\nURIs: {address}\nSuites: {suite}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        for address, suite in _sources(layer)
    ]
    (folder / "debian.sources").write_text("\n".join(stanzas))
    (target / "etc/apt/sources.list").unlink(missing_ok=True)


def inside(
    upper: Path,
    lower: Sequence[Path],
    work: Path,
    script: str,
    *,
    parcel: Path | None = None,
    network: bool = False,
) -> None:
    """Run a script by sh in a root that is not booted; its services do not start.

    Args:
        upper: Where what the script writes goes; the root itself where there are no layers below.
        lower: The layers below, uppermost first.
        work: A folder for overlayfs, beside ``upper``; it is removed afterwards.
        script: What to run.
        parcel: A folder that the script sees on ``/mnt``.
        network: Whether the script reaches this machine's package archive.

    Raises:
        LabError: A command in the script failed.
    """
    mountpoint = work / "root"
    for folder in (mountpoint, work / "work"):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work / 'work'}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options] if lower else [
        "mount", "--bind", str(upper)
    ]  # fmt: skip
    unshare = [*MORTAL, *([] if network else ["--net"])]
    arguments = [script, str(parcel or ""), str(mountpoint), *mount, str(mountpoint)]
    try:
        run([*unshare, "sh", "-euc", _ENTER, "sh", *arguments])
    finally:
        shutil.rmtree(work, ignore_errors=True)


_ENTER = """
script=$1 parcel=$2 root=$3; shift 3
"$@"
[ -z "$parcel" ] || mount --bind "$parcel" "$root/mnt"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
[ -n "$parcel" ] || mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\\nexit 101\\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
trap 'rm -f "$root/usr/sbin/policy-rc.d"' EXIT
chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \\
  DEBIAN_FRONTEND=noninteractive sh -euc "$script"
"""
