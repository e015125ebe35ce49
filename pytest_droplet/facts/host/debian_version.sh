# Debian's point release.
# Prints: the file as it is.
cat /etc/debian_version
