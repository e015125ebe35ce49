# An authority (pebble), a web server, and what each way of getting a certificate needs of them.
# Names lead to this host, challenges are asked for on ports 80 and 443, certificates live 90 days.

AUTHORITY=https://localhost:14000/dir
MAIL=admin@acme.example

# Trusts the authority's own certificate as all programs here do, and starts it.
start_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout /srv/pebble.key -out /srv/pebble.pem 2>/dev/null
    cat /srv/pebble.pem >>/etc/ssl/certs/ca-certificates.crt
    cat >/srv/pebble.json <<'END'
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
"certificate": "/srv/pebble.pem", "privateKey": "/srv/pebble.key", "httpPort": 80, "tlsPort": 443,
"certificateValidityPeriod": 7776000}}
END
    pebble-challtestsrv -dns01 127.0.0.1:8053 -http01 '' -https01 '' -tlsalpn01 '' -doh '' \
        -defaultIPv4 127.0.0.1 -defaultIPv6 '' -management 127.0.0.1:8055 >/srv/names.log 2>&1 &
    PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 pebble -config /srv/pebble.json \
        -dnsserver 127.0.0.1:8053 >/srv/pebble.log 2>&1 &
    until_true curl -sf "$AUTHORITY"
}

# Serves /var/www/html on port 80, as the package does, for one name.
start_nginx() { # NAME
    sed -i "s/server_name _;/server_name $1;/" /etc/nginx/sites-available/default
    nginx
}

start_apache() { # NAME
    cat >/etc/apache2/sites-available/000-default.conf <<END
<VirtualHost *:80>
    ServerName $1
    DocumentRoot /var/www/html
</VirtualHost>
END
    mkdir -p /run/apache2 /run/lock/apache2
    apachectl start
}

# Adds a host with a certificate, as its owner does by hand.
nginx_with() { # NAME CERTIFICATE KEY
    cat >"/etc/nginx/conf.d/$1.conf" <<END
server {
    listen 443 ssl;
    server_name $1;
    ssl_certificate $2;
    ssl_certificate_key $3;
}
END
    nginx -s reload
}

serial() { # NAME: of what is served
    openssl s_client -connect 127.0.0.1:443 -servername "$1" </dev/null 2>/dev/null |
        openssl x509 -noout -serial
}

# Renews by the line that cron has, at a time at which a certificate is due, and waits for the
# server to have loaded what came of it. Tells in /srv/renewed whether that is served.
renew() { # NAME COMMAND...
    name=$1
    shift
    until_true serial "$name"
    before=$(serial "$name")
    "$@" >/srv/renew.log 2>&1 || echo "status $?" >>/srv/renew.log
    for _ in $(seq 50); do
        [ "$(serial "$name")" = "$before" ] || break
        sleep 0.02
    done
    [ "$(serial "$name")" = "$before" ] && echo no >/srv/renewed || echo yes >/srv/renewed
}

start_authority
cron
