"""Random configurations of sshd: whoever may use a password by brute force, the product finds.

The judge is the sshd of each Debian release, in its own root: ``sshd -T -C`` is asked for every
user, at the edges of every range of addresses that the configuration names and at random ones. The
product's section asks for far fewer. Must hold: where anybody may use a password, it has found such
a connection, for each account that may log in, or says that it does not know.

``DROPLET_ORACLE_CONFIGURATIONS=500`` makes so many for each release, ``DROPLET_ORACLE_SEED=2``
others.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from pytest_droplet.connection import script
from pytest_droplet.facts.ssh.sshd import SSHD, Sshd, parse_sshd
from tests.sections.root import Run, read_in, why_not

RELEASES = ("bullseye", "bookworm", "trixie", "forky")
COUNT = int(os.environ.get("DROPLET_ORACLE_CONFIGURATIONS", "10"))
SEED = int(os.environ.get("DROPLET_ORACLE_SEED", "1"))
NONCE = "oracle"
REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON) and "CI" not in os.environ, reason=REASON)

# "abel" is locked and has no key: nobody logs in as him until somebody sets a password.
USERS = ("root", "alice", "bob", "deploy", "abel")
ACCOUNTS = """
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
mkdir -p /run/sshd
groupadd staffers
groupadd adm-web
for user in alice bob deploy abel; do useradd -m $user; done
for user in root alice bob; do usermod -p '$y$j9T$x$x' $user; done
usermod -aG staffers bob
usermod -aG adm-web,staffers deploy
mkdir -p /home/deploy/.ssh
echo 'ssh-ed25519 AAAA' >/home/deploy/.ssh/authorized_keys
"""
RANGES = (
    *("10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3"),
    *("0.0.0.0/0", "198.51.100.0/24", "203.0.113.0/24", "203.0.113.1", "192.168.0.0/16"),
    *("::/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8::/48", "fe80::/10", "::1", "2000::/3"),
    *("fd00::/8", "2001:db8::5", "3fff::/20"),
)
STARS = ("*", "10.*", "192.168.*.*", "10.1.*", "*:*", "10.1.?.3", "*.7", "1*")
NAMES = (
    "root",
    "alice",
    "bob",
    "deploy",
    "abel",
    "nobody",
    "a*",
    "*b*",
    "?ob",
    "*",
    "al?ce",
    "x*",
)
GROUPS = ("staffers", "adm-web", "adm*", "root", "*", "bob", "a*", "none")


@dataclass
class Configuration:
    """Files of a configuration by path, and the ranges of addresses that it names."""

    files: dict[str, str] = field(default_factory=dict)
    ranges: set[str] = field(default_factory=set)
    ports: tuple[str, ...] = ("22",)


class Maker:
    """Makes a configuration at random."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.made = Configuration()

    def make(self) -> Configuration:
        """Return one whose first block says otherwise than what holds for everybody else."""
        usual = self._chance.choice(["yes", "no"])
        lines = [f"PasswordAuthentication {usual}", "KbdInteractiveAuthentication no"]
        lines.append(f"UseDNS {self._chance.choice(['no', 'no', 'yes'])}")
        if self._chance.random() < 0.2:
            self.made.ports = ("22", "2222")
            lines += ["Port 22", "Port 2222"]
        values = [{"yes": "no", "no": "yes"}[usual]]
        values += self._chance.choices(["yes", "no"], k=self._chance.randint(0, 2))
        for number, value in enumerate(values):
            block = [self._match(), f"    PasswordAuthentication {value}"]
            if self._chance.random() < 0.4:
                name = self._chance.choice(["my conf", "conf.d"])
                self.made.files[f"/etc/ssh/{name}/{number}.conf"] = "\n".join(block) + "\n"
                quote = '"' if " " in name else ""
                place = self._chance.choice([0, len(lines)])
                lines.insert(place, f"Include {quote}/etc/ssh/{name}/{number}.c*{quote}")
            else:
                lines += block
        self.made.files["/etc/ssh/sshd_config"] = "\n".join(lines) + "\n"
        return self.made

    def _match(self) -> str:
        kinds = ["Address", "Address", "User", "Group", "Host"]
        kinds += ["LocalPort"] * (len(self.made.ports) - 1)
        keywords = dict.fromkeys(self._chance.choices(kinds, k=self._chance.choice([1, 1, 2])))
        criteria = " ".join(f"{word} {self._patterns(word)}" for word in keywords)
        return f"{self._chance.choice(['Match', 'match'])} {criteria}"

    def _patterns(self, keyword: str) -> str:
        if keyword == "LocalPort":
            return self._chance.choice(self.made.ports)
        if keyword == "Host":
            return self._chance.choice(["*.example.com", "10.1.2.3", "web?", "192.168.*"])
        kinds = {"Address": RANGES, "User": NAMES, "Group": GROUPS}[keyword]
        found = self._chance.sample(kinds, self._chance.choice([1, 1, 2, 3]))
        if keyword == "Address" and self._chance.random() < 0.3:
            found[0] = self._chance.choice(STARS)
        negated = self._chance.random() < 0.4
        if keyword == "Address":
            self.made.ranges.update(found)
        return ",".join(
            ["*", *(f"!{word}" for word in found if word != "*")] if negated else found
        )


def addresses_of(made: Configuration, chance: random.Random) -> Iterator[str]:
    """Yield the addresses that brute force tries: edges of the ranges, and any others."""
    yield from ("203.0.113.1", "8.8.8.8", "10.1.2.3", "10.77.1.7", "192.168.3.4", "198.51.100.9")
    yield from ("2a00:1450::1", "2001:db8::1", "2001:db8:1::1", "fe80::1", "fd00::7", "::1")
    yield str(ip_address(chance.randrange(1 << 24, 224 << 24)))
    for text in sorted(made.ranges):
        try:
            network = ip_network(text)
        except ValueError:
            continue
        for number in (
            int(network.network_address) - 1,
            int(network.network_address),
            int(network.broadcast_address),
            int(network.broadcast_address) + 1,
        ):
            if 0 < number < (1 << network.max_prefixlen) - 1 and number >> 32 != 0xFFFF:
                kind = type(network.network_address)
                yield str(kind(number))


BRUTE = r"""
tried=0
for user in %s; do
    for address in %s; do
        for port in %s; do
            tried=$((tried + 1))
            case $address in *:*) own=::1 ;; *) own=127.0.0.1 ;; esac
            /usr/sbin/sshd -T -C "user=$user,host=$address,addr=$address,laddr=$own,lport=$port" |
                grep -qix 'passwordauthentication yes' && echo "$user $address $port"
        done
    done
done
echo "$tried"
"""


def runs_of(number: int, made: Configuration, chance: random.Random) -> list[Run]:
    """Return what puts a configuration in its place and reads it, and what tries everything."""
    place = (
        "cd /etc/ssh; rm -rf sshd_config* 'my conf' conf.d\n"
        f"cp -a /srv/{number}/etc/ssh/. /etc/ssh/\ncd /\n"
    )
    addresses = " ".join(dict.fromkeys(addresses_of(made, chance)))
    brute = BRUTE % (" ".join(USERS), addresses, " ".join(made.ports))
    return [
        Run("dash", "mawk", place + script.compose((SSHD,), NONCE)),
        Run("dash", "mawk", brute),
    ]


@pytest.mark.parametrize("release", RELEASES)
def test_whoever_may_use_a_password_is_found(release: str) -> None:
    """What brute force finds, the product finds, for each account; else it does not know."""
    chance = random.Random(f"{SEED} {release}")
    configurations = [Maker(chance).make() for _ in range(COUNT)]
    files = {
        f"/srv/{number}{path}": text
        for number, made in enumerate(configurations)
        for path, text in made.files.items()
    }
    runs = [run for n, made in enumerate(configurations) for run in runs_of(n, made, chance)]
    printed = read_in(release, runs, files=files, prepare=ACCOUNTS, as_user="").outputs

    missed = []
    known = telling = 0
    for number, made in enumerate(configurations):
        output = script.parse(printed[2 * number], (SSHD,), NONCE).sections[SSHD.name]
        found = parse_sshd(output.stdout)
        *tried, count = (line.split() for line in printed[2 * number + 1].decode().splitlines())
        telling += 0 < len(tried) < int(count[0])
        known += not found.gaps
        missed += [f"{m}\n{made.files}" for m in _missed(found, tried)]

    assert not missed, "\n\n".join(missed[:3])
    assert telling > COUNT / 3, "these configurations tell nothing apart"
    assert known > COUNT / 3, "of these configurations nearly nothing is known"


def _missed(found: Sshd, tried: list[list[str]]) -> Iterator[str]:
    """Yield what brute force found and the product takes for closed."""
    if found.gaps:
        return
    if tried and not any(c.takes_password for c in found.connections):
        yield f"anybody: {tried[0]}"
    for account in found.accounts:
        by_force = [way for way in tried if way[0] == account.name]
        if by_force and not any(c.takes_password for c in found.of([account.name])):
            yield f"{account.name}: {by_force[0]}"
