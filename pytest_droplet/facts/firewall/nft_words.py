"""The words of nft's rules, and what :mod:`pytest_droplet.facts.firewall.nftables` makes of each.

A word that does not stand here is not known: a statement may do anything to a packet, a condition
may hold or not, a chain or table of another kind makes the whole answer unknown.

Source: libnftables-json(5), nft(8). Read with nftables 0.9.8, 1.0.6 and 1.1.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Use = Literal["verdict", "condition", "change", "passes", "unknown"]
"""What a statement does with a packet.

``verdict``: it decides. ``condition``: the rule goes on for some packets alone. ``change``: rules
that follow may see another packet. ``passes``: none of these. ``unknown``: it is not followed.
"""

STATEMENTS: Mapping[str, Use] = {
    **dict.fromkeys(("accept", "drop", "continue", "return", "jump", "goto"), "verdict"),
    **dict.fromkeys(("reject", "vmap", "dnat", "redirect", "snat", "masquerade"), "verdict"),
    **dict.fromkeys(("match", "limit", "quota", "ct count", "counter"), "condition"),
    **dict.fromkeys(("set", "map", "meter"), "condition"),
    **dict.fromkeys(("mangle", "notrack"), "change"),
    **dict.fromkeys(("log", "last", "dup", "secmark", "ct helper", "ct timeout"), "passes"),
    **dict.fromkeys(("fwd", "queue", "synproxy", "tproxy", "flow", "xt"), "unknown"),
    **dict.fromkeys(("ct expectation", "reset", "tunnel", "objref"), "unknown"),
}
FAMILIES: Mapping[str, frozenset[int]] = {
    "ip": frozenset({4}),
    "ip6": frozenset({6}),
    "inet": frozenset({4, 6}),
    "netdev": frozenset({4, 6}),
    "arp": frozenset(),
    "bridge": frozenset(),
}
"""The versions of IP whose packets a family sees; none: frames that a Droplet does not route."""

HOOKS = frozenset(("ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"))
"""The hooks of chains: each is a place of :mod:`pytest_droplet.facts.firewall.packet_filter`."""

CHAIN_TYPES = frozenset({"filter", "nat", "route"})
TABLE_FLAGS = frozenset({"dormant", "owner", "persist"})
ELEMENT_WORDS = frozenset({"val", "comment", "counter"})
"""What an element of a set may have and still be there for good, for every packet."""

_PORTS = """
ftp-data=20 ftp=21 ssh=22 telnet=23 smtp=25 time=37 whois=43 tacacs=49 domain=53 bootps=67
bootpc=68 tftp=69 gopher=70 finger=79 http=80 kerberos=88 pop3=110 sunrpc=111 auth=113 nntp=119
ntp=123 epmap=135 netbios-ns=137 netbios-dgm=138 netbios-ssn=139 imap2=143 snmp=161
snmp-trap=162 bgp=179 irc=194 ldap=389 https=443 microsoft-ds=445 submissions=465 isakmp=500
syslog=514 printer=515 route=520 dhcpv6-client=546 dhcpv6-server=547 nntps=563 submission=587
ipp=631 ldaps=636 domain-s=853 rsync=873 ftps-data=989 ftps=990 telnets=992 imaps=993 pop3s=995
socks=1080 openvpn=1194 ms-sql-s=1433 ms-sql-m=1434 radius=1812 radius-acct=1813 nfs=2049
mysql=3306 svn=3690 epmd=4369 ipsec-nat-t=4500 sip=5060 sip-tls=5061 xmpp-client=5222
xmpp-server=5269 mdns=5353 postgresql=5432 amqps=5671 amqp=5672 x11=6000 redis=6379
http-alt=8080 git=9418 zabbix-agent=10050 zabbix-trapper=10051
"""
SERVICES: Mapping[str, int] = {
    name: int(port) for name, port in (pair.split("=") for pair in _PORTS.split())
}
"""Names of ports by services(5); one that does not stand here is not known."""
