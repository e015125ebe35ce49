"""The pool of SSH connections against servers that behave, and servers that do not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from pytest_droplet.connection import descriptors, probing
from pytest_droplet.connection import pool as pool_module
from pytest_droplet.connection.pool import Pool, PoolOptions
from pytest_droplet.connection.probe import SSH_AUTH
from pytest_droplet.model import HostReading, NotObservedError, Probe, Section, Target
from tests.support.ssh_server import (
    Handler,
    Servers,
    Session,
    canned,
    framed,
    host,
    login_name,
    needs,
    nonce_of,
    openssh,
    shell,
)

HOME = "127.0.0.1"
OS = Section("os", "echo Debian")
NEXT = Section("next", "echo second")
ROOT = Section("who", "id -u", root=True)

MakePool = Callable[..., Pool]


@pytest.fixture
def open_pool() -> Iterator[MakePool]:
    """Make pools that are closed at the end, and leave no thread."""
    made: list[Pool] = []

    def make(config: str, **options: Any) -> Pool:
        made.append(Pool(PoolOptions(ssh_config=config, **options)))
        return made[-1]

    yield make
    for pool in made:
        pool.close()
    assert not [t for t in threading.enumerate() if t.name == "pytest-droplet-connections"]


def read(pool: Pool, address: str = HOME, *sections: Section, probes: Any = ()) -> HostReading:
    """Read Droplet 7, web-1, at this address."""
    pool.start([Target(7, "web-1", address)])
    pool.read(sections or (OS,), probes)
    return pool.get(7)


def why(reading: HostReading) -> str:
    """Return why a host is unreachable: one line that begins with its name, and no section."""
    assert reading.state == "unreachable"
    assert reading.sections == {}
    assert "\n" not in reading.reason
    assert reading.reason.startswith("web-1: ")
    return reading.reason.removeprefix("web-1: ")


# --- hosts that answer ----------------------------------------------------------------------


def test_a_host_is_read_over_one_connection(farm: Servers, open_pool: MakePool) -> None:
    """Every section is there, the host is the Droplet, and one login was enough."""
    server = farm.ssh({HOME: 7})
    pool = open_pool(farm.config(server.port))

    reading = read(pool, HOME, OS, ROOT)

    assert (reading.state, reading.reason, reading.user) == ("reached", "", "root")
    assert (reading.address, reading.port, reading.via) == (HOME, server.port, "direct")
    assert reading.section("os").stdout == "Debian\n"
    assert server.logins == 1
    assert pool.counts.connections == 1
    assert pool.accepted == []


def test_hosts_are_dialled_before_it_is_known_what_to_read(
    farm: Servers, open_pool: MakePool
) -> None:
    """Connecting goes on while pytest collects; the script is sent once it is known."""
    server = farm.ssh({HOME: 7})
    pool = open_pool(farm.config(server.port))
    pool.start([Target(7, "web-1", HOME)])

    while server.logins == 0:
        time.sleep(0.01)
    assert server.commands == []
    pool.read([OS], [])

    assert pool.get(7).section("os").stdout == "Debian\n"


@pytest.mark.slow
def test_two_hundred_hosts_are_read_at_once(farm: Servers, open_pool: MakePool) -> None:
    """Each host's answer is its own; one that is stuck and one that is dead delay nobody."""
    stuck: list[bool] = [True]
    fleet = {f"127.2.0.{i}": i for i in range(1, 201)}

    async def answer(session: Session) -> None:
        if session.droplet_id == 5:
            while stuck:  # noqa: ASYNC110 the test's thread ends it
                await asyncio.sleep(0.02)
        await canned({"os": f"host {session.droplet_id}".encode()})(session)

    server = farm.ssh(fleet, answer)
    pool = open_pool(farm.config(server.port))
    pool.start([Target(i, f"web-{i}", a) for a, i in fleet.items()])
    pool.start([Target(999, "dead", "127.3.0.1")])
    pool.read([OS])

    others = set(fleet.values()) - {5} | {999}
    arrived: list[int] = []
    while wanted := others - set(arrived):
        arrived.append(pool.next_arrived(wanted))
    stuck.clear()

    assert sorted(arrived) == sorted(others)
    assert pool.get(999).state == "unreachable"
    for i in fleet.values():
        assert pool.get(i).section("os").stdout == f"host {i}"
    assert pool.next_arrived({5}) == 5
    assert server.logins == 200


def test_no_more_sessions_at_once_than_asked_for(farm: Servers, open_pool: MakePool) -> None:
    busy = 0
    most = 0

    async def answer(session: Session) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.02)
        await canned()(session)
        busy -= 1

    fleet = {f"127.2.0.{i}": i for i in range(1, 21)}
    server = farm.ssh(fleet, answer)
    pool = open_pool(farm.config(server.port), connections=4)
    pool.start([Target(i, f"web-{i}", a) for a, i in fleet.items()])
    pool.read([])

    assert {pool.get(i).state for i in fleet.values()} == {"reached"}
    assert most <= 4


@pytest.mark.parametrize("descriptors", [2, 100])
def test_reading_waits_for_the_caller_without_a_deadlock(
    farm: Servers, open_pool: MakePool, monkeypatch: pytest.MonkeyPatch, descriptors: int
) -> None:
    """Only so many readings lie unread; who asks for a certain host gets it all the same."""
    monkeypatch.setattr(pool_module, "raise_descriptor_limit", lambda _: (descriptors, ""))
    fleet = {f"127.2.0.{i}": i for i in range(1, 13)}
    server = farm.ssh(fleet, canned())
    pool = open_pool(farm.config(server.port), ahead=2)
    pool.start([Target(i, f"web-{i}", a) for a, i in fleet.items()])
    pool.read([])
    while pool.counts.connections < 2:
        time.sleep(0.01)
    time.sleep(0.2)
    assert pool.counts.connections == 2

    assert pool.next_arrived({12}) == 12
    for i in reversed(range(1, 13)):
        assert pool.get(i).state == "reached"


def test_more_kept_connections_than_descriptors(
    farm: Servers, open_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was used longest ago is closed, and opened again when it is needed."""
    monkeypatch.setattr(pool_module, "raise_descriptor_limit", lambda _: (4, ""))
    fleet = {f"127.2.0.{i}": i for i in range(1, 9)}
    server = farm.ssh(fleet, host)
    pool = open_pool(farm.config(server.port))
    pool.keep(fleet.values())
    pool.start([Target(i, f"web-{i}", a) for a, i in fleet.items()])
    pool.read([])
    for _ in range(2):
        for i in fleet.values():
            assert pool.run(i, f"echo {i}") == (0, f"{i}\n".encode(), b"")


def test_a_dropped_host_is_forgotten(farm: Servers, open_pool: MakePool) -> None:
    """Its facts take no memory any more; a command can still be run."""
    server = farm.ssh({HOME: 7})
    pool = open_pool(farm.config(server.port))
    read(pool)

    pool.drop(7)

    assert pool.get(7).sections == {}
    assert pool.run(7, "echo hi") == (0, b"hi\n", b"")


@pytest.mark.parametrize(
    ("sudo", "options", "told"),
    [
        (b"sudo: a password is required", {}, "sudo -n was refused: a password is required"),
        (b"sudo-rs: authentication failed\n", {}, "sudo -n was refused: authentication failed"),
        (
            b"env: can't execute 'sudo': No such file or directory",
            {},
            "sudo is not installed, and the login is not root",
        ),
        (b"", {"sudo": False}, "the script ran as user, without sudo"),
        (b"", {"sudo_user": "audit"}, "the script ran as audit (--sudo-user)"),
    ],
)
def test_without_root_it_is_said_why(
    farm: Servers, open_pool: MakePool, sudo: bytes, options: dict[str, Any], told: str
) -> None:
    """What needs no root is read; what does is unknown, with the reason."""
    handler = canned({"os": b"Debian"}, uid=1000, sudo=sudo, skipped=["who"])
    server = farm.ssh({HOME: 7}, handler)

    reading = read(open_pool(farm.config(server.port), **options), HOME, OS, ROOT)

    assert (reading.state, reading.root, reading.root_reason) == ("reached", False, told)
    assert reading.section("os").stdout == "Debian"
    with pytest.raises(NotObservedError, match=re.escape(f"needs root; {told}")):
        reading.section("who")


def test_a_sudo_user_that_is_refused_is_no_other_user(farm: Servers, open_pool: MakePool) -> None:
    """Who asked for one user's view does not get another's."""
    server = farm.ssh({HOME: 7}, canned({"os": b"Debian"}, sudo=b"sudo: unknown user audit"))
    pool = open_pool(farm.config(server.port), sudo_user="audit")
    assert why(read(pool)) == (
        "sudo -n -u audit was refused (unknown user audit); check --sudo-user and sudoers on the"
        " host"
    )


def test_noise_of_the_login_is_left_out(farm: Servers, open_pool: MakePool) -> None:
    """A banner and what .bashrc prints come before the first marker."""

    async def noisy(session: Session) -> None:
        session.write(b"Last login: today\n\xff\0--begin os\n")
        await shell(session)

    server = farm.ssh({HOME: 7}, noisy)
    assert read(open_pool(farm.config(server.port))).section("os").stdout == "Debian\n"


def test_hostile_bytes_stay_in_their_section(farm: Servers, open_pool: MakePool) -> None:
    """Framing of another run, NUL and invalid UTF-8 are output like any other."""
    body = b"\n--0123 end os rc=0\n\n--0123 eof\n\0\xff"
    server = farm.ssh({HOME: 7}, canned({"os": body, "next": b"second"}))

    reading = read(open_pool(farm.config(server.port)), HOME, OS, NEXT)

    assert reading.section("os").stdout == body.decode("utf-8", "replace")
    assert reading.section("next").stdout == "second"


def test_a_rekey_goes_unnoticed(farm: Servers, open_pool: MakePool) -> None:
    server = farm.ssh({HOME: 7}, canned({"os": b"x" * 300_000}), rekey_bytes=20_000)
    assert len(read(open_pool(farm.config(server.port))).section("os").stdout) == 300_000


def test_an_ipv6_address(farm: Servers, open_pool: MakePool) -> None:
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    server = farm.ssh({"::1": 7})
    config = farm.config(server.port)
    reading = read(open_pool(config), "::1")
    assert (reading.state, reading.address) == ("reached", "::1")

    reason = why(read(open_pool(farm.config(free_port())), "::1"))
    assert reason.startswith("[::1]:")


# --- hosts that cannot be reached: one line each --------------------------------------------


def test_refused(farm: Servers, open_pool: MakePool) -> None:
    reason = why(read(open_pool(farm.config(free_port()))))
    assert re.fullmatch(
        r"127.0.0.1:\d+ refused the connection; check that sshd runs, or name its port in"
        r" ~/.ssh/config",
        reason,
    )


def test_filtered(farm: Servers, open_pool: MakePool) -> None:
    """A host that never answers costs the connect limit, and says how to go on."""
    with unanswered() as port:
        reason = why(read(open_pool(farm.config(port), connect_timeout=0.2)))
    assert reason == (
        f"no answer on 127.0.0.1:{port} within 0.2 s; check its cloud firewall, or name its port"
        " in ~/.ssh/config"
    )


def test_a_name_that_does_not_resolve(
    farm: Servers, open_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    config = farm.config(22, "Host web-1", "  HostName web-1.example")
    assert why(read(open_pool(config))) == (
        "the name web-1.example cannot be resolved (Name or service not known);"
        " check HostName in ~/.ssh/config"
    )


def test_the_script_is_told_how_old_its_login_is(farm: Servers, open_pool: MakePool) -> None:
    """Files that were changed since are no proof."""
    server = farm.ssh({HOME: 7}, shell)

    assert read(open_pool(farm.config(server.port))).state == "reached"
    ((_, text),) = server.scripts
    assert re.search(r"date \+%s\) - [1-9]", text)


def test_a_login_that_is_refused(farm: Servers, open_pool: MakePool) -> None:
    """The line names the user and how many keys were offered."""
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    stranger.write_public_key(farm.folder / "nobody")
    server = farm.ssh({HOME: 7}, authorized_client_keys=str(farm.folder / "nobody"))
    assert why(read(open_pool(farm.config(server.port), user="audit"))) == (
        f"127.0.0.1:{server.port} refused the login of audit (keys offered: 1 from files);"
        " name another user with --droplets-user, or load a key with ssh-add"
    )


def test_a_key_with_a_passphrase_is_not_asked_for(farm: Servers, open_pool: MakePool) -> None:
    needs("ssh-keygen")
    locked = farm.folder / "locked"
    shutil.copy(farm.folder / "id_ed25519", locked)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", locked], check=True)
    server = farm.ssh({HOME: 7})
    config = farm.folder / "config-locked"
    config.write_text(
        f"Host *\n Port {server.port}\n IdentityFile {locked}\n IdentityAgent none\n"
        f" UserKnownHostsFile {farm.known_hosts}\n"
    )
    assert why(read(open_pool(str(config)))) == (
        f"127.0.0.1:{server.port} refused the login of root (keys offered: 0 from files);"
        f" {locked} needs a passphrase: ssh-add it"
    )


def test_an_unknown_host_key(farm: Servers, open_pool: MakePool) -> None:
    """Strict is the default: nothing is read, nothing is recorded, the fingerprint is shown."""
    server = farm.ssh({HOME: 7}, trusted=False)
    reason = why(read(open_pool(farm.config(server.port))))
    assert f"(ssh-ed25519 {server.host_key.get_fingerprint()})" in reason
    assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> {farm.known_hosts}" in reason
    assert "--droplets-host-key=accept-new" in reason
    assert farm.known_hosts.read_text() == ""
    assert server.logins == 0


def test_a_new_host_key_can_be_accepted(farm: Servers, open_pool: MakePool) -> None:
    """It is recorded as ssh would, reported, and known from then on."""
    server = farm.ssh({HOME: 7}, trusted=False)
    farm.known_hosts.write_text("# mine")
    config = farm.config(server.port)
    accepting = open_pool(config, host_key="accept-new")

    assert read(accepting).state == "reached"

    fingerprint = server.host_key.get_fingerprint()
    assert accepting.accepted == [f"127.0.0.1:{server.port} ssh-ed25519 {fingerprint}"]
    key = " ".join(server.host_key.export_public_key().decode().split()[:2])
    assert farm.known_hosts.read_text() == f"# mine\n[127.0.0.1]:{server.port} {key}\n"
    assert read(open_pool(config)).state == "reached"


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_changed_host_key_is_always_refused(
    farm: Servers, open_pool: MakePool, policy: str
) -> None:
    server = farm.ssh({HOME: 7}, trusted=False)
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    farm.known_hosts.write_text(f"[127.0.0.1]:{server.port} {other}")

    reason = why(read(open_pool(farm.config(server.port), host_key=policy)))

    assert reason.startswith(f"the host key of 127.0.0.1:{server.port} has changed")
    assert server.host_key.get_fingerprint() in reason
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in reason
    assert server.logins == 0
    assert farm.known_hosts.read_text().count("\n") == 1


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_host_key_of_another_type_counts_as_changed(
    farm: Servers, open_pool: MakePool, policy: str
) -> None:
    server = farm.ssh({HOME: 7}, trusted=False)
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    farm.known_hosts.write_text(f"[127.0.0.1]:{server.port} {other}")
    reason = why(read(open_pool(farm.config(server.port), host_key=policy)))
    assert "has changed" in reason
    assert server.host_key.get_fingerprint() in reason


def test_a_hashed_host_name_is_found(farm: Servers, open_pool: MakePool) -> None:
    needs("ssh-keygen")
    server = farm.ssh({HOME: 7, "127.0.0.2": 8}, trusted=True)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", farm.known_hosts], check=True)
    assert HOME not in farm.known_hosts.read_text()
    config = farm.config(server.port)
    assert read(open_pool(config)).state == "reached"

    subprocess.run(
        ["ssh-keygen", "-q", "-R", f"[127.0.0.1]:{server.port}", "-f", farm.known_hosts],
        check=True,
    )
    assert "is not known" in why(read(open_pool(config)))


def test_a_config_cannot_loosen_host_keys(farm: Servers, open_pool: MakePool) -> None:
    """StrictHostKeyChecking and UserKnownHostsFile none of a config trust nobody."""
    server = farm.ssh({HOME: 7}, trusted=False)
    config = farm.config(
        server.port, "Host *", "  StrictHostKeyChecking no", "  UserKnownHostsFile none"
    )
    assert "is not known" in why(read(open_pool(config)))


def test_what_is_not_ssh(farm: Servers, open_pool: MakePool) -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-1.5-old\r\n")
        writer.close()

    reason = why(read(open_pool(farm.config(farm.tcp(http)), retry=0)))
    assert "does not speak SSH 2 (Unsupported SSH version)" in reason


def test_a_banner_without_end(farm: Servers, open_pool: MakePool) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"\xffwelcome\n" * 1000)
                await writer.drain()

    reason = why(read(open_pool(farm.config(farm.tcp(endless)), retry=0)))
    assert "does not speak SSH 2" in reason


def test_a_host_that_says_nothing_costs_its_own_time_limit(
    farm: Servers, open_pool: MakePool
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    reason = why(read(open_pool(farm.config(farm.tcp(silent)), timeout=0.3)))
    assert "took the connection, but no SSH login within 0.3 s" in reason


def test_a_connection_dropped_before_the_login_is_tried_once_more(
    farm: Servers, open_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does sshd over MaxStartups. A second drop is told."""
    monkeypatch.setattr(pool_module, "back_off", no_wait)
    server = farm.ssh({HOME: 7})
    drops = [True]

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if drops:
            drops.pop()
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(HOME, server.port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    port = farm.tcp(relay)
    farm.known_hosts.write_text(server.known_hosts().replace(f":{server.port} ", f":{port} "))
    pool = open_pool(farm.config(port))
    assert read(pool).state == "reached"
    assert pool.counts.retries == 1

    drops += [True, True]
    again = open_pool(farm.config(port))
    assert why(read(again)) == (
        f"127.0.0.1:{port} closed the connection before the login; check MaxStartups and the log"
        " of its sshd, and try again"
    )
    assert drops == []


@pytest.mark.parametrize(
    ("said", "status", "shown"),
    [
        (b"This account is currently not available.\n", 1, "This account is currently not av"),
        (b"", 1, "nothing was printed, exit status 1"),
        (b"\x1b[31mno\x00 entry\x1b[0m\n" * 100, 0, "\ufffd[31mno\ufffd entry\ufffd[0m"),
    ],
)
def test_no_shell(
    farm: Servers, open_pool: MakePool, said: bytes, status: int, shown: str
) -> None:
    """A ForceCommand or nologin: what it printed is shown, made printable and short."""

    async def nologin(session: Session) -> None:
        session.write(said)
        session.exit(status)

    server = farm.ssh({HOME: 7}, nologin)
    reason = why(read(open_pool(farm.config(server.port))))
    assert reason.startswith(f"root@127.0.0.1 got no shell ({shown}")
    assert reason.isprintable()
    assert len(reason) < 400


def test_a_host_that_drops_the_script_unread(farm: Servers, open_pool: MakePool) -> None:
    async def drop(session: Session) -> None:
        session.drop()

    server = farm.ssh({HOME: 7}, drop)
    assert "got no shell (nothing was printed)" in why(read(open_pool(farm.config(server.port))))


def test_the_wrong_host_is_not_read(farm: Servers, open_pool: MakePool) -> None:
    """An address that was reused: nothing of the other host is kept."""
    server = farm.ssh({HOME: 7}, canned({"os": b"Debian"}, identity="cloud-init 8\n"))
    assert why(read(open_pool(farm.config(server.port)))) == (
        "wrong host: 127.0.0.1 says Droplet 8, the API says 7; the address was reused or the"
        " inventory is old: run again"
    )


def test_a_host_that_does_not_tell_who_it_is(farm: Servers, open_pool: MakePool) -> None:
    server = farm.ssh({HOME: 7}, canned({"os": b"Debian"}, identity=""))
    assert why(read(open_pool(farm.config(server.port)))).startswith("identity not proved (")


# --- answers that end too early -------------------------------------------------------------


def partial(ending: Callable[[Session], Any]) -> Handler:
    """Answer whole sections ``os``, half of ``next``, then end as told."""

    async def answer(session: Session) -> None:
        nonce = nonce_of(await session.script())
        told = f"cloud-init {session.droplet_id}\n".encode()
        session.write(framed(nonce, {"droplet_identity": told, "os": b"Debian"}, eof=False))
        session.write(f"\n--{nonce} begin next\nsec".encode())
        await session.process.stdout.drain()
        await ending(session)

    return answer


async def cut(session: Session) -> None:
    await asyncio.sleep(0.1)
    session.drop()


async def trickle(session: Session) -> None:
    with contextlib.suppress(OSError):
        while True:
            session.write(b"x")
            await asyncio.sleep(0.05)


async def flood(session: Session) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            session.write(b"x" * 65_536)
            await session.process.stdout.drain()


async def end(session: Session) -> None:
    session.exit(1)


@pytest.mark.parametrize(
    ("ending", "missing"),
    [
        (cut, "the connection was cut before its end"),
        (end, "the connection was cut before its end"),
        (trickle, "the host's time limit of 5 s ended the reading"),
        (flood, "the host printed more than"),
    ],
)
@pytest.mark.slow
def test_what_was_read_before_the_end_is_kept(
    farm: Servers, open_pool: MakePool, ending: Any, missing: str
) -> None:
    """Whole sections stay; the one that was cut and those after it are unknown, and say why."""
    server = farm.ssh({HOME: 7}, partial(ending))

    reading = read(open_pool(farm.config(server.port), timeout=5), HOME, OS, NEXT, ROOT)

    assert reading.state == "reached"
    assert reading.section("os").stdout == "Debian"
    for name in ("next", "who"):
        assert reading.sections[name].stdout == ""
        with pytest.raises(NotObservedError, match=missing):
            reading.section(name)


def test_endless_output_is_cut_off(farm: Servers, open_pool: MakePool) -> None:
    """A host that never stops printing fills no memory, and costs less than the time limit."""

    async def endless(session: Session) -> None:
        await flood(session)

    server = farm.ssh({HOME: 7}, endless)
    assert "got no shell (xxx" in why(read(open_pool(farm.config(server.port))))


# --- ssh config, agent, jump hosts ----------------------------------------------------------


def test_the_config_is_asked_for_the_name_and_then_for_the_address(
    farm: Servers, open_pool: MakePool
) -> None:
    """HostName under the Droplet's name wins over the API's address; the rest adds up."""
    server = farm.ssh({"127.0.0.9": 7})
    config = farm.config(
        server.port,
        "Host 203.0.113.*",
        "  User by-address",
        "Host web-1",
        "  HostName 127.0.0.9",
        "  HostKeyAlias the-alias",
    )
    farm.known_hosts.write_text(f"the-alias {server.host_key.export_public_key().decode()}")

    reading = read(open_pool(config), "203.0.113.3")

    assert (reading.state, reading.reason) == ("reached", "")
    assert (reading.address, reading.user) == ("127.0.0.9", "by-address")


def test_a_config_that_cannot_be_parsed(farm: Servers, open_pool: MakePool) -> None:
    config = farm.config(22, "Host *", "  Port many")
    reason = why(read(open_pool(config)))
    assert reason == f"ssh config: {config} line 2: Port: 'many' is malformed: it is no port"
    assert "no such file" in why(read(open_pool(str(farm.folder / "none-there"))))


@pytest.fixture
def agent(farm: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real ssh-agent with the user's key, and no key file."""
    needs("ssh-agent")
    path = str(farm.folder / "agent")
    child = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", path)
    while not Path(path).exists():
        time.sleep(0.01)
    add = ["ssh-add", "-q", str(farm.folder / "id_ed25519")]
    subprocess.run(add, check=True)
    yield
    child.terminate()
    child.wait()


@pytest.mark.usefixtures("agent")
def test_the_agent_is_honoured(farm: Servers, open_pool: MakePool) -> None:
    """Its keys log in; IdentitiesOnly leaves but the named ones; a refusal counts them."""
    server = farm.ssh({HOME: 7})
    other = asyncssh.generate_private_key("ssh-ed25519")
    other.write_private_key(farm.folder / "other")
    other.write_public_key(farm.folder / "other.pub")
    files = f" Port {server.port}\n UserKnownHostsFile {farm.known_hosts}\n"
    config = farm.folder / "config-agent"
    config.write_text(f"Host *\n{files} IdentityFile {farm.folder}/other\n")
    assert read(open_pool(str(config))).state == "reached"

    config.write_text(f"Host *\n{files} IdentitiesOnly yes\n IdentityFile {farm.folder}/other\n")
    assert "refused the login of root (keys offered: 1 from files, 1 from the agent)" in why(
        read(open_pool(str(config)))
    )

    config.write_text(
        f"Host *\n{files} IdentitiesOnly yes\n IdentityFile {farm.folder}/id_ed25519.pub\n"
    )
    assert read(open_pool(str(config))).state == "reached"


def test_one_connection_to_a_jump_host_serves_all_behind_it(
    farm: Servers, open_pool: MakePool
) -> None:
    """Its host key counts as strictly as any, and it may stand behind another."""
    fleet = {f"127.2.0.{i}": i for i in range(1, 21)}
    behind = farm.ssh(fleet, canned())
    outer = farm.ssh({"127.0.0.2": 1000}, forwards=True)
    inner = farm.ssh({"127.0.0.3": 1001}, forwards=True)
    config = farm.config(
        behind.port,
        "Host outer",
        "  HostName 127.0.0.2",
        f"  Port {outer.port}",
        "Host web-*",
        f"  ProxyJump outer,jump@127.0.0.3:{inner.port}",
    )
    pool = open_pool(config)
    pool.start([Target(i, f"web-{i}", a) for a, i in fleet.items()])
    pool.read([])

    assert {pool.get(i).reason for i in fleet.values()} == {""}
    assert (outer.connections, inner.connections) == (1, 1)
    assert outer.forwarded == [("127.0.0.3", inner.port)]
    assert sorted(inner.forwarded) == sorted((a, behind.port) for a in fleet)
    assert behind.logins == 20
    assert (pool.counts.connections, pool.counts.jump_hosts) == (20, 2)
    assert {pool.get(i).via for i in fleet.values()} == {"jump"}


def test_a_jump_host_that_fails_is_named(farm: Servers, open_pool: MakePool) -> None:
    behind = farm.ssh({HOME: 7}, canned())
    unknown = farm.ssh({"127.0.0.2": 1000}, forwards=True, trusted=False)
    config = farm.config(behind.port, "Host web-1", f"  ProxyJump 127.0.0.2:{unknown.port}")
    reason = why(read(open_pool(config)))
    assert reason.startswith(f"jump host 127.0.0.2:{unknown.port}: the host key of")
    assert unknown.logins == behind.logins == 0


def test_a_jump_host_that_does_not_let_us_through(farm: Servers, open_pool: MakePool) -> None:
    jump = farm.ssh({"127.0.0.2": 1000}, forwards=False)
    config = farm.config(22, "Host web-1", f"  ProxyJump 127.0.0.2:{jump.port}")
    assert "no connection to 127.0.0.1:22 through its jump host" in why(read(open_pool(config)))


def test_jump_hosts_in_a_circle(farm: Servers, open_pool: MakePool) -> None:
    config = farm.config(22, "Host a", "  ProxyJump b", "Host b", "  ProxyJump a")
    with open(config, "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write("Host web-1\n ProxyJump a\n")
    assert "ProxyJump leads in a circle" in why(read(open_pool(config)))


def test_a_proxy_command_is_the_users_own(farm: Servers, open_pool: MakePool) -> None:
    """%h is where we connect: the API's address, not the Droplet's name."""
    server = farm.ssh({HOME: 7})
    relay = farm.folder / "relay.py"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536):\n"
        "        peer.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := peer.recv(65536):\n"
        "    os.write(1, data)\n"
    )
    config = farm.config(
        server.port, "Host web-1", f"  ProxyCommand {sys.executable} {relay} %h %p"
    )
    reading = read(open_pool(config))
    assert (reading.state, reading.via) == ("reached", "command")


# --- commands afterwards --------------------------------------------------------------------


def test_commands_go_over_the_kept_connection(farm: Servers, open_pool: MakePool) -> None:
    server = farm.ssh({HOME: 7}, host)
    pool = open_pool(farm.config(server.port))
    pool.keep([7])
    read(pool)

    assert pool.run(7, "printf 'a\\377'; echo b >&2; exit 255") == (255, b"a\xff", b"b\n")
    assert pool.run(7, "echo again") == (0, b"again\n", b"")
    assert server.logins == 1


def test_a_connection_that_was_closed_is_opened_again(farm: Servers, open_pool: MakePool) -> None:
    server = farm.ssh({HOME: 7}, host)
    pool = open_pool(farm.config(server.port))
    read(pool)

    assert pool.run(7, "echo one")[1] == b"one\n"
    assert pool.run(7, "echo two")[1] == b"two\n"
    assert server.logins == 2


def test_a_command_has_a_time_limit(farm: Servers, open_pool: MakePool) -> None:
    """One line; the host can be asked the next thing."""
    server = farm.ssh({HOME: 7}, host)
    pool = open_pool(farm.config(server.port))
    read(pool)
    with pytest.raises(NotObservedError, match=r"^web-1: no answer to 'sleep 5' within 0.2 s$"):
        pool.run(7, "sleep 5", timeout=0.2)
    assert pool.run(7, "echo ok")[1] == b"ok\n"


def test_a_command_that_is_cut_off_is_not_observed(farm: Servers, open_pool: MakePool) -> None:
    async def drops(session: Session) -> None:
        if "sh -s" in session.command:
            await shell(session)
        else:
            session.drop()

    server = farm.ssh({HOME: 7}, drops)
    pool = open_pool(farm.config(server.port))
    read(pool)
    with pytest.raises(NotObservedError, match="the connection was lost while 'true' ran"):
        pool.run(7, "true")


def test_an_unreachable_host_is_tried_once(farm: Servers, open_pool: MakePool) -> None:
    """A command on it costs nothing, and says the same line."""
    pool = open_pool(farm.config(free_port()))
    reading = read(pool)
    for _ in range(2):
        with pytest.raises(NotObservedError, match=re.escape(reading.reason)):
            pool.run(7, "true")
    assert pool.counts.connections == 0


# --- probes ---------------------------------------------------------------------------------


async def seen(address: str, reading: HostReading) -> object:
    return {"address": address, "os": reading.section("os").stdout}


async def unsure(address: str, reading: HostReading) -> object:
    del address, reading
    raise NotObservedError("cannot tell")


async def broken(address: str, reading: HostReading) -> object:
    del address, reading
    raise ValueError("bad\nbytes")


async def slow(address: str, reading: HostReading) -> object:
    del address, reading
    await asyncio.sleep(60)
    return None


@pytest.mark.slow
def test_probes_see_the_sections_and_end_in_time(farm: Servers, open_pool: MakePool) -> None:
    server = farm.ssh({HOME: 7})
    probes = [Probe(f.__name__, f) for f in (seen, unsure, broken, slow)]

    reading = read(open_pool(farm.config(server.port), timeout=5), probes=probes)

    assert reading.probe("seen") == {"address": HOME, "os": "Debian\n"}
    assert reading.probe_errors == {
        "unsure": "cannot tell",
        "broken": "the probe failed (ValueError: bad bytes)",
        "slow": "the host's time limit ended the probe",
    }


def test_an_address_behind_a_bastion_is_not_probed_from_here(
    farm: Servers, open_pool: MakePool
) -> None:
    """Here it belongs to another machine, which must not be judged in its place."""
    server = farm.ssh({HOME: 7})
    jump = farm.ssh({"127.0.0.2": 1000}, forwards=True)
    config = farm.config(server.port, "Host web-1", f"  ProxyJump 127.0.0.2:{jump.port}")

    reading = read(open_pool(config), probes=[Probe("p", seen), SSH_AUTH])

    assert (reading.state, reading.via) == ("reached", "jump")
    assert "127.0.0.1 is not the host behind the bastion" in reading.probe_errors["p"]
    assert reading.probe("ssh_auth")["root"] == ["publickey"]  # asked through the bastion
    assert (jump.connections, len(jump.forwarded), server.connections) == (1, 3, 3)
    assert read(open_pool(farm.config(server.port)), probes=[Probe("p", seen)]).probes


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("203.0.113.7", True),
        ("2001:db8::7", True),
        ("10.114.0.2", False),
        ("fd00::2", False),
        ("web-1.example.com", False),
    ],
)
def test_which_addresses_are_the_hosts_from_everywhere(address: str, *, same: bool) -> None:
    """A name may lead to anything."""
    assert probing._means_the_same_here(address) is same


def test_probes_can_be_off(farm: Servers, open_pool: MakePool) -> None:
    server = farm.ssh({HOME: 7})
    reading = read(open_pool(farm.config(server.port), probe=False), probes=[Probe("p", seen)])
    with pytest.raises(NotObservedError, match="not probed"):
        reading.probe("p")


# --- OpenSSH's own server -------------------------------------------------------------------


@pytest.mark.parametrize("login_shell", ["sh", "bash", "fish --no-config", "tcsh -f", "zsh -f"])
def test_a_real_sshd(farm: Servers, open_pool: MakePool, login_shell: str) -> None:
    """A real host answers, whatever shell the account has."""
    needs(login_shell.split(maxsplit=1)[0])
    with openssh(farm, 7, login_shell=login_shell) as port:
        reading = read(open_pool(farm.config(port), user=login_name()), HOME, OS, ROOT)
        assert (reading.state, reading.reason) == ("reached", "")
        assert reading.section("os").stdout == "Debian\n"
        if os.getuid() == 0:
            assert reading.root
            assert reading.section("who").stdout == "0\n"


def test_a_real_sshd_with_one_session_a_connection(farm: Servers, open_pool: MakePool) -> None:
    with openssh(farm, 7, "MaxSessions 1") as port:
        pool = open_pool(farm.config(port), user=login_name())
        pool.keep([7])
        assert read(pool).state == "reached"
        for word in ("one", "two"):
            assert pool.run(7, f"echo {word}")[:2] == (0, f"{word}\n".encode())
        assert pool.counts.connections == 1


@pytest.mark.parametrize(
    ("forced", "shown"),
    [
        ("ForceCommand internal-sftp", "got no shell ("),
        ("ForceCommand echo go away; exit 1", "got no shell (go away)"),
        ("ForceCommand /usr/sbin/nologin", "got no shell (This account is currently not avai"),
    ],
)
def test_a_real_sshd_without_a_shell(
    farm: Servers, open_pool: MakePool, forced: str, shown: str
) -> None:
    with openssh(farm, 7, forced) as port:
        reason = why(read(open_pool(farm.config(port), user=login_name(), timeout=5)))
    assert shown in reason


def test_a_real_sshd_that_drops_connections(
    farm: Servers, open_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MaxStartups drops the second connection while the first has not logged in."""
    monkeypatch.setattr(pool_module, "back_off", no_wait)
    with openssh(farm, 7, "MaxStartups 1:100:1") as port, hold_login(port):
        reason = why(read(open_pool(farm.config(port), user=login_name())))
        assert "closed the connection before the login; check MaxStartups" in reason


# --- the end --------------------------------------------------------------------------------


def test_closing_ends_what_is_under_way(farm: Servers, open_pool: MakePool) -> None:
    """Who still waits is told; no thread, task or socket is left."""
    server = farm.ssh({HOME: 7}, trickle)
    pool = open_pool(farm.config(server.port))
    pool.start([Target(7, "web-1", HOME), Target(8, "web-2", HOME)])
    pool.read([OS])
    while not server.commands:
        time.sleep(0.01)

    pool.close()

    assert pool.get(7).reason == "web-1: the run ended before it was read"
    assert pool.get(8).state == "unreachable"
    with pytest.raises(NotObservedError):
        pool.run(7, "true")
    pool.start([Target(9, "web-3", HOME)])
    assert pool.get(9).reason == "web-3: the run ended before it was read"
    pool.close()


def test_a_pool_that_is_never_closed_does_not_keep_the_interpreter(tmp_path: Path) -> None:
    """Python ends at once, without a word on standard error."""
    script = (
        "from pytest_droplet.connection.pool import *\n"
        "pool = Pool(PoolOptions(ssh_config='none'))\n"
        "pool.start([Target(7, 'web-1', '127.0.0.1')])\n"
        "pool.start([Target(8, 'web-2', '127.0.0.2')])\n"
    )
    with unanswered() as port:
        config = tmp_path / "config"
        config.write_text(f"Host *\n Port {port}\n")
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", script.replace("none", str(config))],
            capture_output=True,
            timeout=600,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_host_that_was_never_started_is_an_error(farm: Servers, open_pool: MakePool) -> None:
    pool = open_pool(farm.config(22))
    with pytest.raises(KeyError):
        pool.get(1)
    with pytest.raises(KeyError):
        pool.next_arrived({1})


def test_few_descriptors_shrink_the_pool_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit is raised first; what is still too few is told."""
    limits = [256, 256]
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(
        descriptors.resource, "setrlimit", lambda _, new: limits.__setitem__(slice(2), list(new))
    )
    pool = Pool(PoolOptions(ssh_config="none", connections=500))
    pool.close()
    assert len(pool.notes) == 1
    assert re.fullmatch(
        r"\d+ hosts at once instead of 500: no more than 256 files .*", pool.notes[0]
    )

    limits[:] = [256, 4096]
    pool = Pool(PoolOptions(ssh_config="none", connections=500))
    pool.close()
    assert (limits, pool.notes) == ([4096, 4096], [])


# --- helpers --------------------------------------------------------------------------------


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as sock:
        sock.bind((HOME, 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def unanswered() -> Iterator[int]:
    """Yield a port that answers no more: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOME, 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield int(listener.getsockname()[1])


@contextlib.contextmanager
def hold_login(port: int) -> Iterator[None]:
    """Hold the one login that sshd has room for."""
    for _ in range(100):
        with socket.create_connection((HOME, port)) as first:
            if first.recv(4) == b"SSH-":
                yield
                return
        time.sleep(0.05)
    pytest.fail("sshd never had room")


async def no_wait(attempt: int) -> None:
    del attempt


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()
