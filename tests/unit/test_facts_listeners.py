"""Listening sockets: addresses of the kernel's tables, programs, what is public."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection.script import alone
from pytest_droplet.facts.host.listeners import LISTENERS, is_public, parse_listeners
from pytest_droplet.model import Address, NotObservedError

DROPLET = (
    Address("203.0.113.10", 4, "public"),
    Address("198.51.100.7", 4, "reserved"),
    Address("10.114.0.2", 4, "private"),
)


def test_addresses_are_read_in_the_kernels_byte_order() -> None:
    """Each word of an address is little-endian, the port is not."""
    seen = parse_listeners(
        "read tcp\ntcp 0100007F:1F90 1\nread tcp6\n"
        "tcp6 B80D0120000000000000000001000000:01BB 2\nread udp\nudp 00000000:0044 3\nread udp6\n"
        "owners\nown 1 /usr/sbin/nginx\nown 1 /usr/sbin/nginx\nown 2 /opt/a b (deleted)\nend\n"
    )

    assert [(s.protocol, str(s), s.names) for s in seen.sockets] == [
        ("tcp", "[2001:db8::1]:443", ("a b",)),
        ("tcp", "127.0.0.1:8080", ("nginx",)),
        ("udp", "0.0.0.0:68", ()),
    ]


def test_programs_are_unknown_without_root_and_none_with_root() -> None:
    """Not seen is something else than held by no process."""
    rows = "read tcp\ntcp 00000000:0016 7\n"

    assert parse_listeners(rows + "end\n").sockets[0].programs is None
    assert parse_listeners(rows + "owners\nend\n").sockets[0].programs == ()


def test_the_section_finds_a_socket_of_this_process() -> None:
    """The section's command, run here, names this interpreter as the holder of a socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = subprocess.run(
            ["sh", "-c", alone(LISTENERS)], capture_output=True, text=True, check=True
        )
    (found,) = parse_listeners(done.stdout).tcp(port)

    assert str(found.address) == "127.0.0.1"
    if os.geteuid() == 0:
        assert str(Path("/proc/self/exe").resolve()) in (found.programs or ())


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("0.0.0.0", True),
        ("::", True),
        ("203.0.113.10", True),
        ("198.51.100.7", True),
        ("8.8.8.8", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("10.114.0.2", False),
        ("192.168.1.1", False),
        ("169.254.1.1", False),
        ("fe80::1", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_what_is_reached_from_outside(address: str, public: bool) -> None:  # noqa: FBT001 a table
    """Wildcards and the Droplet's public and reserved addresses are; others by their range."""
    assert is_public(ipaddress.ip_address(address), DROPLET) is public


@pytest.mark.parametrize("text", ["", "owners\n", "read udp\n", "tcp 00000000:0016 7\n"])
def test_without_the_tcp_table_nothing_is_known(text: str) -> None:
    """No table is no proof that nothing listens."""
    with pytest.raises(NotObservedError):
        parse_listeners(text)


LINES = st.sampled_from(
    [
        "read tcp",
        "end",
        "tcp 0100007F:1F90 1",
        "tcp zz:1 1",
        "tcp 0100007F:FFFFFF 1",
        "udp6 00:1 2",
        "tcp6 00000000000000000000000000000000:01BB 2",
        "own 1 /usr/sbin/x",
        "own",
        "owners",
    ]
)


@given(st.lists(LINES | st.text(max_size=60)))
def test_no_text_breaks_the_parser(lines: list[str]) -> None:
    """Any text is parsed, or was not observed; what is said of it is one printable line."""
    try:
        seen = parse_listeners("\n".join(lines))
    except NotObservedError:
        return

    assert str(seen).isprintable()
    assert all(0 < s.port < 65536 for s in seen.sockets)


@pytest.mark.parametrize(
    "text",
    ["read tcp\n", "read tcp\ntcp 00000000:0016 7\nowners\n", "read tcp\n!! tcp\nend\n", "end\n"],
)
def test_a_list_of_sockets_that_is_not_whole_was_not_read(text: str) -> None:
    """What has no end may lack the socket that is asked for; so may what a command cut."""
    with pytest.raises(NotObservedError):
        parse_listeners(text)
