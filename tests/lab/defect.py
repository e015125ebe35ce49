"""One thing that can be wrong with a host: introduced for real while it runs, and undone."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

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
        timeout_s: float = 300,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it."""


Undo = Callable[[], None]


@dataclass(frozen=True)
class Defect:
    """One defect; a new one is a row of ``DEFECTS``.

    Attributes:
        host: The host on which its verdicts are proved.
        flips: What the verdict of each check that it changes becomes there, and nothing else
            changes, of all checks that there are.
        files: What it writes, by path: text; None removes the file. All come back on undo.
        mode: Permission bits of those files that are new.
        script: Run on the host after the files are written.
        undo: Run on the host after the files have come back.
        packages: Package files that ``script`` or ``undo`` find in ``/run``.
        built_in: The host's root has it: it can neither be introduced nor undone.
    """

    host: str
    flips: Mapping[str, str]
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
        host.run(f"set -eu\n{script}", timeout_s=600, check=True)
        if copies:
            host.run(["rm", *copies], check=True)


def _save(host: Host, files: Mapping[str, str | None]) -> bytes:
    """An archive of those files that are there, with owner, mode and time; as base64."""
    script = 'for path; do [ ! -e "/$path" ] || printf "%s\\0" "$path"; done |'
    script += " tar -C / --format=posix --null -T - -cf - | base64"
    paths = [path.removeprefix("/") for path in files]
    return host.run(["sh", "-c", script, "sh", *paths], check=True).stdout.encode()
