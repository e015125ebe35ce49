# The kernel refuses audit to all but its first PID namespace: there auditd runs without it.
sed -i 's/^local_events.*/local_events = no/' /etc/audit/auditd.conf
