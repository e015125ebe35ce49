"""TLS: what the host serves on port 443 (recommendations 9, Apache, and 10, Nginx).

Every check runs for ``nginx``, for ``apache`` and for ``edge``: another program that holds port
443, such as Caddy, HAProxy, Traefik or a container's proxy. Virtual hosts are judged inside a
check, each named, and the worst decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from cryptography import x509

from pytest_droplet.catalogue import check
from pytest_droplet.facts.tls.certificate_files import CertificateFile, CertificateFiles
from pytest_droplet.facts.tls.http import Answer, Http, target_of
from pytest_droplet.facts.tls.renewal import Renewal
from pytest_droplet.facts.tls.tls import (
    Served,
    Tls,
    certificate_item,
    covered_names,
    covers,
    described,
    left_of,
    lifetime,
    weakness,
)
from pytest_droplet.facts.tls.tls_versions import OldVersions
from pytest_droplet.facts.tls.trust import distrust, name_of, trusted
from pytest_droplet.facts.tls.virtual_hosts import VirtualHost, name_to_ask, served_names
from pytest_droplet.facts.tls.web_servers import EDGE, HTTPS, WebServers
from pytest_droplet.model import Claims, Item, NotObservedError, fail, not_applicable
from pytest_droplet.settings import Settings
from pytest_droplet.text import one_line

_GUIDE = (
    "DigitalOcean Product Security Hardening Guide for Droplet, 9 and 10: "
    "https://www.digitalocean.com/security/product-security-hardening-guides-for-droplet"
)
_MOZILLA = "Mozilla Server Side TLS: https://wiki.mozilla.org/Security/Server_Side_TLS"
_LETS_ENCRYPT = "Let's Encrypt: https://letsencrypt.org/2025/12/02/from-90-to-45"
_BASELINE = "CA/Browser Forum ballot SC-081v3: https://cabforum.org"
_CERTBOT = "Certbot 4.0: https://www.eff.org/deeplinks"
_SERVER = {"server": ("nginx", "apache", "edge")}
_LISTENING = ("tls.listening[{server}]",)
_LONGEST_NOTICE = timedelta(days=21)
_NOTICE_SHARE = 0.22
_KEY_OWNERS = frozenset({"root", "www-data", "nginx", "apache", "http"})
_KEY_GROUPS = frozenset({"root", "ssl-cert", "certs"})
_RENEWAL_GRACE = timedelta(days=3)
_BY_HAND_NOTICE = timedelta(days=60)
_ORGANIZATION = x509.NameOID.ORGANIZATION_NAME
_ACME = frozenset(
    {
        "Let's Encrypt",
        "ZeroSSL",
        "ZeroSSL GmbH",
        "Google Trust Services",
        "Google Trust Services LLC",
        "Buypass AS-983163327",
    }
)
_IN_PATH = re.compile(r"/\.?(acme\.sh|dehydrated|getssl|lego|uacme)/")
_CLOUDFLARE_ONLY = "an origin certificate, which Cloudflare alone trusts"
_RENEW_THEMSELVES = frozenset({"caddy", "traefik"})
_CONTAINERS = frozenset({"docker-proxy", "conmon", "rootlessport", "slirp4netns", "pasta"})
# Of public certificates issued from a day on, the longest lifetime that clients accept.
_LONGEST_LIVES = (
    (datetime(2029, 3, 15, tzinfo=UTC), timedelta(days=47)),
    (datetime(2027, 3, 15, tzinfo=UTC), timedelta(days=100)),
    (datetime(2026, 3, 15, tzinfo=UTC), timedelta(days=200)),
    (datetime(2020, 9, 1, tzinfo=UTC), timedelta(days=398)),
)


@check(
    "tls.listening",
    severity="high",
    profile="droplet",
    guide=9,
    references=_GUIDE,
    params=_SERVER,
)
def test_https_is_served_on_port_443(
    server: str, droplet_web_servers: WebServers, droplet_tls: Tls
) -> None:
    """The server serves HTTPS on port 443, and it can be reached.

    For recommendations 9 (Apache) and 10 (Nginx) of the guide. It does not apply to a server
    that is not installed, neither runs nor is enabled, or cannot be reached from outside; nor
    where another program holds port 443: ``tls.listening[edge]`` judges that one.

    Finding:
        HTTPS is not served on port 443, or it cannot be reached.

    Rationale:
        Without HTTPS everybody on the way reads and changes what visitors send and get,
        passwords and session cookies among it.

    Remediation:
        Ubuntu, Debian: ``apt install certbot python3-certbot-nginx`` (Apache:
        ``python3-certbot-apache``), then ``certbot --nginx -d example.com`` (``--apache``).
        AlmaLinux, Rocky, Fedora, CentOS Stream: ``dnf install certbot python3-certbot-nginx``
        (Apache: ``python3-certbot-apache mod_ssl``), then the same ``certbot`` command.
        Allow TCP port 443 in the Cloud Firewall and in the host's firewall, and reload the
        server: ``systemctl reload nginx`` (``apache2``, ``httpd``).
    """
    front = droplet_web_servers.front(server)
    if server == EDGE and front.state == "absent" and not front.taken:
        if droplet_tls.port == "open":
            return  # no local socket, and yet it answers: packets are handed on to a container
        not_applicable(front.text)
    if front.state in {"absent", "stopped", "local", "elsewhere"}:
        not_applicable(front.text)
    if front.state == "silent" and _is_open(droplet_tls):
        not_applicable(f"{front.text}; what answers there is judged by tls.listening[edge]")
    if front.state != "serving":
        fail(front.text, droplet_web_servers=[{"server": server, "state": front.state}])
    with Claims() as claim:
        with claim:
            six = any(a.version == 6 and a.kind == "public" for a in droplet_web_servers.addresses)
            if six and front.on(80, 6) and not front.on(HTTPS, 6):
                fail(
                    f"{front.text}: on IPv6 port 80 is served and port {HTTPS} is not",
                    droplet_web_servers=[{"server": server, "port": HTTPS, "version": 6}],
                )
        with claim:
            if droplet_tls.port != "open":
                fail(
                    f"{front.text}, but from outside port {HTTPS} is {_closed(droplet_tls)}",
                    droplet_tls=[{"port": HTTPS, "state": droplet_tls.port}],
                )
            if not droplet_tls.speaks_tls:
                fail(
                    f"{front.text}, but what answers there is not TLS",
                    droplet_tls=[{"port": HTTPS, "state": "not TLS"}],
                )


@check(
    "tls.chain-trusted",
    severity="high",
    profile="droplet",
    guide=9,
    references=f"{_GUIDE}; {_MOZILLA}",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_served_chain_ends_at_a_trusted_authority(
    server: str,
    droplet_web_servers: WebServers,
    droplet_tls: Tls,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """The served chain of certificates ends at a trusted authority.

    For recommendations 9 (Apache) and 10 (Nginx) of the guide. The chain is verified as it was
    served, against Mozilla's authorities and those of the setting ``ca_bundle``; its own
    expiry is what ``tls.not-expiring`` judges. Where DNS sends visitors of a name to another
    host (a load balancer, a content delivery network), the chain that this one serves counts.

    Finding:
        The served certificate is not trusted.

    Rationale:
        Visitors cannot tell a certificate that nobody vouches for from one that somebody on the
        way has made. Who learns to click the warning away does so for that one, too. A browser
        may hide that an intermediate certificate is missing; programs do not.

    Remediation:
        Serve the whole chain: with Certbot's files name ``fullchain.pem``, not ``cert.pem``, in
        ``ssl_certificate`` (nginx) or ``SSLCertificateFile`` (Apache), and reload the server.
        Replace a self-signed certificate: ``certbot --nginx -d example.com``
        (``certbot --apache``); on AlmaLinux, Rocky, Fedora and CentOS Stream mod_ssl brings a
        self-signed ``localhost.crt`` along. For an authority of your own set ``ca_bundle``.
        An origin certificate of Cloudflare is for names that Cloudflare proxies: turn that on for
        the name's DNS record.
    """
    roots = trusted(droplet_settings.ca_bundle)
    own = {a.ip for a in droplet_web_servers.addresses}
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for label, name, way in _chains(
            _names(server, droplet_web_servers, droplet_settings), droplet_tls
        ):
            with claim:
                chain, where = _seen(droplet_tls.served(name, way), own, label)
                why = distrust(chain, roots, droplet_now)
                if why is not None and _is_for_cloudflare(chain[0]):
                    if not droplet_tls.served(name, way).resolved:
                        raise NotObservedError(
                            f"{label}: {_CLOUDFLARE_ONLY}, and where DNS sends visitors was not"
                            " seen"
                        )
                    why = f"{_CLOUDFLARE_ONLY}, and DNS sends visitors past it"
                if why is not None:
                    fail(
                        f"{label}{where}: {why}; served: {described(chain[0])}",
                        droplet_tls=[certificate_item(chain[0], name)],
                    )


@check(
    "tls.not-expiring",
    severity="critical",
    profile="droplet",
    guide=9,
    references=f"{_GUIDE}; {_LETS_ENCRYPT}; {_CERTBOT}; {_BASELINE}",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_served_certificate_is_valid_and_not_about_to_expire(
    server: str,
    droplet_web_servers: WebServers,
    droplet_tls: Tls,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """The served certificate is valid now and not about to expire.

    For recommendations 9 (Apache) and 10 (Nginx) of the guide. What is left must be 21 days or
    22 % of the certificate's lifetime, whichever is less: certificates of 6, 45 and 90 days are
    renewed at different times. A public one must not live longer than clients accept: 200 days
    since 2026-03-15. The time is the auditor's.

    Finding:
        The served certificate has expired, expires soon or is not valid yet.

    Rationale:
        Visitors are turned away at the very second in which a certificate expires. One that has
        little time left shows that its renewal has already failed.

    Remediation:
        Find out why the renewal fails: ``certbot renew --dry-run``, and
        ``journalctl -u certbot`` (Ubuntu, Debian) or ``journalctl -u certbot-renew``
        (AlmaLinux, Rocky, Fedora, CentOS Stream). Then ``certbot renew``, and
        ``systemctl reload nginx`` (``apache2``, ``httpd``); see ``tls.renewal-automated``.
    """
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for label, name, way in _chains(
            _names(server, droplet_web_servers, droplet_settings), droplet_tls
        ):
            with claim:
                _is_current(label, name, droplet_tls.served(name, way), droplet_now)


@check(
    "tls.hostname-matches",
    severity="high",
    profile="droplet",
    guide=9,
    references=f"{_GUIDE}; RFC 9525: https://www.rfc-editor.org/rfc/rfc9525",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_certificate_covers_every_served_name(
    server: str, droplet_web_servers: WebServers, droplet_tls: Tls, droplet_settings: Settings
) -> None:
    """The certificate covers every name that is served.

    For recommendations 9 (Apache) and 10 (Nginx) of the guide. The names are those of the
    virtual hosts and of the setting ``tls_names``; each must be in the certificate's
    subjectAltName, where ``*`` stands for one label. The common name does not count.

    Finding:
        The certificate does not cover a name that is served.

    Rationale:
        A visitor who asks for a name that the certificate lacks is warned away, though the
        site is the right one.

    Remediation:
        Issue one certificate for all names: ``certbot certonly --expand -d example.com
        -d www.example.com``, then ``systemctl reload nginx`` (Ubuntu, Debian: ``apache2``;
        AlmaLinux, Rocky, Fedora, CentOS Stream: ``httpd``). A wildcard covers neither the bare
        domain nor names with a further dot: ``-d example.com -d '*.example.com'``.
    """
    names = _names(server, droplet_web_servers, droplet_settings)
    if names == ("",):
        not_applicable("no name is configured that a certificate could be for")
    own = {a.ip for a in droplet_web_servers.addresses}
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for name, way in ((n, way) for n in names for way in droplet_tls.ways(n)):
            with claim:
                chain, where = _seen(droplet_tls.served(name, way), own, name)
                where = f" ({way}){where}" if way else where
                has = ", ".join(one_line(n, 60) for n in covered_names(chain[0])[:5])
                if not covers(chain[0], name):
                    fail(
                        f"{name}{where}: the certificate is for {has or 'no name'}",
                        droplet_tls=[certificate_item(chain[0], name)],
                    )


@check(
    "tls.certificate-configured",
    severity="high",
    profile="droplet",
    guide=9,
    references=_GUIDE,
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_every_https_virtual_host_names_its_certificate_and_key(
    server: str, droplet_web_servers: WebServers, droplet_certificate_files: CertificateFiles
) -> None:
    """Each HTTPS virtual host names a certificate and a key that exist.

    For recommendations 9 (Apache) and 10 (Nginx) of the guide, by the configuration files.
    Whether key and certificate belong together is what the handshake shows: keys are not read.

    Finding:
        An HTTPS virtual host has no certificate or no key that exists.

    Rationale:
        A server whose files are gone goes on with what it has in memory until its next
        restart, which it does not survive.

    Remediation:
        Name both files in the ``server`` block (``ssl_certificate``, ``ssl_certificate_key``) or
        in the ``<VirtualHost>`` (``SSLEngine on``, ``SSLCertificateFile``,
        ``SSLCertificateKeyFile``), or let Certbot do it: ``certbot --nginx -d example.com``
        (``certbot --apache``; on AlmaLinux, Rocky, Fedora and CentOS Stream install ``mod_ssl``
        first). Try it with ``nginx -t`` or ``apachectl configtest`` before you reload.
    """
    if server == EDGE:
        not_applicable("the configuration of the program on port 443 is not known")
    config = droplet_web_servers.config(server)
    files = droplet_certificate_files
    with Claims() as claim:
        for host in config.hosts:
            if not any(e.tls or e.port == HTTPS for e in host.endpoints) or host.passes_tls_on:
                continue
            with claim:
                if not host.tls:
                    _fail_on_host(host, f"on port {HTTPS} without TLS (SSLEngine on, ssl)")
            if host.rejects or (config.acme and not host.certificates):
                continue
            with claim:
                if not host.certificates:
                    _fail_on_host(host, "no certificate is named")
                for path in host.certificates:
                    found = files.certificate(_plain(path, host.where))
                    if found.state != "read":
                        _fail_on_host(host, f"{found.path} is missing", found)
                    if found.certificate is None:
                        _fail_on_host(host, f"no certificate in {found.path}", found)
            with claim:
                keys = [files.key(_plain(path, host.where)) for path in host.keys]
                keys = keys or [
                    files.certificate(_plain(p, host.where)) for p in host.certificates
                ]
                for key in keys:
                    if key.state != "read":
                        _fail_on_host(host, f"{key.path} is missing", key)
                    if not key.holds_key:
                        _fail_on_host(host, f"no private key in {key.path}", key)


@check(
    "tls.http-redirects-to-https",
    severity="medium",
    profile="droplet",
    guide=9,
    references=f"{_GUIDE}; {_MOZILLA}",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_plain_http_redirects_to_https(
    server: str, droplet_web_servers: WebServers, droplet_http: Http, droplet_settings: Settings
) -> None:
    """Plain HTTP sends every visitor on to HTTPS.

    For recommendations 9 (Apache) and 10 (Nginx) of the guide. Port 80 is closed, or it answers
    to each name with a redirect to ``https://`` of the same domain, over one more address of
    this host at most. HSTS does not stand in for that: it counts from the second visit on.

    Finding:
        Plain HTTP does not send every visitor on to HTTPS.

    Rationale:
        Visitors type a name without a scheme. What is served without TLS is read and changed by
        everybody on the way.

    Remediation:
        nginx: a ``server`` block of its own for port 80 with
        ``return 301 https://$host$request_uri;``. Apache: ``Redirect permanent /
        https://example.com/`` in the ``<VirtualHost *:80>``. Certbot adds both with
        ``--redirect``. Then ``systemctl reload nginx`` (Ubuntu, Debian: ``apache2``; AlmaLinux,
        Rocky, Fedora, CentOS Stream: ``httpd``).
    """
    if droplet_http.port != "open":
        return
    names = _names(server, droplet_web_servers, droplet_settings)
    names = tuple(dict.fromkeys((*droplet_web_servers.plain_names(server), *names)))
    if names == ("",):
        names = _asked(droplet_http.plain)
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for name in filter(None, names):
            with claim:
                answers = droplet_http.plain_answers(name)
                if not _leads_to_https(name, answers):
                    shown = [str(answer) for answer in answers]
                    fail(
                        f"http://{name}/ answers {' then '.join(shown)}",
                        droplet_http=[{"url": f"http://{name}/", "answers": shown}],
                    )


@check(
    "tls.renewal-automated",
    severity="high",
    profile="droplet",
    guide=9,
    references=f"{_GUIDE}; {_CERTBOT}; {_LETS_ENCRYPT}",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_renewal_of_the_certificate_is_scheduled(
    *,
    server: str,
    droplet_web_servers: WebServers,
    droplet_tls: Tls,
    droplet_renewal: Renewal,
    droplet_settings: Settings,
    droplet_now: datetime,
) -> None:
    """The renewal of the served certificate is scheduled, and it works.

    For recommendations 9 (Apache) and 10 (Nginx) of the guide. A timer that is enabled, or a
    cron job of root, has the client renew that the certificate is from, itself or in a script;
    or the server renews by itself (mod_md, nginx-acme, Caddy, Traefik). It must run twice at
    least in the last third of the certificate's life, 30 days at most: weekly is enough for 90
    days, and not for 6. A timer that has not run yet must do so within 26 hours. A certificate of
    Certbot must be one that ``certbot renew`` takes and can renew without anybody's help. A
    certificate that should have been renewed three days ago shows that the renewal fails. One
    that no ACME authority issued is renewed by hand: that is judged in its last 60 days.

    Finding:
        The renewal of the certificate is not scheduled, or it does not work.

    Rationale:
        Certificates live for weeks. Who renews by hand forgets it once.

    Remediation:
        Ubuntu, Debian: ``systemctl enable --now certbot.timer``; the job in
        ``/etc/cron.d/certbot`` does nothing where systemd runs. AlmaLinux, Rocky, Fedora,
        CentOS Stream: ``systemctl enable --now certbot-renew.timer``, which is off after the
        installation. Installed as a snap: ``snap.certbot.renew.timer``. Then try it:
        ``certbot renew --dry-run``.
    """
    names = _names(server, droplet_web_servers, droplet_settings)
    by_hand: list[str] = []
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for label, name, way in _chains(names, droplet_tls):
            with claim:
                leaf = droplet_tls.served(name, way).leaf
                renewer = _renewer(server, name, droplet_web_servers, leaf)
                tried = any(not s.why for s in droplet_renewal.of(renewer.client))
                if renewer.is_acme or renewer.by_itself or tried:
                    _is_renewed(label, name, leaf, renewer, droplet_renewal, droplet_now)
                else:
                    by_hand.append(label)
                    if leaf.not_valid_after_utc - droplet_now < _BY_HAND_NOTICE:
                        fail(
                            f"{label}: {described(leaf, droplet_now)}: nothing renews it",
                            droplet_tls=[certificate_item(leaf, name)],
                        )
    if len(by_hand) == len(list(_chains(names, droplet_tls))):
        not_applicable(f"no ACME authority issued the certificate of {', '.join(by_hand[:3])}")


@check(
    "tls.key-strength",
    severity="medium",
    profile="extended",
    guide=9,
    references=f"{_MOZILLA}; NIST SP 800-57 part 1: https://csrc.nist.gov/publications",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_keys_and_signatures_of_the_chain_are_strong(
    server: str, droplet_web_servers: WebServers, droplet_tls: Tls, droplet_settings: Settings
) -> None:
    """Keys and signatures of the served chain are strong.

    RSA from 2048 bits, ECDSA on P-256, P-384 or P-521, Ed25519; no signature with SHA-1 or MD5.
    A root that is sent along is left out: its own signature is not looked at by anybody.

    Finding:
        A key or a signature of the served chain is weak.

    Rationale:
        Who can compute the key, or a second certificate with the same signature, is the site.

    Remediation:
        Have the certificate issued anew: ``certbot renew --force-renewal --key-type ecdsa``, the
        same on all distributions, then reload the server. An authority that still signs with
        SHA-1 needs another intermediate certificate.
    """
    names = _names(server, droplet_web_servers, droplet_settings)
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for label, name, way in _chains(names, droplet_tls):
            with claim:
                chain = droplet_tls.served(name, way).chain
                for certificate in (chain[0], *(c for c in chain[1:] if c.subject != c.issuer)):
                    if weak := weakness(certificate):
                        fail(
                            f"{label}: {name_of(certificate)} has {weak}",
                            droplet_tls=[certificate_item(certificate, name)],
                        )


@check(
    "tls.protocol-versions",
    severity="high",
    profile="extended",
    guide=9,
    references=f"{_MOZILLA}; RFC 8996: https://www.rfc-editor.org/rfc/rfc8996",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_old_versions_of_tls_are_off(
    *,
    server: str,
    droplet_web_servers: WebServers,
    droplet_tls: Tls,
    droplet_tls_old_versions: OldVersions,
    droplet_settings: Settings,
) -> None:
    """TLS 1.0 and 1.1 are off, and 1.2 or 1.3 works.

    The old versions are offered in bytes of our own, since the auditor's library may refuse to
    offer them, which would look like the server's refusal. Each name is asked for, of names with
    the same settings one, by at most 16 handshakes. With nginx the default host of a socket
    decides for all of them.

    Finding:
        TLS 1.0 or 1.1 is on, or neither 1.2 nor 1.3 works.

    Rationale:
        The old versions sign with SHA-1 and have ciphers that leak; no browser needs them.

    Remediation:
        nginx: ``ssl_protocols TLSv1.2 TLSv1.3;`` in the ``http`` block or the default host.
        Apache: ``SSLProtocol -all +TLSv1.2 +TLSv1.3``. On AlmaLinux, Rocky, Fedora and CentOS
        Stream the policy decides too: ``update-crypto-policies --set DEFAULT``. Then reload the
        server: ``systemctl reload nginx`` (``apache2``, ``httpd``).
    """
    names = _names(server, droplet_web_servers, droplet_settings)
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for version in ("TLSv1.0", "TLSv1.1"):
            with claim:
                if droplet_tls_old_versions.accepts(version):
                    named = droplet_tls_old_versions.by.get(version, ())
                    by = ", ".join(n or "a client that names no host" for n in named[:5])
                    fail(
                        f"{version} is accepted{f' for {by}' if by else ''}",
                        droplet_tls_old_versions=[{"version": version, "names": list(named)}],
                    )
        for name in names:
            with claim:
                spoken = droplet_tls.served(name).protocol
                if spoken not in {"TLSv1.2", "TLSv1.3"}:
                    fail(
                        f"{name or 'no name asked for'}: the newest version is {spoken}",
                        droplet_tls=[{"name": name, "protocol": spoken}],
                    )


@check(
    "tls.hsts",
    severity="low",
    profile="extended",
    guide=9,
    references=f"{_MOZILLA}; RFC 6797: https://www.rfc-editor.org/rfc/rfc6797",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_hsts_is_sent(
    server: str, droplet_web_servers: WebServers, droplet_http: Http, droplet_settings: Settings
) -> None:
    """Strict-Transport-Security is sent, for half a year at least.

    The header counts on answers over HTTPS alone. The least time is the setting
    ``hsts_min_seconds``.

    Finding:
        Strict-Transport-Security is not sent, or for too short a time.

    Rationale:
        A browser that has seen the header once does not try plain HTTP again, where somebody on
        the way could answer in place of the redirect.

    Remediation:
        nginx: ``add_header Strict-Transport-Security "max-age=31536000" always;`` in the
        ``server`` block; a location with an ``add_header`` of its own needs it again. Apache:
        ``Header always set Strict-Transport-Security "max-age=31536000"`` with ``mod_headers``
        (Ubuntu, Debian: ``a2enmod headers``; it is part of httpd on AlmaLinux, Rocky, Fedora,
        CentOS Stream). Begin with a short time, and reload the server.
    """
    least = droplet_settings.hsts_min_seconds
    names = _names(server, droplet_web_servers, droplet_settings)
    if names == ("",):
        names = _asked(droplet_http.secure)
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for name in names:
            with claim:
                answer = droplet_http.secure_answer(name)
                sent = f"sends {answer.hsts!r}" if answer.hsts else "sends no such header"
                if (answer.hsts_seconds or 0) < least:
                    fail(
                        f"https://{name}/ {sent}; max-age of {least} or more is wanted",
                        droplet_http=[{"url": f"https://{name}/", "hsts": answer.hsts}],
                    )


@check(
    "tls.private-key-protected",
    severity="high",
    profile="extended",
    guide=9,
    references=_MOZILLA,
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_private_keys_are_readable_by_root_only(
    server: str, droplet_web_servers: WebServers, droplet_certificate_files: CertificateFiles
) -> None:
    """Private keys are readable by root only, and nobody else can put another in place.

    The file behind all links is root's or the server's own, with no right for group and others;
    0640 with the group ``root``, ``ssl-cert`` or ``certs`` is accepted. No folder above it may
    be written by group or others.

    Finding:
        Others than root can read a private key or put another in its place.

    Rationale:
        With the key anybody is the site, until the certificate expires.

    Remediation:
        ``chown root:root FILE``, ``chmod 600 FILE``, and ``chmod go-w`` on the folder, the same
        on all distributions. A key that others could read is to be replaced:
        ``certbot renew --force-renewal``, and have the old certificate revoked.
    """
    if server == EDGE:
        not_applicable("the configuration of the program on port 443 is not known")
    hosts = [h for h in droplet_web_servers.known(server).hosts if h.tls]
    with Claims() as claim:
        with claim:
            droplet_web_servers.require_all(server)
        for path, where in {p: h.where for h in hosts for p in h.keys}.items():
            with claim:
                key = droplet_certificate_files.key(_plain(path, where))
                if key.state == "missing":
                    continue
                if key.file is None or not key.parents:
                    raise NotObservedError(f"{key.path}: mode and owner were not read")
                if key.file.owner not in _KEY_OWNERS:
                    fail(f"{key.file}: owner is not root", droplet_certificate_files=[key.file])
                shared = key.file.mode & 0o077
                by_group = shared == 0o040 and key.file.group in _KEY_GROUPS
                if shared and not by_group:
                    fail(
                        f"{key.file}: others than its owner have rights",
                        droplet_certificate_files=[key.file],
                    )
                for folder in key.parents:
                    if folder.mode & 0o022:
                        fail(
                            f"{folder}: others may put a key there",
                            droplet_certificate_files=[folder],
                        )
    if not any(h.keys for h in hosts):
        not_applicable("no key file is named")


@check(
    "tls.served-certificate-current",
    severity="high",
    profile="extended",
    guide=9,
    references=f"{_GUIDE}; {_CERTBOT}",
    depends_on=_LISTENING,
    params=_SERVER,
)
def test_served_certificate_is_the_one_on_the_disk(
    server: str,
    droplet_web_servers: WebServers,
    droplet_tls: Tls,
    droplet_certificate_files: CertificateFiles,
) -> None:
    """The server serves the certificate that is on the disk.

    Finding:
        The server serves another certificate than the one on the disk.

    Rationale:
        A certificate that was renewed and not loaded expires all the same, with a renewal that
        looks healthy.

    Remediation:
        ``systemctl reload nginx`` (Apache: ``apache2`` on Ubuntu and Debian, ``httpd`` on
        AlmaLinux, Rocky, Fedora and CentOS Stream), and let each renewal do so:
        ``certbot renew --deploy-hook 'systemctl reload nginx'``.
    """
    if server == EDGE:
        not_applicable("the configuration of the program on port 443 is not known")
    droplet_web_servers.require_all(server)
    hosts = [h for h in droplet_web_servers.hosts(server) if h.certificates and h.tls]
    with Claims() as claim:
        for name, host in {n: h for h in hosts for n in h.names or ("",)}.items():
            if not name and any(h.names for h in hosts):
                continue
            with claim:
                leaves = [droplet_tls.served(name, way).leaf for way in droplet_tls.ways(name)]
                paths = (_plain(p, host.where) for p in host.certificates)
                files = map(droplet_certificate_files.certificate, paths)
                found = [(f.path, f.certificate) for f in files if f.certificate is not None]
                for leaf in leaves:
                    _is_on_disk(name, leaf, found)
    if not hosts:
        not_applicable("no certificate file is named")


def _fail_on_host(host: VirtualHost, text: str, file: CertificateFile | None = None) -> NoReturn:
    """Fail on a virtual host, and a file that it names."""
    about: dict[str, list[Item]] = {
        "droplet_web_servers": [{"names": list(host.names), "where": host.where}]
    }
    if file is not None:
        about["droplet_certificate_files"] = [{"path": file.path, "state": file.state}]
    fail(f"{host.where}: {text}", **about)


def _is_on_disk(
    name: str, leaf: x509.Certificate, found: Sequence[tuple[str, x509.Certificate]]
) -> None:
    if not found:
        raise NotObservedError(f"{name}: no certificate was read from the disk")
    if any(certificate == leaf for _, certificate in found):
        return
    path, newest = max(found, key=lambda f: f[1].not_valid_before_utc)
    begin = newest.not_valid_before_utc
    text = f"{name or 'no name'}: served {described(leaf)}, on the disk {path}"
    same_names = set(covered_names(leaf)) == set(covered_names(newest))
    both: dict[str, list[Item]] = {
        "droplet_tls": [certificate_item(leaf, name)],
        "droplet_certificate_files": [{"path": path, **certificate_item(newest)}],
    }
    if same_names and leaf.not_valid_before_utc < begin:
        fail(f"{text} of {begin:%Y-%m-%d}: renewed and not reloaded", **both)
    fail(f"{text}: another; not reloaded, or a wrong virtual host answers", **both)


@dataclass(frozen=True, slots=True)
class _Renewer:
    """Who should renew a certificate.

    ``client`` is the ACME client's name, None where it is not known, and ``lineage`` Certbot's
    name of the certificate; ``by_itself``: the server does it; ``hidden`` says why it cannot be
    seen.
    """

    is_acme: bool
    client: str | None = None
    lineage: str = ""
    by_itself: bool = False
    hidden: str = ""


def _renewer(server: str, name: str, web: WebServers, leaf: x509.Certificate) -> _Renewer:
    is_acme = any(str(o.value) in _ACME for o in leaf.issuer.get_attributes_for_oid(_ORGANIZATION))
    if server == EDGE:
        programs = {n for s in web.front(EDGE).sockets for n in s.names}
        if programs & _RENEW_THEMSELVES:
            return _Renewer(is_acme, by_itself=True)
        inside = not programs or programs & _CONTAINERS
        return _Renewer(is_acme, hidden="a container may renew it: not seen" if inside else "")
    if web.config(server).acme:
        return _Renewer(is_acme, by_itself=True)
    hosts = [h for h in web.hosts(server) if not name or name in h.names]
    path = next((p for h in hosts for p in h.certificates), "")
    if lineage := re.match(r"/etc/letsencrypt/live/([^/]+)/", path):
        return _Renewer(is_acme=True, client="certbot", lineage=lineage[1])
    client = _IN_PATH.search(path)
    return _Renewer(is_acme or client is not None, client=client[1] if client else None)


def _is_renewed(  # noqa: PLR0917 what is judged, and by what
    label: str,
    name: str,
    leaf: x509.Certificate,
    renewer: _Renewer,
    renewal: Renewal,
    now: datetime,
) -> None:
    about = [certificate_item(leaf, name)]
    text = f"{label}: {described(leaf, now)}"
    lineage = renewal.lineages.get(renewer.lineage)
    window = (lineage and lineage.before) or _window(lifetime(leaf))
    if leaf.not_valid_after_utc - now < window - _RENEWAL_GRACE:
        fail(f"{text}: it should have been renewed before: the renewal fails", droplet_tls=about)
    if renewer.by_itself:
        return
    if renewer.lineage and lineage is None:
        fail(
            f"{text}: Certbot has no certificate {one_line(renewer.lineage, 80)} to renew",
            droplet_tls=about,
        )
    if lineage is not None and lineage.why:
        fail(f"{text}: Certbot does not renew it: {lineage.why}", droplet_tls=about)
    schedulers = renewal.of(renewer.client)
    if any(s.renews_within(window) for s in schedulers):
        return
    if renewer.hidden:
        raise NotObservedError(f"{label}: {renewer.hidden}")
    found = "; ".join(map(str, schedulers[:5])) or "no timer and no cron job of root"
    if any(s.unclear and not s.why for s in schedulers):
        raise NotObservedError(f"{label}: whether it is renewed is not clear: {found}")
    client = renewer.client or "an ACME client"
    fail(
        f"{text}: nothing calls {client} twice in the {left_of(window)} before it ends: {found}",
        droplet_tls=about,
    )


def _window(life: timedelta) -> timedelta:
    """Return the time before expiry at which every Certbot has begun to renew."""
    return life / 2 if life < timedelta(days=10) else min(timedelta(days=30), life / 3)


def _is_for_cloudflare(leaf: x509.Certificate) -> bool:
    """Whether it is a certificate of Cloudflare's Origin CA."""
    return "cloudflare origin" in leaf.issuer.rfc4514_string().lower()


def _is_current(label: str, name: str, served: Served, now: datetime) -> None:
    leaf = served.leaf
    about = [certificate_item(leaf, name)]
    begins, ends, life = leaf.not_valid_before_utc, leaf.not_valid_after_utc, lifetime(leaf)
    text = f"{label}: {described(leaf)}"
    if now < begins:
        fail(f"{text}: not valid before {begins:%Y-%m-%d %H:%M} UTC", droplet_tls=about)
    if now > ends:
        ago = left_of(now - ends)
        fail(f"{text}: expired {ago} ago, {ends:%Y-%m-%d %H:%M} UTC", droplet_tls=about)
    notice = min(_LONGEST_NOTICE, _NOTICE_SHARE * life)
    if ends - now < notice:
        fail(
            f"{text}: {left_of(ends - now)} left of {left_of(life)}, at least {left_of(notice)}"
            " wanted",
            droplet_tls=about,
        )
    longest = next((most for since, most in _LONGEST_LIVES if begins >= since), life)
    if life > longest + timedelta(days=1) and distrust(served.chain, trusted(""), now) is None:
        fail(
            f"{text}: valid for {left_of(life)}, clients accept {left_of(longest)} since its"
            " issue",
            droplet_tls=about,
        )


def _names(server: str, web: WebServers, settings: Settings) -> tuple[str, ...]:
    """Return the names to judge, as far as they are known.

    ``""`` alone stands for a server that has none: what is served unasked.
    """
    names = [n for h in web.hosts(server) for n in h.names]
    if not names and not settings.tls_names:
        web.require_all(server)
    return tuple(dict.fromkeys((*names, *settings.tls_names))) or ("",)


def _chains(names: Iterable[str], tls: Tls) -> Iterator[tuple[str, str, str]]:
    """Yield, for names that were served one chain, how to call them, one of them, and the way."""
    groups: dict[object, list[tuple[str, str]]] = {}
    for name in names:
        for way in tls.ways(name):
            found = tls.names.get(name)
            if isinstance(found, Served):
                chain = found.others[way] if way else found.chain
                groups.setdefault((chain, found.resolved), []).append((name, way))
            else:
                groups.setdefault(name, []).append((name, way))
    for group in groups.values():
        called = list(dict.fromkeys(name for name, _ in group))
        more = f" and {len(called) - 3} more" if len(called) > 3 else ""
        name, way = group[0]
        by = f" ({way})" if way else ""
        yield (", ".join(called[:3]) or "no name asked for") + more + by, name, way


def _seen(
    served: Served, own: AbstractSet[str], label: str
) -> tuple[Sequence[x509.Certificate], str]:
    """Return the chain that visitors see, and where: DNS may send them to another host.

    Raises:
        NotObservedError: It does, and what is served there was not seen.
    """
    if not served.resolved or not own.isdisjoint(served.resolved):
        return served.chain, ""
    where = f" (at {served.resolved[0]}, where DNS sends visitors)"
    if not served.edge:
        raise NotObservedError(f"{label}: no chain was seen{where}")
    return served.edge, where


def _asked(answers: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names that were asked for where the server's own are not known."""
    if not answers:
        raise NotObservedError("no name is known, and none was asked for")
    return tuple(answers)


def _plain(path: str, where: str) -> str:
    """Return a path of the configuration (NotObservedError: it is a variable or inline data)."""
    if "$" in path or path.startswith(("data:", "engine:")):
        raise NotObservedError(f"{where}: {one_line(path, 60)} names no file")
    return path


def _leads_to_https(name: str, answers: Sequence[Answer]) -> bool:
    """Whether the last answer sends the client to https of the same domain."""
    scheme, hostname, _ = target_of(answers[-1].redirect)
    if scheme != "https" or not hostname:
        return False
    return not served_names((name,)) or _domain(hostname) == _domain(name_to_ask(name))


def _domain(name: str) -> str:
    """Return the part of a name that was registered, by the usual forms of country domains."""
    labels = name.lower().rstrip(".").split(".")
    of_country = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if of_country else -2 :])


def _is_open(tls: Tls) -> bool:
    """Whether the port is known to be open; not known is no proof."""
    try:
        return tls.port == "open"
    except NotObservedError:
        return False


def _closed(tls: Tls) -> str:
    return "blocked: nothing answers" if tls.port == "filtered" else "refused"
