"""What may be shown or kept: secrets masked."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from typing import Any, NoReturn, SupportsIndex

MASK = "***"

# Also as a variable's, in JSON and in the repr of a dict, and in the repr or JSON of such a text,
# where a tab and a quote have a backslash; the value may be quoted.
_PASSWORD = re.compile(
    r"(?i)ass(?:word|phrase)\\?[\"']?(?:[ \t]|\\t)*[:=](?:[ \t]|\\t)*"
    r"(?:\"[^\"\n]{2,}\"|'[^'\n]{2,}'|\S{4,})"
)

# Each with a text that stands in whatever it matches, so that most texts cost no regex.
_SECRETS = (
    # Without \b: in the repr of a text with lines an n stands before it. pytest cuts by "...".
    (
        "_v1_",
        re.compile(r"do[opr]_v1_(?:[0-9A-Za-z]*\.\.\.[0-9A-Za-z]+|[0-9A-Za-z]{8,})"),
    ),
    ("earer ", re.compile(r"(?i)(?<=bearer )[-._~+/0-9A-Za-z]{8,}=*")),
    ("://", re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)")),
    ("://", re.compile(r"(?<=://)(?:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks)/\S+")),
    (
        "PRIVATE KEY",
        re.compile(
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"
        ),
    ),
    ("$", re.compile(r"\$(?:[1567]|2[abxy]|gy|y|sha1)\$[^\s:'\"]{8,}")),
    *((needle, _PASSWORD) for needle in ("assword", "ASSWORD", "assphrase", "ASSPHRASE")),
)
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_KEY_BODY = string.ascii_letters + string.digits + "+/=\\\r\n"


class Secret:
    """A text that no message, log, traceback or pickle may show: only :meth:`reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself: for the header of a request and nothing else."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied: hand it over by reference")


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Mask what looks like a secret in a text, and the given secrets wherever they stand.

    Known by their look are DigitalOcean tokens (``dop_v1_``, ``doo_v1_``, ``dor_v1_``), bearer
    headers, user information in URLs, webhooks of chats, private keys in PEM, hashes of crypt(3)
    and what stands behind ``password:`` or ``PASSWORD=``. A token without such a prefix is masked
    only where it is given.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), MASK)
    for needle, pattern in _SECRETS:
        if needle in text:
            text = pattern.sub(MASK, text)
    return _without_key_ends(text) if "PRIVATE KEY-----" in text else text


def _without_key_ends(text: str) -> str:
    """Mask the end of a private key whose beginning was cut off."""
    parts = _KEY_END.split(text)
    return MASK.join([*(part.rstrip(_KEY_BODY) for part in parts[:-1]), parts[-1]])


def redact_json(value: Any, secrets: Iterable[Secret] = ()) -> Any:
    """Return a copy of JSON-able data with :func:`redact` applied to every text, keys too."""
    return _redact_json(value, tuple(secrets))


def _redact_json(value: Any, secrets: tuple[Secret, ...]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {_redact_json(k, secrets): _redact_json(v, secrets) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_json(v, secrets) for v in value]
    return value
