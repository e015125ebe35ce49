# The running kernel, the host's clock and the time of its start.
# Prints: system, release and machine; the version; seconds since 1970; btime SECONDS.
uname -srm && uname -v && date -u +%s && grep '^btime' /proc/stat
