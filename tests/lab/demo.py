"""``python -m tests.lab.demo DIR``: record the demo fleet that ships with the package.

It is the lab's account. Before its recording stands a baseline, in which some things are wrong
that were mended since and some are right that were broken since; beside it lie waivers and settings.
"""

import argparse
import datetime as dt
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from . import roots
from .account import serve
from .audit import audit
from .command import LabError, say
from .lab import Lab

# Defects by host.
_MENDED_SINCE = {
    "web-clean": "tls.no-redirect",
    "vm-audit": "auditd.switched-off",
    "cache-fedora": "patches.advisory-unheeded-by-dnf5",
}
_BROKEN_SINCE = {
    "web-stale": "sshkeys.foreign-key",
    "app-foreignkey": "auditd.log-not-kept",
    "api-ubuntu": "tls.key-readable-on-ubuntu",
    "queue-centos": "patches.unlabelled-update-waits",
}
_EVERYTHING = ("--droplets=tag:prod", "--droplets-profile=all")
_PUBLIC_ARCHIVE = "deb.debian.org"
_PUBLIC_API = "https://api.digitalocean.com"
_BETWEEN = dt.timedelta(days=7)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?=[.\dZ+])")
_MAXIMUM_BYTES = 2_000_000


def record(folder: Path) -> None:
    """Record the fleet into a folder that is not there yet, and what lies beside it.

    Raises:
        LabError: The lab did not start, a run did not end as it should, or the files hold what
            must not leave this machine.
    """
    with tempfile.TemporaryDirectory() as work, Lab.start() as lab, ExitStack() as until_done:
        account = until_done.enter_context(serve(lab))
        with ExitStack() as mended:
            for host, defect in _MENDED_SINCE.items():
                mended.enter_context(lab.hosts[host].defect(defect))
            audit(lab, account, Path(work), *_EVERYTHING)
        for host, defect in _BROKEN_SINCE.items():
            until_done.enter_context(lab.hosts[host].defect(defect))
        baseline = (Path(work) / "record.jsonl").read_text()
        run = audit(lab, account, Path(work), *_EVERYTHING, f"--droplets-record={folder}")
        if run.process.returncode != 1:
            raise LabError(
                f"the recording ended with {run.process.returncode}: {run.text[-1000:]}"
            )
        for name in ("ca.pem", "droplet.toml"):
            (folder / name).write_text((Path(work) / name).read_text())
    clean = _cleaner(Path(work), account["DIGITALOCEAN_API_URL"])
    (folder / "baseline.jsonl").write_text(_earlier(_compared(clean(baseline)), _BETWEEN))
    (folder / "droplet-waivers.toml").write_text(_waivers(dt.datetime.now(tz=dt.UTC).date()))
    _clean_recording(folder, clean)
    _look_through(folder)


def _cleaner(work: Path, api: str) -> Callable[[str], str]:
    """Return what takes this machine's own marks out of a text, such as the lab's API address.

    The hosts run on its kernel and say so: the kernel's version keeps its number alone, and its
    arguments, of which a Droplet has none, become those of a plain boot.
    """
    release = os.uname().release
    number = re.match(r"[\d.]+", release)
    arguments = Path("/proc/cmdline").read_text().strip()
    marks = {
        f"{work}/": "",
        api: _PUBLIC_API,
        _host_of(api): _host_of(_PUBLIC_API),
        json.dumps(arguments)[1:-1]: "console=ttyS0 quiet",
        release: number[0] if number else "0",
        **{_host_of(address): _PUBLIC_ARCHIVE for address in roots.archive()},
    }

    def clean(text: str) -> str:
        for mark, instead in marks.items():
            text = text.replace(mark, instead)
        return text

    return clean


def _host_of(address: str) -> str:
    return address.partition("://")[2].partition("/")[0]


def _compared(record: str) -> str:
    """A record with nothing but what a later one is compared with: its failures, and where."""
    kept = []
    for line in map(json.loads, record.splitlines()):
        if line["type"] == "header":
            line["checks"] = []
        elif line["type"] == "result":
            if line["verdict"] != "fail":
                continue
            line["evidence"] = []
        elif line["type"] == "droplet":
            line["rows"] = {}
        kept.append(line)
    return "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in kept)


def _earlier(record: str, by: dt.timedelta) -> str:
    """A record with every time put back: nobody watched the demo's fleet for a week."""

    def put_back(found: re.Match[str]) -> str:
        return (dt.datetime.fromisoformat(found[0]) - by).isoformat()

    return _TIME.sub(put_back, record)


def _clean_recording(folder: Path, clean: Callable[[str], str]) -> None:
    """Clean the files of the recording, and write their checksums anew."""
    manifest = json.loads(clean((folder / "recording.json").read_text()))
    for name in manifest["files"]:
        file = folder / name
        file.write_text(clean(file.read_text()))
        manifest["files"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "recording.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _waivers(today: dt.date) -> str:
    """Three waivers: one holds, one has expired, one matches nothing."""
    rows: tuple[Mapping[str, str | dt.date], ...] = (
        {
            "check": "firewall.cloud-attached",
            "droplets": "name:db-noauditd",
            "reason": "Reached through the VPC alone; nftables on the host denies by default.",
            "expires": today + dt.timedelta(days=90),
            "owner": "platform",
            "ticket": "OPS-412",
        },
        {
            "check": "ssh.password-authentication-disabled",
            "droplets": "name:web-password",
            "reason": "The old deployment still logs in with a password.",
            "expires": today - dt.timedelta(days=30),
            "owner": "web",
            "ticket": "OPS-355",
        },
        {
            "check": "tls.hsts",
            "droplets": "name:web-retired",
            "reason": "The site is to be switched off.",
            "expires": today + dt.timedelta(days=30),
        },
    )
    return "\n".join(
        "[[waiver]]\n"
        + "".join(
            f"{key} = {value if isinstance(value, dt.date) else json.dumps(value)}\n"
            for key, value in row.items()
        )
        for row in rows
    )


def _look_through(folder: Path) -> None:
    """Refuse what must not leave this machine.

    Raises:
        LabError: A file holds a private key or a path of this machine, or all are too large.
    """
    here = Path(__file__).parents[2]
    forbidden = ("PRIVATE KEY", str(here), tempfile.gettempdir() + "/", "firecracker")
    files = [file for file in folder.rglob("*") if file.is_file()]
    for file in files:
        text = file.read_text()
        if found := [word for word in forbidden if word in text]:
            raise LabError(f"{file}: it holds {found}")
    size = sum(file.stat().st_size for file in files)
    if size > _MAXIMUM_BYTES:
        raise LabError(f"{folder}: {size} bytes are more than {_MAXIMUM_BYTES}")
    say(f"{folder}: {len(files)} files, {size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.lab.demo", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    record(parser.parse_args().folder.absolute())
