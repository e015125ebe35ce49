"""The virtual machine: a host with a kernel of its own, where audit is real.

Emulated, so that it runs wherever qemu does. Its image is made once a week: booted cold, set up,
and saved running. From then on it starts from the saved state, in seconds. ``run`` goes through
qemu's guest agent, a package that is on it like on many a cloud's machines.
"""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cache import Cache
from .command import LabError, run, say
from .host import LabHost, argv_of, checked, furnish
from .hosts import FRESH, HostSpec, parts_text
from .identity import Identity
from .network import Network
from .processes import Group
from .roots import MORTAL, Root
from .snapshot import Lister

_COMMAND_LINE = (
    "root=/dev/vda ro console=ttyS0 quiet net.ifnames=0 audit=1 audit_backlog_limit=8192"
)
_EMULATOR = (
    "qemu-system-x86_64",
    *("-accel", "tcg,tb-size=256", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "512"),
    *("-nodefaults", "-display", "none", "-no-reboot", "-rtc", "base=utc"),
    *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
)

# On two idle cores it boots in 70 s and wakes up in 5 s.
_BOOTED_WITHIN_S = 900
_AWAKE_WITHIN_S = 240

# Done once, on the machine that has just booted for the first time.
_SET_UP = """
systemctl is-system-running --wait || true
update-grub
systemctl stop '*.timer'
sync
"""

# Done each time on the machine that wakes up: by its clock it has slept for days.
_WAKE = f"{FRESH}\ntouch /var/lib/systemd/timers/*\nsystemctl start timers.target"


class MachineHost(LabHost):
    """The running virtual machine."""

    def __init__(
        self,
        spec: HostSpec,
        identity: Identity,
        root: Root,
        folder: Path,
        *,
        network: Network,
        cache: Cache,
    ) -> None:
        super().__init__(spec, identity, root.packages)
        folder.mkdir(parents=True)
        taps = network.plug(spec.address)
        group = Group(f"{network.lab}/{spec.name}")
        version = run([_EMULATOR[0], "--version"]).stdout
        ways = Path(__file__).read_text() + parts_text(spec) + version

        def boot(image: Path, *, how: str) -> _Emulator:
            return _Emulator(image, folder, taps, network.switch, group, how=how)

        def make(part: Path) -> None:
            _make_disk(spec, identity, root, part)
            emulator = boot(part, how="make")
            emulator.wait(_BOOTED_WITHIN_S)
            self._emulator = emulator
            self.run(_SET_UP, timeout_s=_BOOTED_WITHIN_S, check=True)
            self.listing()  # slow the first time: kept with the image
            digests = [[*key, digest] for key, digest in self._lister.digests.items()]
            (part / "digests.json").write_text(json.dumps(digests))
            emulator.save(part / "state")
            emulator.stop()

        image = cache.get(f"machine-{spec.name}", repr((spec, root, identity.folder, ways)), make)
        rows = json.loads((image / "digests.json").read_text())
        self._lister = Lister({(path, ctime, inode): text for path, ctime, inode, text in rows})
        self._emulator = boot(image, how="wake")
        try:
            self._emulator.wait(_AWAKE_WITHIN_S)
        except LabError as error:
            say(f"{spec.name} does not wake up, booting it: {error}")
            self._emulator.stop()
            self._emulator = boot(image, how="boot")
            self._emulator.wait(_BOOTED_WITHIN_S)
        self._emulator.set_clock()
        self.run(_WAKE, check=True)

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        timeout_s: float = 300,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command by the guest agent, through a virtual serial port."""
        done = self._emulator.execute(argv_of(command), stdin=stdin, timeout_s=timeout_s)
        return checked(self.name, command, done) if check else done

    def stop(self) -> None:
        """End the emulator."""
        self._emulator.stop()


def _make_disk(spec: HostSpec, identity: Identity, root: Root, part: Path) -> None:
    """Write a disk with the host's root, and its kernel and initial RAM disk beside it."""
    build = part / "build"
    furnish(spec, identity, root, build / "upper", build / "furnish")
    for folder in ("root", "work"):
        (build / folder).mkdir()
    options = f"lowerdir={root.lowerdir},upperdir={build}/upper,workdir={build}/work"
    script = (
        'mount -t overlay overlay -o "$1" "$2"\n'
        'mke2fs -q -t ext4 -d "$2" "$3/disk" 3G\n'
        'cp -L "$2/vmlinuz" "$2/initrd.img" "$3"'
    )
    run([*MORTAL, "sh", "-euc", script, "sh", options, str(build / "root"), str(part)])
    shutil.rmtree(build)


class _Emulator:
    """A qemu process.

    Args:
        image: Folder with disk, kernel and state.
        folder: Where its sockets, log and changes lie.
        taps: Network interfaces, the public one first.
        namespace: Where the taps are.
        group: Where the process runs.
        how: ``make`` boots and keeps what it writes; ``wake`` goes on from the saved state;
            ``boot`` boots. The latter two leave the image as it is.
    """

    def __init__(
        self,
        image: Path,
        folder: Path,
        taps: tuple[str, str],
        namespace: str,
        group: Group,
        *,
        how: str,
    ) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._agent: _Lines | None = None
        argv = ["ip", "netns", "exec", namespace, *_EMULATOR]
        argv += ["-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img")]
        argv += ["-append", _COMMAND_LINE, "-serial", f"file:{folder}/console.log"]
        discard = "off" if how == "make" else "on"
        argv += [
            "-drive",
            f"file={image}/disk,format=raw,if=virtio,cache=unsafe,snapshot={discard}",
        ]
        for number, tap in enumerate(taps):
            argv += ["-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no"]
            mac = f"52:54:00:00:00:{number + 1:02x}"
            argv += ["-device", f"virtio-net-pci,netdev=net{number},mac={mac},romfile="]
        argv += ["-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        argv += ["-chardev", f"socket,id=agent,path={folder}/agent,server=on,wait=off"]
        argv += ["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]
        if how == "wake":
            argv += ["-incoming", f"exec:cat {image}/state"]
        log = folder / "emulator.log"
        self._process = group.start(argv, log=log, env={"TMPDIR": str(folder)})

    def wait(self, timeout_s: float) -> None:
        """Wait until the guest agent answers.

        Raises:
            LabError: It does not in time, or qemu has ended.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            if self._process.poll() is not None:
                raise LabError(f"qemu ended: {self._log()}")
            if time.monotonic() > deadline:
                raise LabError(f"no answer within {timeout_s} s: {self._log()}")
            try:
                self._synchronize()
            except OSError:
                time.sleep(0.1)
            else:
                return

    def _synchronize(self) -> None:
        """Connect to the agent and skip what it may still have to say to somebody else."""
        agent = _Lines(self._folder / "agent", timeout_s=2)
        number = time.monotonic_ns() & 0x7FFFFFFF
        try:
            agent.send({"execute": "guest-sync", "arguments": {"id": number}})
            while agent.receive().get("return") != number:
                pass
        except OSError:
            agent.close()
            raise
        agent.timeout(300)
        self._agent = agent

    def execute(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine.

        Raises:
            LabError: The agent does not answer, or the command took too long.
        """
        with self._lock:
            arguments: dict[str, Any] = {
                "path": "/usr/bin/timeout",
                "arg": ["--kill-after=5", str(timeout_s), *argv],
                "capture-output": True,
            }
            if stdin:
                arguments["input-data"] = base64.b64encode(stdin).decode()
            process = self._ask("guest-exec", arguments)
            pause_s = 0.005
            while not (status := self._ask("guest-exec-status", process))["exited"]:
                time.sleep(pause_s)
                pause_s = min(0.1, 1.5 * pause_s)
        output, errors = (
            base64.b64decode(status.get(key, "")).decode(errors="replace")
            for key in ("out-data", "err-data")
        )
        if status.get("exitcode") == 124:
            raise LabError(f"{argv}: not done within {timeout_s} s")
        code = status.get("exitcode", -status.get("signal", 0))
        return subprocess.CompletedProcess(list(argv), code, output, errors)

    def set_clock(self) -> None:
        """Give the machine this machine's time."""
        with self._lock:
            self._ask("guest-set-time", {"time": time.time_ns()})

    def save(self, target: Path) -> None:
        """Write the running machine's state to a file and leave it stopped.

        Raises:
            LabError: qemu could not.
        """
        monitor = _Lines(self._folder / "qmp", timeout_s=300)
        with contextlib.closing(monitor):
            monitor.receive()  # the greeting
            monitor.ask("qmp_capabilities")
            # Unbounded: the default rate suits a network that others use too.
            monitor.ask("migrate-set-parameters", {"max-bandwidth": 1 << 40})
            monitor.ask("migrate", {"uri": f"exec:cat > {target}"})
            while (state := monitor.ask("query-migrate"))["status"] != "completed":
                if state["status"] in {"failed", "cancelled"}:
                    raise LabError(f"the machine's state was not saved: {state}")
                time.sleep(0.1)
            monitor.ask("quit")
        self._process.wait(300)

    def stop(self) -> None:
        """End the process."""
        if self._agent:
            self._agent.close()
        self._process.kill()
        self._process.wait()
        for name in ("qmp", "agent"):
            (self._folder / name).unlink(missing_ok=True)

    def _ask(self, command: str, arguments: dict[str, Any]) -> Any:
        if self._agent is None:
            raise LabError("the guest agent has not been waited for")
        try:
            return self._agent.ask(command, arguments)
        except OSError as error:
            raise LabError(f"the guest agent does not answer: {error}; {self._log()}") from error

    def _log(self) -> str:
        texts = (
            (self._folder / name).read_text(errors="replace").strip()[-600:]
            for name in ("emulator.log", "console.log")
            if (self._folder / name).exists()
        )
        return " | ".join(texts)


class _Lines:
    """A Unix socket on which each line is a JSON object, as qemu's monitor and agent speak."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._buffer = bytearray()
        try:
            self._socket.settimeout(timeout_s)
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def timeout(self, seconds: float) -> None:
        """Wait this long for an answer."""
        self._socket.settimeout(seconds)

    def send(self, message: dict[str, Any]) -> None:
        """Send an object."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """Receive the next object."""
        while b"\n" not in self._buffer:
            received = self._socket.recv(1 << 20)
            if not received:
                raise ConnectionResetError("qemu has closed the connection")
            self._buffer += received
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Send a command and return its answer; events in between are passed over."""
        self.send({"execute": command, **({"arguments": arguments} if arguments else {})})
        while True:
            message = self.receive()
            if "error" in message:
                raise LabError(f"{command}: {message['error']}")
            if "return" in message:
                return message["return"]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
