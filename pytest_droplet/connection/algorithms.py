"""Lists of algorithms of the ssh config, as lists that asyncssh takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from asyncssh.encryption import get_default_encryption_algs, get_encryption_algs
from asyncssh.kex import get_default_kex_algs, get_kex_algs
from asyncssh.mac import get_default_mac_algs, get_mac_algs
from asyncssh.public_key import (
    get_certificate_algs,
    get_public_key_algs,
)

from pytest_droplet.connection.client_config.files import SshConfigError
from pytest_droplet.connection.client_config.settings import Settings

_Names = Callable[[], Sequence[bytes]]

# Every cipher is offered; the one that costs Python least comes first.
_FIRST_CIPHER = "aes128-gcm@openssh.com"
_CERTIFICATE = "-cert-v01@openssh.com"
# As with OpenSSH from 8.8 on: no signature with SHA-1 (``ssh-rsa``).
_BARE_KEYS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)
DEFAULT_KEYS = (
    *(name.removesuffix("@openssh.com") + _CERTIFICATE for name in _BARE_KEYS),
    *_BARE_KEYS,
)
_LISTS: dict[str, tuple[str, _Names, _Names]] = {
    "Ciphers": ("encryption_algs", get_encryption_algs, get_default_encryption_algs),
    "KexAlgorithms": ("kex_algs", get_kex_algs, get_default_kex_algs),
    "MACs": ("mac_algs", get_mac_algs, get_default_mac_algs),
}
KEYWORDS = (*_LISTS, "PubkeyAcceptedAlgorithms")
"""The keywords that :func:`algorithm_options` looks at."""


def algorithm_options(settings: Settings) -> dict[str, list[str]]:
    """Return what asyncssh's options need for the lists that the config has.

    Raises:
        SshConfigError: Nothing of a list is known here.
    """
    ciphers = _texts(get_default_encryption_algs())
    options = {"encryption_algs": list(dict.fromkeys((_FIRST_CIPHER, *ciphers)))}
    for keyword, (option, possible, default) in _LISTS.items():
        text = settings.get(keyword)
        if text is not None:
            options[option] = choose(keyword, text, _texts(possible()), _texts(default()))
    known = set(_texts(get_public_key_algs()))
    bare = dict.fromkeys(name.removesuffix(_CERTIFICATE) for name in accepted_keys(settings))
    options["signature_algs"] = [
        name for b in bare for name in (b, f"{b}@openssh.com") if name in known
    ]
    return options


def accepted_keys(settings: Settings) -> list[str]:
    """Return the algorithms that a key of the user may have.

    Raises:
        SshConfigError: ``PubkeyAcceptedAlgorithms`` has none that is known here.
    """
    return _keys(settings, "PubkeyAcceptedAlgorithms")


def host_key_algorithms(
    settings: Settings, known: Sequence[str], *, certificates: bool
) -> list[str]:
    """Return the types of host keys to ask for, those of the known keys first.

    Args:
        settings: ``HostKeyAlgorithms`` has the order where it is set.
        known: Algorithms of the keys that known_hosts has for the host.
        certificates: Whether it has a CA for the host. As with ssh, the certificate of a CA that
            is not known is no reason to refuse a host whose key is.

    Raises:
        SshConfigError: ``HostKeyAlgorithms`` has none that is known here.
    """
    names = _keys(settings, "HostKeyAlgorithms")
    if settings.get("HostKeyAlgorithms") is None:
        first = [n for n in names if n in known or n.endswith(_CERTIFICATE)]
        names = list(dict.fromkeys((*first, *names)))
    wanted = [n for n in names if certificates or not n.endswith(_CERTIFICATE)]
    if not wanted:
        raise SshConfigError(
            "ssh config: HostKeyAlgorithms has certificates alone, and known_hosts has no CA for"
            " the host: add a line with @cert-authority"
        )
    return wanted


def _keys(settings: Settings, keyword: str) -> list[str]:
    text = settings.get(keyword)
    if text is None:
        return list(DEFAULT_KEYS)
    return choose(keyword, text, _known_keys(), DEFAULT_KEYS)


def choose(keyword: str, text: str, possible: Sequence[str], default: Sequence[str]) -> list[str]:
    """Return the algorithms that a list of the config leaves, in their order.

    ``+`` adds to the default ones, ``-`` takes away from them, ``^`` puts first; without a sign
    the list stands for itself. What is not known here is passed over.

    Raises:
        SshConfigError: Nothing is left.
    """
    sign = text[:1] if text[:1] in {"+", "-", "^"} else ""
    patterns = text[len(sign) :].split(",")
    if sign == "-":
        chosen = [n for n in default if not any(fnmatchcase(n, p) for p in patterns)]
    else:
        named = [n for p in patterns for n in possible if fnmatchcase(n, p)]
        before = default if sign == "+" else ()
        behind = default if sign == "^" else ()
        chosen = list(dict.fromkeys((*before, *named, *behind)))
    if not chosen:
        raise SshConfigError(
            f"ssh config: {keyword} {text}: none of these is known here; allow one that is:"
            f" {', '.join(default[:6])}"
        )
    return chosen


def _known_keys() -> list[str]:
    return _texts([*get_certificate_algs(), *get_public_key_algs()])


def _texts(names: Sequence[bytes]) -> list[str]:
    return [name.decode("ascii") for name in names]
