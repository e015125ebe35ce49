# The host's interfaces and addresses, and whether IPv6 is off.
# Prints: 1 where IPv6 is off, or not there, and 0 where it is on; then a line for each address.
cat /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || echo 1
ip -o addr show
