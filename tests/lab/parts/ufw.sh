for port in 22 80 443; do ufw allow $port/tcp; done
ufw --force enable
