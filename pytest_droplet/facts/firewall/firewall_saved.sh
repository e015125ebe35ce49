# The files that firewall managers load their rules from.
# Prints: == FILE, its lines without comments, and an empty line; !! FILE where one was not read;
# == zone LINE for each interface that is put into a zone of firewalld.

show() { # FILE; fails where there is none
    [ -f "$1" ] || return
    echo "== $1"
    grep -v '^[[:space:]]*#' "$1"
    [ $? -lt 2 ] || { echo; not_whole "$1"; }
    echo
}

for file in /etc/default/ufw \
    /etc/ufw/before*.rules /etc/ufw/user*.rules /etc/ufw/after*.rules \
    /etc/iptables/rules.v? /etc/sysconfig/ip*tables \
    /etc/nftables.conf /etc/sysconfig/nftables.conf /etc/nftables/* /etc/nftables.d/* \
    /etc/firewalld/firewalld.conf /etc/firewalld/direct.xml /etc/firewalld/policies/*.xml \
    /etc/firewalld/zones/*.xml /usr/lib/firewalld/zones/*.xml; do
    show "$file"
done

# The services that zones name: the host's own file before that of the package.
# shellcheck disable=SC2013 # a name has no blank
for service in $(
    cat /etc/firewalld/zones/*.xml /usr/lib/firewalld/zones/*.xml 2>/dev/null |
        grep -oE 'service name=.[A-Za-z0-9_.-]+' | cut -c15- | sort -u
); do
    for folder in /etc /usr/lib; do
        show "$folder/firewalld/services/$service.xml" && break
    done
done

grep -hsE '^(zone|ZONE)=.' /etc/NetworkManager/system-connections/* \
    /etc/sysconfig/network-scripts/ifcfg-* | sed 's/^/== zone /'
:
