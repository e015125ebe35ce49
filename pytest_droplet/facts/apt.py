"""What apt knows: waiting updates, enabled sources, the age of its indexes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pytest_droplet.facts import Observation
from pytest_droplet.facts.os_release import OsRelease
from pytest_droplet.facts.packages import PackageIndex, PackageSource, PendingUpdates, Update
from pytest_droplet.facts.whole import whole
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.redact import one_line

_NO_WRITES = (
    "-o Debug::NoLocking=1 -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
    " -o Dir::Log::Planner= -o Dir::Log::Solver="
)
APT = Section(
    "apt",
    f'o="{_NO_WRITES}"; x=$(apt-get -s $o -o APT::Get::Show-User-Simulation-Note=0 dist-upgrade);'
    " r=$?; printf '%s\\n' \"$x\"; case $x in *' and 0 not upgraded'*) ;;"
    " *) [ $r = 0 ] && { echo ==upgradable; apt $o list --upgradable || r=$?; } ;; esac; exit $r",
)
APT_SOURCES = Section(
    "apt_sources",
    "for x in /etc/apt/sources.list /etc/apt/sources.list.d/*.list"
    ' /etc/apt/sources.list.d/*.sources; do [ -e "$x" ] || continue; echo "== $x";'
    " sed -e '/^[[:space:]]*#/d' -e 's#//[^/@[:space:]]*@#//#g' \"$x\" || echo '!! unreadable';"
    " done",
)
APT_INDEX = Section(
    "apt_index",
    "cd /var/lib/apt/lists && ls >/dev/null || exit 1; echo '== stamps';"
    " stat -c '%Y %n' /var/lib/apt/lists/partial /var/lib/apt/periodic/update-success-stamp"
    " /var/lib/apt/periodic/update-stamp 2>/dev/null; for x in *_InRelease *_Release; do"
    ' [ -f "$x" ] || continue; echo "== $x";'
    " grep -E '^(Date|Valid-Until|Suite|Codename|Label|Origin):' \"$x\"; [ $? -lt 2 ] ||"
    ' echo "!! $x"; done; :',
)

_ABSENT = 127
_INST = re.compile(r"Inst (\S+)(?: \[([^\]]*)\])? \((\S+) ?(.*?) ?\[\S*\]\)")
_SUMMARY = re.compile(r"^\d+ upgraded, \d+ newly installed, ", re.MULTILINE)
_LISTED = re.compile(r"(\S+?)/(\S+) (\S+) (\S+) \[upgradable from: (\S+)\]")
_SECURITY = re.compile(r"(?:^|[ ,])(?:Debian-Security:|[^ ,]*/[a-z-]*-security(?![\w-]))")
_OPTIONS = re.compile(r"\[[^\]]*\]")
_SCHEME = re.compile(r"^[A-Za-z][\w+.-]*:(?://)?")
_QUOTED = re.compile(r"""[\\|{}\[\]<>"^~_=!@#$%&*\x00-\x20\x7f]""")
_STAMP = re.compile(r"(\d{1,11}) (/\S+)")


@dataclass(frozen=True, slots=True)
class AptSource:
    """An enabled ``deb`` entry: one suite of one archive."""

    uri: str
    suite: str


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
    """Return what ``apt-get dist-upgrade`` would install, and what it leaves out though newer."""
    return parse_updates(observation.section(APT.name))


def package_index(observation: Observation, os: OsRelease) -> PackageIndex:
    """Return the age of apt's indexes and the suites that security updates come from."""
    found = _indexes(observation)
    newest = max(found.stamps, default=None)
    sources = security_sources(observation, os)
    extended = _pairs(observation, {f"{os.codename}-infra-security"})
    return PackageIndex(
        manager="apt",
        updated_at=newest[0] if newest and found.indexes else None,
        stamp=newest[1].rpartition("/")[2] if newest else "",
        sources=(*sources, *(_package_source(*pair) for pair in extended)),
        lacking=() if sources else (f"{os.codename}-security",),
    )


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


def security_indexes(observation: Observation, os: OsRelease) -> tuple[AptIndex, ...]:
    """Return the downloaded indexes of the enabled sources of security updates."""
    return tuple(index for _, index in _security_pairs(observation, os) if index is not None)


def _security_pairs(
    observation: Observation, os: OsRelease
) -> list[tuple[AptSource, AptIndex | None]]:
    if not os.codename:
        raise NotObservedError("os-release has no VERSION_CODENAME")
    found = _pairs(observation, {f"{os.codename}-security", f"{os.codename}/updates"})
    output = observation.section(APT_SOURCES.name)
    if not found and "\n!! unreadable" in output.stdout:
        raise NotObservedError(f"a file could not be read: {one_line(output.stderr)}")
    return found


def _pairs(
    observation: Observation, suites: Collection[str]
) -> list[tuple[AptSource, AptIndex | None]]:
    """Return the enabled sources of these suites or codenames, each with its index."""
    text = observation.section(APT_SOURCES.name).stdout
    indexes = _indexes(observation).indexes
    pairs = [(s, _index_of(s, indexes)) for s in dict.fromkeys(parse_sources(text))]
    return [(s, i) for s, i in pairs if s.suite in suites or (i and i.codename in suites)]


def _package_source(source: AptSource, index: AptIndex | None) -> PackageSource:
    if index is None:
        return PackageSource(source.suite, fetched=False)
    return PackageSource(source.suite, dated=index.dated, valid_until=index.valid_until)


def _indexes(observation: Observation) -> AptIndexes:
    return parse_indexes(whole(observation.section(APT_INDEX.name)).stdout)


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
    simulated, _, listed = text.partition("\n==upgradable\n")
    if not _SUMMARY.search(simulated):
        raise NotObservedError("apt-get printed no summary line")
    updates = [_simulated(x) for x in simulated.splitlines() if x.startswith("Inst ")]
    known = {u.name for u in updates}
    updates += [u for u in _left_out(listed) if u.name not in known]
    return PendingUpdates("apt", tuple(updates))


def _simulated(line: str) -> Update:
    found = _INST.match(line)
    if found is None:
        raise NotObservedError(f"unexpected line: {one_line(line, 100)}")
    origin = found[4].strip()
    return Update(found[1], found[3], found[2], origin, security=_is_security(origin))


def _left_out(text: str) -> Iterator[Update]:
    for line in text.splitlines():
        if (found := _LISTED.fullmatch(line.strip())) is None:
            continue
        suites = found[2].split(",")
        if any(suite.endswith("-security") for suite in suites):
            yield Update(found[1], found[3], found[5], found[2], security=True, blocked=True)


def _is_security(origins: str) -> bool:
    return _SECURITY.search(origins) is not None


def parse_sources(text: str) -> Iterator[AptSource]:
    """Yield the enabled ``deb`` entries of the files that follow lines ``== PATH``.

    Both forms of sources.list(5) are read, by the end of the path: one line an entry, and
    stanzas (deb822) whose ``Enabled`` may be ``no``.
    """
    path, lines = "", list[str]()
    for line in (*text.splitlines(), "== "):
        if line.startswith("== "):
            parse = _stanzas if path.endswith(".sources") else _one_liners
            yield from parse(lines)
            path, lines = line[3:].strip(), []
        else:
            lines.append(line)


def _one_liners(lines: Iterable[str]) -> Iterator[AptSource]:
    for line in lines:
        words = _OPTIONS.sub(" ", line.partition("#")[0], count=1).split()
        if len(words) >= 3 and words[0] == "deb":
            yield AptSource(words[1], words[2].rstrip("/"))


def _stanzas(lines: Iterable[str]) -> Iterator[AptSource]:
    fields: dict[str, str] = {}
    last = ""
    for line in (*lines, ""):
        if not line.strip():
            yield from _entries(fields)
            fields = {}
        elif line[0] in " \t":
            fields[last] = f"{fields.get(last, '')} {line.strip()}"
        else:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()


def _entries(fields: dict[str, str]) -> Iterator[AptSource]:
    if fields.get("enabled", "yes").lower() in {"no", "false", "without", "off", "disable", "0"}:
        return
    if "deb" in fields.get("types", "").split():
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(uri, suite.rstrip("/"))


def parse_indexes(text: str) -> AptIndexes:
    """Parse the stamps (``EPOCH PATH``) and the headers of Release files after ``== FILE``."""
    stamps: list[tuple[datetime, str]] = []
    headers: dict[str, dict[str, str]] = {}
    current = ""
    for line in text.splitlines():
        if line.startswith("== "):
            current = line[3:].strip()
            if current != "stamps":
                headers.setdefault(current, {})
        elif current == "stamps":
            if found := _STAMP.fullmatch(line.strip()):
                stamps.append((datetime.fromtimestamp(int(found[1]), UTC), found[2]))
        elif current in headers:
            name, _, value = line.partition(":")
            headers[current].setdefault(name, value.strip())
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


def _file_name(place: str) -> str:
    quoted = _QUOTED.sub(lambda found: f"%{ord(found[0]):02x}", place)
    return quoted.replace("/", "_")


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
