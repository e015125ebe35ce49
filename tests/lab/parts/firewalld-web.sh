firewall-offline-cmd -q --zone=public --add-service=http --add-service=https
