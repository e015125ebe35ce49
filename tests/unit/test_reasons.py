"""Every way in which a host cannot be read has one line that says what to do."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace
from typing import Any

import asyncssh
import pytest

from pytest_droplet.connection.reasons import (
    ConnectTimeoutError,
    HandshakeTimeoutError,
    HopError,
    HostKeyError,
    explain,
)

KEY = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


def route(host: str = "203.0.113.9", **credentials: Any) -> Any:
    """Return what is known of the way to a host."""
    offered = {
        "keys": (1, 2),
        "agent": None,
        "agent_keys": None,
        "encrypted": (),
        "unreadable": (),
    }
    return SimpleNamespace(
        host=host,
        port=22,
        user="root",
        trust_name=(host, 22),
        known_hosts=SimpleNamespace(file=None),
        credentials=SimpleNamespace(**(offered | credentials)),
    )


def os_error(number: int) -> OSError:
    """Return the error that the kernel makes of a number."""
    return OSError(number, "words of the kernel")


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (HopError("the jump host bastion: no"), "the jump host bastion: no"),
        (ConnectTimeoutError(), "no answer on 203.0.113.9:22 within 10 s; check its"),
        (HandshakeTimeoutError(), "took the connection, but no SSH login within 60 s"),
        (HostKeyError(changed=True, key=KEY), "ssh-keygen -R '203.0.113.9'"),
        (HostKeyError(changed=True, key=None), "it is of another type"),
        (HostKeyError(changed=False, key=KEY), "ssh-keyscan -p 22 203.0.113.9 >> ~/.ssh/known_"),
        (
            asyncssh.PermissionDenied("no"),
            "refused the login of root (keys offered: 2 from files)",
        ),
        (asyncssh.KeyExchangeFailed("no match"), "compare with Ciphers, KexAlgorithms"),
        (asyncssh.ChannelOpenError(1, "refused"), "through its jump host (refused)"),
        (asyncssh.ConnectionLost("gone"), "closed the connection before the login"),
        (ConnectionResetError(), "closed the connection before the login"),
        (asyncssh.ProtocolError("SSH-1"), "does not speak SSH 2 (SSH-1); check the port"),
        (
            asyncssh.DisconnectError(2, "Too many authentication failures"),
            "too many keys were offered; set IdentitiesOnly",
        ),
        (asyncssh.DisconnectError(11, "bye"), "ended the connection (bye); see the log"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved (Name or"),
        (os_error(errno.ECONNREFUSED), "refused the connection; check that sshd runs"),
        (os_error(errno.EHOSTUNREACH), "no route to 203.0.113.9:22 (words of the kernel)"),
        (os_error(errno.EMFILE), "raise ulimit -n, or lower --droplets-connections"),
        (os_error(errno.EPERM), "the connection to 203.0.113.9:22 failed (words of the kernel)"),
        (RuntimeError("odd"), "failed (RuntimeError: odd)"),
    ],
)
def test_every_failure_has_its_line(exc: BaseException, said: str) -> None:
    """One line, with what was seen and what to do."""
    text = explain(exc, route(), connect_timeout=10, timeout=60)

    assert said in text
    assert "\n" not in text


def test_the_keys_that_were_offered_are_counted() -> None:
    """A refused login counts files and agent apart, and names what was not offered and why."""
    denied = asyncssh.PermissionDenied("no")
    by_agent = route(agent="/run/agent", agent_keys=3)
    locked = route(encrypted=("~/.ssh/id",), unreadable=("~/.ssh/old cannot be read",))

    asked = [explain(denied, r, connect_timeout=1, timeout=1) for r in (by_agent, locked)]

    assert "2 from files, 3 from the agent" in asked[0]
    assert asked[1].endswith("~/.ssh/id needs a passphrase: ssh-add it; ~/.ssh/old cannot be read")


def test_an_ipv6_address_stands_in_brackets() -> None:
    """Address and port can be told apart."""
    text = explain(ConnectTimeoutError(), route("2001:db8::4"), connect_timeout=1, timeout=1)

    assert "[2001:db8::4]:22" in text


def test_what_a_host_says_cannot_break_the_line() -> None:
    """Control characters and length of a banner are the host's: they do not reach the terminal."""
    hostile = asyncssh.DisconnectError(2, "\x1b[2J\r\n" + "x" * 10_000)

    text = explain(hostile, route(), connect_timeout=1, timeout=1)

    assert text.isprintable()
    assert len(text) < 400
