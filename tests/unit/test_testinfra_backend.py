"""testinfra over the pool: its modules, sudo, the memo, and hosts that do not answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import testinfra

from pytest_droplet.connection import testinfra as backend
from pytest_droplet.connection.pool import Pool, PoolOptions
from pytest_droplet.model import (
    Droplet,
    HostReading,
    NotObservedError,
    Section,
    SectionOutput,
    Target,
)
from tests.support.ssh_server import host, servers

WEB = Droplet(7, "web-1")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


class FakePool:
    """A pool that answers from a table and notes what it was asked."""

    def __init__(self, reading: HostReading, **answers: tuple[int, bytes, bytes]) -> None:
        self.reading = reading
        self.answers = answers
        self.asked: list[str] = []

    def get(self, droplet_id: int) -> HostReading:
        """Return the reading."""
        assert droplet_id == WEB.id
        return self.reading

    def run(
        self, droplet_id: int, command: str, timeout: float | None = None
    ) -> tuple[int, bytes, bytes]:
        """Note the command and return the answer."""
        del droplet_id, timeout
        self.asked.append(command)
        return self.answers.get("any", (0, b"", b""))


def reading(**more: Any) -> HostReading:
    return HostReading(7, "reached", NOW, **{"user": "root", "root": True, **more})


@pytest.fixture(autouse=True)
def _no_pool() -> Iterator[None]:
    """No pool is left for the next test."""
    yield
    backend.deactivate()


def test_modules_of_testinfra_work_over_a_real_connection(tmp_path: Path) -> None:
    """One login serves the script and every command after it."""
    shown = tmp_path / "shown"
    shown.write_text("hello\n")
    shown.chmod(0o640)
    with servers(tmp_path) as farm:
        server = farm.ssh({"127.0.0.1": 7}, host)
        pool = Pool(PoolOptions(ssh_config=farm.config(server.port)))
        try:
            pool.keep([7])
            pool.start([Target(7, "web-1", "127.0.0.1")])
            pool.read([])
            backend.activate(pool, [WEB])
            seen = testinfra.get_host("droplet://web-1-7")

            assert seen.backend.get_pytest_id() == "web-1-7"
            assert seen.backend.droplet is WEB
            assert seen.backend.get_hostname() == "web-1"
            assert seen.file(str(shown)).mode == 0o640
            assert seen.file(str(shown)).contains("hello")
            assert not seen.file(str(tmp_path / "absent")).exists
            assert seen.user("root").uid == 0
            assert seen.run("exit 255").rc == 255
            assert (
                seen.run("printf 'caf\\303\\251 \\377'").stdout == "café \N{REPLACEMENT CHARACTER}"
            )
        finally:
            pool.close()
        assert server.logins == 1


@pytest.mark.parametrize("spec", ["web-1-7", "7"])
def test_a_droplet_is_named_by_its_test_id_or_its_id(spec: str) -> None:
    backend.activate(FakePool(reading()), [WEB])
    assert testinfra.get_host(f"droplet://{spec}").backend.droplet is WEB


def test_what_the_script_read_is_not_run_again() -> None:
    """The same command, as the same user, is answered from the reading."""
    sections = {
        "os": SectionOutput("os", "Debian\n", "", 0),
        "cut": SectionOutput("cut", "x", "", 0, truncated=True),
        "late": SectionOutput("late", "", "", 124),
        "lost": SectionOutput("lost", missing="cut"),
    }
    planned = [Section(n, f"cat /{n}") for n in sections]
    pool = FakePool(reading(sections=sections))
    backend.activate(pool, [WEB], planned)
    seen = testinfra.get_host("droplet://7")

    assert seen.run("cat /os").stdout == "Debian\n"
    assert pool.asked == []
    for name in ("cut", "late", "lost"):
        seen.run(f"cat /{name}")
    assert pool.asked == ["cat /cut", "cat /late", "cat /lost"]


def test_what_root_read_is_root_only() -> None:
    """The script ran by sudo: its answers are not those of the login user."""
    sections = {"os": SectionOutput("os", "Debian\n", "", 0)}
    pool = FakePool(reading(sections=sections, user="deploy"))
    backend.activate(pool, [WEB], [Section("os", "cat /os")])

    assert testinfra.get_host("droplet://7", sudo=True).run("cat /os").stdout == "Debian\n"
    assert pool.asked == []
    testinfra.get_host("droplet://7").run("cat /os")
    assert pool.asked == ["cat /os"]


def test_what_a_host_said_is_remembered_until_the_droplet_is_forgotten() -> None:
    """The reading is looked through once, and again where the Droplet was forgotten."""
    pool = FakePool(reading(sections={"os": SectionOutput("os", "Debian\n", "", 0)}))
    backend.activate(pool, [WEB], [Section("os", "cat /os")])
    seen = testinfra.get_host("droplet://7")
    assert seen.run("cat /os").stdout == "Debian\n"

    pool.reading = reading()
    assert seen.run("cat /os").stdout == "Debian\n"
    assert pool.asked == []
    backend.forget(7)
    assert seen.run("cat /os").stdout == ""
    assert pool.asked == ["cat /os"]


@pytest.mark.parametrize(
    ("user", "options", "sent"),
    [
        ("root", {}, "id"),
        ("root", {"sudo": True}, "id"),
        ("deploy", {}, "id"),
        ("deploy", {"sudo": True}, "sudo -n /bin/sh -c id"),
        ("root", {"sudo": True, "sudo_user": "www data"}, "sudo -n -u 'www data' /bin/sh -c id"),
    ],
)
def test_sudo_never_asks(user: str, options: dict[str, Any], sent: str) -> None:
    """Root needs none; it may be absent there."""
    pool = FakePool(reading(user=user))
    backend.activate(pool, [WEB])
    testinfra.get_host("droplet://7", **options).run("id")
    assert pool.asked == [sent]


def test_sudo_within_a_test_keeps_its_meaning() -> None:
    pool = FakePool(reading(user="deploy"))
    backend.activate(pool, [WEB])
    seen = testinfra.get_host("droplet://7")
    with seen.sudo():
        seen.run("id")
    seen.run("id")
    assert pool.asked == ["sudo -n /bin/sh -c id", "id"]


@pytest.mark.parametrize(
    ("rc", "stderr", "said"),
    [
        (1, b"sudo: a password is required\n", "a password is required"),
        (1, b"sudo-rs: interactive authentication is required\n", "interactive auth"),
        (127, b"sh: 1: sudo: not found\n", "sh: 1: sudo: not found"),
        (127, b"bash: line 1: sudo: command not found\n", "bash: line 1: sudo: command not found"),
    ],
)
def test_a_refusal_of_sudo_is_not_an_answer(rc: int, stderr: bytes, said: str) -> None:
    """Its status 1 would read as "no such file"."""
    pool = FakePool(reading(user="deploy"), any=(rc, b"", stderr))
    backend.activate(pool, [WEB])
    for seen in (testinfra.get_host("droplet://7", sudo=True), testinfra.get_host("droplet://7")):
        with seen.sudo(), pytest.raises(NotObservedError, match=f"sudo -n was refused: {said}"):
            assert seen.file("/etc/shadow").exists


def test_an_unreachable_host_says_so_and_is_asked_nothing() -> None:
    pool = FakePool(HostReading(7, "unreachable", NOW, reason="web-1: no answer"))
    backend.activate(pool, [WEB])
    seen = testinfra.get_host("droplet://7")
    for _ in range(2):
        with pytest.raises(NotObservedError, match=r"^web-1: no answer$"):
            assert seen.file("/etc/passwd").exists
    assert pool.asked == []


def test_without_a_pool_there_is_no_host() -> None:
    """Nor is one of an earlier run kept by testinfra."""
    first = FakePool(reading())
    backend.activate(first, [WEB])
    kept = testinfra.get_host("droplet://7")
    backend.deactivate()
    with pytest.raises(NotObservedError, match="only in a run with --droplets"):
        kept.run("id")

    second = FakePool(reading())
    backend.activate(second, [WEB])
    assert testinfra.get_host("droplet://7") is not kept
    with pytest.raises(NotObservedError, match="web-9-9 is none of the selected Droplets"):
        testinfra.get_host("droplet://web-9-9").run("id")
