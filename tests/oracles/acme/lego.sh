start_nginx lego.example
set -- lego --server "$AUTHORITY" --email "$MAIL" --domains lego.example --accept-tos \
    --http --http.webroot /var/www/html --path /etc/lego
"$@" run
nginx_with lego.example /etc/lego/certificates/lego.example.crt \
    /etc/lego/certificates/lego.example.key
echo "7 4 * * * root $* renew --renew-hook 'nginx -s reload'" >/etc/cron.d/lego
renew lego.example "$@" renew --days 3650 --no-random-sleep --renew-hook 'nginx -s reload'
