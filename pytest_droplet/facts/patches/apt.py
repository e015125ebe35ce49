"""What apt knows: waiting updates, enabled sources, the age of its indexes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from pytest_droplet.facts import Observation
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.host.whole import MARK, garbled, whole
from pytest_droplet.facts.patches.apt_policy import (
    Reach,
    apt_policy,
    pin_files,
    reach_of,
)
from pytest_droplet.facts.patches.deb822 import stanzas
from pytest_droplet.facts.patches.packages import (
    PackageIndex,
    PackageSource,
    PendingUpdates,
    Update,
)
from pytest_droplet.facts.patches.unattended import Archive
from pytest_droplet.facts.patches.versions import dpkg_key
from pytest_droplet.masks import addresses
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.text import one_line

APT = Section.of_files(
    "facts/patches/apt_read_only.inner.sh",
    "facts/patches/apt_pins.sh",
    "facts/patches/apt.sh",
    address_space_mb=1024,
    mask=addresses,
)
APT_SOURCES = Section.of_files("facts/patches/apt_sources.sh", mask=addresses)
APT_INDEX = Section.of_files("facts/patches/apt_index.sh", mask=addresses)

_ABSENT = 127
_LOCAL = ("file:", "copy:", "cdrom:")
_UNSIGNED = frozenset({"trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure"})
_HARMLESS = frozenset(
    {
        *("signed-by", "lang", "languages", "pdiffs", "by-hash", "check-valid-until"),
        *("check-date", "date-max-future", "valid-until-min", "valid-until-max"),
        *(
            "arch+",
            "architectures-add",
            "inrelease-path",
            "description",
            "x-repolib-name",
            "x-repolib-default-mirror",
        ),
    }
)
_ARCHITECTURES = frozenset({"arch", "architectures"})
_KEYS = frozenset({"types", "uris", "suites", "components", "enabled"})
_TRUE = frozenset({"yes", "true", "with", "on", "enable", "1"})
_READ_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_INST = re.compile(r"Inst (\S+)(?: \[([^\]]*)\])? \((\S+) ?(.*?) ?\[\S*\]\)")
_SUMMARY = re.compile(r"^\d+ upgraded, \d+ newly installed, ", re.MULTILINE)
_SECURITY = re.compile(r"(?:^|[ ,])(?:Debian-Security:|[^ ,]*/[a-z-]*-security(?![\w-]))")
_SCHEME = re.compile(r"^[A-Za-z][\w+.-]*:(?://)?")
_QUOTED = re.compile(r"""[\\|{}\[\]<>"^~_=!@#$%&*\x00-\x20\x7f]""")
_UPGRADABLE = "\n==upgradable\n"
_FIELD = re.compile(r"(Date|Valid-Until|Suite|Codename|Label|Origin):(.*)")
_STAMP = re.compile(r"(\d{1,11}) (/\S+)")


@dataclass(frozen=True, slots=True)
class AptSource:
    """An enabled ``deb`` entry: one suite of one archive.

    ``options`` are those of sources.list(5), names in lower case; ``components`` is empty where
    the suite is a path.
    """

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AptIndex:
    """What a downloaded Release file says of itself; ``file`` is its name under ``lists``."""

    file: str
    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    dated: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AptIndexes:
    """The stamps of the last update and the downloaded indexes."""

    stamps: tuple[tuple[datetime, str], ...]
    indexes: tuple[AptIndex, ...]


def pending_updates(observation: Observation) -> PendingUpdates:
    """Return what ``apt-get dist-upgrade`` would install, and what it leaves out though newer.

    What pins and ``APT::Default-Release`` keep away is among it. Where it cannot be told what
    they do, ``hidden`` says so.
    """
    output = observation.section(APT.name)
    try:
        pending = parse_updates(output)
    except NotObservedError as error:
        files = pin_files(observation)
        raise NotObservedError(
            f"{error}; pins are in {', '.join(files)}" if files else str(error)
        ) from error
    try:
        policy = apt_policy(observation)
    except NotObservedError as error:
        return replace(pending, hidden=str(error))
    hidden = next(iter(policy.doubts), "")
    if policy.restricted and _UPGRADABLE not in output.stdout:
        hidden = f"what apt would install without {policy.told_by} was not printed"
    return replace(pending, hidden=hidden, told_by=policy.told_by)


def package_index(observation: Observation, os: OsRelease) -> PackageIndex:
    """Return the age of apt's indexes and the suites that security updates come from."""
    found = observation.parsed(APT_INDEX.name, _indexes)
    newest = max(found.stamps, default=None)
    sources = security_sources(observation, os)
    extended = _pairs(observation, {f"{os.codename}-infra-security"})
    if extended and _has_ended(os, observation.now):
        sources = tuple(replace(source, closed=True) for source in sources)
    reach = _reach(observation, os)
    return PackageIndex(
        manager="apt",
        updated_at=newest[0] if newest and found.indexes else None,
        stamp=newest[1].rpartition("/")[2] if newest else "",
        sources=(*sources, *(_package_source(*pair) for pair in extended)),
        lacking=() if sources else (f"{os.codename}-security",),
        unreachable=reach.faults,
        doubts=(*_unread_sources(observation), *reach.doubts),
    )


def _unread_sources(observation: Observation) -> tuple[str, ...]:
    """Return why a file of sources is not known: it may name another security source."""
    try:
        whole(observation.section(APT_SOURCES.name))
    except NotObservedError as error:
        return (str(error),)
    return ()


def _has_ended(os: OsRelease, now: datetime) -> bool:
    """Whether the public archive of an Ubuntu is closed: that of 20.04 was in 2025."""
    year, _, month = os.version_id.partition(".")
    if not (year.isdecimal() and month.isdecimal()):
        return False
    return (now.year, now.month) > (2000 + int(year[:2]) + 5, int(month[:2]) + 1)


def _reach(observation: Observation, os: OsRelease) -> Reach:
    """Return whether the security sources are used as they are, by their options and by pins."""
    pairs = _security_pairs(observation, os)
    try:
        policy = apt_policy(observation)
    except NotObservedError as error:
        return Reach(doubts=(str(error),))
    doubts = source_doubts([source for source, _ in pairs], policy.architecture)
    fields = [
        {"o": index.origin, "l": index.label, "a": index.suite, "n": index.codename}
        for _, index in pairs
        if index is not None
    ]
    reach = reach_of(policy, fields, (os.codename, f"{os.codename}-updates"))
    return replace(reach, doubts=(*doubts, *reach.doubts))


def source_doubts(sources: Iterable[AptSource], architecture: str) -> tuple[str, ...]:
    """Return what makes the sources less than what they seem; empty where one of them is whole.

    That is: anybody may have made its index, or it is not asked for all of its packages.
    """
    found = [tuple(_doubts(source, architecture)) for source in sources]
    return min(found, key=len, default=())


def _doubts(source: AptSource, architecture: str) -> Iterator[str]:
    if source.components and "main" not in source.components:
        yield f"{source.suite}: its component main is not enabled"
    for name, value in source.options:
        said = f"{source.suite}: its option {name}={value}"
        if name in _UNSIGNED:
            if value.lower() in _TRUE and not source.uri.startswith(_LOCAL):
                yield f"{said} lets anybody make its index"
        elif name in _ARCHITECTURES:
            if architecture not in re.split(r"[,\s]+", value):
                yield f"{said} leaves out {architecture}"
        elif name not in _HARMLESS and not name.startswith("x-"):
            yield f"{said} is not understood"


def security_sources(observation: Observation, os: OsRelease) -> tuple[PackageSource, ...]:
    """Return the enabled sources of security updates for the release of the host.

    That is ``CODENAME-security`` (before Debian 11 ``CODENAME/updates``), or another name such as
    ``stable-security`` whose downloaded index has that codename.

    Raises:
        NotObservedError: A file of sources could not be read and no other has such a source; or
            the host does not tell its codename.
    """
    pairs = _security_pairs(observation, os)
    return tuple(dict.fromkeys(_package_source(*pair) for pair in pairs))


def security_archives(observation: Observation, os: OsRelease) -> tuple[Archive, ...]:
    """Return what the fetched indexes of security updates say of themselves."""
    return _archives(_security_pairs(observation, os))


def archives(observation: Observation) -> tuple[Archive, ...]:
    """Return what the fetched indexes of all enabled sources say of themselves."""
    sources = observation.parsed(APT_SOURCES.name, _sources)
    indexes = observation.parsed(APT_INDEX.name, _indexes).indexes
    return _archives((source, _index_of(source, indexes)) for source in sources)


def _archives(pairs: Iterable[tuple[AptSource, AptIndex | None]]) -> tuple[Archive, ...]:
    """Of a suite's components ``main`` counts, or the first one."""
    found = [
        Archive(
            *(index.origin, index.label, index.suite, index.codename),
            component="main" if "main" in source.components else "".join(source.components[:1]),
            site=_host(source.uri),
        )
        for source, index in pairs
        if index is not None
    ]
    return tuple(dict.fromkeys(found))


def _security_pairs(
    observation: Observation, os: OsRelease
) -> list[tuple[AptSource, AptIndex | None]]:
    if not os.codename:
        raise NotObservedError("os-release has no VERSION_CODENAME")
    found = _pairs(observation, {f"{os.codename}-security", f"{os.codename}/updates"})
    if not found:
        whole(observation.section(APT_SOURCES.name))
    return found


def _pairs(
    observation: Observation, suites: Collection[str]
) -> list[tuple[AptSource, AptIndex | None]]:
    """Return the enabled sources of these suites or codenames, each with its index."""
    sources = observation.parsed(APT_SOURCES.name, _sources)
    indexes = observation.parsed(APT_INDEX.name, _indexes).indexes
    pairs = [(source, _index_of(source, indexes)) for source in sources]
    return [(s, i) for s, i in pairs if s.suite in suites or (i and i.codename in suites)]


def _package_source(source: AptSource, index: AptIndex | None) -> PackageSource:
    if index is None:
        return PackageSource(source.suite, fetched=False)
    return PackageSource(source.suite, dated=index.dated, valid_until=index.valid_until)


def _sources(output: SectionOutput) -> tuple[AptSource, ...]:
    return tuple(dict.fromkeys(parse_sources(output.stdout)))


def _indexes(output: SectionOutput) -> AptIndexes:
    return parse_indexes(whole(output).stdout)


def parse_updates(output: SectionOutput) -> PendingUpdates:
    """Parse ``apt-get -s dist-upgrade`` and, after ``==upgradable``, ``apt list --upgradable``.

    The list has what the simulation leaves out. Of that only security updates are kept: they are
    on hold or kept back, while any other may be one that Ubuntu phases.

    Raises:
        NotObservedError: apt is absent, reported an error, or the answer has no summary line.
    """
    text = output.stdout
    if output.rc == _ABSENT and not text.strip():
        raise NotObservedError("apt-get is not installed")
    errors = [x for x in (*output.stderr.splitlines(), *text.splitlines()) if x.startswith("E:")]
    if output.rc != 0 or errors:
        raise NotObservedError(one_line(next(iter(errors), f"status {output.rc}")))
    simulated, _, listed = text.partition(_UPGRADABLE)
    if not _SUMMARY.search(simulated):
        raise NotObservedError("apt-get printed no summary line")
    installing = (_simulated(x) for x in simulated.splitlines() if x.startswith("Inst "))
    # A pin of 1000 or more takes an older version for the better one.
    updates = [u for u in installing if u.old is None or dpkg_key(u.new) >= dpkg_key(u.old)]
    known = {u.name: u for u in updates}
    for update in _of_security(listed):
        simulated_one = known.get(update.name)
        known[update.name] = replace(simulated_one, security=True) if simulated_one else update
    return PendingUpdates("apt", tuple(known.values()))


def _simulated(line: str) -> Update:
    found = _INST.match(line)
    if found is None:
        raise NotObservedError(f"unexpected line: {one_line(line, 100)}")
    origin = found[4].strip()
    return Update(found[1], found[3], found[2], origin, security=_is_security(origin))


def _of_security(text: str) -> Iterator[Update]:
    """Yield the newest version of each package that a security suite has and the host has not.

    The list has every version of a package, a line each, ``NAME/SUITES VERSION ARCHITECTURE``;
    the line of the version that apt would install ends with the one that is there.
    """
    rows = [words for line in text.splitlines() if len(words := line.split()) >= 3]
    installed = {
        (words[0].partition("/")[0], words[2]): words[5].rstrip("]")
        for words in rows
        if words[3:5] == ["[upgradable", "from:"] and len(words) == 6
    }
    newest: dict[tuple[str, str], Update] = {}
    for place, version, architecture, *_ in rows:
        name, _slash, suites = place.partition("/")
        old = installed.get((name, architecture))
        if old is None or not any(suite.endswith("-security") for suite in suites.split(",")):
            continue
        known = newest.get((name, architecture))
        if dpkg_key(version) > dpkg_key(known.new if known else old):
            newest[name, architecture] = Update(
                name, version, old, suites, security=True, blocked=True
            )
    yield from newest.values()


def _is_security(origins: str) -> bool:
    return _SECURITY.search(origins) is not None


def parse_sources(text: str) -> Iterator[AptSource]:
    """Yield the enabled ``deb`` entries of the files that follow lines ``== PATH``.

    Both forms of sources.list(5) are read, by the end of the path: one line an entry, and
    stanzas (deb822) whose ``Enabled`` may be ``no``. A file whose name apt does not take has none.

    Raises:
        NotObservedError: The text does not begin with such a line.
    """
    path, lines = "", list[str]()
    first = next(filter(str.strip, text.splitlines()), "== ")
    if not first.startswith(("== ", MARK)):
        raise garbled(first)
    for line in (*text.splitlines(), "== "):
        if line.startswith("== "):
            parse = _stanzas if path.endswith(".sources") else _one_liners
            if _READ_NAME.fullmatch(path.rpartition("/")[2]):
                yield from parse(lines)
            path, lines = line[3:].strip(), []
        else:
            lines.append(line)


def _one_liners(lines: Iterable[str]) -> Iterator[AptSource]:
    for line in lines:
        head, _, rest = line.partition("#")[0].partition("[")
        inside, closed, tail = rest.partition("]")
        words = f"{head} {tail if closed else rest}".split()
        if len(words) >= 3 and words[0] == "deb":
            pairs = [o.partition("=") for o in (inside.split() if closed else ())]
            options = tuple((name.lower(), value) for name, _, value in pairs)
            yield AptSource(words[1], words[2].rstrip("/"), tuple(words[3:]), options)


def _stanzas(lines: Iterable[str]) -> Iterator[AptSource]:
    for fields in stanzas(lines):
        yield from _entries(fields)


def _entries(fields: dict[str, str]) -> Iterator[AptSource]:
    if fields.get("enabled", "yes").lower() in {"no", "false", "without", "off", "disable", "0"}:
        return
    options = tuple((name, value) for name, value in fields.items() if name not in _KEYS)
    components = tuple(fields.get("components", "").split())
    if "deb" in fields.get("types", "").split():
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(uri, suite.rstrip("/"), components, options)


def parse_indexes(text: str) -> AptIndexes:
    """Parse the stamps (``EPOCH PATH``) and the headers of Release files after ``== FILE``.

    Raises:
        NotObservedError: A line is none of these.
    """
    stamps: list[tuple[datetime, str]] = []
    headers: dict[str, dict[str, str]] = {}
    current = ""
    for line in text.splitlines():
        if line.startswith("== "):
            current = line[3:].strip()
            if current != "stamps":
                headers.setdefault(current, {})
        elif current == "stamps" and (found := _STAMP.fullmatch(line.strip())):
            stamps.append((datetime.fromtimestamp(int(found[1]), UTC), found[2]))
        elif current in headers and (found := _FIELD.fullmatch(line)):
            headers[current].setdefault(found[1], found[2].strip())
        elif line.strip():
            raise garbled(line)
    return AptIndexes(
        tuple(stamps),
        tuple(
            AptIndex(
                file=file,
                origin=header.get("Origin", ""),
                label=header.get("Label", ""),
                suite=header.get("Suite", ""),
                codename=header.get("Codename", ""),
                dated=_date(header.get("Date")),
                valid_until=_date(header.get("Valid-Until")),
            )
            for file, header in headers.items()
        ),
    )


def _index_of(source: AptSource, indexes: Iterable[AptIndex]) -> AptIndex | None:
    """Return the index of a source: apt names the file after host, path and suite.

    Where no name fits, one of the same suite from elsewhere stands in.
    """
    place = _SCHEME.sub("", source.uri).rstrip("/")
    exact = _file_name(f"{place}/dists/{source.suite}")
    same_suite = None
    for index in indexes:
        stem = index.file.removesuffix("_InRelease").removesuffix("_Release")
        if stem == exact:
            return index
        if stem.endswith(_file_name(f"/dists/{source.suite}")):
            same_suite = index
    return same_suite


def _host(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def _file_name(place: str) -> str:
    quoted = _QUOTED.sub(lambda found: f"%{ord(found[0]):02x}", place)
    return quoted.replace("/", "_")


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
