start_nginx acme.example
acme.sh --issue --server "$AUTHORITY" -m "$MAIL" -d acme.example -w /var/www/html
mkdir -p /etc/nginx/tls
nginx_with acme.example /root/.acme.sh/acme.example_ecc/fullchain.cer \
    /root/.acme.sh/acme.example_ecc/acme.example.key
acme.sh --install-cert --ecc -d acme.example --reloadcmd 'nginx -s reload'
acme.sh --install-cronjob
renew acme.example acme.sh --cron --force
