"""Package managers: what apt and dnf print, and the order of versions."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_droplet.connection.script import PRELUDE, alone
from pytest_droplet.facts.host.kernel import Kernel
from pytest_droplet.facts.patches import apt, dnf
from pytest_droplet.facts.patches.apt_policy import (
    APT_POLICY,
    AptPolicy,
    IndexPriority,
    parse_policy,
    reach_of,
)
from pytest_droplet.facts.patches.kernels import (
    parse_dpkg_kernels,
    parse_reboot,
    parse_rpm_kernels,
)
from pytest_droplet.facts.patches.unattended import parse_settings
from pytest_droplet.facts.patches.versions import compare_rpm, dpkg_key, rpm_key
from pytest_droplet.model import NotObservedError, SectionOutput
from pytest_droplet.tables import APT, DISTRIBUTIONS

HEAD = "Reading package lists...\n1 upgraded, 0 newly installed, 0 to remove and 1 not upgraded.\n"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KERNEL = Kernel("Linux", "6.1.0-42-amd64", "x86_64", "#1 SMP Debian 6.1.159-1 (x)", NOW, NOW)


def output(stdout: str, rc: int = 0, stderr: str = "") -> SectionOutput:
    return SectionOutput("x", stdout, stderr, rc)


@given(st.text(), st.sampled_from([0, 1, 100, 124, 127]), st.text())
@example(HEAD + "Inst \x00", 0, "")
def test_any_answer_is_parsed_or_not_observed(stdout: str, rc: int, stderr: str) -> None:
    """Whatever the tools of a host print, a parser raises nothing but NotObservedError."""
    answer = output(stdout, rc, stderr)
    for read in (
        lambda: apt.parse_updates(answer),
        lambda: list(apt.parse_sources(stdout)),
        lambda: apt.parse_indexes(stdout),
        lambda: parse_policy(stdout),
        lambda: dnf.parse_updates(answer),
        lambda: dnf.parse_metadata(stdout),
        lambda: parse_settings(stdout),
        lambda: parse_reboot(answer, NOW),
        lambda: parse_dpkg_kernels(answer, KERNEL),
        lambda: parse_rpm_kernels(answer, KERNEL),
    ):
        with suppress(NotObservedError):
            read()


WORDS = st.sampled_from(
    [
        *("Inst", "a", "[1]", "(2", "x:1/s-security", "[amd64])", "==upgradable", "a/s-security"),
        *("== security", "deb", "http://x", "== /x.sources", "Types:", "Suites:", "[baseos]"),
        *("rc=0", "rc=100", "openssl.x86_64", "E:", "Security:", "enabled=0", "\n"),
        "0 upgraded, 0 newly installed, ",
    ]
)


@given(st.lists(WORDS).map(" ".join))
def test_near_answers_are_parsed_or_not_observed(text: str) -> None:
    """The same holds for texts that look much like an answer."""
    test_any_answer_is_parsed_or_not_observed.hypothesis.inner_test(text, 0, "")


@pytest.mark.parametrize(
    ("origin", "security"),
    [
        ("Debian-Security:12/oldstable-security", True),
        ("Debian:12.15/oldstable, Debian-Security:12/oldstable-security", True),
        ("Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security", True),
        ("UbuntuESMApps:22.04/jammy-apps-security", True),
        ("Debian:12.15/oldstable", False),
        ("Ubuntu:24.04/noble-updates", False),
        (". nodistro:nodistro", False),
        ("Tools:1/stable-security-tools", False),
    ],
)
def test_the_archive_tells_what_is_security(origin: str, *, security: bool) -> None:
    """An update is one of security where any of its archives is."""
    line = f"Inst a [1.0] (2.0 {origin} [amd64])\n"

    (update,) = apt.parse_updates(output(HEAD + line)).updates

    assert (update.security, update.old, update.new) == (security, "1.0", "2.0")


@pytest.mark.parametrize(
    ("line", "uri"),
    [
        ("deb http://mirror.example.com/debian bookworm main", "http://mirror.example.com/debian"),
        (
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example.com/d/ bookworm main",
            "http://m.example.com/d/",
        ),
        (
            "deb  mirror+file:/etc/apt/mirrors/x.list   bookworm  main # why",
            "mirror+file:/etc/apt/mirrors/x.list",
        ),
    ],
)
def test_one_line_sources(line: str, uri: str) -> None:
    """Options and comments of a line do not hide its archive and suite."""
    (source,) = apt.parse_sources(f"== /etc/apt/sources.list\n{line}\n")

    assert (source.uri, source.suite, source.components) == (uri, "bookworm", ("main",))


SETTINGS = (
    "== settings\nAPT::Architecture \"amd64\";\ndpkg amd64\nlists='/var/lib/apt/lists/'\n"
    "status='/var/lib/dpkg/status'\nlist='/etc/apt/sources.list'\n"
    "parts='/etc/apt/sources.list.d/'\npins='/etc/apt/preferences'\n"
)


def pins(text: str, file: str = "/etc/apt/preferences.d/x") -> str:
    lines = "".join(f"|{line}\n" for line in text.splitlines())
    return f"{SETTINGS}== pins {file}\n{lines}\n== policy\n== installed\n== end\n"


def test_stanzas_of_pins() -> None:
    """Comments, explanations, folded lines and small letters are read as apt reads them."""
    policy = parse_policy(
        pins(
            "# why\nExplanation: only this\n\nExplanation: because\npackage: a\n b*\n"
            "Pin: release o=Debian, n=bookworm\nPin-Priority: -1\n\n"
            'Package: *\nPin: origin ""\nPin-Priority: many\n'
        )
    )

    assert [(p.packages, p.kind, p.argument, p.priority) for p in policy.pins] == [
        (("a", "b*"), "release", "o=Debian, n=bookworm", -1),
        (("*",), "origin", '""', None),
    ]
    assert [p.general for p in policy.pins] == [False, True]
    assert len(policy.doubts) == 1


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("/etc/apt/preferences", True),
        ("/etc/apt/preferences.d/50pin", True),
        ("/etc/apt/preferences.d/a.b.pref", True),
        ("/etc/apt/preferences.d/a.bak", False),
        ("/etc/apt/preferences.d/a b", False),
    ],
)
def test_files_of_pins_that_apt_reads(file: str, *, read: bool) -> None:
    """A file counts by its name, as in apt_preferences(5)."""
    policy = parse_policy(pins("Package: *\nPin: origin x\nPin-Priority: 1\n", file))

    assert policy.restricted is read


def index(priority: int, letters: str, site: str = "x") -> IndexPriority:
    return IndexPriority(priority, dict(p.split("=") for p in letters.split(",")), site)


@pytest.mark.parametrize(
    ("security", "release", "reached"),
    [
        *((500, 500, True), (990, 500, True), (100, 100, True), (1001, -1, True)),
        *((499, 500, False), (500, 501, False), (99, 1, False), (-1, -10, False)),
    ],
)
def test_the_security_source_is_reached_by_its_priority(
    security: int, release: int, *, reached: bool
) -> None:
    """It is, from 100 on, where the release has no more; as apt chooses candidates."""
    policy = AptPolicy(
        target="x",
        indexes=(
            index(security, "o=Debian,l=Debian-Security,a=s,n=x-security"),
            index(release, "o=Debian,l=Debian,a=stable,n=x"),
            index(2000, "o=Debian,l=Debian,a=stable-backports,n=x"),
            index(2000, "o=Other,l=Other,a=stable,n=x"),
        ),
    )
    fields = [{"o": "Debian", "l": "Debian-Security", "a": "s", "n": "x-security"}]

    reach = reach_of(policy, fields, ("x", "x-updates"))

    assert (not reach.faults, reach.doubts) == (reached, ())


def test_one_whole_source_of_security_updates_is_enough() -> None:
    """An odd source beside a plain one takes nothing away; alone, it is named."""
    odd = apt.AptSource("http://a", "x-security", ("main",), (("trusted", "yes"),))
    local = apt.AptSource("file:/a", "x-security", ("main",), (("trusted", "yes"),))
    plain = apt.AptSource("http://b", "x-security", ("main",))

    assert apt.source_doubts([odd, plain], "amd64") == ()
    assert apt.source_doubts([local], "amd64") == ()
    assert len(apt.source_doubts([odd], "amd64")) == 1


def test_stanzas_of_sources() -> None:
    """Each suite of each archive is a source; folded lines go on; Enabled: no hides all."""
    text = (
        "== /etc/apt/sources.list.d/a.sources\nTypes: deb\nURIs: http://a http://b\n"
        "Suites: x\n y/\nSigned-By:\n -----BEGIN\n .\n\nTypes: deb\nURIs: http://c\nSuites: z\n"
        "Enabled: No\n== /etc/apt/sources.list\ndeb http://d w\n"
    )

    assert [(s.uri, s.suite) for s in apt.parse_sources(text)] == [
        ("http://a", "x"),
        ("http://a", "y"),
        ("http://b", "x"),
        ("http://b", "y"),
        ("http://d", "w"),
    ]


def test_the_script_knows_the_distributions_of_apt() -> None:
    """What the prelude takes for a host of apt are the distributions of the table."""
    (ids,) = re.findall(r"\^ID=\.\?\(([a-z|]+)\)", PRELUDE.text)

    assert set(ids.split("|")) == {d.id for d in DISTRIBUTIONS if d.manager is APT}


def test_the_script_prints_the_options_of_dnf_that_decide() -> None:
    """The parser knows the options that the section prints, and no others."""
    assert f"decisive='{dnf._DECISIVE}'\n" in dnf.DNF_INDEX.shown


def test_the_apt_sections_write_nothing(tmp_path: Path) -> None:
    """The real apt, in a tree of its own, leaves it as it was and gives a whole answer."""
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is not here")
    environment = _apt_tree(tmp_path)
    before = list(_listing(tmp_path))
    answers = {
        section.name: subprocess.run(
            ["sh", "-c", re.sub(r"(?<![\w*.])/(?=(etc|var)/)", f"{tmp_path}/", alone(section))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            check=False,
        )
        for section in (apt.APT, apt.APT_SOURCES, apt.APT_INDEX, APT_POLICY)
    }

    assert list(_listing(tmp_path)) == before
    simulated = answers["apt"]
    pending = apt.parse_updates(output(simulated.stdout, simulated.returncode, simulated.stderr))
    assert "tool" in str(pending)
    assert answers["apt_sources"].stdout.startswith(f"== {tmp_path}/etc/apt/sources.list\ndeb ")
    assert answers["apt_index"].stdout.startswith("== stamps\n")


def _apt_tree(root: Path) -> dict[str, str]:
    """Make a root in which the package tool 1 is installed and 2 is known; return apt's variables."""
    package = "Package: tool\nVersion: {}\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    installed = package.format(1).replace("\n", "\nStatus: install ok installed\n", 1)
    known = package.format(2) + "Filename: ./tool.deb\nSize: 1\nSHA256: " + "0" * 64 + "\n"
    lists = root / "var/lib/apt/lists"
    index = f"{str(root).replace('_', '%5f').replace('/', '_')}_repository_._Packages"
    for path, text in {
        root / "etc/apt/sources.list": f"deb [trusted=yes] file:{root}/repository ./\n",
        root / "etc/apt/preferences.d/none": "",
        root / "var/lib/dpkg/status": installed,
        root / "var/cache/apt/archives/partial/none": "",
        root / "var/log/apt/none": "",
        lists / "partial/none": "",
        lists / index: known,
        root / "apt.conf": f'Dir "{root}";\nDir::State::status "{root}/var/lib/dpkg/status";\n',
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {
        "APT_CONFIG": str(root / "apt.conf"),
        "LC_ALL": "C",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    }


def _listing(root: Path) -> Iterator[tuple[str, int, int]]:
    for path in sorted(root.rglob("*")):
        stat = path.lstat()
        yield str(path), stat.st_mtime_ns, stat.st_size


VERSIONS = st.from_regex(r"[0-9][0-9a-b~.+]{0,6}(-[0-9a~.]{1,3})?", fullmatch=True)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_versions_are_in_a_total_order(one: str, two: str, three: str) -> None:
    """Both orders are total: sorted is sorted, whatever the order before."""
    for key in (dpkg_key, rpm_key):
        ways = [sorted(way, key=key) for way in ([one, two, three], [three, one, two])]
        assert [key(v) for v in ways[0]] == [key(v) for v in ways[1]]
    assert compare_rpm(one, two) == -compare_rpm(two, one)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("5.9-1", "5.10-1"),
        ("1.0~rc1-1", "1.0-1"),
        ("6.1.159-1", "6.1.159-1+b1"),
        ("1.0-1", "1:0.5-1"),
        ("6.8.0-88.89~22.04.1", "6.8.0-88.89"),
    ],
)
def test_dpkg_orders_versions(older: str, newer: str) -> None:
    """Numbers are numbers, a tilde is before the end, an epoch before all."""
    assert dpkg_key(older) < dpkg_key(newer)
    if shutil.which("dpkg"):
        asked = subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=False)
        assert asked.returncode == 0


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("5.14.0-687.5.3.el9_8", "5.14.0-687.12.1.el9_8"),
        ("1.0~rc1-1", "1.0-1"),
        ("1.0-1", "1.0^git1-1"),
        ("1.0^git1-1", "1.0.1-1"),
        ("1.0a-1", "1.0.1-1"),
    ],
)
def test_rpm_orders_versions(older: str, newer: str) -> None:
    """Numbers are newer than letters, a tilde is before the end, a caret after it."""
    assert (compare_rpm(older, newer), compare_rpm(newer, older)) == (-1, 1)
