"""A user of a host who is not root does what users may: no verdict gets better by it.

Hypothesis makes lists of what such a user does in a real root: lines and files, links, FIFOs, jobs
of cron, processes, and what all of them are called. The root is read before and after, and the
user's key logs in, or does not: only where sshd refuses it may a check of keys say something better.

``DROPLET_TRUST_ATTACKS=200`` tries so many lists.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_droplet.catalogue import shipped
from pytest_droplet.connection import script
from pytest_droplet.verdict import judge
from tests.sections.case import _NONCE, Seen, known_sections
from tests.sections.root import Run, read_in, why_not
from tests.sections.test_ssh import HOST_KEY, KEY, PASSWORD

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON) and "CI" not in os.environ, reason=REASON)

ATTACKS = int(os.environ.get("DROPLET_TRUST_ATTACKS", "3"))
SECTIONS = (
    *("sshd", "authorized_keys", "accounts", "renewal", "listeners", "nginx", "certificates"),
    *("firewall_files", "audit_cover"),
)
HOME = "/home/audit"
KEYS = f"{HOME}/.ssh/authorized_keys"
PREPARE = f"""{HOST_KEY}usermod -p '{PASSWORD}' audit
mkdir -p {HOME}/.ssh
ssh-keygen -q -t ed25519 -N '' -C evil -f /srv/evil
cp /srv/evil.pub {KEYS}
cp /srv/evil.pub {HOME}/.k
chown -R audit: {HOME}
printf '%s\\n' 'PasswordAuthentication yes' 'PermitRootLogin yes' >/etc/ssh/sshd_config
/usr/sbin/sshd
until_true test -s /run/sshd.pid
"""
AS_USER = "setpriv --reuid=1000 --regid=1000 --clear-groups env -i HOME=/home/audit sh -s"

# Nothing of the user's is run: neither a shell nor what is in .ssh/rc.
LOGIN = (
    "ssh -fN -F /dev/null -i /srv/evil -o BatchMode=yes -o StrictHostKeyChecking=no"
    " -o UserKnownHostsFile=/dev/null -o PreferredAuthentications=publickey"
    " audit@127.0.0.1 </dev/null 2>/dev/null && echo in; true"
)

NAMES = (
    "sshd",
    "cron",
    "crond",
    "nginx",
    "sssd",
    "dropbear",
    "sshd: [listener]",
    "a b",
    "-x",
    "!!",
)
LINES = (
    "# Added and Managed by DigitalOcean Droplet Agent (code name: DOTTY)",
    '{"os_user":"audit","actor_email":"a@example.com","expire_at":"2999-01-01T00:00:00Z"}-dotty_ssh',
    f'environment="A=b {KEY.split()[1]} c" {KEY} x',
    "PasswordAuthentication no\nPermitRootLogin no\nKbdInteractiveAuthentication no\nUsePAM no",
    "17 3 * * * certbot renew",
    "!! nothing\nend:1\nfile:root:s:600:root:1:/root/.ssh/authorized_keys",
    "C 203.0.113.1 203.0.113.1 127.0.0.1 22 root\npasswordauthentication no",
    "\x01\x02\x0b\x0c\r\x7f",
    "Match all",
)
TARGETS = ("/etc/shadow", "/dev/zero", "/proc/self/mem", "/nonexistent/x", "loop", f"{HOME}/.k")
PLACES = (
    *(f"{KEYS}2", f"{HOME}/.ssh/authorized_keys.old", f"{HOME}/good", f"{HOME}/.ssh/config"),
    *(f"{HOME}/.ssh/rc", f"{HOME}/.ssh/environment", f"{HOME}/sshd_config", f"{HOME}/.profile"),
    *("/tmp/x.conf", "/tmp/authorized_keys", "/var/tmp/cron", "/run/lock/sshd.pid"),
)


def _write(place: str, lines: list[str]) -> str:
    # Whoever opens a FIFO waits for somebody who reads it.
    return f"[ -p {place.lstrip('>')} ] || printf '%s\\n' {shlex.join(lines)} >{place}"


def _serve(name: str, arguments: str) -> str:
    program = shlex.quote(f"./{name}")
    return f"[ -e good ] || : >good; cp /usr/bin/tail {program}; {program} {arguments} &"


places, lines = st.sampled_from(PLACES), st.lists(st.sampled_from(LINES), min_size=1, max_size=4)
deeds = st.one_of(
    st.builds(_write, places, lines),
    st.builds(lambda found: _write(f">{KEYS}", found), lines),
    st.builds(lambda target, place: f"ln -sfn {target} {place}", st.sampled_from(TARGETS), places),
    st.builds(lambda place: f"rm -rf {place}; mkfifo {place}", places),
    st.builds(lambda place: f"rm -rf {place}; mkdir -p {place}", places),
    st.builds(
        _serve,
        st.sampled_from(NAMES),
        st.sampled_from(("-f good", "-f /dev/null", "-f good -s 22", "-fq -n 2222 good")),
    ),
    st.builds(lambda found: f"printf '%s\\n' {shlex.join(found)} | crontab -", lines),
    st.sampled_from(
        (
            f"mv {KEYS} {HOME}/.k; ln -s {HOME}/.k {KEYS}",
            "mv .ssh .s; ln -s .s .ssh",
            f"chmod 700 {HOME} .ssh; chmod 400 {KEYS}",
            f"chmod 0 {HOME}",
            f"touch -d @0 {KEYS} .ssh",
            f"rm -rf {KEYS}",
            f"rm -rf {KEYS}; echo '# nothing' >{KEYS}",
            f"mv {KEYS} {KEYS}2",
            f"rm -rf {KEYS}2; ln .k {KEYS}2; rm -rf {KEYS}",
            f"sed -i 's/^ssh-ed25519 ....../&\\v/' {KEYS}",
            f"sed -i 's/$/\\r/' {KEYS}",
            f"sed -i 's/^ssh/environment=\"A=b {KEY} c\" &/' {KEYS}",
            f"sed -i '1s/^/#\\x0b\\n/' {KEYS}",
            f"mv .ssh .s; mkdir .ssh; ln -s ../.s/authorized_keys {KEYS}",
            "mv .ssh .s",
        )
    ),
)


def verdicts(printed: bytes) -> Mapping[str, str]:
    """Return the verdicts of the checks of a host on what the sections printed."""
    facts = Seen([known_sections()[n] for n in SECTIONS], printed, "debian-12-clean").facts
    return {
        name: judge(check, facts).outcome
        for name, check in shipped().items()
        if not check.of_account
    }


@settings(
    max_examples=ATTACKS,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(deeds, min_size=6, max_size=14))
def test_no_verdict_gets_better_by_what_a_user_does(done: list[str]) -> None:
    """What failed or was unknown does not pass, and a finding does not become unknown."""
    text = script.compose([known_sections()[n] for n in SECTIONS], _NONCE)
    attack = "\n".join([f"cd {HOME}", *done, "sleep 0.1", "exit 0"])
    attack = f"{AS_USER} >/dev/null 2>&1 <<'END'\n{attack}\nEND\n:"
    # What changed since a login began is unread: a second is what it is told by.
    runs = [text, LOGIN, attack, LOGIN, f"sleep 1.1\n{text}"]
    before, took, _, takes, after = read_in(
        "bookworm", [Run("dash", "mawk", run) for run in runs], files={}, prepare=PREPARE
    ).outputs

    first, then = verdicts(before), verdicts(after)

    assert took == b"in\n"
    assert first["sshkeys.host-keys-known"] != "pass"
    assert first["ssh.password-authentication-disabled"] == "fail"
    better = {
        name: (first[name], then[name])
        for name in first
        if not (name.startswith("sshkeys.") and not takes)
        if (first[name] != "pass" and then[name] in {"pass", "not_applicable"})
        or (first[name] == "fail" and then[name] != "fail")
    }
    assert better == {}
