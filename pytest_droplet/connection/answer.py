"""From the bytes of a host's answer to its reading: which host it is, and what it printed.

Nothing here knows SSH. A transport that brings :attr:`Question.script` to a host, and back what
``sh`` printed for it, needs no more: :func:`read_answer` is pure.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pytest_droplet.connection import identity, script
from pytest_droplet.model import HostReading, NotObservedError, Section, SectionOutput
from pytest_droplet.text import line_of_bytes

_HARD_CAP_BYTES = 64 * 2**20
_FRAME_BYTES = 65_536


def _new_nonce() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Question:
    """What one host is asked, and which Droplet it must be.

    Attributes:
        droplet_id: The Droplet that the host must prove to be.
        name: The Droplet's name, for messages.
        address: Where the host is asked, for messages.
        sections: What is read of it.
        as_user: The user that sudo runs the script as, where not root.
        names: Served names that probes ask for beside those of the host's configuration.
        timeout_s: Seconds that each section has.
        age_s: Seconds since the login began; None: it begins with the script.
        nonce: Letters and digits that no output of the host can foretell; they mark its parts.
    """

    droplet_id: int
    name: str
    address: str
    sections: tuple[Section, ...] = ()
    as_user: str | None = None
    names: tuple[str, ...] = ()
    timeout_s: int = script.SECTION_TIMEOUT_S
    age_s: float | None = None
    nonce: str = field(default_factory=_new_nonce)

    @property
    def parts(self) -> tuple[Section, ...]:
        """The sections in their order, and before them the one that proves the identity."""
        return (identity.section(self.droplet_id), *self.sections)

    @property
    def script(self) -> bytes:
        """The program for ``sh -s``.

        Raises:
            ValueError: A section's name is malformed or is used twice.
        """
        text = script.compose(self.parts, self.nonce, timeout_s=self.timeout_s, age_s=self.age_s)
        return text.encode("utf-8", "surrogateescape")

    @property
    def end(self) -> bytes:
        """The last bytes of a whole answer."""
        return script.end_mark(self.nonce)

    @property
    def longest_bytes(self) -> int:
        """More than this no honest answer has."""
        each = script.STDOUT_CAP_BYTES + script.STDERR_CAP_BYTES + 512
        return min(_HARD_CAP_BYTES, _FRAME_BYTES + len(self.parts) * each)

    def unreachable(self, reason: str, observed_at: datetime) -> HostReading:
        """Return the reading that says why there is none."""
        return HostReading(
            self.droplet_id,
            "unreachable",
            observed_at,
            reason=f"{self.name}: {reason}",
            address=self.address,
        )


def read_answer(
    raw: bytes,
    question: Question,
    *,
    observed_at: datetime,
    cut: str = script.CUT,
    no_answer: str = "",
) -> HostReading:
    """Return the reading that an answer makes; whatever its bytes are, this does not raise.

    Args:
        raw: All that the script printed.
        question: What was asked.
        observed_at: When.
        cut: The reason given for what is missing after a cut.
        no_answer: The reason given where nothing in ``raw`` answers the question, in the words of
            the transport; what was printed instead unless given.

    Returns:
        ``reached`` with the sections where the host proved to be the Droplet, and ``unreachable``
        with the reason where it did not. Port, user and way are the transport's to add.
    """
    answer = script.parse(raw, question.parts, question.nonce, cut=cut)
    if script.SELF not in answer.sections:
        said = script.preamble(raw, question.nonce) or "nothing was printed"
        return question.unreachable(no_answer or f"no answer to the script ({said})", observed_at)
    doubt = _doubt(answer.sections[identity.NAME], question)
    if doubt:
        return question.unreachable(doubt, observed_at)
    sections = {n: output for n, output in answer.sections.items() if n != script.SELF}
    own = answer.sections[script.SELF].stdout.split("\n", 2)
    if question.as_user and own[2:] and own[2]:
        said = line_of_bytes(own[2].encode("utf-8", "replace"))
        return question.unreachable(
            f"sudo -n -u {question.as_user} was refused ({_without_name(said)});"
            " check --sudo-user and sudoers on the host",
            observed_at,
        )
    root = answer.uid == 0
    why = "" if root else _root_reason(question, own)
    return HostReading(
        question.droplet_id,
        "reached",
        observed_at,
        address=question.address,
        root=root,
        root_reason=why,
        sections=_explained(sections, why),
        names=question.names,
    )


def _doubt(claim: SectionOutput, question: Question) -> str:
    """Return why the host is not proved to be the Droplet; empty: it is."""
    try:
        claimed = identity.claimed_id(claim)
    except NotObservedError as exc:
        return (
            f"identity not proved ({exc}); on the host, look at"
            " /var/lib/cloud/data/instance-id and the metadata service"
        )
    if claimed == str(question.droplet_id):
        return ""
    return (
        f"wrong host: {question.address} says Droplet {line_of_bytes(claimed.encode())},"
        f" the API says {question.droplet_id}; the address was reused or the inventory is old:"
        " run again"
    )


def _root_reason(question: Question, own: Sequence[str]) -> str:
    uid, user, said = (*own, "", "", "")[:3]
    if uid == "bounded":
        return (
            "root may not read the files of others there (no CAP_DAC_READ_SEARCH);"
            " look for CapabilityBoundingSet= in the unit of sshd"
        )
    said = line_of_bytes(said.encode("utf-8", "replace"))
    if said.startswith(("/usr/bin/env: ", "env: ")):
        return "sudo is not installed, and the login is not root"
    if said:
        return f"sudo -n was refused: {_without_name(said)}"
    if question.as_user:
        return f"the script ran as {question.as_user} (--sudo-user)"
    return f"the script ran as {line_of_bytes(user.encode()) or 'uid ' + uid}, without sudo"


def _without_name(said: str) -> str:
    return said.removeprefix("sudo-rs: ").removeprefix("sudo: ")


def _explained(
    sections: Mapping[str, SectionOutput], root_reason: str
) -> dict[str, SectionOutput]:
    return {
        name: replace(s, missing=f"needs root; {root_reason}")
        if s.missing == script.SKIPPED
        else s
        for name, s in sections.items()
    }
