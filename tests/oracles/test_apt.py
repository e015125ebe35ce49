"""Pins, target releases and settings: what real apt makes of them, and what the checks say.

The relation: where a security suite has a newer version than the host, which apt installs once
nobody tells it otherwise, ``patches.no-pending-security-updates`` never passes.
``ORACLE_SAMPLES`` is how many hosts and archives are made up.
"""

import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .apt_host import (
    ARCHIVE,
    BEHIND,
    CURRENT,
    INDEX,
    PENDING,
    AptHost,
    why_not,
)

REASON = why_not()
pytestmark = pytest.mark.skipif(
    bool(REASON) and "CI" not in os.environ, reason=f"no host with apt: {REASON}"
)
SAMPLES = int(os.environ.get("ORACLE_SAMPLES", "12"))
FILE = "/etc/apt/preferences.d/x"
PACKAGE_LISTS = "Acquire::IndexTargets::deb::Packages"
SECURITY_SUITE = ARCHIVE["bookworm-security"]
DOWN, UP = (-1, 1, 99, 100, 499), (501, 990, 1000, 1001)
BY_SECURITY = (
    *("release l=Debian-Security", "release a=oldstable-security", "release n=bookworm-security"),
    *("release o=Debian,l=Debian-Security", "release l=/^Debian-S/", "release n=*-security"),
    *('origin "security.example.com"', "origin security.example.com", "release o=Debian"),
    *("release oldstable-security", "release c=main", "release v=12, l=Debian-Security"),
)
BY_RELEASE = (
    *("release n=bookworm", "release a=oldstable", "release o=Debian,n=bookworm"),
    *('origin "deb.example.com"', "release l=Debian", "release l=/^Debian$/", "release n=/worm$/"),
)
PACKAGES = ("*", "alpha libgamma", "/.*/", "?*", "a* lib*", "alpha:any libgamma:any")


def stanza(packages: str, pin: str, priority: object) -> str:
    return f"Package: {packages}\nPin: {pin}\nPin-Priority: {priority}\n\n"


def config(text: str) -> dict[str, str]:
    return {"/etc/apt/apt.conf.d/99x": text}


def pins_away() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield files of the host that keep security updates away, or may, each with a name."""
    for number, pin in enumerate(BY_SECURITY):
        priority = DOWN[number % len(DOWN)]
        yield f"{pin} at {priority}", {FILE: stanza("*", pin, priority)}
    for number, pin in enumerate(BY_RELEASE):
        priority = UP[number % len(UP)]
        yield f"{pin} at {priority}", {FILE: stanza("*", pin, priority)}
    for packages in PACKAGES[1:]:
        yield f"{packages} away", {FILE: stanza(packages, "release l=Debian-Security", -1)}
        yield f"{packages} held", {FILE: stanza(packages, "version 1.0", 1001)}
        yield f"{packages} of the release", {FILE: stanza(packages, "release n=bookworm", 990)}
    sources = stanza("src:alpha-source src:libgamma", "release l=Debian-Security", -1)
    yield "source packages", {FILE: sources}
    yield "every version 1.0", {FILE: stanza("*", "version 1.0*", 990)}
    yield "one package", {FILE: stanza("alpha", "version 1.0", 1001)}
    away = stanza("*", BY_SECURITY[0], -1)
    yield "the one file", {"/etc/apt/preferences": away}
    yield "with an extension", {"/etc/apt/preferences.d/x.pref": away}
    yield "comments", {FILE: f"# why\nExplanation: because\n{away}# end\n"}
    yield "after another", {FILE: stanza("nodejs", "origin node.example.com", 600) + away}
    yield "folded", {FILE: "Package:\n *\nPin: release\n l=Debian-Security\nPin-Priority: -1\n"}
    yield "small letters", {FILE: away.lower().replace("debian-security", "Debian-Security")}
    yield "without a last line feed", {FILE: away.strip()}
    for packages in (
        "* nodejs",
        "nodejs *",
        "*:any",
        "[^x]*",
        "[!x]*",
        "src:*",
        "x\x0balpha\x0c*",
    ):
        yield f"{packages!r} away", {FILE: stanza(packages, "release l=Debian-Security", -1)}
    for pin in ("release l=[^x]*", "release a=*", 'origin "security.*"', "release b=amd64"):
        yield f"{pin} of some", {FILE: stanza("alpha libgamma", pin, -1)}
    yield "a comment in a fold", {FILE: away.replace("*", "nodejs\n# here\n *")}
    yield "carriage returns", {FILE: away.replace("\n", "\r\n")}
    yield "a carriage return between", {FILE: away.replace("*", "*\rnodejs")}
    elsewhere = config('Dir::Etc::preferences "/etc/apt/other.txt";\n')
    yield "a file elsewhere", {**elsewhere, "/etc/apt/other.txt": away}
    elsewhere = config('Dir::Etc::preferencesparts "/etc/apt/other";\n')
    yield "a folder elsewhere", {**elsewhere, "/etc/apt/other/x": away}
    for target in ("bookworm", "oldstable", "/^bookworm$/", "o=Debian,n=bookworm"):
        yield f"target {target}", config(f'APT::Default-Release "{target}";\n')
    yield "for apt-get", config('Binary::apt-get::APT::Default-Release "bookworm";\n')
    yield "other lists", config('Dir::State::lists "/tmp";\n')
    yield "other installed packages", config('Dir::State::status "/dev/null";\n')
    yield "other sources", config('Dir::Etc::sourceparts "/dev/null";\n')
    yield "small letters in settings", config('apt::default-release "bookworm";\n')
    yield "no lists of packages", config(f'{PACKAGE_LISTS}::DefaultEnabled "false";\n')
    yield "other lists of packages", config(f'{PACKAGE_LISTS}::metakey "elsewhere";\n')
    yield "another solver", config('APT::Solver "dump";\n')
    yield "another solver for apt-get", config('Binary::apt-get::APT::Solver "dump";\n')
    yield "other architecture", config('APT::Architecture "m68k";\nAPT::Architectures "m68k";\n')


def random_pins() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield files of several stanzas of all forms, always the same ones."""
    chance = random.Random(20261129)
    versions = ("version 1.0", "version 1.0*", "version 1.0+sec1", "version 0.9")
    for number in range(25):
        text = "".join(
            stanza(
                chance.choice((*PACKAGES, "*", "*", "kept", "src:alpha-source")),
                chance.choice((*BY_SECURITY, *BY_RELEASE, *versions, "release l=Tools")),
                chance.choice((*DOWN, *UP, 500, 500)),
            )
            for _ in range(chance.randint(1, 4))
        )
        target = chance.choice(("", "", "", "bookworm", "bookworm-security", "tools"))
        files = config(f'APT::Default-Release "{target}";\n') if target else {}
        yield f"random {number}", {**files, FILE: text}


BENIGN: Mapping[str, Mapping[str, str]] = {
    "nothing": {},
    "a third party": {FILE: stanza("*", 'origin "tools.example.com"', 600)},
    "a third party away": {FILE: stanza("*", "release o=Tools", -1)},
    "what is not installed": {FILE: stanza("snapd", "release a=*", -10)},
    "one package from a third party": {FILE: stanza("kept", "origin tools.example.com", 600)},
    "security above all": {FILE: stanza("*", "release l=Debian-Security", 990)},
    "all of Debian alike": {FILE: stanza("*", "release o=Debian", 600)},
    "security as ever": {FILE: stanza("*", "release l=Debian-Security", 500)},
    "a name that apt leaves out": {f"{FILE}.bak": stanza("*", "release o=Debian", -1)},
    "only a comment": {FILE: "# nothing yet\n"},
    "harmless settings": config(
        'APT::Solver "internal";\nAPT::Install-Recommends "false";\n'
        'APT::Never-MarkAuto-Sections:: "metapackages";\nAcquire::Languages "none";\n'
        f'{PACKAGE_LISTS}::DefaultEnabled "true";\n'
    ),
    "the whole release": config('APT::Default-Release "/^bookworm(|-security|-updates)$/";\n'),
}
BROKEN = {
    "no such pin": stanza("*", "colour green", -1),
    "no priority": "Package: *\nPin: release n=bookworm\n",
    "no package": "Pin: release n=bookworm\nPin-Priority: 1\n",
    "no number": stanza("*", "release n=bookworm", "lots"),
    "no stanza": "deb http://deb.example.com/debian bookworm main\n",
}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> AptHost:
    return AptHost(tmp_path_factory.mktemp("behind"), BEHIND)


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> AptHost:
    return AptHost(tmp_path_factory.mktemp("current"), CURRENT)


def test_there_is_a_host_in_ci() -> None:
    """Where everything must run, apt and a namespace for it are there."""
    assert REASON == ""


def test_without_pins_the_updates_are_seen(behind: AptHost) -> None:
    """The hosts of these tests are what the relation needs: apt would install what security has."""
    assert behind.would_install() == SECURITY_SUITE
    assert behind.verdicts()[PENDING].outcome == "fail"


FORMS = dict([*pins_away(), *random_pins()])
NAMES = ("alpha", "beta", "libgamma", "kept")
MADE = [files for _, files in random_pins()]
MADE += [{}] * (len(MADE) // 2 + 1)


@pytest.mark.parametrize("name", FORMS)
def test_no_pin_hides_a_security_update(behind: AptHost, name: str) -> None:
    """An update that waits is never passed; nor is a source that apt takes no update from.

    A pin of a version holds that version: the source itself can be trusted then.
    """
    files = FORMS[name]

    verdicts = behind.verdicts(files)

    assert verdicts[PENDING].outcome in {"fail", "unknown"}, verdicts
    taken = behind.would_install(files).items() & SECURITY_SUITE.items()
    if not taken and "version" not in "".join(files.values()):
        assert verdicts[INDEX].outcome in {"fail", "unknown"}, verdicts


@pytest.mark.parametrize("number", range(SAMPLES))
def test_what_waits_is_what_apt_installs_once_nothing_holds_it(
    tmp_path: Path, number: int
) -> None:
    """Of made-up hosts and archives: neither less nor more than real apt has of security updates."""
    chance = random.Random(20261202 + number)
    versions = ("0.9", "1.0", "1.0", "1.0+sec1", "1.0+upd1", "1:0.5", "1.1~rc1", "1.1")
    archive = {
        suite: {name: chance.choice(versions) for name in NAMES if chance.random() < share}
        for suite, share in zip(ARCHIVE, (1, 0.5, 0.7, 0.3), strict=True)
    }
    host = AptHost(
        tmp_path,
        {name: chance.choice(versions) for name in NAMES if chance.random() < 0.9},
        archive,
        held=chance.choice(("", *NAMES)),
        phased=chance.choice(("", "", "bookworm-updates", "bookworm-security")),
    )
    files = chance.choice(MADE)

    verdict = host.verdicts(files)[PENDING]

    found = {item["package"] for item in verdict.details.get("droplet_pending_updates", ())}
    assert verdict.outcome == "unknown" or found == host.waiting().keys(), verdict
    assert verdict.outcome in {"fail", "unknown"} or not host.waiting()


def test_most_of_these_hosts_are_judged(tmp_path: Path) -> None:
    """A host without pins never is unknown, so that the test above compares something."""
    assert MADE.count({}) * 3 >= len(MADE)
    assert AptHost(tmp_path, BEHIND).waiting() == SECURITY_SUITE


@pytest.mark.parametrize("name", ["release l=Debian-Security at -1", "target bookworm"])
def test_a_source_out_of_reach_is_a_finding(behind: AptHost, name: str) -> None:
    """Both checks fail, and name what keeps the updates away."""
    verdicts = behind.verdicts(FORMS[name])

    for check in (PENDING, INDEX):
        assert verdicts[check].outcome == "fail", verdicts
        assert FILE in verdicts[check].message or "bookworm" in verdicts[check].message


@pytest.mark.parametrize("name", BENIGN)
def test_a_pin_that_hides_nothing_is_no_finding(current: AptHost, name: str) -> None:
    """An up to date host passes with pins that leave the security source in reach."""
    verdicts = current.verdicts(BENIGN[name])

    assert {v.outcome for v in verdicts.values()} == {"pass"}, verdicts


@pytest.mark.parametrize("name", BROKEN)
def test_a_pin_that_is_not_understood_is_unknown(current: AptHost, name: str) -> None:
    """Nothing is green with a file that apt or this program does not understand; it is named."""
    verdicts = current.verdicts({FILE: BROKEN[name]})

    for verdict in verdicts.values():
        assert verdict.outcome == "unknown", verdicts
        assert FILE in verdict.message, verdicts


@pytest.mark.parametrize(
    ("held", "phased", "setting"),
    [
        ("", "", ""),
        ("alpha", "", ""),
        ("", "bookworm-updates", ""),
        ("", "bookworm-updates", 'APT::Get::Never-Include-Phased-Updates "true";\n'),
        ("alpha", "bookworm-updates", 'APT::Default-Release "bookworm";\n'),
    ],
)
def test_a_newer_version_elsewhere_hides_no_security_update(
    tmp_path: Path, held: str, phased: str, setting: str
) -> None:
    """Where another suite has a newer version still, the security update below it waits."""
    archive = {**ARCHIVE, "bookworm-updates": {"alpha": "1.1"}}
    host = AptHost(tmp_path, {"alpha": "1.0"}, archive, held=held, phased=phased)

    assert host.verdicts(config(setting) if setting else {})[PENDING].outcome == "fail"


@pytest.mark.parametrize(
    ("setting", "outcome"),
    [
        ("", "pass"),
        ('APT::Architectures { "NATIVE"; "m68k"; };\n', "pass"),
        ('APT::Architectures { "NATIVE"; };\n', "unknown"),
        ('APT::Architectures "NATIVE";\n', "unknown"),
    ],
)
def test_an_architecture_that_apt_leaves_out_is_unknown(
    tmp_path: Path, setting: str, outcome: str
) -> None:
    """Packages of an architecture that dpkg has and apt does not ask for may wait for updates."""
    host = AptHost(tmp_path, CURRENT)
    (tmp_path / "dpkg/arch").write_text(f"{host.architecture}\nm68k\n")
    files = config(setting.replace("NATIVE", host.architecture)) if setting else {}

    assert {v.outcome for v in host.verdicts(files).values()} == {outcome}


@pytest.mark.parametrize("cache", ["no", "a valid", "an old"])
def test_the_script_writes_nothing(tmp_path: Path, cache: str) -> None:
    """With pins and all, apt's folders stay as they are, and what waits is seen with any cache."""
    host = AptHost(tmp_path, CURRENT if cache == "an old" else BEHIND)
    if cache != "no":
        host.would_install()
        assert (tmp_path / "cache/pkgcache.bin").stat().st_size
    if cache == "an old":
        host.set_installed(BEHIND)
    before = _listing(host)

    verdicts = host.verdicts(FORMS["after another"])

    assert _listing(host) == before
    assert {v.outcome for v in verdicts.values()} == {"fail"}


def test_a_valid_cache_spares_the_indexes(tmp_path: Path) -> None:
    """What apt has read once is not read again."""
    host = AptHost(tmp_path, BEHIND)
    host.would_install()
    for listed in (tmp_path / "lib-apt/lists").glob("*_Packages"):
        times = listed.stat()
        listed.write_text(listed.read_text().replace("1.0+sec1", "1.0+sec9"))
        os.utime(listed, ns=(times.st_atime_ns, times.st_mtime_ns))

    verdict = host.verdicts()[PENDING]

    assert verdict.outcome == "fail"
    assert "1.0+sec1" in verdict.message


def _listing(host: AptHost) -> list[tuple[str, int, int]]:
    return [
        (str(path), stat.st_size, stat.st_mtime_ns)
        for folder in ("lib-apt", "dpkg", "cache")
        for path in sorted((host.folder / folder).rglob("*"))
        for stat in [path.lstat()]
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_a_file_that_the_login_cannot_read_is_unknown(current: AptHost) -> None:
    """A file of pins that only root may read hides what it does from anybody else: it is named."""
    current.mode = 0o600
    try:
        shell = "setpriv --reuid=65534 --regid=65534 --clear-groups sh -s"
        verdicts = current.verdicts({FILE: stanza("*", BY_SECURITY[0], -1)}, shell=shell)
    finally:
        current.mode = 0o644

    for verdict in verdicts.values():
        assert verdict.outcome == "unknown", verdicts
        assert FILE in verdict.message, verdicts
