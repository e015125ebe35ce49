"""A run that is ended from outside: what was done is said and kept, nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_droplet.testing import Cloud
from tests.support.fake_api import FakeApi
from tests.support.ssh_server import Servers, Session, canned
from tests.trust.runs import HANGS_S, finish, lines, refused, run, start

OS_RELEASE = b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\nNAME="Debian"\n'
RECORD = "--droplets-report=jsonl:out.jsonl"


@pytest.fixture
def args(project: pytest.Pytester, farm: Servers, api: FakeApi, cloud: Cloud) -> list[str]:
    """A fleet of which web-1 answers, web-2 never does, and web-3 hangs in its ProxyCommand."""
    answers = canned({"os": OS_RELEASE})

    async def handler(session: Session) -> None:
        if session.droplet_id == 1:
            await answers(session)
        else:
            await session.process.wait_closed()

    server = farm.ssh({"127.0.0.1": 1, "127.0.0.2": 2}, handler)
    proxy = f"  ProxyCommand sleep 3{os.getpid() % 1000:03}1"
    config = farm.config(server.port, "Host web-3", proxy)
    patient = f"--droplets-timeout={2 * HANGS_S}"
    return ["--droplets=all", f"--ssh-config={config}", RECORD, patient]


@pytest.fixture
def running(
    project: pytest.Pytester, args: list[str]
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a run, and wait until its record has as many results as said."""
    started: list[subprocess.Popen[str]] = []

    def begin(results: int, *more: str) -> subprocess.Popen[str]:
        process = start(project.path, *args, *more)
        started.append(process)
        until(lambda: len(results_of(project.path)) >= results and children(process))
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def until(done: Callable[[], object]) -> None:
    """Wait until something holds."""
    for _ in range(HANGS_S * 50):
        if done():
            return
        time.sleep(0.02)
    pytest.fail("it did not come to it")


def results_of(folder: Path) -> list[str]:
    """Return the whole lines that are results of the record that is being written."""
    path = folder / "out.jsonl.part"
    text = path.read_text() if path.exists() else ""
    return [line for line in text.splitlines(keepends=True) if '"type":"result"' in line]


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the children of a process."""
    task = Path(f"/proc/{process.pid}/task")
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in task.iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


def gone(pid: int) -> bool:
    """Whether a process is no more (a zombie counts)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_says_what_was_done(
    project: pytest.Pytester, running: Callable[..., subprocess.Popen[str]], sent: int
) -> None:
    """Summary and whole record of what was judged, exit code 2, no child left, soon."""
    process = running(1)
    proxies = children(process)
    process.send_signal(sent)
    status, text = finish(process)
    assert status == pytest.ExitCode.INTERRUPTED, text
    assert "KeyboardInterrupt" in text
    assert "coverage: 1 of " in text
    assert "Traceback" not in text
    record = lines(project.path / "out.jsonl")
    assert record[-1]["type"] == "summary"
    assert record[-1]["exit_code"] == 2
    assert "pass" not in {r["verdict"] for r in record if r.get("droplet_id") in {2, 3}}
    until(lambda: all(map(gone, proxies)))


def test_a_run_that_is_stopped_twice_ends_at_once(
    project: pytest.Pytester, running: Callable[..., subprocess.Popen[str]]
) -> None:
    """The second Ctrl-C waits for nothing more; the record so far can be read."""
    process = running(1)
    proxies = children(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(ProcessLookupError):
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    status, text = finish(process)
    assert status != 0, text
    place = project.path / "out.jsonl"
    written = place if place.exists() else project.path / "out.jsonl.part"
    assert lines(written)[0]["type"] == "header"
    assert "result" in {line["type"] for line in lines(written)}
    until(lambda: all(map(gone, proxies)))


def test_a_run_that_is_killed_leaves_a_record_that_can_be_read(
    project: pytest.Pytester, running: Callable[..., subprocess.Popen[str]]
) -> None:
    """Every verdict so far is a whole line; that it was cut is seen, and merge says so."""
    process = running(1)
    proxies = children(process)
    process.kill()
    finish(process)
    assert not (project.path / "out.jsonl").exists()
    record = lines(project.path / "out.jsonl.part")
    assert record[0]["type"] == "header"
    assert record[-1]["type"] != "summary"
    assert [r["verdict"] for r in record if r["type"] == "result"]
    refused_as = refused(
        project.runpytest_inprocess("--droplets=all", "--droplets-baseline=out.jsonl.part")
    )
    assert "the record was cut: it has no summary line" in refused_as
    for pid in proxies:  # SIGKILL lets no one tidy up; ssh's own proxies end with their socket
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_before_the_inventory_is_there(
    project: pytest.Pytester, api: FakeApi, cloud: Cloud, sent: int
) -> None:
    """While the API stalls nothing is judged yet; it ends soon, without a traceback."""
    cloud.stall("/v2/droplets", seconds=60, times=9)
    process = start(project.path, "--droplets=all", RECORD)
    until(lambda: api.requests)
    process.send_signal(sent)
    status, text = finish(process)
    assert status == pytest.ExitCode.INTERRUPTED, text
    assert "Traceback" not in text
    assert " passed" not in text


def test_maxfail_closes_what_is_open(project: pytest.Pytester, args: list[str]) -> None:
    """-x ends the run while other hosts are still being read; no thread holds it up."""
    status, text = run(project.path, [*args, "-x", "-k", "release", "--droplets-timeout=3"])
    assert status == pytest.ExitCode.TESTS_FAILED, text
    assert "stopping after 1 failures" in text
    assert lines(project.path / "out.jsonl")[-1]["type"] == "summary"


# --- reports that cannot be written -----------------------------------------------------------


def _folder(path: Path) -> str:
    (path / "taken").mkdir()
    return "taken"


UNWRITABLE = {
    "a folder": _folder,
    "below a file": lambda path: "test_site.py/x",
    "where nobody may": lambda path: "/proc/nowhere/x",
}


@pytest.mark.parametrize(
    ("form", "place"),
    [
        *((form, "a folder") for form in ("jsonl", "sarif", "csv", "markdown", "ocsf", "html")),
        *((form, "below a file") for form in ("jsonl", "sarif", "html", "hdf")),
        *((form, "where nobody may") for form in ("jsonl", "markdown", "html", "hdf")),
    ],
)
def test_an_unwritable_path_is_known_before_anything_is_sent(
    project: pytest.Pytester, api: FakeApi, form: str, place: str
) -> None:
    """One line with the path and the reason; the API was not asked."""
    path = UNWRITABLE[place](project.path)
    option = f"--html={path}" if form == "html" else f"--droplets-report={form}:{path}"
    line = refused(project.runpytest_inprocess("--droplets=all", option))
    assert "the report cannot be written there: " in line
    assert api.requests == []


@pytest.mark.parametrize("form", ["jsonl", "sarif", "html"])
def test_a_disk_that_is_full_is_one_line(
    project: pytest.Pytester, api: FakeApi, form: str
) -> None:
    """It is only known when it happens: the findings are shown, the run is not green."""
    option = "--html=/dev/full" if form == "html" else f"--droplets-report={form}:/dev/full"
    more = ["--droplets-report=csv:out.csv"] if form != "jsonl" else []
    status, text = run(project.path, ["--droplets=all", option, *more, "-k", "name"])
    assert "Traceback" not in text
    assert status == pytest.ExitCode.USAGE_ERROR, text
    assert text.count("No space left on device") == 1
    assert "/dev/full" in text
    if more:
        assert "3 passed" in text
        assert "written: " in text
        assert (project.path / "out.csv").stat().st_size


def test_a_recording_that_cannot_be_written_is_one_line(
    project: pytest.Pytester, api: FakeApi
) -> None:
    """A folder that holds something, or cannot be made, is refused before anything is sent."""
    for folder in (".", "test_site.py/x", "/proc/nowhere"):
        line = refused(
            project.runpytest_inprocess("--droplets=all", f"--droplets-record={folder}")
        )
        assert "name a folder that does not exist yet" in line
    assert api.requests == []


def test_the_folder_for_temporary_files_may_be_missing(
    project: pytest.Pytester, api: FakeApi
) -> None:
    """Without a path for it the record is a temporary file: where it has no place, one line."""
    status, text = run(
        project.path,
        ["--droplets=all", "-k", "name", "-p", "no:capture", "--basetemp=t"],
        env={"TMPDIR": "/proc/nowhere"},
    )
    assert "Traceback" not in text
    assert status in {pytest.ExitCode.OK, pytest.ExitCode.USAGE_ERROR}, text


def test_a_worker_that_dies_costs_the_droplet_it_was_at(tmp_path: Path) -> None:
    """Others take its place and judge the rest; the run is red and says what was not judged."""
    (tmp_path / "test_site.py").write_text(
        "import os\n"
        "def test_before(droplet_os_release): pass\n"
        "def test_dies(droplet):\n"
        "    if 'web' in droplet.name: os._exit(1)\n"
        "def test_after(droplet): pass\n"
    )
    args = ["--droplets=demo", "--droplets-profile=none", "--droplets-unknown=skip", RECORD]
    chosen = [*args, "--droplets-min-coverage=0", "test_site.py"]

    code, output = run(tmp_path, [*chosen, "-n2"])

    assert "INTERNALERROR" not in output
    assert code == 1
    written = lines(tmp_path / "out.jsonl")
    droplets = {line["id"]: line["name"] for line in written if line["type"] == "droplet"}
    died = {droplet_id for droplet_id, name in droplets.items() if "web" in name}
    assert len(died) > 1
    for droplet_id in died:
        assert re.search(rf"crashed while running '.*test_dies\[.*-{droplet_id}\]'", output)
    assert written[-1]["not_run"] == 2 * len(died)
    assert f"STOPPED: {2 * len(died)} tests did not run" in output
    alone, _ = run(tmp_path, [*chosen, "-k", "not web"])
    assert alone == 0
    of_others = [told for told in map(_told, written) if told and told[1] not in died]
    assert sorted(of_others) == sorted(filter(None, map(_told, lines(tmp_path / "out.jsonl"))))


def _told(line: dict[str, Any]) -> tuple[str, int, str] | None:
    if line["type"] != "result":
        return None
    return line["check"], line["droplet_id"], line["verdict"]
