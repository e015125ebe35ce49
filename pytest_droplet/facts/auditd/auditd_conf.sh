# The configuration of auditd, the space for its log, and what could send records away.
# Prints: NUMBER:LINE of the file, ==, df's line of the log's file system, sendmail where there
# is one; plugin FILE for each, and its lines that make it active or not.
conf=/etc/audit/auditd.conf
settings=$(read_capped "$conf") || exit 1
printf '%s\n' "$settings" | grep -n . || exit 1
echo '=='

log=$(
    printf '%s\n' "$settings" | sed -n 's/^[[:space:]]*log_file[[:space:]]*=[[:space:]]*//p' |
        tail -n1
)
log=${log:-/var/log/audit/audit.log}
df -Pk "${log%/*}" | tail -n1

[ ! -x /usr/lib/sendmail ] && [ ! -x /usr/sbin/sendmail ] || echo sendmail

read_all /etc/audit/plugins.d/*.conf /etc/audisp/plugins.d/*.conf |
    sed -nE -e 's/^==> (\/.*) <==$/plugin \1/p' \
        -e '/^[[:space:]]*[aA][cC][tT][iI][vV][eE][[:space:]]*=/p' || not_whole plugins
:
