# What dnf would install now, and which of it is for security.
# Prints: what check-update says, rc=STATUS; == security, the advisories, rc=STATUS. 125: dnf could
# not be kept from writing, and did not run. 127: the host has apt, or no dnf.
# shellcheck disable=SC2154 # dnf_read_only is the inner script
if uses_apt; then
    exit 127
fi
unshare -m --propagation private sh -c "$dnf_read_only"
