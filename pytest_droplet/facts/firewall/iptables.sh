# The rules of both iptables, over nftables and legacy, for IPv4 and for IPv6.
# Prints: == nft or == legacy, with 6 for IPv6, the tables as saved, rc=STATUS of the program.
for six in '' 6; do
    if kernel_may_have nf_tables; then
        echo "== nft$six"
        "ip${six}tables-nft-save"
        echo "rc=$?"
    fi
    # Without a table of legacy iptables the file is absent or empty.
    if { read -r _ <"/proc/net/ip${six}_tables_names"; } 2>/dev/null; then
        echo "== legacy$six"
        "ip${six}tables-legacy-save"
        echo "rc=$?"
    fi
done
:
