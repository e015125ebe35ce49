"""The sections of web servers, certificates and their renewal."""

from __future__ import annotations

from datetime import timedelta

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
    location ~ "\.(a|b){2}$" { root /srv/\{; }
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


def _server(name: str) -> str:
    return (
        f"server {{\n listen 443 ssl;\n server_name {name};\n"
        f" ssl_certificate /etc/ssl/{name}.pem;\n ssl_certificate_key /etc/ssl/{name}.key;\n}}\n"
    )


# What stands before a server of nginx, or in it, and is understood by nginx 1.22.
BEFORE = (
    r"""map $uri $a { default 0; "~\\" 1; '\\' 2; }""",
    r"""map $uri $b { default "\"}"; 'it\'s {' 1; a"b 1; }""",
    r"""log_format x 'C:\\' "\\\\" \"; add_header A x\\;""",
    "# it's a { comment\nmap $uri $c { ${uri} 1; }#}",
    'map $uri\r$d { default\t"{\r\n;"; }\r',
    "",
)


@case(
    "nginx",
    root=NGINX,
    matrix=True,
    files={
        **{
            f"/etc/nginx/conf.d/{n}.conf": f"{text}\n{_server(f'n{n}.example')}"
            for n, text in enumerate(BEFORE)
        },
        "/etc/nginx/conf.d/8.conf": _server("crlf.example").replace("\n", "\r\n"),
        "/etc/nginx/conf.d/9.conf": '"server"{"listen" 443 ssl;\'server_name\' "q.example" ;'
        "ssl_certificate /x.pem;include snippets/empty.conf;\rssl_certificate_key /x.key;}",
        "/etc/nginx/snippets/empty.conf": "",
        "/etc/nginx/nginx.conf": "events{}\nhttp{\n include conf.d/*.conf;\n"
        " server { listen 8443-8445 ssl; server_name late.example; }\n"
        " ssl_certificate /late.pem; ssl_certificate_key /late.key; }\n",
    },
)
def test_no_quote_escape_or_line_end_hides_a_host_of_nginx(seen: Seen) -> None:
    """W1, W2, W5: whatever stands before a host, it is read; what http has counts at its end."""
    found = seen.fact("droplet_nginx")

    found.require_all()
    names = {h.names[0]: h for h in found.hosts}
    wanted = {f"n{n}.example" for n in range(len(BEFORE))}
    assert names.keys() == wanted | {"crlf.example", "q.example", "late.example"}
    assert all(h.tls and len(h.certificates) == len(h.keys) == 1 for h in found.hosts)
    assert [e.port for e in names["late.example"].endpoints] == [8443, 8444, 8445]


LUA = """server {
 listen 443 ssl; server_name lua.example;
 ssl_certificate_by_lua_block {
  -- don't {
  local a = "\\"}" .. '{' .. [[ }" ]] .. [==[ ]] } ]==]
  --[[ { it's
   } ]] --[=[ } ]=]
  if a then return { {} } end
 }
 ssl_certificate /x.pem;
}
"""


@case("nginx", root=NGINX, matrix=True, files={"/etc/nginx/conf.d/lua.conf": LUA})
def test_a_block_of_lua_ends_where_lua_says(seen: Seen) -> None:
    """Comments and strings of Lua may hold braces and quotes."""
    found = seen.fact("droplet_nginx")

    found.require_all()
    assert [h.names[0] for h in found.hosts if h.certificates] == ["lua.example"]


# What no nginx would start with, or what is not all of a file.
BROKEN = (
    "server { listen 443 ssl;",
    "server { listen 443 ssl; } }",
    'server { server_name "a.example; }',
    "server { content_by_lua_block { { } }",
    "server { server_name a.example }",
)


@case(
    "nginx",
    root=NGINX,
    files={
        "/etc/nginx/nginx.conf": "events{} http { include broken/*; }",
        **{f"/etc/nginx/broken/{n}": f"{text}\n" for n, text in enumerate(BROKEN)},
    },
)
def test_a_file_of_nginx_that_does_not_come_to_its_end_is_unknown(seen: Seen) -> None:
    """Each is named: a host may be lost in it."""
    found = seen.fact("droplet_nginx")

    assert {f"/etc/nginx/broken/{n}" for n in range(len(BROKEN))} == {
        place.partition(":")[0] for place in found.unread
    }


@case(
    "nginx",
    root=NGINX,
    files={
        "/srv/ng/nginx.conf": f"events{{}}\nhttp {{\n include own/*;\n{_server('b.example')}}}\n",
        "/srv/ng/own/a": _server("a.example").replace("443", "8443"),
    },
    prepare=(
        "for name in a b; do\nopenssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
        " -nodes -subj /CN=x -keyout /etc/ssl/$name.example.key -out /etc/ssl/$name.example.pem"
        " 2>/dev/null\ndone\nnginx -c /srv/ng/nginx.conf"
    ),
)
def test_the_configuration_that_nginx_runs_with_is_read(seen: Seen) -> None:
    """W10: where its master says so, in place of the usual one."""
    found = seen.fact("droplet_nginx")

    found.require_all()
    assert [h.names for h in found.hosts] == [("a.example",), ("b.example",)]


@case(
    "nginx",
    root=NGINX,
    files={
        "/etc/nginx/nginx.conf": f"events{{}}\nhttp {{\n{_server('a.example')}}}\n",
        "/srv/own.conf": "pid /run/own.pid; events {} http { server { listen 81; } }",
    },
    prepare="unshare --pid --fork --mount-proc nginx -c /srv/own.conf -g 'daemon off;' &\n"
    "until_true test -s /run/own.pid",
)
def test_an_nginx_of_a_container_is_another(seen: Seen) -> None:
    """Its arguments name files of the container."""
    found = seen.fact("droplet_nginx")

    found.require_all()
    assert [h.names for h in found.hosts] == [("a.example",)]


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
    assert "refuses its configuration: " in seen.missing("droplet_apache")
    assert "Invalid command 'Nonsense'" in seen.missing("droplet_apache")


def _virtual_host(name: str, address: str = "*:443", more: str = "SSLEngine on") -> str:
    return (
        f"<VirtualHost {address}>\nServerName {name}\n{more}\n"
        f"SSLCertificateFile /c/{name}.pem\nSSLCertificateKeyFile /c/{name}.key\n</VirtualHost>\n"
    )


MACRO = """Define FIRST m.example
<Macro VHost $name %more>
 # a comment is no line of a macro

 <VirtualHost *:443>
  ServerName $name
  Include "/etc/letsencrypt/options-ssl-apache.conf"
  SSLCertificateFile %more/$name.pem
  SSLCertificateKeyFile %more/$name.key
 </VirtualHost>
</Macro>
Use VHost ${FIRST} /c
Use VHost n.example "/c"
"""
# What certbot --apache leaves: its options stand in a file of theirs.
CERTBOT = f"""<VirtualHost *:80>
ServerName certbot.example
</VirtualHost>
<IfModule mod_ssl.c>
{_virtual_host("certbot.example", more="Include /etc/letsencrypt/options-ssl-apache.conf")}
</IfModule>
"""
SITES = {
    "port": _virtual_host("port.example", "*:*").replace("\n", "\r\n"),
    "none": _virtual_host("none.example", "*"),
    "macro": MACRO,
    "certbot": CERTBOT,
    "if": _virtual_host(
        "if.example",
        more="<IfDefine !NOT>\nSSLEngine \\\non\n</IfDefine>\n"
        "<IfModule none.c>\nSSLCertificateFile /c/other.pem\n</IfModule>",
    ),
    "engine": _virtual_host("engine.example", more=""),
    "space": _virtual_host("space.example").replace("ServerName ", "\v\fServerName\r"),
    "plain": _virtual_host("plain.example", "*:80", more=""),
    "own": _virtual_host("own.example", "*:8443", more="Include /etc/apache2/own.conf"),
}


@case(
    "apache",
    root=APACHE,
    matrix=True,
    files={
        **{f"/etc/apache2/sites-available/{name}.conf": text for name, text in SITES.items()},
        "/etc/letsencrypt/options-ssl-apache.conf": "SSLEngine on\nSSLProtocol all -SSLv3\n",
        "/etc/apache2/own.conf": "SSLEngine on\nServerAlias www.own.example\n",
        "/etc/apache2/conf-enabled/listen.conf": "Listen 8443\nListen 8444\n",
    },
    prepare=f"a2enmod -q ssl macro\na2dissite -q 000-default\na2ensite -q {' '.join(SITES)}",
)
def test_directives_of_apache_belong_to_the_host_that_they_are_in(seen: Seen) -> None:
    """W3, W4, W6, W8: macros, conditions and included files; a port that is left out is each."""
    found = seen.fact("droplet_apache")

    found.require_all()
    hosts = {(h.names or ("",))[0] + ("" if h.tls else " without TLS"): h for h in found.hosts}
    names = {
        f"{name}.example" for name in ("port", "none", "m", "n", "if", "engine", "own", "space")
    }
    assert hosts.keys() == names | {
        *("certbot.example", "certbot.example without TLS", "plain.example without TLS")
    }
    for name in (*names, "certbot.example"):
        assert hosts[name].certificates == (f"/c/{name}.pem",), name
    # Others have the other ports themselves.
    assert {e.port for e in hosts["port.example"].endpoints} == {8444}
    assert hosts["own.example"].names == ("own.example", "www.own.example")


@case(
    "apache",
    root=APACHE,
    files={"/etc/apache2/sites-enabled/web.conf": _virtual_host("a.example", more="SSLEngine no")},
    prepare="a2enmod -q ssl",
)
def test_what_apache_says_of_its_configuration_is_the_reason(seen: Seen) -> None:
    """W7: the error with its file and line."""
    assert "AH00526: Syntax error on line 3 of /etc/apache2/sites-enabled/web.conf" in (
        seen.missing("droplet_apache")
    )


@case(
    "apache",
    root=APACHE,
    prepare='stand_in apache2 \'/usr/sbin/apache2.real "$@"; code=$?\n'
    'case "$*" in *DUMP*) echo "  (*) /etc/apache2/gone.conf";; esac\nexit $code\'',
)
def test_a_file_of_apache_that_cannot_be_read_is_unknown(seen: Seen) -> None:
    """It was there when Apache read it."""
    assert "gone.conf" in "".join(seen.fact("droplet_apache").unread)


@case(
    "apache",
    root=APACHE,
    files={
        "/srv/own/own.conf": "Include /etc/apache2/mods-enabled/*.load\nPidFile /run/a.pid\nErrorLog /dev/stderr\nDefaultRuntimeDir /run\n"
        "<IfModule !mpm_event_module>\nLoadModule mpm_event_module"
        " /usr/lib/apache2/modules/mod_mpm_event.so\n</IfModule>\nListen 443\n"
        + _virtual_host("own.example", more="SSLEngine on").replace("/c/", "c/"),
    },
    prepare="mkdir /srv/own/c /srv/own/logs\na2enmod -q ssl\ntouch /srv/own/mime.types\ncd /srv/own/c\n"
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x"
    " -keyout own.example.key -out own.example.pem 2>/dev/null\n"
    "apache2 -d /srv/own -f own.conf -D OWN -k start",
)
def test_the_configuration_that_apache_runs_with_is_read(seen: Seen) -> None:
    """W10: where its arguments say so, in place of the usual one."""
    found = seen.fact("droplet_apache")

    found.require_all()
    assert [(h.names, h.certificates) for h in found.hosts] == [
        (("own.example",), ("/srv/own/c/own.example.pem",))
    ]


@case(
    "apache",
    root=APACHE,
    files={"/srv/own.conf": "Include /etc/apache2/apache2.conf\nPidFile /run/b.pid\nListen 81\n"},
    prepare="mkdir -p /run/apache2 /run/lock/apache2\nsed -i 's/^Listen 80/Listen 82/' "
    "/etc/apache2/ports.conf\nset +u\n. /etc/apache2/envvars\napache2 -k start\n"
    "sed -i 's/^Listen 82/Listen 83/' /etc/apache2/ports.conf\napache2 -f /srv/own.conf -k start",
)
def test_two_apaches_are_unknown(seen: Seen) -> None:
    """One of them has hosts that are not read."""
    assert any("-f /srv/own.conf" in place for place in seen.fact("droplet_apache").unread)


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
    " /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew\n",
    "/etc/cron.d/monthly": "0 0 1 * * root /srv/renew\n",
    "/srv/renew": "#!/bin/sh\nif true; then\n/root/.acme.sh/acme.sh --cron --token secret\nfi\n",
    "/etc/cron.weekly/dehydrated": "#!/bin/sh\ndehydrated -c\n",
    "/etc/cron.daily/lego": "#!/bin/sh\nlego renew\n",
    "/etc/letsencrypt/renewal/web.example.com.conf": "renew_before_expiry = 20 days\n"
    "authenticator = manual\n",
    "/etc/letsencrypt/renewal/www.example.com.conf": "# renew_before_expiry = 30 days\n"
    "manual_auth_hook = /srv/secret\nauthenticator = manual\n",
    "/etc/letsencrypt/renewal/off.example.com.conf": "autorenew = False\n",
}
JOBS = {
    "/etc/crontab": ("certbot", 1),
    "/etc/cron.d/certbot": ("certbot", 1),
    "/etc/cron.d/monthly": ("acme.sh", 31),
    "/etc/cron.weekly/dehydrated": ("dehydrated", 7),
    "/etc/cron.daily/lego": ("lego", 1),
}
CRON_RUNS = (
    "cp /usr/bin/sleep /srv/cron\n/srv/cron 1000 &\nuntil_true grep -qx cron /proc/$!/comm\n"
)


@case("renewal", matrix=True, files=CRON, prepare=f"{CRON_RUNS}chmod 755 /etc/cron.*ly/*")
def test_jobs_that_renew_are_read(seen: Seen) -> None:
    """With the client that each calls, itself or in a script; secrets stay on the host."""
    found = seen.fact("droplet_renewal")

    assert {s.name: (s.client, s.every.days) for s in found.schedulers} == JOBS
    assert not any(s.why or s.unclear for s in found.schedulers)
    lineages = {name.partition(".")[0]: lineage for name, lineage in found.lineages.items()}
    assert lineages["web"].before.days == 20
    assert "manual" in lineages["web"].why
    assert (lineages["www"].before, lineages["www"].why) == (None, "")
    assert "autorenew" in lineages["off"].why
    assert "secret" not in seen["renewal"].stdout


# A line of root's crontab as the client's own instructions or installer have it, and the client.
LINES = (
    ('12 0 * * * "/root/.acme.sh"/acme.sh --cron --home "/root/.acme.sh" > /dev/null', "acme.sh"),
    ("0 0 * * * /usr/local/bin/dehydrated -c >/dev/null", "dehydrated"),
    ("5 4 * * * LEGO_PATH=/etc/lego /usr/bin/lego --email x@example.com renew", "lego"),
    ("0 3 * * * getssl -u -a -q", "getssl"),
    ("6 15 * * * /usr/bin/uacme -c /etc/ssl/uacme issue www.example.com", "uacme"),
    ("0 0,12 * * * python3 -c 'import time; time.sleep(9)' && certbot-auto renew", "certbot"),
    ("0 0 * * * /snap/bin/certbot renew --quiet", "certbot"),
    ("0 0 * * * sleep 9; /opt/certbot/bin/certbot renew -q 2>&1 | logger", "certbot"),
    ('0 0 * * * sh -c "certbot renew && systemctl reload nginx" &>/dev/null', "certbot"),
    ("@daily flock -n /run/x nice -n 19 certbot renew", "certbot"),
    ("@daily (cd / && certbot renew)", "certbot"),
    ("6 15 * * * WELL_KNOWN=/srv/acme uacme -c /etc/ssl/uacme issue a.example", "uacme"),
    ('0 3 * * * MAIL="a b" LEGO=/x/getssl certbot renew', "certbot"),
    (
        "@daily docker run --rm -v /etc/letsencrypt:/etc/letsencrypt certbot/certbot renew",
        "certbot",
    ),
)


def _root_crontab(*lines: str) -> dict[str, str]:
    return {"/var/spool/cron/crontabs/root": "".join(f"{line}\n" for line in lines)}


@case("renewal", matrix=True, files=_root_crontab(*(line for line, _ in LINES)), prepare=CRON_RUNS)
def test_every_client_is_named_as_it_is(seen: Seen) -> None:
    """W11: whatever stands around its name in a crontab."""
    found = seen.fact("droplet_renewal").schedulers

    assert [s.client for s in found] == [client for _, client in LINES]
    assert all(s.renews_within(timedelta(days=2)) for s in found)


# W14: what does not renew, though it names a client.
OTHERS = (
    "0 3 * * * echo certbot",
    "0 3 * * * true certbot",
    "0 3 * * * certbot certificates",
    "0 3 * * * certbot delete --cert-name a.example",
    "0 3 * * * certbot renew --dry-run",
    "0 3 * * * /usr/bin/true # certbot renew",
    "0 3 * * * /root/.acme.sh/acme.sh --list",
    "0 3 * * * lego list",
    "0 3 * * * tar -cf /srv/certbot.tar /etc/letsencrypt",
    "# 0 3 * * * certbot renew",
)


@case(
    "renewal",
    files={
        **_root_crontab(*OTHERS),
        "/var/spool/cron/crontabs/audit": "17 3 * * * certbot renew\n",
        "/var/spool/cron/audit": "17 3 * * * certbot renew\n",
        "/etc/cron.d/user": "17 3 * * * audit certbot renew\n",
        "/etc/cron.d/others": "17 3 * * * root certbot renew\n",
        "/etc/cron.daily/certbot": "#!/bin/sh\ncertbot renew\n",
    },
    prepare=f"{CRON_RUNS}chmod 666 /etc/cron.d/others",
)
def test_what_does_not_renew_does_not_count(seen: Seen) -> None:
    """W13, W14, W15: no user's job, other command, or script that may not be run."""
    assert seen.fact("droplet_renewal").schedulers == ()


@case(
    "renewal",
    files={
        **_root_crontab(
            "0 3 * * * /usr/local/bin/wrap certbot renew",
            "0 3 * * * sudo -n echo certbot renew",
            "0 3 * * * echo 'certbot renew; x'",
            "0 3 * * * certbot renew --cert-name a.example",
        ),
        "/etc/cron.d/certbot.disabled": "17 3 * * * root certbot renew\n",
    },
    prepare=CRON_RUNS,
)
def test_what_may_renew_is_not_said_to_do_so(seen: Seen) -> None:
    """Where it cannot be told, it is unclear; a file whose name cron leaves out is idle."""
    found = seen.fact("droplet_renewal").schedulers

    assert [(s.unclear, bool(s.why)) for s in found if "cron.d" not in s.name] == [
        (True, False)
    ] * 4
    assert [s.why for s in found if "cron.d" in s.name] == ["cron leaves out a file of this name"]


@case("renewal", files=CRON)
def test_jobs_do_not_renew_where_no_cron_runs(seen: Seen) -> None:
    """They are there, and nothing starts them."""
    found = seen.fact("droplet_renewal").schedulers

    assert {s.why for s in found} == {"no cron daemon runs"}


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
SERVICE = """Id=certbot.service
ExecStart={ path=/usr/bin/certbot ; argv[]=/usr/bin/certbot -q renew ; ignore_errors=no ; pid=0 }

Id=snap.certbot.renew.service
ExecStart={ path=/usr/bin/snap ; argv[]=/usr/bin/snap run --timer=00:00~24:00/2 certbot.renew ; \
ignore_errors=no ; pid=0 }

Id=report.service
ExecStart={ path=/usr/bin/certbot ; argv[]=/usr/bin/certbot certificates ; ignore_errors=no ; pid=0 }
"""


@case(
    "renewal",
    files={
        **CRON,
        "/srv/timer": "\n".join(
            TIMER.replace("certbot", name) for name in ("certbot", "snap.certbot.renew", "report")
        ),
        "/srv/service": SERVICE,
    },
    prepare=f"{CRON_RUNS}mkdir -p /run/systemd/system\nstand_in systemctl '"
    "case $* in *ExecStart*) cat /srv/service;; *) cat /srv/timer;; esac'",
)
def test_timers_that_renew_are_read(seen: Seen) -> None:
    """A program stands in for systemd, which the lab has: the job of cron leaves it the work."""
    found = {s.name: (s.client, s.why) for s in seen.fact("droplet_renewal").schedulers}

    assert found["certbot.timer"][0] == "certbot"
    assert found["snap.certbot.renew.timer"][0] == "certbot"
    assert "report.timer" not in found
    assert found["/etc/cron.d/certbot"] == ("certbot", "does nothing where systemd runs")
