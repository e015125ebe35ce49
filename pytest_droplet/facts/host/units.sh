# The states of the systemd units that the checks ask about.
# Prints: Name=value of each unit, an empty line between them.
TZ=UTC systemctl show -p Id,Names,LoadState,ActiveState,SubState,UnitFileState,Result,\
ExecMainStatus,ConditionResult,MainPID,ActiveEnterTimestamp,StateChangeTimestamp,\
NextElapseUSecRealtime,LastTriggerUSec,Listen,ExecStart,ExecStartPost \
    auditd.service audit-rules.service \
    ufw.service firewalld.service nftables.service iptables.service ip6tables.service \
    netfilter-persistent.service \
    ssh.service sshd.service ssh.socket sshd.socket \
    nginx.service apache2.service httpd.service \
    unattended-upgrades.service apt-daily.timer apt-daily-upgrade.timer dnf-automatic.timer \
    dnf-automatic-install.timer dnf5-automatic.timer dnf-makecache.timer \
    certbot.timer certbot-renew.timer snap.certbot.renew.timer \
    droplet-agent.service docker.service
