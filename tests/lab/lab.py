"""The lab: starts the hosts, lets tests run commands beside them, and clears everything away."""

import contextlib
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from . import state
from .cache import Cache
from .command import LabError, say
from .defects import DEFECTS
from .host import LabHost, NspawnHost
from .hosts import SPECS, HostSpec
from .identity import Identity, identity
from .machine import MachineHost
from .network import Network
from .roots import root


class Lab:
    """Hosts that run, and the auditor's place beside them.

    Attributes:
        name: Begins the names of its namespaces; its folder and control group bear it.
        hosts: The running hosts by name.
        home: The auditor's home folder, with keys and known hosts in ``.ssh``.
        ca_bundle: PEM file of the certificate authority behind the hosts' certificates.
        account_keys: Public key lines that the account has.
        denied_keys: Fingerprints of keys that nobody shall log in with.
        auditor_netns: Network namespace from which the hosts are reached.
    """

    def __init__(self, name: str, keys: Identity, network: Network) -> None:
        self.name = name
        self.folder = state.FOLDER / name
        self.hosts: dict[str, LabHost] = {}
        self.home = self.folder / "home"
        self.ca_bundle = keys.authority.bundle
        self.account_keys = (keys.account_key.strip(),)
        self.denied_keys = (keys.denied,)
        self.auditor_netns = network.auditor
        self._keys = keys
        self._network = network
        self._running: list[LabHost] = []
        self._started: list[subprocess.Popen[Any]] = []

    @classmethod
    @contextlib.contextmanager
    def start(cls, only: Sequence[str] | None = None, *, kept: bool = False) -> Iterator[Self]:
        """Start hosts, and stop them at the end of the block.

        Args:
            only: Names of the hosts; None is all.
            kept: Whether this process does nothing else but keep the lab for people.

        Raises:
            LabError: A host is not known, or something could not be made or started.
        """
        if unknown := set(only or ()) - set(SPECS):
            raise LabError(
                f"no such host: {', '.join(sorted(unknown))}; there are {', '.join(SPECS)}"
            )
        specs = [spec for spec in SPECS.values() if only is None or spec.name in only]
        state.clear_dead()
        name = f"pdl{secrets.token_hex(3)}"
        began = time.monotonic()
        try:
            state.claim(name, kept=kept)
            with Cache() as cache:
                keys = identity(cache, tuple(SPECS))
                network = Network(name)
                network.start()
                lab = cls(name, keys, network)
                lab._write_home()
                try:
                    lab._start_hosts(specs, cache)
                    cache.prune()
                    say(f"{len(specs)} hosts run after {time.monotonic() - began:.1f} s")
                    yield lab
                finally:
                    lab._stop()
        finally:
            state.clear(name)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float | None = 1800,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the auditor's network namespace.

        Args:
            argv: The command and its arguments.
            env: Added to the environment, in which ``HOME`` is ``home`` and no agent is named.
            cwd: Where it runs; by default here.
            timeout: Seconds after which it is killed, and ``subprocess.TimeoutExpired`` raised.

        Returns:
            Exit code, stdout and stderr as text.
        """
        return subprocess.run(
            self._argv(argv),
            env=self._environment(env),
            cwd=cwd,
            timeout=timeout,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
        )

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a command in the auditor's network namespace; it ends with the lab.

        Args:
            argv: The command and its arguments.
            env: As for ``run``.
            cwd: As for ``run``.
            options: Handed on to ``subprocess.Popen``.
        """
        environment = self._environment(env)
        process = subprocess.Popen(self._argv(argv), env=environment, cwd=cwd, **options)
        self._started.append(process)
        return process

    def ssh(self, host: str, command: str, *, user: str = "root") -> list[str]:
        """The words that run a command on a host over OpenSSH, for ``run``.

        OpenSSH looks for its files in the account's home, not in ``HOME``: ``home/ssh_config``
        names them.
        """
        config = f"{self.home}/ssh_config"
        return ["ssh", "-F", config, f"{user}@{self.hosts[host].address}", command]

    def _argv(self, argv: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.auditor_netns, *argv]

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        environment = {key: text for key, text in os.environ.items() if key != "SSH_AUTH_SOCK"}
        return {**environment, "HOME": str(self.home), **(more or {})}

    def _write_home(self) -> None:
        ssh = self.home / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        (ssh / "id_ed25519").touch(mode=0o600)
        (ssh / "id_ed25519").write_text(self._keys.account_private_key)
        (ssh / "id_ed25519.pub").write_text(self._keys.account_key)
        lines = []
        for spec in SPECS.values():
            where = spec.address
            names = f"{where.public_v4},{where.public_v6},{where.private_v4}"
            lines += [
                f"{names} {' '.join(file.read_text().split()[:2])}\n"
                for file in self._keys.host_keys(spec.name)
                if file.suffix == ".pub"
            ]
        (ssh / "known_hosts").write_text("".join(lines))
        (self.home / "ssh_config").write_text(
            f"BatchMode yes\nIdentityFile {ssh}/id_ed25519\nUserKnownHostsFile {ssh}/known_hosts\n"
        )

    def _start_hosts(self, specs: Sequence[HostSpec], cache: Cache) -> None:
        with ThreadPoolExecutor(max_workers=len(specs)) as pool:
            pending = {spec.name: pool.submit(self._start_host, spec, cache) for spec in specs}
        errors = {name: error for name, task in pending.items() if (error := task.exception())}
        if errors:
            raise LabError("; ".join(f"{name}: {error}" for name, error in errors.items())) from (
                next(iter(errors.values()))
            )
        self.hosts = {name: task.result() for name, task in pending.items()}

    def _start_host(self, spec: HostSpec, cache: Cache) -> LabHost:
        folder = self.folder / "hosts" / spec.name
        layers = root(cache, spec.layer)
        host: LabHost
        if spec.machine:
            host = MachineHost(
                spec, self._keys, layers, folder, network=self._network, cache=cache
            )
        else:
            host = NspawnHost(spec, self._keys, layers, folder, network=self._network)
        self._running.append(host)
        for name in spec.defects:
            if not DEFECTS[name].built_in:
                DEFECTS[name].introduce(host)
        return host

    def _stop(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: host.stop(), self._running))
