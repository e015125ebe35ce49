"""Which Droplet a host is: its own word against the API's."""

from __future__ import annotations

from pytest_droplet.model import NotObservedError, Section, SectionOutput
from pytest_droplet.script_files import read_script

NAME = "droplet_identity"

_FILE = read_script("connection/identity.sh")


def section(droplet_id: int) -> Section:
    """Return the section that tells which Droplet the host is; metadata only if it must."""
    return Section(NAME, _FILE.packed.replace("DROPLET", str(droplet_id)), files=(_FILE,))


def claimed_id(output: SectionOutput) -> str:
    """Return the id that the host gives: the metadata service's word before cloud-init's.

    Raises:
        NotObservedError: It gives none.
    """
    if output.missing is not None:
        raise NotObservedError(output.missing)
    claims = dict(line.split(" ", 1) for line in output.stdout.splitlines() if " " in line)
    claim = claims.get("metadata") or claims.get("cloud-init")
    if not claim:
        raise NotObservedError("neither cloud-init's instance-id nor the metadata service tells")
    return claim.strip()
