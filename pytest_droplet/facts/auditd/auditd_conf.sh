# The configuration of auditd, the space for its log, and what could send records away.
# Prints: NUMBER:LINE of the file, ==, df's line of the log's file system, sendmail where there
# is one, and the files of plugins that are active.
conf=/etc/audit/auditd.conf
grep -n . "$conf" || exit 1
echo '=='

log=$(sed -n 's/^[[:space:]]*log_file[[:space:]]*=[[:space:]]*//p' "$conf" | tail -n1)
log=${log:-/var/log/audit/audit.log}
df -Pk "${log%/*}" | tail -n1

if [ -x /usr/lib/sendmail ] || [ -x /usr/sbin/sendmail ]; then
    echo sendmail
fi

grep -lsiE '^[[:space:]]*active[[:space:]]*=[[:space:]]*yes' \
    /etc/audit/plugins.d/*.conf /etc/audisp/plugins.d/*.conf
:
