"""Accounts of the host: uid, shell and the state of the password, never its hash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.model import Item, NotObservedError, Section
from pytest_droplet.text import one_line

ACCOUNTS = Section.of_files("facts/sshkeys/accounts.sh", root=True)
LISTED_SOURCES = frozenset({"files", "compat", "systemd", "db", "altfiles"})
_NO_SHELL = re.compile(r"/(nologin|false|sync|shutdown|halt)$")
_UID_MIN = 1000
# Fields of shadow(5): the day of the last change, the days that it holds, and those after that.
_AGES = (2, 4, 6)
_EXPIRES = 7
_DAY_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HostAccount:
    """An account, from passwd and shadow.

    Attributes:
        password: ``set``, ``locked``, ``empty``, or ``other``: neither the host's own passwd nor
            its shadow tells.
        expires: Day from which nobody may log in, by whatever means.
        aged_out: Day from which the password is too old for any login.
    """

    name: str
    uid: int
    password: str
    shell: str
    home: str
    expires: datetime | None = None
    aged_out: datetime | None = None

    @property
    def details(self) -> Item:
        """The account's name and number."""
        return {"user": self.name, "uid": self.uid}

    @property
    def has_shell(self) -> bool:
        """Whether the shell is one to work in; an empty field means sh."""
        return not _NO_SHELL.search(self.shell)

    @property
    def has_password(self) -> bool:
        """Whether a password of the host's own shadow, or none at all, lets somebody in."""
        return self.password in {"set", "empty"}


@dataclass(frozen=True, slots=True)
class HostAccounts:
    """All accounts that the host lists, by name; ``uid_min`` is the first of a person.

    ``sources`` are those of accounts by nsswitch.conf(5), files where it names none. A directory
    such as LDAP need not list its accounts.
    """

    accounts: Mapping[str, HostAccount]
    uid_min: int
    sources: tuple[str, ...] = ()

    def require_all(self) -> None:
        """Raise NotObservedError where accounts may exist that are not listed."""
        if strange := sorted({*self.sources} - LISTED_SOURCES):
            raise NotObservedError(
                f"accounts also come from {one_line(', '.join(strange), 60)}, which need not "
                "list them"
            )

    def __str__(self) -> str:
        people = [a.name for a in self.accounts.values() if a.uid >= self.uid_min and a.has_shell]
        shown = ", ".join(people[:8]) + (" ..." if len(people) > 8 else "")
        return one_line(f"{len(self.accounts)} accounts; of people: {shown or 'none'}")


@fact(
    "getent passwd; /etc/shadow (classes only)",
    sections=(ACCOUNTS,),
    items=lambda found: [account.details for account in found.accounts.values()],
)
def droplet_host_accounts(observation: Observation) -> HostAccounts:
    """The accounts of the host with shell, expiry and the class of their password."""
    return parse_accounts(whole(observation.section(ACCOUNTS.name)).stdout)


def parse_accounts(text: str) -> HostAccounts:
    """Parse the output of the section ``accounts``.

    Args:
        text: ``nss`` and the sources of accounts; ``uid-min N``, of which the first
            counts; ``shadow`` and ``user`` before
            the lines of shadow and passwd, in which a hash is ``set``, ``locked`` or ``empty``;
            ``end``.

    Raises:
        NotObservedError: It does not come to its end, names no account, or one is garbled.

    Source: passwd(5), shadow(5).
    """
    found: dict[str, HostAccount] = {}
    shadow: dict[str, list[str]] = {}
    users: list[str] = []
    uid_min: int | None = None
    ended = False
    sources: tuple[str, ...] | None = None
    for line in text.split("\n"):
        kind, _, rest = line.partition(" ")
        if kind == "user":
            users.append(rest)
        elif kind == "shadow":
            fields = rest.split(":")
            shadow.setdefault(fields[0], fields)
        elif kind == "uid-min":
            uid_min = uid_min or _number(rest)
        elif kind == "nss":
            sources = tuple(re.sub(r"\[[^]]*\]|#.*", " ", rest).split())
        elif line == "end":
            ended = True
        elif line:
            raise garbled(line)
    if not users or not ended or sources is None:
        raise NotObservedError("the host's accounts could not be listed")
    for user in users:
        account = _account(user.split(":"), shadow)
        if account is not None:
            found.setdefault(account.name, account)
        elif not user.startswith(("+", "-")):
            raise NotObservedError(f"an account is garbled: {one_line(user, 60)}")
    return HostAccounts(found, uid_min or _UID_MIN, sources)


def _account(fields: list[str], shadow: Mapping[str, list[str]]) -> HostAccount | None:
    """Join an account's line of passwd with that of shadow; None: it is garbled."""
    uid = _number(fields[2]) if len(fields) >= 7 else None
    if uid is None:
        return None
    name, own, _, _, _, home, shell = fields[:7]
    known = shadow.get(name, [])
    if known and len(known) < 8:
        return None
    password = _password(own, known)
    days = [_number(known[i]) for i in _AGES] if known and password == "set" else []  # noqa: S105
    told = [d for d in days if d is not None]
    return HostAccount(
        name=one_line(name, 64),
        uid=uid,
        password=password,
        shell=one_line(shell, 80),
        home=one_line(home, 120),
        expires=_day(_number(known[_EXPIRES])) if known else None,
        aged_out=_day(sum(told) + 1) if len(told) == len(_AGES) else None,
    )


def _password(own: str, known: list[str]) -> str:
    """Return the class of a password: passwd has it itself, or shadow, or something else."""
    if own in {"set", "empty"}:
        return own
    in_shadow = known[1] if known else "other"
    return {"locked": "locked", "empty": "empty", "other": "other"}.get(in_shadow, "set")


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else None


def _day(days: int | None) -> datetime | None:
    """Return the beginning of a day; a date beyond all calendars is none."""
    try:
        return _DAY_ZERO + timedelta(days=days) if days is not None else None
    except OverflowError:
        return None
