"""Authorized keys: who may log in to the host with which key, as fingerprints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.units import Units
from pytest_droplet.facts.host.whole import not_whole
from pytest_droplet.facts.sshkeys.accounts import LISTED_SOURCES
from pytest_droplet.facts.sshkeys.public_keys import PublicKey, parse_blob, type_name
from pytest_droplet.masks import HIDDEN, command_name, sshd_settings
from pytest_droplet.model import Item, NotObservedError, Reading, Section
from pytest_droplet.redact import MASK
from pytest_droplet.text import one_line

_READ_BY_SSHD = frozenset("sm")
_ANYBODY = "x"
_AGENT_COMMENTS = (
    "# added and managed by digitalocean droplet agent (code name: dotty)",
    "# added and managed by digitalocean tty service (dotty)",
)
_AGENT_MARK = "-dotty_ssh"
_AGENT_UNIT = "droplet-agent.service"
_SHOWN_OPTIONS = frozenset({"from", "expiry-time", "permitopen", "permitlisten", "principals"})
_BLOB_IN_TEXT = re.compile(r"AAAA[0-9A-Za-z+/]{16,}=*")
_PRINTED = re.compile(r"sshd |conf |match |nss |sssd$|X |!! |changed ")
# One of sshd -T, or a line of the configuration; the value "none" is no source.
_SOURCE = re.compile(
    r"(?i)(?:sshd |conf .*?:\d+:\s*)\"?"
    r"(authorizedkeyscommand|trustedusercakeys|authorizedprincipals(?:file|command))\"?"
    r"[\s=]+(?!\"?none\"?\s*(?:#|$))(.+)"
)
_FILES = re.compile(r"(?i)conf (.*?:\d+):\s*\"?authorizedkeysfile\"?[\s=]+(.+)")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|\\.|[^\s]")
# A quote opens or closes wherever it stands, but for one behind a backslash. The groups give
# nothing back: what does not end as sshd reads it, does not end.
_OPTIONS = re.compile(r'(?:\\"|"(?:\\"|[^"])*+"|[^" \t])*+')
_OPTION = re.compile(r'(?:\\"|"(?:\\"|[^"])*+"|[^",])++')
_BLANKS = re.compile(r"[ \t]+")
_OPTION_NAME = re.compile(r"[A-Za-z0-9-]{1,40}")
_NUMBERED = re.compile(r"(?m)^(\d+:)(.*)$")


def _masked(text: str) -> str:
    """Hide the values of options that no check needs; of a line that is not understood, all."""
    return _NUMBERED.sub(lambda line: line[1] + _masked_line(line[2]), sshd_settings(text))


def _masked_line(line: str) -> str:
    text = line.strip(" \t")
    if not text or text.startswith("#"):
        return line
    parts = _parts(text)
    if parts is None:
        return MASK
    return _OPTION.sub(_masked_option, parts[0]) + text[len(parts[0]) :]


def _masked_option(option: re.Match[str]) -> str:
    name, equals, value = option[0].partition("=")
    if not value or name.lower() in _SHOWN_OPTIONS:
        return option[0]
    return f'{name}{equals}"{HIDDEN}"'


KEYS = Section.of_files(
    "facts/ssh/sshd_configuration.sh",
    "facts/sshkeys/key_settings.awk",
    "facts/sshkeys/key_paths.awk",
    "facts/sshkeys/key_lines.awk",
    "facts/sshkeys/authorized_keys.sh",
    root=True,
    mask=_masked,
)


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """One entry of an authorized_keys file.

    Attributes:
        users: Accounts that the file belongs to; none: an account that does not exist.
        options: Names of the options in lower case, with the value of those that are no secret.
        expires: From its ``expiry-time`` option; sshd refuses the key afterwards.
        agent_expires: When DigitalOcean's droplet agent should remove it; None: not the agent's,
            or in a file that another than root may write, who could claim so. That the agent
            runs is another fact.
        in_use: Whether sshd reads the file.
    """

    users: tuple[str, ...]
    path: str
    line: int
    key: PublicKey
    comment: str
    options: tuple[str, ...]
    expires: datetime | None
    agent_expires: datetime | None
    in_use: bool

    @property
    def is_authority(self) -> bool:
        """Whether it is a certificate authority, whose every certificate may log in."""
        return "cert-authority" in self.options

    @property
    def fingerprints(self) -> frozenset[str]:
        """Its SHA256 and MD5 fingerprint."""
        return frozenset((self.key.sha256, self.key.md5))

    @property
    def details(self) -> Item:
        """Where the key stands, whom it lets in, and its fingerprints."""
        return {
            "users": list(self.users),
            "file": self.path,
            "line": self.line,
            "key_type": self.key.type,
            "bits": self.key.bits,
            "fingerprint": self.key.sha256,
            "md5": self.key.md5,
            "comment": self.comment,
        }

    def admits(self, now: datetime) -> bool:
        """Whether sshd lets the key in at this time: its file is read, it has not expired.

        sshd compares whole seconds: in the very second of its expiry a key is still let in.
        """
        return self.in_use and (self.expires is None or now.replace(microsecond=0) <= self.expires)

    def __str__(self) -> str:
        users = ",".join(self.users) or "nobody"
        bits = f" {self.key.bits} bits" if self.key.bits else ""
        authority = " certificate authority" if self.is_authority else ""
        forced = " with a forced command" if "command" in self.options else ""
        comment = f" ({self.comment})" if self.comment else ""
        return (
            f"{users} {self.path}:{self.line}{authority} {self.key.type}{bits}"
            f" {self.key.sha256} MD5:{self.key.md5}{comment}{forced}"
        )


@dataclass(frozen=True, slots=True)
class AuthorizedKeys:
    """Every authorized key of a host.

    Attributes:
        entries: Those that could be read, by file and line.
        files: How many files were read.
        unread: Files that could not be read, or hold a line that is not understood; what is in
            them is not known.
        patterns: Those of ``AuthorizedKeysFile`` whose files were looked for.
        elsewhere: What sshd's configuration lets keys come from beside files, for anybody:
            ``keyword value``.
        without_agent: Why DigitalOcean's droplet agent, of which there are keys, is not known to
            run; empty: it runs, or has no key.
    """

    entries: tuple[AuthorizedKey, ...]
    files: int
    unread: tuple[str, ...] = ()
    patterns: frozenset[str] = frozenset()
    elsewhere: tuple[str, ...] = ()
    without_agent: str = ""

    def require_all(self) -> None:
        """Make sure that no file is left out.

        Raises:
            NotObservedError: A file could not be read.
        """
        if self.unread:
            raise NotObservedError(f"authorized keys not read: {', '.join(self.unread[:5])}")

    def __str__(self) -> str:
        users = sorted({u for e in self.entries for u in e.users})
        text = f"{len(self.entries)} keys in {self.files} files"
        if users:
            text += f", of {', '.join(users[:10])}" + (" ..." if len(users) > 10 else "")
        prints = " ".join(dict.fromkeys(e.key.sha256[:17] for e in self.entries[:5]))
        text += f": {prints}" if prints else ""
        for entry in self.entries:
            if entry.agent_expires:
                text += f"; console key until {entry.agent_expires:%Y-%m-%d %H:%M %Z}"
        if self.elsewhere:
            text += f"; not read: {one_line(', '.join(self.elsewhere), 120)}"
        return text + (f"; {len(self.unread)} files unread" if self.unread else "")


def _rows(keys: AuthorizedKeys) -> list[dict[str, Any]]:
    """Return one row for each user and key; a file that was not read is a row of its own."""
    rows: list[dict[str, Any]] = [
        {
            "user": user,
            "file": e.path,
            "line": e.line,
            "type": e.key.type,
            "bits": e.key.bits,
            "sha256": e.key.sha256,
            "md5": e.key.md5,
            "comment": e.comment,
            "options": list(e.options),
            "expires": e.expires.isoformat() if e.expires else None,
            "agent_expires": e.agent_expires.isoformat() if e.agent_expires else None,
            "in_use": e.in_use,
        }
        for e in keys.entries
        for user in e.users or ("",)
    ]
    return rows + [{"unread": path} for path in keys.unread]


@fact(
    "authorized_keys files of every account, by sshd -T",
    sections=(KEYS,),
    row=_rows,
    items=lambda keys: [entry.details for entry in keys.entries],
    api=("keys",),  # the record names the account's key beside each row
)
def droplet_authorized_keys(
    observation: Observation, droplet_units: Reading[Units]
) -> AuthorizedKeys:
    """Every authorized key on the host: user, file, line, type, fingerprints, options."""
    found = parse_authorized_keys(observation.section(KEYS.name).stdout)
    if not any(entry.agent_expires for entry in found.entries):
        return found
    return replace(found, without_agent=_without_agent(droplet_units))


def _without_agent(units: Reading[Units]) -> str:
    """Return why the droplet agent is not known to run; empty: it runs."""
    try:
        if units.get()[_AGENT_UNIT].is_active:
            return ""
    except NotObservedError as exc:
        return f"{_AGENT_UNIT} was not seen to run ({one_line(str(exc), 80)})"
    return f"{_AGENT_UNIT} does not run"


def parse_authorized_keys(text: str) -> AuthorizedKeys:
    """Parse the output of the section ``authorized_keys``.

    Args:
        text: ``nss`` and the sources of accounts, ``sssd`` where it runs; ``sshd`` and ``conf``
            lines, ``look`` with the patterns that are looked for, each after its letter, then for each file ``file:USERS:LETTER:STAT:PATH`` and its lines
            with their numbers, but for comments and blank ones; ``hidden:`` has the number of
            the first line that holds no key's blob; ``end:`` and the number of users. ``X``
            says what of sshd's configuration is left out, ``!!`` what was not read, ``changed``
            a file or folder that somebody changed after the login began.

    Returns:
        The keys. A file with a line that is neither a key nor a comment is among the unread: what
        is not understood here may be a key to sshd.

    Raises:
        NotObservedError: It does not end with the number of users, or there was none.

    Source: sshd(8), AUTHORIZED_KEYS FILE FORMAT; OpenSSH's auth2-pubkeyfile.c, sshkey.c and
    auth-options.c, read with 9.2p1; DigitalOcean's droplet-agent.
    """
    entries: list[AuthorizedKey] = []
    unread: list[str] = []
    patterns: set[str] = set()
    elsewhere: list[str] = []
    files: list[_File] = []
    users = 0
    by_default = "\nsshd authorizedkeysfile " not in f"\n{text}"
    strange = _sources_that_list_nobody(text)
    current: _File | None = None
    for line in text.split("\n"):
        kind, _, rest = line.partition(":")
        if kind.isascii() and kind.isdigit() and current is not None:
            if entry := _line(current, kind, rest):
                entries.append(entry)
        elif kind == "hidden" and current is not None:
            current.leave_out(rest)
        elif kind == "file":
            current = _file(rest, by_default=by_default, more_users=bool(strange))
            files.append(current)
        elif kind == "end" and rest.isascii() and rest.isdigit():
            users = int(rest[:9])
        elif line.startswith("look "):
            patterns.update(word[1:] for word in line.split()[1:])
        elif found := _SOURCE.match(line):
            elsewhere.append(_source(found[1].lower(), found[2].strip()))
        elif line and not _PRINTED.match(line):
            unread.append(f"what a garbled line says: {one_line(line, 60)!r}")
    if not users:
        raise NotObservedError("the authorized keys could not be listed: no account was found")
    if not patterns:
        raise NotObservedError("sshd's configuration could not be read: keys may be anywhere")
    if by_default:
        unread.append("files that sshd -T would name, which it did not")
    unread += [file.unread for file in files if file.unread]
    unread += _names_with_blanks(text)
    unread += [f"accounts of {source}, which need not be listed" for source in strange]
    unread += [part for part in _not_read(text) if part not in unread]
    return AuthorizedKeys(
        tuple(entries),
        len(files),
        tuple(unread),
        frozenset(patterns) | {"none"},
        tuple(dict.fromkeys(elsewhere)),
    )


@dataclass(slots=True)
class _File:
    """The file whose lines are read.

    Attributes:
        unread: Why it counts as one that could not be read; empty: it was read.
        agent_line: The number of the last comment of the droplet agent; -1: there was none.
        is_of_root: Whether it is root's, and nobody else may write it.
    """

    users: tuple[str, ...]
    path: str
    in_use: bool
    unread: str = ""
    agent_line: int = -1
    is_of_root: bool = False

    def leave_out(self, number: str) -> None:
        """Note a line that is not understood: the first one is named."""
        number = one_line(number, 9)
        self.unread = (
            self.unread or f"{self.path}: line {number} is not understood, fix or delete it"
        )


def _not_read(text: str) -> Iterator[str]:
    yield from not_whole(text)
    for line in text.split("\n"):
        if line.startswith("X "):
            yield one_line(f"files of another configuration: {line[2:]}")
        elif line.startswith("changed "):
            yield one_line(f"{line[8:]}, which changed after the login began")


def _names_with_blanks(text: str) -> Iterator[str]:
    """Yield the lines that name files of keys whose path has a blank: they were not looked for.

    What sshd -T prints of them cannot be told from two paths.
    """
    for line in text.split("\n"):
        found = _FILES.match(line)
        if found and any(re.search(r"\s|\\", part) for part in _QUOTED.findall(found[2])):
            yield one_line(f"files with a blank in their path, by {found[1]}", 120)


def _sources_that_list_nobody(text: str) -> list[str]:
    """Return the sources of accounts that answer for a name, and need not list all names.

    Many hosts name SSSD's, ``sss``, without running it.
    """
    found: set[str] = set()
    for line in text.split("\n"):
        if line.startswith("nss "):
            found.update(re.sub(r"\[[^]]*\]|#.*", " ", line[4:]).split())
    runs = "\nsssd\n" in f"\n{text}"
    strange = found - LISTED_SOURCES - (set() if runs else {"sss"})
    return [one_line(source, 40) for source in sorted(strange)]


def _file(text: str, *, by_default: bool, more_users: bool) -> _File:
    """Read the head of a file.

    Args:
        text: ``USERS:LETTER:MODE:OWNER:TIME:PATH``; the time may be empty, and counts for nothing.
        by_default: Whether sshd did not tell which files it reads.
        more_users: Whether there may be accounts that are not listed: a file in a home of nobody
            may be that of one.
    """
    parts = text.split(":", 5)
    if len(parts) < 6:
        return _File((), one_line(text), in_use=False, unread=one_line(text))
    owners, letter, path = parts[0], parts[1], parts[5]
    in_use = letter in _READ_BY_SSHD or (by_default and letter == "d")
    in_use = in_use or (more_users and letter == _ANYBODY)
    users = tuple(map(one_line, filter(None, owners.split(","))))
    mode, owner = parts[2], parts[3]
    others_write = re.fullmatch(r"[0-7]{0,2}[0-7][0145][0145]", mode) is None
    of_root = users == ("root",) and owner == "root" and not others_write
    return _File(users, one_line(path), in_use, is_of_root=of_root)


def _source(keyword: str, value: str) -> str:
    shown = command_name(value) if keyword.endswith("command") else value
    return one_line(f"{keyword} {shown}", 100)


def _line(file: _File, number: str, text: str) -> AuthorizedKey | None:
    """Read a line of a file; None: it is blank or a comment, or noted as not understood.

    For sshd only blanks and tabs may stand before a comment.
    """
    line = text.strip(" \t")
    if line.startswith("#"):
        if line.strip().lower() in _AGENT_COMMENTS:
            file.agent_line = int(number[:9])
        return None
    entry = _entry(line, file, int(number[:9]))
    if entry is None and line:
        file.leave_out(number)
    return entry


def _entry(line: str, file: _File, number: int) -> AuthorizedKey | None:
    """Parse a line that is no comment; None: no key is found in it."""
    parts = _parts(line)
    if parts is None:
        return None
    listed, key, comment = parts
    options = _options(listed) if listed else []
    is_marked = file.is_of_root and file.agent_line == number - 1
    agent = _agent_expiry(comment) if is_marked else None
    return AuthorizedKey(
        users=file.users,
        path=file.path,
        line=number,
        key=key,
        comment="droplet agent" if agent else one_line(_BLOB_IN_TEXT.sub("...", comment), 80),
        options=tuple([_shown(name, value) for name, value in options]),
        expires=_first_expiry(options) if options else None,
        agent_expires=agent,
        in_use=file.in_use,
    )


def _parts(line: str) -> tuple[str, PublicKey, str] | None:
    """Split a line as sshd does: the options, the key, the comment.

    The line is a key, or what stands behind its options is one. Options in which a secret was
    masked may have lost a quote: what follows them is not known.
    """
    if found := _key_and_comment(line):
        return "", *found
    options = _OPTIONS.match(line)
    listed = options[0] if options else ""
    found = _key_and_comment(line[len(listed) :].lstrip(" \t"))
    return None if found is None or MASK in listed else (listed, *found)


def _key_and_comment(text: str) -> tuple[PublicKey, str] | None:
    """Read a type, a blob that names the same type, and a comment; None: it is something else."""
    parts = _BLANKS.split(text, maxsplit=2)
    key = parse_blob(parts[1]) if len(parts) > 1 else None
    if key is None or key.type != type_name(parts[0]):
        return None
    return key, parts[2].strip() if len(parts) > 2 else ""


def _options(text: str) -> list[tuple[str, str]]:
    """Return the names, in lower case, and the values of a list of options."""
    pairs: list[tuple[str, str]] = []
    for option in _OPTION.findall(text):
        name, _, value = option.partition("=")
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        known = name.lower() if _OPTION_NAME.fullmatch(name) else "?"
        pairs.append((known, value[1:-1] if quoted else value))
    return pairs


def _shown(name: str, value: str) -> str:
    return f"{name}={one_line(value, 60)}" if value and name in _SHOWN_OPTIONS else name


def _first_expiry(options: list[tuple[str, str]]) -> datetime | None:
    """Return the earliest ``expiry-time``, the one that counts; None: there is none."""
    times = (_expiry(value) for name, value in options if name == "expiry-time")
    return min(filter(None, times), default=None)


def _expiry(text: str) -> datetime | None:
    """Read ``YYYYMMDD[HHMM[SS]][Z]``; without Z it is the host's local time, up to 14 h off."""
    digits = text.removesuffix("Z")
    layout = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    if layout is None:
        return None
    try:
        parsed = datetime.strptime(digits, layout).replace(tzinfo=UTC)
        return parsed if text.endswith("Z") else parsed + timedelta(hours=14)
    except (ValueError, OverflowError):
        return None


def _agent_expiry(comment: str) -> datetime | None:
    """Return the expiry that the droplet agent wrote into a key's comment."""
    if not comment.endswith(_AGENT_MARK):
        return None
    try:
        said = json.loads(comment.removesuffix(_AGENT_MARK))
        when = datetime.fromisoformat(said["expire_at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return when if when.tzinfo else None
