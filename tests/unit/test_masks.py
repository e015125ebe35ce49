"""What a recording keeps of what hosts print: no value that a check does not need."""

from __future__ import annotations

import pytest

from pytest_droplet.facts import section_masks
from pytest_droplet.facts.sshkeys.authorized_keys import KEYS, parse_authorized_keys
from pytest_droplet.masks import addresses, command_name, rule_comments, sshd_settings

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("|12 SetEnv API_KEY=canary B=canary", "|12 SetEnv hidden"),
        ("|3 setenv=API=canary", "|3 setenv=hidden"),
        (
            "sshd authorizedkeyscommand /usr/bin/keys --token=canary %u",
            "sshd authorizedkeyscommand /usr/bin/keys hidden",
        ),
        (
            'conf /etc/ssh/sshd_config:7:AuthorizedPrincipalsCommand = "/usr/bin/p" canary',
            'conf /etc/ssh/sshd_config:7:AuthorizedPrincipalsCommand = "/usr/bin/p hidden',
        ),
        ("|1 ForceCommand /bin/x -p canary", "|1 ForceCommand /bin/x hidden"),
        ("|1 Subsystem sftp /usr/lib/sftp -k canary", "|1 Subsystem sftp /usr/lib/sftp hidden"),
        ("sshd authorizedkeyscommand none", "sshd authorizedkeyscommand none"),
        ("|9 PermitRootLogin no", "|9 PermitRootLogin no"),
    ],
)
def test_settings_of_sshd(text: str, kept: str) -> None:
    """Of a command its program is kept, of variables nothing."""
    assert sshd_settings(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"comment": "canary \\" canary", "handle": 3}', '{"comment": "hidden", "handle": 3}'),
        ('tcp dport 22 accept comment "canary"', 'tcp dport 22 accept comment "hidden"'),
        ('-m comment --comment "a canary" -j ACCEPT', '-m comment --comment "hidden" -j ACCEPT'),
        ("-m comment --comment canary -j ACCEPT", '-m comment --comment "hidden" -j ACCEPT'),
        ("-m comment -j ACCEPT", "-m comment -j ACCEPT"),
    ],
)
def test_comments_of_rules(text: str, kept: str) -> None:
    """They decide nothing."""
    assert rule_comments(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "deb https://packagecloud.io/0123456789abcdef0123/repo/debian/ bookworm main",
            "deb https://packagecloud.io/hidden/repo/debian/ bookworm main",
        ),
        (
            "== packagecloud.io_0123456789abcdef0123_repo_debian_dists_bookworm_InRelease",
            "== packagecloud.io_hidden_repo_debian_dists_bookworm_InRelease",
        ),
        (
            "baseurl=https://dl.test/0f8fad5b-d9cb-469f-a165-70867728950e/el9",
            "baseurl=https://dl.test/hidden/el9",
        ),
        ("deb https://repo.test/x?token=canary&k=canary y", None),
        ("mirrorlist=https://m.test/l?repo=baseos-9&arch=x86_64", "="),
        ("deb http://snapshot.debian.org/archive/debian/20261101T000000Z trixie main", "="),
        ("deb https://repos-droplet.digitalocean.com/apt/droplet-agent main main", "="),
        ("1790000000 /var/cache/dnf/baseos-2d95c80a1fa0a67d/repodata/0123456789abcdef.xml", "="),
    ],
)
def test_addresses_of_packages(text: str, kept: str | None) -> None:
    """A token in path or query is not kept; what is no token is, and so is the time of a file."""
    if kept is None:
        assert "canary" not in addresses(text)
        assert "token=hidden&k=hidden" in addresses(text)
    else:
        assert addresses(text) == (text if kept == "=" else kept)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (f"{ED25519} ops@example", f"{ED25519} ops@example"),
        (
            f'from="10.0.0.0/8",command="curl -H \\"t: canary\\" x",no-pty {ED25519} ops',
            f'from="10.0.0.0/8",command="hidden",no-pty {ED25519} ops',
        ),
        (f'environment="PW=canary, x" {ED25519}', f'environment="hidden" {ED25519}'),
        (f'expiry-time="20270101Z" {ED25519}', f'expiry-time="20270101Z" {ED25519}'),
        (f'command="canary {ED25519}', "***"),
    ],
)
def test_options_of_keys(line: str, kept: str) -> None:
    """Values that decide who is let in are kept; a line that is not understood is not."""
    text = f"look s.ssh/authorized_keys\nfile:root:s:600:root:1:/root/k\n7:{line}\n\nend:1\n"
    masked = section_masks()[KEYS.name](text)
    assert f"7:{kept}\n" in masked
    assert "canary" not in masked
    assert parse_authorized_keys(masked) == parse_authorized_keys(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/usr/bin/keys", "/usr/bin/keys"),
        ("/usr/bin/keys --token=canary %u", "/usr/bin/keys ..."),
        ('"/usr/bin/keys --token=canary"', "/usr/bin/keys ..."),
    ],
)
def test_a_command_is_named_by_its_program(value: str, shown: str) -> None:
    """Its arguments may be secret."""
    assert command_name(value) == shown
