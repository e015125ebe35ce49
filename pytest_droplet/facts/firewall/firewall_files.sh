# Whether the kernel can filter at all, and what brings rules back after a reboot.
# Prints: module NAME for each that the kernel has, or may have; ufw's ENABLED=; == FILE and the
# lines of nftables files that include others or hook into input; !! FILE where one was not read.
built_in=$(built_in_modules)
for module in nf_tables ip_tables; do
    if [ -d "/sys/module/$module" ] || [ ! -e "$built_in" ] ||
        grep -qs "/${module}[.]ko" "$built_in"; then
        echo "module $module"
    fi
done

ufw=/etc/ufw/ufw.conf
if [ -f "$ufw" ]; then
    grep '^ENABLED=' "$ufw"
    must_have_searched $? "$ufw"
fi

for file in /etc/nftables.conf /etc/sysconfig/nftables.conf /etc/nftables/* /etc/nftables.d/*; do
    [ -f "$file" ] || continue
    echo "== $file"
    grep -E '^[[:space:]]*include[[:space:]]|hook[[:space:]]+input' "$file"
    must_have_searched $? "$file"
done
:
