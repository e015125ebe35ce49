# As on a Droplet: names of the old kind; and audit from the boot's first process on.
boot='net.ifnames=0 audit=1 audit_backlog_limit=8192'
sed -i "s/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX=\"$boot\"/" /etc/default/grub
systemctl -q enable systemd-networkd
systemctl -q disable systemd-networkd-wait-online
