# What of the things that CIS wants to be recorded there is on this host.
# Prints: E PATH for each that exists; U and the line of UID_MIN; C FILE for a configuration of
# the kernel, K and its lines about 32-bit programs; L and sudo's log files; !! FILE not read.

print_lines() { # SED-PROGRAM FILE
    [ ! -f "$2" ] || sed -n "$1" "$2" || not_whole "$2"
}

for path in /etc/localtime \
    /etc/group /etc/passwd /etc/gshadow /etc/shadow /etc/security/opasswd /etc/nsswitch.conf \
    /etc/pam.conf /etc/pam.d \
    /etc/issue /etc/issue.net /etc/hosts /etc/networks /etc/network /etc/netplan \
    /etc/hostname /etc/sysconfig/network /etc/sysconfig/network-scripts /etc/NetworkManager \
    /etc/apparmor /etc/apparmor.d /etc/selinux /usr/share/selinux \
    /var/log/lastlog /var/lib/lastlog/lastlog2.db /var/run/faillock \
    /var/run/utmp /var/log/wtmp /var/log/btmp \
    /etc/sudoers /etc/sudoers.d /usr/bin/kmod; do
    [ ! -e "$path" ] || echo "E $path"
done

print_lines 's/^UID_MIN[[:space:]]/U &/p' /etc/login.defs

for config in "/boot/config-$(uname -r)" "/lib/modules/$(uname -r)/config"; do
    [ ! -f "$config" ] || echo "C $config"
    print_lines 's/^CONFIG_IA32_EMULATION=/K &/p;s/^CONFIG_COMPAT=/K &/p' "$config"
done

for sudoers in /etc/sudoers /etc/sudoers.d/*; do
    print_lines 's/^[[:space:]]*Defaults.*logfile/L &/p' "$sudoers"
done
:
