"""What can be wrong with a host: introduced for real while it runs, and undone."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .certificates import self_signed
from .command import LabError
from .identity import Identity


class Host(Protocol):
    """What a defect needs of a host."""

    @property
    def name(self) -> str:
        """Its host name."""

    @property
    def served_names(self) -> tuple[str, ...]:
        """Names that its certificate holds."""

    identity: Identity
    packages: Path

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        timeout_s: float = 60,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it."""


Undo = Callable[[], None]


@dataclass(frozen=True)
class Defect:
    """One defect; a new one is a row of ``DEFECTS``.

    Attributes:
        fails: Checks that must fail because of it.
        files: What it writes, by path: text; None removes the file. All come back on undo.
        mode: Permission bits of those files that are new.
        script: Run on the host after the files are written.
        undo: Run on the host after the files have come back.
        packages: Package files that ``script`` or ``undo`` find in ``/run``.
        built_in: The host's root has it: it can neither be introduced nor undone.
    """

    fails: tuple[str, ...]
    files: Callable[[Host], Mapping[str, str | None]] = field(default=lambda _: {})
    mode: int = 0o644
    script: str = ""
    undo: str = ""
    packages: tuple[str, ...] = ()
    built_in: bool = False

    def introduce(self, host: Host) -> Undo:
        """Bring the defect about, and return what undoes it.

        Raises:
            LabError: A command failed, or the defect is built in.
        """
        if self.built_in:
            raise LabError(f"{host.name}: this defect comes with a root, it cannot be introduced")
        files = self.files(host)
        saved = _save(host, files)

        def undo() -> None:
            if files:
                host.run(["rm", "-f", *files], check=True)
                host.run("base64 -d | tar -C / -xf -", stdin=saved, check=True)
            self._run(host, self.undo)

        try:
            for path, text in files.items():
                self._write(host, path, text)
            self._run(host, self.script)
        except LabError:
            undo()
            raise
        return undo

    def _write(self, host: Host, path: str, text: str | None) -> None:
        """Remove a file or write it; one that is there keeps owner and mode."""
        if text is None:
            host.run(["rm", "-f", path], check=True)
        else:
            script = f'[ -e "$1" ] || install -D -m {self.mode:o} /dev/null "$1"\ncat > "$1"'
            host.run(["sh", "-euc", script, "sh", path], stdin=text.encode(), check=True)

    def _run(self, host: Host, script: str) -> None:
        if not script:
            return
        copies = [f"/run/{package}" for package in self.packages]
        for copy in copies:
            content = (host.packages / Path(copy).name).read_bytes()
            host.run(["install", "-m", "644", "/dev/stdin", copy], stdin=content, check=True)
        host.run(f"set -eu\n{script}", timeout_s=240, check=True)
        if copies:
            host.run(["rm", *copies], check=True)


def _save(host: Host, files: Mapping[str, str | None]) -> bytes:
    """An archive of those files that are there, with owner, mode and time; as base64."""
    script = 'for path; do [ ! -e "/$path" ] || printf "%s\\0" "$path"; done |'
    script += " tar -C / --format=posix --null -T - -cf - | base64"
    paths = [path.removeprefix("/") for path in files]
    return host.run(["sh", "-c", script, "sh", *paths], check=True).stdout.encode()


_RELOAD_SSH = "systemctl reload ssh"
_RELOAD_WEB = (
    "for unit in nginx apache2; do\n"
    "  if systemctl -q is-active $unit; then systemctl reload $unit; fi\ndone"
)
_KEYS_ONLY = "/etc/ssh/sshd_config.d/00-keys-only.conf"
_CLOUD_INIT = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
_SOURCES = "/etc/apt/sources.list.d/debian.sources"
_WITHOUT_SECURITY = """awk 'BEGIN { RS = ""; ORS = "\\n\\n" } !/-security/'"""


def _password_dropin(_: Host) -> dict[str, str | None]:
    return {_KEYS_ONLY: None, _CLOUD_INIT: "PasswordAuthentication yes\n"}


def _certificate(chain: str, key: str) -> dict[str, str | None]:
    return {"/etc/ssl/certs/site.pem": chain, "/etc/ssl/private/site.key": key}


def _expired(host: Host) -> dict[str, str | None]:
    return _certificate(*host.identity.authority.issue(host.served_names[0], begins_days=-120))


def _self_signed(host: Host) -> dict[str, str | None]:
    return _certificate(*self_signed(host.served_names[0]))


def _foreign_key(host: Host) -> dict[str, str | None]:
    keys = host.identity.account_key + host.identity.foreign_key
    return dict.fromkeys(
        (f"{home}/.ssh/authorized_keys" for home in ("/root", "/home/audit")), keys
    )


DEFECTS = {
    "ssh.password-dropin": Defect(
        fails=("ssh.password-authentication-disabled", "ssh.only-publickey-offered"),
        files=_password_dropin,
        mode=0o600,
        script=_RELOAD_SSH,
        undo=_RELOAD_SSH,
    ),
    # Alone it breaks nothing: beside the drop-in `ssh.password-accounts-unreachable` fails.
    "ssh.password-account": Defect(
        fails=(),
        script="useradd --create-home --shell /bin/bash deploy\n"
        'echo "deploy:$(head -c 12 /dev/urandom | base64)" | chpasswd',
        undo="userdel --remove deploy 2>/dev/null",
    ),
    "ssh.keyboard-interactive": Defect(
        fails=("ssh.keyboard-interactive-disabled", "ssh.only-publickey-offered"),
        files=lambda _: {
            "/etc/ssh/sshd_config.d/00-keyboard.conf": "KbdInteractiveAuthentication yes\n"
        },
        script=_RELOAD_SSH,
        undo=_RELOAD_SSH,
    ),
    # The files are good again, the running server has read the bad ones.
    "ssh.not-reloaded": Defect(
        fails=("ssh.only-publickey-offered",),
        script=f"mv {_KEYS_ONLY} /run/keys-only\necho 'PasswordAuthentication yes' > {_CLOUD_INIT}\n"
        f"{_RELOAD_SSH}\nrm {_CLOUD_INIT}\nmv /run/keys-only {_KEYS_ONLY}",
        undo=_RELOAD_SSH,
    ),
    "sshkeys.foreign-key": Defect(fails=("sshkeys.host-keys-known",), files=_foreign_key),
    "auditd.removed": Defect(
        fails=("auditd.installed", "auditd.running"),
        script="dpkg --remove auditd",
        undo="dpkg --install /run/auditd.deb",
        packages=("auditd.deb",),
    ),
    "auditd.never-installed": Defect(fails=("auditd.installed", "auditd.running"), built_in=True),
    # Only where the kernel lets auditctl in: on the virtual machine.
    "auditd.rules-flushed": Defect(
        fails=("auditd.rules-loaded", "auditd.rules-persistent"),
        script="auditctl -D",
        undo="augenrules --load",
    ),
    "firewall.flushed": Defect(
        fails=("firewall.host-active", "firewall.host-default-deny"),
        script="nft flush ruleset",
        undo="if systemctl -q is-enabled nftables\nthen systemctl restart nftables\n"
        "else systemctl restart ufw\nfi",
    ),
    "os.end-of-life": Defect(fails=("os.release-supported",), built_in=True),
    "patches.never-upgraded": Defect(
        fails=("patches.no-pending-security-updates", "patches.no-pending-updates"),
        built_in=True,
    ),
    "patches.no-security-source": Defect(
        fails=("patches.index-trustworthy",),
        script=f"cp -p {_SOURCES} /run/debian.sources\n"
        f"{_WITHOUT_SECURITY} /run/debian.sources > {_SOURCES}",
        undo=f"cp -p /run/debian.sources {_SOURCES}\nrm /run/debian.sources",
    ),
    "patches.pending-security-update": Defect(
        fails=("patches.no-pending-security-updates", "patches.no-pending-updates"),
        script="dpkg --install /run/old.deb",
        undo="dpkg --install /run/new.deb",
        packages=("old.deb", "new.deb"),
    ),
    "patches.stale-index": Defect(
        fails=("patches.index-trustworthy",),
        script="touch -d '10 days ago' /var/lib/apt/lists/partial /var/lib/apt/periodic/*",
        undo="touch /var/lib/apt/lists/partial /var/lib/apt/periodic/*",
    ),
    "tls.expired": Defect(
        fails=("tls.not-expiring", "tls.chain-trusted"),
        files=_expired,
        script=_RELOAD_WEB,
        undo=_RELOAD_WEB,
    ),
    "tls.self-signed": Defect(
        fails=("tls.chain-trusted",),
        files=_self_signed,
        script=_RELOAD_WEB,
        undo=_RELOAD_WEB,
    ),
    "tls.server-stopped": Defect(
        fails=("tls.listening",),
        script="systemctl stop nginx",
        undo="systemctl start nginx",
    ),
}
