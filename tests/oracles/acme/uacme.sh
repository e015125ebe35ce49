start_nginx uacme.example
mkdir -p /var/www/html/.well-known/acme-challenge
export UACME_CHALLENGE_PATH=/var/www/html/.well-known/acme-challenge
uacme -y -a "$AUTHORITY" -c /etc/ssl/uacme new "$MAIL"
set -- uacme -a "$AUTHORITY" -c /etc/ssl/uacme -h /usr/share/uacme/uacme.sh issue
"$@" uacme.example
nginx_with uacme.example /etc/ssl/uacme/uacme.example/cert.pem \
    /etc/ssl/uacme/private/uacme.example/key.pem
echo "6 15 * * * root UACME_CHALLENGE_PATH=$UACME_CHALLENGE_PATH $* uacme.example && nginx -s reload" \
    >/etc/cron.d/uacme
renew uacme.example sh -c "$(echo "$* uacme.example" | sed 's/issue/-f issue/') && nginx -s reload"
