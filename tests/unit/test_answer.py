"""A host's answer becomes a reading without any transport: only bytes, and what was asked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection.answer import Question, read_answer
from pytest_droplet.model import HostReading, NotObservedError, Section
from tests.support.ssh_server import framed

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OS = Section("os", "cat /etc/os-release")
ROOT = Section("shadow", "cat /etc/shadow", root=True)
ASKED = Question(7, "web-1", "203.0.113.7", (OS, ROOT), names=("a.test",), nonce="c0ffee")
TOLD = b"cloud-init 7\n"


def frame(sections: dict[str, bytes], uid: int = 0, sudo: bytes = b"", **more: str) -> bytes:
    """Return the answer that a host prints: who runs the script, sections, the end."""
    return framed(more.get("nonce", ASKED.nonce), sections, uid, sudo)


PROOF = {"droplet_identity": TOLD}
WHOLE = frame(PROOF | {"os": b"ID=debian\n", "shadow": b"root:*:1::::::\n"})


def read(raw: bytes, question: Question = ASKED, **more: str) -> HostReading:
    return read_answer(raw, question, observed_at=NOW, **more)


def why(reading: HostReading) -> str:
    """Return the reason of a reading that holds nothing of the host."""
    assert (reading.state, reading.root, reading.sections) == ("unreachable", False, {})
    assert reading.reason.startswith("web-1: ")
    assert reading.reason.isprintable()
    return reading.reason.removeprefix("web-1: ")


def missing(reading: HostReading, name: str) -> str:
    """Return why a section of a host that was reached cannot be judged."""
    assert reading.state == "reached"
    with pytest.raises(NotObservedError) as refused:
        reading.section(name)
    return str(refused.value)


def test_a_whole_answer_of_the_right_host() -> None:
    """Every section is there, the host was reached, and the proof is kept with the rest."""
    reading = read(WHOLE)

    assert reading == HostReading(
        7,
        "reached",
        NOW,
        address="203.0.113.7",
        root=True,
        sections=reading.sections,
        names=("a.test",),
    )
    assert {name: reading.section(name).stdout for name in reading.sections} == {
        "droplet_identity": "cloud-init 7\n",
        "os": "ID=debian\n",
        "shadow": "root:*:1::::::\n",
    }


def test_a_real_shell_answers_the_question(tmp_path: Path) -> None:
    """Bytes go to sh, bytes come back: a transport needs no more than that."""
    told = tmp_path / "data/instance-id"
    told.parent.mkdir()
    told.write_text("7\n")
    asked = replace(ASKED, sections=(Section("os", "echo Debian"),))
    sent = asked.script.replace(b"/var/lib/cloud", bytes(tmp_path))

    done = subprocess.run(["sh", "-s"], input=sent, capture_output=True, check=True)

    assert done.stdout.endswith(asked.end)
    assert len(done.stdout) < asked.longest_bytes
    assert read(done.stdout, asked).section("os").stdout == "Debian\n"


def test_every_question_has_a_nonce_of_its_own() -> None:
    """What one host prints cannot stand in the answer of another."""
    asked = [Question(7, "web-1", "203.0.113.7") for _ in range(2)]

    assert asked[0].nonce != asked[1].nonce
    assert all(q.nonce.encode() in q.script and len(q.nonce) == 32 for q in asked)


def test_no_module_of_ssh_is_needed() -> None:
    """The reading of an answer does not know how it came."""
    code = "import sys, pytest_droplet.connection.answer\nprint('asyncssh' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (frame(PROOF, nonce="decaf"), "--decaf begin _id 0 user"),
        (b"This account is currently not available.\n", "This account is currently not available"),
        (b"", "nothing was printed"),
        (WHOLE[:20], "nothing was printed"),
    ],
    ids=["wrong nonce", "no shell", "nothing", "cut in the first part"],
)
def test_what_does_not_answer_the_question_is_no_reading(raw: bytes, said: str) -> None:
    """The reason has what came instead; a transport may give one of its own."""
    assert why(read(raw)).startswith(f"no answer to the script ({said}")
    assert why(read(raw, no_answer="the console is silent")) == "the console is silent"


@pytest.mark.parametrize("told", [b"cloud-init 8\n", b"cloud-init 7\nmetadata 8\n"])
def test_another_host_is_never_judged(told: bytes) -> None:
    """Nothing of it is kept; the metadata service's word goes before cloud-init's file."""
    reading = read(WHOLE.replace(TOLD, told))

    assert why(reading) == (
        "wrong host: 203.0.113.7 says Droplet 8, the API says 7; the address was reused or the"
        " inventory is old: run again"
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (WHOLE.replace(TOLD, b""), "neither cloud-init's instance-id nor the metadata service"),
        (frame({"os": b"ID=debian\n"}), "the host's answer has no such section"),
        (WHOLE[: WHOLE.index(b"end droplet_identity")], "the connection was cut before its end"),
    ],
    ids=["silent", "missing", "cut"],
)
def test_a_host_that_does_not_prove_who_it_is_is_not_judged(raw: bytes, reason: str) -> None:
    """A proof that is not there is no proof."""
    said = why(read(raw))

    assert said.startswith(f"identity not proved ({reason}")
    assert said.endswith("look at /var/lib/cloud/data/instance-id and the metadata service")


def test_a_cut_answer_keeps_what_is_whole() -> None:
    """The section that was cut and those after it say why, in the words of the transport."""
    raw = WHOLE[: WHOLE.index(b"end shadow")]

    assert read(raw).section("os").stdout == "ID=debian\n"
    assert missing(read(raw), "shadow") == "the connection was cut before its end"
    assert missing(read(raw, cut="the console was closed"), "shadow") == "the console was closed"


def test_an_answer_of_another_version() -> None:
    """What it has of ours is read, what it lacks is missing, what it has beside it is left out."""
    reading = read(frame(PROOF | {"os": b"ID=debian\n", "of-tomorrow": b"1\n"}))

    assert set(reading.sections) == {"droplet_identity", "os", "shadow"}
    assert reading.section("os").stdout == "ID=debian\n"
    assert missing(reading, "shadow") == "the host's answer has no such section"


def test_marks_of_another_version_mark_nothing() -> None:
    """A mark that is not known ends no section: its text is not taken for a shorter one."""
    raw = WHOLE.replace(b"end os rc=0", b"end os status=0")

    assert missing(read(raw), "os") == "the host's answer has no such section"


@pytest.mark.parametrize(
    ("uid", "sudo", "reason"),
    [
        (1000, b"", "the script ran as user, without sudo"),
        (1000, b"sudo: a password is required\n", "sudo -n was refused: a password is required"),
        (
            1000,
            b"/usr/bin/env: 'sudo': No such file or directory\n",
            "sudo is not installed, and the login is not root",
        ),
    ],
)
def test_without_root_it_says_why(uid: int, sudo: bytes, reason: str) -> None:
    """What needs root is missing with the reason; the rest is read."""
    raw = frame(PROOF | {"os": b"ID=debian\n"}, uid, sudo)
    raw = raw.replace(ASKED.end, b"\n--c0ffee skip shadow\n" + ASKED.end)
    reading = read(raw)

    assert (reading.root, reading.root_reason) == (False, reason)
    assert missing(reading, "shadow") == f"needs root; {reason}"
    assert reading.section("os").stdout == "ID=debian\n"


@pytest.mark.parametrize("own", [b"", b"root\n", b"-0\nroot\n", b"0 \nroot\n", b"00000000000\n"])
def test_who_ran_the_script_is_not_guessed(own: bytes) -> None:
    """Only the number 0 is root: what cannot be read is not."""
    reading = read(WHOLE.replace(b"0\nuser\n", own))

    assert (reading.state, reading.root) == ("reached", False)
    assert reading.root_reason.startswith("the script ran as ")


def test_root_that_may_not_read_all_files_is_not_root() -> None:
    """An sshd without capabilities hands none on; the reason says where to look."""
    reading = read(WHOLE.replace(b"0\nuser\n", b"bounded\nroot\n"))

    assert (reading.state, reading.root) == ("reached", False)
    assert "no CAP_DAC_READ_SEARCH); look for CapabilityBoundingSet=" in reading.root_reason


def test_another_user_who_was_refused_is_no_reading() -> None:
    """Who asked for ``--sudo-user`` did not ask for what the login may see."""
    sudo = b"sudo: admin is not allowed to run sh as audit\n"
    asked = replace(ASKED, as_user="audit")

    said = why(read(frame(PROOF, 1000, sudo), asked))

    assert said == (
        "sudo -n -u audit was refused (admin is not allowed to run sh as audit);"
        " check --sudo-user and sudoers on the host"
    )


def test_another_user_is_not_root() -> None:
    """The reason names the option that asked for it."""
    asked = replace(ASKED, as_user="audit")
    reading = read(frame(PROOF, 998), asked)

    assert (reading.root, reading.root_reason) == (False, "the script ran as audit (--sudo-user)")


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([TOLD, b"\n--c0ffee ", b"begin droplet_identity\n", b"eof\n"]),
            st.sampled_from([b"begin _id\n", b"end _id rc=0\n", b"end droplet_identity rc=0\n"]),
        ),
        max_size=25,
    )
)
def test_any_bytes_make_a_reading(pieces: list[bytes]) -> None:
    """Nothing raises; who is reached has proved who it is, and each part is there or says why."""
    raw = b"".join(pieces)
    reading = read(raw)

    if reading.state == "reached":
        assert reading.section("droplet_identity").stdout.count("7")
        assert set(reading.sections) == {"droplet_identity", "os", "shadow"}
        assert reading.sections["os"].missing is not None
    else:
        assert why(reading)
