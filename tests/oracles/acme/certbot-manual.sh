# As people do it: the answer is put by hand where certbot says.
start_nginx certbot.example
mkfifo /srv/hand
certbot certonly --manual --preferred-challenges http --agree-tos --no-eff-email -m "$MAIL" \
    --server "$AUTHORITY" -d certbot.example </srv/hand >/srv/certbot.log 2>&1 &
exec 3>/srv/hand
until_true grep -q 'Press Enter' /srv/certbot.log
token=$(sed -n 's|^http://.*/acme-challenge/||p' /srv/certbot.log)
mkdir -p /var/www/html/.well-known/acme-challenge
grep "^$token[.]" /srv/certbot.log >"/var/www/html/.well-known/acme-challenge/$token"
echo >&3
wait $!
live=/etc/letsencrypt/live/certbot.example
nginx_with certbot.example "$live/fullchain.pem" "$live/privkey.pem"
renew certbot.example certbot -q renew --force-renewal --no-random-sleep-on-renew
