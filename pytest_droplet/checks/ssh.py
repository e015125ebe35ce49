"""Checks of SSH: only keys let anybody in (the guide's recommendation 7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial

from pytest_droplet.catalogue import check
from pytest_droplet.facts import Account
from pytest_droplet.facts.ssh.ssh import OfferedMethods, SshAccounts
from pytest_droplet.facts.ssh.sshd import Connection, SshAccount, Sshd
from pytest_droplet.model import NotObservedError, fail, not_applicable
from pytest_droplet.settings import Settings
from pytest_droplet.text import one_line

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, 7: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_LOST_KEY = "https://docs.digitalocean.com/support/i-lost-the-ssh-key-for-my-droplet/"
_CLOUD_INIT = "https://github.com/canonical/cloud-init/issues/5934"
_KEYS_ONLY = frozenset({"publickey", "gssapi-with-mic", "gssapi-keyex"})
_LOCAL_ACCOUNTS = frozenset({"files", "compat", "systemd", "db", "altfiles"})
_WEAK = {
    "ciphers": ("3des-cbc", "*-cbc", "*-cbc@*", "arcfour*", "blowfish*", "cast128*"),
    "kexalgorithms": (
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha1",
    ),
    "macs": ("hmac-md5*", "hmac-ripemd160*", "hmac-sha1-96*", "umac-64*"),
}
_OLD_MACS = ("hmac-sha1*", "umac-128*")
_POST_QUANTUM = ("mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@*")
_STRICT_SINCE = (9, 6)
_WEAK_SIGNATURES = ("ssh-dss*", "ssh-rsa", "ssh-rsa-cert-*")
_SIGNATURES = (
    ("hostkeyalgorithms",),
    ("pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes"),
    ("casignaturealgorithms",),
)


@check(
    "ssh.account-has-key",
    severity="medium",
    profile="droplet",
    guide=7,
    references=f"{_GUIDE}; https://docs.digitalocean.com/reference/api/ (GET /v2/account/keys)",
    api=("keys",),
)
def test_account_has_an_ssh_key(droplet_account: Account) -> None:
    """The account has at least one SSH key.

    Finding:
        The account has no SSH key.

    Rationale:
        A Droplet that is created without a key gets a password by e-mail instead, and a
        password can be guessed. An account without any key cannot create Droplets otherwise.

    Remediation:
        Make a key with ``ssh-keygen -t ed25519`` on your own machine, keep the private part
        there under a passphrase, and add the public part in the control panel under
        Settings, Security, or with
        ``doctl compute ssh-key import NAME --public-key-file ~/.ssh/id_ed25519.pub``.
    """
    keys = droplet_account.inventory.keys.get()
    assert keys, "GET /v2/account/keys lists no key; 1 or more are needed"


@check(
    "ssh.password-authentication-disabled",
    severity="critical",
    profile="droplet",
    guide=7,
    references=f"{_GUIDE}; {_CLOUD_INIT}; {_LOST_KEY}; sshd_config(5)",
)
def test_password_authentication_is_off_for_everybody(droplet_sshd: Sshd) -> None:
    """PasswordAuthentication is off for everybody.

    Finding:
        Password login over SSH is on.

    Rationale:
        Every public address is tried with lists of passwords all day long. One weak or
        reused password is enough, for any account and from any address, so a Match block
        that lets in a single user counts as much as the global setting. ``yes`` is accepted
        only where ``AuthenticationMethods`` demands a key as well.

    Remediation:
        Put ``PasswordAuthentication no`` and ``KbdInteractiveAuthentication no`` into
        ``/etc/ssh/sshd_config.d/00-keys-only.conf`` and run ``sshd -t``. The first value that
        sshd reads wins, and files below ``sshd_config.d`` come first: remove or correct
        ``50-cloud-init.conf``, which often says ``yes`` (``ssh_pwauth: false`` in the cloud-init
        configuration keeps it so), and the line in Match blocks.
        Test a second login first, with a key, and keep the open session until it works; then
        ``systemctl reload ssh`` on Debian and Ubuntu, ``systemctl reload sshd`` on AlmaLinux,
        Rocky Linux, Fedora and CentOS Stream.
    """
    refused = droplet_sshd.refusal
    if refused is not None:
        fail(
            f"sshd refuses its configuration, and will not come up at its next restart: {refused}",
            droplet_sshd=[refused.details],
        )
    found = _among(droplet_sshd, lambda c: c.takes_password)
    _fail_on(droplet_sshd, found, "PasswordAuthentication", "yes")


@check(
    "ssh.keyboard-interactive-disabled",
    severity="high",
    profile="droplet",
    guide=7,
    references=f"{_GUIDE}; sshd_config(5); https://www.openssh.com/txt/release-8.7",
)
def test_keyboard_interactive_asks_nobody_for_a_password(droplet_sshd: Sshd) -> None:
    """Keyboard-interactive login accepts no password.

    Finding:
        Keyboard-interactive login over SSH accepts passwords.

    Rationale:
        With PAM, keyboard-interactive asks for the account's password just as password
        authentication does: a server with ``PasswordAuthentication no`` alone may still be
        open to guessing. OpenSSH's own default is ``yes``.

    Remediation:
        Put ``KbdInteractiveAuthentication no`` (``ChallengeResponseAuthentication no`` before
        OpenSSH 8.7) into ``/etc/ssh/sshd_config.d/00-keys-only.conf`` and run ``sshd -t``.
        For one-time passwords on top of keys set
        ``AuthenticationMethods publickey,keyboard-interactive`` instead.
        Test a second login first; then ``systemctl reload ssh`` on Debian and Ubuntu,
        ``systemctl reload sshd`` on AlmaLinux, Rocky Linux, Fedora and CentOS Stream.
    """
    found = _among(droplet_sshd, lambda c: c.takes_keyboard_interactive)
    _fail_on(
        droplet_sshd,
        found,
        "KbdInteractiveAuthentication",
        "yes",
        text="KbdInteractiveAuthentication and UsePAM are yes",
    )


@check(
    "ssh.pubkey-authentication-enabled",
    severity="medium",
    profile="droplet",
    guide=7,
    references=f"{_GUIDE}; sshd_config(5)",
)
def test_public_key_login_is_on(droplet_sshd: Sshd, droplet_ssh_accounts: SshAccounts) -> None:
    """Public-key login is on.

    Finding:
        Public-key login over SSH is off.

    Rationale:
        Where keys are refused, the accounts that have them are reached by passwords or not
        at all, and somebody will turn passwords on again. ``AuthorizedKeysFile none``
        without another source of keys refuses them too.

    Remediation:
        Remove ``PubkeyAuthentication no`` from ``/etc/ssh/sshd_config``, the files below
        ``/etc/ssh/sshd_config.d`` and their Match blocks, and name a file in
        ``AuthorizedKeysFile``. Run ``sshd -t``, then ``systemctl reload ssh`` on Debian and
        Ubuntu, ``systemctl reload sshd`` on AlmaLinux, Rocky Linux, Fedora and CentOS Stream;
        test a second login before you leave the first.
    """
    holders = {a.name for a in droplet_ssh_accounts.accounts if a.has_keys}
    off = _among(droplet_sshd, lambda c: not c.is_on("pubkeyauthentication"), users=holders)
    _fail_on(droplet_sshd, off, "PubkeyAuthentication", "no")
    keyless = _among(droplet_sshd, _has_no_key_source, users=holders)
    _fail_on(
        droplet_sshd,
        keyless,
        "AuthorizedKeysFile",
        "none",
        more=", with no other source of keys",
    )


@check(
    "ssh.root-password-login-disabled",
    severity="critical",
    profile="droplet",
    guide=7,
    references=f"{_GUIDE}; sshd_config(5)",
)
def test_root_cannot_log_in_with_a_password(
    droplet_sshd: Sshd, droplet_ssh_accounts: SshAccounts
) -> None:
    """Root cannot log in with a password.

    Finding:
        Root can log in over SSH with a password.

    Rationale:
        Every host has the account root, so an attacker need not guess a name, and its
        password opens everything at once. Every other account with uid 0 counts as root.

    Remediation:
        Put ``PermitRootLogin prohibit-password`` (or ``no``, once another user can log in and
        use sudo) into ``/etc/ssh/sshd_config.d/00-keys-only.conf``, remove
        ``PermitRootLogin yes`` from Match blocks, and run ``sshd -t``. Test a second login
        first; then ``systemctl reload ssh`` on Debian and Ubuntu, ``systemctl reload sshd``
        on AlmaLinux, Rocky Linux, Fedora and CentOS Stream.
    """
    found = _among(
        droplet_sshd,
        lambda c: _permit_root(c) == "yes" and (c.takes_password or c.takes_keyboard_interactive),
        users=_roots(droplet_ssh_accounts),
    )
    _fail_on(
        droplet_sshd,
        found,
        "PermitRootLogin",
        "yes",
        text="PermitRootLogin is yes and a password is taken",
    )


@check(
    "ssh.password-accounts-unreachable",
    severity="high",
    profile="droplet",
    guide=7,
    references=f"{_GUIDE}; sshd_config(5); shadow(5)",
)
def test_no_account_with_a_password_can_use_it_over_ssh(
    droplet_sshd: Sshd, droplet_ssh_accounts: SshAccounts, droplet_now: datetime
) -> None:
    """No account with a usable password can use it over SSH.

    Finding:
        An account can log in over SSH with its password.

    Rationale:
        Of all accounts these can really be guessed: they have a password, a shell, have not
        expired, and sshd lets them try. Whoever left and knows the password gets in by it
        although the key was removed.

    Remediation:
        Turn password login off (see ssh.password-authentication-disabled), or lock the
        passwords that nobody needs with ``passwd -l USER``; keys go on working. Where a
        password must stay, leave the account out by ``AllowUsers`` or ``DenyUsers``. Test a
        second login before you close the first.
    """
    sshd = droplet_sshd
    able = [
        a
        for a in droplet_ssh_accounts.accounts
        if a.password == "set" and a.has_login_shell and not a.is_expired(droplet_now)  # noqa: S105 a class, no password
    ]
    reached = _reached(sshd, able)
    if reached:
        fail(
            f"{len(reached)} accounts with a password can log in with it over SSH: "
            f"{_named(reached)} "
            f"(PasswordAuthentication {sshd.values('passwordauthentication')}, "
            f"KbdInteractiveAuthentication {sshd.values('kbdinteractiveauthentication')})",
            droplet_ssh_accounts=reached,
        )
    open_ways = _among(sshd, lambda c: c.takes_password or c.takes_keyboard_interactive)
    if open_ways and (other := set(sshd.account_sources) - _LOCAL_ACCOUNTS):
        raise NotObservedError(
            f"passwords are taken for {sshd.name(open_ways)}, and accounts also come from "
            f"{one_line(', '.join(sorted(other)), 60)}, which are not listed"
        )
    sshd.require_all()


@check(
    "ssh.only-publickey-offered",
    severity="high",
    profile="droplet",
    guide=7,
    references=f"{_GUIDE}; {_LOST_KEY}; RFC 4252, section 5.1",
)
def test_the_running_server_offers_only_keys(droplet_ssh_offered: OfferedMethods) -> None:
    """The running server offers only publickey.

    Finding:
        The running SSH server offers other ways to log in than public keys.

    Rationale:
        This is what an attacker sees. Configuration on disk helps only when the running
        server has read it, and when no other server answers at the port. Kerberos
        (``gssapi-with-mic``) is accepted: it takes no password either.

    Remediation:
        Turn password login off in the configuration (see ssh.password-authentication-disabled
        and ssh.keyboard-interactive-disabled) and run ``sshd -t``. Test a second login first;
        then ``systemctl reload ssh`` on Debian and Ubuntu, ``systemctl reload sshd`` on
        AlmaLinux, Rocky Linux, Fedora and CentOS Stream. Where more than one sshd runs, find
        the one that answers with ``ss -Hltnp``.
    """
    offered = droplet_ssh_offered
    wrong = {
        user: [name for name in names if name not in _KEYS_ONLY]
        for user, names in offered.by_user.items()
    }
    text = "; ".join(f"{', '.join(names)} to {user}" for user, names in wrong.items() if names)
    reason = f" ({offered.explanation})" if offered.explanation else ""
    if text:
        fail(
            f"the server offers {text}{reason}",
            droplet_ssh_offered=[{"user": u, "methods": n} for u, n in wrong.items() if n],
        )


@check(
    "ssh.empty-passwords-disabled",
    severity="high",
    profile="cis1",
    guide=7,
    references="sshd_config(5)",
)
def test_nobody_logs_in_with_an_empty_password(
    droplet_sshd: Sshd, droplet_ssh_accounts: SshAccounts
) -> None:
    """Empty passwords let nobody in.

    Finding:
        An empty password lets somebody in over SSH.

    Rationale:
        An account without a password is open to everybody who knows its name, as soon as
        sshd, or the next change of its configuration, takes empty passwords.

    Remediation:
        Remove ``PermitEmptyPasswords yes``, or put ``PermitEmptyPasswords no`` into
        ``/etc/ssh/sshd_config.d/00-keys-only.conf``, run ``sshd -t``, then
        ``systemctl reload ssh`` on Debian and Ubuntu, ``systemctl reload sshd`` on AlmaLinux,
        Rocky Linux, Fedora and CentOS Stream. Lock each account whose password is empty with
        ``passwd -l USER``, or give it one. Test a second login first.
    """
    sshd = droplet_sshd
    found = _among(sshd, lambda c: c.is_on("permitemptypasswords"))
    _fail_on(sshd, found, "PermitEmptyPasswords", "yes")
    empty = [
        a
        for a in droplet_ssh_accounts.accounts
        if a.password == "empty" and a.has_login_shell  # noqa: S105 a class, no password
    ]
    reached = _reached(sshd, empty)
    if reached:
        fail(
            f"empty password, a shell and password login: {_named(reached)}",
            droplet_ssh_accounts=reached,
        )


@check(
    "ssh.root-login-disabled",
    severity="medium",
    profile="cis1",
    guide=7,
    references="sshd_config(5)",
)
def test_root_cannot_log_in_over_ssh(
    droplet_sshd: Sshd, droplet_ssh_accounts: SshAccounts
) -> None:
    """Root cannot log in over SSH.

    Finding:
        Root can log in over SSH.

    Rationale:
        A login as root does not tell who acted, and a stolen key is root at once. A user of
        one's own and sudo leave a trace and are one more step. DigitalOcean's guide itself
        logs in as root, so this is not part of the profile droplet.

    Remediation:
        First log in as another user, with a key, and try ``sudo -v``. Then put
        ``PermitRootLogin no`` into ``/etc/ssh/sshd_config.d/00-root.conf`` (the first value
        wins), remove other values from Match blocks, run ``sshd -t``, and
        ``systemctl reload ssh`` on Debian and Ubuntu, ``systemctl reload sshd`` on AlmaLinux,
        Rocky Linux, Fedora and CentOS Stream; keep the session until a new one works.
    """
    found = _among(
        droplet_sshd, lambda c: _permit_root(c) != "no", users=_roots(droplet_ssh_accounts)
    )
    if found:
        values = sorted({_permit_root(c) for c in found})
        fail(
            f"PermitRootLogin is {' or '.join(values)} for {droplet_sshd.name(found)} "
            f"({droplet_sshd.where('PermitRootLogin', values[0])}); it must be no",
            droplet_sshd=[droplet_sshd.setting("PermitRootLogin", v, found) for v in values],
        )


@check(
    "ssh.weak-algorithms-disabled",
    severity="medium",
    profile="cis1",
    guide=7,
    references="sshd_config(5)",
)
def test_sshd_offers_no_broken_algorithm(droplet_sshd: Sshd, droplet_settings: Settings) -> None:
    """No broken algorithms are offered.

    Finding:
        The SSH server offers broken algorithms.

    Rationale:
        CBC ciphers, RC4, SHA-1 key exchange, MD5, RIPEMD-160 and 64-bit MACs, DSA and SHA-1
        signatures have known attacks, and an attacker on the path may steer a client to
        them. ``ssh-rsa`` is judged as a signature algorithm: RSA keys that sign with
        rsa-sha2 are fine. A stock Debian 12 still offers umac-64. The setting ``ssh_strict``
        counts hmac-sha1 and umac-128 too, and chacha20 where the server may lack the strict
        key exchange (OpenSSH before 9.6, CVE-2023-48795); ``ssh_post_quantum`` asks for a key
        exchange that withstands quantum computers.

    Remediation:
        Debian and Ubuntu: take the named algorithms out in a file below
        ``/etc/ssh/sshd_config.d``, for instance
        ``MACs -umac-64@openssh.com,umac-64-etm@openssh.com``, and likewise ``Ciphers``,
        ``KexAlgorithms``, ``HostKeyAlgorithms``, ``PubkeyAcceptedAlgorithms``; then
        ``sshd -t`` and ``systemctl reload ssh``. AlmaLinux, Rocky Linux, Fedora and CentOS
        Stream: ``update-crypto-policies --set DEFAULT`` (or with a subpolicy such as
        ``DEFAULT:NO-SHA1``), then ``systemctl restart sshd``. Test a second login first: very
        old clients may be shut out.
    """
    if not droplet_sshd.running:
        not_applicable("no sshd runs on the host")
    if not droplet_sshd.connections:
        droplet_sshd.require_all()
    first = droplet_sshd.connections[0]
    lists = {**_WEAK, "macs": _WEAK["macs"] + (_OLD_MACS if droplet_settings.ssh_strict else ())}
    weak = {option: _matching(first.get(option), lists[option]) for option in lists}
    for names in _SIGNATURES:
        option = next((n for n in names if n in first.options), names[0])
        found: set[str] = set()
        for connection in droplet_sshd.connections:
            if option in connection.options:
                found.update(_matching(connection.get(option), _WEAK_SIGNATURES))
            elif connection is first:
                first.get(option)
        weak[option] = sorted(found)
    text = "; ".join(f"{option} {', '.join(names)}" for option, names in weak.items() if names)
    if text:
        fail(
            f"sshd offers {one_line(text, 600)}",
            droplet_sshd=[
                droplet_sshd.setting(option, ",".join(names))
                for option, names in weak.items()
                if names
            ],
        )
    if droplet_settings.ssh_post_quantum:
        assert _matching(first.get("kexalgorithms"), _POST_QUANTUM), (
            f"sshd offers none of {', '.join(_POST_QUANTUM)}"
        )
    if droplet_settings.ssh_strict and _matching(first.get("ciphers"), ["chacha20-*"]):
        _require_strict_exchange(droplet_sshd)
    droplet_sshd.require_all()


def _among(
    sshd: Sshd,
    test: Callable[[Connection], bool],
    *,
    users: Iterable[str] | None = None,
) -> list[Connection]:
    """Return the connections that a test holds for: of these users, or of all.

    Where it holds for none, every connection must have been evaluated, each with its options.
    """
    if not sshd.running:
        not_applicable("no sshd runs on the host")
    names = None if users is None else set(users)
    chosen = sshd.of(names) if names else sshd.connections
    found: list[Connection] = []
    missing: NotObservedError | None = None
    for connection in chosen:
        try:
            if test(connection):
                found.append(connection)
        except NotObservedError as exc:
            missing = missing or exc
    if not found:
        if missing is not None:
            raise missing
        if not chosen:
            sshd.require_all()
            raise NotObservedError("sshd -T was not asked for these users")
        sshd.require_all()
    return found


def _fail_on(
    sshd: Sshd,
    found: Sequence[Connection],
    option: str,
    value: str,
    *,
    text: str = "",
    more: str = "",
) -> None:
    """Fail where an option has a value for some connections; ``text`` says so in other words."""
    if found:
        said = text or f"{option} is {value}"
        fail(
            f"{said} for {sshd.name(found)} ({sshd.where(option, value)}){more}",
            droplet_sshd=[sshd.setting(option, value, found)],
        )


def _named(accounts: Sequence[SshAccount]) -> str:
    return ", ".join(one_line(account.name, 32) for account in accounts[:10])


def _reached(sshd: Sshd, accounts: Iterable[SshAccount]) -> list[SshAccount]:
    """Return the accounts that a password way is open to.

    Where there is none, all of them must have been evaluated.
    """
    reached: list[SshAccount] = []
    missing: NotObservedError | None = None
    for account in accounts:
        try:
            if _among(sshd, partial(_is_open_to, account=account), users=[account.name]):
                reached.append(account)
        except NotObservedError as exc:
            missing = missing or exc
    if missing is not None and not reached:
        raise missing
    return reached


def _require_strict_exchange(sshd: Sshd) -> None:
    """Raise NotObservedError where a build may lack the answer to CVE-2023-48795.

    OpenSSH has it since 9.6; distributions gave it to older versions too, which sshd -T does
    not tell.
    """
    found = re.match(r"OpenSSH_(\d{1,3})\.(\d{1,3})", sshd.version)
    if found is None or (int(found[1]), int(found[2])) < _STRICT_SINCE:
        raise NotObservedError(
            f"chacha20 is offered, and sshd -T does not tell whether {one_line(sshd.version, 60)} "
            "has the strict key exchange"
        )


def _roots(accounts: SshAccounts) -> set[str]:
    return {"root"} | {a.name for a in accounts.accounts if a.uid == 0}


def _permit_root(connection: Connection) -> str:
    value = connection.get("permitrootlogin")
    known = {"yes", "no", "without-password", "prohibit-password", "forced-commands-only"}
    if value not in known:
        raise NotObservedError(f"sshd -T says permitrootlogin {one_line(value, 40)}")
    return value


def _has_no_key_source(connection: Connection) -> bool:
    others = ("authorizedkeyscommand", "trustedusercakeys")
    return connection.get("authorizedkeysfile") == "none" and all(
        connection.options.get(o, ("none",)) == ("none",) for o in others
    )


def _is_open_to(connection: Connection, account: SshAccount) -> bool:
    """Tell whether a password way of this connection is open to this very account."""
    if not (connection.takes_password or connection.takes_keyboard_interactive):
        return False
    if account.uid == 0 and _permit_root(connection) != "yes":
        return False
    return _is_allowed(connection, account)


def _is_allowed(connection: Connection, account: SshAccount) -> bool:
    """Apply DenyUsers, AllowUsers, DenyGroups and AllowGroups, in sshd's order.

    A pattern with a host counts as an allowance from somewhere, and not as a denial.
    """

    def listed(option: str) -> list[str]:
        return [word for value in connection.options.get(option, ()) for word in value.split()]

    denied, allowed = listed("denyusers"), listed("allowusers")
    if any("@" not in p and _matching(account.name, [p]) for p in denied):
        return False
    if allowed and not any(_matching(account.name, [p.rpartition("@")[0] or p]) for p in allowed):
        return False
    denied_groups, allowed_groups = listed("denygroups"), listed("allowgroups")
    if not denied_groups and not allowed_groups:
        return True
    if account.groups is None:
        raise NotObservedError(f"the groups of {one_line(account.name, 32)} were not read")
    if _matching(",".join(account.groups), denied_groups):
        return False
    return not allowed_groups or bool(_matching(",".join(account.groups), allowed_groups))


def _matching(names: str, patterns: Iterable[str]) -> list[str]:
    """Return those of the names, joined by commas, that a pattern of ``*`` and ``?`` fits."""
    literal = [p.replace("[", "[[]") for p in patterns]
    return [n for n in names.split(",") if any(fnmatchcase(n, p) for p in literal)]
