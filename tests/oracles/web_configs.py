"""Random configurations of nginx and Apache: as people write them, and as they should not."""

from __future__ import annotations

import random
from collections.abc import Callable

NAMES = tuple(f"n{number}.example" for number in range(8))
ASKED = (*NAMES, "www.n0.example", "x.n1.example", "other.example")
CERTIFICATES = 12
FOLDER = "/srv/tls"

_BEFORE = (
    r"""map $uri $v{n} {{ default 0; "~\\\\" 1; '\\' 2; "x\\" 3; }}""",
    r"""map $uri $v{n} {{ default "\"}}"; 'it\'s {{' 1; a"b 1; }}""",
    "# it's a {{ comment\nmap $uri $v{n} {{ ${{uri}} 1; }}#}}",
    'map $uri\t$v{n} {{ default "{{\n;" ; }}',
    'log_format x{n} \'C:\\\\\' "\\\\\\\\" \\"; # "',
    "",
)
_INSIDE = (
    'location ~ "\\.(a|b){2}$" { root /srv/\\{; }',
    "if ($host = x) { return 301 https://${host}/#a; }",
    "location / { return 200 'it\\'s } ; {'; }",
    'add_header A "x\\\\";',
    "# server_name commented.example; }",
    "location = /x { content_by_lua_block { local a = '}' .. [[ } ]] --[[ } ]] } }",
    'location = /y { content_by_lua_block {\n-- don\'t }\nlocal t = { a = { "\\"}" } }\n} }',
    "set $a 'x#y'; set $b x#y;",
    "server_tokens off;",
)


def garbled(files: dict[str, str], chance: random.Random) -> dict[str, str]:
    """Return a configuration that somebody has slipped in: a character is more, less or other."""
    path = chance.choice([path for path, text in files.items() if text and "envvars" not in path])
    text = files[path]
    at = chance.randrange(text.rfind("PidFile") + 20 if "PidFile" in text else 0, len(text))
    slip = chance.choice([*"\"'\\{};#$<>\r\n \t", "", "", "{}", "\\\n", "\n#"])
    return {**files, path: text[:at] + slip + text[at + chance.choice([0, 1]) :]}


class Nginx:
    """Makes a configuration of nginx; each host has its own certificate, or that of ``http``."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._files: dict[str, str] = {}
        self._numbers = iter(range(10_000))

    def make(self) -> dict[str, str]:
        """Return the files by path."""
        sites = [self._site() for _ in range(self._chance.randint(1, 5))]
        inherited = (
            f"ssl_certificate {FOLDER}/0.pem; ssl_certificate_key {FOLDER}/0.key;"
            + self._chance.choice(["", " ssl_protocols TLSv1.2 TLSv1.3;"])
        )
        sites.insert(self._chance.randint(0, len(sites)), inherited)
        body = "\n".join(self._filed(site, ".conf") for site in sites)
        if self._chance.random() < 0.3:
            self._files["/etc/nginx/sites/z"] = self._ended(self._site())
            body += "\ninclude sites/*;\ninclude none/*.conf;"
        self._files["/etc/nginx/nginx.conf"] = self._ended(
            "load_module /usr/lib/nginx/modules/ndk_http_module.so;\n"
            "load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;\n"
            f"events {{}}\nhttp {{\nlua_load_resty_core off;\naccess_log off;\n{body}\n}}\n"
        )
        return self._files

    def _filed(self, text: str, ending: str) -> str:
        """Put a text into a file of its own, or not."""
        if self._chance.random() < 0.5:
            return text
        name = f"{self._chance.choice(['conf.d', 'snippets'])}/{next(self._numbers)}{ending}"
        self._files[f"/etc/nginx/{name}"] = self._ended(text)
        path = self._chance.choice([name, f"/etc/nginx/{name}"])
        return self._chance.choice(["include {};", 'include "{}";', "include\t{} ;"]).format(path)

    def _ended(self, text: str) -> str:
        """Let lines end as one system or the other does."""
        return text.replace("\n", "\r\n") if self._chance.random() < 0.3 else text

    def _site(self) -> str:
        lines = [*self._listens(), *self._names(), *self._certificate()]
        lines += self._chance.sample(_INSIDE, self._chance.randint(0, 3))
        if self._chance.random() < 0.2:
            empty = f"/etc/nginx/snippets/{next(self._numbers)}"
            self._files[empty] = ""
            lines.append(f"include {empty};")
        self._chance.shuffle(lines)
        inner = "\n".join(self._filed(line, "") for line in lines)
        opening = self._chance.choice(["server {", "server{", '"server" {', "server\n{\n"])
        before = self._chance.choice(_BEFORE).format(n=next(self._numbers))
        return f"{before}\n{opening}{inner}{self._chance.choice(['', ' ', chr(10)])}}}"

    def _listens(self) -> list[str]:
        ports = (443, 443, 443, 8443, 80)
        places = ("{}", "{}", "*:{}", "0.0.0.0:{}", "127.0.0.1:{}", "[::]:{}", "[::1]:{}")
        some = self._chance.sample(places, self._chance.randint(1, 2))
        found = {place.format(self._chance.choice(ports)) for place in some}
        if self._chance.random() < 0.1:
            found = {"9000-9002"}
        usual = {place.removeprefix("*:").removeprefix("0.0.0.0:") for place in found}
        return [
            self._chance.choice(["listen {}{};", "listen  {}{} ;", "'listen' {}{};"]).format(
                place, "" if place.endswith("80") else self._chance.choice([" ssl", " ssl http2"])
            )
            for place in sorted(usual)
        ]

    def _names(self) -> list[str]:
        some = self._chance.sample(NAMES, self._chance.randint(1, 3))
        odd = self._chance.choice(
            ["", "*.n1.example", ".n0.example", "_", "~^w{2}\\.x$", "$hostname"]
        )
        some += [f'"{odd}"' if "{" in odd else odd] if odd else []
        some = [
            self._chance.choice([n, n, n.upper(), f'"{n}"']) if n in NAMES else n for n in some
        ]
        if self._chance.random() < 0.2:
            return [f"server_name {name};" for name in some]
        return [f"server_name {self._chance.choice([' ', chr(10) + '    ']).join(some)};"]

    def _certificate(self) -> list[str]:
        if self._chance.random() < 0.2:
            return []
        at = self._chance.randrange(1, CERTIFICATES)
        quote = self._chance.choice(["", '"', "'"])
        return [
            f"ssl_certificate {quote}{FOLDER}/{at}.pem{quote};",
            f"ssl_certificate_key {quote}{FOLDER}/{at}.key{quote};",
        ]


_MODULES = ("mpm_event", "authz_core", "ssl", "macro")


class Apache:
    """Makes a configuration of Apache."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._files: dict[str, str] = {}
        self._numbers = iter(range(10_000))

    def make(self) -> dict[str, str]:
        """Return the files by path."""
        kinds: tuple[Callable[[], str], ...] = (self._site, self._site, self._macro, self._within)
        sites = [self._chance.choice(kinds)() for _ in range(self._chance.randint(1, 5))]
        body = "\n".join(self._filed(site) for site in sites)
        if self._chance.random() < 0.3:
            self._files["/etc/apache2/sites/z.conf"] = self._ended(self._site())
            body += "\nIncludeOptional sites/*.conf\nIncludeOptional none/*.conf\n"
        listens = ["Listen 443", "Listen 80"]
        listens += self._chance.choice([[], ["Listen 8443 https"], ["Listen 127.0.0.1:9000"]])
        loads = "".join(
            f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n" for m in _MODULES
        )
        self._files["/etc/apache2/envvars"] = "APACHE_RUN_DIR=/run\n"
        self._files["/etc/apache2/apache2.conf"] = (
            f"{loads}ServerName main.example\nPidFile /run/a.pid\nErrorLog /run/error.log\n"
            "DefaultRuntimeDir /run\nDefine FOLDER "
            + FOLDER
            + "\n"
            + "\n".join(listens)
            + f"\n{body}\n"
        )
        return self._files

    def _ended(self, text: str) -> str:
        return text.replace("\n", "\r\n") if self._chance.random() < 0.3 else text

    def _filed(self, text: str) -> str:
        if self._chance.random() < 0.5 or "\\\n" in text:
            return text
        name = f"{self._chance.choice(['conf', 'snippets'])}/{next(self._numbers)}.conf"
        self._files[f"/etc/apache2/{name}"] = self._ended(f"{text}\n")
        path = self._chance.choice([name, f"/etc/apache2/{name}"])
        return self._chance.choice(["Include {}", 'include "{}"', "  IncludeOptional {}"]).format(
            path
        )

    def _site(self) -> str:
        place = self._chance.choice(
            ["*:443", "*:443", "*:443", "*:*", "*", "_default_:443", "127.0.0.1:443", "[::1]:443"]
        )
        place = self._chance.choice([place, f'"{place}"'])
        lines = self._names() + self._secured()
        lines += self._chance.sample(
            ["# ServerName commented.example", "", "<Directory /srv>\n</Directory>"],
            self._chance.randint(0, 2),
        )
        self._chance.shuffle(lines)
        inner = "\n".join(self._filed(line) for line in lines)
        opening = self._chance.choice(["<VirtualHost {}>", "  <virtualhost {} >"])
        return f"{opening.format(place)}\n{inner}\n</VirtualHost>"

    def _within(self) -> str:
        """Return a host within a condition."""
        opening, end = self._chance.choice(
            [
                ("<IfModule mod_ssl.c>", "</IfModule>"),
                ("<IfModule !mod_none.c>", "</IfModule>"),
                ("<IfModule ssl_module>\n<IfDefine !NONE>", "</IfDefine>\n</IfModule>"),
                ("<IfDefine NONE>", "</IfDefine>"),
                ("<IfModule mod_none.c>", "</IfModule>"),
                ("<IfVersion >= 2.4>", "</IfVersion>"),
            ]
        )
        return f"{opening}\n{self._site()}\n{end}"

    def _macro(self) -> str:
        name = f"Host{next(self._numbers)}"
        one, two = self._chance.sample(NAMES, 2)
        at = self._chance.sample(range(1, CERTIFICATES), 2)
        return (
            f"<Macro {name} $name %at>\n# for each\n<VirtualHost *:443>\nServerName $name\n"
            "SSLEngine on\nSSLCertificateFile ${FOLDER}/%at.pem\n"
            "SSLCertificateKeyFile ${FOLDER}/%at.key\n</VirtualHost>\n</Macro>\n"
            f'Use {name} {one} {at[0]}\nUse {name.upper()} "{two}" {at[1]}'
        )

    def _names(self) -> list[str]:
        first, *others = self._chance.sample(NAMES, self._chance.randint(1, 3))
        first = self._chance.choice([first, first.upper(), f'"{first}"', f"https://{first}:443"])
        others += self._chance.choice([[], ["*.n1.example"], ["www.n0.example"]])
        found = [f"ServerName {first}"]
        if others:
            found.append("ServerAlias " + self._chance.choice([" ", " \\\n  "]).join(others))
        return found

    def _secured(self) -> list[str]:
        at = self._chance.randrange(1, CERTIFICATES)
        folder = self._chance.choice([FOLDER, "${FOLDER}"])
        lines = [
            self._chance.choice(["SSLEngine on", "SSLEngine On", "sslengine \\\non"]),
            f"SSLCertificateFile {folder}/{at}.pem",
            f'SSLCertificateKeyFile "{folder}/{at}.key"',
        ]
        if self._chance.random() < 0.2:
            del lines[0]
        elif self._chance.random() < 0.2:
            lines[0] = "<IfModule mod_ssl.c>\nSSLEngine on\n</IfModule>"
        return lines
