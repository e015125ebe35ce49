"""Configs of OpenSSH's client: hand-made ones, and a generator of random ones."""

from __future__ import annotations

from random import Random

HAND_MADE = {
    # --- words, quotes, comments ------------------------------------------------------------
    "a comment behind a value": "User deploy  # our user\nPort 2222 # its port\n",
    "a comment behind each keyword": (
        "Host web-1 # the first\n HostName 10.0.0.9 # there\n IdentityFile /k/a # key\n"
        " HostKeyAlias fleet # alias\n UserKnownHostsFile /k/known /k/more # files\n"
        " ProxyJump bastion # jump\n"
    ),
    "a sharp within a word": "User deploy#1\n",
    "a quoted value": 'User "deploy"\nIdentityFile "/k/with blank"\n',
    "single quotes": "User 'deploy'\nIdentityFile '/k/with blank' # c\n",
    "an escaped blank": "IdentityFile /k/with\\ blank\n",
    "an escaped quote": 'IdentityFile "/k/a\\"b"\n',
    "a quote within a word": 'IdentityFile /k/"with blank"/key\n',
    "an equals sign": "User=deploy\nPort = 2222\nHostName =10.0.0.9\nIdentityFile= /k/a\n",
    "tabs and blanks": "\t User \t deploy\t \n  Port\t=\t2222  \n",
    "line ends of Windows": "Host web-1\r\n User deploy\r\n Port 2222\r\n",
    "capital letters": "USER deploy\npOrT 2222\nHOST web-1\n HOSTNAME Ten.Example.COM\n",
    "a quoted keyword": '"User" deploy\n',
    "comments and empty lines": "\n# c\n   # c\n\nUser deploy\n#User other\n",
    "the first value counts": "User one\nUser two\nPort 1\nPort 2\nHostName a\nHostName b\n",
    "no line end": "User deploy",
    "a form feed": "User deploy\f\nPort 2222\n",
    # --- keywords that do not matter --------------------------------------------------------
    "time values": "ServerAliveInterval 1m\nConnectTimeout 30s\nUser deploy\n",
    "no time": "ConnectTimeout none\nControlPersist 1h30m\nUser deploy\n",
    "unbound": "PubkeyAuthentication unbound\nUser deploy\n",
    "host-bound": "PubkeyAuthentication host-bound\nUser deploy\n",
    "an ignored keyword": "IgnoreUnknown UseKeychain,Foo*\nUseKeychain yes\nFooBar x y\nUser u\n",
    "a session's keywords": (
        "ForwardAgent yes\nLocalForward 8080 localhost:80\nRemoteForward 9000 localhost:9\n"
        "SendEnv LANG LC_*\nSetEnv A=B C=D\nControlMaster auto\nControlPath ~/.ssh/%C\n"
        "EscapeChar none\nRequestTTY force\nLogLevel QUIET\nIPQoS lowdelay throughput\n"
        "RekeyLimit 1G 1h\nCompression yes\nTCPKeepAlive no\nUser deploy\n"
    ),
    "long lists": "Ciphers aes128-ctr,aes256-ctr\nMACs ^hmac-sha2-256\nKexAlgorithms -*sha1\nUser u\n",
    # --- Host --------------------------------------------------------------------------------
    "patterns": "Host db-* web-?\n User deploy\nHost 10.114.*\n User audit\nHost *\n Port 2222\n",
    "a refused pattern": "Host * !web-1\n User others\nHost *\n User all\n",
    "refused before wanted": "Host !web-1 web-*\n User others\nHost *\n User all\n",
    "refused alone": "Host !db-1\n User nobody\nHost *\n User all\n",
    "an empty block": "Host web-1\nHost *\n User all\n",
    "quoted patterns": 'Host "web-1" "db 1"\n User deploy\n',
    "a block for all before": "Host *\n User me\nHost web-1\n User deploy\n Port 2222\n",
    "brackets": "Host web-[12]\n User deploy\n",
    "capitals in a pattern": "Host WEB-1\n User deploy\nHost *\n User all\n",
    "blocks of a kind add up": "Host web-*\n User a\nHost web-1\n User b\n Port 3\nHost *-1\n Port 4\n",
    "an equals sign behind Host": "Host=web-1\n User deploy\n",
    "the address block with ordinary defaults": (
        "Host 10.114.*\n  User audit\n  Port 2222\n  IdentityFile /k/do\n"
        "Host *\n  User me\n  Port 22\n  ProxyJump none\n  IdentityFile /k/me\n"
    ),
    # --- HostName ----------------------------------------------------------------------------
    "HostName with a token": "HostName %h.example.com\n",
    "HostName with a percent sign": "HostName %h.a%%b\n",
    "HostName none": "HostName none\n",
    "an address of IPv6": "HostName 2001:DB8::1\nPort 2222\nUser deploy\n",
    # --- Match -------------------------------------------------------------------------------
    "Match all": "Match all\n User deploy\n",
    "Match not all": "Match !all\n User deploy\nMatch all\n Port 2222\n",
    "Match host": "Match host web-*,db-*\n User deploy\n",
    "Match host in capitals": "Match host WEB-1\n User deploy\n",
    "Match host with a refusal": "Match host *,!web-1\n User deploy\n",
    "Match not host": "Match !host db-1\n User deploy\n",
    "Match host after HostName": "Host web-1\n HostName 10.0.0.9\nMatch host 10.0.0.9\n Port 5\n",
    "Match host with a token before": "HostName %h.x.example\nMatch host *.x.example\n Port 5\n",
    "Match originalhost": (
        "HostName 10.0.0.9\nMatch originalhost web-1\n Port 5\nMatch originalhost 10.*\n User t\n"
    ),
    "Match user": "Match user alice\n Port 2222\nMatch user root\n Port 2200\nHost *\n User root\n",
    "Match user after User": "User deploy\nMatch user deploy\n Port 2222\n",
    "Match localuser": "Match localuser root\n User deploy\nMatch localuser nobody\n Port 3\n",
    "Match exec": 'Match exec "true"\n User deploy\nMatch exec "false"\n Port 3\n',
    "Match exec with an equals sign": 'Match exec "[ $(id -u) = 0 ]"\n User deploy\n',
    "Match exec with a long option": 'Match exec "date --date=now"\n User deploy\n',
    "Match exec with tokens": 'Match exec "test %h = web-1 -a %p = 22"\n User deploy\n',
    "Match exec with the user": 'Match exec "test %r = alice"\n Port 2222\nHost *\n User root\n',
    "Match exec with the local user": 'Match exec "test %u = $(id -un)"\n Port 2222\n',
    "Match exec with an escape": 'Match exec "printf a | grep -q \\\\."\n Port 2222\n',
    "Match not exec": 'Match !exec "true"\n Port 2222\nMatch !exec "false"\n User deploy\n',
    "Match host and exec": 'Match host web-1 exec "true"\n User deploy\n',
    "Match with equals signs": "Match host=web-1 user=root\n Port 2222\nHost *\n User root\n",
    "Match with a comment": "Match host web-1 # the first\n User deploy\n",
    "Match in capitals": "MATCH HOST web-1\n User deploy\n",
    "Match final": "Match final\n User deploy\n Port 2222\nHost web-1\n Port 3\n",
    "Match final all": "Match final all\n User deploy\n",
    "Match final host": "HostName %h.example.com\nMatch final host *.example.com\n User deploy\n",
    "Match not final": "Match !final\n User deploy\nMatch final\n User late\n Port 3\n",
    "Match canonical": "Match canonical\n User deploy\n",
    "Match canonical in a second pass": "CanonicalizeHostname yes\nMatch canonical\n User deploy\n",
    "Host in the second pass": (
        "Match final\n Port 2222\nHost web-1\n HostName 10.0.0.9\nHost 10.0.0.9\n User second\n"
    ),
    "keys of both passes": (
        "IdentityFile /k/a\nMatch final\n IdentityFile /k/b\nMatch all\n IdentityFile /k/c\n"
    ),
    "CanonicalizeHostname": "CanonicalizeHostname yes\nHostName 10.0.0.9\nHost 10.0.*\n User late\n",
    "CanonicalizeHostname without domains": "CanonicalizeHostname yes\nHost web-1\n User deploy\n",
    "CanonicalizeHostname no": "CanonicalizeHostname no\nMatch canonical\n User deploy\n",
    "domains without CanonicalizeHostname": "CanonicalDomains example.com\nUser deploy\n",
    # --- Include -----------------------------------------------------------------------------
    "Include in the order of names": "Include FOLDER/conf.d/*\n",
    "Include without dotfiles": "Include FOLDER/conf.d/*\nPort 22\n",
    "Include of a dotfile by its name": "Include FOLDER/conf.d/.old\n",
    "Include of nothing": "Include FOLDER/nothing/* FOLDER/gone\nUser deploy\n",
    "Include of a folder": "Include FOLDER/conf.*\nUser deploy\n",
    "Include of several": "Include FOLDER/conf.d/b FOLDER/plain # two\n",
    "Include in quotes": 'Include "FOLDER/conf.d/b"\n',
    "Include with an equals sign": "Include=FOLDER/plain\n",
    "Include in a block": "Host web-1\n Include FOLDER/plain\n Port 3\nHost *\n User all\n",
    "Include in a block for others": "Host other\n Include FOLDER/plain\nHost *\n User all\n",
    "a block goes on behind Include": "Host web-1\n Include FOLDER/conf.d/b\n Port 3\n",
    "Include within Include": "Include FOLDER/nested\n",
    "Include in a Match": "Match host web-1\n Include FOLDER/plain\nMatch all\n User all\n",
    # --- keys --------------------------------------------------------------------------------
    "several keys": "IdentityFile /k/a\nIdentityFile /k/b\nIdentityFile /k/a\n",
    "keys of several blocks": "Host web-1\n IdentityFile /k/a\nHost *\n IdentityFile /k/b\n",
    "no key": "IdentityFile none\n",
    "no key and one": "IdentityFile none\nIdentityFile /k/a\n",
    "a key with tokens": "User deploy\nPort 3\nIdentityFile /k/%n/%h/%p/%r/%u/%i/%d/%k/%%\n",
    "a key with a variable": "IdentityFile /k/${FOR_SSH}/%h\n",
    "a key of the home": "IdentityFile ~/.ssh/key\n",
    # --- trust -------------------------------------------------------------------------------
    "no known hosts": "UserKnownHostsFile none\n",
    "known hosts nowhere": "UserKnownHostsFile /dev/null\n",
    "known hosts with tokens": "UserKnownHostsFile /k/%h /k/%k.${FOR_SSH}\nHostKeyAlias fleet\n",
    "the first line of known hosts counts": "UserKnownHostsFile /a /b\nUserKnownHostsFile /c\n",
    "an alias takes no token": "HostKeyAlias %h\n",
    # --- the way -----------------------------------------------------------------------------
    "a command": "ProxyCommand nc %h %p\n",
    "a command with an equals sign": "ProxyCommand=nc %h %p\n",
    "a command with a spaced equals sign": "ProxyCommand = nc %h %p\n",
    "a command with two": "ProxyCommand==nc %h %p\n",
    "a command with a comment": "ProxyCommand nc %h %p # by nc\n",
    "a command with quotes": "ProxyCommand sh -c 'exec nc \"%h\" %p'\n",
    "a command with the user": "User deploy\nProxyCommand corp %r@%n:%p %%\n",
    "no command": "ProxyCommand none\nProxyCommand nc %h %p\n",
    "no command, then a jump": "Host bastion web-1\n ProxyCommand none\nHost *\n ProxyJump bastion\n",
    "a command, then a jump": "ProxyCommand nc %h %p\nProxyJump bastion\n",
    "a jump, then a command": "ProxyJump bastion\nProxyCommand nc %h %p\n",
    "no jump, then a command": "ProxyJump none\nProxyCommand nc %h %p\n",
    "no jump in capitals": "ProxyJump NONE\nProxyCommand nc %h %p\n",
    "several jumps": "ProxyJump a,me@b:2222\n",
    "a jump by its address": "ProxyJump ssh://me@b:2222\n",
    "a jump of IPv6": "ProxyJump me@[2001:db8::1]:2222\n",
    "a jump with a token": "ProxyJump gate-%h\n",
    "a jump with an equals sign": "ProxyJump = bastion\n",
    "the port by its name": "Port ssh\n",
}  # fmt: skip

BY_ADDRESS_OR_NAME = {
    "the address before all": (
        "10.114.0.5",
        ("Host 10.114.*\n  User audit\n  Port 2222\n  IdentityFile /k/do\n"
        "Host *\n  User me\n  Port 22\n  ProxyJump none\n  IdentityFile /k/me\n"),
    ),
    "the name before all": (
        "web-1",
        ("Host web-*\n User audit\n ProxyCommand nc %n.internal 22\n"
        "Host *\n User me\n ProxyJump b\n"),
    ),
    "all before the address": ("10.114.0.5", "Host *\n User me\nHost 10.114.*\n User audit\n Port 3\n"),
    "all before the name": ("web-1", "Host *\n User me\nHost web-1\n User audit\n Port 3\n"),
    "Match host by the address": ("10.114.0.5", "Match host 10.114.*\n User audit\nHost *\n User me\n"),
    "Match originalhost by the name": (
        "web-1",
        "Match originalhost web-*\n User audit\nHost *\n User me\n",
    ),
    "a name that leads elsewhere": (
        "web-1",
        "Host web-1\n HostName 192.0.2.7\n User audit\nMatch host 192.0.2.7\n Port 3\n",
    ),
    "an address that leads elsewhere": (
        "10.114.0.5",
        "Host 10.114.*\n HostName %h.nip.example\n User audit\n",
    ),
    "a bastion by addresses": (
        "10.114.0.5",
        ("Host bastion\n HostName 203.0.113.5\n User audit\nHost 10.114.*\n ProxyJump bastion\n"
        "Host *\n User me\n ServerAliveInterval 1m # often\n"),
    ),
}  # fmt: skip

_PATTERNS = ("web-1", "web-*", "db-1", "10.114.*", "10.*", "203.0.113.?", "*", "!db-1", "!web-1")
_WRITTEN = ("{} {}", "{}={}", "{} = {}", "  {}\t{}", "{} {}  # why", "\t{} {} ", '{} "{}"')
_VALUES = {
    "User": ("deploy", "alice", "audit", "root"),
    "Port": ("22", "2222", "65535"),
    "HostName": ("10.0.0.9", "%h.example.com", "gate.example.com", "192.0.2.1"),
    "HostKeyAlias": ("fleet", "alias.example.com"),
    "IdentityFile": ("/k/a", "/k/%h", "/k/%n-%r", "~/.ssh/k", "none", "/k/${FOR_SSH}", "/k/%p%%"),
    "UserKnownHostsFile": ("/k/known", "/k/%h", "none", "/dev/null"),
    "ServerAliveInterval": ("1m", "30", "2h"),
    "ConnectTimeout": ("30s", "none", "5"),
    "StrictHostKeyChecking": ("accept-new", "no", "yes", "ask"),
    "IdentitiesOnly": ("yes", "no"),
    "Compression": ("yes", "no"),
}
_RAW = {
    "ProxyJump": ("none", "bastion", "a,b@c:2222", "gate-%n"),
    "ProxyCommand": ("none", "nc %h %p", "corp %r@%h:%p", 'sh -c "exec nc %h 22"'),
}
_CONDITIONS = (
    "all",
    "host {}",
    "originalhost {}",
    "!host {}",
    "user alice",
    "user root,deploy",
    "host {} user !alice,*",
    'exec "true"',
    'exec "test %n = web-1"',
    'host {} exec "test %p -gt 22"',
    "final",
    "final host {}",
    "!final",
    "localuser root",
)


def generated(chance: Random, folder: str) -> str:
    """Return a random config, whose included files lie in a folder."""
    lines = _settings(chance, chance.randrange(3))
    for _ in range(chance.randrange(1, 7)):
        kind = chance.random()
        if kind < 0.5:
            wanted = " ".join(chance.sample(_PATTERNS, chance.randrange(1, 4)))
            lines.append(f"Host {wanted}")
        elif kind < 0.85:
            pattern = ",".join(chance.sample(_PATTERNS, chance.randrange(1, 3)))
            lines.append("Match " + chance.choice(_CONDITIONS).format(pattern))
        else:
            names = ("conf.d/*", "plain", "nested", "gone", "conf.d/[ab]")
            lines.append(f"Include {folder}/{chance.choice(names)}")
        lines += _settings(chance, chance.randrange(1, 5))
    return "\n".join(lines) + "\n"


def _settings(chance: Random, count: int) -> list[str]:
    lines = []
    for _ in range(count):
        raw = chance.random() < 0.25
        keyword = chance.choice(list(_RAW if raw else _VALUES))
        value = chance.choice((_RAW if raw else _VALUES)[keyword])
        written = chance.choice(_WRITTEN[:4] if raw else _WRITTEN)
        lines.append(written.format(chance.choice([keyword, keyword.lower()]), value))
    return lines
