start_nginx dehydrated.example
cat >/etc/nginx/snippets/acme.conf <<'END'
location ^~ /.well-known/acme-challenge { alias /var/lib/dehydrated/acme-challenges; }
END
sed -i "s/server_name dehydrated.example;/&\n include snippets\/acme.conf;/" /etc/nginx/sites-available/default
nginx -s reload
echo dehydrated.example >/etc/dehydrated/domains.txt
cat >/etc/dehydrated/conf.d/own.sh <<END
CA=$AUTHORITY
HOOK=/etc/dehydrated/hook.sh
END
printf '#!/bin/sh\n[ "$1" != deploy_cert ] || nginx -s reload\n' >/etc/dehydrated/hook.sh
chmod 755 /etc/dehydrated/hook.sh
dehydrated --register --accept-terms
dehydrated -c
certs=/var/lib/dehydrated/certs/dehydrated.example
nginx_with dehydrated.example "$certs/fullchain.pem" "$certs/privkey.pem"
echo '15 3 * * * root /usr/bin/dehydrated -c >/dev/null' >/etc/cron.d/dehydrated
renew dehydrated.example dehydrated -c -x
