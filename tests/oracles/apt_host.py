"""A host whose apt is this machine's own, and whose packages, sources and pins are made up.

Nothing is installed, fetched or signed: the indexes lie where apt keeps what it has fetched.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cached_property
from pathlib import Path

from pytest_droplet.catalogue import shipped
from pytest_droplet.connection import script
from pytest_droplet.facts import all_facts
from pytest_droplet.model import SectionOutput, Verdict
from tests.checks.cases import Case

PENDING = "patches.no-pending-security-updates"
INDEX = "patches.index-trustworthy"
NOW = datetime.now(UTC).replace(microsecond=0)
_NONCE = "oracle"
_OS = 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n'

# Suite: address, Label, Suite, Codename; and the packages with their versions.
SUITES = {
    "bookworm": ("deb.example.com/debian", "Debian", "oldstable", "bookworm"),
    "bookworm-updates": (
        *("deb.example.com/debian", "Debian", "oldstable-updates", "bookworm-updates"),
    ),
    "bookworm-security": (
        *("security.example.com/debian-security", "Debian-Security"),
        *("oldstable-security", "bookworm-security"),
    ),
    "tools": ("tools.example.com/apt", "Tools", "tools", "tools"),
}
ARCHIVE = {
    "bookworm": {"alpha": "1.0", "beta": "1.0", "libgamma": "1.0", "kept": "1.0"},
    "bookworm-updates": {"beta": "1.0+upd1"},
    "bookworm-security": {"alpha": "1.0+sec1", "libgamma": "1.0+sec1"},
    "tools": {"alpha": "0.9", "kept": "3.0~tools1"},
}
BEHIND = {"alpha": "1.0", "beta": "1.0+upd1", "libgamma": "1.0", "kept": "3.0~tools1"}
CURRENT = {**BEHIND, "alpha": "1.0+sec1", "libgamma": "1.0+sec1"}
SOURCES = {"alpha": "alpha-source"}  # of another name than the package

Files = Mapping[str, str]


def why_not() -> str:
    """Tell why there is no such host here, in one line; "" where there can be one."""
    missing = [p for p in ("apt-get", "apt-config", "dpkg", "unshare") if shutil.which(p) is None]
    if missing:
        return f"not here: {', '.join(missing)}"
    if subprocess.run([*_namespace(), "true"], capture_output=True, check=False).returncode:
        return "no mount namespace can be made here"
    return ""


def _namespace() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--mount", "--propagation=private"]


class AptHost:
    """One such host; ``installed`` are the versions of its packages, ``held`` is on hold.

    ``archive`` is what each suite has; updates of ``phased`` suites are for no host yet. Files
    are given with each call, by absolute path below ``/etc/apt``, and are gone afterwards.
    """

    def __init__(
        self,
        folder: Path,
        installed: Mapping[str, str],
        archive: Mapping[str, Mapping[str, str]] | None = None,
        *,
        held: str = "",
        phased: str = "",
    ) -> None:
        self.folder = folder
        self.installed = dict(installed)
        self.archive = dict(ARCHIVE if archive is None else archive)
        self.held, self.phased = held, phased
        self.mode = 0o644
        self._write()

    @cached_property
    def architecture(self) -> str:
        """The name that dpkg has for this machine's."""
        asked = ["dpkg", "--print-architecture"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    def run(
        self, command: str, files: Files | None = None, *, shell: str = "sh -s"
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a shell on the host with these files and the command on its standard input."""
        written = files or {}
        for path, text in written.items():
            place = self._place(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(self.mode)
        mounts = "\n".join(
            f'mount --bind "{self.folder}/{inside}" "$(readlink -f {place})"'
            for inside, place in (
                *(("etc-apt", "/etc/apt"), ("lib-apt", "/var/lib/apt")),
                *(("dpkg", "/var/lib/dpkg"), ("cache", "/var/cache/apt")),
                *(("os-release", "/etc/os-release"),),
            )
        )
        # A host is no chroot, for which its apt would take this namespace.
        if chroot := shutil.which("ischroot"):
            mounts += f"\nmount --bind /bin/false {chroot}"
        try:
            return subprocess.run(
                [*_namespace(), "sh", "-euc", f"{mounts}\nexec {shell}"],
                input=command.encode(),
                capture_output=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
                check=False,
            )
        finally:
            for path in written:
                self._place(path).unlink()

    def sections(
        self, files: Files | None = None, *, shell: str = "sh -s"
    ) -> Mapping[str, SectionOutput]:
        """Return what the host script prints there, for the facts of both checks."""
        names = {name for check in (PENDING, INDEX) for name in shipped()[check].facts}
        wanted = [s for n in sorted(names & all_facts().keys()) for s in all_facts()[n].sections]
        os_release = all_facts()["droplet_os_release"].sections
        sections = script.distinct([*os_release, *wanted])
        answer = self.run(script.compose(sections, _NONCE), files, shell=shell)
        return script.parse(answer.stdout, sections, _NONCE).sections

    def verdicts(
        self, files: Files | None = None, *, shell: str = "sh -s"
    ) -> Mapping[str, Verdict]:
        """Return the verdicts of both checks on what the script printed."""
        table = {
            name: {
                key: getattr(output, key)
                for key in ("stdout", "stderr", "rc", "missing")
                if getattr(output, key) is not None
            }
            for name, output in self.sections(files, shell=shell).items()
        }
        return {
            check: Case(
                self.folder / check / "oracle.pass.toml",
                {"why": "real apt", "check": check, "now": NOW, "sections": table},
            ).judge()
            for check in (PENDING, INDEX)
        }

    def would_install(
        self, files: Files | None = None, *, options: str = "-o Debug::NoLocking=1"
    ) -> dict[str, str]:
        """Return versions by package that the real ``apt-get dist-upgrade`` would install."""
        answer = self.run(f"apt-get -s {options} dist-upgrade", files)
        lines = answer.stdout.decode().splitlines()
        words = [line.split() for line in lines if line.startswith("Inst ")]
        return {w[1]: w[3].lstrip("(") for w in words}

    def waiting(self) -> dict[str, str]:
        """Return what an administrator would get who lifts all pins and holds, of security alone.

        That is what real apt-get would install with the source of security updates and no other,
        also what it would phase.
        """
        address = SUITES["bookworm-security"][0]
        only = {"/etc/apt/security.list": f"deb http://{address} bookworm-security main\n"}
        options = (
            "Debug::NoLocking=1 Dir::Etc::preferences=/dev/null Dir::Etc::preferencesparts=/dev/null"
            " Dir::Etc::sourcelist=/etc/apt/security.list Dir::Etc::sourceparts=/dev/null"
            " APT::Default-Release= APT::Get::Always-Include-Phased-Updates=1"
            " Dir::Cache::pkgcache= Dir::Cache::srcpkgcache="
        )
        given = " ".join(f"-o {option}" for option in options.split())
        return self.would_install(only, options=f"--ignore-hold {given}")

    def set_installed(self, installed: Mapping[str, str]) -> None:
        """Write which packages dpkg says are installed, in which versions."""
        self.installed = dict(installed)
        (self.folder / "dpkg/status").write_text(
            "".join(
                self._stanza(
                    name,
                    version,
                    f"Status: {'hold' if name == self.held else 'install'} ok installed\n",
                )
                for name, version in self.installed.items()
            )
        )

    def _place(self, path: str) -> Path:
        return self.folder / "etc-apt" / path.removeprefix("/etc/apt/")

    def _write(self) -> None:
        lists = self.folder / "lib-apt/lists"
        for name in (
            *("etc-apt/sources.list.d", "etc-apt/preferences.d", "etc-apt/apt.conf.d"),
            *("lib-apt/lists/partial", "dpkg/info", "cache/archives/partial"),
        ):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "os-release").write_text(_OS)
        self.set_installed(self.installed)
        stanzas = []
        for suite, (address, label, archive, codename) in SUITES.items():
            phased = "Phased-Update-Percentage: 0\n" if suite == self.phased else ""
            stem = lists / f"{address}/dists/{suite}".replace("/", "_")
            stanzas.append(
                f"Types: deb\nURIs: http://{address}\nSuites: {suite}\nComponents: main\n"
            )
            Path(f"{stem}_InRelease").write_text(self._release(label, archive, codename))
            Path(f"{stem}_main_binary-{self.architecture}_Packages").write_text(
                "".join(
                    self._stanza(name, version, f"Filename: {name}.deb\nSize: 1\n{phased}")
                    for name, version in self.archive.get(suite, {}).items()
                )
            )
        (self.folder / "etc-apt/sources.list.d/debian.sources").write_text("\n".join(stanzas))

    def _stanza(self, name: str, version: str, more: str) -> str:
        source = f"Source: {SOURCES[name]}\n" if name in SOURCES else ""
        return (
            f"Package: {name}\n{source}Version: {version}\nArchitecture: all\n"
            f"Maintainer: x <x@example.com>\nDescription: x\n{more}\n"
        )

    def _release(self, label: str, archive: str, codename: str) -> str:
        origin = label.partition("-")[0]
        return (
            f"Origin: {origin}\nLabel: {label}\nSuite: {archive}\nCodename: {codename}\n"
            f"Version: 12\nDate: {format_datetime(NOW, usegmt=True)}\n"
            f"Valid-Until: {format_datetime(NOW + timedelta(days=7), usegmt=True)}\n"
            f"Architectures: {self.architecture} all\nComponents: main\n"
        )
