# The distribution and its release.
# Prints: os-release(5) as it is.
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release
