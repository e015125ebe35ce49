"""Checks of firewalls: one is there and attached (the guide's recommendations 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pytest_droplet.catalogue import check
from pytest_droplet.facts import Account
from pytest_droplet.facts.firewall.access import Access
from pytest_droplet.facts.firewall.cloud_firewalls import (
    CloudChanges,
    CloudFirewalls,
    FirewallRule,
    StandIn,
)
from pytest_droplet.facts.firewall.exposed_ports import ExposedPorts
from pytest_droplet.facts.firewall.firewall_managers import FirewallManager
from pytest_droplet.facts.firewall.firewall_saved import SavedFirewall, SavedRules
from pytest_droplet.facts.firewall.host_firewall import Decision, HostFirewall, from_row
from pytest_droplet.facts.firewall.ssh_ports import SshPorts
from pytest_droplet.model import (
    Claims,
    Droplet,
    Item,
    NotObservedError,
    Reading,
    fail,
    not_applicable,
)
from pytest_droplet.settings import Settings, ports
from pytest_droplet.text import one_line

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, {}: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_RULES = "https://docs.digitalocean.com/products/networking/firewalls/how-to/configure-rules/"
_LIMITS = "https://docs.digitalocean.com/products/networking/firewalls/details/limits/"
_IMAGES_WITHOUT_DHCP = frozenset({"base", "snapshot", "backup", "admin"})
_HOST = "droplet_host_firewall"
_DHCP_CLIENTS = (("udp", 68), ("udp", 546))
_SERVICES = {
    21: "FTP",
    23: "Telnet",
    111: "portmapper",
    139: "SMB",
    161: "SNMP",
    389: "LDAP",
    445: "SMB",
    873: "rsync",
    1433: "SQL Server",
    1521: "Oracle",
    1900: "SSDP",
    2049: "NFS",
    2375: "Docker",
    2376: "Docker",
    2379: "etcd",
    2380: "etcd",
    3306: "MySQL",
    3389: "RDP",
    5432: "PostgreSQL",
    5900: "VNC",
    5984: "CouchDB",
    5985: "WinRM",
    5986: "WinRM",
    6379: "Redis",
    6443: "Kubernetes",
    8086: "InfluxDB",
    9042: "Cassandra",
    9092: "Kafka",
    9200: "Elasticsearch",
    9300: "Elasticsearch",
    10250: "kubelet",
    11211: "memcached",
    11300: "beanstalkd",
    15672: "RabbitMQ",
    27017: "MongoDB",
    27018: "MongoDB",
    27019: "MongoDB",
    33060: "MySQL",
    **dict.fromkeys(range(5901, 5906), "VNC"),
}


@check(
    "firewall.cloud-exists",
    severity="low",
    profile="droplet",
    guide=2,
    references=f"{_GUIDE.format(2)}; {_LIMITS}",
    may_use=(_HOST,),
    api=("firewalls",),
)
def test_account_has_a_cloud_firewall(droplet_account: Account) -> None:
    """The account has at least one Cloud Firewall.

    Without any, host firewalls that deny by default are accepted: the guide takes either kind.

    Finding:
        The account has no Cloud Firewall.

    Rationale:
        A Droplet without a firewall shows every port that a program opens, on purpose or not, to
        everybody. A Cloud Firewall filters before the traffic reaches the Droplet.

    Remediation:
        Create one in the control panel under Networking, Firewalls, or with
        ``doctl compute firewall create --name NAME --inbound-rules ... --outbound-rules ...``.
        Allow SSH from where you are first, or you lock yourself out.
    """
    if droplet_account.inventory.firewalls.get():
        return
    readings = {i: row[_HOST] for i, row in droplet_account.rows.items() if _HOST in row}
    denied = {i: _denies(reading) for i, reading in readings.items()}
    if True in denied.values():
        return
    unread = [i for i, denies in denied.items() if denies is None]
    if unread:
        raise NotObservedError(
            "the account has no Cloud Firewall, and the host firewall of"
            f" {len(unread)} Droplets could not be judged: {_why(readings[unread[0]])}"
        )
    inventory = droplet_account.inventory
    if not inventory.covers_account:
        not_applicable(
            "the account has no Cloud Firewall, and"
            f" {len(inventory.selected)} of {len(inventory.droplets)} Droplets selected"
        )
    raise AssertionError(
        "the account has no Cloud Firewall, and no Droplet's own firewall denies by default"
        f" ({len(denied)} read)"
    )


@check(
    "firewall.cloud-attached",
    severity="high",
    profile="droplet",
    guide=3,
    references=f"{_GUIDE.format(3)}; {_LIMITS}",
)
def test_a_cloud_firewall_is_connected_to_the_droplet(
    droplet: Droplet,
    droplet_cloud_firewalls: CloudFirewalls,
    droplet_firewall_stand_in: StandIn,
) -> None:
    """A Cloud Firewall is connected to the Droplet.

    Directly or by a tag. One that is being removed does not count. With ``accept_host_firewall``
    in the settings an active host firewall that denies by default is enough.

    Finding:
        No Cloud Firewall is connected to the Droplet.

    Rationale:
        A Cloud Firewall protects the Droplets that it is attached to and no others. A new
        Droplet has none unless somebody thought of it; a tag thinks of it every time.

    Remediation:
        ``doctl compute firewall add-droplets FIREWALL --droplet-ids ID``, or better
        ``doctl compute firewall add-tags FIREWALL --tag-names TAG``. Look first that its rules
        allow what must go on working.
    """
    _only_ours(droplet)
    if droplet_cloud_firewalls.attached or droplet_firewall_stand_in.accepted:
        return
    droplet_cloud_firewalls.need_all()
    if droplet_firewall_stand_in.accepted is None:
        raise NotObservedError(droplet_firewall_stand_in.reason)
    leaving = droplet_cloud_firewalls.leaving
    if leaving:
        fail(
            f"{', '.join(f.name for f in leaving)} is being removed, no other is attached",
            droplet_cloud_firewalls=[{"id": f.id, "name": f.name} for f in leaving],
        )
    raise AssertionError("none is attached")


@check(
    "firewall.cloud-rules-present",
    severity="medium",
    profile="droplet",
    guide=2,
    references=f"{_GUIDE.format(2)}; {_RULES}",
    depends_on=("firewall.cloud-attached",),
)
def test_attached_firewall_has_inbound_rules(droplet_cloud_firewalls: CloudFirewalls) -> None:
    """The attached firewall has inbound rules.

    One at least must let somebody in: rules that only deny, or whose peers other rules deny, are
    no way in.

    Finding:
        The attached Cloud Firewall has no inbound rule.

    Rationale:
        Without any inbound rule nothing gets in, not even you: either the firewall is not
        finished, or the Droplet should not have a public address.

    Remediation:
        ``doctl compute firewall add-rules ID --inbound-rules
        protocol:tcp,ports:443,address:0.0.0.0/0,address:::/0``, and SSH from your own addresses.
    """
    _need_attached(droplet_cloud_firewalls)
    attached = droplet_cloud_firewalls.attached
    if not droplet_cloud_firewalls.lets_anything_in():
        fail(
            f"{', '.join(map(str, attached))}: {_no_way_in(droplet_cloud_firewalls)};"
            " nothing can reach the Droplet",
            droplet_cloud_firewalls=attached,
        )


@check(
    "firewall.cloud-ssh-restricted",
    severity="medium",
    profile="extended",
    guide=2,
    references=_RULES,
    depends_on=("firewall.cloud-attached",),
    without_host=True,
)
def test_ssh_is_not_open_to_the_whole_internet(
    droplet_cloud_firewalls: CloudFirewalls, droplet_ssh_ports: SshPorts
) -> None:
    """SSH is not open to the whole internet.

    Every port that sshd holds is judged, by the rules of all attached firewalls together: what one
    allows is open, unless another denies it. Where the host was not read, as it is off or did not
    answer, port 22 is judged: open to the world it fails, else it cannot be told. The guide does
    not ask for it: the control panel's own default lets everybody in.

    Finding:
        The Cloud Firewall opens SSH to the whole internet.

    Rationale:
        Whoever cannot reach SSH cannot guess passwords, try stolen keys or use the next flaw of
        sshd.

    Remediation:
        Replace ``0.0.0.0/0`` and ``::/0`` by the addresses of your office or VPN, or by the tag
        of a bastion. Keep a session open until a new one works. The console of the control
        panel needs DigitalOcean's own ranges.
    """
    _need_attached(droplet_cloud_firewalls)
    ssh_ports, unread = _ssh_ports(droplet_ssh_ports)
    with Claims() as claim:
        for port in ssh_ports:
            with claim:
                rules = droplet_cloud_firewalls.open_to_the_world("tcp", port)
                if rules:
                    fail(
                        f"SSH on port {port} is open to the world:"
                        f" {'; '.join(map(str, rules))}{unread}",
                        droplet_cloud_firewalls=_through(rules, port),
                    )
        with claim:
            if unread:
                raise NotObservedError(f"SSH on port 22 is not open to the world{unread}")


@check(
    "firewall.cloud-sensitive-ports-restricted",
    severity="high",
    profile="extended",
    guide=2,
    references=_RULES,
    depends_on=("firewall.cloud-attached",),
)
def test_database_and_admin_ports_are_not_open_to_the_world(
    droplet_cloud_firewalls: CloudFirewalls, droplet_settings: Settings
) -> None:
    """Database and admin ports are not open to the world.

    The ports are those of the setting ``sensitive_ports``.

    Finding:
        The Cloud Firewall opens database or admin ports to the world.

    Rationale:
        Databases, caches and remote consoles are made for a trusted network. Those that anybody
        can reach are found within hours, and many ask for no password.

    Remediation:
        ``doctl compute firewall remove-rules ID --inbound-rules ...``, then ``add-rules`` with
        the addresses, tags or VPC range that really need the port.
    """
    _need_attached(droplet_cloud_firewalls)
    opened: dict[str, list[str]] = {}
    about: list[Item] = []
    for protocol, port in ports(droplet_settings.sensitive_ports):
        rules = droplet_cloud_firewalls.open_to_the_world(protocol, port)
        about += _through(rules, port)
        for rule in rules:
            opened.setdefault(str(rule), []).append(_service(port))
    if opened:
        fail(
            "; ".join(
                f"{rule} lets the world in to {_first(named)}" for rule, named in opened.items()
            ),
            droplet_cloud_firewalls=about,
        )


@check(
    "firewall.cloud-no-all-ports-open",
    severity="high",
    profile="extended",
    guide=2,
    references=_RULES,
    depends_on=("firewall.cloud-attached",),
)
def test_no_rule_opens_every_port_to_the_world(droplet_cloud_firewalls: CloudFirewalls) -> None:
    """No rule opens every port to the world.

    All rules of all attached firewalls are judged together, less what their deny rules take away:
    60,000 ports of TCP or of UDP are as good as all.

    Finding:
        A rule of the Cloud Firewall opens every port to the world.

    Rationale:
        Such a rule makes a firewall that is attached, has rules, and keeps nobody out.

    Remediation:
        Remove the rule with ``doctl compute firewall remove-rules ID --inbound-rules ...`` and
        add one for each port that has to be reached.
    """
    _need_attached(droplet_cloud_firewalls)
    with Claims() as claim:
        for protocol in ("tcp", "udp"):
            with claim:
                rules = droplet_cloud_firewalls.open_to_the_world(protocol)
                if rules:
                    fail(
                        f"every {protocol} port is open to the world: {_first(rules)}",
                        droplet_cloud_firewalls=rules,
                    )


@check(
    "firewall.cloud-settled",
    severity="medium",
    profile="extended",
    guide=3,
    references="https://docs.digitalocean.com/reference/api/ (GET /v2/firewalls)",
    depends_on=("firewall.cloud-attached",),
)
def test_firewall_changes_are_applied(
    droplet_cloud_firewalls: CloudFirewalls, droplet_cloud_changes: CloudChanges
) -> None:
    """Firewall changes are applied.

    A firewall that is still applying changes is read once more, a minute later: just after a
    change that is normal. Changes that wait for other Droplets alone count by its status.

    Finding:
        A change of the Cloud Firewall is not applied yet.

    Rationale:
        Until a change is applied the Droplet is filtered by the rules of before, or by none. A
        change that failed stays so, while the control panel shows the rules as they should be.

    Remediation:
        Wait some minutes and run again. Where it stays, save the firewall's rules once more in
        the control panel, or ``doctl compute firewall update ID ...``; open a ticket where the
        status is ``failed``.
    """
    _need_attached(droplet_cloud_firewalls)
    with Claims() as claim:
        for firewall in droplet_cloud_changes.firewalls:
            with claim:
                if trouble := firewall.trouble:
                    fail(trouble, droplet_cloud_changes=[firewall])
        with claim:
            droplet_cloud_firewalls.need_all()


@check(
    "firewall.access-preserved",
    severity="high",
    profile="droplet",
    guide=2,
    references=f"{_GUIDE.format('2 and 3')}; {_RULES}; {_LIMITS};"
    " DNS over TCP: https://www.rfc-editor.org/rfc/rfc7766",
)
def test_legitimate_access_still_works(  # noqa: PLR0917 it asks for what it judges
    droplet: Droplet,
    droplet_access: Access,
    droplet_cloud_firewalls: CloudFirewalls,
    droplet_exposed_ports: ExposedPorts,
    droplet_firewall_manager: FirewallManager,
    droplet_saved_firewall: SavedFirewall,
    droplet_settings: Settings,
) -> None:
    """Legitimate access still works.

    The audit's own login is the new connection to SSH. Others are made to the ports of the
    setting ``required_services``; without it to 80 and 443 where nginx or Apache listens. Behind
    a bastion, what is not open from here is followed through the rules of the host and of the
    Cloud Firewalls instead. The Cloud Firewalls must let somebody in to SSH, and let out TCP 80
    and 443, and port 53, so that updates, certificates and names can be had. And what the host's
    firewall loads at the next start must let SSH in.

    Finding:
        A firewall shuts out access that is needed.

    Rationale:
        Connections that exist survive a change of rules: an open session proves nothing about
        the next one. A firewall that blocks what it should not is taken off in a hurry.

    Remediation:
        Add the rule that is missing: ``doctl compute firewall add-rules ID --inbound-rules ...``
        or ``--outbound-rules ...``. On the host: ``ufw allow OpenSSH`` (Debian, Ubuntu),
        ``firewall-cmd --permanent --add-service=ssh && firewall-cmd --reload`` (AlmaLinux, Rocky
        Linux, Fedora, CentOS Stream), or the line in ``/etc/nftables.conf``. Keep your session
        open until a new one works; locked out, use the recovery console of the control panel.
    """
    cloud, saved = droplet_cloud_firewalls, droplet_saved_firewall
    with Claims() as claim:
        with claim:
            _need_a_firewall(cloud, droplet_firewall_manager)
        with claim:
            _need_ssh(droplet_access, cloud)
        with claim:
            for port in _required(droplet_access, droplet_settings):
                with claim:
                    if droplet_access.is_open(port):
                        continue
                    if droplet_access.seen_from_here:
                        _need_service(droplet_access, cloud, port)
                    else:
                        _need_rules(droplet, droplet_access, droplet_exposed_ports, port)
        with claim:
            if cloud.attached:
                _need_way_out(droplet, cloud)
        for rules in _managers(saved):
            with claim:
                if rules.allowed is None:
                    raise NotObservedError(f"{rules.manager}: {rules.why}")
                if not rules.allowed:
                    fail(
                        f"{rules.manager} locks SSH out when it is loaded again: {rules.why}",
                        droplet_saved_firewall=[{"manager": rules.manager, "why": rules.why}],
                    )


@check(
    "firewall.exposed-ports-expected",
    severity="high",
    profile="extended",
    guide=2,
    references=f"{_RULES}; Docker and ufw: https://github.com/moby/moby/issues/22054;"
    " https://docs.docker.com/engine/network/packet-filtering-firewalls/",
)
def test_only_expected_services_can_be_reached(
    droplet_exposed_ports: ExposedPorts, droplet_ssh_ports: SshPorts, droplet_settings: Settings
) -> None:
    """Only expected services are reachable from outside.

    Each port that a program listens on, and each that the host sends on, as Docker does with the
    ports that it publishes, is followed through NAT, the host's packet filter and the Cloud
    Firewalls. Expected are those of the setting ``expected_ports``; without it SSH, 80 and 443,
    and the ports of DHCP clients, which ufw lets in from the ports of their servers.

    Finding:
        A service that is not expected is reachable from outside.

    Rationale:
        A program opens its port when it is installed, not when somebody has thought about it. A
        published port of a container passes by ufw: the rules that people look at do not see it.

    Remediation:
        Let the program listen on 127.0.0.1 or the VPC's address alone. Docker: publish
        ``127.0.0.1:5432:5432``, or add a rule to the chain ``DOCKER-USER``. Debian, Ubuntu:
        ``ufw delete allow PORT``; AlmaLinux, Rocky Linux, Fedora, CentOS Stream:
        ``firewall-cmd --permanent --remove-port=PORT/tcp && firewall-cmd --reload``. Close it in
        the Cloud Firewall too. What is meant to be reached belongs into ``expected_ports``.
    """
    with Claims() as claim:
        for port in droplet_exposed_ports.ports:
            with claim:
                if port.internet.allowed is False:
                    continue
                if (port.protocol, port.port) in _expected(droplet_settings, droplet_ssh_ports):
                    continue
                if port.internet.allowed is None:
                    raise NotObservedError(f"{port.name}: {port.internet.why}")
                fail(f"{port.name}: {port.internet.why}", droplet_exposed_ports=[port])
        with claim:
            droplet_exposed_ports.need_all()


@check(
    "firewall.host-active",
    severity="medium",
    profile="cis1",
    guide=2,
    references="nft(8); ufw(8); firewalld(1)",
)
def test_a_host_firewall_is_active_and_comes_back(
    droplet_firewall_manager: FirewallManager, droplet_saved_firewall: SavedFirewall
) -> None:
    """A host firewall is active and comes back after a reboot.

    Active: the kernel filters input over IPv4, by a rule or a policy; chains of fail2ban, Docker,
    Kubernetes and libvirt do not count. It comes back where a manager is enabled whose files
    close what the loaded rules close: they are read, and each port that a rule names is compared.

    Finding:
        No host firewall is active, or it does not come back after a reboot.

    Rationale:
        The Cloud Firewall does not see traffic from the Droplet to itself or within tunnels, and
        may be taken off. Rules that were typed by hand are gone after the next reboot.

    Remediation:
        Debian, Ubuntu: ``apt-get install -y ufw && ufw allow OpenSSH && ufw --force enable``.
        AlmaLinux, Rocky Linux, Fedora, CentOS Stream: ``dnf install -y firewalld && systemctl
        enable --now firewalld``; its zone ``public`` lets SSH in on port 22: add another port with
        ``firewall-offline-cmd --add-port=PORT/tcp`` first. Where nftables is used:
        ``nft list ruleset > /etc/nftables.conf`` without what Docker or fail2ban added, and
        ``systemctl enable nftables``. iptables: ``netfilter-persistent save``.
    """
    with Claims() as claim:
        with claim:
            assert droplet_firewall_manager.active, (
                "no chain of a firewall filters input over IPv4"
            )
        with claim:
            idle = "".join(f"; {text}" for text in droplet_firewall_manager.idle)
            assert droplet_firewall_manager.enabled, f"nothing restores it at boot{idle}"
        with claim:
            if droplet_firewall_manager.active and droplet_firewall_manager.enabled:
                _need_restored(droplet_firewall_manager, droplet_saved_firewall)


@check(
    "firewall.host-default-deny",
    severity="medium",
    profile="cis1",
    guide=2,
    references="nft(8)",
    params={"family": ("ipv4", "ipv6")},
)
def test_host_denies_inbound_traffic_by_default(
    family: str, droplet_host_firewall: HostFirewall
) -> None:
    """Inbound traffic is denied by default.

    Every chain that filters input is followed for a new connection that no rule is for, on the
    interface with the public address: one that drops or rejects it is enough.

    Finding:
        Inbound traffic is let in by default.

    Rationale:
        A list of what is allowed stays right when a program opens a port that nobody thought of;
        a list of what is forbidden does not. IPv6 is often forgotten.

    Remediation:
        Debian, Ubuntu: ``apt-get install -y ufw && ufw default deny incoming``, ``IPV6=yes`` in
        ``/etc/default/ufw``, and ``ufw allow OpenSSH`` before ``ufw --force enable``. AlmaLinux,
        Rocky Linux, Fedora, CentOS Stream: ``dnf install -y firewalld && systemctl enable --now
        firewalld && firewall-cmd --set-default-zone=public``. nftables: ``policy drop`` in a table
        of family ``inet``, behind rules that accept established connections, ``lo`` and SSH.
    """
    decision: Decision = getattr(droplet_host_firewall, family)
    if not decision.applies:
        not_applicable(decision.reason)
    if decision.denied is None:
        raise NotObservedError(decision.reason)
    if not decision.denied:
        about = {"family": family, "reason": decision.reason}
        fail(decision.reason, droplet_host_firewall=[about])


def _need_restored(manager: FirewallManager, saved: SavedFirewall) -> None:
    """Raise where the files of the managers do not bring the loaded rules back."""
    names = ", ".join(manager.names)
    if saved.restored is None:
        raise NotObservedError(f"whether {names} restores the rules cannot be told: {saved.lost}")
    if not saved.restored:
        fail(
            f"{names} does not restore the rules at boot: {saved.lost}",
            droplet_saved_firewall=[{"manager": names, "why": saved.lost}],
        )


def _need_a_firewall(cloud: CloudFirewalls, manager: FirewallManager) -> None:
    """Skip where there is neither a Cloud Firewall nor one of the host."""
    if cloud.attached or manager.active or manager.enabled:
        return
    cloud.need_all()
    not_applicable("there is no firewall that could block anything")


def _need_ssh(access: Access, cloud: CloudFirewalls) -> None:
    """Raise where no new connection to SSH was made, or the rules will not let the next one in.

    A ProxyCommand may be a tunnel that no inbound rule is for.
    """
    port, state = access.ssh_port, access.ssh_state()
    if state != "open":
        raise NotObservedError(
            f"a new connection to SSH on port {port} was {state}, though the audit came"
            " in: through a bastion, or by rules that changed since; try to log in once more"
        )
    judged = access.via in {"direct", "jump"} and cloud.attached
    if judged and not cloud.lets_somebody_in("tcp", port):
        fail(
            f"{_closed(cloud, port)} SSH on port {port}: the audit came in before they are"
            " applied, the next login will not",
            droplet_cloud_firewalls=[{**a.details, "port": port} for a in cloud.attached],
        )


def _required(access: Access, settings: Settings) -> tuple[int, ...]:
    if settings.required_services is not None:
        return settings.required_services
    return access.served + access.maybe_served


def _need_service(access: Access, cloud: CloudFirewalls, port: int) -> None:
    """Raise as a port is not open from here; SSH is the control that something here blocks."""
    state = access.state(port)
    if access.ssh_state() != "open":
        raise NotObservedError(
            f"TCP {port} is {state} from here, and so is SSH: something on the way may block both"
        )
    if _is_doubtful(access, port):
        raise NotObservedError(
            f"TCP {port} is {state} from here; which program listens is not seen without root"
        )
    fail(
        f"TCP {port} is {state} from here{_layer(cloud, port)}",
        droplet_access=[{"protocol": "tcp", "port": port, "state": state}],
    )


def _need_rules(droplet: Droplet, access: Access, exposed: ExposedPorts, port: int) -> None:
    """Raise where the rules let nobody in to a port that is not to be seen from here.

    From the internet; for a Droplet without an address there, from its VPC.
    """
    public = any(a.kind != "private" for a in droplet.addresses)
    where = "from the internet" if public else "from the VPC"
    for found in exposed.ports:
        if (found.protocol, found.port) != ("tcp", port):
            continue
        reach = found.internet if public else found.vpc
        if reach.allowed is None or (not reach.allowed and _is_doubtful(access, port)):
            raise NotObservedError(
                f"TCP {port} is not to be seen from here, and by the rules: {reach.why}"
            )
        if not reach.allowed:
            fail(
                f"TCP {port} cannot be reached {where}: {reach.why}",
                droplet_exposed_ports=[found],
            )
        return
    exposed.need_all()
    fail(
        f"TCP {port} cannot be reached {where}: nothing listens there",
        droplet_access=[{"protocol": "tcp", "port": port, "state": "nothing listens"}],
    )


def _is_doubtful(access: Access, port: int) -> bool:
    """Whether another program than a web server may listen, as it is not seen without root."""
    return port in access.maybe_served and port not in access.served


def _layer(cloud: CloudFirewalls, port: int) -> str:
    try:
        if cloud.attached and not cloud.lets_somebody_in("tcp", port):
            return f": {_closed(cloud, port)} it"
        if cloud.attached and not cloud.open_to_the_world("tcp", port):
            return ": the Cloud Firewalls let only some addresses in"
    except NotObservedError:
        return ""
    return ": look at the host's own firewall and the service"


def _closed(cloud: CloudFirewalls, port: int) -> str:
    """Return the beginning of a sentence that ends with what nobody gets to."""
    denials = cloud.denials("tcp", port)
    if denials:
        return (
            f"the inbound rules of the Cloud Firewalls, with {_first(denials)}, let nobody in to"
        )
    return "no inbound rule of the Cloud Firewalls is for"


def _no_way_in(cloud: CloudFirewalls) -> str:
    if not cloud.inbound:
        return "no inbound rule"
    if all(rule.action == "deny" for _, rule in cloud.inbound):
        return "its inbound rules only deny"
    return "its inbound rules together let nobody in"


def _ssh_ports(observed: SshPorts) -> tuple[tuple[int, ...], str]:
    """Return the ports of SSH; where the host's were not read, 22 and a text that says so."""
    try:
        return observed.ports, ""
    except NotObservedError as exc:
        return (22,), f"; the host's own ports of SSH were not read: {exc}"


def _need_way_out(droplet: Droplet, cloud: CloudFirewalls) -> None:
    """Raise where the Cloud Firewalls do not let out what every host needs.

    A custom image needs DHCP too; one of a kind that is not known may.
    """
    wanted = [("tcp", 80), ("tcp", 443), ("udp", 53), ("tcp", 53)]
    missing = [f"{p.upper()} {n}" for p, n in wanted if not cloud.lets_out(p, n)]
    no_dhcp = not cloud.lets_out("udp", 67, public=False)
    if no_dhcp and droplet.image.type == "custom":
        missing.append("UDP 67, which DHCP of a custom image needs")
    if missing:
        fail(
            f"the Cloud Firewalls do not let out {', '.join(missing)}",
            droplet_cloud_firewalls=[{**a.details, "blocked": missing} for a in cloud.attached],
        )
    if no_dhcp and droplet.image.type not in _IMAGES_WITHOUT_DHCP:
        raise NotObservedError(
            "the Cloud Firewalls do not let out UDP 67; whether the image needs it for DHCP cannot"
            f" be told: its type is {one_line(droplet.image.type or 'absent', 40)}"
        )


def _managers(saved: SavedFirewall) -> Iterator[SavedRules]:
    """Yield what each manager loads; where that is not known, one that cannot be told."""
    try:
        yield from saved.managers
    except NotObservedError as exc:
        yield SavedRules("host firewall", None, str(exc))


def _expected(settings: Settings, ssh: SshPorts) -> frozenset[tuple[str, int]]:
    if settings.expected_ports is not None:
        return frozenset((p.protocol, p.number) for p in ports(settings.expected_ports))
    usual = frozenset({("tcp", 80), ("tcp", 443), ("udp", 443), *_DHCP_CLIENTS})
    return usual | {("tcp", port) for port in ssh.ports}


def _service(port: int) -> str:
    return f"{port} {_SERVICES.get(port, '')}".rstrip()


def _only_ours(droplet: Droplet) -> None:
    if droplet.managed_by is not None:
        not_applicable(f"{droplet.name} is managed by {droplet.managed_by}")


def _need_attached(firewalls: CloudFirewalls) -> None:
    """Skip where a host firewall was accepted in place of a Cloud Firewall."""
    if not firewalls.attached:
        not_applicable("no Cloud Firewall is attached; the host's own was accepted")


def _denies(reading: Reading[Any]) -> bool | None:
    try:
        return from_row(reading.get()).denies
    except NotObservedError:
        return None


def _why(reading: Reading[Any]) -> str:
    try:
        from_row(reading.get()).denies  # noqa: B018 it raises with the reason
    except NotObservedError as exc:
        return str(exc)
    return ""


def _through(rules: Iterable[FirewallRule], port: int) -> list[Item]:
    """Return rules as items of a finding about a port."""
    return [{**rule.details, "port": port} for rule in rules]


def _first(items: Sequence[object]) -> str:
    return ", ".join(map(str, items[:3])) + (
        f" and {len(items) - 3} more" if len(items) > 3 else ""
    )
