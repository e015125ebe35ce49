"""Small rule sets of nft and of iptables from a grammar."""

from __future__ import annotations

import re
from random import Random

_PORTS = ("22", "53", "80", "443", "1234", "5432", "8080", "9000", "30001", "61001")
_SOURCES = {
    "ip": ("10.114.0.0/20", "192.0.2.0/24", "0.0.0.0/0", "192.0.2.1-192.0.2.9", "198.51.100.99"),
    "ip6": ("2001:db8:5::/48", "::/0", "fd00::/8", "2000::/3"),
}
_TARGETS = {
    "ip": ("203.0.113.10", "203.0.113.0/24", "10.114.0.2", "192.0.2.5", "198.51.100.0/24"),
    "ip6": ("2001:db8::10", "2001:db8::/32", "fd00::1", "2001:db8:77::/64"),
}
_RATES = ("limit rate {}/hour burst 2 packets", "limit rate over {}/hour burst 2 packets")
_FAMILIES = {"ip": ("ip",), "ip6": ("ip6",), "inet": ("ip", "ip6")}

_OPTION = re.compile(r"--[a-z-]+|-[sd] ")


class RandomRules:
    """Makes the text of one rule set of nft by what ``random`` chooses."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._family = "inet"
        self._chains: list[str] = []
        self._sets = ""

    def text(self) -> str:
        """Return one to three tables."""
        return "\n".join(self._table(n) for n in range(self._among((1, 1, 2, 2, 3))))

    def _among(self, choices: tuple[int, ...]) -> int:
        return self._random.choice(choices)

    def _one(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _maybe(self, text: str, chance: float) -> str:
        return text if self._random.random() < chance else ""

    def _table(self, number: int) -> str:
        self._family = self._one("inet", "inet", "inet", "ip", "ip6")
        self._chains = []
        body = []
        for name in ("one", "two")[: self._among((0, 1, 2))]:
            body += [f"  chain {name} {{", *self._rules(3), "  }"]
            self._chains.append(name)
        for number_of_chain in range(self._among((1, 1, 2))):
            body += self._base(number_of_chain)
        dormant = self._maybe("  flags dormant;", 0.1)
        named = self._named(" ".join(body))
        return "\n".join([f"table {self._family} t{number} {{", dormant, *named, *body, "}"])

    def _named(self, rules: str) -> list[str]:
        """Return the sets and limits that rules name."""
        kind = "ipv6_addr" if self._family == "ip6" else "ipv4_addr"
        expiring = f"{{ {self._port()} timeout 1h }}"
        known = {
            "@ports": f"type inet_service; flags interval; elements = {{ {self._ports()} }};",
            "@seen": f"type {kind}; size 100; flags dynamic,timeout; timeout 1h;",
            "@temp": f"type inet_service; flags timeout; elements = {expiring};",
            "@verdicts": f"type inet_service : verdict; elements = {{ {self._port()} : drop }};",
        }
        lines = []
        for name, text in known.items():
            if name in rules:
                word = "map" if name == "@verdicts" else "set"
                lines.append(f"  {word} {name[1:]} {{ {text} }}")
        if '"much"' in rules:
            lines.append("  quota much { over 100 mbytes }")
        if '"few"' in rules:
            lines.append("  limit few { rate 1/hour burst 2 packets }")
        return lines

    def _base(self, number: int) -> list[str]:
        place = self._one("input", "input", "input", "prerouting", "output", "postrouting")
        priority = self._random.choice((-300, -150, -10, 0, 10))
        drops = place in {"input", "output"}
        policy = self._one("accept", "drop", "drop") if drops else "accept"
        return [
            f"  chain base{number} {{",
            f"    type filter hook {place} priority {priority}; policy {policy};",
            self._maybe("    ct state established,related accept", 0.6),
            *self._rules(5),
            "  }",
        ]

    def _rules(self, most: int) -> list[str]:
        return [f"    {self._rule()}" for _ in range(self._random.randint(0, most))]

    def _rule(self) -> str:
        conditions = [self._condition() for _ in range(self._among((0, 1, 1, 1, 2, 2, 3)))]
        extra = [self._maybe(self._changing(), 0.15), self._maybe("counter", 0.2)]
        return " ".join(filter(None, [*conditions, *extra, self._verdict()]))

    def _verdict(self) -> str:
        jumps = [f"{self._one('jump', 'goto')} {self._one(*self._chains)}"] if self._chains else []
        return self._one(
            *("accept", "accept", "accept", "drop", "drop", "drop", "return", "continue"),
            *("reject", "reject with tcp reset", "reject with icmpx admin-prohibited"),
            *("reject with icmp port-unreachable", "reject with icmpv6 no-route"),
            *(*jumps, *jumps, ""),
            f"tcp dport vmap {{ {self._port()} : accept, {self._port()} : drop }}",
            "tcp dport vmap @verdicts",
        )

    def _port(self) -> str:
        return self._one(*_PORTS)

    def _ports(self) -> str:
        chosen = sorted(self._random.sample(_PORTS, self._random.randint(1, 3)))
        return ", ".join([*chosen, *filter(None, [self._maybe("20000-40000", 0.3)])])

    def _range(self) -> str:
        return self._one("1-65535", "0-1023", "1024-65535", "5000-9999", "1-61000", "20000-40000")

    def _protocol(self) -> str:
        return self._one(*_FAMILIES[self._family])

    def _condition(self) -> str:
        which = self._random.randrange(18)
        sign = self._one("", "", "", "!= ")
        if which < 5:
            wanted = self._one(self._port(), f"{{ {self._ports()} }}", "@ports", self._range())
            return f"{self._one('tcp', 'tcp', 'udp', 'th')} dport {sign}{wanted}".replace(
                "th dport", "meta l4proto { tcp, udp } th dport"
            )
        if which < 8:
            family = self._protocol()
            side, places = self._random.choice((("saddr", _SOURCES), ("daddr", _TARGETS)))
            first, second = self._random.sample(places[family], 2)
            return f"{family} {side} {sign}{self._one(first, second)}"
        if which < 10:
            name = self._one('"eth0"', '"eth1"', '"lo"', '"eth*"', '{ "eth0", "lo" }')
            return f"{self._one('iifname', 'iifname', 'oifname')} {sign}{name}"
        return self._rarer(which, sign)

    def _rarer(self, which: int, sign: str) -> str:
        if which == 10:
            return f"ct state {sign}{self._one('new', 'established', 'invalid', 'untracked')}"
        if which == 11:
            return f"ct state {self._one('new,untracked', '{ new, related }', 'invalid,related')}"
        if which == 12:
            return f"meta l4proto {sign}{self._one('tcp', 'udp', '{ tcp, udp }', 'icmp')}"
        if which == 13:
            return f"meta mark {sign}{self._one('0x0', '0x1', '0-5', '{ 0x1, 5-9 }')}"
        if which == 14:
            return f"meta mark and 0x0f {self._one('==', '!=')} {self._one('0x1', '0x0')}"
        if which == 15:
            return f"meta nfproto {self._one('ipv4', 'ipv6')}"
        if which == 16:
            return self._one(
                "tcp flags syn",
                "tcp flags & (fin|syn|rst|ack) == syn",
                "fib daddr type local",
                "fib saddr type unicast",
                "tcp sport 1024-65535",
                "udp sport 53",
                "meta pkttype host",
                "ct direction original",
                "ct mark 0x0",
                "tcp dport @temp",
                "meta length < 2000",
                "numgen inc mod 2 == 0",
            )
        return self._sometimes()

    def _sometimes(self) -> str:
        family = self._protocol()
        stored = "ip6" if self._family == "ip6" else "ip"
        rate = self._one(*_RATES).format(1)
        return self._one(
            rate,
            rate,
            f"{self._one('add', 'update')} @seen {{ {stored} saddr {rate} }}",
            f"{self._one('add', 'update', 'delete')} @seen {{ {stored} saddr }}",
            f"meter m{self._random.randrange(10**6)} {{ {family} saddr {rate} }}",
            f"ct count {self._one('', 'over ')}{self._one('0', '1', '100')}",
            f"quota {self._one('', 'over ')}{self._one('1 bytes', '100 mbytes')}",
            'quota name "much"',
            'limit name "few"',
            f"{stored} saddr {self._one('', '!= ')}@seen",
        )

    def _changing(self) -> str:
        return self._one(
            "meta mark set 0x1",
            "meta mark set mark or 0x10",
            "ct mark set 0x2",
            "meta mark set ct mark",
            "notrack",
            "tcp dport set 22",
            "ip dscp set cs1",
            "meta priority set 1:2",
        )


class RandomTables:
    """Makes the text of one rule set of iptables-restore by what ``random`` chooses."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def text(self) -> str:
        """Return the tables raw, mangle and filter, some without rules."""
        command = self._one("iptables-nft-restore", "iptables-legacy-restore")
        tables = {
            "raw": ("PREROUTING", "OUTPUT"),
            "mangle": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
            "filter": ("INPUT", "INPUT", "INPUT", "OUTPUT"),
        }
        lines = [f"#!{command}"]
        for table, chains in tables.items():
            lines += [f"*{table}", *self._table(table, chains), "COMMIT"]
        return "\n".join(lines) + "\n"

    def _one(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _table(self, table: str, chains: tuple[str, ...]) -> list[str]:
        known = dict.fromkeys(chains)
        if table != "filter":
            rules = [f"-A {self._one(*chains)} {self._rule(table, '')}" for _ in range(2)]
            return [*(f":{chain} ACCEPT [0:0]" for chain in known), *rules[: self._few()]]
        policies = [f":{chain} {self._one('ACCEPT', 'DROP', 'DROP')} [0:0]" for chain in known]
        own = [f"-A own {self._rule(table, '')}" for _ in range(self._random.randint(0, 3))]
        rules = [
            f"-A {self._one(*chains)} {self._rule(table, 'own')}"
            for _ in range(self._random.randint(1, 7))
        ]
        return [*policies, ":own - [0:0]", *own, *rules]

    def _few(self) -> int:
        return self._random.choice((0, 0, 0, 1, 2))

    def _rule(self, table: str, chain: str) -> str:
        protocol = self._one("", "-p tcp", "-p tcp", "-p udp")
        chosen = [self._condition(protocol[3:]) for _ in range(self._random.choice((0, 1, 1, 2)))]
        words = {_OPTION.findall(words)[0].rstrip("s"): words for words in chosen}  # none twice
        last = sorted(words.values(), key=lambda text: "multiport" in text)
        return " ".join(filter(None, [protocol, *last, self._target(table, chain)]))

    def _target(self, table: str, chain: str) -> str:
        if table == "raw":
            return self._one("-j CT --notrack", "-j DROP", "-j ACCEPT")
        if table == "mangle":
            mark = self._one("0x1", "0x10/0x10")
            return self._one(f"-j MARK --set-xmark {mark}", "-j CONNMARK --save-mark", "-j DROP")
        jumps = [f"-j {chain}", f"-j {chain}", f"-g {chain}"] if chain else []
        return self._one(
            *("-j ACCEPT", "-j ACCEPT", "-j ACCEPT", "-j DROP", "-j DROP", "-j REJECT"),
            *("-j RETURN", "-j LOG", *jumps),
        )

    def _condition(self, protocol: str) -> str:
        sign = self._one("", "", "", "! ")
        if protocol and self._random.random() < 0.6:
            ports = self._random.sample(_PORTS, 2)
            return self._one(
                f"{sign}--dport {ports[0]}",
                f"{sign}--dport {self._one('1:65535', '0:1023', '1024:65535', '5000:9999')}",
                f"-m multiport {sign}--dports {','.join(ports)},20000:40000",
                f"{sign}--sport {self._one('53', '1024:65535', ports[1])}",
            )
        return self._one(
            f"{sign}-s {self._one('10.114.0.0/20', '192.0.2.0/24', '0.0.0.0/0', '128.0.0.0/1')}",
            f"{sign}-d {self._one('203.0.113.0/24', '10.114.0.2', '198.51.100.0/24')}",
            f"-m conntrack {sign}--ctstate {self._one('NEW', 'ESTABLISHED,RELATED', 'INVALID')}",
            f"-m conntrack {sign}--ctstate {self._one('NEW,UNTRACKED', 'UNTRACKED', 'DNAT')}",
            f"-m limit --limit {self._one('1/hour', '1/min')} --limit-burst 2",
            f"-m hashlimit --hashlimit-{self._one('upto', 'above')} 1/hour --hashlimit-burst 2"
            f" --hashlimit-mode srcip --hashlimit-name h{self._random.randrange(10**6)}",
            f"-m mark {sign}--mark {self._one('0x1', '0x0', '0x10/0x10')}",
            f"-m connmark {sign}--mark 0x1",
            f"-m addrtype {sign}--dst-type {self._one('LOCAL', 'UNICAST')}",
            f"-m addrtype {sign}--src-type {self._one('LOCAL', 'UNICAST')}",
            f"-m iprange {sign}--src-range 192.0.2.1-192.0.2.9",
            "-m statistic --mode nth --every 2 --packet 0",
            "-m comment --comment x",
        )
