"""sshd's configuration: the section asks for every connection, the parser keeps what it says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection.script import alone
from pytest_droplet.facts.ssh.ssh import parse_offered
from pytest_droplet.facts.ssh.sshd import SSHD, Sshd, parse_sshd, processes_in
from pytest_droplet.facts.sshkeys.authorized_keys import KEYS, parse_authorized_keys
from pytest_droplet.model import NotObservedError, Section

ANSWER = """P sshd
V OpenSSH_9.2, OpenSSL 3.0.20 7 Apr 2026
A -o X11Forwarding=no
F 644 0 1777976816 /etc/ssh/sshd_config
| 1 Include /etc/ssh/sshd_config.d/*.conf
| 2 PasswordAuthentication no
| 3 Match User deploy
| 4   PasswordAuthentication=yes
F 600 0 1795253100 /etc/ssh/sshd_config.d/50-cloud-init.conf
| 1 permitrootlogin "prohibit-password"
U root:0:locked:keys::/bin/bash:
U deploy:1000:set::20500:/bin/bash:deploy,sudo
C 203.0.113.1 203.0.113.1 10.0.0.1 22 root
passwordauthentication no
authenticationmethods any
C 203.0.113.1 203.0.113.1 10.0.0.1 22 deploy
passwordauthentication yes
authenticationmethods publickey,password password
C 10.0.0.9 10.0.0.9 10.0.0.1 2222 deploy
S
"""
LOADS = "debug2: load_server_config: filename"
LINES = st.sampled_from(
    [*ANSWER.splitlines(), "E no hostkeys", "X cut", "M rdomain x", "C", "U :", "F"]
)


def test_connections_files_and_accounts_are_read() -> None:
    """Each connection has its own options, S stands for those of the first."""
    sshd = parse_sshd(ANSWER)

    assert [c.get("passwordauthentication") for c in sshd.connections] == ["no", "yes", "no"]
    assert str(sshd.connections[2]) == "deploy from 10.0.0.9 to port 2222"
    assert sshd.connections[1].takes_password
    assert not sshd.connections[0].takes_password
    assert [str(a) for a in sshd.accounts] == [
        "root (password locked, keys)",
        "deploy (password set)",
    ]
    assert sshd.accounts[1].groups == ("deploy", "sudo")
    assert sshd.accounts[1].is_expired(datetime(2026, 11, 22, tzinfo=UTC))
    assert sshd.gaps == ()


def test_files_that_include_each_other_come_to_an_end() -> None:
    """A host may say so, though no sshd starts with it; each file is looked at once."""
    files = "".join(
        f"F 644 0 1790000000 /etc/ssh/{n}.conf\n| 1 Include *.conf *.conf\n| 2 UsePAM {n}\n"
        for n in range(200)
    )
    chain = "".join(
        f"F 644 0 1790000000 /etc/ssh/{n}\n| 1 Include {n + 1}\n| 2 UsePAM {n}\n"
        for n in range(5000)
    )

    first = "F 644 0 1777976816 /etc/ssh/sshd_config\n"
    assert first in ANSWER
    cyclic, deep = (parse_sshd(ANSWER.replace(first, text + first)) for text in (files, chain))

    assert cyclic.where("UsePAM", "1") == "/etc/ssh/1.conf:2"
    assert deep.where("UsePAM", "100") == "/etc/ssh/100:2"


def test_the_line_that_decides_is_named() -> None:
    """Files are read where they are included, blocks count for their value, spelling does not."""
    sshd = parse_sshd(ANSWER)

    assert sshd.where("PasswordAuthentication", "no") == "/etc/ssh/sshd_config:2"
    assert sshd.where("PasswordAuthentication", "yes") == "/etc/ssh/sshd_config:4"
    assert sshd.where("PermitRootLogin", "without-password").endswith("50-cloud-init.conf:1")
    assert sshd.where("X11Forwarding", "no") == "argument of the running sshd"
    assert sshd.where("UsePAM", "yes") == "sshd's default"


def test_what_was_not_evaluated_is_a_gap() -> None:
    """A pass needs every connection: what is left out is told."""
    cut = "X there are more than 1000 connections to ask for\n" + ANSWER.replace(
        "| 3 Match User deploy\n", "| 3 Match User deploy rdomain vrf\n"
    )
    sshd = parse_sshd(cut + "C 1.1.1.1 1.1.1.1 10.0.0.1 22 ops\nE bad spec\n")

    assert sshd.gaps == (
        "there are more than 1000 connections to ask for",
        "sshd -T for ops from 1.1.1.1 to port 22: bad spec",
        "Match rdomain vrf (/etc/ssh/sshd_config:3) was not evaluated",
    )
    with pytest.raises(NotObservedError, match="1000"):
        sshd.require_all()


def test_without_any_connection_nothing_is_known() -> None:
    """The reason is sshd's own."""
    with pytest.raises(NotObservedError, match="no hostkeys available"):
        parse_sshd("C 1.1.1.1 1.1.1.1 1.1.1.2 22 root\nE sshd: no hostkeys available\n")
    with pytest.raises(NotObservedError):
        parse_sshd("")


@given(st.one_of(st.text(), st.lists(LINES, max_size=25).map("\n".join)))
def test_any_answer_is_read_or_not_observed(text: str) -> None:
    """A hostile answer raises nothing else, and never yields a configuration without options."""
    processes_in(text)
    try:
        sshd = parse_sshd(text)
    except NotObservedError:
        return
    assert all(c.options for c in sshd.connections)
    assert str(sshd).isprintable()
    assert len(str(sshd)) <= 300
    assert sshd.where("PasswordAuthentication", "yes").isprintable()
    for connection in sshd.connections:
        try:
            _ = (connection.takes_password, connection.takes_keyboard_interactive)
        except NotObservedError:
            continue


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda x: st.lists(x) | st.dictionaries(st.text() | st.just("root"), x),
    )
)
@pytest.mark.slow
def test_any_result_of_the_probe_is_read_or_not_observed(result: object) -> None:
    """Offered methods are non-empty lists for root and for another user."""
    try:
        offered = parse_offered(result)
    except NotObservedError:
        return
    assert len(offered.by_user) >= 1
    assert all(offered.by_user.values())
    assert str(offered).isprintable()


@pytest.fixture(params=[str.lower, str], ids=["lower case", "as OpenSSH 10.6 prints"])
def asked(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the section on a made-up configuration with a stand-in for sshd, and give its answer.

    The stand-in refuses a call without all of user, host, addr, laddr and lport, as old releases
    do, and lets deploy in with a password from 10.0.0.0/8.
    """
    port, dns, keys, password = map(
        request.param, ("Port", "UseDNS", "AuthorizedKeysFile", "PasswordAuthentication")
    )
    config, part = tmp_path / "sshd_config", tmp_path / "part.conf"
    config.write_text(f"# comment\nInclude {tmp_path}/*.conf\nUsePAM yes\n")
    part.write_text(
        "Match User deploy,!root,op* Address 10.0.0.0/8,192.168.*\n  PasswordAuthentication yes\n"
        'match LocalPort=2222 Address "2001:db8::/32" # all of it\n  PermitRootLogin yes\n'
    )
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    _program(
        bin_ / "sshd",
        "case $1 in -V) echo OpenSSH_9.2p1; exit 1;; esac\n"
        "for word; do case $last in -C) c=$word;; -f) f=$word;; esac; last=$word; done\n"
        "case ,$c, in ,,|*,user=*,host=*,addr=*,laddr=*,lport=*) ;; *) echo incomplete; exit 255;; esac\n"
        f'echo "{port} 22"; echo "ListenAddress [::]:22"; echo "{dns} no"; echo "{keys} .ssh/authorized_keys"\n'
        f'case " $* " in *" -ddd "*) for n in "$f" {part}; do\n'
        'echo "debug2: load_server_config: filename $n" >&2; done;; esac\n'
        f'case $c in user=deploy,*addr=10.*) p=yes;; *) p=no;; esac; echo "{password} $p"\n',
    )
    done = _run_beside(SSHD, bin_, ["-D", "-f", str(config)])
    yield done.stdout
    assert done.stderr.replace("sed: ", "").count("\n") <= 1, done.stderr


def test_the_section_asks_for_what_match_lines_name(asked: str, tmp_path: Path) -> None:
    """Each user, address and port of a Match line is asked for, and every file is read."""
    sshd = parse_sshd(asked)
    seen = {(c.user, c.address, c.local_port) for c in sshd.connections}

    assert {"root", "pytest-droplet-nobody", "deploy", "opx"} <= {u for u, _, _ in seen}
    assert {"203.0.113.1", "10.0.0.0", "192.168.0.0", "2001:db8::"} <= {a for _, a, _ in seen}
    assert {"22", "2222"} == {p for _, _, p in seen}
    assert [f.path for f in sshd.files] == [f"{tmp_path}/sshd_config", f"{tmp_path}/part.conf"]
    assert sshd.files[0].lines[0][0] == 2
    assert sshd.arguments == f"-f {tmp_path}/sshd_config"


def test_the_section_finds_the_user_that_a_match_block_lets_in(asked: str) -> None:
    """The connection that takes a password is found though all others do not."""
    sshd: Sshd = parse_sshd(asked)
    ways = [c for c in sshd.connections if c.get("passwordauthentication") == "yes"]

    assert {(c.user, c.address) for c in ways} == {("deploy", "10.0.0.0")}


def test_another_sshd_with_other_arguments_is_a_gap(tmp_path: Path) -> None:
    """What a second server lets in is not known; one with the same arguments lets in the same."""
    _program(tmp_path / "sshd", "echo port 22; echo authorizedkeysfile x\n")

    said = _run_beside(SSHD, tmp_path, ["-f", "/x"], ["-f", "/x"], ["-f", "/y", "-p", "2222"])
    gaps = parse_sshd(said.stdout).gaps

    assert f"another sshd runs: {tmp_path}/sshd -f /y -p 2222" in gaps
    assert not any(gap.endswith("sshd -f /x") for gap in gaps)


def test_keys_of_another_sshd_are_unread(tmp_path: Path) -> None:
    """Those of the first are listed; what the second may read is not known."""
    _program(tmp_path / "sshd", f"echo authorizedkeysfile x; echo {LOADS} {tmp_path}/sshd >&2\n")

    said = _run_beside(KEYS, tmp_path, ["-f", "/x"], ["-f", "/y"])
    keys = parse_authorized_keys(said.stdout)

    assert any("another sshd runs: " in path and "-f /y" in path for path in keys.unread)


def test_keys_are_those_of_the_configuration_that_sshd_was_started_with(tmp_path: Path) -> None:
    """Both what sshd says of it, and what its Match blocks name."""
    config = tmp_path / "other_config"
    config.write_text("Match User deploy\n  AuthorizedKeysFile /b/%u\n")
    _program(
        tmp_path / "sshd",
        f'case "$*" in *"-f {config} "*) echo authorizedkeysfile /a/%u\n'
        f"echo debug2: load_server_config: filename {config} >&2;; esac\n",
    )

    said = _run_beside(KEYS, tmp_path, ["-f", str(config)])
    keys = parse_authorized_keys(said.stdout)

    assert {"/a/%u", "/b/%u"} <= keys.patterns
    assert keys.unread == ()


def test_an_sshd_of_the_developers_machine_is_not_seen(tmp_path: Path) -> None:
    """The tests here have a /proc of their own: whoever runs a second sshd sees them pass."""
    _program(
        tmp_path / "sshd",
        f"[ $# -gt 0 ] || read x; echo authorizedkeysfile x; echo {LOADS} {tmp_path}/sshd >&2\n",
    )
    with subprocess.Popen([tmp_path / "sshd"], stdin=subprocess.PIPE):
        said = _run_beside(KEYS, tmp_path, ["-f", "/x"])

    assert parse_authorized_keys(said.stdout).unread == ()


def _run_beside(
    section: Section, folder: Path, *servers: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run a section where such servers run; the first is the one that systemd knows.

    The section sees a folder in the place of /proc, with these processes and no others, and one
    account, into whose home it may look whoever runs the test.
    """
    proc = folder / "proc"
    running = {str(pid): ["sshd", *arguments] for pid, arguments in enumerate(servers, 1)}
    for pid, words in {"self": ["sh"], **running}.items():
        (proc / pid / "ns").mkdir(parents=True)
        (proc / pid / "ns/pid").symlink_to("pid:[4026531836]")
        (proc / pid / "exe").symlink_to(folder / words[0])
        (proc / pid / "root").symlink_to("/")
        (proc / pid / "status").write_text("Name:\tsshd\nUid:\t0\t0\t0\t0\n")
        (proc / pid / "cmdline").write_text("".join(f"{word}\0" for word in words))
    _program(folder / "systemctl", "echo 1\n")
    _program(folder / "getent", f"echo me:x:0:0::{folder}:/bin/sh\n")
    return subprocess.run(
        ["sh", "-c", alone(section).replace("/proc/", f"{proc}/")],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
        env={"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
