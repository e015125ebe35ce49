# Debian's point release.
# Prints: the file as it is.
read_capped /etc/debian_version
