"""The sections of web servers, certificates and their renewal."""

from __future__ import annotations

from .case import Seen, case

NGINX = "bookworm-nginx"
APACHE = "bookworm-apache"
CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    " -subj /CN=web.example.com -keyout /etc/ssl/web.key -out /etc/ssl/web.pem 2>/dev/null\n"
)
SITE = r"""# server_name commented.example.com;
server {
    listen 443 ssl; listen [::]:443 ssl;
    server_name web.example.com "www.example.com"
        api.example.com;
    ssl_certificate /etc/ssl/web.pem;
    ssl_certificate_key "/etc/ssl/web.key";
    ssl_protocols TLSv1.2 TLSv1.3;
    proxy_set_header Authorization "Basic secret; }";
    if ($host = x) { return 301 https://${host}/#a; }
    location ~ \.(a|b){2}$ { root /srv/\{; }
    content_by_lua_block {
        local a = { b = "}" }
    }
    include snippets/own.conf;
    include /etc/nginx/gone.conf;
}
"""


@case(
    "nginx",
    root=NGINX,
    matrix=True,
    files={
        "/etc/nginx/conf.d/site.conf": SITE,
        "/etc/nginx/snippets/own.conf": "server_tokens off;\r\nssl_reject_handshake off;\r\n",
    },
)
def test_the_configuration_of_nginx_is_read(seen: Seen) -> None:
    """Hosts with their names, certificates and keys; secrets stay on the host."""
    found = seen.fact("droplet_nginx")

    (host,) = [h for h in found.hosts if h.tls]
    assert host.names == ("web.example.com", "www.example.com", "api.example.com")
    assert host.certificates == ("/etc/ssl/web.pem",)
    assert host.keys == ("/etc/ssl/web.key",)
    assert host.protocols == ("TLSv1.2", "TLSv1.3")
    assert "secret" not in seen["nginx"].stdout
    assert "-- /etc/nginx/gone.conf\n" in seen["nginx"].stdout


@case("nginx")
def test_a_host_without_nginx_has_none(seen: Seen) -> None:
    """The program is nowhere where it is looked for."""
    assert seen["nginx"].stdout == "absent\n"
    assert seen.missing("droplet_nginx") == ""


@case("nginx", root=NGINX, prepare="failing nginx 1")
def test_an_nginx_that_does_not_start_is_unknown(seen: Seen) -> None:
    """It does not tell where its configuration is."""
    assert "status 1" in seen.missing("droplet_nginx")


@case("nginx", root=NGINX, prepare="unreadable /etc/nginx/conf.d/site.conf")
def test_a_file_of_nginx_that_cannot_be_read_is_unknown(seen: Seen) -> None:
    """It may have any host."""
    assert "site.conf" in seen.missing("droplet_nginx")


VHOST = """
<VirtualHost *:443>
    ServerName web.example.com
    ServerAlias www.example.com \\
        api.example.com
    SSLEngine on
    SSLCertificateFile /etc/ssl/web.pem
    SSLCertificateKeyFile /etc/ssl/web.key
    SSLProtocol -all +TLSv1.3
    SetEnv TOKEN secret
</VirtualHost>
"""
SITE_OF_APACHE = "a2enmod -q ssl\na2ensite -q web\n"


@case(
    "apache",
    root=APACHE,
    matrix=True,
    files={"/etc/apache2/sites-available/web.conf": VHOST},
    prepare=CERTIFICATE + SITE_OF_APACHE,
)
def test_the_configuration_of_apache_is_read(seen: Seen) -> None:
    """Its own list of hosts, with the directives of each; secrets stay on the host."""
    found = seen.fact("droplet_apache")

    (host,) = [h for h in found.hosts if h.tls]
    assert set(host.names) == {"web.example.com", "www.example.com", "api.example.com"}
    assert host.certificates == ("/etc/ssl/web.pem",)
    assert host.keys == ("/etc/ssl/web.key",)
    assert found.unread == ()
    assert "secret" not in seen["apache"].stdout


@case("apache")
def test_a_host_without_apache_has_none(seen: Seen) -> None:
    """The program is not there."""
    assert seen["apache"].stdout == "absent\n"


@case("apache", root=APACHE, prepare="failing apache2 0")
def test_another_program_of_that_name_is_no_apache(seen: Seen) -> None:
    """It does not say that it is one."""
    assert seen["apache"].stdout == "absent\n"


@case("apache", root=APACHE, prepare="failing apache2 1")
def test_an_apache_that_does_not_start_is_unknown(seen: Seen) -> None:
    """It does not tell its version."""
    assert "apache2 -v" in seen.missing("droplet_apache")


@case("apache", root=APACHE, prepare="echo Nonsense on >/etc/apache2/sites-enabled/000.conf")
def test_an_apache_that_refuses_its_configuration_is_unknown(seen: Seen) -> None:
    """It does not list its hosts."""
    assert "apache2 -t" in seen.missing("droplet_apache")


@case(
    "apache",
    root=APACHE,
    prepare='stand_in apache2 \'/usr/sbin/apache2.real "$@"; code=$?\n'
    'case "$*" in *DUMP*) echo "  (*) /etc/apache2/gone.conf";; esac\nexit $code\'',
)
def test_a_file_of_apache_that_cannot_be_read_is_unknown(seen: Seen) -> None:
    """It was there when Apache read it."""
    assert "gone.conf" in seen.missing("droplet_apache")


NAMED = """server {
    ssl_certificate /etc/ssl/web.pem;
    ssl_certificate_key /etc/ssl/web.key;
    ssl_certificate own.pem;
    ssl_certificate $variable;
}
"""


@case(
    "certificates",
    root=NGINX,
    matrix=True,
    files={"/etc/nginx/conf.d/site.conf": NAMED},
    prepare=CERTIFICATE + "chmod 640 /etc/ssl/web.key\ncat /etc/ssl/web.key >>/etc/ssl/web.pem",
)
def test_certificates_and_keys_are_read(seen: Seen) -> None:
    """The certificate itself; of the key only its place, owner and mode."""
    found = seen.fact("droplet_certificate_files")

    certificate = found.certificate("/etc/ssl/web.pem")
    assert "web.example.com" in certificate.certificate.subject.rfc4514_string()
    assert certificate.holds_key
    key = found.key("/etc/ssl/web.key")
    assert (key.file.mode, key.file.owner) == (0o640, "root")
    assert {parent.path for parent in key.parents} == {"/etc", "/etc/ssl"}
    assert found.certificate("/etc/nginx/own.pem").state == "missing"
    assert "PRIVATE KEY" not in seen["certificates"].stdout


@case(
    "certificates",
    root=NGINX,
    files={"/etc/nginx/conf.d/site.conf": NAMED},
    prepare="unreadable /etc/ssl/web.pem",
)
def test_a_certificate_that_cannot_be_read_is_unknown(seen: Seen) -> None:
    """It is not taken for a file without a certificate."""
    found = seen.fact("droplet_certificate_files")

    assert found.certificates["/etc/ssl/web.pem"].state == "unread"


CRON = {
    "/etc/crontab": "MAILTO=root\n# certbot\n17 3 * * * root certbot renew\n",
    "/etc/cron.d/certbot": "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d"
    " /run/systemd/system && certbot -q renew\n",
    "/etc/cron.d/monthly": "0 0 1 * * root /srv/renew\n",
    "/srv/renew": "#!/bin/sh\nexec /root/.acme.sh/acme.sh --cron --token secret\n",
    "/etc/cron.weekly/dehydrated": "#!/bin/sh\ndehydrated -c\n",
    "/etc/cron.daily/lego": "#!/bin/sh\nlego renew\n",
    "/var/spool/cron/crontabs/audit": "@daily /home/audit/lego run\n",
    "/etc/letsencrypt/renewal/web.example.com.conf": "renew_before_expiry = 20 days\n",
    "/etc/letsencrypt/renewal/www.example.com.conf": "# renew_before_expiry = 30 days\n",
}
JOBS = {
    "/etc/crontab": "certbot",
    "/etc/cron.d/certbot": "certbot",
    "/etc/cron.d/monthly": "acme.sh",
    "/etc/cron.weekly/dehydrated": "dehydrated",
    "/etc/cron.daily/lego": "lego",
    "/var/spool/cron/crontabs/audit": "lego",
}


@case(
    "renewal",
    matrix=True,
    files=CRON,
    prepare="cp /usr/bin/sleep /srv/cron\n/srv/cron 1000 &\nuntil_true grep -qx cron /proc/$!/comm",
)
def test_jobs_that_renew_are_read(seen: Seen) -> None:
    """With the client that each calls, itself or in a script; secrets stay on the host."""
    found = seen.fact("droplet_renewal")

    assert {s.name: s.client for s in found.schedulers} == JOBS
    assert {s.name for s in found.schedulers if not s.live} == {
        "/etc/cron.d/monthly",
        "/etc/cron.weekly/dehydrated",
    }
    assert {name: b and b.days for name, b in found.lineages.items()} == {
        "web.example.com": 20,
        "www.example.com": None,
    }
    assert "secret" not in seen["renewal"].stdout


# A line of a crontab as the client's own instructions or installer have it, and the client.
LINES = (
    ('12 0 * * * "/root/.acme.sh"/acme.sh --cron --home "/root/.acme.sh" > /dev/null', "acme.sh"),
    ("0 0 * * * /usr/local/bin/dehydrated -c >/dev/null", "dehydrated"),
    ("5 4 * * * LEGO_PATH=/etc/lego /usr/bin/lego --email x@example.com renew", "lego"),
    ("0 3 * * * getssl -u -a -q", "getssl"),
    ("6 15 * * * /usr/bin/uacme -c /etc/ssl/uacme issue www.example.com", "uacme"),
    ("0 0,12 * * * python3 -c 'import time' && certbot-auto renew", "certbot"),
    ("0 0 * * * /snap/bin/certbot renew --quiet", "certbot"),
)


@case(
    "renewal",
    files={f"/var/spool/cron/crontabs/u{n}": f"{line}\n" for n, (line, _) in enumerate(LINES)},
)
def test_every_client_is_named_as_it_is(seen: Seen) -> None:
    """Whatever stands around its name in a crontab."""
    found = {s.name.rpartition("/")[2]: s.client for s in seen.fact("droplet_renewal").schedulers}

    assert found == {f"u{n}": client for n, (_, client) in enumerate(LINES)}


@case("renewal", files=CRON)
def test_jobs_do_not_renew_where_no_cron_runs(seen: Seen) -> None:
    """They are there, and nothing starts them."""
    assert not any(s.live for s in seen.fact("droplet_renewal").schedulers)


@case("renewal", prepare="mkdir -p /run/systemd/system")
def test_renewal_is_unknown_where_systemd_tells_no_timers(seen: Seen) -> None:
    """A timer may renew."""
    assert "told no timers" in seen.missing("droplet_renewal")


# What systemctl of Debian 12 prints of a timer and of its service.
TIMER = """Unit=certbot.service
NextElapseUSecRealtime=Mon 2026-11-30 12:00:00 UTC
LastTriggerUSec=
Id=certbot.timer
ActiveState=active
UnitFileState=enabled
"""
SERVICE = "ExecStart={ path=/usr/bin/certbot ; argv[]=/usr/bin/certbot -q renew ; ignore_errors=no ; pid=0 }"


@case(
    "renewal",
    files={**CRON, "/srv/timer": TIMER, "/srv/service": f"{SERVICE}\n"},
    prepare="mkdir -p /run/systemd/system\nstand_in systemctl '"
    "case $* in *ExecStart*) cat /srv/service;; *) cat /srv/timer;; esac'",
)
def test_timers_that_renew_are_read(seen: Seen) -> None:
    """A program stands in for systemd, which the lab has: the job of cron leaves it the work."""
    found = {s.name: (s.client, s.why) for s in seen.fact("droplet_renewal").schedulers}

    assert found["certbot.timer"][0] == "certbot"
    assert found["/etc/cron.d/certbot"] == ("certbot", "does nothing where systemd runs")
