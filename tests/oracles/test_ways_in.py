"""Ways in beside a plain key: options, authorities, commands, and files that a setting names.

The judge is a real sshd, as in ``test_authorized_keys``: it is asked whether a key or a certificate
would be let in, and some are logged in with. Must hold: what sshd lets in is listed as a key that
works, its source is named, or the keys are unknown.

``DROPLET_ORACLE_LINES=20000`` judges so many lines.
"""

from __future__ import annotations

import base64
import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncssh
import pytest

from pytest_droplet.facts.sshkeys.authorized_keys import AuthorizedKeys, parse_authorized_keys
from pytest_droplet.model import NotObservedError
from tests.support.key_files import printed
from tests.support.ssh_server import SSHD, login_name

from .test_authorized_keys import BATCH, SEED, Judge, Key, running_sshd

LINES = int(os.environ.get("DROPLET_ORACLE_LINES", "400"))
NOW = datetime.now(UTC).replace(tzinfo=None)
FROM = (
    *(
        "127.0.0.0/8",
        "127.0.0.1",
        "127.*",
        "*",
        "!192.0.2.1,*",
        "192.0.2.1,127.0.0.?",
        "*.example",
    ),
    *("192.0.2.0/24", "*,!127.0.0.0/8", "::1", "0.0.0.0/0", "localhost", ""),
)
TIMES = (
    *("29990101", "29990101Z", "299901010000", "29990101000000Z", "20200101", "20200101UTC"),
    *("2020010112Z", "soon", ""),
    *((NOW + timedelta(hours=hours)).strftime("%Y%m%d%H%M") for hours in (-13, -11, -1, 1, 13)),
    *((NOW + timedelta(hours=hours)).strftime("%Y%m%d%H%M%SZ") for hours in (-1, 1)),
)
AGENT = b"# Added and Managed by DigitalOcean Droplet Agent (code name: DOTTY)\n"
AGENT_COMMENT = b'{"os_user":"root","actor_email":"a@example.com","expire_at":"%s"}-dotty_ssh'
FAR_WEST = ("env", "TZ=Etc/GMT+12", SSHD)


class Way(NamedTuple):
    """Lines, what a client offers, and the key of theirs that lets it in."""

    text: bytes
    offer: Key
    key: Key


def one_of(chance: random.Random, *values: str) -> str:
    """Return a list of one or two values for an option."""
    return ",".join(chance.sample(values, chance.choice([1, 1, 2])))


def options_of(chance: random.Random, *, authority: bool) -> bytes:
    """Return options that sshd mostly takes."""
    found = ["cert-authority"] if authority else []
    if chance.random() < 0.3:
        found.append(f'from="{chance.choice(FROM)}"')
    if chance.random() < 0.3:
        found.append(f'expiry-time="{chance.choice(TIMES)}"')
    if authority and chance.random() < 0.4:
        found.append(f'principals="{one_of(chance, login_name(), "other", "*", "")}"')
    if chance.random() < 0.2:
        found.append(chance.choice(["restrict", "no-pty", 'command="echo \\"a, b\\""']))
    return ",".join(chance.sample(found, len(found))).encode()


def certificate(
    chance: random.Random, key: asyncssh.SSHKey, authority: asyncssh.SSHKey
) -> asyncssh.SSHCertificate:
    """Return a certificate for some names, which may be over."""
    names = chance.choice([[login_name()], [login_name()], [login_name(), "other"], ["other"], []])
    until = chance.choice(["forever", "forever", "forever", "20200101"])
    valid = {"valid_before": 0xFFFFFFFFFFFFFFFF if until == "forever" else 1_577_836_800}
    return authority.generate_user_certificate(key, "someone", principals=names, **valid)


def offered(part: asyncssh.SSHKey | asyncssh.SSHCertificate) -> Key:
    """Return a key or certificate as a client offers it."""
    return Key(part.algorithm, part.public_data)


def ways(chance: random.Random, count: int) -> Iterator[Way]:
    """Yield lines of keys and authorities, some as the droplet agent writes them."""
    for _ in range(count):
        own = asyncssh.generate_private_key("ssh-ed25519")
        authority = chance.random() < 0.5
        line = asyncssh.generate_private_key("ssh-ed25519") if authority else own
        offer = offered(certificate(chance, own, line) if authority else own)
        text = b"ssh-ed25519 " + base64.b64encode(line.public_data)
        if options := options_of(chance, authority=authority):
            text = options + b" " + text
        if chance.random() < 0.2:
            until = (NOW + timedelta(hours=chance.randint(-30, 30))).isoformat() + "Z"
            text = AGENT + text + b" " + AGENT_COMMENT % until.encode()
        yield Way(text, offer, offered(line))


def as_we_read(judge: Judge, folder: Path) -> AuthorizedKeys | None:
    """Return what we make of the keys by the configuration of the judge; None: unknown."""
    try:
        config = judge.keys.with_name("config")
        return parse_authorized_keys(printed(judge.keys, folder, config=config))
    except NotObservedError:
        return None


def lets_in(keys: AuthorizedKeys, key: Key) -> bool:
    """Whether a key is listed as one that works now."""
    now = datetime.now(UTC)
    return any(e.key.sha256 == key.fingerprint and e.admits(now) for e in keys.entries)


@pytest.mark.parametrize("command", [(SSHD,), FAR_WEST], ids=["utc", "far-west"])
def test_whoever_a_line_lets_in_is_listed(command: Sequence[str], tmp_path: Path) -> None:
    """Whatever its options say of places, times and names; half of the lines are authorities."""
    found = list(ways(random.Random(SEED), LINES // 2))
    missed, accepted = [], 0
    with running_sshd(tmp_path, "127.0.0.97", command=command) as sshd:
        for start in range(0, len(found), BATCH):
            batch = found[start : start + BATCH]
            sshd.keys.write_bytes(b"\n".join(way.text for way in batch))
            taken = sshd.accepted([way.offer for way in batch])
            ours = as_we_read(sshd, tmp_path / "bin")
            assert ours is not None
            assert not ours.unread
            accepted += len(taken)
            missed += [w.text for w in batch if w.offer in taken and not lets_in(ours, w.key)]

    assert missed == []
    assert accepted >= len(found) / 4


SOURCES = {
    "AuthorizedKeysCommand": (
        "AuthorizedKeysCommand /usr/bin/cat FOLDER/given\nAuthorizedKeysCommandUser USER",
        "key",
    ),
    "AuthorizedKeysCommand in a Match block": (
        (
            "Match User USER\n  AuthorizedKeysCommand=/usr/bin/cat FOLDER/given\n"
            "  AuthorizedKeysCommandUser USER"
        ),
        "key",
    ),
    "AuthorizedKeysCommand with its keyword in quotes": (
        (
            'Match User USER\r\n  "AuthorizedKeysCommand" /usr/bin/cat FOLDER/given\r\n'
            "  AuthorizedKeysCommandUser USER\r"
        ),
        "key",
    ),
    "TrustedUserCAKeys": ("TrustedUserCAKeys FOLDER/authorities", "certificate"),
    "TrustedUserCAKeys in quotes": (
        'Match User USER\n  "TrustedUserCAKeys" "FOLDER/authorities"',
        "certificate",
    ),
    "AuthorizedPrincipalsFile": (
        "TrustedUserCAKeys FOLDER/authorities\nAuthorizedPrincipalsFile FOLDER/principals",
        "certificate of another",
    ),
    "AuthorizedPrincipalsCommand": (
        (
            "TrustedUserCAKeys FOLDER/authorities\nAuthorizedPrincipalsCommand /usr/bin/echo other\n"
            "AuthorizedPrincipalsCommandUser USER"
        ),
        "certificate of another",
    ),
    "cert-authority in a file": (
        "Match User USER\n  AuthorizedKeysFile FOLDER/lines",
        "certificate",
    ),
}
FILES = {
    "a file": "Match User USER\n  AuthorizedKeysFile FOLDER/given",
    "a keyword in quotes": 'Match User USER\n  "AuthorizedKeysFile" FOLDER/given',
    "Match in quotes": '"Match" User "USER"\n  AuthorizedKeysFile "FOLDER/given"',
    "line ends of Windows": "Match User USER\r\n\tAuthorizedKeysFile\tFOLDER/given\r",
    "a form feed": "Match User USER\n  AuthorizedKeysFile FOLDER/given\f",
    "a path with a blank": 'Match User USER\n  AuthorizedKeysFile "FOLDER/my keys"',
    "single quotes": "Match User USER\n  AuthorizedKeysFile 'FOLDER/my keys'",
    "a blank behind a backslash": r"Match User USER" "\n  AuthorizedKeysFile FOLDER/my\\ keys",
    "a blank for everybody": 'Match all\n  AuthorizedKeysFile "FOLDER/my keys"',
    "a sign of percent": "Match User USER\n  AuthorizedKeysFile FOLDER/100%%",
    "the second of two": "Match User USER\n  AuthorizedKeysFile FOLDER/gone FOLDER/given",
    "a comment behind it": "Match User USER\n  AuthorizedKeysFile FOLDER/given # mine",
    "an included file": 'Include "FOLDER/my conf"',
    "a sign of the shell": "Match User USER\n  AuthorizedKeysFile FOLDER/given[1]",
    "a star": "Match User USER\n  AuthorizedKeysFile FOLDER/*given",
    "a colon": "Match User USER\n  AuthorizedKeysFile FOLDER/a:b",
}


def configured(text: str, folder: Path) -> list[str]:
    """Return lines for the configuration."""
    return [text.replace("FOLDER", str(folder)).replace("USER", login_name())]


@pytest.mark.parametrize("name", SOURCES)
def test_where_a_login_came_from_is_named(name: str, tmp_path: Path) -> None:
    """Somebody logs in for real; we list what let them in, or name its source."""
    text, way = SOURCES[name]
    own, authority = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    (tmp_path / "given").write_bytes(own.export_public_key())
    (tmp_path / "authorities").write_bytes(authority.export_public_key())
    (tmp_path / "lines").write_bytes(b"cert-authority " + authority.export_public_key())
    (tmp_path / "principals").write_text("other\n")
    (tmp_path / "keys").touch()
    credential = own
    if way != "key":
        principal = "other" if way.endswith("another") else login_name()
        signed = authority.generate_user_certificate(own, "x", principals=[principal])
        credential = (own, signed)
    with running_sshd(tmp_path, "127.0.0.97", *configured(text, tmp_path)) as sshd:
        assert sshd.logs_in(credential)
        ours = as_we_read(sshd, tmp_path / "bin")

    assert ours is not None
    source = name.partition(" ")[0].lower()
    assert source in " ".join(ours.elsewhere) or lets_in(ours, offered(authority))
    assert ours.elsewhere or name.startswith("cert-authority")


@pytest.mark.parametrize("name", FILES)
def test_files_of_keys_are_found_however_they_are_named(name: str, tmp_path: Path) -> None:
    """Somebody logs in by a key in a file, and we list it; else the keys are unknown."""
    own = asyncssh.generate_private_key("ssh-ed25519")
    for file in ("given", "my keys", "100%", "given[1]", "*given", "a:b"):
        (tmp_path / file).write_bytes(own.export_public_key())
    (tmp_path / "keys").touch()
    lines = configured(FILES[name], tmp_path)
    (tmp_path / "my conf").write_text(configured(FILES["a file"], tmp_path)[0])
    config = tmp_path / "tried"
    config.write_text("\n".join([f"HostKey {tmp_path}/none", *lines, ""]))
    tried = subprocess.run([SSHD, "-t", "-f", config], capture_output=True, check=False, text=True)
    if "onfiguration option" in tried.stderr or "xtra arguments" in tried.stderr:
        pytest.skip(f"this sshd refuses it: {tried.stderr}")
    with running_sshd(tmp_path, "127.0.0.97", *lines) as sshd:
        comes_in = sshd.logs_in(own)
        ours = as_we_read(sshd, tmp_path / "bin")

    assert comes_in
    assert ours is None or ours.unread or lets_in(ours, offered(own))
