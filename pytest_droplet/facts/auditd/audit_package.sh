# The packages that bring auditd.
# Prints: dpkg or rpm, then the packages as that tool lists them. 127: there is neither.
if [ -s /var/lib/dpkg/status ]; then
    echo dpkg
    dpkg-query -W -f='${Package} ${db:Status-Abbrev} ${Version}\n' auditd audispd-plugins
else
    command -v rpm >/dev/null || exit 127
    echo rpm
    as_nobody rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE}\n' audit audit-rules
fi
