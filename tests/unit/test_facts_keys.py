"""Public keys and authorized_keys: fingerprints as OpenSSH's, options, hostile files."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection.script import alone
from pytest_droplet.facts.sshkeys.accounts import ACCOUNTS, parse_accounts
from pytest_droplet.facts.sshkeys.authorized_keys import (
    AuthorizedKeys,
    _rows,
    parse_authorized_keys,
)
from pytest_droplet.facts.sshkeys.public_keys import (
    account_keys,
    normal_fingerprint,
    parse_blob,
)
from pytest_droplet.model import AccountKey, NotObservedError
from tests.support.ssh_server import needs

ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIA//iqDklgxjxjiIU95fV7OJWR8RUVCvCCa6k3qvCo1z"
ED25519_SHA256 = "SHA256:iZZf4zuuLNU8OYbm6asExxYpdezEguUGdiZLwGldEnk"
ED25519_MD5 = "dc:90:f9:ac:be:3b:67:8c:bd:00:8e:4e:0c:55:cd:58"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AGENT = "# Added and Managed by DigitalOcean Droplet Agent (code name: DOTTY)"


def entries(
    *lines: str, header: str = "file:root:s:600:root:1:/root/.ssh/authorized_keys"
) -> AuthorizedKeys:
    """Parse lines as those of root's file."""
    numbered = "".join(f"{n}:{line}\n" for n, line in enumerate(lines, 1))
    return parse_authorized_keys(
        f"sshd authorizedkeysfile x\nlook sx\n{header}\n{numbered}\nend:9\n"
    )


@pytest.mark.parametrize(
    ("kind", "bits", "name"),
    [
        ("ed25519", 256, "ssh-ed25519"),
        ("rsa", 2048, "ssh-rsa"),
        ("ecdsa", 521, "ecdsa-sha2-nistp521"),
    ],
)
def test_fingerprints_are_those_of_openssh(
    tmp_path: Path, kind: str, bits: int, name: str
) -> None:
    """Type, bits and both fingerprints are what ssh-keygen prints."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", "", "-f", path], check=True
    )
    key = parse_blob(path.with_suffix(".pub").read_text().split()[1])

    for digest in ("sha256", "md5"):
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-E", digest, "-f", path],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        assert key is not None
        assert (shown[0], shown[1].removeprefix("MD5:")) == (str(bits), getattr(key, digest))
    assert key is not None
    assert key.type == name


@pytest.mark.parametrize(
    "text", ["", "AAAA", "AAAAC3Nz", "not base64!", "AAAAAAAAAAA=", "a" * 10_000]
)
def test_what_is_no_blob_is_no_key(text: str) -> None:
    """Text that does not begin with a key's type in SSH's wire form is none."""
    assert parse_blob(text) is None


@given(st.binary(max_size=300))
def test_no_blob_breaks_the_parser(blob: bytes) -> None:
    """Whatever stands in place of a key is a key or none."""
    key = parse_blob(base64.b64encode(blob).decode())

    assert key is None or (key.type.isprintable() and key.sha256.startswith("SHA256:"))


@pytest.mark.parametrize(
    "text",
    [
        ED25519_SHA256,
        f" {ED25519_SHA256}= ",
        ED25519_SHA256.removeprefix("SHA256:"),
    ],
)
def test_sha256_fingerprints_have_one_form(text: str) -> None:
    """Padding, blanks and a missing prefix do not make another fingerprint."""
    assert normal_fingerprint(text) == ED25519_SHA256


@pytest.mark.parametrize("text", [ED25519_MD5, f"MD5:{ED25519_MD5}", ED25519_MD5.upper()])
def test_md5_fingerprints_have_one_form(text: str) -> None:
    """The prefix and the case do not make another fingerprint."""
    assert normal_fingerprint(text) == ED25519_MD5


def test_an_account_key_without_a_readable_key_keeps_its_fingerprint() -> None:
    """What the API says of a key that we cannot parse is still compared."""
    keys = account_keys((AccountKey(1, "old", ED25519_MD5, "garbage"),))

    assert keys.fingerprints == {ED25519_MD5}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", ()),
        ("no-pty ", ("no-pty",)),
        ('from="10.0.0.0/8,192.0.2.1",no-pty ', ("from=10.0.0.0/8,192.0.2.1", "no-pty")),
        (r'command="sh -c \"a, b\" ssh-rsa AAAA",no-pty ', ("command", "no-pty")),
        ('environment="TOKEN=abc def" ', ("environment",)),
        ("CERT-AUTHORITY ", ("cert-authority",)),
        ("restrict,pty\t", ("restrict", "pty")),
    ],
)
def test_options_are_read_and_their_secrets_are_not_kept(
    options: str, expected: tuple[str, ...]
) -> None:
    """Blanks, commas and escaped quotes inside quotes belong to the option."""
    (entry,) = entries(f"{options}ssh-ed25519 {ED25519} someone").entries

    assert entry.options == expected
    assert entry.key.sha256 == ED25519_SHA256
    assert entry.comment == "someone"


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        f"ssh-ed25519 x{ED25519}",
        'command="never closed ssh-ed25519 ' + ED25519,
        rf'command="closed by an escaped quote \" ssh-ed25519 {ED25519}',
        f"a b ssh-ed25519 {ED25519}",
    ],
)
def test_lines_that_hold_no_key_have_none(line: str) -> None:
    """Cut keys, and options that do not end, let nobody in; that a line is strange is said."""
    keys = entries("# a comment", line)

    assert keys.entries == ()
    with pytest.raises(NotObservedError, match="line 2 is not understood"):
        keys.require_all()


@pytest.mark.parametrize("line", ["", " \t ", f"#ssh-ed25519 {ED25519}", f"\t # {ED25519}"])
def test_comments_and_blank_lines_hide_nothing(line: str) -> None:
    """Blanks and tabs may stand before a comment."""
    keys = entries(line)

    assert keys.entries == ()
    keys.require_all()


@pytest.mark.parametrize(
    "line",
    [
        f"ssh-ed25519 {ED25519[:20]}\v{ED25519[20:]} x",
        f"ssh-ed25519 \r{ED25519}\f",
        f"ssh-ed25519 {ED25519}\r",
        f"ssh-ed25519\t \t{ED25519}\tx",
        f'environment="A=b ssh-rsa {ED25519} c" ssh-ed25519 {ED25519} x',
        f",,pty,,\t ssh-ed25519 {ED25519}",
        f'PTY,COMMAND="a\\\\" b" ssh-ed25519 {ED25519}',
        f'pty",a b"c ssh-ed25519 {ED25519}',
        f'environment="A=\x85\u2028\x1c" ssh-ed25519 {ED25519}',
    ],
)
def test_a_key_is_found_where_sshd_finds_it(line: str) -> None:
    """White space within the blob, quotes anywhere among the options, and no other blanks."""
    keys = entries(line)

    assert [e.key.sha256 for e in keys.entries] == [ED25519_SHA256]
    keys.require_all()


OTHER = "AAAAC3NzaC1lZDI1NTE5AAAAILqFn/wWyXrdC8zwbER+OBSn+0iMucjAQMsl23UezI61"


@pytest.mark.parametrize(
    "option",
    ['environment="A=b {} c"', 'command="{}"', 'from="\t{}\t"', 'a" ssh-ed25519 {} b"', '"x {}"'],
)
def test_no_decoy_among_the_options_is_taken_for_the_key(option: str) -> None:
    """The key behind the options counts, whichever key they speak of."""
    (entry,) = entries(f"{option.format(OTHER)} ssh-ed25519 {ED25519} {OTHER}").entries

    assert entry.key.sha256 == ED25519_SHA256


@pytest.mark.parametrize(
    "line",
    [
        f"ssh-rsa {ED25519}",
        f"ssh-dss {ED25519} ssh-ed25519 {OTHER}",
        f"{ED25519}",
        f"x ssh-ed25519\v{ED25519}",
        f"ssh-ed25519 {ED25519[:-4]}",
        f"ssh-ed25519 {ED25519}AAAA",
        f"ssh-ed25519 {ED25519}=",
        f"ssh-ed25519 {ED25519}!",
        f"\ufeffssh-ed25519 {ED25519}",
        f"\vssh-ed25519 {ED25519}",
        f"SSH-ED25519 {ED25519}",
        "1024 65537 123456789012345678901234567890 an SSH-1 key",
    ],
)
def test_what_is_not_a_key_of_the_type_that_it_says_is_not_understood(line: str) -> None:
    """The type of a line is the one that its blob names, and the blob is whole."""
    keys = entries(line)

    assert keys.entries == ()
    assert len(keys.unread) == 1


def blob(*fields: bytes) -> str:
    """Return fields in SSH's wire form, in base64."""
    return base64.b64encode(b"".join(len(f).to_bytes(4, "big") + f for f in fields)).decode()


CURVE, POINT, N = b"nistp256", b"\4" + bytes(range(64)), b"\xc1" + bytes(range(255))
WAYS = [
    ("ssh-ed25519", (N[:32],), [("ED25519", (N[:32],)), ("ssh-ed25519\0", (N[:32],))]),
    (
        "ssh-rsa",
        (b"\1\0\1", b"\0" + N),
        [
            ("RSA", (b"\1\0\1", b"\0" + N)),
            ("rsa-sha2-512", (b"\1\0\1", b"\0" + N)),
            ("ssh-rsa", (b"\0\0\1\0\1", b"\0" + N)),
            ("ssh-rsa", (b"\1\0\1", b"\0\0\0" + N)),
        ],
    ),
    (
        "sk-ecdsa-sha2-nistp256@openssh.com",
        (CURVE, POINT, b"ssh:"),
        [
            ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", (CURVE, POINT, b"ssh:")),
            ("sk-ecdsa-sha2-nistp256@openssh.com", (CURVE + b"\0", POINT, b"ssh:\0")),
        ],
    ),
]


@pytest.mark.parametrize(("name", "fields", "others"), WAYS, ids=[w[0] for w in WAYS])
def test_a_key_has_one_fingerprint_however_it_is_written(
    name: str, fields: tuple[bytes, ...], others: list[tuple[str, tuple[bytes, ...]]]
) -> None:
    """Keys are compared, not blobs: a denied key is the same under another name of its type."""
    usual = parse_blob(blob(name.encode(), *fields))
    written = base64.b64decode(blob(name.encode(), *fields))

    assert usual is not None
    assert usual.md5 == hashlib.md5(written).digest().hex(":")
    for other, same in others:
        assert parse_blob(blob(other.encode(), *same)) == usual
        line = f"{name} {blob(other.encode(), *same)}"
        assert [e.key for e in entries(line).entries] == [usual]


@pytest.mark.parametrize(
    "fields",
    [
        (b"ssh-ed25519", N[:31]),
        (b"ssh-ed25519", N[:32], b""),
        (b"ssh-rsa", b"\1\0\1", N),
        (b"ssh-rsa", b"\1\0\1"),
        (b"ecdsa-sha2-nistp256", b"nistp384", POINT),
        (b"ecdsa-sha2-nistp256", CURVE, b"\2" + POINT[1:33]),
        (b"sk-ssh-ed25519@openssh.com", N[:32], b"a\0b"),
    ],
)
def test_a_blob_that_sshd_refuses_is_no_key(fields: tuple[bytes, ...]) -> None:
    """Of a type that is known, every field has the form that OpenSSH asks for."""
    assert parse_blob(blob(*fields)) is None


def test_options_that_lost_a_quote_to_a_mask_are_not_read() -> None:
    """What a recording masks of a password may have been the end of the option."""
    keys = entries(f'environment="PASSWORD=*** ssh-ed25519 {OTHER} " ssh-ed25519 {ED25519} x')

    assert keys.entries == ()
    assert len(keys.unread) == 1


def test_the_first_strange_line_of_a_file_is_named() -> None:
    """One line of the verdict for a file, whether the line left the host or not."""
    shown = entries(f"ssh-ed25519 {ED25519}", "a AAAA b", "c AAAA d")
    hidden = parse_authorized_keys(
        "sshd authorizedkeysfile x\nlook sx\nfile:a:s:600:a:1:/a\nhidden:7\n8: AAAA\n\nend:9\n"
    )

    assert [path.split(",")[0] for path in (*shown.unread, *hidden.unread)] == [
        "/root/.ssh/authorized_keys: line 2 is not understood",
        "/a: line 7 is not understood",
    ]
    assert len(shown.entries) == 1


@pytest.mark.parametrize(
    ("expiry", "admits"),
    [
        ("20260101", False),
        ("202611221100Z", False),
        ("20261122115959Z", False),
        ("20261122120000Z", True),
        ("202611221300Z", True),
        ("202611221100", True),
        ('20261121",expiry-time="20271121', False),
        ('20271121",EXPIRY-TIME="20261121', False),
        ("20261121090000", False),
        ("20271301", True),
        ("never", True),
    ],
)
def test_a_key_whose_expiry_time_is_over_lets_nobody_in(
    expiry: str,
    admits: bool,  # noqa: FBT001 a table
) -> None:
    """Without Z the time is the host's own: up to 14 hours off, and then not over yet."""
    (entry,) = entries(f'expiry-time="{expiry}" ssh-ed25519 {ED25519}').entries

    assert entry.admits(NOW) is admits


def test_keys_of_the_droplet_agent_have_its_expiry() -> None:
    """The comment line before the key and the mark behind it make a key the agent's."""
    said = (
        '{"os_user":"root","actor_email":"a@example.com","expire_at":"2026-11-22T13:00:00+01:00"}'
    )
    line = f"ssh-ed25519 {ED25519} {said}-dotty_ssh"

    agents, alone = entries(AGENT.upper(), line, "", line).entries

    assert agents.agent_expires == NOW
    assert agents.comment == "droplet agent"
    assert alone.agent_expires is None


def test_hostile_comments_are_one_printable_line_without_blobs() -> None:
    """A comment can neither draw on the terminal nor carry a key into the evidence."""
    (entry,) = entries(f"ssh-ed25519 {ED25519} \x1b[31m\u2028 {ED25519} " + "x" * 500).entries

    assert entry.comment.isprintable()
    assert ED25519 not in entry.comment
    assert len(entry.comment) <= 80


def test_rows_are_by_user_and_hold_no_key() -> None:
    """A file that two users share is two ways in; a file of nobody is one of nobody."""
    keys = entries(f"ssh-ed25519 {ED25519}", header="file:a,b:s:600:root:1:/etc/keys")
    lost = entries(f"ssh-ed25519 {ED25519}", header="file::x:600:root:1:/home/gone/.ssh/x")

    assert [r["user"] for r in _rows(keys)] == ["a", "b"]
    assert [(r["user"], r["in_use"]) for r in _rows(lost)] == [("", False)]
    assert ED25519 not in str(_rows(keys))


@pytest.mark.parametrize("text", ["", "end:0\n", "sshd authorizedkeysfile none\n", "end:x\n"])
def test_a_host_without_accounts_was_not_read(text: str) -> None:
    """No account at all is no empty list of keys."""
    with pytest.raises(NotObservedError):
        parse_authorized_keys(text)


PIECES = st.sampled_from(
    [
        "file:root:s:600:root:1:/root/.ssh/authorized_keys",
        "file:",
        "!! /x",
        "!! ",
        f"1:ssh-ed25519 {ED25519}",
        f'2:expiry-time="99991231235959" ssh-ed25519 {ED25519}',
        f"3:{AGENT}",
        '4:ssh-ed25519 AAAA {"expire_at":1}-dotty_ssh',
        "end:1",
        "sshd authorizedkeysfile a b",
        "conf /etc/x:1:AuthorizedKeysFile=/k/%u",
        "conf /etc/x:2: TrustedUserCAKeys \x1b/ca",
        "look sa m/k/%u",
    ]
)


@given(st.lists(PIECES | st.text(max_size=80)))
def test_no_text_breaks_the_parser_of_authorized_keys(lines: list[str]) -> None:
    """Any text is parsed, or was not observed; what is said of it is one printable line."""
    try:
        keys = parse_authorized_keys("\n".join(lines))
    except NotObservedError:
        return

    assert str(keys).isprintable()
    assert all(str(e).isprintable() for e in keys.entries)
    assert not re.search("AAAA[0-9A-Za-z+/]{30}", str(_rows(keys)))
    assert all(isinstance(e.admits(NOW), bool) for e in keys.entries)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("sshd authorizedkeyscommand none", ()),
        ("sshd authorizedkeyscommand /usr/bin/x %u", ("authorizedkeyscommand /usr/bin/x ...",)),
        ("sshd authorizedkeyscommanduser nobody", ()),
        ('conf /etc/ssh/sshd_config:9:\tTrustedUserCAKeys="none" # no', ()),
        ("conf /a:9:TrustedUserCAKeys=/etc/ca", ("trustedusercakeys /etc/ca",)),
        ("conf /a:9:AuthorizedKeysCommand nonesuch", ("authorizedkeyscommand nonesuch",)),
        ("conf /a:9:AuthorizedKeysFile /k", ()),
    ],
)
def test_other_sources_of_keys_are_named(line: str, found: tuple[str, ...]) -> None:
    """What the configuration lets keys come from beside files, with ``none`` for nowhere."""
    text = f"sshd authorizedkeysfile x\n{line}\nlook sx m/k/%u\nend:9\n"
    keys = parse_authorized_keys(text)

    assert keys.elsewhere == found
    assert all(source in str(keys) for source in found)
    assert keys.patterns == {"x", "/k/%u", "none"}
    assert not keys.unread


def test_where_sshd_does_not_answer_not_all_files_are_known() -> None:
    """The default files are read then, and others may be in use."""
    keys = parse_authorized_keys("look d.ssh/authorized_keys\nend:9\n")

    with pytest.raises(NotObservedError, match="sshd -T"):
        keys.require_all()


ACCOUNT_LINES = st.sampled_from(
    [
        "nss files [NOTFOUND=return] sss",
        "uid-min 1000",
        "shadow root:locked:20000:0:99999:7:::",
        "user root:x:0:0::/root:/bin/bash",
        "shadow a:set:9999999999:0:9999999999:7:9999999999:9999999999:",
        "user a:x:1:1::/:/bin/sh",
        "user b:x:x:::/:",
        "user c:x",
        "shadow c",
        "end",
    ]
)


@given(st.lists(ACCOUNT_LINES | st.text(max_size=60)))
def test_no_text_breaks_the_parser_of_accounts(lines: list[str]) -> None:
    """Any text is parsed, or was not observed."""
    try:
        seen = parse_accounts("\n".join(lines))
    except NotObservedError:
        return

    assert str(seen).isprintable()
    assert seen.accounts or "user " in "\n".join(lines)


def test_accounts_are_read_without_their_hashes() -> None:
    """Dates count in days since 1970; a locked password does not age out."""
    seen = parse_accounts(
        "nss files\nuid-min 500\n"
        "shadow a:set:20000:0:90:7:30:20454:\n"
        "shadow b:locked:20000:0:90:7:30::\n"
        "user a:x:500:500::/home/a:/bin/bash\n"
        "user b:x:501:501::/home/b:\n"
        "user c:x:33:33::/:/usr/sbin/nologin\n"
        "end\n"
    ).accounts

    assert seen["a"].expires == datetime(2026, 1, 1, tzinfo=UTC)
    assert seen["a"].aged_out == datetime(2025, 2, 2, tzinfo=UTC)
    assert (seen["b"].aged_out, seen["b"].expires) == (None, None)
    assert [seen[n].has_shell for n in "abc"] == [True, True, False]


@pytest.mark.parametrize(
    ("own", "shadow", "password"),
    [
        ("x", "set", "set"),
        ("x", "x", "set"),
        ("x", "locked", "locked"),
        ("x", "empty", "empty"),
        ("x", "", "other"),
        ("locked", "", "other"),
        ("set", "locked", "set"),
        ("empty", "locked", "empty"),
    ],
)
def test_a_password_is_that_of_passwd_or_of_shadow(own: str, shadow: str, password: str) -> None:
    """What stands in passwd itself counts before shadow; where neither has it it is elsewhere."""
    line = f"shadow a:{shadow}:20000:0:99999:7:::\n" if shadow else ""
    seen = parse_accounts(f"nss files\n{line}user a:{own}:0:0::/root:/bin/sh\nend\n")

    assert seen.accounts["a"].password == password


def test_the_first_number_of_a_person_counts() -> None:
    """login.defs in /etc comes before that of the distribution; without any it is 1000."""
    text = "nss files\n{}user a:x:0:0::/:\nend\n"

    assert parse_accounts(text.format("uid-min 500\nuid-min 2000\n")).uid_min == 500
    assert parse_accounts(text.format("")).uid_min == 1000


@pytest.mark.parametrize("awk", ["mawk", "gawk", "busybox awk"])
def test_no_hash_leaves_the_host(awk: str, tmp_path: Path) -> None:
    """Of a line of shadow, of passwd, and of one that is neither, its class alone is printed."""
    needs(awk.split(maxsplit=1)[0])
    shadow = "a:$6$salt$hash:20000:0:99999:7:::\nb:!$6$hash:1::::::\nc::1::::::\n$6$hash\n"
    (tmp_path / "shadow").write_text(shadow)
    (tmp_path / "awk").write_text(f'#!/bin/sh\nexec {awk} "$@"\n')
    (tmp_path / "getent").write_text("#!/bin/sh\necho 'a:hash:0:0::/:'; echo 'b:x:1:1::/:'\n")
    for tool in ("awk", "getent"):
        (tmp_path / tool).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", alone(ACCOUNTS).replace("/etc/shadow", f"{tmp_path}/shadow")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "hash" not in done.stdout
    assert done.stdout.split("\n")[-8:] == [
        "shadow a:set:20000:0:99999:7:::",
        "shadow b:locked:1::::::",
        "shadow c:empty:1::::::",
        "shadow ?",
        *("user a:set:0:0::/:", "user b:x:1:1::/:", "end", ""),
    ]


@pytest.mark.parametrize(
    ("sources", "known"),
    [("", True), (" files systemd # ldap", True), (" files [!UNAVAIL=return] sss", False)],
)
def test_directories_need_not_list_their_accounts(
    sources: str,
    known: bool,  # noqa: FBT001 a table
) -> None:
    """Of the sources in nsswitch.conf, only the host's own files list everybody."""
    seen = parse_accounts(f"nss {sources}\nuser a:set:0:0::/root:/bin/sh\nend\n")

    if known:
        seen.require_all()
    else:
        with pytest.raises(NotObservedError, match="sss"):
            seen.require_all()


def test_a_garbled_account_is_no_account_less() -> None:
    """An account whose line has no uid may be the one that is asked for."""
    one = "nss files\nuser a:set:0:0::/:/bin/sh\nuser {}\nend\n"

    with pytest.raises(NotObservedError, match="garbled"):
        parse_accounts(one.format("b"))
    assert list(parse_accounts(one.format("+::::::")).accounts) == ["a"]
