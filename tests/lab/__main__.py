"""``python -m tests.lab``: keep the hosts running for people."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

from . import state
from .command import LabError, say
from .hosts import SPECS
from .lab import Lab
from .packages import why_not


def main() -> int:
    """Run one command of the lab, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start hosts and leave them running"), ("keep", argparse.SUPPRESS)):
        start = commands.add_parser(name, help=text)
        start.add_argument("hosts", nargs="*", metavar="HOST", help=f"of {', '.join(SPECS)}")
    commands.add_parser("down", help="stop them, and clear away what a dead run left")
    commands.add_parser("status", help="show the hosts that run")
    shell = commands.add_parser("shell", help="open a shell, or run a command, beside the hosts")
    shell.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args()
    if reason := why_not():
        say(reason)
        return 1
    try:
        match arguments.command:
            case "up":
                return _up(arguments.hosts)
            case "keep":
                return _keep(arguments.hosts)
            case "down":
                return _down()
            case "status":
                return _status()
            case _:
                return _shell(arguments.argv)
    except LabError as error:
        say(str(error))
        return 1


def _up(hosts: list[str]) -> int:
    """Start a process that keeps the lab, and wait until its hosts run."""
    if unknown := set(hosts) - set(SPECS):
        say(f"no such host: {', '.join(sorted(unknown))}; there are {', '.join(SPECS)}")
        return 1
    if _kept():
        say("it is up already; python -m tests.lab down stops it")
        return 1
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.lab", "keep", *hosts],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert keeper.stdout
    if not keeper.stdout.readline():
        return keeper.wait() or 1
    return _status()


def _keep(hosts: list[str]) -> int:
    """Keep a lab until a signal says to stop; print a line when it is up."""
    signals = {signal.SIGTERM, signal.SIGINT}
    with Lab.start(hosts or None, kept=True) as lab:
        rows = [
            {
                "name": host.name,
                "id": host.droplet_id,
                "address": host.address,
                "distribution": host.distribution,
                "served names": ", ".join(host.served_names),
                "defects": ", ".join(host.defects),
            }
            for host in lab.hosts.values()
        ]
        (lab.folder / "lab.json").write_text(
            json.dumps({"hosts": rows, "netns": lab.auditor_netns, "home": str(lab.home)})
        )
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        sys.stdout.write("up\n")
        sys.stdout.flush()
        signal.sigwait(signals)
    return 0


def _down() -> int:
    for owner in _kept().values():
        os.kill(owner.pid, signal.SIGTERM)
        while owner.alive:
            time.sleep(0.1)
    state.clear_dead()
    return 0


def _status() -> int:
    for name, owner in state.labs().items():
        kind = "kept" if owner.kept else "of a test run"
        alive = "" if owner.alive else ", which has ended: python -m tests.lab down"
        print(f"{name}, {kind}, process {owner.pid}{alive}")  # noqa: T201 - asked for
        details = state.FOLDER / name / "lab.json"
        if details.exists():
            for row in json.loads(details.read_text())["hosts"]:
                print("  " + "  ".join(str(value) for value in row.values() if value))  # noqa: T201
    return 0


def _shell(argv: list[str]) -> int:
    """Run a command, by default a shell, in the auditor's place of the lab that is kept."""
    kept = list(_kept())
    if not kept:
        say("no lab is up; python -m tests.lab up starts it")
        return 1
    details = json.loads((state.FOLDER / kept[0] / "lab.json").read_text())
    enter = ["ip", "netns", "exec", details["netns"]]
    environment = {**os.environ, "HOME": details["home"]}
    environment.pop("SSH_AUTH_SOCK", None)
    command = argv or [os.environ.get("SHELL", "/bin/sh")]
    return subprocess.run([*enter, *command], env=environment, check=False).returncode


def _kept() -> dict[str, state.Owner]:
    return {name: owner for name, owner in state.labs().items() if owner.kept and owner.alive}


sys.exit(main())
