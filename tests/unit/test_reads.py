"""What the host script reads of a disk: with a cap, regular files alone, or it says so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_droplet.connection.script import PRELUDE, alone
from pytest_droplet.facts.auditd.audit_cover import AUDIT_COVER
from pytest_droplet.facts.auditd.audit_files import AUDIT_RULES
from pytest_droplet.facts.auditd.auditd import AUDITD_CONF
from pytest_droplet.facts.auditd.boot import BOOT
from pytest_droplet.facts.firewall.firewall_managers import FIREWALL_FILES
from pytest_droplet.facts.firewall.firewall_saved import SAVED
from pytest_droplet.facts.host.os_release import DEBIAN_VERSION, OS, UBUNTU_PRO
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.facts.patches.automatic_updates import AUTOMATIC
from pytest_droplet.facts.patches.dnf import DNF_INDEX
from pytest_droplet.facts.patches.kernels import KERNELS, REBOOT
from pytest_droplet.facts.ssh.sshd import SSHD, parse_sshd
from pytest_droplet.facts.sshkeys.accounts import ACCOUNTS
from pytest_droplet.facts.sshkeys.authorized_keys import KEYS, parse_authorized_keys
from pytest_droplet.facts.tls.apache import APACHE
from pytest_droplet.facts.tls.certificate_files import CERTIFICATES, parse_certificate_files
from pytest_droplet.facts.tls.nginx import NGINX
from pytest_droplet.facts.tls.renewal import RENEWAL
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.script_files import ScriptFile, read_script
from tests.support.key_files import proc_without_servers
from tests.support.ssh_server import needs
from tests.unit.test_script_files import PATHS

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root has files of root and of others")

CAP = 1_000_000
MOST_MEMORY_KB = 64 * 1024
READERS = {"cat": 0, "grep": 1, "sed": 1, "awk": 1, "tail": 0, "sort": 0, "cut": 0, "uniq": 0}
"""Commands that read a file, with how many words before it are none: a pattern, a program."""
TAKE_A_WORD = {
    **dict.fromkeys(("cat", "sort", "cut", "uniq"), frozenset[str]()),
    "grep": frozenset({"-e"}),
    "sed": frozenset({"-e"}),
    "awk": frozenset({"-v"}),
    "tail": frozenset({"-n", "-c"}),
}
"""Their options that the next word belongs to."""
EXCEPTIONS = {
    ("connection/prelude.sh", '<"$1"'): "read_capped itself, which judges what it opened",
    ("connection/prelude.sh", '<"$1/status"'): "a folder of /proc",
    ("connection/prelude.sh", '<"$process/comm"'): "a folder of /proc",
    ("connection/prelude.sh", '<"$process/cmdline"'): "a folder of /proc",
    ("facts/ssh/sshd_configuration.sh", '<"$process/cmdline"'): "a folder of /proc",
    ("facts/sshkeys/authorized_keys.sh", '<"$3"'): "its size was asked of what is open",
    ("facts/tls/apache.sh", '. "$file"'): "the distribution's own init does so, as root",
    ("facts/patches/apt.sh", '"$2"'): "an option and a pattern, and no file",
    ("facts/patches/apt_index.sh", '"$file"'): "indexes that apt itself reads whole",
    ("facts/patches/apt_policy.sh", '"$file"'): "settings of root that apt itself reads whole",
}


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a syntax tree."""
    if isinstance(tree, dict):
        yield tree
        for child in tree.values():
            yield from nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from nodes(child)


def reads(file: ScriptFile) -> Iterator[str]:
    """Yield the words of a script that a command would open as a file of a disk."""
    tool = Path(sysconfig.get_path("scripts"), "shfmt")
    needs(str(tool))
    done = subprocess.run(
        [tool, "-ln=posix", "--to-json"], input=file.text.encode(), capture_output=True, check=True
    )
    text = file.text.encode()

    def word(node: Mapping[str, Any]) -> str:
        return text[node["Pos"]["Offset"] : node["End"]["Offset"]].decode()

    for node in nodes(json.loads(done.stdout)):
        for redirect in node.get("Redirs", ()):
            if redirect["Op"] == "<" and not is_of_kernel(word(redirect["Word"])):
                yield f"<{word(redirect['Word'])}"
        if node.get("Type") == "CallExpr":
            words = [word(w) for w in node.get("Args", ())]
            yield from operands(words)


def operands(words: list[str]) -> Iterator[str]:
    """Yield what a command is told to read beside its input."""
    name, rest = (words[0], words[1:]) if words else ("", [])
    if name == ".":
        yield " ".join(words)
    if name == "head" and "-c" not in rest:
        rest = [w for w in rest if not w.startswith("-")]
        yield from (w for w in rest if not is_of_kernel(w))
    if name not in READERS:
        return
    skipped, found = READERS[name], list[str]()
    while rest:
        option = rest.pop(0)
        if not option.startswith("-"):
            found.append(option)
        elif option in TAKE_A_WORD[name]:
            skipped -= option == "-e" and skipped > 0
            del rest[:1]
    yield from (w for w in found[skipped:] if not is_of_kernel(w))


def is_of_kernel(word: str) -> bool:
    """Whether a section names a file of the kernel itself."""
    return word.strip('"').startswith(("/proc/", "/sys/", "/dev/null"))


SHELL = [path for path in PATHS if path.endswith(".sh")]


@pytest.mark.parametrize("path", SHELL)
def test_a_section_reads_no_file_without_a_cap(path: str) -> None:
    """A command is given what read_capped, read_all or "head -c" print, and never a path."""
    found = [read for read in reads(read_script(path)) if (path, read) not in EXCEPTIONS]

    assert found == []


def test_every_exception_is_needed() -> None:
    """The list does not outlive its reasons."""
    assert {(path, r) for path in SHELL for r in reads(read_script(path))} >= set(EXCEPTIONS)


@pytest.mark.parametrize("path", [p for p in PATHS if p.endswith(".awk")])
def test_an_awk_program_opens_nothing(path: str) -> None:
    """It reads its input."""
    assert "getline" not in read_script(path).text


@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("cat /etc/x", ["/etc/x"]),
        ("grep -E x", []),
        ("grep -qsE x /etc/x", ["/etc/x"]),
        ("sed -n -e x /etc/x", ["/etc/x"]),
        ("sed -nE -e 's/a/b/p' -e d", []),
        ("awk -F: -v a=b program", []),
        ("awk program $files", ["$files"]),
        ("head -c 5 /etc/x", []),
        ("head -n1 /etc/x", ["/etc/x"]),
        ("tail -n1", []),
        ("cat /proc/cmdline", []),
        (". /etc/x", [". /etc/x"]),
        ("{ true; } </etc/x", ["</etc/x"]),
        ("true </dev/null", []),
    ],
)
def test_a_read_is_seen(command: str, read: list[str]) -> None:
    """The test of the sections would fail."""
    assert list(reads(ScriptFile("x.sh", command))) == read


# --- the prelude ----------------------------------------------------------------------------


def in_prelude(command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command behind the prelude."""
    return subprocess.run(
        [shutil.which("sh") or "sh", "-c", f"{PRELUDE.packed}{command}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **more,
    )


@pytest.mark.parametrize("size", [0, 1, CAP, CAP + 1])
def test_a_file_is_read_whole_or_not_at_all(size: int, tmp_path: Path) -> None:
    """One that is longer than the cap is marked past the filter, and nothing of it is read."""
    (tmp_path / "file").write_bytes(b"x" * size)

    done = in_prelude(f"read_capped {tmp_path}/file | wc -c; read_all {tmp_path}/file | wc -c")

    marks = done.stdout.count(f"\n!! {tmp_path}/file\n")
    counts = [int(w) for w in re.findall(r"^\d+$", done.stdout, re.MULTILINE)]
    head = len(f"==> {tmp_path}/file <==\n")
    if size > CAP:
        assert (marks, counts) == (2, [0, 0])
    else:
        assert (marks, counts) == (0, [size, size + head])


@pytest.mark.parametrize("what", ["folder", "fifo", "proc", "sysfs", "link", "nothing", "loop"])
def test_what_is_no_regular_file_is_not_read(what: str, tmp_path: Path) -> None:
    """Neither a link to a file of the kernel, nor what would wait for somebody to write."""
    path = tmp_path / "file"
    match what:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "proc":
            path.symlink_to("/proc/version")
        case "sysfs":
            path.symlink_to("/sys/kernel/uevent_seqnum")
        case "link":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)

    done = in_prelude(f"x=$(read_capped {path}) && echo read; echo [$x]")

    assert done.stdout == f"\n!! {path}\n[]\n"


def test_without_find_nothing_was_read(tmp_path: Path) -> None:
    """What cannot be told is not regular; it is unread, and not absent."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "head").symlink_to(shutil.which("head") or "")

    done = in_prelude(
        f"read_capped {tmp_path}/file; read_all {tmp_path}/file; processes_of sshd",
        env={"PATH": str(tmp_path)},
    )

    assert done.stdout == f"\n!! {tmp_path}/file\n" * 2 + "\n!! processes\n"


def test_many_files_are_told_apart(tmp_path: Path) -> None:
    """Each stands behind its name, whether or not it ends with a line feed; folders are left out."""
    (tmp_path / "b.conf").write_text("two")
    (tmp_path / "a.conf").write_text("one\n")
    (tmp_path / "c.conf").mkdir()

    done = in_prelude(f"read_all {tmp_path}/*.conf {tmp_path}/nothing")

    assert done.stdout.replace("\n\n", "\n") == (
        f"==> {tmp_path}/a.conf <==\none\n==> {tmp_path}/b.conf <==\ntwo"
    )


def as_nobody() -> list[str]:
    """Return what runs a command as somebody whom folders may be closed to."""
    return ["setpriv", "--reuid=65534", "--clear-groups"] if os.getuid() == 0 else []


def open_to_all(folder: Path) -> None:
    """Let everybody search the folders of a test."""
    while folder.owner() == Path.home().owner() and folder.stat().st_mode & 0o077 == 0:
        folder.chmod(0o755)
        folder = folder.parent


def test_absence_is_believed_where_it_can_be_seen(tmp_path: Path) -> None:
    """A folder that cannot be searched, and a link that leads nowhere, may hide a file."""
    open_to_all(tmp_path)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "closed/file")
    (tmp_path / "closed").chmod(0)
    asked = ["nothing", "no/such/file", "closed/file", "closed/x/y", "link"]
    command = "; ".join(
        f"explain_absence {tmp_path}/{name} && echo absent {name}" for name in asked
    )

    try:
        done = subprocess.run(
            [*as_nobody(), "sh", "-c", f"{PRELUDE.packed}{command}"],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (tmp_path / "closed").chmod(0o700)

    assert done.stdout.split("\n") == [
        *("absent nothing", "absent no/such/file", ""),
        *(f"!! {tmp_path}/closed/file", "", f"!! {tmp_path}/closed/x/y", ""),
        *(f"!! {tmp_path}/link", ""),
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may run processes of others")
def test_processes_are_known_by_user_and_program(tmp_path: Path) -> None:
    """Neither the name that a process has, nor its words, nor that of a user's program count."""
    open_to_all(tmp_path)
    for name in ("sshd-of-test", "other"):
        shutil.copy(shutil.which("sleep") or "", tmp_path / name)
    ours = [str(tmp_path / "sshd-of-test"), "60"]
    started = [
        subprocess.Popen(ours),
        subprocess.Popen([*as_nobody(), *ours]),
        subprocess.Popen(["sshd-of-test", "60"], executable=tmp_path / "other"),
    ]
    try:
        replaced = tmp_path / "sshd-of-test"
        needs_all_started(started, tmp_path)
        before = in_prelude("processes_of 'sshd-of-*' nothing").stdout
        replaced.unlink()
        after = in_prelude("processes_of 'sshd-of-*' nothing").stdout
    finally:
        for process in started:
            process.kill()
            process.wait()

    assert before == after == f"{started[0].pid} sshd-of-test\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [("sshd\0-D\0", "\n!! processes\n"), ("", "")],
    ids=["unseen", "ended"],
)
def test_a_process_whose_program_is_unseen_may_be_one(
    words: str, said: str, tmp_path: Path
) -> None:
    """Its name says so then, but for one that has ended, which is no process any more."""
    process = tmp_path / "proc/7"
    process.mkdir(parents=True)
    (process / "exe").write_text("")
    (process / "comm").write_text("sshd\n")
    (process / "cmdline").write_text(words)
    (process / "status").write_text("Name:\tsshd\nUid:\t0\t0\t0\t0\n")
    command = PRELUDE.packed.replace("/proc/", f"{tmp_path}/proc/") + "processes_of sshd"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)

    assert done.stdout == said


def needs_all_started(started: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait until each process runs its own program, and no longer that which starts it."""
    while not all(
        Path(f"/proc/{process.pid}/exe").readlink().parent == folder for process in started
    ):
        assert all(process.poll() is None for process in started)


# --- the sections ---------------------------------------------------------------------------


def run(section: Section, folder: Path, **programs: str) -> SectionOutput:
    """Run a section that finds the files below a folder in place of the machine's own."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name, text in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    command = re.sub(
        r"(?<![\w*.])/(?=(etc|boot|var|usr|lib|run|root|home)/)", f"{folder}/", alone(section)
    )
    command = command.replace("/proc/", f"{proc_without_servers(folder)}/")
    done = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": f"{tools}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return SectionOutput(section.name, done.stdout, done.stderr, done.returncode)


def put(folder: Path, name: str, text: str) -> None:
    """Write a file below a folder."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def sshd_knows_all(output: SectionOutput) -> None:
    """Raise where the configuration was not read whole."""
    parse_sshd(output.stdout).require_all()


def keys_know_all(output: SectionOutput) -> None:
    """Raise where a file of keys was not read."""
    parse_authorized_keys(output.stdout).require_all()


def certificate_is_known(output: SectionOutput) -> None:
    """Raise where the certificate was not read."""
    files = parse_certificate_files(output.stdout)
    for path in files.certificates:
        files.certificate(path)


class Row(NamedTuple):
    """A file that a section reads, what raises where it was not, and files that it needs beside."""

    section: Section
    name: str
    known: Callable[[SectionOutput], object]
    files: Mapping[str, str]
    marks: tuple[pytest.MarkDecorator, ...] = ()


DEBIAN, FEDORA = {"etc/os-release": "ID=debian\n"}, {"etc/os-release": "ID=fedora\n"}
NGINX_V = "echo nginx version: nginx/1.2; echo arguments: --conf-path={folder}/etc/nginx/n.conf"
SAYS_KEYS = {
    "sshd": "echo 'authorizedkeysfile .ssh/keys'; echo port 22; echo passwordauthentication no\n"
    "echo debug2: load_server_config: filename {folder}/etc/ssh/sshd_config >&2",
    "getent": "echo root:x:0:0::{folder}/root:/bin/sh",
    "systemctl": "",
    "dpkg-query": "",
    "rpm": "",
    "setpriv": "",
}
LONG = [
    Row(OS, "etc/os-release", whole, {}),
    Row(DEBIAN_VERSION, "etc/debian_version", whole, {}),
    Row(UBUNTU_PRO, "var/lib/ubuntu-advantage/status.json", whole, {}),
    Row(KERNELS, "etc/os-release", whole, {}),
    Row(REBOOT, "run/reboot-required.pkgs", whole, {**DEBIAN, "run/reboot-required": ""}),
    Row(AUTOMATIC, "etc/dnf/automatic.conf", whole, FEDORA),
    Row(DNF_INDEX, "etc/yum.repos.d/a.repo", whole, {}),
    Row(DNF_INDEX, "etc/dnf/dnf.conf", whole, {}),
    Row(ACCOUNTS, "etc/shadow", whole, {}),
    Row(ACCOUNTS, "etc/login.defs", whole, {"etc/shadow": "root:*:::::::\n"}),
    Row(ACCOUNTS, "etc/nsswitch.conf", whole, {"etc/shadow": "root:*:::::::\n"}),
    Row(AUDIT_COVER, "etc/login.defs", whole, {}),
    Row(AUDIT_COVER, "etc/sudoers.d/a", whole, {}),
    Row(AUDIT_RULES, "etc/audit/rules.d/a.rules", whole, {}),
    Row(AUDIT_RULES, "etc/audit/audit.rules", whole, {}),
    Row(AUDITD_CONF, "etc/audit/auditd.conf", whole, {}),
    Row(AUDITD_CONF, "etc/audit/plugins.d/a.conf", whole, {"etc/audit/auditd.conf": "a = b\n"}),
    Row(BOOT, "boot/grub/grub.cfg", whole, {}),
    Row(BOOT, "boot/loader/entries/a.conf", whole, {}),
    Row(FIREWALL_FILES, "etc/ufw/ufw.conf", whole, {}),
    Row(FIREWALL_FILES, "etc/nftables.conf", whole, {}),
    Row(SAVED, "etc/ufw/user.rules", whole, {}),
    Row(SAVED, "etc/NetworkManager/system-connections/a", whole, {}),
    Row(NGINX, "etc/nginx/n.conf", whole, {}),
    Row(NGINX, "etc/nginx/part", whole, {"etc/nginx/n.conf": "include part;\n"}),
    Row(SSHD, "etc/ssh/sshd_config", sshd_knows_all, {"etc/shadow": "root:*:::::::\n"}),
    Row(SSHD, "etc/shadow", sshd_knows_all, {"etc/ssh/sshd_config": "Port 22\n"}),
    Row(KEYS, "etc/ssh/sshd_config", keys_know_all, {}),
    Row(KEYS, "root/.ssh/keys", keys_know_all, {"etc/ssh/sshd_config": "Port 22\n"}),
    Row(CERTIFICATES, "etc/ssl/a.pem", certificate_is_known, {}),
    # Cron runs what belongs to root alone.
    Row(RENEWAL, "etc/crontab", whole, {}, (as_root,)),
    Row(RENEWAL, "etc/cron.daily/a", whole, {}, (as_root,)),
    Row(RENEWAL, "etc/letsencrypt/renewal/a.conf", whole, {}),
]


@pytest.mark.parametrize("length", [1, CAP + 1], ids=["short", "long"])
@pytest.mark.parametrize(
    "row", [pytest.param(r, id=f"{r.section.name}-{r.name}", marks=r.marks) for r in LONG]
)
def test_a_file_that_is_too_long_was_not_read(row: Row, length: int, tmp_path: Path) -> None:
    """What a section makes of it is not known; of the same file within the cap it is."""
    for other, text in row.files.items():
        put(tmp_path, other, text)
    put(tmp_path, "etc/nginx/certificate", f"ssl_certificate {tmp_path}/etc/ssl/a.pem;\n")
    put(tmp_path, row.name, "#\n" * length)
    programs = {n: text.format(folder=tmp_path) for n, text in SAYS_KEYS.items()}
    if row.section is NGINX:
        programs["nginx"] = NGINX_V.format(folder=tmp_path)

    output = run(row.section, tmp_path, **programs)

    if length > CAP:
        with pytest.raises(NotObservedError):
            row.known(output)
    else:
        row.known(output)


def test_a_configuration_of_apache_that_is_too_long_was_not_read(tmp_path: Path) -> None:
    """The server itself would read it."""
    put(tmp_path, "etc/apache2/apache2.conf", "#\n" * CAP)
    dump = f"echo 'Server version: Apache/2'; echo ' (*) {tmp_path}/etc/apache2/apache2.conf'"

    output = run(APACHE, tmp_path, apache2=dump)

    with pytest.raises(NotObservedError, match="could not be read"):
        whole(output)


@pytest.mark.parametrize("home", ["", "nowhere", "no/where", "/no/where"])
def test_a_home_that_is_not_there_holds_nothing_up(home: str, tmp_path: Path) -> None:
    """One without a slash lies in /, where sshd runs; nothing is there, and all is known."""
    put(tmp_path, "etc/ssh/sshd_config", "Port 22\n")
    programs = {n: text.format(folder=tmp_path) for n, text in SAYS_KEYS.items()}
    programs["getent"] = f"echo root:x:0:0::{home}:/bin/sh"

    output = run(KEYS, tmp_path, **programs)

    keys_know_all(output)


@pytest.mark.parametrize("section", [KEYS, SSHD], ids=lambda s: s.name)
def test_a_sparse_file_costs_no_memory(section: Section, tmp_path: Path) -> None:
    """No process of a section grows with a file of 20 GB that a user has made."""
    put(tmp_path, "etc/ssh/sshd_config", "Port 22\n")
    put(tmp_path, "etc/shadow", "root:*:::::::\n")
    put(tmp_path, "root/.ssh/keys", "")
    os.truncate(tmp_path / "root/.ssh/keys", 20 * 2**30)
    programs = {n: text.format(folder=tmp_path) for n, text in SAYS_KEYS.items()}
    run(section, tmp_path, **programs)  # puts the programs there
    command = re.sub(r"(?<![\w*.])/(?=(etc|root|home)/)", f"{tmp_path}/", alone(section))
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run(['sh', '-c', sys.argv[1]], stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", measure, command],
        env={"PATH": f"{tmp_path}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert 0 < int(done.stdout) < MOST_MEMORY_KB


@as_root
@pytest.mark.parametrize(
    ("crontab_of", "script_of", "mode", "found"),
    [
        (0, 0, 0o755, True),
        (0, 0, 0o775, False),
        (0, 65534, 0o755, False),
        (65534, 0, 0o755, False),
    ],
)
def test_a_path_that_a_user_wrote_is_not_opened(
    crontab_of: int, script_of: int, mode: int, *, found: bool, tmp_path: Path
) -> None:
    """A script is looked into where root alone may write to it and to what names it."""
    script = tmp_path / "script"
    put(tmp_path, "script", "certbot renew\n")
    put(tmp_path, "var/spool/cron/crontabs/root", f"# x\n17 3 * * * sh {script}\n")
    script.chmod(mode)
    os.chown(script, script_of, 0)
    os.chown(tmp_path / "var/spool/cron/crontabs/root", crontab_of, 0)
    (tmp_path / "var/spool/cron/crontabs/root").chmod(0o600)

    output = run(RENEWAL, tmp_path, systemctl="exit 1")

    assert ("5 17 3 * * * sh _\n0 certbot renew\n" in output.stdout) is found
    assert whole(output).stdout.endswith("\nend\n" if found else "end\n")


def test_a_user_may_name_a_client_and_no_file_of_the_kernel(tmp_path: Path) -> None:
    """No crontab of a user is read, nothing that it names, nor what links to it."""
    needs("strace")
    put(tmp_path, "var/spool/cron/x", "@daily certbot renew\n1 2 * * 0 x /proc/kmsg\n")
    (tmp_path / "var/spool/cron/x").chmod(0o666)
    put(tmp_path, "etc/cron.d/y", f"1 2 * * * root x {tmp_path}/link\n")
    (tmp_path / "link").symlink_to("/proc/kmsg")
    (tmp_path / "trace").touch()
    command = re.sub(r"(?<![\w*.])/(?=(etc|var)/)", f"{tmp_path}/", alone(RENEWAL))
    traced = ["strace", "-f", "-qq", "-e", "trace=openat", "-o", str(tmp_path / "trace")]

    done = subprocess.run(
        [*traced, "sh", "-c", command], capture_output=True, text=True, check=False
    )

    assert "certbot" not in done.stdout
    opened = (tmp_path / "trace").read_text()
    assert f'"{tmp_path}/etc/cron.d/y"' in opened
    assert f'"{tmp_path}/var/spool/cron/' not in opened
    assert "kmsg" not in opened
    assert f'"{tmp_path}/link"' not in opened


@pytest.mark.parametrize("awk", ["mawk", "gawk", "busybox awk"])
@pytest.mark.parametrize(
    "line",
    [
        "1 2 * * * root certbot renew --password=secret -psecret secret 'a secret' > /secret",
        "@daily root SECRET=secret certbot renew --token secret # secret",
        '1 2 * * * root secret "x;secret" `secret` $(secret) && certbot',
    ],
)
def test_of_a_command_no_secret_leaves_the_host(awk: str, line: str) -> None:
    """Only known words do, and names of options."""
    needs(awk.split(maxsplit=1)[0])
    done = subprocess.run(
        [*awk.split(), "-v", "fields=6", read_script("facts/tls/commands.awk").packed],
        input=f"{line}\n",
        capture_output=True,
        text=True,
        check=True,
    )

    assert "certbot" in done.stdout
    assert "secret" not in done.stdout.lower()
