# As Ubuntu since 22.10: systemd listens, and starts sshd for the first client.
systemctl -q disable ssh.service
systemctl -q enable ssh.socket
