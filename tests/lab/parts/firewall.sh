systemctl -q enable nftables
