# Whether the kernel can filter at all, and what brings rules back after a reboot.
# Prints: module NAME for each that the kernel has, or may have; ufw's ENABLED=; == FILE and the
# lines of nftables files that include others or hook into input; !! FILE where one was not read.
built_in=$(built_in_modules)
for module in nf_tables ip_tables; do
    if [ -d "/sys/module/$module" ] || [ ! -e "$built_in" ] || is_built_in "$module"; then
        echo "module $module"
    fi
done

ufw=/etc/ufw/ufw.conf
if [ -e "$ufw" ] || ! explain_absence "$ufw"; then
    read_capped "$ufw" | grep '^ENABLED='
    must_have_searched $? "$ufw"
fi

# shellcheck disable=SC2154 # the prelude sets heads
read_all /etc/nftables.conf /etc/sysconfig/nftables.conf /etc/nftables/* /etc/nftables.d/* |
    sed -nE -e "$heads" \
        -e '/^[[:space:]]*include[[:space:]]|hook[[:space:]]+input/p' || not_whole /etc/nftables
:
