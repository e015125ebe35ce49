"""The sections of the host's firewall: what is loaded, and what is loaded at boot."""

from __future__ import annotations

from .case import Seen, case

UNITS_OF = "firewalled"  # what systemd says of units on a booted host
RULES = """
flush ruleset
table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        tcp dport 22 accept
    }
}
"""
LOADED = "nft -f /srv/rules"
ETH0 = "interface eth0 203.0.113.10/20"
IPTABLES = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
BUILT_IN = 'mkdir -p "/lib/modules/$(uname -r)"\n: >"/lib/modules/$(uname -r)/modules.builtin"\n'
# A kernel of a distribution that has neither loaded modules nor any built in.
WITHOUT_MODULES = (
    f"{BUILT_IN}mkdir /srv/proc\nmount --bind /proc /srv/proc\n"
    "mount -t tmpfs tmpfs /sys\nmount -t tmpfs tmpfs /proc\n"
    "ln -s /srv/proc/self /proc/self\n: >/proc/modules"
)


@case("nft", "iptables", matrix=True, files={"/srv/rules": RULES}, prepare=LOADED)
def test_rules_of_nft_are_read(seen: Seen) -> None:
    """The chain that drops is there, once."""
    (hook,) = seen.fact("droplet_host_rules").input_filters

    assert (hook.policy, hook.place) == ("drop", "input")


@case("nft", "iptables")
def test_a_host_without_rules_has_none(seen: Seen) -> None:
    """An empty ruleset is no gap."""
    assert seen.fact("droplet_host_rules").hooks == ()


@case(
    "nft",
    "iptables",
    prepare="nft -f - <<'END'\ntable inet filter {\n flags dormant\n"
    " chain input { type filter hook input priority 0; policy drop; }\n}\nEND",
)
def test_a_dormant_table_filters_nothing(seen: Seen) -> None:
    """No table counts that the kernel does not run."""
    assert not any(hook.is_filter for hook in seen.fact("droplet_host_rules").input_filters)


@case("nft", "iptables", prepare=WITHOUT_MODULES)
def test_a_kernel_without_modules_has_no_rules(seen: Seen) -> None:
    """Where the kernel cannot have any, nft need not be asked."""
    assert seen["nft"].stdout == "absent\n"
    assert seen.fact("droplet_host_rules").hooks == ()


@case("nft", "iptables", prepare=WITHOUT_MODULES.removeprefix(BUILT_IN))
def test_it_is_unknown_whether_a_kernel_has_rules(seen: Seen) -> None:
    """Without the list of what is built in, none of the modules is known to be absent."""
    assert "cannot be told" in seen.missing("droplet_host_rules")


@case("nft", "iptables", prepare="rm /usr/sbin/nft")
def test_rules_are_unknown_without_nft(seen: Seen) -> None:
    """The kernel may have rules, and nothing tells them."""
    assert "not found" in seen.missing("droplet_host_rules")


@case(
    "iptables",
    "nft",
    matrix=True,
    files={"/srv/v4": IPTABLES, "/srv/v6": IPTABLES},
    prepare="iptables-nft-restore /srv/v4\nip6tables-nft-restore /srv/v6",
)
def test_rules_of_iptables_are_read(seen: Seen) -> None:
    """Those that iptables keeps in nftables, of both families."""
    hooks = seen.fact("droplet_host_rules").input_filters

    assert {(tuple(hook.versions), hook.policy) for hook in hooks} == {
        ((4,), "drop"),
        ((6,), "drop"),
    }


@case("iptables", "nft", files={"/srv/v4": IPTABLES}, prepare="iptables-legacy-restore /srv/v4")
def test_rules_of_iptables_legacy_are_read(seen: Seen) -> None:
    """They are told apart from those in nftables."""
    (hook,) = seen.fact("droplet_host_rules").input_filters

    assert hook.label.endswith("(legacy)")
    assert hook.policy == "drop"


@case(
    "iptables",
    "nft",
    prepare="echo filter >/srv/tables\nmkdir -p /srv/proc/net\n"
    "cp /srv/tables /srv/proc/net/ip6_tables_names\nmount --bind /srv/proc /proc\n"
    "rm /usr/sbin/ip6tables-legacy-save",
)
def test_legacy_rules_without_their_tool_are_unknown(seen: Seen) -> None:
    """The kernel has a table that no tool of the host reads."""
    assert "iptables-legacy" in seen.missing("droplet_host_rules")


FIREWALL_FILES = ("firewall_files", "nft", "iptables")


@case(
    *FIREWALL_FILES,
    matrix=True,
    base=UNITS_OF,
    files={"/srv/rules": RULES, "/etc/nftables.conf": RULES},
    prepare=LOADED,
)
def test_what_filters_now_and_at_boot(seen: Seen) -> None:
    """The chain that is loaded, and a file with a hook into input."""
    found = seen.fact("droplet_firewall_manager")

    assert found.active == ("inet filter input",)


@case(
    *FIREWALL_FILES,
    base=UNITS_OF,
    files={"/etc/ufw/ufw.conf": "ENABLED=yes\n"},
    prepare=WITHOUT_MODULES,
)
def test_a_kernel_without_modules_filters_nothing(seen: Seen) -> None:
    """Neither module is there, loaded or built in."""
    assert seen.fact("droplet_firewall_manager").active == ()


@case(
    *FIREWALL_FILES,
    base=UNITS_OF,
    prepare=f'{BUILT_IN}echo kernel/net/netfilter/nf_tables.ko >"/lib/modules/$(uname -r)/modules.builtin"\n'
    "mount -t tmpfs tmpfs /sys",
)
def test_a_module_that_is_built_in_is_there(seen: Seen) -> None:
    """It is in the list of the kernel's own modules."""
    assert "module nf_tables\n" in seen["firewall_files"].stdout
    assert "ip_tables" not in seen["firewall_files"].stdout
    assert seen.fact("droplet_firewall_manager").active == ()


@case(*FIREWALL_FILES, base=UNITS_OF, prepare="unreadable /etc/ufw/ufw.conf")
def test_a_switch_of_ufw_that_cannot_be_read_is_unknown(seen: Seen) -> None:
    """It is not taken for off."""
    assert "/etc/ufw/ufw.conf" in seen.missing("droplet_firewall_manager")


@case(*FIREWALL_FILES, base=UNITS_OF, prepare="unreadable /etc/nftables.conf")
def test_rules_for_the_boot_that_cannot_be_read_are_unknown(seen: Seen) -> None:
    """They are not taken for a file without a hook."""
    assert "/etc/nftables.conf" in seen.missing("droplet_firewall_manager")


SAVED = ("firewall_saved", "addresses", *FIREWALL_FILES)


@case(*SAVED, matrix=True, base=UNITS_OF, files={"/etc/nftables.conf": RULES}, prepare=ETH0)
def test_rules_for_the_boot_are_read(seen: Seen) -> None:
    """The manager that is enabled lets SSH in, by its files."""
    (manager,) = seen.fact("droplet_saved_firewall").managers

    assert (manager.manager, manager.allowed) == ("nftables.service", True)


@case(*SAVED, base=UNITS_OF, prepare=f"{ETH0}\nunreadable /etc/iptables/rules.v4")
def test_saved_rules_that_cannot_be_read_are_unknown(seen: Seen) -> None:
    """They are not taken for no rules."""
    assert "/etc/iptables/rules.v4" in seen.missing("droplet_saved_firewall")


FIREWALLD = {
    "/etc/firewalld/firewalld.conf": "# the default\nDefaultZone=public\n",
    "/etc/firewalld/zones/public.xml": "<zone><service name='web'/><service name='own'/></zone>\n",
    "/usr/lib/firewalld/services/web.xml": "<service><port port='80' protocol='tcp'/></service>\n",
    "/usr/lib/firewalld/services/own.xml": "<service><port port='1' protocol='tcp'/></service>\n",
    "/etc/firewalld/services/own.xml": "<service><port port='2' protocol='tcp'/></service>\n",
    "/etc/NetworkManager/system-connections/eth0": "[connection]\nzone=trusted\n",
    "/etc/sysconfig/network-scripts/ifcfg-eth1": "ZONE=work\n",
}


@case(*SAVED, base=UNITS_OF, files=FIREWALLD, prepare=ETH0)
def test_files_of_firewalld_are_read(seen: Seen) -> None:
    """The host's own file of a service stands before that of the package."""
    found = seen["firewall_saved"].stdout

    assert "port='80'" in found
    assert "port='2'" in found
    assert "port='1'" not in found
    assert "# the default" not in found
    assert "zone=trusted" in found
    assert "ZONE=work" in found
