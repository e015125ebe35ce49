"""What apt is told to prefer and to leave alone: pins, target release, places of its files.

"Nothing to upgrade" is what apt says under the host's own configuration. What of it can hide a
security update is read here; how far a pin reaches is not worked out but asked: ``apt-cache
policy`` prints the priority of every index.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_droplet.facts import Observation
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.facts.patches.deb822 import stanzas
from pytest_droplet.masks import addresses
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.text import one_line

APT_POLICY = Section.of_files(
    "facts/patches/apt_read_only.inner.sh",
    "facts/patches/apt_pins.sh",
    "facts/patches/apt_policy.sh",
    address_space_mb=1024,
    mask=addresses,
)

_PLACES = {
    "lists": "/var/lib/apt/lists",
    "status": "/var/lib/dpkg/status",
    "list": "/etc/apt/sources.list",
    "parts": "/etc/apt/sources.list.d",
}
_INSECURE = re.compile(
    r"Acquire::Allow(Insecure|Weak|DowngradeToInsecure)Repositories", re.IGNORECASE
)
_USUAL = {
    "APT::Solver": frozenset({"internal", "3.0"}),
    "Acquire::IndexTargets::deb::Packages::MetaKey": frozenset(
        {"$(COMPONENT)/binary-$(ARCHITECTURE)/Packages"}
    ),
    "Acquire::IndexTargets::deb::Packages::flatMetaKey": frozenset({"Packages"}),
    "Acquire::IndexTargets::deb::Packages::DefaultEnabled": frozenset(
        {"yes", "true", "with", "on", "enable", "1", ""}
    ),
}
"""Settings with the values that change nothing: those of apt, and what asks for the same."""

_NAMES = {name.lower(): name for name in ("APT::Architecture", "APT::Default-Release", *_USUAL)}
"""The names of settings as they are written here; apt does not tell capital letters apart."""

_FALSE = frozenset({"no", "false", "without", "off", "disable", "0", ""})
_SETTING = re.compile(r'(\S+) "(.*)";')
_PLACE = re.compile(r"(lists|status|list|parts|pins)='(.*)'")
_ROW = re.compile(r" *(-?\d{1,9}) \S+.*")
_CONDITION = re.compile(r"(?:^|,)\s*([A-Za-z])=")
_GLOB = re.compile(r"[*?\[]")
_ODD_GLOB = re.compile(r"[\[\\]")
_PREFERENCES = re.compile(r"[A-Za-z0-9_:-]+|[A-Za-z0-9_.:-]+\.pref")
_KINDS = frozenset({"release", "origin", "version"})
_WORDS = {"never": -32768}
_STATUS_PRIORITY = 100
_MANY, _MANY_INDEXES = 50, 300


@dataclass(frozen=True, slots=True)
class Pin:
    """One stanza of apt_preferences(5); ``priority`` is None where it is not a number."""

    file: str
    packages: tuple[str, ...]
    kind: str
    argument: str
    priority: int | None

    def __str__(self) -> str:
        how = f"{self.kind} {self.argument}".strip()
        return one_line(f"{self.file}: the pin of {' '.join(self.packages)} ({how})")

    @property
    def general(self) -> bool:
        """Whether it sets the priority of whole indexes, which ``apt-cache policy`` prints."""
        return self.packages == ("*",)

    def concerns(self, installed: Collection[tuple[str, str]]) -> bool | None:
        """Whether it names an installed package (name, source); None: a pattern is not understood.

        Regular expressions are not: one that a host wrote could take for ever.
        """
        names = {name for name, _ in installed}, {source for _, source in installed}
        answers = [_names(pattern, *names) for pattern in self.packages]
        if True in answers:
            return True
        return None if None in answers else False


@dataclass(frozen=True, slots=True)
class IndexPriority:
    """What apt makes of one index: its priority, and the fields of its Release file.

    ``release`` has them by the letters of ``Pin: release``: o, l, a, n, v, c, b; ``site`` is the
    host that it is from.
    """

    priority: int
    release: Mapping[str, str]
    site: str = ""


@dataclass(frozen=True, slots=True)
class AptPolicy:
    """What decides which version apt prefers.

    ``settings`` are those that differ from what this program expects, in words: with one of them
    apt's answer is about something else. ``architecture`` is that of the packages, ``target`` is ``APT::Default-Release``, empty where
    unset. ``indexes`` is empty where nothing is pinned: all of them have their usual priority.
    """

    settings: tuple[str, ...] = ()
    architecture: str = ""
    target: str = ""
    files: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    indexes: tuple[IndexPriority, ...] = ()
    installed: tuple[tuple[str, str], ...] = ()

    @property
    def restricted(self) -> bool:
        """Whether anything at all tells apt to prefer one version to a newer one."""
        return bool(self.files or self.target)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why apt's answer may be about something else than is thought: settings and odd pins."""
        odd = [p for p in self.pins if p.kind not in _KINDS or p.priority is None]
        return (*self.settings, *(f"{p} is not understood" for p in odd))

    @property
    def targets(self) -> tuple[str, ...]:
        """The setting of a target release, as it is written; empty where there is none."""
        return (f'APT::Default-Release "{self.target}"',) if self.target else ()

    @property
    def told_by(self) -> str:
        """What tells it so: the files of pins and the setting, empty where nothing does."""
        return ", ".join([*self.files, *self.targets])


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether apt takes security updates from where they are published.

    ``faults`` say from which source and why not; ``doubts`` why it cannot be told.
    """

    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def apt_policy(observation: Observation) -> AptPolicy:
    """Return what apt is told to prefer.

    Raises:
        NotObservedError: A file of pins, or what apt makes of it, could not be read.
    """
    return observation.parsed(APT_POLICY.name, _policy)


def _policy(output: SectionOutput) -> AptPolicy:
    try:
        return parse_policy(whole(output).stdout)
    except NotObservedError as error:
        files = [f for f in _pin_files(output.stdout) if f not in str(error)]
        told = f"; pins are in {', '.join(files)}" if files else ""
        raise NotObservedError(one_line(f"{error}{told}")) from error


def pin_files(observation: Observation) -> list[str]:
    """Return the files of pins that are named, whatever else could be read; none where unread."""
    output = observation.host.sections.get(APT_POLICY.name)
    return _pin_files(output.stdout) if output else []


def parse_policy(text: str) -> AptPolicy:
    """Parse the parts ``== settings``, ``== pins PATH``, ``== policy``, ``== installed``.

    Raises:
        NotObservedError: A part is missing, or ``apt-cache policy`` is not as expected.
    """
    parts = dict(_parts(text))
    if "settings" not in parts or "end" not in parts:
        raise NotObservedError("the settings of apt were not printed to their end")
    settings = dict(_settings(parts["settings"]))
    left_out = _left_out(parts["settings"], settings.get("dpkg", ""))
    files = tuple(_pin_files(text))
    pins = tuple(pin for f in files for pin in parse_pins(f, parts[f"pins {f}"]))
    target = settings.get("APT::Default-Release", "")
    if (files or target) and "policy" not in parts:
        raise NotObservedError("apt-cache policy was not asked")
    if any(not pin.general for pin in pins) and "installed" not in parts:
        raise NotObservedError("the installed packages were not listed")
    return AptPolicy(
        settings=(*_unexpected(settings), *left_out),
        architecture=settings.get("APT::Architecture", ""),
        target=target,
        files=files,
        pins=pins,
        indexes=tuple(_priorities(parts.get("policy", []))),
        installed=tuple(
            (words[0], words[1])
            for line in parts.get("installed", [])
            if len(words := line.split()) == 2
        ),
    )


def parse_pins(file: str, lines: Iterable[str]) -> Iterator[Pin]:
    """Yield the stanzas of a file of preferences; each line has a ``|`` before it.

    Stanzas without a package are explanations.
    """
    written = (line[1:] for line in lines if line.startswith("|"))
    for fields in stanzas(written):
        if "package" in fields:
            yield _pin(file, fields)


def reach_of(
    policy: AptPolicy, security: Collection[Mapping[str, str]], base: Collection[str]
) -> Reach:
    """Return whether apt takes updates from the security source.

    An update is taken from where its version has the highest priority. Installed packages have
    100, or the priority of the index that has the installed version: in general the release's.
    So the security source is out of reach below 100, and below the release.

    Args:
        policy: What apt is told.
        security: The fields o, l, a, n of the fetched indexes of security sources.
        base: The codenames of the release and its other updates.
    """
    doubts = list(policy.doubts)
    if not policy.restricted or not security:
        return Reach(doubts=tuple(doubts))
    of_security = [i for i in policy.indexes if any(_has(i, fields) for fields in security)]
    origins = {fields["o"] for fields in security}
    of_base = [
        i
        for i in policy.indexes
        if i not in of_security
        and i.release.get("o") in origins
        and i.release.get("n") in base
        and not i.release.get("a", "").endswith(("-backports", "-proposed"))
    ]
    if not of_security:
        doubts.append(f"apt-cache policy names no security source; pins: {policy.told_by}")
        return Reach(doubts=tuple(doubts))
    release = max((i.priority for i in of_base), default=0)
    low = min(of_security, key=lambda i: i.priority)
    faults = [_fault(policy, low, release)] if _too_low(low.priority, release) else []
    for pin, certain in _narrow(policy, of_security, of_base, release):
        if certain:
            faults.append(f"{pin} keeps security updates of installed packages away")
        else:
            doubts.append(f"{pin} may keep security updates of installed packages away")
    return Reach(tuple(map(one_line, faults)), tuple(map(one_line, doubts)))


def _fault(policy: AptPolicy, security: IndexPriority, release: int) -> str:
    """Say that the whole source is out of reach, and what tells apt so."""
    name = security.release.get("a") or security.release.get("n")
    above = f", the release has {release}" if release >= _STATUS_PRIORITY else ""
    files = sorted({pin.file for pin in policy.pins if pin.general})
    by = ", ".join([*files, *policy.targets])
    return f"apt takes no update from {name}: its priority is {security.priority}{above}; see {by}"


def _narrow(
    policy: AptPolicy,
    of_security: Sequence[IndexPriority],
    of_base: Sequence[IndexPriority],
    release: int,
) -> Iterator[tuple[Pin, bool]]:
    """Yield pins of single packages that keep, or may keep (False), security updates away.

    A pin of a version is none of them: it holds what is installed, as apt-mark does, and an
    update that it keeps away is seen when there is one.
    """
    narrow = [pin for pin in policy.pins if not pin.general and pin.kind != "version"]
    globs = sum(_GLOB.search(word) is not None for pin in narrow for word in pin.packages)
    if narrow and (max(len(narrow), globs) > _MANY or len(policy.indexes) > _MANY_INDEXES):
        yield narrow[0], False
        return
    concerned = {pin: pin.concerns(policy.installed) for pin in narrow}
    about = [
        (pin, pin.priority)
        for pin in narrow
        if concerned[pin] is not False and pin.priority is not None
    ]
    for pin, priority in about:
        on_security = [_applies(pin, index) for index in of_security]
        on_base = [_applies(pin, index) for index in of_base]
        if None in (*on_security, *on_base):
            yield pin, False
            continue
        security = [
            priority if applies else i.priority
            for i, applies in zip(of_security, on_security, strict=True)
        ]
        above = priority if any(on_base) else release
        if any((*on_security, *on_base)) and _too_low(min(security), above):
            yield pin, len(about) == 1 and concerned[pin] is True


def _too_low(security: int, release: int) -> bool:
    return security < _STATUS_PRIORITY or security < release


def _has(index: IndexPriority, fields: Mapping[str, str]) -> bool:
    return all(index.release.get(letter, "") == value for letter, value in fields.items())


def _names(pattern: str, packages: Collection[str], sources: Collection[str]) -> bool | None:
    """Whether a word of ``Package:`` names one of the packages; None: not understood."""
    known = sources if pattern.startswith("src:") else packages
    pattern = pattern.removeprefix("src:")
    if pattern.startswith(("/", "?")) or _ODD_GLOB.search(pattern):
        return None
    pattern = pattern.partition(":")[0]
    if not _GLOB.search(pattern):
        return pattern in known
    return any(fnmatchcase(name, pattern) for name in known)


def _applies(pin: Pin, index: IndexPriority) -> bool | None:
    """Whether a pin is about what an index has; None: not understood."""
    if pin.kind == "origin":
        return _like(pin.argument.strip('"'), index.site)
    if pin.kind != "release":
        return None
    starts = list(_CONDITION.finditer(pin.argument))
    if not starts or starts[0].start() != 0:
        return None
    ends = [*(s.start() for s in starts[1:]), len(pin.argument)]
    answers = []
    for start, end in zip(starts, ends, strict=True):
        letter = start[1].lower()
        if letter not in index.release:
            return None
        wanted = pin.argument[start.end() : end].strip()
        answers.append(_like(wanted, index.release[letter]))
    if False in answers:
        return False
    return None if None in answers else True


def _like(pattern: str, text: str) -> bool | None:
    """Whether text is like a glob; None: a regular expression, or what C reads differently."""
    if pattern.startswith("/") or _ODD_GLOB.search(pattern):
        return None
    return fnmatchcase(text.lower(), pattern.lower())


def _parts(text: str) -> Iterator[tuple[str, list[str]]]:
    name, lines = "", list[str]()
    for line in (*text.split("\n"), "== "):
        if line.startswith("== "):
            yield name, lines
            name, lines = line[3:].strip(), []
        else:
            lines.append(line)


def _pin_files(text: str) -> list[str]:
    """Return the files of pins that apt reads: in the folder, without extension or ``.pref``."""
    parts = list(_parts(text))
    settings = dict(
        _settings(line for name, lines in parts if name == "settings" for line in lines)
    )
    files = [name[5:] for name, _ in parts if name.startswith("pins ")]
    alone = settings.get("pins")
    return [f for f in files if f == alone or _PREFERENCES.fullmatch(f.rpartition("/")[2])]


def _settings(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if found := _SETTING.fullmatch(line.strip()) or _PLACE.fullmatch(line.strip()):
            yield _NAMES.get(found[1].lower(), found[1]), found[2]
        elif line.startswith("dpkg "):
            yield "dpkg", line[5:].strip()


def _unexpected(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield what makes apt speak of other files, other packages or indexes of anybody."""
    for name, usual in _PLACES.items():
        place = settings.get(name, "nowhere")
        if place.rstrip("/") != usual:
            yield f"apt is told to use {place} in place of {usual}; see apt-config dump"
    if settings.get("APT::Architecture") != settings.get("dpkg", ""):
        told = settings.get("APT::Architecture")
        yield f'APT::Architecture is "{told}", and dpkg\'s is {settings.get("dpkg")}'
    for name, value in settings.items():
        if _INSECURE.fullmatch(name) and value.lower() not in _FALSE:
            yield f'{name} is "{value}": apt takes indexes that nobody signed'
        if name in _USUAL and value not in _USUAL[name]:
            yield f'{name} is "{value}": what apt makes of its indexes is not known then'
        if name.lower().startswith("binary::"):
            yield f'{name} is "{value}": it holds for one program alone'


def _left_out(lines: Iterable[str], architecture: str) -> tuple[str, ...]:
    """Return which architectures of dpkg's packages apt is told to leave out."""
    known = tuple(lines)
    pairs = [found.groups() for line in known if (found := _SETTING.fullmatch(line.strip()))]
    asked = {
        each
        for name, value in pairs
        if name.lower().rstrip(":") == "apt::architectures"
        for each in value.split(",")
        if each
    }
    foreign = [line.split()[1] for line in known if line.startswith("foreign ")]
    missing = [each for each in foreign if asked and each not in {*asked, architecture}]
    return tuple(f"APT::Architectures leaves out {each}, which dpkg has" for each in missing)


def _priorities(lines: Iterable[str]) -> Iterator[IndexPriority]:
    """Yield what ``apt-cache policy`` prints of each index: priority, release line, origin line."""
    priority: int | None = None
    release: dict[str, str] = {}
    site = ""
    for line in (*lines, " 0 end"):
        word, _, rest = line.strip().partition(" ")
        if word == "release" and priority is not None:
            release = dict(pair.split("=", 1) for pair in rest.split(",") if "=" in pair)
        elif word == "origin" and priority is not None:
            site = rest.strip()
        elif found := _ROW.fullmatch(line):
            if priority is not None:
                yield IndexPriority(priority, release, site)
            priority, release, site = int(found[1]), {}, ""
        elif line.strip() and line.strip() != "Package files:":
            raise NotObservedError(f"unexpected line of apt-cache policy: {one_line(line, 100)}")


def _pin(file: str, fields: Mapping[str, str]) -> Pin:
    kind, _, argument = fields.get("pin", "").partition(" ")
    priority = fields.get("pin-priority", "")
    try:
        number: int | None = _WORDS.get(priority) or int(priority)
    except ValueError:
        number = None
    packages = tuple(fields["package"].split())
    return Pin(file, packages, kind.lower(), argument.strip(), number)
