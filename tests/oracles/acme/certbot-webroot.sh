start_nginx certbot.example
certbot certonly --webroot -w /var/www/html -n --agree-tos -m "$MAIL" --server "$AUTHORITY" \
    -d certbot.example --deploy-hook 'nginx -s reload'
live=/etc/letsencrypt/live/certbot.example
nginx_with certbot.example "$live/fullchain.pem" "$live/privkey.pem"
renew certbot.example certbot -q renew --force-renewal --no-random-sleep-on-renew
