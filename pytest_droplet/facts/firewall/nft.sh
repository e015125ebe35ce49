# The rules of nftables that the kernel has.
# Prints: the ruleset as JSON, then == tables and the lines of tables and their flags; absent
# where the kernel cannot have any. nft 1.0.6 has other words for flags in JSON than in text.
if kernel_may_have nf_tables; then
    nft -j list ruleset || exit
    echo
    echo '== tables'
    nft -t list ruleset | grep -E '^(table|.flags) ' || :
elif [ -e "$(built_in_modules)" ]; then
    echo absent
else
    echo 'it cannot be told whether the kernel has nf_tables' >&2
    exit 1
fi
