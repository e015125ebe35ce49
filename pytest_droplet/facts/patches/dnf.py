"""What dnf knows: waiting updates, enabled repositories, the age of their metadata.

dnf writes logs, locks and caches whatever it is asked, and rpm as root touches its database. So
dnf runs in a mount namespace of its own where every file system is read-only but an empty
``/tmp``; its cache directory there is a tree of symbolic links to the real one. Where that cannot
be set up, dnf does not run. Tried with dnf 4.14 and 4.23 and with dnf5 5.4.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from pytest_droplet.facts import Observation
from pytest_droplet.facts.host.os_release import OsRelease
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.facts.patches.packages import (
    PackageIndex,
    PackageSource,
    PendingUpdates,
    Update,
    distribution,
)
from pytest_droplet.masks import addresses
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.text import one_line

DNF = Section.of_files(
    "facts/patches/dnf_read_only.inner.sh",
    "facts/patches/dnf.sh",
    root=True,
    address_space_mb=4096,
    mask=addresses,
)
_DECISIVE = "reposdir|varsdir|installroot|arch|basearch|forcearch|optional_metadata_types"
DNF_INDEX = Section.of_files("facts/patches/dnf_index.sh", mask=addresses)

_ABSENT = 127
_RC = re.compile(r"^rc=(\d{1,3})$", re.MULTILINE)
_HEADS = frozenset({"upgrades", "available upgrades"})
_NAME = re.compile(r"(\S+)\.([^.\s]+)")
_ADVISORY = re.compile(
    r"(\S+)\s+(\S.*?)\s+(\S+-[^-\s]+-[^-\s]+\.[^.\s]+)(?:\s+\d{4}-\d\d-\d\d.*)?"
)
_NEVRA = re.compile(r"(.+)-([^-]+-[^-]+)\.([^.]+)")
_CACHED = re.compile(r"(\d{1,11}) /var/cache/\w+/([^/]+)-[0-9a-f]{16}/repodata/(\S+)")
_OPTION = re.compile(r"\s*(enabled|baseurl|mirrorlist|metalink)\s*[=:]\s*(.*)")
_MAIN_OPTION = re.compile(rf"\s*({_DECISIVE})\s*[=:]\s*(.*)")
_PRINTED = re.compile(
    rf"== /|\d+ /|\[|\s*(enabled|baseurl|mirrorlist|metalink|{_DECISIVE})\s*[=:]"
    r"|\s+[a-z]+://|\s*\Z"
)
_OVERRIDES = ".override.d/"
_FALSE = frozenset({"0", "no", "false", "off"})
_ELSEWHERE = re.compile(r"debug|source|src|testing|beta|devel", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_VAULT = re.compile(r"//[^/]*\bvault\b|/vault/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the configuration, and where it is had from."""

    id: str
    enabled: bool = True
    urls: tuple[str, ...] = ()

    def serves(self, need: str) -> bool:
        """Whether it is the named base repository, or a mirror named after it."""
        parts = re.split(r"[-_.]", self.id.lower())
        return self.enabled and need in parts and not _ELSEWHERE.search(self.id)


@dataclass(frozen=True, slots=True)
class Cached:
    """The metadata of a repository that the host has.

    ``checked_at`` is the newest of its files: when nothing changed upstream, dnf moves the time
    of the primary metadata alone.
    """

    checked_at: datetime
    has_updateinfo: bool


@dataclass(frozen=True, slots=True)
class Metadata:
    """The configured repositories and the cached metadata, both by repository id.

    ``doubts`` are settings with which dnf speaks of other repositories, packages or advisories.
    ``variables`` has, by name, the value that a host gives to what stands in addresses, and the
    file.
    """

    repositories: Mapping[str, Repository]
    cached: Mapping[str, Cached]
    doubts: tuple[str, ...] = ()
    variables: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def addresses(self, repository: Repository) -> list[str]:
        """Return where a repository is had from; variables that the host does not set stay."""

        def value(found: re.Match[str]) -> str:
            return self.variables.get(found[1] or found[2], (found[0], ""))[0]

        return [_VARIABLE.sub(value, url) for url in repository.urls]


def base_repositories(os: OsRelease) -> tuple[str, ...]:
    """Return the names of the repositories that updates of the base system come from."""
    old = os.major in {"5", "6", "7"}
    return ("base", "updates") if old else distribution(os).repositories


def pending_updates(observation: Observation, os: OsRelease) -> PendingUpdates:
    """Return the updates that dnf would install, and the security updates that it leaves out."""
    pending = parse_updates(observation.section(DNF.name))
    metadata = observation.parsed(DNF_INDEX.name, _metadata)
    pending = replace(pending, hidden=next(iter(_all_doubts(metadata, os)), ""))
    base = [
        r
        for r in metadata.repositories.values()
        if any(r.serves(need) for need in base_repositories(os))
    ]
    if any(r.id in metadata.cached and metadata.cached[r.id].has_updateinfo for r in base):
        return pending
    return replace(pending, unlabelled="no base repository publishes which updates are security")


def package_index(observation: Observation, os: OsRelease) -> PackageIndex:
    """Return the age of the base repositories' metadata, and what they are.

    The age is that of the base repository that was looked at the longest ago.
    """
    metadata = observation.parsed(DNF_INDEX.name, _metadata)
    serving = {
        need: [r for r in metadata.repositories.values() if r.serves(need)]
        for need in base_repositories(os)
    }
    times = [
        max(metadata.cached[r.id].checked_at for r in repositories if r.id in metadata.cached)
        for repositories in serving.values()
        if any(r.id in metadata.cached for r in repositories)
    ]
    return PackageIndex(
        manager="dnf",
        updated_at=min(times, default=None),
        stamp="its cached metadata",
        sources=tuple(
            PackageSource(
                r.id,
                fetched=r.id in metadata.cached,
                pinned=next((u for u in metadata.addresses(r) if _VAULT.search(u)), ""),
            )
            for repositories in serving.values()
            for r in repositories
        ),
        lacking=tuple(need for need, repositories in serving.items() if not repositories),
        doubts=_all_doubts(metadata, os),
    )


def _all_doubts(metadata: Metadata, os: OsRelease) -> tuple[str, ...]:
    """Return why the repositories may not be those of the release as it goes on.

    One point release is left as it is when the next one is out.
    """
    usual = {"releasever": {os.major, os.version_id} if "." not in os.version_id else {os.major}}
    usual |= {"stream": {f"{os.major}-stream"}, "rltype": {""}}
    told = [
        f"{file}: {name} is {value}"
        for name, (value, file) in metadata.variables.items()
        if name.startswith(("releasever", "basearch", "arch")) or name in usual
        if value not in usual.get(name, ())
    ]
    point = re.compile(rf"(?<![\d.]){re.escape(os.major)}\.\d+(?![\d.])") if os.major else None
    if not os.version_id:
        told.append("the release has no VERSION_ID")
    base = [
        r
        for r in metadata.repositories.values()
        if any(r.serves(need) for need in base_repositories(os))
    ]
    told += [
        f"{repository.id} is had from {url}"
        for repository in base
        for url in metadata.addresses(repository)
        if point and point.search(url)
    ]
    doubts = (f"{text}: newer updates may be elsewhere" for text in told)
    return (*metadata.doubts, *map(one_line, dict.fromkeys(doubts)))


def _metadata(output: SectionOutput) -> Metadata:
    return parse_metadata(whole(output).stdout)


def parse_updates(output: SectionOutput) -> PendingUpdates:
    """Parse ``dnf check-update`` and, after ``== security``, dnf's list of security advisories.

    A security update that ``check-update`` does not name is one that the configuration excludes.

    Raises:
        NotObservedError: dnf is absent, could not run read-only, has no cache or reported an
            error; or a line is not as expected.
    """
    if output.rc == _ABSENT and not output.stdout.strip():
        raise NotObservedError(_complaint(output) or "dnf is not installed")
    waiting, _, advisories = output.stdout.partition("== security\n")
    codes = [_RC.findall(part) for part in (waiting, advisories)]
    if output.rc != 0 or not all(codes):
        raise NotObservedError(_complaint(output) or "dnf could not be run read-only")
    if codes[0] not in (["0"], ["100"]) or codes[1] != ["0"]:
        raise NotObservedError(_complaint(output) or f"dnf ended with status {codes[0][0]}")
    updates = {(u.name, arch): u for u, arch in _waiting(_RC.sub("", waiting))}
    if codes[0] == ["100"] and not updates:
        raise NotObservedError("dnf check-update names no package though it says there are some")
    for (name, arch), (new, labels) in _labelled(_RC.sub("", advisories)).items():
        known = updates.get((name, arch))
        origin = " ".join(labels[:2])
        if known is None:
            known = Update(name, new, blocked=True)
        updates[name, arch] = replace(known, origin=origin, security=True)
    return PendingUpdates("dnf", tuple(updates.values()))


def _waiting(text: str) -> Iterator[tuple[Update, str]]:
    """Yield the rows ``name.arch version repository``; a long name may stand on its own line.

    From dnf5 5.4 on they have a head.
    """
    words: list[str] = []
    obsoleting = False
    for line in text.splitlines():
        if line.strip().lower() in _HEADS:
            continue
        if line.lower().startswith("obsoleting packages"):
            obsoleting = True
        elif not line.startswith("Security: ") and not (obsoleting and line[:1].isspace()):
            words += line.split()
    if len(words) % 3:
        raise NotObservedError(f"unexpected list of updates: {one_line(text, 100)}")
    for named, version, repository in zip(words[::3], words[1::3], words[2::3], strict=True):
        found = _NAME.fullmatch(named)
        if found is None:
            raise NotObservedError(f"unexpected package: {one_line(named, 100)}")
        yield Update(found[1], version, origin=repository), found[2]


def _labelled(text: str) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """Return version and advisories by package: rows ``ID TYPE PACKAGE``, in dnf5 with a head."""
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for line in filter(str.strip, text.splitlines()):
        if line.split()[:2] == ["Name", "Type"]:
            continue
        row = _ADVISORY.fullmatch(line.strip())
        package = _NEVRA.fullmatch(row[3]) if row else None
        if row is None or package is None:
            raise NotObservedError(f"unexpected advisory: {one_line(line, 100)}")
        _, labels = found.setdefault((package[1], package[3]), (package[2], []))
        labels.append(row[1])
    return found


def parse_metadata(text: str) -> Metadata:
    """Parse lines ``EPOCH PATH`` of cached files and, after ``== PATH``, repository files.

    Files of overrides change the repositories that their section names match (``*``, ``?``).
    Files ``.conf`` have options of dnf itself; those below ``vars`` a value each.
    """
    cached: dict[str, Cached] = {}
    repositories: dict[str, Repository] = {}
    doubts: list[str] = []
    variables: dict[str, tuple[str, str]] = {}
    path, section, override = "", "", False
    for line in text.splitlines():
        if line.startswith("== /"):
            path, section, override = line, "", _OVERRIDES in line
        elif "/vars/" in path:
            _add_variable(variables, path[3:], line)
        elif path.endswith(".conf"):
            doubts += _doubts(path[3:], line)
        elif not _PRINTED.match(line):
            raise garbled(line)
        elif not path:
            _add_cached(cached, line)
        elif line.startswith("["):
            section = line.strip()[1:].partition("]")[0]
            if not override and section not in {"", "main"}:
                repositories.setdefault(section, Repository(section))
        else:
            matching = [i for i in repositories if fnmatchcase(i, section)]
            for repository in matching if override else [section]:
                if repository in repositories:
                    repositories[repository] = _with(repositories[repository], line)
    return Metadata(repositories, cached, tuple(doubts), variables)


def _doubts(file: str, line: str) -> Iterator[str]:
    """Yield an option with which dnf's answer is about something else than is thought."""
    option = _MAIN_OPTION.fullmatch(line)
    if option is None:
        return
    name, value = option[1], option[2].strip()
    if name == "optional_metadata_types" and "updateinfo" in value:
        return
    yield one_line(f"{file}: {name} = {value}: dnf may not see all security updates")


def _add_variable(variables: dict[str, tuple[str, str]], file: str, line: str) -> None:
    """Add what stands first in a file of ``vars``, unless the variable has a value already."""
    if line.strip():
        variables.setdefault(file.rpartition("/")[2], (line.strip(), file))


def _add_cached(cached: dict[str, Cached], line: str) -> None:
    found = _CACHED.fullmatch(line.strip())
    if found is None:
        return
    when = datetime.fromtimestamp(int(found[1]), UTC)
    known = cached.get(found[2], Cached(when, has_updateinfo=False))
    cached[found[2]] = Cached(
        max(known.checked_at, when), known.has_updateinfo or "updateinfo" in found[3]
    )


def _with(repository: Repository, line: str) -> Repository:
    option = _OPTION.fullmatch(line)
    if option is None:
        return replace(repository, urls=(*repository.urls, *line.split()))
    if option[1] == "enabled":
        return replace(repository, enabled=option[2].strip().lower() not in _FALSE)
    return replace(repository, urls=(*repository.urls, *option[2].split()))


def _complaint(output: SectionOutput) -> str:
    lines = [line for line in output.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return one_line(next(iter(errors or lines), ""))
