"""Which lines of authorized_keys let a key in: sshd says so, and we must see every such key.

The judge is a real sshd on a loopback address. A client asks it of each key whether it would be
let in (RFC 4252, section 7: the request without a signature); sshd reads the file anew each time.
So hundreds of lines, each with a key of its own, are judged over one connection, in a hundredth of
a second each. Some are logged in with for real.

We read the same file with the section's own script, by several shells and awks, and its parser on
what that prints. Must hold: each key that sshd accepts is among the keys that we list, under the
fingerprint that OpenSSH gives it, and is not taken for expired. Which lines we list though sshd
refuses them is named (``SAFE_SIDE``).

``DROPLET_ORACLE_LINES=100000`` judges every line that is made here, not a sample, and so many
random ones; ``DROPLET_ORACLE_SEED=2`` makes others.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pytest_droplet.facts.sshkeys.authorized_keys import (
    AuthorizedKey,
    AuthorizedKeys,
    parse_authorized_keys,
)
from tests.support.key_files import printed
from tests.support.ssh_server import SSHD, login_name, wait_for_port

PORT = 2291
ALL = "DROPLET_ORACLE_LINES" in os.environ
RANDOM_LINES = int(os.environ.get("DROPLET_ORACLE_LINES", "1000"))
SEED = int(os.environ.get("DROPLET_ORACLE_SEED", "1"))
BATCH = 400
CONNECTIONS = 8


class Key(NamedTuple):
    """A public key: what the client offers, and how OpenSSH writes it."""

    algorithm: bytes
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """The SHA256 fingerprint, as ``ssh-keygen -l`` prints it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest())
        return "SHA256:" + digest.decode().rstrip("=")


class Line(NamedTuple):
    """A line, or several, with one key that may be in it; ``form`` tells how it was made."""

    text: bytes
    key: Key
    form: str


@dataclass
class Judged:
    """A line, what sshd said of its key, and our entry of the key: None where we list none."""

    line: Line
    accepted: bool
    entry: AuthorizedKey | None

    @property
    def missed(self) -> bool:
        """Whether sshd lets in a key that we do not list, or take for expired."""
        return self.accepted and (self.entry is None or not self.entry.admits(datetime.now(UTC)))


def wire(*fields: bytes) -> bytes:
    """Return fields in SSH's wire form."""
    return b"".join(len(f).to_bytes(4, "big") + f for f in fields)


def fresh(chance: random.Random) -> Key:
    """Return an ed25519 key of which nobody has the private part."""
    return Key(b"ssh-ed25519", wire(b"ssh-ed25519", chance.randbytes(32)))


DECOY = base64.b64encode(fresh(random.Random(0)).blob)
PLACES = (
    b"@ssh-ed25519 KEY someone",
    b"ssh-ed@25519 KEY someone",
    b"ssh-ed25519@ KEY someone",
    b"ssh-ed25519@KEY someone",
    b"ssh-ed25519 @KEY someone",
    b"ssh-ed25519 HEAD@TAIL someone",
    b"ssh-ed25519 KEY@ someone",
    b"ssh-ed25519 KEY@someone",
    b"ssh-ed25519 KEY some@one",
    b"ssh-ed25519 KEY@",
    b'@pty,environment="A=b" ssh-ed25519 KEY someone',
    b'pty,envi@ronment="A=b" ssh-ed25519 KEY someone',
    b'pty,environment=@"A=b" ssh-ed25519 KEY someone',
    b'pty,environment="A=@b" ssh-ed25519 KEY someone',
    b'environment="A=b@" ssh-ed25519 KEY someone',
    b'environment="A=b"@ ssh-ed25519 KEY someone',
    b'environment="A=b"@,pty ssh-ed25519 KEY someone',
    b"pty,@restrict ssh-ed25519 KEY someone",
    b"pty@ssh-ed25519 KEY someone",
    b"pty @ssh-ed25519 KEY someone",
    b"pty ssh-ed25519@ KEY someone",
    b"pty ssh-ed25519 HEAD@TAIL",
)
BYTES = tuple(bytes([byte]) for byte in range(256))
TELLING = b"\x80\x85\xa0\xfe\xff" + bytes(b for b in range(128) if not chr(b).isalnum())
WORDS = (
    *(b" ", b"  \t", b"\t\v", b" \v\f\r ", b"\r\n", b"\n\n", b"\0\0", b" \0 ", b" #", b"#\t"),
    *(b'"', b'""', b'\\"', b'\\\\"', b'"\\"', b'" "', b'\\"\\"', b"\\\n", b",", b",,", b", "),
    *(b"=", b"==", b"= =", b"A", b"AA", b"AAA", b"AAAA", b"=A", b"A=", b"\v=\v=\v"),
    *(b"restrict", b",pty", b"no-", b"NO-PTY,", b'Command="x"', b'command="ssh-ed25519 "'),
    *(b"cert-authority,", b",cert-authority", b'principals="root",', b'from="*"', b"zos=x"),
    *(b',expiry-time="20200101",', b'expiry-time="29990101",', b'expiry-time="x"'),
    *(b"ssh-ed25519", b" ssh-ed25519 ", b"ssh-rsa ", b"ssh-rsa AAAA ", b"ED25519 ", b"1024 35 9 "),
    *(DECOY, b" %b " % DECOY, b"ssh-ed25519 %b " % DECOY, b'"ssh-ed25519 %b "' % DECOY),
    *(b'environment="A=b %b c" ' % DECOY, b'command="\\"%b " ' % DECOY, b"\0ssh-ed25519 " + DECOY),
    *(b"\xef\xbb\xbf", b"\xc2\xa0", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\x83", b"\xf0\x9f"),
    *(b"\0end:0", b"\0file:a:s:600:a:1:/x", b"\0sshd authorizedkeysfile n", b"\0hidden:1"),
    *(b"***", b"PASSWORD=abcd", b"-----BEGIN", b"x" * 9_000, b"\xff" * 300, b"x " * 20_000),
)


def filled(place: bytes, piece: bytes, key: Key) -> bytes:
    """Return the line of a place with a piece put in."""
    blob = base64.b64encode(key.blob)
    line = place.replace(b"@", b"\0PIECE\0").replace(b"KEY", blob)
    line = line.replace(b"HEAD", blob[:21]).replace(b"TAIL", blob[21:])
    return line.replace(b"\0PIECE\0", piece)


def lines_with_one_piece(chance: random.Random) -> Iterator[Line]:
    """Yield a line for each byte and each word at each place; of letters and such, a sample."""
    for place in PLACES:
        for piece in (*BYTES, *WORDS):
            if not ALL and len(piece) == 1 and piece not in TELLING and chance.random() > 0.05:
                continue
            key = fresh(chance)
            yield Line(filled(place, piece, key), key, f"{place!r} with {piece[:60]!r}")


def random_lines(chance: random.Random, count: int) -> Iterator[Line]:
    """Yield lines made of parts that sshd takes; half of them are changed at one to three places.

    Changes are mostly where a word ends.
    """
    for _ in range(count):
        key = fresh(chance)
        line = bytearray(_right_line(chance, key))
        for _ in range(chance.choice([0, 0, 0, 1, 2, 3])):
            ends = [at for at, byte in enumerate(line) if not chr(byte).isalnum()]
            at = chance.choice([*ends, chance.randint(0, len(line))]) + chance.randint(0, 1)
            cut = chance.choice([0, 0, 0, 0, 1])
            line[at : at + cut] = chance.choice([*WORDS[:-3], *BYTES, b'"', b" ", b"\\", b","])
        yield Line(bytes(line), key, "random")


def _right_line(chance: random.Random, key: Key) -> bytes:
    """Return a line in one of the many forms in which sshd takes a key."""
    options = [
        chance.choice([b"", b"pty", b"NO-PTY", b"restrict", b"no-touch-required", b"command"])
        for _ in range(chance.randint(0, 4))
    ]
    options = [
        b'command="%b"' % _quoted(chance) if option == b"command" else option for option in options
    ]
    options += [
        b'Environment="A%d=%b"' % (n, _quoted(chance)) for n in range(chance.randint(0, 2))
    ]
    blob = base64.b64encode(key.blob)
    for _ in range(chance.choice([0, 0, 1, 3])):
        at = chance.randint(0, len(blob))
        blob = blob[:at] + chance.choice([b"\v", b"\f", b"\r"]) + blob[at:]
    comment = b"".join(chance.choice([*WORDS[:-3], *BYTES]) for _ in range(chance.randint(0, 3)))
    words = [b"ssh-ed25519", blob, comment.replace(b"\n", b"")]
    if any(options):
        words.insert(0, b",".join(chance.sample(options, len(options))))
    return b"".join(word + chance.choice([b" ", b"\t", b" \t  "]) for word in words)


def _quoted(chance: random.Random) -> bytes:
    """Return bytes of any kind that may stand between quotes."""
    value = b"".join(chance.choice([*WORDS[:-3], *BYTES]) for _ in range(chance.randint(0, 3)))
    value = value.replace(b"\n", b"").replace(b"\0", b"").rstrip(b"\\")
    return re.sub(rb'(?<!\\)"', rb'\\"', value)


TYPES = (
    *("ssh-ed25519", "ssh-rsa", "rsa-sha2-256", "rsa-sha2-512", "ecdsa-sha2-nistp256"),
    *("ecdsa-sha2-nistp384", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
    *("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "ssh-ed25519-cert-v01@openssh.com"),
    *("rsa-sha2-256-cert-v01@openssh.com", "ssh-dss", "SSH-RSA", "RSA", "rsa", "ED25519"),
    *("ed25519", "ECDSA", "ED25519-SK", "ecdsa-sk", "DSA", "nonesuch@example.com"),
)


def parts_of_a_key(name: str, chance: random.Random) -> tuple[bytes, ...]:
    """Return what stands behind the type in the blob of a new key."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    written = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {
        "ssh-ed25519": (chance.randbytes(32),),
        "ssh-rsa": (b"\1\0\1", b"\0\xc1" + chance.randbytes(254) + b"\1"),
        "ecdsa-sha2-nistp256": (b"nistp256", written),
        "sk-ssh-ed25519@openssh.com": (chance.randbytes(32), b"ssh:"),
        "sk-ecdsa-sha2-nistp256@openssh.com": (b"nistp256", written, b"ssh:"),
    }[name]


ALGORITHMS = {
    "ssh-ed25519": b"ssh-ed25519",
    "ssh-rsa": b"rsa-sha2-256",
    "ecdsa-sha2-nistp256": b"ecdsa-sha2-nistp256",
    "sk-ssh-ed25519@openssh.com": b"sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com": b"sk-ecdsa-sha2-nistp256@openssh.com",
}


def lines_of_types(chance: random.Random) -> Iterator[Line]:
    """Yield lines whose type, and blobs whose type or parts, are written in another way."""
    for name, algorithm in ALGORITHMS.items():
        for said in TYPES:
            for inside in TYPES:
                if not ALL and name not in {said, inside} and chance.random() > 0.1:
                    continue
                parts = parts_of_a_key(name, chance)
                key = Key(algorithm, wire(name.encode(), *parts))
                blob = base64.b64encode(wire(inside.encode(), *parts))
                form = f"{name}: the line says {said}, the blob {inside}"
                yield Line(b"%b %b x" % (said.encode(), blob), key, form)
        yield from lines_of_other_blobs(name, chance)


def lines_of_other_blobs(name: str, chance: random.Random) -> Iterator[Line]:
    """Yield lines whose blobs have other bytes before or behind a part, or one more part."""
    for part in range(len(parts_of_a_key(name, chance)) + 2):
        for before, behind in ((b"\0", b""), (b"\0\0\0", b""), (b"", b"\0"), (b"", b"\0\0")):
            parts = parts_of_a_key(name, chance)
            changed = [name.encode(), *parts, b""]
            changed[part] = before + changed[part] + behind
            if part <= len(parts):
                changed.pop()
            blob = base64.b64encode(wire(*changed))
            form = f"{name}: {before!r} before and {behind!r} behind part {part}"
            key = Key(ALGORITHMS[name], wire(name.encode(), *parts))
            yield Line(b"%b %b x" % (name.encode(), blob), key, form)


class Offer(asyncssh.SSHKeyPair):
    """A key that a client offers without being able to sign: the next one follows."""

    def __init__(self, key: Key, accepted: set[Key]) -> None:
        super().__init__(key.algorithm, key.algorithm, (key.algorithm,), (), key.blob, None)
        self._key = key
        self._accepted = accepted

    def sign(self, data: bytes) -> bytes:
        """Note that sshd would let the key in; it is only then that a signature is asked for."""
        self._accepted.add(self._key)
        raise ValueError("nobody has the private key")


class Client(asyncssh.SSHClient):
    """A client that offers one key after the other."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        self._offers = list(offers)

    def public_key_auth_requested(self) -> list[Offer] | None:
        """Return the next key."""
        return [self._offers.pop(0)] if self._offers else None


@dataclass
class Judge:
    """A running sshd that reads ``keys`` for whoever logs in, and writes what it did to ``log``."""

    address: str
    keys: Path
    log: Path

    def accepted(self, keys: Sequence[Key]) -> set[Key]:
        """Return those of some keys that the file lets in."""
        return asyncio.run(self._accepted(keys))

    async def _accepted(self, keys: Sequence[Key]) -> set[Key]:
        accepted: set[Key] = set()
        offers = [Offer(key, accepted) for key in keys]
        await asyncio.gather(*(self._offer(offers[n::CONNECTIONS]) for n in range(CONNECTIONS)))
        return accepted

    async def _offer(self, offers: Sequence[Offer]) -> None:
        with pytest.raises(asyncssh.PermissionDenied):
            await self._connect(client_factory=lambda: Client(offers))

    def logs_in(self, key: asyncssh.SSHKey) -> bool:
        """Whether somebody with the private key gets in, and may run a command."""

        async def log_in() -> bool:
            try:
                async with await self._connect(client_keys=[key]) as connection:
                    return (await connection.run("echo in", check=True)).stdout == "in\n"
            except asyncssh.PermissionDenied:
                return False

        return asyncio.run(log_in())

    async def _connect(self, **options: object) -> asyncssh.SSHClientConnection:
        fixed = {"known_hosts": None, "config": None, "agent_path": None, "login_timeout": 0}
        return await asyncssh.connect(
            self.address,
            PORT,
            username=login_name(),
            preferred_auth="publickey",
            **(fixed | options),
        )


@contextmanager
def running_sshd(
    folder: Path, address: str, *more: str, command: Sequence[str] = (SSHD,)
) -> Iterator[Judge]:
    """Run an sshd that reads ``folder / "keys"``; without one, skip, or fail in CI."""
    if not Path(SSHD).exists():
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("sshd is not installed: apt-get install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(folder / "host_key")
    (folder / "host_key").chmod(0o600)
    judge = Judge(address, folder / "keys", folder / "log")
    config = [
        *(f"ListenAddress {address}", f"Port {PORT}", f"HostKey {folder / 'host_key'}"),
        *(f"AuthorizedKeysFile {judge.keys}", "StrictModes no", "PidFile none", "UsePAM no"),
        *("PermitRootLogin prohibit-password", "PasswordAuthentication no"),
        *("KbdInteractiveAuthentication no", "MaxAuthTries 100000", "MaxStartups 1000"),
        *("LoginGraceTime 0", *more),
    ]
    (folder / "config").write_text("\n".join([*config, ""]))
    with judge.log.open("wb") as log:
        child = subprocess.Popen([*command, "-D", "-e", "-f", folder / "config"], stderr=log)
    try:
        wait_for_port(address, PORT, child)
        yield judge
    finally:
        child.kill()
        child.wait(10)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """An sshd that judges."""
    with running_sshd(tmp_path_factory.mktemp("sshd"), "127.0.0.91") as judge:
        yield judge


TOOLS = (
    {"sh": "dash", "awk": "mawk"},
    {"sh": "bash", "awk": "gawk"},
    dict.fromkeys(("sh", "awk", "grep", "sed", "stat", "tr"), "busybox"),
)
"""Programs in place of a host's own, by name."""


def as_we_read(keys: Path, folder: Path, tools: dict[str, str]) -> AuthorizedKeys:
    """Return what the section's script and its parser make of a file of keys."""
    return parse_authorized_keys(printed(keys, folder, tools))


def judged(
    sshd: Judge, lines: Sequence[Line], folder: Path, tools: dict[str, str]
) -> list[Judged]:
    """Return what sshd says of each line, and what we do."""
    found = []
    for start in range(0, len(lines), BATCH):
        batch = lines[start : start + BATCH]
        sshd.keys.write_bytes(b"\n".join(line.text for line in batch))
        accepted = sshd.accepted([line.key for line in batch])
        seen = as_we_read(sshd.keys, folder, tools)
        ours = {e.key.sha256: e for e in seen.entries if e.path == str(sshd.keys)}
        found += [Judged(n, n.key in accepted, ours.get(n.key.fingerprint)) for n in batch]
    return found


@pytest.fixture(scope="module")
def verdicts(sshd: Judge, tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    """Every line of every form, judged."""
    chance = random.Random(SEED)
    lines = [
        *lines_with_one_piece(chance),
        *lines_of_types(chance),
        *random_lines(chance, RANDOM_LINES),
    ]
    return judged(sshd, lines, tmp_path_factory.mktemp("tools"), TOOLS[0])


KEPT_BACK = (b"***", b"-----BEGIN")
"""What redaction looks for: a line with it is not believed, and its file is unread."""


def test_every_key_that_sshd_accepts_is_listed(
    verdicts: list[Judged], sshd: Judge, tmp_path: Path
) -> None:
    """The product never sees fewer keys than sshd, nor takes one for expired that sshd does not.

    The one exception makes the file unread.
    """
    missed = [v.line for v in verdicts if v.missed]
    kept_back = [line for line in missed if any(word in line.text for word in KEPT_BACK)]
    for line in kept_back:
        sshd.keys.write_bytes(line.text)
        assert str(sshd.keys) in str(as_we_read(sshd.keys, tmp_path / "bin", TOOLS[0]).unread)

    missed = [line for line in missed if line not in kept_back]
    assert not missed, f"{len(missed)} lines: {[(m.form, m.text[:200]) for m in missed[:9]]}"
    accepted = sum(v.accepted for v in verdicts)
    assert 500 < accepted < len(verdicts) - 500


SAFE_SIDE = {
    "unknown key option": "a later OpenSSH may know it",
    "missing start quote": "the value of an option has no quotes",
    "invalid environment string": "it names no variable",
    "invalid expires time": "it is no date",
    "expired": "it is listed as expired, and not as let in",
    "certificate authority": "the key itself is refused, but not who has a certificate of it",
    "principals": "these are for the certificates of an authority, and the key is none",
    "short name of a type": "sshd takes it within a blob, and not in a line",
    "multiple": "an option that may stand once stands twice",
}
"""Why sshd refuses keys that we list. To list them is the safe side: they are asked about."""


def test_the_keys_that_we_list_and_sshd_refuses_are_of_known_forms(
    verdicts: list[Judged], tmp_path: Path
) -> None:
    """Sshd's own log says what is wrong with each of them."""
    listed = [v for v in verdicts if v.entry is not None and not v.accepted]
    with running_sshd(tmp_path, "127.0.0.92", "LogLevel DEBUG1") as sshd:
        sshd.keys.write_bytes(b"\n".join(v.line.text for v in listed))
        sshd.accepted([fresh(random.Random(SEED))])
        log = sshd.log.read_text(errors="replace")
        seen = as_we_read(sshd.keys, tmp_path / "bin", TOOLS[0])
    said = dict(re.findall(r":(\d+): bad key options: ([^\r\n]+)", log))
    entries = {e.key.sha256: e for e in seen.entries}
    why = [_why(v.line, entries[v.line.key.fingerprint], said) for v in listed]

    strange = [v.line for v, reason in zip(listed, why, strict=True) if reason not in SAFE_SIDE]
    assert not strange
    assert len(set(why)) > 5


def _why(line: Line, entry: AuthorizedKey, said: dict[str, str]) -> str:
    """Return why sshd refuses the key of a line."""
    if entry.is_authority:
        return "certificate authority"
    if entry.expires is not None and not entry.admits(datetime.now(UTC)):
        return "expired"
    if re.search(rb"(?i)(^|\s)(ED25519|RSA|ED25519-SK) ", line.text):
        return "short name of a type"
    if any(option.startswith("principals=") for option in entry.options):
        return "principals"
    return said.get(str(entry.line), "no reason that sshd tells").partition(' "')[0]


@pytest.mark.parametrize("part", [0, 1])
def test_all_shells_and_awks_read_the_same(part: int, tmp_path: Path) -> None:
    """Whatever bytes a file holds, the section prints the same by each host's tools.

    Half of the lines fit into a file that is read.
    """
    texts = [line.text for line in lines_with_one_piece(random.Random(SEED))]
    keys = tmp_path / "keys"
    keys.write_bytes(b"\n".join(texts[part::2]))
    present = [t for t in TOOLS if all(map(shutil.which, t.values()))]

    first, *others = [as_we_read(keys, tmp_path / "bin", tools) for tools in present]

    assert len(first.entries) > 500
    for other in others:
        assert other == first
    if len(present) < len(TOOLS):
        pytest.skip(f"only with {present}: the other tools are not installed")


LOGINS = {
    "K1: a vertical tab within the blob": (b"ssh-ed25519 HEAD\vTAIL x", True),
    "K2: a decoy in an option": (b'environment="A=b %b c" ssh-ed25519 KEY x' % DECOY, True),
    "a carriage return at the end": (b"ssh-ed25519 KEY\r", True),
    "options that are empty": (b",,pty,,\t ssh-ed25519 KEY", True),
    "a NUL byte behind the blob": (b"ssh-ed25519 KEY\0\0", True),
    "a NUL byte within the blob": (b"ssh-ed25519 HEAD\0TAIL", False),
    "a comment": (b" \t#ssh-ed25519 KEY", False),
    "a form feed before it": (b"\fssh-ed25519 KEY", False),
    "another type": (b"ssh-rsa KEY", False),
}


@pytest.mark.parametrize(("text", "lets_in"), LOGINS.values(), ids=LOGINS)
def test_what_is_said_of_a_key_is_what_happens_to_its_login(
    sshd: Judge,
    tmp_path: Path,
    text: bytes,
    lets_in: bool,  # noqa: FBT001 a table
) -> None:
    """The owner of the private key gets in where sshd said so, and then we list the key."""
    own = asyncssh.generate_private_key("ssh-ed25519")
    key = Key(b"ssh-ed25519", own.public_data)
    sshd.keys.write_bytes(b"# a comment\n" + filled(text, b"", key) + b"\n")

    assert sshd.logs_in(own) is lets_in
    assert bool(sshd.accepted([key])) is lets_in
    seen = as_we_read(sshd.keys, tmp_path / "bin", TOOLS[0])
    assert [e.key.sha256 for e in seen.entries] == [key.fingerprint] * lets_in
