"""Every way in which a host cannot be read has one line that says what to do."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import asyncssh
import pytest

from pytest_droplet.connection.reasons import (
    BindError,
    ConnectTimeoutError,
    FamilyError,
    HandshakeTimeoutError,
    HopError,
    HostKeyError,
    LoginError,
    NotSshError,
    ProxyError,
    explain,
)

KEY = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


def route(
    host: str = "203.0.113.9",
    *,
    said: Mapping[str, Any] | None = None,
    jump: tuple[str, ...] = (),
    command: str | None = None,
    file: str | None = None,
    **credentials: Any,
) -> Any:
    """Return what is known of the way to a host, where the ssh config said some things."""
    offered = {
        "keys": (1, 2),
        "agent": None,
        "agent_keys": None,
        "encrypted": (),
        "security_keys": (),
        "unreadable": (),
    }
    return SimpleNamespace(
        host=host,
        port=22,
        user="root",
        trust_name=(host, 22),
        jump=jump,
        proxy_command=command,
        known_hosts=SimpleNamespace(file=file),
        settings=SimpleNamespace(get=(said or {}).get, known_hosts=None),
        credentials=SimpleNamespace(**(offered | credentials)),
    )


def denied(signed: str = "") -> LoginError:
    """Return the error of a login that was refused after two keys."""
    return LoginError(asyncssh.PermissionDenied("no"), offered=2, signed=signed)


SNTRUP_ALONE = (
    "No matching key exchange algorithm found, sent curve25519-sha256"
    " and received sntrup761x25519-sha512@openssh.com,kex-strict-s-v00@openssh.com"
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
        (HostKeyError(changed=False, key=None, fault="revoked"), "is revoked: do not connect"),
        (
            HostKeyError(changed=False, key=None, fault="revoked authority"),
            "the CA of the host key of 203.0.113.9:22 is revoked: do not connect",
        ),
        (
            HostKeyError(changed=False, key=None, fault="other authority"),
            "signed by a CA that known_hosts does not have for it",
        ),
        (
            HostKeyError(changed=False, key=None, fault="other name"),
            "for another name than 203.0.113.9; name it by HostKeyAlias",
        ),
        (HostKeyError(changed=False, key=None, fault="expired"), "is out of date; sign its"),
        (HostKeyError(changed=False, key=None, fault="not yet valid"), "is not yet valid; sign"),
        (HostKeyError(changed=False, key=KEY, fault="small"), "smaller than RequiredRSASize"),
        (denied(), "refused the login of root (keys offered: 2 from files)"),
        (denied(signed="me@laptop"), "took the key me@laptop of root, and wants more than a key"),
        (
            LoginError(
                asyncssh.ProtocolError("Too many authentication failures"), offered=6, signed=""
            ),
            "after 6 keys (Too many authentication failures): too many keys were offered; name",
        ),
        (LoginError(asyncssh.ConnectionLost("gone"), offered=6, signed=""), "too many keys were"),
        (
            NotSshError(b"HTTP/1.1 400 Bad Request\r\nServer: x"),
            "(HTTP/1.1 400 Bad Request); check",
        ),
        (NotSshError(b"Not allowed at this time\r\n"), "see PerSourcePenalties of its sshd"),
        (ProxyError("sh: 1: corp: not found"), "failed: sh: 1: corp: not found; try it by itself"),
        (BindError("192.0.2.1", "Cannot assign"), "from 192.0.2.1 (Cannot assign); check Bind"),
        (FamilyError(), "is no address of AddressFamily"),
        (asyncssh.KeyExchangeFailed("no match"), "compare with Ciphers, KexAlgorithms"),
        (
            asyncssh.KeyExchangeFailed(SNTRUP_ALONE),
            "the library liboqs is needed here; install it",
        ),
        (asyncssh.ChannelOpenError(2, "refused"), "through its jump host bastion (refused)"),
        (asyncssh.ChannelOpenError(1, "open failed"), "does not forward to 203.0.113.9:22 (open"),
        (asyncssh.ConnectionLost("gone"), "closed the connection before the login"),
        (ConnectionResetError(), "closed the connection before the login"),
        (asyncssh.ProtocolError("SSH-1"), "does not speak SSH 2 (SSH-1); check the port"),
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
    way = route(jump=("bastion",) if isinstance(exc, asyncssh.ChannelOpenError) else ())
    text = explain(exc, way, connect_timeout=10, timeout=60)

    assert said in text
    assert "\n" not in text


def test_the_keys_that_were_offered_are_counted() -> None:
    """A refused login counts files and agent apart, and names what was not offered and why."""
    by_agent = route(agent="/run/agent", agent_keys=3)
    locked = route(encrypted=("~/.ssh/id",), unreadable=("~/.ssh/old cannot be read",))

    asked = [explain(denied(), r, connect_timeout=1, timeout=1) for r in (by_agent, locked)]

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


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (route(said={"VerifyHostKeyDNS": "yes"}), "and VerifyHostKeyDNS is not followed"),
        (
            route(said={"StrictHostKeyChecking": "accept-new"}),
            "and StrictHostKeyChecking accept-new is not followed",
        ),
        (route(file="/dev/null"), "name a file for it with UserKnownHostsFile"),
        (route(file="/k/known"), "ssh-keyscan -p 22 203.0.113.9 >> /k/known, or take it with"),
        (route(jump=("bastion",)), "then: take it with --droplets-host-key=accept-new"),
    ],
)
def test_an_unknown_host_key_has_a_way_that_works(way: Any, said: str) -> None:
    """No key is put where it is not kept, and none is scanned where only a bastion comes."""
    text = explain(HostKeyError(changed=False, key=KEY), way, connect_timeout=1, timeout=1)

    assert said in text
    assert ">> /dev/null" not in text


@pytest.mark.parametrize("fault", ["revoked", "revoked authority", "other name", "expired"])
def test_a_key_that_is_refused_for_good_is_never_removed_from_known_hosts(fault: Any) -> None:
    """Who removes the line trusts what was revoked."""
    error = HostKeyError(changed=False, key=None, fault=fault)
    text = explain(error, route(), connect_timeout=1, timeout=1)

    assert "ssh-keygen -R" not in text
    assert "accept-new" not in text


def test_keys_that_only_something_else_can_use_are_named() -> None:
    """A FIDO key and the keys of a card are offered by an agent, and the command is said."""
    way = route(security_keys=("~/.ssh/id_sk",), said={"PKCS11Provider": "/lib/card.so"})
    text = explain(denied(), way, connect_timeout=1, timeout=1)

    assert "~/.ssh/id_sk is a security key (FIDO), used by an agent alone: ssh-add it" in text
    assert "PKCS11Provider is not followed: ssh-add -s /lib/card.so" in text
