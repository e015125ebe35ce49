"""The line of progress: on a terminal while hosts are waited for, and gone afterwards."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

ROWS, COLUMNS = 40, 72
LINE = re.compile(r"reading hosts: (\d+) of (\d+)(?:, (\d+) not reached)?, \d+ s(?:: ([^\x1b]+))?")
SLOW_HOSTS = """
import os
import time

import pytest

class Slow:
    def __init__(self, hosts):
        self.hosts = hosts

    def __getattr__(self, name):
        return getattr(self.hosts, name)

    def next_arrived(self, wanted):
        time.sleep(float(os.environ.get("SLOW_S", "0")))
        return self.hosts.next_arrived({max(wanted)})

@pytest.hookimpl(wrapper=True)
def pytest_droplet_connect():
    return Slow((yield))
"""


@pytest.fixture
def slow(audit: pytest.Pytester) -> pytest.Pytester:
    """A project whose three hosts answer one after the other, each after more than a second."""
    audit.makeconftest(SLOW_HOSTS)
    return audit


def command(*args: str) -> list[str]:
    """A run on the recorded fleet."""
    replay = ("--droplets=all", "--droplets-replay=recording")
    return [sys.executable, "-m", "pytest", *replay, *args]


def on_terminal(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> str:
    """Run pytest on a terminal and return all that it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command(*args),
        cwd=folder,
        env=_environment() | {"SLOW_S": "1.2"} | (env or {}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    process.wait(600)
    return written.decode()


def piped(folder: Path, *args: str) -> str:
    """Run pytest into a pipe and return what it wrote."""
    done = subprocess.run(
        command(*args),
        cwd=folder,
        env=_environment() | {"COLUMNS": str(COLUMNS)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def _environment() -> dict[str, str]:
    gone = {"CI", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS"}
    return {n: v for n, v in os.environ.items() if n not in gone} | {"TERM": "xterm"}


def screen(written: str) -> list[str]:
    """Return the lines that a terminal shows, those scrolled away too."""
    lines, row, column = [""], 0, 0
    for part in re.findall(
        r"\x1b\[\??[0-9;]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|.", written, re.DOTALL
    ):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part[0] != "\x1b":
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1 :]
            column += 1
        elif part[-1] == "K":
            lines[row] = lines[row][:column]
        elif part[-1] == "A":
            row -= 1
        elif part[-1] == "C":
            column += int(part[2:-1])
        else:
            assert part[-1] == "m" or part[1] == "]", part
    return [line.rstrip() for line in lines]


def comparable(lines: list[str]) -> list[str]:
    """Take away how long the run took, and what pytest itself writes to a pipe alone."""
    told = (re.sub(r"=+ (.*) in \d+\.\d\ds.* =+$", r"\1", line) for line in lines)
    return [
        re.sub(r" in \d+\.\d\ds.*$", "", line.removeprefix("collecting ... ")) for line in told
    ]


def without_letters(lines: list[str]) -> list[str]:
    """Take away the lines in which pytest has a letter for each check, and empty ones."""
    letters = re.compile(r"(web-1|db-1|\S+-\d+)? ?[.FEsx]+ *(\[ *\d+%\])?")
    return [line for line in lines if line and not letters.fullmatch(line)]


@pytest.mark.parametrize("how", [(), ("-q",), ("-v",), ("-s", "--color=no")], ids="".join)
def test_the_line_counts_hosts_and_leaves_no_trace(
    slow: pytest.Pytester, how: tuple[str, ...]
) -> None:
    """It counts up, names what is waited for, and the screen ends as a pipe shows the run."""
    written = on_terminal(slow.path, *how)
    found = [match.groups()[:3] for match in LINE.finditer(written)]
    waited = [one for one in dict.fromkeys(found) if one[0] != "3"]
    assert waited == [("0", "3", None), ("1", "3", "1"), ("2", "3", "1")]
    assert all(match[4] for match in LINE.finditer(written) if match[1] != "3")
    shown = comparable(screen(written))
    assert not [line for line in shown if "reading hosts" in line]
    in_pipe = comparable(piped(slow.path, *how).split("\n"))
    if "-v" in how:
        assert shown == in_pipe
    else:
        assert without_letters(shown) == without_letters(in_pipe)
        assert not [line for line in shown if re.search(r"[.FEsx]{5}", line)]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_checks_take_one_line_and_other_tests_their_letters(
    slow: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """Droplets are named on the one line, with workers too; a user's tests are shown by pytest."""
    slow.makepyfile(
        test_own="""
        import time

        def test_first(droplet):
            pass

        def test_second(droplet):
            time.sleep(1)
        """
    )
    written = on_terminal(slow.path, *workers, "test_site.py", "test_own.py")
    assert [match[4] for match in LINE.finditer(written) if match[4]]
    shown = screen(written)
    letters = [line for line in shown if re.search(r"(^|\s)[.FEsx]+$", line)]
    assert sum(line.count(".") for line in letters) >= 6
    assert not [line for line in shown if "reading hosts" in line or "%]" in line]
    assert not [line for line in letters if re.match(r"(web|db)-", line)]


@pytest.mark.parametrize("how", [("-qq",), ("-p", "no:terminal")], ids=["qq", "no-terminal"])
def test_where_it_does_not_belong_there_is_none(
    slow: pytest.Pytester, how: tuple[str, ...]
) -> None:
    """Who asks for less gets none."""
    assert not LINE.search(on_terminal(slow.path, *how, "-k", "web-1"))


def test_a_dumb_terminal_gets_none(slow: pytest.Pytester) -> None:
    """It could not erase the line."""
    assert not LINE.search(on_terminal(slow.path, "-k", "web-1", env={"TERM": "dumb"}))


def test_a_pipe_gets_none_and_no_thread(slow: pytest.Pytester) -> None:
    """A log of CI has nothing of it."""
    slow.makepyfile(
        test_threads="""
        import threading

        def test_threads(droplet):
            assert "droplets-progress" not in {t.name for t in threading.enumerate()}
        """
    )
    written = piped(slow.path, "test_threads.py", "-k", "web-1")
    assert "reading hosts" not in written
    assert "1 passed" in written


def test_ctrl_c_leaves_no_half_line(slow: pytest.Pytester) -> None:
    """What is written after an interruption begins on a line of its own."""
    slow.makeconftest(
        SLOW_HOSTS.replace("return self.hosts.next", "raise KeyboardInterrupt or self.hosts.next")
    )
    written = on_terminal(slow.path, "-k", "web-1")
    assert LINE.search(written)
    shown = screen(written)
    assert not [line for line in shown if "reading hosts" in line]
    assert [line for line in shown if "KeyboardInterrupt" in line]
