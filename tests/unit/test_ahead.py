"""Commands that are fetched ahead: which ones may be, and that their answers are the same."""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import testinfra
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_droplet.connection import testinfra as backend
from pytest_droplet.connection.ahead import (
    Ahead,
    Results,
    compose,
    only_looks,
    parse,
)
from pytest_droplet.connection.pool import Pool, PoolOptions
from pytest_droplet.model import Droplet, Target
from tests.support.ssh_server import Servers, Session, host

DROPLETS = [Droplet(i, f"web-{i}") for i in (1, 2, 3)]
QUOTED_TEMPLATES = (
    "command -v {}",
    "test -e {}",
    "stat -Lc %U {}",
    "cat -- {}",
    "grep -qs -- {} /etc/hosts",
    "md5sum {} | cut -d' ' -f1",
    "getent passwd {}",
    "id -u {}",
    "systemctl is-active {}",
    "dpkg-query -f '${{Status}}' -W {}",
    "find -L /etc/rc?.d/ -name {}",
    "ip addr show {}",
)


@pytest.mark.parametrize(
    "command",
    [
        "uname -s",
        "command -v systemctl",
        "cat /etc/os-release",
        "test -d /run/systemd/system/",
        "stat -Lc %a /etc/ssh/sshd_config",
        "stat -Lc %U '/srv/a b'",
        "cat -- '/srv/it'\"'\"'s here'",
        "grep -qs -- '^PermitRootLogin no' /etc/ssh/sshd_config",
        "sha256sum /etc/hosts | cut -d ' ' -f 1",
        "systemctl is-active nginx",
        'systemctl list-unit-files | grep -q "^nginx"',
        "dpkg-query -f '${Status} ${Version}' -W nginx",
        "getent group sudo | cut -d':' -f3",
        "/usr/sbin/sysctl -n net.ipv4.ip_forward",
        "ps -Aww -o comm:50,pcpu:50,pid:50,pmem:50,user:50,lstart:50,args",
        "/usr/sbin/ip -f inet addr show eth0",
        "sudo -n /bin/sh -c 'getent shadow root'",
        "sudo -n -u 'www data' /bin/sh -c 'id -nu'",
    ],
)
def test_what_testinfra_reads_may_go_ahead(command: str) -> None:
    assert only_looks(command)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "true",
        "rm -rf /srv",
        "curl -s http://127.0.0.1/",
        "systemctl restart nginx",
        "systemctl is-active nginx; reboot",
        "systemctl is-active $(reboot)",
        "systemctl show `reboot`",
        "cat -- /etc/hosts > /etc/passwd",
        "cat -- /etc/hosts\nreboot",
        "cat -- '/etc/ho\0sts'",
        "cat -- /proc/kmsg",
        "cat -- '/dev/watchdog'",
        "cat -- /sys/kernel/debug/tracing/trace_pipe",
        "stat -Lc %U --printf=x",
        "sysctl -n kernel.panic=1",
        "sysctl -w kernel.panic=1",
        "/srv/bin/sysctl -n kernel.panic",
        "ip link set eth0 down",
        "ip netns exec x ip link show eth0",
        "find -L /etc/rc?.d/ -name x -delete",
        "service nginx status",
        "getent ahosts example.com",
        "ss --numeric --listening --tcp",
        "iptables -w 90 -t filter -S",
        "rpm -q --quiet nginx 2>&1",
        "sudo -n /bin/sh -c 'touch /x'",
        "sudo -n /bin/sh -c 'uname -s' x",
        "sudo -n /bin/sh -c 'uname",
        "sudo -n -u x; /bin/sh -c 'uname -s'",
    ],
)
def test_what_may_do_something_never_goes_ahead(command: str) -> None:
    """Nor does what loads a module, leaves a lock file, or asks the network."""
    assert not only_looks(command)


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    """A test may run whatever it likes."""
    assert only_looks(text) in {True, False}
    only_looks(f"sudo -n /bin/sh -c {text}")


@given(st.sampled_from(QUOTED_TEMPLATES), st.text())
def test_an_argument_stays_one_argument(template: str, text: str) -> None:
    """Whatever testinfra puts into a command, what goes ahead has the words of the template."""
    command = template.format(shlex.quote(text))
    if only_looks(command):
        plain = template.format("x")
        assert len(shlex.split(command)) == len(shlex.split(plain))
        assert "\n" not in command


@example("command -v {}", "''")
@given(st.sampled_from(QUOTED_TEMPLATES), st.text(alphabet="ab /;|&$`<>()'\"\\\n*?#~{}!-"))
def test_no_operator_of_the_shell_goes_ahead(template: str, text: str) -> None:
    """A command that was put together without quotes is one word of plain letters, or stays."""
    command = template.format(text)
    if only_looks(command):
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        operators = [t for t in lexer if t and set(t) <= set("();<>|&")]
        assert len(operators) <= template.count("|")


def ran(commands: list[str], **more: Any) -> dict[str, tuple[int, bytes, bytes]]:
    """Run commands as they go ahead, in a real shell."""
    stdin, nonce = compose(commands)
    done = subprocess.run(["sh", "-s"], input=stdin, capture_output=True, check=False, **more)
    return parse(done.stdout, commands, nonce)


def test_an_answer_is_the_one_of_a_single_run(tmp_path: Path) -> None:
    """Status, standard output and standard error are the same to the byte, failures included."""
    (tmp_path / "file").write_text("\N{LATIN SMALL LETTER E WITH ACUTE}\n\n")
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "ONE": "1"}
    commands = [
        f"cat -- {tmp_path}/file",
        "cat -- /absent",
        "env -0",
        "command -v absent",
        "printf '%s' out; printf '%s' err >&2; exit 7",
        "printf 'a\\nb\\n'; printf 'x\\n\\n' >&2",
        "echo '--0 end c0 rc=0'",
        "umask",
    ]

    found = ran(commands, env=environment)

    for command in commands:
        one = subprocess.run(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=environment,
        )
        if command != "env -0":  # the shell itself adds to it
            assert found[command] == (one.returncode, one.stdout, one.stderr), command
    assert b"ONE=1\0" in found["env -0"][1]


def test_what_is_not_whole_is_left_out() -> None:
    """Bytes that are not UTF-8, a killed command, and what is too long are asked for singly."""
    commands = [
        "printf '\\377'",
        "kill -9 $$",
        "head -c 500000 /dev/zero",
        "head -c 5000 /dev/zero | tr '\\0' x >&2",
        "exit 124",
        "echo last",
    ]
    assert ran(commands) == {"echo last": (0, b"last\n", b"")}


@given(st.binary(), st.booleans())
def test_any_answer_of_a_host_is_parsed(raw: bytes, framed: bool) -> None:  # noqa: FBT001
    """A host may print anything: what has no whole frame is left out."""
    commands = ["uname -s", "uname -m"]
    _, nonce = compose(commands)
    if framed:
        raw = f"\n--{nonce} begin c1\n".encode() + raw + f"\n--{nonce} end c1 rc=0\n".encode()
    found = parse(raw, commands, nonce)
    assert found.keys() <= {"uname -m"}


# --- whom the commands are fetched of -------------------------------------------------------


class Fleet:
    """A pool in memory that notes what is fetched."""

    def __init__(self) -> None:
        self.fetched: dict[int, Sequence[str]] = {}

    def fetch(
        self, droplet_ids: Iterable[int], commands: Sequence[str]
    ) -> Mapping[int, Future[Results]]:
        """Answer at once."""
        futures: dict[int, Future[Results]] = {}
        for i in droplet_ids:
            assert i not in self.fetched
            self.fetched[i] = commands
            futures[i] = Future()
            futures[i].set_result(dict.fromkeys(commands, (0, b"ahead\n", b"")))
        return futures


def test_all_others_are_asked_what_the_first_was() -> None:
    """Once, and only for what does no more than look."""
    fleet = Fleet()
    ahead = Ahead(fleet, range(1, 5))
    assert ahead.answers(2) == {}
    for command in ("uname -s", "reboot", "uname -s"):
        ahead.note(2, command)
    assert fleet.fetched == {}

    assert list(ahead.answers(1)) == ["uname -s"]
    ahead.note(1, "uname -r")
    assert list(ahead.answers(3)) == ["uname -s"]
    assert ahead.answers(3) == {}
    assert fleet.fetched == dict.fromkeys((1, 3, 4), ("uname -s",))


def test_a_host_whose_tests_were_skipped_is_not_the_first() -> None:
    """It says nothing of what the others will be asked."""
    fleet = Fleet()
    ahead = Ahead(fleet, (1, 2, 3))
    ahead.answers(1)
    ahead.note(1, "reboot")
    ahead.answers(2)
    ahead.note(2, "uname -s")
    assert list(ahead.answers(3)) == ["uname -s"]


def test_what_was_cut_off_is_asked_again() -> None:
    """A pool that ends while it fetches answers nothing."""
    fleet = Fleet()
    ahead = Ahead(fleet, (1, 3))
    ahead.answers(1)
    ahead.note(1, "uname -s")
    gone: Future[Results] = Future()
    gone.cancel()
    fleet.fetch = lambda ids, commands: {3: gone}  # type: ignore[method-assign]
    assert ahead.answers(3) == {}


@pytest.fixture
def fleet_of_three(farm: Servers, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A pool that has read three hosts of one server, and testinfra over it."""
    handler = getattr(request, "param", host)
    server = farm.ssh({f"127.0.0.{d.id}": d.id for d in DROPLETS}, handler)
    pool = Pool(PoolOptions(ssh_config=farm.config(server.port), timeout=10))
    pool.keep([1, 2, 3])
    pool.start([Target(d.id, d.name, f"127.0.0.{d.id}") for d in DROPLETS])
    pool.read([])
    for droplet in DROPLETS:
        pool.get(droplet.id)
    backend.activate(pool, DROPLETS, prefetch=True)
    server.commands.clear()
    server.scripts.clear()
    yield server
    backend.deactivate()
    pool.close()
    assert not [t for t in threading.enumerate() if t.name == "pytest-droplet-connections"]


def look(droplet_id: int) -> tuple[bool, int, str, str]:
    """Look at a host as a suite does: two files, a user, and a command of its own."""
    seen = testinfra.get_host(f"droplet://{droplet_id}")
    failed = seen.run("cat -- /absent")
    assert not seen.file("/absent").exists
    own = seen.run("echo own; echo said >&2; exit 3")
    assert (own.rc, own.stdout, own.stderr) == (3, "own\n", "said\n")
    return seen.file("/etc/passwd").exists, seen.user("root").uid, failed.stderr, failed.command


def test_one_session_has_the_answers_of_all_others(fleet_of_three: Any) -> None:
    """Each command of the first host takes a session; the next hosts' take one, and their own."""
    server = fleet_of_three
    first = look(1)
    singly = [c for a, c in server.commands if a == "127.0.0.1"]
    assert len(singly) > 6
    assert server.scripts == []

    assert look(2) == look(3) == first

    for address in ("127.0.0.2", "127.0.0.3"):
        asked = [c for a, c in server.commands if a == address]
        assert asked == ["sh -s", "echo own; echo said >&2; exit 3"]
        (script,) = (s for a, s in server.scripts if a == address)
        assert "/absent" in script
        assert "echo own" not in script
    assert server.logins == 3


async def cut_the_batch(session: Session) -> None:
    """Answer as a host, but cut the connection of the second one as the batch comes."""
    if session.command == "sh -s" and session.address == "127.0.0.2":
        session.drop()
    else:
        await host(session)


@pytest.mark.parametrize("fleet_of_three", [cut_the_batch], indirect=True)
def test_a_host_whose_batch_fails_is_asked_command_by_command(fleet_of_three: Any) -> None:
    """Over a new connection; the others are not concerned."""
    first = look(1)
    assert look(2) == look(3) == first
    assert len([a for a, _ in fleet_of_three.commands if a == "127.0.0.2"]) > 6
    assert len([a for a, _ in fleet_of_three.commands if a == "127.0.0.3"]) == 2
    assert fleet_of_three.logins == 4


async def stuck_batch(session: Session) -> None:
    """Never answer the batch of the second host."""
    if session.command == "sh -s" and session.address == "127.0.0.2":
        await session.process.stdin.channel.wait_closed()
    else:
        await host(session)


@pytest.mark.parametrize("fleet_of_three", [stuck_batch], indirect=True)
@pytest.mark.slow
def test_a_stuck_batch_costs_its_own_time_limit(fleet_of_three: Any) -> None:
    first = look(1)
    assert look(3) == first
    assert look(2) == first


def test_nothing_goes_ahead_unless_asked_for(fleet_of_three: Any) -> None:
    """Without the option each host is asked command by command, one session each."""
    server = fleet_of_three
    pool = backend._current().runner
    backend.activate(pool, DROPLETS)
    look(1)
    look(2)
    counts = [sum(a == f"127.0.0.{i}" for a, _ in server.commands) for i in (1, 2)]
    assert counts[0] == counts[1] > 6
    assert server.scripts == []
    assert server.logins == 3
