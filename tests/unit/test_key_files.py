"""No bytes that a user can put into a file of keys make a verdict better."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_droplet.catalogue import shipped
from pytest_droplet.facts.sshkeys.authorized_keys import KEYS, parse_authorized_keys
from pytest_droplet.model import NotObservedError, SectionOutput
from pytest_droplet.verdict import judge
from tests.checks.cases import HERE, load, with_section
from tests.support.key_files import printed

KNOWN = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILqFn/wWyXrdC8zwbER+OBSn+0iMucjAQMsl23UezI61"
DENIED = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILk/79pdoi/6U21SLSVArM7bOLlAtER13gX7aMoAXZbJ"
WEAK = base64.b64encode(b"\0\0\0\x07ssh-rsa\0\0\0\3\1\0\1\0\0\1\1\0\xc1" + bytes(range(255)))
BAD = {
    "sshkeys.host-keys-known": DENIED,
    "sshkeys.denied-keys-absent": DENIED,
    "sshkeys.key-strength": b"ssh-rsa " + WEAK,
}
CASES = {
    "sshkeys.host-keys-known": "known-by-sha256.pass",
    "sshkeys.denied-keys-absent": "gone.pass",
    "sshkeys.key-strength": "ed25519.pass",
    "sshkeys.key-sources-managed": "one-file.pass",
}
ORDER = ("fail", "unknown", "pass")
PIECES = st.sampled_from(
    [
        *(b"\v", b"\f", b"\r", b" ", b"\t", b"\0", b"#", b"\n", b'"', b'\\"', b"\\", b","),
        *(KNOWN, b'environment="A=', b' " ', b"cert-authority ", b"***", b"\xff", b"\xc2\x85"),
        *(b"1:", b"end:1\n", b"file:a:s:600:a:1:/x\n", b"\nhidden:", b"sshd authorizedkeysfile n"),
        *(b"-----BEGIN OPENSSH PRIVATE KEY-----", b"x" * 200_000, b"ssh-rsa ", b"=", b"ED25519 "),
    ]
)
BYTES = st.lists(PIECES | st.binary(max_size=3), min_size=1, max_size=4).map(b"".join)


def verdict(check: str, content: bytes, folder: Path) -> str:
    """Judge a check on a host on which somebody's file of keys has this content."""
    (folder / "keys").write_bytes(content)
    stdout = printed(folder / "keys", folder / "bin")
    seen = load(HERE / check / f"{CASES[check]}.toml").observation()
    changed = with_section(seen, SectionOutput(KEYS.name, stdout=stdout, rc=0))
    return judge(shipped()[check], changed).outcome


@pytest.mark.parametrize("check", CASES)
@pytest.mark.parametrize("bad", [b"", b"\n"], ids=["clean", "with-a-finding"])
def test_lines_that_a_user_adds_make_no_verdict_better(
    check: str, bad: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands before and behind the lines of a file, their verdict is the same or worse."""
    content = KNOWN + b"\n" + (bad and BAD.get(check, b""))
    folder = tmp_path_factory.mktemp("host")
    before = ORDER.index(verdict(check, content, folder))

    @given(BYTES, BYTES)
    @settings(max_examples=8, deadline=None)
    def holds(first: bytes, last: bytes) -> None:
        after = verdict(check, first + b"\n" + content + b"\n" + last, folder)
        assert ORDER.index(after) <= before

    assert ORDER[before] == ("fail" if bad and check in BAD else "pass")
    holds()


@pytest.mark.parametrize("check", BAD)
@pytest.mark.slow
def test_bytes_within_a_line_hide_its_key_from_no_check(
    check: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A finding becomes a pass only where the whole file has become comments and blank lines."""
    folder = tmp_path_factory.mktemp("host")
    line = b'pty,environment="A=b" ' + BAD[check] + b" somebody"

    @given(st.integers(0, len(line)), BYTES)
    @settings(max_examples=25, deadline=None)
    def holds(at: int, piece: bytes) -> None:
        content = line[:at] + piece + line[at:]
        if KNOWN in piece and (b"\n" in piece or b"\0" in piece or b"#" in piece):
            return
        assert verdict(check, content, folder) != "pass" or all(
            _is_comment(part) for part in content.split(b"\n")
        )

    holds()


def test_a_very_long_line_costs_its_own_file_alone(tmp_path: Path) -> None:
    """It stays on the host, so that the answer keeps its end, and the keys beside it are read."""
    (tmp_path / "keys").write_bytes(b"x " + KNOWN + b" " * 900_000 + b"\n" + KNOWN)

    stdout = printed(tmp_path / "keys", tmp_path / "bin")
    keys = parse_authorized_keys(stdout)

    assert len(stdout) < 10_000
    assert [e.line for e in keys.entries] == [2]
    with pytest.raises(NotObservedError, match="keys: line 1 is not understood"):
        keys.require_all()


def test_what_holds_no_key_stays_on_the_host(tmp_path: Path) -> None:
    """A user may have linked the file to any other, which only root may read."""
    secret = b"root:$6$salt$hash:20000::\n# password\n-----BEGIN PRIVATE KEY-----\nAAAA+secret\n"
    (tmp_path / "shadow").write_bytes(secret)
    (tmp_path / "keys").symlink_to(tmp_path / "shadow")

    stdout = printed(tmp_path / "keys", tmp_path / "bin")

    assert not [word for word in ("hash", "password", "BEGIN", "secret") if word in stdout]
    assert stdout.count("hidden:") == 1


def test_a_file_that_was_not_read_to_its_end_is_unread(tmp_path: Path) -> None:
    """What a tool that is killed leaves behind is no whole file, nor a whole line."""
    (tmp_path / "keys").write_bytes(KNOWN)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "grep").write_text(
        '#!/bin/sh\ncase $1 in -an) ;; *) exec /usr/bin/env PATH=/usr/bin:/bin grep "$@" ;; esac\n'
        f"printf '1:{KNOWN.decode()} cut'; kill -KILL $$\n"
    )
    (tools / "grep").chmod(0o755)

    keys = parse_authorized_keys(printed(tmp_path / "keys", tools))

    assert [path for path in keys.unread if path == str(tmp_path / "keys")]


def _is_comment(line: bytes) -> bool:
    """Whether sshd skips a line: it is blank up to its first NUL byte, or a comment."""
    text = line.partition(b"\0")[0]
    return not text.strip(b" \t\v\f\r") or text.lstrip(b" \t").startswith(b"#")
