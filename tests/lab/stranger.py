"""``python -m tests.lab.stranger root|user``: README's two commands, as a stranger runs them.

The machine is a Debian root with git, python3 and python3-venv, and nothing else; the commands are
taken from README.md as they stand there, and run in a fresh clone, with nothing activated. Of this
machine they see the network and where pip finds packages.
"""

import argparse
import ast
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .cache import Cache
from .command import LabError, run, say
from .packages import why_not
from .roots import MORTAL, Root, root

ROOT = Path(__file__).parents[2]
HOMES = {"root": "/root", "user": "/home/user"}
_CHECKOUT = "pytest-droplet"
# What decides how programs reach the package index, beside pip's own settings.
_NETWORK = re.compile(r"(?i)(http|https|all|no)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE")


def commands(readme: str) -> tuple[str, str]:
    """Return the demo's command and that of the section "Develop", as README has them.

    Raises:
        LabError: One of the two is not a block of one line.
    """
    demo, develop = (
        text.partition("\n```console\n")[2].partition("\n```\n")[0]
        for text in (readme, readme.partition("\n## Develop\n")[2])
    )
    if len(demo.splitlines()) != 1 or len(develop.splitlines()) != 1:
        raise LabError("README.md has no demo, or no line under Develop: a console block each")
    return demo, develop


def package_index(listed: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that leads pip to the packages that this machine installs.

    Args:
        listed: What ``pip config list`` prints: ``section.name='value'``, the strongest last.
        environment: This process's environment, for its proxies and authorities.
    """
    found = {name: value for name, value in environment.items() if _NETWORK.fullmatch(name)}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2].upper().replace("-", "_")
        found[f"PIP_{option}"] = ast.literal_eval(value)
    return found


def local_paths(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files and folders of this machine that the values of variables name.

    Of an index on the disk it is the folder that it lies in, for its links lead beside it.
    """
    for word in " ".join(environment.values()).split():
        path = Path(word)
        if word.startswith("file://"):
            path = Path(word.removeprefix("file://")).parent
        if path.is_absolute() and path.exists():
            yield path


@dataclass(frozen=True)
class Machine:
    """A bare root that is not booted, with a folder for what is written in it.

    Attributes:
        base: The root, which stays as it is.
        folder: Where what commands write goes.
        who: "root", or "user" for an ordinary user of that name.
        environment: What the commands have beside a home and a path.
    """

    base: Root
    folder: Path
    who: str
    environment: Mapping[str, str]

    def prepare(self, tree: Path) -> None:
        """Make the user, and put a clean clone of the HEAD of a working tree into the home.

        Raises:
            LabError: A command failed.
        """
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        home = HOMES[self.who]
        clone = self.folder / "upper" / home.strip("/") / _CHECKOUT
        run(["git", "clone", "--quiet", "--no-hardlinks", str(tree), str(clone)])
        if self.who == "user":
            self._run("root", "/", f"/usr/sbin/useradd --home-dir {home} --shell /bin/bash user")
        self._run("root", "/", f"chown -R {self.who}: {home}")

    def run(self, command: str) -> int:
        """Run a command by bash in the clone, its output on our own, and return its exit code."""
        return self._run(self.who, f"{HOMES[self.who]}/{_CHECKOUT}", command)

    def _run(self, who: str, folder: str, command: str) -> int:
        options = (
            f"lowerdir={self.base.lowerdir},upperdir={self.folder}/upper,"
            f"workdir={self.folder}/work"
        )
        environment = {
            "HOME": HOMES[who],
            "USER": who,
            "LOGNAME": who,
            "SHELL": "/bin/bash",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **self.environment,
        }
        words = [f"{name}={value}" for name, value in environment.items()]
        shared = "\n".join(map(str, local_paths(self.environment)))
        argv = [
            *(*MORTAL, "sh", "-euc", _ENTER, "sh", str(self.folder / "root"), options, shared),
            *(f"--reuid={who}", f"--regid={who}", "--init-groups", "env", "-i", *words),
            *("bash", "-c", f"cd {folder}\n{command}"),
        ]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, check=False).returncode


_ENTER = """
root=$1 options=$2 shared=$3; shift 3
mount -t overlay overlay -o "$options" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
cat /etc/resolv.conf > "$root/etc/resolv.conf"
printf '%s\\n' "$shared" | while read -r path; do
  [ -n "$path" ] || continue
  mkdir -p "$root${path%/*}"
  if [ -d "$path" ]; then mkdir -p "$root$path"; else touch "$root$path"; fi
  mount --rbind "$path" "$root$path"
done
exec chroot "$root" setpriv "$@"
"""


def main() -> int:
    """Run both commands as root or as an ordinary user, and say how each ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.stranger", description=__doc__)
    parser.add_argument("who", choices=tuple(HOMES), help="who runs them")
    parser.add_argument("--demo", action="store_true", help="the first command alone")
    asked = parser.parse_args()
    who = asked.who
    if reason := why_not():
        say(reason)
        return 1
    demo, develop = commands((ROOT / "README.md").read_text("utf-8"))
    listed = run([sys.executable, "-m", "pip", "config", "list"]).stdout
    index = package_index(listed, os.environ)
    with Cache() as cache, tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        machine = Machine(root(cache, "bare"), Path(folder), who, index)
        machine.prepare(ROOT)
        # Findings make it 1, and the page has them.
        ends = [
            _timed(machine, demo, 1),
            _timed(machine, "test -s audit.html", 0),
        ]
        if not asked.demo:
            ends.append(_timed(machine, develop, 0))
    return 0 if all(ends) else 1


def _timed(machine: Machine, command: str, expected: int) -> bool:
    """Run a command, say what it cost, and tell whether it ended as expected."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    say(f"{machine.who}: {command}")
    code = machine.run(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    say(
        f"{machine.who}: exit code {code}, {expected} is expected; "
        f"{time.monotonic() - started:.0f} s, {used:.0f} s of processor time"
    )
    return code == expected


if __name__ == "__main__":
    sys.exit(main())
