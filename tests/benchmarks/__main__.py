"""Measure the plugin beside what it is compared with; run as root on Linux.

``python -m tests.benchmarks --hosts 100,1000``; ``--help`` has the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_droplet.api.pacing import PER_MINUTE
from tests.benchmarks import link
from tests.benchmarks.addresses import address
from tests.benchmarks.counters import Counters
from tests.benchmarks.rivals import COMMANDS

ROOT = Path(__file__).parents[2]
PER_VERDICT_S = 0.0001
# Plugins that happen to be installed here, and that no side of the comparison needs.
_OTHERS = (
    "cov",
    "hypothesispytest",
    "randomly",
    "rerunfailures",
    "timeout",
    "xdist",
    "pytest_cov",
)
_QUIET = [*("-q", "-p", "no:cacheprovider"), *(w for o in _OTHERS for w in ("-p", f"no:{o}"))]


@dataclass(frozen=True)
class Cost:
    """What one command took, its children's time included.

    ``cpu`` is user + system in seconds, ``peak`` the largest resident set in MB.
    """

    cpu: float
    wall: float
    peak: float
    counted: Mapping[str, int] = field(default_factory=dict)
    output: str = ""
    verdicts: int = 0


@dataclass
class Bench:
    """The machinery of one run: where files are, and which namespaces."""

    folder: Path
    auditor: str
    servers: str
    repeat: int
    rows: list[tuple[str, int, Cost]] = field(default_factory=list)

    @property
    def counters(self) -> Counters:
        """What link, servers and API have counted."""
        return Counters(self.folder / "counters")

    def run(
        self, argv: Sequence[str], *, namespace: str = "", cwd: Path = ROOT, **env: str
    ) -> Cost:
        """Run a command to its end and return its cost."""
        before = self.counters.values()
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        log = self.folder / "output"
        began = time.monotonic()
        with log.open("w+b") as out:
            child = subprocess.Popen(
                [*inside, *argv],
                cwd=cwd,
                env=_environment(self.folder) | env,
                stdout=out,
                stderr=out,
            )
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        time.sleep(0.3)  # what is on its way is counted, too
        text = log.read_text("utf-8", "replace")
        if child.returncode not in {0, 1}:
            raise SystemExit(f"{' '.join(argv[:8])}: exit {child.returncode}\n{text[-3000:]}")
        after = self.counters.values()
        return Cost(
            used.ru_utime + used.ru_stime,
            wall,
            used.ru_maxrss / 1024,
            {name: after[name] - before[name] for name in after},
            text,
        )

    def measure(self, name: str, hosts: int, once: Callable[[], Cost]) -> Cost:
        """Run something as often as asked for, and keep the run of median CPU."""
        costs = sorted((once() for _ in range(self.repeat)), key=lambda c: c.cpu)
        chosen = costs[(len(costs) - 1) // 2]
        self.rows.append((name, hosts, chosen))
        _say(_row(name, hosts, chosen))
        return chosen

    def rival(
        self,
        name: str,
        hosts: int,
        once: Callable[[], Cost],
        *,
        failed: Callable[[str], str | None],
    ) -> Cost | None:
        """Measure another program; None: it could not do the work, which is said with its error.

        Args:
            name: What it is called in the table.
            hosts: How many it asks.
            once: Runs it.
            failed: Returns why the work was not done, by its output; None: it was.
        """

        def proved() -> Cost:
            cost = once()
            if reason := failed(cost.output):
                raise SystemExit(reason)
            return cost

        try:
            return self.measure(name, hosts, proved)
        except SystemExit as exc:
            said = " ".join(str(exc).split())
            _say(f"{name:30} {hosts:6}   missing: {said[-300:]}")
            return None

    def plugin(
        self, hosts: int, *more: str, namespace: str, cwd: Path | None = None, **env: str
    ) -> Cost:
        """Run the plugin with the terminal and the jsonl record on."""
        record = self.folder / "record.jsonl"
        pytest = Path(sys.executable).with_name("pytest")
        project = cwd or self.folder / "project"
        project.mkdir(exist_ok=True)
        (project / "pytest.ini").write_text("[pytest]\n")
        cost = self.run(
            [
                str(pytest),
                *_QUIET,
                "--droplets=all",
                f"--droplets-report=jsonl:{record}",
                f"--ssh-config={self.folder / 'infra/plain'}",
                *more,
            ],
            namespace=namespace,
            cwd=project,
            PYTHONPATH=str(ROOT),
            BENCHMARK_HOSTS=str(hosts),
            **env,
        )
        last = record.read_bytes().splitlines()[-1]
        summary = json.loads(last)
        if summary["type"] != "summary" or summary["coverage"]["reached"] != hosts:
            raise SystemExit(f"not all of {hosts} hosts were reached: {last!r}\n{cost.output}")
        return _with(cost, sum(summary["counts"].values()), json.dumps(summary["counts"]))

    def bare(self, *arguments: str, namespace: str = "") -> Cost:
        """Run one of the floors; its cost is without imports."""
        cost = self.run(
            [sys.executable, "-m", "tests.benchmarks.bare", str(self.folder), *arguments],
            namespace=namespace,
        )
        if not cost.output.startswith("{"):
            raise SystemExit(cost.output[-3000:])
        told = json.loads(cost.output)
        return Cost(told["cpu"], told["wall"], cost.peak, cost.counted, cost.output, 0)

    def ordinary(self, hosts: int) -> Cost:
        """Run the checks as ordinary parametrized tests."""
        cost = self.run(
            [
                str(Path(sys.executable).with_name("pytest")),
                *_QUIET,
                "-p",
                "no:droplet",
                "--tb=no",
            ],
            cwd=self.folder / "ordinary",
            PYTHONPATH=str(ROOT),
            BENCHMARK_HOSTS=str(hosts),
        )
        last = cost.output.strip().splitlines()[-1]
        ran = sum(int(w) for w in last.split() if w.isdigit())
        return _with(cost, ran, last)


def _with(cost: Cost, verdicts: int, output: str) -> Cost:
    return Cost(cost.cpu, cost.wall, cost.peak, cost.counted, output, verdicts)


def _environment(folder: Path) -> dict[str, str]:
    """Return our environment with byte code on, as everywhere but in tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "SSH_"))}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


@contextlib.contextmanager
def _process(argv: Sequence[str], folder: Path, namespace: str = "") -> Iterator[str]:
    """Run a server until the block ends, and yield the line that it printed."""
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    child = subprocess.Popen(
        [*inside, sys.executable, "-m", *argv],
        cwd=ROOT,
        env=_environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if not line:
        raise SystemExit(f"{argv[0]} did not start")
    try:
        yield line
    finally:
        child.stdin.close()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def _api(bench: Bench, hosts: int) -> Iterator[dict[str, str]]:
    argv = ["tests.benchmarks.servers", "api", str(bench.folder), str(hosts)]
    with _process(argv, bench.folder, bench.auditor) as line:
        url, token = line.split()
        yield {"DIGITALOCEAN_API_URL": url, "DIGITALOCEAN_TOKEN": token}


def sizes(bench: Bench, counts: Sequence[int], most_ordinary: int) -> None:
    """Measure the plugin, its parts and its floor at every size, and print the bars."""
    start_up: Cost | None = None
    whole: dict[int, Cost] = {}
    for n in (1, *counts):
        with _api(bench, n) as env:
            if n == 1:
                bench.plugin(1, namespace=bench.auditor, **env)  # writes the byte code
            whole[n] = bench.measure(
                "plugin", n, lambda n=n, env=env: bench.plugin(n, namespace=bench.auditor, **env)
            )
        if n == 1:
            start_up = whole[1]
            continue
        fetch = bench.measure(
            "bare fetch",
            n,
            lambda n=n: bench.bare("fetch", str(n), namespace=bench.auditor),
        )
        probed = bench.measure(
            "bare fetch + probes",
            n,
            lambda n=n: bench.bare("fetch", str(n), "probes", namespace=bench.auditor),
        )
        loop = bench.measure("bare loop", n, lambda n=n: bench.bare("loop", str(n)))
        assert start_up is not None
        verdicts = whole[n].verdicts
        for name, got in (("without probes", fetch), ("with probes", probed)):
            floor = got.cpu + start_up.cpu + loop.cpu + PER_VERDICT_S * verdicts
            _say(
                f"  whole process / (bare fetch {name} {got.cpu:.2f} + start-up {start_up.cpu:.2f}"
                f" + loop {loop.cpu:.2f} + 0.1 ms x {verdicts}) ="
                f" {whole[n].cpu:.2f} / {floor:.2f} = {whole[n].cpu / floor:.2f} (bar 1.6)"
            )
        _say(f"  peak memory {whole[n].peak:.0f} MB; verdicts {whole[n].output}")
        c = whole[n].counted
        _say(
            f"  logins per Droplet {c['logins'] / n:.3f} (bar 1), other connections"
            f" {(c['connections'] - c['logins']) / n:.3f} (bar 2)"
        )
        _say(
            f"  API requests {c['requests']}: {c['requests'] / PER_MINUTE:.2f} of the"
            f" {PER_MINUTE} that the client sends in a minute"
        )
        if n <= most_ordinary:
            verdict_cost(bench, n)
    for small, large in ((s, b) for s in counts for b in counts if b == 10 * s):
        base = whole[1]
        for what, of in (("CPU", lambda c: c.cpu), ("memory", lambda c: c.peak)):
            per = {n: of(whole[n]) / n for n in (small, large)}
            slope = {n: (of(whole[n]) - of(base)) / n for n in (small, large)}
            _say(
                f"  {what} per Droplet, {large} / {small}: {per[large] / per[small]:.2f} (bar 1.2);"
                f" without start-up {slope[large] / slope[small]:.2f}"
            )


def verdict_cost(bench: Bench, n: int) -> None:
    """Measure a verdict against an ordinary parametrized test, hosts in memory for both."""
    memory = ("-p", "tests.benchmarks.memory")
    few = max(1, n // 10)

    def ours(count: int) -> Cost:
        return bench.plugin(count, *memory, namespace="", DIGITALOCEAN_TOKEN="none")

    ratios: list[float] = []
    for _ in range(bench.repeat):
        got = {}
        for name, once in (("plugin, hosts in memory", ours), ("ordinary tests", bench.ordinary)):
            first, many = once(few), once(n)
            bench.rows.append((name, n, many))
            _say(_row(name, n, many))
            got[name] = (many.cpu - first.cpu) / (many.verdicts - first.verdicts)
        own, theirs = got.values()
        ratios.append(own / theirs)
        _say(
            f"  CPU per verdict {own * 1e6:.0f} µs, ordinary test {theirs * 1e6:.0f} µs:"
            f" {own / theirs:.2f} (bar 0.35)"
        )
    _say(f"  median {statistics.median(ratios):.2f}")


def idle(bench: Bench, pairs: int) -> None:
    """Measure what the plugin costs a run without Droplets: by turns with it and without."""
    folder = bench.folder / "idle"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_idle.py").write_text("def test_idle(): pass\n")
    pytest = str(Path(sys.executable).with_name("pytest"))
    argv = [pytest, *_QUIET]

    def once(*more: str) -> float:
        return bench.run([*argv, *more], cwd=folder, PYTHONPATH=str(ROOT)).cpu * 1000

    once()  # writes the byte code
    both = [(once(), once("-p", "no:droplet")) for _ in range(pairs)]
    ours, without = (statistics.median(side) for side in zip(*both, strict=True))
    _say(f"  start-up without Droplets: {ours:.0f} ms, {ours - without:.1f} of it ours (bar 15)")


def refusals(bench: Bench) -> None:
    """Measure the proofs that asserts hold and that ids are unique."""
    _say(bench.run([sys.executable, "-m", "tests.benchmarks.refusals"]).output.rstrip())


def own_suite(bench: Bench, hosts: int) -> None:
    """Measure a testinfra suite of the user over the plugin, with and without the batches."""
    walls = []

    def once(count: int, *more: str) -> Cost:
        folder = bench.folder / "suite"
        with _api(bench, count) as env:
            return bench.plugin(
                *(count, "--droplets-profile=none", *more),
                namespace=bench.auditor,
                cwd=folder,
                **env,
            )

    once(1)  # writes the byte code
    for name, *more in (("suite, prefetch", "--droplets-prefetch"), ("suite",)):
        got = once(hosts, *more)
        bench.rows.append((name, hosts, got))
        _say(_row(name, hosts, got))
        if json.loads(got.output) != {"pass": got.verdicts}:
            raise SystemExit(f"the suite did not pass: {got.output}")
        walls.append(got.wall)
    _say(f"  wall with prefetch / without: 1/{walls[1] / walls[0]:.1f} (bar 1/10)")


def rivals(bench: Bench, hosts: int, at: int, ansible: str | None) -> None:
    """Measure testinfra and Ansible on a few hosts, and scale per host."""
    ours = next(cost for name, n, cost in bench.rows if name == "plugin" and n == at)
    infra = bench.folder / "infra"
    names = ",".join(f"ssh://{address(i)}" for i in range(hosts))
    pytest = str(Path(sys.executable).with_name("pytest"))
    argv = [pytest, *_QUIET, "-p", "no:droplet", f"--hosts={names}"]
    per_wall = ours.wall / at
    per_cpu = ours.cpu / at
    for label, config, bar in (("with", "control", 100), ("without", "plain", 0)):
        got = bench.rival(
            f"testinfra {label} ControlPath",
            hosts,
            lambda config=config: bench.run(
                [*argv, f"--ssh-config={infra / config}"], namespace=bench.auditor, cwd=infra
            ),
            failed=all_passed(COMMANDS * hosts),
        )
        if got is not None:
            _say(
                f"  wall per host {got.wall / hosts:.2f} s, plugin {per_wall * 1000:.1f} ms:"
                f" {got.wall / hosts / per_wall:.0f} x (bar {bar or 'none'});"
                f" CPU {got.cpu / hosts / per_cpu:.0f} x"
            )
        time.sleep(11 if config == "control" else 0)
    if ansible is None:
        _say("Ansible: missing: not installed; make a venv with ansible-core and give --ansible")
        return
    project = bench.folder / "ansible"
    for label, play, bar in (("50 raw tasks", "many", 30), ("one raw task", "one", 3)):
        got = bench.rival(
            f"Ansible, {label}",
            hosts,
            lambda play=play: bench.run(
                [ansible, str(project / f"{play}.json")],
                namespace=bench.auditor,
                cwd=project,
                ANSIBLE_CONFIG=str(project / "ansible.cfg"),
                HOME=str(bench.folder),
                LC_ALL="C.UTF-8",
            ),
            failed=nothing_failed(hosts),
        )
        if got is not None:
            _say(
                f"  CPU per host {got.cpu / hosts * 1000:.0f} ms, plugin {per_cpu * 1000:.1f} ms:"
                f" {got.cpu / hosts / per_cpu:.1f} x (bar {bar})"
            )
        time.sleep(11)


def all_passed(tests: int) -> Callable[[str], str | None]:
    """Return what reads whether all tests of a pytest run passed."""

    def read(output: str) -> str | None:
        return None if f"{tests} passed in " in output else output[-500:]

    return read


def nothing_failed(hosts: int) -> Callable[[str], str | None]:
    """Return what reads whether a playbook did all its tasks on all hosts."""

    def read(output: str) -> str | None:
        done = len(re.findall(r"unreachable=0 +failed=0 ", output))
        return None if done == hosts else output[-500:]

    return read


def _row(name: str, hosts: int, cost: Cost) -> str:
    c = cost.counted
    return (
        f"{name:30} {hosts:6} {cost.cpu:9.2f} {cost.wall:9.2f} {cost.peak:8.0f}"
        f" {c.get('connections', 0):7} {c.get('logins', 0):7} {c.get('requests', 0):5}"
        f" {c.get('bytes', 0) / 1e6:8.1f}"
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 the output of the command


def main() -> None:
    """Build the fleet, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--hosts", default="100,1000", help="sizes of the fleet; empty: none")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; the median counts")
    parser.add_argument("--ordinary", type=int, default=1000, help="largest for ordinary tests")
    parser.add_argument("--rivals", type=int, default=10, help="hosts for the rivals; 0: none")
    parser.add_argument("--idle", type=int, default=11, help="pairs of runs without Droplets")
    parser.add_argument("--suite", type=int, default=100, help="hosts for a suite; 0: none")
    parser.add_argument("--ansible", help="ansible-playbook of a venv of its own")
    chosen = parser.parse_args()
    counts = [int(word) for word in chosen.hosts.split(",") if word]
    if os.geteuid():
        raise SystemExit("network namespaces need root")
    ansible = chosen.ansible or shutil.which("ansible-playbook")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, link.namespaces() as (a, s):
        folder = Path(name)
        bench = Bench(folder, a, s, chosen.repeat)
        Counters(folder / "counters")
        prepare = [sys.executable, "-m", "tests.benchmarks.rivals", name]
        bench.run([*prepare, str(max([*counts, chosen.suite])), str(chosen.rivals)])
        carried = ["tests.benchmarks.link", a, s, str(folder / "counters")]
        answered = ["tests.benchmarks.servers", "ssh", name]
        with _process(carried, folder), _process(answered, folder, s):
            _say(
                f"{'':30} {'hosts':>6} {'CPU s':>9} {'wall s':>9} {'peak MB':>8} {'SSH':>7}"
                f" {'logins':>7} {'API':>5} {'MB':>8}"
            )
            if chosen.idle:
                idle(bench, chosen.idle)
                refusals(bench)
            if counts:
                sizes(bench, counts, chosen.ordinary)
            if chosen.suite:
                own_suite(bench, chosen.suite)
            if chosen.rivals and counts:
                at = 1000 if 1000 in counts else counts[-1]
                rivals(bench, chosen.rivals, at, ansible)


if __name__ == "__main__":
    main()
