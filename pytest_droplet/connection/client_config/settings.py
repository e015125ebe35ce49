"""What the ssh config says of one host: read once from its files, evaluated for each host.

The evaluation is our own. ``ssh -G`` cannot be asked: it knows one name for a host, where a
Droplet has two (its name and the address that the API gives), it is a process for each host, and
the client may not be installed. asyncssh's reader knows one name as well, and refuses whole files
for a comment behind a value, for ``1m`` or for a keyword that nobody needs.

Source: ssh_config(5); ``main`` of OpenSSH's ssh.c for the order of things.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from pytest_droplet.connection.client_config.conditions import HostBlock, MatchBlock, View
from pytest_droplet.connection.client_config.files import Line, SshConfigError
from pytest_droplet.connection.client_config.keywords import Hop, Setting, read_setting
from pytest_droplet.connection.client_config.tokens import (
    TokenError,
    expand,
    expand_variables,
    hash_of_connection,
    of_this_machine,
)

_EXEC_LIMIT_S = 60
_PLAIN = re.compile(r"(?!-)[\w.:@%\[\]-]+")
_DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class Settings:
    """What the config says of one host, tokens replaced.

    A value that is None, empty or False was not said, but for ``identity_files``: None are the
    default ones, empty is none at all.

    Attributes:
        host: Where to connect: ``HostName``, or the address of the Droplet.
        jump: Hosts of ``ProxyJump``, nearest first, each as ``user@host:port``.
        known_hosts: Files of ``UserKnownHostsFile``; None: the default ones.
        system_known_hosts: The same of ``GlobalKnownHostsFile``.
        other: The other keywords that are followed, by their names in ssh_config(5).
    """

    host: str
    port: int
    user: str
    alias: str | None
    jump: tuple[str, ...]
    proxy_command: str | None
    identity_files: tuple[str, ...] | None
    certificate_files: tuple[str, ...]
    identity_agent: str | None
    known_hosts: tuple[str, ...] | None
    system_known_hosts: tuple[str, ...] | None
    other: tuple[tuple[str, Any], ...] = ()

    def get(self, keyword: str, default: Any = None) -> Any:
        """Return the value of another keyword."""
        return next((value for name, value in self.other if name == keyword), default)


_OWN_FIELDS = {
    *("HostName", "Port", "User", "HostKeyAlias", "ProxyJump", "ProxyCommand", "IdentityFile"),
    *("CertificateFile", "IdentityAgent", "UserKnownHostsFile", "GlobalKnownHostsFile", "Tag"),
}
_PATHS = {"RevokedHostKeys"}
"""Of the other keywords those that are paths, with tokens."""


@dataclass(frozen=True, slots=True)
class _Include:
    """The blocks of the files that one ``Include`` names."""

    files: tuple[tuple[_Block, ...], ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines up to the next ``Host`` or ``Match``.

    Attributes:
        condition: None: the lines before the first block, which are for whom the file is for.
    """

    condition: HostBlock | MatchBlock | None
    body: list[Setting | _Include] = field(default_factory=list)


class Evaluator:
    """Says what config files say of a host.

    Args:
        files: The lines of each file, in the order in which they are read.

    Attributes:
        slow: Whether an evaluation may run a command or ask for a name.
    """

    def __init__(self, files: Sequence[tuple[Line, ...]]) -> None:
        self._files = tuple(_blocks(lines) for lines in files)
        self._commands = Commands()
        every = [block.condition for file in self._files for block in _all_blocks(file)]
        matches = [c for c in every if isinstance(c, MatchBlock)]
        self._wants_final = any(c.wants_final for c in matches)
        self.slow = any(c.slow for c in matches) or any(
            item.keyword == "CanonicalDomains"
            for file in self._files
            for block in _all_blocks(file)
            for item in block.body
            if isinstance(item, Setting)
        )

    def evaluate(
        self,
        name: str,
        address: str,
        *,
        user: str | None = None,
        port: int | None = None,
        default_user: str,
    ) -> Settings:
        """Return what the files say of a host.

        A block is for the host if it is for its name or for its address. Of each keyword the
        first value counts.

        Args:
            name: The Droplet's name, as it would be typed behind ``ssh``.
            address: Where the name leads without a ``HostName``.
            user: As ``ssh -l``: wins over ``User``.
            port: As ``ssh -p``.
            default_user: Who logs in where neither says who.

        Raises:
            SshConfigError: A line that is for this host means nothing, or cannot be followed.
        """
        state = _State(name, address, default_user, self._commands)
        if user is not None:
            state.found["User"] = (user, state.views()[0])
        if port is not None:
            state.found["Port"] = (port, state.views()[0])
        for file in self._files:
            _read(file, state, state.views()[0])
        if self._wants_final or state.canonical_names():
            state.begin_again()
            for file in self._files:
                _read(file, state, state.views()[0])
        return _settings(state)


class Commands:
    """Commands of ``Match exec``: each is run once, whoever asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: dict[str, Future[bool]] = {}

    def succeed(self, command: str) -> bool:
        """Run a command by the user's shell, as ssh does; tell whether its status is 0.

        Raises:
            OSError: There is no shell, or it did not end in time.
        """
        with self._lock:
            known = self._done.get(command)
            mine = self._done[command] = known or Future()
        if known is None:
            try:
                mine.set_result(_succeeds(command))
            except OSError as exc:
                mine.set_exception(exc)
        return mine.result()


class _State:
    """What was found of a host so far."""

    def __init__(self, name: str, address: str, default_user: str, commands: Commands) -> None:
        self.final = False
        self._name = name
        self._address = address
        self._default_user = default_user
        self._commands = commands
        self._canonical = ""
        self._views: tuple[View, ...] = ()
        self._typed: tuple[tuple[str, View], ...] = ()
        self.found: dict[str, tuple[Any, View]] = {}
        self._set_views()

    def views(self) -> Sequence[View]:
        return self._views

    def typed(self) -> Sequence[tuple[str, View]]:
        return self._typed

    def user(self) -> str:
        return self.value("User") or self._default_user

    def tag(self) -> str:
        return self.value("Tag") or ""

    def value(self, keyword: str, default: Any = None) -> Any:
        found = self.found.get(keyword)
        return default if found is None else found[0]

    def succeeds(self, command: str, view: View) -> bool:
        try:
            return self._commands.succeed(_for_shell("Match exec", command, self, view))
        except OSError as exc:
            raise SshConfigError(f"ssh config: Match exec {command}: {exc}") from None

    def add(self, setting: Setting, view: View) -> None:
        """Take the value of a line that is for the host, unless there was one before."""
        keyword = setting.keyword
        known = self.found.get(keyword)
        if (known is not None and not setting.adds_up) or self._is_decided(keyword):
            return
        if setting.error:
            raise SshConfigError(f"ssh config: {setting.where}: {keyword}: {setting.error}")
        if setting.adds_up:
            self.found[keyword] = ((*(known[0] if known else ()), (setting.value, view)), view)
            return
        self.found[keyword] = (setting.value, view)
        if keyword == "HostName":
            self._set_views()

    def _is_decided(self, keyword: str) -> bool:
        """Tell whether another keyword, or the first reading, leaves this one no effect.

        ``ProxyCommand`` and ``ProxyJump`` exclude each other, even as ``none``; but for
        ``ProxyJump none``, after which a command counts.
        """
        match keyword:
            case "HostName":
                return self.final
            case "ProxyJump":
                return "ProxyCommand" in self.found
            case "ProxyCommand":
                return bool(self.value("ProxyJump"))
        return False

    def host(self) -> str:
        """Return where to connect: ``HostName``, unless it only says the Droplet's name again."""
        found = self.found.get("HostName")
        if found is None:
            return self._address
        text, view = found
        host = _expanded("HostName", text, {"h": view.original})
        if host == self._name:
            return self._address
        return host if _is_address(host) else host.lower()

    def tokens(self, view: View) -> Mapping[str, str]:
        """Return what tokens stand for in a line that is for this name of the host."""
        host, port, user = self.host(), self.value("Port", _DEFAULT_PORT), self.user()
        jump = self.value("ProxyJump") or ()
        nearest = jump[-1].host if jump else ""
        return {
            **of_this_machine(),
            "C": hash_of_connection(host, port, user, nearest),
            "h": host,
            "j": nearest,
            "k": self.value("HostKeyAlias") or view.original,
            "n": view.original,
            "p": str(port),
            "r": user,
        }

    def begin_again(self) -> None:
        """Read for the second time: ``Host`` is asked about where the first time led."""
        self.final = True
        if self.canonical_names():
            self._canonical = _canonical(self)
        if self._canonical and "HostName" in self.found:
            self.found["HostName"] = (self._canonical.replace("%", "%%"), self._views[0])
        self._set_views()

    def canonical_names(self) -> bool:
        """Tell whether ``CanonicalizeHostname`` is on."""
        return self.value("CanonicalizeHostname", "no").lower() not in {"no", "false"}

    def _set_views(self) -> None:
        """Note the pairs of what would be typed and what it leads to."""
        name, address = self._name, self._address
        if "HostName" in self.found:
            host = self.host()
            pairs = [(name, host), (address, host)]
        else:
            pairs = [(name, self._canonical or name), (name, address), (address, address)]
        self._views = tuple(View(*pair) for pair in dict.fromkeys(pairs))
        asked = {(v.host if self.final else v.original): v for v in reversed(self._views)}
        self._typed = tuple(reversed(asked.items()))


def _blocks(lines: Sequence[Line]) -> tuple[_Block, ...]:
    found = [_Block(None)]
    for line in lines:
        if line.keyword == "host":
            found.append(_Block(HostBlock(line)))
        elif line.keyword == "match":
            found.append(_Block(MatchBlock(line)))
        elif line.keyword == "include":
            found[-1].body.append(_Include(tuple(_blocks(file) for file in line.included)))
        elif (setting := read_setting(line)) is not None:
            found[-1].body.append(setting)
    return tuple(found)


def _all_blocks(blocks: Sequence[_Block]) -> Iterator[_Block]:
    for block in blocks:
        yield block
        for item in block.body:
            if isinstance(item, _Include):
                for file in item.files:
                    yield from _all_blocks(file)


def _read(blocks: Sequence[_Block], state: _State, outer: View) -> None:
    """Take what the blocks of a file say that are for the host.

    Args:
        blocks: Of the file.
        state: What is known of the host; it is added to.
        outer: The name that the lines before the first block are for.
    """
    for block in blocks:
        view = outer if block.condition is None else block.condition.match(state)
        if view is None:
            continue
        for item in block.body:
            if isinstance(item, Setting):
                state.add(item, view)
            else:
                for file in item.files:
                    _read(file, state, view)


def _canonical(state: _State) -> str:
    """Return the name that ``CanonicalDomains`` completes a host's name to; empty: it stays.

    Raises:
        SshConfigError: What the name is an alias of would matter, which is not looked up.
    """
    name = state.host() if "HostName" in state.found else state.views()[0].original
    always = state.value("CanonicalizeHostname").lower() == "always"
    command = state.value("ProxyCommand", "none")
    if (command.lower() != "none" or state.value("ProxyJump")) and not always:
        return ""
    if _is_address(name):
        return ""
    aliases = state.value("CanonicalizePermittedCNAMEs", ("none",))
    if aliases[0].lower() != "none":
        raise SshConfigError(
            "ssh config: CanonicalizePermittedCNAMEs is not followed; name the host by HostName"
        )
    if name.endswith(".") or name.count(".") > state.value("CanonicalizeMaxDots", 1):
        return ""
    domains = state.value("CanonicalDomains", ())
    return next((f"{name}.{d}" for d in domains if _resolves(f"{name}.{d}")), "")


def _resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except (OSError, UnicodeError):
        return False


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _settings(state: _State) -> Settings:
    value = state.value
    known_hosts = _files(state, "UserKnownHostsFile")
    identity_files = _paths(state, "IdentityFile")
    return Settings(
        host=state.host(),
        port=value("Port", _DEFAULT_PORT),
        user=_user(state.user()),
        alias=value("HostKeyAlias"),
        jump=_jump(state),
        proxy_command=_proxy_command(state),
        identity_files=identity_files if "IdentityFile" in state.found else None,
        certificate_files=_paths(state, "CertificateFile"),
        identity_agent=_expanded_setting(state, "IdentityAgent"),
        known_hosts=known_hosts,
        system_known_hosts=_files(state, "GlobalKnownHostsFile"),
        other=tuple(
            (keyword, _expanded_setting(state, keyword) if keyword in _PATHS else found[0])
            for keyword, found in sorted(state.found.items())
            if keyword not in _OWN_FIELDS
        ),
    )


def _user(user: str) -> str:
    """Return ``User``; what older clients take literally and newer ones expand is refused."""
    if "%" in user or "${" in user:
        raise SshConfigError(
            f"ssh config: User {user}: tokens in it are not followed; write the name"
        )
    return user


def _jump(state: _State) -> tuple[str, ...]:
    hops: tuple[Hop, ...] = state.value("ProxyJump") or ()
    if any("%" in hop.host for hop in hops):
        tokens = state.tokens(state.found["ProxyJump"][1])
        hops = tuple(replace(h, host=_expanded("ProxyJump", h.host, tokens)) for h in hops)
    return tuple(str(hop) for hop in hops)


def _proxy_command(state: _State) -> str | None:
    command = state.value("ProxyCommand")
    if command is None or command.lower() == "none":
        return None
    return _for_shell("ProxyCommand", command, state, state.found["ProxyCommand"][1])


def _for_shell(keyword: str, command: str, state: _State, view: View) -> str:
    """Expand a command of the user's shell; no name of the API may be more than a word of it."""
    if "%" not in command:
        return command
    tokens = state.tokens(view)
    for letter in ("h", "k", "n"):
        if f"%{letter}" in command and not _PLAIN.fullmatch(tokens[letter]):
            raise SshConfigError(
                f"ssh config: {keyword} {command}: {tokens[letter]!r} is not fit for a command"
            )
    return _expanded(keyword, command, tokens)


def _paths(state: _State, keyword: str) -> tuple[str, ...]:
    """Return the values of a keyword whose lines add up, without ``none``, each once."""
    found = state.value(keyword, ())
    texts = (_expanded_path(state, keyword, text, view) for text, view in found)
    return tuple(dict.fromkeys(text for text in texts if text.lower() != "none"))


def _files(state: _State, keyword: str) -> tuple[str, ...] | None:
    found = state.found.get(keyword)
    if found is None:
        return None
    words, view = found
    if words[0].lower() == "none":
        return ()
    return tuple(_expanded_path(state, keyword, word, view) for word in words)


def _expanded_setting(state: _State, keyword: str) -> str | None:
    found = state.found.get(keyword)
    return None if found is None else _expanded_path(state, keyword, *found)


def _expanded_path(state: _State, keyword: str, text: str, view: View) -> str:
    if "%" in text:
        text = _expanded(keyword, text, state.tokens(view))
    try:
        return expand_variables(text)
    except TokenError as exc:
        raise SshConfigError(f"ssh config: {keyword} {text}: {exc}") from None


def _expanded(keyword: str, text: str, tokens: Mapping[str, str]) -> str:
    try:
        return expand(text, tokens)
    except TokenError as exc:
        raise SshConfigError(f"ssh config: {keyword} {text}: {exc}") from None


def _succeeds(command: str) -> bool:
    shell = os.environ.get("SHELL") or "/bin/sh"
    try:
        done = subprocess.run(  # noqa: S603 the user's own file names it
            [shell, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith("DIGITALOCEAN_")},
            check=False,
            timeout=_EXEC_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"it did not end within {_EXEC_LIMIT_S} s") from None
    return done.returncode == 0
