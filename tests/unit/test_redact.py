"""Secrets stay secret, and foreign text stays on its line."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from pytest_droplet.redact import MASK, Secret, redact, redact_json

TOKEN = "dop_v1_" + "0a" * 32


def test_a_secret_shows_itself_in_no_text() -> None:
    """Neither ``str``, ``repr``, a format, a container nor ``vars`` shows it."""
    secret = Secret(TOKEN)
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>9}",
        f"{[secret]}",
    ]
    assert not any("0a0a" in text for text in shown)
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == TOKEN
    assert secret
    assert not Secret("")


def test_a_secret_is_neither_pickled_nor_copied() -> None:
    """It cannot reach a worker, a cache or a file by accident."""
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            attempt(Secret(TOKEN))


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        "doo_v1_" + "ab" * 32,
        "dor_v1_" + "ab" * 32,
        "Authorization: Bearer abcdef0123456789",
        "https://user:hunter2hunter2@proxy.example:3128/",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ndef\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\ncut before its end",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    """Tokens, bearer headers, passwords in URLs and private keys, wherever they stand."""
    masked = redact(f"before {text} after")
    assert MASK in masked
    assert masked.startswith("before ")
    for piece in ("0a0a", "abab", "abcdef0123", "hunter2", "abc\ndef", "cut before"):
        assert piece not in masked


@pytest.mark.parametrize(
    ("shown", "masked"),
    [
        (repr(f"one\n{TOKEN}\ntwo"), "'one\\n***\\ntwo'"),
        (repr("one\nBearer abcdef0123456789"), "'one\\nBearer ***'"),
        (f"\x1b[31m{TOKEN}\x1b[0m", "\x1b[31m***\x1b[0m"),
        (f"'{TOKEN[:20]}...{TOKEN[-30:]}'", "'***'"),
        (f"'{TOKEN[:7]}...{TOKEN[-30:]}'", "'***'"),
        ("'abc ...AAAAbody\\n-----END OPENSSH PRIVATE KEY-----\\n'", "'abc ...***\\n'"),
        ("AAAA\nbody==\n-----END RSA PRIVATE KEY-----", "***"),
    ],
    ids=["repr", "bearer", "coloured", "cut", "cut early", "key's end", "key's end in lines"],
)
def test_a_secret_is_masked_as_pytest_shows_it(shown: str, masked: str) -> None:
    """In the repr of a text with several lines, in colour, and cut in its middle."""
    assert redact(shown) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password: hunter2", "p***"),
        ("DB_PASSWORD=hunter2 x", "DB_P*** x"),
        ("password\t=\thunter2 x", "p*** x"),
        (r"password\t=\thunter2 x", "p*** x"),
        (r"{\"password\": \"hunter2\"}", r"{\"p***"),
        ("{'password': 'hunter2', 'a': 1}", "{'p***, 'a': 1}"),
        ('{"Password":"hunter2"}', '{"P***}'),
        ("passphrase = 'two words' x", "p*** x"),
        ('KEY_PASSPHRASE="two words"', "KEY_P***"),
    ],
)
def test_what_stands_behind_password_is_masked(text: str, masked: str) -> None:
    """As a setting, a variable, in JSON and in the repr of a dict, quoted or not."""
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text", ["PasswordAuthentication no", "password == 'set'", "password: no"]
)
def test_words_about_passwords_stay(text: str) -> None:
    """They are evidence."""
    assert redact(text) == text


def test_masking_takes_no_longer_than_the_text_is_long() -> None:
    """What looks like the body of a key, and no end of one, is read once."""
    body = "A" * 1_000_000 + " PRIVATE KEY----- " + "B" * 1_000_000
    assert redact(body) == body


def test_a_given_secret_is_masked_whatever_it_looks_like() -> None:
    """An old token has no prefix: it is known only because it is given."""
    old = "f00d" * 16
    assert redact(f"x{old}y", [Secret(old)]) == f"x{MASK}y"
    assert redact(f"{old}") == old
    assert redact("text", [Secret("")]) == "text"


def test_public_things_stay() -> None:
    """Fingerprints, public keys, URLs and user names are evidence."""
    for text in (
        "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdvb2Q= ops@example",
        "ssh://git@example.com/repo https://example.com:8443/a@b",
    ):
        assert redact(text) == text


def test_json_is_masked_in_depth() -> None:
    """Values, keys and lists; other types stay."""
    data = {"a": [TOKEN, 1, None, True], TOKEN: {"b": f"is {TOKEN}"}}
    assert redact_json(data) == {"a": [MASK, 1, None, True], MASK: {"b": f"is {MASK}"}}
