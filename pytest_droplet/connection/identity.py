"""Which Droplet a host is: its own word against the API's."""

from __future__ import annotations

from pytest_droplet.model import NotObservedError, Section, SectionOutput

NAME = "droplet_identity"

# The file that cloud-init leaves; where it does not name the Droplet, the metadata service, which
# answers the host itself alone. No start-up file of curl or wget is read, no redirect followed.
_COMMAND = """id=
for f in /var/lib/cloud/data/instance-id /run/cloud-init/.instance-id; do
[ -r "$f" ] && id=$(head -c 64 "$f") && echo "cloud-init $id" && break
done
[ "$id" = DROPLET ] && exit 0
m=http://169.254.169.254/metadata/v1/id
if command -v curl >/dev/null; then
id=$(curl -q -fsS -m 3 --noproxy '*' "$m" | head -c 64)
else
id=$(wget --no-config --no-proxy --max-redirect=0 --no-hsts -q -T 3 -t 1 -O - "$m" | head -c 64)
fi
[ -z "$id" ] || echo "metadata $id"
"""


def section(droplet_id: int) -> Section:
    """Return the section that tells which Droplet the host is; metadata only if it must."""
    return Section(NAME, _COMMAND.replace("DROPLET", str(droplet_id)))


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
