"""Configurations of nginx and Apache: what the host sends of them, and what is read from it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection.script import STDOUT_CAP_BYTES
from pytest_droplet.facts.tls.apache import parse_apache
from pytest_droplet.facts.tls.nginx import parse_nginx
from pytest_droplet.facts.tls.virtual_hosts import (
    Endpoint,
    NotInstalled,
    WebConfig,
    name_to_ask,
    served_names,
)
from pytest_droplet.model import NotObservedError
from pytest_droplet.script_files import ScriptFile, read_script
from tests.benchmarks import web_configs

STATEMENTS = read_script("facts/tls/nginx_statements.awk")
DIRECTIVES = read_script("facts/tls/apache_directives.awk")
AWKS = [a for a in ("mawk", "gawk", "original-awk", "busybox awk") if shutil.which(a.split()[0])]
AWKS = AWKS or ["awk"]


def nginx(*files: tuple[str, str], conf: str = "/etc/nginx/nginx.conf") -> WebConfig:
    """Parse files of statements, the first of them the main one."""
    body = "".join(f"== {path}\n{text.strip()}\n" for path, text in files)
    found = parse_nginx(f"nginx version: nginx/1.22.1\nconf {conf}\n{body}end\n")
    assert isinstance(found, WebConfig)
    return found


def one_file(statements: Iterable[str]) -> WebConfig:
    """Parse statements of the main file."""
    numbered = "\n".join(f"{n} {s}" for n, s in enumerate(statements, 1))
    return nginx(("/etc/nginx/nginx.conf", numbered))


NGINX_CONF = r"""
user www-data; # a comment; with { signs
http {
  log_format main '$remote_addr "{x;" # no comment
    more';
  proxy_set_header Authorization "Basic c2VjcmV0";
  map $host $x { default 0; include "a;b"; }
  server { listen 80 default_server; server_name a.example
      www.a.example "quoted.example" ;
    return 301 https://$host$request_uri; }
  server {
    listen 443 ssl;  server_name ${var}.x ~^(?<s>.+)\.example$;
    ssl_certificate /etc/x#y.pem; ssl_certificate_key "data:-----BEGIN PRIVATE KEY-----
SECRET
-----END PRIVATE KEY-----";
    location ~ \.php$ { add_header X "a \" ; } b"; }
    content_by_lua_block { local s = "it's } {"; if x then y = {1,2} end }
    access_by_lua_block {
      local t = '}'
    }
    server_tokens off; ssl_protocols TLSv1.2
      TLSv1.3;
  }
}
"""
NGINX_SENT = """
3 http {
7 map {
7 include "a;b";
7 }
8 server {
8 listen 80 default_server;
8 server_name a.example www.a.example "quoted.example";
10 }
11 server {
12 listen 443 ssl;
12 server_name ${var}.x ~^(?<s>.+)\\.example$;
13 ssl_certificate /etc/x#y.pem;
13 ssl_certificate_key data:;
16 location {
16 }
17 content_by_lua_block {
17 }
18 access_by_lua_block {
20 }
21 ssl_protocols TLSv1.2 TLSv1.3;
23 }
24 }
"""


@pytest.mark.parametrize("awk", AWKS)
def test_the_host_sends_the_wanted_directives_of_nginx_alone(awk: str, tmp_path: Path) -> None:
    """Quotes, comments, Lua and several lines are read as nginx does; no secret is sent."""
    path = tmp_path / "nginx.conf"
    done = subprocess.run(
        [*awk.split(), STATEMENTS.packed],
        input=f"==> {path} <==\n{NGINX_CONF}",
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"== {path}{NGINX_SENT}"
    assert done.stderr == ""


def test_nginx_hosts_inherit_and_share_sockets() -> None:
    """A server has what http sets and it does not; TLS on a socket is TLS for all on it."""
    config = one_file(
        [
            "http {",
            "ssl_certificate all.pem;",
            "ssl_certificate_key all.key;",
            "server {",
            "listen 443 ssl;",
            "server_name a.example;",
            "}",
            "server {",
            "listen *:443;",
            "listen 127.0.0.1:8080;",
            "listen unix:/run/x;",
            "listen [2001:db8::1]:8443 quic;",
            "server_name b.example;",
            "ssl_certificate /own.pem;",
            "}",
            "server {",
            "server_name c.example;",
            "}",
            "}",
        ]
    )
    a, b, c = config.hosts

    assert a.certificates == ("/etc/nginx/all.pem",)
    assert a.keys == b.keys == ("/etc/nginx/all.key",)
    assert b.certificates == ("/own.pem",)
    assert b.endpoints == (
        Endpoint("0.0.0.0", 443, tls=True),
        Endpoint("127.0.0.1", 8080),
    )
    assert c.endpoints == (Endpoint("0.0.0.0", 80),)
    assert (a.where, b.names) == ("/etc/nginx/nginx.conf:4", ("b.example",))


def test_nginx_includes_stand_in_place() -> None:
    """An included file is read where it is included; wildcards do not match a slash."""
    config = nginx(
        ("/etc/nginx/nginx.conf", "1 http {\n2 include sites/*.conf;\n3 include none/*;\n4 }"),
        ("/etc/nginx/sites/a.conf", "1 server {\n2 listen 443 ssl;\n3 include /srv/names;\n4 }"),
        ("/etc/nginx/sites/b/c.conf", "1 server {\n2 server_name deep.example;\n3 }"),
        ("/srv/names", "1 server_name a.example;"),
    )

    assert [h.names for h in config.hosts] == [("a.example",)]
    assert config.unread == ()


def test_an_include_that_is_missing_is_said() -> None:
    """What a missing file would have said is not known."""
    config = nginx(("/etc/nginx/nginx.conf", "1 http {\n2 include sites.conf;\n3 }"))

    with pytest.raises(NotObservedError, match=r"sites\.conf"):
        config.require_all()


def test_nginx_files_that_include_each_other_end() -> None:
    """Neither a circle of files nor files that multiply each other hang the audit."""
    circle = "1 include nginx.conf;"
    doubling = "\n".join(f"{n} include nginx.conf;" for n in range(9))

    for text in (circle, doubling):
        with pytest.raises(NotObservedError):
            nginx(("/etc/nginx/nginx.conf", text))


def test_a_stream_server_hands_tls_on() -> None:
    """A server of a stream block on 443 without TLS of its own passes encrypted data on."""
    config = one_file(["stream {", "server {", "listen 443;", "ssl_preread on;", "}", "}"])

    assert [h.passes_tls_on for h in config.hosts] == [True]


@pytest.mark.parametrize("text", ["", "nginx version: nginx/1\nconf /x\n", "conf /x\nend\n"])
def test_nginx_that_was_not_read_is_not_absent(text: str) -> None:
    """Only the word absent means that there is no nginx."""
    with pytest.raises(NotObservedError):
        parse_nginx(text)
    assert parse_nginx("absent\n") == NotInstalled("nginx")


APACHE_CONF = r"""
# Listen 81
Listen 443 https
  ServerName main.example
<VirtualHost *:443>
  ServerAlias www.b.example \
     *.b.example
  SSLEngine On
  RequestHeader set Authorization "Basic c2VjcmV0"
  <If "%{HTTP:X-Token} == 'secret'">
  </If>
  SSLCertificateFile "/etc/ssl/b c.pem"
</VirtualHost>
"""


@pytest.mark.parametrize("awk", AWKS)
def test_the_host_sends_the_wanted_directives_of_apache_alone(awk: str, tmp_path: Path) -> None:
    """Continued lines are joined; of a secret nothing is sent."""
    path = tmp_path / "apache.conf"
    done = subprocess.run(
        [*awk.split(), DIRECTIVES.packed],
        input=f"==> {path} <==\n{APACHE_CONF}",
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split("\n") == [
        f"== {path}",
        "3 Listen 443 https",
        "4 ServerName main.example",
        "5 <VirtualHost *:443>",
        "7 ServerAlias www.b.example      *.b.example",
        "8 SSLEngine On",
        '12 SSLCertificateFile "/etc/ssl/b c.pem"',
        "13 </VirtualHost>",
        "",
    ]


APACHE = """version Apache/2.4.66 (Debian)
arguments -D LIVE
Included configuration files:
  (*) /etc/ports.conf
    (5) /etc/0.conf
    (5) /etc/b.conf
VirtualHost configuration:
203.0.113.10:8080      b.example (/etc/b.conf:9)
*:80                   is a NameVirtualHost
         default server web-1 (/etc/0.conf:1)
         port 80 namevhost web-1 (/etc/0.conf:1)
         port 80 namevhost b.example (/etc/b.conf:9)
                 alias shop.example
                 wild alias *.shop.example
[::1]:443              B.example (/etc/b.conf:1)
Loaded Modules:
== /etc/ports.conf
1 Listen 80
2 Listen 8443 https
3 SSLEngine on
4 ServerName main.example
5 Include *.conf
== /etc/0.conf
1 <VirtualHost *:80>
2 </VirtualHost>
== /etc/b.conf
1 <VirtualHost [::1]:443>
2 ServerName https://B.example:443
3 ServerAlias www.b.example *.b.example
4 SSLCertificateFile ssl/b.pem
8 </VirtualHost>
9 <VirtualHost *:80 203.0.113.10:8080>
10 ServerName b.example
11 ServerAlias shop.example *.shop.example
11 SSLEngine off
12 </VirtualHost>
end
"""


def test_apache_hosts_are_those_of_the_dump() -> None:
    """A name that Apache made up is none; aliases count though the dump leaves them out.

    What no virtual host answers the main server does.
    """
    config = parse_apache(APACHE)
    assert isinstance(config, WebConfig)
    hosts = {h.where: h for h in config.hosts}

    assert hosts["/etc/0.conf:1"].names == ()
    assert hosts["/etc/b.conf:9"].names == ("b.example", "shop.example", "*.shop.example")
    assert hosts["/etc/b.conf:9"].endpoints == (
        Endpoint("203.0.113.10", 8080),
        Endpoint("*", 80),
    )
    assert hosts["/etc/b.conf:1"].names == ("b.example", "www.b.example", "*.b.example")
    assert hosts["/etc/b.conf:1"].endpoints == (Endpoint("::1", 443, tls=True),)
    assert hosts["/etc/b.conf:1"].endpoints[0].local
    assert hosts["/etc/b.conf:1"].certificates == ("/etc/apache2/ssl/b.pem",)
    assert hosts["main server"].endpoints == (Endpoint("*", 8443, tls=True),)
    assert hosts["main server"].names == ("main.example",)


def test_a_variable_of_apache_that_is_not_defined_is_not_understood() -> None:
    """Defined, it counts; else nothing passes, with the line that has it."""
    text = APACHE.replace("2 ServerName https://B.example:443\n", "2 ServerName ${NAME}\n")
    config = parse_apache(text)
    defined = parse_apache(text.replace("1 Listen 80\n", "1 Listen 80\n1 Define NAME B.example\n"))
    assert isinstance(config, WebConfig)
    assert isinstance(defined, WebConfig)

    defined.require_all()
    assert "b.example" in next(h.names for h in defined.hosts if h.where == "/etc/b.conf:1")
    with pytest.raises(NotObservedError, match=r"/etc/b\.conf:2 is not understood"):
        config.require_all()


@pytest.mark.parametrize(
    ("condition", "engine"),
    [
        *(("IfDefine LIVE", True), ("IfDefine !LIVE", False), ("IfDefine NONE", False)),
        *(("IfModule mod_ssl.c", True), ("IfModule !ssl_module", False), ("IfModule x.c", False)),
        *(("IfVersion >= 2.4.66", True), ("IfVersion < 2.4", False), ("IfVersion 2.4.66", True)),
        *(("IfVersion ~ ^2", None), ("IfFile /etc/x", None), ("IfDirective SSLEngine", None)),
        ("If \"%{HTTPS} == 'on'\"", True),
    ],
)
def test_conditions_of_apache_hold_or_not_or_are_not_understood(
    *, condition: str, engine: bool | None
) -> None:
    """What stands behind a condition that cannot be told makes the configuration unknown."""
    word = condition.split(maxsplit=1)[0]
    text = APACHE.replace("Loaded Modules:\n", "Loaded Modules:\n ssl_module (shared)\n").replace(
        "3 ServerAlias www", f"3 <{condition}>\n3 SSLEngine off\n3 </{word}>\n3 ServerAlias www"
    )
    config = parse_apache(text)
    assert isinstance(config, WebConfig)
    (host,) = [h for h in config.hosts if h.where == "/etc/b.conf:1"]

    assert bool(config.unread) == (engine is None)
    if engine is not None:
        assert host.tls != engine


@pytest.mark.parametrize(
    "wrong",
    [
        ("5 Include *.conf", "6 Include *.conf"),
        ("    (5) /etc/0.conf\n", ""),
        ("1 <VirtualHost *:80>", "2 <VirtualHost *:80>"),
        ("8 </VirtualHost>", "8 ServerName x.example"),
        ("12 </VirtualHost>", "12 <IfDefine LIVE>"),
        ("11 SSLEngine off", "11 SSLEngine 203.0.113.1"),
        ("1 Listen 80", "1 Listen x"),
        ("1 Listen 80", "1 Use M a"),
    ],
)
def test_what_does_not_agree_with_what_apache_says_is_not_understood(
    wrong: tuple[str, str],
) -> None:
    """Each host of the dump must be found, and each that is found be in the dump."""
    good, bad = parse_apache(APACHE), parse_apache(APACHE.replace(*wrong))
    assert isinstance(good, WebConfig)
    assert isinstance(bad, WebConfig)

    assert good.unread == ()
    assert bad.unread != ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version Apache/2.4\n",
        "version Apache/2.4\nAH00526: Syntax error on line 3 of /etc/apache2/x.conf:\nend\n",
    ],
)
def test_apache_that_told_no_hosts_was_not_read(text: str) -> None:
    """A configuration that Apache refuses says nothing of what the running server does."""
    with pytest.raises(NotObservedError):
        parse_apache(text)
    assert parse_apache("absent\n") == NotInstalled("apache")


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (["A.Example.", "a.example"], ("a.example",)),
        ([".example.com"], ("example.com", "*.example.com")),
        (["*.example.com", "www.*", "*x.example"], ("*.example.com",)),
        (["_", "", "localhost", "~^www$", "$hostname", "a..b", "-x.y"], ()),
        (["203.0.113.10", "::1", "1.2.3"], ()),
        (["bücher.example"], ("xn--bcher-kva.example",)),
        (["a" * 64 + ".example", "a." * 200], ()),
        (["x y", "a;b", "a/b"], ()),
    ],
)
def test_only_names_that_a_browser_can_ask_for_count(
    raw: list[str], names: tuple[str, ...]
) -> None:
    """Addresses, placeholders and patterns are no names; a leading dot stands for two."""
    assert served_names(raw) == names


def test_a_wildcard_is_asked_for_by_a_name_below_it() -> None:
    """A server cannot be asked for a wildcard."""
    assert name_to_ask("*.example.com") == "www.example.com"
    assert name_to_ask("example.com") == "example.com"


NGINX_LINES = st.sampled_from(
    [
        "nginx version: nginx/1.22.1",
        "conf /n",
        "== /n",
        "-- /gone",
        "1 http {",
        "2 server {",
        "3 listen 443 ssl;",
        "3 listen [::;",
        "3 listen unix:/x;",
        "4 server_name a.example *.b ~x;",
        '5 include "/n*";',
        "5 include [;",
        "6 }",
        "end",
    ]
)
APACHE_LINES = st.sampled_from(APACHE.splitlines())


@given(st.lists(NGINX_LINES | st.text(max_size=60), max_size=40))
def test_no_text_breaks_the_parser_of_nginx(lines: list[str]) -> None:
    """Any text is parsed, or was not observed; what is said of it is one printable line."""
    try:
        config = parse_nginx("\n".join(lines))
    except NotObservedError:
        return

    assert str(config).isprintable()


@given(st.lists(APACHE_LINES | st.text(max_size=60), max_size=40))
def test_no_text_breaks_the_parser_of_apache(lines: list[str]) -> None:
    """Any text is parsed, or was not observed; what is said of it is one printable line."""
    try:
        config = parse_apache("\n".join(lines))
    except NotObservedError:
        return

    assert str(config).isprintable()


@given(st.lists(st.text(max_size=40)))
def test_names_are_always_ascii_host_names(raw: list[str]) -> None:
    """Whatever a configuration holds, what is asked for is a plain host name."""
    for name in served_names(raw):
        assert name.isascii()
        assert all(c.isalnum() or c in "*.-_" for c in name)


@pytest.mark.parametrize(
    "text",
    [
        "version x\nVirtualHost configuration:\n== /a\n1 a" + " " * 300_000 + "\nend\n",
        "version x\nVirtualHost configuration:\n" + ":" * 300_000 + "\nend\n",
        "version x\nVirtualHost configuration:\n== /a\n1 ServerAlias " + "$" * 300_000 + "\nend",
    ],
    ids=["blanks", "colons", "variables"],
)
def test_long_lines_of_apache_take_no_time(text: str) -> None:
    """A line of hundreds of thousands of characters is read in one go: no pattern runs wild."""
    assert isinstance(parse_apache(text), WebConfig)


@pytest.mark.parametrize(
    "line",
    [
        "1 listen" + " " * 300_000 + ";",
        '1 listen "' + "\\" * 300_000 + ";",
        "1 " + "'\"" * 150_000 + ";",
    ],
    ids=["blanks", "backslashes", "quotes"],
)
def test_long_lines_of_nginx_take_no_time(line: str) -> None:
    """A line of hundreds of thousands of characters is read in one go: no pattern runs wild."""
    assert isinstance(parse_nginx(f"conf /n\n== /n\n{line}\nend\n"), WebConfig)


def test_thousands_of_files_that_include_all_others_end() -> None:
    """Wildcards over many files cost what they compare, and that is bounded."""
    files = "".join(f"== /n/{n}\n1 include /n/*;\n" for n in range(5000))

    with pytest.raises(NotObservedError):
        parse_nginx(f"conf /n/1\n{files}end\n")


def _told(program: ScriptFile, files: dict[str, str]) -> str:
    """Return what a section tells of configuration files."""
    text = "".join(f"==> {path} <==\n{content}" for path, content in files.items())
    done = subprocess.run(
        [*AWKS[0].split(), program.packed], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_two_thousand_hosts_of_nginx_are_told_within_the_cap_and_read() -> None:
    """Each in a file of its own, beside eight thousand files that have none."""
    files = {f"/etc/nginx/s/{n}": web_configs.nginx_host(n) for n in range(2000)}
    told = _told(STATEMENTS, {"/etc/nginx/nginx.conf": "http {\ninclude s/*;\n}\n", **files})
    empty = "".join(f"== /etc/nginx/s/x{n}\n" for n in range(8000))

    text = f"nginx version: nginx/1.22.1\nconf /etc/nginx/nginx.conf\n{told}"
    found = parse_nginx(f"{text}{empty}end\n")

    assert isinstance(found, WebConfig)
    assert len(text) < STDOUT_CAP_BYTES
    assert len({h.names for h in found.hosts if h.tls}) == 2000
    assert found.unread == ()


def test_two_thousand_hosts_of_apache_are_read() -> None:
    """With the list of files and of hosts that it gives itself."""
    paths = [f"/etc/apache2/s/{n}.conf" for n in range(2000)]
    files = {path: web_configs.apache_host(n) for n, path in enumerate(paths)}
    main = "/etc/apache2/apache2.conf"
    told = _told(DIRECTIVES, {main: "Listen 443\nInclude s/*.conf\n", **files})
    text = "\n".join(
        (
            *("version Apache/2.4.71 (Debian)", "arguments", "Included configuration files:"),
            f"  (*) {main}",
            *(f"    (2) {path}" for path in paths),
            "VirtualHost configuration:",
            "*:443                  is a NameVirtualHost",
            *(f"         port 443 namevhost n{n}.example ({p}:1)" for n, p in enumerate(paths)),
            f"{told}end\n",
        )
    )

    found = parse_apache(text)

    assert isinstance(found, WebConfig)
    assert found.unread == ()
    assert len({h.names for h in found.hosts if h.tls}) == 2000
