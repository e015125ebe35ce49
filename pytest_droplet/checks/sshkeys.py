"""SSH keys: who can still log in with which key (the guide's recommendation 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from pytest_droplet.catalogue import check
from pytest_droplet.facts import Account
from pytest_droplet.facts.ssh.sshd import Sshd
from pytest_droplet.facts.sshkeys.accounts import HostAccount, HostAccounts
from pytest_droplet.facts.sshkeys.authorized_keys import AuthorizedKey, AuthorizedKeys
from pytest_droplet.facts.sshkeys.creation_keys import CreationKeys
from pytest_droplet.facts.sshkeys.public_keys import (
    AccountKeys,
    KeyOfAccount,
    account_keys,
    normal_fingerprint,
)
from pytest_droplet.model import Claims, Droplet, NotObservedError, fail, not_applicable
from pytest_droplet.settings import Settings
from pytest_droplet.text import one_line

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, 8: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_AGENT = "DigitalOcean's droplet agent: https://github.com/digitalocean/droplet-agent"
# The agent removes its keys when they expire, minutes after it was asked for the console.
_AGENT_GRACE = timedelta(minutes=10)
_AGENT_LONGEST = timedelta(days=1)
_OTHER_SOURCES = (
    "authorizedkeyscommand",
    "trustedusercakeys",
    "authorizedprincipalsfile",
    "authorizedprincipalscommand",
)


@check(
    "sshkeys.host-keys-known",
    severity="high",
    profile="droplet",
    guide=8,
    references=f"{_GUIDE}; {_AGENT}",
)
def test_every_authorized_key_is_known(
    droplet_authorized_keys: AuthorizedKeys,
    droplet_account_keys: AccountKeys,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """Every authorized key on the Droplet is known.

    Known is a key of the account, or one in the setting ``known_keys``; the comment behind a key
    says nothing. Keys with a forced command count, and so do those of users without a shell.
    Left out are files that sshd does not read, keys whose ``expiry-time`` is over, and the keys
    that DigitalOcean's droplet agent puts there for the console: in a file that only root may write,
    for a day at most, and until ten minutes after they expired. Elsewhere its mark is a claim of the
    user who owns the file. Where the agent does not run, nobody removes its keys, and the verdict
    is unknown. So it is with a line that is neither a key nor a comment: sshd may find a key in it.

    Finding:
        A key that is not known can log in.

    Rationale:
        A key stays valid until somebody deletes its line. Those that nobody knows belong to
        former colleagues, to old automation, or to an intruder who wants to come back.

    Remediation:
        First make sure that another key of yours works, in a second session. Then delete the
        line from the file that is named. Deleting a key from the account does not remove it from
        Droplets. For a key that may stay, add its fingerprint to ``known_keys``. Where a
        console key of the droplet agent has expired, the agent is not running:
        ``systemctl status droplet-agent``, the same on all distributions.
    """
    entries = [e for e in droplet_authorized_keys.entries if e.admits(droplet_now)]
    with Claims() as claim:
        with claim:
            left = [e for e in entries if _outlived(e, droplet_now)]
            if left:
                fail(
                    f"expired keys of the droplet agent still let in: {_listed(left)}",
                    droplet_authorized_keys=left,
                )
        with claim:
            known = _fingerprints(droplet_settings.known_keys)
            rest = [e for e in entries if not e.fingerprints & known]
            consoles = [e for e in rest if _is_agents(e, droplet_now)]
            rest = [e for e in rest if e not in consoles]
            if rest:
                known = droplet_account_keys.fingerprints
            unknown = [e for e in rest if not e.fingerprints & known]
            if unknown:
                fail(
                    f"{_count(unknown, 'unknown key')}: {_listed(unknown)}",
                    droplet_authorized_keys=unknown,
                )
            if consoles and (reason := droplet_authorized_keys.without_agent):
                raise NotObservedError(
                    f"{reason}, so nobody may remove what looks like its console keys: start it, "
                    f"or delete {_listed(consoles)}"
                )
        with claim:
            droplet_authorized_keys.require_all()


@check(
    "sshkeys.account-keys-in-use",
    severity="medium",
    profile="droplet",
    guide=8,
    references=_GUIDE,
    rows=("droplet_authorized_keys",),
    api=("keys",),
)
def test_every_account_key_is_on_some_droplet(droplet_account: Account) -> None:
    """Every SSH key of the account is on some Droplet.

    Keys are compared by what they are, not by name. That a key is on no Droplet is only known
    once every Droplet of the account was read as root. Keys whose fingerprints are in the
    setting ``provisioning_keys`` are left out: they may be on none.

    Finding:
        An SSH key of the account is on no Droplet.

    Rationale:
        A key that nobody uses any more still gets onto the next Droplet that is created with
        it, and its owner with it.

    Remediation:
        ``doctl compute ssh-key delete ID``, or Settings, Security in the control panel. That
        does not remove the key from Droplets that exist. For a key that only new Droplets need,
        add its fingerprint to ``provisioning_keys``.
    """
    listed = account_keys(droplet_account.inventory.keys.get()).keys
    if not listed:
        not_applicable("the account has no SSH key")
    provisioning = _fingerprints(droplet_account.settings.provisioning_keys)
    keys = [k for k in listed if not {k.sha256, k.md5} & provisioning]
    if not keys:
        not_applicable(f"provisioning_keys has {_count(listed, 'key')} of the account: all")
    total = len(droplet_account.inventory.droplets)
    selected = droplet_account.inventory.selected
    found: set[str] = set()
    read = 0
    for droplet_id in selected:
        rows = droplet_account.rows.get(droplet_id, {}).get("droplet_authorized_keys")
        if rows is None or rows.missing is not None:
            continue
        read += not any("unread" in row for row in rows.get())
        used = [row for row in rows.get() if row.get("in_use") is True]
        found.update(str(row[kind]) for row in used for kind in ("sha256", "md5"))
    unused = [k for k in keys if not {k.sha256, k.md5} & found]
    names = _named(unused)
    if len(keys) < len(listed):
        names += f"; {len(listed) - len(keys)} in provisioning_keys left out"
    if unused and read < len(selected):
        raise NotObservedError(
            f"{read} of {total} Droplets read as root; on none of these: {names}"
        )
    if unused and not droplet_account.inventory.covers_account:
        not_applicable(f"{len(selected)} of {total} Droplets selected; on none of these: {names}")
    if unused:
        fail(
            f"{_count(unused, 'key')} of the account on none of {total} Droplets: {names}",
            droplet_account=unused,
        )


@check(
    "sshkeys.denied-keys-absent",
    severity="critical",
    profile="droplet",
    guide=8,
    references=_GUIDE,
)
def test_denied_keys_are_gone(
    droplet_authorized_keys: AuthorizedKeys,
    droplet_account_keys: AccountKeys,
    droplet_host_accounts: HostAccounts,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """Keys of people who left are gone.

    Denied are the keys whose fingerprints the setting ``denied_keys`` lists. They must be in no
    authorized_keys file, not even in a copy that sshd does not read, and not in the account.
    Accounts of the host that ``departed_users`` names must not exist, have expired, or have
    neither a password nor a key: to lock the password alone or to take the shell away leaves
    their keys working, and a password works for ``su`` and ``sudo`` where sshd takes none.

    Finding:
        The key of somebody who left can still log in.

    Rationale:
        To lock an account's password (``passwd -l``, ``usermod -L``) leaves its keys working:
        who has left still gets in. A key that is still in the account gets onto new Droplets.

    Remediation:
        Delete the line from the file that is named, or the whole account: ``userdel -r NAME``,
        the same on all distributions; ``usermod -e 1 NAME`` locks keys out as well. In the
        account: ``doctl compute ssh-key delete ID``. Change passwords that the person knew.
    """
    denied = _fingerprints(droplet_settings.denied_keys)
    departed = droplet_settings.departed_users
    if not denied and not departed:
        not_applicable("denied_keys lists no key, and departed_users nobody")
    with Claims() as claim:
        if departed:
            with claim:
                there = _left_behind(droplet_host_accounts, departed, droplet_now)
                able = [a for a in there if a.has_password]
                names = ", ".join(f"{a.name} ({a.password})" for a in able[:5])
                if able:
                    fail(f"with a password, though departed: {names}", droplet_host_accounts=able)
            with claim:
                there = _left_behind(droplet_host_accounts, departed, droplet_now)
                left = {a.name for a in there}
                theirs = [e for e in droplet_authorized_keys.entries if left & {*e.users}]
                if theirs:
                    fail(
                        f"with a key, though departed: {_listed(theirs)}",
                        droplet_authorized_keys=theirs,
                    )
            with claim:
                _require_shut_out(
                    droplet_host_accounts, departed, droplet_authorized_keys, droplet_now
                )
        with claim:
            found = [e for e in droplet_authorized_keys.entries if e.fingerprints & denied]
            if found:
                fail(
                    f"{_count(found, 'denied key')} on the host: {_listed(found)}",
                    droplet_authorized_keys=found,
                )
        with claim:
            kept = [k for k in droplet_account_keys.keys if {k.sha256, k.md5} & denied]
            if kept:
                fail(
                    f"{_count(kept, 'denied key')} in the account: {_named(kept)}",
                    droplet_account_keys=kept,
                )
        with claim:
            droplet_authorized_keys.require_all()


@check(
    "sshkeys.key-sources-managed",
    severity="medium",
    profile="droplet",
    guide=8,
    references=f"{_GUIDE}; sshd_config(5): https://man.openbsd.org/sshd_config",
)
def test_keys_come_only_from_files_that_are_read(
    droplet_sshd: Sshd, droplet_authorized_keys: AuthorizedKeys, droplet_settings: Settings
) -> None:
    """Keys can only come from files that this audit reads.

    For every account and address that sshd tells apart: no command gives keys
    (``AuthorizedKeysCommand``), no authority signs them (``TrustedUserCAKeys``), and
    ``AuthorizedKeysFile`` names files that were read. A command or a file of authorities that
    the setting ``allow_key_sources`` lists, as ``sshd -T`` prints it, is accepted.

    Finding:
        Keys can come from places that this audit does not read.

    Rationale:
        What the files say of who may log in is the truth only where nothing beside them lets
        anybody in.

    Remediation:
        Find the directive: ``grep -ri authorizedkeys /etc/ssh``, the same on all distributions,
        and set ``AuthorizedKeysFile .ssh/authorized_keys``, ``AuthorizedKeysCommand none``,
        ``TrustedUserCAKeys none`` in ``/etc/ssh/sshd_config.d/00-keys.conf``. Try it with
        ``sshd -t``, keep your session open, and reload: ``systemctl reload ssh`` (Ubuntu,
        Debian) or ``systemctl reload sshd`` (AlmaLinux, Rocky, Fedora, CentOS Stream). Where
        the source is meant, such as SSSD's, audit it where it is kept, and add it to
        ``allow_key_sources``.
    """
    if not droplet_sshd.running:
        not_applicable("no sshd runs")
    allowed = {"none", *(_plain(source) for source in droplet_settings.allow_key_sources)}
    with Claims() as claim:
        for option in _OTHER_SOURCES:
            with claim:
                used = [
                    c for c in droplet_sshd.connections if _plain(c.get(option)) not in allowed
                ]
                if used:
                    source = used[0].get(option)
                    fail(
                        f"{option} is {one_line(source, 80)} for {droplet_sshd.name(used)}",
                        droplet_sshd=[droplet_sshd.setting(option, source, used)],
                    )
        with claim:
            known = droplet_authorized_keys.patterns
            for connection in droplet_sshd.connections:
                strange = set(connection.get("authorizedkeysfile").split()) - known
                if strange:
                    value = connection.get("authorizedkeysfile")
                    fail(
                        f"authorizedkeysfile is {one_line(', '.join(sorted(strange)), 80)} for "
                        f"{connection}: not read",
                        droplet_sshd=[
                            droplet_sshd.setting("authorizedkeysfile", value, [connection])
                        ],
                    )
        with claim:
            droplet_sshd.require_all()


@check(
    "sshkeys.key-strength",
    severity="medium",
    profile="extended",
    guide=8,
    references=(
        "NIST SP 800-57 part 1 and SP 800-131A: https://csrc.nist.gov/publications; "
        "OpenSSH 7.0 and 10.0 release notes: https://www.openssh.com/releasenotes.html"
    ),
)
def test_keys_are_strong(
    droplet_authorized_keys: AuthorizedKeys,
    droplet_account_keys: AccountKeys,
    droplet_settings: Settings,
) -> None:
    """No key has a weak type or size.

    DSA keys are weak, RSA keys below the setting ``min_rsa_bits`` (3072 bits; 2048 are
    acceptable to NIST through 2030), and ECDSA keys on other curves than NIST's. The size is
    read from the key, not from its label.

    Finding:
        A key has a weak type or size.

    Rationale:
        Whoever computes the private key from the public one logs in without a trace of how.

    Remediation:
        Make a new key, ``ssh-keygen -t ed25519``, add it, log in with it, and delete the line of
        the old one from the file that is named; the same on all distributions. In the account:
        ``doctl compute ssh-key import NAME --public-key-file FILE``, then ``delete`` the old one.
    """
    least = droplet_settings.min_rsa_bits
    with Claims() as claim:
        with claim:
            entries = [e for e in droplet_authorized_keys.entries if e.in_use]
            weak = [e for e in entries if _is_weak(e.key.type, e.key.bits, least)]
            if weak:
                fail(
                    f"{_count(weak, 'weak key')} on the host: {_listed(weak)}",
                    droplet_authorized_keys=weak,
                )
            droplet_authorized_keys.require_all()
            _require_sizes(map(str, (e for e in entries if e.key.bits is None)))
        with claim:
            found = droplet_account_keys.keys
            poor = [k for k in found if k.type and _is_weak(k.type, k.bits, least)]
            if poor:
                fail(
                    f"{_count(poor, 'weak key')} in the account: {_named(poor)}",
                    droplet_account_keys=poor,
                )
            _require_sizes(f"{k.name} of the account" for k in found if k.bits is None)


@check(
    "sshkeys.dormant-account-keys",
    severity="medium",
    profile="extended",
    guide=8,
    references=f"{_GUIDE}; sshd(8): https://man.openbsd.org/sshd",
)
def test_accounts_that_should_not_log_in_have_no_keys(
    droplet_authorized_keys: AuthorizedKeys,
    droplet_host_accounts: HostAccounts,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """Accounts that should not log in have no keys.

    These are accounts without a shell, of the system (except root), expired ones, those whose
    password aged out, and homes whose user is gone. That a password is locked is no finding:
    accounts that use keys alone are made so. Users in the setting ``allow_dormant_users`` may
    have keys all the same.

    Finding:
        An account that should not log in has a key.

    Rationale:
        Without a shell a key still forwards ports and copies files, and it starts to work fully
        with one change of the account that nobody links to the key.

    Remediation:
        Delete the line, or the account: ``userdel -r NAME``, the same on all distributions. For
        a service that needs a key (git, backups), force its command and add its user to
        ``allow_dormant_users``.
    """
    accounts = droplet_host_accounts.accounts
    allowed = frozenset(droplet_settings.allow_dormant_users)
    with Claims() as claim:
        with claim:
            found = []
            for entry in droplet_authorized_keys.entries:
                names = entry.users if entry.in_use else ()
                known = (accounts[n] for n in names if n in accounts and n not in allowed)
                why = next(
                    filter(None, (_dormant(a, droplet_now, droplet_host_accounts) for a in known)),
                    "",
                )
                if not entry.users and not any(
                    _is_in(entry.path, a.home) for a in accounts.values()
                ):
                    why = "no such user"
                if why:
                    found.append((entry, why))
            more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
            if found:
                shown = "; ".join(f"{entry} ({why})" for entry, why in found[:5])
                fail(
                    f"{_count(found, 'key')}: {shown}{more}",
                    droplet_authorized_keys=[entry for entry, _ in found],
                )
        with claim:
            droplet_authorized_keys.require_all()
        with claim:
            for entry in droplet_authorized_keys.entries:
                if strange := set(entry.users) - set(accounts):
                    raise NotObservedError(f"account {min(strange)} was not listed")


@check(
    "sshkeys.key-age",
    severity="low",
    profile="extended",
    guide=8,
    references=f"{_GUIDE}; Droplet metadata: https://docs.digitalocean.com/reference/api/metadata/",
)
def test_no_key_is_older_than_the_limit(
    droplet_authorized_keys: AuthorizedKeys,
    droplet_creation_keys: CreationKeys,
    droplet: Droplet,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """No key is older than the limit for its replacement.

    The API has no date of a key. A date in the setting ``key_inventory`` proves an age; a key
    that the Droplet was created with is at least as old as the Droplet. Any other age is
    unknown: the time of a file tells when somebody last edited it. The limit is the setting
    ``max_key_age_days``.

    Finding:
        A key is older than the limit for its replacement.

    Rationale:
        Keys do not expire. The older a key, the more machines, backups and people have had it.

    Remediation:
        Make a new key, add it, log in with it, then delete the line of the old one; the same on
        all distributions. Note the day in ``key_inventory`` of ``droplet.toml``, under the
        key's fingerprint (``ssh-keygen -lf FILE``).
    """
    limit = timedelta(days=droplet_settings.max_key_age_days)
    issued = {
        normal_fingerprint(key): datetime.combine(date.fromisoformat(day), time.min, UTC)
        for key, day in droplet_settings.key_inventory.items()
    }
    entries = [e for e in droplet_authorized_keys.entries if e.admits(droplet_now)]
    with Claims() as claim:
        with claim:
            old = [
                e
                for e in entries
                if any(droplet_now - issued[f] > limit for f in e.fingerprints & issued.keys())
            ]
            if old:
                fail(
                    f"issued more than {limit.days} days ago: {_listed(old)}",
                    droplet_authorized_keys=old,
                )
        with claim:
            made = droplet.created_at
            first = [e for e in entries if e.key.sha256 in droplet_creation_keys.fingerprints]
            if first and made is not None and droplet_now - made > limit:
                fail(
                    f"on the host since it was created on {made.date()}: {_listed(first)}",
                    droplet_authorized_keys=first,
                )
        with claim:
            droplet_authorized_keys.require_all()
            undated = [e for e in entries if not e.fingerprints & issued.keys()]
            if undated:
                raise NotObservedError(f"no date in key_inventory: {_listed(undated)}")


def _left_behind(
    accounts: HostAccounts, departed: Iterable[str], now: datetime
) -> list[HostAccount]:
    """Return the accounts of people who left that exist and have not expired."""
    found = [accounts.accounts[name] for name in departed if name in accounts.accounts]
    return [a for a in found if a.expires is None or a.expires > now]


def _require_shut_out(
    accounts: HostAccounts, departed: Sequence[str], keys: AuthorizedKeys, now: datetime
) -> None:
    """Raise NotObservedError where a person who left may get in by what was not read."""
    for account in _left_behind(accounts, departed, now):
        if account.password == "other":  # noqa: S105 a class, no password
            raise NotObservedError(f"the password of {account.name} is not in /etc/shadow")
        if keys.elsewhere:
            raise NotObservedError(f"keys of {account.name} may come from {keys.elsewhere[0]}")
    if not accounts.accounts.keys() >= {*departed}:
        accounts.require_all()


def _dormant(account: HostAccount, now: datetime, all_accounts: HostAccounts) -> str:
    """Tell why an account should not log in; empty: it may."""
    if not account.has_shell:
        return f"{account.name} has the shell {account.shell}"
    if 0 < account.uid < all_accounts.uid_min:
        return f"{account.name} is an account of the system, uid {account.uid}"
    if account.expires is not None and account.expires <= now:
        return f"{account.name} expired on {account.expires:%Y-%m-%d}"
    if account.aged_out is not None and account.aged_out <= now:
        return f"the password of {account.name} aged out on {account.aged_out:%Y-%m-%d}"
    return ""


def _plain(value: str) -> str:
    """Return a value with one blank between its words."""
    return " ".join(value.split())


def _is_in(path: str, home: str) -> bool:
    return home not in {"", "/"} and path.startswith(f"{home.rstrip('/')}/")


def _require_sizes(strange: Iterable[str]) -> None:
    """Raise NotObservedError for keys whose strength we cannot tell."""
    for key in strange:
        raise NotObservedError(f"of unknown strength: {one_line(key, 160)}")


def _is_weak(kind: str, bits: int | None, least: int) -> bool:
    if kind == "ssh-dss":
        return True
    if kind == "ssh-rsa":
        return bits is not None and bits < least
    return kind.startswith(("ecdsa-", "sk-ecdsa-")) and bits is None


def _is_agents(entry: AuthorizedKey, now: datetime) -> bool:
    """Whether the droplet agent put the key there; it gives none for long."""
    return entry.agent_expires is not None and entry.agent_expires - now <= _AGENT_LONGEST


def _outlived(entry: AuthorizedKey, now: datetime) -> bool:
    return entry.agent_expires is not None and now - entry.agent_expires > _AGENT_GRACE


def _fingerprints(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(map(normal_fingerprint, texts))


def _count(found: Sequence[object], what: str) -> str:
    return f"{len(found)} {what}{'s' * (len(found) != 1)}"


def _listed(entries: Sequence[AuthorizedKey]) -> str:
    more = f"; and {len(entries) - 5} more" if len(entries) > 5 else ""
    return "; ".join(map(str, entries[:5])) + more


def _named(keys: Sequence[KeyOfAccount]) -> str:
    more = f" and {len(keys) - 10} more" if len(keys) > 10 else ""
    return (
        ", ".join(f"{one_line(k.name, 60)} ({k.id}, {k.sha256 or k.md5})" for k in keys[:10])
        + more
    )
