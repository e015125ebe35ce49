"""The sections of sshd, of accounts and of the keys that may log in."""

from __future__ import annotations

import re
import shlex

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
    """Users, members of groups, also by a pattern, addresses, and names that are addresses."""
    found = seen.fact("droplet_sshd")

    assert found.gaps == ()
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
    assert {c.local_address for c in found} >= {"10.1.2.3", "203.0.113.99", "::1"}
    assert {c.address for c in found} >= {"2001:db8::", "198.51.100.0", "10.1.2.3", "3fff::1"}
    assert all((":" in c.address) == (":" in c.local_address) for c in found)
    assert {
        (c.local_address, c.local_port, c.address)
        for c in found
        if c.get("permitrootlogin") == "yes"
    } == {("203.0.113.99", "2222", a) for a in {c.address for c in found} if ":" not in a}


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
    assert {c.host for c in found.connections} == {"203.0.113.1", "3fff::1", "web.example.com"}


@case(
    "sshd",
    root="trixie",
    files={MAIN: "Port 22\nPassword Authentication no\nUseLogin no\n"},
    prepare=HOST_KEY,
)
def test_an_option_that_sshd_refuses_is_found(seen: Seen) -> None:
    """It is named with its line, and the option that was meant."""
    refused = seen.fact("droplet_sshd").refusal

    assert (refused.path, refused.line) == (MAIN, 2)
    assert "Bad configuration option: Password" in refused.reason
    assert refused.meant == "PasswordAuthentication no"


@case("sshd", files={MAIN: "PasswordAuthentication maybe\n"}, prepare=HOST_KEY)
def test_a_value_that_sshd_refuses_is_found(seen: Seen) -> None:
    """What it says is told."""
    found = seen.fact("droplet_sshd")

    assert 'unsupported option "maybe"' in found.refusal.reason
    assert found.refusal.line == 1
    assert not found.refusal.meant
    assert found.gaps


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
    assert "a,b" in " ".join(seen.fact("droplet_sshd").gaps)


@case(
    "sshd",
    files={
        MAIN: 'Include "/etc/ssh/my conf/*.conf"\nPasswordAuthentication no\n',
        "/etc/ssh/my conf/a.conf": "Match User alice\n  PasswordAuthentication yes\n",
    },
    prepare=HOST_KEY,
)
def test_a_file_is_included_whose_path_has_a_blank(seen: Seen) -> None:
    """Sshd itself tells what it reads; the line is named."""
    found = seen.fact("droplet_sshd")

    assert [f.path for f in found.files] == [MAIN, "/etc/ssh/my conf/a.conf"]
    assert [c.user for c in found.connections if c.takes_password] == ["alice"]
    assert found.where("PasswordAuthentication", "yes") == "/etc/ssh/my conf/a.conf:2"
    assert found.gaps == ()


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
    assert "another sshd runs: /usr/sbin/sshd -o Port=2223" in " ".join(found.gaps)


OWN = "/opt/xsh/sshd"


@case(
    "sshd",
    "authorized_keys",
    files={
        "/opt/xsh/sshd_config": "HostKey /etc/ssh/ssh_host_ed25519_key\nMatch User audit\n"
        "  PasswordAuthentication yes\n  AuthorizedKeysFile /srv/keys/%u\n"
        "Match all\n  PasswordAuthentication no\n",
        MAIN: "PasswordAuthentication no\n",
        "/srv/keys/audit": f"{KEY} x\n",
    },
    prepare=f"{HOST_KEY}cp /usr/sbin/sshd {OWN}\n"
    f"sed -i 's|/etc/ssh/sshd_config|/opt/xsh/sshd_config|g' {OWN}\n"
    f"{OWN}\nuntil_true test -s /run/sshd.pid\nrm {OWN}",
)
def test_the_sshd_that_runs_is_the_one_that_is_asked(seen: Seen) -> None:
    """Not the one of the distribution: neither its program nor its configuration."""
    found = seen.fact("droplet_sshd")
    keys = seen.fact("droplet_authorized_keys")

    assert found.files[0].path == "/opt/xsh/sshd_config"
    assert {c.user for c in found.connections if c.takes_password} == {"audit"}
    assert [(e.path, e.users) for e in keys.entries] == [("/srv/keys/audit", ("audit",))]


@case(
    "sshd",
    "authorized_keys",
    files={
        "/opt/xsh/conf": "HostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication yes\n"
        "AuthorizedKeysFile /srv/keys/%u\n",
        MAIN: "PasswordAuthentication no\n",
        "/srv/keys/audit": f"{KEY} x\n",
    },
    prepare=f"{HOST_KEY}cp /usr/sbin/sshd /opt/xsh/own-ssh\n/opt/xsh/own-ssh -f /opt/xsh/conf\n"
    "until_true test -s /run/sshd.pid",
)
def test_an_sshd_whose_program_has_another_name_is_asked(seen: Seen) -> None:
    """It tells by what it calls itself."""
    found = seen.fact("droplet_sshd")
    keys = seen.fact("droplet_authorized_keys")

    assert found.files[0].path == "/opt/xsh/conf"
    assert all(c.takes_password for c in found.connections)
    assert [(e.path, e.users) for e in keys.entries] == [("/srv/keys/audit", ("audit",))]


@case(
    "sshd",
    files={
        MAIN: "PasswordAuthentication yes\n",
        "/home/audit/good": "PasswordAuthentication no\n",
    },
    prepare=f"{HOST_KEY}cp /usr/bin/tail /home/audit/sshd\n"
    "setpriv --reuid=1000 --clear-groups /home/audit/sshd -f /home/audit/good &\n"
    "until_true grep -qx sshd /proc/$!/comm",
)
def test_a_process_of_a_user_that_is_called_sshd_decides_nothing(seen: Seen) -> None:
    """Neither does it make anything unknown."""
    found = seen.fact("droplet_sshd")

    assert found.files[0].path == MAIN
    assert all(c.takes_password for c in found.connections)
    assert found.gaps == ()


@case(
    "sshd",
    "authorized_keys",
    files={
        MAIN: "PasswordAuthentication no\n",
        "/srv/other": "HostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication yes\n",
    },
    prepare=f"{HOST_KEY}mkdir /srv/own\nmount -t tmpfs own /srv/own\ncd /srv/own\n"
    "mkdir usr etc dev srv\nfor f in usr etc dev srv; do mount --bind /$f $f; done\n"
    "ln -s usr/lib usr/lib64 .\nmkdir -p run/sshd\n"
    "chroot . /usr/sbin/sshd -f /srv/other\nuntil_true test -s run/sshd.pid",
)
def test_an_sshd_in_a_root_of_its_own_is_a_gap(seen: Seen) -> None:
    """It has the host's network, so that it may be the one that answers."""
    assert "another sshd runs: /srv/own/usr/sbin/sshd" in " ".join(seen.fact("droplet_sshd").gaps)
    assert "another sshd runs" in " ".join(seen.fact("droplet_authorized_keys").unread)


@case(
    "sshd",
    prepare=f"{HOST_KEY}mkfifo /srv/in\n/usr/sbin/sshd -i -f {MAIN} <>/srv/in >/dev/null &\n"
    "until_true grep -q sshd: /proc/$!/cmdline",
)
def test_an_sshd_for_each_connection_is_a_gap(seen: Seen) -> None:
    """As inetd starts it, or a socket of systemd: its arguments are not known."""
    assert "no sshd listens" in " ".join(seen.fact("droplet_sshd").gaps)


MANY = "".join(f"u{number}:x:{2000 + number}:2000::/:/bin/sh\n" for number in range(1100))


@case(
    "sshd",
    files={
        MAIN: "PasswordAuthentication no\nMatch User u7*\n  PasswordAuthentication yes\n",
        "/srv/passwd": MANY,
        "/srv/shadow": MANY.replace(":x:", f":{PASSWORD}:"),
    },
    prepare=f"{HOST_KEY}cat /srv/passwd >>/etc/passwd\ncat /srv/shadow >>/etc/shadow",
)
def test_of_many_accounts_one_of_each_class_is_asked_for(seen: Seen) -> None:
    """It stands for those that Match lines do not tell from it."""
    found = seen.fact("droplet_sshd")

    assert len(found.connections) < 10
    assert len(found.accounts) > 1100
    assert found.gaps == ()
    assert all(c.takes_password for c in found.of(["u77"]))
    assert not any(c.takes_password for c in found.of(["u1099", "root"]))
    assert all(found.of([name]) for name in ("u77", "u1099"))


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
    files={
        MAIN: "Include=more/*.conf\n",
        "/etc/ssh/more/a.conf": "Match User end\n  AuthorizedKeysFile /srv/%u\n",
        "/srv/end": f"{KEY}\n",
    },
    prepare=f"{HOST_KEY}useradd end",
)
def test_keys_of_included_match_blocks_are_read(seen: Seen) -> None:
    """A user may be named as the end of the list is."""
    found = seen.fact("droplet_authorized_keys")

    assert [(e.path, e.users, e.in_use) for e in found.entries] == [("/srv/end", ("end",), True)]


@case(
    "authorized_keys",
    files={
        MAIN: '"Match" User audit\r\n  "AuthorizedKeysFile" "/srv/keys/%u"\r\n'
        'Match User noroot\n  AuthorizedKeysFile="/srv/my keys/%u"\n',
        "/srv/keys/audit": f"{KEY}\n",
        "/srv/my keys/noroot": f"{KEY}\n",
    },
    prepare=HOST_KEY,
)
def test_settings_in_quotes_and_with_line_ends_of_windows_count(seen: Seen) -> None:
    """A path with a blank is not looked for, and its line is named."""
    found = seen.fact("droplet_authorized_keys")

    assert [(e.path, e.users) for e in found.entries] == [("/srv/keys/audit", ("audit",))]
    assert f"files with a blank in their path, by {MAIN}:4" in found.unread


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


@case(
    "authorized_keys",
    files={"/home/ldapuser/.ssh/authorized_keys": f"{KEY} x\n"},
    prepare=f"{HOST_KEY}sed -i 's/^passwd:.*/ passwd : files ldap/' /etc/nsswitch.conf",
)
def test_keys_of_users_that_are_not_listed_count(seen: Seen) -> None:
    """The file in the home of nobody may be that of a user of LDAP."""
    found = seen.fact("droplet_authorized_keys")

    assert [(e.path, e.in_use) for e in found.entries] == [
        ("/home/ldapuser/.ssh/authorized_keys", True)
    ]
    assert "accounts of ldap" in " ".join(found.unread)


@case(
    "sshd",
    "authorized_keys",
    files={"/home/gone/.ssh/authorized_keys": f"{KEY} x\n"},
    prepare=f"{HOST_KEY}sed -i 's/^passwd:.*/passwd: sss files/' /etc/nsswitch.conf\n"
    "mkdir -p /var/lib/sss/pipes\nssh-agent -a /var/lib/sss/pipes/nss",
)
def test_accounts_of_sssd_are_not_listed_where_it_runs(seen: Seen) -> None:
    """It serves accounts, and no SSH."""
    assert "accounts of sss" in " ".join(seen.fact("droplet_authorized_keys").unread)
    assert "sss" in seen.fact("droplet_sshd").account_sources


HIDERS = {
    "moves-a-file": "mv .ssh/authorized_keys .k",
    "moves-a-decoy": "mv .ssh/decoy .ssh/authorized_keys",
    "moves-a-folder": "mv .ssh .k",
    "moves-a-folder-that-a-link-leads-to": "mv true .k; mv false true",
    "moves-a-file-that-a-link-leads-to": "mv false/linked true/linked",
    "links-a-folder": "ln -sfn false .ssh",
    "links-a-file": "ln -sf decoy .ssh/authorized_keys",
    "writes": ": >.ssh/authorized_keys",
}
"""What users do in their homes to hide their keys."""


def _hiding() -> str:
    """Return commands that make a home for each of them, and let them hide while they are read."""
    home, hide = [], []
    for how, commands in HIDERS.items():
        folder = f"/srv/homes/{how}"
        home += [
            f"mkdir -p {folder}/true {folder}/false {folder}/.ssh",
            f"cd {folder}",
            "echo >false/authorized_keys",
            "echo >false/linked",
            f"echo '{KEY} x' | tee .ssh/authorized_keys true/authorized_keys >true/linked",
            "echo >.ssh/decoy",
        ]
        if how.endswith("folder-that-a-link-leads-to") or how == "links-a-folder":
            home += ["rm -r .ssh", "ln -s true .ssh"]
        if how.endswith("file-that-a-link-leads-to"):
            home += ["ln -sf ../true/linked .ssh/authorized_keys"]
        home.append(f"chown -Rh {how[:30]} .")
        hide += [f"cd {folder}", commands]
    lines = "\n".join
    users = [f"useradd -d /srv/homes/{how} {how[:30]}" for how in HIDERS]
    # The script asks for the date as it begins, and for the accounts before it looks for files.
    return lines(
        [
            *users,
            f"stand_in date {shlex.quote(lines(['rm -rf /srv/homes', *home, 'exec date.real +%s']))}",
            f"stand_in getent {shlex.quote(lines(['sleep 1.1', *hide, 'exec getent.real passwd']))}",
        ]
    )


@case("authorized_keys", prepare=f"{HOST_KEY}{_hiding()}")
def test_keys_that_are_hidden_while_they_are_read_are_unread(seen: Seen) -> None:
    """Whatever a user moves leaves a time that only root could set back."""
    unread = f"{' '.join(seen.fact('droplet_authorized_keys').unread)}/"

    assert [how for how in HIDERS if not re.search(f"/{how}[/,]", unread)] == []


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
