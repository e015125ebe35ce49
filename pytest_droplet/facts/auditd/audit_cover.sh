# What of the things that CIS wants to be recorded there is on this host.
# Prints: E PATH for each that exists; U and the line of UID_MIN; C FILE for a configuration of
# the kernel, K and its lines about 32-bit programs; L and sudo's log files; T FOLDER FOLDER where
# the first leads to the second; and with !! FILE what was not read.

for path in /etc/localtime \
    /etc/group /etc/passwd /etc/gshadow /etc/shadow /etc/security/opasswd /etc/nsswitch.conf \
    /etc/pam.conf /etc/pam.d \
    /etc/issue /etc/issue.net /etc/hosts /etc/networks /etc/network /etc/netplan \
    /etc/hostname /etc/sysconfig/network /etc/sysconfig/network-scripts /etc/NetworkManager \
    /etc/apparmor /etc/apparmor.d /etc/selinux /usr/share/selinux \
    /var/log/lastlog /var/lib/lastlog/lastlog2.db /var/run/faillock \
    /var/run/utmp /var/log/wtmp /var/log/btmp \
    /etc/sudoers /etc/sudoers.d /usr/bin/kmod; do
    if [ -e "$path" ] || ! explain_absence "$path"; then
        echo "E $path"
    fi
done

{
    printf '%s\n' /var/log/x /var/lib/lastlog/x /var/run/x /etc/security/x /usr/bin/x
    auditctl -l 2>/dev/null | grep -oE '(-w |(path|dir)=)/[^ ]+' | sed 's/^[^/]*//'
} | sed 's|/[^/]*/*$||' | sort -u | while read -r folder; do
    [ -n "$folder" ] && real=$(readlink -f "$folder") && [ "$real" != "$folder" ] &&
        echo "T $folder $real"
done

read_all /etc/login.defs | sed -n 's/^UID_MIN[[:space:]]/U &/p' || not_whole /etc/login.defs
read_all "/boot/config-$(uname -r)" "/lib/modules/$(uname -r)/config" | sed -n \
    -e 's/^==> \(.*\) <==$/C \1/p' \
    -e 's/^CONFIG_IA32_EMULATION[_A-Z]*=/K &/p;s/^CONFIG_COMPAT=/K &/p' || not_whole /boot
read_all /etc/sudoers /etc/sudoers.d/* | sed -n 's/^[[:space:]]*Defaults.*logfile/L &/p' ||
    not_whole /etc/sudoers
:
