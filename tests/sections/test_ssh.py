"""The sections of sshd, of accounts and of the keys that may log in."""

from __future__ import annotations

from .case import Seen, case
from .test_host import METADATA

HOST_KEY = "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key\nmkdir -p /run/sshd\n"
SSHD = HOST_KEY + "/usr/sbin/sshd\nuntil_true test -s /run/sshd.pid\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA8nLhIEPOB0bJjW4b4Xn7bHh1pTIcZ6tDwzTQYwqgYx"
MAIN = "/etc/ssh/sshd_config"
PASSWORD = "$y$j9T$x$x"  # set, whatever it is


@case(
    "sshd",
    matrix=True,
    files={"/home/audit/.ssh/authorized_keys": f"{KEY} audit\n"},
    prepare=SSHD,
)
def test_sshd_is_asked_for_those_who_may_log_in(seen: Seen) -> None:
    """Root, somebody who does not exist, and an account with keys."""
    found = seen.fact("droplet_sshd")

    assert found.running
    assert found.version.startswith("OpenSSH_9")
    assert found.gaps == ()
    assert {c.user for c in found.connections} == {"root", "pytest-droplet-nobody", "audit"}
    assert {c.get("permitrootlogin") for c in found.connections} == {"without-password"}
    assert [a.name for a in found.accounts] == ["root", "audit"]
    assert [a.has_keys for a in found.accounts] == [False, True]
    assert found.files[0].path == MAIN


@case("sshd", prepare="rm /usr/sbin/sshd")
def test_sshd_is_unknown_where_it_is_absent(seen: Seen) -> None:
    """Nothing tells whether another one runs."""
    assert seen.missing("droplet_sshd") == "sshd is not in PATH"


@case("sshd", root="trixie", prepare="cp /usr/bin/sleep /srv/dropbear\n/srv/dropbear 1000 &")
def test_another_server_for_ssh_is_named(seen: Seen) -> None:
    """Its settings are not those of sshd."""
    assert "dropbear" in seen.missing("droplet_sshd")


@case("sshd", root="trixie")
def test_sshd_is_unknown_without_host_keys(seen: Seen) -> None:
    """Neither -T nor, of a newer one, -G answers for a connection."""
    assert "no hostkeys available" in seen.missing("droplet_sshd")


MATCHES = f"""
Include more/*.conf {MAIN}.d/*.conf
Port 22
UseDNS no
AuthorizedKeysFile none %h/.ssh/keys /etc/ssh/keys/%u more/keys
AllowGroups root audit staff
Match User audit,!noroot,web-*
    PasswordAuthentication yes
Match Group staff,*adm
    PasswordAuthentication yes
Match Address 10.0.0.0/8,!192.0.2.1
    PermitRootLogin yes
Match Host *.example.com,192.0.2.77
    PermitRootLogin yes
Match all
    X11Forwarding no
"""


@case(
    "sshd",
    files={
        MAIN: MATCHES,
        "/etc/ssh/more/one.conf": "# nothing\n\nLogLevel INFO\n",
        "/etc/ssh/keys/noroot": f"{KEY}\n",
    },
    prepare=f"{HOST_KEY}interface eth0 10.1.2.3/8\nusermod -aG staff noroot\nusermod -p '{PASSWORD}' audit",
)
def test_sshd_is_asked_for_all_that_match_lines_tell_apart(seen: Seen) -> None:
    """Users, members of groups, addresses, and names that are addresses."""
    found = seen.fact("droplet_sshd")

    assert found.gaps == ("Match group-pattern was not evaluated",)
    assert {f.path for f in found.files} >= {MAIN, "/etc/ssh/more/one.conf"}
    assert {c.user for c in found.connections} >= {"root", "audit", "noroot", "web-x"}
    assert {c.address for c in found.connections} >= {"10.0.0.0", "10.1.2.3", "192.0.2.77"}
    by_user = {(c.user, c.address): c for c in found.connections}
    assert by_user["audit", "203.0.113.1"].takes_password
    assert by_user["root", "10.0.0.0"].get("permitrootlogin") == "yes"
    assert by_user["root", "203.0.113.1"].get("permitrootlogin") == "without-password"
    accounts = {a.name: (a.password, a.has_keys) for a in found.accounts}
    assert accounts["audit"] == ("set", False)
    assert accounts["noroot"] == ("locked", True)


@case(
    "sshd",
    files={
        MAIN: "Match LocalAddress 203.0.113.99 LocalPort 2222\n  PermitRootLogin yes\n"
        "Match Address 2001:db8::/32,198.51.100.*\n  PermitRootLogin no\n"
    },
    prepare=f"{HOST_KEY}interface eth0 10.1.2.3/8",
)
def test_sshd_is_asked_for_its_own_addresses_and_ports(seen: Seen) -> None:
    """Those of the host, and those that Match lines name, of both families."""
    found = seen.fact("droplet_sshd").connections

    assert {c.local_port for c in found} == {"22", "2222"}
    assert {c.local_address for c in found} == {"10.1.2.3", "203.0.113.99"}
    assert {c.address for c in found} >= {"2001:db8::", "198.51.100.1", "10.1.2.3"}
    assert {
        (c.local_address, c.local_port, c.address)
        for c in found
        if c.get("permitrootlogin") == "yes"
    } == {("203.0.113.99", "2222", a) for a in {c.address for c in found}}


@case(
    "sshd",
    files={MAIN: "UseDNS yes\nMatch Host web.example.com\n  PasswordAuthentication no\n"},
    prepare=HOST_KEY,
)
def test_names_are_asked_for_where_sshd_looks_them_up(seen: Seen) -> None:
    """A name stands beside the address."""
    found = seen.fact("droplet_sshd")

    by_host = {c.host: c.takes_password for c in found.connections if c.user == "root"}
    assert by_host["web.example.com"] is False
    assert {c.host for c in found.connections} == {"203.0.113.1", "web.example.com"}


@case("sshd", files={MAIN: "PasswordAuthentication maybe\n"}, prepare=HOST_KEY)
def test_sshd_that_refuses_its_configuration_is_a_gap(seen: Seen) -> None:
    """What it says is told."""
    assert 'unsupported option "maybe"' in seen.missing("droplet_sshd")


@case("sshd", prepare=f"{HOST_KEY}unreadable /etc/shadow")
def test_accounts_that_cannot_be_read_are_a_gap(seen: Seen) -> None:
    """Anybody may have a password."""
    assert "accounts" in " ".join(seen.fact("droplet_sshd").gaps)


@case("sshd", prepare=f"{HOST_KEY}failing sort 1")
def test_match_lines_that_are_lost_are_a_gap(seen: Seen) -> None:
    """What they tell apart is not known."""
    assert "Match" in " ".join(seen.fact("droplet_sshd").gaps)


@case(
    "sshd",
    prepare=f"{HOST_KEY}echo 'a,b:{PASSWORD}:1::::::' >>/etc/shadow\n"
    "echo 'a,b:x:1500:1500::/:/bin/sh' >>/etc/passwd",
)
def test_an_account_that_cannot_be_asked_for_is_a_gap(seen: Seen) -> None:
    """A comma ends the name in what sshd is asked."""
    assert "comma" in " ".join(seen.fact("droplet_sshd").gaps)


@case(
    "sshd",
    files={MAIN: "Include /etc/ssh/conf.d/*\n"},
    prepare=f"{HOST_KEY}mkdir /etc/ssh/conf.d\nfor n in $(seq 120); do : >/etc/ssh/conf.d/$n; done",
)
def test_more_files_than_are_read_are_a_gap(seen: Seen) -> None:
    """The rest may say anything."""
    assert "99" in " ".join(seen.fact("droplet_sshd").gaps)


@case("sshd", prepare=f"{HOST_KEY}unreadable {MAIN}.d/x.conf")
def test_configuration_that_cannot_be_read_is_a_gap(seen: Seen) -> None:
    """The file may say anything."""
    assert "x.conf" in " ".join(seen.fact("droplet_sshd").gaps)


@case(
    "sshd",
    files={"/etc/ssh/other": "PermitRootLogin no\nHostKey /etc/ssh/ssh_host_ed25519_key\n"},
    prepare=f"{HOST_KEY}/usr/sbin/sshd -f /etc/ssh/other -p2222 -o UseDNS=no\n"
    "until_true test -s /run/sshd.pid\nrm /run/sshd.pid\n"
    "/usr/sbin/sshd -o Port=2223\nuntil_true test -s /run/sshd.pid",
)
def test_the_arguments_of_the_running_sshd_count(seen: Seen) -> None:
    """It has another file and port than the default; a second sshd is a gap."""
    found = seen.fact("droplet_sshd")

    assert found.files[0].path == "/etc/ssh/other"
    assert found.connections[0].get("permitrootlogin") == "no"
    assert found.connections[0].local_port == "2222"
    assert "other arguments" in " ".join(found.gaps)


@case(
    "sshd",
    files={"/etc/default/ssh": 'SSHD_OPTS="-f/etc/ssh/other"\n', "/etc/ssh/other": "Port 24\n"},
    prepare=HOST_KEY,
)
def test_the_arguments_of_an_sshd_that_will_start_count(seen: Seen) -> None:
    """Where none runs, it is the one of the unit's file."""
    assert seen.fact("droplet_sshd").files[0].path == "/etc/ssh/other"


@case("accounts", matrix=True, prepare=f"usermod -p '{PASSWORD}' audit\nusermod -p '' noroot")
def test_accounts_are_read_with_the_class_of_their_password(seen: Seen) -> None:
    """No hash leaves the host."""
    found = seen.fact("droplet_host_accounts")

    states = {name: a.password for name, a in found.accounts.items()}
    assert (states["audit"], states["noroot"], states["root"]) == ("set", "empty", "locked")
    assert found.uid_min == 1000
    assert "files" in found.sources
    assert PASSWORD not in seen["accounts"].stdout


@case("accounts", prepare="failing getent 2")
def test_accounts_are_read_from_their_file_where_getent_fails(seen: Seen) -> None:
    """The file has those of the host itself."""
    assert "audit" in seen.fact("droplet_host_accounts").accounts


@case("accounts", prepare="unreadable /etc/shadow")
def test_accounts_are_unknown_without_their_passwords(seen: Seen) -> None:
    """Nothing is said of them."""
    assert "/etc/shadow could not be read" in seen.missing("droplet_host_accounts")


AGENT = "# Added and Managed by DigitalOcean Droplet Agent\n"


@case(
    "authorized_keys",
    matrix=True,
    files={
        "/root/.ssh/authorized_keys": f"# mine\n\n{AGENT}{KEY} root\n",
        "/home/audit/.ssh/authorized_keys": f'from="10.0.0.0/8" {KEY} audit\nsecret\nother\n',
        "/home/gone/.ssh/authorized_keys": f"{KEY} gone\n",
        "/home/gone/.ssh/authorized_keys\n2": f"{KEY} gone\n",
    },
    prepare=SSHD,
)
def test_keys_of_all_accounts_are_read(seen: Seen) -> None:
    """With their users and lines; a line that is no key stays on the host."""
    found = seen.fact("droplet_authorized_keys")

    assert {(e.path, e.users, e.line, e.in_use) for e in found.entries} == {
        ("/root/.ssh/authorized_keys", ("root",), 4, True),
        ("/home/audit/.ssh/authorized_keys", ("audit",), 1, True),
        ("/home/gone/.ssh/authorized_keys", (), 1, False),
    }
    assert "line 2 is not understood" in " ".join(found.unread)
    assert "secret" not in seen["authorized_keys"].stdout


@case(
    "authorized_keys",
    files={
        MAIN: "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n"
        "TrustedUserCAKeys /etc/ssh/ca\n"
        "Match User audit\n  AuthorizedKeysFile /srv/%u/%U /srv/%%/%h\n",
        "/etc/ssh/keys/root": f"{KEY}\n",
        "/etc/ssh/keys/gone": f"{KEY}\n",
        "/srv/audit/1000": f"{KEY}\n",
    },
    prepare=HOST_KEY,
)
def test_keys_are_read_where_sshd_is_configured_to_look(seen: Seen) -> None:
    """By patterns with users, those of Match blocks too, and for users who are gone."""
    found = seen.fact("droplet_authorized_keys")

    assert {(e.path, e.users, e.in_use) for e in found.entries} == {
        ("/etc/ssh/keys/root", ("root",), True),
        ("/etc/ssh/keys/gone", (), False),
        ("/srv/audit/1000", ("audit",), True),
    }
    assert "trustedusercakeys" in " ".join(found.elsewhere)


@case(
    "authorized_keys",
    prepare=f"{HOST_KEY}unreadable /root/.ssh/authorized_keys\n"
    "mkdir -p /home/audit/.ssh/authorized_keys",
)
def test_files_of_keys_that_cannot_be_read_are_unread(seen: Seen) -> None:
    """A file that root cannot read, and what is no file."""
    unread = " ".join(seen.fact("droplet_authorized_keys").unread)

    assert "/root/.ssh/authorized_keys" in unread
    assert "/home/audit/.ssh/authorized_keys" in unread


@case("authorized_keys", prepare=f"{HOST_KEY}failing getent 2")
def test_keys_are_read_where_getent_fails(seen: Seen) -> None:
    """The accounts are those of the file."""
    assert seen.fact("droplet_authorized_keys").unread == ()


@case("authorized_keys", prepare=f"{HOST_KEY}failing getent 2\nunreadable /etc/passwd")
def test_keys_are_unknown_without_accounts(seen: Seen) -> None:
    """Nobody knows whose files there are."""
    assert "no account was found" in seen.missing("droplet_authorized_keys")


@case(
    "metadata_keys",
    matrix=True,
    files={"/srv/metadata/v1/public-keys": f"{KEY} me"},
    prepare=METADATA,
)
def test_the_keys_that_the_droplet_was_made_with_are_read(seen: Seen) -> None:
    """The metadata service lists them."""
    assert len(seen.fact("droplet_creation_keys").fingerprints) == 1


@case("metadata_keys")
def test_the_keys_that_the_droplet_was_made_with_are_unknown(seen: Seen) -> None:
    """No service answers."""
    assert "did not answer" in seen.missing("droplet_creation_keys")
