"""The user's ssh config: which host, user, key and trust a Droplet gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_droplet.connection.ssh_config import Route, SshConfig, SshConfigError

ADDRESS = "203.0.113.3"


def route(tmp_path: Path, text: str, name: str = "web-1", **options: str) -> Route:
    """Return the way to a Droplet with this config."""
    path = tmp_path / "config"
    path.write_text(text)
    return SshConfig(str(path), **options).route(name, ADDRESS)


def test_without_a_config_it_is_root_at_the_address(tmp_path: Path) -> None:
    way = route(tmp_path, "")
    assert (way.host, way.port, way.user) == (ADDRESS, 22, "root")
    assert (way.jump, way.proxy_command, way.trust_name) == ((), None, (ADDRESS, 22))


def test_a_block_is_for_the_name_or_for_the_address(tmp_path: Path) -> None:
    """Both kinds of blocks are used, in the order of the file: the first value counts."""
    way = route(
        tmp_path,
        "Host 203.0.113.*\n Port 2222\n User by-address\nHost web-*\n User by-name\n",
    )
    assert (way.host, way.port, way.user) == (ADDRESS, 2222, "by-address")


def test_the_option_comes_before_the_config(tmp_path: Path) -> None:
    assert route(tmp_path, "Host *\n User other\n", user="audit").user == "audit"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Host web-1\n HostName 10.0.0.5\n", "10.0.0.5"),
        ("Host web-*\n HostName %h.internal\n", "web-1.internal"),
        ("Host *\n HostName %h\n", ADDRESS),
        (f"Host {ADDRESS}\n HostName 10.0.0.9\n", "10.0.0.9"),
        (f"Host web-1\n HostName 10.0.0.5\nHost {ADDRESS}\n HostName 10.0.0.9\n", "10.0.0.5"),
        ("Host other\n HostName 10.0.0.5\n", ADDRESS),
        ("Host * !web-1\n HostName 10.0.0.5\n", "10.0.0.5"),
    ],
)
def test_host_name(tmp_path: Path, text: str, host: str) -> None:
    """HostName wins over the API's address, unless it only repeats the Droplet's name."""
    assert route(tmp_path, text).host == host


def test_hosts_that_the_config_treats_alike_share_their_options(tmp_path: Path) -> None:
    """The config is evaluated once for them, and each still has an address of its own."""
    path = tmp_path / "config"
    path.write_text("Host web-*\n User deploy\nHost *\n Port 2222\n")
    config = SshConfig(str(path))

    one, two = config.route("web-1", "203.0.113.1"), config.route("web-2", "203.0.113.2")
    other = config.route("db-1", "203.0.113.9")

    assert one.options is two.options
    assert (one.host, two.host) == ("203.0.113.1", "203.0.113.2")
    assert (other.user, other.port) == ("root", 2222)
    assert not config.slow


def test_what_a_config_says_of_each_host_is_its_own(tmp_path: Path) -> None:
    """Tokens and conditions are evaluated for each, the options for asyncssh are shared."""
    path = tmp_path / "config"
    path.write_text(
        "Match originalhost web-2\n User deploy\n"
        "Host *\n ProxyCommand nc %h %p\n IdentityFile ~/.ssh/%n\n"
    )
    config = SshConfig(str(path))
    one, two = config.route("web-1", "203.0.113.1"), config.route("web-2", "203.0.113.2")
    assert (one.user, two.user) == ("root", "deploy")
    assert (one.proxy_command, two.proxy_command) == ("nc 203.0.113.1 22", "nc 203.0.113.2 22")
    assert (one.settings.identity_files, two.settings.identity_files) == (
        ("~/.ssh/web-1",),
        ("~/.ssh/web-2",),
    )
    assert one.options is two.options


@pytest.mark.parametrize(
    ("text", "slow"),
    [
        ("Match exec true\n User deploy\n", True),
        ("Match localnetwork 10.0.0.0/8\n User deploy\n", True),
        ("CanonicalizeHostname yes\nCanonicalDomains example.com\n", True),
        ("Host *\n ProxyCommand nc %h %p\nMatch final\n User deploy\n", False),
    ],
)
def test_what_may_take_long_is_known(tmp_path: Path, text: str, slow: bool) -> None:  # noqa: FBT001 a column of the table above
    """The loop of all connections never waits for a command or for a name."""
    path = tmp_path / "config"
    path.write_text(text)
    assert SshConfig(str(path)).slow is slow


def test_included_files_count(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("Host web-1\n User included\n")
    text = f"Include {tmp_path}/*.conf\nHost *\n User late\n"
    assert route(tmp_path, text).user == "included"
    assert route(tmp_path, text, "db-1").user == "late"


def test_nothing_is_asked_forwarded_or_run(tmp_path: Path) -> None:
    """An audit is no interactive session, whatever the config sets up for one."""
    way = route(
        tmp_path,
        "Host *\n ForwardAgent yes\n RemoteCommand tmux\n RequestTTY force\n SendEnv *\n"
        " SetEnv A=B\n PasswordAuthentication yes\n ForwardX11Trusted yes\n",
    )
    options = way.options
    assert (options.agent_forward_path, options.command, options.request_pty) == (
        None,
        None,
        False,
    )
    assert (options.send_env, options.env, options.x11_forwarding) == (None, None, False)
    assert not options.password_auth
    assert not options.kbdint_auth


def test_jump_hosts(tmp_path: Path) -> None:
    """Hops stand in order, nearest first; the first one's own jump host comes before it."""
    text = (
        "Host web-1\n ProxyJump a,me@[2001:db8::1]:2222\n"
        "Host a\n HostName 10.0.0.1\n User jump\n ProxyJump edge\n"
    )
    path = tmp_path / "config"
    path.write_text(text)
    config = SshConfig(str(path))
    hops = config.route("web-1", ADDRESS).jump
    assert hops == ("edge", "a", "me@[2001:db8::1]:2222")
    second, third = config.hop(hops[:2]), config.hop(hops)
    assert (second.host, second.user, second.jump) == ("10.0.0.1", "jump", ("edge",))
    assert (third.host, third.port, third.user) == ("2001:db8::1", 2222, "me")
    assert route(tmp_path, "Host *\n ProxyJump none\n").jump == ()
    with pytest.raises(SshConfigError, match="malformed"):
        config.hop(("a b:c",))


def test_a_host_key_alias_is_what_is_trusted(tmp_path: Path) -> None:
    way = route(tmp_path, "Host web-1\n HostKeyAlias fleet\n Port 2222\n")
    assert way.trust_name == ("fleet", 22)


def test_no_identity_is_no_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``IdentityFile none`` offers not even the default keys; a missing file is told."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "")
    assert len(route(tmp_path, "Host *\n IdentityFile none\n").credentials.keys) == 0
    way = route(tmp_path, f"Host *\n IdentityFile {tmp_path}/absent\n")
    assert way.credentials.unreadable == [f"{tmp_path}/absent: no such file"]


def test_no_key_is_shown(tmp_path: Path) -> None:
    """Not in a repr, and so in no traceback."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "key")
    way = route(tmp_path, f"Host *\n IdentityFile {tmp_path}/key\n")
    assert len(way.credentials.keys) == 1
    assert "PRIVATE" not in repr(way)
    assert "SSHKey" not in repr(way.credentials)
