"""A host that runs: what tests see of it, and systemd in a container as one kind of it."""

import shlex
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .command import LabError, run
from .defects import DEFECTS
from .hosts import HostSpec, parcel
from .identity import Identity
from .network import Network
from .processes import Group
from .roots import Root, inside
from .snapshot import Entry, Lister, Snapshot, snapshot

# Five hosts need ten seconds on two idle cores; a machine that does other work takes its time.
_BOOTED_WITHIN_S = 600
_ENVIRONMENT = (
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LC_ALL=C.UTF-8",
)


class LabHost(ABC):
    """A running host.

    Attributes:
        spec: How it was set up.
        identity: The lab's keys, of which it has some.
        packages: Folder of package files that defects install.
    """

    def __init__(self, spec: HostSpec, identity: Identity, packages: Path) -> None:
        self.spec = spec
        self.identity = identity
        self.packages = packages
        self._lister = Lister()

    @property
    def name(self) -> str:
        """Its host name, and the Droplet's name."""
        return self.spec.name

    @property
    def droplet_id(self) -> int:
        """The id under which the API lists it."""
        return self.spec.droplet_id

    @property
    def address(self) -> str:
        """Where a client finds it by default: its public IPv4 address."""
        return self.public_v4

    @property
    def public_v4(self) -> str:
        """Its IPv4 address on ``eth0``."""
        return self.spec.address.public_v4

    @property
    def public_v6(self) -> str:
        """Its IPv6 address on ``eth0``."""
        return self.spec.address.public_v6

    @property
    def private_v4(self) -> str:
        """Its address in the VPC, on ``eth1``."""
        return self.spec.address.private_v4

    @property
    def distribution(self) -> str:
        """For example ``debian-12``."""
        return self.spec.distribution

    @property
    def defects(self) -> tuple[str, ...]:
        """What is wrong with it from the start, keys of ``DEFECTS``."""
        return self.spec.defects

    @property
    def served_names(self) -> tuple[str, ...]:
        """Names for which it answers on port 443."""
        return self.spec.served_names

    @abstractmethod
    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        timeout_s: float = 300,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host as root, not over ssh; it leaves no trace of its own.

        Args:
            command: A line for the host's shell, or a program and its arguments.
            stdin: What it reads.
            timeout_s: Seconds after which it is given up.
            check: Whether another exit code than 0 is an error.

        Raises:
            LabError: It was given up; or it failed, and ``check`` is set.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the host at once, as a power cut would; it does not start again."""

    @contextmanager
    def defect(self, name: str) -> Iterator[None]:
        """Introduce a defect for the duration of a block, and undo it.

        Args:
            name: A key of ``DEFECTS``.

        Raises:
            LabError: The host cannot have it, or a command failed.
        """
        undo = DEFECTS[name].introduce(self)
        try:
            yield
        finally:
            undo()

    def listing(self) -> dict[str, Entry]:
        """List every file of the host but those below /proc, /sys and /dev, by path."""
        return self._lister.listing(self)

    def snapshot(self) -> Snapshot:
        """Files, firewall and units, to compare with a later state."""
        return snapshot(self, self.listing())


def argv_of(command: Sequence[str] | str) -> list[str]:
    """The program and arguments of a command with the environment that it runs in."""
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
    return ["/usr/bin/env", "-i", *_ENVIRONMENT, *argv]


def checked(
    host: str, command: Sequence[str] | str, done: subprocess.CompletedProcess[str]
) -> subprocess.CompletedProcess[str]:
    """Return the result of a command that succeeded.

    Raises:
        LabError: It did not; the message ends with what it wrote.
    """
    if done.returncode:
        text = command if isinstance(command, str) else shlex.join(command)
        tail = (done.stderr or done.stdout).strip()[-800:]
        raise LabError(f"{host}: {text[:200]}: exit code {done.returncode}: {tail}")
    return done


def furnish(spec: HostSpec, identity: Identity, root: Root, upper: Path, work: Path) -> None:
    """Put on a host's root, before it starts, what makes it this host."""
    upper.mkdir(parents=True)
    tree = upper.with_name("parcel")
    tree.mkdir()
    script = parcel(spec, identity, tree)
    inside(upper, root.folders, work, script, parcel=tree)
    shutil.rmtree(tree)


class NspawnHost(LabHost):
    """A host that systemd-nspawn boots: its own systemd and network, this machine's kernel."""

    def __init__(
        self, spec: HostSpec, identity: Identity, root: Root, folder: Path, *, network: Network
    ) -> None:
        super().__init__(spec, identity, root.packages)
        self._folder = folder
        self._mount = folder / "root"
        self._group = Group(f"{network.lab}/{spec.name}")
        furnish(spec, identity, root, folder / "upper", folder / "furnish")
        self._namespace = network.join(spec.name, spec.address)
        self._mount.mkdir()
        (folder / "work").mkdir()
        options = f"lowerdir={root.lowerdir},upperdir={folder}/upper,workdir={folder}/work"
        run(["mount", "-t", "overlay", "overlay", "-o", options, str(self._mount)])
        self._process, self._leader = self._boot()

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        timeout_s: float = 300,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in all of the host's namespaces, by ``nsenter``."""
        enter = ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net"]
        enter += ["--pid", "--cgroup", "--root", "--wd", "--"]
        try:
            raw = subprocess.run(
                [*enter, *argv_of(command)],
                input=stdin,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name}: {command}: not done within {timeout_s} s") from error
        done = subprocess.CompletedProcess(
            raw.args,
            raw.returncode,
            raw.stdout.decode(errors="replace"),
            raw.stderr.decode(errors="replace"),
        )
        return checked(self.name, command, done) if check else done

    def stop(self) -> None:
        """Kill the host's processes."""
        self._group.kill()
        self._process.wait()

    def _boot(self) -> tuple[subprocess.Popen[bytes], int]:
        log = self._folder / "console.log"
        ready = self._folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
            notifications.bind(str(ready))
            process = self._group.start(
                [
                    *("systemd-nspawn", "--quiet", "--boot", f"--directory={self._mount}"),
                    *(f"--machine={self.name}", "--register=no", "--keep-unit"),
                    f"--network-namespace-path=/run/netns/{self._namespace}",
                    *("--capability=CAP_NET_ADMIN", "--notify-ready=yes", "--console=pipe"),
                    *("--link-journal=no", "--resolv-conf=off", "--timezone=off"),
                ],
                log=log,
                env={
                    "NOTIFY_SOCKET": str(ready),
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                    "SYSTEMD_SECCOMP": "0",
                },
            )
            try:
                return process, self._wait(notifications, process)
            except LabError as error:
                tail = log.read_text(errors="replace").strip()[-1000:]
                raise LabError(f"{self.name}: {error}: {tail}") from error

    def _wait(self, notifications: socket.socket, process: subprocess.Popen[bytes]) -> int:
        """Wait until systemd has started everything, and return its process id."""
        notifications.settimeout(0.5)
        deadline = time.monotonic() + _BOOTED_WITHIN_S
        told: dict[str, str] = {}
        while told.get("READY") != "1":
            if process.poll() is not None:
                raise LabError(f"systemd-nspawn ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise LabError(f"not booted within {_BOOTED_WITHIN_S} s")
            try:
                message = notifications.recv(65536).decode()
            except TimeoutError:
                continue
            told |= dict(line.split("=", 1) for line in message.splitlines() if "=" in line)
        return int(told["X_NSPAWN_LEADER_PID"])
