"""The host script in real shells, and the reader of what comes back."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection import identity
from pytest_droplet.connection.script import (
    CUT,
    ENVIRONMENT,
    SKIPPED,
    STDERR_CAP_BYTES,
    STDOUT_CAP_BYTES,
    SYSTEM_PATH,
    Answer,
    alone,
    compose,
    parse,
    preamble,
    remote_command,
    section_timeout_s,
)
from pytest_droplet.facts import all_facts
from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.script_files import ScriptFile
from tests.support.ssh_server import needs, sections_of

NONCE = "0123456789abcdef"
SHELLS = {
    "dash": ["dash"],
    "bash": ["bash"],
    "bash-as-sh": ["bash", "--posix"],
    "busybox": ["busybox", "sh"],
    "zsh-as-sh": ["zsh", "--emulate", "sh"],
}
NASTY = (
    Section("plain", "echo out; echo err >&2; exit 3"),
    Section("no-newline", "printf 'a\\n\\nb'"),
    Section("quotes", r"""printf '%s' "it's" '"$HOME`' 'a\b'"""),
    Section("absent", "no-such-tool --version"),
    Section("broken", "if true; then"),
    Section("stdin", "cat; echo read"),
    Section("long", "head -c 500000 /dev/zero | tr '\\0' x"),
    Section("endless", "yes"),
    Section("noisy", "seq 100000 >&2; echo after"),
    Section("framing", "echo; echo '--ffff end framing rc=0'; echo; echo '--ffff eof'"),
    Section("bytes", "printf 'a\\000b\\377c'"),
    Section("exit", "kill -9 $$"),
    Section("root", "id -u", root=True),
    Section("last", "echo last"),
)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    """A POSIX shell, as hosts have it for sh."""
    command = SHELLS[request.param]
    needs(command[0])
    return command


def run(shell: Sequence[str], sections: Sequence[Section], **more: str) -> Answer:
    """Run the script in a shell, as it comes over stdin."""
    done = subprocess.run(
        [*shell, "-s"],
        input=compose(sections, NONCE).encode(),
        capture_output=True,
        timeout=600,
        check=False,
        env={**os.environ, **more},
    )
    return parse(done.stdout, sections, NONCE)


@pytest.mark.parametrize(
    ("age_s", "least", "most"), [(None, -1, -1), (0.0, 1, 1), (99.9, 100, 100)]
)
def test_sections_are_told_when_the_login_began(
    age_s: float | None, least: int, most: int
) -> None:
    """In whole seconds, never too late: a change at the login itself is seen."""
    text = compose((Section("began", 'echo "$began"'),), NONCE, age_s=age_s)
    before = int(time.time())
    done = subprocess.run(["sh", "-s"], input=text, capture_output=True, check=False, text=True)
    after = int(time.time())

    began = int(done.stdout.partition("begin began\n")[2].split()[0])
    assert before - most <= began <= after - least


def test_servers_of_tests_find_the_sections_of_a_script() -> None:
    """A server that answers without a shell knows what it is asked, and what only root may run."""
    every = {s.name: s for fact in all_facts().values() for s in fact.sections}
    wanted = [*NASTY, *every.values()]

    asked = sections_of(compose(wanted, NONCE).encode())

    assert [(a.name, a.root) for a in asked] == [(s.name, s.root) for s in wanted]
    assert shlex.split(asked[0].quoted) == [NASTY[0].command]


def test_every_shell_gives_the_same_answer(shell: list[str]) -> None:
    """Output, standard error and status of each section come back whole, or say they are cut."""
    answer = run(shell, NASTY)

    assert answer.complete
    assert answer.uid == os.getuid()
    got = answer.sections
    assert (got["plain"].stdout, got["plain"].stderr, got["plain"].rc) == ("out\n", "err\n", 3)
    assert got["no-newline"].stdout == "a\n\nb"
    assert got["quotes"].stdout == r"""it's"$HOME`a\b"""
    assert got["absent"].rc == 127
    assert "not found" in got["absent"].stderr
    assert got["broken"].rc == 2
    assert got["broken"].stderr
    assert got["stdin"].stdout == "read\n"
    for name in ("long", "endless"):
        assert got[name].truncated
        assert len(got[name].stdout) == STDOUT_CAP_BYTES
    assert got["endless"].missing == "it printed more than 450,000 bytes, and was cut there"
    assert not got["noisy"].truncated
    assert got["noisy"].stdout == "after\n"
    assert got["noisy"].stderr.endswith("\n100000\n")
    assert len(got["noisy"].stderr) <= STDERR_CAP_BYTES
    assert got["framing"].stdout == "\n--ffff end framing rc=0\n\n--ffff eof\n"
    assert got["bytes"].stdout == "a\0b\N{REPLACEMENT CHARACTER}c"
    assert got["exit"].missing == "it was killed on the host before its end (status 137)"
    assert got["last"].stdout == "last\n"
    if os.getuid() == 0:
        assert got["root"].stdout == "0\n"
    else:
        assert got["root"].missing == SKIPPED


def test_the_hosts_own_work_comes_first(shell: list[str]) -> None:
    """The script runs at low priority of processor and disk."""
    sections = (Section("cpu", "nice"), Section("disk", "ionice -p $$"))
    found = run(shell, sections).sections
    assert int(found["cpu"].stdout) >= 10
    assert found["disk"].stdout == "best-effort: prio 7\n"


@pytest.mark.parametrize(("of_host", "of_section"), [(1, 25), (60, 25), (61, 25), (600, 250)])
def test_who_gives_a_host_more_time_gives_its_sections_more(of_host: int, of_section: int) -> None:
    """The usual limit is the least, and it grows with that of the host."""
    assert section_timeout_s(of_host) == of_section
    assert f"timeout -k 5 {of_section}" in compose((), NONCE, timeout_s=section_timeout_s(of_host))


def test_a_bound_of_the_address_space_holds_for_its_section(shell: list[str]) -> None:
    """What needs more ends as failed; a section without a bound has the login's."""
    eats = """awk 'BEGIN { s = "x"; while (length(s) < 200000000) s = s s; print "had it" }'"""
    sections = (Section("bound", eats, address_space_mb=64), Section("free", eats))
    found = run(shell, sections).sections
    assert found["bound"].stdout == ""
    assert found["bound"].rc
    assert found["free"].stdout == "had it\n"


def test_without_root_a_root_section_is_not_run() -> None:
    """A section that needs root is marked, not run by somebody else."""
    sections = (Section("shadow", "echo ran", root=True), Section("os", "id -u"))
    command = ["setpriv", "--reuid=65534", "--clear-groups"] if os.getuid() == 0 else ["env"]

    answer = run([*command, "sh"], sections)

    assert answer.uid not in {0, None}
    assert answer.sections["shadow"] == SectionOutput("shadow", missing=SKIPPED)
    assert answer.sections["os"].stdout.strip() == str(answer.uid)


def test_output_that_was_lost_on_its_way_is_missing(shell: list[str], tmp_path: Path) -> None:
    """The command ended well, but what passes its output on was killed before it had it all."""
    head = tmp_path / "head"
    head.write_text('#!/bin/sh\nread -r line\necho "$line"\ncat >/dev/null\nkill -9 $$\n')
    head.chmod(0o755)
    sections = (Section("lost", "echo first; echo second"), Section("next", "true"))
    text = compose(sections, NONCE, as_logged_in=True)
    path = f"{tmp_path}:{os.environ['PATH']}"

    done = subprocess.run(
        [*shell, "-s"], input=text.encode(), capture_output=True, env={"PATH": path}, check=False
    )

    assert b"first" in done.stdout
    lost = parse(done.stdout, sections, NONCE).sections["lost"]
    assert lost.missing == "it was killed on the host before its end (status 137)"


def test_a_section_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit ends one section with status 124; the next one is run."""
    monkeypatch.setattr("pytest_droplet.connection.script.SECTION_TIMEOUT_S", 1)

    answer = run(["sh"], (Section("hangs", "echo began; sleep 60"), Section("next", "echo ok")))

    assert (answer.sections["hangs"].rc, answer.sections["hangs"].stdout) == (124, "began\n")
    assert answer.sections["next"].stdout == "ok\n"


def test_no_file_is_created_or_changed(shell: list[str], tmp_path: Path) -> None:
    """No system call of the script opens a file to write, nor makes, moves or removes one."""
    needs("strace")
    log = tmp_path / "trace"
    sections = (*NASTY, identity.section(7))

    run(
        ["strace", "-f", "-qq", "-e", "trace=file", "-e", "signal=none", "-o", str(log), *shell],
        sections,
    )

    writers = ("O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "rename", "unlink", "chmod", "chown")
    writers += ("link(", "linkat(", "mknod", "truncate", "utime")
    wrote = [
        line
        for line in log.read_text().splitlines()
        if any(w in line for w in writers)
        and "readlink" not in line
        and '"/dev/null"' not in line
        and '"/dev/tty"' not in line
    ]
    assert wrote == []


@given(st.data())
def test_a_cut_script_runs_nothing(data: st.DataObject) -> None:
    """The last line calls all of it: whatever is cut off before that prints no marker."""
    text = compose((Section("one", "echo ran"),), NONCE)
    whole = text.removesuffix(" 9>&1\n")
    cut = data.draw(st.integers(0, len(whole) - 1))

    done = subprocess.run(
        ["dash", "-s"], input=whole[:cut].encode(), capture_output=True, timeout=600, check=False
    )

    assert done.stdout == b""


def test_the_script_has_no_here_document_and_one_nonce() -> None:
    """A section's text is never taken for a part of the frame."""
    sections = (Section("tricky", "echo NONCE SECTIONS STDOUT 'SECONDS'"),)

    text = compose(sections, NONCE)

    assert "<<" not in text
    assert run(["sh"], sections).sections["tricky"].stdout == "NONCE SECTIONS STDOUT SECONDS\n"


@pytest.mark.parametrize("name", ["", "a b", "a'b", "-x", "é", "x\n"])
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="use letters"):
        compose((Section(name, "true"),), NONCE)


def test_one_name_is_one_section() -> None:
    """The same section twice is run once; another under its name is refused."""
    one = Section("os", "true")
    assert compose((one, one), NONCE) == compose((one,), NONCE)
    with pytest.raises(ValueError, match="defined twice"):
        compose((one, Section("os", "false")), NONCE)


def test_what_sections_share_is_sent_once(shell: list[str]) -> None:
    """A file that two sections begin with stands in the script once, and each runs the whole."""
    both = ScriptFile("facts/x/both.sh", '# c\nboth="it\'s $$both"\n')
    ends = [ScriptFile(f"facts/x/{n}.sh", f"    echo {n} '$both' ${{both#it}}\n") for n in "ab"]
    sections = [Section(e.name, both.sent + e.sent, files=(both, e)) for e in ends]

    text = compose(sections, NONCE)
    found = run(shell, sections).sections

    assert text.count("both=") == 2  # as a variable of the frame, and in it
    assert "# c" not in text
    for name in "ab":
        assert re.fullmatch(rf"{name} \$both 's \d+both\n", found[name].stdout)


# --- the remote command line ----------------------------------------------------------------

LOGIN_SHELLS = {
    "dash": ["dash", "-c"],
    "bash": ["bash", "-c"],
    "fish": ["fish", "--no-config", "-c"],
    "csh": ["tcsh", "-f", "-c"],
    "zsh": ["zsh", "-f", "-c"],
    "busybox": ["busybox", "sh", "-c"],
}
CLIENT = "198.51.100.7 50022 203.0.113.5 22"
REFUSES = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"
GRANTS = (
    '#!/bin/sh\n[ "$1" = -n ] && shift\necho "sudo: noise" >&2\nexec /usr/bin/env AS_ROOT=1 "$@"\n'
)


def log_in(folder: Path, login: Sequence[str], sudo: str | None, **options: str) -> Answer:
    """Run the remote command line in a login shell, with programs of uid 1000 for the system's."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "id").write_text("#!/bin/sh\n[ $1 = -u ] && echo 1000 || echo deploy\n")
    if sudo is not None:
        (tools / "sudo").write_text(sudo)
    for tool in tools.iterdir():
        tool.chmod(0o755)
    (tools / "sh").symlink_to(shutil.which("sh") or "sh")
    line = remote_command(**options).replace(SYSTEM_PATH, str(tools))
    line = line.replace("/usr/bin/id", str(tools / "id"))
    sections = (Section("who", "echo ${AS_ROOT:-0}"),)
    text = compose(sections, NONCE)
    done = subprocess.run(
        [shutil.which(login[0]) or login[0], *login[1:], line],
        input=text.encode(),
        capture_output=True,
        timeout=600,
        check=False,
        env={"PATH": str(tools), "HOME": str(folder), "SSH_CONNECTION": CLIENT},
    )
    assert done.stderr == b""
    return parse(done.stdout, sections, NONCE)


@pytest.fixture(params=LOGIN_SHELLS)
def login(request: pytest.FixtureRequest) -> list[str]:
    """A login shell, POSIX or not, that is given the client's command line."""
    command = LOGIN_SHELLS[request.param]
    needs(command[0])
    return command


def test_sudo_that_lets_us_runs_the_script(tmp_path: Path, login: list[str]) -> None:
    answer = log_in(tmp_path, login, GRANTS)
    assert answer.complete
    assert answer.sections["who"].stdout == "1\n"


def test_sudo_that_refuses_has_not_eaten_the_script(tmp_path: Path, login: list[str]) -> None:
    """The login user runs it, and what sudo said is told."""
    answer = log_in(tmp_path, login, REFUSES)
    assert answer.complete
    assert answer.sections["who"].stdout == "0\n"
    assert answer.sections["_id"].stdout.splitlines()[2] == "sudo: a password is required"


def test_without_sudo_the_login_user_runs_the_script(tmp_path: Path, login: list[str]) -> None:
    answer = log_in(tmp_path, login, None)
    assert answer.sections["who"].stdout == "0\n"
    assert answer.sections["_id"].stdout.splitlines()[2].startswith("/usr/bin/env: ")


def test_a_sudo_user_is_handed_over(tmp_path: Path) -> None:
    shows = '#!/bin/sh\necho "$*" >&2\nexit 1\n'
    answer = log_in(tmp_path, ["dash", "-c"], shows, sudo_user="audit")
    assert answer.sections["_id"].stdout.splitlines()[2] == "-n -u audit /bin/sh -s"


def test_nothing_of_the_login_comes_near_the_script(tmp_path: Path, login: list[str]) -> None:
    """No variable, no function of a set-up file, no program of a folder that others may write to."""
    traps = tmp_path / "traps"
    traps.mkdir()
    for name in ("sh", "env", "id", "sudo", "timeout", "head", "tail", "cat", "renice"):
        (traps / name).write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/ran\n")
        (traps / name).chmod(0o755)
    function = "() { echo a function of the login; }"
    sections = (Section("environment", "/usr/bin/env; cat /proc/version"),)
    done = subprocess.run(
        [shutil.which(login[0]) or login[0], *login[1:], remote_command()],
        input=compose(sections, NONCE).encode(),
        capture_output=True,
        timeout=600,
        check=False,
        env={
            **{f"BASH_FUNC_{name}%%": function for name in ("env", "test", "cat", "printf")},
            "PATH": f"{traps}:/usr/bin:/bin",
            "GREP_OPTIONS": "-v",
            "HOME": str(tmp_path),
            "SSH_CONNECTION": CLIENT,
            "LC_ALL": "C.UTF-8",
            "PS4": "$(id)",
        },
    )

    answer = parse(done.stdout, sections, NONCE)

    assert answer.complete
    *variables, kernel = answer.sections["environment"].stdout.splitlines()
    known = {
        "began",
        "PATH",
        "LC_ALL",
        "LANG",
        "SSH_CONNECTION",
        "DROPLET_SUDO",
        "PWD",
        "OLDPWD",
        "SHLVL",
    }
    assert {v.partition("=")[0] for v in variables} - known <= {"_"}
    assert f"SSH_CONNECTION={CLIENT}" in variables
    assert kernel == Path("/proc/version").read_text().strip()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("user", ["", "a b", "a'b", "-x", "a;b", "$x"])
def test_a_sudo_user_that_is_no_name_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="is no user name"):
        remote_command(sudo_user=user)


def test_the_script_looks_where_its_command_line_looked() -> None:
    """Behind sudo, which has a path of its own, the script sets the same folders again."""
    assert f"\nPATH={SYSTEM_PATH}:" in ENVIRONMENT.packed


@pytest.mark.parametrize("sudo_user", [None, "audit"])
def test_the_command_line_is_safe_in_every_shell(sudo_user: str | None) -> None:
    """No sign in it is special inside single quotes of csh or fish."""
    line = remote_command(sudo_user=sudo_user)
    assert line.count("'") == 2
    assert not set(line) & set("!\\\n")


# --- the reader -----------------------------------------------------------------------------

THREE = (Section("a", "x"), Section("b", "x"), Section("c", "x"))


def frame(name: str, body: bytes, rc: int = 0) -> bytes:
    return (
        f"\n--{NONCE} begin {name}\n".encode()
        + body
        + f"\n--{NONCE} end {name} rc={rc}\n".encode()
    )


EOF = f"\n--{NONCE} eof\n".encode()


def whole(bodies: Sequence[bytes]) -> bytes:
    frames = [frame(s.name, b) for s, b in zip(THREE, bodies, strict=True)]
    return frame("_id", b"1000\ndeploy\n") + b"".join(frames) + EOF


def test_noise_before_the_first_marker_is_left_out() -> None:
    raw = b"Welcome!\n--not a marker\n" + whole([b"1", b"2", b"3"])
    answer = parse(raw, THREE, NONCE)
    assert answer.complete
    assert answer.uid == 1000
    assert answer.sections["a"].stdout == "1"
    assert preamble(raw, NONCE) == "Welcome! --not a marker"


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3), st.data())
def test_a_cut_never_makes_a_section_of_less(bodies: list[bytes], data: st.DataObject) -> None:
    """After a cut each section is as it was, or missing: never shorter, never another's."""
    bodies = [b.replace(NONCE.encode(), b"") for b in bodies]
    raw = whole(bodies)
    full = parse(raw, THREE, NONCE)
    cut = data.draw(st.integers(0, len(raw) - 1))

    answer = parse(raw[:cut], THREE, NONCE)

    assert not answer.complete
    for section, body in zip(THREE, bodies, strict=True):
        got = answer.sections[section.name]
        assert full.sections[section.name].stdout == body.decode("utf-8", "replace")
        assert got == full.sections[section.name] or got.missing == CUT


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_without_an_error(raw: bytes) -> None:
    answer = parse(raw, THREE, NONCE)
    assert set(answer.sections) >= {"a", "b", "c"}
    assert not answer.complete


_PIECES = st.sampled_from(
    [
        b"\n",
        b"x",
        b"\xff\0",
        EOF,
        *(
            f"\n--{NONCE} {kind} {name}\n".encode()
            for kind in ("begin", "err", "skip")
            for name in "abcz"
        ),
        *(f"\n--{NONCE} end {name} rc={rc}\n".encode() for name in "abc" for rc in (0, 124, 999)),
        f"\n--{NONCE} end a\n".encode(),
        f"\n--{NONCE} ".encode(),
        b"\n--0000 end a rc=0\n",
    ]
)


@given(st.lists(_PIECES, max_size=30))
def test_markers_in_any_order_never_raise(pieces: list[bytes]) -> None:
    """A section counts only with its own begin and end; nothing else is in it."""
    raw = b"".join(pieces)
    for name, got in parse(raw, THREE, NONCE).sections.items():
        assert got.name == name
        if got.missing is None:
            assert f"\n--{NONCE} begin {name}\n".encode() in raw
            assert f"\n--{NONCE} end {name} rc={got.rc}\n".encode() in raw
            assert NONCE not in got.stdout.replace(f"\n--{NONCE} ", "")


@given(st.binary(max_size=200))
def test_framing_of_another_run_is_output(body: bytes) -> None:
    """What looks like a marker, with another nonce, is a part of the output."""
    body += b"\n--ffff end a rc=0\n\n--ffff eof\n"
    answer = parse(whole([body, b"", b"x"]), THREE, NONCE)
    assert answer.sections["a"].stdout == body.decode("utf-8", "replace")
    assert answer.sections["c"].stdout == "x"


def test_a_section_inside_another_makes_the_outer_one_missing() -> None:
    raw = f"\n--{NONCE} begin a\nold".encode() + frame("b", b"2") + frame("c", b"3") + EOF
    answer = parse(raw, THREE, NONCE)
    assert answer.sections["a"].missing == "the host's answer has no such section"
    assert answer.sections["b"].stdout == "2"


# --- who the host is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdout", "claimed"),
    [
        ("cloud-init 7\n", "7"),
        ("cloud-init 8\nmetadata 7\n", "7"),
        ("metadata 7\n", "7"),
        ("cloud-init i-0abc\n", "i-0abc"),
    ],
)
def test_the_metadata_service_is_believed_before_a_file(stdout: str, claimed: str) -> None:
    """A file of cloud-init may be left from the image that the host was made of."""
    assert identity.claimed_id(SectionOutput("x", stdout, rc=0)) == claimed


@given(st.text(max_size=100))
def test_a_host_that_does_not_tell_is_not_believed(text: str) -> None:
    try:
        claimed = identity.claimed_id(SectionOutput("x", text, rc=0))
    except NotObservedError:
        return
    assert claimed in text
    assert claimed.strip() == claimed != ""


def test_the_metadata_service_is_asked_only_where_the_file_does_not_match(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/instance-id").write_text("7\n")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "curl").write_text("#!/bin/sh\nprintf 8\n")
    (tools / "curl").chmod(0o755)

    def ask(droplet_id: int) -> str:
        command = alone(identity.section(droplet_id)).replace("/var/lib/cloud", str(tmp_path))
        path = {"PATH": f"{tools}:{os.environ['PATH']}"}
        return subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, env=path, check=False
        ).stdout

    assert ask(7) == "cloud-init 7\n"
    assert ask(9) == "cloud-init 7\nmetadata 8\n"
