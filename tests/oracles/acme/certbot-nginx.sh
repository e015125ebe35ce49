start_nginx certbot.example
certbot --nginx -n --agree-tos -m "$MAIL" --server "$AUTHORITY" -d certbot.example --redirect
renew certbot.example certbot -q renew --force-renewal --no-random-sleep-on-renew
