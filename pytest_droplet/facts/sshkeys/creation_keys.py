"""The keys that a Droplet was created with: each is at least as old as the Droplet."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.sshkeys.public_keys import parse_blob
from pytest_droplet.model import NotObservedError, Section

METADATA_KEYS = Section.of_files("facts/sshkeys/metadata_keys.sh")


@dataclass(frozen=True)
class CreationKeys:
    """SHA256 fingerprints of the keys that were put on the host when it was made."""

    fingerprints: frozenset[str]

    def __str__(self) -> str:
        noun = "key" if len(self.fingerprints) == 1 else "keys"
        return f"created with {len(self.fingerprints)} {noun}"


@fact("curl http://169.254.169.254/metadata/v1/public-keys", sections=(METADATA_KEYS,))
def droplet_creation_keys(observation: Observation) -> CreationKeys:
    """The keys that the Droplet was created with, as the metadata service lists them."""
    output = observation.section(METADATA_KEYS.name)
    if output.rc != 0:
        raise NotObservedError(f"the metadata service did not answer (status {output.rc})")
    return parse_creation_keys(output.stdout)


def parse_creation_keys(text: str) -> CreationKeys:
    """Read the answer of ``/metadata/v1/public-keys``: an OpenSSH public key a line, then ``end``.

    Raises:
        NotObservedError: The end is missing, or a line is no public key: something else answered.
    """
    *lines, end = [*filter(None, map(str.strip, text.splitlines()))] or [""]
    if end != "end":
        raise NotObservedError("the metadata service's answer has no end")
    found = set()
    for line in lines:
        key = next(filter(None, map(parse_blob, line.split()[:2])), None)
        if key is None:
            raise NotObservedError("the metadata service answered something that is no key")
        found.add(key.sha256)
    return CreationKeys(frozenset(found))
