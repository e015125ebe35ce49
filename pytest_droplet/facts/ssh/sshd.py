"""The effective configuration of sshd: every way in that a real client could be given.

``sshd -T`` without ``-C`` leaves Match blocks out, so the host's script asks for each of a number
of connections: every account that may log in, root, and a name that does not exist; from outside
and, where a Match line tells addresses apart, from the host's and the auditor's own; and for the
addresses, hosts, groups, users and ports that each Match line tells apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property

from pytest_droplet.facts.host.whole import not_whole
from pytest_droplet.facts.ssh.match_lines import Criterion, criteria_in, fits, not_asked_for, words
from pytest_droplet.masks import sshd_settings
from pytest_droplet.model import Item, NotObservedError, Section
from pytest_droplet.text import one_line

SSHD = Section.of_files(
    "facts/ssh/sshd_configuration.sh",
    "facts/ssh/match_values.awk",
    "facts/ssh/login_accounts.awk",
    "facts/ssh/sshd.sh",
    root=True,
    mask=sshd_settings,
)

_SECRET_METHODS = frozenset({"password", "keyboard-interactive", "none"})
_SAME_VALUE = {"prohibit-password": "without-password"}
_SAME_OPTION = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
}
_INCLUDES = 100
_REFUSED = re.compile(
    r"(/\S+?):? line (\d{1,7}): (.*?)(?= /\S+?:? line \d|(?: /\S+:)? terminating,|$)"
)
_NO_ERROR = re.compile(r"Deprecated option|Unsupported option")
_OPTIONS = {
    name.lower(): name
    for name in (
        *("AcceptEnv", "AllowAgentForwarding", "AllowGroups", "AllowTcpForwarding", "AllowUsers"),
        *("AuthenticationMethods", "AuthorizedKeysCommand", "AuthorizedKeysFile", "Banner"),
        *("ChallengeResponseAuthentication", "Ciphers", "ClientAliveCountMax"),
        *("ClientAliveInterval", "Compression", "DenyGroups", "DenyUsers", "DisableForwarding"),
        *("ForceCommand", "GSSAPIAuthentication", "HostKey", "HostbasedAuthentication"),
        *("IgnoreRhosts", "Include", "KbdInteractiveAuthentication", "KexAlgorithms"),
        *("ListenAddress", "LogLevel", "LoginGraceTime", "MACs", "MaxAuthTries", "MaxSessions"),
        *("MaxStartups", "PasswordAuthentication", "PermitEmptyPasswords", "PermitRootLogin"),
        *("PermitTunnel", "PermitUserEnvironment", "Port", "PrintMotd", "PubkeyAuthentication"),
        *("StrictModes", "Subsystem", "SyslogFacility", "TCPKeepAlive", "TrustedUserCAKeys"),
        *("UseDNS", "UsePAM", "X11Forwarding"),
    )
}
"""The usual options, by their names in small letters: for what a wrong one was meant to be."""
_NO_LOGIN = re.compile(r"/(nologin|false)$")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file of sshd's configuration; ``lines`` has what is no comment, by line number."""

    path: str
    mode: str
    uid: int
    changed_at: datetime
    lines: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SshAccount:
    """An account that may log in over SSH: it has uid 0, a password, or keys and a shell.

    ``password`` is ``set``, ``empty`` or ``locked`` (none, or one that no input matches).
    ``expires_on`` counts days since 1970, None: never. ``groups`` is None where they were not
    asked for, as no group matters for the configuration.
    """

    name: str
    uid: int
    password: str
    has_keys: bool
    shell: str
    expires_on: int | None = None
    groups: tuple[str, ...] | None = None

    @property
    def has_login_shell(self) -> bool:
        """Whether its shell lets anybody in; an empty field means ``/bin/sh``."""
        return not _NO_LOGIN.search(self.shell)

    def is_expired(self, now: datetime) -> bool:
        """Whether the account, not just its password, has expired."""
        return self.expires_on is not None and now.timestamp() / 86400 >= self.expires_on

    @property
    def details(self) -> Item:
        """The account's name and number."""
        return {"user": self.name, "uid": self.uid}

    def __str__(self) -> str:
        keys = ", keys" if self.has_keys else ""
        shell = "" if self.has_login_shell else f", {self.shell}"
        return f"{self.name} (password {self.password}{keys}{shell})"


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that a client could open, and the options that sshd has for it."""

    user: str
    address: str
    host: str
    local_address: str
    local_port: str
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, option: str) -> str:
        """Return the value of an option (lower case, as ``sshd -T`` prints it).

        Raises:
            NotObservedError: sshd did not print it: this version may not know it.
        """
        values = self.options.get(option)
        if not values:
            raise NotObservedError(f"sshd -T names no {option}")
        return values[0]

    def is_on(self, option: str) -> bool:
        """Return whether an option is ``yes``.

        Raises:
            NotObservedError: It was not printed, or is neither ``yes`` nor ``no``.
        """
        value = self.get(option)
        if value not in {"yes", "no"}:
            raise NotObservedError(f"sshd -T says {option} {one_line(value, 40)}")
        return value == "yes"

    @property
    def is_refused(self) -> bool:
        """Whether sshd drops the connection before anybody proves anything."""
        return self.options.get("refuseconnection") == ("yes",)

    @property
    def methods(self) -> tuple[tuple[str, ...], ...]:
        """The lists of AuthenticationMethods, one of which must be completed; empty: any."""
        value = self.get("authenticationmethods")
        if value == "any":
            return ()
        return tuple(
            tuple(method.partition(":")[0] for method in listed.split(","))
            for listed in value.split()
        )

    @property
    def is_secret_enough(self) -> bool:
        """Whether AuthenticationMethods lets in who proves nothing but a password."""
        return not self.methods or any(_SECRET_METHODS.issuperset(m) for m in self.methods)

    @property
    def takes_password(self) -> bool:
        """Whether PasswordAuthentication alone lets a client in."""
        return (
            self.is_on("passwordauthentication") and self.is_secret_enough and not self.is_refused
        )

    @property
    def takes_keyboard_interactive(self) -> bool:
        """Whether PAM's questions let a client in that has no key."""
        name = "kbdinteractiveauthentication"
        if name not in self.options:
            name = "challengeresponseauthentication"
        if not self.is_on(name) or not self.is_on("usepam") or self.is_refused:
            return False
        return not self.methods or any(m[0] != "publickey" for m in self.methods)

    def __str__(self) -> str:
        host = f" ({self.host})" if self.host != self.address else ""
        return f"{self.user} from {self.address}{host} to port {self.local_port}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why sshd refuses its configuration: it will not start again.

    ``meant`` is the line with the option that was meant; "" where this is not known.
    """

    path: str
    line: int
    reason: str
    meant: str = ""

    @property
    def details(self) -> Item:
        """The option that was meant, what is wrong, and where."""
        return {
            "option": self.meant.partition(" ")[0],
            "value": self.reason,
            "users": [],
            "file": self.path,
            "line": self.line,
        }

    def __str__(self) -> str:
        meant = f"; {self.meant} is meant" if self.meant else ""
        return one_line(f"{self.path}:{self.line}: {self.reason}{meant}", 240)


@dataclass(frozen=True)
class Sshd:
    """The configuration of a host's sshd, by connection.

    ``refusal`` is set where sshd refuses its configuration; nothing was evaluated then.

    ``gaps`` tells what was left out: a finding stands beside them, a pass does not.
    """

    running: bool
    version: str = ""
    arguments: str = ""
    processes: tuple[str, ...] = ()
    account_sources: tuple[str, ...] = ()
    files: tuple[ConfigFile, ...] = ()
    accounts: tuple[SshAccount, ...] = ()
    connections: tuple[Connection, ...] = ()
    gaps: tuple[str, ...] = ()
    refusal: Refusal | None = None

    def values(self, option: str) -> str:
        """Return the values that an option has, joined by ``|``; ``?`` where there is none."""
        found = {c.options[option][0] for c in self.connections if c.options.get(option)}
        return one_line("|".join(sorted(found)), 80) or "?"

    def of(self, users: Iterable[str]) -> list[Connection]:
        """Return the connections of some users.

        Of accounts that Match lines do not tell apart only one may have been asked for: it stands
        for the others.
        """
        wanted = {self._asked_instead.get(user, user) for user in users}
        return [c for c in self.connections if c.user in wanted]

    @cached_property
    def _asked_instead(self) -> Mapping[str, str]:
        """The account that was asked for in place of each that was not, by their names."""
        found = {c.pattern for c in _criteria(self.files) if c.keyword == "user"}
        patterns = sorted(found)
        classes = {
            a.name: (a.groups, *(fits(a.name, pattern) for pattern in patterns))
            for a in self.accounts
        }
        asked = {c.user for c in self.connections}
        by_class = {of: name for name, of in classes.items() if name in asked}
        others = {name: by_class.get(of) for name, of in classes.items() if name not in asked}
        return {name: stands for name, stands in others.items() if stands is not None}

    def require_all(self) -> None:
        """Raise NotObservedError where not every connection was evaluated."""
        if self.gaps:
            raise NotObservedError(self.gaps[0])

    def name(self, found: Sequence[Connection]) -> str:
        """Name some of the connections in a few words."""
        if len(found) == len(self.connections):
            return "every user and address"
        users = list(dict.fromkeys(c.user for c in found))
        if all(sum(c.user == u for c in self.connections) == _count(found, u) for u in users):
            return _some([one_line(u, 32) for u in users])
        return _some([one_line(str(c), 90) for c in found])

    def where(self, option: str, value: str) -> str:
        """Return the place of the line that gives an option this value: ``path:line``.

        The first line outside Match blocks decides, unless one in a block gives the value.
        """
        if self._is_argument(option):
            return "argument of the running sshd"
        if (line := self._giving(option, value)) is not None:
            return str(line)
        first = self._deciding(option)
        return "sshd's default" if first is None else f"not as in {first}"

    def setting(self, option: str, value: str, found: Sequence[Connection] = ()) -> Item:
        """Return an option as an item of a finding, with the line that gives it the value.

        ``users`` are those of the connections, none where all are meant; ``file`` and ``line`` are
        None where no line gives the value.
        """
        line = None if self._is_argument(option) else self._giving(option, value)
        users = () if len(found) == len(self.connections) else dict.fromkeys(c.user for c in found)
        return {
            "option": option,
            "value": value,
            "users": list(users),
            "file": line and line.path,
            "line": line and line.number,
        }

    def _is_argument(self, option: str) -> bool:
        return option.lower() in self.arguments.lower()

    def _lines(self, option: str) -> Iterator[_Line]:
        return (line for line in _in_order(self.files) if line.option == option.lower())

    def _deciding(self, option: str) -> _Line | None:
        return next((line for line in self._lines(option) if not line.in_match), None)

    def _giving(self, option: str, value: str) -> _Line | None:
        first = self._deciding(option)
        if first is not None and _plain(first.value) == _plain(value):
            return first
        inside = (line for line in self._lines(option) if line.in_match)
        return next((line for line in inside if _plain(line.value) == _plain(value)), None)

    def __str__(self) -> str:
        if not self.running:
            return "no sshd runs"
        shown = ", ".join(
            f"{label} {self.values(label.lower())}"
            for label in (
                "PasswordAuthentication",
                "KbdInteractiveAuthentication",
                "PubkeyAuthentication",
                "PermitRootLogin",
                "AuthenticationMethods",
                "UsePAM",
            )
        )
        return one_line(f"{self.version}, {len(self.connections)} connections: {shown}", 300)


@dataclass(frozen=True, slots=True)
class _Line:
    path: str
    number: int
    in_match: bool
    option: str
    value: str

    def __str__(self) -> str:
        return f"{one_line(self.path, 120)}:{self.number}"


def parse_sshd(text: str) -> Sshd:
    """Parse what the section ``sshd`` prints.

    Raises:
        NotObservedError: sshd evaluated no connection; the reason is its own.

    Source: sshd(8), ``-T``, ``-G`` and ``-C``. Read with OpenSSH 8.4p1, 9.2p1, 10.0p2 and 10.6p1.
    """
    found = _by_kind(text)
    connections, errors = _connections(found["C"])
    files = tuple(f for head, body in found["F"] for f in _file(head, body))
    accounts = tuple(a for head, _ in found["U"] for a in _account(head))
    refusal = None if connections else _refusal(errors, files)
    if not connections and refusal is None:
        raise NotObservedError(errors[0] if errors else "sshd evaluated no connection")
    gaps = [one_line(head) for head, _ in found["X"]]
    if len(files) < len(found["F"]) or len(accounts) < len(found["U"]):
        gaps.append("a file of the configuration, or an account, came garbled")
    gaps += [f"{part} could not be read to its end" for part in not_whole(text)]
    if refusal is not None:
        gaps.insert(0, f"sshd refuses its configuration: {refusal}")
    gaps = [*dict.fromkeys([*gaps, *errors, *_not_asked_for(files, connections)])]
    if not files:
        gaps.append("no file of the configuration could be read, so Match lines are not known")
    if not any(a.uid == 0 for a in accounts):
        gaps.append("the accounts of the host could not be read")
    return Sshd(
        running=True,
        version=_first(found["V"]).partition(",")[0],
        arguments=_first(found["A"]),
        processes=tuple(head for head, _ in found["P"]),
        account_sources=_sources(_first(found["N"]).split()[1:], found["P"]),
        files=files,
        accounts=accounts,
        connections=connections,
        gaps=tuple(gaps),
        refusal=refusal,
    )


def processes_in(text: str) -> tuple[str, ...]:
    """Return the names of the processes that may serve SSH, from the section ``sshd``."""
    return tuple(head for head, _ in _by_kind(text)["P"])


def _by_kind(text: str) -> dict[str, list[tuple[str, list[str]]]]:
    """Sort the lines by their letter, each with the lines that follow it."""
    found: dict[str, list[tuple[str, list[str]]]] = {kind: [] for kind in "PVNAFUCX"}
    body: list[str] = []
    for line in text.split("\n"):
        kind, _, rest = line.partition(" ")
        if kind in found:
            body = []
            found[kind].append((rest, body))
        else:
            body.append(line)
    return found


def _sources(named: Iterable[str], processes: Iterable[tuple[str, list[str]]]) -> tuple[str, ...]:
    """Return the sources of accounts; that of SSSD, which many hosts name, only where it runs."""
    runs = any(name == "sssd" for name, _ in processes)
    return tuple(source for source in named if source != "sss" or runs)


def _first(found: Sequence[tuple[str, list[str]]]) -> str:
    return found[0][0].strip() if found else ""


def _connections(
    found: Iterable[tuple[str, list[str]]],
) -> tuple[tuple[Connection, ...], list[str]]:
    connections: list[Connection] = []
    errors: list[str] = []
    for head, body in found:
        parts = head.split(" ", 4)
        if len(parts) < 5:
            errors.append("the host's answer names an incomplete connection")
            continue
        same = body[:1] == ["S"] and connections
        options = connections[0].options if same else _options(body)
        address, host, local_address, local_port, user = parts
        made = Connection(user, address, host, local_address, local_port, options)
        if options:
            connections.append(made)
        else:
            said = next((line[2:] for line in body if line.startswith("E ")), "no answer")
            errors.append(one_line(f"sshd -T for {made}: {said}", 300))
    return tuple(connections), errors


def _refusal(errors: Iterable[str], files: Sequence[ConfigFile]) -> Refusal | None:
    """Return the first line that sshd refuses; None: it does not answer for another reason."""
    for error in errors:
        for path, number, reason in _REFUSED.findall(error):
            if not _NO_ERROR.match(reason):
                lines = {(f.path, n): text for f in files for n, text in f.lines}
                line = lines.get((path, int(number)), "")
                return Refusal(one_line(path, 120), int(number), one_line(reason), _meant(line))
    return None


def _meant(line: str) -> str:
    """Return a line with the option that was meant: a blank within it, or another letter."""
    said = words(line)
    for count in (2, 1):
        name = "".join(said[:count]).lower()
        close = get_close_matches(name, _OPTIONS, n=1, cutoff=1 if count == 2 else 0.85)
        if close and len(said) > count and name != (close[0] if count == 1 else ""):
            return one_line(" ".join([_OPTIONS[close[0]], *said[count:]]), 80)
    return ""


def _criteria(files: Sequence[ConfigFile]) -> Iterator[Criterion]:
    """Yield what the Match lines of all files ask for."""
    for file in files:
        for number, text in file.lines:
            yield from criteria_in(text, f"{one_line(file.path, 120)}:{number}")


def _not_asked_for(
    files: Sequence[ConfigFile], connections: Sequence[Connection]
) -> Iterator[str]:
    """Yield what Match lines tell apart and no connection was asked for."""
    if connections:
        yield from not_asked_for(
            _criteria(files),
            users={c.user for c in connections},
            addresses={c.address for c in connections},
            hosts={c.host for c in connections},
            ports={c.local_port for c in connections},
            looks_up=connections[0].options.get("usedns") != ("no",),
        )


def _options(body: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for line in body:
        name, blank, value = line.partition(" ")
        if blank and re.fullmatch(r"[a-z0-9]{2,60}", name):
            found.setdefault(name, []).append(value.strip())
    return {name: tuple(values) for name, values in found.items()}


def _file(head: str, body: Iterable[str]) -> Iterator[ConfigFile]:
    found = re.fullmatch(r"([0-7]{1,5}) (\d{1,10}) (\d{1,11}) (.+)", head)
    if found is None:
        return
    lines = []
    for line in body:
        numbered = re.fullmatch(r"\| (\d{1,7}) (.*)", line)
        if numbered is not None:
            lines.append((int(numbered[1]), numbered[2]))
    changed_at = datetime.fromtimestamp(int(found[3]), UTC)
    yield ConfigFile(found[4], found[1], int(found[2]), changed_at, tuple(lines))


def _account(head: str) -> Iterator[SshAccount]:
    parts = head.split(":")
    if len(parts) < 7 or not parts[1].isdecimal() or len(parts[1]) > 10:
        return
    name, uid, password, keys, expires, shell, groups = parts[:7]
    days = int(expires) if expires.isdecimal() and len(expires) < 8 else None
    members = tuple(groups.strip().split(",")) if groups.strip() else None
    yield SshAccount(name, int(uid), password, keys == "keys", shell, days, members)


def _in_order(files: Sequence[ConfigFile]) -> Iterator[_Line]:
    """Yield the lines in the order in which sshd reads them, Include lines resolved.

    A file that is included again says nothing new, as the first value decides. Files that
    include each other, or more than any real host does, come to an end all the same.
    """
    if files:
        others = sorted(files[1:], key=lambda f: f.path)
        yield from _lines_of(files[0], others, iter(range(_INCLUDES)), in_match=False)


def _lines_of(
    file: ConfigFile, others: list[ConfigFile], left: Iterator[int], *, in_match: bool
) -> Iterator[_Line]:
    for number, text in file.lines:
        said = words(text) or [""]
        option, value = said[0].lower(), " ".join(said[1:])
        if option == "match":
            in_match = True
        elif option == "include":
            for pattern, _ in zip(said[1:], left, strict=False):
                wanted = pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
                included = [other for other in others if fnmatchcase(other.path, wanted)]
                names = {other.path for other in included}
                others[:] = [other for other in others if other.path not in names]
                for other in included:
                    yield from _lines_of(other, others, left, in_match=in_match)
        else:
            yield _Line(file.path, number, in_match, _SAME_OPTION.get(option, option), value)


def _plain(value: str) -> str:
    first = value.lower().partition(" ")[0].partition("#")[0].strip()
    return _SAME_VALUE.get(first, first)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _count(found: Iterable[Connection], user: str) -> int:
    return sum(c.user == user for c in found)
