"""Runs of the plugin on the lab's hosts, as a user calls it, and what they recorded."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .lab import Lab

PYTEST = str(Path(sys.executable).with_name("pytest"))


@dataclass(frozen=True)
class Run:
    """A finished run: its output, and the record's lines."""

    process: subprocess.CompletedProcess[str]
    record: tuple[dict[str, Any], ...]

    @property
    def text(self) -> str:
        """What the run printed."""
        return self.process.stdout + self.process.stderr

    def verdicts(self, host: str | None) -> dict[str, str]:
        """Verdicts by check of one host, or of the account (None)."""
        ids = {r["name"]: r["id"] for r in self.record if r["type"] == "droplet"}
        subject = None if host is None else ids[host]
        return {
            r["check"]: r["verdict"]
            for r in self.record
            if r["type"] == "result" and r["droplet_id"] == subject
        }

    def checks(self, host: str | None, verdict: str) -> set[str]:
        """The checks that gave one verdict on a host."""
        return {check for check, given in self.verdicts(host).items() if given == verdict}

    def messages(self, host: str | None) -> str:
        """What did not pass on a host, a line each."""
        ids = {r["name"]: r["id"] for r in self.record if r["type"] == "droplet"}
        subject = None if host is None else ids[host]
        return "\n".join(
            f"{r['verdict']} {r['check']}: {r['message']}"
            for r in self.record
            if r["type"] == "result"
            and r["droplet_id"] == subject
            and r["verdict"] not in {"pass", "notapplicable"}
        )


Before = Callable[[str], Run]


def only(host: str) -> tuple[str, ...]:
    """Options that judge one host by all checks that there are."""
    return f"--droplets=name:{host}", "--droplets-profile=all"


def audit(lab: Lab, account: Mapping[str, str], folder: Path, *args: str) -> Run:
    """Run pytest in a project of its own, in the auditor's place, and read its record."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_text(Path(lab.ca_bundle).read_text())
    (folder / "droplet.toml").write_text(
        f'ca_bundle = "ca.pem"\ndenied_keys = {list(lab.denied_keys)}\n'
    )
    record = folder / "record.jsonl"
    options = (
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--droplets-timeout=600",
        "--droplets-connections=4",
        f"--droplets-report=jsonl:{record}",
    )
    process = lab.run([PYTEST, *options, *args], env=account, cwd=folder, timeout=1800)
    lines = record.read_text().splitlines() if record.exists() else []
    return Run(process, tuple(json.loads(line) for line in lines))
