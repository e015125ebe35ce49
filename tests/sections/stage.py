"""Roots that should print a text which a case file of the checks has: the other way round.

Each function takes such a text apart, and dresses a root so that its section prints it: where the
text says that a file has a line, the file gets it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from .test_firewall import WITHOUT_MODULES
from .test_host import METADATA


@dataclass
class Dressing:
    """How a root is dressed: see the attributes of a case."""

    files: dict[str, str] = field(default_factory=dict)
    prepare: list[str] = field(default_factory=list)
    root: str = "bookworm"

    def write(self, path: str, *lines: str) -> None:
        """Add lines to a file."""
        self.files[path] = self.files.get(path, "") + "".join(f"{line}\n" for line in lines)

    def write_at(self, path: str, number: int, line: str) -> None:
        """Put a line where its number says, with empty lines before it."""
        text = self.files.get(path, "")
        missing = number - 1 - text.count("\n")
        if missing < 0:
            raise ValueError(f"{path}: line {number} comes after later ones")
        self.files[path] = text + "\n" * missing + f"{line}\n"


def blocks(text: str, head: str = "== ") -> Iterator[tuple[str, list[str]]]:
    """Yield what stands behind each head, and the lines below it."""
    name, lines = "", []
    for line in text.splitlines():
        if line.startswith(head):
            yield name, lines
            name, lines = line.removeprefix(head), []
        else:
            lines.append(line)
    yield name, lines


_COPY = "[ ! -d /srv/files ] || cp -a /srv/files/. /"


def _printed(made: Dressing, lines: list[str]) -> list[str]:
    """Return the lines that are not of a gap; a file of one is made so that nobody can read it."""
    gaps = [line.removeprefix("!! ") for line in lines if line.startswith("!! /")]
    made.prepare += [f"unreadable {path}" for path in gaps]
    return [line for line in lines if not line.startswith("!! ")]


def one_file(path: str) -> Callable[[str], Dressing]:
    """Return what dresses a root with a file that is printed as it is."""

    def dress(text: str) -> Dressing:
        return Dressing({path: text}, [f"[ -s {path} ] || rm {path}"])

    return dress


def of_kernel(path: str) -> Callable[[str], Dressing]:
    """Return what puts a file in the place of one of the kernel."""

    def dress(text: str) -> Dressing:
        return Dressing({"/srv/file": text}, [f"mount --bind /srv/file {path}"])

    return dress


def files_of(*removed: str) -> Callable[[str], Dressing]:
    """Return what writes the files of a text, after ``removed`` of the root are gone."""

    def dress(text: str) -> Dressing:
        made = Dressing(prepare=[f"rm -rf {' '.join(removed)}", _COPY])
        for path, lines in blocks(text):
            readable = _printed(made, lines)
            if path.startswith("/"):
                made.write(f"/srv/files{path}", *readable)
        return made

    return dress


def audit_rules(text: str) -> Dressing:
    """Files of rules with their modes, and the users that they name."""
    made = Dressing(prepare=["rm -f /etc/audit/rules.d/* /etc/audit/audit.rules"])
    made.prepare.append(_COPY)
    path = ""
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "!!":
            made.prepare.append(
                f"{'unreadable' if rest.endswith('.rules') else 'unlistable'} {rest}"
            )
        elif kind == "F":
            mode, uid, path = rest.split(" ", 2)
            made.write(f"/srv/files{path}")
            made.prepare += [f"chmod {mode} {path}", f"chown {uid} {path}"]
        elif kind == "|":
            number, _, said = rest.partition(" ")
            made.write_at(f"/srv/files{path}", int(number), said)
        elif kind in {"U", "G"}:
            file = {"U": "passwd", "G": "group"}[kind]
            name = rest.partition(":")[0]
            made.prepare += [
                f"sed -i '/^{name}:/d' /etc/{file}",
                f"echo {shlex.quote(rest)} >>/etc/{file}",
            ]
    return made


def boot(text: str) -> Dressing:
    """Files of boot loaders."""
    made = Dressing(prepare=["rm -rf /etc/default/grub* /boot/*", _COPY])
    for path, lines in blocks(text, "F "):
        if path:
            made.write(f"/srv/files{path}", *_printed(made, lines))
    return made


def auditd_conf(text: str) -> Dressing:
    """The file by its numbers, and what else would send records away."""
    made = Dressing(prepare=["rm -rf /etc/audit/plugins.d/*"])
    conf, _, more = text.partition("==\n")
    for line in conf.splitlines():
        number, _, said = line.partition(":")
        made.write_at("/etc/audit/auditd.conf", int(number), said)
    for line in more.splitlines():
        if line.startswith("/"):
            made.prepare += [f"mkdir -p {PurePosixPath(line).parent}", f"echo active=yes >{line}"]
        elif line == "sendmail":
            made.prepare.append("cp /bin/true /usr/sbin/sendmail")
    if log := re.search(r"^\d+:log_file = (.*)$", conf, re.MULTILINE):
        made.prepare.append(f"mkdir -p {PurePosixPath(log[1]).parent}")
    return made


def apart(dress: Callable[[str], Dressing]) -> Callable[[str], Dressing]:
    """Return what writes the files of a text in which an empty line comes after each file."""

    def dress_apart(text: str) -> Dressing:
        made = dress(text)
        for path, lines in made.files.items():
            if lines == "\n" or lines.endswith("\n\n"):
                made.files[path] = lines.removesuffix("\n")
        return made

    return dress_apart


def firewall_files(text: str) -> Dressing:
    """The modules of the kernel, the switch of ufw, and files of nftables."""
    made = files_of("/etc/ufw", "/etc/nftables*")(text)
    head = next(blocks(text))[1]
    named = [line.removeprefix("module ") for line in head if line.startswith("module ")]
    built_in = " ".join(f"kernel/{name}.ko" for name in named)
    made.prepare += [
        'mkdir -p "/lib/modules/$(uname -r)"',
        f'printf "%s\\n" {built_in} >"/lib/modules/$(uname -r)/modules.builtin"',
        "mount -t tmpfs tmpfs /sys",
    ]
    for line in head:
        if line.startswith("ENABLED="):
            made.prepare += ["mkdir -p /etc/ufw", f"echo {shlex.quote(line)} >/etc/ufw/ufw.conf"]
    return made


def firewall_saved(text: str) -> Dressing:
    """The files of all managers, and the zones of interfaces."""
    removed = ("/etc/default/ufw", "/etc/ufw", "/etc/nftables*", "/etc/iptables")
    made = apart(files_of(*removed))(text)
    zones = [line[8:] for line in text.splitlines() if line.startswith("== zone ")]
    for number, zone in enumerate(zones):
        made.files |= {
            f"/etc/NetworkManager/system-connections/{number}": f"{zone.rpartition(':')[2]}\n"
        }
    return made


def nft(text: str) -> Dressing:
    """The ruleset, as nft itself reads JSON."""
    if text == "absent\n":
        return Dressing(prepare=[WITHOUT_MODULES])
    ruleset, _, tables = text.partition("\n== tables")
    items = [item for item in json.loads(ruleset)["nftables"] if "metainfo" not in item]
    items.sort(key=lambda item: _IN_ORDER.index(min(_IN_ORDER, key=lambda kind: kind not in item)))
    rules = json.dumps({"nftables": [_without_handles(item) for item in items]})
    made = Dressing({"/srv/rules": rules}, ["nft -j -f /srv/rules"])
    flagged = re.findall(r"^(table .*) \{\n\t(flags .*)$", tables, re.MULTILINE)
    made.prepare += [f"nft 'add {table} {{ {flags} ; }}'" for table, flags in flagged]
    return made


# A rule names chains and sets that are there before it; other objects come before these.
_IN_ORDER = ("table", "chain", "other", "set", "map", "element", "rule")


def _without_handles(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_handles(v) for k, v in node.items() if k not in {"handle", "metainfo"}}
    if isinstance(node, list):
        return [_without_handles(item) for item in node]
    return node


def iptables(text: str) -> Dressing:
    """The tables of each of the four programs."""
    made = Dressing()
    for name, lines in blocks(text):
        saved = [line for line in lines if not line.startswith("rc=")]
        saved = [line for line in saved if not line.startswith("#")]
        if name and saved:
            kind, six = name.removesuffix("6"), "6" if name.endswith("6") else ""
            made.write(f"/srv/{name}", *saved)
            made.prepare.append(f"ip{six}tables-{kind}-restore /srv/{name}")
    return made


def addresses(text: str) -> Dressing:
    """Interfaces with their addresses; lo is there."""
    by_name: dict[str, list[str]] = {}
    switch, *lines = text.splitlines()
    for line in lines:
        name, _, address = line.split()[1:4]
        if name != "lo" and not address.startswith("fe80:"):
            by_name.setdefault(name, []).append(address)
    made = Dressing(prepare=[f"interface {name} {' '.join(a)}" for name, a in by_name.items()])
    if switch == "1":
        made.prepare.append("sysctl -q net.ipv6.conf.all.disable_ipv6=1")
    return made


_HASHES = {"locked": "!", "set": "$y$x", "empty": "", "x": "x"}


def accounts(text: str) -> Dressing:
    """Passwd and shadow, with a hash where one is set."""
    made = Dressing(prepare=["cp /srv/nsswitch /etc/nsswitch.conf"])
    files = {"user": "/etc/passwd", "shadow": "/etc/shadow"}
    for line in _printed(made, text.splitlines()):
        kind, _, rest = line.partition(" ")
        if kind in files:
            name, state, *others = rest.split(":")
            made.write(files[kind], ":".join([name, _HASHES[state], *others]))
        elif kind == "nss":
            made.write("/srv/nsswitch", f"passwd:{rest}")
        elif kind == "uid-min":
            made.write("/etc/login.defs", f"UID_MIN {rest}")
    return made


_COVERED = (
    "/etc/localtime /etc/networks /etc/network /etc/netplan /etc/sysconfig /etc/issue*"
    " /etc/NetworkManager /etc/apparmor* /etc/selinux /usr/share/selinux /etc/pam.conf /etc/pam.d"
    " /var/log/lastlog /var/log/wtmp /var/log/btmp /etc/sudoers* /usr/bin/kmod /etc/nsswitch.conf"
    " /etc/security/opasswd /etc/gshadow /etc/hosts /etc/hostname"
)


def audit_cover(text: str) -> Dressing:
    """Paths that exist, and lines of a few files."""
    made = Dressing(
        root="bare", prepare=['config="/boot/config-$(uname -r)"', "rm -f /etc/sudoers.d/*"]
    )
    wanted = [line[2:] for line in text.splitlines() if line.startswith("E ")]
    made.prepare += [
        f"rm -rf {_COVERED}",
        *(f"[ -e {p} ] || {{ mkdir -p {p} && rmdir {p} && : >{p}; }}" for p in wanted),
    ]
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        quoted = shlex.quote(rest)
        if kind == "U":
            made.files["/etc/login.defs"] = f"{rest}\n"
        elif kind == "C":
            made.prepare.append(': >>"$config"')
        elif kind == "K":
            made.prepare.append(f'echo {quoted} >>"$config"')
        elif kind == "L":
            made.prepare.append(f"echo {quoted} >>/etc/sudoers")
    return made


def numbered_statements(text: str) -> Dressing:
    """Files of nginx: each statement on its line."""
    made = Dressing(root="bookworm-nginx", prepare=["rm -rf /etc/nginx", _COPY])
    if text.startswith("absent"):
        return Dressing()
    for path, lines in blocks(text):
        if not path:
            continue
        made.write(f"/srv/files{path}")
        for line in lines:
            if line.startswith("-- ") or line == "end":
                continue
            number, _, statement = line.partition(" ")
            _statement(made, f"/srv/files{path}", int(number), statement)
    return made


def _statement(made: Dressing, path: str, number: int, statement: str) -> None:
    """Put a statement on its line, beside those that stand there already."""
    text = made.files[path]
    if text.count("\n") == number:
        made.files[path] = f"{text[:-1]} {statement}\n"
    else:
        made.write_at(path, number, statement)


def apache(text: str) -> Dressing:
    """Files of Apache but those of its packages: each directive on its line."""
    if text.startswith("absent"):
        return Dressing()
    modules = re.findall(r"^ (ssl|md|macro)_module ", text, re.MULTILINE)
    made = Dressing(root="bookworm-apache", prepare=["rm -f /etc/apache2/sites-enabled/*", _COPY])
    made.prepare.append(f"a2enmod -q {' '.join(modules)}")
    for path, lines in blocks(text):
        if re.search("/(sites-enabled|ports.conf)", path):
            made.write(f"/srv/files{path}")
            for line in lines:
                number, _, directive = line.partition(" ")
                if directive:
                    made.write_at(f"/srv/files{path}", int(number), directive)
    return made


def _target(path: str, text: str) -> str:
    """Return the file that a key leads to: it lies in a folder that is not above its path."""
    lines = text.partition(f"key {path}\n")[2].split("\nkey ")[0].splitlines()
    folders = [line.split(" ", 4)[4] for line in lines if line.startswith("parent ")]
    others = [folder for folder in folders if not path.startswith(f"{folder}/")]
    return f"{max(others, key=len)}/{PurePosixPath(path).name}" if others else path


def certificates(text: str) -> Dressing:
    """A configuration that names the files, and the files with their modes and times."""
    made = Dressing(root="bookworm-nginx", prepare=["rm -rf /etc/nginx /etc/apache2"])
    path, missing = "", False
    kinds = {"cert": "ssl_certificate", "key": "ssl_certificate_key"}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind in kinds:
            path, missing = rest, False
            made.write("/srv/nginx.conf", f"{kinds[kind]} {path};")
        elif line == "missing":
            missing = True
        elif kind == "stat":
            mode, owner, group, when = rest.split()
            made.write(f"/srv/files{path}")
            target = _target(path, text)
            made.prepare += [
                f"mkdir -p {PurePosixPath(path).parent} {PurePosixPath(target).parent}",
                f"cp /srv/files{path} {target}",
                f"[ {path} = {target} ] || ln -sf {target} {path}",
                f"getent group {group} >/dev/null || groupadd {group}",
                f"id {owner} >/dev/null 2>&1 || useradd -g {group} {owner}",
                f"chmod {mode} {path}",
                f"chown {owner}:{group} {path}",
                f"touch -d @{when} {path}",
            ]
        elif kind == "parent":
            mode, owner, group, folder = rest.split(" ", 3)
            made.prepare += [
                f"mkdir -p {folder}",
                f"chmod {mode} {folder}",
                f"chown {owner}:{group} {folder}",
            ]
        elif line == "unread":
            made.prepare.append(f"unreadable {path}")
        elif line == "holds-key":
            made.write(f"/srv/files{path}", "-----BEGIN PRIVATE KEY-----")
        elif path and not missing and line != "end":
            made.write(f"/srv/files{path}", line)
    made.prepare += [
        "mkdir -p /etc/nginx",
        "[ ! -f /srv/nginx.conf ] || cp /srv/nginx.conf /etc/nginx/",
    ]
    return made


def automatic_updates(text: str) -> Dressing:
    """Settings of apt, and the state of the package; or files of dnf."""
    if "== /" in text or "/etc/dnf/" in text:
        made = files_of("/etc/dnf")(text)
        made.root = "almalinux-9"
        return made
    made = Dressing(prepare=["rm -rf /etc/apt/apt.conf.d/*", "cp /srv/conf /etc/apt/apt.conf.d/x"])
    made.write("/srv/conf")
    installed = False
    for line in text.splitlines():
        if line.startswith("package "):
            installed = True
            state = line.split()[1] if line.split()[1:] else ""
            made.prepare += _dpkg("unattended-upgrades", "2.9", state)
        else:
            made.write("/srv/conf", line if line.endswith(";") else f"{line};")
    if not installed:
        made.prepare += _dpkg("unattended-upgrades", "", "")
    return made


_WANTED = {"u": "unknown", "i": "install", "h": "hold", "r": "deinstall", "p": "purge"}
_STATES = {
    "n": "not-installed",
    "i": "installed",
    "c": "config-files",
    "F": "half-configured",
    "U": "unpacked",
    "H": "half-installed",
    "W": "triggers-awaited",
    "t": "triggers-pending",
}


def _dpkg(package: str, version: str, state: str) -> list[str]:
    """Return commands that give a package a state of dpkg; an empty one: it is unknown."""
    status = "/var/lib/dpkg/status"
    commands = [f"sed -i '/^Package: {re.escape(package)}$/,/^$/d' {status}"]
    if state:
        error = "reinstreq" if state[2:] == "R" else "ok"
        fields = [
            f"Package: {package}",
            f"Status: {_WANTED[state[0]]} {error} {_STATES[state[1]]}",
            "Architecture: amd64",
            *([f"Version: {version}"] if version else []),
            *("Maintainer: x <x@example.com>", "Description: x", ""),
        ]
        commands.append(f"printf '%s\\n' {shlex.join(fields)} >>{status}")
    return commands


def packages(text: str) -> Dressing:
    """Packages of dpkg with their states, as dpkg-query lists them."""
    made = Dressing()
    if "rpm" in text.split("\n", 1)[0]:
        raise ValueError("packages of rpm")
    for line in text.splitlines():
        if line.startswith(("==", "dpkg")):
            continue
        words = line.split()
        if re.fullmatch(r"[uihrp][nciFUHWt]R?", words[0]):
            state, name = words[0], words[1]
        else:
            name, state = words[:2]
        made.prepare += _dpkg(name, "".join(words[2:3]), state)
    return made


def reboot(text: str) -> Dressing:
    """The flag, and the packages that set it."""
    made = Dressing()
    head, *lines = text.splitlines()
    if head != "== dpkg":
        raise ValueError("packages of rpm")
    if lines[:1] == ["required"]:
        made.files |= {"/run/reboot-required": "*** System restart required ***\n"}
        if lines[1:]:
            made.write("/run/reboot-required.pkgs", *lines[1:])
    return made


def metadata_keys(text: str) -> Dressing:
    """What the metadata service serves."""
    keys = text.removesuffix("end\n").removesuffix("\n")
    return Dressing({"/srv/metadata/v1/public-keys": keys}, [METADATA])


def apt_index(text: str) -> Dressing:
    """Stamps with their times, and files of indexes."""
    lists = "/var/lib/apt/lists"
    made = Dressing(prepare=[f"rm -rf {lists}/* /var/lib/apt/periodic/*", f"mkdir -p {lists}"])
    made.prepare.append("[ ! -d /srv/lists ] || cp /srv/lists/* /var/lib/apt/lists/")
    for name, lines in blocks(text):
        if name == "stamps":
            for line in lines:
                when, path = line.split(" ", 1)
                making = (
                    "mkdir -p"
                    if path.endswith("partial")
                    else "mkdir -p /var/lib/apt/periodic; touch"
                )
                made.prepare += [f"{making} {path}", f"touch -d @{when} {path}"]
        elif name:
            cut = [line for line in lines if line.startswith("!! ")]
            made.write(f"/srv/lists/{name}", *(line for line in lines if line not in cut))
            made.prepare += [f"unreadable {lists}/{name}" for _ in cut]
    return made


def dnf_index(text: str) -> Dressing:
    """Cached files with their times, and files of repositories."""
    folders = ("/etc/yum.repos.d", "/etc/yum", "/etc/dnf", "/var/cache/dnf", "/usr/share/dnf5")
    made = apart(files_of(*folders))(text)
    for line in next(blocks(text))[1]:
        when, path = line.split(" ", 1)
        made.prepare += [f"mkdir -p {PurePosixPath(path).parent}", f"touch -d @{when} {path}"]
    return made


def renewal(text: str) -> Dressing:
    """Jobs of cron and certificates of Certbot; a program stands in for systemd."""
    made = Dressing(prepare=["rm -rf /etc/cron* /var/spool/cron", _COPY])
    timers = re.search(r"^timers\n((?:\w+=.*\n|\n)*)", text, re.MULTILINE)
    path, unit, services, lineage = "", "", {}, ""
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if re.fullmatch(r"\d+ cron", line):
            made.prepare += [
                "cp /usr/bin/sleep /srv/cron",
                "/srv/cron 1000 &",
                "until_true grep -qx cron /proc/$!/comm",
            ]
        elif line == "systemd":
            made.prepare.append("mkdir -p /run/systemd/system")
        elif kind == "service":
            path, unit = "", rest
            services[unit] = f"Id={unit}\n"
        elif kind == "lineage":
            lineage = f"/etc/letsencrypt/renewal/{rest}.conf"
            made.write(lineage)
        elif kind in {"renew_before_expiry", "authenticator", "autorenew", "manual_auth_hook"}:
            made.write(lineage, f"{kind} = {rest or '/srv/hook'}")
        elif kind == "cron":
            path = f"/srv/files{rest}"
            made.write(path)
            if "ly/" in path:
                made.prepare.append(f"chmod 755 {rest}")
        elif re.fullmatch("[056]", kind) and path:
            made.write(path, rest.replace(" system", " /run/systemd/system"))
        elif kind == "0":
            services[unit] += (
                f"ExecStart={{ path=/x ; argv[]={rest} ; ignore_errors=no ; pid=0 }}\n"
            )
    if timers:
        made.files["/srv/timers"] = timers[1].rstrip("\n") + "\n"
        cases = "".join(
            f"{unit}) echo {shlex.quote(shown)};;\n" for unit, shown in services.items()
        )
        shown = (
            'case "$*" in *ExecStart*) shift 3; for unit; do\n'
            f"case $unit in\n{cases}esac; echo; done ;; *) cat /srv/timers ;; esac"
        )
        made.prepare.append(f"stand_in systemctl {shlex.quote(shown)}")
    return made


STAGES: dict[str, Callable[[str], Dressing]] = {
    "os": one_file("/etc/os-release"),
    "debian_version": one_file("/etc/debian_version"),
    "ubuntu_pro": one_file("/var/lib/ubuntu-advantage/status.json"),
    "cmdline": of_kernel("/proc/cmdline"),
    "disks": of_kernel("/proc/partitions"),
    "audit_rules": audit_rules,
    "boot": boot,
    "auditd_conf": auditd_conf,
    "firewall_files": firewall_files,
    "firewall_saved": firewall_saved,
    "nft": nft,
    "iptables": iptables,
    "addresses": addresses,
    "accounts": accounts,
    "audit_cover": audit_cover,
    "audit_package": packages,
    "kernels": packages,
    "reboot": reboot,
    "nginx": numbered_statements,
    "apache": apache,
    "certificates": certificates,
    "automatic_updates": automatic_updates,
    "apt_sources": apart(files_of("/etc/apt/sources.list*")),
    "apt_index": apt_index,
    "dnf_index": dnf_index,
    "metadata_keys": metadata_keys,
    "renewal": renewal,
}
