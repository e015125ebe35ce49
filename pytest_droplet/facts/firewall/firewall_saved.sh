# The files that firewall managers load their rules from.
# Prints: == FILE, its lines without comments, and an empty line; !! FILE where one was not read;
# == zone LINE for each interface that is put into a zone of firewalld.

show() { # FILE...
    read_all "$@" | sed -e 's/^==> \(\/.*\) <==$/== \1/' -e '/^[[:space:]]*#/d' ||
        not_whole "$1"
}

saved=$(
    show /etc/default/ufw \
        /etc/ufw/before*.rules /etc/ufw/user*.rules /etc/ufw/after*.rules \
        /etc/iptables/rules.v? /etc/sysconfig/ip*tables \
        /etc/nftables.conf /etc/sysconfig/nftables.conf /etc/nftables/* /etc/nftables.d/* \
        /etc/firewalld/firewalld.conf /etc/firewalld/direct.xml /etc/firewalld/policies/*.xml \
        /etc/firewalld/zones/*.xml /usr/lib/firewalld/zones/*.xml
)
printf '%s\n' "$saved"

# The services that zones name: the host's own file before that of the package.
set --
for service in $(
    printf '%s\n' "$saved" | grep -oE 'service name=.[A-Za-z0-9_.-]+' | cut -c15- | sort -u
); do
    for folder in /etc /usr/lib; do
        file=$folder/firewalld/services/$service.xml
        [ ! -e "$file" ] || { set -- "$@" "$file"; break; }
    done
done
show "$@"

read_all /etc/NetworkManager/system-connections/* /etc/sysconfig/network-scripts/ifcfg-* |
    sed -nE 's/^(zone|ZONE)=./== zone &/p' || not_whole /etc/NetworkManager
:
